// SPDX-License-Identifier: MIT
/* Parse, plan, attach, loop, tear down: one call each. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "feature.h"
#include "live.h"
#include "log.h"
#include "meaning.h"
#include "options.h"
#include "pipeline.h"
#include "plan.h"
#include "privilege.h"
#include "reasons.h"
#include "replay.h"
#include "sandbox.h"
#include "symbols.h"
#include "util.h"

enum exit_status { EXIT_OK = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2, EXIT_CANNOT = 3 };

/* For the rest of the run. */
static int give_up(uint64_t keep)
{
	int err = privileges_drop(keep);

	if (!err && sandbox_enter())
		log_debug("no seccomp filter: system calls are not restricted");
	return err;
}

/* What an error of probing, planning or loading means for the exit status. */
static int exit_status_of(int err)
{
	switch (-err) {
	case 0:
		return EXIT_OK;
	case EINVAL:
	case ENODEV:
		return EXIT_USAGE;
	case EPERM:
	case EACCES:
	case ENOTSUP:
	case ENOENT:
	case ESRCH:
		return EXIT_CANNOT;
	default:
		return EXIT_RUNTIME;
	}
}

static void set_log_level(const struct options *o)
{
	if (o->quiet)
		log_set_level(LOG_WARNING);
	else
		log_set_level(o->verbose > 1 ? LOG_TRACE : o->verbose ? LOG_DEBUG : LOG_NOTICE);
}

static int print_check(const struct plan *plan, const struct features *features)
{
	struct symbols *symbols = NULL;
	struct strbuf out = {};
	ssize_t written;

	plan_print(plan, features, &out);
	privileges_print(features, !symbols_load(&symbols, NULL), &out);
	written = write(STDOUT_FILENO, out.data, out.len);
	symbols_free(symbols);
	strbuf_free(&out);
	if (written < 0)
		return EXIT_RUNTIME;
	return privileges_check() ? EXIT_CANNOT : EXIT_OK;
}

/* Bad input gets one line, so the words of @text, if any, are put in it. */
static void unknown_reason(const char *reason, const char *text)
{
	struct strbuf words = {};
	size_t len;

	for (text += strspn(text, " \n"); *text; text += len + strspn(text + len, " \n")) {
		len = strcspn(text, " \n");
		if (words.len)
			strbuf_char(&words, ' ');
		strbuf_add(&words, text, len);
	}
	log_error(-EINVAL, "--explain: unknown drop reason '%.100s'%s%s", reason, words.len ? "; " : "",
		  words.len ? words.data : "");
	strbuf_free(&words);
}

static int explain(const char *reason)
{
	struct strbuf out = {};
	int status = EXIT_OK;

	if (!meaning_explain(&out, reason)) {
		unknown_reason(reason, out.len ? out.data : "");
		status = EXIT_USAGE;
	} else if (write(STDOUT_FILENO, out.data, out.len) < 0) {
		status = EXIT_RUNTIME;
	}
	strbuf_free(&out);
	return status;
}

/* Modules bring reasons of their own, some of them later: a name that none of those begins with is a typo, likely. */
static bool is_plausible_reason(const char *name)
{
	static const char *const prefixes[] = { "QDISC_DROP_", "RX_", "OVS_DROP_", "0X" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

/* @reasons: of the running kernel, NULL for a replay. */
static void check_reasons(const struct options *o, const struct reasons *reasons)
{
	uint32_t number;

	for (unsigned int i = 0; i < o->reason_count; i++) {
		const char *name = o->reason[i];

		if (!meaning_find(name) && !(reasons && reasons_number(reasons, name, &number)) &&
		    !is_plausible_reason(name))
			log_warning("--reason: no drop reason is known as '%s'", name);
	}
}

static int add_reason(void *ctx, uint32_t number, const char *name)
{
	return reasons_add(ctx, number, name);
}

static int run_live(const struct options *o, struct plan *plan, const struct features *features,
		    const struct reasons *reasons)
{
	struct pipeline *p = NULL;
	struct live *live = NULL;
	int err = pipeline_open(&p, o, STDOUT_FILENO), status;

	if (err)
		return EXIT_RUNTIME;
	privileges_warn();
	err = live_open(&live, plan, features, reasons, o, p);
	status = exit_status_of(err);
	if (!err) {
		/* Everything is attached, bound and open now. */
		err = give_up(privileges_needed(plan));
		if (!err)
			err = live_run(live);
		live_close(live);
		if (pipeline_finish(p) || err)
			status = EXIT_RUNTIME;
	}
	pipeline_close(p);
	return status;
}

static int trace(const struct options *o)
{
	struct reasons *reasons = reasons_new();
	struct features features;
	struct plan plan;
	int err;

	if (!o->check && privileges_check()) {
		reasons_free(reasons);
		return EXIT_CANNOT;
	}
	symbols_load_early();
	err = features_probe(&features, o->btf_path, add_reason, reasons);
	if (!err)
		err = plan_make(&plan, &features, o->force);
	if (!err && !o->check)
		check_reasons(o, reasons);
	if (err)
		err = exit_status_of(err);
	else
		err = o->check ? print_check(&plan, &features) : run_live(o, &plan, &features, reasons);
	reasons_free(reasons);
	return err;
}

/* Not one byte of a recording is read with a privilege; only who is root may read all files to begin with. */
static int replay(const struct options *o)
{
	struct pipeline *p = NULL;
	int err = privileges_drop(geteuid() ? 0 : PRIVILEGES_OF_FILES), fd;

	if (err || pipeline_open(&p, o, STDOUT_FILENO))
		return EXIT_RUNTIME;
	check_reasons(o, NULL);
	fd = replay_open(o->read_path);
	err = fd < 0 ? fd : give_up(0);
	if (!err)
		err = replay_run(p, fd, o->read_path);
	if (pipeline_finish(p))
		err = -EIO;
	pipeline_close(p);
	return err ? EXIT_RUNTIME : EXIT_OK;
}

/*
 * Started without a descriptor 0, 1 or 2, another file would get its number, and events or messages with it. What takes the
 * place of stdin and stdout cannot be read or written: that is an error as before; messages may go nowhere.
 */
static void fill_standard_descriptors(void)
{
	static const int mode[] = { O_WRONLY, O_RDONLY, O_WRONLY };

	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode[fd]) != fd)
			_exit(EXIT_RUNTIME);
}

/* As far as we may without a privilege. */
static void raise_limit(int resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(resource, &limit))
		log_debug("cannot raise a resource limit (%d)", resource);
}

static void raise_limits(void)
{
	/* Each interface takes a descriptor: the soft limit of 1,024 is for select(), which we do not use. */
	raise_limit(RLIMIT_NOFILE);
	/* Before 5.11 (80ee81e0403c) BPF maps count. */
	raise_limit(RLIMIT_MEMLOCK);
}

int main(int argc, char **argv)
{
	struct options *o = calloc(1, sizeof(*o));
	int status = EXIT_RUNTIME;

	fill_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	raise_limits();
	privileges_raise();
	if (!o) {
		log_error(-ENOMEM, "out of memory");
		return status;
	}
	switch (options_parse(o, argc, argv)) {
	case OPTIONS_EXIT_OK:
		status = EXIT_OK;
		break;
	case OPTIONS_EXIT_USAGE:
		status = EXIT_USAGE;
		break;
	case OPTIONS_RUN:
		set_log_level(o);
		if (o->explain)
			status = explain(o->explain);
		else
			status = o->read_path ? replay(o) : trace(o);
		break;
	}
	free(o);
	return status;
}
