// SPDX-License-Identifier: MIT
/*
 * One sender that pushes SYNs through loopback as fast as it can, and says how fast that was:
 *
 *	flood COUNT [FLOWS]	prints "COUNT SECONDS"
 *
 * To 127.0.0.1:9 from FLOWS source ports in turn (default 1000). Something is to drop them: run it in a network namespace
 * of its own (bench.py does).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define PORT 9

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
};

static uint16_t checksum(const void *data, size_t size, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void fill(struct packet *p, uint16_t sport, uint32_t seq)
{
	uint32_t pseudo = IPPROTO_TCP + sizeof(p->tcp);

	memset(p, 0, sizeof(*p));
	p->ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .tot_len = htons(sizeof(*p)),
				.saddr = htonl(INADDR_LOOPBACK), .daddr = htonl(INADDR_LOOPBACK) };
	p->tcp.source = htons(sport);
	p->tcp.dest = htons(PORT);
	p->tcp.seq = htonl(seq);
	p->tcp.doff = sizeof(p->tcp) / 4;
	p->tcp.syn = 1;
	p->tcp.window = htons(65535);
	p->tcp.check = checksum(&p->tcp, sizeof(p->tcp), pseudo + 2 * (INADDR_LOOPBACK >> 16) + 2 * (INADDR_LOOPBACK & 0xffff));
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, flows = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct packet packets[BATCH];
	struct mmsghdr messages[BATCH] = {};
	struct iovec vectors[BATCH];
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	double began;

	if (!count || !flows || flows > 60000 || fd < 0) {
		fprintf(stderr, "flood COUNT [FLOWS]: %s\n", fd < 0 ? strerror(errno) : "bad number");
		return 2;
	}
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){ &packets[i], sizeof(packets[i]) };
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &vectors[i], .msg_iovlen = 1 };
	}
	began = now();
	for (unsigned long sent = 0; sent < count;) {
		unsigned int n = count - sent < BATCH ? (unsigned int)(count - sent) : BATCH;

		for (unsigned int i = 0; i < n; i++)
			fill(&packets[i], (uint16_t)(1024 + (sent + i) % flows), (uint32_t)(sent + i));
		for (unsigned int done = 0; done < n;) {
			int out = sendmmsg(fd, messages + done, n - done, 0);

			/* EPERM: what dropped it said so. */
			if (out < 0 && errno != EPERM && errno != ENOBUFS)
				return perror("sendmmsg"), 1;
			done += out > 0 ? (unsigned int)out : 1;
		}
		sent += n;
	}
	printf("%lu %.6f\n", count, now() - began);
	return 0;
}
