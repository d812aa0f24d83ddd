// SPDX-License-Identifier: MIT
#include "live.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "counters.h"
#include "egress.h"
#include "enrich.h"
#include "exporter.h"
#include "inject.h"
#include "log.h"
#include "loop.h"
#include "lost.h"
#include "probes.h"
#include "ring.h"
#include "survey.h"
#include "util.h"

#define TICK_MS 100
#define DRAIN_BUDGET 4096            /* records of one ring at a time */
#define WAKE_MAX_NS (20 * NSEC_PER_MSEC) /* before timers and signals get their turn */
/*
 * After a record others are likely, and a wake-up costs its producer an interrupt, microseconds of it: so it is left to a timer
 * to come back until nothing has come. So many records at once are a flood; the rings hold many times what comes meanwhile.
 */
#define PAUSE_NS (2 * NSEC_PER_MSEC)
#define FLOOD_RECORDS 32
#define FLOOD_PAUSE_NS (5 * NSEC_PER_MSEC)
#define UNFINISHED_NS NSEC_PER_MSEC /* until a record that its producer has not finished is looked at again */
#define HINT_AFTER_NS (10 * NSEC_PER_SEC)
/* While there are retransmissions: after each, but not sooner than so, and than so many times what the last one took. */
#define SURVEY_MIN_NS (2 * NSEC_PER_MSEC)
#define SURVEY_SHARE 20
#define SURVEY_MAX_NS (250 * NSEC_PER_MSEC) /* attempts wait for it */
#define SURVEY_FOLLOW_NS (300 * NSEC_PER_MSEC) /* surveys go on for so long after an attempt while queues are busy */
#define SURVEY_FULL_NS NSEC_PER_SEC          /* the same, with everything */
#define SURVEY_IDLE_NS (10 * NSEC_PER_SEC)   /* with everything, while there are none */
#define SKEW_NS NSEC_PER_MSEC        /* records of several CPUs may be so much out of order */

struct live {
	const struct options *options;
	const struct features *features;
	struct plan *plan;
	struct pipeline *pipeline;
	struct probes *probes;
	struct egress *egress;
	struct shared *shared;
	struct ring *ring[RING_COUNT];
	struct ring *wake;
	struct enrich *enrich;
	struct survey *survey;
	struct lost *lost_events;
	struct exporter *exporter; /* NULL: without --listen */
	struct loop *loop;
	unsigned int cpus;
	uint32_t own_netns;
	uint64_t lost_bucket[RING_COUNT][REBPF_BUCKET_COUNT];
	uint64_t lost[RING_COUNT], lost_said, lines_said;
	uint64_t read_ns[RING_COUNT]; /* the newest record read */
	uint64_t drained_ns;          /* the rings have been read up to here */
	uint64_t surveyed_ns, surveyed_full_ns; /* the last ones began, or ended, then */
	uint64_t survey_pause_ns, survey_full_pause_ns;
	int survey_timer, drain_timer;
	bool survey_wanted, survey_full_wanted;
	uint64_t attempt_ns; /* of the last attempt */
	bool survey_held;    /* the last survey could not tell whether what was sent by then has left the queues */
	uint64_t armed_ns, rate_at_ns, rate_produced, rate_drops, skipped_runs;
	uint64_t consumed; /* records of the rings */
	bool hinted;
	bool traffic;  /* the stream says what TCP sends */
	bool narrow;   /* the kernel has been told of addresses, ports or a family */
	bool programs; /* others' programs on devices were seen */
};

/* ---- records that user space makes ---- */

#define FEED(l, kind, type, ...)                                     \
	do {                                                         \
		struct type rec = { __VA_ARGS__ };                   \
		enrich_header(&rec.h, kind, sizeof(rec));              \
		pipeline_feed((l)->pipeline, &rec, sizeof(rec));     \
	} while (0)

static void feed_host(struct live *l)
{
	struct rec_host host = {
		.format = REBPF_FORMAT,
		.hz = l->features->hz,
		.own_netns = l->own_netns,
		.flags = l->plan->host_flags | (l->survey ? HOST_SURVEYS : 0) |
			 (enrich_is_nat_possible(l->enrich) ? HOST_NAT_POSSIBLE : 0),
		.armed_ns = clock_mono_ns(),
	};

	enrich_header(&host.h, REC_HOST, sizeof(host));
	snprintf(host.release, sizeof(host.release), "%.*s", (int)sizeof(host.release) - 1, l->features->release);
	snprintf(host.version, sizeof(host.version), "%s", REBPF_VERSION);
	l->armed_ns = host.armed_ns;
	pipeline_feed(l->pipeline, &host, sizeof(host));
}

static void on_netns(void *ctx, uint32_t netns, bool watched)
{
	struct live *l = ctx;

	FEED(l, REC_NETNS, rec_netns, .netns = netns, .watched = watched);
}

/* What the rings lost since the last time, by bucket of flows. */
static void feed_losses(struct live *l, const struct counters *counters, uint64_t since_ns)
{
	for (uint32_t ring = 0; ring < RING_COUNT; ring++) {
		if (counters->lost[ring] == l->lost[ring])
			continue;
		l->lost[ring] = counters->lost[ring];
		for (uint32_t b = 0; b < REBPF_BUCKET_COUNT; b++) {
			uint64_t now = *(volatile __u64 *)&l->shared->lost_bucket[ring][b];

			if (now != l->lost_bucket[ring][b])
				FEED(l, REC_LOSS, rec_loss, .count = now - l->lost_bucket[ring][b],
				     .since_ns = since_ns, .ring = ring, .bucket = b);
			l->lost_bucket[ring][b] = now;
		}
	}
}

/* Once a second, in one number: a flood may lose records at every drain, a slow reader any number of lines. */
static void say_losses(struct live *l)
{
	uint64_t lost = 0, lines = pipeline_output_lost(l->pipeline);

	for (int ring = 0; ring < RING_COUNT; ring++)
		lost += l->lost[ring];
	if (lost != l->lost_said)
		log_warning("lost %llu records: the ring buffer was full (%llu so far)",
			    (unsigned long long)(lost - l->lost_said), (unsigned long long)lost);
	l->lost_said = lost;
	if (lines != l->lines_said)
		log_warning("lost %llu lines: the reader of stdout is too slow (%llu so far)",
			    (unsigned long long)(lines - l->lines_said), (unsigned long long)lines);
	l->lines_said = lines;
}

/* ---- surveys ---- */

/*
 * Where no address is translated, the kernel records only what the user's addresses are on. Who begins to translate ends
 * that; what was dropped meanwhile under other addresses may be missing.
 */
static void note_translation(struct live *l, const struct rec_header *h)
{
	const struct rec_survey *survey = (const void *)h;
	bool translates;

	/* A program may do it, too. */
	if (h->kind == REC_LINK && ((const struct rec_link *)(const void *)h)->bits & (LINK_XDP | LINK_TC_CONSUMES))
		l->programs = true;
	if (h->kind != REC_SURVEY || !l->narrow)
		return;
	translates = l->programs || survey->bits & SURVEY_NAT;
	if (translates != (bool)l->shared->translates)
		log_debug("drops outside the filter are%s recorded for causes: addresses %s be translated on this host",
			  translates ? "" : " not", translates ? "may" : "cannot");
	if (translates && !l->shared->translates)
		FEED(l, REC_LOSS, rec_loss, .since_ns = l->drained_ns, .ring = RING_DROPS, .bucket = REBPF_BUCKET_ANY);
	l->shared->translates = translates;
}

static void on_survey_record(void *ctx, const void *record, size_t size)
{
	const struct rec_survey *survey = record;
	struct live *l = ctx;

	note_translation(l, record);
	if (survey->h.kind == REC_SURVEY)
		l->survey_held = (survey->bits & (SURVEY_QUEUED | SURVEY_INCOMPLETE)) == SURVEY_QUEUED &&
				 survey->left_ns <= l->attempt_ns;
	pipeline_feed(l->pipeline, record, size);
}

/* A socket of a namespace, or with a way out, that no survey has told of. */
static void note_entry(struct live *l, const struct rec_rtx_entry *e)
{
	if (l->survey && (!survey_knows(l->survey, e->flow.netns, 0) ||
			  (e->dst_ifindex && !survey_knows(l->survey, e->dst_netns, e->dst_ifindex))))
		l->survey_full_wanted = true;
}

static bool is_survey_due(const struct live *l)
{
	uint64_t now_ns = clock_mono_ns();

	if (!l->survey || !l->survey_wanted)
		return false;
	if (l->survey_full_wanted)
		return now_ns - l->surveyed_full_ns >= l->survey_full_pause_ns;
	return now_ns - l->surveyed_ns >= l->survey_pause_ns;
}

static uint64_t pause_after(uint64_t began_ns)
{
	uint64_t pause_ns = (clock_mono_ns() - began_ns) * SURVEY_SHARE;

	if (pause_ns > SURVEY_MAX_NS)
		return SURVEY_MAX_NS;
	return pause_ns > SURVEY_MIN_NS ? pause_ns : SURVEY_MIN_NS;
}

static void look_fully(struct live *l, uint64_t now_ns)
{
	l->survey_full_wanted = false;
	survey_full(l->survey, now_ns);
	l->survey_full_pause_ns = pause_after(now_ns);
	l->surveyed_full_ns = clock_mono_ns();
	/* A light one takes a fraction of the time, and may follow soon. */
	l->surveyed_ns = now_ns;
	l->survey_pause_ns = SURVEY_MIN_NS;
}

/*
 * An attempt is judged by what a survey after it says: what waits in queues, and what devices lost. And the next attempt to send
 * the same by whether this one's copy has left: that a busy queue has let go of it takes a few surveys (queues.h).
 */
static void survey_if_wanted(struct live *l)
{
	uint64_t now_ns = clock_mono_ns();

	if (!is_survey_due(l))
		return;
	if (!l->survey_full_wanted && now_ns - l->surveyed_full_ns < SURVEY_FULL_NS) {
		survey_light(l->survey, now_ns);
		l->surveyed_ns = now_ns;
		l->survey_pause_ns = pause_after(now_ns);
	} else {
		look_fully(l, now_ns);
	}
	l->survey_wanted = l->survey_held && now_ns - l->attempt_ns < SURVEY_FOLLOW_NS;
}

/* The attempt that ends with this record wants a survey. */
static void note_attempt(struct live *l, uint64_t ts_ns)
{
	l->survey_wanted = true;
	if (ts_ns > l->attempt_ns)
		l->attempt_ns = ts_ns;
}

/* ---- the rings ---- */

static void on_ring_record(void *ctx, const void *data, size_t size)
{
	const struct rec_header *h = data;
	struct live *l = ctx;

	if (size >= sizeof(*h)) {
		enum record_ring ring = h->kind == REC_DROP ? RING_DROPS : RING_CONTROL;

		if (h->ts_ns > l->read_ns[ring])
			l->read_ns[ring] = h->ts_ns;
		if (h->kind == REC_RTX_EXIT)
			note_attempt(l, h->ts_ns);
		if (h->kind == REC_RTX_ENTRY && size >= sizeof(struct rec_rtx_entry)) {
			if (((const struct rec_rtx_entry *)data)->bits & RTX_BIT_WHOLE)
				note_attempt(l, h->ts_ns);
			note_entry(l, data);
		}
	}
	enrich_record(l->enrich, data, size);
}

static void feed_tick(struct live *l, uint64_t until_ns, const struct counters *counters)
{
	struct rec_tick tick = {
		.produced = counters->produced_all,
		.missed = counters->slot_failed + l->skipped_runs,
		.consumed = l->consumed,
		.wakeups = counters->wakeups,
		.injected = counters->injected,
	};

	enrich_header(&tick.h, REC_TICK, sizeof(tick));
	tick.h.ts_ns = until_ns;
	pipeline_feed(l->pipeline, &tick, sizeof(tick));
}

/* Reads one ring within the budget; returns up to when it has been read. What began before @before_ns is in it. */
static uint64_t drain_ring(struct live *l, enum record_ring ring, uint64_t before_ns, size_t *n)
{
	bool all;

	*n += ring_drain(l->ring[ring], DRAIN_BUDGET, on_ring_record, l, &all);
	if (all)
		return before_ns;
	return l->read_ns[ring] > SKEW_NS ? l->read_ns[ring] - SKEW_NS : 0;
}

/* Reads all rings once within the budget, then says up to when they have been read. Returns how many records. */
static size_t drain(struct live *l)
{
	uint64_t until_ns, ns;
	struct counters counters;
	size_t n = 0;

	survey_if_wanted(l);
	until_ns = clock_mono_ns();
	ns = until_ns;
	for (int r = 0; r < RING_COUNT; r++) {
		uint64_t read_ns = drain_ring(l, (enum record_ring)r, ns, &n);

		until_ns = read_ns < until_ns ? read_ns : until_ns;
	}
	l->consumed += n;
	/* What the kernel skipped must be known before an attempt is judged: silence then proves nothing. A call per program. */
	if (n && l->survey_wanted)
		l->skipped_runs = probes_skipped_runs(l->probes);
	counters_read(l->shared, l->cpus, &counters);
	feed_losses(l, &counters, l->drained_ns);
	if (until_ns > l->drained_ns)
		l->drained_ns = until_ns;
	feed_tick(l, l->drained_ns, &counters);
	return n;
}

/* Once a ring has overflowed, counts may go on for a moment after its losses. */
static void feed_lost(struct live *l)
{
	if (l->lost[RING_CONTROL] || l->lost[RING_DROPS])
		lost_feed(l->lost_events, l->enrich, l->pipeline);
}

/* ---- the loop ---- */

/*
 * Goes to sleep in a way that no record is slept through: a producer that reserves after the flag is set wakes us, one that
 * reserved before is seen by the second look.
 */
static void await_wake(struct live *l)
{
	bool empty = true;

	*(volatile uint32_t *)&l->shared->asleep = 1;
	__sync_synchronize();
	for (int r = 0; r < RING_COUNT; r++)
		empty &= ring_is_empty(l->ring[r]);
	if (!empty)
		loop_timer_set(l->loop, l->drain_timer, UNFINISHED_NS);
}

/* Reads the rings, and settles when to do so next. */
static void on_wake(void *ctx)
{
	struct live *l = ctx;
	uint64_t end_ns = clock_mono_ns() + WAKE_MAX_NS;
	uint32_t netns, tgid;
	size_t records = 0;
	bool more;

	*(volatile uint32_t *)&l->shared->asleep = 0;
	ring_drain(l->wake, SIZE_MAX, NULL, NULL, &more); /* there is nothing in it, but it has an end */
	/* Once more if an attempt waits for a survey. */
	do {
		size_t n = drain(l);

		records += n;
		more = n >= FLOOD_RECORDS || is_survey_due(l);
	} while (more && clock_mono_ns() < end_ns);
	pipeline_flush(l->pipeline);
	while (pipeline_take_missed(l->pipeline, &netns, &tgid))
		if (l->egress)
			egress_visit(l->egress, netns, tgid, clock_mono_ns());
	if (!records)
		await_wake(l);
	else
		loop_timer_set(l->loop, l->drain_timer, more ? 0 : records < FLOOD_RECORDS ? PAUSE_NS : FLOOD_PAUSE_NS);
	if (l->survey && l->survey_wanted)
		loop_timer_set(l->loop, l->survey_timer,
			       l->survey_full_wanted ? l->survey_full_pause_ns : l->survey_pause_ns);
	if (pipeline_is_done(l->pipeline))
		loop_stop(l->loop);
}

static unsigned long long per_second(uint64_t count, uint64_t ns)
{
	return count * NSEC_PER_SEC / ns;
}

static void print_rate(struct live *l, uint64_t now_ns)
{
	bool wanted = l->options->format == OUTPUT_NONE || l->options->format == OUTPUT_COUNT_ONLY;
	struct counters counters;

	/* The summary says it better, and perhaps where this line would be. */
	if (!wanted || l->options->interval_ns || now_ns - l->rate_at_ns < NSEC_PER_SEC)
		return;
	counters_read(l->shared, l->cpus, &counters);
	log_notice("rate: %llu retransmissions/s, total %llu; %llu drops of TCP/s, total %llu",
		   per_second(counters.produced[REC_RTX_ENTRY] - l->rate_produced, now_ns - l->rate_at_ns),
		   (unsigned long long)counters.produced[REC_RTX_ENTRY],
		   per_second(counters.drops_tcp - l->rate_drops, now_ns - l->rate_at_ns),
		   (unsigned long long)counters.drops_tcp);
	l->rate_produced = counters.produced[REC_RTX_ENTRY];
	l->rate_drops = counters.drops_tcp;
	l->rate_at_ns = now_ns;
}

/* All that -o count has to say, once nothing counts any more. */
static void print_total(const struct live *l)
{
	struct counters counters;

	if (l->options->format != OUTPUT_COUNT_ONLY)
		return;
	counters_read(l->shared, l->cpus, &counters);
	log_notice("counted: %llu retransmissions, %llu drops of TCP", (unsigned long long)counters.produced[REC_RTX_ENTRY],
		   (unsigned long long)counters.drops_tcp);
}

/* Nothing to show may be good news or a wrong filter. Said once. */
static void print_hint(struct live *l, uint64_t now_ns)
{
	struct counters counters;

	if (l->hinted || pipeline_printed(l->pipeline) || now_ns - l->armed_ns < HINT_AFTER_NS)
		return;
	l->hinted = true;
	counters_read(l->shared, l->cpus, &counters);
	log_notice("no events yet: %llu retransmissions and %llu drops of TCP seen on %u interfaces, none matches %s",
		   (unsigned long long)counters.produced[REC_RTX_ENTRY], (unsigned long long)counters.drops_tcp,
		   l->egress ? egress_count(l->egress) : 0,
		   l->options->filters[0] ? l->options->filters : "(no filter is set)");
}

static void on_tick(void *ctx)
{
	struct live *l = ctx;
	uint64_t now_ns = clock_mono_ns();

	l->shared->heartbeat_ns = now_ns;
	enrich_clock(l->enrich);
	probes_poll_spurious(l->probes);
	on_wake(l);
	print_rate(l, now_ns);
	print_hint(l, now_ns);
	log_flush();
}

static void on_second(void *ctx)
{
	struct live *l = ctx;
	uint64_t now_ns = clock_mono_ns();

	l->skipped_runs = probes_skipped_runs(l->probes);
	feed_lost(l);
	say_losses(l);
	if (l->survey && l->traffic)
		survey_want_traffic(l->survey);
	/* The base that a later loss on a device is told from. */
	if (l->survey && now_ns - l->surveyed_full_ns >= SURVEY_IDLE_NS) {
		look_fully(l, now_ns);
	} else if (l->survey) {
		survey_light(l->survey, now_ns);
	}
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
	int err = loop_on_edge(l->loop, probes_wake_fd(l->probes), on_wake, l);

	if (!err && l->egress && egress_fd(l->egress) >= 0)
		err = loop_on_readable(l->loop, egress_fd(l->egress), on_interfaces, l);
	l->survey_timer = loop_timer(l->loop, on_wake, l);
	l->drain_timer = loop_timer(l->loop, on_wake, l);
	if (!err && (l->survey_timer < 0 || l->drain_timer < 0))
		err = -ENOMEM;
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

	for (int r = 0; r < RING_COUNT && !err; r++)
		err = probes_open_ring(l->probes, (enum record_ring)r, &l->ring[r]);
	return err ? err : probes_open_wake(l->probes, &l->wake);
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

	int err = config.prog_fd < 0 ? 0 : egress_open(&l->egress, &config);

	/* Elsewhere it attaches when the first retransmission has gone, which --inject could have dropped. */
	for (unsigned int i = 0; !err && l->egress && l->options->inject && i < l->options->netns_count; i++)
		egress_visit(l->egress, l->options->netns[i], 0, clock_mono_ns());
	return err;
}

/* Without it no cause is ever "network". */
static void open_survey(struct live *l)
{
	if (survey_open(&l->survey, on_survey_record, l))
		l->survey = NULL;
	else if (probes_tc_fd(l->probes) >= 0)
		survey_set_own_program(l->survey, probes_tc_id(l->probes));
	l->narrow = l->survey && (l->options->addr_count || l->options->port_count || l->options->ip_version);
	if (l->narrow)
		survey_want_nat(l->survey);
	/* A recording may be summed up later. */
	l->traffic = l->survey && (l->options->summary || l->options->write_path);
	if (l->traffic)
		survey_want_traffic(l->survey);
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
	l->shared->heartbeat_ns = clock_mono_ns();
	l->shared->translates = true; /* until a survey has said otherwise */
	l->lost_events = lost_new(probes_lost_fd(l->probes), l->cpus);
	if (!l->lost_events)
		return log_error(-ENOMEM, "out of memory");
	open_survey(l);
	feed_host(l);
	enrich_clock(l->enrich);
	enrich_reasons(l->enrich, reasons);
	err = inject_announce(l->options, !!l->plan->role[ROLE_TC].chosen);
	if (!err)
		err = open_egress(l);
	if (!err)
		err = probes_attach(l->probes, l->features);
	if (err)
		return err;
	probes_scan_owners(l->probes);
	err = add_sources(l);
	if (err)
		return err;
	if (l->survey)
		look_fully(l, clock_mono_ns());
	l->armed_ns = l->rate_at_ns = clock_mono_ns();
	on_wake(l);
	l->shared->heartbeat_ns = clock_mono_ns(); /* all this takes seconds on a slow machine */
	malloc_trim(0); /* what the kernel's types and symbols took is in the middle of the heap */
	exporter_announce(l->exporter);
	print_ready(l);
	return 0;
}

static int load(struct live *l)
{
	struct probes_config config = { .nat_possible = enrich_is_nat_possible(l->enrich) };

	enrich_wrappers(l->enrich, config.wrapper, REBPF_MAX_WRAPPERS);
	return probes_load(&l->probes, l->plan, l->features, l->options, &config);
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
	l->enrich = enrich_open(p, options_wants(options, EV_DROP), options->stack);
	err = l->loop && l->enrich ? 0 : log_error(-ENOMEM, "out of memory");
	/* First of all: a busy port should not cost the loading of programs. */
	if (!err)
		err = exporter_open(&l->exporter, options, features->release, l->loop, p, on_wake, l);
	if (!err)
		err = load(l);
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
	struct counters counters;

	if (err)
		log_error(err, "the event loop failed: %s", strerror(-err));
	*(volatile uint32_t *)&l->shared->inject_ended = 1;
	/* The hooks first: an attempt that they see has still its classifier. */
	probes_detach(l->probes);
	egress_close(l->egress);
	l->egress = NULL;
	if (l->traffic) {
		survey_want_traffic(l->survey);
		look_fully(l, clock_mono_ns());
	}
	/* Bounded: nothing writes any more. The last attempts get a survey, too. */
	l->surveyed_ns = l->surveyed_full_ns = 0;
	while (drain(l) || is_survey_due(l))
		;
	feed_lost(l);
	say_losses(l);
	print_total(l);
	counters_read(l->shared, l->cpus, &counters);
	inject_report(l->options, counters.injected);
	return err;
}

void live_close(struct live *l)
{
	if (!l)
		return;
	egress_close(l->egress);
	for (int r = 0; r < RING_COUNT; r++)
		ring_close(l->ring[r]);
	ring_close(l->wake);
	probes_close(l->probes);
	survey_close(l->survey);
	enrich_close(l->enrich);
	lost_free(l->lost_events);
	exporter_close(l->exporter);
	loop_free(l->loop);
	free(l);
}
