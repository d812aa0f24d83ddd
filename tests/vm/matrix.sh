#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs e2e tests on one kernel after the other, two at a time, and writes down what each offers and how the tests went:
#   tests/vm/matrix.sh [KERNEL...]     KERNEL: one of kernels.sh, or "running"; without any: those of matrix.tsv
# The results go into matrix.tsv, a row a kernel (rows of kernels that are not run stay as they are), and from there into the
# README's table. Environment: REBPF_MATRIX_TESTS="truth outcome ...", REBPF_VM_JOBS=2, REBPF_VM_TIMEOUT=1500 (seconds a guest).
set -u
cd "$(dirname "$0")/../.." || exit

results=tests/vm/matrix.tsv
dir=build/vm
logs=build/test-logs
mkdir -p $dir $logs

# What depends on the kernel most: attempts against its counters, and outcomes at each place; without the longest transfers, and
# what is also done with IPv4.
tests=${REBPF_MATRIX_TESTS:-truth outcome}
args=(-k "not 6291456 and not -6] and not [6]")
for name in $tests; do args+=("tests/e2e/test_$name.py"); done

# Runs in the guest: the facts that matrix.py looks for, then the tests.
# shellcheck disable=SC2016  # expanded there
command='
echo "release: $(uname -r)"
echo "machine: $(uname -m)"
echo "version: $(uname -v)"
echo "page: $(/usr/bin/python3 -c "import os; print(os.sysconf(\"SC_PAGE_SIZE\"))")"
build/rebpf --check
exec tests/pytest.sh "$@"'

run() { # KERNEL
	local log=$logs/matrix-$1.log

	if [ "$1" = running ]; then
		bash -c "$command" matrix "${args[@]}"
	else
		tests/vm/guest.sh -m 1536 -t "${REBPF_VM_TIMEOUT:-1500}" "$dir/$1" -- \
			env REBPF_TEST_SLOW="${REBPF_TEST_SLOW:-4}" bash -c "$command" matrix "${args[@]}"
	fi > "$log" 2>&1
	echo "status: $?" >> "$log"
}

[ $# -gt 0 ] || mapfile -t kernels < <(tail -n +2 $results | cut -f 1)
[ $# -eq 0 ] || kernels=("$@")
rc=0
for kernel in "${kernels[@]}"; do
	if [ "$kernel" != running ] && ! tests/vm/kernels.sh $dir "$kernel"; then
		echo "== $kernel: not run: it cannot be fetched"
		rc=1
		continue
	fi
	while [ "$(jobs -rp | wc -l)" -ge "${REBPF_VM_JOBS:-2}" ]; do wait -n; done
	echo "== $kernel: $tests"
	rm -f "$logs/matrix-$kernel.log"
	run "$kernel" &
done
wait
for kernel in "${kernels[@]}"; do
	[ -e "$logs/matrix-$kernel.log" ] || continue
	flock $dir /usr/bin/python3 tests/vm/matrix.py add "$kernel" "$tests" "$logs/matrix-$kernel.log" || rc=1
done
flock $dir /usr/bin/python3 tests/vm/matrix.py readme
exit $rc
