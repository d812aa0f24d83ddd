#!/bin/bash
# SPDX-License-Identifier: MIT
# Fetches Debian's kernels and unpacks them, without touching the system's apt:
#   tests/vm/kernels.sh DIR NAME...      e.g. tests/vm/kernels.sh build/vm bullseye trixie trixie-rt sid-arm64
# NAME: SUITE[-WHICH][-arm64]. WHICH: rt (PREEMPT_RT), 16k (pages of 16 KiB), or X.Y (where a suite has several series, as
# trixie-backports has); else the suite's newest cloud kernel. Without -arm64: amd64.
# Each yields DIR/NAME/{vmlinuz,modules/,arch,release}; one that is there already is left alone.
set -eu
# shellcheck source=scripts/debian-kernel.sh
. "$(dirname "$0")/../../scripts/debian-kernel.sh"

# What newer arm64 kernels are packed in, the EFI "zboot" format, is for EFI only: drivers/firmware/efi/libstub/zboot-header.S.
unpack_zboot() { # FROM TO
	local at size kind
	if [ "$(head -c 8 "$1" | tail -c 4 | tr '\0' ' ')" != zimg ]; then mv "$1" "$2"; return; fi
	read -r at size < <(tail -c +9 "$1" | od -An -tu4 -N8)
	kind=$(tail -c +25 "$1" | head -c 16 | tr -d '\0')
	case $kind in
	gzip | xz | lzma) ;;
	zstd*) kind=zstd ;;
	*) debian_error "$1: compressed by '$kind'"; return 1 ;;
	esac
	# The decompressed size follows the stream.
	tail -c +$((at + 1)) "$1" | head -c "$size" | "$kind" -dcq > "$2" 2> "$new/log" || [ -s "$2" ]
}

fetch() { # NAME: 1 after one line on stderr if it cannot be fetched
	local out=$dir/$1 name=$1 suite arch=amd64 which=cloud
	[ -s "$out/release" ] && [ -s "$out/vmlinuz" ] && [ -s "$out/modules/modules.dep" ] && return 0
	case $name in *-arm64) arch=arm64 name=${name%-arm64} ;; esac
	suite=$name
	case $name in *-rt | *-16k | *-[0-9]*.[0-9]*) which=${name##*-} suite=${name%-*} ;; esac
	debian_kernel "$new/apt" "$suite" "$arch" "$which" || return 1
	rm -rf "$out" "${new:?}/lib"
	# The image first: newer packages keep it among the modules.
	mkdir -p "$out" "$new/lib/modules" &&
		unpack_zboot "$kernel_image" "$out/vmlinuz" &&
		mv "$kernel_modules" "$new/lib/modules/" &&
		depmod -b "$new" "$kernel_release" &&
		mv "$new/lib/modules/$kernel_release" "$out/modules" &&
		echo "$arch" > "$out/arch" &&
		echo "$kernel_release" > "$out/release.tmp" &&
		mv "$out/release.tmp" "$out/release" # last: the kernel is complete
}

if [ $# -lt 2 ]; then
	echo "usage: kernels.sh DIR NAME..." >&2
	exit 2
fi
dir=$1
shift
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
new=$(mktemp -d "$dir/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
rc=0
for name; do
	fetch "$name" || rc=1
done
exit $rc
