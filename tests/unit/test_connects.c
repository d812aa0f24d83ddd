// SPDX-License-Identifier: MIT
/* links: src/connects.c src/evidence.c src/places.c src/meaning.c src/meaning_table.c src/meaning_places.c src/names.c src/reasons.c src/util.c */
/* From CONNECT records to connect events: results, times, and the drop that killed a SYN or its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "connects.h"
#include "records.h"

#define MS 1000000ULL
#define ISN 777u
#define STATE_ESTABLISHED 1
#define STATE_CLOSE 7
#define LOCATION 0xffffffff81000007ULL

static struct names *names;
static struct places *places;
static struct evidence *evidence;
static struct connects *connects;
static struct ev_connect told[128];
static uint64_t told_ns[128];
static unsigned int count;

static void on_connect(void *ctx, uint64_t ended_ns, const struct ev_connect *ev)
{
	assert_ptr_equal(ctx, &count);
	assert_true(count < 128);
	told_ns[count] = ended_ns;
	told[count++] = *ev;
}

static int setup(void **state)
{
	union record n, s;

	(void)state;
	record_ns = 1000 * MS;
	count = 0;
	names = names_new();
	places = places_new(names);
	evidence = evidence_new(64);
	connects = connects_new(places, evidence, on_connect, &count);
	assert_non_null(connects);
	n = make_reason(7, "NETFILTER_DROP");
	s = make_symbol(LOCATION, "nft_do_chain", 0);
	names_learn_reason(names, &n.rec_reason);
	names_learn_symbol(names, &s.rec_symbol);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	connects_free(connects);
	evidence_free(evidence);
	places_free(places);
	names_free(names);
	return 0;
}

/* Ended now; its SYN was sent 50 ms ago. */
static struct rec_connect make_connect(uint8_t to, uint32_t err)
{
	union record r = RECORD(CONNECT, rec_connect);
	struct rec_connect *c = &r.rec_connect;

	record_ns = c->h.ts_ns += 60 * MS;
	c->flow = make_flow(SK);
	c->owner = (struct rec_owner){ .tgid = 1234, .comm = "curl" };
	c->begin_ns = c->h.ts_ns - 51 * MS;
	c->syn_ns = c->h.ts_ns - 50 * MS;
	c->isn = ISN;
	c->err = err;
	c->state = to;
	c->bits = CONNECT_SYN_SENT;
	return *c;
}

static const struct ev_connect *tell(const struct rec_connect *r)
{
	count = 0;
	assert_true(connects_take(connects, r, false));
	assert_int_equal(count, 0);
	connects_release(connects, r->h.ts_ns);
	assert_int_equal(count, 1);
	return &told[0];
}

/* A SYN of the flow was dropped, or what answers it, so long before the end of @c. */
static void drop(const struct rec_connect *c, uint64_t before_ns, bool answer, uint8_t flags)
{
	union record r = make_dropped(7);
	struct rec_drop *d = &r.rec_drop;

	d->h.ts_ns = c->h.ts_ns - before_ns;
	d->location = LOCATION;
	d->t = answer ? make_tuple(2, 51234, 1, 443) : make_tuple(1, 443, 2, 51234);
	d->sk = answer ? 0 : SK;
	d->tcp_flags = flags;
	d->seq = answer ? 5555 : ISN;
	d->end_seq = d->seq + 1;
	d->ack = answer ? ISN + 1 : 0;
	evidence_add(evidence, d, places_id(places, LOCATION, 7, DROP_SOURCE_KFREE), DROP_FATE_LOST, UNSENT_NOT);
}

static void test_results(void **state)
{
	static const struct {
		uint8_t state, bits;
		uint32_t err;
		enum connect_result result;
	} row[] = {
		{ STATE_ESTABLISHED, CONNECT_SYN_SENT, 0, CONNECT_ESTABLISHED },
		{ STATE_CLOSE, CONNECT_SYN_SENT, ECONNREFUSED, CONNECT_REFUSED },
		{ STATE_CLOSE, CONNECT_SYN_SENT, ECONNRESET, CONNECT_REFUSED },
		{ STATE_CLOSE, CONNECT_SYN_SENT, ETIMEDOUT, CONNECT_TIMEOUT },
		{ STATE_CLOSE, CONNECT_SYN_SENT, EHOSTUNREACH, CONNECT_UNREACHABLE },
		{ STATE_CLOSE, CONNECT_SYN_SENT, ENETUNREACH, CONNECT_UNREACHABLE },
		{ STATE_CLOSE, CONNECT_SYN_SENT, EACCES, CONNECT_UNREACHABLE },
		{ STATE_CLOSE, CONNECT_SYN_SENT, 0, CONNECT_ABORTED },
		{ STATE_CLOSE, CONNECT_SYN_SENT, ECONNABORTED, CONNECT_ABORTED },
		{ STATE_CLOSE, 0, 0, CONNECT_ABORTED }, /* a deferred fast open, closed before it sent */
		{ STATE_CLOSE, CONNECT_IN_CALL, ENETUNREACH, CONNECT_UNREACHABLE },
		{ STATE_CLOSE, CONNECT_IN_CALL, EADDRNOTAVAIL, CONNECT_FAILED },
		{ STATE_CLOSE, CONNECT_IN_CALL, 0, CONNECT_FAILED }, /* no hook saw what it returned */
		{ STATE_CLOSE, CONNECT_SYN_SENT, ENOMEM, CONNECT_FAILED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct rec_connect r = make_connect(row[i].state, row[i].err);

		r.bits = row[i].bits;
		assert_int_equal(connects_result(&r), row[i].result);
		assert_int_equal(tell(&r)->result, row[i].result);
		assert_int_equal(told[0].err, row[i].err);
		assert_int_equal(told[0].syn_sent, row[i].bits & CONNECT_SYN_SENT);
	}
}

static void test_time(void **state)
{
	struct rec_connect r = make_connect(STATE_ESTABLISHED, 0);

	(void)state;
	assert_true(tell(&r)->has_duration);
	assert_int_equal(told[0].duration_us, 50000);
	assert_int_equal(told_ns[0], r.h.ts_ns);
	r.syn_ns = 0; /* none was sent */
	assert_int_equal(tell(&r)->duration_us, 51000);
	r.begin_ns = 0; /* before rebpf */
	assert_false(tell(&r)->has_duration);
	r.syn_ns = r.h.ts_ns + 1; /* a recording may say anything */
	assert_false(tell(&r)->has_duration);
}

static void test_order(void **state)
{
	struct rec_connect r = make_connect(STATE_ESTABLISHED, 0);
	uint64_t first_ns = r.h.ts_ns;

	(void)state;
	count = 0;
	for (int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 100; i++) {
			r.h.ts_ns = first_ns + i;
			assert_true(connects_take(connects, &r, false));
		}
		count = 0;
		connects_release(connects, first_ns - 1);
		assert_int_equal(count, 0);
		connects_release(connects, first_ns + 49);
		assert_int_equal(count, 50);
		connects_release(connects, UINT64_MAX);
		assert_int_equal(count, 100);
		for (unsigned int i = 0; i < 100; i++)
			assert_int_equal(told_ns[i], first_ns + i);
	}
}

static void test_syn_dropped(void **state)
{
	struct rec_connect r = make_connect(STATE_CLOSE, ETIMEDOUT);
	const struct ev_connect *ev;

	(void)state;
	drop(&r, 49 * MS, false, 0x02);
	drop(&r, 30 * MS, false, 0x02);
	r.syn_retrans = 1;
	ev = tell(&r);
	assert_true(ev->cause_drop.place.known);
	assert_string_equal(ev->cause_drop.place.reason, "NETFILTER_DROP");
	assert_string_equal(ev->cause_drop.place.symbol, "nft_do_chain");
	assert_int_equal(ev->cause_drop.age_us, 30000); /* the last one */
	assert_int_equal(ev->cause_drop.seq, ISN);
	assert_int_equal(ev->syn_retrans, 1);
}

static void test_answer_dropped(void **state)
{
	struct rec_connect r = make_connect(STATE_ESTABLISHED, 0);

	(void)state;
	drop(&r, 40 * MS, false, 0x02);
	drop(&r, 20 * MS, true, 0x12);
	r.syn_retrans = 2;
	assert_true(tell(&r)->cause_drop.place.known);
	assert_int_equal(told[0].cause_drop.age_us, 20000);
	assert_int_equal(told[0].cause_drop.seq, 5555);
	/* A reset is an answer, too. */
	r = make_connect(STATE_CLOSE, ETIMEDOUT);
	drop(&r, 10 * MS, true, 0x14);
	assert_int_equal(tell(&r)->cause_drop.age_us, 10000);
}

/* The only SYN came through, and the answer came again: 100 ms later at least, else one was too many. */
static void test_answered_again(void **state)
{
	struct rec_connect r = make_connect(STATE_ESTABLISHED, 0);

	(void)state;
	r.syn_ns = r.h.ts_ns - 300 * MS;
	drop(&r, 250 * MS, false, 0x02);
	drop(&r, 99 * MS, true, 0x12);
	assert_false(tell(&r)->cause_drop.place.known);
	drop(&r, 200 * MS, true, 0x12);
	assert_true(tell(&r)->cause_drop.place.known);
	assert_int_equal(told[0].cause_drop.age_us, 200000);
	assert_int_equal(told[0].cause_drop.seq, 5555);
}

/* Neither what came before the SYN, or after the end, nor what did not matter. */
static void test_no_drop(void **state)
{
	struct rec_connect r = make_connect(STATE_CLOSE, ETIMEDOUT);

	(void)state;
	assert_false(tell(&r)->cause_drop.place.known);
	drop(&r, 51 * MS, false, 0x02);
	assert_false(tell(&r)->cause_drop.place.known);
	drop(&r, -MS, false, 0x02);
	assert_false(tell(&r)->cause_drop.place.known);
	r = make_connect(STATE_ESTABLISHED, 0);
	drop(&r, 10 * MS, false, 0x02);
	assert_false(tell(&r)->cause_drop.place.known); /* nothing had to be sent again */
	r.syn_retrans = 1;
	assert_true(tell(&r)->cause_drop.place.known);
	r.syn_ns = 0;
	assert_false(tell(&r)->cause_drop.place.known);
}

/* The end in the sequence space, and another socket with the same addresses in another namespace. */
static void test_wrap(void **state)
{
	struct rec_connect r = make_connect(STATE_CLOSE, ETIMEDOUT);
	union record d = make_dropped(7);

	(void)state;
	r.isn = UINT32_MAX;
	d.rec_drop.h.ts_ns = r.h.ts_ns - 5 * MS;
	d.rec_drop.t = make_tuple(1, 443, 2, 51234);
	d.rec_drop.sk = SK2;
	d.rec_drop.tcp_flags = 0x02;
	d.rec_drop.seq = UINT32_MAX;
	d.rec_drop.end_seq = 0;
	evidence_add(evidence, &d.rec_drop, places_id(places, LOCATION, 7, DROP_SOURCE_KFREE), DROP_FATE_LOST, UNSENT_NOT);
	assert_false(tell(&r)->cause_drop.place.known);
	d.rec_drop.sk = SK;
	evidence_add(evidence, &d.rec_drop, places_id(places, LOCATION, 7, DROP_SOURCE_KFREE), DROP_FATE_LOST, UNSENT_NOT);
	assert_true(tell(&r)->cause_drop.place.known);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_results), TEST(test_time), TEST(test_order), TEST(test_syn_dropped), TEST(test_answer_dropped),
		TEST(test_answered_again), TEST(test_no_drop), TEST(test_wrap),
	};

	return cmocka_run_group_tests_name("connects", tests, NULL, NULL);
}
