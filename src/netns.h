/* SPDX-License-Identifier: MIT */
/* From the number of a network namespace to the namespace, and to all of them. */
#ifndef REBPF_NETNS_H
#define REBPF_NETNS_H

#include <stdint.h>

/*
 * Opens a file of the network namespace with inode number @inum, for setns(2). Looks at /proc/@hint_tgid/ns/net (0:
 * no hint), our own, where it was found before, the named ones, and then at every process: some 2 us each, so a
 * caller that may ask often for what is not found keeps count of time. A file descriptor (close-on-exec), which the
 * caller closes; -ENOENT: no such namespace, or none that we may look at; other negative errno.
 */
int netns_open_by_inode(uint32_t inum, uint32_t hint_tgid);

/* The same where its file is thought to be @path: no search. */
int netns_open_path(const char *path, uint32_t inum);

/*
 * Back to the namespace behind @home, from which the thread went into another. If it cannot, that is said and the program
 * aborted: it would do the rest of its work in the wrong place.
 */
void netns_return(int home);

/* Takes a namespace and a file of it, as text that is valid during the call. Non-zero ends. */
typedef int netns_found_fn(void *ctx, uint32_t inum, const char *path);

/* So many entries of /proc, and of the directories of named namespaces, are looked at. */
#define NETNS_MAX_PROCESSES 32768
#define NETNS_MAX_NAMED 4096

/*
 * Calls @fn for the namespaces that have a name (ip netns, Docker) and then for those that some process is in, most
 * of them more than once. 0: these were all; -EPERM: there may be others, of processes that are hidden from us or
 * outside our pid namespace; -E2BIG: there are too many entries; what @fn returned; other negative errno. Some 4 us
 * per process.
 */
int netns_for_each(netns_found_fn *fn, void *ctx);

#endif
