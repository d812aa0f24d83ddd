/* SPDX-License-Identifier: MIT */
/*
 * What user space freezes into read-only data before load: what is off is dead code to the verifier.
 * And what both sides share at run time (struct shared, in .bss, mapped by user space).
 */
#ifndef REBPF_CONFIG_H
#define REBPF_CONFIG_H

#include "event.h"

#define REBPF_MAX_RULES 32
#define REBPF_MAX_WRAPPERS 32
#define REBPF_MAX_LOST 1024
#define REBPF_MAX_CPUS 1024 /* counters of higher CPUs share a row */
#define REBPF_CONTROL_BYTES (4u << 20)
#define REBPF_DROPS_BYTES (8u << 20)
#define REBPF_RING_LINE 64u      /* bytes: a record takes whole ones (bpf/ring.bpf.h) */
#define REBPF_RING_BEYOND 1024u  /* bytes behind a ring, for what began at its end: more than any record */
#define REBPF_WAKE_BYTES (64u << 10)
#define REBPF_MAX_SLOTS 8192
#define REBPF_MAX_SOCKETS 98304
#define REBPF_MAX_CONNECTING 65536
#define REBPF_MAX_RETRANSMITTERS 8192
#define REBPF_SPURIOUS_NS 60000000000ULL /* so long after its last retransmission a socket is watched for signs that it was not needed */
#define REBPF_NOTED_SHIFT 27 /* and is noted anew if the time in ns, shifted by this, about an eighth of a second, is another */
#define REBPF_HEARTBEAT_NS 5000000000ULL /* a classifier does nothing once user space is silent for so long */
#define REBPF_INJECT_HEARTBEAT_NS 2000000000ULL /* and drops nothing once it is for so long */
#define REBPF_INJECT_WHOLE 10000 /* 100 percent */
#define REBPF_MAX_INJECT_IDS 64

/* Which option a rule came from: a flow passes if it matches one rule of each list that has any. */
enum rule_list { RULE_ANY, RULE_LOCAL, RULE_REMOTE, RULE_LIST_COUNT };

/* Addresses are compared under the mask, in network order, IPv4 in the first word. */
struct addr_rule {
	__u32 addr[4];
	__u32 mask[4];
	__u32 ip_version;
	__u32 list; /* enum rule_list */
};

struct port_rule {
	__u16 low, high; /* host order, inclusive */
	__u32 list;      /* enum rule_list */
};

/* A function that frees on behalf of its caller: who decided, the stack tells. [start, end), 0: none. */
struct code_range {
	__u64 start, end;
};

/*
 * --inject. @verdict: TC_ACT_SHOT, TC_ACT_STOLEN (so it is recorded; see inject_action()), or 0: off. @share: in 1/100 percent.
 * @count: drops in all, 0: no limit. The lists narrow beside addresses, ports and family; an empty one does not.
 */
struct inject_config {
	__u32 verdict;
	__u32 share;
	__u64 count;
	__u32 pids;
	__u32 netnses;
	__u32 cgroups;
	__u32 zero;
	__u64 cgroup[REBPF_MAX_INJECT_IDS];
	__u32 pid[REBPF_MAX_INJECT_IDS];
	__u32 netns[REBPF_MAX_INJECT_IDS];
};

/*
 * @has_entry: hooks at the entry of the retransmit functions open the in-flight slot; without them the
 *             classifier and the drop hook recognise a retransmission by themselves.
 */
struct config {
	__u8 has_entry;
	__u8 tp_has_err;      /* tcp_retransmit_skb has its err argument (6.17) */
	__u8 drop_has_reason; /* kfree_skb has its reason argument (5.17) */
	__u8 ip_version;      /* 4, 6 or 0: both */
	__u8 heartbeat;       /* the classifier outlives user space (clsact): obey shared.heartbeat_ns */
	__u8 drop_has_rx_sk;  /* kfree_skb has its rx_sk argument (6.11) */
	__u8 drop_stack;      /* take a stack of every drop */
	__u8 all_protocols;   /* records of drops of other protocols than TCP, too */
	__u8 nat_possible;    /* the kernel can translate addresses; whether it does, shared.translates */
	__u8 note_retransmitters; /* something looks for needless retransmissions (spurious.bpf.c) */
	__u8 connects;        /* active opens are followed */
	__u8 connect_returns; /* a hook sees what connect() returns */
	__u8 drop_count_only; /* drops are counted, not recorded */
	__u8 zero[3];
	__u32 tick_us;       /* of a jiffy */
	__u32 addr_rules;
	__u32 port_rules;
	struct addr_rule addr[REBPF_MAX_RULES];
	struct port_rule port[REBPF_MAX_RULES];
	struct code_range wrapper[REBPF_MAX_WRAPPERS];
	struct inject_config inject;
};

/* Counts of one CPU, written with atomic additions only, hence exact under nesting. */
struct cpu_counts {
	__u64 produced[REC_KIND_COUNT]; /* records wanted, by kind, whether the ring had room or not */
	__u64 lost[RING_COUNT];
	__u64 slot_failed; /* in-flight slots that could not be opened */
	__u64 drops_unrecorded; /* TCP packets freed as a drop of which no record was wanted; with drop_count_only those asked for */
	__u64 drops_foreign;    /* DROP records wanted of anything else than a TCP packet that was freed as a drop */
	__u64 wakeups;          /* of user space, by a record */
	__u64 injected;         /* copies that the classifier dropped for --inject */
	__u64 pad[16 - (REC_KIND_COUNT + RING_COUNT + 5) % 16];
};

/*
 * Key of the map of lost events: those of which a record found no room, by what the kernel side knows of them. Its value:
 * how many. Attempts (kind REC_RTX_EXIT): also how many segments. A drop with neither location nor source was freed by a
 * function that frees for others: who decided would have been on the stack.
 */
struct lost_key {
	__u64 location; /* of a drop */
	__u32 reason;
	__s32 ret; /* of an attempt */
	__u8 kind; /* enum record_kind */
	__u8 has_ret;
	__u8 reached; /* enum rtx_reached */
	__u8 synack;
	__u8 tcp;    /* of a drop */
	__u8 source; /* enum drop_source */
	__u16 zero;
};

struct lost_count {
	__u64 events;
	__u64 segs;
};

/* What is left of a key once the map is full: neither place nor return code. There are few of these. */
static inline void lost_key_rest(struct lost_key *key)
{
	key->location = 0;
	key->reason = 0;
	key->ret = 0;
	key->has_ret = 0;
}

/* How far a ring has been reserved, and read; in lines since it began. Each on a cache line of its own. */
struct ring_place {
	__u64 head;
	__u64 pad0[7];
	__u64 tail;
	__u64 pad1[7];
};

/*
 * @in_flight: open slots; the gate of the packet path while no retransmission is under way.
 * @asleep:    the consumer sleeps: the next record must wake it.
 * @translates: a packet may carry translated addresses: without connection tracking any may be wanted.
 * @inject_ended: nothing is dropped any more, for soon no hook will tell of it.
 * @heartbeat_ns: CLOCK_MONOTONIC when user space was last alive.
 * @retransmitted_ns: CLOCK_MONOTONIC of the latest retransmission, if they are noted.
 */
struct shared {
	__s64 in_flight;
	__u64 pad0[7];
	__u32 asleep;
	__u32 translates;
	__u32 inject_ended;
	__u32 pad1;
	__u64 heartbeat_ns;
	__u64 retransmitted_ns;
	__u64 pad2[4];
	struct ring_place ring[RING_COUNT]; /* of bpf/ring.bpf.h */
	__u64 lost_bucket[RING_COUNT][REBPF_BUCKET_COUNT];
	struct cpu_counts cpu[REBPF_MAX_CPUS];
};

#endif
