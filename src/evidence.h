/* SPDX-License-Identifier: MIT */
/*
 * The history of dropped TCP packets: which of them was the previous copy of a segment, or its acknowledgement? Bounded;
 * evicts the oldest, and remembers until when it may have forgotten something.
 */
#ifndef REBPF_EVIDENCE_H
#define REBPF_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

struct evidence;

/* At most @max packets (some 180 bytes each with what finds them, touched as needed). NULL: no memory. */
struct evidence *evidence_new(uint32_t max);
void evidence_free(struct evidence *e);

/*
 * What TCP heard of a drop inside the call that first sent the segment (DROP_BIT_UNSENT): an error, and it keeps the
 * segment; success, as of netem's loss, and it will have to retransmit.
 */
enum evidence_unsent { UNSENT_NOT, UNSENT_FAILED, UNSENT_SUCCEEDED, UNSENT_UNCLEAR };

/* @place: of places.h; @fate: what it means for the bytes. */
void evidence_add(struct evidence *e, const struct rec_drop *d, uint32_t place, enum drop_fate fate,
		  enum evidence_unsent unsent);

/*
 * The segment that was retransmitted, and which copies count.
 * @t:          the socket's ends, local first. @sk: its address.
 * @seq, @end_seq: what was retransmitted. The verdict is about the byte at @seq.
 * @is_first:   nothing of it was retransmitted before. @is_syn: the peer's sequence numbers are not known
 *              yet. @is_synack: it answers them.
 * @ack_seq:    what the peer's packets start at, as far as the socket knows (tcp_sock.rcv_nxt).
 * @snd_nxt:    nothing beyond was ever sent.
 * @from_ns, @until_ns: drops of then.
 * @ts_from, @ts_until: time stamp values of copies of then, if @has_ts; if @is_unit_unknown, these of a clock in ms or the
 *              same of one in us.
 * @any_addresses: its packets may have been translated out of rebpf's sight.
 * @stamp_ns, @tsval, @ip_id: of the previous copy, where another one may be dropped too; 0: not known.
 * @skip_unsent: a drop inside the call that first sent the segment does not count where that call failed: the original is
 *               a later one.
 */
struct evidence_query {
	struct rec_tuple t;
	uint64_t sk;
	uint32_t seq, end_seq;
	uint32_t ack_seq, snd_nxt;
	uint64_t from_ns, until_ns;
	bool has_ts, any_addresses, skip_unsent, is_first, is_syn, is_synack, is_unit_unknown;
	uint64_t stamp_ns;
	uint32_t ts_from, ts_until;
	uint32_t ts_from_us, ts_until_us;
	uint32_t ts_second; /* ticks of the time stamp clock in a second */
	uint32_t tsval;
	uint16_t ip_id;
};

/* A dropped packet, as found. */
struct evidence_drop {
	bool found;
	bool nat;
	uint64_t ts_ns;
	uint32_t place;
	uint32_t seq, end_seq;
	uint32_t netns, pid;
	char ifname[REBPF_IFNAME_LEN];
};

/*
 * @lost:      the previous copy met its end here; @covered bytes of the range did.
 * @ack_lost:  so did a segment that acknowledged the byte.
 * @delivered: a copy was freed after it had been processed.
 * @unclear, @driver: a copy, or an acknowledgement, was freed where that says nothing certain.
 * @nat:       a drop of other addresses may be the one, which cannot be proved.
 * @forgotten: the history of that time is not complete.
 */
struct evidence_answer {
	struct evidence_drop lost, ack_lost;
	uint32_t covered;
	bool delivered, unclear, driver, nat, forgotten;
};

void evidence_ask(const struct evidence *e, const struct evidence_query *q, struct evidence_answer *a);

/* The copy with this departure time, if it was dropped between the two times. */
bool evidence_find_copy(const struct evidence *e, const struct rec_tuple *t, uint64_t stamp_ns, uint64_t from_ns,
			uint64_t until_ns, struct evidence_drop *out);

#endif
