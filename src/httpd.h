/* SPDX-License-Identifier: MIT */
/*
 * The HTTP server of --listen: one page of text (/metrics) that the caller makes, over libevent's evhttp, in the event loop
 * of everything else. So nothing a client does may take long: its number, the size of its request and the time it has
 * are bounded, answers are written as fast as it reads them, and the page is made at most ten times a second, however often
 * it is asked for.
 *
 *	GET /metrics	200, text/plain; version=0.0.4 (Prometheus' text format)
 *	GET /		200, a link to it
 *	another path	404; another method 405; too long, or not HTTP: 400 or 413
 *
 * Every answer closes its connection: Prometheus opens one for each scrape then, and an idle client holds nothing.
 */
#ifndef REBPF_HTTPD_H
#define REBPF_HTTPD_H

#include <stdint.h>

#include "util.h"

struct event_base;
struct httpd;

/* Where to listen. Addresses as in struct rec_flow: IPv4 in the first four bytes. */
struct listen_address {
	uint8_t addr[16];
	uint8_t ip_version; /* 4 or 6 */
	uint16_t port;      /* 0: nowhere */
};

/* Appends the page to @out. It has some milliseconds. */
typedef void httpd_page_fn(void *ctx, struct strbuf *out);

/*
 * Listens. @base must outlive it; @page is called from its loop. Negative errno with its message: -EADDRINUSE, the port is
 * busy; -EADDRNOTAVAIL, this host (or this network namespace) does not have the address.
 */
int httpd_open(struct httpd **out, struct event_base *base, const struct listen_address *at, httpd_page_fn *page,
	       void *ctx);

/* Ends all connections at once. NULL is fine. */
void httpd_close(struct httpd *h);

/* Connections that are open now; for the tests. */
unsigned int httpd_connections(const struct httpd *h);

/* "127.0.0.1:2112", "[::1]:2112". */
void listen_address_text(const struct listen_address *at, struct strbuf *out);

/* So many connections at a time; when there are as many, the older half is cut off, and others wait in the kernel's queue. */
#define HTTPD_MAX_CONNECTIONS 16
/* So long may one last, from its first byte to its last. The default scrape time-out of Prometheus is 10 s. */
#define HTTPD_MAX_MS 10000
/* So many bytes may a request have, its line and headers; a body is not wanted. */
#define HTTPD_MAX_REQUEST 8192
#define HTTPD_MAX_BODY 1024
/* A page stands so long, and so many times as long as it took to make: pages take no larger a share of the time. */
#define HTTPD_PAGE_MS 100
#define HTTPD_PAGE_SHARE 20

#endif
