// SPDX-License-Identifier: MIT
/* links: src/correlate.c src/openset.c src/cause.c src/evidence.c src/hostnet.c src/places.c src/meaning.c src/meaning_table.c src/meaning_places.c src/drops.c src/attempt.c src/classify.c src/flows.c src/names.c src/reasons.c src/util.c */
/*
 * Situations in which the engine says `network` or `local` and must not, or the other way round. Each fails until it is
 * repaired; then it moves to the test of its source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cause.h"
#include "correlate.h"
#include "drops.h"
#include "records.h"

#define MS 1000000ULL
#define NETNS2 (NETNS + 1)
#define ARMED (1000 * MS)
#define SENT (2000 * MS)
#define BEGIN (2200 * MS)
#define RCV_NXT 0x40000000u

static struct attempt a;
static struct cause_context ctx;
static struct flows_copy previous;
static struct ev_retransmit ev;
static struct names *names;
static struct places *places;
static struct evidence *evidence;
static struct hostnet *hostnet;
static struct evidence_query q;
static struct evidence_answer answer;

static void survey_at(uint64_t ns, uint32_t bits)
{
	union record r = make_survey(bits);

	r.rec_survey.h.ts_ns = ns + 1000;
	r.rec_survey.begin_ns = ns;
	hostnet_learn_survey(hostnet, &r.rec_survey);
}

static void link_at(uint64_t ns, uint32_t netns, uint32_t ifindex, uint8_t type, uint32_t bits, uint64_t errors)
{
	union record r = make_link(netns, ifindex, type);

	r.rec_link.h.ts_ns = ns;
	r.rec_link.bits = bits;
	r.rec_link.errors = errors;
	hostnet_learn_link(hostnet, &r.rec_link);
}

static void learn_addr(uint32_t netns, uint8_t last)
{
	union record r = make_addr(netns, last);

	hostnet_learn_addr(hostnet, &r.rec_addr);
}

/* As in test_cause.c: a first retransmission, with entry hooks, of a segment that left by eth0 (2); 3 is a veth. */
static int setup(void **state)
{
	union record e, x, t;

	(void)state;
	record_ns = ARMED;
	names = names_new();
	places = places_new(names);
	evidence = evidence_new(1024);
	hostnet = hostnet_new();
	assert_true(names && places && evidence && hostnet);
	link_at(ARMED, NETNS, 1, LINK_LOOPBACK, 0, 0);
	link_at(ARMED, NETNS, 2, LINK_LEAVES, 0, 0);
	link_at(ARMED, NETNS2, 3, LINK_VIRTUAL, 0, 0);
	learn_addr(NETNS, 1);
	survey_at(ARMED - MS, SURVEY_FULL);
	e = make_entry(SK, SKB);
	x = make_exit(SK, SKB, 0);
	t = make_tc(SK, SKB, COPY);
	memset(&a, 0, sizeof(a));
	memset(&previous, 0, sizeof(previous));
	memset(&ev, 0, sizeof(ev));
	a.sk = SK;
	a.skb = SKB;
	a.begin_ns = BEGIN;
	a.has_entry = a.has_exit = true;
	a.entry = e.rec_rtx_entry;
	a.entry.h.ts_ns = BEGIN;
	a.entry.stamp_ns = SENT;
	a.entry.delivered_us = SENT / 1000 - 5;
	a.entry.wmem_alloc = 1;
	a.entry.rcv_nxt = RCV_NXT;
	a.entry.dst_netns = NETNS;
	a.entry.dst_ifindex = 2;
	a.exit = x.rec_rtx_exit;
	a.exit.h.ts_ns = BEGIN + 1000;
	a.hop_count = 1;
	a.hop[0].tc = t.rec_rtx_tc;
	a.hop[0].queued = true;
	ctx = (struct cause_context){
		.host_flags = HOST_MODE_1 | HOST_SEES_ALL_DROPS | HOST_SURVEYS,
		.has_reasons = true,
		.armed_ns = ARMED,
		.evidence = evidence,
		.hostnet = hostnet,
		.places = places,
	};
	ev.attempt = 1;
	ev.outcome = RTX_OUTCOME_SENT;
	q = (struct evidence_query){
		.t = make_tuple(1, 443, 2, 51234), .seq = SEQ, .end_seq = SEQ + MSS, .ack_seq = RCV_NXT,
		.snd_nxt = SEQ + 10 * MSS, .from_ns = SENT, .until_ns = BEGIN,
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hostnet_free(hostnet);
	evidence_free(evidence);
	places_free(places);
	names_free(names);
	return 0;
}

static void decide(uint32_t survey_bits)
{
	survey_at(BEGIN + MS, survey_bits);
	cause_decide(&a, &ctx, &ev);
}

static void drop_at(union record r, uint64_t ns)
{
	r.rec_drop.h.ts_ns = ns;
	evidence_add(evidence, &r.rec_drop, 0, DROP_FATE_LOST, UNSENT_NOT);
}

static void ask(void)
{
	evidence_ask(evidence, &q, &answer);
}

/* ---- evidence ---- */

/* key_of_ends() mixes two ends with an exclusive or: both directions of a flow have the same key. */
static void test_direction(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	/* The peer's segment is none of ours, whatever its numbers. */
	r.rec_drop.t = make_tuple(2, 51234, 1, 443);
	drop_at(r, SENT + MS);
	ask();
	assert_false(answer.lost.found);
}

static void test_direction_of_ack(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	/* Our own segment acknowledges nothing of ours. */
	r.rec_drop.seq = r.rec_drop.end_seq = SEQ + 5 * MSS;
	r.rec_drop.ack = SEQ + MSS;
	drop_at(r, SENT + MS);
	ask();
	assert_false(answer.ack_lost.found);
}

/* The virtual CPU stood still between reserving the record and reading the clock: what lies behind it is older. */
static void test_disorder(void **state)
{
	union record r = make_dropped(0), older = make_dropped(0);

	(void)state;
	older.rec_drop.seq = older.rec_drop.end_seq = SEQ - 1;
	drop_at(r, SENT + 10 * MS);
	drop_at(older, SENT - 2 * MS);
	ask();
	assert_true(answer.lost.found);
}

/* A later fragment has no TCP header, hence no ports: it may have been of any segment between the two addresses. */
static void test_fragment(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.t.sport = r.rec_drop.t.dport = 0;
	r.rec_drop.seq = r.rec_drop.end_seq = r.rec_drop.ack = 0;
	r.rec_drop.tcp_flags = 0;
	drop_at(r, SENT + MS);
	ask();
	assert_true(answer.lost.found || answer.unclear);
}

/* 64 is too few for a buffer of small segments: 64 kB of 536 bytes are 122. */
static void test_ip_id_of_many_segments(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	q.ip_id = 1000;
	r.rec_drop.ip_id = 1100;
	drop_at(r, SENT + MS);
	ask();
	assert_true(answer.lost.found);
}

/* Translated out of sight: the segment is larger than what is retransmitted of it. */
static void test_nat_of_larger_range(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	r.rec_drop.t = make_tuple(9, 60000, 2, 51234);
	r.rec_drop.end_seq = SEQ + 10 * MSS;
	drop_at(r, SENT + MS);
	ask();
	assert_true(answer.lost.found || answer.nat);
}

/* BIG TCP: half a megabyte in one buffer, which began more than two steps of the index before. */
static void test_nat_of_big_buffer(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	q.seq = 500000;
	q.end_seq = q.seq + MSS;
	q.snd_nxt = q.seq + MSS;
	q.has_ts = true;
	q.ts_from = 7000;
	q.ts_until = 7100;
	r.rec_drop.t = make_tuple(9, 60000, 2, 51234);
	r.rec_drop.seq = 100000;
	r.rec_drop.end_seq = 600000;
	r.rec_drop.tsval = 7050;
	drop_at(r, SENT + MS);
	ask();
	assert_true(answer.lost.found || answer.nat);
}

/* The peer sends data too: its packets are ahead of what we have received. */
static void test_nat_of_ack_ahead(void **state)
{
	union record r = make_dropped_ack(0);

	(void)state;
	q.has_ts = true;
	q.ts_from = 7000;
	q.ts_until = 7100;
	r.rec_drop.t = make_tuple(2, 51234, 9, 60000);
	r.rec_drop.seq = RCV_NXT + 70000;
	r.rec_drop.end_seq = r.rec_drop.seq + MSS;
	r.rec_drop.tsecr = 7050;
	drop_at(r, SENT + MS);
	ask();
	assert_true(answer.ack_lost.found || answer.nat);
}

/* A delayed or selective acknowledgement echoes the time stamp of an earlier segment: it may still be the one. */
static void test_nat_of_ack_with_older_echo(void **state)
{
	union record r = make_dropped_ack(0);

	(void)state;
	q.has_ts = true;
	q.ts_from = 7000;
	q.ts_until = 7100;
	r.rec_drop.t = make_tuple(2, 51234, 9, 60000);
	r.rec_drop.tsecr = 6980;
	drop_at(r, SENT + MS);
	ask();
	assert_true(answer.ack_lost.found || answer.nat);
}

/* ---- the verdict ---- */

/*
 * Behind a veth the copy may wait for a neighbour's address, or for a program at an NFQUEUE: neither is a queueing
 * discipline. cause.md, d: with a virtual first hop a later segment must have arrived.
 */
static void test_virtual_hop_with_empty_queues(void **state)
{
	(void)state;
	a.entry.dst_netns = NETNS2;
	a.entry.dst_ifindex = 3;
	decide(0);
	assert_int_not_equal(ev.cause, RTX_CAUSE_NETWORK);
}

/* The same with a physical one: what the socket has sent is still in this host (in the driver's ring, say). */
static void test_wmem_with_empty_queues(void **state)
{
	(void)state;
	a.entry.wmem_alloc = 2305;
	decide(0);
	assert_int_not_equal(ev.cause, RTX_CAUSE_NETWORK);
}

/* An overlay network: behind the veth the packet goes into vxlan, and drops of the outer packet are none of TCP. */
static void test_overlay(void **state)
{
	(void)state;
	link_at(ARMED, NETNS, 9, LINK_TUNNEL, 0, 0);
	a.entry.dst_netns = NETNS2;
	a.entry.dst_ifindex = 3;
	a.entry.rack_mstamp_us = SENT / 1000 + 5;
	decide(SURVEY_QUEUED);
	assert_int_equal(ev.cause, RTX_CAUSE_UNKNOWN);
	assert_int_equal(ev.cause_why, CAUSE_WHY_ENCAPSULATED);
}

/* No survey came after the attempt (the wait ran out, or rebpf ends): what devices lost meanwhile is not known. */
static void test_no_survey_after(void **state)
{
	(void)state;
	cause_decide(&a, &ctx, &ev);
	assert_int_not_equal(ev.cause, RTX_CAUSE_NETWORK);
}

/* A device that was first seen after the copy was sent: nobody knows what its counters were before. */
static void test_device_without_base(void **state)
{
	(void)state;
	link_at(BEGIN + MS, NETNS, 7, LINK_LEAVES, 0, 1000);
	a.entry.dst_ifindex = 7;
	decide(SURVEY_QUEUED);
	assert_int_not_equal(ev.cause, RTX_CAUSE_NETWORK);
}

/* The same for the counters of the CPUs. */
static void test_softnet_without_base(void **state)
{
	(void)state;
	hostnet_free(hostnet);
	ctx.hostnet = hostnet = hostnet_new();
	link_at(BEGIN + MS, NETNS, 2, LINK_LEAVES, 0, 1000);
	decide(SURVEY_QUEUED);
	assert_int_not_equal(ev.cause, RTX_CAUSE_NETWORK);
}

/*
 * A SYN-ACK over loopback that TC did not see: no device is known, all but loopback leave the kernel, and the peer
 * is on this host.
 */
static void test_loopback_without_device(void **state)
{
	(void)state;
	memcpy(a.entry.flow.raddr, (uint8_t[]){ 127, 0, 0, 1 }, 4);
	memcpy(a.entry.flow.laddr, (uint8_t[]){ 127, 0, 0, 1 }, 4);
	a.entry.hook = RTX_HOOK_SYNACK;
	a.entry.dst_netns = a.entry.dst_ifindex = 0;
	a.hop_count = 0;
	decide(0);
	assert_int_equal(ev.cause, RTX_CAUSE_UNKNOWN);
	assert_int_equal(ev.cause_why, CAUSE_WHY_SAME_HOST);
}

/* Out by eth0 and back by a device of another namespace, where an XDP program takes it. */
static void test_xdp_of_local_peer(void **state)
{
	(void)state;
	learn_addr(NETNS2, 2);
	link_at(ARMED, NETNS2, 3, LINK_LEAVES, LINK_XDP, 0);
	decide(SURVEY_QUEUED);
	assert_int_not_equal(ev.cause, RTX_CAUSE_NETWORK);
}

/* Paced by fq: the stamp of the copy before lies behind that of a segment which was queued before it. */
static void test_later_delivered_by_departure(void **state)
{
	(void)state;
	previous.sent_ns = SENT;
	ctx.previous = &previous;
	ev.attempt = 2;
	a.entry.stamp_ns = SENT + 20 * MS;
	a.entry.rack_mstamp_us = (SENT + 10 * MS) / 1000;
	a.entry.wmem_alloc = 2305;
	decide(SURVEY_QUEUED);
	assert_int_not_equal(ev.cause, RTX_CAUSE_NETWORK);
}

/*
 * The first segment after a pause, paced by fq: tcp_rate_skb_sent() takes its departure, which lies in the future,
 * for the time of the last delivery. It was dropped at once, by netfilter.
 */
static void test_window_of_paced_segment(void **state)
{
	(void)state;
	a.entry.stamp_ns = SENT;
	a.entry.delivered_us = SENT / 1000;
	drop_at(make_dropped(0), SENT - 30 * MS);
	decide(SURVEY_QUEUED);
	assert_int_equal(ev.cause, RTX_CAUSE_LOCAL);
}

/*
 * Which retransmission this is has been forgotten. With entry hooks the copy before is known all the same: by its
 * stamp, and so by its time stamp value. What was dropped a second earlier was another.
 */
static void test_local_of_older_copy(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	ev.attempt = 0;
	a.entry.sacked = 0x80;
	a.hop[0].tc.c.tsval = (uint32_t)(BEGIN / MS);
	r.rec_drop.tsval = (uint32_t)((SENT - 900 * MS) / MS);
	drop_at(r, SENT - 900 * MS);
	decide(SURVEY_QUEUED);
	assert_int_not_equal(ev.cause, RTX_CAUSE_LOCAL);
}

/* Time stamps in microseconds, and TC did not see the new copy: nobody knows the unit. */
static void test_unit_of_time_stamps(void **state)
{
	union record r = make_dropped(0);

	(void)state;
	a.hop_count = 0;
	r.rec_drop.t = make_tuple(9, 60000, 2, 51234);
	r.rec_drop.tsval = (uint32_t)(SENT / 1000);
	drop_at(r, SENT + MS);
	decide(SURVEY_QUEUED);
	assert_int_not_equal(ev.cause, RTX_CAUSE_NETWORK);
}

/* ---- the joins ---- */

static struct correlate *c;
static struct event last;
static unsigned int retransmissions;

static void on_event(void *user, const struct event *e)
{
	(void)user;
	if (e->kind == EV_RETRANSMIT) {
		last = *e;
		retransmissions++;
	}
}

static void feed(union record r)
{
	correlate_record(c, &r);
}

static void survey_now(void)
{
	union record r = make_survey(SURVEY_FULL | SURVEY_QUEUED);

	feed(r);
}

static void start(uint32_t flags)
{
	retransmissions = 0;
	c = correlate_new(64, 64, on_event, NULL);
	assert_non_null(c);
	feed(make_host(flags | HOST_SEES_ALL_DROPS | HOST_SURVEYS));
	feed(make_reason(502, "NETFILTER_DROP"));
	feed(make_link(NETNS, 1, LINK_LOOPBACK));
	feed(make_link(NETNS, 2, LINK_LEAVES));
	feed(make_addr(NETNS, 1));
	survey_now();
	feed(make_tick(0));
	record_ns += 1000 * MS;
}

static int stop(void **state)
{
	correlate_free(c);
	c = NULL;
	return teardown(state);
}

/* Without entry hooks and with no classifier on its device: an attempt is known from its end on. */
static void feed_unwatched(uint32_t total)
{
	union record e = make_late_entry(SK, SKB), x;

	e.rec_rtx_entry.total_retrans = total;
	e.rec_rtx_entry.stamp_ns = e.h.ts_ns - 50000; /* of this copy */
	e.rec_rtx_entry.dst_netns = NETNS;
	e.rec_rtx_entry.dst_ifindex = 2;
	e.rec_rtx_entry.rack_mstamp_us = (e.h.ts_ns - MS) / 1000; /* much was delivered since */
	feed(e);
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.total_retrans = total;
	x.rec_rtx_exit.stamp_ns = e.rec_rtx_entry.stamp_ns;
	feed(x);
	survey_now();
	feed(make_tick(0));
}

/* The first copy was dropped inside the call, by the queueing discipline: before what is taken for its beginning. */
static void test_drop_in_call_of_previous(void **state)
{
	(void)state;
	start(HOST_MODE_2);
	feed(make_dropped(502));
	feed_unwatched(1);
	record_ns += 200 * MS;
	feed_unwatched(2);
	assert_int_equal(retransmissions, 2);
	assert_int_equal(last.retransmit.attempt, 2);
	assert_int_not_equal(last.retransmit.cause, RTX_CAUSE_NETWORK);
}

/* The same drop is the new copy's own end, and says nothing of the one before. */
static void test_drop_in_own_call(void **state)
{
	(void)state;
	start(HOST_MODE_2);
	feed_unwatched(1);
	record_ns += 200 * MS;
	feed(make_dropped(502));
	feed_unwatched(2);
	assert_int_equal(last.retransmit.attempt, 2);
	assert_int_not_equal(last.retransmit.cause, RTX_CAUSE_LOCAL);
}

static void feed_plain(uint64_t sent_ns)
{
	union record e = make_entry(SK, SKB);

	e.rec_rtx_entry.delivered_us = sent_ns / 1000;
	e.rec_rtx_entry.stamp_ns = sent_ns;
	e.rec_rtx_entry.wmem_alloc = 1;
	e.rec_rtx_entry.dst_netns = NETNS;
	e.rec_rtx_entry.dst_ifindex = 2;
	feed(e);
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	feed(make_exit(SK, SKB, 0));
	survey_now();
	feed(make_tick(0));
}

/*
 * Two containers with the same private addresses, and by the same hash with the same ports and nearby sequence numbers:
 * the packet carries the socket of the other.
 */
static void test_same_tuple_of_other_socket(void **state)
{
	union record d;
	uint64_t sent;

	(void)state;
	start(HOST_MODE_1);
	sent = record_ns;
	d = make_dropped(502);
	d.rec_drop.sk = SK2;
	d.rec_drop.netns = NETNS2;
	feed(d);
	feed_plain(sent);
	assert_int_equal(retransmissions, 1);
	assert_int_not_equal(last.retransmit.cause, RTX_CAUSE_LOCAL);
}

/* Rebpf tells of an overflow, the kernel consumes the buffer, and our copy gets its address: its drop is swallowed. */
static void test_address_of_synthetic_drop(void **state)
{
	union record d;
	uint64_t sent;

	(void)state;
	start(HOST_MODE_1);
	sent = record_ns;
	d = make_dropped_ack(0);
	d.rec_drop.t = make_tuple(50, 5, 51, 6);
	d.rec_drop.source = DROP_SOURCE_LISTEN_OVERFLOW;
	feed(d);
	feed(make_dropped(502));
	feed_plain(sent);
	assert_int_equal(last.retransmit.cause, RTX_CAUSE_LOCAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_JOIN(name) cmocka_unit_test_setup_teardown(name, setup, stop)
	const struct CMUnitTest tests[] = {
		TEST(test_direction),
		TEST(test_direction_of_ack),
		TEST(test_disorder),
		TEST(test_fragment),
		TEST(test_ip_id_of_many_segments),
		TEST(test_nat_of_larger_range),
		TEST(test_nat_of_big_buffer),
		TEST(test_nat_of_ack_ahead),
		TEST(test_nat_of_ack_with_older_echo),
		TEST(test_virtual_hop_with_empty_queues),
		TEST(test_wmem_with_empty_queues),
		TEST(test_overlay),
		TEST(test_no_survey_after),
		TEST(test_device_without_base),
		TEST(test_softnet_without_base),
		TEST(test_loopback_without_device),
		TEST(test_xdp_of_local_peer),
		TEST(test_later_delivered_by_departure),
		TEST(test_window_of_paced_segment),
		TEST(test_local_of_older_copy),
		TEST(test_unit_of_time_stamps),
		TEST_JOIN(test_drop_in_call_of_previous),
		TEST_JOIN(test_drop_in_own_call),
		TEST_JOIN(test_same_tuple_of_other_socket),
		TEST_JOIN(test_address_of_synthetic_drop),
	};

	return cmocka_run_group_tests_name("findings", tests, NULL, NULL);
}
