// SPDX-License-Identifier: MIT
/*
 * The retransmit event: one attempt to send a segment again, whether it was sent or not. A line of text (in
 * one):
 *
 *	04:03:02.123456 RETRANSMIT 1234    nginx      10.0.0.1:443 > 10.0.0.2:51234     state=ESTABLISHED
 *	type=rto attempt=2 cause=local cause_drop=NETFILTER_DROP@nft_do_chain+0x40e[nf_tables]:eth0,age=203.120ms
 *	outcome=dropped ret=1(NET_XMIT_DROP) tc=eth0:OK,eth1:SHOT(other) drop=TC_EGRESS@__dev_queue_xmit+0x5a1
 *	seq=1000 len=1448 segs=1 ca=loss srtt=12.345ms cwnd=1
 *
 * First what happened, then the figures. A cause that is not known says why: cause=unknown(before_start).
 * cause_drop, of the previous copy or its acknowledgement, is one word, its parts after commas: age= before this
 * attempt; netns= if it was in another namespace than the socket is; covered=1448/2896 (bytes of this segment)
 * if it was not all; nat=yes if that packet had other addresses.
 *
 * With -v, after these: netns= uid= cgroup= end_seq= skb= rto= ssthresh= mss= total_retrans= segs_out=
 */
#include "event.h"
#include "field.h"

/* Colour is for what somebody has to look at: what this host did to a segment before what the net did. */
static enum field_tone outcome_tone(enum rtx_outcome outcome)
{
	switch (outcome) {
	case RTX_OUTCOME_DROPPED:
	case RTX_OUTCOME_REFUSED:
		return TONE_BAD;
	case RTX_OUTCOME_STOLEN:
		return TONE_NOTICE;
	default:
		return TONE_NONE;
	}
}

static enum field_tone cause_tone(enum rtx_cause cause)
{
	switch (cause) {
	case RTX_CAUSE_LOCAL:
	case RTX_CAUSE_ACK_LOCAL:
		return TONE_BAD;
	case RTX_CAUSE_NETWORK:
	case RTX_CAUSE_HOST_QUEUE:
		return TONE_NOTICE;
	default:
		return TONE_NONE;
	}
}

static enum field_tone verdict_tone(int verdict)
{
	switch (verdict) {
	case TC_VERDICT_SHOT:
		return TONE_BAD;
	case TC_VERDICT_STOLEN:
	case TC_VERDICT_REDIRECT:
		return TONE_NOTICE;
	default:
		return TONE_NONE;
	}
}

static void attempt_fields(const struct ev_retransmit *r, struct visitor *v)
{
	const char *state = tcp_state_name(r->c.flow.state);
	bool has_state = state != tcp_state_name(0);

	field_name(v, FIELD("state", SHOW_ALWAYS), has_state ? state : NULL, TONE_NONE);
	field_name(v, FIELD("type", SHOW_ALWAYS), rtx_type_name(r->type), TONE_NONE);
	field_u64_if(v, FIELD("attempt", SHOW_ALWAYS), r->attempt, r->attempt);
}

static void segment_fields(const struct ev_retransmit *r, struct visitor *v)
{
	field_u64(v, FIELD("seq", SHOW_ALWAYS), r->seq);
	field_u64(v, FIELD("end_seq", SHOW_VERBOSE), r->end_seq);
	field_u64(v, FIELD("len", SHOW_ALWAYS), r->len);
	field_u64(v, FIELD("segs", SHOW_ALWAYS), r->segs);
	field_hex(v, FIELD("skb", SHOW_VERBOSE), r->skb);
}

static void hop_fields(const struct ev_tc_hop *hop, struct visitor *v)
{
	static const char *const names[] = { [TC_BY_OTHER] = "other", [TC_BY_REBPF] = "rebpf" };
	const char *by = hop->by < ARRAY_SIZE(names) ? names[hop->by] : NULL;

	if (!field_object(v, FIELD_ELEMENT, true))
		return;
	field_string(v, FIELD_PART("ifname", "", SHOW_ALWAYS), hop->ifname, sizeof(hop->ifname));
	field_hex(v, FIELD_PART("skb", "@", SHOW_NEVER), hop->skb);
	field_name(v, FIELD_PART_STRIP("verdict", ":", "TC_ACT_", SHOW_ALWAYS), tc_verdict_name(hop->verdict),
		   verdict_tone(hop->verdict));
	field_name(v, FIELD_NOTE("by", SHOW_ALWAYS), by, TONE_NONE);
	field_object_end(v);
}

static void passage_fields(const struct ev_retransmit *r, struct visitor *v)
{
	unsigned int i, count = r->tc_count < EV_MAX_HOPS ? r->tc_count : EV_MAX_HOPS;

	field_name(v, FIELD("outcome", SHOW_ALWAYS), rtx_outcome_name(r->outcome), outcome_tone(r->outcome));
	field_s64_if(v, FIELD("ret", SHOW_ALWAYS), r->has_ret, r->ret);
	field_name(v, FIELD_NOTE("ret_name", SHOW_ALWAYS), r->has_ret ? ret_name(r->ret) : NULL, TONE_NONE);
	if (field_list(v, FIELD("tc", SHOW_ALWAYS), r->tc_observed, count)) {
		for (i = 0; i < count; i++)
			hop_fields(&r->tc[i], v);
		field_list_end(v);
	}
	if (field_object(v, FIELD("drop", SHOW_ALWAYS), r->drop.known)) {
		event_place_fields(&r->drop, v, false);
		field_object_end(v);
	}
}

static void cause_fields(const struct ev_retransmit *r, struct visitor *v)
{
	bool has_why = r->cause == RTX_CAUSE_UNKNOWN && r->cause_why != CAUSE_WHY_NONE;
	const char *why = has_why ? cause_why_name(r->cause_why) : NULL;
	bool dropped = r->cause == RTX_CAUSE_LOCAL || r->cause == RTX_CAUSE_ACK_LOCAL;

	field_name(v, FIELD("cause", SHOW_ALWAYS), rtx_cause_name(r->cause), cause_tone(r->cause));
	field_name(v, FIELD_NOTE("cause_why", SHOW_ALWAYS), why, TONE_NONE);
	event_cause_drop_fields(&r->cause_drop, dropped && r->cause_drop.place.known, true, r->c.flow.netns,
				r->end_seq - r->seq, v);
}

static void socket_fields(const struct ev_retransmit *r, struct visitor *v)
{
	bool has = r->has_socket;
	const char *ca = has ? ca_state_name(r->ca_state) : NULL;

	field_name(v, FIELD_AS("ca_state", "ca", SHOW_ALWAYS), ca, TONE_NONE);
	field_us_if(v, FIELD_AS("srtt_us", "srtt", SHOW_ALWAYS), has && r->srtt_us, r->srtt_us);
	field_us_if(v, FIELD_AS("rto_us", "rto", SHOW_VERBOSE), has, r->rto_us);
	field_u64_if(v, FIELD("cwnd", SHOW_ALWAYS), has, r->cwnd);
	field_u64_if(v, FIELD("ssthresh", SHOW_VERBOSE), has, r->ssthresh);
	field_u64_if(v, FIELD("mss", SHOW_VERBOSE), has, r->mss);
	field_u64_if(v, FIELD("total_retrans", SHOW_VERBOSE), has, r->total_retrans);
	field_u64_if(v, FIELD("segs_out", SHOW_VERBOSE), has, r->segs_out);
}

static void retransmit_fields(const struct event *e, struct visitor *v)
{
	const struct ev_retransmit *r = &e->retransmit;

	event_fields(e, v);
	event_common_fields(&r->c, v);
	attempt_fields(r, v);
	cause_fields(r, v);
	passage_fields(r, v);
	segment_fields(r, v);
	socket_fields(r, v);
}

static void retransmit_head(const struct event *e, struct strbuf *out, bool utc)
{
	event_common_head(e, &e->retransmit.c, out, utc);
}

const struct event_ops event_ops_retransmit = { .fields = retransmit_fields, .head = retransmit_head };
