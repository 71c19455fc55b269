#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/diff_program.t - gmem diff: a program with each kind of step compiles by itself, without a warning, and runs
#
# Limit: 300 s

. "$(dirname "$0")/common.sh"

steps=$(sed -n 's/^STEP(\([a-z0-9_]*\),.*/\1/p' "$(dirname "$0")/../diff/step.def")
ok $(($(printf '%s\n' "$steps" | wc -l) < 30)) "diff/step.def has steps"
for step in $steps; do
	"$gmem" diff --program "$step" --seed 1 >"$work/$step.c"
	cc -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror -O0 -o "$work/repro" "$work/$step.c" 2>"$work/err"
	status=$?
	ok $status "$step: compiles"
	diag <"$work/err"
	[ $status -eq 0 ] || continue
	timeout -k 5 60 "$gmem" run --profile linux-7.4 -- "$work/repro" >"$work/out" 2>"$work/err"
	is $? 0 "$step: ends"
	diag <"$work/err"
	[ "$(grep -c '^[a-z0-9_]*(.*): -\?[0-9]' "$work/out")" -eq "$(grep -c '	SHOW(' "$work/$step.c")" ]
	ok $? "$step: says the result of each step"
	case $(tail -n 1 "$work/out") in "$step("*) ;; *) false ;; esac
	ok $? "$step: and ends with it: $(tail -n 1 "$work/out")"
done
"$gmem" diff --program nothing >/dev/null 2>&1
is $? 2 "an unknown step is a usage error"
done_testing
