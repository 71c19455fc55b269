// SPDX-License-Identifier: MIT
/*
 * tests/run_inplace_order.c - KVM_SET_MEMORY_ATTRIBUTES2: every check, their order, what is written back
 */
#include "tests/run_inplace.h"

#define SIZE (8 * PG)

static int kvm, vm, file;

static struct kvm_memory_attributes2 right(void)
{
	struct kvm_memory_attributes2 a = { .offset = PG, .size = 2 * PG, .attributes = PRIVATE };

	a.error_offset = 0x1234567;
	return a;
}

static int set(int fd, struct kvm_memory_attributes2 *a)
{
	return ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, a);
}

/* Fails with EINVAL, and not a byte of the structure changes. */
#define REFUSED(fd, name, ...)                                                                                         \
	do {                                                                                                           \
		struct kvm_memory_attributes2 a = right(), before;                                                     \
		__VA_ARGS__;                                                                                           \
		before = a;                                                                                            \
		fails(set(fd, &a), EINVAL, "%s: EINVAL", name);                                                        \
		ok(!memcmp(&a, &before, sizeof(a)), "%s: nothing written back", name);                                 \
	} while (0)
#define ACCEPTED(fd, name, ...)                                                                                        \
	do {                                                                                                           \
		struct kvm_memory_attributes2 a = right(), before;                                                     \
		__VA_ARGS__;                                                                                           \
		before = a;                                                                                            \
		is(set(fd, &a), 0, "%s", name);                                                                        \
		ok(!memcmp(&a, &before, sizeof(a)), "%s: nothing written back", name);                                 \
	} while (0)

static void each_check(void)
{
	REFUSED(file, "flags 1", a.flags = 1);
	REFUSED(file, "flags, highest bit", a.flags = 1ULL << 63);
	for (int i = 0; i < 11; i++)
		REFUSED(file, "a reserved word", a.reserved[i] = 1ULL << (i * 5));
	for (int bit = 0; bit < 64; bit++)
		if (bit != 3)
			REFUSED(file, "another attribute", a.attributes = 1ULL << bit);
	REFUSED(file, "private and another attribute", a.attributes = PRIVATE | 1);
	REFUSED(file, "size 0", a.size = 0);
	REFUSED(file, "offset + size wraps", a.offset = -PG);
	REFUSED(file, "offset + size is 1 << 64", a.offset = -2 * PG);
	REFUSED(file, "size -4096", a.size = -PG);
	REFUSED(file, "offset unaligned", a.offset++);
	REFUSED(file, "size unaligned", a.size++);
	REFUSED(file, "size 1", a.size = 1);
	REFUSED(file, "offset at the end", a.offset = SIZE);
	REFUSED(file, "offset behind the end", a.offset = 1ULL << 62);
	REFUSED(file, "across the end", a.offset = SIZE - PG);
	REFUSED(file, "whole file and a page", a.offset = 0; a.size = SIZE + PG);
	ACCEPTED(file, "last page", a.offset = SIZE - PG; a.size = PG);
	ACCEPTED(file, "whole file", a.offset = 0; a.size = SIZE);
	ACCEPTED(file, "error_offset is no input", a.error_offset = ~0ULL);
	ACCEPTED(file, "back to shared", a.offset = 0; a.size = SIZE; a.attributes = SHARED);
	ACCEPTED(file, "shared already", a.offset = 0; a.size = SIZE; a.attributes = SHARED);
}

/* All checks are EINVAL: that a pair is refused and nothing is half applied is all that can be seen. */
static void pairs(void)
{
	char *ptr = map_shared(file, SIZE, 0);
	int plain_vm = vm_new(kvm, KVM_X86_DEFAULT_VM), plain = gmem_new(plain_vm, SIZE, SHAREABLE);

	memset(ptr, 0x61, SIZE);
	REFUSED(file, "flags and reserved", a.flags = 1; a.reserved[0] = 1);
	REFUSED(file, "reserved and attribute", a.reserved[10] = 1; a.attributes = 1);
	REFUSED(file, "attribute and size", a.attributes = 1; a.size = 0);
	REFUSED(file, "wrap and alignment", a.offset = -1);
	REFUSED(file, "alignment and bounds", a.offset = SIZE + 1);
	REFUSED(file, "everything", a.flags = 1; a.reserved[5] = 1; a.attributes = ~0ULL; a.offset = 1; a.size = 0);
	for (size_t i = 0; i < SIZE / PG; i++)
		is_shared(ptr + i * PG, 0x61, "a page after refusals");
	munmap(ptr, SIZE);

	/* A VM without private memory refuses whatever is asked for. */
	REFUSED(plain, "VM without private memory");
	REFUSED(plain, "VM without private memory, to shared", a.attributes = SHARED);
	REFUSED(plain, "VM without private memory, flags", a.flags = 1);
	REFUSED(plain, "VM without private memory, size 0", a.size = 0);
	close(plain);
	close(plain_vm);
}

static void pointers(void)
{
	struct kvm_memory_attributes2 *edge = at_edge(sizeof(*edge)), *over = at_edge(sizeof(*over) - 1), *page;

	fails(set(file, BAD_PTR), EFAULT, "bad pointer");
	fails(set(file, NULL), EFAULT, "NULL");
	fails(set(file, KERNEL_PTR), EFAULT, "kernel pointer");
	*edge = right();
	is(set(file, edge), 0, "ends at the edge of a mapping");
	memset(over, 0, sizeof(*over) - 1);
	over->flags = 1;
	fails(set(file, over), EFAULT, "one byte over the edge, before flags are looked at");

	page = (void *)map_anon(PG);
	*page = right();
	page->attributes = SHARED;
	mprotect(page, PG, PROT_READ);
	is(set(file, page), 0, "read only structure: written on failure only");
	mprotect(page, PG, PROT_READ | PROT_WRITE);
	page->flags = 1;
	mprotect(page, PG, PROT_READ);
	fails(set(file, page), EINVAL, "read only structure, EINVAL");
	munmap(page, PG);
}

static void words(void)
{
	struct kvm_memory_attributes2 a = right();
	int mfd = memfd_create("plain", 0);

	fails(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES2, &a), ENOTTY, "on the VM");
	fails(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR), ENOTTY, "on the VM, bad pointer");
	fails(ioctl(kvm, KVM_SET_MEMORY_ATTRIBUTES2, &a), EINVAL, "on the device");
	fails(ioctl(mfd, KVM_SET_MEMORY_ATTRIBUTES2, &a), ENOTTY, "on a memfd");
	fails(ioctl(-1, KVM_SET_MEMORY_ATTRIBUTES2, &a), EBADF, "on nothing");
	fails(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES, &a), ENOTTY, "the older ioctl on a file");
	fails(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR), ENOTTY, "the older ioctl on a file, bad pointer");
	fails(ioctl(file, _IOW(KVMIO, 0xd2, struct kvm_memory_attributes2), &a), ENOTTY, "another direction");
	fails(ioctl(file, _IOWR(KVMIO, 0xd2, struct kvm_memory_attributes), &a), ENOTTY, "another size");
	fails(ioctl(file, _IO(KVMIO, 0xfe), 0), ENOTTY, "unknown ioctl on a file");
	close(mfd);
}

static void capabilities(void)
{
	int plain = vm_new(kvm, KVM_X86_DEFAULT_VM);

	is(ioctl(kvm, KVM_CHECK_EXTENSION, 252), PRIVATE, "device announces the file's attributes");
	is(ioctl(kvm, KVM_CHECK_EXTENSION, 233), 0, "device announces none of the VM's");
	is(ioctl(vm, KVM_CHECK_EXTENSION, 252), PRIVATE, "VM with private memory");
	is(ioctl(vm, KVM_CHECK_EXTENSION, 233), 0, "VM with private memory, VM-wide");
	is(ioctl(plain, KVM_CHECK_EXTENSION, 252), 0, "VM without private memory");
	is(ioctl(plain, KVM_CHECK_EXTENSION, 233), 0, "VM without private memory, VM-wide");
	is(ioctl(vm, KVM_CHECK_EXTENSION, 244), SHAREABLE, "both flags on a VM with private memory");
	is(ioctl(plain, KVM_CHECK_EXTENSION, 244), SHAREABLE, "both flags on a VM without");
	for (uint64_t flags = 0; flags < 8; flags++) {
		int fd = gmem_try(vm, PG, flags);

		is(fd >= 0, flags < 4, "creation flags %llu", (unsigned long long)flags);
		if (fd >= 0)
			close(fd);
	}
	close(plain);
}

int main(void)
{
	vm = inplace_vm(&kvm);
	file = gmem_new(vm, SIZE, SHAREABLE);
	capabilities();
	each_check();
	pairs();
	pointers();
	words();
	return done_testing();
}
