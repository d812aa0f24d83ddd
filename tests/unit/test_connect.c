// SPDX-License-Identifier: MIT
/* links: src/field.c src/event.c src/ev_retransmit.c src/ev_drop.c src/ev_connect.c src/ev_spurious.c src/ev_stats.c src/output.c src/sink.c src/sink_text.c src/sink_json.c src/sink_record.c src/sink_metrics.c src/metrics.c src/series.c src/decode.c src/places.c src/names.c src/reasons.c src/meaning.c src/meaning_table.c src/meaning_places.c src/util.c src/log.c src/summary.c src/summary_json.c src/topk.c src/quantile.c src/sink_summary.c */
/* What connect events look like in each format, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>

#include "show.h"

/* ---- events ---- */

static struct event event_established(void)
{
	struct event e = { .kind = EV_CONNECT, .wall_ns = WALL_NS };
	struct ev_connect *c = &e.connect;

	inet_pton(AF_INET, "10.0.0.1", c->c.flow.laddr);
	inet_pton(AF_INET, "10.0.0.2", c->c.flow.raddr);
	c->c.flow.lport = 51234;
	c->c.flow.rport = 443;
	c->c.flow.ip_version = 4;
	c->c.flow.state = 1;
	c->c.flow.sk = 0xffff888300000000;
	c->c.flow.netns = 4026531840;
	c->c.flow.uid = 33;
	c->c.flow.cgroup = 4567;
	c->c.owner.tgid = 1234;
	strcpy(c->c.owner.comm, "curl");
	strcpy(c->c.task.comm, "swapper/1");
	c->result = CONNECT_ESTABLISHED;
	c->syn_sent = true;
	c->has_duration = true;
	c->duration_us = 12345;
	return e;
}

static struct event event_failed(enum connect_result result, uint32_t err)
{
	struct event e = event_established();

	e.connect.c.flow.state = 7;
	e.connect.result = result;
	e.connect.err = err;
	return e;
}

static void add_cause_drop(struct event *e)
{
	struct ev_cause_drop *d = &e->connect.cause_drop;

	d->place = drop_at("NETFILTER_DROP", "nft_do_chain", "nf_tables");
	d->place.class = DROP_CLASS_POLICY;
	d->netns = e->connect.c.flow.netns;
	d->pid = 77;
	d->age_us = 2013120;
	d->seq = 1000;
	d->end_seq = 1001;
	d->covered = 1;
}

static const char *verbose_of(const struct event *e)
{
	show((struct options){ .format = OUTPUT_TEXT, .verbose = 1 }, e, 1);
	return shown;
}

/* ---- text ---- */

#define HEAD "04:03:02.123456 CONNECT    1234    curl       10.0.0.1:51234 > 10.0.0.2:443    "

static void test_text(void **state)
{
	struct event e = event_established();

	(void)state;
	assert_int_equal(sizeof(HEAD) - 1, 79);
	assert_string_equal(text_of(&e), HEAD " result=established latency=12.345ms\n");
	assert_string_equal(verbose_of(&e), HEAD " result=established latency=12.345ms"
						 " netns=4026531840 uid=33 cgroup=4567 syn_retrans=0\n");
}

static void test_text_results(void **state)
{
	static const struct {
		enum connect_result result;
		uint32_t err;
		const char *words;
	} cases[] = {
		{ CONNECT_REFUSED, ECONNREFUSED, " result=refused(ECONNREFUSED) after=12.345ms cause_drop=-\n" },
		{ CONNECT_TIMEOUT, ETIMEDOUT, " result=timeout(ETIMEDOUT) after=12.345ms cause_drop=-\n" },
		{ CONNECT_UNREACHABLE, EHOSTUNREACH, " result=unreachable(EHOSTUNREACH) after=12.345ms cause_drop=-\n" },
		{ CONNECT_UNREACHABLE, ENETUNREACH, " result=unreachable(ENETUNREACH) after=12.345ms cause_drop=-\n" },
		{ CONNECT_ABORTED, 0, " result=aborted after=12.345ms cause_drop=-\n" },
		{ CONNECT_FAILED, EADDRNOTAVAIL, " result=failed(EADDRNOTAVAIL) after=12.345ms cause_drop=-\n" },
		/* A number that rebpf has no name for. */
		{ CONNECT_FAILED, 4095, " result=failed after=12.345ms cause_drop=-\n" },
		{ (enum connect_result)99, 0, " result=- after=12.345ms cause_drop=-\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct event e = event_failed(cases[i].result, cases[i].err);

		assert_memory_equal(text_of(&e), HEAD, sizeof(HEAD) - 1);
		assert_string_equal(shown + sizeof(HEAD) - 1, cases[i].words);
	}
}

static void test_text_syn(void **state)
{
	struct event e = event_established();

	(void)state;
	e.connect.syn_retrans = 2;
	assert_string_equal(text_of(&e), HEAD " result=established latency=12.345ms syn_retrans=2 cause_drop=-\n");
	/* No port was free: none of its own, and no SYN. */
	e = event_failed(CONNECT_FAILED, EADDRNOTAVAIL);
	e.connect.c.flow.lport = 0;
	e.connect.syn_sent = false;
	assert_non_null(strstr(text_of(&e), " result=failed(EADDRNOTAVAIL) after=12.345ms syn_sent=no cause_drop=-\n"));
	/* It began before rebpf. */
	e = event_failed(CONNECT_TIMEOUT, ETIMEDOUT);
	e.connect.has_duration = false;
	assert_string_equal(text_of(&e), HEAD " result=timeout(ETIMEDOUT) after=- cause_drop=-\n");
	e = event_established();
	e.connect.has_duration = false;
	assert_string_equal(text_of(&e), HEAD " result=established latency=-\n");
}

static void test_text_cause_drop(void **state)
{
	struct event e = event_failed(CONNECT_TIMEOUT, ETIMEDOUT);

	(void)state;
	e.connect.syn_retrans = 1;
	e.connect.duration_us = 3070123;
	add_cause_drop(&e);
	assert_string_equal(text_of(&e), HEAD " result=timeout(ETIMEDOUT) after=3070.123ms syn_retrans=1"
					      " cause_drop=NETFILTER_DROP@nft_do_chain+0xb5[nf_tables]:eth0,age=2013.120ms\n");
	assert_string_equal(verbose_of(&e),
			    HEAD " result=timeout(ETIMEDOUT) after=3070.123ms syn_retrans=1"
				 " cause_drop=NETFILTER_DROP@nft_do_chain+0xb5[nf_tables]:eth0,netns=4026531840,pid=77,age=2013.120ms,seq=1000-1001,covered=1/1"
				 " netns=4026531840 uid=33 cgroup=4567\n");
	/* In another namespace, before it had a device, of a translated packet. */
	e.connect.cause_drop.netns = 4026532000;
	e.connect.cause_drop.place.ifname[0] = '\0';
	e.connect.cause_drop.nat = true;
	assert_non_null(strstr(text_of(&e), " cause_drop=NETFILTER_DROP@nft_do_chain+0xb5[nf_tables],netns=4026532000,"
					    "age=2013.120ms,nat=yes\n"));
	/* It succeeded all the same. */
	e = event_established();
	e.connect.syn_retrans = 1;
	add_cause_drop(&e);
	assert_non_null(strstr(text_of(&e), " latency=12.345ms syn_retrans=1 cause_drop=NETFILTER_DROP@"));
}

static struct event event_v6(void)
{
	struct event e = event_failed(CONNECT_REFUSED, ECONNREFUSED);

	inet_pton(AF_INET6, "2001:db8::1", e.connect.c.flow.laddr);
	inet_pton(AF_INET6, "2001:db8::2", e.connect.c.flow.raddr);
	e.connect.c.flow.ip_version = 6;
	memset(&e.connect.c.owner, 0, sizeof(e.connect.c.owner));
	return e;
}

static void test_text_v6(void **state)
{
	struct event e = event_v6();

	(void)state;
	assert_string_equal(text_of(&e), "04:03:02.123456 CONNECT    -       -          [2001:db8::1]:51234 > "
					 "[2001:db8::2]:443 result=refused(ECONNREFUSED) after=12.345ms cause_drop=-\n");
}

static void test_text_color(void **state)
{
	struct event e = event_failed(CONNECT_REFUSED, ECONNREFUSED);
	const char *plain;

	(void)state;
	show((struct options){ .format = OUTPUT_TEXT, .color = COLOR_ALWAYS }, &e, 1);
	plain = strstr(shown, "refused");
	assert_non_null(plain);
	assert_int_equal(plain[-1], 'm');
	e = event_established();
	show((struct options){ .format = OUTPUT_TEXT, .color = COLOR_ALWAYS }, &e, 1);
	assert_non_null(strstr(shown, "established latency="));
	assert_null(strstr(shown, "mestablished"));
	e.connect.syn_retrans = 1;
	show((struct options){ .format = OUTPUT_TEXT, .color = COLOR_ALWAYS }, &e, 1);
	assert_non_null(strstr(shown, "mestablished"));
}

/* ---- JSON ---- */

#define JSON_HEAD                                                                                         \
	"{\"time\":\"2026-11-21T04:03:02.123456789Z\",\"event\":\"connect\",\"netns\":4026531840,"       \
	"\"pid\":1234,\"comm\":\"curl\",\"uid\":33,\"cgroup\":4567,\"task_pid\":0,"                      \
	"\"task_comm\":\"swapper/1\",\"ip_version\":4,\"saddr\":\"10.0.0.1\",\"sport\":51234,"           \
	"\"daddr\":\"10.0.0.2\",\"dport\":443,"

static void test_json(void **state)
{
	struct event e = event_established();

	(void)state;
	assert_string_equal(json_of(&e),
			    JSON_HEAD "\"result\":\"established\",\"error\":null,\"latency_us\":12345,\"duration_us\":12345,"
				      "\"syn_sent\":true,\"syn_retrans\":0,\"cause_drop\":null}\n");
	e.connect.has_duration = false;
	assert_string_equal(json_of(&e),
			    JSON_HEAD "\"result\":\"established\",\"error\":null,\"latency_us\":null,\"duration_us\":null,"
				      "\"syn_sent\":true,\"syn_retrans\":0,\"cause_drop\":null}\n");
}

static void test_json_results(void **state)
{
	static const struct {
		enum connect_result result;
		uint32_t err;
		const char *words;
	} cases[] = {
		{ CONNECT_REFUSED, ECONNREFUSED, "\"result\":\"refused\",\"error\":\"ECONNREFUSED\"," },
		{ CONNECT_TIMEOUT, ETIMEDOUT, "\"result\":\"timeout\",\"error\":\"ETIMEDOUT\"," },
		{ CONNECT_UNREACHABLE, ENETUNREACH, "\"result\":\"unreachable\",\"error\":\"ENETUNREACH\"," },
		{ CONNECT_ABORTED, 0, "\"result\":\"aborted\",\"error\":null," },
		{ CONNECT_FAILED, EADDRNOTAVAIL, "\"result\":\"failed\",\"error\":\"EADDRNOTAVAIL\"," },
	};
	const char *rest = "\"latency_us\":null,\"duration_us\":12345,\"syn_sent\":true,\"syn_retrans\":0,\"cause_drop\":null}\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct event e = event_failed(cases[i].result, cases[i].err);
		size_t at = sizeof(JSON_HEAD) - 1;

		assert_memory_equal(json_of(&e), JSON_HEAD, at);
		assert_memory_equal(shown + at, cases[i].words, strlen(cases[i].words));
		assert_string_equal(shown + at + strlen(cases[i].words), rest);
	}
}

static void test_json_cause_drop(void **state)
{
	struct event e = event_failed(CONNECT_TIMEOUT, ETIMEDOUT);

	(void)state;
	e.connect.syn_retrans = 1;
	add_cause_drop(&e);
	assert_string_equal(json_of(&e),
			    JSON_HEAD "\"result\":\"timeout\",\"error\":\"ETIMEDOUT\",\"latency_us\":null,\"duration_us\":12345,"
				      "\"syn_sent\":true,\"syn_retrans\":1,\"cause_drop\":{\"reason\":\"NETFILTER_DROP\","
				      "\"class\":\"policy\",\"location\":\"nft_do_chain+0xb5 [nf_tables]\",\"ifname\":\"eth0\","
				      "\"netns\":4026531840,\"pid\":77,\"age_us\":2013120,\"seq\":1000,\"end_seq\":1001,"
				      "\"covered\":1,\"nat\":false}}\n");
	/* An older kernel; nobody's socket; an address without a name. */
	e.connect.cause_drop = (struct ev_cause_drop){ .place = { .known = true, .address = 0xffffffff81234567 } };
	assert_non_null(strstr(json_of(&e), ",\"cause_drop\":{\"reason\":null,\"class\":\"bad\","
					    "\"location\":\"0xffffffff81234567\",\"ifname\":null,\"netns\":null,\"pid\":null,"
					    "\"age_us\":0,\"seq\":0,\"end_seq\":0,\"covered\":0,\"nat\":false}}\n"));
}

static void test_json_v6_without_port(void **state)
{
	struct event e = event_v6();

	(void)state;
	e.connect.result = CONNECT_FAILED;
	e.connect.err = EADDRNOTAVAIL;
	e.connect.syn_sent = false;
	e.connect.c.flow.lport = 0;
	assert_non_null(strstr(json_of(&e), "\"pid\":null,\"comm\":null,\"uid\":33,"));
	assert_non_null(strstr(shown, ",\"ip_version\":6,\"saddr\":\"2001:db8::1\",\"sport\":null,\"daddr\":\"2001:db8::2\","
				      "\"dport\":443,\"result\":\"failed\",\"error\":\"EADDRNOTAVAIL\",\"latency_us\":null,"
				      "\"duration_us\":12345,\"syn_sent\":false,\"syn_retrans\":0,\"cause_drop\":null}\n"));
}

/* ---- anything ---- */

static void test_any_bytes(void **state)
{
	struct event e = { .kind = EV_CONNECT };

	(void)state;
	srandom(3);
	for (size_t round = 0; round < 2000; round++) {
		random_bytes(&e.connect, sizeof(e.connect));
		e.connect.syn_sent = round & 1;
		e.connect.has_duration = round & 2;
		e.connect.cause_drop.place.known = round & 4;
		e.connect.cause_drop.nat = round & 8;
		assert_one_line(&e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),	     cmocka_unit_test(test_text_results),
		cmocka_unit_test(test_text_syn),     cmocka_unit_test(test_text_cause_drop),
		cmocka_unit_test(test_text_v6),	     cmocka_unit_test(test_text_color),
		cmocka_unit_test(test_json),	     cmocka_unit_test(test_json_results),
		cmocka_unit_test(test_json_cause_drop), cmocka_unit_test(test_json_v6_without_port),
		cmocka_unit_test(test_any_bytes),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
