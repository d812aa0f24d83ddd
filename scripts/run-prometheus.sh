#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's Prometheus against rebpf --listen, with the rules beside this file. Starts a rebpf if none listens there. Its data
# are in a temporary directory; after SECONDS, or on Ctrl-C, everything it started is gone again.
#   run-prometheus.sh [SECONDS]        600
#   REBPF=build/rebpf TARGET=127.0.0.1:2112 WEB=127.0.0.1:9090 INTERVAL=15s
set -eu
here=$(cd "$(dirname "$0")" && pwd)
rebpf=$(realpath "${REBPF:-$here/../build/rebpf}")
cd "$here"

seconds=${1:-600}
target=${TARGET:-127.0.0.1:2112}
web=${WEB:-127.0.0.1:9090}
interval=${INTERVAL:-15s}

if ! command -v prometheus >/dev/null; then
	echo "needs prometheus; Debian: apt-get install prometheus" >&2
	exit 1
fi

data=$(mktemp -d)
pids=()
clean_up() {
	[ "${#pids[@]}" -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$data"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

listens() { # ADDR:PORT
	local addr=${1%:*}
	addr=${addr#[} addr=${addr%]}
	(exec 3<> "/dev/tcp/$addr/${1##*:}") 2>/dev/null
}

if ! listens "$target"; then
	"$rebpf" -q -o none --listen "$target" &
	pids+=($!)
	for _ in $(seq 100); do
		listens "$target" && break
		kill -0 "${pids[0]}" 2>/dev/null || { echo "rebpf did not start" >&2; exit 1; }
		sleep 0.1
	done
	listens "$target" || { echo "rebpf does not listen on $target" >&2; exit 1; }
fi

sed -e "s/127\.0\.0\.1:2112/$target/; s/_interval: 15s/_interval: $interval/" prometheus.yml > "$data/prometheus.yml"
cp rebpf-rules.yml "$data/"
prometheus --config.file="$data/prometheus.yml" --storage.tsdb.path="$data/tsdb" --storage.tsdb.retention.time=1d \
	--web.listen-address="$web" --log.level=warn &
server=$!
pids+=("$server")
echo "Prometheus: http://$web/graph, alerts: http://$web/alerts, rebpf: http://$target/metrics; $seconds s" >&2
sleep "$seconds" &
pids+=($!)
wait -n "$server" "$!" || true
kill -0 "$server" 2>/dev/null || { echo "prometheus has ended" >&2; exit 1; }
