// SPDX-License-Identifier: MIT
/* The text buffer and its printers, clocks, files. Printers are most of what a line costs: no printf here. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define STRBUF_MIN_CAP 256
#define SEC_PER_DAY 86400

static const char digit_pairs[] =
	"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
	"4950515253545556575859606162636465666768697071727374757677787980818283848586878889909192939495969798"
	"99";
static const char hex_digits[] = "0123456789abcdef";

/* ---- the buffer ---- */

void strbuf_free(struct strbuf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

void strbuf_reset(struct strbuf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

char *strbuf_grow(struct strbuf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : STRBUF_MIN_CAP;
	char *data;

	/* Once short, always short: text after a gap would read as if nothing were missing. */
	if (b->failed)
		return NULL;
	b->failed = true;
	if (n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
		return NULL;
	while (cap - b->len <= n)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return NULL;
	b->failed = false;
	b->data = data;
	b->cap = cap;
	return data + b->len;
}

void strbuf_pad_to(struct strbuf *b, size_t start, size_t width)
{
	size_t have = b->len > start ? b->len - start : 0;
	size_t n = have < width ? width - have : 0;
	char *p = n ? strbuf_room(b, n) : NULL;

	if (!p)
		return;
	memset(p, ' ', n);
	strbuf_end(b, p + n);
}

/* ---- numbers ---- */

static inline unsigned int count_digits(uint64_t v)
{
	static const uint64_t power[] = {
		0ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL,
		1000000000ULL, 10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL,
		100000000000000ULL, 1000000000000000ULL, 10000000000000000ULL, 100000000000000000ULL,
		1000000000000000000ULL, 10000000000000000000ULL,
	};
	/* 1233 / 4096 is just above log10(2): one digit short at most, and the table tells. */
	unsigned int t = (64 - (unsigned int)__builtin_clzll(v | 1)) * 1233 >> 12;

	return t + (v >= power[t]);
}

/* Exactly @n decimal digits of @v, leading zeros included, that end before @end. */
static inline void put_digits32(char *end, uint32_t v, unsigned int n)
{
	for (; n >= 2; n -= 2) {
		end -= 2;
		memcpy(end, digit_pairs + v % 100 * 2, 2);
		v /= 100;
	}
	if (n)
		end[-1] = (char)('0' + v % 10);
}

/* The same; a division of 64 bits is dearer than the rest, so there is one for eight digits. */
static inline void put_digits(char *end, uint64_t v, unsigned int n)
{
	for (; n > 8 && v > UINT32_MAX; n -= 8) {
		put_digits32(end, (uint32_t)(v % 100000000), 8);
		v /= 100000000;
		end -= 8;
	}
	put_digits32(end, (uint32_t)v, n);
}

static inline char *put_2(char *p, unsigned int v)
{
	memcpy(p, digit_pairs + v * 2, 2);
	return p + 2;
}

char *put_pad0(char *p, uint64_t v, unsigned int digits)
{
	unsigned int need = count_digits(v);
	unsigned int n = digits > need ? digits : need;

	put_digits(p + n, v, n);
	return p + n;
}

char *put_u64(char *p, uint64_t v)
{
	unsigned int n;

	if (v < 10) {
		*p = (char)('0' + v);
		return p + 1;
	}
	n = count_digits(v);
	put_digits(p + n, v, n);
	return p + n;
}

char *put_s64(char *p, int64_t v)
{
	if (v >= 0)
		return put_u64(p, (uint64_t)v);
	*p++ = '-';
	/* Negated as unsigned: the smallest number has no positive counterpart. */
	return put_u64(p, -(uint64_t)v);
}

static inline char *put_nibbles(char *p, uint64_t v)
{
	int shift = (63 - __builtin_clzll(v | 1)) & ~3;

	for (; shift >= 0; shift -= 4)
		*p++ = hex_digits[v >> shift & 0xf];
	return p;
}

char *put_hex(char *p, uint64_t v)
{
	*p++ = '0';
	*p++ = 'x';
	return put_nibbles(p, v);
}

/* ---- text from outside ---- */

#define EACH_BYTE(b) (0x0101010101010101ULL * (b))

/* The top bit of each byte of @w that is zero: exact up to the lowest one, which is what has to be known. */
static inline uint64_t zero_bytes(uint64_t w)
{
	return (w - EACH_BYTE(1)) & ~w & EACH_BYTE(0x80);
}

/* Not zero if a byte of @w is below @low, above '~', or one of the two. */
static inline uint64_t special_bytes(uint64_t w, unsigned char low, unsigned char one, unsigned char other)
{
	return ((w - EACH_BYTE(low)) & ~w & EACH_BYTE(0x80)) | (w & EACH_BYTE(0x80)) | zero_bytes(w ^ EACH_BYTE(0x7f)) |
	       zero_bytes(w ^ EACH_BYTE(one)) | zero_bytes(w ^ EACH_BYTE(other));
}

/* Nearly all text is plain: then it is one copy. A word at a time; the last one overlaps with the one before. */
static inline bool is_plain(const char *s, size_t len, unsigned char low, unsigned char one, unsigned char other)
{
	uint64_t special = 0, w;
	size_t i;

	if (len < sizeof(w)) {
		for (i = 0; i < len; i++) {
			unsigned char c = (unsigned char)s[i];

			special |= c < low || c > '~' || c == one || c == other;
		}
		return !special;
	}
	for (i = 0; i + sizeof(w) <= len; i += sizeof(w)) {
		memcpy(&w, s + i, sizeof(w));
		special |= special_bytes(w, low, one, other);
	}
	memcpy(&w, s + len - sizeof(w), sizeof(w));
	return !(special | special_bytes(w, low, one, other));
}

char *put_escaped(char *p, const char *s, size_t len, bool one_word)
{
	if (is_plain(s, len, one_word ? '!' : ' ', '\\', '\\'))
		return put_bytes(p, s, len);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c > ' ' && c < 0x7f && c != '\\') {
			*p++ = (char)c;
		} else if (c == ' ' && !one_word) {
			*p++ = ' ';
		} else {
			*p++ = '\\';
			*p++ = 'x';
			*p++ = hex_digits[c >> 4];
			*p++ = hex_digits[c & 0xf];
		}
	}
	return p;
}

char *put_json(char *p, const char *s, size_t len)
{
	if (is_plain(s, len, ' ', '\\', '"'))
		return put_bytes(p, s, len);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
			*p++ = (char)c;
		} else if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = (char)c;
		} else {
			p = put_bytes(p, "\\u00", 4);
			*p++ = hex_digits[c >> 4];
			*p++ = hex_digits[c & 0xf];
		}
	}
	return p;
}

/* ---- addresses ---- */

static char *put_quad(char *p, const uint8_t *a)
{
	unsigned int i, n;

	for (i = 0; i < 4; i++) {
		n = 1 + (a[i] >= 10) + (a[i] >= 100);
		put_digits32(p + n, a[i], n);
		p += n;
		*p++ = '.';
	}
	return p - 1;
}

/* The longest run of zero words, the first of equals, is what "::" stands for; a single word is no run. */
static void find_zero_run(const uint16_t *w, int *start, int *len)
{
	int i, run = 0;

	*start = -1;
	*len = 1;
	for (i = 0; i < 8; i++) {
		run = w[i] ? 0 : run + 1;
		if (run > *len) {
			*len = run;
			*start = i - run + 1;
		}
	}
}

/* RFC 5952; the last four bytes as a quad where inet_ntop has it: v4-mapped and the old v4-compatible. */
static char *put_addr6(char *p, const uint8_t *a)
{
	int i, start, len, words = 8;
	uint16_t w[8];

	for (i = 0; i < 8; i++)
		w[i] = (uint16_t)(a[2 * i] << 8 | a[2 * i + 1]);
	find_zero_run(w, &start, &len);
	if (start == 0 && (len == 6 || (len == 5 && w[5] == 0xffff)))
		words = 6;
	for (i = 0; i < words; i++) {
		if (i == start) {
			*p++ = ':';
			*p++ = ':';
			i += len - 1;
			continue;
		}
		if (i && p[-1] != ':')
			*p++ = ':';
		p = put_nibbles(p, w[i]);
	}
	if (words == 8)
		return p;
	if (p[-1] != ':')
		*p++ = ':';
	return put_quad(p, a + 12);
}

char *put_addr(char *p, const uint8_t addr[16], int ip_version)
{
	return ip_version == 6 ? put_addr6(p, addr) : put_quad(p, addr);
}

/* ---- time ---- */

static char *put_time_of_day(char *p, unsigned int sec)
{
	p = put_2(p, sec / 3600);
	*p++ = ':';
	p = put_2(p, sec / 60 % 60);
	*p++ = ':';
	return put_2(p, sec % 60);
}

/* Proleptic Gregorian date. Counted in years that begin with March, so that the leap day comes last. */
static char *put_date(char *p, uint64_t days)
{
	uint64_t d = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
	uint64_t era = d / 146097;  /* of 400 years */
	unsigned int doe = (unsigned int)(d % 146097);
	unsigned int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned int march = (5 * doy + 2) / 153;
	unsigned int day = doy - (153 * march + 2) / 5 + 1;
	unsigned int month = march < 10 ? march + 3 : march - 9;
	unsigned int year = (unsigned int)(era * 400) + yoe + (month <= 2);

	p = put_2(p, year / 100);
	p = put_2(p, year % 100);
	*p++ = '-';
	p = put_2(p, month);
	*p++ = '-';
	return put_2(p, day);
}

char *put_rfc3339(char *p, uint64_t wall_ns)
{
	static _Thread_local uint64_t cached_sec = UINT64_MAX;
	static _Thread_local char cached[20]; /* "2026-11-21T04:03:02." */
	uint64_t sec = wall_ns / NSEC_PER_SEC;
	char *text = cached;

	if (sec != cached_sec) {
		text = put_date(text, sec / SEC_PER_DAY);
		*text++ = 'T';
		text = put_time_of_day(text, (unsigned int)(sec % SEC_PER_DAY));
		*text = '.';
		cached_sec = sec;
	}
	memcpy(p, cached, sizeof(cached));
	put_digits32(p + 29, (uint32_t)(wall_ns - sec * NSEC_PER_SEC), 9);
	p[29] = 'Z';
	return p + 30;
}

/*
 * Seconds east of UTC at @sec. Asked once a minute: localtime_r costs more than the rest of a line, and no
 * zone has changed its clock inside a minute of UTC since 1972, so daylight saving is exact.
 */
static long local_offset(uint64_t sec)
{
	static _Thread_local uint64_t cached_minute = UINT64_MAX;
	static _Thread_local long cached_offset;
	time_t t = (time_t)sec;
	struct tm tm;

	if (sec / 60 == cached_minute)
		return cached_offset;
	cached_offset = localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
	cached_minute = sec / 60;
	return cached_offset;
}

char *put_clock(char *p, uint64_t wall_ns, bool utc)
{
	static _Thread_local uint64_t cached_sec = UINT64_MAX;
	static _Thread_local bool cached_utc;
	static _Thread_local char cached[9]; /* "04:03:02." */
	uint64_t sec = wall_ns / NSEC_PER_SEC;

	if (sec != cached_sec || utc != cached_utc) {
		long offset = utc ? 0 : local_offset(sec);

		/* A day is added first: west of Greenwich the sum may be before 1970. */
		*put_time_of_day(cached, (unsigned int)((sec + SEC_PER_DAY + (uint64_t)offset) % SEC_PER_DAY)) = '.';
		cached_sec = sec;
		cached_utc = utc;
	}
	memcpy(p, cached, sizeof(cached));
	put_digits32(p + 15, (uint32_t)((wall_ns - sec * NSEC_PER_SEC) / 1000), 6);
	return p + 15;
}

/* ---- the same into the buffer ---- */

void strbuf_pad0(struct strbuf *b, uint64_t v, unsigned int digits)
{
	char *p = strbuf_room(b, digits > PUT_U64_MAX ? digits : PUT_U64_MAX);

	if (p)
		strbuf_end(b, put_pad0(p, v, digits));
}

void strbuf_u64(struct strbuf *b, uint64_t v)
{
	char *p = strbuf_room(b, PUT_U64_MAX);

	if (p)
		strbuf_end(b, put_u64(p, v));
}

void strbuf_escaped(struct strbuf *b, const char *s, size_t max, bool one_word)
{
	size_t len = strnlen(s, max);
	char *p = strbuf_room(b, len > SIZE_MAX / 8 ? SIZE_MAX : PUT_ESCAPED_MAX(len));

	if (p)
		strbuf_end(b, put_escaped(p, s, len, one_word));
}

void strbuf_addr(struct strbuf *b, const uint8_t addr[16], int ip_version)
{
	char *p = strbuf_room(b, PUT_ADDR_MAX);

	if (p)
		strbuf_end(b, put_addr(p, addr, ip_version));
}

void strbuf_clock(struct strbuf *b, uint64_t wall_ns, bool utc)
{
	char *p = strbuf_room(b, PUT_CLOCK_MAX);

	if (p)
		strbuf_end(b, put_clock(p, wall_ns, utc));
}

/* ---- clocks ---- */

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void clock_pair(uint64_t *mono_ns, uint64_t *wall_ns)
{
	uint64_t before, wall, after, best = UINT64_MAX;
	int i;

	for (i = 0; i < 8; i++) {
		before = clock_ns(CLOCK_MONOTONIC);
		wall = clock_ns(CLOCK_REALTIME);
		after = clock_ns(CLOCK_MONOTONIC);
		if (after - before >= best)
			continue;
		best = after - before;
		*mono_ns = before + best / 2;
		*wall_ns = wall;
	}
}

/* ---- files ---- */

static int read_all(int fd, struct strbuf *b)
{
	char chunk[16384];
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		strbuf_add(b, chunk, (size_t)n);
	}
	strbuf_add(b, "", 0); /* an empty file is an empty string, not NULL */
	return b->failed ? -ENOMEM : 0;
}

int read_file(const char *path, char **data, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	struct strbuf b = {0};

	if (fd < 0)
		return -errno;
	err = read_all(fd, &b);
	close(fd);
	if (err) {
		strbuf_free(&b);
		return err;
	}
	*data = b.data;
	if (len)
		*len = b.len;
	return 0;
}

/* ---- writing without waiting ---- */

static int reopen_nonblock(int fd)
{
	struct strbuf path = {0};
	int own;

	strbuf_str(&path, "/proc/self/fd/");
	strbuf_u64(&path, (uint64_t)fd);
	if (path.failed) {
		strbuf_free(&path);
		errno = ENOMEM;
		return -1;
	}
	own = open(path.data, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	strbuf_free(&path);
	return own;
}

int nowait_open(struct nowait *w, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*w = (struct nowait){ .fd = fd, .own_fd = -1, .way = NOWAIT_DIRECT, .terminal = isatty(fd) };
	if (S_ISSOCK(st.st_mode)) {
		w->way = NOWAIT_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || w->terminal) {
		w->own_fd = reopen_nonblock(fd);
		w->way = w->own_fd >= 0 ? NOWAIT_OWN : NOWAIT_POLL;
		if (w->own_fd >= 0)
			w->fd = w->own_fd;
	}
	return 0;
}

void nowait_close(struct nowait *w)
{
	if (w->own_fd >= 0)
		close(w->own_fd);
	w->fd = w->own_fd = -1;
}

static bool polls_writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) > 0;
}

ssize_t nowait_write(const struct nowait *w, const char *data, size_t len)
{
	ssize_t n;

	if (w->way == NOWAIT_SOCKET) {
		n = send(w->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (w->way == NOWAIT_POLL) {
		if (!polls_writable(w->fd))
			return -EAGAIN;
		n = write(w->fd, data, len < PIPE_BUF ? len : PIPE_BUF);
	} else {
		n = write(w->fd, data, len);
	}
	return n < 0 ? -errno : n;
}

size_t nowait_whole_lines(const char *data, size_t len)
{
	const char *end = memrchr(data, '\n', len < PIPE_BUF ? len : PIPE_BUF);

	return end ? (size_t)(end - data) + 1 : len;
}
