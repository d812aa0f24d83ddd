// SPDX-License-Identifier: MIT
/* links: src/log.c src/util.c */
/* stderr that is slow, blocked or gone: no message waits for its reader, each is delivered or counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define MANY 20000u

/* A process whose stderr is a pipe. */
struct child {
	pid_t pid;
	int fd; /* where it is read */
};

/* Without a descriptor to spare there is no description of our own either. */
static void open_without_own(void)
{
	struct rlimit was, none;

	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	log_notice("message 0");
	setrlimit(RLIMIT_NOFILE, &was);
}

/* @polled: stderr cannot be opened again, as without /proc. */
static struct child start(void (*body)(int go), int *go, bool polled)
{
	int err[2], gate[2];
	struct child c;

	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	assert_int_equal(pipe(gate), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (!c.pid) {
		dup2(err[1], STDERR_FILENO);
		close(err[0]);
		close(err[1]);
		close(gate[1]);
		signal(SIGPIPE, SIG_IGN);
		alarm(30);
		if (polled)
			open_without_own();
		body(gate[0]);
		exit(0);
	}
	close(err[1]);
	close(gate[0]);
	*go = gate[1];
	c.fd = err[0];
	return c;
}

static int wait_child(struct child *c)
{
	int status;

	close(c->fd);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	return status;
}

/* At most so many bytes more; fewer only at its end. */
static void read_some(int fd, struct strbuf *all, size_t most)
{
	char chunk[4096];
	ssize_t n = 1;

	for (size_t got = 0; got < most && n > 0; got += (size_t)n) {
		n = read(fd, chunk, most - got < sizeof(chunk) ? most - got : sizeof(chunk));
		if (n > 0)
			strbuf_add(all, chunk, (size_t)n);
	}
	strbuf_add(all, "", 0);
}

/* Everything until its end. */
static char *read_to_end(int fd)
{
	struct strbuf all = {};

	read_some(fd, &all, SIZE_MAX);
	return all.data;
}

static void wait_for(int go)
{
	char byte;

	while (read(go, &byte, 1) > 0)
		;
}

static void say_many(int go)
{
	(void)go;
	for (unsigned int i = 1; i < MANY; i++)
		log_notice("message %u", i);
	/* It has come here: nothing has waited. */
	kill(getppid(), SIGUSR1);
	wait_for(go);
	log_flush();
	log_notice("message %u", MANY);
}

static volatile sig_atomic_t said;

static void on_said(int signal)
{
	(void)signal;
	said = 1;
}

/* Whole lines in order; those that are missing are told by number. */
static void check_blocked(bool polled)
{
	struct sigaction action = { .sa_handler = on_said };
	unsigned int next = 0, got = 0, discarded = 0, number, tries;
	struct strbuf text = {};
	char *line, *rest;
	struct child c;
	int go;

	said = 0;
	sigaction(SIGUSR1, &action, NULL);
	c = start(say_many, &go, polled);
	for (tries = 0; !said && tries < 2000; tries++)
		usleep(10000);
	assert_true(said);
	/* Its last message finds room. */
	read_some(c.fd, &text, 16384);
	close(go);
	read_some(c.fd, &text, SIZE_MAX);
	for (line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "rebpf: message %u", &number) == 1) {
			assert_true(number >= next);
			next = number + 1;
			got++;
		} else {
			if (sscanf(line, "rebpf: %u messages discarded: stderr was blocked", &number) != 1)
				fail_msg("%s", line);
			discarded += number;
		}
	}
	assert_int_equal(next, MANY + 1);
	assert_int_equal(got + discarded, MANY + polled);
	assert_true(discarded > MANY / 2);
	strbuf_free(&text);
	assert_int_equal(wait_child(&c), 0);
}

static void test_blocked(void **state)
{
	(void)state;
	check_blocked(false);
}

static void test_blocked_polled(void **state)
{
	(void)state;
	check_blocked(true);
}

static void never_read(int go)
{
	(void)go;
	for (unsigned int i = 0; i < MANY; i++)
		log_notice("message %u", i);
}

/* Nobody reads it at all: the end of the program waits for a moment, no longer. */
static void test_never_read(void **state)
{
	uint64_t began_ns = clock_mono_ns();
	int go, status;
	struct child c;

	(void)state;
	c = start(never_read, &go, false);
	assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
	assert_int_equal(status, 0);
	assert_true(clock_mono_ns() - began_ns < 20 * NSEC_PER_SEC);
	close(c.fd);
	close(go);
}

static void say_to_nobody(int go)
{
	wait_for(go);
	never_read(go);
}

static void test_closed(void **state)
{
	struct child c;
	int go;

	(void)state;
	c = start(say_to_nobody, &go, false);
	close(c.fd);
	c.fd = -1;
	close(go);
	assert_int_equal(wait_child(&c), 0);
}

static void warn_much(int go)
{
	(void)go;
	for (unsigned int i = 0; i < 1000; i++)
		log_warning("it happens: %u", i);
	for (unsigned int i = 0; i < 3; i++)
		log_warning("another: %u", i);
	for (unsigned int i = 0; i < 20; i++)
		log_notice("what is asked for: %u", i);
}

/* Five of one kind, then how many more; other kinds are not touched. */
static void test_throttled(void **state)
{
	unsigned int kinds[3] = {}, number, more = 0;
	char *text, *line, *rest, *and;
	struct child c;
	int go;

	(void)state;
	c = start(warn_much, &go, false);
	text = read_to_end(c.fd);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "rebpf: it happens: %u", &number) == 1) {
			kinds[0]++;
			and = strstr(line, " (and ");
			if (and)
				assert_int_equal(sscanf(and, " (and %u more like it)", &more), 1);
			assert_int_equal(number, and ? 999 : kinds[0] - 1);
		}
		kinds[1] += sscanf(line, "rebpf: another: %u", &number) == 1;
		kinds[2] += sscanf(line, "rebpf: what is asked for: %u", &number) == 1;
	}
	assert_int_equal(kinds[0], 6);
	assert_int_equal(kinds[0] + more, 1000);
	assert_int_equal(kinds[1], 3);
	assert_int_equal(kinds[2], 20);
	free(text);
	close(go);
	assert_int_equal(wait_child(&c), 0);
}

static void warn_for_seconds(int go)
{
	uint64_t end_ns = clock_mono_ns() + 4500 * NSEC_PER_MSEC;

	(void)go;
	while (clock_mono_ns() < end_ns) {
		log_warning("it goes on");
		log_flush();
		usleep(10000);
	}
}

/* Five at once, then after one, three and seven seconds, the last at the end. */
static void test_storm(void **state)
{
	unsigned int lines = 0, number, all = 0;
	char *text, *line, *rest, *and;
	struct child c;
	int go;

	(void)state;
	c = start(warn_for_seconds, &go, false);
	text = read_to_end(c.fd);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		and = strstr(line, " (and ");
		lines++;
		all += 1 + (and && sscanf(and, " (and %u more like it)", &number) == 1 ? number : 0);
	}
	assert_in_range(lines, 8, 9);
	assert_in_range(all, 20, 450);
	free(text);
	close(go);
	assert_int_equal(wait_child(&c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocked), cmocka_unit_test(test_blocked_polled),
		cmocka_unit_test(test_never_read), cmocka_unit_test(test_closed),
		cmocka_unit_test(test_throttled), cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
