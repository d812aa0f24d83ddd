// SPDX-License-Identifier: MIT
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "option_table.h"
#include "options.h"
#include "parse.h"
#include "util.h"

#ifndef REBPF_VERSION
#define REBPF_VERSION "0.1.0"
#endif

#define ECHO_MAX 100 /* bytes of a bad value that a message repeats */

/* ---- names ---- */

static const char *const event_names[] = {
#define X(NAME, name, payload, def) [EV_##NAME] = #name,
	EVENT_KINDS(X)
#undef X
};
static const char *const type_names[] = {
#define X(NAME, name) [RTX_TYPE_##NAME] = #name,
	RTX_TYPES(X)
#undef X
};
static const char *const cause_names[] = {
#define X(NAME, name) [RTX_CAUSE_##NAME] = #name,
	RTX_CAUSES(X)
#undef X
};
static const char *const format_names[] = {
	[OUTPUT_TEXT] = "text",
	[OUTPUT_JSON] = "json",
	[OUTPUT_NONE] = "none",
	[OUTPUT_COUNT_ONLY] = "count",
};
static const char *const color_names[] = {
	[COLOR_AUTO] = "auto",
	[COLOR_ALWAYS] = "always",
	[COLOR_NEVER] = "never",
};

/* Statistics are always reported: there is nothing to choose. */
#define EVENTS_UNCHOSEN (1u << EV_STATS)
#define EVENTS_ALL ((1u << EV_KIND_COUNT) - 1)
#define X(NAME, name, payload, def) | (def ? 1u << EV_##NAME : 0)
#define EVENTS_DEFAULT (0 EVENT_KINDS(X))
enum { events_default = EVENTS_DEFAULT };
#undef X
_Static_assert(EV_KIND_COUNT < 31 && RTX_TYPE_COUNT < 32 && RTX_CAUSE_COUNT < 32, "one bit each, and \"all\"");

static const struct option_names choose_events = {
	.names = event_names, .count = EV_KIND_COUNT, .hidden = EVENTS_UNCHOSEN, .has_all = true};
static const struct option_names choose_type = {.names = type_names, .count = RTX_TYPE_COUNT};
static const struct option_names choose_cause = {.names = cause_names, .count = RTX_CAUSE_COUNT};
static const struct option_names choose_format = {.names = format_names, .count = ARRAY_SIZE(format_names)};
static const struct option_names choose_color = {.names = color_names, .count = ARRAY_SIZE(color_names)};

/* ---- types ---- */

static int set_flag(const struct option_row *row, const char *text, void *slot)
{
	(void)row, (void)text;
	*(bool *)slot = true;
	return 0;
}

static int set_repeat(const struct option_row *row, const char *text, void *slot)
{
	(void)row, (void)text;
	++*(unsigned int *)slot;
	return 0;
}

static int set_ip_version(const struct option_row *row, const char *text, void *slot)
{
	(void)text;
	*(uint8_t *)slot = (uint8_t)row->arg;
	return 0;
}

static int set_string(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	if (!*text)
		return -EINVAL;
	*(const char **)slot = text;
	return 0;
}

static int set_limit(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_number(text, 1, UINT64_MAX, slot);
}

static int set_duration(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_duration(text, slot);
}

static int find_choice(const struct option_names *n, const char *text, unsigned int *out)
{
	unsigned int i;

	for (i = 0; i < n->count; i++) {
		if (n->hidden & 1u << i || strcmp(n->names[i], text))
			continue;
		*out = i;
		return 0;
	}
	return -EINVAL;
}

static int set_choice(const struct option_row *row, const char *text, void *slot)
{
	_Static_assert(sizeof(enum output_format) == sizeof(unsigned int), "stored as unsigned int");
	return find_choice(row->names, text, slot);
}

static int set_bits(const struct option_row *row, const char *text, void *slot)
{
	unsigned int i;

	if (row->names->has_all && !strcmp(text, "all"))
		*(uint32_t *)slot |= OPTION_ALL_BIT;
	else if (find_choice(row->names, text, &i))
		return -EINVAL;
	else
		*(uint32_t *)slot |= 1u << i;
	return 0;
}

static int set_addr(const struct option_row *row, const char *text, void *slot)
{
	((struct addr_rule *)slot)->list = row->arg;
	return parse_addr(text, slot);
}

static int set_ports(const struct option_row *row, const char *text, void *slot)
{
	((struct port_rule *)slot)->list = row->arg;
	return parse_ports(text, slot);
}

static int set_pid(const struct option_row *row, const char *text, void *slot)
{
	uint64_t pid;

	(void)row;
	if (parse_number(text, 1, 4194304, &pid)) /* PID_MAX_LIMIT */
		return -EINVAL;
	*(uint32_t *)slot = (uint32_t)pid;
	return 0;
}

static int set_text(const struct option_row *row, const char *text, void *slot)
{
	return parse_text(text, slot, row->size);
}

static int set_ifname(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_ifname(text, slot);
}

static int set_reason(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_reason(text, slot);
}

static int set_netns(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_netns(text, slot);
}

static int set_cgroup(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_cgroup(text, slot);
}

static const struct option_type type_action = {.set = NULL};
static const struct option_type type_flag = {.set = set_flag};
static const struct option_type type_repeat = {.set = set_repeat};
static const struct option_type type_ip_version = {.set = set_ip_version};
static const struct option_type type_string = {.set = set_string};
static const struct option_type type_limit = {.set = set_limit};
static const struct option_type type_duration = {.set = set_duration};
static const struct option_type type_choice = {.set = set_choice};
static const struct option_type type_bits = {.set = set_bits, .list = true};
static const struct option_type type_addr = {.set = set_addr, .list = true};
static const struct option_type type_ports = {.set = set_ports, .list = true};
static const struct option_type type_pid = {.set = set_pid, .list = true};
static const struct option_type type_text = {.set = set_text, .list = true};
static const struct option_type type_ifname = {.set = set_ifname, .list = true};
static const struct option_type type_reason = {.set = set_reason, .list = true};
static const struct option_type type_netns = {.set = set_netns, .list = true};
static const struct option_type type_cgroup = {.set = set_cgroup, .list = true};
