// SPDX-License-Identifier: MIT
/* links: src/options.c src/option_table.c src/help.c src/parse.c src/util.c src/log.c */
/* What is shown: events and filters, every value good and bad. The rest is in test_command_line.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "parse.h"
#include "run_options.h"
#include "util.h"

/* ---- events ---- */

static void test_events(void **state)
{
	(void)state;
	assert_run("-e", "retransmit");
	assert_int_equal(opt.events, 1u << EV_RETRANSMIT | 1u << EV_SPURIOUS | 1u << EV_STATS);
	assert_true(opt.events_given);
	assert_run("-e", "drop");
	assert_int_equal(opt.events, 1u << EV_DROP | 1u << EV_STATS);
	assert_true(opt.events_given);
	assert_run("-e", "connect");
	assert_int_equal(opt.events, 1u << EV_CONNECT | 1u << EV_STATS);
	assert_true(opt.events_given);
	assert_run("-e", "drop", "--events=retransmit");
	assert_int_equal(opt.events, ((1u << EV_KIND_COUNT) - 1) & ~(1u << EV_CONNECT));
	assert_run("--events=all");
	assert_int_equal(opt.events, (1u << EV_KIND_COUNT) - 1);
	assert_false(opt.events_given);
	assert_run("--events", "all,retransmit");
	assert_int_equal(opt.events, (1u << EV_KIND_COUNT) - 1);
	assert_true(opt.events_given);
	assert_usage("-e: invalid value 'stats': expected retransmit, drop, connect or all", "-e", "stats");
	assert_usage("-e: invalid value 'spurious': expected retransmit, drop, connect or all", "-e", "spurious");
	assert_usage_begin("--events: invalid value 'bogus': expected retransmit", "--events", "all,bogus");
	assert_usage_begin("-e: invalid value '': expected ", "-e", "");
	assert_usage_begin("-e: invalid value '': expected ", "-e", "all,");
	assert_usage_begin("-e: invalid value 'Retransmit': expected ", "-e", "Retransmit");
}

/* ---- addresses ---- */

static void check_rule(const struct addr_rule *r, const char *addr, const char *mask, enum rule_list list)
{
	int family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	uint8_t want_addr[16] = {0}, want_mask[16] = {0};

	assert_int_equal(inet_pton(family, addr, want_addr), 1);
	assert_int_equal(inet_pton(family, mask, want_mask), 1);
	assert_memory_equal(r->addr, want_addr, 16);
	assert_memory_equal(r->mask, want_mask, 16);
	assert_int_equal(r->ip_version, family == AF_INET ? 4 : 6);
	assert_int_equal(r->list, list);
}

static void check_addr(const char *text, const char *addr, const char *mask)
{
	assert_run("-a", text);
	assert_int_equal(opt.addr_count, 1);
	check_rule(&opt.addr[0], addr, mask, RULE_ANY);
}

#define FULL_MASK6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static void test_addr_values(void **state)
{
	(void)state;
	check_addr("10.0.0.1", "10.0.0.1", "255.255.255.255");
	check_addr("10.0.0.1/32", "10.0.0.1", "255.255.255.255");
	check_addr("10.1.2.3/8", "10.0.0.0", "255.0.0.0");
	check_addr("10.255.255.255/9", "10.128.0.0", "255.128.0.0");
	check_addr("192.168.255.255/17", "192.168.128.0", "255.255.128.0");
	check_addr("192.168.1.255/31", "192.168.1.254", "255.255.255.254");
	check_addr("255.255.255.255/1", "128.0.0.0", "128.0.0.0");
	check_addr("1.2.3.4/0", "0.0.0.0", "0.0.0.0");
	check_addr("2001:db8::1", "2001:db8::1", FULL_MASK6);
	check_addr("2001:db8::1/128", "2001:db8::1", FULL_MASK6);
	check_addr("2001:db8:ffff::1/33", "2001:db8:8000::", "ffff:ffff:8000::");
	check_addr("2001:db8::ff/127", "2001:db8::fe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
	check_addr("fe80::1/10", "fe80::", "ffc0::");
	check_addr("2001:db8::1/0", "::", "::");
	check_addr("::/0", "::", "::");
	/* v4-mapped is v4, unless the prefix is too short for one version. */
	check_addr("::ffff:10.0.0.1", "10.0.0.1", "255.255.255.255");
	check_addr("::ffff:a00:1/128", "10.0.0.1", "255.255.255.255");
	check_addr("::ffff:10.1.2.3/104", "10.0.0.0", "255.0.0.0");
	check_addr("::ffff:10.1.2.3/96", "0.0.0.0", "0.0.0.0");
	check_addr("::ffff:10.1.2.3/95", "::fffe:0:0", "ffff:ffff:ffff:ffff:ffff:fffe::");
	check_addr("::ffff:10.1.2.3/0", "::", "::");
}

static void test_addr_lists(void **state)
{
	(void)state;
	assert_run("--addr", "10.0.0.1,10.0.0.2/24", "--saddr=2001:db8::1,10.0.0.9", "--daddr",
		   "::1,10.9.9.9", "-a", "::1");
	assert_int_equal(opt.addr_count, 7);
	check_rule(&opt.addr[0], "10.0.0.1", "255.255.255.255", RULE_ANY);
	check_rule(&opt.addr[1], "10.0.0.0", "255.255.255.0", RULE_ANY);
	check_rule(&opt.addr[2], "2001:db8::1", FULL_MASK6, RULE_LOCAL);
	check_rule(&opt.addr[3], "10.0.0.9", "255.255.255.255", RULE_LOCAL);
	check_rule(&opt.addr[4], "::1", FULL_MASK6, RULE_REMOTE);
	check_rule(&opt.addr[6], "::1", FULL_MASK6, RULE_ANY);
}

static void test_addr_bad(void **state)
{
	static const char *const bad[] = {
		"", "10.0.0", "10.0.0.256", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1", "10.0.0.1/+8",
		"10.0.0.1/8x", "10.0.0.1/255.0.0.0", "::1/129", "::1/", "::1%lo", "[::1]", "example.org",
		" 10.0.0.1", "10.0.0.1 ", "::ffff:10.0.0.1/129", "1:2:3:4:5:6:7:8:9", "/8", "10.0.0.1/8/8",
		"10.0.0.1/18446744073709551624",
		"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
	};
	char message[256];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(ARGV("--saddr", bad[i])), OPTIONS_EXIT_USAGE);
		snprintf(message, sizeof(message),
			 "rebpf: --saddr: invalid value '%s': expected %s\n", bad[i],
			 "an IPv4 or IPv6 address, optionally with /LEN (up to 32 or 128)");
		assert_string_equal(err_text, message);
	}
}

static void test_ip_version(void **state)
{
	(void)state;
	assert_run("-4");
	assert_int_equal(opt.ip_version, 4);
	assert_run("--ipv4", "-a", "::1,10.0.0.1");
	assert_int_equal(opt.ip_version, 4);
	assert_run("-6");
	assert_int_equal(opt.ip_version, 6);
	assert_run("--ipv6", "--ipv6");
	assert_int_equal(opt.ip_version, 6);
	assert_usage("--ipv4 and --ipv6 exclude each other: without either, both versions are shown", "-46");
	/* What can never match is refused. */
	assert_usage_begin("--addr, --saddr, --daddr, -4, -6: no flow can match", "-4", "-a", "::1");
	assert_usage_begin("--addr, --saddr, --daddr, -4, -6: no flow can match", "-6", "--daddr",
			   "10.0.0.1");
	assert_usage_begin("--addr, --saddr, --daddr, -4, -6: no flow can match",
			   "--saddr", "::1", "--daddr", "10.0.0.1");
	assert_usage_begin("--addr, --saddr, --daddr, -4, -6: no flow can match",
			   "--saddr", "::1,10.0.0.1", "--daddr", "10.0.0.1", "-6");
	assert_run("-6", "-a", "10.0.0.1,::1");
	assert_run("-4", "-a", "::ffff:10.0.0.1");
}

/* ---- ports ---- */

static void check_ports(const char *text, unsigned int low, unsigned int high)
{
	assert_run("-P", text);
	assert_int_equal(opt.port_count, 1);
	assert_int_equal(opt.port[0].low, low);
	assert_int_equal(opt.port[0].high, high);
	assert_int_equal(opt.port[0].list, RULE_ANY);
}

static void test_ports(void **state)
{
	(void)state;
	check_ports("443", 443, 443);
	check_ports("5201", 5201, 5201);
	check_ports("1", 1, 1);
	check_ports("65535", 65535, 65535);
	check_ports("1-65535", 1, 65535);
	check_ports("8080-8080", 8080, 8080);
	check_ports("0443", 443, 443);

	assert_run("--port", "443,5201", "--sport=22,1024-2047", "--dport", "80", "-P8443");
	assert_int_equal(opt.port_count, 6);
	assert_int_equal(opt.port[0].low, 443);
	assert_int_equal(opt.port[1].low, 5201);
	assert_int_equal(opt.port[1].list, RULE_ANY);
	assert_int_equal(opt.port[2].high, 22);
	assert_int_equal(opt.port[3].low, 1024);
	assert_int_equal(opt.port[3].high, 2047);
	assert_int_equal(opt.port[3].list, RULE_LOCAL);
	assert_int_equal(opt.port[4].low, 80);
	assert_int_equal(opt.port[4].list, RULE_REMOTE);
	assert_int_equal(opt.port[5].low, 8443);
	assert_int_equal(opt.port[5].list, RULE_ANY);
}

static void test_ports_bad(void **state)
{
	static const char *const bad[] = {
		"", "0", "65536", "70000", "-1", "+1", " 1", "1 ", "http", "443-", "-443", "500-400",
		"0-10", "1-65536",
		"1-2-3", "0x1bb", "443.0", "18446744073709552059", "4294967739",
	};
	char message[256];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(message, sizeof(message),
			 "rebpf: --dport: invalid value '%s': expected N or N-M, 1 to 65535\n", bad[i]);
		assert_int_equal(parse(ARGV("--dport", bad[i])), OPTIONS_EXIT_USAGE);
		assert_string_equal(err_text, message);
	}
	/* The option as it was typed, and only the item that is wrong. */
	assert_usage("--port: invalid value '70000': expected N or N-M, 1 to 65535", "--port",
		     "443,70000,80");
	assert_usage("-P: invalid value '70000': expected N or N-M, 1 to 65535", "-P70000");
	assert_usage("--sport: invalid value '': expected N or N-M, 1 to 65535", "--sport", "443,,80");
	assert_usage("--sport: invalid value '': expected N or N-M, 1 to 65535", "--sport", ",443");
	assert_usage("--sport: invalid value '-v': expected N or N-M, 1 to 65535", "--sport", "-v");
}

/* ---- other filters ---- */

static void test_pid(void **state)
{
	(void)state;
	assert_run("-p", "1,4194304", "--pid", "77");
	assert_int_equal(opt.pid_count, 3);
	assert_int_equal(opt.pid[0], 1);
	assert_int_equal(opt.pid[1], 4194304);
	assert_int_equal(opt.pid[2], 77);
	assert_usage("-p: invalid value '0': expected a process id, 1 to 4194304", "-p", "0");
	assert_usage("--pid: invalid value 'nginx': expected a process id, 1 to 4194304", "--pid", "nginx");
	assert_usage("--pid: invalid value '4194305': expected a process id, 1 to 4194304", "--pid=4194305");
	assert_usage("--pid: invalid value '-5': expected a process id, 1 to 4194304", "--pid", "-5");
	assert_usage_begin("--pid: invalid value '4294967297': ", "--pid", "4294967297");
}

static void test_comm(void **state)
{
	static const char padded[REBPF_COMM_LEN] = "nginx";

	(void)state;
	assert_run("--comm", "nginx,tmux: server", "--comm=fifteen-bytes-x");
	assert_int_equal(opt.comm_count, 3);
	assert_memory_equal(opt.comm[0], padded, sizeof(padded));
	assert_string_equal(opt.comm[1], "tmux: server");
	assert_string_equal(opt.comm[2], "fifteen-bytes-x");
	assert_usage("--comm: invalid value 'sixteen-bytes-xy': "
		     "expected a name of 1 to 15 bytes (the kernel keeps no more)", "--comm",
		"sixteen-bytes-xy");
	assert_usage_begin("--comm: invalid value '': ", "--comm", "");
}

static void test_interface(void **state)
{
	static const char *const bad[] = {"", "a/b", "a b", "a:b", ".", "..", "sixteen-bytes-xy", "a\tb",
		"eth0\n"};
	size_t i;

	(void)state;
	assert_run("-i", "eth0,lo", "--interface", "br-0123456789ab");
	assert_int_equal(opt.ifname_count, 3);
	assert_string_equal(opt.ifname[0], "eth0");
	assert_string_equal(opt.ifname[1], "lo");
	assert_string_equal(opt.ifname[2], "br-0123456789ab");
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_usage_begin("-i: invalid value '", "-i", bad[i]);
	assert_usage("--interface: invalid value 'a\\x09b': expected an interface name of 1 to 15 bytes",
		     "--interface", "a\tb");
}

static void test_type_and_cause(void **state)
{
	uint32_t types = 0, causes = 0;

	(void)state;
#define X(NAME, name)                                      \
	assert_run("--type", #name);                       \
	assert_int_equal(opt.types, 1u << RTX_TYPE_##NAME); \
	types |= opt.types;
	RTX_TYPES(X)
#undef X
#define X(NAME, name)                                        \
	assert_run("--cause=" #name);                        \
	assert_int_equal(opt.causes, 1u << RTX_CAUSE_##NAME); \
	causes |= opt.causes;
	RTX_CAUSES(X)
#undef X
	assert_int_equal(types, (1u << RTX_TYPE_COUNT) - 1);
	assert_int_equal(causes, (1u << RTX_CAUSE_COUNT) - 1);
	assert_run("--type", "rto,tlp", "--type", "rto", "--cause", "local,network");
	assert_int_equal(opt.types, 1u << RTX_TYPE_RTO | 1u << RTX_TYPE_TLP);
	assert_int_equal(opt.causes, 1u << RTX_CAUSE_LOCAL | 1u << RTX_CAUSE_NETWORK);
	assert_usage("--type: invalid value 'RTO': "
		     "expected unknown, rto, fast, tlp, slow_start, pmtu, zero_window, syn or synack",
		     "--type", "tlp,RTO");
	assert_usage("--cause: invalid value 'all': "
		     "expected unknown, local, ack_local, network or host_queue",
		     "--cause", "all");
}

/* They ask for retransmissions, unless -e asks for drops by itself. */
static void test_type_and_cause_events(void **state)
{
	const uint32_t retransmit = 1u << EV_RETRANSMIT | 1u << EV_SPURIOUS | 1u << EV_STATS;

	(void)state;
	assert_run("--cause", "network");
	assert_int_equal(opt.events, retransmit);
	assert_false(opt.events_given);
	assert_run("--type=rto");
	assert_int_equal(opt.events, retransmit);
	assert_run("--type=rto", "-e", "retransmit,drop");
	assert_int_equal(opt.events, retransmit | 1u << EV_DROP);
	assert_run("-e", "all", "--cause", "network");
	assert_int_equal(opt.events, (1u << EV_KIND_COUNT) - 1);
	assert_run("-e", "drop", "--cause", "network");
	assert_int_equal(opt.events, 1u << EV_DROP | 1u << EV_STATS);
	assert_run("--reason", "NETFILTER_DROP");
	assert_int_equal(opt.events, retransmit | 1u << EV_DROP);
}

static void check_latency(const char *text, uint64_t ns)
{
	assert_run("--min-latency", text);
	assert_int_equal(opt.min_latency_ns, ns);
}

static void test_min_latency(void **state)
{
	static const char *const bad[] = { "", "0", "0ms", "us", "1 ms", "-1ms", "1ns", "1uss", "1MS", "0.0001us", "87601h" };

	(void)state;
	check_latency("250us", 250000);
	check_latency("0.5us", 500);
	check_latency("20ms", 20 * NSEC_PER_MSEC);
	check_latency("1.5s", 1500 * NSEC_PER_MSEC);
	check_latency("2", 2 * NSEC_PER_SEC);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_usage_begin("--min-latency: invalid value '", "--min-latency", bad[i]);
	assert_usage("--min-latency: invalid value '5min': "
		     "expected seconds or a time such as 1.5s, 20ms or 250us, above 0 and up to 87600h",
		     "--min-latency=5min");
	assert_usage_begin("--min-latency: ", "--min-latency");
}

/* It asks for connects, beside what other options ask for; -e decides by itself. */
static void test_min_latency_events(void **state)
{
	const uint32_t retransmit = 1u << EV_RETRANSMIT | 1u << EV_SPURIOUS, connect = 1u << EV_CONNECT;

	(void)state;
	assert_run("--min-latency", "1ms");
	assert_int_equal(opt.events, connect | 1u << EV_STATS);
	assert_false(opt.events_given);
	assert_run("--min-latency", "1ms", "--type", "syn");
	assert_int_equal(opt.events, connect | retransmit | 1u << EV_STATS);
	assert_run("--min-latency", "1ms", "-e", "connect,drop");
	assert_int_equal(opt.events, connect | 1u << EV_DROP | 1u << EV_STATS);
	assert_run("--min-latency", "1ms", "-e", "retransmit");
	assert_int_equal(opt.events, retransmit | 1u << EV_STATS);
	assert_run("--min-latency", "1ms", "-e", "all");
	assert_int_equal(opt.events, (1u << EV_KIND_COUNT) - 1);
}

static void test_class(void **state)
{
	const uint32_t bad = 1u << DROP_CLASS_BAD, policy = 1u << DROP_CLASS_POLICY, expected = 1u << DROP_CLASS_EXPECTED;

	(void)state;
	assert_run();
	assert_int_equal(opt.classes, bad | policy);
	assert_false(opt.all_protocols || opt.stack || opt.explain);
	assert_run("--class", "expected");
	assert_int_equal(opt.classes, expected);
	assert_run("--class=bad,expected", "--class", "bad");
	assert_int_equal(opt.classes, bad | expected);
	assert_run("--class", "all");
	assert_int_equal(opt.classes, bad | policy | expected);
	assert_run("--class", "policy,all");
	assert_int_equal(opt.classes, bad | policy | expected);
	/* A reason that is named is shown, whatever its class, but for a --class. */
	assert_run("--reason", "TCP_OLD_DATA");
	assert_int_equal(opt.classes, bad | policy | expected);
	assert_run("--reason", "TCP_OLD_DATA", "--class", "bad");
	assert_int_equal(opt.classes, bad);
	assert_usage("--class: invalid value 'good': expected bad, policy, expected or all", "--class", "bad,good");
	assert_usage("--class: invalid value '': expected bad, policy, expected or all", "--class=");
	assert_usage("--class: invalid value 'BAD': expected bad, policy, expected or all", "--class", "BAD");
	assert_usage("--class: needs a value: LIST", "--class");
	assert_usage_begin("--output count and --class exclude each other: ", "-o", "count", "--class", "all");
}

static void test_drop_flags(void **state)
{
	(void)state;
	assert_run("--all-protocols");
	assert_true(opt.all_protocols && !opt.stack);
	assert_run("--stack");
	assert_true(opt.stack && !opt.all_protocols);
	assert_usage("--all-protocols: takes no value", "--all-protocols=udp");
	assert_usage("--stack: takes no value", "--stack=5");
}

static void test_reason(void **state)
{
	char longest[64], text[128];

	(void)state;
	assert_run("--reason", "NO_SOCKET,netfilter_drop", "--reason", "SKB_DROP_REASON_TCP_CSUM");
	assert_int_equal(opt.reason_count, 3);
	assert_string_equal(opt.reason[0], "NO_SOCKET");
	assert_string_equal(opt.reason[1], "NETFILTER_DROP");
	assert_string_equal(opt.reason[2], "TCP_CSUM");
	assert_usage("--reason: invalid value 'no socket': expected a drop reason such as NETFILTER_DROP",
		     "--reason", "no socket");
	assert_usage_begin("--reason: invalid value '': ", "--reason", "");
	assert_usage_begin("--reason: invalid value 'SKB_DROP_REASON_': ", "--reason", "SKB_DROP_REASON_");

	memset(longest, 'A', sizeof(longest));
	longest[REBPF_REASON_LEN - 1] = '\0';
	snprintf(text, sizeof(text), "SKB_DROP_REASON_%s", longest);
	assert_run("--reason", text);
	assert_string_equal(opt.reason[0], longest);
	snprintf(text, sizeof(text), "%sA", longest);
	assert_usage_begin("--reason: invalid value 'A", "--reason", text);
}

/* ---- namespaces and cgroups ---- */

#define EXPECTED_NETNS "expected a network namespace, by a process in it, name, path or inode number"

static void test_netns(void **state)
{
	char text[64];
	struct stat st;

	(void)state;
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	snprintf(text, sizeof(text), "%d,/proc/self/ns/net", (int)getpid());
	assert_run("--netns", text, "--netns=4026539999,4294967295");
	assert_int_equal(opt.netns_count, 4);
	assert_int_equal(opt.netns[0], st.st_ino);
	assert_int_equal(opt.netns[1], st.st_ino);
	assert_int_equal(opt.netns[2], 4026539999u);
	assert_int_equal(opt.netns[3], 4294967295u);

	assert_usage("--netns: invalid value '': " EXPECTED_NETNS, "--netns", "");
	assert_usage("--netns: invalid value '0': " EXPECTED_NETNS, "--netns", "0");
	assert_usage("--netns: invalid value '4294967296': " EXPECTED_NETNS, "--netns", "4294967296");
	assert_usage("--netns: invalid value '/dev/null': " EXPECTED_NETNS, "--netns", "/dev/null");
	assert_usage("--netns: invalid value '/proc/self/ns/mnt': " EXPECTED_NETNS, "--netns",
		     "/proc/self/ns/mnt");
	assert_usage("--netns: invalid value 'no-such-ns': " EXPECTED_NETNS " (No such file or directory)",
		     "--netns", "no-such-ns");
	/* The largest process id: pid_max is its exclusive bound, so no process can have it. */
	assert_usage("--netns: invalid value '4194304': " EXPECTED_NETNS " (No such process)",
		     "--netns", "4194304");
}

/* In the child: a named namespace where "ip netns" keeps them, in a mount namespace of our own. */
static int make_named_netns(const char *name)
{
	char path[64];

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/run", "tmpfs", 0, NULL) || mkdir("/run/netns", 0755))
		return -1;
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	if (close(open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0444)))
		return -1;
	return mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL);
}

static void test_netns_by_name(void **state)
{
	uint32_t inode = 0;
	int status = 0;
	struct stat st;
	pid_t child;

	(void)state;
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	child = fork();
	if (!child) {
		if (make_named_netns("blue"))
			_exit(77);
		_exit(parse_netns("blue", &inode) || inode != st.st_ino);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define EXPECTED_CGROUP "expected a cgroup2 directory, from / or from the cgroup2 root"

static void test_cgroup(void **state)
{
	char root[4096], file[5000];
	struct stat st;

	(void)state;
	if (cgroup2_root("/proc/mounts", root, sizeof(root)))
		skip();
	assert_int_equal(stat(root, &st), 0);
	assert_run("--cgroup", root, "--cgroup=/,.");
	assert_int_equal(opt.cgroup_count, 3);
	assert_int_equal(opt.cgroup[0], st.st_ino);
	assert_int_equal(opt.cgroup[1], st.st_ino);
	assert_int_equal(opt.cgroup[2], st.st_ino);

	assert_usage("--cgroup: invalid value '': " EXPECTED_CGROUP, "--cgroup", "");
	assert_usage("--cgroup: invalid value '/proc': " EXPECTED_CGROUP, "--cgroup", "/proc");
	assert_usage("--cgroup: invalid value 'no/such.slice': "
		     EXPECTED_CGROUP " (No such file or directory)",
		     "--cgroup", "no/such.slice");
	assert_usage("--cgroup: invalid value '/no/such.slice': "
		     EXPECTED_CGROUP " (No such file or directory)",
		     "--cgroup", "/no/such.slice");
	snprintf(file, sizeof(file), "%s/cgroup.procs", root);
	assert_int_equal(parse_cgroup(file, &opt.cgroup[0]), -ENOTDIR);
}

static void test_cgroup_mounts(void **state)
{
	char path[] = "/tmp/rebpf-test-XXXXXX", root[64] = "untouched";
	FILE *f = fdopen(mkstemp(path), "w");

	(void)state;
	assert_non_null(f);
	fputs("proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n", f);
	fflush(f);
	assert_int_equal(cgroup2_root(path, root, sizeof(root)), -ENODEV);
	assert_string_equal(root, "untouched");
	fputs("cgroup2 /mnt/my\\040cgroup cgroup2 rw,nosuid 0 0\ncgroup2 /other cgroup2 rw 0 0\n", f);
	fclose(f);
	assert_int_equal(cgroup2_root(path, root, sizeof(root)), 0);
	assert_string_equal(root, "/mnt/my cgroup");
	assert_int_equal(cgroup2_root(path, root, 5), -EINVAL);
	unlink(path);
	assert_int_equal(cgroup2_root(path, root, sizeof(root)), -ENOENT);
}

static void test_list_bounds(void **state)
{
	char rules[REBPF_MAX_RULES * 8] = "", pids[OPTIONS_MAX_LIST * 8] = "";
	int i;

	(void)state;
	for (i = 0; i < REBPF_MAX_RULES; i++)
		strcat(rules, i ? ",5201" : "443");
	for (i = 0; i < OPTIONS_MAX_LIST; i++)
		strcat(pids, i ? ",77" : "1");
	assert_run("-P", rules);
	assert_int_equal(opt.port_count, REBPF_MAX_RULES);
	assert_usage("--dport: too many values: at most 32 in all for --port, --sport, --dport",
		     "-P", rules, "--dport", "80");
	assert_usage_begin("-P: too many values: at most 32 in all for ", "--dport", "80", "-P", rules);
	assert_run("-p", pids);
	assert_int_equal(opt.pid_count, OPTIONS_MAX_LIST);
	assert_usage("--pid: too many values: at most 64 in all for --pid", "-p", pids, "--pid=1");
	assert_usage_begin("--comm: too many values: at most 64", "--comm", pids, "--comm", "x");
	assert_usage_begin("-i: too many values: at most 64", "-i", pids, "-i", "x");
	assert_usage_begin("--reason: too many values: at most 64", "--reason", pids, "--reason", "x");
	assert_run("-p", pids, "--comm", pids, "-i", pids, "--reason", pids, "-P", rules);
}

static void test_summary(void **state)
{
	(void)state;
	assert_run("-S");
	assert_true(opt.summary);
	assert_int_equal(opt.interval_ns, 0);
	assert_run("--interval", "1.5");
	assert_true(opt.summary);
	assert_int_equal(opt.interval_ns, 1500000000);
	assert_run("-q");
	assert_false(opt.summary);
	assert_run("-o", "count", "--interval=100ms");
	assert_usage("--interval: at least 100ms", "--interval", "99ms");
	assert_usage_begin("--interval: invalid value '0': expected ", "--interval", "0");
	assert_usage_begin("--interval: invalid value 'x': expected ", "--interval", "x");
}

static void test_write_to_stdout(void **state)
{
	(void)state;
	assert_run("-w", "-", "-o", "none");
	assert_string_equal(opt.write_path, "-");
	assert_run("-w", "-", "-r", "-", "-o", "none");
	assert_usage("--write -: stdout takes the records, so there can be no events: add --output none", "-w", "-");
}

/* A recording's groups have no paths. */
static void test_cgroup_number(void **state)
{
	(void)state;
	assert_run("--cgroup", "987654321");
	assert_int_equal(opt.cgroup[0], 987654321);
}

/* The metrics' options; what addresses may be is tested with the server. */
static void test_listen(void **state)
{
	(void)state;
	assert_run();
	assert_int_equal(opt.listen.port, 0);
	assert_run("-e", "retransmit");
	assert_false(options_wants(&opt, EV_DROP));
	assert_run("-e", "retransmit", "--listen", "[::1]:2112", "--metrics-ports", "--metrics-max-series=5");
	assert_int_equal(opt.listen.port, 2112);
	assert_int_equal(opt.listen.ip_version, 6);
	assert_true(opt.metrics_ports);
	assert_int_equal(opt.metrics_max_series, 5);
	/* Counted, though not printed. */
	assert_true(options_wants(&opt, EV_DROP));
	assert_true(options_wants(&opt, EV_CONNECT));
	assert_int_equal(opt.events & 1u << EV_DROP, 0);
	for (int format = 0; format < 4; format++) {
		static const char *const formats[] = { "text", "json", "none", "count" };

		assert_run("--listen", "2112", "-o", (char *)formats[format]);
	}
	assert_usage("--listen: invalid value 'x:y': expected a port from 1 to 65535, optionally after ADDR: (127.0.0.1:2112, [::1]:2112)",
		     "--listen", "x:y");
	assert_usage("--listen: given twice", "--listen", "1", "--listen=2");
	assert_usage_begin("--metrics-max-series: invalid value '0': expected a number from 1 to 100000", "--listen=1",
			   "--metrics-max-series", "0");
	assert_usage_begin("--metrics-max-series: invalid value '100001'", "--listen=1", "--metrics-max-series=100001");
	assert_usage("--metrics-ports, --metrics-max-series: need --listen", "--metrics-ports");
	assert_usage_begin("--read and --listen exclude each other", "--listen=1", "-r", "x");
	assert_usage_begin("--listen and --check exclude each other", "--listen=1", "--check");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_summary),
		cmocka_unit_test(test_write_to_stdout),
		cmocka_unit_test(test_cgroup_number),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_addr_values),
		cmocka_unit_test(test_addr_lists),
		cmocka_unit_test(test_addr_bad),
		cmocka_unit_test(test_ip_version),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_ports_bad),
		cmocka_unit_test(test_pid),
		cmocka_unit_test(test_comm),
		cmocka_unit_test(test_interface),
		cmocka_unit_test(test_type_and_cause),
		cmocka_unit_test(test_type_and_cause_events),
		cmocka_unit_test(test_min_latency),
		cmocka_unit_test(test_min_latency_events),
		cmocka_unit_test(test_class),
		cmocka_unit_test(test_drop_flags),
		cmocka_unit_test(test_reason),
		cmocka_unit_test(test_netns),
		cmocka_unit_test(test_netns_by_name),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_cgroup_mounts),
		cmocka_unit_test(test_list_bounds),
		cmocka_unit_test(test_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
