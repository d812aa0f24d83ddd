/* SPDX-License-Identifier: MIT */
/*
 * How often was this byte retransmitted? Remembers the retransmitted, not yet acknowledged ranges of each socket.
 * Bounded: the least recently used sockets are forgotten, and then their counts are unknown rather than wrong.
 */
#ifndef REBPF_FLOWS_H
#define REBPF_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/event.h"

struct flows;

struct flows *flows_new(unsigned int max_flows);
void flows_free(struct flows *f);

/*
 * @total_before:  tcp_sock.total_retrans before the attempt: 0 proves that nothing was retransmitted before, and a
 *                 number other than the one after our last attempt that we missed one.
 * @total_after:   the same after it.
 * @never_before:  the segment was not yet marked as retransmitted (TCPCB_EVER_RETRANS).
 * @transmitted:   it was not refused.
 * @timeout:       the retransmission timer itself sent it, and entered the episode of the Loss state that @high_seq
 *                 (tcp_sock.high_seq) names.
 */
/*
 * A copy that was retransmitted, remembered for the next attempt at its bytes.
 * @sent_ns:  when the attempt began.
 * @tsval, @ip_id: of its packet, 0: not seen.
 * @stolen:   another program's TC verdict took it. @failed: the call failed though it transmitted.
 * @cause:    the verdict that was printed.
 */
struct flows_copy {
	uint64_t sent_ns;
	uint64_t stamp_ns; /* its departure time, 0: not known */
	uint32_t tsval;
	uint16_t ip_id;
	bool stolen, failed;
	uint8_t cause; /* enum rtx_cause */
};

struct flows_attempt {
	uint32_t seq, end_seq;
	uint32_t snd_una;
	uint32_t total_before, total_after;
	bool never_before;
	bool transmitted;
	uint32_t high_seq;
	bool timeout;
	struct flows_copy copy;
	uint32_t sk_drops; /* of the socket, now */
};

enum flows_loss { FLOWS_LOSS_UNKNOWN, FLOWS_LOSS_BY_TIMEOUT, FLOWS_LOSS_WITHOUT_TIMEOUT };

/* Which retransmission of the byte at @seq this is, counting from 1; 0: unknown. Notes it for the next. */
uint32_t flows_count(struct flows *f, const struct rec_flow *flow, const struct flows_attempt *a);

/* Of the socket that was counted last, while it is in the Loss state: how did the episode of @high_seq begin? */
enum flows_loss flows_loss(const struct flows *f, uint32_t high_seq);

/* Of the attempt that was counted last: the previous retransmission of its first byte. NULL: there was none, or unknown. */
const struct flows_copy *flows_previous(const struct flows *f);
/*
 * How many segments did the socket retransmit since its attempt before that nobody told of? By its own counter; 0 if that
 * attempt is not remembered.
 */
uint32_t flows_unseen(const struct flows *f);
/* Has the socket dropped packets since its attempt before, or (@f has not seen one) ever? */
bool flows_sk_drops_rose(const struct flows *f);
/* Notes the verdict of the attempt that was counted last. */
void flows_set_cause(struct flows *f, uint8_t cause);
/*
 * The verdict on the last retransmission of a socket that overlaps [@seq, @end_seq), or, if they are equal, on its last
 * one. False: none is remembered.
 */
bool flows_cause(const struct flows *f, const struct rec_flow *flow, uint32_t seq, uint32_t end_seq, uint8_t *cause);

/* Sockets known now. */
unsigned int flows_size(const struct flows *f);

#endif
