/* SPDX-License-Identifier: MIT */
/*
 * Kprobe pairs: a kretprobe sees no arguments. Entry and return of one call share its stack frame, which no other call uses
 * meanwhile, whatever interrupts it: so the stack pointer names the call.
 */
#ifndef REBPF_CALL_BPF_H
#define REBPF_CALL_BPF_H

#include "rebpf.bpf.h"

struct call {
	__u64 sk;
	__u64 arg;
};

struct map_calls {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u64); /* stack pointer at the entry */
	__type(value, struct call);
};

extern struct map_calls calls SEC(".maps");

/* The return pops the return address on x86; elsewhere the stack pointer is the same again. */
#if defined(__TARGET_ARCH_x86)
#define CALL_KEY_AT_RETURN(ctx) (PT_REGS_SP(ctx) - 8)
#else
#define CALL_KEY_AT_RETURN(ctx) PT_REGS_SP(ctx)
#endif

static __always_inline int call_enter(struct pt_regs *ctx, __u64 sk, __u64 arg)
{
	struct call c = { .sk = sk, .arg = arg };
	__u64 key = PT_REGS_SP(ctx);

	bpf_map_update_elem(&calls, &key, &c, BPF_ANY);
	return 0;
}

static __always_inline bool call_leave(struct pt_regs *ctx, struct call *c)
{
	__u64 key = CALL_KEY_AT_RETURN(ctx);
	struct call *known = bpf_map_lookup_elem(&calls, &key);

	if (!known)
		return false;
	*c = *known;
	bpf_map_delete_elem(&calls, &key);
	return true;
}

#endif
