// SPDX-License-Identifier: MIT
/*
 * Which process uses a socket. A retransmission runs in whatever context a timer or an incoming packet
 * interrupts, so the process is noted where it is certain: when it connects, receives, or already holds the
 * socket as rebpf starts.
 */
#include "rebpf.bpf.h"
#include "inject.bpf.h"
#include "spurious.bpf.h"

/*
 * Notes one half of what is known of a socket: @o, or @born_ns. Not in place: the entry may become another socket's meanwhile.
 * Again, if another CPU has made the entry meanwhile.
 */
static __always_inline void socket_learn(__u64 key, const struct rec_owner *o, __u64 born_ns)
{
	for (int i = 0; i < 2; i++) {
		struct known_socket *known = bpf_map_lookup_elem(&sockets, &key), s = {};

		if (known)
			s = *known;
		if (o)
			s.owner = *o;
		else
			s.born_ns = born_ns;
		if (!bpf_map_update_elem(&sockets, &key, &s, known ? BPF_ANY : BPF_NOEXIST))
			return;
	}
}

/* Nobody has a child of a listener before it is accepted: what is noted was of another socket at this address. */
static __always_inline void born_child(__u64 key)
{
	struct known_socket s = { .born_ns = bpf_ktime_get_ns() };

	bpf_map_update_elem(&sockets, &key, &s, BPF_ANY);
}

/* Notes the current process as the owner of @sk, if it is not noted already. Kernel threads own nothing. */
static __always_inline void owner_touch(struct sock *sk)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 key = (__u64)sk;
	struct known_socket *known = bpf_map_lookup_elem(&sockets, &key);
	struct rec_owner o;

	if (!tgid || (known && known->owner.tgid == tgid) || task_is_kernel_thread())
		return;
	owner_from_current(&o);
	socket_learn(key, &o, 0);
}

/*
 * connect(): tcp_v4_connect and tcp_v6_connect set the state in the caller's context. SYN_RECV is a child of a listener, in
 * softirq (or a simultaneous open).
 */
SEC("?tp_btf/inet_sock_set_state")
int rebpf_connect(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	if ((int)ctx[2] == TCP_SYN_SENT)
		socket_learn((__u64)sk, NULL, bpf_ktime_get_ns());
	else if ((int)ctx[2] == TCP_SYN_RECV && (int)ctx[1] != TCP_SYN_SENT)
		born_child((__u64)sk);
	if ((int)ctx[1] == TCP_CLOSE && ((int)ctx[2] == TCP_SYN_SENT || (int)ctx[2] == TCP_LISTEN) &&
	    BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) == IPPROTO_TCP)
		owner_touch(sk);
	return 0;
}

/*
 * recvmsg(): head of tcp_rcv_space_adjust, after data was copied to the process. Stream parsers (kTLS, sockmap) call it
 * from softirq, whoever runs: only a task that holds the socket's lock is its user.
 */
SEC("?tp_btf/tcp_rcv_space_adjust")
int rebpf_receive(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	if (BPF_CORE_READ(sk, sk_lock.owned))
		owner_touch(sk);
	return 0;
}

/* accept(): the return value is the last argument, whose place changed in 6.10 (92ef0fd55ac8); see probes.c. */
SEC("?fexit/inet_csk_accept")
int rebpf_accept_4(__u64 *ctx)
{
	if (ctx[4])
		owner_touch((void *)ctx[4]);
	return 0;
}

SEC("?fexit/inet_csk_accept")
int rebpf_accept(__u64 *ctx)
{
	if (ctx[2])
		owner_touch((void *)ctx[2]);
	return 0;
}

/* Every TCP socket ends here; its address may be used again at once. */
SEC("?tp_btf/tcp_destroy_sock")
int rebpf_forget(__u64 *ctx)
{
	__u64 key = ctx[0];

	spurious_end((void *)ctx[0]);
	bpf_map_delete_elem(&sockets, &key);
	if (cfg.connects)
		bpf_map_delete_elem(&connecting, &key);
	slot_close(key);
	inject_forget(key);
	return 0;
}

#define S_IFMT 00170000
#define S_IFSOCK 0140000
#define SOCKFS_MAGIC 0x534F434B /* include/uapi/linux/magic.h */

/* The socket behind an open file, NULL if it is something else (5.11 has a helper for this). */
static __always_inline struct sock *file_sock(struct file *file)
{
	struct socket *socket;

	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK ||
	    BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

/* The sockets that processes already hold: one pass over all open files. */
SEC("?iter/task_file")
int rebpf_scan(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct known_socket *known;
	struct rec_owner o = {};
	struct sock *sk;
	__u64 key;

	if (!task || !file || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	sk = file_sock(file);
	if (!sk || BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	key = (__u64)sk;
	known = bpf_map_lookup_elem(&sockets, &key);
	/* Several may hold it: the first that is not init, which often only passes sockets on. */
	if (known && known->owner.tgid > 1)
		return 0;
	o.tgid = BPF_CORE_READ(task, tgid);
	BPF_CORE_READ_STR_INTO(&o.comm, task, comm);
	socket_learn(key, &o, 0);
	return 0;
}
