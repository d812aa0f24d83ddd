// SPDX-License-Identifier: MIT
/*
 * Active opens: when they begin, when their SYN leaves, how they end. The state tells beginning and end
 * (inet_sock_set_state); where a hook sees tcp_connect, the SYN's own time, which a deferred fast open sends late; and
 * where one sees connect() return, what failed before there was a state to change.
 */
#include "rebpf.bpf.h"
#include "call.bpf.h"

#define SS_UNCONNECTED 1 /* include/uapi/linux/net.h */

/* Kernel threads connect on nobody's behalf that they could name. */
static __always_inline void connect_owner(struct rec_owner *o)
{
	if (task_is_kernel_thread())
		__builtin_memset(o, 0, sizeof(*o));
	else
		owner_from_current(o);
}

static __always_inline void connect_begin(struct sock *sk)
{
	struct connecting c = {};
	__u64 key = (__u64)sk;

	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) != IPPROTO_TCP)
		return;
	c.begin_ns = bpf_ktime_get_ns();
	c.snd_nxt = BPF_CORE_READ((struct tcp_sock *)sk, snd_nxt);
	connect_owner(&c.owner);
	if (bpf_map_update_elem(&connecting, &key, &c, BPF_ANY))
		__sync_fetch_and_add(&cpu_counts()->slot_failed, 1);
}

/* Has the SYN been sent, as ActiveOpens counts it? tcp_connect advances snd_nxt then, whatever its transmission returned. */
static __always_inline bool connect_syn_sent(struct tcp_sock *tp, const struct connecting *c)
{
	__u32 snd_nxt = BPF_CORE_READ(tp, snd_nxt);

	return snd_nxt != BPF_CORE_READ(tp, snd_una) && (!c || snd_nxt != c->snd_nxt);
}

/* connect() has not returned yet: inet_stream_connect goes to SS_CONNECTING afterwards. */
static __always_inline bool connect_in_call(struct sock *sk)
{
	struct socket *socket = BPF_CORE_READ(sk, sk_socket);

	return !socket || BPF_CORE_READ(socket, state) == SS_UNCONNECTED;
}

static __always_inline void connect_emit(const struct rec_flow *flow, struct sock *sk, const struct connecting *c, __u8 bits,
					 __u32 err, __u8 state)
{
	struct rec_connect *r = EMIT_CONTROL(rec_connect, REC_CONNECT, (__u64)sk);
	struct tcp_sock *tp = (void *)sk;

	if (!r)
		return;
	r->flow = *flow;
	flow_read_identity(&r->flow, sk);
	owner_from_current(&r->task);
	if (c) {
		r->owner = c->owner;
		r->begin_ns = c->begin_ns;
		r->syn_ns = !(bits & CONNECT_SYN_SENT) ? 0 : c->syn_ns ? c->syn_ns : c->begin_ns;
	} else {
		owner_read(&r->owner, (__u64)sk);
		r->begin_ns = 0;
		r->syn_ns = 0;
	}
	/* bytes_acked counts the SYN, too. */
	r->isn = BPF_CORE_READ(tp, snd_una) - (__u32)BPF_CORE_READ(tp, bytes_acked);
	r->syn_retrans = bits & CONNECT_SYN_SENT ? BPF_CORE_READ(tp, total_retrans) : 0;
	r->err = err;
	r->state = state;
	r->bits = bits;
	r->zero = 0;
	emit_submit(r);
}

static __always_inline void connect_end(struct sock *sk, __u8 old, __u8 new)
{
	__u64 key = (__u64)sk;
	struct connecting *c = bpf_map_lookup_elem(&connecting, &key);
	struct rec_flow flow;
	__u8 bits = 0;

	/* Out of SYN_RECV, too, comes an active open only after a simultaneous one. */
	if (!c && (old != TCP_SYN_SENT || BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) != IPPROTO_TCP))
		return;
	/* Established without an acknowledged SYN: put together by TCP_REPAIR. */
	if (old == TCP_SYN_RECV || (new == TCP_ESTABLISHED ? BPF_CORE_READ((struct tcp_sock *)sk, bytes_acked) != 0 :
							     connect_syn_sent((void *)sk, c)))
		bits |= CONNECT_SYN_SENT;
	else if (new != TCP_ESTABLISHED && connect_in_call(sk))
		bits |= CONNECT_IN_CALL;
	if (cfg.connect_returns && (bits & CONNECT_IN_CALL)) {
		/* What connect() returns says why. */
		if (c)
			c->failed = 1;
		return;
	}
	if (flow_read_ends(&flow, &sk->__sk_common)) {
		/* A port that the kernel had picked is given back by now; it is still written here. */
		if (!flow.lport)
			flow.lport = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
		if (flow_wanted(&flow))
			connect_emit(&flow, sk, c, bits, new == TCP_ESTABLISHED ? 0 : BPF_CORE_READ(sk, sk_err), new);
	}
	bpf_map_delete_elem(&connecting, &key);
}

SEC("?tp_btf/inet_sock_set_state")
int rebpf_open_state(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int old = (int)ctx[1], new = (int)ctx[2];

	if (new == TCP_SYN_SENT)
		connect_begin(sk);
	else if ((old == TCP_SYN_SENT && new != TCP_SYN_RECV) || old == TCP_SYN_RECV)
		connect_end(sk, (__u8)old, (__u8)new);
	return 0;
}

/* ---- the SYN: tcp_connect is about to send it ---- */

static __always_inline void connect_syn(__u64 sk)
{
	struct connecting *c = bpf_map_lookup_elem(&connecting, &sk);

	if (c && !c->syn_ns)
		c->syn_ns = bpf_ktime_get_ns();
}

SEC("?fentry/tcp_connect")
int rebpf_connsyn(__u64 *ctx)
{
	connect_syn(ctx[0]);
	return 0;
}

SEC("?kprobe/tcp_connect")
int rebpf_connsyn_kin(struct pt_regs *ctx)
{
	connect_syn(PT_REGS_PARM1(ctx));
	return 0;
}

SEC("?sockops")
int rebpf_connsyn_ops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tp;

	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB || !sk)
		return 1;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		connect_syn((__u64)tp);
	return 1;
}

/* ---- connect() returns: what failed before there was a SYN ---- */

/* struct sockaddr_in and sockaddr_in6 in one (not the kernel's types: reads of those are relocated). */
struct connect_target {
	__u16 family;
	__u16 port;
	__u32 addr4; /* IPv6: flow label */
	__u32 addr6[4];
};

#define SOCKADDR_IN_READ 8

/* Where it was to go: the caller's address, for the socket has forgotten it, or never knew. */
static __always_inline bool connect_read_target(struct rec_flow *f, const void *address)
{
	struct connect_target t = {};
	__u32 *raddr = (void *)f->raddr;

	if (bpf_probe_read_kernel(&t, SOCKADDR_IN_READ, address))
		return false;
	f->rport = bpf_ntohs(t.port);
	raddr[1] = raddr[2] = raddr[3] = 0;
	f->ip_version = 4;
	if (t.family == AF_INET) {
		raddr[0] = t.addr4;
		return true;
	}
	if (t.family != AF_INET6 || bpf_probe_read_kernel(&t, sizeof(t), address))
		return false;
	if (in6_is_v4mapped(t.addr6)) {
		raddr[0] = t.addr6[3];
		return true;
	}
	__builtin_memcpy(raddr, t.addr6, sizeof(t.addr6));
	f->ip_version = 6;
	return true;
}

static __always_inline int connect_returned(struct sock *sk, const void *address, int ret, __u16 family)
{
	__u64 key = (__u64)sk;
	struct connecting *c, early = {};
	struct rec_flow flow;

	/* tcp_v6_connect calls tcp_v4_connect for a mapped address: one connect, one event. */
	if (ret >= 0 || BPF_CORE_READ(sk, __sk_common.skc_family) != family)
		return 0;
	c = bpf_map_lookup_elem(&connecting, &key);
	if (c && !c->failed)
		return 0;
	if (!c) {
		connect_owner(&early.owner);
		c = &early;
	}
	if (flow_read_ends(&flow, &sk->__sk_common) && connect_read_target(&flow, address) && flow_wanted(&flow))
		connect_emit(&flow, sk, c, CONNECT_IN_CALL, (__u32)-ret, TCP_CLOSE);
	bpf_map_delete_elem(&connecting, &key);
	return 0;
}

SEC("?fexit/tcp_v4_connect")
int rebpf_connect4_out(__u64 *ctx)
{
	return connect_returned((void *)ctx[0], (void *)ctx[1], (int)ctx[3], AF_INET);
}

SEC("?fexit/tcp_v6_connect")
int rebpf_connect6_out(__u64 *ctx)
{
	return connect_returned((void *)ctx[0], (void *)ctx[1], (int)ctx[3], AF_INET6);
}

SEC("?kprobe/tcp_v4_connect")
int rebpf_connect4_kin(struct pt_regs *ctx)
{
	return call_enter(ctx, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
}

SEC("?kprobe/tcp_v6_connect")
int rebpf_connect6_kin(struct pt_regs *ctx)
{
	return call_enter(ctx, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
}

SEC("?kretprobe/tcp_v4_connect")
int rebpf_connect4_kout(struct pt_regs *ctx)
{
	struct call c;

	return call_leave(ctx, &c) ? connect_returned((void *)c.sk, (void *)c.arg, (int)PT_REGS_RC(ctx), AF_INET) : 0;
}

SEC("?kretprobe/tcp_v6_connect")
int rebpf_connect6_kout(struct pt_regs *ctx)
{
	struct call c;

	return call_leave(ctx, &c) ? connect_returned((void *)c.sk, (void *)c.arg, (int)PT_REGS_RC(ctx), AF_INET6) : 0;
}
