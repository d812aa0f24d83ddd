/* SPDX-License-Identifier: MIT */
/*
 * Percentiles of any number of values in 30 KB: a histogram whose buckets are 1/64 wide of what they hold. Below 64 a value
 * has a bucket of its own; above, an answer is at most 1/64 (1.6 %) too high, and never too low or above the greatest.
 */
#ifndef REBPF_QUANTILE_H
#define REBPF_QUANTILE_H

#include <stdint.h>

#define QUANTILE_BITS 6
#define QUANTILE_BUCKETS ((65 - QUANTILE_BITS) << QUANTILE_BITS)

/* Zero-initialised is empty and valid. @least and @greatest are exact. */
struct quantile {
	uint64_t count, least, greatest;
	uint64_t bucket[QUANTILE_BUCKETS];
};

void quantile_add(struct quantile *q, uint64_t value);

/* The value that @per_mille (1 to 1000) of all are not above: the nearest rank. 0 if there are none. */
uint64_t quantile_at(const struct quantile *q, unsigned int per_mille);

#endif
