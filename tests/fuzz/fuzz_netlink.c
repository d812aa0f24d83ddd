// SPDX-License-Identifier: MIT
/* links: tests/fuzz/fuzz.c tests/fuzz/check.c src/netlink.c src/netlink_hooks.c src/sockdiag.c src/survey_space.c src/queues.c src/netns.c src/log.c src/util.c */
/* flags: -Wl,--wrap=socket,--wrap=bind,--wrap=connect,--wrap=setsockopt,--wrap=send,--wrap=syscall */
/*
 * Arbitrary bytes as answers of netlink. The first byte chooses the question, then datagrams follow (take_block()), with
 * which every question is answered. A message without sequence number gets that of the question.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "netlink.h"
#include "sockdiag.h"
#include "survey_space.h"

#define MAX_PAIRS 64
#define MAX_DATAGRAMS 8

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
long __wrap_syscall(long number, ...);

static struct bytes answers;
static struct pair {
	int near, far;
} pairs[MAX_PAIRS];
static unsigned int pair_count;

/* @seq into the messages of a datagram that have none. */
static void number(uint8_t *datagram, size_t len, uint32_t seq)
{
	struct nlmsghdr h;

	for (size_t at = 0; at + sizeof(h) <= len; at += NLMSG_ALIGN(h.nlmsg_len)) {
		memcpy(&h, datagram + at, sizeof(h));
		if (!h.nlmsg_seq)
			memcpy(datagram + at + offsetof(struct nlmsghdr, nlmsg_seq), &seq, sizeof(seq));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len)
			break;
	}
}

/* All datagrams come to who reads from @near. */
static void answer(int near, uint32_t seq)
{
	struct bytes in = answers;
	unsigned int i = 0;

	while (i < pair_count && pairs[i].near != near)
		i++;
	for (int n = 0; in.left && i < pair_count && n < MAX_DATAGRAMS; n++) {
		uint8_t datagram[8192];
		const uint8_t *part;
		size_t len;

		part = take_block(&in, &len);
		len = len < sizeof(datagram) ? len : sizeof(datagram);
		memcpy(datagram, part, len);
		number(datagram, len, seq);
		if (len && write(pairs[i].far, datagram, len) < 0)
			break; /* it is full */
	}
}

int __wrap_socket(int family, int type, int protocol)
{
	int ends[2];

	if (family != AF_NETLINK)
		return __real_socket(family, type, protocol);
	if (pair_count == MAX_PAIRS || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends)) {
		errno = EMFILE;
		return -1;
	}
	/* A number that was closed meanwhile is used again. */
	for (unsigned int i = 0; i < pair_count; i++)
		if (pairs[i].near == ends[0])
			pairs[i].near = -1;
	pairs[pair_count++] = (struct pair){ ends[0], ends[1] };
	return ends[0];
}

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)fd, (void)addr, (void)len;
	return 0;
}

int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)fd, (void)addr, (void)len;
	return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	(void)fd, (void)level, (void)name, (void)value, (void)len;
	return 0;
}

/* A question. */
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
	struct nlmsghdr h;

	(void)flags;
	memcpy(&h, data, sizeof(h));
	answer(fd, h.nlmsg_seq);
	return (ssize_t)len;
}

/* bpf(): which programs are at a device. */
long __wrap_syscall(long number, ...)
{
	(void)number;
	errno = EINVAL;
	return -1;
}

/* ---- the questions ---- */

static size_t seen; /* bytes of names: that they are read to their end */

static int on_link(void *ctx, int ifindex, const char *name)
{
	(void)ctx, (void)ifindex;
	seen += strlen(name);
	return 0;
}

static int on_filter(void *ctx, const char *kind, const char *bpf_name, uint32_t handle, uint32_t priority)
{
	(void)ctx, (void)handle, (void)priority;
	seen += strlen(kind) + strlen(bpf_name);
	return 0;
}

static int on_address(void *ctx, int ip_version, const uint8_t *addr)
{
	(void)ctx;
	for (int i = 0; i < (ip_version == 4 ? 4 : 16); i++)
		seen += addr[i];
	return 0;
}

static void on_record(void *ctx, const void *record, size_t size)
{
	const unsigned char *bytes = record;

	(void)ctx;
	for (size_t i = 0; i < size; i++)
		seen += bytes[i];
}

static void look(void)
{
	struct look l = { .fn = on_record };
	struct space space = { .inum = 4026531840u };

	space_look(&l, &space, true);
	space_look(&l, &space, false);
	space_gone(&l, &space);
	space_free(&space);
	free(l.places);
}

static void ask_sockdiag(uint8_t version)
{
	struct rec_tuple t = { .saddr = { 10, 0, 0, 1 }, .daddr = { 10, 0, 0, 2 }, .sport = 1, .dport = 2,
			       .ip_version = version };
	struct sockdiag_socket found;
	struct stat own;

	if (!stat("/proc/thread-self/ns/net", &own))
		sockdiag_find((uint32_t)own.st_ino, 0, 0, &t, &found);
}

static void ask(uint8_t question)
{
	bool flag = false;
	int fd = -1;

	switch (question % 8) {
	case 0:
		netlink_for_each_link(on_link, NULL);
		break;
	case 1:
		netlink_for_each_filter(1, 0, on_filter, NULL);
		break;
	case 2:
		fd = netlink_open_route();
		netlink_for_each_address(fd, on_address, NULL);
		break;
	case 3:
		fd = netlink_open_route();
		netlink_filters_consume(fd, 1, 0, &flag);
		break;
	case 4:
		fd = netlink_open_monitor();
		answer(fd, 0);
		netlink_read_monitor(fd, on_link, NULL, &flag);
		break;
	case 5:
		ask_sockdiag(question & 0x80 ? 6 : 4);
		break;
	case 6:
		fd = netlink_open_netfilter();
		netlink_has_hook(fd, "eth0", 1, &flag);
		netlink_has_nat_chain(fd, &flag);
		break;
	default:
		look();
	}
	if (fd >= 0)
		close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { data, size };
	uint8_t question = take_byte(&in);

	answers = in;
	ask(question);
	while (pair_count)
		close(pairs[--pair_count].far);
	netlink_filter_message_consumes(data, size < 4096 ? size : 4096);
	return 0;
}
