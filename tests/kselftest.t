#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/kselftest.t - the kernel's guest-memory selftests, unmodified, guests and all, under the profile of their kernel
#
# Nothing of them is in this tree: kselftest.sh fetches and builds them.  A
# skip (exit status 4) is a failure: profile and vCPU offer what they ask for.

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/kselftest_lib.sh"

for engine in $(engines); do
	for test in guest_memfd_test set_memory_region_test pre_fault_memory_test x86/private_mem_kvm_exits_test; do
		selftest linux-7.3 "$engine" $test
	done
	selftest linux-7.3 "$engine" x86/private_mem_conversions_test
	selftest linux-7.3 "$engine" x86/private_mem_conversions_test -n 4 -m 2
done
# What does not depend on the engine: private memory that no host view shows.
best=$(engines | head -n 1)
for test in guest_memfd_test pre_fault_memory_test x86/private_mem_conversions_test x86/private_mem_kvm_exits_test; do
	selftest linux-7.4-vm-attributes "$best" $test
done
done_testing
