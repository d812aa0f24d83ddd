// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "netns.h"

#include "log.h"

#define INITIAL_PIDNS 0xeffffffcU /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

/* Where tools keep names of namespaces. */
static const char *const name_dirs[] = { "/run/netns", "/run/docker/netns" };

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

/* Where a search found a namespace: most questions are about the same few. */
#define KNOWN_PATHS 64
static struct known_path {
	uint32_t inum;
	char path[300]; /* a directory, NAME_MAX and a suffix */
} known_paths[KNOWN_PATHS];

/* Tries every entry of the directory @path that begins with a digit, or with anything: "<entry><suffix>". */
static int search(const char *path, bool digits, const char *suffix, uint32_t inum)
{
	DIR *dir = opendir(path);
	char name[280]; /* NAME_MAX and the suffix */
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
	if (fd >= 0) {
		struct known_path *known = &known_paths[inum % KNOWN_PATHS];

		known->inum = inum;
		if (snprintf(known->path, sizeof(known->path), "%s/%s", path, name) >= (int)sizeof(known->path))
			known->inum = 0;
	}
	closedir(dir);
	return fd;
}

int netns_open_by_inode(uint32_t inum, uint32_t hint_tgid)
{
	const struct known_path *known = &known_paths[inum % KNOWN_PATHS];
	char path[64];
	int fd = -ENOENT;

	if (hint_tgid) {
		snprintf(path, sizeof(path), "/proc/%u/ns/net", hint_tgid);
		fd = open_if(AT_FDCWD, path, inum);
	}
	if (fd < 0)
		fd = open_if(AT_FDCWD, "/proc/thread-self/ns/net", inum);
	if (fd < 0 && inum && known->inum == inum)
		fd = open_if(AT_FDCWD, known->path, inum);
	for (size_t i = 0; fd < 0 && i < sizeof(name_dirs) / sizeof(name_dirs[0]); i++)
		fd = search(name_dirs[i], false, "", inum);
	if (fd < 0)
		fd = search("/proc", true, "/ns/net", inum);
	return fd == -EACCES || fd == -EPERM || fd == -ESRCH ? -ENOENT : fd;
}

int netns_open_path(const char *path, uint32_t inum)
{
	return open_if(AT_FDCWD, path, inum);
}

/* ---- all of them ---- */

static int each_named(const char *path, netns_found_fn *fn, void *ctx)
{
	DIR *dir = opendir(path);
	unsigned int left = NETNS_MAX_NAMED;
	char name[300]; /* the directory and NAME_MAX */
	struct statfs fs;
	struct dirent *d;
	struct stat st;
	int err = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -EPERM;
	while (!err && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		if (!left--) {
			err = -E2BIG;
			break;
		}
		snprintf(name, sizeof(name), "%s/%s", path, d->d_name);
		/* A file whose namespace is gone is an ordinary one. */
		if (!statfs(name, &fs) && fs.f_type == NSFS_MAGIC && !stat(name, &st))
			err = fn(ctx, (uint32_t)st.st_ino, name);
	}
	closedir(dir);
	return err;
}

/* The number in "net:[4026531840]"; 0: there is none. */
static uint32_t link_inum(int proc, const char *name, int *err)
{
	char target[64];
	ssize_t n = readlinkat(proc, name, target, sizeof(target) - 1);

	*err = n < 0 ? -errno : 0;
	if (n < 0)
		return 0;
	target[n] = '\0';
	return strncmp(target, "net:[", 5) ? 0 : (uint32_t)strtoul(target + 5, NULL, 10);
}

/*
 * Is the process in our namespace? For one whose links we may not follow, having fewer capabilities: files below net/
 * have numbers of their own in each namespace, and stat(2) does not ask.
 */
static bool shares_ours(int proc, const char *pid)
{
	struct stat ours, its;
	char name[64];

	snprintf(name, sizeof(name), "%.16s/net/dev", pid);
	return !fstatat(proc, "self/net/dev", &ours, 0) && !fstatat(proc, name, &its, 0) && ours.st_ino == its.st_ino;
}

static int each_process(DIR *proc, netns_found_fn *fn, void *ctx)
{
	unsigned int left = NETNS_MAX_PROCESSES;
	uint32_t inum, last = 0;
	int err = 0, result = 0;
	struct dirent *d;
	char path[64];

	while ((d = readdir(proc))) {
		if (d->d_name[0] < '0' || d->d_name[0] > '9')
			continue;
		if (!left--)
			return -E2BIG;
		snprintf(path, sizeof(path), "/proc/%.16s/ns/net", d->d_name);
		inum = link_inum(dirfd(proc), path + strlen("/proc/"), &err);
		if ((err == -EACCES || err == -EPERM) && !shares_ours(dirfd(proc), d->d_name))
			result = -EPERM;
		/* Neighbours are mostly in one. */
		if (!inum || inum == last)
			continue;
		last = inum;
		err = fn(ctx, inum, path);
		if (err)
			return err;
	}
	return result;
}

int netns_for_each(netns_found_fn *fn, void *ctx)
{
	int err = 0, result = 0;
	struct stat pidns;
	DIR *proc;

	for (size_t i = 0; i < sizeof(name_dirs) / sizeof(name_dirs[0]); i++) {
		err = each_named(name_dirs[i], fn, ctx);
		if (err == -EPERM || err == -E2BIG)
			result = err;
		else if (err)
			return err;
	}
	proc = opendir("/proc");
	if (!proc)
		return -errno;
	err = each_process(proc, fn, ctx);
	closedir(proc);
	if (err)
		return err;
	if (stat("/proc/self/ns/pid", &pidns) || pidns.st_ino != INITIAL_PIDNS)
		result = -EPERM;
	return result;
}

void netns_return(int home)
{
	if (!setns(home, CLONE_NEWNET))
		return;
	log_error(-errno, "cannot return to the own network namespace: %s", strerror(errno));
	abort();
}
