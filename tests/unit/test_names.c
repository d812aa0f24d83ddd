// SPDX-License-Identifier: MIT
/* links: src/names.c src/reasons.c src/util.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "names.h"

static struct rec_symbol symbol(uint64_t addr, uint64_t offset, const char *name, const char *module)
{
	struct rec_symbol r = { .addr = addr, .offset = offset };

	memcpy(r.name, name, strlen(name));
	memcpy(r.module, module, strlen(module));
	return r;
}

static struct rec_reason reason(uint32_t number, const char *name)
{
	struct rec_reason r = { .reason = number };

	memcpy(r.name, name, strlen(name));
	return r;
}

static void test_unknown(void **state)
{
	struct names *n = names_new();
	struct ev_drop_place p;

	(void)state;
	assert_non_null(n);
	memset(&p, 'x', sizeof(p));
	p.known = false;
	names_fill(n, 0xffffffff81234567, 0, &p);
	assert_int_equal(p.address, 0xffffffff81234567);
	assert_int_equal(p.offset, 0);
	assert_string_equal(p.symbol, "");
	assert_string_equal(p.module, "");
	assert_string_equal(p.reason, "");
	assert_false(p.known);
	assert_int_equal(p.ifname[0], 'x');
	names_fill(n, 0, 45, &p);
	assert_string_equal(p.reason, "0x2d");
	names_fill(n, 0, 0x20001, &p);
	assert_string_equal(p.reason, "SUBSYS2:0x20001");
	names_free(n);
	names_free(NULL);
}

static void test_learned(void **state)
{
	struct rec_symbol s = symbol(0x1000, 0xb5, "nf_hook_slow", "");
	struct rec_reason r = reason(7, "NETFILTER_DROP");
	struct names *n = names_new();
	struct rec_rtx_drop d = { .location = 0x1000, .reason = 7 };
	struct ev_drop_place p;

	(void)state;
	assert_int_equal(names_learn_symbol(n, &s), 0);
	s = symbol(0x2000, 0x10, "veth_xmit", "veth");
	assert_int_equal(names_learn_symbol(n, &s), 0);
	assert_int_equal(names_learn_reason(n, &r), 0);
	r = reason(0, "NOT_DROPPED_YET");
	assert_int_equal(names_learn_reason(n, &r), 0);

	memset(&p, 'x', sizeof(p));
	names_fill(n, d.location, d.reason, &p);
	assert_string_equal(p.symbol, "nf_hook_slow");
	assert_string_equal(p.module, "");
	assert_int_equal(p.offset, 0xb5);
	assert_int_equal(p.address, 0x1000);
	assert_string_equal(p.reason, "NETFILTER_DROP");

	names_fill(n, 0x2000, 0, &p);
	assert_string_equal(p.symbol, "veth_xmit");
	assert_string_equal(p.module, "veth");
	assert_string_equal(p.reason, "NOT_DROPPED_YET");

	/* Another module may come to be at the same address. */
	s = symbol(0x2000, 0x20, "other", "");
	assert_int_equal(names_learn_symbol(n, &s), 0);
	names_fill(n, 0x2000, 7, &p);
	assert_string_equal(p.symbol, "other");
	assert_string_equal(p.module, "");
	assert_int_equal(p.offset, 0x20);
	names_free(n);
}

/* Texts that fill their field to the last byte. */
static void test_no_nul(void **state)
{
	struct names *n = names_new();
	struct rec_rtx_drop d = { .location = 1, .reason = 1 };
	struct ev_drop_place p;
	struct rec_symbol s;
	struct rec_reason r;

	(void)state;
	memset(&s, 'a', sizeof(s));
	s.addr = 1;
	memset(&r, 'b', sizeof(r));
	r.reason = 1;
	assert_int_equal(names_learn_symbol(n, &s), 0);
	assert_int_equal(names_learn_reason(n, &r), 0);
	names_fill(n, d.location, d.reason, &p);
	assert_int_equal(strlen(p.symbol), sizeof(p.symbol) - 1);
	assert_int_equal(strlen(p.module), sizeof(p.module) - 1);
	assert_int_equal(strlen(p.reason), sizeof(p.reason) - 1);
	names_free(n);
}

static void test_bounded(void **state)
{
	struct names *n = names_new();
	struct rec_symbol s;
	struct rec_reason r;
	struct ev_drop_place p;
	char name[32];

	(void)state;
	for (uint64_t i = 0; i < NAMES_MAX_SYMBOLS; i++) {
		snprintf(name, sizeof(name), "f%u", (unsigned int)i);
		s = symbol(i << 32, i, name, "");
		assert_int_equal(names_learn_symbol(n, &s), 0);
	}
	s = symbol(1, 0, "one_more", "");
	assert_int_equal(names_learn_symbol(n, &s), -ENOSPC);
	s = symbol(5ull << 32, 1, "replaced", "");
	assert_int_equal(names_learn_symbol(n, &s), 0);
	names_fill(n, 5ull << 32, 0, &p);
	assert_string_equal(p.symbol, "replaced");
	names_fill(n, (NAMES_MAX_SYMBOLS - 1ull) << 32, 0, &p);
	assert_string_equal(p.symbol, "f65535");
	names_fill(n, 1, 0, &p);
	assert_string_equal(p.symbol, "");

	for (uint32_t i = 0; i < NAMES_MAX_REASONS; i++) {
		r = reason(i, "R");
		assert_int_equal(names_learn_reason(n, &r), 0);
	}
	r = reason(NAMES_MAX_REASONS, "R");
	assert_int_equal(names_learn_reason(n, &r), -ENOSPC);
	names_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_learned),
		cmocka_unit_test(test_no_nul),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
