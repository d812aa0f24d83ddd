/* SPDX-License-Identifier: MIT */
/*
 * What a run comes to: counts of the events that passed the filters, the most frequent of what they name, percentiles, and
 * how much TCP has sent meanwhile. Made of events and records only, so that a replay sums up as the live run did; of
 * bounded size, whatever comes. Its text is made by sink_summary.c, its JSON is part of the stats event.
 *
 *	s = summary_new(&options);
 *	summary_event(s, &event);	each that passed the filters
 *	summary_record(s, &record);	each: what it does not need, it leaves alone
 *	...	show it (summary_fields(), sink_summary.c)
 *	summary_mark(s);		what is "recent" begins anew
 */
#ifndef REBPF_SUMMARY_H
#define REBPF_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "decode.h"
#include "event.h"
#include "options.h"
#include "quantile.h"
#include "topk.h"

#define SUMMARY_KEYS 1024       /* of each table, before counts become inexact (topk.h) */
#define SUMMARY_NAMESPACES 4096 /* whose traffic is told apart */
#define SUMMARY_TOP 10          /* rows that are shown of each table */

struct visitor;

/* A count, and how much of it came since summary_mark(). */
struct tally {
	uint64_t count, recent;
};

/* The tables: X(NAME, JSON name, label in text, key's struct). All but DROP_*, FAILED count retransmissions. */
#define SUMMARY_TABLES(X)                                               \
	X(REMOTES, remotes, "remote", key_remote)                       \
	X(PORTS, ports, "port", key_port)                               \
	X(PROCESSES, processes, "process", key_process)                 \
	X(LOST_AT, lost_at, "lost at", key_place)                       \
	X(DROP_REASONS, reasons, "reason", key_reason)                  \
	X(DROP_PLACES, places, "place", key_place)                      \
	X(DROP_PROCESSES, processes, "process", key_process)            \
	X(FAILED, failed, "failed", key_failed)

enum summary_table {
#define X(NAME, name, label, key) SUMMARY_##NAME,
	SUMMARY_TABLES(X)
#undef X
	SUMMARY_TABLE_COUNT
};

/* Keys, without padding. Text ends at a NUL or fills its array. */
struct key_remote {
	uint8_t addr[16];
	uint32_t ip_version;
};

/* The lower port of the two ends: that of the service, where clients take theirs from the ephemeral range. */
struct key_port {
	uint32_t port;
};

/* The socket's owner; 0: unknown. */
struct key_process {
	uint32_t pid;
	char comm[REBPF_COMM_LEN];
};

struct key_reason {
	char reason[REBPF_REASON_LEN]; /* "": none */
	uint32_t class;
};

/* Where a packet was freed; @address 0 if it has a symbol. */
struct key_place {
	char reason[REBPF_REASON_LEN];
	char symbol[REBPF_SYMBOL_LEN];
	char module[REBPF_SYMBOL_LEN];
	uint64_t offset;
	uint64_t address;
};

/* Where a connect failed to, and how. */
struct key_failed {
	uint8_t addr[16];
	uint32_t ip_version;
	uint32_t port;
	uint32_t result; /* enum connect_result */
};

/* What TCP of a namespace had counted when it was last told. */
struct summary_space {
	uint32_t netns;
	uint64_t out_segs, retrans_segs;
};

/*
 * @out_segs, @retrans_segs: of all namespaces that --netns asks for, whatever else is filtered.
 * @traffic_known: anything was told; @traffic_complete: of all namespaces that rebpf knows of.
 */
struct summary {
	const struct options *options;
	struct tally events[EV_KIND_COUNT];
	struct tally by_type[RTX_TYPE_COUNT];
	struct tally by_outcome[RTX_OUTCOME_COUNT];
	struct tally by_cause[RTX_CAUSE_COUNT];
	struct tally by_why[CAUSE_WHY_COUNT]; /* of the unknown causes */
	struct tally by_class[DROP_CLASS_COUNT];
	struct tally by_result[CONNECT_RESULT_COUNT];
	struct topk *table[SUMMARY_TABLE_COUNT];
	struct quantile latency; /* of established connects, in us */

	struct tally out_segs, retrans_segs;
	bool traffic_known, traffic_complete;
	struct summary_space *space;
	unsigned int space_count;
	bool in_look;            /* TRAFFIC has come since the last SURVEY */
	bool looked, saw_all;    /* there was a first look, and it saw all namespaces */
};

/* @options must outlive it. NULL: out of memory. */
struct summary *summary_new(const struct options *options);
void summary_free(struct summary *s); /* NULL is fine */

void summary_event(struct summary *s, const struct event *e);
void summary_record(struct summary *s, const union record *r);
/* Begins the counting of all that is "recent" anew. */
void summary_mark(struct summary *s);

/* The JSON object "summary", null if @s is NULL. */
void summary_fields(const struct summary *s, struct visitor *v);

/* Retransmitted segments in a million sent. @out_segs is not 0. */
uint64_t summary_ppm(uint64_t retrans_segs, uint64_t out_segs);

#endif
