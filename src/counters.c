// SPDX-License-Identifier: MIT
#include "counters.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

unsigned int counters_cpus(void)
{
	int n = libbpf_num_possible_cpus();

	return n <= 0 || n > REBPF_MAX_CPUS ? REBPF_MAX_CPUS : (unsigned int)n;
}

void counters_read(const struct shared *shared, unsigned int cpus, struct counters *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned int cpu = 0; cpu < cpus; cpu++) {
		const volatile struct cpu_counts *cc = &shared->cpu[cpu];

		for (int k = 0; k < REC_KIND_COUNT; k++)
			out->produced[k] += cc->produced[k];
		for (int r = 0; r < RING_COUNT; r++)
			out->lost[r] += cc->lost[r];
		out->drops += cc->drops;
		out->drops_tcp += cc->drops_tcp;
		out->slot_failed += cc->slot_failed;
		out->wakeups += cc->wakeups;
		out->injected += cc->injected;
	}
	for (int k = 0; k < REC_KIND_COUNT; k++)
		out->produced_all += out->produced[k];
}

int counters_each_lost(int map_fd, unsigned int cpus, counters_lost_fn *fn, void *ctx)
{
	/* The kernel writes a value for every possible CPU. */
	int possible = libbpf_num_possible_cpus();
	unsigned int n = possible > (int)cpus ? (unsigned int)possible : cpus;
	struct lost_count *values = calloc(n, sizeof(*values));
	struct lost_key key, *previous = NULL;

	if (!values)
		return -ENOMEM;
	/* Entries are never deleted, so the walk comes to an end; bounded all the same. */
	for (unsigned int i = 0; i < 2 * REBPF_MAX_LOST && !bpf_map_get_next_key(map_fd, previous, &key); i++) {
		struct lost_count total = {};

		previous = &key;
		if (bpf_map_lookup_elem(map_fd, &key, values))
			continue;
		for (unsigned int cpu = 0; cpu < n; cpu++) {
			total.events += values[cpu].events;
			total.segs += values[cpu].segs;
		}
		fn(ctx, &key, &total);
	}
	free(values);
	return 0;
}
