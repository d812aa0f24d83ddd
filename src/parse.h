/* SPDX-License-Identifier: MIT */
/*
 * Values as the user types them. All return 0 or a negative errno and leave *out alone on failure: -EINVAL
 * for text that is no such value, another errno for one that could not be resolved on this machine. No
 * messages: the caller knows the option.
 */
#ifndef REBPF_PARSE_H
#define REBPF_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/config.h"
#include "httpd.h"

/* Decimal digits only: no sign, space or base. */
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* "10", "0.5", "33.33", in 1/100: from 0.01 to 100, no more than two decimals. */
int parse_percent(const char *text, uint32_t *out);

/* "30", "1.5s", "500ms", "2m", "1h"; seconds without a suffix. Above 0 and at most PARSE_MAX_HOURS. */
#define PARSE_MAX_HOURS 87600
int parse_duration(const char *text, uint64_t *out_ns);

/* "443" or "5000-5999", 1 to 65535. Leaves out->list alone. */
int parse_ports(const char *text, struct port_rule *out);

/*
 * "10.0.0.1", "10.0.0.0/8", "2001:db8::/32". Bits beyond the prefix may be set and are cleared. A v4-mapped
 * address (::ffff:10.0.0.1, with a prefix of 96 or more) is the IPv4 address: that is how flows show it.
 * Leaves out->list alone.
 */
int parse_addr(const char *text, struct addr_rule *out);

/* "2112" (on 127.0.0.1), "0.0.0.0:2112", "[::1]:2112": an address of this host, and a port from 1 to 65535. No names. */
int parse_listen(const char *text, struct listen_address *out);

/* 1 to @size - 1 bytes of any kind, the rest of @out zero. */
int parse_text(const char *text, char *out, size_t size);
/* A name that the kernel would give a network device (dev_valid_name in net/core/dev.c). */
int parse_ifname(const char *text, char out[REBPF_IFNAME_LEN]);
/* A drop reason in either case, with or without SKB_DROP_REASON_; stored as events print it: "NO_SOCKET". */
int parse_reason(const char *text, char out[REBPF_REASON_LEN]);

/*
 * Inode number of a network namespace. Digits are the id of a running process if there is one (also where a
 * named namespace has the same digits: give its path then), else an inode number; -ESRCH for one that can
 * only be the id of a process that has ended. Anything else is a path if it has a slash, else a name of
 * "ip netns".
 */
int parse_netns(const char *text, uint32_t *out);

/*
 * Id of a cgroup2 directory. Looked for as it is if absolute, then below the cgroup2 mount, so that both
 * /sys/fs/cgroup/a.slice and what /proc/PID/cgroup shows (/a.slice) work. -ENODEV: no cgroup2 is mounted.
 * What is no such path but a number is the id itself.
 */
int parse_cgroup(const char *text, uint64_t *out);
/* Mount point of the first cgroup2 in a file like /proc/mounts. */
int cgroup2_root(const char *mounts, char *out, size_t size);

#endif
