// SPDX-License-Identifier: MIT
#include "pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "correlate.h"
#include "decode.h"
#include "filter.h"
#include "log.h"
#include "sink.h"
#include "summary.h"
#include "util.h"

/* A full control ring holds some 10,000 attempts; between two ticks fewer can be open. */
#define MAX_OPEN_ATTEMPTS 16384
#define MAX_FLOWS 131072

struct pipeline {
	const struct options *options;
	struct correlate *correlate;
	struct sinks *sinks;
	struct summary *summary; /* NULL: not asked for */
	uint64_t interval_end_ns; /* of the stream; 0: it has not begun */
	uint64_t begun_ns;        /* the stream's first TICK */
	bool ended;               /* -d of a replay */
	bool stopped;
	uint64_t printed, records, malformed;
};

/* No more lines are wanted. */
static bool is_full(const struct pipeline *p)
{
	return (p->options->count && p->printed >= p->options->count) || sinks_state(p->sinks);
}

static void on_event(void *ctx, const struct event *ev)
{
	struct pipeline *p = ctx;

	if (filter_wants_flow(p->options, ev))
		sinks_flow_event(p->sinks, ev);
	if (is_full(p) || !filter_wants(p->options, ev))
		return;
	p->printed++;
	if (p->summary)
		summary_event(p->summary, ev);
	sinks_event(p->sinks, ev);
}

static bool needs_causes(const struct options *o)
{
	return options_wants(o, EV_RETRANSMIT) || options_wants(o, EV_CONNECT) || o->summary;
}

int pipeline_open(struct pipeline **out, const struct options *options, int out_fd)
{
	struct pipeline *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return log_error(-ENOMEM, "out of memory");
	p->options = options;
	err = sinks_open(&p->sinks, options, out_fd);
	if (!err) {
		p->correlate = correlate_new(MAX_OPEN_ATTEMPTS, MAX_FLOWS, on_event, p);
		if (!p->correlate)
			err = log_error(-ENOMEM, "out of memory");
		else if (!needs_causes(options))
			correlate_without_causes(p->correlate);
	}
	if (!err && options->summary) {
		p->summary = summary_new(options);
		if (!p->summary)
			err = log_error(-ENOMEM, "out of memory");
	}
	if (err) {
		pipeline_close(p);
		return err;
	}
	*out = p;
	return 0;
}

void pipeline_close(struct pipeline *p)
{
	if (!p)
		return;
	correlate_free(p->correlate);
	sinks_close(p->sinks);
	summary_free(p->summary);
	free(p);
}

static void fill_stats(const struct pipeline *p, struct ev_stats *stats)
{
	stats->printed = p->printed;
	stats->records = p->records;
	stats->malformed = p->malformed;
	stats->output_lost = sinks_lines_lost(p->sinks);
	correlate_stats(p->correlate, stats);
	stats->summary = p->summary;
}

/* By the stream's clock, so that a replay shows what the live run did. */
static void end_interval(struct pipeline *p, uint64_t now_ns)
{
	struct event ev = { .kind = EV_STATS };

	if (!p->interval_end_ns)
		p->interval_end_ns = now_ns + p->options->interval_ns;
	if (now_ns < p->interval_end_ns || pipeline_is_done(p))
		return;
	fill_stats(p, &ev.stats);
	correlate_time(p->correlate, &ev.mono_ns, &ev.wall_ns);
	sinks_event(p->sinks, &ev);
	summary_mark(p->summary);
	p->interval_end_ns += (now_ns - p->interval_end_ns) / p->options->interval_ns * p->options->interval_ns +
			      p->options->interval_ns;
}

/* Live, -d goes by a timer; of a recording it is so much of its time. */
static void on_stream_time(struct pipeline *p, uint64_t now_ns)
{
	if (!p->begun_ns)
		p->begun_ns = now_ns;
	if (p->options->interval_ns)
		end_interval(p, now_ns);
	if (p->options->read_path && p->options->duration_ns && now_ns > p->begun_ns &&
	    now_ns - p->begun_ns >= p->options->duration_ns)
		p->ended = true;
}

void pipeline_feed(struct pipeline *p, const void *data, size_t size)
{
	union record r;

	if (decode_record(&r, data, size)) {
		p->malformed++;
		return;
	}
	/* A recording may hold stacks that nobody asks for now. */
	if (r.h.kind == REC_DROP && r.rec_drop.stack[0] && !p->options->stack)
		memset(r.rec_drop.stack, 0, sizeof(r.rec_drop.stack));
	if (r.h.kind != REC_TICK)
		p->records++;
	sinks_record(p->sinks, data);
	correlate_record(p->correlate, &r);
	if (p->summary)
		summary_record(p->summary, &r);
	if (r.h.kind == REC_TICK)
		on_stream_time(p, r.h.ts_ns);
}

void pipeline_flush(struct pipeline *p)
{
	/* A recording waits, what happens now does not: a replay must not lose what a slow reader leaves. */
	if (p->options->read_path)
		sinks_wait(p->sinks);
	else
		sinks_flush(p->sinks);
	sinks_check_closed(p->sinks);
}

bool pipeline_is_done(const struct pipeline *p)
{
	return p->ended || is_full(p);
}

void pipeline_stop(struct pipeline *p)
{
	p->stopped = true;
}

uint64_t pipeline_printed(const struct pipeline *p)
{
	return p->printed;
}

uint64_t pipeline_output_lost(const struct pipeline *p)
{
	return sinks_lines_lost(p->sinks);
}

bool pipeline_take_missed(struct pipeline *p, uint32_t *netns, uint32_t *hint_tgid)
{
	return correlate_take_missed(p->correlate, netns, hint_tgid);
}

const struct metrics *pipeline_metrics(const struct pipeline *p, struct ev_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	fill_stats(p, stats);
	return sinks_metrics(p->sinks);
}

int pipeline_finish(struct pipeline *p)
{
	struct event ev = { .kind = EV_STATS };
	struct strbuf report = {};

	if (!p->records)
		return 0; /* a replay that could not be read: there is nothing to count */
	correlate_finish(p->correlate);
	fill_stats(p, &ev.stats);
	ev.stats.final = true;
	correlate_time(p->correlate, &ev.mono_ns, &ev.wall_ns);
	sinks_event(p->sinks, &ev);
	if (p->options->read_path && !p->stopped)
		sinks_wait(p->sinks);
	sinks_finish(p->sinks);
	fill_stats(p, &ev.stats);
	if (log_get_level() >= LOG_NOTICE) {
		ev_stats_report(&report, &ev.stats);
		log_report(report.data ? report.data : "", report.len);
		strbuf_free(&report);
	}
	return sinks_state(p->sinks) < 0 ? sinks_state(p->sinks) : 0;
}
