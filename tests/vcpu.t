#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/vcpu.t - guests on the software vCPU: exits, memory, state, and changes under running vCPUs

. "$(dirname "$0")/common.sh"

for profile in linux-6.18 linux-7.3; do
	for program in emulate exits feature memory msr poison state stop vmm; do
		run_tap "$program, $profile" "$gmem" run --profile $profile -- "$build/tests/run_vcpu_$program"
	done
done
run_tap "exits, linux-6.1" "$gmem" run --profile linux-6.1 -- "$build/tests/run_vcpu_exits"
run_tap "state, linux-7.4" "$gmem" run --profile linux-7.4 -- "$build/tests/run_vcpu_state"
for engine in $(engines); do
	run_tap "emulate, $engine" "$gmem" run --engine "$engine" --profile linux-7.4 -- "$build/tests/run_vcpu_emulate"
	for profile in linux-7.3 linux-7.4; do
		run_tap "stress, $engine, $profile" "$gmem" run --engine "$engine" --profile $profile -- \
			"$build/tests/run_vcpu_stress" --seconds "${STRESS_SECONDS:-2}"
	done
done
done_testing
