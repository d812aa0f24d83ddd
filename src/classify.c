// SPDX-License-Identifier: MIT
#include "classify.h"

/* include/net/tcp_states.h; part of the ABI (bpf.h has them as BPF_TCP_*) */
#define STATE_SYN_SENT 2
#define STATE_SYN_RECV 3

/* icsk_pending, include/net/inet_connection_sock.h: the same from 5.10 to 7.3 */
#define PENDING_NONE 0
#define PENDING_LOSS_PROBE 5

/* enum tcp_ca_state, include/uapi/linux/tcp.h */
#define CA_CWR 2
#define CA_RECOVERY 3
#define CA_LOSS 4

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02

/*
 * In the Loss state: the timer zeroes icsk_pending before it retransmits (tcp_write_timer_handler), so with it zero
 * the timer itself runs. Otherwise an ACK clocks out what is marked lost, or tcp_simple_retransmit, which clears
 * undo_marker and prior_ssthresh, reacts to a smaller path MTU.
 */
static enum rtx_type classify_loss(const struct rec_rtx_entry *e)
{
	if (e->pending == PENDING_NONE)
		return e->snd_wnd ? RTX_TYPE_RTO : RTX_TYPE_ZERO_WINDOW;
	if (e->undo_marker || e->prior_ssthresh)
		return RTX_TYPE_SLOW_START;
	/* The data of a fast open SYN that was not taken goes the same way by 6.1: not a matter of the path MTU. */
	if ((e->bits & RTX_BIT_SYN_DATA) && e->bytes_acked_low <= 1)
		return RTX_TYPE_UNKNOWN;
	return RTX_TYPE_PMTU;
}

enum rtx_type classify_type(const struct rec_rtx_entry *e)
{
	if (e->hook == RTX_HOOK_SYNACK || e->hook == RTX_HOOK_SYNACK_TP)
		return RTX_TYPE_SYNACK;
	if (e->flow.state == STATE_SYN_SENT)
		return RTX_TYPE_SYN;
	/* A simultaneous open: the socket itself answers with its SYN-ACK. */
	if (e->flow.state == STATE_SYN_RECV && (e->tcp_flags & FLAG_SYN))
		return RTX_TYPE_SYNACK;
	if (e->ca_state == CA_LOSS)
		return classify_loss(e);
	if (e->ca_state == CA_RECOVERY)
		return RTX_TYPE_FAST;
	/* tcp_send_loss_probe leaves its own timer pending until it is done. */
	if (e->ca_state <= CA_CWR && e->pending == PENDING_LOSS_PROBE)
		return RTX_TYPE_TLP;
	return RTX_TYPE_UNKNOWN;
}

uint32_t classify_payload(uint32_t seq, uint32_t end_seq, uint16_t tcp_flags)
{
	uint32_t len = end_seq - seq;
	uint32_t taken = !!(tcp_flags & FLAG_SYN) + !!(tcp_flags & FLAG_FIN);

	return len > taken ? len - taken : 0;
}
