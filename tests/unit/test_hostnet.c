// SPDX-License-Identifier: MIT
/* links: src/hostnet.c */
/* What surveys said of the host, as the rules of `network` ask for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hostnet.h"
#include "records.h"

#define NETNS2 (NETNS + 1)
#define MS 1000000ULL
#define MANY 300 /* more than there are places for surveys and rises */

static struct hostnet *h;
static const uint8_t addr_1[16] = { 10, 0, 0, 1 }, addr_9[16] = { 10, 0, 0, 9 };

static int setup(void **state)
{
	(void)state;
	record_ns = 1000 * MS;
	h = hostnet_new();
	assert_non_null(h);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hostnet_free(h);
	return 0;
}

static void link_is(uint32_t netns, uint32_t ifindex, uint8_t type, uint32_t bits, uint64_t errors)
{
	union record r = make_link(netns, ifindex, type);

	r.rec_link.bits = bits;
	r.rec_link.errors = errors;
	hostnet_learn_link(h, &r.rec_link);
}

static void addr_is(uint32_t netns, uint8_t last, bool gone)
{
	union record r = make_addr(netns, last);

	r.rec_addr.gone = gone;
	hostnet_learn_addr(h, &r.rec_addr);
}

/* Returns when it was. */
static uint64_t survey(uint32_t bits, uint64_t softnet)
{
	union record r = make_survey(bits);

	r.rec_survey.softnet = softnet;
	hostnet_learn_survey(h, &r.rec_survey);
	return r.h.ts_ns;
}

/* ---- devices ---- */

static void test_first_hop_by_device(void **state)
{
	(void)state;
	for (uint8_t type = 0; type < LINK_TYPE_COUNT; type++) {
		link_is(NETNS, 2u + type, type, 0, 0);
		assert_int_equal(hostnet_first_hop(h, NETNS, 2u + type), type);
	}
	assert_int_equal(hostnet_first_hop(h, NETNS, 99), LINK_UNKNOWN);
	assert_int_equal(hostnet_first_hop(h, NETNS2, 2 + LINK_LEAVES), LINK_UNKNOWN);
	/* A device may change: enslaved, renamed. The last word holds. */
	link_is(NETNS, 2 + LINK_LEAVES, LINK_TUNNEL, 0, 0);
	assert_int_equal(hostnet_first_hop(h, NETNS, 2 + LINK_LEAVES), LINK_TUNNEL);
}

/* Without a device: only what is true of every one that it may be. */
static void test_first_hop_by_namespace(void **state)
{
	(void)state;
	assert_int_equal(hostnet_first_hop(h, NETNS, 0), LINK_UNKNOWN);
	link_is(NETNS, 1, LINK_LOOPBACK, 0, 0);
	assert_int_equal(hostnet_first_hop(h, NETNS, 0), LINK_UNKNOWN);
	link_is(NETNS, 2, LINK_LEAVES, 0, 0);
	assert_int_equal(hostnet_first_hop(h, NETNS, 0), LINK_LEAVES);
	link_is(NETNS, 3, LINK_LEAVES, 0, 0);
	assert_int_equal(hostnet_first_hop(h, NETNS, 0), LINK_LEAVES);
	link_is(NETNS2, 4, LINK_VIRTUAL, 0, 0);
	assert_int_equal(hostnet_first_hop(h, NETNS, 0), LINK_LEAVES);
	assert_int_equal(hostnet_first_hop(h, NETNS2, 0), LINK_VIRTUAL);
	link_is(NETNS, 5, LINK_VIRTUAL, 0, 0);
	assert_int_equal(hostnet_first_hop(h, NETNS, 0), LINK_UNKNOWN);
	link_is(NETNS, 5, LINK_VIRTUAL, LINK_GONE, 0);
	assert_int_equal(hostnet_first_hop(h, NETNS, 0), LINK_LEAVES);
}

static void test_gone_links(void **state)
{
	(void)state;
	for (uint32_t i = 2; i < 6; i++)
		link_is(NETNS, i, LINK_LEAVES, 0, 0);
	link_is(NETNS, 3, LINK_LEAVES, LINK_GONE, 0);
	link_is(NETNS, 3, LINK_LEAVES, LINK_GONE, 0);
	link_is(NETNS, 77, LINK_LEAVES, LINK_GONE | LINK_XDP, 0);
	assert_int_equal(hostnet_first_hop(h, NETNS, 3), LINK_UNKNOWN);
	for (uint32_t i = 2; i < 6; i++)
		if (i != 3)
			assert_int_equal(hostnet_first_hop(h, NETNS, i), LINK_LEAVES);
	assert_int_equal(hostnet_bits(h, 0, UINT64_MAX), 0);
	/* Its number is used again. */
	link_is(NETNS, 3, LINK_TUNNEL, 0, 5);
	assert_int_equal(hostnet_first_hop(h, NETNS, 3), LINK_TUNNEL);
}

static void test_bits(void **state)
{
	(void)state;
	link_is(NETNS, 2, LINK_LEAVES, LINK_XDP, 0);
	link_is(NETNS2, 2, LINK_LEAVES, LINK_TC_CONSUMES, 0);
	assert_int_equal(hostnet_bits(h, NETNS, UINT64_MAX), LINK_XDP);
	assert_int_equal(hostnet_bits(h, NETNS2, UINT64_MAX), LINK_TC_CONSUMES);
	assert_int_equal(hostnet_bits(h, 0, UINT64_MAX), LINK_XDP | LINK_TC_CONSUMES);
	assert_int_equal(hostnet_bits(h, NETNS2 + 1, UINT64_MAX), 0);
	link_is(NETNS, 2, LINK_LEAVES, 0, 0);
	assert_int_equal(hostnet_bits(h, 0, UINT64_MAX), LINK_TC_CONSUMES);
	link_is(NETNS2, 2, LINK_LEAVES, LINK_GONE, 0);
	assert_int_equal(hostnet_bits(h, 0, UINT64_MAX), 0);
}

/* A device that encapsulates, and is up; fallback tunnels of the kernel's modules never are. */
static void test_tunnels(void **state)
{
	(void)state;
	assert_false(hostnet_has_tunnels(h));
	link_is(NETNS, 2, LINK_LEAVES, 0, 0);
	link_is(NETNS, 5, LINK_TUNNEL, LINK_DOWN, 0);
	assert_false(hostnet_has_tunnels(h));
	link_is(NETNS2, 5, LINK_TUNNEL, 0, 0);
	assert_true(hostnet_has_tunnels(h));
	link_is(NETNS2, 5, LINK_TUNNEL, LINK_DOWN, 0);
	assert_false(hostnet_has_tunnels(h));
	link_is(NETNS, 5, LINK_TUNNEL, LINK_XDP, 0);
	assert_true(hostnet_has_tunnels(h));
	link_is(NETNS, 5, LINK_TUNNEL, LINK_GONE, 0);
	assert_false(hostnet_has_tunnels(h));
}

/* ---- addresses ---- */

static void test_local(void **state)
{
	uint8_t loopback[16] = { 127, 5, 6, 7 }, v6[16] = { 10, 0, 0, 1 };

	(void)state;
	/* Before a survey nothing can be ruled out. */
	assert_true(hostnet_is_local(h, addr_9, 4));
	addr_is(NETNS, 1, false);
	assert_true(hostnet_is_local(h, addr_9, 4));
	survey(SURVEY_FULL, 0);
	assert_true(hostnet_is_local(h, addr_1, 4));
	assert_false(hostnet_is_local(h, addr_9, 4));
	assert_true(hostnet_is_local(h, loopback, 4));
	assert_false(hostnet_is_local(h, v6, 6)); /* the same bytes */
	/* Nor where some namespace could not be looked into. */
	survey(SURVEY_FULL | SURVEY_INCOMPLETE, 0);
	assert_true(hostnet_is_local(h, addr_9, 4));
	survey(SURVEY_FULL, 0);
	assert_false(hostnet_is_local(h, addr_9, 4));
}

/* Of one namespace: what is elsewhere on this host leaves it. */
static void test_has_address(void **state)
{
	uint8_t loopback[16] = { 127, 5, 6, 7 }, v6_loopback[16] = { [15] = 1 };

	(void)state;
	assert_true(hostnet_has_address(h, NETNS, addr_9, 4)); /* before a survey */
	addr_is(NETNS, 1, false);
	addr_is(NETNS2, 9, false);
	survey(SURVEY_FULL, 0);
	assert_true(hostnet_has_address(h, NETNS, addr_1, 4));
	assert_false(hostnet_has_address(h, NETNS, addr_9, 4));
	assert_true(hostnet_has_address(h, NETNS2, addr_9, 4));
	assert_false(hostnet_has_address(h, NETNS2, addr_1, 4));
	assert_true(hostnet_is_local(h, addr_9, 4));
	assert_true(hostnet_has_address(h, NETNS, loopback, 4));
	assert_true(hostnet_has_address(h, NETNS2, v6_loopback, 6));
	addr_is(NETNS2, 9, true);
	assert_false(hostnet_has_address(h, NETNS2, addr_9, 4));
	assert_false(hostnet_is_local(h, addr_9, 4));
}

static void test_local_v6(void **state)
{
	union record r = make_addr(NETNS, 0);
	uint8_t other[16];

	(void)state;
	r.rec_addr.ip_version = 6;
	memset(r.rec_addr.addr, 0x20, 16);
	hostnet_learn_addr(h, &r.rec_addr);
	survey(0, 0);
	assert_true(hostnet_is_local(h, r.rec_addr.addr, 6));
	for (int i = 0; i < 16; i++) {
		memcpy(other, r.rec_addr.addr, 16);
		other[i]++;
		assert_false(hostnet_is_local(h, other, 6));
	}
}

/* Two namespaces may have the same address: it is gone when both have lost it. */
static void test_gone_addrs(void **state)
{
	(void)state;
	survey(0, 0);
	addr_is(NETNS, 1, true);
	addr_is(NETNS, 1, false);
	addr_is(NETNS, 1, false);
	addr_is(NETNS2, 1, false);
	addr_is(NETNS, 9, false);
	addr_is(NETNS, 1, true);
	assert_true(hostnet_is_local(h, addr_1, 4));
	addr_is(NETNS2, 1, true);
	assert_false(hostnet_is_local(h, addr_1, 4));
	assert_true(hostnet_is_local(h, addr_9, 4));
}

/* ---- queues ---- */

static void test_queues(void **state)
{
	uint64_t before = record_ns, first, second;

	(void)state;
	assert_false(hostnet_has_left_queues(h, 0, UINT64_MAX / 2, 0));
	first = survey(SURVEY_QUEUED, 0);
	assert_false(hostnet_has_left_queues(h, before, first, 0));
	second = survey(0, 0);
	assert_true(hostnet_has_left_queues(h, before, second, 0));
	assert_true(hostnet_has_left_queues(h, second - 1, second, 0));
	/* Not in between. */
	assert_false(hostnet_has_left_queues(h, second, second + MS, 0));
	assert_false(hostnet_has_left_queues(h, before, second - 1, 0));
	assert_true(hostnet_has_left_queues(h, before, second - 1, 1));
	assert_true(hostnet_has_left_queues(h, before, second - 5 * MS, 5 * MS));
	assert_false(hostnet_has_left_queues(h, before, second - 5 * MS, 5 * MS - 1));
	/* One full moment after it changes nothing. */
	survey(SURVEY_QUEUED, 0);
	assert_true(hostnet_has_left_queues(h, before, second, 0));
	/* Nor is there proof if one could not look everywhere. */
	survey(SURVEY_INCOMPLETE, 0);
	assert_false(hostnet_has_left_queues(h, before, UINT64_MAX / 2, 0));
}

/* Something always waits, but what waited then has left. */
static void test_queues_that_go_on(void **state)
{
	union record r = make_survey(SURVEY_QUEUED);
	uint64_t end = r.h.ts_ns;

	(void)state;
	r.rec_survey.left_ns = end - 30 * MS;
	hostnet_learn_survey(h, &r.rec_survey);
	assert_true(hostnet_has_left_queues(h, end - 30 * MS - 1, end, 0));
	assert_false(hostnet_has_left_queues(h, end - 30 * MS, end, 0));
	assert_false(hostnet_has_left_queues(h, end - 30 * MS - 1, end - 1, 0));
}

/* A look that did not see all proves nothing, also when later ones do. */
static void test_queues_not_all_seen(void **state)
{
	uint64_t before = record_ns, incomplete = survey(SURVEY_INCOMPLETE, 0);

	(void)state;
	survey(SURVEY_QUEUED, 0);
	assert_false(hostnet_has_left_queues(h, before, incomplete, 0));
}

/* It takes time to look: both ends must lie in the window. */
static void test_queues_of_long_survey(void **state)
{
	union record r = make_survey(0);

	(void)state;
	r.rec_survey.begin_ns = r.h.ts_ns - 10 * MS;
	hostnet_learn_survey(h, &r.rec_survey);
	assert_false(hostnet_has_left_queues(h, r.h.ts_ns - 10 * MS, r.h.ts_ns, 0));
	assert_true(hostnet_has_left_queues(h, r.h.ts_ns - 10 * MS - 1, r.h.ts_ns, 0));
	assert_false(hostnet_has_left_queues(h, r.h.ts_ns - 10 * MS - 1, r.h.ts_ns - 1, 0));
	assert_int_equal(hostnet_surveyed_ns(h), r.rec_survey.begin_ns);
}

static void test_many_surveys(void **state)
{
	uint64_t first = survey(0, 0), last = 0;

	(void)state;
	for (int i = 0; i < MANY; i++)
		last = survey(SURVEY_QUEUED, 0);
	assert_int_equal(hostnet_surveyed_ns(h), last);
	assert_false(hostnet_has_left_queues(h, first - 1, last, 0)); /* forgotten */
	last = survey(0, 0);
	assert_true(hostnet_has_left_queues(h, first - 1, last, 0));
}

/* ---- losses ---- */

static void test_no_losses(void **state)
{
	uint64_t from, until;

	(void)state;
	assert_int_equal(hostnet_surveyed_ns(h), 0);
	link_is(NETNS, 2, LINK_LEAVES, 0, 1000);
	from = survey(SURVEY_FULL, 500);
	link_is(NETNS, 2, LINK_LEAVES, 0, 1000);
	until = survey(0, 500);
	assert_false(hostnet_lost_silently(h, 0, from, until));
	assert_false(hostnet_lost_silently(h, NETNS, from, until));
}

static void test_device_losses(void **state)
{
	uint64_t base, rise, after;

	(void)state;
	link_is(NETNS, 2, LINK_LEAVES, 0, 1000);
	survey(SURVEY_FULL, 0);
	record_ns += 1000;
	link_is(NETNS, 2, LINK_LEAVES, 0, 1000);
	base = survey(SURVEY_FULL, 0);
	link_is(NETNS, 2, LINK_LEAVES, 0, 1001);
	rise = record_ns;
	survey(0, 0);
	link_is(NETNS, 2, LINK_LEAVES, 0, 1001);
	after = survey(0, 0);
	assert_true(hostnet_lost_silently(h, NETNS, base, after));
	assert_true(hostnet_lost_silently(h, 0, base, after));
	assert_false(hostnet_lost_silently(h, NETNS2, base, after));
	/* At some time between the two: whatever touches that is not proved. */
	assert_true(hostnet_lost_silently(h, NETNS, rise, after));
	assert_true(hostnet_lost_silently(h, NETNS, base - 5, base));
	assert_false(hostnet_lost_silently(h, NETNS, rise + 1, after));
	assert_false(hostnet_lost_silently(h, NETNS, base - 5, base - 1));
	/* Reset by the driver, then rising again. */
	link_is(NETNS, 2, LINK_LEAVES, 0, 3);
	survey(0, 0);
	assert_false(hostnet_lost_silently(h, NETNS, rise + 1, record_ns));
	link_is(NETNS, 2, LINK_LEAVES, 0, 4);
	assert_true(hostnet_lost_silently(h, NETNS, rise + 1, record_ns));
}

/* The CPUs are everybody's. */
/* What was lost before the first look, or after the last, no counter says. */
static void test_losses_without_look(void **state)
{
	uint64_t before, first, last;

	(void)state;
	link_is(NETNS, 2, LINK_LEAVES, 0, 0);
	before = record_ns;
	assert_true(hostnet_lost_silently(h, 0, before, before));
	first = survey(SURVEY_FULL, 0);
	assert_true(hostnet_lost_silently(h, 0, before, first));
	assert_false(hostnet_lost_silently(h, 0, first, first));
	assert_true(hostnet_lost_silently(h, 0, first, first + 1));
	last = survey(0, 0);
	assert_false(hostnet_lost_silently(h, 0, first, last));
	/* A device that comes with errors: since when it has them is not known. */
	link_is(NETNS, 7, LINK_LEAVES, 0, 1000);
	link_is(NETNS2, 8, LINK_LEAVES, 0, 0);
	last = survey(0, 0);
	assert_true(hostnet_lost_silently(h, NETNS, first, last));
	assert_true(hostnet_lost_silently(h, 0, first, last));
	assert_false(hostnet_lost_silently(h, NETNS2, first, last));
	/* What is sent from now on has a base. */
	assert_false(hostnet_lost_silently(h, NETNS, last, last));
}

static void test_softnet_losses(void **state)
{
	uint64_t base, until;

	(void)state;
	base = survey(SURVEY_FULL, 700); /* whatever there was before */
	assert_false(hostnet_lost_silently(h, NETNS, base, record_ns));
	until = survey(0, 701);
	assert_true(hostnet_lost_silently(h, NETNS, base, until));
	assert_true(hostnet_lost_silently(h, 0, base, until));
	survey(0, 701);
	assert_false(hostnet_lost_silently(h, 0, until + 1, record_ns));
}

/* A drop record of the driver explains one, whether it is read before the counter or after. */
static void test_explained(void **state)
{
	uint64_t base, at;

	(void)state;
	link_is(NETNS, 2, LINK_LEAVES, 0, 0);
	link_is(NETNS, 3, LINK_LEAVES, 0, 0);
	link_is(NETNS2, 2, LINK_LEAVES, 0, 0);
	base = survey(SURVEY_FULL, 0);
	hostnet_note_drop(h, NETNS, 2, record_ns);
	hostnet_note_drop(h, NETNS, 2, record_ns);
	link_is(NETNS, 2, LINK_LEAVES, 0, 2);
	survey(0, 0);
	assert_false(hostnet_lost_silently(h, 0, base, record_ns));
	/* What explained once does not do so again. */
	base = record_ns;
	link_is(NETNS, 2, LINK_LEAVES, 0, 3);
	at = record_ns;
	survey(0, 0);
	assert_true(hostnet_lost_silently(h, 0, base, record_ns));
	/* Late, and of that time. */
	hostnet_note_drop(h, NETNS, 2, at);
	assert_false(hostnet_lost_silently(h, 0, base, record_ns));
	/* Fewer than were lost; of another device, namespace or time. */
	base = record_ns;
	link_is(NETNS, 2, LINK_LEAVES, 0, 5);
	at = record_ns;
	survey(0, 0);
	hostnet_note_drop(h, NETNS, 2, at);
	assert_true(hostnet_lost_silently(h, 0, base, record_ns));
	hostnet_note_drop(h, NETNS, 3, at);
	hostnet_note_drop(h, NETNS2, 2, at);
	hostnet_note_drop(h, NETNS, 0, at);
	hostnet_note_drop(h, NETNS, 99, at);
	hostnet_note_drop(h, NETNS, 2, at + MS);
	assert_true(hostnet_lost_silently(h, 0, base, record_ns));
	hostnet_note_drop(h, NETNS, 2, at);
	assert_false(hostnet_lost_silently(h, 0, base, record_ns));
}

static void test_partly_explained(void **state)
{
	uint64_t base;

	(void)state;
	link_is(NETNS, 2, LINK_LEAVES, 0, 0);
	base = survey(SURVEY_FULL, 0);
	hostnet_note_drop(h, NETNS, 2, record_ns);
	link_is(NETNS, 2, LINK_LEAVES, 0, 3);
	assert_true(hostnet_lost_silently(h, 0, base, record_ns));
}

/* Rises that found no room any more: then of their time nothing is proved. */
static void test_many_rises(void **state)
{
	uint64_t begin, first_rise;

	(void)state;
	link_is(NETNS, 2, LINK_LEAVES, 0, 0);
	link_is(NETNS2, 2, LINK_LEAVES, 0, 0);
	begin = survey(SURVEY_FULL, 0);
	link_is(NETNS, 2, LINK_LEAVES, 0, 1);
	first_rise = record_ns;
	survey(0, 0);
	for (uint64_t i = 1; i <= MANY; i++) {
		link_is(NETNS2, 2, LINK_LEAVES, 0, i);
		survey(0, 0);
	}
	assert_true(hostnet_lost_silently(h, NETNS, begin, first_rise));
	assert_false(hostnet_lost_silently(h, NETNS, record_ns - 10000, record_ns));
	assert_true(hostnet_lost_silently(h, NETNS2, record_ns - 10000, record_ns));
}

/* ---- bounds ---- */

static void test_many_links(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 16384; i++)
		link_is(NETNS, i, LINK_LEAVES, 0, 0);
	addr_is(NETNS, 1, false);
	survey(SURVEY_FULL, 0);
	assert_false(hostnet_is_local(h, addr_9, 4));
	assert_int_equal(hostnet_first_hop(h, NETNS, 16384), LINK_LEAVES);
	/* One more than there is room for: nothing is certain any more. */
	link_is(NETNS, 16385, LINK_LEAVES, 0, 0);
	survey(SURVEY_FULL, 0);
	assert_int_equal(hostnet_first_hop(h, NETNS, 16385), LINK_UNKNOWN);
	assert_true(hostnet_is_local(h, addr_9, 4));
	assert_false(hostnet_has_left_queues(h, 0, record_ns, 0));
}

static void test_many_addrs(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 16384; i++) {
		union record r = make_addr(NETNS, 0);

		memcpy(r.rec_addr.addr, (uint8_t[]){ 11, 0, (uint8_t)(i >> 8), (uint8_t)i }, 4);
		hostnet_learn_addr(h, &r.rec_addr);
	}
	survey(SURVEY_FULL, 0);
	assert_false(hostnet_is_local(h, addr_9, 4));
	addr_is(NETNS, 1, false);
	assert_true(hostnet_is_local(h, addr_9, 4));
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Whatever a file says: the sanitizers watch. */
static void test_hostile(void **state)
{
	uint32_t seed = 42;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint32_t netns = next_random(&seed) % 3, ifindex = next_random(&seed) % 40;

		record_ns = next_random(&seed);
		switch (next_random(&seed) % 5) {
		case 0:
			link_is(netns, ifindex, (uint8_t)next_random(&seed), next_random(&seed) & 7,
				next_random(&seed));
			break;
		case 1:
			addr_is(netns, (uint8_t)ifindex, next_random(&seed) & 1);
			break;
		case 2:
			survey(next_random(&seed) & 7, next_random(&seed));
			break;
		case 3:
			hostnet_note_drop(h, netns, ifindex, next_random(&seed));
			break;
		default:
			hostnet_first_hop(h, netns, ifindex);
			hostnet_is_local(h, addr_9, 4);
			hostnet_bits(h, netns, UINT64_MAX);
			hostnet_has_left_queues(h, next_random(&seed), next_random(&seed), 5);
			hostnet_lost_silently(h, netns, next_random(&seed), next_random(&seed));
		}
	}
	hostnet_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_first_hop_by_device),
		TEST(test_first_hop_by_namespace),
		TEST(test_gone_links),
		TEST(test_bits),
		TEST(test_tunnels),
		TEST(test_local),
		TEST(test_has_address),
		TEST(test_local_v6),
		TEST(test_gone_addrs),
		TEST(test_queues),
		TEST(test_queues_that_go_on),
		TEST(test_queues_not_all_seen),
		TEST(test_queues_of_long_survey),
		TEST(test_many_surveys),
		TEST(test_no_losses),
		TEST(test_device_losses),
		TEST(test_losses_without_look),
		TEST(test_softnet_losses),
		TEST(test_explained),
		TEST(test_partly_explained),
		TEST(test_many_rises),
		TEST(test_many_links),
		TEST(test_many_addrs),
		TEST(test_hostile),
	};

	return cmocka_run_group_tests_name("hostnet", tests, NULL, NULL);
}
