# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced, not run. Debian's packages of any suite and architecture without touching the system's apt: sources, state and
# cache are private, and the mirror is the one the system's apt uses.

# debian_open ROOT SUITE ARCH: makes the new directory ROOT that the functions below work in. On failure prints one line and
# returns 1.
debian_open() {
	local suite=$2 uri mirror='' security=''
	# shellcheck disable=SC2016  # apt's own format
	for uri in $(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages'); do
		case $uri in
		*security*) security=${security:-$uri} ;;
		*) mirror=${mirror:-$uri} ;;
		esac
	done
	[ -n "$mirror" ] || { debian_error "apt knows no mirror (is this Debian?)"; return 1; }

	rm -rf "$1"
	mkdir -p "$1"/{state/lists/partial,cache/archives/partial,keys,parts} || return 1
	debian_root=$(cd "$1" && pwd)
	debian_arch=$3
	: > "$debian_root/status"
	cp /usr/share/keyrings/debian-archive-*-{automatic,stable}.gpg "$debian_root/keys/" 2> /dev/null ||
		{ debian_error "no Debian archive keys in /usr/share/keyrings"; return 1; }
	echo "deb $mirror $suite main" > "$debian_root/sources.list"
	case $suite in
	sid | unstable | experimental | *-backports) ;;
	*) [ -z "$security" ] || echo "deb $security $suite-security main" >> "$debian_root/sources.list" ;;
	esac
	debian_update
}

debian_update() {
	debian_apt apt-get update > "$debian_root/log" 2>&1 ||
		{ debian_error "apt-get update: $(grep -m 1 '^[EW]:' "$debian_root/log")"; return 1; }
}

# Leaves out the security updates. 1: there were none.
debian_forget_security() {
	grep -q -- '-security ' "$debian_root/sources.list" || return 1
	sed -i '/-security /d' "$debian_root/sources.list"
	debian_update
}

debian_error() {
	echo "${0##*/}: $*" >&2
}

debian_apt() { # COMMAND ARGS...: apt in the private root
	local cmd=$1
	shift
	"$cmd" -qq -o Dir::State="$debian_root/state" -o Dir::State::status="$debian_root/status" \
		-o Dir::Cache="$debian_root/cache" \
		-o Dir::Etc::sourcelist="$debian_root/sources.list" -o Dir::Etc::sourceparts="$debian_root/parts" \
		-o Dir::Etc::trusted="$debian_root/keys/none" -o Dir::Etc::trustedparts="$debian_root/keys" \
		-o Dir::Etc::preferences="$debian_root/none" -o Dir::Etc::preferencesparts="$debian_root/parts" \
		-o APT::Architecture="$debian_arch" -o APT::Architectures="$debian_arch" -o Acquire::Languages=none \
		-o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false "$@"
}

# debian_unpack TO PACKAGE...: unpacks these packages, not what they depend on.
debian_unpack() {
	local to=$1 deb
	shift
	mkdir -p "$debian_root/debs" "$to" || return 1
	(cd "$debian_root/debs" && debian_apt apt-get download "$@") > "$debian_root/log" 2>&1 ||
		{ debian_error "apt-get download: $(grep -m 1 '^[EW]:' "$debian_root/log")"; return 1; }
	for deb in "$debian_root"/debs/*.deb; do
		# Not dpkg-deb -x: it makes directories of the links /bin, /lib and /sbin of a merged /usr.
		dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$to" ||
			{ debian_error "cannot unpack ${deb##*/}"; return 1; }
	done
	rm -rf "$debian_root/debs"
}

# debian_closure PACKAGE...: these packages and all that they depend on, one a line.
debian_closure() {
	debian_apt apt-get install --simulate --no-install-recommends "$@" | sed -n 's/^Inst \([^ ]*\) .*/\1/p'
}
