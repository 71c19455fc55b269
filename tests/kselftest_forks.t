#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/kselftest_forks.t - the kernel's hardware_disable_test: 512 processes with a virtual machine each, killed
#
# On its own since it takes its time, and no KVM is to blame: each process has 64 threads that open and close a
# file and four that spin, and the test's own process polls for them (its time limit lies in 1970), so that it
# takes its turn among all of them whenever it has something to do.  The same processes without a VM take
# 0.1 s each on an idle machine of two processors and more than 1 s on a busy one.
#
# Limit: 1200 s

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/kselftest_lib.sh"

SELFTEST_TIMEOUT=1180
selftest linux-7.3 "$(engines | head -n 1)" hardware_disable_test
done_testing
