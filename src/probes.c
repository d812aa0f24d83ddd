// SPDX-License-Identifier: MIT
#include "probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rebpf.skel.h"
#include "rebpf_cast.skel.h"

#include "inject.h"
#include "log.h"

#define MAX_LINKS 48

/* enum bpf_link_type (5.15) and enum bpf_perf_event_type (6.6) */
#define LINK_TYPE_PERF_EVENT 7
#define PERF_EVENT_KPROBE 3
#define PERF_EVENT_KRETPROBE 4

struct probes {
	struct rebpf *skel;
	const struct plan *plan;
	struct bpf_link *link[MAX_LINKS];
	bool begins_attempts[MAX_LINKS];
	bool is_kprobe[MAX_LINKS];
	uint64_t missed_calls; /* of links that are gone */
	unsigned int link_count;
	struct bpf_link *poll; /* iterator of probes_poll_spurious; NULL: not yet, or it failed */
	bool poll_failed;
	uint64_t poll_from_ns; /* not before */
};

static bool has_role(const struct plan *plan, enum role r, const char *name)
{
	const struct candidate *c = plan->role[r].chosen;

	return c && (!name || !strcmp(c->name, name));
}

static void configure(struct config *cfg, const struct plan *plan, const struct features *f, const struct options *o,
		      const struct probes_config *config)
{
	cfg->has_entry = !!(plan->host_flags & HOST_ENTRY_HOOKS);
	cfg->tp_has_err = has_role(plan, ROLE_ATTEMPT, "tracepoint-err");
	cfg->drop_has_reason = has_role(plan, ROLE_DROP, "tracepoint-sk") || has_role(plan, ROLE_DROP, "tracepoint-reason");
	cfg->drop_has_rx_sk = has_role(plan, ROLE_DROP, "tracepoint-sk");
	cfg->drop_stack = o->stack;
	cfg->drop_count_only = o->format == OUTPUT_COUNT_ONLY;
	cfg->all_protocols = o->all_protocols;
	cfg->nat_possible = config->nat_possible;
	memcpy(cfg->wrapper, config->wrapper, sizeof(cfg->wrapper));
	cfg->ip_version = o->ip_version;
	cfg->heartbeat = has_role(plan, ROLE_TC, "clsact");
	cfg->note_retransmitters = has_role(plan, ROLE_DSACK, NULL) || has_role(plan, ROLE_UNDO, NULL);
	cfg->connects = options_wants(o, EV_CONNECT) && has_role(plan, ROLE_OPEN, NULL);
	cfg->connect_returns = cfg->connects && (has_role(plan, ROLE_NOROUTE, "fexit") || has_role(plan, ROLE_NOROUTE, "kprobe"));
	cfg->tick_us = 1000000 / f->hz;
	cfg->addr_rules = o->addr_count;
	cfg->port_rules = o->port_count;
	memcpy(cfg->addr, o->addr, sizeof(cfg->addr));
	memcpy(cfg->port, o->port, sizeof(cfg->port));
	inject_configure(&cfg->inject, o);
}

/* Roles that serve one kind of event only. */
static bool is_role_wanted(enum role r, const struct options *o)
{
	return (r != ROLE_OPEN && r != ROLE_SYN && r != ROLE_NOROUTE) || options_wants(o, EV_CONNECT);
}

/*
 * GCC splits __tcp_retransmit_skb in some builds, and then callers in the same file may go to the rest of it directly: loss
 * probes do in Debian's 6.1 and 6.12 for arm64, and never pass the function itself. All that transmit pass the rest, which
 * has the same arguments and result, but only kprobes can attach to it.
 */
static const struct {
	const char *whole, *rest;
} direct_programs[] = {
	{ "tcp_retrans_din", "tcp_retrans_dki" },
	{ "tcp_retrans_dout", "tcp_retrans_dko" },
};

static bool is_direct(const char *program)
{
	for (size_t i = 0; i < ARRAY_SIZE(direct_programs); i++)
		if (!strcmp(program, direct_programs[i].rest))
			return true;
	return false;
}

static const char *program_for(const char *planned, const struct features *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(direct_programs) && f->has[FEATURE_FN_DIRECT_REST]; i++)
		if (!strcmp(planned, direct_programs[i].whole))
			return direct_programs[i].rest;
	return planned;
}

const void *probes_object(bool cast, size_t *size)
{
	return cast ? rebpf_cast__elf_bytes(size) : rebpf__elf_bytes(size);
}

/* Both objects have the same programs and the same names of maps, hence the same skeleton. NULL: see errno. */
static struct rebpf *open_object(bool cast, const struct bpf_object_open_opts *opts)
{
	struct rebpf *skel = calloc(1, sizeof(*skel));
	int err = skel ? rebpf__create_skeleton(skel) : -ENOMEM;

	if (!err)
		skel->skeleton->data = (void *)probes_object(cast, &skel->skeleton->data_sz);
	if (!err)
		err = bpf_object__open_skeleton(skel->skeleton, opts);
	if (!err)
		return skel;
	rebpf__destroy(skel);
	errno = -err;
	return NULL;
}

/* Opens the object with exactly the plan's programs turned on. @types_fd: feature.h. */
static int open_planned(struct rebpf **out, const struct plan *plan, const struct features *f, const struct options *o,
			const struct probes_config *config, int types_fd)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "rebpf", .btf_custom_path = o->btf_path);
	char types[32];
	struct rebpf *skel;

	snprintf(types, sizeof(types), "/proc/self/fd/%d", types_fd);
	if (types_fd >= 0 && !access(types, R_OK))
		opts.btf_custom_path = types;
	skel = open_object(f->has[FEATURE_CAST], &opts);
	if (!skel)
		return log_error(-errno, "cannot open the BPF object: %s", strerror(errno));
	configure(&skel->rodata->cfg, plan, f, o, config);
	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct candidate *c = plan->role[r].chosen;

		for (int i = 0; c && is_role_wanted((enum role)r, o) && i < CANDIDATE_MAX_PROGRAMS && c->programs[i]; i++) {
			const char *name = program_for(c->programs[i], f);
			struct bpf_program *prog = bpf_object__find_program_by_name(skel->obj, name);

			if (!prog) {
				rebpf__destroy(skel);
				return log_error(-ENOENT, "no BPF program '%s'", name);
			}
			bpf_program__set_autoload(prog, true);
		}
	}
	if (!skel->rodata->cfg.connects)
		bpf_map__set_max_entries(skel->maps.connecting, 1);
	if (!skel->rodata->cfg.inject.verdict)
		bpf_map__set_max_entries(skel->maps.inject_totals, 1);
	*out = skel;
	return 0;
}

/* More than all objects of a run take: about a hundred. */
#define FEW_DESCRIPTORS 256

static int load_failed(int err, const struct features *f)
{
	struct rlimit memlock, files;

	/* libbpf has raised it if it could. */
	if (err == -EPERM && f->counts_memlock && !getrlimit(RLIMIT_MEMLOCK, &memlock) && memlock.rlim_max != RLIM_INFINITY)
		return log_error(err,
				 "RLIMIT_MEMLOCK (%llu bytes), which limits BPF maps before Linux 5.11, is too low: ulimit -l unlimited, or add cap_sys_resource",
				 (unsigned long long)memlock.rlim_max);
	/* libbpf then fails with one error or another. */
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < FEW_DESCRIPTORS)
		return log_error(-EMFILE, "cannot load the BPF programs: %s, and only %llu open files are allowed (ulimit -n)",
				 strerror(-err), (unsigned long long)files.rlim_cur);
	if (err == -EPERM || err == -EACCES)
		return log_error(err,
				 "the kernel (%s) refused a BPF program: %s; -v shows why (lockdown, a seccomp filter, missing capabilities?)",
				 f->release, strerror(-err));
	if (err == -ENOMEM)
		return log_error(err, "no memory for the BPF maps, 60 MiB: does a control group limit it? (%s)", strerror(-err));
	log_error(err, "the kernel (%s) refused a BPF program: %s; -v shows the verifier's log", f->release,
		  strerror(-err));
	return -ENOTSUP;
}

int probes_load(struct probes **out, struct plan *plan, const struct features *features, const struct options *options,
		const struct probes_config *config)
{
	int err, load_err = 0;
	struct probes *p;

	p = calloc(1, sizeof(*p));
	if (!p)
		return log_error(-ENOMEM, "out of memory");
	p->plan = plan;
	err = open_planned(&p->skel, plan, features, options, config, features->types_fd);
	if (!err)
		load_err = rebpf__load(p->skel);
	/* Not that a type which the smaller BTF lacks decides. */
	if (load_err && features->types_fd >= 0) {
		log_debug("the BPF programs did not load (%s): once more by all of the BTF", strerror(-load_err));
		rebpf__destroy(p->skel);
		p->skel = NULL;
		load_err = 0;
		err = open_planned(&p->skel, plan, features, options, config, -1);
		if (!err)
			load_err = rebpf__load(p->skel);
	}
	if (load_err)
		err = load_failed(load_err, features);
	if (features->types_fd >= 0)
		close(features->types_fd);
	if (err) {
		probes_close(p);
		return err;
	}
	*out = p;
	return 0;
}

static int keep_link(struct probes *p, struct bpf_link *link, const struct bpf_program *prog)
{
	if (!link) {
		log_error(-errno, "cannot attach %s (%s): %s", bpf_program__name(prog),
			  bpf_program__section_name(prog), strerror(errno));
		return errno == ENOMEM || errno == EMFILE ? -errno : -ENOTSUP;
	}
	if (p->link_count == MAX_LINKS) {
		bpf_link__destroy(link);
		return log_error(-E2BIG, "too many programs to attach");
	}
	p->is_kprobe[p->link_count] = bpf_program__type(prog) == BPF_PROG_TYPE_KPROBE;
	p->begins_attempts[p->link_count] = !strncmp(bpf_program__name(prog), "tcp_", 4);
	p->link[p->link_count++] = link;
	return 0;
}

static int attach_program(struct probes *p, struct bpf_program *prog, const struct features *f)
{
	enum bpf_prog_type type = bpf_program__type(prog);
	int cgroup, err;

	if (type == BPF_PROG_TYPE_SCHED_CLS || bpf_program__expected_attach_type(prog) == BPF_TRACE_ITER)
		return 0; /* egress.c; probes_scan_owners, probes_poll_spurious */
	if (type == BPF_PROG_TYPE_KPROBE && f->has[FEATURE_FN_DIRECT_REST] && is_direct(bpf_program__name(prog)))
		return keep_link(p, bpf_program__attach_kprobe(prog, !strcmp(bpf_program__name(prog), "tcp_retrans_dko"),
							       "__tcp_retransmit_skb.part.0"), prog);
	if (type != BPF_PROG_TYPE_SOCK_OPS && type != BPF_PROG_TYPE_CGROUP_SKB)
		return keep_link(p, bpf_program__attach(prog), prog);
	cgroup = open(f->cgroup2_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return log_error(-errno, "cannot open %s: %s", f->cgroup2_path, strerror(errno));
	err = keep_link(p, bpf_program__attach_cgroup(prog, cgroup), prog);
	close(cgroup);
	return err;
}

int probes_attach(struct probes *p, const struct features *features)
{
	struct bpf_program *prog;
	int err = 0;

	bpf_object__for_each_program(prog, p->skel->obj) {
		if (!bpf_program__autoload(prog))
			continue;
		err = attach_program(p, prog, features);
		if (err)
			return err;
		log_debug("attached %s (%s)", bpf_program__name(prog), bpf_program__section_name(prog));
	}
	return 0;
}

/* Runs an iterator once to its end. Negative: errno says why not. */
static int run_iterator(const struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link));
	char byte[64];
	ssize_t n;

	if (fd < 0)
		return -1;
	do
		n = read(fd, byte, sizeof(byte));
	while (n > 0 || (n < 0 && errno == EAGAIN));
	close(fd);
	return n < 0 ? -1 : 0;
}

void probes_scan_owners(struct probes *p)
{
	struct bpf_program *prog = p->skel->progs.rebpf_scan;
	struct bpf_link *link;

	if (!bpf_program__autoload(prog))
		return;
	link = bpf_program__attach_iter(prog, NULL);
	if (!link || run_iterator(link))
		log_warning("cannot list the sockets that processes hold: %s", strerror(errno));
	bpf_link__destroy(link);
}

void probes_poll_spurious(struct probes *p)
{
	union bpf_iter_link_info info = {};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_program *prog = p->skel->progs.rebpf_dsack_poll;
	uint64_t last = *(volatile __u64 *)&p->skel->bss->shared.retransmitted_ns, now_ns = clock_mono_ns(), took_ns;

	/* A second more: what was noted as the time ran out is looked at once more. */
	if (!last || p->poll_failed || !bpf_program__autoload(prog) || now_ns < p->poll_from_ns ||
	    now_ns > last + REBPF_SPURIOUS_NS + NSEC_PER_SEC)
		return;
	if (!p->poll) {
		info.map.map_fd = (__u32)bpf_map__fd(p->skel->maps.retransmitters);
		p->poll = bpf_program__attach_iter(prog, &opts);
	}
	p->poll_failed = !p->poll || run_iterator(p->poll);
	/* With many sockets it takes its time: a hundredth of a CPU's, but once a second. */
	took_ns = clock_mono_ns() - now_ns;
	p->poll_from_ns = now_ns + (took_ns < NSEC_PER_SEC / 100 ? 100 * took_ns : NSEC_PER_SEC);
	if (p->poll_failed)
		log_warning("cannot look for DSACKs: %s", strerror(errno));
}

int probes_tc_fd(const struct probes *p)
{
	return p->plan->role[ROLE_TC].chosen ? bpf_program__fd(p->skel->progs.rebpf_tc_egress) : -1;
}

uint32_t probes_tc_id(const struct probes *p)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(probes_tc_fd(p), &info, &len) ? 0 : info.id;
}

int probes_open_ring(const struct probes *p, enum record_ring ring, struct ring **out)
{
	const struct bpf_map *map = ring == RING_CONTROL ? p->skel->maps.ring_control : p->skel->maps.ring_drops;

	if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
		return ring_open(out, bpf_map__fd(map), bpf_map__max_entries(map));
	return ring_open_lines(out, bpf_map__fd(map), bpf_map__value_size(map) - REBPF_RING_BEYOND, &p->skel->bss->shared.ring[ring]);
}

int probes_open_wake(const struct probes *p, struct ring **out)
{
	return ring_open(out, bpf_map__fd(p->skel->maps.ring_wake), bpf_map__max_entries(p->skel->maps.ring_wake));
}

int probes_wake_fd(const struct probes *p)
{
	return bpf_map__fd(p->skel->maps.ring_wake);
}

int probes_lost_fd(const struct probes *p)
{
	return bpf_map__fd(p->skel->maps.lost);
}

struct shared *probes_shared(struct probes *p)
{
	return &p->skel->bss->shared;
}

/*
 * How often a kprobe or kretprobe did not run at all: it came while another one ran on that CPU, or more calls were under
 * way than returns can be followed. The kernel says so since 6.7 (3acf8ace6823), in a part of bpf_link_info that Debian 12's
 * headers do not have yet (include/uapi/linux/bpf.h: perf_event.kprobe); before, of other links, and on error: 0.
 */
static uint64_t missed_calls(const struct bpf_link *link)
{
	struct {
		__u32 type, id, prog_id, pad;
		__u32 perf_type, pad2;
		__u64 func_name;
		__u32 name_len, offset;
		__u64 addr, missed, cookie;
	} info = {};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len) || info.type != LINK_TYPE_PERF_EVENT ||
	    (info.perf_type != PERF_EVENT_KPROBE && info.perf_type != PERF_EVENT_KRETPROBE))
		return 0;
	return info.missed;
}

uint64_t probes_skipped_runs(const struct probes *p)
{
	struct bpf_program *prog;
	uint64_t sum = p->missed_calls;

	for (unsigned int i = 0; i < p->link_count; i++)
		if (p->is_kprobe[i])
			sum += missed_calls(p->link[i]);

	bpf_object__for_each_program(prog, p->skel->obj) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);

		enum bpf_prog_type type = bpf_program__type(prog);

		if (bpf_program__autoload(prog) &&
		    (type == BPF_PROG_TYPE_TRACING || type == BPF_PROG_TYPE_KPROBE) &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
			sum += info.recursion_misses;
	}
	return sum;
}

void probes_detach(struct probes *p)
{
	/* Attempts first: one that is told must have been watched to its end. */
	for (int begins = 1; begins >= 0; begins--)
		for (unsigned int i = 0; i < p->link_count; i++)
			if (p->begins_attempts[i] == begins) {
				if (p->is_kprobe[i])
					p->missed_calls += missed_calls(p->link[i]);
				bpf_link__destroy(p->link[i]);
			}
	p->link_count = 0;
	bpf_link__destroy(p->poll);
	p->poll = NULL;
	p->poll_failed = true;
}

void probes_close(struct probes *p)
{
	if (!p)
		return;
	probes_detach(p);
	rebpf__destroy(p->skel);
	free(p);
}
