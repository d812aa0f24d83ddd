/* SPDX-License-Identifier: MIT */
/*
 * The rings that records go through: ring_reserve(), then ring_submit(), which wakes nobody. Whatever is reserved must be
 * submitted: the ring ends at it until then.
 *
 * Where the kernel has atomic instructions that return a value, a ring is an array that user space maps: two additions and the
 * record's own stores, a fifth of what the kernel's ring buffer costs, whose exchange at the end waits for the cold memory
 * that the record has just been written to. A ring is lines of REBPF_RING_LINE bytes; its head and tail (struct ring_place)
 * count lines and never go back. A record begins with a line: 8 bytes, its size in bytes once it is whole, and 0 until then;
 * then the record. The consumer clears the first 8 bytes of each line that it has read (src/ring.c).
 */
#ifndef REBPF_RING_BPF_H
#define REBPF_RING_BPF_H

#ifdef COMPAT_FETCH
struct control_memory {
	__u8 bytes[REBPF_CONTROL_BYTES + REBPF_RING_BEYOND];
};

struct drops_memory {
	__u8 bytes[REBPF_DROPS_BYTES + REBPF_RING_BEYOND];
};

struct ring_control {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control_memory);
};

struct ring_drops {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct drops_memory);
};
#else
struct ring_control {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, REBPF_CONTROL_BYTES);
};

struct ring_drops {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, REBPF_DROPS_BYTES);
};
#endif

/* Carries no records: it only wakes. */
struct ring_wake {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, REBPF_WAKE_BYTES);
};

extern struct ring_control ring_control SEC(".maps");
extern struct ring_drops ring_drops SEC(".maps");
extern struct ring_wake ring_wake SEC(".maps");

#ifdef COMPAT_FETCH
/*
 * A place for @size bytes in a ring of @bytes, NULL if there is none. Those that look at the tail at the same time may all find
 * room for the last record: an eighth of the ring is kept back for them.
 */
static __always_inline void *ring_place(void *map, struct ring_place *at, __u32 bytes, __u32 size)
{
	__u64 lines = (size + sizeof(__u64) + REBPF_RING_LINE - 1) / REBPF_RING_LINE;
	void *memory;
	__u32 zero = 0;

	memory = bpf_map_lookup_elem(map, &zero);
	if (!memory)
		return NULL;
	/* Signed: another CPU may see the tail ahead of the head, if much has been read between the two looks. */
	if ((__s64)(*(volatile __u64 *)&at->head + lines - *(volatile __u64 *)&at->tail) > (bytes - bytes / 8) / REBPF_RING_LINE)
		return NULL;
	return memory + (compat_fetch_add(&at->head, lines) * REBPF_RING_LINE & (bytes - 1)) + sizeof(__u64);
}

static __always_inline void *ring_reserve(enum record_ring ring, __u32 size)
{
	if (ring == RING_DROPS)
		return ring_place(&ring_drops, &shared.ring[RING_DROPS], REBPF_DROPS_BYTES, size);
	return ring_place(&ring_control, &shared.ring[RING_CONTROL], REBPF_CONTROL_BYTES, size);
}

static __always_inline void ring_submit(void *record)
{
	compat_store_release(record - sizeof(__u64), ((struct rec_header *)record)->size);
}
#else
static __always_inline void *ring_reserve(enum record_ring ring, __u32 size)
{
	return ring == RING_DROPS ? bpf_ringbuf_reserve(&ring_drops, size, 0) : bpf_ringbuf_reserve(&ring_control, size, 0);
}

static __always_inline void ring_submit(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}
#endif

#endif
