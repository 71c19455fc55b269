#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/native.t - the same programs on the real kernel and under gmem: not a line may differ
#
# Needs a host whose own guest_memfd is Linux 6.18's, since profile linux-6.18 is
# what is compared.  The shape of the host (no SMM, its limits of addresses) is
# asked by gmem itself.

. "$(dirname "$0")/common.sh"

case $(uname -r) in
6.18*) ;;
*) skip_all "this kernel is $(uname -r), the comparison is with 6.18" ;;
esac
[ -r /dev/kvm ] && [ -w /dev/kvm ] || skip_all "/dev/kvm is not accessible"
# Not the real one: this test may itself run under gmem.
case ${LD_PRELOAD:-} in *gmem*) skip_all "already under gmem" ;; esac

run() {
	timeout -k 5 60 "$@" </dev/null 2>&1
}

for program in "$build"/tests/run_native_*; do
	[ -x "$program" ] && case $program in *.d) false ;; esac || continue
	name=${program##*/run_native_}
	run "$program" >"$work/native"
	status=$?
	if grep -q '^cannot go on' "$work/native"; then
		skip "$name: $(grep '^cannot go on' "$work/native")"
		continue
	fi
	is "$status" 0 "$name: runs on the real kernel"
	run "$program" >"$work/again"
	diff "$work/native" "$work/again" >"$work/diff"
	ok $? "$name: prints the same twice"
	for engine in $(engines); do
		run "$gmem" run --profile linux-6.18 --shape host --engine "$engine" -- "$program" >"$work/gmem"
		status=$?
		diff -U 2 "$work/native" "$work/gmem" >"$work/diff"
		ok $? "$name: $(grep -cv '^=' "$work/native") lines identical, engine $engine (status $status)"
		sed 1,2d "$work/diff" | diag 60
	done
done

# A page that was converted is like one of a file that starts private: the same lines as on the kernel, again.
program=$build/tests/run_native_buffers
run "$program" >"$work/native"
for engine in $(engines); do
	run "$gmem" run --profile linux-7.4 --engine "$engine" -- "$program" converted >"$work/gmem"
	status=$?
	diff -U 2 "$work/native" "$work/gmem" >"$work/diff"
	ok $? "buffers: the same lines with pages that were converted, engine $engine (status $status)"
	sed 1,2d "$work/diff" | diag 60
done
done_testing
