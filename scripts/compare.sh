#!/bin/bash
# SPDX-License-Identifier: MIT
# What rebpf's outputs cost: the same flood of dropped packets without rebpf and with each of its modes, again and again in
# random order, and then a table of medians. make compare builds what it needs.
#   compare.sh [--quick] [--packets N] [--rounds N] [--reason NETFILTER_DROP|NO_SOCKET] [--dir DIR] [REBPF]
# Packets are TCP SYNs to the loopback of a namespace of its own: dropped by nftables there (on a terminal rebpf folds such
# lines), or by TCP, since nobody listens (and so is its answer). us/packet is the CPU time of their sender, us/record that of rebpf. The logs and results.tsv are kept in DIR (build/compare/TIME).
# Takes about a minute; --quick seconds. Needs root; leaves nothing behind but DIR.
set -eu

packets=500000 rounds=3 reason=NETFILTER_DROP dir=''
port=9 # where the flood goes
modes=(off terminal file count none)

die() {
	echo "compare.sh: $*" >&2
	exit "${status:-1}"
}

usage() {
	sed -n 's/^#   //p' "$0" >&2
	exit 2
}

is_number() { [[ $1 =~ ^[1-9][0-9]{0,7}$ ]]; }

while [ $# -gt 0 ]; do
	case $1 in
	--quick) packets=20000 rounds=1 ;;
	--packets) is_number "${2-}" || usage; packets=$2; shift ;;
	--rounds) is_number "${2-}" || usage; rounds=$2; shift ;;
	--reason) case ${2-} in NETFILTER_DROP | NO_SOCKET) reason=$2 ;; *) usage ;; esac; shift ;;
	--dir) [ -n "${2-}" ] || usage; dir=$2; shift ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
[ $# -le 1 ] || usage
rebpf=${1:-build/rebpf}
flood=${FLOOD:-build/tests/flood}

[ "$(id -u)" -eq 0 ] || die "must run as root"
[ -x "$rebpf" ] && [ -x "$flood" ] || die "no $rebpf or $flood: run make compare"
for program in ip nsenter script shuf awk; do
	command -v $program >/dev/null || die "$program is not installed"
done
[ $reason = NO_SOCKET ] || command -v nft >/dev/null || die "nft is not installed: try --reason NO_SOCKET"
dir=${dir:-build/compare/$(date +%Y%m%d-%H%M%S)}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# ---- the place of the flood ----

ns=rebpf-compare-$$ pid='' outer=''

cleanup() {
	trap '' INT TERM HUP
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	[ -z "$outer" ] || kill "$outer" 2>/dev/null || true
	wait 2>/dev/null || true
	ip netns del $ns 2>/dev/null || true
}

# What an earlier run left behind that was killed before it could clean up.
for path in /run/netns/rebpf-compare-*; do
	[ ! -e "$path" ] || [ -e "/proc/${path##*-}" ] || ip netns del "${path##*/}" || true
done
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
ip netns add $ns
ip -n $ns link set lo up
[ $reason = NO_SOCKET ] || nsenter --net=/run/netns/$ns nft -f - <<- END
	table ip compare { chain c { type filter hook input priority 0; tcp dport $port drop; }; }
END

# ---- one run ----

# The number of a row of the statistics.
row() { # LOG LABEL
	awk -v label="$2" 'index($0, label " ") == 1 { print $NF; exit }' "$1"
}

wait_for_ready() { # LOG
	local n
	for n in $(seq 300); do
		! grep -q '^rebpf: ready' "$1" 2>/dev/null || return 0
		[ -e "/proc/$outer" ] || return 1
		sleep 0.1
	done
	return 1
}

# Starts rebpf in a mode; its process is $pid, ours $outer. On a terminal, that of script(1) is in between.
start() { # MODE LOG OUT
	local command=("$rebpf" --utc -e drop -P $port)
	# They are of no interest otherwise, but count does not ask.
	[ $reason = NETFILTER_DROP ] || [ "$1" = count ] || command+=(--class all)
	: > "$2"
	case $1 in
	terminal)
		script -qec "exec ${command[*]@Q} -o text 2>${2@Q}" /dev/null < /dev/null > "$3" &
		;;
	file) "${command[@]}" -o text > "$3" 2> "$2" & ;;
	count | none) "${command[@]}" -o "$1" > "$3" 2> "$2" & ;;
	esac
	outer=$! pid=$outer
	wait_for_ready "$2" || die "rebpf did not start, see $2"
	[ "$1" != terminal ] || pid=$(cat "/proc/$outer/task/$outer/children")
	pid=${pid// /}
}

# Seconds of user and system time. The name in parentheses may hold blanks.
cpu_of() { # PID
	sed 's/.*) //' "/proc/$1/stat" | awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f\n", ($12 + $13) / hz }'
}

# Until all that was dropped has been read, for two seconds at most: the CPU time stands still.
settle() {
	local before='' now n
	for n in $(seq 10); do
		sleep 0.2
		now=$(cpu_of "$pid")
		[ "$now" != "$before" ] || return 0
		before=$now
	done
}

stop() {
	kill -INT "$pid"
	wait "$outer" || die "rebpf failed"
	pid='' outer=''
}

# mode, round, packets/s, produced, consumed, lost, wake-ups, CPU seconds of rebpf, bytes of output, printed, CPU us of a packet
run() { # MODE ROUND
	local log=$dir/$1-$2.log out=$dir/$1-$2.out result rate cost began cpu=0 lost=0 produced=0 consumed=0 wakeups=0 printed=0 bytes=0
	if [ "$1" != off ]; then
		start "$1" "$log" "$out"
		settle
		began=$(cpu_of "$pid") # loading the programs takes some
	fi
	result=$(TIMEFORMAT='%U %S'; { time nsenter --net=/run/netns/$ns "$flood" "$packets"; } 2>&1) || die "the flood: $result"
	read -r rate cost <<< "$(awk 'NR == 1 { n = $1; s = $2 } END { printf "%.0f %.3f\n", n / s, 1e6 * ($1 + $2) / n }' \
		<<< "$result")"
	if [ "$1" != off ]; then
		settle
		cpu=$(cpu_of "$pid")
		cpu=$(awk "BEGIN { print $cpu - $began }")
		stop
		produced=$(row "$log" 'Records of the kernel')
		# Which writes no records: the kernel's count.
		[ "$1" != count ] || produced=$(sed -n 's/.*counted: .* \([0-9]*\) drops of TCP$/\1/p' "$log")
		consumed=$(row "$log" '  read from the rings')
		wakeups=$(row "$log" '  wake-ups by them')
		lost=$(($(row "$log" '  control') + $(row "$log" '  drops')))
		printed=$(row "$log" 'Events printed')
		bytes=$(wc -c < "$out")
		head -n 1000 "$out" > "$out.head" # what a flood writes is large
		mv "$out.head" "$out"
	fi
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$rate" "$produced" "$consumed" "$lost" "$wakeups" \
		"$cpu" "$bytes" "$printed" "$cost" | tee -a "$dir/results.tsv" |
		awk -F '\t' '{ printf "  %-9s %9d packets/s  %8d lost  %5.2f s CPU\n", $1, $3, $6, $8 }'
}

printf 'mode\tround\tpackets_per_s\tproduced\tconsumed\tlost\twakeups\tcpu_s\tbytes\tprinted\tpacket_us\n' > "$dir/results.tsv"
run off 0 > /dev/null # the first is slower: caches, and the modules of nftables
sed -i 2d "$dir/results.tsv"
for ((round = 1; round <= rounds; round++)); do
	echo "round $round of $rounds: $packets packets, $reason"
	for mode in $(shuf -e "${modes[@]}"); do run "$mode" $round; done
done

# ---- the table ----

awk -F '\t' '
function median(m, c,    n, i, j, t, v) {
	n = count[m]
	for (i = 1; i <= n; i++)
		v[i] = value[m, c, i]
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j] < v[j - 1]; j--) {
			t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
		}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function bar(share,    s, i) {
	for (i = 0; i < 30 * share + 0.5 && i < 60; i++)
		s = s "#"
	return s
}
NR == 1 { next }
{
	count[$1]++
	for (c = 3; c <= 11; c++)
		value[$1, c, count[$1]] = $c
}
END {
	n = split(modes, mode, " ")
	off = median("off", 3)
	printf "\n%-9s %10s %7s %9s %9s %9s %8s %10s %7s %9s\n", "mode", "packets/s", "of off", "us/packet", "produced",
		"consumed", "lost", "wake-ups/r", "CPU s", "us/record"
	for (i = 1; i <= n; i++) {
		m = mode[i]
		rate = median(m, 3); made = median(m, 4); read = median(m, 5); cpu = median(m, 8)
		printf "%-9s %10d %6.1f%% %9.3f ", m, rate, 100 * rate / off, median(m, 11)
		if (m == "off")
			printf "%9s %9s %8s %10s %7s %9s\n", "-", "-", "-", "-", "-", "-"
		else
			printf "%9d %9d %8d %10.5f %7.2f %9.2f\n", made, read, median(m, 6), made ? median(m, 7) / made : 0, cpu,
				read ? 1e6 * cpu / read : 0
		us[m] = read ? 1e6 * cpu / read : 0
		if (us[m] > most)
			most = us[m]
	}
	print "\npackets/s, of the untraced rate"
	for (i = 1; i <= n; i++)
		printf "%-9s %7.1f%% %s\n", mode[i], 100 * median(mode[i], 3) / off, bar(median(mode[i], 3) / off)
	print "\nCPU of rebpf, us for each record read"
	for (i = 2; i <= n; i++)
		printf "%-9s %7.2f  %s\n", mode[i], us[mode[i]], bar(most ? us[mode[i]] / most : 0)
}' modes="${modes[*]}" "$dir/results.tsv" | tee "$dir/table.txt"
echo
awk -F '\t' -v packets="$packets" -v factor=$([ $reason = NO_SOCKET ] && echo 2.02 || echo 1.02) '
$4 > factor * packets { others++ }
END { if (others) print "in " others " runs other traffic of this machine was dropped, too: look at us/record, or try again" }
' "$dir/results.tsv"
echo "medians of $rounds; logs: $dir"
