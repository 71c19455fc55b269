#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/overlay_signals.t - signals under gmem are what they are on a kernel
#
# The program states what a kernel does; where this host has a real guest_memfd that can be
# mapped, the kernel itself has to agree.

. "$(dirname "$0")/common.sh"

prog=$build/tests/run_signals
run_native "$prog"
done_testing
