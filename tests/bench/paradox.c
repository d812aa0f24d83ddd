// SPDX-License-Identifier: MIT
/*
 * A consumer of a BPF ring buffer that is as simple as they come, for scripts/ringbuf-paradox.sh: one record for each
 * packet that is dropped, read as it comes, until SIGINT.
 *
 *	paradox WORK FLAGS [NS]
 *	WORK	count: nothing; busy: a line of text is made and thrown away; file: and written to stdout, buffered;
 *		delay: NS nanoseconds of nothing else; yield: a system call that does nothing
 *	FLAGS	adaptive: the kernel wakes the consumer if it had read all there was; never: it looks by itself every
 *		millisecond; always: it is woken for every record
 *
 * Prints "ready" at once, and at the end: PRODUCED LOST READ WAKEUPS CPU-SECONDS.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES (16u << 20)
#define POLL_NS 1000000

struct record {
	__u64 ts_ns, location;
};

struct counts {
	__u64 produced, lost;
};

struct ring {
	unsigned long *consumer;
	const unsigned long *producer;
	const char *data;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
	(void)signal;
	stopped = 1;
}

static int fail(const char *what)
{
	fprintf(stderr, "paradox: %s: %s\n", what, strerror(errno));
	return 1;
}

#define INSN(c, d, s, o, i) { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }
#define LOAD64(d, kind, fd, off) INSN(BPF_LD | BPF_DW | BPF_IMM, d, kind, 0, fd), INSN(0, 0, 0, 0, off)
#define CALL(func) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, func)
#define COUNT(off) INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, off, BPF_ADD)

/* Time and location of each drop into the ring, and a count of both outcomes. */
static int load(int ring, int counts, int flags)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 7, 1, 8, 0), /* the second argument of skb:kfree_skb */
		CALL(BPF_FUNC_ktime_get_ns),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 0, -16, 0),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 7, -8, 0),
		LOAD64(1, BPF_PSEUDO_MAP_FD, ring, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -16),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, sizeof(struct record)),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, flags),
		CALL(BPF_FUNC_ringbuf_output),
		LOAD64(1, BPF_PSEUDO_MAP_VALUE, counts, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 1),
		COUNT(offsetof(struct counts, produced)),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0),
		COUNT(offsetof(struct counts, lost)),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	int prog = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "paradox", "GPL", insns, sizeof(insns) / sizeof(insns[0]), NULL);

	return prog < 0 ? -1 : bpf_raw_tracepoint_open("kfree_skb", prog);
}

static int map_ring(struct ring *r, int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *producer;

	r->consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	producer = mmap(NULL, page + 2 * RING_BYTES, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (r->consumer == MAP_FAILED || producer == MAP_FAILED)
		return -1;
	r->producer = (const void *)producer;
	r->data = producer + page;
	return 0;
}

static __u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (__u64)t.tv_sec * 1000000000 + (__u64)t.tv_nsec;
}

static void work(const char *how, long ns, const struct record *rec)
{
	char line[128];
	time_t t = (time_t)(rec->ts_ns / 1000000000);
	struct tm tm;
	int n;

	if (how[0] == 'd') {
		__u64 until = now_ns() + (__u64)ns;

		while (now_ns() < until)
			;
	} else if (how[0] == 'y') {
		sched_yield();
	} else if (how[0] == 'b' || how[0] == 'f') {
		localtime_r(&t, &tm);
		n = snprintf(line, sizeof(line), "[%02d:%02d:%02d] Drop | PID: %-6d | Reason: %-18s | Function: 0x%llx\n", tm.tm_hour,
			     tm.tm_min, tm.tm_sec, 0, "NETFILTER_DROP", (unsigned long long)rec->location);
		if (how[0] == 'f')
			fwrite(line, 1, (size_t)n, stdout);
	}
}

/* One record after another, each given back at once; returns how many. */
static __u64 drain(struct ring *r, const char *how, long ns)
{
	unsigned long at = *r->consumer;
	__u64 n = 0;

	while (at != __atomic_load_n(r->producer, __ATOMIC_ACQUIRE) && !stopped) {
		const char *head = r->data + (at & (RING_BYTES - 1));
		__u32 len = __atomic_load_n((const __u32 *)(const void *)head, __ATOMIC_ACQUIRE);

		if (len & BPF_RINGBUF_BUSY_BIT)
			break;
		work(how, ns, (const void *)(head + BPF_RINGBUF_HDR_SZ));
		n++;
		at += (len + BPF_RINGBUF_HDR_SZ + 7) & ~7ul;
		__atomic_store_n(r->consumer, at, __ATOMIC_SEQ_CST);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "adaptive", "never", "always" };
	static const int flags[] = { 0, BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP };
	static char buffer[256 << 10];
	struct timespec pause = { .tv_nsec = POLL_NS };
	int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "paradox", 0, 0, RING_BYTES, NULL);
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "paradox", sizeof(__u32), sizeof(struct counts), 1, NULL);
	int epoll = epoll_create1(EPOLL_CLOEXEC), which = 0;
	struct epoll_event event = { .events = EPOLLIN };
	__u64 seen = 0, wakeups = 0;
	struct counts counts;
	struct rusage used;
	struct ring r;
	__u32 zero = 0;

	while (argc > 2 && which < 3 && strcmp(argv[2], names[which]))
		which++;
	if (argc < 3 || which == 3)
		return fprintf(stderr, "usage: paradox count|busy|file|delay|yield adaptive|never|always [NS]\n"), 2;
	if (ring < 0 || map < 0 || epoll < 0 || map_ring(&r, ring) || epoll_ctl(epoll, EPOLL_CTL_ADD, ring, &event))
		return fail("cannot make the ring buffer");
	if (load(ring, map, flags[which]) < 0)
		return fail("cannot attach to skb:kfree_skb");
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	signal(SIGINT, on_signal);
	fprintf(stderr, "ready\n");
	while (!stopped) {
		seen += drain(&r, argv[1], argc > 3 ? atol(argv[3]) : 0);
		if (flags[which] == BPF_RB_NO_WAKEUP)
			nanosleep(&pause, NULL);
		else
			wakeups += epoll_wait(epoll, &event, 1, 100) > 0;
	}
	fflush(stdout);
	getrusage(RUSAGE_SELF, &used);
	if (bpf_map_lookup_elem(map, &zero, &counts))
		return fail("cannot read the counts");
	fprintf(stderr, "%llu %llu %llu %llu %.3f\n", (unsigned long long)counts.produced, (unsigned long long)counts.lost,
		(unsigned long long)seen, (unsigned long long)wakeups,
		(double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6 + (double)used.ru_stime.tv_sec +
			(double)used.ru_stime.tv_usec / 1e6);
	return 0;
}
