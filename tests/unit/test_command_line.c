// SPDX-License-Identifier: MIT
/* links: src/options.c src/option_table.c src/help.c src/parse.c src/util.c src/log.c */
/* Output, record, stop and help options; what is no option; conflicts; --help itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "option_table.h"
#include "run_options.h"
#include "util.h"

static void test_defaults(void **state)
{
	(void)state;
	assert_run();
	assert_int_equal(opt.events, ((1u << EV_KIND_COUNT) - 1) & ~(1u << EV_CONNECT));
	assert_false(opt.events_given);
	assert_int_equal(opt.min_latency_ns, 0);
	assert_int_equal(opt.addr_count + opt.port_count + opt.pid_count + opt.comm_count, 0);
	assert_int_equal(opt.cgroup_count + opt.netns_count + opt.ifname_count + opt.reason_count, 0);
	assert_int_equal(opt.ip_version, 0);
	assert_int_equal(opt.types, 0);
	assert_int_equal(opt.causes, 0);
	assert_int_equal(opt.format, OUTPUT_TEXT);
	assert_int_equal(opt.color, COLOR_AUTO);
	assert_false(opt.utc || opt.quiet || opt.check);
	assert_int_equal(opt.verbose, 0);
	assert_true(!opt.write_path && !opt.read_path && !opt.force && !opt.btf_path);
	assert_int_equal(opt.duration_ns, 0);
	assert_int_equal(opt.count, 0);
}

/* ---- output, record, stop, help ---- */

static void test_output(void **state)
{
	(void)state;
	assert_run("-o", "json");
	assert_int_equal(opt.format, OUTPUT_JSON);
	assert_run("--output=none");
	assert_int_equal(opt.format, OUTPUT_NONE);
	assert_run("-ocount");
	assert_int_equal(opt.format, OUTPUT_COUNT_ONLY);
	assert_run("-o", "json", "--output", "text"); /* the last one wins */
	assert_int_equal(opt.format, OUTPUT_TEXT);
	assert_usage("-o: invalid value 'xml': expected text, json, none or count", "-o", "xml");
	assert_usage("--output: invalid value 'text,json': expected text, json, none or count",
		     "--output", "text,json");
	assert_usage("--output: invalid value '': expected text, json, none or count", "--output=");

	assert_run("--color", "always");
	assert_int_equal(opt.color, COLOR_ALWAYS);
	assert_run("--color=never");
	assert_int_equal(opt.color, COLOR_NEVER);
	assert_run("--color=never", "--color=auto");
	assert_int_equal(opt.color, COLOR_AUTO);
	assert_usage("--color: invalid value 'yes': expected auto, always or never", "--color", "yes");

	assert_run("--utc");
	assert_true(opt.utc);
	assert_run("-q");
	assert_true(opt.quiet);
	assert_run("--quiet");
	assert_true(opt.quiet);
	assert_run("-vv", "--verbose", "-v");
	assert_int_equal(opt.verbose, 4);
	assert_usage("--utc: takes no value", "--utc=1");
	assert_run("-qv");
	assert_true(opt.quiet && opt.verbose == 1);
	assert_run("-v", "--quiet", "-v");
	assert_true(opt.quiet && opt.verbose == 2);
}

static void test_record(void **state)
{
	(void)state;
	assert_run("-w", "a,b.rec");
	assert_string_equal(opt.write_path, "a,b.rec");
	assert_run("--write=out.rec", "--read", "in.rec");
	assert_string_equal(opt.write_path, "out.rec");
	assert_string_equal(opt.read_path, "in.rec");
	assert_run("-r-");
	assert_string_equal(opt.read_path, "-");
	assert_usage("-w: invalid value '': expected a file name", "-w", "");
	assert_usage("--read: invalid value '': expected a file name", "--read=");
	assert_usage("--read: given twice", "-r", "a", "--read", "b");
	assert_usage("-w: given twice", "-w", "a", "-w", "a");
}

static void test_same_file(void **state)
{
	char path[] = "/tmp/rebpf-test-XXXXXX", link_path[64];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(link_path, sizeof(link_path), "%s.link", path);
	assert_int_equal(link(path, link_path), 0);
	assert_usage("--write: this is the file that --read reads", "-r", path, "-w", path);
	assert_usage("--write: this is the file that --read reads", "-r", path, "-w", link_path);
	unlink(link_path);
	assert_run("-r", path, "-w", link_path);
	assert_run("-r", "/dev/null", "-w", "/dev/null");
	unlink(path);
}

static void check_duration(const char *text, uint64_t ns)
{
	assert_run("-d", text);
	assert_int_equal(opt.duration_ns, ns);
}

static void test_duration(void **state)
{
	static const char *const bad[] = {
		"", "0", "0s", "0.0", "-1", "+1", "1.", ".5", "1.5.5", "1d", "1S", "1 s", "s", "1ss",
		"1e3", "87601h", "87600.1h", "315360000.000000001",
		"315360001", "18446744073709551617", "18446744073709552s", "0.0000000001", "1h30m", "1,2",
	};
	size_t i;

	(void)state;
	check_duration("30", 30 * NSEC_PER_SEC);
	check_duration("30s", 30 * NSEC_PER_SEC);
	check_duration("500ms", 500 * NSEC_PER_MSEC);
	check_duration("1us", 1000);
	check_duration("2m", 120 * NSEC_PER_SEC);
	check_duration("1h", 3600 * NSEC_PER_SEC);
	check_duration("1.5", 1500 * NSEC_PER_MSEC);
	check_duration("0.25s", 250 * NSEC_PER_MSEC);
	check_duration("1.5h", 5400 * NSEC_PER_SEC);
	check_duration("0.000000001", 1);
	check_duration("0.1234567891234567", 123456789);
	check_duration("1.5ms", 1500000);
	check_duration("87600h", 87600 * 3600 * NSEC_PER_SEC);
	check_duration("87600.000h", 87600 * 3600 * NSEC_PER_SEC);
	assert_run("--duration=1", "--duration", "2");
	assert_int_equal(opt.duration_ns, 2 * NSEC_PER_SEC);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_usage_begin("--duration: invalid value '", "--duration", bad[i]);
	assert_usage("-d: invalid value '1d': expected seconds or a time such as 1.5s, 500ms, 2m or 1h, "
		     "above 0 and up to 87600h", "-d", "1d");
}

static void test_count(void **state)
{
	(void)state;
	assert_run("-c", "1");
	assert_int_equal(opt.count, 1);
	assert_run("--count=18446744073709551615");
	assert_true(opt.count == UINT64_MAX);
	assert_usage("-c: invalid value '0': expected a number from 1", "-c0");
	assert_usage("--count: invalid value '18446744073709551616': expected a number from 1",
		     "--count", "18446744073709551616");
	assert_usage("--count: invalid value 'x': expected a number from 1", "--count", "x");
	assert_usage("--count: invalid value '1,2': expected a number from 1", "--count", "1,2");
}

static void test_explain(void **state)
{
	(void)state;
	assert_run("--explain", "netfilter_drop");
	assert_string_equal(opt.explain, "netfilter_drop");
	assert_run("--explain=no such thing"); /* main.c says so */
	assert_string_equal(opt.explain, "no such thing");
	assert_usage("--explain: invalid value '': expected a drop reason such as NETFILTER_DROP", "--explain=");
	assert_usage("--explain: needs a value: REASON", "--explain");
	assert_usage("--explain: given twice", "--explain", "A", "--explain", "B");
}

static void test_hidden(void **state)
{
	(void)state;
	assert_run("--force", "entry=fentry,tc=clsact", "--btf=vmlinux.btf", "--check");
	assert_string_equal(opt.force, "entry=fentry,tc=clsact");
	assert_string_equal(opt.btf_path, "vmlinux.btf");
	assert_true(opt.check);
	assert_usage("--force: given twice", "--force", "a=b", "--force", "c=d");
	assert_usage("--btf: invalid value '': expected a file name", "--btf=");
}

/* ---- conflicts, and what is no option ---- */

static void test_conflicts(void **state)
{
	(void)state;
	assert_run("-i", "lo", "-r", "f");
	assert_usage_begin("--output count and --pid exclude each other: ", "-o", "count", "-p", "1");
	assert_usage("--read and --check exclude each other: a replay uses no kernel that could be checked",
		     "-r", "f", "--check");
	assert_usage("--read and --force exclude each other: a replay attaches nothing", "-r", "f",
		     "--force", "a=b");
	assert_usage("--read and --btf exclude each other: a replay attaches nothing", "-r", "f", "--btf",
		     "b");
	assert_usage("--write and --check exclude each other: --check only reports, it records nothing",
		     "-w", "f", "--check");
	assert_usage_begin("--output count and --read exclude each other: ", "-o", "count", "-r", "f");
	assert_usage_begin("--output count and --write exclude each other: ", "-o", "count", "-w", "f");
	assert_usage_begin("--output count and --count exclude each other: ", "-o", "count", "-c", "5");
	assert_run("-o", "count", "-c", "5", "-o", "none");
	assert_run("-r", "f", "-p", "1", "-P", "443", "-o", "json", "--utc", "-d", "5", "-c", "5");
}

static void test_not_an_option(void **state)
{
	(void)state;
	assert_usage("unknown option '--nope': try --help", "--nope");
	assert_usage("unknown option '--nope': try --help", "--nope=value");
	assert_usage("unknown option '-Z': try --help", "-Z");
	assert_usage("unknown option '-Z': try --help", "-vZ");
	assert_usage("unknown option '-\\x1b': try --help", "-\033");
	assert_usage("unknown option '-\\xff': try --help", "-\xff");
	assert_usage("unknown option '--\\x1b[2J\\x5c': try --help", "--\033[2J\\");
	assert_usage("ambiguous option '--s': one of --saddr, --sport, --stack, --summary?", "--s=1");
	assert_run("--dura=5");
	assert_usage("--duration: invalid value 'x': "
		     "expected seconds or a time such as 1.5s, 500ms, 2m or 1h, "
		     "above 0 and up to 87600h", "--dura=x");
	assert_usage("--port: needs a value: N[-M]", "--port");
	assert_usage("-P: needs a value: N[-M]", "-vP");
	assert_usage("unexpected argument 'terminal': there are only options, try --help", "terminal", "30");
	assert_usage("unexpected argument 'x': there are only options, try --help", "-v", "x", "--nope");
	assert_usage("unexpected argument 'x': there are only options, try --help", "--", "x");
	assert_usage("unexpected argument '-': there are only options, try --help", "-");
	assert_usage("unexpected argument '': there are only options, try --help", "");
	assert_run("--");
}

/* Nothing that the user typed reaches the terminal raw, or floods it. */
static void test_escaped_values(void **state)
{
	char value[3000], message[4000];

	(void)state;
	assert_usage("-P: invalid value '\\x1b]0;x\\x07\\x5c\\xc3\\xa9': expected N or N-M, 1 to 65535",
		     "-P", "\033]0;x\007\\\xc3\xa9");
	assert_usage("-P: invalid value '1\\x0a2': expected N or N-M, 1 to 65535", "-P", "1\n2");
	assert_usage_begin("--netns: invalid value '%s%n': ", "--netns", "%s%n");
	assert_usage("unexpected argument 'a\\x0d': there are only options, try --help", "a\r");

	memset(value, '7', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	snprintf(message, sizeof(message),
		 "rebpf: -P: invalid value '%.100s...': expected N or N-M, 1 to 65535\n", value);
	assert_int_equal(parse(ARGV("-P", value)), OPTIONS_EXIT_USAGE);
	assert_string_equal(err_text, message);
	value[100] = '\0';
	snprintf(message, sizeof(message),
		 "rebpf: -P: invalid value '%s': expected N or N-M, 1 to 65535\n", value);
	assert_int_equal(parse(ARGV("-P", value)), OPTIONS_EXIT_USAGE);
	assert_string_equal(err_text, message);
}

/* ---- --help and --version ---- */

static void test_version(void **state)
{
	(void)state;
	assert_int_equal(parse(ARGV("--version")), OPTIONS_EXIT_OK);
	assert_memory_equal(out_text, "rebpf ", 6);
	assert_true(out_text[6] >= '0' && out_text[6] <= '9');
	assert_string_equal(err_text, "");
	assert_int_equal(parse(ARGV("-vV", "--nope")), OPTIONS_EXIT_OK);
	assert_usage("unknown option '--nope': try --help", "--nope", "--version");
}

static void test_help_size(void **state)
{
	const char *line, *end;
	unsigned int lines = 0;

	(void)state;
	assert_int_equal(parse(ARGV("--help")), OPTIONS_EXIT_OK);
	assert_string_equal(err_text, "");
	for (line = out_text; *line; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end);
		assert_in_range(end - line, 1, 80);
		assert_int_not_equal(end[-1], ' ');
		lines++;
	}
	assert_in_range(lines, 20, 60);
	assert_int_equal(parse(ARGV("-h", "--nope", "x")), OPTIONS_EXIT_OK);
	assert_memory_equal(out_text, "Usage: rebpf ", 13);
}

/* Each option that is not hidden stands in an option's column, with its letter and its value. */
static void test_help_lists_all(void **state)
{
	char word[64], *at, after;
	unsigned int i, j;

	(void)state;
	assert_int_equal(parse(ARGV("--help")), OPTIONS_EXIT_OK);
	for (i = 0; i < OPTION_TABLE_LEN; i++) {
		const struct option_row *row = &option_table[i];

		snprintf(word, sizeof(word), "--%s", row->name);
		at = strstr(out_text, word);
		if (row->hidden) {
			assert_null(at);
			continue;
		}
		assert_non_null(at);
		after = at[strlen(word)];
		assert_true(after == ' ' || after == ',');
		if (row->value && !row->with_next) {
			assert_int_equal(after, ' ');
			assert_memory_equal(at + strlen(word) + 1, row->value, strlen(row->value));
		}
		if (row->letter) {
			snprintf(word, sizeof(word), "-%c, ", row->letter);
			assert_memory_equal(at - 4, word, 4);
		}
		for (j = 0; row->names && j < row->names->count; j++)
			if (!(row->names->hidden & 1u << j))
				assert_non_null(strstr(out_text, row->names->names[j]));
	}
}

/* The table itself: what the parser takes for granted. */
static void test_table(void **state)
{
	unsigned int i, j;

	(void)state;
	for (i = 0; i < OPTION_TABLE_LEN; i++) {
		const struct option_row *row = &option_table[i];

		assert_non_null(row->type);
		assert_non_null(row->name);
		assert_non_null(row->help);
		assert_true(strlen(row->name) < 28);
		assert_true(!row->value || row->names || row->expected);
		assert_true(!row->names || row->names->count <= 31);
		for (j = 0; j < i; j++) {
			assert_string_not_equal(row->name, option_table[j].name);
			assert_true(!row->letter || row->letter != option_table[j].letter);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_same_file),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_not_an_option),
		cmocka_unit_test(test_escaped_values),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_help_size),
		cmocka_unit_test(test_help_lists_all),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
