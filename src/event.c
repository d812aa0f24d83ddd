// SPDX-License-Identifier: MIT
/* The table of event kinds, what all of them have in common, and the names of closed lists (event.h). */
#include "event.h"

#include <errno.h>
#include <string.h>

#include "field.h"
#include "util.h"

const struct event_type event_types[EV_KIND_COUNT] = {
#define X(NAME, kind, payload, def) [EV_##NAME] = { .name = #kind, .title = #NAME, .ops = &event_ops_##kind },
	EVENT_KINDS(X)
#undef X
};

/* ---- what events have in common ---- */

/* Where the columns of the head begin. With IPv4 and short names it is 79 wide, and the words follow. */
enum head_column { HEAD_EVENT = 16, HEAD_PID = 27, HEAD_COMM = 35, HEAD_FLOW = 46, HEAD_END = 79 };

void event_fields(const struct event *e, struct visitor *v)
{
	field_time(v, FIELD("time", SHOW_NEVER), e->wall_ns);
	field_name(v, FIELD("event", SHOW_NEVER), event_types[e->kind].name, TONE_NONE);
}

void event_common_fields(const struct ev_common *c, struct visitor *v)
{
	const struct rec_flow *flow = &c->flow;
	bool owned = c->owner.tgid;
	/* Process 0 is the idle task: only without a name is it nobody. */
	bool has_task = c->task.tgid || c->task.comm[0];

	field_u64_if(v, FIELD("netns", SHOW_VERBOSE), flow->netns, flow->netns);
	field_u64_if(v, FIELD("pid", SHOW_NEVER), owned, c->owner.tgid);
	field_string_if(v, FIELD("comm", SHOW_NEVER), owned, c->owner.comm, sizeof(c->owner.comm));
	field_u64_if(v, FIELD("uid", SHOW_VERBOSE), flow->sk, flow->uid);
	field_u64_if(v, FIELD("cgroup", SHOW_VERBOSE), flow->cgroup, flow->cgroup);
	field_u64_if(v, FIELD("task_pid", SHOW_NEVER), has_task, c->task.tgid);
	field_string_if(v, FIELD("task_comm", SHOW_NEVER), has_task, c->task.comm, sizeof(c->task.comm));
	field_u64_if(v, FIELD("ip_version", SHOW_NEVER), flow->ip_version, flow->ip_version);
	field_address_if(v, FIELD("saddr", SHOW_NEVER), flow->ip_version, flow->laddr, flow->ip_version);
	field_u64_if(v, FIELD("sport", SHOW_NEVER), flow->lport, flow->lport);
	field_address_if(v, FIELD("daddr", SHOW_NEVER), flow->ip_version, flow->raddr, flow->ip_version);
	field_u64_if(v, FIELD("dport", SHOW_NEVER), flow->rport, flow->rport);
}

struct field_location event_place_location(const struct ev_drop_place *p)
{
	return (struct field_location){
		.symbol = p->symbol,
		.module = p->module,
		.max = REBPF_SYMBOL_LEN,
		.offset = p->offset,
		.address = p->address,
	};
}

void event_place_fields(const struct ev_drop_place *p, struct visitor *v, bool show_ifname)
{
	struct field_location location = event_place_location(p);

	field_string_if(v, FIELD_PART("reason", "", SHOW_ALWAYS), p->reason[0], p->reason, sizeof(p->reason));
	field_name(v, FIELD_PART("class", "", SHOW_NEVER), drop_class_name(p->class), TONE_NONE);
	field_location(v, FIELD_PART("location", "@", SHOW_ALWAYS), &location);
	field_string_if(v, FIELD_PART_IF(show_ifname, "ifname", ":", SHOW_VERBOSE), p->ifname[0], p->ifname,
			sizeof(p->ifname));
}

void event_cause_drop_fields(const struct ev_cause_drop *d, bool known, bool show_null, uint32_t own_netns,
			     uint32_t range, struct visitor *v)
{
	bool elsewhere = d->netns && d->netns != own_netns;

	if (!field_object(v, FIELD_IF(known || show_null, "cause_drop", SHOW_NEVER), known))
		return;
	event_place_fields(&d->place, v, d->place.ifname[0]);
	field_u64_if(v, FIELD_PART_IF(elsewhere, "netns", ",netns=", SHOW_VERBOSE), d->netns, d->netns);
	field_u64_if(v, FIELD_PART("pid", ",pid=", SHOW_VERBOSE), d->pid, d->pid);
	field_us_if(v, FIELD_PART("age_us", ",age=", SHOW_ALWAYS), true, d->age_us);
	field_u64(v, FIELD_PART("seq", ",seq=", SHOW_VERBOSE), d->seq);
	field_u64(v, FIELD_PART("end_seq", "-", SHOW_VERBOSE), d->end_seq);
	field_share(v, FIELD_PART_IF(d->covered != range, "covered", ",covered=", SHOW_VERBOSE), d->covered, range);
	field_bool(v, FIELD_PART_IF(d->nat, "nat", ",nat=", SHOW_NEVER), d->nat);
	field_object_end(v);
}

/* Longest parts of the head: a clock, a title, a number, a comm all of whose bytes are escaped, two ends with a port. */
#define HEAD_MAX (PUT_CLOCK_MAX + 16 + PUT_U64_MAX + PUT_ESCAPED_MAX(REBPF_COMM_LEN) + 2 * (PUT_ADDR_MAX + 8) + 2 * PUT_PAD_MAX)

/* A space at least, and on to where the column begins. */
static inline char *next_column(char *p, char *start, enum head_column column)
{
	*p++ = ' ';
	return put_pad(p, start + column);
}

static inline char *put_end(char *p, const __u8 addr[16], int ip_version, uint16_t port)
{
	if (!ip_version) {
		*p++ = '-';
		return p;
	}
	if (ip_version == 6)
		*p++ = '[';
	p = put_addr(p, addr, ip_version);
	if (ip_version == 6)
		*p++ = ']';
	if (!port)
		return p;
	*p++ = ':';
	return put_u64(p, port);
}

static inline char *put_comm(char *p, const struct rec_owner *owner)
{
	size_t len = strnlen(owner->comm, sizeof(owner->comm));

	return len ? put_escaped(p, owner->comm, len, true) : put_bytes(p, "\"\"", 2);
}

void event_common_head(const struct event *e, const struct ev_common *c, struct strbuf *out, bool utc)
{
	const struct rec_flow *flow = &c->flow;
	const struct rec_owner *owner = &c->owner;
	char *start = strbuf_room(out, HEAD_MAX), *p;

	if (!start)
		return;
	p = next_column(put_clock(start, e->wall_ns, utc), start, HEAD_EVENT);
	p = next_column(put_str(p, event_types[e->kind].title), start, HEAD_PID);
	p = owner->tgid ? put_u64(p, owner->tgid) : put_bytes(p, "-", 1);
	p = next_column(p, start, HEAD_COMM);
	p = owner->tgid ? put_comm(p, owner) : put_bytes(p, "-", 1);
	p = next_column(p, start, HEAD_FLOW);
	p = put_end(p, flow->laddr, flow->ip_version, flow->lport);
	p = put_end(put_bytes(p, " > ", 3), flow->raddr, flow->ip_version, flow->rport);
	strbuf_end(out, put_pad(p, start + HEAD_END));
}

void event_text_header(struct strbuf *out)
{
	char *start = strbuf_room(out, HEAD_MAX), *p;

	if (!start)
		return;
	p = next_column(put_str(start, "TIME"), start, HEAD_EVENT);
	p = next_column(put_str(p, "EVENT"), start, HEAD_PID);
	p = next_column(put_str(p, "PID"), start, HEAD_COMM);
	p = next_column(put_str(p, "COMM"), start, HEAD_FLOW);
	strbuf_end(out, put_str(p, "SOURCE > DESTINATION\n")); /* and words that say what they are: fits 80 columns */
}

/* ---- names of closed lists ---- */

/* The list's word for @value; its first word, that of UNKNOWN or NONE, for a number outside it. */
static const char *list_word(const char *const *words, size_t count, unsigned int value)
{
	return words[value < count ? value : 0];
}

#define X(NAME, name) [RTX_TYPE_##NAME] = #name,
static const char *const rtx_types[RTX_TYPE_COUNT] = { RTX_TYPES(X) };
#undef X
#define X(NAME, name) [RTX_OUTCOME_##NAME] = #name,
static const char *const rtx_outcomes[RTX_OUTCOME_COUNT] = { RTX_OUTCOMES(X) };
#undef X
#define X(NAME, name) [RTX_CAUSE_##NAME] = #name,
static const char *const rtx_causes[RTX_CAUSE_COUNT] = { RTX_CAUSES(X) };
#undef X
#define X(NAME, name) [CAUSE_WHY_##NAME] = #name,
static const char *const cause_whys[CAUSE_WHY_COUNT] = { CAUSE_WHYS(X) };
#undef X
#define X(NAME, name) [DROP_CLASS_##NAME] = #name,
static const char *const drop_classes[DROP_CLASS_COUNT] = { DROP_CLASSES(X) };
#undef X
#define X(NAME, name) [CONNECT_##NAME] = #name,
static const char *const connect_results[CONNECT_RESULT_COUNT] = { CONNECT_RESULTS(X) };
#undef X
static const char *const spurious_evidences[SPURIOUS_COUNT] = { "none", "dsack", "frto", "timestamp" };

const char *rtx_type_name(enum rtx_type t)
{
	return list_word(rtx_types, ARRAY_SIZE(rtx_types), t);
}

const char *rtx_outcome_name(enum rtx_outcome o)
{
	return list_word(rtx_outcomes, ARRAY_SIZE(rtx_outcomes), o);
}

const char *rtx_cause_name(enum rtx_cause c)
{
	return list_word(rtx_causes, ARRAY_SIZE(rtx_causes), c);
}

const char *cause_why_name(enum cause_why w)
{
	return list_word(cause_whys, ARRAY_SIZE(cause_whys), w);
}

const char *drop_class_name(enum drop_class c)
{
	return list_word(drop_classes, ARRAY_SIZE(drop_classes), c);
}

const char *connect_result_name(enum connect_result r)
{
	return (unsigned int)r < ARRAY_SIZE(connect_results) ? connect_results[r] : NULL;
}

const char *spurious_evidence_name(enum spurious_evidence e)
{
	return list_word(spurious_evidences, ARRAY_SIZE(spurious_evidences), e);
}

const char *tc_verdict_name(int verdict)
{
	/* include/uapi/linux/pkt_cls.h: the list begins at TC_ACT_UNSPEC, -1. */
	static const char *const names[] = {
		"TC_ACT_UNSPEC", "TC_ACT_OK", "TC_ACT_RECLASSIFY", "TC_ACT_SHOT", "TC_ACT_PIPE",
		"TC_ACT_STOLEN", "TC_ACT_QUEUED", "TC_ACT_REPEAT", "TC_ACT_REDIRECT", "TC_ACT_TRAP",
	};
	unsigned int index = (unsigned int)verdict + 1;

	return index < ARRAY_SIZE(names) ? names[index] : NULL;
}

const char *tcp_state_name(uint8_t state)
{
	/* include/net/tcp_states.h; BOUND_INACTIVE since 6.8, only in inet_diag. */
	static const char *const names[] = {
		"UNKNOWN", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE",
		"CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV", "BOUND_INACTIVE",
	};

	return list_word(names, ARRAY_SIZE(names), state);
}

const char *ca_state_name(uint8_t ca)
{
	/* enum tcp_ca_state, include/uapi/linux/tcp.h */
	static const char *const names[] = { "open", "disorder", "cwr", "recovery", "loss" };

	return ca < ARRAY_SIZE(names) ? names[ca] : "unknown";
}

/* Errors that sending a segment can return; not strerrorname_np(), which only some C libraries have. */
#define SEND_ERRORS(X)                                                                                    \
	X(EPERM) X(ENOENT) X(EINTR) X(EIO) X(ENXIO) X(E2BIG) X(EAGAIN) X(ENOMEM) X(EACCES) X(EFAULT)      \
	X(EBUSY) X(EEXIST) X(ENODEV) X(EINVAL) X(ENOSPC) X(EPIPE) X(ERANGE) X(ELOOP) X(ENODATA)           \
	X(ENONET) X(ENOLINK) X(ECOMM) X(EPROTO) X(EBADMSG) X(EOVERFLOW) X(EMSGSIZE) X(ENOPROTOOPT)        \
	X(EPROTONOSUPPORT) X(EOPNOTSUPP) X(EAFNOSUPPORT) X(EADDRINUSE) X(EADDRNOTAVAIL) X(ENETDOWN)       \
	X(ENETUNREACH) X(ENETRESET) X(ECONNABORTED) X(ECONNRESET) X(ENOBUFS) X(EISCONN) X(ENOTCONN)       \
	X(ESHUTDOWN) X(ETIMEDOUT) X(ECONNREFUSED) X(EHOSTDOWN) X(EHOSTUNREACH) X(EALREADY)                \
	X(EINPROGRESS) X(ESTALE) X(EDQUOT) X(ECANCELED) X(ENOKEY) X(EKEYEXPIRED) X(EKEYREVOKED)           \
	X(EKEYREJECTED)

const char *ret_name(int32_t ret)
{
	/* NET_XMIT_* of include/linux/netdevice.h */
	static const char *const positive[] = { "OK", "NET_XMIT_DROP", "NET_XMIT_CN" };
#define X(e) [e] = #e,
	static const char *const errors[] = { SEND_ERRORS(X) };
#undef X
	int64_t err = -(int64_t)ret;

	if (ret >= 0)
		return ret < (int32_t)ARRAY_SIZE(positive) ? positive[ret] : NULL;
	return err < (int64_t)ARRAY_SIZE(errors) ? errors[err] : NULL;
}
