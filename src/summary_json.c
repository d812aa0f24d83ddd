// SPDX-License-Identifier: MIT
/*
 * The JSON object "summary" of the stats event: what sink_summary.c shows as text. Each table is a list of objects, most
 * frequent first: its key, then "count" and by how much that may be too high, "error".
 */
#include "field.h"
#include "summary.h"

static const char *class_name(uint32_t class)
{
	return class < DROP_CLASS_COUNT ? drop_class_name((enum drop_class)class) : NULL;
}

static void remote_fields(const void *key, struct visitor *v)
{
	const struct key_remote *k = key;

	field_address_if(v, FIELD("addr", SHOW_NEVER), k->ip_version, k->addr, (int)k->ip_version);
}

static void port_fields(const void *key, struct visitor *v)
{
	const struct key_port *k = key;

	field_u64(v, FIELD("port", SHOW_NEVER), k->port);
}

static void process_fields(const void *key, struct visitor *v)
{
	const struct key_process *k = key;

	field_u64_if(v, FIELD("pid", SHOW_NEVER), k->pid, k->pid);
	field_string_if(v, FIELD("comm", SHOW_NEVER), k->pid, k->comm, sizeof(k->comm));
}

static void reason_fields(const void *key, struct visitor *v)
{
	const struct key_reason *k = key;

	field_string_if(v, FIELD("reason", SHOW_NEVER), k->reason[0], k->reason, sizeof(k->reason));
	field_name(v, FIELD("class", SHOW_NEVER), class_name(k->class), TONE_NONE);
}

static void place_fields(const void *key, struct visitor *v)
{
	const struct key_place *k = key;
	struct field_location location = {
		.symbol = k->symbol, .module = k->module, .max = REBPF_SYMBOL_LEN, .offset = k->offset, .address = k->address,
	};

	field_string_if(v, FIELD("reason", SHOW_NEVER), k->reason[0], k->reason, sizeof(k->reason));
	field_location(v, FIELD("location", SHOW_NEVER), &location);
}

static void failed_fields(const void *key, struct visitor *v)
{
	const struct key_failed *k = key;

	field_address_if(v, FIELD("addr", SHOW_NEVER), k->ip_version, k->addr, (int)k->ip_version);
	field_u64(v, FIELD("port", SHOW_NEVER), k->port);
	field_name(v, FIELD("result", SHOW_NEVER), connect_result_name((enum connect_result)k->result), TONE_NONE);
}

static void table_fields(const struct summary *s, enum summary_table which, const struct field *f,
			 void (*fields)(const void *key, struct visitor *v), struct visitor *v)
{
	struct topk_item item[SUMMARY_TOP];
	unsigned int n = topk_list(s->table[which], item, SUMMARY_TOP);

	if (!field_list(v, f, true, n))
		return;
	for (unsigned int i = 0; i < n; i++) {
		if (!field_object(v, FIELD_ELEMENT, true))
			continue;
		fields(item[i].key, v);
		field_u64(v, FIELD("count", SHOW_NEVER), item[i].count);
		field_u64(v, FIELD("error", SHOW_NEVER), item[i].error);
		field_object_end(v);
	}
	field_list_end(v);
}

/* The object @name of a closed list, whose X() states one number. */
#define TALLIES(name, LIST)                                             \
	do {                                                            \
		if (field_object(v, FIELD(name, SHOW_NEVER), true)) {   \
			LIST(X)                                         \
			field_object_end(v);                            \
		}                                                       \
	} while (0)

static void retransmit_fields(const struct summary *s, struct visitor *v)
{
	if (!field_object(v, FIELD("retransmit", SHOW_NEVER), true))
		return;
	field_u64(v, FIELD("count", SHOW_NEVER), s->events[EV_RETRANSMIT].count);
	field_u64(v, FIELD("spurious", SHOW_NEVER), s->events[EV_SPURIOUS].count);
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_NEVER), s->by_type[RTX_TYPE_##NAME].count);
	TALLIES("by_type", RTX_TYPES);
#undef X
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_NEVER), s->by_cause[RTX_CAUSE_##NAME].count);
	TALLIES("by_cause", RTX_CAUSES);
#undef X
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_NEVER), s->by_why[CAUSE_WHY_##NAME].count);
	TALLIES("by_cause_why", CAUSE_WHYS);
#undef X
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_NEVER), s->by_outcome[RTX_OUTCOME_##NAME].count);
	TALLIES("by_outcome", RTX_OUTCOMES);
#undef X
	table_fields(s, SUMMARY_LOST_AT, FIELD("lost_at", SHOW_NEVER), place_fields, v);
	table_fields(s, SUMMARY_REMOTES, FIELD("remotes", SHOW_NEVER), remote_fields, v);
	table_fields(s, SUMMARY_PORTS, FIELD("ports", SHOW_NEVER), port_fields, v);
	table_fields(s, SUMMARY_PROCESSES, FIELD("processes", SHOW_NEVER), process_fields, v);
	field_object_end(v);
}

static void drop_fields(const struct summary *s, struct visitor *v)
{
	if (!field_object(v, FIELD("drop", SHOW_NEVER), true))
		return;
	field_u64(v, FIELD("count", SHOW_NEVER), s->events[EV_DROP].count);
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_NEVER), s->by_class[DROP_CLASS_##NAME].count);
	TALLIES("by_class", DROP_CLASSES);
#undef X
	table_fields(s, SUMMARY_DROP_REASONS, FIELD("reasons", SHOW_NEVER), reason_fields, v);
	table_fields(s, SUMMARY_DROP_PLACES, FIELD("places", SHOW_NEVER), place_fields, v);
	table_fields(s, SUMMARY_DROP_PROCESSES, FIELD("processes", SHOW_NEVER), process_fields, v);
	field_object_end(v);
}

static void latency_fields(const struct quantile *q, struct visitor *v)
{
	if (!field_object(v, FIELD("latency_us", SHOW_NEVER), q->count))
		return;
	field_u64(v, FIELD("count", SHOW_NEVER), q->count);
	field_u64(v, FIELD("min", SHOW_NEVER), q->least);
	field_u64(v, FIELD("p50", SHOW_NEVER), quantile_at(q, 500));
	field_u64(v, FIELD("p90", SHOW_NEVER), quantile_at(q, 900));
	field_u64(v, FIELD("p99", SHOW_NEVER), quantile_at(q, 990));
	field_u64(v, FIELD("max", SHOW_NEVER), q->greatest);
	field_object_end(v);
}

static void connect_fields(const struct summary *s, struct visitor *v)
{
	if (!field_object(v, FIELD("connect", SHOW_NEVER), true))
		return;
	field_u64(v, FIELD("count", SHOW_NEVER), s->events[EV_CONNECT].count);
#define X(NAME, name) field_u64(v, FIELD(#name, SHOW_NEVER), s->by_result[CONNECT_##NAME].count);
	TALLIES("by_result", CONNECT_RESULTS);
#undef X
	latency_fields(&s->latency, v);
	table_fields(s, SUMMARY_FAILED, FIELD("failed", SHOW_NEVER), failed_fields, v);
	field_object_end(v);
}

static void traffic_fields(const struct summary *s, struct visitor *v)
{
	uint64_t out = s->out_segs.count, retrans = s->retrans_segs.count;

	if (!field_object(v, FIELD("traffic", SHOW_NEVER), s->traffic_known))
		return;
	field_u64(v, FIELD("out_segs", SHOW_NEVER), out);
	field_u64(v, FIELD("retrans_segs", SHOW_NEVER), retrans);
	field_u64_if(v, FIELD("retrans_ppm", SHOW_NEVER), out, out ? summary_ppm(retrans, out) : 0);
	field_u64(v, FIELD("namespaces", SHOW_NEVER), s->space_count);
	field_bool(v, FIELD("complete", SHOW_NEVER), s->traffic_complete);
	field_object_end(v);
}

void summary_fields(const struct summary *s, struct visitor *v)
{
	if (!field_object(v, FIELD("summary", SHOW_NEVER), s))
		return;
	traffic_fields(s, v);
	retransmit_fields(s, v);
	drop_fields(s, v);
	connect_fields(s, v);
	field_object_end(v);
}
