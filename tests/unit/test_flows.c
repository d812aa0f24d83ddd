// SPDX-License-Identifier: MIT
/* links: src/flows.c */
/* How often was this byte retransmitted? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "flows.h"

#define SK 0xffff888012340000ULL
#define MAX_RANGES 4096 /* as in flows.c */

/* Of the address sanitizer, which unit tests are built with. */
size_t __sanitizer_get_current_allocated_bytes(void);

static struct flows *f;

/* A socket as the tests see it: what the kernel would report of it. */
struct sock {
	struct rec_flow id;
	uint32_t snd_una, total;
};

static struct sock make_sock(uint64_t sk, uint32_t snd_una)
{
	return (struct sock){
		.id = { .sk = sk, .laddr = { 10, 0, 0, 1 }, .raddr = { 10, 0, 0, 2 }, .lport = 443,
			.rport = 50000, .ip_version = 4, .netns = 1 },
		.snd_una = snd_una,
	};
}

static int setup(void **state)
{
	(void)state;
	f = flows_new(64);
	assert_non_null(f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	flows_free(f);
	return 0;
}

/* A segment that the kernel has already marked as retransmitted. */
static uint32_t marked(struct sock *s, uint32_t seq, uint32_t end_seq)
{
	struct flows_attempt a = {
		.seq = seq,
		.end_seq = end_seq,
		.snd_una = s->snd_una,
		.total_before = s->total,
		.total_after = s->total + 1,
		.transmitted = true,
	};

	s->total++;
	return flows_count(f, &s->id, &a);
}

/* One that it has not. */
static uint32_t unmarked(struct sock *s, uint32_t seq, uint32_t end_seq)
{
	struct flows_attempt a = {
		.seq = seq,
		.end_seq = end_seq,
		.snd_una = s->snd_una,
		.total_before = s->total,
		.total_after = s->total + 1,
		.never_before = true,
		.transmitted = true,
	};

	s->total++;
	return flows_count(f, &s->id, &a);
}

static uint32_t refused(struct sock *s, uint32_t seq, uint32_t end_seq)
{
	struct flows_attempt a = {
		.seq = seq,
		.end_seq = end_seq,
		.snd_una = s->snd_una,
		.total_before = s->total,
		.total_after = s->total,
	};

	return flows_count(f, &s->id, &a);
}

static void test_kth(void **state)
{
	struct sock s = make_sock(SK, 1000);

	(void)state;
	assert_int_equal(flows_size(f), 0);
	for (uint32_t k = 1; k <= 5; k++)
		assert_int_equal(marked(&s, 1000, 2448), k);
	assert_int_equal(marked(&s, 2448, 3896), 1);
	assert_int_equal(marked(&s, 2448, 3896), 2);
	assert_int_equal(marked(&s, 1000, 2448), 6);
	assert_int_equal(flows_size(f), 1);
}

static void test_refused_is_not_counted(void **state)
{
	struct sock s = make_sock(SK, 1000);

	(void)state;
	assert_int_equal(refused(&s, 1000, 2448), 1);
	assert_int_equal(refused(&s, 1000, 2448), 1);
	assert_int_equal(marked(&s, 1000, 2448), 1);
	assert_int_equal(refused(&s, 1000, 2448), 2);
	assert_int_equal(marked(&s, 1000, 2448), 2);
}

/* Refused before the kernel trims what was acknowledged: the byte that it would have sent first counts. */
static void test_refused_untrimmed(void **state)
{
	struct sock s = make_sock(SK, 1000);

	(void)state;
	assert_int_equal(marked(&s, 1000, 2000), 1);
	assert_int_equal(marked(&s, 2000, 3000), 1);
	assert_int_equal(marked(&s, 2000, 3000), 2);
	s.snd_una = 2000;
	assert_int_equal(refused(&s, 1000, 3000), 3);
}

/* The segments of the queue change their borders: split, merged, trimmed. */
static void test_overlaps(void **state)
{
	struct sock s = make_sock(SK, 0);

	(void)state;
	assert_int_equal(marked(&s, 0, 3000), 1);
	assert_int_equal(marked(&s, 1000, 2000), 2); /* 0..1000:1 1000..2000:2 2000..3000:1 */
	assert_int_equal(refused(&s, 0, 1), 2);
	assert_int_equal(refused(&s, 999, 1000), 2);
	assert_int_equal(refused(&s, 1000, 1001), 3);
	assert_int_equal(refused(&s, 1999, 2000), 3);
	assert_int_equal(refused(&s, 2000, 2001), 2);
	assert_int_equal(refused(&s, 3000, 3001), 1);
	/* Beyond both ends, and over a gap. */
	assert_int_equal(marked(&s, 4000, 5000), 1);
	assert_int_equal(marked(&s, 500, 6000), 2);
	assert_int_equal(refused(&s, 499, 500), 2);
	assert_int_equal(refused(&s, 500, 501), 3);
	assert_int_equal(refused(&s, 1000, 1001), 4);
	assert_int_equal(refused(&s, 2000, 2001), 3);
	assert_int_equal(refused(&s, 3000, 3001), 2);
	assert_int_equal(refused(&s, 4000, 4001), 3);
	assert_int_equal(refused(&s, 5999, 6000), 2);
	assert_int_equal(refused(&s, 6000, 6001), 1);
}

/* Every other segment was SACKed; the holes go twice, then all is sent again after a timeout. */
static void test_sack_holes(void **state)
{
	struct sock s = make_sock(SK, 0);

	(void)state;
	for (uint32_t turn = 1; turn <= 2; turn++)
		for (uint32_t i = 0; i < 100; i += 2)
			assert_int_equal(marked(&s, i * 1448, (i + 1) * 1448), turn);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(marked(&s, i * 1448, (i + 1) * 1448), i % 2 ? 1 : 3);
	/* From the end to the beginning. */
	for (uint32_t i = 100; i-- > 0;)
		assert_int_equal(marked(&s, i * 1448, (i + 1) * 1448), i % 2 ? 2 : 4);
}

static void test_wrap(void **state)
{
	struct sock s = make_sock(SK, 0xfffffc00);

	(void)state;
	assert_int_equal(marked(&s, 0xfffffc00, 0x400), 1);
	assert_int_equal(marked(&s, 0, 0x400), 2);
	assert_int_equal(marked(&s, 0xfffffc00, 0), 2);
	assert_int_equal(marked(&s, 0x400, 0x800), 1);
	assert_int_equal(marked(&s, 0xffffffff, 1), 3);
	s.snd_una = 0x200;
	assert_int_equal(marked(&s, 0x200, 0x800), 3);
	assert_int_equal(marked(&s, 0x400, 0x800), 3);
}

/* What is acknowledged is forgotten: the same numbers come again after four gigabytes. */
static void test_acknowledged(void **state)
{
	struct sock s = make_sock(SK, 0);

	(void)state;
	assert_int_equal(marked(&s, 0, 1000), 1);
	assert_int_equal(marked(&s, 0, 3000), 2);
	s.snd_una = 2000;
	assert_int_equal(marked(&s, 2000, 3000), 2);
	s.snd_una = 3000;
	assert_int_equal(marked(&s, 3000, 4000), 1);
	s.snd_una = 0;
	assert_int_equal(marked(&s, 0, 1000), 1);
}

/* No retransmission for four gigabytes: only the mark tells that the old range was acknowledged. */
static void test_another_lap(void **state)
{
	struct sock s = make_sock(SK, 0);

	(void)state;
	assert_int_equal(unmarked(&s, 0, 1000), 1);
	assert_int_equal(marked(&s, 0, 1000), 2);
	assert_int_equal(unmarked(&s, 0, 500), 1);
	assert_int_equal(marked(&s, 0, 500), 2);
	/* Half a lap: the range is behind or ahead, nobody can tell; it must not lie around. */
	assert_int_equal(unmarked(&s, 0, 1000), 1);
	s.snd_una = 0x90000000;
	assert_int_equal(unmarked(&s, 0x90000000, 0x90000400), 1);
	s.snd_una = 0;
	assert_int_equal(marked(&s, 0, 1000), 1);
}

static void test_older_than_rebpf(void **state)
{
	struct sock s = make_sock(SK, 0);

	(void)state;
	s.total = 7;
	assert_int_equal(marked(&s, 0, 1000), 0);
	assert_int_equal(marked(&s, 0, 1000), 0);
	assert_int_equal(unmarked(&s, 1000, 2000), 1);
	assert_int_equal(marked(&s, 1000, 2000), 2);
	/* Part known, part not. */
	assert_int_equal(marked(&s, 0, 3000), 0);
	assert_int_equal(marked(&s, 1000, 2000), 4);
	assert_int_equal(marked(&s, 2000, 3000), 0);
	/* The refused one of a socket that is not known. */
	s = make_sock(SK + 1, 0);
	s.total = 7;
	assert_int_equal(refused(&s, 0, 1000), 0);
}

/* One that says what entered the Loss state. */
static enum flows_loss loss_after(struct sock *s, bool timeout, uint32_t high_seq)
{
	struct flows_attempt a = {
		.seq = 0,
		.end_seq = 1000,
		.total_before = s->total,
		.total_after = s->total + 1,
		.transmitted = true,
		.high_seq = high_seq,
		.timeout = timeout,
	};

	s->total++;
	flows_count(f, &s->id, &a);
	return flows_loss(f, high_seq);
}

static void test_how_loss_began(void **state)
{
	struct sock s = make_sock(SK, 0), older = make_sock(SK + 1, 0);

	(void)state;
	assert_int_equal(flows_loss(f, 0), FLOWS_LOSS_UNKNOWN);
	assert_int_equal(loss_after(&s, false, 0), FLOWS_LOSS_WITHOUT_TIMEOUT);
	assert_int_equal(loss_after(&s, true, 5000), FLOWS_LOSS_BY_TIMEOUT);
	assert_int_equal(loss_after(&s, false, 5000), FLOWS_LOSS_BY_TIMEOUT);
	assert_int_equal(loss_after(&s, false, 6000), FLOWS_LOSS_WITHOUT_TIMEOUT);
	s.total++; /* missed: perhaps a time-out */
	assert_int_equal(loss_after(&s, false, 6000), FLOWS_LOSS_UNKNOWN);
	assert_int_equal(loss_after(&s, true, 7000), FLOWS_LOSS_BY_TIMEOUT);
	older.total = 3;
	assert_int_equal(loss_after(&older, false, 7000), FLOWS_LOSS_UNKNOWN);
	assert_int_equal(loss_after(&s, false, 7000), FLOWS_LOSS_BY_TIMEOUT);
}

static void test_missed_attempts(void **state)
{
	struct sock s = make_sock(SK, 0);

	(void)state;
	assert_int_equal(marked(&s, 0, 1000), 1);
	s.total++; /* not seen */
	assert_int_equal(marked(&s, 0, 1000), 0);
	assert_int_equal(marked(&s, 5000, 6000), 0);
	assert_int_equal(unmarked(&s, 7000, 8000), 1);
	assert_int_equal(marked(&s, 7000, 8000), 2);
}

/* The address of a socket lives on with another connection. */
static void test_address_used_again(void **state)
{
	struct sock s = make_sock(SK, 0), other;

	(void)state;
	for (int i = 0; i < 5; i++) {
		s = make_sock(SK, 0);
		s.total = 3;
		unmarked(&s, 0, 1000);
		other = make_sock(SK, 0);
		other.total = 4;
		other.id.rport += i == 0;
		other.id.lport += i == 1;
		other.id.raddr[15] += i == 2;
		other.id.laddr[15] += i == 3;
		other.id.netns += i == 4;
		assert_int_equal(marked(&other, 0, 1000), 0);
		assert_int_equal(flows_size(f), 1);
	}
	/* The same ends, but the counter has begun anew. */
	s = make_sock(SK, 0);
	assert_int_equal(marked(&s, 0, 1000), 1);
	assert_int_equal(marked(&s, 0, 1000), 2);
	s.total = 0;
	assert_int_equal(marked(&s, 0, 1000), 1);
}

static void test_least_recently_used(void **state)
{
	struct sock s[3] = { make_sock(SK, 0), make_sock(SK + 1, 0), make_sock(SK + 2, 0) };

	(void)state;
	flows_free(f);
	f = flows_new(2);
	assert_int_equal(marked(&s[0], 0, 1000), 1);
	assert_int_equal(marked(&s[1], 0, 1000), 1);
	assert_int_equal(marked(&s[0], 0, 1000), 2);
	assert_int_equal(marked(&s[2], 0, 1000), 1); /* s[1] is forgotten */
	assert_int_equal(flows_size(f), 2);
	assert_int_equal(marked(&s[0], 0, 1000), 3);
	assert_int_equal(marked(&s[1], 0, 1000), 0); /* s[2] is */
	assert_int_equal(marked(&s[0], 0, 1000), 4);
	assert_int_equal(marked(&s[2], 0, 1000), 0);
	assert_int_equal(flows_size(f), 2);
}

/* Many sockets in one table, of which it may keep a few. */
static void test_many_sockets(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		struct sock s = make_sock(SK + i * 64, 0);

		assert_int_equal(marked(&s, 0, 1000), 1);
		assert_int_equal(flows_size(f), i < 64 ? i + 1 : 64);
	}
	for (uint64_t i = 0; i < 1000; i++) {
		struct sock s = make_sock(SK + (999 - i) * 64, 0);

		s.total = 1;
		assert_int_equal(marked(&s, 0, 1000), i < 64 ? 2 : 0);
	}
}

/* No socket may fill the memory: the first bytes are forgotten, and their number is unknown, not wrong. */
static void test_bound_of_ranges(void **state)
{
	struct sock s = make_sock(SK, 0);

	(void)state;
	for (uint32_t i = 0; i < MAX_RANGES + 100; i++)
		assert_int_equal(marked(&s, 10 * i, 10 * i + 5), i <= MAX_RANGES ? 1 : 0);
	assert_int_equal(marked(&s, 0, 5), 0);
	assert_int_equal(marked(&s, 10 * 200, 10 * 200 + 5), 2);
	assert_int_equal(marked(&s, 10 * MAX_RANGES, 10 * MAX_RANGES + 5), 2);
	assert_int_equal(unmarked(&s, 3, 5), 1);
}

/* One attempt over all of them doubles their number, and each of these cuts one range in three. */
static void test_bound_of_memory(void **state)
{
	size_t before = __sanitizer_get_current_allocated_bytes();
	struct sock s = make_sock(SK, 0);

	(void)state;
	for (uint32_t i = 0; i < MAX_RANGES; i++)
		marked(&s, 10 * i, 10 * i + 5);
	marked(&s, 0, 1 << 24);
	for (uint32_t i = 0; i < 3 * MAX_RANGES; i++)
		marked(&s, (1 << 20) + 10 * i, (1 << 20) + 10 * i + 1);
	assert_true(__sanitizer_get_current_allocated_bytes() - before < 1024 * 1024);
}

/* ---- against a plain model: one counter a byte ---- */

#define MODEL_BYTES 600

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void check_model(uint32_t seed, uint32_t base)
{
	uint32_t count[MODEL_BYTES] = { 0 }, una = 0;
	struct sock s = make_sock(SK + seed * 64, base);

	for (int turn = 0; turn < 300; turn++) {
		uint32_t from = una + next_random(&seed) % (MODEL_BYTES - una);
		uint32_t to = from + 1 + next_random(&seed) % (MODEL_BYTES - from);
		uint32_t kind = next_random(&seed) % 8;

		s.snd_una = base + una;
		if (!kind) {
			assert_int_equal(refused(&s, base + from, base + to), count[from] + 1);
			continue;
		}
		assert_int_equal(marked(&s, base + from, base + to), count[from] + 1);
		for (uint32_t i = from; i < to; i++)
			count[i]++;
		if (kind == 1 && una < MODEL_BYTES - 20)
			una += next_random(&seed) % 10;
	}
}

static void test_model(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 200; seed++)
		check_model(seed, seed % 2 ? 5000 : (uint32_t)-300);
}

/* Further away than any window, or no range at all: nothing is known of it, or after it. */
static void test_impossible_range(void **state)
{
	static const struct {
		uint32_t seq, end_seq;
	} row[] = {
		{ 0x40000001, 0x40000002 }, { 500, 500 }, { 500, 400 },
		{ 500, 0x40000600 }, { 0x7fffffff, 0x80000001 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct sock s = make_sock(SK + i, 0);

		assert_int_equal(marked(&s, 0, 1000), 1);
		assert_int_equal(unmarked(&s, row[i].seq, row[i].end_seq), 0);
		assert_int_equal(marked(&s, 0, 1000), 0);
		/* The greatest that there may be. */
		assert_int_equal(unmarked(&s, 0x40000000, 0x7fffffff), 1);
		assert_int_equal(marked(&s, 0x40000000, 0x7fffffff), 2);
	}
}

/* Numbers that no kernel gives (a file may say anything): the sanitizers watch. */
static void test_hostile(void **state)
{
	uint32_t seed = 4711;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		struct sock s = make_sock(SK + next_random(&seed) % 4, next_random(&seed) << 8);
		struct flows_attempt a = {
			.seq = next_random(&seed) << 8,
			.end_seq = next_random(&seed) << 8,
			.snd_una = next_random(&seed) % 64 ? 0 : next_random(&seed) << 8,
			.total_before = 1,
			.total_after = 1,
			.transmitted = true,
		};

		if (next_random(&seed) % 2)
			a.end_seq = a.seq + (a.end_seq >> 1);
		flows_count(f, &s.id, &a);
	}
	assert_true(flows_size(f) <= 4);
}

/* ---- the copy before, and its verdict ---- */

/* One that began at @sent_ns, and what is known of the one before at its first byte; NULL: nothing. */
static const struct flows_copy *copy_at(struct sock *s, uint32_t seq, uint32_t end_seq, uint64_t sent_ns)
{
	struct flows_attempt a = {
		.seq = seq,
		.end_seq = end_seq,
		.snd_una = s->snd_una,
		.total_before = s->total,
		.total_after = s->total + 1,
		.transmitted = true,
		.copy = { .sent_ns = sent_ns, .tsval = (uint32_t)sent_ns + 1, .ip_id = (uint16_t)sent_ns,
			  .stolen = sent_ns & 1, .failed = sent_ns & 2 },
	};

	s->total++;
	flows_count(f, &s->id, &a);
	return flows_previous(f);
}

static void test_previous_copy(void **state)
{
	struct sock s = make_sock(SK, 1000), other = make_sock(SK + 64, 1000);
	const struct flows_copy *p;

	(void)state;
	assert_null(flows_previous(f));
	assert_null(copy_at(&s, 1000, 2000, 5));
	assert_null(copy_at(&other, 1000, 2000, 6));
	p = copy_at(&s, 1000, 3000, 8);
	assert_non_null(p);
	assert_int_equal(p->sent_ns, 5);
	assert_int_equal(p->tsval, 6);
	assert_int_equal(p->ip_id, 5);
	assert_true(p->stolen);
	assert_false(p->failed);
	/* Of the first byte: the rest may have been sent at other times. */
	p = copy_at(&s, 1500, 1600, 9);
	assert_int_equal(p->sent_ns, 8);
	p = copy_at(&s, 1400, 1600, 10);
	assert_int_equal(p->sent_ns, 8);
	p = copy_at(&s, 1550, 3000, 11);
	assert_int_equal(p->sent_ns, 10);
	assert_true(p->failed);
	p = copy_at(&s, 1000, 1001, 12);
	assert_int_equal(p->sent_ns, 8);
	assert_null(copy_at(&s, 3000, 4000, 13));
	p = copy_at(&other, 1000, 2000, 14);
	assert_int_equal(p->sent_ns, 6);
}

/* It was not sent, so it is no copy; but the one before it is what it would have followed. */
static void test_previous_of_refused(void **state)
{
	struct sock s = make_sock(SK, 1000);

	(void)state;
	copy_at(&s, 1000, 2000, 5);
	refused(&s, 1000, 2000);
	assert_int_equal(flows_previous(f)->sent_ns, 5);
	assert_int_equal(copy_at(&s, 1000, 2000, 9)->sent_ns, 5);
}

/* Acknowledged in part: the rest keeps its copy. What another lap or another socket sent is no copy of this. */
static void test_previous_forgotten(void **state)
{
	struct sock s = make_sock(SK, 1000);

	(void)state;
	copy_at(&s, 1000, 3000, 5);
	s.snd_una = 2000;
	assert_int_equal(copy_at(&s, 1000, 3000, 6)->sent_ns, 5); /* not trimmed yet */
	unmarked(&s, 2000, 3000);
	assert_null(flows_previous(f));
	copy_at(&s, 2000, 3000, 7);
	s.total++; /* one went by unseen: it may have been that */
	assert_null(copy_at(&s, 2000, 3000, 8));
	s.id.rport++;
	assert_null(copy_at(&s, 2000, 3000, 9));
	/* Forgotten for want of room. */
	for (uint64_t i = 1; i <= 64; i++) {
		struct sock x = make_sock(SK + i * 64, 0);

		copy_at(&x, 0, 1, 1);
	}
	assert_null(copy_at(&s, 2000, 3000, 10));
}

static void test_cause_is_remembered(void **state)
{
	struct sock s = make_sock(SK, 1000), other = make_sock(SK + 64, 1000);
	uint8_t cause = 99;

	(void)state;
	flows_set_cause(f, 1); /* nobody is there */
	assert_false(flows_cause(f, &s.id, 1000, 2000, &cause));
	copy_at(&s, 1000, 2000, 5);
	flows_set_cause(f, 1);
	copy_at(&s, 2000, 3000, 6);
	flows_set_cause(f, 2);
	copy_at(&other, 1000, 5000, 7);
	flows_set_cause(f, 3);
	assert_true(flows_cause(f, &s.id, 1000, 2000, &cause));
	assert_int_equal(cause, 1);
	assert_true(flows_cause(f, &s.id, 2500, 2600, &cause));
	assert_int_equal(cause, 2);
	assert_true(flows_cause(f, &other.id, 1000, 1001, &cause));
	assert_int_equal(cause, 3);
	/* The last of those that overlap. */
	assert_true(flows_cause(f, &s.id, 0, 9000, &cause));
	assert_int_equal(cause, 2);
	/* No range: the last of the socket. */
	assert_true(flows_cause(f, &s.id, 0, 0, &cause));
	assert_int_equal(cause, 2);
	/* Next to them. */
	assert_false(flows_cause(f, &s.id, 0, 1000, &cause));
	assert_false(flows_cause(f, &s.id, 3000, 4000, &cause));
	/* The next copy of the same bytes has its own. */
	copy_at(&s, 1000, 1500, 8);
	flows_set_cause(f, 4);
	assert_true(flows_cause(f, &s.id, 1000, 1001, &cause));
	assert_int_equal(cause, 4);
	assert_true(flows_cause(f, &s.id, 1500, 1501, &cause));
	assert_int_equal(cause, 1);
	assert_int_equal(copy_at(&s, 1000, 1001, 9)->cause, 4);
	/* Another connection at the same address. */
	s.id.lport++;
	assert_false(flows_cause(f, &s.id, 1000, 2000, &cause));
	/* Which is no use of it. */
	assert_int_equal(flows_size(f), 2);
}

static void test_sk_drops(void **state)
{
	static const struct {
		uint32_t sk_drops;
		bool rose;
	} row[] = { { 0, false }, { 0, false }, { 3, true }, { 3, false }, { 4, true } };
	struct flows_attempt a = { .seq = 0, .end_seq = 10, .transmitted = true, .total_before = 7, .total_after = 8 };
	struct sock s = make_sock(SK, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		a.sk_drops = row[i].sk_drops;
		flows_count(f, &s.id, &a);
		assert_int_equal(flows_sk_drops_rose(f), row[i].rose);
		a.total_before++;
		a.total_after++;
	}
	/* Not seen before: they may be from then. */
	s = make_sock(SK + 64, 0);
	flows_count(f, &s.id, &a);
	assert_true(flows_sk_drops_rose(f));
}

/* By the socket's own counter. */
static void test_unseen(void **state)
{
	struct sock s = make_sock(SK, 0);

	(void)state;
	marked(&s, 0, 10);
	assert_int_equal(flows_unseen(f), 0);
	marked(&s, 10, 20);
	assert_int_equal(flows_unseen(f), 0);
	s.total += 3;
	assert_int_equal(marked(&s, 0, 10), 0);
	assert_int_equal(flows_unseen(f), 3);
	/* Once. */
	assert_int_equal(marked(&s, 0, 10), 0);
	assert_int_equal(flows_unseen(f), 0);
	/* A socket that is met for the first time, or whose address is used again, has not been watched. */
	s = make_sock(SK + 64, 0);
	s.total = 9;
	marked(&s, 0, 10);
	assert_int_equal(flows_unseen(f), 0);
	s.total = 4;
	marked(&s, 0, 10);
	assert_int_equal(flows_unseen(f), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_kth),
		TEST(test_refused_is_not_counted),
		TEST(test_refused_untrimmed),
		TEST(test_overlaps),
		TEST(test_sack_holes),
		TEST(test_wrap),
		TEST(test_acknowledged),
		TEST(test_another_lap),
		TEST(test_older_than_rebpf),
		TEST(test_how_loss_began),
		TEST(test_missed_attempts),
		TEST(test_address_used_again),
		TEST(test_least_recently_used),
		TEST(test_many_sockets),
		TEST(test_bound_of_ranges),
		TEST(test_bound_of_memory),
		TEST(test_model),
		TEST(test_impossible_range),
		TEST(test_hostile),
		TEST(test_previous_copy),
		TEST(test_previous_of_refused),
		TEST(test_previous_forgotten),
		TEST(test_cause_is_remembered),
		TEST(test_sk_drops),
		TEST(test_unseen),
	};

	return cmocka_run_group_tests_name("flows", tests, NULL, NULL);
}
