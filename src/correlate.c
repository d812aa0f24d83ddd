// SPDX-License-Identifier: MIT
#include "correlate.h"

#include <stdlib.h>
#include <string.h>

#include "attempt.h"
#include "cause.h"
#include "classify.h"
#include "connects.h"
#include "drops.h"
#include "evidence.h"
#include "flows.h"
#include "hostnet.h"
#include "names.h"
#include "openset.h"
#include "places.h"
#include "util.h"

#define SURVEY_WAIT_NS NSEC_PER_SEC
#define CALL_MAX_NS (100 * NSEC_PER_MSEC) /* no call takes so long: the clock that stamped it was another */
#define MAX_EVIDENCE (1u << 20) /* 5 s of a flood of 200,000 a second; 180 MB then, and nothing without drops */
#define OPEN_MAX_NS (10 * NSEC_PER_SEC) /* an attempt takes microseconds: its end was lost */
#define MAX_MISSED 16                   /* namespaces a tick; the others get their turn at the next */
#define EVER_RETRANS 0x80         /* TCPCB_EVER_RETRANS, include/net/tcp.h: the same from 5.10 to 7.3 */

struct owner_note {
	uint64_t sk;
	struct rec_owner owner;
};

/* A namespace in which a copy was not seen by TC, and a process of it. */
struct missed {
	uint32_t netns, tgid;
};

struct correlate {
	correlate_event_fn *fn;
	void *ctx;
	struct openset *open;
	struct flows *flows;
	struct names *names;
	struct places *places;
	struct evidence *evidence;
	struct hostnet *hostnet;
	struct drops *drops;
	struct connects *connects;
	uint32_t host_flags;
	bool no_causes;
	uint64_t armed_ns;
	bool has_reasons;
	uint64_t missed_until_ns; /* hooks may have missed what began until then; UINT64_MAX: until the next tick */
	/* The same of records that found no room in a ring; the last bucket: of any flow. */
	uint64_t lost_until_ns[RING_COUNT][REBPF_BUCKET_ANY + 1];
	uint64_t clock_offset; /* wall - mono, modulo 2^64 */
	uint64_t first_ns, last_ns;
	struct owner_note owner; /* the OWNER record that precedes an entry */
	struct missed missed[MAX_MISSED];
	unsigned int missed_count;
	struct ev_stats stats;
};

/* ---- open attempts ---- */

/*
 * Gives up on an attempt whose end did not come. One that only TC or the drop hook saw was no retransmission that this
 * kernel reports (a failed one before 6.17 without entry hooks, or a second look at an older packet): not counted.
 */
static void abandon(struct correlate *c, struct open *o)
{
	if (o->a.has_entry)
		c->stats.incomplete++;
	openset_drop(c->open, o);
}

static struct open *begin(struct correlate *c, uint64_t sk, uint64_t skb, uint64_t ts_ns)
{
	struct open *o = openset_begin(c->open, sk, skb, ts_ns);

	if (o || !openset_oldest(c->open))
		return o;
	abandon(c, openset_oldest(c->open));
	return openset_begin(c->open, sk, skb, ts_ns);
}

/* ---- an event from a finished attempt ---- */

static void fill_segment(struct ev_retransmit *ev, const struct attempt *a)
{
	const struct rec_rtx_entry *e = &a->entry;

	ev->type = classify_type(e);
	ev->seq = a->exit.seq;
	ev->end_seq = a->exit.end_seq;
	ev->len = classify_payload(a->exit.seq, a->exit.end_seq, e->tcp_flags);
	ev->segs = a->exit.segs;
	ev->skb = a->skb ? a->skb : a->hop_count ? a->hop[0].tc.c.copy : 0;
	ev->ca_state = e->ca_state;
	ev->srtt_us = e->srtt_us;
	ev->rto_us = e->rto_us;
	ev->cwnd = e->cwnd;
	ev->ssthresh = e->ssthresh;
	ev->mss = e->mss;
	/* After the attempt, with every hook. */
	ev->total_retrans = a->exit.segs_out ? a->exit.total_retrans : e->total_retrans;
	ev->segs_out = a->exit.segs_out ? a->exit.segs_out : e->segs_out;
	ev->has_socket = !attempt_is_synack(e);
}

static void fill_drop(struct correlate *c, const struct rec_rtx_drop *d, enum drop_source source, struct ev_drop_place *place)
{
	places_fill(c->places, places_id(c->places, d->location, d->reason, source), d->c.ifname, place);
}

static uint32_t count_attempt(struct correlate *c, const struct attempt *a, const struct ev_retransmit *ev)
{
	const struct rec_rtx_entry *e = &a->entry;
	bool late = e->bits & RTX_BIT_LATE, transmitted = ev->outcome != RTX_OUTCOME_REFUSED;
	struct flows_attempt fa = {
		.seq = a->exit.seq,
		.end_seq = a->exit.end_seq,
		.snd_una = e->snd_una,
		.transmitted = transmitted,
		.high_seq = e->high_seq,
		.timeout = ev->type == RTX_TYPE_RTO || ev->type == RTX_TYPE_ZERO_WINDOW,
		.sk_drops = e->sk_drops,
		.copy.sent_ns = a->begin_ns - (e->hook == RTX_HOOK_SYNACK_TP ? CAUSE_SYNACK_CALL_NS : 0),
		.copy.stamp_ns = a->exit.stamp_ns,
		.copy.tsval = a->hop_count ? a->hop[0].tc.c.tsval : 0,
		.copy.ip_id = a->hop_count ? a->hop[0].tc.c.ip_id : 0,
		.copy.stolen = ev->outcome == RTX_OUTCOME_STOLEN,
		.copy.failed = ev->has_ret && ev->ret,
	};

	if (attempt_is_synack(e)) {
		fa.total_before = e->total_retrans;
		fa.total_after = fa.total_before + transmitted;
	} else {
		fa.total_after = a->exit.total_retrans;
		fa.total_before = late ? fa.total_after - (transmitted ? a->exit.segs : 0) : e->total_retrans;
		/* The mark is set after the transmission: TC still sees the segment without it. */
		if (!late)
			fa.never_before = !(e->sacked & EVER_RETRANS);
		else if (a->hop_count && a->hop[0].tc.c.skb)
			fa.never_before = !(a->hop[0].tc.c.sacked & EVER_RETRANS);
	}
	return flows_count(c->flows, &e->flow, &fa);
}

/*
 * The Loss state with nothing to undo: tcp_simple_retransmit entered it for a smaller path MTU, or a time-out did out of
 * CWR, after a loss on this host (tcp_enter_loss begins no undo then). What began the episode tells.
 */
static enum rtx_type refine_pmtu(enum flows_loss loss)
{
	if (loss == FLOWS_LOSS_BY_TIMEOUT)
		return RTX_TYPE_SLOW_START;
	return loss == FLOWS_LOSS_WITHOUT_TIMEOUT ? RTX_TYPE_PMTU : RTX_TYPE_UNKNOWN;
}

static void count_stats(struct ev_stats *s, const struct ev_retransmit *ev)
{
	bool synack = ev->type == RTX_TYPE_SYNACK && !ev->has_socket;
	bool counted = ev->outcome != RTX_OUTCOME_REFUSED && (!synack || (ev->has_ret && !ev->ret));

	s->attempts++;
	s->by_type[ev->type]++;
	s->by_outcome[ev->outcome]++;
	s->by_cause[ev->cause]++;
	if (counted)
		s->segs += ev->segs;
	if (counted && !synack && ev->has_ret && ev->ret && ev->ret != -ERRNO_BUSY)
		s->segs_failed += ev->segs;
}

static void note_missed(struct correlate *c, const struct attempt *a, const struct ev_retransmit *ev)
{
	if (ev->tc_observed || ev->outcome == RTX_OUTCOME_REFUSED || c->missed_count == MAX_MISSED)
		return;
	for (unsigned int i = 0; i < c->missed_count; i++)
		if (c->missed[i].netns == a->entry.flow.netns)
			return;
	c->missed[c->missed_count++] = (struct missed){ a->entry.flow.netns, a->entry.owner.tgid };
}

/* When this flow's records, or hooks, last missed something; 0: never. */
static uint64_t lost_until(const struct correlate *c, const struct attempt *a)
{
	struct rec_tuple t = attempt_tuple(&a->entry.flow);
	uint64_t until = c->missed_until_ns, ns;

	ns = c->lost_until_ns[RING_CONTROL][flow_bucket(a->sk) % REBPF_FLOW_BUCKETS];
	until = ns > until ? ns : until;
	ns = c->lost_until_ns[RING_DROPS][tuple_bucket(&t) % REBPF_FLOW_BUCKETS];
	until = ns > until ? ns : until;
	ns = c->lost_until_ns[RING_DROPS][REBPF_FLOW_BUCKETS];
	return ns > until ? ns : until;
}

static void decide_cause(struct correlate *c, const struct attempt *a, struct ev_retransmit *ev)
{
	struct cause_context ctx = {
		.host_flags = c->host_flags,
		.has_reasons = c->has_reasons,
		.nat_possible = c->host_flags & HOST_NAT_POSSIBLE,
		.sk_drops_rose = flows_sk_drops_rose(c->flows),
		.unseen = flows_unseen(c->flows),
		.armed_ns = c->armed_ns,
		.lost_until_ns = lost_until(c, a),
		.previous = flows_previous(c->flows),
		.evidence = c->evidence,
		.hostnet = c->hostnet,
		.places = c->places,
	};

	c->stats.unseen += flows_unseen(c->flows);
	cause_decide(a, &ctx, ev);
	if (ev->outcome != RTX_OUTCOME_REFUSED)
		flows_set_cause(c->flows, (uint8_t)ev->cause);
}

/* What took this copy may have taken the one before; rebpf itself says what it takes. */
static void note_consumed(struct correlate *c, const struct attempt *a, const struct ev_retransmit *ev)
{
	bool consumed = ev->outcome == RTX_OUTCOME_STOLEN && attempt_injected(a) != TC_VERDICT_STOLEN;

	for (unsigned int i = 0; i < ev->tc_count; i++)
		consumed |= ev->tc[i].by == TC_BY_OTHER && ev->tc[i].verdict != TC_VERDICT_SHOT;
	if (consumed)
		hostnet_note_consumed(c->hostnet, a->entry.flow.netns, a->begin_ns);
}

static void emit(struct correlate *c, struct attempt *a)
{
	struct event event = { .kind = EV_RETRANSMIT, .mono_ns = a->begin_ns };
	struct ev_retransmit *ev = &event.retransmit;
	struct attempt_context ctx = {
		.host_flags = c->host_flags,
		.has_reasons = c->has_reasons,
		.records_lost = a->begin_ns <= c->lost_until_ns[RING_CONTROL][flow_bucket(a->sk) % REBPF_FLOW_BUCKETS],
		.drop_reason = ev->drop.reason,
	};
	int injected = attempt_injected(a);

	ctx.hooks_missed = ctx.records_lost || a->begin_ns <= c->missed_until_ns;
	ev->c.flow = a->entry.flow;
	ev->c.owner = a->entry.owner;
	ev->c.task = a->entry.task;
	/* What TCP is not told of is no drop, though the kernel frees it as one. */
	if (a->drop_count && injected != TC_VERDICT_STOLEN)
		fill_drop(c, &a->drop[0], injected == TC_VERDICT_SHOT ? DROP_SOURCE_INJECT : DROP_SOURCE_KFREE, &ev->drop);
	fill_segment(ev, a);
	ev->has_ret = a->exit.has_ret;
	ev->ret = a->exit.ret;
	ev->outcome = attempt_outcome(a, &ctx);
	attempt_tc(a, &ctx, ev);
	if (ev->outcome == RTX_OUTCOME_DROPPED && !ev->drop.known)
		cause_find_own_drop(a, c->evidence, c->places, &ev->drop);
	note_consumed(c, a, ev);
	ev->attempt = count_attempt(c, a, ev);
	if (ev->type == RTX_TYPE_PMTU)
		ev->type = refine_pmtu(flows_loss(c->flows, a->entry.high_seq));
	decide_cause(c, a, ev);
	event.wall_ns = event.mono_ns + c->clock_offset;
	note_missed(c, a, ev);
	count_stats(&c->stats, ev);
	c->fn(c->ctx, &event);
}

/* ---- records ---- */

static void take_exit(struct correlate *c, const struct rec_rtx_exit *x);

/* The EXIT that an ENTRY of a whole attempt is. */
static struct rec_rtx_exit exit_of(const struct rec_rtx_entry *e)
{
	return (struct rec_rtx_exit){
		.h = e->h,
		.sk = e->flow.sk,
		.skb = e->skb,
		.stamp_ns = e->stamp_ns,
		.ret = e->ret,
		.seq = e->seq,
		.end_seq = e->end_seq,
		.segs = e->segs,
		.total_retrans = e->total_retrans,
		.has_ret = 1,
		.reached = e->reached,
		.hook = e->hook,
		.segs_out = e->segs_out,
		.queued = e->queued,
	};
}

static void take_entry(struct correlate *c, const struct rec_rtx_entry *e)
{
	bool late = e->bits & RTX_BIT_LATE;
	struct open *o = openset_find(c->open, e->flow.sk);

	/* Early: what is open lost its exit. Late: what is open is what TC and the drop hook saw of this attempt. */
	if (o && (!late || o->a.has_entry || (o->a.skb && o->a.skb != e->skb))) {
		abandon(c, o);
		o = NULL;
	}
	if (!o)
		o = begin(c, e->flow.sk, e->skb, e->h.ts_ns);
	/* No place for it: its exit is one that has lost its entry. */
	if (!o) {
		c->stats.incomplete += !!(e->bits & RTX_BIT_WHOLE);
		return;
	}
	o->a.has_entry = true;
	o->a.entry = *e;
	o->a.skb = e->skb;
	if (c->owner.sk == e->flow.sk)
		o->a.entry.owner = c->owner.owner;
	c->owner.sk = 0;
	if (e->bits & RTX_BIT_WHOLE) {
		struct rec_rtx_exit x = exit_of(e);

		take_exit(c, &x);
	}
}

/* By how much @b left later than @a; 0 also if either has lost its stamp. */
static int64_t copy_age(const struct rec_copy *a, const struct rec_copy *b)
{
	return a->stamp_ns && b->stamp_ns ? (int64_t)(b->stamp_ns - a->stamp_ns) : 0;
}

/*
 * The open attempt that a record of a copy belongs to. Without entry hooks it may be the first record of it, or of a new
 * attempt while an older one, which this kernel never reports the end of, is still open: their stamps differ.
 */
static struct open *open_for_copy(struct correlate *c, const struct rec_copy *copy, uint64_t ts_ns)
{
	struct open *o = openset_find(c->open, copy->sk);
	int64_t newer;

	if (o && !o->a.has_entry && (o->a.hop_count || o->a.drop_count)) {
		newer = copy_age(o->a.hop_count ? &o->a.hop[0].tc.c : &o->a.drop[0].c, copy);
		if (newer < 0)
			return NULL; /* freed late, while its successor is under way */
		if (newer > 0) {
			abandon(c, o);
			o = NULL;
		}
	}
	if (!o && !(c->host_flags & HOST_ENTRY_HOOKS))
		o = begin(c, copy->sk, copy->skb, ts_ns);
	return o;
}

/* The device of hop number @hop, the last so far, has queued the copy; 0: of none. Not if the hop's record was lost. */
static void note_queued(struct open *o, unsigned int hop)
{
	if (hop && hop == o->a.hop_count)
		o->a.hop[hop - 1].queued = true;
}

static void take_tc(struct correlate *c, const struct rec_rtx_tc *t)
{
	struct open *o = open_for_copy(c, &t->c, t->h.ts_ns);

	if (!o)
		return;
	note_queued(o, t->c.prior_queued);
	if (o->a.hop_count == EV_MAX_HOPS - 1)
		return;
	o->a.hop[o->a.hop_count].tc = *t;
	o->a.hop[o->a.hop_count++].queued = false;
}

static void take_queued(struct correlate *c, const struct rec_rtx_queued *q)
{
	struct open *o = openset_find(c->open, q->sk);

	if (!o)
		return;
	for (unsigned int i = o->a.hop_count; i-- > 0;) {
		struct attempt_hop *hop = &o->a.hop[i];

		if (hop->tc.c.copy == q->copy && hop->tc.c.ifindex == q->ifindex && hop->tc.c.netns == q->netns) {
			hop->queued = true;
			return;
		}
	}
	o->a.queued_unwatched = true;
}

static void take_drop(struct correlate *c, const struct rec_rtx_drop *d)
{
	struct open *o = open_for_copy(c, &d->c, d->h.ts_ns);

	if (o && o->a.drop_count < ATTEMPT_MAX_DROPS)
		o->a.drop[o->a.drop_count++] = *d;
}

/* Drops the records that turned out to be of older copies. */
static void keep_own_copies(struct attempt *a)
{
	unsigned int hops = 0, drops = 0;

	for (unsigned int i = 0; i < a->hop_count; i++)
		if (attempt_is_own_copy(a, &a->hop[i].tc.c))
			a->hop[hops++] = a->hop[i];
	for (unsigned int i = 0; i < a->drop_count; i++)
		if (attempt_is_own_copy(a, &a->drop[i].c))
			a->drop[drops++] = a->drop[i];
	a->hop_count = hops;
	a->drop_count = drops;
}

/*
 * An attempt seen late, with neither a hop nor a drop of its own copy, begins where it ends, or when its copy departed,
 * if that is not in the future (pacing).
 */
static void set_begin(struct attempt *a)
{
	a->begin_ns = a->entry.h.ts_ns;
	if (!a->hop_count && !a->drop_count && (a->entry.bits & RTX_BIT_LATE) && a->exit.reached == RTX_REACHED && a->exit.stamp_ns &&
	    a->exit.stamp_ns < a->begin_ns && a->begin_ns - a->exit.stamp_ns < CALL_MAX_NS)
		a->begin_ns = a->exit.stamp_ns;
	if (a->hop_count && a->hop[0].tc.h.ts_ns < a->begin_ns)
		a->begin_ns = a->hop[0].tc.h.ts_ns;
	if (a->drop_count && a->drop[0].h.ts_ns < a->begin_ns)
		a->begin_ns = a->drop[0].h.ts_ns;
}

/*
 * Is this the exit of the call that began with the entry? Not if that call's exit and the next one's entry were lost: the
 * counter of the socket has then gone further than this call says.
 */
static bool is_exit_of(const struct rec_rtx_exit *x, const struct attempt *a)
{
	uint32_t rise = x->total_retrans - a->entry.total_retrans;

	if (x->lost_entry || !a->has_entry || a->skb != x->skb)
		return false;
	if ((a->entry.bits & RTX_BIT_LATE) || x->hook == RTX_HOOK_SYNACK || x->reached == RTX_REACHED_UNKNOWN)
		return true;
	return rise == (x->reached == RTX_REFUSED ? 0 : x->segs);
}

static void take_exit(struct correlate *c, const struct rec_rtx_exit *x)
{
	struct open *o = openset_find(c->open, x->sk);

	if (!o || !is_exit_of(x, &o->a)) {
		/* Its entry was lost: without it there is no flow to show. */
		c->stats.incomplete++;
		if (o)
			abandon(c, o);
		return;
	}
	o->a.has_exit = true;
	o->a.exit = *x;
	note_queued(o, x->queued);
	keep_own_copies(&o->a);
	set_begin(&o->a);
	openset_finish(c->open, o);
}

/*
 * A verdict needs a survey of the host that is newer than the attempt, where there are surveys; but an attempt does not
 * wait for ever.
 */
static bool is_surveyed(const struct correlate *c, uint64_t end_ns, uint64_t until_ns)
{
	return !(c->host_flags & HOST_SURVEYS) || hostnet_surveyed_ns(c->hostnet) >= end_ns ||
	       until_ns - end_ns > SURVEY_WAIT_NS;
}

static void release_finished(struct correlate *c, uint64_t until_ns)
{
	struct open *o;

	while ((o = openset_oldest_finished(c->open)) && o->a.exit.h.ts_ns <= until_ns &&
	       is_surveyed(c, o->a.exit.h.ts_ns, until_ns)) {
		emit(c, &o->a);
		openset_drop_finished(c->open, o);
	}
}

static void on_connect(void *ctx, uint64_t ended_ns, const struct ev_connect *ev)
{
	struct correlate *c = ctx;
	struct event event = { .kind = EV_CONNECT, .mono_ns = ended_ns, .wall_ns = ended_ns + c->clock_offset, .connect = *ev };

	c->stats.connects++;
	c->stats.connects_by_result[ev->result]++;
	c->fn(c->ctx, &event);
}

static void take_tick(struct correlate *c, const struct rec_tick *t)
{
	struct open *oldest;

	/* The number was read after the tick's time: what it counts lies before the next tick. */
	if (t->missed != c->stats.missed)
		c->missed_until_ns = UINT64_MAX;
	else if (c->missed_until_ns == UINT64_MAX)
		c->missed_until_ns = t->h.ts_ns;
	c->stats.missed = t->missed;
	c->stats.produced = t->produced;
	c->stats.consumed = t->consumed;
	c->stats.wakeups = t->wakeups;
	c->stats.injected = t->injected;
	c->last_ns = t->h.ts_ns;
	/* The first one comes after all hooks are attached. */
	if (!c->armed_ns)
		c->armed_ns = t->h.ts_ns;
	if (!c->first_ns)
		c->first_ns = t->h.ts_ns;
	release_finished(c, t->h.ts_ns);
	connects_release(c->connects, t->h.ts_ns);
	while ((oldest = openset_oldest(c->open)) && t->h.ts_ns > oldest->a.begin_ns &&
	       t->h.ts_ns - oldest->a.begin_ns > OPEN_MAX_NS)
		abandon(c, oldest);
}

static void take_loss(struct correlate *c, const struct rec_loss *l)
{
	if (l->ring >= RING_COUNT)
		return;
	c->stats.lost[l->ring] += l->count;
	if (l->bucket <= REBPF_BUCKET_ANY)
		c->lost_until_ns[l->ring][l->bucket] = l->h.ts_ns;
}

static void take_dropped(struct correlate *c, const struct rec_drop *d)
{
	struct event event;

	/* Not the whole event: there may be a million of these a second, and other kinds are much larger. */
	memset(&event, 0, offsetof(struct event, drop) + sizeof(event.drop));
	event.kind = EV_DROP;
	event.mono_ns = d->h.ts_ns;
	event.wall_ns = d->h.ts_ns + c->clock_offset;
	if (!drops_take(c->drops, d, &event.drop))
		return;
	c->stats.drops++;
	c->stats.drops_by_class[event.drop.place.class]++;
	c->fn(c->ctx, &event);
}

static void take_spurious(struct correlate *c, const struct rec_spurious *r)
{
	struct event event = { .kind = EV_SPURIOUS, .mono_ns = r->h.ts_ns, .wall_ns = r->h.ts_ns + c->clock_offset };
	struct ev_spurious *ev = &event.spurious;
	uint8_t cause;

	ev->c.flow = r->flow;
	ev->c.owner = r->owner;
	ev->evidence = (enum spurious_evidence)r->evidence;
	ev->seq = r->seq;
	ev->end_seq = r->end_seq;
	ev->has_range = r->seq != r->end_seq;
	ev->len = r->end_seq - r->seq;
	ev->dups = r->dups;
	/* It had arrived: then it was neither dropped here nor in the network. */
	if (flows_cause(c->flows, &r->flow, r->seq, r->end_seq, &cause)) {
		ev->cause_was = (enum rtx_cause)cause;
		ev->contradicts = cause == RTX_CAUSE_LOCAL || cause == RTX_CAUSE_NETWORK;
	}
	c->stats.spurious++;
	c->fn(c->ctx, &event);
}

static void take_host(struct correlate *c, const struct rec_host *h)
{
	c->host_flags = c->no_causes ? h->flags & ~(uint32_t)HOST_SEES_ALL_DROPS : h->flags;
	c->first_ns = h->armed_ns;
}

void correlate_record(struct correlate *c, const union record *r)
{
	switch (r->h.kind) {
	case REC_RTX_ENTRY:
		take_entry(c, &r->rec_rtx_entry);
		break;
	case REC_RTX_TC:
		take_tc(c, &r->rec_rtx_tc);
		break;
	case REC_RTX_QUEUED:
		take_queued(c, &r->rec_rtx_queued);
		break;
	case REC_RTX_DROP:
		take_drop(c, &r->rec_rtx_drop);
		break;
	case REC_RTX_EXIT:
		take_exit(c, &r->rec_rtx_exit);
		break;
	case REC_HOST:
		take_host(c, &r->rec_host);
		break;
	case REC_CLOCK:
		c->clock_offset = r->rec_clock.wall_ns - r->rec_clock.mono_ns;
		break;
	case REC_SYMBOL:
		names_learn_symbol(c->names, &r->rec_symbol);
		places_renamed(c->places, r->rec_symbol.addr);
		break;
	case REC_REASON:
		names_learn_reason(c->names, &r->rec_reason);
		c->has_reasons = true;
		break;
	case REC_OWNER:
		c->owner = (struct owner_note){ r->rec_owner_found.sk, r->rec_owner_found.owner };
		break;
	case REC_DROP:
		take_dropped(c, &r->rec_drop);
		break;
	case REC_SOCKET:
		drops_learn_socket(c->drops, &r->rec_socket);
		break;
	case REC_CONNECT:
		c->stats.incomplete += !connects_take(c->connects, &r->rec_connect, c->host_flags & HOST_NAT_POSSIBLE);
		break;
	case REC_SPURIOUS:
		take_spurious(c, &r->rec_spurious);
		break;
	case REC_LINK:
		hostnet_learn_link(c->hostnet, &r->rec_link);
		break;
	case REC_ADDR:
		hostnet_learn_addr(c->hostnet, &r->rec_addr);
		break;
	case REC_SURVEY:
		hostnet_learn_survey(c->hostnet, &r->rec_survey);
		break;
	case REC_LOSS:
		take_loss(c, &r->rec_loss);
		break;
	case REC_TICK:
		take_tick(c, &r->rec_tick);
		break;
	}
}

void correlate_finish(struct correlate *c)
{
	release_finished(c, UINT64_MAX);
	connects_release(c->connects, UINT64_MAX);
	while (openset_oldest(c->open))
		abandon(c, openset_oldest(c->open));
}

void correlate_time(const struct correlate *c, uint64_t *mono_ns, uint64_t *wall_ns)
{
	*mono_ns = c->last_ns;
	*wall_ns = c->last_ns + c->clock_offset;
}

void correlate_stats(const struct correlate *c, struct ev_stats *stats)
{
	uint64_t printed = stats->printed, records = stats->records, malformed = stats->malformed;
	uint64_t output_lost = stats->output_lost;

	*stats = c->stats;
	stats->printed = printed;
	stats->records = records;
	stats->malformed = malformed;
	stats->output_lost = output_lost;
	stats->duration_ns = c->last_ns > c->first_ns ? c->last_ns - c->first_ns : 0;
}

bool correlate_take_missed(struct correlate *c, uint32_t *netns, uint32_t *hint_tgid)
{
	if (!c->missed_count)
		return false;
	c->missed_count--;
	*netns = c->missed[c->missed_count].netns;
	*hint_tgid = c->missed[c->missed_count].tgid;
	return true;
}

struct correlate *correlate_new(unsigned int max_open, unsigned int max_flows, correlate_event_fn *fn, void *ctx)
{
	struct correlate *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fn = fn;
	c->ctx = ctx;
	c->flows = flows_new(max_flows);
	c->names = names_new();
	c->open = openset_new(max_open);
	c->evidence = evidence_new(MAX_EVIDENCE);
	c->hostnet = hostnet_new();
	c->places = c->names ? places_new(c->names) : NULL;
	c->drops = drops_new(c->places, c->evidence, c->hostnet, c->names);
	c->connects = connects_new(c->places, c->evidence, on_connect, c);
	if (!c->connects || !c->flows || !c->open || !c->places || !c->evidence || !c->hostnet || !c->drops) {
		correlate_free(c);
		return NULL;
	}
	return c;
}

void correlate_without_causes(struct correlate *c)
{
	c->no_causes = true;
	drops_without_evidence(c->drops);
}

void correlate_free(struct correlate *c)
{
	if (!c)
		return;
	connects_free(c->connects);
	drops_free(c->drops);
	hostnet_free(c->hostnet);
	evidence_free(c->evidence);
	places_free(c->places);
	openset_free(c->open);
	flows_free(c->flows);
	names_free(c->names);
	free(c);
}
