// SPDX-License-Identifier: MIT
/*
 * -o json: one object per line, every event including stats, every field always (null where there is no
 * value):
 *
 *	{"time":"2026-11-21T04:03:02.123456789Z","event":"retransmit","netns":4026531840,"pid":1234,
 *	"comm":"nginx","uid":33,...,"saddr":"10.0.0.1","sport":443,...,"drop":null,"cause":"unknown",...}
 */
#include "sink.h"

#include "field.h"
#include "output.h"

static bool json_wanted(const struct options *options)
{
	return options->format == OUTPUT_JSON;
}

static int json_open(struct sink *s, int out_fd)
{
	s->to_out = true;
	return output_open(&s->out, out_fd, "stdout");
}

static void json_event(struct sink *s, const struct event *e)
{
	struct strbuf *b = output_begin(s->out);
	struct visitor_json j;

	if (!b)
		return;
	visitor_json_init(&j, b);
	visitor_json_begin(&j);
	event_types[e->kind].ops->fields(e, &j.v);
	visitor_json_end(&j);
	strbuf_char(b, '\n');
	/* Counted is what text counts: statistics are no line there, and must not end -c N early. */
	output_commit(s->out, event_types[e->kind].ops->head != NULL);
}

const struct sink_ops sink_json = {
	.wanted = json_wanted,
	.open = json_open,
	.event = json_event,
};
