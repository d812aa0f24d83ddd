/* SPDX-License-Identifier: MIT */
/* Turns a plan into loaded and attached BPF programs. */
#ifndef REBPF_PROBES_H
#define REBPF_PROBES_H

#include "../bpf/config.h"
#include "plan.h"
#include "ring.h"

struct probes;

/* What the programs are told besides the plan and the options. */
struct probes_config {
	bool nat_possible;
	struct code_range wrapper[REBPF_MAX_WRAPPERS];
};

/* The BPF object file, with bpf_rdonly_cast() or without. */
const void *probes_object(bool cast, size_t *size);

/*
 * Loads what the plan chose, configured by @options. A role whose programs the kernel refuses after all is left out
 * with a warning, and @plan says so, unless retransmissions could not be seen without it.
 * Negative errno with its message; -EPERM, -EACCES or -ENOTSUP: this kernel or these privileges cannot do it.
 */
int probes_load(struct probes **out, struct plan *plan, const struct features *features, const struct options *options,
		const struct probes_config *config);

/* Attaches everything but the classifier (see egress.h). Negative errno with its message. */
int probes_attach(struct probes *p, const struct features *features);

/* Notes the owners of the sockets that processes already hold. A failure is a warning. */
void probes_scan_owners(struct probes *p);

/*
 * Looks for DSACKs where no hook sees them come, at the sockets that have retransmitted lately; to be called every 100 ms or
 * so: leaves turns out so that it takes no more than a hundredth of a CPU. Costs nothing while there are none, or where it is
 * not needed. A failure is a warning, once.
 */
void probes_poll_spurious(struct probes *p);

/* The classifier's program, -1 if the plan has none. */
int probes_tc_fd(const struct probes *p);
/* Its number in the kernel, 0: none. */
uint32_t probes_tc_id(const struct probes *p);

/* Maps one of the rings, to be closed before @p; the second: no records come by it, it only wakes. Negative errno with its message. */
int probes_open_ring(const struct probes *p, enum record_ring ring, struct ring **out);
int probes_open_wake(const struct probes *p, struct ring **out);
/* Becomes readable when there is something in the ring that wakes. */
int probes_wake_fd(const struct probes *p);

/* The map of lost events (counters_each_lost). */
int probes_lost_fd(const struct probes *p);

/* The words shared with the programs. */
struct shared *probes_shared(struct probes *p);

/*
 * Runs of our programs that the kernel skipped: because the program was already running on that CPU (5.12+), or a kprobe's
 * or kretprobe's did not come about (6.7+).
 */
uint64_t probes_skipped_runs(const struct probes *p);

/* Detaches everything; the rings and the shared words remain readable. */
void probes_detach(struct probes *p);

/* Detaches and frees everything. NULL is fine. */
void probes_close(struct probes *p);

#endif
