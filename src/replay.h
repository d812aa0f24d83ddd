/* SPDX-License-Identifier: MIT */
/* -r FILE: recorded records through the same pipeline. No kernel, no privileges. */
#ifndef REBPF_REPLAY_H
#define REBPF_REPLAY_H

#include "pipeline.h"

/*
 * Feeds the records of @path ("-": standard input) to @p. A file that is no recording, or that ends within a record, is
 * a negative errno with its message; what could be read has been fed.
 */
int replay_run(struct pipeline *p, const char *path);

#endif
