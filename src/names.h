/* SPDX-License-Identifier: MIT */
/*
 * What the pipeline knows of kernel addresses and drop reasons: only what SYMBOL and REASON records told
 * it, live as in a replay. A file may be hostile: what is learned is bounded, and texts need no NUL.
 */
#ifndef REBPF_NAMES_H
#define REBPF_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

#define NAMES_MAX_SYMBOLS 65536
#define NAMES_MAX_REASONS 4096

struct names;

struct names *names_new(void); /* NULL: no memory */
void names_free(struct names *n);

/*
 * A record learned again replaces what was known. 0, -ENOSPC: full, what is known stays (and is still
 * replaced); -ENOMEM.
 */
int names_learn_symbol(struct names *n, const struct rec_symbol *r);
int names_learn_reason(struct names *n, const struct rec_reason *r);

/* Does this kernel name a reason so? */
bool names_has_reason_named(const struct names *n, const char *name);

/*
 * Fills reason, symbol, module, offset and address of @p; leaves known and ifname alone. What was never
 * learned: "" and 0 for the symbol; for the reason the text of its number (reasons_text()), "" for 0.
 */
void names_fill(const struct names *n, uint64_t location, uint32_t reason, struct ev_drop_place *p);

#endif
