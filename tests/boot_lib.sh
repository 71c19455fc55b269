# SPDX-License-Identifier: MIT
#
# tests/boot_lib.sh - what tests that boot Linux share.  Sourced after common.sh.
# shellcheck shell=sh

# fetch_guest: $work/vmlinuz and $work/initrd, whose first program is tests/guest/init.c; or the test is skipped.
fetch_guest() {
	"$(dirname "$0")/boot_files.sh" "$build" "$work" >"$work/kernel" 2>"$work/why"
	case $? in
	0) echo "# $(cat "$work/kernel")" ;;
	77) skip_all "$(tail -n 1 "$work/why")" ;;
	*)
		ok 1 "the kernel is fetched"
		diag <"$work/why"
		done_testing
		;;
	esac
}
