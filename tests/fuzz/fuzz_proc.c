// SPDX-License-Identifier: MIT
/* links: tests/fuzz/fuzz.c tests/fuzz/check.c src/owner.c src/util.c */
/*
 * Arbitrary bytes as /proc: the link of a process' file, then its "stat" with a name of any bytes. The owner that is found
 * is that process, and its name ends.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "owner.h"

#define TGID 4321
#define INO 12345

static char top[] = "/tmp/rebpf-fuzz-XXXXXX";
static int proc, fds, stat_fd;

static void clean_up(void)
{
	unlinkat(fds, "3", 0);
	if (unlinkat(proc, "4321/stat", 0) || unlinkat(proc, "4321/fd", AT_REMOVEDIR) || unlinkat(proc, "4321", AT_REMOVEDIR) ||
	    rmdir(top))
		perror(top);
}

static void set_up(void)
{
	if (!mkdtemp(top))
		abort();
	proc = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || mkdirat(proc, "4321", 0700) || mkdirat(proc, "4321/fd", 0700))
		abort();
	fds = openat(proc, "4321/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stat_fd = openat(proc, "4321/stat", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fds < 0 || stat_fd < 0)
		abort();
	atexit(clean_up);
}

static void make_link(const uint8_t *data, size_t len)
{
	char target[80];

	memcpy(target, data, len);
	target[len] = '\0';
	unlinkat(fds, "3", 0);
	if (!target[0] || symlinkat(target, fds, "3"))
		symlinkat("socket:[12345]", fds, "3");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { data, size };
	struct rec_owner owner;
	struct owner_scan *os;
	const uint8_t *part;
	size_t len;

	if (!stat_fd)
		set_up();
	part = take(&in, take_byte(&in) % 72, &len);
	make_link(part, len);
	if (ftruncate(stat_fd, 0) || pwrite(stat_fd, in.at, in.left, 0) != (ssize_t)in.left || owner_scan_open(&os, top))
		abort();
	/* By a pass over all, by a hint, and once more when it has to be verified. */
	for (uint64_t second = 1; second < 40; second += 15) {
		uint32_t hint = second == 1 ? 0 : TGID;

		if (owner_find(os, INO, hint, second * 1000000000, &owner) != OWNER_FOUND)
			continue;
		if (owner.tgid != TGID || !memchr(owner.comm, '\0', sizeof(owner.comm)))
			fuzz_fail("an owner that is not", owner.comm, sizeof(owner.comm));
		owner_still_holds(os, TGID, INO, second * 1000000000);
	}
	owner_scan_close(os);
	return 0;
}
