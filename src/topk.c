// SPDX-License-Identifier: MIT
#include "topk.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct slot {
	uint64_t count, error, recent;
	uint32_t next; /* in its chain */
	uint32_t hash;
};

/*
 * @chain: the first slot of each hash value.
 * @least: no count is smaller.
 * @at:    the slots before it have more than @least. Counts only grow, so the search for a slot that has @least goes on
 *         where the last one ended: one round through the table for each value of @least, not one for each new key.
 */
struct topk {
	unsigned int capacity, size;
	size_t key_size;
	uint64_t total, replaced;
	uint64_t least;
	unsigned int at;
	uint32_t mask;
	uint32_t *chain;
	struct slot *slot;
	unsigned char *keys;
};

struct topk *topk_new(unsigned int capacity, size_t key_size)
{
	struct topk *t = calloc(1, sizeof(*t));
	uint32_t chains = 1;

	if (!t)
		return NULL;
	while (chains < capacity)
		chains *= 2;
	t->capacity = capacity;
	t->key_size = key_size;
	t->mask = chains - 1;
	t->chain = malloc(chains * sizeof(*t->chain));
	t->slot = calloc(capacity, sizeof(*t->slot));
	t->keys = calloc(capacity, key_size);
	if (!t->chain || !t->slot || !t->keys) {
		topk_free(t);
		return NULL;
	}
	memset(t->chain, 0xff, chains * sizeof(*t->chain));
	return t;
}

void topk_free(struct topk *t)
{
	if (!t)
		return;
	free(t->chain);
	free(t->slot);
	free(t->keys);
	free(t);
}

static unsigned char *key_at(const struct topk *t, uint32_t i)
{
	return t->keys + i * t->key_size;
}

/* Eight bytes at a time: a key may have 200, and there may be as many keys a second as there are drops. */
static uint32_t hash_of(const struct topk *t, const void *key)
{
	const unsigned char *bytes = key;
	uint64_t h = 0xcbf29ce484222325ULL, word;

	for (size_t at = 0; at < t->key_size; at += sizeof(word)) {
		size_t left = t->key_size - at;

		word = 0;
		memcpy(&word, bytes + at, left < sizeof(word) ? left : sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
	}
	return (uint32_t)(h ^ h >> 32);
}

static uint32_t find(const struct topk *t, const void *key, uint32_t hash)
{
	uint32_t i = t->chain[hash & t->mask];

	while (i != NONE && (t->slot[i].hash != hash || memcmp(key_at(t, i), key, t->key_size)))
		i = t->slot[i].next;
	return i;
}

static void unlink_slot(struct topk *t, uint32_t i)
{
	uint32_t *at = &t->chain[t->slot[i].hash & t->mask];

	while (*at != i)
		at = &t->slot[*at].next;
	*at = t->slot[i].next;
}

static void set_slot(struct topk *t, uint32_t i, const void *key, uint32_t hash, uint64_t count)
{
	uint32_t *head = &t->chain[hash & t->mask];

	t->slot[i] = (struct slot){ .count = count, .error = count, .hash = hash, .next = *head };
	*head = i;
	memcpy(key_at(t, i), key, t->key_size);
}

/* A slot with the smallest count of all. */
static uint32_t rarest(struct topk *t)
{
	for (;;) {
		for (; t->at < t->size; t->at++)
			if (t->slot[t->at].count == t->least)
				return t->at;
		t->at = 0;
		t->least = t->slot[0].count;
		for (unsigned int i = 1; i < t->size; i++)
			if (t->slot[i].count < t->least)
				t->least = t->slot[i].count;
	}
}

static uint32_t place_for(struct topk *t, const void *key, uint32_t hash)
{
	uint32_t i;

	if (t->size < t->capacity) {
		i = t->size++;
		set_slot(t, i, key, hash, 0);
		return i;
	}
	i = rarest(t);
	unlink_slot(t, i);
	set_slot(t, i, key, hash, t->slot[i].count);
	t->replaced++;
	return i;
}

void topk_add(struct topk *t, const void *key, uint64_t n)
{
	uint32_t hash = hash_of(t, key), i = find(t, key, hash);

	if (!n)
		return;
	if (i == NONE)
		i = place_for(t, key, hash);
	t->slot[i].count += n;
	t->slot[i].recent += n;
	t->total += n;
}

void topk_mark(struct topk *t)
{
	for (unsigned int i = 0; i < t->size; i++)
		t->slot[i].recent = 0;
}

static bool is_before(const struct topk *t, const struct topk_item *a, const struct topk_item *b)
{
	return a->count != b->count ? a->count > b->count : memcmp(a->key, b->key, t->key_size) < 0;
}

unsigned int topk_list(const struct topk *t, struct topk_item *out, unsigned int max)
{
	unsigned int n = 0, to;

	for (unsigned int i = 0; max && i < t->size; i++) {
		const struct slot *s = &t->slot[i];
		struct topk_item item = {
			.key = key_at(t, i), .count = s->count, .error = s->error, .recent = s->recent,
		};

		if (n == max && !is_before(t, &item, &out[n - 1]))
			continue;
		to = n < max ? n++ : n - 1;
		for (; to && is_before(t, &item, &out[to - 1]); to--)
			out[to] = out[to - 1];
		out[to] = item;
	}
	return n;
}

unsigned int topk_size(const struct topk *t)
{
	return t->size;
}

unsigned int topk_capacity(const struct topk *t)
{
	return t->capacity;
}

uint64_t topk_replaced(const struct topk *t)
{
	return t->replaced;
}

uint64_t topk_total(const struct topk *t)
{
	return t->total;
}
