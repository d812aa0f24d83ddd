/* SPDX-License-Identifier: MIT */
/*
 * Consumer of the rings: the kernel's ring buffers, and those of bpf/ring.bpf.h. Own reader instead of libbpf's: libbpf's poll
 * does not return while records keep coming, so timers and signals would starve, and it publishes its position record by record.
 */
#ifndef REBPF_RING_H
#define REBPF_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/config.h"

struct ring;

/* One record, @size bytes from the kernel; valid during the call. */
typedef void ring_record_fn(void *ctx, const void *data, size_t size);

/* Maps the ring buffer map @map_fd of @bytes. Negative errno with its message. */
int ring_open(struct ring **out, int map_fd, size_t bytes);

/*
 * Maps the array map @map_fd, a ring of @bytes and what lies beyond it; @place, of the shared words, must outlive the ring.
 * Negative errno with its message.
 */
int ring_open_lines(struct ring **out, int map_fd, size_t bytes, struct ring_place *place);

/*
 * Hands at most @budget records to @fn; returns how many. True in *all: everything that had been begun when it was called
 * has been read (not so if the budget, or a record that its producer has not finished, was in the way).
 */
size_t ring_drain(struct ring *r, size_t budget, ring_record_fn *fn, void *ctx, bool *all);

/* Is anything there, even if its producer has not finished it? */
bool ring_is_empty(const struct ring *r);

void ring_close(struct ring *r);

#endif
