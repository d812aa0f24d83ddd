// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>

#include "netlink.h"

#define HOOK_MESSAGE (NFNL_SUBSYS_HOOK << 8 | NFNL_MSG_HOOK_GET)

static int hook_message(const struct nlmsghdr *m, void *ctx)
{
	*(bool *)ctx |= m->nlmsg_type == HOOK_MESSAGE;
	return 0;
}

int netlink_has_hook(int fd, const char *ifname, uint32_t hook, bool *there)
{
	struct {
		struct nlmsghdr h;
		struct nfgenmsg gen;
		struct rtattr hook_attr;
		uint32_t hook;
		struct rtattr name_attr;
		char name[IFNAMSIZ];
	} request = {
		.h = { .nlmsg_type = HOOK_MESSAGE },
		.gen = { .nfgen_family = NFPROTO_NETDEV, .version = NFNETLINK_V0 },
		.hook_attr = { RTA_LENGTH(sizeof(uint32_t)), NFNLA_HOOK_HOOKNUM },
		.hook = htonl(hook),
		.name_attr = { .rta_type = NFNLA_HOOK_DEV },
	};
	size_t len = strnlen(ifname, sizeof(request.name) - 1);

	memcpy(request.name, ifname, len);
	request.name_attr.rta_len = (unsigned short)RTA_LENGTH(len + 1);
	request.h.nlmsg_len = (uint32_t)(offsetof(__typeof__(request), name) + RTA_ALIGN(len + 1));
	*there = false;
	return netlink_dump(fd, &request, hook_message, there);
}

/* ---- nf_tables ---- */

#define CHAIN_MESSAGE(what) (NFNL_SUBSYS_NFTABLES << 8 | (what))

static int chain_message(const struct nlmsghdr *m, void *ctx)
{
	int left = (int)m->nlmsg_len - (int)NLMSG_LENGTH(sizeof(struct nfgenmsg));
	struct rtattr *a = (void *)((char *)NLMSG_DATA(m) + NLMSG_ALIGN(sizeof(struct nfgenmsg)));

	if (m->nlmsg_type != CHAIN_MESSAGE(NFT_MSG_NEWCHAIN))
		return 0;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) == NFTA_CHAIN_TYPE && RTA_PAYLOAD(a) >= sizeof("nat"))
			*(bool *)ctx |= !memcmp(RTA_DATA(a), "nat", sizeof("nat"));
	return 0;
}

int netlink_has_nat_chain(int fd, bool *there)
{
	struct {
		struct nlmsghdr h;
		struct nfgenmsg gen;
	} request = {
		.h = { .nlmsg_len = sizeof(request), .nlmsg_type = CHAIN_MESSAGE(NFT_MSG_GETCHAIN) },
		.gen = { .nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0 },
	};
	int err;

	*there = false;
	err = netlink_dump(fd, &request, chain_message, there);
	return err == -EINVAL ? 0 : err; /* a kernel without nf_tables */
}
