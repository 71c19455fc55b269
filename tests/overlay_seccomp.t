#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/overlay_seccomp.t - programs with a seccomp filter of their own
#
# The program states what a kernel does; where this host has a real guest_memfd that can be
# mapped, the kernel itself has to agree.

. "$(dirname "$0")/common.sh"

prog=$build/tests/run_seccomp
run_native "$prog"

# An image whose filter leaves gmem no way into the kernel does not start, and that is said.
"$gmem" run --report-file "$work/report" -- "$prog" without-place
is $? 126 "without a place for gmem's calls: 126"
grep -q '^gmem: .*inherited a seccomp filter cannot be served' "$work/report"
ok $? "and a report"
done_testing
