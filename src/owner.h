/* SPDX-License-Identifier: MIT */
/*
 * The process that holds a socket, searched in /proc by the socket's inode number. For sockets whose owner
 * the kernel side never saw at work. To see other users' processes takes CAP_SYS_PTRACE.
 *
 * A search of all of /proc costs 2 to 3 us per open file of the host. So one pass notes all sockets;
 * passes are at least 20 ms apart and take no more than about a tenth of the time; on a host with very
 * many files a pass goes on over several calls. An unknown owner is better than a wrong one: what was found
 * is verified again when it is older than 10 s.
 *
 * All times are the caller's monotonic clock, which does not run backwards.
 */
#ifndef REBPF_OWNER_H
#define REBPF_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/event.h"

struct owner_scan;

enum owner_answer {
	OWNER_NOT_SEARCHED, /* nothing is known now; ask again later */
	OWNER_NOBODY,       /* searched: no process holds it */
	OWNER_FOUND,
};

enum owner_holds { OWNER_HOLDS_UNKNOWN, OWNER_HOLDS_NO, OWNER_HOLDS_YES };

/* @proc: another mount of procfs, for tests; NULL: /proc. Negative errno. */
int owner_scan_open(struct owner_scan **out, const char *proc);
void owner_scan_close(struct owner_scan *os); /* NULL is fine */

/*
 * Who holds the socket with inode number @ino (0, an orphan: nobody)? Of several holders the one with
 * @hint_tgid, whom the kernel side saw using it (0: none), if it still holds it; else the process that was
 * started first, but process 1, which opens sockets for others, only if there is no other. *out is all zero
 * unless OWNER_FOUND.
 */
enum owner_answer owner_find(struct owner_scan *os, uint64_t ino, uint32_t hint_tgid, uint64_t now_ns,
			     struct rec_owner *out);

/*
 * Does the process hold the socket? Looks at the descriptor where it was found before, then at up to 4,096
 * of the process, and at so many in a second for all calls together; UNKNOWN if that was not enough or is
 * not allowed.
 */
enum owner_holds owner_still_holds(struct owner_scan *os, uint32_t tgid, uint64_t ino, uint64_t now_ns);

/* Passes over /proc begun so far. */
uint64_t owner_scans(const struct owner_scan *os);

#endif
