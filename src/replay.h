/* SPDX-License-Identifier: MIT */
/* -r FILE: recorded records through the same pipeline. No kernel, no privileges. */
#ifndef REBPF_REPLAY_H
#define REBPF_REPLAY_H

#include <stdio.h>

#include "pipeline.h"

/* Opens @path ("-": standard input) for replay_run(), which closes it. Negative errno with its message. */
int replay_open(FILE **out, const char *path);

/*
 * Feeds the records of @f to @p; @path is its name in messages. A file that is no recording, or that ends within a record, is
 * a negative errno with its message; what could be read has been fed.
 */
int replay_run(struct pipeline *p, FILE *f, const char *path);

#endif
