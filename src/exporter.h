/* SPDX-License-Identifier: MIT */
/* --listen on a live run: serves what the pipeline has counted, with the host's own counters beside it. */
#ifndef REBPF_EXPORTER_H
#define REBPF_EXPORTER_H

#include "loop.h"
#include "options.h"
#include "pipeline.h"

struct exporter;

/*
 * Listens where @options say. *out stays NULL if they do not. @kernel: its release. @refresh is called with @ctx before each
 * page, so that what has happened by then is on it. All must outlive it. Negative errno with its message.
 */
int exporter_open(struct exporter **out, const struct options *options, const char *kernel, const struct loop *loop,
		  const struct pipeline *p, loop_fn *refresh, void *ctx);
void exporter_close(struct exporter *x); /* NULL is fine */

/* Says where, on stderr. NULL is fine. */
void exporter_announce(const struct exporter *x);

#endif
