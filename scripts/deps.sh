#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs what is missing for the build or for the tests on Debian; names the packages elsewhere.
#   deps.sh build|test|cross-arm64|cross-x86|matrix
set -eu

build_packages=(clang llvm gcc make pkg-config bpftool libbpf-dev libelf-dev zlib1g-dev libevent-dev)
test_packages=("${build_packages[@]}" libcmocka-dev python3 python3-pytest iproute2 nftables iperf3 ethtool
	libcap2-bin busybox-static qemu-system-x86 cpio xz-utils zstd kmod util-linux procps prometheus valgrind)
# Of the manual page, completions, examples; of make deb; of make test-packages.
test_packages+=(mandoc groff-base zsh python3-yaml)
deb_packages=("${build_packages[@]}" dpkg-dev)
packages_packages=("${test_packages[@]}" dpkg-dev mmdebstrap lintian)

case ${1-} in
deb) packages=("${deb_packages[@]}") ;;
packages) packages=("${packages_packages[@]}") ;;
build) packages=("${build_packages[@]}") ;;
test) packages=("${test_packages[@]}") ;;
cross-arm64) packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross) ;;
cross-x86) packages=(gcc-x86-64-linux-gnu libc6-dev-amd64-cross) ;;
matrix) packages=("${test_packages[@]}" qemu-system-arm) ;;
*) echo "usage: deps.sh build|test|cross-arm64|cross-x86|matrix" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
	missing=()
	for tool in clang bpftool cc make; do
		command -v "$tool" >/dev/null || missing+=("$tool")
	done
	[ "${#missing[@]}" -eq 0 ] && exit 0
	echo "rebpf needs: ${missing[*]}" >&2
	echo "Fedora: dnf install clang llvm bpftool libbpf-devel elfutils-libelf-devel zlib-devel libevent-devel make gcc" >&2
	echo "Debian: apt-get install ${packages[*]}" >&2
	exit 1
fi

policy=/usr/sbin/policy-rc.d
# One of ours whose run was killed: its number is in it.
owner=$(sed -n 's/^# scripts\/deps.sh of rebpf, process //p' $policy 2>/dev/null || true)
if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then rm -f $policy || true; fi

missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
[ "${#missing[@]}" -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages; as root: apt-get install ${missing[*]}" >&2
	exit 1
fi
echo "installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# Of Prometheus only the programs are wanted: its service is neither started now nor at the next boot.
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	printf '#!/bin/sh\n# scripts/deps.sh of rebpf, process %s\nexit 101\n' $$ > $policy
	chmod +x $policy
fi
apt-get -qq update >&2
apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2
case " ${missing[*]} " in
*" prometheus "*) systemctl disable prometheus.service >/dev/null 2>&1 || true ;;
esac
