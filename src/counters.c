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
		out->drops_tcp += cc->produced[REC_DROP] + cc->drops_unrecorded - cc->drops_foreign;
		out->slot_failed += cc->slot_failed;
		out->wakeups += cc->wakeups;
		out->injected += cc->injected;
	}
	for (int k = 0; k < REC_KIND_COUNT; k++)
		out->produced_all += out->produced[k];
}

/* The kernel reads and writes a value for every possible CPU. */
static struct lost_count *lost_values(unsigned int cpus, unsigned int *n)
{
	int possible = libbpf_num_possible_cpus();

	*n = possible > (int)cpus ? (unsigned int)possible : cpus;
	return calloc(*n, sizeof(struct lost_count));
}

int counters_prepare_lost(int map_fd, unsigned int cpus)
{
	unsigned int n = 3, possible;
	struct lost_count *none = lost_values(cpus, &possible);
	struct lost_key key[3 + DROP_SOURCE_COUNT + 2 * (RTX_REACHED_UNKNOWN + 1)] = {
		{ .kind = REC_CONNECT }, { .kind = REC_SPURIOUS }, { .kind = REC_DROP, .tcp = 0 },
	};
	int err = none ? 0 : -ENOMEM;

	for (unsigned int source = 0; source < DROP_SOURCE_COUNT; source++)
		key[n++] = (struct lost_key){ .kind = REC_DROP, .tcp = 1, .source = (uint8_t)source };
	for (unsigned int reached = 0; reached <= RTX_REACHED_UNKNOWN; reached++)
		for (unsigned int synack = 0; synack < 2; synack++)
			key[n++] = (struct lost_key){ .kind = REC_RTX_EXIT, .reached = (uint8_t)reached,
						      .synack = (uint8_t)synack };
	for (unsigned int i = 0; i < n && !err; i++)
		err = bpf_map_update_elem(map_fd, &key[i], none, BPF_NOEXIST);
	free(none);
	return err;
}

int counters_each_lost(int map_fd, unsigned int cpus, counters_lost_fn *fn, void *ctx)
{
	unsigned int n;
	struct lost_count *values = lost_values(cpus, &n);
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
