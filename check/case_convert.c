// SPDX-License-Identifier: MIT
/*
 * check/case_convert.c - in-place conversion: KVM_SET_MEMORY_ATTRIBUTES2
 */
#include "check/check.h"

#define SIZE	(8 * PG)
#define SHARED	0ULL
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE

typedef struct kvm_memory_attributes2 attributes2;

static int vm, file;
static char *ptr;

static void begin(uint64_t flags)
{
	vm = vm_new(kvm_open(), KVM_X86_SW_PROTECTED_VM);
	file = gmem_new(vm, SIZE, flags);
	ptr = map_shared(file, SIZE, 0);
}

static attributes2 right(void)
{
	attributes2 a = { .offset = PG, .size = 2 * PG, .attributes = PRIVATE };

	a.error_offset = 0x1234567;
	return a;
}

/* The result; with bit 20 set when anything was written back. */
static long convert(int fd, attributes2 a)
{
	attributes2 before = a;
	long ret = RET(ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &a));

	return memcmp(&a, &before, sizeof(a)) ? ret | 1 << 20 : ret;
}

static long set(uint64_t offset, uint64_t size, uint64_t value)
{
	return RET(set_attr2(file, offset, size, value, NULL));
}

#define WITH(wanted, label, ...)                                                                                       \
	do {                                                                                                           \
		attributes2 a = right();                                                                               \
		__VA_ARGS__;                                                                                           \
		SEE(convert(file, a), wanted, "%s", label);                                                            \
	} while (0)

void case_convert_known(void)
{
	int kvm = kvm_open();

	EACH_TYPE(t) {
		int own = vm_new(kvm, t), fd = gmem_new(own, PG, 0);
		attributes2 a = { .size = PG };

		SEE(RET(ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR)), k_converts(k) ? -EFAULT : -ENOTTY, "type %u, bad pointer", t);
		SEE(RET(ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &a)), !k_converts(k) ? -ENOTTY : type_is_private(t) ? 0 : -EINVAL,
		    "type %u", t);
		close(fd);
		close(own);
	}
}

void case_convert_checks(void)
{
	begin(SHAREABLE);
	for (unsigned bit = 0; bit < 64; bit++) {
		WITH(-EINVAL, "a flag", a.flags = 1ULL << bit);
		WITH(bit == 3 ? 0 : -EINVAL, "an attribute", a.attributes = 1ULL << bit);
	}
	for (unsigned i = 0; i < 11; i++)
		WITH(-EINVAL, "a reserved word", a.reserved[i] = 1ULL << i * 5);
	WITH(-EINVAL, "private and another attribute", a.attributes |= 1);
	WITH(-EINVAL, "size 0", a.size = 0);
	WITH(-EINVAL, "wraps", a.offset = -PG);
	WITH(-EINVAL, "ends at 2^64", a.offset = -2 * PG);
	WITH(-EINVAL, "size below 0", a.size = -PG);
	WITH(-EINVAL, "offset unaligned", a.offset++);
	WITH(-EINVAL, "size unaligned", a.size++);
	WITH(-EINVAL, "at the end", a.offset = SIZE);
	WITH(-EINVAL, "far behind the end", a.offset = 1ULL << 62);
	WITH(-EINVAL, "across the end", a.offset = SIZE - PG);
	WITH(-EINVAL, "all and a page", a.offset = 0; a.size = SIZE + PG);
	WITH(0, "the last page", a.offset = SIZE - PG; a.size = PG);
	WITH(0, "all", a.offset = 0; a.size = SIZE);
	WITH(0, "once more", a.offset = 0; a.size = SIZE);
	WITH(0, "error_offset is no input", a.error_offset = ~0ULL);
	WITH(0, "back", a.offset = 0; a.size = SIZE; a.attributes = SHARED);
	WITH(0, "once more", a.offset = 0; a.size = SIZE; a.attributes = SHARED);
}

void case_convert_pairs(void)
{
	enum { FLAGS, RESERVED, MASK, NO_SIZE, WRAP, ODD, RANGE, COUNT };

	begin(SHAREABLE);
	memset(ptr, 0x61, SIZE);
	for (unsigned both = 1; both < 1 << COUNT; both++) {
		attributes2 a = right();

		if (both & 1 << FLAGS)
			a.flags = 1;
		if (both & 1 << RESERVED)
			a.reserved[10] = 1;
		if (both & 1 << MASK)
			a.attributes |= 1;
		if (both & 1 << NO_SIZE)
			a.size = 0;
		if (both & 1 << RANGE)
			a.offset = SIZE;
		if (both & 1 << WRAP)
			a.offset = -PG;
		if (both & 1 << ODD)
			a.offset++;
		SEE(convert(file, a), -EINVAL, "checks %#x", both);
	}
	for (size_t i = 0; i < SIZE / PG; i++)
		SEE(check_load(ptr + i * PG), 0x61, "page %zu afterwards", i);
}

void case_convert_pointers(void)
{
	attributes2 *edge = at_edge(sizeof(*edge)), *over = at_edge(sizeof(*over) - 1), *page = (void *)map_anon(PG);

	begin(SHAREABLE);
	SEE(RET(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, NULL)), -EFAULT, "NULL");
	SEE(RET(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, KERNEL_PTR)), -EFAULT, "in the kernel");
	*edge = right();
	SEE(RET(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, edge)), 0, "ends at the edge of a mapping");
	memset(over, 0xff, sizeof(*over) - 1);
	SEE(RET(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, over)), -EFAULT, "a byte beyond, all else wrong too");
	*page = right();
	page->attributes = SHARED;
	mprotect(page, PG, PROT_READ);
	SEE(RET(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, page)), 0, "read only: success writes nothing");
	mprotect(page, PG, PROT_READ | PROT_WRITE);
	page->flags = 1;
	mprotect(page, PG, PROT_READ);
	SEE(RET(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, page)), -EINVAL, "read only: EINVAL writes nothing");
	SEE(RET(ioctl(file, _IOW(KVMIO, 0xd2, attributes2), page)), -ENOTTY, "another direction");
	SEE(RET(ioctl(file, _IOWR(KVMIO, 0xd2, struct kvm_memory_attributes), page)), -ENOTTY, "another size");
}

void case_convert_plain_vm(void)
{
	vm = vm_new(kvm_open(), 0);
	file = gmem_new(vm, SIZE, SHAREABLE);
	WITH(-EINVAL, "to private");
	WITH(-EINVAL, "to shared", a.attributes = SHARED);
	WITH(-EINVAL, "flags", a.flags = 1);
	WITH(-EINVAL, "size 0", a.size = 0);
}

void case_convert_neighbours(void)
{
	begin(SHAREABLE);
	for (size_t i = 0; i < SIZE / PG; i++)
		memset(ptr + i * PG, (int)(0x10 + i), PG);
	for (size_t t = 0; t < SIZE / PG; t++) {
		SEE(set(t * PG, PG, PRIVATE), 0, "page %zu to private", t);
		for (size_t i = 0; i < SIZE / PG; i++) {
			SEE(check_load(ptr + i * PG), i == t ? REFUSED : 0x10 + (long)i, "page %zu private, first byte of %zu", t, i);
			SEE(check_load(ptr + i * PG + PG - 1), i == t ? REFUSED : 0x10 + (long)i, "page %zu private, last byte of %zu", t, i);
		}
		SEE(check_store(ptr + t * PG, 1), REFUSED, "page %zu, store", t);
		SEE(set(t * PG, PG, SHARED), 0, "page %zu to shared", t);
		SEE(check_load(ptr + t * PG), 0x10 + (long)t, "page %zu, content", t);
	}
}

void case_convert_contents(void)
{
	begin(GUEST_MEMFD_FLAG_MMAP);
	SEE(check_load(ptr), REFUSED, "starts private");
	SEE(set(0, SIZE, SHARED), 0, "to shared");
	for (size_t i = 0; i < SIZE / PG; i++)
		SEE(check_load(ptr + i * PG), 0, "page %zu, never allocated", i);
	check_store(ptr + 2 * PG, 'A');
	SEE(set(0, SIZE, PRIVATE), 0, "to private");
	SEE(check_residence(ptr, SIZE / PG), 0xff, "mincore tells of private pages as well");
	SEE(check_load(ptr + 2 * PG), REFUSED, "written page");
	SEE(check_load(ptr + 3 * PG), REFUSED, "read page");
	for (size_t i = 0; i < SIZE / PG; i++)
		SEE(set(i * PG, PG, SHARED), 0, "page %zu by itself", i);
	for (size_t i = 0; i < SIZE / PG; i++)
		SEE(check_load(ptr + i * PG), i == 2 ? 'A' : 0, "page %zu, content", i);
	SEE(set(PG, 4 * PG, PRIVATE), 0, "a part");
	SEE(set(0, SIZE, PRIVATE), 0, "all of a mixture");
	SEE(set(0, SIZE, SHARED), 0, "and back");
	SEE(check_load(ptr + 2 * PG), 'A', "content");
}

void case_convert_holes(void)
{
	begin(SHAREABLE);
	memset(ptr, 'A', SIZE);
	SEE(set(0, 4 * PG, PRIVATE), 0, "half to private");
	SEE(RET(fallocate(file, 3, PG, 4 * PG)), 0, "a hole in both");
	SEE(check_load(ptr + PG), REFUSED, "a private hole");
	SEE(check_load(ptr + 4 * PG), 0, "a shared hole");
	SEE(RET(fallocate(file, 1, 0, SIZE)), 0, "allocate");
	SEE(check_load(ptr + PG), REFUSED, "a private page, allocated");
	SEE(RET(madvise(ptr, PG, MADV_REMOVE)), 0, "REMOVE of a private page");
	SEE(check_load(ptr), REFUSED, "it stays private");
	SEE(set(0, SIZE, SHARED), 0, "to shared");
	for (size_t i = 0; i < SIZE / PG; i++)
		SEE(check_load(ptr + i * PG), i < 5 ? 0 : 'A', "page %zu", i);
}

void case_convert_views(void)
{
	char *second, *read_only, *moved, *late;

	begin(SHAREABLE);
	second = map_shared(file, SIZE, 2 * PG);
	read_only = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, file, 0);
	moved = mremap(map_shared(file, SIZE, 0), SIZE, 2 * SIZE, MREMAP_MAYMOVE);
	memset(ptr, 'x', SIZE);
	SEE(set(2 * PG, 2 * PG, PRIVATE), 0, "to private");
	late = map_shared(file, SIZE, 0);
	SEE(check_load(ptr + 2 * PG), REFUSED, "first mapping");
	SEE(check_load(second), REFUSED, "another offset");
	SEE(check_load(read_only + 2 * PG), REFUSED, "read only, load");
	SEE(check_store(read_only + 2 * PG, 1), NO_ACCESS, "read only, store");
	SEE(check_load(moved + 3 * PG), REFUSED, "moved");
	SEE(check_load(late + 3 * PG), REFUSED, "made afterwards");
	SEE(check_load(late + 4 * PG), 'x', "made afterwards, shared page");
	SEE(check_load(moved + SIZE), REFUSED, "beyond the end");
	SEE(RET(mprotect(ptr, SIZE, PROT_NONE)), 0, "mprotect");
	SEE(RET(mprotect(ptr, SIZE, PROT_READ | PROT_WRITE)), 0, "and back");
	SEE(check_load(ptr + 2 * PG), REFUSED, "after mprotect");
	SEE(RET(madvise(ptr, SIZE, MADV_DONTNEED)), 0, "DONTNEED");
	SEE(check_load(ptr + 2 * PG), REFUSED, "after DONTNEED");
	SEE(check_load(ptr + PG), 'x', "after DONTNEED, shared page");
	SEE(RET(madvise(ptr, SIZE, MADV_POPULATE_READ)), -EFAULT, "POPULATE across private pages");
	SEE(RET(mlock(ptr, SIZE)), -ENOMEM, "mlock across private pages");
	munlock(ptr, SIZE);
	SEE(set(2 * PG, 2 * PG, SHARED), 0, "to shared");
	SEE(check_load(second), 'x', "another offset");
	SEE(check_load(moved + 3 * PG), 'x', "moved");
	SEE(check_load(read_only + 2 * PG), 'x', "read only");
	SEE(check_store(late + 2 * PG, 'y'), 0, "store");
	SEE(check_load(ptr + 2 * PG), 'y', "all see it");
}

void case_convert_guards(void)
{
	bool has = check_guards();

	begin(SHAREABLE);
	memset(ptr, 'x', SIZE);
	madvise(ptr + 2 * PG, 2 * PG, GUARD_INSTALL);
	SEE(set(PG, 2 * PG, PRIVATE), 0, "to private");
	SEE(check_load(ptr + PG), REFUSED, "a private page");
	SEE(check_load(ptr + 2 * PG), has ? NO_MAPPING : REFUSED, "a private page under a guard");
	SEE(check_load(ptr + 3 * PG), has ? NO_MAPPING : 'x', "a shared page under a guard");
	SEE(set(PG, 2 * PG, SHARED), 0, "to shared");
	SEE(check_load(ptr + 2 * PG), has ? NO_MAPPING : 'x', "it is guarded still");
	/* Guards cannot come into locked memory, but memory can be locked under them. */
	mlock(ptr, SIZE);
	SEE(set(PG, 2 * PG, PRIVATE), 0, "to private, locked");
	SEE(set(PG, 2 * PG, SHARED), 0, "to shared, locked");
	SEE(check_load(ptr + 2 * PG), has ? NO_MAPPING : 'x', "it is guarded still, and locked");
	SEE(RET(madvise(ptr + 2 * PG, PG, MADV_DONTNEED)), -EINVAL, "it is locked still");
	SEE(RET(madvise(ptr + 2 * PG, 2 * PG, GUARD_REMOVE)), has ? 0 : -EINVAL, "removed");
	SEE(check_load(ptr + 2 * PG), 'x', "content");
}

void case_convert_kernel(void)
{
	int mfd = memfd_create("plain", 0);
	char *bytes = map_anon(2 * PG);

	begin(SHAREABLE);
	memset(bytes, 0x5a, 2 * PG);
	if (pwrite(mfd, bytes, 2 * PG, 0) != 2 * PG)
		die("a memfd");
	set(2 * PG, PG, PRIVATE);
	SEE(RET(pread(mfd, ptr + 2 * PG, 1, 0)), -EFAULT, "read into a private page");
	SEE(RET(pread(mfd, ptr + PG, 2 * PG, 0)), PG, "read across into one");
	SEE(RET(pwrite(mfd, ptr + 2 * PG, 1, 0)), -EFAULT, "write from a private page");
	SEE(RET(pwrite(mfd, ptr + PG, 2 * PG, 0)), PG, "write across from one");
	SEE(RET(pread(mfd, ptr + 3 * PG, PG, 0)), PG, "read behind it");
	set(2 * PG, PG, SHARED);
	SEE(RET(pread(mfd, ptr + PG, 2 * PG, 0)), 2 * PG, "after conversion");
	SEE(check_load(ptr + 2 * PG), 0x5a, "what was read");
}

void case_convert_unowned(void)
{
	begin(SHAREABLE);
	set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, GiB, SIZE, (uintptr_t)ptr, file, 0);
	SEE(set(0, PG, PRIVATE), 0, "bound");
	set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
	SEE(check_load(ptr), REFUSED, "states outlive the slot");
	SEE(set(PG, PG, PRIVATE), 0, "not bound");
	close(vm);
	SEE(set(0, PG, SHARED), 0, "without the VM's descriptor");
	SEE(check_load(ptr), 0, "it is shared");
	SEE(check_load(ptr + PG), REFUSED, "the other is not");
}
