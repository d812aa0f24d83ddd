/* SPDX-License-Identifier: MIT */
/* The types of a BTF by name: libbpf (1.1) looks through all of them, well over 100,000, for each name that it is asked for. */
#ifndef REBPF_BTFINDEX_H
#define REBPF_BTFINDEX_H

#include <bpf/btf.h>
#include <stdint.h>

struct btf_index {
	const struct btf *btf;
	uint32_t *slot; /* ids, 0: free; open addressing */
	uint32_t mask;
};

/* Over the functions, typedefs, structures and enumerations of @btf, which must outlive it. 0 or -ENOMEM. */
int btf_index_init(struct btf_index *index, const struct btf *btf);
void btf_index_free(struct btf_index *index);

/* The id of the first type of this name and kind, one of the above; -ENOENT: there is none. */
int btf_index_find(const struct btf_index *index, const char *name, uint32_t kind);
/* The next one after @id. */
int btf_index_find_after(const struct btf_index *index, const char *name, uint32_t kind, int id);

/* "" where the file gives no such string: libbpf (1.1) does not look at the offsets of names before they are asked for. */
const char *btf_name_at(const struct btf *btf, uint32_t offset);

#endif
