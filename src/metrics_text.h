/* SPDX-License-Identifier: MIT */
/*
 * Metrics as text, in Prometheus' exposition format 0.0.4:
 *
 *	# HELP rebpf_retransmits_total Attempts to retransmit a TCP segment, ...
 *	# TYPE rebpf_retransmits_total counter
 *	rebpf_retransmits_total{type="rto",outcome="sent",cause="network"} 12
 */
#ifndef REBPF_METRICS_TEXT_H
#define REBPF_METRICS_TEXT_H

#include "metrics.h"
#include "netstat.h"
#include "util.h"

/* What the page says besides the counters. */
struct metrics_page {
	const struct metrics *metrics;
	const struct ev_stats *stats;
	const struct netstat *netstat; /* NULL: not known */
	uint64_t start_ns;             /* CLOCK_REALTIME */
	const char *version, *kernel;
};

void metrics_text(struct strbuf *out, const struct metrics_page *page);

/*
 * @text (up to @max bytes or a NUL) as the value of a label, without the quotes. Backslash, quote and line break are escaped
 * as the format asks for; what is no printable ASCII becomes a literal \\xNN: it comes from the kernel and need not be UTF-8.
 */
void metrics_label(struct strbuf *out, const char *text, size_t max);

#endif
