// SPDX-License-Identifier: MIT
/*
 * A tool of the build, not part of rebpf: prints what else must list every option, from the option table.
 *   generate man    the entries of the manual page's OPTIONS (mdoc), which go where src/rebpf.8.in says @OPTIONS@
 *   generate bash   the completion for bash
 *   generate zsh    the completion for zsh
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "meaning.h"
#include "option_table.h"
#include "util.h"

/* ---- rows ---- */

static const struct option_row *const rows_end = option_table + OPTION_TABLE_LEN;

/* The value of @first is told by the last of the rows that --help has on one line. */
static const struct option_row *last_of_line(const struct option_row *first)
{
	while (first->with_next)
		first++;
	return first;
}

static void print_choices(const struct option_names *n)
{
	for (unsigned int i = 0; i < n->count; i++)
		if (option_is_choice(n, i))
			printf(" %s", n->names[i]);
	if (n->has_all)
		printf(" all");
}

static void print_reasons(void)
{
	const struct drop_meaning *meaning;

	for (size_t i = 0; (meaning = meaning_at(i)); i++)
		printf(" %s", meaning->reason);
}

/* ---- the manual page ---- */

/*
 * .It Fl P , Fl -port Ar N[-M]
 */
static void man_spelling(const struct option_row *row, const struct option_row *last)
{
	const char *between = " ";

	printf(".It");
	for (; row <= last; row++) {
		if (row->letter) {
			printf("%sFl %c", between, row->letter);
			between = " , ";
		}
		printf("%sFl -%s", between, row->name);
		between = " , ";
	}
	if (last->value)
		printf(" Ar %s", last->value);
	putchar('\n');
}

/* Lines of the source, not of the page; mandoc wants a new one for each sentence. */
static void man_text(const char *text)
{
	const size_t width = 79;
	size_t at = 0, len;

	for (;; text += len + 1) {
		len = strcspn(text, " ");
		if (at && (at + 1 + len > width || text[-2] == '.')) {
			putchar('\n');
			at = 0;
		}
		at += (size_t)printf("%s%.*s", at ? " " : "", (int)len, text);
		if (!text[len])
			break;
	}
	putchar('\n');
}

static void man_option(const struct option_row *row, const struct option_row *last)
{
	struct strbuf text = {0};

	man_spelling(row, last);
	option_describe(&text, last);
	if (last->expected && !last->names) {
		strbuf_str(&text, ". Takes ");
		strbuf_str(&text, last->expected);
	}
	strbuf_str(&text, last->type->list ? ". A list." : ".");
	if (text.data) {
		text.data[0] = (char)toupper(text.data[0]);
		man_text(text.data);
	}
	strbuf_free(&text);
}

static void man(void)
{
	for (int g = 0; g < GROUP_COUNT; g++) {
		printf(".Ss %s\n.Bl -tag -width Ds\n", option_group_title(g));
		for (const struct option_row *row = option_table; row < rows_end; row++) {
			if ((int)row->group != g || row->hidden)
				continue;
			man_option(row, last_of_line(row));
			row = last_of_line(row);
		}
		printf(".El\n");
	}
}

/* ---- bash ---- */

static const char bash_head[] =
	"# bash completion for rebpf(8). Made from its table of options; do not edit.\n"
	"\n"
	"# Offers the words for the last item of a comma separated list.\n"
	"_rebpf_list()\n"
	"{\n"
	"	local before=\n"
	"\n"
	"	[[ $cur != *,* ]] || before=${cur%,*},\n"
	"	mapfile -t COMPREPLY < <(compgen -P \"$before\" -W \"$*\" -- \"${cur##*,}\")\n"
	"}\n"
	"\n"
	"_rebpf_one()\n"
	"{\n"
	"	mapfile -t COMPREPLY < <(compgen -W \"$*\" -- \"$cur\")\n"
	"}\n"
	"\n"
	"# Names that are safe to be words: compgen -W expands what it is given.\n"
	"_rebpf_safe()\n"
	"{\n"
	"	grep -v '[^[:alnum:]_.:@+-]' | sort -u\n"
	"}\n"
	"\n"
	"_rebpf_cgroups()\n"
	"{\n"
	"	[[ $cur == /* ]] || cd \"$(awk '$3 == \"cgroup2\" { print $2; exit }' /proc/mounts)\" || return\n"
	"	compgen -d -- \"$cur\"\n"
	"}\n"
	"\n"
	"_rebpf()\n"
	"{\n"
	"	local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"\n"
	"	COMPREPLY=()\n"
	"	# bash hands over --option=value as three words.\n"
	"	if [[ $cur == = ]]; then\n"
	"		cur=\n"
	"	elif [[ $option == = ]]; then\n"
	"		option=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"	fi\n"
	"	case $option in\n";

static void bash_words(const struct option_row *row, const char *function)
{
	switch (row->words) {
	case WORDS_NONE:
		printf(":");
		break;
	case WORDS_FILE:
		printf("compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")");
		break;
	case WORDS_INTERFACE:
		printf("%s \"$(ls /sys/class/net | _rebpf_safe)\"", function);
		break;
	case WORDS_PID:
		printf("%s \"$(cd /proc && echo [0-9]*)\"", function);
		break;
	case WORDS_COMM:
		printf("%s \"$(cat /proc/[0-9]*/comm 2>/dev/null | _rebpf_safe)\"", function);
		break;
	case WORDS_NETNS:
		printf("%s \"$(ls /run/netns 2>/dev/null | _rebpf_safe)\"", function);
		break;
	case WORDS_CGROUP:
		printf("compopt -o filenames -o nospace; mapfile -t COMPREPLY < <(_rebpf_cgroups)");
		break;
	case WORDS_REASON:
		printf("%s", function);
		print_reasons();
		break;
	}
}

static void bash(void)
{
	const struct option_row *row;

	fputs(bash_head, stdout);
	for (row = option_table; row < rows_end; row++) {
		const char *function = row->type->list ? "_rebpf_list" : "_rebpf_one";

		if (!row->value || row->hidden)
			continue;
		printf("\t");
		if (row->letter)
			printf("-%c | ", row->letter);
		printf("--%s) ", row->name);
		if (row->names) {
			printf("%s", function);
			print_choices(row->names);
		} else {
			bash_words(row, function);
		}
		printf(" ;;\n");
	}
	printf("\t*) _rebpf_one");
	for (row = option_table; row < rows_end; row++) {
		if (row->hidden)
			continue;
		if (row->letter)
			printf(" -%c", row->letter);
		printf(" --%s", row->name);
	}
	printf(" ;;\n\tesac\n} &&\n\tcomplete -F _rebpf rebpf\n");
}

/* ---- zsh ---- */

static const char zsh_head[] =
	"#compdef rebpf\n"
	"# zsh completion for rebpf(8). Made from its table of options; do not edit.\n"
	"\n"
	"_rebpf_comms() { compadd \"$@\" -- ${(fu)\"$(cat /proc/<->/comm(N) 2>/dev/null)\"} }\n"
	"_rebpf_cgroups() { _files \"$@\" -/ -W \"$(awk '$3 == \"cgroup2\" { print $2; exit }' /proc/mounts)\" }\n"
	"\n";

/* What an action of _arguments offers: arguments of compadd, or a function. */
static void zsh_words(const struct option_row *row)
{
	const char *sequence = row->type->list ? "_sequence " : "";

	if (row->names) {
		printf("%scompadd -", sequence);
		print_choices(row->names);
		return;
	}
	switch (row->words) {
	case WORDS_NONE:
		putchar(' ');
		break;
	case WORDS_FILE:
		printf("_files");
		break;
	case WORDS_INTERFACE:
		printf("%scompadd - /sys/class/net/*(N\\:t)", sequence);
		break;
	case WORDS_PID:
		printf("%scompadd - /proc/<->(N\\:t)", sequence);
		break;
	case WORDS_COMM:
		printf("%s_rebpf_comms", sequence);
		break;
	case WORDS_NETNS:
		printf("%scompadd - /run/netns/*(N\\:t)", sequence);
		break;
	case WORDS_CGROUP:
		printf("_rebpf_cgroups");
		break;
	case WORDS_REASON:
		printf("%scompadd -", sequence);
		print_reasons();
		break;
	}
}

/*
 * '*--events=[to print: retransmit, drop, connect, all]:LIST:_sequence compadd - retransmit drop connect all'
 */
static void zsh_spelling(const struct option_row *row, const char *dashes, const char *name, const char *value_mark)
{
	struct strbuf text = {0};

	option_describe(&text, last_of_line(row));
	printf("\t'*%s%s%s[", dashes, name, row->value ? value_mark : "");
	for (const char *p = text.data ? text.data : ""; *p; p++) {
		if (*p == '\'')
			printf("'\\''");
		else if (strchr("[]:\\", *p))
			printf("\\%c", *p);
		else
			putchar(*p);
	}
	putchar(']');
	if (row->value) {
		putchar(':');
		for (const char *p = row->value; *p; p++)
			printf(*p == ':' ? "\\%c" : "%c", *p);
		putchar(':');
		zsh_words(row);
	}
	printf("' \\\n");
	strbuf_free(&text);
}

static void zsh(void)
{
	fputs(zsh_head, stdout);
	printf("_arguments -s -S \\\n");
	for (const struct option_row *row = option_table; row < rows_end; row++) {
		char letter[2] = {row->letter, '\0'};

		if (row->hidden)
			continue;
		if (row->letter)
			zsh_spelling(row, "-", letter, "+");
		zsh_spelling(row, "--", row->name, "=");
	}
	printf("\t&& return 0\nreturn 1\n");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} kinds[] = {{"man", man}, {"bash", bash}, {"zsh", zsh}};

	for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(argv[1], kinds[i].name))
			continue;
		kinds[i].print();
		return fflush(stdout) ? 1 : 0;
	}
	fprintf(stderr, "usage: generate man|bash|zsh\n");
	return 2;
}
