// SPDX-License-Identifier: MIT
/*
 * Recordings of any size, from nothing, to stdout: what user space costs, and what it keeps, by number of flows.
 *
 *	stream drops FLOWS COUNT	SYNs that netfilter dropped
 *	stream retransmits FLOWS COUNT	segments sent again, no drop beside them
 *	stream lost FLOWS COUNT		each after the drop of its first copy
 *
 * The flows take turns. Each retransmission is a new segment of its socket: 10.x.y.z:443 > 10.0.0.2:51234.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/records.h"
#include "util.h"

#define REASON 2
#define TICK_EVERY 256
#define RTT_NS 10000000 /* from a copy's departure to the next one's */

static void put(const union record *r)
{
	if (fwrite(r, r->h.size, 1, stdout) != 1)
		exit(1);
}

static void put_new(union record r)
{
	put(&r);
}

static void set_address(uint8_t addr[16], unsigned int flow)
{
	memcpy(addr, (uint8_t[]){ 10, (uint8_t)(1 + (flow >> 16)), (uint8_t)(flow >> 8), (uint8_t)flow }, 4);
}

/* As kernels choose them: spread over all of the space. */
static uint32_t seq_of(unsigned int flow, unsigned int turn)
{
	return flow * 2654435761u + turn * MSS;
}

static union record dropped(unsigned int flow, unsigned int turn, uint32_t flags)
{
	union record r = make_dropped(REASON);
	struct rec_drop *d = &r.rec_drop;

	set_address(d->t.saddr, flow);
	d->tcp_flags = (uint8_t)flags;
	d->seq = seq_of(flow, turn);
	d->end_seq = d->seq + (flags & TCP_SYN ? 1 : MSS);
	d->ack = seq_of(flow, 7);
	d->skb = COPY + turn * 256;
	d->stamp_ns = flags & TCP_SYN ? 0 : d->h.ts_ns - 1000;
	d->task = (struct rec_owner){ .tgid = 77, .comm = "stream" };
	return r;
}

/* One attempt of a socket whose segment @turn was sent at @sent_ns. */
static void put_attempt(unsigned int flow, unsigned int turn, uint64_t sent_ns)
{
	uint64_t sk = SK + flow * 4096ULL, skb = SKB + turn * 256;
	union record entry = make_entry(sk, skb), tc = make_tc(sk, skb, COPY), out = make_exit(sk, skb, 0);
	struct rec_rtx_entry *e = &entry.rec_rtx_entry;

	set_address(e->flow.laddr, flow);
	e->stamp_ns = sent_ns;
	e->delivered_us = sent_ns / 1000 - 10;
	e->seq = e->snd_una = seq_of(flow, turn);
	e->end_seq = e->seq + MSS;
	e->snd_nxt = e->seq + 10 * MSS;
	e->total_retrans = turn;
	e->rcv_nxt = seq_of(flow, 7);
	tc.rec_rtx_tc.c.seq = out.rec_rtx_exit.seq = e->seq;
	tc.rec_rtx_tc.c.end_seq = out.rec_rtx_exit.end_seq = e->end_seq;
	tc.rec_rtx_tc.c.stamp_ns = out.rec_rtx_exit.stamp_ns = e->h.ts_ns;
	out.rec_rtx_exit.total_retrans = turn + 1;
	out.rec_rtx_exit.queued = 1;
	put(&entry);
	put(&tc);
	put(&out);
}

int main(int argc, char **argv)
{
	unsigned int flows = argc == 4 ? (unsigned int)atoi(argv[2]) : 0, count = argc == 4 ? (unsigned int)atoi(argv[3]) : 0;
	bool is_drops = argc == 4 && !strcmp(argv[1], "drops"), is_lost = argc == 4 && !strcmp(argv[1], "lost");

	if (!flows || flows > 1 << 22 || !count || (!is_drops && !is_lost && strcmp(argv[1], "retransmits"))) {
		fprintf(stderr, "usage: stream drops|retransmits|lost FLOWS COUNT\n");
		return 2;
	}
	record_ns = NSEC_PER_SEC;
	put_new(make_host(HOST_MODE_1 | HOST_SEES_ALL_DROPS));
	put_new(make_clock(record_ns, 1700000000 * NSEC_PER_SEC));
	put_new(make_reason(REASON, "NETFILTER_DROP"));
	put_new(make_symbol(0xffffffff81000000 + REASON, "nft_do_chain", 0x3e8));
	put_new(make_tick(0));
	record_ns += NSEC_PER_SEC;
	for (unsigned int i = 0; i < count; i++) {
		unsigned int flow = i % flows, turn = i / flows;

		if (is_drops)
			put_new(dropped(flow, turn, TCP_SYN));
		else if (is_lost)
			put_new(dropped(flow, turn, TCP_ACK));
		if (!is_drops) {
			uint64_t sent_ns = record_ns - 1000;

			record_ns += RTT_NS;
			put_attempt(flow, turn, sent_ns);
		}
		if (i % TICK_EVERY == TICK_EVERY - 1 || i == count - 1)
			put_new(make_tick(0));
	}
	return fflush(stdout) ? 1 : 0;
}
