// SPDX-License-Identifier: MIT
/* links: src/reasons.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "reasons.h"
#include "util.h"

struct enumerator {
	uint32_t number;
	const char *name;
};

/* Parts of the enums in BTF, ends and helpers included. */
static const struct enumerator linux_6_1[] = {
	{ 0, "SKB_NOT_DROPPED_YET" },
	{ 1, "SKB_DROP_REASON_NOT_SPECIFIED" },
	{ 2, "SKB_DROP_REASON_NO_SOCKET" },
	{ 44, "SKB_DROP_REASON_TC_EGRESS" },
	{ 45, "SKB_DROP_REASON_QDISC_DROP" },
	{ 65, "SKB_DROP_REASON_MAX" },
};

static const struct enumerator linux_7_1[] = {
	{ 0, "SKB_NOT_DROPPED_YET" },
	{ 1, "SKB_CONSUMED" },
	{ 2, "SKB_DROP_REASON_NOT_SPECIFIED" },
	{ 62, "SKB_DROP_REASON_TC_EGRESS" },
	{ 64, "SKB_DROP_REASON_QDISC_DROP" },
	{ 126, "SKB_DROP_REASON_MAX" },
	{ 4294901760, "SKB_DROP_REASON_SUBSYS_MASK" },
	{ 0, "SKB_DROP_REASON_SUBSYS_CORE" },
	{ 1, "SKB_DROP_REASON_SUBSYS_MAC80211_UNUSABLE" },
	{ 2, "SKB_DROP_REASON_SUBSYS_OPENVSWITCH" },
	{ 3, "SKB_DROP_REASON_SUBSYS_QDISC" },
	{ 4, "SKB_DROP_REASON_SUBSYS_NUM" },
	{ 0, "QDISC_DROP_UNSPEC" },
	{ 196608, "__QDISC_DROP_REASON" },
	{ 196609, "QDISC_DROP_GENERIC" },
	{ 196610, "QDISC_DROP_OVERLIMIT" },
	{ 196618, "QDISC_DROP_MAX" },
	{ 1, "RX_CONTINUE" },
	{ 0, "RX_QUEUED" },
	{ 65537, "RX_DROP_U_MIC_FAIL" },
};

static struct reasons *make(const struct enumerator *e, size_t count)
{
	struct reasons *r = reasons_new();

	assert_non_null(r);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(reasons_add(r, e[i].number, e[i].name), 0);
	return r;
}

static const char *text(const struct reasons *r, uint32_t number)
{
	static char out[REBPF_REASON_LEN];

	memset(out, 'x', sizeof(out));
	reasons_text(r, number, out);
	return out;
}

static void test_no_reasons(void **state)
{
	struct reasons *r = reasons_new();
	uint32_t number = 7;

	(void)state;
	assert_non_null(r);
	assert_int_equal(reasons_count(r), 0);
	assert_string_equal(text(r, 0), "");
	assert_string_equal(text(NULL, 0), "");
	assert_string_equal(text(r, 5), "0x5");
	assert_null(reasons_name(r, 0));
	assert_null(reasons_name(NULL, 0));
	assert_false(reasons_number(r, "TC_EGRESS", &number));
	assert_int_equal(number, 7);
	reasons_free(r);
	reasons_free(NULL);
}

static void test_6_1(void **state)
{
	struct reasons *r = make(linux_6_1, ARRAY_SIZE(linux_6_1));

	(void)state;
	assert_int_equal(reasons_count(r), 5);
	assert_string_equal(text(r, 0), "NOT_DROPPED_YET");
	assert_string_equal(text(r, 1), "NOT_SPECIFIED");
	assert_string_equal(text(r, 44), "TC_EGRESS");
	assert_string_equal(text(r, 65), "0x41");
	assert_string_equal(text(r, 0x20001), "SUBSYS2:0x20001");
	reasons_free(r);
}

static void test_7_1(void **state)
{
	struct reasons *r = make(linux_7_1, ARRAY_SIZE(linux_7_1));
	uint32_t number = 0;

	(void)state;
	assert_int_equal(reasons_count(r), 8);
	assert_string_equal(text(r, 0), "NOT_DROPPED_YET");
	assert_string_equal(text(r, 1), "CONSUMED");
	assert_string_equal(text(r, 2), "NOT_SPECIFIED");
	assert_string_equal(text(r, 64), "QDISC_DROP");
	assert_string_equal(text(r, 0x30001), "QDISC_DROP_GENERIC");
	assert_string_equal(reasons_name(r, 0x30002), "QDISC_DROP_OVERLIMIT");
	assert_string_equal(text(r, 0x10001), "RX_DROP_U_MIC_FAIL");
	assert_string_equal(text(r, 0x20001), "OPENVSWITCH:0x20001");
	assert_string_equal(text(r, 0x30000), "QDISC:0x30000");
	assert_string_equal(text(r, 0x3000a), "QDISC:0x3000a");
	assert_string_equal(text(r, UINT32_MAX), "SUBSYS65535:0xffffffff");
	assert_true(reasons_number(r, "qdisc_drop", &number));
	assert_int_equal(number, 64);
	assert_true(reasons_number(r, "QDISC_DROP_OVERLIMIT", &number));
	assert_int_equal(number, 0x30002);
	assert_false(reasons_number(r, "MAX", &number));
	assert_false(reasons_number(r, "OPENVSWITCH", &number));
	assert_false(reasons_number(r, "", &number));
	reasons_free(r);
}

static void test_walk_is_ordered(void **state)
{
	struct reasons *r = reasons_new();
	uint32_t number, last = 0;
	const char *name;
	char expect[64];

	(void)state;
	for (uint32_t i = 0; i < 300; i++) {
		snprintf(expect, sizeof(expect), "SKB_DROP_REASON_R%u", i * 7 % 300);
		assert_int_equal(reasons_add(r, i * 7 % 300, expect), 0);
	}
	assert_int_equal(reasons_count(r), 300);
	for (size_t i = 0; i < reasons_count(r); i++) {
		reasons_at(r, i, &number, &name);
		assert_true(!i || number > last);
		last = number;
		snprintf(expect, sizeof(expect), "R%u", number);
		assert_string_equal(name, expect);
	}
	reasons_free(r);
}

static void test_first_name_stays(void **state)
{
	struct reasons *r = reasons_new();

	(void)state;
	assert_int_equal(reasons_add(r, 9, "SKB_DROP_REASON_ONE"), 0);
	assert_int_equal(reasons_add(r, 9, "SKB_DROP_REASON_TWO"), 0);
	assert_int_equal(reasons_add(r, 9, NULL), 0);
	/* A name that is only the prefix, or empty, is none: its number would show as nothing. */
	assert_int_equal(reasons_add(r, 10, "SKB_DROP_REASON_"), 0);
	assert_int_equal(reasons_add(r, 0x30001, ""), 0);
	assert_null(reasons_name(r, 10));
	assert_null(reasons_name(r, 0x30001));
	assert_int_equal(reasons_count(r), 1);
	assert_string_equal(text(r, 9), "ONE");
	reasons_free(r);
}

static void test_bounds(void **state)
{
	static const char longest[] =
		"SKB_DROP_REASON_A23456789B23456789C23456789D23456789E23456789F23456789";
	static const char subsystem[] = "SKB_DROP_REASON_SUBSYS_A23456789B23456789C23456789D23456789E23456789";
	struct reasons *r = reasons_new();
	int err = 0;

	(void)state;
	assert_int_equal(reasons_add(r, 1, longest), 0);
	assert_string_equal(text(r, 1), "A23456789B23456789C23456789D23456789E23456789F2");
	assert_int_equal(strlen(text(r, 1)), REBPF_REASON_LEN - 1);
	assert_int_equal(reasons_add(r, 2, subsystem), 0);
	assert_string_equal(text(r, 0x2ffff), "A23456789B23456789C23456789D23456789:0x2ffff");
	for (uint32_t i = 0; i < 1u << 16 && !err; i++)
		err = reasons_add(r, i, "SKB_DROP_REASON_X");
	assert_int_equal(err, -E2BIG);
	reasons_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_reasons),
		cmocka_unit_test(test_6_1),
		cmocka_unit_test(test_7_1),
		cmocka_unit_test(test_walk_is_ordered),
		cmocka_unit_test(test_first_name_stays),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests_name("reasons", tests, NULL, NULL);
}
