// SPDX-License-Identifier: MIT
#include "enrich.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "owner.h"
#include "sockdiag.h"
#include "symbols.h"
#include "util.h"

#define CLOCK_STEP_NS 100000 /* a smaller change of the offset is not worth a record */
#define KNOWN_SYMBOLS 4096   /* a power of two */
/* Searches for the sockets and owners of drops, some 50 us each: so many a second, after a burst of so many. */
#define SEARCHES_PER_SEC 200
#define SEARCHES_BURST 50
#define IPPROTO_NUMBER_TCP 6

struct enrich {
	struct pipeline *pipeline;
	struct symbols *symbols;
	struct owner_scan *owners;
	bool drops, stack;
	bool has_no_socket;
	uint32_t no_socket; /* number of the reason NO_SOCKET */
	uint64_t searched_ns; /* as if each search took its share of a second */
	uint64_t known_symbol[KNOWN_SYMBOLS];  /* addresses that the stream has the names of */
	uint64_t seen_location[KNOWN_SYMBOLS]; /* as the kernel gave them */
	uint64_t clock_offset;
	bool clock_known;
};

struct enrich *enrich_open(struct pipeline *p, bool drops, bool stack)
{
	struct enrich *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return NULL;
	e->pipeline = p;
	e->drops = drops;
	e->stack = stack;
	err = symbols_load(&e->symbols, NULL);
	if (err)
		log_warning("kernel symbols cannot be read (%s): functions are shown as addresses",
			    err == -EPERM ? "no cap_syslog, or kernel.kptr_restrict is 2" : strerror(-err));
	err = owner_scan_open(&e->owners, NULL);
	if (err)
		log_warning("cannot search /proc for the owners of sockets: %s", strerror(-err));
	return e;
}

void enrich_close(struct enrich *e)
{
	if (!e)
		return;
	symbols_free(e->symbols);
	owner_scan_close(e->owners);
	free(e);
}

unsigned int enrich_wrappers(const struct enrich *e, struct code_range *out, unsigned int max)
{
	return symbols_wrappers(e->symbols, out, max);
}

/* Without the symbols it cannot be ruled out. */
bool enrich_is_nat_possible(const struct enrich *e)
{
	return !e->symbols || symbols_find(e->symbols, "nf_nat_setup_info") || !access("/sys/module/nf_nat", F_OK);
}

void enrich_header(struct rec_header *h, uint8_t kind, size_t size)
{
	h->ts_ns = clock_mono_ns();
	h->kind = kind;
	h->size = (uint16_t)size;
}

#define FEED(e, kind, type, ...)                                     \
	do {                                                         \
		struct type rec = { __VA_ARGS__ };                   \
		enrich_header(&rec.h, kind, sizeof(rec));            \
		pipeline_feed((e)->pipeline, &rec, sizeof(rec));     \
	} while (0)

/* CLOCK_REALTIME is stepped and slewed, and goes on while the machine sleeps: its offset is sampled again and again. */
void enrich_clock(struct enrich *e)
{
	uint64_t mono, wall, change;

	clock_pair(&mono, &wall);
	change = wall - mono - e->clock_offset;
	if (e->clock_known && (change < CLOCK_STEP_NS || -change < CLOCK_STEP_NS))
		return;
	e->clock_known = true;
	e->clock_offset = wall - mono;
	FEED(e, REC_CLOCK, rec_clock, .mono_ns = mono, .wall_ns = wall);
}

void enrich_reasons(struct enrich *e, const struct reasons *reasons)
{
	e->has_no_socket = reasons_number(reasons, "NO_SOCKET", &e->no_socket);
	for (size_t i = 0; i < reasons_count(reasons); i++) {
		struct rec_reason rec = {};
		const char *name;

		reasons_at(reasons, i, &rec.reason, &name);
		enrich_header(&rec.h, REC_REASON, sizeof(rec));
		snprintf(rec.name, sizeof(rec.name), "%s", name);
		pipeline_feed(e->pipeline, &rec, sizeof(rec));
	}
}

/* ---- names of functions ---- */

static size_t symbol_slot(uint64_t addr)
{
	return (addr * 0x9e3779b97f4a7c15ULL >> 32) & (KNOWN_SYMBOLS - 1);
}

static void feed_symbol(struct enrich *e, uint64_t addr)
{
	uint64_t *known = &e->known_symbol[symbol_slot(addr)];
	struct rec_symbol rec = { .addr = addr };
	const char *name, *module;
	uint64_t offset;

	if (*known == addr)
		return;
	if (symbols_reload_if_unknown(e->symbols, addr, clock_mono_ns()) < 0)
		log_debug("cannot read the kernel's symbols again");
	if (!symbols_lookup(e->symbols, addr, &name, &module, &offset))
		return;
	rec.offset = offset;
	*known = addr;
	enrich_header(&rec.h, REC_SYMBOL, sizeof(rec));
	snprintf(rec.name, sizeof(rec.name), "%s", name);
	snprintf(rec.module, sizeof(rec.module), "%s", module);
	pipeline_feed(e->pipeline, &rec, sizeof(rec));
}

/* A place not seen before may be in a module that was loaded since, where another one's code was. */
static void follow_modules(struct enrich *e, uint64_t location)
{
	uint64_t *seen = &e->seen_location[symbol_slot(location)];

	if (*seen != location && symbols_follow_modules(e->symbols) > 0) {
		memset(e->known_symbol, 0, sizeof(e->known_symbol));
		memset(e->seen_location, 0, sizeof(e->seen_location));
	}
	*seen = location;
}

/* Who decided to drop: the location itself, or up the stack from it. */
static uint64_t resolve(struct enrich *e, uint64_t location, const uint64_t stack[REBPF_STACK_DEPTH])
{
	follow_modules(e, location);
	location = symbols_skip_wrappers(e->symbols, location, stack, REBPF_STACK_DEPTH);
	feed_symbol(e, location);
	return location;
}

void enrich_location(struct enrich *e, uint64_t location)
{
	follow_modules(e, location);
	feed_symbol(e, location);
}

/* ---- records ---- */

static void feed_rtx_drop(struct enrich *e, const void *data)
{
	uint64_t stack[REBPF_STACK_DEPTH];
	struct rec_rtx_drop d;

	memcpy(&d, data, sizeof(d));
	memcpy(stack, d.stack, sizeof(stack));
	d.location = resolve(e, d.location, stack);
	pipeline_feed(e->pipeline, &d, sizeof(d));
}

static bool may_search(struct enrich *e, uint64_t now_ns)
{
	const uint64_t share_ns = NSEC_PER_SEC / SEARCHES_PER_SEC;

	if (e->searched_ns > now_ns)
		return false;
	if (now_ns - e->searched_ns > SEARCHES_BURST * share_ns)
		e->searched_ns = now_ns - SEARCHES_BURST * share_ns;
	e->searched_ns += share_ns;
	return true;
}

/* Whose packet it is, where the kernel side does not say. */
static void feed_socket(struct enrich *e, const struct rec_drop *d)
{
	struct sockdiag_socket found = { .ino = d->ino, .received = d->received };
	uint64_t now_ns = clock_mono_ns();
	struct rec_owner owner = {};

	if (!e->drops || d->t.protocol != IPPROTO_NUMBER_TCP || !d->t.ip_version || d->owner.tgid ||
	    (d->sk && !d->ino) || !may_search(e, now_ns))
		return;
	/* TCP has looked already. */
	if (e->has_no_socket && d->reason == e->no_socket)
		return;
	if (!d->sk && sockdiag_find(d->netns, 0, d->ifindex, &d->t, &found))
		return;
	if (e->owners && found.ino)
		owner_find(e->owners, found.ino, 0, now_ns, &owner);
	FEED(e, REC_SOCKET, rec_socket, .skb = d->skb, .ino = found.ino, .cgroup = found.cgroup, .uid = found.uid,
	     .state = found.state, .received = found.received, .owner = owner);
}

/* Without the frames of rebpf's own program and of the tracepoint. */
static void begin_at(uint64_t stack[REBPF_STACK_DEPTH], uint64_t location)
{
	unsigned int from = 0, n;

	while (from < REBPF_STACK_DEPTH && stack[from] != location)
		from++;
	if (from == REBPF_STACK_DEPTH)
		return;
	n = REBPF_STACK_DEPTH - from;
	memmove(stack, stack + from, n * sizeof(*stack));
	memset(stack + n, 0, from * sizeof(*stack));
}

static void feed_drop(struct enrich *e, const void *data, size_t size)
{
	uint64_t stack[REBPF_STACK_DEPTH] = {};
	struct rec_drop d;

	memcpy(&d, data, size);
	if (size < REC_DROP_SHORT_SIZE)
		memset((char *)&d + size, 0, REC_DROP_SHORT_SIZE - size);
	if (size == sizeof(d))
		memcpy(stack, d.stack, sizeof(stack));
	if (size == sizeof(d))
		begin_at(stack, d.location);
	memcpy(d.stack, stack, size == sizeof(d) ? sizeof(stack) : 0);
	if (d.location)
		d.location = resolve(e, d.location, stack);
	for (int i = 0; e->stack && i < REBPF_STACK_DEPTH && stack[i]; i++)
		feed_symbol(e, stack[i]);
	feed_socket(e, &d);
	/* Not asked for, it has done its duty. */
	if (!e->stack && size == sizeof(d))
		memset(d.stack, 0, sizeof(d.stack));
	pipeline_feed(e->pipeline, &d, size);
}

static void feed_owner(struct enrich *e, const struct rec_rtx_entry *entry)
{
	struct rec_owner owner;

	/* Not searched: what the hooks noted stands. Nobody holds it: then it is nobody's, whatever they noted. */
	if (!e->owners || !entry->flow.ino ||
	    owner_find(e->owners, entry->flow.ino, entry->owner.tgid, clock_mono_ns(), &owner) == OWNER_NOT_SEARCHED ||
	    owner.tgid == entry->owner.tgid)
		return;
	FEED(e, REC_OWNER, rec_owner_found, .sk = entry->flow.sk, .ino = entry->flow.ino, .owner = owner);
}

void enrich_record(struct enrich *e, const void *data, size_t size)
{
	const struct rec_header *h = data;

	/* The ring rounds sizes up; the header knows better. */
	if (size >= sizeof(*h) && h->size <= size)
		size = h->size;
	if (size >= sizeof(*h) && h->kind == REC_RTX_DROP && size == sizeof(struct rec_rtx_drop)) {
		feed_rtx_drop(e, data);
		return;
	}
	if (size >= REC_DROP_BARE_SIZE && size <= sizeof(struct rec_drop) && h->kind == REC_DROP) {
		feed_drop(e, data, size);
		return;
	}
	if (size == sizeof(struct rec_rtx_entry) && h->kind == REC_RTX_ENTRY)
		feed_owner(e, data);
	pipeline_feed(e->pipeline, data, size);
}
