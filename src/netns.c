// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "netns.h"

/*
 * -ENOENT if @path, below @dir, is not the namespace. Looked at before it is opened, for the open may be
 * refused or have effects; and after, for the file may have become another's meanwhile.
 */
static int open_if(int dir, const char *path, uint32_t inum)
{
	struct statfs fs;
	struct stat st;
	int fd;

	if (fstatat(dir, path, &st, 0) || st.st_ino != inum || !S_ISREG(st.st_mode))
		return -ENOENT;
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	/* Any file may have the number; a file in /run/netns whose namespace is gone is an ordinary one. */
	if (fstatfs(fd, &fs) || fs.f_type != NSFS_MAGIC || fstat(fd, &st) || st.st_ino != inum) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

/* Tries every entry of the directory @path that begins with a digit, or with anything: "<entry><suffix>". */
static int search(const char *path, bool digits, const char *suffix, uint32_t inum)
{
	DIR *dir = opendir(path);
	char name[300]; /* NAME_MAX and the suffix */
	struct dirent *d;
	int fd = -ENOENT;

	if (!dir)
		return -ENOENT;
	while (fd < 0 && (d = readdir(dir))) {
		if (d->d_name[0] == '.' || (digits && (d->d_name[0] < '0' || d->d_name[0] > '9')))
			continue;
		snprintf(name, sizeof(name), "%s%s", d->d_name, suffix);
		fd = open_if(dirfd(dir), name, inum);
		/* Out of descriptors, say: the other entries would not fare better. */
		if (fd < 0 && fd != -ENOENT && fd != -EACCES && fd != -EPERM && fd != -ESRCH)
			break;
	}
	closedir(dir);
	return fd;
}

int netns_open_by_inode(uint32_t inum, uint32_t hint_tgid)
{
	char path[64];
	int fd = -ENOENT;

	if (hint_tgid) {
		snprintf(path, sizeof(path), "/proc/%u/ns/net", hint_tgid);
		fd = open_if(AT_FDCWD, path, inum);
	}
	if (fd < 0)
		fd = open_if(AT_FDCWD, "/proc/thread-self/ns/net", inum);
	if (fd < 0)
		fd = search("/run/netns", false, "", inum);
	if (fd < 0)
		fd = search("/proc", true, "/ns/net", inum);
	return fd == -EACCES || fd == -EPERM || fd == -ESRCH ? -ENOENT : fd;
}
