// SPDX-License-Identifier: MIT
/*
 * skb:kfree_skb: the fate of a copy whose attempt is under way (RTX_DROP, control ring), and every TCP packet that is
 * freed as a drop anywhere on this host (DROP, drops ring): the evidence of where a lost copy was lost.
 */
#include "rebpf.bpf.h"
#include "inject.bpf.h"
#include "packet.bpf.h"

static __always_inline bool skb_came_to_device(struct sk_buff *skb)
{
	return BPF_CORE_READ(skb, mac_header) != 0xffff;
}

static __always_inline void copy_emit(__u64 *ctx, struct sk_buff *skb, __u64 sk, __u64 p, const struct inflight *slot,
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
	p = skb_original(sk, skb, pkt.seq);
	if (p)
		copy_emit(ctx, skb, (__u64)sk, (__u64)p, NULL, &pkt);
}

/* The part of the hook that is about copies under way. Like drop_record() on a stack frame of its own, of 512 bytes. */
static __noinline int drop_of_copy(__u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct packet pkt = {};
	struct inflight *open;
	struct sock *sk;
	__u64 key;

	sk = skb->sk;
	if (!sk)
		return 0;
	key = (__u64)sk;
	open = slot_find(key);
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
	copy_emit(ctx, skb, key, open->skb, open, &pkt);
	return 0;
}

/* ---- every drop ---- */

/*
 * Does the location lie in a function that only frees for its caller? Without a branch for each: the verifier would follow all
 * that comes after once for each of them.
 */
static __always_inline bool in_wrapper(__u64 location)
{
	__u64 in = 0;

	for (__u32 i = 0; i < REBPF_MAX_WRAPPERS; i++) {
		if (!cfg.wrapper[i].end)
			break;
		in |= ~((location - cfg.wrapper[i].start) | (cfg.wrapper[i].end - location)) >> 63;
	}
	return in;
}

/*
 * @dev, @sender: of the buffer, read once. For each place that reads a pointer of a trusted structure, and each way to it, the
 * verifier searches all of BTF (btf_nested_type_is_trusted, 6.3).
 */
struct dropped {
	struct sk_buff *skb;
	struct net_device *dev;
	struct sock *sender;
	struct sock *sk;
	__u64 location;
	__u32 reason;
	bool tcp;
	bool is_receiver; /* the kernel says that it was for @sk */
	bool in_wrapper;  /* who decided, only the stack tells */
};

/*
 * Where it was. TCP takes the device from what it receives, and uses the pointer's place for its queues (skb->rbnode): of
 * a buffer of a receiving socket it is believed only if it is the device by which the packet came. User space knows names.
 */
static __always_inline void drop_read_device(struct rec_drop *d, const struct dropped *x, struct sock *sk, bool received)
{
	struct net_device *dev = x->dev;
	__u32 iif = x->skb->skb_iif;

	__builtin_memset(d->ifname, 0, sizeof(d->ifname));
	d->netns = 0;
	d->ifindex = dev ? dev->ifindex : 0;
	if (received && d->ifindex != iif)
		d->ifindex = iif;
	else if (d->ifindex) {
		d->netns = dev->nd_net.net->ns.inum;
		words_read(d->ifname, dev->name, true);
	}
	/* verifier: by helper, for a load of a pointer from what it trusts is a search of all of BTF (see struct dropped). */
	if (!d->netns && sk)
		d->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* The socket that the packet is from or for: @sk, or the listener of a request; NULL: none that could say anything. */
static __always_inline struct sock *drop_socket(struct sock *sk)
{
	const bool typed = HAS_CAST;
	struct sock *any;
	__u8 state;

	if (!sk)
		return NULL;
	any = CAST(sk);
	state = FIELD(typed, any, __sk_common.skc_state);
	if (state == TCP_NEW_SYN_RECV)
		return FIELD(typed, any, __sk_common.skc_listener);
	return sk_is_full(state) ? sk : NULL;
}

/* Did this socket send the packet? On the way out it has not been received, of which skb_iif is the mark. */
static __always_inline bool is_sender(const struct rec_drop *d, struct sk_buff *skb, struct sock *sk)
{
	struct rec_flow flow;

	if (!skb->skb_iif)
		return true;
	if (!flow_read_ends(&flow, &sk->__sk_common))
		return false;
	/* Delivered within this host, the buffer may still be its sender's, or already its receiver's. */
	return flow.lport == d->t.sport && flow.rport == d->t.dport &&
	       *(__u64 *)flow.laddr == *(__u64 *)d->t.saddr && *(__u64 *)(flow.laddr + 8) == *(__u64 *)(d->t.saddr + 8);
}

static __always_inline void drop_read_socket(struct rec_drop *d, const struct dropped *x)
{
	struct sock *full = drop_socket(x->sk), *sk;
	const bool typed = HAS_CAST;
	__u16 family;

	d->sk = 0;
	d->cgroup = 0;
	d->ino = 0;
	d->uid = 0;
	d->state = 0;
	d->received = 0;
	d->zero = 0;
	__builtin_memset(&d->owner, 0, sizeof(d->owner));
	if (!full)
		return;
	full = CAST(full);
	family = FIELD(typed, full, __sk_common.skc_family);
	/* Packet and control sockets also own buffers. */
	if (family != AF_INET && family != AF_INET6)
		return;
	d->sk = (__u64)x->sk;
	d->cgroup = compat_sk_cgroup_id(full);
	d->ino = compat_sk_ino(full);
	d->uid = FIELD(typed, full, sk_uid.val);
	sk = CAST(x->sk);
	d->state = FIELD(typed, sk, __sk_common.skc_state);
	d->received = x->is_receiver || !is_sender(d, x->skb, x->sk);
	owner_read(&d->owner, (__u64)full);
}

/* What tells copies of one segment apart on their way out, and whether TCP will hear of the drop. */
static __always_inline void drop_read_sending(struct rec_drop *d, const struct dropped *x)
{
	struct sk_buff *skb = x->skb;
	struct sock *sk = x->sender;
	struct net_device *dev = x->dev;
	__u8 state;

	__builtin_memset(d->qdisc, 0, sizeof(d->qdisc));
	d->stamp_ns = 0;
	d->bits = 0;
	d->zero2 = 0;
	/* Once received, by veth's peer say, the buffer may still be its sender's. */
	if (!sk || d->received || !d->sk || skb->skb_iif)
		return;
	d->stamp_ns = skb->skb_mstamp_ns;
	state = sk->__sk_common.skc_state;
	if (!sk_is_full(state) || state == TCP_SYN_SENT ||
	    BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) != IPPROTO_TCP || d->seq == d->end_seq ||
	    seq_before(d->seq, BPF_CORE_READ((struct tcp_sock *)sk, snd_nxt)))
		return;
	d->bits = DROP_BIT_UNSENT;
	if (d->ifindex)
		bpf_probe_read_kernel(d->qdisc, sizeof(d->qdisc), BPF_CORE_READ(dev, qdisc, ops, id));
}

/* What every record has, @bare or not. */
static __always_inline void drop_fill(struct rec_drop *d, const struct dropped *x, const struct layer3 *l3, bool bare)
{
	d->location = x->location;
	d->skb = (__u64)x->skb;
	d->reason = x->reason;
	d->t = l3->t;
	d->len = l3->end > l3->nh ? l3->end - l3->nh : 0;
	d->ip_id = l3->ip_id;
	d->source = !bare && inject_took(x->skb) ? DROP_SOURCE_INJECT : DROP_SOURCE_KFREE;
	segment_read(d, l3, x->tcp, bare);
	owner_from_current(&d->task);
	if (bare) {
		drop_read_device(d, x, NULL, false);
		return;
	}
	drop_read_socket(d, x);
	drop_read_device(d, x, x->sk, d->received);
	drop_read_sending(d, x);
}

/* A record of the packet, of the size that what there is to say needs. False: the ring had no room. */
static __always_inline bool drop_emit(__u64 *ctx, const struct dropped *x, const struct layer3 *l3,
				      const struct translated *nat)
{
	bool stack = cfg.drop_stack || x->in_wrapper;
	struct rec_drop *d;

	if (stack || nat->ct) {
		d = emit_try(RING_DROPS, REC_DROP, sizeof(*d));
		if (!d)
			return false;
		drop_fill(d, x, l3, false);
		__builtin_memset(d->nat, 0, sizeof(d->nat));
		if (nat->ct)
			translated_tuples(d->nat, nat);
		__builtin_memset(d->stack, 0, sizeof(d->stack));
		if (stack)
			bpf_get_stack(ctx, d->stack, sizeof(d->stack), 0);
	} else if (x->sk || segment_may_sack(l3)) {
		d = emit_try(RING_DROPS, REC_DROP, REC_DROP_SHORT_SIZE);
		if (!d)
			return false;
		drop_fill(d, x, l3, false);
	} else {
		d = emit_try(RING_DROPS, REC_DROP, REC_DROP_BARE_SIZE);
		if (!d)
			return false;
		drop_fill(d, x, l3, true);
	}
	emit_submit(d);
	return true;
}

/* By its place, unless only the stack would tell. */
static __always_inline void count_lost_drop(const struct dropped *x)
{
	struct lost_key key = { .kind = REC_DROP, .location = x->location, .reason = x->reason, .tcp = x->tcp };

	if (x->in_wrapper)
		key.location = 0;
	count_lost(&key, 0);
}

static __always_inline bool is_nat_possible(void)
{
	return cfg.nat_possible && shared.translates;
}

/* A lost record may have been of any flow whose addresses it could not tell, or of one with other addresses elsewhere. */
static __always_inline void drop_lost(const struct layer3 *l3, const struct translated *nat, bool tcp)
{
	if (!tcp)
		emit_lost(RING_DROPS, REBPF_BUCKET_NONE);
	else if (!l3->t.ip_version || nat->ct || (is_nat_possible() && !nat->tracked))
		emit_lost(RING_DROPS, REBPF_BUCKET_ANY);
	else
		emit_lost(RING_DROPS, tuple_bucket(&l3->t));
}

/* EVIDENCE: for causes only, its own addresses are not among those asked for. */
enum drop_wanted { DROP_UNWANTED, DROP_EVIDENCE, DROP_WANTED };

static __always_inline enum drop_wanted drop_wanted(const struct layer3 *l3, const struct translated *nat)
{
	struct rec_tuple t[2];

	if (!is_filtered())
		return DROP_WANTED;
	__builtin_memset(t, 0, sizeof(t));
	if (!l3->t.ip_version)
		return DROP_EVIDENCE;
	if (tuple_wanted(&l3->t))
		return DROP_WANTED;
	if (nat->ct) {
		translated_tuples(t, nat);
		if (tuple_wanted(&t[0]) || tuple_wanted(&t[1]))
			return DROP_EVIDENCE;
	}
	/* Another namespace may have translated it. */
	return is_nat_possible() && !nat->tracked ? DROP_EVIDENCE : DROP_UNWANTED;
}

/* No record: with -o count what it counts is what the user asked for. */
static __always_inline void drop_count(bool wanted)
{
	if (wanted || !cfg.drop_count_only)
		__sync_fetch_and_add(&cpu_counts()->drops_unrecorded, 1);
}

/*
 * Is this one of the packets that are only counted? A first look, before more is read of it: TCP over IPv4 without IP options,
 * and not translated. Counted, if so.
 */
static __always_inline bool drop_is_counted(struct sk_buff *skb)
{
	__u32 nh, saddr[4] = {}, daddr[4] = {};
	bool wanted;
	__u8 h[24] __attribute__((aligned(8)));

	if (!cfg.drop_count_only && !is_filtered())
		return false;
	nh = skb->network_header;
	if (skb->protocol != bpf_htons(ETH_P_IP) || nh == 0xffff || nh + sizeof(h) > skb->tail ||
	    (bpf_core_field_exists(skb->_nfct) && skb->_nfct) || bpf_probe_read_kernel(h, sizeof(h), skb->head + nh) ||
	    h[0] != 0x45 || h[9] != IPPROTO_TCP || h[6] & 0x1f || h[7])
		return false;
	saddr[0] = *(__u32 *)(h + 12);
	daddr[0] = *(__u32 *)(h + 16);
	wanted = ends_wanted(saddr, daddr, bpf_ntohs(*(__u16 *)(h + 20)), bpf_ntohs(*(__u16 *)(h + 22)), 4);
	if (!cfg.drop_count_only && (wanted || is_nat_possible()))
		return false;
	drop_count(wanted);
	return true;
}

static __noinline int drop_record(__u64 *ctx, struct dropped *x)
{
	struct translated nat = {};
	struct layer3 l3 = {};
	enum drop_wanted wanted;

	layer3_open_typed(&l3, x->skb);
	layer3_parse(&l3, x->sk);
	layer3_forget(&l3, x->skb->len);
	x->tcp = l3.t.protocol == IPPROTO_TCP;
	if (!x->tcp && !cfg.all_protocols)
		return 0;
	translated_read(&nat, x->skb);
	wanted = drop_wanted(&l3, &nat);
	if (wanted == DROP_UNWANTED || cfg.drop_count_only) {
		if (x->tcp)
			drop_count(wanted == DROP_WANTED);
		return 0;
	}
	if (!x->tcp)
		__sync_fetch_and_add(&cpu_counts()->drops_foreign, 1);
	if (drop_emit(ctx, x, &l3, &nat))
		return 0;
	drop_lost(&l3, &nat, x->tcp);
	if (wanted == DROP_WANTED)
		count_lost_drop(x);
	return 0;
}

SEC("?tp_btf/kfree_skb")
int rebpf_drop(__u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct dropped x = { .skb = skb, .location = ctx[1], .sender = skb->sk };

	if (x.sender && (!cfg.has_entry || shared.in_flight))
		drop_of_copy(ctx);
	if (drop_is_counted(skb))
		return 0;
	x.dev = skb->dev;
	x.in_wrapper = in_wrapper(x.location);
	if (cfg.drop_has_reason)
		x.reason = (__u32)ctx[2];
	/* verifier: copied by helper they are plain numbers; of pointers each sort would go its own way through all that follows. */
	if (cfg.drop_has_rx_sk && ctx[3]) {
		x.is_receiver = true;
		bpf_probe_read_kernel(&x.sk, sizeof(x.sk), &ctx[3]);
	} else if (x.sender) {
		bpf_probe_read_kernel(&x.sk, sizeof(x.sk), &skb->sk);
	}
	FORGET(x.is_receiver, skb->len);
	drop_record(ctx, &x);
	return 0;
}
