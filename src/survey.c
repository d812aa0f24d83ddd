// SPDX-License-Identifier: MIT
#include "survey.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../bpf/event.h"
#include "log.h"
#include "netns.h"
#include "snmp.h"
#include "survey_space.h"
#include "util.h"

/*
 * What looks cost (6.18, two slow CPUs): a full one 4 us per process of the host, 40 us per namespace and 10 us per
 * device; a light one 20 us per namespace and 1 us per device. The first full look may have the kernel load
 * nfnetlink_hook. Most questions take the RTNL lock: while another holds it, a look waits.
 */

/* For namespaces that went out of sight all processes are searched, not sooner than so many times what the last took. */
#define SEARCH_SHARE 20
#define SEARCH_MIN_NS (20 * NSEC_PER_MSEC)

/*
 * A namespace that is followed. It is entered by the path of a file each time: a descriptor of it, or a socket in it,
 * would keep it alive after its owner has gone.
 */
struct followed {
	struct space space;
	char *path; /* NULL: our own */
	bool found; /* by the last search */
};

struct survey {
	struct look look;
	int home; /* our own namespace */
	struct followed *at; /* our own first */
	unsigned int count;
	unsigned int looked_into; /* by the current look */
	uint64_t searched_ns, search_pause_ns;
	bool hidden; /* the last search could not see all */
	bool excess; /* it found more than are followed */
	bool traffic; /* wanted of the next look */
};

/* ---- the namespaces ---- */

static struct followed *find(struct survey *s, uint32_t inum)
{
	for (unsigned int i = 0; i < s->count; i++)
		if (s->at[i].space.inum == inum)
			return &s->at[i];
	return NULL;
}

/* @path NULL: our own. */
static int follow(struct survey *s, uint32_t inum, const char *path)
{
	struct followed new = { .space.inum = inum, .found = true };

	if (path) {
		new.path = strdup(path);
		if (!new.path)
			return -ENOMEM;
	}
	s->at[s->count++] = new;
	return 0;
}

/* Of several files of a namespace the first found is the one to enter it by: a name rather than a process. */
static int note_found(void *ctx, uint32_t inum, const char *path)
{
	struct survey *s = ctx;
	struct followed *f = find(s, inum);
	char *copy;

	if (f && f->found)
		return 0;
	if (!f && s->count == SURVEY_NAMESPACES) {
		s->excess = true;
		return 0;
	}
	if (!f)
		return follow(s, inum, path);
	f->found = true;
	if (!strcmp(f->path, path))
		return 0;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	free(f->path);
	f->path = copy;
	return 0;
}

static void search(struct survey *s, uint64_t now_ns)
{
	uint64_t began_ns = clock_mono_ns();

	for (unsigned int i = 0; i < s->count; i++)
		s->at[i].found = !s->at[i].path;
	s->excess = false;
	s->hidden = netns_for_each(note_found, s) != 0;
	s->searched_ns = now_ns;
	s->search_pause_ns = (clock_mono_ns() - began_ns) * SEARCH_SHARE;
	if (s->search_pause_ns < SEARCH_MIN_NS)
		s->search_pause_ns = SEARCH_MIN_NS;
}

static void forget(struct survey *s, struct followed *f)
{
	space_gone(&s->look, &f->space);
	space_free(&f->space);
	free(f->path);
	s->count--;
	memmove(f, f + 1, (size_t)(&s->at[s->count] - f) * sizeof(*f));
}

static void tell_traffic(struct survey *s, uint32_t inum)
{
	struct rec_traffic rec = { .netns = inum };
	struct snmp_tcp tcp;

	if (snmp_read(SNMP_OWN, &tcp)) {
		s->look.bits |= SURVEY_INCOMPLETE;
		return;
	}
	rec.active_opens = tcp.active_opens;
	rec.passive_opens = tcp.passive_opens;
	rec.attempt_fails = tcp.attempt_fails;
	rec.estab_resets = tcp.estab_resets;
	rec.in_segs = tcp.in_segs;
	rec.out_segs = tcp.out_segs;
	rec.retrans_segs = tcp.retrans_segs;
	look_tell(&s->look, &rec, REC_TRAFFIC, sizeof(rec));
}

/* Negative errno: it could not be entered; -ENOENT: that file is not its any more. */
static int visit(struct survey *s, struct followed *f, bool full)
{
	int fd, err;

	if (f->path) {
		fd = netns_open_path(f->path, f->space.inum);
		if (fd < 0)
			return fd == -ESRCH ? -ENOENT : fd;
		err = setns(fd, CLONE_NEWNET) ? -errno : 0;
		close(fd);
		if (err)
			return err;
	}
	space_look(&s->look, &f->space, full);
	s->looked_into++;
	if (s->traffic)
		tell_traffic(s, f->space.inum);
	if (f->path)
		netns_return(s->home);
	return 0;
}

/* ---- the CPUs ---- */

#define SOFTNET_DROPPED 1 /* column of /proc/net/softnet_stat */
#define SOFTNET_BACKLOG 11

void survey_sum_softnet(const char *text, uint64_t *dropped, bool *backlog)
{
	unsigned int column = 0;
	char *end;

	*dropped = 0;
	*backlog = false;
	while (*text) {
		uint64_t value = strtoull(text, &end, 16);

		/* A line break does not stop strtoull: it is looked for before the next number. */
		if (end == text)
			return;
		if (column == SOFTNET_DROPPED)
			*dropped += value;
		*backlog |= column == SOFTNET_BACKLOG && value;
		column++;
		for (text = end; *text == ' ' || *text == '\n'; text++)
			if (*text == '\n')
				column = 0;
	}
}

/* Returns what they dropped. */
static uint64_t look_at_cpus(struct survey *s)
{
	uint64_t dropped;
	bool backlog;
	char *text;

	if (read_file("/proc/net/softnet_stat", &text, NULL)) {
		s->look.bits |= SURVEY_INCOMPLETE;
		return 0;
	}
	survey_sum_softnet(text, &dropped, &backlog);
	if (backlog) {
		s->look.bits |= SURVEY_QUEUED;
		queues_note_elsewhere(&s->look.queues);
	}
	free(text);
	return dropped;
}

/* ---- looks ---- */

static uint64_t begin(struct survey *s, uint32_t bits)
{
	uint64_t now_ns = clock_mono_ns();

	s->look.bits = bits;
	s->looked_into = 0;
	queues_begin(&s->look.queues, now_ns);
	return now_ns;
}

static void end(struct survey *s, uint64_t begin_ns)
{
	struct rec_survey rec = { .begin_ns = begin_ns };

	rec.softnet = look_at_cpus(s);
	if (s->hidden || s->excess)
		s->look.bits |= SURVEY_INCOMPLETE;
	if (s->look.ask_nat && s->look.bits & SURVEY_INCOMPLETE)
		s->look.bits |= SURVEY_NAT;
	rec.left_ns = queues_end(&s->look.queues, !(s->look.bits & SURVEY_INCOMPLETE));
	rec.namespaces = s->looked_into;
	rec.bits = s->look.bits;
	s->traffic = false;
	look_tell(&s->look, &rec, REC_SURVEY, sizeof(rec));
}

void survey_full(struct survey *s, uint64_t now_ns)
{
	uint64_t begin_ns = begin(s, SURVEY_FULL);
	unsigned int i = 0;

	search(s, now_ns);
	while (i < s->count) {
		struct followed *f = &s->at[i];
		/* A search that could not see all may have missed it. */
		int err = f->found || s->hidden ? visit(s, f, true) : -ENOENT;

		if (err)
			s->look.bits |= f->found ? SURVEY_INCOMPLETE : 0;
		if (err && !f->found)
			forget(s, f);
		else
			i++;
	}
	end(s, begin_ns);
}

void survey_light(struct survey *s, uint64_t now_ns)
{
	uint64_t begin_ns = begin(s, 0);
	unsigned int i = 0;

	while (i < s->count && i < SURVEY_LIGHT_NAMESPACES) {
		int err = visit(s, &s->at[i], false);

		/* The process may have gone and the namespace not. */
		if (err == -ENOENT && now_ns - s->searched_ns >= s->search_pause_ns) {
			search(s, now_ns);
			if (s->at[i].found)
				err = visit(s, &s->at[i], false);
		}
		if (err == -ENOENT && !s->at[i].found) {
			forget(s, &s->at[i]);
			continue;
		}
		if (err)
			s->look.bits |= SURVEY_INCOMPLETE;
		i++;
	}
	if (s->count > SURVEY_LIGHT_NAMESPACES)
		s->look.bits |= SURVEY_INCOMPLETE;
	end(s, begin_ns);
}

void survey_want_traffic(struct survey *s)
{
	s->traffic = true;
}

void survey_want_nat(struct survey *s)
{
	s->look.ask_nat = true;
}

void survey_set_own_program(struct survey *s, uint32_t prog_id)
{
	s->look.own_program = prog_id;
}

static int open_home(struct survey *s)
{
	struct stat st;
	int fd;

	s->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (s->home < 0 || fstat(s->home, &st))
		return log_error(-errno, "cannot open the own network namespace: %s", strerror(errno));
	fd = netlink_open_route();
	if (fd < 0)
		return log_error(fd, "cannot ask for interfaces and addresses: %s", strerror(-fd));
	close(fd);
	follow(s, (uint32_t)st.st_ino, NULL);
	return 0;
}

int survey_open(struct survey **out, survey_record_fn *fn, void *ctx)
{
	struct survey *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return log_error(-ENOMEM, "out of memory");
	s->look.fn = fn;
	s->look.ctx = ctx;
	s->home = -1;
	s->at = calloc(SURVEY_NAMESPACES, sizeof(*s->at));
	err = s->at ? open_home(s) : log_error(-ENOMEM, "out of memory");
	if (err) {
		survey_close(s);
		return err;
	}
	*out = s;
	return 0;
}

void survey_close(struct survey *s)
{
	if (!s)
		return;
	for (unsigned int i = 0; i < s->count; i++) {
		space_free(&s->at[i].space);
		free(s->at[i].path);
	}
	if (s->home >= 0)
		close(s->home);
	free(s->at);
	free(s->look.places);
	free(s);
}

bool survey_knows(const struct survey *s, uint32_t netns, uint32_t ifindex)
{
	for (unsigned int i = 0; i < s->count; i++)
		if (s->at[i].space.inum == netns)
			return space_knows(&s->at[i].space, ifindex);
	return false;
}
