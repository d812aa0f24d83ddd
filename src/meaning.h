/* SPDX-License-Identifier: MIT */
/*
 * What a drop means: for every TCP-relevant drop reason, and for places in the kernel where there is no reason (before
 * 5.17) or none that says anything (NOT_SPECIFIED), its class, its fate, one line of explanation and one of advice. The
 * only such list: text lines, --explain, --class and the causes of retransmissions take it from here.
 */
#ifndef REBPF_MEANING_H
#define REBPF_MEANING_H

#include "event.h"
#include "util.h"

struct drop_meaning {
	const char *reason;  /* as the kernel's BTF names it, without its prefix; or the name of a function */
	enum drop_class class;
	enum drop_fate fate;
	const char *meaning; /* what happened, one line */
	const char *check;   /* what to look at, one line */
};

/*
 * By @reason (a name, "" or "NOT_SPECIFIED": by the function @symbol in @module, "" the kernel itself). Never NULL:
 * what neither table has is bad, of unclear fate (of that of a driver, if the module is no part of the network stack).
 * One function may mean different things for "" and "NOT_SPECIFIED": a kernel without reasons frees more there.
 */
const struct drop_meaning *meaning_of(const char *reason, const char *symbol, const char *module);

/*
 * Of a reason (any case, with or without SKB_DROP_REASON_) or a function ("nf_hook_slow+0xb1" will do) that the tables
 * name; NULL: they do not.
 */
const struct drop_meaning *meaning_find(const char *name);

/* --explain NAME: several lines. False: nothing is known of it; *out then says what comes near, if anything. */
bool meaning_explain(struct strbuf *out, const char *name);

/* To walk the table of reasons, NULL at its end: for what shells can complete (generate.c). */
const struct drop_meaning *meaning_at(size_t i);

#endif
