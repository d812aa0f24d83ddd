// SPDX-License-Identifier: MIT
/* links: src/owner.c src/util.c */
/* Mostly against a made-up /proc: PID/stat and links PID/fd/N -> "socket:[INO]". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "owner.h"
#include "util.h"

#define SECOND NSEC_PER_SEC
#define START (100 * SECOND)
#define KTHREAD 0x208040

struct fixture {
	char proc[32];
	struct owner_scan *os;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	*state = f;
	strcpy(f->proc, "/tmp/rebpf-test-XXXXXX");
	if (!mkdtemp(f->proc))
		return -1;
	return owner_scan_open(&f->os, f->proc);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	owner_scan_close(f->os);
	nftw(f->proc, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void add_process(const struct fixture *f, unsigned int pid, const char *name, unsigned int flags,
			unsigned int started)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%u", f->proc, pid);
	if (mkdir(path, 0700))
		assert_int_equal(errno, EEXIST);
	snprintf(path, sizeof(path), "%s/%u/fd", f->proc, pid);
	if (mkdir(path, 0700))
		assert_int_equal(errno, EEXIST);
	snprintf(path, sizeof(path), "%s/%u/stat", f->proc, pid);
	out = fopen(path, "w");
	assert_non_null(out);
	fprintf(out, "%u (%s) S 1 2 3 0 -1 %u 4 5 6 7 8 9 10 11 20 0 1 0 %u 123 456 18446744073709551615\n",
		pid, name, flags, started);
	assert_int_equal(fclose(out), 0);
}

static void add_file(const struct fixture *f, unsigned int pid, unsigned int fd, const char *target)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%u/fd/%u", f->proc, pid, fd);
	unlink(path);
	if (target)
		assert_int_equal(symlink(target, path), 0);
}

static void add_socket(const struct fixture *f, unsigned int pid, unsigned int fd, unsigned long ino)
{
	char target[64];

	snprintf(target, sizeof(target), "socket:[%lu]", ino);
	add_file(f, pid, fd, target);
}

static void remove_process(const struct fixture *f, unsigned int pid)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%u", f->proc, pid);
	assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Who holds @ino: the pid; 0: nobody; -1: not searched. The comm is left in @comm. */
static char comm[REBPF_COMM_LEN];
static int holder(const struct fixture *f, uint64_t ino, uint32_t hint, uint64_t now_ns)
{
	static const struct rec_owner zero;
	struct rec_owner out;
	enum owner_answer answer;

	memset(&out, 'x', sizeof(out));
	answer = owner_find(f->os, ino, hint, now_ns, &out);
	memcpy(comm, out.comm, sizeof(comm));
	if (answer == OWNER_FOUND) {
		assert_int_equal(out.zero, 0);
		assert_true(out.tgid);
		return (int)out.tgid;
	}
	assert_memory_equal(&out, &zero, sizeof(out));
	return answer == OWNER_NOBODY ? 0 : -1;
}

static void test_found(void **state)
{
	struct fixture *f = *state;

	add_process(f, 10, "nginx", 0x400, 50);
	add_file(f, 10, 0, "/dev/null");
	add_file(f, 10, 1, "pipe:[7]");
	add_file(f, 10, 2, "socket:[");
	add_file(f, 10, 4, "anon_inode:[eventpoll]");
	add_socket(f, 10, 5, 12345);
	add_process(f, 20, "a) R 1 (b", 0x400, 60);
	add_socket(f, 20, 3, 777);
	add_process(f, 30, "fifteen_bytes_x", 0, 60);
	add_socket(f, 30, 3, 888);
	assert_int_equal(holder(f, 12345, 0, START), 10);
	assert_string_equal(comm, "nginx");
	assert_int_equal(holder(f, 777, 0, START), 20);
	assert_string_equal(comm, "a) R 1 (b");
	assert_int_equal(holder(f, 888, 0, START), 30);
	assert_string_equal(comm, "fifteen_bytes_x");
	assert_int_equal(owner_scans(f->os), 1);
	/* Numbers that only begin alike. */
	assert_int_equal(holder(f, 1234, 0, START + 2 * SECOND), 0);
	assert_int_equal(holder(f, 7, 0, START + 2 * SECOND), -1);
	assert_int_equal(holder(f, 0, 10, START + 2 * SECOND), 0);
}

static void test_rests_between_scans(void **state)
{
	struct fixture *f = *state;

	add_process(f, 10, "a", 0, 50);
	add_socket(f, 10, 5, 1);
	assert_int_equal(holder(f, 1, 0, START), 10);
	add_socket(f, 10, 6, 2);
	assert_int_equal(holder(f, 2, 0, START + SECOND / 100), -1);
	assert_int_equal(holder(f, 1, 0, START + SECOND / 100), 10);
	assert_int_equal(holder(f, 2, 0, START + SECOND + 1), 10);
	assert_int_equal(owner_scans(f->os), 2);
	/* Nobody's: known for ten seconds, during which it costs no scan. */
	assert_int_equal(holder(f, 3, 0, START + 3 * SECOND), 0);
	for (unsigned int i = 0; i < 9; i++)
		assert_int_equal(holder(f, 3, 0, START + (3 + i) * SECOND), 0);
	assert_int_equal(owner_scans(f->os), 3);
	add_socket(f, 10, 7, 3);
	assert_int_equal(holder(f, 3, 0, START + 14 * SECOND), 10);
	assert_int_equal(owner_scans(f->os), 4);
}

static void test_several_holders(void **state)
{
	struct fixture *f = *state;

	add_process(f, 1, "systemd", 0, 1);
	add_process(f, 100, "young", 0, 90);
	add_process(f, 200, "old", 0, 80);
	add_process(f, 300, "kworker", KTHREAD, 2);
	add_socket(f, 1, 3, 5);
	add_socket(f, 100, 3, 5);
	add_socket(f, 200, 3, 5);
	add_socket(f, 200, 4, 5);
	add_socket(f, 300, 4, 5);
	add_socket(f, 1, 9, 6);
	add_socket(f, 300, 5, 7);
	assert_int_equal(holder(f, 5, 0, START), 200);
	assert_int_equal(holder(f, 6, 0, START), 1);
	assert_int_equal(holder(f, 5, 100, START), 100);
	assert_int_equal(holder(f, 5, 1, START), 1);
	/* A hint that is wrong, gone, or a kernel thread. */
	add_process(f, 400, "stranger", 0, 70);
	assert_int_equal(holder(f, 5, 400, START), 200);
	assert_int_equal(holder(f, 5, 999, START), 200);
	assert_int_equal(holder(f, 5, 300, START), 200);
	assert_int_equal(holder(f, 7, 0, START + 2 * SECOND), 0);
}

/* A process that the kernel saw is asked directly, without a scan. */
static void test_hint_without_scan(void **state)
{
	struct fixture *f = *state;

	add_process(f, 10, "a", 0, 50);
	add_socket(f, 10, 5, 1);
	assert_int_equal(holder(f, 1, 10, START), 10);
	assert_string_equal(comm, "a");
	assert_int_equal(owner_scans(f->os), 0);
	assert_int_equal(holder(f, 1, 0, START), 10);
	assert_int_equal(owner_scans(f->os), 0);
}

static void test_verified_again(void **state)
{
	struct fixture *f = *state;

	add_process(f, 10, "parent", 0, 50);
	add_socket(f, 10, 5, 1);
	add_process(f, 20, "child", 0, 60);
	add_socket(f, 20, 6, 1);
	add_process(f, 30, "shell", 0, 60);
	add_socket(f, 30, 6, 2);
	assert_int_equal(holder(f, 1, 0, START), 10);
	/* The parent closes it: believed for ten seconds, then the other holder is the owner. */
	add_file(f, 10, 5, NULL);
	assert_int_equal(holder(f, 1, 0, START + 9 * SECOND), 10);
	assert_int_equal(holder(f, 1, 0, START + 11 * SECOND), 20);
	/* exec, and the descriptor moved. */
	add_process(f, 30, "server", 0, 60);
	add_file(f, 30, 6, NULL);
	add_socket(f, 30, 7, 2);
	assert_int_equal(holder(f, 2, 0, START + 9 * SECOND), 30);
	assert_string_equal(comm, "shell");
	assert_int_equal(holder(f, 2, 0, START + 11 * SECOND), 30);
	assert_string_equal(comm, "server");
	assert_int_equal(owner_scans(f->os), 1);
	remove_process(f, 20);
	assert_int_equal(holder(f, 1, 0, START + 22 * SECOND), 0);
	assert_int_equal(owner_scans(f->os), 2);
	/* The number of the process is another's now, which holds nothing of it. */
	remove_process(f, 30);
	add_process(f, 30, "reused", 0, 99);
	assert_int_equal(holder(f, 2, 0, START + 40 * SECOND), 0);
}

static void test_still_holds(void **state)
{
	struct fixture *f = *state;

	add_process(f, 10, "a", 0, 50);
	add_socket(f, 10, 5, 1);
	assert_int_equal(owner_still_holds(f->os, 10, 1, START), OWNER_HOLDS_YES);
	assert_int_equal(owner_still_holds(f->os, 10, 2, START), OWNER_HOLDS_NO);
	assert_int_equal(owner_still_holds(f->os, 11, 1, START), OWNER_HOLDS_NO);
	assert_int_equal(owner_still_holds(f->os, 0, 1, START), OWNER_HOLDS_NO);
	assert_int_equal(owner_still_holds(f->os, 10, 0, START), OWNER_HOLDS_NO);
	add_file(f, 10, 5, NULL);
	assert_int_equal(owner_still_holds(f->os, 10, 1, START), OWNER_HOLDS_NO);
}

static void test_many_files(void **state)
{
	struct fixture *f = *state;
	unsigned int unknown = 0;

	add_process(f, 10, "proxy", 0, 50);
	for (unsigned int i = 0; i < 6000; i++)
		add_socket(f, 10, i, 1000 + i);
	/* Not to be told from 4,096 files of 6,000. */
	assert_int_equal(owner_still_holds(f->os, 10, 1, START), OWNER_HOLDS_UNKNOWN);
	/* A pass knows them all, and where they are. */
	assert_int_equal(holder(f, 1000, 0, START), 10);
	for (unsigned int i = 0; i < 6000; i++) {
		assert_int_equal(holder(f, 1000 + i, 0, START), 10);
		assert_int_equal(owner_still_holds(f->os, 10, 1000 + i, START), OWNER_HOLDS_YES);
	}
	assert_int_equal(owner_scans(f->os), 1);
	/* All calls together may look at so many a second. */
	add_process(f, 20, "small", 0, 50);
	for (unsigned int i = 0; i < 100; i++)
		add_file(f, 20, i, "/dev/null");
	for (unsigned int i = 0; i < 1000; i++)
		unknown += owner_still_holds(f->os, 20, 1, START + 2 * SECOND) == OWNER_HOLDS_UNKNOWN;
	assert_in_range(unknown, 500, 990);
	assert_int_equal(owner_still_holds(f->os, 20, 1, START + 3 * SECOND), OWNER_HOLDS_NO);
}

/* More files than one call looks at: the pass goes on with the next calls. */
static void test_pass_in_steps(void **state)
{
	struct fixture *f = *state;

	add_process(f, 10, "big", 0, 50);
	for (unsigned int i = 0; i < 20000; i++)
		add_file(f, 10, i, i == 19999 ? "socket:[5]" : "/dev/null");
	assert_int_equal(holder(f, 5, 0, START), -1);
	assert_int_equal(holder(f, 5, 0, START + 1000), 10);
	assert_int_equal(owner_scans(f->os), 1);
	/* 20,000 files at 3 us. */
	add_socket(f, 10, 0, 6);
	assert_int_equal(holder(f, 6, 0, START + SECOND / 2), -1);
	assert_int_equal(owner_scans(f->os), 1);
	assert_int_equal(holder(f, 6, 0, START + SECOND + 1), -1);
	assert_int_equal(owner_scans(f->os), 2);
	assert_int_equal(holder(f, 6, 0, START + SECOND + 2), 10);
	/* Missing in a pass that began before the question: that is no answer yet. */
	assert_int_equal(holder(f, 7, 0, START + 3 * SECOND), -1);
	assert_int_equal(holder(f, 8, 0, START + 3 * SECOND + 1), -1);
	assert_int_equal(owner_scans(f->os), 3);
}

static void test_no_proc(void **state)
{
	struct owner_scan *os = NULL;

	(void)state;
	assert_int_equal(owner_scan_open(&os, "/nonexistent"), -ENOENT);
	assert_null(os);
	owner_scan_close(NULL);
}

/* The real /proc: a socket of this process. */
static void test_real_proc(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct owner_scan *os = NULL;
	struct rec_owner out;
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(prctl(PR_SET_NAME, "unit (test)"), 0);
	assert_int_equal(owner_scan_open(&os, NULL), 0);
	assert_int_equal(owner_find(os, st.st_ino, 0, START, &out), OWNER_FOUND);
	assert_int_equal(out.tgid, getpid());
	assert_string_equal(out.comm, "unit (test)");
	assert_int_equal(owner_still_holds(os, out.tgid, st.st_ino, START), OWNER_HOLDS_YES);
	close(fd);
	assert_int_equal(owner_still_holds(os, out.tgid, st.st_ino, START), OWNER_HOLDS_NO);
	owner_scan_close(os);
}

/* Who may not look everywhere cannot say "nobody". */
static void test_without_privileges(void **state)
{
	struct owner_scan *os = NULL;
	struct rec_owner out;
	int status;
	pid_t child;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if ((!geteuid() && setuid(65534)) || !access("/proc/1/fd", R_OK) || owner_scan_open(&os, NULL))
			_exit(100);
		_exit((int)owner_find(os, UINT64_MAX, 0, START, &out));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 100)
		skip();
	assert_int_equal(WEXITSTATUS(status), OWNER_NOT_SEARCHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rests_between_scans, setup, teardown),
		cmocka_unit_test_setup_teardown(test_several_holders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hint_without_scan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verified_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_still_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pass_in_steps, setup, teardown),
		cmocka_unit_test(test_no_proc),
		cmocka_unit_test(test_real_proc),
		cmocka_unit_test(test_without_privileges),
	};

	return cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}
