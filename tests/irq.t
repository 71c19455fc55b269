#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/irq.t - interrupt controllers, timers and eventfds of a guest

. "$(dirname "$0")/common.sh"

for profile in linux-6.1 linux-7.4; do
	run_tap "$profile" "$gmem" run --profile "$profile" -- "$build/tests/run_irq"
done

done_testing
