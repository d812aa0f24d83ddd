// SPDX-License-Identifier: MIT
/* links: src/inject.c src/options.c src/option_table.c src/help.c src/parse.c src/util.c src/log.c */
/* --inject: what may be asked for, what the classifier is told, and what the user is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/pkt_cls.h>

#include "inject.h"
#include "log.h"
#include "parse.h"
#include "run_options.h"

static void test_off(void **state)
{
	struct inject_config config, zero = {};

	(void)state;
	assert_run("-P", "443", "-p", "7");
	assert_int_equal(opt.inject, INJECT_OFF);
	memset(&config, 0xa5, sizeof(config));
	inject_configure(&config, &opt);
	assert_memory_equal(&config, &zero, sizeof(zero));
}

static void test_on(void **state)
{
	struct inject_config config;

	(void)state;
	assert_run("--inject", "shot", "-P", "443");
	inject_configure(&config, &opt);
	assert_int_equal(config.verdict, TC_ACT_SHOT);
	assert_int_equal(config.share, REBPF_INJECT_WHOLE);
	assert_int_equal(config.count + config.pids + config.netnses + config.cgroups, 0);

	assert_run("--inject=stolen", "--inject-percent=12.5", "--inject-count=3", "-p", "7,8", "--netns", "4026532000",
		   "--cgroup", "77");
	inject_configure(&config, &opt);
	assert_int_equal(config.verdict, TC_ACT_STOLEN);
	assert_int_equal(config.share, 1250);
	assert_int_equal(config.count, 3);
	assert_int_equal(config.pids, 2);
	assert_int_equal(config.pid[1], 8);
	assert_int_equal(config.netnses, 1);
	assert_int_equal(config.netns[0], 4026532000u);
	assert_int_equal(config.cgroups, 1);
	assert_int_equal(config.cgroup[0], 77);
}

static void check_percent(const char *text, int want)
{
	uint32_t out = 4711;

	assert_int_equal(parse_percent(text, &out), want ? 0 : -EINVAL);
	assert_int_equal(out, want ? want : 4711);
}

static void test_percent(void **state)
{
	static const char *const bad[] = { "", "0", "0.00", "0.001", "100.01", "101", "-1", "+1", "1.", ".5", "1.234", "1e1",
					   "1 ", " 1", "x", "5%", "1.-5", "18446744073709551617" };

	(void)state;
	check_percent("100", 10000);
	check_percent("100.00", 10000);
	check_percent("0.01", 1);
	check_percent("0.1", 10);
	check_percent("33.33", 3333);
	check_percent("007", 700);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_percent(bad[i], 0);
}

/* A namespace, device, name or IP version does not narrow it enough. */
static void test_needs_a_filter(void **state)
{
	static const char *const enough[][2] = { { "-a", "10.0.0.1" }, { "--saddr", "::1" }, { "--daddr", "10.0.0.0/8" },
						 { "-P", "1-65535" },  { "--sport", "1" },   { "--dport", "1" },
						 { "-p", "1" } };

	(void)state;
	assert_usage_begin("--inject: needs an address, port or process to narrow it", "--inject", "shot");
	assert_usage_begin("--inject: needs an address, port or process to narrow it", "--inject", "shot", "--netns",
			   "4026532000", "-i", "lo", "-4", "--cgroup", "77");
	for (size_t i = 0; i < sizeof(enough) / sizeof(enough[0]); i++)
		assert_run("--inject", "shot", enough[i][0], enough[i][1], "--netns", "4026532000", "-i", "lo");
}

static void test_excluded(void **state)
{
	(void)state;
	assert_usage_begin("--inject and --comm exclude each other", "--inject", "shot", "-P", "1", "--comm", "a");
	assert_usage_begin("--inject and --type exclude each other", "--inject", "shot", "-P", "1", "--type", "rto");
	assert_usage_begin("--inject and --cause exclude each other", "--inject", "shot", "-P", "1", "--cause", "local");
	assert_usage_begin("--inject and --reason exclude each other", "--inject", "shot", "-P", "1", "--reason", "A");
	assert_usage_begin("--read and --inject exclude each other", "--inject", "shot", "-P", "1", "-r", "f");
	assert_usage_begin("--inject and --check exclude each other", "--inject", "shot", "-P", "1", "--check");
	assert_usage("--inject-percent, --inject-count: need --inject", "--inject-percent", "1", "-P", "1");
	assert_usage("--inject-percent, --inject-count: need --inject", "--inject-count", "1", "-P", "1");
	assert_usage("--inject: invalid value 'off': expected shot or stolen", "--inject", "off", "-P", "1");
	assert_usage("--inject: given twice", "--inject", "shot", "--inject", "stolen");
	assert_usage_begin("--inject-count: invalid value '0'", "--inject", "shot", "-P", "1", "--inject-count", "0");
	assert_usage("--inject-percent: invalid value '0': expected a percentage from 0.01 to 100", "--inject", "shot", "-P",
		     "1", "--inject-percent", "0");
}

/* Runs inject_announce() and inject_report() and catches what they say. */
static int announce(bool has_classifier)
{
	FILE *err = tmpfile();
	int saved = capture(err, STDERR_FILENO), status;

	log_set_level(LOG_WARNING);
	status = inject_announce(&opt, has_classifier);
	if (!status)
		inject_report(&opt, 5);
	restore(err, STDERR_FILENO, saved, err_text, sizeof(err_text));
	return status;
}

static void test_announced(void **state)
{
	(void)state;
	assert_run("--inject", "shot", "-P", "443");
	assert_int_equal(announce(true), 0);
	assert_string_equal(err_text, "rebpf: INJECTING LOSS: drops 100 % of the retransmissions, of flows that match -P 443; "
				      "TCP is told (ret 1); until rebpf ends\n"
				      "rebpf: injected loss: 5 retransmissions dropped\n");
	assert_run("-q", "--inject", "stolen", "-P", "443", "--inject-percent", "0.05", "--inject-count", "9");
	assert_int_equal(announce(true), 0);
	assert_string_equal(err_text, "rebpf: INJECTING LOSS: drops 0.05 % of the retransmissions, but no more than 9, of flows "
				      "that match -P 443; TCP believes that they were sent (ret 0); until rebpf ends\n"
				      "rebpf: injected loss: 5 retransmissions dropped\n");
	assert_int_equal(announce(false), -ENOTSUP);
	assert_non_null(strstr(err_text, "--inject: needs TC egress"));
	assert_run("-P", "443");
	assert_int_equal(announce(false), 0);
	assert_string_equal(err_text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_on),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_needs_a_filter),
		cmocka_unit_test(test_excluded),
		cmocka_unit_test(test_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
