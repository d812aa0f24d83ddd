#!/bin/bash
# SPDX-License-Identifier: MIT
# make deb: what make install installs, as a Debian package for the architecture and release that it is built on.
#   build.sh VERSION DIR      leaves DIR/rebpf_VERSION_ARCH.deb; DEBFULLNAME and DEBEMAIL are its maintainer
set -eu
cd "$(dirname "$0")/../.."

version=$1
dir=$2
here=scripts/deb
maintainer="${DEBFULLNAME:-rebpf developers} <${DEBEMAIL:-developers@rebpf.invalid}>"
arch=$(dpkg --print-architecture)
root=$dir/root
deb=$dir/rebpf_${version}_$arch.deb

rm -rf "$dir"
mkdir -p "$root/DEBIAN" "$dir/debian"
make --no-print-directory install DESTDIR="$root" PREFIX=/usr ZSH_DIR=/usr/share/zsh/vendor-completions
strip --strip-unneeded -R .comment -R .note "$root/usr/bin/rebpf"

# As Debian's policy wants it: compressed manual page and changelog, copyright instead of a licence file.
doc=$root/usr/share/doc/rebpf
gzip -9n "$root/usr/share/man/man8/rebpf.8"
rm "$doc/LICENSE"
{
	sed "s/@COPYRIGHT@/$(sed -n 's/^Copyright (c) //p' LICENSE)/" $here/copyright
	sed -n '/^Permission/,$p' LICENSE | sed 's/^$/./; s/^/ /'
} > "$doc/copyright"
date=$(date -R -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || stat -c %Y Makefile)}")
sed "s/@VERSION@/$version/; s/@DATE@/$date/; s/@MAINTAINER@/$maintainer/" $here/changelog | gzip -9n > "$doc/changelog.gz"
install -D -m 644 $here/default "$root/etc/default/rebpf"

# dpkg-shlibdeps looks for debian/control in the current directory.
sed "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@MAINTAINER@/$maintainer/" $here/control > "$dir/control"
printf 'Source: rebpf\n\nPackage: rebpf\nArchitecture: any\n' > "$dir/debian/control"
depends=$(cd "$dir" && dpkg-shlibdeps -O root/usr/bin/rebpf | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo "dpkg-shlibdeps found no dependencies" >&2; exit 1; }
size=$(du -ks --exclude=DEBIAN "$root" | cut -f 1)
sed "s/@DEPENDS@/$depends/; s/@SIZE@/$size/" "$dir/control" > "$root/DEBIAN/control"
echo /etc/default/rebpf > "$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"
install -m 755 $here/{postinst,prerm,postrm} "$root/DEBIAN/"

chmod -R u+rwX,go+rX,go-w "$root"
dpkg-deb --root-owner-group -b "$root" "$deb" > /dev/null
rm -rf "$root" "$dir/debian" "$dir/control"
echo "$deb"
