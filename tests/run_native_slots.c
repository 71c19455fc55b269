// SPDX-License-Identifier: MIT
/*
 * tests/run_native_slots.c - memslots: every check alone, adjacent checks together, binding
 *
 * Compared line by line with a real kernel (tests/native.t).
 */

#include "tests/run_kvm.h"

#define GMEM KVM_MEM_GUEST_MEMFD
#define DIRTY KVM_MEM_LOG_DIRTY_PAGES
#define RO KVM_MEM_READONLY
#define SIZE (16 * PG)
#define HVA_END 0x7ffffffff000ULL /* four level paging; with five levels the answers differ, on both sides alike */

static int kvm, vm, gmem;
static uint64_t hva; /* SIZE bytes of anonymous memory */

/* A region that is right in everything; each case changes what it is about. */
static struct kvm_userspace_memory_region2 plain(void)
{
	return (struct kvm_userspace_memory_region2){
		.slot = 1, .guest_phys_addr = GiB, .memory_size = 2 * PG, .userspace_addr = hva, .guest_memfd = -1U
	};
}

static struct kvm_userspace_memory_region2 bound(void)
{
	struct kvm_userspace_memory_region2 r = plain();

	r.flags = GMEM;
	r.guest_memfd = (uint32_t)gmem;
	return r;
}

static int set2(const struct kvm_userspace_memory_region2 *r)
{
	return ioctl(vm, KVM_SET_USER_MEMORY_REGION2, r);
}

static void delete_slot(uint32_t slot)
{
	if (set_region2(vm, slot, 0, 0, 0, 0, -1, 0))
		die("deleting slot %u", slot);
}

/* The outcome of r; a slot that came to be goes again. */
static void set_case(const char *name, struct kvm_userspace_memory_region2 r)
{
	if (!CASE(set2(&r), "%s", name) && r.memory_size)
		delete_slot(r.slot);
}

#define WITH(base, name, ...)                                                                                          \
	do {                                                                                                           \
		struct kvm_userspace_memory_region2 r = base();                                                        \
		__VA_ARGS__;                                                                                           \
		set_case(name, r);                                                                                     \
	} while (0)

static void structures(void)
{
	struct kvm_userspace_memory_region2 r, *edge2 = at_edge(160), *over2 = at_edge(159), *half2 = at_edge(32);
	struct kvm_userspace_memory_region *edge1 = at_edge(32), *over1 = at_edge(31);

	group("the structures");
	*edge2 = bound();
	CASE(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, edge2), "v2, ends at the edge of a mapping");
	delete_slot(1);
	CASE(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, over2), "v2, one byte over the edge");
	memset(half2, 0, 32);
	CASE(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, half2), "v2, only 32 bytes");
	CASE(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, BAD_PTR), "v2, bad pointer");
	*edge1 = (struct kvm_userspace_memory_region){ 1, 0, GiB, PG, hva };
	CASE(ioctl(vm, KVM_SET_USER_MEMORY_REGION, edge1), "v1, ends at the edge of a mapping");
	delete_slot(1);
	CASE(ioctl(vm, KVM_SET_USER_MEMORY_REGION, over1), "v1, one byte over the edge");
	CASE(ioctl(vm, KVM_SET_USER_MEMORY_REGION, BAD_PTR), "v1, bad pointer");
	CASE(ioctl(vm, KVM_SET_USER_MEMORY_REGION, NULL), "v1, NULL");

	memset(&r, 0xff, sizeof(r));
	r.slot = 1;
	r.flags = 0;
	r.guest_phys_addr = GiB;
	r.memory_size = PG;
	r.userspace_addr = hva;
	set_case("padding, fd and offset are garbage, no GUEST_MEMFD", r);
	r = bound();
	r.pad1 = ~0U;
	memset(r.pad2, 0xff, sizeof(r.pad2));
	set_case("padding is garbage, GUEST_MEMFD", r);
}

static void flags(void)
{
	group("flags");
	for (unsigned bit = 0; bit < 32; bit++) {
		int ret = (int)CASE(set_region1(vm, 1, 1U << bit, GiB, PG, hva), "v1, bit %u", bit);
		struct kvm_userspace_memory_region2 r = bound();

		if (!ret)
			delete_slot(1);
		r.flags = 1U << bit;
		if (!CASE(set2(&r), "v2, bit %u", bit))
			delete_slot(1);
		r.flags = GMEM | 1U << bit;
		if (!CASE(set2(&r), "v2, GUEST_MEMFD and bit %u", bit))
			delete_slot(1);
	}
	WITH(plain, "dirty and read only", r.flags = DIRTY | RO);
	WITH(bound, "all three", r.flags = DIRTY | RO | GMEM);
}

static void ranges(const char *kind, struct kvm_userspace_memory_region2 (*base)(void))
{
	group(kind);
	WITH(base, "right");
	WITH(base, "slot 32763", r.slot = 32763);
	WITH(base, "slot 32764", r.slot = 32764);
	WITH(base, "slot 65535", r.slot = 65535);
	WITH(base, "address space 1", r.slot = 1 | 1 << 16);
	WITH(base, "address space 2", r.slot = 1 | 2 << 16);
	WITH(base, "address space 65535, slot 65535", r.slot = ~0U);
	WITH(base, "size + 1", r.memory_size++);
	WITH(base, "size 1", r.memory_size = 1);
	WITH(base, "size -4096", r.memory_size = -PG);
	WITH(base, "gpa + 1", r.guest_phys_addr++);
	WITH(base, "hva + 1", r.userspace_addr++);
	WITH(base, "hva 0", r.userspace_addr = 0);
	WITH(base, "hva not mapped", r.userspace_addr = 0x10000);
	WITH(base, "hva kernel", r.userspace_addr = (uintptr_t)KERNEL_PTR);
	WITH(base, "hva not canonical", r.userspace_addr = 1ULL << 60);
	WITH(base, "hva tagged", r.userspace_addr |= 1ULL << 57);
	WITH(base, "hva at the end", r.userspace_addr = HVA_END - 2 * PG);
	WITH(base, "hva across the end", r.userspace_addr = HVA_END - PG);
	WITH(base, "hva behind the end", r.userspace_addr = HVA_END);
	WITH(base, "hva -8192", r.userspace_addr = -2 * PG);
	WITH(base, "gpa wraps", r.guest_phys_addr = -PG);
	WITH(base, "gpa ends at 1 << 64", r.guest_phys_addr = -2 * PG);
	WITH(base, "gpa at bit 40", r.guest_phys_addr = 1ULL << 40);
	WITH(base, "gpa ends at bit 52", r.guest_phys_addr = (1ULL << 52) - 2 * PG);
	WITH(base, "gpa across bit 52", r.guest_phys_addr = (1ULL << 52) - PG);
	WITH(base, "gpa at bit 52", r.guest_phys_addr = 1ULL << 52);
	WITH(base, "gpa at bit 62", r.guest_phys_addr = 1ULL << 62);
	WITH(base, "pages 1 << 31", r.userspace_addr = 0; r.memory_size = PG << 31);
	WITH(base, "pages 1 << 31, at bit 60", r.userspace_addr = 0; r.memory_size = PG << 31;
	     r.guest_phys_addr = 1ULL << 60);
	WITH(base, "size 1 << 47", r.userspace_addr = 0; r.memory_size = 1ULL << 47);
}

/* Everything from one check on is wrong: the earliest one answers. */
static void pairs(void)
{
	group("adjacent checks violated together");
	CASE(set_region1(vm, 32764, GMEM, 1, 1, 1), "v1: flag, slot and all later ones");
	WITH(bound, "slot, flags", r.slot = 32764; r.flags = GMEM | DIRTY);
	WITH(bound, "flags, size", r.flags = GMEM | RO; r.memory_size++);
	WITH(bound, "size, gpa", r.memory_size++; r.guest_phys_addr++);
	WITH(bound, "gpa, hva", r.guest_phys_addr++; r.userspace_addr++);
	WITH(bound, "hva, offset", r.userspace_addr++; r.guest_memfd_offset = 1);
	WITH(bound, "offset, address space", r.guest_memfd_offset = 1; r.slot |= 5 << 16);
	WITH(bound, "address space, gpa wraps", r.slot |= 5 << 16; r.guest_phys_addr = -PG);
	WITH(bound, "gpa wraps, pages", r.guest_phys_addr = -PG; r.userspace_addr = 0; r.memory_size = PG << 31);
	WITH(bound, "pages, bad fd", r.userspace_addr = 0; r.memory_size = PG << 31; r.guest_memfd = -1U);
	WITH(bound, "offset unaligned, bad fd", r.guest_memfd_offset = 1; r.guest_memfd = -1U);
	WITH(bound, "offset wraps, bad fd", r.guest_memfd_offset = -PG; r.guest_memfd = -1U);
	WITH(bound, "bad fd, gpa too large", r.guest_memfd = -1U; r.guest_phys_addr = 1ULL << 53);
	WITH(bound, "offset too large, gpa too large", r.guest_memfd_offset = SIZE; r.guest_phys_addr = 1ULL << 53);
	WITH(bound, "not a guest_memfd, offset too large", r.guest_memfd = (uint32_t)vm; r.guest_memfd_offset = SIZE);

	if (set_region2(vm, 7, 0, GiB, 2 * PG, hva, -1, 0))
		die("slot 7");
	WITH(bound, "overlap, bad fd", r.guest_memfd = -1U);
	WITH(bound, "overlap, not a guest_memfd", r.guest_memfd = (uint32_t)vm);
	WITH(bound, "overlap, offset too large", r.guest_memfd_offset = SIZE);
	WITH(bound, "offset unaligned, overlap", r.guest_memfd_offset = 1);
	WITH(bound, "pages, overlap", r.userspace_addr = 0; r.memory_size = PG << 31);
	delete_slot(7);

	if (set_region2(vm, 7, GMEM, 2 * GiB, 2 * PG, hva, gmem, 0))
		die("slot 7");
	WITH(bound, "range bound twice");
	WITH(bound, "range bound twice, gpa too large", r.guest_phys_addr = 1ULL << 53);
	WITH(bound, "offset too large, range bound twice", r.memory_size = SIZE + PG);
	WITH(bound, "overlap, range bound twice", r.guest_phys_addr = 2 * GiB);
	delete_slot(7);
	/* A failure after the binding undoes it. */
	WITH(bound, "gpa too large", r.guest_phys_addr = 1ULL << 53);
	WITH(bound, "the range is free again");
}

static void overlaps(void)
{
	static const struct {
		const char *name;
		long off;
		uint64_t size;
	} cases[] = {
		{ "the same", 0, 4 * PG },	     { "front", -(long)PG, 2 * PG },
		{ "back", 3 * PG, 2 * PG },	     { "inside", PG, PG },
		{ "around", -(long)PG, 6 * PG },     { "before, touching", -2 * (long)PG, 2 * PG },
		{ "behind, touching", 4 * PG, 2 * PG },
	};

	group("gpa overlap");
	for (int with_file = 0; with_file < 2; with_file++) {
		if (set_region2(vm, 7, with_file ? GMEM : 0, GiB, 4 * PG, hva, with_file ? gmem : -1, 0))
			die("slot 7");
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			WITH(plain, cases[i].name, r.guest_phys_addr += cases[i].off; r.memory_size = cases[i].size);
			WITH(bound, cases[i].name, r.guest_phys_addr += cases[i].off; r.memory_size = cases[i].size;
			     r.guest_memfd_offset = 4 * PG);
		}
		delete_slot(7);
	}
	group("file range overlap");
	if (set_region2(vm, 7, GMEM, GiB, 4 * PG, hva, gmem, 4 * PG))
		die("slot 7");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		WITH(bound, cases[i].name, r.guest_phys_addr = 2 * GiB; r.memory_size = cases[i].size;
		     r.guest_memfd_offset = 4 * PG + cases[i].off);
	delete_slot(7);
}

static void descriptors(void)
{
	int other_vm = vm_new(kvm, 0), foreign = gmem_new(other_vm, SIZE, SHAREABLE), none = gmem_new(vm, SIZE, 0);
	int mfd = memfd_create("plain", 0), path = open("/proc/self/exe", O_PATH), copy = dup(gmem), pipe_fds[2];

	if (pipe(pipe_fds))
		die("pipe");
	group("which descriptor");
	WITH(bound, "device", r.guest_memfd = (uint32_t)kvm);
	WITH(bound, "this VM", r.guest_memfd = (uint32_t)vm);
	WITH(bound, "other VM", r.guest_memfd = (uint32_t)other_vm);
	WITH(bound, "memfd", r.guest_memfd = (uint32_t)mfd);
	WITH(bound, "O_PATH", r.guest_memfd = (uint32_t)path);
	WITH(bound, "pipe", r.guest_memfd = (uint32_t)pipe_fds[0]);
	WITH(bound, "other VM's guest_memfd", r.guest_memfd = (uint32_t)foreign);
	WITH(bound, "dup", r.guest_memfd = (uint32_t)copy);
	WITH(bound, "flags 0", r.guest_memfd = (uint32_t)none);
	WITH(bound, "-1", r.guest_memfd = -1U);
	WITH(bound, "-2", r.guest_memfd = -2U);
	WITH(bound, "1 << 31", r.guest_memfd = 1U << 31);
	WITH(bound, "1000000", r.guest_memfd = 1000000);
	close(copy);
	WITH(bound, "closed", r.guest_memfd = (uint32_t)copy);
	group("wrong descriptor and wrong offset");
	WITH(bound, "closed, offset too large", r.guest_memfd = (uint32_t)copy; r.guest_memfd_offset = SIZE);
	WITH(bound, "other VM's, offset too large", r.guest_memfd = (uint32_t)foreign; r.guest_memfd_offset = SIZE);
	for (uint64_t f = 0; f < 4; f++) {
		int fd = gmem_new(vm, SIZE, f);

		WITH(bound, "each flag", r.guest_memfd = (uint32_t)fd);
		WITH(bound, "each flag, hva 0", r.guest_memfd = (uint32_t)fd; r.userspace_addr = 0);
		close(fd);
	}
	close(none);
	close(foreign);
	close(other_vm);
	close(mfd);
	close(path);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* 6.18 adds offset and size as signed numbers. */
static void offsets(void)
{
	int huge = gmem_new(vm, CLAMP63, SHAREABLE);

	group("offsets");
	WITH(bound, "last pages", r.guest_memfd_offset = SIZE - 2 * PG);
	WITH(bound, "across the end", r.guest_memfd_offset = SIZE - PG);
	WITH(bound, "at the end", r.guest_memfd_offset = SIZE);
	WITH(bound, "whole file", r.memory_size = SIZE);
	WITH(bound, "a page more", r.memory_size = SIZE + PG);
	for (uint64_t off = 1; off < PG; off += 511)
		WITH(bound, "unaligned", r.guest_memfd_offset = off);
	WITH(bound, "CLAMP63, 1 page", r.memory_size = PG; r.guest_memfd_offset = CLAMP63);
	WITH(bound, "CLAMP63, 2 pages", r.guest_memfd_offset = CLAMP63);
	WITH(bound, "CLAMP63 - PG, 1 page", r.memory_size = PG; r.guest_memfd_offset = CLAMP63 - PG);
	WITH(bound, "CLAMP63 - PG, 2 pages", r.guest_memfd_offset = CLAMP63 - PG);
	WITH(bound, "1 << 63", r.guest_memfd_offset = 1ULL << 63);
	WITH(bound, "-2 pages, 1 page", r.memory_size = PG; r.guest_memfd_offset = -2 * PG);
	WITH(bound, "-2 pages, 2 pages", r.guest_memfd_offset = -2 * PG);
	WITH(bound, "-1 page, 2 pages", r.guest_memfd_offset = -PG);
	group("offsets in a huge file");
	WITH(bound, "1 << 62", r.guest_memfd = (uint32_t)huge; r.guest_memfd_offset = 1ULL << 62);
	WITH(bound, "last page", r.guest_memfd = (uint32_t)huge; r.memory_size = PG;
	     r.guest_memfd_offset = CLAMP63 - PG);
	WITH(bound, "across the end", r.guest_memfd = (uint32_t)huge; r.guest_memfd_offset = CLAMP63 - PG);
	close(huge);
}

/* What changes to an existing slot do; the slot is made anew for each. */
static void changes(const char *kind, struct kvm_userspace_memory_region2 (*base)(void), uint32_t flags_of_slot)
{
#define CHANGE(name, ...)                                                                                              \
	do {                                                                                                           \
		struct kvm_userspace_memory_region2 r = base();                                                        \
		r.flags = flags_of_slot;                                                                               \
		if (set2(&r))                                                                                          \
			die("slot");                                                                                   \
		__VA_ARGS__;                                                                                           \
		CASE(set2(&r), "%s", name);                                                                            \
		set_region2(vm, 1, 0, 0, 0, 0, -1, 0);                                                                 \
	} while (0)

	group(kind);
	CHANGE("nothing");
	CHANGE("hva", r.userspace_addr += PG);
	CHANGE("size", r.memory_size += PG);
	CHANGE("size and hva", r.memory_size += PG; r.userspace_addr += PG);
	CHANGE("gpa", r.guest_phys_addr += 8 * PG);
	CHANGE("gpa, overlapping itself", r.guest_phys_addr += PG);
	CHANGE("gpa and hva", r.guest_phys_addr += PG; r.userspace_addr += PG);
	CHANGE("gpa too large", r.guest_phys_addr = 1ULL << 53);
	CHANGE("dirty flag", r.flags ^= DIRTY);
	CHANGE("read only flag", r.flags ^= RO);
	CHANGE("GUEST_MEMFD flag", r.flags ^= GMEM; r.guest_memfd = (uint32_t)gmem);
	CHANGE("GUEST_MEMFD flag, bad fd", r.flags ^= GMEM; r.guest_memfd = -1U);
	CHANGE("dirty flag and gpa", r.flags ^= DIRTY; r.guest_phys_addr += 8 * PG);
	CHANGE("offset only", r.guest_memfd_offset += PG);
	CHANGE("fd only", r.guest_memfd = (uint32_t)kvm);
	CHANGE("flags 0", r.flags = 0);
	CHANGE("flags 0, hva", r.flags = 0; r.userspace_addr += PG);
	CHANGE("moved onto another slot", set_region2(vm, 2, 0, 2 * GiB, PG, hva, -1, 0); r.guest_phys_addr = 2 * GiB);
	delete_slot(2);
#undef CHANGE
}

static void deletions(void)
{
#define DELETE(name, ...)                                                                                              \
	do {                                                                                                           \
		struct kvm_userspace_memory_region2 r = bound();                                                       \
		if (set2(&r))                                                                                          \
			die("slot");                                                                                   \
		r.memory_size = 0;                                                                                     \
		__VA_ARGS__;                                                                                           \
		CASE(set2(&r), "%s", name);                                                                            \
		set_region2(vm, 1, 0, 0, 0, 0, -1, 0);                                                                 \
	} while (0)

	group("deletion");
	DELETE("as created");
	DELETE("flags 0", r.flags = 0);
	DELETE("fd -1", r.guest_memfd = -1U);
	DELETE("other gpa and hva", r.guest_phys_addr = 0; r.userspace_addr = 0);
	DELETE("dirty", r.flags = DIRTY);
	DELETE("read only", r.flags = RO);
	DELETE("GUEST_MEMFD and dirty", r.flags |= DIRTY);
	DELETE("unknown flag", r.flags = 8);
	DELETE("gpa unaligned", r.guest_phys_addr = 1);
	DELETE("gpa -4096", r.guest_phys_addr = -PG);
	DELETE("hva unaligned", r.userspace_addr = 1);
	DELETE("hva kernel", r.userspace_addr = (uintptr_t)KERNEL_PTR);
	DELETE("hva at the end", r.userspace_addr = HVA_END);
	DELETE("hva behind the end", r.userspace_addr = HVA_END + PG);
	DELETE("offset unaligned", r.guest_memfd_offset = 1);
	DELETE("offset unaligned, flags 0", r.guest_memfd_offset = 1; r.flags = 0);
	DELETE("offset -4096", r.guest_memfd_offset = -PG);
	DELETE("another address space", r.slot |= 1 << 16);
	DELETE("address space 2", r.slot |= 2 << 16);
	DELETE("another slot", r.slot = 2);
	DELETE("slot 32764", r.slot = 32764);
	DELETE("bad slot and unknown flag", r.slot = 32764; r.flags = 8);
#undef DELETE
	CASE(set_region2(vm, 1, 0, 0, 0, 0, -1, 0), "no such slot");
	CASE(set_region2(vm, 1, GMEM, 0, 0, 0, gmem, 0), "no such slot, GUEST_MEMFD");
	CASE(set_region2(vm, 1, GMEM, GiB, PG, 0, gmem, 0), "created");
	CASE(set_region1(vm, 1, 0, 0, 0, 0), "deleted by v1");
	CASE(set_region1(vm, 1, 0, 0, 0, 0), "deleted again");
	CASE(set_region1(vm, 1, GMEM, 0, 0, 0), "v1 with GUEST_MEMFD");
}

static void dirty_log(void)
{
	static unsigned char bitmap[64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	group("KVM_GET_DIRTY_LOG");
	CASE(ioctl(vm, KVM_GET_DIRTY_LOG, &log), "no slot");
	CASE(ioctl(vm, KVM_GET_DIRTY_LOG, BAD_PTR), "bad pointer");
	set_region2(vm, 1, GMEM, GiB, PG, 0, gmem, 0);
	CASE(ioctl(vm, KVM_GET_DIRTY_LOG, &log), "guest_memfd slot");
	delete_slot(1);
	set_region2(vm, 1, 0, GiB, PG, hva, -1, 0);
	CASE(ioctl(vm, KVM_GET_DIRTY_LOG, &log), "plain slot without log");
	delete_slot(1);
	set_region2(vm, 1, DIRTY, GiB, PG, hva, -1, 0);
	CASE(ioctl(vm, KVM_GET_DIRTY_LOG, &log), "plain slot with log");
	note("bits %d", bitmap[0]);
	log.dirty_bitmap = BAD_PTR;
	CASE(ioctl(vm, KVM_GET_DIRTY_LOG, &log), "bad bitmap");
	log.slot = 1 | 5 << 16;
	CASE(ioctl(vm, KVM_GET_DIRTY_LOG, &log), "bad address space");
	log.slot = 32764;
	CASE(ioctl(vm, KVM_GET_DIRTY_LOG, &log), "bad slot");
	delete_slot(1);
}

/* Slots of one file in any order of addresses, and more of them than any table of fixed size. */
static void many(void)
{
	int fd = gmem_new(vm, 512 * PG, SHAREABLE), failed = 0;

	group("many slots");
	for (uint32_t i = 0; i < 512; i++)
		failed += set_region2(vm, i, GMEM, GiB - i * 4 * PG, PG, 0, fd, i * PG) != 0;
	note("slots refused: %d", failed);
	CASE(set_region2(vm, 600, GMEM, 2 * GiB, PG, 0, fd, 100 * PG), "a range bound already");
	for (uint32_t i = 0; i < 512; i += 2)
		delete_slot(i);
	CASE(set_region2(vm, 600, GMEM, 2 * GiB, PG, 0, fd, 100 * PG), "a range that became free");
	CASE(set_region2(vm, 601, GMEM, 3 * GiB, 2 * PG, 0, fd, 102 * PG), "half of it bound");
	delete_slot(600);
	for (uint32_t i = 1; i < 512; i += 2)
		delete_slot(i);
	close(fd);
	/* One address for all. */
	CASE(set_region2(vm, 1, 0, GiB, PG, hva, -1, 0), "plain");
	CASE(set_region2(vm, 2, 0, GiB + PG, PG, hva, -1, 0), "the same hva again");
	delete_slot(1);
	delete_slot(2);
}

static int child(void *arg)
{
	CASE(set_region2(vm, 1, GMEM, GiB, PG, 0, gmem, 0), "child, right");
	CASE(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, BAD_PTR), "child, bad pointer");
	CASE(set_region1(vm, 1, GMEM, 1, 1, 1), "child, v1, everything wrong");
	return 0;
}

int main(void)
{
	kvm = kvm_open();
	vm = vm_new(kvm, 0);
	gmem = gmem_new(vm, SIZE, SHAREABLE);
	hva = (uintptr_t)map_anon(SIZE);
	structures();
	flags();
	ranges("plain slots", plain);
	ranges("guest_memfd slots", bound);
	pairs();
	overlaps();
	descriptors();
	offsets();
	changes("changes to a plain slot", plain, 0);
	changes("changes to a slot with dirty log", plain, DIRTY);
	changes("changes to a read only slot", plain, RO);
	changes("changes to a guest_memfd slot", bound, GMEM);
	deletions();
	dirty_log();
	many();
	group("a child");
	note("status %d", in_child(child, NULL));
	return 0;
}
