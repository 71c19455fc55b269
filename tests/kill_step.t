#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/kill_step.t - a converter is killed at any of its instructions, on every engine
#
#   KILL_SAMPLES=0 RUN_TIMEOUT=36000 tests/kill_step.t: at each of them (docs/testing.md)

. "$(dirname "$0")/common.sh"

RUN_TIMEOUT=${RUN_TIMEOUT:-100}
for engine in $(engines); do
	run_tap "$engine" "$gmem" run --profile linux-7.4 --engine "$engine" -- "$build/tests/run_kill_step" "${KILL_SAMPLES:-3}"
done
done_testing
