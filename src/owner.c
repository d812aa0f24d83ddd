// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "owner.h"
#include "util.h"

#define SCAN_INTERVAL_NS (20 * NSEC_PER_MSEC)
#define STEP_FILES 16384       /* looked at in one call, some 40 ms */
#define FILE_COST_NS 3000      /* measured in a virtual machine: 1.8-2.8 us */
#define PROCESS_COST_NS 20000  /* opening its directories */
#define IDLE_SHARE 10          /* a pass may begin after ten times its cost */
#define VERIFY_SEC 10
#define WALK_FILES 4096        /* of one process */
#define WALK_FILES_PER_SEC 16384
#define MAX_ENTRIES (1u << 20) /* 24 MiB; what does not fit stays unknown */
#define MISSED_SLOTS 256
#define NONE UINT32_MAX
#define PF_KTHREAD 0x00200000  /* include/linux/sched.h */

/* /proc/PID/stat from field 3 on, behind the comm: takes fields 9 (flags) and 22 (starttime), proc(5). */
#define STAT_FORMAT \
	" %*c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu"

struct process {
	uint32_t tgid;
	char comm[REBPF_COMM_LEN];
	uint64_t started; /* clock ticks since boot */
};

/* A process holds a socket. @process NONE: no longer. */
struct entry {
	uint64_t ino;
	uint32_t process;
	uint32_t next; /* of the same bucket, NONE: last */
	uint32_t fd;
	uint32_t verified_sec;
};

/* One pass over /proc. @complete: all of it could be read. */
struct pass {
	struct process *processes;
	uint32_t process_count, process_cap;
	struct entry *entries;
	uint32_t entry_count, entry_cap;
	uint32_t *buckets;
	uint32_t bucket_count; /* a power of two, not less than entries */
	bool complete;
};

/* A socket that a pass did not find: not worth another pass for some time. */
struct missed {
	uint64_t ino;
	uint64_t since_ns;
	enum owner_answer answer;
};

struct owner_scan {
	int proc_fd;
	struct pass known;
	struct missed missed[MISSED_SLOTS];
	uint64_t scans;

	/* The pass under way. */
	DIR *proc; /* NULL: none */
	DIR *files;
	struct pass pass;
	uint32_t tgid; /* whose @files these are */
	uint32_t current; /* its index, NONE: not noted yet */
	uint64_t cost_ns;
	uint64_t next_scan_ns;

	uint64_t walk_second;
	unsigned int walk_left;
};

/* ---- reading /proc ---- */

/*
 * The inode number that a link such as "socket:[12345]" names, 0 for another kind of file and for one that
 * is gone. False: we may not look.
 */
static bool read_socket_link(int dir, const char *name, uint64_t *ino)
{
	static const char prefix[] = "socket:[";
	char link[64];
	ssize_t len = readlinkat(dir, name, link, sizeof(link) - 1);

	*ino = 0;
	if (len < 0)
		return errno != EACCES && errno != EPERM;
	if ((size_t)len >= sizeof(prefix) && !memcmp(link, prefix, sizeof(prefix) - 1)) {
		link[len] = '\0';
		*ino = strtoull(link + sizeof(prefix) - 1, NULL, 10);
	}
	return true;
}

/*
 * Reads PID/stat: "1234 (comm) S ...", where comm may hold any byte, ")" too. -ESRCH: no such process, or a
 * kernel thread, which owns no socket that it did not open for itself.
 */
static int read_process(const struct owner_scan *os, uint32_t tgid, struct process *out)
{
	char buf[1024], path[32], *name, *name_end;
	unsigned long long started;
	unsigned int flags;
	ssize_t n;
	size_t len;
	int fd;

	snprintf(path, sizeof(path), "%u/stat", tgid);
	fd = openat(os->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ESRCH;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return -ESRCH;
	buf[n] = '\0';
	name = memchr(buf, '(', (size_t)n);
	name_end = memrchr(buf, ')', (size_t)n);
	if (!name || !name_end || ++name > name_end)
		return -ESRCH;
	if (sscanf(name_end + 1, STAT_FORMAT, &flags, &started) != 2 || flags & PF_KTHREAD)
		return -ESRCH;
	memset(out, 0, sizeof(*out));
	len = (size_t)(name_end - name);
	memcpy(out->comm, name, len < sizeof(out->comm) ? len : sizeof(out->comm) - 1);
	out->tgid = tgid;
	out->started = started;
	return 0;
}

static DIR *open_files(const struct owner_scan *os, uint32_t tgid)
{
	char path[32];
	int fd;
	DIR *dir;

	snprintf(path, sizeof(path), "%u/fd", tgid);
	fd = openat(os->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir)
		close(fd);
	return dir;
}

static bool is_number(const char *s)
{
	return *s >= '0' && *s <= '9';
}

/* ---- what a pass found ---- */

static void pass_free(struct pass *p)
{
	free(p->processes);
	free(p->entries);
	free(p->buckets);
	memset(p, 0, sizeof(*p));
}

static uint32_t *bucket_of(const struct pass *p, uint64_t ino)
{
	return &p->buckets[(ino * 0x9e3779b97f4a7c15ULL >> 32) & (p->bucket_count - 1)];
}

/* Room for one more entry. */
static int pass_grow(struct pass *p)
{
	uint32_t cap = p->entry_cap ? p->entry_cap * 2 : 1024;
	struct entry *entries;
	uint32_t *buckets;

	if (p->entry_count < p->entry_cap)
		return 0;
	if (p->entry_cap >= MAX_ENTRIES)
		return -ENOSPC;
	entries = realloc(p->entries, cap * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	p->entries = entries;
	buckets = realloc(p->buckets, cap * sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	p->buckets = buckets;
	p->bucket_count = cap;
	p->entry_cap = cap;
	memset(buckets, 0xff, cap * sizeof(*buckets));
	for (uint32_t i = 0; i < p->entry_count; i++) {
		uint32_t *head = bucket_of(p, entries[i].ino);

		entries[i].next = *head;
		*head = i;
	}
	return 0;
}

static int pass_add(struct pass *p, uint64_t ino, uint32_t process, uint32_t fd, uint64_t now_ns)
{
	uint32_t *head;
	int err = pass_grow(p);

	if (err)
		return err;
	head = bucket_of(p, ino);
	p->entries[p->entry_count] = (struct entry){
		.ino = ino,
		.process = process,
		.next = *head,
		.fd = fd,
		.verified_sec = (uint32_t)(now_ns / NSEC_PER_SEC),
	};
	*head = p->entry_count++;
	return 0;
}

static int pass_add_process(struct pass *p, const struct process *process, uint32_t *index)
{
	uint32_t cap = p->process_cap ? p->process_cap * 2 : 256;
	struct process *processes;

	if (p->process_count == p->process_cap) {
		processes = realloc(p->processes, cap * sizeof(*processes));
		if (!processes)
			return -ENOMEM;
		p->processes = processes;
		p->process_cap = cap;
	}
	*index = p->process_count++;
	p->processes[*index] = *process;
	return 0;
}

/* The better of two holders, when nobody was seen using the socket. */
static bool is_better(const struct process *a, const struct process *b)
{
	if ((a->tgid == 1) != (b->tgid == 1))
		return b->tgid == 1;
	if (a->started != b->started)
		return a->started < b->started;
	return a->tgid < b->tgid;
}

/* The best holder of @ino; @tgid: only that process, 0: any. NULL: none. */
static struct entry *pass_find(const struct pass *p, uint64_t ino, uint32_t tgid)
{
	struct entry *best = NULL, *e;

	if (!p->bucket_count)
		return NULL;
	for (uint32_t i = *bucket_of(p, ino); i != NONE; i = e->next) {
		e = &p->entries[i];
		if (e->ino != ino || e->process == NONE || (tgid && p->processes[e->process].tgid != tgid))
			continue;
		if (!best || is_better(&p->processes[e->process], &p->processes[best->process]))
			best = e;
	}
	return best;
}

/* ---- a pass over /proc ---- */

static void pass_begin(struct owner_scan *os, uint64_t now_ns)
{
	int fd = openat(os->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	os->next_scan_ns = now_ns + SCAN_INTERVAL_NS;
	os->scans++;
	os->cost_ns = 0;
	os->pass.complete = true;
	os->proc = fd < 0 ? NULL : fdopendir(fd);
	if (!os->proc && fd >= 0)
		close(fd);
}

static void pass_end(struct owner_scan *os, uint64_t now_ns)
{
	uint64_t rested = now_ns + os->cost_ns * IDLE_SHARE;

	closedir(os->proc);
	os->proc = NULL;
	pass_free(&os->known);
	os->known = os->pass;
	memset(&os->pass, 0, sizeof(os->pass));
	if (os->next_scan_ns < rested)
		os->next_scan_ns = rested;
}

/* Goes on to the next process. False: there is none. */
static bool next_process(struct owner_scan *os)
{
	struct dirent *d = readdir(os->proc);

	if (!d)
		return false;
	if (!is_number(d->d_name))
		return true;
	os->tgid = (uint32_t)strtoul(d->d_name, NULL, 10);
	os->current = NONE;
	os->files = open_files(os, os->tgid);
	/* One that has ended meanwhile holds nothing, but one that we may not look at may hold anything. */
	if (!os->files && errno != ENOENT && errno != ESRCH)
		os->pass.complete = false;
	return true;
}

/* Looks at the next file of the process. */
static void next_file(struct owner_scan *os, uint64_t now_ns)
{
	struct dirent *d = readdir(os->files);
	struct process process;
	uint64_t ino;

	if (!d) {
		closedir(os->files);
		os->files = NULL;
		return;
	}
	if (!is_number(d->d_name))
		return;
	if (!read_socket_link(dirfd(os->files), d->d_name, &ino))
		os->pass.complete = false;
	if (!ino)
		return;
	/* Few processes have a socket: only those are worth a look. */
	if (os->current == NONE) {
		if (read_process(os, os->tgid, &process)) {
			closedir(os->files);
			os->files = NULL;
			return;
		}
		if (pass_add_process(&os->pass, &process, &os->current)) {
			os->pass.complete = false;
			return;
		}
	}
	if (pass_add(&os->pass, ino, os->current, (uint32_t)strtoul(d->d_name, NULL, 10), now_ns))
		os->pass.complete = false;
}

/* Goes on with a pass as far as one call may. True: it is done. */
static bool pass_step(struct owner_scan *os, uint64_t now_ns)
{
	const uint64_t most = os->cost_ns + (uint64_t)STEP_FILES * FILE_COST_NS;

	while (os->cost_ns < most) {
		if (os->files) {
			next_file(os, now_ns);
			os->cost_ns += FILE_COST_NS;
		} else if (next_process(os)) {
			os->cost_ns += PROCESS_COST_NS;
		} else {
			pass_end(os, now_ns);
			return true;
		}
	}
	return false;
}

/* ---- verifying ---- */

/* Walks over the files of one process, as far as is allowed. *fd is where it was found. */
static enum owner_holds walk_files(struct owner_scan *os, uint32_t tgid, uint64_t ino, uint64_t now_ns,
				   uint32_t *fd)
{
	enum owner_holds answer = OWNER_HOLDS_NO;
	unsigned int left = WALK_FILES;
	uint64_t file_ino;
	struct dirent *d;
	DIR *files;

	if (os->walk_second != now_ns / NSEC_PER_SEC) {
		os->walk_second = now_ns / NSEC_PER_SEC;
		os->walk_left = WALK_FILES_PER_SEC;
	}
	if (!os->walk_left)
		return OWNER_HOLDS_UNKNOWN;
	files = open_files(os, tgid);
	if (!files)
		return errno == ENOENT || errno == ESRCH ? OWNER_HOLDS_NO : OWNER_HOLDS_UNKNOWN;
	while (answer == OWNER_HOLDS_NO && (d = readdir(files))) {
		if (!is_number(d->d_name))
			continue;
		if (!left || !os->walk_left || !read_socket_link(dirfd(files), d->d_name, &file_ino)) {
			answer = OWNER_HOLDS_UNKNOWN;
		} else if (file_ino == ino) {
			*fd = (uint32_t)strtoul(d->d_name, NULL, 10);
			answer = OWNER_HOLDS_YES;
		}
		left -= !!left;
		os->walk_left -= !!os->walk_left;
	}
	closedir(files);
	return answer;
}

static enum owner_holds check_holds(struct owner_scan *os, uint32_t tgid, uint64_t ino, uint64_t now_ns,
				    uint32_t *fd)
{
	uint64_t file_ino;
	char path[48];

	if (*fd != NONE) {
		snprintf(path, sizeof(path), "%u/fd/%u", tgid, *fd);
		if (read_socket_link(os->proc_fd, path, &file_ino) && file_ino == ino)
			return OWNER_HOLDS_YES;
	}
	return walk_files(os, tgid, ino, now_ns, fd);
}

enum owner_holds owner_still_holds(struct owner_scan *os, uint32_t tgid, uint64_t ino, uint64_t now_ns)
{
	const struct entry *e = pass_find(&os->known, ino, tgid);
	uint32_t fd = e ? e->fd : NONE;

	return ino && tgid ? check_holds(os, tgid, ino, now_ns, &fd) : OWNER_HOLDS_NO;
}

/* Brings an entry up to date if it is old; false, and the entry is void: not so any more, or who knows. */
static bool verify(struct owner_scan *os, struct entry *e, uint64_t now_ns)
{
	struct process *p = &os->known.processes[e->process];
	uint32_t now_sec = (uint32_t)(now_ns / NSEC_PER_SEC);
	struct process fresh;

	if (now_sec - e->verified_sec < VERIFY_SEC)
		return true;
	if (check_holds(os, p->tgid, e->ino, now_ns, &e->fd) != OWNER_HOLDS_YES ||
	    read_process(os, p->tgid, &fresh)) {
		e->process = NONE;
		return false;
	}
	e->verified_sec = now_sec;
	*p = fresh; /* it may have called exec */
	return true;
}

/* ---- asking ---- */

/* Among the holders noted so far; @tgid: only that process, 0: any. */
static bool find_known(struct owner_scan *os, uint64_t ino, uint32_t tgid, uint64_t now_ns,
		       struct rec_owner *out)
{
	const struct process *p;
	struct entry *e;

	while ((e = pass_find(&os->known, ino, tgid))) {
		if (!verify(os, e, now_ns))
			continue;
		p = &os->known.processes[e->process];
		out->tgid = p->tgid;
		memcpy(out->comm, p->comm, sizeof(out->comm));
		return true;
	}
	return false;
}

/* The process that the kernel side saw, if it has the socket; noted like one that a pass found. */
static bool find_hinted(struct owner_scan *os, uint64_t ino, uint32_t tgid, uint64_t now_ns,
			struct rec_owner *out)
{
	struct process process;
	uint32_t fd = NONE, index;

	if (walk_files(os, tgid, ino, now_ns, &fd) != OWNER_HOLDS_YES || read_process(os, tgid, &process))
		return false;
	for (index = 0; index < os->known.process_count && os->known.processes[index].tgid != tgid; index++)
		;
	if (index < os->known.process_count)
		os->known.processes[index] = process;
	else if (pass_add_process(&os->known, &process, &index))
		return false;
	if (pass_add(&os->known, ino, index, fd, now_ns))
		return false;
	return find_known(os, ino, tgid, now_ns, out);
}

static struct missed *missed_slot(struct owner_scan *os, uint64_t ino)
{
	return &os->missed[(ino * 0x9e3779b97f4a7c15ULL >> 32) % MISSED_SLOTS];
}

/* Goes on with the pass under way, or begins one if it is time. *began: by this call. True: one is done now. */
static bool search(struct owner_scan *os, uint64_t now_ns, bool *began)
{
	*began = false;
	if (!os->proc) {
		if (os->scans && now_ns < os->next_scan_ns)
			return false;
		pass_begin(os, now_ns);
		*began = true;
	}
	return os->proc && pass_step(os, now_ns);
}

enum owner_answer owner_find(struct owner_scan *os, uint64_t ino, uint32_t hint_tgid, uint64_t now_ns,
			     struct rec_owner *out)
{
	struct missed *m = missed_slot(os, ino);
	bool began;

	memset(out, 0, sizeof(*out));
	if (!ino)
		return OWNER_NOBODY;
	if (hint_tgid && (find_known(os, ino, hint_tgid, now_ns, out) ||
			  find_hinted(os, ino, hint_tgid, now_ns, out)))
		return OWNER_FOUND;
	if (find_known(os, ino, 0, now_ns, out))
		return OWNER_FOUND;
	if (m->ino == ino && now_ns - m->since_ns < VERIFY_SEC * NSEC_PER_SEC)
		return m->answer;
	if (!search(os, now_ns, &began))
		return OWNER_NOT_SEARCHED;
	if ((hint_tgid && find_known(os, ino, hint_tgid, now_ns, out)) || find_known(os, ino, 0, now_ns, out))
		return OWNER_FOUND;
	/* A pass that began before the question may have come by before the socket was opened: wait for the next. */
	if (!began)
		return OWNER_NOT_SEARCHED;
	*m = (struct missed){ ino, now_ns, os->known.complete ? OWNER_NOBODY : OWNER_NOT_SEARCHED };
	return m->answer;
}

int owner_scan_open(struct owner_scan **out, const char *proc)
{
	struct owner_scan *os = calloc(1, sizeof(*os));
	int err;

	if (!os)
		return -ENOMEM;
	os->proc_fd = open(proc ? proc : "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (os->proc_fd < 0) {
		err = -errno;
		free(os);
		return err;
	}
	*out = os;
	return 0;
}

void owner_scan_close(struct owner_scan *os)
{
	if (!os)
		return;
	if (os->proc)
		closedir(os->proc);
	if (os->files)
		closedir(os->files);
	pass_free(&os->known);
	pass_free(&os->pass);
	close(os->proc_fd);
	free(os);
}

uint64_t owner_scans(const struct owner_scan *os)
{
	return os->scans;
}
