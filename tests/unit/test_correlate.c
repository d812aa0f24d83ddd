// SPDX-License-Identifier: MIT
/* links: src/correlate.c src/connects.c src/openset.c src/cause.c src/evidence.c src/hostnet.c src/places.c src/meaning.c src/meaning_table.c src/meaning_places.c src/drops.c src/attempt.c src/classify.c src/flows.c src/names.c src/reasons.c src/util.c */
/* Records in, events out: every situation of cause.md that records can tell, each to the last word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "correlate.h"
#include "records.h"

/* Numbers that no kernel has: they mean what the REASON records say. */
#define REASON_TC_EGRESS 501
#define REASON_NETFILTER 502
#define REASON_QDISC 503
#define REASON_BPF_OWN 504 /* what another TC program may set (6.12) */

#define MAX_EVENTS 8192

static struct correlate *c;
static struct event got[MAX_EVENTS];
static unsigned int got_count, seen_count;

static void on_event(void *ctx, const struct event *ev)
{
	assert_ptr_equal(ctx, &c);
	assert_true(got_count < MAX_EVENTS);
	got[got_count++] = *ev;
}

static void feed(union record r)
{
	correlate_record(c, &r);
}

static void start_bounded(uint32_t flags, unsigned int max_open, unsigned int max_flows)
{
	record_ns = 1000000;
	got_count = seen_count = 0;
	c = correlate_new(max_open, max_flows, on_event, &c);
	assert_non_null(c);
	feed(make_host(flags));
}

/* A kernel with drop reasons. */
static void start(uint32_t flags)
{
	start_bounded(flags, 64, 64);
	feed(make_reason(REASON_TC_EGRESS, "TC_EGRESS"));
	feed(make_reason(REASON_NETFILTER, "NETFILTER_DROP"));
	feed(make_reason(REASON_QDISC, "QDISC_DROP"));
	feed(make_reason(REASON_BPF_OWN, "BPF_OWN"));
	feed(make_symbol(0xffffffff81000000 + REASON_NETFILTER, "nf_hook_slow", 0xb5));
}

static int stop(void **state)
{
	(void)state;
	correlate_free(c);
	c = NULL;
	return 0;
}

static void tick(void)
{
	feed(make_tick(0));
}

static struct ev_stats stats(void)
{
	struct ev_stats s = { .printed = 11, .records = 12, .malformed = 13, .output_lost = 14 };

	correlate_stats(c, &s);
	return s;
}

/* ---- what an event says, in one line ---- */

static const char *const types[] = {
#define X(NAME, name) #name,
	RTX_TYPES(X)
#undef X
};

static const char *const outcomes[] = {
#define X(NAME, name) #name,
	RTX_OUTCOMES(X)
#undef X
};

static void show_tc(const struct ev_retransmit *r, FILE *f)
{
	static const char *const by[] = { "", "(other)", "(rebpf)" };

	if (!r->tc_observed) {
		fprintf(f, "null");
		return;
	}
	for (unsigned int i = 0; i < r->tc_count; i++) {
		const struct ev_tc_hop *hop = &r->tc[i];
		const char *verdict = hop->verdict == TC_VERDICT_OK	  ? "OK" :
				      hop->verdict == TC_VERDICT_SHOT	  ? "SHOT" :
				      hop->verdict == TC_VERDICT_STOLEN	  ? "STOLEN" :
				      hop->verdict == TC_VERDICT_REDIRECT ? "REDIRECT" :
				      hop->verdict == TC_VERDICT_UNKNOWN  ? "null" :
									    "?";

		fprintf(f, "%s%s:%s%s", i ? "," : "", hop->ifname, verdict, by[hop->by]);
	}
	if (!r->tc_count)
		fprintf(f, "[]");
}

/* "rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-" */
static const char *show(const struct event *e)
{
	static char text[512];
	const struct ev_retransmit *r = &e->retransmit;
	FILE *f = fmemopen(text, sizeof(text), "w");

	assert_int_equal(e->kind, EV_RETRANSMIT);
	assert_int_equal(r->len <= r->end_seq - r->seq, 1);
	fprintf(f, "%s #%u %u+%u x%u tc=", types[r->type], r->attempt, r->seq, r->end_seq - r->seq, r->segs);
	show_tc(r, f);
	if (r->has_ret)
		fprintf(f, " ret=%d", r->ret);
	else
		fprintf(f, " ret=null");
	fprintf(f, " %s drop=", outcomes[r->outcome]);
	if (r->drop.known)
		fprintf(f, "%s@%s:%s", r->drop.reason, r->drop.symbol, r->drop.ifname);
	else
		fprintf(f, "-");
	fclose(f);
	return text;
}

/* The next event that has not been looked at. */
#define assert_event(text)                                           \
	do {                                                         \
		assert_true(seen_count < got_count);                 \
		assert_string_equal(show(&got[seen_count++]), text); \
	} while (0)

#define assert_no_event() assert_int_equal(seen_count, got_count)

/* After the records of an attempt: the tick that releases it, and its event, of which there is one. */
#define assert_one(text)             \
	do {                         \
		assert_no_event();   \
		tick();              \
		assert_event(text);  \
		assert_no_event();   \
	} while (0)

static const struct ev_retransmit *last(void)
{
	return &got[got_count - 1].retransmit;
}

/* ---- the plain attempt ---- */

static void feed_plain(uint64_t sk, uint64_t skb)
{
	feed(make_entry(sk, skb));
	feed(make_tc(sk, skb, COPY));
	feed(make_queued(sk, skb, COPY));
	feed(make_exit(sk, skb, 0));
}

static void test_plain(void **state)
{
	const struct ev_retransmit *r;
	union record t;
	uint64_t began;

	(void)state;
	start(HOST_MODE_1);
	feed(make_clock(1000, 5000000001000));
	began = record_ns + 1000;
	feed_plain(SK, SKB);
	assert_no_event();
	t = make_tick(0);
	t.h.ts_ns = record_ns - 1001; /* the rings have been read up to just before the exit */
	feed(t);
	assert_no_event();
	t.h.ts_ns++;
	feed(t);
	assert_event("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	tick();
	assert_no_event();

	assert_int_equal(got[0].mono_ns, began);
	assert_int_equal(got[0].wall_ns, began + 5000000000000);
	r = last();
	assert_int_equal(r->skb, SKB);
	assert_int_equal(r->tc[0].skb, COPY);
	assert_int_equal(r->len, 1448);
	assert_true(r->has_socket);
	assert_int_equal(r->ca_state, 4);
	assert_int_equal(r->srtt_us, 12345);
	assert_int_equal(r->rto_us, 204000);
	assert_int_equal(r->cwnd, 5);
	assert_int_equal(r->ssthresh, 7);
	assert_int_equal(r->mss, 1448);
	assert_int_equal(r->segs_out, 9000);
	assert_int_equal(r->cause, RTX_CAUSE_UNKNOWN);
	assert_int_equal(r->cause_why, CAUSE_WHY_DROPS_NOT_TRACED);
	assert_int_equal(r->c.flow.lport, 443);
	assert_int_equal(r->c.flow.rport, 51234);
	assert_int_equal(r->c.owner.tgid, 1234);
	assert_string_equal(r->c.owner.comm, "nginx");
	assert_string_equal(r->c.task.comm, "swapper/1");
}

static void test_finish_releases(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed_plain(SK, SKB);
	feed(make_entry(SK2, SKB + 0x1000));
	correlate_finish(c);
	assert_event("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_no_event();
	assert_int_equal(stats().incomplete, 1);
}

/* ---- what happens to the segment ---- */

static void test_partial_ack_trims(void **state)
{
	union record e, x, t;

	(void)state;
	start(HOST_MODE_1);
	e = make_entry(SK, SKB);
	e.rec_rtx_entry.end_seq = SEQ + 2 * MSS;
	e.rec_rtx_entry.snd_una = SEQ + MSS;
	e.rec_rtx_entry.segs = 2;
	feed(e);
	t = make_tc(SK, SKB, COPY);
	t.rec_rtx_tc.c.seq = SEQ + MSS;
	t.rec_rtx_tc.c.end_seq = SEQ + 2 * MSS;
	feed(t);
	feed(make_queued(SK, SKB, COPY));
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.seq = SEQ + MSS;
	x.rec_rtx_exit.end_seq = SEQ + 2 * MSS;
	feed(x);
	assert_one("rto #1 2448+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_int_equal(last()->len, 1448);
}

static void test_tcp_fragment(void **state)
{
	union record e;

	(void)state;
	start(HOST_MODE_1);
	e = make_entry(SK, SKB);
	e.rec_rtx_entry.end_seq = SEQ + 4 * MSS;
	e.rec_rtx_entry.segs = 4;
	feed(e);
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_int_equal(last()->len, 1448);
}

static void test_syn_and_fin_are_no_payload(void **state)
{
	union record e, x;

	(void)state;
	start(HOST_MODE_1);
	e = make_entry(SK, SKB);
	e.rec_rtx_entry.tcp_flags = 0x11; /* FIN ACK */
	feed(e);
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.end_seq = SEQ + 1;
	feed(x);
	assert_one("rto #1 1000+1 x1 tc=null ret=0 unknown drop=-");
	assert_int_equal(last()->len, 0);
}

/* One buffer of six segments at TC, freed segment by segment behind it: buffers that are neither P nor C. */
static void test_gso(void **state)
{
	union record r;

	(void)state;
	start(HOST_MODE_1);
	r = make_entry(SK, SKB);
	r.rec_rtx_entry.end_seq = SEQ + 6 * MSS;
	r.rec_rtx_entry.segs = 6;
	feed(r);
	r = make_tc(SK, SKB, COPY);
	r.rec_rtx_tc.c.end_seq = SEQ + 6 * MSS;
	feed(r);
	feed(make_queued(SK, SKB, COPY));
	for (uint32_t i = 0; i < 6; i++) {
		r = make_drop(SK, SKB, REASON_QDISC, 1, 1);
		r.rec_rtx_drop.c.copy = COPY + 0x1000 * (i + 1);
		r.rec_rtx_drop.c.seq = SEQ + i * MSS;
		r.rec_rtx_drop.c.end_seq = SEQ + (i + 1) * MSS;
		feed(r);
	}
	r = make_exit(SK, SKB, 1);
	r.rec_rtx_exit.end_seq = SEQ + 6 * MSS;
	r.rec_rtx_exit.segs = 6;
	r.rec_rtx_exit.total_retrans = 6;
	feed(r);
	assert_one("rto #1 1000+8688 x6 tc=eth0:OK ret=1 dropped drop=QDISC_DROP@:eth0");
	assert_int_equal(stats().segs, 6);
	assert_int_equal(stats().segs_failed, 6);
}

/* The first copy still lives, so the next is a buffer of its own: nothing about it can be computed from P. */
static void test_pskb_copy(void **state)
{
	union record r;

	(void)state;
	start(HOST_MODE_1);
	feed_plain(SK, SKB);
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_int_equal(last()->tc[0].skb, COPY);
	r = make_entry(SK, SKB);
	r.rec_rtx_entry.total_retrans = 1;
	r.rec_rtx_entry.sacked = 0x80;
	feed(r);
	feed(make_tc(SK, SKB, 0xffff8885abcdef00));
	feed(make_queued(SK, SKB, 0xffff8885abcdef00));
	r = make_exit(SK, SKB, 0);
	r.rec_rtx_exit.total_retrans = 2;
	feed(r);
	assert_one("rto #2 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_int_equal(last()->tc[0].skb, 0xffff8885abcdef00);
	assert_int_equal(last()->skb, SKB);
}

/* ---- refused, and dropped before TC ---- */

static void test_busy(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_refusal(SK, SKB, EBUSY_RET));
	assert_one("rto #1 1000+1448 x1 tc=[] ret=-16 refused drop=-");
	assert_int_equal(last()->cause, RTX_CAUSE_HOST_QUEUE);
	assert_int_equal(stats().by_cause[RTX_CAUSE_HOST_QUEUE], 1);
	assert_int_equal(stats().segs, 0);
	/* It was no retransmission: the next is still the first. */
	feed_plain(SK, SKB);
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
}

static void test_refused_in_mode_2(void **state)
{
	union record r;

	(void)state;
	start(HOST_MODE_2);
	r = make_late_entry(SK, SKB);
	r.rec_rtx_entry.total_retrans = 0;
	feed(r);
	feed(make_refusal(SK, SKB, EBUSY_RET));
	assert_one("rto #1 1000+1448 x1 tc=[] ret=-16 refused drop=-");
	assert_int_equal(last()->cause, RTX_CAUSE_HOST_QUEUE);
}

/* Refused for another reason than a copy in the queue: nothing is known of the previous copy. */
static void test_refused_without_route(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_refusal(SK, SKB, -113));
	assert_one("rto #1 1000+1448 x1 tc=[] ret=-113 refused drop=-");
	assert_int_equal(last()->cause, RTX_CAUSE_UNKNOWN);
}

static void feed_drop_in_output(void)
{
	feed(make_entry(SK, SKB));
	feed(make_drop(SK, SKB, REASON_NETFILTER, 0, 0));
	feed(make_exit(SK, SKB, EPERM_RET));
}

static void test_netfilter_output(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed_drop_in_output();
	assert_one("rto #1 1000+1448 x1 tc=[] ret=-1 dropped drop=NETFILTER_DROP@nf_hook_slow:");
	assert_int_equal(last()->drop.offset, 0xb5);
	assert_int_equal(last()->drop.address, 0xffffffff81000000 + REASON_NETFILTER);
}

static void test_netfilter_output_in_mode_2(void **state)
{
	uint64_t began;

	(void)state;
	start(HOST_MODE_2);
	began = record_ns + 1000;
	feed(make_drop(SK, SKB, REASON_NETFILTER, 0, 0));
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, EPERM_RET));
	assert_one("rto #1 1000+1448 x1 tc=[] ret=-1 dropped drop=NETFILTER_DROP@nf_hook_slow:");
	assert_int_equal(got[0].mono_ns, began);
}

/* Routing has set a device, but the copy had not come to it. */
static void test_netfilter_postrouting(void **state)
{
	union record d;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	d = make_drop(SK, SKB, REASON_NETFILTER, 0, 0);
	set_device(&d.rec_rtx_drop.c, 2, "eth0");
	feed(d);
	feed(make_exit(SK, SKB, EPERM_RET));
	assert_one("rto #1 1000+1448 x1 tc=[] ret=-1 dropped drop=NETFILTER_DROP@nf_hook_slow:eth0");
}

/* Dropped at a device before TC (netfilter's egress hook), or by what nobody knows: TC may have seen it. */
static void test_netfilter_egress(void **state)
{
	union record d;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	d = make_drop(SK, SKB, REASON_NETFILTER, 0, 0);
	set_device(&d.rec_rtx_drop.c, 2, "eth0");
	d.rec_rtx_drop.at_device = 1;
	feed(d);
	feed(make_exit(SK, SKB, 1));
	assert_one("rto #1 1000+1448 x1 tc=null ret=1 dropped drop=NETFILTER_DROP@nf_hook_slow:eth0");
}

/* ---- verdicts of TC ---- */

static void feed_shot(uint32_t reason)
{
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	feed(make_drop(SK, SKB, reason, 1, 0));
	feed(make_exit(SK, SKB, 1));
}

static void test_shot_by_other(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed_shot(REASON_TC_EGRESS);
	assert_one("rto #1 1000+1448 x1 tc=eth0:SHOT(other) ret=1 dropped drop=TC_EGRESS@:eth0");
	assert_int_equal(stats().segs, 1);
	assert_int_equal(stats().segs_failed, 1);
}

static void test_shot_with_own_reason(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed_shot(REASON_BPF_OWN);
	assert_one("rto #1 1000+1448 x1 tc=eth0:SHOT(other) ret=1 dropped drop=BPF_OWN@:eth0");
}

/* Without QUEUED records only the reason can tell a TC program from what comes behind it. */
static void test_shot_without_queued_hook(void **state)
{
	(void)state;
	start(HOST_MODE_1 & ~HOST_SEES_QUEUED);
	feed_shot(REASON_TC_EGRESS);
	assert_one("rto #1 1000+1448 x1 tc=eth0:SHOT(other) ret=1 dropped drop=TC_EGRESS@:eth0");
	stop(state);
	start(HOST_MODE_1 & ~HOST_SEES_QUEUED);
	feed_shot(REASON_BPF_OWN);
	assert_one("rto #1 1000+1448 x1 tc=eth0:null ret=1 dropped drop=BPF_OWN@:eth0");
}

/* 5.10: no reasons. The place says it: behind our hook, before the device. */
static void test_shot_without_reasons(void **state)
{
	(void)state;
	start_bounded(HOST_MODE_1, 64, 64);
	feed(make_symbol(0xffffffff81000000, "__dev_queue_xmit", 0x5a1));
	feed_shot(0);
	assert_one("rto #1 1000+1448 x1 tc=eth0:SHOT(other) ret=1 dropped drop=@__dev_queue_xmit:eth0");
	stop(state);
	start_bounded(HOST_MODE_1, 64, 64);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	feed(make_drop(SK, SKB, 0, 1, 1));
	feed(make_exit(SK, SKB, 1));
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=1 dropped drop=@:eth0");
}

static void test_qdisc_drop(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	feed(make_drop(SK, SKB, REASON_QDISC, 1, 1));
	feed(make_exit(SK, SKB, 1));
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=1 dropped drop=QDISC_DROP@:eth0");
}

/* netem says that it took the packet. The drop says that it did not. */
static void test_netem(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	feed(make_drop(SK, SKB, REASON_QDISC, 1, 1));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 dropped drop=QDISC_DROP@:eth0");
	assert_int_equal(stats().segs, 1);
	assert_int_equal(stats().segs_failed, 0); /* the kernel does not know of it */
}

static void feed_vanished(uint64_t sk)
{
	feed(make_entry(sk, SKB));
	feed(make_tc(sk, SKB, COPY));
	feed(make_exit(sk, SKB, 0));
}

static void test_stolen(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed_vanished(SK);
	assert_one("rto #1 1000+1448 x1 tc=eth0:STOLEN(other) ret=0 stolen drop=-");
}

/* Where a hook was skipped its silence proves nothing: neither in this tick nor in the one after. */
static void test_not_stolen_if_hooks_missed(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed_vanished(SK);
	feed(make_tick(3));
	assert_event("rto #1 1000+1448 x1 tc=eth0:null ret=0 unknown drop=-");
	feed_vanished(SK2);
	feed(make_tick(3));
	assert_event("rto #1 1000+1448 x1 tc=eth0:null ret=0 unknown drop=-");
	assert_int_equal(stats().missed, 3);
	feed_vanished(SK2 + 0x1000);
	feed(make_tick(3));
	assert_event("rto #1 1000+1448 x1 tc=eth0:STOLEN(other) ret=0 stolen drop=-");
	assert_no_event();
}

/* The rings may be read several ticks after what they hold was missed: it is the time that counts. */
static void test_not_stolen_if_missed_before_backlog(void **state)
{
	union record e, t, x, quiet[4];

	(void)state;
	start(HOST_MODE_1);
	e = make_entry(SK, SKB);
	t = make_tc(SK, SKB, COPY);
	x = make_exit(SK, SKB, 0);
	for (int i = 0; i < 4; i++) {
		quiet[i] = make_tick(3); /* the first one tells the rise */
		feed(quiet[i]);
	}
	feed(e);
	feed(t);
	feed(x);
	feed(make_tick(3));
	assert_event("rto #1 1000+1448 x1 tc=eth0:null ret=0 unknown drop=-");
	feed_vanished(SK2);
	feed(make_tick(3));
	assert_event("rto #1 1000+1448 x1 tc=eth0:STOLEN(other) ret=0 stolen drop=-");
}

/* A kernel that does not say what was queued, or dropped: no verdict comes from silence. */
static void test_not_stolen_without_hooks(void **state)
{
	(void)state;
	start(HOST_MODE_1 & ~HOST_SEES_DROPS);
	feed_vanished(SK);
	tick();
	assert_int_equal(last()->tc[0].verdict, TC_VERDICT_UNKNOWN);
	assert_int_not_equal(last()->outcome, RTX_OUTCOME_STOLEN);
	feed_plain(SK2, SKB + 0x1000);
	tick();
	assert_int_equal(last()->tc[0].verdict, TC_VERDICT_OK);
	assert_int_equal(last()->outcome, RTX_OUTCOME_SENT);
}

/* The same buffer comes to another device without having been handed to the first. */
static void test_redirect(void **state)
{
	union record t, q;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	t = make_tc(SK, SKB, COPY);
	set_device(&t.rec_rtx_tc.c, 5, "eth5");
	feed(t);
	q = make_queued(SK, SKB, COPY);
	q.rec_rtx_queued.ifindex = 5;
	feed(q);
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:REDIRECT(other),eth5:OK ret=0 sent drop=-");
}

/* What comes to the other device is a copy of its own: the first was consumed, where to nobody can tell. */
static void test_redirect_of_copy(void **state)
{
	union record t, q;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	t = make_tc(SK, SKB, COPY + 0x1000);
	set_device(&t.rec_rtx_tc.c, 5, "eth5");
	feed(t);
	q = make_queued(SK, SKB, COPY + 0x1000);
	q.rec_rtx_queued.ifindex = 5;
	feed(q);
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:STOLEN(other),eth5:OK ret=0 sent drop=-");
	/* With a drop, or a failure, it may have been that. */
	for (int i = 0; i < 2; i++) {
		feed(make_entry(SK2, SKB));
		feed(make_tc(SK2, SKB, COPY));
		t = make_tc(SK2, SKB, COPY + 0x1000);
		set_device(&t.rec_rtx_tc.c, 5, "eth5");
		feed(t);
		q = make_queued(SK2, SKB, COPY + 0x1000);
		q.rec_rtx_queued.ifindex = 5;
		feed(q);
		if (i)
			feed(make_drop(SK2, SKB, REASON_QDISC, 2, 1));
		feed(make_exit(SK2, SKB, !i));
		tick();
		assert_int_equal(last()->tc_count, 2);
		assert_int_equal(last()->tc[0].verdict, TC_VERDICT_UNKNOWN);
		assert_int_equal(last()->tc[0].by, TC_BY_NOBODY);
		assert_int_equal(last()->tc[1].verdict, TC_VERDICT_OK);
	}
}

/* Nothing of an older attempt stays behind in the place that it had. */
static void test_place_used_again(void **state)
{
	union record t, d;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	for (uint32_t i = 2; i < 6; i++) {
		t = make_tc(SK, SKB, COPY);
		set_device(&t.rec_rtx_tc.c, i, "eth9");
		feed(t);
	}
	d = make_drop(SK, SKB, REASON_TC_EGRESS, 4, 0);
	set_device(&d.rec_rtx_drop.c, 5, "eth9");
	feed(d);
	feed(make_exit(SK, SKB, 1));
	assert_one("rto #1 1000+1448 x1 tc=eth9:REDIRECT(other),eth9:REDIRECT(other),eth9:REDIRECT(other),"
		   "eth9:SHOT(other) ret=1 dropped drop=TC_EGRESS@:eth9");
	feed_vanished(SK2);
	assert_one("rto #1 1000+1448 x1 tc=eth0:STOLEN(other) ret=0 stolen drop=-");
	feed(make_entry(SK2 + 0x1000, SKB));
	feed(make_queued(SK2 + 0x1000, SKB, COPY));
	feed(make_exit(SK2 + 0x1000, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 sent drop=-");
}

/* An attempt whose copy has come by at eth0.7. */
static void start_on_vlan(void)
{
	union record t;

	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	t = make_tc(SK, SKB, COPY);
	set_device(&t.rec_rtx_tc.c, 7, "eth0.7");
	feed(t);
}

/* A VLAN on eth0: one buffer, both devices, in the order of the kernel. */
static void test_stacked_devices(void **state)
{
	union record q;

	(void)state;
	start_on_vlan();
	q = make_queued(SK, SKB, COPY);
	q.rec_rtx_queued.ifindex = 7;
	feed(q);
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0.7:OK,eth0:OK ret=0 sent drop=-");
}

/* The same, as the kernel side says it of devices that are watched: in the next record of the attempt. */
static void test_stacked_devices_without_queued(void **state)
{
	union record t, x;

	(void)state;
	start_on_vlan();
	t = make_tc(SK, SKB, COPY);
	t.rec_rtx_tc.c.prior_queued = 1;
	feed(t);
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.queued = 2;
	feed(x);
	assert_one("rto #1 1000+1448 x1 tc=eth0.7:OK,eth0:OK ret=0 sent drop=-");
}

/* Not by the first: then it was sent elsewhere from there. */
static void test_redirect_without_queued(void **state)
{
	union record t, x;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	t = make_tc(SK, SKB, COPY);
	set_device(&t.rec_rtx_tc.c, 5, "eth5");
	feed(t);
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.queued = 2;
	feed(x);
	assert_one("rto #1 1000+1448 x1 tc=eth0:REDIRECT(other),eth5:OK ret=0 sent drop=-");
}

static union record make_whole(uint64_t sk, uint64_t skb, int ret)
{
	union record r = make_late_entry(sk, skb);

	r.rec_rtx_entry.bits |= RTX_BIT_WHOLE;
	r.rec_rtx_entry.reached = RTX_REACHED;
	r.rec_rtx_entry.ret = ret;
	return r;
}

/* One record for the beginning and the end. */
static void test_whole(void **state)
{
	union record e, t;

	(void)state;
	start(HOST_MODE_2);
	e = make_whole(SK, SKB, 0);
	t = make_tc(SK, SKB, COPY);
	t.rec_rtx_tc.c.stamp_ns = e.rec_rtx_entry.stamp_ns;
	feed(t);
	e.rec_rtx_entry.queued = 1;
	feed(e);
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	feed(make_whole(SK2, SKB, -105));
	assert_one("rto #1 1000+1448 x1 tc=null ret=-105 dropped drop=-");
	assert_int_equal(stats().incomplete, 0);
}

/* No place to keep it: said. */
static void test_whole_without_place(void **state)
{
	(void)state;
	start_bounded(HOST_MODE_1, 1, 64);
	feed(make_entry(SK, SKB));
	feed(make_whole(SK2, SKB, 0));
	assert_int_equal(stats().incomplete, 1);
}

/* The same, and a program on the lower device shoots it. */
static void test_shot_on_second_device(void **state)
{
	union record q;

	(void)state;
	start_on_vlan();
	q = make_queued(SK, SKB, COPY);
	q.rec_rtx_queued.ifindex = 7;
	feed(q);
	feed(make_tc(SK, SKB, COPY));
	feed(make_drop(SK, SKB, REASON_TC_EGRESS, 2, 0));
	feed(make_exit(SK, SKB, 1));
	assert_one("rto #1 1000+1448 x1 tc=eth0.7:OK,eth0:SHOT(other) ret=1 dropped drop=TC_EGRESS@:eth0");
}

/* Two devices of the same index in two namespaces are two devices. */
static void test_queued_in_other_netns(void **state)
{
	union record q;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	q = make_queued(SK, SKB, COPY);
	q.rec_rtx_queued.netns = NETNS + 1;
	feed(q);
	feed(make_exit(SK, SKB, 0));
	tick();
	assert_int_not_equal(last()->tc[0].verdict, TC_VERDICT_OK);
}

static void test_more_hops_than_fit(void **state)
{
	union record r;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	for (uint32_t i = 0; i < 2 * EV_MAX_HOPS; i++) {
		char name[8];

		snprintf(name, sizeof(name), "d%u", i);
		r = make_tc(SK, SKB, COPY);
		set_device(&r.rec_rtx_tc.c, 10 + i, name);
		feed(r);
		r = make_queued(SK, SKB, COPY);
		r.rec_rtx_queued.ifindex = 10 + i;
		feed(r);
	}
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=d0:OK,d1:OK,d2:OK,d3:OK,d4:OK,d5:OK,d6:OK ret=0 sent drop=-");
}

/* An earlier filter of the same device (clsact) took it before our classifier came to see it. */
static void test_shot_before_us(void **state)
{
	union record d;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	d = make_drop(SK, SKB, REASON_TC_EGRESS, 0, 0);
	set_device(&d.rec_rtx_drop.c, 2, "eth0");
	d.rec_rtx_drop.at_device = 1;
	feed(d);
	feed(make_exit(SK, SKB, 1));
	assert_one("rto #1 1000+1448 x1 tc=eth0:SHOT(other) ret=1 dropped drop=TC_EGRESS@:eth0");
	assert_int_equal(last()->tc[0].skb, COPY);
}

/* The same on the lower one of two devices. Without reasons the absence of its QUEUED tells. */
static void test_shot_before_us_on_lower_device(void **state)
{
	union record t, q;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	t = make_tc(SK, SKB, COPY);
	set_device(&t.rec_rtx_tc.c, 7, "eth0.7");
	feed(t);
	q = make_queued(SK, SKB, COPY);
	q.rec_rtx_queued.ifindex = 7;
	feed(q);
	feed(make_drop(SK, SKB, REASON_TC_EGRESS, 1, 1));
	feed(make_exit(SK, SKB, 1));
	assert_one("rto #1 1000+1448 x1 tc=eth0.7:OK,eth0:SHOT(other) ret=1 dropped drop=TC_EGRESS@:eth0");
	for (int queued_below = 0; queued_below < 2; queued_below++) {
		stop(state);
		start_bounded(HOST_MODE_1, 64, 64);
		feed(make_entry(SK, SKB));
		feed(t);
		feed(q);
		if (queued_below)
			feed(make_queued(SK, SKB, COPY));
		feed(make_drop(SK, SKB, 0, 1, 1));
		feed(make_exit(SK, SKB, 1));
		if (queued_below)
			assert_one("rto #1 1000+1448 x1 tc=eth0.7:OK ret=1 dropped drop=@:eth0");
		else
			assert_one("rto #1 1000+1448 x1 tc=eth0.7:OK,eth0:SHOT(other) ret=1 dropped drop=@:eth0");
	}
}

/* 5.10: at a device, but not handed to it, is in TC. */
static void test_shot_before_us_without_reasons(void **state)
{
	static const struct {
		uint32_t host_flags;
		uint8_t at_device, queued;
		const char *want;
	} row[] = {
		{ HOST_MODE_1, 1, 0, "rto #1 1000+1448 x1 tc=eth0:SHOT(other) ret=1 dropped drop=@:eth0" },
		{ HOST_MODE_1, 0, 0, "rto #1 1000+1448 x1 tc=[] ret=1 dropped drop=@:eth0" },
		{ HOST_MODE_1, 1, 1, "rto #1 1000+1448 x1 tc=null ret=1 dropped drop=@:eth0" },
		{ HOST_MODE_1 & ~HOST_SEES_QUEUED, 1, 0, "rto #1 1000+1448 x1 tc=null ret=1 dropped drop=@:eth0" },
	};
	union record d;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		start_bounded(row[i].host_flags, 64, 64);
		feed(make_entry(SK, SKB));
		d = make_drop(SK, SKB, 0, 0, row[i].queued);
		set_device(&d.rec_rtx_drop.c, 2, "eth0");
		d.rec_rtx_drop.at_device = row[i].at_device;
		feed(d);
		feed(make_exit(SK, SKB, 1));
		assert_one(row[i].want);
		stop(state);
	}
}

static void test_injected(void **state)
{
	union record t;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	t = make_tc(SK, SKB, COPY);
	t.rec_rtx_tc.verdict = TC_VERDICT_SHOT;
	feed(t);
	feed(make_drop(SK, SKB, REASON_TC_EGRESS, 1, 0));
	feed(make_exit(SK, SKB, 1));
	assert_one("rto #1 1000+1448 x1 tc=eth0:SHOT(rebpf) ret=1 dropped drop=REBPF_INJECT@:eth0");
	feed(make_entry(SK2, SKB + 0x1000));
	t = make_tc(SK2, SKB + 0x1000, COPY);
	t.rec_rtx_tc.verdict = TC_VERDICT_STOLEN;
	feed(t);
	feed(make_drop(SK2, SKB + 0x1000, 0, 1, 0)); /* the redirection to nowhere */
	feed(make_exit(SK2, SKB + 0x1000, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:STOLEN(rebpf) ret=0 stolen drop=-");
}

/* Without its drop, or even without its exit's return code, the verdict tells. */
static void test_injected_alone(void **state)
{
	union record t, x;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	t = make_tc(SK, SKB, COPY);
	t.rec_rtx_tc.verdict = TC_VERDICT_SHOT;
	feed(t);
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.has_ret = 0;
	feed(x);
	tick();
	assert_int_equal(last()->outcome, RTX_OUTCOME_DROPPED);
	assert_false(last()->drop.known);
	assert_int_equal(last()->tc[0].by, TC_BY_REBPF);
}

static void test_injected_are_counted(void **state)
{
	union record t = make_tick(0);

	(void)state;
	start(HOST_MODE_1);
	t.rec_tick.injected = 41;
	feed(t);
	assert_int_equal(stats().injected, 41);
}

/* ---- TC saw nothing ---- */

/* Silence proves nothing: another program may have been put before ours. */
static void test_tc_saw_nothing(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_exit(SK, SKB, -113)); /* after the counters moved: a routing error */
	assert_one("rto #1 1000+1448 x1 tc=null ret=-113 dropped drop=-");
	/* With the hooks open during the call, a copy that none of them saw may be anywhere. */
	feed(make_entry(SK2, SKB));
	feed(make_exit(SK2, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 unknown drop=-");
	/* Without entry hooks there is nothing that could have seen it. */
	stop(state);
	start(HOST_MODE_2);
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 sent drop=-");
}

static void test_unwatched_device(void **state)
{
	uint32_t netns, tgid;

	(void)state;
	start(HOST_MODE_1);
	assert_false(correlate_take_missed(c, &netns, &tgid));
	feed(make_entry(SK, SKB));
	feed(make_queued(SK, SKB, COPY));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 sent drop=-");
	assert_true(correlate_take_missed(c, &netns, &tgid));
	assert_int_equal(netns, NETNS);
	assert_int_equal(tgid, 1234);
	assert_false(correlate_take_missed(c, &netns, &tgid));
	/* Each namespace once, and so many as fit: in a replay nobody asks. */
	for (uint64_t i = 0; i < 100; i++) {
		union record e = make_entry(SK + i % 50 * 0x1000, SKB);

		e.rec_rtx_entry.flow.netns = NETNS + 1 + i % 50;
		e.rec_rtx_entry.owner.tgid = 5000 + i % 50;
		feed(e);
		feed(make_exit(SK + i % 50 * 0x1000, SKB, 0));
	}
	tick();
	for (uint32_t i = 0; correlate_take_missed(c, &netns, &tgid); i++) {
		assert_in_range(netns, NETNS + 1, NETNS + 16);
		assert_int_equal(netns - NETNS - 1, tgid - 5000);
		assert_true(i < 16);
	}
	for (uint32_t i = 0; i < 6; i++) {
		union record e = make_entry(SK + i * 0x1000, SKB);

		e.rec_rtx_entry.flow.netns = NETNS + i % 3;
		feed(e);
		feed(make_exit(SK + i * 0x1000, SKB, 0));
	}
	tick();
	for (uint32_t i = 0; i < 3; i++)
		assert_true(correlate_take_missed(c, &netns, &tgid));
	assert_false(correlate_take_missed(c, &netns, &tgid));
	seen_count = got_count;
	/* Nothing to look for after one that TC saw, or that never left. */
	feed_plain(SK2, SKB);
	feed(make_entry(SK2, SKB));
	feed(make_refusal(SK2, SKB, EBUSY_RET));
	tick();
	assert_false(correlate_take_missed(c, &netns, &tgid));
}

/* ---- without entry hooks ---- */

static void test_mode_2(void **state)
{
	uint64_t began;

	(void)state;
	start(HOST_MODE_2);
	began = record_ns + 1000;
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	tick();
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_int_equal(got[0].mono_ns, began);
	assert_int_equal(last()->skb, SKB);
	assert_int_equal(last()->tc[0].skb, COPY);
	assert_int_equal(stats().incomplete, 0);
}

static void test_mode_2_shot(void **state)
{
	(void)state;
	start(HOST_MODE_2);
	feed(make_tc(SK, SKB, COPY));
	feed(make_drop(SK, SKB, REASON_TC_EGRESS, 1, 0));
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 1));
	assert_one("rto #1 1000+1448 x1 tc=eth0:SHOT(other) ret=1 dropped drop=TC_EGRESS@:eth0");
}

/* Before 6.17 no end of a failed attempt is ever told: what TC saw of it is not charged to the next one. */
static void test_mode_2_stale_copy(void **state)
{
	union record t, d;
	uint64_t began;

	(void)state;
	start(HOST_MODE_2);
	t = make_tc(SK, SKB, COPY);
	t.rec_rtx_tc.c.stamp_ns = 3000;
	feed(t);
	d = make_drop(SK, SKB, REASON_TC_EGRESS, 1, 0);
	d.rec_rtx_drop.c.stamp_ns = 3000;
	feed(d);
	began = record_ns + 1000;
	feed(make_tc(SK, SKB, COPY + 0x2000));
	feed(make_queued(SK, SKB, COPY + 0x2000));
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_int_equal(last()->tc[0].skb, COPY + 0x2000);
	assert_int_equal(got[0].mono_ns, began);
	assert_int_equal(stats().incomplete, 0);
}

/* The same, and nothing at all was seen of the newer copy: the event then begins when that departed. */
static void test_mode_2_only_stale_copy(void **state)
{
	union record t, d;

	(void)state;
	start(HOST_MODE_2);
	t = make_tc(SK, SKB, COPY);
	t.rec_rtx_tc.c.stamp_ns = 3000;
	feed(t);
	d = make_drop(SK, SKB, REASON_TC_EGRESS, 1, 0);
	d.rec_rtx_drop.c.stamp_ns = 3000;
	feed(d);
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 sent drop=-");
	assert_int_equal(got[0].mono_ns, 5000);
}

/* But where the departure says nothing of the beginning, the event begins where it ended. */
static void test_mode_2_begin(void **state)
{
	static const int64_t departed[] = { 0, 1000, -99000000, -101000000 }; /* after the end */

	for (size_t i = 0; i < sizeof(departed) / sizeof(departed[0]); i++) {
		union record e, x;
		bool believed = departed[i] == -99000000;

		start(HOST_MODE_2);
		record_ns += 1000000000;
		e = make_late_entry(SK, SKB);
		x = make_exit(SK, SKB, 0);
		x.rec_rtx_exit.stamp_ns = departed[i] ? e.h.ts_ns + (uint64_t)departed[i] : 0;
		feed(e);
		feed(x);
		assert_one("rto #1 1000+1448 x1 tc=null ret=0 sent drop=-");
		assert_int_equal(got[0].mono_ns, believed ? x.rec_rtx_exit.stamp_ns : e.h.ts_ns);
		stop(state);
	}
}

/* A path may clear the stamp (a tunnel): what cannot be told apart counts as the attempt's own. */
static void test_mode_2_cleared_stamps(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		union record t, x;

		start(HOST_MODE_2);
		t = make_tc(SK, SKB, COPY);
		t.rec_rtx_tc.c.stamp_ns = i ? 0 : 5000;
		feed(t);
		feed(make_queued(SK, SKB, COPY));
		feed(make_late_entry(SK, SKB));
		x = make_exit(SK, SKB, 0);
		x.rec_rtx_exit.stamp_ns = i ? 5000 : 0;
		feed(x);
		assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
		stop(state);
	}
}

/* TC saw an older segment of the socket last: another buffer than the one that the tracepoint names. */
static void test_mode_2_other_segment(void **state)
{
	(void)state;
	start(HOST_MODE_2);
	feed(make_tc(SK, SKB + 0x1000, COPY + 0x1000));
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 sent drop=-");
}

/* The kernel marks a segment after it was retransmitted; TC saw it before. */
static void test_mode_2_counts(void **state)
{
	union record t, e, x;

	(void)state;
	start(HOST_MODE_2);
	/* A socket that retransmitted before rebpf came: only an unmarked segment has a number. */
	for (unsigned int sacked = 0; sacked <= 0x80; sacked += 0x80) {
		t = make_tc(SK + sacked, SKB, COPY);
		t.rec_rtx_tc.c.sacked = (uint8_t)sacked;
		feed(t);
		feed(make_queued(SK + sacked, SKB, COPY));
		e = make_late_entry(SK + sacked, SKB);
		e.rec_rtx_entry.total_retrans = 9;
		feed(e);
		x = make_exit(SK + sacked, SKB, 0);
		x.rec_rtx_exit.total_retrans = 9;
		feed(x);
		if (sacked)
			assert_one("rto #0 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
		else
			assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	}
}

/* Two devices, one of which clears the stamp: one attempt. P is not known before the tracepoint names it. */
static void test_mode_2_stacked_devices(void **state)
{
	union record r;

	(void)state;
	start(HOST_MODE_2);
	for (uint32_t i = 0; i < 3; i++) {
		r = make_tc(SK, 0, COPY);
		set_device(&r.rec_rtx_tc.c, 5 + i, (const char *[]){ "a", "b", "c" }[i]);
		r.rec_rtx_tc.c.stamp_ns = i == 1 ? 0 : 5000;
		feed(r);
		r = make_queued(SK, 0, COPY);
		r.rec_rtx_queued.ifindex = 5 + i;
		feed(r);
	}
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=a:OK,b:OK,c:OK ret=0 sent drop=-");
	assert_int_equal(last()->skb, SKB);
}

/* The end of a late one was lost: its entry does not get the end of the next. */
static void test_late_exit_lost(void **state)
{
	(void)state;
	start(HOST_MODE_2);
	feed(make_late_entry(SK, SKB));
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 sent drop=-");
	assert_int_equal(stats().incomplete, 1);
}

/* With entry hooks the mark tells it, of a socket that is older than rebpf. */
static void test_counts_of_older_socket(void **state)
{
	union record e, x;

	(void)state;
	start(HOST_MODE_1);
	for (uint32_t i = 0; i < 3; i++) {
		e = make_entry(SK, SKB);
		e.rec_rtx_entry.total_retrans = 9 + i;
		e.rec_rtx_entry.sacked = i == 1 ? 0 : 0x80;
		feed(e);
		feed(make_tc(SK, SKB, COPY));
		feed(make_queued(SK, SKB, COPY));
		x = make_exit(SK, SKB, 0);
		x.rec_rtx_exit.total_retrans = 10 + i;
		feed(x);
	}
	tick();
	assert_event("rto #0 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_event("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_event("rto #2 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
}

/* Loss with nothing to undo: slow start after a time-out of the same episode, else a smaller path MTU. */
static void test_pmtu(void **state)
{
	static const struct {
		uint32_t total, high_seq;
		uint8_t pending;
		uint32_t snd_wnd;
		enum rtx_type type;
	} row[] = {
		{ 0, 7000, 1, 1, RTX_TYPE_PMTU },
		{ 1, 8000, 0, 1, RTX_TYPE_RTO },
		{ 2, 8000, 1, 1, RTX_TYPE_SLOW_START },
		{ 3, 9000, 1, 1, RTX_TYPE_PMTU },
		{ 4, 10000, 0, 0, RTX_TYPE_ZERO_WINDOW },
		{ 5, 10000, 1, 1, RTX_TYPE_SLOW_START },
		{ 9, 11000, 1, 1, RTX_TYPE_UNKNOWN }, /* something was missed meanwhile: perhaps a time-out */
		{ 10, 12000, 0, 1, RTX_TYPE_RTO },
		{ 11, 12000, 1, 1, RTX_TYPE_SLOW_START },
	};
	union record e, x;

	(void)state;
	start(HOST_MODE_1);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		feed_plain(SK2, SKB); /* another socket in between */
		e = make_entry(SK, SKB);
		e.rec_rtx_entry.total_retrans = row[i].total;
		e.rec_rtx_entry.high_seq = row[i].high_seq;
		e.rec_rtx_entry.pending = row[i].pending;
		e.rec_rtx_entry.snd_wnd = row[i].snd_wnd;
		feed(e);
		x = make_exit(SK, SKB, 0);
		x.rec_rtx_exit.total_retrans = row[i].total + 1;
		feed(x);
		tick();
		if (last()->type != row[i].type)
			fail_msg("row %zu: %s", i, types[last()->type]);
	}
}

/* A hook that cannot tell the return code: nothing is made up. */
static void test_no_return_code(void **state)
{
	union record x;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	x = make_exit(SK, SKB, 7);
	x.rec_rtx_exit.has_ret = 0;
	x.rec_rtx_exit.reached = RTX_REACHED_UNKNOWN;
	feed(x);
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=null unknown drop=-");
	feed(make_entry(SK2, SKB));
	feed(make_tc(SK2, SKB, COPY));
	x = make_exit(SK2, SKB, 0);
	x.rec_rtx_exit.has_ret = 0;
	feed(x);
	assert_one("rto #1 1000+1448 x1 tc=eth0:null ret=null unknown drop=-");
	assert_int_equal(stats().segs_failed, 0);
}

/* ---- an older copy that is freed meanwhile ---- */

/* A full queue drops its oldest packet (pfifo_head_drop): the previous copy, in the middle of the call. */
static void test_older_copy_freed_in_call(void **state)
{
	union record d, x;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB)); /* stamp 100 */
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	d = make_drop(SK, SKB, REASON_QDISC, 1, 1);
	d.rec_rtx_drop.c.copy = COPY + 0x9000;
	d.rec_rtx_drop.c.stamp_ns = 100;
	feed(d);
	feed(make_exit(SK, SKB, 0)); /* stamp 5000 */
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	/* Both: only the own one is shown. */
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	d = make_drop(SK, SKB, REASON_NETFILTER, 1, 1);
	d.rec_rtx_drop.c.stamp_ns = 100;
	feed(d);
	feed(make_drop(SK, SKB, REASON_QDISC, 1, 1));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 dropped drop=QDISC_DROP@:eth0");
	/* Its own: the stamp is the new one, or the path has cleared it, or both are the same. */
	for (int i = 0; i < 3; i++) {
		uint64_t sk = SK2 + (uint64_t)i * 0x1000;

		feed(make_entry(sk, SKB));
		feed(make_tc(sk, SKB, COPY));
		feed(make_queued(sk, SKB, COPY));
		d = make_drop(sk, SKB, REASON_QDISC, 1, 1);
		d.rec_rtx_drop.c.stamp_ns = (uint64_t[]){ 5000, 0, 100 }[i];
		feed(d);
		x = make_exit(sk, SKB, 0);
		x.rec_rtx_exit.stamp_ns = i == 2 ? 100 : 5000;
		feed(x);
		assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 dropped drop=QDISC_DROP@:eth0");
	}
}

/* Without entry hooks: the late end of an older copy does not throw away what was seen of the newer one. */
static void test_mode_2_older_copy_freed(void **state)
{
	union record d;

	(void)state;
	start(HOST_MODE_2);
	feed(make_tc(SK, SKB, COPY));
	d = make_drop(SK, SKB, REASON_QDISC, 1, 1);
	d.rec_rtx_drop.c.stamp_ns = 3000;
	feed(d);
	feed(make_queued(SK, SKB, COPY));
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
}

/* ---- SYN-ACK: of a request, with no segment in a queue ---- */

static void feed_synack(uint32_t total_before, int32_t ret, enum rtx_hook hook)
{
	bool late = hook == RTX_HOOK_SYNACK_TP;
	union record e = make_entry(SK, 0), x;

	e.rec_rtx_entry.hook = (uint8_t)hook;
	e.rec_rtx_entry.bits = late ? RTX_BIT_LATE : 0;
	e.rec_rtx_entry.flow.state = 12; /* NEW_SYN_RECV */
	e.rec_rtx_entry.tcp_flags = 0x12;
	e.rec_rtx_entry.end_seq = SEQ + 1;
	e.rec_rtx_entry.total_retrans = total_before;
	e.rec_rtx_entry.ca_state = 0;
	feed(e);
	if (!late) {
		feed(make_tc(SK, 0, COPY));
		feed(make_queued(SK, 0, COPY));
	}
	if (ret)
		feed(make_drop(SK, 0, REASON_QDISC, 1, 1));
	x = make_exit(SK, 0, ret);
	x.rec_rtx_exit.stamp_ns = 0;
	x.rec_rtx_exit.end_seq = SEQ + 1;
	x.rec_rtx_exit.total_retrans = 0;
	x.rec_rtx_exit.reached = ret ? RTX_REFUSED : RTX_REACHED;
	x.rec_rtx_exit.hook = (uint8_t)hook;
	feed(x);
}

static void test_synack(void **state)
{
	union record e, x;

	(void)state;
	start(HOST_MODE_1);
	feed_synack(0, 0, RTX_HOOK_SYNACK);
	assert_one("synack #1 1000+1 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_int_equal(last()->skb, COPY); /* P has no address */
	assert_int_equal(last()->len, 0);
	assert_false(last()->has_socket);
	assert_int_equal(stats().segs, 1);
	feed_synack(1, 1, RTX_HOOK_SYNACK);
	assert_one("synack #2 1000+1 x1 tc=eth0:OK ret=1 refused drop=QDISC_DROP@:eth0");
	feed_synack(1, 0, RTX_HOOK_SYNACK);
	assert_one("synack #2 1000+1 x1 tc=eth0:OK ret=0 sent drop=-");
	/* The kernel counts those that were sent, and no failure, whatever the hook can tell of it. */
	x = make_exit(SK, 0, -1);
	x.rec_rtx_exit.hook = RTX_HOOK_SYNACK;
	e = make_entry(SK, 0);
	e.rec_rtx_entry.hook = RTX_HOOK_SYNACK;
	feed(e);
	feed(x);
	tick();
	assert_int_equal(last()->outcome, RTX_OUTCOME_DROPPED);
	assert_int_equal(stats().segs, 2);
	assert_int_equal(stats().segs_failed, 0);
}

static void test_synack_tracepoint(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed_synack(0, 0, RTX_HOOK_SYNACK_TP);
	assert_one("synack #1 1000+1 x1 tc=null ret=0 sent drop=-");
	assert_int_equal(last()->skb, 0);
	feed_synack(1, 0, RTX_HOOK_SYNACK_TP);
	assert_one("synack #2 1000+1 x1 tc=null ret=0 sent drop=-");
}

/* ---- several at once, and addresses that are used again ---- */

/* A timer of another socket runs in the middle of this one's call. */
static void test_nested(void **state)
{
	union record d;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	feed(make_entry(SK2, SKB + 0x1000));
	feed(make_queued(SK, SKB, COPY));
	feed(make_tc(SK2, SKB + 0x1000, COPY + 0x1000));
	d = make_drop(SK2, SKB + 0x1000, REASON_TC_EGRESS, 1, 0);
	d.rec_rtx_drop.c.copy = COPY + 0x1000;
	feed(d);
	feed(make_exit(SK2, SKB + 0x1000, 1));
	feed(make_exit(SK, SKB, 0));
	tick();
	assert_event("rto #1 1000+1448 x1 tc=eth0:SHOT(other) ret=1 dropped drop=TC_EGRESS@:eth0");
	assert_int_equal(got[0].retransmit.c.flow.sk, SK2);
	assert_event("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_int_equal(got[1].retransmit.c.flow.sk, SK);
	assert_no_event();
}

static void test_segment_address_used_again(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed_plain(SK, SKB);
	feed(make_entry(SK2, SKB)); /* the same buffer, now another socket's */
	feed(make_tc(SK2, SKB, COPY));
	feed(make_drop(SK2, SKB, REASON_TC_EGRESS, 1, 0));
	feed(make_exit(SK2, SKB, 1));
	tick();
	assert_event("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_event("rto #1 1000+1448 x1 tc=eth0:SHOT(other) ret=1 dropped drop=TC_EGRESS@:eth0");
}

static void test_socket_address_used_again(void **state)
{
	union record e;

	(void)state;
	start(HOST_MODE_1);
	feed_plain(SK, SKB);
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	/* Another connection: a byte of the same number was never retransmitted on it. */
	e = make_entry(SK, SKB);
	e.rec_rtx_entry.flow.rport = 51235;
	feed(e);
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
	assert_int_equal(last()->c.flow.rport, 51235);
}

/* ---- owners ---- */

static void test_owner(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_owner(SK, 77, "found"));
	feed_plain(SK, SKB);
	feed_plain(SK2, SKB);
	tick();
	assert_int_equal(got[0].retransmit.c.owner.tgid, 77);
	assert_string_equal(got[0].retransmit.c.owner.comm, "found");
	assert_int_equal(got[1].retransmit.c.owner.tgid, 1234);
	/* Only the next entry, and only if it is of that socket. */
	feed(make_owner(SK, 77, "found"));
	feed_plain(SK2, SKB);
	feed_plain(SK, SKB);
	tick();
	assert_int_equal(got[2].retransmit.c.owner.tgid, 1234);
	assert_int_equal(got[3].retransmit.c.owner.tgid, 1234);
	/* Nobody holds it: then it is nobody's, whatever the kernel noted. */
	feed(make_owner(SK, 0, ""));
	feed_plain(SK, SKB);
	tick();
	assert_int_equal(got[4].retransmit.c.owner.tgid, 0);
}

/* ---- lost records ---- */

static void test_entry_lost(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	feed(make_drop(SK, SKB, REASON_QDISC, 1, 1));
	feed(make_exit(SK, SKB, 1));
	tick();
	assert_no_event();
	assert_int_equal(stats().incomplete, 1);
	assert_int_equal(stats().attempts, 0);
	/* Nothing of it is left over for the next. */
	feed_plain(SK, SKB);
	assert_one("rto #1 1000+1448 x1 tc=eth0:OK ret=0 sent drop=-");
}

static void test_late_entry_lost(void **state)
{
	(void)state;
	start(HOST_MODE_2);
	feed(make_tc(SK, SKB, COPY));
	feed(make_exit(SK, SKB, 0));
	tick();
	assert_no_event();
	assert_int_equal(stats().incomplete, 1);
}

static void test_exit_lost(void **state)
{
	union record e, x;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	feed(make_drop(SK, SKB, REASON_TC_EGRESS, 1, 0));
	tick();
	assert_no_event();
	e = make_entry(SK, SKB);
	e.rec_rtx_entry.total_retrans = 1;
	feed(e);
	assert_int_equal(stats().incomplete, 1);
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.total_retrans = 2;
	feed(x);
	/* Neither the other's drop, nor a number for one that may be the second. */
	tick();
	assert_int_equal(got_count, 1);
	assert_false(last()->drop.known);
	assert_int_equal(last()->outcome, RTX_OUTCOME_SENT);
	assert_int_equal(last()->tc_count, 1);
	assert_int_equal(stats().incomplete, 1);
}

/* The exit of one attempt and the entry of the next: an event made of both would be neither. */
static void test_exit_and_next_entry_lost(void **state)
{
	union record x;

	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_tc(SK, SKB, COPY));
	feed(make_drop(SK, SKB, REASON_TC_EGRESS, 1, 0));
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.total_retrans = 2;
	feed(x);
	tick();
	assert_no_event();
	assert_int_equal(stats().incomplete, 2);
}

/* The exit names another segment than the entry. */
static void test_exit_of_other_segment(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_exit(SK, SKB + 0x1000, 0));
	tick();
	assert_no_event();
	assert_int_equal(stats().incomplete, 2);
}

/* TC's record did not get into the ring, QUEUED did: the device looks unwatched, TC is null, not empty. */
static void test_tc_record_lost(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_queued(SK, SKB, COPY));
	feed(make_exit(SK, SKB, 0));
	feed(make_loss(RING_CONTROL, SK, 1));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 unknown drop=-");
}

/* Nothing is concluded from the absence of a record where records of this flow were lost. */
static void test_silence_after_loss(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0)); /* TC and QUEUED lost */
	feed(make_loss(RING_CONTROL, SK, 2));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 unknown drop=-");
	feed_vanished(SK); /* QUEUED or DROP lost */
	feed(make_loss(RING_CONTROL, SK, 1));
	tick();
	assert_int_equal(last()->tc[0].verdict, TC_VERDICT_UNKNOWN);
	assert_int_equal(last()->outcome, RTX_OUTCOME_UNKNOWN);
	/* What was seen is still so. */
	feed_shot(REASON_TC_EGRESS);
	feed(make_loss(RING_CONTROL, SK, 1));
	tick();
	assert_int_equal(last()->tc[0].verdict, TC_VERDICT_SHOT);
	assert_int_equal(last()->outcome, RTX_OUTCOME_DROPPED);
	/* What came before the loss, or belongs to other flows, is as good as ever. */
	feed_vanished(SK);
	feed(make_loss(RING_CONTROL, SK2, 1));
	tick();
	assert_int_equal(last()->outcome, RTX_OUTCOME_STOLEN);
}

static void test_losses_are_counted(void **state)
{
	(void)state;
	start(HOST_MODE_1);
	feed(make_loss(RING_CONTROL, SK, 3));
	feed(make_loss(RING_DROPS, SK, 40));
	feed(make_loss(RING_CONTROL, SK2, 4));
	feed(make_loss(RING_COUNT, SK, 1000)); /* from a hostile file */
	assert_int_equal(stats().lost[RING_CONTROL], 7);
	assert_int_equal(stats().lost[RING_DROPS], 40);
}

/* An attempt takes microseconds: one whose end does not come within ten seconds has lost it. */
static void test_ageing(void **state)
{
	uint64_t began;
	union record t;

	(void)state;
	start(HOST_MODE_1);
	began = record_ns + 1000;
	feed(make_entry(SK, SKB));
	record_ns = began + 10000000000 - 1000;
	tick();
	assert_int_equal(stats().incomplete, 0);
	tick();
	assert_int_equal(stats().incomplete, 1);
	feed(make_exit(SK, SKB, 0));
	tick();
	assert_no_event();
	/* A clock that goes backwards (another CPU's record) ages nothing. */
	feed(make_entry(SK2, SKB));
	t = make_tick(0);
	t.h.ts_ns = 1;
	feed(t);
	assert_int_equal(stats().incomplete, 2);
	feed(make_exit(SK2, SKB, 0));
	tick();
	assert_int_equal(got_count, 1);
}

/* What only TC saw was no attempt that this kernel reports: it ages without being counted. */
static void test_ageing_without_entry(void **state)
{
	(void)state;
	start(HOST_MODE_2);
	feed(make_tc(SK, SKB, COPY));
	record_ns += 11000000000;
	tick();
	feed(make_late_entry(SK, SKB));
	feed(make_exit(SK, SKB, 0));
	assert_one("rto #1 1000+1448 x1 tc=null ret=0 sent drop=-");
	assert_int_equal(stats().incomplete, 0);
}

static void test_more_open_than_fit(void **state)
{
	(void)state;
	start_bounded(HOST_MODE_1, 4, 64);
	for (uint64_t i = 0; i < 6; i++)
		feed(make_entry(SK + i * 0x1000, SKB + i * 0x1000));
	assert_int_equal(stats().incomplete, 2); /* the two oldest made room */
	for (uint64_t i = 2; i < 6; i++)
		feed(make_exit(SK + i * 0x1000, SKB + i * 0x1000, 0));
	tick();
	assert_int_equal(got_count, 4);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(got[i].retransmit.c.flow.sk, SK + (i + 2) * 0x1000);
	assert_int_equal(stats().incomplete, 2);
	/* The places are free again. */
	for (uint64_t i = 0; i < 4; i++)
		feed_plain(SK + i * 0x1000, SKB + i * 0x1000);
	tick();
	assert_int_equal(got_count, 8);
	assert_int_equal(stats().incomplete, 2);
}

/* Finished ones wait for their tick and hold their places: one more is counted, once, and not shown. */
static void test_more_finished_than_fit(void **state)
{
	(void)state;
	start_bounded(HOST_MODE_1, 2, 64);
	for (uint64_t i = 0; i < 3; i++)
		feed_plain(SK + i * 0x1000, SKB);
	assert_int_equal(stats().incomplete, 1);
	tick();
	assert_int_equal(got_count, 2);
	assert_int_equal(stats().incomplete, 1);
	feed_plain(SK, SKB);
	tick();
	assert_int_equal(got_count, 3);
}

#define MANY 8000

/* More sockets than the hash table has buckets: each finds its own, in whatever order they come and go. */
static void test_many_sockets(void **state)
{
	(void)state;
	start_bounded(HOST_MODE_1, MANY, MANY);
	for (uint64_t i = 0; i < MANY; i++)
		feed(make_entry(SK + i * 2048, SKB + i * 256));
	for (uint64_t i = 0; i < MANY; i += 2) /* the even ones, out of order */
		feed(make_exit(SK + i * 6153 % MANY * 2048, SKB + i * 6153 % MANY * 256, 0));
	tick();
	assert_int_equal(got_count, MANY / 2);
	for (uint64_t i = 0; i < MANY; i += 2)
		assert_int_equal(got[i / 2].retransmit.skb, SKB + i * 6153 % MANY * 256);
	assert_int_equal(stats().incomplete, 0);
	/* The odd ones grow old, the oldest first; half of them were in time. */
	record_ns = 1001000 + MANY / 2 * 1000 + 10000000000;
	tick();
	assert_int_equal(stats().incomplete, MANY / 4);
	for (uint64_t i = MANY; i-- > 0;)
		if (i % 2)
			feed(make_exit(SK + i * 2048, SKB + i * 256, 0));
	tick();
	assert_int_equal(got_count, MANY / 2 + MANY / 4);
	assert_int_equal(got[MANY / 2].retransmit.skb, SKB + (MANY - 1) * 256);
	assert_int_equal(stats().incomplete, MANY / 2);
}

/* ---- sums ---- */

static void feed_ending(uint64_t i, uint32_t segs, int32_t ret, uint8_t reached)
{
	union record x;

	feed(make_entry(SK + i * 0x1000, SKB));
	x = make_exit(SK + i * 0x1000, SKB, ret);
	x.rec_rtx_exit.segs = segs;
	x.rec_rtx_exit.total_retrans = reached == RTX_REFUSED ? 0 : segs;
	x.rec_rtx_exit.reached = reached;
	feed(x);
}

/* The two equalities with the kernel's counters (cause.md). */
static void test_sums(void **state)
{
	struct ev_stats s;

	(void)state;
	start(HOST_MODE_1);
	feed_ending(0, 3, 0, RTX_REACHED);
	feed_ending(1, 5, 1, RTX_REACHED);
	feed_ending(2, 7, -1, RTX_REACHED);
	feed_ending(3, 11, EBUSY_RET, RTX_REFUSED);
	feed_ending(4, 13, -113, RTX_REFUSED); /* the same errno on both sides of the transmit step */
	feed_ending(5, 17, -113, RTX_REACHED);
	feed_ending(6, 19, EBUSY_RET, RTX_REACHED);
	feed_synack(0, 0, RTX_HOOK_SYNACK);
	feed_synack(1, -1, RTX_HOOK_SYNACK);
	record_ns += 5000;
	tick();
	s = stats();
	assert_int_equal(s.attempts, 9);
	assert_int_equal(s.segs, 3 + 5 + 7 + 17 + 19 + 1);
	assert_int_equal(s.segs_failed, 5 + 7 + 17);
	assert_int_equal(s.by_type[RTX_TYPE_RTO], 7);
	assert_int_equal(s.by_type[RTX_TYPE_SYNACK], 2);
	assert_int_equal(s.by_outcome[RTX_OUTCOME_SENT], 1);
	assert_int_equal(s.by_outcome[RTX_OUTCOME_UNKNOWN], 1); /* no hook saw its copy */
	assert_int_equal(s.by_outcome[RTX_OUTCOME_DROPPED], 4);
	assert_int_equal(s.by_outcome[RTX_OUTCOME_REFUSED], 3);
	assert_int_equal(s.by_cause[RTX_CAUSE_HOST_QUEUE], 1);
	assert_int_equal(s.by_cause[RTX_CAUSE_UNKNOWN], 8);
	/* What others count is left alone. */
	assert_int_equal(s.printed, 11);
	assert_int_equal(s.records, 12);
	assert_int_equal(s.malformed, 13);
	assert_int_equal(s.output_lost, 14);
}

static void test_duration(void **state)
{
	union record t;

	(void)state;
	start(HOST_MODE_1); /* armed at 1001000 */
	assert_int_equal(stats().duration_ns, 0);
	t = make_tick(0);
	t.h.ts_ns = 1001000 + 12345;
	feed(t);
	assert_int_equal(stats().duration_ns, 12345);
}

/* A simultaneous open answers with a SYN-ACK from a socket: the kernel counts it like any segment. */
static void test_synack_of_socket(void **state)
{
	union record e;

	(void)state;
	start(HOST_MODE_1);
	e = make_entry(SK, SKB);
	e.rec_rtx_entry.flow.state = 3; /* SYN_RECV */
	e.rec_rtx_entry.tcp_flags = 0x12;
	feed(e);
	feed(make_exit(SK, SKB, 1));
	assert_one("synack #1 1000+1448 x1 tc=null ret=1 dropped drop=-");
	assert_int_equal(stats().segs, 1);
	assert_int_equal(stats().segs_failed, 1);
}

/* ---- drops, and the causes that come from them ---- */

#define REASON_OLD_DATA 505
#define REASON_OTHERHOST 506
#define HOST_TRACES (HOST_MODE_1 | HOST_SEES_ALL_DROPS)

static void start_tracing(uint32_t flags)
{
	start(flags);
	feed(make_reason(REASON_OLD_DATA, "TCP_OLD_DATA"));
	feed(make_reason(REASON_OTHERHOST, "OTHERHOST"));
	tick(); /* armed */
	record_ns += 5000;
}

/* An attempt whose original left right before the newest record but one. */
static void feed_attempt(uint64_t sk, uint64_t original_ns)
{
	union record e = make_entry(sk, SKB);

	e.rec_rtx_entry.delivered_us = original_ns / 1000 - 1;
	e.rec_rtx_entry.stamp_ns = original_ns;
	e.rec_rtx_entry.wmem_alloc = 1;
	e.rec_rtx_entry.dst_netns = NETNS;
	e.rec_rtx_entry.dst_ifindex = 2;
	feed(e);
	feed(make_tc(sk, SKB, COPY));
	feed(make_queued(sk, SKB, COPY));
	feed(make_exit(sk, SKB, 0));
}

/* The second one of the same segment. */
static void feed_second(uint64_t sk)
{
	union record e = make_entry(sk, SKB), x;

	e.rec_rtx_entry.total_retrans = 1;
	e.rec_rtx_entry.sacked = 0x80;
	feed(e);
	x = make_exit(sk, SKB, 0);
	x.rec_rtx_exit.total_retrans = 2;
	feed(x);
}

/* Ticks, and gives the event that this releases, of which there is one. */
static const struct event *released(enum event_kind kind)
{
	assert_no_event();
	tick();
	assert_int_equal(got_count, seen_count + 1);
	assert_int_equal(got[seen_count].kind, kind);
	return &got[seen_count++];
}

/* The event that came at once. */
static const struct event *told(enum event_kind kind)
{
	assert_int_equal(got_count, seen_count + 1);
	assert_int_equal(got[seen_count].kind, kind);
	return &got[seen_count++];
}

static void test_drop_event(void **state)
{
	union record d;
	const struct ev_drop *ev;

	(void)state;
	start_tracing(HOST_TRACES);
	d = make_dropped(REASON_NETFILTER);
	d.rec_drop.sk = SK;
	d.rec_drop.uid = 33;
	d.rec_drop.owner = (struct rec_owner){ .tgid = 1234, .comm = "nginx" };
	d.rec_drop.tcp_flags = TCP_ACK | TCP_FIN;
	d.rec_drop.stack[0] = 0xffffffff81000000 + REASON_NETFILTER;
	d.rec_drop.stack[1] = 5;
	feed(d);
	ev = &told(EV_DROP)->drop;
	assert_int_equal(got[0].mono_ns, d.h.ts_ns);
	assert_string_equal(ev->place.reason, "NETFILTER_DROP");
	assert_string_equal(ev->place.symbol, "nf_hook_slow");
	assert_string_equal(ev->place.ifname, "eth0");
	assert_int_equal(ev->c.flow.lport, 443);
	assert_int_equal(ev->c.flow.rport, 51234);
	assert_int_equal(ev->c.flow.netns, NETNS);
	assert_int_equal(ev->c.flow.uid, 33);
	assert_int_equal(ev->c.owner.tgid, 1234);
	assert_true(ev->has_socket && ev->has_segment);
	assert_false(ev->synthetic || ev->received);
	assert_int_equal(ev->len, MSS - 1); /* the FIN is no payload */
	assert_int_equal(ev->packet_len, MSS + 52);
	assert_int_equal(ev->stack_count, 2);
	assert_string_equal(ev->stack[0].symbol, "nf_hook_slow");
	assert_int_equal(ev->stack[1].address, 5);
	assert_non_null(ev->meaning);
	assert_int_equal(stats().drops, 1);
	assert_int_equal(stats().drops_by_class[ev->place.class], 1);
}

static void test_drop_gives_cause(void **state)
{
	const struct ev_retransmit *r;
	uint64_t sent;
	union record d;

	(void)state;
	start_tracing(HOST_TRACES);
	sent = record_ns;
	d = make_dropped(REASON_NETFILTER);
	feed(d);
	told(EV_DROP);
	feed_attempt(SK, sent);
	r = &released(EV_RETRANSMIT)->retransmit;
	assert_int_equal(r->cause, RTX_CAUSE_LOCAL);
	assert_string_equal(r->cause_drop.place.reason, "NETFILTER_DROP");
	assert_string_equal(r->cause_drop.place.symbol, "nf_hook_slow");
	assert_string_equal(r->cause_drop.place.ifname, "eth0");
	assert_int_equal(r->cause_drop.age_us, 1);
	assert_int_equal(r->cause_drop.covered, MSS);
	assert_int_equal(stats().by_cause[RTX_CAUSE_LOCAL], 1);
	/* Not that of the next: it was of the copy before. */
	feed_second(SK);
	r = &released(EV_RETRANSMIT)->retransmit;
	assert_int_equal(r->attempt, 2);
	assert_int_equal(r->cause, RTX_CAUSE_UNKNOWN);
}

/* The other ring is read first: the attempt waits until a tick says that both were. */
static void test_drop_read_late(void **state)
{
	union record d;
	uint64_t sent;

	(void)state;
	start_tracing(HOST_TRACES);
	sent = record_ns;
	d = make_dropped(REASON_NETFILTER);
	feed_attempt(SK, sent);
	feed(d);
	told(EV_DROP);
	assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, RTX_CAUSE_LOCAL);
}

static void test_ack_drop_gives_cause(void **state)
{
	uint64_t sent;

	(void)state;
	start_tracing(HOST_TRACES);
	sent = record_ns;
	feed(make_dropped_ack(REASON_NETFILTER));
	told(EV_DROP);
	feed_attempt(SK, sent);
	assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, RTX_CAUSE_ACK_LOCAL);
}

/* What was freed after TCP had processed it arrived; what was somebody else's says nothing. */
static void test_fates_of_reasons(void **state)
{
	static const struct {
		uint32_t reason;
		enum cause_why why;
	} row[] = {
		{ REASON_OLD_DATA, CAUSE_WHY_PROCESSED_COPY },
		{ REASON_OTHERHOST, CAUSE_WHY_SAME_HOST }, /* as without it: never surveyed */
	};
	const struct ev_retransmit *r;
	uint64_t sent;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		start_tracing(HOST_TRACES);
		sent = record_ns;
		feed(make_dropped(row[i].reason));
		told(EV_DROP);
		feed_attempt(SK, sent);
		r = &released(EV_RETRANSMIT)->retransmit;
		assert_int_equal(r->cause, RTX_CAUSE_UNKNOWN);
		assert_int_equal(r->cause_why, row[i].why);
		stop(state);
	}
}

/* A packet of another protocol is an event, and no evidence. */
static void test_drop_of_other_protocol(void **state)
{
	uint64_t sent;
	union record d;

	(void)state;
	start_tracing(HOST_TRACES);
	sent = record_ns;
	d = make_dropped(REASON_NETFILTER);
	d.rec_drop.t.protocol = 17;
	feed(d);
	assert_false(told(EV_DROP)->drop.has_segment);
	feed_attempt(SK, sent);
	assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, RTX_CAUSE_UNKNOWN);
}

/* The name of a place comes after what was dropped there. */
static void test_symbol_after_drop(void **state)
{
	uint64_t sent;
	union record d;

	(void)state;
	start_tracing(HOST_TRACES);
	sent = record_ns;
	d = make_dropped(REASON_NETFILTER);
	d.rec_drop.location = 0xffffffff82000000;
	feed(d);
	assert_string_equal(told(EV_DROP)->drop.place.symbol, "");
	feed(make_symbol(0xffffffff82000000, "nft_do_chain", 7));
	feed(d);
	assert_string_equal(told(EV_DROP)->drop.place.symbol, "nft_do_chain");
	feed_attempt(SK, sent);
	assert_string_equal(released(EV_RETRANSMIT)->retransmit.cause_drop.place.symbol, "nft_do_chain");
}

/* Rebpf says why, then the kernel frees the same buffer: one loss, one event. */
static void test_synthetic_drop(void **state)
{
	union record d, k;

	(void)state;
	start_tracing(HOST_TRACES);
	d = make_dropped_ack(0);
	d.rec_drop.location = 0;
	d.rec_drop.source = DROP_SOURCE_LISTEN_OVERFLOW;
	feed(d);
	assert_true(told(EV_DROP)->drop.synthetic);
	assert_string_equal(got[0].drop.place.reason, "TCP_LISTEN_OVERFLOW");
	k = make_dropped_ack(REASON_NETFILTER);
	feed(k);
	assert_no_event();
	assert_int_equal(stats().drops, 1);
	/* The buffer is used again. */
	feed(make_dropped_ack(REASON_NETFILTER));
	assert_false(told(EV_DROP)->drop.synthetic);
	/* Another buffer, or much later. */
	d.h.ts_ns = record_ns;
	feed(d);
	told(EV_DROP);
	k.rec_drop.skb++;
	feed(k);
	told(EV_DROP);
	k = make_dropped_ack(REASON_NETFILTER);
	k.h.ts_ns = d.h.ts_ns + 50000000;
	feed(k);
	told(EV_DROP);
	/* The buffer is another packet's by now: of another flow, or another one of the same. */
	k = make_dropped(REASON_NETFILTER);
	feed(k);
	told(EV_DROP);
	k = make_dropped_ack(REASON_NETFILTER);
	k.rec_drop.seq++;
	feed(k);
	told(EV_DROP);
	/* The kernel's own does not hide rebpf's. */
	k = make_dropped(REASON_NETFILTER);
	k.rec_drop.skb = SKB;
	feed(k);
	told(EV_DROP);
	d = make_dropped(0);
	d.rec_drop.skb = SKB;
	d.rec_drop.source = DROP_SOURCE_REQQ_FULL;
	feed(d);
	assert_string_equal(told(EV_DROP)->drop.place.reason, "TCP_REQQ_FULL");
}

/* A connection that is given up loses no packet by it. */
static void test_retries_exceeded(void **state)
{
	uint64_t sent;
	union record d;

	(void)state;
	start_tracing(HOST_TRACES);
	sent = record_ns;
	d = make_dropped(0);
	d.rec_drop.source = DROP_SOURCE_RETRIES_EXCEEDED;
	feed(d);
	assert_string_equal(told(EV_DROP)->drop.place.reason, "RETRIES_EXCEEDED");
	feed_attempt(SK, sent);
	assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, RTX_CAUSE_UNKNOWN);
}

/* Whose packet it was, where only /proc could tell. */
static void test_socket_of_drop(void **state)
{
	const struct ev_drop *ev;
	union record s = RECORD(SOCKET, rec_socket);

	(void)state;
	start_tracing(HOST_TRACES);
	s.rec_socket.skb = COPY;
	s.rec_socket.ino = 99;
	s.rec_socket.cgroup = 4567;
	s.rec_socket.uid = 33;
	s.rec_socket.state = 10;
	s.rec_socket.received = 1;
	s.rec_socket.owner = (struct rec_owner){ .tgid = 77, .comm = "found" };
	feed(s);
	feed(make_dropped(REASON_NETFILTER));
	ev = &told(EV_DROP)->drop;
	assert_true(ev->has_socket && ev->received);
	assert_int_equal(ev->c.flow.ino, 99);
	assert_int_equal(ev->c.flow.cgroup, 4567);
	assert_int_equal(ev->c.flow.uid, 33);
	assert_int_equal(ev->c.flow.state, 10);
	assert_int_equal(ev->c.owner.tgid, 77);
	/* Only the next, and only if it is that packet's. */
	feed(make_dropped(REASON_NETFILTER));
	assert_false(told(EV_DROP)->drop.has_socket);
	s.rec_socket.skb = COPY + 1;
	feed(s);
	feed(make_dropped(REASON_NETFILTER));
	assert_false(told(EV_DROP)->drop.has_socket);
	feed(make_dropped(REASON_NETFILTER));
	assert_false(told(EV_DROP)->drop.has_socket);
	assert_int_equal(got[got_count - 1].drop.c.owner.tgid, 0);
}

/* ---- waiting for the survey ---- */

static union record survey_of(uint64_t begin_ns)
{
	union record r = make_survey(SURVEY_FULL | SURVEY_QUEUED);

	r.rec_survey.begin_ns = begin_ns;
	return r;
}

static void learn_host(void)
{
	feed(make_link(NETNS, 1, LINK_LOOPBACK));
	feed(make_link(NETNS, 2, LINK_LEAVES));
	feed(make_addr(NETNS, 1));
	feed(survey_of(record_ns));
	record_ns += 5000;
}

static void test_waits_for_survey(void **state)
{
	uint64_t sent, ended;

	(void)state;
	start(HOST_TRACES | HOST_SURVEYS);
	learn_host();
	tick();
	record_ns += 5000;
	sent = record_ns;
	feed_attempt(SK, sent);
	ended = record_ns;
	tick();
	assert_no_event();
	feed(survey_of(ended - 1)); /* begun too early */
	tick();
	assert_no_event();
	feed(survey_of(ended));
	assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, RTX_CAUSE_NETWORK);
	/* Not for ever. */
	feed_attempt(SK2, sent);
	ended = record_ns;
	record_ns = ended + 999999000;
	tick();
	assert_no_event();
	tick();
	told(EV_RETRANSMIT);
	/* Nor beyond the end. */
	feed_attempt(SK2 + 0x1000, sent);
	tick();
	assert_no_event();
	correlate_finish(c);
	told(EV_RETRANSMIT);
}

/* ---- which copy a drop was of ---- */

static void start_surveyed(uint32_t flags)
{
	start_tracing(flags | HOST_SEES_ALL_DROPS | HOST_SURVEYS);
	record_ns += 1000000000;
	learn_host();
	record_ns += 1000000000;
}

/* Without entry hooks and with no classifier on its device: an attempt is known from its end on. */
static const struct ev_retransmit *unwatched(uint32_t total)
{
	union record e = make_late_entry(SK, SKB), x;

	e.rec_rtx_entry.total_retrans = total;
	e.rec_rtx_entry.stamp_ns = e.h.ts_ns - 50000; /* of this copy */
	e.rec_rtx_entry.dst_netns = NETNS;
	e.rec_rtx_entry.dst_ifindex = 2;
	e.rec_rtx_entry.rack_mstamp_us = (e.h.ts_ns - 1000000) / 1000; /* much was delivered since */
	feed(e);
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.total_retrans = total;
	x.rec_rtx_exit.stamp_ns = e.rec_rtx_entry.stamp_ns;
	feed(x);
	feed(survey_of(record_ns));
	return &released(EV_RETRANSMIT)->retransmit;
}

/* The first copy was dropped inside the call, by the queueing discipline: before what is taken for its beginning. */
static void test_drop_in_call_of_previous(void **state)
{
	const struct ev_retransmit *r;

	(void)state;
	start_surveyed(HOST_MODE_2);
	feed(make_dropped(REASON_NETFILTER));
	told(EV_DROP);
	unwatched(1);
	record_ns += 200000000;
	r = unwatched(2);
	assert_int_equal(r->attempt, 2);
	assert_int_not_equal(r->cause, RTX_CAUSE_NETWORK);
}

/* The same drop is the new copy's own end, and says nothing of the one before. */
static void test_drop_in_own_call(void **state)
{
	const struct ev_retransmit *r;

	(void)state;
	start_surveyed(HOST_MODE_2);
	unwatched(1);
	record_ns += 200000000;
	feed(make_dropped(REASON_NETFILTER));
	told(EV_DROP);
	r = unwatched(2);
	assert_int_equal(r->attempt, 2);
	assert_int_not_equal(r->cause, RTX_CAUSE_LOCAL);
}

/* No hook had the copy in sight: its departure time finds its end among all drops, which is not that of the copy before. */
static void test_own_drop(void **state)
{
	(void)state;
	for (int own = 0; own < 2; own++) {
		const struct ev_retransmit *r;
		union record d;

		start_surveyed(HOST_MODE_1);
		feed(make_entry(SK, SKB));
		d = make_dropped(REASON_NETFILTER);
		d.rec_drop.stamp_ns = own ? 5000 : 4000;
		feed(d);
		told(EV_DROP);
		feed(make_exit(SK, SKB, 1));
		feed(survey_of(record_ns));
		r = &released(EV_RETRANSMIT)->retransmit;
		assert_int_equal(r->outcome, RTX_OUTCOME_DROPPED);
		assert_int_equal(r->drop.known, own);
		assert_string_equal(r->drop.reason, own ? "NETFILTER_DROP" : "");
		assert_string_equal(r->drop.ifname, own ? "eth0" : "");
		assert_int_not_equal(r->cause, RTX_CAUSE_LOCAL);
		stop(state);
	}
}

/* Dropped inside the call that first sent it: TCP that hears of it sends again at once, and that copy is the one. */
static void test_unsent(void **state)
{
	static const struct {
		const char *qdisc;
		enum rtx_cause cause;
		enum cause_why why;
	} row[] = {
		{ "netem", RTX_CAUSE_LOCAL, CAUSE_WHY_NONE },
		{ "pfifo", RTX_CAUSE_NETWORK, CAUSE_WHY_NONE },
		{ "htb", RTX_CAUSE_UNKNOWN, CAUSE_WHY_PROCESSED_COPY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const struct ev_retransmit *r;
		union record d, t;
		uint64_t sent;

		start_surveyed(HOST_MODE_2);
		sent = record_ns;
		d = make_dropped(REASON_QDISC);
		d.rec_drop.bits = DROP_BIT_UNSENT;
		memcpy(d.rec_drop.qdisc, row[i].qdisc, strlen(row[i].qdisc));
		feed(d);
		told(EV_DROP);
		record_ns += 200000000;
		t = make_tc(SK, SKB, COPY);
		t.rec_rtx_tc.delivered_us = sent / 1000;
		t.rec_rtx_tc.wmem_other = 1;
		feed(t);
		feed(make_queued(SK, SKB, COPY));
		feed(make_late_entry(SK, SKB));
		feed(make_exit(SK, SKB, 0));
		feed(survey_of(record_ns));
		r = &released(EV_RETRANSMIT)->retransmit;
		assert_int_equal(r->attempt, 1);
		assert_int_equal(r->cause, row[i].cause);
		assert_int_equal(r->cause_why, row[i].why);
		stop(state);
	}
}

/* Two containers with the same addresses, ports and nearby sequence numbers: the packet carries the other's socket. */
static void test_same_tuple_of_other_socket(void **state)
{
	(void)state;
	for (int other = 0; other < 2; other++) {
		union record d;
		uint64_t sent;

		start_surveyed(HOST_MODE_1);
		sent = record_ns;
		d = make_dropped(REASON_NETFILTER);
		d.rec_drop.sk = other ? SK2 : SK;
		feed(d);
		told(EV_DROP);
		feed_attempt(SK, sent);
		feed(survey_of(record_ns));
		assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, other ? RTX_CAUSE_NETWORK : RTX_CAUSE_LOCAL);
		stop(state);
	}
}

/* Rebpf tells of an overflow, the kernel consumes the buffer, and our copy gets its address: its drop is no echo. */
static void test_address_of_synthetic_drop(void **state)
{
	union record d;
	uint64_t sent;

	(void)state;
	start_surveyed(HOST_MODE_1);
	sent = record_ns;
	d = make_dropped_ack(0);
	d.rec_drop.t = make_tuple(50, 5, 51, 6);
	d.rec_drop.source = DROP_SOURCE_LISTEN_OVERFLOW;
	feed(d);
	told(EV_DROP);
	feed(make_dropped(REASON_NETFILTER));
	told(EV_DROP);
	feed_attempt(SK, sent);
	feed(survey_of(record_ns));
	assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, RTX_CAUSE_LOCAL);
}

/* ---- retransmissions that no hook saw ---- */

static const struct ev_retransmit *watched(uint32_t total_before, uint64_t sent)
{
	union record e = make_entry(SK, SKB), x;

	e.rec_rtx_entry.total_retrans = total_before;
	e.rec_rtx_entry.sacked = total_before ? 0x80 : 0;
	e.rec_rtx_entry.delivered_us = sent / 1000;
	e.rec_rtx_entry.stamp_ns = sent;
	e.rec_rtx_entry.wmem_alloc = 1;
	e.rec_rtx_entry.dst_netns = NETNS;
	e.rec_rtx_entry.dst_ifindex = 2;
	feed(e);
	feed(make_tc(SK, SKB, COPY));
	feed(make_queued(SK, SKB, COPY));
	x = make_exit(SK, SKB, 0);
	x.rec_rtx_exit.total_retrans = total_before + 1;
	feed(x);
	feed(survey_of(record_ns));
	return &released(EV_RETRANSMIT)->retransmit;
}

static void test_unseen(void **state)
{
	const struct ev_retransmit *r;

	(void)state;
	start_surveyed(HOST_MODE_1);
	assert_int_equal(watched(0, record_ns)->cause, RTX_CAUSE_NETWORK);
	assert_int_equal(watched(1, record_ns)->cause, RTX_CAUSE_NETWORK);
	assert_int_equal(stats().unseen, 0);
	r = watched(5, record_ns);
	assert_int_equal(r->attempt, 0);
	assert_int_equal(r->cause, RTX_CAUSE_UNKNOWN);
	assert_int_equal(r->cause_why, CAUSE_WHY_RECORDS_LOST);
	assert_int_equal(stats().unseen, 3);
	r = watched(6, record_ns);
	assert_int_equal(r->cause, RTX_CAUSE_NETWORK); /* the copy before was seen */
	assert_int_equal(stats().unseen, 3);
	stop(state);
	/* A socket that retransmitted before rebpf began is none of those. */
	start_surveyed(HOST_MODE_1);
	watched(9, record_ns);
	assert_int_equal(stats().unseen, 0);
}

/* ---- lost drops ---- */

static enum cause_why why_after_loss(uint32_t ring, uint32_t bucket, uint64_t sk)
{
	const struct ev_retransmit *r;
	uint64_t sent;
	union record l;

	start_tracing(HOST_TRACES | HOST_SURVEYS);
	learn_host();
	sent = record_ns;
	feed_attempt(sk, sent);
	l = make_loss(ring, SK, 1);
	l.rec_loss.bucket = bucket;
	feed(l);
	feed(survey_of(record_ns));
	r = &released(EV_RETRANSMIT)->retransmit;
	assert_int_equal(r->cause, r->cause_why ? RTX_CAUSE_UNKNOWN : RTX_CAUSE_NETWORK);
	stop(NULL);
	return r->cause_why;
}

static void test_lost_drops(void **state)
{
	struct rec_tuple t = make_tuple(1, 443, 2, 51234), back = make_tuple(2, 51234, 1, 443);
	uint32_t bucket = tuple_bucket(&t);
	union record l;
	uint64_t sent;

	(void)state;
	assert_int_equal(bucket, tuple_bucket(&back));
	assert_int_equal(why_after_loss(RING_DROPS, bucket, SK), CAUSE_WHY_RECORDS_LOST);
	for (uint32_t b = 0; b < REBPF_FLOW_BUCKETS; b++)
		assert_int_equal(why_after_loss(RING_DROPS, b, SK),
				 b == bucket ? CAUSE_WHY_RECORDS_LOST : CAUSE_WHY_NONE);
	/* Of a packet whose flow could not be told: of any. */
	assert_int_equal(why_after_loss(RING_DROPS, REBPF_FLOW_BUCKETS, SK), CAUSE_WHY_RECORDS_LOST);
	assert_int_equal(why_after_loss(RING_CONTROL, flow_bucket(SK), SK), CAUSE_WHY_RECORDS_LOST);
	assert_int_equal(why_after_loss(RING_CONTROL, flow_bucket(SK) ^ 1, SK), CAUSE_WHY_NONE);
	/* Before the original left: no matter. */
	start_tracing(HOST_TRACES | HOST_SURVEYS);
	learn_host();
	l = make_loss(RING_DROPS, SK, 1);
	l.rec_loss.bucket = REBPF_FLOW_BUCKETS;
	feed(l);
	record_ns += 5000;
	sent = record_ns;
	feed_attempt(SK, sent);
	feed(survey_of(record_ns));
	assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, RTX_CAUSE_NETWORK);
}

static void test_missed_drops(void **state)
{
	const struct ev_retransmit *r;

	(void)state;
	start_tracing(HOST_TRACES | HOST_SURVEYS);
	learn_host();
	feed_attempt(SK, record_ns);
	feed(survey_of(record_ns));
	feed(make_tick(3));
	r = &told(EV_RETRANSMIT)->retransmit;
	assert_int_equal(r->cause, RTX_CAUSE_UNKNOWN);
	assert_int_equal(r->cause_why, CAUSE_WHY_RECORDS_LOST);
}

/* ---- spurious ---- */

static const struct ev_spurious *feed_spurious(uint32_t seq, uint32_t end_seq)
{
	feed(make_spurious(SK, SPURIOUS_DSACK, seq, end_seq));
	return &told(EV_SPURIOUS)->spurious;
}

static void test_spurious(void **state)
{
	const struct ev_spurious *s;
	uint64_t sent;

	(void)state;
	start_tracing(HOST_TRACES | HOST_SURVEYS);
	learn_host();
	s = feed_spurious(SEQ, SEQ + MSS);
	assert_false(s->contradicts); /* there was no verdict */
	assert_int_equal(s->evidence, SPURIOUS_DSACK);
	assert_true(s->has_range);
	assert_int_equal(s->len, MSS);
	sent = record_ns;
	feed_attempt(SK, sent);
	feed(survey_of(record_ns));
	assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, RTX_CAUSE_NETWORK);
	s = feed_spurious(SEQ, SEQ + MSS);
	assert_true(s->contradicts);
	assert_int_equal(s->cause_was, RTX_CAUSE_NETWORK);
	s = feed_spurious(SEQ, SEQ); /* some of it */
	assert_true(s->contradicts);
	assert_false(s->has_range);
	s = feed_spurious(SEQ + MSS, SEQ + 2 * MSS);
	assert_false(s->contradicts);
	/* The second, of which nothing was claimed, is the last word. */
	feed_second(SK);
	feed(make_loss(RING_CONTROL, SK, 1));
	feed(survey_of(record_ns));
	assert_int_equal(released(EV_RETRANSMIT)->retransmit.cause, RTX_CAUSE_UNKNOWN);
	s = feed_spurious(SEQ, SEQ + MSS);
	assert_false(s->contradicts);
	assert_int_equal(s->cause_was, RTX_CAUSE_UNKNOWN);
	assert_int_equal(stats().spurious, 5);
}

static void test_spurious_after_local(void **state)
{
	uint64_t sent;

	(void)state;
	start_tracing(HOST_TRACES);
	sent = record_ns;
	feed(make_dropped(REASON_NETFILTER));
	told(EV_DROP);
	feed_attempt(SK, sent);
	released(EV_RETRANSMIT);
	assert_true(feed_spurious(SEQ, SEQ + MSS)->contradicts);
	assert_int_equal(got[got_count - 1].spurious.cause_was, RTX_CAUSE_LOCAL);
	stop(state);
	/* A lost acknowledgement means just that: the data had arrived. */
	start_tracing(HOST_TRACES);
	sent = record_ns;
	feed(make_dropped_ack(REASON_NETFILTER));
	told(EV_DROP);
	feed_attempt(SK, sent);
	released(EV_RETRANSMIT);
	assert_false(feed_spurious(SEQ, SEQ + MSS)->contradicts);
	assert_int_equal(got[got_count - 1].spurious.cause_was, RTX_CAUSE_ACK_LOCAL);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_plain),
		TEST(test_finish_releases),
		TEST(test_partial_ack_trims),
		TEST(test_tcp_fragment),
		TEST(test_syn_and_fin_are_no_payload),
		TEST(test_gso),
		TEST(test_pskb_copy),
		TEST(test_busy),
		TEST(test_refused_in_mode_2),
		TEST(test_refused_without_route),
		TEST(test_netfilter_output),
		TEST(test_netfilter_output_in_mode_2),
		TEST(test_netfilter_postrouting),
		TEST(test_netfilter_egress),
		TEST(test_shot_by_other),
		TEST(test_shot_with_own_reason),
		TEST(test_shot_without_queued_hook),
		TEST(test_shot_without_reasons),
		TEST(test_qdisc_drop),
		TEST(test_netem),
		TEST(test_stolen),
		TEST(test_not_stolen_if_hooks_missed),
		TEST(test_not_stolen_if_missed_before_backlog),
		TEST(test_not_stolen_without_hooks),
		TEST(test_redirect),
		TEST(test_redirect_of_copy),
		TEST(test_place_used_again),
		TEST(test_stacked_devices),
		TEST(test_stacked_devices_without_queued),
		TEST(test_redirect_without_queued),
		TEST(test_whole),
		TEST(test_whole_without_place),
		TEST(test_shot_on_second_device),
		TEST(test_queued_in_other_netns),
		TEST(test_more_hops_than_fit),
		TEST(test_shot_before_us),
		TEST(test_shot_before_us_on_lower_device),
		TEST(test_shot_before_us_without_reasons),
		TEST(test_injected),
		TEST(test_injected_alone),
		TEST(test_injected_are_counted),
		TEST(test_tc_saw_nothing),
		TEST(test_unwatched_device),
		TEST(test_mode_2),
		TEST(test_mode_2_shot),
		TEST(test_mode_2_stale_copy),
		TEST(test_mode_2_cleared_stamps),
		TEST(test_mode_2_only_stale_copy),
		TEST(test_mode_2_begin),
		TEST(test_mode_2_other_segment),
		TEST(test_mode_2_counts),
		TEST(test_mode_2_stacked_devices),
		TEST(test_late_exit_lost),
		TEST(test_counts_of_older_socket),
		TEST(test_pmtu),
		TEST(test_no_return_code),
		TEST(test_older_copy_freed_in_call),
		TEST(test_mode_2_older_copy_freed),
		TEST(test_synack),
		TEST(test_synack_tracepoint),
		TEST(test_synack_of_socket),
		TEST(test_drop_event),
		TEST(test_drop_gives_cause),
		TEST(test_drop_read_late),
		TEST(test_ack_drop_gives_cause),
		TEST(test_fates_of_reasons),
		TEST(test_drop_of_other_protocol),
		TEST(test_symbol_after_drop),
		TEST(test_synthetic_drop),
		TEST(test_retries_exceeded),
		TEST(test_socket_of_drop),
		TEST(test_waits_for_survey),
		TEST(test_drop_in_call_of_previous),
		TEST(test_drop_in_own_call),
		TEST(test_own_drop),
		TEST(test_unsent),
		TEST(test_same_tuple_of_other_socket),
		TEST(test_address_of_synthetic_drop),
		TEST(test_unseen),
		TEST(test_lost_drops),
		TEST(test_missed_drops),
		TEST(test_spurious),
		TEST(test_spurious_after_local),
		TEST(test_nested),
		TEST(test_segment_address_used_again),
		TEST(test_socket_address_used_again),
		TEST(test_owner),
		TEST(test_entry_lost),
		TEST(test_late_entry_lost),
		TEST(test_exit_lost),
		TEST(test_exit_and_next_entry_lost),
		TEST(test_exit_of_other_segment),
		TEST(test_tc_record_lost),
		TEST(test_silence_after_loss),
		TEST(test_losses_are_counted),
		TEST(test_ageing),
		TEST(test_ageing_without_entry),
		TEST(test_more_open_than_fit),
		TEST(test_more_finished_than_fit),
		TEST(test_many_sockets),
		TEST(test_sums),
		TEST(test_duration),
	};

	return cmocka_run_group_tests_name("correlate", tests, NULL, NULL);
}
