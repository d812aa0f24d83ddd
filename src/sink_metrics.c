// SPDX-License-Identifier: MIT
/*
 * --listen: counts every event whose flow is wanted, before the options that only decide what is printed (metrics.h). From
 * the records it takes only what names the lost ones. Writes nothing: what it has counted is asked for (httpd.h).
 */
#include "sink.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "decode.h"
#include "log.h"
#include "metrics.h"
#include "output.h"

struct counted {
	struct metrics *metrics;
	struct names *names;
	struct places *places;
};

static bool metrics_wanted(const struct options *options)
{
	return options->listen.port;
}

static int metrics_open(struct sink *s, int out_fd)
{
	struct counted *c = calloc(1, sizeof(*c));

	(void)out_fd;
	s->own = c;
	if (c) {
		c->metrics = metrics_new(s->options);
		c->names = names_new();
		c->places = c->names ? places_new(c->names) : NULL;
	}
	if (!c || !c->metrics || !c->places)
		return log_error(-ENOMEM, "out of memory");
	return output_open_null(&s->out);
}

static void metrics_close(struct sink *s)
{
	struct counted *c = s->own;

	if (!c)
		return;
	places_free(c->places);
	names_free(c->names);
	metrics_free(c->metrics);
	free(c);
}

static void metrics_flow_event(struct sink *s, const struct event *e)
{
	const struct counted *c = s->own;

	if (e->kind == EV_DROP && e->drop.protocol != IPPROTO_TCP && !s->options->all_protocols)
		return;
	metrics_event(c->metrics, e);
}

static void take_lost(struct counted *c, const struct rec_lost *r, bool all_protocols)
{
	static const char no_ifname[REBPF_IFNAME_LEN] = "";
	enum drop_source source = r->source < DROP_SOURCE_COUNT ? (enum drop_source)r->source : DROP_SOURCE_KFREE;
	struct ev_drop_place place = {};

	if (r->lost_kind == REC_DROP) {
		if (!r->tcp && !all_protocols)
			return;
		/* Neither: there was no room to count it by its sort. */
		if (r->location || r->reason || source != DROP_SOURCE_KFREE)
			places_fill(c->places, places_id(c->places, r->location, r->reason, source), no_ifname, &place);
	}
	metrics_lost(c->metrics, r, &place);
}

/* Of the right size: sinks get records before they are decoded, but after their size was checked. */
static void metrics_record(struct sink *s, const struct rec_header *rec)
{
	struct counted *c = s->own;
	union record r;

	if ((rec->kind != REC_SYMBOL && rec->kind != REC_REASON && rec->kind != REC_LOST) ||
	    decode_record(&r, rec, rec->size))
		return;
	if (rec->kind == REC_SYMBOL) {
		names_learn_symbol(c->names, &r.rec_symbol);
		places_renamed(c->places, r.rec_symbol.addr);
	} else if (rec->kind == REC_REASON) {
		names_learn_reason(c->names, &r.rec_reason);
	} else {
		take_lost(c, &r.rec_lost, s->options->all_protocols);
	}
}

const struct metrics *sink_metrics_of(const struct sink *s)
{
	const struct counted *c = s->own;

	return s->ops == &sink_metrics && c ? c->metrics : NULL;
}

const struct sink_ops sink_metrics = {
	.wanted = metrics_wanted,
	.open = metrics_open,
	.flow_event = metrics_flow_event,
	.record = metrics_record,
	.close = metrics_close,
};
