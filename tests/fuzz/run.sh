#!/bin/bash
# SPDX-License-Identifier: MIT
# Fuzzes with libFuzzer for so many seconds (default 60), shared among the targets, two at a time (FUZZ_JOBS), and says how far each came.
# It begins with the corpora (and the golden recordings); what it finds is kept in build/fuzz, and an input that made a
# target fail is named. To keep it as a test: minimise it (TARGET -minimize_crash=1 FILE) and put it into corpus/TARGET.
#   tests/fuzz/run.sh [SECONDS [TARGET...]]
set -eu
cd "$(dirname "$0")/../.."
out=${B:-build}/fuzz
mkdir -p "$out"
seconds=${1:-60}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
	for source in tests/fuzz/fuzz_*.c; do
		target=${source##*/fuzz_}
		targets+=("${target%.c}")
	done
fi

build() { # TARGET
	local source=tests/fuzz/fuzz_$1.c words
	read -ra words < <(sed -nE 's,^/\* (links|flags): *(.*[^ ]) *\*/,\2,p' "$source" | tr '\n' ' ')
	"${CLANG:-clang}" -std=gnu11 -g -O1 -Wall -Wextra -Werror -D_GNU_SOURCE -DREBPF_VERSION='"fuzz"' -DFUZZER -iquote src \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all "$source" "${words[@]}" -o "$out/fuzz_$1"
}

fuzz() { # TARGET SECONDS
	local target=$1 corpus=$out/corpus/$1 options=()
	build "$target" || return
	mkdir -p "$corpus"
	cp tests/fuzz/corpus/"$target"/* "$corpus/"
	[ "$target" != replay ] || cp tests/golden/*.rebpf "$corpus/"
	[ ! -e "tests/fuzz/$target.dict" ] || options=("-dict=tests/fuzz/$target.dict")
	"$out/fuzz_$target" -max_total_time="$2" -max_len=65536 -timeout=60 -rss_limit_mb=1024 -close_fd_mask=2 \
		-print_final_stats=1 -artifact_prefix="$out/$target-" "${options[@]}" "$corpus" > "$out/$target.log" 2>&1
}

report() { # TARGET STATUS
	local log=$out/$1.log runs
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
	printf '%-10s %10s runs  %s%s\n' "$1" "${runs:-?}" \
		"$(grep -o 'cov: [0-9]* ft: [0-9]* corp: [0-9]*' "$log" | tail -n 1)" \
		"$([ "$2" -eq 0 ] || echo "  FAILED: $(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)")"
}

jobs=${FUZZ_JOBS:-2}
share=$((seconds * jobs / ${#targets[@]}))

for target in "${targets[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge $jobs ]; do wait -n || true; done
	(
		status=0
		fuzz "$target" $((share > 0 ? share : 1)) || status=$?
		echo $status > "$out/$target.status"
	) &
done
wait
failed=0
for target in "${targets[@]}"; do
	status=$(cat "$out/$target.status")
	report "$target" "$status"
	[ "$status" -eq 0 ] || { failed=1; grep -aE '^(fuzz: |==.*ERROR|SUMMARY)|runtime error' "$out/$target.log" || tail -n 5 "$out/$target.log"; }
done
exit $failed
