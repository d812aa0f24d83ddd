// SPDX-License-Identifier: MIT
/* links: src/quantile.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "quantile.h"

static void test_empty_and_one(void **state)
{
	static struct quantile q;

	(void)state;
	assert_int_equal(quantile_at(&q, 500), 0);
	quantile_add(&q, 12345);
	assert_int_equal(quantile_at(&q, 1), 12345);
	assert_int_equal(quantile_at(&q, 1000), 12345);
	assert_int_equal(q.least, 12345);
}

static void test_small_values_are_exact(void **state)
{
	static struct quantile q;

	(void)state;
	for (uint64_t v = 1; v <= 50; v++)
		quantile_add(&q, v);
	assert_int_equal(quantile_at(&q, 500), 25);
	assert_int_equal(quantile_at(&q, 900), 45);
	assert_int_equal(quantile_at(&q, 990), 50);
	assert_int_equal(quantile_at(&q, 1000), 50);
	assert_int_equal(quantile_at(&q, 1), 1);
}

static void test_ends(void **state)
{
	static struct quantile q;

	(void)state;
	quantile_add(&q, 0);
	quantile_add(&q, UINT64_MAX);
	assert_int_equal(quantile_at(&q, 500), 0);
	assert_true(quantile_at(&q, 1000) == UINT64_MAX);
	assert_int_equal(q.least, 0);
	assert_true(q.greatest == UINT64_MAX);
}

/* Every edge of a bucket: not too low, and at most a 64th too high. */
static void test_width(void **state)
{
	static struct quantile q;

	(void)state;
	for (unsigned int shift = 0; shift < 64; shift++) {
		for (int off = -1; off <= 1; off++) {
			uint64_t v = (1ULL << shift) + (uint64_t)(int64_t)off, got;

			q = (struct quantile){};
			quantile_add(&q, v);
			quantile_add(&q, UINT64_MAX);
			got = quantile_at(&q, 500);
			assert_true(got >= v && got - v <= v / 64);
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_against_sorting(void **state)
{
	static struct quantile q;
	static uint64_t all[5000];
	static const unsigned int wanted[] = { 1, 10, 500, 900, 990, 999, 1000 };

	(void)state;
	srandom(4711);
	for (unsigned int i = 0; i < 5000; i++) {
		all[i] = (uint64_t)random() >> (random() % 31);
		quantile_add(&q, all[i]);
	}
	qsort(all, 5000, sizeof(*all), compare);
	for (unsigned int i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		uint64_t is = all[(5000 * wanted[i] + 999) / 1000 - 1], got = quantile_at(&q, wanted[i]);

		assert_true(got >= is && got - is <= is / 64);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_and_one),
		cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_against_sorting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
