// SPDX-License-Identifier: MIT
#include "egress.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pkt_sched.h>
#include <linux/pkt_cls.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heartbeat.h"
#include "log.h"
#include "netlink.h"
#include "netns.h"
#include "util.h"

/* include/uapi/linux/bpf.h of 6.6 (e420bed02507); Debian 12's libbpf and headers are older. */
#define TCX_EGRESS ((enum bpf_attach_type)47)
#define TCX_BEFORE (1u << 3) /* BPF_F_BEFORE without a relative: at the head */

#define CLSACT_EGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)
#define CLSACT_INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define FILTER_NAME "rebpf_tc_egress" /* the program's; libbpf names the filter after it */

#define VISIT_INTERVAL_NS NSEC_PER_SEC

struct attachment {
	uint32_t netns;
	int ifindex;
	int link_fd; /* tcx; -1: clsact */
	uint32_t handle, priority;
	bool made_qdisc;
	bool hidden; /* another filter runs before ours, and there is no room before it */
	bool seen;   /* mark of the current pass over the interfaces */
	char ifname[REBPF_IFNAME_LEN];
};

struct visit {
	uint32_t netns;
	bool watched;
	uint64_t at_ns;
};

struct egress {
	struct egress_config config;
	struct attachment *attached;
	unsigned int attached_count, attached_cap;
	struct visit *visits;
	unsigned int visit_count;
	int monitor_fd;
	uint32_t netns; /* the one that the thread is in */
	bool incomplete; /* an interface of the current pass could not be attached */
	struct attachment *sweeping;
	uint32_t judged_id; /* the last program id that was judged */
	bool judged_orphan;
};

static bool is_wanted_ifname(const struct options *o, const char *name)
{
	for (unsigned int i = 0; i < o->ifname_count; i++)
		if (!strncmp(o->ifname[i], name, REBPF_IFNAME_LEN))
			return true;
	return !o->ifname_count;
}

static struct attachment *find_attachment(struct egress *e, uint32_t netns, int ifindex)
{
	for (unsigned int i = 0; i < e->attached_count; i++)
		if (e->attached[i].netns == netns && e->attached[i].ifindex == ifindex)
			return &e->attached[i];
	return NULL;
}

/* ---- one interface ---- */

static int attach_tcx(struct egress *e, struct attachment *a)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = TCX_BEFORE);

	a->link_fd = bpf_link_create(e->config.prog_fd, a->ifindex, TCX_EGRESS, &opts);
	return a->link_fd < 0 ? -errno : 0;
}

/*
 * Is the classifier still where we put it? The number of a namespace and of an interface are used again when theirs is
 * gone. In the attachment's namespace only, for clsact.
 */
static bool is_alive(const struct attachment *a)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = a->ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = a->handle, .priority = a->priority);
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (a->link_fd < 0)
		return !bpf_tc_query(&hook, &opts);
	/* A link whose device is gone says interface 0; xdp.ifindex lies where tcx.ifindex of newer headers does. */
	return !bpf_obj_get_info_by_fd(a->link_fd, &info, &len) && info.xdp.ifindex;
}

static int count_filter(void *ctx, const char *kind, const char *name, uint32_t handle, uint32_t priority)
{
	(void)kind, (void)name, (void)handle, (void)priority;
	++*(unsigned int *)ctx;
	return 0;
}

static void detach(struct attachment *a)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = a->ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = a->handle, .priority = a->priority);
	unsigned int others = 0;

	if (a->link_fd >= 0) {
		close(a->link_fd);
		return;
	}
	/* Not ours if it is gone: the numbers of its device and namespace may be another's by now. */
	if (a->priority && (!is_alive(a) || bpf_tc_detach(&hook, &opts)))
		return;
	if (!a->made_qdisc || netlink_for_each_filter(a->ifindex, CLSACT_EGRESS, count_filter, &others) ||
	    netlink_for_each_filter(a->ifindex, CLSACT_INGRESS, count_filter, &others) || others)
		return;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
}

static int find_lowest(void *ctx, const char *kind, const char *name, uint32_t handle, uint32_t priority)
{
	uint32_t *lowest = ctx;

	(void)kind, (void)name, (void)handle;
	if (priority < *lowest)
		*lowest = priority;
	return 0;
}

static void warn_hidden(struct attachment *a)
{
	a->hidden = true;
	log_warning("%s: a TC filter of priority 1 runs before ours: what it takes is not seen", a->ifname);
}

/*
 * The filter takes the priority before the lowest in use, so that it runs first, unless that is 1; the handle is our pid,
 * by which a later rebpf knows whether the filter's owner is still alive.
 */
static int attach_clsact(struct egress *e, struct attachment *a)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = a->ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = e->config.prog_fd, .handle = (uint32_t)getpid());
	uint32_t lowest = UINT32_MAX;
	int err = bpf_tc_hook_create(&hook);

	a->link_fd = -1;
	a->made_qdisc |= !err;
	if (err && err != -EEXIST)
		return err;
	err = netlink_for_each_filter(a->ifindex, CLSACT_EGRESS, find_lowest, &lowest);
	if (err)
		return err;
	if (lowest == 1)
		warn_hidden(a);
	else if (lowest != UINT32_MAX)
		opts.priority = lowest - 1;
	err = bpf_tc_attach(&hook, &opts);
	a->handle = opts.handle;
	a->priority = opts.priority;
	if (err) {
		a->priority = 0;
		detach(a);
	}
	return err;
}

/* ---- filters that a killed rebpf left behind ---- */

/*
 * Is somebody still behind this filter? Its heartbeat stops with the process, whatever the process is called and whatever
 * pid namespace it is in. libbpf puts the program's id into the filter's name: "rebpf_tc_egress:[123]".
 */
static bool is_orphan(struct egress *e, const char *name)
{
	const char *bracket = strchr(name, '[');
	uint32_t id = bracket ? (uint32_t)strtoul(bracket + 1, NULL, 10) : 0;

	if (!id)
		return false;
	if (id != e->judged_id) {
		e->judged_id = id;
		e->judged_orphan = heartbeat_has_stopped(id);
	}
	return e->judged_orphan;
}

static int sweep_filter(void *ctx, const char *kind, const char *name, uint32_t handle, uint32_t priority)
{
	struct egress *e = ctx;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = e->sweeping->ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);
	unsigned int others = 0;

	if (strcmp(kind, "bpf") || strncmp(name, FILTER_NAME, strlen(FILTER_NAME)) || !is_orphan(e, name) ||
	    bpf_tc_detach(&hook, &opts))
		return 0;
	log_notice("removed the classifier that a killed rebpf (pid %u) left on %s", handle, e->sweeping->ifname);
	/* Nobody else uses the qdisc: it was made for that filter, and goes when ours does. */
	if (!netlink_for_each_filter(e->sweeping->ifindex, CLSACT_EGRESS, count_filter, &others) &&
	    !netlink_for_each_filter(e->sweeping->ifindex, CLSACT_INGRESS, count_filter, &others) && !others)
		e->sweeping->made_qdisc = true;
	return 0;
}

/* ---- the interfaces of the namespace that the thread is in ---- */

/* A filter that came before ours since: ours moves before it, if there is room. */
static void stay_first(struct egress *e, struct attachment *a)
{
	struct attachment moved = *a;
	uint32_t lowest = UINT32_MAX;

	if (a->link_fd >= 0 || a->hidden ||
	    netlink_for_each_filter(a->ifindex, CLSACT_EGRESS, find_lowest, &lowest) || lowest >= a->priority)
		return;
	if (lowest == 1) {
		warn_hidden(a);
		return;
	}
	/* Both are there for a moment: a copy is then seen twice rather than never. */
	if (attach_clsact(e, &moved))
		return;
	a->made_qdisc = false;
	detach(a);
	*a = moved;
}

/* Takes an attachment off the list; the last one takes its place. */
static void forget_attachment(struct egress *e, struct attachment *a)
{
	if (a->link_fd >= 0)
		close(a->link_fd);
	*a = e->attached[--e->attached_count];
}

static int attach_link(void *ctx, int ifindex, const char *name)
{
	struct egress *e = ctx;
	struct attachment a = { .netns = e->netns, .ifindex = ifindex, .seen = true }, *known, *grown;
	int err;

	known = find_attachment(e, e->netns, ifindex);
	if (known && is_alive(known)) {
		known->seen = true;
		stay_first(e, known);
		e->incomplete |= known->hidden;
		return 0;
	}
	if (known)
		forget_attachment(e, known);
	if (!is_wanted_ifname(e->config.options, name))
		return 0;
	if (e->attached_count == e->attached_cap) {
		grown = realloc(e->attached, (e->attached_cap * 2 + 16) * sizeof(*grown));
		if (!grown)
			return log_error(-ENOMEM, "out of memory for interfaces");
		e->attached = grown;
		e->attached_cap = e->attached_cap * 2 + 16;
	}
	snprintf(a.ifname, sizeof(a.ifname), "%s", name);
	e->sweeping = &a;
	if (!e->config.tcx)
		netlink_for_each_filter(ifindex, CLSACT_EGRESS, sweep_filter, e);
	err = e->config.tcx ? attach_tcx(e, &a) : attach_clsact(e, &a);
	if (err == -ENODEV)
		return 0; /* gone meanwhile */
	if (err) {
		e->incomplete = true;
		log_warning("%s: cannot attach to TC egress: %s", name, strerror(-err));
		return 0;
	}
	e->incomplete |= a.hidden;
	e->attached[e->attached_count++] = a;
	log_debug("attached to TC egress of %s (%s)", name, e->config.tcx ? "tcx" : "clsact");
	return 0;
}

/* Forgets interfaces that are gone: their link or filter went with them. */
static void forget_unseen(struct egress *e)
{
	for (unsigned int i = e->attached_count; i-- > 0;)
		if (e->attached[i].netns == e->netns && !e->attached[i].seen)
			forget_attachment(e, &e->attached[i]);
}

/* One pass over all interfaces. Returns whether every one has the classifier now. */
static bool attach_all(struct egress *e)
{
	int err = -EINTR;

	e->incomplete = false;
	for (unsigned int i = 0; i < e->attached_count; i++)
		e->attached[i].seen = e->attached[i].netns != e->netns;
	/* Interrupted: the list changed meanwhile and may miss some. */
	for (int tries = 0; tries < 3 && err == -EINTR; tries++)
		err = netlink_for_each_link(attach_link, e);
	if (err) {
		log_warning("cannot list interfaces: %s", strerror(-err));
		return false;
	}
	forget_unseen(e);
	return !e->incomplete && !e->config.options->ifname_count;
}

/* ---- namespaces ---- */

static struct visit *find_visit(struct egress *e, uint32_t netns)
{
	struct visit *grown;

	for (unsigned int i = 0; i < e->visit_count; i++)
		if (e->visits[i].netns == netns)
			return &e->visits[i];
	grown = realloc(e->visits, (e->visit_count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	e->visits = grown;
	e->visits[e->visit_count] = (struct visit){ .netns = netns };
	return &e->visits[e->visit_count++];
}

static void set_watched(struct egress *e, struct visit *v, bool watched)
{
	if (v->watched != watched)
		e->config.on_netns(e->config.ctx, v->netns, watched);
	v->watched = watched;
}

/* Enters @netns for @work and comes back. False: it could not be entered. */
static bool within_netns(struct egress *e, uint32_t netns, uint32_t hint_tgid, void (*work)(struct egress *, void *),
			 void *arg)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd = netns_open_by_inode(netns, hint_tgid);
	bool entered = home >= 0 && fd >= 0 && !setns(fd, CLONE_NEWNET);

	if (entered) {
		e->netns = netns;
		work(e, arg);
		e->netns = e->config.own_netns;
		netns_return(home);
	}
	if (fd >= 0)
		close(fd);
	if (home >= 0)
		close(home);
	return entered;
}

static void attach_work(struct egress *e, void *arg)
{
	*(bool *)arg = attach_all(e);
}

/* Forgets namespaces that are gone, with their links. (A filter went with its device; we cannot look at it from here.) */
static void reap(struct egress *e)
{
	for (unsigned int i = e->attached_count; i-- > 0;)
		if (e->attached[i].netns != e->config.own_netns && e->attached[i].link_fd >= 0 &&
		    !is_alive(&e->attached[i]))
			forget_attachment(e, &e->attached[i]);
	for (unsigned int i = e->visit_count; i-- > 0;) {
		struct visit *v = &e->visits[i];
		bool used = v->netns == e->config.own_netns || !e->config.tcx;

		for (unsigned int k = 0; k < e->attached_count && !used; k++)
			used = e->attached[k].netns == v->netns;
		if (used)
			continue;
		set_watched(e, v, false);
		*v = e->visits[--e->visit_count];
	}
}

void egress_visit(struct egress *e, uint32_t netns, uint32_t hint_tgid, uint64_t now_ns)
{
	struct visit *v = find_visit(e, netns);
	bool complete = false, first = v && !v->at_ns;

	if (!v || (v->at_ns && now_ns - v->at_ns < VISIT_INTERVAL_NS))
		return;
	if (netns == e->config.own_netns) {
		v->at_ns = now_ns;
		set_watched(e, v, attach_all(e));
		return;
	}
	if (first) {
		log_debug("following interfaces of network namespace %u", netns);
		v->at_ns = now_ns;
		reap(e);
		v = find_visit(e, netns);
		if (!v)
			return;
	}
	v->at_ns = now_ns;
	if (!within_netns(e, netns, hint_tgid, attach_work, &complete) && first)
		log_debug("network namespace %u cannot be entered: no TC verdicts there", netns);
	set_watched(e, v, complete);
}

static int check_ifnames(const struct egress *e)
{
	const struct options *o = e->config.options;

	for (unsigned int i = 0; i < o->ifname_count; i++) {
		bool found = false;

		for (unsigned int k = 0; k < e->attached_count; k++)
			found |= !strncmp(e->attached[k].ifname, o->ifname[i], REBPF_IFNAME_LEN);
		if (!found)
			return log_error(-ENODEV, "--interface: no interface '%s' here", o->ifname[i]);
	}
	return 0;
}

int egress_open(struct egress **out, const struct egress_config *config)
{
	struct egress *e = calloc(1, sizeof(*e));
	struct visit *own;
	int err;

	if (!e)
		return log_error(-ENOMEM, "out of memory");
	e->config = *config;
	e->netns = config->own_netns;
	/* Listen first, then enumerate: what appears in between is seen twice rather than never. */
	e->monitor_fd = netlink_open_monitor();
	if (e->monitor_fd < 0)
		log_warning("cannot follow new interfaces: %s", strerror(-e->monitor_fd));
	own = find_visit(e, config->own_netns);
	if (own)
		set_watched(e, own, attach_all(e) && e->monitor_fd >= 0);
	err = check_ifnames(e);
	if (err) {
		egress_close(e);
		return err;
	}
	*out = e;
	return 0;
}

int egress_fd(const struct egress *e)
{
	return e->monitor_fd;
}

static int note_change(void *ctx, int ifindex, const char *name)
{
	(void)ifindex, (void)name;
	*(bool *)ctx = true;
	return 0;
}

void egress_handle(struct egress *e)
{
	struct visit *own = find_visit(e, e->config.own_netns);
	bool changed = false, overrun;

	netlink_read_monitor(e->monitor_fd, note_change, &changed, &overrun);
	if (own)
		set_watched(e, own, attach_all(e));
}

unsigned int egress_count(const struct egress *e)
{
	return e->attached_count;
}

static void detach_work(struct egress *e, void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < e->attached_count; i++)
		if (e->attached[i].netns == e->netns)
			detach(&e->attached[i]);
}

void egress_close(struct egress *e)
{
	if (!e)
		return;
	detach_work(e, NULL);
	for (unsigned int i = 0; i < e->visit_count; i++) {
		if (e->visits[i].netns == e->config.own_netns)
			continue;
		if (e->config.tcx) {
			e->netns = e->visits[i].netns;
			detach_work(e, NULL); /* closing a link needs no entering */
			e->netns = e->config.own_netns;
		} else {
			within_netns(e, e->visits[i].netns, 0, detach_work, NULL);
		}
	}
	if (e->monitor_fd >= 0)
		close(e->monitor_fd);
	free(e->attached);
	free(e->visits);
	free(e);
}
