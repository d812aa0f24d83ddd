// SPDX-License-Identifier: MIT
/* links: tests/fuzz/fuzz.c tests/fuzz/check.c tests/fuzz/few.c src/replay.c src/pipeline.c src/decode.c src/correlate.c src/connects.c src/openset.c src/cause.c src/evidence.c src/hostnet.c src/places.c src/meaning.c src/meaning_table.c src/meaning_places.c src/drops.c src/attempt.c src/classify.c src/flows.c src/names.c src/reasons.c src/filter.c src/field.c src/event.c src/ev_retransmit.c src/ev_drop.c src/ev_connect.c src/ev_spurious.c src/ev_stats.c src/output.c src/sink.c src/sink_text.c src/sink_json.c src/sink_record.c src/sink_metrics.c src/metrics.c src/series.c src/util.c src/log.c src/summary.c src/summary_json.c src/topk.c src/quantile.c src/sink_summary.c src/metrics_text.c src/netstat.c src/snmp.c src/netns.c */
/* flags: -Wl,--wrap=correlate_new,--wrap=evidence_new */
/*
 * Arbitrary bytes as a recording: through -r, the pipeline, the filters and every format, which are checked. A file may say
 * what no kernel says; whatever it says, nothing may be read or written out of place, and the program must come to its end.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decode.h"
#include "fuzz.h"
#include "log.h"
#include "metrics_text.h"
#include "pipeline.h"
#include "replay.h"

#define OUT 1 /* sink of stdout */

static struct options make_options(enum output_format format)
{
	return (struct options){
		.events = (1u << EV_KIND_COUNT) - 1,
		.classes = (1u << DROP_CLASS_COUNT) - 1,
		.format = format,
		.utc = true,
		.all_protocols = true,
		.write_path = "/dev/null",
	};
}

static struct options make_text_options(void)
{
	struct options options = make_options(OUTPUT_TEXT);

	options.color = COLOR_ALWAYS;
	options.verbose = 1;
	return options;
}

static struct options make_json_options(void)
{
	struct options options = make_options(OUTPUT_JSON);

	options.stack = options.summary = true;
	options.interval_ns = 100000000;
	return options;
}

/* Counted, and some of it printed: @bits say which filters there are. They ask for what the corpus has. */
static struct options make_filter_options(uint32_t bits)
{
	struct options o = make_options(OUTPUT_TEXT);
	unsigned int n = 0;

#define WANTED (bits >> n++ & 1)
	o.color = COLOR_NEVER;
	o.listen.port = 1;
	o.metrics_max_series = 3;
	o.metrics_ports = WANTED;
	o.stack = WANTED;
	o.ip_version = WANTED ? 4 : 0;
	o.addr_count = WANTED;
	o.addr[0] = (struct addr_rule){ .addr = { htonl(10u << 24) }, .mask = { htonl(255u << 24) }, .ip_version = 4, .list = RULE_ANY };
	o.port_count = WANTED;
	o.port[0] = (struct port_rule){ .low = 400, .high = 50000, .list = RULE_LOCAL };
	o.comm_count = WANTED;
	strcpy(o.comm[0], "python3");
	o.pid_count = WANTED;
	o.pid[0] = 1234;
	o.ifname_count = WANTED;
	strcpy(o.ifname[0], "a0");
	o.netns_count = WANTED;
	o.netns[0] = 4026531840u;
	o.cgroup_count = WANTED;
	o.cgroup[0] = 4567;
	o.reason_count = WANTED;
	strcpy(o.reason[0], "NETFILTER_DROP");
	o.types = WANTED ? 1u << RTX_TYPE_RTO : 0;
	o.causes = WANTED ? 1u << RTX_CAUSE_LOCAL : 0;
	o.classes = WANTED ? 1u << DROP_CLASS_POLICY : o.classes;
	o.all_protocols = WANTED;
	o.min_latency_ns = WANTED;
	o.count = WANTED ? 3 : 0;
#undef WANTED
	return o;
}

static void check_page(const struct pipeline *p)
{
	struct ev_stats stats;
	struct metrics_page page = { .metrics = pipeline_metrics(p, &stats), .stats = &stats, .version = "fuzz", .kernel = "" };
	struct strbuf text = {};

	metrics_text(&text, &page);
	check_metrics(text.data, text.len);
	strbuf_free(&text);
}

static void replay(const char *path, const struct options *options)
{
	struct pipeline *p;
	const char *text;
	size_t len;
	int fd;

	fuzz_stderr_begin();
	if (pipeline_open(&p, options, fuzz_sink(OUT)))
		abort();
	fd = replay_open(path);
	if (fd >= 0)
		replay_run(p, fd, path);
	pipeline_finish(p);
	if (options->listen.port)
		check_page(p);
	pipeline_close(p);
	fuzz_stderr_end();
	text = fuzz_sunk(OUT, &len);
	if (options->format == OUTPUT_JSON)
		check_json(text, len);
	else
		check_text(text, len, options->color == COLOR_ALWAYS);
}

/* FNV-1a of the head: which filters, so that an input is always treated alike. */
static uint32_t hash(const uint8_t *data, size_t size)
{
	uint32_t h = 0x811c9dc5;

	for (size_t i = 0; i < size && i < 256; i++)
		h = (h ^ data[i]) * 0x01000193;
	return h ^ h >> 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options text = make_text_options(), json = make_json_options();
	struct options filtered = make_filter_options(hash(data, size) & hash(data, size / 2));
	const char *path = fuzz_file(data, size);

	setenv("LC_ALL", "C", 1);
	log_set_level(LOG_NOTICE);
	replay(path, &text);
	replay(path, &json);
	replay(path, &filtered);
	return 0;
}

#ifdef FUZZER

/* ---- mutations that keep records whole: what matters is their order, and which numbers agree ---- */

#define MAX_RECORDS 4096
#define WORD 4

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

struct layout {
	size_t at[MAX_RECORDS + 1]; /* where each begins; then the end of the last */
	size_t count;
};

static void find_records(struct layout *l, const uint8_t *data, size_t size)
{
	struct rec_header h;
	size_t at = 0;

	l->count = 0;
	while (l->count < MAX_RECORDS && size - at >= sizeof(h)) {
		memcpy(&h, data + at, sizeof(h));
		if (h.size < sizeof(h) || h.size > size - at)
			break;
		l->at[l->count++] = at;
		at += h.size;
	}
	l->at[l->count] = at;
}

static size_t length_of(const struct layout *l, size_t i)
{
	return l->at[i + 1] - l->at[i];
}

/* Any bytes of one record, but not its size. */
static size_t change_record(const struct layout *l, uint8_t *data, size_t size, size_t i)
{
	size_t head = offsetof(struct rec_header, kind), n = length_of(l, i) - head;

	if (rand() % 8)
		head = sizeof(struct rec_header), n = length_of(l, i) - head;
	if (n)
		LLVMFuzzerMutate(data + l->at[i] + head, n, n);
	return size;
}

/* A word of one record into another: addresses and sequence numbers that agree. */
static size_t copy_word(const struct layout *l, uint8_t *data, size_t size, size_t i, size_t j)
{
	size_t words = (length_of(l, i) < length_of(l, j) ? length_of(l, i) : length_of(l, j)) / WORD;
	size_t from = (size_t)rand() % words * WORD, to = rand() % 2 ? from : (size_t)rand() % words * WORD;

	memcpy(data + l->at[j] + to, data + l->at[i] + from, WORD);
	return size;
}

static size_t remove_record(const struct layout *l, uint8_t *data, size_t size, size_t i)
{
	memmove(data + l->at[i], data + l->at[i + 1], size - l->at[i + 1]);
	return size - length_of(l, i);
}

/* A copy of record @i before record @j. */
static size_t repeat_record(const struct layout *l, uint8_t *data, size_t size, size_t max_size, size_t i,
			    size_t j)
{
	uint8_t copy[UINT16_MAX];
	size_t n = length_of(l, i);

	if (size + n > max_size)
		return size;
	memcpy(copy, data + l->at[i], n);
	memmove(data + l->at[j] + n, data + l->at[j], size - l->at[j]);
	memcpy(data + l->at[j], copy, n);
	return size + n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	static struct layout l;
	size_t i, j;

	srand(seed);
	find_records(&l, data, size);
	if (l.count < 2 || rand() % 16 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	i = (size_t)rand() % l.count;
	j = 1 + (size_t)rand() % (l.count - 1);
	switch (rand() % 5) {
	case 0:
		return remove_record(&l, data, size, j);
	case 1:
		return repeat_record(&l, data, size, max_size, i, j);
	case 2:
		return copy_word(&l, data, size, i, j);
	default:
		return change_record(&l, data, size, i);
	}
}

#endif
