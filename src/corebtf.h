/* SPDX-License-Identifier: MIT */
/*
 * A BTF of the few types that the relocations of a BPF object ask for. libbpf (1.1) looks through all types of the kernel, well
 * over 100,000, for each type that an object relocates (CO-RE): 50 ms of a start.
 */
#ifndef REBPF_COREBTF_H
#define REBPF_COREBTF_H

#include <stdbool.h>
#include <stddef.h>

#include "btfindex.h"
#include "util.h"

#define COREBTF_MAX_ROOTS 128

/* A type that relocations start from. */
struct corebtf_root {
	uint32_t kind; /* BTF_KIND_STRUCT or BTF_KIND_ENUM */
	char name[64]; /* in the kernel: without "___flavour" */
	bool keep_id;  /* its number in the kernel's BTF is asked for, too */
};

struct corebtf_roots {
	struct corebtf_root root[COREBTF_MAX_ROOTS];
	unsigned int count;
};

/*
 * The types that the relocations of the BPF object file @elf start from. -ENOTSUP: one starts from another kind of type;
 * -EINVAL: not such a file, or not of this machine's byte order; -E2BIG: more than there is room for.
 */
int corebtf_roots(struct corebtf_roots *out, const void *elf, size_t size);

/*
 * Appends to @out, which must be empty, a BTF with all types of these names and kinds and what they consist of; pointers lead
 * to nothing, relocations do not follow them. -ENOENT: @kernel has none of one of the names, but a module may have one;
 * -ENOTSUP: a kind of type in one that is not known here.
 */
int corebtf_write(struct strbuf *out, const struct btf_index *kernel, const struct corebtf_roots *roots);

/* Both: a descriptor of a file in memory with the BTF for the object @elf, which is the caller's. Negative errno as above. */
int corebtf_open(const struct btf_index *kernel, const void *elf, size_t size);

#endif
