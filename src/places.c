// SPDX-License-Identifier: MIT
#include "places.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

#define MAX_PLACES 16384
#define BUCKETS 4096 /* a power of two */

struct entry {
	uint64_t location;
	uint32_t reason;
	uint32_t source;
	uint32_t next; /* id of the next one in the bucket, 0: none */
	bool judged;
	struct place place;
};

struct places {
	const struct names *names;
	struct entry *entries; /* [0] is the unknown one */
	uint32_t count, cap;
	uint32_t bucket[BUCKETS];
};

struct places *places_new(const struct names *names)
{
	struct places *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->names = names;
	p->cap = 64;
	p->entries = calloc(p->cap, sizeof(*p->entries));
	if (!p->entries) {
		free(p);
		return NULL;
	}
	p->count = 1;
	p->entries[0].place.text.known = true;
	p->entries[0].place.meaning = meaning_of("", "", "");
	p->entries[0].judged = true;
	return p;
}

void places_free(struct places *p)
{
	if (!p)
		return;
	free(p->entries);
	free(p);
}

static const char *own_name(uint32_t source)
{
	static const char *const names[DROP_SOURCE_COUNT] = {
		[DROP_SOURCE_LISTEN_OVERFLOW] = "TCP_LISTEN_OVERFLOW",
		[DROP_SOURCE_REQQ_FULL] = "TCP_REQQ_FULL",
		[DROP_SOURCE_RETRIES_EXCEEDED] = "RETRIES_EXCEEDED",
		[DROP_SOURCE_INJECT] = "REBPF_INJECT",
	};

	return source < ARRAY_SIZE(names) ? names[source] : NULL;
}

static void judge(const struct places *p, struct entry *e)
{
	struct ev_drop_place *text = &e->place.text;
	const char *own = own_name(e->source);

	memset(text, 0, sizeof(*text));
	text->known = true;
	if (!own || e->source == DROP_SOURCE_INJECT)
		names_fill(p->names, e->location, e->reason, text);
	if (own)
		memcpy(text->reason, own, strlen(own) + 1);
	e->place.meaning = meaning_of(text->reason, text->symbol, text->module);
	text->class = e->place.meaning->class;
	e->place.fate = e->place.meaning->fate;
	/* From 6.3 the reason TCP_OLD_SEQUENCE takes the old duplicates away from TCP_INVALID_SEQUENCE (tcp_sequence). */
	if (e->place.fate == DROP_FATE_OUTSIDE && names_has_reason_named(p->names, "TCP_OLD_SEQUENCE"))
		e->place.fate = DROP_FATE_LOST;
	e->place.is_drivers = e->place.fate == DROP_FATE_DRIVER || !strcmp(text->reason, "FULL_RING") ||
			      !strncmp(text->symbol, "tun_", 4) || !strncmp(text->symbol, "veth_", 5);
	e->judged = true;
}

static uint32_t *bucket_of(struct places *p, uint64_t location, uint32_t reason, uint32_t source)
{
	uint64_t h = (location ^ (uint64_t)reason << 40 ^ (uint64_t)source << 32) * 0x9e3779b97f4a7c15ULL;

	return &p->bucket[h >> 32 & (BUCKETS - 1)];
}

static uint32_t add(struct places *p, uint64_t location, uint32_t reason, uint32_t source)
{
	uint32_t *bucket = bucket_of(p, location, reason, source);
	struct entry *grown;

	if (p->count == MAX_PLACES)
		return 0;
	if (p->count == p->cap) {
		grown = realloc(p->entries, p->cap * 2 * sizeof(*grown));
		if (!grown)
			return 0;
		p->entries = grown;
		p->cap *= 2;
	}
	p->entries[p->count] = (struct entry){
		.location = location, .reason = reason, .source = source, .next = *bucket
	};
	*bucket = p->count;
	return p->count++;
}

uint32_t places_id(struct places *p, uint64_t location, uint32_t reason, enum drop_source source)
{
	uint32_t id = *bucket_of(p, location, reason, source);

	while (id && (p->entries[id].location != location || p->entries[id].reason != reason ||
		      p->entries[id].source != (uint32_t)source))
		id = p->entries[id].next;
	if (!id)
		id = add(p, location, reason, source);
	if (!p->entries[id].judged)
		judge(p, &p->entries[id]);
	return id;
}

const struct place *places_get(const struct places *p, uint32_t id)
{
	return &p->entries[id < p->count ? id : 0].place;
}

void places_fill(const struct places *p, uint32_t id, const char *ifname, struct ev_drop_place *out)
{
	*out = places_get(p, id)->text;
	memcpy(out->ifname, ifname, sizeof(out->ifname));
}

void places_renamed(struct places *p, uint64_t location)
{
	for (uint32_t id = 1; id < p->count; id++)
		if (p->entries[id].location == location)
			p->entries[id].judged = false;
}
