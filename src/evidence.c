// SPDX-License-Identifier: MIT
#include "evidence.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "util.h"

#define FLAG_SYN 0x02
#define FLAG_ACK 0x10
/*
 * Steps of one walk; beyond, the answer is "forgotten". By sequence number there are fewer: those of all flows are spread
 * evenly, and a flood of packets with one and the same must not cost a search of all of them.
 */
#define MAX_STEPS 65536
#define MAX_SEQ_STEPS 4096
#define NUMBER_BITS 30
#define NUMBER_MASK ((1u << NUMBER_BITS) - 1)
#define MAX_PACKETS (1u << 24)
#define MAX_RANGES 64   /* disjoint parts of one segment */
#define MAX_IDS 1024    /* segments of one buffer: 64 kB of 64 bytes */
#define SEQ_STEPS 9     /* of the index that a buffer of BIG TCP, 512 kB, may begin before */
#define SEQ_SHIFT 16    /* of the index by sequence number */
/* A time stamp value is older than its copy's departure by rounding, and by the clock that the socket has cached. */
#define TS_SLACK 4
#define ECHO_MAX_SEC 60
#define USEC_PER_SEC 1000000u

/* KEY_SEQ: its first byte; of a SYN-ACK, what it acknowledges. */
enum { KEY_PACKET, KEY_NAT, KEY_NAT2, KEY_SEQ, KEY_COUNT };

struct packet {
	uint64_t ts_ns;
	uint64_t latest_ns; /* of it and all before it in the log, which is in the order of the ring: nothing older is newer */
	uint64_t stamp_ns;
	uint64_t sk; /* that sent it, 0: not known */
	uint64_t end[2]; /* keys of its source and its destination: with them, of its tuple */
	uint64_t nat[2]; /* keys of its other tuples, 0: none */
	uint32_t next[KEY_COUNT]; /* link to the next older one in the same bucket */
	uint32_t seq, end_seq, ack, tsval, tsecr;
	uint32_t place, netns, pid;
	uint16_t ip_id;
	uint8_t tcp_flags, fate, sacks, unsent;
	struct rec_sack_block sack[REBPF_SACK_BLOCKS];
	char ifname[REBPF_IFNAME_LEN];
};

/*
 * A circular log. Packets are numbered from 1 on, modulo 2^30; number n is at [n % max]. A link is a number and which of
 * the packet's keys it stands for. Chains lead to ever older packets, so they end where a number is no longer in the log:
 * nothing has to be unlinked.
 */
struct evidence {
	struct packet *log;
	uint32_t max; /* a power of two */
	uint32_t newest, count;
	uint32_t *bucket; /* links */
	uint32_t bucket_count; /* a power of two */
	uint64_t seed, latest_ns;
	/* When what is forgotten happened: by flow_bucket_of(), of translated packets (which flow's is not known), of all. */
	uint64_t forgotten_ns[REBPF_FLOW_BUCKETS];
	uint64_t forgotten_nat_ns, forgotten_any_ns;
};

struct evidence *evidence_new(uint32_t max)
{
	struct evidence *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	for (e->max = 64; e->max < max && e->max < MAX_PACKETS;)
		e->max *= 2;
	e->bucket_count = e->max;
	e->log = calloc(e->max, sizeof(*e->log));
	e->bucket = calloc(e->bucket_count, sizeof(*e->bucket));
	if (getrandom(&e->seed, sizeof(e->seed), GRND_NONBLOCK) != sizeof(e->seed))
		e->seed = clock_mono_ns();
	if (!e->log || !e->bucket) {
		evidence_free(e);
		return NULL;
	}
	return e;
}

void evidence_free(struct evidence *e)
{
	if (!e)
		return;
	free(e->log);
	free(e->bucket);
	free(e);
}

/* ---- keys ---- */

static uint64_t mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static uint64_t key_of_end(const struct evidence *e, const uint8_t addr[16], uint16_t port, uint8_t ip_version)
{
	uint64_t word[2];

	memcpy(word, addr, sizeof(word));
	return mix(mix(mix(e->seed, word[0]), word[1]), (uint64_t)port << 8 | ip_version) | 1;
}

static uint64_t key_of_ends(uint64_t source, uint64_t destination)
{
	return mix(mix(source, 1), destination) | 1; /* mix() alone knows no direction */
}

static uint64_t key_of_tuple(const struct evidence *e, const struct rec_tuple *t)
{
	if (!t->ip_version)
		return 0;
	return key_of_ends(key_of_end(e, t->saddr, t->sport, t->ip_version),
			   key_of_end(e, t->daddr, t->dport, t->ip_version));
}

static uint64_t key_at(const struct packet *p, unsigned int which)
{
	return which == KEY_PACKET ? key_of_ends(p->end[0], p->end[1]) : p->nat[which - KEY_NAT];
}

static uint64_t key_of_seq(uint32_t step)
{
	return step & (UINT32_MAX >> SEQ_SHIFT);
}

static bool is_synack(const struct packet *p)
{
	return (p->tcp_flags & (FLAG_SYN | FLAG_ACK)) == (FLAG_SYN | FLAG_ACK);
}

static uint64_t key_of_synack(uint32_t ack)
{
	return (uint64_t)ack << 32;
}

static uint64_t seq_key_of(const struct packet *p)
{
	return is_synack(p) ? key_of_synack(p->ack) : key_of_seq(p->seq >> SEQ_SHIFT);
}

static uint32_t *bucket_of(const struct evidence *e, uint64_t key)
{
	return &e->bucket[mix(e->seed, key) >> 32 & (e->bucket_count - 1)];
}

/* The packet that a link leads to, NULL if the log has it no more (or never had). */
static const struct packet *follow(const struct evidence *e, uint32_t link)
{
	uint32_t number = link & NUMBER_MASK;

	return ((e->newest - number) & NUMBER_MASK) < e->count ? &e->log[number % e->max] : NULL;
}

/* ---- adding ---- */

static uint8_t flow_bucket_of(uint64_t source, uint64_t destination)
{
	return (uint8_t)((source ^ destination) >> 8);
}

static void raise_to(uint64_t *ns, uint64_t to_ns)
{
	if (to_ns > *ns)
		*ns = to_ns;
}

/* A translated packet's flow may be known by other addresses. */
static void forget(struct evidence *e, const struct packet *p)
{
	raise_to(&e->forgotten_any_ns, p->ts_ns);
	raise_to(&e->forgotten_ns[flow_bucket_of(p->end[0], p->end[1])], p->ts_ns);
	if (p->nat[0])
		raise_to(&e->forgotten_nat_ns, p->ts_ns);
}

static void chain(struct evidence *e, struct packet *p, unsigned int which, uint64_t key)
{
	uint32_t *bucket = bucket_of(e, key);

	p->next[which] = *bucket;
	*bucket = e->newest | which << NUMBER_BITS;
}

void evidence_add(struct evidence *e, const struct rec_drop *d, uint32_t place, enum drop_fate fate,
		  enum evidence_unsent unsent)
{
	struct packet *p;

	if (!d->t.ip_version)
		return;
	e->newest = (e->newest + 1) & NUMBER_MASK;
	p = &e->log[e->newest % e->max];
	if (e->count == e->max)
		forget(e, p);
	else
		e->count++;
	if (d->h.ts_ns > e->latest_ns)
		e->latest_ns = d->h.ts_ns;
	*p = (struct packet){
		.ts_ns = d->h.ts_ns, .seq = d->seq, .end_seq = d->end_seq, .ack = d->ack, .tsval = d->tsval,
		.tsecr = d->tsecr, .place = place, .netns = d->netns, .pid = d->owner.tgid, .ip_id = d->ip_id,
		.tcp_flags = d->tcp_flags, .fate = (uint8_t)fate, .unsent = (uint8_t)unsent, .stamp_ns = d->stamp_ns,
		.latest_ns = e->latest_ns, .sk = d->received ? 0 : d->sk,
		.sacks = d->sacks < REBPF_SACK_BLOCKS ? d->sacks : REBPF_SACK_BLOCKS,
	};
	memcpy(p->sack, d->sack, sizeof(p->sack));
	memcpy(p->ifname, d->ifname, sizeof(p->ifname));
	p->end[0] = key_of_end(e, d->t.saddr, d->t.sport, d->t.ip_version);
	p->end[1] = key_of_end(e, d->t.daddr, d->t.dport, d->t.ip_version);
	chain(e, p, KEY_PACKET, key_at(p, KEY_PACKET));
	for (unsigned int i = 0; i < 2; i++) {
		p->nat[i] = key_of_tuple(e, &d->nat[i]);
		if (p->nat[i] == key_at(p, KEY_PACKET))
			p->nat[i] = 0;
		if (p->nat[i])
			chain(e, p, KEY_NAT + i, p->nat[i]);
	}
	chain(e, p, KEY_SEQ, seq_key_of(p));
}

/* ---- asking ---- */

struct span {
	uint32_t from, to; /* offsets from the query's seq */
};

/* What one question has found so far. */
struct search {
	const struct evidence *e;
	const struct evidence_query *q;
	struct evidence_answer *a;
	uint64_t forward, backward, local, remote; /* keys */
	struct span covered[MAX_RANGES];
	unsigned int covered_count;
};

static void found(struct evidence_drop *out, const struct packet *p, bool nat)
{
	/* Walks come from the newest: the first is the last that happened. */
	if (out->found && out->ts_ns >= p->ts_ns)
		return;
	*out = (struct evidence_drop){
		.found = true, .nat = nat, .ts_ns = p->ts_ns, .place = p->place, .seq = p->seq,
		.end_seq = p->end_seq, .netns = p->netns, .pid = p->pid,
	};
	memcpy(out->ifname, p->ifname, sizeof(out->ifname));
}

static bool ts_within(const struct evidence_query *q, uint32_t ts)
{
	if (!q->has_ts || !ts)
		return false;
	if (ts - (q->ts_from - TS_SLACK) <= q->ts_until - q->ts_from + 2 * TS_SLACK)
		return true;
	return q->is_unit_unknown && ts - (q->ts_from_us - TS_SLACK) <= q->ts_until_us - q->ts_from_us + 2 * TS_SLACK;
}

/*
 * The time stamp that an acknowledgement echoes is the last that came in order (RFC 7323, 4.3): that of an earlier segment,
 * if there is a hole. The sequence numbers are right already: here it is enough that it is the flow's clock.
 */
static bool echo_within(const struct evidence_query *q, uint32_t ts)
{
	if (!q->has_ts || !ts)
		return false;
	if (q->ts_until + TS_SLACK - ts <= q->ts_until - q->ts_from + q->ts_second * ECHO_MAX_SEC)
		return true;
	return q->is_unit_unknown &&
	       q->ts_until_us + TS_SLACK - ts <= q->ts_until_us - q->ts_from_us + USEC_PER_SEC * ECHO_MAX_SEC;
}

/*
 * A copy older than the previous one: freed late, or sent in vain before. Its departure time, time stamp value, or else
 * its IP id, says so.
 */
static bool is_older_copy(const struct evidence_query *q, const struct packet *p, bool same_tuple)
{
	if (q->stamp_ns && p->stamp_ns)
		return p->stamp_ns < q->stamp_ns; /* later: a TC program has put it off */
	if (q->skip_unsent && p->unsent == UNSENT_FAILED)
		return true;
	if (q->tsval && p->tsval)
		return seq_before(p->tsval + TS_SLACK, q->tsval);
	/* GSO numbers the segments of one buffer on from its id. */
	return same_tuple && q->ip_id && p->ip_id && (uint16_t)(p->ip_id - q->ip_id) > MAX_IDS;
}

static bool covers(const struct packet *p, uint32_t seq)
{
	return !seq_before(seq, p->seq) && seq_before(seq, p->end_seq);
}

static void note_span(struct search *s, const struct packet *p)
{
	const struct evidence_query *q = s->q;
	uint32_t from = seq_before(p->seq, q->seq) ? q->seq : p->seq;
	uint32_t to = seq_before(p->end_seq, q->end_seq) ? p->end_seq : q->end_seq;

	if (seq_before(from, to) && s->covered_count < MAX_RANGES)
		s->covered[s->covered_count++] = (struct span){ from - q->seq, to - q->seq };
}

static void judge_copy(struct search *s, const struct packet *p, bool nat)
{
	bool first = covers(p, s->q->seq);

	if (s->q->skip_unsent && p->unsent == UNSENT_UNCLEAR && p->fate == DROP_FATE_LOST) {
		s->a->unclear |= first;
		return;
	}
	switch ((enum drop_fate)p->fate) {
	case DROP_FATE_LOST:
		if (first)
			found(&s->a->lost, p, nat);
		note_span(s, p);
		break;
	case DROP_FATE_DELIVERED:
		s->a->delivered |= first;
		break;
	case DROP_FATE_OUTSIDE:
		/* What was sent only once cannot have arrived before: it lay beyond the window. */
		if (s->q->is_first && first)
			found(&s->a->lost, p, nat);
		if (s->q->is_first)
			note_span(s, p);
		else
			s->a->unclear |= first;
		break;
	case DROP_FATE_UNCLEAR:
		s->a->unclear |= first;
		break;
	case DROP_FATE_DRIVER:
		s->a->driver |= first;
		break;
	case DROP_FATE_COPY:
		break;
	}
}

/* Does the packet, of the other direction, acknowledge the byte? */
static bool acknowledges(const struct evidence_query *q, const struct packet *p)
{
	if (!(p->tcp_flags & FLAG_ACK))
		return false;
	if (seq_before(q->seq, p->ack) && !seq_before(q->snd_nxt, p->ack))
		return true;
	for (unsigned int i = 0; i < p->sacks; i++)
		if (!seq_before(q->seq, p->sack[i].start) && seq_before(q->seq, p->sack[i].end))
			return true;
	return false;
}

static void judge_ack(struct search *s, const struct packet *p, bool nat)
{
	switch ((enum drop_fate)p->fate) {
	case DROP_FATE_LOST:
		found(&s->a->ack_lost, p, nat);
		break;
	case DROP_FATE_UNCLEAR:
	case DROP_FATE_OUTSIDE:
		s->a->unclear = true;
		break;
	case DROP_FATE_DRIVER:
		s->a->driver = true;
		break;
	case DROP_FATE_DELIVERED:
	case DROP_FATE_COPY:
		break;
	}
}

static void look_at_tuple(struct search *s, const struct packet *p, bool nat)
{
	/* The same addresses may be in use in another namespace, with nearby sequence numbers (secure_seq.c). */
	if (p->sk && s->q->sk && p->sk != s->q->sk)
		return;
	if (seq_before(p->seq, s->q->end_seq) && seq_before(s->q->seq, p->end_seq) &&
	    !is_older_copy(s->q, p, !nat))
		judge_copy(s, p, nat);
}

static void look_at_reverse(struct search *s, const struct packet *p, bool nat)
{
	if (acknowledges(s->q, p))
		judge_ack(s, p, nat);
}

static bool has_key(const struct packet *p, uint64_t key)
{
	return key_at(p, KEY_PACKET) == key || p->nat[0] == key || p->nat[1] == key;
}

/* With one equal end, it may be the flow before or after translation. */
static bool shares_end(const struct search *s, const struct packet *p, bool forward)
{
	return p->end[0] == (forward ? s->local : s->remote) || p->end[1] == (forward ? s->remote : s->local);
}

/* A packet of other addresses: the time stamp value of a copy, or its echo, proves that it is the flow's. */
static void look_at_foreign(struct search *s, const struct packet *p, bool forward)
{
	const struct evidence_query *q = s->q;

	if (has_key(p, s->forward) || has_key(p, s->backward) || p->fate == DROP_FATE_COPY)
		return;
	if (forward) {
		if (ts_within(q, p->tsval) && covers(p, q->seq) && !is_older_copy(q, p, false))
			judge_copy(s, p, true);
		else if ((!q->has_ts || !p->tsval) && covers(p, q->seq) && p->fate != DROP_FATE_DELIVERED)
			s->a->nat |= shares_end(s, p, true);
		return;
	}
	if (!acknowledges(q, p) || p->fate == DROP_FATE_DELIVERED)
		return;
	if (echo_within(q, p->tsecr))
		judge_ack(s, p, true);
	else
		s->a->nat |= shares_end(s, p, false);
}

enum walk { WALK_FORWARD, WALK_BACKWARD, WALK_FOREIGN, WALK_FOREIGN_BACK, WALK_FRAGMENT };

static void look_at(struct search *s, const struct packet *p, unsigned int which, enum walk walk)
{
	switch (walk) {
	case WALK_FORWARD:
		look_at_tuple(s, p, which != KEY_PACKET);
		break;
	case WALK_BACKWARD:
		look_at_reverse(s, p, which != KEY_PACKET);
		break;
	case WALK_FOREIGN:
		look_at_foreign(s, p, true);
		break;
	case WALK_FOREIGN_BACK:
		look_at_foreign(s, p, false);
		break;
	case WALK_FRAGMENT:
		s->a->unclear |= p->fate != DROP_FATE_COPY && p->fate != DROP_FATE_DELIVERED;
		break;
	}
}

static void walk(struct search *s, uint64_t key, bool by_seq, enum walk how)
{
	uint32_t link = *bucket_of(s->e, key);
	unsigned int steps = 0;
	const struct packet *p;

	while ((p = follow(s->e, link)) && p->latest_ns >= s->q->from_ns) {
		unsigned int which = link >> NUMBER_BITS;
		uint64_t its_key = which == KEY_SEQ ? seq_key_of(p) : key_at(p, which);

		if (++steps > (by_seq ? MAX_SEQ_STEPS : MAX_STEPS)) {
			s->a->forgotten = true;
			return;
		}
		if (its_key == key && by_seq == (which == KEY_SEQ) && p->ts_ns >= s->q->from_ns &&
		    p->ts_ns <= s->q->until_ns)
			look_at(s, p, which, how);
		link = p->next[which];
	}
}

/* The length of the union of the spans. */
static uint32_t total_covered(struct search *s)
{
	uint32_t total = 0, done = 0;

	for (unsigned int n = 0; n < s->covered_count; n++) {
		unsigned int first = n;
		struct span swap;

		for (unsigned int i = n; i < s->covered_count; i++)
			if (s->covered[i].from < s->covered[first].from)
				first = i;
		swap = s->covered[n];
		s->covered[n] = s->covered[first];
		s->covered[first] = swap;
		if (s->covered[n].from > done)
			done = s->covered[n].from;
		if (s->covered[n].to > done) {
			total += s->covered[n].to - done;
			done = s->covered[n].to;
		}
	}
	return total;
}

/* A later fragment of an IP packet has no ports, so which packet of these addresses it was part of is not known. */
static void walk_fragments(struct search *s)
{
	const struct rec_tuple *t = &s->q->t;
	uint64_t local = key_of_end(s->e, t->saddr, 0, t->ip_version);
	uint64_t remote = key_of_end(s->e, t->daddr, 0, t->ip_version);

	walk(s, key_of_ends(local, remote), false, WALK_FRAGMENT);
	walk(s, key_of_ends(remote, local), false, WALK_FRAGMENT);
}

void evidence_ask(const struct evidence *e, const struct evidence_query *q, struct evidence_answer *a)
{
	struct search s = { .e = e, .q = q, .a = a };

	memset(a, 0, sizeof(*a));
	s.local = key_of_end(e, q->t.saddr, q->t.sport, q->t.ip_version);
	s.remote = key_of_end(e, q->t.daddr, q->t.dport, q->t.ip_version);
	s.forward = key_of_ends(s.local, s.remote);
	s.backward = key_of_ends(s.remote, s.local);
	a->forgotten = q->from_ns <= e->forgotten_ns[flow_bucket_of(s.local, s.remote)] || q->from_ns <= e->forgotten_nat_ns ||
		       (q->any_addresses && q->from_ns <= e->forgotten_any_ns);
	walk(&s, s.forward, false, WALK_FORWARD);
	walk(&s, s.backward, false, WALK_BACKWARD);
	if (!a->lost.found && q->is_synack)
		walk(&s, key_of_synack(q->ack_seq), true, WALK_FOREIGN);
	for (uint32_t i = 0; i < SEQ_STEPS && !a->lost.found; i++)
		walk(&s, key_of_seq((q->seq >> SEQ_SHIFT) - i), true, WALK_FOREIGN);
	if (!a->lost.found && !a->ack_lost.found && q->is_syn)
		walk(&s, key_of_synack(q->end_seq), true, WALK_FOREIGN_BACK);
	/* What the peer has sent may be ahead of what has come. */
	for (uint32_t i = 0; i < 2 * SEQ_STEPS && !q->is_syn && !a->lost.found && !a->ack_lost.found; i++)
		walk(&s, key_of_seq((q->ack_seq >> SEQ_SHIFT) + SEQ_STEPS - i), true, WALK_FOREIGN_BACK);
	walk_fragments(&s);
	a->covered = total_covered(&s);
}

bool evidence_find_copy(const struct evidence *e, const struct rec_tuple *t, uint64_t stamp_ns, uint64_t from_ns,
			uint64_t until_ns, struct evidence_drop *out)
{
	uint64_t key = key_of_tuple(e, t);
	uint32_t link = *bucket_of(e, key);
	const struct packet *p;

	memset(out, 0, sizeof(*out));
	for (unsigned int steps = 0; (p = follow(e, link)) && p->latest_ns >= from_ns && steps < MAX_STEPS; steps++) {
		unsigned int which = link >> NUMBER_BITS;

		if (which == KEY_PACKET && key_at(p, which) == key && p->stamp_ns == stamp_ns && p->ts_ns >= from_ns &&
		    p->ts_ns <= until_ns)
			found(out, p, false);
		link = p->next[which];
	}
	return out->found;
}
