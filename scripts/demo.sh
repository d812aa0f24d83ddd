#!/bin/bash
# SPDX-License-Identifier: MIT
# make demo: one connection between two network namespaces, made for this, and what rebpf says of it while seven
# things happen to its packets, one after another. Takes 12 s and removes everything that it made.
# The namespaces are joined by a wire outside the kernel: a process between two tun devices. Without tun it is a veth
# pair, and there is no network that could lose anything.
#   demo.sh [REBPF]
set -eu

rebpf=${1:-build/rebpf}
client=rebpf-demo-c$$ server=rebpf-demo-s$$
in_client=(nsenter --net="/run/netns/$client" --)
in_server=(nsenter --net="/run/netns/$server" --)
pids=() wired=

cleanup() {
	trap '' INT TERM HUP
	[ "${#pids[@]}" -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	ip netns del "$client" 2>/dev/null || true
	ip netns del "$server" 2>/dev/null || true
}

die() {
	echo "demo: $*" >&2
	exit 1
}

# What an earlier demo left behind that was killed before it could clean up.
sweep() {
	local path pid
	for path in /run/netns/rebpf-demo-[cs]*; do
		pid=${path##*-[cs]}
		[ ! -e "$path" ] || [ -e "/proc/$pid" ] || ip netns del "${path##*/}" || true
	done
}

make_network() {
	ip netns add "$client"
	ip netns add "$server"
	if start_wire; then
		wired=yes
	else
		ip -n "$client" link add wire0 type veth peer name wire0 netns "$server"
	fi
	ip -n "$client" addr add 10.99.0.1/24 dev wire0
	ip -n "$server" addr add 10.99.0.2/24 dev wire0
	ip -n "$client" link set wire0 up
	ip -n "$server" link set wire0 up
}

# Carries packets both ways and takes 5 ms for it. SIGUSR1 has it lose one of ten that carry data, or stop that.
start_wire() {
	local line
	exec 3< <(exec python3 -c '
import collections, ctypes, fcntl, os, select, signal, struct, sys, time
signal.alarm(30)
signal.signal(signal.SIGUSR1, lambda *_: lossy.append(not lossy.pop()))
libc, lossy, data, queue, ends = ctypes.CDLL(None), [False], 0, collections.deque(), []
for name in sys.argv[1:]:
    if libc.setns(os.open("/run/netns/" + name, os.O_RDONLY), 0x40000000):
        sys.exit(1)
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", b"wire0", 0x1001))
    ends.append(end)
print("wired", flush=True)
while True:
    for end in select.select(ends, [], [], 0.001)[0]:
        packet = os.read(end, 65536)
        data += len(packet) > 100
        if not lossy[0] or len(packet) <= 100 or data % 10:
            queue.append((time.monotonic() + 0.005, ends[end == ends[0]], packet))
    while queue and queue[0][0] <= time.monotonic():
        try:
            os.write(queue[0][1], queue[0][2])
        except OSError:
            pass
        queue.popleft()
' "$client" "$server" 2>/dev/null)
	wire=$!
	pids+=("$wire")
	read -r -t 30 line <&3 || return 1
}

# One connection that sends 500 bytes every 25 ms; both ends give up by themselves after 25 s.
start_server() {
	local line
	exec 4< <(exec "${in_server[@]}" python3 -c '
import socket, signal
signal.alarm(25)
s = socket.create_server(("10.99.0.2", 5201))
print("listening", flush=True)
c, _ = s.accept()
while c.recv(65536):
    pass
')
	pids+=($!)
	read -r -t 30 line <&4 || die "the server did not start"
}

start_client() {
	"${in_client[@]}" python3 -c '
import socket, signal, time
signal.alarm(25)
s = socket.create_connection(("10.99.0.2", 5201))
while True:
    s.sendall(bytes(500))
    time.sleep(0.025)
' &
	pids+=($!)
}

# Returns once rebpf has said that it is ready; its messages go on to stderr.
start_rebpf() {
	local line
	exec 5>&1 6< <(exec "${in_client[@]}" "$rebpf" -d 20 -P 5201 2>&1 >&5 5>&-)
	tracer=$!
	pids+=("$tracer")
	exec 5>&-
	while IFS= read -r -t 30 line <&6; do
		echo "$line" >&2
		case $line in "rebpf: ready"*)
			cat <&6 >&2 &
			messages=$!
			return
			;;
		esac
	done
	die "rebpf did not start"
}

say() { echo "# $*" >&2; }

pause() { # SECONDS; ends the demo if rebpf has ended
	sleep "$1" &
	wait $! || true
	kill -0 "$tracer" 2>/dev/null || { wait "$tracer"; exit; }
}

# Namespace, hook, match: a firewall that drops.
lose() { # NAMESPACE input|output MATCH
	nsenter --net="/run/netns/$1" -- nft "add table ip demo; add chain ip demo c { type filter hook $2 priority 0; }; \
		add rule ip demo c $3 drop"
}
lose_none() { # NAMESPACE...
	local name
	for name; do
		nsenter --net="/run/netns/$name" -- nft delete table ip demo
	done
}
data="tcp dport 5201 ip length > 100"

# A filter of another program: every packet that leaves gets one verdict (classic BPF: return N).
tc_verdict() { # NUMBER
	tc -n "$client" qdisc add dev wire0 clsact 2>/dev/null || true
	tc -n "$client" filter add dev wire0 egress prio 50000 bpf da bytecode "1,6 0 0 $1"
}
tc_no_verdict() { tc -n "$client" filter del dev wire0 egress prio 50000; }

for tool in ip nft tc nsenter python3; do
	command -v $tool >/dev/null || die "$tool is missing (apt-get install iproute2 nftables util-linux python3)"
done
[ -x "$rebpf" ] || die "no program $rebpf: run make"
[ "$(id -u)" -eq 0 ] || die "must run as root"

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
sweep
make_network
start_server
start_rebpf
start_client

if [ "$wired" ]; then
	say "1. The network loses 1 packet of 10: no drop on this host, so cause=network."
	kill -USR1 "$wire"
	pause 1.2
	kill -USR1 "$wire"
	pause 0.6
else
	say "1. (No tun device here: there is no network that could lose packets.)"
fi

say "2. A firewall on this host, in the receiver's namespace, drops 1 packet of 20: cause=local, and says where."
lose "$server" input "$data numgen inc mod 20 == 19"
pause 1.2
lose_none "$server"
pause 0.6

say "3. The acknowledgements are dropped: ack_local. What arrived is sent again, which the peer reports: SPURIOUS."
lose "$server" output "tcp sport 5201"
pause 0.5
lose_none "$server"
pause 0.6

say "4. The sender's firewall drops the new copies, too: -EPERM; TC never sees them."
lose "$server" input "$data"
pause 0.1
lose "$client" output "tcp dport 5201"
pause 1.1
lose_none "$client" "$server"
pause 0.6

say "5. Another TC program drops them (TC_ACT_SHOT): NET_XMIT_DROP, again every 0.5 s without backing off."
lose "$server" input "$data"
pause 0.1
tc_verdict 2
pause 1.4
tc_no_verdict
lose_none "$server"
pause 0.6

say "6. Another TC program takes them (TC_ACT_STOLEN): TCP believes that they were sent."
lose "$server" input "$data"
pause 0.1
tc_verdict 4
pause 0.8
tc_no_verdict
lose_none "$server"
pause 0.6

say "7. The last copy still waits in this host's queue: the kernel refuses to send another, -EBUSY."
tc -n "$client" qdisc replace dev wire0 root tbf rate 4kbit burst 1600 limit 100000
pause 1.3

kill "$tracer" 2>/dev/null || true
wait "$tracer" "$messages" || true
