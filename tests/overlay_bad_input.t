#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/overlay_bad_input.t - bad pointers, absurd sizes, races, limits
#
# The program states what a kernel does; where this host has a real guest_memfd
# that can be mapped, the kernel itself has to agree.

. "$(dirname "$0")/common.sh"

prog=$build/tests/run_bad_input
if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
	run_tap "real kernel" "$prog"
fi
for engine in $(engines); do
	for profile in linux-6.18 linux-7.4; do
		run_tap "$profile, $engine" "$gmem" run --profile $profile --engine "$engine" -- "$prog"
	done
done
done_testing
