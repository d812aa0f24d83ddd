// SPDX-License-Identifier: MIT
/* links: src/metrics.c src/metrics_text.c src/series.c src/netstat.c src/snmp.c src/netns.c src/places.c src/names.c src/reasons.c src/meaning.c src/meaning_table.c src/meaning_places.c src/field.c src/event.c src/ev_retransmit.c src/ev_drop.c src/ev_connect.c src/ev_spurious.c src/ev_stats.c src/util.c src/log.c src/summary.c src/summary_json.c src/topk.c src/quantile.c */
/* Counters in, Prometheus text out: exact, bounded, and none ever goes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics_text.h"

static struct options opt;
static struct metrics *m;
static struct strbuf text;

static int set_up(void **state)
{
	(void)state;
	memset(&opt, 0, sizeof(opt));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	metrics_free(m);
	m = NULL;
	strbuf_free(&text);
	return 0;
}

static void make(void)
{
	m = metrics_new(&opt);
	assert_non_null(m);
	m->port_low = 32768;
	m->port_high = 60999;
}

static const char *render(void)
{
	static struct ev_stats stats = { .lost = { 3, 4 }, .missed = 5, .unseen = 6, .records = 7, .injected = 8 };
	struct metrics_page page = {
		.metrics = m, .stats = &stats, .start_ns = 1700000000123456789ULL, .version = "0.1", .kernel = "6.1\"x",
	};

	strbuf_reset(&text);
	metrics_text(&text, &page);
	assert_false(text.failed);
	return text.data;
}

/* A whole line of the page. */
static bool has(const char *line)
{
	const char *page = render(), *at = page;
	size_t len = strlen(line);

	while ((at = strstr(at, line))) {
		if ((at == page || at[-1] == '\n') && at[len] == '\n')
			return true;
		at++;
	}
	return false;
}

static struct event retransmit(uint16_t lport, uint16_t rport)
{
	struct event e = { .kind = EV_RETRANSMIT };
	struct ev_retransmit *r = &e.retransmit;
	struct rec_flow f = {
		.laddr = { 10, 0, 0, 1 }, .raddr = { 10, 0, 0, 2 }, .lport = lport, .rport = rport, .ip_version = 4,
	};

	r->c.flow = f;
	r->type = RTX_TYPE_RTO;
	r->outcome = RTX_OUTCOME_SENT;
	r->cause = RTX_CAUSE_NETWORK;
	r->has_ret = true;
	r->has_socket = true;
	r->segs = 3;
	return e;
}

static void count(struct event e)
{
	metrics_event(m, &e);
}

/* The sample of the blog. */
static void test_flow(void **state)
{
	(void)state;
	opt.metrics_ports = true;
	make();
	count(retransmit(40000, 443));
	assert_true(has("# TYPE tcp_retransmissions_total counter"));
	assert_non_null(strstr(text.data, "# HELP tcp_retransmissions_total Total number of TCP retransmissions"));
	assert_true(has("tcp_retransmissions_total{ip_version=\"4\",src_ip=\"10.0.0.1\",src_port=\"40000\",dst_ip=\"10.0.0.2\",dst_port=\"443\"} 1"));
	count(retransmit(40000, 443));
	assert_true(has("tcp_retransmissions_total{ip_version=\"4\",src_ip=\"10.0.0.1\",src_port=\"40000\",dst_ip=\"10.0.0.2\",dst_port=\"443\"} 2"));
	assert_true(has("rebpf_retransmits_total{type=\"rto\",outcome=\"sent\",cause=\"network\"} 2"));
	assert_true(has("rebpf_retransmit_ret_total{ret=\"0\",ret_name=\"OK\"} 2"));
	assert_true(has("rebpf_retransmitted_segments_total 6"));
	assert_true(has("rebpf_metrics_series 1"));
}

/* Whichever end has a port of the range. */
static void test_collapsed_ports(void **state)
{
	(void)state;
	make();
	count(retransmit(40000, 443));
	count(retransmit(40001, 443));
	count(retransmit(443, 60999));
	count(retransmit(32767, 61000));
	count(retransmit(32768, 50000));
	assert_true(has("tcp_retransmissions_total{ip_version=\"4\",src_ip=\"10.0.0.1\",src_port=\"\",dst_ip=\"10.0.0.2\",dst_port=\"443\"} 2"));
	assert_true(has("tcp_retransmissions_total{ip_version=\"4\",src_ip=\"10.0.0.1\",src_port=\"443\",dst_ip=\"10.0.0.2\",dst_port=\"\"} 1"));
	assert_true(has("tcp_retransmissions_total{ip_version=\"4\",src_ip=\"10.0.0.1\",src_port=\"32767\",dst_ip=\"10.0.0.2\",dst_port=\"61000\"} 1"));
	assert_true(has("tcp_retransmissions_total{ip_version=\"4\",src_ip=\"10.0.0.1\",src_port=\"\",dst_ip=\"10.0.0.2\",dst_port=\"\"} 1"));
}

static void test_ipv6(void **state)
{
	struct event e = retransmit(443, 80);
	struct rec_flow *f = &e.retransmit.c.flow;

	(void)state;
	make();
	f->ip_version = 6;
	memset(f->laddr, 0, 16);
	f->laddr[15] = 1;
	memcpy(f->raddr, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05", 16);
	count(e);
	assert_true(has("tcp_retransmissions_total{ip_version=\"6\",src_ip=\"::1\",src_port=\"443\",dst_ip=\"2001:db8::5\",dst_port=\"80\"} 1"));
}

/* Refused attempts are attempts, but neither retransmissions of a flow nor segments; failures are told. */
static void test_refused_and_failed(void **state)
{
	struct event e = retransmit(443, 80);

	(void)state;
	make();
	e.retransmit.outcome = RTX_OUTCOME_REFUSED;
	e.retransmit.ret = -EBUSY;
	count(e);
	assert_true(has("rebpf_retransmitted_segments_total 0"));
	assert_true(has("rebpf_metrics_series 0"));
	assert_true(has("rebpf_retransmit_ret_total{ret=\"-16\",ret_name=\"EBUSY\"} 1"));
	e.retransmit.outcome = RTX_OUTCOME_DROPPED;
	e.retransmit.ret = -EPERM;
	count(e);
	assert_true(has("rebpf_retransmitted_segments_total 3"));
	assert_true(has("rebpf_retransmitted_segments_failed_total 3"));
	/* A SYN-ACK that failed is none for the kernel. */
	e.retransmit.type = RTX_TYPE_SYNACK;
	e.retransmit.has_socket = false;
	count(e);
	assert_true(has("rebpf_retransmitted_segments_total 3"));
	e.retransmit.ret = 0;
	e.retransmit.outcome = RTX_OUTCOME_SENT;
	e.retransmit.segs = 1;
	count(e);
	assert_true(has("rebpf_retransmitted_segments_total 4"));
	e.retransmit.has_ret = false;
	e.retransmit.outcome = RTX_OUTCOME_UNKNOWN;
	count(e);
	assert_true(has("rebpf_retransmit_ret_total{ret=\"unknown\",ret_name=\"unknown\"} 1"));
}

/* Known flows go on counting when no new one finds a place. */
static void test_folding(void **state)
{
	unsigned int i;

	(void)state;
	opt.metrics_ports = true;
	opt.metrics_max_series = 100;
	make();
	for (i = 0; i < 1000; i++)
		count(retransmit((uint16_t)(1000 + i), 443));
	count(retransmit(1000, 443));
	assert_true(has("rebpf_metrics_series 100"));
	assert_true(has("rebpf_metrics_folded_total 900"));
	assert_true(has("tcp_retransmissions_total{ip_version=\"other\",src_ip=\"other\",src_port=\"other\",dst_ip=\"other\",dst_port=\"other\"} 900"));
	assert_true(has("tcp_retransmissions_total{ip_version=\"4\",src_ip=\"10.0.0.1\",src_port=\"1000\",dst_ip=\"10.0.0.2\",dst_port=\"443\"} 2"));
	assert_true(has("tcp_retransmissions_total{ip_version=\"4\",src_ip=\"10.0.0.1\",src_port=\"1099\",dst_ip=\"10.0.0.2\",dst_port=\"443\"} 1"));
	assert_false(has("tcp_retransmissions_total{ip_version=\"4\",src_ip=\"10.0.0.1\",src_port=\"1100\",dst_ip=\"10.0.0.2\",dst_port=\"443\"} 1"));
}

static struct event drop(const char *reason, const char *symbol, const char *module, uint64_t offset)
{
	struct event e = { .kind = EV_DROP };

	e.drop.place.known = true;
	e.drop.place.class = DROP_CLASS_POLICY;
	e.drop.place.offset = offset;
	e.drop.place.address = 0xffffffff81000000ULL + offset;
	snprintf(e.drop.place.reason, sizeof(e.drop.place.reason), "%s", reason);
	snprintf(e.drop.place.symbol, sizeof(e.drop.place.symbol), "%s", symbol);
	snprintf(e.drop.place.module, sizeof(e.drop.place.module), "%s", module);
	return e;
}

static void test_drops(void **state)
{
	struct event synthetic = drop("RETRIES_EXCEEDED", "", "", 0);

	(void)state;
	make();
	synthetic.drop.place.address = 0;
	count(drop("NETFILTER_DROP", "nft_do_chain", "nf_tables", 0x3e8));
	count(drop("NETFILTER_DROP", "nft_do_chain", "nf_tables", 0x3e8));
	count(drop("", "", "", 0x10));
	count(synthetic);
	assert_true(has("rebpf_drops_total{reason=\"NETFILTER_DROP\",class=\"policy\",location=\"nft_do_chain+0x3e8[nf_tables]\"} 2"));
	assert_true(has("rebpf_drops_total{reason=\"\",class=\"policy\",location=\"0xffffffff81000010\"} 1"));
	assert_true(has("rebpf_drops_total{reason=\"RETRIES_EXCEEDED\",class=\"policy\",location=\"\"} 1"));
}

static void test_places_are_bounded(void **state)
{
	unsigned int i;

	(void)state;
	make();
	for (i = 0; i < METRICS_MAX_PLACES + 50; i++)
		count(drop("NETFILTER_DROP", "f", "", i));
	/* Three have been there from the start: what alerts are about. */
	assert_true(has("rebpf_drops_total{reason=\"other\",class=\"other\",location=\"other\"} 53"));
	assert_true(has("rebpf_drops_total{reason=\"NETFILTER_DROP\",class=\"policy\",location=\"f+0x7fc\"} 1"));
	assert_true(has("rebpf_drops_total{reason=\"TCP_LISTEN_OVERFLOW\",class=\"bad\",location=\"\"} 0"));
	assert_true(has("rebpf_drops_total{reason=\"TCP_REQQ_FULL\",class=\"bad\",location=\"\"} 0"));
	assert_true(has("rebpf_drops_total{reason=\"RETRIES_EXCEEDED\",class=\"bad\",location=\"\"} 0"));
}

static void test_connects(void **state)
{
	static const uint64_t us[] = { 0, 100, 101, 250, 9999999, 10000000, 10000001, 60000000 };
	struct event e = { .kind = EV_CONNECT };
	size_t i;

	(void)state;
	make();
	e.connect.result = CONNECT_ESTABLISHED;
	count(e); /* its duration is not known */
	e.connect.has_duration = true;
	count(e); /* TCP_REPAIR: without a SYN */
	e.connect.syn_sent = true;
	for (i = 0; i < ARRAY_SIZE(us); i++) {
		e.connect.duration_us = us[i];
		count(e);
	}
	e.connect.result = CONNECT_TIMEOUT;
	count(e);
	assert_true(has("rebpf_connects_total{result=\"established\"} 10"));
	assert_true(has("rebpf_connects_total{result=\"timeout\"} 1"));
	assert_true(has("rebpf_connects_total{result=\"refused\"} 0"));
	assert_true(has("# TYPE rebpf_connect_latency_seconds histogram"));
	assert_true(has("rebpf_connect_latency_seconds_bucket{le=\"0.0001\"} 2"));
	assert_true(has("rebpf_connect_latency_seconds_bucket{le=\"0.00025\"} 4"));
	assert_true(has("rebpf_connect_latency_seconds_bucket{le=\"5\"} 4"));
	assert_true(has("rebpf_connect_latency_seconds_bucket{le=\"10\"} 6"));
	assert_true(has("rebpf_connect_latency_seconds_bucket{le=\"+Inf\"} 8"));
	assert_true(has("rebpf_connect_latency_seconds_sum 90.000451"));
	assert_true(has("rebpf_connect_latency_seconds_count 8"));
}

static void test_spurious(void **state)
{
	struct event e = { .kind = EV_SPURIOUS, .spurious.evidence = SPURIOUS_DSACK };

	(void)state;
	make();
	count(e);
	assert_true(has("rebpf_spurious_total{evidence=\"dsack\"} 1"));
	assert_true(has("rebpf_spurious_total{evidence=\"frto\"} 0"));
}

static void lose(struct rec_lost r)
{
	struct ev_drop_place place = drop("NETFILTER_DROP", r.location ? "f" : "", "", 1).drop.place;

	place.address = r.location;
	if (r.reason == 1) {
		strcpy(place.reason, "NOT_SPECIFIED");
		place.class = DROP_CLASS_BAD;
	}
	metrics_lost(m, &r, r.lost_kind == REC_DROP ? &place : NULL);
}

/* What a ring has lost counts, as unknown where only its record would have told: every sum is right. */
static void test_lost(void **state)
{
	(void)state;
	make();
	lose((struct rec_lost){ .lost_kind = REC_RTX_EXIT, .count = 5, .segs = 7, .has_ret = 1, .reached = RTX_REACHED });
	lose((struct rec_lost){ .lost_kind = REC_RTX_EXIT, .count = 2, .segs = 2, .has_ret = 1, .ret = -EPERM, .reached = RTX_REACHED });
	lose((struct rec_lost){ .lost_kind = REC_RTX_EXIT, .count = 4, .segs = 4, .has_ret = 1, .ret = -EBUSY, .reached = RTX_REFUSED });
	lose((struct rec_lost){ .lost_kind = REC_RTX_EXIT, .count = 1, .segs = 1, .has_ret = 1, .reached = RTX_REACHED, .synack = 1 });
	lose((struct rec_lost){ .lost_kind = REC_CONNECT, .count = 8 });
	lose((struct rec_lost){ .lost_kind = REC_SPURIOUS, .count = 9 });
	lose((struct rec_lost){ .lost_kind = REC_DROP, .count = 10, .location = 42, .tcp = 1 });
	lose((struct rec_lost){ .lost_kind = REC_DROP, .count = 11, .tcp = 1 });
	lose((struct rec_lost){ .lost_kind = REC_DROP, .count = 12, .tcp = 1, .reason = 1 });
	lose((struct rec_lost){ .lost_kind = REC_DROP, .count = 13, .tcp = 1, .source = DROP_SOURCE_LISTEN_OVERFLOW });
	lose((struct rec_lost){ .lost_kind = 250, .count = 13 });
	assert_true(has("rebpf_retransmits_total{type=\"unknown\",outcome=\"unknown\",cause=\"unknown\"} 5"));
	assert_true(has("rebpf_retransmits_total{type=\"unknown\",outcome=\"dropped\",cause=\"unknown\"} 2"));
	assert_true(has("rebpf_retransmits_total{type=\"unknown\",outcome=\"refused\",cause=\"unknown\"} 4"));
	assert_true(has("rebpf_retransmits_total{type=\"synack\",outcome=\"unknown\",cause=\"unknown\"} 1"));
	assert_true(has("rebpf_retransmit_ret_total{ret=\"-1\",ret_name=\"EPERM\"} 2"));
	assert_true(has("rebpf_retransmitted_segments_total 10"));
	assert_true(has("rebpf_retransmitted_segments_failed_total 2"));
	assert_true(has("tcp_retransmissions_total{ip_version=\"other\",src_ip=\"other\",src_port=\"other\",dst_ip=\"other\",dst_port=\"other\"} 8"));
	assert_true(has("rebpf_metrics_folded_total 0"));
	assert_true(has("rebpf_connects_total{result=\"unknown\"} 8"));
	assert_true(has("rebpf_spurious_total{evidence=\"unknown\"} 9"));
	assert_true(has("rebpf_drops_total{reason=\"NETFILTER_DROP\",class=\"policy\",location=\"f+0x1\"} 10"));
	assert_true(has("rebpf_drops_total{reason=\"NETFILTER_DROP\",class=\"policy\",location=\"unknown\"} 11"));
	assert_true(has("rebpf_drops_total{reason=\"NOT_SPECIFIED\",class=\"unknown\",location=\"unknown\"} 12"));
	assert_true(has("rebpf_drops_total{reason=\"NETFILTER_DROP\",class=\"policy\",location=\"\"} 13"));
}

static void test_self(void **state)
{
	(void)state;
	make();
	assert_true(has("rebpf_records_lost_total{ring=\"control\"} 3"));
	assert_true(has("rebpf_records_lost_total{ring=\"drops\"} 4"));
	assert_true(has("rebpf_missed_total 5"));
	assert_true(has("rebpf_unseen_segments_total 6"));
	assert_true(has("rebpf_injected_total 8"));
	assert_true(has("rebpf_records_total 7"));
	assert_true(has("rebpf_build_info{version=\"0.1\",kernel=\"6.1\\\"x\"} 1"));
	assert_true(has("rebpf_start_time_seconds 1700000000.123456"));
}

/* Each family once, its samples right behind its two lines, and nothing but samples else. */
static void test_format(void **state)
{
	char name[128], family[128] = "";
	const char *line, *end;

	(void)state;
	make();
	count(retransmit(443, 80));
	count(drop("A", "f", "", 1));
	for (line = render(); *line; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end);
		if (sscanf(line, "# HELP %100s", name) == 1) {
			char again[140];

			snprintf(again, sizeof(again), "# HELP %s ", name);
			assert_null(strstr(end, again));
			snprintf(family, sizeof(family), "%s", name);
			snprintf(again, sizeof(again), "\n# TYPE %s ", name);
			assert_memory_equal(end, again, strlen(again));
		} else if (line[0] != '#') {
			assert_memory_equal(line, family, strlen(family));
		}
	}
}

static void test_label(void **state)
{
	static const char evil[] = "a\\b\"c\nd\x01\xff~ e";

	(void)state;
	strbuf_reset(&text);
	metrics_label(&text, evil, SIZE_MAX);
	assert_string_equal(text.data, "a\\\\b\\\"c\\nd\\\\x01\\\\xff~ e");
	strbuf_reset(&text);
	metrics_label(&text, "abcdef", 3);
	assert_string_equal(text.data, "abc");
}

static void test_port_range(void **state)
{
	uint16_t low = 1, high = 2;

	(void)state;
	assert_int_equal(metrics_parse_port_range("32768\t60999\n", &low, &high), 0);
	assert_int_equal(low, 32768);
	assert_int_equal(high, 60999);
	assert_int_equal(metrics_parse_port_range("1 65535", &low, &high), 0);
	assert_int_equal(metrics_parse_port_range("", &low, &high), -EBADMSG);
	assert_int_equal(metrics_parse_port_range("9 8", &low, &high), -EBADMSG);
	assert_int_equal(metrics_parse_port_range("0 8", &low, &high), -EBADMSG);
	assert_int_equal(metrics_parse_port_range("1 65536", &low, &high), -EBADMSG);
	assert_int_equal(high, 65535);
}

/* Order, values and bound of the table below it all. */
static void test_series(void **state)
{
	struct series *s = series_new(sizeof(uint32_t), 5000);
	uint64_t *at;
	uint32_t i;

	(void)state;
	for (int turn = 1; turn <= 3; turn++) {
		for (i = 0; i < 6000; i++) {
			uint32_t key = i * 2654435761u;

			at = series_counter(s, &key);
			assert_true(!at == (i >= 5000));
			if (at)
				*at += i;
		}
		assert_int_equal(series_count(s), 5000);
		for (i = 0; i < 5000; i++) {
			assert_int_equal(*(const uint32_t *)series_key(s, i), i * 2654435761u);
			assert_int_equal(series_value(s, i), (uint64_t)i * (unsigned int)turn);
		}
	}
	series_free(s);
}

static void test_netstat(void **state)
{
	struct netstat *n = netstat_new(&opt);
	const struct netstat_entry *e;

	(void)state;
	assert_non_null(n);
	netstat_read(n, 1000);
	assert_true(netstat_count(n) >= 1);
	e = netstat_at(n, 0);
	assert_true(e->known);
	assert_int_not_equal(e->netns, 0);
	netstat_free(n);
	opt.netns_count = 1;
	opt.netns[0] = 1; /* no namespace has this number */
	n = netstat_new(&opt);
	netstat_read(n, 1000);
	assert_int_equal(netstat_count(n), 0);
	netstat_free(n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_flow),
		TEST(test_collapsed_ports),
		TEST(test_ipv6),
		TEST(test_refused_and_failed),
		TEST(test_folding),
		TEST(test_drops),
		TEST(test_places_are_bounded),
		TEST(test_connects),
		TEST(test_spurious),
		TEST(test_lost),
		TEST(test_self),
		TEST(test_format),
		TEST(test_label),
		TEST(test_port_range),
		TEST(test_series),
		TEST(test_netstat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
