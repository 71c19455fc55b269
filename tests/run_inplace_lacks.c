// SPDX-License-Identifier: MIT
/*
 * tests/run_inplace_lacks.c - kernels that track private memory otherwise, or not at all
 *
 *	run_inplace_lacks none     before guest_memfd
 *	run_inplace_lacks vm       attributes of the VM (Linux 6.8 to 7.3, or chosen in 7.4)
 *	run_inplace_lacks chosen   built with the VM's attributes, switched to the file's
 */
#include "tests/run_inplace.h"

#define SIZE (4 * PG)

static int kvm;

static int set_attr(int vm, uint64_t address, uint64_t size, uint64_t attributes, uint64_t flags)
{
	struct kvm_memory_attributes a = {
		.address = address, .size = size, .attributes = attributes, .flags = flags
	};

	return ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

static void none(void)
{
	struct kvm_create_guest_memfd arg = { .size = PG };
	struct kvm_userspace_memory_region2 region = { .memory_size = PG };
	int vm = vm_new(kvm, 0);

	for (unsigned cap = 231; cap <= 236; cap++)
		is(ioctl(vm, KVM_CHECK_EXTENSION, cap), 0, "capability %u", cap);
	is(ioctl(vm, KVM_CHECK_EXTENSION, 244), 0, "capability 244");
	is(ioctl(vm, KVM_CHECK_EXTENSION, 252), 0, "capability 252");
	fails(ioctl(vm, KVM_CREATE_GUEST_MEMFD, &arg), ENOTTY, "KVM_CREATE_GUEST_MEMFD");
	fails(ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR), ENOTTY, "KVM_CREATE_GUEST_MEMFD, bad pointer");
	fails(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region), ENOTTY, "KVM_SET_USER_MEMORY_REGION2");
	fails(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, BAD_PTR), ENOTTY, "KVM_SET_USER_MEMORY_REGION2, bad pointer");
	fails(set_attr(vm, 0, PG, 0, 0), ENOTTY, "KVM_SET_MEMORY_ATTRIBUTES");
	fails(ioctl(kvm, KVM_CREATE_VM, 1), EINVAL, "VM type 1");
	is(set_region1(vm, 0, 0, 0, PG, 0), 0, "a plain slot");
}

static void no_file_ioctl(int vm, int file)
{
	struct kvm_memory_attributes2 a = { .size = PG, .attributes = PRIVATE };

	is(ioctl(kvm, KVM_CHECK_EXTENSION, 252), 0, "device, the file's attributes");
	is(ioctl(vm, KVM_CHECK_EXTENSION, 252), 0, "VM, the file's attributes");
	fails(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, &a), ENOTTY, "file's ioctl");
	fails(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR), ENOTTY, "file's ioctl, before the pointer is read");
	fails(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES2, &a), ENOTTY, "file's ioctl on a VM");
}

/* Specification 6.1: every check, and pairs of them. */
static void vm_attributes(int vm, uint64_t supported)
{
	fails(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR), EFAULT, "bad pointer");
	fails(set_attr(vm, 0, PG, 0, 1), EINVAL, "flags");
	for (int bit = 0; bit < 64; bit++)
		is(set_attr(vm, 0, PG, 1ULL << bit, 0), supported & 1ULL << bit ? 0 : -1, "attribute bit %d", bit);
	fails(set_attr(vm, 0, 0, 0, 0), EINVAL, "size 0");
	fails(set_attr(vm, -PG, PG, 0, 0), EINVAL, "a sum of 1 << 64");
	fails(set_attr(vm, -PG, 2 * PG, 0, 0), EINVAL, "wraps");
	fails(set_attr(vm, 1, PG, 0, 0), EINVAL, "address unaligned");
	fails(set_attr(vm, 0, 1, 0, 0), EINVAL, "size unaligned");
	fails(set_attr(vm, 1, 0, 16, 1), EINVAL, "everything");
	is(set_attr(vm, 1ULL << 60, PG, supported, 0), 0, "no upper bound on the address");
	is(set_attr(vm, 0, 16 * PG, supported, 0), 0, "a range without a slot");
	is(set_attr(vm, 0, 16 * PG, supported, 0), 0, "the same again");
	is(set_attr(vm, 0, 16 * PG, 0, 0), 0, "cleared");
	fails(ioctl(kvm, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR), EINVAL, "on the device");
}

/* The VM's attribute is not the file's: host mappings do not change. */
static void host_unaffected(int vm)
{
	char *plain = map_anon(SIZE);
	int file = gmem_new(vm, SIZE, 0), mappable;

	is(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, GiB, SIZE, (uintptr_t)plain, file, 0), 0, "two backings");
	plain[0] = 'h';
	is(set_attr(vm, GiB, SIZE, PRIVATE, 0), 0, "to private");
	is_shared(plain, 'h', "memory at userspace_addr");
	fails((long)mmap(NULL, PG, PROT_READ, MAP_SHARED, file, 0), ENODEV, "the file cannot be mapped");
	is(set_attr(vm, GiB, SIZE, 0, 0), 0, "to shared");
	set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
	mappable = ioctl(vm, KVM_CHECK_EXTENSION, 244) & GUEST_MEMFD_FLAG_MMAP ?
			   gmem_new(vm, SIZE, GUEST_MEMFD_FLAG_MMAP) :
			   -1;
	fails(gmem_try(vm, SIZE, SHAREABLE), EINVAL, "INIT_SHARED with private memory");
	if (mappable < 0)
		return;
	plain = map_shared(mappable, SIZE, 0);
	is_private(plain, "a file that starts private");
	is(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, GiB, SIZE, 0, mappable, 0), 0, "bound");
	is(set_attr(vm, GiB, SIZE, 0, 0), 0, "attribute shared");
	is_private(plain, "still");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	int vm, plain;

	touch_init();
	kvm = kvm_open();
	if (!strcmp(mode, "none")) {
		none();
		return done_testing();
	}
	vm = vm_new(kvm, KVM_X86_SW_PROTECTED_VM);
	plain = vm_new(kvm, 0);
	if (!strcmp(mode, "vm")) {
		is(ioctl(kvm, KVM_CHECK_EXTENSION, 233), PRIVATE, "device, the VM's attributes");
		is(ioctl(vm, KVM_CHECK_EXTENSION, 233), PRIVATE, "VM with private memory");
		is(ioctl(plain, KVM_CHECK_EXTENSION, 233), 0, "VM without");
		no_file_ioctl(vm, gmem_new(vm, SIZE, 0));
		vm_attributes(vm, PRIVATE);
		vm_attributes(plain, 0);
		host_unaffected(vm);
	} else {
		is(ioctl(kvm, KVM_CHECK_EXTENSION, 233), 0, "device, the VM's attributes");
		is(ioctl(kvm, KVM_CHECK_EXTENSION, 252), PRIVATE, "device, the file's attributes");
		is(ioctl(vm, KVM_CHECK_EXTENSION, 252), PRIVATE, "VM, the file's attributes");
		/* The VM's ioctl is there and supports nothing. */
		vm_attributes(vm, 0);
		is(set_attr2(gmem_new(vm, SIZE, SHAREABLE), 0, PG, PRIVATE, NULL), 0, "the file's ioctl");
	}
	return done_testing();
}
