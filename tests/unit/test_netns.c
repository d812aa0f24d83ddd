// SPDX-License-Identifier: MIT
/* links: src/netns.c src/log.c src/util.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netns.h"

static uint32_t inode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint32_t)st.st_ino;
}

static void assert_is_netns(int fd, uint32_t inum)
{
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, inum);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(close(fd), 0);
}

static void test_own(void **state)
{
	uint32_t inum = inode_of("/proc/self/ns/net");

	(void)state;
	assert_is_netns(netns_open_by_inode(inum, (uint32_t)getpid()), inum);
	assert_is_netns(netns_open_by_inode(inum, 0), inum);
	assert_is_netns(netns_open_by_inode(inum, 0x7fffffff), inum); /* no such process */
}

static void test_none(void **state)
{
	(void)state;
	assert_int_equal(netns_open_by_inode(0, 0), -ENOENT);
	assert_int_equal(netns_open_by_inode(1, (uint32_t)getpid()), -ENOENT);
	/* Other namespaces have numbers of the same kind. */
	assert_int_equal(netns_open_by_inode(inode_of("/proc/self/ns/uts"), (uint32_t)getpid()), -ENOENT);
}

/* A namespace that only another process is in. */
static void test_other_process(void **state)
{
	char path[64], byte = 0;
	int ready[2], status;
	uint32_t inum = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		/* As root at once, else in a user namespace of its own, where that is allowed. */
		byte = !unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET);
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	if (byte) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)child);
		inum = inode_of(path);
		assert_int_not_equal(inum, inode_of("/proc/self/ns/net"));
		assert_is_netns(netns_open_by_inode(inum, (uint32_t)child), inum);
		assert_is_netns(netns_open_by_inode(inum, 0), inum);
		assert_is_netns(netns_open_by_inode(inum, (uint32_t)getpid()), inum);
	}
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(ready[0]);
	close(ready[1]);
	if (!byte)
		skip();
	assert_int_equal(netns_open_by_inode(inum, (uint32_t)child), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_other_process),
	};

	return cmocka_run_group_tests_name("netns", tests, NULL, NULL);
}
