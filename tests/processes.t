#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/processes.t - one file in several processes, on every engine

. "$(dirname "$0")/common.sh"

for engine in $(engines); do
	run_tap "processes, $engine" "$gmem" run --profile linux-7.4 --engine "$engine" -- "$build/tests/run_processes" 3
done
done_testing
