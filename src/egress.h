/* SPDX-License-Identifier: MIT */
/*
 * Keeps the classifier attached to TC egress of every interface: of rebpf's own network namespace from the start,
 * of another from when its first retransmission is seen. tcx where the kernel has it (the link goes with the
 * process), else a clsact filter (swept up at the next start if the process is killed).
 */
#ifndef REBPF_EGRESS_H
#define REBPF_EGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

struct egress;

/* Told whenever a namespace becomes fully watched, or ceases to be. */
typedef void egress_netns_fn(void *ctx, uint32_t netns, bool watched);

struct egress_config {
	int prog_fd;
	bool tcx;
	uint32_t own_netns; /* inode */
	const struct options *options;
	egress_netns_fn *on_netns;
	void *ctx;
};

/*
 * Attaches to the interfaces of the own namespace and begins to follow them. An interface that -i names and that does
 * not exist is -ENODEV; anything else that cannot be attached is a warning. Negative errno with its message.
 */
int egress_open(struct egress **out, const struct egress_config *config);

/* Readable when interfaces of the own namespace changed: call egress_handle. -1: none. */
int egress_fd(const struct egress *e);
void egress_handle(struct egress *e);

/*
 * A copy left in @netns that no classifier saw: attach there, or look for what is new. At most once a second per
 * namespace; @hint_tgid: a process that may live in it.
 */
void egress_visit(struct egress *e, uint32_t netns, uint32_t hint_tgid, uint64_t now_ns);

/* How many interfaces have the classifier. */
unsigned int egress_count(const struct egress *e);

/* Detaches everything. A clsact qdisc goes too if it was made here and nobody else uses it. NULL is fine. */
void egress_close(struct egress *e);

#endif
