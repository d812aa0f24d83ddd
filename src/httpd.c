// SPDX-License-Identifier: MIT
#include "httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "log.h"

#define SWEEP_MS 100
#define BACKLOG 64

static const char content_type[] = "text/plain; version=0.0.4; charset=utf-8";
static const char landing[] = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>rebpf</title></head>\n"
			      "<body><h1>rebpf</h1><p><a href=\"/metrics\">Metrics</a></p></body></html>\n";

/*
 * A connection, from its bufferevent to the sweep that finds it ended. evhttp says neither how many it has nor when one
 * ends, and its time-out starts anew with every byte: so each bufferevent is made here and a reference to it is kept. That
 * evhttp is done with it shows in its callbacks: they are gone. The socket closes with the reference.
 */
struct connection {
	struct bufferevent *bev; /* NULL: free */
	uint64_t began_ns;
	bool cut; /* evhttp will find it closed */
};

/* Text that answers under way share; freed with the last of them. */
struct page {
	unsigned int refs;
	uint64_t made_ns, valid_ns;
	struct strbuf text;
};

struct httpd {
	struct event_base *base;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct event *sweep;
	struct connection connection[HTTPD_MAX_CONNECTIONS];
	unsigned int open, accepted; /* now; since the last sweep */
	struct page *page;
	httpd_page_fn *make;
	void *ctx;
};

void listen_address_text(const struct listen_address *at, struct strbuf *out)
{
	if (at->ip_version == 6)
		strbuf_char(out, '[');
	strbuf_addr(out, at->addr, at->ip_version);
	if (at->ip_version == 6)
		strbuf_char(out, ']');
	strbuf_char(out, ':');
	strbuf_u64(out, at->port);
}

/* ---- connections ---- */

static bool has_ended(struct bufferevent *bev)
{
	bufferevent_data_cb read = NULL, write = NULL;
	bufferevent_event_cb event = NULL;

	bufferevent_getcb(bev, &read, &write, &event, NULL);
	return !read && !write && !event;
}

/* Makes evhttp find it closed, which is how it comes to free it. Nothing waits to be sent any more. */
static void cut_off(struct connection *c)
{
	const struct linger now = { .l_onoff = 1 };
	evutil_socket_t fd = bufferevent_getfd(c->bev);

	c->cut = true;
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	shutdown(fd, SHUT_RDWR);
}

static void forget(struct httpd *h, struct connection *c)
{
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	bufferevent_decref(c->bev);
	c->bev = NULL;
	h->open--;
}

static void set_sweep(struct httpd *h)
{
	const struct timeval soon = { .tv_usec = SWEEP_MS * 1000 };

	if (!evtimer_pending(h->sweep, NULL))
		evtimer_add(h->sweep, &soon);
}

/* Lets go of what has ended, ends what takes too long, and takes new connections if there is room again. */
static void on_sweep(evutil_socket_t fd, short what, void *ctx)
{
	uint64_t now_ns = clock_mono_ns();
	struct httpd *h = ctx;

	(void)fd, (void)what;
	for (int i = 0; i < HTTPD_MAX_CONNECTIONS; i++) {
		struct connection *c = &h->connection[i];

		if (!c->bev)
			continue;
		if (has_ended(c->bev))
			forget(h, c);
		else if (now_ns - c->began_ns >= HTTPD_MAX_MS * NSEC_PER_MSEC)
			cut_off(c);
	}
	h->accepted = 0;
	if (h->open < HTTPD_MAX_CONNECTIONS)
		evconnlistener_enable(h->listener);
	if (h->open)
		set_sweep(h);
}

/* Of those that are not cut off yet. */
static struct connection *oldest(struct httpd *h)
{
	struct connection *found = NULL;

	for (int i = 0; i < HTTPD_MAX_CONNECTIONS; i++) {
		struct connection *c = &h->connection[i];

		if (c->bev && !c->cut && (!found || c->began_ns < found->began_ns))
			found = c;
	}
	return found;
}

/* The older half goes: idle ones, or slow ones. An honest scrape takes milliseconds. */
static void make_room(struct httpd *h)
{
	struct connection *c;

	for (int i = 0; i < HTTPD_MAX_CONNECTIONS / 2 && (c = oldest(h)); i++)
		cut_off(c);
}

/*
 * evhttp wants a bufferevent for a new connection. When all places are taken, the listener rests until a sweep finds some
 * free again. So many new ones between two sweeps rest it, too.
 */
static struct bufferevent *on_connection(struct event_base *base, void *ctx)
{
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct httpd *h = ctx;

	if (!bev)
		return NULL;
	/* While an answer is under way evhttp reads on, to notice the end, and would keep whatever comes. */
	bufferevent_setwatermark(bev, EV_READ, 0, HTTPD_MAX_REQUEST + HTTPD_MAX_BODY);
	for (int i = 0; i < HTTPD_MAX_CONNECTIONS; i++) {
		struct connection *c = &h->connection[i];

		if (c->bev)
			continue;
		bufferevent_incref(bev);
		*c = (struct connection){ .bev = bev, .began_ns = clock_mono_ns() };
		h->open++;
		break;
	}
	set_sweep(h);
	h->accepted++;
	if (h->open == HTTPD_MAX_CONNECTIONS)
		make_room(h);
	if (h->open == HTTPD_MAX_CONNECTIONS || h->accepted == HTTPD_MAX_CONNECTIONS)
		evconnlistener_disable(h->listener);
	return bev;
}

/* ---- the page ---- */

static void page_put(struct page *p)
{
	if (!p || --p->refs)
		return;
	strbuf_free(&p->text);
	free(p);
}

static void on_sent(const void *data, size_t len, void *ctx)
{
	(void)data, (void)len;
	page_put(ctx);
}

/* The current page with a reference for the caller; NULL: no memory. */
static struct page *page_get(struct httpd *h)
{
	uint64_t now_ns = clock_mono_ns();
	struct page *p = h->page;

	if (!p || now_ns - p->made_ns >= p->valid_ns) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return NULL;
		p->refs = 1;
		h->make(h->ctx, &p->text);
		p->made_ns = clock_mono_ns();
		p->valid_ns = (p->made_ns - now_ns) * HTTPD_PAGE_SHARE;
		if (p->valid_ns < HTTPD_PAGE_MS * NSEC_PER_MSEC)
			p->valid_ns = HTTPD_PAGE_MS * NSEC_PER_MSEC;
		page_put(h->page);
		h->page = p;
	}
	if (p->text.failed || !p->text.len)
		return NULL;
	p->refs++;
	return p;
}

/* ---- requests ---- */

/* Sends @body, which is freed, but to a HEAD only its length. */
static void answer(struct evhttp_request *req, int code, const char *reason, const char *type, struct evbuffer *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	char length[24];

	snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Content-Length", length);
	evhttp_add_header(headers, "Connection", "close");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD)
		evbuffer_drain(body, evbuffer_get_length(body));
	evhttp_send_reply(req, code, reason, body);
	evbuffer_free(body);
}

static void answer_text(struct evhttp_request *req, int code, const char *reason, const char *type, const char *text)
{
	struct evbuffer *body = evbuffer_new();

	if (!body || evbuffer_add(body, text, strlen(text))) {
		if (body)
			evbuffer_free(body);
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
		return;
	}
	answer(req, code, reason, type, body);
}

static void answer_page(struct httpd *h, struct evhttp_request *req)
{
	struct evbuffer *body = evbuffer_new();
	struct page *p = body ? page_get(h) : NULL;

	if (p && evbuffer_add_reference(body, p->text.data, p->text.len, on_sent, p)) {
		page_put(p);
		p = NULL;
	}
	if (!p) {
		if (body)
			evbuffer_free(body);
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
		return;
	}
	answer(req, HTTP_OK, "OK", content_type, body);
}

static void on_request(struct evhttp_request *req, void *ctx)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	enum evhttp_cmd_type method = evhttp_request_get_command(req);

	if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", "GET, HEAD");
		answer_text(req, HTTP_BADMETHOD, "Method Not Allowed", content_type, "only GET and HEAD\n");
	} else if (path && !strcmp(path, "/metrics")) {
		answer_page(ctx, req);
	} else if (!path || !path[0] || !strcmp(path, "/")) {
		answer_text(req, HTTP_OK, "OK", "text/html; charset=utf-8", landing);
	} else {
		answer_text(req, HTTP_NOTFOUND, "Not Found", content_type, "nothing here but /metrics\n");
	}
}

/* ---- opening ---- */

/* libevent's own messages, of clients that go away, say. */
static void on_log(int severity, const char *text)
{
	(void)severity;
	log_debug("libevent: %s", text);
}

static socklen_t to_sockaddr(const struct listen_address *at, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	if (at->ip_version == 6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(at->port);
		memcpy(&v6->sin6_addr, at->addr, sizeof(v6->sin6_addr));
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(at->port);
	memcpy(&v4->sin_addr, at->addr, sizeof(v4->sin_addr));
	return sizeof(*v4);
}

static int bind_to(struct httpd *h, const struct listen_address *at)
{
	struct sockaddr_storage address;
	socklen_t len = to_sockaddr(at, &address);
	unsigned int flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
	struct strbuf text = {};
	int err;

	if (at->ip_version == 6)
		flags |= LEV_OPT_BIND_IPV6ONLY;
	h->listener = evconnlistener_new_bind(h->base, NULL, NULL, flags, BACKLOG, (struct sockaddr *)&address,
					      (int)len);
	if (h->listener)
		return 0;
	err = errno == EINVAL ? -EADDRNOTAVAIL : errno ? -errno : -ENOMEM;
	listen_address_text(at, &text);
	log_error(err, "--listen: cannot listen on %s: %s", text.data ? text.data : "?", strerror(-err));
	strbuf_free(&text);
	return err;
}

/* evhttp takes the listener over. */
static int serve(struct httpd *h)
{
	h->http = evhttp_new(h->base);
	h->sweep = evtimer_new(h->base, on_sweep, h);
	if (!h->http || !h->sweep || !evhttp_bind_listener(h->http, h->listener)) {
		if (h->http)
			evhttp_free(h->http);
		h->http = NULL;
		evconnlistener_free(h->listener);
		return log_error(-ENOMEM, "out of memory");
	}
	evhttp_set_bevcb(h->http, on_connection, h);
	evhttp_set_gencb(h->http, on_request, h);
	/* Of other methods, too, on_request() decides. */
	evhttp_set_allowed_methods(h->http, UINT16_MAX);
	evhttp_set_max_headers_size(h->http, HTTPD_MAX_REQUEST);
	evhttp_set_max_body_size(h->http, HTTPD_MAX_BODY);
	return 0;
}

int httpd_open(struct httpd **out, struct event_base *base, const struct listen_address *at, httpd_page_fn *page,
	       void *ctx)
{
	struct httpd *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return log_error(-ENOMEM, "out of memory");
	h->base = base;
	h->make = page;
	h->ctx = ctx;
	event_set_log_callback(on_log);
	err = bind_to(h, at);
	if (!err)
		err = serve(h);
	if (err) {
		httpd_close(h);
		return err;
	}
	*out = h;
	return 0;
}

/* The bufferevents themselves, and pages that wait in them, are freed by the loop or with it. */
void httpd_close(struct httpd *h)
{
	if (!h)
		return;
	if (h->http)
		evhttp_free(h->http);
	for (int i = 0; i < HTTPD_MAX_CONNECTIONS; i++)
		if (h->connection[i].bev)
			forget(h, &h->connection[i]);
	if (h->sweep)
		event_free(h->sweep);
	page_put(h->page);
	free(h);
}

unsigned int httpd_connections(const struct httpd *h)
{
	return h->open;
}
