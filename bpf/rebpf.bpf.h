/* SPDX-License-Identifier: MIT */
/*
 * What the BPF programs share: maps, emission, the flow filter, readers of sockets and buffers.
 * Programs are __always_inline code over these; the only state between hooks is the in-flight slot.
 */
#ifndef REBPF_BPF_H
#define REBPF_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "config.h"

extern const volatile struct config cfg;
extern struct shared shared;

#include "compat.bpf.h"
#include "ring.bpf.h"

static __always_inline struct cpu_counts *cpu_counts(void)
{
	return &shared.cpu[bpf_get_smp_processor_id() & (REBPF_MAX_CPUS - 1)];
}

#include "slot.bpf.h"

#define AF_INET 2
#define AF_INET6 10
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define EBUSY 16

/* What has been learnt of a socket: one look for both when it matters, for such a look is the dearest of a record. */
struct known_socket {
	struct rec_owner owner; /* tgid 0: not known */
	__u64 born_ns;          /* when the connection began, 0: not seen */
	__u32 noted;            /* when, among the retransmitters: shifted, REBPF_NOTED_SHIFT; 0: not */
	__u32 undo_marker;      /* with this */
};

struct map_sockets {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, REBPF_MAX_SOCKETS);
	__type(key, __u64); /* address of the socket */
	__type(value, struct known_socket);
};

/* A socket as it last retransmitted. */
struct retransmitter {
	__u64 noted_ns;
	__u32 dsack_dups; /* as last looked at */
	__u32 undo_marker;
};

struct map_retransmitters {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, REBPF_MAX_RETRANSMITTERS);
	__type(key, __u64); /* address of the socket */
	__type(value, struct retransmitter);
};

/* An active open that has not ended yet. */
struct connecting {
	__u64 begin_ns;
	__u64 syn_ns;  /* when TCP came to sending it, 0: not yet, or no hook sees it */
	__u32 snd_nxt; /* from before: of an earlier connection of this socket */
	__u8 failed;   /* within connect(), whose return is awaited */
	__u8 zero[3];
	struct rec_owner owner;
};

struct map_connecting {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REBPF_MAX_CONNECTING);
	__type(key, __u64); /* address of the socket */
	__type(value, struct connecting);
};

struct map_lost {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, REBPF_MAX_LOST);
	__type(key, struct lost_key);
	__type(value, struct lost_count);
};

extern struct map_lost lost SEC(".maps");
extern struct map_sockets sockets SEC(".maps");
extern struct map_retransmitters retransmitters SEC(".maps");
extern struct map_connecting connecting SEC(".maps");

/* ---- emission ---- */

static __always_inline void emit_lost(enum record_ring ring, __u32 bucket)
{
	if (bucket > REBPF_BUCKET_NONE)
		bucket = REBPF_BUCKET_ANY;
	/* In this order: who sees the sum has risen finds the bucket risen. */
	__sync_fetch_and_add(&shared.lost_bucket[ring][bucket], 1);
	__sync_fetch_and_add(&cpu_counts()->lost[ring], 1);
}

/*
 * An event was lost: so that counts by sort stay exact. The entry is made first and added to afterwards: another CPU may
 * make it meanwhile. In a full map it counts for what is left of @key (lost_key_rest), an entry made by user space.
 */
static __always_inline void count_lost(struct lost_key *key, __u32 segs)
{
	struct lost_count *c = bpf_map_lookup_elem(&lost, key), none = {};

	if (!c) {
		bpf_map_update_elem(&lost, key, &none, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&lost, key);
	}
	if (!c) {
		lost_key_rest(key);
		c = bpf_map_lookup_elem(&lost, key);
	}
	if (!c)
		return;
	__sync_fetch_and_add(&c->events, 1);
	/* verifier: an addition of a constant 0 would become an atomic OR, which 5.8-5.11 do not know. */
	if (segs)
		__sync_fetch_and_add(&c->segs, segs);
}

/* A record of @size bytes on @ring with its header filled, or NULL: then the caller counts the loss (emit_lost). */
static __always_inline void *emit_try(enum record_ring ring, __u8 kind, __u16 size)
{
	struct cpu_counts *cc = cpu_counts();
	struct rec_header *h;

	/* Before it is reserved: an atomic addition waits until the stores before it are done, and a ring's memory is cold. */
	__sync_fetch_and_add(&cc->produced[kind], 1);
	h = ring_reserve(ring, size);
	if (!h)
		return NULL;
	h->ts_ns = bpf_ktime_get_ns();
	h->lost = cc->lost[ring];
	h->size = size;
	h->kind = kind;
	h->zero = 0;
	h->cpu = (__u16)bpf_get_smp_processor_id();
	h->zero2 = 0;
	return h;
}

/* The same on the control ring; a loss counts for the bucket of the flow that @sk is the identity of. */
static __always_inline void *emit_control(__u8 kind, __u16 size, __u64 sk)
{
	void *h = emit_try(RING_CONTROL, kind, size);
	__u64 id = 0;

	if (h)
		return h;
	/* verifier: no arithmetic on a pointer; a copy by helper is a plain number. */
	bpf_probe_read_kernel(&id, sizeof(id), &sk);
	emit_lost(RING_CONTROL, flow_bucket(id) & (REBPF_FLOW_BUCKETS - 1));
	/* These are an event each; of attempts and drops, others count. */
	if (kind == REC_CONNECT || kind == REC_SPURIOUS) {
		struct lost_key key = { .kind = kind };

		count_lost(&key, 0);
	}
	return NULL;
}

#define EMIT_CONTROL(type, kind, sk) \
	((struct type *)emit_control(kind, sizeof(struct type), sk))

/* Wakes the consumer: by nothing, for what there is to read has been submitted. */
static __noinline int emit_wake(void)
{
	void *nothing = bpf_ringbuf_reserve(&ring_wake, 8, 0);

	if (!nothing)
		return 0;
	*(volatile __u32 *)&shared.asleep = 0;
	__sync_fetch_and_add(&cpu_counts()->wakeups, 1);
	bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/*
 * Submits a record and wakes the consumer only if it sleeps: a wake-up is an interrupt on this CPU. The consumer sets the
 * word and then looks whether anything has been reserved. A full barrier lies between that and reading the word here: the
 * addition that reserves, or the exchange that bpf_ringbuf_submit() ends with (bpf_ringbuf_commit(), kernel/bpf/ringbuf.c).
 */
static __always_inline void emit_submit(void *rec)
{
	ring_submit(rec);
	if (*(volatile __u32 *)&shared.asleep)
		emit_wake();
}

/* ---- sequence numbers ---- */

static __always_inline bool seq_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

static __always_inline bool seq_within(__u32 seq, __u32 start, __u32 end)
{
	return !seq_before(seq, start) && seq_before(seq, end);
}

/* ---- sockets ---- */

/* sk_state of mini sockets, include/net/tcp_states.h */
static __always_inline bool sk_is_full(__u8 state)
{
	return state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV;
}

static __always_inline bool in6_is_v4mapped(const __u32 *a)
{
	return a[0] == 0 && a[1] == 0 && a[2] == bpf_htonl(0xffff);
}

/*
 * Fills the two ends of a full socket or a request socket (both start with struct sock_common).
 * False if it is neither IPv4 nor IPv6.
 */
static __always_inline bool flow_read_ends(struct rec_flow *f, struct sock_common *skc)
{
	__u32 *laddr = (void *)f->laddr, *raddr = (void *)f->raddr;
	const bool typed = HAS_CAST;
	__u32 local, remote;
	struct net *net;
	__u16 family;

	f->sk = (__u64)skc;
	skc = CAST(skc);
	family = FIELD(typed, skc, skc_family);
	f->lport = FIELD(typed, skc, skc_num);
	f->rport = bpf_ntohs(FIELD(typed, skc, skc_dport));
	f->state = FIELD(typed, skc, skc_state);
	f->zero = 0;
	f->cookie = FIELD(typed, skc, skc_cookie.counter);
	net = FIELD(typed, skc, skc_net.net);
	f->netns = FIELD(typed, net, ns.inum);
	if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&f->laddr, skc, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&f->raddr, skc, skc_v6_daddr);
		f->ip_version = 6;
		if (!in6_is_v4mapped(raddr))
			return true;
		laddr[0] = laddr[3];
		raddr[0] = raddr[3];
	} else if (family == AF_INET) {
		local = FIELD(typed, skc, skc_rcv_saddr);
		remote = FIELD(typed, skc, skc_daddr);
		/* verifier: else one load is made for here and for the mapped address above, of two kinds of pointers. */
		barrier_var(local);
		barrier_var(remote);
		laddr[0] = local;
		raddr[0] = remote;
	} else {
		return false;
	}
	f->ip_version = 4;
	laddr[1] = laddr[2] = laddr[3] = 0;
	raddr[1] = raddr[2] = raddr[3] = 0;
	return true;
}

/* The rest of struct rec_flow, from the full socket that owns it (the listener for a request). */
static __always_inline void flow_read_identity(struct rec_flow *f, struct sock *sk)
{
	const bool typed = HAS_CAST;

	f->cgroup = compat_sk_cgroup_id(sk);
	f->ino = compat_sk_ino(sk);
	sk = CAST(sk);
	f->uid = FIELD(typed, sk, sk_uid.val);
}

/*
 * verifier: it knows nothing of @v after this, which has not changed; @unknown: any number that it does not know. States that
 * differ in what is known of @v become one, and what follows is looked at once.
 */
#define FORGET(v, unknown)                                                        \
	do {                                                                      \
		__u64 v_ = (v);                                                   \
                                                                                  \
		asm volatile("%0 ^= %1; %0 ^= %1" : "+&r"(v_) : "r"((__u64)(unknown))); \
		(v) = v_;                                                         \
	} while (0)

/*
 * 1 or 0 by arithmetic. Of a branch for each rule the verifier follows both ways for all that comes after; it has to, and the
 * compiler must not make branches of this again.
 */
static __always_inline __u64 is_zero(__u64 value32)
{
	asm volatile("" : "+r"(value32));
	return (value32 - 1) >> 63;
}

static __always_inline __u64 is_within(__u64 value32, __u64 low, __u64 high)
{
	__u64 outside = (value32 - low) | (high - value32);

	asm volatile("" : "+r"(outside));
	return ~outside >> 63;
}

static __always_inline __u64 addr_matches(const volatile struct addr_rule *r, const __u32 *a)
{
	return is_zero(((a[0] ^ r->addr[0]) & r->mask[0]) | ((a[1] ^ r->addr[1]) & r->mask[1]) |
		       ((a[2] ^ r->addr[2]) & r->mask[2]) | ((a[3] ^ r->addr[3]) & r->mask[3]));
}

/* Did the user name any address, port or family? */
static __always_inline bool is_filtered(void)
{
	return cfg.ip_version || cfg.addr_rules || cfg.port_rules;
}

/*
 * Could the user want this flow? Either end may match any rule: user space decides directions. Only address,
 * port and family narrow what is captured; every other filter is about printing, never about evidence.
 */
static __always_inline bool ends_wanted(const __u32 *laddr, const __u32 *raddr, __u16 lport, __u16 rport,
					__u8 ip_version)
{
	__u64 want = 0, got = 0;

	if (cfg.ip_version && cfg.ip_version != ip_version)
		return false;
	if (!cfg.addr_rules && !cfg.port_rules)
		return true;
	for (__u32 i = 0; i < REBPF_MAX_RULES; i++) {
		const volatile struct addr_rule *r = &cfg.addr[i];

		if (i >= cfg.addr_rules)
			break;
		want |= 1u << (r->list & 3);
		got |= (is_zero(r->ip_version ^ ip_version) & (addr_matches(r, laddr) | addr_matches(r, raddr))) << (r->list & 3);
	}
	for (__u32 i = 0; i < REBPF_MAX_RULES; i++) {
		const volatile struct port_rule *r = &cfg.port[i];

		if (i >= cfg.port_rules)
			break;
		want |= 16u << (r->list & 3);
		got |= 16 * (is_within(lport, r->low, r->high) | is_within(rport, r->low, r->high)) << (r->list & 3);
	}
	return got == want;
}

static __always_inline bool flow_wanted(const struct rec_flow *f)
{
	return ends_wanted((const void *)f->laddr, (const void *)f->raddr, f->lport, f->rport, f->ip_version);
}

static __always_inline bool tuple_wanted(const struct rec_tuple *t)
{
	return ends_wanted((const void *)t->saddr, (const void *)t->daddr, t->sport, t->dport, t->ip_version);
}

static __always_inline void owner_read(struct rec_owner *o, __u64 sk)
{
	struct known_socket *known = bpf_map_lookup_elem(&sockets, &sk);

	if (known)
		*o = known->owner;
	else
		__builtin_memset(o, 0, sizeof(*o));
}

static __always_inline __u64 born_read(__u64 sk)
{
	struct known_socket *known = bpf_map_lookup_elem(&sockets, &sk);

	return known ? known->born_ns : 0;
}

/* A name of 16 bytes. What follows the NUL is not looked at. */
static __always_inline void words_read(char *to, const char *from, bool typed)
{
	if (!typed) {
		bpf_probe_read_kernel(to, 16, from);
		return;
	}
	((__u64 *)to)[0] = ((const __u64 *)from)[0];
	((__u64 *)to)[1] = ((const __u64 *)from)[1];
}

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

static __always_inline bool task_is_kernel_thread(void)
{
	struct task_struct *task = CAST((struct task_struct *)bpf_get_current_task());

	return FIELD(HAS_CAST, task, flags) & PF_KTHREAD;
}

static __always_inline void owner_from_current(struct rec_owner *o)
{
	struct task_struct *task = CAST((struct task_struct *)bpf_get_current_task());

	o->zero = 0;
	if (HAS_CAST) {
		o->tgid = task->tgid;
		words_read(o->comm, task->comm, true);
		return;
	}
	o->tgid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(o->comm, sizeof(o->comm));
}

/* ---- buffers ---- */

static __always_inline struct tcp_skb_cb *skb_tcb(struct sk_buff *skb)
{
	return (void *)skb + bpf_core_field_offset(struct sk_buff, cb);
}

static __always_inline struct sock *skb_sk(struct sk_buff *skb)
{
	skb = CAST(skb);
	return FIELD(HAS_CAST, skb, sk);
}

static __always_inline struct net_device *skb_dev(struct sk_buff *skb)
{
	skb = CAST(skb);
	return FIELD(HAS_CAST, skb, dev);
}

static __always_inline __u64 skb_stamp(struct sk_buff *skb)
{
	skb = CAST(skb);
	return FIELD(HAS_CAST, skb, skb_mstamp_ns);
}

/*
 * The segment of the retransmit queue that holds @seq, or NULL. The queue is a red-black tree
 * (tcp_rtx_queue, 4.15), so 40 steps are enough for any queue that memory can hold.
 */
static __always_inline struct sk_buff *rtx_queue_find(struct sock *sk, __u32 seq)
{
	const bool typed = HAS_CAST;
	struct rb_node *node;

	sk = CAST(sk);
	node = FIELD(typed, sk, tcp_rtx_queue.rb_node);
	for (int i = 0; i < 40; i++) {
		struct tcp_skb_cb *tcb;
		struct sk_buff *skb;

		if (!node)
			break;
		skb = (void *)node - bpf_core_field_offset(struct sk_buff, rbnode);
		tcb = CAST(skb_tcb(skb));
		node = CAST(node);
		if (seq_before(seq, FIELD(typed, tcb, seq)))
			node = FIELD(typed, node, rb_left);
		else if (!seq_before(seq, FIELD(typed, tcb, end_seq)))
			node = FIELD(typed, node, rb_right);
		else
			return skb;
	}
	return NULL;
}

/*
 * The buffer of the retransmit queue that @skb, which begins at @seq, is a copy of, or NULL. Mostly it lies beside it, without a
 * walk over cold memory: TCP's buffers are allocated in pairs, the second for a copy (struct sk_buff_fclones; __skb_clone()).
 * While both are in use the first is in the queue; it may hold another range by now.
 */
static __always_inline struct sk_buff *skb_original(struct sock *sk, struct sk_buff *skb, __u32 seq)
{
	struct sk_buff_fclones *pair = (void *)skb - bpf_core_field_offset(struct sk_buff_fclones, skb2);
	const bool typed = HAS_CAST;
	struct tcp_skb_cb *tcb;

	skb = CAST(skb);
	if (BITFIELD(typed, skb, fclone) != SKB_FCLONE_CLONE)
		return rtx_queue_find(sk, seq);
	tcb = CAST(skb_tcb(&pair->skb1));
	pair = CAST(pair);
	if (FIELD(typed, pair, fclone_ref.refs.counter) < 2 || !seq_within(seq, FIELD(typed, tcb, seq), FIELD(typed, tcb, end_seq)))
		return rtx_queue_find(sk, seq);
	return &pair->skb1;
}

/* The TCP header of a packet on its way out, as far as rebpf reads it. */
struct packet {
	__u32 seq;
	__u32 end_seq;
	__u32 tsval;
	__u16 ip_id;
	__u8 flags;
};

#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_RST 0x04
#define TCP_FLAG_ACK 0x10

/* TSval, where the timestamp option stands first as Linux writes it (NOP NOP TS, or MSS SACK TS on a SYN). */
static __always_inline __u32 packet_tsval(const unsigned char *opt, __u32 len)
{
	if (len >= 12 && opt[0] == 1 && opt[1] == 1 && opt[2] == 8)
		return bpf_ntohl(*(__u32 *)(opt + 4));
	if (len >= 16 && opt[0] == 2 && opt[6] == 8)
		return bpf_ntohl(*(__u32 *)(opt + 8));
	return 0;
}

/*
 * Reads the innermost TCP header of a locally generated buffer by the offsets that the stack keeps in it.
 * False if there is none: offsets unset, another protocol, or (a tunnel's outer packet) not TCP at all.
 */
static __always_inline bool packet_read(struct packet *p, struct sk_buff *skb)
{
	const bool typed = HAS_CAST;
	unsigned char *head;
	struct {
		__u8 ip[20];
		__u8 tcp[20];
		__u8 opt[20];
	} b;
	__u32 nh, th, doff, end;
	const __u8 *ip = b.ip;
	long err;

	skb = CAST(skb);
	head = FIELD(typed, skb, head);
	nh = FIELD(typed, skb, network_header);
	th = FIELD(typed, skb, transport_header);
	if (!head || th <= nh || th == 0xffff)
		return false;
	/* All in one read, where it lies together: the calls are what it costs. */
	if (th == nh + sizeof(b.ip))
		err = bpf_probe_read_kernel(&b, sizeof(b), head + nh);
	else
		err = bpf_probe_read_kernel(b.ip, 12, head + nh) || bpf_probe_read_kernel(b.tcp, sizeof(b.tcp) + sizeof(b.opt), head + th);
	if (err)
		return false;
	p->ip_id = 0;
	if (ip[0] >> 4 == 4) {
		if (ip[9] != IPPROTO_TCP)
			return false;
		p->ip_id = ((__u16)ip[4] << 8) | ip[5];
	} else if (ip[0] >> 4 == 6) {
		/* 0, 43, 44, 60: extension headers that a sender's socket may put before TCP */
		if (ip[6] != IPPROTO_TCP && ip[6] != 0 && ip[6] != 43 && ip[6] != 44 && ip[6] != 60)
			return false;
	} else {
		return false;
	}
	doff = (b.tcp[12] >> 4) * 4;
	if (doff < 20)
		return false;
	p->flags = b.tcp[13];
	p->seq = bpf_ntohl(*(__u32 *)(b.tcp + 4));
	p->tsval = packet_tsval(b.opt, doff - 20);
	/* skb->len counts from skb->data, wherever the stack has moved it (MAC, IP or TCP header). */
	end = (__u32)(FIELD(typed, skb, data) - head) + FIELD(typed, skb, len);
	if (end < th + doff)
		return false;
	p->end_seq = p->seq + (end - th - doff) + !!(p->flags & TCP_FLAG_SYN) + !!(p->flags & TCP_FLAG_FIN);
	return true;
}

/* Where a copy is seen, and which. */
static __always_inline void copy_read(struct rec_copy *c, __u64 sk, __u64 p, struct sk_buff *skb,
				      const struct packet *pkt)
{
	const bool typed = HAS_CAST;
	struct net_device *dev;
	struct tcp_skb_cb *tcb;
	struct net *net;

	c->sk = sk;
	c->skb = p;
	c->copy = (__u64)skb;
	skb = CAST(skb);
	dev = FIELD(typed, skb, dev);
	c->stamp_ns = FIELD(typed, skb, skb_mstamp_ns);
	c->seq = pkt->seq;
	c->end_seq = pkt->end_seq;
	c->tsval = pkt->tsval;
	c->ip_id = pkt->ip_id;
	tcb = CAST(skb_tcb((struct sk_buff *)p));
	c->sacked = p ? FIELD(typed, tcb, sacked) : 0;
	c->prior_queued = 0;
	__builtin_memset(c->ifname, 0, sizeof(c->ifname));
	if (dev) {
		net = FIELD(typed, dev, nd_net.net);
		c->netns = FIELD(typed, net, ns.inum);
		c->ifindex = FIELD(typed, dev, ifindex);
		words_read(c->ifname, dev->name, typed);
	} else {
		c->netns = 0;
		c->ifindex = 0;
	}
}

#endif
