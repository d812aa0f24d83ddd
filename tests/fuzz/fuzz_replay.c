// SPDX-License-Identifier: MIT
/* links: src/replay.c src/pipeline.c src/decode.c src/correlate.c src/connects.c src/openset.c src/cause.c src/evidence.c src/hostnet.c src/places.c src/meaning.c src/meaning_table.c src/meaning_places.c src/drops.c src/attempt.c src/classify.c src/flows.c src/names.c src/reasons.c src/filter.c src/field.c src/event.c src/ev_retransmit.c src/ev_drop.c src/ev_connect.c src/ev_spurious.c src/ev_stats.c src/output.c src/sink.c src/sink_text.c src/sink_json.c src/sink_record.c src/sink_metrics.c src/metrics.c src/series.c src/util.c src/log.c src/summary.c src/summary_json.c src/topk.c src/quantile.c src/sink_summary.c */
/*
 * Arbitrary bytes as a recording: through -r, the pipeline and every format, into nothing. A file may say what
 * no kernel says; whatever it says, nothing may be read or written out of place, and the program must come to
 * its end.
 *
 *	with libFuzzer:	tests/fuzz/run.sh [SECONDS]
 *	without:	a program that takes the files of its corpus as arguments, for the unit tier
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "correlate.h"
#include "log.h"
#include "pipeline.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct options make_options(enum output_format format)
{
	return (struct options){
		.events = 1u << EV_RETRANSMIT | 1u << EV_STATS,
		.format = format,
		.color = format == OUTPUT_TEXT ? COLOR_ALWAYS : COLOR_NEVER,
		.utc = true,
		.verbose = 1,
		.write_path = "/dev/null",
	};
}

/* With all kinds, and summed up: the text of that would go to stderr. */
static struct options make_json_options(void)
{
	struct options options = make_options(OUTPUT_JSON);

	options.events = (1u << EV_KIND_COUNT) - 1;
	options.all_protocols = options.stack = options.summary = true;
	options.classes = (1u << DROP_CLASS_COUNT) - 1;
	options.interval_ns = 100000000;
	return options;
}

static void replay_into_nothing(const char *path, enum output_format format)
{
	struct options options = format == OUTPUT_JSON ? make_json_options() : make_options(format);
	static FILE *nothing;
	struct pipeline *p;
	FILE *f;

	if (!nothing)
		nothing = fopen("/dev/null", "we");
	if (!nothing || pipeline_open(&p, &options, fileno(nothing)))
		abort();
	if (!replay_open(&f, path))
		replay_run(p, f, path);
	pipeline_finish(p);
	pipeline_close(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	char path[32];

	if (fd < 0)
		fd = memfd_create("recording", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	log_set_level(LOG_WARNING);
	replay_into_nothing(path, OUTPUT_TEXT);
	replay_into_nothing(path, OUTPUT_JSON);
	return 0;
}

#ifdef FUZZER

/* With few places (ld --wrap): that saves most of the time of a run, and the fuzzer comes to their end. */
struct correlate *__real_correlate_new(unsigned int max_open, unsigned int max_flows, correlate_event_fn *fn,
				       void *ctx);
struct correlate *__wrap_correlate_new(unsigned int max_open, unsigned int max_flows, correlate_event_fn *fn,
				       void *ctx);
struct correlate *__wrap_correlate_new(unsigned int max_open, unsigned int max_flows, correlate_event_fn *fn,
				       void *ctx)
{
	(void)max_open, (void)max_flows;
	return __real_correlate_new(8, 4, fn, ctx);
}

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

#else

static int run_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rbe");
	size_t size;

	if (!f) {
		perror(path);
		return 1;
	}
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	return 0;
}

int main(int argc, char **argv)
{
	int err = argc < 2;

	for (int i = 1; i < argc; i++)
		err |= run_file(argv[i]);
	printf("%d recordings replayed\n", argc - 1);
	return err;
}

#endif
