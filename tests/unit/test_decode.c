// SPDX-License-Identifier: MIT
/* links: src/decode.c */
/* Bytes from a ring or a file: nothing may be read past their end, nothing is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"

static const struct {
	const char *name;
	uint8_t kind;
	size_t size;
} kinds[] = {
#define X(NAME, payload, ring) { #NAME, REC_##NAME, sizeof(struct payload) },
	RECORD_KINDS(X)
#undef X
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* @size bytes of their own, so that the sanitizer sees every step too far. All of the payload is 0xa5. */
static void *make_bytes(uint8_t kind, size_t size, size_t said)
{
	struct rec_header h = {
		.ts_ns = 0x1122334455667788,
		.lost = 9,
		.size = (uint16_t)said,
		.kind = kind,
		.cpu = 3,
	};
	unsigned char *p = malloc(size ? size : 1);

	assert_non_null(p);
	memset(p, 0xa5, size);
	memcpy(p, &h, size < sizeof(h) ? size : sizeof(h));
	return p;
}

static int decode(union record *out, uint8_t kind, size_t size)
{
	void *p = make_bytes(kind, size, size);
	int err = decode_record(out, p, size);

	free(p);
	return err;
}

static void assert_untouched(const union record *r)
{
	for (size_t i = 0; i < sizeof(*r); i++)
		assert_int_equal(((const unsigned char *)r)[i], 0x5c);
}

/* Every byte of the payload arrives, but for those that end a text. */
static void test_exact(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		const unsigned char *p;
		union record r;
		size_t other = 0;

		memset(&r, 0x5c, sizeof(r));
		assert_int_equal(decode(&r, kinds[k].kind, kinds[k].size), 0);
		assert_int_equal(r.h.ts_ns, 0x1122334455667788);
		assert_int_equal(r.h.lost, 9);
		assert_int_equal(r.h.kind, kinds[k].kind);
		assert_int_equal(r.h.size, kinds[k].size);
		assert_int_equal(r.h.cpu, 3);
		p = (const unsigned char *)&r;
		for (size_t i = sizeof(r.h); i < kinds[k].size; i++) {
			assert_true(p[i] == 0xa5 || p[i] == 0);
			other += p[i] == 0;
		}
		assert_true(other <= 3);
	}
}

/* An older rebpf's record is shorter: what it did not know yet is zero. Down to the header alone. */
static void test_short(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		for (size_t size = sizeof(struct rec_header); size < kinds[k].size; size++) {
			const unsigned char *p;
			union record r;

			memset(&r, 0x5c, sizeof(r));
			assert_int_equal(decode(&r, kinds[k].kind, size), 0);
			p = (const unsigned char *)&r;
			for (size_t i = size; i < kinds[k].size; i++)
				assert_int_equal(p[i], 0);
			if (size > sizeof(r.h))
				assert_true(p[sizeof(r.h)] == 0xa5);
		}
	}
}

static void test_shorter_than_a_header(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		for (size_t size = 0; size < sizeof(struct rec_header); size++) {
			union record r;

			memset(&r, 0x5c, sizeof(r));
			assert_int_equal(decode(&r, kinds[k].kind, size), -EBADMSG);
			assert_untouched(&r);
		}
	}
}

/* A newer rebpf's record is longer: the part that is known is taken, and not a byte more. */
static void test_long(void **state)
{
	static const size_t more[] = { 1, 8, 1000 };

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
			union record r;

			memset(&r, 0x5c, sizeof(r));
			assert_int_equal(decode(&r, kinds[k].kind, kinds[k].size + more[i]), 0);
			assert_int_equal(r.h.size, kinds[k].size + more[i]);
			for (size_t at = kinds[k].size; at < sizeof(r); at++)
				assert_int_equal(((const unsigned char *)&r)[at], 0x5c);
		}
	}
}

static void test_unknown_kind(void **state)
{
	union record r;

	(void)state;
	memset(&r, 0x5c, sizeof(r));
	assert_int_equal(decode(&r, REC_NONE, 64), -EBADMSG);
	for (unsigned int kind = REC_KIND_COUNT; kind < 256; kind++)
		assert_int_equal(decode(&r, (uint8_t)kind, 64), -EBADMSG);
	assert_untouched(&r);
}

/* The size that a record says and the one that it has must agree. */
static void test_wrong_size(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		static const int off[] = { -1, 1, 8, -24 };
		union record r;

		memset(&r, 0x5c, sizeof(r));
		for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
			void *p = make_bytes(kinds[k].kind, kinds[k].size, kinds[k].size + (size_t)off[i]);

			assert_int_equal(decode_record(&r, p, kinds[k].size), -EBADMSG);
			free(p);
		}
		assert_untouched(&r);
	}
}

#define assert_text(array) assert_int_equal(strnlen(array, sizeof(array)), sizeof(array) - 1)

/* No text runs out of its array; what follows it is left alone. */
static void test_texts_end(void **state)
{
	union record r;

	(void)state;
	assert_int_equal(decode(&r, REC_RTX_ENTRY, sizeof(struct rec_rtx_entry)), 0);
	assert_text(r.rec_rtx_entry.owner.comm);
	assert_text(r.rec_rtx_entry.task.comm);
	assert_int_equal(r.rec_rtx_entry.skb, 0xa5a5a5a5a5a5a5a5);
	assert_int_equal(decode(&r, REC_RTX_TC, sizeof(struct rec_rtx_tc)), 0);
	assert_text(r.rec_rtx_tc.c.ifname);
	assert_int_equal(r.rec_rtx_tc.verdict, (int32_t)0xa5a5a5a5);
	assert_int_equal(decode(&r, REC_RTX_DROP, sizeof(struct rec_rtx_drop)), 0);
	assert_text(r.rec_rtx_drop.c.ifname);
	assert_int_equal(decode(&r, REC_HOST, sizeof(struct rec_host)), 0);
	assert_text(r.rec_host.release);
	assert_text(r.rec_host.version);
	assert_int_equal(decode(&r, REC_SYMBOL, sizeof(struct rec_symbol)), 0);
	assert_text(r.rec_symbol.name);
	assert_text(r.rec_symbol.module);
	assert_int_equal(decode(&r, REC_REASON, sizeof(struct rec_reason)), 0);
	assert_text(r.rec_reason.name);
	assert_int_equal(decode(&r, REC_OWNER, sizeof(struct rec_owner_found)), 0);
	assert_text(r.rec_owner_found.owner.comm);
}

static void test_names(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		assert_string_equal(record_kind_name(kinds[k].kind), kinds[k].name);
	assert_string_equal(record_kind_name(REC_NONE), "unknown");
	assert_string_equal(record_kind_name(REC_KIND_COUNT), "unknown");
	assert_string_equal(record_kind_name(UINT32_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_shorter_than_a_header),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_unknown_kind),
		cmocka_unit_test(test_wrong_size),
		cmocka_unit_test(test_texts_end),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
