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
 *
 * What only one kind has narrows that kind: --class and --all-protocols drops, --type and --cause retransmissions
 * (and without -e drops are not among the events then, see options.h). A --reason is met by the reason of a drop,
 * and by a retransmission whose copy or whose predecessor was lost for it. A spurious event has no type, cause,
 * reason and device: it passes none of these filters. Addresses and ports are those of the packet, for a drop.
 * Statistics pass always.
 */
bool filter_wants(const struct options *o, const struct event *e);

/*
 * True if its flow passes the options about flows: addresses, ports, IP version, owner, control group, network namespace.
 * That is what --listen counts, of every kind. Statistics have no flow: false.
 */
bool filter_wants_flow(const struct options *o, const struct event *e);

#endif
