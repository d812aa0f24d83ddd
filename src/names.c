// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "names.h"
#include "reasons.h"
#include "util.h"

/* Entries in order of arrival, found through @slots: open addressing, entry number + 1, half full at most. */
struct table {
	char *entries; /* each begins with its key, a uint64_t */
	size_t entry_size;
	uint32_t count, cap, max;
	uint32_t *slots;
	uint32_t slot_count; /* a power of two */
	uint64_t seed;       /* so that a file cannot be made to collide */
};

struct symbol_entry {
	uint64_t addr;
	uint64_t offset;
	char name[REBPF_SYMBOL_LEN];
	char module[REBPF_SYMBOL_LEN];
};

struct reason_entry {
	uint64_t number;
	char name[REBPF_REASON_LEN];
};

struct names {
	struct table symbols;
	struct table reasons;
};

/* ---- the table ---- */

static void *entry_at(const struct table *t, uint32_t i)
{
	return t->entries + (size_t)i * t->entry_size;
}

static uint64_t key_at(const struct table *t, uint32_t i)
{
	uint64_t key;

	memcpy(&key, entry_at(t, i), sizeof(key));
	return key;
}

/* The slot that holds @key, or the free one where it belongs. */
static uint32_t *find_slot(const struct table *t, uint64_t key)
{
	uint64_t h = (key ^ t->seed) * 0x9e3779b97f4a7c15ULL;
	uint32_t i;

	h = (h ^ h >> 32 ^ t->seed >> 7) * 0xd6e8feb86659fd93ULL;
	i = (uint32_t)(h >> 32);
	for (;; i++) {
		uint32_t *slot = &t->slots[i & (t->slot_count - 1)];

		if (!*slot || key_at(t, *slot - 1) == key)
			return slot;
	}
}

static void *table_find(const struct table *t, uint64_t key)
{
	uint32_t *slot = t->slot_count ? find_slot(t, key) : NULL;

	return slot && *slot ? entry_at(t, *slot - 1) : NULL;
}

static int table_grow(struct table *t)
{
	uint32_t cap = t->cap ? t->cap * 2 : 64;
	char *entries = realloc(t->entries, cap * t->entry_size);
	uint32_t *slots;

	if (!entries)
		return -ENOMEM;
	t->entries = entries;
	slots = calloc((size_t)cap * 2, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(t->slots);
	t->slots = slots;
	t->slot_count = cap * 2;
	t->cap = cap;
	for (uint32_t i = 0; i < t->count; i++)
		*find_slot(t, key_at(t, i)) = i + 1;
	return 0;
}

/* The entry of @key, made and zeroed but for its key if need be. */
static int table_get(struct table *t, uint64_t key, void **out)
{
	uint32_t *slot;
	int err;

	*out = table_find(t, key);
	if (*out)
		return 0;
	if (t->count >= t->max)
		return -ENOSPC;
	if (t->count == t->cap) {
		err = table_grow(t);
		if (err)
			return err;
	}
	slot = find_slot(t, key);
	*slot = ++t->count;
	*out = entry_at(t, t->count - 1);
	memset(*out, 0, t->entry_size);
	memcpy(*out, &key, sizeof(key));
	return 0;
}

/* Text of a record, which need not be terminated, into a field of the same size, which then is. */
static void copy_text(char *to, const char *from, size_t size)
{
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len);
	memset(to + len, 0, size - len);
}

/* ---- names ---- */

struct names *names_new(void)
{
	struct names *n = calloc(1, sizeof(*n));
	uint64_t seed;

	if (!n)
		return NULL;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = clock_mono_ns();
	n->symbols.entry_size = sizeof(struct symbol_entry);
	n->symbols.max = NAMES_MAX_SYMBOLS;
	n->symbols.seed = seed;
	n->reasons.entry_size = sizeof(struct reason_entry);
	n->reasons.max = NAMES_MAX_REASONS;
	n->reasons.seed = seed;
	return n;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	free(n->symbols.entries);
	free(n->symbols.slots);
	free(n->reasons.entries);
	free(n->reasons.slots);
	free(n);
}

int names_learn_symbol(struct names *n, const struct rec_symbol *r)
{
	struct symbol_entry *s;
	void *entry;
	int err;

	err = table_get(&n->symbols, r->addr, &entry);
	if (err)
		return err;
	s = entry;
	s->offset = r->offset;
	copy_text(s->name, r->name, sizeof(s->name));
	copy_text(s->module, r->module, sizeof(s->module));
	return 0;
}

int names_learn_reason(struct names *n, const struct rec_reason *r)
{
	struct reason_entry *e;
	void *entry;
	int err;

	err = table_get(&n->reasons, r->reason, &entry);
	if (err)
		return err;
	e = entry;
	copy_text(e->name, r->name, sizeof(e->name));
	return 0;
}

bool names_has_reason_named(const struct names *n, const char *name)
{
	for (uint32_t i = 0; i < n->reasons.count; i++)
		if (!strcmp(((struct reason_entry *)entry_at(&n->reasons, i))->name, name))
			return true;
	return false;
}

void names_fill(const struct names *n, uint64_t location, uint32_t reason, struct ev_drop_place *p)
{
	const struct symbol_entry *s = table_find(&n->symbols, location);
	const struct reason_entry *r = table_find(&n->reasons, reason);

	p->address = location;
	p->offset = s ? s->offset : 0;
	copy_text(p->symbol, s ? s->name : "", sizeof(p->symbol));
	copy_text(p->module, s ? s->module : "", sizeof(p->module));
	if (r)
		copy_text(p->reason, r->name, sizeof(p->reason));
	else
		reasons_text(NULL, reason, p->reason);
}
