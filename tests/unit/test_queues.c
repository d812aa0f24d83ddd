// SPDX-License-Identifier: MIT
/* links: src/queues.c */
/* What looks at queues prove to have left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/pkt_sched.h>
#include <stdbool.h>

#include "queues.h"

static struct queues q;

static int setup(void **state)
{
	(void)state;
	q = (struct queues){};
	return 0;
}

/* Of device @ifindex; @sent and @backlog in bytes. A queue without backlog is not said. */
struct sight {
	uint32_t ifindex;
	bool fifo;
	uint64_t sent;
	uint32_t backlog;
};

static uint64_t look_at(uint64_t now_ns, const struct sight *sights, size_t count, bool elsewhere)
{
	queues_begin(&q, now_ns);
	for (size_t i = 0; i < count; i++) {
		struct queue queue = { .netns = 1, .ifindex = sights[i].ifindex, .handle = 0x80010000, .parent = TC_H_ROOT,
				       .fifo = sights[i].fifo, .sent = sights[i].sent, .backlog = sights[i].backlog };

		if (queue.backlog)
			queues_note(&q, &queue);
	}
	if (elsewhere)
		queues_note_elsewhere(&q);
	return queues_end(&q, true);
}

#define LOOK(now, ...) \
	look_at(now, (const struct sight[]){ __VA_ARGS__ }, sizeof((const struct sight[]){ __VA_ARGS__ }) / sizeof(struct sight), false)
#define FIFO(ifindex, sent, backlog) { ifindex, true, sent, backlog }
#define FAIR(ifindex, backlog) { ifindex, false, 0, backlog }

static void test_kinds(void **state)
{
	(void)state;
	assert_true(queues_is_fifo("pfifo", 0x10001));
	assert_true(queues_is_fifo("bfifo", TC_H_ROOT));
	assert_true(queues_is_fifo("tbf", TC_H_ROOT));
	assert_false(queues_is_fifo("tbf", 0x10001)); /* its inside may have been shown before it */
	assert_false(queues_is_fifo("fq_codel", TC_H_ROOT));
	assert_false(queues_is_fifo("pfifo_fast", TC_H_ROOT));
	assert_false(queues_is_fifo("netem", TC_H_ROOT));
}

static void test_empty(void **state)
{
	(void)state;
	assert_int_equal(LOOK(1000, FAIR(1, 0)), 1000);
	assert_int_equal(LOOK(2000, FAIR(1, 5)), 1000);
	assert_int_equal(LOOK(3000, FAIR(1, 5)), 1000);
	assert_int_equal(LOOK(4000, FAIR(1, 0)), 4000);
}

static void test_busy_fifo(void **state)
{
	(void)state;
	assert_int_equal(LOOK(1000, FIFO(1, 10000, 500)), 0);
	assert_int_equal(LOOK(2000, FIFO(1, 10400, 500)), 0);
	assert_int_equal(LOOK(3000, FIFO(1, 10500, 500)), 0); /* the last may have gone back */
	assert_int_equal(LOOK(4000, FIFO(1, 10501, 500)), 1000);
	/* A round began at 4000. */
	assert_int_equal(LOOK(5000, FIFO(1, 11001, 500)), 1000);
	assert_int_equal(LOOK(6000, FIFO(1, 11002, 500)), 4000);
}

static void test_busy_other(void **state)
{
	(void)state;
	for (uint64_t i = 1; i < 50; i++)
		assert_int_equal(LOOK(1000 * i, { 1, false, 100000 * i, 5 }), 0);
}

/* Who leaves the first may be in the second: two busy ones take two rounds. */
static void test_two_busy(void **state)
{
	(void)state;
	assert_int_equal(LOOK(1000, FIFO(1, 0, 50), FIFO(2, 0, 50)), 0);
	assert_int_equal(LOOK(2000, FIFO(1, 60, 50), FIFO(2, 10, 50)), 0);
	assert_int_equal(LOOK(3000, FIFO(1, 70, 50), FIFO(2, 60, 50)), 0);
	assert_int_equal(LOOK(4000, FIFO(1, 200, 50), FIFO(2, 200, 50)), 1000);
	assert_int_equal(LOOK(5000, FIFO(1, 400, 50), FIFO(2, 400, 50)), 3000);
}

/* Never empty at the same time, each is empty at some time. */
static void test_empty_in_turn(void **state)
{
	(void)state;
	assert_int_equal(LOOK(1000, FAIR(1, 5)), 0);
	assert_int_equal(LOOK(2000, FAIR(2, 5)), 0);
	assert_int_equal(LOOK(3000, FAIR(1, 5)), 1000);
	assert_int_equal(LOOK(4000, FAIR(2, 5)), 2000);
}

/* What is in one that holds packets only within a round cannot have been there at its ends. */
static void test_seen_within_a_round(void **state)
{
	(void)state;
	assert_int_equal(LOOK(1000, FIFO(1, 0, 50)), 0);
	assert_int_equal(LOOK(2000, FIFO(1, 20, 50), FIFO(2, 0, 50)), 0);
	assert_int_equal(LOOK(3000, FIFO(1, 100, 50)), 1000);
	assert_int_equal(LOOK(4000, FIFO(1, 200, 50), FIFO(2, 50, 50)), 1000);
	assert_int_equal(LOOK(5000, FIFO(1, 300, 50)), 3000); /* from 2 to 1, for all that is known */
}

static void test_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(look_at(1000, NULL, 0, true), 0);
	assert_int_equal(look_at(2000, NULL, 0, false), 2000);
	assert_int_equal(look_at(3000, NULL, 0, true), 2000);
}

static void test_incomplete(void **state)
{
	(void)state;
	assert_int_equal(LOOK(1000, FIFO(1, 0, 50)), 0);
	queues_begin(&q, 2000);
	assert_int_equal(queues_end(&q, false), 0);
	assert_int_equal(LOOK(3000, FIFO(1, 100, 50)), 0);
	assert_int_equal(LOOK(4000, FIFO(1, 200, 50)), 3000);
}

static void test_read_twice(void **state)
{
	struct queue queue = { .ifindex = 1, .handle = 0x10000, .fifo = true, .sent = 1000, .backlog = 300 };

	(void)state;
	/* A packet of 100 left between the two numbers of the first reading. */
	queues_begin(&q, 1000);
	queues_note(&q, &queue);
	queue.sent = 1100;
	queue.backlog = 900;
	queues_note(&q, &queue);
	assert_int_equal(queues_end(&q, true), 0);
	queue.sent = 1400;
	queues_begin(&q, 2000);
	queues_note(&q, &queue);
	assert_int_equal(queues_end(&q, true), 0);
	queue.sent = 1401;
	queues_begin(&q, 3000);
	queues_note(&q, &queue);
	assert_int_equal(queues_end(&q, true), 1000);
}

/* tbf with a fair queue in it sends in the order of that. */
static void test_inside(void **state)
{
	struct queue outer = { .ifindex = 1, .handle = 0x10000, .parent = TC_H_ROOT, .fifo = true, .backlog = 5 };
	struct queue inner = { .ifindex = 1, .handle = 0x20000, .parent = 0x10001, .backlog = 5 };
	struct queue other = { .ifindex = 1, .handle = 0, .parent = 0x00000001, .fifo = true, .backlog = 5 };

	(void)state;
	for (uint64_t i = 1; i < 20; i++) {
		queues_begin(&q, 1000 * i);
		outer.sent = 1000 * i;
		queues_note(&q, &outer);
		queues_note(&q, &inner);
		assert_int_equal(queues_end(&q, true), 0);
	}
	/* What has no handle is around nothing. */
	setup(NULL);
	for (uint64_t i = 1; i < 4; i++) {
		queues_begin(&q, 1000 * i);
		other.sent = 1000 * i;
		queues_note(&q, &other);
		assert_int_equal(queues_end(&q, true), 1000 * (i - 1));
	}
}

static void test_too_many(void **state)
{
	struct queue queue = { .fifo = true, .backlog = 5 };

	(void)state;
	for (uint64_t i = 1; i < 5; i++) {
		queues_begin(&q, 1000 * i);
		for (queue.ifindex = 0; queue.ifindex <= QUEUES_MAX; queue.ifindex++) {
			queue.sent = 1000 * i;
			queues_note(&q, &queue);
		}
		assert_int_equal(queues_end(&q, true), 0);
	}
	assert_int_equal(look_at(9000, NULL, 0, false), 9000);
	assert_int_equal(look_at(9500, NULL, 0, false), 9500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_kinds, setup),	cmocka_unit_test_setup(test_empty, setup),
		cmocka_unit_test_setup(test_busy_fifo, setup),	cmocka_unit_test_setup(test_busy_other, setup),
		cmocka_unit_test_setup(test_two_busy, setup),	cmocka_unit_test_setup(test_empty_in_turn, setup),
		cmocka_unit_test_setup(test_seen_within_a_round, setup), cmocka_unit_test_setup(test_elsewhere, setup),
		cmocka_unit_test_setup(test_incomplete, setup), cmocka_unit_test_setup(test_read_twice, setup),
		cmocka_unit_test_setup(test_inside, setup),	cmocka_unit_test_setup(test_too_many, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
