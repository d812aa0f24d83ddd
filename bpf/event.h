/* SPDX-License-Identifier: MIT */
/*
 * The record format: what BPF programs write, -w stores and decode.c reads. Shared by both sides.
 *
 * Rules: host byte order; no implicit padding (each struct's size is asserted); every byte is written; a record
 * only ever grows at its end, so that a reader takes the part that it knows and an older file gives zeros for
 * the rest. An IPv4 address (also one that came v4-mapped) is in the first four bytes of its 16.
 */
#ifndef REBPF_EVENT_H
#define REBPF_EVENT_H

#ifndef __bpf__
#include <linux/types.h>
#include <stddef.h>
#elif !defined(offsetof)
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

#include "event_kinds.h"

#define REBPF_COMM_LEN 16   /* TASK_COMM_LEN, include/linux/sched.h */
#define REBPF_IFNAME_LEN 16 /* IFNAMSIZ, include/uapi/linux/if.h */
#define REBPF_STACK_DEPTH 12
#define REBPF_SYMBOL_LEN 64
#define REBPF_REASON_LEN 48

enum record_kind {
	REC_NONE = 0,
#define X(name, payload, ring) REC_##name,
	RECORD_KINDS(X)
#undef X
	REC_KIND_COUNT
};

/* The two ring buffers: control is small and precious, drops may be flooded. */
enum record_ring { RING_CONTROL, RING_DROPS, RING_COUNT };

/*
 * Starts every record.
 * @ts_ns: CLOCK_MONOTONIC of the event.
 * @lost:  how many records of this ring this CPU had failed to reserve when it wrote this one. A rise between
 *         two records of one CPU dates a loss. (A running serial number would need a value-returning atomic to
 *         be right under nesting, which the verifier of 5.8-5.11 refuses.)
 * @size:  of the whole record, header included.
 */
struct rec_header {
	__u64 ts_ns;
	__u64 lost;
	__u16 size;
	__u8 kind;
	__u8 zero;
	__u16 cpu;
	__u16 zero2;
};

/* A socket: its two ends as seen from this host, and what is known of it without its process. */
struct rec_flow {
	__u8 laddr[16];
	__u8 raddr[16];
	__u16 lport;
	__u16 rport;
	__u8 ip_version; /* 4 or 6 */
	__u8 state;      /* TCP_ESTABLISHED .. of include/net/tcp_states.h */
	__u16 zero;
	__u32 netns; /* inode number of the namespace */
	__u32 uid;
	__u64 sk;     /* address of the socket (of the request for a SYN-ACK): joins records */
	__u64 cookie; /* 0: the kernel has not given it one yet */
	__u64 cgroup; /* id in the cgroup2 hierarchy, 0: unknown */
	__u64 ino;    /* socket inode, 0: orphaned or not yet accepted */
};

/* Who uses the socket; tgid 0: not known in the kernel. */
struct rec_owner {
	__u32 tgid;
	__u32 zero;
	char comm[REBPF_COMM_LEN];
};

/* How an attempt came to our notice (rec_rtx_entry.hook). */
enum rtx_hook {
	RTX_HOOK_NONE,
	RTX_HOOK_RETRANSMIT, /* entry of tcp_retransmit_skb */
	RTX_HOOK_DIRECT,     /* entry of __tcp_retransmit_skb by another caller (TLP, fast open fallback) */
	RTX_HOOK_SYNACK,     /* entry of tcp_rtx_synack */
	RTX_HOOK_TRACEPOINT, /* tcp:tcp_retransmit_skb, at the end of the call */
	RTX_HOOK_SOCKOPS,    /* BPF_SOCK_OPS_RETRANS_CB, at the end of the call */
	RTX_HOOK_SYNACK_TP,  /* tcp:tcp_retransmit_synack, at the end of the call */
	RTX_HOOK_COUNT
};

/* rec_rtx_entry.bits */
#define RTX_BIT_LATE 0x01     /* read at the end of the call, after restamping and trimming */
#define RTX_BIT_FRTO 0x02     /* tcp_sock.frto */
#define RTX_BIT_PACED 0x08   /* sock.sk_pacing_status: departure times may lie in the future */
#define RTX_BIT_SYN_DATA 0x04 /* tcp_sock.syn_data: a fast open SYN carried data */
#define RTX_BIT_WHOLE 0x10    /* this ENTRY is the EXIT, too */

/*
 * RTX_ENTRY: an attempt to retransmit begins (or, RTX_BIT_LATE, has just ended).
 * @skb:       P, the segment's buffer in the retransmit queue: the correlation id. 0 for a SYN-ACK.
 * @stamp_ns:  departure time of the previous copy (LATE: of this copy), CLOCK_MONOTONIC, may lie in the future.
 * @delivered_us: tcp_skb_cb.tx.delivered_mstamp: not later than the previous copy's transmission.
 */
struct rec_rtx_entry {
	struct rec_header h;
	struct rec_flow flow;
	struct rec_owner owner;
	struct rec_owner task;
	__u64 skb;
	__u64 stamp_ns;
	__u64 delivered_us;
	__u64 rack_mstamp_us;
	__u32 seq;
	__u32 end_seq;
	__u32 segs; /* tcp_skb_pcount, before trimming unless LATE */
	__u32 total_retrans;
	__u32 segs_out;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 snd_wnd;
	__u32 srtt_us;
	__u32 rto_us;
	__u32 cwnd;
	__u32 ssthresh;
	__u32 mss;
	__u32 undo_marker;
	__u32 prior_ssthresh;
	__u32 dsack_dups;
	__u32 wmem_alloc;
	__u32 bytes_acked_low; /* low half of tcp_sock.bytes_acked */
	__u16 tcp_flags;
	__u8 sacked; /* tcp_skb_cb.sacked */
	__u8 ca_state;
	__u8 pending; /* icsk_pending */
	__u8 retransmits;
	__u8 hook; /* enum rtx_hook */
	__u8 bits;
	__u32 high_seq; /* snd_nxt when the Loss or Recovery state was entered: names the episode */
	__u32 tsoffset; /* tcp_sock.tsoffset: a time stamp value is the clock (ms, or us) plus this */
	__u32 rcv_nxt;
	__u32 highest_sack; /* end of the highest SACKed segment, snd_una if there is none (tcp_highest_sack_seq) */
	__u32 dst_netns;    /* the first device on the way, by the socket's cached route; 0: none cached */
	__u32 dst_ifindex;
	__u32 sk_drops; /* sock.sk_drops, 0 where the kernel does not keep it there */
	__u8 dst_bits;  /* RTX_DST_* */
	__u8 reached;   /* WHOLE: as of struct rec_rtx_exit, this and the next two */
	__u8 queued;
	__u8 zero;
	__s32 ret;
	__u64 born_ns; /* when the connection began, 0: rebpf did not see it: the original cannot have been sent before */
};

/* rec_rtx_entry.dst_bits */
#define RTX_DST_XFRM 0x01   /* dst_entry.xfrm: IPsec */
#define RTX_DST_TUNNEL 0x02 /* dst_entry.lwtstate: a lightweight tunnel */

/* What a copy on its way carries: enough to tell it from an older copy of the same bytes. */
struct rec_copy {
	__u64 sk;
	__u64 skb;      /* P, 0: not found */
	__u64 copy;     /* the buffer seen here: a clone or copy of P, or a part of it */
	__u64 stamp_ns; /* departure time of this copy, 0: cleared on the way */
	__u32 seq;
	__u32 end_seq;
	__u32 tsval; /* TCP timestamp value, 0: none */
	__u32 netns;
	__u32 ifindex; /* 0: no device yet */
	__u16 ip_id;   /* IPv4 identification */
	__u8 sacked;   /* of P, before this attempt marked it */
	__u8 prior_queued; /* TC: number of the hop, the one before this, whose device queued the copy; 0: none, or a QUEUED tells */
	char ifname[REBPF_IFNAME_LEN];
};

/*
 * RTX_TC: TC egress saw the copy. @verdict is ours: -1 (go on) unless rebpf injects loss.
 * @delivered_us: tcp_skb_cb.tx.delivered_mstamp of P, before this transmission changes it: not later than the previous
 *                copy's transmission. 0: P was not found.
 * @wmem_other:   sock.sk_wmem_alloc without this copy: 1 if nothing else of the socket is on its way down.
 */
struct rec_rtx_tc {
	struct rec_header h;
	struct rec_copy c;
	__s32 verdict;
	__u32 wmem_other;
	__u64 delivered_us;
};

/*
 * RTX_QUEUED: the copy is handed to a device (net:net_dev_queue) where no classifier of ours saw it. Of the others the next
 * record of the attempt says so, since format 2.
 */
struct rec_rtx_queued {
	struct rec_header h;
	__u64 sk;
	__u64 skb;
	__u64 copy;
	__u32 netns;
	__u32 ifindex;
};

/*
 * RTX_DROP: a copy was freed as a drop while its attempt was under way.
 * @reason: number in enum skb_drop_reason of the running kernel; see REASON. 0 where the kernel has none.
 * @hops:   how many TC hooks had seen this copy; @queued: it was handed to a device after the last of them.
 * @at_device: it had come to a device (skb->mac_header is set at the head of __dev_queue_xmit).
 */
struct rec_rtx_drop {
	struct rec_header h;
	struct rec_copy c;
	__u64 location;
	__u32 reason;
	__u8 hops;
	__u8 queued;
	__u8 at_device;
	__u8 zero;
	__u64 stack[REBPF_STACK_DEPTH];
};

/* rec_rtx_exit.reached: did the call come as far as transmitting (total_retrans advanced)? */
enum rtx_reached { RTX_REFUSED, RTX_REACHED, RTX_REACHED_UNKNOWN };

/* RTX_EXIT: the attempt ended. The range is the one after trimming and fragmenting. */
struct rec_rtx_exit {
	struct rec_header h;
	__u64 sk;
	__u64 skb;
	__u64 stamp_ns; /* of P after the call: the copy's, if one was made */
	__s32 ret;
	__u32 seq;
	__u32 end_seq;
	__u32 segs;
	__u32 total_retrans;
	__u8 has_ret; /* 0: this hook cannot tell */
	__u8 reached; /* enum rtx_reached */
	__u8 hook;    /* enum rtx_hook */
	__u8 lost_entry; /* its ENTRY found no room: no event can be made of it */
	__u32 segs_out; /* 0: not known */
	__u8 queued;    /* the same of the last hop */
	__u8 zero2[3];
};

/* rec_host.flags: what the chosen hooks can tell. */
#define HOST_ENTRY_HOOKS 0x1 /* every attempt begins with its ENTRY */
#define HOST_SEES_FAILURES 0x2 /* attempts that fail end with an EXIT too */
#define HOST_SEES_QUEUED 0x4 /* it is told when a copy is handed to a device */
#define HOST_SEES_DROPS 0x8 /* drops of copies under way give a RTX_DROP */
#define HOST_SEES_ALL_DROPS 0x10 /* every drop of a TCP packet gives a DROP */
#define HOST_SURVEYS 0x20 /* the host is surveyed after each attempt */
#define HOST_NAT_POSSIBLE 0x40 /* packets may carry other addresses than their sockets */

/* HOST: the machine that recorded. First of a stream. */
struct rec_host {
	struct rec_header h;
	__u32 format; /* REBPF_FORMAT */
	__u32 hz;
	__u32 own_netns;
	__u32 flags; /* HOST_* */
	__u64 armed_ns;    /* when capture began */
	char release[64];
	char version[32]; /* of rebpf */
};
#define REBPF_FORMAT 2        /* since then: RTX_BIT_WHOLE, rec_rtx_exit.queued */
#define REBPF_OLDEST_FORMAT 1 /* that can be read */

/* CLOCK: wall_ns - mono_ns is the offset of CLOCK_REALTIME from here on. */
struct rec_clock {
	struct rec_header h;
	__u64 mono_ns;
	__u64 wall_ns;
};

/* SYMBOL: a kernel address as text, e.g. "nf_hook_slow" + 0xb5, module "" for vmlinux. */
struct rec_symbol {
	struct rec_header h;
	__u64 addr;
	__u64 offset;
	char name[REBPF_SYMBOL_LEN];
	char module[REBPF_SYMBOL_LEN];
};

/* REASON: a drop reason's number and its name in the recording kernel's BTF. */
struct rec_reason {
	struct rec_header h;
	__u32 reason;
	__u32 zero;
	char name[REBPF_REASON_LEN];
};

/* OWNER: found by searching /proc for the socket's inode; tgid 0: nobody holds it. */
struct rec_owner_found {
	struct rec_header h;
	__u64 sk;
	__u64 ino;
	struct rec_owner owner;
};

/* NETNS: does our classifier watch every device of this namespace from now on? */
struct rec_netns {
	struct rec_header h;
	__u32 netns;
	__u32 watched;
};

/* LOSS: records of a ring that were lost since the last LOSS, in one bucket of flows. */
struct rec_loss {
	struct rec_header h;
	__u64 count;
	__u64 since_ns;
	__u32 ring;   /* enum record_ring */
	__u32 bucket; /* flow_bucket(), tuple_bucket() or REBPF_BUCKET_* */
};

/* TICK: both rings have been read up to h.ts_ns; no timer of the pipeline knows another clock. */
struct rec_tick {
	struct rec_header h;
	__u64 produced; /* records written by the kernel so far */
	__u64 missed;   /* events that no program saw (recursion, full map) so far */
	__u64 consumed; /* records read from the rings so far */
	__u64 wakeups;  /* times that a record woke rebpf so far */
	__u64 injected; /* copies that rebpf dropped (--inject) so far */
};

/* ---- drops ---- */

/* The two ends of a packet, in its direction. Addresses as in struct rec_flow. */
struct rec_tuple {
	__u8 saddr[16];
	__u8 daddr[16];
	__u16 sport; /* 0 if the protocol has none */
	__u16 dport;
	__u8 ip_version; /* 4 or 6; 0: no packet of IP, or the tuple is not there */
	__u8 protocol;   /* IPPROTO_* */
	__u16 zero;
};

/* Who says that a packet was dropped (rec_drop.source). All but KFREE and INJECT are rebpf's own, printed as synthetic. */
enum drop_source {
	DROP_SOURCE_KFREE,            /* skb:kfree_skb */
	DROP_SOURCE_LISTEN_OVERFLOW,  /* the accept queue is full: TCP_LISTEN_OVERFLOW, as nstat's ListenOverflows */
	DROP_SOURCE_REQQ_FULL,        /* the queue of requests is full: TCP_REQQ_FULL, as TCPReqQFullDrop */
	DROP_SOURCE_RETRIES_EXCEEDED, /* the connection is given up: RETRIES_EXCEEDED, as TCPAbortOnTimeout */
	DROP_SOURCE_INJECT,           /* skb:kfree_skb of what rebpf itself dropped: REBPF_INJECT */
	DROP_SOURCE_COUNT
};

struct rec_sack_block {
	__u32 start, end;
};

#define REBPF_SACK_BLOCKS 4

/*
 * DROP: a packet was freed as a drop. A socket's identity is there if @sk is: of skb->sk or, received, of the socket it
 * was for (of the listener, for a request). Ends before @sk if it has no socket and no SACK block, else before @nat unless the
 * packet's connection is translated or a stack was taken: what is not there is all zero.
 * @location: return address in the function that freed, as the tracepoint gives it. 0 if synthetic.
 * @nat:      the same packet's tuple by connection tracking, as before and after translation; ip_version 0: none.
 * @stack:    return addresses from the tracepoint outwards.
 */
struct rec_drop {
	struct rec_header h;
	__u64 location;
	__u64 skb;
	struct rec_tuple t;
	__u32 reason; /* number in enum skb_drop_reason of the running kernel, 0 if synthetic or without reasons */
	__u32 netns;
	__u32 ifindex; /* 0: no device */
	__u32 len;     /* of the packet from its IP header on; 0: unknown */
	__u32 seq;
	__u32 end_seq;
	__u32 ack;
	__u32 tsval; /* TCP time stamp option, 0: none */
	__u32 tsecr;
	__u16 ip_id;
	__u8 tcp_flags;
	__u8 source; /* enum drop_source */
	struct rec_owner task;
	char ifname[REBPF_IFNAME_LEN];
	__u64 sk;
	__u64 cgroup;
	__u64 ino;
	__u32 uid;
	__u8 state;    /* of the socket */
	__u8 received; /* the socket is the one that the packet was for, not the one that sent it */
	__u8 sacks;    /* how many of @sack are there */
	__u8 zero;
	struct rec_owner owner;
	struct rec_sack_block sack[REBPF_SACK_BLOCKS];
	__u64 stamp_ns; /* departure time of this copy, as rec_copy.stamp_ns; 0: cleared, or the packet was received */
	char qdisc[8];  /* kind of the device's root queueing discipline, cut; for an unsent packet */
	__u32 bits;     /* DROP_BIT_* */
	__u32 zero2;
	struct rec_tuple nat[2];
	__u64 stack[REBPF_STACK_DEPTH];
};

/*
 * rec_drop.bits. UNSENT: new data, dropped inside the call that sends it: if the call then fails, TCP keeps the segment and
 * sends it again as new data, which is no retransmission.
 */
#define DROP_BIT_UNSENT 0x1

#define REC_DROP_BARE_SIZE offsetof(struct rec_drop, sk)
#define REC_DROP_SHORT_SIZE offsetof(struct rec_drop, nat)

/* ---- spurious retransmissions ---- */

enum spurious_evidence { SPURIOUS_NONE, SPURIOUS_DSACK, SPURIOUS_FRTO, SPURIOUS_TIMESTAMP, SPURIOUS_COUNT };

/*
 * SPURIOUS: the peer, or the timing of its answer, says that an earlier retransmission was not needed.
 * @dups: so many duplicates were reported at once (DSACK), else 0.
 * @seq, @end_seq: what arrived twice; equal: unknown.
 */
struct rec_spurious {
	struct rec_header h;
	struct rec_flow flow;
	struct rec_owner owner;
	__u32 seq;
	__u32 end_seq;
	__u32 snd_una;
	__u32 dups;
	__u8 evidence; /* enum spurious_evidence */
	__u8 zero[7];
};

/* ---- active opens ---- */

/* rec_connect.bits */
#define CONNECT_SYN_SENT 0x1 /* TCP sent the SYN, as ActiveOpens counts: tcp_sock.snd_nxt went beyond it */
#define CONNECT_IN_CALL 0x2  /* it ended before connect() returned: connect() itself failed */

/*
 * CONNECT: an active open came to its end: established, or failed. The flow's local port may be 0 (none was chosen).
 * @begin_ns: when connect() set the state to SYN_SENT; 0: before rebpf, or it never did.
 * @syn_ns:   when TCP was about to send the first SYN; 0: none was sent, or before rebpf.
 * @err:      errno, positive; 0: none (established, or closed by the application).
 * @isn:      sequence number of the SYN.
 */
struct rec_connect {
	struct rec_header h;
	struct rec_flow flow;
	struct rec_owner owner;
	struct rec_owner task;
	__u64 begin_ns;
	__u64 syn_ns;
	__u32 isn;
	__u32 syn_retrans;
	__u32 err;
	__u8 state; /* that it came to: TCP_ESTABLISHED, TCP_CLOSE ... */
	__u8 bits;  /* CONNECT_* */
	__u16 zero;
};

/* ---- what user space finds out about the host ---- */

/* Where a packet is once the device has it (rec_link.type). */
enum link_type {
	LINK_UNKNOWN,
	LINK_LEAVES,   /* out of this kernel: a physical device, tun or tap */
	LINK_LOOPBACK, /* back in the same namespace */
	LINK_VIRTUAL,  /* elsewhere in this kernel: veth, macvlan, bridge, bond, vlan ... */
	LINK_TUNNEL,   /* encapsulated: ipip, gre, vxlan, wireguard, xfrm ... */
	LINK_TYPE_COUNT
};

/* rec_link.bits */
#define LINK_GONE 0x1       /* there is no such device any more */
#define LINK_XDP 0x2        /* an XDP program may drop or redirect what it receives */
#define LINK_DOWN 0x8 /* nothing goes through it */
#define LINK_TC_CONSUMES 0x4 /* a TC or netfilter egress/ingress program, not ours, that can consume silently */

/*
 * LINK: a device. Said for each at the first survey of its namespace, then when anything but @errors' zero change is new.
 * @errors: packets lost without kfree_skb, for all we know: rx_missed + rx_fifo + tx_errors + tx_dropped.
 */
struct rec_link {
	struct rec_header h;
	__u32 netns;
	__u32 ifindex;
	__u32 bits; /* LINK_* */
	__u8 type;  /* enum link_type */
	__u8 zero[3];
	__u64 errors;
	char ifname[REBPF_IFNAME_LEN];
};

/* ADDR: a namespace has, or has no longer, this address. */
struct rec_addr {
	struct rec_header h;
	__u8 addr[16];
	__u32 netns;
	__u8 ip_version;
	__u8 gone;
	__u16 zero;
};

/* rec_survey.bits */
#define SURVEY_FULL 0x1       /* looked at links, addresses and programs, not only at counters and queues */
#define SURVEY_INCOMPLETE 0x2 /* there are namespaces that could not be looked into */
#define SURVEY_NAT 0x8        /* asked for: addresses are, or for all that can be told may be, translated somewhere */
#define SURVEY_QUEUED 0x4     /* a queueing discipline, a CPU's backlog, an unresolved neighbour or NFQUEUE held packets */

/*
 * SURVEY: what LINK and ADDR records have said so far was so at some time between @begin_ns and h.ts_ns.
 * @softnet: packets that CPUs dropped from their backlogs without kfree_skb, for all we know.
 * @left_ns: what was under way on this host before, and was not dropped, had left it by h.ts_ns (src/queues.h). 0: not known.
 */
struct rec_survey {
	struct rec_header h;
	__u64 begin_ns;
	__u64 softnet;
	__u32 namespaces;
	__u32 bits; /* SURVEY_* */
	__u64 left_ns;
};

/* SOCKET: whose packet a drop was, where the kernel did not say. Comes right before its DROP. */
struct rec_socket {
	struct rec_header h;
	__u64 skb; /* of the DROP */
	__u64 ino;
	__u64 cgroup;
	__u32 uid;
	__u8 state;
	__u8 received;
	__u16 zero;
	struct rec_owner owner;
};

/*
 * LOST: so many more events of one sort came to nothing because a ring had no room, by what the kernel side could still
 * tell of them (struct lost_key): without their records only numbers, but exact ones.
 * @lost_kind: RTX_EXIT: attempts, of so many segments; else DROP, CONNECT or SPURIOUS.
 */
struct rec_lost {
	struct rec_header h;
	__u64 count;
	__u64 segs;
	__u64 location; /* of a drop; with neither it nor a source: not told */
	__u32 reason;
	__s32 ret; /* of an attempt, as in rec_rtx_exit */
	__u8 lost_kind;
	__u8 has_ret;
	__u8 reached;
	__u8 synack;
	__u8 tcp;    /* of a drop: it was a TCP packet */
	__u8 source; /* enum drop_source */
	__u16 zero;
};

/*
 * TRAFFIC: what TCP of a namespace has counted since the namespace began, whatever is filtered (RFC 4022; src/snmp.h).
 * Belongs to the SURVEY that follows. @out_segs: segments sent, without those that were retransmitted.
 */
struct rec_traffic {
	struct rec_header h;
	__u32 netns;
	__u32 zero;
	__u64 active_opens;
	__u64 passive_opens;
	__u64 attempt_fails;
	__u64 estab_resets;
	__u64 in_segs;
	__u64 out_segs;
	__u64 retrans_segs;
};

#ifdef __cplusplus
#define REC_ASSERT(c, m) static_assert(c, m)
#else
#define REC_ASSERT(c, m) _Static_assert(c, m)
#endif
REC_ASSERT(sizeof(struct rec_header) == 24, "rec_header");
REC_ASSERT(sizeof(struct rec_flow) == 80, "rec_flow");
REC_ASSERT(sizeof(struct rec_owner) == 24, "rec_owner");
REC_ASSERT(sizeof(struct rec_rtx_entry) == 24 + 80 + 24 + 24 + 32 + 18 * 4 + 8 + 4 + 6 * 4 + 8 + 4 + 8, "rec_rtx_entry");
REC_ASSERT(sizeof(struct rec_copy) == 72, "rec_copy");
REC_ASSERT(sizeof(struct rec_rtx_tc) == 24 + 72 + 16, "rec_rtx_tc");
REC_ASSERT(sizeof(struct rec_rtx_queued) == 24 + 32, "rec_rtx_queued");
REC_ASSERT(sizeof(struct rec_rtx_drop) == 24 + 72 + 16 + 8 * REBPF_STACK_DEPTH, "rec_rtx_drop");
REC_ASSERT(sizeof(struct rec_rtx_exit) == 24 + 24 + 24 + 8, "rec_rtx_exit");
REC_ASSERT(sizeof(struct rec_host) == 24 + 24 + 96, "rec_host");
REC_ASSERT(sizeof(struct rec_clock) == 40, "rec_clock");
REC_ASSERT(sizeof(struct rec_symbol) == 40 + 2 * REBPF_SYMBOL_LEN, "rec_symbol");
REC_ASSERT(sizeof(struct rec_reason) == 32 + REBPF_REASON_LEN, "rec_reason");
REC_ASSERT(sizeof(struct rec_owner_found) == 64, "rec_owner_found");
REC_ASSERT(sizeof(struct rec_netns) == 32, "rec_netns");
REC_ASSERT(sizeof(struct rec_loss) == 48, "rec_loss");
REC_ASSERT(sizeof(struct rec_tick) == 64, "rec_tick");
REC_ASSERT(sizeof(struct rec_tuple) == 40, "rec_tuple");
REC_ASSERT(sizeof(struct rec_drop) == 24 + 16 + 40 + 9 * 4 + 4 + 24 + 8 + 48 + 16 + 32 + 24 + 80 + 8 * REBPF_STACK_DEPTH,
	   "rec_drop");
REC_ASSERT(sizeof(struct rec_spurious) == 24 + 80 + 24 + 16 + 8, "rec_spurious");
REC_ASSERT(sizeof(struct rec_link) == 24 + 16 + 8 + 16, "rec_link");
REC_ASSERT(sizeof(struct rec_addr) == 48, "rec_addr");
REC_ASSERT(sizeof(struct rec_survey) == 56, "rec_survey");
REC_ASSERT(sizeof(struct rec_connect) == 24 + 80 + 24 + 24 + 16 + 16, "rec_connect");
REC_ASSERT(sizeof(struct rec_lost) == 24 + 24 + 8 + 8, "rec_lost");
REC_ASSERT(sizeof(struct rec_socket) == 24 + 24 + 8 + 24, "rec_socket");
REC_ASSERT(sizeof(struct rec_traffic) == 24 + 8 + 7 * 8, "rec_traffic");

/* Losses are counted per bucket of flows, so that a flood on one does not darken the others. */
#define REBPF_FLOW_BUCKETS 256
#define REBPF_BUCKET_ANY REBPF_FLOW_BUCKETS        /* it may be of any flow */
#define REBPF_BUCKET_NONE (REBPF_FLOW_BUCKETS + 1) /* of none that causes are about: not TCP */
#define REBPF_BUCKET_COUNT (REBPF_FLOW_BUCKETS + 2)

/* The bucket of a socket. The address of a socket is its identity on this host. */
static inline __u32 flow_bucket(__u64 sk)
{
	return (__u32)((sk * 0x9e3779b97f4a7c15ULL) >> 56);
}

/* The bucket of a packet, the same in both directions: of records about packets without a socket. */
static inline __u32 tuple_bucket(const struct rec_tuple *t)
{
	const __u32 *s = (const __u32 *)(const void *)t->saddr, *d = (const __u32 *)(const void *)t->daddr;
	__u64 x = (__u64)(s[0] ^ d[0]) << 32 | (s[3] ^ d[3]);

	x ^= (__u64)(__u16)(t->sport ^ t->dport) << 16;
	return (__u32)((x * 0x9e3779b97f4a7c15ULL) >> 56);
}

#endif
