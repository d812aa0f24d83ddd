// SPDX-License-Identifier: MIT
#include "metrics_text.h"

#include <stdio.h>
#include <string.h>

#include "field.h"

#define FLOWS " Of flows that pass the options about flows (addresses, ports, owner, namespace), printed or not."

void metrics_label(struct strbuf *out, const char *text, size_t max)
{
	for (size_t i = 0; i < max && text[i]; i++) {
		unsigned char c = (unsigned char)text[i];
		char hex[8];

		if (c == '\\' || c == '"') {
			strbuf_char(out, '\\');
			strbuf_char(out, (char)c);
		} else if (c == '\n') {
			strbuf_str(out, "\\n");
		} else if (c < ' ' || c > '~') {
			snprintf(hex, sizeof(hex), "\\\\x%02x", c);
			strbuf_str(out, hex);
		} else {
			strbuf_char(out, (char)c);
		}
	}
}

/* ---- building blocks ---- */

/* @help has neither line breaks nor backslashes. */
static void family(struct strbuf *out, const char *name, const char *type, const char *help)
{
	strbuf_str(out, "# HELP ");
	strbuf_str(out, name);
	strbuf_char(out, ' ');
	strbuf_str(out, help);
	strbuf_str(out, "\n# TYPE ");
	strbuf_str(out, name);
	strbuf_char(out, ' ');
	strbuf_str(out, type);
	strbuf_char(out, '\n');
}

/* {first="a",second="b"} is begun by the first label and ended by sample_end(). */
static void label_begin(struct strbuf *out, bool first, const char *label)
{
	strbuf_char(out, first ? '{' : ',');
	strbuf_str(out, label);
	strbuf_str(out, "=\"");
}

static void label(struct strbuf *out, bool first, const char *name, const char *value)
{
	label_begin(out, first, name);
	metrics_label(out, value, SIZE_MAX);
	strbuf_char(out, '"');
}

static void label_u64(struct strbuf *out, bool first, const char *name, uint64_t value)
{
	label_begin(out, first, name);
	strbuf_u64(out, value);
	strbuf_char(out, '"');
}

static void sample_end(struct strbuf *out, uint64_t value)
{
	strbuf_str(out, "} ");
	strbuf_u64(out, value);
	strbuf_char(out, '\n');
}

/* A family of one sample without labels. */
static void single(struct strbuf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	family(out, name, type, help);
	strbuf_str(out, name);
	strbuf_char(out, ' ');
	strbuf_u64(out, value);
	strbuf_char(out, '\n');
}

static void sample1(struct strbuf *out, const char *name, const char *label_name, const char *label_value, uint64_t value)
{
	strbuf_str(out, name);
	label(out, true, label_name, label_value);
	sample_end(out, value);
}

/* "12.345678" */
static void put_seconds(struct strbuf *out, uint64_t us)
{
	strbuf_u64(out, us / 1000000);
	strbuf_char(out, '.');
	strbuf_pad0(out, us % 1000000, 6);
}

/* ---- retransmissions ---- */

static const char flows_name[] = "tcp_retransmissions_total";

static void flow_port(struct strbuf *out, const char *name, uint16_t port)
{
	if (port)
		label_u64(out, false, name, port);
	else
		label(out, false, name, "");
}

static void flow_sample(struct strbuf *out, const struct metrics_flow *f, uint64_t value)
{
	strbuf_str(out, flows_name);
	label_u64(out, true, "ip_version", f->ip_version);
	label_begin(out, false, "src_ip");
	strbuf_addr(out, f->saddr, f->ip_version);
	strbuf_char(out, '"');
	flow_port(out, "src_port", f->sport);
	label_begin(out, false, "dst_ip");
	strbuf_addr(out, f->daddr, f->ip_version);
	strbuf_char(out, '"');
	flow_port(out, "dst_port", f->dport);
	sample_end(out, value);
}

static void flow_samples(struct strbuf *out, const struct metrics *m)
{
	static const char *const names[] = { "ip_version", "src_ip", "src_port", "dst_ip", "dst_port" };

	family(out, flows_name, "counter",
	       "Total number of TCP retransmissions: attempts that the kernel did not refuse. src is this host's end. A port of the ephemeral range is left empty unless --metrics-ports is given; flows beyond --metrics-max-series and lost records count as other." FLOWS);
	for (unsigned int i = 0; i < series_count(m->flows); i++)
		flow_sample(out, series_key(m->flows, i), series_value(m->flows, i));
	if (m->flows_folded || m->flows_lost) {
		strbuf_str(out, flows_name);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			label(out, !i, names[i], METRICS_OTHER);
		sample_end(out, m->flows_folded + m->flows_lost);
	}
	single(out, "rebpf_metrics_folded_total", "counter",
	       "TCP retransmissions of flows beyond --metrics-max-series, counted as other in tcp_retransmissions_total.",
	       m->flows_folded);
	single(out, "rebpf_metrics_series", "gauge", "Flows that tcp_retransmissions_total tells apart.",
	       series_count(m->flows));
}

static void attempt_samples(struct strbuf *out, const struct metrics *m)
{
	static const char name[] = "rebpf_retransmits_total";

	family(out, name, "counter",
	       "Attempts to retransmit a TCP segment, by type, what became of the new copy (outcome), and where the one before was lost (cause)." FLOWS);
	for (unsigned int t = 0; t < RTX_TYPE_COUNT; t++)
		for (unsigned int o = 0; o < RTX_OUTCOME_COUNT; o++)
			for (unsigned int c = 0; c < RTX_CAUSE_COUNT; c++) {
				if (!m->attempts[t][o][c])
					continue;
				strbuf_str(out, name);
				label(out, true, "type", rtx_type_name((enum rtx_type)t));
				label(out, false, "outcome", rtx_outcome_name((enum rtx_outcome)o));
				label(out, false, "cause", rtx_cause_name((enum rtx_cause)c));
				sample_end(out, m->attempts[t][o][c]);
			}
}

static void ret_sample(struct strbuf *out, const char *ret, const char *ret_name_text, uint64_t value)
{
	strbuf_str(out, "rebpf_retransmit_ret_total");
	label(out, true, "ret", ret);
	label(out, false, "ret_name", ret_name_text);
	sample_end(out, value);
}

static void ret_samples(struct strbuf *out, const struct metrics *m)
{
	family(out, "rebpf_retransmit_ret_total", "counter",
	       "Attempts to retransmit a TCP segment, by what tcp_retransmit_skb() returned." FLOWS);
	for (unsigned int i = 0; i < series_count(m->rets); i++) {
		const struct metrics_ret *key = series_key(m->rets, i);
		const char *name = key->has_ret ? ret_name(key->ret) : METRICS_UNKNOWN;
		char ret[16];

		snprintf(ret, sizeof(ret), "%d", key->ret);
		ret_sample(out, key->has_ret ? ret : METRICS_UNKNOWN, name ? name : "", series_value(m->rets, i));
	}
	if (m->rets_other)
		ret_sample(out, METRICS_OTHER, METRICS_OTHER, m->rets_other);
}

static void segment_samples(struct strbuf *out, const struct metrics *m)
{
	single(out, "rebpf_retransmitted_segments_total", "counter",
	       "TCP segments retransmitted, as the kernel counts them in RetransSegs." FLOWS, m->segs);
	single(out, "rebpf_retransmitted_segments_failed_total", "counter",
	       "Of these, segments that this host failed to send, as in TCPRetransFail." FLOWS, m->segs_failed);
}

static void spurious_samples(struct strbuf *out, const struct metrics *m)
{
	static const char name[] = "rebpf_spurious_total";

	family(out, name, "counter", "Signs that earlier TCP retransmissions were needless, by evidence." FLOWS);
	for (unsigned int i = SPURIOUS_NONE + 1; i < SPURIOUS_COUNT; i++)
		sample1(out, name, "evidence", spurious_evidence_name((enum spurious_evidence)i), m->spurious[i]);
	if (m->spurious[SPURIOUS_NONE])
		sample1(out, name, "evidence", METRICS_UNKNOWN, m->spurious[SPURIOUS_NONE]);
}

/* ---- drops and connects ---- */

static void drop_sample(struct strbuf *out, const struct metrics_place *p, uint64_t value)
{
	struct field_location location = {
		.symbol = p->symbol,
		.module = p->module,
		.max = REBPF_SYMBOL_LEN,
		.offset = p->offset,
		.address = p->address,
	};
	struct strbuf where = {};

	if (p->unknown)
		strbuf_str(&where, METRICS_UNKNOWN);
	else if (p->symbol[0] || p->address)
		text_put_location(&where, &location);
	strbuf_str(out, "rebpf_drops_total");
	label(out, true, "reason", p->reason);
	label(out, false, "class",
	      p->class < DROP_CLASS_COUNT ? drop_class_name((enum drop_class)p->class) : METRICS_UNKNOWN);
	label(out, false, "location", where.data ? where.data : "");
	sample_end(out, value);
	strbuf_free(&where);
}

static void drop_samples(struct strbuf *out, const struct metrics *m)
{
	family(out, "rebpf_drops_total", "counter",
	       "Packets freed as a drop on this host: TCP only, unless --all-protocols is given. By the kernel's reason, what it means (class; expected ones, too), and the function that dropped (empty: rebpf's own conclusion)." FLOWS);
	for (unsigned int i = 0; i < series_count(m->drops); i++)
		drop_sample(out, series_key(m->drops, i), series_value(m->drops, i));
	if (!m->drops_other)
		return;
	strbuf_str(out, "rebpf_drops_total");
	label(out, true, "reason", METRICS_OTHER);
	label(out, false, "class", METRICS_OTHER);
	label(out, false, "location", METRICS_OTHER);
	sample_end(out, m->drops_other);
}

static void latency_samples(struct strbuf *out, const struct metrics *m)
{
	static const char name[] = "rebpf_connect_latency_seconds";
	static const char *const bounds[METRICS_BUCKET_COUNT] = {
#define X(us, text) [METRICS_BUCKET_##us] = text,
		METRICS_BUCKETS(X)
#undef X
		[METRICS_BUCKET_INF] = "+Inf",
	};
	uint64_t sum = 0;

	family(out, name, "histogram", "Time from the SYN of an active open to its SYN-ACK." FLOWS);
	for (unsigned int i = 0; i < METRICS_BUCKET_COUNT; i++) {
		sum += m->latency[i];
		strbuf_str(out, name);
		strbuf_str(out, "_bucket");
		label(out, true, "le", bounds[i]);
		sample_end(out, sum);
	}
	strbuf_str(out, name);
	strbuf_str(out, "_sum ");
	put_seconds(out, m->latency_us);
	strbuf_char(out, '\n');
	strbuf_str(out, name);
	strbuf_str(out, "_count ");
	strbuf_u64(out, sum);
	strbuf_char(out, '\n');
}

static void connect_samples(struct strbuf *out, const struct metrics *m)
{
	static const char name[] = "rebpf_connects_total";

	family(out, name, "counter", "Active opens of TCP that came to an end, by how." FLOWS);
	for (unsigned int i = 0; i < CONNECT_RESULT_COUNT; i++)
		sample1(out, name, "result", connect_result_name((enum connect_result)i), m->connects[i]);
	if (m->connects[CONNECT_RESULT_COUNT])
		sample1(out, name, "result", METRICS_UNKNOWN, m->connects[CONNECT_RESULT_COUNT]);
	latency_samples(out, m);
}

/* ---- the host and rebpf itself ---- */

static void netns_family(struct strbuf *out, const struct netstat *n, const char *name, const char *help, size_t at)
{
	family(out, name, "counter", help);
	for (unsigned int i = 0; n && i < netstat_count(n); i++) {
		const struct netstat_entry *e = netstat_at(n, i);
		uint64_t value;

		if (!e->known)
			continue;
		memcpy(&value, (const char *)&e->tcp + at, sizeof(value));
		strbuf_str(out, name);
		label_u64(out, true, "netns", e->netns);
		sample_end(out, value);
	}
}

#define KERNELS " The kernel's own count since the network namespace began; of the options only --netns narrows it."

static void netns_samples(struct strbuf *out, const struct netstat *n)
{
	netns_family(out, n, "rebpf_netns_out_segments_total",
		     "TCP segments sent, without those retransmitted (OutSegs)." KERNELS,
		     offsetof(struct snmp_tcp, out_segs));
	netns_family(out, n, "rebpf_netns_retransmitted_segments_total", "TCP segments retransmitted (RetransSegs)." KERNELS,
		     offsetof(struct snmp_tcp, retrans_segs));
}

static void self_samples(struct strbuf *out, const struct metrics_page *page)
{
	const struct ev_stats *s = page->stats;
	static const char lost[] = "rebpf_records_lost_total";

	family(out, lost, "counter",
	       "Records that found no room in a ring buffer. Their events are counted all the same, as unknown where only the record would have told, and filtered by addresses and ports only.");
	sample1(out, lost, "ring", "control", s->lost[RING_CONTROL]);
	sample1(out, lost, "ring", "drops", s->lost[RING_DROPS]);
	single(out, "rebpf_records_total", "counter", "Records read from the kernel and noted by rebpf itself.", s->records);
	single(out, "rebpf_missed_total", "counter",
	       "Runs of hooks that the kernel skipped, and attempts that could not be followed.", s->missed);
	single(out, "rebpf_unseen_segments_total", "counter",
	       "Segments that sockets counted as retransmitted and no hook saw.", s->unseen);
	single(out, "rebpf_incomplete_attempts_total", "counter", "Attempts of which a record was lost: not printed.",
	       s->incomplete);
	single(out, "rebpf_malformed_records_total", "counter", "Records that could not be understood.", s->malformed);
	single(out, "rebpf_output_lines_lost_total", "counter", "Lines that a slow reader of the output cost.",
	       s->output_lost);
	single(out, "rebpf_injected_total", "counter",
	       "Retransmissions that rebpf itself dropped (--inject), by the kernel side's count.", s->injected);
	family(out, "rebpf_build_info", "gauge", "What runs, on which kernel; always 1.");
	strbuf_str(out, "rebpf_build_info");
	label(out, true, "version", page->version);
	label(out, false, "kernel", page->kernel);
	sample_end(out, 1);
	family(out, "rebpf_start_time_seconds", "gauge", "When rebpf was started, in seconds since 1970.");
	strbuf_str(out, "rebpf_start_time_seconds ");
	put_seconds(out, page->start_ns / 1000);
	strbuf_char(out, '\n');
}

void metrics_text(struct strbuf *out, const struct metrics_page *page)
{
	const struct metrics *m = page->metrics;

	flow_samples(out, m);
	attempt_samples(out, m);
	ret_samples(out, m);
	segment_samples(out, m);
	netns_samples(out, page->netstat);
	spurious_samples(out, m);
	drop_samples(out, m);
	connect_samples(out, m);
	self_samples(out, page);
}
