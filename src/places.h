/* SPDX-License-Identifier: MIT */
/*
 * Where and why packets were dropped: each combination of reason and location is named and judged once (names.h,
 * meaning.h), then known by a small number.
 */
#ifndef REBPF_PLACES_H
#define REBPF_PLACES_H

#include "meaning.h"
#include "names.h"

struct places;

struct place {
	struct ev_drop_place text; /* ifname empty */
	const struct drop_meaning *meaning;
	enum drop_fate fate; /* on this kernel */
	bool is_drivers;     /* a driver dropped it, and counts it among the device's errors */
};

struct places *places_new(const struct names *names); /* NULL: no memory */
void places_free(struct places *p);

/*
 * The number of a place: of @location and @reason as the kernel gave them, or of what rebpf itself says (@source). Never
 * fails: beyond a bound, or without memory, 0, of which nothing is known.
 */
uint32_t places_id(struct places *p, uint64_t location, uint32_t reason, enum drop_source source);

/* Valid until the next places_id(). */
const struct place *places_get(const struct places *p, uint32_t id);

/* Describes a drop at this place and device; @ifname: REBPF_IFNAME_LEN bytes. */
void places_fill(const struct places *p, uint32_t id, const char *ifname, struct ev_drop_place *out);

/* A name was learned or learned anew: what was judged without it is judged again. */
void places_renamed(struct places *p, uint64_t location);

#endif
