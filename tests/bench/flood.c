// SPDX-License-Identifier: MIT
/*
 * flood PORT COUNT: sends so many TCP SYNs to 127.0.0.1:PORT as fast as one thread can, and then says how fast that was:
 *
 *	packets 500000 seconds 1.234567 cpu 1.230000
 *
 * For scripts/compare.sh, in a namespace of its own. Their checksums are wrong, so that where no firewall drops them,
 * TCP does, without an answer. Needs CAP_NET_RAW.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
};

static struct packet packets[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];
static struct sockaddr_in to = { .sin_family = AF_INET };

static void make_packets(uint16_t port)
{
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned int i = 0; i < BATCH; i++) {
		struct packet *p = &packets[i];

		p->ip.version = 4;
		p->ip.ihl = sizeof(p->ip) / 4;
		p->ip.tot_len = htons(sizeof(*p));
		p->ip.ttl = 64;
		p->ip.protocol = IPPROTO_TCP;
		p->ip.saddr = p->ip.daddr = to.sin_addr.s_addr;
		p->tcp.source = htons((uint16_t)(20000 + i));
		p->tcp.dest = htons(port);
		p->tcp.doff = sizeof(p->tcp) / 4;
		p->tcp.syn = 1;
		p->tcp.check = 1;
		parts[i] = (struct iovec){ .iov_base = p, .iov_len = sizeof(*p) };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &parts[i], .msg_iovlen = 1,
		};
	}
}

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* Until @count are sent; false: they cannot be. What a firewall on the way out drops counts as sent. */
static int send_all(int fd, unsigned long count)
{
	unsigned long sent = 0;
	int n;

	while (sent < count) {
		unsigned long left = count - sent;

		for (unsigned int i = 0; i < BATCH; i++)
			packets[i].tcp.seq = htonl((uint32_t)(sent + i));
		n = sendmmsg(fd, messages, left < BATCH ? (unsigned int)left : BATCH, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		sent += (unsigned long)n;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long port = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), err;
	double began;

	if (!port || port > UINT16_MAX || !count) {
		fprintf(stderr, "usage: flood PORT COUNT\n");
		return 2;
	}
	if (fd < 0) {
		perror("flood: raw socket");
		return 1;
	}
	make_packets((uint16_t)port);
	began = seconds_now();
	err = send_all(fd, count);
	if (err) {
		fprintf(stderr, "flood: %s\n", strerror(-err));
		return 1;
	}
	printf("packets %lu seconds %.6f cpu %.6f\n", count, seconds_now() - began, cpu_seconds());
	return 0;
}
