// SPDX-License-Identifier: MIT
#include "correlate.h"

#include <stdlib.h>
#include <string.h>

#include "attempt.h"
#include "classify.h"
#include "flows.h"
#include "names.h"
#include "util.h"

#define BUCKETS 4096              /* a power of two */
#define OPEN_MAX_NS (10 * NSEC_PER_SEC) /* an attempt takes microseconds: its end was lost */
#define MAX_MISSED 16                   /* namespaces a tick; the others get their turn at the next */
#define ERRNO_BUSY 16             /* EBUSY of the recording kernel; the same on every architecture we build for */
#define EVER_RETRANS 0x80         /* TCPCB_EVER_RETRANS, include/net/tcp.h: the same from 5.10 to 7.3 */

struct open {
	struct attempt a;
	struct open *next;  /* hash chain, or free list */
	struct open *newer, *older; /* by time of opening, or the queue of finished ones */
};

struct open_list {
	struct open *oldest, *newest;
};

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
	struct flows *flows;
	struct names *names;
	struct open *bucket[BUCKETS];
	struct open *pool, *free;
	unsigned int pool_used, pool_size; /* memory is touched only as it is needed */
	struct open_list open, finished;
	uint32_t host_flags;
	bool has_reasons;
	uint64_t missed_until_ns; /* hooks may have missed what began until then; UINT64_MAX: until the next tick */
	uint64_t lost_until_ns[REBPF_FLOW_BUCKETS]; /* the same of records that found no room in the ring */
	uint64_t clock_offset; /* wall - mono, modulo 2^64 */
	uint64_t first_ns, last_ns;
	struct owner_note owner; /* the OWNER record that precedes an entry */
	struct missed missed[MAX_MISSED];
	unsigned int missed_count;
	struct ev_stats stats;
};

/* ---- open attempts ---- */

static struct open **bucket_of(struct correlate *c, uint64_t sk)
{
	return &c->bucket[(sk * 0x9e3779b97f4a7c15ULL >> 32) & (BUCKETS - 1)];
}

static void list_add(struct open_list *l, struct open *o)
{
	o->newer = NULL;
	o->older = l->newest;
	*(l->newest ? &l->newest->newer : &l->oldest) = o;
	l->newest = o;
}

static void list_remove(struct open_list *l, struct open *o)
{
	*(o->newer ? &o->newer->older : &l->newest) = o->older;
	*(o->older ? &o->older->newer : &l->oldest) = o->newer;
}

static struct open *find(struct correlate *c, uint64_t sk)
{
	struct open *o = *bucket_of(c, sk);

	while (o && o->a.sk != sk)
		o = o->next;
	return o;
}

/* Takes an attempt out of the open ones; it belongs to nobody then. */
static void take(struct correlate *c, struct open *o)
{
	struct open **p = bucket_of(c, o->a.sk);

	while (*p != o)
		p = &(*p)->next;
	*p = o->next;
	list_remove(&c->open, o);
}

static void release(struct correlate *c, struct open *o)
{
	o->next = c->free;
	c->free = o;
}

/*
 * Gives up on an attempt whose end did not come. One that only TC or the drop hook saw was no retransmission that this
 * kernel reports (a failed one before 6.17 without entry hooks, or a second look at an older packet): not counted.
 */
static void abandon(struct correlate *c, struct open *o)
{
	if (o->a.has_entry)
		c->stats.incomplete++;
	take(c, o);
	release(c, o);
}

static struct open *begin(struct correlate *c, uint64_t sk, uint64_t skb, uint64_t ts_ns)
{
	struct open *o;

	if (!c->free && c->pool_used < c->pool_size)
		release(c, &c->pool[c->pool_used++]);
	if (!c->free && c->open.oldest)
		abandon(c, c->open.oldest);
	if (!c->free)
		return NULL;
	o = c->free;
	c->free = o->next;
	memset(&o->a, 0, offsetof(struct attempt, hop));
	o->a.sk = sk;
	o->a.skb = skb;
	o->a.begin_ns = ts_ns;
	o->next = *bucket_of(c, sk);
	*bucket_of(c, sk) = o;
	list_add(&c->open, o);
	return o;
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
	ev->total_retrans = e->total_retrans;
	ev->segs_out = e->segs_out;
	ev->has_socket = e->hook != RTX_HOOK_SYNACK && e->hook != RTX_HOOK_SYNACK_TP;
}

static uint32_t count_attempt(struct correlate *c, const struct attempt *a, enum rtx_type type, bool transmitted)
{
	const struct rec_rtx_entry *e = &a->entry;
	bool late = e->bits & RTX_BIT_LATE;
	struct flows_attempt fa = {
		.seq = a->exit.seq,
		.end_seq = a->exit.end_seq,
		.snd_una = e->snd_una,
		.transmitted = transmitted,
		.high_seq = e->high_seq,
		.timeout = type == RTX_TYPE_RTO || type == RTX_TYPE_ZERO_WINDOW,
	};

	if (e->hook == RTX_HOOK_SYNACK || e->hook == RTX_HOOK_SYNACK_TP) {
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

static void emit(struct correlate *c, struct attempt *a)
{
	struct event event = { .kind = EV_RETRANSMIT, .mono_ns = a->begin_ns };
	struct ev_retransmit *ev = &event.retransmit;
	struct attempt_context ctx = {
		.host_flags = c->host_flags,
		.has_reasons = c->has_reasons,
		.records_lost = a->begin_ns <= c->lost_until_ns[flow_bucket(a->sk) % REBPF_FLOW_BUCKETS],
		.drop_reason = ev->drop.reason,
	};

	ctx.hooks_missed = ctx.records_lost || a->begin_ns <= c->missed_until_ns;
	ev->c.flow = a->entry.flow;
	ev->c.owner = a->entry.owner;
	ev->c.task = a->entry.task;
	if (a->drop_count)
		names_fill_drop(c->names, &a->drop[0], &ev->drop);
	fill_segment(ev, a);
	ev->has_ret = a->exit.has_ret;
	ev->ret = a->exit.ret;
	ev->outcome = attempt_outcome(a, &ctx);
	attempt_tc(a, &ctx, ev);
	ev->attempt = count_attempt(c, a, ev->type, ev->outcome != RTX_OUTCOME_REFUSED);
	if (ev->type == RTX_TYPE_PMTU)
		ev->type = refine_pmtu(flows_loss(c->flows, a->entry.high_seq));
	if (ev->has_ret && ev->ret == -ERRNO_BUSY && ev->outcome == RTX_OUTCOME_REFUSED) {
		ev->cause = RTX_CAUSE_HOST_QUEUE;
	} else {
		ev->cause = RTX_CAUSE_UNKNOWN;
		ev->cause_why = CAUSE_WHY_DROPS_NOT_TRACED;
	}
	event.wall_ns = event.mono_ns + c->clock_offset;
	note_missed(c, a, ev);
	count_stats(&c->stats, ev);
	c->fn(c->ctx, &event);
}

/* ---- records ---- */

static void take_entry(struct correlate *c, const struct rec_rtx_entry *e)
{
	bool late = e->bits & RTX_BIT_LATE;
	struct open *o = find(c, e->flow.sk);

	/* Early: what is open lost its exit. Late: what is open is what TC and the drop hook saw of this attempt. */
	if (o && (!late || o->a.has_entry || (o->a.skb && o->a.skb != e->skb))) {
		abandon(c, o);
		o = NULL;
	}
	if (!o)
		o = begin(c, e->flow.sk, e->skb, e->h.ts_ns);
	/* No place for it: its exit will be one that has lost its entry. */
	if (!o)
		return;
	o->a.has_entry = true;
	o->a.entry = *e;
	o->a.skb = e->skb;
	if (c->owner.sk == e->flow.sk)
		o->a.entry.owner = c->owner.owner;
	c->owner.sk = 0;
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
	struct open *o = find(c, copy->sk);
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

static void take_tc(struct correlate *c, const struct rec_rtx_tc *t)
{
	struct open *o = open_for_copy(c, &t->c, t->h.ts_ns);

	if (!o || o->a.hop_count == EV_MAX_HOPS - 1)
		return;
	o->a.hop[o->a.hop_count].tc = *t;
	o->a.hop[o->a.hop_count++].queued = false;
}

static void take_queued(struct correlate *c, const struct rec_rtx_queued *q)
{
	struct open *o = find(c, q->sk);

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

/* With neither a hop nor a drop of its own copy, an attempt seen late begins where it ends. */
static void set_begin(struct attempt *a)
{
	a->begin_ns = a->entry.h.ts_ns;
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

	if (!a->has_entry || a->skb != x->skb)
		return false;
	if ((a->entry.bits & RTX_BIT_LATE) || x->hook == RTX_HOOK_SYNACK || x->reached == RTX_REACHED_UNKNOWN)
		return true;
	return rise == (x->reached == RTX_REFUSED ? 0 : x->segs);
}

static void take_exit(struct correlate *c, const struct rec_rtx_exit *x)
{
	struct open *o = find(c, x->sk);

	if (!o || !is_exit_of(x, &o->a)) {
		/* Its entry was lost: without it there is no flow to show. */
		c->stats.incomplete++;
		if (o)
			abandon(c, o);
		return;
	}
	o->a.has_exit = true;
	o->a.exit = *x;
	keep_own_copies(&o->a);
	set_begin(&o->a);
	take(c, o);
	list_add(&c->finished, o);
}

static void release_finished(struct correlate *c, uint64_t until_ns)
{
	while (c->finished.oldest && c->finished.oldest->a.exit.h.ts_ns <= until_ns) {
		struct open *o = c->finished.oldest;

		list_remove(&c->finished, o);
		emit(c, &o->a);
		release(c, o);
	}
}

static void take_tick(struct correlate *c, const struct rec_tick *t)
{
	/* The number was read after the tick's time: what it counts lies before the next tick. */
	if (t->missed != c->stats.missed)
		c->missed_until_ns = UINT64_MAX;
	else if (c->missed_until_ns == UINT64_MAX)
		c->missed_until_ns = t->h.ts_ns;
	c->stats.missed = t->missed;
	c->last_ns = t->h.ts_ns;
	if (!c->first_ns)
		c->first_ns = t->h.ts_ns;
	release_finished(c, t->h.ts_ns);
	while (c->open.oldest && t->h.ts_ns > c->open.oldest->a.begin_ns &&
	       t->h.ts_ns - c->open.oldest->a.begin_ns > OPEN_MAX_NS)
		abandon(c, c->open.oldest);
}

static void take_loss(struct correlate *c, const struct rec_loss *l)
{
	if (l->ring >= RING_COUNT)
		return;
	c->stats.lost[l->ring] += l->count;
	if (l->ring == RING_CONTROL)
		c->lost_until_ns[l->bucket % REBPF_FLOW_BUCKETS] = l->h.ts_ns;
}

static void take_host(struct correlate *c, const struct rec_host *h)
{
	c->host_flags = h->flags;
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
		break;
	case REC_REASON:
		names_learn_reason(c->names, &r->rec_reason);
		c->has_reasons = true;
		break;
	case REC_OWNER:
		c->owner = (struct owner_note){ r->rec_owner_found.sk, r->rec_owner_found.owner };
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
	while (c->open.oldest)
		abandon(c, c->open.oldest);
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
	c->pool = calloc(max_open, sizeof(*c->pool));
	if (!c->flows || !c->names || !c->pool) {
		correlate_free(c);
		return NULL;
	}
	c->pool_size = max_open;
	return c;
}

void correlate_free(struct correlate *c)
{
	if (!c)
		return;
	flows_free(c->flows);
	names_free(c->names);
	free(c->pool);
	free(c);
}
