/* SPDX-License-Identifier: MIT */
/*
 * What has left the queueing disciplines of this host, by looking at them now and then. A queue that is busy all the time
 * proves nothing by being empty, but of one that is first in, first out what it held was taken as soon as more bytes than that
 * were, and has gone when still more are; and who leaves one queue can only be in a later one of its way.
 */
#ifndef REBPF_QUEUES_H
#define REBPF_QUEUES_H

#include <stdbool.h>
#include <stdint.h>

/* More queues than these that hold packets at a time: nothing is proved. */
#define QUEUES_MAX 64
#define QUEUES_ROUNDS 16

/* A queueing discipline that holds packets. */
struct queue {
	uint32_t netns, ifindex, handle, parent;
	bool fifo;        /* first in, first out: see queues_is_fifo() */
	uint32_t backlog; /* bytes held */
	uint64_t sent;    /* bytes taken out of it; what the device then had no room for went back (dev_requeue_skb()) */
};

struct queue_state {
	struct queue now;
	uint64_t mark;   /* what it held when the round began was taken out if it has sent more */
	uint32_t rounds; /* at whose beginning it held packets; bit 0: the current one */
	bool held;       /* and what it held when the current one began may still be there */
	bool passed;     /* it was taken out, but may have gone back */
	bool seen;       /* by the current look */
	bool twice;      /* the same; else @mark could be too low */
};

/* Zero-initialised: nothing is known. No memory of its own. */
struct queues {
	struct queue_state at[QUEUES_MAX];
	unsigned int count;
	uint64_t round_ns[QUEUES_ROUNDS]; /* when the rounds began; [0]: the current one */
	unsigned int rounds;
	uint64_t begin_ns; /* of the current look */
	uint64_t left_ns;
	bool elsewhere;
};

/* Is a discipline of this kind known to send packets in the order in which they came? @parent as in struct tcmsg. */
bool queues_is_fifo(const char *kind, uint32_t parent);

/* A look at all queues begins. @now_ns: CLOCK_MONOTONIC. */
void queues_begin(struct queues *q, uint64_t now_ns);

/*
 * This queue holds packets. The kernel reads the bytes sent before the backlog (net/sched/sch_api.c, tc_fill_qdisc()): of one
 * that is first in, first out to be said twice, as read twice.
 */
void queues_note(struct queues *q, const struct queue *queue);

/* Packets are held where it cannot be told which: the look proves nothing, nor ends a round. */
void queues_note_elsewhere(struct queues *q);

/*
 * The look is over; @complete: it saw all queues of the host, and one that was not said holds nothing. Returns: what was
 * under way on this host before that time, and was not dropped, has left it. 0: not known.
 */
uint64_t queues_end(struct queues *q, bool complete);

#endif
