/* SPDX-License-Identifier: MIT */
/*
 * The plan: which hook serves which role on this kernel. A table of candidates per role, best first, and a pure
 * function that picks one and keeps the reason for each that it passed over.
 */
#ifndef REBPF_PLAN_H
#define REBPF_PLAN_H

#include "feature.h"
#include "options.h"
#include "util.h"

/* X(NAME, name as printed and forced, what the role is for) */
#define ROLES(X)                                                                          \
	X(ATTEMPT, attempt, "retransmissions and their return code")                      \
	X(SYNACK, synack, "SYN-ACK retransmissions")                                      \
	X(TC, tc, "what TC egress sees of a retransmission")                              \
	X(QUEUED, queued, "whether a copy was handed to its device")                      \
	X(DROP, drop, "why and where packets were dropped")                               \
	X(OVERFLOW, overflow, "listen queues that overflow")                              \
	X(RETRIES, retries, "connections given up")                                       \
	X(DSACK, dsack, "DSACK: retransmissions that arrived twice")                      \
	X(UNDO, undo, "time-outs and recoveries that turned out unnecessary")             \
	X(OPEN, open, "latency and outcome of active opens")                              \
	X(SYN, syn, "when the SYN of an active open was sent")                            \
	X(NOROUTE, noroute, "connects that fail before a SYN")                            \
	X(CONNECT, connect, "owner of a connecting or listening socket")                  \
	X(ACCEPT, accept, "owner of an accepted socket")                                  \
	X(RECEIVE, receive, "owner of a receiving socket")                                \
	X(FORGET, forget, "end of a socket")                                              \
	X(SCAN, scan, "owners of sockets older than rebpf")

enum role {
#define X(NAME, name, purpose) ROLE_##NAME,
	ROLES(X)
#undef X
	ROLE_COUNT
};

#define CANDIDATE_MAX_PROGRAMS 8
#define CANDIDATE_MAX_NEEDS 4

/*
 * One way to serve a role. @needs: features, FEATURE_COUNT ends the list. @unseen: what the user will miss with it,
 * NULL: nothing. @host_flags: what it lets the pipeline rely on (HOST_* of bpf/event.h).
 */
struct candidate {
	enum role role;
	const char *name;
	const char *programs[CANDIDATE_MAX_PROGRAMS];
	enum feature needs[CANDIDATE_MAX_NEEDS];
	const char *unseen;
	uint32_t host_flags;
};

#define PLAN_MAX_CANDIDATES 8

struct plan_choice {
	const struct candidate *chosen; /* NULL: nothing serves this role here */
	struct {
		const struct candidate *candidate;
		const char *why; /* why not this better one */
	} passed[PLAN_MAX_CANDIDATES];
	unsigned int passed_count;
};

struct plan {
	struct plan_choice role[ROLE_COUNT];
	uint32_t host_flags;
};

/*
 * Makes the plan. Pure: depends on its arguments only. @force: "role=candidate,..." to take (or "role=none"), NULL:
 * none; a forced candidate that the features do not allow is an error.
 * Negative errno with its message: -EINVAL for a bad @force, -ENOTSUP if retransmissions cannot be seen at all.
 */
int plan_make(struct plan *plan, const struct features *features, const char *force);

/* What --check prints: per role the hook, why not a better one, and what will not be seen. */
void plan_print(const struct plan *plan, const struct features *features, struct strbuf *out);

#endif
