/* SPDX-License-Identifier: MIT */
/* Which events the user wants to see: this decides what is printed, never what counts as evidence. */
#ifndef REBPF_FILTER_H
#define REBPF_FILTER_H

#include <stdbool.h>

#include "event.h"
#include "options.h"

/*
 * True if @e passes every filter option that was given. Within one option any of its values will do;
 * options are all to be met. What an event does not know (its owner, say) meets no filter that asks for it.
 * Statistics pass always.
 */
bool filter_wants(const struct options *o, const struct event *e);

#endif
