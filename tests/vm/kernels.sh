#!/bin/bash
# SPDX-License-Identifier: MIT
# Fetches Debian's cloud kernels of several suites and unpacks them, without touching the system's apt:
#   tests/vm/kernels.sh DIR SUITE...      e.g. tests/vm/kernels.sh build/vm bullseye bookworm trixie sid
# Each suite yields DIR/SUITE/{vmlinuz,modules/,release}; a suite that is there already is left alone.
set -eu
# shellcheck source=scripts/debian-kernel.sh
. "$(dirname "$0")/../../scripts/debian-kernel.sh"

fetch_suite() { # SUITE: 1 after one line on stderr if it cannot be fetched
	local out=$dir/$1
	[ -s "$out/release" ] && [ -s "$out/vmlinuz" ] && [ -s "$out/modules/modules.dep" ] && return 0
	debian_kernel "$new/apt" "$1" amd64 || return 1
	rm -rf "$out" "${new:?}/lib"
	# The image first: newer packages keep it among the modules.
	mkdir -p "$out" "$new/lib/modules" &&
		mv "$kernel_image" "$out/vmlinuz" &&
		mv "$kernel_modules" "$new/lib/modules/" &&
		depmod -b "$new" "$kernel_release" &&
		mv "$new/lib/modules/$kernel_release" "$out/modules" &&
		echo "$kernel_release" > "$out/release.tmp" &&
		mv "$out/release.tmp" "$out/release" # last: the suite is complete
}

if [ $# -lt 2 ]; then
	echo "usage: kernels.sh DIR SUITE..." >&2
	exit 2
fi
dir=$1
shift
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
new=$(mktemp -d "$dir/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
rc=0
for suite; do
	fetch_suite "$suite" || rc=1
done
exit $rc
