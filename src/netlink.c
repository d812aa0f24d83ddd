// SPDX-License-Identifier: MIT
#include "netlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What one message means to the caller. Non-zero ends. */
typedef int message_fn(const struct nlmsghdr *msg, void *ctx);

static int netlink_open(uint32_t groups, int flags)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);
	int err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Receives until the dump is done. */
static int dump_receive(int fd, message_fn *fn, void *ctx)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool interrupted = false;
	ssize_t n;

	for (;;) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (struct nlmsghdr *m = (void *)buf; NLMSG_OK(m, (unsigned int)n); m = NLMSG_NEXT(m, n)) {
			int err;

			interrupted |= m->nlmsg_flags & NLM_F_DUMP_INTR;
			if (m->nlmsg_type == NLMSG_DONE)
				return interrupted ? -EINTR : 0;
			if (m->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(m))->error;
			err = fn(m, ctx);
			if (err)
				return err;
		}
	}
}

static int dump(const void *request, size_t len, message_fn *fn, void *ctx)
{
	int fd = netlink_open(0, 0), err;

	if (fd < 0)
		return fd;
	err = send(fd, request, len, 0) < 0 ? -errno : dump_receive(fd, fn, ctx);
	close(fd);
	return err;
}

struct link_walk {
	netlink_link_fn *fn;
	void *ctx;
};

static int link_message(const struct nlmsghdr *m, void *ctx)
{
	const struct ifinfomsg *info = NLMSG_DATA(m);
	int left = (int)IFLA_PAYLOAD(m);
	struct link_walk *walk = ctx;

	if (m->nlmsg_type != RTM_NEWLINK)
		return 0;
	for (struct rtattr *a = IFLA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_IFNAME)
			return walk->fn(walk->ctx, info->ifi_index, RTA_DATA(a));
	return 0;
}

int netlink_for_each_link(netlink_link_fn *fn, void *ctx)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
	} request = {
		.h = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.info = { .ifi_family = AF_UNSPEC },
	};
	struct link_walk walk = { fn, ctx };

	return dump(&request, sizeof(request), link_message, &walk);
}

struct filter_walk {
	netlink_filter_fn *fn;
	void *ctx;
};

static const char *bpf_filter_name(struct rtattr *options)
{
	int left = (int)RTA_PAYLOAD(options);

	for (struct rtattr *a = RTA_DATA(options); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == TCA_BPF_NAME)
			return RTA_DATA(a);
	return "";
}

static int filter_message(const struct nlmsghdr *m, void *ctx)
{
	const struct tcmsg *tc = NLMSG_DATA(m);
	int left = (int)TCA_PAYLOAD(m);
	const char *kind = "", *name = "";
	struct filter_walk *walk = ctx;

	if (m->nlmsg_type != RTM_NEWTFILTER || !tc->tcm_handle)
		return 0;
	for (struct rtattr *a = TCA_RTA(tc); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == TCA_KIND)
			kind = RTA_DATA(a);
		else if ((a->rta_type & NLA_TYPE_MASK) == TCA_OPTIONS && !strcmp(kind, "bpf"))
			name = bpf_filter_name(a);
	}
	return walk->fn(walk->ctx, kind, name, tc->tcm_handle, TC_H_MAJ(tc->tcm_info) >> 16);
}

int netlink_for_each_filter(int ifindex, uint32_t parent, netlink_filter_fn *fn, void *ctx)
{
	struct {
		struct nlmsghdr h;
		struct tcmsg tc;
	} request = {
		.h = { .nlmsg_len = sizeof(request),
		       .nlmsg_type = RTM_GETTFILTER,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.tc = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent },
	};
	struct filter_walk walk = { fn, ctx };

	return dump(&request, sizeof(request), filter_message, &walk);
}

int netlink_open_monitor(void)
{
	return netlink_open(RTMGRP_LINK, SOCK_NONBLOCK);
}

void netlink_read_monitor(int fd, netlink_link_fn *fn, void *ctx, bool *overrun)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct link_walk walk = { fn, ctx };
	ssize_t n;

	*overrun = false;
	for (;;) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == ENOBUFS)
			*overrun = true;
		else if (n < 0 && errno != EINTR)
			return;
		for (struct nlmsghdr *m = (void *)buf; n > 0 && NLMSG_OK(m, (unsigned int)n); m = NLMSG_NEXT(m, n))
			link_message(m, &walk);
	}
}
