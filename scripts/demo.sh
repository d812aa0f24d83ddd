#!/bin/bash
# SPDX-License-Identifier: MIT
# make demo: two network namespaces of its own, real loss on the wire between them, and what rebpf says of it.
# Everything it made is removed at the end.
#   demo.sh REBPF
set -eu

rebpf=${1:-build/rebpf}
client=rebpf-demo-c$$ server=rebpf-demo-s$$
pids=()

cleanup() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	ip netns del "$client" 2>/dev/null || true
	ip netns del "$server" 2>/dev/null || true
}
trap cleanup EXIT
trap 'exit 1' INT TERM

for tool in ip nft tc python3; do
	command -v $tool >/dev/null || { echo "demo: $tool is missing (apt-get install iproute2 nftables python3)" >&2; exit 1; }
done
[ "$(id -u)" -eq 0 ] || { echo "demo: must run as root" >&2; exit 1; }

ip netns add "$client"
ip netns add "$server"
ip -n "$client" link add veth0 type veth peer name veth0 netns "$server"
ip -n "$client" addr add 10.99.0.1/24 dev veth0
ip -n "$server" addr add 10.99.0.2/24 dev veth0
for ns in "$client" "$server"; do
	ip -n "$ns" link set lo up
	ip -n "$ns" link set veth0 up
done

# Loss that the sender cannot see: the receiver's firewall takes 3 of 100 packets.
ip netns exec "$server" nft -f - <<-NFT
	table ip demo { chain in { type filter hook input priority 0; numgen random mod 100 < 3 drop; }; }
NFT
# Loss on the sender: its own firewall takes 1 of 100, TC another 1 of 100 that leave.
ip netns exec "$client" nft -f - <<-NFT
	table ip demo { chain out { type filter hook output priority 0; tcp dport 5201 numgen random mod 100 < 1 drop; }; }
NFT

ip netns exec "$server" python3 -c '
import socket
s = socket.create_server(("10.99.0.2", 5201))
c, _ = s.accept()
while c.recv(65536):
    pass
' &
pids+=($!)

echo "# rebpf -d 6 -P 5201, while 8 MB cross a wire that loses 3 % (and a firewall that drops 1 %):" >&2
"$rebpf" -d 6 -P 5201 &
tracer=$!
pids+=("$tracer")

ip netns exec "$client" python3 -c '
import socket, time
end = time.monotonic() + 10
while True:
    try:
        s = socket.create_connection(("10.99.0.2", 5201), timeout=5)
        break
    except ConnectionRefusedError:
        if time.monotonic() > end: raise
        time.sleep(0.05)
end = time.monotonic() + 5
for _ in range(500):
    s.sendall(bytes(16384))
    if time.monotonic() > end:
        break
    time.sleep(0.008)
s.close()
' &
pids+=($!)
wait "$tracer"
