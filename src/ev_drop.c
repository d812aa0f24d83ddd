// SPDX-License-Identifier: MIT
/*
 * The drop event: a packet was freed as a drop. A line of text (in one):
 *
 *	04:03:02.123456 DROP       1234    nginx      10.0.0.2:51234 > 10.0.0.1:443
 *	drop=TCP_CSUM@tcp_v4_rcv+0x3a1 class=bad ifname=eth0 flags=PSH|ACK seq=1000 len=1448 state=ESTABLISHED
 *	why="the checksum is wrong"
 *
 * The ends are those of the packet, in its direction. drop= has the reason ("-": the kernel gives none) and the function
 * that decided, as drop= of a retransmission has them. synthetic=yes: a conclusion of rebpf, without a function.
 * protocol= only if it is not TCP; stack=innermost+0x1<caller+0x2<... with --stack. why= ends the line, and
 * is left out where the drop is expected.
 *
 * With -v, before stack= and why=: netns= uid= cgroup= end_seq= ack= packet_len= received= skb=
 */
#include <netinet/in.h>
#include <stdio.h>

#include "event.h"
#include "field.h"
#include "meaning.h"

static enum field_tone class_tone(enum drop_class class)
{
	switch (class) {
	case DROP_CLASS_BAD:
		return TONE_BAD;
	case DROP_CLASS_POLICY:
		return TONE_NOTICE;
	default:
		return TONE_NONE;
	}
}

#define PROTOCOL_LEN 8

/* NULL if it is not IP; @room is for the number of what has no name here. */
static const char *protocol_name(uint8_t protocol, char room[PROTOCOL_LEN])
{
	switch (protocol) {
	case 0:
		return NULL;
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmp6";
	default:
		snprintf(room, PROTOCOL_LEN, "%u", protocol);
		return room;
	}
}

/* Of all eight together. */
#define FLAGS_LEN sizeof("FIN|SYN|RST|PSH|ACK|URG|ECE|CWR")

static const char *flags_name(uint8_t flags, char room[FLAGS_LEN])
{
	/* From bit 0 of byte 13 of the header on (RFC 9293, 3.1). */
	static const char names[][4] = { "FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR" };
	char *at = room;

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (!(flags & 1u << i))
			continue;
		if (at != room)
			*at++ = '|';
		memcpy(at, names[i], 3);
		at += 3;
	}
	*at = '\0';
	return at == room ? "none" : room;
}

static void place_fields(const struct ev_drop *d, struct visitor *v)
{
	const struct ev_drop_place *p = &d->place;
	struct field_location location = event_place_location(p);
	bool has_location = p->symbol[0] || p->address;

	field_string_if(v, FIELD_AS("reason", "drop", SHOW_ALWAYS), p->reason[0], p->reason, sizeof(p->reason));
	field_location(v, FIELD_PART_IF(has_location, "location", "@", SHOW_NEVER), &location);
	field_name(v, FIELD("class", SHOW_ALWAYS), drop_class_name(p->class), class_tone(p->class));
	field_bool(v, FIELD_IF(d->synthetic, "synthetic", SHOW_NEVER), d->synthetic);
	field_string_if(v, FIELD("ifname", SHOW_ALWAYS), p->ifname[0], p->ifname, sizeof(p->ifname));
}

static void packet_fields(const struct ev_drop *d, struct visitor *v)
{
	char number[PROTOCOL_LEN], set[FLAGS_LEN];
	const char *protocol = protocol_name(d->protocol, number);
	const char *flags = d->has_segment ? flags_name(d->tcp_flags, set) : NULL;

	field_name(v, FIELD_IF(d->protocol != IPPROTO_TCP, "protocol", SHOW_NEVER), protocol, TONE_NONE);
	field_name(v, FIELD("flags", SHOW_ALWAYS), flags, TONE_NONE);
	field_u64_if(v, FIELD("seq", SHOW_ALWAYS), d->has_segment, d->seq);
	field_u64_if(v, FIELD("end_seq", SHOW_VERBOSE), d->has_segment, d->end_seq);
	field_u64_if(v, FIELD("ack", SHOW_VERBOSE), d->has_segment, d->ack);
	field_u64_if(v, FIELD("len", SHOW_ALWAYS), d->has_segment, d->len);
	field_u64_if(v, FIELD("packet_len", SHOW_VERBOSE), d->packet_len, d->packet_len);
}

static void stack_fields(const struct ev_drop *d, struct visitor *v)
{
	unsigned int i, count = d->stack_count < REBPF_STACK_DEPTH ? d->stack_count : REBPF_STACK_DEPTH;

	if (!field_list(v, FIELD_LAST_IF(count, "stack", "stack", SHOW_NEVER), count, count))
		return;
	for (i = 0; i < count; i++) {
		struct field_location location = {
			.symbol = d->stack[i].symbol,
			.module = d->stack[i].module,
			.max = REBPF_SYMBOL_LEN,
			.offset = d->stack[i].offset,
			.address = d->stack[i].address,
		};

		field_location(v, FIELD_ELEMENT_BY("<"), &location);
	}
	field_list_end(v);
}

static void drop_fields(const struct event *e, struct visitor *v)
{
	const struct ev_drop *d = &e->drop;
	const char *state = tcp_state_name(d->c.flow.state);
	bool has_state = d->has_socket && state != tcp_state_name(0);
	bool wonder = d->place.class != DROP_CLASS_EXPECTED;

	event_fields(e, v);
	event_common_fields(&d->c, v);
	place_fields(d, v);
	packet_fields(d, v);
	field_name(v, FIELD("state", SHOW_ALWAYS), has_state ? state : NULL, TONE_NONE);
	field_bool_if(v, FIELD("received", SHOW_VERBOSE), d->has_socket, d->received);
	field_hex(v, FIELD("skb", SHOW_VERBOSE), d->skb);
	stack_fields(d, v);
	field_sentence(v, FIELD_LAST_IF(wonder, "meaning", "why", SHOW_VERBOSE), d->meaning->meaning);
}

static void drop_head(const struct event *e, struct strbuf *out, bool utc)
{
	event_common_head(e, &e->drop.c, out, utc);
}

const struct event_ops event_ops_drop = { .fields = drop_fields, .head = drop_head };
