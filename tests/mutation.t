#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/mutation.t - a refusal that is taken out of core/ or device/ is missed by a unit test
# Limit: 900 s
#
# One mutant for each place that names a rule: all of them, a minute at
# most on an idle machine.  `make mutate` has the other ways to be wrong.

. "$(dirname "$0")/common.sh"

command -v perl >/dev/null 2>&1 || skip_all "no perl"
tests/mutate.pl --checks "$work/mutants" >"$work/out" 2>&1
ok $? "$(tail -n 1 "$work/out")"
diag <"$work/out"
# A tool that finds nothing to take out would find nothing wrong.
mutants=$(sed -n 's/^\([0-9]*\) mutants: .*/\1/p' "$work/out")
[ "${mutants:-0}" -ge 200 ]
ok $? "at least 200 refusals were taken out, one at a time"
done_testing
