/* SPDX-License-Identifier: MIT */
/*
 * From CONNECT records to connect events: how an active open ended, how long it took, and which drop on this host killed its
 * SYN or the answer. A connect waits for the TICK after its end: by then all drops of its time have been read.
 */
#ifndef REBPF_CONNECTS_H
#define REBPF_CONNECTS_H

#include "event.h"
#include "evidence.h"
#include "places.h"

struct connects;

/* Describes one that has ended; @ended_ns: CLOCK_MONOTONIC. */
typedef void connects_event_fn(void *ctx, uint64_t ended_ns, const struct ev_connect *ev);

/* @places and @evidence stay the caller's and must outlive it. NULL: no memory, or one of them is NULL. */
struct connects *connects_new(const struct places *places, const struct evidence *evidence, connects_event_fn *fn, void *ctx);
void connects_free(struct connects *c);

/* Takes a record. @nat_possible: its packets may carry other addresses. False: too many wait, or there was no memory for it. */
bool connects_take(struct connects *c, const struct rec_connect *r, bool nat_possible);

/* Tells of all that had ended by @until_ns, in the order of their records. */
void connects_release(struct connects *c, uint64_t until_ns);

/* enum connect_result of a record: from the state that it came to, and its error. */
enum connect_result connects_result(const struct rec_connect *r);

#endif
