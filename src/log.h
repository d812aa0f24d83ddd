/* SPDX-License-Identifier: MIT */
/*
 * Everything that is not an event: on stderr, by level. stdout belongs to events. Nothing here waits for a reader of stderr:
 * what it does not take is kept up to 64 KiB, then whole messages are discarded and counted; the end of the program waits
 * for half a second. A warning that comes more than five times within a second is said once a second, then ever more
 * seldom, with how many there were.
 */
#ifndef REBPF_LOG_H
#define REBPF_LOG_H

#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_DEBUG, LOG_TRACE };

/* Shows messages up to @level (default LOG_NOTICE; -q: LOG_WARNING; -v: LOG_DEBUG; -vv: LOG_TRACE). */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* One line "rebpf: ..." on stderr; a line break is added. Control bytes in the text are escaped. */
void log_print(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the message and returns @err, so that an error and its text are one expression. */
int log_error(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whole lines as they are, without a prefix: the statistics. */
void log_report(const char *text, size_t len);

/* Now and then: writes what has been waiting for stderr, and what has been held back for long enough. */
void log_flush(void);

#define log_warning(...) log_print(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_print(LOG_NOTICE, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...) log_print(LOG_TRACE, __VA_ARGS__)

#endif
