// SPDX-License-Identifier: MIT
#include "corebtf.h"

#include <elf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BTF_TYPE_ID_TARGET 7 /* BPF_CORE_TYPE_ID_TARGET of enum bpf_core_relo_kind, linux/bpf.h of 5.17 */

/* ---- what an object asks for ---- */

/* A part of a file. */
struct part {
	const unsigned char *data;
	size_t size;
};

/* The head of section .BTF.ext, as far as it matters here, and one relocation in it (Documentation/bpf/btf.rst). */
struct ext_header {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t hdr_len, func_off, func_len, line_off, line_len, core_off, core_len;
};

struct core_relo {
	uint32_t insn_off, type_id, access_str_off, kind;
};

/* @size bytes at @off of @from; false: they are not there. */
static bool cut(struct part *out, const struct part *from, uint64_t off, uint64_t size)
{
	if (off > from->size || size > from->size - off)
		return false;
	*out = (struct part){ from->data + off, size };
	return true;
}

/* An object file that is part of the program lies anywhere: what is read from it is copied first. */
static bool find_section(struct part *out, const struct part *elf, const char *name)
{
	struct part part, names;
	Elf64_Ehdr h;
	Elf64_Shdr s;

	if (!cut(&part, elf, 0, sizeof(h)))
		return false;
	memcpy(&h, part.data, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_shentsize != sizeof(s) ||
	    !cut(&part, elf, h.e_shoff + (uint64_t)h.e_shstrndx * sizeof(s), sizeof(s)))
		return false;
	memcpy(&s, part.data, sizeof(s));
	if (!cut(&names, elf, s.sh_offset, s.sh_size))
		return false;
	for (unsigned int i = 0; i < h.e_shnum && cut(&part, elf, h.e_shoff + i * sizeof(s), sizeof(s)); i++) {
		memcpy(&s, part.data, sizeof(s));
		if (cut(&part, &names, s.sh_name, strlen(name) + 1) && !memcmp(part.data, name, part.size))
			return cut(out, elf, s.sh_offset, s.sh_size);
	}
	return false;
}

/* "sk_buff___pre_6_1" is a flavour of "sk_buff". */
static size_t length_without_flavour(const char *name)
{
	const char *last = NULL;

	for (const char *p = name; (p = strstr(p, "___")); p++)
		last = p;
	return last && last > name ? (size_t)(last - name) : strlen(name);
}

static int add_root(struct corebtf_roots *roots, const struct btf *btf, const struct core_relo *relo)
{
	const struct btf_type *t = btf__type_by_id(btf, relo->type_id);
	const char *name = t ? btf_name_at(btf, t->name_off) : "";
	size_t len = length_without_flavour(name);
	struct corebtf_root *root = roots->root;

	if (!t || !(btf_is_struct(t) || btf_is_enum(t)) || !len)
		return -ENOTSUP;
	while (root < roots->root + roots->count &&
	       (root->kind != btf_kind(t) || strncmp(root->name, name, len) || root->name[len]))
		root++;
	if (root == roots->root + COREBTF_MAX_ROOTS || len >= sizeof(root->name))
		return -E2BIG;
	if (root == roots->root + roots->count) {
		*root = (struct corebtf_root){ .kind = btf_kind(t) };
		memcpy(root->name, name, len);
		roots->count++;
	}
	root->keep_id |= relo->kind == BTF_TYPE_ID_TARGET;
	return 0;
}

/* The size of a relocation, then for each section its name, how many there are, and so many of them. */
static int read_relocations(struct corebtf_roots *out, const struct btf *btf, const struct part *relos)
{
	struct part at;
	struct core_relo relo;
	uint32_t size, head[2];
	size_t pos = sizeof(size);
	int err = 0;

	if (!cut(&at, relos, 0, sizeof(size)))
		return -EINVAL;
	memcpy(&size, at.data, sizeof(size));
	if (size < sizeof(relo))
		return -EINVAL;
	while (pos < relos->size) {
		if (!cut(&at, relos, pos, sizeof(head)))
			return -EINVAL;
		memcpy(head, at.data, sizeof(head));
		pos += sizeof(head);
		for (uint32_t i = 0; i < head[1]; i++, pos += size) {
			if (!cut(&at, relos, pos, size))
				return -EINVAL;
			memcpy(&relo, at.data, sizeof(relo));
			err = add_root(out, btf, &relo);
			if (err)
				return err;
		}
	}
	return 0;
}

int corebtf_roots(struct corebtf_roots *out, const void *elf, size_t size)
{
	struct part file = { elf, size }, types, ext, relos;
	struct ext_header h;
	struct btf *btf;
	int err;

	out->count = 0;
	if (!find_section(&types, &file, ".BTF") || !find_section(&ext, &file, ".BTF.ext") || ext.size < sizeof(h))
		return -EINVAL;
	memcpy(&h, ext.data, sizeof(h));
	if (h.magic != BTF_MAGIC || h.hdr_len < sizeof(h) || !cut(&relos, &ext, (uint64_t)h.hdr_len + h.core_off, h.core_len))
		return -EINVAL;
	btf = btf__new(types.data, (uint32_t)types.size);
	if (!btf)
		return -errno;
	err = read_relocations(out, btf, &relos);
	btf__free(btf);
	return err;
}

/* ---- what it gets ---- */

struct writer {
	const struct btf *kernel;
	uint32_t *id;     /* in the new BTF, by id in the kernel's; 0: not in it */
	uint32_t *wanted; /* the kernel's ids, as they were found */
	uint32_t *source; /* the kernel's ids, by id in the new BTF; 0: filler */
	uint32_t wanted_count, count;
	struct strbuf types, strings;
};

#define WANTED UINT32_MAX /* in the new BTF, its id is not settled */

static void want(struct writer *w, uint32_t id)
{
	if (!id || id >= btf__type_cnt(w->kernel) || w->id[id])
		return;
	w->id[id] = WANTED;
	w->wanted[w->wanted_count++] = id;
}

static int want_parts(struct writer *w, const struct btf_type *t)
{
	switch (btf_kind(t)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		for (int i = 0; i < btf_vlen(t); i++)
			want(w, btf_members(t)[i].type);
		return 0;
	case BTF_KIND_ARRAY:
		want(w, btf_array(t)->type);
		want(w, btf_array(t)->index_type);
		return 0;
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		want(w, t->type);
		return 0;
	case BTF_KIND_INT:
	case BTF_KIND_FLOAT:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
	case BTF_KIND_FWD:
	case BTF_KIND_PTR:
		return 0;
	default:
		return -ENOTSUP;
	}
}

/* The roots themselves; those whose ids matter get them. */
static int want_roots(struct writer *w, const struct btf_index *kernel, const struct corebtf_roots *roots)
{
	for (unsigned int i = 0; i < roots->count; i++) {
		const struct corebtf_root *root = &roots->root[i];
		int id = btf_index_find(kernel, root->name, root->kind);

		if (id < 0)
			return id;
		for (; id > 0; id = btf_index_find_after(kernel, root->name, root->kind, id)) {
			want(w, (uint32_t)id);
			if (!root->keep_id)
				continue;
			w->id[id] = (uint32_t)id;
			w->source[id] = (uint32_t)id;
			w->count = w->count > (uint32_t)id ? w->count : (uint32_t)id;
		}
	}
	return 0;
}

static int want_all(struct writer *w)
{
	int err = 0;

	for (uint32_t i = 0; i < w->wanted_count && !err; i++)
		err = want_parts(w, btf__type_by_id(w->kernel, w->wanted[i]));
	return err;
}

/* The others get the lowest ids that are free. */
static void settle_ids(struct writer *w)
{
	uint32_t next = 1;

	for (uint32_t i = 0; i < w->wanted_count; i++) {
		uint32_t id = w->wanted[i];

		if (w->id[id] != WANTED)
			continue;
		while (w->source[next])
			next++;
		w->id[id] = next;
		w->source[next] = id;
		w->count = w->count > next ? w->count : next;
	}
}

static uint32_t new_name(struct writer *w, uint32_t offset)
{
	const char *name = btf_name_at(w->kernel, offset);
	uint32_t at = (uint32_t)w->strings.len;

	if (!*name)
		return 0;
	strbuf_add(&w->strings, name, strlen(name) + 1);
	return at;
}

static uint32_t new_id(const struct writer *w, uint32_t id)
{
	return id < btf__type_cnt(w->kernel) ? w->id[id] : 0;
}

static void write_members(struct writer *w, const struct btf_type *t)
{
	for (int i = 0; i < btf_vlen(t); i++) {
		struct btf_member m = btf_members(t)[i];

		m.name_off = new_name(w, m.name_off);
		m.type = new_id(w, m.type);
		strbuf_add(&w->types, (const char *)&m, sizeof(m));
	}
}

static void write_enumerators(struct writer *w, const struct btf_type *t)
{
	for (int i = 0; i < btf_vlen(t); i++) {
		struct btf_enum e = btf_enum(t)[i];

		e.name_off = new_name(w, e.name_off);
		strbuf_add(&w->types, (const char *)&e, sizeof(e));
	}
}

static void write_type(struct writer *w, const struct btf_type *t)
{
	struct btf_type copy = *t;
	struct btf_array array;

	copy.name_off = new_name(w, t->name_off);
	if (btf_is_ptr(t))
		copy.type = 0;
	else if (btf_is_mod(t) || btf_is_typedef(t))
		copy.type = new_id(w, t->type);
	/* Sizes are all that counts of an enumeration of 64 bits, which libbpf of before 1.0 does not know. */
	if (btf_kind(t) == BTF_KIND_ENUM64)
		copy.info = (t->info & 1u << 31) | BTF_KIND_ENUM << 24;
	strbuf_add(&w->types, (const char *)&copy, sizeof(copy));
	if (btf_is_composite(t)) {
		write_members(w, t);
	} else if (btf_is_enum(t)) {
		write_enumerators(w, t);
	} else if (btf_is_int(t)) {
		strbuf_add(&w->types, (const char *)(t + 1), sizeof(uint32_t));
	} else if (btf_is_array(t)) {
		array = *btf_array(t);
		array.type = new_id(w, array.type);
		array.index_type = new_id(w, array.index_type);
		strbuf_add(&w->types, (const char *)&array, sizeof(array));
	}
}

static void write_all(struct writer *w, struct strbuf *out)
{
	const struct btf_type filler = { .info = BTF_KIND_FLOAT << 24, .size = 4 };
	struct btf_header h = { .magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(h) };

	strbuf_add(&w->strings, "", 1);
	for (uint32_t id = 1; id <= w->count; id++) {
		if (w->source[id])
			write_type(w, btf__type_by_id(w->kernel, w->source[id]));
		else
			strbuf_add(&w->types, (const char *)&filler, sizeof(filler));
	}
	h.type_len = (uint32_t)w->types.len;
	h.str_off = h.type_len;
	h.str_len = (uint32_t)w->strings.len;
	strbuf_add(out, (const char *)&h, sizeof(h));
	strbuf_add(out, w->types.data, w->types.len);
	strbuf_add(out, w->strings.data, w->strings.len);
}

int corebtf_write(struct strbuf *out, const struct btf_index *kernel, const struct corebtf_roots *roots)
{
	size_t types = btf__type_cnt(kernel->btf);
	struct writer w = {
		.kernel = kernel->btf,
		.id = calloc(types, sizeof(*w.id)),
		.wanted = calloc(types, sizeof(*w.wanted)),
		.source = calloc(types + 1, sizeof(*w.source)),
	};
	int err = w.id && w.wanted && w.source ? want_roots(&w, kernel, roots) : -ENOMEM;

	if (!err)
		err = want_all(&w);
	if (!err) {
		settle_ids(&w);
		write_all(&w, out);
	}
	if (!err && (w.types.failed || w.strings.failed || out->failed))
		err = -ENOMEM;
	strbuf_free(&w.types);
	strbuf_free(&w.strings);
	free(w.id);
	free(w.wanted);
	free(w.source);
	return err;
}

int corebtf_open(const struct btf_index *kernel, const void *elf, size_t size)
{
	struct corebtf_roots roots;
	struct strbuf out = {};
	int fd = -1, err = corebtf_roots(&roots, elf, size);

	if (!err)
		err = corebtf_write(&out, kernel, &roots);
	if (!err) {
		fd = memfd_create("rebpf-types", MFD_CLOEXEC);
		err = fd < 0 ? -errno : 0;
	}
	if (!err && write(fd, out.data, out.len) != (ssize_t)out.len) {
		close(fd);
		err = -EIO;
	}
	strbuf_free(&out);
	return err ? err : fd;
}
