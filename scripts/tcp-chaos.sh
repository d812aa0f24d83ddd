#!/bin/bash
# SPDX-License-Identifier: MIT
# TCP under loss and delay, for rebpf to watch: a bounded number of transfers, one after the other.
#   tcp-chaos.sh [--loss PERCENT] [--delay TIME] [--transfers N] [--size BYTES]
#   tcp-chaos.sh [--loss PERCENT] [--delay TIME] [--transfers N] [--force] [--dev DEVICE] URL
# Without a URL between two network namespaces of its own: no network is touched. With one, that (http or https) is fetched,
# and DEVICE (else that of the default route) loses packets meanwhile: see netem.sh, which does it and has the limits.
# PERCENT is 5, TIME 0, N 20, BYTES 200000 unless given. Whatever happens, all is undone at the end.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
loss=5 delay='' transfers=20 size=200000 dev='' url='' force=''
client=rebpf-chaos-c$$ server=rebpf-chaos-s$$
pids=()

die() { # STATUS MESSAGE
	local status=$1
	shift
	echo "tcp-chaos.sh: $*" >&2
	exit "$status"
}

# Again and again: between fork and exec, a child of bash loses a signal that the script itself traps.
cleanup() {
	local tries=0
	trap '' INT TERM HUP
	while [ "${#pids[@]}" -gt 0 ] && kill "${pids[@]}" 2>/dev/null && [ $((tries++)) -lt 100 ]; do
		sleep 0.1
	done
	[ "${#pids[@]}" -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
	ip netns del "$client" 2>/dev/null || true
	ip netns del "$server" 2>/dev/null || true
}

number() { # OPTION VALUE MAX
	[[ $2 =~ ^[1-9][0-9]{0,8}$ ]] && [ "$2" -le "$3" ] || die 2 "$1: '$2' is no number from 1 to $3"
}

while [ $# -gt 0 ]; do
	case $1 in
	--loss | --delay | --transfers | --size | --dev)
		[ $# -ge 2 ] || die 2 "$1: needs a value"
		case $1 in
		--loss) loss=$2 ;;
		--delay) delay=$2 ;;
		--transfers) number "$1" "$2" 1000; transfers=$2 ;;
		--size) number "$1" "$2" 100000000; size=$2 ;;
		--dev) dev=$2 ;;
		esac
		shift
		;;
	--force) force=--force ;;
	-h | --help) sed -n '4,5s/^#  \{0,1\}//p' "$0" >&2; exit 2 ;;
	http://* | https://*) [ -z "$url" ] || die 2 "one URL only"; url=$1 ;;
	*) die 2 "'$1' is neither an option nor an http or https URL" ;;
	esac
	shift
done
[ -z "$dev" ] || [ "$url" ] || die 2 "--dev: needs a URL; without one, only own devices are touched"
for tool in ip nsenter python3; do
	command -v $tool >/dev/null || die 1 "$tool is missing (apt-get install iproute2 util-linux python3)"
done
[ "$(id -u)" -eq 0 ] || die 1 "must run as root"

# Starts netem.sh, in a namespace or not, and returns once it works.
lose() { # [PREFIX... --] ARGS...
	local line fd
	exec {fd}< <(exec "$@" 2>&1)
	pids+=($!)
	while IFS= read -r -t 30 line <&"$fd"; do
		echo "$line" >&2
		case $line in "netem.sh: ready"*) return ;; esac
	done
	wait $! || exit $?
	exit 1
}

make_network() {
	ip netns add "$client"
	ip netns add "$server"
	ip -n "$client" link add chaos0 type veth peer name chaos0 netns "$server"
	ip -n "$client" addr add 10.98.0.1/24 dev chaos0
	ip -n "$server" addr add 10.98.0.2/24 dev chaos0
	# Packets of one segment each, as on a real wire: else 64 KB are lost at once, or none.
	ip -n "$client" link set chaos0 gso_max_segs 1 up
	ip -n "$server" link set chaos0 gso_max_segs 1 up
}

# Takes what comes, connection after connection, and says how much it was.
start_server() {
	local line
	exec {listening}< <(exec nsenter --net="/run/netns/$server" -- python3 -c '
import socket
s = socket.create_server(("10.98.0.2", 5201))
print("listening", flush=True)
while True:
    c, _ = s.accept()
    n = 0
    while True:
        part = c.recv(1 << 20)
        if not part:
            break
        n += len(part)
    c.sendall(b"%d" % n)
    c.close()
')
	pids+=($!)
	read -r -t 30 line <&"$listening" || die 1 "the server did not start"
}

# Every transfer ends: the socket has a time-out, and the sum of all of them is bounded.
transfer_own='
import socket, sys
n, size, done = int(sys.argv[1]), int(sys.argv[2]), 0
for _ in range(n):
    try:
        with socket.create_connection(("10.98.0.2", 5201), 30) as s:
            s.sendall(bytes(size))
            s.shutdown(socket.SHUT_WR)
            done += s.recv(32) == b"%d" % size
    except OSError as error:
        print("tcp-chaos.sh: a transfer failed: %s" % error, file=sys.stderr)
tcp = [line.split() for line in open("/proc/net/snmp") if line.startswith("Tcp:")]
print("%d of %d transfers of %d bytes complete; segments retransmitted: %s" % (
    done, n, size, dict(zip(*tcp))["RetransSegs"]))
'
transfer_url='
import sys, urllib.request
n, url, done = int(sys.argv[1]), sys.argv[2], 0
for _ in range(n):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            for _ in range(1000):
                if not answer.read(1 << 20):
                    done += 1
                    break
    except OSError as error:
        print("tcp-chaos.sh: a transfer failed: %s" % error, file=sys.stderr)
print("%d of %d transfers of %s complete" % (done, n, url))
'

transfer() { # COMMAND...
	"$@" &
	pids+=($!)
	wait $!
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
netem=("$here/netem.sh" --loss "$loss" ${delay:+--delay "$delay"} $force)
if [ "$url" ]; then
	lose "${netem[@]}" ${dev:+"$dev"}
	transfer python3 -c "$transfer_url" "$transfers" "$url"
else
	make_network
	lose nsenter --net="/run/netns/$client" -- "${netem[@]}" chaos0
	lose nsenter --net="/run/netns/$server" -- "${netem[@]}" chaos0
	start_server
	transfer nsenter --net="/run/netns/$client" -- python3 -c "$transfer_own" "$transfers" "$size"
fi
