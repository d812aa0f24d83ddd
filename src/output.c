// SPDX-License-Identifier: MIT
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* An early write once so much has come together: it is still in the CPU's cache then. */
#define FLUSH_BYTES (64u << 10)
/* With a full backlog, how many lines are discarded between two looks at the reader. */
#define FULL_RETRY 64

/* At the end a reader that goes on reading is waited for so many times as long as one that does not. */
#define FINISH_PATIENCE 10

/*
 * @null:     nobody reads it; @to is unused.
 * @shared:   a pipe that stderr is, too: a message must not come in the middle of a line.
 * @sent:     buf.data[0 .. sent) has been written.
 * @line:     where the line that is being made begins.
 * @flush_at: length of the backlog at which the next early write is due.
 */
struct output {
	bool null;
	bool shared;
	struct nowait to;
	const char *what;
	int state;
	struct strbuf buf;
	size_t sent;
	size_t line;
	size_t flush_at;
	unsigned int refused; /* lines since the last look at the reader */
	uint64_t lines;
	uint64_t lost;
	uint64_t bytes;
};

static size_t backlog(const struct output *o)
{
	return o->buf.len - o->sent;
}

/* ---- open and close ---- */

static struct output *output_new(const char *what)
{
	struct output *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->to.fd = o->to.own_fd = -1;
	o->what = what;
	o->flush_at = FLUSH_BYTES;
	return o;
}

static bool is_shared_pipe(int fd)
{
	struct stat own, err;

	return !fstat(fd, &own) && !fstat(STDERR_FILENO, &err) && S_ISFIFO(own.st_mode) && own.st_dev == err.st_dev &&
	       own.st_ino == err.st_ino;
}

int output_open(struct output **out, int fd, const char *what)
{
	struct output *o = output_new(what);
	int err;

	if (!o)
		return log_error(-ENOMEM, "%s: out of memory", what);
	err = nowait_open(&o->to, fd);
	if (err) {
		output_close(o);
		return log_error(err, "cannot write to %s: %s", what, strerror(-err));
	}
	o->shared = is_shared_pipe(fd);
	if (o->to.way == NOWAIT_POLL)
		log_debug("%s: %s; writing in small pieces instead", what, strerror(errno));
	*out = o;
	return 0;
}

int output_open_null(struct output **out)
{
	struct output *o = output_new("none");

	if (!o)
		return log_error(-ENOMEM, "output: out of memory");
	o->null = true;
	*out = o;
	return 0;
}

void output_close(struct output *o)
{
	if (!o)
		return;
	nowait_close(&o->to);
	strbuf_free(&o->buf);
	free(o);
}

/* ---- the buffer ---- */

static void discard_all(struct output *o)
{
	strbuf_reset(&o->buf);
	o->sent = 0;
	o->line = 0;
	o->flush_at = FLUSH_BYTES;
}

/* Room at the front is given back once it is the larger part: each byte is moved once at most on average. */
static void reclaim(struct output *o)
{
	size_t rest = backlog(o);

	if (!rest) {
		strbuf_reset(&o->buf);
	} else if (o->sent >= rest) {
		memmove(o->buf.data, o->buf.data + o->sent, rest + 1);
		o->buf.len = rest;
	} else {
		return;
	}
	o->sent = 0;
}

static bool full(const struct output *o)
{
	return backlog(o) >= OUTPUT_BACKLOG_MAX;
}

struct strbuf *output_begin(struct output *o)
{
	if (o->state)
		return NULL;
	if (full(o)) {
		if (o->refused++ % FULL_RETRY == 0)
			output_flush(o);
		if (o->state)
			return NULL;
		if (full(o)) {
			o->lost++;
			return NULL;
		}
	}
	o->refused = 0;
	o->line = o->buf.len;
	return &o->buf;
}

void output_commit(struct output *o, unsigned int lines)
{
	if (o->buf.failed) {
		/* Out of memory in the middle of a line: the line goes, those before it stay. */
		o->buf.failed = false;
		o->buf.len = o->line;
		o->lost += lines;
		return;
	}
	o->lines += lines;
	if (backlog(o) >= o->flush_at)
		output_flush(o);
}

/* ---- writing ---- */

/* One write of up to @len bytes: how many it took, or a negative errno. */
static ssize_t write_once(struct output *o, const char *data, size_t len)
{
	if (o->shared)
		len = nowait_whole_lines(data, len);
	return o->null ? (ssize_t)len : nowait_write(&o->to, data, len);
}

/* After an error that will not go away. */
static void stop(struct output *o, int err)
{
	discard_all(o);
	if (err == -EPIPE || err == -ECONNRESET || (o->to.terminal && err == -EIO))
		o->state = 1;
	else
		o->state = log_error(err, "cannot write to %s: %s", o->what, strerror(-err));
}

void output_flush(struct output *o)
{
	ssize_t n;

	while (!o->state && backlog(o)) {
		n = write_once(o, o->buf.data + o->sent, backlog(o));
		if (n == -EINTR)
			continue;
		if (n == -EAGAIN || !n)
			break;
		if (n < 0) {
			stop(o, (int)n);
			return;
		}
		o->sent += (size_t)n;
		o->bytes += (uint64_t)n;
	}
	reclaim(o);
	o->flush_at = backlog(o) + FLUSH_BYTES;
}

void output_wait(struct output *o)
{
	struct pollfd p = { .fd = o->to.fd, .events = POLLOUT };

	for (;;) {
		output_flush(o);
		if (o->state || !backlog(o) || (poll(&p, 1, -1) < 0 && errno == EINTR))
			return;
	}
}

static uint64_t count_lines(const char *p, size_t len)
{
	const char *end = p + len;
	uint64_t n = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		n++;
		p++;
	}
	return n;
}

size_t output_finish(struct output *o, unsigned int timeout_ms)
{
	uint64_t now = clock_mono_ns(), end = now + timeout_ms * NSEC_PER_MSEC;
	uint64_t at_last = now + FINISH_PATIENCE * timeout_ms * NSEC_PER_MSEC;
	struct pollfd p = { .fd = o->to.fd, .events = POLLOUT };
	size_t rest = backlog(o);
	uint64_t lost;

	for (;;) {
		output_flush(o);
		if (o->state || !backlog(o))
			return 0;
		now = clock_mono_ns();
		/* Who reads, only slowly, gets all of it. */
		if (backlog(o) < rest && now < at_last)
			end = now + timeout_ms * NSEC_PER_MSEC;
		rest = backlog(o);
		if (now >= end)
			break;
		poll(&p, 1, (int)((end - now) / NSEC_PER_MSEC) + 1);
	}
	lost = count_lines(o->buf.data + o->sent, rest);
	o->lost += lost;
	o->lines -= lost < o->lines ? lost : o->lines;
	discard_all(o);
	return rest;
}

/* ---- state ---- */

void output_check_closed(struct output *o)
{
	struct pollfd p = { .fd = o->to.fd };

	/* Without a reader, or with one that cannot go away, there is nothing to ask. */
	if (o->state || o->null || o->to.way == NOWAIT_DIRECT)
		return;
	if (poll(&p, 1, 0) <= 0 || !(p.revents & (POLLERR | POLLHUP | POLLNVAL)))
		return;
	discard_all(o);
	o->state = 1;
}

bool output_is_terminal(const struct output *o)
{
	return o->to.terminal;
}

int output_state(const struct output *o)
{
	return o->state;
}

uint64_t output_lines(const struct output *o)
{
	return o->lines;
}

uint64_t output_lost(const struct output *o)
{
	return o->lost;
}

uint64_t output_bytes(const struct output *o)
{
	return o->bytes;
}
