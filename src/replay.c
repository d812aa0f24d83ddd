// SPDX-License-Identifier: MIT
#include "replay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "decode.h"
#include "log.h"
#include "util.h"

#define FLUSH_EVERY 1024 /* records */

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

/*
 * One record. *@n: bytes of it that were read, also on failure. -EBADMSG: no record; -EPIPE: the file ends within it;
 * other negative errno: it cannot be read. Bounded by the width of rec_header.size.
 */
static int read_record(FILE *f, unsigned char *buf, size_t size, size_t *n)
{
	struct rec_header h;

	*n = fread(buf, 1, sizeof(h), f);
	if (*n != sizeof(h))
		return ferror(f) ? -errno : *n ? -EPIPE : 0;
	memcpy(&h, buf, sizeof(h));
	if (h.size < sizeof(h) || h.size > size)
		return -EBADMSG;
	*n += fread(buf + sizeof(h), 1, h.size - sizeof(h), f);
	return *n == h.size ? 0 : ferror(f) ? -errno : -EPIPE;
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
	if (r.rec_host.format != REBPF_FORMAT)
		return log_error(-EPROTONOSUPPORT, "--read: '%s' has format %u, this rebpf reads format %u", path,
				 r.rec_host.format, REBPF_FORMAT);
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
static bool is_flush_due(FILE *f, uint8_t kind, size_t count)
{
	return count % FLUSH_EVERY == 0 || (f == stdin && kind == REC_TICK);
}

static int feed_all(struct pipeline *p, FILE *f, const char *path)
{
	static unsigned char buf[UINT16_MAX];
	size_t count = 0, n;
	int err;

	while (!pipeline_is_done(p) && !stopped) {
		struct rec_header h;

		err = read_record(f, buf, sizeof(buf), &n);
		if (stopped || (!err && !n))
			break;
		if (!err && !count && is_foreign(buf, n))
			err = -EBADMSG;
		if (err)
			return explain(err, path, buf, n, count);
		if (!count)
			err = check_host(path, buf);
		if (err)
			return err;
		memcpy(&h, buf, sizeof(h));
		pipeline_feed(p, buf, h.size);
		if (is_flush_due(f, h.kind, ++count))
			pipeline_flush(p);
	}
	if (stopped)
		pipeline_stop(p);
	return count || stopped || pipeline_is_done(p) ? 0 : log_error(-ENODATA, "--read: '%s' is empty", path);
}

int replay_open(FILE **out, const char *path)
{
	*out = strcmp(path, "-") ? fopen(path, "rbe") : stdin;
	return *out ? 0 : log_error(-errno, "--read: cannot open '%s': %s", path, strerror(errno));
}

int replay_run(struct pipeline *p, FILE *f, const char *path)
{
	int err;

	catch_stop();
	err = feed_all(p, f, path);
	if (f != stdin)
		fclose(f);
	return err;
}
