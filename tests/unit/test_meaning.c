// SPDX-License-Identifier: MIT
/* links: src/meaning.c src/meaning_table.c src/meaning_places.c src/util.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "meaning.h"
#include "meaning_table.h"
#include "util.h"

static const struct meaning_table *const tables[] = { &meaning_reasons, &meaning_places, &meaning_places_no_reasons };

static const struct drop_meaning *reason(const char *name)
{
	const struct drop_meaning *m = meaning_find(name);

	if (!m)
		fail_msg("no row for %s", name);
	assert_ptr_equal(meaning_of(name, "tcp_v4_rcv", ""), m);
	return m;
}

static void expect_place(const char *why, const char *symbol, const char *module, enum drop_class class,
			 enum drop_fate fate)
{
	const struct drop_meaning *m = meaning_of(why, symbol, module);

	assert_non_null(m);
	if (m->class != class || m->fate != fate)
		fail_msg("%s at %s [%s]: class %d, fate %d", why, symbol, module, (int)m->class, (int)m->fate);
}

/* ---- the table as a whole ---- */

static void check_text(const char *name, const char *text)
{
	size_t len = strlen(text);

	if (!len || len > MEANING_TEXT_MAX || text[0] == ' ' || text[len - 1] == ' ' || text[len - 1] == '.')
		fail_msg("%s: \"%s\" (%zu)", name, text, len);
	for (const char *p = text; *p; p++) {
		if (!isprint((unsigned char)*p))
			fail_msg("%s: a byte that is not printable ASCII", name);
	}
}

static void test_texts_are_bounded(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		assert_true(tables[t]->count > 0);
		for (size_t i = 0; i < tables[t]->count; i++) {
			const struct drop_meaning *m = &tables[t]->rows[i];

			assert_true(m->class < DROP_CLASS_COUNT);
			assert_true(m->fate <= DROP_FATE_DRIVER);
			check_text(m->reason, m->reason);
			check_text(m->reason, m->meaning);
			check_text(m->reason, m->check);
			assert_null(strpbrk(m->reason, " .+"));
		}
	}
	check_text("reason", meaning_of("NEW_IN_9_0", "", "")->meaning);
	check_text("function", meaning_of("", "", "")->meaning);
	check_text("stack", meaning_of("", "f", "nf_tables")->meaning);
	check_text("driver", meaning_of("", "f", "mlx5_core")->meaning);
	check_text("reason", meaning_of("NEW_IN_9_0", "", "")->check);
	check_text("function", meaning_of("", "", "")->check);
	check_text("stack", meaning_of("", "f", "nf_tables")->check);
	check_text("driver", meaning_of("", "f", "mlx5_core")->check);
}

/* Reasons and functions share meaning_find(), so that a name may stand only once in both. */
static void test_names_are_unique(void **state)
{
	size_t n[] = { meaning_reasons.count, meaning_places.count };

	(void)state;
	for (size_t i = 0; i < n[0] + n[1]; i++) {
		const char *a = i < n[0] ? meaning_reasons.rows[i].reason : meaning_places.rows[i - n[0]].reason;

		for (size_t j = 0; j < i; j++) {
			const char *b =
				j < n[0] ? meaning_reasons.rows[j].reason : meaning_places.rows[j - n[0]].reason;

			if (!strcasecmp(a, b))
				fail_msg("%s stands twice", a);
		}
	}
}

static void test_every_row_without_reasons_has_one_with(void **state)
{
	(void)state;
	for (size_t i = 0; i < meaning_places_no_reasons.count; i++) {
		const struct drop_meaning *m = &meaning_places_no_reasons.rows[i];

		assert_ptr_equal(meaning_of("", m->reason, ""), m);
		assert_string_equal(meaning_of("NOT_SPECIFIED", m->reason, "")->reason, m->reason);
		assert_ptr_not_equal(meaning_of("NOT_SPECIFIED", m->reason, ""), m);
	}
}

static void test_names_fit_an_event(void **state)
{
	(void)state;
	for (size_t i = 0; i < meaning_reasons.count; i++)
		assert_true(strlen(meaning_reasons.rows[i].reason) < REBPF_REASON_LEN);
	for (size_t i = 0; i < meaning_places.count; i++)
		assert_true(strlen(meaning_places.rows[i].reason) < REBPF_SYMBOL_LEN);
}

static void test_walk(void **state)
{
	(void)state;
	for (size_t i = 0; i < meaning_reasons.count; i++)
		assert_ptr_equal(meaning_find(meaning_reasons.rows[i].reason), &meaning_reasons.rows[i]);
}

/* ---- fates and classes that cause.md and kernel.md decide ---- */

static const char *const lost[] = {
	"TC_EGRESS", "TC_INGRESS", "TC_COOKIE_ERROR", "TC_CHAIN_NOTFOUND", "TC_RECLASSIFY_LOOP",
	"QDISC_DROP", "QDISC_OVERLIMIT", "QDISC_CONGESTED", "QDISC_BURST_DROP", "QDISC_DROP_GENERIC",
	"QDISC_DROP_OVERLIMIT", "QDISC_DROP_CONGESTED", "QDISC_DROP_MAXFLOWS", "QDISC_DROP_FLOOD_PROTECTION",
	"QDISC_DROP_BAND_LIMIT", "QDISC_DROP_HORIZON_LIMIT", "QDISC_DROP_FLOW_LIMIT", "QDISC_DROP_L4S_STEP_NON_ECN",
	"CAKE_FLOOD", "FQ_BAND_LIMIT", "FQ_HORIZON_LIMIT", "FQ_FLOW_LIMIT", "DUALPI2_STEP_DROP",
	"NETFILTER_DROP", "BPF_CGROUP_EGRESS",
	"NEIGH_CREATEFAIL", "NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD", "NEIGH_HH_FILLFAIL",
	"IP_OUTNOROUTES", "IP_INNOROUTES", "IP_INADDRERRORS", "IP_RPFILTER", "XFRM_POLICY", "PKT_TOO_BIG",
	"SOCKET_FILTER", "SOCKET_RCVBUFF", "SOCKET_BACKLOG", "PROTO_MEM", "TCP_CSUM", "TCP_ZEROWINDOW",
	"TCP_OVERWINDOW", "TCP_OFO_QUEUE_PRUNE", "CPU_BACKLOG", "FULL_RING", "XDP",
	"TCP_AUTH_HDR", "TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE", "TCP_AONOTFOUND",
	"TCP_AOUNEXPECTED", "TCP_AOKEYNOTFOUND", "TCP_AOFAILURE",
	"TCP_LISTEN_OVERFLOW", "TCP_REQQ_FULL",
};

static const char *const delivered[] = {
	"TCP_OLD_DATA", "TCP_OFOMERGE", "TCP_OFO_DROP", "TCP_OLD_SEQUENCE", "TCP_INVALID_SYN", "TCP_RFC7323_PAWS_ACK",
};

static const char *const copies[] = {
	"OTHERHOST", "PACKET_SOCK_ERROR", "MACVLAN_BROADCAST_BACKLOG", "IPVLAN_MULTICAST_BACKLOG",
};

static const char *const unclear[] = { "NOT_SPECIFIED", "QUEUE_PURGE", "TCP_OLD_ACK" };

static void test_fates(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		if (reason(lost[i])->fate != DROP_FATE_LOST)
			fail_msg("%s", lost[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(delivered); i++) {
		if (reason(delivered[i])->fate != DROP_FATE_DELIVERED)
			fail_msg("%s", delivered[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(copies); i++) {
		if (reason(copies[i])->fate != DROP_FATE_COPY)
			fail_msg("%s", copies[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(unclear); i++) {
		if (meaning_find(unclear[i])->fate != DROP_FATE_UNCLEAR)
			fail_msg("%s", unclear[i]);
	}
	/* Beyond the window, or an old duplicate: only what was sent before can tell. */
	assert_int_equal(meaning_find("TCP_INVALID_SEQUENCE")->fate, DROP_FATE_OUTSIDE);
}

static const char *const never_hidden[] = {
	"NETFILTER_DROP", "BPF_CGROUP_EGRESS", "IP_OUTNOROUTES", "SOCKET_RCVBUFF", "SOCKET_BACKLOG", "TCP_ZEROWINDOW",
	"TCP_OFO_DROP", "TCP_OFO_QUEUE_PRUNE", "PROTO_MEM", "CPU_BACKLOG", "FULL_RING", "SKB_GSO_SEG", "NOMEM",
	"TCP_LISTEN_OVERFLOW", "TCP_REQQ_FULL", "RETRIES_EXCEEDED", "DEV_READY", "RECURSION_LIMIT",
};

static void test_never_hidden(void **state)
{
	static const char *const families[] = { "TC_", "QDISC_", "NEIGH_" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(never_hidden); i++) {
		if (reason(never_hidden[i])->class == DROP_CLASS_EXPECTED)
			fail_msg("%s", never_hidden[i]);
	}
	for (size_t i = 0; i < meaning_reasons.count; i++) {
		for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
			if (strncmp(meaning_reasons.rows[i].reason, families[f], strlen(families[f])))
				continue;
			assert_int_not_equal(meaning_reasons.rows[i].class, DROP_CLASS_EXPECTED);
			assert_int_equal(meaning_reasons.rows[i].fate, DROP_FATE_LOST);
		}
	}
}

static void test_classes(void **state)
{
	static const char *const policy[] = { "NETFILTER_DROP", "TC_EGRESS", "TC_INGRESS", "XDP",
					      "BPF_CGROUP_EGRESS", "SOCKET_FILTER", "TCP_MINTTL", "SECURITY_HOOK" };
	static const char *const expected[] = { "SOCKET_CLOSE", "QUEUE_PURGE", "TCP_OFOMERGE", "TCP_OLD_DATA",
						"TCP_OLD_ACK", "TCP_OLD_SEQUENCE", "TCP_RESET", "TCP_CLOSE",
						"TCP_FLAGS", "OTHERHOST", "UNHANDLED_PROTO", "PACKET_SOCK_ERROR",
						"NO_SOCKET", "IPV6_NDISC_FRAG", "UNIX_DISCONNECT" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(policy); i++)
		assert_int_equal(reason(policy[i])->class, DROP_CLASS_POLICY);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(reason(expected[i])->class, DROP_CLASS_EXPECTED);
}

/* ---- places ---- */

static void test_reason_goes_before_place(void **state)
{
	(void)state;
	assert_string_equal(meaning_of("TC_EGRESS", "nf_hook_slow", "")->reason, "TC_EGRESS");
	assert_string_equal(meaning_of("NOT_SPECIFIED", "nf_hook_slow", "")->reason, "nf_hook_slow");
	assert_string_equal(meaning_of("", "nf_hook_slow", "")->reason, "nf_hook_slow");
	/* A new reason is not explained by where it was given. */
	expect_place("NEW_IN_9_0", "nf_hook_slow", "", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
	expect_place("OPENVSWITCH:0x20001", "ovs_vport_send", "openvswitch", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
	assert_non_null(strstr(meaning_of("NEW_IN_9_0", "", "")->meaning, "does not know"));
}

static void test_places_of_5_10(void **state)
{
	(void)state;
	expect_place("", "__dev_queue_xmit", "", DROP_CLASS_BAD, DROP_FATE_LOST);
	expect_place("", "nf_hook_slow", "", DROP_CLASS_POLICY, DROP_FATE_LOST);
	expect_place("", "netem_dequeue", "sch_netem", DROP_CLASS_BAD, DROP_FATE_LOST);
	expect_place("", "ip_finish_output", "", DROP_CLASS_POLICY, DROP_FATE_LOST);
	expect_place("", "arp_error_report", "", DROP_CLASS_BAD, DROP_FATE_LOST);
	expect_place("", "enqueue_to_backlog", "", DROP_CLASS_BAD, DROP_FATE_LOST);
	expect_place("", "tun_net_xmit", "tun", DROP_CLASS_BAD, DROP_FATE_LOST);
	expect_place("", "packet_rcv", "", DROP_CLASS_EXPECTED, DROP_FATE_COPY);
	expect_place("", "br_multicast_flood", "bridge", DROP_CLASS_EXPECTED, DROP_FATE_COPY);
	/* Frees the packet itself, not a copy. */
	expect_place("", "br_flood", "bridge", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
	expect_place("", "net_tx_action", "", DROP_CLASS_BAD, DROP_FATE_DRIVER);
	/* Among others a full backlog: neither hidden nor blamed. */
	expect_place("", "tcp_v4_rcv", "", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
	expect_place("", "ip_rcv_core", "", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
	expect_place("", "__netif_receive_skb_core", "", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
}

static void test_not_specified(void **state)
{
	(void)state;
	expect_place("NOT_SPECIFIED", "tcp_rcv_state_process", "", DROP_CLASS_EXPECTED, DROP_FATE_DELIVERED);
	expect_place("NOT_SPECIFIED", "tcp_v4_rcv", "", DROP_CLASS_EXPECTED, DROP_FATE_UNCLEAR);
	expect_place("NOT_SPECIFIED", "tcp_v6_rcv", "", DROP_CLASS_EXPECTED, DROP_FATE_UNCLEAR);
	expect_place("NOT_SPECIFIED", "ip_finish_output", "", DROP_CLASS_BAD, DROP_FATE_LOST);
	expect_place("NOT_SPECIFIED", "packet_rcv", "", DROP_CLASS_EXPECTED, DROP_FATE_COPY);
	expect_place("NOT_SPECIFIED", "inet_sock_destruct", "", DROP_CLASS_EXPECTED, DROP_FATE_DELIVERED);
	expect_place("NOT_SPECIFIED", "br_forward", "bridge", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
}

static void test_suffixes(void **state)
{
	(void)state;
	assert_string_equal(meaning_of("", "__dev_queue_xmit.part.0", "")->reason, "__dev_queue_xmit");
	assert_string_equal(meaning_of("", "cake_drop.constprop.0.isra.0", "sch_cake")->reason, "cake_drop");
	/* Not a part of another name. */
	expect_place("", "nf_hook", "", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
	expect_place("", "nf_hook_slow2", "", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
}

static void test_unknown_functions(void **state)
{
	static const char *const stack[] = { "nf_tables", "nft_chain_nat", "xt_TEE", "ip_tables", "ip6_tables",
					     "br_netfilter", "bridge", "sch_fq", "act_mirred", "cls_bpf", "em_meta",
					     "ip_gre", "ip6_tunnel", "ipv6", "tcp_diag", "veth", "openvswitch",
					     "nfnetlink_queue", "x_tables", "tun", "wireguard" };
	static const char *const drivers[] = { "mlx5_core", "ixgbe", "i40e", "virtio_net", "nfp", "ena", "bnxt_en",
					       "tunnelnic", "bridge_of_ours" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stack); i++)
		expect_place("", "some_function", stack[i], DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		expect_place("", "some_function", drivers[i], DROP_CLASS_BAD, DROP_FATE_DRIVER);
		expect_place("NOT_SPECIFIED", "", drivers[i], DROP_CLASS_BAD, DROP_FATE_DRIVER);
	}
	expect_place("", "some_function", "", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
	expect_place("", "", "", DROP_CLASS_BAD, DROP_FATE_UNCLEAR);
	/* Drivers that are built in are known by name. */
	expect_place("", "start_xmit", "", DROP_CLASS_BAD, DROP_FATE_DRIVER);
}

/* ---- asking ---- */

static void test_find(void **state)
{
	(void)state;
	assert_string_equal(meaning_find("tc_egress")->reason, "TC_EGRESS");
	assert_string_equal(meaning_find("SKB_DROP_REASON_TC_EGRESS")->reason, "TC_EGRESS");
	assert_string_equal(meaning_find("nf_hook_slow")->reason, "nf_hook_slow");
	assert_string_equal(meaning_find("tcp_v4_rcv+0x1a/0x2000")->reason, "tcp_v4_rcv");
	assert_string_equal(meaning_find("QDISC_DROP")->reason, "QDISC_DROP");
	assert_null(meaning_find("TC"));
	assert_null(meaning_find(""));
	assert_null(meaning_find("SKB_DROP_REASON_"));
	assert_null(meaning_find("+0x10"));
	assert_null(meaning_find("TC_EGRESS2"));
}

static void test_explain(void **state)
{
	struct strbuf out = { 0 };

	(void)state;
	assert_true(meaning_explain(&out, "cpu_backlog"));
	assert_string_equal(out.data,
			    "CPU_BACKLOG\n"
			    "  class  bad: something to look at\n"
			    "  fate   lost: what it carried got no further than this host\n"
			    "  means  the input queue of a CPU is full, or flow limit of RPS\n"
			    "  check  /proc/net/softnet_stat (columns 2, 11); sysctl net.core.netdev_max_backlog; "
			    "spread interrupts (RPS)\n");
	strbuf_reset(&out);
	assert_true(meaning_explain(&out, "packet_rcv"));
	assert_non_null(strstr(out.data, "  class  expected: "));
	assert_non_null(strstr(out.data, "  fate   copy: "));
	strbuf_reset(&out);
	assert_true(meaning_explain(&out, "start_xmit"));
	assert_non_null(strstr(out.data, "  fate   driver: "));
	strbuf_free(&out);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

static void test_explain_says_what_is_near(void **state)
{
	struct strbuf out = { 0 };

	(void)state;
	assert_false(meaning_explain(&out, "listen_overflow"));
	assert_string_equal(out.data, "near:\n  TCP_LISTEN_OVERFLOW\n");
	strbuf_reset(&out);
	/* The name that is contained, before those that only begin alike. */
	assert_false(meaning_explain(&out, "NEIGH_FAILED_AGAIN"));
	assert_ptr_equal(strstr(out.data, "near:\n  NEIGH_FAILED\n"), out.data);
	strbuf_reset(&out);
	assert_false(meaning_explain(&out, "tcp"));
	assert_int_equal(count_lines(out.data), 1 + 10);
	strbuf_reset(&out);
	assert_false(meaning_explain(&out, "zzzzzz"));
	assert_int_equal(out.len, 0);
	assert_false(meaning_explain(&out, ""));
	assert_false(meaning_explain(&out, "x"));
	assert_int_equal(out.len, 0);
	strbuf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_are_bounded),
		cmocka_unit_test(test_names_are_unique),
		cmocka_unit_test(test_every_row_without_reasons_has_one_with),
		cmocka_unit_test(test_names_fit_an_event),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_fates),
		cmocka_unit_test(test_never_hidden),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_reason_goes_before_place),
		cmocka_unit_test(test_places_of_5_10),
		cmocka_unit_test(test_not_specified),
		cmocka_unit_test(test_suffixes),
		cmocka_unit_test(test_unknown_functions),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_explain_says_what_is_near),
	};

	return cmocka_run_group_tests_name("meaning", tests, NULL, NULL);
}
