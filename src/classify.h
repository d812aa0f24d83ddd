/* SPDX-License-Identifier: MIT */
/* Why did the kernel retransmit: from what the socket looked like at the call (net/ipv4/tcp_timer.c, tcp_input.c). */
#ifndef REBPF_CLASSIFY_H
#define REBPF_CLASSIFY_H

#include "../bpf/event.h"
#include "event.h"

/* The type of the attempt that began with @e. Never a guess: RTX_TYPE_UNKNOWN if the fields fit none. */
enum rtx_type classify_type(const struct rec_rtx_entry *e);

/* Payload bytes of the range: without the sequence numbers that SYN and FIN take. */
uint32_t classify_payload(uint32_t seq, uint32_t end_seq, uint16_t tcp_flags);

#endif
