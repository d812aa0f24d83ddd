/* SPDX-License-Identifier: MIT */
/* From DROP records to drop events and to evidence: each dropped packet is judged, remembered and described once. */
#ifndef REBPF_DROPS_H
#define REBPF_DROPS_H

#include "evidence.h"
#include "hostnet.h"
#include "places.h"

struct drops;

/* All arguments stay the caller's and must outlive it. NULL: no memory, or one of them is NULL. */
struct drops *drops_new(struct places *places, struct evidence *evidence, struct hostnet *hostnet,
			const struct names *names);
/* Nobody asks where a copy was lost: the drops from now on are not kept. */
void drops_without_evidence(struct drops *d);
void drops_free(struct drops *d);

/* Whose packet the next DROP with the same skb is. */
void drops_learn_socket(struct drops *d, const struct rec_socket *s);

/*
 * Takes a drop (and completes its device's name) into the evidence and describes it (*ev is all zero). False: it is the same loss that was told before (the
 * kernel frees a packet of which rebpf has already said why).
 */
bool drops_take(struct drops *d, const struct rec_drop *r, struct ev_drop *ev);

#endif
