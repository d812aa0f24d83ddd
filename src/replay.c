// SPDX-License-Identifier: MIT
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "decode.h"
#include "log.h"

#define FLUSH_EVERY 1024 /* records */

/* The body of one record after its header. Bounded by the width of rec_header.size. */
static int read_record(FILE *f, unsigned char *buf, size_t size, bool *end)
{
	struct rec_header h;
	size_t n = fread(&h, 1, sizeof(h), f);

	*end = n == 0 && !ferror(f);
	if (*end)
		return 0;
	if (n != sizeof(h) || h.size < sizeof(h) || h.size > size)
		return ferror(f) ? -errno : -EBADMSG;
	memcpy(buf, &h, sizeof(h));
	n = fread(buf + sizeof(h), 1, h.size - sizeof(h), f);
	if (n != h.size - sizeof(h))
		return ferror(f) ? -errno : -EPIPE;
	return 0;
}

static int check_host(const char *path, const unsigned char *buf)
{
	union record r;
	struct rec_header h;

	memcpy(&h, buf, sizeof(h));
	if (decode_record(&r, buf, h.size) || r.h.kind != REC_HOST)
		return log_error(-EBADMSG, "--read: '%s' is not a recording of rebpf", path);
	if (r.rec_host.format != REBPF_FORMAT)
		return log_error(-EPROTONOSUPPORT, "--read: '%s' has format %u, this rebpf reads format %u", path,
				 r.rec_host.format, REBPF_FORMAT);
	return 0;
}

static int feed_all(struct pipeline *p, FILE *f, const char *path)
{
	static unsigned char buf[UINT16_MAX];
	size_t count = 0;
	bool end = false;
	int err = 0;

	while (!err && !pipeline_is_done(p)) {
		struct rec_header h;

		err = read_record(f, buf, sizeof(buf), &end);
		if (end)
			break;
		memcpy(&h, buf, sizeof(h));
		if (!count && (err == -EBADMSG || (err == -EPIPE && h.kind != REC_HOST)))
			return log_error(err, "--read: '%s' is not a recording of rebpf", path);
		if (err == -EBADMSG || err == -EPIPE)
			return log_error(err, "--read: '%s' is cut or damaged after %zu records", path, count);
		if (err)
			return log_error(err, "--read: cannot read '%s': %s", path, strerror(-err));
		if (!count)
			err = check_host(path, buf);
		if (err)
			return err;
		pipeline_feed(p, buf, h.size);
		if (++count % FLUSH_EVERY == 0)
			pipeline_flush(p);
	}
	return count || pipeline_is_done(p) ? 0 : log_error(-ENODATA, "--read: '%s' is empty", path);
}

int replay_run(struct pipeline *p, const char *path)
{
	bool is_stdin = !strcmp(path, "-");
	FILE *f = is_stdin ? stdin : fopen(path, "rbe");
	int err;

	if (!f)
		return log_error(-errno, "--read: cannot open '%s': %s", path, strerror(errno));
	err = feed_all(p, f, path);
	if (!is_stdin)
		fclose(f);
	return err;
}
