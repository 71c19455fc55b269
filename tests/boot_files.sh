#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/boot_files.sh BUILD DIRECTORY - into DIRECTORY what Linux needs as a guest: boot, vmlinuz, initrd
#
# Prints the name of the kernel.  Exit status 77 and a line on stderr when something cannot be had.
set -u

here=$(dirname "$0")
# shellcheck source=tests/initrd_lib.sh
. "$here/initrd_lib.sh"
kernel=$("$here/boot.sh") || exit
"${CC:-cc}" -O2 -static -o "$2/init" "$here/guest/init.c" 2>/dev/null || {
	echo "no static C library for the guest's first program" >&2
	exit 77
}
{
	entry init 0100755 "$2/init"
	entry 'TRAILER!!!' 0
} >"$2/initrd"
cp "$1/examples/boot" "$2/boot"
cp "$kernel" "$2/vmlinuz"
basename "$kernel"
