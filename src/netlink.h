/* SPDX-License-Identifier: MIT */
/* The three questions that rebpf asks rtnetlink, in the network namespace that the caller is in. */
#ifndef REBPF_NETLINK_H
#define REBPF_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

/* Non-zero ends the enumeration and becomes its result. */
typedef int netlink_link_fn(void *ctx, int ifindex, const char *name);
typedef int netlink_filter_fn(void *ctx, const char *kind, const char *bpf_name, uint32_t handle, uint32_t priority);

/* Every interface. Negative errno; -EINTR: the list changed during the enumeration, some may be missing. */
int netlink_for_each_link(netlink_link_fn *fn, void *ctx);

/* Every TC filter under @parent (TC_H_CLSACT and ingress or egress) of @ifindex; none if there is no such qdisc. */
int netlink_for_each_filter(int ifindex, uint32_t parent, netlink_filter_fn *fn, void *ctx);

/* A non-blocking socket that hears of interfaces that come, go and change. The fd, or negative errno. */
int netlink_open_monitor(void);

/*
 * Reads what has come: calls @fn for each interface that is there (new or changed). True in *overrun: messages
 * were lost, enumerate again.
 */
void netlink_read_monitor(int fd, netlink_link_fn *fn, void *ctx, bool *overrun);

#endif
