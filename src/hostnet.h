/* SPDX-License-Identifier: MIT */
/*
 * What surveys said of the host (LINK, ADDR, SURVEY records), as the rules of `network` ask for it (cause.md, a-f). Pure:
 * knows only what records told it. Bounded.
 */
#ifndef REBPF_HOSTNET_H
#define REBPF_HOSTNET_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/event.h"

struct hostnet;

struct hostnet *hostnet_new(void); /* NULL: no memory */
void hostnet_free(struct hostnet *h);

void hostnet_learn_link(struct hostnet *h, const struct rec_link *l);
void hostnet_learn_addr(struct hostnet *h, const struct rec_addr *a);
void hostnet_learn_survey(struct hostnet *h, const struct rec_survey *s);

/* The device's driver dropped a packet, visibly: explains one of its errors. */
void hostnet_note_drop(struct hostnet *h, uint32_t netns, uint32_t ifindex, uint64_t ts_ns);

/*
 * Where a socket of @netns sends to first. By the device, if one is known (@ifindex 0: none); else only if all devices of
 * the namespace but loopback are of one type.
 */
enum link_type hostnet_first_hop(const struct hostnet *h, uint32_t netns, uint32_t ifindex);

/* Does the address belong to a namespace of this host? Also true if that cannot be ruled out. */
bool hostnet_is_local(const struct hostnet *h, const uint8_t addr[16], uint8_t ip_version);

/* Does it belong to this namespace? Also true if that cannot be ruled out. */
bool hostnet_has_address(const struct hostnet *h, uint32_t netns, const uint8_t addr[16], uint8_t ip_version);

/* LINK_* bits of all devices, of one namespace (@netns) or of all (0), now or at any time since @since_ns. */
uint32_t hostnet_bits(const struct hostnet *h, uint32_t netns, uint64_t since_ns);

/* A packet that left this namespace was taken silently by a program: there is one, whether a survey has met it or not. */
void hostnet_note_consumed(struct hostnet *h, uint32_t netns, uint64_t ts_ns);

/*
 * Had what was sent at @sent_ns and was not dropped left every queue of this host not more than @slack_ns after @until_ns?
 * (Queues of queueing disciplines, CPUs, neighbours and NFQUEUE.)
 */
bool hostnet_has_left_queues(const struct hostnet *h, uint64_t sent_ns, uint64_t until_ns, uint64_t slack_ns);

/* Have devices (of @netns, or of all: 0) or CPUs lost packets between the two times that no drop record explains? */
bool hostnet_lost_silently(const struct hostnet *h, uint32_t netns, uint64_t from_ns, uint64_t until_ns);

/* Its name, of at most REBPF_IFNAME_LEN with its NUL; "": not known. Valid until the next record. */
const char *hostnet_ifname(const struct hostnet *h, uint32_t netns, uint32_t ifindex);

/* Is there a device that encapsulates, and is up, in any namespace? */
bool hostnet_has_tunnels(const struct hostnet *h);

/* When the last survey began; 0: there was none. */
uint64_t hostnet_surveyed_ns(const struct hostnet *h);

#endif
