/* SPDX-License-Identifier: MIT */
/*
 * TCP's own counters of one network namespace, from a file like /proc/net/snmp: how many segments were sent and
 * retransmitted since the namespace began. They count what all sockets of the namespace did, whatever is filtered.
 */
#ifndef REBPF_SNMP_H
#define REBPF_SNMP_H

#include <stdint.h>

/* Of this process. Of another namespace: the same file below /proc/PID of a process in it. */
#define SNMP_OWN "/proc/self/net/snmp"

/*
 * Names as in the line "Tcp:" (RFC 4022). @out_segs: segments sent, but not those that hold nothing but what was
 * sent before (net/ipv4/tcp_output.c, __tcp_transmit_skb): those are @retrans_segs. What the kernel does not show is 0.
 */
struct snmp_tcp {
	uint64_t active_opens;
	uint64_t passive_opens;
	uint64_t attempt_fails;
	uint64_t estab_resets;
	uint64_t in_segs;
	uint64_t out_segs;
	uint64_t retrans_segs;
};

/* Pure: @text is the NUL-terminated contents. -EBADMSG: no OutSegs and RetransSegs in it; then *out is as before. */
int snmp_parse(const char *text, struct snmp_tcp *out);

/* Reads @path (SNMP_OWN ...): 0, or a negative errno, and then *out is as before. No message. */
int snmp_read(const char *path, struct snmp_tcp *out);

#endif
