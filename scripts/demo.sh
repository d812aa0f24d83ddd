#!/bin/bash
# SPDX-License-Identifier: MIT
# make demo: one connection between two network namespaces, made for this, and what rebpf says of it while five
# things happen to its packets, one after another. Takes 9 s and removes everything that it made.
#   demo.sh [REBPF]
set -eu

rebpf=${1:-build/rebpf}
client=rebpf-demo-c$$ server=rebpf-demo-s$$
in_client=(nsenter --net="/run/netns/$client" --)
in_server=(nsenter --net="/run/netns/$server" --)
pids=()

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
	ip -n "$client" link add veth0 type veth peer name veth0 netns "$server"
	ip -n "$client" addr add 10.99.0.1/24 dev veth0
	ip -n "$server" addr add 10.99.0.2/24 dev veth0
	ip -n "$client" link set veth0 up
	ip -n "$server" link set veth0 up
	# A round trip of 10 ms, where the kernel has netem.
	tc -n "$server" qdisc add dev veth0 root netem delay 10ms 2>/dev/null || true
}

# One connection that sends 500 bytes every 25 ms; both ends give up by themselves after 20 s.
start_server() {
	local line
	exec 4< <(exec "${in_server[@]}" python3 -c '
import socket, signal
signal.alarm(20)
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
signal.alarm(20)
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
	exec 5>&1 6< <(exec "${in_client[@]}" "$rebpf" -d 15 -e retransmit -P 5201 --netns "$client" 2>&1 >&5 5>&-)
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

# Lost at the receiver's firewall. Its namespace is on this host, so rebpf sees it there.
lose() { # MATCH
	"${in_server[@]}" nft "add table ip demo; add chain ip demo in { type filter hook input priority 0; }; \
		add rule ip demo in tcp dport 5201 ip length > 100 $* drop"
}
lose_none() { "${in_server[@]}" nft delete table ip demo; }

# A filter of another program: every packet that leaves gets one verdict (classic BPF: return N).
tc_verdict() { # NUMBER
	tc -n "$client" qdisc add dev veth0 clsact 2>/dev/null || true
	tc -n "$client" filter add dev veth0 egress prio 50000 bpf da bytecode "1,6 0 0 $1"
}
tc_no_verdict() { tc -n "$client" filter del dev veth0 egress prio 50000; }

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

say "1. The receiver's firewall drops 1 packet of 10, in another namespace: each new copy is sent."
lose numgen inc mod 10 == 9
pause 1.2
lose_none

say "2. This host's firewall drops the new copies: -EPERM; TC never sees them."
lose
pause 0.1
"${in_client[@]}" nft "add table ip demo; add chain ip demo out { type filter hook output priority 0; }; \
	add rule ip demo out tcp dport 5201 drop"
pause 1.1
"${in_client[@]}" nft delete table ip demo
lose_none
pause 0.6

say "3. Another TC program drops them (TC_ACT_SHOT): NET_XMIT_DROP, again every 0.5 s without backing off."
lose
pause 0.1
tc_verdict 2
pause 1.4
tc_no_verdict
lose_none
pause 0.6

say "4. Another TC program takes them (TC_ACT_STOLEN): TCP believes that they were sent."
lose
pause 0.1
tc_verdict 4
pause 0.8
tc_no_verdict
lose_none
pause 0.6

say "5. The last copy still waits in this host's queue: the kernel refuses to send another, -EBUSY."
tc -n "$client" qdisc replace dev veth0 root tbf rate 4kbit burst 1600 limit 100000
pause 1.3

kill "$tracer" 2>/dev/null || true
wait "$tracer" "$messages" || true
