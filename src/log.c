// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define BACKLOG_MAX (64u << 10) /* bytes that wait for a slow reader of stderr at most */
#define FINISH_NS (500 * NSEC_PER_MSEC) /* how long the end of the program waits for it */

/* A kind of warning is shown so often within a second; then once per window, which doubles while there are more. */
#define BURST 5
#define WINDOW_MIN_NS NSEC_PER_SEC
#define WINDOW_MAX_NS (64 * NSEC_PER_SEC)
#define KINDS 16 /* that are told apart */
#define HELD_LEN 512

static enum log_level shown = LOG_NOTICE;

/* stderr as it was at the last look; @waiting: what it has not taken yet; @discarded: lines for which there was no room. */
static struct {
	struct nowait to;
	dev_t dev;
	ino_t ino;
	bool open;
	struct strbuf waiting;
	uint64_t discarded;
} out;

/* Warnings of one format. @count: in this window; @held: of them not shown, the last of which is @last. */
struct kind {
	const char *fmt;
	uint64_t since_ns, window_ns;
	uint64_t count, held;
	char last[HELD_LEN];
};

static struct kind kinds[KINDS];

void log_set_level(enum log_level level)
{
	shown = level;
}

enum log_level log_get_level(void)
{
	return shown;
}

/* ---- stderr, which may block ---- */

/* At the end of the program. */
static void finish(void)
{
	uint64_t now_ns = clock_mono_ns(), end_ns = now_ns + FINISH_NS;
	struct pollfd p = { .events = POLLOUT };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		kinds[i].window_ns = 0;
	log_flush();
	while ((out.waiting.len || out.discarded) && now_ns < end_ns) {
		p.fd = out.to.fd;
		poll(&p, 1, (int)((end_ns - now_ns) / NSEC_PER_MSEC) + 1);
		log_flush();
		now_ns = clock_mono_ns();
	}
	if (out.open)
		nowait_close(&out.to);
	out.open = false;
	strbuf_free(&out.waiting);
}

/* Opens it, and again if it has become another file. False: there is none. */
static bool open_stderr(void)
{
	static bool registered;
	struct stat st;

	if (fstat(STDERR_FILENO, &st))
		return false;
	if (!registered)
		registered = !atexit(finish);
	if (out.open && st.st_dev == out.dev && st.st_ino == out.ino)
		return true;
	if (out.open)
		nowait_close(&out.to);
	out.open = !nowait_open(&out.to, STDERR_FILENO);
	out.dev = st.st_dev;
	out.ino = st.st_ino;
	return out.open;
}

static void push(void)
{
	struct strbuf *w = &out.waiting;
	size_t sent = 0;
	ssize_t n = 0;

	while (sent < w->len) {
		/* stdout may be the same pipe: a line of it must not come in the middle of a message. */
		n = nowait_write(&out.to, w->data + sent, nowait_whole_lines(w->data + sent, w->len - sent));
		if (n > 0)
			sent += (size_t)n;
		else if (n != -EINTR)
			break;
	}
	/* After another error than "not now", nobody will ever read it. */
	if (sent == w->len || (n < 0 && n != -EAGAIN)) {
		strbuf_reset(w);
	} else if (sent) {
		memmove(w->data, w->data + sent, w->len - sent + 1);
		w->len -= sent;
	}
}

/* @text in one write where possible, so that lines of several processes on one terminal or file do not mix. */
static void put(const char *text, size_t len)
{
	if (!open_stderr())
		return;
	push();
	if (out.waiting.len + len > BACKLOG_MAX && out.waiting.len) {
		out.discarded++;
		return;
	}
	strbuf_add(&out.waiting, text, len);
	push();
}

static void put_discarded(void)
{
	struct strbuf line = {0};

	strbuf_str(&line, "rebpf: ");
	strbuf_u64(&line, out.discarded);
	strbuf_str(&line, " messages discarded: stderr was blocked\n");
	out.discarded = 0;
	put(line.data ? line.data : "", line.len);
	strbuf_free(&line);
}

void log_report(const char *text, size_t len)
{
	put(text, len);
}

static void write_line(const char *text, size_t len)
{
	struct strbuf line = {0};
	size_t i;

	while (len && text[len - 1] == '\n')
		len--;
	strbuf_str(&line, "rebpf: ");
	for (i = 0; i < len; i++) {
		/* Not the backslash: values in the text have been escaped already. */
		if (text[i] == '\\')
			strbuf_char(&line, '\\');
		else
			strbuf_escaped(&line, text + i, 1, false);
	}
	strbuf_char(&line, '\n');
	put(line.data ? line.data : "", line.len);
	strbuf_free(&line);
}

/* ---- warnings that come again and again ---- */

static void write_held(struct kind *k)
{
	struct strbuf text = {0};

	strbuf_str(&text, k->last);
	if (k->held > 1) {
		strbuf_str(&text, " (and ");
		strbuf_u64(&text, k->held - 1);
		strbuf_str(&text, " more like it)");
	}
	write_line(text.data ? text.data : "", text.len);
	strbuf_free(&text);
}

static void end_window(struct kind *k, uint64_t now_ns)
{
	bool storm = k->held;

	if (k->held)
		write_held(k);
	k->held = 0;
	k->since_ns = now_ns;
	k->count = storm ? BURST : 0;
	if (!storm)
		k->window_ns = WINDOW_MIN_NS;
	else if (k->window_ns < WINDOW_MAX_NS)
		k->window_ns *= 2;
}

static bool is_over(const struct kind *k, uint64_t now_ns)
{
	return now_ns - k->since_ns >= k->window_ns;
}

/* The kind of @fmt; of more kinds than there is room for, the one that is quiet for longest gives its place. */
static struct kind *kind_of(const char *fmt, uint64_t now_ns)
{
	struct kind *oldest = &kinds[0];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].fmt == fmt)
			return &kinds[i];
		if (kinds[i].since_ns < oldest->since_ns)
			oldest = &kinds[i];
	}
	if (oldest->held)
		write_held(oldest);
	*oldest = (struct kind){ .fmt = fmt, .since_ns = now_ns, .window_ns = WINDOW_MIN_NS };
	return oldest;
}

/* True: @text is not to be shown now. */
static bool is_held(const char *fmt, const char *text)
{
	uint64_t now_ns = clock_mono_ns();
	struct kind *k = kind_of(fmt, now_ns);

	if (is_over(k, now_ns))
		end_window(k, now_ns);
	if (k->count++ < BURST)
		return false;
	k->held++;
	snprintf(k->last, sizeof(k->last), "%.*s", HELD_LEN - 1, text);
	return true;
}

void log_flush(void)
{
	uint64_t now_ns = clock_mono_ns();

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].held && is_over(&kinds[i], now_ns))
			end_window(&kinds[i], now_ns);
	if (!out.waiting.len && !out.discarded)
		return;
	put("", 0);
	if (out.discarded && out.waiting.len < BACKLOG_MAX / 2)
		put_discarded();
}

/* ---- messages ---- */

static __attribute__((format(printf, 2, 0))) void log_vprint(enum log_level level, const char *fmt, va_list ap)
{
	int saved_errno = errno, n;
	char small[1024], *text = small;
	va_list again;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n >= (int)sizeof(small)) {
		text = malloc((size_t)n + 1);
		if (text)
			vsnprintf(text, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	if (!text) {
		text = small;
		n = (int)sizeof(small) - 1;
	}
	if (level != LOG_WARNING || !is_held(fmt, text))
		write_line(text, n < 0 ? 0 : (size_t)n);
	if (text != small)
		free(text);
	errno = saved_errno;
}

void log_print(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > shown)
		return;
	va_start(ap, fmt);
	log_vprint(level, fmt, ap);
	va_end(ap);
}

int log_error(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vprint(LOG_ERROR, fmt, ap);
	va_end(ap);
	return err;
}
