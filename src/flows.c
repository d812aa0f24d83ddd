// SPDX-License-Identifier: MIT
#include "flows.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

#define UNKNOWN_COUNT UINT32_MAX
#define MAX_RANGES 4096 /* of one socket: beyond, the oldest is forgotten and its bytes' count unknown */
#define MAX_WINDOW (1u << 30) /* bytes in flight, by the greatest window scale: what lies further off is stale */

struct range {
	uint32_t seq, end_seq;
	uint32_t count;
	struct flows_copy copy; /* sent_ns 0: not known */
};

/* @complete: every retransmission of this socket since its birth is in @ranges, or acknowledged. */
struct flow {
	struct rec_flow id;
	struct range *ranges; /* by sequence number, disjoint */
	unsigned int range_count, range_cap;
	uint32_t total_retrans;
	bool complete;
	bool has_timeout;
	uint32_t timeout_high_seq; /* of the episode of the last time-out */
	uint32_t sk_drops;
	struct flows_copy last;
	struct flow *next;              /* hash chain */
	struct flow *newer, *older;     /* by last use */
};

struct flows {
	struct flow **buckets;
	unsigned int bucket_count; /* a power of two */
	unsigned int size, max;
	struct flow *newest, *oldest;
	/* Of the last flows_count(). */
	struct flows_copy previous;
	bool sk_drops_rose;
	uint32_t unseen;
};

struct flows *flows_new(unsigned int max_flows)
{
	struct flows *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->max = max_flows ? max_flows : 1;
	f->bucket_count = 64;
	while (f->bucket_count < f->max)
		f->bucket_count *= 2;
	f->buckets = calloc(f->bucket_count, sizeof(struct flow *));
	if (!f->buckets) {
		free(f);
		return NULL;
	}
	return f;
}

static struct flow **bucket_of(const struct flows *f, uint64_t sk)
{
	return &f->buckets[(sk * 0x9e3779b97f4a7c15ULL >> 32) & (f->bucket_count - 1)];
}

static void list_remove(struct flows *f, struct flow *x)
{
	*(x->newer ? &x->newer->older : &f->newest) = x->older;
	*(x->older ? &x->older->newer : &f->oldest) = x->newer;
}

static void list_add_newest(struct flows *f, struct flow *x)
{
	x->newer = NULL;
	x->older = f->newest;
	*(f->newest ? &f->newest->newer : &f->oldest) = x;
	f->newest = x;
}

static void forget(struct flows *f, struct flow *x)
{
	struct flow **p = bucket_of(f, x->id.sk);

	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	list_remove(f, x);
	free(x->ranges);
	free(x);
	f->size--;
}

void flows_free(struct flows *f)
{
	if (!f)
		return;
	while (f->oldest)
		forget(f, f->oldest);
	free(f->buckets);
	free(f);
}

unsigned int flows_size(const struct flows *f)
{
	return f->size;
}

/* The address of a socket is used again: the same socket has the same ends. */
static bool is_same_socket(const struct rec_flow *a, const struct rec_flow *b)
{
	return a->lport == b->lport && a->rport == b->rport && a->netns == b->netns &&
	       a->ip_version == b->ip_version && !memcmp(a->raddr, b->raddr, sizeof(a->raddr)) &&
	       !memcmp(a->laddr, b->laddr, sizeof(a->laddr));
}

static struct flow *get(struct flows *f, const struct rec_flow *id, uint32_t total_before)
{
	struct flow **bucket = bucket_of(f, id->sk), *x;

	for (x = *bucket; x && x->id.sk != id->sk; x = x->next)
		;
	if (x && (!is_same_socket(&x->id, id) || total_before < x->total_retrans)) {
		forget(f, x);
		x = NULL;
	}
	if (x) {
		list_remove(f, x);
		list_add_newest(f, x);
		return x;
	}
	if (f->size == f->max)
		forget(f, f->oldest);
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->id = *id;
	x->total_retrans = total_before;
	x->complete = total_before == 0;
	x->next = *bucket;
	*bucket = x;
	list_add_newest(f, x);
	f->size++;
	return x;
}

/*
 * Forgets what was acknowledged. All that stays lies within half of the sequence space after @snd_una, which makes its
 * order unambiguous.
 */
static void prune(struct flow *x, uint32_t snd_una)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < x->range_count; i++) {
		struct range r = x->ranges[i];

		if (!seq_before(snd_una, r.end_seq))
			continue;
		if (seq_before(r.seq, snd_una))
			r.seq = snd_una;
		if (r.seq - snd_una <= MAX_WINDOW)
			x->ranges[kept++] = r;
	}
	x->range_count = kept;
}

static bool reserve(struct flow *x, unsigned int count)
{
	struct range *grown;
	unsigned int cap = x->range_cap ? x->range_cap : 4;

	while (cap < count)
		cap *= 2;
	if (cap == x->range_cap)
		return true;
	grown = realloc(x->ranges, cap * sizeof(*grown));
	if (!grown)
		return false;
	x->ranges = grown;
	x->range_cap = cap;
	return true;
}

static void append(struct range *out, unsigned int *n, uint32_t seq, uint32_t end_seq, uint32_t count,
		   const struct flows_copy *copy)
{
	if (!seq_before(seq, end_seq))
		return;
	if (*n && out[*n - 1].end_seq == seq && out[*n - 1].count == count &&
	    out[*n - 1].copy.sent_ns == copy->sent_ns)
		out[*n - 1].end_seq = end_seq;
	else
		out[(*n)++] = (struct range){ seq, end_seq, count, *copy };
}

static void forget_ranges(struct flow *x)
{
	x->range_count = 0;
	x->complete = false;
}

static void keep_newest_ranges(struct flow *x, unsigned int keep)
{
	memmove(x->ranges, x->ranges + x->range_count - keep, keep * sizeof(*x->ranges));
	x->range_count = keep;
	x->complete = false;
}

/* The number of a byte after one more retransmission, which was known to have had @count of them. */
static uint32_t count_after(uint32_t count, const struct flows_attempt *a)
{
	if (a->never_before)
		return 1;
	return count == UNKNOWN_COUNT ? UNKNOWN_COUNT : count + 1;
}

/* Counts one more retransmission of [a->seq, a->end_seq); bytes not known before get @base. */
static void note(struct flow *x, const struct flows_attempt *a, uint32_t base)
{
	unsigned int old_count = x->range_count, n = 0, i;
	/* Each old range may be cut in three, and lie between gaps: build the new list from a copy. */
	struct range *old = malloc((old_count + 1) * sizeof(*old));
	uint32_t at = a->seq;

	if (!old || !reserve(x, 2 * old_count + 4)) {
		free(old);
		forget_ranges(x);
		return;
	}
	memcpy(old, x->ranges, old_count * sizeof(*old));
	for (i = 0; i < old_count && !seq_before(at, old[i].end_seq); i++)
		append(x->ranges, &n, old[i].seq, old[i].end_seq, old[i].count, &old[i].copy);
	for (; i < old_count && seq_before(old[i].seq, a->end_seq); i++) {
		uint32_t from = seq_before(old[i].seq, at) ? at : old[i].seq;
		uint32_t to = seq_before(a->end_seq, old[i].end_seq) ? a->end_seq : old[i].end_seq;

		append(x->ranges, &n, old[i].seq, from, old[i].count, &old[i].copy);
		append(x->ranges, &n, at, from, base, &a->copy);
		append(x->ranges, &n, from, to, count_after(old[i].count, a), &a->copy);
		append(x->ranges, &n, to, old[i].end_seq, old[i].count, &old[i].copy);
		at = to;
	}
	append(x->ranges, &n, at, a->end_seq, base, &a->copy);
	for (; i < old_count; i++)
		append(x->ranges, &n, old[i].seq, old[i].end_seq, old[i].count, &old[i].copy);
	x->range_count = n;
	free(old);
	if (n > MAX_RANGES)
		keep_newest_ranges(x, MAX_RANGES);
}

/* How often was the byte at @seq retransmitted so far? */
static uint32_t count_so_far(const struct flow *x, const struct flows_attempt *a, struct flows_copy *previous)
{
	/* The kernel marks what it retransmits: without the mark a range that we know is another lap's. */
	if (a->never_before)
		return 0;
	for (unsigned int i = 0; i < x->range_count; i++) {
		if (!seq_before(a->seq, x->ranges[i].seq) && seq_before(a->seq, x->ranges[i].end_seq)) {
			*previous = x->ranges[i].copy;
			return x->ranges[i].count;
		}
	}
	return x->complete ? 0 : UNKNOWN_COUNT;
}

uint32_t flows_count(struct flows *f, const struct rec_flow *flow, const struct flows_attempt *attempt)
{
	struct flow *x = get(f, flow, attempt->total_before);
	struct flows_attempt a = *attempt;
	uint32_t count;

	memset(&f->previous, 0, sizeof(f->previous));
	f->unseen = 0;
	if (!x)
		return 0;
	f->sk_drops_rose = a.sk_drops != x->sk_drops;
	x->sk_drops = a.sk_drops;
	if (a.transmitted)
		x->last = a.copy;
	/* Attempts went by unseen: what we counted may be too little. */
	f->unseen = a.total_before - x->total_retrans;
	if (f->unseen)
		forget_ranges(x);
	x->total_retrans = a.total_after;
	if (a.timeout) {
		x->has_timeout = true;
		x->timeout_high_seq = a.high_seq;
	}
	/* One that was refused may not have been trimmed. */
	if (seq_before(a.seq, a.snd_una))
		a.seq = a.snd_una;
	if (a.seq - a.snd_una > MAX_WINDOW || a.end_seq - a.seq - 1 >= MAX_WINDOW - 1) {
		forget_ranges(x);
		return 0;
	}
	prune(x, a.snd_una);
	count = count_so_far(x, &a, &f->previous);
	if (a.transmitted)
		note(x, &a, count_after(x->complete ? 0 : UNKNOWN_COUNT, &a));
	return count == UNKNOWN_COUNT ? 0 : count + 1;
}

const struct flows_copy *flows_previous(const struct flows *f)
{
	return f->previous.sent_ns ? &f->previous : NULL;
}

uint32_t flows_unseen(const struct flows *f)
{
	return f->unseen;
}

bool flows_sk_drops_rose(const struct flows *f)
{
	return f->sk_drops_rose;
}

void flows_set_cause(struct flows *f, uint8_t cause)
{
	struct flow *x = f->newest;

	if (!x)
		return;
	x->last.cause = cause;
	for (unsigned int i = 0; i < x->range_count; i++)
		if (x->ranges[i].copy.sent_ns && x->ranges[i].copy.sent_ns == x->last.sent_ns)
			x->ranges[i].copy.cause = cause;
}

bool flows_cause(const struct flows *f, const struct rec_flow *flow, uint32_t seq, uint32_t end_seq, uint8_t *cause)
{
	const struct flow *x = *bucket_of(f, flow->sk);

	while (x && x->id.sk != flow->sk)
		x = x->next;
	if (!x || !x->last.sent_ns || !is_same_socket(&x->id, flow))
		return false;
	*cause = x->last.cause;
	if (seq == end_seq)
		return true;
	for (unsigned int i = x->range_count; i-- > 0;) {
		const struct range *r = &x->ranges[i];

		if (!r->copy.sent_ns || !seq_before(r->seq, end_seq) || !seq_before(seq, r->end_seq))
			continue;
		*cause = r->copy.cause;
		return true;
	}
	return false;
}

enum flows_loss flows_loss(const struct flows *f, uint32_t high_seq)
{
	const struct flow *x = f->newest;

	if (x && x->has_timeout && x->timeout_high_seq == high_seq)
		return FLOWS_LOSS_BY_TIMEOUT;
	return x && x->complete ? FLOWS_LOSS_WITHOUT_TIMEOUT : FLOWS_LOSS_UNKNOWN;
}
