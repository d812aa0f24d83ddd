// SPDX-License-Identifier: MIT
/* links: tests/fuzz/fuzz.c tests/fuzz/check.c tests/fuzz/few.c src/pipeline.c src/decode.c src/correlate.c src/connects.c src/openset.c src/cause.c src/evidence.c src/hostnet.c src/places.c src/meaning.c src/meaning_table.c src/meaning_places.c src/drops.c src/attempt.c src/classify.c src/flows.c src/names.c src/reasons.c src/filter.c src/field.c src/event.c src/ev_retransmit.c src/ev_drop.c src/ev_connect.c src/ev_spurious.c src/ev_stats.c src/output.c src/sink.c src/sink_text.c src/sink_json.c src/sink_record.c src/sink_metrics.c src/metrics.c src/series.c src/util.c src/log.c src/summary.c src/summary_json.c src/topk.c src/quantile.c src/sink_summary.c src/metrics_text.c src/netstat.c src/snmp.c src/netns.c */
/* flags: -Wl,--wrap=correlate_new,--wrap=evidence_new */
/*
 * Arbitrary bytes as names: of processes and devices, in every format. What is a line stays one, each word at its place, and
 * from JSON the name comes back byte by byte. If the first byte is odd, functions, modules and reasons have such names, too:
 * then other words may be there, for they decide about causes.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "../unit/records.h"
#include "log.h"
#include "metrics_text.h"
#include "pipeline.h"

#define OUT 1
#define REASON 7

/* Arrays as a record has them: the kernel ends them with a NUL, a file need not. */
struct names {
	char comm[REBPF_COMM_LEN], task[REBPF_COMM_LEN], ifname[REBPF_IFNAME_LEN];
	char symbol[REBPF_SYMBOL_LEN], module[REBPF_SYMBOL_LEN], reason[REBPF_REASON_LEN];
};

static const struct names plain = { "nginx", "swapper/1", "eth0", "nf_hook_slow", "", "NETFILTER_DROP" };

#define SET(array, bytes) memcpy(array, bytes, sizeof(bytes))

static void feed(struct pipeline *p, union record r)
{
	pipeline_feed(p, &r, r.h.size);
}

/* An attempt whose copy is lost on the way, one whose predecessor was, a drop, and a failed connect. */
static void feed_all(struct pipeline *p, const struct names *n)
{
	union record entry = make_entry(SK, SKB), tc = make_tc(SK, SKB, COPY), drop = make_drop(SK, SKB, REASON, 1, 0);
	union record dropped = make_dropped(REASON), symbol = make_symbol(0xffffffff81000000 + REASON, "", 0xb5);
	union record reason = make_reason(REASON, ""), connect = RECORD(CONNECT, rec_connect);

	SET(entry.rec_rtx_entry.owner.comm, n->comm);
	SET(entry.rec_rtx_entry.task.comm, n->task);
	SET(tc.rec_rtx_tc.c.ifname, n->ifname);
	SET(drop.rec_rtx_drop.c.ifname, n->ifname);
	SET(dropped.rec_drop.ifname, n->ifname);
	dropped.rec_drop.sk = SK;
	dropped.rec_drop.owner.tgid = dropped.rec_drop.task.tgid = 1234;
	SET(dropped.rec_drop.owner.comm, n->comm);
	SET(dropped.rec_drop.task.comm, n->task);
	SET(symbol.rec_symbol.name, n->symbol);
	SET(symbol.rec_symbol.module, n->module);
	SET(reason.rec_reason.name, n->reason);
	connect.rec_connect.flow = make_flow(SK2);
	connect.rec_connect.owner.tgid = 1234;
	SET(connect.rec_connect.owner.comm, n->comm);
	connect.rec_connect.err = 111;
	connect.rec_connect.state = 7;
	connect.rec_connect.bits = CONNECT_SYN_SENT;

	feed(p, make_host(HOST_MODE_1 | HOST_SEES_ALL_DROPS));
	feed(p, make_clock(1000, 1800000000000000000));
	feed(p, reason);
	feed(p, symbol);
	feed(p, dropped);
	for (int i = 0; i < 2; i++) {
		feed(p, entry);
		feed(p, tc);
		feed(p, drop);
		feed(p, make_exit(SK, SKB, 0));
	}
	feed(p, connect);
	feed(p, make_tick(0));
}

/* What is printed, which lives until the next run. */
static const char *run(const struct options *options, const struct names *n, size_t *len)
{
	struct pipeline *p;
	const char *text;

	record_ns = 10000000000;
	fuzz_stderr_begin();
	if (pipeline_open(&p, options, fuzz_sink(OUT)))
		abort();
	feed_all(p, n);
	pipeline_finish(p);
	if (options->listen.port) {
		struct ev_stats stats;
		struct metrics_page page = { .metrics = pipeline_metrics(p, &stats), .stats = &stats, .version = "" };
		char kernel[sizeof(n->symbol) + 1] = "";
		struct strbuf out = {};

		SET(kernel, n->symbol);
		page.kernel = kernel;
		metrics_text(&out, &page);
		check_metrics(out.data, out.len);
		strbuf_free(&out);
	}
	pipeline_close(p);
	fuzz_stderr_end();
	text = fuzz_sunk(OUT, len);
	if (options->format == OUTPUT_TEXT)
		check_text(text, *len, false);
	else
		check_json(text, *len);
	return text;
}

/* Words of each line, without the sentence at its end. */
static void count_words(const char *text, unsigned int words[8])
{
	unsigned int line = 0;

	memset(words, 0, 8 * sizeof(words[0]));
	for (bool in_word = false, in_sentence = false; *text; text++) {
		in_sentence |= !strncmp(text, " why=\"", 6);
		if (*text == '\n')
			line += line < 7, in_word = in_sentence = false;
		else if (*text == ' ')
			in_word = false;
		else if (!in_word && !in_sentence)
			in_word = true, words[line]++;
	}
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* The bytes of the string at @json, behind its first quote, as field.h says. */
static void check_string(const char *json, const char *name, size_t max)
{
	size_t len = strnlen(name, max - 1);

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)*json++;

		if (byte == '\\' && *json == 'u') {
			byte = (unsigned char)(hex(json[3]) << 4 | hex(json[4]));
			json += 5;
		} else if (byte == '\\') {
			byte = (unsigned char)*json++;
		}
		if (byte != (unsigned char)name[i])
			fuzz_fail("another name in JSON", name, max);
	}
	if (*json != '"')
		fuzz_fail("a longer name in JSON", name, max);
}

/* @events: so many have an owner; 0: who knows. */
static void check_comms(const char *json, const struct names *n, unsigned int events)
{
	static const char key[] = "\"comm\":\"";
	const char *stats = strstr(json, "\"event\":\"stats\"");
	unsigned int found = 0;

	for (const char *at = json; (at = strstr(at, key)); at += sizeof(key) - 1) {
		check_string(at + sizeof(key) - 1, n->comm, sizeof(n->comm));
		found += at < stats;
	}
	if (events && found != events)
		fuzz_fail("events without an owner", json, strlen(json));
}

static void fill(struct bytes *in, char *array, size_t size)
{
	size_t len, n = take_byte(in);
	const uint8_t *part = take(in, n < size ? n : size, &len);

	memset(array, 0, size);
	memcpy(array, part, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options options = { .events = (1u << EV_KIND_COUNT) - 1, .classes = (1u << DROP_CLASS_COUNT) - 1,
				   .utc = true, .verbose = 1, .color = COLOR_NEVER, .all_protocols = true };
	struct bytes in = { data, size };
	bool everywhere = take_byte(&in) & 1;
	struct names names = plain;
	unsigned int words[8], expected[8];
	size_t len;

	fill(&in, names.comm, sizeof(names.comm));
	fill(&in, names.task, sizeof(names.task));
	fill(&in, names.ifname, sizeof(names.ifname));
	if (everywhere) {
		fill(&in, names.symbol, sizeof(names.symbol));
		fill(&in, names.module, sizeof(names.module));
		fill(&in, names.reason, sizeof(names.reason));
	}
	setenv("LC_ALL", "C", 1);
	log_set_level(LOG_NOTICE);
	count_words(run(&options, &plain, &len), expected);
	count_words(run(&options, &names, &len), words);
	if (!everywhere && memcmp(words, expected, sizeof(words)))
		fuzz_fail("words that are not there, or too many", fuzz_sunk(OUT, &len), len);
	options.format = OUTPUT_JSON;
	options.summary = true;
	options.listen.port = 1;
	check_comms(run(&options, &names, &len), &names, everywhere || !names.comm[0] ? 0 : 4);
	return 0;
}
