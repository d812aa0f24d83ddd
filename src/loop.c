// SPDX-License-Identifier: MIT
#include "loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "util.h"

#define MAX_SOURCES 32

struct source {
	loop_fn *fn;
	void *ctx;
	struct event *event;
};

struct loop {
	struct event_base *base;
	struct source source[MAX_SOURCES];
	unsigned int count;
};

static void dispatch(evutil_socket_t fd, short what, void *arg)
{
	struct source *s = arg;

	(void)fd, (void)what;
	s->fn(s->ctx);
}

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l)
		l->base = event_base_new();
	if (l && !l->base) {
		free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (unsigned int i = 0; i < l->count; i++)
		event_free(l->source[i].event);
	event_base_free(l->base);
	free(l);
}

static struct timeval to_timeval(uint64_t ns)
{
	return (struct timeval){ .tv_sec = (time_t)(ns / NSEC_PER_SEC),
				 .tv_usec = (suseconds_t)(ns % NSEC_PER_SEC / 1000) };
}

/* @fd: descriptor or signal, -1 for a timer. @delay_ns: 0 for none. */
static int add(struct loop *l, int fd, short what, uint64_t delay_ns, loop_fn *fn, void *ctx)
{
	struct timeval tv = to_timeval(delay_ns);
	struct source *s = &l->source[l->count];

	if (l->count == MAX_SOURCES)
		return -ENOSPC;
	*s = (struct source){ .fn = fn, .ctx = ctx };
	s->event = event_new(l->base, fd, what, dispatch, s);
	if (!s->event)
		return -ENOMEM;
	l->count++;
	return event_add(s->event, delay_ns ? &tv : NULL) ? -EIO : 0;
}

int loop_on_readable(struct loop *l, int fd, loop_fn *fn, void *ctx)
{
	return add(l, fd, EV_READ | EV_PERSIST, 0, fn, ctx);
}

int loop_on_edge(struct loop *l, int fd, loop_fn *fn, void *ctx)
{
	return add(l, fd, EV_READ | EV_ET | EV_PERSIST, 0, fn, ctx);
}

int loop_on_signal(struct loop *l, int signal, loop_fn *fn, void *ctx)
{
	return add(l, signal, EV_SIGNAL | EV_PERSIST, 0, fn, ctx);
}

int loop_every(struct loop *l, uint64_t interval_ns, loop_fn *fn, void *ctx)
{
	return add(l, -1, EV_PERSIST, interval_ns, fn, ctx);
}

int loop_after(struct loop *l, uint64_t delay_ns, loop_fn *fn, void *ctx)
{
	return add(l, -1, 0, delay_ns, fn, ctx);
}

int loop_timer(struct loop *l, loop_fn *fn, void *ctx)
{
	struct source *s = &l->source[l->count];

	if (l->count == MAX_SOURCES)
		return -ENOSPC;
	*s = (struct source){ .fn = fn, .ctx = ctx };
	s->event = event_new(l->base, -1, 0, dispatch, s);
	return s->event ? (int)l->count++ : -ENOMEM;
}

void loop_timer_set(struct loop *l, int timer, uint64_t delay_ns)
{
	struct timeval tv = to_timeval(delay_ns);

	event_add(l->source[timer].event, &tv);
}

struct event_base *loop_base(const struct loop *l)
{
	return l->base;
}

int loop_run(struct loop *l)
{
	return event_base_dispatch(l->base) < 0 ? -EIO : 0;
}

void loop_stop(struct loop *l)
{
	event_base_loopbreak(l->base);
}
