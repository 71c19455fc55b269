#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/kselftest.sh - get and build the kernel's own KVM selftests, outside the tree
#
#   tests/kselftest.sh           prints the directory that holds the built tests: those that kselftest.list names
#   tests/kselftest.sh --all     the same with the whole x86 suite in it; minutes, and no part of the ordinary check
#
# The newest linux-source package of Debian's sid or experimental is fetched
# through apt, in a private apt directory: this machine's apt configuration says
# where the archive is and is not changed.  Exit status 77 and one line on
# stderr when the package or what it needs cannot be had.
set -u
# The kernel's makefiles are not part of a make that runs this: its O= is another's build directory.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL O

unavailable() {
	echo "$1" >&2
	exit 77
}

cache=${XDG_CACHE_HOME:-/var/tmp}/gmem-kselftest
list=$(dirname "$0")/kselftest.list
tests=$(awk '!/^#/ { print $2 }' "$list" | sort -u)
all=
case ${1:-} in
--all) all=y ;;
'') ;;
*) echo "usage: $0 [--all]" >&2; exit 2 ;;
esac

built() {
	[ -z "$all" ] || [ -e "$1/all" ] || return 1
	for t in $tests; do
		[ -x "$1/$t" ] || return 1
	done
}

# A finished build serves until the cache is removed: GMEM_KSELFTEST_UPDATE=1 looks for a newer package.
finished() {
	[ -z "${GMEM_KSELFTEST_UPDATE:-}" ] && [ -L "$cache/current" ] && built "$cache/current" && echo "$cache/current"
}
finished && exit 0
for tool in apt-get apt-cache dpkg-deb flock xz tar make gcc; do
	command -v $tool >/dev/null || unavailable "$tool is not installed"
done
mkdir -p "$cache" || unavailable "cannot write $cache"
# Several tests may want them at once: one builds, and the others find its result.
exec 9>"$cache/lock"
flock 9
finished && exit 0

work=$(mktemp -d "$cache/work.XXXXXX") || unavailable "cannot write $cache"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# --- find the package --------------------------------------------------------
# shellcheck source=tests/apt_lib.sh
. "$(dirname "$0")/apt_lib.sh"
private_suites sid experimental
package=$(private_apt apt-cache pkgnames linux-source- | grep -E '^linux-source-[0-9.]+$' | sort -V | tail -n 1)
[ -n "$package" ] || unavailable "sid and experimental have no linux-source package"
version=$(private_apt apt-cache show "$package" | sed -n 's/^Version: //p' | sort -V | tail -n 1)

dir=$cache/$package-$version
if [ -z "$version" ] || ! built "$dir"; then
	# --- get and unpack what the tests need --------------------------------
	private_download "$package"
	mkdir "$work/src"
	top="$package"
	# Unpacked by pipe: the package holds one archive of archives.
	dpkg-deb --fsys-tarfile "$work"/"$package"_*.deb | tar -xO "./usr/src/$package.tar.xz" >"$work/src.tar.xz"
	tar -x -f "$work/src.tar.xz" -C "$work/src" --strip-components=1 --wildcards --no-wildcards-match-slash \
		"$top/Makefile" "$top/Kbuild" "$top/Kconfig" "$top/scripts" "$top/include" "$top/arch/x86" \
		"$top/tools/include" "$top/tools/arch/x86" "$top/tools/scripts" "$top/tools/build" "$top/tools/lib" \
		"$top/tools/testing/selftests" || unavailable "$package does not hold what the selftests need"
	rm -f "$work/src.tar.xz" "$work"/*.deb

	# --- build --------------------------------------------------------------
	make -s -C "$work/src" headers >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
	kvm="$work/src/tools/testing/selftests/kvm"
	# Without the VFIO library, which these tests do not call: it needs more headers and libuuid.
	out="$work/out"
	mkdir -p "$out/x86"
	# shellcheck disable=SC2046,SC2086 # one target a test
	make -s -j2 -C "$kvm" OUTPUT="$out" LIBVFIO_C= LDLIBS=-ldl $(printf "$out/%s " $tests) >"$work/log" 2>&1 ||
		{ tail -n 20 "$work/log" >&2; exit 1; }
	# The suite goes on where one program cannot be built: irq_test wants the VFIO library.
	[ -z "$all" ] || make -s -k -j2 -C "$kvm" OUTPUT="$out" LIBVFIO_C= LDLIBS=-ldl >"$work/log" 2>&1
	mkdir -p "$dir/x86"
	(cd "$out" && find . -type f -perm -100 ! -path './lib/*') | while IFS= read -r t; do
		cp "$out/$t" "$dir/$t.new" && mv "$dir/$t.new" "$dir/$t"
	done
	if [ -n "$all" ]; then
		sed -n 's/^TEST_GEN_PROGS_COMMON *+\{0,1\}= *//p; s/^TEST_GEN_PROGS_x86 += *//p' "$kvm/Makefile.kvm" |
			sort -u >"$dir/all"
	fi
	echo "$package $version" >"$dir/version"
fi
ln -sfn "$dir" "$cache/current"
echo "$cache/current"
