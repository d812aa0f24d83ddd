/* SPDX-License-Identifier: MIT */
/*
 * Looks at the network namespaces of this host for what the cause of a retransmission has to know: which devices leave
 * the kernel, which addresses are on this host, where XDP and other programs may take packets silently, what devices and
 * CPUs lost without saying so, whether anything waits in a queue. Says it as LINK, ADDR and SURVEY records.
 */
#ifndef REBPF_SURVEY_H
#define REBPF_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink.h"

struct survey;

/* Takes one record (bpf/event.h), its header filled. */
typedef void survey_record_fn(void *ctx, const void *record, size_t size);

/* So many namespaces are followed, and looked into by a light look; with more, SURVEY_INCOMPLETE is said. */
#define SURVEY_NAMESPACES 256
#define SURVEY_LIGHT_NAMESPACES 64

/* Negative errno with its message: not even the own namespace can be read. */
int survey_open(struct survey **out, survey_record_fn *fn, void *ctx);
void survey_close(struct survey *s); /* NULL is fine */

/*
 * The id (bpf_prog_info.id) of rebpf's own TC program: it does not count as another's. Without it, and for another
 * rebpf's, the name decides, which takes CAP_SYS_ADMIN.
 */
void survey_set_own_program(struct survey *s, uint32_t prog_id);

/*
 * Looks at everything, in every namespace that can be found and entered; new ones are followed from then on. Says
 * what is new since the last look, then SURVEY; SURVEY_INCOMPLETE also if a question failed. Blocks: see the costs
 * in survey.c. The thread is in its own namespace before and after; if it cannot come back, that is said and the
 * program aborted.
 */
void survey_full(struct survey *s, uint64_t now_ns);

/*
 * Looks at counters and queues only, in the namespaces already known; at everything in a namespace whose devices are
 * not those of the last look. @now_ns: CLOCK_MONOTONIC; all processes are searched for a namespace that went out of
 * sight for a twentieth of
 * the time at most. Then SURVEY without SURVEY_FULL.
 */
void survey_light(struct survey *s, uint64_t now_ns);

/*
 * The next look, full or light, also says how many segments TCP has sent: a TRAFFIC record for each namespace that it looks
 * into, before its SURVEY. SURVEY_INCOMPLETE if that cannot be read.
 */
void survey_want_traffic(struct survey *s);

/* From now on every look says whether addresses are translated anywhere (SURVEY_NAT). */
void survey_want_nat(struct survey *s);

/* Has this device of the namespace been told of? @ifindex 0: the namespace. */
bool survey_knows(const struct survey *s, uint32_t netns, uint32_t ifindex);

/* ---- parts without state, for the tests ---- */

/* enum link_type. @buses: this kernel names the bus devices of physical devices (netlink_link.on_bus). */
uint8_t survey_link_type(const struct netlink_link *link, bool buses);

/* Sums /proc/net/softnet_stat, given as text: packets dropped; does a backlog hold any (kernels that say so)? */
void survey_sum_softnet(const char *text, uint64_t *dropped, bool *backlog);

#endif
