// SPDX-License-Identifier: MIT
/* links: src/sockdiag.c src/netlink.c src/netlink_hooks.c src/netns.c src/log.c src/util.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sockdiag.h"

#define STATE_ESTABLISHED 1
#define STATE_LISTEN 10

/* A connection over the loopback device of the namespace that the test is in. */
struct connection {
	int listener, client, server;
	struct rec_tuple to_server;
};

static uint32_t own_netns(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	return (uint32_t)st.st_ino;
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* @family of the listener, which takes v4 connections either way. */
static void make(struct connection *c, int family)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in from = {};
	socklen_t len = sizeof(six), from_len = sizeof(from);

	c->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->listener < 0)
		skip();
	assert_int_equal(bind(c->listener, family == AF_INET ? (void *)&four : (void *)&six,
			      family == AF_INET ? sizeof(four) : sizeof(six)), 0);
	assert_int_equal(listen(c->listener, 1), 0);
	assert_int_equal(getsockname(c->listener, (void *)&six, &len), 0);
	four.sin_port = six.sin6_port; /* at the same place in both */
	c->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->client >= 0);
	if (connect(c->client, (void *)&four, sizeof(four)))
		skip();
	c->server = accept(c->listener, NULL, NULL);
	assert_true(c->server >= 0);
	assert_int_equal(getsockname(c->client, (void *)&from, &from_len), 0);
	c->to_server = (struct rec_tuple){
		.saddr = { 127, 0, 0, 1 },
		.daddr = { 127, 0, 0, 1 },
		.sport = ntohs(from.sin_port),
		.dport = ntohs(four.sin_port),
		.ip_version = 4,
		.protocol = IPPROTO_TCP,
	};
}

static void break_up(struct connection *c)
{
	close(c->client);
	close(c->server);
	close(c->listener);
}

static struct rec_tuple reversed(struct rec_tuple t)
{
	struct rec_tuple r = t;

	memcpy(r.saddr, t.daddr, sizeof(r.saddr));
	memcpy(r.daddr, t.saddr, sizeof(r.daddr));
	r.sport = t.dport;
	r.dport = t.sport;
	return r;
}

static void check_connection(int family)
{
	struct sockdiag_socket found = {};
	struct rec_tuple back, fresh;
	struct connection c;

	make(&c, family);
	back = reversed(c.to_server);
	assert_int_equal(sockdiag_find(own_netns(), 0, 0, &c.to_server, &found), 0);
	assert_int_equal(found.ino, inode_of(c.server));
	assert_int_equal(found.uid, getuid());
	assert_int_equal(found.state, STATE_ESTABLISHED);
	assert_true(found.received);
	assert_int_equal(sockdiag_find(own_netns(), (uint32_t)getpid(), 1, &back, &found), 0);
	assert_int_equal(found.ino, inode_of(c.client));

	/* From a port that nobody has: the listener's. */
	fresh = c.to_server;
	fresh.sport = fresh.dport == 9 ? 10 : 9;
	assert_int_equal(sockdiag_find(own_netns(), 0, 0, &fresh, &found), 0);
	assert_int_equal(found.ino, inode_of(c.listener));
	assert_int_equal(found.state, STATE_LISTEN);
	assert_true(found.received);
	break_up(&c);
}

static void test_v4(void **state)
{
	(void)state;
	check_connection(AF_INET);
}

static void test_v6_socket_that_talks_v4(void **state)
{
	(void)state;
	check_connection(AF_INET6);
}

/* The peer's socket is not here: the packet is one that our socket sent. */
static void test_sender(void **state)
{
	struct sockdiag_socket found = {};
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) }, from = {};
	socklen_t len = sizeof(from);
	struct rec_tuple t = { .ip_version = 4, .protocol = IPPROTO_TCP, .dport = 9 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)state;
	/* TEST-NET-3: nobody answers, or there is no route. */
	to.sin_addr.s_addr = htonl(0xcb007101);
	if (fd < 0 || (connect(fd, (void *)&to, sizeof(to)) && errno != EINPROGRESS))
		skip();
	assert_int_equal(getsockname(fd, (void *)&from, &len), 0);
	memcpy(t.saddr, &from.sin_addr, 4);
	memcpy(t.daddr, &to.sin_addr, 4);
	t.sport = ntohs(from.sin_port);
	if (sockdiag_find(own_netns(), 0, 0, &t, &found) == 0) {
		assert_int_equal(found.ino, inode_of(fd));
		assert_false(found.received);
	}
	close(fd);
}

static void test_none(void **state)
{
	struct sockdiag_socket found = { .ino = 7 };
	struct rec_tuple t = { .ip_version = 4, .saddr = { 127, 0, 0, 1 }, .sport = 1 }, remote;
	struct connection c;

	(void)state;
	/* No listener is asked for an address that is not here, whatever it would take. */
	make(&c, AF_INET6);
	remote = c.to_server;
	memcpy(remote.daddr, (uint8_t[]){ 203, 0, 113, 1 }, 4);
	remote.sport = 9;
	assert_int_equal(sockdiag_find(own_netns(), 0, 0, &remote, &found), -ENOENT);
	break_up(&c);
	memcpy(t.daddr, t.saddr, 4);
	t.dport = 1;
	assert_int_equal(sockdiag_find(own_netns(), 0, 0, &t, &found), -ENOENT);
	assert_int_equal(sockdiag_find(1, 0, 0, &t, &found), -ENOENT);
	t.ip_version = 0;
	assert_int_equal(sockdiag_find(own_netns(), 0, 0, &t, &found), -ENOENT);
	assert_int_equal(found.ino, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v4),
		cmocka_unit_test(test_v6_socket_that_talks_v4),
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("sockdiag", tests, NULL, NULL);
}
