/* SPDX-License-Identifier: MIT */
/* For tests of the command line: options_parse() with what it prints caught. Include after <cmocka.h>. */
#ifndef REBPF_RUN_OPTIONS_H
#define REBPF_RUN_OPTIONS_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

static struct options opt;
static char out_text[8192], err_text[8192];

static int capture(FILE *to, int fd)
{
	int saved = dup(fd);

	assert_non_null(to);
	fflush(NULL);
	dup2(fileno(to), fd);
	return saved;
}

static void restore(FILE *from, int fd, int saved, char *text, size_t size)
{
	size_t n;

	fflush(NULL);
	dup2(saved, fd);
	close(saved);
	rewind(from);
	n = fread(text, 1, size - 1, from);
	text[n] = '\0';
	fclose(from);
}

static enum options_result parse(const char *const *argv)
{
	FILE *out = tmpfile(), *err = tmpfile();
	int saved_out = capture(out, STDOUT_FILENO), saved_err = capture(err, STDERR_FILENO), argc = 0;
	enum options_result result;

	while (argv[argc])
		argc++;
	memset(&opt, 0xa5, sizeof(opt)); /* options_parse sets everything */
	result = options_parse(&opt, argc, (char **)argv);
	restore(err, STDERR_FILENO, saved_err, err_text, sizeof(err_text));
	restore(out, STDOUT_FILENO, saved_out, out_text, sizeof(out_text));
	return result;
}

#define ARGV(...) ((const char *const[]){"rebpf", ##__VA_ARGS__, NULL})

#define assert_run(...)                                                         \
	do {                                                                    \
		assert_int_equal(parse(ARGV(__VA_ARGS__)), OPTIONS_RUN);        \
		assert_string_equal(err_text, "");                              \
		assert_string_equal(out_text, "");                              \
	} while (0)

#define assert_usage(message, ...)                                              \
	do {                                                                    \
		assert_int_equal(parse(ARGV(__VA_ARGS__)), OPTIONS_EXIT_USAGE); \
		assert_string_equal(err_text, "rebpf: " message "\n");          \
		assert_string_equal(out_text, "");                              \
	} while (0)

/* The same with a message of which only the beginning is known here. */
#define assert_usage_begin(message, ...)                                        \
	do {                                                                    \
		assert_int_equal(parse(ARGV(__VA_ARGS__)), OPTIONS_EXIT_USAGE); \
		assert_memory_equal(err_text, "rebpf: " message, strlen("rebpf: " message)); \
		assert_ptr_equal(strchr(err_text, '\n'), err_text + strlen(err_text) - 1); \
		assert_string_equal(out_text, "");                              \
	} while (0)

#endif
