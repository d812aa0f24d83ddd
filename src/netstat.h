/* SPDX-License-Identifier: MIT */
/*
 * TCP's own counters (snmp.h) of this host's network namespaces: what retransmissions are a share of. No option narrows
 * them but --netns.
 */
#ifndef REBPF_NETSTAT_H
#define REBPF_NETSTAT_H

#include "options.h"
#include "snmp.h"

/* So many namespaces are followed; the own one is always among them. */
#define NETSTAT_NAMESPACES 256

struct netstat;

struct netstat_entry {
	uint32_t netns; /* inode number */
	bool known;     /* @tcp was read */
	struct snmp_tcp tcp;
};

/* @options: --netns, must outlive it. NULL: no memory. */
struct netstat *netstat_new(const struct options *options);
void netstat_free(struct netstat *n); /* NULL is fine */

/*
 * Reads them anew, at most once a second, and looks for new namespaces, less often. The thread enters each namespace (which
 * takes CAP_SYS_ADMIN; without, only the own one is read) and is in its own one again afterwards; if it cannot come back,
 * that is said and the program aborted. Costs some 50 us per namespace.
 */
void netstat_read(struct netstat *n, uint64_t now_ns);

/* What was read last: @i from 0 to netstat_count() - 1. */
unsigned int netstat_count(const struct netstat *n);
const struct netstat_entry *netstat_at(const struct netstat *n, unsigned int i);

#endif
