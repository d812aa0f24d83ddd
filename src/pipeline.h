/* SPDX-License-Identifier: MIT */
/*
 * record -> decode -> correlate -> filter -> sinks. Records come from the rings (live.c) or from a file (replay.c); from
 * here on nobody can tell which.
 */
#ifndef REBPF_PIPELINE_H
#define REBPF_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "event.h"
#include "options.h"

struct metrics;
struct pipeline;

/* @options must outlive it. Events go to @out_fd. Negative errno with its message. */
int pipeline_open(struct pipeline **out, const struct options *options, int out_fd);
void pipeline_close(struct pipeline *p);

/* One record of @size bytes. A malformed one is counted and skipped. */
void pipeline_feed(struct pipeline *p, const void *data, size_t size);

/* Writes what is ready, in a live run without waiting; also finds out whether the reader has gone. */
void pipeline_flush(struct pipeline *p);

/* True if there is no point in going on: -c events were printed, or nobody reads them. */
bool pipeline_is_done(const struct pipeline *p);

/* The user has stopped a replay: pipeline_finish() waits no longer for a reader than it does live. */
void pipeline_stop(struct pipeline *p);

/* Events that passed the filters so far. */
uint64_t pipeline_printed(const struct pipeline *p);

/* Lines that a slow reader of stdout has cost. */
uint64_t pipeline_output_lost(const struct pipeline *p);

/* What --listen has counted (NULL without; valid until pipeline_close), and the statistics so far. */
const struct metrics *pipeline_metrics(const struct pipeline *p, struct ev_stats *stats);

/* See correlate_take_missed. */
bool pipeline_take_missed(struct pipeline *p, uint32_t *netns, uint32_t *hint_tgid);

/*
 * The end: releases what is open, prints the final statistics and waits a moment for a slow reader. 0, or a negative
 * errno if events could not be written (a closed pipe is a normal end).
 */
int pipeline_finish(struct pipeline *p);

#endif
