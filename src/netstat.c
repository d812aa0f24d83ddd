// SPDX-License-Identifier: MIT
#include "netstat.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "netns.h"
#include "util.h"

#define READ_EVERY_NS NSEC_PER_SEC
#define SEARCH_MIN_NS (5 * NSEC_PER_SEC)
#define SEARCH_SHARE 50 /* not sooner than so many times what the last search took */
#define OWN "/proc/thread-self/ns/net"

/* @path: of a file of the namespace, NULL: our own. A descriptor would keep it alive. */
struct followed {
	struct netstat_entry entry;
	char *path;
	bool found;
};

struct netstat {
	const struct options *options;
	int home;
	struct followed at[NETSTAT_NAMESPACES];
	unsigned int count;
	uint64_t read_ns, searched_ns, search_pause_ns;
};

static bool is_wanted(const struct netstat *n, uint32_t inum)
{
	for (unsigned int i = 0; i < n->options->netns_count; i++)
		if (n->options->netns[i] == inum)
			return true;
	return !n->options->netns_count;
}

struct netstat *netstat_new(const struct options *options)
{
	struct netstat *n = calloc(1, sizeof(*n));
	struct stat own;

	if (!n)
		return NULL;
	n->options = options;
	n->home = open(OWN, O_RDONLY | O_CLOEXEC);
	if (!stat(OWN, &own) && is_wanted(n, (uint32_t)own.st_ino))
		n->at[n->count++] = (struct followed){ .entry.netns = (uint32_t)own.st_ino, .found = true };
	return n;
}

void netstat_free(struct netstat *n)
{
	if (!n)
		return;
	for (unsigned int i = 0; i < n->count; i++)
		free(n->at[i].path);
	if (n->home >= 0)
		close(n->home);
	free(n);
}

/* The first file of a namespace that is found is the one to enter it by: a name rather than a process. */
static int note_found(void *ctx, uint32_t inum, const char *path)
{
	struct netstat *n = ctx;
	struct followed *f = NULL;
	char *copy;

	for (unsigned int i = 0; i < n->count && !f; i++)
		if (n->at[i].entry.netns == inum)
			f = &n->at[i];
	if ((f && f->found) || !is_wanted(n, inum) || (!f && n->count == NETSTAT_NAMESPACES))
		return 0;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	if (!f)
		n->at[n->count++] = (struct followed){ .entry.netns = inum, .path = copy, .found = true };
	else {
		free(f->path);
		f->path = copy;
		f->found = true;
	}
	return 0;
}

static void forget(struct netstat *n, unsigned int i)
{
	free(n->at[i].path);
	n->count--;
	memmove(&n->at[i], &n->at[i + 1], (n->count - i) * sizeof(n->at[0]));
}

static void search(struct netstat *n, uint64_t now_ns)
{
	uint64_t began_ns = clock_mono_ns();

	for (unsigned int i = 0; i < n->count; i++)
		n->at[i].found = !n->at[i].path;
	netns_for_each(note_found, n);
	for (unsigned int i = n->count; i-- > 0;)
		if (!n->at[i].found)
			forget(n, i);
	n->searched_ns = now_ns;
	n->search_pause_ns = (clock_mono_ns() - began_ns) * SEARCH_SHARE;
	if (n->search_pause_ns < SEARCH_MIN_NS)
		n->search_pause_ns = SEARCH_MIN_NS;
}

/* A negative errno: it is gone, or cannot be entered. */
static int read_one(const struct netstat *n, struct followed *f)
{
	int fd, err;

	if (f->path) {
		fd = netns_open_path(f->path, f->entry.netns);
		if (fd < 0)
			return fd;
		err = setns(fd, CLONE_NEWNET) ? -errno : 0;
		close(fd);
		if (err)
			return err;
	}
	err = snmp_read("/proc/thread-self/net/snmp", &f->entry.tcp);
	if (f->path)
		netns_return(n->home);
	return err;
}

void netstat_read(struct netstat *n, uint64_t now_ns)
{
	if (n->read_ns && now_ns - n->read_ns < READ_EVERY_NS)
		return;
	n->read_ns = now_ns;
	if (n->home >= 0 && (!n->searched_ns || now_ns - n->searched_ns >= n->search_pause_ns))
		search(n, now_ns);
	for (unsigned int i = 0; i < n->count; i++)
		n->at[i].entry.known = !read_one(n, &n->at[i]);
}

unsigned int netstat_count(const struct netstat *n)
{
	return n->count;
}

const struct netstat_entry *netstat_at(const struct netstat *n, unsigned int i)
{
	return &n->at[i].entry;
}
