// SPDX-License-Identifier: MIT
/*
 * A wire between two TUN devices, outside the kernel: it carries packets in order, drops and delays by seed, translates
 * addresses so that each end looks remote to the other, and logs every TCP packet that it saw. Beside that it reads
 * NFLOG sockets, by which nftables shows every packet that passes a point of a namespace, into the same log: one clock
 * and, per namespace, the kernel's own order.
 *
 *   wire -a FD -b FD -o FILE [-s SEED] [-t SECONDS] [-d US,US] [-l PERMILLE,PERMILLE] [-k PERMILLE,PERMILLE,MS]
 *        [-m all|data|ack] [-h] [-n A,A2,R,B]... [-T FD,ID]...
 *
 *   -a, -b  the TUN devices (IFF_TUN | IFF_NO_PI), opened by the parent
 *   -d      delay of each packet in microseconds, a to b and b to a
 *   -l      share of packets dropped, a to b and b to a
 *   -k      share of packets at which the wire holds everything in that direction for MS, a to b and b to a
 *   -m      what may be dropped or start such a spike: all, only segments with data, only those without
 *   -h      spares SYNs
 *   -n      a's address A appears as A2 at b; b's address B appears as R at a
 *   -T      an NFLOG socket; the one-digit prefix of its packets plus 16 * ID is the number of the tap
 *
 * It ends at the end of stdin, on SIGTERM or after SECONDS, and then prints what it did as one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_PACKET 65536
#define MAX_QUEUED 100000
#define MAX_TAPS 8
#define MAX_NATS 4
#define BATCH 64
#define TCP_SYN 0x02
#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* Taps of the wire itself: its two directions. Those of NFLOG are 16 * ID + digit, ID from 1. */
enum direction { AB, BA };

enum verdict { PASSED, DROPPED, DELAYED, HELD, FAILED };

/* One line of the log; wire.py reads it. */
struct record {
	uint64_t at;  /* CLOCK_MONOTONIC, arrival */
	uint64_t out; /* release, 0: never */
	uint8_t tap;
	uint8_t verdict;
	uint8_t version;
	uint8_t flags;
	uint16_t sport, dport;
	uint32_t seq, end_seq, ack;
	uint32_t tsval, tsecr;
	uint32_t word; /* sum of the words at 24 and 28 of the TCP header, 0 if it is shorter: for the TC program's hash */
	uint16_t ip_id;
	uint8_t sacks;
	uint8_t zero;
	uint32_t sack[4][2];
	uint32_t len; /* of the IP packet */
};
_Static_assert(sizeof(struct record) == 88, "wire.py knows this size");

struct packet {
	struct packet *next;
	uint64_t release;
	struct record r;
	bool is_tcp;
	size_t len;
	uint8_t data[];
};

/* Addresses as they are at a's end and at b's end. */
struct nat {
	uint8_t a[16], a2[16], r[16], b[16];
	size_t size;
};

struct way {
	int from, to;
	uint64_t rng;
	unsigned int lose, spike; /* per mille */
	unsigned int delay_us;
	uint64_t held_until;
	uint64_t last_spike;
	struct packet *first, **last;
	unsigned int queued;
	uint64_t passed, dropped, delayed, failed, spikes, overflows, bytes;
};

struct tap {
	int fd;
	unsigned int id;
	uint32_t next_seq;
	bool begun;
	uint64_t messages, missing;
};

static struct way ways[2] = {{.from = -1, .to = -1}, {.from = -1, .to = -1}};
static struct tap taps[MAX_TAPS];
static unsigned int tap_count;
static struct nat nats[MAX_NATS];
static unsigned int nat_count;
static uint64_t spike_ns;
static bool spare_syn;
static char match = 'a'; /* all, data, or k for acknowledgements */
static FILE *out;
static volatile sig_atomic_t stopping;

static void die(const char *what)
{
	fprintf(stderr, "wire: %s: %s\n", what, errno ? strerror(errno) : "bad");
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* xorshift64*: the same losses with the same seed and the same packets */
static unsigned int permille(struct way *w)
{
	w->rng ^= w->rng >> 12;
	w->rng ^= w->rng << 25;
	w->rng ^= w->rng >> 27;
	return (unsigned int)((w->rng * 0x2545f4914f6cdd1dull) >> 33) % 1000;
}

/* ---- packets ---- */

static void parse_options(const uint8_t *o, size_t len, struct record *r)
{
	size_t i = 0;

	while (i < len && o[i] != 0) {
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= len || o[i + 1] < 2 || i + o[i + 1] > len)
			return;
		if (o[i] == 8 && o[i + 1] == 10) {
			r->tsval = be32(o + i + 2);
			r->tsecr = be32(o + i + 6);
		}
		if (o[i] == 5) {
			for (size_t j = i + 2; j + 8 <= i + o[i + 1] && r->sacks < 4; j += 8, r->sacks++) {
				r->sack[r->sacks][0] = be32(o + j);
				r->sack[r->sacks][1] = be32(o + j + 4);
			}
		}
		i += o[i + 1];
	}
}

/* Offset of the TCP header of an IP packet, of which only the start may be there; 0 if it is none. */
static size_t tcp_offset(const uint8_t *p, size_t len)
{
	if (len >= 40 && p[0] >> 4 == 4 && p[9] == 6 && !(be16(p + 6) & 0x1fff))
		return (size_t)(p[0] & 15) * 4;
	if (len >= 60 && p[0] >> 4 == 6 && p[6] == 6)
		return 40;
	return 0;
}

static bool parse(const uint8_t *p, size_t len, struct record *r)
{
	size_t off = tcp_offset(p, len), head;

	if (!off || len < off + 20)
		return false;
	const uint8_t *th = p + off;
	r->version = p[0] >> 4;
	r->ip_id = r->version == 4 ? be16(p + 4) : 0;
	r->len = r->version == 4 ? be16(p + 2) : be16(p + 4) + 40u;
	r->sport = be16(th);
	r->dport = be16(th + 2);
	r->seq = be32(th + 4);
	r->ack = be32(th + 8);
	r->flags = th[13];
	head = (size_t)(th[12] >> 4) * 4;
	if (head < 20 || r->len < off + head)
		return false;
	r->end_seq = r->seq + r->len - (uint32_t)(off + head) + !!(r->flags & 2) + !!(r->flags & 1);
	if (head >= 32 && len >= off + 32)
		r->word = be32(th + 24) + be32(th + 28);
	parse_options(th + 20, (head < len - off ? head : len - off) - 20, r);
	return true;
}

static void log_record(const struct record *r)
{
	if (fwrite(r, sizeof(*r), 1, out) != 1)
		die("log");
}

/* Incremental update of an internet checksum (RFC 1624) for replaced bytes. */
static void fix_checksum(uint8_t *sum, const uint8_t *before, const uint8_t *after, size_t size)
{
	uint32_t total = (uint16_t)~be16(sum);

	for (size_t i = 0; i < size; i += 2)
		total += (uint16_t)~be16(before + i) + (uint32_t)be16(after + i);
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	sum[0] = (uint8_t)(~total >> 8);
	sum[1] = (uint8_t)~total;
}

static void replace(uint8_t *p, size_t off, size_t at, const uint8_t *before, const uint8_t *after, size_t size)
{
	if (memcmp(p + at, before, size))
		return;
	fix_checksum(p + off + 16, before, after, size);
	if (size == 4)
		fix_checksum(p + 10, before, after, size);
	memcpy(p + at, after, size);
}

static void translate(uint8_t *p, size_t off, enum direction dir)
{
	size_t size = p[0] >> 4 == 4 ? 4 : 16, src = size == 4 ? 12 : 8;

	for (unsigned int i = 0; i < nat_count; i++) {
		const struct nat *n = &nats[i];

		if (n->size != size)
			continue;
		if (dir == AB) {
			replace(p, off, src, n->a, n->a2, size);
			replace(p, off, src + size, n->r, n->b, size);
		} else {
			replace(p, off, src, n->b, n->r, size);
			replace(p, off, src + size, n->a2, n->a, size);
		}
	}
}

/* ---- the wire ---- */

static bool may_touch(const struct record *r)
{
	bool data = r->end_seq != r->seq;

	if (spare_syn && (r->flags & TCP_SYN))
		return false;
	return match == 'a' || (match == 'd') == data;
}

static void arrive(struct way *w, enum direction dir, const uint8_t *data, size_t len)
{
	struct record r = {.at = now_ns(), .tap = dir};
	bool is_tcp = parse(data, len, &r), touch = is_tcp && may_touch(&r);
	uint64_t release = r.at + w->delay_us * NS_PER_US;

	if (!is_tcp && nat_count)
		return;
	if (touch && w->lose && permille(w) < w->lose) {
		w->dropped++;
		r.verdict = DROPPED;
		log_record(&r);
		return;
	}
	if (w->queued >= MAX_QUEUED) {
		w->overflows++;
		r.verdict = FAILED;
		log_record(&r);
		return;
	}
	/* Between two spikes the flows find back to their pace. */
	if (touch && w->spike && r.at > w->last_spike + 3 * spike_ns && permille(w) < w->spike) {
		w->spikes++;
		w->last_spike = r.at;
		w->held_until = r.at + spike_ns;
	}
	if (w->held_until > release) {
		release = w->held_until;
		r.verdict = DELAYED;
	}
	struct packet *p = malloc(sizeof(*p) + len);
	if (!p)
		die("memory");
	p->next = NULL;
	p->release = release;
	p->r = r;
	p->is_tcp = is_tcp;
	p->len = len;
	memcpy(p->data, data, len);
	*w->last = p;
	w->last = &p->next;
	w->queued++;
}

static void release_due(struct way *w, enum direction dir, uint64_t now)
{
	for (int i = 0; i < BATCH && w->first && w->first->release <= now; i++) {
		struct packet *p = w->first;

		w->first = p->next;
		if (!w->first)
			w->last = &w->first;
		w->queued--;
		if (p->is_tcp)
			translate(p->data, tcp_offset(p->data, p->len), dir);
		/* Before it is written: what the receiver answers at once comes after it. */
		p->r.out = now_ns();
		if (write(w->to, p->data, p->len) < 0) {
			w->failed++;
			p->r.verdict = FAILED;
		} else {
			w->passed++;
			w->bytes += p->len;
			w->delayed += p->r.verdict == DELAYED;
		}
		if (p->is_tcp)
			log_record(&p->r);
		free(p);
	}
}

static void carry(struct way *w, enum direction dir)
{
	static uint8_t buf[MAX_PACKET];

	for (int i = 0; i < BATCH; i++) {
		ssize_t n = read(w->from, buf, sizeof(buf));

		if (n <= 0)
			return;
		arrive(w, dir, buf, (size_t)n);
	}
}

static void end_way(struct way *w)
{
	while (w->first) {
		struct packet *p = w->first;

		w->first = p->next;
		p->r.verdict = HELD;
		if (p->is_tcp)
			log_record(&p->r);
		free(p);
	}
	w->last = &w->first;
}

/* ---- the taps ---- */

static void tap_message(struct tap *t, const struct nlmsghdr *h, uint64_t at)
{
	const struct nlattr *a = (const void *)((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct nfgenmsg)));
	const char *end = (const char *)h + h->nlmsg_len;
	const uint8_t *payload = NULL, *prefix = NULL;
	size_t len = 0;
	uint32_t seq = 0;
	bool has_seq = false;

	if (h->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
		return;
	for (; (const char *)a + sizeof(*a) <= end && a->nla_len >= sizeof(*a) && (const char *)a + a->nla_len <= end;
	     a = (const void *)((const char *)a + NLA_ALIGN(a->nla_len))) {
		const uint8_t *data = (const uint8_t *)a + NLA_HDRLEN;

		switch (a->nla_type & NLA_TYPE_MASK) {
		case NFULA_PAYLOAD:
			payload = data;
			len = a->nla_len - (size_t)NLA_HDRLEN;
			break;
		case NFULA_PREFIX:
			prefix = data;
			break;
		case NFULA_SEQ:
			seq = be32(data);
			has_seq = true;
			break;
		default:
			break;
		}
	}
	t->messages++;
	if (has_seq) {
		if (t->begun)
			t->missing += seq - t->next_seq;
		t->begun = true;
		t->next_seq = seq + 1;
	}
	struct record r = {.at = at, .tap = (uint8_t)(16 * t->id)};
	if (prefix && prefix[0] >= '0' && prefix[0] <= '9')
		r.tap = (uint8_t)(r.tap + prefix[0] - '0');
	if (payload && parse(payload, len, &r))
		log_record(&r);
}

static bool read_tap(struct tap *t)
{
	static char buf[65536] __attribute__((aligned(8)));
	ssize_t n = recv(t->fd, buf, sizeof(buf), MSG_DONTWAIT);
	uint64_t at = now_ns();

	if (n < 0 && errno == ENOBUFS)
		return true; /* the serial numbers tell how many are missing */
	if (n <= 0)
		return false;
	size_t left = (size_t)n;
	for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
		tap_message(t, h, at);
	return true;
}

static void read_taps(int most)
{
	for (unsigned int i = 0; i < tap_count; i++)
		for (int j = 0; j < most && read_tap(&taps[i]); j++)
			;
}

/* ---- main ---- */

static void on_signal(int sig)
{
	(void)sig;
	stopping = 1;
}

static void add_nat(char *text)
{
	char *part[4];
	struct nat *n = &nats[nat_count];

	if (nat_count == MAX_NATS)
		die("-n");
	for (int i = 0; i < 4; i++) {
		part[i] = strsep(&text, ",");
		if (!part[i])
			die("-n");
	}
	int family = strchr(part[0], ':') ? AF_INET6 : AF_INET;
	n->size = family == AF_INET ? 4 : 16;
	if (inet_pton(family, part[0], n->a) != 1 || inet_pton(family, part[1], n->a2) != 1 ||
	    inet_pton(family, part[2], n->r) != 1 || inet_pton(family, part[3], n->b) != 1)
		die("-n");
	nat_count++;
}

static unsigned long long options(int argc, char **argv)
{
	unsigned long long seed = 1, seconds = 60;
	unsigned int ms = 0;
	int opt;

	while ((opt = getopt(argc, argv, "a:b:o:s:t:d:l:k:m:hn:T:")) != -1) {
		int ok = 1;

		switch (opt) {
		case 'a':
			ways[AB].from = ways[BA].to = atoi(optarg);
			break;
		case 'b':
			ways[BA].from = ways[AB].to = atoi(optarg);
			break;
		case 'o':
			out = fopen(optarg, "wb");
			break;
		case 's':
			ok = sscanf(optarg, "%llu", &seed) == 1;
			break;
		case 't':
			ok = sscanf(optarg, "%llu", &seconds) == 1;
			break;
		case 'd':
			ok = sscanf(optarg, "%u,%u", &ways[AB].delay_us, &ways[BA].delay_us) == 2;
			break;
		case 'l':
			ok = sscanf(optarg, "%u,%u", &ways[AB].lose, &ways[BA].lose) == 2;
			break;
		case 'k':
			ok = sscanf(optarg, "%u,%u,%u", &ways[AB].spike, &ways[BA].spike, &ms) == 3;
			break;
		case 'm':
			match = strcmp(optarg, "ack") ? optarg[0] : 'k';
			break;
		case 'h':
			spare_syn = true;
			break;
		case 'n':
			add_nat(optarg);
			break;
		case 'T':
			ok = tap_count < MAX_TAPS &&
			     sscanf(optarg, "%d,%u", &taps[tap_count].fd, &taps[tap_count].id) == 2;
			tap_count++;
			break;
		default:
			ok = 0;
		}
		if (!ok)
			die("usage");
	}
	if (ways[AB].from < 0 || ways[BA].from < 0 || !out)
		die("usage: -a, -b and -o are needed");
	for (int i = 0; i < 2; i++) {
		ways[i].rng = (seed * 2 + (unsigned int)i + 1) * 0x9e3779b97f4a7c15ull;
		ways[i].last = &ways[i].first;
		if (fcntl(ways[i].from, F_SETFL, O_NONBLOCK))
			die("a TUN device");
	}
	spike_ns = ms * NS_PER_MS;
	return seconds;
}

static struct timespec until_next(uint64_t now, uint64_t end)
{
	uint64_t next = end;

	for (int i = 0; i < 2; i++)
		if (ways[i].first && ways[i].first->release < next)
			next = ways[i].first->release;
	next = next > now ? next - now : 0;
	return (struct timespec){.tv_sec = (time_t)(next / NS_PER_S), .tv_nsec = (long)(next % NS_PER_S)};
}

static void loop(uint64_t end)
{
	struct pollfd fds[3 + MAX_TAPS] = {
		{.fd = 0, .events = POLLIN},
		{.fd = ways[AB].from, .events = POLLIN},
		{.fd = ways[BA].from, .events = POLLIN},
	};

	for (unsigned int i = 0; i < tap_count; i++)
		fds[3 + i] = (struct pollfd){.fd = taps[i].fd, .events = POLLIN};
	while (!stopping) {
		uint64_t now = now_ns();
		char c;

		if (now >= end)
			return;
		struct timespec wait = until_next(now, end);
		if (ppoll(fds, 3 + tap_count, &wait, NULL) < 0 && errno != EINTR)
			die("poll");
		if (fds[0].revents && read(0, &c, 1) <= 0)
			return;
		/* First what happened, then what follows from it. */
		read_taps(4096);
		for (int i = 0; i < 2; i++) {
			carry(&ways[i], (enum direction)i);
			release_due(&ways[i], (enum direction)i, now_ns());
		}
	}
}

static void report(void)
{
	uint64_t missing = 0, messages = 0;

	for (unsigned int i = 0; i < tap_count; i++) {
		missing += taps[i].missing;
		messages += taps[i].messages;
	}
	printf("{\"tapped\": %llu, \"missing\": %llu", (unsigned long long)messages, (unsigned long long)missing);
	for (int i = 0; i < 2; i++) {
		const struct way *w = &ways[i];

		printf(", \"%s\": {\"passed\": %llu, \"dropped\": %llu, \"delayed\": %llu, \"failed\": %llu, "
		       "\"overflows\": %llu, \"spikes\": %llu, \"bytes\": %llu}", i == AB ? "ab" : "ba",
		       (unsigned long long)w->passed, (unsigned long long)w->dropped, (unsigned long long)w->delayed,
		       (unsigned long long)w->failed, (unsigned long long)w->overflows,
		       (unsigned long long)w->spikes, (unsigned long long)w->bytes);
	}
	printf("}\n");
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};
	uint64_t seconds = options(argc, argv);

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	loop(now_ns() + seconds * NS_PER_S);
	end_way(&ways[AB]);
	end_way(&ways[BA]);
	read_taps(1 << 20);
	if (fclose(out))
		die("log");
	report();
	return 0;
}
