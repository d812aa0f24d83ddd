// SPDX-License-Identifier: MIT
#include "btfindex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_indexed(const struct btf_type *t)
{
	return btf_is_func(t) || btf_is_typedef(t) || btf_is_struct(t) || btf_is_enum(t);
}

const char *btf_name_at(const struct btf *btf, uint32_t offset)
{
	const char *name = btf__name_by_offset(btf, offset);

	return name ? name : "";
}

/* FNV-1a */
static uint32_t hash(const char *name)
{
	uint32_t h = 2166136261u;

	while (*name)
		h = (h ^ (unsigned char)*name++) * 16777619u;
	return h;
}

int btf_index_init(struct btf_index *index, const struct btf *btf)
{
	uint32_t types = btf__type_cnt(btf), slots = 64;

	while (slots < types + types / 4)
		slots *= 2;
	*index = (struct btf_index){ .btf = btf, .slot = calloc(slots, sizeof(*index->slot)), .mask = slots - 1 };
	if (!index->slot)
		return -ENOMEM;
	for (uint32_t id = 1; id < types; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		uint32_t at;

		/* Thousands of types have no name, and would share one run of slots. */
		if (!is_indexed(t) || !t->name_off)
			continue;
		at = hash(btf_name_at(btf, t->name_off)) & index->mask;
		while (index->slot[at])
			at = (at + 1) & index->mask;
		index->slot[at] = id;
	}
	return 0;
}

void btf_index_free(struct btf_index *index)
{
	free(index->slot);
	index->slot = NULL;
}

int btf_index_find(const struct btf_index *index, const char *name, uint32_t kind)
{
	return btf_index_find_after(index, name, kind, 0);
}

int btf_index_find_after(const struct btf_index *index, const char *name, uint32_t kind, int id)
{
	/* Of equal names the first came first to the run of slots that they share. */
	for (uint32_t at = hash(name) & index->mask; index->slot[at]; at = (at + 1) & index->mask) {
		const struct btf_type *t = btf__type_by_id(index->btf, index->slot[at]);

		if (index->slot[at] > (uint32_t)id && btf_kind(t) == kind && !strcmp(btf_name_at(index->btf, t->name_off), name))
			return (int)index->slot[at];
	}
	return -ENOENT;
}
