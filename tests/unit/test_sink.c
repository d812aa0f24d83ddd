// SPDX-License-Identifier: MIT
/* links: src/field.c src/event.c src/ev_retransmit.c src/ev_drop.c src/ev_connect.c src/ev_spurious.c src/ev_stats.c src/output.c src/sink.c src/sink_text.c src/sink_json.c src/sink_record.c src/sink_metrics.c src/metrics.c src/series.c src/decode.c src/places.c src/names.c src/reasons.c src/meaning.c src/meaning_table.c src/meaning_places.c src/util.c src/log.c src/summary.c src/summary_json.c src/topk.c src/quantile.c src/sink_summary.c */
/* What an event looks like in each format, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event.h"
#include "field.h"
#include "show.h"
#include "sink.h"
#include "util.h"

/* ---- events ---- */

static struct event event_v4(void)
{
	struct event e = { .kind = EV_RETRANSMIT, .wall_ns = WALL_NS };
	struct ev_retransmit *r = &e.retransmit;

	inet_pton(AF_INET, "10.0.0.1", r->c.flow.laddr);
	inet_pton(AF_INET, "10.0.0.2", r->c.flow.raddr);
	r->c.flow.lport = 443;
	r->c.flow.rport = 51234;
	r->c.flow.ip_version = 4;
	r->c.flow.state = 1;
	r->c.flow.sk = 0xffff888300000000;
	r->c.flow.netns = 4026531840;
	r->c.flow.sk = 0xffff888012340000;
	r->c.flow.uid = 33;
	r->c.flow.cgroup = 4567;
	r->c.owner.tgid = 1234;
	strcpy(r->c.owner.comm, "nginx");
	strcpy(r->c.task.comm, "swapper/1");
	r->type = RTX_TYPE_RTO;
	r->attempt = 2;
	r->seq = 1000;
	r->end_seq = 2448;
	r->len = 1448;
	r->segs = 1;
	r->skb = 0xffff888100000000;
	r->tc_observed = true;
	r->tc_count = 1;
	strcpy(r->tc[0].ifname, "eth0");
	r->tc[0].skb = 0xffff888200000000;
	r->tc[0].verdict = TC_VERDICT_OK;
	r->has_ret = true;
	r->outcome = RTX_OUTCOME_SENT;
	r->cause = RTX_CAUSE_UNKNOWN;
	r->cause_why = CAUSE_WHY_BEFORE_START;
	r->has_socket = true;
	r->ca_state = 4;
	r->srtt_us = 12345;
	r->rto_us = 204000;
	r->cwnd = 1;
	r->ssthresh = 7;
	r->mss = 1448;
	r->total_retrans = 3;
	r->segs_out = 9000;
	return e;
}

/* A SYN-ACK of which little is known. */
static struct event event_v6(void)
{
	struct event e = { .kind = EV_RETRANSMIT, .wall_ns = WALL_NS };
	struct ev_retransmit *r = &e.retransmit;

	inet_pton(AF_INET6, "2001:db8::1", r->c.flow.laddr);
	inet_pton(AF_INET6, "2001:db8::2", r->c.flow.raddr);
	r->c.flow.lport = 443;
	r->c.flow.rport = 443;
	r->c.flow.ip_version = 6;
	r->c.flow.state = 12;
	r->type = RTX_TYPE_SYNACK;
	r->seq = 1;
	r->end_seq = 1;
	r->segs = 1;
	r->cause = RTX_CAUSE_NETWORK;
	return e;
}

static void add_hop(struct event *e, const char *ifname, int verdict, enum tc_by by)
{
	struct ev_tc_hop *hop = &e->retransmit.tc[e->retransmit.tc_count++];

	memset(hop, 0, sizeof(*hop));
	memcpy(hop->ifname, ifname, strlen(ifname));
	hop->verdict = verdict;
	hop->by = by;
}

/* ---- the visitors ---- */

static void some_fields(struct visitor *v)
{
	field_bool(v, FIELD("yes", SHOW_ALWAYS), true);
	field_bool(v, FIELD("no", SHOW_VERBOSE), false);
	if (field_object(v, FIELD("hidden", SHOW_NEVER), true)) {
		field_null(v, FIELD_PART("part", "", SHOW_ALWAYS));
		field_object_end(v);
	}
	if (field_list(v, FIELD("list", SHOW_ALWAYS), true, 2)) {
		field_hex(v, FIELD_ELEMENT, 31);
		field_null(v, FIELD_ELEMENT);
		field_list_end(v);
	}
	field_null(v, FIELD_NOTE("note", SHOW_ALWAYS));
	field_us_if(v, FIELD_AS("span_us", "span", SHOW_ALWAYS), true, 7);
	field_share(v, FIELD("part", SHOW_VERBOSE), 2, 3);
	field_sentence(v, FIELD("last", SHOW_LAST), "a \"b\"\n");
}

static void test_visitors(void **state)
{
	struct strbuf b = {0};
	struct visitor_text t;
	struct visitor_json j;

	(void)state;
	visitor_text_init(&t, &b, true, false);
	some_fields(&t.v);
	visitor_text_more(&t);
	some_fields(&t.v);
	assert_string_equal(b.data, " yes=yes list=0x1f,- span=0.007ms no=no part=2/3 last=\"a 'b'\\x0a\"");
	strbuf_reset(&b);
	visitor_text_init(&t, &b, false, false);
	some_fields(&t.v);
	assert_string_equal(b.data, " yes=yes list=0x1f,- span=0.007ms last=\"a 'b'\\x0a\"");
	strbuf_reset(&b);
	visitor_json_init(&j, &b);
	visitor_json_begin(&j);
	some_fields(&j.v);
	visitor_json_end(&j);
	assert_string_equal(b.data, "{\"yes\":true,\"no\":false,\"hidden\":{\"part\":null},"
				    "\"list\":[\"0x1f\",null],\"note\":null,\"span_us\":7,\"part\":2,"
				    "\"last\":\"a \\\"b\\\"\\u000a\"}");
	strbuf_free(&b);
}

/* ---- text ---- */

#define HEAD_V4 "04:03:02.123456 RETRANSMIT 1234    nginx      10.0.0.1:443 > 10.0.0.2:51234    "

static void test_text_v4(void **state)
{
	struct event e = event_v4();

	(void)state;
	assert_string_equal(text_of(&e),
			    HEAD_V4
			    " state=ESTABLISHED type=rto attempt=2 cause=unknown(before_start) cause_drop=- outcome=sent"
			    " ret=0(OK) tc=eth0:OK drop=- seq=1000 len=1448 segs=1 ca=loss srtt=12.345ms cwnd=1\n");
	assert_int_equal(sizeof(HEAD_V4) - 1, 79);
}

static void test_text_verbose(void **state)
{
	struct event e = event_v4();

	(void)state;
	e.retransmit.drop = drop_at("NETFILTER_DROP", "nf_hook_slow", "");
	show((struct options){ .format = OUTPUT_TEXT, .verbose = 1 }, &e, 1);
	assert_string_equal(shown,
			    HEAD_V4
			    " state=ESTABLISHED type=rto attempt=2 cause=unknown(before_start) cause_drop=- outcome=sent"
			    " ret=0(OK) tc=eth0:OK drop=NETFILTER_DROP@nf_hook_slow+0xb5:eth0 seq=1000 len=1448 segs=1"
			    " ca=loss srtt=12.345ms cwnd=1 netns=4026531840 uid=33 cgroup=4567 end_seq=2448"
			    " skb=0xffff888100000000 rto=204.000ms ssthresh=7 mss=1448 total_retrans=3 segs_out=9000\n");
}

static void test_text_v6_and_nulls(void **state)
{
	struct event e = event_v6();

	(void)state;
	assert_string_equal(text_of(&e),
			    "04:03:02.123456 RETRANSMIT -       -          [2001:db8::1]:443 > [2001:db8::2]:443"
			    " state=NEW_SYN_RECV type=synack attempt=- cause=network cause_drop=- outcome=unknown ret=-"
			    " tc=- drop=- seq=1 len=0 segs=1 ca=- srtt=- cwnd=-\n");
	show((struct options){ .format = OUTPUT_TEXT, .verbose = 1 }, &e, 1);
	assert_non_null(strstr(shown, " cwnd=- netns=- uid=- cgroup=- end_seq=1 skb=- rto=- ssthresh=- mss=-"
				      " total_retrans=- segs_out=-\n"));
	e.retransmit.c.flow.state = 0;
	assert_non_null(strstr(text_of(&e), " state=- "));
	e.retransmit.c.flow.state = 200;
	assert_non_null(strstr(text_of(&e), " state=- "));
}

static void test_text_wide_head(void **state)
{
	struct event e = event_v4();

	(void)state;
	e.retransmit.c.owner.tgid = 4194304;
	strcpy(e.retransmit.c.owner.comm, "fifteen-letters");
	inet_pton(AF_INET, "255.255.255.255", e.retransmit.c.flow.laddr);
	assert_non_null(strstr(text_of(&e), " 4194304 fifteen-letters 255.255.255.255:443 > 10.0.0.2:51234 state="));
}

/* No byte of a name reaches the terminal or splits a word, whether or not it ends with a NUL. */
static void test_text_hostile_comm(void **state)
{
	static const char comm[REBPF_COMM_LEN] = { 'a', ' ', '\n', '\033', '[', '2', 'J', '\\', '=', (char)0xff, 'b',
						   'c', 'd', 'e', 'f', 'g' };
	struct event e = event_v4();

	(void)state;
	memcpy(e.retransmit.c.owner.comm, comm, sizeof(comm));
	assert_non_null(strstr(text_of(&e), " a\\x20\\x0a\\x1b[2J\\x5c=\\xffbcdefg 10.0.0.1:443 > "));
	memset(e.retransmit.c.owner.comm, 0, sizeof(comm));
	assert_non_null(strstr(text_of(&e), " 1234    \"\"         10.0.0.1:443 > "));
}

static const char *tc_word(struct event *e)
{
	char *word = strstr(text_of(e), " tc=");

	assert_non_null(word);
	*strchr(word + 1, ' ') = '\0';
	return word + 1;
}

static void test_text_tc(void **state)
{
	struct event e = event_v4();

	(void)state;
	e.retransmit.tc_observed = false;
	assert_string_equal(tc_word(&e), "tc=-");
	e.retransmit.tc_observed = true;
	e.retransmit.tc_count = 0;
	assert_string_equal(tc_word(&e), "tc=none");
	add_hop(&e, "eth0", TC_VERDICT_OK, TC_BY_NOBODY);
	add_hop(&e, "eth1", TC_VERDICT_SHOT, TC_BY_OTHER);
	assert_string_equal(tc_word(&e), "tc=eth0:OK,eth1:SHOT(other)");
	add_hop(&e, "sixteen-byte-if0", TC_VERDICT_STOLEN, TC_BY_REBPF);
	add_hop(&e, "x y", TC_VERDICT_UNKNOWN, TC_BY_NOBODY);
	add_hop(&e, "", TC_VERDICT_REDIRECT, TC_BY_OTHER);
	assert_string_equal(tc_word(&e), "tc=eth0:OK,eth1:SHOT(other),sixteen-byte-if0:STOLEN(rebpf),x\\x20y:-,"
					 "\"\":REDIRECT(other)");
	/* Numbers that no record should hold are not trusted. */
	e.retransmit.tc_count = 1000;
	e.retransmit.tc[0].by = (enum tc_by)77;
	assert_non_null(strstr(tc_word(&e), "tc=eth0:OK,eth1:"));
}

static void test_text_drop_and_ret(void **state)
{
	struct event e = event_v4();

	(void)state;
	e.retransmit.drop = drop_at("", "nft_do_chain", "nf_tables");
	e.retransmit.ret = -1;
	assert_non_null(strstr(text_of(&e), " outcome=sent ret=-1(EPERM) tc=eth0:OK drop=-@nft_do_chain+0xb5[nf_tables] seq="));
	e.retransmit.drop = drop_at("QDISC_DROP", "", "");
	e.retransmit.ret = 1;
	assert_non_null(strstr(text_of(&e), " ret=1(NET_XMIT_DROP) tc=eth0:OK drop=QDISC_DROP@0xffffffff81234567 seq="));
	e.retransmit.ret = 3;
	assert_non_null(strstr(text_of(&e), " ret=3 tc="));
}

static const char *cause_drop_word(const struct event *e, unsigned int verbose)
{
	char *word;

	show((struct options){ .format = OUTPUT_TEXT, .verbose = verbose }, e, 1);
	word = strstr(shown, " cause_drop=");
	assert_non_null(word);
	*strchr(word + 1, ' ') = '\0';
	return word + 1;
}

static struct event event_local(void)
{
	struct event e = event_v4();
	struct ev_cause_drop *d = &e.retransmit.cause_drop;

	e.retransmit.cause = RTX_CAUSE_LOCAL;
	d->place = drop_at("NETFILTER_DROP", "nft_do_chain", "nf_tables");
	d->place.class = DROP_CLASS_POLICY;
	d->netns = 4026531840;
	d->age_us = 203120;
	d->seq = 1000;
	d->end_seq = 2448;
	d->covered = 1448;
	return e;
}

#define CAUSE_DROP "cause_drop=NETFILTER_DROP@nft_do_chain+0xb5[nf_tables]"

static void test_text_cause_drop(void **state)
{
	struct event e = event_local();
	struct ev_cause_drop *d = &e.retransmit.cause_drop;

	(void)state;
	assert_non_null(strstr(text_of(&e), " cause=local " CAUSE_DROP ":eth0,age=203.120ms outcome=sent "));
	assert_string_equal(cause_drop_word(&e, 1), CAUSE_DROP ":eth0,netns=4026531840,pid=-,age=203.120ms,"
						    "seq=1000-2448,covered=1448/1448");
	/* What is out of the ordinary is shown. */
	d->netns = 4026532177;
	d->covered = 1000;
	d->nat = true;
	d->pid = 77;
	d->place.ifname[0] = '\0';
	assert_string_equal(cause_drop_word(&e, 0), CAUSE_DROP ",netns=4026532177,age=203.120ms,covered=1000/1448,"
						    "nat=yes");
	assert_string_equal(cause_drop_word(&e, 1), CAUSE_DROP ":-,netns=4026532177,pid=77,age=203.120ms,"
						    "seq=1000-2448,covered=1000/1448,nat=yes");
	e.retransmit.cause = RTX_CAUSE_ACK_LOCAL;
	assert_string_equal(cause_drop_word(&e, 0), CAUSE_DROP ",netns=4026532177,age=203.120ms,covered=1000/1448,"
						    "nat=yes");
	/* Sequence numbers wrap around. */
	e.retransmit.seq = UINT32_MAX - 99;
	e.retransmit.end_seq = 900;
	d->nat = false;
	d->covered = 1000;
	assert_null(strstr(cause_drop_word(&e, 0), "covered"));
	e.retransmit.cause = RTX_CAUSE_NETWORK;
	assert_string_equal(cause_drop_word(&e, 0), "cause_drop=-");
}

static void test_json_cause_drop(void **state)
{
	struct event e = event_local();

	(void)state;
	assert_non_null(strstr(json_of(&e),
			       ",\"cause\":\"local\",\"cause_why\":null,\"cause_drop\":{\"reason\":\"NETFILTER_DROP\","
			       "\"class\":\"policy\",\"location\":\"nft_do_chain+0xb5 [nf_tables]\",\"ifname\":\"eth0\","
			       "\"netns\":4026531840,\"pid\":null,\"age_us\":203120,\"seq\":1000,\"end_seq\":2448,"
			       "\"covered\":1448,\"nat\":false},\"outcome\":"));
	e.retransmit.cause = RTX_CAUSE_UNKNOWN;
	assert_non_null(strstr(json_of(&e), ",\"cause_drop\":null,"));
}

static void test_text_color(void **state)
{
	struct event e = event_v4();

	(void)state;
	e.retransmit.tc[0].verdict = TC_VERDICT_SHOT;
	e.retransmit.tc[0].by = TC_BY_REBPF;
	e.retransmit.outcome = RTX_OUTCOME_DROPPED;
	e.retransmit.cause = RTX_CAUSE_NETWORK;
	show((struct options){ .format = OUTPUT_TEXT, .color = COLOR_ALWAYS }, &e, 1);
	assert_non_null(strstr(shown, " cause=\033[35mnetwork\033[0m cause_drop=- outcome=\033[1;31mdropped\033[0m"
				      " ret=0(OK) tc=eth0:\033[1;31mSHOT\033[0m(rebpf) drop=- seq="));
	/* A pipe gets none by itself. */
	assert_null(strchr(text_of(&e), '\033'));
}

/* ---- JSON ---- */

static void test_json_v4(void **state)
{
	struct event e = event_v4();

	(void)state;
	e.retransmit.drop = drop_at("NETFILTER_DROP", "nft_do_chain", "nf_tables");
	assert_string_equal(
		json_of(&e),
		"{\"time\":\"2026-11-21T04:03:02.123456789Z\",\"event\":\"retransmit\",\"netns\":4026531840,"
		"\"pid\":1234,\"comm\":\"nginx\",\"uid\":33,\"cgroup\":4567,\"task_pid\":0,"
		"\"task_comm\":\"swapper/1\",\"ip_version\":4,\"saddr\":\"10.0.0.1\",\"sport\":443,"
		"\"daddr\":\"10.0.0.2\",\"dport\":51234,\"state\":\"ESTABLISHED\",\"type\":\"rto\",\"attempt\":2,"
		"\"cause\":\"unknown\",\"cause_why\":\"before_start\",\"cause_drop\":null,"
		"\"outcome\":\"sent\",\"ret\":0,\"ret_name\":\"OK\","
		"\"tc\":[{\"ifname\":\"eth0\",\"skb\":\"0xffff888200000000\",\"verdict\":\"TC_ACT_OK\","
		"\"by\":null}],"
		"\"drop\":{\"reason\":\"NETFILTER_DROP\",\"class\":\"bad\","
		"\"location\":\"nft_do_chain+0xb5 [nf_tables]\",\"ifname\":\"eth0\"},"
		"\"seq\":1000,\"end_seq\":2448,\"len\":1448,\"segs\":1,\"skb\":\"0xffff888100000000\","
		"\"ca_state\":\"loss\",\"srtt_us\":12345,\"rto_us\":204000,\"cwnd\":1,\"ssthresh\":7,\"mss\":1448,"
		"\"total_retrans\":3,\"segs_out\":9000}\n");
}

static void test_json_v6_and_nulls(void **state)
{
	struct event e = event_v6();

	(void)state;
	assert_string_equal(
		json_of(&e),
		"{\"time\":\"2026-11-21T04:03:02.123456789Z\",\"event\":\"retransmit\",\"netns\":null,\"pid\":null,"
		"\"comm\":null,\"uid\":null,\"cgroup\":null,\"task_pid\":null,\"task_comm\":null,\"ip_version\":6,"
		"\"saddr\":\"2001:db8::1\",\"sport\":443,\"daddr\":\"2001:db8::2\",\"dport\":443,"
		"\"state\":\"NEW_SYN_RECV\",\"type\":\"synack\",\"attempt\":null,\"cause\":\"network\","
		"\"cause_why\":null,\"cause_drop\":null,\"outcome\":\"unknown\",\"ret\":null,\"ret_name\":null,"
		"\"tc\":null,\"drop\":null,\"seq\":1,\"end_seq\":1,\"len\":0,\"segs\":1,\"skb\":null,"
		"\"ca_state\":null,\"srtt_us\":null,\"rto_us\":null,\"cwnd\":null,\"ssthresh\":null,\"mss\":null,"
		"\"total_retrans\":null,\"segs_out\":null}\n");
}

static void test_json_tc_and_drop(void **state)
{
	struct event e = event_v4();

	(void)state;
	e.retransmit.tc_count = 0;
	assert_non_null(strstr(json_of(&e), ",\"tc\":[],\"drop\":null,"));
	add_hop(&e, "eth0", TC_VERDICT_UNKNOWN, TC_BY_NOBODY);
	add_hop(&e, "eth1", TC_VERDICT_SHOT, TC_BY_REBPF);
	e.retransmit.drop = drop_at("", "", "");
	e.retransmit.drop.ifname[0] = '\0';
	e.retransmit.ret = -32;
	assert_non_null(strstr(json_of(&e),
			       ",\"outcome\":\"sent\",\"ret\":-32,\"ret_name\":\"EPIPE\","
			       "\"tc\":[{\"ifname\":\"eth0\",\"skb\":null,\"verdict\":null,\"by\":null},"
			       "{\"ifname\":\"eth1\",\"skb\":null,\"verdict\":\"TC_ACT_SHOT\",\"by\":\"rebpf\"}],"
			       "\"drop\":{\"reason\":null,\"class\":\"bad\",\"location\":\"0xffffffff81234567\","
			       "\"ifname\":null},\"seq\":"));
	e.retransmit.drop.address = 0;
	assert_non_null(strstr(json_of(&e), ",\"location\":null,"));
	e.retransmit.ret = 99;
	assert_non_null(strstr(json_of(&e), ",\"ret\":99,\"ret_name\":null,"));
}

/* A byte is a code point: encoded as Latin-1, the string gives the bytes back. */
static void test_json_hostile_comm(void **state)
{
	static const char comm[REBPF_COMM_LEN] = { '"', '\\', '\n', 0x7f, (char)0xc3, (char)0xa9, (char)0xff, ' ',
						   '/', 0x1f, 'a', 'b', 'c', 'd', 'e', 'f' };
	struct event e = event_v4();

	(void)state;
	memcpy(e.retransmit.c.owner.comm, comm, sizeof(comm));
	assert_non_null(strstr(json_of(&e), ",\"comm\":\"\\\"\\\\\\u000a\\u007f\\u00c3\\u00a9\\u00ff /\\u001fabcdef\","));
}

/* Whatever bytes an event is made of, its line is one line and a JSON value, and its text has no control byte. */
static void test_any_bytes(void **state)
{
	struct event e = { .kind = EV_RETRANSMIT };
	struct ev_retransmit *r = &e.retransmit;
	size_t round;

	(void)state;
	srandom(1);
	for (round = 0; round < 2000; round++) {
		random_bytes(r, sizeof(*r));
		e.wall_ns = (uint64_t)random() << 31;
		r->tc_observed = r->has_ret = r->has_socket = round & 1;
		r->drop.known = round & 2;
		r->cause_drop.place.known = r->cause_drop.nat = round & 4;
		r->cause = round & 8 ? RTX_CAUSE_LOCAL : r->cause;
		assert_one_line(&e);
	}
}

/* ---- names ---- */

static void assert_shown(const struct event *e, const char *key, const char *word)
{
	char text[64], json[64];

	snprintf(text, sizeof(text), " %s=%s", key, word);
	snprintf(json, sizeof(json), ",\"%s\":\"%s\",", key, word);
	assert_non_null(strstr(text_of(e), text));
	assert_non_null(strstr(json_of(e), json));
}

static void test_every_name(void **state)
{
	struct event e = event_v4();
	struct ev_retransmit *r = &e.retransmit;

	(void)state;
#define X(NAME, name) r->type = RTX_TYPE_##NAME, assert_shown(&e, "type", #name);
	RTX_TYPES(X)
#undef X
#define X(NAME, name) r->outcome = RTX_OUTCOME_##NAME, assert_shown(&e, "outcome", #name);
	RTX_OUTCOMES(X)
#undef X
#define X(NAME, name) r->cause = RTX_CAUSE_##NAME, assert_shown(&e, "cause", #name);
	RTX_CAUSES(X)
#undef X
	r->cause = RTX_CAUSE_UNKNOWN;
#define X(NAME, name) \
	r->cause_why = CAUSE_WHY_##NAME, assert_string_equal(cause_why_name(CAUSE_WHY_##NAME), #name);      \
	if (CAUSE_WHY_##NAME != CAUSE_WHY_NONE)                                                             \
		assert_non_null(strstr(text_of(&e), " cause=unknown(" #name ") "));
	CAUSE_WHYS(X)
#undef X
	r->cause_why = CAUSE_WHY_NONE;
	assert_non_null(strstr(text_of(&e), " cause=unknown cause_drop=- "));
	assert_non_null(strstr(json_of(&e), ",\"cause_why\":null,"));
	/* Only an unknown cause has a why. */
	r->cause = RTX_CAUSE_LOCAL;
	r->cause_why = CAUSE_WHY_XDP;
	assert_non_null(strstr(text_of(&e), " cause=local cause_drop=- "));
	assert_string_equal(rtx_type_name((enum rtx_type)99), "unknown");
	assert_string_equal(rtx_outcome_name((enum rtx_outcome)99), "unknown");
	assert_string_equal(rtx_cause_name((enum rtx_cause)-1), "unknown");
}

static void test_kernel_names(void **state)
{
	(void)state;
	assert_string_equal(event_types[EV_RETRANSMIT].name, "retransmit");
	assert_string_equal(event_types[EV_RETRANSMIT].title, "RETRANSMIT");
	assert_string_equal(event_types[EV_STATS].name, "stats");
	assert_string_equal(tcp_state_name(1), "ESTABLISHED");
	assert_string_equal(tcp_state_name(3), "SYN_RECV");
	assert_string_equal(tcp_state_name(11), "CLOSING");
	assert_string_equal(tcp_state_name(12), "NEW_SYN_RECV");
	assert_string_equal(tcp_state_name(14), "UNKNOWN");
	assert_string_equal(ca_state_name(0), "open");
	assert_string_equal(ca_state_name(5), "unknown");
	assert_string_equal(tc_verdict_name(-1), "TC_ACT_UNSPEC");
	assert_string_equal(tc_verdict_name(TC_VERDICT_REDIRECT), "TC_ACT_REDIRECT");
	assert_string_equal(tc_verdict_name(8), "TC_ACT_TRAP");
	assert_null(tc_verdict_name(9));
	assert_null(tc_verdict_name(TC_VERDICT_UNKNOWN));
	assert_null(tc_verdict_name(INT32_MAX));
	assert_string_equal(ret_name(-11), "EAGAIN");
	assert_string_equal(ret_name(-113), "EHOSTUNREACH");
	assert_string_equal(ret_name(2), "NET_XMIT_CN");
	assert_null(ret_name(-41));
	assert_null(ret_name(INT32_MIN));
	assert_null(ret_name(INT32_MAX));
}

/* ---- statistics ---- */

static struct event event_stats(void)
{
	struct event e = { .kind = EV_STATS, .wall_ns = WALL_NS };
	struct ev_stats *s = &e.stats;

	s->duration_ns = 12345678901;
	s->attempts = 12;
	s->by_type[RTX_TYPE_RTO] = 10;
	s->by_type[RTX_TYPE_TLP] = 2;
	s->by_outcome[RTX_OUTCOME_SENT] = 12;
	s->by_cause[RTX_CAUSE_UNKNOWN] = 12;
	s->segs = 14;
	s->printed = 11;
	s->records = 48;
	s->final = true;
	s->produced = 52;
	s->consumed = 50;
	s->wakeups = 3;
	s->lost[RING_DROPS] = UINT64_MAX;
	s->drops = 30;
	s->drops_by_class[DROP_CLASS_BAD] = 9;
	s->drops_by_class[DROP_CLASS_EXPECTED] = 21;
	s->spurious = 2;
	s->connects = 5;
	s->connects_by_result[CONNECT_ESTABLISHED] = 4;
	s->connects_by_result[CONNECT_FAILED] = 1;
	return e;
}

static void test_stats(void **state)
{
	struct event e = event_stats();
	struct strbuf b = {0};

	(void)state;
	assert_string_equal(text_of(&e), "");
	assert_string_equal(json_of(&e),
			    "{\"time\":\"2026-11-21T04:03:02.123456789Z\",\"event\":\"stats\",\"final\":true,\"duration_us\":12345678,"
			    "\"attempts\":12,\"by_type\":{\"unknown\":0,\"rto\":10,\"fast\":0,\"tlp\":2,"
			    "\"slow_start\":0,\"pmtu\":0,\"zero_window\":0,\"syn\":0,\"synack\":0},"
			    "\"by_outcome\":{\"unknown\":0,\"sent\":12,\"dropped\":0,\"stolen\":0,\"refused\":0},"
			    "\"by_cause\":{\"unknown\":12,\"local\":0,\"ack_local\":0,\"network\":0,\"host_queue\":0},"
			    "\"segs\":14,\"segs_failed\":0,\"spurious\":2,\"drops\":30,"
			    "\"drops_by_class\":{\"bad\":9,\"policy\":0,\"expected\":21},\"connects\":5,"
			    "\"connects_by_result\":{\"established\":4,\"refused\":0,\"timeout\":0,\"unreachable\":0,"
			    "\"aborted\":0,\"failed\":1},\"injected\":0,\"printed\":11,\"records\":48,"
			    "\"produced\":52,\"consumed\":50,\"wakeups\":3,"
			    "\"lost\":{\"control\":0,\"drops\":18446744073709551615},\"missed\":0,\"unseen\":0,\"malformed\":0,"
			    "\"incomplete\":0,\"output_lost\":0,\"summary\":null}\n");
	ev_stats_report(&b, &e.stats);
	assert_string_equal(b.data, "Statistics\n"
				    "Duration (s)                    12.345\n"
				    "Attempts seen                       12\n"
				    "By type\n"
				    "  rto                               10\n"
				    "  tlp                                2\n"
				    "By outcome\n"
				    "  sent                              12\n"
				    "By cause\n"
				    "  unknown                           12\n"
				    "Segments retransmitted              14\n"
				    "Spurious retransmissions             2\n"
				    "Drops seen                          30\n"
				    "Drops by class\n"
				    "  bad                                9\n"
				    "  expected                          21\n"
				    "Connects seen                        5\n"
				    "Connects by result\n"
				    "  established                        4\n"
				    "  failed                             1\n"
				    "Events printed                      11\n"
				    "Records read                        48\n"
				    "Records of the kernel               52\n"
				    "  read from the rings               50\n"
				    "  wake-ups by them                   3\n"
				    "Records lost\n"
				    "  control                            0\n"
				    "  drops           18446744073709551615\n"
				    "Missed by the hooks                  0\n"
				    "Segments unseen by the hooks         0\n"
				    "Records malformed                    0\n"
				    "Output lines lost                    0\n"
				    "Total: 12\n");
	strbuf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_visitors),
		cmocka_unit_test(test_text_v4),		  cmocka_unit_test(test_text_verbose),
		cmocka_unit_test(test_text_v6_and_nulls), cmocka_unit_test(test_text_wide_head),
		cmocka_unit_test(test_text_hostile_comm), cmocka_unit_test(test_text_tc),
		cmocka_unit_test(test_text_drop_and_ret), cmocka_unit_test(test_text_color),
		cmocka_unit_test(test_text_cause_drop),	  cmocka_unit_test(test_json_cause_drop),
		cmocka_unit_test(test_json_v4),		  cmocka_unit_test(test_json_v6_and_nulls),
		cmocka_unit_test(test_json_tc_and_drop),  cmocka_unit_test(test_json_hostile_comm),
		cmocka_unit_test(test_any_bytes),	  cmocka_unit_test(test_every_name),
		cmocka_unit_test(test_kernel_names),	  cmocka_unit_test(test_stats),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
