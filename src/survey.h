/* SPDX-License-Identifier: MIT */
/*
 * Looks at the network namespaces of this host for what the cause of a retransmission has to know: which devices leave
 * the kernel, which addresses are on this host, where XDP and other programs may take packets silently, what devices and
 * CPUs lost without saying so, whether anything waits in a queue. Says it as LINK, ADDR and SURVEY records.
 */
#ifndef REBPF_SURVEY_H
#define REBPF_SURVEY_H

#include <stddef.h>
#include <stdint.h>

struct survey;

/* Takes one record (bpf/event.h), its header filled. */
typedef void survey_record_fn(void *ctx, const void *record, size_t size);

/* Negative errno with its message: not even the own namespace can be read. */
int survey_open(struct survey **out, survey_record_fn *fn, void *ctx);
void survey_close(struct survey *s); /* NULL is fine */

/* The id (bpf_prog_info.id) of rebpf's own TC program: it does not count as another's. */
void survey_set_own_program(struct survey *s, uint32_t prog_id);

/* Looks at everything, in every namespace that can be found and entered; new ones are followed from then on. */
void survey_full(struct survey *s, uint64_t now_ns);

/* Looks at counters and queues only, in the namespaces already known. Some 50 us per namespace. */
void survey_light(struct survey *s, uint64_t now_ns);

#endif
