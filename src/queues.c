// SPDX-License-Identifier: MIT
#include "queues.h"

#include <linux/pkt_sched.h>
#include <string.h>

#include "util.h"

bool queues_is_fifo(const char *kind, uint32_t parent)
{
	static const char *const kinds[] = { "pfifo", "bfifo", "pfifo_head_drop", "codel" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kind, kinds[i]))
			return true;
	/* It has a bfifo of which the kernel makes no show, unless another is shown. */
	return !strcmp(kind, "tbf") && parent == TC_H_ROOT;
}

void queues_begin(struct queues *q, uint64_t now_ns)
{
	q->begin_ns = now_ns;
	q->elsewhere = false;
	for (unsigned int i = 0; i < q->count; i++)
		q->at[i].seen = q->at[i].twice = false;
}

static struct queue_state *find(struct queues *q, const struct queue *queue)
{
	for (unsigned int i = 0; i < q->count; i++) {
		const struct queue *known = &q->at[i].now;

		if (known->netns == queue->netns && known->ifindex == queue->ifindex && known->handle == queue->handle &&
		    known->parent == queue->parent)
			return &q->at[i];
	}
	return NULL;
}

/* The queue around this one is none of those whose inside the kernel hides. */
static void note_inside(struct queues *q, const struct queue *queue)
{
	uint32_t handle = TC_H_MAJ(queue->parent);

	for (unsigned int i = 0; handle && i < q->count; i++) {
		struct queue *outer = &q->at[i].now;

		if (outer->netns == queue->netns && outer->ifindex == queue->ifindex && outer->handle == handle)
			outer->fifo = false;
	}
}

void queues_note(struct queues *q, const struct queue *queue)
{
	struct queue_state *s = find(q, queue);

	note_inside(q, queue);
	if (!s && q->count == QUEUES_MAX) {
		q->elsewhere = true;
		return;
	}
	if (!s) {
		s = &q->at[q->count++];
		*s = (struct queue_state){ .now = *queue };
	}
	if (!s->seen)
		s->now.backlog = queue->backlog;
	s->now.sent = queue->sent;
	/* Another of the same name may be there by now. */
	s->now.fifo &= queue->fifo;
	s->twice = s->seen;
	s->seen = true;
}

void queues_note_elsewhere(struct queues *q)
{
	q->elsewhere = true;
}

/*
 * Is what it held when the round began still there, for all that is known? What went back to it goes out before the next that
 * is taken out: to have sent more than that was, once more, is the proof.
 */
static bool is_held(struct queue_state *s)
{
	if (!s->held || !s->seen)
		return false;
	if (!s->now.fifo || s->now.sent <= s->mark)
		return true;
	s->mark = s->now.sent;
	if (s->passed)
		return false;
	s->passed = true;
	return true;
}

static bool is_any_held(struct queues *q)
{
	bool any = false;

	for (unsigned int i = 0; i < q->count; i++) {
		q->at[i].held = is_held(&q->at[i]);
		any |= q->at[i].held;
	}
	return any;
}

static void begin_round(struct queues *q)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < q->count; i++) {
		struct queue_state *s = &q->at[i];

		s->rounds = (s->rounds << 1 | s->seen) & ((1U << QUEUES_ROUNDS) - 1);
		s->held = s->seen;
		s->passed = false;
		s->mark = s->twice ? s->now.sent + s->now.backlog : UINT64_MAX;
		if (s->rounds)
			q->at[kept++] = *s;
	}
	q->count = kept;
	memmove(&q->round_ns[1], &q->round_ns[0], sizeof(q->round_ns) - sizeof(q->round_ns[0]));
	q->round_ns[0] = q->begin_ns;
	if (q->rounds < QUEUES_ROUNDS)
		q->rounds++;
}

/*
 * A round begins with the look that ends the one before. What was in a queue then is in another when it ends, if in any,
 * and never in one twice: after as many rounds as queues held anything at those looks, it has left. One round more, for a look
 * is no moment: what moves meanwhile from a queue that is still to be read to one that has been is seen in neither.
 */
static void find_left(struct queues *q)
{
	for (unsigned int back = 0; back < q->rounds; back++) {
		unsigned int busy = 0;

		for (unsigned int i = 0; i < q->count; i++)
			busy += !!(q->at[i].rounds & ((2U << back) - 1));
		if (back < busy + !!busy)
			continue;
		if (q->round_ns[back] > q->left_ns)
			q->left_ns = q->round_ns[back];
		return;
	}
}

uint64_t queues_end(struct queues *q, bool complete)
{
	if (!complete) {
		*q = (struct queues){};
		return 0;
	}
	if (!is_any_held(q) && !q->elsewhere) {
		begin_round(q);
		find_left(q);
	}
	return q->left_ns;
}
