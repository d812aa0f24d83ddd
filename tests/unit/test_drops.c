// SPDX-License-Identifier: MIT
/* links: src/drops.c src/evidence.c src/hostnet.c src/places.c src/meaning.c src/meaning_table.c src/meaning_places.c src/names.c src/reasons.c src/util.c */
/* From DROP records to evidence: which loss is told once, and what TCP heard of a drop inside the call that sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drops.h"
#include "records.h"

#define MS 1000000ULL
#define LOCATION 0xffffffff81000000ULL

static struct names *names;
static struct places *places;
static struct evidence *evidence;
static struct hostnet *hostnet;
static struct drops *drops;

static int setup(void **state)
{
	(void)state;
	record_ns = 1000 * MS;
	names = names_new();
	places = places_new(names);
	evidence = evidence_new(64);
	hostnet = hostnet_new();
	drops = drops_new(places, evidence, hostnet, names);
	assert_non_null(drops);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	drops_free(drops);
	hostnet_free(hostnet);
	evidence_free(evidence);
	places_free(places);
	names_free(names);
	return 0;
}

static bool take(const union record *r)
{
	struct rec_drop d = r->rec_drop;
	struct ev_drop ev = {};

	return drops_take(drops, &d, &ev);
}

static struct evidence_answer ask(bool skip_unsent)
{
	struct evidence_query q = {
		.t = make_tuple(1, 443, 2, 51234), .seq = SEQ, .end_seq = SEQ + MSS, .snd_nxt = SEQ + MSS,
		.from_ns = 1, .until_ns = UINT64_MAX, .skip_unsent = skip_unsent,
	};
	struct evidence_answer a;

	evidence_ask(evidence, &q, &a);
	return a;
}

static void name(const char *reason, const char *symbol)
{
	union record n = make_reason(7, reason), s = make_symbol(LOCATION + 7, symbol, 0);

	names_learn_reason(names, &n.rec_reason);
	names_learn_symbol(names, &s.rec_symbol);
}

/* ---- what TCP heard ---- */

/* 'F': an error. 'S': success. 'U': not known. 'L': it does not matter, the segment was sent before. */
static char heard(uint8_t bits, const char *qdisc, const char *reason, const char *symbol)
{
	struct evidence_answer a;
	union record r;

	teardown(NULL);
	setup(NULL);
	name(reason, symbol);
	r = make_dropped(7);
	r.rec_drop.location = LOCATION + 7;
	r.rec_drop.bits = bits;
	memcpy(r.rec_drop.qdisc, qdisc, strnlen(qdisc, sizeof(r.rec_drop.qdisc)));
	assert_true(take(&r));
	assert_true(ask(false).lost.found);
	a = ask(true);
	assert_false(a.lost.found && a.unclear);
	return a.lost.found ? bits & DROP_BIT_UNSENT ? 'S' : 'L' : a.unclear ? 'U' : 'F';
}

static void test_unsent_by_qdisc(void **state)
{
	static const struct {
		const char *qdisc;
		char want;
	} row[] = {
		{ "noqueue", 'F' }, { "pfifo", 'F' }, { "pfifo_fast", 'F' }, { "bfifo", 'F' }, { "tbf", 'F' },
		{ "codel", 'F' }, { "pie", 'F' }, { "fq", 'F' },
		{ "netem", 'S' }, { "fq_codel", 'S' }, { "fq_pie", 'S' }, { "red", 'S' }, { "sfb", 'S' },
		{ "choke", 'S' }, { "gred", 'S' }, { "sfq", 'S' }, { "cake", 'S' }, { "hhf", 'S' }, { "dualpi2", 'S' },
		{ "htb", 'U' }, { "prio", 'U' }, { "mq", 'U' }, { "hfsc", 'U' }, { "drr", 'U' }, { "unheard", 'U' },
		{ "", 'F' }, /* it had come to no device */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_int_equal(heard(DROP_BIT_UNSENT, row[i].qdisc, "QDISC_DROP", "__dev_queue_xmit"), row[i].want);
		assert_int_equal(heard(0, row[i].qdisc, "QDISC_DROP", "__dev_queue_xmit"), 'L');
	}
}

/* Before the queueing discipline, which then says nothing. */
static void test_unsent_before_qdisc(void **state)
{
	static const char *const symbols[] = {
		"nf_hook_slow", "nft_do_chain", "ipt_do_table", "ip_output", "ip6_output", "__ip_local_out", "xfrm_output",
		"sk_filter_trim_cap", "__cgroup_bpf_run_filter_skb", "tcp_v4_send_check",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		assert_int_equal(heard(DROP_BIT_UNSENT, "netem", "NOMEM", symbols[i]), 'F');
		assert_int_equal(heard(DROP_BIT_UNSENT, "htb", "NOMEM", symbols[i]), 'F');
	}
	assert_int_equal(heard(DROP_BIT_UNSENT, "netem", "NETFILTER_DROP", "x"), 'F');
	assert_int_equal(heard(DROP_BIT_UNSENT, "netem", "TC_EGRESS", "x"), 'F');
	assert_int_equal(heard(DROP_BIT_UNSENT, "netem", "NOMEM", "x"), 'S');
}

/* ---- evidence, and what is none ---- */

static void test_none(void **state)
{
	union record r = make_dropped(7);
	struct evidence_drop found;

	(void)state;
	r.rec_drop.t.protocol = 17;
	assert_true(take(&r));
	r = make_dropped(7);
	r.rec_drop.source = DROP_SOURCE_RETRIES_EXCEEDED;
	assert_true(take(&r));
	assert_false(evidence_find_copy(evidence, &r.rec_drop.t, 0, 0, UINT64_MAX, &found));
	r = make_dropped(7);
	r.rec_drop.skb++;
	assert_true(take(&r));
	assert_true(evidence_find_copy(evidence, &r.rec_drop.t, 0, 0, UINT64_MAX, &found));
}

/* ---- one loss, told once ---- */

static bool tells_kernels(int64_t later_ns, uint32_t seq, uint64_t skb, uint16_t port)
{
	union record own = make_dropped_ack(0), kernels = make_dropped_ack(7);

	teardown(NULL);
	setup(NULL);
	record_ns += 1000 * MS;
	own.rec_drop.source = DROP_SOURCE_LISTEN_OVERFLOW;
	own.h.ts_ns = record_ns;
	kernels.h.ts_ns = record_ns + (uint64_t)later_ns;
	kernels.rec_drop.seq += seq;
	kernels.rec_drop.skb += skb;
	kernels.rec_drop.t.sport += port;
	assert_true(take(&own));
	return take(&kernels);
}

static void test_told_once(void **state)
{
	(void)state;
	assert_false(tells_kernels(0, 0, 0, 0));
	assert_false(tells_kernels(13 * MS, 0, 0, 0));
	assert_false(tells_kernels(50 * MS - 1, 0, 0, 0));
	assert_true(tells_kernels(50 * MS, 0, 0, 0));
	/* The buffer is another packet's now. */
	assert_true(tells_kernels(1000, 1, 0, 0));
	assert_true(tells_kernels(1000, 0, 0, 1));
	assert_true(tells_kernels(1000, 0, 1, 0));
}

/* So many of rebpf's own are remembered. */
static void test_many_own(void **state)
{
	union record r;

	(void)state;
	for (uint64_t i = 0; i < 65; i++) {
		r = make_dropped_ack(0);
		r.rec_drop.source = DROP_SOURCE_REQQ_FULL;
		r.rec_drop.skb = SKB + i * 256;
		assert_true(take(&r));
	}
	for (uint64_t i = 0; i < 65; i++) {
		r = make_dropped_ack(7);
		r.rec_drop.skb = SKB + i * 256;
		assert_int_equal(take(&r), i == 0);
		assert_true(take(&r)); /* once each */
	}
}

/* ---- a driver's drops explain its device's errors ---- */

static bool is_explained(const char *reason, const char *symbol)
{
	union record l, s, r;

	teardown(NULL);
	setup(NULL);
	name(reason, symbol);
	l = make_link(NETNS, 2, LINK_LEAVES);
	hostnet_learn_link(hostnet, &l.rec_link);
	s = make_survey(SURVEY_FULL);
	hostnet_learn_survey(hostnet, &s.rec_survey);
	r = make_dropped(7);
	r.rec_drop.location = LOCATION + 7;
	assert_true(take(&r));
	l = make_link(NETNS, 2, LINK_LEAVES);
	l.rec_link.errors = 1;
	hostnet_learn_link(hostnet, &l.rec_link);
	s = make_survey(SURVEY_FULL);
	hostnet_learn_survey(hostnet, &s.rec_survey);
	return !hostnet_lost_silently(hostnet, NETNS, r.h.ts_ns, r.h.ts_ns);
}

static void test_drivers(void **state)
{
	(void)state;
	assert_true(is_explained("FULL_RING", "x"));
	assert_true(is_explained("NOMEM", "tun_net_xmit"));
	assert_true(is_explained("NOMEM", "veth_xmit"));
	assert_false(is_explained("NETFILTER_DROP", "nf_hook_slow"));
}

static void test_without_parts(void **state)
{
	(void)state;
	assert_null(drops_new(NULL, evidence, hostnet, names));
	assert_null(drops_new(places, NULL, hostnet, names));
	assert_null(drops_new(places, evidence, NULL, names));
	assert_null(drops_new(places, evidence, hostnet, NULL));
	drops_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_unsent_by_qdisc),
		TEST(test_unsent_before_qdisc),
		TEST(test_none),
		TEST(test_told_once),
		TEST(test_many_own),
		TEST(test_drivers),
		TEST(test_without_parts),
	};

	return cmocka_run_group_tests_name("drops", tests, NULL, NULL);
}
