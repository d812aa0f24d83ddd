// SPDX-License-Identifier: MIT
#include "ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"

/* The position is published after so many records: its cache line is the producers' too. */
#define PUBLISH_EVERY 64

/* Layout: kernel/bpf/ringbuf.c. One page for the consumer, one for the producer, then the data, mapped twice. */
struct ring {
	size_t page, bytes;
	unsigned long *consumer_pos;
	const unsigned long *producer_pos;
	const unsigned char *data;
};

int ring_open(struct ring **out, int map_fd, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct ring *r = calloc(1, sizeof(*r));
	void *consumer, *producer;

	if (!r)
		return log_error(-ENOMEM, "out of memory");
	consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (consumer == MAP_FAILED) {
		free(r);
		return log_error(-errno, "cannot map a ring buffer: %s", strerror(errno));
	}
	producer = mmap(NULL, page + 2 * bytes, PROT_READ, MAP_SHARED, map_fd, (off_t)page);
	if (producer == MAP_FAILED) {
		munmap(consumer, page);
		free(r);
		return log_error(-errno, "cannot map a ring buffer: %s", strerror(errno));
	}
	r->page = page;
	r->bytes = bytes;
	r->consumer_pos = consumer;
	r->producer_pos = producer;
	r->data = (const unsigned char *)producer + page;
	*out = r;
	return 0;
}

size_t ring_drain(struct ring *r, size_t budget, ring_record_fn *fn, void *ctx, bool *all)
{
	unsigned long pos = __atomic_load_n(r->consumer_pos, __ATOMIC_RELAXED);
	unsigned long end = __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE), first_end = end;
	size_t done = 0, records = 0;

	while (pos != end && done < budget) {
		const unsigned char *head = r->data + (pos & (r->bytes - 1));
		uint32_t word = __atomic_load_n((const uint32_t *)head, __ATOMIC_ACQUIRE);
		uint32_t len = word & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (word & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(word & BPF_RINGBUF_DISCARD_BIT)) {
			fn(ctx, head + BPF_RINGBUF_HDR_SZ, len);
			records++;
		}
		pos += (len + BPF_RINGBUF_HDR_SZ + 7) & ~7UL;
		if (++done % PUBLISH_EVERY == 0)
			__atomic_store_n(r->consumer_pos, pos, __ATOMIC_RELEASE);
		if (pos == end)
			end = __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE);
	}
	__atomic_store_n(r->consumer_pos, pos, __ATOMIC_RELEASE);
	*all = (long)(pos - first_end) >= 0;
	return records;
}

bool ring_is_empty(const struct ring *r)
{
	return __atomic_load_n(r->consumer_pos, __ATOMIC_RELAXED) ==
	       __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE);
}

void ring_close(struct ring *r)
{
	if (!r)
		return;
	munmap(r->consumer_pos, r->page);
	munmap((void *)r->producer_pos, r->page + 2 * r->bytes);
	free(r);
}
