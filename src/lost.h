/* SPDX-License-Identifier: MIT */
/*
 * What rings lost, event by event: turns the kernel side's counts by type, return code and place into LOST records, so that
 * totals stay exact when a ring has overflowed.
 */
#ifndef REBPF_LOST_H
#define REBPF_LOST_H

#include "enrich.h"
#include "pipeline.h"

struct lost;

/* @map_fd: the map of struct lost_key, which stays the caller's; @cpus: counters_cpus(). NULL: no memory, also for the map. */
struct lost *lost_new(int map_fd, unsigned int cpus);
void lost_free(struct lost *l); /* NULL is fine */

/* Feeds what is new since the last call, with the names of its places. Costs some microseconds per sort of event. */
void lost_feed(struct lost *l, struct enrich *e, struct pipeline *p);

#endif
