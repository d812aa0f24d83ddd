// SPDX-License-Identifier: MIT
#include "series.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "util.h"

#define FIRST_SLOTS 64 /* a power of two; grows so that at most half are in use */

/* @slot: open addressing, number of the entry + 1, 0: free. */
struct series {
	size_t key_size;
	unsigned int max, count, room;
	unsigned char *keys;
	uint64_t *values;
	uint32_t *slot;
	size_t slots;
	uint64_t seed; /* keys hold addresses that strangers choose */
};

struct series *series_new(size_t key_size, unsigned int max)
{
	struct series *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->key_size = key_size;
	s->max = max;
	s->slots = FIRST_SLOTS;
	if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) != sizeof(s->seed))
		s->seed = clock_mono_ns();
	s->slot = calloc(s->slots, sizeof(*s->slot));
	if (!s->slot) {
		free(s);
		return NULL;
	}
	return s;
}

void series_free(struct series *s)
{
	if (!s)
		return;
	free(s->keys);
	free(s->values);
	free(s->slot);
	free(s);
}

/* FNV-1a, stirred once more: the last bytes of a key are often equal. */
static size_t hash(const struct series *s, const unsigned char *key, size_t size)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ s->seed;

	for (size_t i = 0; i < size; i++)
		h = (h ^ key[i]) * 0x100000001b3ULL;
	return (size_t)((h ^ h >> 32) * 0x9e3779b97f4a7c15ULL >> 20);
}

/* The slot of @key, or the free one where it would go. */
static uint32_t *find(const struct series *s, const void *key)
{
	size_t i = hash(s, key, s->key_size) & (s->slots - 1);

	while (s->slot[i] && memcmp(s->keys + (s->slot[i] - 1) * s->key_size, key, s->key_size) != 0)
		i = (i + 1) & (s->slots - 1);
	return &s->slot[i];
}

static int grow_slots(struct series *s)
{
	uint32_t *old = s->slot, *slot = calloc(2 * s->slots, sizeof(*slot));

	if (!slot)
		return -1;
	s->slot = slot;
	s->slots *= 2;
	for (uint32_t i = 0; i < s->count; i++)
		*find(s, s->keys + i * s->key_size) = i + 1;
	free(old);
	return 0;
}

static int grow_room(struct series *s)
{
	unsigned int room = s->room ? 2 * s->room : FIRST_SLOTS / 2;
	unsigned char *keys = realloc(s->keys, room * s->key_size);
	uint64_t *values;

	if (!keys)
		return -1;
	s->keys = keys;
	values = realloc(s->values, room * sizeof(*values));
	if (!values)
		return -1;
	s->values = values;
	s->room = room;
	return 0;
}

uint64_t *series_counter(struct series *s, const void *key)
{
	uint32_t *slot = find(s, key);

	if (*slot)
		return &s->values[*slot - 1];
	if (s->count == s->max || (s->count == s->room && grow_room(s)) ||
	    (2 * (s->count + 1) > s->slots && grow_slots(s)))
		return NULL;
	memcpy(s->keys + s->count * s->key_size, key, s->key_size);
	s->values[s->count] = 0;
	*find(s, key) = ++s->count;
	return &s->values[s->count - 1];
}

unsigned int series_count(const struct series *s)
{
	return s->count;
}

const void *series_key(const struct series *s, unsigned int i)
{
	return s->keys + i * s->key_size;
}

uint64_t series_value(const struct series *s, unsigned int i)
{
	return s->values[i];
}
