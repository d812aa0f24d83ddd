// SPDX-License-Identifier: MIT
#include "survey_space.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/netfilter.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../bpf/event.h"
#include "netlink.h"
#include "util.h"

/* include/uapi/linux/bpf.h of 6.6 (e420bed02507); Debian 12's headers are older. */
#define TCX_INGRESS 46
#define TCX_EGRESS 47

/* Of one namespace. More of them are not told, and SURVEY_INCOMPLETE. */
#define MAX_DEVICES 4096
#define MAX_ADDRESSES 16384
#define MAX_PLACES 16384

struct device {
	struct rec_link told; /* h.size 0: nothing yet */
	struct rec_link now;
	bool seen; /* mark of the current dump */
};

/* It may be on several devices, and is gone when it is on none. */
struct address {
	uint8_t addr[16];
	uint8_t ip_version;
	bool told, seen;
};

/* Room for one more element in an array; NULL: no memory, or @max. */
static void *grow(void *array, unsigned int count, unsigned int *cap, unsigned int max, size_t size)
{
	unsigned int wanted = *cap * 2 + 16;
	void *grown;

	if (count < *cap)
		return array;
	if (count >= max)
		return NULL;
	grown = realloc(array, wanted * size);
	if (grown)
		*cap = wanted;
	return grown;
}

void look_tell(struct look *l, void *h, uint8_t kind, size_t size)
{
	struct rec_header *header = h;

	header->ts_ns = clock_mono_ns();
	header->kind = kind;
	header->size = (uint16_t)size;
	l->fn(l->ctx, h, size);
}

/* ---- devices ---- */

/* By what their drivers call themselves (rtnl_link_ops.kind). */
static const char *const leaving[] = { "ipoib", "tun" };
static const char *const virtual[] = {
	"bond",   "bridge",  "dsa",       "dummy",  "hsr",   "ifb",         "ipvlan", "ipvtap", "macvlan", "macvtap",
	"netkit", "netdevsim", "nlmon",   "openvswitch", "team", "vcan",    "veth",   "vlan",   "vrf",     "vxcan",
};
static const char *const tunnels[] = {
	"amt",    "bareudp", "batadv", "erspan", "geneve", "gre", "gretap", "gtp", "ip6erspan", "ip6gre", "ip6gretap",
	"ip6tnl", "ipip",    "macsec", "ovpn",   "pfcp",   "ppp", "sit",    "vti", "vti6",      "vxlan",  "wireguard",
	"xfrm",
};

static bool is_in(const char *const *list, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i], word))
			return true;
	return false;
}
#define IS_IN(list, word) is_in(list, ARRAY_SIZE(list), word)

/* Physical devices have no kind, but so have a few others, L2TP's for one. */
static uint8_t kindless_type(const struct netlink_link *link, bool buses)
{
	if (link->on_bus)
		return LINK_LEAVES;
	switch (link->arphrd) {
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return LINK_TUNNEL;
	case ARPHRD_ETHER:
	case ARPHRD_INFINIBAND:
	case ARPHRD_FDDI:
	case ARPHRD_IEEE80211:
		return buses ? LINK_UNKNOWN : LINK_LEAVES;
	}
	return LINK_UNKNOWN;
}

uint8_t survey_link_type(const struct netlink_link *link, bool buses)
{
	if (link->flags & IFF_LOOPBACK || link->arphrd == ARPHRD_LOOPBACK)
		return LINK_LOOPBACK;
	if (!link->kind[0])
		return kindless_type(link, buses);
	if (IS_IN(leaving, link->kind))
		return LINK_LEAVES;
	if (IS_IN(virtual, link->kind))
		return LINK_VIRTUAL;
	return IS_IN(tunnels, link->kind) ? LINK_TUNNEL : LINK_UNKNOWN;
}

static struct device *find_device(struct devices *d, int ifindex)
{
	unsigned int i = d->next < d->count ? d->next : 0;

	for (unsigned int turns = d->count; turns--; i = i + 1 < d->count ? i + 1 : 0)
		if (d->at[i].now.ifindex == (uint32_t)ifindex) {
			d->next = i + 1;
			return &d->at[i];
		}
	return NULL;
}

static int take_link(void *ctx, const struct netlink_link *link)
{
	struct look *l = ctx;
	struct devices *d = &l->in->devices;
	struct device *device = find_device(d, link->ifindex), *grown;

	if (!device) {
		grown = grow(d->at, d->count, &d->cap, MAX_DEVICES, sizeof(*grown));
		if (!grown)
			return -ENOBUFS;
		d->at = grown;
		device = &grown[d->count++];
		*device = (struct device){};
	}
	l->buses |= link->on_bus;
	device->seen = true;
	device->now = (struct rec_link){
		.netns = l->in->inum,
		.ifindex = (uint32_t)link->ifindex,
		.bits = (link->xdp ? LINK_XDP : 0) | (link->flags & IFF_UP ? 0 : LINK_DOWN),
		.type = survey_link_type(link, l->buses),
	};
	device->now.errors = device->now.type == LINK_LOOPBACK ? 0 : link->errors;
	/* It has programs for all that passes, which bpf(2) shows on one end only. */
	if (!strcmp(link->kind, "netkit"))
		device->now.bits |= LINK_TC_CONSUMES;
	snprintf(device->now.ifname, sizeof(device->now.ifname), "%s", link->name);
	return 0;
}

static int ask_links(struct look *l, int fd)
{
	for (unsigned int i = 0; i < l->in->devices.count; i++)
		l->in->devices.at[i].seen = false;
	return netlink_for_each_link_info(fd, take_link, l);
}

static int take_errors(void *ctx, int ifindex, uint64_t errors)
{
	struct look *l = ctx;
	struct device *device = find_device(&l->in->devices, ifindex);

	if (!device) {
		l->changed = true;
		return 0;
	}
	device->seen = true;
	if (device->now.type != LINK_LOOPBACK)
		device->now.errors = errors;
	return 0;
}

static int ask_errors(struct look *l, int fd)
{
	struct devices *d = &l->in->devices;
	int err;

	l->changed = false;
	for (unsigned int i = 0; i < d->count; i++)
		d->at[i].seen = false;
	err = netlink_for_each_link_errors(fd, take_errors, l);
	for (unsigned int i = 0; !err && i < d->count; i++)
		l->changed |= !d->at[i].seen;
	return err;
}

static bool is_news(const struct device *d)
{
	size_t from = offsetof(struct rec_link, netns);

	return !d->told.h.size || memcmp((const char *)&d->told + from, (const char *)&d->now + from,
					 sizeof(d->now) - from) != 0;
}

/* Says what is new of devices, and forgets those that are gone. */
static void settle_devices(struct look *l, struct devices *d)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < d->count; i++) {
		struct device *device = &d->at[i];

		if (!device->seen) {
			if (!device->told.h.size)
				continue;
			device->told.bits |= LINK_GONE;
			look_tell(l, &device->told, REC_LINK, sizeof(device->told));
			continue;
		}
		if (is_news(device)) {
			look_tell(l, &device->now, REC_LINK, sizeof(device->now));
			device->told = device->now;
		}
		d->at[kept++] = *device;
	}
	d->count = kept;
}

/* What was told stands; what a failed look found is not believed. */
static void unsettle_devices(struct devices *d)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < d->count; i++) {
		if (!d->at[i].told.h.size)
			continue;
		d->at[i].now = d->at[i].told;
		d->at[kept++] = d->at[i];
	}
	d->count = kept;
}

/* ---- addresses ---- */

static struct address *find_address(struct addresses *a, int ip_version, const uint8_t addr[16])
{
	unsigned int i = a->next < a->count ? a->next : 0;

	for (unsigned int turns = a->count; turns--; i = i + 1 < a->count ? i + 1 : 0)
		if (a->at[i].ip_version == ip_version && !memcmp(a->at[i].addr, addr, 16)) {
			a->next = i + 1;
			return &a->at[i];
		}
	return NULL;
}

static int take_address(void *ctx, int ip_version, const uint8_t *bytes)
{
	struct look *l = ctx;
	struct addresses *a = &l->in->addresses;
	struct address *known, *grown;
	uint8_t addr[16] = {};

	memcpy(addr, bytes, ip_version == 4 ? 4 : 16);
	known = find_address(a, ip_version, addr);
	if (!known) {
		grown = grow(a->at, a->count, &a->cap, MAX_ADDRESSES, sizeof(*grown));
		if (!grown)
			return -ENOBUFS;
		a->at = grown;
		known = &grown[a->count++];
		*known = (struct address){ .ip_version = (uint8_t)ip_version };
		memcpy(known->addr, addr, sizeof(addr));
	}
	known->seen = true;
	return 0;
}

static int ask_addresses(struct look *l, int fd)
{
	for (unsigned int i = 0; i < l->in->addresses.count; i++)
		l->in->addresses.at[i].seen = false;
	return netlink_for_each_address(fd, take_address, l);
}

static void tell_address(struct look *l, const struct space *n, const struct address *a, bool gone)
{
	struct rec_addr rec = { .netns = n->inum, .ip_version = a->ip_version, .gone = gone };

	memcpy(rec.addr, a->addr, sizeof(rec.addr));
	look_tell(l, &rec, REC_ADDR, sizeof(rec));
}

/* @complete: what was not seen is gone. */
static void settle_addresses(struct look *l, struct space *n, bool complete)
{
	struct addresses *a = &n->addresses;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < a->count; i++) {
		if (!a->at[i].seen && complete) {
			tell_address(l, n, &a->at[i], true);
			continue;
		}
		if (!a->at[i].told)
			tell_address(l, n, &a->at[i], false);
		a->at[i].told = true;
		a->at[kept++] = a->at[i];
	}
	a->count = kept;
}

/* ---- queues, and programs that may take packets ---- */

/* These have no filters, and come in great numbers. */
static const char *const no_filters[] = { "noqueue", "pfifo_fast", "mq", "fq", "pfifo", "bfifo", "noop" };

static int add_place(struct look *l, int ifindex, uint32_t parent)
{
	struct place *grown = grow(l->places, l->place_count, &l->place_cap, MAX_PLACES, sizeof(*grown));

	if (!grown)
		return -ENOBUFS;
	l->places = grown;
	l->places[l->place_count++] = (struct place){ ifindex, parent };
	return 0;
}

static void note_queue(struct look *l, const struct netlink_qdisc *q)
{
	struct queue queue = {
		.netns = l->in->inum,
		.ifindex = (uint32_t)q->ifindex,
		.handle = q->handle,
		.parent = q->parent,
		/* No frame is shorter than its header: tbf once left segments out of its backlog (before 6.13). */
		.fifo = queues_is_fifo(q->kind, q->parent) && q->backlog / 14 >= q->queued,
		.backlog = q->backlog,
		.sent = q->sent,
	};

	l->bits |= SURVEY_QUEUED;
	/* They hold what their children hold, and these are shown. */
	if (!strcmp(q->kind, "mq") || !strcmp(q->kind, "mqprio"))
		return;
	l->busy_fifo |= queue.fifo;
	queues_note(&l->queues, &queue);
}

static int take_qdisc(void *ctx, const struct netlink_qdisc *q)
{
	struct look *l = ctx;
	int err;

	if (q->queued)
		note_queue(l, q);
	if (IS_IN(no_filters, q->kind))
		return 0;
	if (!strcmp(q->kind, "clsact")) {
		err = add_place(l, q->ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
		return err ? err : add_place(l, q->ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));
	}
	/* One without a number can be named only as the root. */
	return q->handle || q->parent == TC_H_ROOT ? add_place(l, q->ifindex, q->handle) : 0;
}

/* Does a program in user space hold packets (NFQUEUE)? The third number of a line says how many. */
static bool holds_nfqueue(void)
{
	char *text = NULL, *rest, *line;
	bool holds = false;
	unsigned int total;

	if (read_file("/proc/self/net/netfilter/nfnetlink_queue", &text, NULL))
		return false;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		holds |= sscanf(line, "%*u %*u %u", &total) == 1 && total;
	free(text);
	return holds;
}

static int ask_neighbours(struct look *l, int fd)
{
	bool unresolved;
	int err = netlink_has_unresolved(fd, &unresolved);

	if (unresolved || holds_nfqueue()) {
		l->bits |= SURVEY_QUEUED;
		queues_note_elsewhere(&l->queues);
	}
	return err;
}

static int ask_qdiscs(struct look *l, int fd)
{
	int err;

	l->place_count = 0;
	l->busy_fifo = false;
	err = netlink_for_each_qdisc(fd, take_qdisc, l);
	if (err || !l->busy_fifo)
		return err;
	l->place_count = 0;
	return netlink_for_each_qdisc(fd, take_qdisc, l); /* queues.h says why */
}

/* A question whose answer changed while it was given is asked once more. */
static int ask_twice(int (*ask)(struct look *, int), struct look *l, int fd)
{
	int err = ask(l, fd);

	return err == -EINTR ? ask(l, fd) : err;
}

static long bpf_call(int command, union bpf_attr *attr)
{
	return syscall(__NR_bpf, command, attr, sizeof(*attr));
}

/* Ours, or another rebpf's, which takes nothing either: as with filters the name tells. */
static bool is_rebpf(struct look *l, uint32_t id)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = {};
	int fd;

	if (id == l->own_program)
		return true;
	if (id == l->judged_id)
		return l->judged_rebpf;
	attr.prog_id = id;
	fd = (int)bpf_call(BPF_PROG_GET_FD_BY_ID, &attr);
	if (fd < 0)
		return false;
	attr = (union bpf_attr){ .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info) } };
	attr.info.info = (uint64_t)(uintptr_t)&info;
	l->judged_id = id;
	l->judged_rebpf = !bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) && !strncmp(info.name, "rebpf", strlen("rebpf"));
	close(fd);
	return l->judged_rebpf;
}

/* Are there other tcx programs than rebpf's at the device of the namespace that the thread is in? */
static bool has_tcx(struct look *l, uint32_t ifindex, uint32_t where)
{
	union bpf_attr attr = {};
	uint32_t ids[16];

	if (l->no_tcx)
		return false;
	attr.query.target_fd = ifindex; /* target_ifindex of newer headers */
	attr.query.attach_type = where;
	attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attr.query.prog_cnt = ARRAY_SIZE(ids);
	if (bpf_call(BPF_PROG_QUERY, &attr)) {
		l->no_tcx = errno == EINVAL;
		if (errno == EPERM)
			l->bits |= SURVEY_INCOMPLETE;
		return errno == ENOSPC;
	}
	for (uint32_t i = 0; i < attr.query.prog_cnt && i < ARRAY_SIZE(ids); i++)
		if (!is_rebpf(l, ids[i]))
			return true;
	return false;
}

/* A rule at a hook may queue, duplicate or forward. */
static int has_hook(struct look *l, int fd, const char *ifname, bool *there)
{
	int err = 0;

	for (uint32_t hook = NF_NETDEV_INGRESS; hook <= NF_NETDEV_EGRESS && !*there && fd >= 0; hook++) {
		err = netlink_has_hook(fd, ifname, hook, there);
		l->no_hooks |= err == -EINVAL;
		/* Not on this kernel, or not any more on this host. */
		if (err == -EINVAL || err == -EOPNOTSUPP || err == -ENODEV)
			err = 0;
		if (err || l->no_hooks)
			break;
	}
	return err;
}

static int ask_filters(struct look *l, int fd)
{
	int result = 0;

	for (unsigned int i = 0; i < l->place_count && !result; i++) {
		struct device *device = find_device(&l->in->devices, l->places[i].ifindex);
		bool consumes = false;
		int err;

		if (!device || device->now.bits & LINK_TC_CONSUMES)
			continue;
		err = netlink_filters_consume(fd, device->now.ifindex, l->places[i].parent, &consumes);
		if (consumes)
			device->now.bits |= LINK_TC_CONSUMES;
		if (err && err != -EINVAL && err != -EOPNOTSUPP && err != -ENODEV) /* no filters can be there */
			result = err;
	}
	return result;
}

static int ask_hooks(struct look *l)
{
	int fd = l->no_hooks ? -EPROTONOSUPPORT : netlink_open_netfilter(), err = 0;
	struct devices *d = &l->in->devices;

	l->no_hooks |= fd == -EPROTONOSUPPORT;
	for (unsigned int i = 0; i < d->count && !err; i++) {
		struct rec_link *link = &d->at[i].now;
		bool hook = false;

		if (link->bits & LINK_TC_CONSUMES || !d->at[i].seen)
			continue;
		if (has_tcx(l, link->ifindex, TCX_INGRESS) || has_tcx(l, link->ifindex, TCX_EGRESS)) {
			link->bits |= LINK_TC_CONSUMES;
			continue;
		}
		if (!l->no_hooks)
			err = has_hook(l, fd, link->ifname, &hook);
		if (hook)
			link->bits |= LINK_TC_CONSUMES;
	}
	if (fd >= 0)
		close(fd);
	return fd < 0 && fd != -EPROTONOSUPPORT ? fd : err;
}

/* ---- a look ---- */

/* What a dump that was interrupted twice did not show may be there all the same. */
static void keep_unseen(struct devices *d)
{
	for (unsigned int i = 0; i < d->count; i++) {
		if (d->at[i].seen)
			continue;
		d->at[i].seen = true;
		d->at[i].now = d->at[i].told;
	}
}

static int ask_programs(struct look *l, int fd)
{
	struct devices *d = &l->in->devices;
	int err, hooks;

	err = ask_twice(ask_qdiscs, l, fd);
	if (!err)
		err = ask_twice(ask_neighbours, l, fd);
	if (!err)
		err = ask_filters(l, fd);
	hooks = ask_hooks(l);
	if (!err)
		err = hooks;
	for (unsigned int i = 0; err && i < d->count; i++)
		d->at[i].now.bits |= d->at[i].told.bits & LINK_TC_CONSUMES;
	return err;
}

static int look_full(struct look *l, struct space *n, int fd)
{
	int links, programs, addresses;

	links = ask_twice(ask_links, l, fd);
	if (links == -EINTR) {
		keep_unseen(&n->devices);
	} else if (links) {
		unsettle_devices(&n->devices);
		return links;
	}
	programs = ask_programs(l, fd);
	settle_devices(l, &n->devices);
	if (programs && programs != -EINTR)
		return programs; /* the socket may be busy */
	addresses = ask_twice(ask_addresses, l, fd);
	settle_addresses(l, n, !addresses);
	return links ? links : programs ? programs : addresses;
}

/* Leaves it at counters and queues if the devices are those of the last look; @changed: they are not. */
static int look_light(struct look *l, struct space *n, int fd)
{
	int err = ask_twice(ask_errors, l, fd);

	if (err || l->changed) {
		unsettle_devices(&n->devices);
		return err;
	}
	settle_devices(l, &n->devices);
	err = ask_twice(ask_qdiscs, l, fd);
	return err ? err : ask_twice(ask_neighbours, l, fd);
}

/* Has iptables (not iptables-nft) a table that translates? A file that is there and cannot be read may say so. */
static bool has_nat_table(const char *path)
{
	char *text;
	bool there;
	int err = read_file(path, &text, NULL);

	if (err)
		return err != -ENOENT;
	there = !strncmp(text, "nat\n", 4) || strstr(text, "\nnat\n");
	free(text);
	return there;
}

static bool translates(void)
{
	int fd = netlink_open_netfilter();
	bool there = false;
	int err;

	if (fd < 0)
		return fd != -EPROTONOSUPPORT;
	err = netlink_has_nat_chain(fd, &there);
	close(fd);
	return err || there || has_nat_table("/proc/self/net/ip_tables_names") ||
	       has_nat_table("/proc/self/net/ip6_tables_names");
}

void space_look(struct look *l, struct space *n, bool full)
{
	int fd = netlink_open_route(), err = fd < 0 ? fd : 0;

	l->in = n;
	l->changed = false;
	full |= !n->looked;
	if (!err && !full)
		err = look_light(l, n, fd);
	if (!err && (full || l->changed))
		err = look_full(l, n, fd);
	n->looked = !err;
	if (err)
		l->bits |= SURVEY_INCOMPLETE;
	if (l->ask_nat && !(l->bits & SURVEY_NAT) && translates())
		l->bits |= SURVEY_NAT;
	if (fd >= 0)
		close(fd);
	l->in = NULL;
}

void space_gone(struct look *l, struct space *n)
{
	for (unsigned int i = 0; i < n->devices.count; i++)
		n->devices.at[i].seen = false;
	settle_devices(l, &n->devices);
	for (unsigned int i = 0; i < n->addresses.count; i++)
		n->addresses.at[i].seen = false;
	settle_addresses(l, n, true);
}

void space_free(struct space *n)
{
	free(n->devices.at);
	free(n->addresses.at);
}

bool space_knows(const struct space *n, uint32_t ifindex)
{
	if (!ifindex)
		return n->looked;
	for (unsigned int i = 0; i < n->devices.count; i++)
		if (n->devices.at[i].told.h.size && n->devices.at[i].told.ifindex == ifindex)
			return true;
	return false;
}
