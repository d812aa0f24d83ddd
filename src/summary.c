// SPDX-License-Identifier: MIT
#include "summary.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

static const size_t key_sizes[SUMMARY_TABLE_COUNT] = {
#define X(NAME, name, label, key) [SUMMARY_##NAME] = sizeof(struct key),
	SUMMARY_TABLES(X)
#undef X
};

/* Keys are compared as bytes. */
_Static_assert(sizeof(struct key_remote) == 20 && sizeof(struct key_process) == 4 + REBPF_COMM_LEN &&
		       sizeof(struct key_reason) == REBPF_REASON_LEN + 4 &&
		       sizeof(struct key_place) == REBPF_REASON_LEN + 2 * REBPF_SYMBOL_LEN + 16 &&
		       sizeof(struct key_failed) == 28,
	       "no padding");

struct summary *summary_new(const struct options *options)
{
	struct summary *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->options = options;
	s->space = calloc(SUMMARY_NAMESPACES, sizeof(*s->space));
	for (unsigned int i = 0; i < SUMMARY_TABLE_COUNT; i++) {
		s->table[i] = topk_new(SUMMARY_KEYS, key_sizes[i]);
		if (!s->table[i] || !s->space) {
			summary_free(s);
			return NULL;
		}
	}
	return s;
}

void summary_free(struct summary *s)
{
	if (!s)
		return;
	for (unsigned int i = 0; i < SUMMARY_TABLE_COUNT; i++)
		topk_free(s->table[i]);
	free(s->space);
	free(s);
}

static void tally_add(struct tally *t, uint64_t n)
{
	t->count += n;
	t->recent += n;
}

/* ---- events: sum_<kind> ---- */

/* Up to a NUL: what is behind it must not make two keys of one. */
static void copy_text(char *to, const char *from, size_t size)
{
	memcpy(to, from, strnlen(from, size));
}

static void count_remote(struct summary *s, const struct rec_flow *flow)
{
	struct key_remote key = { .ip_version = flow->ip_version };

	memcpy(key.addr, flow->raddr, flow->ip_version == 4 ? 4 : sizeof(key.addr));
	topk_add(s->table[SUMMARY_REMOTES], &key, 1);
}

static void count_port(struct summary *s, const struct rec_flow *flow)
{
	struct key_port key = { .port = flow->lport < flow->rport ? flow->lport : flow->rport };

	topk_add(s->table[SUMMARY_PORTS], &key, 1);
}

static void count_process(struct topk *table, const struct rec_owner *owner)
{
	struct key_process key = { .pid = owner->tgid };

	if (owner->tgid)
		copy_text(key.comm, owner->comm, sizeof(key.comm));
	topk_add(table, &key, 1);
}

static void count_place(struct topk *table, const struct ev_drop_place *place)
{
	struct key_place key = {};

	copy_text(key.reason, place->reason, sizeof(key.reason));
	copy_text(key.symbol, place->symbol, sizeof(key.symbol));
	copy_text(key.module, place->module, sizeof(key.module));
	key.offset = place->offset;
	key.address = key.symbol[0] ? 0 : place->address;
	topk_add(table, &key, 1);
}

static void sum_retransmit(struct summary *s, const struct event *e)
{
	const struct ev_retransmit *r = &e->retransmit;

	tally_add(&s->by_type[r->type], 1);
	tally_add(&s->by_outcome[r->outcome], 1);
	tally_add(&s->by_cause[r->cause], 1);
	if (r->cause == RTX_CAUSE_UNKNOWN)
		tally_add(&s->by_why[r->cause_why], 1);
	count_remote(s, &r->c.flow);
	count_port(s, &r->c.flow);
	count_process(s->table[SUMMARY_PROCESSES], &r->c.owner);
	if (r->cause_drop.place.known)
		count_place(s->table[SUMMARY_LOST_AT], &r->cause_drop.place);
}

static void sum_drop(struct summary *s, const struct event *e)
{
	const struct ev_drop *d = &e->drop;
	struct key_reason key = { .class = d->place.class };

	tally_add(&s->by_class[d->place.class], 1);
	copy_text(key.reason, d->place.reason, sizeof(key.reason));
	topk_add(s->table[SUMMARY_DROP_REASONS], &key, 1);
	count_place(s->table[SUMMARY_DROP_PLACES], &d->place);
	count_process(s->table[SUMMARY_DROP_PROCESSES], &d->c.owner);
}

static void sum_connect(struct summary *s, const struct event *e)
{
	const struct ev_connect *c = &e->connect;
	struct key_failed key = { .ip_version = c->c.flow.ip_version, .port = c->c.flow.rport, .result = c->result };

	tally_add(&s->by_result[c->result], 1);
	if (c->result == CONNECT_ESTABLISHED) {
		if (c->has_duration && c->syn_sent)
			quantile_add(&s->latency, c->duration_us);
		return;
	}
	memcpy(key.addr, c->c.flow.raddr, key.ip_version == 4 ? 4 : sizeof(key.addr));
	topk_add(s->table[SUMMARY_FAILED], &key, 1);
}

static void sum_spurious(struct summary *s, const struct event *e)
{
	(void)s, (void)e;
}

static void sum_stats(struct summary *s, const struct event *e)
{
	(void)s, (void)e;
}

/* A kind without its function does not compile. */
static void (*const sums[EV_KIND_COUNT])(struct summary *s, const struct event *e) = {
#define X(NAME, name, payload, def) [EV_##NAME] = sum_##name,
	EVENT_KINDS(X)
#undef X
};

void summary_event(struct summary *s, const struct event *e)
{
	tally_add(&s->events[e->kind], 1);
	sums[e->kind](s, e);
}

/* ---- traffic ---- */

static bool is_wanted(const struct summary *s, uint32_t netns)
{
	for (unsigned int i = 0; i < s->options->netns_count; i++)
		if (s->options->netns[i] == netns)
			return true;
	return !s->options->netns_count;
}

/* NULL: there are too many. */
static struct summary_space *find_space(struct summary *s, uint32_t netns, bool *is_new)
{
	*is_new = false;
	for (unsigned int i = 0; i < s->space_count; i++)
		if (s->space[i].netns == netns)
			return &s->space[i];
	if (s->space_count == SUMMARY_NAMESPACES)
		return NULL;
	*is_new = true;
	s->space[s->space_count] = (struct summary_space){ .netns = netns };
	return &s->space[s->space_count++];
}

/* Smaller than before: the number of a namespace that has ended is used again. */
static uint64_t rise(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

static void take_traffic(struct summary *s, const struct rec_traffic *t)
{
	struct summary_space *space;
	bool is_new;

	if (!is_wanted(s, t->netns))
		return;
	if (!s->in_look)
		s->traffic_complete = true;
	s->in_look = true;
	space = find_space(s, t->netns, &is_new);
	if (!space) {
		s->traffic_complete = false;
		return;
	}
	/* One that comes later than a look that saw all is younger than that: all of its traffic counts. */
	if (!is_new || (s->looked && s->saw_all)) {
		tally_add(&s->out_segs, rise(space->out_segs, t->out_segs));
		tally_add(&s->retrans_segs, rise(space->retrans_segs, t->retrans_segs));
	}
	space->out_segs = t->out_segs;
	space->retrans_segs = t->retrans_segs;
	s->traffic_known = true;
}

static void take_survey(struct summary *s, const struct rec_survey *survey)
{
	if (!s->in_look)
		return;
	s->in_look = false;
	s->traffic_complete &= !(survey->bits & SURVEY_INCOMPLETE);
	if (!s->looked)
		s->saw_all = survey->bits & SURVEY_FULL && s->traffic_complete;
	s->looked = true;
}

void summary_record(struct summary *s, const union record *r)
{
	if (r->h.kind == REC_TRAFFIC)
		take_traffic(s, &r->rec_traffic);
	else if (r->h.kind == REC_SURVEY)
		take_survey(s, &r->rec_survey);
}

uint64_t summary_ppm(uint64_t retrans_segs, uint64_t out_segs)
{
	return (uint64_t)((__uint128_t)retrans_segs * 1000000 / out_segs);
}

/* ---- intervals ---- */

static void mark(struct tally *t, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		t[i].recent = 0;
}

void summary_mark(struct summary *s)
{
	mark(s->events, ARRAY_SIZE(s->events));
	mark(s->by_type, ARRAY_SIZE(s->by_type));
	mark(s->by_outcome, ARRAY_SIZE(s->by_outcome));
	mark(s->by_cause, ARRAY_SIZE(s->by_cause));
	mark(s->by_why, ARRAY_SIZE(s->by_why));
	mark(s->by_class, ARRAY_SIZE(s->by_class));
	mark(s->by_result, ARRAY_SIZE(s->by_result));
	mark(&s->out_segs, 1);
	mark(&s->retrans_segs, 1);
	for (unsigned int i = 0; i < SUMMARY_TABLE_COUNT; i++)
		topk_mark(s->table[i]);
}
