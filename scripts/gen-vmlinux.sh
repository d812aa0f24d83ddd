#!/bin/bash
# SPDX-License-Identifier: MIT
# Writes vmlinux/ARCH/vmlinux.h from the BTF inside Debian's newest cloud kernel of that architecture:
#   scripts/gen-vmlinux.sh x86|arm64
# Needs no root and no kernel of that architecture, only apt, bpftool and the decompressors.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/debian-kernel.sh
. "$top/scripts/debian-kernel.sh"

die() {
	echo "gen-vmlinux.sh: $*" >&2
	exit 1
}

offsets() { # FILE PATTERN: where the bytes occur
	LC_ALL=C grep -aboP "$2" "$1" | cut -d : -f 1
}

extract_btf() { # FILE OUT: finds the raw BTF by its header; fails if there is none
	local at magic hdr_len type_off type_len str_off str_len
	for at in $(offsets "$1" '\x9f\xeb\x01\x00\x18\x00\x00\x00\x00\x00\x00\x00'); do
		# shellcheck disable=SC2034
		read -r magic hdr_len type_off type_len str_off str_len < <(tail -c +$((at + 1)) "$1" | od -An -tu4 -N24 -w24)
		if [ "$type_len" -eq 0 ] || [ "$str_off" -ne "$type_len" ] || [ "$str_len" -eq 0 ]; then continue; fi
		tail -c +$((at + 1)) "$1" | head -c $((hdr_len + type_len + str_len)) > "$2"
		return 0
	done
	return 1
}

find_btf() { # VMLINUZ OUT: looks into the image itself, then into whatever is compressed in it
	local tool magic at
	extract_btf "$1" "$2" && return 0
	while read -r tool magic; do
		for at in $(offsets "$1" "$magic" | head -n 4); do
			# The stream's end is followed by other bytes, so the tool's status says nothing.
			tail -c +$((at + 1)) "$1" | "$tool" -dc > "$2.image" 2> /dev/null || true
			extract_btf "$2.image" "$2" && return 0
		done
	done <<-'END'
		zstd \x28\xb5\x2f\xfd
		xz \xfd7zXZ\x00
		gzip \x1f\x8b\x08
		lz4 \x02\x21\x4c\x18
	END
	return 1
}

# The kernel embeds some structs without naming the member (gcc -fms-extensions): "struct slock_owned;".
# Without that flag this declares nothing and loses fields, so write the members out.
inline_anonymous() { # HEADER
	awk '
		function out(line, indent,    name, n, i, body) {
			if (line !~ /^\t+(struct|union) [A-Za-z0-9_]+;$/) { print indent line; return }
			name = line; gsub(/^\t+|;$/, "", name)
			match(line, /^\t+/)
			indent = indent substr(line, 1, RLENGTH)
			n = split(members[name], body, "\n")
			print indent substr(name, 1, index(name, " ") - 1) " {"
			for (i = 1; i < n; i++) out(body[i], indent)
			print indent ends[name]
		}
		FNR == NR && /^(struct|union) [A-Za-z0-9_]+ {$/ { current = $1 " " $2; next }
		FNR == NR && current != "" && /^}/ { ends[current] = $0; current = ""; next }
		FNR == NR { if (current != "") members[current] = members[current] $0 "\n"; next }
		{ out($0, "") }
	' "$1" "$1"
}

case ${1-} in
x86) arch=amd64 ;;
arm64) arch=arm64 ;;
*) echo "usage: gen-vmlinux.sh x86|arm64" >&2; exit 2 ;;
esac
[ $# -eq 1 ] || { echo "usage: gen-vmlinux.sh x86|arm64" >&2; exit 2; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
debian_kernel "$tmp/apt" sid "$arch"
find_btf "$kernel_image" "$tmp/btf" || die "no BTF in the kernel $kernel_release"
bpftool btf dump file "$tmp/btf" format c > "$tmp/dump.h" || die "bpftool cannot read the BTF of $kernel_release"
{
	echo "/* Types of Linux $kernel_release, from Debian's package. Generated, do not edit. */"
	echo "/* Made by: scripts/gen-vmlinux.sh $1   (bpftool btf dump file BTF format c) */"
	inline_anonymous "$tmp/dump.h"
} > "$tmp/vmlinux.h"
for type in sk_buff tcp_sock inet_connection_sock nf_conn request_sock tcp_request_sock; do
	grep -q "^struct $type {" "$tmp/vmlinux.h" || die "the BTF of $kernel_release has no struct $type"
done
echo '#include "vmlinux.h"' | clang -target bpf -Wall -Werror -I "$tmp" -x c -c - -o /dev/null ||
	die "clang does not accept the header of $kernel_release"
mkdir -p "$top/vmlinux/$1"
mv "$tmp/vmlinux.h" "$top/vmlinux/$1/vmlinux.h"
