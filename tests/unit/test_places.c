// SPDX-License-Identifier: MIT
/* links: src/places.c src/meaning.c src/meaning_table.c src/meaning_places.c src/names.c src/reasons.c src/util.c */
/* Where and why packets were dropped: named and judged once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "places.h"
#include "records.h"

static struct names *names;
static struct places *places;

static int setup(void **state)
{
	(void)state;
	names = names_new();
	places = places_new(names);
	assert_true(names && places);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	places_free(places);
	names_free(names);
	return 0;
}

static void learn_reason(uint32_t reason, const char *text)
{
	union record r = make_reason(reason, text);

	names_learn_reason(names, &r.rec_reason);
}

static void learn_symbol(uint64_t addr, const char *text)
{
	union record r = make_symbol(addr, text, 0xb5);

	names_learn_symbol(names, &r.rec_symbol);
	places_renamed(places, addr);
}

/* From 6.3 the old duplicates have a reason of their own, and what is left lay beyond the window. */
static void test_outside(void **state)
{
	const struct place *p;

	(void)state;
	learn_reason(7, "TCP_INVALID_SEQUENCE");
	p = places_get(places, places_id(places, 5, 7, DROP_SOURCE_KFREE));
	assert_int_equal(p->meaning->fate, DROP_FATE_OUTSIDE);
	assert_int_equal(p->fate, DROP_FATE_OUTSIDE);
	teardown(state);
	setup(state);
	learn_reason(7, "TCP_INVALID_SEQUENCE");
	learn_reason(8, "TCP_OLD_SEQUENCE");
	p = places_get(places, places_id(places, 5, 7, DROP_SOURCE_KFREE));
	assert_int_equal(p->meaning->fate, DROP_FATE_OUTSIDE);
	assert_int_equal(p->fate, DROP_FATE_LOST);
	p = places_get(places, places_id(places, 5, 8, DROP_SOURCE_KFREE));
	assert_int_equal(p->fate, DROP_FATE_DELIVERED);
}

static void test_ids(void **state)
{
	uint32_t id = places_id(places, 5, 7, DROP_SOURCE_KFREE);

	(void)state;
	assert_int_not_equal(id, 0);
	assert_int_equal(places_id(places, 5, 7, DROP_SOURCE_KFREE), id);
	assert_int_not_equal(places_id(places, 6, 7, DROP_SOURCE_KFREE), id);
	assert_int_not_equal(places_id(places, 5, 8, DROP_SOURCE_KFREE), id);
	assert_int_not_equal(places_id(places, 5, 7, DROP_SOURCE_REQQ_FULL), id);
}

/* A name that comes later changes what is said of the place, and what is thought of it. */
static void test_renamed(void **state)
{
	uint32_t id = places_id(places, 5, 0, DROP_SOURCE_KFREE), other = places_id(places, 6, 0, DROP_SOURCE_KFREE);

	(void)state;
	assert_string_equal(places_get(places, id)->text.symbol, "");
	learn_symbol(5, "nf_hook_slow");
	assert_int_equal(places_id(places, 5, 0, DROP_SOURCE_KFREE), id);
	assert_string_equal(places_get(places, id)->text.symbol, "nf_hook_slow");
	assert_int_equal(places_get(places, id)->text.offset, 0xb5);
	assert_int_equal(places_get(places, id)->fate, DROP_FATE_LOST);
	assert_string_equal(places_get(places, other)->text.symbol, "");
}

/* What rebpf says itself. */
static void test_synthetic(void **state)
{
	(void)state;
	assert_string_equal(
		places_get(places, places_id(places, 0, 0, DROP_SOURCE_LISTEN_OVERFLOW))->text.reason, "TCP_LISTEN_OVERFLOW");
	assert_string_equal(places_get(places, places_id(places, 0, 0, DROP_SOURCE_REQQ_FULL))->text.reason,
			    "TCP_REQQ_FULL");
	assert_string_equal(
		places_get(places, places_id(places, 0, 0, DROP_SOURCE_RETRIES_EXCEEDED))->text.reason, "RETRIES_EXCEEDED");
}

/* What rebpf drops itself, the kernel frees somewhere: the place is told, the reason is ours. */
static void test_injected(void **state)
{
	uint32_t id = places_id(places, 5, 7, DROP_SOURCE_INJECT);

	(void)state;
	learn_symbol(5, "skb_do_redirect");
	assert_int_equal(places_id(places, 5, 7, DROP_SOURCE_INJECT), id);
	assert_string_equal(places_get(places, id)->text.reason, "REBPF_INJECT");
	assert_string_equal(places_get(places, id)->text.symbol, "skb_do_redirect");
	assert_int_equal(places_get(places, id)->text.class, DROP_CLASS_POLICY);
	assert_int_equal(places_get(places, id)->fate, DROP_FATE_LOST);
}

/* Beyond the bound nothing is known, and what was known still is. */
static void test_bound(void **state)
{
	uint32_t first = places_id(places, 1, 7, DROP_SOURCE_KFREE);

	(void)state;
	for (uint64_t i = 2; i < 16384; i++)
		assert_int_not_equal(places_id(places, i, 7, DROP_SOURCE_KFREE), 0);
	assert_int_equal(places_id(places, 16384, 7, DROP_SOURCE_KFREE), 0);
	assert_int_equal(places_id(places, 1, 7, DROP_SOURCE_KFREE), first);
	assert_true(places_get(places, 0)->text.known);
	assert_int_equal(places_get(places, 0)->fate, DROP_FATE_UNCLEAR);
	assert_ptr_equal(places_get(places, 99999), places_get(places, 0));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_outside),
		TEST(test_ids),
		TEST(test_renamed),
		TEST(test_synthetic),
		TEST(test_injected),
		TEST(test_bound),
	};

	return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
