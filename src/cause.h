/* SPDX-License-Identifier: MIT */
/* Where the previous copy was lost: the verdicts of cause.md, from the evidence. Pure functions. */
#ifndef REBPF_CAUSE_H
#define REBPF_CAUSE_H

#include "attempt.h"
#include "evidence.h"
#include "flows.h"
#include "hostnet.h"
#include "places.h"

/*
 * What holds for the host and the time of the attempt.
 * @previous:     the last retransmission of the first byte; NULL: this is the first one, or it is not known.
 * @lost_until_ns: records of this flow's drops or attempts were lost, or hooks missed something, up to then.
 */
struct cause_context {
	uint32_t host_flags;
	bool has_reasons, nat_possible, sk_drops_rose;
	bool unseen; /* retransmissions of this socket went by that no hook saw */
	uint64_t armed_ns, lost_until_ns;
	const struct flows_copy *previous;
	const struct evidence *evidence;
	const struct hostnet *hostnet;
	const struct places *places;
};

/*
 * A SYN-ACK that is seen at the end of its call only: what was dropped so shortly before is the new copy. Retransmissions of
 * it are a second apart.
 */
#define CAUSE_SYNACK_CALL_NS (20 * NSEC_PER_MSEC)

/* Fills ev->cause, cause_why and cause_drop; ev->attempt and what describes the segment must be there. */
void cause_decide(const struct attempt *a, const struct cause_context *ctx, struct ev_retransmit *ev);

/*
 * Where no hook had the attempt's copy in sight (no slot was open yet): its drop is among all others. Fills *place if the
 * departure time says so.
 */
void cause_find_own_drop(const struct attempt *a, const struct evidence *evidence, const struct places *places,
			 struct ev_drop_place *place);

#endif
