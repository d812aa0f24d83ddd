/* SPDX-License-Identifier: MIT */
/* From the number of a network namespace to the namespace. */
#ifndef REBPF_NETNS_H
#define REBPF_NETNS_H

#include <stdint.h>

/*
 * Opens a file of the network namespace with inode number @inum, for setns(2). Looks at
 * /proc/@hint_tgid/ns/net (0: no hint), our own, /run/netns, and then at every process: some 2 us each, so
 * a caller that may ask often for what is not found keeps count of time. A file descriptor (close-on-exec),
 * which the caller closes; -ENOENT: no such namespace, or none that we may look at; other negative errno.
 */
int netns_open_by_inode(uint32_t inum, uint32_t hint_tgid);

#endif
