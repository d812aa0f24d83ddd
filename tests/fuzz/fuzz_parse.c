// SPDX-License-Identifier: MIT
/* links: tests/fuzz/fuzz.c tests/fuzz/check.c src/parse.c src/httpd.c src/snmp.c src/metrics.c src/series.c src/meaning.c src/meaning_table.c src/meaning_places.c src/survey.c src/survey_space.c src/queues.c src/netlink.c src/netlink_hooks.c src/netns.c src/util.c src/log.c -levent_core -levent_extra */
/*
 * Arbitrary bytes as a value that a user types, and as a file of /proc: what is taken is what it claims to be, and what is
 * not leaves the result alone. Texts of parse.h are parsed, written, and parsed again.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "metrics.h"
#include "parse.h"
#include "snmp.h"
#include "survey.h"

#define NONE 0xa5

static void check(bool ok, const char *what, const char *text)
{
	if (!ok)
		fuzz_fail(what, text, strlen(text));
}

/* Nothing was written: all of it is as it was set. */
static bool is_untouched(const void *p, size_t size)
{
	const uint8_t *bytes = p;

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != NONE)
			return false;
	return true;
}

static void try_numbers(const char *text)
{
	uint64_t number, ns;
	struct port_rule ports;
	char again[32];

	memset(&number, NONE, sizeof(number));
	if (parse_number(text, 3, 1000000, &number))
		check(is_untouched(&number, sizeof(number)), "a number, refused", text);
	else
		check(number >= 3 && number <= 1000000, "a number out of its range", text);
	memset(&ns, NONE, sizeof(ns));
	if (parse_duration(text, &ns))
		check(is_untouched(&ns, sizeof(ns)), "a duration, refused", text);
	else
		check(ns && ns / 1000000000 <= PARSE_MAX_HOURS * 3600ULL, "a duration out of its range", text);
	memset(&ports, NONE, sizeof(ports));
	if (parse_ports(text, &ports))
		check(is_untouched(&ports, sizeof(ports)), "ports, refused", text);
	else
		check(ports.low && ports.low <= ports.high, "ports out of their range", text);
	if (!parse_number(text, 0, UINT64_MAX, &number)) {
		snprintf(again, sizeof(again), "%llu", (unsigned long long)number);
		check(!strcmp(again, text + strspn(text, "0")) || !number, "a number is another one", text);
	}
}

static void try_addresses(const char *text)
{
	struct listen_address listen, again;
	struct strbuf out = {};
	struct addr_rule rule;

	memset(&rule, NONE, sizeof(rule));
	if (parse_addr(text, &rule)) {
		check(is_untouched(&rule, sizeof(rule)), "an address, refused", text);
	} else {
		check(rule.ip_version == 4 || rule.ip_version == 6, "an address of no version", text);
		for (int i = 0; i < 4; i++)
			check(!(rule.addr[i] & ~rule.mask[i]) && (rule.ip_version == 6 || !i || !rule.mask[i]),
			      "an address outside its mask", text);
	}
	if (parse_listen(text, &listen))
		return;
	listen_address_text(&listen, &out);
	check(!parse_listen(out.data, &again) && again.port == listen.port && again.ip_version == listen.ip_version &&
	      !memcmp(again.addr, listen.addr, listen.ip_version == 4 ? 4 : 16), "an address to listen on is another one", text);
	strbuf_free(&out);
}

static void try_names(const char *text)
{
	char name[REBPF_IFNAME_LEN], reason[REBPF_REASON_LEN], small[8];

	memset(small, NONE, sizeof(small));
	if (parse_text(text, small, sizeof(small)))
		check(is_untouched(small, sizeof(small)), "a text, refused", text);
	else
		check(!strcmp(small, text), "a text is another one", text);
	if (!parse_ifname(text, name))
		check(!strcmp(name, text) && !strpbrk(name, "/: \n"), "an interface's name is another one", text);
	if (!parse_reason(text, reason))
		check(memchr(reason, '\0', sizeof(reason)) &&
		      reason[strspn(reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")] == '\0', "no reason", text);
}

/* Of /proc. */
static void try_files(const char *text)
{
	uint16_t low = NONE, high = NONE;
	struct snmp_tcp tcp;
	uint64_t dropped;
	char root[64];
	bool backlog;

	memset(&tcp, NONE, sizeof(tcp));
	if (snmp_parse(text, &tcp))
		check(is_untouched(&tcp, sizeof(tcp)), "counters, refused", text);
	survey_sum_softnet(text, &dropped, &backlog);
	if (metrics_parse_port_range(text, &low, &high))
		check(low == NONE && high == NONE, "a range of ports, refused", text);
	cgroup2_root(fuzz_file((const uint8_t *)text, strlen(text)), root, sizeof(root));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	try_numbers(text);
	try_addresses(text);
	try_names(text);
	try_files(text);
	free(text);
	return 0;
}
