// SPDX-License-Identifier: MIT
/*
 * --help, from the option table:
 *
 *   -P, --port N[-M]               port of either end
 */
#include "option_table.h"

#define HELP_COLUMN 33
#define HELP_WIDTH 79

static const char *const group_titles[] = {
	[GROUP_EVENTS] = "Events", [GROUP_FILTER] = "Filters", [GROUP_OUTPUT] = "Output",
	[GROUP_METRICS] = "Metrics",     [GROUP_INJECT] = "Loss injection",
	[GROUP_RECORD] = "Record", [GROUP_STOP] = "Stop",      [GROUP_HELP] = "Help",
};
_Static_assert(ARRAY_SIZE(group_titles) == GROUP_COUNT, "a title for every group");

const char *option_group_title(enum option_group group)
{
	return group_titles[group];
}

bool option_is_choice(const struct option_names *n, unsigned int i)
{
	return !(n->hidden & 1u << i);
}

void option_names_join(struct strbuf *b, const struct option_names *n, const char *last)
{
	unsigned int i, left = n->has_all ? 1 : 0;

	for (i = 0; i < n->count; i++)
		left += option_is_choice(n, i);
	for (i = 0; i < n->count; i++) {
		if (!option_is_choice(n, i))
			continue;
		strbuf_str(b, n->names[i]);
		if (--left)
			strbuf_str(b, left == 1 ? last : ", ");
	}
	if (n->has_all)
		strbuf_str(b, "all");
}

/* Breaks lines between words; what is left of the current one is known from @start. */
static void add_wrapped(struct strbuf *b, size_t start, const char *text)
{
	size_t len;

	for (;;) {
		len = strcspn(text, " ");
		if (b->len - start + len > HELP_WIDTH) {
			b->len--; /* the space before this word */
			strbuf_char(b, '\n');
			start = b->len;
			strbuf_pad_to(b, start, HELP_COLUMN);
		}
		strbuf_add(b, text, len);
		if (!text[len])
			break;
		strbuf_char(b, ' ');
		text += len + 1;
	}
	strbuf_char(b, '\n');
}

static void add_spelling(struct strbuf *b, const struct option_row *row, bool first)
{
	if (row->letter) {
		strbuf_str(b, first ? "  -" : "-");
		strbuf_char(b, row->letter);
		strbuf_str(b, ", --");
	} else {
		strbuf_str(b, first ? "      --" : "--");
	}
	strbuf_str(b, row->name);
}

/* " (default: bad, policy)" */
static void add_initial(struct strbuf *text, const struct option_row *row)
{
	const struct option_names *n = row->names;
	uint32_t choices = n ? ((1u << n->count) - 1) & ~n->hidden : 0, initial = row->initial & choices;
	const char *before = " (default: ";
	unsigned int i;

	if (!initial)
		return;
	if (n->has_all && initial == choices) {
		strbuf_str(text, " (default: all)");
		return;
	}
	for (i = 0; initial >> i; i++) {
		if (!(initial >> i & 1))
			continue;
		strbuf_str(text, before);
		strbuf_str(text, n->names[i]);
		before = ", ";
	}
	strbuf_char(text, ')');
}

void option_describe(struct strbuf *b, const struct option_row *row)
{
	strbuf_str(b, row->help);
	if (row->names) {
		strbuf_str(b, ": ");
		option_names_join(b, row->names, ", ");
	}
	add_initial(b, row);
}

/* One option, or several up to the first that is not with_next. Returns the last. */
static const struct option_row *add_option(struct strbuf *b, const struct option_row *row)
{
	struct strbuf text = {0};
	size_t start = b->len;

	add_spelling(b, row, true);
	while (row->with_next) {
		strbuf_str(b, ", ");
		add_spelling(b, ++row, false);
	}
	if (row->value) {
		strbuf_char(b, ' ');
		strbuf_str(b, row->value);
	}
	strbuf_str(b, "  ");
	strbuf_pad_to(b, start, HELP_COLUMN);

	option_describe(&text, row);
	add_wrapped(b, start, text.data ? text.data : "");
	strbuf_free(&text);
	return row;
}

void option_help(struct strbuf *b)
{
	const struct option_row *row, *end = option_table + OPTION_TABLE_LEN;
	unsigned int g;

	strbuf_str(b, "Usage: rebpf [OPTIONS]\n"
		      "Shows retransmitted TCP segments: why, and where the lost copy was lost.\n"
		      "Lists are comma separated and repeatable: OR within an option, AND between.\n");
	for (g = 0; g < GROUP_COUNT; g++) {
		strbuf_str(b, group_titles[g]);
		strbuf_str(b, ":\n");
		for (row = option_table; row < end; row++)
			if (row->group == g && !row->hidden)
				row = add_option(b, row);
	}
	strbuf_str(b, "Without -e, --type and --cause ask for retransmit, --min-latency for connect.\n");
	strbuf_str(b, "Exit status: 0 normal end, 1 failure, 2 usage, 3 not possible on this kernel.\n");
}
