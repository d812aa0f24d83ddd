// SPDX-License-Identifier: MIT
/* links: src/cause.c src/evidence.c src/hostnet.c src/places.c src/meaning.c src/meaning_table.c src/meaning_places.c src/names.c src/reasons.c src/util.c */
/* The verdicts of cause.md, on attempts made up for the purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cause.h"
#include "records.h"

#define MS 1000000ULL
#define NETNS2 (NETNS + 1)
#define ARMED (1000 * MS)
#define SENT (2000 * MS)  /* the previous copy */
#define BEGIN (2200 * MS) /* the attempt */
#define RCV_NXT 0x40000000u

/* Everything that a verdict comes from. Each test changes a little of it, and decides. */
static struct attempt a;
static struct cause_context ctx;
static struct flows_copy previous;
static struct ev_retransmit ev;
static struct names *names;
static struct places *places;
static struct evidence *evidence;
static struct hostnet *hostnet;
static uint32_t survey_bits; /* of the survey after the attempt */

static void survey_at(uint64_t ns, uint32_t bits, uint64_t softnet)
{
	union record r = make_survey(bits);

	r.rec_survey.h.ts_ns = ns + 1000;
	r.rec_survey.begin_ns = ns;
	r.rec_survey.softnet = softnet;
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

/*
 * A host with one namespace that has eth0, and another behind a veth, surveyed when capture began.
 */
static void learn_host(void)
{
	link_at(ARMED, NETNS, 1, LINK_LOOPBACK, 0, 0);
	link_at(ARMED, NETNS, 2, LINK_LEAVES, 0, 10);
	link_at(ARMED, NETNS, 3, LINK_VIRTUAL, 0, 0);
	link_at(ARMED, NETNS2, 1, LINK_LOOPBACK, 0, 0);
	link_at(ARMED, NETNS2, 2, LINK_VIRTUAL, 0, 0);
	learn_addr(NETNS, 1);
	learn_addr(NETNS2, 100);
	survey_at(ARMED - MS, SURVEY_FULL, 5);
}

static void learn_survey_after(void)
{
	survey_at(BEGIN + MS, survey_bits, 5);
}

/* The first retransmission of a segment that left by eth0, with entry hooks: `network`. */
static void make_base(void)
{
	union record e = make_entry(SK, SKB), x = make_exit(SK, SKB, 0), t = make_tc(SK, SKB, COPY);

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
	ev.has_ret = true;
}

/* The same without entry hooks: all is read at the end of the call, but for what TC saw. */
static void make_base_late(void)
{
	make_base();
	ctx.host_flags &= ~(uint32_t)HOST_ENTRY_HOOKS;
	a.entry.hook = RTX_HOOK_TRACEPOINT;
	a.entry.bits = RTX_BIT_LATE;
	a.entry.stamp_ns = BEGIN; /* of this copy */
	a.entry.delivered_us = BEGIN / 1000;
	a.entry.wmem_alloc = 4000;
	a.hop[0].tc.delivered_us = SENT / 1000 - 5;
	a.hop[0].tc.wmem_other = 1;
}

/* The n-th retransmission: the copy before it was one, too. */
static void make_nth(void)
{
	previous = (struct flows_copy){ .sent_ns = SENT };
	ctx.previous = &previous;
	ev.attempt = 3;
	a.entry.delivered_us = 7; /* whatever the last transmission left there */
	if (a.hop_count)
		a.hop[0].tc.delivered_us = 7;
}

static int setup(void **state)
{
	(void)state;
	record_ns = ARMED;
	names = names_new();
	places = places_new(names);
	evidence = evidence_new(256);
	hostnet = hostnet_new();
	assert_true(names && places && evidence && hostnet);
	learn_host();
	survey_bits = SURVEY_QUEUED; /* something always waits somewhere */
	make_base();
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

static void again(void)
{
	teardown(NULL);
	setup(NULL);
}

static const char *const causes[] = {
#define X(NAME, name) #name,
	RTX_CAUSES(X)
#undef X
};

static const char *const whys[] = {
#define X(NAME, name) #name,
	CAUSE_WHYS(X)
#undef X
};

static bool seen_cause[RTX_CAUSE_COUNT], seen_why[CAUSE_WHY_COUNT]; /* in all tests */

/* The verdict; of an unknown cause, why. */
static const char *decide(void)
{
	bool has_drop;

	learn_survey_after();
	memset(&ev.cause_drop, 0, sizeof(ev.cause_drop));
	cause_decide(&a, &ctx, &ev);
	has_drop = ev.cause == RTX_CAUSE_LOCAL || ev.cause == RTX_CAUSE_ACK_LOCAL;
	assert_int_equal(ev.cause_drop.place.known, has_drop);
	assert_int_equal(ev.cause == RTX_CAUSE_UNKNOWN, ev.cause_why != CAUSE_WHY_NONE);
	seen_cause[ev.cause] = seen_why[ev.cause_why] = true;
	return ev.cause == RTX_CAUSE_UNKNOWN ? whys[ev.cause_why] : causes[ev.cause];
}

#define assert_cause(want) assert_string_equal(decide(), want)

/* Nothing but a new start, one change and a verdict. */
#define assert_change(want, ...)     \
	do {                         \
		again();             \
		__VA_ARGS__;         \
		assert_cause(want);  \
	} while (0)

static void drop_at(union record r, uint64_t ns, enum drop_fate fate)
{
	r.rec_drop.h.ts_ns = ns;
	evidence_add(evidence, &r.rec_drop, places_id(places, 0, 7, DROP_SOURCE_KFREE), fate, UNSENT_NOT);
}

static void lose_copy(void)
{
	drop_at(make_dropped(7), SENT + MS, DROP_FATE_LOST);
}

static void lose_ack(void)
{
	drop_at(make_dropped_ack(7), SENT + MS, DROP_FATE_LOST);
}

/* A request's: nothing is known of a socket, and no route is cached. */
static void make_synack(enum rtx_hook hook)
{
	uint64_t first_us = a.entry.delivered_us;
	struct rec_flow flow = a.entry.flow;

	memset(&a.entry, 0, sizeof(a.entry));
	a.entry.h.ts_ns = BEGIN;
	a.entry.flow = flow;
	a.entry.flow.state = 12; /* NEW_SYN_RECV */
	a.entry.hook = hook;
	a.entry.bits = hook == RTX_HOOK_SYNACK_TP ? RTX_BIT_LATE : 0;
	a.entry.delivered_us = first_us;
	a.entry.rcv_nxt = RCV_NXT;
	a.entry.seq = a.entry.snd_una = a.exit.seq = SEQ;
	a.entry.end_seq = a.entry.snd_nxt = a.exit.end_seq = SEQ + 1;
	a.entry.tcp_flags = TCP_SYN | TCP_ACK;
	ev.type = RTX_TYPE_SYNACK;
}

/* ---- the base ---- */

static void test_network(void **state)
{
	(void)state;
	assert_cause("network");
	assert_change("network", make_nth());
	assert_change("network", make_base_late());
	assert_change("network", make_base_late(); make_nth());
}

static void test_local(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		again();
		if (i & 1)
			make_base_late();
		if (i & 2)
			make_nth();
		lose_copy();
		assert_cause("local");
		assert_int_equal(ev.cause_drop.age_us, (BEGIN - SENT - MS) / 1000);
		assert_int_equal(ev.cause_drop.seq, SEQ);
		assert_int_equal(ev.cause_drop.end_seq, SEQ + MSS);
		assert_int_equal(ev.cause_drop.covered, MSS);
		assert_int_equal(ev.cause_drop.netns, NETNS);
		assert_false(ev.cause_drop.nat);
		assert_string_equal(ev.cause_drop.place.ifname, "eth0");
	}
}

static void test_ack_local(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		again();
		if (i & 1)
			make_base_late();
		if (i & 2)
			make_nth();
		lose_ack();
		assert_cause("ack_local");
		assert_int_equal(ev.cause_drop.covered, MSS);
	}
	/* The copy itself says more. */
	lose_copy();
	assert_cause("local");
}

static void test_host_queue(void **state)
{
	(void)state;
	ev.ret = EBUSY_RET;
	ev.outcome = RTX_OUTCOME_REFUSED;
	assert_cause("host_queue");
	/* After the transmission the same number says something else. */
	ev.outcome = RTX_OUTCOME_DROPPED;
	assert_cause("network");
	ev.outcome = RTX_OUTCOME_REFUSED;
	ev.ret = -11;
	assert_cause("network");
	ev.ret = EBUSY_RET;
	ev.has_ret = false;
	assert_cause("network");
	/* Needs nothing else. */
	ev.has_ret = true;
	ctx.host_flags = 0;
	assert_cause("host_queue");
}

/* What is known to have been dropped was, however little is known besides. */
static void test_local_needs_little(void **state)
{
	(void)state;
	assert_change("local", lose_copy(); ctx.lost_until_ns = BEGIN);
	assert_change("local", lose_copy(); ctx.armed_ns = SENT);
	assert_change("local", lose_copy(); a.entry.wmem_alloc = 5000);
	assert_change("local", lose_copy(); a.entry.dst_ifindex = 1);
	assert_change("local", lose_copy(); a.entry.dst_bits = RTX_DST_XFRM);
	assert_change("local", lose_copy(); ctx.has_reasons = false; ctx.sk_drops_rose = true);
	assert_change("local", lose_copy(); link_at(BEGIN, NETNS, 2, LINK_LEAVES, LINK_XDP, 99));
	assert_change("ack_local", lose_ack(); ctx.lost_until_ns = BEGIN);
}

/* ---- each condition of `network`, one at a time ---- */

/* a: capture was armed before. */
static void test_before_start(void **state)
{
	(void)state;
	assert_change("before_start", ctx.armed_ns = SENT);
	assert_change("network", ctx.armed_ns = a.entry.delivered_us * 1000);
	assert_change("before_start", ctx.armed_ns = a.entry.delivered_us * 1000 + 1);
	assert_change("before_start", make_nth(); ctx.armed_ns = SENT + 1);
	assert_change("network", make_nth(); ctx.armed_ns = SENT);
	/* Not the first, and the one before was not seen. */
	assert_change("before_start", ev.attempt = 3);
	assert_change("before_start", ev.attempt = 0);
	assert_change("before_start", make_base_late(); ev.attempt = 0);
}

static void test_no_previous_stamp(void **state)
{
	(void)state;
	/* TC did not see it, or did not find the segment; what the end of the call says is this copy's own. */
	assert_change("no_previous_stamp", make_base_late(); a.hop_count = 0);
	assert_change("no_previous_stamp", make_base_late(); a.hop[0].tc.delivered_us = 0);
	/* A transmission that failed leaves the old ones. */
	assert_change("network", make_base_late(); a.exit.ret = 1; a.hop[0].tc.delivered_us = 0;
		      a.entry.delivered_us = SENT / 1000);
	/* The n-th needs no stamp. */
	assert_change("network", make_base_late(); make_nth(); a.hop[0].tc.delivered_us = 0);
}

/* b: nothing was lost that might have told. */
static void test_records_lost(void **state)
{
	(void)state;
	assert_change("records_lost", ctx.lost_until_ns = BEGIN);
	assert_change("records_lost", ctx.lost_until_ns = a.entry.delivered_us * 1000);
	assert_change("network", ctx.lost_until_ns = a.entry.delivered_us * 1000 - 1);
	assert_change("records_lost", make_nth(); ctx.lost_until_ns = SENT);
	assert_change("network", make_nth(); ctx.lost_until_ns = SENT - 1);
	/* An unknown window reaches back to the beginning. */
	assert_change("records_lost", ev.attempt = 0; ctx.lost_until_ns = 1);
}

/* By the socket's own counter, retransmissions went by that no hook saw. */
static void test_unseen(void **state)
{
	(void)state;
	assert_change("records_lost", ctx.unseen = true);
	assert_change("records_lost", make_nth(); ctx.unseen = true);
	assert_change("local", ctx.unseen = true; lose_copy());
}

static void evict(uint64_t ns, uint16_t dport)
{
	for (int i = 0; i < 600; i++) {
		union record r = make_dropped(7);

		r.rec_drop.t.dport = dport;
		r.rec_drop.seq = r.rec_drop.end_seq = SEQ - 50000;
		drop_at(r, ns, DROP_FATE_LOST);
	}
}

static void test_history_evicted(void **state)
{
	(void)state;
	assert_change("records_lost", evict(SENT + MS, 51234));
	assert_change("network", evict(SENT - MS, 51234));
	assert_change("records_lost", evict(SENT + MS, 7); ctx.nat_possible = true);
}

static void test_drops_not_traced(void **state)
{
	(void)state;
	assert_change("drops_not_traced", ctx.host_flags &= ~(uint32_t)HOST_SEES_ALL_DROPS);
	/* The one before failed, and nothing says where: not even a copy could be made. */
	assert_change("drops_not_traced", make_nth(); previous.failed = true);
	assert_change("local", make_nth(); previous.failed = true; lose_copy());
}

/* c: it left this kernel, or goes where nobody on this host is. */
static void test_same_host(void **state)
{
	(void)state;
	assert_change("same_host", a.entry.dst_ifindex = 1); /* lo */
	assert_change("same_host", a.entry.dst_ifindex = 99);
	assert_change("same_host", a.entry.dst_ifindex = 3; learn_addr(NETNS2, 2));
	/* No cached route: where TC saw it. */
	assert_change("network", a.entry.dst_ifindex = 0);
	assert_change("same_host", a.entry.dst_ifindex = 0; a.hop[0].tc.c.ifindex = 1);
	/* Not even that: any device of the namespace. They are not all alike. */
	assert_change("same_host", a.entry.dst_ifindex = 0; a.hop_count = 0);
	/* Namespaces that could not be looked into may have the address. */
	again();
	a.entry.dst_ifindex = 3;
	a.entry.rack_mstamp_us = SENT / 1000 + 5;
	survey_at(BEGIN + 2 * MS, SURVEY_INCOMPLETE, 5);
	cause_decide(&a, &ctx, &ev);
	assert_int_equal(ev.cause_why, CAUSE_WHY_SAME_HOST);
}

/*
 * TC did not see it, and no route is known: all devices but loopback leave the kernel, but to an address of its own
 * namespace it goes by loopback.
 */
static void test_loopback_without_device(void **state)
{
	(void)state;
#define NO_DEVICE                                            \
	link_at(ARMED, NETNS, 3, LINK_VIRTUAL, LINK_GONE, 0); \
	survey_bits = 0;                                     \
	make_synack(RTX_HOOK_SYNACK);                        \
	a.hop_count = 0
	assert_change("network", NO_DEVICE);
	assert_change("same_host", NO_DEVICE; learn_addr(NETNS, 2));
	assert_change("network", NO_DEVICE; learn_addr(NETNS2, 2)); /* leaves, and comes back */
	assert_change("same_host", NO_DEVICE; memcpy(a.entry.flow.raddr, (uint8_t[]){ 127, 0, 0, 1 }, 4);
		      memcpy(a.entry.flow.laddr, (uint8_t[]){ 127, 0, 0, 1 }, 4));
	/* The route is known: it is sure. */
	assert_change("network", NO_DEVICE; learn_addr(NETNS, 2); a.entry.dst_netns = NETNS; a.entry.dst_ifindex = 2);
}

/* A host that was never surveyed. */
static void test_never_surveyed(void **state)
{
	(void)state;
	hostnet_free(hostnet);
	ctx.hostnet = hostnet = hostnet_new();
	cause_decide(&a, &ctx, &ev);
	assert_int_equal(ev.cause, RTX_CAUSE_UNKNOWN);
	assert_int_equal(ev.cause_why, CAUSE_WHY_SAME_HOST);
}

/* d: it is no longer on its way through this host. */
static void test_queued(void **state)
{
	(void)state;
	assert_change("queued", a.entry.wmem_alloc = 2);
	assert_change("queued", make_base_late(); a.hop[0].tc.wmem_other = 2305);
	assert_change("queued", make_base_late(); a.hop[0].tc.wmem_other = (uint32_t)-2303);
	assert_change("queued", make_base_late(); make_nth(); a.hop_count = 0);
	assert_change("network", a.entry.wmem_alloc = 0);
	/* Behind a veth others hold it, and not in the socket's name. */
	assert_change("queued", a.entry.dst_ifindex = 3);
}

/*
 * d: no queue held anything; neither does a neighbour's address that is not known yet, nor a program at an NFQUEUE, which
 * the survey counts among them. With a device that leaves, the socket's own count says more.
 */
static void test_empty_queues(void **state)
{
	(void)state;
	assert_change("network", a.entry.dst_ifindex = 3; survey_bits = 0);
	assert_change("queued", a.entry.dst_ifindex = 3; survey_bits = SURVEY_QUEUED);
	assert_change("queued", a.entry.wmem_alloc = 2305; survey_bits = 0);
	/* Too early, or too late. */
	assert_change("network", a.entry.dst_ifindex = 3; survey_at(SENT + 1, 0, 5));
	assert_change("queued", a.entry.dst_ifindex = 3; survey_at(SENT, 0, 5));
	assert_change("network", a.entry.dst_ifindex = 3; survey_at(BEGIN + MS, 0, 5));
	assert_change("queued", a.entry.dst_ifindex = 3; survey_at(BEGIN + 20 * MS, 0, 5));
}

/* d, late: the stamp is the new copy's; but so long did the timer run that sent it, at least. */
static void test_bound_by_timer(void **state)
{
	static const struct {
		enum rtx_type type;
		uint64_t before_ns; /* the survey */
		const char *want;
	} row[] = {
		{ RTX_TYPE_RTO, 102 * MS - 1, "network" }, /* the timer may have been doubled since: half of 204 ms */
		{ RTX_TYPE_RTO, 102 * MS, "queued" },
		{ RTX_TYPE_SYN, 102 * MS - 1, "network" },
		{ RTX_TYPE_SYN, 102 * MS, "queued" },
		{ RTX_TYPE_TLP, 12345000 - 1, "network" }, /* srtt */
		{ RTX_TYPE_TLP, 12345000, "queued" },
		{ RTX_TYPE_FAST, 1, "queued" },
		{ RTX_TYPE_FAST, 0, "queued" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_change(row[i].want, make_base_late(); a.entry.dst_ifindex = 3; ev.type = row[i].type;
			      survey_at(BEGIN - row[i].before_ns, 0, 5));
	/* Early, its stamp bounds it. */
	assert_change("network", a.entry.dst_ifindex = 3; ev.type = RTX_TYPE_FAST; survey_at(SENT + 1, 0, 5));
	/* What was delivered later than that bound was sent after it. */
	assert_change("network", make_base_late(); a.hop[0].tc.wmem_other = 2305; ev.type = RTX_TYPE_RTO;
		      a.entry.rack_mstamp_us = (BEGIN - 102 * MS) / 1000 + 1);
	assert_change("queued", make_base_late(); a.hop[0].tc.wmem_other = 2305; ev.type = RTX_TYPE_RTO;
		      a.entry.rack_mstamp_us = (BEGIN - 102 * MS) / 1000);
}

/* d: nothing under way after the call is nothing under way. */
static void test_nothing_after_call(void **state)
{
	(void)state;
	assert_change("network", make_base_late(); a.hop[0].tc.wmem_other = 2305; a.entry.wmem_alloc = 1);
	assert_change("queued", make_base_late(); a.hop[0].tc.wmem_other = 2305; a.entry.wmem_alloc = 2);
	assert_change("network", make_base_late(); make_nth(); a.hop_count = 0; a.entry.wmem_alloc = 1);
	assert_change("network", make_base_late(); make_nth(); a.hop_count = 0; a.entry.wmem_alloc = 0);
	/* Behind a virtual device it says nothing. */
	assert_change("queued", make_base_late(); a.entry.dst_ifindex = 3; a.entry.wmem_alloc = 1);
}

/* Paced by fq: the stamp of the copy before lies behind that of a segment which was queued before it. */
static void test_later_delivered_by_departure(void **state)
{
	(void)state;
#define PACED_NTH make_nth(); a.entry.wmem_alloc = 2305; a.entry.rack_mstamp_us = (SENT + 10 * MS) / 1000
	assert_change("queued", PACED_NTH; a.entry.stamp_ns = SENT + 20 * MS);
	assert_change("queued", PACED_NTH; previous.stamp_ns = SENT + 20 * MS);
	assert_change("network", PACED_NTH; a.entry.stamp_ns = previous.stamp_ns = SENT + 9 * MS);
}

/* d: or else a segment that was sent after it has arrived. */
static void test_later_delivered(void **state)
{
	(void)state;
#define BUSY a.entry.wmem_alloc = 2305
	assert_change("network", BUSY; a.entry.rack_mstamp_us = SENT / 1000 + 1);
	assert_change("queued", BUSY; a.entry.rack_mstamp_us = SENT / 1000);
	assert_change("queued", BUSY; a.entry.rack_mstamp_us = SENT / 1000 - 1);
	assert_change("network", make_nth(); BUSY; a.entry.rack_mstamp_us = SENT / 1000 + 1);
	assert_change("queued", make_nth(); BUSY; a.entry.rack_mstamp_us = SENT / 1000);
	/* With a virtual first hop only this will do. */
	assert_change("network", a.entry.dst_ifindex = 3; a.entry.rack_mstamp_us = SENT / 1000 + 1);
	/* By its place in the stream: what lies behind was first sent after it. */
#define EARLIER_RACK a.entry.rack_mstamp_us = SENT / 1000 - 50
	assert_change("network", BUSY; EARLIER_RACK; a.entry.highest_sack = SEQ + 2 * MSS);
	assert_change("queued", BUSY; EARLIER_RACK; a.entry.highest_sack = SEQ);
	assert_change("queued", BUSY; EARLIER_RACK; a.entry.highest_sack = SEQ + MSS - 1);
	assert_change("queued", BUSY; EARLIER_RACK; a.entry.highest_sack = SEQ + MSS); /* it ends where this one does */
	/* But not of a retransmission: that may have been sent after what lies behind. */
	assert_change("queued", make_nth(); BUSY; EARLIER_RACK; a.entry.highest_sack = SEQ + 2 * MSS);
	/* Late: the stamp is this copy's. */
	assert_change("queued", make_base_late(); a.hop[0].tc.wmem_other = 2305;
		      a.entry.rack_mstamp_us = BEGIN / 1000 + 1);
	assert_change("network", make_base_late(); a.hop[0].tc.wmem_other = 2305; EARLIER_RACK;
		      a.entry.highest_sack = SEQ + 2 * MSS);
	/* The numbers turn over. */
	again();
	BUSY;
	EARLIER_RACK;
	a.exit.seq = 0xfffffff0;
	a.exit.end_seq = 0x10;
	a.entry.snd_nxt = 0x1000;
	a.entry.highest_sack = 0x100;
	assert_cause("network");
	a.entry.highest_sack = 0xfffffff0;
	assert_cause("queued");
}

/* e: nobody takes packets silently, and they travel as what they are. */
static void test_consumers(void **state)
{
	(void)state;
	assert_change("xdp", link_at(BEGIN, NETNS, 3, LINK_VIRTUAL, LINK_XDP, 0));
	assert_change("tc_consumed", link_at(BEGIN, NETNS, 2, LINK_LEAVES, LINK_TC_CONSUMES, 10));
	/* Of another namespace, when it leaves from this one. */
	assert_change("network", link_at(BEGIN, NETNS2, 2, LINK_VIRTUAL, LINK_XDP, 0));
	assert_change("network", link_at(BEGIN, NETNS2, 2, LINK_VIRTUAL, LINK_TC_CONSUMES, 0));
	/* Behind a veth it may come by anywhere. */
#define BEHIND_VETH a.entry.dst_ifindex = 3; a.entry.rack_mstamp_us = SENT / 1000 + 1
	assert_change("xdp", BEHIND_VETH; link_at(BEGIN, NETNS2, 2, LINK_VIRTUAL, LINK_XDP, 0));
	assert_change("tc_consumed", BEHIND_VETH; link_at(BEGIN, NETNS2, 2, LINK_VIRTUAL, LINK_TC_CONSUMES, 0));
	/* Out by eth0 and back by a device of another namespace. */
	assert_change("xdp", learn_addr(NETNS2, 2); link_at(ARMED, NETNS2, 2, LINK_LEAVES, LINK_XDP, 0));
	/* The copy before was seen to be taken. */
	assert_change("tc_consumed", make_nth(); previous.stolen = true);
}

static void test_encapsulated(void **state)
{
	(void)state;
	assert_change("encapsulated", a.entry.dst_bits = RTX_DST_XFRM);
	assert_change("encapsulated", a.entry.dst_bits = RTX_DST_TUNNEL);
	assert_change("encapsulated", link_at(BEGIN, NETNS, 7, LINK_TUNNEL, 0, 0); a.entry.dst_ifindex = 7);
}

/* An overlay network: behind the veth the packet goes into vxlan, and drops of the outer packet are none of TCP. */
static void test_overlay(void **state)
{
	(void)state;
	assert_change("encapsulated", link_at(ARMED, NETNS, 9, LINK_TUNNEL, 0, 0); BEHIND_VETH);
	assert_change("network", link_at(ARMED, NETNS, 9, LINK_TUNNEL, LINK_DOWN, 0); BEHIND_VETH);
	/* It does not lie behind eth0. */
	assert_change("network", link_at(ARMED, NETNS, 9, LINK_TUNNEL, 0, 0));
}

/* f: devices and CPUs lost nothing without a word. */
static void test_nic_drops(void **state)
{
	(void)state;
	assert_change("nic_drops", link_at(BEGIN, NETNS, 2, LINK_LEAVES, 0, 11));
	assert_change("network", link_at(BEGIN, NETNS2, 2, LINK_VIRTUAL, 0, 1));
	assert_change("nic_drops", link_at(BEGIN, NETNS2, 2, LINK_VIRTUAL, 0, 1); BEHIND_VETH);
	assert_change("nic_drops", survey_at(BEGIN, 0, 6));
	/* Explained by a record. */
	assert_change("network", hostnet_note_drop(hostnet, NETNS, 2, SENT);
		      link_at(BEGIN, NETNS, 2, LINK_LEAVES, 0, 11));
	/* Before the window. */
	again();
	link_at(SENT - 10 * MS, NETNS, 2, LINK_LEAVES, 0, 11);
	survey_at(SENT - 10 * MS, SURVEY_QUEUED, 5);
	link_at(BEGIN, NETNS, 2, LINK_LEAVES, 0, 11);
	assert_cause("network");
}

/* f: counters say nothing without a base, nor without a look at them afterwards. */
static void test_counters_without_base(void **state)
{
	(void)state;
	/* A device that was first seen after the copy was sent. */
	assert_change("nic_drops", link_at(BEGIN + MS, NETNS, 7, LINK_LEAVES, 0, 1000); a.entry.dst_ifindex = 7);
	assert_change("network", link_at(BEGIN + MS, NETNS, 7, LINK_LEAVES, 0, 0); a.entry.dst_ifindex = 7);
	/* The CPUs', before the first survey. */
	again();
	hostnet_free(hostnet);
	ctx.hostnet = hostnet = hostnet_new();
	link_at(BEGIN + MS, NETNS, 2, LINK_LEAVES, 0, 0);
	assert_cause("nic_drops");
	/* No survey came after the attempt: the wait ran out, or rebpf ends. */
	again();
	cause_decide(&a, &ctx, &ev);
	assert_int_equal(ev.cause_why, CAUSE_WHY_NIC_DROPS);
}

/* ---- what evidence leaves open ---- */

static void test_processed_copy(void **state)
{
	(void)state;
	assert_change("processed_copy", drop_at(make_dropped(7), SENT + MS, DROP_FATE_DELIVERED));
	assert_change("processed_copy", drop_at(make_dropped(7), SENT + MS, DROP_FATE_UNCLEAR));
	assert_change("processed_copy", drop_at(make_dropped_ack(7), SENT + MS, DROP_FATE_UNCLEAR));
	/* The copy arrived; its acknowledgement did not. */
	assert_change("ack_local", drop_at(make_dropped(7), SENT + MS, DROP_FATE_DELIVERED); lose_ack());
	/* An acknowledgement that was processed, and copies for others, say nothing. */
	assert_change("network", drop_at(make_dropped_ack(7), SENT + MS, DROP_FATE_DELIVERED));
	assert_change("network", drop_at(make_dropped(7), SENT + MS, DROP_FATE_COPY));
}

static void test_driver_free(void **state)
{
	(void)state;
	assert_change("driver_free", drop_at(make_dropped(7), SENT + MS, DROP_FATE_DRIVER));
	assert_change("driver_free", drop_at(make_dropped_ack(7), SENT + MS, DROP_FATE_DRIVER));
	assert_change("local", drop_at(make_dropped(7), SENT + MS, DROP_FATE_DRIVER); lose_copy());
}

static void test_nat(void **state)
{
	union record r = make_dropped(7);

	(void)state;
	r.rec_drop.t = make_tuple(9, 60000, 2, 51234);
	assert_change("nat", drop_at(r, SENT + MS, DROP_FATE_LOST));
	/* Its time stamp proves it. */
	r.rec_drop.tsval = (uint32_t)(SENT / MS) + 77;
	assert_change("local", drop_at(r, SENT + MS, DROP_FATE_LOST); a.entry.tsoffset = 77;
		      a.hop[0].tc.c.tsval = (uint32_t)(BEGIN / MS) + 77);
	assert_true(ev.cause_drop.nat);
	/* Another time: another connection. */
	r.rec_drop.tsval += 5000;
	assert_change("network", drop_at(r, SENT + MS, DROP_FATE_LOST); a.entry.tsoffset = 77;
		      a.hop[0].tc.c.tsval = (uint32_t)(BEGIN / MS) + 77);
	/* In microseconds, as the values of this connection are. */
	r.rec_drop.tsval = (uint32_t)(SENT / 1000) + 77;
	assert_change("local", drop_at(r, SENT + MS, DROP_FATE_LOST); a.entry.tsoffset = 77;
		      a.hop[0].tc.c.tsval = (uint32_t)(BEGIN / 1000) + 77);
	/* By connection tracking. */
	r.rec_drop.tsval = 0;
	r.rec_drop.nat[0] = make_tuple(1, 443, 2, 51234);
	assert_change("local", drop_at(r, SENT + MS, DROP_FATE_LOST));
	assert_true(ev.cause_drop.nat);
}

/* Time stamps in microseconds, and TC did not see the new copy: nobody knows the unit. */
static void test_unit_of_time_stamps(void **state)
{
	union record r = make_dropped(7);

	(void)state;
	r.rec_drop.t = make_tuple(9, 60000, 8, 80);
	r.rec_drop.tsval = (uint32_t)(SENT / 1000);
	assert_change("local", a.hop_count = 0; drop_at(r, SENT + MS, DROP_FATE_LOST));
	r.rec_drop.tsval = (uint32_t)(SENT / MS);
	assert_change("local", a.hop_count = 0; drop_at(r, SENT + MS, DROP_FATE_LOST));
	/* TC saw the new one's. */
	assert_change("network", a.hop[0].tc.c.tsval = (uint32_t)(BEGIN / 1000); drop_at(r, SENT + MS, DROP_FATE_LOST));
}

/* Before 5.17 the receiver drops without a word. */
static void test_receiver_blind(void **state)
{
	(void)state;
	assert_change("network", ctx.has_reasons = false);
	assert_change("receiver_blind", ctx.has_reasons = false; ctx.sk_drops_rose = true);
	assert_change("receiver_blind", ctx.has_reasons = false; learn_addr(NETNS2, 2));
	assert_change("network", ctx.sk_drops_rose = true);
}

/* ---- which copy ---- */

static void test_window(void **state)
{
	(void)state;
	assert_change("network", drop_at(make_dropped(7), a.entry.delivered_us * 1000 - 1, DROP_FATE_LOST));
	assert_change("local", drop_at(make_dropped(7), a.entry.delivered_us * 1000, DROP_FATE_LOST));
	assert_change("local", drop_at(make_dropped(7), BEGIN, DROP_FATE_LOST));
	/* The new copy's own end. */
	assert_change("network", drop_at(make_dropped(7), BEGIN + 1, DROP_FATE_LOST));
	assert_change("network", make_nth(); drop_at(make_dropped(7), SENT - 1, DROP_FATE_LOST));
	assert_change("local", make_nth(); drop_at(make_dropped(7), SENT, DROP_FATE_LOST));
}

/*
 * The first segment after a pause, paced by fq: tcp_rate_skb_sent() takes its departure, which lies in the future,
 * for the time of the last delivery. It was dropped at once, by netfilter.
 */
static void test_window_of_paced_segment(void **state)
{
	(void)state;
#define PACED a.entry.bits |= RTX_BIT_PACED; a.entry.delivered_us = SENT / 1000
	assert_change("local", PACED; drop_at(make_dropped(7), SENT - 30 * MS, DROP_FATE_LOST));
	assert_change("network", PACED; drop_at(make_dropped(7), SENT - 1001 * MS, DROP_FATE_LOST));
	/* The delivery was another's. */
	assert_change("network", a.entry.delivered_us = SENT / 1000 - 1;
		      drop_at(make_dropped(7), SENT - 30 * MS, DROP_FATE_LOST));
}

/* Seen at the end of its call only: what was dropped so shortly before is the new SYN-ACK. */
static void test_window_of_late_synack(void **state)
{
	static const struct {
		enum rtx_hook hook;
		uint64_t before_ns;
		const char *want;
	} row[] = {
		{ RTX_HOOK_SYNACK, 1, "local" },
		{ RTX_HOOK_SYNACK, CAUSE_SYNACK_CALL_NS, "local" },
		{ RTX_HOOK_SYNACK_TP, 1, "queued" },
		{ RTX_HOOK_SYNACK_TP, CAUSE_SYNACK_CALL_NS - 1, "queued" },
		{ RTX_HOOK_SYNACK_TP, CAUSE_SYNACK_CALL_NS, "local" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		union record r = make_dropped(7);

		r.rec_drop.end_seq = SEQ + 1;
		r.rec_drop.tcp_flags = TCP_SYN | TCP_ACK;
		assert_change(row[i].want, make_synack(row[i].hook);
			      drop_at(r, BEGIN - row[i].before_ns, DROP_FATE_LOST));
	}
}

/* The departure of the copy before is known: what has an earlier one was another. */
static void test_older_copy_by_departure(void **state)
{
	union record r = make_dropped(7);

	(void)state;
	r.rec_drop.stamp_ns = SENT;
	assert_change("local", drop_at(r, SENT + MS, DROP_FATE_LOST));
	assert_change("network", a.entry.stamp_ns = SENT + 1; drop_at(r, SENT + MS, DROP_FATE_LOST));
	assert_change("local", make_nth(); previous.stamp_ns = SENT; drop_at(r, SENT + MS, DROP_FATE_LOST));
	assert_change("network", make_nth(); previous.stamp_ns = SENT + 1; drop_at(r, SENT + MS, DROP_FATE_LOST));
	/* A TC program may put it off further: earliest departure time. */
	assert_change("local", make_nth(); previous.stamp_ns = SENT - MS; drop_at(r, SENT + MS, DROP_FATE_LOST));
	/* Late, the segment's stamp is the new copy's. */
	assert_change("local", make_base_late(); drop_at(r, SENT + MS, DROP_FATE_LOST));
}

/*
 * Which retransmission this is has been forgotten. With entry hooks the copy before is known all the same: by its
 * stamp, and so by its time stamp value. What was dropped a second earlier was another.
 */
static void test_local_of_older_copy(void **state)
{
	union record r = make_dropped(7);

	(void)state;
#define FORGOTTEN ev.attempt = 0; a.entry.sacked = 0x80; a.hop[0].tc.c.tsval = (uint32_t)(BEGIN / MS)
	r.rec_drop.tsval = (uint32_t)((SENT - 900 * MS) / MS);
	assert_change("before_start", FORGOTTEN; drop_at(r, SENT - 900 * MS, DROP_FATE_LOST));
	r.rec_drop.tsval = (uint32_t)(SENT / MS);
	assert_change("local", FORGOTTEN; drop_at(r, SENT + MS, DROP_FATE_LOST));
}

/* Dropped inside the call that first sent it: where that failed, the original is a later one. */
static void test_unsent(void **state)
{
	static const struct {
		enum evidence_unsent unsent;
		const char *late, *early;
	} row[] = {
		{ UNSENT_NOT, "local", "local" },
		{ UNSENT_FAILED, "network", "local" }, /* early, its stamp would tell */
		{ UNSENT_SUCCEEDED, "local", "local" },
		{ UNSENT_UNCLEAR, "processed_copy", "local" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		union record r = make_dropped(7);

		r.rec_drop.h.ts_ns = SENT + MS;
		assert_change(row[i].late, make_base_late();
			      evidence_add(evidence, &r.rec_drop, 0, DROP_FATE_LOST, row[i].unsent));
		assert_change(row[i].early, evidence_add(evidence, &r.rec_drop, 0, DROP_FATE_LOST, row[i].unsent));
		assert_change("local", make_base_late(); make_nth();
			      evidence_add(evidence, &r.rec_drop, 0, DROP_FATE_LOST, row[i].unsent));
	}
}

/* Outside the window: what was sent only once cannot have arrived before. */
static void test_outside(void **state)
{
	(void)state;
	assert_change("local", drop_at(make_dropped(7), SENT + MS, DROP_FATE_OUTSIDE));
	assert_change("processed_copy", make_nth(); drop_at(make_dropped(7), SENT + MS, DROP_FATE_OUTSIDE));
	assert_change("processed_copy", drop_at(make_dropped_ack(7), SENT + MS, DROP_FATE_OUTSIDE));
}

/* The copy before the previous one, dropped late. */
static void test_older_copy(void **state)
{
	union record r = make_dropped(7);

	(void)state;
	r.rec_drop.tsval = 1000;
	assert_change("network", make_nth(); previous.tsval = 1500; drop_at(r, SENT + MS, DROP_FATE_LOST));
	assert_change("local", make_nth(); previous.tsval = 1000; drop_at(r, SENT + MS, DROP_FATE_LOST));
	r.rec_drop.tsval = 0;
	r.rec_drop.ip_id = 99;
	assert_change("network", make_nth(); previous.ip_id = 100; drop_at(r, SENT + MS, DROP_FATE_LOST));
	assert_change("local", make_nth(); previous.ip_id = 99; drop_at(r, SENT + MS, DROP_FATE_LOST));
}

/* What was acknowledged meanwhile is not retransmitted: the byte that is decides. */
static void test_partly_acknowledged(void **state)
{
	union record r = make_dropped(7);

	(void)state;
	r.rec_drop.end_seq = SEQ + 2 * MSS; /* one buffer of two segments */
#define SECOND_HALF a.entry.end_seq = SEQ + 2 * MSS; a.exit.seq = SEQ + MSS; a.exit.end_seq = SEQ + 2 * MSS
	assert_change("local", SECOND_HALF; drop_at(r, SENT + MS, DROP_FATE_LOST));
	assert_int_equal(ev.cause_drop.covered, MSS);
	r.rec_drop.end_seq = SEQ + MSS; /* the half that arrived the second time */
	assert_change("network", SECOND_HALF; drop_at(r, SENT + MS, DROP_FATE_LOST));
	/* An acknowledgement of the first half is none of the second. */
	assert_change("network", SECOND_HALF; lose_ack());
}

/* The kernel has put two segments together: only part of what goes out now was lost here. */
static void test_collapsed(void **state)
{
	(void)state;
	a.exit.end_seq = SEQ + 2 * MSS;
	lose_copy();
	assert_cause("local");
	assert_int_equal(ev.cause_drop.covered, MSS);
	again();
	a.exit.end_seq = SEQ + 2 * MSS;
	a.exit.seq = SEQ - MSS;
	lose_copy();
	assert_cause("network");
}

/* ---- segments without data ---- */

static void make_flags(uint16_t flags, uint8_t state)
{
	a.entry.tcp_flags = flags;
	a.entry.flow.state = state;
	a.entry.end_seq = a.exit.end_seq = SEQ + 1;
	a.entry.snd_nxt = SEQ + 1;
}

static void drop_byte(uint8_t flags)
{
	union record r = make_dropped(7);

	r.rec_drop.end_seq = SEQ + 1;
	r.rec_drop.tcp_flags = flags;
	drop_at(r, SENT + MS, DROP_FATE_LOST);
}

static void drop_answer(uint8_t flags)
{
	union record r = make_dropped_ack(7);

	r.rec_drop.ack = SEQ + 1;
	r.rec_drop.tcp_flags = flags;
	drop_at(r, SENT + MS, DROP_FATE_LOST);
}

static void test_syn(void **state)
{
	(void)state;
#define AS_SYN make_flags(TCP_SYN, 2); a.entry.snd_una = SEQ; a.entry.rcv_nxt = 0
	for (int i = 0; i < 4; i++) {
		again();
		if (i & 1)
			make_base_late();
		if (i & 2)
			make_nth();
		AS_SYN;
		assert_cause("network");
		again();
		if (i & 1)
			make_base_late();
		if (i & 2)
			make_nth();
		AS_SYN;
		drop_byte(TCP_SYN);
		assert_cause("local");
		assert_int_equal(ev.cause_drop.covered, 1);
		again();
		if (i & 1)
			make_base_late();
		if (i & 2)
			make_nth();
		AS_SYN;
		drop_answer(TCP_SYN | TCP_ACK);
		assert_cause("ack_local");
	}
}

/* Nothing was delivered before the first SYN: its lower bound is unknown, but what was dropped is there to see. */
static void test_syn_without_bound(void **state)
{
	(void)state;
	assert_change("local", AS_SYN; a.entry.delivered_us = 0; drop_byte(TCP_SYN));
	assert_change("ack_local", AS_SYN; a.entry.delivered_us = 0; drop_answer(TCP_SYN | TCP_ACK));
	assert_change("before_start", AS_SYN; a.entry.delivered_us = 0; ctx.armed_ns = SENT + 10 * MS; ev.attempt = 0);
}

static void test_fin(void **state)
{
	(void)state;
#define AS_FIN make_flags(TCP_FIN | TCP_ACK, 4)
	assert_change("network", AS_FIN);
	assert_change("network", make_nth(); AS_FIN);
	assert_change("network", make_base_late(); AS_FIN);
	assert_change("local", AS_FIN; drop_byte(TCP_FIN | TCP_ACK));
	assert_change("ack_local", AS_FIN; drop_answer(TCP_ACK));
	assert_change("ack_local", AS_FIN; drop_answer(TCP_FIN | TCP_ACK));
	/* With the last data. */
	again();
	make_flags(TCP_FIN | TCP_ACK, 4);
	a.exit.end_seq = a.entry.end_seq = a.entry.snd_nxt = SEQ + 101;
	drop_byte(TCP_ACK);
	assert_cause("local");
	assert_int_equal(ev.cause_drop.covered, 1);
}

/* The loss probe of the last segment: same rules. */
static void test_tlp(void **state)
{
	(void)state;
#define AS_TLP a.entry.hook = RTX_HOOK_DIRECT; a.entry.ca_state = 0; a.entry.pending = 5; ev.type = RTX_TYPE_TLP
	assert_change("network", AS_TLP);
	assert_change("local", AS_TLP; lose_copy());
	assert_change("ack_local", AS_TLP; lose_ack());
	assert_change("queued", AS_TLP; a.entry.wmem_alloc = 2305);
}

static void test_synack(void **state)
{
	static const enum rtx_hook hooks[] = { RTX_HOOK_SYNACK, RTX_HOOK_SYNACK_TP };

	(void)state;
	for (int i = 0; i < 4; i++) {
		again();
		if (i & 2)
			make_nth();
		make_synack(hooks[i & 1]);
		drop_byte(TCP_SYN | TCP_ACK);
		assert_cause("local");
		assert_int_equal(ev.cause_drop.covered, 1);
		again();
		if (i & 2)
			make_nth();
		make_synack(hooks[i & 1]);
		drop_answer(TCP_ACK);
		assert_cause("ack_local");
		/* The client's first data acknowledges it too. */
		again();
		if (i & 2)
			make_nth();
		make_synack(hooks[i & 1]);
		drop_answer(TCP_ACK | 0x08);
		assert_cause("ack_local");
		/* Its SYN does not. */
		again();
		if (i & 2)
			make_nth();
		make_synack(hooks[i & 1]);
		drop_answer(TCP_SYN);
		assert_cause("queued");
	}
	/* No account is kept of what it has under way: nothing of the socket's figures counts. */
	assert_change("queued", make_synack(RTX_HOOK_SYNACK); a.entry.rack_mstamp_us = SENT / 1000 + 5);
	assert_change("before_start", make_synack(RTX_HOOK_SYNACK); ctx.armed_ns = SENT);
	assert_change("before_start", make_synack(RTX_HOOK_SYNACK); ev.attempt = 0);
}

/* Comes last: every verdict and every reason of the closed list has been seen above. */
static void test_all_seen(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < RTX_CAUSE_COUNT; i++)
		assert_true(seen_cause[i]);
	for (unsigned int i = 0; i < CAUSE_WHY_COUNT; i++)
		assert_true(seen_why[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_network),
		TEST(test_local),
		TEST(test_ack_local),
		TEST(test_host_queue),
		TEST(test_local_needs_little),
		TEST(test_before_start),
		TEST(test_no_previous_stamp),
		TEST(test_records_lost),
		TEST(test_unseen),
		TEST(test_history_evicted),
		TEST(test_drops_not_traced),
		TEST(test_same_host),
		TEST(test_loopback_without_device),
		TEST(test_never_surveyed),
		TEST(test_queued),
		TEST(test_empty_queues),
		TEST(test_bound_by_timer),
		TEST(test_nothing_after_call),
		TEST(test_later_delivered_by_departure),
		TEST(test_later_delivered),
		TEST(test_consumers),
		TEST(test_encapsulated),
		TEST(test_overlay),
		TEST(test_nic_drops),
		TEST(test_counters_without_base),
		TEST(test_processed_copy),
		TEST(test_driver_free),
		TEST(test_nat),
		TEST(test_unit_of_time_stamps),
		TEST(test_receiver_blind),
		TEST(test_window),
		TEST(test_window_of_paced_segment),
		TEST(test_window_of_late_synack),
		TEST(test_older_copy_by_departure),
		TEST(test_local_of_older_copy),
		TEST(test_unsent),
		TEST(test_outside),
		TEST(test_older_copy),
		TEST(test_partly_acknowledged),
		TEST(test_collapsed),
		TEST(test_syn),
		TEST(test_syn_without_bound),
		TEST(test_fin),
		TEST(test_tlp),
		TEST(test_synack),
		TEST(test_all_seen),
	};

	return cmocka_run_group_tests_name("cause", tests, NULL, NULL);
}
