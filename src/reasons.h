/* SPDX-License-Identifier: MIT */
/*
 * The drop reasons of one kernel: number -> name. The numbers change with nearly every release and even
 * within a stable series, so all of them come from that kernel's BTF (features.c); none is known here.
 */
#ifndef REBPF_REASONS_H
#define REBPF_REASONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"

struct reasons;

/* Empty: a kernel without reasons (before 5.17). NULL: no memory. */
struct reasons *reasons_new(void);
void reasons_free(struct reasons *r); /* NULL is fine */

/*
 * Takes one enumerator, as BTF names it, of skb_drop_reason, skb_drop_reason_subsys or a sub-system's own
 * enum (qdisc_drop_reason, mac80211_drop_reason, ovs_drop_reason). The common prefix SKB_DROP_REASON_ (or
 * SKB_) goes; the sub-systems' names stay whole, for their prefix says whose they are:
 * QDISC_DROP_OVERLIMIT. Values that are no reasons (ends, masks, bases) are skipped. Of two names for one
 * number the first stays. 0 (taken or skipped), -ENOMEM, -E2BIG (more than any kernel has).
 */
int reasons_add(struct reasons *r, uint32_t number, const char *name);

/* To walk all by number: @i from 0 to reasons_count() - 1. The name lives until the next reasons_add(). */
size_t reasons_count(const struct reasons *r);
void reasons_at(const struct reasons *r, size_t i, uint32_t *number, const char **name);

/* Name of a reason that this kernel names, NULL if it does not. */
const char *reasons_name(const struct reasons *r, uint32_t number);

/* The other way round: for checking what a user typed (any case). False: no reason has this name. */
bool reasons_number(const struct reasons *r, const char *name, uint32_t *number);

/*
 * Text for any number: its name; else, of a known sub-system, "OPENVSWITCH:0x20001", of an unknown one
 * "SUBSYS2:0x20001", otherwise "0x85". "" for 0 if @r is empty or NULL: that kernel gives no reasons.
 */
void reasons_text(const struct reasons *r, uint32_t number, char out[REBPF_REASON_LEN]);

#endif
