#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/overlay_bad_input.t - bad pointers, absurd sizes, races, limits; arguments that a userfaultfd fills
#
# The program states what a kernel does; where this host has a real guest_memfd that can be
# mapped, the kernel itself has to agree.

. "$(dirname "$0")/common.sh"

prog=$build/tests/run_bad_input
run_native "$prog"
for engine in $(engines); do
	run_tap "userfaultfd, $engine" "$gmem" run --engine "$engine" -- "$build/tests/run_userfault"
done
done_testing
