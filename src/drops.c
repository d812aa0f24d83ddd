// SPDX-License-Identifier: MIT
#include "drops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define IPPROTO_NUMBER_TCP 6
#define RECENT 64 /* of rebpf's own drops, whose buffers are freed a few microseconds later (an emulated machine: 13 ms) */
#define RECENT_NS (50 * NSEC_PER_MSEC)

struct recent {
	struct rec_tuple t;
	uint32_t seq;
	uint64_t skb, ts_ns;
};

struct drops {
	struct places *places;
	struct evidence *evidence;
	struct hostnet *hostnet;
	const struct names *names;
	struct rec_socket socket;
	struct recent recent[RECENT];
	unsigned int recent_count;
	uint64_t recent_ns; /* of the newest */
	struct ev_code stack[REBPF_STACK_DEPTH]; /* of the last drop that had one */
};

struct drops *drops_new(struct places *places, struct evidence *evidence, struct hostnet *hostnet,
			const struct names *names)
{
	struct drops *d = places && evidence && hostnet && names ? calloc(1, sizeof(*d)) : NULL;

	if (!d)
		return NULL;
	d->places = places;
	d->evidence = evidence;
	d->hostnet = hostnet;
	d->names = names;
	return d;
}

void drops_without_evidence(struct drops *d)
{
	d->evidence = NULL;
}

void drops_free(struct drops *d)
{
	free(d);
}

void drops_learn_socket(struct drops *d, const struct rec_socket *s)
{
	d->socket = *s;
}

/* Rebpf's own drop comes first, then perhaps the kernel's kfree_skb of the same buffer. */
static bool is_told(struct drops *d, const struct rec_drop *r)
{
	if (!d->recent_count || (int64_t)(r->h.ts_ns - d->recent_ns) >= (int64_t)RECENT_NS)
		return false;
	for (unsigned int i = 0; i < RECENT; i++) {
		struct recent *x = &d->recent[i];

		if (x->skb && x->skb == r->skb && x->seq == r->seq && !memcmp(&x->t, &r->t, sizeof(r->t)) &&
		    r->h.ts_ns - x->ts_ns < RECENT_NS) {
			x->skb = 0;
			return true;
		}
	}
	return false;
}

static bool is_synthetic(uint8_t source)
{
	return source != DROP_SOURCE_KFREE && source != DROP_SOURCE_INJECT;
}

static void fill_socket(struct drops *d, const struct rec_drop *r, struct ev_drop *ev)
{
	struct rec_flow *f = &ev->c.flow;
	const struct rec_socket *s = &d->socket;

	if (r->sk) {
		ev->has_socket = true;
		ev->received = r->received;
		ev->c.owner = r->owner;
		f->sk = r->sk;
		f->state = r->state;
		f->uid = r->uid;
		f->cgroup = r->cgroup;
		f->ino = r->ino;
	} else if (s->skb && s->skb == r->skb) {
		ev->has_socket = true;
		ev->received = s->received;
		f->sk = s->skb; /* not its address, but the mark that there is one */
		f->state = s->state;
		f->uid = s->uid;
		f->cgroup = s->cgroup;
		f->ino = s->ino;
	}
	if (s->skb && s->skb == r->skb && s->owner.tgid)
		ev->c.owner = s->owner;
	d->socket.skb = 0;
}

static void fill_stack(struct drops *d, const struct rec_drop *r, struct ev_drop *ev)
{
	for (unsigned int i = 0; i < REBPF_STACK_DEPTH && r->stack[i]; i++) {
		struct ev_code *code = &d->stack[ev->stack_count++];
		struct ev_drop_place place = {};

		names_fill(d->names, r->stack[i], 0, &place);
		code->address = r->stack[i];
		code->offset = place.offset;
		memcpy(code->symbol, place.symbol, sizeof(code->symbol));
		memcpy(code->module, place.module, sizeof(code->module));
	}
	ev->stack = d->stack;
}

static void fill(struct drops *d, const struct rec_drop *r, const struct place *place, struct ev_drop *ev)
{
	struct rec_flow *f = &ev->c.flow;

	memcpy(f->laddr, r->t.saddr, sizeof(f->laddr));
	memcpy(f->raddr, r->t.daddr, sizeof(f->raddr));
	f->lport = r->t.sport;
	f->rport = r->t.dport;
	f->ip_version = r->t.ip_version;
	f->netns = r->netns;
	ev->c.task = r->task;
	ev->place = place->text;
	memcpy(ev->place.ifname, r->ifname, sizeof(ev->place.ifname));
	ev->meaning = place->meaning;
	ev->synthetic = is_synthetic(r->source);
	ev->protocol = r->t.protocol;
	ev->tcp_flags = r->tcp_flags;
	ev->has_segment = r->t.protocol == IPPROTO_NUMBER_TCP && (r->tcp_flags || r->seq || r->ack);
	ev->seq = r->seq;
	ev->end_seq = r->end_seq;
	ev->ack = r->ack;
	ev->len = r->end_seq - r->seq - !!(r->tcp_flags & 1) - !!(r->tcp_flags & 2);
	ev->packet_len = r->len;
	ev->skb = r->skb;
	fill_socket(d, r, ev);
	if (r->stack[0])
		fill_stack(d, r, ev);
}

static bool begins_with_any(const char *text, const char *const *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strncmp(text, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/*
 * Most drops inside the sending call are its failure: netfilter (-EPERM), TC and full queues (NET_XMIT_DROP), no route. Not
 * so where a queueing discipline drops on purpose (netem, or NET_XMIT_CN, which TCP takes for success), or drops another
 * packet than the one that comes. What a discipline with classes makes of its leaf's answer is not known here.
 */
static enum evidence_unsent judge_unsent(const struct rec_drop *r, const struct place *place)
{
	static const char *const silent[] = { "netem", "fq_codel", "red", "sfb", "choke", "gred", "sfq", "cake", "hhf",
					      "fq_pie", "dualpi2" };
	static const char *const plain[] = { "noqueue", "pfifo", "bfifo", "tbf", "codel", "pie", "fq" };
	static const char *const early[] = { "nf_", "nft_", "ipt_", "ip_", "ip6_", "__ip", "xfrm", "sk_filter",
					     "__cgroup_bpf", "tcp_" };
	char qdisc[sizeof(r->qdisc) + 1] = "";

	if (!(r->bits & DROP_BIT_UNSENT))
		return UNSENT_NOT;
	memcpy(qdisc, r->qdisc, sizeof(r->qdisc));
	/* neigh_resolve_output() says success whatever becomes of what waits for an address. */
	if (!strncmp(place->text.reason, "NEIGH_", 6) || strstr(place->text.symbol, "neigh"))
		return UNSENT_SUCCEEDED;
	if (!strncmp(place->text.reason, "NETFILTER", 9) || !strncmp(place->text.reason, "TC_", 3) ||
	    begins_with_any(place->text.symbol, early, ARRAY_SIZE(early)) || !qdisc[0])
		return UNSENT_FAILED;
	if (begins_with_any(qdisc, silent, ARRAY_SIZE(silent)))
		return UNSENT_SUCCEEDED;
	return begins_with_any(qdisc, plain, ARRAY_SIZE(plain)) ? UNSENT_FAILED : UNSENT_UNCLEAR;
}

bool drops_take(struct drops *d, const struct rec_drop *r, struct ev_drop *ev)
{
	enum drop_source source = r->source < DROP_SOURCE_COUNT ? r->source : DROP_SOURCE_KFREE;
	const struct place *place;
	struct rec_drop named;
	uint32_t id;

	if (source == DROP_SOURCE_KFREE && is_told(d, r))
		return false;
	/* Where the kernel side had only the number of the device. */
	if (!r->ifname[0] && r->ifindex) {
		named = *r;
		snprintf(named.ifname, sizeof(named.ifname), "%s", hostnet_ifname(d->hostnet, r->netns, r->ifindex));
		r = &named;
	}
	if (is_synthetic(source)) {
		d->recent[d->recent_count++ % RECENT] = (struct recent){ r->t, r->seq, r->skb, r->h.ts_ns };
		if (r->h.ts_ns > d->recent_ns)
			d->recent_ns = r->h.ts_ns;
	}
	id = places_id(d->places, r->location, r->reason, source);
	place = places_get(d->places, id);
	if (d->evidence && r->t.protocol == IPPROTO_NUMBER_TCP && source != DROP_SOURCE_RETRIES_EXCEEDED)
		evidence_add(d->evidence, r, id, place->fate, judge_unsent(r, place));
	if (place->is_drivers)
		hostnet_note_drop(d->hostnet, r->netns, r->ifindex, r->h.ts_ns);
	fill(d, r, place, ev);
	return true;
}
