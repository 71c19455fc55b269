#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/sweep.t - whole programs and the command, with each system call and allocation of gmem's failing in turn
#
#   SWEEP_SAMPLES=0: every one of them, on every engine (make sweep, docs/testing.md)
# Limit: 14400 s

. "$(dirname "$0")/common.sh"

# Each engine takes a third of the scenarios, and each mode other operations.
samples=${SWEEP_SAMPLES:-4}
scenarios=$("$build/tests/run_swept" || true)
n=0
for engine in $(engines); do
	for mode in one lasting descriptors; do
		for scenario in $scenarios; do
			n=$((n + 1))
			[ "$samples" -ne 0 ] && [ $((n % 3)) -ne 0 ] && continue
			RUN_TIMEOUT=3600 run_tap "$engine" "$build/tests/run_sweep" --engine "$engine" --mode $mode --samples "$samples" \
				"$gmem" "$build/tests/libgmem-preload-faults.so" "$build/tests/run_swept" "$scenario"
		done
	done
done

# The command itself: each of its system calls.
command() {
	RUN_TIMEOUT=3600 run_tap "command" "$build/tests/run_sweep_command" --samples "$samples" "$gmem" "$@"
}
for verb in profiles explain doctor "doctor --json" "caps --all" "caps --host" "check --against linux-7.4 --tap caps.device"; do
	# The words are parted on purpose.
	command $verb
done
for scenario in convert several executes passes; do
	[ "$samples" -ne 0 ] && [ $scenario != passes ] && continue
	command run --summary -- "$build/tests/run_swept" $scenario
done
done_testing
