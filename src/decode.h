/* SPDX-License-Identifier: MIT */
/* Bytes -> records. The only place that looks at bytes which came from a ring or a file. */
#ifndef REBPF_DECODE_H
#define REBPF_DECODE_H

#include <stddef.h>

#include "../bpf/event.h"

/* Any record, by the member that is named like its struct. */
union record {
	struct rec_header h;
#define X(NAME, payload, ring) struct payload payload;
	RECORD_KINDS(X)
#undef X
};

/*
 * Copies one record of @size bytes into *out and validates it: known kind, sane size, texts terminated. A shorter
 * (older) payload is completed with zeros, a longer (newer) one is cut. 0, or -EBADMSG with *out untouched.
 */
int decode_record(union record *out, const void *data, size_t size);

/* Name of a kind as in event_kinds.h, for messages. */
const char *record_kind_name(unsigned int kind);

#endif
