// SPDX-License-Identifier: MIT
/*
 * Where an attempt to retransmit begins and ends.
 *
 *   with entry hooks (fentry/fexit, or a kprobe pair):  ENTRY [TC QUEUED? DROP]* EXIT
 *   without:  [TC QUEUED? DROP]* (recognised by themselves) ENTRY|LATE|WHOLE at the tracepoint or sockops
 */
#include "rebpf.bpf.h"
#include "call.bpf.h"
#include "inject.bpf.h"
#include "spurious.bpf.h"

/* ---- reading ---- */

/*
 * tcp_highest_sack_seq(): the pointer is to the buffer behind the highest SACKed one. (rack.end_seq would not do: after a
 * partial acknowledgement it is the end of the whole buffer.)
 */
static __always_inline __u32 highest_sack_read(struct tcp_sock *tp, bool typed)
{
	struct tcp_skb_cb *tcb;
	struct sk_buff *next;

	if (!FIELD(typed, tp, sacked_out))
		return FIELD(typed, tp, snd_una);
	next = FIELD(typed, tp, highest_sack);
	if (!next)
		return FIELD(typed, tp, snd_nxt);
	tcb = CAST(skb_tcb(next));
	return FIELD(HAS_CAST, tcb, seq);
}

/* Where the next packet goes first, by the route that the socket has cached. */
static __always_inline void entry_read_route(struct rec_rtx_entry *e, struct sock *sk)
{
	const bool typed = HAS_CAST;
	struct net_device *dev;
	struct dst_entry *dst;
	struct net *net;

	sk = CAST(sk);
	dst = FIELD(typed, sk, sk_dst_cache);
	dev = dst ? FIELD(typed, dst, dev) : NULL;
	e->dst_bits = 0;
	e->dst_netns = 0;
	e->dst_ifindex = 0;
	if (!dev)
		return;
	net = FIELD(typed, dev, nd_net.net);
	e->dst_netns = FIELD(typed, net, ns.inum);
	e->dst_ifindex = FIELD(typed, dev, ifindex);
	if (bpf_core_field_exists(dst->xfrm) && FIELD(typed, dst, xfrm))
		e->dst_bits |= RTX_DST_XFRM;
	if (FIELD(typed, dst, lwtstate))
		e->dst_bits |= RTX_DST_TUNNEL;
}

/* The socket's figures and what the type of the retransmission is decided from (net/ipv4/tcp_timer.c). */
static __always_inline void entry_read_socket(struct rec_rtx_entry *e, struct sock *sk, struct tcp_sock *tp, bool typed)
{
	struct inet_connection_sock *icsk = (void *)tp;

	e->total_retrans = FIELD(typed, tp, total_retrans);
	e->segs_out = FIELD(typed, tp, segs_out);
	e->snd_una = FIELD(typed, tp, snd_una);
	e->snd_nxt = FIELD(typed, tp, snd_nxt);
	e->snd_wnd = FIELD(typed, tp, snd_wnd);
	e->srtt_us = FIELD(typed, tp, srtt_us) >> 3;
	e->rto_us = FIELD(typed, icsk, icsk_rto) * cfg.tick_us;
	e->cwnd = FIELD(typed, tp, snd_cwnd);
	e->ssthresh = FIELD(typed, tp, snd_ssthresh);
	e->mss = FIELD(typed, tp, mss_cache);
	e->undo_marker = FIELD(typed, tp, undo_marker);
	e->prior_ssthresh = FIELD(typed, tp, prior_ssthresh);
	e->dsack_dups = FIELD(typed, tp, dsack_dups);
	e->wmem_alloc = FIELD(typed, sk, sk_wmem_alloc.refs.counter);
	e->bytes_acked_low = (__u32)FIELD(typed, tp, bytes_acked);
	e->rack_mstamp_us = FIELD(typed, tp, rack.mstamp);
	e->ca_state = BITFIELD(typed, icsk, icsk_ca_state);
	e->pending = FIELD(typed, icsk, icsk_pending);
	e->retransmits = FIELD(typed, icsk, icsk_retransmits);
	e->high_seq = FIELD(typed, tp, high_seq);
	e->tsoffset = FIELD(typed, tp, tsoffset);
	e->rcv_nxt = FIELD(typed, tp, rcv_nxt);
	e->highest_sack = highest_sack_read(tp, typed);
	e->sk_drops = compat_sk_drops(sk);
	entry_read_route(e, sk);
	if (BITFIELD(typed, tp, frto))
		e->bits |= RTX_BIT_FRTO;
	if (FIELD(typed, sk, sk_pacing_status))
		e->bits |= RTX_BIT_PACED;
	if (BITFIELD(typed, tp, syn_data))
		e->bits |= RTX_BIT_SYN_DATA;
}

/* By loads, if the kernel lets tracing programs know a socket as TCP's: any by a cast, @typed ones by a helper (5.9). */
static __always_inline void entry_read_tcp(struct rec_rtx_entry *e, struct sock *sk, bool typed)
{
	struct tcp_sock *tp = NULL;

	if (HAS_CAST) {
		entry_read_socket(e, CAST(sk), CAST((struct tcp_sock *)sk), true);
		return;
	}
	if (typed && bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_skc_to_tcp_sock))
		tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		entry_read_socket(e, sk, tp, true);
	else
		entry_read_socket(e, sk, (void *)sk, false);
}

static __always_inline void entry_read_segment(struct rec_rtx_entry *e, struct sk_buff *skb)
{
	struct tcp_skb_cb *tcb = CAST(skb_tcb(skb));
	const bool typed = HAS_CAST;

	e->skb = (__u64)skb;
	skb = CAST(skb);
	e->stamp_ns = FIELD(typed, skb, skb_mstamp_ns);
	e->delivered_us = FIELD(typed, tcb, tx.delivered_mstamp);
	e->seq = FIELD(typed, tcb, seq);
	e->end_seq = FIELD(typed, tcb, end_seq);
	e->segs = FIELD(typed, tcb, tcp_gso_segs);
	e->tcp_flags = compat_tcb_flags(tcb);
	e->sacked = FIELD(typed, tcb, sacked);
}

/* UNWANTED: the caller leaves the attempt alone. LOST: no room. */
enum entry_result { ENTRY_UNWANTED, ENTRY_EMITTED, ENTRY_LOST };

struct attempt_end {
	__s32 ret;
	__u8 has_ret;
	__u8 reached;
	__u8 hook;
	__u8 lost;   /* its ENTRY was: this is no event for user space */
	__u8 queued; /* slot_queued_hop() */
	__u32 segs;  /* 0: take tcp_skb_pcount */
};

/*
 * Emits ENTRY. @flow is filled in place first, so that a flow that nobody wants costs no more than that. @end: how the attempt
 * ended, if it has.
 */
static __always_inline enum entry_result entry_emit(struct sock *sk, struct sk_buff *skb, enum rtx_hook hook, bool typed,
						    const struct attempt_end *end)
{
	struct known_socket *known;
	struct rec_rtx_entry *e;
	__u64 key = (__u64)sk;
	struct rec_flow flow;

	if (!flow_read_ends(&flow, &sk->__sk_common) || !flow_wanted(&flow))
		return ENTRY_UNWANTED;
	e = EMIT_CONTROL(rec_rtx_entry, REC_RTX_ENTRY, (__u64)sk);
	/* verifier: 5.10 forgets, if anything is asked between, which way has a record. */
	if (!e) {
		spurious_note(sk, bpf_ktime_get_ns());
		return ENTRY_LOST;
	}
	known = bpf_map_lookup_elem(&sockets, &key);
	spurious_note_known(sk, e->h.ts_ns, known);
	flow_read_identity(&flow, sk);
	e->flow = flow;
	if (known)
		e->owner = known->owner;
	else
		__builtin_memset(&e->owner, 0, sizeof(e->owner));
	e->born_ns = known ? known->born_ns : 0;
	if (hook != RTX_HOOK_SOCKOPS)
		owner_from_current(&e->task);
	else /* verifier: a sockops program may not ask who runs */
		__builtin_memset(&e->task, 0, sizeof(e->task));
	e->hook = hook;
	e->bits = end ? RTX_BIT_LATE | RTX_BIT_WHOLE : 0;
	entry_read_tcp(e, sk, typed);
	entry_read_segment(e, skb);
	e->reached = end ? end->reached : 0;
	e->queued = end ? end->queued : 0;
	e->zero = 0;
	e->ret = end ? end->ret : 0;
	emit_submit(e);
	return ENTRY_EMITTED;
}

static __always_inline void attempt_lost(const struct attempt_end *end, __u32 segs, bool synack)
{
	struct lost_key key = {
		.kind = REC_RTX_EXIT,
		.ret = end->ret,
		.has_ret = end->has_ret,
		.reached = end->reached,
		.synack = synack,
	};

	count_lost(&key, segs);
}

/* Emits EXIT; false: no room. */
static __always_inline bool exit_emit_record(struct sock *sk, struct sk_buff *skb, const struct attempt_end *end, __u32 segs)
{
	struct rec_rtx_exit *x = EMIT_CONTROL(rec_rtx_exit, REC_RTX_EXIT, (__u64)sk);
	struct tcp_skb_cb *tcb = skb_tcb(skb);

	if (!x)
		return false;
	x->sk = (__u64)sk;
	x->skb = (__u64)skb;
	x->stamp_ns = BPF_CORE_READ(skb, skb_mstamp_ns);
	x->ret = end->ret;
	x->seq = BPF_CORE_READ(tcb, seq);
	x->end_seq = BPF_CORE_READ(tcb, end_seq);
	x->segs = segs;
	x->total_retrans = BPF_CORE_READ((struct tcp_sock *)sk, total_retrans);
	x->has_ret = end->has_ret;
	x->reached = end->reached;
	x->hook = end->hook;
	x->lost_entry = end->lost;
	x->segs_out = BPF_CORE_READ((struct tcp_sock *)sk, segs_out);
	x->queued = end->queued;
	__builtin_memset(x->zero2, 0, sizeof(x->zero2));
	emit_submit(x);
	return true;
}

/* verifier: the record is done with before anything else is asked; 5.10 forgets that it is there. */
static __always_inline void exit_emit(struct sock *sk, struct sk_buff *skb, const struct attempt_end *end)
{
	__u32 segs = end->segs ? end->segs : BPF_CORE_READ(skb_tcb(skb), tcp_gso_segs);

	if (!exit_emit_record(sk, skb, end, segs) || end->lost)
		attempt_lost(end, segs, false);
}

/* ---- with entry hooks ---- */

static __always_inline int attempt_enter(struct sock *sk, struct sk_buff *skb, enum rtx_hook hook, bool typed)
{
	__u64 key = (__u64)sk;
	struct inflight *open = slot_find(key);
	struct tcp_skb_cb *tcb = skb_tcb(skb);
	struct inflight s = {};
	enum entry_result entry;

	if (open && hook == RTX_HOOK_DIRECT && open->hook == RTX_HOOK_RETRANSMIT && !open->inner) {
		/* tcp_retransmit_skb calls it once; a second time means that its exit was missed. */
		open->inner = 1;
		return 0;
	}
	entry = entry_emit(sk, skb, hook, typed, NULL);
	if (entry == ENTRY_UNWANTED) {
		if (open)
			slot_close(key);
		return 0;
	}
	s.skb = (__u64)skb;
	s.seq = BPF_CORE_READ(tcb, seq);
	s.end_seq = BPF_CORE_READ(tcb, end_seq);
	s.total_retrans = BPF_CORE_READ((struct tcp_sock *)sk, total_retrans);
	s.hook = hook;
	s.lost = entry == ENTRY_LOST;
	slot_open(key, &s);
	return 0;
}

static __always_inline int attempt_leave(struct sock *sk, struct sk_buff *skb, enum rtx_hook hook, int ret)
{
	__u64 key = (__u64)sk;
	struct inflight *open = slot_find(key);
	struct attempt_end end = { .ret = ret, .has_ret = 1, .hook = hook };

	if (!open || open->hook != hook)
		return 0;
	/* Advanced even if the transmission failed: net/ipv4/tcp_output.c, __tcp_retransmit_skb. */
	end.segs = BPF_CORE_READ((struct tcp_sock *)sk, total_retrans) - open->total_retrans;
	end.reached = end.segs ? RTX_REACHED : RTX_REFUSED;
	end.lost = open->lost;
	end.queued = slot_queued_hop(open);
	slot_close(key);
	exit_emit(sk, skb, &end);
	return 0;
}

SEC("?fentry/tcp_retransmit_skb")
int tcp_retrans_in(__u64 *ctx)
{
	return attempt_enter((void *)ctx[0], (void *)ctx[1], RTX_HOOK_RETRANSMIT, true);
}

SEC("?fexit/tcp_retransmit_skb")
int tcp_retrans_out(__u64 *ctx)
{
	return attempt_leave((void *)ctx[0], (void *)ctx[1], RTX_HOOK_RETRANSMIT, (int)ctx[3]);
}

SEC("?fentry/__tcp_retransmit_skb")
int tcp_retrans_din(__u64 *ctx)
{
	return attempt_enter((void *)ctx[0], (void *)ctx[1], RTX_HOOK_DIRECT, true);
}

SEC("?fexit/__tcp_retransmit_skb")
int tcp_retrans_dout(__u64 *ctx)
{
	return attempt_leave((void *)ctx[0], (void *)ctx[1], RTX_HOOK_DIRECT, (int)ctx[3]);
}

static __always_inline int attempt_enter_kprobe(struct pt_regs *ctx, enum rtx_hook hook)
{
	__u64 sk = PT_REGS_PARM1(ctx), skb = PT_REGS_PARM2(ctx);

	call_enter(ctx, sk, skb);
	return attempt_enter((void *)sk, (void *)skb, hook, false);
}

static __always_inline int attempt_leave_kprobe(struct pt_regs *ctx, enum rtx_hook hook)
{
	struct call c;

	if (!call_leave(ctx, &c))
		return 0;
	return attempt_leave((void *)c.sk, (void *)c.arg, hook, (int)PT_REGS_RC(ctx));
}

SEC("?kprobe/tcp_retransmit_skb")
int tcp_retrans_kin(struct pt_regs *ctx)
{
	return attempt_enter_kprobe(ctx, RTX_HOOK_RETRANSMIT);
}

SEC("?kretprobe/tcp_retransmit_skb")
int tcp_retrans_kout(struct pt_regs *ctx)
{
	return attempt_leave_kprobe(ctx, RTX_HOOK_RETRANSMIT);
}

SEC("?kprobe/__tcp_retransmit_skb")
int tcp_retrans_dki(struct pt_regs *ctx)
{
	return attempt_enter_kprobe(ctx, RTX_HOOK_DIRECT);
}

SEC("?kretprobe/__tcp_retransmit_skb")
int tcp_retrans_dko(struct pt_regs *ctx)
{
	return attempt_leave_kprobe(ctx, RTX_HOOK_DIRECT);
}

/* ---- without ---- */

/*
 * Did the call come as far as transmitting? Every transmission stamps the segment with a departure time not
 * before the socket's clock (__tcp_transmit_skb), which was refreshed before the call; a refusal leaves the old
 * stamp. -EBUSY is only ever a refusal; there the old stamp may lie in the future (paced, still in the qdisc).
 */
static __always_inline __u8 attempt_reached(struct sock *sk, struct sk_buff *skb, int err)
{
	if (!err)
		return RTX_REACHED;
	if (err == -EBUSY)
		return RTX_REFUSED;
	return BPF_CORE_READ(skb, skb_mstamp_ns) >= BPF_CORE_READ((struct tcp_sock *)sk, tcp_clock_cache) ?
		       RTX_REACHED :
		       RTX_REFUSED;
}

static __always_inline void attempt_whole(struct sock *sk, struct sk_buff *skb, enum rtx_hook hook, int err, bool typed)
{
	struct attempt_end end = { .ret = err, .has_ret = 1, .hook = hook, .reached = attempt_reached(sk, skb, err) };
	__u64 key = (__u64)sk;
	struct inflight *open = slot_find(key);

	/* Closed before the record is written: what excludes others waits for all stores before it, and a ring's memory is cold. */
	if (open) {
		end.queued = slot_queued_hop(open);
		slot_close(key);
	}
	if (entry_emit(sk, skb, hook, typed, &end) == ENTRY_LOST)
		attempt_lost(&end, BPF_CORE_READ(skb_tcb(skb), tcp_gso_segs), false);
	inject_note(key);
}

SEC("?tp_btf/tcp_retransmit_skb")
int tcp_retrans_tp(__u64 *ctx)
{
	int err = 0;

	if (cfg.tp_has_err)
		err = (int)ctx[2];
	attempt_whole((void *)ctx[0], (void *)ctx[1], RTX_HOOK_TRACEPOINT, err, true);
	return 0;
}

/*
 * Before 6.17 the tracepoint is silent about failures; this callback is not, once a socket is enrolled. It comes
 * before the tracepoint and says the sequence number instead of the buffer. Successes are left to the tracepoint.
 */
SEC("?sockops")
int tcp_retrans_ops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk;
	struct tcp_sock *tp;
	struct sk_buff *skb;
	int err;

	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RETRANS_CB_FLAG);
		return 1;
	case BPF_SOCK_OPS_RETRANS_CB:
		err = (int)ctx->args[2];
		sk = ctx->sk;
		if (!err || !sk)
			return 1;
		tp = bpf_skc_to_tcp_sock(sk);
		if (!tp)
			return 1;
		skb = rtx_queue_find((struct sock *)tp, ctx->args[0]);
		if (skb)
			attempt_whole((struct sock *)tp, skb, RTX_HOOK_SOCKOPS, err, false);
		return 1;
	}
	return 1;
}

/* ---- SYN-ACK ---- */

/* @whole: it has been sent. */
static __always_inline enum entry_result synack_emit(const struct sock *listener, struct request_sock *req, enum rtx_hook hook,
					bool whole)
{
	struct tcp_request_sock *treq = (void *)req;
	struct rec_rtx_entry *e;
	struct rec_flow flow;

	if (!flow_read_ends(&flow, &req->__req_common) || !flow_wanted(&flow))
		return ENTRY_UNWANTED;
	e = EMIT_CONTROL(rec_rtx_entry, REC_RTX_ENTRY, (__u64)req);
	if (!e)
		return ENTRY_LOST;
	flow_read_identity(&flow, (struct sock *)listener);
	/* inet_request_sock keeps the local port in skc_num, as a socket does; the state is the request's. */
	__builtin_memset((void *)e + sizeof(e->h), 0, sizeof(*e) - sizeof(e->h));
	e->flow = flow;
	owner_read(&e->owner, (__u64)listener);
	owner_from_current(&e->task);
	e->seq = BPF_CORE_READ(treq, snt_isn);
	e->end_seq = e->seq + 1;
	e->snd_una = e->seq;
	e->snd_nxt = e->end_seq;
	e->segs = 1;
	e->delivered_us = BPF_CORE_READ(treq, snt_synack); /* when the first one was sent */
	e->rcv_nxt = BPF_CORE_READ(treq, rcv_nxt);
	e->tsoffset = BPF_CORE_READ(treq, ts_off);
	e->total_retrans = BPF_CORE_READ_BITFIELD_PROBED(req, num_retrans);
	e->mss = BPF_CORE_READ(req, mss);
	e->tcp_flags = TCP_FLAG_SYN | TCP_FLAG_ACK;
	e->hook = hook;
	if (whole) {
		e->bits = RTX_BIT_LATE | RTX_BIT_WHOLE;
		e->reached = RTX_REACHED;
	}
	emit_submit(e);
	return ENTRY_EMITTED;
}

/* Emits EXIT; false: no room. */
static __always_inline bool synack_exit_record(struct request_sock *req, const struct attempt_end *end)
{
	struct rec_rtx_exit *x = EMIT_CONTROL(rec_rtx_exit, REC_RTX_EXIT, (__u64)req);

	if (!x)
		return false;
	x->sk = (__u64)req;
	x->skb = 0;
	x->stamp_ns = 0;
	x->ret = end->ret;
	x->seq = BPF_CORE_READ((struct tcp_request_sock *)req, snt_isn);
	x->end_seq = x->seq + 1;
	x->segs = 1;
	x->total_retrans = 0;
	x->has_ret = 1;
	x->reached = end->reached;
	x->hook = end->hook;
	x->lost_entry = end->lost;
	x->segs_out = 0;
	x->queued = end->queued;
	__builtin_memset(x->zero2, 0, sizeof(x->zero2));
	emit_submit(x);
	return true;
}

static __always_inline int synack_enter(const struct sock *listener, struct request_sock *req)
{
	struct inflight s = { .hook = RTX_HOOK_SYNACK };
	enum entry_result entry = synack_emit(listener, req, RTX_HOOK_SYNACK, false);

	if (entry == ENTRY_UNWANTED)
		return 0;
	s.lost = entry == ENTRY_LOST;
	s.seq = BPF_CORE_READ((struct tcp_request_sock *)req, snt_isn);
	s.end_seq = s.seq + 1;
	slot_open((__u64)req, &s);
	return 0;
}

/*
 * A request has no lock: its timer and a repeated SYN may send again at once, on two CPUs. Then the slot was the other call's,
 * and is closed: what this one sent is told of like where only the tracepoint sees it.
 */
static __always_inline int synack_leave(const struct sock *listener, struct request_sock *req, int ret)
{
	__u64 key = (__u64)req;
	struct inflight *open = slot_find(key);
	struct attempt_end end = { .ret = ret, .has_ret = 1, .hook = RTX_HOOK_SYNACK };

	if (!open) {
		end.reached = RTX_REACHED;
		if (!ret && synack_emit(listener, req, RTX_HOOK_SYNACK_TP, true) == ENTRY_LOST)
			attempt_lost(&end, 1, true);
		return 0;
	}
	/* Counted by the kernel only if it was sent (tcp_rtx_synack): a failure counts as refused. */
	end.reached = ret ? RTX_REFUSED : RTX_REACHED;
	end.lost = open->lost;
	end.queued = slot_queued_hop(open);
	slot_close(key);
	if (!synack_exit_record(req, &end) || end.lost)
		attempt_lost(&end, 1, true);
	return 0;
}

SEC("?fentry/tcp_rtx_synack")
int tcp_synack_in(__u64 *ctx)
{
	return synack_enter((void *)ctx[0], (void *)ctx[1]);
}

SEC("?fexit/tcp_rtx_synack")
int tcp_synack_out(__u64 *ctx)
{
	return synack_leave((void *)ctx[0], (void *)ctx[1], (int)ctx[2]);
}

SEC("?kprobe/tcp_rtx_synack")
int tcp_synack_kin(struct pt_regs *ctx)
{
	__u64 listener = PT_REGS_PARM1(ctx), req = PT_REGS_PARM2(ctx);

	call_enter(ctx, listener, req);
	return synack_enter((void *)listener, (void *)req);
}

SEC("?kretprobe/tcp_rtx_synack")
int tcp_synack_kout(struct pt_regs *ctx)
{
	struct call c;

	return call_leave(ctx, &c) ? synack_leave((void *)c.sk, (void *)c.arg, (int)PT_REGS_RC(ctx)) : 0;
}

/* Fires for successes only, on every version. */
SEC("?tp_btf/tcp_retransmit_synack")
int tcp_synack_tp(__u64 *ctx)
{
	struct attempt_end end = { .has_ret = 1, .hook = RTX_HOOK_SYNACK_TP, .reached = RTX_REACHED };

	if (synack_emit((void *)ctx[0], (void *)ctx[1], RTX_HOOK_SYNACK_TP, true) == ENTRY_LOST)
		attempt_lost(&end, 1, true);
	return 0;
}
