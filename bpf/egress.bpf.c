// SPDX-License-Identifier: MIT
/* What TC egress and the device make of a retransmitted copy. Runs on every packet that leaves: gates first. */
#include "rebpf.bpf.h"
#include "inject.bpf.h"

static __always_inline void tc_emit(__u64 key, __u64 p, struct sk_buff *skb, const struct packet *pkt, int verdict,
				    __u8 prior_queued)
{
	struct rec_rtx_tc *t = EMIT_CONTROL(rec_rtx_tc, REC_RTX_TC, key);
	struct tcp_skb_cb *tcb;
	struct sock *sk;
	bool typed;

	if (!t)
		return;
	typed = HAS_CAST;
	sk = CAST((struct sock *)key);
	copy_read(&t->c, key, p, skb, pkt);
	t->c.prior_queued = prior_queued;
	t->verdict = verdict;
	skb = CAST(skb);
	tcb = CAST(skb_tcb((struct sk_buff *)p));
	t->wmem_other = FIELD(typed, sk, sk_wmem_alloc.refs.counter) - FIELD(typed, skb, truesize);
	t->delivered_us = p ? FIELD(typed, tcb, tx.delivered_mstamp) : 0;
	emit_submit(t);
}

/*
 * The slot is open: is this packet the attempt's copy? On a lower device the same buffer may carry an outer header: the pointer
 * says enough. Else the header must lie in the range, for an older packet of this socket can come by on another device meanwhile.
 */
static __always_inline bool tc_is_copy(struct inflight *slot, struct sk_buff *skb, struct packet *pkt)
{
	bool tcp = packet_read(pkt, skb);

	if ((__u64)skb != slot->copy) {
		if (!tcp || pkt->seq == pkt->end_seq || !seq_within(pkt->seq, slot->seq, slot->end_seq))
			return false;
		slot->copy = (__u64)skb;
		slot->stamp_ns = skb_stamp(skb);
	} else if (!tcp) {
		pkt->seq = slot->seq;
		pkt->end_seq = slot->end_seq;
	}
	return true;
}

/* The copy comes by. Returns the verdict on it. */
static __always_inline int tc_take(struct inflight *slot, __u64 sk, struct sk_buff *skb, const struct packet *pkt)
{
	__u8 prior_queued = slot_queued_hop(slot);
	int verdict;

	slot->hops++;
	slot->queued = 0;
	slot->told = 0;
	slot->dev = (__u64)skb_dev(skb);
	verdict = inject_verdict(skb, sk, slot, pkt);
	tc_emit(sk, slot->skb, skb, pkt, verdict, prior_queued);
	return verdict;
}

/*
 * Is this surely no retransmission? For every packet of a socket that has retransmitted, so by loads, where they can be had, or
 * one read. @false: look closer (options or extension headers before the TCP header, a tunnel's outer header).
 */
static __always_inline bool tc_is_new(struct __sk_buff *ctx, __u32 snd_nxt)
{
	struct sk_buff *skb = CAST((struct sk_buff *)(void *)ctx);
	__u8 h[48] __attribute__((aligned(8)));
	bool ipv4 = ctx->protocol == bpf_htons(ETH_P_IP);
	struct tcphdr *tcp;
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (HAS_CAST) {
		ip = CAST((struct iphdr *)(skb->head + skb->network_header));
		tcp = CAST((struct tcphdr *)(skb->head + skb->transport_header));
		ip6 = CAST((struct ipv6hdr *)ip);
		if (skb->transport_header - skb->network_header != (ipv4 ? sizeof(*ip) : sizeof(*ip6)))
			return false;
		return (ipv4 ? *(__u8 *)ip == 0x45 && ip->protocol == IPPROTO_TCP : *(__u8 *)ip6 >> 4 == 6 && ip6->nexthdr == IPPROTO_TCP) &&
		       !seq_before(bpf_ntohl(tcp->seq), snd_nxt);
	}
	if (ipv4)
		return !bpf_skb_load_bytes_relative(ctx, 0, h, 28, BPF_HDR_START_NET) && h[0] == 0x45 && h[9] == IPPROTO_TCP &&
		       !seq_before(bpf_ntohl(*(__u32 *)(h + 24)), snd_nxt);
	return !bpf_skb_load_bytes_relative(ctx, 0, h, 48, BPF_HDR_START_NET) && h[0] >> 4 == 6 && h[6] == IPPROTO_TCP &&
	       !seq_before(bpf_ntohl(*(__u32 *)(h + 44)), snd_nxt);
}

/*
 * No entry hook: a segment that starts before snd_nxt is a retransmission, for new data goes out at snd_nxt,
 * which advances only after the transmission (tcp_event_new_data_sent, tcp_connect). A SYN-ACK does not count: a
 * fast-open child sends its first with snd_nxt already past it.
 */
static __always_inline bool tc_recognise(struct __sk_buff *ctx, struct inflight *s, struct packet *pkt)
{
	struct sk_buff *skb = (struct sk_buff *)(void *)ctx;
	struct bpf_sock *sk = ctx->sk;
	struct bpf_tcp_sock *tp;
	struct rec_flow flow;
	struct sk_buff *p;
	struct sock *full;

	/* A packet that has been received (skb_iif) is no transmission of ours, though it may still carry sk. */
	if (!sk || ctx->ingress_ifindex)
		return false;
	tp = bpf_tcp_sock(sk);
	if (!tp || !packet_read(pkt, skb) || pkt->seq == pkt->end_seq || !seq_before(pkt->seq, tp->snd_nxt))
		return false;
	if ((pkt->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == (TCP_FLAG_SYN | TCP_FLAG_ACK) || (pkt->flags & TCP_FLAG_RST))
		return false;
	if (cfg.heartbeat && bpf_ktime_get_ns() - shared.heartbeat_ns > REBPF_HEARTBEAT_NS)
		return false; /* user space is gone */
	full = skb_sk(skb);
	if (is_filtered() && (!flow_read_ends(&flow, &full->__sk_common) || !flow_wanted(&flow)))
		return false;
	p = skb_original(full, skb, pkt->seq);
	if (!p)
		return false;
	s->skb = (__u64)p;
	s->seq = pkt->seq;
	s->end_seq = pkt->end_seq;
	s->hook = RTX_HOOK_TRACEPOINT;
	s->copy = (__u64)skb;
	s->stamp_ns = skb_stamp(skb);
	return true;
}

/* The open slot of the packet's socket: without entry hooks only if it is this packet's. */
static __always_inline struct inflight *tc_slot(struct sk_buff *skb, __u64 key)
{
	struct inflight *open = shared.in_flight && key ? slot_find(key) : NULL;

	if (!open || cfg.has_entry || (open->copy == (__u64)skb && open->stamp_ns == skb_stamp(skb)))
		return open;
	return NULL;
}

/*
 * Can this packet be none of an attempt to retransmit? With entry hooks while none is under way. Without, if its socket has not
 * retransmitted yet: total_retrans is advanced before the transmission (__tcp_retransmit_skb); or if it is new data, while none
 * is under way.
 */
static __always_inline bool tc_is_idle(struct __sk_buff *ctx)
{
	struct bpf_tcp_sock *tp;
	struct bpf_sock *sk;

	if (cfg.has_entry)
		return !shared.in_flight;
	sk = ctx->sk;
	if (!sk)
		return true;
	tp = bpf_tcp_sock(sk);
	return !tp || !tp->total_retrans || (!shared.in_flight && tc_is_new(ctx, tp->snd_nxt));
}

/* Without entry hooks, the packet may be the one that opens the slot. A function of its own: see rebpf_tc_egress(). */
static __noinline int tc_look(struct __sk_buff *ctx)
{
	/* A privileged program may use the context as the address of the buffer that it is. */
	struct sk_buff *skb = (struct sk_buff *)(void *)ctx;
	struct inflight *open, s = {};
	struct packet pkt = {};
	__u64 key;

	key = (__u64)skb_sk(skb);
	open = tc_slot(skb, key);
	if (open)
		return tc_is_copy(open, skb, &pkt) ? inject_action(tc_take(open, key, skb, &pkt)) : TC_NEXT;
	if (cfg.has_entry || !tc_recognise(ctx, &s, &pkt))
		return TC_NEXT;
	/* Before the record is written: see attempt_whole(). */
	open = slot_open(key, &s);
	if (open)
		return inject_action(tc_take(open, key, skb, &pkt));
	/* What is dropped must have its slot, by which the drop hook knows it. */
	if (!cfg.inject.verdict)
		tc_take(&s, key, skb, &pkt);
	return TC_NEXT;
}

/* For nearly every packet this is all: few registers to save. */
SEC("?tc")
int rebpf_tc_egress(struct __sk_buff *ctx)
{
	return tc_is_idle(ctx) ? TC_NEXT : tc_look(ctx);
}

/*
 * Is @skb the attempt's copy? If no classifier of ours saw one yet, by its header: a QUEUED without a TC tells user
 * space that this device is not watched.
 */
static __always_inline bool queued_is_copy(const struct inflight *open, struct sk_buff *skb)
{
	struct packet pkt = {};

	if (open->copy)
		return open->copy == (__u64)skb;
	/* Unreadable (IPsec): it may be the copy, and TC did not recognise it either. */
	if (!packet_read(&pkt, skb))
		return true;
	return pkt.seq != pkt.end_seq && seq_within(pkt.seq, open->seq, open->end_seq);
}

/* A record only where no classifier of ours saw it: else the next record of the attempt says it. */
SEC("?tp_btf/net_dev_queue")
int rebpf_queued(__u64 *ctx)
{
	struct sk_buff *skb;
	struct rec_rtx_queued *q;
	struct inflight *open;
	__u64 key;

	if (!shared.in_flight)
		return 0;
	skb = (void *)ctx[0];
	key = (__u64)skb_sk(skb);
	if (!key)
		return 0;
	open = slot_find(key);
	if (!open || !queued_is_copy(open, skb))
		return 0;
	open->queued = 1;
	if (open->copy && open->dev == (__u64)BPF_CORE_READ(skb, dev))
		return 0;
	open->told = 1;
	q = EMIT_CONTROL(rec_rtx_queued, REC_RTX_QUEUED, key);
	if (!q)
		return 0;
	q->sk = key;
	q->skb = open->skb;
	q->copy = (__u64)skb;
	q->netns = BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
	q->ifindex = BPF_CORE_READ(skb, dev, ifindex);
	emit_submit(q);
	return 0;
}
