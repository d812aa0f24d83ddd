// SPDX-License-Identifier: MIT
#include "privilege.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

#define BIT(cap) (1ULL << (cap))
#define INITIAL_USERNS 0xeffffffdU /* PROC_USER_INIT_INO, include/linux/proc_ns.h */

/* Those that rebpf has a use for. */
static const struct {
	int cap;
	const char *name;
} names[] = {
	{ CAP_BPF, "cap_bpf" },
	{ CAP_PERFMON, "cap_perfmon" },
	{ CAP_NET_ADMIN, "cap_net_admin" },
	{ CAP_SYS_ADMIN, "cap_sys_admin" },
	{ CAP_SYS_PTRACE, "cap_sys_ptrace" },
	{ CAP_DAC_READ_SEARCH, "cap_dac_read_search" },
	{ CAP_SYSLOG, "cap_syslog" },
};

_Static_assert(PRIVILEGES_OF_FILES == (BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH)), "numbers of the kernel");

#define ESSENTIAL (BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_NET_ADMIN))

/* What each further one, or all of several, lets rebpf see. */
static const struct {
	uint64_t caps;
	const char *gives;
} optional[] = {
	{ BIT(CAP_SYS_ADMIN), "what happens in other network namespaces (tc, causes, metrics)" },
	{ BIT(CAP_SYS_PTRACE), "network namespaces that only other users' processes lead to" },
	{ BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH), "owners among other users' processes that no hook saw at work" },
};

/* ---- reading and setting ---- */

static int set(const struct privileges *p)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(p->effective >> 32 * i),
			.permitted = (uint32_t)(p->permitted >> 32 * i),
			.inheritable = (uint32_t)(p->inheritable >> 32 * i),
		};
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

int privileges_read(struct privileges *out)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {}; /* valgrind knows only the first */

	if (syscall(SYS_capget, &head, data))
		return -errno;
	*out = (struct privileges){
		.effective = data[0].effective | (uint64_t)data[1].effective << 32,
		.permitted = data[0].permitted | (uint64_t)data[1].permitted << 32,
		.inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32,
	};
	return 0;
}

int privileges_raise(void)
{
	struct privileges p;
	int err = privileges_read(&p);

	if (err || p.effective == p.permitted)
		return err;
	p.effective = p.permitted;
	return set(&p);
}

/* ---- what is missing ---- */

static void add_names(struct strbuf *out, uint64_t caps)
{
	const char *separator = "";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!(caps & BIT(names[i].cap)))
			continue;
		strbuf_str(out, separator);
		strbuf_str(out, names[i].name);
		separator = ",";
	}
}

uint64_t privileges_missing(uint64_t effective)
{
	uint64_t missing = ESSENTIAL & ~effective;

	/* It stands for the other two, which were split from it (Linux 5.8). */
	if (effective & BIT(CAP_SYS_ADMIN))
		missing &= BIT(CAP_NET_ADMIN);
	return missing;
}

static int refuse(uint64_t missing)
{
	struct strbuf lacking = {}, needed = {};
	char path[1024];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = '\0';
	add_names(&lacking, missing);
	add_names(&needed, ESSENTIAL);
	log_error(-EPERM, "missing capabilities: %s (run as root, or: setcap %s+ep %s)", lacking.data ? lacking.data : "?",
		  needed.data ? needed.data : "?", n > 0 ? path : "rebpf");
	strbuf_free(&lacking);
	strbuf_free(&needed);
	return -EPERM;
}

int privileges_check(void)
{
	struct privileges p;
	struct stat st;
	int err = privileges_read(&p);

	if (err)
		return log_error(err, "cannot read the capabilities: %s", strerror(-err));
	if (privileges_missing(p.effective))
		return refuse(privileges_missing(p.effective));
	/* The kernel asks whether they are those of the initial one. */
	if (!stat("/proc/self/ns/user", &st) && st.st_ino != INITIAL_USERNS)
		return log_error(-EPERM,
				 "this is a user namespace (a rootless container?): its capabilities do not count for BPF");
	return 0;
}

void privileges_warn(void)
{
	struct privileges p;

	for (size_t i = 0; i < ARRAY_SIZE(optional) && !privileges_read(&p); i++) {
		struct strbuf text = {};

		add_names(&text, optional[i].caps & ~p.effective);
		if (text.len)
			log_notice("not seen without %s: %s", text.data, optional[i].gives);
		strbuf_free(&text);
	}
}

static void print_symbols(bool there, uint64_t effective, struct strbuf *out)
{
	if (there)
		strbuf_str(out, "    has the kernel's symbols");
	else if (effective & BIT(CAP_SYSLOG))
		strbuf_str(out, "    not seen, as kernel.kptr_restrict hides symbols");
	else
		strbuf_str(out, "    not seen without cap_syslog");
	strbuf_str(out, ": names of functions\n");
}

static void print_memlock(uint64_t effective, struct strbuf *out)
{
	struct rlimit limit;

	if (effective & BIT(CAP_SYS_RESOURCE) || getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_max == RLIM_INFINITY)
		return;
	strbuf_str(out, "    without cap_sys_resource BPF maps are limited by RLIMIT_MEMLOCK, bytes: ");
	strbuf_u64(out, limit.rlim_max);
	strbuf_char(out, '\n');
}

void privileges_print(const struct features *features, bool symbols, struct strbuf *out)
{
	struct privileges p;

	strbuf_str(out, "privileges:\n");
	if (privileges_read(&p))
		return;
	if (privileges_missing(p.effective)) {
		strbuf_str(out, "    nothing works without ");
		add_names(out, privileges_missing(p.effective));
		strbuf_str(out, "; what only trying tells (trampolines, kprobes) counts as refused\n");
	}
	for (size_t i = 0; i < ARRAY_SIZE(optional); i++) {
		uint64_t lacking = optional[i].caps & ~p.effective;

		strbuf_str(out, lacking ? "    not seen without " : "    has ");
		add_names(out, lacking ? lacking : optional[i].caps);
		strbuf_str(out, ": ");
		strbuf_str(out, optional[i].gives);
		strbuf_char(out, '\n');
	}
	print_symbols(symbols, p.effective, out);
	if (features->counts_memlock)
		print_memlock(p.effective, out);
}

/* ---- dropping ---- */

uint64_t privileges_needed(const struct plan *plan)
{
	/*
	 * NET_ADMIN: to attach to devices that come, to detach, and to ask what takes packets silently. SYS_ADMIN: to enter
	 * namespaces. SYS_PTRACE, DAC_READ_SEARCH: whose they are, and whose sockets are. PERFMON was for loading.
	 */
	uint64_t keep = BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) | BIT(CAP_SYS_ADMIN) | BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH);

	/* Modules that are loaded later bring functions that drop. */
	if (plan->role[ROLE_DROP].chosen)
		keep |= BIT(CAP_SYSLOG);
	return keep;
}

/*
 * Does bpf(2) refuse even what needs no capability? Before 5.19 (c8644cd0efe7) it does where
 * kernel.unprivileged_bpf_disabled is set.
 */
static bool bpf_is_refused(void)
{
	union bpf_attr attr = { .info.bpf_fd = (uint32_t)-1 };

	return syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) && errno == EPERM;
}

/* It limits only what programs that are executed may get. Takes CAP_SETPCAP; without, no_new_privs has the same effect. */
static void empty_bounding_set(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return;
}

/* What of @keep is really needed: CAP_BPF only if bpf(2) is refused without. */
static int without_bpf(uint64_t permitted, uint64_t *keep)
{
	uint64_t less = *keep & ~BIT(CAP_BPF);
	struct privileges p = { .effective = less, .permitted = permitted };
	int err = set(&p);

	if (!err && !bpf_is_refused())
		*keep = less;
	p.effective = permitted;
	return err ? err : set(&p);
}

int privileges_drop(uint64_t keep)
{
	struct strbuf kept = {};
	struct privileges p;
	int err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;

	if (!err)
		err = privileges_read(&p);
	if (!err) {
		keep &= p.permitted;
		err = without_bpf(p.permitted, &keep);
	}
	if (!err) {
		empty_bounding_set();
		p = (struct privileges){ .effective = keep, .permitted = keep };
		err = set(&p);
	}
	if (err)
		return log_error(err, "cannot give up capabilities: %s", strerror(-err));
	add_names(&kept, keep);
	log_debug("capabilities kept: %s", kept.len ? kept.data : "none");
	strbuf_free(&kept);
	return 0;
}
