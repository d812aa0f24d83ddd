#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes the recordings of tests/golden anew, as root, in network namespaces of its own, and then what is expected of
# them. Look at the difference before you commit it: the expectations are what rebpf says now.
#   record.sh                       all, on this kernel and in the guests of tests/vm
#   record.sh NAME...               these, on this kernel
#   record.sh -k SUITE NAME...      these, in a guest; NAME-SUITE.rebpf
# REBPF names the program, build/rebpf if it is not set.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-/usr/bin/python3}
rebpf=${REBPF:-build/rebpf}
export PYTHONDONTWRITEBYTECODE=1

record() { # NAME...
	[ "$(id -u)" -eq 0 ] || { echo "record.sh: must run as root" >&2; exit 1; }
	REBPF=$rebpf PYTHONPATH=tests/e2e "$python" tests/golden/record.py tests/golden "" "$@"
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
	record loss ipv6 gso shot stolen output qdisc busy syn synack
	record_in_guest trixie loss shot stolen output netem busy synack
	record_in_guest bullseye shot early output netem
	;;
-k) shift; record_in_guest "$@" ;;
*) record "$@" ;;
esac
REBPF=$rebpf UPDATE_GOLDEN=1 "$python" -m pytest -q -p no:cacheprovider tests/golden
