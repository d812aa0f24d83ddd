# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced, not run. Fetches Debian's cloud kernel of one suite and one architecture without touching the
# system's apt: sources, state and cache are private, and the mirror is the one the system's apt uses.

# debian_kernel ROOT SUITE ARCH: unpacks the newest kernel into the new directory ROOT and sets
# kernel_release, kernel_image (the vmlinuz) and kernel_modules. On failure prints one line and returns 1.
debian_kernel() {
	local root=$1 suite=$2 arch=$3 uri mirror='' security='' meta=linux-image-cloud-$3 image part found deps
	# shellcheck disable=SC2016  # apt's own format
	for uri in $(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages'); do
		case $uri in
		*security*) security=${security:-$uri} ;;
		*) mirror=${mirror:-$uri} ;;
		esac
	done
	[ -n "$mirror" ] || { debian_kernel_error "apt knows no mirror (is this Debian?)"; return 1; }

	rm -rf "$root"
	mkdir -p "$root"/{state/lists/partial,cache/archives/partial,keys,parts,unpacked} || return 1
	root=$(cd "$root" && pwd)
	: > "$root/status"
	cp /usr/share/keyrings/debian-archive-*-{automatic,stable}.gpg "$root/keys/" 2> /dev/null ||
		{ debian_kernel_error "no Debian archive keys in /usr/share/keyrings"; return 1; }
	echo "deb $mirror $suite main" > "$root/sources.list"
	case $suite in
	sid | unstable | experimental) ;;
	*) [ -z "$security" ] || echo "deb $security $suite-security main" >> "$root/sources.list" ;;
	esac

	debian_kernel_apt apt-get update > "$root/log" 2>&1 ||
		{ debian_kernel_error "$suite: apt-get update: $(grep -m 1 '^[EW]:' "$root/log")"; return 1; }
	image=$(debian_kernel_depends "$meta" "linux-image-[0-9]*")
	[ -n "$image" ] || { debian_kernel_error "$suite has no package $meta"; return 1; }
	# Newer suites split the package: linux-image only names the ones with the files.
	deps=$image
	for part in base binary modules; do
		deps+=" $(debian_kernel_depends "$image" "linux-$part-[0-9]*")"
	done
	# shellcheck disable=SC2086  # a list of package names
	(cd "$root" && debian_kernel_apt apt-get download $deps) > "$root/log" 2>&1 ||
		{ debian_kernel_error "$suite: apt-get download: $(grep -m 1 '^[EW]:' "$root/log")"; return 1; }
	for found in "$root"/*.deb; do
		dpkg-deb -x "$found" "$root/unpacked" || { debian_kernel_error "cannot unpack $found"; return 1; }
	done

	kernel_modules=$(find "$root/unpacked" -type d -path "*/lib/modules/*/kernel" -prune -print -quit)
	kernel_modules=${kernel_modules%/kernel}
	kernel_image=$(find "$root/unpacked" -type f \( -path '*/boot/vmlinuz*' -o -path '*/lib/modules/*/vmlinuz' \) -print -quit)
	[ -n "$kernel_image" ] || { debian_kernel_error "$suite: no vmlinuz in: $deps"; return 1; }
	[ -n "$kernel_modules" ] || { debian_kernel_error "$suite: no modules in: $deps"; return 1; }
	# shellcheck disable=SC2034  # for the caller
	kernel_release=${kernel_modules##*/}
}

debian_kernel_error() {
	echo "${0##*/}: $*" >&2
}

debian_kernel_apt() { # COMMAND ARGS...: apt with the private ROOT of the caller
	local cmd=$1
	shift
	"$cmd" -qq -o Dir::State="$root/state" -o Dir::State::status="$root/status" -o Dir::Cache="$root/cache" \
		-o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts="$root/parts" \
		-o Dir::Etc::trusted="$root/keys/none" -o Dir::Etc::trustedparts="$root/keys" \
		-o Dir::Etc::preferences="$root/none" -o Dir::Etc::preferencesparts="$root/parts" \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Acquire::Languages=none \
		-o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false "$@"
}

debian_kernel_depends() { # PACKAGE GLOB: the first dependency of the package that matches
	debian_kernel_apt apt-cache depends --important "$1" 2> /dev/null |
		while read -r kind name; do
			# shellcheck disable=SC2053  # the right side is a pattern
			if [ "$kind" = Depends: ] && [[ $name == $2 ]]; then echo "$name"; break; fi
		done
}
