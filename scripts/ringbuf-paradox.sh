#!/bin/bash
# SPDX-License-Identifier: MIT
# Why is counting events slower than printing them? (An open question of ebpf-tcp-monitor, one of rebpf's predecessors.)
#
#   ringbuf-paradox.sh [--rounds N] [--packets N]     (5 rounds of 300000 packets; root; a minute or two)
#
# One sender pushes SYNs through loopback, in a network namespace of its own, into an nftables rule that drops them; a BPF
# program writes a record of each drop into a ring buffer; the consumer counts, prints, or waits. What counts is the
# sender's rate: the cost of a record falls on whoever has its packet dropped. Runs of all kinds take turns; medians.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

rounds=5 packets=300000
while [ $# -gt 0 ]; do
	case $1:${2:-} in
	--rounds:[1-9]* | --packets:[1-9]*) declare "${1#--}=$2"; shift 2 ;;
	*) sed -n '5s/^# *//p' "$0" >&2; exit 2 ;;
	esac
done
[ "$(id -u)" = 0 ] || { echo "ringbuf-paradox.sh: needs root" >&2; exit 1; }
make -s build/tests/paradox build/tests/flood || exit 1

ns=rebpf-paradox-$$
dir=$(mktemp -d) || exit 1
consumer=
cleanup() {
	[ -z "$consumer" ] || kill "$consumer" 2>/dev/null
	ip netns del "$ns" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
ip netns add "$ns" && ip -n "$ns" link set lo up || exit 1
printf 'table inet paradox {\n chain c {\n  type filter hook input priority 0\n  tcp dport 9 drop\n }\n}\n' |
	ip netns exec "$ns" nft -f - || exit 1

# Work done by interrupts that a CPU sends to itself, which is how a ring buffer wakes its consumer: all CPUs together.
self_interrupts() { awk '$1 == "IWI:" { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts; }

# Packets a second, wake-ups, self-interrupts (both a record), lost, CPU seconds of the consumer.
measure() { # WORK FLAGS [NS]
	local before after count seconds produced lost seen wakeups cpu
	: > "$dir/err"
	build/tests/paradox "$@" > "$dir/out" 2> "$dir/err" &
	consumer=$!
	until grep -q ready "$dir/err"; do
		kill -0 "$consumer" 2>/dev/null || { cat "$dir/err" >&2; exit 1; }
		sleep 0.02
	done
	before=$(self_interrupts)
	read -r count seconds <<< "$(ip netns exec "$ns" build/tests/flood "$packets")"
	after=$(self_interrupts)
	kill -INT "$consumer"
	wait "$consumer"
	consumer=
	read -r produced lost seen wakeups cpu <<< "$(tail -n 1 "$dir/err")"
	[ "${produced:-0}" -ge "$packets" ] || { echo "ringbuf-paradox.sh: only ${produced:-0} of $packets drops seen" >&2; exit 1; }
	awk -v c="$count" -v s="$seconds" -v w="$wakeups" -v p="$produced" -v i=$((after - before)) -v l="$lost" -v u="$cpu" \
		'BEGIN { printf "%.0f %.4f %.4f %d %.2f\n", c / s, w / p, i / p, l, u }'
}

kinds=(
	"count:count adaptive" "busy:busy adaptive" "file:file adaptive" "yield:yield adaptive"
	"count, never woken:count never" "yield, never woken:yield never" "file, always woken:file always"
	"delay 0.2 us:delay adaptive 200" "delay 1 us:delay adaptive 1000" "delay 5 us:delay adaptive 5000"
)
for ((round = 0; round < rounds; round++)); do
	mapfile -t turn < <(printf '%s\n' "${!kinds[@]}" | shuf)
	for k in "${turn[@]}"; do
		read -ra words <<< "${kinds[k]#*:}"
		measure "${words[@]}" >> "$dir/$k" || exit 1
	done
done

median() { # KIND COLUMN
	sort -g -k "$2,$2" "$dir/$1" | awk -v col="$2" '{ v[NR] = $col } END { print v[int((NR + 1) / 2)] }'
}
printf '%-20s %10s %8s %10s %14s %8s %8s\n' "consumer" "packets/s" "/count" "wake-ups" "self-interrupts" lost "CPU s"
for k in "${!kinds[@]}"; do
	printf '%-20s %10.0f %8.2f %10.4f %14.4f %8d %8.2f\n' "${kinds[k]%%:*}" "$(median "$k" 1)" \
		"$(awk -v a="$(median "$k" 1)" -v b="$(median 0 1)" 'BEGIN { print a / b }')" \
		"$(median "$k" 2)" "$(median "$k" 3)" "$(median "$k" 4)" "$(median "$k" 5)"
done
echo "(wake-ups and self-interrupts: for each record)"

awk -v count="$(median 0 1)" -v file="$(median 2 1)" -v never="$(median 4 1)" -v never_yield="$(median 5 1)" \
	-v always="$(median 6 1)" -v w_count="$(median 0 3)" -v w_file="$(median 2 3)" 'BEGIN {
	faster = (file > 1.05 * count) ? "faster" : "not faster"
	starves = (never_yield > 1.1 * never) ? "not ruled out" : "no"
	caches = (never > 1.1 * count) ? "no, never woken it is faster and reads the same lines" : "not ruled out"
	stands = (never > 1.1 * count && always < 0.9 * file) ? "stands" : "not shown by this run"
	printf("\nPrinting is %s than counting (%.2f of its rate); self-interrupts a record: %.3f counting, %.3f printing.\n",
		faster, file / count, w_count, w_file)
	printf("1 the tight loop starves the kernel: %s (a loop that yields after each record, never woken: %.2f of one that does not)\n",
		starves, never_yield / never)
	printf("2 cache effects of the loop: %s (%.2f of counting)\n", caches, never / count)
	printf("3 the scheduler of Go: no, this is C\n")
	printf("4 batching: %s. The kernel wakes a consumer that had read everything, by an interrupt on the CPU of whoever has\n", stands)
	printf("  its packet dropped; a slower consumer is behind, so nothing wakes it. Without wake-ups counting runs at %.2f of\n", never / file)
	printf("  printing; with a wake-up for each record printing falls to %.2f of itself.\n", always / file)
}'
