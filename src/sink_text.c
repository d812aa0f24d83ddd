// SPDX-License-Identifier: MIT
/* -o text: one line per event (ev_*.c show samples); and -o none: the same work for nobody. */
#include "sink.h"

#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "output.h"

static bool text_wanted(const struct options *options)
{
	return options->format == OUTPUT_TEXT;
}

static bool none_wanted(const struct options *options)
{
	return options->format == OUTPUT_NONE;
}

/* NO_COLOR: no-color.org, any value but the empty one. TERM=dumb: a terminal that shows escapes as text. */
static bool want_color(enum color_mode mode, bool terminal)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (mode != COLOR_AUTO)
		return mode == COLOR_ALWAYS;
	return terminal && !(no_color && no_color[0]) && term && strcmp(term, "dumb");
}

/* At once, so that a terminal shows that something runs before there is an event. */
static void text_header(struct output *out)
{
	struct strbuf *b = output_begin(out);

	if (!b)
		return;
	event_text_header(b);
	output_commit(out, 0);
	output_flush(out);
}

static int text_open(struct sink *s, int out_fd)
{
	int err = output_open(&s->out, out_fd, "stdout");

	if (err)
		return err;
	s->color = want_color(s->options->color, output_is_terminal(s->out));
	if (output_is_terminal(s->out))
		text_header(s->out);
	return 0;
}

static int none_open(struct sink *s, int out_fd)
{
	(void)out_fd;
	return output_open_null(&s->out);
}

static void text_event(struct sink *s, const struct event *e)
{
	const struct event_ops *ops = event_types[e->kind].ops;
	struct visitor_text t;
	struct strbuf *b;

	if (!ops->head)
		return;
	b = output_begin(s->out);
	if (!b)
		return;
	ops->head(e, b, s->options->utc);
	visitor_text_init(&t, b, s->options->verbose, s->color);
	ops->fields(e, &t.v);
	if (s->options->verbose) {
		t.v.shows = SHOW_VERBOSE;
		ops->fields(e, &t.v);
	}
	strbuf_char(b, '\n');
	output_commit(s->out, 1);
}

const struct sink_ops sink_text = {
	.wanted = text_wanted,
	.open = text_open,
	.event = text_event,
};

const struct sink_ops sink_none = {
	.wanted = none_wanted,
	.open = none_open,
	.event = text_event,
};
