/* SPDX-License-Identifier: MIT */
/* For tests of what events look like: their lines as the sinks write them. Include after <cmocka.h>. */
#ifndef REBPF_SHOW_H
#define REBPF_SHOW_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event.h"
#include "sink.h"
#include "util.h"

#define WALL_NS 1795233782123456789ULL /* 2026-11-21T04:03:02.123456789Z */

static inline struct ev_drop_place drop_at(const char *reason, const char *symbol, const char *module)
{
	struct ev_drop_place d = { .known = true, .offset = 0xb5, .address = 0xffffffff81234567 };

	strcpy(d.reason, reason);
	strcpy(d.symbol, symbol);
	strcpy(d.module, module);
	strcpy(d.ifname, "eth0");
	return d;
}

static char shown[65536];

/* @o, except that times are UTC. The lines of @count events, in shown[]. */
static void show(struct options o, const struct event *e, unsigned int count)
{
	struct sinks *s = NULL;
	int fds[2];
	ssize_t n;
	unsigned int i;

	o.utc = true;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(sinks_open(&s, &o, fds[1]), 0);
	for (i = 0; i < count; i++)
		sinks_event(s, &e[i]);
	sinks_finish(s);
	sinks_close(s);
	close(fds[1]);
	n = read(fds[0], shown, sizeof(shown) - 1);
	assert_true(n >= 0);
	shown[n] = '\0';
	close(fds[0]);
}

static inline const char *text_of(const struct event *e)
{
	show((struct options){ .format = OUTPUT_TEXT }, e, 1);
	return shown;
}

static inline const char *json_of(const struct event *e)
{
	show((struct options){ .format = OUTPUT_JSON }, e, 1);
	return shown;
}

/* A strict reader of JSON, ASCII only: what follows the value, NULL if it is none. */
static const char *json_value(const char *p);

static const char *json_str(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			return NULL;
		if (*p != '\\')
			continue;
		p++;
		if (*p == 'u') {
			if (strspn(p + 1, "0123456789abcdef") < 4)
				return NULL;
			p += 4;
		} else if (!*p || !strchr("\"\\/bfnrt", *p)) {
			return NULL;
		}
	}
	return p + 1;
}

static const char *json_members(const char *p, char end, bool keys)
{
	if (*p == end)
		return p + 1;
	for (;;) {
		if (keys) {
			p = json_str(p);
			if (!p || *p++ != ':')
				return NULL;
		}
		p = json_value(p);
		if (!p)
			return NULL;
		if (*p == end)
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static const char *json_value(const char *p)
{
	static const char *const words[] = { "null", "true", "false" };
	size_t i, digits;

	if (*p == '{')
		return json_members(p + 1, '}', true);
	if (*p == '[')
		return json_members(p + 1, ']', false);
	if (*p == '"')
		return json_str(p);
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strncmp(p, words[i], strlen(words[i])))
			return p + strlen(words[i]);
	}
	p += *p == '-';
	digits = strspn(p, "0123456789");
	return digits && (digits == 1 || *p != '0') ? p + digits : NULL;
}

static inline void random_bytes(void *p, size_t size)
{
	unsigned char *bytes = p;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)random();
}

/* In JSON a line is a value; in text it has no control byte. */
static inline void assert_one_line(const struct event *e)
{
	const char *p = json_value(json_of(e));

	assert_non_null(p);
	assert_string_equal(p, "\n");
	for (p = text_of(e); *p >= ' ' && *p < 0x7f; p++)
		;
	assert_string_equal(p, "\n");
}

#endif
