/* SPDX-License-Identifier: MIT */
/*
 * Events as the user sees them: what correlate.c makes of records, what filters look at and sinks print.
 * Every kind has one row in event_types[] (event.c) and one file ev_<kind>.c that holds all user-side
 * knowledge of it. Nothing else switches on the kind.
 */
#ifndef REBPF_SRC_EVENT_H
#define REBPF_SRC_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/event.h"

enum event_kind {
#define X(NAME, name, payload, def) EV_##NAME,
	EVENT_KINDS(X)
#undef X
	EV_KIND_COUNT
};

/* Why the kernel retransmitted (cause.md, "Type and attempt"). Names as printed: rtx_type_name(). */
#define RTX_TYPES(X)                                                                              \
	X(UNKNOWN, unknown) X(RTO, rto) X(FAST, fast) X(TLP, tlp) X(SLOW_START, slow_start)       \
	X(PMTU, pmtu) X(ZERO_WINDOW, zero_window) X(SYN, syn) X(SYNACK, synack)
enum rtx_type {
#define X(NAME, name) RTX_TYPE_##NAME,
	RTX_TYPES(X)
#undef X
	RTX_TYPE_COUNT
};

/* What became of the new copy (cause.md, "Outcome of an attempt"). */
#define RTX_OUTCOMES(X) X(UNKNOWN, unknown) X(SENT, sent) X(DROPPED, dropped) X(STOLEN, stolen) X(REFUSED, refused)
enum rtx_outcome {
#define X(NAME, name) RTX_OUTCOME_##NAME,
	RTX_OUTCOMES(X)
#undef X
	RTX_OUTCOME_COUNT
};

/* Where the previous copy was lost (cause.md, "The verdicts"). */
#define RTX_CAUSES(X) \
	X(UNKNOWN, unknown) X(LOCAL, local) X(ACK_LOCAL, ack_local) X(NETWORK, network) X(HOST_QUEUE, host_queue)
enum rtx_cause {
#define X(NAME, name) RTX_CAUSE_##NAME,
	RTX_CAUSES(X)
#undef X
	RTX_CAUSE_COUNT
};

/*
 * Why a cause is unknown: the closed list. DROPS_NOT_TRACED: this rebpf, or this kernel, does not record the
 * drops that a verdict would need.
 */
#define CAUSE_WHYS(X)                                                                                       \
	X(NONE, none) X(DROPS_NOT_TRACED, drops_not_traced) X(BEFORE_START, before_start)                   \
	X(RECORDS_LOST, records_lost) X(NO_PREVIOUS_STAMP, no_previous_stamp) X(SAME_HOST, same_host)       \
	X(QUEUED, queued) X(XDP, xdp) X(TC_CONSUMED, tc_consumed) X(ENCAPSULATED, encapsulated)             \
	X(NIC_DROPS, nic_drops) X(NAT, nat) X(RECEIVER_BLIND, receiver_blind) X(DRIVER_FREE, driver_free)   \
	X(PROCESSED_COPY, processed_copy)
enum cause_why {
#define X(NAME, name) CAUSE_WHY_##NAME,
	CAUSE_WHYS(X)
#undef X
	CAUSE_WHY_COUNT
};

/* A verdict of TC egress as far as it is known. Values: include/uapi/linux/pkt_cls.h. */
enum tc_verdict {
	TC_VERDICT_UNKNOWN = -100, /* printed as null */
	TC_VERDICT_OK = 0,
	TC_VERDICT_SHOT = 2,
	TC_VERDICT_STOLEN = 4,
	TC_VERDICT_REDIRECT = 7,
};

enum tc_by { TC_BY_NOBODY, TC_BY_OTHER, TC_BY_REBPF };

#define EV_MAX_HOPS 8
struct ev_tc_hop {
	char ifname[REBPF_IFNAME_LEN];
	uint64_t skb; /* the copy that was seen there */
	int verdict;  /* enum tc_verdict */
	enum tc_by by;
};

/* What a drop reason means to an operator (meaning.h). */
#define DROP_CLASSES(X) X(BAD, bad) X(POLICY, policy) X(EXPECTED, expected)
enum drop_class {
#define X(NAME, name) DROP_CLASS_##NAME,
	DROP_CLASSES(X)
#undef X
	DROP_CLASS_COUNT
};

/* What became of the bytes (cause.md, "Each drop reason or location has a fate"). Only LOST gives a cause. */
enum drop_fate {
	DROP_FATE_UNCLEAR,
	DROP_FATE_LOST,
	DROP_FATE_DELIVERED, /* freed after TCP had processed it */
	DROP_FATE_COPY,      /* a clone for somebody else */
	DROP_FATE_OUTSIDE,   /* outside the receiver's window: beyond it (lost), or an old duplicate (delivered) */
	DROP_FATE_DRIVER,    /* by a driver, which may have sent it before */
};

/* A freed copy: names are already those of the recording kernel. @known false: there was none. */
struct ev_drop_place {
	bool known;
	enum drop_class class;
	char reason[REBPF_REASON_LEN]; /* "" where the kernel gives none */
	char symbol[REBPF_SYMBOL_LEN]; /* "" if it could not be resolved */
	char module[REBPF_SYMBOL_LEN]; /* "" for the kernel itself */
	uint64_t offset;
	uint64_t address;
	char ifname[REBPF_IFNAME_LEN]; /* "" if it had no device yet */
};

/* What all events but stats have in common. */
struct ev_common {
	struct rec_flow flow;   /* local end is saddr/sport; ip_version 0: no addresses, a port of 0: none */
	struct rec_owner owner; /* tgid 0: unknown */
	struct rec_owner task;
};

/* The drop that made a retransmission necessary: of the previous copy, or of its acknowledgement. */
struct ev_cause_drop {
	struct ev_drop_place place;
	uint32_t netns;
	uint32_t pid;        /* of the process whose socket it was for, or from; 0: unknown */
	uint64_t age_us;     /* from the drop to the attempt */
	uint32_t seq, end_seq;
	uint32_t covered; /* bytes of the retransmitted range that were dropped (or acknowledged by what was) */
	bool nat;         /* the packet carried other addresses than the socket has */
};

struct ev_retransmit {
	struct ev_common c;
	enum rtx_type type;
	uint32_t attempt; /* 0: unknown (null) */
	uint32_t seq, end_seq;
	uint32_t len;  /* payload bytes */
	uint32_t segs; /* as the kernel counts them */
	uint64_t skb;  /* P; of the copy for a SYN-ACK; 0: unknown */

	bool tc_observed; /* false: tc is null */
	unsigned int tc_count;
	struct ev_tc_hop tc[EV_MAX_HOPS];
	bool has_ret;
	int32_t ret;
	enum rtx_outcome outcome;
	struct ev_drop_place drop; /* of this copy, before the call returned */

	enum rtx_cause cause;
	enum cause_why cause_why;
	struct ev_cause_drop cause_drop; /* place.known: for local and ack_local */

	uint8_t ca_state;
	uint32_t srtt_us, rto_us, cwnd, ssthresh, mss, total_retrans, segs_out;
	bool has_socket; /* the figures above are known (not for a SYN-ACK) */
};

/* A return address with its name; symbol "" if it has none. */
struct ev_code {
	uint64_t address, offset;
	char symbol[REBPF_SYMBOL_LEN];
	char module[REBPF_SYMBOL_LEN];
};

/*
 * A packet freed as a drop. c.flow has the packet's own source and destination in place of local and remote; its netns is
 * where it was dropped. What it says of a socket holds only if has_socket.
 */
struct ev_drop {
	struct ev_common c;
	struct ev_drop_place place;
	const struct drop_meaning *meaning; /* never NULL (meaning.h) */
	bool synthetic;                     /* rebpf's own conclusion: the kernel gave no such drop */
	bool has_socket, received;
	uint8_t protocol; /* IPPROTO_*; 0: not IP */
	uint8_t tcp_flags;
	bool has_segment; /* TCP: seq, end_seq, ack, tcp_flags, len are known */
	uint32_t seq, end_seq, ack;
	uint32_t len;        /* TCP payload bytes */
	uint32_t packet_len; /* from the IP header on; 0: unknown */
	uint64_t skb;
	unsigned int stack_count; /* 0: none was taken */
	const struct ev_code *stack; /* lives as long as the event is being handled */
};

/* How an active open ended. FAILED: this host could not begin it (no free port, a firewall on the way out, ...). */
#define CONNECT_RESULTS(X)                                                                              \
	X(ESTABLISHED, established) X(REFUSED, refused) X(TIMEOUT, timeout) X(UNREACHABLE, unreachable) \
	X(ABORTED, aborted) X(FAILED, failed)
enum connect_result {
#define X(NAME, name) CONNECT_##NAME,
	CONNECT_RESULTS(X)
#undef X
	CONNECT_RESULT_COUNT
};

/*
 * An active open. Its time is that of its end.
 * @duration_us: from the SYN (without one: from connect()) to the end, if has_duration; established, that is SYN to SYN-ACK.
 */
struct ev_connect {
	struct ev_common c;
	enum connect_result result;
	uint32_t err; /* errno, 0: none */
	bool syn_sent;
	uint32_t syn_retrans;
	bool has_duration;
	uint64_t duration_us;
	struct ev_cause_drop cause_drop; /* place.known: the last drop of a SYN or of its answer on this host */
};

/* An earlier retransmission was not needed. */
struct ev_spurious {
	struct ev_common c;
	enum spurious_evidence evidence;
	bool has_range;
	uint32_t seq, end_seq, len;
	uint32_t dups;
	bool contradicts; /* a verdict already printed */
	enum rtx_cause cause_was;
};

/* Statistics so far; also the last event of a run. */
struct ev_stats {
	uint64_t duration_ns;
	uint64_t attempts; /* seen by the pipeline, before filters */
	uint64_t segs;     /* of attempts not refused: the rise of TcpRetransSegs, if nothing was lost */
	uint64_t segs_failed;
	uint64_t printed;
	uint64_t by_type[RTX_TYPE_COUNT];
	uint64_t by_outcome[RTX_OUTCOME_COUNT];
	uint64_t by_cause[RTX_CAUSE_COUNT];
	uint64_t incomplete; /* attempts whose end was never seen */
	uint64_t records;    /* read from the rings */
	uint64_t lost[RING_COUNT];
	uint64_t unseen;     /* segments that sockets counted as retransmitted and no hook saw */
	uint64_t missed;     /* program runs that the kernel skipped, and slots that could not be opened */
	uint64_t malformed;
	uint64_t output_lost; /* lines that a blocked reader cost */
	uint64_t drops;       /* DROP records read, before filters */
	uint64_t drops_by_class[DROP_CLASS_COUNT];
	uint64_t spurious;
	uint64_t connects; /* active opens that ended, before filters */
	uint64_t connects_by_result[CONNECT_RESULT_COUNT];
	uint64_t produced; /* records that the kernel side wanted to write */
	uint64_t consumed; /* of these, read from the rings; consumed + lost = produced once the rings are empty */
	uint64_t wakeups;  /* times that a record woke rebpf */
	uint64_t injected; /* retransmissions that rebpf itself dropped (--inject), by the kernel side's count */
	bool final;        /* the last one of this run */
	const struct summary *summary; /* NULL: not asked for (summary.h) */
};

struct event {
	enum event_kind kind;
	uint64_t mono_ns; /* of the event, not of printing */
	uint64_t wall_ns; /* the same as CLOCK_REALTIME, by the offset that held then */
	union {
#define X(NAME, name, payload, def) struct payload name;
		EVENT_KINDS(X)
#undef X
	};
};

struct field_location;
struct strbuf;
struct visitor;

/* What the rest of the program knows of a kind: one row each, from EVENT_KINDS and its ev_<kind>.c. */
struct event_ops {
	/* States every field of @e in the order in which formats show them (field.h). */
	void (*fields)(const struct event *e, struct visitor *v);
	/*
	 * The fixed leading columns of its text line, whose words then come from fields(). NULL: a kind
	 * that is no line of text.
	 */
	void (*head)(const struct event *e, struct strbuf *out, bool utc);
};

struct event_type {
	const char *name;  /* "retransmit" */
	const char *title; /* "RETRANSMIT", the text column */
	const struct event_ops *ops;
};

extern const struct event_type event_types[EV_KIND_COUNT];

/* Each is defined in its ev_<kind>.c: without that file the program does not link. */
#define X(NAME, name, payload, def) extern const struct event_ops event_ops_##name;
EVENT_KINDS(X)
#undef X

/* ---- for ev_*.c: what all kinds do alike ---- */

/* The members of an object that has begun: reason, class, location, ifname. Text has the last if @show_ifname, else with -v. */
void event_place_fields(const struct ev_drop_place *p, struct visitor *v, bool show_ifname);
/*
 * The object "cause_drop": the drop that explains the event, null unless @known, in text only if @show_null. @own_netns: left
 * out of the text if it was there. @range: bytes of what was lost, of which so much is covered.
 */
void event_cause_drop_fields(const struct ev_cause_drop *d, bool known, bool show_null, uint32_t own_netns, uint32_t range,
			     struct visitor *v);
/* Where it was freed, for field_location(); it lives as long as @p. */
struct field_location event_place_location(const struct ev_drop_place *p);
/* The fields that begin every event: time, event. */
void event_fields(const struct event *e, struct visitor *v);
/* The fields that all events but stats have next: netns .. dport. */
void event_common_fields(const struct ev_common *c, struct visitor *v);
/*
 * "04:03:02.123456 RETRANSMIT 1234    nginx      10.0.0.1:443 > 10.0.0.2:51234      ": time of day (local,
 * or @utc), kind, owner's pid and comm ("-" if unknown), the two ends. Padded to 79 columns; where
 * something is wider, what follows keeps one space of distance and catches up with its column if it can.
 */
void event_common_head(const struct event *e, const struct ev_common *c, struct strbuf *out, bool utc);
/* The header line over these columns, with its line break. */
void event_text_header(struct strbuf *out);

/*
 * The final report, many lines of text for stderr (ev_stats.c): a label, then its number. Rows that are
 * zero are left out, but not those of what was lost, missed or malformed.
 *
 *	Statistics
 *	Duration (s)                    12.345
 *	Attempts seen                       12
 *	By outcome
 *	  sent                              12
 *	Lost records
 *	  control                            0
 *	  drops                              0
 *	...
 *	Total: 12
 */
void ev_stats_report(struct strbuf *out, const struct ev_stats *s);

/* Names as printed, never NULL unless said so; a number outside the list gets that of UNKNOWN. */
const char *rtx_type_name(enum rtx_type t);
const char *rtx_outcome_name(enum rtx_outcome o);
const char *rtx_cause_name(enum rtx_cause c);
const char *cause_why_name(enum cause_why w);
const char *drop_class_name(enum drop_class c);
/* "established" ... */
const char *connect_result_name(enum connect_result r);
/* "dsack", "frto", "timestamp"; "none" outside the list. */
const char *spurious_evidence_name(enum spurious_evidence e);
/* "TC_ACT_OK" ..., NULL for TC_VERDICT_UNKNOWN. */
const char *tc_verdict_name(int verdict);
/* TCP state as in include/net/tcp_states.h without its prefix: "ESTABLISHED"; "UNKNOWN" outside the list. */
const char *tcp_state_name(uint8_t state);
/* Congestion state: "open", "disorder", "cwr", "recovery", "loss"; "unknown" outside the list. */
const char *ca_state_name(uint8_t ca);
/*
 * Name of a return code of tcp_retransmit_skb: "OK" for 0, "NET_XMIT_DROP" (1), "NET_XMIT_CN" (2), an errno's
 * macro name for a negative ("EPERM"), NULL if it has none.
 */
const char *ret_name(int32_t ret);

#endif
