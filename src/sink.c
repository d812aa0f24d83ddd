// SPDX-License-Identifier: MIT
/* Opens the sinks that the options want and hands everything to each of them (sink.h). */
#include "sink.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"

static const struct sink_ops *const all_sinks[] = { &sink_text, &sink_json, &sink_none, &sink_record,
						     &sink_metrics, &sink_summary };

struct sinks {
	unsigned int count;
	struct sink sink[ARRAY_SIZE(all_sinks)];
};

static int open_one(struct sinks *s, const struct sink_ops *ops, const struct options *options, int out_fd)
{
	struct sink *sink = &s->sink[s->count++];

	sink->ops = ops;
	sink->options = options;
	sink->fd = -1;
	return ops->open(sink, out_fd);
}

int sinks_open(struct sinks **out, const struct options *options, int out_fd)
{
	struct sinks *s = calloc(1, sizeof(*s));
	size_t i;
	int err;

	if (!s)
		return log_error(-ENOMEM, "out of memory");
	for (i = 0; i < ARRAY_SIZE(all_sinks); i++) {
		if (!all_sinks[i]->wanted(options))
			continue;
		err = open_one(s, all_sinks[i], options, out_fd);
		if (err) {
			sinks_close(s);
			return err;
		}
	}
	*out = s;
	return 0;
}

void sinks_close(struct sinks *s)
{
	unsigned int i;

	if (!s)
		return;
	for (i = 0; i < s->count; i++) {
		if (s->sink[i].ops->close)
			s->sink[i].ops->close(&s->sink[i]);
		output_close(s->sink[i].out);
	}
	free(s);
}

bool sinks_want_events(const struct sinks *s)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		if (s->sink[i].ops->event)
			return true;
	}
	return false;
}

bool sinks_want_records(const struct sinks *s)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		if (s->sink[i].ops->record && !s->sink[i].stopped)
			return true;
	}
	return false;
}

void sinks_event(struct sinks *s, const struct event *e)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		if (s->sink[i].ops->event)
			s->sink[i].ops->event(&s->sink[i], e);
	}
}

void sinks_flow_event(struct sinks *s, const struct event *e)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		if (s->sink[i].ops->flow_event)
			s->sink[i].ops->flow_event(&s->sink[i], e);
	}
}

const struct metrics *sinks_metrics(const struct sinks *s)
{
	const struct metrics *m = NULL;
	unsigned int i;

	for (i = 0; i < s->count && !m; i++)
		m = sink_metrics_of(&s->sink[i]);
	return m;
}

void sinks_record(struct sinks *s, const struct rec_header *rec)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		if (s->sink[i].ops->record)
			s->sink[i].ops->record(&s->sink[i], rec);
	}
}

void sinks_flush(struct sinks *s)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		if (s->sink[i].ops->flush)
			s->sink[i].ops->flush(&s->sink[i]);
		output_flush(s->sink[i].out);
	}
}

void sinks_wait(struct sinks *s)
{
	unsigned int i;

	sinks_flush(s);
	for (i = 0; i < s->count; i++)
		output_wait(s->sink[i].out);
}

void sinks_finish(struct sinks *s)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		if (s->sink[i].ops->finish)
			s->sink[i].ops->finish(&s->sink[i]);
		else
			output_finish(s->sink[i].out, SINK_FINISH_MS);
	}
}

/* ---- the events' output: of the sink that takes events, of which there is one at most ---- */

static struct output *events_output(const struct sinks *s)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		if (s->sink[i].ops->event && !s->sink[i].ops->aside)
			return s->sink[i].out;
	}
	return NULL;
}

void sinks_check_closed(struct sinks *s)
{
	unsigned int i;

	for (i = 0; i < s->count; i++) {
		if (s->sink[i].to_out)
			output_check_closed(s->sink[i].out);
	}
}

int sinks_state(const struct sinks *s)
{
	unsigned int i;
	int state;

	for (i = 0; i < s->count; i++) {
		if (!s->sink[i].to_out)
			continue;
		state = output_state(s->sink[i].out);
		if (state || s->sink[i].stopped)
			return state ? state : -EIO;
	}
	return 0;
}

uint64_t sinks_lines(const struct sinks *s)
{
	const struct output *o = events_output(s);

	return o ? output_lines(o) : 0;
}

uint64_t sinks_lines_lost(const struct sinks *s)
{
	const struct output *o = events_output(s);

	return o ? output_lost(o) : 0;
}

uint64_t sinks_bytes(const struct sinks *s)
{
	const struct output *o = events_output(s);

	return o ? output_bytes(o) : 0;
}
