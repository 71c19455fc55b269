#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/overlay_fds.t - descriptors of objects, however they come and go
#
# The program states what a kernel does; where this host has a real guest_memfd that can be
# mapped, the kernel itself has to agree.

. "$(dirname "$0")/common.sh"

prog=$build/tests/run_fds
run_native "$prog"
done_testing
