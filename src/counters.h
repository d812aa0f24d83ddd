/* SPDX-License-Identifier: MIT */
/* The kernel side's counters, which stay exact when a ring overflows, as plain numbers. */
#ifndef REBPF_COUNTERS_H
#define REBPF_COUNTERS_H

#include <stdint.h>

#include "../bpf/config.h"

struct counters {
	uint64_t produced[REC_KIND_COUNT]; /* records wanted, by kind */
	uint64_t produced_all;
	uint64_t lost[RING_COUNT];
	uint64_t drops_tcp; /* TCP packets freed as drops, whether recorded or not */
	uint64_t slot_failed;
	uint64_t wakeups; /* of user space, by a record */
	uint64_t injected; /* copies that the classifier dropped for --inject */
};

/* Sums over the first @cpus CPUs. */
void counters_read(const struct shared *shared, unsigned int cpus, struct counters *out);

/* Makes the entries that take what finds no room of its own in the map of lost events (lost_key_rest). 0 or negative errno. */
int counters_prepare_lost(int map_fd, unsigned int cpus);

/* Takes the count of one sort of lost events over all CPUs. */
typedef void counters_lost_fn(void *ctx, const struct lost_key *key, const struct lost_count *total);

/*
 * Walks the map of lost events. @cpus: counters_cpus(). Counts are read while they grow: an event and its segments may be
 * told in two calls. 0 or a negative errno.
 */
int counters_each_lost(int map_fd, unsigned int cpus, counters_lost_fn *fn, void *ctx);

/* How many rows of the counters are in use: one per possible CPU. */
unsigned int counters_cpus(void);

#endif
