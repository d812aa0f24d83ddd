/* SPDX-License-Identifier: MIT */
/*
 * A writer that never blocks: lines (or records) go into one buffer, and from there to a descriptor as fast
 * as its reader takes them. What a slow reader leaves behind is kept up to a limit; beyond it whole lines
 * are discarded and counted, so that a reader never sees half a line and the pipeline never waits.
 */
#ifndef REBPF_OUTPUT_H
#define REBPF_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "util.h"

/* Bytes that wait for a slow reader at most, give or take one line. */
#define OUTPUT_BACKLOG_MAX (8u << 20)

struct output;

/*
 * Writes to @fd, which remains the caller's, must stay open until output_close(), and keeps its file status
 * flags: O_NONBLOCK would be set for every process that shares it, such as the shell. @what names it in
 * messages ("stdout"). Returns 0 or a negative errno; the error has been printed.
 */
int output_open(struct output **out, int fd, const char *what);
/* The same work with nobody to read it: everything is counted and thrown away. */
int output_open_null(struct output **out);
/* Frees it; what is still unwritten is lost: output_finish() first. NULL is fine. */
void output_close(struct output *o);

bool output_is_terminal(const struct output *o);

/*
 * Where to append the next line, or NULL if there is no use in making it: the reader is gone, or the
 * backlog is full, and then the line is counted as lost. output_commit() must follow: @lines (1, or 0 for
 * what is no event) are complete.
 */
struct strbuf *output_begin(struct output *o);
void output_commit(struct output *o, unsigned int lines);

/* Writes what can be written now. */
void output_flush(struct output *o);
/* Waits until all is written, nobody reads it any more, or a signal comes: for a replay, which has the time. */
void output_wait(struct output *o);
/*
 * Tries to write all, until the reader has taken nothing for @timeout_ms, or is not done after ten times that. The rest is
 * discarded, its lines counted as lost; returns its bytes.
 */
size_t output_finish(struct output *o, unsigned int timeout_ms);

/* Asks whether the reader has gone, without anything to write: "rebpf | head -1" ends when head does. */
void output_check_closed(struct output *o);
/*
 * 0: in use. 1: the reader has closed it (EPIPE, a terminal that hung up), a normal end. Negative errno:
 * writing failed, which has been printed. What comes after either is neither printed nor lost.
 */
int output_state(const struct output *o);

/* Committed and not lost; with a reader, some of them may still be waiting for it. */
uint64_t output_lines(const struct output *o);
uint64_t output_lost(const struct output *o);
/* Written, or thrown away without a reader. */
uint64_t output_bytes(const struct output *o);

#endif
