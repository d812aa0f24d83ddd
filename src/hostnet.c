// SPDX-License-Identifier: MIT
#include "hostnet.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

#define MAX_LINKS 16384
#define MAX_ADDRS 16384
#define MAX_SURVEYS 256 /* of the last seconds */
#define MAX_RISES 256
#define MAX_PASTS 256
#define LINK_TAKES (LINK_XDP | LINK_TC_CONSUMES)
#define PAST_STEP_NS (100 * NSEC_PER_MSEC)

struct link {
	uint32_t netns, ifindex;
	uint32_t bits;
	uint8_t type;
	uint64_t errors;
	char ifname[REBPF_IFNAME_LEN];
	uint64_t since_ns;  /* its counters are known since then */
	uint64_t explained; /* drop records since @errors was read */
};

struct addr {
	uint8_t addr[16];
	uint32_t netns;
	uint8_t ip_version;
};

struct moment {
	uint64_t begin_ns, end_ns;
	uint64_t left_ns; /* rec_survey.left_ns */
};

/* So many packets were lost silently at some time between the two. @netns 0: by a CPU. */
struct rise {
	uint64_t from_ns, until_ns;
	uint64_t amount;
	uint32_t netns, ifindex;
};

/* There was something that takes packets silently until then. */
struct past {
	uint64_t until_ns;
	uint32_t netns, bits;
};

struct hostnet {
	struct link *links;
	struct addr *addrs;
	uint32_t link_count, link_cap, addr_count, addr_cap;
	struct moment survey[MAX_SURVEYS];
	struct rise rise[MAX_RISES];
	struct past past[MAX_PASTS];
	uint64_t pasts;
	uint64_t surveys, rises; /* so far; the newest is at [(n - 1) % MAX] */
	uint64_t softnet;
	uint64_t first_ns; /* end of the first survey */
	uint64_t forgotten_ns; /* rises up to here may have been overwritten */
	bool incomplete, overflowed;
};

struct hostnet *hostnet_new(void)
{
	return calloc(1, sizeof(struct hostnet));
}

void hostnet_free(struct hostnet *h)
{
	if (!h)
		return;
	free(h->links);
	free(h->addrs);
	free(h);
}

/* Room for one more; false: none. */
static bool grow(void **list, uint32_t count, uint32_t *cap, uint32_t max, size_t size)
{
	uint32_t n = *cap ? *cap * 2 : 32;
	void *grown;

	if (count < *cap)
		return true;
	if (count >= max)
		return false;
	grown = realloc(*list, n * size);
	if (!grown)
		return false;
	*list = grown;
	*cap = n;
	return true;
}

static struct link *find_link(const struct hostnet *h, uint32_t netns, uint32_t ifindex)
{
	for (uint32_t i = 0; i < h->link_count; i++)
		if (h->links[i].netns == netns && h->links[i].ifindex == ifindex)
			return &h->links[i];
	return NULL;
}

static const struct moment *last_survey(const struct hostnet *h)
{
	return h->surveys ? &h->survey[(h->surveys - 1) % MAX_SURVEYS] : NULL;
}

/* Since the last survey began: what it read then is the base of the rise. */
static void note_rise(struct hostnet *h, uint32_t netns, uint32_t ifindex, uint64_t until_ns, uint64_t amount)
{
	const struct moment *last = last_survey(h);
	struct rise *r = &h->rise[h->rises++ % MAX_RISES];

	if (h->rises > MAX_RISES && r->until_ns > h->forgotten_ns)
		h->forgotten_ns = r->until_ns;
	*r = (struct rise){ last ? last->begin_ns : 0, until_ns, amount, netns, ifindex };
}

static void note_past(struct hostnet *h, uint32_t netns, uint32_t bits, uint64_t until_ns)
{
	const struct past *last = h->pasts ? &h->past[(h->pasts - 1) % MAX_PASTS] : NULL;

	/* A program that takes all takes many. */
	if (last && last->netns == netns && last->bits == bits && until_ns - last->until_ns < PAST_STEP_NS)
		return;
	h->past[h->pasts++ % MAX_PASTS] = (struct past){ until_ns, netns, bits };
}

void hostnet_learn_link(struct hostnet *h, const struct rec_link *l)
{
	struct link *known = find_link(h, l->netns, l->ifindex);
	void *list = h->links;

	/* What is no more there may have been until now. */
	if (known && known->bits & ~l->bits & LINK_TAKES)
		note_past(h, known->netns, known->bits & LINK_TAKES, l->h.ts_ns);
	if (l->bits & LINK_GONE) {
		if (known)
			*known = h->links[--h->link_count];
		return;
	}
	if (!known) {
		if (!grow(&list, h->link_count, &h->link_cap, MAX_LINKS, sizeof(*h->links))) {
			h->overflowed = true;
			return;
		}
		h->links = list;
		known = &h->links[h->link_count++];
		/* Without errors, it never lost anything. */
		*known = (struct link){ .netns = l->netns, .ifindex = l->ifindex, .errors = l->errors,
					.since_ns = l->errors ? l->h.ts_ns : 0 };
	}
	if (l->errors > known->errors && l->errors - known->errors > known->explained)
		note_rise(h, l->netns, l->ifindex, l->h.ts_ns, l->errors - known->errors - known->explained);
	known->errors = l->errors;
	memcpy(known->ifname, l->ifname, sizeof(known->ifname));
	known->bits = l->bits;
	known->type = l->type;
}

void hostnet_learn_addr(struct hostnet *h, const struct rec_addr *a)
{
	void *list = h->addrs;

	for (uint32_t i = 0; i < h->addr_count; i++) {
		struct addr *known = &h->addrs[i];

		if (known->netns != a->netns || known->ip_version != a->ip_version ||
		    memcmp(known->addr, a->addr, sizeof(a->addr)))
			continue;
		if (a->gone)
			*known = h->addrs[--h->addr_count];
		return;
	}
	if (a->gone)
		return;
	if (!grow(&list, h->addr_count, &h->addr_cap, MAX_ADDRS, sizeof(*h->addrs))) {
		h->overflowed = true;
		return;
	}
	h->addrs = list;
	h->addrs[h->addr_count] = (struct addr){ .netns = a->netns, .ip_version = a->ip_version };
	memcpy(h->addrs[h->addr_count++].addr, a->addr, sizeof(a->addr));
}

/* Recordings of before rebpf followed single queues say only whether any held packets. */
static uint64_t left_ns(const struct rec_survey *s)
{
	if (s->left_ns || s->bits & (SURVEY_QUEUED | SURVEY_INCOMPLETE))
		return s->left_ns;
	return s->begin_ns;
}

void hostnet_learn_survey(struct hostnet *h, const struct rec_survey *s)
{
	if (h->surveys && s->softnet > h->softnet)
		note_rise(h, 0, 0, s->h.ts_ns, s->softnet - h->softnet);
	for (uint32_t i = 0; i < h->link_count; i++)
		h->links[i].explained = 0;
	if (!h->surveys)
		h->first_ns = s->h.ts_ns;
	h->softnet = s->softnet;
	h->incomplete = s->bits & SURVEY_INCOMPLETE;
	h->survey[h->surveys++ % MAX_SURVEYS] = (struct moment){ s->begin_ns, s->h.ts_ns, left_ns(s) };
}

void hostnet_note_drop(struct hostnet *h, uint32_t netns, uint32_t ifindex, uint64_t ts_ns)
{
	struct link *l = ifindex ? find_link(h, netns, ifindex) : NULL;
	uint64_t n = h->rises < MAX_RISES ? h->rises : MAX_RISES;

	/* The counter may have been read before the record. */
	for (uint64_t i = 0; l && i < n; i++) {
		struct rise *r = &h->rise[(h->rises - 1 - i) % MAX_RISES];

		if (r->netns == netns && r->ifindex == ifindex && r->amount && ts_ns >= r->from_ns &&
		    ts_ns <= r->until_ns) {
			r->amount--;
			return;
		}
	}
	if (l)
		l->explained++;
}

enum link_type hostnet_first_hop(const struct hostnet *h, uint32_t netns, uint32_t ifindex)
{
	const struct link *l = ifindex ? find_link(h, netns, ifindex) : NULL;
	enum link_type type = LINK_UNKNOWN;

	if (ifindex)
		return l ? l->type : LINK_UNKNOWN;
	for (uint32_t i = 0; i < h->link_count; i++) {
		l = &h->links[i];
		if (l->netns != netns || l->type == LINK_LOOPBACK)
			continue;
		if (type != LINK_UNKNOWN && type != l->type)
			return LINK_UNKNOWN;
		type = l->type;
	}
	return type;
}

/* @netns 0: in any namespace. */
static bool has_address(const struct hostnet *h, uint32_t netns, const uint8_t addr[16], uint8_t ip_version)
{
	static const uint8_t v6_loopback[16] = { [15] = 1 };

	if (!h->surveys || h->overflowed || (ip_version == 4 && addr[0] == 127) ||
	    (ip_version == 6 && !memcmp(addr, v6_loopback, sizeof(v6_loopback))))
		return true;
	for (uint32_t i = 0; i < h->addr_count; i++)
		if ((!netns || h->addrs[i].netns == netns) && h->addrs[i].ip_version == ip_version &&
		    !memcmp(h->addrs[i].addr, addr, ip_version == 4 ? 4 : 16))
			return true;
	return false;
}

bool hostnet_is_local(const struct hostnet *h, const uint8_t addr[16], uint8_t ip_version)
{
	return h->incomplete || has_address(h, 0, addr, ip_version);
}

bool hostnet_has_address(const struct hostnet *h, uint32_t netns, const uint8_t addr[16], uint8_t ip_version)
{
	return has_address(h, netns, addr, ip_version);
}

uint32_t hostnet_bits(const struct hostnet *h, uint32_t netns, uint64_t since_ns)
{
	uint64_t n = h->pasts < MAX_PASTS ? h->pasts : MAX_PASTS;
	uint32_t bits = 0;

	for (uint32_t i = 0; i < h->link_count; i++)
		if (!netns || h->links[i].netns == netns)
			bits |= h->links[i].bits;
	if (h->pasts > MAX_PASTS && since_ns <= h->past[h->pasts % MAX_PASTS].until_ns)
		bits |= LINK_TC_CONSUMES;
	for (uint64_t i = 0; i < n; i++)
		if ((!netns || h->past[i].netns == netns) && h->past[i].until_ns >= since_ns)
			bits |= h->past[i].bits;
	return bits;
}

void hostnet_note_consumed(struct hostnet *h, uint32_t netns, uint64_t ts_ns)
{
	note_past(h, netns, LINK_TC_CONSUMES, ts_ns + PAST_STEP_NS);
}

bool hostnet_has_left_queues(const struct hostnet *h, uint64_t sent_ns, uint64_t until_ns, uint64_t slack_ns)
{
	uint64_t n = h->surveys < MAX_SURVEYS ? h->surveys : MAX_SURVEYS;

	if (h->incomplete || h->overflowed)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		const struct moment *m = &h->survey[(h->surveys - 1 - i) % MAX_SURVEYS];

		if (m->begin_ns <= sent_ns)
			return false;
		if (m->left_ns > sent_ns && m->end_ns <= until_ns + slack_ns)
			return true;
	}
	return false;
}

bool hostnet_lost_silently(const struct hostnet *h, uint32_t netns, uint64_t from_ns, uint64_t until_ns)
{
	uint64_t n = h->rises < MAX_RISES ? h->rises : MAX_RISES;

	/* Without a base, or without a look at them afterwards, counters say nothing. */
	if (from_ns <= h->forgotten_ns || from_ns < h->first_ns || hostnet_surveyed_ns(h) < until_ns)
		return true;
	for (uint32_t i = 0; i < h->link_count; i++)
		if (h->links[i].since_ns > from_ns && (!netns || h->links[i].netns == netns))
			return true;
	for (uint64_t i = 0; i < n; i++) {
		const struct rise *r = &h->rise[(h->rises - 1 - i) % MAX_RISES];

		if (r->amount && r->until_ns >= from_ns && r->from_ns <= until_ns && (!netns || !r->netns || r->netns == netns))
			return true;
	}
	return false;
}

const char *hostnet_ifname(const struct hostnet *h, uint32_t netns, uint32_t ifindex)
{
	const struct link *l = ifindex ? find_link(h, netns, ifindex) : NULL;

	return l ? l->ifname : "";
}

bool hostnet_has_tunnels(const struct hostnet *h)
{
	for (uint32_t i = 0; i < h->link_count; i++)
		if (h->links[i].type == LINK_TUNNEL && !(h->links[i].bits & LINK_DOWN))
			return true;
	return false;
}

uint64_t hostnet_surveyed_ns(const struct hostnet *h)
{
	const struct moment *last = last_survey(h);

	return last ? last->begin_ns : 0;
}
