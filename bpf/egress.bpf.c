// SPDX-License-Identifier: MIT
/* What TC egress and the device make of a retransmitted copy. Runs on every packet that leaves: gates first. */
#include "rebpf.bpf.h"
#include "inject.bpf.h"

static __always_inline void tc_emit(__u64 sk, __u64 p, struct sk_buff *skb, const struct packet *pkt,
				    int verdict)
{
	struct rec_rtx_tc *t = EMIT_CONTROL(rec_rtx_tc, REC_RTX_TC, sk);

	if (!t)
		return;
	copy_read(&t->c, sk, p, skb, pkt);
	t->verdict = verdict;
	t->wmem_other = BPF_CORE_READ((struct sock *)sk, sk_wmem_alloc.refs.counter) - BPF_CORE_READ(skb, truesize);
	t->delivered_us = p ? BPF_CORE_READ(skb_tcb((struct sk_buff *)p), tx.delivered_mstamp) : 0;
	emit_submit(t);
}

/* The slot is open: is this packet the attempt's copy? Returns the verdict on it. */
static __always_inline int tc_in_slot(struct inflight *slot, __u64 sk, struct sk_buff *skb)
{
	struct packet pkt = {};
	bool tcp = packet_read(&pkt, skb);
	int verdict;

	/*
	 * On a lower device the same buffer may carry an outer header: the pointer says enough. Else the header
	 * must lie in the range, for an older packet of this socket can come by on another device meanwhile.
	 */
	if ((__u64)skb != slot->copy) {
		if (!tcp || pkt.seq == pkt.end_seq || !seq_within(pkt.seq, slot->seq, slot->end_seq))
			return TC_NEXT;
		slot->copy = (__u64)skb;
		slot->stamp_ns = BPF_CORE_READ(skb, skb_mstamp_ns);
	} else if (!tcp) {
		pkt.seq = slot->seq;
		pkt.end_seq = slot->end_seq;
	}
	slot->hops++;
	slot->queued = 0;
	verdict = inject_verdict(skb, sk, slot, &pkt);
	tc_emit(sk, slot->skb, skb, &pkt, verdict);
	return verdict;
}

/*
 * Is this surely no retransmission? One read, for every packet comes by here. @false: look closer (options or extension
 * headers before the TCP header, a tunnel's outer header).
 */
static __always_inline bool tc_is_new(struct __sk_buff *ctx, __u32 snd_nxt)
{
	__u8 h[48] __attribute__((aligned(8)));

	if (ctx->protocol == bpf_htons(ETH_P_IP))
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
static __always_inline bool tc_recognise(struct __sk_buff *ctx, struct inflight *s)
{
	struct sk_buff *skb = (struct sk_buff *)(void *)ctx;
	struct bpf_sock *sk = ctx->sk;
	struct bpf_tcp_sock *tp;
	struct packet pkt = {};
	struct sk_buff *p;

	/* A packet that has been received (skb_iif) is no transmission of ours, though it may still carry sk. */
	if (!sk || ctx->ingress_ifindex)
		return false;
	tp = bpf_tcp_sock(sk);
	if (!tp || tc_is_new(ctx, tp->snd_nxt))
		return false;
	if (!packet_read(&pkt, skb) || pkt.seq == pkt.end_seq || !seq_before(pkt.seq, tp->snd_nxt))
		return false;
	if ((pkt.flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == (TCP_FLAG_SYN | TCP_FLAG_ACK) || (pkt.flags & TCP_FLAG_RST))
		return false;
	p = rtx_queue_find(BPF_CORE_READ(skb, sk), pkt.seq);
	if (!p)
		return false;
	s->skb = (__u64)p;
	s->seq = pkt.seq;
	s->end_seq = pkt.end_seq;
	s->hook = RTX_HOOK_TRACEPOINT;
	return true;
}

/* The slot that this packet belongs to; without entry hooks it may be the packet that opens it. */
static __always_inline struct inflight *tc_slot(struct __sk_buff *ctx, struct sk_buff *skb, __u64 *key)
{
	struct inflight *open, s = {};
	struct rec_flow flow;
	struct sock *sk;

	if (shared.in_flight) {
		*key = (__u64)BPF_CORE_READ(skb, sk);
		open = *key ? bpf_map_lookup_elem(&slots, key) : NULL;
		if (open && (cfg.has_entry || (open->copy == (__u64)skb &&
					       open->stamp_ns == BPF_CORE_READ(skb, skb_mstamp_ns))))
			return open;
	}
	if (cfg.has_entry || !tc_recognise(ctx, &s))
		return NULL;
	sk = BPF_CORE_READ(skb, sk);
	*key = (__u64)sk;
	if (cfg.heartbeat && bpf_ktime_get_ns() - shared.heartbeat_ns > REBPF_HEARTBEAT_NS)
		return NULL; /* user space is gone */
	if (!flow_read_ends(&flow, &sk->__sk_common) || !flow_wanted(&flow))
		return NULL;
	slot_open(*key, &s);
	return bpf_map_lookup_elem(&slots, key);
}

/*
 * Can this packet be none of an attempt to retransmit? With entry hooks while none is under way. Without, if its socket has not
 * retransmitted yet: total_retrans is advanced before the transmission (__tcp_retransmit_skb).
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
	return !tp || !tp->total_retrans;
}

SEC("?tc")
int rebpf_tc_egress(struct __sk_buff *ctx)
{
	/* A privileged program may use the context as the address of the buffer that it is. */
	struct sk_buff *skb = (struct sk_buff *)(void *)ctx;
	struct inflight *open;
	__u64 key = 0;

	if (tc_is_idle(ctx))
		return TC_NEXT;
	open = tc_slot(ctx, skb, &key);
	if (open)
		return inject_action(tc_in_slot(open, key, skb));
	return TC_NEXT;
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
	key = (__u64)BPF_CORE_READ(skb, sk);
	if (!key)
		return 0;
	open = bpf_map_lookup_elem(&slots, &key);
	if (!open || !queued_is_copy(open, skb))
		return 0;
	open->queued = 1;
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
