// SPDX-License-Identifier: MIT
#include "cause.h"

#include <string.h>

#include "util.h"

#define PACING_NS NSEC_PER_SEC /* no segment is put off for longer */
#define STATE_SYN_SENT 2 /* include/net/tcp_states.h */

/* A queue that held the previous copy until after the attempt, and was empty so soon afterwards, with the new one gone
 * too: not in this host. */
#define QUEUE_SLACK_NS (20 * NSEC_PER_MSEC)

/*
 * What is known of when the previous copy was sent: not before @from_ns, not after @until_ns (0: not known but for the
 * attempt itself).
 */
struct window {
	bool known;
	uint64_t from_ns, until_ns;
};

static bool is_late(const struct attempt *a)
{
	return a->entry.bits & RTX_BIT_LATE;
}

/*
 * A lower bound of the original's departure: when something was last delivered before it (tcp_rate_skb_sent), which a
 * transmission overwrites; so, late, only what TC saw before is good, or a transmission that failed; else when the
 * connection began. For a SYN-ACK, when the first was sent.
 */
static uint64_t original_not_before(const struct attempt *a)
{
	const struct rec_rtx_entry *e = &a->entry;
	uint64_t delivered_us = e->delivered_us;

	if (!attempt_is_synack(e) && is_late(a) && !a->exit.ret)
		delivered_us = a->hop_count ? a->hop[0].tc.delivered_us : 0;
	return delivered_us * 1000 > e->born_ns ? delivered_us * 1000 : e->born_ns;
}

/*
 * An upper bound of it, 0: none but the attempt itself. Early, its stamp. Late, by the timer that runs out: the
 * retransmission timer runs for icsk_rto from the transmission of the queue's head at least (tcp_rearm_rto), and is
 * doubled, if at all, after the call; a loss probe for two round trips from the last transmission.
 */
static uint64_t original_not_after(const struct attempt *a, enum rtx_type type)
{
	const struct rec_rtx_entry *e = &a->entry;
	uint64_t ran_us = 0;

	if (attempt_is_synack(e))
		return e->delivered_us * 1000;
	if (!is_late(a))
		return e->stamp_ns;
	if (type == RTX_TYPE_RTO || type == RTX_TYPE_SYN)
		ran_us = e->rto_us / 2;
	else if (type == RTX_TYPE_TLP)
		ran_us = e->srtt_us;
	return ran_us ? a->begin_ns - ran_us * 1000 : 0;
}

static struct window find_window(const struct attempt *a, const struct cause_context *ctx, uint32_t attempt,
				 enum rtx_type type)
{
	struct window w = {};

	if (ctx->previous) {
		w.known = true;
		w.from_ns = w.until_ns = ctx->previous->sent_ns;
		/* Its departure may lie behind the call (pacing). */
		if (ctx->previous->stamp_ns > w.until_ns)
			w.until_ns = ctx->previous->stamp_ns;
		if (!is_late(a) && !attempt_is_synack(&a->entry) && a->entry.stamp_ns > w.until_ns)
			w.until_ns = a->entry.stamp_ns;
		return w;
	}
	if (attempt != 1)
		return w;
	w.from_ns = original_not_before(a);
	w.known = w.from_ns;
	/* The first after a pause: that is its own departure, which pacing may have put off (tcp_rate_skb_sent). */
	if (w.known && (a->entry.bits & RTX_BIT_PACED) && !is_late(a) && w.from_ns / 1000 == a->entry.stamp_ns / 1000)
		w.from_ns -= w.from_ns < PACING_NS ? w.from_ns : PACING_NS;
	w.until_ns = original_not_after(a, type);
	return w;
}

/* ---- the question to the evidence ---- */

/* Time stamp values tick in ms or, from 6.7 if the route says so, in us: what the copy carries tells which. */
static uint32_t ts_clock(uint64_t ns, uint64_t unit_ns, uint32_t offset)
{
	return (uint32_t)(ns / unit_ns) + offset;
}

static uint64_t ts_unit(const struct attempt *a)
{
	const struct rec_copy *c = a->hop_count ? &a->hop[0].tc.c : NULL;
	uint32_t off = c ? ts_clock(a->begin_ns, 1000, a->entry.tsoffset) - c->tsval : 0;

	return c && off + 100000 < 200000 ? 1000 : NSEC_PER_MSEC;
}

static void set_ts_window(struct evidence_query *q, const struct attempt *a)
{
	const struct rec_rtx_entry *e = &a->entry;
	const struct rec_copy *c = a->hop_count ? &a->hop[0].tc.c : NULL;
	uint64_t unit_ns = ts_unit(a);

	if (c && !c->tsval)
		return;
	q->has_ts = true;
	q->is_unit_unknown = !c;
	q->ts_from_us = ts_clock(q->from_ns, 1000, e->tsoffset);
	q->ts_until_us = ts_clock(a->begin_ns, 1000, e->tsoffset);
	q->ts_second = (uint32_t)(NSEC_PER_SEC / unit_ns);
	q->ts_from = ts_clock(q->from_ns, unit_ns, e->tsoffset);
	q->ts_until = ts_clock(a->begin_ns, unit_ns, e->tsoffset);
}

static void make_query(struct evidence_query *q, const struct attempt *a, const struct cause_context *ctx,
		       const struct window *w)
{
	const struct rec_rtx_entry *e = &a->entry;

	memset(q, 0, sizeof(*q));
	q->t = attempt_tuple(&e->flow);
	/* The first SYN-ACK of a fast open is its child's. */
	q->sk = attempt_is_synack(e) ? 0 : a->sk;
	q->seq = a->exit.seq;
	q->end_seq = a->exit.end_seq;
	q->ack_seq = e->rcv_nxt;
	q->is_first = !ctx->previous;
	q->is_synack = attempt_is_synack(e);
	q->is_syn = e->flow.state == STATE_SYN_SENT;
	q->snd_nxt = seq_before(e->snd_nxt, a->exit.end_seq) ? a->exit.end_seq : e->snd_nxt;
	/* Not known: then what rebpf has seen is too late for a proof of absence, but what is there may be the one. */
	q->from_ns = w->known ? w->from_ns : ctx->armed_ns;
	q->until_ns = a->begin_ns - (is_late(a) && attempt_is_synack(e) ? CAUSE_SYNACK_CALL_NS : 0);
	q->any_addresses = ctx->nat_possible;
	set_ts_window(q, a);
	if (ctx->previous) {
		q->stamp_ns = ctx->previous->stamp_ns;
		q->tsval = ctx->previous->tsval;
		q->ip_id = ctx->previous->ip_id;
	} else if (!is_late(a) && !attempt_is_synack(e)) {
		q->stamp_ns = e->stamp_ns;
	} else {
		q->skip_unsent = true;
	}
	/* The value that the previous copy carries is its departure. */
	if (!q->tsval && q->has_ts && !q->is_unit_unknown && !is_late(a) && !attempt_is_synack(e))
		q->tsval = ts_clock(e->stamp_ns, ts_unit(a), e->tsoffset);
}

static void fill_drop(const struct attempt *a, const struct cause_context *ctx, const struct evidence_drop *d,
		      uint32_t covered, struct ev_cause_drop *out)
{
	places_fill(ctx->places, d->place, d->ifname, &out->place);
	out->netns = d->netns;
	out->pid = d->pid;
	out->age_us = (a->begin_ns - d->ts_ns) / 1000;
	out->seq = d->seq;
	out->end_seq = d->end_seq;
	out->covered = covered;
	out->nat = d->nat;
}

/* ---- the conditions of "network" ---- */

/* Has the previous copy left the sockets's hands? By what was delivered after it, or because nothing is on its way. */
static bool is_later_delivered(const struct attempt *a, const struct cause_context *ctx, const struct window *w)
{
	const struct rec_rtx_entry *e = &a->entry;

	if (attempt_is_synack(e))
		return false;
	if (w->until_ns && e->rack_mstamp_us * 1000 > w->until_ns)
		return true;
	/* What lies behind it in the stream was first sent after it. */
	return !ctx->previous && seq_before(a->exit.end_seq, e->highest_sack);
}

static bool is_nothing_under_way(const struct attempt *a)
{
	if (attempt_is_synack(&a->entry))
		return false;
	/* Late, it counts the new copy, too, as long as that is on its way. */
	if (a->entry.wmem_alloc <= 1)
		return true;
	return is_late(a) && a->hop_count && a->hop[0].tc.wmem_other <= 1;
}

static bool has_departed(const struct attempt *a, const struct cause_context *ctx, const struct window *w,
			 enum link_type first)
{
	if (is_later_delivered(a, ctx, w))
		return true;
	/* Behind a virtual device others may hold it, in the socket's name no longer. */
	if (first == LINK_LEAVES && is_nothing_under_way(a))
		return true;
	/* The socket's own count says more of a device that leaves; a request for a connection has none. */
	if (first == LINK_LEAVES && !attempt_is_synack(&a->entry))
		return false;
	return hostnet_has_left_queues(ctx->hostnet, w->until_ns ? w->until_ns : a->begin_ns, a->begin_ns,
				       QUEUE_SLACK_NS);
}

static enum link_type first_hop(const struct attempt *a, const struct cause_context *ctx, uint32_t *netns)
{
	const struct rec_rtx_entry *e = &a->entry;

	*netns = e->flow.netns;
	if (e->dst_ifindex && e->dst_netns)
		return hostnet_first_hop(ctx->hostnet, e->dst_netns, e->dst_ifindex);
	if (a->hop_count)
		return hostnet_first_hop(ctx->hostnet, a->hop[0].tc.c.netns, a->hop[0].tc.c.ifindex);
	return hostnet_first_hop(ctx->hostnet, e->flow.netns, 0);
}

/* NONE: it is proved that this host did not drop it. */
static enum cause_why why_not_network(const struct attempt *a, const struct cause_context *ctx, const struct window *w)
{
	const struct rec_rtx_entry *e = &a->entry;
	const struct rec_flow *f = &e->flow;
	bool peer_local = hostnet_is_local(ctx->hostnet, f->raddr, f->ip_version);
	uint32_t netns, bits, scope;
	enum link_type first = first_hop(a, ctx, &netns);
	/* Where the device is only inferred from the others of its namespace, loopback may be the way to a peer in it. */
	bool sure = (e->dst_ifindex && e->dst_netns) || a->hop_count ||
		    !hostnet_has_address(ctx->hostnet, f->netns, f->raddr, f->ip_version);
	bool leaves = first == LINK_LEAVES && sure;

	if (!ctx->has_reasons && (peer_local || ctx->sk_drops_rose))
		return CAUSE_WHY_RECEIVER_BLIND;
	if (!leaves && (peer_local || first == LINK_LOOPBACK || first == LINK_UNKNOWN))
		return CAUSE_WHY_SAME_HOST;
	if (first == LINK_TUNNEL || e->dst_bits || (!leaves && hostnet_has_tunnels(ctx->hostnet)))
		return CAUSE_WHY_ENCAPSULATED;
	/* A peer on this host has devices of its own. */
	scope = leaves && !peer_local ? netns : 0;
	bits = hostnet_bits(ctx->hostnet, scope, w->from_ns);
	if (bits & LINK_XDP)
		return CAUSE_WHY_XDP;
	if (bits & LINK_TC_CONSUMES)
		return CAUSE_WHY_TC_CONSUMED;
	if (!has_departed(a, ctx, w, first))
		return CAUSE_WHY_QUEUED;
	if (hostnet_lost_silently(ctx->hostnet, scope, w->from_ns, a->begin_ns))
		return CAUSE_WHY_NIC_DROPS;
	return CAUSE_WHY_NONE;
}

/* ---- the verdict ---- */

static enum cause_why why_unknown(const struct attempt *a, const struct cause_context *ctx, const struct window *w,
				  const struct evidence_answer *answer, uint32_t attempt)
{
	uint64_t from_ns = w->known ? w->from_ns : 0;

	if (!(ctx->host_flags & HOST_SEES_ALL_DROPS))
		return CAUSE_WHY_DROPS_NOT_TRACED;
	if (ctx->unseen || answer->forgotten || (ctx->lost_until_ns && from_ns <= ctx->lost_until_ns))
		return CAUSE_WHY_RECORDS_LOST;
	if (!w->known && attempt == 1)
		return CAUSE_WHY_NO_PREVIOUS_STAMP;
	if (!w->known || from_ns < ctx->armed_ns)
		return CAUSE_WHY_BEFORE_START;
	if (ctx->previous && ctx->previous->stolen)
		return CAUSE_WHY_TC_CONSUMED;
	if (answer->driver)
		return CAUSE_WHY_DRIVER_FREE;
	if (answer->unclear || answer->delivered)
		return CAUSE_WHY_PROCESSED_COPY;
	if (answer->nat)
		return CAUSE_WHY_NAT;
	/* It failed here, and nothing was freed as a drop: the kernel could not even make the copy. */
	if (ctx->previous && ctx->previous->failed)
		return CAUSE_WHY_DROPS_NOT_TRACED;
	return why_not_network(a, ctx, w);
}

void cause_decide(const struct attempt *a, const struct cause_context *ctx, struct ev_retransmit *ev)
{
	struct window w = find_window(a, ctx, ev->attempt, ev->type);
	struct evidence_answer answer;
	struct evidence_query q;

	ev->cause_why = CAUSE_WHY_NONE;
	if (ev->has_ret && ev->ret == -ERRNO_BUSY && ev->outcome == RTX_OUTCOME_REFUSED) {
		ev->cause = RTX_CAUSE_HOST_QUEUE;
		return;
	}
	make_query(&q, a, ctx, &w);
	evidence_ask(ctx->evidence, &q, &answer);
	if (answer.lost.found) {
		ev->cause = RTX_CAUSE_LOCAL;
		fill_drop(a, ctx, &answer.lost, answer.covered, &ev->cause_drop);
		return;
	}
	if (answer.ack_lost.found) {
		ev->cause = RTX_CAUSE_ACK_LOCAL;
		fill_drop(a, ctx, &answer.ack_lost, q.end_seq - q.seq, &ev->cause_drop);
		return;
	}
	ev->cause_why = why_unknown(a, ctx, &w, &answer, ev->attempt);
	ev->cause = ev->cause_why == CAUSE_WHY_NONE ? RTX_CAUSE_NETWORK : RTX_CAUSE_UNKNOWN;
}

void cause_find_own_drop(const struct attempt *a, const struct evidence *evidence, const struct places *places,
			 struct ev_drop_place *place)
{
	struct rec_tuple t = attempt_tuple(&a->entry.flow);
	struct evidence_drop d;

	if (!a->exit.stamp_ns ||
	    !evidence_find_copy(evidence, &t, a->exit.stamp_ns, a->begin_ns, a->exit.h.ts_ns, &d))
		return;
	places_fill(places, d.place, d.ifname, place);
}
