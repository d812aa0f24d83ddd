// SPDX-License-Identifier: MIT
/* Turns BTF, /proc and a few trials into struct features. Knows what to look for, not what it is for. */
#include "feature.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "btfindex.h"
#include "corebtf.h"
#include "log.h"
#include "probes.h"
#include "util.h"

const char *feature_why_not(enum feature f)
{
	static const char *const why[FEATURE_COUNT] = {
#define X(NAME, text) [FEATURE_##NAME] = text,
		FEATURES(X)
#undef X
	};

	return why[f];
}

/* Arguments of a tracepoint, from its typedef "btf_trace_NAME"; -1: there is no such tracepoint. */
static int tracepoint_args(const struct btf_index *index, const char *name)
{
	const struct btf_type *t;
	char type_name[64];
	int id;

	snprintf(type_name, sizeof(type_name), "btf_trace_%s", name);
	id = btf_index_find(index, type_name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return -1;
	t = btf__type_by_id(index->btf, btf__type_by_id(index->btf, (__u32)id)->type); /* PTR */
	if (!t || !btf_is_ptr(t))
		return -1;
	t = btf__type_by_id(index->btf, t->type); /* FUNC_PROTO; its first argument is the void * of the probe */
	return t && btf_is_func_proto(t) ? btf_vlen(t) - 1 : -1;
}

/* Is argument @n (from 0) of a tracepoint of a type named @type? */
static bool tracepoint_arg_is(const struct btf_index *index, const char *name, int n, const char *type)
{
	const struct btf_type *t, *arg;
	char type_name[64];
	int id;

	if (tracepoint_args(index, name) <= n)
		return false;
	snprintf(type_name, sizeof(type_name), "btf_trace_%s", name);
	id = btf_index_find(index, type_name, BTF_KIND_TYPEDEF);
	t = btf__type_by_id(index->btf, btf__type_by_id(index->btf, (__u32)id)->type);
	t = btf__type_by_id(index->btf, t->type);
	arg = btf__type_by_id(index->btf, btf_params(t)[n + 1].type);
	return arg && !strcmp(btf_name_at(index->btf, arg->name_off), type);
}

/* Parameters of a kernel function that trampolines can attach to; -1: none of that name. */
static int function_params(const struct btf_index *index, const char *name)
{
	int id = btf_index_find(index, name, BTF_KIND_FUNC);
	const struct btf_type *proto;

	if (id < 0)
		return -1;
	proto = btf__type_by_id(index->btf, btf__type_by_id(index->btf, (__u32)id)->type);
	return proto && btf_is_func_proto(proto) ? btf_vlen(proto) : -1;
}

static bool enumerator_exists(const struct btf_index *index, const char *enum_name, const char *name)
{
	int id = btf_index_find(index, enum_name, BTF_KIND_ENUM);
	const struct btf_type *t = id < 0 ? NULL : btf__type_by_id(index->btf, (__u32)id);
	const struct btf_enum *e = t ? btf_enum(t) : NULL;

	for (int i = 0; t && i < btf_vlen(t); i++)
		if (!strcmp(btf_name_at(index->btf, e[i].name_off), name))
			return true;
	return false;
}

/* Loads and attaches the smallest fentry program there is: some kernels have the BTF and refuse the rest, or refuse some. */
static bool trampoline_works(const struct btf_index *index, const char *function)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY);
	int id = btf_index_find(index, function, BTF_KIND_FUNC);
	int prog, link;

	if (id < 0)
		return false;
	opts.attach_btf_id = (__u32)id;
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "rebpf_probe", "GPL", insns, ARRAY_SIZE(insns), &opts);
	if (prog < 0)
		return false;
	link = bpf_raw_tracepoint_open(NULL, prog);
	close(prog);
	if (link < 0)
		return false;
	close(link);
	return true;
}

/* Loads a program that calls bpf_rdonly_cast(): a kernel that has it may yet refuse the call (no JIT, or one that cannot). */
static bool cast_works(const struct btf_index *index)
{
	int function = btf_index_find(index, "bpf_rdonly_cast", BTF_KIND_FUNC);
	int type = btf_index_find(index, "sk_buff", BTF_KIND_STRUCT);
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = type },
		{ .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, .imm = function },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int prog;

	if (function < 0 || type < 0)
		return false;
	prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "rebpf_probe", "GPL", insns, ARRAY_SIZE(insns), NULL);
	if (prog < 0)
		return false;
	close(prog);
	return true;
}

/* Makes a kprobe on this function, or part of one, which is never turned on. 0 or a negative errno; -ENODEV: no kprobes at all. */
static int kprobe_try(const char *function)
{
	struct perf_event_attr attr = { .size = sizeof(attr), .kprobe_func = (__u64)(uintptr_t)function };
	char *text;
	int fd;

	if (read_file("/sys/bus/event_source/devices/kprobe/type", &text, NULL))
		return -ENODEV;
	attr.type = (__u32)strtoul(text, NULL, 10);
	free(text);
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/*
 * Debian's kernels refuse perf events with kernel.perf_event_paranoid=3, its default there, to whom has CAP_PERFMON but not
 * CAP_SYS_ADMIN.
 */
static bool kprobes_work(void)
{
	int err = kprobe_try("tcp_retransmit_skb");

	return err != -ENODEV && err != -EACCES && err != -EPERM;
}

/* Mount point of the cgroup2 hierarchy, also beside cgroup1. False: none. */
static bool find_cgroup2(char *path, size_t size)
{
	char line[1024], mount[256], type[64];
	FILE *f = fopen("/proc/self/mounts", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		found = sscanf(line, "%*s %255s %63s", mount, type) == 2 && !strcmp(type, "cgroup2") &&
			strlen(mount) < size;
		if (found)
			memcpy(path, mount, strlen(mount) + 1);
	}
	if (f)
		fclose(f);
	return found;
}

static void read_btf(struct features *f, const struct btf_index *index)
{
	int accept_params = function_params(index, "inet_csk_accept");

	f->has[FEATURE_FN_RETRANSMIT] = function_params(index, "tcp_retransmit_skb") == 3;
	f->has[FEATURE_FN_DIRECT] = function_params(index, "__tcp_retransmit_skb") == 3;
	f->has[FEATURE_FN_RTX_SYNACK] = function_params(index, "tcp_rtx_synack") == 2;
	f->has[FEATURE_FN_LISTEN] = function_params(index, "tcp_conn_request") == 4 &&
				    function_params(index, "security_inet_conn_request") == 3 &&
				    function_params(index, "tcp_create_openreq_child") == 3 &&
				    function_params(index, "tcp_v4_syn_recv_sock") >= 6 &&
				    function_params(index, "tcp_v6_syn_recv_sock") >= 6;
	f->has[FEATURE_FN_CONNECT] = function_params(index, "tcp_connect") == 1 &&
				     function_params(index, "tcp_v4_connect") == 3 &&
				     function_params(index, "tcp_v6_connect") == 3;
	f->has[FEATURE_FN_SACKTAG] = function_params(index, "tcp_sacktag_write_queue") == 4;
	f->has[FEATURE_FN_UNDO] = function_params(index, "tcp_undo_cwnd_reduction") == 2;
	f->has[FEATURE_TP_RETRANSMIT] = tracepoint_args(index, "tcp_retransmit_skb") >= 2;
	f->has[FEATURE_TP_RETRANSMIT_ERR] = tracepoint_arg_is(index, "tcp_retransmit_skb", 2, "int");
	f->has[FEATURE_TP_SYNACK] = tracepoint_args(index, "tcp_retransmit_synack") >= 2;
	f->has[FEATURE_TP_KFREE_SKB] = tracepoint_args(index, "kfree_skb") >= 2;
	f->has[FEATURE_TP_KFREE_REASON] = tracepoint_arg_is(index, "kfree_skb", 2, "skb_drop_reason");
	f->has[FEATURE_TP_KFREE_RX_SK] = tracepoint_args(index, "kfree_skb") >= 4;
	f->has[FEATURE_TP_NET_DEV_QUEUE] = tracepoint_args(index, "net_dev_queue") >= 1;
	f->has[FEATURE_TP_SET_STATE] = tracepoint_args(index, "inet_sock_set_state") >= 3;
	f->has[FEATURE_TP_RCV_SPACE] = tracepoint_args(index, "tcp_rcv_space_adjust") >= 1;
	f->has[FEATURE_TP_DESTROY_SOCK] = tracepoint_args(index, "tcp_destroy_sock") >= 1;
	f->has[FEATURE_TP_CONG_STATE] = tracepoint_args(index, "tcp_cong_state_set") >= 2;
	f->has[FEATURE_ACCEPT_4_ARGS] = accept_params == 4;
	f->has[FEATURE_ACCEPT_2_ARGS] = accept_params == 2;
	f->has[FEATURE_ITER_TASK_FILE] =
		btf_index_find(index, "bpf_iter__task_file", BTF_KIND_STRUCT) >= 0;
	f->has[FEATURE_ITER_MAP_ELEM] =
		btf_index_find(index, "bpf_iter__bpf_map_elem", BTF_KIND_STRUCT) >= 0;
	f->counts_memlock = btf_index_find(index, "bpf_map_memory", BTF_KIND_STRUCT) >= 0;
	f->has[FEATURE_TCX] = enumerator_exists(index, "bpf_attach_type", "BPF_TCX_EGRESS");
}

/* Every enumerator of the enum @id of @btf; a missing one (@id < 0) has none. */
static int reasons_of_enum(const struct btf *btf, int id, features_reason_fn *add, void *ctx)
{
	int err = 0;
	const struct btf_type *t = id < 0 ? NULL : btf__type_by_id(btf, (__u32)id);

	for (int i = 0; t && !err && i < btf_vlen(t); i++)
		err = add(ctx, (__u32)btf_enum(t)[i].val, btf_name_at(btf, btf_enum(t)[i].name_off));
	return err;
}

/* The sub-systems' enums; the first is in the kernel's own BTF by 7.1, the others in their modules'. */
static int read_reasons(const struct btf_index *vmlinux, bool try_modules, features_reason_fn *add, void *ctx)
{
	static const struct {
		const char *module, *enum_name;
	} sub[] = {
		{ NULL, "skb_drop_reason" },
		{ NULL, "skb_drop_reason_subsys" }, /* names the sub-systems, for numbers without a name */
		{ NULL, "qdisc_drop_reason" },
		{ "mac80211", "mac80211_drop_reason" },
		{ "openvswitch", "ovs_drop_reason" },
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sub) && !err; i++) {
		struct btf *btf;

		err = reasons_of_enum(vmlinux->btf, btf_index_find(vmlinux, sub[i].enum_name, BTF_KIND_ENUM), add, ctx);
		if (err || !sub[i].module || !try_modules)
			continue;
		btf = btf__load_module_btf(sub[i].module, (struct btf *)vmlinux->btf);
		if (libbpf_get_error(btf))
			continue; /* the module is not loaded */
		err = reasons_of_enum(btf, btf__find_by_name_kind(btf, sub[i].enum_name, BTF_KIND_ENUM), add, ctx);
		btf__free(btf);
	}
	return err;
}

/* -1 costs time only: libbpf then looks through the whole BTF. */
static int open_types(const struct btf_index *index, bool cast)
{
	size_t size;
	const void *elf = probes_object(cast, &size);
	int fd = corebtf_open(index, elf, size);

	if (fd >= 0)
		return fd;
	log_debug("no smaller BTF for the programs: %s", strerror(-fd));
	return -1;
}

/* libbpf's messages, one level less important than it thinks: what it warns of, we explain ourselves. */
static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	enum log_level as = level == LIBBPF_WARN ? LOG_DEBUG : LOG_TRACE;
	char *text = NULL, *rest, *line;

	if (log_get_level() < as || vasprintf(&text, fmt, args) < 0)
		return 0;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_print(as, "%s", line);
	free(text);
	return 0;
}

int features_probe(struct features *f, const char *btf_path, features_reason_fn *add_reason, void *ctx)
{
	struct timespec tick;
	struct btf_index index;
	struct utsname uts;
	struct btf *btf;
	long err;

	memset(f, 0, sizeof(*f));
	f->types_fd = -1;
	if (!uname(&uts))
		snprintf(f->release, sizeof(f->release), "%s", uts.release);
	/* The coarse clocks step once a jiffy. */
	f->hz = !clock_getres(CLOCK_MONOTONIC_COARSE, &tick) && tick.tv_nsec ?
			(uint32_t)((NSEC_PER_SEC + (uint64_t)tick.tv_nsec / 2) / (uint64_t)tick.tv_nsec) :
			250;
	libbpf_set_print(print_libbpf);
	btf = btf_path ? btf__parse(btf_path, NULL) : btf__load_vmlinux_btf();
	err = libbpf_get_error(btf);
	if (err && btf_path)
		return log_error((int)err, "--btf: cannot read '%s': %s", btf_path, strerror((int)-err));
	if (err)
		return log_error((int)err,
				 "this kernel (%s) has no BTF (/sys/kernel/btf/vmlinux): rebpf needs CONFIG_DEBUG_INFO_BTF=y",
				 f->release);
	err = btf_index_init(&index, btf);
	if (err) {
		btf__free(btf);
		return log_error((int)err, "out of memory");
	}
	read_btf(f, &index);
	f->has[FEATURE_TRAMPOLINE] = btf_path || trampoline_works(&index, "tcp_retransmit_skb");
	f->has[FEATURE_FN_LISTEN_ARGS] = btf_path ? function_params(&index, "tcp_v4_syn_recv_sock") <= 6 :
						    trampoline_works(&index, "tcp_v4_syn_recv_sock");
	f->has[FEATURE_CAST] = btf_path ? function_params(&index, "bpf_rdonly_cast") == 2 : cast_works(&index);
	f->has[FEATURE_KPROBE] = btf_path || kprobes_work();
	f->has[FEATURE_FN_DIRECT_REST] = !btf_path && !kprobe_try("__tcp_retransmit_skb.part.0");
	f->has[FEATURE_CGROUP2] = find_cgroup2(f->cgroup2_path, sizeof(f->cgroup2_path));
	if (!btf_path)
		f->types_fd = open_types(&index, f->has[FEATURE_CAST]);
	err = read_reasons(&index, !btf_path, add_reason, ctx);
	btf_index_free(&index);
	btf__free(btf);
	return (int)err;
}
