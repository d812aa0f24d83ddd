/* SPDX-License-Identifier: MIT */
/*
 * The questions that rebpf asks rtnetlink and nfnetlink, in the network namespace that the caller is in or, where a
 * socket is given, that the socket was opened in. No answer is waited for longer than a second (-EAGAIN), but the
 * kernel itself may have to wait for its RTNL lock. Names and addresses are valid during the call only.
 */
#ifndef REBPF_NETLINK_H
#define REBPF_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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

/* ---- many questions on one socket ---- */

/*
 * A socket for the questions below; the caller closes it. It holds its namespace alive. After a question that did not
 * end with 0 or -EINTR it may still be busy with that one: close it. The fd, or negative errno.
 */
int netlink_open_route(void);
/* The same for netlink_has_hook(). -EPROTONOSUPPORT: a kernel without nfnetlink. */
int netlink_open_netfilter(void);
/* The same for questions of the caller's own (sockdiag.c). */
int netlink_open_diag(void);

/*
 * One datagram of the kernel's from any of these sockets, as recvfrom() with @flags: its length, or a negative errno. What
 * another process sent, which only a multicast can do, is passed over.
 */
ssize_t netlink_receive(int fd, void *buf, size_t size, int flags);

/*
 * @errors: packets that were lost without kfree_skb, for all we know: rx_missed + rx_fifo + tx_errors + tx_dropped.
 * @on_bus: the kernel names the bus device behind the interface (IFLA_PARENT_DEV_NAME, 5.14+).
 */
struct netlink_link {
	int ifindex;
	unsigned int arphrd; /* ARPHRD_* */
	unsigned int flags;  /* IFF_* */
	const char *name;
	const char *kind; /* of rtnl_link_ops; "" if there are none, as for a physical device */
	bool xdp;
	bool on_bus;
	uint64_t errors;
};
typedef int netlink_link_info_fn(void *ctx, const struct netlink_link *link);

/* Every interface. Errors as netlink_for_each_link(). */
int netlink_for_each_link_info(int fd, netlink_link_info_fn *fn, void *ctx);

typedef int netlink_errors_fn(void *ctx, int ifindex, uint64_t errors);
/* The errors of every interface, as in struct netlink_link: far cheaper than all of it. Errors as above. */
int netlink_for_each_link_errors(int fd, netlink_errors_fn *fn, void *ctx);

typedef int netlink_address_fn(void *ctx, int ip_version, const uint8_t *addr);
/* Every address that is local: 4 bytes for @ip_version 4, 16 for 6. Errors as above. */
int netlink_for_each_address(int fd, netlink_address_fn *fn, void *ctx);

/* Does a neighbour's address have to be found out? Packets wait for it meanwhile. */
int netlink_has_unresolved(int fd, bool *unresolved);

/* @queued: packets held, and @backlog: their bytes, those of its children included; @sent: bytes dequeued; as the kernel counts. */
struct netlink_qdisc {
	int ifindex;
	uint32_t handle, parent;
	const char *kind;
	uint32_t queued, backlog;
	uint64_t sent;
};
typedef int netlink_qdisc_fn(void *ctx, const struct netlink_qdisc *qdisc);
/* Every queueing discipline, those of which the kernel makes no show excepted. Errors as above. */
int netlink_for_each_qdisc(int fd, netlink_qdisc_fn *fn, void *ctx);

/*
 * Can a TC filter under @parent of @ifindex take a packet silently (TC_ACT_STOLEN, _QUEUED, _TRAP, _REDIRECT, or an
 * action that is not known to do none of it)? A drop is not silent. rebpf's own do not count. Into *consumes, which is
 * left alone where none can. Errors as above.
 */
int netlink_filters_consume(int fd, int ifindex, uint32_t parent, bool *consumes);

/* The same for one filter: an RTM_NEWTFILTER message, header included, of @len bytes. */
bool netlink_filter_message_consumes(const void *message, size_t len);

/*
 * Has the device a netfilter hook at NF_NETDEV_INGRESS or _EGRESS (@hook)? Into *there. -EOPNOTSUPP: not at this hook;
 * -EINVAL: this kernel does not tell (before 5.14, or without CONFIG_NETFILTER_NETLINK_HOOK); asking may make it load
 * the module that does. @fd: netlink_open_netfilter().
 */
int netlink_has_hook(int fd, const char *ifname, uint32_t hook, bool *there);

/*
 * Has nf_tables a chain that translates addresses? Into *there; none where the kernel has no nf_tables. Asking may make it
 * load the module. @fd and other errors as above.
 */
int netlink_has_nat_chain(int fd, bool *there);

/* What one message means to the caller. Non-zero ends. */
struct nlmsghdr;
typedef int netlink_message_fn(const struct nlmsghdr *msg, void *ctx);

/* Asks for all there is of something. @request begins with its nlmsghdr, whose length and type are set. Errors as above. */
int netlink_dump(int fd, void *request, netlink_message_fn *fn, void *ctx);

#endif
