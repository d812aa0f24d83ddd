// SPDX-License-Identifier: MIT
#include "quantile.h"

#define PER_OCTAVE (1u << QUANTILE_BITS)

/* A value's leading QUANTILE_BITS + 1 bits say its bucket, how many bits follow the octave. */
static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < PER_OCTAVE)
		return (unsigned int)value;
	shift = 63u - (unsigned int)__builtin_clzll(value) - QUANTILE_BITS;
	return (shift << QUANTILE_BITS) + (unsigned int)(value >> shift);
}

/* The greatest value of a bucket. */
static uint64_t top_of(unsigned int bucket)
{
	unsigned int shift = bucket >> QUANTILE_BITS;

	if (!shift)
		return bucket;
	shift--;
	return (((uint64_t)(bucket - (shift << QUANTILE_BITS)) + 1) << shift) - 1;
}

void quantile_add(struct quantile *q, uint64_t value)
{
	if (!q->count || value < q->least)
		q->least = value;
	if (value > q->greatest)
		q->greatest = value;
	q->count++;
	q->bucket[bucket_of(value)]++;
}

uint64_t quantile_at(const struct quantile *q, unsigned int per_mille)
{
	uint64_t rank = (uint64_t)(((__uint128_t)q->count * per_mille + 999) / 1000), seen = 0, top;

	for (unsigned int i = 0; rank && i < QUANTILE_BUCKETS; i++) {
		seen += q->bucket[i];
		if (seen < rank)
			continue;
		top = top_of(i);
		return top < q->greatest ? top : q->greatest;
	}
	return 0;
}
