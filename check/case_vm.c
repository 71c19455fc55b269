// SPDX-License-Identifier: MIT
/*
 * check/case_vm.c - capabilities, VM types, ioctls of device and VM, attributes of a VM
 */
#include "check/check.h"

#include "uapi/kvm_vcpu.h"

void case_caps_device(void)
{
	int kvm = kvm_open();

	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 3)), 1, "USER_MEMORY");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 10)), 32764, "NR_MEMSLOTS");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 16)), 1, "SYNC_MMU");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 21)), 1, "DESTROY_MEMORY_REGION_WORKS");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 30)), 1, "JOIN_MEMORY_REGIONS_WORKS");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 81)), 1, "READONLY_MEM");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 105)), 1, "CHECK_EXTENSION_VM");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 118)), target.spaces < 2 ? 0 : 2, "MULTI_ADDRESS_SPACE");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 201)), 0x1000, "EXIT_HYPERCALL");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 231)), k->gmem, "USER_MEMORY2");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 232)), k->gmem, "MEMORY_FAULT_INFO");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 233)), k_has_attributes(k) && !k_converts(k) ? 8 : 0, "MEMORY_ATTRIBUTES");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 234)), k_files(k), "GUEST_MEMFD");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 235)), k->typed ? target.types : 0, "VM_TYPES");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 236)), k->pre_fault && target.pre_fault, "PRE_FAULT_MEMORY");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 244)), k->mappable ? 3 : 0, "GUEST_MEMFD_FLAGS");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 252)), k_converts(k) ? 8 : 0, "GUEST_MEMFD_MEMORY_ATTRIBUTES");
	close(kvm);
}

void case_caps_vm(void)
{
	int kvm = kvm_open();

	EACH_TYPE(t) {
		int vm = vm_new(kvm, t);
		bool private = type_is_private(t);

		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 3)), 1, "type %u, USER_MEMORY", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 10)), 32764, "type %u, NR_MEMSLOTS", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 16)), 1, "type %u, SYNC_MMU", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 21)), 1, "type %u, DESTROY_MEMORY_REGION_WORKS", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 30)), 1, "type %u, JOIN_MEMORY_REGIONS_WORKS", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 105)), 1, "type %u, CHECK_EXTENSION_VM", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 81)), !type_is_protected(t), "type %u, READONLY_MEM", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 118)), target.spaces < 2 ? 0 : private ? 1 : 2,
		    "type %u, MULTI_ADDRESS_SPACE", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 201)), 0x1000, "type %u, EXIT_HYPERCALL", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 231)), k->gmem, "type %u, USER_MEMORY2", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 232)), k->gmem, "type %u, MEMORY_FAULT_INFO", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 236)), k->pre_fault && target.pre_fault,
		    "type %u, PRE_FAULT_MEMORY", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 233)), k_has_attributes(k) && !k_converts(k) && private ? 8 : 0,
		    "type %u, MEMORY_ATTRIBUTES", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 234)), k_slots(k, t), "type %u, GUEST_MEMFD", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 235)), k->typed ? target.types : 0, "type %u, VM_TYPES", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 244)), k_flags(k, t), "type %u, GUEST_MEMFD_FLAGS", t);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 252)), k_converts(k) && private ? 8 : 0,
		    "type %u, GUEST_MEMFD_MEMORY_ATTRIBUTES", t);
		close(vm);
	}
	close(kvm);
}

void case_caps_unknown(void)
{
	static const unsigned long numbers[] = { 9999, 100000, 0x7fffffff, 0x80000000UL, 0xffffffffUL, ~0UL };
	int kvm = kvm_open(), vm = vm_new(kvm, 0);

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, numbers[i])), 0, "device, %#lx", numbers[i]);
		SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, numbers[i])), 0, "VM, %#lx", numbers[i]);
	}
}

void case_caps_types(void)
{
	static const unsigned long odd[] = { 32, 33, 63, 1UL << 32, (1UL << 32) + 1, 1UL << 63, ~0UL };
	int kvm = kvm_open();

	/* What firmware has to take part in is left alone. */
	for (unsigned long t = 0; t < 32; t++)
		if (!((target.types & ~target.plain) >> t & 1))
			SEE(MADE(ioctl(kvm, KVM_CREATE_VM, t)), k->types & target.types & 1U << t || !t ? 0 : -EINVAL, "type %lu", t);
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		SEE(MADE(ioctl(kvm, KVM_CREATE_VM, odd[i])), -EINVAL, "type %#lx", odd[i]);
}

void case_caps_flags(void)
{
	int kvm = kvm_open();

	EACH_TYPE(t) {
		int vm = vm_new(kvm, t);

		for (unsigned bit = 0; bit < 64; bit++)
			SEE(MADE(gmem_try(vm, PG, 1ULL << bit)), k_flags(k, t) >> bit & 1 ? 0 : -EINVAL, "type %u, bit %u", t, bit);
		for (unsigned flags = 0; flags < 4; flags++)
			SEE(MADE(gmem_try(vm, PG, flags)), flags & ~k_flags(k, t) ? -EINVAL : 0, "type %u, flags %u", t, flags);
		close(vm);
	}
}

void case_ioctl_unknown(void)
{
	static const struct {
		const char *name;
		unsigned long cmd;
	} cmds[] = {
		{ "0xfe", _IO(KVMIO, 0xfe) },
		{ "0xd3", _IO(KVMIO, 0xd3) },
		{ "0xd4 with another size", _IOWR(KVMIO, 0xd4, __u64) },
		{ "0xd4 with another direction", _IOW(KVMIO, 0xd4, struct kvm_create_guest_memfd) },
		{ "0x49 with 32 bytes", _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region) },
		{ "0x46 with 160 bytes", _IOW(KVMIO, 0x46, struct kvm_userspace_memory_region2) },
		{ "KVM_RUN", KVM_RUN },
	};
	int kvm = kvm_open(), vm = vm_new(kvm, 0), file = gmem_try(vm, PG, 0), mfd = memfd_create("plain", 0);

	for (size_t i = 0; i < sizeof(cmds) / sizeof(*cmds); i++) {
		SEE(RET(ioctl(kvm, cmds[i].cmd, BAD_PTR)), -EINVAL, "device, %s", cmds[i].name);
		SEE(RET(ioctl(vm, cmds[i].cmd, BAD_PTR)), -ENOTTY, "VM, %s", cmds[i].name);
		if (file >= 0)
			SEE(RET(ioctl(file, cmds[i].cmd, BAD_PTR)), -ENOTTY, "file, %s", cmds[i].name);
		SEE(RET(ioctl(mfd, cmds[i].cmd, BAD_PTR)), -ENOTTY, "a memfd, %s", cmds[i].name);
	}
	SEE(RET(ioctl(kvm, KVM_SET_USER_MEMORY_REGION2, BAD_PTR)), -EINVAL, "device, a VM's ioctl");
	SEE(RET(ioctl(vm, KVM_CREATE_VM, 0)), -ENOTTY, "VM, the device's ioctl");
	SEE(RET(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR)), -ENOTTY, "VM, the file's ioctl");
	SEE(RET(ioctl(kvm, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR)), -EINVAL, "device, the file's ioctl");
	SEE(RET(ioctl(mfd, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR)), -ENOTTY, "a memfd, the file's ioctl");
	if (file >= 0) {
		SEE(RET(ioctl(file, KVM_CHECK_EXTENSION, 234)), -ENOTTY, "file, KVM_CHECK_EXTENSION");
		SEE(RET(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR)), -ENOTTY, "file, the VM's attributes");
		SEE(RET(ioctl(file, KVM_CREATE_GUEST_MEMFD, BAD_PTR)), -ENOTTY, "file, KVM_CREATE_GUEST_MEMFD");
	}
	SEE(RET(ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR)), k_files(k) ? -EFAULT : -ENOTTY, "VM, KVM_CREATE_GUEST_MEMFD");
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, BAD_PTR)), k->gmem ? -EFAULT : -ENOTTY,
	    "VM, KVM_SET_USER_MEMORY_REGION2");
	SEE(RET(ioctl(-1, KVM_CREATE_VM, 0)), -EBADF, "no descriptor");
}

/* A vCPU that never runs. */
void case_ioctl_vcpu(void)
{
	int kvm = kvm_open(), vm = vm_new(kvm, 0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	if (vcpu < 0)
		die("a vCPU");
	SEE(RET(fcntl(vm, F_GETFD)), FD_CLOEXEC, "a VM is close-on-exec");
	SEE(RET(fcntl(vcpu, F_GETFD)), FD_CLOEXEC, "a vCPU is close-on-exec");
	SEE(RET(fcntl(vm, F_GETFL)) & O_ACCMODE, O_RDWR, "a VM is open for both");
	SEE(RET(fcntl(vcpu, F_GETFL)) & O_ACCMODE, O_RDWR, "so is a vCPU");
	SEE(RET(ioctl(vcpu, _IO(KVMIO, 0xfe), BAD_PTR)), -EINVAL, "unknown");
	SEE(RET(ioctl(vcpu, KVM_CREATE_VM, 0)), -EINVAL, "the device's ioctl");
	SEE(RET(ioctl(vcpu, KVM_CREATE_GUEST_MEMFD, BAD_PTR)), -EINVAL, "the VM's ioctl");
	SEE(RET(ioctl(vcpu, KVM_SET_USER_MEMORY_REGION2, BAD_PTR)), -EINVAL, "the VM's slots");
	SEE(RET(ioctl(vcpu, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR)), -EINVAL, "the VM's attributes");
	SEE(RET(ioctl(vcpu, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR)), -EINVAL, "the file's attributes");
	SEE(RET(ioctl(vcpu, KVM_CHECK_EXTENSION, 3)), -EINVAL, "KVM_CHECK_EXTENSION");
	SEE(RET(ioctl(vcpu, KVM_RUN, 1)), -EINVAL, "KVM_RUN(1)");
	SEE(RET(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, BAD_PTR)), k->pre_fault ? -EFAULT : -EINVAL,
	    "KVM_PRE_FAULT_MEMORY, bad pointer");
	SEE(RET(ioctl(vcpu, _IOW(KVMIO, 0xd5, struct kvm_pre_fault_memory), BAD_PTR)), -EINVAL,
	    "the same in another direction");
	SEE(RET(ioctl(vm, KVM_RUN, 0)), -ENOTTY, "a VM does not run");
	SEE(RET(ioctl(vm, KVM_CREATE_VCPU, 0)), -EEXIST, "an id that is taken");
	close(vcpu);
	SEE(RET(ioctl(vm, KVM_CREATE_VCPU, 0)), -EEXIST, "it stays so when it is closed");
	close(vm);
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 3)), 1, "the device answers");
}

void case_ioctl_arguments(void)
{
	int kvm = kvm_open(), vm = vm_new(kvm, 0);

	SEE(RET(ioctl(kvm, KVM_GET_API_VERSION, 0)), 12, "KVM_GET_API_VERSION(0)");
	SEE(RET(ioctl(kvm, KVM_GET_API_VERSION, 1)), -EINVAL, "KVM_GET_API_VERSION(1)");
	SEE(RET(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)), 3 * PG, "KVM_GET_VCPU_MMAP_SIZE(0)");
	SEE(RET(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 1)), -EINVAL, "KVM_GET_VCPU_MMAP_SIZE(1)");
	SEE(RET(ioctl(kvm, 0x10000ae00UL, 0)), 12, "bits of the command beyond 32");
	SEE(RET(ioctl(vm, KVM_SET_NR_MMU_PAGES, 0)), -EINVAL, "KVM_SET_NR_MMU_PAGES(0)");
	SEE(RET(ioctl(vm, KVM_SET_NR_MMU_PAGES, 63)), -EINVAL, "KVM_SET_NR_MMU_PAGES(63)");
	SEE(RET(ioctl(vm, KVM_SET_NR_MMU_PAGES, 64)), 0, "KVM_SET_NR_MMU_PAGES(64)");
}

static long enable(int vm, unsigned cap, unsigned flags, uint64_t arg)
{
	struct kvm_enable_cap a = { .cap = cap, .flags = flags, .args = { arg } };

	return RET(ioctl(vm, KVM_ENABLE_CAP, &a));
}

void case_ioctl_enable(void)
{
	int vm = vm_new(kvm_open(), 0);

	SEE(enable(vm, 201, 0, 0x1000), 0, "EXIT_HYPERCALL");
	SEE(enable(vm, 201, 0, 0), 0, "EXIT_HYPERCALL, off");
	for (unsigned bit = 0; bit < 64; bit += 3)
		SEE(enable(vm, 201, 0, 1ULL << bit), bit == 12 ? 0 : -EINVAL, "EXIT_HYPERCALL, bit %u", bit);
	SEE(enable(vm, 201, 1, 0x1000), -EINVAL, "EXIT_HYPERCALL, flags");
	SEE(enable(vm, 234, 0, 0), -EINVAL, "GUEST_MEMFD cannot be enabled");
	SEE(enable(vm, 244, 0, 3), -EINVAL, "GUEST_MEMFD_FLAGS cannot be enabled");
	SEE(enable(vm, 9999, 0, 0), -EINVAL, "unknown");
	SEE(enable(vm, 9999, 1, 0), -EINVAL, "unknown, flags");
	SEE(RET(ioctl(vm, KVM_ENABLE_CAP, BAD_PTR)), -EFAULT, "bad pointer");
	SEE(RET(ioctl(vm, KVM_ENABLE_CAP, at_edge(103))), -EFAULT, "a byte beyond the edge of a mapping");
}

void case_ioctl_vcpu_ids(void)
{
	int vm = vm_new(kvm_open(), 0);

	SEE(RET(ioctl(vm, KVM_CREATE_VCPU, 1UL << 20)), -EINVAL, "1 << 20");
	SEE(RET(ioctl(vm, KVM_CREATE_VCPU, 1UL << 31)), -EINVAL, "1 << 31");
	SEE(RET(ioctl(vm, KVM_CREATE_VCPU, ~0UL)), -EINVAL, "-1");
}

/* --- attributes of a VM ------------------------------------------------------------ */

void case_attributes_known(void)
{
	int kvm = kvm_open();

	EACH_TYPE(t) {
		int vm = vm_new(kvm, t);
		struct kvm_memory_attributes a = { .size = PG };

		SEE(RET(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR)), k_has_attributes(k) ? -EFAULT : -ENOTTY, "type %u, bad pointer", t);
		SEE(RET(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a)), k_has_attributes(k) ? 0 : -ENOTTY, "type %u, to shared", t);
		close(vm);
	}
	SEE(RET(ioctl(kvm, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR)), -EINVAL, "on the device");
}

static long set_attributes(int vm, uint64_t address, uint64_t size, uint64_t value, uint64_t flags)
{
	struct kvm_memory_attributes a = { address, size, value, flags };

	return RET(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a));
}

void case_attributes_checks(void)
{
	int kvm = kvm_open();

	EACH_TYPE(t) {
		int vm = vm_new(kvm, t);

		SEE(set_attributes(vm, GiB, PG, 0, 0), 0, "type %u, to shared", t);
		SEE(set_attributes(vm, GiB, PG, 8, 0), type_is_private(t) && !k_converts(k) ? 0 : -EINVAL, "type %u, to private", t);
		SEE(set_attributes(vm, GiB, PG, 8, 0), type_is_private(t) && !k_converts(k) ? 0 : -EINVAL, "type %u, once more", t);
		for (unsigned bit = 0; bit < 64; bit++)
			if (bit != 3)
				SEE(set_attributes(vm, GiB, PG, 1ULL << bit, 0), -EINVAL, "type %u, attribute bit %u", t, bit);
		for (unsigned bit = 0; bit < 64; bit += 7)
			SEE(set_attributes(vm, GiB, PG, 0, 1ULL << bit), -EINVAL, "type %u, flag bit %u", t, bit);
		SEE(set_attributes(vm, GiB, 0, 0, 0), -EINVAL, "type %u, size 0", t);
		SEE(set_attributes(vm, -PG, PG, 0, 0), -EINVAL, "type %u, ends at 2^64", t);
		SEE(set_attributes(vm, -2 * PG, PG, 0, 0), 0, "type %u, a page before", t);
		SEE(set_attributes(vm, 1ULL << 60, PG, 0, 0), 0, "type %u, beyond all memory", t);
		SEE(set_attributes(vm, GiB + 1, PG, 0, 0), -EINVAL, "type %u, address unaligned", t);
		SEE(set_attributes(vm, GiB, PG + 1, 0, 0), -EINVAL, "type %u, size unaligned", t);
		SEE(set_attributes(vm, GiB, PG - 1, 0, 0), -EINVAL, "type %u, less than a page", t);
		SEE(RET(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, at_edge(31))), -EFAULT, "type %u, a byte beyond the edge", t);
		close(vm);
	}
}
