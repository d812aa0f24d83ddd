// SPDX-License-Identifier: MIT
#include "snmp.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static const struct {
	const char *name;
	size_t at;
} columns[] = {
	{ "ActiveOpens", offsetof(struct snmp_tcp, active_opens) },
	{ "PassiveOpens", offsetof(struct snmp_tcp, passive_opens) },
	{ "AttemptFails", offsetof(struct snmp_tcp, attempt_fails) },
	{ "EstabResets", offsetof(struct snmp_tcp, estab_resets) },
	{ "InSegs", offsetof(struct snmp_tcp, in_segs) },
	{ "OutSegs", offsetof(struct snmp_tcp, out_segs) },
	{ "RetransSegs", offsetof(struct snmp_tcp, retrans_segs) },
};

/* The next word of a line, which ends with its line break; false: there is none. */
static bool next_word(const char **at, const char **word, size_t *len)
{
	*at += strspn(*at, " ");
	*word = *at;
	*len = strcspn(*at, " \n");
	*at += *len;
	return *len;
}

/* Digits only: the one column that can be negative (MaxConn) is none of ours. */
static bool parse_count(const char *word, size_t len, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++) {
		uint64_t digit = (uint64_t)(word[i] - '0');

		if (word[i] < '0' || word[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*out = v;
	return len;
}

/* Two lines that begin with the same word: names, then numbers in the same order. */
static int parse_lines(const char *names, const char *numbers, struct snmp_tcp *out)
{
	const char *name, *number;
	size_t name_len, number_len;
	struct snmp_tcp tcp = {};
	unsigned int needed = 0;

	while (next_word(&names, &name, &name_len) && next_word(&numbers, &number, &number_len)) {
		for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
			uint64_t *slot = (uint64_t *)(void *)((char *)&tcp + columns[i].at);

			if (strlen(columns[i].name) != name_len || strncmp(columns[i].name, name, name_len))
				continue;
			if (!parse_count(number, number_len, slot))
				return -EBADMSG;
			needed += slot == &tcp.out_segs || slot == &tcp.retrans_segs;
		}
	}
	if (needed != 2)
		return -EBADMSG;
	*out = tcp;
	return 0;
}

int snmp_parse(const char *text, struct snmp_tcp *out)
{
	static const char tag[] = "Tcp:";
	const size_t len = sizeof(tag) - 1;

	for (const char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (!next)
			break;
		next++;
		if (!strncmp(line, tag, len) && !strncmp(next, tag, len))
			return parse_lines(line + len, next + len, out);
	}
	return -EBADMSG;
}

int snmp_read(const char *path, struct snmp_tcp *out)
{
	char *text;
	int err = read_file(path, &text, NULL);

	if (err)
		return err;
	err = snmp_parse(text, out);
	free(text);
	return err;
}
