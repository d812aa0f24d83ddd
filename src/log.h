/* SPDX-License-Identifier: MIT */
/* Everything that is not an event: on stderr, by level. stdout belongs to events. */
#ifndef REBPF_LOG_H
#define REBPF_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_DEBUG, LOG_TRACE };

/* Shows messages up to @level (default LOG_NOTICE; -q: LOG_WARNING; -v: LOG_DEBUG; -vv: LOG_TRACE). */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* One line "rebpf: ..." on stderr; a line break is added. Control bytes in the text are escaped. */
void log_print(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the message and returns @err, so that an error and its text are one expression. */
int log_error(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_warning(...) log_print(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_print(LOG_NOTICE, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...) log_print(LOG_TRACE, __VA_ARGS__)

#endif
