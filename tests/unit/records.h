/* SPDX-License-Identifier: MIT */
/*
 * Builders of records. Each gives a complete record of one plain situation, which a test then changes: a
 * segment of 1448 bytes at sequence number 1000, on 10.0.0.1:443 > 10.0.0.2:51234, whose copy leaves by eth0
 * (index 2). Times go up by a microsecond from record to record.
 */
#ifndef REBPF_RECORDS_H
#define REBPF_RECORDS_H

#include <string.h>

#include "decode.h"

#define SK 0xffff888012340000ULL
#define SK2 0xffff888012350000ULL
#define SKB 0xffff888100000000ULL  /* P, in the retransmit queue */
#define COPY 0xffff8881000000e0ULL /* C, what leaves */
#define NETNS 4026531840u
#define SEQ 1000u
#define MSS 1448u
#define EPERM_RET (-1)
#define EBUSY_RET (-16)

#define HOST_MODE_1 (HOST_ENTRY_HOOKS | HOST_SEES_FAILURES | HOST_SEES_QUEUED | HOST_SEES_DROPS)
#define HOST_MODE_2 (HOST_SEES_FAILURES | HOST_SEES_QUEUED | HOST_SEES_DROPS)

static uint64_t record_ns; /* of the newest record */

#define RECORD(KIND, payload)                                                                              \
	(union record)                                                                                     \
	{                                                                                                  \
		.payload = {                                                                               \
			.h = { .ts_ns = record_ns += 1000, .size = sizeof(struct payload), .kind = REC_##KIND } \
		}                                                                                          \
	}

static inline struct rec_flow make_flow(uint64_t sk)
{
	return (struct rec_flow){
		.laddr = { 10, 0, 0, 1 },
		.raddr = { 10, 0, 0, 2 },
		.lport = 443,
		.rport = 51234,
		.ip_version = 4,
		.state = 1, /* ESTABLISHED */
		.netns = NETNS,
		.uid = 33,
		.sk = sk,
		.cookie = 7,
		.cgroup = 4567,
		.ino = 99,
	};
}

static inline union record make_entry(uint64_t sk, uint64_t skb)
{
	union record r = RECORD(RTX_ENTRY, rec_rtx_entry);
	struct rec_rtx_entry *e = &r.rec_rtx_entry;

	e->flow = make_flow(sk);
	e->owner = (struct rec_owner){ .tgid = 1234, .comm = "nginx" };
	e->task = (struct rec_owner){ .tgid = 0, .comm = "swapper/1" };
	e->skb = skb;
	e->stamp_ns = 100;
	e->seq = SEQ;
	e->end_seq = SEQ + MSS;
	e->segs = 1;
	e->segs_out = 9000;
	e->snd_una = SEQ;
	e->snd_nxt = SEQ + 10 * MSS;
	e->snd_wnd = 65536;
	e->srtt_us = 12345;
	e->rto_us = 204000;
	e->cwnd = 5;
	e->ssthresh = 7;
	e->mss = MSS;
	e->tcp_flags = 0x18;
	e->ca_state = 4; /* Loss, and no timer pending: RTO */
	e->hook = RTX_HOOK_RETRANSMIT;
	return r;
}

/* The entry that comes together with the exit. */
static inline union record make_late_entry(uint64_t sk, uint64_t skb)
{
	union record r = make_entry(sk, skb);

	r.rec_rtx_entry.hook = RTX_HOOK_TRACEPOINT;
	r.rec_rtx_entry.bits = RTX_BIT_LATE;
	r.rec_rtx_entry.total_retrans = 1;
	r.rec_rtx_entry.sacked = 0x80;
	return r;
}

static inline struct rec_copy make_copy(uint64_t sk, uint64_t skb, uint64_t copy)
{
	return (struct rec_copy){
		.sk = sk,
		.skb = skb,
		.copy = copy,
		.stamp_ns = 5000,
		.seq = SEQ,
		.end_seq = SEQ + MSS,
		.netns = NETNS,
		.ifindex = 2,
		.ifname = "eth0",
	};
}

static inline void set_device(struct rec_copy *c, uint32_t ifindex, const char *ifname)
{
	c->ifindex = ifindex;
	memset(c->ifname, 0, sizeof(c->ifname));
	memcpy(c->ifname, ifname, strlen(ifname));
}

static inline union record make_tc(uint64_t sk, uint64_t skb, uint64_t copy)
{
	union record r = RECORD(RTX_TC, rec_rtx_tc);

	r.rec_rtx_tc.c = make_copy(sk, skb, copy);
	r.rec_rtx_tc.verdict = -1;
	return r;
}

static inline union record make_queued(uint64_t sk, uint64_t skb, uint64_t copy)
{
	union record r = RECORD(RTX_QUEUED, rec_rtx_queued);

	r.rec_rtx_queued.sk = sk;
	r.rec_rtx_queued.skb = skb;
	r.rec_rtx_queued.copy = copy;
	r.rec_rtx_queued.netns = NETNS;
	r.rec_rtx_queued.ifindex = 2;
	return r;
}

/* @hops, @queued: how far the copy had come. With neither it has come to no device yet. */
static inline union record make_drop(uint64_t sk, uint64_t skb, uint32_t reason, uint8_t hops, uint8_t queued)
{
	union record r = RECORD(RTX_DROP, rec_rtx_drop);

	r.rec_rtx_drop.c = make_copy(sk, skb, COPY);
	if (!hops && !queued)
		set_device(&r.rec_rtx_drop.c, 0, "");
	r.rec_rtx_drop.location = 0xffffffff81000000 + reason;
	r.rec_rtx_drop.reason = reason;
	r.rec_rtx_drop.hops = hops;
	r.rec_rtx_drop.queued = queued;
	r.rec_rtx_drop.at_device = hops || queued;
	return r;
}

static inline union record make_exit(uint64_t sk, uint64_t skb, int32_t ret)
{
	union record r = RECORD(RTX_EXIT, rec_rtx_exit);
	struct rec_rtx_exit *x = &r.rec_rtx_exit;

	x->sk = sk;
	x->skb = skb;
	x->stamp_ns = 5000;
	x->ret = ret;
	x->seq = SEQ;
	x->end_seq = SEQ + MSS;
	x->segs = 1;
	x->total_retrans = 1;
	x->has_ret = 1;
	x->reached = RTX_REACHED;
	x->hook = RTX_HOOK_RETRANSMIT;
	return r;
}

/* The exit of a call that ended before transmitting. */
static inline union record make_refusal(uint64_t sk, uint64_t skb, int32_t ret)
{
	union record r = make_exit(sk, skb, ret);

	r.rec_rtx_exit.stamp_ns = 100;
	r.rec_rtx_exit.total_retrans = 0;
	r.rec_rtx_exit.reached = RTX_REFUSED;
	return r;
}

static inline union record make_host(uint32_t flags)
{
	union record r = RECORD(HOST, rec_host);

	r.rec_host.format = REBPF_FORMAT;
	r.rec_host.hz = 250;
	r.rec_host.own_netns = NETNS;
	r.rec_host.flags = flags;
	r.rec_host.armed_ns = r.h.ts_ns;
	memcpy(r.rec_host.release, "6.18.0", 6);
	memcpy(r.rec_host.version, "0.1.0", 5);
	return r;
}

static inline union record make_clock(uint64_t mono_ns, uint64_t wall_ns)
{
	union record r = RECORD(CLOCK, rec_clock);

	r.rec_clock.mono_ns = mono_ns;
	r.rec_clock.wall_ns = wall_ns;
	return r;
}

static inline union record make_reason(uint32_t reason, const char *name)
{
	union record r = RECORD(REASON, rec_reason);

	r.rec_reason.reason = reason;
	memcpy(r.rec_reason.name, name, strlen(name));
	return r;
}

static inline union record make_symbol(uint64_t addr, const char *name, uint64_t offset)
{
	union record r = RECORD(SYMBOL, rec_symbol);

	r.rec_symbol.addr = addr;
	r.rec_symbol.offset = offset;
	memcpy(r.rec_symbol.name, name, strlen(name));
	return r;
}

static inline union record make_owner(uint64_t sk, uint32_t tgid, const char *comm)
{
	union record r = RECORD(OWNER, rec_owner_found);

	r.rec_owner_found.sk = sk;
	r.rec_owner_found.ino = 99;
	r.rec_owner_found.owner.tgid = tgid;
	memcpy(r.rec_owner_found.owner.comm, comm, strlen(comm));
	return r;
}

static inline union record make_loss(uint32_t ring, uint64_t sk, uint64_t count)
{
	union record r = RECORD(LOSS, rec_loss);

	r.rec_loss.count = count;
	r.rec_loss.ring = ring;
	r.rec_loss.bucket = flow_bucket(sk);
	return r;
}

static inline union record make_tick(uint64_t missed)
{
	union record r = RECORD(TICK, rec_tick);

	r.rec_tick.missed = missed;
	return r;
}

/* ---- drops, and what surveys say ---- */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

static inline struct rec_tuple make_tuple(uint8_t from, uint16_t sport, uint8_t to, uint16_t dport)
{
	return (struct rec_tuple){
		.saddr = { 10, 0, 0, from }, .daddr = { 10, 0, 0, to }, .sport = sport, .dport = dport,
		.ip_version = 4, .protocol = 6,
	};
}

/* The segment of the plain situation, dropped on its way out: 10.0.0.1:443 > 10.0.0.2:51234. */
static inline union record make_dropped(uint32_t reason)
{
	union record r = RECORD(DROP, rec_drop);
	struct rec_drop *d = &r.rec_drop;

	d->h.size = REC_DROP_SHORT_SIZE;
	d->location = 0xffffffff81000000 + reason;
	d->reason = reason;
	d->skb = COPY;
	d->t = make_tuple(1, 443, 2, 51234);
	d->netns = NETNS;
	d->ifindex = 2;
	d->len = MSS + 52;
	d->seq = SEQ;
	d->end_seq = SEQ + MSS;
	d->ack = 0x40000000; /* rcv_nxt */
	d->tcp_flags = TCP_ACK;
	memcpy(d->ifname, "eth0", 4);
	return r;
}

/* An acknowledgement of all of it, from the other end. */
static inline union record make_dropped_ack(uint32_t reason)
{
	union record r = make_dropped(reason);
	struct rec_drop *d = &r.rec_drop;

	d->t = make_tuple(2, 51234, 1, 443);
	d->len = 52;
	d->seq = d->end_seq = 0x40000000;
	d->ack = SEQ + MSS;
	return r;
}

static inline union record make_link(uint32_t netns, uint32_t ifindex, uint8_t type)
{
	union record r = RECORD(LINK, rec_link);

	r.rec_link.netns = netns;
	r.rec_link.ifindex = ifindex;
	r.rec_link.type = type;
	memcpy(r.rec_link.ifname, "eth0", 4);
	return r;
}

static inline union record make_addr(uint32_t netns, uint8_t last)
{
	union record r = RECORD(ADDR, rec_addr);

	r.rec_addr.netns = netns;
	r.rec_addr.ip_version = 4;
	memcpy(r.rec_addr.addr, (uint8_t[]){ 10, 0, 0, last }, 4);
	return r;
}

/* One that took no time. */
static inline union record make_survey(uint32_t bits)
{
	union record r = RECORD(SURVEY, rec_survey);

	r.rec_survey.begin_ns = r.h.ts_ns;
	r.rec_survey.namespaces = 1;
	r.rec_survey.bits = bits;
	return r;
}

static inline union record make_spurious(uint64_t sk, uint8_t evidence, uint32_t seq, uint32_t end_seq)
{
	union record r = RECORD(SPURIOUS, rec_spurious);

	r.rec_spurious.flow = make_flow(sk);
	r.rec_spurious.seq = seq;
	r.rec_spurious.end_seq = end_seq;
	r.rec_spurious.evidence = evidence;
	return r;
}

#endif
