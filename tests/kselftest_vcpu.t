#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/kselftest_vcpu.t - the kernel's selftests of vCPUs, memslots and interrupts, unmodified: the rest of kselftest.list

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/kselftest_lib.sh"

best=$(engines | head -n 1)
grep -v '^#' "$(dirname "$0")/kselftest.list" >"$work/list"
while read -r profiles command; do
	case $command in
	# kselftest.t has them, under more profiles and engines.
	guest_memfd_test | set_memory_region_test | pre_fault_memory_test | x86/private_mem_*) continue ;;
	# kselftest_forks.t
	hardware_disable_test) continue ;;
	*' -u '*)
		if "$gmem" doctor | grep -q '^note *userfaultfd'; then
			skip "$command: userfaultfd(2) is refused here"
			continue
		fi
		;;
	esac
	SELFTEST_TIMEOUT=60 selftest "linux-${profiles%%,*}" "$best" $command
done <"$work/list"
done_testing
