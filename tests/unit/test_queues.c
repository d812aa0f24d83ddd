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

		for (int pass = 0; pass < 2 && queue.backlog; pass++)
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
	assert_int_equal(LOOK(2000, FIFO(1, 10500, 500)), 0);
	assert_int_equal(LOOK(3000, FIFO(1, 10501, 500)), 0); /* out, or back again */
	assert_int_equal(LOOK(4000, FIFO(1, 10501, 500)), 0);
	assert_int_equal(LOOK(5000, FIFO(1, 10502, 500)), 0); /* the first round ends, the second begins */
	assert_int_equal(LOOK(6000, FIFO(1, 11003, 500)), 0);
	assert_int_equal(LOOK(7000, FIFO(1, 11004, 500)), 1000);
	assert_int_equal(LOOK(8000, FIFO(1, 12000, 500)), 1000);
	assert_int_equal(LOOK(9000, FIFO(1, 12001, 500)), 5000);
}

static void test_busy_other(void **state)
{
	(void)state;
	for (uint64_t i = 1; i < 50; i++)
		assert_int_equal(LOOK(1000 * i, { 1, false, 100000 * i, 5 }), 0);
}

/* The same name, and no longer first in, first out. */
static void test_replaced(void **state)
{
	(void)state;
	assert_int_equal(LOOK(1000, FIFO(1, 0, 5)), 0);
	for (uint64_t i = 2; i < 50; i++)
		assert_int_equal(LOOK(1000 * i, { 1, false, 100000 * i, 5 }), 0);
}

/* Time passes, and each time all that was in the queues has gone. */
static uint64_t look_rounds(uint64_t from, unsigned int rounds, unsigned int queues)
{
	uint64_t left = 0;

	for (uint64_t i = 0; i <= 2 * rounds; i++) {
		struct sight s[] = { FIFO(1, 10000 * (from + i), 50), FIFO(2, 10000 * (from + i), 50),
				     FIFO(3, 10000 * (from + i), 50) };

		left = look_at(1000 * (from + i), s, queues, false);
	}
	return left;
}

/* Who leaves the first may be in the second: as many rounds as queues, and one for what a look cannot see. */
static void test_several_busy(void **state)
{
	(void)state;
	for (unsigned int queues = 1; queues <= 3; queues++) {
		setup(NULL);
		assert_int_equal(look_rounds(1, queues, queues), 0);
		setup(NULL);
		assert_int_equal(look_rounds(1, queues + 1, queues), 1000);
		setup(NULL);
		assert_int_equal(look_rounds(1, queues + 2, queues), 3000);
	}
}

/* Never empty at the same time, each is empty at some time. */
static void test_empty_in_turn(void **state)
{
	(void)state;
	assert_int_equal(LOOK(1000, FAIR(1, 5)), 0);
	assert_int_equal(LOOK(2000, FAIR(2, 5)), 0);
	assert_int_equal(LOOK(3000, FAIR(1, 5)), 0);
	assert_int_equal(LOOK(4000, FAIR(2, 5)), 1000);
	assert_int_equal(LOOK(5000, FAIR(1, 5)), 2000);
	assert_int_equal(LOOK(6000, FAIR(1, 5)), 2000);
}

/* Of what holds packets only within a round it is not said that they were there at its ends. */
static void test_seen_within_a_round(void **state)
{
	(void)state;
	assert_int_equal(LOOK(1000, FIFO(1, 0, 50)), 0);
	assert_int_equal(LOOK(2000, FIFO(1, 100, 50), FIFO(2, 0, 50)), 0);
	assert_int_equal(LOOK(3000, FIFO(1, 200, 50)), 0);
	assert_int_equal(LOOK(4000, FIFO(1, 300, 50), FIFO(2, 0, 50)), 0);
	assert_int_equal(LOOK(5000, FIFO(1, 400, 50)), 1000);
}

/* What moved while the look went on was in none of them. */
static void test_unseen_by_a_look(void **state)
{
	(void)state;
	/* It goes from one that is empty afterwards to one that has been read before. */
	assert_int_equal(LOOK(1000, FIFO(2, 0, 50000)), 0);
	assert_int_equal(LOOK(2000, FIFO(2, 50001, 50000)), 0);
	/* It is the last of these, at 51,000. */
	assert_int_equal(LOOK(3000, FIFO(2, 50002, 50000)), 0);
	assert_int_equal(LOOK(4000, FIFO(2, 100003, 50000)), 0);
	assert_int_equal(LOOK(5000, FIFO(2, 100004, 50000)), 1000);
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
	assert_int_equal(look_rounds(1, 1, 1), 0);
	queues_begin(&q, 3500);
	assert_int_equal(queues_end(&q, false), 0);
	assert_int_equal(look_rounds(4, 1, 1), 0);
	assert_int_equal(look_rounds(7, 1, 1), 4000);
}

static uint64_t look_once_at(uint64_t now_ns, const struct queue *queue)
{
	queues_begin(&q, now_ns);
	queues_note(&q, queue);
	return queues_end(&q, true);
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
	assert_int_equal(q.at[0].mark, 1400);
	/* Read once, it says nothing of what it held. */
	setup(NULL);
	for (uint64_t i = 1; i < 30; i++) {
		queue.sent = 10000 * i;
		assert_int_equal(look_once_at(1000 * i, &queue), 0);
	}
}

/* tbf with a fair queue in it sends in the order of that. */
static void test_inside(void **state)
{
	struct queue outer = { .ifindex = 1, .handle = 0x10000, .parent = TC_H_ROOT, .fifo = true, .backlog = 5 };
	struct queue inner = { .ifindex = 1, .handle = 0x20000, .parent = 0x10001, .backlog = 5 };
	struct queue other = { .ifindex = 1, .handle = 0, .parent = 0x00000001, .fifo = true, .backlog = 5 };
	uint64_t left = 0;

	(void)state;
	for (uint64_t i = 1; i < 20; i++) {
		queues_begin(&q, 1000 * i);
		outer.sent = 1000 * i;
		queues_note(&q, &outer);
		queues_note(&q, &inner);
		queues_note(&q, &outer);
		queues_note(&q, &inner);
		assert_int_equal(queues_end(&q, true), 0);
	}
	/* What has no handle is around nothing. */
	setup(NULL);
	for (uint64_t i = 1; i <= 5; i++) {
		queues_begin(&q, 1000 * i);
		other.sent = 1000 * i;
		queues_note(&q, &other);
		queues_note(&q, &other);
		left = queues_end(&q, true);
	}
	assert_int_equal(left, 1000);
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
		cmocka_unit_test_setup(test_several_busy, setup), cmocka_unit_test_setup(test_empty_in_turn, setup),
		cmocka_unit_test_setup(test_replaced, setup),	cmocka_unit_test_setup(test_unseen_by_a_look, setup),
		cmocka_unit_test_setup(test_seen_within_a_round, setup), cmocka_unit_test_setup(test_elsewhere, setup),
		cmocka_unit_test_setup(test_incomplete, setup), cmocka_unit_test_setup(test_read_twice, setup),
		cmocka_unit_test_setup(test_inside, setup),	cmocka_unit_test_setup(test_too_many, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
