// SPDX-License-Identifier: MIT
/*
 * Retransmissions that were not needed, as the sender learns of it: the peer reports bytes that arrived twice (DSACK), or
 * the kernel undoes a time-out or a recovery because original segments turn out to have arrived (F-RTO, time stamps).
 * Only about sockets that have retransmitted lately (spurious_note).
 */
#include "spurious.bpf.h"

/* enum tcp_ca_state, include/uapi/linux/tcp.h */
#define CA_DISORDER 1
#define CA_RECOVERY 3
#define CA_LOSS 4

/* ---- DSACK ---- */

/* The duplicate is the first block of the option, whose offset tcp_parse_options left in the control block. */
SEC("?fexit/tcp_sacktag_write_queue")
int rebpf_dsack(__u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[1];
	__u64 key = ctx[0];
	struct retransmitter *r = bpf_map_lookup_elem(&retransmitters, &key);
	unsigned char *head;
	__u32 block[2], n, at;

	n = r ? dsack_since(r, (void *)ctx[0]) : 0;
	if (!n)
		return 0;
	head = BPF_CORE_READ(skb, head);
	at = BPF_CORE_READ(skb, transport_header) + BPF_CORE_READ(skb_tcb(skb), sacked) + 2;
	if (bpf_probe_read_kernel(block, sizeof(block), head + at))
		block[0] = block[1] = 0;
	spurious_emit((void *)ctx[0], SPURIOUS_DSACK, n, bpf_ntohl(block[0]), bpf_ntohl(block[1]));
	return 0;
}

/* The same by looking from time to time at the sockets themselves: probes_poll_spurious. */
SEC("?iter/bpf_map_elem")
int rebpf_dsack_poll(struct bpf_iter__bpf_map_elem *ctx)
{
	struct retransmitter *r = ctx->value;
	__u64 *key = ctx->key;
	struct sock *sk;
	__u32 n;

	if (!key || !r || bpf_ktime_get_ns() - r->noted_ns > REBPF_SPURIOUS_NS)
		return 0;
	sk = (void *)*key;
	n = dsack_since(r, (void *)sk);
	if (n)
		spurious_emit(sk, SPURIOUS_DSACK, n, 0, 0);
	return 0;
}

/* ---- undo ---- */

/* tcp_tsopt_ecr_before(): the peer echoes a time stamp of before the first retransmission. Same units, since 6.7 too. */
static __always_inline bool echo_is_older(struct tcp_sock *tp)
{
	__u32 ecr = BPF_CORE_READ(tp, rx_opt.rcv_tsecr), stamp = BPF_CORE_READ(tp, retrans_stamp);

	return BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.saw_tstamp) && ecr && stamp && seq_before(ecr, stamp);
}

/*
 * What an undo is founded on. Time stamps are asked first, but only when snd_una advances (tcp_process_loss); an undo by
 * DSACKs, all retransmissions reported as duplicates, has been told of by those.
 */
static __always_inline void undo_emit(struct sock *sk, __u8 ca_state, __u32 marker)
{
	struct tcp_sock *tp = (void *)sk;
	enum spurious_evidence evidence = SPURIOUS_TIMESTAMP;

	if (!BPF_CORE_READ(tp, undo_retrans))
		return;
	if (ca_state == CA_LOSS && BPF_CORE_READ_BITFIELD_PROBED(tp, frto) &&
	    (!echo_is_older(tp) || BPF_CORE_READ(tp, snd_una) == marker))
		evidence = SPURIOUS_FRTO;
	spurious_emit(sk, evidence, 0, 0, 0);
}

/* Every undo comes here. undo_marker names the episode: something was retransmitted in it. */
SEC("?fentry/tcp_undo_cwnd_reduction")
int rebpf_undo(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	__u64 key = ctx[0];
	struct retransmitter *r = bpf_map_lookup_elem(&retransmitters, &key);
	__u32 marker = BPF_CORE_READ((struct tcp_sock *)sk, undo_marker);

	if (r && marker && r->undo_marker == marker)
		undo_emit(sk, BPF_CORE_READ_BITFIELD_PROBED((struct inet_connection_sock *)sk, icsk_ca_state), marker);
	return 0;
}

/*
 * After an undo: undo_marker has been cleared, and the state is about to be left. A recovery that ends as it should
 * comes here with its marker (tcp_try_undo_recovery).
 */
SEC("?tp_btf/tcp_cong_state_set")
int rebpf_undo_state(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	__u64 key = ctx[0];
	__u8 old = BPF_CORE_READ_BITFIELD_PROBED((struct inet_connection_sock *)sk, icsk_ca_state);
	struct known_socket *known;
	struct retransmitter *r;
	__u32 marker;

	if (old < CA_RECOVERY || (__u8)ctx[1] > CA_DISORDER)
		return 0;
	r = bpf_map_lookup_elem(&retransmitters, &key);
	if (!r || !r->undo_marker || BPF_CORE_READ((struct tcp_sock *)sk, undo_marker))
		return 0;
	marker = r->undo_marker;
	r->undo_marker = 0;
	/* The next episode is noted even if it begins where this one did. */
	known = bpf_map_lookup_elem(&sockets, &key);
	if (known)
		known->noted = 0;
	undo_emit(sk, old, marker);
	return 0;
}
