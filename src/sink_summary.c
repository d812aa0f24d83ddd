// SPDX-License-Identifier: MIT
/*
 * -S, --interval: the summary (summary.h) as text on stderr, at the end of a run and after each interval:
 *
 *	Summary of 12.345 s until 10:47:09.803057
 *	Sent again        1,234 of 56,789 segments (2.17 %)
 *	                  all traffic of 3 network namespaces
 *	Records lost      0 of 9,876 (control 0, drops 0)
 *	                  missed by the hooks 0, unseen 0
 *	Retransmissions   1,200; signs that one was needless: 17
 *	  type      fast                               1,000   83.3 %  #######  +12
 *	            rto                                  200   16.7 %  #
 *	  remote    10.0.0.2                           1,200  100.0 %  ########  +12
 *	Connects          20
 *	  result    established                           20  100.0 %  ########
 *	  latency   p50 1.024ms  p90 2.047ms  p99 9.151ms  max 9.151ms
 *
 * +N: so many in the last interval. "~": too high by at most what the line below says (topk.h). On a terminal to which no
 * events go, each takes the place of the one before.
 */
#include "sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "field.h"
#include "log.h"
#include "output.h"
#include "summary.h"

/*
 * Columns where the text of a section, labels of rows and bars begin, and behind which numbers end: 80 hold a row, with
 * the bar and "  +9,999" behind it. A label that is too long pushes the numbers on and costs the bar.
 */
enum { AT_TEXT = 18, AT_LABEL = 12, END_COUNT = 52, END_SHARE = 61, AT_BAR = 63 };
#define BAR_CELLS 8

/* @own of the sink. */
struct view {
	bool utf8;
	bool redraw;  /* in place of the one before */
	uint64_t last_ns; /* of the stream, when the last was shown */
};

/* One summary that is being made. */
struct page {
	struct strbuf *out;
	const struct summary *s;
	const struct ev_stats *stats;
	bool utf8, recent, utc;
	unsigned int top;
};

/* ---- words and numbers ---- */

static size_t start_line(struct page *p, const char *title, unsigned int column)
{
	size_t start = p->out->len;

	strbuf_str(p->out, title);
	strbuf_pad_to(p->out, start, column);
	return start;
}

/* "1,234" */
static void put_count(struct strbuf *b, uint64_t n)
{
	if (n >= 1000) {
		put_count(b, n / 1000);
		strbuf_char(b, ',');
		strbuf_pad0(b, n % 1000, 3);
		return;
	}
	strbuf_u64(b, n);
}

/* With @decimals, of a number that is so many times too large. */
static void put_decimal(struct strbuf *b, uint64_t n, uint64_t scale, unsigned int decimals)
{
	strbuf_u64(b, n / scale);
	strbuf_char(b, '.');
	strbuf_pad0(b, n % scale, decimals);
}

static void put_seconds(struct strbuf *b, uint64_t ns)
{
	put_decimal(b, ns / 1000000, 1000, 3);
	strbuf_str(b, " s");
}

static void put_ms(struct strbuf *b, const char *lead, uint64_t us)
{
	strbuf_str(b, lead);
	put_decimal(b, us, 1000, 3);
	strbuf_str(b, "ms");
}

/* Right-aligned: @text ends before column @end, or follows after a space. */
static void put_right(struct strbuf *b, size_t start, unsigned int end, const char *text, size_t len)
{
	strbuf_char(b, ' ');
	if (len < end)
		strbuf_pad_to(b, start, end - len);
	strbuf_add(b, text, len);
}

static void put_bar(struct page *p, uint64_t n, uint64_t whole)
{
	/* Eighths of a cell, U+258F to U+2588. */
	static const char *const eighths[] = { "", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589" };
	unsigned int steps = p->utf8 ? 8 : 1;
	unsigned int fill = (unsigned int)(((__uint128_t)n * BAR_CELLS * steps + whole / 2) / whole);

	if (fill > BAR_CELLS * steps)
		fill = BAR_CELLS * steps;
	for (unsigned int i = 0; i < fill / steps; i++)
		strbuf_str(p->out, p->utf8 ? "\u2588" : "#");
	strbuf_str(p->out, eighths[fill % steps]);
}

/* ---- rows ---- */

struct row {
	const char *label; /* as printed */
	uint64_t count, recent, error;
};

/* @title: of the first row of a group, else "". */
static void put_row(struct page *p, const char *title, const struct row *r, uint64_t whole)
{
	struct strbuf text = {};
	size_t start = start_line(p, title, AT_LABEL);

	strbuf_str(p->out, r->label);
	if (r->error)
		strbuf_char(&text, '~');
	put_count(&text, r->count);
	put_right(p->out, start, END_COUNT, text.data ? text.data : "", text.len);
	strbuf_reset(&text);
	put_decimal(&text, (uint64_t)(((__uint128_t)r->count * 1000 + whole / 2) / whole), 10, 1);
	strbuf_str(&text, " %");
	put_right(p->out, start, END_SHARE, text.data ? text.data : "", text.len);
	strbuf_free(&text);
	if (p->out->len - start < AT_BAR) {
		strbuf_pad_to(p->out, start, AT_BAR);
		put_bar(p, r->count, whole);
	}
	if (p->recent && r->recent) {
		strbuf_str(p->out, "  +");
		put_count(p->out, r->recent);
	}
	while (p->out->len && p->out->data[p->out->len - 1] == ' ')
		p->out->len--;
	strbuf_char(p->out, '\n');
}

#define MAX_WORDS 32

/* A closed list, most frequent first; words that did not occur are left out. */
static void put_words(struct page *p, const char *title, struct row *rows, unsigned int count)
{
	uint64_t whole = 0;

	for (unsigned int i = 0; i < count; i++)
		whole += rows[i].count;
	for (unsigned int i = 1; i < count; i++)
		for (unsigned int to = i; to && rows[to].count > rows[to - 1].count; to--) {
			struct row r = rows[to];

			rows[to] = rows[to - 1];
			rows[to - 1] = r;
		}
	for (unsigned int i = 0; i < count && rows[i].count; i++)
		put_row(p, i ? "" : title, &rows[i], whole);
}

static void add_word(struct row *rows, unsigned int *n, const char *word, const struct tally *t)
{
	rows[(*n)++] = (struct row){ .label = word, .count = t->count, .recent = t->recent };
}

/* ---- keys ---- */

static void put_address(struct strbuf *b, const uint8_t addr[16], uint32_t ip_version, bool brackets)
{
	if (!ip_version) {
		strbuf_char(b, '-');
		return;
	}
	if (ip_version == 6 && brackets)
		strbuf_char(b, '[');
	strbuf_addr(b, addr, (int)ip_version);
	if (ip_version == 6 && brackets)
		strbuf_char(b, ']');
}

static void put_key_remote(struct strbuf *b, const void *key)
{
	const struct key_remote *k = key;

	put_address(b, k->addr, k->ip_version, false);
}

static void put_key_port(struct strbuf *b, const void *key)
{
	strbuf_u64(b, ((const struct key_port *)key)->port);
}

static void put_key_process(struct strbuf *b, const void *key)
{
	const struct key_process *k = key;

	if (!k->pid) {
		strbuf_char(b, '-');
		return;
	}
	strbuf_escaped(b, k->comm, sizeof(k->comm), true);
	strbuf_char(b, '(');
	strbuf_u64(b, k->pid);
	strbuf_char(b, ')');
}

static void put_reason(struct strbuf *b, const char *reason)
{
	if (reason[0])
		strbuf_escaped(b, reason, REBPF_REASON_LEN, true);
	else
		strbuf_char(b, '-');
}

static void put_key_reason(struct strbuf *b, const void *key)
{
	const struct key_reason *k = key;

	put_reason(b, k->reason);
	strbuf_str(b, " (");
	strbuf_str(b, drop_class_name((enum drop_class)k->class));
	strbuf_char(b, ')');
}

static void put_key_place(struct strbuf *b, const void *key)
{
	const struct key_place *k = key;
	struct field_location location = {
		.symbol = k->symbol, .module = k->module, .max = REBPF_SYMBOL_LEN, .offset = k->offset, .address = k->address,
	};

	put_reason(b, k->reason);
	strbuf_char(b, '@');
	if (k->symbol[0] || k->address)
		text_put_location(b, &location);
	else
		strbuf_char(b, '-');
}

static void put_key_failed(struct strbuf *b, const void *key)
{
	const struct key_failed *k = key;

	put_address(b, k->addr, k->ip_version, true);
	strbuf_char(b, ':');
	strbuf_u64(b, k->port);
	strbuf_char(b, ' ');
	strbuf_str(b, connect_result_name((enum connect_result)k->result));
}

/* Every table has its label, and its key has its printer. */
static const struct {
	const char *title;
	void (*put)(struct strbuf *b, const void *key);
} tables[SUMMARY_TABLE_COUNT] = {
#define X(NAME, name, label, key) [SUMMARY_##NAME] = { "  " label, put_##key },
	SUMMARY_TABLES(X)
#undef X
};

static void put_inexact(struct page *p, const struct topk *t, uint64_t error)
{
	start_line(p, "", AT_LABEL);
	strbuf_str(p->out, "~: too high by at most ");
	put_count(p->out, error);
	strbuf_str(p->out, "; more than ");
	put_count(p->out, topk_capacity(t));
	strbuf_str(p->out, " different ones came\n");
}

static void put_table(struct page *p, enum summary_table which)
{
	const struct topk *t = p->s->table[which];
	struct topk_item item[SUMMARY_TOP];
	unsigned int n = topk_list(t, item, p->top);
	struct strbuf label = {};
	uint64_t error = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct row row = { .count = item[i].count, .recent = item[i].recent, .error = item[i].error };

		strbuf_reset(&label);
		tables[which].put(&label, item[i].key);
		row.label = label.data ? label.data : "";
		error = item[i].error > error ? item[i].error : error;
		put_row(p, i ? "" : tables[which].title, &row, topk_total(t));
	}
	if (error)
		put_inexact(p, t, error);
	strbuf_free(&label);
}

/* ---- sections ---- */

static void put_head(struct page *p, const struct event *e, uint64_t interval_ns)
{
	strbuf_str(p->out, "Summary of ");
	put_seconds(p->out, p->stats->duration_ns);
	strbuf_str(p->out, " until ");
	strbuf_clock(p->out, e->wall_ns, p->utc);
	if (p->recent) {
		strbuf_str(p->out, "; +: in the last ");
		put_seconds(p->out, interval_ns);
	}
	strbuf_char(p->out, '\n');
	if (p->s->options->filters[0]) {
		start_line(p, "Of what matches", AT_TEXT);
		strbuf_escaped(p->out, p->s->options->filters, sizeof(p->s->options->filters), false);
		strbuf_char(p->out, '\n');
	}
}

/* "2.17 %" of what was sent. */
static void put_ratio(struct strbuf *b, uint64_t retrans_segs, uint64_t out_segs)
{
	strbuf_str(b, " (");
	put_decimal(b, summary_ppm(retrans_segs, out_segs) / 100, 100, 2);
	strbuf_str(b, " %)");
}

static void put_traffic(struct page *p)
{
	const struct tally *out = &p->s->out_segs, *retrans = &p->s->retrans_segs;

	start_line(p, "Sent again", AT_TEXT);
	if (!p->s->traffic_known) {
		strbuf_str(p->out, "unknown: the kernel's counters were not recorded\n");
		return;
	}
	put_count(p->out, retrans->count);
	strbuf_str(p->out, " of ");
	put_count(p->out, out->count);
	strbuf_str(p->out, " segments");
	if (out->count)
		put_ratio(p->out, retrans->count, out->count);
	if (p->recent) {
		strbuf_str(p->out, "  +");
		put_count(p->out, retrans->recent);
		strbuf_str(p->out, " of +");
		put_count(p->out, out->recent);
		if (out->recent)
			put_ratio(p->out, retrans->recent, out->recent);
	}
	strbuf_char(p->out, '\n');
	start_line(p, "", AT_TEXT);
	strbuf_str(p->out, "all traffic of "); /* filters or not */
	put_count(p->out, p->s->space_count);
	strbuf_str(p->out, p->s->space_count == 1 ? " network namespace\n" : " network namespaces\n");
	if (!p->s->traffic_complete) {
		start_line(p, "", AT_TEXT);
		strbuf_str(p->out, "not all namespaces could be looked into\n");
	}
}

static void put_loss(struct page *p)
{
	const struct ev_stats *s = p->stats;

	start_line(p, "Records lost", AT_TEXT);
	put_count(p->out, s->lost[RING_CONTROL] + s->lost[RING_DROPS]);
	strbuf_str(p->out, " of ");
	put_count(p->out, s->produced);
	strbuf_str(p->out, " (control ");
	put_count(p->out, s->lost[RING_CONTROL]);
	strbuf_str(p->out, ", drops ");
	put_count(p->out, s->lost[RING_DROPS]);
	strbuf_str(p->out, ")\n");
	start_line(p, "", AT_TEXT);
	strbuf_str(p->out, "missed by the hooks ");
	put_count(p->out, s->missed);
	strbuf_str(p->out, ", unseen ");
	put_count(p->out, s->unseen);
	strbuf_char(p->out, '\n');
}

static void put_title(struct page *p, const char *title, enum event_kind kind)
{
	const struct tally *t = &p->s->events[kind];

	start_line(p, title, AT_TEXT);
	put_count(p->out, t->count);
	if (p->recent) {
		strbuf_str(p->out, "  +");
		put_count(p->out, t->recent);
	}
}

static void put_retransmissions(struct page *p)
{
	struct row rows[MAX_WORDS];
	unsigned int n;

	_Static_assert(RTX_CAUSE_COUNT + CAUSE_WHY_COUNT <= MAX_WORDS && RTX_TYPE_COUNT <= MAX_WORDS, "room for the words");
	put_title(p, "Retransmissions", EV_RETRANSMIT);
	strbuf_str(p->out, "; signs that one was needless: ");
	put_count(p->out, p->s->events[EV_SPURIOUS].count);
	strbuf_char(p->out, '\n');
	n = 0;
#define X(NAME, name) add_word(rows, &n, #name, &p->s->by_type[RTX_TYPE_##NAME]);
	RTX_TYPES(X)
#undef X
	put_words(p, "  type", rows, n);
	n = 0;
#define X(NAME, name) if (RTX_CAUSE_##NAME != RTX_CAUSE_UNKNOWN) add_word(rows, &n, #name, &p->s->by_cause[RTX_CAUSE_##NAME]);
	RTX_CAUSES(X)
#undef X
#define X(NAME, name) add_word(rows, &n, "unknown(" #name ")", &p->s->by_why[CAUSE_WHY_##NAME]);
	CAUSE_WHYS(X)
#undef X
	put_words(p, "  cause", rows, n);
	n = 0;
#define X(NAME, name) add_word(rows, &n, #name, &p->s->by_outcome[RTX_OUTCOME_##NAME]);
	RTX_OUTCOMES(X)
#undef X
	put_words(p, "  outcome", rows, n);
	put_table(p, SUMMARY_LOST_AT);
	put_table(p, SUMMARY_REMOTES);
	put_table(p, SUMMARY_PORTS);
	put_table(p, SUMMARY_PROCESSES);
}

static void put_drops(struct page *p)
{
	struct row rows[MAX_WORDS];
	unsigned int n = 0;

	put_title(p, "Drops", EV_DROP);
	strbuf_char(p->out, '\n');
#define X(NAME, name) add_word(rows, &n, #name, &p->s->by_class[DROP_CLASS_##NAME]);
	DROP_CLASSES(X)
#undef X
	put_words(p, "  class", rows, n);
	put_table(p, SUMMARY_DROP_REASONS);
	put_table(p, SUMMARY_DROP_PLACES);
	put_table(p, SUMMARY_DROP_PROCESSES);
}

static void put_connects(struct page *p)
{
	const struct quantile *q = &p->s->latency;
	struct row rows[MAX_WORDS];
	unsigned int n = 0;

	put_title(p, "Connects", EV_CONNECT);
	strbuf_char(p->out, '\n');
#define X(NAME, name) add_word(rows, &n, #name, &p->s->by_result[CONNECT_##NAME]);
	CONNECT_RESULTS(X)
#undef X
	put_words(p, "  result", rows, n);
	if (q->count) {
		start_line(p, "  latency", AT_LABEL);
		put_ms(p->out, "p50 ", quantile_at(q, 500));
		put_ms(p->out, "  p90 ", quantile_at(q, 900));
		put_ms(p->out, "  p99 ", quantile_at(q, 990));
		put_ms(p->out, "  max ", q->greatest);
		strbuf_char(p->out, '\n');
	}
	put_table(p, SUMMARY_FAILED);
}

static bool shows(const struct page *p, enum event_kind kind)
{
	return p->s->options->events & 1u << kind;
}

static void put_page(struct page *p, const struct event *e, uint64_t interval_ns)
{
	put_head(p, e, interval_ns);
	put_traffic(p);
	put_loss(p);
	if (shows(p, EV_RETRANSMIT))
		put_retransmissions(p);
	if (shows(p, EV_DROP))
		put_drops(p);
	if (shows(p, EV_CONNECT))
		put_connects(p);
}

/* ---- the sink ---- */

/* JSON has it in the stats event. */
static bool summary_wanted(const struct options *options)
{
	return options->summary && options->format != OUTPUT_JSON;
}

/* The first of them that is set decides (setlocale(3)). */
static bool is_locale_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);

		if (value && value[0])
			return strcasestr(value, "UTF-8") || strcasestr(value, "UTF8");
	}
	return false;
}

static int summary_open(struct sink *s, int out_fd)
{
	int err = output_open(&s->out, STDERR_FILENO, "stderr");
	struct view *view;

	if (err)
		return err;
	view = calloc(1, sizeof(*view));
	if (!view)
		return log_error(-ENOMEM, "out of memory");
	view->utf8 = is_locale_utf8();
	view->redraw = s->options->interval_ns && !s->options->read_path && output_is_terminal(s->out) &&
		       !(s->options->format == OUTPUT_TEXT && isatty(out_fd));
	s->own = view;
	return 0;
}

static void summary_close(struct sink *s)
{
	free(s->own);
}

/* Lines of the terminal, less the one of the cursor; what does not fit there would scroll what follows. */
static unsigned int screen_lines(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_row < 2)
		return 23;
	return size.ws_row - 1;
}

static void cut_lines(struct strbuf *b, size_t start, unsigned int lines)
{
	char *at = b->data ? b->data + start : NULL;

	while (at && lines-- && (at = strchr(at, '\n')))
		at++;
	if (at)
		strbuf_end(b, at);
}

static void summary_show(struct sink *s, const struct event *e)
{
	struct strbuf *b = output_begin(s->out);
	struct view *view = s->own;
	bool final = e->stats.final, in_place = view->redraw && !final;
	struct page page = {
		.out = b,
		.s = e->stats.summary,
		.stats = &e->stats,
		.utf8 = view->utf8,
		.utc = s->options->utc,
		.recent = !final,
		.top = in_place ? SUMMARY_TOP / 2 : SUMMARY_TOP,
	};
	size_t start;

	if (!b)
		return;
	if (in_place)
		strbuf_str(b, "\033[?7l"); /* a line wider than the screen takes one of its lines: VT100 DECAWM */
	if (view->redraw)
		strbuf_str(b, "\033[H\033[J"); /* to the top, and clear: ECMA-48 CUP, ED */
	else if (view->last_ns)
		strbuf_char(b, '\n');
	start = b->len;
	put_page(&page, e, view->last_ns && view->last_ns < e->mono_ns ? e->mono_ns - view->last_ns : e->stats.duration_ns);
	if (in_place)
		cut_lines(b, start, screen_lines());
	if (in_place)
		strbuf_str(b, "\033[?7h");
	view->last_ns = e->mono_ns;
	output_commit(s->out, 0);
}

static void summary_event_sink(struct sink *s, const struct event *e)
{
	if (e->kind == EV_STATS && e->stats.summary)
		summary_show(s, e);
}

const struct sink_ops sink_summary = {
	.wanted = summary_wanted,
	.aside = true,
	.open = summary_open,
	.event = summary_event_sink,
	.close = summary_close,
};
