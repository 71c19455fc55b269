#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/oracle.sh - ask real kernels, and keep their answers in tests/golden
#
#   tests/oracle.sh BUILD debian            Debian's kernels: bookworm's, trixie's two, 6.18's two, the newest of all
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
seed=${ORACLE_SEED:-$(date +%s)}
ops=${ORACLE_OPS:-5000}
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# shellcheck source=tests/apt_lib.sh
. "$here/apt_lib.sh"
# shellcheck source=tests/initrd_lib.sh
. "$here/initrd_lib.sh"

# profile_of NAME: the one that has to agree with kernel NAME: its series' own, or the last before it.
profile_of() {
	series=linux-${1%%-*}
	"$build/gmem" profiles | grep -x 'linux-[0-9.]*' | { cat; echo "$series"; } | sort -V |
		awk -v s="$series" '$0 == s { print n++ ? s : last } { last = $0 }' | tail -n 1
}

# keep NAME WHAT: answers on stdin; before them what was asked, when, and the profile.
keep() {
	{
		echo "# $2"
		echo "# date: $(date -u +%Y-%m-%d)"
		echo "# profile: $(profile_of "$1")"
		cat
	} >"$work/golden"
	mv "$work/golden" "$golden/$1"
	echo "$1: $(grep -vc '^[#[]' "$golden/$1") answers of $(sed -n 's/^# kernel: //p' "$golden/$1")"
}

# Programs for the kernel: one that needs nothing, and, to be the user of a profile, one with the libraries that it needs.
programs() {
	entry gmem 0100755 "$build/oracle/gmem"
	for folder in usr usr/bin lib lib64 lib/x86_64-linux-gnu; do
		entry "$folder" 040755
	done
	entry usr/bin/gmem 0100755 "$build/gmem"
	entry usr/bin/libgmem-preload.so 0100755 "$build/libgmem-preload.so"
	ldd "$build/gmem" | sed -n 's,^[^/]*\(/[^ ]*\) (.*,\1,p' | while IFS= read -r library; do
		entry "${library#/}" 0100755 "$(readlink -f "$library")"
	done
}

# boot DIRECTORY COMMAND ARGUMENT...: DIRECTORY/vmlinuz with its *.ko runs a command: $work/answers, $work/said.
boot() {
	directory=$1
	shift
	command -v qemu-system-x86_64 >/dev/null || unavailable "qemu-system-x86_64 (qemu-system-x86) is not installed"
	[ -x "$build/oracle/gmem" ] && [ -x "$build/oracle/init" ] || unavailable "make $build/oracle/gmem $build/oracle/init first"
	printf '%s\n' "$@" >"$work/job"
	{
		entry init 0100755 "$build/oracle/init"
		entry job 0100644 "$work/job"
		programs
		entry modules 040755
		for module in "$directory"/*.ko; do
			[ ! -e "$module" ] || entry "modules/$(basename "$module")" 0100644 "$module"
		done
		entry 'TRAILER!!!' 0
	} | gzip -1 >"$work/initrd"
	# One processor: with several, QEMU 7.2 now and then runs code that the kernel is about to patch.  On a busy machine
	# the timer may seem not to work.
	timeout -k 5 "${ORACLE_TIMEOUT:-240}" qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 2048 \
		-nodefaults -display none -serial stdio -no-reboot -kernel "$directory/vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet panic=-1 rdinit=/init nokaslr mitigations=off no_timer_check" </dev/null >"$work/console" 2>&1
	tr -d '\r' <"$work/console" >"$work/text"
	sed -n '/^oracle: begin$/,/^oracle: said$/{/^oracle: /!p}' "$work/text" >"$work/answers"
	sed -n '/^oracle: said$/,/^oracle: end /{/^oracle: /!p}' "$work/text" >"$work/said"
	grep -qx 'oracle: end 0' "$work/text"
}

# ask NAME WHAT DIRECTORY: keep what a kernel answers, then hold it against its profile step by step.
ask() {
	if ! boot "$3" /gmem check --against kernel --answers --poison; then
		tail -n 30 "$work/text" >&2
		echo "$1: the kernel gave no answers" >&2
		return 1
	fi
	keep "$1" "$2" <"$work/answers"
	if ! boot "$3" /usr/bin/gmem diff kernel "$(profile_of "$1")" --ops "$ops" --seed "$seed" --plain-guests; then
		tail -n 60 "$work/text" >&2
		echo "$1: gmem diff, seed $seed, found the above" >&2
		return 1
	fi
	echo "$1: $(cat "$work/answers")"
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

# debian NAME FLAVOUR SERIES SUITE...: the newest kernel of a series ("" is any) in these suites; the flavour is what
# its package's name ends with.
debian() {
	name=$1
	flavour=$2
	wanted=${3:-[0-9][0-9.]*}
	shift 3
	private_suites "$@"
	package=$(private_apt apt-cache pkgnames linux-image- |
		grep -E "^linux-image-$wanted(\.[0-9]+)*([-+][a-z]*[0-9]+)?-$flavour\$" | sort -V | tail -n 1)
	[ -n "$package" ] || unavailable "$* has no linux-image-$wanted-$flavour"
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

# source_of SERIES: find its newest source, $version; fetch_source puts it on the standard output, as xz.  A series that is
# the newest in no suite has no linux-source package, but its kernels' source is kept for as long as they are.
source_of() {
	private_suites bookworm trixie trixie-backports sid experimental
	package=linux-source-$1
	version=$(private_apt apt-cache show "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -V | tail -n 1)
	[ -z "$version" ] || return 0
	private_sources trixie-backports
	package=linux
	version=$(private_apt apt-cache showsrc linux | sed -n 's/^Version: //p' | grep "^$1\." | sort -V | tail -n 1)
	[ -n "$version" ] || unavailable "Debian has no source of Linux $1"
}

fetch_source() {
	if [ "$package" = linux ]; then
		(cd "$work" && private_apt apt-get source --download-only --tar-only "linux=$version") >"$work/log" 2>&1 ||
			unavailable "the source of $version cannot be downloaded: $(private_why)"
		cat "$work"/linux_*.orig.tar.xz
	else
		private_download "$package"
		dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -xO "./usr/src/$package.tar.xz"
	fi
}

# built SERIES: tinyconfig and oracle.config; minutes on two processors.
built() {
	for tool in make flex bison bc; do
		command -v $tool >/dev/null || unavailable "$tool is not installed"
	done
	source_of "$1"
	kernel=$cache/linux-source-$1-$version
	if [ ! -s "$kernel/vmlinuz" ] || ! cmp -s "$kernel/config" "$here/oracle.config"; then
		mkdir -p "$kernel" "$work/src"
		fetch_source >"$work/source" || exit
		xz -dc "$work/source" | tar -x -C "$work/src" --strip-components=1
		rm -f "$work/source" "$work"/linux*.deb "$work"/linux_*
		(
			# What this was made with (O=, CC=) is not for the kernel's make.
			unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL O CC CFLAGS
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
	(debian debian cloud-amd64 "" bookworm) || failed=$?
	(debian debian cloud-amd64 "" trixie) || failed=$?
	# The one with private memory compiled in, for SEV: before 6.18 only such a kernel has files at all.
	(debian generic amd64 "" trixie) || failed=$?
	(debian debian cloud-amd64 6.18 trixie-backports) || failed=$?
	(debian generic amd64 6.18 trixie-backports) || failed=$?
	(debian debian cloud-amd64 "" trixie-backports sid experimental) || failed=$?
	exit $failed
	;;
built)
	if [ -z "${3:-}" ]; then
		private_suites trixie-backports sid experimental
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
