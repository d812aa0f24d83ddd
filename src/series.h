/* SPDX-License-Identifier: MIT */
/*
 * A bounded table of counters: the key is a struct of fixed size, compared byte by byte (so its padding must be zero);
 * beside each stands one counter. Entries are never removed or moved in their order: a counter that was shown once is shown
 * for ever, and never goes back.
 */
#ifndef REBPF_SERIES_H
#define REBPF_SERIES_H

#include <stddef.h>
#include <stdint.h>

struct series;

/* At most @max entries; memory grows with those that are used. NULL: no memory. */
struct series *series_new(size_t key_size, unsigned int max);
void series_free(struct series *s); /* NULL is fine */

/*
 * The counter of @key, made with 0 if it is new. NULL: there is none and none can be made (the bound, or no memory). Valid
 * until the next call.
 */
uint64_t *series_counter(struct series *s, const void *key);

/* To walk all in the order in which they were made: @i from 0 to series_count() - 1. */
unsigned int series_count(const struct series *s);
const void *series_key(const struct series *s, unsigned int i);
uint64_t series_value(const struct series *s, unsigned int i);

#endif
