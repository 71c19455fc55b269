#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/kselftest_forks.t - the kernel's hardware_disable_test: 512 processes with a virtual machine each, killed
#
# On its own since it takes its time: each has 64 threads that want the
# processors, and all wait for the vCPU that is added last.

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/kselftest_lib.sh"

SELFTEST_TIMEOUT=280
selftest linux-7.3 "$(engines | head -n 1)" hardware_disable_test
done_testing
