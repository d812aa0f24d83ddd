/* SPDX-License-Identifier: MIT */
/*
 * Kernel addresses as text, from /proc/kallsyms. Only code: a location is the address of an instruction. What
 * is loaded is a copy: modules that come later need symbols_reload_if_unknown().
 */
#ifndef REBPF_SYMBOLS_H
#define REBPF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/config.h"

struct symbols;

/*
 * Loads @path (NULL: /proc/kallsyms). -EPERM: all addresses are zero, kernel.kptr_restrict and our
 * privileges hide them; -ENODATA: no code in it; other negative errno: it cannot be read. *out is untouched
 * on failure, and callers go on without symbols, with raw addresses.
 */
int symbols_load(struct symbols **out, const char *path);

/*
 * Begins with it, for the next symbols_load() of NULL, which waits for what is left to do: for a caller that has other things
 * to do first. In a thread, the program's only other one, that ends with it; without one nothing is done before.
 */
void symbols_load_early(void);
void symbols_free(struct symbols *s); /* NULL is fine */

/*
 * The function that @addr returns to, and how far into it. @addr is a return address: it may lie just
 * behind a function that ends in the call, so the byte before it is looked up; *offset is still that of
 * @addr. *module is "" for the kernel itself, else its name without brackets. Of several names for one
 * address, the one that the kernel's own messages show. The strings live until the next reload or
 * symbols_free(). False: nothing is known there; the out-parameters are untouched. NULL for @s knows
 * nothing.
 */
bool symbols_lookup(const struct symbols *s, uint64_t addr, const char **name, const char **module,
		    uint64_t *offset);

/* Address of the function of exactly this name, the kernel's own before a module's; 0: none. Slow (1 ms). */
uint64_t symbols_find(const struct symbols *s, const char *name);

/*
 * Loads again if @addr is unknown, as after modprobe, at most once in 10 s of the caller's monotonic clock.
 * 1: loaded again, try once more; 0: known, or too soon; negative errno as symbols_load(): what was known
 * stays.
 */
int symbols_reload_if_unknown(struct symbols *s, uint64_t addr, uint64_t now_ns);

/*
 * Loads again if modules were loaded or unloaded since: the addresses of one that is gone are used again, and would
 * silently get the old names. Reads /proc/modules; for addresses not seen before. 1: loaded again; 0: nothing changed;
 * negative errno as symbols_load().
 */
int symbols_follow_modules(struct symbols *s);

/*
 * Where it was decided to drop. @location, as skb:kfree_skb gives it, is the return address in the caller
 * of the function that freed; that caller is often only a helper which frees (kfree_skb_list_reason,
 * tcp_drop_reason). Then follows @stack (return addresses, innermost first, 0 ends it) up from @location to
 * the first function that is none. @location itself if it is in no helper, if the stack does not contain
 * it, or if only helpers follow.
 */
uint64_t symbols_skip_wrappers(const struct symbols *s, uint64_t location, const uint64_t *stack,
			       unsigned int depth);

/* Where those helpers lie: address ranges, at most @max; returns how many. NULL for @s: none. */
unsigned int symbols_wrappers(const struct symbols *s, struct code_range *out, unsigned int max);

size_t symbols_count(const struct symbols *s);
size_t symbols_bytes(const struct symbols *s); /* memory in use */

#endif
