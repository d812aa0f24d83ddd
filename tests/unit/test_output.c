// SPDX-License-Identifier: MIT
/* links: src/field.c src/event.c src/ev_retransmit.c src/ev_drop.c src/ev_connect.c src/ev_spurious.c src/ev_stats.c src/output.c src/sink.c src/sink_text.c src/sink_json.c src/sink_record.c src/sink_metrics.c src/metrics.c src/series.c src/decode.c src/places.c src/names.c src/reasons.c src/meaning.c src/meaning_table.c src/meaning_places.c src/util.c src/log.c src/summary.c src/summary_json.c src/topk.c src/quantile.c src/sink_summary.c */
/* Readers that are slow, gone, full or a terminal: nothing blocks, and every line is delivered or counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event.h"
#include "log.h"
#include "meaning.h"
#include "output.h"
#include "sink.h"
#include "util.h"

/* Line @n is its number in nine digits: a whole line is told from a torn one, and a missing one is seen. */
#define LINE_LEN 10

static void put_line(struct output *o, uint64_t n)
{
	struct strbuf *b = output_begin(o);

	if (!b)
		return;
	strbuf_pad0(b, n, LINE_LEN - 1);
	strbuf_char(b, '\n');
	output_commit(o, 1);
}

/* A reader: what it has of an unfinished line, and the least number that the next line may have. */
struct reader {
	int fd;
	char data[1 << 16];
	size_t have;
	uint64_t next;
};

/* Reads what is there without waiting, checks that lines are whole and in order, returns how many. */
static uint64_t take_lines(struct reader *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	uint64_t count = 0, n;
	size_t at;
	ssize_t got;

	while (poll(&p, 1, 0) > 0) {
		got = read(r->fd, r->data + r->have, sizeof(r->data) - r->have);
		if (got <= 0)
			break;
		r->have += (size_t)got;
		for (at = 0; at + LINE_LEN <= r->have; at += LINE_LEN) {
			assert_int_equal(strspn(r->data + at, "0123456789"), LINE_LEN - 1);
			assert_int_equal(r->data[at + LINE_LEN - 1], '\n');
			n = strtoull(r->data + at, NULL, 10);
			assert_true(n >= r->next);
			r->next = n + 1;
			count++;
		}
		r->have -= at;
		memmove(r->data, r->data + at, r->have);
	}
	return count;
}

enum stream { STREAM_PIPE, STREAM_SOCKET, STREAM_POLLED };

/* Whatever we do to our end, the one that the shell shares stays as it was. */
static void open_stream(enum stream kind, int fds[2], struct output **o)
{
	struct rlimit was, none;

	if (kind == STREAM_SOCKET)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	else
		assert_int_equal(pipe(fds), 0);
	/* Without a descriptor to spare there is no description of our own either. */
	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = 3;
	if (kind == STREAM_POLLED)
		setrlimit(RLIMIT_NOFILE, &none);
	assert_int_equal(output_open(o, fds[1], "test"), 0);
	setrlimit(RLIMIT_NOFILE, &was);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
}

/* A reader that does not read: the writer goes on, and afterwards delivered + lost = written. */
static void check_full(enum stream kind)
{
	const uint64_t total = 3 * OUTPUT_BACKLOG_MAX / LINE_LEN;
	struct reader r = {0};
	uint64_t i, taken = 0;
	struct output *o = NULL;
	int fds[2];

	open_stream(kind, fds, &o);
	r.fd = fds[0];
	for (i = 0; i < total; i++)
		put_line(o, i);
	output_flush(o);
	output_check_closed(o);
	assert_int_equal(output_state(o), 0);
	assert_true(output_lost(o) > total / 2);
	assert_int_equal(output_lines(o) + output_lost(o), total);
	/* What was kept is the oldest of it. */
	for (;;) {
		i = take_lines(&r);
		taken += i;
		if (!i)
			break;
		output_flush(o);
	}
	assert_int_equal(r.have, 0);
	assert_int_equal(r.next, taken);
	assert_int_equal(taken, output_lines(o));
	assert_int_equal(output_bytes(o), taken * LINE_LEN);
	/* It writes again. */
	put_line(o, total);
	output_flush(o);
	assert_int_equal(take_lines(&r), 1);
	assert_int_equal(r.next, total + 1);
	output_close(o);
	close(fds[0]);
	close(fds[1]);
}

static void test_full_pipe(void **state)
{
	(void)state;
	check_full(STREAM_PIPE);
}

static void test_full_socket(void **state)
{
	(void)state;
	check_full(STREAM_SOCKET);
}

static void test_full_polled_pipe(void **state)
{
	(void)state;
	check_full(STREAM_POLLED);
}

/* A reader that is merely slow loses nothing. */
static void test_slow_reader(void **state)
{
	struct reader r = {0};
	uint64_t i, taken = 0;
	struct output *o = NULL;
	int fds[2];

	(void)state;
	open_stream(STREAM_PIPE, fds, &o);
	r.fd = fds[0];
	for (i = 0; i < 1000000; i++) {
		put_line(o, i);
		if (i % 5000 == 0)
			taken += take_lines(&r);
	}
	while (taken < 1000000) {
		output_flush(o);
		taken += take_lines(&r);
	}
	assert_int_equal(r.next, 1000000);
	assert_int_equal(output_lost(o), 0);
	output_close(o);
	close(fds[0]);
	close(fds[1]);
}

static void test_finish_gives_up(void **state)
{
	struct output *o = NULL;
	uint64_t i, start, took;
	int fds[2];

	(void)state;
	open_stream(STREAM_PIPE, fds, &o);
	for (i = 0; i < 100000; i++)
		put_line(o, i);
	start = clock_mono_ns();
	assert_true(output_finish(o, 50) > 0);
	took = clock_mono_ns() - start;
	assert_true(took >= 50 * NSEC_PER_MSEC && took < 5 * NSEC_PER_SEC);
	assert_int_equal(output_lines(o) + output_lost(o), 100000);
	assert_int_equal(output_lines(o), output_bytes(o) / LINE_LEN);
	assert_int_equal(output_finish(o, 50), 0);
	output_close(o);
	close(fds[0]);
	close(fds[1]);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* As long as it takes, but for a signal, or until nobody reads. */
static void test_wait(void **state)
{
	struct itimerval soon = { .it_value.tv_usec = 50000 }, never = {};
	struct sigaction action = { .sa_handler = on_alarm };
	struct output *o = NULL;
	int fds[2], status;
	char buf[4096];
	pid_t reader;

	(void)state;
	open_stream(STREAM_PIPE, fds, &o);
	for (uint64_t i = 0; i < 100000; i++)
		put_line(o, i);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	output_wait(o);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	assert_true(output_bytes(o) < 100000 * LINE_LEN);
	assert_int_equal(output_lost(o), 0);

	reader = fork();
	if (!reader) {
		usleep(100000);
		for (uint64_t left = 100000 * LINE_LEN; left;) {
			ssize_t n = read(fds[0], buf, sizeof(buf));

			if (n <= 0)
				_exit(1);
			left -= (uint64_t)n;
		}
		_exit(0);
	}
	output_wait(o);
	assert_int_equal(output_bytes(o), 100000 * LINE_LEN);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_int_equal(status, 0);

	for (uint64_t i = 0; i < 100000; i++)
		put_line(o, i);
	close(fds[0]);
	output_wait(o);
	assert_int_equal(output_state(o), 1);
	output_close(o);
	close(fds[1]);
	alarm(60);
}

static void check_closed(enum stream kind)
{
	struct output *o = NULL;
	int fds[2];

	/* Found without anything to write. */
	open_stream(kind, fds, &o);
	output_check_closed(o);
	assert_int_equal(output_state(o), 0);
	close(fds[0]);
	output_check_closed(o);
	assert_int_equal(output_state(o), 1);
	assert_null(output_begin(o));
	assert_int_equal(output_lost(o), 0);
	output_close(o);
	close(fds[1]);

	/* Found by writing. */
	open_stream(kind, fds, &o);
	close(fds[0]);
	put_line(o, 1);
	output_flush(o);
	assert_int_equal(output_state(o), 1);
	assert_int_equal(output_finish(o, 1000), 0);
	output_close(o);
	close(fds[1]);
}

static void test_closed(void **state)
{
	(void)state;
	check_closed(STREAM_PIPE);
	check_closed(STREAM_SOCKET);
	check_closed(STREAM_POLLED);
}

/* ---- messages ---- */

static int stderr_was, stderr_file;

static void catch_stderr(void)
{
	char path[] = "/tmp/rebpf-test-XXXXXX";

	fflush(stderr);
	stderr_was = dup(STDERR_FILENO);
	stderr_file = mkstemp(path);
	assert_true(stderr_file >= 0);
	unlink(path);
	dup2(stderr_file, STDERR_FILENO);
}

static const char *caught_stderr(void)
{
	static char text[4096];
	ssize_t n = pread(stderr_file, text, sizeof(text) - 1, 0);

	dup2(stderr_was, STDERR_FILENO);
	close(stderr_was);
	close(stderr_file);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void test_full_disk(void **state)
{
	struct output *o = NULL;
	int fd = open("/dev/full", O_WRONLY);

	(void)state;
	assert_int_equal(output_open(&o, fd, "stdout"), 0);
	assert_false(output_is_terminal(o));
	put_line(o, 1);
	catch_stderr();
	output_flush(o);
	put_line(o, 2);
	output_flush(o);
	assert_int_equal(output_finish(o, 1000), 0);
	assert_string_equal(caught_stderr(), "rebpf: cannot write to stdout: No space left on device\n");
	assert_int_equal(output_state(o), -ENOSPC);
	output_close(o);
	close(fd);

	catch_stderr();
	assert_int_equal(output_open(&o, -1, "stdout"), -EBADF);
	assert_string_equal(caught_stderr(), "rebpf: cannot write to stdout: Bad file descriptor\n");
	output_close(NULL);
}

/* ---- which sink gets what ---- */

static struct event some_event(void)
{
	struct event e = { .kind = EV_RETRANSMIT };

	e.retransmit.c.flow.ip_version = 4;
	e.retransmit.outcome = RTX_OUTCOME_DROPPED;
	return e;
}

static void test_formats(void **state)
{
	struct options o = { .format = OUTPUT_NONE };
	struct event e = some_event(), stats = { .kind = EV_STATS };
	struct sinks *s = NULL;
	uint64_t bytes;

	(void)state;
	assert_int_equal(sinks_open(&s, &o, -1), 0);
	assert_true(sinks_want_events(s));
	assert_false(sinks_want_records(s));
	sinks_event(s, &e);
	sinks_event(s, &stats);
	sinks_flush(s);
	sinks_check_closed(s);
	assert_int_equal(sinks_state(s), 0);
	assert_int_equal(sinks_lines(s), 1);
	bytes = sinks_bytes(s);
	assert_true(bytes > 100);
	sinks_event(s, &e);
	sinks_finish(s);
	assert_int_equal(sinks_bytes(s), 2 * bytes);
	sinks_close(s);

	o.format = OUTPUT_COUNT_ONLY;
	assert_int_equal(sinks_open(&s, &o, -1), 0);
	assert_false(sinks_want_events(s));
	sinks_event(s, &e);
	sinks_check_closed(s);
	sinks_finish(s);
	assert_int_equal(sinks_lines(s) + sinks_lines_lost(s) + sinks_bytes(s), 0);
	assert_int_equal(sinks_state(s), 0);
	sinks_close(s);
	sinks_close(NULL);
}

/* What one event gives on a pipe or a terminal. */
static const char *shown_on(int master, int slave, const struct options *o, const struct event *e)
{
	static char text[8192];
	struct pollfd p = { .fd = master, .events = POLLIN };
	struct sinks *s = NULL;
	size_t len = 0;
	ssize_t n;

	assert_int_equal(sinks_open(&s, o, slave), 0);
	if (e)
		sinks_event(s, e);
	sinks_flush(s);
	while (poll(&p, 1, 100) > 0 && (n = read(master, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	sinks_close(s);
	return text;
}

static void open_terminal(int *master, int *slave)
{
	*slave = -1;
	*master = posix_openpt(O_RDWR | O_NOCTTY);
	if (*master >= 0 && !grantpt(*master) && !unlockpt(*master))
		*slave = open(ptsname(*master), O_RDWR | O_NOCTTY);
	if (*slave < 0)
		skip();
}

static void test_terminal(void **state)
{
	static const char header[] = "TIME            EVENT      PID     COMM       SOURCE > DESTINATION\r\n";
	struct options o = { .format = OUTPUT_TEXT };
	struct event e = some_event();
	struct output *out = NULL;
	int master, slave;

	(void)state;
	open_terminal(&master, &slave);
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	/* The header comes before any event; colour by itself. */
	assert_string_equal(shown_on(master, slave, &o, NULL), header);
	assert_non_null(strstr(shown_on(master, slave, &o, &e), " outcome=\033[1;31mdropped\033[0m "));
	setenv("NO_COLOR", "", 1);
	assert_non_null(strchr(shown_on(master, slave, &o, &e), '\033'));
	setenv("NO_COLOR", "1", 1);
	assert_null(strchr(shown_on(master, slave, &o, &e), '\033'));
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	assert_null(strchr(shown_on(master, slave, &o, &e), '\033'));
	setenv("TERM", "xterm", 1);
	o.color = COLOR_NEVER;
	assert_null(strchr(shown_on(master, slave, &o, &e), '\033'));
	o.format = OUTPUT_JSON;
	assert_string_equal(shown_on(master, slave, &o, NULL), "");
	assert_int_equal(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);

	/* A window that is closed is a reader that has gone. */
	assert_int_equal(output_open(&out, slave, "stdout"), 0);
	close(master);
	output_check_closed(out);
	assert_int_equal(output_state(out), 1);
	output_close(out);
	close(slave);
}

/* ---- folding ---- */

static const struct drop_meaning by_rule = { .reason = "NETFILTER_DROP", .meaning = "a rule dropped it" };

static struct event policy_drop(uint64_t ms, uint64_t offset)
{
	struct event e = { .kind = EV_DROP, .mono_ns = ms * NSEC_PER_MSEC };

	e.drop.meaning = &by_rule;
	e.drop.place.known = true;
	e.drop.place.class = DROP_CLASS_POLICY;
	e.drop.place.offset = offset;
	strcpy(e.drop.place.reason, "NETFILTER_DROP");
	strcpy(e.drop.place.symbol, "nft_do_chain");
	strcpy(e.drop.place.module, "nf_tables");
	return e;
}

static struct sinks *folding;
static int folding_master, folding_slave;

static void fold_start(void)
{
	static const struct options o = { .format = OUTPUT_TEXT, .color = COLOR_NEVER };

	open_terminal(&folding_master, &folding_slave);
	assert_int_equal(sinks_open(&folding, &o, folding_slave), 0);
}

static void fold_stop(void)
{
	sinks_close(folding);
	close(folding_master);
	close(folding_slave);
}

static void give(struct event e, unsigned int count)
{
	while (count--)
		sinks_event(folding, &e);
}

/* What the terminal shows since the last time: how many lines of drops, and the other lines as they are. */
static unsigned int fold_read(char *others, size_t size)
{
	static char text[1 << 16];
	struct pollfd p = { .fd = folding_master, .events = POLLIN };
	unsigned int drops = 0;
	size_t len = 0;
	ssize_t n;
	char *line;

	for (;;) {
		sinks_flush(folding); /* a terminal takes 4 KiB at once */
		if (poll(&p, 1, 100) <= 0)
			break;
		n = read(folding_master, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	others[0] = '\0';
	for (line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
		if (strstr(line, " DROP "))
			drops++;
		else if (strncmp(line, "TIME ", 5))
			snprintf(others + strlen(others), size - strlen(others), "%s|", line);
	}
	return drops;
}

static void assert_shows(unsigned int drops, const char *others)
{
	char text[4096];

	assert_int_equal(fold_read(text, sizeof(text)), drops);
	assert_string_equal(text, others);
}

static void test_fold(void **state)
{
	struct event bad = policy_drop(1500, 0x12);

	(void)state;
	fold_start();
	/* Five are shown, of each place. */
	give(policy_drop(1000, 0x12), 5);
	assert_shows(5, "");
	give(policy_drop(1100, 0x12), 1234);
	give(policy_drop(1200, 0x34), 6);
	assert_shows(5, "");
	/* Other classes are never folded. */
	bad.drop.place.class = DROP_CLASS_BAD;
	give(bad, 20);
	assert_shows(20, "");
	/* One that comes late counts for the present second; the next second ends it, before its own line. */
	give(policy_drop(900, 0x34), 1);
	give(policy_drop(2000, 0x12), 6);
	assert_shows(5, "... 1,234 more NETFILTER_DROP at nft_do_chain+0x12[nf_tables]|"
			"... 2 more NETFILTER_DROP at nft_do_chain+0x34[nf_tables]|");
	/* Any event does. */
	bad.mono_ns = 3 * NSEC_PER_SEC;
	give(bad, 1);
	assert_shows(1, "... 1 more NETFILTER_DROP at nft_do_chain+0x12[nf_tables]|");
	/* The end of the program, too. */
	give(policy_drop(3100, 0x12), 1000005);
	assert_shows(5, "");
	sinks_finish(folding);
	assert_shows(0, "... 1,000,000 more NETFILTER_DROP at nft_do_chain+0x12[nf_tables]|");
	assert_int_equal(sinks_lines(folding), 41);
	fold_stop();
}

/* With nothing else to come, a flush a second later shows it. */
static void test_fold_flush(void **state)
{
	uint64_t start = clock_mono_ns();
	struct event e = policy_drop(1000, 0x12);
	char others[256];

	(void)state;
	fold_start();
	e.drop.place.reason[0] = '\0';
	give(e, 7);
	assert_shows(5, "");
	do {
		assert_int_equal(fold_read(others, sizeof(others)), 0);
	} while (!others[0] && clock_mono_ns() - start < 10 * NSEC_PER_SEC);
	assert_true(clock_mono_ns() - start >= NSEC_PER_SEC);
	assert_string_equal(others, "... 2 more drops at nft_do_chain+0x12[nf_tables]|");
	assert_shows(0, "");
	fold_stop();
}

/* More places than are told apart: nothing is hidden. Names are escaped. */
static void test_fold_bounds(void **state)
{
	struct event e = policy_drop(1000, 0);
	unsigned int i;

	(void)state;
	fold_start();
	for (i = 0; i < 64; i++)
		give(policy_drop(1000, i), 1);
	give(policy_drop(1000, 99), 20);
	assert_shows(64 + 20, "");
	give(policy_drop(1000, 63), 20);
	assert_shows(4, "");
	memcpy(e.drop.place.reason, "A \033B", 5);
	memset(e.drop.place.symbol, '\n', sizeof(e.drop.place.symbol));
	memset(e.drop.place.module, '\0', sizeof(e.drop.place.module));
	e.drop.place.symbol[1] = '\0';
	e.mono_ns = 2 * NSEC_PER_SEC;
	give(e, 6);
	e.drop.place.symbol[0] = '\0';
	strcpy(e.drop.place.reason, "BY_US");
	give(e, 6);
	sinks_finish(folding);
	assert_shows(10, "... 16 more NETFILTER_DROP at nft_do_chain+0x3f[nf_tables]|"
			"... 1 more A\\x20\\x1bB at \\x0a+0x0|... 1 more BY_US|");
	fold_stop();
}

/* Never in a pipe. */
static void test_fold_pipe(void **state)
{
	struct options o = { .format = OUTPUT_TEXT };
	struct event e = policy_drop(1000, 0x12);
	struct sinks *s = NULL;
	int fds[2], i;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(sinks_open(&s, &o, fds[1]), 0);
	for (i = 0; i < 100; i++)
		sinks_event(s, &e);
	sinks_finish(s);
	assert_int_equal(sinks_lines(s), 100);
	sinks_close(s);
	close(fds[0]);
	close(fds[1]);
}

/* Somebody has stopped the terminal (Ctrl-S), or it shows lines more slowly than they come. */
static void test_stopped_terminal(void **state)
{
	struct output *o = NULL;
	int master, slave;
	uint64_t i;

	(void)state;
	open_terminal(&master, &slave);
	assert_int_equal(output_open(&o, slave, "stdout"), 0);
	assert_true(output_is_terminal(o));
	for (i = 0; i < 200000; i++)
		put_line(o, i);
	assert_int_equal(output_lost(o), 0);
	assert_true(output_bytes(o) < 200000 * LINE_LEN);
	output_close(o);
	close(master);
	close(slave);
}

static const struct rec_host host = { .h = { .kind = REC_HOST, .size = sizeof(host) }, .format = REBPF_FORMAT };
static const struct rec_tick tick = { .h = { .kind = REC_TICK, .size = sizeof(tick) }, .produced = 0x0a0a };

static void test_record(void **state)
{
	char path[] = "/tmp/rebpf-test-XXXXXX", back[4096];
	struct options o = { .format = OUTPUT_NONE, .write_path = path };
	struct sinks *s = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(sinks_open(&s, &o, -1), 0);
	assert_true(sinks_want_records(s));
	sinks_record(s, &host.h);
	sinks_record(s, &tick.h);
	sinks_finish(s);
	assert_int_equal(sinks_lines(s), 0); /* of events there were none */
	sinks_close(s);
	assert_int_equal(read(fd, back, sizeof(back)), sizeof(host) + sizeof(tick));
	assert_memory_equal(back, &host, sizeof(host));
	assert_memory_equal(back + sizeof(host), &tick, sizeof(tick));
	close(fd);
	unlink(path);
}

/* A recording that cannot go on says so once; the events do go on. */
static void test_record_fails(void **state)
{
	struct options o = { .format = OUTPUT_NONE, .write_path = "/dev/full" };
	struct event e = some_event();
	struct sinks *s = NULL;
	unsigned int i;

	(void)state;
	assert_int_equal(sinks_open(&s, &o, -1), 0);
	catch_stderr();
	for (i = 0; i < 100; i++) {
		sinks_record(s, i ? &tick.h : &host.h);
		sinks_event(s, &e);
		sinks_flush(s);
	}
	sinks_finish(s);
	assert_string_equal(caught_stderr(), "rebpf: cannot write to /dev/full: No space left on device\n");
	assert_false(sinks_want_records(s));
	assert_int_equal(sinks_state(s), 0);
	assert_int_equal(sinks_lines(s), 100);
	sinks_close(s);

	o.write_path = "/nowhere/file";
	catch_stderr();
	assert_int_equal(sinks_open(&s, &o, -1), -ENOENT);
	assert_string_equal(caught_stderr(), "rebpf: cannot write to /nowhere/file: No such file or directory\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_full_socket),
		cmocka_unit_test(test_full_polled_pipe),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_finish_gives_up),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_stopped_terminal),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_fold_flush),
		cmocka_unit_test(test_fold_bounds),
		cmocka_unit_test(test_fold_pipe),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_record_fails),
	};

	signal(SIGPIPE, SIG_IGN);
	/* Something that blocks ends the test instead of hanging it. */
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
