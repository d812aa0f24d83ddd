#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs tiers of tests and ends with one line: N passed, N failed, N skipped.
#   run.sh unit TESTS... | golden | install | packages | e2e | lab | faults | soak | vm | all TESTS...
set -u
cd "$(dirname "$0")/.."

passed=0 failed=0 skipped=0
logs=build/test-logs
mkdir -p $logs

# Adds what a runner counted: cmocka's or pytest's closing lines, from a log.
count_cmocka() { # LOG STATUS
	local p f s
	p=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$1" | tail -n 1)
	f=$(sed -n 's/^ *\([0-9]*\) FAILED TEST.*/\1/p' "$1" | tail -n 1)
	s=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test.*/\1/p' "$1" | tail -n 1)
	passed=$((passed + ${p:-0})) skipped=$((skipped + ${s:-0}))
	if [ "$2" -ne 0 ]; then failed=$((failed + (${f:-0} > 0 ? ${f:-0} : 1))); fi
}

count_pytest() { # LOG STATUS: the closing line of pytest.sh
	local total p f s
	total=$(grep '^total: ' "$1" | tail -n 1)
	read -r _ p _ f _ s _ <<< "${total:-total: 0 passed, 0 failed, 0 skipped}"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	if [ "$2" -ne 0 ] && [ "$f" -eq 0 ]; then failed=$((failed + 1)); fi
}

run_unit() {
	local t
	for t in "$@"; do
		echo "== unit: $(basename "$t")"
		"$t" > "$logs/$(basename "$t").log" 2>&1
		local rc=$?
		[ $rc -eq 0 ] || cat "$logs/$(basename "$t").log"
		count_cmocka "$logs/$(basename "$t").log" $rc
	done
	run_corpus
}

# Every fuzz target over its corpus, without libFuzzer: one test each.
run_corpus() {
	local source target inputs
	for source in tests/fuzz/fuzz_*.c; do
		target=$(basename "$source" .c)
		inputs=(tests/fuzz/corpus/"${target#fuzz_}")
		[ "$target" != fuzz_replay ] || inputs+=(tests/golden/*.rebpf)
		echo "== fuzz corpus: $target"
		if "build/fuzz/${target}_corpus" "${inputs[@]}" > "$logs/$target.log" 2>&1; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
			tail -n 30 "$logs/$target.log"
		fi
	done
}

run_pytest() { # NAME ARGS...
	local name=$1; shift
	echo "== $name"
	tests/pytest.sh "$@" 2>&1 | tee "$logs/$name.log"
	count_pytest "$logs/$name.log" "${PIPESTATUS[0]}"
}

run_golden() { run_pytest golden tests/golden; }

run_as_root() { # NAME ARGS...
	if [ "$(id -u)" -ne 0 ]; then
		echo "== $1: skipped: needs root"
		skipped=$((skipped + 1))
		return
	fi
	run_pytest "$@"
}

run_install() { run_pytest install tests/packages/test_install.py; }
run_packages() { run_as_root packages tests/packages; }
run_e2e() { run_as_root e2e tests/e2e; }
run_lab() { run_as_root lab tests/e2e/test_lab.py; }
run_faults() { run_as_root faults -s tests/e2e/test_faults.py; }
run_soak() { run_as_root soak -s tests/e2e/test_soak.py; }

# The same e2e on Debian's kernels, two guests at a time. "brief": without what hardly depends on the kernel, and between the
# oldest and the newest kernel the truth, and causes or injected loss only: CI ends after 90 minutes.
suites=${REBPF_VM_SUITES:-bullseye sid bookworm trixie}
vm_tests() { # SUITE BRIEF
	local name names
	case $2:$1 in
	brief:bookworm) names="truth inject" ;;
	brief:trixie) names="truth lab" ;;
	brief:*) names="truth outcome lab drop extra connect" ;;
	*) echo tests/e2e; return ;;
	esac
	for name in $names; do echo "tests/e2e/test_$name.py"; done
}

run_vm() { # [brief]
	local suite dir=build/vm
	if ! command -v qemu-system-x86_64 >/dev/null; then
		echo "== vm: skipped: no qemu-system-x86_64"
		skipped=$((skipped + 1))
		return
	fi
	for suite in $suites; do
		if ! tests/vm/kernels.sh $dir "$suite"; then
			echo "== vm: $suite: skipped: its kernel cannot be fetched"
			skipped=$((skipped + 1))
			continue
		fi
		while [ "$(jobs -rp | wc -l)" -ge "${REBPF_VM_JOBS:-2}" ]; do wait -n; done
		(
			REBPF_TEST_SLOW=${REBPF_TEST_SLOW:-4}
			tests/vm/guest.sh -m 1536 -t "${REBPF_VM_TIMEOUT:-2700}" $dir/"$suite" -- \
				env REBPF_TEST_SLOW="$REBPF_TEST_SLOW" tests/pytest.sh $(vm_tests "$suite" "${1:-}") \
				> "$logs/vm-$suite.log" 2>&1
			echo $? > "$logs/vm-$suite.rc"
		) &
	done
	wait
	for suite in $suites; do
		[ -e "$logs/vm-$suite.rc" ] || continue
		echo "== vm: $suite ($(cat $dir/"$suite"/release))"
		sed -n '/^truth .*place/,/^rebpf: lost/p' "$logs/vm-$suite.log"
		tail -n 40 "$logs/vm-$suite.log"
		count_pytest "$logs/vm-$suite.log" "$(cat "$logs/vm-$suite.rc")"
	done
}

rm -f $logs/*.rc
tier=$1; shift
case $tier in
unit) run_unit "$@" ;;
golden) run_golden ;;
install) run_install ;;
packages) run_packages ;;
e2e) run_e2e ;;
lab) run_lab ;;
faults) run_faults ;;
soak) run_soak ;;
vm) run_vm ;;
all) run_unit "$@"; run_golden; run_install; run_e2e; run_vm brief ;;
*) echo "usage: run.sh unit|golden|install|packages|e2e|lab|faults|soak|vm|all [TESTS]" >&2; exit 2 ;;
esac
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
