// SPDX-License-Identifier: MIT
#include "sandbox.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#define NATIVE_ARCH 0
#endif

#define X32_SYSCALL_BIT 0x40000000 /* also beyond every number of other processors */
#define WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

/* Not on every processor: arm64 has the ...at calls only. */
static const uint32_t denied[] = {
#ifdef SYS_creat
	SYS_creat, SYS_unlink, SYS_rmdir, SYS_mkdir, SYS_mknod, SYS_link, SYS_symlink, SYS_rename, SYS_chmod, SYS_chown, SYS_lchown,
#endif
#ifdef SYS_renameat
	SYS_renameat,
#endif
	SYS_unlinkat, SYS_mkdirat, SYS_mknodat, SYS_linkat, SYS_symlinkat, SYS_renameat2, SYS_fchmod, SYS_fchmodat, SYS_fchown,
	SYS_fchownat, SYS_truncate, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr,
	SYS_fremovexattr, SYS_open_by_handle_at,
	/* Flags that are in memory cannot be looked at; nothing here opens files in these ways. */
	437 /* openat2 */, 425 /* io_uring_setup */,
	SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_perf_event_open, SYS_userfaultfd,
	SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct,
	SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_add_key, SYS_keyctl, SYS_sethostname,
	428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 432 /* fsmount */, 442 /* mount_setattr */,
};

static const uint32_t denied_bpf[] = { BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_OBJ_PIN, BPF_RAW_TRACEPOINT_OPEN, BPF_BTF_LOAD };

/* System calls that open a file, and which argument has the flags. */
static const struct {
	uint32_t nr, flags;
} opens[] = {
#ifdef SYS_open
	{ SYS_open, 1 },
#endif
	{ SYS_openat, 2 },
};

#define MAX_INSNS (16 + 2 * ARRAY_SIZE(denied) + 2 * ARRAY_SIZE(denied_bpf) + 5 * ARRAY_SIZE(opens))

struct filter {
	struct sock_filter insn[MAX_INSNS];
	unsigned short len;
};

static void add(struct filter *f, uint16_t code, uint32_t k, uint8_t on_true, uint8_t on_false)
{
	f->insn[f->len++] = (struct sock_filter){ code, on_true, on_false, k };
}

static void load(struct filter *f, size_t offset)
{
	add(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Of an argument the half that an int is in. */
static size_t argument(unsigned int n)
{
	return offsetof(struct seccomp_data, args) + n * sizeof(uint64_t) + (__BYTE_ORDER == __BIG_ENDIAN ? 4 : 0);
}

static void deny(struct filter *f)
{
	add(f, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
}

static void allow(struct filter *f)
{
	add(f, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

/* Each test that denies has its answer right behind it: jumps are short, however long the lists get. */
static void deny_if_equal(struct filter *f, uint32_t value)
{
	add(f, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	deny(f);
}

static void build(struct filter *f)
{
	load(f, offsetof(struct seccomp_data, arch));
	add(f, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
	deny(f);
	load(f, offsetof(struct seccomp_data, nr));
	add(f, BPF_JMP | BPF_JGE | BPF_K, X32_SYSCALL_BIT, 0, 1);
	deny(f);
	for (size_t i = 0; i < ARRAY_SIZE(denied); i++)
		deny_if_equal(f, denied[i]);
	for (size_t i = 0; i < ARRAY_SIZE(opens); i++) {
		add(f, BPF_JMP | BPF_JEQ | BPF_K, opens[i].nr, 0, 4);
		load(f, argument(opens[i].flags));
		add(f, BPF_JMP | BPF_JSET | BPF_K, WRITES, 0, 1);
		deny(f);
		allow(f);
	}
	add(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 1, 0);
	allow(f);
	load(f, argument(0));
	for (size_t i = 0; i < ARRAY_SIZE(denied_bpf); i++)
		deny_if_equal(f, denied_bpf[i]);
	allow(f);
}

int sandbox_enter(void)
{
	struct filter f = {};
	struct sock_fprog program = { .filter = f.insn };

	if (!NATIVE_ARCH)
		return -ENOTSUP;
	build(&f);
	program.len = f.len;
	/* Without the flag, kernels before 5.16 slow the process down by a mitigation that a filter is no reason for. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) ? -errno : 0;
}
