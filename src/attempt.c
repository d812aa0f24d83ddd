// SPDX-License-Identifier: MIT
#include "attempt.h"

#include <string.h>

bool attempt_is_own_copy(const struct attempt *a, const struct rec_copy *c)
{
	/* During the call an older copy may be freed too (by a qdisc that drops at its head): it has the old stamp. */
	if (a->has_entry && !(a->entry.bits & RTX_BIT_LATE))
		return !(a->has_exit && c->stamp_ns && c->stamp_ns == a->entry.stamp_ns &&
			 a->entry.stamp_ns != a->exit.stamp_ns);
	/* Without an entry hook the stamps must agree, unless the path clears them. */
	return !a->has_exit || !c->stamp_ns || !a->exit.stamp_ns || c->stamp_ns == a->exit.stamp_ns;
}

/* Would a copy that was handed to a device, or dropped, have been seen? */
static bool hooks_see_all(const struct attempt_context *ctx)
{
	return (ctx->host_flags & HOST_SEES_QUEUED) && (ctx->host_flags & HOST_SEES_DROPS);
}

/* With the slot open during the whole call, neither TC nor a device had the copy. */
static bool is_never_seen(const struct attempt *a)
{
	return a->has_entry && !(a->entry.bits & RTX_BIT_LATE) && !a->hop_count && !a->queued_unwatched;
}

int attempt_injected(const struct attempt *a)
{
	for (unsigned int i = 0; i < a->hop_count; i++)
		if (a->hop[i].tc.verdict >= 0)
			return a->hop[i].tc.verdict;
	return TC_VERDICT_UNKNOWN;
}

enum rtx_outcome attempt_outcome(const struct attempt *a, const struct attempt_context *ctx)
{
	const struct attempt_hop *last = a->hop_count ? &a->hop[a->hop_count - 1] : NULL;

	if (a->has_exit && a->exit.reached == RTX_REFUSED)
		return RTX_OUTCOME_REFUSED;
	if (attempt_injected(a) == TC_VERDICT_STOLEN)
		return RTX_OUTCOME_STOLEN;
	if (a->drop_count || (a->has_exit && a->exit.has_ret && a->exit.ret) || attempt_injected(a) == TC_VERDICT_SHOT)
		return RTX_OUTCOME_DROPPED;
	if (!a->has_exit || !a->exit.has_ret)
		return RTX_OUTCOME_UNKNOWN;
	/* Seen by TC, then neither dropped nor handed on. */
	if (last && !last->queued && hooks_see_all(ctx))
		return ctx->hooks_missed ? RTX_OUTCOME_UNKNOWN : RTX_OUTCOME_STOLEN;
	/* Handed to no device that we could see: taken by a program before ours, or waiting for a neighbour's address. */
	if (is_never_seen(a) && hooks_see_all(ctx))
		return RTX_OUTCOME_UNKNOWN;
	return ctx->records_lost ? RTX_OUTCOME_UNKNOWN : RTX_OUTCOME_SENT;
}

/*
 * Was this drop the verdict of a TC program after ours? Its reason says so by name; a program may set a reason of its own
 * (6.12), then, and where the kernel has no reasons, the place does: after our hook, before the device
 * (__dev_queue_xmit runs nothing else there that frees).
 */
static bool is_tc_drop(const struct attempt_context *ctx, const struct rec_rtx_drop *d)
{
	if (ctx->has_reasons && ctx->drop_reason[0] && !strncmp(ctx->drop_reason, "TC_", 3))
		return true;
	return d->hops && !d->queued && (ctx->host_flags & HOST_SEES_QUEUED);
}

static void tc_verdict_of_hop(const struct attempt *a, const struct attempt_context *ctx, unsigned int i,
			      struct ev_tc_hop *out)
{
	const struct attempt_hop *hop = &a->hop[i];
	const struct rec_rtx_drop *d = a->drop_count ? &a->drop[0] : NULL;
	bool is_last = i + 1 == a->hop_count;

	out->verdict = TC_VERDICT_UNKNOWN;
	out->by = TC_BY_NOBODY;
	if (hop->tc.verdict >= 0) {
		out->verdict = hop->tc.verdict;
		out->by = TC_BY_REBPF;
	} else if (hop->queued) {
		out->verdict = TC_VERDICT_OK;
	} else if (d && d->hops == i + 1 && is_tc_drop(ctx, d)) {
		out->verdict = TC_VERDICT_SHOT;
		out->by = TC_BY_OTHER;
	} else if (!hooks_see_all(ctx) || ctx->hooks_missed) {
		out->verdict = TC_VERDICT_UNKNOWN;
	} else if (!is_last && a->hop[i + 1].tc.c.copy == hop->tc.c.copy) {
		/* The same buffer came to another device without passing this one. */
		out->verdict = TC_VERDICT_REDIRECT;
		out->by = TC_BY_OTHER;
	} else if (!d && a->has_exit && a->exit.has_ret && !a->exit.ret) {
		/* Consumed: STOLEN, QUEUED, TRAP, or a redirection to where rebpf does not see it, all look alike. */
		out->verdict = TC_VERDICT_STOLEN;
		out->by = TC_BY_OTHER;
	}
}

/*
 * Dropped by TC on a device where our hook had not seen it: an earlier filter shot it (clsact), or a program on a lower
 * device. Kernels without reasons (before 5.17) free nothing else between coming to a device and leaving TC.
 */
static bool is_shot_elsewhere(const struct attempt *a, const struct attempt_context *ctx)
{
	const struct rec_rtx_drop *d = &a->drop[0];

	if (!a->drop_count || !d->at_device)
		return false;
	/* Else it is the verdict of the last hop. */
	if (a->hop_count && (!d->queued || a->hop[a->hop_count - 1].tc.c.ifindex == d->c.ifindex))
		return false;
	/* Handed to the lower device, which is not watched, it would have left a QUEUED. */
	if (!ctx->has_reasons)
		return (a->hop_count ? !a->queued_unwatched : !d->queued) && (ctx->host_flags & HOST_SEES_QUEUED);
	return !strcmp(ctx->drop_reason, "TC_EGRESS");
}

/*
 * Can "TC did not see it" be said? Only if the attempt ended before it came to a device. Silence alone proves nothing:
 * another program may have been put before ours meanwhile.
 */
static bool is_absence_proven(const struct attempt *a)
{
	if (a->queued_unwatched)
		return false;
	if (a->has_exit && a->exit.reached == RTX_REFUSED && a->exit.hook != RTX_HOOK_SYNACK)
		return true;
	return a->drop_count && !a->drop[0].hops && !a->drop[0].at_device;
}

void attempt_tc(const struct attempt *a, const struct attempt_context *ctx, struct ev_retransmit *ev)
{
	ev->tc_count = 0;
	for (unsigned int i = 0; i < a->hop_count; i++) {
		struct ev_tc_hop *out = &ev->tc[ev->tc_count++];

		memcpy(out->ifname, a->hop[i].tc.c.ifname, sizeof(out->ifname));
		out->skb = a->hop[i].tc.c.copy;
		tc_verdict_of_hop(a, ctx, i, out);
	}
	if (is_shot_elsewhere(a, ctx)) {
		struct ev_tc_hop *out = &ev->tc[ev->tc_count++];

		memcpy(out->ifname, a->drop[0].c.ifname, sizeof(out->ifname));
		out->skb = a->drop[0].c.copy;
		out->verdict = TC_VERDICT_SHOT;
		out->by = TC_BY_OTHER;
	}
	ev->tc_observed = ev->tc_count || is_absence_proven(a);
}
