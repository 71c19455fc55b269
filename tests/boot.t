#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/boot.t - Debian's kernel boots to user space in a guest_memfd file, on the software vCPU
#
# boot.sh fetches the kernel; its first program is tests/guest/init.c, whose
# lines are test points of their own.

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/initrd_lib.sh"

here=$(dirname "$0")
command -v "${CC:-cc}" >/dev/null || skip_all "no compiler for the guest's first program"
"${CC:-cc}" -O2 -static -o "$work/init" "$here/guest/init.c" 2>"$work/why" ||
	skip_all "no static C library for the guest's first program"
kernel=$("$here/boot.sh" 2>"$work/why")
case $? in
0) ;;
77) skip_all "$(tail -n 1 "$work/why")" ;;
*)
	ok 1 "the kernel is fetched"
	diag <"$work/why"
	done_testing
	;;
esac
echo "# $(basename "$kernel")"

{
	entry init 0100755 "$work/init"
	entry 'TRAILER!!!' 0
} >"$work/initrd"

complaints='unchecked MSR|invalid opcode|general protection|WARNING:|Oops|BUG:|alg: .*fail'

# boot ENGINE VCPUS
boot() {
	BOOT_CPUS=$2
	export BOOT_CPUS
	timeout -k 5 120 "$gmem" run --profile linux-6.18 --cpu soft --engine "$1" -- \
		"$build/examples/boot" "$kernel" "$work/initrd" >"$work/console" 2>"$work/err" </dev/null
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
