// SPDX-License-Identifier: MIT
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decode.h"
#include "log.h"
#include "util.h"

#define FLUSH_EVERY 1024 /* records */
#define READ_BYTES (4u * UINT16_MAX) /* at least one record */

static volatile sig_atomic_t stopped;

static void on_stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/* A stopped replay is a shorter one: it ends with its statistics. Without SA_RESTART, or it would wait for its input. */
static void catch_stop(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_stop }, before;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (!sigaction(signals[i], NULL, &before) && before.sa_handler != SIG_IGN) /* nohup */
			sigaction(signals[i], &action, NULL);
}

/* What has been read of the file and not been used: @buf[at .. end). Whole records are used where they lie. */
struct reader {
	int fd;
	bool is_stdin;
	unsigned char *buf;
	size_t at, end;
};

/* Makes @want bytes available from @at on, if there are so many. Negative errno. */
static int reader_fill(struct reader *r, size_t want)
{
	ssize_t n;

	while (r->end - r->at < want) {
		if (r->at) {
			memmove(r->buf, r->buf + r->at, r->end - r->at);
			r->end -= r->at;
			r->at = 0;
		}
		n = read(r->fd, r->buf + r->end, READ_BYTES - r->end);
		if (n < 0 && errno == EINTR && !stopped)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		r->end += (size_t)n;
	}
	return 0;
}

/*
 * One record, at *@out. *@n: bytes of it that were read, also on failure; 0: the file has ended. -EBADMSG: no record; -EPIPE:
 * the file ends within it; other negative errno: it cannot be read. Bounded by the width of rec_header.size.
 */
static int read_record(struct reader *r, const unsigned char **out, size_t *n)
{
	struct rec_header h;
	int err = reader_fill(r, sizeof(h));

	*out = r->buf + r->at;
	*n = r->end - r->at < sizeof(h) ? r->end - r->at : sizeof(h);
	if (err || *n < sizeof(h))
		return err ? err : *n ? -EPIPE : 0;
	memcpy(&h, *out, sizeof(h));
	if (h.size < sizeof(h))
		return -EBADMSG;
	err = reader_fill(r, h.size);
	*out = r->buf + r->at;
	*n = r->end - r->at < h.size ? r->end - r->at : h.size;
	if (err || *n < h.size)
		return err ? err : -EPIPE;
	r->at += h.size;
	return 0;
}

static int not_a_recording(int err, const char *path)
{
	return log_error(err, "--read: '%s' is not a recording of rebpf", path);
}

/* A HOST record as a machine with the other byte order writes it. @n: bytes of @buf that the file has. */
static bool is_foreign(const unsigned char *buf, size_t n)
{
	struct rec_host host;

	if (n < offsetof(struct rec_host, hz))
		return false;
	memcpy(&host, buf, offsetof(struct rec_host, hz));
	return host.h.kind == REC_HOST && __builtin_bswap16(host.h.size) >= offsetof(struct rec_host, hz) &&
	       __builtin_bswap32(host.format) < 0x10000 && host.format >= 0x10000;
}

static int check_host(const char *path, const unsigned char *buf)
{
	union record r;
	struct rec_header h;

	memcpy(&h, buf, sizeof(h));
	if (decode_record(&r, buf, h.size) || r.h.kind != REC_HOST)
		return not_a_recording(-EBADMSG, path);
	if (r.rec_host.format < REBPF_OLDEST_FORMAT || r.rec_host.format > REBPF_FORMAT)
		return log_error(-EPROTONOSUPPORT, "--read: '%s' has format %u, this rebpf reads formats %u to %u", path,
				 r.rec_host.format, REBPF_OLDEST_FORMAT, REBPF_FORMAT);
	return 0;
}

/* Why the record after @count others could not be read. @n: bytes of it in @buf. */
static int explain(int err, const char *path, const unsigned char *buf, size_t n, size_t count)
{
	struct rec_header h = {};

	memcpy(&h, buf, n < sizeof(h) ? n : sizeof(h));
	if (err != -EBADMSG && err != -EPIPE)
		return log_error(err, "--read: cannot read '%s': %s", path, strerror(-err));
	if (!count && is_foreign(buf, n))
		return log_error(-EPROTONOSUPPORT, "--read: '%s' is of a machine with the other byte order", path);
	if (!count && (err == -EBADMSG || h.kind != REC_HOST))
		return not_a_recording(err, path);
	return log_error(err, "--read: '%s' is cut or damaged after %zu records", path, count);
}

/* Whoever reads along shall see what has come; from a file there is nothing to wait for. */
static bool is_flush_due(const struct reader *r, uint8_t kind, size_t count)
{
	return count % FLUSH_EVERY == 0 || (r->is_stdin && kind == REC_TICK);
}

/* Records of 8 bytes' multiples lie aligned in the buffer; those of a damaged file need not. */
static void feed(struct pipeline *p, const unsigned char *record, size_t size)
{
	static _Alignas(8) unsigned char aligned[UINT16_MAX];

	if ((uintptr_t)record % 8)
		record = memcpy(aligned, record, size);
	pipeline_feed(p, record, size);
}

static int feed_all(struct pipeline *p, struct reader *r, const char *path)
{
	const unsigned char *record;
	size_t count = 0, n;
	int err;

	while (!pipeline_is_done(p) && !stopped) {
		struct rec_header h;

		err = read_record(r, &record, &n);
		if (stopped || (!err && !n))
			break;
		if (!err && !count && is_foreign(record, n))
			err = -EBADMSG;
		if (err)
			return explain(err, path, record, n, count);
		if (!count)
			err = check_host(path, record);
		if (err)
			return err;
		memcpy(&h, record, sizeof(h));
		feed(p, record, n);
		if (is_flush_due(r, h.kind, ++count))
			pipeline_flush(p);
	}
	if (stopped)
		pipeline_stop(p);
	return count || stopped || pipeline_is_done(p) ? 0 : log_error(-ENODATA, "--read: '%s' is empty", path);
}

int replay_open(const char *path)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;

	return fd < 0 ? log_error(-errno, "--read: cannot open '%s': %s", path, strerror(errno)) : fd;
}

int replay_run(struct pipeline *p, int fd, const char *path)
{
	struct reader r = { .fd = fd, .is_stdin = fd == STDIN_FILENO, .buf = malloc(READ_BYTES) };
	int err;

	catch_stop();
	err = r.buf ? feed_all(p, &r, path) : log_error(-ENOMEM, "out of memory");
	free(r.buf);
	if (!r.is_stdin)
		close(fd);
	return err;
}
