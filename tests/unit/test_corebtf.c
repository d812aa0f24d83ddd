// SPDX-License-Identifier: MIT
/* links: src/corebtf.c src/btfindex.c src/util.c -lbpf */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "corebtf.h"

/* What a kernel might have; ids as numbered. */
static struct btf *kernel_types(void)
{
	struct btf *btf = btf__new_empty();

	assert_non_null(btf);
	assert_int_equal(btf__add_int(btf, "int", 4, BTF_INT_SIGNED), 1);
	assert_int_equal(btf__add_struct(btf, "unwanted", 4), 2);
	assert_int_equal(btf__add_field(btf, "x", 1, 0, 0), 0);
	assert_int_equal(btf__add_struct(btf, "inner", 8), 3);
	assert_int_equal(btf__add_field(btf, "a", 1, 0, 0), 0);
	assert_int_equal(btf__add_field(btf, "b", 1, 32, 0), 0);
	assert_int_equal(btf__add_ptr(btf, 2), 4);
	assert_int_equal(btf__add_typedef(btf, "inner_t", 3), 5);
	assert_int_equal(btf__add_array(btf, 1, 5, 2), 6);
	assert_int_equal(btf__add_func(btf, "sock", BTF_FUNC_GLOBAL, 1), 7);
	assert_int_equal(btf__add_struct(btf, "sock", 24), 8);
	assert_int_equal(btf__add_field(btf, "ptr", 4, 0, 0), 0);
	assert_int_equal(btf__add_field(btf, "inners", 6, 64, 0), 0);
	assert_int_equal(btf__add_struct(btf, "sock", 4), 9); /* another one of that name */
	assert_int_equal(btf__add_field(btf, "y", 1, 0, 0), 0);
	assert_int_equal(btf__add_func_proto(btf, 0), 10);
	assert_int_equal(btf__add_struct(btf, "odd", 4), 11);
	assert_int_equal(btf__add_field(btf, "z", 10, 0, 0), 0);
	assert_int_equal(btf__add_enum(btf, "verdict", 4), 12);
	assert_int_equal(btf__add_enum_value(btf, "PASS", 0), 0);
	assert_int_equal(btf__add_enum_value(btf, "DROP", 7), 0);
	return btf;
}

/* The BTF for one type; NULL and *err where there is none. */
static struct btf *fit_kind(uint32_t kind, const char *name, bool keep_id, int *err)
{
	struct corebtf_roots roots = { .count = 1, .root[0] = { .kind = kind, .keep_id = keep_id } };
	struct btf *kernel = kernel_types(), *btf = NULL;
	struct strbuf out = {};
	struct btf_index index;

	strcpy(roots.root[0].name, name);
	assert_int_equal(btf_index_init(&index, kernel), 0);
	*err = corebtf_write(&out, &index, &roots);
	if (!*err) {
		btf = btf__new(out.data, (uint32_t)out.len);
		assert_non_null(btf);
	}
	strbuf_free(&out);
	btf_index_free(&index);
	btf__free(kernel);
	return btf;
}

static struct btf *fit(const char *name, bool keep_id, int *err)
{
	return fit_kind(BTF_KIND_STRUCT, name, keep_id, err);
}

static const struct btf_type *type(const struct btf *btf, uint32_t id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	assert_non_null(t);
	return t;
}

static void has_what_a_structure_consists_of(void **state)
{
	int err, id;
	struct btf *btf = fit("sock", false, &err);
	const struct btf_type *sock, *t;

	(void)state;
	assert_non_null(btf);
	id = btf__find_by_name_kind(btf, "sock", BTF_KIND_STRUCT);
	assert_true(id > 0);
	sock = type(btf, (uint32_t)id);
	assert_int_equal(sock->size, 24);
	assert_int_equal(btf_vlen(sock), 2);
	assert_string_equal(btf__name_by_offset(btf, btf_members(sock)[1].name_off), "inners");
	assert_int_equal(btf_members(sock)[1].offset, 64);
	/* A pointer leads to nothing. */
	t = type(btf, btf_members(sock)[0].type);
	assert_true(btf_is_ptr(t) && !t->type);
	t = type(btf, btf_members(sock)[1].type);
	assert_true(btf_is_array(t));
	assert_int_equal(btf_array(t)->nelems, 2);
	assert_int_equal(btf__resolve_size(btf, btf_members(sock)[1].type), 16);
	t = type(btf, btf_array(t)->type);
	assert_true(btf_is_typedef(t));
	assert_string_equal(btf__name_by_offset(btf, t->name_off), "inner_t");
	assert_string_equal(btf__name_by_offset(btf, btf_members(type(btf, t->type))[1].name_off), "b");
	btf__free(btf);
}

static void has_all_of_a_name_and_nothing_else(void **state)
{
	unsigned int socks = 0;
	int err;
	struct btf *btf = fit("sock", false, &err);

	(void)state;
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++)
		socks += !strcmp(btf__name_by_offset(btf, type(btf, id)->name_off), "sock");
	assert_int_equal(socks, 2);
	assert_true(btf__find_by_name(btf, "unwanted") < 0);
	/* int, inner, inner_t, the pointer, the array, twice sock, and void */
	assert_int_equal(btf__type_cnt(btf), 8);
	btf__free(btf);
}

static void keeps_ids_that_are_asked_for(void **state)
{
	int err;
	struct btf *btf = fit("sock", true, &err);

	(void)state;
	assert_string_equal(btf__name_by_offset(btf, type(btf, 8)->name_off), "sock");
	assert_string_equal(btf__name_by_offset(btf, type(btf, 9)->name_off), "sock");
	assert_int_equal(type(btf, 9)->size, 4);
	assert_int_equal(btf__resolve_size(btf, btf_members(type(btf, 8))[1].type), 16);
	assert_int_equal(btf__type_cnt(btf), 10);
	btf__free(btf);
}

static void has_the_values_of_an_enumeration(void **state)
{
	int err;
	struct btf *btf = fit_kind(BTF_KIND_ENUM, "verdict", false, &err);
	const struct btf_type *t = type(btf, 1);

	(void)state;
	assert_string_equal(btf__name_by_offset(btf, t->name_off), "verdict");
	assert_int_equal(btf_vlen(t), 2);
	assert_string_equal(btf__name_by_offset(btf, btf_enum(t)[1].name_off), "DROP");
	assert_int_equal(btf_enum(t)[1].val, 7);
	btf__free(btf);
}

static void does_not_leave_out_what_it_cannot_tell(void **state)
{
	int err;

	(void)state;
	assert_null(fit("nf_conn", false, &err)); /* a module may have it */
	assert_int_equal(err, -ENOENT);
	assert_null(fit("odd", false, &err));
	assert_int_equal(err, -ENOTSUP);
}

static void refuses_what_is_no_object(void **state)
{
	struct corebtf_roots roots;
	char zero[256] = { 0 };

	(void)state;
	assert_int_equal(corebtf_roots(&roots, "", 0), -EINVAL);
	assert_int_equal(corebtf_roots(&roots, zero, sizeof(zero)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_what_a_structure_consists_of),
		cmocka_unit_test(has_all_of_a_name_and_nothing_else),
		cmocka_unit_test(keeps_ids_that_are_asked_for),
		cmocka_unit_test(has_the_values_of_an_enumeration),
		cmocka_unit_test(does_not_leave_out_what_it_cannot_tell),
		cmocka_unit_test(refuses_what_is_no_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
