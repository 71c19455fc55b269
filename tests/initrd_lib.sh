# SPDX-License-Identifier: MIT
#
# tests/initrd_lib.sh - archives for the kernel's initramfs, without cpio.  Sourced.
# shellcheck shell=sh

# entry NAME MODE [FILE]: one of a cpio archive of the kernel's format, "newc".
entry() {
	size=0
	[ -z "${3:-}" ] || size=$(wc -c <"$3")
	name=$((${#1} + 1))
	printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' \
		1 "$2" 0 0 1 0 "$size" 0 0 0 0 $name 0 "$1"
	head -c $(((4 - (110 + name) % 4) % 4)) /dev/zero
	[ -z "${3:-}" ] || cat "$3"
	head -c $(((4 - size % 4) % 4)) /dev/zero
}
