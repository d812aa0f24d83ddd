// SPDX-License-Identifier: MIT
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/gen_stats.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_csum.h>
#include <linux/tc_act/tc_gact.h>
#include <linux/tc_act/tc_skbedit.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_SECONDS 1

/*
 * Connected to the kernel: whoever owns the namespace may send to any socket in it, and what such a process makes up would
 * be taken for the kernel's answer, or keep us busy. The kernel refuses that for connected sockets
 * (netlink_getsockbyportid() in net/netlink/af_netlink.c).
 */
static int netlink_open(int protocol, uint32_t groups, int flags)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = groups };
	struct sockaddr_nl of_kernel = { .nl_family = AF_NETLINK };
	struct timeval timeout = { .tv_sec = ANSWER_SECONDS };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, protocol);
	int err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    connect(fd, (struct sockaddr *)&of_kernel, sizeof(of_kernel)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

ssize_t netlink_receive(int fd, void *buf, size_t size, int flags)
{
	struct sockaddr_nl from = {};
	socklen_t len;
	ssize_t n;

	do {
		len = sizeof(from);
		n = recvfrom(fd, buf, size, flags, (struct sockaddr *)&from, &len);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid));
	return n < 0 ? -errno : n;
}

/* ---- attributes: nothing in a message is believed to be as long as it should ---- */

/* The attributes of numbers up to @max, by number; of two with one number the last. */
static void parse_attrs(struct rtattr *tb[], unsigned int max, struct rtattr *first, int left)
{
	memset(tb, 0, (max + 1) * sizeof(*tb));
	for (struct rtattr *a = first; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) <= max)
			tb[a->rta_type & NLA_TYPE_MASK] = a;
}

static void parse_nested(struct rtattr *tb[], unsigned int max, struct rtattr *nest)
{
	parse_attrs(tb, max, nest ? RTA_DATA(nest) : NULL, nest ? (int)RTA_PAYLOAD(nest) : 0);
}

/* "" if there is none, or it does not end. */
static const char *attr_string(struct rtattr *a)
{
	if (!a || !memchr(RTA_DATA(a), '\0', RTA_PAYLOAD(a)))
		return "";
	return RTA_DATA(a);
}

/* Four bytes at @offset of the attribute's data. */
static bool attr_u32(struct rtattr *a, size_t offset, uint32_t *value)
{
	if (!a || RTA_PAYLOAD(a) < offset + sizeof(*value))
		return false;
	memcpy(value, (char *)RTA_DATA(a) + offset, sizeof(*value));
	return true;
}

static bool attr_u64(struct rtattr *a, size_t offset, uint64_t *value)
{
	if (!a || RTA_PAYLOAD(a) < offset + sizeof(*value))
		return false;
	memcpy(value, (char *)RTA_DATA(a) + offset, sizeof(*value));
	return true;
}

/* The attributes after a family's header of @size bytes; false: not of this type, or too short. */
static bool message_attrs(const struct nlmsghdr *m, uint16_t type, size_t size, struct rtattr **first, int *left)
{
	if (m->nlmsg_type != type || m->nlmsg_len < NLMSG_LENGTH(size))
		return false;
	*first = (struct rtattr *)((char *)NLMSG_DATA(m) + NLMSG_ALIGN(size));
	*left = (int)m->nlmsg_len - (int)NLMSG_SPACE(size);
	return true;
}

/* ---- dumps ---- */

/* True: this message ends the dump, with *err. */
static bool dump_message(const struct nlmsghdr *m, netlink_message_fn *fn, void *ctx, int *err)
{
	*err = 0;
	if (m->nlmsg_type != NLMSG_DONE && m->nlmsg_type != NLMSG_ERROR) {
		*err = fn(m, ctx);
		return *err;
	}
	/* Both begin with the error, which in DONE may be missing. */
	if (m->nlmsg_len >= NLMSG_LENGTH(sizeof(*err)))
		memcpy(err, NLMSG_DATA(m), sizeof(*err));
	return true;
}

/* Receives until the dump is done. */
static int dump_receive(int fd, uint32_t seq, netlink_message_fn *fn, void *ctx)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool interrupted = false;
	ssize_t n;
	int err;

	for (;;) {
		n = netlink_receive(fd, buf, sizeof(buf), MSG_TRUNC);
		if (n < 0)
			return (int)n;
		if (n > (ssize_t)sizeof(buf))
			return -EMSGSIZE;
		for (struct nlmsghdr *m = (void *)buf; n > 0 && NLMSG_OK(m, (unsigned int)n); m = NLMSG_NEXT(m, n)) {
			if (m->nlmsg_seq != seq)
				continue; /* of a dump before that was given up */
			interrupted |= m->nlmsg_flags & NLM_F_DUMP_INTR;
			if (dump_message(m, fn, ctx, &err))
				return !err && interrupted ? -EINTR : err;
		}
	}
}

int netlink_dump(int fd, void *request, netlink_message_fn *fn, void *ctx)
{
	static uint32_t last_seq;
	struct nlmsghdr *h = request;

	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = ++last_seq;
	if (send(fd, request, h->nlmsg_len, 0) < 0)
		return -errno;
	return dump_receive(fd, h->nlmsg_seq, fn, ctx);
}

static int dump(void *request, netlink_message_fn *fn, void *ctx)
{
	int fd = netlink_open(NETLINK_ROUTE, 0, 0), err;

	if (fd < 0)
		return fd;
	err = netlink_dump(fd, request, fn, ctx);
	close(fd);
	return err;
}

/* ---- interfaces ---- */

struct link_request {
	struct nlmsghdr h;
	struct ifinfomsg info;
};

#define LINK_REQUEST                                                                                                  \
	{                                                                                                             \
		.h = { .nlmsg_len = sizeof(struct link_request), .nlmsg_type = RTM_GETLINK },                         \
		.info = { .ifi_family = AF_UNSPEC },                                                                  \
	}

struct link_walk {
	netlink_link_fn *fn;
	void *ctx;
};

static int link_message(const struct nlmsghdr *m, void *ctx)
{
	struct rtattr *tb[IFLA_IFNAME + 1], *first;
	const struct ifinfomsg *info = NLMSG_DATA(m);
	struct link_walk *walk = ctx;
	int left;

	if (!message_attrs(m, RTM_NEWLINK, sizeof(*info), &first, &left))
		return 0;
	parse_attrs(tb, IFLA_IFNAME, first, left);
	return tb[IFLA_IFNAME] ? walk->fn(walk->ctx, info->ifi_index, attr_string(tb[IFLA_IFNAME])) : 0;
}

int netlink_for_each_link(netlink_link_fn *fn, void *ctx)
{
	struct link_request request = LINK_REQUEST;
	struct link_walk walk = { fn, ctx };

	return dump(&request, link_message, &walk);
}

static uint64_t stat_at(const struct rtattr *a, size_t offset)
{
	uint64_t value = 0;

	if (RTA_PAYLOAD(a) >= offset + sizeof(value))
		memcpy(&value, (const char *)RTA_DATA(a) + offset, sizeof(value));
	return value;
}

/* @a: struct rtnl_link_stats64, or as much of it as this kernel has; may be NULL. */
static uint64_t sum_errors(const struct rtattr *a)
{
	if (!a)
		return 0;
	return stat_at(a, offsetof(struct rtnl_link_stats64, rx_missed_errors)) +
	       stat_at(a, offsetof(struct rtnl_link_stats64, rx_fifo_errors)) +
	       stat_at(a, offsetof(struct rtnl_link_stats64, tx_errors)) +
	       stat_at(a, offsetof(struct rtnl_link_stats64, tx_dropped));
}

static bool has_xdp(struct rtattr *nest)
{
	struct rtattr *tb[IFLA_XDP_ATTACHED + 1];

	parse_nested(tb, IFLA_XDP_ATTACHED, nest);
	return tb[IFLA_XDP_ATTACHED] && RTA_PAYLOAD(tb[IFLA_XDP_ATTACHED]) &&
	       *(uint8_t *)RTA_DATA(tb[IFLA_XDP_ATTACHED]) != XDP_ATTACHED_NONE;
}

struct link_info_walk {
	netlink_link_info_fn *fn;
	void *ctx;
};

static int link_info_message(const struct nlmsghdr *m, void *ctx)
{
	struct rtattr *tb[IFLA_PARENT_DEV_NAME + 1], *kind[IFLA_INFO_KIND + 1], *first;
	const struct ifinfomsg *info = NLMSG_DATA(m);
	struct link_info_walk *walk = ctx;
	struct netlink_link link;
	int left;

	if (!message_attrs(m, RTM_NEWLINK, sizeof(*info), &first, &left))
		return 0;
	parse_attrs(tb, IFLA_PARENT_DEV_NAME, first, left);
	parse_nested(kind, IFLA_INFO_KIND, tb[IFLA_LINKINFO]);
	link = (struct netlink_link){
		.ifindex = info->ifi_index,
		.arphrd = info->ifi_type,
		.flags = info->ifi_flags,
		.name = attr_string(tb[IFLA_IFNAME]),
		.kind = attr_string(kind[IFLA_INFO_KIND]),
		.xdp = has_xdp(tb[IFLA_XDP]),
		.on_bus = tb[IFLA_PARENT_DEV_NAME],
		.errors = sum_errors(tb[IFLA_STATS64]),
	};
	return walk->fn(walk->ctx, &link);
}

int netlink_for_each_link_info(int fd, netlink_link_info_fn *fn, void *ctx)
{
	struct link_request request = LINK_REQUEST;
	struct link_info_walk walk = { fn, ctx };

	return netlink_dump(fd, &request, link_info_message, &walk);
}

struct errors_walk {
	netlink_errors_fn *fn;
	void *ctx;
};

static int errors_message(const struct nlmsghdr *m, void *ctx)
{
	struct rtattr *tb[IFLA_STATS_LINK_64 + 1], *first;
	const struct if_stats_msg *stats = NLMSG_DATA(m);
	struct errors_walk *walk = ctx;
	int left;

	if (!message_attrs(m, RTM_NEWSTATS, sizeof(*stats), &first, &left))
		return 0;
	parse_attrs(tb, IFLA_STATS_LINK_64, first, left);
	return walk->fn(walk->ctx, (int)stats->ifindex, sum_errors(tb[IFLA_STATS_LINK_64]));
}

int netlink_for_each_link_errors(int fd, netlink_errors_fn *fn, void *ctx)
{
	struct {
		struct nlmsghdr h;
		struct if_stats_msg stats;
	} request = {
		.h = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETSTATS },
		.stats = { .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) },
	};
	struct errors_walk walk = { fn, ctx };

	return netlink_dump(fd, &request, errors_message, &walk);
}

/* ---- addresses ---- */

struct address_walk {
	netlink_address_fn *fn;
	void *ctx;
};

static int address_message(const struct nlmsghdr *m, void *ctx)
{
	struct rtattr *tb[IFA_LOCAL + 1], *first, *addr;
	const struct ifaddrmsg *ifa = NLMSG_DATA(m);
	struct address_walk *walk = ctx;
	int left;

	if (!message_attrs(m, RTM_NEWADDR, sizeof(*ifa), &first, &left))
		return 0;
	parse_attrs(tb, IFA_LOCAL, first, left);
	/* On a point-to-point device IFA_ADDRESS is the peer's. */
	addr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if (!addr || (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6) ||
	    RTA_PAYLOAD(addr) < (ifa->ifa_family == AF_INET ? 4 : 16))
		return 0;
	return walk->fn(walk->ctx, ifa->ifa_family == AF_INET ? 4 : 6, RTA_DATA(addr));
}

int netlink_for_each_address(int fd, netlink_address_fn *fn, void *ctx)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg ifa;
	} request = {
		.h = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETADDR },
		.ifa = { .ifa_family = AF_UNSPEC },
	};
	struct address_walk walk = { fn, ctx };

	return netlink_dump(fd, &request, address_message, &walk);
}

/* ---- neighbours ---- */

static int neighbour_message(const struct nlmsghdr *m, void *ctx)
{
	const struct ndmsg *neighbour = NLMSG_DATA(m);
	bool *unresolved = ctx;

	if (m->nlmsg_type == RTM_NEWNEIGH && m->nlmsg_len >= NLMSG_LENGTH(sizeof(*neighbour)))
		*unresolved |= neighbour->ndm_state == NUD_INCOMPLETE;
	return 0;
}

int netlink_has_unresolved(int fd, bool *unresolved)
{
	struct {
		struct nlmsghdr h;
		struct ndmsg neighbour;
	} request = {
		.h = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETNEIGH },
		.neighbour = { .ndm_family = AF_UNSPEC },
	};

	*unresolved = false;
	return netlink_dump(fd, &request, neighbour_message, unresolved);
}

/* ---- queueing disciplines ---- */

struct qdisc_walk {
	netlink_qdisc_fn *fn;
	void *ctx;
};

static int qdisc_message(const struct nlmsghdr *m, void *ctx)
{
	struct rtattr *tb[TCA_STATS2 + 1], *stats[TCA_STATS_QUEUE + 1], *first;
	const struct tcmsg *tc = NLMSG_DATA(m);
	struct qdisc_walk *walk = ctx;
	struct netlink_qdisc qdisc;
	int left;

	if (!message_attrs(m, RTM_NEWQDISC, sizeof(*tc), &first, &left))
		return 0;
	parse_attrs(tb, TCA_STATS2, first, left);
	parse_nested(stats, TCA_STATS_QUEUE, tb[TCA_STATS2]);
	qdisc = (struct netlink_qdisc){
		.ifindex = tc->tcm_ifindex,
		.handle = tc->tcm_handle,
		.parent = tc->tcm_parent,
		.kind = attr_string(tb[TCA_KIND]),
	};
	attr_u32(stats[TCA_STATS_QUEUE], offsetof(struct gnet_stats_queue, qlen), &qdisc.queued);
	attr_u32(stats[TCA_STATS_QUEUE], offsetof(struct gnet_stats_queue, backlog), &qdisc.backlog);
	attr_u64(stats[TCA_STATS_BASIC], offsetof(struct gnet_stats_basic, bytes), &qdisc.sent);
	return walk->fn(walk->ctx, &qdisc);
}

int netlink_for_each_qdisc(int fd, netlink_qdisc_fn *fn, void *ctx)
{
	struct {
		struct nlmsghdr h;
		struct tcmsg tc;
	} request = {
		.h = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETQDISC },
		.tc = { .tcm_family = AF_UNSPEC },
	};
	struct qdisc_walk walk = { fn, ctx };

	return netlink_dump(fd, &request, qdisc_message, &walk);
}

/* ---- TC filters ---- */

struct filter_request {
	struct nlmsghdr h;
	struct tcmsg tc;
};

static struct filter_request filter_request(int ifindex, uint32_t parent)
{
	return (struct filter_request){
		.h = { .nlmsg_len = sizeof(struct filter_request), .nlmsg_type = RTM_GETTFILTER },
		.tc = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent },
	};
}

struct filter_walk {
	netlink_filter_fn *fn;
	void *ctx;
};

static int filter_message(const struct nlmsghdr *m, void *ctx)
{
	struct rtattr *tb[TCA_OPTIONS + 1], *bpf[TCA_BPF_NAME + 1], *first;
	const struct tcmsg *tc = NLMSG_DATA(m);
	struct filter_walk *walk = ctx;
	const char *kind;
	int left;

	if (!message_attrs(m, RTM_NEWTFILTER, sizeof(*tc), &first, &left) || !tc->tcm_handle)
		return 0;
	parse_attrs(tb, TCA_OPTIONS, first, left);
	kind = attr_string(tb[TCA_KIND]);
	parse_nested(bpf, TCA_BPF_NAME, !strcmp(kind, "bpf") ? tb[TCA_OPTIONS] : NULL);
	return walk->fn(walk->ctx, kind, attr_string(bpf[TCA_BPF_NAME]), tc->tcm_handle,
			TC_H_MAJ(tc->tcm_info) >> 16);
}

int netlink_for_each_filter(int ifindex, uint32_t parent, netlink_filter_fn *fn, void *ctx)
{
	struct filter_request request = filter_request(ifindex, parent);
	struct filter_walk walk = { fn, ctx };

	return dump(&request, filter_message, &walk);
}

static bool verdict_consumes(uint32_t verdict)
{
	switch ((int)verdict) {
	case TC_ACT_UNSPEC:
	case TC_ACT_OK:
	case TC_ACT_RECLASSIFY:
	case TC_ACT_SHOT:
	case TC_ACT_PIPE:
		return false;
	}
	/* On to other filters or actions, which are in the dump, too. */
	return !TC_ACT_EXT_CMP(verdict, TC_ACT_GOTO_CHAIN) && !TC_ACT_EXT_CMP(verdict, TC_ACT_JUMP);
}

/*
 * The kinds of action that take no packet by themselves, and where the verdict is that follows them. @other: an
 * attribute that holds another possible verdict at @other_offset.
 */
static const struct harmless {
	const char *kind;
	uint16_t parms, offset, other, other_offset;
} harmless[] = {
	{ "gact", TCA_GACT_PARMS, offsetof(struct tc_gact, action),
	  TCA_GACT_PROB, offsetof(struct tc_gact_p, paction) },
	{ "skbedit", TCA_SKBEDIT_PARMS, offsetof(struct tc_skbedit, action), 0, 0 },
	{ "csum", TCA_CSUM_PARMS, offsetof(struct tc_csum, action), 0, 0 },
	{ "police", TCA_POLICE_TBF, offsetof(struct tc_police, action), TCA_POLICE_RESULT, 0 },
};

static bool action_consumes(const char *kind, struct rtattr *options)
{
	struct rtattr *tb[TCA_POLICE_RESULT + 1];
	uint32_t verdict;

	parse_nested(tb, TCA_POLICE_RESULT, options);
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		const struct harmless *h = &harmless[i];

		if (strcmp(kind, h->kind))
			continue;
		if (!attr_u32(tb[h->parms], h->offset, &verdict) || verdict_consumes(verdict))
			return true;
		return h->other && tb[h->other] &&
		       (!attr_u32(tb[h->other], h->other_offset, &verdict) || verdict_consumes(verdict));
	}
	return true;
}

/* A list of actions: TCA_*_ACT. */
static bool actions_consume(struct rtattr *list)
{
	int left = list ? (int)RTA_PAYLOAD(list) : 0;

	for (struct rtattr *a = list ? RTA_DATA(list) : NULL; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		struct rtattr *tb[TCA_ACT_OPTIONS + 1];

		/* Behind the numbered actions there may be attributes of the list itself. */
		if ((a->rta_type & NLA_TYPE_MASK) > TCA_ACT_MAX_PRIO)
			continue;
		parse_nested(tb, TCA_ACT_OPTIONS, a);
		if (action_consumes(attr_string(tb[TCA_ACT_KIND]), tb[TCA_ACT_OPTIONS]))
			return true;
	}
	return false;
}

/* Classic BPF whose result is a verdict: can it be one that takes the packet? */
static bool bytecode_consumes(const struct rtattr *ops)
{
	struct sock_filter op;

	for (size_t at = 0; at + sizeof(op) <= RTA_PAYLOAD(ops); at += sizeof(op)) {
		memcpy(&op, (const char *)RTA_DATA(ops) + at, sizeof(op));
		if (BPF_CLASS(op.code) != BPF_RET)
			continue;
		if (BPF_RVAL(op.code) != BPF_K || verdict_consumes(op.k))
			return true;
	}
	return false;
}

static bool bpf_filter_consumes(struct rtattr *options)
{
	struct rtattr *tb[TCA_BPF_FLAGS + 1];
	uint32_t flags = 0;

	parse_nested(tb, TCA_BPF_FLAGS, options);
	if (!tb[TCA_BPF_OPS])
		return strncmp(attr_string(tb[TCA_BPF_NAME]), "rebpf", strlen("rebpf"));
	attr_u32(tb[TCA_BPF_FLAGS], 0, &flags);
	/* Without this flag its result is a class, and the actions decide. */
	return (flags & TCA_BPF_FLAG_ACT_DIRECT) && bytecode_consumes(tb[TCA_BPF_OPS]);
}

/* Where the kinds of filter have their actions; 0: not. An unlisted kind may do anything. */
static const struct filter_kind {
	const char *kind;
	uint16_t act, police, flags;
} filter_kinds[] = {
	{ "basic", TCA_BASIC_ACT, TCA_BASIC_POLICE, 0 },
	{ "bpf", TCA_BPF_ACT, TCA_BPF_POLICE, TCA_BPF_FLAGS_GEN },
	{ "cgroup", TCA_CGROUP_ACT, TCA_CGROUP_POLICE, 0 },
	{ "flow", TCA_FLOW_ACT, TCA_FLOW_POLICE, 0 },
	{ "flower", TCA_FLOWER_ACT, 0, TCA_FLOWER_FLAGS },
	{ "fw", TCA_FW_ACT, TCA_FW_POLICE, 0 },
	{ "matchall", TCA_MATCHALL_ACT, 0, TCA_MATCHALL_FLAGS },
	{ "route", TCA_ROUTE4_ACT, TCA_ROUTE4_POLICE, 0 },
	{ "u32", TCA_U32_ACT, TCA_U32_POLICE, TCA_U32_FLAGS },
};

static bool filter_consumes(const char *kind, struct rtattr *options)
{
	struct rtattr *tb[TCA_FLOWER_FLAGS + 1];
	uint32_t flags;

	parse_nested(tb, TCA_FLOWER_FLAGS, options);
	for (size_t i = 0; i < sizeof(filter_kinds) / sizeof(filter_kinds[0]); i++) {
		const struct filter_kind *f = &filter_kinds[i];

		if (strcmp(kind, f->kind))
			continue;
		/* What the hardware drops, it drops silently. */
		if (f->flags && attr_u32(tb[f->flags], 0, &flags) && (flags & TCA_CLS_FLAGS_IN_HW))
			return true;
		if (f->police && tb[f->police] && action_consumes("police", tb[f->police]))
			return true;
		return actions_consume(tb[f->act]) || (!strcmp(kind, "bpf") && bpf_filter_consumes(options));
	}
	return true;
}

static int judge_message(const struct nlmsghdr *m, void *ctx)
{
	struct rtattr *tb[TCA_OPTIONS + 1], *first;
	const struct tcmsg *tc = NLMSG_DATA(m);
	bool *consumes = ctx;
	int left;

	/* Handle 0 is the head of a list of filters. */
	if (message_attrs(m, RTM_NEWTFILTER, sizeof(*tc), &first, &left) && tc->tcm_handle) {
		parse_attrs(tb, TCA_OPTIONS, first, left);
		*consumes |= filter_consumes(attr_string(tb[TCA_KIND]), tb[TCA_OPTIONS]);
	}
	return 0;
}

bool netlink_filter_message_consumes(const void *message, size_t len)
{
	const struct nlmsghdr *m = message;
	bool consumes = false;

	if (NLMSG_OK(m, (unsigned int)len))
		judge_message(m, &consumes);
	return consumes;
}

int netlink_filters_consume(int fd, int ifindex, uint32_t parent, bool *consumes)
{
	struct filter_request request = filter_request(ifindex, parent);

	return netlink_dump(fd, &request, judge_message, consumes);
}

int netlink_open_netfilter(void)
{
	return netlink_open(NETLINK_NETFILTER, 0, 0);
}

int netlink_open_route(void)
{
	return netlink_open(NETLINK_ROUTE, 0, 0);
}

int netlink_open_diag(void)
{
	return netlink_open(NETLINK_SOCK_DIAG, 0, 0);
}

/* ---- news of interfaces ---- */

int netlink_open_monitor(void)
{
	return netlink_open(NETLINK_ROUTE, RTMGRP_LINK, SOCK_NONBLOCK);
}

void netlink_read_monitor(int fd, netlink_link_fn *fn, void *ctx, bool *overrun)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct link_walk walk = { fn, ctx };
	ssize_t n;

	*overrun = false;
	for (;;) {
		n = netlink_receive(fd, buf, sizeof(buf), 0);
		if (n == -ENOBUFS)
			*overrun = true;
		else if (n < 0)
			return;
		for (struct nlmsghdr *m = (void *)buf; n > 0 && NLMSG_OK(m, (unsigned int)n); m = NLMSG_NEXT(m, n))
			link_message(m, &walk);
	}
}
