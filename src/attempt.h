/* SPDX-License-Identifier: MIT */
/* One attempt to retransmit, from the records that belong to it to the event: the rules of cause.md. Pure functions. */
#ifndef REBPF_ATTEMPT_H
#define REBPF_ATTEMPT_H

#include <string.h>

#include "decode.h"
#include "event.h"

#define ATTEMPT_MAX_DROPS 4 /* of GSO segments: the first few say it all */

#define ERRNO_BUSY 16 /* EBUSY of the recording kernel; the same on every architecture we build for */

/* A SYN-ACK of a request, which has no socket yet. */
static inline bool attempt_is_synack(const struct rec_rtx_entry *e)
{
	return e->hook == RTX_HOOK_SYNACK || e->hook == RTX_HOOK_SYNACK_TP;
}

/* The ends of a flow, as its own packets carry them. */
static inline struct rec_tuple attempt_tuple(const struct rec_flow *f)
{
	struct rec_tuple t = { .sport = f->lport, .dport = f->rport, .ip_version = f->ip_version };

	memcpy(t.saddr, f->laddr, sizeof(t.saddr));
	memcpy(t.daddr, f->raddr, sizeof(t.daddr));
	return t;
}

struct attempt_hop {
	struct rec_rtx_tc tc;
	bool queued;
};

struct attempt {
	uint64_t sk, skb;
	uint64_t begin_ns;
	bool has_entry, has_exit;
	struct rec_rtx_entry entry;
	struct rec_rtx_exit exit;
	unsigned int hop_count, drop_count;
	bool queued_unwatched; /* handed to a device on which no classifier of ours saw it */
	struct attempt_hop hop[EV_MAX_HOPS];
	struct rec_rtx_drop drop[ATTEMPT_MAX_DROPS];
};

/* What holds for the host on which the attempt happened. */
struct attempt_context {
	uint32_t host_flags; /* HOST_* */
	bool has_reasons;    /* this kernel names drop reasons */
	bool hooks_missed;   /* a hook may have missed a copy: its silence proves nothing */
	bool records_lost;   /* so may records of this flow that were lost; implies hooks_missed */
	const char *drop_reason; /* of drop[0], "" if it has none */
};

/* True if the record is of the copy that this attempt made, not of an older one (by its departure time). */
bool attempt_is_own_copy(const struct attempt *a, const struct rec_copy *c);

/* What rebpf itself did to the copy: TC_VERDICT_SHOT or _STOLEN, else TC_VERDICT_UNKNOWN. */
int attempt_injected(const struct attempt *a);

enum rtx_outcome attempt_outcome(const struct attempt *a, const struct attempt_context *ctx);

/* Fills ev->tc*, by the inference of cause.md, "What TC says". */
void attempt_tc(const struct attempt *a, const struct attempt_context *ctx, struct ev_retransmit *ev);

#endif
