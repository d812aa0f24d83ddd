// SPDX-License-Identifier: MIT
/* links: src/plan.c src/util.c */
/* Which hook serves which role: kernels as tables in, plans out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plan.h"

/* ---- what plan.c asks of others ---- */

static char logged[512];

int log_error(int err, const char *fmt, ...);
int log_error(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(logged, sizeof(logged), fmt, ap);
	va_end(ap);
	return err;
}

const char *feature_why_not(enum feature f)
{
	static const char *const why[] = {
#define X(NAME, text) text,
		FEATURES(X)
#undef X
	};

	return why[f];
}

/* ---- kernels ---- */

#define BASE                                                                                                   \
	FEATURE_TRAMPOLINE, FEATURE_KPROBE, FEATURE_FN_RETRANSMIT, FEATURE_FN_DIRECT, FEATURE_FN_RTX_SYNACK,   \
		FEATURE_TP_RETRANSMIT, FEATURE_TP_SYNACK, FEATURE_TP_KFREE_SKB, FEATURE_TP_NET_DEV_QUEUE,      \
		FEATURE_TP_SET_STATE, FEATURE_TP_RCV_SPACE, FEATURE_TP_DESTROY_SOCK, FEATURE_ITER_TASK_FILE,   \
		FEATURE_ITER_MAP_ELEM, FEATURE_FN_LISTEN, FEATURE_FN_LISTEN_ARGS, FEATURE_FN_SACKTAG,        \
		FEATURE_FN_UNDO, FEATURE_FN_CONNECT, FEATURE_CGROUP2

static struct features kernel(const char *release, const enum feature *has, size_t count)
{
	struct features f = { .hz = 250, .cgroup2_path = "/sys/fs/cgroup" };

	snprintf(f.release, sizeof(f.release), "%s", release);
	for (size_t i = 0; i < count; i++)
		f.has[has[i]] = true;
	return f;
}

#define KERNEL(release, ...) \
	kernel(release, (const enum feature[]){ __VA_ARGS__ }, ARRAY_SIZE(((const enum feature[]){ __VA_ARGS__ })))

static struct features kernel_5_10(void)
{
	return KERNEL("5.10.0", BASE, FEATURE_ACCEPT_4_ARGS);
}

static struct features kernel_6_1(void)
{
	return KERNEL("6.1.0", BASE, FEATURE_ACCEPT_4_ARGS, FEATURE_TP_KFREE_REASON, FEATURE_TP_CONG_STATE);
}

static struct features kernel_6_12(void)
{
	return KERNEL("6.12.0", BASE, FEATURE_ACCEPT_2_ARGS, FEATURE_TP_KFREE_REASON, FEATURE_TCX,
		      FEATURE_TP_CONG_STATE);
}

static struct features kernel_6_18_locked(void)
{
	struct features f = KERNEL("6.18.0", BASE, FEATURE_ACCEPT_2_ARGS, FEATURE_TP_KFREE_REASON, FEATURE_TCX,
				   FEATURE_TP_RETRANSMIT_ERR, FEATURE_TP_CONG_STATE);

	f.has[FEATURE_TRAMPOLINE] = f.has[FEATURE_KPROBE] = f.has[FEATURE_FN_LISTEN_ARGS] = false;
	return f;
}

/* arm64 before 6.4 */
static struct features kernel_6_1_kprobes(void)
{
	struct features f = kernel_6_1();

	f.has[FEATURE_TRAMPOLINE] = f.has[FEATURE_FN_LISTEN_ARGS] = false;
	return f;
}

/* What stands between drop and connect in a plan with trampolines, and without. */
#define SIGNS " overflow=fexit retries=tracepoint dsack=fexit undo=fentry" \
	" open=tracepoint syn=fentry noroute=fexit"
#define SIGNS_LOCKED " overflow=cgroup retries=tracepoint dsack=iterator undo=tracepoint" \
	" open=tracepoint syn=sockops noroute=state"

/* ---- plans as text: "attempt=fexit synack=fexit ..." ---- */

static const char *show(const struct plan *p)
{
	static const char *const names[] = {
#define X(NAME, name, purpose) #name,
		ROLES(X)
#undef X
	};
	static char text[1024];
	size_t n = 0;

	for (int r = 0; r < ROLE_COUNT; r++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%s", r ? " " : "", names[r],
				      p->role[r].chosen ? p->role[r].chosen->name : "none");
	return text;
}

static void assert_plan(struct features f, const char *force, const char *want, uint32_t host_flags)
{
	struct plan p;

	memset(&p, 0xa5, sizeof(p)); /* plan_make sets everything */
	logged[0] = '\0';
	assert_int_equal(plan_make(&p, &f, force), 0);
	assert_string_equal(logged, "");
	assert_string_equal(show(&p), want);
	assert_int_equal(p.host_flags, host_flags);
}

static void assert_error(struct features f, const char *force, int err, const char *message)
{
	struct plan p;

	logged[0] = '\0';
	assert_int_equal(plan_make(&p, &f, force), err);
	assert_string_equal(logged, message);
}

#define LATE_NO_FAILURES (HOST_SEES_QUEUED | HOST_SEES_DROPS | HOST_SEES_ALL_DROPS)
#define LATE (LATE_NO_FAILURES | HOST_SEES_FAILURES)
#define FULL (LATE | HOST_ENTRY_HOOKS)

static void test_kernels(void **state)
{
	(void)state;
	assert_plan(kernel_5_10(), NULL,
		    "attempt=fexit synack=fexit tc=clsact queued=tracepoint drop=tracepoint" SIGNS " connect=tracepoint"
		    " accept=fexit-4-args receive=tracepoint forget=tracepoint scan=iterator", FULL);
	assert_plan(kernel_6_1(), NULL,
		    "attempt=fexit synack=fexit tc=clsact queued=tracepoint drop=tracepoint-reason" SIGNS " connect=tracepoint"
		    " accept=fexit-4-args receive=tracepoint forget=tracepoint scan=iterator", FULL);
	assert_plan(kernel_6_12(), NULL,
		    "attempt=fexit synack=fexit tc=tcx queued=tracepoint drop=tracepoint-reason" SIGNS " connect=tracepoint"
		    " accept=fexit receive=tracepoint forget=tracepoint scan=iterator", FULL);
	assert_plan(kernel_6_18_locked(), NULL,
		    "attempt=tracepoint-err synack=tracepoint tc=tcx queued=tracepoint drop=tracepoint-reason" SIGNS_LOCKED
		    " connect=tracepoint accept=search receive=tracepoint forget=tracepoint scan=iterator", LATE);
}

static void test_kprobes(void **state)
{
	(void)state;
	assert_plan(kernel_6_1_kprobes(), NULL,
		    "attempt=kprobe synack=kprobe tc=clsact queued=tracepoint drop=tracepoint-reason overflow=kprobe"
		    " retries=tracepoint dsack=iterator undo=tracepoint open=tracepoint syn=sockops noroute=kprobe"
		    " connect=tracepoint accept=search receive=tracepoint forget=tracepoint scan=iterator", FULL);
}

/* Each rung of the return code, from the best to the last. */
static void test_attempt_ladder(void **state)
{
	static const struct {
		const char *name;
		enum feature missing; /* from here on */
		uint32_t flags;
	} rung[] = {
		{ "attempt=fexit", FEATURE_COUNT, FULL },
		{ "attempt=tracepoint-err", FEATURE_FN_DIRECT, LATE },
		{ "attempt=sockops", FEATURE_TP_RETRANSMIT_ERR, LATE_NO_FAILURES },
		{ "attempt=tracepoint", FEATURE_CGROUP2, LATE_NO_FAILURES },
	};
	struct features f = kernel_6_18_locked();
	struct plan p;

	(void)state;
	f.has[FEATURE_TRAMPOLINE] = true;
	for (size_t i = 0; i < ARRAY_SIZE(rung); i++) {
		if (rung[i].missing != FEATURE_COUNT)
			f.has[rung[i].missing] = false;
		assert_int_equal(plan_make(&p, &f, NULL), 0);
		assert_memory_equal(show(&p), rung[i].name, strlen(rung[i].name));
		assert_int_equal(show(&p)[strlen(rung[i].name)], ' ');
		assert_int_equal(p.host_flags, rung[i].flags);
		assert_int_equal(p.role[ROLE_ATTEMPT].passed_count, i < 2 ? i : i + 1); /* kprobe lies between */
	}
	/* Without trampolines, before 6.17. */
	f = kernel_6_1();
	f.has[FEATURE_TRAMPOLINE] = false;
	assert_int_equal(plan_make(&p, &f, NULL), 0);
	assert_string_equal(p.role[ROLE_ATTEMPT].chosen->name, "kprobe");
	assert_int_equal(p.host_flags, FULL);
	assert_string_equal(p.role[ROLE_ATTEMPT].passed[0].why, "the kernel refuses BPF trampolines (fentry/fexit)");
	assert_string_equal(p.role[ROLE_ATTEMPT].passed[1].why, "its tracepoint has no err argument (Linux 6.17)");
}

static void test_nothing(void **state)
{
	struct features f = kernel("4.4", NULL, 0);

	(void)state;
	assert_error(f, NULL, -ENOTSUP,
		     "this kernel (4.4) shows no retransmissions: no tracepoint tcp:tcp_retransmit_skb");
	/* Half of a candidate is none. */
	f.has[FEATURE_TRAMPOLINE] = f.has[FEATURE_FN_RETRANSMIT] = true;
	f.has[FEATURE_TP_RETRANSMIT_ERR] = f.has[FEATURE_CGROUP2] = f.has[FEATURE_KPROBE] = true;
	assert_error(f, NULL, -ENOTSUP,
		     "this kernel (4.4) shows no retransmissions: no tracepoint tcp:tcp_retransmit_skb");
	/* The tracepoint alone is enough; all else is extra. */
	f = KERNEL("5.8", FEATURE_TP_RETRANSMIT);
	assert_plan(f, NULL,
		    "attempt=tracepoint synack=none tc=clsact queued=none drop=none overflow=none retries=none dsack=none"
		    " undo=none open=none syn=none noroute=none connect=none accept=search"
		    " receive=none forget=none scan=search", 0);
}

static void test_force(void **state)
{
	(void)state;
	assert_plan(kernel_6_12(), "attempt=kprobe,tc=clsact",
		    "attempt=kprobe synack=fexit tc=clsact queued=tracepoint drop=tracepoint-reason" SIGNS " connect=tracepoint"
		    " accept=fexit receive=tracepoint forget=tracepoint scan=iterator", FULL);
	assert_plan(kernel_6_12(), "drop=none,queued=none,accept=search",
		    "attempt=fexit synack=fexit tc=tcx queued=none drop=none" SIGNS " connect=tracepoint"
		    " accept=search receive=tracepoint forget=tracepoint scan=iterator",
		    HOST_ENTRY_HOOKS | HOST_SEES_FAILURES);
	assert_plan(kernel_6_12(), "drop=tracepoint",
		    "attempt=fexit synack=fexit tc=tcx queued=tracepoint drop=tracepoint" SIGNS " connect=tracepoint"
		    " accept=fexit receive=tracepoint forget=tracepoint scan=iterator", FULL);
	assert_plan(kernel_6_12(), "",
		    "attempt=fexit synack=fexit tc=tcx queued=tracepoint drop=tracepoint-reason" SIGNS " connect=tracepoint"
		    " accept=fexit receive=tracepoint forget=tracepoint scan=iterator", FULL);
	assert_error(kernel_6_12(), "attempt=none", -ENOTSUP,
		     "this kernel (6.12.0) shows no retransmissions: no tracepoint tcp:tcp_retransmit_skb");
}

static void test_bad_force(void **state)
{
	(void)state;
	assert_error(kernel_6_1(), "tc=tcx", -EINVAL, "--force: tc=tcx: no tcx (Linux 6.6)");
	assert_error(kernel_6_1(), "queued=tracepoint,attempt=tracepoint-err", -EINVAL,
		     "--force: attempt=tracepoint-err: its tracepoint has no err argument (Linux 6.17)");
	assert_error(kernel_6_1(), "attempt=magic", -EINVAL, "--force: attempt has no candidate 'magic'");
	assert_error(kernel_6_1(), "attempt=fexi", -EINVAL, "--force: attempt has no candidate 'fexi'");
	assert_error(kernel_6_1(), "attempt=fexit2", -EINVAL, "--force: attempt has no candidate 'fexit2'");
	assert_error(kernel_6_1(), "attempt=", -EINVAL, "--force: attempt has no candidate ''");
	assert_error(kernel_6_1(), "attempt", -EINVAL, "--force: 'attempt' is not ROLE=CANDIDATE");
	assert_error(kernel_6_1(), "attempts=fexit", -EINVAL, "--force: 'attempts=fexit' is not ROLE=CANDIDATE");
	assert_error(kernel_6_1(), "attempt=fexit,x=y", -EINVAL, "--force: 'x=y' is not ROLE=CANDIDATE");
	assert_error(kernel_6_1(), "attempt=fexit,", 0, "");
	assert_error(kernel_6_1(), ",", -EINVAL, "--force: '' is not ROLE=CANDIDATE");
}

/* What kernels between those above offer for the roles that have no tracepoint of their own everywhere. */
static void test_signs(void **state)
{
	struct features f = kernel_5_10();
	struct plan p;

	(void)state;
	f.has[FEATURE_TRAMPOLINE] = false; /* and no tcp_cong_state_set yet */
	assert_int_equal(plan_make(&p, &f, NULL), 0);
	assert_string_equal(p.role[ROLE_OVERFLOW].chosen->name, "kprobe");
	assert_string_equal(p.role[ROLE_DSACK].chosen->name, "iterator");
	assert_null(p.role[ROLE_UNDO].chosen);
	assert_string_equal(p.role[ROLE_UNDO].passed[1].why, "no tracepoint tcp:tcp_cong_state_set (Linux 5.19)");
	f.has[FEATURE_TRAMPOLINE] = true;
	f.has[FEATURE_FN_LISTEN_ARGS] = false;
	assert_int_equal(plan_make(&p, &f, NULL), 0);
	assert_string_equal(p.role[ROLE_OVERFLOW].chosen->name, "kprobe");
	assert_string_equal(p.role[ROLE_UNDO].chosen->name, "fentry");
	f.has[FEATURE_TRAMPOLINE] = f.has[FEATURE_KPROBE] = false;
	assert_int_equal(plan_make(&p, &f, NULL), 0);
	assert_string_equal(p.role[ROLE_OVERFLOW].chosen->name, "cgroup");
	f.has[FEATURE_CGROUP2] = false;
	f.has[FEATURE_TP_DESTROY_SOCK] = false; /* the iterator must not meet sockets that are gone */
	assert_int_equal(plan_make(&p, &f, NULL), 0);
	assert_null(p.role[ROLE_OVERFLOW].chosen);
	assert_null(p.role[ROLE_DSACK].chosen);
	assert_string_equal(p.role[ROLE_RETRIES].chosen->name, "tracepoint");
	assert_error(f, "overflow=cgroup", -EINVAL, "--force: overflow=cgroup: no cgroup2 file system is mounted");
}

/* A better one that was passed over has its reason, also if only the user's wish is against it. */
static void test_passed(void **state)
{
	struct features f = kernel_6_12();
	struct plan p;

	(void)state;
	assert_int_equal(plan_make(&p, &f, "attempt=tracepoint"), 0);
	assert_int_equal(p.role[ROLE_ATTEMPT].passed_count, 4);
	for (unsigned int i = 0; i < 4; i++)
		assert_string_equal(p.role[ROLE_ATTEMPT].passed[i].why, "another was forced");
	assert_string_equal(p.role[ROLE_ATTEMPT].passed[2].candidate->name, "kprobe");
	assert_int_equal(p.role[ROLE_TC].passed_count, 0);
}

/* Every candidate names a program, or says what is done instead; its needs end. */
static void test_table(void **state)
{
	struct features f;
	struct plan p;

	(void)state;
	memset(&f, 0, sizeof(f));
	for (int i = 0; i < FEATURE_COUNT; i++)
		f.has[i] = true;
	assert_int_equal(plan_make(&p, &f, NULL), 0);
	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct candidate *best = p.role[r].chosen;

		assert_non_null(best);
		assert_int_equal(best->role, r);
		assert_int_equal(p.role[r].passed_count, 0);
		assert_non_null(best->programs[0]);
		assert_null(best->unseen);
	}
}

static void test_print(void **state)
{
	struct features f = kernel_6_18_locked();
	struct strbuf out = {};
	struct plan p;

	(void)state;
	f.has[FEATURE_TP_RCV_SPACE] = false;
	strcpy(f.release, "6.18.0-\033[31m");
	assert_int_equal(plan_make(&p, &f, NULL), 0);
	plan_print(&p, &f, &out);
	assert_string_equal(
		out.data,
		"kernel: 6.18.0-\\x1b[31m\n"
		"attempt: tracepoint-err  (retransmissions and their return code)\n"
		"    not fexit: the kernel refuses BPF trampolines (fentry/fexit)\n"
		"synack: tracepoint  (SYN-ACK retransmissions)\n"
		"    not fexit: the kernel refuses BPF trampolines (fentry/fexit)\n"
		"    not kprobe: the kernel has no kprobes, or kernel.perf_event_paranoid takes CAP_SYS_ADMIN for them\n"
		"    not seen: SYN-ACK retransmissions that failed on this host; TC verdicts of SYN-ACKs\n"
		"tc: tcx  (what TC egress sees of a retransmission)\n"
		"queued: tracepoint  (whether a copy was handed to its device)\n"
		"drop: tracepoint-reason  (why and where packets were dropped)\n"
		"    not tracepoint-sk: skb:kfree_skb has no rx_sk argument (Linux 6.11)\n"
		"    not seen: nothing, but the receiver of a dropped packet is looked up by its addresses\n"
		"overflow: cgroup  (listen queues that overflow)\n"
		"    not fexit: the kernel refuses BPF trampolines (fentry/fexit)\n"
		"    not kprobe: the kernel has no kprobes, or kernel.perf_event_paranoid takes CAP_SYS_ADMIN for them\n"
		"    not seen: nothing, but it is foretold as the packet arrives: accept() or a wrong SYN cookie may prove it wrong\n"
		"retries: tracepoint  (connections given up)\n"
		"dsack: iterator  (DSACK: retransmissions that arrived twice)\n"
		"    not fexit: the kernel refuses BPF trampolines (fentry/fexit)\n"
		"    not seen: which bytes arrived twice; reports within 100 ms are one\n"
		"undo: tracepoint  (time-outs and recoveries that turned out unnecessary)\n"
		"    not fentry: the kernel refuses BPF trampolines (fentry/fexit)\n"
		"open: tracepoint  (latency and outcome of active opens)\n"
		"syn: sockops  (when the SYN of an active open was sent)\n"
		"    not fentry: the kernel refuses BPF trampolines (fentry/fexit)\n"
		"noroute: state  (connects that fail before a SYN)\n"
		"    not fexit: the kernel refuses BPF trampolines (fentry/fexit)\n"
		"    not kprobe: the kernel has no kprobes, or kernel.perf_event_paranoid takes CAP_SYS_ADMIN for them\n"
		"    not seen: connects that find no route; why another failed before its SYN (error)\n"
		"connect: tracepoint  (owner of a connecting or listening socket)\n"
		"accept: search  (owner of an accepted socket)\n"
		"    not fexit: the kernel refuses BPF trampolines (fentry/fexit)\n"
		"    not fexit-4-args: the kernel refuses BPF trampolines (fentry/fexit)\n"
		"    not seen: nothing, but a socket that never received is searched in /proc\n"
		"receive: none  (owner of a receiving socket)\n"
		"    not tracepoint: no tracepoint tcp:tcp_rcv_space_adjust\n"
		"    not seen: owner of a receiving socket\n"
		"forget: tracepoint  (end of a socket)\n"
		"scan: iterator  (owners of sockets older than rebpf)\n");
	strbuf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_kprobes),
		cmocka_unit_test(test_attempt_ladder),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_force),
		cmocka_unit_test(test_bad_force),
		cmocka_unit_test(test_signs),
		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
