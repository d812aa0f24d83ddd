// SPDX-License-Identifier: MIT
/* links: src/privilege.c src/sandbox.c src/log.c src/util.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privilege.h"
#include "sandbox.h"

#define BIT(cap) (1ULL << (cap))
#define CORE (BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_NET_ADMIN))

/* ---- the sets ---- */

static void test_missing(void **state)
{
	(void)state;
	assert_int_equal(privileges_missing(0), CORE);
	assert_int_equal(privileges_missing(CORE), 0);
	assert_int_equal(privileges_missing(~0ULL), 0);
	assert_int_equal(privileges_missing(~BIT(CAP_NET_ADMIN)), BIT(CAP_NET_ADMIN));
	assert_int_equal(privileges_missing(BIT(CAP_PERFMON)), BIT(CAP_BPF) | BIT(CAP_NET_ADMIN));
	/* CAP_SYS_ADMIN stands for the two that were split from it. */
	assert_int_equal(privileges_missing(BIT(CAP_SYS_ADMIN)), BIT(CAP_NET_ADMIN));
	assert_int_equal(privileges_missing(BIT(CAP_SYS_ADMIN) | BIT(CAP_NET_ADMIN)), 0);
}

static void test_needed(void **state)
{
	static const struct candidate drop = { .role = ROLE_DROP, .name = "tracepoint" };
	struct plan plan = {};
	uint64_t needed = privileges_needed(&plan);

	(void)state;
	assert_true(needed & BIT(CAP_NET_ADMIN) && needed & BIT(CAP_SYS_ADMIN));
	assert_false(needed & (BIT(CAP_PERFMON) | BIT(CAP_SYSLOG) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_SETPCAP) |
			       BIT(CAP_SYS_RESOURCE) | BIT(CAP_NET_BIND_SERVICE)));
	plan.role[ROLE_DROP].chosen = &drop;
	assert_int_equal(privileges_needed(&plan), needed | BIT(CAP_SYSLOG));
}

/* ---- in a process of its own: both are for good ---- */

/* Each @body says with _exit() which of its checks failed; 0: none. */
static void run_in_child(void (*body)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int check_number;

static void check(bool ok)
{
	check_number++;
	if (!ok)
		_exit(check_number);
}

static void drop_to_one(void)
{
	uint64_t wanted = BIT(CAP_NET_ADMIN);
	struct privileges before, after;

	check(!privileges_read(&before));
	check(!privileges_drop(wanted));
	check(!privileges_read(&after));
	check(after.permitted == (before.permitted & wanted));
	check(after.effective == after.permitted && !after.inheritable);
	check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_ADMIN, 0, 0) == 0);
	check(!(before.permitted & BIT(CAP_SETPCAP)) || prctl(PR_CAPBSET_READ, CAP_NET_ADMIN, 0, 0, 0) == 0);
	/* What is gone does not come back. */
	check(!privileges_raise() && !privileges_read(&after) && after.effective == (before.permitted & wanted));
	check(!privileges_drop(~0ULL) && !privileges_read(&after) && after.effective == (before.permitted & wanted));
	check(!privileges_drop(0) && !privileges_read(&after) && !after.permitted && !after.effective);
}

static void test_drop(void **state)
{
	(void)state;
	run_in_child(drop_to_one);
}

static void raise_permitted(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	struct privileges p;

	check(!syscall(SYS_capget, &head, data));
	if (!data[0].permitted)
		_exit(77);
	data[0].effective = data[1].effective = 0;
	check(!syscall(SYS_capset, &head, data));
	check(!privileges_raise() && !privileges_read(&p));
	check(p.permitted && p.effective == p.permitted);
}

static void test_raise(void **state)
{
	(void)state;
	run_in_child(raise_permitted);
}

static bool is_denied(long result)
{
	return result < 0 && errno == EPERM;
}

static void live_in_sandbox(void)
{
	char dir[] = "/tmp/rebpf-sandbox-XXXXXX", path[64];
	char *const argv[] = { "true", NULL };
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
	int fd, err;

	check(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	check(fd >= 0);
	check(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	err = sandbox_enter();
	if (err == -ENOTSUP || err == -EINVAL)
		_exit(77);
	check(!err);
	/* Denied, though it was just made and is ours: 7 and on. */
	check(is_denied(open(path, O_WRONLY)));
	check(is_denied(open(path, O_RDWR)));
	check(is_denied(open(path, O_RDONLY | O_TRUNC)));
	check(is_denied(openat(AT_FDCWD, "/tmp/rebpf-sandbox-new", O_RDONLY | O_CREAT, 0600)));
	check(is_denied(unlink(path)));
	check(is_denied(rename(path, "/tmp/rebpf-sandbox-new")));
	check(is_denied(chmod(path, 0777)));
	check(is_denied(truncate(path, 0)));
	check(is_denied(execv("/bin/true", argv)));
	check(is_denied(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr))));
	check(is_denied(syscall(SYS_ptrace, 0, 0, 0, 0)));
	/* 18 and on: what rebpf does all the time. */
	check(write(fd, "x", 1) == 1);
	check(!close(fd));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0);
	check(read(fd, path, 1) == 1);
	check(syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) < 0);
	check(open("/proc/self/ns/net", O_RDONLY | O_DIRECTORY) < 0 && errno == ENOTDIR);
	check(open("/proc", O_RDONLY | O_DIRECTORY) >= 0);
	check(fork() >= 0);
}

static void test_sandbox(void **state)
{
	(void)state;
	run_in_child(live_in_sandbox);
}

/* What test_sandbox left, which it may not remove itself. */
static int clean_up(void **state)
{
	(void)state;
	return system("rm -rf /tmp/rebpf-sandbox-*");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_raise),
		cmocka_unit_test_teardown(test_sandbox, clean_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
