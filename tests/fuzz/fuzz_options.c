// SPDX-License-Identifier: MIT
/* links: tests/fuzz/fuzz.c tests/fuzz/check.c src/options.c src/option_table.c src/help.c src/parse.c src/plan.c src/meaning.c src/meaning_table.c src/meaning_places.c src/util.c src/log.c */
/* flags: -Wl,--wrap=parse_netns,--wrap=parse_cgroup,--wrap=stat */
/*
 * Arbitrary bytes as a command line: words that end with a NUL. What looks at this machine's files is left out. Either the
 * options are such as the rest of the program relies on, or there is one clear line on stderr.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "feature.h"
#include "fuzz.h"
#include "log.h"
#include "meaning.h"
#include "options.h"
#include "parse.h"
#include "plan.h"

#define OUT 1
#define MAX_WORDS 64

int __wrap_parse_netns(const char *text, uint32_t *out);
int __wrap_parse_cgroup(const char *text, uint64_t *out);
int __real_stat(const char *path, struct stat *out);
int __wrap_stat(const char *path, struct stat *out);

static bool parsing; /* libFuzzer has files, too */

int __wrap_parse_netns(const char *text, uint32_t *out)
{
	*out = (uint32_t)strlen(text);
	return *out ? 0 : -EINVAL;
}

int __wrap_parse_cgroup(const char *text, uint64_t *out)
{
	*out = strlen(text);
	return *out ? 0 : -EINVAL;
}

int __wrap_stat(const char *path, struct stat *out)
{
	if (!parsing)
		return __real_stat(path, out);
	errno = ENOENT;
	return -1;
}

/* What features.c says, which is about the kernel. */
const char *feature_why_not(enum feature f)
{
	(void)f;
	return "it is not there";
}

/* What was parsed keeps to its bounds. */
static void check_options(const struct options *o)
{
	bool ok = o->addr_count <= REBPF_MAX_RULES && o->port_count <= REBPF_MAX_RULES &&
		  o->pid_count <= OPTIONS_MAX_LIST && o->comm_count <= OPTIONS_MAX_LIST &&
		  o->cgroup_count <= OPTIONS_MAX_LIST && o->netns_count <= OPTIONS_MAX_LIST &&
		  o->ifname_count <= OPTIONS_MAX_LIST && o->reason_count <= OPTIONS_MAX_LIST &&
		  o->events & 1u << EV_STATS && !(o->events >> EV_KIND_COUNT) && !(o->classes >> DROP_CLASS_COUNT) &&
		  !(o->types >> RTX_TYPE_COUNT) && !(o->causes >> RTX_CAUSE_COUNT) &&
		  memchr(o->filters, '\0', sizeof(o->filters));

	for (unsigned int i = 0; ok && i < o->comm_count; i++)
		ok = o->comm[i][0] && memchr(o->comm[i], '\0', sizeof(o->comm[i]));
	for (unsigned int i = 0; ok && i < o->ifname_count; i++)
		ok = o->ifname[i][0] && memchr(o->ifname[i], '\0', sizeof(o->ifname[i]));
	for (unsigned int i = 0; ok && i < o->reason_count; i++)
		ok = o->reason[i][0] && memchr(o->reason[i], '\0', sizeof(o->reason[i]));
	for (unsigned int i = 0; ok && i < o->port_count; i++)
		ok = o->port[i].low && o->port[i].low <= o->port[i].high && o->port[i].list < RULE_LIST_COUNT;
	if (!ok)
		fuzz_fail("options out of bounds, filters", o->filters, sizeof(o->filters));
}

static void use(const struct options *o)
{
	struct features features = {};
	struct strbuf text = {};
	struct plan plan;

	log_notice("flows are sought with %s", o->filters);
	if (o->force)
		plan_make(&plan, &features, o->force);
	if (o->explain)
		meaning_explain(&text, o->explain);
	check_text(text.data, text.len, false);
	strbuf_free(&text);
}

/* One line that names what is wrong. */
static void check_refusal(void)
{
	size_t len;
	const char *text = fuzz_sunk(0, &len), *end = memchr(text, '\n', len);

	if (strncmp(text, "rebpf: ", 7) || !end || end != text + len - 1 || len < 10)
		fuzz_fail("not one line about a bad option", text, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[MAX_WORDS + 2] = { (char *)"rebpf" }, *copy = malloc(size + 1);
	enum options_result result;
	struct options o;
	int argc = 1, saved;

	if (!copy)
		abort();
	memcpy(copy, data, size);
	copy[size] = '\0';
	for (char *word = copy; word < copy + size && argc <= MAX_WORDS; word += strlen(word) + 1)
		argv[argc++] = word;

	/* --help and --version print. */
	saved = dup(STDOUT_FILENO);
	fuzz_stderr_begin();
	if (saved < 0 || dup2(fuzz_sink(OUT), STDOUT_FILENO) < 0)
		abort();
	parsing = true;
	result = options_parse(&o, argc, argv);
	parsing = false;
	fflush(stdout);
	if (result == OPTIONS_RUN) {
		check_options(&o);
		use(&o);
	}
	if (dup2(saved, STDOUT_FILENO) < 0)
		abort();
	close(saved);
	fuzz_stderr_end();
	if (result == OPTIONS_EXIT_USAGE)
		check_refusal();
	free(copy);
	return 0;
}
