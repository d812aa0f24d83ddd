/* SPDX-License-Identifier: MIT */
/*
 * Every kernel difference that BPF code meets: one accessor each, with the version that made it.
 * Differences of hooks (which tracepoint has which argument) are rows of src/probes.c.
 */
#ifndef REBPF_COMPAT_BPF_H
#define REBPF_COMPAT_BPF_H

/* 5.10 keeps a tagged word in struct sock_cgroup_data; 5.15 (8520e224f547) made it a plain pointer. */
struct sock_cgroup_data___pre_5_15 {
	__u64 val;
} __attribute__((preserve_access_index));

/* Id of the socket's cgroup in the cgroup2 hierarchy, 0 if unknown. */
static __always_inline __u64 compat_sk_cgroup_id(struct sock *sk)
{
	struct cgroup *cgrp;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		cgrp = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	} else {
		struct sock_cgroup_data___pre_5_15 *old = (void *)&sk->sk_cgrp_data;
		__u64 val = BPF_CORE_READ(old, val);

		/* Bit 0: the word holds a cgroup1 classid instead. */
		if (val & 1)
			return 0;
		cgrp = (void *)val;
	}
	return cgrp ? BPF_CORE_READ(cgrp, kn, id) : 0;
}

/* tcp_skb_cb.tcp_flags became 16 bits wide in 6.16 (for AccECN's AE bit). */
struct tcp_skb_cb___pre_6_16 {
	__u8 tcp_flags;
} __attribute__((preserve_access_index));

static __always_inline __u16 compat_tcb_flags(struct tcp_skb_cb *tcb)
{
	if (bpf_core_field_size(tcb->tcp_flags) == 1)
		return BPF_CORE_READ((struct tcp_skb_cb___pre_6_16 *)tcb, tcp_flags);
	return BPF_CORE_READ(tcb, tcp_flags);
}

/* Inode of the socket's file, 0 for an orphan. (sk_ino of 6.16 says the same; this works everywhere.) */
static __always_inline __u64 compat_sk_ino(struct sock *sk)
{
	struct socket *socket = BPF_CORE_READ(sk, sk_socket);
	struct socket_alloc *alloc;

	if (!socket)
		return 0;
	alloc = (void *)socket - bpf_core_field_offset(struct socket_alloc, socket);
	return BPF_CORE_READ(alloc, vfs_inode.i_ino);
}

/* sk_drops left struct sock for a pointer to per-node counters in 6.18 where it is contended; absent there: 0. */
static __always_inline __u32 compat_sk_drops(struct sock *sk)
{
	return bpf_core_field_exists(sk->sk_drops) ? BPF_CORE_READ(sk, sk_drops.counter) : 0;
}

#endif
