/* SPDX-License-Identifier: MIT */
/*
 * --inject: which copy the classifier drops. Only where it is certain that the packet is a retransmission that is under way
 * in this very call, and that the whole filter wants its flow; whatever is in doubt goes on.
 */
#ifndef REBPF_INJECT_BPF_H
#define REBPF_INJECT_BPF_H

#include "rebpf.bpf.h"

#define TC_NEXT (-1) /* TC_ACT_UNSPEC and TCX_NEXT: programs after us still run, nothing is decided */
#define TC_ACT_STOLEN 4

/* The lock makes share and count exact on all CPUs: 5.8-5.11 have no atomic instruction that returns a value. */
struct inject_state {
	struct bpf_spin_lock lock;
	__u32 share; /* of the next drop, in 1/100 percent */
	__u64 dropped;
};

struct map_inject {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct inject_state);
};

/* tcp_sock.total_retrans when a retransmission of a socket was last seen; used without entry hooks. */
struct map_inject_totals {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, REBPF_MAX_RETRANSMITTERS);
	__type(key, __u64); /* address of the socket */
	__type(value, __u32);
};

extern struct map_inject inject_states SEC(".maps");
extern struct map_inject_totals inject_totals SEC(".maps");

/* ---- is it a retransmission? ---- */

static __always_inline __u32 inject_total(__u64 sk)
{
	return BPF_CORE_READ((struct tcp_sock *)sk, total_retrans);
}

/* A call that retransmits has been seen: what this socket sends without counting another one is none. */
static __always_inline void inject_note(__u64 sk)
{
	__u32 total;

	if (!cfg.inject.verdict || cfg.has_entry)
		return;
	total = inject_total(sk);
	bpf_map_update_elem(&inject_totals, &sk, &total, BPF_ANY);
}

static __always_inline void inject_forget(__u64 sk)
{
	if (cfg.inject.verdict && !cfg.has_entry)
		bpf_map_delete_elem(&inject_totals, &sk);
}

/*
 * total_retrans advances before the transmission (__tcp_retransmit_skb): has it, since the call began, or since the last
 * call that was seen? Of a socket older than rebpf that is not known until its next one.
 */
static __always_inline bool inject_is_counted(__u64 sk, const struct inflight *slot)
{
	__u32 total = inject_total(sk), *noted;

	if (cfg.has_entry)
		return total != slot->total_retrans;
	noted = bpf_map_lookup_elem(&inject_totals, &sk);
	if (noted)
		return total != *noted;
	return total && born_read(sk);
}

/*
 * A first copy may come by here late, out of a neighbour's or an upper device's queue, with a sequence number that looks
 * like a retransmission's. It left before TCP last looked at the clock (tcp_mstamp_refresh), or no retransmission has
 * been counted since.
 */
static __always_inline bool inject_is_under_way(struct sk_buff *skb, __u64 sk, const struct inflight *slot)
{
	bool counted = inject_is_counted(sk, slot);

	inject_note(sk);
	return counted && BPF_CORE_READ(skb, skb_mstamp_ns) >= BPF_CORE_READ((struct tcp_sock *)sk, tcp_clock_cache);
}

/* ---- does the filter want it? ---- */

/* One bit per list (enum rule_list): those that have a rule, and those of which one matches at the end they are about. */
static __always_inline bool inject_wants_addresses(const struct rec_flow *f)
{
	const __u32 *laddr = (const void *)f->laddr, *raddr = (const void *)f->raddr;
	__u32 want = 0, got = 0;

	for (__u32 i = 0; i < REBPF_MAX_RULES; i++) {
		const volatile struct addr_rule *r = &cfg.addr[i];

		if (i >= cfg.addr_rules)
			break;
		want |= 1u << (r->list & 3);
		if (r->ip_version != f->ip_version)
			continue;
		if ((r->list != RULE_REMOTE && addr_matches(r, laddr)) || (r->list != RULE_LOCAL && addr_matches(r, raddr)))
			got |= 1u << (r->list & 3);
	}
	return got == want;
}

static __always_inline bool inject_wants_ports(const struct rec_flow *f)
{
	__u32 want = 0, got = 0;

	for (__u32 i = 0; i < REBPF_MAX_RULES; i++) {
		const volatile struct port_rule *r = &cfg.port[i];

		if (i >= cfg.port_rules)
			break;
		want |= 1u << (r->list & 3);
		if ((r->list != RULE_REMOTE && f->lport >= r->low && f->lport <= r->high) ||
		    (r->list != RULE_LOCAL && f->rport >= r->low && f->rport <= r->high))
			got |= 1u << (r->list & 3);
	}
	return got == want;
}

/* An owner that is not known is none of those asked for. */
static __always_inline bool inject_wants_owner(__u64 sk)
{
	struct known_socket *o;

	if (!cfg.inject.pids)
		return true;
	o = bpf_map_lookup_elem(&sockets, &sk);
	for (__u32 i = 0; o && i < REBPF_MAX_INJECT_IDS; i++) {
		if (i >= cfg.inject.pids)
			break;
		if (o->owner.tgid && o->owner.tgid == cfg.inject.pid[i])
			return true;
	}
	return false;
}

static __always_inline bool inject_wants_place(const struct rec_flow *f, struct sock *sk)
{
	bool netns = !cfg.inject.netnses, cgroup = !cfg.inject.cgroups;
	__u64 id = cgroup ? 0 : compat_sk_cgroup_id(sk);

	for (__u32 i = 0; i < REBPF_MAX_INJECT_IDS; i++) {
		if (i >= cfg.inject.netnses)
			break;
		netns |= f->netns == cfg.inject.netns[i];
	}
	for (__u32 i = 0; i < REBPF_MAX_INJECT_IDS; i++) {
		if (i >= cfg.inject.cgroups)
			break;
		cgroup |= id && id == cfg.inject.cgroup[i];
	}
	return netns && cgroup;
}

/* Exactly what filter.c asks of a retransmission's flow, but for what the command line refuses beside --inject. */
static __always_inline bool inject_wants(__u64 sk)
{
	struct rec_flow f;

	if (!flow_read_ends(&f, &((struct sock *)sk)->__sk_common))
		return false;
	if (cfg.ip_version && cfg.ip_version != f.ip_version)
		return false;
	return inject_wants_addresses(&f) && inject_wants_ports(&f) && inject_wants_place(&f, (void *)sk) &&
	       inject_wants_owner(sk);
}

/* ---- the verdict ---- */

/*
 * Is it this one's turn? Of the first n, exactly n * percent / 100, rounded down, are dropped, until there were as many as
 * the user allows.
 */
static __always_inline bool inject_draw(void)
{
	struct inject_state *s;
	__u32 key = 0;
	bool drop = false;

	s = bpf_map_lookup_elem(&inject_states, &key);
	if (!s)
		return false;
	bpf_spin_lock(&s->lock);
	if (!cfg.inject.count || s->dropped < cfg.inject.count) {
		s->share += cfg.inject.share;
		if (s->share >= REBPF_INJECT_WHOLE) {
			s->share -= REBPF_INJECT_WHOLE;
			s->dropped++;
			drop = true;
		}
	}
	bpf_spin_unlock(&s->lock);
	if (drop)
		__sync_fetch_and_add(&cpu_counts()->injected, 1);
	return drop;
}

/* What becomes of a packet in an open slot: decided once, where the copy is first seen. */
static __always_inline int inject_verdict(struct sk_buff *skb, __u64 sk, struct inflight *slot, const struct packet *pkt)
{
	if (!cfg.inject.verdict || slot->judged || slot->hook == RTX_HOOK_SYNACK)
		return TC_NEXT;
	if ((pkt->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == (TCP_FLAG_SYN | TCP_FLAG_ACK))
		return TC_NEXT;
	/* User space ends, is gone, or hangs. */
	if (*(volatile __u32 *)&shared.inject_ended || bpf_ktime_get_ns() - shared.heartbeat_ns > REBPF_INJECT_HEARTBEAT_NS)
		return TC_NEXT;
	if (!inject_is_under_way(skb, sk, slot))
		return TC_NEXT;
	slot->judged = 1;
	if (!inject_wants(sk) || !inject_draw())
		return TC_NEXT;
	slot->injected = 1;
	return cfg.inject.verdict;
}

/*
 * What the classifier returns for it. tcx (tcx_action_code) takes TC_ACT_STOLEN for "go on"; a redirection to a device that
 * there is not, number 0, is freed without TCP being told, by tcx and clsact of every version (skb_do_redirect).
 */
static __always_inline int inject_action(int verdict)
{
	return verdict == TC_ACT_STOLEN ? bpf_redirect(0, 0) : verdict;
}

/* Is this the copy that the classifier has just dropped? For the drop hook. */
static __always_inline bool inject_took(struct sk_buff *skb)
{
	struct inflight *open;
	__u64 key;

	if (!cfg.inject.verdict || !shared.in_flight)
		return false;
	key = (__u64)BPF_CORE_READ(skb, sk);
	open = key ? slot_find(key) : NULL;
	return open && open->injected && open->copy == (__u64)skb && open->stamp_ns == BPF_CORE_READ(skb, skb_mstamp_ns);
}

#endif
