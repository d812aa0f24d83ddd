/* SPDX-License-Identifier: MIT */
/* Is the rebpf behind a classifier that we find on a device still alive? */
#ifndef REBPF_HEARTBEAT_H
#define REBPF_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Looks at the shared words of the BPF program @prog_id: a living rebpf writes the time there ten times a second. Waits up
 * to half a second for it. False also if that cannot be told (another version, missing CAP_SYS_ADMIN): such a filter is
 * left alone, it does nothing once its heartbeat is old.
 */
bool heartbeat_has_stopped(uint32_t prog_id);

#endif
