// SPDX-License-Identifier: MIT
/* skb:kfree_skb: the fate of a copy whose attempt is under way. */
#include "rebpf.bpf.h"

static __always_inline bool skb_came_to_device(struct sk_buff *skb)
{
	return BPF_CORE_READ(skb, mac_header) != 0xffff;
}

static __always_inline void drop_emit(__u64 *ctx, struct sk_buff *skb, __u64 sk, __u64 p, const struct inflight *slot,
				      const struct packet *pkt)
{
	struct rec_rtx_drop *d = EMIT_CONTROL(rec_rtx_drop, REC_RTX_DROP, sk);

	if (!d)
		return;
	copy_read(&d->c, sk, p, skb, pkt);
	d->location = ctx[1];
	d->reason = 0;
	if (cfg.drop_has_reason)
		d->reason = (__u32)ctx[2];
	d->hops = slot ? slot->hops : 0;
	d->queued = slot ? slot->queued : 0;
	d->at_device = skb_came_to_device(skb);
	d->zero = 0;
	__builtin_memset(d->stack, 0, sizeof(d->stack));
	bpf_get_stack(ctx, d->stack, sizeof(d->stack), 0);
	emit_submit(d);
}

/*
 * No entry hook, and TC has not seen it: a copy with no MAC header yet has never come to a device
 * (__dev_queue_xmit sets it), so it is freed inside the call that sends it, or from a neighbour's queue; which of
 * the two, the stamp tells (rec_copy.stamp_ns against rec_rtx_exit.stamp_ns).
 */
static __always_inline void drop_before_tc(__u64 *ctx, struct sk_buff *skb, struct sock *sk)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct packet pkt = {};
	struct rec_flow flow;
	struct sk_buff *p;

	if (!sk_is_full(state) || skb_came_to_device(skb))
		return;
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) != IPPROTO_TCP)
		return;
	if (!packet_read(&pkt, skb) || pkt.seq == pkt.end_seq ||
	    !seq_before(pkt.seq, BPF_CORE_READ((struct tcp_sock *)sk, snd_nxt)))
		return;
	if (!flow_read_ends(&flow, &sk->__sk_common) || !flow_wanted(&flow))
		return;
	p = rtx_queue_find(sk, pkt.seq);
	if (p)
		drop_emit(ctx, skb, (__u64)sk, (__u64)p, NULL, &pkt);
}

SEC("?tp_btf/kfree_skb")
int rebpf_drop(__u64 *ctx)
{
	struct packet pkt = {};
	struct sk_buff *skb;
	struct inflight *open;
	struct sock *sk;
	__u64 key;

	if (cfg.has_entry && !shared.in_flight)
		return 0;
	skb = (void *)ctx[0];
	sk = BPF_CORE_READ(skb, sk);
	if (!sk)
		return 0;
	key = (__u64)sk;
	open = bpf_map_lookup_elem(&slots, &key);
	if (!open) {
		if (!cfg.has_entry)
			drop_before_tc(ctx, skb, sk);
		return 0;
	}
	if (packet_read(&pkt, skb)) {
		/* A GSO buffer is freed in segments: any part of the range is the attempt's. */
		if (open->copy != (__u64)skb && !seq_within(pkt.seq, open->seq, open->end_seq))
			return 0;
	} else if (open->copy == (__u64)skb) {
		pkt.seq = open->seq;
		pkt.end_seq = open->end_seq;
	} else {
		return 0;
	}
	drop_emit(ctx, skb, key, open->skb, open, &pkt);
	return 0;
}
