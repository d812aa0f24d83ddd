// SPDX-License-Identifier: MIT
#include "plan.h"

#include <errno.h>
#include <string.h>

#include "log.h"

#define END FEATURE_COUNT

/* Best first within a role. */
static const struct candidate candidates[] = {
	{
		.role = ROLE_ATTEMPT,
		.name = "fexit",
		.programs = { "tcp_retrans_in", "tcp_retrans_out", "tcp_retrans_din", "tcp_retrans_dout" },
		.needs = { FEATURE_TRAMPOLINE, FEATURE_FN_RETRANSMIT, FEATURE_FN_DIRECT, END },
		.host_flags = HOST_ENTRY_HOOKS | HOST_SEES_FAILURES,
	},
	{
		.role = ROLE_ATTEMPT,
		.name = "tracepoint-err",
		.programs = { "tcp_retrans_tp" },
		.needs = { FEATURE_TP_RETRANSMIT, FEATURE_TP_RETRANSMIT_ERR, END },
		.host_flags = HOST_SEES_FAILURES,
	},
	{
		.role = ROLE_ATTEMPT,
		.name = "kprobe",
		.programs = { "tcp_retrans_kin", "tcp_retrans_kout", "tcp_retrans_dki", "tcp_retrans_dko" },
		.needs = { FEATURE_KPROBE, FEATURE_FN_RETRANSMIT, FEATURE_FN_DIRECT, END },
		.host_flags = HOST_ENTRY_HOOKS | HOST_SEES_FAILURES,
	},
	{
		.role = ROLE_ATTEMPT,
		.name = "sockops",
		.programs = { "tcp_retrans_tp", "tcp_retrans_ops" },
		.needs = { FEATURE_TP_RETRANSMIT, FEATURE_CGROUP2, END },
		.unseen = "attempts that the kernel refused before transmitting; failed attempts of sockets older than rebpf",
	},
	{
		.role = ROLE_ATTEMPT,
		.name = "tracepoint",
		.programs = { "tcp_retrans_tp" },
		.needs = { FEATURE_TP_RETRANSMIT, END },
		.unseen = "attempts that failed or were refused",
	},
	{
		.role = ROLE_SYNACK,
		.name = "fexit",
		.programs = { "tcp_synack_in", "tcp_synack_out" },
		.needs = { FEATURE_TRAMPOLINE, FEATURE_FN_RTX_SYNACK, END },
	},
	{
		.role = ROLE_SYNACK,
		.name = "kprobe",
		.programs = { "tcp_synack_kin", "tcp_synack_kout" },
		.needs = { FEATURE_KPROBE, FEATURE_FN_RTX_SYNACK, END },
	},
	{
		.role = ROLE_SYNACK,
		.name = "tracepoint",
		.programs = { "tcp_synack_tp" },
		.needs = { FEATURE_TP_SYNACK, END },
		.unseen = "SYN-ACK retransmissions that failed on this host; TC verdicts of SYN-ACKs",
	},
	{
		.role = ROLE_TC,
		.name = "tcx",
		.programs = { "rebpf_tc_egress" },
		.needs = { FEATURE_TCX, END },
	},
	{
		.role = ROLE_TC,
		.name = "clsact",
		.programs = { "rebpf_tc_egress" },
		.needs = { END },
		.unseen = "copies that an earlier filter of the same device consumed",
	},
	{
		.role = ROLE_QUEUED,
		.name = "tracepoint",
		.programs = { "rebpf_queued" },
		.needs = { FEATURE_TP_NET_DEV_QUEUE, END },
		.host_flags = HOST_SEES_QUEUED,
	},
	{
		.role = ROLE_DROP,
		.name = "tracepoint-sk",
		.programs = { "rebpf_drop" },
		.needs = { FEATURE_TP_KFREE_SKB, FEATURE_TP_KFREE_REASON, FEATURE_TP_KFREE_RX_SK, END },
		.host_flags = HOST_SEES_DROPS | HOST_SEES_ALL_DROPS,
	},
	{
		.role = ROLE_DROP,
		.name = "tracepoint-reason",
		.programs = { "rebpf_drop" },
		.needs = { FEATURE_TP_KFREE_SKB, FEATURE_TP_KFREE_REASON, END },
		.unseen = "nothing, but the receiver of a dropped packet is looked up by its addresses",
		.host_flags = HOST_SEES_DROPS | HOST_SEES_ALL_DROPS,
	},
	{
		.role = ROLE_DROP,
		.name = "tracepoint",
		.programs = { "rebpf_drop" },
		.needs = { FEATURE_TP_KFREE_SKB, END },
		.unseen = "drop reasons (the function that dropped is shown); what a receiving socket drops",
		.host_flags = HOST_SEES_DROPS | HOST_SEES_ALL_DROPS,
	},
	{
		.role = ROLE_OVERFLOW,
		.name = "fexit",
		.programs = { "rebpf_syn_pass", "rebpf_ack_pass", "rebpf_syn_out", "rebpf_ack4_out", "rebpf_ack6_out" },
		.needs = { FEATURE_TRAMPOLINE, FEATURE_FN_LISTEN, FEATURE_FN_LISTEN_ARGS, END },
	},
	{
		.role = ROLE_OVERFLOW,
		.name = "kprobe",
		.programs = { "rebpf_syn_kpass", "rebpf_ack_kpass", "rebpf_syn_kin", "rebpf_syn_kout", "rebpf_ack4_kin",
			      "rebpf_ack4_kout", "rebpf_ack6_kin", "rebpf_ack6_kout" },
		.needs = { FEATURE_KPROBE, FEATURE_FN_LISTEN, END },
	},
	{
		.role = ROLE_OVERFLOW,
		.name = "cgroup",
		.programs = { "rebpf_overflow" },
		.needs = { FEATURE_CGROUP2, END },
		.unseen = "nothing, but it is foretold as the packet arrives: accept() or a wrong SYN cookie may prove it wrong",
	},
	{
		.role = ROLE_RETRIES,
		.name = "tracepoint",
		.programs = { "rebpf_retries" },
		.needs = { FEATURE_TP_SET_STATE, END },
	},
	{
		.role = ROLE_DSACK,
		.name = "fexit",
		.programs = { "rebpf_dsack" },
		.needs = { FEATURE_TRAMPOLINE, FEATURE_FN_SACKTAG, END },
	},
	{
		.role = ROLE_DSACK,
		.name = "iterator",
		.programs = { "rebpf_dsack_poll" },
		.needs = { FEATURE_ITER_MAP_ELEM, FEATURE_TP_DESTROY_SOCK, END },
		.unseen = "which bytes arrived twice; reports within 100 ms are one",
	},
	{
		.role = ROLE_UNDO,
		.name = "fentry",
		.programs = { "rebpf_undo" },
		.needs = { FEATURE_TRAMPOLINE, FEATURE_FN_UNDO, END },
	},
	{
		.role = ROLE_UNDO,
		.name = "tracepoint",
		.programs = { "rebpf_undo_state" },
		.needs = { FEATURE_TP_CONG_STATE, END },
	},
	{
		.role = ROLE_OPEN,
		.name = "tracepoint",
		.programs = { "rebpf_open_state" },
		.needs = { FEATURE_TP_SET_STATE, END },
	},
	{
		.role = ROLE_SYN,
		.name = "fentry",
		.programs = { "rebpf_connsyn" },
		.needs = { FEATURE_TRAMPOLINE, FEATURE_FN_CONNECT, END },
	},
	{
		.role = ROLE_SYN,
		.name = "sockops",
		.programs = { "rebpf_connsyn_ops" },
		.needs = { FEATURE_CGROUP2, END },
	},
	{
		.role = ROLE_SYN,
		.name = "kprobe",
		.programs = { "rebpf_connsyn_kin" },
		.needs = { FEATURE_KPROBE, FEATURE_FN_CONNECT, END },
	},
	{
		.role = ROLE_SYN,
		.name = "state",
		.needs = { FEATURE_TP_SET_STATE, END },
		.unseen = "the SYN of a deferred fast open: its clock starts at connect()",
	},
	{
		.role = ROLE_NOROUTE,
		.name = "fexit",
		.programs = { "rebpf_connect4_out", "rebpf_connect6_out" },
		.needs = { FEATURE_TRAMPOLINE, FEATURE_FN_CONNECT, FEATURE_TP_SET_STATE, END },
	},
	{
		.role = ROLE_NOROUTE,
		.name = "kprobe",
		.programs = { "rebpf_connect4_kin", "rebpf_connect4_kout", "rebpf_connect6_kin", "rebpf_connect6_kout" },
		.needs = { FEATURE_KPROBE, FEATURE_FN_CONNECT, FEATURE_TP_SET_STATE, END },
	},
	{
		.role = ROLE_NOROUTE,
		.name = "state",
		.needs = { FEATURE_TP_SET_STATE, END },
		.unseen = "connects that find no route; why another failed before its SYN (error)",
	},
	{
		.role = ROLE_CONNECT,
		.name = "tracepoint",
		.programs = { "rebpf_connect" },
		.needs = { FEATURE_TP_SET_STATE, END },
	},
	{
		.role = ROLE_ACCEPT,
		.name = "fexit",
		.programs = { "rebpf_accept" },
		.needs = { FEATURE_TRAMPOLINE, FEATURE_ACCEPT_2_ARGS, END },
	},
	{
		.role = ROLE_ACCEPT,
		.name = "fexit-4-args",
		.programs = { "rebpf_accept_4" },
		.needs = { FEATURE_TRAMPOLINE, FEATURE_ACCEPT_4_ARGS, END },
	},
	{
		.role = ROLE_ACCEPT,
		.name = "search",
		.needs = { END },
		.unseen = "nothing, but a socket that never received is searched in /proc",
	},
	{
		.role = ROLE_RECEIVE,
		.name = "tracepoint",
		.programs = { "rebpf_receive" },
		.needs = { FEATURE_TP_RCV_SPACE, END },
	},
	{
		.role = ROLE_FORGET,
		.name = "tracepoint",
		.programs = { "rebpf_forget" },
		.needs = { FEATURE_TP_DESTROY_SOCK, END },
	},
	{
		.role = ROLE_SCAN,
		.name = "iterator",
		.programs = { "rebpf_scan" },
		.needs = { FEATURE_ITER_TASK_FILE, END },
	},
	{
		.role = ROLE_SCAN,
		.name = "search",
		.needs = { END },
		.unseen = "nothing, but the owner of an old socket is searched in /proc when it retransmits",
	},
};

static const char *role_name(enum role r)
{
	static const char *const names[ROLE_COUNT] = {
#define X(NAME, name, purpose) [ROLE_##NAME] = #name,
		ROLES(X)
#undef X
	};

	return names[r];
}

static const char *role_purpose(enum role r)
{
	static const char *const purposes[ROLE_COUNT] = {
#define X(NAME, name, purpose) [ROLE_##NAME] = purpose,
		ROLES(X)
#undef X
	};

	return purposes[r];
}

static bool is_feature_missing(const struct candidate *c, const struct features *f, const char **why)
{
	for (size_t i = 0; i < CANDIDATE_MAX_NEEDS && c->needs[i] != END; i++) {
		if (!f->has[c->needs[i]]) {
			*why = feature_why_not(c->needs[i]);
			return true;
		}
	}
	return false;
}

/* The candidate that @force names for a role: its length in *len, 0 if the role is not named. */
static const char *forced_name(const char *force, enum role r, size_t *len)
{
	size_t n = strlen(role_name(r));

	*len = 0;
	for (const char *p = force; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		if (strncmp(p, role_name(r), n) || p[n] != '=')
			continue;
		*len = strcspn(p + n + 1, ",");
		return p + n + 1;
	}
	return NULL;
}

static bool name_is(const char *name, const char *text, size_t len)
{
	return strlen(name) == len && !strncmp(name, text, len);
}

static int choose(struct plan_choice *choice, enum role r, const struct features *f, const char *force)
{
	size_t len;
	const char *want = forced_name(force, r, &len);
	const char *why = NULL;

	if (want && name_is("none", want, len))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		const struct candidate *c = &candidates[i];

		if (c->role != r)
			continue;
		if (want && !name_is(c->name, want, len)) {
			why = "another was forced";
		} else if (!is_feature_missing(c, f, &why)) {
			choice->chosen = c;
			return 0;
		} else if (want) {
			return log_error(-EINVAL, "--force: %s=%.*s: %s", role_name(r), (int)len, want, why);
		}
		if (choice->passed_count < PLAN_MAX_CANDIDATES) {
			choice->passed[choice->passed_count].candidate = c;
			choice->passed[choice->passed_count++].why = why;
		}
	}
	if (want)
		return log_error(-EINVAL, "--force: %s has no candidate '%.*s'", role_name(r), (int)len, want);
	return 0;
}

/* Every role that @force names must exist. */
static int check_force(const char *force)
{
	for (const char *p = force; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		size_t len = strcspn(p, "=,");
		bool known = false;

		for (int r = 0; r < ROLE_COUNT; r++)
			known |= name_is(role_name((enum role)r), p, len);
		if (!known || p[len] != '=')
			return log_error(-EINVAL, "--force: '%.*s' is not ROLE=CANDIDATE", (int)strcspn(p, ","), p);
	}
	return 0;
}

int plan_make(struct plan *plan, const struct features *features, const char *force)
{
	int err = check_force(force);

	memset(plan, 0, sizeof(*plan));
	for (int r = 0; r < ROLE_COUNT && !err; r++) {
		err = choose(&plan->role[r], (enum role)r, features, force);
		if (plan->role[r].chosen)
			plan->host_flags |= plan->role[r].chosen->host_flags;
	}
	if (err)
		return err;
	if (!plan->role[ROLE_ATTEMPT].chosen)
		return log_error(-ENOTSUP, "this kernel (%s) shows no retransmissions: %s", features->release,
				 feature_why_not(FEATURE_TP_RETRANSMIT));
	return 0;
}

void plan_print(const struct plan *plan, const struct features *features, struct strbuf *out)
{
	strbuf_str(out, "kernel: ");
	strbuf_escaped(out, features->release, sizeof(features->release), true);
	strbuf_char(out, '\n');
	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct plan_choice *choice = &plan->role[r];

		strbuf_str(out, role_name((enum role)r));
		strbuf_str(out, ": ");
		strbuf_str(out, choice->chosen ? choice->chosen->name : "none");
		strbuf_str(out, "  (");
		strbuf_str(out, role_purpose((enum role)r));
		strbuf_str(out, ")\n");
		for (unsigned int i = 0; i < choice->passed_count; i++) {
			strbuf_str(out, "    not ");
			strbuf_str(out, choice->passed[i].candidate->name);
			strbuf_str(out, ": ");
			strbuf_str(out, choice->passed[i].why);
			strbuf_char(out, '\n');
		}
		if (!choice->chosen || choice->chosen->unseen) {
			strbuf_str(out, "    not seen: ");
			strbuf_str(out, choice->chosen ? choice->chosen->unseen : role_purpose((enum role)r));
			strbuf_char(out, '\n');
		}
	}
}
