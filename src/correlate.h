/* SPDX-License-Identifier: MIT */
/*
 * Joins the records of an attempt into one event, by the address of the segment in the retransmit queue (P) and of its
 * socket. Has no clock and reads nothing but records: a replay gives what the live run gave.
 *
 *   with entry hooks:    ENTRY  (TC QUEUED? DROP*)*  EXIT
 *   without:             (TC QUEUED? DROP*)*  ENTRY(late, the EXIT too; in format 1 there is one)
 *
 * All of one attempt happens under the socket's lock, so a socket has at most one open attempt, and its records come in
 * this order. An event is released when a TICK says that the rings have been read past its end.
 */
#ifndef REBPF_CORRELATE_H
#define REBPF_CORRELATE_H

#include "decode.h"
#include "event.h"

struct correlate;

typedef void correlate_event_fn(void *ctx, const struct event *ev);

/* Bounded: at most @max_open attempts are open and @max_flows sockets remembered. NULL: out of memory. */
struct correlate *correlate_new(unsigned int max_open, unsigned int max_flows, correlate_event_fn *fn, void *ctx);

/*
 * Before the first record: nobody asks for causes, so drops are not kept to find them in, which is a good part of what a drop
 * costs; retransmissions are counted as of an unknown cause (drops_not_traced).
 */
void correlate_without_causes(struct correlate *c);
void correlate_free(struct correlate *c);

void correlate_record(struct correlate *c, const union record *r);

/* The stream has ended: releases what is finished, counts what never ended as incomplete. */
void correlate_finish(struct correlate *c);

/* The time of the stream: of its last TICK, on both clocks. */
void correlate_time(const struct correlate *c, uint64_t *mono_ns, uint64_t *wall_ns);

/* Fills what the correlation knows of the statistics; leaves the other fields alone. */
void correlate_stats(const struct correlate *c, struct ev_stats *stats);

/*
 * The copy of a finished attempt should have passed a watched device of @netns and was not seen: ask egress.c to look
 * for new interfaces. Returns false if there is none; else takes it off the list.
 */
bool correlate_take_missed(struct correlate *c, uint32_t *netns, uint32_t *hint_tgid);

#endif
