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
	};

	return cmocka_run_group_tests_name("flows", tests, NULL, NULL);
}
