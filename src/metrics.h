/* SPDX-License-Identifier: MIT */
/*
 * The numbers behind --listen. Events go in (sink_metrics.c), text comes out (metrics_text.h). Everything here is a counter
 * since the start of the program: none ever goes back, and none is dropped once it was shown. Memory is bounded.
 *
 * What counts: every event whose flow passes the options about flows (filter_wants_flow()), whether it is printed or not.
 * Of an event that a full ring lost only sorts and numbers are known (REC_LOST): it counts as well, with "unknown" where
 * only its record would have told, so that sums stay exact; only addresses and ports are filtered for those.
 */
#ifndef REBPF_METRICS_H
#define REBPF_METRICS_H

#include "event.h"
#include "options.h"
#include "places.h"
#include "series.h"

#define METRICS_MAX_SERIES 10000   /* flows, unless the options say otherwise */
#define METRICS_MOST_SERIES 100000 /* what they may say */
#define METRICS_MAX_PLACES 2048    /* reasons and places of drops */
#define METRICS_MAX_RETS 512       /* return codes */

/* Label of what has not been told, or is beyond a bound. */
#define METRICS_UNKNOWN "unknown"
#define METRICS_OTHER "other"

/* Keys of the tables: every byte is set, for they are compared as bytes. */
struct metrics_flow {
	uint8_t saddr[16], daddr[16];
	uint16_t sport, dport; /* 0: collapsed, the label is empty */
	uint8_t ip_version;
	uint8_t zero[3];
};

struct metrics_ret {
	int32_t ret;
	int32_t has_ret; /* 0: unknown */
};

struct metrics_place {
	char reason[REBPF_REASON_LEN];
	char symbol[REBPF_SYMBOL_LEN];
	char module[REBPF_SYMBOL_LEN];
	uint64_t offset;
	uint64_t address; /* if there is no symbol; 0: rebpf's own conclusion, which has no place */
	uint32_t class;   /* enum drop_class, DROP_CLASS_COUNT: unknown */
	uint32_t unknown; /* the place was not told */
};

/* Upper bounds of the histogram of connect latencies. The last bucket, +Inf, has none. */
#define METRICS_BUCKETS(X)                                                                           \
	X(100, "0.0001") X(250, "0.00025") X(500, "0.0005") X(1000, "0.001") X(2500, "0.0025")       \
	X(5000, "0.005") X(10000, "0.01") X(25000, "0.025") X(50000, "0.05") X(100000, "0.1")        \
	X(250000, "0.25") X(500000, "0.5") X(1000000, "1") X(2500000, "2.5") X(5000000, "5")         \
	X(10000000, "10")
enum {
#define X(us, text) METRICS_BUCKET_##us,
	METRICS_BUCKETS(X)
#undef X
	METRICS_BUCKET_INF,
	METRICS_BUCKET_COUNT
};

struct metrics {
	bool keep_ports;
	uint16_t port_low, port_high; /* ports that the kernel picks for outgoing connections */

	struct series *flows;  /* struct metrics_flow: attempts that were not refused */
	uint64_t flows_folded; /* those of flows beyond the bound */
	uint64_t flows_lost;   /* of lost records: their flow is not known */

	uint64_t attempts[RTX_TYPE_COUNT][RTX_OUTCOME_COUNT][RTX_CAUSE_COUNT];
	struct series *rets; /* struct metrics_ret */
	uint64_t rets_other;
	uint64_t segs, segs_failed;

	struct series *drops; /* struct metrics_place */
	uint64_t drops_other;

	uint64_t connects[CONNECT_RESULT_COUNT + 1]; /* the last: unknown */
	uint64_t latency[METRICS_BUCKET_COUNT];      /* each bucket for itself */
	uint64_t latency_us;                         /* sum */
	uint64_t spurious[SPURIOUS_COUNT];           /* by evidence; SPURIOUS_NONE: unknown */
};

/* @options: --metrics-ports, --metrics-max-series. Reads the range of ports once. NULL: no memory. */
struct metrics *metrics_new(const struct options *options);
void metrics_free(struct metrics *m); /* NULL is fine */

/* "32768\t60999\n" as in net.ipv4.ip_local_port_range. -EBADMSG: no such text; then nothing is set. */
int metrics_parse_port_range(const char *text, uint16_t *low, uint16_t *high);

/* Counts one event; kinds without a counter are ignored. */
void metrics_event(struct metrics *m, const struct event *e);

/* Counts what was lost. @place: where, of a lost drop, its class by its reason; else NULL. */
void metrics_lost(struct metrics *m, const struct rec_lost *r, const struct ev_drop_place *place);

#endif
