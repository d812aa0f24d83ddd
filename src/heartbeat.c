// SPDX-License-Identifier: MIT
#include "heartbeat.h"

#include <bpf/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/config.h"
#include "util.h"

#define LOOKS 5
#define LOOK_EVERY_NS (100 * NSEC_PER_MSEC)
#define MAX_MAPS 16

/* The map with the shared words among those of a program: an fd, or -1. */
static int shared_map_of(int prog)
{
	__u32 ids[MAX_MAPS] = {}, len = sizeof(struct bpf_prog_info);
	struct bpf_prog_info prog_info = { .nr_map_ids = MAX_MAPS, .map_ids = (__u64)(uintptr_t)ids };

	if (bpf_obj_get_info_by_fd(prog, &prog_info, &len))
		return -1;
	for (__u32 i = 0; i < prog_info.nr_map_ids && i < MAX_MAPS; i++) {
		struct bpf_map_info info = {};
		int fd = bpf_map_get_fd_by_id(ids[i]);

		len = sizeof(info);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && strstr(info.name, ".bss") &&
		    info.value_size == sizeof(struct shared))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

static bool read_heartbeat(int map, struct shared *copy, uint64_t *heartbeat_ns)
{
	__u32 key = 0;

	if (bpf_map_lookup_elem(map, &key, copy))
		return false;
	*heartbeat_ns = copy->heartbeat_ns;
	return true;
}

bool heartbeat_has_stopped(uint32_t prog_id)
{
	const struct timespec pause = { .tv_nsec = LOOK_EVERY_NS };
	struct shared *copy = malloc(sizeof(*copy));
	int prog = bpf_prog_get_fd_by_id(prog_id), map = prog < 0 ? -1 : shared_map_of(prog);
	uint64_t first, now;
	bool stopped = copy && map >= 0 && read_heartbeat(map, copy, &first);

	for (int i = 0; stopped && clock_mono_ns() - first < REBPF_HEARTBEAT_NS && i < LOOKS; i++) {
		nanosleep(&pause, NULL);
		stopped = read_heartbeat(map, copy, &now) && now == first;
	}
	if (map >= 0)
		close(map);
	if (prog >= 0)
		close(prog);
	free(copy);
	return stopped;
}
