// SPDX-License-Identifier: MIT
/*
 * The connect event: an active open that came to its end, well or not. A line of text (in one):
 *
 *	04:03:02.123456 CONNECT    1234    curl       10.0.0.1:51234 > 10.0.0.2:443     result=established latency=12.345ms
 *	04:03:05.123456 CONNECT    1234    curl       10.0.0.1:51236 > 10.0.0.2:443     result=timeout(ETIMEDOUT)
 *	after=3070.123ms syn_retrans=1 cause_drop=NETFILTER_DROP@nft_do_chain+0x40e[nf_tables]:eth0,age=2013.120ms
 *
 * latency= is SYN to SYN-ACK, after= from the SYN (or, without one, from connect()) to a failure. syn_sent=no: it failed
 * before a SYN left. cause_drop: the last drop of a SYN, or of what answered it, on this host.
 *
 * With -v, after these: netns= uid= cgroup=
 */
#include "event.h"
#include "field.h"

static enum field_tone result_tone(const struct ev_connect *c)
{
	if (c->result == CONNECT_ESTABLISHED)
		return c->syn_retrans ? TONE_NOTICE : TONE_NONE;
	return c->result == CONNECT_ABORTED ? TONE_NOTICE : TONE_BAD;
}

static void connect_fields(const struct event *e, struct visitor *v)
{
	const struct ev_connect *c = &e->connect;
	bool established = c->result == CONNECT_ESTABLISHED;
	const char *err = c->err ? ret_name((int32_t)(0u - c->err)) : NULL;

	event_fields(e, v);
	event_common_fields(&c->c, v);
	field_name(v, FIELD("result", SHOW_ALWAYS), connect_result_name(c->result), result_tone(c));
	field_name(v, FIELD_NOTE("error", SHOW_ALWAYS), err, TONE_NONE);
	field_us_if(v, established ? FIELD_AS("latency_us", "latency", SHOW_ALWAYS) : FIELD("latency_us", SHOW_NEVER),
		    established && c->syn_sent && c->has_duration, c->duration_us);
	field_us_if(v, established ? FIELD("duration_us", SHOW_NEVER) : FIELD_AS("duration_us", "after", SHOW_ALWAYS),
		    c->has_duration, c->duration_us);
	field_bool(v, FIELD_IF(!c->syn_sent, "syn_sent", SHOW_NEVER), c->syn_sent);
	field_u64(v, FIELD_IF(c->syn_retrans, "syn_retrans", SHOW_VERBOSE), c->syn_retrans);
	event_cause_drop_fields(&c->cause_drop, c->cause_drop.place.known, !established || c->syn_retrans, c->c.flow.netns, 1, v);
}

static void connect_head(const struct event *e, struct strbuf *out, bool utc)
{
	event_common_head(e, &e->connect.c, out, utc);
}

const struct event_ops event_ops_connect = { .fields = connect_fields, .head = connect_head };
