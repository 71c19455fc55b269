#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/boot.t - Debian's kernel boots to user space in a guest_memfd file, on the software vCPU
#
# boot_files.sh fetches the kernel; its first program is tests/guest/init.c, whose
# lines are test points of their own.

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/boot_lib.sh"

fetch_guest

complaints='unchecked MSR|invalid opcode|general protection|WARNING:|Oops|BUG:|alg: .*fail'

# boot ENGINE VCPUS
boot() {
	BOOT_CPUS=$2
	export BOOT_CPUS
	timeout -k 5 120 "$gmem" run --profile linux-6.18 --cpu soft --engine "$1" -- \
		"$build/examples/boot" "$work/vmlinuz" "$work/initrd" >"$work/console" 2>"$work/err" </dev/null
	status=$?
	tr -d '\r' <"$work/console" >"$work/lines"
	ok $status "Linux boots to user space and restarts, engine $1, vCPUs: $2 (status $status)"
	[ $status -eq 0 ] || { tail -n 30 "$work/lines"; cat "$work/err"; } | diag
	grep -qx "init: $2 processors" "$work/lines"
	ok $? "in the guest: all vCPUs are there, engine $1, vCPUs: $2"
	for point in processes sleeps timer floats memory signals; do
		grep -qx "init: $point ok" "$work/lines"
		ok $? "in the guest: $point, engine $1, vCPUs: $2"
		grep "^init: $point: " "$work/lines" | diag
	done
	# What the kernel did not expect of its CPU.
	grep -c -E "$complaints" "$work/lines" >"$work/count"
	is "$(cat "$work/count")" 0 "no complaint of the kernel, engine $1, vCPUs: $2"
	grep -A 6 -E "$complaints" "$work/lines" | diag
}

BOOT_MIB=192
export BOOT_MIB
# Guest memory is found through the engine; the vCPUs are the same with all.
for engine in $(engines); do
	boot "$engine" 1
done
[ "$tap_count" -gt 0 ] || skip_all "no engine runs on this host"
boot "$(engines | head -n 1)" 2
done_testing
