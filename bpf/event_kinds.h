/* SPDX-License-Identifier: MIT */
/*
 * The only list of kinds. A new kind is one line here, a payload in event.h, and the code that the build
 * then misses: a decode row for a record, a struct event_type (src/ev_*.c) for an event.
 */
#ifndef REBPF_EVENT_KINDS_H
#define REBPF_EVENT_KINDS_H

/*
 * RECORD_KINDS(X): X(NAME, payload struct, ring).
 * Records are what travels from the kernel, and into a -w file, to the decoder. The ring says who makes it:
 * CONTROL and DROPS are the two ring buffers, USER is rebpf itself: whatever the pipeline has to know besides
 * the rings enters it as a record, so that a replay is exact.
 */
#define RECORD_KINDS(X)                                  \
	X(RTX_ENTRY, rec_rtx_entry, CONTROL)             \
	X(RTX_TC, rec_rtx_tc, CONTROL)                   \
	X(RTX_QUEUED, rec_rtx_queued, CONTROL)           \
	X(RTX_DROP, rec_rtx_drop, CONTROL)               \
	X(RTX_EXIT, rec_rtx_exit, CONTROL)               \
	X(HOST, rec_host, USER)                          \
	X(CLOCK, rec_clock, USER)                        \
	X(SYMBOL, rec_symbol, USER)                      \
	X(REASON, rec_reason, USER)                      \
	X(OWNER, rec_owner_found, USER)                  \
	X(NETNS, rec_netns, USER)                        \
	X(LOSS, rec_loss, USER)                          \
	X(TICK, rec_tick, USER)                          \
	X(DROP, rec_drop, DROPS)                         \
	X(SPURIOUS, rec_spurious, CONTROL)               \
	X(LINK, rec_link, USER)                          \
	X(ADDR, rec_addr, USER)                          \
	X(SURVEY, rec_survey, USER)                      \
	X(SOCKET, rec_socket, USER)                      \
	X(CONNECT, rec_connect, CONTROL)                 \
	X(LOST, rec_lost, USER)                          \
	X(TRAFFIC, rec_traffic, USER)

/*
 * EVENT_KINDS(X): X(NAME, name as typed and printed, payload struct, printed by default).
 * Events are what a user sees: one line each.
 */
#define EVENT_KINDS(X)                                   \
	X(RETRANSMIT, retransmit, ev_retransmit, 1)      \
	X(DROP, drop, ev_drop, 1)                        \
	X(CONNECT, connect, ev_connect, 0)               \
	X(SPURIOUS, spurious, ev_spurious, 1)            \
	X(STATS, stats, ev_stats, 1)

#endif
