/* SPDX-License-Identifier: MIT */
/*
 * The live source: the rings, and everything else that the pipeline has to know of this host (names, owners,
 * namespaces, clock, losses, time), which it turns into records and feeds in the order in which it became known.
 */
#ifndef REBPF_LIVE_H
#define REBPF_LIVE_H

#include "feature.h"
#include "pipeline.h"
#include "plan.h"
#include "reasons.h"

struct live;

/* Loads and attaches by @plan and begins to listen. Negative errno with its message. All arguments must outlive it. */
int live_open(struct live **out, struct plan *plan, const struct features *features, const struct reasons *reasons,
	      const struct options *options, struct pipeline *p);

/* Runs until a signal, -d, -c or a closed output ends it; then detaches and reads what is left. */
int live_run(struct live *l);

void live_close(struct live *l);

#endif
