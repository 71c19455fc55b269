// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_stress.c - four vCPUs convert, punch and touch one file
 *
 *	run_vcpu_stress [--seconds N]
 *
 * An ordinary KVM program; see tests/vcpu_stress.h.
 */
#include "tests/run_kvm.h"

static long stress_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg);
}

static long stress_punch(int fd, uint64_t off, uint64_t len)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
}

static char *stress_map(int fd, size_t len)
{
	return map_shared(fd, len, 0);
}

static int stress_load(char *p)
{
	return touch(p, -1).sig;
}

#include "tests/vcpu_stress.h"

int main(int argc, char **argv)
{
	const double seconds = stress_seconds(argc, argv, 2);
	const int kvm = kvm_open();
	const bool in_place = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0;
	const bool of_vm = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES) > 0;

	touch_init();
	if (!in_place && !of_vm) {
		puts("1..0 # SKIP no memory attributes");
		return 77;
	}
	if (of_vm)
		stress(kvm, false, "attributes of the VM", seconds);
	if (in_place)
		stress(kvm, true, "in place", seconds);
	return done_testing();
}
