/* SPDX-License-Identifier: MIT */
/* The socket that a packet was for, or from, where the packet itself did not say: asked of inet_diag. */
#ifndef REBPF_SOCKDIAG_H
#define REBPF_SOCKDIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/event.h"

/*
 * @ino:      0: it has no process (TIME_WAIT, orphaned) or none yet (not accepted).
 * @cgroup:   id in the cgroup2 hierarchy, 0: unknown (before 5.8, or no full socket).
 * @state:    TCP_ESTABLISHED .. of include/net/tcp_states.h.
 * @received: the packet was for it; else it sent it.
 */
struct sockdiag_socket {
	uint64_t ino;
	uint64_t cgroup;
	uint32_t uid;
	uint8_t state;
	bool received;
};

/*
 * Finds the TCP socket of a packet with tuple @t (host byte order, protocol TCP) that was seen in the namespace of
 * inode number @netns: the connected one that it was for; else the connected one that sent it; else, if daddr is an
 * address of that namespace, the listener that it was for. For a connection that is not yet established it is the
 * listener, too. A v6 socket that talks v4 is found by its v4 tuple.
 * @hint_tgid: a process that may be in that namespace, 0: none known; see netns_open_by_inode(), whose costs are
 *             added when the namespace is not ours.
 * @ifindex:   the packet's device, for sockets that are bound to one; 0: unknown, they are not found.
 * 0; -ENOENT: there is no such socket, or no such namespace; -EPERM: the namespace cannot be entered; other negative
 * errno; *out is left alone on failure. Costs 25 to 50 us, and up to 4 us per process of the host where the
 * namespace must be searched; no answer takes longer than a second. The kernel may load its inet_diag modules. The
 * thread is in its own namespace before and after; if it cannot come back, that is said and the program aborted.
 */
int sockdiag_find(uint32_t netns, uint32_t hint_tgid, uint32_t ifindex, const struct rec_tuple *t,
		  struct sockdiag_socket *out);

#endif
