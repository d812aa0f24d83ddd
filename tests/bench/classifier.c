// SPDX-License-Identifier: MIT
/*
 * rebpf's classifier alone, as it is loaded where there are entry hooks: what it costs can so be measured where there are none.
 *
 *	classifier DEVICE	on the device's TC egress (Linux 6.6), until it is killed
 *
 * Prints "ready ID" (the program's number, for bpf_stats).
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../bpf/config.h"
#include "rebpf_cast.skel.h"

#define TCX_EGRESS 47 /* BPF_TCX_EGRESS, which libbpf 1.1 has no name for */

static int fail(const char *what)
{
	fprintf(stderr, "classifier: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	struct rebpf_cast *skel;
	int prog;

	if (argc != 2)
		return fprintf(stderr, "usage: classifier DEVICE\n"), 2;
	skel = rebpf_cast__open();
	if (!skel)
		return fail("open");
	skel->rodata->cfg.has_entry = 1;
	bpf_program__set_autoload(skel->progs.rebpf_tc_egress, true);
	if (rebpf_cast__load(skel))
		return fail("load");
	prog = bpf_program__fd(skel->progs.rebpf_tc_egress);
	if (bpf_link_create(prog, (int)if_nametoindex(argv[1]), TCX_EGRESS, NULL) < 0)
		return fail(argv[1]);
	if (bpf_obj_get_info_by_fd(prog, &info, &size))
		return fail("its number");
	printf("ready %u\n", info.id);
	fflush(stdout);
	for (;;)
		pause();
}
