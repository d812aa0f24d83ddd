/* SPDX-License-Identifier: MIT */
/* Leaves: a text buffer with hand-written printers, and small helpers that know nothing of rebpf. */
#ifndef REBPF_UTIL_H
#define REBPF_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NSEC_PER_SEC 1000000000ULL
#define NSEC_PER_MSEC 1000000ULL

/*
 * A growing text buffer. Zero-initialised is empty and valid; always NUL-terminated once non-empty. If memory
 * runs out the buffer keeps what it has, takes no more until strbuf_reset() and @failed is set: output is
 * then short, never wrong in memory and never with a gap.
 */
struct strbuf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

void strbuf_free(struct strbuf *b);
void strbuf_reset(struct strbuf *b); /* length 0, not failed, memory kept */

/* Makes room for @n bytes and a NUL; where they go, or NULL with @failed set. For strbuf_room() only. */
char *strbuf_grow(struct strbuf *b, size_t n);

/*
 * For printers: room for @n more bytes. Write at most as many there and hand the end to strbuf_end().
 * NULL: no memory, write nothing.
 */
static inline char *strbuf_room(struct strbuf *b, size_t n)
{
	if (__builtin_expect(b->cap - b->len > n && !b->failed, 1))
		return b->data + b->len;
	return strbuf_grow(b, n);
}

static inline void strbuf_end(struct strbuf *b, char *end)
{
	*end = '\0';
	b->len = (size_t)(end - b->data);
}

/* Inline, so that the length of a literal is a constant: most of a line is words like " seq=". */
static inline void strbuf_add(struct strbuf *b, const char *bytes, size_t len)
{
	char *p = strbuf_room(b, len);

	if (!p)
		return;
	if (len)
		memcpy(p, bytes, len);
	strbuf_end(b, p + len);
}

static inline void strbuf_str(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

static inline void strbuf_char(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_u64(struct strbuf *b, uint64_t v);
/* @v in at least @digits decimal digits, with leading zeros. */
void strbuf_pad0(struct strbuf *b, uint64_t v, unsigned int digits);
/* Spaces until the line that began at offset @start is @width wide. */
void strbuf_pad_to(struct strbuf *b, size_t start, size_t width);
/*
 * Text that came from outside: every byte that is not printable ASCII, and the backslash, as \xNN, so that
 * nothing reaches a terminal and no word gets split: also a space if @one_word.
 */
void strbuf_escaped(struct strbuf *b, const char *s, size_t max, bool one_word);
/* Address of struct rec_flow: dotted quad, or RFC 5952 text as inet_ntop's for @ip_version 6; no brackets. */
void strbuf_addr(struct strbuf *b, const uint8_t addr[16], int ip_version);
/* Time of day with microseconds, "04:03:02.123456", local or UTC. */
void strbuf_clock(struct strbuf *b, uint64_t wall_ns, bool utc);

/* ---- printers ---- */

/*
 * Printers: each writes its value at @p, without a NUL, and returns the end. The caller has made room for the
 * number of bytes that is given with each: strbuf_room() once for a word of a line, then several of these.
 */
#define PUT_U64_MAX 20
#define PUT_HEX_MAX 18
#define PUT_ADDR_MAX 46
#define PUT_RFC3339_MAX 30
#define PUT_CLOCK_MAX 15
#define PUT_ESCAPED_MAX(len) (4 * (len))
#define PUT_JSON_MAX(len) (6 * (len))
#define PUT_PAD_MAX 48 /* written even if less is needed */

static inline char *put_bytes(char *p, const char *bytes, size_t len)
{
	return (char *)memcpy(p, bytes, len) + len;
}

static inline char *put_str(char *p, const char *s)
{
	return put_bytes(p, s, strlen(s));
}

/* Spaces up to @column, which is less than PUT_PAD_MAX bytes away, or behind. */
static inline char *put_pad(char *p, char *column)
{
	memset(p, ' ', PUT_PAD_MAX);
	return p < column ? column : p;
}

/* @v in at least @digits decimal digits, with leading zeros: the greater of PUT_U64_MAX and @digits bytes. */
char *put_pad0(char *p, uint64_t v, unsigned int digits);
char *put_u64(char *p, uint64_t v);
char *put_s64(char *p, int64_t v); /* PUT_U64_MAX */
char *put_hex(char *p, uint64_t v); /* "0x1f" */

/* strbuf_escaped() of exactly @len bytes, which may be any: PUT_ESCAPED_MAX(len). */
char *put_escaped(char *p, const char *s, size_t len, bool one_word);
/* The inside of a JSON string, as field.h says, of exactly @len bytes, which may be any: PUT_JSON_MAX(len). */
char *put_json(char *p, const char *s, size_t len);

/* As strbuf_addr() and strbuf_clock(): PUT_ADDR_MAX, PUT_CLOCK_MAX. */
char *put_addr(char *p, const uint8_t addr[16], int ip_version);
char *put_clock(char *p, uint64_t wall_ns, bool utc);
/* Wall-clock time: "2026-11-21T04:03:02.123456789Z" (RFC 3339, UTC). */
char *put_rfc3339(char *p, uint64_t wall_ns);

/* ---- small helpers ---- */

/* a before b in sequence space (RFC 9293, 3.4). */
static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

uint64_t clock_mono_ns(void);
/* CLOCK_REALTIME and CLOCK_MONOTONIC at one instant: the closest of a few bracketed samples. */
void clock_pair(uint64_t *mono_ns, uint64_t *wall_ns);

/*
 * Whole file into a NUL-terminated buffer (free() it), for /proc files of unknown size. @len may be NULL.
 * Negative errno, and then nothing was stored.
 */
int read_file(const char *path, char **data, size_t *len);

/*
 * A descriptor that other processes may share, written to without ever waiting for its reader, and without setting
 * O_NONBLOCK, which would be set for all of them. By kind of descriptor:
 *
 *   file, device	DIRECT: write() never waits for a reader.
 *   pipe, terminal	OWN: opened again through /proc: a file description of our own, which may have O_NONBLOCK. Where
 *			that fails (no /proc, no permission), POLL: poll() and then at most PIPE_BUF: a pipe that polls
 *			writable takes that much at once. (A terminal may have room for less, and then blocks until it
 *			has been read; another writer to the same pipe may take the room.)
 *   socket		SOCKET: send() with MSG_DONTWAIT.
 */
enum nowait_way { NOWAIT_DIRECT, NOWAIT_OWN, NOWAIT_POLL, NOWAIT_SOCKET };

/* @fd: to write to, and to poll. @own_fd: our own description, then the same as @fd; else -1. */
struct nowait {
	int fd;
	int own_fd;
	enum nowait_way way;
	bool terminal;
};

/* @fd remains the caller's and must stay open. 0 or a negative errno: no such descriptor. */
int nowait_open(struct nowait *w, int fd);
void nowait_close(struct nowait *w);
/* One write: how many bytes it took, or a negative errno (-EAGAIN: none now; -EPIPE only if SIGPIPE is ignored). */
ssize_t nowait_write(const struct nowait *w, const char *data, size_t len);
/* As many bytes as are whole lines and fit into PIPE_BUF, which a pipe takes at once or not at all; else @len. */
size_t nowait_whole_lines(const char *data, size_t len);

#endif
