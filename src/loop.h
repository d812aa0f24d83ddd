/* SPDX-License-Identifier: MIT */
/* The event loop: libevent behind five calls (and away from our own struct event). One thread, no locks. */
#ifndef REBPF_LOOP_H
#define REBPF_LOOP_H

#include <stdint.h>

struct event_base;
struct loop;

typedef void loop_fn(void *ctx);

/* NULL: out of memory. */
struct loop *loop_new(void);
void loop_free(struct loop *l);

/* Each: 0 or negative errno. What was added goes with the loop. */
int loop_on_readable(struct loop *l, int fd, loop_fn *fn, void *ctx); /* level-triggered */
int loop_on_edge(struct loop *l, int fd, loop_fn *fn, void *ctx);     /* only when it is woken */
int loop_on_signal(struct loop *l, int signal, loop_fn *fn, void *ctx);
int loop_every(struct loop *l, uint64_t interval_ns, loop_fn *fn, void *ctx);
int loop_after(struct loop *l, uint64_t delay_ns, loop_fn *fn, void *ctx); /* once */
/* A timer that is set later, again and again: its number (not negative). */
int loop_timer(struct loop *l, loop_fn *fn, void *ctx);
void loop_timer_set(struct loop *l, int timer, uint64_t delay_ns);

/* libevent's part of it, for what brings its own sources (httpd.h). */
struct event_base *loop_base(const struct loop *l);

/* Until loop_stop. 0 or negative errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

#endif
