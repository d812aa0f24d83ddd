/* SPDX-License-Identifier: MIT */
/* Sockets that have retransmitted lately, and the record that says that a retransmission was not needed. */
#ifndef REBPF_SPURIOUS_BPF_H
#define REBPF_SPURIOUS_BPF_H

#include "rebpf.bpf.h"

/* That @sk retransmits, and how it stands. */
static __always_inline void spurious_note(struct sock *sk, __u64 now)
{
	struct tcp_sock *tp = CAST((struct tcp_sock *)sk);
	const bool typed = HAS_CAST;
	struct retransmitter r = {}, *known;
	__u64 key = (__u64)sk;

	if (!cfg.note_retransmitters)
		return;
	known = bpf_map_lookup_elem(&retransmitters, &key);
	if (known) {
		known->noted_ns = now;
		known->undo_marker = FIELD(typed, tp, undo_marker);
	} else {
		r.noted_ns = now;
		r.dsack_dups = BPF_CORE_READ(tp, dsack_dups);
		r.undo_marker = BPF_CORE_READ(tp, undo_marker);
		bpf_map_update_elem(&retransmitters, &key, &r, BPF_ANY);
	}
	shared.retransmitted_ns = now;
}

/* The same, given what is known of @sk, or NULL: it is noted eight times a second at most, unless it stands otherwise. */
static __always_inline void spurious_note_known(struct sock *sk, __u64 now, struct known_socket *known)
{
	struct tcp_sock *tp = CAST((struct tcp_sock *)sk);
	__u32 undo_marker = FIELD(HAS_CAST, tp, undo_marker), at = (__u32)(now >> REBPF_NOTED_SHIFT);

	if (!cfg.note_retransmitters)
		return;
	if (known) {
		if (known->noted == at && known->undo_marker == undo_marker)
			return;
		known->noted = at;
		known->undo_marker = undo_marker;
	}
	spurious_note(sk, now);
}

static __always_inline void spurious_emit(struct sock *sk, enum spurious_evidence evidence, __u32 dups, __u32 seq,
					  __u32 end_seq)
{
	struct rec_spurious *s;
	struct rec_flow flow;

	if (!flow_read_ends(&flow, &sk->__sk_common) || !flow_wanted(&flow))
		return;
	s = EMIT_CONTROL(rec_spurious, REC_SPURIOUS, (__u64)sk);
	if (!s)
		return;
	flow_read_identity(&flow, sk);
	s->flow = flow;
	owner_read(&s->owner, (__u64)sk);
	s->seq = seq;
	s->end_seq = end_seq;
	s->snd_una = BPF_CORE_READ((struct tcp_sock *)sk, snd_una);
	s->dups = dups;
	s->evidence = evidence;
	__builtin_memset(s->zero, 0, sizeof(s->zero));
	emit_submit(s);
}

/*
 * How many duplicates the peer has reported since we last looked (tcp_dsack_seen). More of them than there were
 * retransmissions: the network duplicates packets, and the kernel does not believe them either.
 */
static __always_inline __u32 dsack_since(struct retransmitter *r, struct tcp_sock *tp)
{
	const bool typed = HAS_CAST;
	__u32 dups, n;

	tp = CAST(tp);
	dups = FIELD(typed, tp, dsack_dups);
	n = dups - r->dsack_dups;
	if (!n)
		return 0;
	r->dsack_dups = dups;
	/* A socket that is connected anew begins at 0. */
	return (__s32)n < 0 || dups > BPF_CORE_READ(tp, total_retrans) ? 0 : n;
}

/* The last look at @sk: the acknowledgement that ends a connection may carry a DSACK. Its owner must still be known. */
static __always_inline void spurious_end(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct retransmitter *r;
	__u32 n;

	if (!cfg.note_retransmitters)
		return;
	r = bpf_map_lookup_elem(&retransmitters, &key);
	if (!r)
		return;
	n = dsack_since(r, (void *)sk);
	if (n)
		spurious_emit(sk, SPURIOUS_DSACK, n, 0, 0);
	bpf_map_delete_elem(&retransmitters, &key);
}

#endif
