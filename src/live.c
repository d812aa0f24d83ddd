// SPDX-License-Identifier: MIT
#include "live.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "counters.h"
#include "egress.h"
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "probes.h"
#include "ring.h"
#include "symbols.h"
#include "util.h"

#define TICK_MS 100
#define DRAIN_BUDGET 4096            /* records of one ring before timers and signals get their turn */
#define CLOCK_EVERY_NS NSEC_PER_SEC
#define CLOCK_STEP_NS 100000         /* a smaller change of the offset is not worth a record */
#define HINT_AFTER_NS (10 * NSEC_PER_SEC)
#define KNOWN_SYMBOLS 4096           /* a power of two */

struct live {
	const struct options *options;
	const struct features *features;
	const struct plan *plan;
	struct pipeline *pipeline;
	struct probes *probes;
	struct egress *egress;
	struct shared *shared;
	struct ring *ring[RING_COUNT];
	struct symbols *symbols;
	struct owner_scan *owners;
	struct loop *loop;
	unsigned int cpus;
	uint32_t own_netns;
	uint64_t known_symbol[KNOWN_SYMBOLS]; /* addresses that the stream has the names of */
	uint64_t seen_location[KNOWN_SYMBOLS]; /* as the kernel gave them */
	uint64_t lost_bucket[RING_COUNT][REBPF_FLOW_BUCKETS];
	uint64_t lost[RING_COUNT];
	uint64_t drained_ns; /* the rings were last read then */
	uint64_t clock_offset, clock_at_ns, armed_ns, rate_at_ns, rate_produced, skipped_runs;
	bool hinted;
};

/* ---- records that user space makes ---- */

static void init_header(struct rec_header *h, uint8_t kind, size_t size)
{
	h->ts_ns = clock_mono_ns();
	h->kind = kind;
	h->size = (uint16_t)size;
}

#define FEED(l, kind, type, ...)                                     \
	do {                                                         \
		struct type rec = { __VA_ARGS__ };                   \
		init_header(&rec.h, kind, sizeof(rec));              \
		pipeline_feed((l)->pipeline, &rec, sizeof(rec));     \
	} while (0)

static void feed_host(struct live *l)
{
	struct rec_host host = {
		.format = REBPF_FORMAT,
		.hz = l->features->hz,
		.own_netns = l->own_netns,
		.flags = l->plan->host_flags,
		.armed_ns = clock_mono_ns(),
	};

	init_header(&host.h, REC_HOST, sizeof(host));
	snprintf(host.release, sizeof(host.release), "%.*s", (int)sizeof(host.release) - 1, l->features->release);
	snprintf(host.version, sizeof(host.version), "%s", REBPF_VERSION);
	l->armed_ns = host.armed_ns;
	pipeline_feed(l->pipeline, &host, sizeof(host));
}

/* CLOCK_REALTIME is stepped and slewed: its offset is sampled again and again. */
static void feed_clock(struct live *l, uint64_t now_ns)
{
	uint64_t mono, wall, change;

	if (l->clock_at_ns && now_ns - l->clock_at_ns < CLOCK_EVERY_NS)
		return;
	clock_pair(&mono, &wall);
	change = wall - mono - l->clock_offset;
	if (l->clock_at_ns && (change < CLOCK_STEP_NS || -change < CLOCK_STEP_NS)) {
		l->clock_at_ns = now_ns;
		return;
	}
	l->clock_at_ns = now_ns;
	l->clock_offset = wall - mono;
	FEED(l, REC_CLOCK, rec_clock, .mono_ns = mono, .wall_ns = wall);
}

static void feed_reasons(struct live *l, const struct reasons *reasons)
{
	for (size_t i = 0; i < reasons_count(reasons); i++) {
		struct rec_reason rec = {};
		const char *name;

		reasons_at(reasons, i, &rec.reason, &name);
		init_header(&rec.h, REC_REASON, sizeof(rec));
		snprintf(rec.name, sizeof(rec.name), "%s", name);
		pipeline_feed(l->pipeline, &rec, sizeof(rec));
	}
}

static void on_netns(void *ctx, uint32_t netns, bool watched)
{
	struct live *l = ctx;

	FEED(l, REC_NETNS, rec_netns, .netns = netns, .watched = watched);
}

static size_t symbol_slot(uint64_t addr)
{
	return (addr * 0x9e3779b97f4a7c15ULL >> 32) & (KNOWN_SYMBOLS - 1);
}

static void feed_symbol(struct live *l, uint64_t addr)
{
	uint64_t *known = &l->known_symbol[symbol_slot(addr)];
	struct rec_symbol rec = { .addr = addr };
	const char *name, *module;
	uint64_t offset;

	if (*known == addr)
		return;
	if (symbols_reload_if_unknown(l->symbols, addr, clock_mono_ns()) < 0)
		log_debug("cannot read the kernel's symbols again");
	if (!symbols_lookup(l->symbols, addr, &name, &module, &offset))
		return;
	rec.offset = offset;
	*known = addr;
	init_header(&rec.h, REC_SYMBOL, sizeof(rec));
	snprintf(rec.name, sizeof(rec.name), "%s", name);
	snprintf(rec.module, sizeof(rec.module), "%s", module);
	pipeline_feed(l->pipeline, &rec, sizeof(rec));
}

/* What the rings lost since the last time, by bucket of flows. */
static void feed_losses(struct live *l, const struct counters *counters, uint64_t since_ns)
{
	for (uint32_t ring = 0; ring < RING_COUNT; ring++) {
		if (counters->lost[ring] == l->lost[ring])
			continue;
		log_warning("lost %llu records: the ring buffer was full",
			    (unsigned long long)(counters->lost[ring] - l->lost[ring]));
		l->lost[ring] = counters->lost[ring];
		for (uint32_t b = 0; b < REBPF_FLOW_BUCKETS; b++) {
			uint64_t now = *(volatile __u64 *)&l->shared->lost_bucket[ring][b];

			if (now != l->lost_bucket[ring][b])
				FEED(l, REC_LOSS, rec_loss, .count = now - l->lost_bucket[ring][b],
				     .since_ns = since_ns, .ring = ring, .bucket = b);
			l->lost_bucket[ring][b] = now;
		}
	}
}

/* ---- records from the rings, and what they need to be understood elsewhere ---- */

static void prepare_entry(struct live *l, const struct rec_rtx_entry *e)
{
	struct rec_owner owner;

	/* Not searched: what the hooks noted stands. Nobody holds it: then it is nobody's, whatever they noted. */
	if (!l->owners || !e->flow.ino ||
	    owner_find(l->owners, e->flow.ino, e->owner.tgid, clock_mono_ns(), &owner) == OWNER_NOT_SEARCHED ||
	    owner.tgid == e->owner.tgid)
		return;
	FEED(l, REC_OWNER, rec_owner_found, .sk = e->flow.sk, .ino = e->flow.ino, .owner = owner);
}

/* A place not seen before may be in a module that was loaded since, where another one's code was. */
static void follow_modules(struct live *l, uint64_t location)
{
	uint64_t *seen = &l->seen_location[symbol_slot(location)];

	if (*seen != location && symbols_follow_modules(l->symbols) > 0) {
		memset(l->known_symbol, 0, sizeof(l->known_symbol));
		memset(l->seen_location, 0, sizeof(l->seen_location));
	}
	*seen = location;
}

static void feed_drop(struct live *l, const void *data)
{
	uint64_t stack[REBPF_STACK_DEPTH];
	struct rec_rtx_drop d;

	memcpy(&d, data, sizeof(d));
	follow_modules(l, d.location);
	memcpy(stack, d.stack, sizeof(stack));
	d.location = symbols_skip_wrappers(l->symbols, d.location, stack, REBPF_STACK_DEPTH);
	feed_symbol(l, d.location);
	pipeline_feed(l->pipeline, &d, sizeof(d));
}

static void on_ring_record(void *ctx, const void *data, size_t size)
{
	const struct rec_header *h = data;
	struct live *l = ctx;

	if (size >= sizeof(*h) && h->kind == REC_RTX_DROP && h->size == sizeof(struct rec_rtx_drop)) {
		feed_drop(l, data);
		return;
	}
	if (size >= sizeof(*h) && h->kind == REC_RTX_ENTRY && h->size == sizeof(struct rec_rtx_entry))
		prepare_entry(l, data);
	/* The ring rounds sizes up; the header knows better. */
	pipeline_feed(l->pipeline, data, size >= sizeof(*h) && h->size <= size ? h->size : size);
}

static void feed_tick(struct live *l, uint64_t until_ns, const struct counters *counters)
{
	struct rec_tick tick = {
		.produced = counters->produced_all,
		.missed = counters->slot_failed + l->skipped_runs,
	};

	init_header(&tick.h, REC_TICK, sizeof(tick));
	tick.h.ts_ns = until_ns;
	pipeline_feed(l->pipeline, &tick, sizeof(tick));
}

/* Reads all rings once within the budget, then says up to when they have been read. Returns how many records. */
static size_t drain(struct live *l)
{
	uint64_t before_ns = clock_mono_ns();
	struct counters counters;
	size_t n = 0;

	for (int r = 0; r < RING_COUNT; r++)
		if (l->ring[r])
			n += ring_drain(l->ring[r], DRAIN_BUDGET, on_ring_record, l);
	/* What the kernel skipped must be known before the records are judged: silence then proves nothing. */
	if (n)
		l->skipped_runs = probes_skipped_runs(l->probes);
	counters_read(l->shared, l->cpus, &counters);
	feed_losses(l, &counters, l->drained_ns);
	l->drained_ns = before_ns;
	feed_tick(l, before_ns, &counters);
	return n;
}

/* ---- the loop ---- */

/*
 * Reads until the rings are empty, then goes to sleep in a way that no record is slept through: a producer that
 * reserves after the flag is set wakes us, one that reserved before is seen by the second look.
 */
static void on_wake(void *ctx)
{
	struct live *l = ctx;
	bool empty = true;
	uint32_t netns, tgid;

	*(volatile uint32_t *)&l->shared->asleep = 0;
	for (int turn = 0; turn < 16; turn++) {
		if (!drain(l))
			break;
	}
	pipeline_flush(l->pipeline);
	while (pipeline_take_missed(l->pipeline, &netns, &tgid))
		if (l->egress)
			egress_visit(l->egress, netns, tgid, clock_mono_ns());
	*(volatile uint32_t *)&l->shared->asleep = 1;
	__sync_synchronize();
	for (int r = 0; r < RING_COUNT; r++)
		empty &= !l->ring[r] || ring_is_empty(l->ring[r]);
	/* What is left is not finished by its producer, or more than our turn: the next tick, or the fd, comes soon. */
	if (!empty)
		log_trace("rings are not empty");
	if (pipeline_is_done(l->pipeline))
		loop_stop(l->loop);
}

static void print_rate(struct live *l, uint64_t now_ns)
{
	bool wanted = l->options->format == OUTPUT_NONE || l->options->format == OUTPUT_COUNT_ONLY;
	struct counters counters;

	if (!wanted || now_ns - l->rate_at_ns < NSEC_PER_SEC)
		return;
	counters_read(l->shared, l->cpus, &counters);
	log_notice("rate: %llu retransmissions/s, total %llu",
		   (unsigned long long)((counters.produced[REC_RTX_EXIT] - l->rate_produced) * NSEC_PER_SEC /
					(now_ns - l->rate_at_ns)),
		   (unsigned long long)counters.produced[REC_RTX_EXIT]);
	l->rate_produced = counters.produced[REC_RTX_EXIT];
	l->rate_at_ns = now_ns;
}

/* Nothing to show may be good news or a wrong filter. Said once. */
static void print_hint(struct live *l, uint64_t now_ns)
{
	struct counters counters;

	if (l->hinted || pipeline_printed(l->pipeline) || now_ns - l->armed_ns < HINT_AFTER_NS)
		return;
	l->hinted = true;
	counters_read(l->shared, l->cpus, &counters);
	log_notice("no events yet: %llu retransmissions seen on %u interfaces, none matches %s",
		   (unsigned long long)counters.produced[REC_RTX_EXIT], l->egress ? egress_count(l->egress) : 0,
		   l->options->filters[0] ? l->options->filters : "(no filter is set)");
}

static void on_tick(void *ctx)
{
	struct live *l = ctx;
	uint64_t now_ns = clock_mono_ns();

	l->shared->heartbeat_ns = now_ns;
	feed_clock(l, now_ns);
	on_wake(l);
	print_rate(l, now_ns);
	print_hint(l, now_ns);
}

static void on_second(void *ctx)
{
	struct live *l = ctx;

	l->skipped_runs = probes_skipped_runs(l->probes);
}

static void on_interfaces(void *ctx)
{
	struct live *l = ctx;

	egress_handle(l->egress);
}

static void on_stop(void *ctx)
{
	struct live *l = ctx;

	loop_stop(l->loop);
}

static int add_sources(struct live *l)
{
	int err = 0;

	for (int r = 0; r < RING_COUNT && !err; r++)
		if (l->ring[r])
			err = loop_on_readable(l->loop, probes_ring_fd(l->probes, (enum record_ring)r), on_wake, l);
	if (!err && l->egress && egress_fd(l->egress) >= 0)
		err = loop_on_readable(l->loop, egress_fd(l->egress), on_interfaces, l);
	if (!err)
		err = loop_every(l->loop, TICK_MS * NSEC_PER_MSEC, on_tick, l);
	if (!err)
		err = loop_every(l->loop, NSEC_PER_SEC, on_second, l);
	if (!err && l->options->duration_ns)
		err = loop_after(l->loop, l->options->duration_ns, on_stop, l);
	if (!err)
		err = loop_on_signal(l->loop, SIGINT, on_stop, l);
	if (!err)
		err = loop_on_signal(l->loop, SIGTERM, on_stop, l);
	if (!err)
		err = loop_on_signal(l->loop, SIGHUP, on_stop, l);
	return err ? log_error(err, "cannot set up the event loop: %s", strerror(-err)) : 0;
}

/* ---- opening ---- */

static int open_rings(struct live *l)
{
	int err = 0;

	for (int r = 0; r < RING_COUNT && !err; r++) {
		int fd = probes_ring_fd(l->probes, (enum record_ring)r);

		if (fd >= 0)
			err = ring_open(&l->ring[r], fd, probes_ring_bytes(l->probes, (enum record_ring)r));
	}
	return err;
}

static int open_egress(struct live *l)
{
	struct egress_config config = {
		.prog_fd = probes_tc_fd(l->probes),
		.tcx = l->plan->role[ROLE_TC].chosen && !strcmp(l->plan->role[ROLE_TC].chosen->name, "tcx"),
		.own_netns = l->own_netns,
		.options = l->options,
		.on_netns = on_netns,
		.ctx = l,
	};

	return config.prog_fd < 0 ? 0 : egress_open(&l->egress, &config);
}

static void open_names(struct live *l)
{
	int err = symbols_load(&l->symbols, NULL);

	if (err)
		log_warning("kernel symbols cannot be read (%s): functions are shown as addresses", strerror(-err));
	err = owner_scan_open(&l->owners, NULL);
	if (err)
		log_warning("cannot search /proc for the owners of sockets: %s", strerror(-err));
}

static void print_ready(const struct live *l)
{
	const struct candidate *tc = l->plan->role[ROLE_TC].chosen, *drop = l->plan->role[ROLE_DROP].chosen;

	log_notice("ready: watching TCP retransmissions (hooks: %s; TC egress: %s on %u interfaces; drops: %s)",
		   l->plan->role[ROLE_ATTEMPT].chosen->name, tc ? tc->name : "none",
		   l->egress ? egress_count(l->egress) : 0, drop ? drop->name : "none");
}

static int start(struct live *l, const struct reasons *reasons)
{
	int err = open_rings(l);

	if (err)
		return err;
	open_names(l);
	l->shared->heartbeat_ns = clock_mono_ns();
	feed_host(l);
	feed_clock(l, clock_mono_ns());
	feed_reasons(l, reasons);
	err = open_egress(l);
	if (!err)
		err = probes_attach(l->probes, l->features);
	if (err)
		return err;
	probes_scan_owners(l->probes);
	err = add_sources(l);
	if (err)
		return err;
	l->armed_ns = l->rate_at_ns = clock_mono_ns();
	on_wake(l);
	print_ready(l);
	return 0;
}

int live_open(struct live **out, struct plan *plan, const struct features *features, const struct reasons *reasons,
	      const struct options *options, struct pipeline *p)
{
	struct live *l = calloc(1, sizeof(*l));
	struct stat own;
	int err;

	if (!l)
		return log_error(-ENOMEM, "out of memory");
	l->options = options;
	l->features = features;
	l->plan = plan;
	l->pipeline = p;
	l->cpus = counters_cpus();
	l->own_netns = stat("/proc/self/ns/net", &own) ? 0 : (uint32_t)own.st_ino;
	l->loop = loop_new();
	err = l->loop ? probes_load(&l->probes, plan, features, options) : log_error(-ENOMEM, "out of memory");
	if (!err) {
		l->shared = probes_shared(l->probes);
		err = start(l, reasons);
	}
	if (err) {
		live_close(l);
		return err;
	}
	*out = l;
	return 0;
}

int live_run(struct live *l)
{
	int err = pipeline_is_done(l->pipeline) ? 0 : loop_run(l->loop);

	if (err)
		log_error(err, "the event loop failed: %s", strerror(-err));
	/* The hooks first: an attempt that they see has still its classifier. */
	probes_detach(l->probes);
	egress_close(l->egress);
	l->egress = NULL;
	/* Bounded: nothing writes any more. */
	while (drain(l))
		;
	return err;
}

void live_close(struct live *l)
{
	if (!l)
		return;
	egress_close(l->egress);
	for (int r = 0; r < RING_COUNT; r++)
		ring_close(l->ring[r]);
	probes_close(l->probes);
	symbols_free(l->symbols);
	owner_scan_close(l->owners);
	loop_free(l->loop);
	free(l);
}
