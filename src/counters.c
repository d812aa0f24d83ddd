// SPDX-License-Identifier: MIT
#include "counters.h"

#include <bpf/libbpf.h>
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
	}
	for (int k = 0; k < REC_KIND_COUNT; k++)
		out->produced_all += out->produced[k];
}
