// SPDX-License-Identifier: MIT
#include "inject.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

_Static_assert(OPTIONS_MAX_LIST <= REBPF_MAX_INJECT_IDS, "what can be typed fits");

void inject_configure(struct inject_config *out, const struct options *o)
{
	memset(out, 0, sizeof(*out));
	if (!o->inject)
		return;
	out->verdict = o->inject == INJECT_SHOT ? TC_ACT_SHOT : TC_ACT_STOLEN;
	out->share = o->inject_percent ? o->inject_percent : REBPF_INJECT_WHOLE;
	out->count = o->inject_count;
	out->pids = o->pid_count;
	out->netnses = o->netns_count;
	out->cgroups = o->cgroup_count;
	memcpy(out->pid, o->pid, o->pid_count * sizeof(o->pid[0]));
	memcpy(out->netns, o->netns, o->netns_count * sizeof(o->netns[0]));
	memcpy(out->cgroup, o->cgroup, o->cgroup_count * sizeof(o->cgroup[0]));
}

int inject_announce(const struct options *o, bool has_classifier)
{
	uint32_t percent = o->inject_percent ? o->inject_percent : REBPF_INJECT_WHOLE;
	char share[16], limit[48] = "";

	if (!o->inject)
		return 0;
	if (!has_classifier)
		return log_error(-ENOTSUP, "--inject: needs TC egress, which is not to be had here; see --check");
	if (percent % 100)
		snprintf(share, sizeof(share), "%u.%02u", percent / 100, percent % 100);
	else
		snprintf(share, sizeof(share), "%u", percent / 100);
	if (o->inject_count)
		snprintf(limit, sizeof(limit), ", but no more than %llu", (unsigned long long)o->inject_count);
	log_warning("INJECTING LOSS: drops %s %% of the retransmissions%s, of flows that match %s; %s; until rebpf ends", share,
		    limit, o->filters,
		    o->inject == INJECT_SHOT ? "TCP is told (ret 1)" : "TCP believes that they were sent (ret 0)");
	return 0;
}

void inject_report(const struct options *o, uint64_t dropped)
{
	if (o->inject)
		log_warning("injected loss: %llu retransmissions dropped", (unsigned long long)dropped);
}
