// SPDX-License-Identifier: MIT
/* From argv to struct options. Every failure is one line on stderr, written where it is found. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "option_table.h"
#include "options.h"
#include "util.h"

#ifndef REBPF_VERSION
#define REBPF_VERSION "0.1.0"
#endif

#define LONG_BASE 256 /* getopt's value of a long option: above every letter, so that the spelling is known */
#define ECHO_MAX 100  /* bytes of the user's text that a message repeats */

struct parser {
	struct options *o;
	bool seen[OPTION_TABLE_LEN];
};

/* ---- messages ---- */

/* Text of the user for a message: escaped, and cut if it is long. */
static void add_echo(struct strbuf *b, const char *text, size_t len)
{
	strbuf_escaped(b, text, len < ECHO_MAX ? len : ECHO_MAX, false);
	if (strnlen(text, len) > ECHO_MAX)
		strbuf_str(b, "...");
}

static const char *text_of(const struct strbuf *b)
{
	return b->data ? b->data : "";
}

static int bad_value(const struct option_row *row, const char *typed, const char *text, int err)
{
	struct strbuf value = {0}, expected = {0};

	add_echo(&value, text, strlen(text));
	if (row->names)
		option_names_join(&expected, row->names, " or ");
	else
		strbuf_str(&expected, row->expected);
	if (err != -EINVAL) {
		strbuf_str(&expected, " (");
		strbuf_str(&expected, strerror(-err));
		strbuf_char(&expected, ')');
	}
	log_error(-EINVAL, "%s: invalid value '%s': expected %s", typed, text_of(&value), text_of(&expected));
	strbuf_free(&value);
	strbuf_free(&expected);
	return -EINVAL;
}

static int too_many(const struct option_row *row, const char *typed)
{
	struct strbuf names = {0};
	unsigned int i;

	for (i = 0; i < OPTION_TABLE_LEN; i++) {
		if (!option_table[i].cap || option_table[i].count_field != row->count_field)
			continue;
		strbuf_str(&names, names.len ? ", --" : "--");
		strbuf_str(&names, option_table[i].name);
	}
	log_error(-E2BIG, "%s: too many values: at most %u in all for %s", typed, row->cap, text_of(&names));
	strbuf_free(&names);
	return -E2BIG;
}

/* What getopt found no single option for: an unknown one, or the beginning of several. */
static int no_such_option(const char *typed)
{
	struct strbuf text = {0}, similar = {0};
	size_t len = strcspn(typed, "="), i;
	unsigned int matches = 0;

	add_echo(&text, typed, len);
	for (i = 0; len > 2 && i < OPTION_TABLE_LEN; i++) {
		if (option_table[i].hidden || strncmp(option_table[i].name, typed + 2, len - 2))
			continue;
		strbuf_str(&similar, matches++ ? ", --" : "--");
		strbuf_str(&similar, option_table[i].name);
	}
	if (matches > 1)
		log_error(-EINVAL, "ambiguous option '%s': one of %s?", text_of(&text), text_of(&similar));
	else
		log_error(-EINVAL, "unknown option '%s': try --help", text_of(&text));
	strbuf_free(&text);
	strbuf_free(&similar);
	return -EINVAL;
}

static int unexpected_argument(const char *text)
{
	struct strbuf b = {0};

	add_echo(&b, text, strlen(text));
	log_error(-EINVAL, "unexpected argument '%s': there are only options, try --help", text_of(&b));
	strbuf_free(&b);
	return -EINVAL;
}

/* ---- values ---- */

static int set_value(struct parser *p, const struct option_row *row, const char *typed, const char *text)
{
	char *slot = (char *)p->o + row->field;
	unsigned int *count = NULL;
	int err;

	if (row->cap) {
		count = (unsigned int *)((char *)p->o + row->count_field);
		if (*count == row->cap)
			return too_many(row, typed);
		slot += *count * row->size;
	}
	err = row->type->set(row, text, slot);
	if (err)
		return bad_value(row, typed, text, err);
	if (count)
		++*count;
	return 0;
}

static int set_list(struct parser *p, const struct option_row *row, const char *typed, const char *text)
{
	char *item;
	size_t len;
	int err;

	for (;; text += len + 1) {
		len = strcspn(text, ",");
		item = strndup(text, len);
		if (!item)
			return log_error(-ENOMEM, "%s: out of memory", typed);
		err = set_value(p, row, typed, item);
		free(item);
		if (err || !text[len])
			return err;
	}
}

static int set_option(struct parser *p, unsigned int id, const char *typed, const char *text)
{
	const struct option_row *row = &option_table[id];

	if (row->once && p->seen[id])
		return log_error(-EINVAL, "%s: given twice", typed);
	p->seen[id] = true;
	return row->type->list ? set_list(p, row, typed, text) : set_value(p, row, typed, text);
}

/* ---- the whole ---- */

static const struct {
	enum option_id a, b;
	const char *why;
} conflicts[] = {
	{.a = OPTION_IPV4, .b = OPTION_IPV6, .why = "without either, both versions are shown"},
	{.a = OPTION_READ, .b = OPTION_CHECK, .why = "a replay uses no kernel that could be checked"},
	{.a = OPTION_READ, .b = OPTION_FORCE, .why = "a replay attaches nothing"},
	{.a = OPTION_READ, .b = OPTION_BTF, .why = "a replay attaches nothing"},
	{.a = OPTION_READ, .b = OPTION_LISTEN, .why = "a replay is over before anybody could ask"},
	{.a = OPTION_READ, .b = OPTION_INJECT, .why = "a replay touches no packets"},
	{.a = OPTION_INJECT, .b = OPTION_CHECK, .why = "--check only reports"},
	{.a = OPTION_LISTEN, .b = OPTION_CHECK, .why = "--check only reports, it counts nothing"},
	{.a = OPTION_WRITE, .b = OPTION_CHECK, .why = "--check only reports, it records nothing"},
};

/* What cannot go with --output count: it shows the kernel's counters; what only records tell does not narrow them. */
static const enum option_id needs_records[] = {
	OPTION_READ,  OPTION_WRITE, OPTION_COUNT, OPTION_PID,   OPTION_COMM,  OPTION_CGROUP,
	OPTION_NETNS, OPTION_INTERFACE, OPTION_TYPE, OPTION_CAUSE, OPTION_REASON, OPTION_CLASS,
};

/* What cannot go with --inject: user space decides it, when the packet has gone. */
static const enum option_id needs_user_space[] = { OPTION_COMM, OPTION_TYPE, OPTION_CAUSE, OPTION_REASON };

static int validate_inject(const struct parser *p)
{
	const struct options *o = p->o;

	if (!o->inject)
		return p->seen[OPTION_INJECT_PERCENT] || p->seen[OPTION_INJECT_COUNT] ?
			       log_error(-EINVAL, "--inject-percent, --inject-count: need --inject") :
			       0;
	for (size_t i = 0; i < ARRAY_SIZE(needs_user_space); i++)
		if (p->seen[needs_user_space[i]])
			return log_error(-EINVAL, "--inject and --%s exclude each other: %s", option_table[needs_user_space[i]].name,
					 "that is decided when the packet has gone");
	if (!o->addr_count && !o->port_count && !o->pid_count)
		return log_error(-EINVAL, "--inject: needs an address, port or process to narrow it: %s",
				 "--addr, --saddr, --daddr, --port, --sport, --dport or --pid");
	return 0;
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	if (stat(a, &sa) || stat(b, &sb) || !S_ISREG(sa.st_mode))
		return false;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Every list of address rules has to leave a flow possible: none is both IPv4 and IPv6. */
static bool is_flow_possible(const struct options *o)
{
	bool v4 = o->ip_version != 6, v6 = o->ip_version != 4;
	unsigned int list, i, of_v4, of_v6;

	for (list = 0; list < RULE_LIST_COUNT; list++) {
		of_v4 = of_v6 = 0;
		for (i = 0; i < o->addr_count; i++) {
			of_v4 += o->addr[i].list == list && o->addr[i].ip_version == 4;
			of_v6 += o->addr[i].list == list && o->addr[i].ip_version == 6;
		}
		if (!of_v4 && !of_v6)
			continue;
		v4 = v4 && of_v4;
		v6 = v6 && of_v6;
	}
	return v4 || v6;
}

static int options_validate(const struct parser *p)
{
	const struct options *o = p->o;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(conflicts); i++)
		if (p->seen[conflicts[i].a] && p->seen[conflicts[i].b])
			return log_error(-EINVAL, "--%s and --%s exclude each other: %s",
					 option_table[conflicts[i].a].name, option_table[conflicts[i].b].name,
					 conflicts[i].why);
	for (i = 0; i < ARRAY_SIZE(needs_records); i++)
		if (o->format == OUTPUT_COUNT_ONLY && p->seen[needs_records[i]])
			return log_error(-EINVAL, "--output count and --%s exclude each other: %s",
					 option_table[needs_records[i]].name,
					 "it shows the kernel's counters, which only addresses and ports narrow");
	if (validate_inject(p))
		return -EINVAL;
	if (o->write_path && !strcmp(o->write_path, "-") && o->format != OUTPUT_NONE)
		return log_error(-EINVAL, "--write -: stdout takes the records, so there can be no events: add --output none");
	if (!o->listen.port && (o->metrics_ports || o->metrics_max_series))
		return log_error(-EINVAL, "--metrics-ports, --metrics-max-series: need --listen");
	if (o->read_path && o->write_path && is_same_file(o->read_path, o->write_path))
		return log_error(-EINVAL, "--write: this is the file that --read reads");
	if (o->interval_ns && o->interval_ns < OPTIONS_MIN_INTERVAL_NS)
		return log_error(-EINVAL, "--interval: at least 100ms");
	if (!is_flow_possible(o))
		return log_error(-EINVAL, "--addr, --saddr, --daddr, -4, -6: no flow can match, %s",
				 "what they ask for is partly IPv4 and partly IPv6");
	return 0;
}

static void settle_events(struct options *o)
{
	uint32_t implied = 0;

	o->events_given = o->events & ~OPTION_ALL_BIT;
	if (o->types || o->causes)
		implied |= 1u << EV_RETRANSMIT;
	if (o->min_latency_ns)
		implied |= 1u << EV_CONNECT;
	if (!o->events)
		o->events = implied ? implied : option_table[OPTION_EVENTS].initial;
	if (o->events & OPTION_ALL_BIT)
		o->events = (1u << EV_KIND_COUNT) - 1;
	if (o->events & 1u << EV_RETRANSMIT)
		o->events |= 1u << EV_SPURIOUS;
	o->events |= 1u << EV_STATS;
}

/* Whoever names a reason wants to see it, of whatever class it is. */
static void settle_classes(struct options *o)
{
	if (o->classes & OPTION_ALL_BIT || (!o->classes && o->reason_count))
		o->classes = (1u << DROP_CLASS_COUNT) - 1;
	else if (!o->classes)
		o->classes = option_table[OPTION_CLASS].initial;
}

static void print_help(void)
{
	struct strbuf b = {0};

	option_help(&b);
	fputs(text_of(&b), stdout);
	strbuf_free(&b);
}

/* ---- getopt ---- */

/* "+": stop at the first word that is no option; ":": tell a missing value from an unknown option. */
static void make_getopt_tables(struct option *longs, char *letters)
{
	unsigned int i;

	*letters++ = '+';
	*letters++ = ':';
	for (i = 0; i < OPTION_TABLE_LEN; i++) {
		longs[i].name = option_table[i].name;
		longs[i].has_arg = option_table[i].value ? required_argument : no_argument;
		longs[i].val = LONG_BASE + (int)i;
		if (!option_table[i].letter)
			continue;
		*letters++ = option_table[i].letter;
		if (option_table[i].value)
			*letters++ = ':';
	}
	*letters = '\0';
}

/* The option that getopt means by @val, and its spelling on this command line; OPTION_TABLE_LEN: none. */
static unsigned int identify(int val, char *typed, size_t size)
{
	unsigned int i;

	for (i = 0; i < OPTION_TABLE_LEN; i++) {
		if (val == LONG_BASE + (int)i) {
			snprintf(typed, size, "--%s", option_table[i].name);
			break;
		}
		if (val && val == option_table[i].letter) {
			snprintf(typed, size, "-%c", val);
			break;
		}
	}
	return i;
}

/* getopt returned ':' or '?'. */
static int getopt_failed(int how, char **argv)
{
	char typed[32], letter[3] = {'-', (char)optopt, '\0'};
	unsigned int id = identify(optopt, typed, sizeof(typed));

	if (id == OPTION_TABLE_LEN)
		return no_such_option(optopt ? letter : argv[optind - 1]);
	if (how == ':')
		return log_error(-EINVAL, "%s: needs a value: %s", typed, option_table[id].value);
	return log_error(-EINVAL, "%s: takes no value", typed);
}

/* Keeps a filter as it was typed, for messages. */
static void note_filter(struct options *o, unsigned int id, const char *typed, const char *value)
{
	size_t len = strlen(o->filters);

	if (option_table[id].group == GROUP_FILTER)
		snprintf(o->filters + len, sizeof(o->filters) - len, "%s%s%s%s", len ? " " : "", typed,
			 value ? " " : "", value ? value : "");
}

enum options_result options_parse(struct options *o, int argc, char **argv)
{
	struct option longs[OPTION_TABLE_LEN + 1] = {0};
	char letters[2 * OPTION_TABLE_LEN + 3], typed[32];
	struct parser p = {.o = o};
	unsigned int id;
	int val;

	memset(o, 0, sizeof(*o));
	make_getopt_tables(longs, letters);
	optind = 0; /* start over, also where getopt has been used before */
	opterr = 0;
	while ((val = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (val == '?' || val == ':') {
			getopt_failed(val, argv);
			return OPTIONS_EXIT_USAGE;
		}
		id = identify(val, typed, sizeof(typed));
		switch (id) {
		case OPTION_HELP:
			print_help();
			return OPTIONS_EXIT_OK;
		case OPTION_VERSION:
			puts("rebpf " REBPF_VERSION);
			return OPTIONS_EXIT_OK;
		default:
			if (set_option(&p, id, typed, optarg))
				return OPTIONS_EXIT_USAGE;
			note_filter(o, id, typed, optarg);
		}
	}
	if (optind < argc) {
		unexpected_argument(argv[optind]);
		return OPTIONS_EXIT_USAGE;
	}
	if (options_validate(&p))
		return OPTIONS_EXIT_USAGE;
	settle_events(o);
	settle_classes(o);
	o->summary |= o->interval_ns != 0;
	return OPTIONS_RUN;
}
