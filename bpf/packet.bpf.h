/* SPDX-License-Identifier: MIT */
/*
 * What a buffer says of its packet, wherever in the stack it was freed: on its way up, down or through. Trusts none of
 * the buffer's offsets before it has looked at the headers that they point to.
 */
#ifndef REBPF_PACKET_BPF_H
#define REBPF_PACKET_BPF_H

#include "rebpf.bpf.h"

#define NEXTHDR_HOP 0
#define NEXTHDR_ROUTING 43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_DEST 60

/*
 * Offsets are from skb->head. t.ip_version 0: not IP. @th 0: no transport header that could be read. @protocol, @nh, @mark_th:
 * as the buffer says, @nh then as it was found.
 */
struct layer3 {
	struct rec_tuple t;
	unsigned char *head;
	__u32 nh, th;
	__u32 end;  /* of the packet */
	__u32 tail; /* of what lies in the head */
	__u32 mark_th;
	__u16 protocol;
	__u16 ip_id;
	__u32 tcp_read; /* @tcp has been read together with the IP header */
	__u8 ip[20];    /* read word by word, so aligned */
	__u8 tcp[20];   /* the first bytes of the transport header, as many as are there; of TCP and UDP only */
};

/* What a buffer says of itself, through helpers. skb->len counts from skb->data, wherever the stack has moved it. */
static __always_inline void layer3_open(struct layer3 *l, struct sk_buff *skb)
{
	l->protocol = BPF_CORE_READ(skb, protocol);
	l->head = BPF_CORE_READ(skb, head);
	l->nh = BPF_CORE_READ(skb, network_header);
	l->mark_th = BPF_CORE_READ(skb, transport_header);
	l->tail = BPF_CORE_READ(skb, tail);
	l->end = (__u32)(BPF_CORE_READ(skb, data) - l->head) + BPF_CORE_READ(skb, len);
}

/* The same where the verifier knows the pointer (tp_btf): a load each instead of a call. */
static __always_inline void layer3_open_typed(struct layer3 *l, struct sk_buff *skb)
{
	l->protocol = skb->protocol;
	l->head = skb->head;
	l->nh = skb->network_header;
	l->mark_th = skb->transport_header;
	l->tail = skb->tail;
	l->end = (__u32)(skb->data - l->head) + skb->len;
}

static __always_inline bool ipv4_read(struct layer3 *l)
{
	__u32 *saddr = (void *)l->t.saddr, *daddr = (void *)l->t.daddr;
	const __u8 *ip = l->ip;
	__u32 total;
	long err;

	/* Both headers in one read, where both are: the call is what it costs. */
	l->tcp_read = l->nh + 40 <= l->tail;
	if (l->tcp_read)
		err = bpf_probe_read_kernel(l->ip, 40, l->head + l->nh);
	else
		err = l->nh + 20 > l->tail ? -1 : bpf_probe_read_kernel(l->ip, 20, l->head + l->nh);
	if (err || ip[0] >> 4 != 4 || (ip[0] & 15) < 5)
		return false;
	l->tcp_read &= (ip[0] & 15) == 5;
	saddr[0] = *(__u32 *)(ip + 12);
	daddr[0] = *(__u32 *)(ip + 16);
	l->t.ip_version = 4;
	l->t.protocol = ip[9];
	l->ip_id = ((__u16)ip[4] << 8) | ip[5];
	total = ((__u32)ip[2] << 8) | ip[3];
	/* Without the padding of a short frame; a GSO buffer may have none or too small a number. */
	if (total >= 40 && l->nh + total < l->end && l->end - l->nh < 64)
		l->end = l->nh + total;
	/* A later fragment has no transport header. */
	if (((ip[6] & 0x1f) << 8) | ip[7])
		return true;
	l->th = l->nh + (ip[0] & 15) * 4;
	return true;
}

static __always_inline bool ipv6_read(struct layer3 *l)
{
	__u8 ip[40], ext[8];
	__u32 at;
	__u8 next;

	if (l->nh + 40 > l->tail || bpf_probe_read_kernel(ip, sizeof(ip), l->head + l->nh) || ip[0] >> 4 != 6)
		return false;
	__builtin_memcpy(l->t.saddr, ip + 8, 16);
	__builtin_memcpy(l->t.daddr, ip + 24, 16);
	l->t.ip_version = 6;
	next = ip[6];
	at = l->nh + 40;
	for (int i = 0; i < 4; i++) {
		if (next != NEXTHDR_HOP && next != NEXTHDR_ROUTING && next != NEXTHDR_DEST && next != NEXTHDR_FRAGMENT)
			break;
		if (at + 8 > l->tail || bpf_probe_read_kernel(ext, sizeof(ext), l->head + at))
			return true;
		if (next == NEXTHDR_FRAGMENT && (((__u32)ext[2] << 8) | (ext[3] & 0xf8)))
			return true;
		at += next == NEXTHDR_FRAGMENT ? 8 : ((__u32)ext[1] + 1) * 8;
		next = ext[0];
	}
	l->t.protocol = next;
	l->th = at;
	return true;
}

/*
 * A buffer of a socket that has no IP header yet (no route, no memory): its ends are those of the socket. Only the TCP
 * header must be there.
 */
static __always_inline bool socket_read(struct layer3 *l, struct sock *sk)
{
	__u32 th = l->mark_th;
	struct rec_flow flow;

	if (!sk || th == 0xffff || !sk_is_full(BPF_CORE_READ(sk, __sk_common.skc_state)) ||
	    BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) != IPPROTO_TCP || !flow_read_ends(&flow, &sk->__sk_common))
		return false;
	__builtin_memcpy(l->t.saddr, flow.laddr, 16);
	__builtin_memcpy(l->t.daddr, flow.raddr, 16);
	l->t.sport = flow.lport;
	l->t.dport = flow.rport;
	l->t.ip_version = flow.ip_version;
	l->t.protocol = IPPROTO_TCP;
	l->th = th;
	l->nh = th;
	return true;
}

/* Ports, and the TCP header that segment_read() takes apart. */
static __always_inline void ports_read(struct layer3 *l)
{
	__u32 size = l->t.protocol == IPPROTO_TCP ? 20 : 8;

	if (!l->th || (l->t.protocol != IPPROTO_TCP && l->t.protocol != IPPROTO_UDP))
		return;
	/* A cut TCP header still has its ports. */
	if (l->th + size > l->tail)
		size = 4;
	if (!l->tcp_read && (l->th + size > l->tail || bpf_probe_read_kernel(l->tcp, size, l->head + l->th))) {
		l->th = 0;
		return;
	}
	l->t.sport = bpf_ntohs(*(__u16 *)l->tcp);
	l->t.dport = bpf_ntohs(*(__u16 *)(l->tcp + 2));
}

/* Finds the headers of an opened buffer; @sk: the socket that it belongs to, or NULL. */
static __always_inline void layer3_parse(struct layer3 *l, struct sock *sk)
{
	bool found = false;

	if (l->nh != 0xffff) {
		if (l->protocol == bpf_htons(ETH_P_IP))
			found = ipv4_read(l);
		else if (l->protocol == bpf_htons(ETH_P_IPV6))
			found = ipv6_read(l);
	}
	if (!found && !socket_read(l, sk)) {
		l->nh = l->end;
		return;
	}
	ports_read(l);
}

/* verifier: all ways through layer3_parse() become one. */
static __always_inline void layer3_forget(struct layer3 *l, __u64 unknown)
{
	__u32 *saddr = (void *)l->t.saddr, *daddr = (void *)l->t.daddr;

	for (int i = 0; i < 4; i++) {
		FORGET(saddr[i], unknown);
		FORGET(daddr[i], unknown);
	}
	FORGET(l->t.sport, unknown);
	FORGET(l->t.dport, unknown);
	FORGET(l->t.ip_version, unknown);
	FORGET(l->t.protocol, unknown);
	FORGET(l->nh, unknown);
	FORGET(l->th, unknown);
	FORGET(l->end, unknown);
	FORGET(l->ip_id, unknown);
}

/* The options where Linux and most others put them: time stamps first, then SACK. @bare: no room for blocks of SACK. */
static __always_inline void options_read(struct rec_drop *d, const __u8 *opt, __u32 len, bool bare)
{
	__u32 at = 0;

	if (len >= 12 && opt[0] == 1 && opt[1] == 1 && opt[2] == 8) {
		d->tsval = bpf_ntohl(*(__u32 *)(opt + 4));
		d->tsecr = bpf_ntohl(*(__u32 *)(opt + 8));
		at = 12;
	} else if (len >= 16 && opt[0] == 2 && opt[6] == 8) {
		d->tsval = bpf_ntohl(*(__u32 *)(opt + 8));
		d->tsecr = bpf_ntohl(*(__u32 *)(opt + 12));
		return;
	}
	for (int i = 0; i < REBPF_SACK_BLOCKS && !bare; i++) {
		/* at is 0 or 12, and the options end at 40: three blocks, or four */
		const __u8 *sack = at ? opt + 12 : opt;

		if (i == 3 && at)
			break;
		if (len < at + 4 + (i + 1) * 8 || sack[0] != 1 || sack[1] != 1 || sack[2] != 5 ||
		    sack[3] < 2 + (i + 1) * 8)
			break;
		d->sack[i].start = bpf_ntohl(*(__u32 *)(sack + 4 + i * 8));
		d->sack[i].end = bpf_ntohl(*(__u32 *)(sack + 8 + i * 8));
		d->sacks = i + 1;
	}
}

/* Can the segment carry blocks of SACK beside a time stamp? */
static __always_inline bool segment_may_sack(const struct layer3 *l)
{
	return l->th && l->t.protocol == IPPROTO_TCP && l->tcp[12] >> 4 > 8 && !(l->tcp[13] & TCP_FLAG_SYN);
}

/*
 * The TCP part of a DROP record; all zero, and tcp_flags with it, if there is no whole TCP header. @bare: of a record of
 * REC_DROP_BARE_SIZE.
 */
static __always_inline void segment_read(struct rec_drop *d, const struct layer3 *l, bool tcp, bool bare)
{
	const __u8 *h = l->tcp;
	__u8 opt[40];
	__u32 doff, len;

	d->seq = d->end_seq = d->ack = 0;
	d->tsval = d->tsecr = 0;
	d->tcp_flags = 0;
	if (!bare) {
		d->sacks = 0;
		__builtin_memset(d->sack, 0, sizeof(d->sack));
	}
	if (!tcp || !l->th || l->th + 20 > l->tail)
		return;
	doff = (h[12] >> 4) * 4;
	if (doff < 20 || l->end < l->th + doff)
		return;
	len = doff - 20;
	if (len > sizeof(opt) || l->th + doff > l->tail)
		len = 0;
	d->tcp_flags = h[13];
	d->seq = bpf_ntohl(*(__u32 *)(h + 4));
	d->ack = d->tcp_flags & TCP_FLAG_ACK ? bpf_ntohl(*(__u32 *)(h + 8)) : 0;
	d->end_seq = d->seq + (l->end - l->th - doff) + !!(d->tcp_flags & TCP_FLAG_SYN) +
		     !!(d->tcp_flags & TCP_FLAG_FIN);
	if (!len)
		return;
	__builtin_memset(opt, 0, sizeof(opt));
	/* verifier: it does not see above that a header of 60 bytes has 40 of options. */
	if (!bpf_probe_read_kernel(opt, len < sizeof(opt) ? len : sizeof(opt), l->head + l->th + 20))
		options_read(d, opt, len, bare);
}

/* ---- connection tracking ---- */

#define NFCT_PTRMASK (~7ul)  /* include/linux/skbuff.h: the low bits are enum ip_conntrack_info */
#define IP_CT_IS_REPLY 3     /* include/uapi/linux/netfilter/nf_conntrack_common.h */
#define IPS_NAT_MASK 0x30    /* IPS_SRC_NAT | IPS_DST_NAT */

/* What connection tracking says of a packet. @ct: what translates it, 0: nothing does. @reply: 1: it goes back. */
struct translated {
	__u64 ct; /* struct nf_conn */
	__u64 reply;
	__u64 tracked; /* not 0: there is a conntrack */
};

/* @turned: 1: from its destination to its source. Arithmetic instead of branches, of which the verifier follows both ways. */
static __always_inline void tuple_from_ct(struct rec_tuple *t, struct nf_conntrack_tuple *ct, __u64 turned)
{
	__u64 src = bpf_core_field_offset(struct nf_conntrack_tuple, src.u3), dst = bpf_core_field_offset(struct nf_conntrack_tuple, dst.u3);
	__u64 sport = bpf_core_field_offset(struct nf_conntrack_tuple, src.u), dport = bpf_core_field_offset(struct nf_conntrack_tuple, dst.u);
	__u64 addrs = (dst - src) * turned, ports = (dport - sport) * turned;
	__be16 port[2] = {};

	bpf_probe_read_kernel(&t->saddr, 16, (void *)ct + src + addrs);
	bpf_probe_read_kernel(&t->daddr, 16, (void *)ct + dst - addrs);
	bpf_probe_read_kernel(&port[0], 2, (void *)ct + sport + ports);
	bpf_probe_read_kernel(&port[1], 2, (void *)ct + dport - ports);
	t->sport = bpf_ntohs(port[0]);
	t->dport = bpf_ntohs(port[1]);
	t->ip_version = 4 + (BPF_CORE_READ(ct, src.l3num) >> 2 & 2); /* AF_INET 2, AF_INET6 10 */
	t->protocol = BPF_CORE_READ(ct, dst.protonum);
	t->zero = 0;
}

/* struct nf_conn may be absent from a kernel without connection tracking. For tp_btf, like layer3_open_typed(). */
static __always_inline void translated_read(struct translated *x, struct sk_buff *skb)
{
	unsigned long status = 0;
	struct nf_conn *ct;

	if (!bpf_core_field_exists(skb->_nfct) || !bpf_core_type_exists(struct nf_conn))
		return;
	x->tracked = skb->_nfct & NFCT_PTRMASK;
	/* 3, 4 and beyond: IP_CT_IS_REPLY; they have three bits */
	x->reply = ((skb->_nfct & ~NFCT_PTRMASK) + 8 - IP_CT_IS_REPLY) >> 3;
	ct = (void *)x->tracked;
	if (ct)
		status = BPF_CORE_READ(ct, status);
	x->ct = x->tracked * !is_zero(status & IPS_NAT_MASK);
}

/* The tuple of a translated packet before (@t[0]) and after translation. */
static __always_inline void translated_tuples(struct rec_tuple *t, const struct translated *x)
{
	struct nf_conn *ct = (void *)x->ct;

	if (!bpf_core_type_exists(struct nf_conn))
		return;
	tuple_from_ct(&t[0], (void *)ct + bpf_core_field_offset(ct->tuplehash[0].tuple), x->reply);
	tuple_from_ct(&t[1], (void *)ct + bpf_core_field_offset(ct->tuplehash[1].tuple), 1 - x->reply);
}

#endif
