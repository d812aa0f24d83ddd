// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

static enum log_level shown = LOG_NOTICE;

void log_set_level(enum log_level level)
{
	shown = level;
}

enum log_level log_get_level(void)
{
	return shown;
}

/* One write, so that lines of several processes on one terminal or file do not mix. */
static void write_stderr(const char *p, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(STDERR_FILENO, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
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
	write_stderr(line.data ? line.data : "", line.len);
	strbuf_free(&line);
}

static __attribute__((format(printf, 1, 0))) void log_vprint(const char *fmt, va_list ap)
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
	if (text)
		write_line(text, n < 0 ? 0 : (size_t)n);
	else
		write_line(small, sizeof(small) - 1);
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
	log_vprint(fmt, ap);
	va_end(ap);
}

int log_error(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vprint(fmt, ap);
	va_end(ap);
	return err;
}
