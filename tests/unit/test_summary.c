// SPDX-License-Identifier: MIT
/* links: src/summary.c src/summary_json.c src/topk.c src/quantile.c src/sink_summary.c src/field.c src/event.c src/ev_retransmit.c src/ev_drop.c src/ev_connect.c src/ev_spurious.c src/ev_stats.c src/output.c src/sink.c src/sink_text.c src/sink_json.c src/sink_record.c src/util.c src/log.c src/sink_metrics.c src/metrics.c src/series.c src/decode.c src/places.c src/names.c src/reasons.c src/meaning.c src/meaning_table.c src/meaning_places.c */
/* What events and records come to, as text and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "records.h"
#include "show.h"
#include "summary.h"

static struct options everything(void)
{
	return (struct options){ .summary = true, .events = (1u << EV_KIND_COUNT) - 1, .utc = true };
}

static struct event retransmitted(uint8_t host, uint32_t pid)
{
	struct event e = { .kind = EV_RETRANSMIT };
	struct ev_retransmit *r = &e.retransmit;

	r->c.flow = make_flow(SK);
	r->c.flow.raddr[3] = host;
	r->c.owner.tgid = pid;
	if (pid)
		strcpy(r->c.owner.comm, "nginx");
	r->type = RTX_TYPE_FAST;
	r->outcome = RTX_OUTCOME_SENT;
	r->cause = RTX_CAUSE_LOCAL;
	r->cause_drop.place = drop_at("NETFILTER_DROP", "nft_do_chain", "nf_tables");
	return e;
}

static struct event dropped(const char *reason, enum drop_class class)
{
	struct event e = { .kind = EV_DROP };

	e.drop.place = drop_at(reason, "tcp_v4_rcv", "");
	e.drop.place.class = class;
	return e;
}

static struct event connected(enum connect_result result, uint64_t us)
{
	struct event e = { .kind = EV_CONNECT };

	e.connect.c.flow = make_flow(SK);
	e.connect.result = result;
	e.connect.syn_sent = true;
	e.connect.has_duration = true;
	e.connect.duration_us = us;
	return e;
}

static void sum(struct summary *s, struct event e)
{
	summary_event(s, &e);
}

static struct event stats_of(const struct summary *s, bool final)
{
	struct event e = { .kind = EV_STATS, .wall_ns = WALL_NS, .mono_ns = 12345000000 };

	e.stats.duration_ns = 12345000000;
	e.stats.produced = 2000;
	e.stats.lost[RING_DROPS] = 7;
	e.stats.final = final;
	e.stats.summary = s;
	return e;
}

/* ---- what is written: the text of stderr, in text[] ---- */

static char text[65536];

static void write_text(const struct options *o, const struct event *e, unsigned int count)
{
	int fds[2], saved = dup(STDERR_FILENO);
	struct sinks *s = NULL;
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	assert_int_equal(sinks_open(&s, o, fds[1]), 0);
	for (unsigned int i = 0; i < count; i++)
		sinks_event(s, &e[i]);
	sinks_finish(s);
	sinks_close(s);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fds[0]);
}

static void assert_has(const char *line)
{
	if (!strstr(text, line))
		fail_msg("no line '%s' in:\n%s", line, text);
}

/* ---- tests ---- */

static void test_text(void **state)
{
	struct options o = everything();
	struct summary *s = summary_new(&o);
	struct event e, hostile = retransmitted(2, 99);

	(void)state;
	o.format = OUTPUT_NONE;
	for (int i = 0; i < 3; i++)
		sum(s, retransmitted(2, 1234));
	memcpy(hostile.retransmit.c.owner.comm, "a\033[31m b", 8);
	hostile.retransmit.cause = RTX_CAUSE_UNKNOWN;
	hostile.retransmit.cause_why = CAUSE_WHY_QUEUED;
	hostile.retransmit.cause_drop.place.known = false;
	sum(s, hostile);
	sum(s, dropped("NETFILTER_DROP", DROP_CLASS_POLICY));
	sum(s, dropped("", DROP_CLASS_BAD));
	sum(s, connected(CONNECT_ESTABLISHED, 1234));
	sum(s, connected(CONNECT_REFUSED, 50));
	e = stats_of(s, true);
	write_text(&o, &e, 1);
	assert_memory_equal(text, "Summary of 12.345 s until 04:03:02.123456\n", 42);
	assert_has("Sent again        unknown: the kernel's counters were not recorded\n");
	assert_has("Records lost      7 of 2,000 (control 0, drops 7)\n                  missed by the hooks 0, unseen 0\n");
	assert_has("Retransmissions   4; signs that one was needless: 0\n");
	assert_has("  type      fast                                   4  100.0 %  ########\n");
	assert_has("  cause     local                                  3   75.0 %  ######\n");
	assert_has("            unknown(queued)                        1   25.0 %  ##\n");
	assert_has("  lost at   NETFILTER_DROP@nft_do_chain+0xb5[nf_tables] 3 100.0 %\n");
	assert_has("  remote    10.0.0.2                               4  100.0 %  ########\n");
	assert_has("  port      443                                    4  100.0 %  ########\n");
	assert_has("  process   nginx(1234)                            3   75.0 %  ######\n");
	assert_has("            a\\x1b[31m\\x20b(99)                     1   25.0 %  ##\n");
	assert_has("  reason    - (bad)                                1   50.0 %  ####\n");
	assert_has("  place     -@tcp_v4_rcv+0xb5                      1   50.0 %  ####\n");
	assert_has("  result    established                            1   50.0 %  ####\n");
	assert_has("  latency   p50 1.234ms  p90 1.234ms  p99 1.234ms  max 1.234ms\n");
	assert_has("  failed    10.0.0.2:51234 refused                 1  100.0 %  ########\n");
	assert_null(strchr(text, '\033'));
	summary_free(s);
}

static void test_only_what_is_asked_for(void **state)
{
	struct options o = everything();
	struct summary *s = summary_new(&o);
	struct event e = stats_of(s, true);

	(void)state;
	o.format = OUTPUT_NONE;
	o.events = 1u << EV_STATS | 1u << EV_DROP;
	strcpy(o.filters, "-e drop -P 443");
	write_text(&o, &e, 1);
	assert_has("\nOf what matches   -e drop -P 443\n");
	assert_has("\nDrops             0\n");
	assert_null(strstr(text, "Retransmissions"));
	assert_null(strstr(text, "Connects"));
	/* JSON has it in the event. */
	o.format = OUTPUT_JSON;
	show(o, &e, 1);
	assert_non_null(strstr(shown, ",\"summary\":{\"traffic\":null,\"retransmit\":{\"count\":0,"));
	assert_string_equal(json_value(shown), "\n");
	e.stats.summary = NULL;
	show(o, &e, 1);
	assert_non_null(strstr(shown, ",\"summary\":null}"));
	summary_free(s);
}

static void test_intervals(void **state)
{
	struct options o = everything();
	struct summary *s = summary_new(&o);
	struct event e[2];

	(void)state;
	o.format = OUTPUT_NONE;
	o.interval_ns = NSEC_PER_SEC;
	sum(s, retransmitted(2, 1234));
	summary_mark(s);
	sum(s, retransmitted(2, 1234));
	sum(s, retransmitted(2, 1234));
	e[0] = e[1] = stats_of(s, false);
	e[1].mono_ns += 1500000000;
	write_text(&o, e, 2);
	assert_has("; +: in the last 12.345 s\n");
	assert_has("\n\nSummary of 12.345 s until 04:03:02.123456; +: in the last 1.500 s\n");
	assert_has("Retransmissions   3  +2; signs");
	assert_has("  remote    10.0.0.2                               3  100.0 %  ########  +2\n");
	e[0].stats.final = true;
	write_text(&o, e, 1);
	assert_null(strchr(text, '+') && strstr(text, "  +") ? text : NULL);
	summary_free(s);
}

/* More hosts than there is room for: it is said, and nothing is too low. */
static void test_more_than_there_is_room_for(void **state)
{
	struct options o = everything();
	struct summary *s = summary_new(&o);
	struct event r = retransmitted(2, 1), e;

	(void)state;
	o.format = OUTPUT_NONE;
	for (unsigned int i = 0; i < 3 * SUMMARY_KEYS; i++) {
		r.retransmit.c.flow.raddr[2] = (uint8_t)(i >> 8);
		r.retransmit.c.flow.raddr[3] = (uint8_t)i;
		summary_event(s, &r);
	}
	e = stats_of(s, true);
	write_text(&o, &e, 1);
	assert_has("  remote    10.0.8.0                              ~3    0.1 %\n");
	assert_has("            ~: too high by at most 2; more than 1,024 different ones came\n");
	assert_has("  port      443                                3,072  100.0 %");
	o.format = OUTPUT_JSON;
	show(o, &e, 1);
	assert_non_null(strstr(shown, "\"count\":3,\"error\":2}"));
	assert_string_equal(json_value(shown), "\n");
	summary_free(s);
}

static void traffic(struct summary *s, uint32_t netns, uint64_t out, uint64_t retrans)
{
	union record r = RECORD(TRAFFIC, rec_traffic);

	r.rec_traffic.netns = netns;
	r.rec_traffic.out_segs = out;
	r.rec_traffic.retrans_segs = retrans;
	summary_record(s, &r);
}

static void survey(struct summary *s, uint32_t bits)
{
	union record r = make_survey(bits);

	summary_record(s, &r);
}

static void test_traffic(void **state)
{
	struct options o = everything();
	struct summary *s = summary_new(&o);
	struct event e;

	(void)state;
	traffic(s, 1, 1000, 10);
	survey(s, SURVEY_FULL);
	assert_true(s->traffic_known && s->traffic_complete);
	assert_int_equal(s->out_segs.count, 0);
	traffic(s, 1, 1500, 12);
	traffic(s, 2, 40, 1); /* younger than rebpf: all of it counts */
	survey(s, 0);
	assert_int_equal(s->out_segs.count, 540);
	assert_int_equal(s->retrans_segs.count, 3);
	survey(s, SURVEY_INCOMPLETE); /* one without traffic says nothing of it */
	assert_true(s->traffic_complete);
	traffic(s, 2, 30, 0); /* another of the same number */
	survey(s, SURVEY_INCOMPLETE);
	assert_int_equal(s->out_segs.count, 570);
	assert_false(s->traffic_complete);
	o.format = OUTPUT_NONE;
	e = stats_of(s, true);
	write_text(&o, &e, 1);
	assert_has("Sent again        3 of 570 segments (0.52 %)\n                  all traffic of 2 network namespaces\n");
	assert_has("                  not all namespaces could be looked into\n");
	o.format = OUTPUT_JSON;
	show(o, &e, 1);
	assert_non_null(strstr(shown, "{\"out_segs\":570,\"retrans_segs\":3,\"retrans_ppm\":5263,\"namespaces\":2,"
				      "\"complete\":false}"));
	summary_free(s);
}

/* What was not seen at first may be old. */
static void test_traffic_of_hidden_namespaces(void **state)
{
	struct options o = everything();
	struct summary *s = summary_new(&o);

	(void)state;
	traffic(s, 1, 1000, 10);
	survey(s, SURVEY_FULL | SURVEY_INCOMPLETE);
	traffic(s, 1, 1001, 10);
	traffic(s, 2, 40, 1);
	survey(s, SURVEY_FULL);
	assert_int_equal(s->out_segs.count, 1);
	traffic(s, 2, 45, 1);
	survey(s, 0);
	assert_int_equal(s->out_segs.count, 6);
	summary_free(s);
}

static void test_traffic_of_wanted_namespaces(void **state)
{
	struct options o = everything();
	struct summary *s;

	(void)state;
	o.netns_count = 1;
	o.netns[0] = 2;
	s = summary_new(&o);
	traffic(s, 1, 1000, 10);
	traffic(s, 2, 100, 1);
	survey(s, SURVEY_FULL);
	traffic(s, 1, 2000, 20);
	traffic(s, 2, 110, 2);
	survey(s, 0);
	assert_int_equal(s->space_count, 1);
	assert_int_equal(s->out_segs.count, 10);
	summary_free(s);
}

static void test_too_many_namespaces(void **state)
{
	struct options o = everything();
	struct summary *s = summary_new(&o);

	(void)state;
	for (uint32_t i = 1; i <= SUMMARY_NAMESPACES; i++)
		traffic(s, i, 1, 0);
	survey(s, SURVEY_FULL);
	assert_true(s->traffic_complete);
	traffic(s, SUMMARY_NAMESPACES + 1, 1, 0);
	survey(s, 0);
	assert_false(s->traffic_complete);
	summary_free(s);
}

static void test_no_division_by_zero(void **state)
{
	struct options o = everything();
	struct summary *s = summary_new(&o);
	struct event e;

	(void)state;
	o.format = OUTPUT_NONE;
	traffic(s, 1, 5, 0);
	survey(s, SURVEY_FULL);
	e = stats_of(s, false);
	write_text(&o, &e, 1);
	assert_has("Sent again        0 of 0 segments  +0 of +0\n                  all traffic of 1 network namespace\n");
	o.format = OUTPUT_JSON;
	show(o, &e, 1);
	assert_non_null(strstr(shown, "\"retrans_ppm\":null"));
	summary_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_only_what_is_asked_for),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_more_than_there_is_room_for),
		cmocka_unit_test(test_traffic),
		cmocka_unit_test(test_traffic_of_hidden_namespaces),
		cmocka_unit_test(test_traffic_of_wanted_namespaces),
		cmocka_unit_test(test_too_many_namespaces),
		cmocka_unit_test(test_no_division_by_zero),
	};

	/* What bars are made of, and that nothing is redrawn. */
	setenv("LC_ALL", "C", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
