// SPDX-License-Identifier: MIT
#include "connects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attempt.h"
#include "util.h"

#define STATE_ESTABLISHED 1 /* include/net/tcp_states.h */
#define FIRST_CAPACITY 64
#define MAX_WAITING 65536 /* as many as the kernel side follows */
#define ANSWER_AGAIN_NS (100 * NSEC_PER_MSEC) /* no TCP sends a SYN-ACK again sooner */

struct waiting {
	struct rec_connect r;
	bool nat_possible;
};

/* A queue: [first, count) wait. */
struct connects {
	const struct places *places;
	const struct evidence *evidence;
	connects_event_fn *fn;
	void *ctx;
	struct waiting *waiting;
	size_t first, count, capacity;
};

struct connects *connects_new(const struct places *places, const struct evidence *evidence, connects_event_fn *fn, void *ctx)
{
	struct connects *c = places && evidence ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->places = places;
	c->evidence = evidence;
	c->fn = fn;
	c->ctx = ctx;
	return c;
}

void connects_free(struct connects *c)
{
	if (!c)
		return;
	free(c->waiting);
	free(c);
}

bool connects_take(struct connects *c, const struct rec_connect *r, bool nat_possible)
{
	/* Only a stream without a sense of time keeps so many waiting. */
	if (c->count - c->first == MAX_WAITING)
		return false;
	if (c->first && c->count == c->capacity) {
		memmove(c->waiting, c->waiting + c->first, (c->count - c->first) * sizeof(*c->waiting));
		c->count -= c->first;
		c->first = 0;
	}
	if (c->count == c->capacity) {
		size_t capacity = c->capacity ? 2 * c->capacity : FIRST_CAPACITY;
		struct waiting *grown = realloc(c->waiting, capacity * sizeof(*grown));

		if (!grown)
			return false;
		c->waiting = grown;
		c->capacity = capacity;
	}
	c->waiting[c->count++] = (struct waiting){ *r, nat_possible };
	return true;
}

/*
 * What ends a connection in SYN_SENT: a reset (ECONNREFUSED, from SYN_RECV ECONNRESET), the last time-out, what an ICMP message
 * says (icmp_err_convert, icmpv6_err_convert), or the application (ECONNABORTED: by tcp_abort, `ss -K`).
 */
static enum connect_result result_of_error(uint32_t err)
{
	switch (err) {
	case ECONNREFUSED:
	case ECONNRESET:
		return CONNECT_REFUSED;
	case ETIMEDOUT:
		return CONNECT_TIMEOUT;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case ENONET:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case EMSGSIZE:
	case EPROTO:
	case EACCES:
		return CONNECT_UNREACHABLE;
	case 0:
	case ECONNABORTED:
		return CONNECT_ABORTED;
	default:
		return CONNECT_FAILED;
	}
}

/* Within connect(), no route is the network's word; anything else is this host's. */
static enum connect_result result_in_call(uint32_t err)
{
	switch (err) {
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EACCES: /* a route that prohibits */
		return CONNECT_UNREACHABLE;
	default:
		return CONNECT_FAILED;
	}
}

enum connect_result connects_result(const struct rec_connect *r)
{
	if (r->state == STATE_ESTABLISHED)
		return CONNECT_ESTABLISHED;
	return r->bits & CONNECT_IN_CALL ? result_in_call(r->err) : result_of_error(r->err);
}

/* The last drop, of a SYN or of what answered it. */
static void find_drop(const struct connects *c, const struct waiting *w, struct ev_cause_drop *out)
{
	const struct rec_connect *r = &w->r;
	struct evidence_query q = {
		.t = attempt_tuple(&r->flow),
		.sk = r->flow.sk,
		.seq = r->isn,
		.end_seq = r->isn + 1,
		.snd_nxt = r->isn + 1,
		.from_ns = r->syn_ns,
		.until_ns = r->h.ts_ns,
		.is_first = true,
		.is_syn = true,
		.any_addresses = w->nat_possible,
	};
	const struct evidence_drop *d;
	struct evidence_answer a;

	if (!r->syn_ns)
		return;
	/*
	 * The only SYN came through. What was dropped meanwhile was a copy of it or of its answer, unless that was long ago: then
	 * it was an earlier answer.
	 */
	if (r->state == STATE_ESTABLISHED && !r->syn_retrans) {
		if (r->h.ts_ns < r->syn_ns + ANSWER_AGAIN_NS)
			return;
		q.until_ns = r->h.ts_ns - ANSWER_AGAIN_NS;
	}
	evidence_ask(c->evidence, &q, &a);
	if (r->state == STATE_ESTABLISHED && !r->syn_retrans)
		a.lost.found = false;
	d = a.ack_lost.found && (!a.lost.found || a.ack_lost.ts_ns > a.lost.ts_ns) ? &a.ack_lost : &a.lost;
	if (!d->found)
		return;
	places_fill(c->places, d->place, d->ifname, &out->place);
	out->netns = d->netns;
	out->pid = d->pid;
	out->age_us = r->h.ts_ns > d->ts_ns ? (r->h.ts_ns - d->ts_ns) / 1000 : 0;
	out->seq = d->seq;
	out->end_seq = d->end_seq;
	out->covered = 1;
	out->nat = d->nat;
}

static void tell(const struct connects *c, const struct waiting *w)
{
	const struct rec_connect *r = &w->r;
	uint64_t since_ns = r->syn_ns ? r->syn_ns : r->begin_ns;
	struct ev_connect ev = {
		.c = { .flow = r->flow, .owner = r->owner, .task = r->task },
		.result = connects_result(r),
		.err = r->err,
		.syn_sent = r->bits & CONNECT_SYN_SENT,
		.syn_retrans = r->syn_retrans,
		.has_duration = since_ns && since_ns <= r->h.ts_ns,
	};

	if (ev.has_duration)
		ev.duration_us = (r->h.ts_ns - since_ns) / 1000;
	find_drop(c, w, &ev.cause_drop);
	c->fn(c->ctx, r->h.ts_ns, &ev);
}

void connects_release(struct connects *c, uint64_t until_ns)
{
	while (c->first < c->count && c->waiting[c->first].r.h.ts_ns <= until_ns)
		tell(c, &c->waiting[c->first++]);
	if (c->first == c->count)
		c->first = c->count = 0;
}
