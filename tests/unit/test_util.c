// SPDX-License-Identifier: MIT
/* links: src/util.c src/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

/* What @call adds to an empty buffer. */
#define assert_adds(text, call)                    \
	do {                                       \
		struct strbuf b = {0};             \
		call;                              \
		assert_false(b.failed);            \
		assert_string_equal(b.data, text); \
		assert_int_equal(b.len, strlen(text)); \
		strbuf_free(&b);                   \
	} while (0)

/* A printer that has no strbuf_*() of its own. */
#define ADDER(kind, type, max)                                      \
	static void add_##kind(struct strbuf *b, type value)        \
	{                                                           \
		char *p = strbuf_room(b, max);                      \
                                                                    \
		assert_non_null(p);                                 \
		strbuf_end(b, put_##kind(p, value));                \
	}
ADDER(s64, int64_t, PUT_U64_MAX)
ADDER(hex, uint64_t, PUT_HEX_MAX)
ADDER(rfc3339, uint64_t, PUT_RFC3339_MAX)

/* ---- the buffer ---- */

static void test_strbuf_empty(void **state)
{
	struct strbuf b = {0};

	(void)state;
	strbuf_reset(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	strbuf_free(&b);
	strbuf_str(&b, "x");
	strbuf_free(&b);
	assert_null(b.data);
	assert_int_equal(b.cap, 0);
	strbuf_free(&b);
}

static void test_strbuf_growth(void **state)
{
	struct strbuf b = {0};
	size_t i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		strbuf_char(&b, (char)('a' + i % 26));
		assert_int_equal(b.len, i + 1);
		assert_true(b.cap > b.len);
		assert_int_equal(b.data[b.len], '\0');
	}
	for (i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	strbuf_free(&b);
}

/* Texts that end just before, at and behind the capacity of a fresh buffer. */
static void test_strbuf_boundary(void **state)
{
	char text[600];
	size_t len;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (len = 0; len < sizeof(text); len++) {
		struct strbuf b = {0};

		strbuf_add(&b, text, len);
		strbuf_add(&b, "yz", 2);
		assert_int_equal(b.len, len + 2);
		assert_string_equal(b.data + len, "yz");
		strbuf_free(&b);
	}
}

static void test_strbuf_reset(void **state)
{
	struct strbuf b = {0};
	char *data;

	(void)state;
	strbuf_str(&b, "hello");
	data = b.data;
	strbuf_reset(&b);
	assert_ptr_equal(b.data, data);
	assert_string_equal(b.data, "");
	strbuf_str(&b, "you");
	assert_string_equal(b.data, "you");
	strbuf_free(&b);
}

static void test_strbuf_failed(void **state)
{
	volatile size_t huge = SIZE_MAX - 16;
	struct strbuf b = {0};

	(void)state;
	strbuf_str(&b, "kept");
	strbuf_pad_to(&b, 0, huge);
	assert_true(b.failed);
	assert_string_equal(b.data, "kept");
	/* No text after a gap, by any printer. */
	strbuf_str(&b, "more");
	strbuf_char(&b, 'c');
	strbuf_u64(&b, 1);
	strbuf_pad0(&b, 1, 9);
	strbuf_pad_to(&b, 0, 20);
	strbuf_escaped(&b, "x", 1, true);
	strbuf_addr(&b, (const uint8_t[16]){127, 0, 0, 1}, 4);
	strbuf_clock(&b, 0, true);
	assert_true(b.failed);
	assert_string_equal(b.data, "kept");
	strbuf_reset(&b);
	assert_false(b.failed);
	strbuf_str(&b, "again");
	assert_string_equal(b.data, "again");
	strbuf_free(&b);
}

static void test_strbuf_pad_to(void **state)
{
	struct strbuf line = {0};

	(void)state;
	strbuf_str(&line, "first line\nab");
	strbuf_pad_to(&line, 11, 5);
	assert_string_equal(line.data, "first line\nab   ");
	strbuf_pad_to(&line, 11, 5);
	strbuf_pad_to(&line, 11, 2);
	strbuf_pad_to(&line, 0, 3);
	assert_string_equal(line.data, "first line\nab   ");
	strbuf_pad_to(&line, 1000, 1); /* a start behind the end counts as the end */
	assert_string_equal(line.data, "first line\nab    ");
	strbuf_free(&line);
	assert_adds("    ", strbuf_pad_to(&b, 0, 4));
}

/* ---- numbers ---- */

static void check_number(uint64_t v)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	assert_adds(text, strbuf_u64(&b, v));
	snprintf(text, sizeof(text), "%lld", (long long)v);
	assert_adds(text, add_s64(&b, (int64_t)v));
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)v);
	assert_adds(text, add_hex(&b, v));
	snprintf(text, sizeof(text), "%09llu", (unsigned long long)v);
	assert_adds(text, strbuf_pad0(&b, v, 9));
}

static void test_numbers(void **state)
{
	uint64_t power;
	int i;

	(void)state;
	for (i = 0; i < 2000; i++)
		check_number((uint64_t)i);
	for (i = 0; i < 64; i++) {
		check_number((1ULL << i) - 1);
		check_number(1ULL << i);
		check_number((1ULL << i) + 1);
		check_number(-(1ULL << i));
	}
	for (power = 1; power < UINT64_MAX / 10; power *= 10) {
		check_number(power - 1);
		check_number(power);
		check_number(power + 1);
	}
	check_number(power);
	check_number(UINT64_MAX);
	assert_adds("443", strbuf_u64(&b, 443));
	assert_adds("-9223372036854775808", add_s64(&b, INT64_MIN));
	assert_adds("0x0", add_hex(&b, 0));
	assert_adds("0xffff888812345678", add_hex(&b, 0xffff888812345678ULL));
}

static void test_pad0(void **state)
{
	(void)state;
	assert_adds("0", strbuf_pad0(&b, 0, 0));
	assert_adds("000", strbuf_pad0(&b, 0, 3));
	assert_adds("007", strbuf_pad0(&b, 7, 3));
	assert_adds("84", strbuf_pad0(&b, 84, 2));
	assert_adds("12345", strbuf_pad0(&b, 12345, 3)); /* never a wrong number */
	assert_adds("0000000000000000000000001", strbuf_pad0(&b, 1, 25));
}

static void test_seq_before(void **state)
{
	(void)state;
	assert_true(seq_before(1, 2));
	assert_false(seq_before(2, 1));
	assert_false(seq_before(5, 5));
	assert_true(seq_before(0xfffffff0, 0x10)); /* across the wrap */
	assert_false(seq_before(0x10, 0xfffffff0));
	assert_true(seq_before(0xffffffff, 0));
	assert_true(seq_before(0, 0x7fffffff));
	assert_false(seq_before(0x7fffffff, 0));
}

/* ---- text from outside ---- */

static void test_escaped(void **state)
{
	struct strbuf many = {0};
	char raw[2] = {0}, want[8];
	int c;

	(void)state;
	for (c = 1; c < 256; c++) {
		raw[0] = (char)c;
		snprintf(want, sizeof(want), c > 0x1f && c < 0x7f && c != '\\' ? "%c" : "\\x%02x", c);
		assert_adds(want, strbuf_escaped(&b, raw, 10, false));
	}
	assert_adds("a b", strbuf_escaped(&b, "a b", 16, false));
	assert_adds("a\\x20b", strbuf_escaped(&b, "a b", 16, true));
	assert_adds("tmux:\\x20server", strbuf_escaped(&b, "tmux: server", 16, true));
	assert_adds("\\x1b[31m\\x5cn\\x0a", strbuf_escaped(&b, "\033[31m\\n\n", 16, false));
	assert_adds("\\xc3\\xa9", strbuf_escaped(&b, "\xc3\xa9", 16, true));
	assert_adds("abc", strbuf_escaped(&b, "abcdef", 3, true));
	assert_adds("", strbuf_escaped(&b, "", 3, true));
	/* A comm that fills its array has no NUL. */
	assert_adds("0123456789abcdef", strbuf_escaped(&b, (char[16]){"0123456789abcdef"}, 16, true));

	for (c = 0; c < 5000; c++)
		strbuf_escaped(&many, "\001", 1, true);
	assert_int_equal(many.len, 20000);
	strbuf_free(&many);
}

/* Words of eight bytes are looked at together: any byte, anywhere in a text of any length. */
static void test_escaped_anywhere(void **state)
{
	char raw[24], got[PUT_JSON_MAX(sizeof(raw))], want[PUT_JSON_MAX(sizeof(raw)) + 1];

	(void)state;
	for (size_t len = 1; len <= sizeof(raw); len++) {
		for (unsigned int i = 0; i < len * 256; i++) {
			size_t at = i >> 8, n;
			unsigned char c = (unsigned char)i;

			memset(raw, 'a' + (int)(i % 20), sizeof(raw));
			raw[at] = (char)c;
			for (int one_word = 0; one_word < 2; one_word++) {
				bool plain = c > 0x1f + one_word && c < 0x7f && c != '\\';

				n = (size_t)snprintf(want, sizeof(want), plain ? "%.*s%c" : "%.*s\\x%02x", (int)at, raw, c);
				n += (size_t)snprintf(want + n, sizeof(want) - n, "%.*s", (int)(len - at - 1), raw + at + 1);
				assert_int_equal(put_escaped(got, raw, len, one_word) - got, n);
				assert_memory_equal(got, want, n);
			}
			n = (size_t)snprintf(want, sizeof(want), c == '"' || c == '\\' ? "%.*s\\%c" : c > 0x1f && c < 0x7f ? "%.*s%c" :
					     "%.*s\\u00%02x", (int)at, raw, c);
			n += (size_t)snprintf(want + n, sizeof(want) - n, "%.*s", (int)(len - at - 1), raw + at + 1);
			assert_int_equal(put_json(got, raw, len) - got, n);
			assert_memory_equal(got, want, n);
		}
	}
}

/* ---- addresses ---- */

static void check_addr(int family, const uint8_t a[16])
{
	char text[INET6_ADDRSTRLEN];

	assert_non_null(inet_ntop(family, a, text, sizeof(text)));
	assert_adds(text, strbuf_addr(&b, a, family == AF_INET6 ? 6 : 4));
}

static void check_addr6_text(const char *text)
{
	uint8_t a[16];

	assert_int_equal(inet_pton(AF_INET6, text, a), 1);
	assert_adds(text, strbuf_addr(&b, a, 6));
	check_addr(AF_INET6, a);
}

static void test_addr4(void **state)
{
	uint8_t a[16] = {0};
	int i;

	(void)state;
	for (i = 0; i < 256; i++) {
		a[0] = (uint8_t)i;
		a[1] = (uint8_t)(255 - i);
		a[2] = (uint8_t)(i * 7);
		a[3] = (uint8_t)(i / 3);
		check_addr(AF_INET, a);
	}
	assert_adds("10.0.0.1", strbuf_addr(&b, (const uint8_t[16]){10, 0, 0, 1}, 4));
	assert_adds("0.0.0.0", strbuf_addr(&b, (const uint8_t[16]){0}, 4));
	assert_adds("255.255.255.255", strbuf_addr(&b, (const uint8_t[16]){255, 255, 255, 255, 9}, 4));
}

static void test_addr6(void **state)
{
	static const char *const texts[] = {
		"::", "::1", "1::", "fe80::1", "2001:db8::1", "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1",
		"2001:db8::1:0:0:1", "::ffff:10.0.0.1", "::1.2.3.4", "::ffff:0:0:1", "64:ff9b::a00:1",
		"1:2:3:4:5:6:7:8", "1:2:3:4:5:6::", "::3:4:5:6:7:8",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0:1::", "1:0:2::", "2001:db8:a::123",
	};
	uint8_t a[16];
	int round, i;

	(void)state;
	for (i = 0; i < (int)ARRAY_SIZE(texts); i++)
		check_addr6_text(texts[i]);
	/* Every pattern of zero words, with words of every length. */
	srand(1);
	for (round = 0; round < 256 * 64; round++) {
		for (i = 0; i < 8; i++) {
			unsigned int w = (unsigned int)rand() & 0xffff >> (rand() % 4 * 4);

			if (!(round >> i & 1))
				w = 0;
			else if (rand() % 5 == 0)
				w = 0xffff;
			a[2 * i] = (uint8_t)(w >> 8);
			a[2 * i + 1] = (uint8_t)w;
		}
		check_addr(AF_INET6, a);
	}
}

/* ---- time ---- */

/* The offset is cached by the minute: ask for another one, so that the new zone is seen. */
static void set_zone(const char *tz)
{
	static uint64_t minute = 1000000;
	struct strbuf b = {0};

	setenv("TZ", tz, 1);
	tzset();
	strbuf_clock(&b, minute++ * 60 * NSEC_PER_SEC, false);
	strbuf_free(&b);
}

static uint64_t utc_ns(int year, int month, int day, int hour, int minute, int sec)
{
	struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day,
			.tm_hour = hour, .tm_min = minute, .tm_sec = sec};

	return (uint64_t)timegm(&tm) * NSEC_PER_SEC;
}

static void check_rfc3339(uint64_t ns)
{
	time_t t = (time_t)(ns / NSEC_PER_SEC);
	char date[48], text[64];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%09lluZ", date, (unsigned long long)(ns % NSEC_PER_SEC));
	assert_adds(text, add_rfc3339(&b, ns));
}

static void test_rfc3339(void **state)
{
	uint64_t day;

	(void)state;
	assert_adds("1970-01-01T00:00:00.000000000Z", add_rfc3339(&b, 0));
	assert_adds("2026-11-21T04:03:02.123456789Z",
		    add_rfc3339(&b, utc_ns(2026, 11, 21, 4, 3, 2) + 123456789));
	assert_adds("2024-02-29T23:59:59.999999999Z",
		    add_rfc3339(&b, utc_ns(2024, 3, 1, 0, 0, 0) - 1));
	assert_adds("2100-03-01T00:00:00.000000001Z", /* no leap day before it */
		    add_rfc3339(&b, utc_ns(2100, 2, 28, 0, 0, 0) + 86400 * NSEC_PER_SEC + 1));
	for (day = 0; day < 213000; day++)
		check_rfc3339(day * 86400 * NSEC_PER_SEC + day * 987654321);
	check_rfc3339(UINT64_MAX);
}

static void test_clock_utc(void **state)
{
	(void)state;
	set_zone("XXX-9");
	assert_adds("00:00:00.000000", strbuf_clock(&b, 0, true));
	assert_adds("04:03:02.123456", strbuf_clock(&b, utc_ns(2026, 11, 21, 4, 3, 2) + 123456789, true));
	assert_adds("23:59:59.999999", strbuf_clock(&b, utc_ns(2026, 11, 22, 0, 0, 0) - 1, true));
}

static void test_clock_zones(void **state)
{
	uint64_t t = utc_ns(2026, 11, 21, 4, 3, 2) + 1000;

	(void)state;
	set_zone("IST-5:30");
	assert_adds("09:33:02.000001", strbuf_clock(&b, t, false));
	assert_adds("04:03:02.000001", strbuf_clock(&b, t, true));
	set_zone("EST5");
	assert_adds("23:03:02.000001", strbuf_clock(&b, t, false));
	assert_adds("19:00:00.000000", strbuf_clock(&b, 0, false));
	set_zone("LINT-14");
	assert_adds("18:03:02.000001", strbuf_clock(&b, t, false));
	assert_adds("14:00:00.000000", strbuf_clock(&b, 0, false));
	set_zone("UTC0");
	assert_adds("04:03:02.000001", strbuf_clock(&b, t, false));
}

static void test_clock_daylight_saving(void **state)
{
	uint64_t spring = utc_ns(2026, 3, 29, 1, 0, 0), autumn = utc_ns(2026, 10, 25, 1, 0, 0);

	(void)state;
	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	assert_adds("01:59:59.999999", strbuf_clock(&b, spring - 1, false));
	assert_adds("03:00:00.000000", strbuf_clock(&b, spring, false));
	assert_adds("01:59:59.999999", strbuf_clock(&b, spring - 1,
		    false)); /* events may come out of order */
	assert_adds("02:59:59.999999", strbuf_clock(&b, autumn - 1, false));
	assert_adds("02:00:00.000000", strbuf_clock(&b, autumn, false));
	set_zone("UTC0");
}

/* Every minute of two years against the C library. */
static void test_clock_sweep(void **state)
{
	uint64_t start = utc_ns(2026, 1, 1, 0, 0, 0) / NSEC_PER_SEC, sec;
	char text[32];
	struct tm tm;
	time_t t;

	(void)state;
	set_zone("EST5EDT,M3.2.0,M11.1.0");
	for (sec = start; sec < start + 2 * 365 * 86400; sec += 59) {
		t = (time_t)sec;
		localtime_r(&t, &tm);
		strftime(text, sizeof(text), "%H:%M:%S.000000", &tm);
		assert_adds(text, strbuf_clock(&b, sec * NSEC_PER_SEC, false));
	}
	set_zone("UTC0");
}

static void test_clocks(void **state)
{
	uint64_t before = clock_mono_ns(), mono = 0, wall = 0, after;
	int64_t off;

	(void)state;
	clock_pair(&mono, &wall);
	after = clock_mono_ns();
	assert_true(before <= mono && mono <= after);
	off = (int64_t)(wall / NSEC_PER_SEC) - (int64_t)time(NULL);
	assert_in_range(off + 2, 0, 4);
}

/* ---- files ---- */

static void check_read_file(size_t size)
{
	char path[] = "/tmp/rebpf-test-XXXXXX", *data = NULL, *text = malloc(size + 1);
	int fd = mkstemp(path);
	size_t len = 12345, i;

	assert_true(fd >= 0);
	for (i = 0; i < size; i++)
		text[i] = (char)i; /* NUL bytes too */
	assert_int_equal(write(fd, text, size), size);
	close(fd);
	assert_int_equal(read_file(path, &data, &len), 0);
	assert_int_equal(len, size);
	assert_memory_equal(data, text, size);
	assert_int_equal(data[len], '\0');
	free(data);
	free(text);
	unlink(path);
}

static void test_read_file(void **state)
{
	char *data = (char *)state;
	size_t len = 77;

	(void)state;
	check_read_file(0);
	check_read_file(1);
	check_read_file(255);
	check_read_file(256);
	check_read_file(300000);
	/* Nothing is stored on failure. */
	assert_int_equal(read_file("/nonexistent/file", &data, &len), -ENOENT);
	assert_int_equal(read_file("/", &data, &len), -EISDIR);
	assert_ptr_equal(data, state);
	assert_int_equal(len, 77);
	/* A file whose size is said to be 0. */
	assert_int_equal(read_file("/proc/self/status", &data, NULL), 0);
	assert_non_null(strstr(data, "Pid:"));
	free(data);
}

/* ---- log ---- */

static FILE *captured;
static int saved_stderr;

static void capture_start(void)
{
	captured = tmpfile();
	assert_non_null(captured);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

static const char *capture_end(void)
{
	static char text[8192];
	size_t n;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	rewind(captured);
	n = fread(text, 1, sizeof(text) - 1, captured);
	text[n] = '\0';
	fclose(captured);
	return text;
}

static void test_log_levels(void **state)
{
	(void)state;
	assert_int_equal(log_get_level(), LOG_NOTICE);
	capture_start();
	log_warning("w%d", 1);
	log_notice("n%d", 2);
	log_debug("d%d", 3);
	log_set_level(LOG_WARNING);
	log_notice("n4");
	log_warning("w5");
	log_set_level(LOG_TRACE);
	log_trace("t6");
	log_set_level(LOG_ERROR);
	log_warning("w7");
	log_print(LOG_ERROR, "e8");
	log_set_level(LOG_NOTICE);
	assert_string_equal(capture_end(), "rebpf: w1\nrebpf: n2\nrebpf: w5\nrebpf: t6\nrebpf: e8\n");
}

static void test_log_error(void **state)
{
	int err;

	(void)state;
	capture_start();
	errno = EPIPE;
	err = log_error(-ENODEV, "eth%d: %s", 9, "gone");
	assert_int_equal(errno, EPIPE);
	assert_string_equal(capture_end(), "rebpf: eth9: gone\n");
	assert_int_equal(err, -ENODEV);
}

static void test_log_escapes(void **state)
{
	(void)state;
	capture_start();
	log_notice("%s", "a\033[31mb\rc\nd\x7f\x9b\\x41 'e'");
	log_notice("libbpf's own break\n\n");
	log_notice("%s", "");
	assert_string_equal(capture_end(), "rebpf: a\\x1b[31mb\\x0dc\\x0ad\\x7f\\x9b\\x41 'e'\n"
					   "rebpf: libbpf's own break\n"
					   "rebpf: \n");
}

static void test_log_long(void **state)
{
	char text[3000];
	const char *out;
	size_t len;

	(void)state;
	for (len = 1020; len < sizeof(text); len += len < 1030 ? 1 : 989) {
		memset(text, 'x', len);
		text[len] = '\0';
		capture_start();
		log_notice("%s!", text);
		out = capture_end();
		assert_int_equal(strlen(out), strlen("rebpf: ") + len + 2);
		assert_string_equal(out + strlen(out) - 3, "x!\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strbuf_empty),
		cmocka_unit_test(test_strbuf_growth),
		cmocka_unit_test(test_strbuf_boundary),
		cmocka_unit_test(test_strbuf_reset),
		cmocka_unit_test(test_strbuf_failed),
		cmocka_unit_test(test_strbuf_pad_to),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_pad0),
		cmocka_unit_test(test_seq_before),
		cmocka_unit_test(test_escaped),
		cmocka_unit_test(test_escaped_anywhere),
		cmocka_unit_test(test_addr4),
		cmocka_unit_test(test_addr6),
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_clock_utc),
		cmocka_unit_test(test_clock_zones),
		cmocka_unit_test(test_clock_daylight_saving),
		cmocka_unit_test(test_clock_sweep),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_read_file),
		cmocka_unit_test(test_log_levels),
		cmocka_unit_test(test_log_error),
		cmocka_unit_test(test_log_escapes),
		cmocka_unit_test(test_log_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
