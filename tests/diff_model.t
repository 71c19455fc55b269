#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/diff_model.t - gmem diff: every profile against the naive model of the specification

. "$(dirname "$0")/diff_lib.sh"

# One engine in turn for each profile: the others have it on another day.
set -- $(engines)
turn=$((seed % $#))
for profile in linux-6.1 linux-6.8 linux-6.12 linux-6.18 linux-7.3 linux-7.4 linux-7.4-vm-attributes linux-7.4-vm-attributes+; do
	shift $turn
	alike "$profile/$1" model "$ops"
	set -- $(engines)
	turn=$(((turn + 1) % $#))
done
done_testing
