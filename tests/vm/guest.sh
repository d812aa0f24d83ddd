#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots one kernel of kernels.sh under software emulation and runs a command in it, as root:
#   tests/vm/guest.sh [-m MEM_MB] [-t TIMEOUT_SEC] DIR/KERNEL [FILE...] -- COMMAND...
#   e.g. tests/vm/guest.sh -t 300 build/vm/trixie -- python3 -m pytest tests/e2e
# The command runs in /rebpf, which holds build/rebpf, build/tests, tests and scripts where they exist, and each FILE:
# HOST (at the same place in the guest) or HOST:GUEST; a relative path is one of the repository and of
# /rebpf. The guest has the host's tools and libraries, no network but lo, and no stdin. For a kernel of another architecture
# these are Debian's (fetched into build/ARCH/sysroot), and build/rebpf and build/tests those of build/ARCH (make ARCH=...).
# stdout and stderr are the command's. The exit status is the command's; 124: the time is over,
# 125: no guest, or it died (the end of its console is shown on stderr).
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
self=$top/tests/vm/guest.sh
cd "$top"

# The real tools of the guest; busybox only fills the gaps. No busybox shell: it prefers its own applets.
tools="bash dash grep sed ip tc ss nstat nft iperf3 ethtool bpftool python3 nsenter unshare setpriv setcap capsh
	setsid taskset prlimit mount umount lsns kmod sysctl ping strace timeout sleep date stat od mktemp kill ps"
# The Debian packages that they come from, and what build/rebpf and python3 need: for another architecture.
packages="bash dash grep sed iproute2 nftables iperf3 ethtool bpftool python3 util-linux util-linux-extra mount libcap2-bin
	kmod procps iputils-ping strace coreutils busybox-static netbase libbpf-dev libelf-dev zlib1g-dev libevent-dev"
python_packages="pytest _pytest pluggy iniconfig packaging attr attrs py py.py"
# Modules of the guest, beside all that they need. Most are loaded by the kernel when first used.
module_dirs="net drivers/net"
modules="virtio_pci virtio_console crc32c_generic crc32c-intel crc32c-cryptoapi"
preload="tun dummy veth"

die() {
	echo "guest.sh: $*" >&2
	exit 125
}

usage() {
	echo "usage: guest.sh [-m MEM_MB] [-t TIMEOUT_SEC] DIR/KERNEL [FILE...] -- COMMAND..." >&2
	exit 2
}

# --- What goes into the guest: everything is staged below $stage, with /usr merged.

place() { # HOST GUEST: a file or a directory, and the libraries of the programs in it
	local to=$stage$2 file
	mkdir -p "${to%/*}"
	if [ -d "$1" ]; then
		mkdir -p "$to"
		tar -C "$1" --exclude=__pycache__ --exclude=.pytest_cache -c . | tar -C "$to" -x
	else
		cp -L --preserve=mode,timestamps "$1" "$to"
	fi
	find "$to" -type f \( -perm /111 -o -name '*.so' \) | while read -r file; do libraries "$file"; done
}

libraries() { # FILE: its interpreter and, of the guest's architecture, the libraries that it needs
	local name dir from to
	for name in $(LC_ALL=C readelf -W -d -l "$1" 2> /dev/null |
		sed -n 's,.*(NEEDED).*\[\(.*\)\]$,\1,p; s,.*program interpreter: \(.*\)\]$,\1,p'); do
		for dir in "/usr/lib/$triplet" /usr/lib64 /usr/lib /usr/local/lib; do
			case $name in /*) dir= ;; esac
			from=$dir/${name#/}
			to=$stage/usr/${from#/usr}
			[ -e "$root$from" ] || continue
			if [ ! -e "$to" ]; then
				mkdir -p "${to%/*}"
				cp -L "$root$from" "$to"
				libraries "$to"
			fi
			break
		done
	done
}

pack() { # OUT: the staged files as cpio
	(cd "$stage" && find . -mindepth 1 -print0 | cpio -o -0 -H newc -R 0:0 --quiet) > "$1"
}

stage_tools() {
	local name path
	mkdir -p "$stage"/{dev,proc,sys,tmp,run,root,rebpf,etc,var/tmp,usr/{bin,sbin,lib,lib64,share}}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$stage/"
	ln -s ../run "$stage/var/run"
	for name in $tools; do
		for path in /usr/sbin/$name /usr/bin/$name; do
			[ -x "$root$path" ] || continue
			place "$root$path" "$path"
			break
		done
	done
	for path in /usr/lib/tc "/usr/lib/$triplet/tc" /usr/share/iproute2 /etc/iproute2 /etc/protocols /etc/services; do
		[ ! -e "$root$path" ] || place "$root$path" "$path"
	done
	ln -sf dash "$stage/usr/bin/sh"
	for name in modprobe insmod rmmod lsmod modinfo depmod; do ln -s ../bin/kmod "$stage/usr/sbin/$name"; done
	cp -L "$root/usr/bin/busybox" "$stage/usr/bin/busybox"
	for name in $(busybox --list); do
		[ -e "$stage/usr/bin/$name" ] || [ -e "$stage/usr/sbin/$name" ] || ln -s busybox "$stage/usr/bin/$name"
	done
	printf '%s\n' root:x:0:0:root:/root:/bin/bash nobody:x:65534:65534:nobody:/:/bin/false > "$stage/etc/passwd"
	printf '%s\n' root:x:0: nogroup:x:65534: > "$stage/etc/group"
	printf '%s\n' '127.0.0.1 localhost' '::1 localhost' > "$stage/etc/hosts"
	echo 'hosts: files' > "$stage/etc/nsswitch.conf"
}

stage_python() {
	local version packages name file
	version=$(/usr/bin/python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
	packages=/usr/lib/python3/dist-packages # Python's own, the same for every architecture
	[ -d "$root/usr/lib/$version" ] || die "no $version in $root"
	(cd "$root/" && tar -ch --exclude=test --exclude=idlelib --exclude=ensurepip --exclude=lib2to3 --exclude=tkinter \
		--exclude=turtledemo --exclude=pydoc_data --exclude=__pycache__ --exclude='config-3*' "usr/lib/$version") |
		tar -C "$stage" -x
	find "$stage/usr/lib/$version" -name '*.so' | while read -r name; do libraries "$name"; done
	mkdir -p "$stage$packages"
	for name in $python_packages; do
		for file in "$packages/$name" "$packages/$name"-*; do
			[ ! -e "$file" ] || place "$file" "$file"
		done
	done
	# Emulated, compiling pytest takes seconds.
	/usr/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$stage" \
		"$stage/usr/lib/$version" "$stage$packages" || die "cannot compile the guest's Python"
}

stage_modules() {
	local from=$suite/modules to=$stage/usr/lib/modules/$release name dir
	mkdir -p "$to"
	cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/"
	{
		for dir in $module_dirs; do
			(cd "$from" && find "kernel/$dir" -name '*.ko*' ! -path '*/ethernet/*' ! -path '*/wireless/*')
		done
		for name in $modules; do
			grep -o "^[^:]*/$name\.ko[^:]*" "$from/modules.dep" || true
		done
	} | awk '
		FNR == NR { file = $1; sub(/:$/, "", file); $1 = ""; needs[file] = $0; next }
		{ print $1; print needs[$1] }
	' "$from/modules.dep" - | tr -s ' ' '\n' | grep . | sort -u > "$stage.modules"
	tar -C "$from" -c -T "$stage.modules" | tar -C "$to" -x
	rm "$stage.modules"
	find "$to" -name '*.ko.xz' -exec xz -d {} +
	find "$to" -name '*.ko.zst' -exec zstd -q -d --rm {} +
	depmod -b "$stage" "$release"
}

stage_init() {
	cat > "$stage/init" <<-'END'
		#!/bin/bash
		export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8
		mount -t devtmpfs dev /dev
		mkdir -p /dev/shm /dev/pts
		mount -t devpts devpts /dev/pts
		for at in "proc proc /proc" "sysfs sys /sys" "tracefs tracing /sys/kernel/tracing" "tmpfs shm /dev/shm" \
			"debugfs debug /sys/kernel/debug" "bpf bpf /sys/fs/bpf" "cgroup2 cgroup /sys/fs/cgroup" \
			"tmpfs tmp /tmp" "tmpfs run /run"; do
			mount -t $at
		done
		chmod 1777 /tmp /dev/shm /var/tmp
		ln -s /proc/self/fd /dev/fd
		ln -s fd/0 /dev/stdin
		ln -s fd/1 /dev/stdout
		ln -s fd/2 /dev/stderr
		echo 0 > /proc/sys/kernel/kptr_restrict
		cat /hostname > /proc/sys/kernel/hostname
		ip link set lo up
		modprobe -a -q virtio_pci virtio_console
		modprobe -a -q $(cat /preload)

		wait_for() { # TENTHS COMMAND...
			local i
			for ((i = 0; i < $1; i++)); do "${@:2}" && return 0; sleep 0.1; done
			return 1
		}
		gone() { ! kill -0 "$1" 2> /dev/null; }

		wait_for 100 test -e /dev/vport0p3 || { echo "no virtio ports"; poweroff -f; }
		# Through pipes: a port can only be opened once, but /dev/stdout often.
		exec {out}> >(exec cat > /dev/vport0p1)
		pid_out=$!
		exec {err}> >(exec cat > /dev/vport0p2)
		pid_err=$!
		cd /rebpf
		bash /command < /dev/null >&$out 2>&$err {out}>&- {err}>&-
		status=$?
		exec {out}>&- {err}>&-
		# What the command left running may hold the pipes open: do not wait for ever.
		wait_for 20 gone $pid_out
		wait_for 5 gone $pid_err
		echo $status > /dev/vport0p3
		poweroff -f
	END
	chmod +x "$stage/init"
	echo "${suite##*/}" > "$stage/hostname"
	echo "$preload" > "$stage/preload"
}

make_base() { # built once per kernel, again when this script or the kernel is newer
	stage=$work/base
	mkdir "$stage"
	stage_tools
	stage_python
	stage_modules
	stage_init
	pack "$work/base.cpio"
	mv "$work/base.cpio" "$base"
	rm -rf "$stage"
}

stage_run() { # COMMAND...
	local file guest
	mkdir "$stage"
	for file in "${files[@]}"; do
		case $file in
		*:*) guest=${file#*:} ;;
		*) guest=$file ;;
		esac
		file=${file%%:*}
		[ -e "$file" ] || die "no such file: $file"
		case $guest in
		/bin/* | /sbin/* | /lib/* | /lib64/*) guest=/usr$guest ;;
		/*) ;;
		*) guest=/rebpf/$guest ;;
		esac
		place "$file" "$guest"
	done
	printf '%q ' exec "$@" > "$stage/command"
}

# --- Main

memory=1024
seconds=120
while getopts m:t: option; do
	case $option in
	m) memory=$OPTARG ;;
	t) seconds=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || usage
suite=$1
shift
[ -s "$suite/release" ] || die "no kernel in $suite (run tests/vm/kernels.sh)"
suite=$(cd "$suite" && pwd)
release=$(cat "$suite/release")
base=$suite/base.cpio
arch=amd64
[ ! -e "$suite/arch" ] || arch=$(cat "$suite/arch")
case $arch in
amd64)
	emulate="qemu-system-x86_64 -accel tcg,thread=single -cpu qemu64,+rdrand"
	build=build/x86 triplet=x86_64-linux-gnu console=ttyS0
	;;
arm64)
	# A server's processor, with the atomic instructions of ARMv8.1.
	emulate="qemu-system-aarch64 -M virt -accel tcg,thread=single -cpu neoverse-n1"
	build=build/arm64 triplet=aarch64-linux-gnu console=ttyAMA0
	;;
*) die "no guests of architecture $arch" ;;
esac
if [ "$arch" = "$(dpkg --print-architecture)" ]; then build=build root=''; else root=$top/$build/sysroot; fi

files=()
for file in build/rebpf build/tests; do [ ! -e "$build/${file#*/}" ] || files+=("$build/${file#*/}:$file"); done
for file in tests scripts; do [ ! -e "$file" ] || files+=("$file"); done
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	files+=("$1")
	shift
done
[ $# -ge 2 ] || usage
shift

for file in "${emulate%% *}" busybox cpio depmod readelf; do
	command -v "$file" > /dev/null || die "$file is not installed"
done
# shellcheck disable=SC2086  # a list of package names
[ -z "$root" ] || scripts/debian-sysroot.sh "$root" "$arch" $packages || die "no tools of $arch"

pids=()
work=$(mktemp -d)
# shellcheck disable=SC2317  # called by the trap
cleanup() {
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2> /dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ ! -s "$base" ] || [ "$self" -nt "$base" ] || [ "$suite/release" -nt "$base" ]; then make_base; fi
stage=$work/run
stage_run "$@"
pack "$work/run.cpio"
cat "$base" "$work/run.cpio" > "$work/initrd"
rm -rf "$work/run.cpio" "$stage"

mkfifo "$work/out" "$work/err"
cat "$work/out" &
out=$!
cat "$work/err" >&2 &
err=$!
# shellcheck disable=SC2086  # a command and its options
timeout -k 5 "$seconds" $emulate -smp 2 -m "$memory" \
	-nodefaults -no-user-config -display none -no-reboot \
	-kernel "$suite/vmlinuz" -initrd "$work/initrd" -append "console=$console quiet panic=-1 rebpf.guest" \
	-serial "file:$work/console" -device virtio-serial-pci \
	-chardev "file,id=out,path=$work/out" -device virtserialport,chardev=out,nr=1 \
	-chardev "file,id=err,path=$work/err" -device virtserialport,chardev=err,nr=2 \
	-chardev "file,id=status,path=$work/status" -device virtserialport,chardev=status,nr=3 < /dev/null &
pids=("$!" "$out" "$err")
rc=0
wait "${pids[0]}" || rc=$?
# Had qemu never opened the pipes, their readers would wait for ever.
: <> "$work/out" <> "$work/err"
wait "$out" "$err" || true
pids=()

[ ! -s "$work/status" ] || exit "$(cat "$work/status")"
tail -n 50 "$work/console" 2> /dev/null | tr -d '\r' >&2 || true
[ $rc -ne 124 ] || { echo "guest.sh: ${suite##*/}: stopped after $seconds seconds" >&2; exit 124; }
die "${suite##*/}: the guest ended without a status (qemu: $rc)"
