// SPDX-License-Identifier: MIT
#include "lost.h"

#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "log.h"
#include "series.h"

struct lost {
	int map_fd;
	unsigned int cpus;
	struct series *events, *segs; /* by struct lost_key: what has been told */
	struct enrich *enrich;
	struct pipeline *pipeline;
};

struct lost *lost_new(int map_fd, unsigned int cpus)
{
	struct lost *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->map_fd = map_fd;
	l->cpus = cpus;
	l->events = series_new(sizeof(struct lost_key), REBPF_MAX_LOST);
	l->segs = series_new(sizeof(struct lost_key), REBPF_MAX_LOST);
	if (l->events && l->segs && !counters_prepare_lost(map_fd, cpus))
		return l;
	lost_free(l);
	return NULL;
}

void lost_free(struct lost *l)
{
	if (!l)
		return;
	series_free(l->events);
	series_free(l->segs);
	free(l);
}

static void on_lost(void *ctx, const struct lost_key *key, const struct lost_count *total)
{
	struct lost *l = ctx;
	uint64_t *events = series_counter(l->events, key), *segs = series_counter(l->segs, key);
	struct rec_lost rec = {
		.location = key->location,
		.reason = key->reason,
		.ret = key->ret,
		.lost_kind = key->kind,
		.has_ret = key->has_ret,
		.reached = key->reached,
		.synack = key->synack,
		.tcp = key->tcp,
		.source = key->source,
	};

	if (!events || !segs || (total->events == *events && total->segs == *segs))
		return;
	rec.count = total->events - *events;
	rec.segs = total->segs - *segs;
	*events = total->events;
	*segs = total->segs;
	if (rec.location)
		enrich_location(l->enrich, rec.location);
	enrich_header(&rec.h, REC_LOST, sizeof(rec));
	pipeline_feed(l->pipeline, &rec, sizeof(rec));
}

void lost_feed(struct lost *l, struct enrich *e, struct pipeline *p)
{
	l->enrich = e;
	l->pipeline = p;
	if (counters_each_lost(l->map_fd, l->cpus, on_lost, l))
		log_debug("cannot read the counts of lost events");
}
