// SPDX-License-Identifier: MIT
/* links: src/topk.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "topk.h"

static void add(struct topk *t, uint32_t key, uint64_t n)
{
	topk_add(t, &key, n);
}

static uint32_t key_of(const struct topk_item *item)
{
	uint32_t key;

	memcpy(&key, item->key, sizeof(key));
	return key;
}

static void test_exact_while_there_is_room(void **state)
{
	struct topk *t = topk_new(4, sizeof(uint32_t));
	struct topk_item top[8];

	(void)state;
	assert_non_null(t);
	assert_int_equal(topk_list(t, top, 8), 0);
	add(t, 7, 1);
	add(t, 8, 5);
	add(t, 9, 2);
	add(t, 7, 1);
	add(t, 6, 0); /* nothing is nothing */
	assert_int_equal(topk_size(t), 3);
	assert_int_equal(topk_capacity(t), 4);
	assert_int_equal(topk_replaced(t), 0);
	assert_int_equal(topk_total(t), 9);
	assert_int_equal(topk_list(t, top, 8), 3);
	assert_int_equal(key_of(&top[0]), 8);
	assert_int_equal(top[0].count, 5);
	/* Of equal ones the lesser bytes first. */
	assert_int_equal(key_of(&top[1]), 7);
	assert_int_equal(key_of(&top[2]), 9);
	assert_int_equal(top[1].error + top[2].error, 0);
	assert_int_equal(topk_list(t, top, 2), 2);
	assert_int_equal(key_of(&top[1]), 7);
	assert_int_equal(topk_list(t, top, 0), 0);
	topk_free(t);
	topk_free(NULL);
}

static void test_recent(void **state)
{
	struct topk *t = topk_new(4, sizeof(uint32_t));
	struct topk_item top[4];

	(void)state;
	add(t, 1, 3);
	topk_mark(t);
	add(t, 1, 2);
	add(t, 2, 1);
	assert_int_equal(topk_list(t, top, 4), 2);
	assert_int_equal(top[0].count, 5);
	assert_int_equal(top[0].recent, 2);
	assert_int_equal(top[1].recent, 1);
	topk_free(t);
}

static void test_new_takes_the_place_of_the_rarest(void **state)
{
	struct topk *t = topk_new(2, sizeof(uint32_t));
	struct topk_item top[2];

	(void)state;
	add(t, 1, 10);
	add(t, 2, 3);
	add(t, 3, 1);
	assert_int_equal(topk_replaced(t), 1);
	assert_int_equal(topk_list(t, top, 2), 2);
	assert_int_equal(key_of(&top[0]), 1);
	assert_int_equal(top[0].error, 0);
	assert_int_equal(key_of(&top[1]), 3);
	assert_int_equal(top[1].count, 4);
	assert_int_equal(top[1].error, 3);
	assert_int_equal(top[1].recent, 1);
	topk_free(t);
}

/* Against counts of everything: never too low, too high by no more than it says, and nothing frequent is missing. */
static void check_bounds(unsigned int seed, unsigned int capacity, unsigned int keys)
{
	struct topk *t = topk_new(capacity, sizeof(uint32_t));
	struct topk_item top[64];
	uint64_t truth[4096] = {}, total = 0;
	bool listed[4096] = {};
	unsigned int n;

	srandom(seed);
	for (unsigned int i = 0; i < 50000; i++) {
		/* Few are frequent, many are rare; each comes with a weight. */
		uint32_t key = (uint32_t)(random() % 2 ? random() % 8 : random() % keys);
		uint64_t weight = 1 + (uint64_t)random() % 3;

		add(t, key, weight);
		truth[key] += weight;
		total += weight;
	}
	assert_int_equal(topk_total(t), total);
	assert_true(capacity <= 64);
	n = topk_list(t, top, 64);
	assert_int_equal(n, topk_size(t));
	for (unsigned int i = 0; i < n; i++) {
		uint64_t is = truth[key_of(&top[i])];

		assert_false(listed[key_of(&top[i])]);
		listed[key_of(&top[i])] = true;
		assert_true(top[i].count >= is && top[i].count - top[i].error <= is);
		assert_true(!i || top[i].count <= top[i - 1].count);
	}
	for (unsigned int key = 0; key < keys; key++)
		assert_true(listed[key] || truth[key] <= top[n - 1].count);
	if (keys <= capacity)
		assert_int_equal(topk_replaced(t), 0);
	topk_free(t);
}

static void test_bounds(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 20; seed++) {
		check_bounds(seed, 1, 16);
		check_bounds(seed, 16, 16);
		check_bounds(seed, 32, 2000);
		check_bounds(seed, 64, 4096);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact_while_there_is_room),
		cmocka_unit_test(test_recent),
		cmocka_unit_test(test_new_takes_the_place_of_the_rarest),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
