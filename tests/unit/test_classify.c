// SPDX-License-Identifier: MIT
/* links: src/classify.c */
/* Why did TCP retransmit? Each type, and what nearly is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "classify.h"

enum { OPEN, DISORDER, CWR, RECOVERY, LOSS };
enum { PENDING_NONE = 0, PENDING_RETRANS = 1, PENDING_PROBE0 = 3, PENDING_PROBE = 5, PENDING_REORDER = 6 };
enum { ESTABLISHED = 1, SYN_SENT = 2, SYN_RECV = 3, FIN_WAIT1 = 4, CLOSE_WAIT = 8, NEW_SYN_RECV = 12 };

static struct rec_rtx_entry entry(uint8_t state, uint8_t ca_state, uint8_t pending)
{
	return (struct rec_rtx_entry){
		.flow = { .state = state },
		.hook = RTX_HOOK_RETRANSMIT,
		.ca_state = ca_state,
		.pending = pending,
		.snd_wnd = 65536,
		.undo_marker = 1000,
		.prior_ssthresh = 7,
		.bytes_acked_low = 5000,
		.tcp_flags = 0x18,
	};
}

#define assert_type(e, type) assert_int_equal(classify_type(&(e)), RTX_TYPE_##type)

static void test_by_state_and_timer(void **state)
{
	static const struct {
		uint8_t state, ca_state, pending;
		enum rtx_type type;
	} row[] = {
		{ ESTABLISHED, LOSS, PENDING_NONE, RTX_TYPE_RTO },
		{ CLOSE_WAIT, LOSS, PENDING_NONE, RTX_TYPE_RTO },
		{ FIN_WAIT1, LOSS, PENDING_NONE, RTX_TYPE_RTO },
		{ ESTABLISHED, LOSS, PENDING_RETRANS, RTX_TYPE_SLOW_START },
		{ ESTABLISHED, LOSS, PENDING_REORDER, RTX_TYPE_SLOW_START },
		{ ESTABLISHED, LOSS, PENDING_PROBE, RTX_TYPE_SLOW_START },
		{ ESTABLISHED, RECOVERY, PENDING_NONE, RTX_TYPE_FAST },
		{ ESTABLISHED, RECOVERY, PENDING_RETRANS, RTX_TYPE_FAST },
		/* The timer of a probe is still armed at the first fast retransmission. */
		{ ESTABLISHED, RECOVERY, PENDING_PROBE, RTX_TYPE_FAST },
		{ ESTABLISHED, RECOVERY, PENDING_REORDER, RTX_TYPE_FAST },
		{ ESTABLISHED, OPEN, PENDING_PROBE, RTX_TYPE_TLP },
		{ ESTABLISHED, DISORDER, PENDING_PROBE, RTX_TYPE_TLP },
		{ ESTABLISHED, CWR, PENDING_PROBE, RTX_TYPE_TLP },
		{ ESTABLISHED, OPEN, PENDING_NONE, RTX_TYPE_UNKNOWN },
		{ ESTABLISHED, OPEN, PENDING_RETRANS, RTX_TYPE_UNKNOWN },
		{ ESTABLISHED, DISORDER, PENDING_REORDER, RTX_TYPE_UNKNOWN },
		{ ESTABLISHED, CWR, PENDING_PROBE0, RTX_TYPE_UNKNOWN },
		{ ESTABLISHED, 5, PENDING_PROBE, RTX_TYPE_UNKNOWN }, /* no such state */
		{ SYN_SENT, LOSS, PENDING_NONE, RTX_TYPE_SYN },
		{ SYN_SENT, OPEN, PENDING_RETRANS, RTX_TYPE_SYN },
		{ SYN_RECV, LOSS, PENDING_NONE, RTX_TYPE_RTO }, /* data of a fast-open server, not its SYN-ACK */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct rec_rtx_entry e = entry(row[i].state, row[i].ca_state, row[i].pending);

		if (classify_type(&e) != row[i].type)
			fail_msg("row %zu: type %d, not %d", i, classify_type(&e), row[i].type);
	}
}

static void test_zero_window(void **state)
{
	struct rec_rtx_entry e = entry(ESTABLISHED, LOSS, PENDING_NONE);

	(void)state;
	e.snd_wnd = 0;
	assert_type(e, ZERO_WINDOW);
	e.snd_wnd = 1;
	assert_type(e, RTO);
	/* Only the timer probes a closed window. */
	e = entry(ESTABLISHED, LOSS, PENDING_RETRANS);
	e.snd_wnd = 0;
	assert_type(e, SLOW_START);
	e = entry(ESTABLISHED, RECOVERY, PENDING_RETRANS);
	e.snd_wnd = 0;
	assert_type(e, FAST);
}

/* tcp_simple_retransmit clears both; either of them says that a timeout was before. */
static void test_pmtu(void **state)
{
	struct rec_rtx_entry e = entry(ESTABLISHED, LOSS, PENDING_RETRANS);

	(void)state;
	e.undo_marker = 0;
	assert_type(e, SLOW_START);
	e.prior_ssthresh = 0;
	assert_type(e, PMTU);
	e.undo_marker = 1000;
	assert_type(e, SLOW_START);
	/* In the timer it is the timer. */
	e = entry(ESTABLISHED, LOSS, PENDING_NONE);
	e.undo_marker = e.prior_ssthresh = 0;
	assert_type(e, RTO);
}

/* The data of a fast-open SYN that was not taken goes out in the same way. */
static void test_fast_open_data(void **state)
{
	struct rec_rtx_entry e = entry(ESTABLISHED, LOSS, PENDING_RETRANS);

	(void)state;
	e.undo_marker = e.prior_ssthresh = 0;
	e.bits = RTX_BIT_SYN_DATA;
	e.bytes_acked_low = 1;
	assert_type(e, UNKNOWN);
	e.bytes_acked_low = 0;
	assert_type(e, UNKNOWN);
	e.bytes_acked_low = 2;
	assert_type(e, PMTU);
	e.bytes_acked_low = 1;
	e.bits = RTX_BIT_FRTO | RTX_BIT_LATE;
	assert_type(e, PMTU);
}

static void test_synack(void **state)
{
	struct rec_rtx_entry e = entry(NEW_SYN_RECV, OPEN, PENDING_NONE);

	(void)state;
	assert_type(e, UNKNOWN);
	e.hook = RTX_HOOK_SYNACK;
	assert_type(e, SYNACK);
	e.hook = RTX_HOOK_SYNACK_TP;
	assert_type(e, SYNACK);
	/* A simultaneous open. */
	e = entry(SYN_RECV, LOSS, PENDING_NONE);
	e.tcp_flags = 0x12;
	assert_type(e, SYNACK);
	e.flow.state = ESTABLISHED;
	assert_type(e, RTO);
}

/* The hook does not matter, nor does the time of the look. */
static void test_hooks(void **state)
{
	struct rec_rtx_entry e = entry(ESTABLISHED, LOSS, PENDING_NONE);

	(void)state;
	for (uint8_t hook = 0; hook < RTX_HOOK_COUNT; hook++) {
		e.hook = hook;
		if (hook == RTX_HOOK_SYNACK || hook == RTX_HOOK_SYNACK_TP)
			assert_type(e, SYNACK);
		else
			assert_type(e, RTO);
	}
	e.hook = RTX_HOOK_SOCKOPS;
	e.bits = RTX_BIT_LATE;
	assert_type(e, RTO);
}

static void test_payload(void **state)
{
	(void)state;
	assert_int_equal(classify_payload(1000, 2448, 0x10), 1448);
	assert_int_equal(classify_payload(1000, 2448, 0x18), 1448);
	assert_int_equal(classify_payload(1000, 1001, 0x02), 0);
	assert_int_equal(classify_payload(1000, 1101, 0x02), 100); /* fast open */
	assert_int_equal(classify_payload(1000, 1001, 0x11), 0);
	assert_int_equal(classify_payload(1000, 1011, 0x19), 10);
	assert_int_equal(classify_payload(1000, 1012, 0x03), 10);
	assert_int_equal(classify_payload(1000, 1000, 0x10), 0);
	assert_int_equal(classify_payload(1000, 1000, 0x03), 0);
	assert_int_equal(classify_payload(1000, 1001, 0x03), 0);
	assert_int_equal(classify_payload(0xffffff00, 0x100, 0x10), 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_state_and_timer),
		cmocka_unit_test(test_zero_window),
		cmocka_unit_test(test_pmtu),
		cmocka_unit_test(test_fast_open_data),
		cmocka_unit_test(test_synack),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_payload),
	};

	return cmocka_run_group_tests_name("classify", tests, NULL, NULL);
}
