/* SPDX-License-Identifier: MIT */
/*
 * The command line. One typed table (option_table.c) is the only list of options: parsing, --help, the
 * manual page and the completions come from it.
 */
#ifndef REBPF_OPTIONS_H
#define REBPF_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/config.h"
#include "event.h"
#include "httpd.h"

enum output_format { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_NONE, OUTPUT_COUNT_ONLY };
enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
enum inject_how { INJECT_OFF, INJECT_SHOT, INJECT_STOLEN };

#define OPTIONS_MAX_LIST 64
#define OPTIONS_MIN_INTERVAL_NS 100000000ULL /* of the stream's ticks */

struct options {
	/*
	 * Bit per enum event_kind. EV_STATS is always among them, EV_SPURIOUS with EV_RETRANSMIT. Without an -e,
	 * --type and --cause ask for retransmissions only, --min-latency for connects only.
	 */
	uint32_t events;
	bool events_given; /* -e named at least one kind ("all" names none) */

	/* Filters. Lists are OR within, AND between. */
	unsigned int addr_count;
	struct addr_rule addr[REBPF_MAX_RULES]; /* list: RULE_ANY -a, _LOCAL --saddr, _REMOTE --daddr */
	unsigned int port_count;
	struct port_rule port[REBPF_MAX_RULES];
	unsigned int pid_count;
	uint32_t pid[OPTIONS_MAX_LIST];
	unsigned int comm_count;
	char comm[OPTIONS_MAX_LIST][REBPF_COMM_LEN];
	unsigned int cgroup_count;
	uint64_t cgroup[OPTIONS_MAX_LIST]; /* cgroup2 ids */
	unsigned int netns_count;
	uint32_t netns[OPTIONS_MAX_LIST]; /* inode numbers */
	unsigned int ifname_count;
	char ifname[OPTIONS_MAX_LIST][REBPF_IFNAME_LEN];
	uint8_t ip_version; /* 4, 6, 0: both */
	uint32_t types;     /* bit per enum rtx_type, 0: all */
	uint32_t causes;    /* bit per enum rtx_cause, 0: all */
	uint32_t classes;   /* bit per enum drop_class; all if there is a --reason but no --class */
	bool all_protocols;
	uint64_t min_latency_ns; /* of connects, 0: any */
	unsigned int reason_count;
	char reason[OPTIONS_MAX_LIST][REBPF_REASON_LEN];

	char filters[256]; /* the filter options as typed, for messages: "-P 443 --comm nginx", cut if too long */

	/* Output. */
	enum output_format format;
	enum color_mode color;
	bool utc;
	bool stack;
	bool summary;         /* also with an interval */
	uint64_t interval_ns; /* between two summaries, 0: only at the end */
	bool quiet;
	unsigned int verbose;
	struct listen_address listen; /* port 0: no metrics */
	bool metrics_ports;           /* ephemeral ports as labels, too */
	uint64_t metrics_max_series;  /* 0: METRICS_MAX_SERIES */
	const char *write_path; /* -w, NULL: none; points into argv */
	const char *read_path;  /* -r */

	/* Loss injection. */
	unsigned int inject;     /* enum inject_how */
	uint32_t inject_percent; /* in 1/100, 0: not given */
	uint64_t inject_count;   /* 0: no limit */

	/* Stop. */
	uint64_t duration_ns; /* 0: until stopped */
	uint64_t count;       /* 0: no limit */

	/* Help. */
	bool check;
	const char *explain; /* a drop reason */

	/* Hidden, for tests: candidates to force, "role=name,..." (see probes.c); BTF to plan against. */
	const char *force;
	const char *btf_path;
};

/* Do the options ask for events of this kind, to be shown or counted? */
static inline bool options_wants(const struct options *o, enum event_kind kind)
{
	return o->events & 1u << kind || (o->listen.port && kind != EV_STATS);
}

enum options_result { OPTIONS_RUN, OPTIONS_EXIT_OK, OPTIONS_EXIT_USAGE };

/*
 * Parses argv into *o (which it sets up first). OPTIONS_EXIT_OK: --help or --version was printed on stdout.
 * OPTIONS_EXIT_USAGE: one clear line naming the option and the value was printed on stderr; exit 2.
 */
enum options_result options_parse(struct options *o, int argc, char **argv);

#endif
