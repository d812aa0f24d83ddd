// SPDX-License-Identifier: MIT
/*
 * Losses that no drop of a packet tells of: a listener whose queues are full frees the SYN as consumed, and a connection
 * that is given up frees nothing at all. DROP records of a source of our own, one for each that the kernel counts.
 *
 * The kernel's order (tcp_conn_request): a full queue of requests is looked at first, and refuses only without SYN cookies
 * (TCPReqQFullDrop); then a full accept queue refuses (ListenOverflows), and it does so once more when the last ACK of a
 * handshake would make a socket (tcp_v4_syn_recv_sock).
 */
#include "rebpf.bpf.h"
#include "call.bpf.h"
#include "packet.bpf.h"

#define ETIMEDOUT 110
#define SYNCOOKIE_VALID_S 120 /* MAX_SYNCOOKIE_AGE, include/net/tcp.h */

/* A DROP of @source with nothing but the socket's part filled, or NULL: the loss is counted. */
static __always_inline struct rec_drop *synthetic_begin(enum drop_source source, const struct rec_tuple *t,
							struct sock *sk, __u8 state)
{
	struct rec_drop *d;

	__sync_fetch_and_add(&cpu_counts()->drops_foreign, 1);
	d = emit_try(RING_DROPS, REC_DROP, REC_DROP_SHORT_SIZE);
	if (!d) {
		struct lost_key key = { .kind = REC_DROP, .tcp = 1, .source = source };

		emit_lost(RING_DROPS, tuple_bucket(t));
		count_lost(&key, 0);
		return NULL;
	}
	__builtin_memset((void *)d + sizeof(d->h), 0, REC_DROP_SHORT_SIZE - sizeof(d->h));
	d->t = *t;
	d->source = source;
	d->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	d->sk = (__u64)sk;
	d->cgroup = compat_sk_cgroup_id(sk);
	d->ino = compat_sk_ino(sk);
	d->uid = BPF_CORE_READ(sk, sk_uid.val);
	d->state = state;
	owner_read(&d->owner, (__u64)sk);
	return d;
}

/* ---- listen queues ---- */

/* sk_acceptq_is_full() */
static __always_inline bool acceptq_is_full(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_ack_backlog) > BPF_CORE_READ(sk, sk_max_ack_backlog);
}

/* inet_csk_reqsk_queue_is_full(), where that refuses: without SYN cookies */
static __always_inline bool reqq_is_full(struct sock *sk)
{
	struct net *net;

	if ((__u32)BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_accept_queue.qlen.counter) <=
	    BPF_CORE_READ(sk, sk_max_ack_backlog))
		return false;
	net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	/* an int before 5.15, 8 bits since */
	return !BPF_CORE_READ_BITFIELD_PROBED(net, ipv4.sysctl_tcp_syncookies);
}

static __always_inline void overflow_emit(enum drop_source source, struct sk_buff *skb, struct sock *listener)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	struct layer3 l3 = {};
	struct rec_drop *d;

	layer3_open(&l3, skb);
	layer3_parse(&l3, NULL);
	if (!tuple_wanted(&l3.t))
		return;
	d = synthetic_begin(source, &l3.t, listener, TCP_LISTEN);
	if (!d)
		return;
	d->skb = (__u64)skb;
	d->len = l3.end > l3.nh ? l3.end - l3.nh : 0;
	d->ip_id = l3.ip_id;
	d->received = 1;
	segment_read(d, &l3, true, false);
	/* tcp_v4_rcv has taken the device from a SYN. */
	d->ifindex = BPF_CORE_READ(skb, skb_iif);
	if (dev) {
		d->ifindex = BPF_CORE_READ(dev, ifindex);
		BPF_CORE_READ_STR_INTO(&d->ifname, dev, name);
	}
	emit_submit(d);
}

/*
 * Exact whatever other CPUs accept and receive meanwhile: a call that comes back without having passed its tests was
 * refused by them. What comes right after the tests is, in tcp_conn_request(), security_inet_conn_request(); in
 * tcp_v4/v6_syn_recv_sock(), tcp_create_openreq_child(). A fast open passes both. Noted by buffer, not by CPU: softirqs nest
 * under PREEMPT_RT, where none excludes another any more (CONFIG_PREEMPT_RT_NEEDS_BH_LOCK, Linux 6.18).
 */
enum passed_what { PASSED_SYN, PASSED_ACK };

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u64); /* address of the buffer that passed, plus what; removed as its call ends */
	__type(value, __u8);
} passed SEC(".maps");

static __always_inline int passed_note(enum passed_what what, __u64 skb)
{
	__u64 key = skb + what;
	__u8 yes = 1;

	bpf_map_update_elem(&passed, &key, &yes, BPF_ANY);
	return 0;
}

static __always_inline bool passed_end(enum passed_what what, __u64 skb)
{
	__u64 key = skb + what;

	return !bpf_map_delete_elem(&passed, &key);
}

static __always_inline int syn_leave(struct sock *sk, struct sk_buff *skb)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);

	if (passed_end(PASSED_SYN, (__u64)skb))
		return 0;
	/* Which of the two, the queues tell as they are now; with SYN cookies it is always the accept queue. */
	if (!BPF_CORE_READ_BITFIELD_PROBED(net, ipv4.sysctl_tcp_syncookies) &&
	    (reqq_is_full(sk) || !acceptq_is_full(sk)))
		overflow_emit(DROP_SOURCE_REQQ_FULL, skb, sk);
	else
		overflow_emit(DROP_SOURCE_LISTEN_OVERFLOW, skb, sk);
	return 0;
}

/* tcp_v6_syn_recv_sock() passes a v4-mapped one on to the other; its own may also fail for want of a route. */
static __always_inline int ack_leave(struct sock *sk, struct sk_buff *skb, bool v6)
{
	if (v6 && BPF_CORE_READ(skb, protocol) == bpf_htons(ETH_P_IP))
		return 0;
	if (!passed_end(PASSED_ACK, (__u64)skb) && (!v6 || acceptq_is_full(sk)))
		overflow_emit(DROP_SOURCE_LISTEN_OVERFLOW, skb, sk);
	return 0;
}

SEC("?fentry/security_inet_conn_request")
int rebpf_syn_pass(__u64 *ctx)
{
	return passed_note(PASSED_SYN, ctx[1]);
}

SEC("?fentry/tcp_create_openreq_child")
int rebpf_ack_pass(__u64 *ctx)
{
	return passed_note(PASSED_ACK, ctx[2]);
}

SEC("?fexit/tcp_conn_request")
int rebpf_syn_out(__u64 *ctx)
{
	return syn_leave((void *)ctx[2], (void *)ctx[3]);
}

SEC("?fexit/tcp_v4_syn_recv_sock")
int rebpf_ack4_out(__u64 *ctx)
{
	return ack_leave((void *)ctx[0], (void *)ctx[1], false);
}

SEC("?fexit/tcp_v6_syn_recv_sock")
int rebpf_ack6_out(__u64 *ctx)
{
	return ack_leave((void *)ctx[0], (void *)ctx[1], true);
}

/*
 * The last two have a seventh argument in newer kernels, also of the older series; trampolines on x86 take so many since
 * 6.6 (473e3150e30a).
 */
SEC("?kprobe/security_inet_conn_request")
int rebpf_syn_kpass(struct pt_regs *ctx)
{
	return passed_note(PASSED_SYN, PT_REGS_PARM2(ctx));
}

SEC("?kprobe/tcp_create_openreq_child")
int rebpf_ack_kpass(struct pt_regs *ctx)
{
	return passed_note(PASSED_ACK, PT_REGS_PARM3(ctx));
}

SEC("?kprobe/tcp_conn_request")
int rebpf_syn_kin(struct pt_regs *ctx)
{
	return call_enter(ctx, PT_REGS_PARM3(ctx), PT_REGS_PARM4(ctx));
}

SEC("?kretprobe/tcp_conn_request")
int rebpf_syn_kout(struct pt_regs *ctx)
{
	struct call c;

	return call_leave(ctx, &c) ? syn_leave((void *)c.sk, (void *)c.arg) : 0;
}

SEC("?kprobe/tcp_v4_syn_recv_sock")
int rebpf_ack4_kin(struct pt_regs *ctx)
{
	return call_enter(ctx, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
}

SEC("?kretprobe/tcp_v4_syn_recv_sock")
int rebpf_ack4_kout(struct pt_regs *ctx)
{
	struct call c;

	return call_leave(ctx, &c) ? ack_leave((void *)c.sk, (void *)c.arg, false) : 0;
}

SEC("?kprobe/tcp_v6_syn_recv_sock")
int rebpf_ack6_kin(struct pt_regs *ctx)
{
	return call_enter(ctx, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
}

SEC("?kretprobe/tcp_v6_syn_recv_sock")
int rebpf_ack6_kout(struct pt_regs *ctx)
{
	struct call c;

	return call_leave(ctx, &c) ? ack_leave((void *)c.sk, (void *)c.arg, true) : 0;
}

/* ---- listen queues, without trampolines: what the kernel is about to decide, from what it decides by ---- */

struct handshake {
	__u32 seq, end_seq, ack;
	__u8 flags;
};

static __always_inline bool handshake_read(struct handshake *hs, struct layer3 *l3, struct sk_buff *skb)
{
	const __u8 *h = l3->tcp;
	__u32 doff;

	layer3_open(l3, skb);
	layer3_parse(l3, NULL);
	if (l3->t.protocol != IPPROTO_TCP || !l3->th || l3->th + 20 > l3->tail)
		return false;
	doff = (h[12] >> 4) * 4;
	hs->seq = bpf_ntohl(*(__u32 *)(h + 4));
	hs->ack = bpf_ntohl(*(__u32 *)(h + 8));
	hs->flags = h[13] & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST | TCP_FLAG_FIN);
	hs->end_seq = hs->seq + (l3->end - l3->th - doff) + !!(hs->flags & TCP_FLAG_SYN) +
		      !!(hs->flags & TCP_FLAG_FIN);
	return doff >= 20 && l3->end >= l3->th + doff;
}

/* tcp_in_window() of net/ipv4/tcp_minisocks.c */
static __always_inline bool in_window(const struct handshake *hs, __u32 start, __u32 end)
{
	if (hs->seq == start)
		return true;
	if (seq_before(start, hs->end_seq) && seq_before(hs->seq, end))
		return true;
	return hs->seq == end && hs->seq == hs->end_seq;
}

/* Will tcp_check_req() make a socket from this segment? The conditions in its order, but for those of time stamps. */
static __always_inline bool completes(struct handshake *hs, struct tcp_request_sock *treq, struct sock *listener)
{
	struct request_sock *req = (void *)treq;
	__u32 rcv_nxt = BPF_CORE_READ(treq, rcv_nxt), rcv_isn = BPF_CORE_READ(treq, rcv_isn);

	if (!(hs->flags & TCP_FLAG_ACK) || (hs->flags & TCP_FLAG_RST) || hs->ack != BPF_CORE_READ(treq, snt_isn) + 1)
		return false;
	if (!in_window(hs, rcv_nxt, rcv_nxt + BPF_CORE_READ(req, __req_common.skc_rcv_wnd)))
		return false;
	if ((hs->flags & TCP_FLAG_SYN) && hs->seq != rcv_isn)
		return false;
	/* TCP_DEFER_ACCEPT waits for data. */
	return hs->end_seq != rcv_isn + 1 ||
	       BPF_CORE_READ_BITFIELD_PROBED(req, num_timeout) >=
		       BPF_CORE_READ((struct inet_connection_sock *)listener, icsk_accept_queue.rskq_defer_accept);
}

/*
 * Has the listener sent SYN cookies lately (tcp_synq_no_recent_overflow)? Then an ACK without a request is taken for one
 * of them; whether the cookie is right is not looked at. In a group of SO_REUSEPORT the group remembers.
 */
static __always_inline bool cookies_are_out(struct sock *listener)
{
	struct sock_reuseport *group = BPF_CORE_READ(listener, sk_reuseport_cb);
	struct net *net = BPF_CORE_READ(listener, __sk_common.skc_net.net);
	__u32 jiffies = bpf_jiffies64(), last;

	if (!BPF_CORE_READ_BITFIELD_PROBED(net, ipv4.sysctl_tcp_syncookies))
		return false;
	last = group ? BPF_CORE_READ(group, synq_overflow_ts) :
		       (__u32)BPF_CORE_READ((struct tcp_sock *)listener, rx_opt.ts_recent_stamp);
	return last && jiffies - last < SYNCOOKIE_VALID_S * (1000000 / (cfg.tick_us ?: 1000000));
}

/*
 * The request of the connection, as tcp_v4_rcv found it. One of another kind of socket is none: the segment is for the
 * listener itself.
 */
static __always_inline enum drop_source overflow_judge(struct __sk_buff *ctx, struct sock *listener, struct handshake *hs,
						       const struct layer3 *l3, bool full)
{
	struct tcp_request_sock *treq;
	struct bpf_sock_tuple tuple = {};
	enum drop_source source = DROP_SOURCE_KFREE;
	struct bpf_sock *found;

	if (l3->t.ip_version == 4) {
		__builtin_memcpy(&tuple.ipv4.saddr, l3->t.saddr, 4);
		__builtin_memcpy(&tuple.ipv4.daddr, l3->t.daddr, 4);
		tuple.ipv4.sport = bpf_htons(l3->t.sport);
		tuple.ipv4.dport = bpf_htons(l3->t.dport);
		found = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(&tuple.ipv6.saddr, l3->t.saddr, 16);
		__builtin_memcpy(&tuple.ipv6.daddr, l3->t.daddr, 16);
		tuple.ipv6.sport = bpf_htons(l3->t.sport);
		tuple.ipv6.dport = bpf_htons(l3->t.dport);
		found = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (found && found->state == TCP_NEW_SYN_RECV) {
		treq = bpf_skc_to_tcp_request_sock(found);
		if (treq && full && completes(hs, treq, listener))
			source = DROP_SOURCE_LISTEN_OVERFLOW;
	} else if (hs->flags == TCP_FLAG_SYN) {
		if (reqq_is_full(listener))
			source = DROP_SOURCE_REQQ_FULL;
		else if (full)
			source = DROP_SOURCE_LISTEN_OVERFLOW;
	} else if (full && (hs->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST)) == TCP_FLAG_ACK &&
		   cookies_are_out(listener)) {
		source = DROP_SOURCE_LISTEN_OVERFLOW;
	}
	if (found)
		bpf_sk_release(found);
	return source;
}

/*
 * Runs for every packet that a socket receives, so it leaves at the first look unless the socket listens; and at the
 * second, unless a queue is full. For a request the kernel shows the listener here.
 */
SEC("?cgroup_skb/ingress")
int rebpf_overflow(struct __sk_buff *ctx)
{
	/* A privileged program may use the context as the address of the buffer that it is. */
	struct sk_buff *skb = (struct sk_buff *)(void *)ctx;
	struct bpf_sock *sk = ctx->sk;
	enum drop_source source;
	struct handshake hs = {};
	struct layer3 l3 = {};
	struct sock *listener;
	bool full;

	if (!sk || sk->state != TCP_LISTEN)
		return 1;
	listener = BPF_CORE_READ(skb, sk);
	full = acceptq_is_full(listener);
	if (!full && !reqq_is_full(listener))
		return 1;
	if (!handshake_read(&hs, &l3, skb))
		return 1;
	source = overflow_judge(ctx, listener, &hs, &l3, full);
	if (source != DROP_SOURCE_KFREE)
		overflow_emit(source, skb, listener);
	return 1;
}

/* ---- connections given up ---- */

/*
 * tcp_write_err() ends a connection whose timer has run out: it sets sk_err to the error that was noted on the way (ICMP:
 * sk_err_soft), else to ETIMEDOUT, and closes. Only TCP sockets: that of a multipath connection changes state, too.
 */
SEC("?tp_btf/inet_sock_set_state")
int rebpf_retries(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct inet_connection_sock *icsk = (void *)sk;
	struct rec_tuple t = { .protocol = IPPROTO_TCP };
	struct rec_flow flow;
	struct rec_drop *d;
	int err;

	if ((int)ctx[2] != TCP_CLOSE || (int)ctx[1] == TCP_CLOSE)
		return 0;
	err = BPF_CORE_READ(sk, sk_err);
	if (!err || BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	/* Another end with an error that an ICMP message had announced comes without a timer. */
	if (err != ETIMEDOUT && (err != BPF_CORE_READ(sk, sk_err_soft) ||
				 !(BPF_CORE_READ(icsk, icsk_retransmits) | BPF_CORE_READ(icsk, icsk_probes_out))))
		return 0;
	if (!flow_read_ends(&flow, &sk->__sk_common))
		return 0;
	/* A port that the kernel had picked is given back by now; it is still written here. */
	if (!flow.lport)
		flow.lport = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	if (!flow_wanted(&flow))
		return 0;
	__builtin_memcpy(t.saddr, flow.laddr, 16);
	__builtin_memcpy(t.daddr, flow.raddr, 16);
	t.sport = flow.lport;
	t.dport = flow.rport;
	t.ip_version = flow.ip_version;
	d = synthetic_begin(DROP_SOURCE_RETRIES_EXCEEDED, &t, sk, (__u8)ctx[1]);
	if (d)
		emit_submit(d);
	return 0;
}
