/* SPDX-License-Identifier: MIT */
/* --inject: what the classifier is told, and what the user is told of it. */
#ifndef REBPF_INJECT_H
#define REBPF_INJECT_H

#include "options.h"

/* The classifier's orders; without --inject all zero. */
void inject_configure(struct inject_config *out, const struct options *o);

/*
 * Says on stderr, also with -q, what will be dropped; nothing without --inject. @has_classifier: TC egress can be attached
 * to; if not, -ENOTSUP with its message.
 */
int inject_announce(const struct options *o, bool has_classifier);

/* Says how many retransmissions were dropped; nothing without --inject. */
void inject_report(const struct options *o, uint64_t dropped);

#endif
