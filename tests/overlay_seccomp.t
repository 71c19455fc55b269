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

# gmem run within gmem run; then behind a filter of the program between the two.
run_tap "nested" "$gmem" run -- "$gmem" run --profile linux-7.4 -- "$build/tests/run_inplace_pin"
is "$(cat "$work/err")" "" "nested: the outer one takes no interest in the files of the inner"
run_tap "nested, filtered" "$gmem" run -- "$build/tests/run_filtered" kill 319 \
	"$gmem" run --profile linux-7.4 -- "$build/tests/run_inplace_pin"
grep -q '^gmem: started by a program with a seccomp filter' "$work/err"
ok $? "nested, filtered: and says that it is"
# socket(2): the broker's.
"$gmem" run -- "$build/tests/run_filtered" trap 41 "$gmem" run -- true 2>"$work/err"
is $? 125 "a call that gmem run needs is trapped: 125"
grep -q 'forbids system call 41' "$work/err"
ok $? "... with its number"
"$gmem" run -- "$build/tests/run_filtered" errno 41 "$gmem" run -- true 2>"$work/err"
is $? 125 "the same, forbidden by an errno"
grep -q 'cannot make the socket of the broker: Operation not permitted' "$work/err"
ok $? "... with what it was for"
"$gmem" run -- "$build/tests/run_filtered" kill 41 "$gmem" run -- true 2>"$work/err"
is $? 159 "the same, killed"
grep -q 'it may end by SIGSYS' "$work/err"
ok $? "... with a warning before"
done_testing
