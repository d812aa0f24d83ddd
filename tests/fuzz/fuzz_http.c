// SPDX-License-Identifier: MIT
/* links: tests/fuzz/fuzz.c tests/fuzz/check.c src/util.c src/log.c -levent_core -levent_extra */
/*
 * Arbitrary bytes as what an HTTP client sends, over the loopback device. The first byte says how: in pieces of so many
 * bytes (0: at once; 128 and more: and then shuts down). Whatever is answered is one answer, as long as it says, and the
 * page goes to nobody who did not ask for it. The source is included for the sweep, which must not wait for its time.
 */
#include "httpd.c"

#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define PAGE "rebpf_page 1\n"
#define ROUNDS 200

static struct event_base *base;
static struct httpd *server;
static struct sockaddr_in where = { .sin_family = AF_INET };

static void make_page(void *ctx, struct strbuf *out)
{
	(void)ctx;
	strbuf_str(out, PAGE);
}

/* On a port that is free now, and perhaps no longer: another is tried then. */
static void set_up(void)
{
	struct listen_address at = { .addr = { 127, 0, 0, 1 }, .ip_version = 4 };
	socklen_t len = sizeof(where);

	base = event_base_new();
	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int try = 0; base && !server && try < 10; try++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		where.sin_port = 0;
		if (fd < 0 || bind(fd, (struct sockaddr *)&where, len) || getsockname(fd, (struct sockaddr *)&where, &len))
			abort();
		close(fd);
		at.port = ntohs(where.sin_port);
		httpd_open(&server, base, &at, make_page, NULL);
	}
	if (!server)
		abort();
}

static int client(void)
{
	const struct linger reset = { .l_onoff = 1 }; /* no TIME_WAIT */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
	    (connect(fd, (struct sockaddr *)&where, sizeof(where)) && errno != EINPROGRESS))
		abort();
	return fd;
}

/* Lets the server work, and takes what it says. False: it has closed. */
static bool pump(int fd, struct strbuf *out)
{
	char data[4096];
	ssize_t n;

	event_base_loop(base, EVLOOP_NONBLOCK);
	while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		strbuf_add(out, data, (size_t)n);
	return n < 0 && errno == EAGAIN;
}

static bool has_word(const uint8_t *data, size_t size, const char *word)
{
	return memmem(data, size, word, strlen(word));
}

static void check_answer(const struct strbuf *out, const uint8_t *data, size_t size)
{
	static const char go_on[] = " 100 Continue\r\n\r\n";
	const char *text = out->data, *body, *length;
	size_t version = out->len ? strcspn(text, " ") : 0;

	/* To "Expect: 100-continue"; the answer is still to come, if the body does. */
	if (out->len && !strncmp(text + version, go_on, sizeof(go_on) - 1))
		text += version + sizeof(go_on) - 1;
	if (!out->len || !*text)
		return;
	body = strstr(text, "\r\n\r\n");
	length = strcasestr(text, "\r\nContent-Length: ");
	/* Of the version that evhttp was asked in, whatever that is. */
	if (strlen(out->data) != out->len || strncmp(text, "HTTP/", 5) || !body)
		fuzz_fail("no answer", out->data, out->len);
	body += 4;
	/* What evhttp itself refuses has no length: it ends with the connection. */
	if (length && length < body && *body && strtoul(length + 18, NULL, 10) != strlen(body))
		fuzz_fail("an answer of another length", out->data, out->len);
	if ((!length || length > body) && !strcasestr(text, "\r\nConnection: close\r\n"))
		fuzz_fail("an answer without an end", out->data, out->len);
	if (strstr(out->data, PAGE) && (!has_word(data, size, "GET") || !has_word(data, size, "metrics")))
		fuzz_fail("a page for nobody", out->data, out->len);
	for (const char *p = out->data; *p; p++)
		if ((*p < ' ' && *p != '\r' && *p != '\n') || *p > '~')
			fuzz_fail("an answer in control bytes", out->data, out->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { data, size };
	uint8_t how = take_byte(&in);
	size_t piece = how % 128 ? how % 128 : size, len;
	struct strbuf out = {};
	bool open = true;
	int fd;

	if (!server)
		set_up();
	log_set_level(LOG_TRACE);
	fuzz_stderr_begin();
	fd = client();
	while (open && in.left) {
		const uint8_t *at = take(&in, piece, &len);

		if (send(fd, at, len, MSG_NOSIGNAL) < 0)
			break;
		open = pump(fd, &out);
	}
	if (how >= 128)
		shutdown(fd, SHUT_WR);
	for (int i = 0; open && i < 3; i++)
		open = pump(fd, &out);
	close(fd);
	/* The server finds it closed. */
	for (int i = 0; i < ROUNDS && httpd_connections(server); i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		on_sweep(-1, 0, server);
	}
	if (httpd_connections(server))
		fuzz_fail("a connection that does not end", (const char *)data, size);
	on_sweep(-1, 0, server);
	fuzz_stderr_end();
	check_answer(&out, data, size);
	strbuf_free(&out);
	return 0;
}
