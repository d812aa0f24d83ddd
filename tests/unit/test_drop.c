// SPDX-License-Identifier: MIT
/* links: src/field.c src/event.c src/ev_retransmit.c src/ev_drop.c src/ev_connect.c src/ev_spurious.c src/ev_stats.c src/output.c src/sink.c src/sink_text.c src/sink_json.c src/sink_record.c src/sink_metrics.c src/metrics.c src/series.c src/decode.c src/places.c src/names.c src/reasons.c src/meaning.c src/meaning_table.c src/meaning_places.c src/util.c src/log.c src/summary.c src/summary_json.c src/topk.c src/quantile.c src/sink_summary.c */
/* What drop and spurious events look like in each format, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>

#include "meaning.h"
#include "show.h"

static const struct drop_meaning by_rule = {
	.reason = "NETFILTER_DROP",
	.class = DROP_CLASS_POLICY,
	.meaning = "a netfilter rule dropped it",
};

/* ---- events ---- */

static struct event event_drop(void)
{
	struct event e = { .kind = EV_DROP, .wall_ns = WALL_NS };
	struct ev_drop *d = &e.drop;

	inet_pton(AF_INET, "10.0.0.2", d->c.flow.laddr);
	inet_pton(AF_INET, "10.0.0.1", d->c.flow.raddr);
	d->c.flow.lport = 51234;
	d->c.flow.rport = 443;
	d->c.flow.ip_version = 4;
	d->c.flow.state = 1;
	d->c.flow.sk = 0xffff888300000000;
	d->c.flow.netns = 4026531840;
	d->c.flow.uid = 33;
	d->c.flow.cgroup = 4567;
	d->c.owner.tgid = 1234;
	strcpy(d->c.owner.comm, "nginx");
	strcpy(d->c.task.comm, "swapper/1");
	d->place = drop_at("NETFILTER_DROP", "nft_do_chain", "nf_tables");
	d->place.class = DROP_CLASS_POLICY;
	d->meaning = &by_rule;
	d->has_socket = d->received = true;
	d->protocol = IPPROTO_TCP;
	d->has_segment = true;
	d->tcp_flags = 0x18;
	d->seq = 1000;
	d->end_seq = 2448;
	d->ack = 77;
	d->len = 1448;
	d->packet_len = 1500;
	d->skb = 0xffff888100000000;
	return e;
}

/* A packet of which next to nothing is known. */
static struct event event_bare(void)
{
	static const struct drop_meaning none = { .reason = "", .meaning = "no entry" };
	struct event e = { .kind = EV_DROP, .wall_ns = WALL_NS };

	e.drop.meaning = &none;
	return e;
}

static struct event event_spurious(void)
{
	struct event e = { .kind = EV_SPURIOUS, .wall_ns = WALL_NS };

	e.spurious.c = event_drop().drop.c;
	e.spurious.evidence = SPURIOUS_DSACK;
	e.spurious.has_range = true;
	e.spurious.seq = 1000;
	e.spurious.end_seq = 2448;
	e.spurious.len = 1448;
	e.spurious.dups = 1;
	return e;
}

static void add_frame(struct event *e, const char *symbol, uint64_t offset, const char *module)
{
	static struct ev_code stack[REBPF_STACK_DEPTH];
	struct ev_code *code = &stack[e->drop.stack_count++];

	e->drop.stack = stack;

	code->address = 0xffffffff81000000 + offset;
	code->offset = offset;
	strcpy(code->symbol, symbol);
	strcpy(code->module, module);
}

static const char *verbose_of(const struct event *e)
{
	show((struct options){ .format = OUTPUT_TEXT, .verbose = 1 }, e, 1);
	return shown;
}

/* ---- drop, text ---- */

#define HEAD "04:03:02.123456 DROP       1234    nginx      10.0.0.2:51234 > 10.0.0.1:443    "
#define PLACE " drop=NETFILTER_DROP@nft_do_chain+0xb5[nf_tables]"

static void test_text(void **state)
{
	struct event e = event_drop();

	(void)state;
	assert_int_equal(sizeof(HEAD) - 1, 79);
	assert_string_equal(text_of(&e), HEAD PLACE " class=policy ifname=eth0 flags=PSH|ACK seq=1000 len=1448"
						    " state=ESTABLISHED why=\"a netfilter rule dropped it\"\n");
	/* With -v the line without it, more words, and the sentence is still the last. */
	assert_string_equal(verbose_of(&e),
			    HEAD PLACE " class=policy ifname=eth0 flags=PSH|ACK seq=1000 len=1448 state=ESTABLISHED"
				       " netns=4026531840 uid=33 cgroup=4567 end_seq=2448 ack=77 packet_len=1500"
				       " received=yes skb=0xffff888100000000 why=\"a netfilter rule dropped it\"\n");
}

static void test_text_bare(void **state)
{
	struct event e = event_bare();

	(void)state;
	assert_string_equal(text_of(&e),
			    "04:03:02.123456 DROP       -       -          - > -                            "
			    " drop=- class=bad ifname=- protocol=- flags=- seq=- len=- state=- why=\"no entry\"\n");
	assert_non_null(strstr(verbose_of(&e), " state=- netns=- uid=- cgroup=- end_seq=- ack=- packet_len=- received=-"
					       " skb=- why=\"no entry\"\n"));
}

/* A kernel without reasons still names the function; one without symbols the address. */
static void test_text_place(void **state)
{
	struct event e = event_drop();

	(void)state;
	e.drop.place.reason[0] = '\0';
	assert_non_null(strstr(text_of(&e), " drop=-@nft_do_chain+0xb5[nf_tables] class="));
	e.drop.place.symbol[0] = '\0';
	assert_non_null(strstr(text_of(&e), " drop=-@0xffffffff81234567 class="));
	e = event_drop();
	strcpy(e.drop.place.reason, "TCP_LISTEN_OVERFLOW");
	e.drop.place.symbol[0] = '\0';
	e.drop.place.address = 0;
	e.drop.place.class = DROP_CLASS_BAD;
	e.drop.synthetic = true;
	e.drop.received = false;
	assert_non_null(strstr(text_of(&e), " drop=TCP_LISTEN_OVERFLOW class=bad synthetic=yes ifname=eth0 flags="));
	assert_non_null(strstr(verbose_of(&e), " received=no "));
}

static void test_text_class(void **state)
{
	struct options color = { .format = OUTPUT_TEXT, .color = COLOR_ALWAYS };
	struct event e = event_drop();

	(void)state;
	show(color, &e, 1);
	assert_non_null(strstr(shown, " class=\033[35mpolicy\033[0m "));
	e.drop.place.class = DROP_CLASS_BAD;
	show(color, &e, 1);
	assert_non_null(strstr(shown, " class=\033[1;31mbad\033[0m "));
	/* What is expected needs no word of explanation, and gets one only with -v. */
	e.drop.place.class = DROP_CLASS_EXPECTED;
	show(color, &e, 1);
	assert_non_null(strstr(shown, " class=expected "));
	assert_null(strstr(text_of(&e), "why="));
	assert_non_null(strstr(verbose_of(&e), " skb=0xffff888100000000 why=\"a netfilter rule dropped it\"\n"));
}

static void test_text_flags(void **state)
{
	static const struct {
		uint8_t flags;
		const char *name;
	} row[] = {
		{ 0, "none" },	     { 0x01, "FIN" },	  { 0x02, "SYN" },     { 0x04, "RST" },	    { 0x10, "ACK" },
		{ 0x11, "FIN|ACK" }, { 0x12, "SYN|ACK" }, { 0x14, "RST|ACK" }, { 0x18, "PSH|ACK" }, { 0x20, "URG" },
		{ 0xc2, "SYN|ECE|CWR" }, { 0xff, "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR" },
	};
	struct event e = event_drop();
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		e.drop.tcp_flags = row[i].flags;
		snprintf(text, sizeof(text), " flags=%s seq=1000 ", row[i].name);
		assert_non_null(strstr(text_of(&e), text));
		snprintf(text, sizeof(text), ",\"flags\":\"%s\",", row[i].name);
		assert_non_null(strstr(json_of(&e), text));
	}
	e.drop.has_segment = false;
	assert_non_null(strstr(text_of(&e), " flags=- seq=- len=- state=ESTABLISHED "));
	e.drop.has_socket = false;
	assert_non_null(strstr(text_of(&e), " len=- state=- why="));
}

static void test_protocols(void **state)
{
	static const struct {
		uint8_t protocol;
		const char *name;
	} row[] = {
		{ IPPROTO_UDP, "udp" }, { IPPROTO_ICMP, "icmp" }, { IPPROTO_ICMPV6, "icmp6" }, { 132, "132" }, { 255, "255" },
	};
	struct event e = event_drop();
	char text[64];

	(void)state;
	e.drop.has_segment = e.drop.has_socket = false;
	e.drop.c.flow.lport = e.drop.c.flow.rport = 0;
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		e.drop.protocol = row[i].protocol;
		snprintf(text, sizeof(text), " ifname=eth0 protocol=%s flags=- ", row[i].name);
		assert_non_null(strstr(text_of(&e), text));
		/* No port: none is shown. */
		assert_non_null(strstr(shown, " 10.0.0.2 > 10.0.0.1  "));
		snprintf(text, sizeof(text), ",\"protocol\":\"%s\",\"flags\":null,", row[i].name);
		assert_non_null(strstr(json_of(&e), text));
		assert_non_null(strstr(shown, ",\"saddr\":\"10.0.0.2\",\"sport\":null,"));
	}
	inet_pton(AF_INET6, "2001:db8::1", e.drop.c.flow.laddr);
	inet_pton(AF_INET6, "2001:db8::2", e.drop.c.flow.raddr);
	e.drop.c.flow.ip_version = 6;
	assert_non_null(strstr(text_of(&e), " [2001:db8::1] > [2001:db8::2] "));
}

static void test_stack(void **state)
{
	struct event e = event_drop();

	(void)state;
	add_frame(&e, "kfree_skb_reason", 0x3c, "");
	add_frame(&e, "nf_hook_slow", 0xb5, "");
	add_frame(&e, "nft_do_chain", 0x40e, "nf_tables");
	add_frame(&e, "", 0x1234, "");
	assert_non_null(strstr(text_of(&e), " state=ESTABLISHED stack=kfree_skb_reason+0x3c<nf_hook_slow+0xb5<"
					    "nft_do_chain+0x40e[nf_tables]<0xffffffff81001234 why=\"a netfilter"));
	assert_non_null(strstr(verbose_of(&e), " skb=0xffff888100000000 stack=kfree_skb_reason+0x3c<nf_hook_slow+0xb5<"));
	assert_non_null(strstr(json_of(&e), ",\"stack\":[\"kfree_skb_reason+0x3c\",\"nf_hook_slow+0xb5\","
					    "\"nft_do_chain+0x40e [nf_tables]\",\"0xffffffff81001234\"],"));
	e.drop.stack_count = 1000; /* no record can say so, and if it does */
	assert_one_line(&e);
}

/* ---- drop, JSON ---- */

static void test_json(void **state)
{
	struct event e = event_drop();

	(void)state;
	assert_string_equal(
		json_of(&e),
		"{\"time\":\"2026-11-21T04:03:02.123456789Z\",\"event\":\"drop\",\"netns\":4026531840,"
		"\"pid\":1234,\"comm\":\"nginx\",\"uid\":33,\"cgroup\":4567,\"task_pid\":0,"
		"\"task_comm\":\"swapper/1\",\"ip_version\":4,\"saddr\":\"10.0.0.2\",\"sport\":51234,"
		"\"daddr\":\"10.0.0.1\",\"dport\":443,\"reason\":\"NETFILTER_DROP\","
		"\"location\":\"nft_do_chain+0xb5 [nf_tables]\",\"class\":\"policy\",\"synthetic\":false,"
		"\"ifname\":\"eth0\",\"protocol\":\"tcp\",\"flags\":\"PSH|ACK\",\"seq\":1000,\"end_seq\":2448,"
		"\"ack\":77,\"len\":1448,\"packet_len\":1500,\"state\":\"ESTABLISHED\",\"received\":true,"
		"\"skb\":\"0xffff888100000000\",\"stack\":null,\"meaning\":\"a netfilter rule dropped it\"}\n");
}

static void test_json_bare(void **state)
{
	struct event e = event_bare();

	(void)state;
	assert_string_equal(
		json_of(&e),
		"{\"time\":\"2026-11-21T04:03:02.123456789Z\",\"event\":\"drop\",\"netns\":null,\"pid\":null,"
		"\"comm\":null,\"uid\":null,\"cgroup\":null,\"task_pid\":null,\"task_comm\":null,"
		"\"ip_version\":null,\"saddr\":null,\"sport\":null,\"daddr\":null,\"dport\":null,"
		"\"reason\":null,\"location\":null,\"class\":\"bad\",\"synthetic\":false,\"ifname\":null,"
		"\"protocol\":null,\"flags\":null,\"seq\":null,\"end_seq\":null,\"ack\":null,\"len\":null,"
		"\"packet_len\":null,\"state\":null,\"received\":null,\"skb\":null,\"stack\":null,"
		"\"meaning\":\"no entry\"}\n");
}

/* ---- spurious ---- */

static void test_spurious(void **state)
{
	struct event e = event_spurious();

	(void)state;
	assert_string_equal(text_of(&e),
			    "04:03:02.123456 SPURIOUS   1234    nginx      10.0.0.2:51234 > 10.0.0.1:443    "
			    " evidence=dsack cause_was=- dups=1 seq=1000 len=1448\n");
	assert_non_null(strstr(verbose_of(&e), " len=1448 netns=4026531840 uid=33 cgroup=4567 end_seq=2448\n"));
	assert_string_equal(
		json_of(&e),
		"{\"time\":\"2026-11-21T04:03:02.123456789Z\",\"event\":\"spurious\",\"netns\":4026531840,"
		"\"pid\":1234,\"comm\":\"nginx\",\"uid\":33,\"cgroup\":4567,\"task_pid\":0,"
		"\"task_comm\":\"swapper/1\",\"ip_version\":4,\"saddr\":\"10.0.0.2\",\"sport\":51234,"
		"\"daddr\":\"10.0.0.1\",\"dport\":443,\"evidence\":\"dsack\",\"cause_was\":null,\"dups\":1,"
		"\"seq\":1000,\"end_seq\":2448,\"len\":1448}\n");
	e.spurious.evidence = SPURIOUS_FRTO;
	e.spurious.has_range = false;
	e.spurious.contradicts = true;
	e.spurious.cause_was = RTX_CAUSE_NETWORK;
	assert_non_null(strstr(text_of(&e), " evidence=frto cause_was=network dups=- seq=- len=-\n"));
	assert_non_null(strstr(json_of(&e), ",\"evidence\":\"frto\",\"cause_was\":\"network\",\"dups\":null,\"seq\":null,"
					    "\"end_seq\":null,\"len\":null}\n"));
	e.spurious.evidence = SPURIOUS_TIMESTAMP;
	assert_non_null(strstr(text_of(&e), " evidence=timestamp "));
}

/* ---- anything ---- */

static void test_any_bytes(void **state)
{
	struct event drop = { .kind = EV_DROP }, spurious = { .kind = EV_SPURIOUS };
	struct ev_code stack[REBPF_STACK_DEPTH];

	(void)state;
	srandom(2);
	for (size_t round = 0; round < 2000; round++) {
		random_bytes(&drop.drop, sizeof(drop.drop));
		random_bytes(&spurious.spurious, sizeof(spurious.spurious));
		random_bytes(stack, sizeof(stack));
		drop.drop.stack = stack;
		drop.drop.meaning = &by_rule;
		drop.drop.has_socket = drop.drop.synthetic = round & 1;
		drop.drop.received = drop.drop.has_segment = round & 2;
		drop.drop.place.known = true;
		if (round & 4)
			drop.drop.stack_count = 0;
		spurious.spurious.has_range = round & 1;
		spurious.spurious.contradicts = round & 2;
		assert_one_line(&drop);
		assert_one_line(&spurious);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),	   cmocka_unit_test(test_text_bare),
		cmocka_unit_test(test_text_place), cmocka_unit_test(test_text_class),
		cmocka_unit_test(test_text_flags), cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_stack),	   cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_bare),  cmocka_unit_test(test_spurious),
		cmocka_unit_test(test_any_bytes),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
