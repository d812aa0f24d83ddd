// SPDX-License-Identifier: MIT
/* The formats of what rebpf prints, read by other rules than those it prints by. */
#include "fuzz.h"

#include <string.h>

#define MAX_DEPTH 16

struct cursor {
	const char *at, *end, *line;
	const char *what; /* the format */
};

static _Noreturn void fail(const struct cursor *c, const char *why)
{
	char what[128];

	snprintf(what, sizeof(what), "no %s at byte %zu of a line, %s", c->what, (size_t)(c->at - c->line), why);
	fuzz_fail(what, c->line, (size_t)(c->end - c->line));
}

static char peek(const struct cursor *c)
{
	return c->at < c->end ? *c->at : '\0';
}

static bool skip(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len))
		return false;
	c->at += len;
	return true;
}

static void need(struct cursor *c, const char *word)
{
	if (!skip(c, word))
		fail(c, word);
}

/* Calls @fn for each line, without its line break, which the last one has, too. */
static void each_line(const char *text, size_t len, const char *what, void (*fn)(struct cursor *c))
{
	for (const char *line = text; len && line < text + len;) {
		const char *end = memchr(line, '\n', (size_t)(text + len - line));
		struct cursor c = { line, end ? end : text + len, line, what };

		if (!end)
			fail(&c, "it has no end");
		for (const char *p = line; p < end; p++)
			if (*p == '\0' || *p == '\r')
				c.at = p, fail(&c, "a control byte");
		fn(&c);
		line = end + 1;
	}
}

/* ---- text ---- */

static void plain_line(struct cursor *c)
{
	for (; c->at < c->end; c->at++)
		if (*c->at < ' ' || *c->at > '~')
			fail(c, "not printable ASCII");
}

/* ESC [ numbers m, and by the end of the line the colour is off again. */
static void color_line(struct cursor *c)
{
	bool on = false;

	while (c->at < c->end) {
		if (skip(c, "\033[")) {
			on = !skip(c, "0m");
			if (on)
				for (c->at += strspn(c->at, "0123456789;"); !skip(c, "m");)
					fail(c, "m");
		} else if (*c->at < ' ' || *c->at > '~') {
			fail(c, "not printable ASCII");
		} else {
			c->at++;
		}
	}
	if (on)
		fail(c, "colour stays on");
}

void check_text(const char *text, size_t len, bool color)
{
	each_line(text, len, "line of text", color ? color_line : plain_line);
}

/* ---- JSON ---- */

static bool is_digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

static void digits(struct cursor *c)
{
	if (!is_digit(peek(c)))
		fail(c, "a digit is missing");
	while (is_digit(peek(c)))
		c->at++;
}

static void json_number(struct cursor *c)
{
	skip(c, "-");
	if (!skip(c, "0"))
		digits(c);
	if (skip(c, "."))
		digits(c);
	if (skip(c, "e") || skip(c, "E")) {
		if (!skip(c, "+"))
			skip(c, "-");
		digits(c);
	}
}

static void json_string(struct cursor *c)
{
	need(c, "\"");
	for (; peek(c) != '"'; c->at++) {
		if (peek(c) < ' ' || peek(c) > '~')
			fail(c, "not printable ASCII in a string");
		if (!skip(c, "\\"))
			continue;
		if (peek(c) == 'u') {
			for (int i = 0; i < 4; i++) {
				c->at++;
				if (!peek(c) || !strchr("0123456789abcdefABCDEF", peek(c)))
					fail(c, "\\u");
			}
		} else if (!peek(c) || !strchr("\"\\/bfnrt", peek(c))) {
			fail(c, "an escape that is none");
		}
	}
	c->at++;
}

static void json_value(struct cursor *c, int depth);

static void json_object(struct cursor *c, int depth)
{
	need(c, "{");
	if (skip(c, "}"))
		return;
	do {
		json_string(c);
		need(c, ":");
		json_value(c, depth + 1);
	} while (skip(c, ","));
	need(c, "}");
}

static void json_list(struct cursor *c, int depth)
{
	need(c, "[");
	if (skip(c, "]"))
		return;
	do
		json_value(c, depth + 1);
	while (skip(c, ","));
	need(c, "]");
}

static void json_value(struct cursor *c, int depth)
{
	if (depth > MAX_DEPTH)
		fail(c, "deeply nested");
	if (peek(c) == '{')
		json_object(c, depth);
	else if (peek(c) == '[')
		json_list(c, depth);
	else if (peek(c) == '"')
		json_string(c);
	else if (!skip(c, "null") && !skip(c, "true") && !skip(c, "false"))
		json_number(c);
}

static void json_line(struct cursor *c)
{
	json_object(c, 0);
	if (c->at != c->end)
		fail(c, "more behind the object");
}

void check_json(const char *text, size_t len)
{
	each_line(text, len, "JSON", json_line);
}

/* ---- metrics ---- */

static void name(struct cursor *c)
{
	size_t len = strspn(c->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");

	if (!len || is_digit(*c->at))
		fail(c, "a name");
	c->at += len;
}

/* In quotes, where only a backslash, a quote and a line break are escaped. */
static void label_value(struct cursor *c)
{
	need(c, "\"");
	for (; peek(c) != '"'; c->at++) {
		if (peek(c) < ' ' || peek(c) > '~')
			fail(c, "not printable ASCII in a label");
		if (skip(c, "\\") && (!peek(c) || !strchr("\\\"n", peek(c))))
			fail(c, "an escape that is none");
	}
	c->at++;
}

static void metrics_line(struct cursor *c)
{
	if (skip(c, "# HELP ") || skip(c, "# TYPE ")) {
		name(c);
		need(c, " ");
		plain_line(c);
		return;
	}
	name(c);
	if (skip(c, "{")) {
		do {
			name(c);
			need(c, "=");
			label_value(c);
		} while (skip(c, ","));
		need(c, "}");
	}
	need(c, " ");
	if (!skip(c, "+Inf") && !skip(c, "NaN"))
		json_number(c);
	if (c->at != c->end)
		fail(c, "more behind the value");
}

void check_metrics(const char *text, size_t len)
{
	each_line(text, len, "sample", metrics_line);
}
