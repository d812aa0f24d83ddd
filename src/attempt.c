// SPDX-License-Identifier: MIT
#include "attempt.h"

#include <string.h>

bool attempt_is_own_copy(const struct attempt *a, const struct rec_copy *c)
{
	/* Between an entry and an exit there is no other. Else the stamps must agree, unless the path clears them. */
	if (a->has_entry && !(a->entry.bits & RTX_BIT_LATE))
		return true;
	return !a->has_exit || !c->stamp_ns || !a->exit.stamp_ns || c->stamp_ns == a->exit.stamp_ns;
}

/* Would a copy that was handed to a device, or dropped, have been seen? */
static bool hooks_see_all(const struct attempt_context *ctx)
{
	return (ctx->host_flags & HOST_SEES_QUEUED) && (ctx->host_flags & HOST_SEES_DROPS);
}

enum rtx_outcome attempt_outcome(const struct attempt *a, const struct attempt_context *ctx)
{
	const struct attempt_hop *last = a->hop_count ? &a->hop[a->hop_count - 1] : NULL;

	if (a->has_exit && a->exit.reached == RTX_REFUSED)
		return RTX_OUTCOME_REFUSED;
	if (a->drop_count || (a->has_exit && a->exit.has_ret && a->exit.ret))
		return RTX_OUTCOME_DROPPED;
	if (!a->has_exit || !a->exit.has_ret)
		return RTX_OUTCOME_UNKNOWN;
	/* Seen by TC, then neither dropped nor handed on. */
	if (last && !last->queued && hooks_see_all(ctx))
		return ctx->hooks_missed ? RTX_OUTCOME_UNKNOWN : RTX_OUTCOME_STOLEN;
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

/* Dropped by TC before our hook came to see it (clsact: an earlier filter). */
static bool is_shot_before_us(const struct attempt *a, const struct attempt_context *ctx)
{
	return a->drop_count && !a->hop_count && a->drop[0].c.ifindex && ctx->has_reasons &&
	       !strcmp(ctx->drop_reason, "TC_EGRESS");
}

/*
 * Can "TC did not see it" be said? Only if it certainly would have: the attempt never came to a device, or every device
 * of the namespace is watched and none took the copy.
 */
static bool is_absence_proven(const struct attempt *a, const struct attempt_context *ctx)
{
	if (a->queued_unwatched)
		return false;
	if (a->has_exit && a->exit.reached == RTX_REFUSED && a->exit.hook != RTX_HOOK_SYNACK)
		return true;
	if (a->drop_count && !a->drop[0].hops && !a->drop[0].queued && !a->drop[0].c.ifindex)
		return true;
	/* A dropped copy may have a device already, set by routing before TC (netfilter POSTROUTING). */
	if (a->drop_count && !a->drop[0].hops && !a->drop[0].queued && ctx->netns_watched)
		return true;
	return ctx->netns_watched && (ctx->host_flags & HOST_SEES_QUEUED) && !ctx->hooks_missed && a->has_entry &&
	       !(a->entry.bits & RTX_BIT_LATE);
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
	if (is_shot_before_us(a, ctx)) {
		struct ev_tc_hop *out = &ev->tc[ev->tc_count++];

		memcpy(out->ifname, a->drop[0].c.ifname, sizeof(out->ifname));
		out->skb = a->drop[0].c.copy;
		out->verdict = TC_VERDICT_SHOT;
		out->by = TC_BY_OTHER;
	}
	ev->tc_observed = ev->tc_count || is_absence_proven(a, ctx);
}
