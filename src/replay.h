/* SPDX-License-Identifier: MIT */
/* -r FILE: recorded records through the same pipeline. No kernel, no privileges. */
#ifndef REBPF_REPLAY_H
#define REBPF_REPLAY_H

#include "pipeline.h"

/* Opens @path ("-": standard input) for replay_run(), which closes it. The descriptor, or a negative errno with its message. */
int replay_open(const char *path);

/*
 * Feeds the records of @fd to @p; @path is its name in messages. A file that is no recording, or that ends within a record, is
 * a negative errno with its message; what could be read has been fed.
 */
int replay_run(struct pipeline *p, int fd, const char *path);

#endif
