/* SPDX-License-Identifier: MIT */
/*
 * The in-flight slot: the attempt that is under way on a socket.
 *
 * Where the kernel has atomic instructions that return a value, the slots are an array of small buckets: a look is a few loads,
 * opening and closing one exchange each. Elsewhere they are a hash map, whose every change takes a lock and a list.
 */
#ifndef REBPF_SLOT_BPF_H
#define REBPF_SLOT_BPF_H

/*
 * tcp_retransmit_skb holds the socket lock from its entry to its exit, so there is at most one, whatever CPU or task it runs
 * on: per-CPU or per-task state would be overwritten by another socket's timer in a nested softirq.
 */
struct inflight {
	__u64 skb;      /* P */
	__u64 copy;     /* C, once TC has seen it */
	__u64 dev;      /* where TC saw it last */
	__u64 stamp_ns; /* departure time of C: without entry hooks a slot may be stale, and C used again */
	__u32 seq;
	__u32 end_seq;
	__u32 total_retrans;
	__u8 hook;      /* enum rtx_hook that opened it */
	__u8 inner : 1; /* __tcp_retransmit_skb has been entered for this slot */
	__u8 lost : 1;  /* its ENTRY found no room */
	__u8 judged : 1;   /* --inject has decided on its copy */
	__u8 injected : 1; /* and dropped it */
	__u8 told : 1;     /* by QUEUED that it was queued */
	__u8 hops;
	__u8 queued; /* by a device, since TC saw it last */
};

#ifdef COMPAT_FETCH
#define SLOTS_OF_BUCKET 4
#define SLOT_BUCKETS 8192 /* so many that hardly one is full of stale slots, where some stay open (see stamp_ns) */
#define SLOT_CLAIMED 1 /* no socket's id: they are multiples of 8 */

/* @id: of the sockets, 0: free. */
struct slot_bucket {
	__u64 id[SLOTS_OF_BUCKET];
	__u64 pad[8 - SLOTS_OF_BUCKET];
	struct inflight slot[SLOTS_OF_BUCKET];
};

struct map_slots {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOT_BUCKETS);
	__type(key, __u32);
	__type(value, struct slot_bucket);
};
#else
struct map_slots {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REBPF_MAX_SLOTS);
	__type(key, __u64); /* address of the socket */
	__type(value, struct inflight);
};
#endif

extern struct map_slots slots SEC(".maps");

#ifdef COMPAT_FETCH
/* verifier: no arithmetic on a pointer but the difference of two. So a number that only this socket has. */
static __always_inline __u64 slot_id(__u64 sk)
{
	return (__u64)CAST((struct sock *)sk) - (__u64)&shared;
}

static __always_inline struct slot_bucket *slot_bucket(__u64 id)
{
	__u32 i = (__u32)((id * 0x9e3779b97f4a7c15ULL) >> 40) & (SLOT_BUCKETS - 1);

	return bpf_map_lookup_elem(&slots, &i);
}

/*
 * Which of the bucket's slots are @id's, a bit for each; id 0: the free ones. By arithmetic: what follows is then looked at once
 * by the verifier, not once for each slot.
 */
static __always_inline __u64 slot_which(const struct slot_bucket *b, __u64 id)
{
	__u64 which = 0;

	for (int i = 0; i < SLOTS_OF_BUCKET; i++) {
		__u64 x = *(volatile __u64 *)&b->id[i] ^ id;

		asm volatile("" : "+r"(x));
		which |= (~(x | -x) >> 63) << i;
	}
	return which;
}

/* The number of the lowest bit that is set, of four (of none: 0): two bits each of a word. */
static __always_inline __u64 slot_lowest(__u64 which)
{
	return 0x12131210 >> 2 * (which & 15) & 3;
}

/* The open slot of @sk, or NULL. */
static __always_inline struct inflight *slot_find(__u64 sk)
{
	__u64 id = slot_id(sk), which;
	struct slot_bucket *b = slot_bucket(id);

	if (!b)
		return NULL;
	which = slot_which(b, id);
	return which ? &b->slot[slot_lowest(which)] : NULL;
}

/*
 * Opens (or takes over) the slot of @sk; NULL: there is no room. It can be found when it has been filled. Two CPUs may open one
 * for the same socket, if a copy comes by late: the lower one is found, and both are closed. (Were one of them closed and opened
 * for a third socket between the two lines that take it over, that would have this one's contents. Nothing but late copies is
 * without the socket's lock.)
 */
static __always_inline struct inflight *slot_open(__u64 sk, const struct inflight *s)
{
	__u64 id = slot_id(sk), which, at;
	struct slot_bucket *b = slot_bucket(id);

	if (!b)
		return NULL;
	which = slot_which(b, id);
	if (which) {
		b->slot[slot_lowest(which)] = *s;
		return &b->slot[slot_lowest(which)];
	}
	/* Another CPU may take the one that was seen free. */
#pragma clang loop unroll(disable)
	for (int i = 0; i < SLOTS_OF_BUCKET; i++) {
		which = slot_which(b, 0);
		if (!which)
			break;
		at = slot_lowest(which);
		if (!compat_exchange_if(&b->id[at], 0, SLOT_CLAIMED))
			continue;
		b->slot[at] = *s;
		__sync_fetch_and_add(&shared.in_flight, 1);
		compat_store_release(&b->id[at], id);
		return &b->slot[at];
	}
	__sync_fetch_and_add(&cpu_counts()->slot_failed, 1);
	return NULL;
}

static __always_inline void slot_close(__u64 sk)
{
	__u64 id = slot_id(sk), which;
	struct slot_bucket *b = slot_bucket(id);

	for (int i = 0; b && i < 2; i++) {
		which = slot_which(b, id);
		if (!which)
			break;
		if (compat_exchange_if(&b->id[slot_lowest(which)], id, 0))
			__sync_fetch_and_add(&shared.in_flight, -1);
	}
}
#else
static __always_inline struct inflight *slot_find(__u64 sk)
{
	return bpf_map_lookup_elem(&slots, &sk);
}

static __always_inline struct inflight *slot_open(__u64 sk, const struct inflight *s)
{
	if (!bpf_map_update_elem(&slots, &sk, s, BPF_NOEXIST))
		__sync_fetch_and_add(&shared.in_flight, 1);
	else if (bpf_map_update_elem(&slots, &sk, s, BPF_EXIST))
		__sync_fetch_and_add(&cpu_counts()->slot_failed, 1);
	return slot_find(sk);
}

static __always_inline void slot_close(__u64 sk)
{
	if (!bpf_map_delete_elem(&slots, &sk))
		__sync_fetch_and_add(&shared.in_flight, -1);
}
#endif

/* The number of the hop, the last, whose device has queued the copy, if no QUEUED has told of it; else 0. */
static __always_inline __u8 slot_queued_hop(const struct inflight *s)
{
	return s->queued && !s->told ? s->hops : 0;
}

#endif
