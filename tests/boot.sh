#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/boot.sh - get Debian's kernel for virtual machines, outside the tree
#
#   tests/boot.sh                prints the file of the kernel
#
# Fetched through apt as this machine is configured, into directories of its own:
# nothing is installed and apt's own lists stay as they are.  Exit status 77 and
# one line on stderr when the package cannot be had.
set -u

unavailable() {
	echo "$1" >&2
	exit 77
}

cache=${XDG_CACHE_HOME:-/var/tmp}/gmem-boot
# A kernel serves until the cache is removed: GMEM_BOOT_UPDATE=1 looks for a newer package.
if [ -z "${GMEM_BOOT_UPDATE:-}" ] && [ -s "$cache/current" ] && [ -r "$(cat "$cache/current")" ]; then
	cat "$cache/current"
	exit 0
fi
[ "$(uname -m)" = x86_64 ] || unavailable "this is no x86-64 machine"
for tool in apt-get apt-cache dpkg-deb tar; do
	command -v $tool >/dev/null || unavailable "$tool is not installed"
done
mkdir -p "$cache" || unavailable "cannot write $cache"

work=$(mktemp -d "$cache/work.XXXXXX") || unavailable "cannot write $cache"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
private_apt() {
	"$@" -q -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= \
		-o Acquire::Languages=none -o Acquire::Retries=2
}
why() {
	tail -n 1 "$work/log" | sed 's,//[^/ ]*,//...,g'
}

private_apt apt-get update >"$work/log" 2>&1 || unavailable "apt-get update: $(why)"
# The package of that name is empty: it depends on the newest kernel.
package=$(private_apt apt-cache depends linux-image-cloud-amd64 2>/dev/null |
	sed -n 's/^ *|*Depends: *\(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1)
[ -n "$package" ] || unavailable "apt knows no linux-image-cloud-amd64"
(cd "$work" && private_apt apt-get download "$package") >"$work/log" 2>&1 ||
	unavailable "$package cannot be downloaded: $(why)"

kernel=$cache/vmlinuz-${package#linux-image-}
dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -xO "./boot/vmlinuz-${package#linux-image-}" >"$work/vmlinuz"
[ -s "$work/vmlinuz" ] || unavailable "$package holds no kernel"
mv "$work/vmlinuz" "$kernel"
echo "$kernel" >"$cache/current"
echo "$kernel"
