/* SPDX-License-Identifier: MIT */
/*
 * One row per option. Whatever knows an option by more than its field in struct options reads it from here:
 * the parser (options.c), --help (help.c), the manual page and the completions (generate.c), and their tests.
 */
#ifndef REBPF_OPTION_TABLE_H
#define REBPF_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

/* In the order of --help. */
enum option_id {
	OPTION_EVENTS,
	OPTION_ADDR,
	OPTION_SADDR,
	OPTION_DADDR,
	OPTION_PORT,
	OPTION_SPORT,
	OPTION_DPORT,
	OPTION_PID,
	OPTION_COMM,
	OPTION_CGROUP,
	OPTION_NETNS,
	OPTION_INTERFACE,
	OPTION_IPV4,
	OPTION_IPV6,
	OPTION_TYPE,
	OPTION_CAUSE,
	OPTION_REASON,
	OPTION_CLASS,
	OPTION_MIN_LATENCY,
	OPTION_ALL_PROTOCOLS,
	OPTION_OUTPUT,
	OPTION_STACK,
	OPTION_SUMMARY,
	OPTION_INTERVAL,
	OPTION_COLOR,
	OPTION_UTC,
	OPTION_QUIET,
	OPTION_VERBOSE,
	OPTION_LISTEN,
	OPTION_METRICS_PORTS,
	OPTION_METRICS_MAX_SERIES,
	OPTION_INJECT,
	OPTION_INJECT_PERCENT,
	OPTION_INJECT_COUNT,
	OPTION_WRITE,
	OPTION_READ,
	OPTION_DURATION,
	OPTION_COUNT,
	OPTION_CHECK,
	OPTION_EXPLAIN,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_FORCE,
	OPTION_BTF,
	OPTION_TABLE_LEN
};

enum option_group {
	GROUP_EVENTS,
	GROUP_FILTER,
	GROUP_OUTPUT,
	GROUP_METRICS,
	GROUP_INJECT,
	GROUP_RECORD,
	GROUP_STOP,
	GROUP_HELP,
	GROUP_COUNT
};

/* Names that a value is chosen from; the index is the value. */
struct option_names {
	const char *const *names;
	unsigned int count;
	uint32_t hidden; /* bit per index that cannot be chosen */
	bool has_all;    /* "all" is a choice too */
};

/* What "all" sets in a field of bits, until the end of the command line. */
#define OPTION_ALL_BIT (1u << 31)

struct option_row;

/* What a shell can offer as a value, where the value is none of a few @names. */
enum option_words {
	WORDS_NONE,
	WORDS_FILE,
	WORDS_INTERFACE,
	WORDS_PID,
	WORDS_COMM,
	WORDS_NETNS,
	WORDS_CGROUP,
	WORDS_REASON, /* of drops */
};

/* What the values of an option are. */
struct option_type {
	bool list; /* comma separated and repeatable: set() sees one item at a time */
	/*
	 * Stores a value at @slot, the field or the next free element of a list; @text is NULL for an option
	 * without value. Errors as in parse.h. NULL: handled by options_parse() itself.
	 */
	int (*set)(const struct option_row *row, const char *text, void *slot);
};

struct option_row {
	const struct option_type *type;
	enum option_group group;
	char letter;          /* 0: long only */
	const char *name;
	const char *value;    /* what --help calls its value, NULL: takes none */
	const char *help;
	const char *expected; /* ends the message about a bad value; not needed with @names */
	const struct option_names *names;
	enum option_words words;
	uint32_t initial;     /* bits of @names that hold without the option */
	unsigned int arg;     /* what the type wants to know besides: rule list, IP version */
	bool hidden;          /* not in --help: for tests */
	bool once;            /* giving it twice is a mistake, not a change of mind */
	bool with_next;       /* --help has it on the line of the next row */
	size_t field;         /* offset in struct options */

	/* Lists only. Rows that share a counter share the list. */
	size_t count_field;
	unsigned int cap;
	size_t size;          /* of an element */
};

extern const struct option_row option_table[OPTION_TABLE_LEN];

/* "text, json or none", @last being " or ". */
void option_names_join(struct strbuf *b, const struct option_names *n, const char *last);
/* Whether names[i] can be chosen. */
bool option_is_choice(const struct option_names *n, unsigned int i);
/* "of drops: bad, policy, expected, all (default: bad, policy)" */
void option_describe(struct strbuf *b, const struct option_row *row);
const char *option_group_title(enum option_group group);
/* What --help prints. */
void option_help(struct strbuf *b);

#endif
