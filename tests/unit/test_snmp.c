// SPDX-License-Identifier: MIT
/* links: src/snmp.c src/util.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "snmp.h"

static const char real[] =
	"Ip: Forwarding DefaultTTL InReceives\n"
	"Ip: 1 64 1234\n"
	"IcmpMsg: InType3\n"
	"IcmpMsg: 40\n"
	"Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n"
	"Tcp: 1 200 120000 -1 11 12 13 14 15 16 18446744073709551615 17 0 3 0\n"
	"Udp: InDatagrams NoPorts\n"
	"Udp: 5 6\n";

static void test_real(void **state)
{
	struct snmp_tcp t;

	(void)state;
	assert_int_equal(snmp_parse(real, &t), 0);
	assert_int_equal(t.active_opens, 11);
	assert_int_equal(t.passive_opens, 12);
	assert_int_equal(t.attempt_fails, 13);
	assert_int_equal(t.estab_resets, 14);
	assert_int_equal(t.in_segs, 16);
	assert_true(t.out_segs == UINT64_MAX);
	assert_int_equal(t.retrans_segs, 17);
}

/* Columns are found by name: another kernel may have others, in another order. */
static void test_order(void **state)
{
	struct snmp_tcp t;

	(void)state;
	assert_int_equal(snmp_parse("Tcp: RetransSegs New OutSegs\nTcp: 1 2 3\n", &t), 0);
	assert_int_equal(t.retrans_segs, 1);
	assert_int_equal(t.out_segs, 3);
	assert_int_equal(t.active_opens, 0);
	assert_int_equal(snmp_parse("Tcp: OutSegs RetransSegs More\nTcp: 3 1", &t), 0);
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"\n\n",
		"Tcp:",
		"Tcp: OutSegs RetransSegs\n",
		"Tcp: OutSegs RetransSegs\nUdp: 1 2\n",
		"Tcp: OutSegs RetransSegs\nTcp: 1\n",
		"Tcp: OutSegs RetransSegs\nTcp: 1 -2\n",
		"Tcp: OutSegs RetransSegs\nTcp: 1 18446744073709551616\n",
		"Tcp: OutSegs RetransSegs\nTcp: 1 2x\n",
		"Tcp: OutSegs\nTcp: 1\n",
		"TcpExt: OutSegs RetransSegs\nTcpExt: 1 2\n",
	};
	struct snmp_tcp t = { .out_segs = 42 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(snmp_parse(bad[i], &t), -EBADMSG);
	assert_int_equal(t.out_segs, 42);
}

static void test_read(void **state)
{
	struct snmp_tcp t = { .out_segs = 42 };

	(void)state;
	assert_int_equal(snmp_read("/proc/self/net/none", &t), -ENOENT);
	assert_int_equal(t.out_segs, 42);
	assert_int_equal(snmp_read(SNMP_OWN, &t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
