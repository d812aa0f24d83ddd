// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "meaning_table.h"

#define PREFIX "SKB_DROP_REASON_" /* as bpftrace, perf and the kernel's sources write them */
#define MAX_NEAR 10
#define MIN_NEAR 3 /* characters in common, to be near */

/* ---- what the tables do not have ---- */

static const struct drop_meaning unknown_reason =
	MEANING_ROW("unknown reason", BAD, UNCLEAR,
		    "this rebpf does not know the reason; it may be of a newer kernel or a module",
		    "the location; the comment on it in the kernel's include/net/dropreason-core.h; a newer rebpf");
static const struct drop_meaning unknown_function =
	MEANING_ROW("unknown function", BAD, UNCLEAR,
		    "freed as a drop by a kernel function of which rebpf knows nothing",
		    "the location and, with --stack, who called it; nstat -az before and after");
static const struct drop_meaning unknown_stack_module =
	MEANING_ROW("unknown function of a network module", BAD, UNCLEAR,
		    "freed as a drop by a module of the network stack; rebpf does not know the function",
		    "the configuration of what the module does; --stack shows who called it");
static const struct drop_meaning unknown_driver =
	MEANING_ROW("unknown function of a driver", BAD, DRIVER,
		    "freed as a drop by a driver, which may have sent or delivered it before",
		    "ethtool -S IF; ip -s -s link show dev IF; dmesg; the driver's version");

/*
 * Modules that are part of the network stack or virtual devices of it; what ends in _ is a prefix. All others are
 * taken for drivers.
 */
static const char *const stack_modules[] = {
	"nf_", "nft_", "xt_", "ipt_", "ip6t_", "ebt_", "arpt_", "iptable_", "ip6table_", "arptable_",
	"ebtable_", "nfnetlink", "nfnetlink_", "x_tables", "ip_", "ip6_", "arp_tables", "ebtables", "ipv6",
	"tcp_", "tunnel4", "tunnel6", "ipip", "sit", "gre", "udp_tunnel", "fou", "fou6", "esp4", "esp6", "ah4",
	"ah6", "ipcomp", "ipcomp6", "xfrm4_", "xfrm6_", "xfrm_", "espintcp", "sch_", "act_", "cls_", "em_",
	"bridge", "br_netfilter", "stp", "llc", "8021q", "garp", "mrp", "openvswitch", "vport_", "nsh",
	"mpls_", "af_packet", "af_key", "mptcp", "tls", "veth", "tun", "tap", "macvlan", "macvtap", "ipvlan",
	"ipvtap", "vxlan", "geneve", "wireguard", "bonding", "team", "team_", "dummy", "ifb", "nlmon", "vrf",
	"netkit", "l2tp_", "ppp_", "pppoe", "amt", "bareudp", "gtp", "psample", "kcm", "sctp",
};

static bool is_stack_module(const char *module)
{
	for (size_t i = 0; i < ARRAY_SIZE(stack_modules); i++) {
		const char *m = stack_modules[i];
		size_t len = strlen(m);

		if (m[len - 1] == '_' ? !strncmp(module, m, len) : !strcmp(module, m))
			return true;
	}
	return false;
}

/* ---- looking up ---- */

/* The name without what a compiler ("tcp_drop.isra.0") or an offset ("tcp_v4_rcv+0x1a") puts behind it. */
static size_t bare_length(const char *name)
{
	return strcspn(name, ".+");
}

static const struct drop_meaning *find(const struct meaning_table *t, const char *name, size_t len)
{
	for (size_t i = 0; i < t->count; i++) {
		if (!strncasecmp(t->rows[i].reason, name, len) && !t->rows[i].reason[len])
			return &t->rows[i];
	}
	return NULL;
}

static const struct drop_meaning *by_function(bool no_reasons, const char *symbol, const char *module)
{
	size_t len = bare_length(symbol);
	const struct drop_meaning *m = NULL;

	if (no_reasons)
		m = find(&meaning_places_no_reasons, symbol, len);
	if (!m)
		m = find(&meaning_places, symbol, len);
	if (m)
		return m;
	if (!*module)
		return &unknown_function;
	return is_stack_module(module) ? &unknown_stack_module : &unknown_driver;
}

const struct drop_meaning *meaning_of(const char *reason, const char *symbol, const char *module)
{
	const struct drop_meaning *m;

	if (!*reason || !strcmp(reason, "NOT_SPECIFIED"))
		return by_function(!*reason, symbol, module);
	m = find(&meaning_reasons, reason, strlen(reason));
	return m ? m : &unknown_reason;
}

static const char *without_prefix(const char *name)
{
	return strncasecmp(name, PREFIX, strlen(PREFIX)) ? name : name + strlen(PREFIX);
}

const struct drop_meaning *meaning_find(const char *name)
{
	const struct drop_meaning *m;
	size_t len;

	name = without_prefix(name);
	len = bare_length(name);
	m = find(&meaning_reasons, name, len);
	return m ? m : find(&meaning_places, name, len);
}

const struct drop_meaning *meaning_at(size_t i)
{
	return i < meaning_reasons.count ? &meaning_reasons.rows[i] : NULL;
}

/* ---- explaining ---- */

static const char *class_text(enum drop_class c)
{
	switch (c) {
	case DROP_CLASS_POLICY:
		return "policy: somebody configured it";
	case DROP_CLASS_EXPECTED:
		return "expected: normal, hidden by default";
	default:
		return "bad: something to look at";
	}
}

static const char *fate_text(enum drop_fate f)
{
	switch (f) {
	case DROP_FATE_LOST:
		return "lost: what it carried got no further than this host";
	case DROP_FATE_DELIVERED:
		return "delivered: freed after TCP had processed it, or had the same already";
	case DROP_FATE_COPY:
		return "copy: made for somebody else; the packet itself is not affected";
	case DROP_FATE_OUTSIDE:
		return "outside the window: lost if it lay beyond, delivered if it was an old duplicate";
	case DROP_FATE_DRIVER:
		return "driver: may have been sent or delivered before it was freed";
	default:
		return "unclear: this alone does not tell whether anything was lost";
	}
}

static void line(struct strbuf *out, const char *label, const char *text)
{
	strbuf_str(out, "  ");
	strbuf_str(out, label);
	strbuf_str(out, text);
	strbuf_char(out, '\n');
}

static void explain(struct strbuf *out, const struct drop_meaning *m)
{
	strbuf_str(out, m->reason);
	strbuf_char(out, '\n');
	line(out, "class  ", class_text(m->class));
	line(out, "fate   ", fate_text(m->fate));
	line(out, "means  ", m->meaning);
	line(out, "check  ", m->check);
}

static bool contains(const char *text, const char *part)
{
	size_t len = strlen(part);

	for (; *text; text++) {
		if (!strncasecmp(text, part, len))
			return true;
	}
	return false;
}

static size_t common_length(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && tolower((unsigned char)a[n]) == tolower((unsigned char)b[n]))
		n++;
	return n;
}

/* How near: a name that contains the other is nearest, else the longer the common beginning. 0: not at all. */
static size_t nearness(const char *a, const char *b)
{
	size_t n;

	if (strlen(a) < MIN_NEAR || strlen(b) < MIN_NEAR)
		return 0;
	if (contains(a, b) || contains(b, a))
		return SIZE_MAX;
	n = common_length(a, b);
	return n < MIN_NEAR ? 0 : n;
}

/* The MAX_NEAR nearest rows, nearest first, reasons before functions; returns how many. */
static size_t nearest(const char *name, const struct drop_meaning *near[MAX_NEAR])
{
	const struct meaning_table *const tables[] = { &meaning_reasons, &meaning_places };
	size_t score[MAX_NEAR], count = 0, s, k;

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (size_t i = 0; i < tables[t]->count; i++) {
			s = nearness(tables[t]->rows[i].reason, name);
			if (!s || (count == MAX_NEAR && s <= score[MAX_NEAR - 1]))
				continue;
			if (count < MAX_NEAR)
				count++;
			for (k = count - 1; k && score[k - 1] < s; k--) {
				score[k] = score[k - 1];
				near[k] = near[k - 1];
			}
			score[k] = s;
			near[k] = &tables[t]->rows[i];
		}
	}
	return count;
}

bool meaning_explain(struct strbuf *out, const char *name)
{
	const struct drop_meaning *m = meaning_find(name), *near[MAX_NEAR];
	size_t count;

	if (m) {
		explain(out, m);
		return true;
	}
	count = nearest(without_prefix(name), near);
	if (count)
		strbuf_str(out, "near:\n");
	for (size_t i = 0; i < count; i++)
		line(out, near[i]->reason, "");
	return false;
}
