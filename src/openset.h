/* SPDX-License-Identifier: MIT */
/* Attempts under way, found by their socket, and finished ones that wait for their verdict. Bounded; one per socket. */
#ifndef REBPF_OPENSET_H
#define REBPF_OPENSET_H

#include "attempt.h"

struct open {
	struct attempt a;
	struct open *next;          /* hash chain, or free list */
	struct open *newer, *older; /* by time of opening, or of finishing */
};

struct openset;

struct openset *openset_new(unsigned int max); /* NULL: no memory */
void openset_free(struct openset *s);

/* The open attempt of a socket, NULL: none. */
struct open *openset_find(struct openset *s, uint64_t sk);

/* A new one, zeroed but for these. NULL: there are @max. */
struct open *openset_begin(struct openset *s, uint64_t sk, uint64_t skb, uint64_t ts_ns);

/* It is over: behind the finished ones. */
void openset_finish(struct openset *s, struct open *o);

/* It is given up, or (finished) told: its place is free. */
void openset_drop(struct openset *s, struct open *o);
void openset_drop_finished(struct openset *s, struct open *o);

struct open *openset_oldest(const struct openset *s);
struct open *openset_oldest_finished(const struct openset *s);

#endif
