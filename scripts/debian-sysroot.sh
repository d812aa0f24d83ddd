#!/bin/bash
# SPDX-License-Identifier: MIT
# Unpacks packages of another architecture, with all that they depend on, into a directory: to link against, to run in a guest.
#   debian-sysroot.sh DIR ARCH PACKAGE...      e.g. debian-sysroot.sh build/arm64/sysroot arm64 libbpf-dev
# They are of the host's own suite. What DIR has already is left alone; nothing is installed or configured.
set -eu
# shellcheck source=scripts/debian-apt.sh
. "$(dirname "$0")/debian-apt.sh"

missing() { # PACKAGE...: those that are not in $have
	printf '%s\n' "$@" | sort -u | comm -23 - <(sort -u "$have")
}

if [ $# -lt 3 ]; then
	echo "usage: debian-sysroot.sh DIR ARCH PACKAGE..." >&2
	exit 2
fi
dir=$1
arch=$2
shift 2
have=$dir/.packages
mkdir -p "$dir"
exec {lock}> "$dir/.lock"
flock "$lock"
touch "$have"
[ -n "$(missing "$@")" ] || exit 0

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
debian_open "$tmp/apt" "$suite" "$arch"
closure=$(debian_closure "$@") || { debian_error "cannot resolve: $*"; exit 1; }
# shellcheck disable=SC2086  # a list of package names
new=$(missing $closure)
echo "unpacking $(wc -w <<< "$new") packages of $arch into $dir" >&2
mkdir -p "$dir"/usr/{bin,sbin,lib,lib64}
for name in bin sbin lib lib64; do [ -e "$dir/$name" ] || ln -s "usr/$name" "$dir/$name"; done
# shellcheck disable=SC2086  # a list of package names
debian_unpack "$dir" $new
# Their absolute links mean this directory, not the host's.
find "$dir" -type l -lname '/*' | while read -r name; do ln -sfnr "$dir$(readlink "$name")" "$name"; done
echo "$new" >> "$have"
