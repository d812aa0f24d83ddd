// SPDX-License-Identifier: MIT
/*
 * The spurious event: an earlier retransmission was not needed, as the peer or the timing of its answers shows. A
 * line of text (in one):
 *
 *	04:03:02.123456 SPURIOUS   1234    nginx      10.0.0.1:443 > 10.0.0.2:51234     evidence=dsack
 *	cause_was=network dups=1 seq=1000 len=1448
 *
 * and with -v, after these: netns= uid= cgroup= end_seq=
 */
#include "event.h"
#include "field.h"

static void spurious_fields(const struct event *e, struct visitor *v)
{
	const struct ev_spurious *s = &e->spurious;
	const char *was = s->contradicts ? rtx_cause_name(s->cause_was) : NULL;
	bool counted = s->evidence == SPURIOUS_DSACK;

	event_fields(e, v);
	event_common_fields(&s->c, v);
	field_name(v, FIELD("evidence", SHOW_ALWAYS), spurious_evidence_name(s->evidence), TONE_NONE);
	field_name(v, FIELD("cause_was", SHOW_ALWAYS), was, TONE_NOTICE);
	field_u64_if(v, FIELD("dups", SHOW_ALWAYS), counted, s->dups);
	field_u64_if(v, FIELD("seq", SHOW_ALWAYS), s->has_range, s->seq);
	field_u64_if(v, FIELD("end_seq", SHOW_VERBOSE), s->has_range, s->end_seq);
	field_u64_if(v, FIELD("len", SHOW_ALWAYS), s->has_range, s->len);
}

static void spurious_head(const struct event *e, struct strbuf *out, bool utc)
{
	event_common_head(e, &e->spurious.c, out, utc);
}

const struct event_ops event_ops_spurious = { .fields = spurious_fields, .head = spurious_head };
