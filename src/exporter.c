// SPDX-License-Identifier: MIT
#include "exporter.h"

#include <errno.h>
#include <stdlib.h>

#include "httpd.h"
#include "log.h"
#include "metrics_text.h"
#include "netstat.h"

struct exporter {
	const struct options *options;
	const struct pipeline *pipeline;
	const char *kernel;
	loop_fn *refresh;
	void *refresh_ctx;
	struct netstat *netstat;
	struct httpd *httpd;
	uint64_t start_ns;
};

static void on_page(void *ctx, struct strbuf *out)
{
	struct exporter *x = ctx;
	struct ev_stats stats;
	struct metrics_page page = {
		.stats = &stats,
		.netstat = x->netstat,
		.start_ns = x->start_ns,
		.version = REBPF_VERSION,
		.kernel = x->kernel,
	};

	x->refresh(x->refresh_ctx);
	page.metrics = pipeline_metrics(x->pipeline, &stats);
	netstat_read(x->netstat, clock_mono_ns());
	metrics_text(out, &page);
}

int exporter_open(struct exporter **out, const struct options *options, const char *kernel, const struct loop *loop,
		  const struct pipeline *p, loop_fn *refresh, void *ctx)
{
	struct exporter *x;
	uint64_t mono_ns;
	int err;

	if (!options->listen.port)
		return 0;
	x = calloc(1, sizeof(*x));
	if (!x)
		return log_error(-ENOMEM, "out of memory");
	x->options = options;
	x->pipeline = p;
	x->kernel = kernel;
	x->refresh = refresh;
	x->refresh_ctx = ctx;
	clock_pair(&mono_ns, &x->start_ns);
	x->netstat = netstat_new(options);
	err = x->netstat ? httpd_open(&x->httpd, loop_base(loop), &options->listen, on_page, x) :
			   log_error(-ENOMEM, "out of memory");
	if (err) {
		exporter_close(x);
		return err;
	}
	*out = x;
	return 0;
}

void exporter_close(struct exporter *x)
{
	if (!x)
		return;
	httpd_close(x->httpd);
	netstat_free(x->netstat);
	free(x);
}

void exporter_announce(const struct exporter *x)
{
	struct strbuf text = {};

	if (!x)
		return;
	listen_address_text(&x->options->listen, &text);
	log_notice("metrics: http://%s/metrics", text.data ? text.data : "?");
	strbuf_free(&text);
}
