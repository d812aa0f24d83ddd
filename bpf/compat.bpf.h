/* SPDX-License-Identifier: MIT */
/*
 * Every kernel difference that BPF code meets: one accessor each, with the version that made it.
 * Differences of hooks (which tracepoint has which argument) are rows of src/probes.c.
 */
#ifndef REBPF_COMPAT_BPF_H
#define REBPF_COMPAT_BPF_H

/*
 * Reading of the kernel's structures. With bpf_rdonly_cast() (6.2, a35b9af4ec2c) the verifier knows of any address what it is
 * said to point to, and reads of it are loads, which survive a wrong address, instead of calls of bpf_probe_read_kernel().
 * There are two objects, with it (REBPF_CAST) and without: 5.13-5.15 refuse a call of a function that they have not got even
 * where no way leads to it (a5d827275241, 5.16).
 */
#ifdef REBPF_CAST
#define HAS_CAST true
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;

/* @ptr as FIELD(HAS_CAST, ...) wants it. */
#define CAST(ptr) ((typeof(ptr))bpf_rdonly_cast(ptr, bpf_core_type_id_kernel(typeof(*(ptr)))))
#else
#define HAS_CAST false
#define CAST(ptr) (ptr)
#endif

/*
 * Atomic instructions that return a value came with 5.12 (5ca419f2864a); before, the verifier refuses them even where no way
 * leads to them, so only the object for 6.2 has them.
 */
#ifdef REBPF_CAST
#define COMPAT_FETCH

/* Adds @n to *@p; returns what was there. A full barrier. */
static __always_inline __u64 compat_fetch_add(__u64 *p, __u64 n)
{
	return __sync_fetch_and_add(p, n);
}

/* Makes *@p @v if it is @old; was it? A full barrier. */
static __always_inline bool compat_exchange_if(__u64 *p, __u64 old, __u64 v)
{
	return __sync_val_compare_and_swap(p, old, v) == old;
}

/* Stores @v after all stores before it, in the order that other CPUs see. (An instruction for it: 6.15, 880442305a39.) */
static __always_inline void compat_store_release(__u64 *p, __u64 v)
{
#if defined(__TARGET_ARCH_x86)
	asm volatile("" ::: "memory");
	*(volatile __u64 *)p = v;
#else
	__sync_lock_test_and_set(p, v); /* here a full barrier, too */
#endif
}
#endif

/* A field. @typed: the verifier knows what @ptr points to: an argument of tp_btf and fentry programs, or CAST(). */
#define FIELD(typed, ptr, field) ((typed) ? (ptr)->field : BPF_CORE_READ(ptr, field))
#define BITFIELD(typed, ptr, field) \
	((typed) ? BPF_CORE_READ_BITFIELD(ptr, field) : BPF_CORE_READ_BITFIELD_PROBED(ptr, field))

/* 5.10 keeps a tagged word in struct sock_cgroup_data; 5.15 (8520e224f547) made it a plain pointer. */
struct sock_cgroup_data___pre_5_15 {
	__u64 val;
} __attribute__((preserve_access_index));

/* Id of the socket's cgroup in the cgroup2 hierarchy, 0 if unknown. */
static __always_inline __u64 compat_sk_cgroup_id(struct sock *sk)
{
	const bool typed = HAS_CAST;
	struct kernfs_node *kn;
	struct cgroup *cgrp;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		sk = CAST(sk);
		cgrp = FIELD(typed, sk, sk_cgrp_data.cgroup);
	} else {
		struct sock_cgroup_data___pre_5_15 *old = (void *)&sk->sk_cgrp_data;
		__u64 val = BPF_CORE_READ(old, val);

		/* Bit 0: the word holds a cgroup1 classid instead. */
		if (val & 1)
			return 0;
		cgrp = (void *)val;
	}
	if (!cgrp)
		return 0;
	kn = FIELD(typed, cgrp, kn);
	return FIELD(typed, kn, id);
}

/* tcp_skb_cb.tcp_flags became 16 bits wide in 6.16 (for AccECN's AE bit). */
struct tcp_skb_cb___pre_6_16 {
	__u8 tcp_flags;
} __attribute__((preserve_access_index));

static __always_inline __u16 compat_tcb_flags(struct tcp_skb_cb *tcb)
{
	const bool typed = HAS_CAST;

	if (bpf_core_field_size(tcb->tcp_flags) == 1)
		return BPF_CORE_READ((struct tcp_skb_cb___pre_6_16 *)tcb, tcp_flags);
	tcb = CAST(tcb);
	return FIELD(typed, tcb, tcp_flags);
}

/*
 * Inode of the socket's file, 0 for an orphan. 6.16 (5d6b58c932ec) keeps its number in the socket; of an orphan only sk_socket
 * tells.
 */
static __always_inline __u64 compat_sk_ino(struct sock *sk)
{
	const bool typed = HAS_CAST;
	struct socket_alloc *alloc;
	struct socket *socket;

	sk = CAST(sk);
	socket = FIELD(typed, sk, sk_socket);
	if (!socket)
		return 0;
	if (bpf_core_field_exists(sk->sk_ino))
		return FIELD(typed, sk, sk_ino);
	alloc = (void *)socket - bpf_core_field_offset(struct socket_alloc, socket);
	alloc = CAST(alloc);
	return FIELD(typed, alloc, vfs_inode.i_ino);
}

/* sk_drops left struct sock for a pointer to per-node counters in 6.18 where it is contended; absent there: 0. */
static __always_inline __u32 compat_sk_drops(struct sock *sk)
{
	const bool typed = HAS_CAST;

	sk = CAST(sk);
	return bpf_core_field_exists(sk->sk_drops) ? FIELD(typed, sk, sk_drops.counter) : 0;
}

#endif
