# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced, not run. Fetches a Debian kernel of one suite and one architecture without touching the system's apt.

# shellcheck source=scripts/debian-apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian-apt.sh"

# debian_kernel ROOT SUITE ARCH [WHICH]: unpacks a kernel into the new directory ROOT and sets kernel_release, kernel_image (what
# a boot loader takes) and kernel_modules. WHICH: cloud (the newest one of that flavour, the default), another flavour (rt; 16k:
# pages of so many bytes, on arm64), or X.Y (the newest cloud kernel of that series, where the suite has several). On failure
# prints one line and returns 1.
debian_kernel() {
	local root=$1 suite=$2 which=${4:-cloud}

	debian_open "$root" "$suite" "$3" || return 1
	debian_kernel_unpack || {
		# The index of an old suite's security updates may name files that are gone.
		debian_forget_security && debian_kernel_unpack
	}
}

debian_kernel_unpack() { # with the variables of debian_kernel
	local arch=$debian_arch image part deps

	rm -rf "$root/unpacked"
	image=$(debian_kernel_package "$arch" "$which")
	[ -n "$image" ] || { debian_error "$suite has no kernel '$which' for $arch"; return 1; }
	# Newer suites split the package: linux-image only names the ones with the files.
	deps=$image
	for part in base binary modules; do
		deps+=" $(debian_kernel_depends "$image" "linux-$part-[0-9]*")"
	done
	# shellcheck disable=SC2086  # a list of package names
	debian_unpack "$root/unpacked" $deps || return 1

	kernel_modules=$(find "$root/unpacked" -type d -path "*/lib/modules/*/kernel" -prune -print -quit)
	kernel_modules=${kernel_modules%/kernel}
	kernel_image=$(find "$root/unpacked" -type f \( -path '*/boot/vmlinuz*' -o -path '*/lib/modules/*/vmlinuz' \) -print -quit)
	[ -n "$kernel_image" ] || { debian_error "$suite: no vmlinuz in: $deps"; return 1; }
	[ -n "$kernel_modules" ] || { debian_error "$suite: no modules in: $deps"; return 1; }
	# shellcheck disable=SC2034  # for the caller
	kernel_release=${kernel_modules##*/}
}

debian_kernel_package() { # ARCH WHICH: the name of the package of that kernel
	local name
	case $2 in
	[0-9]*.[0-9]*)
		# Of a version that was replaced some packages may be gone: apt shows their names as <name>.
		debian_apt apt-cache pkgnames "linux-image-$2" | grep -E "^linux-image-$2[.+-].*-cloud-$1\$" | sort -rV |
			while read -r name; do
				[ -z "$(debian_kernel_depends "$name" "<linux-*-[0-9]*")" ] || continue
				echo "$name"
				break
			done
		;;
	*k) debian_kernel_depends "linux-image-$1-$2" "linux-image-[0-9]*" ;;
	*) debian_kernel_depends "linux-image-$2-$1" "linux-image-[0-9]*" ;;
	esac
}

debian_kernel_depends() { # PACKAGE GLOB: the first dependency of the package that matches
	debian_apt apt-cache depends --important "$1" 2> /dev/null |
		while read -r kind name; do
			# shellcheck disable=SC2053  # the right side is a pattern
			if [ "$kind" = Depends: ] && [[ $name == $2 ]]; then echo "$name"; break; fi
		done
}
