// SPDX-License-Identifier: MIT
/* links: src/httpd.c src/parse.c src/util.c src/log.c -levent_core -levent_extra */
/* The metrics' HTTP server over the loopback device: what it answers, and what clients cannot do to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "httpd.h"
#include "log.h"
#include "parse.h"

static struct event_base *base;
static struct httpd *server;
static struct listen_address at;
static unsigned int pages;
static size_t page_size;

static void make_page(void *ctx, struct strbuf *out)
{
	(void)ctx;
	strbuf_str(out, "page ");
	strbuf_u64(out, ++pages);
	strbuf_char(out, '\n');
	while (out->len < page_size)
		strbuf_str(out, "# 0123456789012345678901234567890123456789\n");
}

static struct sockaddr_in address(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(at.port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* A port that is free now. */
static uint16_t free_port(void)
{
	struct sockaddr_in a = address();
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_port = 0;
	assert_return_code(bind(fd, (struct sockaddr *)&a, sizeof(a)), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&a, &len), errno);
	close(fd);
	return ntohs(a.sin_port);
}

static int set_up(void **state)
{
	char text[16];

	(void)state;
	pages = 0;
	page_size = 0;
	base = event_base_new();
	snprintf(text, sizeof(text), "%u", free_port());
	assert_int_equal(parse_listen(text, &at), 0);
	assert_int_equal(httpd_open(&server, base, &at, make_page, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	httpd_close(server);
	event_base_free(base);
	return 0;
}

static int client(void)
{
	struct sockaddr_in a = address();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_true(!connect(fd, (struct sockaddr *)&a, sizeof(a)) || errno == EINPROGRESS);
	return fd;
}

/* Lets the server work for so long, or until @fd was closed. What it said goes to @out. True: closed. */
static bool pump(int fd, unsigned int ms, struct strbuf *out)
{
	uint64_t end_ns = clock_mono_ns() + ms * NSEC_PER_MSEC;
	char data[65536];
	ssize_t n;

	do {
		event_base_loop(base, EVLOOP_NONBLOCK);
		n = fd < 0 ? -1 : recv(fd, data, sizeof(data), MSG_DONTWAIT);
		if (n > 0)
			strbuf_add(out, data, (size_t)n);
		else if (!n || (fd >= 0 && errno != EAGAIN))
			return true;
		else
			usleep(500);
	} while (clock_mono_ns() < end_ns);
	return false;
}

/* The whole answer to @request, whose connection the server has closed. */
static const char *ask(const char *request)
{
	static struct strbuf out;
	int fd = client();

	strbuf_reset(&out);
	pump(-1, 5, &out);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	assert_true(pump(fd, 3000, &out));
	close(fd);
	return out.data ? out.data : "";
}

static void assert_begins(const char *text, const char *prefix)
{
	if (strncmp(text, prefix, strlen(prefix)) != 0)
		fail_msg("'%.100s' does not begin with '%s'", text, prefix);
}

static void test_get(void **state)
{
	const char *answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");

	(void)state;
	assert_begins(answer, "HTTP/1.1 200 OK\r\n");
	assert_non_null(strstr(answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer, "\r\nContent-Length: 7\r\n"));
	assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(answer, "\r\n\r\npage 1\n"));
	assert_begins(ask("GET /metrics?x=y HTTP/1.0\r\n\r\n"), "HTTP/1.0 200 OK\r\n");
}

static void test_head(void **state)
{
	const char *answer = ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");

	(void)state;
	assert_begins(answer, "HTTP/1.1 200 OK\r\n");
	assert_non_null(strstr(answer, "\r\nContent-Length: 7\r\n"));
	assert_null(strstr(answer, "page"));
}

static void test_others(void **state)
{
	static const char *const methods[] = { "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW" };
	char request[64];

	(void)state;
	assert_begins(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\n");
	assert_begins(ask("GET /metricsx HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 Not Found\r\n");
	assert_begins(ask("GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 ");
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		const char *answer;

		snprintf(request, sizeof(request), "%s /metrics HTTP/1.1\r\nHost: x\r\n\r\n", methods[i]);
		answer = ask(request);
		assert_begins(answer, "HTTP/1.1 405 Method Not Allowed\r\n");
		assert_non_null(strstr(answer, "\r\nAllow: GET, HEAD\r\n"));
	}
	assert_int_equal(pages, 0);
}

static void test_nonsense(void **state)
{
	(void)state;
	ask("\r\n\r\n\r\n");
	ask("nonsense\r\n\r\n");
	ask("GET\r\n\r\n");
	ask("GET /metrics HTTP/9.9\r\n\r\n");
	ask("GET /metrics HTTP/1.1\r\nno colon\r\n\r\n");
	ask("GET http://[::1 HTTP/1.1\r\n\r\n");
	ask("POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n");
	ask("POST /metrics HTTP/1.1\r\nContent-Length: -5\r\n\r\n");
	assert_begins(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 ");
}

/* A header, or a line, without end: refused after so many bytes. */
static void test_too_long(void **state)
{
	char request[2 * HTTPD_MAX_REQUEST] = "GET /metrics HTTP/1.1\r\nX: ";

	(void)state;
	memset(request + strlen(request), 'x', sizeof(request) - strlen(request) - 1);
	assert_begins(ask(request), "HTTP/1.1 4");
	memset(request, 'y', sizeof(request) - 1);
	ask(request);
	assert_begins(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 ");
}

/* Clients that say nothing hold all places for a moment only: the oldest makes room. */
static void test_many_idle(void **state)
{
	int fd[3 * HTTPD_MAX_CONNECTIONS];
	struct strbuf none = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = client();
		pump(-1, 1, &none);
		assert_in_range(httpd_connections(server), 0, HTTPD_MAX_CONNECTIONS);
	}
	pump(-1, 300, &none);
	assert_in_range(httpd_connections(server), 1, HTTPD_MAX_CONNECTIONS);
	assert_begins(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 ");
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	pump(-1, 500, &none);
	assert_int_equal(httpd_connections(server), 0);
	strbuf_free(&none);
}

/* One byte now and then does not prolong it, and a reader that does not read is cut off as well. */
static void test_slow(void **state)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	struct strbuf out = {};
	uint64_t began_ns;
	int slow, stuck, size = 4096;
	bool closed = false;
	size_t sent = 0;

	(void)state;
	page_size = 12u << 20;
	began_ns = clock_mono_ns();
	slow = client();
	stuck = client();
	setsockopt(stuck, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	pump(-1, 10, &out);
	assert_int_equal(send(stuck, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	while (!closed && clock_mono_ns() - began_ns < 2 * HTTPD_MAX_MS * NSEC_PER_MSEC) {
		if (sent < sizeof(request) - 10)
			send(slow, request + sent++, 1, MSG_NOSIGNAL);
		closed = pump(slow, 500, &out);
	}
	assert_true(closed);
	assert_in_range((clock_mono_ns() - began_ns) / NSEC_PER_MSEC, HTTPD_MAX_MS - 100, HTTPD_MAX_MS + 1500);
	pump(-1, 1500, &out);
	assert_int_equal(httpd_connections(server), 0);
	close(slow);
	close(stuck);
	strbuf_free(&out);
}

/* However often it is asked for, the page is made ten times a second. */
static void test_page_is_kept(void **state)
{
	uint64_t began_ns = clock_mono_ns();
	unsigned int asked = 0;

	(void)state;
	for (; clock_mono_ns() - began_ns < 500 * NSEC_PER_MSEC; asked++)
		ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_in_range(pages, 1, 7);
	assert_true(asked > pages);
}

/* The page is not torn by a reader in pieces, nor by a newer page. */
static void test_large_page(void **state)
{
	const char *answer, *body;

	(void)state;
	page_size = 3u << 20;
	answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	body = strstr(answer, "\r\n\r\n");
	assert_non_null(body);
	assert_in_range(strlen(body + 4), page_size, page_size + 100);
}

static void test_busy(void **state)
{
	struct httpd *second = NULL;

	(void)state;
	log_set_level(LOG_ERROR);
	assert_int_equal(httpd_open(&second, base, &at, make_page, NULL), -EADDRINUSE);
	assert_null(second);
	at.addr[0] = 203;
	at.addr[2] = 113;
	assert_int_equal(httpd_open(&second, base, &at, make_page, NULL), -EADDRNOTAVAIL);
}

static void test_address(void **state)
{
	static const struct {
		const char *text, *shown;
	} good[] = {
		{ "2112", "127.0.0.1:2112" },      { ":2112", "127.0.0.1:2112" }, { "0.0.0.0:1", "0.0.0.0:1" },
		{ "10.1.2.3:65535", "10.1.2.3:65535" }, { "[::1]:2112", "[::1]:2112" },  { "[::]:80", "[::]:80" },
	};
	static const char *const bad[] = {
		"", ":", "0", "65536", "x", "localhost:80", "1.2.3:80", "::1:80", "[::1]", "[::1]80", "[1.2.3.4]:80",
		"1.2.3.4:", "1.2.3.4:x", "[]:80", "[:80", "]:80", "1.2.3.4:80 ", " 80", "-1", "[::1]]:80",
		"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20:80",
	};
	struct listen_address a = { .port = 7 };
	struct strbuf text = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_listen(bad[i], &a), -EINVAL);
	assert_int_equal(a.port, 7);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		strbuf_reset(&text);
		assert_int_equal(parse_listen(good[i].text, &a), 0);
		listen_address_text(&a, &text);
		assert_string_equal(text.data, good[i].shown);
	}
	strbuf_free(&text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_get),	     TEST(test_head), TEST(test_others),	TEST(test_nonsense),   TEST(test_too_long),
		TEST(test_many_idle), TEST(test_slow), TEST(test_page_is_kept), TEST(test_large_page), TEST(test_busy),
		TEST(test_address),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
