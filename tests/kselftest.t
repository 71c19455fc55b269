#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/kselftest.t - the kernel's own selftests, unmodified, under the profile of their kernel
#
# Nothing of them is in this tree: kselftest.sh fetches and builds them.  This
# build has no vCPU: KVM_CREATE_VCPU runs the kernel's checks and answers
# ENOMEM.  So a test holds when it passes, or when the only assertion that failed
# is KVM_CREATE_VCPU's.  A skip (exit status 4) is a failure.

. "$(dirname "$0")/common.sh"

dir=$("$(dirname "$0")/kselftest.sh" 2>"$work/why")
case $? in
0) ;;
77) skip_all "$(tail -n 1 "$work/why")" ;;
*)
	ok 1 "the selftests build"
	diag <"$work/why"
	done_testing
	;;
esac
echo "# $(cat "$dir/version")"

# What the library prints when KVM_CREATE_VCPU fails, and no other assertion.
holds() {
	[ "$1" -eq 0 ] && return 0
	[ "$1" -eq 254 ] || return 1
	[ "$(grep -c 'Test Assertion Failure' "$work/out")" -eq 1 ] || return 1
	grep -q '^ *KVM_CREATE_VCPU failed, rc: -1 errno: 12' "$work/out"
}

for engine in $(engines); do
	for test in guest_memfd_test set_memory_region_no_vcpu set_memory_region_test; do
		timeout -k 5 120 "$gmem" run --profile linux-7.3 --engine "$engine" -- "$dir/$test" \
			>"$work/out" 2>&1 </dev/null
		status=$?
		holds $status
		ok $? "$test, engine $engine: every assertion before KVM_CREATE_VCPU holds (status $status)"
		holds $status || diag <"$work/out"
	done
done
done_testing
