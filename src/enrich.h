/* SPDX-License-Identifier: MIT */
/*
 * Puts into the stream what its records need to be understood, by the pipeline as by a replay: the clock's offset, names
 * of drop reasons and functions, owners of sockets. Each as a record of its own, before the one that needs it.
 */
#ifndef REBPF_ENRICH_H
#define REBPF_ENRICH_H

#include "../bpf/config.h"
#include "pipeline.h"
#include "reasons.h"

struct enrich;

/*
 * @drops: drops will be shown or counted: find their sockets' owners. @stack: and every frame of their stacks. Without symbols or /proc it goes on, with a warning. NULL: no
 * memory.
 */
struct enrich *enrich_open(struct pipeline *p, bool drops, bool stack);
void enrich_close(struct enrich *e); /* NULL is fine */

/* The functions that only free for their callers, for the BPF side; returns how many. */
unsigned int enrich_wrappers(const struct enrich *e, struct code_range *out, unsigned int max);

/* Can this kernel translate addresses? */
bool enrich_is_nat_possible(const struct enrich *e);

/* The offset of the wall clock, if it is new. Ten times a second. */
void enrich_clock(struct enrich *e);
void enrich_reasons(struct enrich *e, const struct reasons *reasons);

/* Feeds a record from a ring, and before it what it needs. */
void enrich_record(struct enrich *e, const void *data, size_t size);

/* Names a place of which there is no record. */
void enrich_location(struct enrich *e, uint64_t location);

/* Fills a header: now, @kind, @size. */
void enrich_header(struct rec_header *h, uint8_t kind, size_t size);

#endif
