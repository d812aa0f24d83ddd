// SPDX-License-Identifier: MIT
/* links: src/ring.c src/log.c src/util.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring.h"

#define BYTES 4096u
#define LINES (BYTES / REBPF_RING_LINE)

/* A ring whose other end is the test: what bpf/ring.bpf.h does. */
struct fixture {
	struct ring_place place;
	unsigned char *memory;
	struct ring *ring;
	uint64_t expected; /* the first word of the record that comes next */
	size_t sizes;      /* of all that came */
};

static int setup(void **state)
{
	static struct fixture f;
	int fd = memfd_create("ring", 0);

	f = (struct fixture){ 0 };
	if (fd < 0 || ftruncate(fd, BYTES + REBPF_RING_BEYOND))
		return -1;
	f.memory = mmap(NULL, BYTES + REBPF_RING_BEYOND, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (f.memory == MAP_FAILED || ring_open_lines(&f.ring, fd, BYTES, &f.place))
		return -1;
	close(fd);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ring_close(f->ring);
	munmap(f->memory, BYTES + REBPF_RING_BEYOND);
	return 0;
}

/* Returns the place of a record of @size bytes that says @word in each of its words: what is left of it must not be taken for one. */
static uint64_t *reserve(struct fixture *f, size_t size, uint64_t word)
{
	uint64_t *at = (uint64_t *)(void *)(f->memory + (f->place.head * REBPF_RING_LINE & (BYTES - 1)));

	f->place.head += (size + 8 + REBPF_RING_LINE - 1) / REBPF_RING_LINE;
	for (size_t i = 1; i <= size / 8; i++)
		at[i] = word;
	return at;
}

static void submit(uint64_t *at, size_t size)
{
	__atomic_store_n(at, size, __ATOMIC_RELEASE);
}

static void on_record(void *ctx, const void *data, size_t size)
{
	struct fixture *f = ctx;
	uint64_t word;

	for (size_t i = 0; i < size / 8; i++) {
		memcpy(&word, (const char *)data + 8 * i, sizeof(word));
		assert_int_equal(word, f->expected);
	}
	f->expected++;
	f->sizes += size;
}

static size_t drain(struct fixture *f, size_t budget, bool *all)
{
	return ring_drain(f->ring, budget, on_record, f, all);
}

static void test_in_order_round_and_round(void **state)
{
	struct fixture *f = *state;
	size_t sizes = 0;
	bool all;

	f->expected = 1;
	for (uint64_t i = 1; i <= 10 * LINES; i++) {
		size_t size = 8 * (1 + i * 7 % 60);

		submit(reserve(f, size, i), size);
		sizes += size;
		if (i % 5)
			continue;
		assert_false(ring_is_empty(f->ring));
		assert_int_equal(drain(f, SIZE_MAX, &all), 5);
		assert_true(all);
		assert_true(ring_is_empty(f->ring));
	}
	assert_int_equal(f->sizes, sizes);
	assert_true(f->place.head > 20 * LINES);
	assert_int_equal(f->place.tail, f->place.head);
}

/* A record that its producer has not finished holds up those behind it; each goes once. */
static void test_waits_for_the_unfinished(void **state)
{
	struct fixture *f = *state;
	uint64_t *first, *second;
	bool all;

	f->expected = 5;
	first = reserve(f, 200, 5);
	second = reserve(f, 56, 6);
	submit(second, 56);
	assert_int_equal(drain(f, SIZE_MAX, &all), 0);
	assert_false(all);
	assert_false(ring_is_empty(f->ring));
	submit(first, 200);
	assert_int_equal(drain(f, SIZE_MAX, &all), 2);
	assert_true(all);
	assert_int_equal(drain(f, SIZE_MAX, &all), 0);
	assert_true(all);
}

/*
 * What a record has left, whatever it was, is not taken for a finished record when its lines are reserved again: not at its
 * first line, nor at the others, nor where it went on behind the ring's end.
 */
static void test_nothing_is_left(void **state)
{
	struct fixture *f = *state;
	bool all;

	for (unsigned int shift = 0; shift < LINES; shift++) {
		f->expected = 64;
		submit(reserve(f, 504, 64), 504); /* 64: a size, too */
		assert_int_equal(drain(f, SIZE_MAX, &all), 1);
		while (f->place.tail % LINES != (shift + 1) % LINES) {
			uint64_t *at = reserve(f, 8, 0);

			assert_int_equal(drain(f, SIZE_MAX, &all), 0);
			f->expected = 0;
			submit(at, 8);
			assert_int_equal(drain(f, SIZE_MAX, &all), 1);
		}
	}
}

static void test_budget(void **state)
{
	struct fixture *f = *state;
	bool all;

	for (uint64_t i = 0; i < 20; i++)
		submit(reserve(f, 48, i), 48);
	assert_int_equal(drain(f, 15, &all), 15);
	assert_false(all);
	assert_int_equal(f->place.tail, 15);
	assert_int_equal(drain(f, 15, &all), 5);
	assert_true(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order_round_and_round, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_the_unfinished, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
