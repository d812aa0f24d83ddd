// SPDX-License-Identifier: MIT
/* links: src/netlink.c src/netlink_hooks.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_csum.h>
#include <linux/tc_act/tc_gact.h>
#include <linux/tc_act/tc_skbedit.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netlink.h"

/* A message under construction, as the kernel dumps a filter. */
struct message {
	char bytes[2048] __attribute__((aligned(NLMSG_ALIGNTO)));
	size_t len;
};

static size_t begin_attr(struct message *m, uint16_t type)
{
	struct rtattr a = { .rta_type = type };
	size_t at = m->len;

	memcpy(m->bytes + at, &a, sizeof(a));
	m->len += sizeof(a);
	return at;
}

static void end_attr(struct message *m, size_t at)
{
	uint16_t len = (uint16_t)(m->len - at);

	memcpy(m->bytes + at, &len, sizeof(len));
	while (m->len % RTA_ALIGNTO)
		m->bytes[m->len++] = 0;
}

static void add(struct message *m, uint16_t type, const void *data, size_t len)
{
	size_t at = begin_attr(m, type);

	memcpy(m->bytes + m->len, data, len);
	m->len += len;
	end_attr(m, at);
}

static void add_u32(struct message *m, uint16_t type, uint32_t value)
{
	add(m, type, &value, sizeof(value));
}

/* Head of a filter of @kind, its options begun: where they begin, for finish(). */
static size_t start(struct message *m, const char *kind)
{
	struct nlmsghdr h = { .nlmsg_type = RTM_NEWTFILTER };
	struct tcmsg tc = { .tcm_handle = 1 };

	memset(m, 0, sizeof(*m));
	memcpy(m->bytes, &h, sizeof(h));
	memcpy(m->bytes + NLMSG_HDRLEN, &tc, sizeof(tc));
	m->len = NLMSG_SPACE(sizeof(tc));
	add(m, TCA_KIND, kind, strlen(kind) + 1);
	return begin_attr(m, TCA_OPTIONS);
}

static bool finish(struct message *m, size_t options)
{
	uint32_t len;
	bool consumes;

	end_attr(m, options);
	len = (uint32_t)m->len;
	memcpy(m->bytes, &len, sizeof(len));
	consumes = netlink_filter_message_consumes(m->bytes, m->len);
	/* Cut anywhere it is still read within its bounds, which the sanitizer watches. */
	for (uint32_t cut = 0; cut < m->len; cut++) {
		char *copy = malloc(cut ? cut : 1);

		assert_non_null(copy);
		memcpy(copy, m->bytes, cut);
		if (cut >= sizeof(cut))
			memcpy(copy, &cut, sizeof(cut));
		netlink_filter_message_consumes(copy, cut);
		free(copy);
	}
	return consumes;
}

static void add_action(struct message *m, uint16_t order, const char *kind, uint16_t parms, const void *data,
		       size_t len)
{
	size_t action = begin_attr(m, order), options;

	add(m, TCA_ACT_KIND, kind, strlen(kind) + 1);
	options = begin_attr(m, TCA_ACT_OPTIONS | NLA_F_NESTED);
	add(m, parms, data, len);
	end_attr(m, options);
	end_attr(m, action);
}

/* A u32 filter with one action that has the verdict @action. */
static bool judge_action(const char *kind, uint16_t parms, int action)
{
	struct tc_gact parameters = { .action = action }; /* begins like those of the others */
	struct message m;
	size_t options = start(&m, "u32"), list = begin_attr(&m, TCA_U32_ACT);

	add_action(&m, 1, kind, parms, &parameters, sizeof(parameters));
	end_attr(&m, list);
	return finish(&m, options);
}

static void test_verdicts(void **state)
{
	static const int harmless[] = { TC_ACT_OK, TC_ACT_SHOT, TC_ACT_PIPE, TC_ACT_UNSPEC, TC_ACT_RECLASSIFY,
					TC_ACT_GOTO_CHAIN | 7, TC_ACT_JUMP | 1 };
	static const int taking[] = { TC_ACT_STOLEN, TC_ACT_QUEUED, TC_ACT_REPEAT, TC_ACT_REDIRECT, TC_ACT_TRAP, 99 };

	(void)state;
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		assert_false(judge_action("gact", TCA_GACT_PARMS, harmless[i]));
	for (size_t i = 0; i < sizeof(taking) / sizeof(taking[0]); i++)
		assert_true(judge_action("gact", TCA_GACT_PARMS, taking[i]));
}

static void test_actions(void **state)
{
	(void)state;
	assert_false(judge_action("skbedit", TCA_SKBEDIT_PARMS, TC_ACT_PIPE));
	assert_false(judge_action("csum", TCA_CSUM_PARMS, TC_ACT_OK));
	assert_true(judge_action("csum", TCA_CSUM_PARMS, TC_ACT_STOLEN));
	/* Without its parameters nothing is known of it. */
	assert_true(judge_action("csum", TCA_CSUM_TM, TC_ACT_OK));
	assert_true(judge_action("mirred", 2, TC_ACT_PIPE));
	assert_true(judge_action("ct", 2, TC_ACT_PIPE));
	assert_true(judge_action("bpf", 2, TC_ACT_PIPE));
	assert_true(judge_action("", 2, TC_ACT_PIPE));
}

/* The one action of many that takes packets counts; a random verdict counts like the other. */
static void test_lists(void **state)
{
	struct tc_gact_p sometimes = { .paction = TC_ACT_STOLEN };
	struct tc_gact parameters = { .action = TC_ACT_PIPE };
	size_t options, list, action, inner;
	struct message m;

	(void)state;
	options = start(&m, "matchall");
	list = begin_attr(&m, TCA_MATCHALL_ACT | NLA_F_NESTED);
	add_action(&m, 1, "gact", TCA_GACT_PARMS, &parameters, sizeof(parameters));
	add_action(&m, 2, "mirred", 2, &parameters, sizeof(parameters));
	end_attr(&m, list);
	assert_true(finish(&m, options));

	options = start(&m, "matchall");
	list = begin_attr(&m, TCA_MATCHALL_ACT);
	action = begin_attr(&m, 1);
	add(&m, TCA_ACT_KIND, "gact", 5);
	inner = begin_attr(&m, TCA_ACT_OPTIONS);
	add(&m, TCA_GACT_PARMS, &parameters, sizeof(parameters));
	add(&m, TCA_GACT_PROB, &sometimes, sizeof(sometimes));
	end_attr(&m, inner);
	end_attr(&m, action);
	end_attr(&m, list);
	assert_true(finish(&m, options));
}

static void test_police(void **state)
{
	struct tc_police police = { .action = TC_ACT_SHOT };
	size_t options, nest;
	struct message m;

	(void)state;
	for (int conform = TC_ACT_OK; conform <= TC_ACT_STOLEN; conform += TC_ACT_STOLEN) {
		options = start(&m, "u32");
		nest = begin_attr(&m, TCA_U32_POLICE);
		add(&m, TCA_POLICE_TBF, &police, sizeof(police));
		add_u32(&m, TCA_POLICE_RESULT, (uint32_t)conform);
		end_attr(&m, nest);
		assert_int_equal(finish(&m, options), conform == TC_ACT_STOLEN);
	}
}

static void test_kinds(void **state)
{
	static const char *const known[] = { "basic", "cgroup", "flow", "flower", "fw", "matchall", "route", "u32" };
	struct message m;
	size_t options;

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		options = start(&m, known[i]);
		assert_false(finish(&m, options));
	}
	options = start(&m, "rsvp");
	assert_true(finish(&m, options));
	/* In hardware even a drop is silent. */
	options = start(&m, "flower");
	add_u32(&m, TCA_FLOWER_FLAGS, TCA_CLS_FLAGS_IN_HW);
	assert_true(finish(&m, options));
	options = start(&m, "flower");
	add_u32(&m, TCA_FLOWER_FLAGS, TCA_CLS_FLAGS_NOT_IN_HW);
	assert_false(finish(&m, options));
}

/* @ops: classic BPF, or none for an eBPF program of @name. */
static bool judge_bpf(const struct sock_filter *ops, size_t count, bool direct, const char *name)
{
	struct message m;
	size_t options = start(&m, "bpf");

	if (name)
		add(&m, TCA_BPF_NAME, name, strlen(name) + 1);
	if (ops)
		add(&m, TCA_BPF_OPS, ops, count * sizeof(*ops));
	add_u32(&m, TCA_BPF_FLAGS, direct ? TCA_BPF_FLAG_ACT_DIRECT : 0);
	return finish(&m, options);
}

static bool judge_return(uint32_t value)
{
	struct sock_filter ops[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, (uint32_t)TC_ACT_UNSPEC),
		BPF_STMT(BPF_RET | BPF_K, value),
	};

	return judge_bpf(ops, 4, true, NULL);
}

static void test_bytecode(void **state)
{
	static const struct sock_filter variable[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
						       BPF_STMT(BPF_RET | BPF_A, 0) };

	(void)state;
	assert_false(judge_return(TC_ACT_OK));
	assert_false(judge_return(TC_ACT_SHOT));
	assert_false(judge_return(TC_ACT_PIPE));
	assert_true(judge_return(TC_ACT_STOLEN));
	assert_true(judge_return(TC_ACT_REDIRECT));
	assert_true(judge_return(0xffff));
	assert_true(judge_bpf(variable, 2, true, NULL));
	/* Its result is only a class. */
	assert_false(judge_bpf(variable, 2, false, NULL));
}

static void test_ebpf(void **state)
{
	(void)state;
	assert_false(judge_bpf(NULL, 0, true, "rebpf_tc_egress:[12]"));
	assert_true(judge_bpf(NULL, 0, true, "other.o:[classifier]"));
	assert_true(judge_bpf(NULL, 0, false, NULL));
}

static void test_not_a_filter(void **state)
{
	struct tcmsg head = {};
	struct nlmsghdr h = { .nlmsg_type = RTM_NEWQDISC };
	struct message m;
	size_t options = start(&m, "rsvp");

	(void)state;
	/* Handle 0 is the head of a list. */
	memcpy(m.bytes + NLMSG_HDRLEN, &head, sizeof(head));
	assert_false(finish(&m, options));
	options = start(&m, "rsvp");
	memcpy(m.bytes, &h, sizeof(h));
	assert_false(finish(&m, options));
}

/* ---- the real thing, in the namespace that the test is in ---- */

static int see_loopback(void *ctx, const struct netlink_link *link)
{
	*(bool *)ctx |= link->ifindex == 1 && !strcmp(link->name, "lo") && !link->kind[0] && !link->xdp;
	return 0;
}

static int see_errors(void *ctx, int ifindex, uint64_t errors)
{
	(void)errors;
	*(bool *)ctx |= ifindex == 1;
	return 0;
}

static int stop(void *ctx, const struct netlink_link *link)
{
	(void)ctx, (void)link;
	return 5;
}

static void test_dumps(void **state)
{
	bool seen = false, consumes = false;
	int fd = netlink_open_route();

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(netlink_for_each_link_info(fd, see_loopback, &seen), 0);
	assert_true(seen);
	seen = false;
	assert_int_equal(netlink_for_each_link_errors(fd, see_errors, &seen), 0);
	assert_true(seen);
	assert_int_equal(netlink_filters_consume(fd, 1, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS), &consumes), 0);
	assert_int_equal(netlink_for_each_link_info(fd, stop, NULL), 5);
	close(fd);
}

/* ---- who else speaks ---- */

#define FORGED 7777 /* an interface that is not there */

static int see_forged(void *ctx, int ifindex, const char *name)
{
	(void)name;
	*(bool *)ctx |= ifindex == FORGED;
	return 0;
}

/* What another process of the namespace sends, as root of it: 0, or errno. */
static int forge(uint32_t portid, uint32_t groups)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = portid, .nl_groups = groups };
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
		struct rtattr name;
		char text[8];
	} forged = {
		.h = { .nlmsg_len = sizeof(forged), .nlmsg_type = RTM_NEWLINK },
		.info = { .ifi_index = FORGED },
		.name = { RTA_LENGTH(7), IFLA_IFNAME },
		.text = "forged",
	};
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), err;

	err = sendto(fd, &forged, sizeof(forged), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
	close(fd);
	return err;
}

static uint32_t port_of(int fd)
{
	struct sockaddr_nl addr = {};
	socklen_t len = sizeof(addr);

	assert_return_code(getsockname(fd, (struct sockaddr *)&addr, &len), errno);
	return addr.nl_pid;
}

/* In a namespace of its own, where that harms nobody: the number of the check that failed. */
static int check_forged(void)
{
	struct sockaddr_nl group = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int route, diag, monitor, anybody;
	bool seen = false, overrun;
	char heard[256];

	if (unshare(CLONE_NEWNET))
		return 77;
	route = netlink_open_route();
	diag = netlink_open_diag();
	monitor = netlink_open_monitor();
	anybody = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (route < 0 || diag < 0 || monitor < 0 || bind(anybody, (struct sockaddr *)&group, sizeof(group)))
		return 1;
	/* To a socket that is not connected it goes. */
	if (forge(port_of(anybody), 0) || recv(anybody, heard, sizeof(heard), 0) <= 0)
		return 2;
	if (forge(port_of(route), 0) != ECONNREFUSED || forge(port_of(monitor), 0) != ECONNREFUSED)
		return 3;
	if (netlink_for_each_link(see_forged, &seen) || seen)
		return 4;
	forge(0, RTMGRP_LINK);
	if (recv(anybody, heard, sizeof(heard), 0) <= 0)
		return 5;
	netlink_read_monitor(monitor, see_forged, &seen, &overrun);
	return seen ? 6 : 0;
}

static void test_forged(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(check_forged());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* not root */
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_police),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_bytecode),
		cmocka_unit_test(test_ebpf),
		cmocka_unit_test(test_not_a_filter),
		cmocka_unit_test(test_dumps),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
