/* SPDX-License-Identifier: MIT */
/*
 * What rebpf may do: the capabilities that it has to have, what each further one gives, and the drop of all that a run does
 * not need any more. By capget(2), capset(2) and prctl(2): libcap is not among the dependencies.
 *
 * The user stays who it was, root too: a process of "nobody" could be signalled by every other one of nobody's, and what
 * root may do beyond its capabilities is to change root's files, which sandbox.h takes away. The process stays dumpable:
 * only one that has the same capabilities may trace it or read its memory, and a core is wanted where it crashes.
 */
#ifndef REBPF_PRIVILEGE_H
#define REBPF_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>

#include "feature.h"
#include "plan.h"
#include "util.h"

/* Sets of capabilities: bit 1 << CAP_... of linux/capability.h. */
struct privileges {
	uint64_t effective, permitted, inheritable;
};

/* To open files of others, which root is used to: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH. */
#define PRIVILEGES_OF_FILES (1ULL << 1 | 1ULL << 2)

/* Of the calling thread. Negative errno. */
int privileges_read(struct privileges *out);

/* What is permitted takes effect: a file may have "+p" only. Negative errno. */
int privileges_raise(void);

/* What rebpf cannot do without and @effective lacks. Pure. */
uint64_t privileges_missing(uint64_t effective);

/* -EPERM, with one line that says what is missing and how to give it: rebpf cannot do its work. 0: it can. */
int privileges_check(void);

/* One line for each thing that is not seen for want of a capability. (What symbols miss, who reads them says.) */
void privileges_warn(void);

/* The same for --check, and what there is. @symbols: can the kernel's symbols be read? */
void privileges_print(const struct features *features, bool symbols, struct strbuf *out);

/* What a run needs to its end, of what it may have been given. Pure. */
uint64_t privileges_needed(const struct plan *plan);

/*
 * For good: what of @keep is permitted stays permitted and effective, the inheritable and ambient sets are emptied; the
 * bounding set, too, where CAP_SETPCAP allows it, and no program that is executed gains anything (no_new_privs).
 * CAP_BPF goes, too, where bpf(2) works on our own maps without it.
 * Negative errno with its message; the process should not go on then.
 */
int privileges_drop(uint64_t keep);

#endif
