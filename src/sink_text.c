// SPDX-License-Identifier: MIT
/* -o text: one line per event (ev_*.c show samples); and -o none: the same work for nobody. */
#include "sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "log.h"
#include "output.h"

/* ---- folding: on a terminal, what a policy drops a thousand times a second is a few lines ---- */

#define FOLD_LINES 5  /* of one reason and place that a second shows */
#define FOLD_PLACES 64 /* that are told apart; beyond them nothing is folded */

struct fold_place {
	struct ev_drop_place place;
	uint64_t count;
};

/* @second: of the events' own clock, so that a replay folds what the live run did. */
struct fold {
	uint64_t second;
	uint64_t since_ns; /* our clock when that second's first line came */
	unsigned int count;
	struct fold_place at[FOLD_PLACES];
};

/* "1,234" */
static void put_grouped(struct strbuf *b, uint64_t n)
{
	if (n < 1000) {
		strbuf_u64(b, n);
		return;
	}
	put_grouped(b, n / 1000);
	strbuf_char(b, ',');
	strbuf_pad0(b, n % 1000, 3);
}

/* "... 1,234 more NETFILTER_DROP at nft_do_chain+0x12[nf_tables]" */
static void fold_line(struct output *out, const struct fold_place *f)
{
	struct field_location location = event_place_location(&f->place);
	struct strbuf *b = output_begin(out);

	if (!b)
		return;
	strbuf_str(b, "... ");
	put_grouped(b, f->count - FOLD_LINES);
	strbuf_str(b, " more ");
	if (f->place.reason[0])
		strbuf_escaped(b, f->place.reason, sizeof(f->place.reason), true);
	else
		strbuf_str(b, "drops");
	if (f->place.symbol[0] || f->place.address) {
		strbuf_str(b, " at ");
		text_put_location(b, &location);
	}
	strbuf_char(b, '\n');
	output_commit(out, 0); /* its drops are no lines */
}

/* The second is over. */
static void fold_end(struct fold *f, struct output *out)
{
	for (unsigned int i = 0; i < f->count; i++) {
		if (f->at[i].count > FOLD_LINES)
			fold_line(out, &f->at[i]);
	}
	f->count = 0;
}

static bool is_same_place(const struct ev_drop_place *a, const struct ev_drop_place *b)
{
	return a->address == b->address && a->offset == b->offset &&
	       !strncmp(a->symbol, b->symbol, sizeof(a->symbol)) &&
	       !strncmp(a->reason, b->reason, sizeof(a->reason));
}

/* The place's entry, NULL if there is none to be had. */
static struct fold_place *fold_find(struct fold *f, const struct ev_drop_place *place)
{
	for (unsigned int i = 0; i < f->count; i++) {
		if (is_same_place(&f->at[i].place, place))
			return &f->at[i];
	}
	if (f->count == FOLD_PLACES)
		return NULL;
	f->at[f->count] = (struct fold_place){ .place = *place };
	return &f->at[f->count++];
}

/* True: @e shall not have a line. Any event may end a second; one that comes late counts for the current. */
static bool fold_takes(struct fold *f, struct output *out, const struct event *e)
{
	uint64_t second = e->mono_ns / NSEC_PER_SEC;
	struct fold_place *place;

	if (f->count && second > f->second)
		fold_end(f, out);
	if (e->kind != EV_DROP || e->drop.place.class != DROP_CLASS_POLICY)
		return false;
	if (!f->count) {
		f->second = second;
		f->since_ns = clock_mono_ns();
	}
	place = fold_find(f, &e->drop.place);
	return place && ++place->count > FOLD_LINES;
}

/* Nothing has come for a second: what is folded must not wait for the next event. */
static void text_flush(struct sink *s)
{
	struct fold *f = s->own;

	if (f && f->count && clock_mono_ns() - f->since_ns >= NSEC_PER_SEC)
		fold_end(f, s->out);
}

/* ---- lines ---- */

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
	s->to_out = true;
	s->color = want_color(s->options->color, output_is_terminal(s->out));
	if (!output_is_terminal(s->out))
		return 0;
	s->own = calloc(1, sizeof(struct fold));
	if (!s->own)
		return log_error(-ENOMEM, "out of memory");
	text_header(s->out);
	return 0;
}

static void text_finish(struct sink *s)
{
	if (s->own)
		fold_end(s->own, s->out);
	output_finish(s->out, SINK_FINISH_MS);
}

static void text_close(struct sink *s)
{
	free(s->own);
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

	if (s->own && fold_takes(s->own, s->out, e))
		return;
	if (!ops->head)
		return;
	b = output_begin(s->out);
	if (!b)
		return;
	ops->head(e, b, s->options->utc);
	visitor_text_init(&t, b, s->options->verbose, s->color);
	ops->fields(e, &t.v);
	if (s->options->verbose) {
		visitor_text_more(&t);
		ops->fields(e, &t.v);
	}
	strbuf_char(b, '\n');
	output_commit(s->out, 1);
}

const struct sink_ops sink_text = {
	.wanted = text_wanted,
	.open = text_open,
	.event = text_event,
	.flush = text_flush,
	.finish = text_finish,
	.close = text_close,
};

const struct sink_ops sink_none = {
	.wanted = none_wanted,
	.open = none_open,
	.event = text_event,
};
