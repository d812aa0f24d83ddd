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

struct ring {
	const struct ring_kind *kind;
	size_t bytes, page;
	uint64_t *tail;       /* how far it has been read; written by us */
	const uint64_t *head; /* and reserved; in the kind's units */
	unsigned char *data;
	void *map, *tail_map; /* the second: NULL if the tail is no page of its own */
	size_t map_size;
};

/* @next: the record at @pos, NULL: it is not finished; its size, 0 if it is to be skipped, and where the next one begins. */
struct ring_kind {
	const void *(*next)(const struct ring *r, uint64_t pos, size_t *size, uint64_t *after);
	void (*done)(const struct ring *r, uint64_t pos, uint64_t after);
};

/* ---- the kernel's ring buffer, kernel/bpf/ringbuf.c: positions in bytes, the data mapped twice ---- */

static const void *buffer_next(const struct ring *r, uint64_t pos, size_t *size, uint64_t *after)
{
	const unsigned char *head = r->data + (pos & (r->bytes - 1));
	uint32_t word = __atomic_load_n((const uint32_t *)head, __ATOMIC_ACQUIRE);
	uint32_t len = word & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

	if (word & BPF_RINGBUF_BUSY_BIT)
		return NULL;
	*size = word & BPF_RINGBUF_DISCARD_BIT ? 0 : len;
	*after = pos + ((len + BPF_RINGBUF_HDR_SZ + 7) & ~7U);
	return head + BPF_RINGBUF_HDR_SZ;
}

static void buffer_done(const struct ring *r, uint64_t pos, uint64_t after)
{
	(void)r, (void)pos, (void)after;
}

static const struct ring_kind kind_buffer = { buffer_next, buffer_done };

/* One page for the consumer, one for the producer, then the data. */
int ring_open(struct ring **out, int map_fd, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct ring *r = calloc(1, sizeof(*r));

	if (!r)
		return log_error(-ENOMEM, "out of memory");
	r->kind = &kind_buffer;
	r->bytes = bytes;
	r->page = page;
	r->map_size = page + 2 * bytes;
	r->map = MAP_FAILED;
	r->tail_map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (r->tail_map != MAP_FAILED)
		r->map = mmap(NULL, r->map_size, PROT_READ, MAP_SHARED, map_fd, (off_t)page);
	if (r->map == MAP_FAILED) {
		int err = -errno;

		if (r->tail_map != MAP_FAILED)
			munmap(r->tail_map, page);
		free(r);
		return log_error(err, "cannot map a ring buffer: %s", strerror(-err));
	}
	r->tail = r->tail_map;
	r->head = r->map;
	r->data = (unsigned char *)r->map + page;
	*out = r;
	return 0;
}

/* ---- lines, bpf/ring.bpf.h ---- */

static unsigned char *line_at(const struct ring *r, uint64_t pos)
{
	return r->data + (pos * REBPF_RING_LINE & (r->bytes - 1));
}

static const void *lines_next(const struct ring *r, uint64_t pos, size_t *size, uint64_t *after)
{
	const unsigned char *line = line_at(r, pos);
	uint64_t len = __atomic_load_n((const uint64_t *)(const void *)line, __ATOMIC_ACQUIRE);

	if (!len)
		return NULL;
	*size = len;
	*after = pos + (len + sizeof(len) + REBPF_RING_LINE - 1) / REBPF_RING_LINE;
	return line + sizeof(len);
}

/* So that a record of the next round that begins at one of these lines is not taken for finished. */
static void lines_done(const struct ring *r, uint64_t pos, uint64_t after)
{
	unsigned char *line = line_at(r, pos);

	for (; pos != after; pos++, line += REBPF_RING_LINE)
		*(uint64_t *)(void *)line = 0;
}

static const struct ring_kind kind_lines = { lines_next, lines_done };

int ring_open_lines(struct ring **out, int map_fd, size_t bytes, struct ring_place *place)
{
	struct ring *r = calloc(1, sizeof(*r));

	if (!r)
		return log_error(-ENOMEM, "out of memory");
	r->kind = &kind_lines;
	r->bytes = bytes;
	r->map_size = bytes + REBPF_RING_BEYOND;
	r->map = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (r->map == MAP_FAILED) {
		int err = -errno;

		free(r);
		return log_error(err, "cannot map a ring: %s", strerror(-err));
	}
	r->tail = (uint64_t *)&place->tail;
	r->head = (uint64_t *)&place->head;
	r->data = r->map;
	*out = r;
	return 0;
}

/* ---- either ---- */

size_t ring_drain(struct ring *r, size_t budget, ring_record_fn *fn, void *ctx, bool *all)
{
	uint64_t pos = __atomic_load_n(r->tail, __ATOMIC_RELAXED), after;
	uint64_t end = __atomic_load_n(r->head, __ATOMIC_ACQUIRE), first_end = end;
	size_t done = 0, records = 0, size;

	while (pos != end && done < budget) {
		const void *record = r->kind->next(r, pos, &size, &after);

		if (!record)
			break;
		if (size) {
			fn(ctx, record, size);
			records++;
		}
		r->kind->done(r, pos, after);
		pos = after;
		if (++done % PUBLISH_EVERY == 0)
			__atomic_store_n(r->tail, pos, __ATOMIC_RELEASE);
		if (pos == end)
			end = __atomic_load_n(r->head, __ATOMIC_ACQUIRE);
	}
	__atomic_store_n(r->tail, pos, __ATOMIC_RELEASE);
	*all = (int64_t)(pos - first_end) >= 0;
	return records;
}

bool ring_is_empty(const struct ring *r)
{
	return __atomic_load_n(r->tail, __ATOMIC_RELAXED) == __atomic_load_n(r->head, __ATOMIC_ACQUIRE);
}

void ring_close(struct ring *r)
{
	if (!r)
		return;
	if (r->tail_map)
		munmap(r->tail_map, r->page);
	munmap(r->map, r->map_size);
	free(r);
}
