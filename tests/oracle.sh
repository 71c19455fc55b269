#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/oracle.sh - ask real kernels, and keep their answers in tests/golden
#
#   tests/oracle.sh BUILD debian            Debian's kernels: bookworm's, trixie's two, the newest of sid and experimental
#   tests/oracle.sh BUILD host              the running kernel
#   tests/oracle.sh BUILD built [SERIES]    a kernel built here with CONFIG_KVM_SW_PROTECTED_VM, of linux-source-SERIES
#
# Kernels run in QEMU, whose interpreter has AMD's nested paging: no KVM is needed.
# Packages come through apt into a directory of their own; a kernel is kept there
# until the archive has a newer one.  Exit status 77 and a line on stderr when
# something cannot be had.
set -u

unavailable() {
	echo "$1" >&2
	exit 77
}

here=$(dirname "$0")
[ $# -ge 2 ] || { echo "usage: $0 BUILD debian|host|built [SERIES]" >&2; exit 2; }
build=$1
mode=$2
golden=$here/golden
cache=${XDG_CACHE_HOME:-/var/tmp}/gmem-oracle
[ "$(uname -m)" = x86_64 ] || unavailable "this is no x86-64 machine"
for tool in xz gzip "${CC:-cc}"; do
	command -v "${tool##* }" >/dev/null || unavailable "$tool is not installed"
done
mkdir -p "$cache" "$golden" || unavailable "cannot write $cache"
work=$(mktemp -d "$cache/work.XXXXXX") || unavailable "cannot write $cache"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# shellcheck source=tests/apt_lib.sh
. "$here/apt_lib.sh"
# shellcheck source=tests/initrd_lib.sh
. "$here/initrd_lib.sh"

# keep NAME WHAT: answers on stdin; before them what was asked, when, and the profile that has to agree:
# the kernel's own, or the last before it.
keep() {
	series=linux-${1%%-*}
	profile=$("$build/gmem" profiles | grep -x 'linux-[0-9.]*' | { cat; echo "$series"; } | sort -V |
		awk -v s="$series" '$0 == s { print n++ ? s : last } { last = $0 }' | tail -n 1)
	{
		echo "# $2"
		echo "# date: $(date -u +%Y-%m-%d)"
		echo "# profile: $profile"
		cat
	} >"$work/golden"
	mv "$work/golden" "$golden/$1"
	echo "$1: $(grep -vc '^[#[]' "$golden/$1") answers of $(sed -n 's/^# kernel: //p' "$golden/$1")"
}

# ask NAME WHAT DIRECTORY: boot DIRECTORY/vmlinuz with its *.ko, and keep what it answers.
ask() {
	command -v qemu-system-x86_64 >/dev/null || unavailable "qemu-system-x86_64 (qemu-system-x86) is not installed"
	[ -x "$build/oracle/gmem" ] && [ -x "$build/oracle/init" ] || unavailable "make $build/oracle/gmem $build/oracle/init first"
	{
		entry init 0100755 "$build/oracle/init"
		entry gmem 0100755 "$build/oracle/gmem"
		entry modules 040755
		for module in "$3"/*.ko; do
			[ ! -e "$module" ] || entry "modules/$(basename "$module")" 0100644 "$module"
		done
		entry 'TRAILER!!!' 0
	} | gzip -1 >"$work/initrd"
	# One processor: with several, QEMU 7.2 now and then runs code that the kernel is about to patch.
	timeout -k 5 "${ORACLE_TIMEOUT:-240}" qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 2048 \
		-nodefaults -display none -serial stdio -no-reboot -kernel "$3/vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet panic=-1 rdinit=/init nokaslr mitigations=off" </dev/null >"$work/console" 2>&1
	tr -d '\r' <"$work/console" | sed -n '/^oracle: begin$/,/^oracle: end /p' >"$work/answers"
	if ! grep -qx 'oracle: end 0' "$work/answers"; then
		tail -n 30 "$work/console" >&2
		echo "$1: the kernel gave no answers" >&2
		return 1
	fi
	grep -v '^oracle: ' "$work/answers" | keep "$1" "$2"
}

# unpack PACKAGE: the kernel and KVM's modules in it, into $kernel; modules numbered in the order of loading.
unpack() {
	private_download "$1"
	rm -rf "$work/root"
	mkdir "$work/root"
	dpkg-deb --fsys-tarfile "$work/$1"_*.deb | tar -x -C "$work/root"
	rm -f "$work/$1"_*.deb
	find "$work/root" -type f -name 'vmlinuz*' -exec cp {} "$kernel/vmlinuz" \;
	number=0
	for module in irqbypass rng-core ccp kvm kvm-amd; do
		number=$((number + 1))
		find "$work/root" -type f -name "$module.ko*" | while IFS= read -r file; do
			case $file in
			*.xz) xz -dc "$file" >"$kernel/$number-$module.ko" ;;
			*) cp "$file" "$kernel/$number-$module.ko" ;;
			esac
		done
	done
	rm -rf "$work/root"
}

# debian NAME FLAVOUR SUITE...: the newest kernel of these suites; the flavour is what its package's name ends with.
debian() {
	name=$1
	flavour=$2
	shift 2
	private_suites "$@"
	package=$(private_apt apt-cache pkgnames linux-image- | grep -E "^linux-image-[0-9][0-9.]*([-+][a-z]*[0-9]+)?-$flavour\$" |
		sort -V | tail -n 1)
	[ -n "$package" ] || unavailable "$* has no linux-image-*-$flavour"
	version=$(private_apt apt-cache show "$package" | sed -n 's/^Version: //p' | sort -V | tail -n 1)
	kernel=$cache/$package-$version
	if [ ! -s "$kernel/vmlinuz" ] || [ ! -s "$kernel/5-kvm-amd.ko" ]; then
		mkdir -p "$kernel"
		unpack "$package"
		# Newer packages are empty and depend on one of the kernel and one of its modules.
		for part in binary modules; do
			[ -s "$kernel/vmlinuz" ] && [ -s "$kernel/5-kvm-amd.ko" ] || unpack "linux-$part-${package#linux-image-}"
		done
	fi
	series=$(echo "$version" | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')
	ask "$series-$name" "$package $version, in QEMU" "$kernel"
}

# built SERIES: tinyconfig and oracle.config; minutes on two processors.
built() {
	for tool in make flex bison bc; do
		command -v $tool >/dev/null || unavailable "$tool is not installed"
	done
	private_suites bookworm trixie sid experimental
	package=linux-source-$1
	version=$(private_apt apt-cache show "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -V | tail -n 1)
	[ -n "$version" ] || unavailable "Debian has no $package"
	kernel=$cache/$package-$version
	if [ ! -s "$kernel/vmlinuz" ] || ! cmp -s "$kernel/config" "$here/oracle.config"; then
		mkdir -p "$kernel" "$work/src"
		private_download "$package"
		dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -xO "./usr/src/$package.tar.xz" |
			xz -dc | tar -x -C "$work/src" --strip-components=1
		rm -f "$work/$package"_*.deb
		(
			cd "$work/src" && make -s tinyconfig && cat "$cache/oracle.config" >>.config && make -s olddefconfig &&
				nice -n 10 make -s -j2 bzImage
		) >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
		cp "$work/src/arch/x86/boot/bzImage" "$kernel/vmlinuz"
		cp "$here/oracle.config" "$kernel/config"
	fi
	ask "$1-sw-protected" "$package $version with oracle.config, in QEMU" "$kernel"
}

case $mode in
host)
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || unavailable "/dev/kvm is not accessible"
	"$build/gmem" check --against kernel --answers >"$work/host" || exit 1
	# Its version matters, and not who built it.
	sed 's/^\(# kernel: [0-9.]*\).*/\1/' "$work/host" >"$work/answers"
	keep "$(uname -r | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')-host" "the running kernel" <"$work/answers"
	;;
debian)
	failed=0
	(debian debian cloud-amd64 bookworm) || failed=$?
	(debian debian cloud-amd64 trixie) || failed=$?
	# The one with private memory compiled in, for SEV: before 6.18 only such a kernel has files at all.
	(debian generic amd64 trixie) || failed=$?
	(debian debian cloud-amd64 sid experimental) || failed=$?
	exit $failed
	;;
built)
	if [ -z "${3:-}" ]; then
		private_suites sid experimental
		set -- "$1" "$2" "$(private_apt apt-cache pkgnames linux-source- | sed -n 's/^linux-source-\([0-9.]*\)$/\1/p' | sort -V | tail -n 1)"
	fi
	cp "$here/oracle.config" "$cache/oracle.config"
	built "$3"
	;;
*)
	echo "$0: debian, host or built" >&2
	exit 2
	;;
esac
