// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "reasons.h"
#include "util.h"

#define MAX_REASONS 4096 /* 7.3 has 135, and its modules some tens */
#define SUBSYS_SHIFT 16  /* SKB_DROP_REASON_SUBSYS_SHIFT, include/net/dropreason.h, 6.4 */

#define PREFIX "SKB_DROP_REASON_"
#define PREFIX_SUBSYS PREFIX "SUBSYS_"
#define PREFIX_SHORT "SKB_" /* SKB_NOT_DROPPED_YET, SKB_CONSUMED */

struct reason {
	uint32_t number;
	char name[REBPF_REASON_LEN];
};

struct reason_list {
	struct reason *list; /* by number */
	size_t count, cap;
};

/* @subsystems: number is the upper half of a reason's, e.g. 2 "OPENVSWITCH". */
struct reasons {
	struct reason_list known;
	struct reason_list subsystems;
};

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t len = strlen(s), n = strlen(suffix);

	return len >= n && !strcmp(s + len - n, suffix);
}

/* Where @number is or would have to be. */
static size_t position(const struct reason_list *l, uint32_t number)
{
	size_t low = 0, high = l->count, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (l->list[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const char *find(const struct reason_list *l, uint32_t number)
{
	size_t i = position(l, number);

	return i < l->count && l->list[i].number == number ? l->list[i].name : NULL;
}

static int insert(struct reason_list *l, uint32_t number, const char *name)
{
	size_t i = position(l, number), cap;
	struct reason *p;

	if (!name[0])
		return 0;
	if (i < l->count && l->list[i].number == number)
		return 0;
	if (l->count >= MAX_REASONS)
		return -E2BIG;
	if (l->count == l->cap) {
		cap = l->cap ? l->cap * 2 : 64;
		p = realloc(l->list, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		l->list = p;
		l->cap = cap;
	}
	p = &l->list[i];
	memmove(p + 1, p, (l->count - i) * sizeof(*p));
	l->count++;
	memset(p, 0, sizeof(*p));
	p->number = number;
	memcpy(p->name, name, strnlen(name, sizeof(p->name) - 1));
	return 0;
}

struct reasons *reasons_new(void)
{
	return calloc(1, sizeof(struct reasons));
}

void reasons_free(struct reasons *r)
{
	if (!r)
		return;
	free(r->known.list);
	free(r->subsystems.list);
	free(r);
}

int reasons_add(struct reasons *r, uint32_t number, const char *name)
{
	/*
	 * Ends of an enum and of the list of sub-systems, the mask, and bases such as __QDISC_DROP_REASON
	 * (7.1), whose number no packet has.
	 */
	if (!name || ends_with(name, "_MAX") || ends_with(name, "_NUM") || ends_with(name, "_MASK") ||
	    starts_with(name, "__"))
		return 0;
	if (starts_with(name, PREFIX_SUBSYS))
		return insert(&r->subsystems, number, name + strlen(PREFIX_SUBSYS));
	if (starts_with(name, PREFIX))
		return insert(&r->known, number, name + strlen(PREFIX));
	if (starts_with(name, PREFIX_SHORT))
		return insert(&r->known, number, name + strlen(PREFIX_SHORT));
	/*
	 * The low numbers are the core's: a sub-system's QDISC_DROP_UNSPEC = 0 or RX_CONTINUE = 1 is a
	 * state of its own and never travels in a packet's reason.
	 */
	if (!(number >> SUBSYS_SHIFT))
		return 0;
	return insert(&r->known, number, name);
}

size_t reasons_count(const struct reasons *r)
{
	return r->known.count;
}

void reasons_at(const struct reasons *r, size_t i, uint32_t *number, const char **name)
{
	*number = r->known.list[i].number;
	*name = r->known.list[i].name;
}

const char *reasons_name(const struct reasons *r, uint32_t number)
{
	return r ? find(&r->known, number) : NULL;
}

bool reasons_number(const struct reasons *r, const char *name, uint32_t *number)
{
	for (size_t i = 0; i < r->known.count; i++) {
		if (!strcasecmp(r->known.list[i].name, name)) {
			*number = r->known.list[i].number;
			return true;
		}
	}
	return false;
}

void reasons_text(const struct reasons *r, uint32_t number, char out[REBPF_REASON_LEN])
{
	const char *name = reasons_name(r, number);
	uint32_t subsys = number >> SUBSYS_SHIFT;
	const char *subsys_name = r && subsys ? find(&r->subsystems, subsys) : NULL;

	if (name)
		snprintf(out, REBPF_REASON_LEN, "%s", name);
	else if (subsys_name) /* the precision leaves room for the number */
		snprintf(out, REBPF_REASON_LEN, "%.*s:0x%x", REBPF_REASON_LEN - 12, subsys_name, number);
	else if (subsys)
		snprintf(out, REBPF_REASON_LEN, "SUBSYS%u:0x%x", subsys, number);
	else if (number || (r && r->known.count))
		snprintf(out, REBPF_REASON_LEN, "0x%x", number);
	else
		out[0] = '\0';
}
