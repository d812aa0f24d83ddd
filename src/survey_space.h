/* SPDX-License-Identifier: MIT */
/* The part of survey.c that is about one namespace: its devices, addresses, queues and programs. */
#ifndef REBPF_SURVEY_SPACE_H
#define REBPF_SURVEY_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "queues.h"
#include "survey.h"

/* Growing arrays. Dumps come in the same order again and again: @next is where the next one probably is. */
struct devices {
	struct device *at;
	unsigned int count, cap, next;
};

struct addresses {
	struct address *at;
	unsigned int count, cap, next;
};

/* A namespace as it was told. Zero-initialised but for @inum: nothing yet. */
struct space {
	uint32_t inum;
	bool looked; /* all was told, and is true but for what changed since */
	struct devices devices;
	struct addresses addresses;
};

/* Where filters may be: a parent of a device. */
struct place {
	int ifindex;
	uint32_t parent;
};

/* What the looks into all namespaces share. Zero-initialised but for @fn and @ctx; @places is free()d by the owner. */
struct look {
	survey_record_fn *fn;
	void *ctx;
	uint32_t own_program;
	uint32_t bits; /* SURVEY_QUEUED, SURVEY_NAT and SURVEY_INCOMPLETE are added */
	bool buses;    /* this kernel names the bus devices of physical devices */
	bool no_tcx, no_hooks;
	bool ask_nat;
	uint32_t judged_id; /* the last tcx program that was judged */
	bool judged_rebpf;
	bool changed; /* other devices than those of the last look are there */
	bool busy_fifo; /* a queue that is first in, first out holds packets */
	struct queues queues;
	struct space *in;
	struct place *places;
	unsigned int place_count, place_cap;
};

/* Stamps the record and gives it to @fn. @h: begins a record of @size bytes. */
void look_tell(struct look *l, void *h, uint8_t kind, size_t size);

/* Looks into @n, in which the thread is, and says what is new. On failure what was told stands, SURVEY_INCOMPLETE. */
void space_look(struct look *l, struct space *n, bool full);

/* Says that all of it is gone, as far as it was said to be there. */
void space_gone(struct look *l, struct space *n);
/* Has this device been told of? @ifindex 0: has anything? */
bool space_knows(const struct space *n, uint32_t ifindex);
void space_free(struct space *n); /* what it holds */

#endif
