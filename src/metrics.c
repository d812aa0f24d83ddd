// SPDX-License-Identifier: MIT
#include "metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attempt.h"
#include "log.h"
#include "meaning.h"
#include "util.h"

#define PORT_RANGE "/proc/sys/net/ipv4/ip_local_port_range"

/* ---- opening ---- */

int metrics_parse_port_range(const char *text, uint16_t *low, uint16_t *high)
{
	unsigned int a, b;

	if (sscanf(text, "%5u %5u", &a, &b) != 2 || !a || a > b || b > UINT16_MAX)
		return -EBADMSG;
	*low = (uint16_t)a;
	*high = (uint16_t)b;
	return 0;
}

/* Without it, the range that Linux has by default. */
static void read_port_range(struct metrics *m)
{
	char *text = NULL;

	m->port_low = 32768;
	m->port_high = 60999;
	if (read_file(PORT_RANGE, &text, NULL) || metrics_parse_port_range(text, &m->port_low, &m->port_high))
		log_debug("cannot read " PORT_RANGE);
	free(text);
}

static void count(struct series *s, const void *key, uint64_t *other, uint64_t n)
{
	uint64_t *counter = series_counter(s, key);

	if (counter)
		*counter += n;
	else
		*other += n;
}

/* What alerts are about is there from the start: increase() does not see a series begin. */
static void make_rare_drops(struct metrics *m)
{
	static const char *const reasons[] = { "TCP_LISTEN_OVERFLOW", "TCP_REQQ_FULL", "RETRIES_EXCEEDED" };

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct metrics_place key = { .class = meaning_of(reasons[i], "", "")->class };

		snprintf(key.reason, sizeof(key.reason), "%s", reasons[i]);
		count(m->drops, &key, &m->drops_other, 0);
	}
}

struct metrics *metrics_new(const struct options *options)
{
	struct metrics *m = calloc(1, sizeof(*m));
	uint64_t max = options->metrics_max_series ? options->metrics_max_series : METRICS_MAX_SERIES;

	if (!m)
		return NULL;
	m->keep_ports = options->metrics_ports;
	read_port_range(m);
	m->flows = series_new(sizeof(struct metrics_flow), (unsigned int)max);
	m->rets = series_new(sizeof(struct metrics_ret), METRICS_MAX_RETS);
	m->drops = series_new(sizeof(struct metrics_place), METRICS_MAX_PLACES);
	if (m->flows && m->rets && m->drops) {
		make_rare_drops(m);
		return m;
	}
	metrics_free(m);
	return NULL;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	series_free(m->flows);
	series_free(m->rets);
	series_free(m->drops);
	free(m);
}

/* ---- counting ---- */

/* Where there is no place left, @other. */
static uint16_t shown_port(const struct metrics *m, uint16_t port)
{
	return !m->keep_ports && port >= m->port_low && port <= m->port_high ? 0 : port;
}

static void count_flow(struct metrics *m, const struct rec_flow *f)
{
	struct metrics_flow key = {
		.sport = shown_port(m, f->lport),
		.dport = shown_port(m, f->rport),
		.ip_version = f->ip_version,
	};

	memcpy(key.saddr, f->laddr, sizeof(key.saddr));
	memcpy(key.daddr, f->raddr, sizeof(key.daddr));
	count(m->flows, &key, &m->flows_folded, 1);
}

static void count_ret(struct metrics *m, bool has_ret, int32_t ret, uint64_t n)
{
	struct metrics_ret key = { .ret = has_ret ? ret : 0, .has_ret = has_ret };

	count(m->rets, &key, &m->rets_other, n);
}

static void count_retransmit(struct metrics *m, const struct ev_retransmit *r)
{
	bool synack = r->type == RTX_TYPE_SYNACK && !r->has_socket;

	m->attempts[r->type % RTX_TYPE_COUNT][r->outcome % RTX_OUTCOME_COUNT][r->cause % RTX_CAUSE_COUNT]++;
	count_ret(m, r->has_ret, r->ret, 1);
	if (r->outcome == RTX_OUTCOME_REFUSED)
		return;
	count_flow(m, &r->c.flow);
	/* As the kernel counts them: RetransSegs, TCPRetransFail. */
	if (!synack || (r->has_ret && !r->ret))
		m->segs += r->segs;
	if (!synack && r->has_ret && r->ret && r->ret != -ERRNO_BUSY)
		m->segs_failed += r->segs;
}

static void fill_place(struct metrics_place *key, const struct ev_drop_place *p)
{
	snprintf(key->reason, sizeof(key->reason), "%.*s", REBPF_REASON_LEN - 1, p->reason);
	snprintf(key->symbol, sizeof(key->symbol), "%.*s", REBPF_SYMBOL_LEN - 1, p->symbol);
	snprintf(key->module, sizeof(key->module), "%.*s", REBPF_SYMBOL_LEN - 1, p->module);
	key->offset = p->symbol[0] ? p->offset : 0;
	key->address = p->symbol[0] ? 0 : p->address;
	key->class = p->class;
}

static void count_drop(struct metrics *m, const struct ev_drop *d)
{
	struct metrics_place key = {};

	fill_place(&key, &d->place);
	count(m->drops, &key, &m->drops_other, 1);
}

static unsigned int bucket_of(uint64_t us)
{
	static const uint64_t bounds[] = {
#define X(bound, text) bound,
		METRICS_BUCKETS(X)
#undef X
	};
	unsigned int i = 0;

	while (i < METRICS_BUCKET_INF && us > bounds[i])
		i++;
	return i;
}

static void count_connect(struct metrics *m, const struct ev_connect *c)
{
	m->connects[c->result < CONNECT_RESULT_COUNT ? c->result : CONNECT_RESULT_COUNT]++;
	if (c->result != CONNECT_ESTABLISHED || !c->has_duration || !c->syn_sent)
		return;
	m->latency[bucket_of(c->duration_us)]++;
	m->latency_us += c->duration_us;
}

static void count_spurious(struct metrics *m, const struct ev_spurious *s)
{
	m->spurious[s->evidence < SPURIOUS_COUNT ? s->evidence : SPURIOUS_NONE]++;
}

/* What is told of lost events is told by records, and statistics are read when they are asked for. */
static void count_stats(struct metrics *m, const struct ev_stats *s)
{
	(void)m, (void)s;
}

void metrics_event(struct metrics *m, const struct event *e)
{
	switch (e->kind) {
#define X(NAME, name, payload, def) \
	case EV_##NAME:             \
		count_##name(m, &e->name); \
		break;
		EVENT_KINDS(X)
#undef X
	case EV_KIND_COUNT:
		break;
	}
}

/* ---- lost ---- */

static void lost_attempts(struct metrics *m, const struct rec_lost *r)
{
	enum rtx_outcome outcome = RTX_OUTCOME_UNKNOWN;

	if (r->reached == RTX_REFUSED)
		outcome = RTX_OUTCOME_REFUSED;
	else if (r->has_ret && r->ret)
		outcome = RTX_OUTCOME_DROPPED;
	m->attempts[r->synack ? RTX_TYPE_SYNACK : RTX_TYPE_UNKNOWN][outcome][RTX_CAUSE_UNKNOWN] += r->count;
	count_ret(m, r->has_ret, r->ret, r->count);
	if (outcome == RTX_OUTCOME_REFUSED)
		return;
	m->flows_lost += r->count;
	if (!r->synack || (r->has_ret && !r->ret))
		m->segs += r->segs;
	if (!r->synack && r->has_ret && r->ret && r->ret != -ERRNO_BUSY)
		m->segs_failed += r->segs;
}

static void lost_drops(struct metrics *m, const struct rec_lost *r, const struct ev_drop_place *place)
{
	struct metrics_place key = { .unknown = !r->location && r->source == DROP_SOURCE_KFREE };

	fill_place(&key, place);
	if (key.unknown && (!key.reason[0] || !strcmp(key.reason, "NOT_SPECIFIED")))
		key.class = DROP_CLASS_COUNT;
	count(m->drops, &key, &m->drops_other, r->count);
}

void metrics_lost(struct metrics *m, const struct rec_lost *r, const struct ev_drop_place *place)
{
	switch (r->lost_kind) {
	case REC_RTX_EXIT:
		lost_attempts(m, r);
		break;
	case REC_DROP:
		if (place)
			lost_drops(m, r, place);
		break;
	case REC_CONNECT:
		m->connects[CONNECT_RESULT_COUNT] += r->count;
		break;
	case REC_SPURIOUS:
		m->spurious[SPURIOUS_NONE] += r->count;
		break;
	}
}
