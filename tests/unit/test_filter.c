// SPDX-License-Identifier: MIT
/* links: src/filter.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "filter.h"

/* 10.0.0.1:443 > 192.168.1.2:51234, owner 1234 nginx, lost at eth0. */
static struct event sample(void)
{
	struct event e = { .kind = EV_RETRANSMIT };
	struct ev_retransmit *r = &e.retransmit;

	r->c.flow.ip_version = 4;
	r->c.flow.lport = 443;
	r->c.flow.rport = 51234;
	r->c.flow.netns = 4026531840;
	r->c.flow.cgroup = 77;
	inet_pton(AF_INET, "10.0.0.1", r->c.flow.laddr);
	inet_pton(AF_INET, "192.168.1.2", r->c.flow.raddr);
	r->c.owner.tgid = 1234;
	strcpy(r->c.owner.comm, "nginx");
	r->type = RTX_TYPE_TLP;
	r->cause = RTX_CAUSE_LOCAL;
	r->tc_observed = true;
	r->tc_count = 2;
	strcpy(r->tc[0].ifname, "veth0");
	strcpy(r->tc[1].ifname, "bond0");
	r->drop.known = true;
	strcpy(r->drop.reason, "QDISC_DROP");
	strcpy(r->drop.ifname, "eth0");
	return e;
}

static struct event sample_v6(void)
{
	struct event e = sample();

	e.retransmit.c.flow.ip_version = 6;
	inet_pton(AF_INET6, "2001:db8:1::1", e.retransmit.c.flow.laddr);
	inet_pton(AF_INET6, "2001:db8:2::2", e.retransmit.c.flow.raddr);
	return e;
}

enum {
	CLASS_BAD = 1 << DROP_CLASS_BAD,
	CLASS_POLICY = 1 << DROP_CLASS_POLICY,
	CLASS_EXPECTED = 1 << DROP_CLASS_EXPECTED,
};

/* 192.168.1.2:51234 > 10.0.0.1:443, for 1234 nginx, at eth0. */
static struct event sample_drop(void)
{
	struct event e = { .kind = EV_DROP };
	struct ev_drop *d = &e.drop;

	d->c = sample().retransmit.c;
	d->c.flow.lport = 51234;
	d->c.flow.rport = 443;
	inet_pton(AF_INET, "192.168.1.2", d->c.flow.laddr);
	inet_pton(AF_INET, "10.0.0.1", d->c.flow.raddr);
	d->protocol = IPPROTO_TCP;
	d->place.known = true;
	d->place.class = DROP_CLASS_POLICY;
	strcpy(d->place.reason, "NETFILTER_DROP");
	strcpy(d->place.ifname, "eth0");
	return e;
}

static struct event sample_spurious(void)
{
	struct event e = { .kind = EV_SPURIOUS };

	e.spurious.c = sample().retransmit.c;
	e.spurious.evidence = SPURIOUS_DSACK;
	e.spurious.contradicts = true;
	e.spurious.cause_was = RTX_CAUSE_LOCAL;
	return e;
}

/* 10.0.0.1:51234 > 192.168.1.2:443 in 3 ms after a drop, for 1234 nginx. */
static struct event sample_connect(void)
{
	struct event e = { .kind = EV_CONNECT };
	struct ev_connect *c = &e.connect;

	c->c = sample().retransmit.c;
	c->c.flow.lport = 51234;
	c->c.flow.rport = 443;
	c->result = CONNECT_ESTABLISHED;
	c->syn_sent = c->has_duration = true;
	c->duration_us = 3000;
	c->cause_drop.place.known = true;
	strcpy(c->cause_drop.place.reason, "NETFILTER_DROP");
	strcpy(c->cause_drop.place.ifname, "eth0");
	return e;
}

static struct options everything(void)
{
	return (struct options){ .events = (1u << EV_KIND_COUNT) - 1, .classes = CLASS_BAD | CLASS_POLICY };
}

static void add_addr(struct options *o, enum rule_list list, const char *addr, unsigned int prefix)
{
	struct addr_rule *r = &o->addr[o->addr_count++];
	uint8_t *mask = (uint8_t *)r->mask;

	r->list = list;
	r->ip_version = strchr(addr, ':') ? 6 : 4;
	assert_int_equal(inet_pton(r->ip_version == 6 ? AF_INET6 : AF_INET, addr, r->addr), 1);
	for (unsigned int i = 0; i < prefix; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static void add_port(struct options *o, enum rule_list list, uint16_t low, uint16_t high)
{
	o->port[o->port_count++] = (struct port_rule){ .low = low, .high = high, .list = list };
}

static void assert_wants(const struct options *o, bool want)
{
	struct event e = sample();

	assert_int_equal(filter_wants(o, &e), want);
}

static bool addr_wants(enum rule_list list, const char *addr, unsigned int prefix, struct event e)
{
	struct options o = everything();

	add_addr(&o, list, addr, prefix);
	return filter_wants(&o, &e);
}

static void test_no_filter(void **state)
{
	struct options o = everything();

	(void)state;
	assert_wants(&o, true);
	o.events = 1u << EV_STATS;
	assert_wants(&o, false);
}

static void test_stats_always(void **state)
{
	struct options o = { .ip_version = 6, .types = 1, .pid_count = 1, .pid = { 9 } };
	struct event e = { .kind = EV_STATS };

	(void)state;
	assert_true(filter_wants(&o, &e));
}

static void test_addr_lists(void **state)
{
	(void)state;
	assert_true(addr_wants(RULE_ANY, "10.0.0.1", 32, sample()));
	assert_true(addr_wants(RULE_ANY, "192.168.1.2", 32, sample()));
	assert_false(addr_wants(RULE_ANY, "10.0.0.2", 32, sample()));
	assert_true(addr_wants(RULE_LOCAL, "10.0.0.1", 32, sample()));
	assert_false(addr_wants(RULE_LOCAL, "192.168.1.2", 32, sample()));
	assert_true(addr_wants(RULE_REMOTE, "192.168.1.2", 32, sample()));
	assert_false(addr_wants(RULE_REMOTE, "10.0.0.1", 32, sample()));
}

static void test_addr_masks(void **state)
{
	(void)state;
	assert_true(addr_wants(RULE_ANY, "10.0.0.0", 8, sample()));
	assert_true(addr_wants(RULE_ANY, "192.168.1.3", 31, sample()));
	assert_false(addr_wants(RULE_ANY, "192.168.1.4", 30, sample()));
	assert_true(addr_wants(RULE_ANY, "0.0.0.0", 0, sample()));
	assert_false(addr_wants(RULE_ANY, "0.0.0.0", 0, sample_v6()));
	assert_true(addr_wants(RULE_ANY, "::", 0, sample_v6()));
	assert_false(addr_wants(RULE_ANY, "::", 0, sample()));
	assert_true(addr_wants(RULE_ANY, "2001:db8:1::1", 128, sample_v6()));
	assert_true(addr_wants(RULE_REMOTE, "2001:db8:2::", 48, sample_v6()));
	assert_false(addr_wants(RULE_LOCAL, "2001:db8:2::", 48, sample_v6()));
	assert_false(addr_wants(RULE_ANY, "2001:db8:1::2", 128, sample_v6()));
	assert_true(addr_wants(RULE_ANY, "2001:db8:1::3", 126, sample_v6()));
	assert_false(addr_wants(RULE_ANY, "2001:db8:1::5", 126, sample_v6()));
}

/* What follows an IPv4 address in its 16 bytes says nothing. */
static void test_addr_v4_first_word(void **state)
{
	struct event e = sample();

	(void)state;
	memset(e.retransmit.c.flow.laddr + 4, 0xff, 12);
	assert_true(addr_wants(RULE_LOCAL, "10.0.0.1", 32, e));
	e.retransmit.c.flow.ip_version = 0;
	assert_false(addr_wants(RULE_LOCAL, "10.0.0.1", 32, e));
}

static void test_addr_or_and(void **state)
{
	struct options o = everything();

	(void)state;
	add_addr(&o, RULE_LOCAL, "10.9.9.9", 32);
	assert_wants(&o, false);
	add_addr(&o, RULE_LOCAL, "10.0.0.1", 32);
	assert_wants(&o, true);
	add_addr(&o, RULE_REMOTE, "10.0.0.1", 32);
	assert_wants(&o, false);
	add_addr(&o, RULE_REMOTE, "192.168.0.0", 16);
	assert_wants(&o, true);
	add_addr(&o, RULE_ANY, "2001:db8::", 32);
	assert_wants(&o, false);
	add_addr(&o, RULE_ANY, "192.168.1.2", 32);
	assert_wants(&o, true);
	add_port(&o, RULE_ANY, 80, 80);
	assert_wants(&o, false);
}

static void test_ports(void **state)
{
	static const struct {
		enum rule_list list;
		uint16_t low, high;
		bool want;
	} row[] = {
		{ RULE_ANY, 443, 443, true },	   { RULE_ANY, 51234, 51234, true },
		{ RULE_ANY, 444, 51233, false },   { RULE_ANY, 1, 443, true },
		{ RULE_LOCAL, 443, 500, true },	   { RULE_LOCAL, 51234, 51234, false },
		{ RULE_REMOTE, 443, 443, false },  { RULE_REMOTE, 50000, 65535, true },
		{ RULE_ANY, 47873, 47873, false }, /* 443 in the other byte order */
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		o = everything();
		add_port(&o, row[i].list, row[i].low, row[i].high);
		assert_wants(&o, row[i].want);
	}
	o = everything();
	add_port(&o, RULE_LOCAL, 80, 80);
	add_port(&o, RULE_LOCAL, 443, 443);
	assert_wants(&o, true);
	add_port(&o, RULE_REMOTE, 80, 80);
	assert_wants(&o, false);
	add_port(&o, RULE_REMOTE, 51234, 51234);
	assert_wants(&o, true);
}

static void test_owner(void **state)
{
	struct options o = everything();
	struct event unknown = sample();

	(void)state;
	unknown.retransmit.c.owner.tgid = 0;
	unknown.retransmit.c.task.tgid = 1234; /* who was on the CPU is not the owner */
	assert_true(filter_wants(&o, &unknown));
	o.pid_count = 1;
	o.pid[0] = 1;
	assert_wants(&o, false);
	o.pid[o.pid_count++] = 1234;
	assert_wants(&o, true);
	assert_false(filter_wants(&o, &unknown));
	o.pid[0] = 0;
	assert_false(filter_wants(&o, &unknown));

	strcpy(o.comm[o.comm_count++], "ngin");
	assert_wants(&o, false);
	strcpy(o.comm[o.comm_count++], "nginx");
	assert_wants(&o, true);
	o.pid_count = 0;
	assert_false(filter_wants(&o, &unknown));
}

static void test_comm_without_nul(void **state)
{
	struct options o = everything();
	struct event e = sample();

	(void)state;
	strcpy(o.comm[o.comm_count++], "aaaaaaaaaaaaaaa");
	memset(e.retransmit.c.owner.comm, 'a', REBPF_COMM_LEN);
	assert_false(filter_wants(&o, &e));
	e.retransmit.c.owner.comm[REBPF_COMM_LEN - 1] = '\0';
	assert_true(filter_wants(&o, &e));
}

static void test_places(void **state)
{
	struct options o = everything();
	struct event e = sample();

	(void)state;
	o.cgroup_count = 2;
	o.cgroup[0] = 76;
	o.cgroup[1] = 77;
	assert_wants(&o, true);
	o.cgroup[1] = 0;
	assert_wants(&o, false);
	e.retransmit.c.flow.cgroup = 0;
	assert_false(filter_wants(&o, &e));

	o = everything();
	o.netns_count = 1;
	o.netns[0] = 4026531841;
	assert_wants(&o, false);
	o.netns[o.netns_count++] = 4026531840;
	assert_wants(&o, true);

	o = everything();
	o.ip_version = 4;
	assert_wants(&o, true);
	o.ip_version = 6;
	assert_wants(&o, false);
	e = sample_v6();
	assert_true(filter_wants(&o, &e));
}

static void test_ifname(void **state)
{
	struct options o = everything();
	struct event e = sample();

	(void)state;
	strcpy(o.ifname[o.ifname_count++], "lo");
	assert_wants(&o, false);
	strcpy(o.ifname[o.ifname_count++], "bond0");
	assert_wants(&o, true);
	strcpy(o.ifname[1], "eth0");
	assert_wants(&o, true);
	e.retransmit.drop.known = false;
	assert_false(filter_wants(&o, &e));
	strcpy(o.ifname[1], "bond");
	assert_wants(&o, false);
	/* Neither seen at TC nor dropped. */
	strcpy(o.ifname[1], "bond0");
	e.retransmit.tc_count = 1;
	assert_false(filter_wants(&o, &e));
}

static void test_type_cause_reason(void **state)
{
	struct options o = everything();
	struct event e = sample();

	(void)state;
	o.types = 1u << RTX_TYPE_RTO;
	assert_wants(&o, false);
	o.types |= 1u << RTX_TYPE_TLP;
	assert_wants(&o, true);
	o.causes = 1u << RTX_CAUSE_NETWORK;
	assert_wants(&o, false);
	o.causes |= 1u << RTX_CAUSE_LOCAL;
	assert_wants(&o, true);
	strcpy(o.reason[o.reason_count++], "NETFILTER_DROP");
	assert_wants(&o, false);
	strcpy(o.reason[o.reason_count++], "qdisc_drop");
	assert_wants(&o, true);
	e.retransmit.drop.known = false;
	assert_false(filter_wants(&o, &e));
	/* The reason for which the previous copy was lost will do. */
	strcpy(e.retransmit.cause_drop.place.reason, "NETFILTER_DROP");
	assert_false(filter_wants(&o, &e));
	e.retransmit.cause_drop.place.known = true;
	assert_true(filter_wants(&o, &e));
}

/* ---- drops and spurious retransmissions ---- */

static void test_drop_class(void **state)
{
	static const uint32_t sets[] = { CLASS_BAD, CLASS_POLICY, CLASS_EXPECTED, CLASS_BAD | CLASS_POLICY,
					 CLASS_BAD | CLASS_POLICY | CLASS_EXPECTED };
	struct options o = everything();
	struct event e = sample_drop();

	(void)state;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		o.classes = sets[i];
		for (unsigned int class = 0; class < DROP_CLASS_COUNT; class++) {
			e.drop.place.class = (enum drop_class)class;
			assert_int_equal(filter_wants(&o, &e), (sets[i] >> class & 1));
		}
		assert_wants(&o, true); /* of drops only */
	}
	o.events = 1u << EV_RETRANSMIT;
	assert_false(filter_wants(&o, &e));
}

static void test_drop_protocol(void **state)
{
	static const uint8_t others[] = { IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 0, 255 };
	struct options o = everything();
	struct event e = sample_drop();

	(void)state;
	for (size_t i = 0; i < sizeof(others); i++) {
		e.drop.protocol = others[i];
		o.all_protocols = false;
		assert_false(filter_wants(&o, &e));
		o.all_protocols = true;
		assert_true(filter_wants(&o, &e));
	}
	e.drop.protocol = IPPROTO_TCP;
	assert_true(filter_wants(&o, &e));
}

static void test_drop_reason_and_ifname(void **state)
{
	struct options o = everything();
	struct event e = sample_drop();

	(void)state;
	strcpy(o.reason[o.reason_count++], "TCP_CSUM");
	assert_false(filter_wants(&o, &e));
	strcpy(o.reason[o.reason_count++], "NETFILTER_DROP");
	assert_true(filter_wants(&o, &e));
	e.drop.place.reason[0] = '\0'; /* a kernel without reasons */
	assert_false(filter_wants(&o, &e));

	o = everything();
	e = sample_drop();
	strcpy(o.ifname[o.ifname_count++], "eth1");
	assert_false(filter_wants(&o, &e));
	strcpy(o.ifname[o.ifname_count++], "eth0");
	assert_true(filter_wants(&o, &e));
	e.drop.place.ifname[0] = '\0';
	assert_false(filter_wants(&o, &e));
}

/* Source and destination are the packet's. */
static void test_drop_common(void **state)
{
	struct options o = everything();
	struct event e = sample_drop();

	(void)state;
	assert_true(addr_wants(RULE_LOCAL, "192.168.1.2", 32, e));
	assert_false(addr_wants(RULE_LOCAL, "10.0.0.1", 32, e));
	assert_true(addr_wants(RULE_REMOTE, "10.0.0.1", 32, e));
	assert_true(addr_wants(RULE_ANY, "10.0.0.1", 32, e));
	add_port(&o, RULE_LOCAL, 443, 443);
	assert_false(filter_wants(&o, &e));
	o.port_count = 0;
	add_port(&o, RULE_REMOTE, 443, 443);
	assert_true(filter_wants(&o, &e));
	o.netns_count = 1;
	o.netns[0] = 4026531841;
	assert_false(filter_wants(&o, &e));
	o.netns[0] = 4026531840;
	o.pid_count = 1;
	o.pid[0] = 1234;
	assert_true(filter_wants(&o, &e));
	e.drop.c.owner.tgid = 0;
	assert_false(filter_wants(&o, &e));
	o.pid_count = 0;
	strcpy(o.comm[o.comm_count++], "nginx");
	assert_false(filter_wants(&o, &e));
	o.comm_count = 0;
	o.ip_version = 6;
	assert_false(filter_wants(&o, &e));
	/* No IP: no address. */
	e.drop.c.flow.ip_version = 0;
	assert_false(addr_wants(RULE_ANY, "0.0.0.0", 0, e));
}

/* What asks for retransmissions says nothing of a drop that -e asks for as well. */
static void test_drop_type_cause(void **state)
{
	struct options o = everything();
	struct event e = sample_drop();

	(void)state;
	o.types = 1u << RTX_TYPE_RTO;
	o.causes = 1u << RTX_CAUSE_NETWORK;
	assert_true(filter_wants(&o, &e));
	assert_wants(&o, false);
}

static void test_spurious(void **state)
{
	struct options o = everything();
	struct event e = sample_spurious();

	(void)state;
	assert_true(filter_wants(&o, &e));
	o.classes = 0;
	o.pid_count = 1;
	o.pid[0] = 1234;
	assert_true(filter_wants(&o, &e));
	o.pid[0] = 1235;
	assert_false(filter_wants(&o, &e));
	assert_false(addr_wants(RULE_LOCAL, "10.0.0.2", 32, e));
	assert_true(addr_wants(RULE_LOCAL, "10.0.0.1", 32, e));
	/* It has nothing of what these ask for. */
	o = everything();
	o.types = (1u << RTX_TYPE_COUNT) - 1;
	assert_false(filter_wants(&o, &e));
	o = everything();
	o.causes = 1u << RTX_CAUSE_LOCAL;
	assert_false(filter_wants(&o, &e));
	o = everything();
	strcpy(o.reason[o.reason_count++], "NETFILTER_DROP");
	assert_false(filter_wants(&o, &e));
	o = everything();
	strcpy(o.ifname[o.ifname_count++], "eth0");
	assert_false(filter_wants(&o, &e));
	o = everything();
	o.events = 1u << EV_RETRANSMIT | 1u << EV_DROP;
	assert_false(filter_wants(&o, &e));
}

/* What --listen counts: of every kind, by its flow only. */
static void test_flow(void **state)
{
	struct event e = sample(), d = sample_drop(), stats = { .kind = EV_STATS };
	struct options o = everything();

	(void)state;
	o.events = 0;
	o.types = 1u << RTX_TYPE_RTO;
	o.classes = 0;
	assert_true(filter_wants_flow(&o, &e));
	assert_true(filter_wants_flow(&o, &d));
	assert_false(filter_wants_flow(&o, &stats));
	o.ip_version = 6;
	assert_false(filter_wants_flow(&o, &e));
	assert_false(filter_wants_flow(&o, &d));
	o.ip_version = 0;
	o.pid_count = 1;
	o.pid[0] = 4321;
	assert_false(filter_wants_flow(&o, &e));
	o.pid[0] = 1234;
	assert_true(filter_wants_flow(&o, &e));
	assert_true(filter_wants_flow(&o, &d));
}

/* As long as that, or longer; successes and failures alike. */
static void test_connect_min_latency(void **state)
{
	struct options o = everything();
	struct event e = sample_connect(), other = sample_drop();

	(void)state;
	assert_true(filter_wants(&o, &e));
	o.min_latency_ns = 3000000;
	assert_true(filter_wants(&o, &e));
	o.min_latency_ns = 3000001;
	assert_false(filter_wants(&o, &e));
	o.min_latency_ns = 1;
	assert_true(filter_wants(&o, &e));
	e.connect.result = CONNECT_TIMEOUT;
	assert_true(filter_wants(&o, &e));
	o.min_latency_ns = UINT64_MAX;
	assert_false(filter_wants(&o, &e));
	/* How long it took is not known. */
	o.min_latency_ns = 1;
	e.connect.has_duration = false;
	assert_false(filter_wants(&o, &e));
	o.min_latency_ns = 0;
	assert_true(filter_wants(&o, &e));
	/* What -e asks for as well. */
	o.min_latency_ns = UINT64_MAX;
	assert_true(filter_wants(&o, &other));
	assert_wants(&o, true);
}

static void test_connect_reason(void **state)
{
	struct options o = everything();
	struct event e = sample_connect();

	(void)state;
	strcpy(o.reason[o.reason_count++], "TCP_CSUM");
	assert_false(filter_wants(&o, &e));
	strcpy(o.reason[o.reason_count++], "netfilter_drop");
	assert_true(filter_wants(&o, &e));
	e.connect.cause_drop.place.known = false;
	assert_false(filter_wants(&o, &e));
	/* It has none of what these ask for. */
	o = everything();
	e = sample_connect();
	strcpy(o.ifname[o.ifname_count++], "eth0");
	assert_false(filter_wants(&o, &e));
	/* These say nothing of connects. */
	o = everything();
	o.types = 1u << RTX_TYPE_RTO;
	o.causes = 1u << RTX_CAUSE_NETWORK;
	o.classes = 0;
	assert_true(filter_wants(&o, &e));
	o.events = 1u << EV_RETRANSMIT | 1u << EV_DROP;
	assert_false(filter_wants(&o, &e));
}

static void test_connect_common(void **state)
{
	struct options o = everything();
	struct event e = sample_connect();

	(void)state;
	assert_true(addr_wants(RULE_LOCAL, "10.0.0.1", 32, e));
	assert_false(addr_wants(RULE_LOCAL, "192.168.1.2", 32, e));
	assert_true(addr_wants(RULE_REMOTE, "192.168.1.0", 24, e));
	assert_true(addr_wants(RULE_ANY, "192.168.1.2", 32, e));
	assert_false(addr_wants(RULE_ANY, "192.168.1.3", 32, e));
	assert_false(addr_wants(RULE_ANY, "2001:db8::", 32, e));
	add_port(&o, RULE_REMOTE, 443, 443);
	assert_true(filter_wants(&o, &e));
	add_port(&o, RULE_LOCAL, 1, 1023);
	assert_false(filter_wants(&o, &e));
	o = everything();
	o.pid_count = 1;
	o.pid[0] = 1234;
	assert_true(filter_wants(&o, &e));
	o.pid[0] = 1235;
	assert_false(filter_wants(&o, &e));
	o.pid_count = 0;
	strcpy(o.comm[o.comm_count++], "nginx");
	assert_true(filter_wants(&o, &e));
	e.connect.c.owner.tgid = 0;
	assert_false(filter_wants(&o, &e));
	o = everything();
	o.netns_count = o.cgroup_count = 1;
	o.netns[0] = 4026531840;
	o.cgroup[0] = 77;
	assert_true(filter_wants(&o, &e));
	o.netns[0]++;
	assert_false(filter_wants(&o, &e));
	o = everything();
	o.ip_version = 4;
	assert_true(filter_wants(&o, &e));
	o.ip_version = 6;
	assert_false(filter_wants(&o, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_filter),
		cmocka_unit_test(test_stats_always),
		cmocka_unit_test(test_addr_lists),
		cmocka_unit_test(test_addr_masks),
		cmocka_unit_test(test_addr_v4_first_word),
		cmocka_unit_test(test_addr_or_and),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_comm_without_nul),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_ifname),
		cmocka_unit_test(test_type_cause_reason),
		cmocka_unit_test(test_drop_class),
		cmocka_unit_test(test_drop_protocol),
		cmocka_unit_test(test_drop_reason_and_ifname),
		cmocka_unit_test(test_drop_common),
		cmocka_unit_test(test_drop_type_cause),
		cmocka_unit_test(test_spurious),
		cmocka_unit_test(test_flow),
		cmocka_unit_test(test_connect_min_latency),
		cmocka_unit_test(test_connect_reason),
		cmocka_unit_test(test_connect_common),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
