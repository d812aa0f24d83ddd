#!/bin/bash
# SPDX-License-Identifier: MIT
# Fuzzes the replay with libFuzzer for so many seconds (default 60), beginning with the golden recordings. What it
# finds is kept in build/fuzz; an input that made it crash is named at the end.
#   tests/fuzz/run.sh [SECONDS]
set -eu
cd "$(dirname "$0")/../.."
out=${B:-build}/fuzz
mkdir -p "$out/corpus"

read -ra sources < <(sed -n 's,.*links: *\(.*[^ ]\) *\*/.*,\1,p' tests/fuzz/fuzz_replay.c)
"${CLANG:-clang}" -std=gnu11 -g -O1 -Wall -Wextra -Werror -D_GNU_SOURCE -DREBPF_VERSION='"fuzz"' -DFUZZER \
	-iquote src -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Wl,--wrap=correlate_new \
	tests/fuzz/fuzz_replay.c "${sources[@]}" -o "$out/fuzz_replay"
cp -n tests/golden/*.rebpf "$out/corpus/"
exec "$out/fuzz_replay" -max_total_time="${1:-60}" -max_len=65536 -close_fd_mask=2 -artifact_prefix="$out/" \
	"$out/corpus"
