#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes the newer recordings of tests/golden anew, as root, and then what is expected of them. Look at the difference
# before you commit it: the expectations are what rebpf says now.
#   record.sh                       all, on this kernel and in the guests of tests/vm
#   record.sh NAME...               these, on this kernel
#   record.sh -k SUITE NAME...      these, in a guest; NAME-SUITE.rebpf
# REBPF names the program, build/rebpf if it is not set.
# The others (loss, shot, output-bullseye ...) were made by a rebpf that recorded neither drops nor surveys. They
# stay as they are: they prove that old files still replay.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-/usr/bin/python3}
rebpf=${REBPF:-build/rebpf}
export PYTHONDONTWRITEBYTECODE=1

# rebpf records the addresses of every namespace that it finds in /proc and /run/netns: there, only the recorder's are left.
record() { # NAME...
	[ "$(id -u)" -eq 0 ] || { echo "record.sh: must run as root" >&2; exit 1; }
	mkdir -p /run/netns
	unshare --pid --fork --kill-child --mount --mount-proc --net bash -ec '
		mount -t tmpfs tmpfs /run/netns
		ip link set lo up
		"$@"
	' record env REBPF="$rebpf" PYTHONPATH=tests/e2e "$python" tests/golden/record.py tests/golden "" "$@"
}

record_in_guest() { # SUITE NAME...
	local suite=$1; shift
	tests/vm/kernels.sh build/vm "$suite" >&2
	tests/vm/guest.sh -m 1536 -t 600 "build/vm/$suite" "$rebpf:/rebpf/build/rebpf" bpf/event_kinds.h -- \
		env REBPF_TEST_SLOW=4 PYTHONPATH=tests/e2e bash -c '
			mkdir /tmp/out && python3 tests/golden/record.py /tmp/out "$@" && tar -C /tmp/out -c .
		' record "-$suite" "$@" | tar -C tests/golden --no-same-owner -x
}

case ${1-} in
"")
	record local mapped stack sender ack wire wire6 late overflow given_up connect summary
	record_in_guest bookworm local wire late overflow given_up connect
	record_in_guest trixie local wire
	;;
-k) shift; record_in_guest "$@" ;;
*) record "$@" ;;
esac
REBPF=$rebpf UPDATE_GOLDEN=1 "$python" -m pytest -q -p no:cacheprovider tests/golden
