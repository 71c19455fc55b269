#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/inplace.t - in-place conversion on every engine, and what kernels without it answer

. "$(dirname "$0")/common.sh"

for engine in dp eg remap; do
	if ! "$gmem" run --engine $engine -- true 2>"$work/why"; then
		skip "engine $engine: $(tail -n 1 "$work/why")"
		continue
	fi
	for program in order pages life race pin locks; do
		run_tap "$program, $engine" \
			"$gmem" run --profile linux-7.4 --engine $engine -- "$build/tests/run_inplace_$program"
	done
	run_tap "memory errors, $engine" \
		"$gmem" run --profile linux-7.4 --engine $engine -- "$build/tests/run_poison"
	# The same through the other configuration, once switched on.
	run_tap "pages, chosen, $engine" "$gmem" run --profile linux-7.4-vm-attributes \
		--module-param gmem_in_place_conversion=1 --engine $engine -- "$build/tests/run_inplace_pages"
	for profile in linux-6.8 linux-6.12 linux-6.18 linux-7.3 linux-7.4-vm-attributes; do
		run_tap "$profile, $engine" \
			"$gmem" run --profile $profile --engine $engine -- "$build/tests/run_inplace_lacks" vm
	done
done
run_tap linux-6.1 "$gmem" run --profile linux-6.1 -- "$build/tests/run_inplace_lacks" none
run_tap "linux-7.4-vm-attributes, chosen" "$gmem" run --profile linux-7.4-vm-attributes \
	--module-param gmem_in_place_conversion=1 -- "$build/tests/run_inplace_lacks" chosen
done_testing
