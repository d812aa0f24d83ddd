/* SPDX-License-Identifier: MIT */
/*
 * The most frequent of arbitrarily many keys, in a table of fixed size (the "space-saving" algorithm of Metwally, Agrawal
 * and El Abbadi). While no more keys came than it has places, every count is exact. After that a new key takes the place
 * of the rarest and begins with that one's count: a count may then be too high, by no more than its @error, and never too
 * low. So whatever came more often than the rarest in the table is in the table.
 *
 *	t = topk_new(1024, sizeof(struct key));
 *	topk_add(t, &key, 1);	...
 *	n = topk_list(t, items, 10);
 */
#ifndef REBPF_TOPK_H
#define REBPF_TOPK_H

#include <stddef.h>
#include <stdint.h>

struct topk;

/* @key: of @key_size bytes, the table's, valid until the next topk_add(). */
struct topk_item {
	const void *key;
	uint64_t count;
	uint64_t error;  /* the count is too high by at most so much; 0: it is exact */
	uint64_t recent; /* of the count, since topk_mark(); too low if the key lost its place meanwhile */
};

/* Up to @capacity keys (at least 1) of @key_size bytes, which are compared as bytes: without padding. NULL: no memory. */
struct topk *topk_new(unsigned int capacity, size_t key_size);
void topk_free(struct topk *t); /* NULL is fine */

/* @n more of this key. */
void topk_add(struct topk *t, const void *key, uint64_t n);
/* Begins the counting of topk_item.recent anew. */
void topk_mark(struct topk *t);

/* The first @max at most, most frequent first, equal ones in the order of their bytes. Returns how many. */
unsigned int topk_list(const struct topk *t, struct topk_item *out, unsigned int max);

/* Keys in the table, and how often one had to give its place to another: 0 means that all counts are exact. */
unsigned int topk_size(const struct topk *t);
unsigned int topk_capacity(const struct topk *t);
uint64_t topk_replaced(const struct topk *t);
/* Of all keys together: exact. */
uint64_t topk_total(const struct topk *t);

#endif
