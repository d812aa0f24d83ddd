// SPDX-License-Identifier: MIT
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "filter.h"
#include "util.h"

/* ---- what all events but stats have ---- */

static bool addr_matches(const struct addr_rule *r, const uint8_t addr[16], uint8_t ip_version)
{
	unsigned int words = ip_version == 4 ? 1 : 4;
	uint32_t word;

	if (r->ip_version != ip_version)
		return false;
	for (unsigned int i = 0; i < words; i++) {
		memcpy(&word, addr + 4 * i, sizeof(word));
		if ((word & r->mask[i]) != (r->addr[i] & r->mask[i]))
			return false;
	}
	return true;
}

static bool port_matches(const struct port_rule *r, uint16_t port)
{
	return port >= r->low && port <= r->high;
}

/* True if a rule from this list meets the end of the flow that the list is about. */
static bool addr_rule_wants(const struct addr_rule *r, const struct rec_flow *f)
{
	return (r->list != RULE_REMOTE && addr_matches(r, f->laddr, f->ip_version)) ||
	       (r->list != RULE_LOCAL && addr_matches(r, f->raddr, f->ip_version));
}

static bool port_rule_wants(const struct port_rule *r, const struct rec_flow *f)
{
	return (r->list != RULE_REMOTE && port_matches(r, f->lport)) ||
	       (r->list != RULE_LOCAL && port_matches(r, f->rport));
}

/* Bit sets of enum rule_list: every list that has a rule needs one that matches. */
static bool ends_wanted(const struct options *o, const struct rec_flow *f)
{
	unsigned int given = 0, met = 0;

	for (unsigned int i = 0; i < o->addr_count; i++) {
		given |= 1u << o->addr[i].list;
		if (addr_rule_wants(&o->addr[i], f))
			met |= 1u << o->addr[i].list;
	}
	if (given != met)
		return false;
	given = 0;
	met = 0;
	for (unsigned int i = 0; i < o->port_count; i++) {
		given |= 1u << o->port[i].list;
		if (port_rule_wants(&o->port[i], f))
			met |= 1u << o->port[i].list;
	}
	return given == met;
}

static bool owner_wanted(const struct options *o, const struct rec_owner *owner)
{
	bool pid = !o->pid_count, comm = !o->comm_count;

	if (!owner->tgid)
		return pid && comm;
	for (unsigned int i = 0; i < o->pid_count && !pid; i++)
		pid = o->pid[i] == owner->tgid;
	for (unsigned int i = 0; i < o->comm_count && !comm; i++)
		comm = !strncmp(o->comm[i], owner->comm, REBPF_COMM_LEN);
	return pid && comm;
}

static bool common_wanted(const struct options *o, const struct ev_common *c)
{
	bool cgroup = !o->cgroup_count, netns = !o->netns_count;

	if (o->ip_version && o->ip_version != c->flow.ip_version)
		return false;
	for (unsigned int i = 0; i < o->cgroup_count && !cgroup; i++)
		cgroup = c->flow.cgroup && o->cgroup[i] == c->flow.cgroup;
	for (unsigned int i = 0; i < o->netns_count && !netns; i++)
		netns = o->netns[i] == c->flow.netns;
	return cgroup && netns && ends_wanted(o, &c->flow) && owner_wanted(o, &c->owner);
}

/* ---- what one kind has: filter_<kind> ---- */

static bool ifname_listed(const struct options *o, const char ifname[REBPF_IFNAME_LEN])
{
	for (unsigned int i = 0; i < o->ifname_count; i++) {
		if (!strncmp(o->ifname[i], ifname, REBPF_IFNAME_LEN))
			return true;
	}
	return false;
}

/* A copy was seen at the device, or lost there. */
static bool retransmit_ifname_wanted(const struct options *o, const struct ev_retransmit *r)
{
	if (!o->ifname_count || (r->drop.known && ifname_listed(o, r->drop.ifname)))
		return true;
	for (unsigned int i = 0; i < r->tc_count && i < EV_MAX_HOPS; i++) {
		if (ifname_listed(o, r->tc[i].ifname))
			return true;
	}
	return false;
}

static bool reason_listed(const struct options *o, const struct ev_drop_place *d)
{
	for (unsigned int i = 0; i < o->reason_count; i++) {
		if (!strncasecmp(o->reason[i], d->reason, REBPF_REASON_LEN))
			return true;
	}
	return false;
}

static bool retransmit_reason_wanted(const struct options *o, const struct ev_retransmit *r)
{
	return !o->reason_count || (r->drop.known && reason_listed(o, &r->drop)) ||
	       (r->cause_drop.place.known && reason_listed(o, &r->cause_drop.place));
}

static bool filter_retransmit(const struct options *o, const struct event *e)
{
	const struct ev_retransmit *r = &e->retransmit;

	return (!o->types || o->types & 1u << r->type) && (!o->causes || o->causes & 1u << r->cause) &&
	       common_wanted(o, &r->c) && retransmit_ifname_wanted(o, r) && retransmit_reason_wanted(o, r);
}

static bool filter_drop(const struct options *o, const struct event *e)
{
	const struct ev_drop *d = &e->drop;

	return (o->all_protocols || d->protocol == IPPROTO_TCP) && o->classes & 1u << d->place.class &&
	       (!o->reason_count || reason_listed(o, &d->place)) &&
	       (!o->ifname_count || ifname_listed(o, d->place.ifname)) && common_wanted(o, &d->c);
}

static bool filter_connect(const struct options *o, const struct event *e)
{
	const struct ev_connect *c = &e->connect;
	bool slow = c->has_duration && c->duration_us * 1000 >= o->min_latency_ns;

	return (!o->min_latency_ns || slow) && !o->ifname_count &&
	       (!o->reason_count || (c->cause_drop.place.known && reason_listed(o, &c->cause_drop.place))) &&
	       common_wanted(o, &c->c);
}

static bool filter_spurious(const struct options *o, const struct event *e)
{
	return !o->types && !o->causes && !o->reason_count && !o->ifname_count &&
	       common_wanted(o, &e->spurious.c);
}

static bool filter_stats(const struct options *o, const struct event *e)
{
	(void)o;
	(void)e;
	return true;
}

/* A kind without its function does not compile. */
static bool (*const filters[EV_KIND_COUNT])(const struct options *o, const struct event *e) = {
#define X(NAME, name, payload, def) [EV_##NAME] = filter_##name,
	EVENT_KINDS(X)
#undef X
};

bool filter_wants(const struct options *o, const struct event *e)
{
	if (e->kind != EV_STATS && !(o->events & 1u << e->kind))
		return false;
	return filters[e->kind](o, e);
}

/* Of a kind that has a flow: where, 0: it has none. */
static const size_t common_at[EV_KIND_COUNT] = {
	[EV_RETRANSMIT] = offsetof(struct event, retransmit.c),
	[EV_DROP] = offsetof(struct event, drop.c),
	[EV_CONNECT] = offsetof(struct event, connect.c),
	[EV_SPURIOUS] = offsetof(struct event, spurious.c),
};

bool filter_wants_flow(const struct options *o, const struct event *e)
{
	size_t at = common_at[e->kind];

	return at && common_wanted(o, (const struct ev_common *)(const void *)((const char *)e + at));
}
