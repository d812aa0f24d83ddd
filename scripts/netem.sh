#!/bin/bash
# SPDX-License-Identifier: MIT
# Loses or delays packets of one network device, until Ctrl-C or the end of TIME, and then no more.
#   netem.sh [--loss PERCENT] [--delay TIME [--jitter TIME]] [--time SECONDS] [--force] [DEVICE]
# DEVICE is that of the default route unless given; it is looked for in the network namespace that this runs in:
#   ip netns exec NAME scripts/netem.sh --loss 2 eth0
# netem acts on what leaves the device, and TCP is not told. Where the kernel has no netem, nftables drops what arrives at
# it (what it drops on the way out, TCP is told of, and does not retransmit); delay is then not possible.
# Refuses where somebody has set up a queueing discipline, and, on the device of the default route, to lose more than 20 %
# without --force: that is how one gets locked out.
set -eu

handle=7eb0 # of our qdisc: ours is told from others by it
table=rebpf_netem_$$
loss='' hundredths=0 delay='' jitter='' seconds='' force='' dev=''
made_qdisc='' made_table=''

die() { # STATUS MESSAGE
	local status=$1
	shift
	echo "netem.sh: $*" >&2
	exit "$status"
}

usage() {
	sed -n '3,4s/^#  \{0,1\}//p' "$0" >&2
	exit 2
}

# Only what is still ours.
cleanup() {
	trap '' INT TERM HUP
	if [ "$made_qdisc" ]; then
		if tc qdisc show dev "$dev" root 2>/dev/null | grep -q "^qdisc netem $handle:"; then
			tc qdisc del dev "$dev" root || echo "netem.sh: do it by hand: tc qdisc del dev $dev root" >&2
		fi
	fi
	[ -z "$made_table" ] || nft delete table inet "$table" 2>/dev/null || true
	[ -z "$made_qdisc$made_table" ] || echo "netem.sh: $dev is as it was" >&2
}

set_loss() { # OPTION VALUE
	local fraction
	if [[ $2 =~ ^([0-9]{1,3})(\.([0-9]{1,2}))?$ ]]; then
		fraction=${BASH_REMATCH[3]}0
		hundredths=$((10#${BASH_REMATCH[1]} * 100 + 10#${fraction:0:2}))
	fi
	[ "$hundredths" -gt 0 ] && [ "$hundredths" -le 10000 ] ||
		die 2 "$1: '$2' is no percentage above 0 and up to 100, with two decimals at most"
	loss=$2
}

check_time() { # OPTION VALUE
	[[ $2 =~ ^[0-9]{1,6}(us|ms|s)$ ]] || die 2 "$1: '$2' is no time such as 20ms, 1s or 500us"
}

default_device() {
	{ ip -4 route show default; ip -6 route show default; } 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p'
}

while [ $# -gt 0 ]; do
	case $1 in
	--loss | --delay | --jitter | --time)
		[ $# -ge 2 ] || die 2 "$1: needs a value"
		case $1 in
		--loss) set_loss "$1" "$2" ;;
		--delay) check_time "$1" "$2"; delay=$2 ;;
		--jitter) check_time "$1" "$2"; jitter=$2 ;;
		--time) [[ $2 =~ ^[1-9][0-9]{0,5}$ ]] || die 2 "$1: '$2' is no number of seconds"; seconds=$2 ;;
		esac
		shift
		;;
	--force) force=yes ;;
	-h | --help) usage ;;
	-*) die 2 "unknown option '$1'" ;;
	*) [ -z "$dev" ] || die 2 "one device only"; dev=$1 ;;
	esac
	shift
done
[ "$loss$delay" ] || usage
[ -z "$jitter" ] || [ "$delay" ] || die 2 "--jitter needs --delay"
for tool in ip tc; do
	command -v $tool >/dev/null || die 1 "$tool is missing (apt-get install iproute2)"
done
[ "$(id -u)" -eq 0 ] || die 1 "must run as root"

default=$(default_device)
[ "$dev" ] || dev=${default%%$'\n'*}
[ "$dev" ] || die 2 "there is no default route: name a device"
ip link show dev "$dev" >/dev/null 2>&1 || die 2 "there is no device '$dev' here"
if [ "$hundredths" -gt 2000 ] && [ -z "$force" ] && grep -qxF -- "$dev" <<< "$default"; then
	die 2 "--loss $loss: $dev is the device of the default route; --force if you mean it"
fi
# A qdisc that the kernel has put there by itself has the handle 0.
root=$(tc qdisc show dev "$dev" root)
[[ -z $root || $root =~ ^qdisc\ [a-z_]+\ 0:\  ]] || die 1 "$dev has a queueing discipline that somebody set up: ${root%%$'\n'*}"

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

try_netem() {
	local error
	# "add" fails where somebody was quicker.
	if error=$(tc qdisc add dev "$dev" root handle $handle: netem ${loss:+loss "$loss%"} \
		${delay:+delay "$delay" ${jitter:+"$jitter"}} 2>&1); then
		made_qdisc=yes
		return 0
	fi
	[[ $error == *[Uu]nknown* || $error == *"No such file"* ]] || die 1 "$dev: $error"
	return 1
}

try_nft() {
	[ -z "$delay" ] || die 1 "this kernel has no netem: delay is not possible here, only loss"
	command -v nft >/dev/null || die 1 "this kernel has no netem, and nft is missing (apt-get install nftables)"
	made_table=yes
	nft -f - <<-END || die 1 "nftables cannot do it either"
		table inet $table {
			chain c {
				type filter hook prerouting priority -400;
				iifname "$dev" numgen random mod 10000 <= $((hundredths - 1)) counter drop
			}
		}
	END
}

if try_netem; then
	echo "netem.sh: ready: $dev:${loss:+ loses $loss %}${delay:+ delays by $delay${jitter:+ +- $jitter}} of what leaves it${seconds:+, for $seconds s}" >&2
else
	try_nft
	echo "netem.sh: ready: $dev: no netem here: nftables loses $loss % of what arrives at it${seconds:+, for $seconds s}" >&2
fi
# Killed by SIGKILL it leaves no more than this sleep, for a second.
SECONDS=0
until [ "$seconds" ] && [ "$SECONDS" -ge "$seconds" ]; do
	sleep 1 >/dev/null 2>&1 &
	wait $!
done
