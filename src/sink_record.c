// SPDX-License-Identifier: MIT
/*
 * -w FILE, -w - for stdout: the bytes of all records one after another, as they come. The first is a REC_HOST; each says its
 * size (struct rec_header), so the file needs no other frame. An error ends the recording, not the program:
 * what was recorded until then stays readable. A record that could not be kept ends it as well, since a
 * file with a hole would replay as something that never happened.
 */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "output.h"

static bool record_wanted(const struct options *options)
{
	return options->write_path != NULL;
}

static int record_open(struct sink *s, int out_fd)
{
	const char *path = s->options->write_path;

	if (!strcmp(path, "-")) {
		if (isatty(out_fd))
			return log_error(-EINVAL, "--write -: records are no text: stdout must be a pipe or a file");
		s->to_out = true;
		return output_open(&s->out, out_fd, "stdout");
	}
	s->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (s->fd < 0)
		return log_error(-errno, "cannot write to %s: %s", path, strerror(errno));
	return output_open(&s->out, s->fd, path);
}

static void record_stop(struct sink *s, const char *why)
{
	s->stopped = true;
	log_print(LOG_ERROR, "recording to %s ended: %s", s->options->write_path, why);
}

static void record_record(struct sink *s, const struct rec_header *rec)
{
	struct strbuf *b;

	if (s->stopped)
		return;
	b = output_begin(s->out);
	if (b) {
		strbuf_add(b, (const char *)rec, rec->size);
		output_commit(s->out, 1);
	}
	if (output_lost(s->out))
		record_stop(s, "its reader is too slow");
	else if (output_state(s->out))
		s->stopped = true; /* the error has been printed */
}

static void record_finish(struct sink *s)
{
	if (output_finish(s->out, SINK_FINISH_MS) && !s->stopped)
		record_stop(s, "its reader is too slow");
}

static void record_close(struct sink *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

const struct sink_ops sink_record = {
	.wanted = record_wanted,
	.open = record_open,
	.record = record_record,
	.finish = record_finish,
	.close = record_close,
};
