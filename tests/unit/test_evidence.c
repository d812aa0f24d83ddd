// SPDX-License-Identifier: MIT
/* links: src/evidence.c src/util.c */
/* Which of the dropped packets was the previous copy of a segment, or its acknowledgement? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "evidence.h"
#include "records.h"

#define T0 1000000000ULL /* when the previous copy was sent */
#define MS 1000000ULL
#define SIZE 64 /* of the history, the least that there is */

static struct evidence *e;
static struct evidence_query q;
static struct evidence_answer a;

static int setup(void **state)
{
	(void)state;
	record_ns = T0;
	e = evidence_new(SIZE);
	assert_non_null(e);
	q = (struct evidence_query){
		.t = make_tuple(1, 443, 2, 51234),
		.seq = SEQ,
		.end_seq = SEQ + MSS,
		.ack_seq = 0x40000000,
		.snd_nxt = SEQ + 10 * MSS,
		.from_ns = T0,
		.until_ns = T0 + 100 * MS,
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	evidence_free(e);
	return 0;
}

static void add(union record r, enum drop_fate fate)
{
	evidence_add(e, &r.rec_drop, 7, fate, UNSENT_NOT);
}

static void add_unsent(union record r, enum drop_fate fate, enum evidence_unsent unsent)
{
	evidence_add(e, &r.rec_drop, 7, fate, unsent);
}

static void lose(union record r)
{
	add(r, DROP_FATE_LOST);
}

static union record dropped(uint32_t seq, uint32_t end_seq)
{
	union record r = make_dropped(0);

	r.rec_drop.seq = seq;
	r.rec_drop.end_seq = end_seq;
	return r;
}

static union record dropped_ack(uint32_t ack)
{
	union record r = make_dropped_ack(0);

	r.rec_drop.ack = ack;
	return r;
}

static void ask(void)
{
	memset(&a, 0xa5, sizeof(a));
	evidence_ask(e, &q, &a);
}

/* Asks and expects nothing at all. */
#define assert_nothing()                                                                      \
	do {                                                                                  \
		ask();                                                                        \
		assert_false(a.lost.found || a.ack_lost.found);                               \
		assert_false(a.delivered || a.unclear || a.driver || a.nat || a.forgotten);   \
		assert_int_equal(a.covered, 0);                                               \
	} while (0)

#define assert_lost(bytes)                            \
	do {                                          \
		ask();                                \
		assert_true(a.lost.found);            \
		assert_int_equal(a.covered, bytes);   \
	} while (0)

/* Only this packet: a new history. */
static void only(union record r, enum drop_fate fate)
{
	evidence_free(e);
	e = evidence_new(SIZE);
	assert_non_null(e);
	add(r, fate);
}

/* ---- the range ---- */

static void test_plain(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	assert_nothing();
	r.rec_drop.owner.tgid = 1234;
	lose(r);
	assert_lost(MSS);
	assert_int_equal(a.lost.place, 7);
	assert_int_equal(a.lost.ts_ns, r.h.ts_ns);
	assert_int_equal(a.lost.seq, SEQ);
	assert_int_equal(a.lost.end_seq, SEQ + MSS);
	assert_int_equal(a.lost.netns, NETNS);
	assert_int_equal(a.lost.pid, 1234);
	assert_string_equal(a.lost.ifname, "eth0");
	assert_false(a.lost.nat || a.ack_lost.found || a.unclear || a.nat || a.forgotten);
}

/* It is the first byte that counts; what else was dropped is covered, no more. */
static void test_first_byte(void **state)
{
	static const struct {
		uint32_t seq, end_seq;
		bool found;
		uint32_t covered;
	} row[] = {
		{ SEQ, SEQ + 1, true, 1 },
		{ SEQ - 1, SEQ + 1, true, 1 },
		{ SEQ - 1, SEQ, false, 0 },
		{ SEQ, SEQ, false, 0 },
		{ SEQ + 1, SEQ + MSS, false, MSS - 1 },
		{ SEQ + MSS, SEQ + 2 * MSS, false, 0 },
		{ SEQ - MSS, SEQ + 5 * MSS, true, MSS },
		{ SEQ + MSS - 1, SEQ + 2 * MSS, false, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		only(dropped(row[i].seq, row[i].end_seq), DROP_FATE_LOST);
		ask();
		assert_int_equal(a.lost.found, row[i].found);
		assert_int_equal(a.covered, row[i].covered);
	}
}

/* A buffer of many segments may be freed whole or in its parts; no byte is counted twice. */
static void test_covered(void **state)
{
	(void)state;
	q.end_seq = SEQ + 6 * MSS;
	lose(dropped(SEQ + 4 * MSS, SEQ + 5 * MSS));
	lose(dropped(SEQ, SEQ + MSS));
	assert_lost(2 * MSS);
	assert_int_equal(a.lost.seq, SEQ);
	lose(dropped(SEQ + 3 * MSS, SEQ + 4 * MSS));
	lose(dropped(SEQ + 4 * MSS, SEQ + 5 * MSS));
	assert_lost(3 * MSS);
	lose(dropped(SEQ + MSS / 2, SEQ + MSS + 7));
	assert_lost(3 * MSS + 7);
	lose(dropped(SEQ - MSS, SEQ + 40 * MSS));
	assert_lost(6 * MSS);
}

/* The other parts were lost here, the first was not. */
static void test_covered_without_first(void **state)
{
	(void)state;
	q.end_seq = SEQ + 3 * MSS;
	lose(dropped(SEQ + MSS, SEQ + 2 * MSS));
	lose(dropped(SEQ + 2 * MSS, SEQ + 3 * MSS));
	ask();
	assert_false(a.lost.found);
	assert_int_equal(a.covered, 2 * MSS);
}

static void test_syn_and_fin(void **state)
{
	(void)state;
	q.end_seq = SEQ + 1;
	q.snd_nxt = SEQ + 1;
	lose(dropped(SEQ, SEQ + 1));
	assert_lost(1);
	/* A fast open SYN is sent again without its data. */
	only(dropped(SEQ, SEQ + 500), DROP_FATE_LOST);
	assert_lost(1);
	/* The data before the FIN is none of it. */
	only(dropped(SEQ - 500, SEQ), DROP_FATE_LOST);
	assert_nothing();
	only(dropped(SEQ - 500, SEQ + 1), DROP_FATE_LOST);
	assert_lost(1);
}

/* Keepalives, window probes and pure acknowledgements of our own carry no byte. */
static void test_packets_without_bytes(void **state)
{
	(void)state;
	lose(dropped(SEQ, SEQ));
	lose(dropped(SEQ - 1, SEQ - 1));
	lose(dropped(SEQ + MSS, SEQ + MSS));
	assert_nothing();
}

static void test_wrap(void **state)
{
	(void)state;
	q.seq = 0xfffffff0;
	q.end_seq = 0x100;
	q.snd_nxt = 0x1000;
	lose(dropped(0xfffffe00, 0xfffffff0));
	assert_nothing();
	lose(dropped(0xfffffe00, 0xfffffff1));
	assert_lost(1);
	lose(dropped(0, 0x80));
	assert_lost(0x81);
	lose(dropped(0x80, 0x900));
	assert_lost(0x101);
	/* Half a lap away. */
	only(dropped(0x7ffffff0, 0x80000100), DROP_FATE_LOST);
	assert_nothing();
	/* The answer's numbers wrap as well. */
	only(dropped_ack(0xfffffff0), DROP_FATE_LOST);
	assert_nothing();
	only(dropped_ack(0xfffffff1), DROP_FATE_LOST);
	ask();
	assert_true(a.ack_lost.found);
	only(dropped_ack(0x1000), DROP_FATE_LOST);
	ask();
	assert_true(a.ack_lost.found);
	only(dropped_ack(0x1001), DROP_FATE_LOST);
	assert_nothing();
	/* The first byte after the turn. */
	q.seq = 0;
	only(dropped(0xffffff00, 1), DROP_FATE_LOST);
	assert_lost(1);
	only(dropped(0xffffff00, 0), DROP_FATE_LOST);
	assert_nothing();
}

/* ---- the window ---- */

static void test_window(void **state)
{
	static const struct {
		int64_t offset;
		bool found;
	} row[] = {
		{ -1, false }, { 0, true }, { 1, true }, { 100 * MS, true }, { 100 * MS + 1, false },
		{ -(int64_t)MS, false }, { -50 * (int64_t)MS, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		union record r = make_dropped(0), ack = make_dropped_ack(0);

		r.h.ts_ns = ack.h.ts_ns = T0 + (uint64_t)row[i].offset;
		only(r, DROP_FATE_LOST);
		add(ack, DROP_FATE_LOST);
		ask();
		assert_int_equal(a.lost.found, row[i].found);
		assert_int_equal(a.ack_lost.found, row[i].found);
	}
}

/* Records of several CPUs are not quite in the order of time. */
static void test_disorder(void **state)
{
	union record r = make_dropped(0), later = dropped(SEQ + 5 * MSS, SEQ + 6 * MSS);

	(void)state;
	later.h.ts_ns = T0 - MS / 2;
	r.h.ts_ns = T0 + MS / 4;
	lose(r);
	for (int i = 0; i < 5; i++)
		lose(later);
	assert_lost(MSS);
}

/* The virtual CPU stood still between reserving the record and reading the clock: what lies behind it is older. */
static void test_late_clock(void **state)
{
	union record r = make_dropped(0), older = dropped(SEQ - 1, SEQ - 1);

	(void)state;
	r.h.ts_ns = T0 + 10 * MS;
	older.h.ts_ns = T0 - 2 * MS;
	lose(r);
	lose(older);
	assert_lost(MSS);
}

/* Of several the last one that happened is named. */
static void test_newest(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		union record r = make_dropped(0);

		r.h.ts_ns = T0 + (uint64_t)(i == 1 ? 9 : i) * 1000;
		evidence_add(e, &r.rec_drop, 10 + (uint32_t)i, DROP_FATE_LOST, UNSENT_NOT);
	}
	assert_lost(MSS);
	assert_int_equal(a.lost.place, 11);
	assert_int_equal(a.lost.ts_ns, T0 + 9000);
}

/* ---- an older copy, freed late ---- */

static void test_older_copy_by_tsval(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	q.tsval = 5000;
	r.rec_drop.tsval = 4000;
	only(r, DROP_FATE_LOST);
	assert_nothing();
	r.rec_drop.tsval = 5000;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.tsval = 5200;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	/* The value turns over. */
	q.tsval = 10;
	r.rec_drop.tsval = (uint32_t)-400;
	only(r, DROP_FATE_LOST);
	assert_nothing();
	q.tsval = (uint32_t)-400;
	r.rec_drop.tsval = 10;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	/* Not known of the packet: it may be the one. */
	r.rec_drop.tsval = 0;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
}

static void test_older_copy_by_ip_id(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	q.ip_id = 500;
	r.rec_drop.ip_id = 499;
	only(r, DROP_FATE_LOST);
	assert_nothing();
	r.rec_drop.ip_id = 500;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	/* A segment of the same buffer. */
	r.rec_drop.ip_id = 540;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	q.ip_id = 65530;
	r.rec_drop.ip_id = 5;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.ip_id = 65529;
	only(r, DROP_FATE_LOST);
	assert_nothing();
	/* Not known. */
	r.rec_drop.ip_id = 0;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	/* The time stamp says more. */
	q.tsval = 5000;
	r.rec_drop.tsval = 5000;
	r.rec_drop.ip_id = 65529;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.tsval = 4000;
	r.rec_drop.ip_id = 65530;
	only(r, DROP_FATE_LOST);
	assert_nothing();
}

/* 64 would be too few for a buffer of small segments: 64 kB of 536 bytes are 122. */
static void test_ip_id_of_many_segments(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	q.ip_id = 1000;
	r.rec_drop.ip_id = 2024;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.ip_id = 2025;
	only(r, DROP_FATE_LOST);
	assert_nothing();
}

/* Each copy has its own departure time, which a program may put off: nothing else is asked, where both are known. */
static void test_older_copy_by_departure(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	q.stamp_ns = T0 + 5;
	r.rec_drop.stamp_ns = T0 + 5;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.stamp_ns = T0 + 6;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.stamp_ns = T0 + 4;
	only(r, DROP_FATE_LOST);
	assert_nothing();
	/* It is the one, though the coarser signs would not have it. */
	q.tsval = 5000;
	q.ip_id = 500;
	r.rec_drop.stamp_ns = T0 + 5;
	r.rec_drop.tsval = 4000;
	r.rec_drop.ip_id = 499;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	/* It is not, though they would. */
	r.rec_drop.stamp_ns = T0 + 4;
	r.rec_drop.tsval = 5000;
	r.rec_drop.ip_id = 500;
	only(r, DROP_FATE_LOST);
	assert_nothing();
	/* Cleared on its way: they decide. */
	r.rec_drop.stamp_ns = 0;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.tsval = 4000;
	only(r, DROP_FATE_LOST);
	assert_nothing();
	/* Of the previous one it is not known. */
	q.stamp_ns = 0;
	r.rec_drop.stamp_ns = T0 + 4;
	r.rec_drop.tsval = 5000;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	/* Translated, it is the same copy. */
	q.stamp_ns = T0 + 5;
	q.has_ts = true;
	q.ts_from = 4900;
	q.ts_until = 5100;
	r.rec_drop.t = make_tuple(9, 60000, 8, 80);
	only(r, DROP_FATE_LOST);
	assert_nothing();
	r.rec_drop.stamp_ns = T0 + 5;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	/* An acknowledgement has none of the sender's. */
	r = make_dropped_ack(0);
	r.rec_drop.stamp_ns = T0 + 77;
	only(r, DROP_FATE_LOST);
	ask();
	assert_true(a.ack_lost.found);
}

/* A drop inside the call that first sent the segment: TCP that heard of it keeps the segment, and sends it later. */
static void test_unsent(void **state)
{
	static const struct {
		enum evidence_unsent unsent;
		bool skip, lost, unclear;
	} row[] = {
		{ UNSENT_NOT, false, true, false },
		{ UNSENT_FAILED, false, true, false },
		{ UNSENT_SUCCEEDED, false, true, false },
		{ UNSENT_UNCLEAR, false, true, false },
		{ UNSENT_NOT, true, true, false },
		{ UNSENT_FAILED, true, false, false },
		{ UNSENT_SUCCEEDED, true, true, false },
		{ UNSENT_UNCLEAR, true, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		q.skip_unsent = row[i].skip;
		only(dropped(SEQ - 1, SEQ - 1), DROP_FATE_COPY);
		add_unsent(make_dropped(0), DROP_FATE_LOST, row[i].unsent);
		ask();
		assert_int_equal(a.lost.found, row[i].lost);
		assert_int_equal(a.unclear, row[i].unclear);
		assert_int_equal(a.covered, row[i].lost ? MSS : 0);
	}
	/* Only of the first byte, and only where it was a loss. */
	only(dropped(SEQ - 1, SEQ - 1), DROP_FATE_COPY);
	add_unsent(dropped(SEQ + 1, SEQ + MSS), DROP_FATE_LOST, UNSENT_UNCLEAR);
	assert_nothing();
	add_unsent(make_dropped(0), DROP_FATE_DRIVER, UNSENT_UNCLEAR);
	ask();
	assert_true(a.driver && !a.unclear && !a.lost.found);
	add_unsent(make_dropped(0), DROP_FATE_DELIVERED, UNSENT_FAILED);
	ask();
	assert_false(a.delivered);
	/* A later one of the same bytes counts. */
	lose(make_dropped(0));
	assert_lost(MSS);
}

/* ---- one copy by its departure time ---- */

static void test_find_copy(void **state)
{
	struct rec_tuple t = make_tuple(1, 443, 2, 51234), back = make_tuple(2, 51234, 1, 443);
	union record r = make_dropped(0), older = make_dropped(0), nat = make_dropped(0);
	struct evidence_drop d;

	(void)state;
	assert_false(evidence_find_copy(e, &t, T0 + 5, 0, UINT64_MAX, &d));
	r.h.ts_ns = T0 + MS;
	r.rec_drop.stamp_ns = T0 + 5;
	older.h.ts_ns = T0 + 2 * MS;
	older.rec_drop.stamp_ns = T0 + 4;
	nat.rec_drop.t = make_tuple(9, 60000, 8, 80);
	nat.rec_drop.nat[0] = t;
	nat.rec_drop.stamp_ns = T0 + 6;
	lose(r);
	lose(older);
	lose(nat);
	memset(&d, 0xa5, sizeof(d));
	assert_true(evidence_find_copy(e, &t, T0 + 5, T0 + MS, T0 + MS, &d));
	assert_true(d.found && !d.nat);
	assert_int_equal(d.ts_ns, T0 + MS);
	assert_int_equal(d.place, 7);
	assert_string_equal(d.ifname, "eth0");
	assert_true(evidence_find_copy(e, &t, T0 + 4, T0, T0 + 100 * MS, &d));
	assert_int_equal(d.ts_ns, T0 + 2 * MS);
	assert_false(evidence_find_copy(e, &t, T0 + 5, T0 + MS + 1, T0 + 100 * MS, &d));
	assert_false(d.found);
	assert_false(evidence_find_copy(e, &t, T0 + 5, T0, T0 + MS - 1, &d));
	assert_false(evidence_find_copy(e, &t, T0 + 7, T0, T0 + 100 * MS, &d));
	assert_false(evidence_find_copy(e, &back, T0 + 5, T0, T0 + 100 * MS, &d));
	/* Under the addresses that it had when it was dropped. */
	assert_false(evidence_find_copy(e, &t, T0 + 6, T0, T0 + 100 * MS, &d));
}

/* ---- whose packet ---- */

/* The peer's segment is none of ours, whatever its numbers; ours acknowledges nothing of ours. */
static void test_direction(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.t = make_tuple(2, 51234, 1, 443);
	only(r, DROP_FATE_LOST);
	ask();
	assert_false(a.lost.found);
	r = make_dropped(0);
	r.rec_drop.seq = r.rec_drop.end_seq = SEQ + 5 * MSS;
	r.rec_drop.ack = SEQ + MSS;
	only(r, DROP_FATE_LOST);
	assert_nothing();
}

/* The same addresses in another namespace: the packet carries the socket that sent it. */
static void test_other_socket(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	q.sk = SK;
	r.rec_drop.sk = SK;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.sk = SK2;
	only(r, DROP_FATE_LOST);
	assert_nothing();
	/* That one is its receiver. */
	r.rec_drop.received = 1;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	/* Orphaned on its way. */
	r.rec_drop.received = 0;
	r.rec_drop.sk = 0;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.sk = SK2;
	q.sk = 0;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
}

/* A later fragment has no TCP header, hence no ports: it may have been of any segment between the two addresses. */
static void test_fragment(void **state)
{
	(void)state;
	for (int back = 0; back < 2; back++) {
		union record r = make_dropped(0);

		r.rec_drop.t = back ? make_tuple(2, 0, 1, 0) : make_tuple(1, 0, 2, 0);
		r.rec_drop.seq = r.rec_drop.end_seq = r.rec_drop.ack = 0;
		r.rec_drop.tcp_flags = 0;
		only(r, DROP_FATE_LOST);
		ask();
		assert_true(a.unclear && !a.lost.found && !a.ack_lost.found);
		only(r, DROP_FATE_DELIVERED);
		assert_nothing();
		only(r, DROP_FATE_COPY);
		assert_nothing();
		r.rec_drop.t.daddr[3] = 77;
		only(r, DROP_FATE_LOST);
		assert_nothing();
	}
}

static void test_other_flows(void **state)
{
	(void)state;
	for (int i = 0; i < 7; i++) {
		union record r = make_dropped(0);
		struct rec_tuple *t = &r.rec_drop.t;

		t->saddr[3] += i == 0;
		t->daddr[3] += i == 1;
		t->sport += i == 2 || i == 5 || i == 6;
		t->dport += i == 3 || i == 5;
		t->ip_version = i == 4 ? 6 : 4;
		t->daddr[2] += i == 6;
		/* Not our first byte: nothing that translation could have made of it. */
		r.rec_drop.seq++;
		only(r, DROP_FATE_LOST);
		assert_nothing();
	}
}

static void test_ipv6(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	q.t.ip_version = 6;
	q.t.saddr[15] = 1;
	q.t.daddr[15] = 2;
	r.rec_drop.t = q.t;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	r.rec_drop.t.daddr[15] = 3;
	r.rec_drop.seq++;
	only(r, DROP_FATE_LOST);
	assert_nothing();
}

/* It is the tuple, not the namespace or the device, that makes a packet the flow's: it may be anywhere on this host. */
static void test_any_namespace(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.netns = NETNS + 5;
	r.rec_drop.ifindex = 77;
	lose(r);
	assert_lost(MSS);
	assert_int_equal(a.lost.netns, NETNS + 5);
}

static void test_without_addresses(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.t.ip_version = 0;
	lose(r);
	assert_nothing();
}

/* ---- translated ---- */

static void test_conntrack(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		union record r = make_dropped(0), ack = make_dropped_ack(0);

		r.rec_drop.t = make_tuple(9, 60000, 8, 80);
		r.rec_drop.nat[i] = make_tuple(1, 443, 2, 51234);
		r.rec_drop.nat[!i] = make_tuple(9, 60000, 8, 80);
		only(r, DROP_FATE_LOST);
		assert_lost(MSS);
		assert_true(a.lost.nat);
		ack.rec_drop.t = make_tuple(8, 80, 9, 60000);
		ack.rec_drop.nat[i] = make_tuple(2, 51234, 1, 443);
		ack.rec_drop.nat[!i] = ack.rec_drop.t;
		only(ack, DROP_FATE_LOST);
		ask();
		assert_true(a.ack_lost.found && a.ack_lost.nat);
	}
}

/* Tracked, and not yet translated: it is found once, and by its own addresses. */
static void test_conntrack_of_same_tuple(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.nat[0] = r.rec_drop.t;
	r.rec_drop.nat[1] = make_tuple(9, 60000, 2, 51234);
	lose(r);
	assert_lost(MSS);
	assert_false(a.lost.nat);
}

/* Translated where no connection tracking can be read: range and time stamp prove it. */
static void test_foreign_tuple(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.t = make_tuple(9, 60000, 8, 80);
	r.rec_drop.tsval = 7050;
	q.has_ts = true;
	q.ts_from = 7000;
	q.ts_until = 7100;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	assert_true(a.lost.nat);
	for (int i = 0; i < 4; i++) {
		static const struct {
			uint32_t tsval;
			bool found;
		} row[] = { { 6990, false }, { 7000, true }, { 7100, true }, { 7110, false } };

		r.rec_drop.tsval = row[i].tsval;
		only(r, DROP_FATE_LOST);
		ask();
		assert_int_equal(a.lost.found, row[i].found);
		assert_false(a.nat);
	}
	/* Another range at the same time. */
	r.rec_drop.tsval = 7050;
	r.rec_drop.seq = SEQ + 1;
	only(r, DROP_FATE_LOST);
	ask();
	assert_false(a.lost.found || a.nat);
	/* Part of a longer buffer, which began in another step of the index. */
	q.seq = 0x20010;
	q.end_seq = q.seq + MSS;
	q.snd_nxt = q.seq + MSS;
	r.rec_drop.seq = 0x1ff00;
	r.rec_drop.end_seq = 0x21000;
	only(r, DROP_FATE_LOST);
	assert_lost(MSS);
	/* The window of values turns over, as does the index. */
	q.seq = 0x10;
	q.end_seq = 0x100;
	r.rec_drop.seq = 0xffffff00;
	r.rec_drop.end_seq = 0x200;
	q.ts_from = (uint32_t)-50;
	q.ts_until = 50;
	r.rec_drop.tsval = (uint32_t)-3;
	only(r, DROP_FATE_LOST);
	assert_lost(0xf0);
	/* It is an older copy. */
	q.tsval = 20;
	ask();
	assert_false(a.lost.found);
}

/* The unit of the values is not known: a clock in ms, or one in us. */
static void test_unit_unknown(void **state)
{
	static const struct {
		uint32_t tsval;
		bool known, unknown; /* found, by whether the unit is known */
	} row[] = {
		{ 7050, true, true }, { 7050000, false, true }, { 6999996, false, true },
		{ 6999995, false, false }, { 7100004, false, true }, { 7100005, false, false },
	};

	(void)state;
	q.has_ts = true;
	q.ts_from = 7000;
	q.ts_until = 7100;
	q.ts_from_us = 7000000;
	q.ts_until_us = 7100000;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		union record r = make_dropped(0);

		r.rec_drop.t = make_tuple(9, 60000, 8, 80);
		r.rec_drop.tsval = row[i].tsval;
		only(r, DROP_FATE_LOST);
		q.is_unit_unknown = false;
		ask();
		assert_int_equal(a.lost.found, row[i].known);
		q.is_unit_unknown = true;
		ask();
		assert_int_equal(a.lost.found, row[i].unknown);
	}
}

static void test_foreign_fates(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.t = make_tuple(9, 60000, 8, 80);
	r.rec_drop.tsval = 7050;
	q.has_ts = true;
	q.ts_from = 7000;
	q.ts_until = 7100;
	only(r, DROP_FATE_DELIVERED);
	ask();
	assert_true(a.delivered && !a.lost.found);
	only(r, DROP_FATE_UNCLEAR);
	ask();
	assert_true(a.unclear);
	only(r, DROP_FATE_DRIVER);
	ask();
	assert_true(a.driver);
	only(r, DROP_FATE_COPY);
	assert_nothing();
}

/* Without time stamps an equal range and one equal end leave it open. */
static void test_nat_possible(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.t = make_tuple(9, 60000, 2, 51234); /* masqueraded */
	only(r, DROP_FATE_LOST);
	ask();
	assert_true(a.nat && !a.lost.found);
	r.rec_drop.t = make_tuple(1, 443, 9, 60000); /* forwarded to another port */
	only(r, DROP_FATE_LOST);
	ask();
	assert_true(a.nat && !a.lost.found);
	/* One port is no end. */
	r.rec_drop.t = make_tuple(1, 444, 9, 51234);
	only(r, DROP_FATE_LOST);
	assert_nothing();
	/* Not the same bytes. */
	r.rec_drop.t = make_tuple(9, 60000, 2, 51234);
	r.rec_drop.seq++;
	only(r, DROP_FATE_LOST);
	ask();
	assert_false(a.nat || a.lost.found);
	/* The flow has time stamps, the packet has none; and the other way round. */
	r.rec_drop.seq--;
	q.has_ts = true;
	q.ts_until = 1000;
	only(r, DROP_FATE_LOST);
	ask();
	assert_true(a.nat && !a.lost.found);
	q.has_ts = false;
	r.rec_drop.tsval = 7;
	only(r, DROP_FATE_LOST);
	ask();
	assert_true(a.nat && !a.lost.found);
	/* It arrived, or it was somebody else's. */
	only(r, DROP_FATE_DELIVERED);
	ask();
	assert_false(a.nat);
	only(r, DROP_FATE_COPY);
	assert_nothing();
}

/* Translated out of sight: the segment is larger than what is retransmitted of it. */
static void test_nat_of_larger_range(void **state)
{
	(void)state;
	for (int big = 0; big < 2; big++) {
		union record r = make_dropped(0);

		q.has_ts = big;
		q.ts_from = 7000;
		q.ts_until = 7100;
		if (big) {
			/* BIG TCP: half a megabyte in one buffer, which began more than two steps of the index before. */
			q.seq = 500000;
			q.end_seq = q.seq + MSS;
			q.snd_nxt = q.seq + MSS;
			r.rec_drop.seq = 100000;
			r.rec_drop.end_seq = 600000;
			r.rec_drop.tsval = 7050;
		} else {
			r.rec_drop.end_seq = SEQ + 10 * MSS;
		}
		r.rec_drop.t = make_tuple(9, 60000, 2, 51234);
		only(r, DROP_FATE_LOST);
		ask();
		assert_int_equal(a.lost.found, big);
		assert_int_equal(a.nat, !big);
	}
}

/* The peer sends data too: its packets are ahead of what we have received. */
static void test_foreign_ack_ahead(void **state)
{
	union record r = make_dropped_ack(0);

	(void)state;
	q.has_ts = true;
	q.ts_from = 7000;
	q.ts_until = 7100;
	r.rec_drop.t = make_tuple(8, 80, 9, 60000);
	r.rec_drop.seq = q.ack_seq + 70000;
	r.rec_drop.end_seq = r.rec_drop.seq + MSS;
	r.rec_drop.tsecr = 7050;
	lose(r);
	ask();
	assert_true(a.ack_lost.found && a.ack_lost.nat);
}

/* A delayed or selective acknowledgement echoes the time stamp of an earlier segment: it may still be the one. */
static void test_foreign_ack_with_older_echo(void **state)
{
	static const struct {
		uint32_t tsecr;
		bool found;
	} row[] = {
		{ 99980, true }, { 50000, true }, { 40004, true }, { 40003, false }, { 100104, true }, { 100105, false },
	};

	(void)state;
	q.has_ts = true;
	q.ts_from = 100000;
	q.ts_until = 100100;
	q.ts_second = 1000;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		union record r = make_dropped_ack(0);

		r.rec_drop.t = make_tuple(2, 51234, 9, 60000);
		r.rec_drop.tsecr = row[i].tsecr;
		only(r, DROP_FATE_LOST);
		ask();
		assert_int_equal(a.ack_lost.found, row[i].found);
		assert_int_equal(a.nat, !row[i].found);
	}
	/* The copy's own value must be in the window. */
	for (int older = 0; older < 2; older++) {
		union record r = make_dropped(0);

		r.rec_drop.t = make_tuple(9, 60000, 8, 80);
		r.rec_drop.tsval = older ? 99980 : 100000;
		only(r, DROP_FATE_LOST);
		ask();
		assert_int_equal(a.lost.found, !older);
	}
}

/* A SYN-ACK of other addresses is found by what it acknowledges: ours, and the peer's. */
static void test_foreign_synack(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	q.end_seq = SEQ + 1;
	q.snd_nxt = SEQ + 1;
	q.has_ts = true;
	q.ts_from = 7000;
	q.ts_until = 7100;
	q.ts_second = 1000;
	q.is_synack = true;
	r.rec_drop.t = make_tuple(9, 60000, 8, 80);
	r.rec_drop.end_seq = SEQ + 1;
	r.rec_drop.tcp_flags = TCP_SYN | TCP_ACK;
	r.rec_drop.tsval = 7050;
	only(r, DROP_FATE_LOST);
	assert_lost(1);
	assert_true(a.lost.nat);
	r.rec_drop.ack++;
	only(r, DROP_FATE_LOST);
	assert_nothing();
	/* The answer to our SYN: its own numbers are not known yet. */
	q.is_synack = false;
	q.is_syn = true;
	q.ack_seq = 0;
	r = make_dropped_ack(0);
	r.rec_drop.t = make_tuple(8, 80, 9, 60000);
	r.rec_drop.seq = 0x12345678;
	r.rec_drop.end_seq = r.rec_drop.seq + 1;
	r.rec_drop.ack = SEQ + 1;
	r.rec_drop.tcp_flags = TCP_SYN | TCP_ACK;
	r.rec_drop.tsecr = 7050;
	only(r, DROP_FATE_LOST);
	ask();
	assert_true(a.ack_lost.found && a.ack_lost.nat);
	/* Without time stamps one equal end leaves it open. */
	q.has_ts = false;
	ask();
	assert_false(a.ack_lost.found || a.nat);
	r.rec_drop.t = make_tuple(2, 51234, 9, 60000);
	only(r, DROP_FATE_LOST);
	ask();
	assert_true(a.nat && !a.ack_lost.found);
	/* Of another SYN. */
	r.rec_drop.ack = SEQ + 2;
	only(r, DROP_FATE_LOST);
	assert_nothing();
}

static void test_foreign_ack(void **state)
{
	union record r = make_dropped_ack(0);

	(void)state;
	r.rec_drop.t = make_tuple(8, 80, 9, 60000);
	r.rec_drop.seq = r.rec_drop.end_seq = 0x77770100;
	q.ack_seq = 0x77770100;
	q.has_ts = true;
	q.ts_from = 7000;
	q.ts_until = 7100;
	r.rec_drop.tsecr = 7020;
	only(r, DROP_FATE_LOST);
	ask();
	assert_true(a.ack_lost.found && a.ack_lost.nat);
	r.rec_drop.tsecr = 9000;
	only(r, DROP_FATE_LOST);
	ask();
	assert_false(a.ack_lost.found);
	/* No echo: one equal end leaves it open. */
	r.rec_drop.tsecr = 0;
	only(r, DROP_FATE_LOST);
	ask();
	assert_false(a.ack_lost.found || a.nat);
	r.rec_drop.t = make_tuple(2, 51234, 9, 60000);
	only(r, DROP_FATE_LOST);
	ask();
	assert_true(a.nat && !a.ack_lost.found);
	r.rec_drop.ack = SEQ;
	only(r, DROP_FATE_LOST);
	assert_nothing();
}

/* ---- acknowledgements ---- */

static void test_ack(void **state)
{
	static const struct {
		uint32_t ack;
		bool found;
	} row[] = {
		{ SEQ, false },
		{ SEQ + 1, true },
		{ SEQ + MSS, true },
		{ SEQ + 10 * MSS, true },
		{ SEQ + 10 * MSS + 1, false }, /* of what was never sent */
		{ SEQ - 5, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		only(dropped_ack(row[i].ack), DROP_FATE_LOST);
		ask();
		assert_int_equal(a.ack_lost.found, row[i].found);
		assert_false(a.lost.found);
	}
	/* Without the flag the field says nothing. */
	for (int flags = 0; flags < 2; flags++) {
		union record r = dropped_ack(SEQ + 1);

		r.rec_drop.tcp_flags = flags ? TCP_SYN : 0;
		only(r, DROP_FATE_LOST);
		assert_nothing();
	}
}

/* Any segment of the peer carries its acknowledgement: data, SYN-ACK, FIN. */
static void test_ack_with_data(void **state)
{
	union record r = dropped_ack(SEQ + MSS);

	(void)state;
	r.rec_drop.seq = 12345;
	r.rec_drop.end_seq = 12345 + MSS;
	r.rec_drop.tcp_flags = TCP_ACK | TCP_SYN;
	lose(r);
	ask();
	assert_true(a.ack_lost.found);
	assert_int_equal(a.ack_lost.seq, 12345);
}

static void test_sack(void **state)
{
	static const struct {
		uint32_t start, end;
		bool found;
	} row[] = {
		{ SEQ, SEQ + MSS, true },
		{ SEQ - MSS, SEQ + 1, true },
		{ SEQ - MSS, SEQ, false },
		{ SEQ + 1, SEQ + MSS, false },
		{ SEQ + MSS, SEQ + 2 * MSS, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		for (int at = 0; at < REBPF_SACK_BLOCKS; at++) {
			union record r = dropped_ack(SEQ - MSS);

			for (int k = 0; k < REBPF_SACK_BLOCKS; k++)
				r.rec_drop.sack[k] = (struct rec_sack_block){ SEQ + 5 * MSS, SEQ + 6 * MSS };
			r.rec_drop.sack[at] = (struct rec_sack_block){ row[i].start, row[i].end };
			r.rec_drop.sacks = (uint8_t)(at + 1);
			only(r, DROP_FATE_LOST);
			ask();
			assert_int_equal(a.ack_lost.found, row[i].found);
			r.rec_drop.sacks = (uint8_t)at; /* not there */
			only(r, DROP_FATE_LOST);
			assert_nothing();
		}
	}
	/* A file may say any number. */
	for (int i = 0; i < 2; i++) {
		union record r = dropped_ack(SEQ);

		r.rec_drop.sacks = i ? 255 : 5;
		lose(r);
	}
	assert_nothing();
}

static void test_both_lost(void **state)
{
	(void)state;
	lose(make_dropped_ack(0));
	lose(make_dropped(0));
	ask();
	assert_true(a.lost.found && a.ack_lost.found);
}

/* ---- fates ---- */

static void test_fates(void **state)
{
	static const struct {
		enum drop_fate fate;
		bool lost, delivered, unclear, driver;
	} row[] = {
		{ DROP_FATE_LOST, true, false, false, false },
		{ DROP_FATE_DELIVERED, false, true, false, false },
		{ DROP_FATE_UNCLEAR, false, false, true, false },
		{ DROP_FATE_DRIVER, false, false, false, true },
		{ DROP_FATE_COPY, false, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		only(make_dropped(0), row[i].fate);
		ask();
		assert_int_equal(a.lost.found, row[i].lost);
		assert_int_equal(a.delivered, row[i].delivered);
		assert_int_equal(a.unclear, row[i].unclear);
		assert_int_equal(a.driver, row[i].driver);
		assert_int_equal(a.covered, row[i].lost ? MSS : 0);
		/* Not of the first byte: says nothing of it. */
		only(dropped(SEQ + 1, SEQ + MSS), row[i].fate);
		ask();
		assert_false(a.lost.found || a.delivered || a.unclear || a.driver);
		/* Of an acknowledgement. One that had been processed was not lost. */
		only(make_dropped_ack(0), row[i].fate);
		ask();
		assert_int_equal(a.ack_lost.found, row[i].lost);
		assert_int_equal(a.unclear, row[i].unclear);
		assert_int_equal(a.driver, row[i].driver);
		assert_false(a.delivered || a.lost.found);
	}
}

/* Outside the window: of what was sent once only, lost; else it may have arrived before. */
static void test_outside(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		q.is_first = first;
		only(make_dropped(0), DROP_FATE_OUTSIDE);
		ask();
		assert_int_equal(a.lost.found, first);
		assert_int_equal(a.covered, first ? MSS : 0);
		assert_int_equal(a.unclear, !first);
		/* Not the first byte. */
		only(dropped(SEQ + 1, SEQ + MSS), DROP_FATE_OUTSIDE);
		ask();
		assert_false(a.lost.found || a.unclear);
		assert_int_equal(a.covered, first ? MSS - 1 : 0);
		only(make_dropped_ack(0), DROP_FATE_OUTSIDE);
		ask();
		assert_true(a.unclear && !a.ack_lost.found);
	}
}

/* What is certain is not hidden by what is not. */
static void test_fates_together(void **state)
{
	(void)state;
	add(make_dropped(0), DROP_FATE_LOST);
	add(make_dropped(0), DROP_FATE_UNCLEAR);
	add(make_dropped(0), DROP_FATE_COPY);
	ask();
	assert_true(a.lost.found && a.unclear);
}

/* ---- bounds ---- */

static void test_eviction(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	lose(r);
	for (int i = 0; i < SIZE - 1; i++)
		lose(dropped(SEQ + 5 * MSS, SEQ + 6 * MSS));
	assert_lost(MSS);
	assert_false(a.forgotten);
	lose(dropped(SEQ + 5 * MSS, SEQ + 6 * MSS));
	ask();
	assert_false(a.lost.found);
	assert_true(a.forgotten);
	/* What was forgotten is older than the question. */
	q.from_ns = r.h.ts_ns + 1;
	ask();
	assert_false(a.forgotten);
	q.from_ns--;
	ask();
	assert_true(a.forgotten);
}

/* A flood on one flow does not darken the others, unless addresses may have been changed. */
static void test_eviction_of_others(void **state)
{
	unsigned int dark = 0;

	(void)state;
	for (int i = 0; i < 4 * SIZE; i++) {
		union record r = make_dropped(0);

		r.rec_drop.t = make_tuple(70, 7, 71, 8);
		lose(r);
	}
	q.any_addresses = true;
	ask();
	assert_true(a.forgotten);
	q.any_addresses = false;
	for (uint16_t port = 1; port <= 256; port++) {
		q.t.dport = port;
		ask();
		dark += a.forgotten;
	}
	assert_true(dark < 16);
	/* The flow itself, asked from either end. */
	q.t = make_tuple(70, 7, 71, 8);
	ask();
	assert_true(a.forgotten);
	q.t = make_tuple(71, 8, 70, 7);
	ask();
	assert_true(a.forgotten);
}

static void test_eviction_of_translated(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.t = make_tuple(70, 7, 71, 8);
	r.rec_drop.nat[0] = make_tuple(70, 7, 72, 8);
	r.rec_drop.nat[1] = r.rec_drop.t;
	lose(r);
	for (int i = 0; i < SIZE; i++)
		lose(dropped(SEQ + 5 * MSS, SEQ + 6 * MSS));
	q.t = make_tuple(30, 3, 31, 4);
	ask();
	assert_true(a.forgotten);
}

/* Round and round: every packet that is still there is found, no other. */
static void test_circle(void **state)
{
	(void)state;
	q.until_ns = UINT64_MAX;
	for (uint32_t i = 0; i < 20 * SIZE; i++) {
		lose(dropped(i * MSS, (i + 1) * MSS));
		if (i < SIZE || i % 7)
			continue;
		for (uint32_t k = i - SIZE - 3; k <= i + 2; k++) {
			q.seq = k * MSS;
			q.end_seq = q.seq + MSS;
			ask();
			assert_int_equal(a.lost.found, k > i - SIZE && k <= i);
		}
	}
}

/* One packet in many chains, and in one chain several times: with few buckets its keys often share one. */
static void test_same_bucket(void **state)
{
	(void)state;
	for (uint32_t turn = 0; turn < 200; turn++) {
		evidence_free(e);
		e = evidence_new(SIZE);
		for (uint16_t i = 0; i < SIZE; i++) {
			union record r = dropped(SEQ + i * MSS, SEQ + (i + 1u) * MSS);

			r.rec_drop.t = make_tuple(9, 60000 + i, 2, 51234);
			r.rec_drop.nat[0] = make_tuple(1, 1000 + i, 2, 51234);
			r.rec_drop.nat[1] = make_tuple(20, 2000 + i, 2, 51234);
			lose(r);
		}
		for (uint16_t i = 0; i < SIZE; i++) {
			static const struct {
				uint8_t from;
				uint16_t port;
			} row[] = { { 9, 60000 }, { 1, 1000 }, { 20, 2000 } };

			q.seq = SEQ + i * MSS;
			q.end_seq = q.seq + MSS;
			q.snd_nxt = q.end_seq;
			for (int k = 0; k < 3; k++) {
				q.t = make_tuple(row[k].from, row[k].port + i, 2, 51234);
				assert_lost(MSS);
				assert_int_equal(a.lost.nat, k > 0);
				assert_int_equal(a.lost.seq, q.seq);
				q.t.sport += SIZE;
				ask();
				assert_false(a.lost.found);
			}
		}
	}
}

/* All packets of one flow: the oldest is found behind all the others. */
static void test_long_chain(void **state)
{
	union record first = make_dropped(0);

	(void)state;
	evidence_free(e);
	e = evidence_new(50000);
	lose(first);
	q.until_ns = UINT64_MAX;
	for (uint32_t i = 1; i < 50000; i++)
		lose(dropped(SEQ + i * MSS, SEQ + (i + 1) * MSS));
	assert_lost(MSS);
	assert_int_equal(a.lost.ts_ns, first.h.ts_ns);
	assert_false(a.forgotten);
}

/* Too long to be walked: the answer is not complete, and says so. */
static void test_too_long_chain(void **state)
{
	(void)state;
	evidence_free(e);
	e = evidence_new(1 << 17);
	q.until_ns = UINT64_MAX;
	lose(make_dropped(0));
	for (uint32_t i = 0; i < 70000; i++)
		lose(dropped(SEQ + 5 * MSS, SEQ + 6 * MSS));
	ask();
	assert_false(a.lost.found);
	assert_true(a.forgotten);
}

/* More parts than fit: none is invented. */
static void test_many_parts(void **state)
{
	(void)state;
	evidence_free(e);
	e = evidence_new(1024);
	q.end_seq = SEQ + 1000;
	for (uint32_t i = 500; i-- > 0;)
		lose(dropped(SEQ + 2 * i, SEQ + 2 * i + 1));
	ask();
	assert_true(a.lost.found);
	assert_in_range(a.covered, 1, 500);
}

static void test_no_memory_for_nothing(void **state)
{
	(void)state;
	evidence_free(NULL);
	evidence_free(e);
	e = evidence_new(0);
	assert_non_null(e);
	lose(make_dropped(0));
	assert_lost(MSS);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Against a plain model: a list of what is there. Few values, so that they often meet. */
static void check_model(uint32_t seed)
{
	static union record list[400];
	enum drop_fate fate[400];

	for (uint32_t i = 0; i < 400; i++) {
		union record r = dropped(next_random(&seed) % 50, 0);
		bool want = false;

		r.rec_drop.end_seq = r.rec_drop.seq + next_random(&seed) % 20;
		r.rec_drop.t = make_tuple(1 + next_random(&seed) % 2, 443, 3, 5);
		r.h.ts_ns = T0 + i * MS;
		fate[i] = next_random(&seed) % (DROP_FATE_DRIVER + 1);
		list[i] = r;
		add(r, fate[i]);
		q.t = make_tuple(1 + next_random(&seed) % 2, 443, 3, 5);
		q.seq = next_random(&seed) % 50;
		q.end_seq = q.seq + 10;
		q.has_ts = true; /* nothing foreign then, but with a time stamp */
		q.ts_from = q.ts_until = 1;
		q.from_ns = T0 + (i > 30 ? i - next_random(&seed) % 30 : 0) * MS;
		q.until_ns = T0 + (i - next_random(&seed) % 3) * MS;
		ask();
		for (uint32_t k = i + 1; k-- > 0 && i - k < SIZE;) {
			const struct rec_drop *d = &list[k].rec_drop;

			want |= fate[k] == DROP_FATE_LOST && !memcmp(&d->t, &q.t, sizeof(d->t)) && d->seq <= q.seq &&
				q.seq < d->end_seq && d->h.ts_ns >= q.from_ns && d->h.ts_ns <= q.until_ns;
		}
		assert_int_equal(a.lost.found, want);
		assert_false(a.forgotten && i < SIZE);
	}
}

static void test_model(void **state)
{
	for (uint32_t seed = 1; seed <= 50; seed++) {
		teardown(state);
		setup(state);
		check_model(seed);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_plain),
		TEST(test_first_byte),
		TEST(test_covered),
		TEST(test_covered_without_first),
		TEST(test_syn_and_fin),
		TEST(test_packets_without_bytes),
		TEST(test_wrap),
		TEST(test_window),
		TEST(test_disorder),
		TEST(test_late_clock),
		TEST(test_newest),
		TEST(test_older_copy_by_tsval),
		TEST(test_older_copy_by_ip_id),
		TEST(test_ip_id_of_many_segments),
		TEST(test_older_copy_by_departure),
		TEST(test_unsent),
		TEST(test_find_copy),
		TEST(test_direction),
		TEST(test_other_socket),
		TEST(test_fragment),
		TEST(test_other_flows),
		TEST(test_ipv6),
		TEST(test_any_namespace),
		TEST(test_without_addresses),
		TEST(test_conntrack),
		TEST(test_conntrack_of_same_tuple),
		TEST(test_foreign_tuple),
		TEST(test_unit_unknown),
		TEST(test_foreign_fates),
		TEST(test_nat_possible),
		TEST(test_nat_of_larger_range),
		TEST(test_foreign_ack),
		TEST(test_foreign_ack_ahead),
		TEST(test_foreign_ack_with_older_echo),
		TEST(test_foreign_synack),
		TEST(test_ack),
		TEST(test_ack_with_data),
		TEST(test_sack),
		TEST(test_both_lost),
		TEST(test_fates),
		TEST(test_outside),
		TEST(test_fates_together),
		TEST(test_eviction),
		TEST(test_eviction_of_others),
		TEST(test_eviction_of_translated),
		TEST(test_circle),
		TEST(test_same_bucket),
		TEST(test_long_chain),
		TEST(test_too_long_chain),
		TEST(test_many_parts),
		TEST(test_no_memory_for_nothing),
		TEST(test_model),
	};

	return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}
