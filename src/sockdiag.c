// SPDX-License-Identifier: MIT
#include "sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netlink.h"
#include "netns.h"

/* include/net/tcp_states.h; netinet/tcp.h has them, and the rest of it would clash. */
#define STATE_SYN_RECV 3
#define STATE_LISTEN 10

/* One end of a packet. */
struct end {
	const uint8_t *addr;
	uint16_t port;
};

/* The namespace's sockets; it is entered only to open them. */
struct asker {
	int diag, route;
	uint32_t ifindex;
	uint8_t ip_version;
};

static int open_asker(struct asker *a)
{
	a->diag = netlink_open_diag();
	if (a->diag < 0)
		return a->diag;
	a->route = netlink_open_route();
	if (a->route < 0) {
		close(a->diag);
		return a->route;
	}
	return 0;
}

static int open_asker_in(struct asker *a, int home, uint32_t netns, uint32_t hint_tgid)
{
	int fd = netns_open_by_inode(netns, hint_tgid), err;

	if (fd < 0)
		return fd;
	err = setns(fd, CLONE_NEWNET) ? -errno : 0;
	close(fd);
	if (err)
		return err;
	err = open_asker(a);
	netns_return(home);
	return err;
}

/*
 * Sends a request and receives the one message that answers it into @answer, of type @type and with at least
 * @size bytes behind its header. Negative errno, also the one that the kernel answers.
 */
static int ask(int fd, struct nlmsghdr *request, struct nlmsghdr *answer, size_t room, uint16_t type, size_t size)
{
	ssize_t n;
	int err;

	if (send(fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	n = netlink_receive(fd, answer, room, 0);
	if (n < 0)
		return (int)n;
	if (!NLMSG_OK(answer, (unsigned int)n))
		return -EBADMSG;
	if (answer->nlmsg_type == NLMSG_ERROR && answer->nlmsg_len >= NLMSG_LENGTH(sizeof(err))) {
		memcpy(&err, NLMSG_DATA(answer), sizeof(err));
		return err ? err : -ENOENT;
	}
	return answer->nlmsg_type == type && answer->nlmsg_len >= NLMSG_LENGTH(size) ? 0 : -EBADMSG;
}

static uint64_t cgroup_of(const struct nlmsghdr *m)
{
	int left = (int)m->nlmsg_len - (int)NLMSG_SPACE(sizeof(struct inet_diag_msg));
	struct rtattr *first = (void *)((char *)NLMSG_DATA(m) + NLMSG_ALIGN(sizeof(struct inet_diag_msg)));
	uint64_t id = 0;

	for (struct rtattr *a = first; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(a) >= sizeof(id))
			memcpy(&id, RTA_DATA(a), sizeof(id));
	return id;
}

/*
 * The socket with these ends; where none is connected like that, the kernel answers with the listener that would take
 * the connection. Its v4 tables hold the v6 sockets that talk v4, too.
 */
static int lookup(const struct asker *a, struct end local, struct end remote, struct sockdiag_socket *out)
{
	size_t addr_len = a->ip_version == 4 ? 4 : 16;
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 req;
	} request = {
		.h = { .nlmsg_len = sizeof(request), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.req = {
			.sdiag_family = a->ip_version == 4 ? AF_INET : AF_INET6,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = ~0U,
			.id = {
				.idiag_sport = htons(local.port),
				.idiag_dport = htons(remote.port),
				.idiag_if = a->ifindex,
				.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
			},
		},
	};
	char buf[4096] __attribute__((aligned(8)));
	struct inet_diag_msg msg;
	int err;

	memcpy(request.req.id.idiag_src, local.addr, addr_len);
	memcpy(request.req.id.idiag_dst, remote.addr, addr_len);
	err = ask(a->diag, &request.h, (void *)buf, sizeof(buf), SOCK_DIAG_BY_FAMILY, sizeof(msg));
	if (err)
		return err;
	memcpy(&msg, NLMSG_DATA(buf), sizeof(msg));
	*out = (struct sockdiag_socket){
		.ino = msg.idiag_inode,
		.cgroup = cgroup_of((void *)buf),
		.uid = msg.idiag_uid,
		.state = msg.idiag_state,
	};
	return 0;
}

/* Is @end's address one of the namespace's? A listener on any address would else take a remote one for its own. */
static bool is_local(const struct asker *a, struct end end)
{
	size_t addr_len = a->ip_version == 4 ? 4 : 16;
	struct {
		struct nlmsghdr h;
		struct rtmsg route;
		struct rtattr dst;
		uint8_t addr[16];
	} request = {
		.h = { .nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(request.route)) + RTA_LENGTH(addr_len)),
		       .nlmsg_type = RTM_GETROUTE,
		       .nlmsg_flags = NLM_F_REQUEST },
		.route = { .rtm_family = a->ip_version == 4 ? AF_INET : AF_INET6,
			   .rtm_dst_len = (unsigned char)(addr_len * 8) },
		.dst = { (unsigned short)RTA_LENGTH(addr_len), RTA_DST },
	};
	char buf[4096] __attribute__((aligned(8)));
	struct rtmsg route;

	memcpy(request.addr, end.addr, addr_len);
	if (ask(a->route, &request.h, (void *)buf, sizeof(buf), RTM_NEWROUTE, sizeof(route)))
		return false;
	memcpy(&route, NLMSG_DATA(buf), sizeof(route));
	return route.rtm_type == RTN_LOCAL;
}

/* A request for a connection is the listener's: @found becomes it, if there is still one. */
static void to_listener(const struct asker *a, struct end local, struct sockdiag_socket *found)
{
	static const uint8_t any[16];
	struct sockdiag_socket listener;

	if (found->state == STATE_SYN_RECV && !found->ino && !lookup(a, local, (struct end){ any, 0 }, &listener) &&
	    listener.state == STATE_LISTEN)
		*found = listener;
}

static int find(const struct asker *a, const struct rec_tuple *t, struct sockdiag_socket *out)
{
	struct end src = { t->saddr, t->sport }, dst = { t->daddr, t->dport };
	struct sockdiag_socket receiver, sender;
	int err, sender_err;

	err = lookup(a, dst, src, &receiver);
	if (!err && receiver.state != STATE_LISTEN) {
		to_listener(a, dst, &receiver);
		receiver.received = true;
		*out = receiver;
		return 0;
	}
	if (err && err != -ENOENT)
		return err;
	sender_err = lookup(a, src, dst, &sender);
	if (!sender_err && sender.state != STATE_LISTEN) {
		to_listener(a, src, &sender);
		*out = sender;
		return 0;
	}
	if (err || !is_local(a, dst))
		return -ENOENT;
	receiver.received = true;
	*out = receiver;
	return 0;
}

int sockdiag_find(uint32_t netns, uint32_t hint_tgid, uint32_t ifindex, const struct rec_tuple *t,
		  struct sockdiag_socket *out)
{
	struct asker a = { .ifindex = ifindex, .ip_version = t->ip_version };
	struct stat own;
	int home, err;

	if (t->ip_version != 4 && t->ip_version != 6)
		return -ENOENT;
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || fstat(home, &own))
		err = -errno;
	else
		err = own.st_ino == netns ? open_asker(&a) : open_asker_in(&a, home, netns, hint_tgid);
	if (home >= 0)
		close(home);
	if (err)
		return err;
	err = find(&a, t, out);
	close(a.diag);
	close(a.route);
	return err;
}
