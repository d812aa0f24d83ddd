// SPDX-License-Identifier: MIT
/* links: src/survey.c src/survey_space.c src/queues.c src/netlink.c src/netlink_hooks.c src/netns.c src/log.c src/util.c src/snmp.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../bpf/event.h"
#include "survey.h"
#include "util.h"

static uint8_t type_of(const char *kind, unsigned int arphrd, bool on_bus, bool buses)
{
	struct netlink_link link = { .kind = kind, .arphrd = arphrd, .name = "x", .on_bus = on_bus };

	return survey_link_type(&link, buses);
}

static void test_types(void **state)
{
	struct netlink_link loopback = { .kind = "", .flags = IFF_LOOPBACK, .arphrd = ARPHRD_LOOPBACK };

	(void)state;
	assert_int_equal(survey_link_type(&loopback, true), LINK_LOOPBACK);
	assert_int_equal(type_of("", ARPHRD_ETHER, true, true), LINK_LEAVES);
	assert_int_equal(type_of("", ARPHRD_NONE, true, true), LINK_LEAVES);
	assert_int_equal(type_of("tun", ARPHRD_NONE, false, true), LINK_LEAVES);
	assert_int_equal(type_of("tun", ARPHRD_ETHER, false, true), LINK_LEAVES);
	assert_int_equal(type_of("veth", ARPHRD_ETHER, false, true), LINK_VIRTUAL);
	assert_int_equal(type_of("bridge", ARPHRD_ETHER, false, true), LINK_VIRTUAL);
	assert_int_equal(type_of("vlan", ARPHRD_ETHER, false, true), LINK_VIRTUAL);
	assert_int_equal(type_of("wireguard", ARPHRD_NONE, false, true), LINK_TUNNEL);
	assert_int_equal(type_of("xfrm", ARPHRD_NONE, false, true), LINK_TUNNEL);
	assert_int_equal(type_of("ip6gretap", ARPHRD_ETHER, false, true), LINK_TUNNEL);
	assert_int_equal(type_of("something", ARPHRD_ETHER, true, true), LINK_UNKNOWN);
	assert_int_equal(type_of("vet", ARPHRD_ETHER, false, true), LINK_UNKNOWN);
}

/* Without a kind: physical where the kernel cannot name the device behind it, which it else would. */
static void test_types_without_kind(void **state)
{
	(void)state;
	assert_int_equal(type_of("", ARPHRD_ETHER, false, false), LINK_LEAVES);
	assert_int_equal(type_of("", ARPHRD_ETHER, false, true), LINK_UNKNOWN);
	assert_int_equal(type_of("", ARPHRD_NONE, false, false), LINK_UNKNOWN);
	assert_int_equal(type_of("", ARPHRD_TUNNEL, false, false), LINK_TUNNEL);
	assert_int_equal(type_of("", ARPHRD_SIT, false, true), LINK_TUNNEL);
}

static void test_softnet(void **state)
{
	uint64_t dropped;
	bool backlog;

	(void)state;
	survey_sum_softnet("", &dropped, &backlog);
	assert_int_equal(dropped, 0);
	assert_false(backlog);
	/* Before the backlog was a column. */
	survey_sum_softnet("00000007 00000010 00000000 0 0 0 0 0 0 0 0\n00000001 ffffffff 00000000 0 0 0 0 0 0 0 0\n",
			   &dropped, &backlog);
	assert_int_equal(dropped, 0x10000000fULL);
	assert_false(backlog);
	survey_sum_softnet("1 2 3 0 0 0 0 0 0 0 0 0 7 9 9\n1 3 3 0 0 0 0 0 0 0 0 a 8\n", &dropped, &backlog);
	assert_int_equal(dropped, 5);
	assert_true(backlog);
	survey_sum_softnet("1 2 rubbish 3", &dropped, &backlog);
	assert_int_equal(dropped, 2);
}

/* ---- the real thing ---- */

/* What was said since the last reset. */
struct said {
	uint32_t netns; /* only of this one: */
	unsigned int links, addrs, links_gone, addrs_gone;
	unsigned int all, surveys;
	struct rec_survey survey;
};

static void take(void *ctx, const void *record, size_t size)
{
	const struct rec_header *h = record;
	const struct rec_link *link = record;
	const struct rec_addr *addr = record;
	struct said *said = ctx;

	assert_int_equal(h->size, size);
	assert_true(h->ts_ns);
	said->all++;
	if (h->kind == REC_LINK && link->netns == said->netns) {
		assert_int_equal(size, sizeof(*link));
		said->links += !(link->bits & LINK_GONE);
		said->links_gone += !!(link->bits & LINK_GONE);
		assert_int_equal(link->ifindex == 1, link->type == LINK_LOOPBACK);
		assert_int_equal(link->ifindex == 1, !strcmp(link->ifname, "lo"));
	} else if (h->kind == REC_ADDR && addr->netns == said->netns) {
		assert_int_equal(size, sizeof(*addr));
		said->addrs += !addr->gone;
		said->addrs_gone += addr->gone;
	} else if (h->kind == REC_SURVEY) {
		assert_int_equal(size, sizeof(said->survey));
		said->surveys++;
		memcpy(&said->survey, record, sizeof(said->survey));
		assert_true(said->survey.begin_ns <= h->ts_ns);
	}
}

static void reset(struct said *said)
{
	*said = (struct said){ .netns = said->netns };
}

static uint32_t inode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint32_t)st.st_ino;
}

static unsigned int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_own(void **state)
{
	struct said said = { .netns = inode_of("/proc/self/ns/net") };
	unsigned int files = open_files();
	struct survey *s;

	(void)state;
	assert_int_equal(survey_open(&s, take, &said), 0);
	survey_full(s, clock_mono_ns());
	assert_true(said.links >= 1);
	assert_int_equal(said.surveys, 1);
	assert_true(said.survey.bits & SURVEY_FULL);
	assert_true(said.survey.namespaces >= 1);
	reset(&said);
	survey_light(s, clock_mono_ns());
	assert_int_equal(said.surveys, 1);
	assert_false(said.survey.bits & SURVEY_FULL);
	assert_int_equal(said.links_gone + said.addrs_gone, 0);
	survey_close(s);
	survey_close(NULL);
	assert_int_equal(open_files(), files);
	assert_int_equal(inode_of("/proc/self/ns/net"), said.netns);
}

/* A process in a namespace of its own; 0: not allowed. */
static pid_t start_child(uint32_t *netns)
{
	char path[64], byte = 0;
	int ready[2];
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		byte = !unshare(CLONE_NEWNET);
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)child);
	*netns = inode_of(path);
	if (byte)
		return child;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

/* It is followed as long as it has a process, and gone then, which a light look notices, too. */
static void test_other(void **state)
{
	uint64_t now_ns = clock_mono_ns();
	uint32_t own = inode_of("/proc/self/ns/net");
	struct said said = {};
	struct survey *s;
	pid_t child;

	(void)state;
	child = start_child(&said.netns);
	if (!child)
		skip();
	assert_int_equal(survey_open(&s, take, &said), 0);
	survey_full(s, now_ns);
	assert_int_equal(said.links, 1);
	assert_int_equal(said.links_gone + said.addrs_gone, 0);
	reset(&said);
	survey_light(s, now_ns);
	survey_full(s, now_ns);
	assert_int_equal(said.links + said.links_gone, 0);

	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	reset(&said);
	survey_light(s, now_ns + 1); /* too early to search again */
	assert_true(said.survey.bits & SURVEY_INCOMPLETE);
	assert_int_equal(said.links_gone, 0);
	survey_light(s, now_ns + NSEC_PER_SEC);
	assert_int_equal(said.links_gone, 1);
	reset(&said);
	survey_full(s, now_ns + NSEC_PER_SEC);
	assert_int_equal(said.links + said.links_gone, 0);
	survey_close(s);
	assert_int_equal(inode_of("/proc/self/ns/net"), own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_types_without_kind),
		cmocka_unit_test(test_softnet),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_other),
	};

	return cmocka_run_group_tests_name("survey", tests, NULL, NULL);
}
