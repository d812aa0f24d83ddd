// SPDX-License-Identifier: MIT
/*
 * The stats event: the counters so far, and at the end of a run. No line of text: people get
 * ev_stats_report() on stderr, which is a third visitor over the same fields. There a field's key is its
 * label, SHOW_ALWAYS a row that is shown even if zero (what was lost must be seen to be zero), SHOW_VERBOSE
 * a row that is not.
 */
#include "event.h"
#include "field.h"

#include <stddef.h>

#include "summary.h"
#include "util.h"

static void share_fields(const struct ev_stats *s, struct visitor *v)
{
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_VERBOSE), s->by_type[RTX_TYPE_##NAME]);
	if (field_object(v, FIELD_AS("by_type", "By type", SHOW_VERBOSE), true)) {
		RTX_TYPES(X)
		field_object_end(v);
	}
#undef X
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_VERBOSE), s->by_outcome[RTX_OUTCOME_##NAME]);
	if (field_object(v, FIELD_AS("by_outcome", "By outcome", SHOW_VERBOSE), true)) {
		RTX_OUTCOMES(X)
		field_object_end(v);
	}
#undef X
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_VERBOSE), s->by_cause[RTX_CAUSE_##NAME]);
	if (field_object(v, FIELD_AS("by_cause", "By cause", SHOW_VERBOSE), true)) {
		RTX_CAUSES(X)
		field_object_end(v);
	}
#undef X
}

/* Also of those that no line shows. */
static void drop_fields(const struct ev_stats *s, struct visitor *v)
{
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_VERBOSE), s->drops_by_class[DROP_CLASS_##NAME]);
	if (field_object(v, FIELD_AS("drops_by_class", "Drops by class", SHOW_VERBOSE), true)) {
		DROP_CLASSES(X)
		field_object_end(v);
	}
#undef X
}

static void connect_fields(const struct ev_stats *s, struct visitor *v)
{
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_VERBOSE), s->connects_by_result[CONNECT_##NAME]);
	if (field_object(v, FIELD_AS("connects_by_result", "Connects by result", SHOW_VERBOSE), true)) {
		CONNECT_RESULTS(X)
		field_object_end(v);
	}
#undef X
}

static void counter_fields(const struct ev_stats *s, struct visitor *v)
{
	field_us_if(v, FIELD_AS("duration_us", "Duration (s)", SHOW_ALWAYS), true, s->duration_ns / 1000);
	field_u64(v, FIELD_AS("attempts", "Attempts seen", SHOW_ALWAYS), s->attempts);
	share_fields(s, v);
	field_u64(v, FIELD_AS("segs", "Segments retransmitted", SHOW_ALWAYS), s->segs);
	field_u64(v, FIELD_AS("segs_failed", "Segments failed", SHOW_VERBOSE), s->segs_failed);
	field_u64(v, FIELD_AS("spurious", "Spurious retransmissions", SHOW_VERBOSE), s->spurious);
	field_u64(v, FIELD_AS("drops", "Drops seen", SHOW_ALWAYS), s->drops);
	drop_fields(s, v);
	field_u64(v, FIELD_AS("connects", "Connects seen", SHOW_VERBOSE), s->connects);
	connect_fields(s, v);
	field_u64(v, FIELD_AS("injected", "Losses injected", SHOW_VERBOSE), s->injected);
	field_u64(v, FIELD_AS("printed", "Events printed", SHOW_ALWAYS), s->printed);
	field_u64(v, FIELD_AS("records", "Records read", SHOW_ALWAYS), s->records);
	field_u64(v, FIELD_AS("produced", "Records of the kernel", SHOW_ALWAYS), s->produced);
	field_u64(v, FIELD_AS("consumed", "  read from the rings", SHOW_ALWAYS), s->consumed);
	field_u64(v, FIELD_AS("wakeups", "  wake-ups by them", SHOW_ALWAYS), s->wakeups);
	if (field_object(v, FIELD_AS("lost", "Records lost", SHOW_ALWAYS), true)) {
		field_u64(v, FIELD("control", SHOW_ALWAYS), s->lost[RING_CONTROL]);
		field_u64(v, FIELD("drops", SHOW_ALWAYS), s->lost[RING_DROPS]);
		field_object_end(v);
	}
	field_u64(v, FIELD_AS("missed", "Missed by the hooks", SHOW_ALWAYS), s->missed);
	field_u64(v, FIELD_AS("unseen", "Segments unseen by the hooks", SHOW_ALWAYS), s->unseen);
	field_u64(v, FIELD_AS("malformed", "Records malformed", SHOW_ALWAYS), s->malformed);
	field_u64(v, FIELD_AS("incomplete", "Attempts incomplete", SHOW_VERBOSE), s->incomplete);
	field_u64(v, FIELD_AS("output_lost", "Output lines lost", SHOW_ALWAYS), s->output_lost);
}

static void stats_fields(const struct event *e, struct visitor *v)
{
	event_fields(e, v);
	field_bool(v, FIELD("final", SHOW_NEVER), e->stats.final);
	counter_fields(&e->stats, v);
	summary_fields(e->stats.summary, v);
}

const struct event_ops event_ops_stats = { .fields = stats_fields, .head = NULL };

/* ---- the report ---- */

/* The last column of the numbers. */
#define REPORT_WIDTH 38

/* @heading: of the object that is being walked through, until a first row needs it. */
struct report {
	struct visitor v;
	struct strbuf *out;
	const struct field *heading;
	bool in_object;
};

static struct report *as_report(struct visitor *v)
{
	return (struct report *)v;
}

/* The label, and blanks so that @width more bytes end in the last column. */
static struct strbuf *report_label(struct report *r, const struct field *f, unsigned int width)
{
	size_t start;

	if (r->heading) {
		strbuf_str(r->out, r->heading->key);
		strbuf_char(r->out, '\n');
		r->heading = NULL;
	}
	start = r->out->len;
	if (r->in_object)
		strbuf_add(r->out, "  ", 2);
	strbuf_str(r->out, f->key);
	strbuf_char(r->out, ' ');
	if (width < REPORT_WIDTH)
		strbuf_pad_to(r->out, start, REPORT_WIDTH - width);
	return r->out;
}

static unsigned int digits_of(uint64_t value)
{
	unsigned int n = 1;

	while (value /= 10)
		n++;
	return n;
}

static void report_u64(struct visitor *v, const struct field *f, uint64_t value)
{
	struct strbuf *out;

	if (!value && f->show != SHOW_ALWAYS)
		return;
	out = report_label(as_report(v), f, digits_of(value));
	strbuf_u64(out, value);
	strbuf_char(out, '\n');
}

static void report_us(struct visitor *v, const struct field *f, uint64_t us)
{
	struct strbuf *out = report_label(as_report(v), f, digits_of(us / 1000000) + 4);

	strbuf_u64(out, us / 1000000);
	strbuf_char(out, '.');
	strbuf_pad0(out, us / 1000 % 1000, 3);
	strbuf_char(out, '\n');
}

static void report_object(struct visitor *v, const struct field *f)
{
	as_report(v)->heading = f;
	as_report(v)->in_object = true;
}

static void report_object_end(struct visitor *v)
{
	as_report(v)->heading = NULL;
	as_report(v)->in_object = false;
}

/* Of the other types the stats have no field: a new one adds its row here. */
static const struct visitor_ops report_ops = {
	.u64 = report_u64,
	.us = report_us,
	.object = report_object,
	.object_end = report_object_end,
};

void ev_stats_report(struct strbuf *out, const struct ev_stats *s)
{
	struct report r = {
		.v = { .ops = &report_ops, .shows = SHOW_ALWAYS | SHOW_VERBOSE },
		.out = out,
	};

	strbuf_str(out, "Statistics\n");
	counter_fields(s, &r.v);
	strbuf_str(out, "Total: ");
	strbuf_u64(out, s->attempts);
	strbuf_char(out, '\n');
}
