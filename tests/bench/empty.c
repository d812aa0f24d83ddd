// SPDX-License-Identifier: MIT
/*
 * What everything is measured against: the smallest program there is on a hook, until it is killed.
 *
 *	empty kfree_skb		on skb:kfree_skb
 *	empty tcx DEVICE	on a device's TC egress (Linux 6.6)
 *
 * Prints "ready ID" (the program's number, for bpf_stats).
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TCX_EGRESS 47 /* BPF_TCX_EGRESS, which libbpf 1.1 has no name for */
#define TCX_NEXT (-1)

static int fail(const char *what)
{
	fprintf(stderr, "empty: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Returns @ret, whatever comes. */
static int load(enum bpf_prog_type type, int ret, const struct bpf_prog_load_opts *opts)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = ret },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(type, "bench_empty", "GPL", insns, sizeof(insns) / sizeof(insns[0]), opts);
}

static int on_kfree_skb(int *prog)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP);
	struct btf *btf = btf__load_vmlinux_btf();
	int id = btf ? btf__find_by_name_kind(btf, "btf_trace_kfree_skb", BTF_KIND_TYPEDEF) : -ENOENT;

	btf__free(btf);
	if (id < 0)
		return -1;
	opts.attach_btf_id = (__u32)id;
	*prog = load(BPF_PROG_TYPE_TRACING, 0, &opts);
	return *prog < 0 ? -1 : bpf_raw_tracepoint_open(NULL, *prog);
}

static int on_tcx(const char *device, int *prog)
{
	*prog = load(BPF_PROG_TYPE_SCHED_CLS, TCX_NEXT, NULL);
	return *prog < 0 ? -1 : bpf_link_create(*prog, (int)if_nametoindex(device), TCX_EGRESS, NULL);
}

int main(int argc, char **argv)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int prog = -1, link;

	if (argc == 2 && !strcmp(argv[1], "kfree_skb"))
		link = on_kfree_skb(&prog);
	else if (argc == 3 && !strcmp(argv[1], "tcx"))
		link = on_tcx(argv[2], &prog);
	else
		return fprintf(stderr, "usage: empty kfree_skb | tcx DEVICE\n"), 2;
	if (link < 0)
		return fail(argv[1]);
	if (bpf_obj_get_info_by_fd(prog, &info, &size))
		return fail("its number");
	printf("ready %u\n", info.id);
	fflush(stdout);
	for (;;)
		pause();
}
