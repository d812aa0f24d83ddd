/* SPDX-License-Identifier: MIT */
/*
 * What the running kernel offers, asked once. Plain data: the plan is made from it alone.
 * (Not features.h: the C library has a header of that name.)
 */
#ifndef REBPF_FEATURE_H
#define REBPF_FEATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

/* X(NAME, what is missing when it is absent) */
#define FEATURES(X)                                                                                   \
	X(TRAMPOLINE, "the kernel refuses BPF trampolines (fentry/fexit)")                             \
	X(KPROBE, "the kernel has no kprobes, or kernel.perf_event_paranoid takes CAP_SYS_ADMIN for them") \
	X(FN_RETRANSMIT, "tcp_retransmit_skb is not a traceable function of this kernel")              \
	X(FN_DIRECT, "__tcp_retransmit_skb is not a traceable function of this kernel")                \
	X(FN_DIRECT_REST, "__tcp_retransmit_skb is in one piece")                                      \
	X(FN_RTX_SYNACK, "tcp_rtx_synack is not a traceable function of this kernel")                  \
	X(FN_LISTEN, "tcp_conn_request or what it calls is not traceable on this kernel")    \
	X(FN_LISTEN_ARGS, "tcp_v4_syn_recv_sock has more arguments than its trampolines take (Linux 6.6)") \
	X(FN_CONNECT, "tcp_connect, tcp_v4_connect and tcp_v6_connect are not all traceable on this kernel")  \
	X(FN_SACKTAG, "tcp_sacktag_write_queue is not a traceable function of this kernel")            \
	X(FN_UNDO, "tcp_undo_cwnd_reduction is not a traceable function of this kernel")               \
	X(CAST, "no bpf_rdonly_cast (Linux 6.2)")                                                      \
	X(TP_RETRANSMIT, "no tracepoint tcp:tcp_retransmit_skb")                                       \
	X(TP_RETRANSMIT_ERR, "its tracepoint has no err argument (Linux 6.17)")                        \
	X(TP_SYNACK, "no tracepoint tcp:tcp_retransmit_synack")                                        \
	X(TP_KFREE_SKB, "no tracepoint skb:kfree_skb")                                                 \
	X(TP_KFREE_REASON, "skb:kfree_skb has no reason argument (Linux 5.17)")                        \
	X(TP_KFREE_RX_SK, "skb:kfree_skb has no rx_sk argument (Linux 6.11)")                          \
	X(TP_NET_DEV_QUEUE, "no tracepoint net:net_dev_queue")                                         \
	X(TP_SET_STATE, "no tracepoint sock:inet_sock_set_state")                                      \
	X(TP_RCV_SPACE, "no tracepoint tcp:tcp_rcv_space_adjust")                                      \
	X(TP_DESTROY_SOCK, "no tracepoint tcp:tcp_destroy_sock")                                       \
	X(TP_CONG_STATE, "no tracepoint tcp:tcp_cong_state_set (Linux 5.19)")                          \
	X(ACCEPT_4_ARGS, "inet_csk_accept does not have the four arguments of kernels before 6.10")    \
	X(ACCEPT_2_ARGS, "inet_csk_accept does not have the two arguments of 6.10")                    \
	X(ITER_TASK_FILE, "no task_file iterator (Linux 5.8)")                                         \
	X(ITER_MAP_ELEM, "no bpf_map_elem iterator (Linux 5.9)")                                       \
	X(TCX, "no tcx (Linux 6.6)")                                                                   \
	X(CGROUP2, "no cgroup2 file system is mounted")

enum feature {
#define X(NAME, why) FEATURE_##NAME,
	FEATURES(X)
#undef X
	FEATURE_COUNT
};

struct features {
	bool has[FEATURE_COUNT];
	char release[65];       /* uname -r */
	char cgroup2_path[256]; /* mount point, "" if none */
	uint32_t hz;            /* jiffies a second */
	bool counts_memlock;    /* RLIMIT_MEMLOCK limits BPF maps: before 5.11 (80ee81e0403c) */
	int types_fd;           /* what of the BTF our programs are fitted by (corebtf.h); probes_load() closes it. -1: take all */
};

/* Text for a feature that is absent. */
const char *feature_why_not(enum feature f);

/* Takes one drop reason of this kernel: its number and its enumerator. Non-zero ends the enumeration. */
typedef int features_reason_fn(void *ctx, uint32_t number, const char *name);

/*
 * Fills *f and tells @add_reason every drop reason of this kernel, the sub-systems' too. @btf_path: plan against this BTF file
 * instead of the running kernel's (then nothing is tried out, and what only trying tells counts as there).
 * Negative errno with its message if this kernel has no BTF.
 */
int features_probe(struct features *f, const char *btf_path, features_reason_fn *add_reason, void *ctx);

#endif
