// SPDX-License-Identifier: MIT
/* The options. Adding one is a field in struct options, an enum option_id and a row here. */
#include <errno.h>
#include <string.h>

#include "metrics.h"
#include "option_table.h"
#include "options.h"
#include "parse.h"

/* ---- names ---- */

static const char *const event_names[] = {
#define X(NAME, name, payload, def) [EV_##NAME] = #name,
	EVENT_KINDS(X)
#undef X
};
static const char *const type_names[] = {
#define X(NAME, name) [RTX_TYPE_##NAME] = #name,
	RTX_TYPES(X)
#undef X
};
static const char *const cause_names[] = {
#define X(NAME, name) [RTX_CAUSE_##NAME] = #name,
	RTX_CAUSES(X)
#undef X
};
static const char *const class_names[] = {
#define X(NAME, name) [DROP_CLASS_##NAME] = #name,
	DROP_CLASSES(X)
#undef X
};
static const char *const format_names[] = {
	[OUTPUT_TEXT] = "text",
	[OUTPUT_JSON] = "json",
	[OUTPUT_NONE] = "none",
	[OUTPUT_COUNT_ONLY] = "count",
};
static const char *const color_names[] = {
	[COLOR_AUTO] = "auto",
	[COLOR_ALWAYS] = "always",
	[COLOR_NEVER] = "never",
};

static const char *const inject_names[] = {
	[INJECT_OFF] = "off",
	[INJECT_SHOT] = "shot",
	[INJECT_STOLEN] = "stolen",
};

enum {
	EVENTS_DEFAULT = 0
#define X(NAME, name, payload, def) | def << EV_##NAME
	EVENT_KINDS(X)
#undef X
	,
	CLASSES_DEFAULT = 1 << DROP_CLASS_BAD | 1 << DROP_CLASS_POLICY
};
_Static_assert(EV_KIND_COUNT < 31 && RTX_TYPE_COUNT < 32 && RTX_CAUSE_COUNT < 32 && DROP_CLASS_COUNT < 31,
	       "one bit each, and \"all\"");

/* There is nothing to choose: statistics are always reported, spurious comes with retransmit. */
static const struct option_names choose_events = {
	.names = event_names,
	.count = EV_KIND_COUNT,
	.hidden = 1u << EV_STATS | 1u << EV_SPURIOUS,
	.has_all = true,
};
static const struct option_names choose_type = {.names = type_names, .count = RTX_TYPE_COUNT};
static const struct option_names choose_cause = {.names = cause_names, .count = RTX_CAUSE_COUNT};
static const struct option_names choose_class = {
	.names = class_names, .count = DROP_CLASS_COUNT, .has_all = true};
static const struct option_names choose_format = {.names = format_names, .count = ARRAY_SIZE(format_names)};
static const struct option_names choose_inject = {
	.names = inject_names, .count = ARRAY_SIZE(inject_names), .hidden = 1u << INJECT_OFF};
static const struct option_names choose_color = {.names = color_names, .count = ARRAY_SIZE(color_names)};

/* ---- types ---- */

static int set_flag(const struct option_row *row, const char *text, void *slot)
{
	(void)row, (void)text;
	*(bool *)slot = true;
	return 0;
}

static int set_repeat(const struct option_row *row, const char *text, void *slot)
{
	(void)row, (void)text;
	++*(unsigned int *)slot;
	return 0;
}

static int set_ip_version(const struct option_row *row, const char *text, void *slot)
{
	(void)text;
	*(uint8_t *)slot = (uint8_t)row->arg;
	return 0;
}

static int set_string(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	if (!*text)
		return -EINVAL;
	*(const char **)slot = text;
	return 0;
}

static int set_limit(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_number(text, 1, UINT64_MAX, slot);
}

static int set_series(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_number(text, 1, METRICS_MOST_SERIES, slot);
}

static int set_percent(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_percent(text, slot);
}

static int set_listen(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_listen(text, slot);
}

static int set_duration(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_duration(text, slot);
}

static int find_choice(const struct option_names *n, const char *text, unsigned int *out)
{
	unsigned int i;

	for (i = 0; i < n->count; i++) {
		if (n->hidden & 1u << i || strcmp(n->names[i], text))
			continue;
		*out = i;
		return 0;
	}
	return -EINVAL;
}

static int set_choice(const struct option_row *row, const char *text, void *slot)
{
	_Static_assert(sizeof(enum output_format) == sizeof(unsigned int), "stored as unsigned int");
	return find_choice(row->names, text, slot);
}

static int set_bits(const struct option_row *row, const char *text, void *slot)
{
	unsigned int i;

	if (row->names->has_all && !strcmp(text, "all"))
		*(uint32_t *)slot |= OPTION_ALL_BIT;
	else if (find_choice(row->names, text, &i))
		return -EINVAL;
	else
		*(uint32_t *)slot |= 1u << i;
	return 0;
}

static int set_addr(const struct option_row *row, const char *text, void *slot)
{
	((struct addr_rule *)slot)->list = row->arg;
	return parse_addr(text, slot);
}

static int set_ports(const struct option_row *row, const char *text, void *slot)
{
	((struct port_rule *)slot)->list = row->arg;
	return parse_ports(text, slot);
}

static int set_pid(const struct option_row *row, const char *text, void *slot)
{
	uint64_t pid;

	(void)row;
	if (parse_number(text, 1, 4194304, &pid)) /* PID_MAX_LIMIT */
		return -EINVAL;
	*(uint32_t *)slot = (uint32_t)pid;
	return 0;
}

static int set_text(const struct option_row *row, const char *text, void *slot)
{
	return parse_text(text, slot, row->size);
}

static int set_ifname(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_ifname(text, slot);
}

static int set_reason(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_reason(text, slot);
}

static int set_netns(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_netns(text, slot);
}

static int set_cgroup(const struct option_row *row, const char *text, void *slot)
{
	(void)row;
	return parse_cgroup(text, slot);
}

static const struct option_type type_action = {.set = NULL};
static const struct option_type type_flag = {.set = set_flag};
static const struct option_type type_repeat = {.set = set_repeat};
static const struct option_type type_ip_version = {.set = set_ip_version};
static const struct option_type type_string = {.set = set_string};
static const struct option_type type_limit = {.set = set_limit};
static const struct option_type type_series = {.set = set_series};
static const struct option_type type_percent = {.set = set_percent};
static const struct option_type type_listen = {.set = set_listen};
static const struct option_type type_duration = {.set = set_duration};
static const struct option_type type_choice = {.set = set_choice};
static const struct option_type type_bits = {.set = set_bits, .list = true};
static const struct option_type type_addr = {.set = set_addr, .list = true};
static const struct option_type type_ports = {.set = set_ports, .list = true};
static const struct option_type type_pid = {.set = set_pid, .list = true};
static const struct option_type type_text = {.set = set_text, .list = true};
static const struct option_type type_ifname = {.set = set_ifname, .list = true};
static const struct option_type type_reason = {.set = set_reason, .list = true};
static const struct option_type type_netns = {.set = set_netns, .list = true};
static const struct option_type type_cgroup = {.set = set_cgroup, .list = true};

/* ---- the table ---- */

#define FIELD(m) .field = offsetof(struct options, m)
#define LIST(m)                                                         \
	.field = offsetof(struct options, m),                           \
	.count_field = offsetof(struct options, m##_count),             \
	.cap = ARRAY_SIZE(((struct options *)NULL)->m),                 \
	.size = sizeof(((struct options *)NULL)->m[0])

#define EXPECTED_ADDR "an IPv4 or IPv6 address, optionally with /LEN (up to 32 or 128)"
#define EXPECTED_PORT "N or N-M, 1 to 65535"

const struct option_row option_table[] = {
	[OPTION_EVENTS] = {
		.type = &type_bits, .group = GROUP_EVENTS, .letter = 'e', .name = "events", .value = "LIST",
		.help = "to print", .names = &choose_events, .initial = EVENTS_DEFAULT, FIELD(events),
	},
	[OPTION_ADDR] = {
		.type = &type_addr, .group = GROUP_FILTER, .letter = 'a', .name = "addr", .value = "IP[/LEN]",
		.help = "address of either end", .expected = EXPECTED_ADDR, .arg = RULE_ANY, LIST(addr),
	},
	[OPTION_SADDR] = {
		.type = &type_addr, .group = GROUP_FILTER, .name = "saddr", .value = "IP[/LEN]",
		.with_next = true, .help = "", .expected = EXPECTED_ADDR, .arg = RULE_LOCAL, LIST(addr),
	},
	[OPTION_DADDR] = {
		.type = &type_addr, .group = GROUP_FILTER, .name = "daddr", .value = "IP[/LEN]",
		.help = "local, remote address", .expected = EXPECTED_ADDR, .arg = RULE_REMOTE, LIST(addr),
	},
	[OPTION_PORT] = {
		.type = &type_ports, .group = GROUP_FILTER, .letter = 'P', .name = "port", .value = "N[-M]",
		.help = "port of either end", .expected = EXPECTED_PORT, .arg = RULE_ANY, LIST(port),
	},
	[OPTION_SPORT] = {
		.type = &type_ports, .group = GROUP_FILTER, .name = "sport", .value = "N[-M]",
		.with_next = true, .help = "", .expected = EXPECTED_PORT, .arg = RULE_LOCAL, LIST(port),
	},
	[OPTION_DPORT] = {
		.type = &type_ports, .group = GROUP_FILTER, .name = "dport", .value = "N[-M]",
		.help = "local, remote port", .expected = EXPECTED_PORT, .arg = RULE_REMOTE, LIST(port),
	},
	[OPTION_PID] = {
		.type = &type_pid, .group = GROUP_FILTER, .letter = 'p', .name = "pid", .value = "PID", .words = WORDS_PID,
		.help = "process that owns the socket", .expected = "a process id, 1 to 4194304", LIST(pid),
	},
	[OPTION_COMM] = {
		.type = &type_text, .group = GROUP_FILTER, .name = "comm", .value = "NAME", .words = WORDS_COMM,
		.help = "its name, up to 15 bytes", LIST(comm),
		.expected = "a name of 1 to 15 bytes (the kernel keeps no more)",
	},
	[OPTION_CGROUP] = {
		.type = &type_cgroup, .group = GROUP_FILTER, .name = "cgroup", .value = "PATH", .words = WORDS_CGROUP,
		.help = "cgroup2 directory, from / or its root", LIST(cgroup),
		.expected = "a cgroup2 directory, from / or from the cgroup2 root",
	},
	[OPTION_NETNS] = {
		.type = &type_netns, .group = GROUP_FILTER, .name = "netns", .value = "PID|NAME|INODE", .words = WORDS_NETNS,
		.help = "network namespace", LIST(netns),
		.expected = "a network namespace, by a process in it, name, path or inode number",
	},
	[OPTION_INTERFACE] = {
		.type = &type_ifname, .group = GROUP_FILTER, .letter = 'i', .name = "interface",
		.value = "NAME", .words = WORDS_INTERFACE, .help = "watch only these network devices", LIST(ifname),
		.expected = "an interface name of 1 to 15 bytes",
	},
	[OPTION_IPV4] = {
		.type = &type_ip_version, .group = GROUP_FILTER, .letter = '4', .name = "ipv4",
		.with_next = true, .help = "", .arg = 4, FIELD(ip_version),
	},
	[OPTION_IPV6] = {
		.type = &type_ip_version, .group = GROUP_FILTER, .letter = '6', .name = "ipv6",
		.help = "one IP version only", .arg = 6, FIELD(ip_version),
	},
	[OPTION_TYPE] = {
		.type = &type_bits, .group = GROUP_FILTER, .name = "type", .value = "LIST",
		.help = "why TCP sent again", .names = &choose_type, FIELD(types),
	},
	[OPTION_CAUSE] = {
		.type = &type_bits, .group = GROUP_FILTER, .name = "cause", .value = "LIST",
		.help = "where the lost copy was lost", .names = &choose_cause, FIELD(causes),
	},
	[OPTION_REASON] = {
		.type = &type_reason, .group = GROUP_FILTER, .name = "reason", .value = "LIST", .words = WORDS_REASON,
		.help = "drop reasons, such as NETFILTER_DROP", LIST(reason),
		.expected = "a drop reason such as NETFILTER_DROP",
	},
	[OPTION_CLASS] = {
		.type = &type_bits, .group = GROUP_FILTER, .name = "class", .value = "LIST",
		.help = "of drops", .names = &choose_class, .initial = CLASSES_DEFAULT, FIELD(classes),
	},
	[OPTION_MIN_LATENCY] = {
		.type = &type_duration, .group = GROUP_FILTER, .name = "min-latency", .value = "TIME",
		.help = "connects that took so long, as 1.5s, 20ms", FIELD(min_latency_ns),
		.expected = "seconds or a time such as 1.5s, 20ms or 250us, above 0 and up to 87600h",
	},
	[OPTION_ALL_PROTOCOLS] = {
		.type = &type_flag, .group = GROUP_FILTER, .name = "all-protocols",
		.help = "drops of other than TCP, too", FIELD(all_protocols),
	},
	[OPTION_OUTPUT] = {
		.type = &type_choice, .group = GROUP_OUTPUT, .letter = 'o', .name = "output",
		.value = "FORMAT", .help = "format", .names = &choose_format, FIELD(format),
	},
	[OPTION_STACK] = {
		.type = &type_flag, .group = GROUP_OUTPUT, .name = "stack",
		.help = "the kernel's call stack of each drop", FIELD(stack),
	},
	[OPTION_SUMMARY] = {
		.type = &type_flag, .group = GROUP_OUTPUT, .letter = 'S', .name = "summary",
		.help = "at the end: shares, the most frequent, percentiles", FIELD(summary),
	},
	[OPTION_INTERVAL] = {
		.type = &type_duration, .group = GROUP_OUTPUT, .name = "interval", .value = "SEC",
		.help = "the summary so far, again and again", FIELD(interval_ns),
		.expected = "seconds or a time such as 1.5s, 500ms, 2m or 1h, above 0 and up to 87600h",
	},
	[OPTION_COLOR] = {
		.type = &type_choice, .group = GROUP_OUTPUT, .name = "color", .value = "WHEN",
		.help = "colour", .names = &choose_color, FIELD(color),
	},
	[OPTION_UTC] = {
		.type = &type_flag, .group = GROUP_OUTPUT, .name = "utc",
		.help = "time of day in UTC, not local", FIELD(utc),
	},
	[OPTION_QUIET] = {
		.type = &type_flag, .group = GROUP_OUTPUT, .letter = 'q', .name = "quiet",
		.help = "only warnings and errors on stderr", FIELD(quiet),
	},
	[OPTION_VERBOSE] = {
		.type = &type_repeat, .group = GROUP_OUTPUT, .letter = 'v', .name = "verbose",
		.help = "more words and messages; -vv: libbpf's, too", FIELD(verbose),
	},
	[OPTION_LISTEN] = {
		.type = &type_listen, .group = GROUP_METRICS, .name = "listen", .value = "[ADDR:]PORT",
		.help = "serve Prometheus metrics; ADDR is 127.0.0.1", .once = true,
		.expected = "a port from 1 to 65535, optionally after ADDR: (127.0.0.1:2112, [::1]:2112)",
		FIELD(listen),
	},
	[OPTION_METRICS_PORTS] = {
		.type = &type_flag, .group = GROUP_METRICS, .name = "metrics-ports",
		.help = "ephemeral ports, too, as labels", FIELD(metrics_ports),
	},
	[OPTION_METRICS_MAX_SERIES] = {
		.type = &type_series, .group = GROUP_METRICS, .name = "metrics-max-series", .value = "N",
		.help = "flows that are told apart (10000)", .expected = "a number from 1 to 100000",
		FIELD(metrics_max_series),
	},
	[OPTION_INJECT] = {
		.type = &type_choice, .group = GROUP_INJECT, .name = "inject", .value = "HOW", .once = true,
		.help = "drop retransmissions of the flows that match, never first copies, bare ACKs or SYN-ACKs; needs an address, port or pid",
		.names = &choose_inject, FIELD(inject),
	},
	[OPTION_INJECT_PERCENT] = {
		.type = &type_percent, .group = GROUP_INJECT, .name = "inject-percent", .value = "P", .once = true,
		.help = "of them (100); evenly, not at random", .expected = "a percentage from 0.01 to 100", FIELD(inject_percent),
	},
	[OPTION_INJECT_COUNT] = {
		.type = &type_limit, .group = GROUP_INJECT, .name = "inject-count", .value = "N", .once = true,
		.help = "no more than N in all", .expected = "a number from 1", FIELD(inject_count),
	},
	[OPTION_WRITE] = {
		.type = &type_string, .group = GROUP_RECORD, .letter = 'w', .name = "write", .value = "FILE", .words = WORDS_FILE,
		.help = "keep the raw records; -: on stdout", .expected = "a file name", .once = true, FIELD(write_path),
	},
	[OPTION_READ] = {
		.type = &type_string, .group = GROUP_RECORD, .letter = 'r', .name = "read", .value = "FILE", .words = WORDS_FILE,
		.help = "replay records, - from stdin: no root, no kernel", .expected = "a file name", .once = true,
		FIELD(read_path),
	},
	[OPTION_DURATION] = {
		.type = &type_duration, .group = GROUP_STOP, .letter = 'd', .name = "duration",
		.value = "TIME", .help = "after seconds, or a time as 500ms, 2m, 1h", FIELD(duration_ns),
		.expected = "seconds or a time such as 1.5s, 500ms, 2m or 1h, above 0 and up to 87600h",
	},
	[OPTION_COUNT] = {
		.type = &type_limit, .group = GROUP_STOP, .letter = 'c', .name = "count", .value = "N",
		.help = "after N printed events", .expected = "a number from 1", FIELD(count),
	},
	[OPTION_CHECK] = {
		.type = &type_flag, .group = GROUP_HELP, .name = "check",
		.help = "what this kernel offers each feature", FIELD(check),
	},
	[OPTION_EXPLAIN] = {
		.type = &type_string, .group = GROUP_HELP, .name = "explain", .value = "REASON", .words = WORDS_REASON,
		.help = "what a drop reason means", .expected = "a drop reason such as NETFILTER_DROP",
		.once = true, FIELD(explain),
	},
	[OPTION_HELP] = {
		.type = &type_action, .group = GROUP_HELP, .letter = 'h', .name = "help", .with_next = true, .help = "",
	},
	[OPTION_VERSION] = {
		.type = &type_action, .group = GROUP_HELP, .letter = 'V', .name = "version",
		.help = "this text; the version",
	},
	[OPTION_FORCE] = {
		.type = &type_string, .group = GROUP_HELP, .name = "force", .value = "ROLE=NAME,...",
		.hidden = true, .help = "", .expected = "ROLE=NAME,...", .once = true, FIELD(force),
	},
	[OPTION_BTF] = {
		.type = &type_string, .group = GROUP_HELP, .name = "btf", .value = "FILE", .hidden = true,
		.help = "", .expected = "a file name", .once = true, FIELD(btf_path),
	},
};
_Static_assert(ARRAY_SIZE(option_table) == OPTION_TABLE_LEN, "a row for every option");
