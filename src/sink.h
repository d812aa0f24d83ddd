/* SPDX-License-Identifier: MIT */
/*
 * Where events and records go. Each sink is one file with one struct sink_ops; sinks_open() opens those
 * that the options want, and everything that comes out of the pipeline goes to all of them.
 *
 *	err = sinks_open(&sinks, &options, STDOUT_FILENO);
 *	...	sinks_record(sinks, rec);	each record before it is decoded, REC_HOST first
 *	...	sinks_flow_event(sinks, &event);	each event whose flow is wanted, whatever is printed
 *	...	sinks_event(sinks, &event);	each event that passed the filters
 *	...	sinks_flush(sinks);		at the end of every drain, and within 100 ms of an event
 *	...	sinks_check_closed(sinks);	now and then, if nothing happens
 *	...	if (sinks_state(sinks)) stop;
 *	sinks_event(sinks, &final_stats);
 *	sinks_finish(sinks);
 *	(report, with what finishing has cost)
 *	sinks_close(sinks);
 */
#ifndef REBPF_SINK_H
#define REBPF_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "options.h"
#include "output.h"

/* ---- for main ---- */

struct metrics;
struct sinks;

/*
 * @out_fd: where lines go (stdout); stays the caller's. SIGPIPE must be ignored. @options must outlive the
 * sinks. Returns 0 or a negative errno; the error has been printed.
 */
int sinks_open(struct sinks **out, const struct options *options, int out_fd);
/* Closes and frees; what is unwritten is lost. NULL is fine. */
void sinks_close(struct sinks *s);

/* Does any sink take events, or records? If not, none need be made. */
bool sinks_want_events(const struct sinks *s);
bool sinks_want_records(const struct sinks *s);

void sinks_event(struct sinks *s, const struct event *e);
/* Events that pass filter_wants_flow(); comes before sinks_event() of the same event, if that comes. */
void sinks_flow_event(struct sinks *s, const struct event *e);
/* @rec->size bytes, checked by the caller (decode.h). */
void sinks_record(struct sinks *s, const struct rec_header *rec);
/* Writes what can be written without waiting. */
void sinks_flush(struct sinks *s);
/* Writes all, however long that takes: not for a live run. A signal ends it. */
void sinks_wait(struct sinks *s);
/* The last flush: waits for a slow reader for a second at most. */
void sinks_finish(struct sinks *s);

/* Finds out if the reader has gone; see sinks_state(). */
void sinks_check_closed(struct sinks *s);
/*
 * 0: go on. 1: the reader of out_fd has closed it ("output closed"), a quiet end with exit status 0.
 * Negative errno: it cannot be written to, which has been printed; exit status 1. A recording into a file that
 * fails ends by itself.
 */
int sinks_state(const struct sinks *s);

/* Of the events' output: lines accepted and not lost, lines that a blocked reader cost, bytes written. */
uint64_t sinks_lines(const struct sinks *s);
uint64_t sinks_lines_lost(const struct sinks *s);
uint64_t sinks_bytes(const struct sinks *s);

/* What --listen has counted; NULL without. Valid until sinks_close(). */
const struct metrics *sinks_metrics(const struct sinks *s);

/* ---- for sink_*.c ---- */

struct sink;

/*
 * Optional methods may be NULL: the sink does not want it.
 * @wanted: do the options ask for it?
 * @open:   sets up s->out (and s->color); 0 or a negative errno, printed.
 * @event, @flow_event, @record, @flush, @finish: optional. @flush: before what is in s->out is written.
 * @aside:  its output is not that of the events (sinks_state() and so on).
 */
struct sink_ops {
	bool aside;
	bool (*wanted)(const struct options *options);
	int (*open)(struct sink *s, int out_fd);
	void (*event)(struct sink *s, const struct event *e);
	void (*flow_event)(struct sink *s, const struct event *e);
	void (*record)(struct sink *s, const struct rec_header *rec);
	void (*flush)(struct sink *s);
	void (*finish)(struct sink *s); /* instead of output_finish() */
	void (*close)(struct sink *s);  /* besides output_close(), which follows; also after a failed open */
};

struct sink {
	const struct sink_ops *ops;
	const struct options *options;
	struct output *out;
	void *own; /* what else it keeps: from its open() to its close() */
	bool color;
	bool to_out;  /* writes to the caller's out_fd: once nobody reads that, the program ends */
	int fd;       /* a file of its own, or -1 */
	bool stopped; /* after an error of its own */
};

/* How long the end of the program waits for a slow reader. */
#define SINK_FINISH_MS 1000

extern const struct sink_ops sink_text;
extern const struct sink_ops sink_json;
extern const struct sink_ops sink_none;
extern const struct sink_ops sink_record;
extern const struct sink_ops sink_summary;
extern const struct sink_ops sink_metrics;

/* NULL if @s is another sink. */
const struct metrics *sink_metrics_of(const struct sink *s);

#endif
