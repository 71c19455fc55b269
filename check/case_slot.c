// SPDX-License-Identifier: MIT
/*
 * check/case_slot.c - memslots and their bindings: each check, and all pairs that decide the order
 */
#include "check/check.h"

#define GMEM KVM_MEM_GUEST_MEMFD
#define DIRTY KVM_MEM_LOG_DIRTY_PAGES
#define RO   KVM_MEM_READONLY
#define SIZE (16 * PG)

typedef struct kvm_userspace_memory_region2 region2;

static int kvm, vm, file;
static uint64_t hva;

static void begin(unsigned type)
{
	kvm = kvm_open();
	vm = vm_new(kvm, type);
	hva = (uintptr_t)map_anon(SIZE);
}

static void begin_bound(void)
{
	begin(target.bindable);
	file = gmem_new(vm, SIZE, 0);
}

static region2 plain(void)
{
	return (region2){ .slot = 1, .guest_phys_addr = GiB, .memory_size = 2 * PG, .userspace_addr = hva, .guest_memfd = -1U };
}

static region2 bound(void)
{
	region2 r = plain();

	r.flags = GMEM;
	r.guest_memfd = (uint32_t)file;
	return r;
}

/* By the newer ioctl where there is one; a slot that came to be goes again. */
static long attempt(region2 r)
{
	struct kvm_userspace_memory_region old = { r.slot, r.flags, r.guest_phys_addr, r.memory_size, r.userspace_addr };
	long ret = RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r));

	if (ret == -ENOTTY)
		ret = RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &old));
	if (!ret && r.memory_size) {
		old.memory_size = 0;
		old.flags = 0;
		ioctl(vm, KVM_SET_USER_MEMORY_REGION, &old);
	}
	return ret;
}

#define WITH(base, wanted, label, ...)                                                                                 \
	do {                                                                                                           \
		region2 r = base();                                                                                    \
		__VA_ARGS__;                                                                                           \
		SEE(attempt(r), wanted, "%s", label);                                                                  \
	} while (0)

void case_slot_structures(void)
{
	struct kvm_userspace_memory_region *edge;
	region2 r, *edge2;

	begin(0);
	edge = at_edge(32);
	*edge = (struct kvm_userspace_memory_region){ 1, 0, GiB, PG, hva };
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION, edge)), 0, "v1 ends at the edge of a mapping");
	edge->memory_size = 0;
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION, edge)), 0, "deletion");
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION, at_edge(31))), -EFAULT, "v1, a byte beyond");
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION, BAD_PTR)), -EFAULT, "v1, bad pointer");
	edge2 = at_edge(160);
	*edge2 = plain();
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, edge2)), k->gmem ? 0 : -ENOTTY, "v2 ends at the edge of a mapping");
	edge2->memory_size = 0;
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, edge2)), k->gmem ? 0 : -ENOTTY, "deletion");
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, at_edge(159))), k->gmem ? -EFAULT : -ENOTTY, "v2, a byte beyond");
	edge2 = at_edge(32);
	memset(edge2, 0, 32);
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, edge2)), k->gmem ? -EFAULT : -ENOTTY, "v2 with 32 bytes");
	memset(&r, 0xff, sizeof(r));
	r.slot = 1;
	r.flags = 0;
	r.guest_phys_addr = GiB;
	r.memory_size = PG;
	r.userspace_addr = hva;
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r)), k->gmem ? 0 : -ENOTTY, "what has no meaning is not looked at");
}

void case_slot_flags(void)
{
	EACH_TYPE(t) {
		begin(t);
		file = gmem_try(vm, SIZE, 0);
		for (unsigned bit = 0; bit < 32; bit++) {
			region2 r = bound();

			SEE(RET(set_region1(vm, 1, 1U << bit, GiB, PG, hva)),
			    bit == 0 || (bit == 1 && !type_is_protected(t)) ? 0 : -EINVAL, "type %u, v1, bit %u", t, bit);
			set_region1(vm, 1, 0, 0, 0, 0);
			if (file < 0)
				continue;
			r.flags = 1U << bit;
			SEE(attempt(r), bit == 0 || (bit == 1 && !type_is_protected(t)) || (bit == 2 && k_slots(k, t)) ? 0 : -EINVAL,
			    "type %u, v2, bit %u", t, bit);
			if (bit == 2)
				continue;
			r.flags = GMEM | 1U << bit;
			SEE(attempt(r), -EINVAL, "type %u, GUEST_MEMFD and bit %u", t, bit);
		}
		close(vm);
	}
}

void case_slot_ranges(void)
{
	begin(0);
	WITH(plain, 0, "right");
	WITH(plain, 0, "slot 32763", r.slot = 32763);
	WITH(plain, -EINVAL, "slot 32764", r.slot = 32764);
	WITH(plain, -EINVAL, "slot 65535", r.slot = 65535);
	WITH(plain, -EINVAL, "size unaligned", r.memory_size++);
	WITH(plain, -EINVAL, "size 1", r.memory_size = 1);
	WITH(plain, -EINVAL, "size below 0", r.memory_size = -PG);
	WITH(plain, -EINVAL, "gpa unaligned", r.guest_phys_addr++);
	WITH(plain, -EINVAL, "gpa wraps", r.guest_phys_addr = -PG);
	WITH(plain, -EINVAL, "gpa ends at 2^64", r.guest_phys_addr = -2 * PG);
	WITH(plain, -EINVAL, "gpa at 2^62", r.guest_phys_addr = 1ULL << 62);
	WITH(plain, -EINVAL, "gpa at 2^52", r.guest_phys_addr = 1ULL << 52);
	WITH(plain, 0, "gpa at 2^35", r.guest_phys_addr = 1ULL << 35);
	WITH(plain, -EINVAL, "hva unaligned", r.userspace_addr++);
	WITH(plain, 0, "hva 0", r.userspace_addr = 0);
	WITH(plain, 0, "hva not mapped", r.userspace_addr = 0x10000);
	WITH(plain, -EINVAL, "hva in the kernel", r.userspace_addr = (uintptr_t)KERNEL_PTR);
	WITH(plain, k->sign_hva ? 0 : -EINVAL, "hva not canonical", r.userspace_addr = 1ULL << 60);
	WITH(plain, k->sign_hva ? 0 : -EINVAL, "hva tagged", r.userspace_addr |= 1ULL << 57);
	WITH(plain, 0, "hva near 2^47, with a page to spare", r.userspace_addr = 0x7fffffffd000);
	WITH(plain, k->sign_hva ? 0 : -EINVAL, "hva at 2^56", r.userspace_addr = 1ULL << 56);
	WITH(plain, -EINVAL, "hva ends at 2^63", r.userspace_addr = (1ULL << 63) - 2 * PG);
	WITH(plain, -EINVAL, "hva ends at 2^64", r.userspace_addr = -2 * PG);
	WITH(plain, -EINVAL, "2^31 pages", r.userspace_addr = 0; r.memory_size = PG << 31);
}

/* From the first id to the last of KVM_CAP_NR_MEMSLOTS, in steps: all of them take a kernel half a minute. */
void case_slot_all(void)
{
	long refused = 0, last;

	begin(0);
	last = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS) - 1;
	for (long i = 0; i < last; i += 251)
		refused += set_region1(vm, (uint32_t)i, 0, (uint64_t)i * 2 * MiB, 2 * MiB, 0) != 0;
	SEE(refused, 0, "refused of every 251st slot");
	SEE(RET(set_region1(vm, (uint32_t)last, 0, (uint64_t)last * 2 * MiB, 2 * MiB, 0)), 0, "the last");
	SEE(RET(set_region1(vm, (uint32_t)last + 1, 0, (uint64_t)(last + 1) * 2 * MiB, 2 * MiB, 0)), -EINVAL,
	    "one more");
	SEE(RET(set_region1(vm, 0, 0, 0, 2 * MiB, 0)), 0, "the first once more, unchanged");
	SEE(RET(set_region1(vm, 1, 0, 251 * 2 * MiB, 2 * MiB, 0)), -EEXIST, "made where another is");
	SEE(RET(set_region1(vm, 251, 0, 0, 0, 0)), 0, "which is deleted");
	SEE(RET(set_region1(vm, 1, 0, 251 * 2 * MiB, 2 * MiB, 0)), 0, "made there");
}

void case_slot_spaces(void)
{
	EACH_TYPE(t) {
		begin(t);
		for (unsigned space = 0; space < 4; space++)
			WITH(plain, space < (type_is_private(t) ? 1 : target.spaces) ? 0 : -EINVAL, "a slot of a space",
			     r.slot |= space << 16);
		WITH(plain, -EINVAL, "the last space", r.slot |= 0xffffU << 16);
		if (target.spaces > 1 && !type_is_private(t)) {
			SEE(RET(set_region1(vm, 1, 0, GiB, PG, hva)), 0, "type %u, space 0", t);
			SEE(RET(set_region1(vm, 1 | 1 << 16, 0, GiB, PG, hva)), 0, "type %u, the same address in space 1", t);
		}
		close(vm);
	}
}

static const struct {
	const char *name;
	long offset; /* of a slot of 4 pages, in pages */
	unsigned pages;
	bool meets;
} overlaps[] = {
	{ "the same", 0, 4, true },	  { "front", -1, 2, true },	{ "back", 3, 2, true },	   { "inside", 1, 1, true },
	{ "around", -1, 6, true },	  { "ends where it begins", -2, 2, false }, { "begins where it ends", 4, 2, false },
};

void case_slot_overlap(void)
{
	begin(0);
	if (set_region1(vm, 7, 0, GiB, 4 * PG, hva))
		die("slot 7");
	for (size_t i = 0; i < sizeof(overlaps) / sizeof(*overlaps); i++) {
		region2 r = plain();

		r.guest_phys_addr += (uint64_t)overlaps[i].offset * PG;
		r.memory_size = overlaps[i].pages * PG;
		SEE(attempt(r), overlaps[i].meets ? -EEXIST : 0, "%s", overlaps[i].name);
	}
}

/* The outcome of a change to a slot that is made anew for it. */
#define CHANGE(wanted, label, ...)                                                                                     \
	do {                                                                                                           \
		region2 r = plain();                                                                                   \
		r.flags = before;                                                                                      \
		set_region1(vm, 1, 0, 0, 0, 0);                                                                        \
		set_region1(vm, 1, before, r.guest_phys_addr, r.memory_size, r.userspace_addr);                        \
		__VA_ARGS__;                                                                                           \
		SEE(RET(set_region1(vm, 1, r.flags, r.guest_phys_addr, r.memory_size, r.userspace_addr)), wanted,      \
		    "flags %u: %s", before, label);                                                                    \
	} while (0)

void case_slot_change(void)
{
	begin(0);
	if (set_region1(vm, 7, 0, 2 * GiB, 4 * PG, hva))
		die("slot 7");
	for (unsigned before = 0; before < 3; before++) {
		CHANGE(0, "nothing");
		CHANGE(-EINVAL, "hva", r.userspace_addr += PG);
		CHANGE(-EINVAL, "size", r.memory_size += PG);
		CHANGE(-EINVAL, "size and hva", r.memory_size += PG; r.userspace_addr += PG);
		CHANGE(0, "gpa", r.guest_phys_addr += 8 * PG);
		CHANGE(0, "gpa, over itself", r.guest_phys_addr += PG);
		CHANGE(-EINVAL, "gpa and hva", r.guest_phys_addr += PG; r.userspace_addr += PG);
		CHANGE(-EINVAL, "gpa too large", r.guest_phys_addr = 1ULL << 53);
		CHANGE(-EEXIST, "gpa of another slot", r.guest_phys_addr = 2 * GiB + PG);
		CHANGE(-EINVAL, "gpa of another slot, hva", r.guest_phys_addr = 2 * GiB; r.userspace_addr += PG);
		CHANGE(0, "dirty log", r.flags ^= DIRTY);
		CHANGE(-EINVAL, "read only", r.flags ^= RO);
		CHANGE(0, "dirty log and gpa", r.flags ^= DIRTY; r.guest_phys_addr += 8 * PG);
	}
}

#define REMOVE(wanted, label, ...)                                                                                     \
	do {                                                                                                           \
		region2 r = plain();                                                                                   \
		set_region1(vm, 1, 0, r.guest_phys_addr, r.memory_size, r.userspace_addr);                             \
		r.memory_size = 0;                                                                                     \
		__VA_ARGS__;                                                                                           \
		SEE(RET(set_region1(vm, r.slot, r.flags, r.guest_phys_addr, 0, r.userspace_addr)), wanted, "%s", label); \
		set_region1(vm, 1, 0, 0, 0, 0);                                                                        \
	} while (0)

void case_slot_remove(void)
{
	begin(0);
	REMOVE(0, "as made");
	REMOVE(0, "other addresses", r.guest_phys_addr = 0; r.userspace_addr = 0);
	REMOVE(0, "other flags", r.flags = DIRTY | RO);
	REMOVE(-EINVAL, "unknown flag", r.flags = 8);
	REMOVE(-EINVAL, "gpa unaligned", r.guest_phys_addr = 1);
	REMOVE(-EINVAL, "hva unaligned", r.userspace_addr = 1);
	REMOVE(-EINVAL, "hva in the kernel", r.userspace_addr = (uintptr_t)KERNEL_PTR);
	REMOVE(-EINVAL, "another slot", r.slot = 2);
	REMOVE(-EINVAL, "another space", r.slot |= 1 << 16);
	REMOVE(-EINVAL, "slot 32764", r.slot = 32764);
	SEE(RET(set_region1(vm, 1, 0, 0, 0, 0)), -EINVAL, "no such slot");
}

static long dirty_log(uint32_t slot, void *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	return RET(ioctl(vm, KVM_GET_DIRTY_LOG, &log));
}

void case_slot_dirty_log(void)
{
	static uint64_t bitmap[16];

	begin(0);
	SEE(dirty_log(1, bitmap), -ENOENT, "no slot");
	SEE(dirty_log(32764, bitmap), -EINVAL, "slot 32764");
	SEE(dirty_log(1 | 5 << 16, bitmap), -EINVAL, "no such space");
	SEE(RET(ioctl(vm, KVM_GET_DIRTY_LOG, BAD_PTR)), -EFAULT, "bad pointer");
	set_region1(vm, 1, 0, GiB, 2 * PG, hva);
	SEE(dirty_log(1, bitmap), -ENOENT, "a slot without log");
	set_region1(vm, 1, DIRTY, GiB, 2 * PG, hva);
	SEE(dirty_log(1, bitmap), 0, "a slot with log");
	SEE(bitmap[0], 0, "no page is dirty");
	SEE(dirty_log(1, BAD_PTR), -EFAULT, "bad bitmap");
}

/* --- bindings ---------------------------------------------------------------------- */

void case_bind_descriptor(void)
{
	int copy, mfd = memfd_create("plain", 0), other_vm, path = open("/proc/self/exe", O_PATH);

	begin_bound();
	other_vm = vm_new(kvm, target.bindable);
	copy = dup(file);
	WITH(bound, -EINVAL, "the device", r.guest_memfd = (uint32_t)kvm);
	WITH(bound, -EINVAL, "the VM", r.guest_memfd = (uint32_t)vm);
	WITH(bound, -EINVAL, "another VM", r.guest_memfd = (uint32_t)other_vm);
	WITH(bound, -EINVAL, "a memfd", r.guest_memfd = (uint32_t)mfd);
	WITH(bound, -EBADF, "O_PATH", r.guest_memfd = (uint32_t)path);
	WITH(bound, -EBADF, "-1", r.guest_memfd = -1U);
	WITH(bound, -EBADF, "2^31", r.guest_memfd = 1U << 31);
	WITH(bound, -EBADF, "1000000", r.guest_memfd = 1000000);
	WITH(bound, 0, "a duplicate", r.guest_memfd = (uint32_t)copy);
	close(copy);
	WITH(bound, -EBADF, "a closed one", r.guest_memfd = (uint32_t)copy);
	WITH(bound, 0, "the first", r.guest_memfd = (uint32_t)file);
}

void case_bind_offset(void)
{
	int huge;

	begin_bound();
	huge = gmem_new(vm, CLAMP63, 0);
	WITH(bound, 0, "the last pages", r.guest_memfd_offset = SIZE - 2 * PG);
	WITH(bound, -EINVAL, "across the end", r.guest_memfd_offset = SIZE - PG);
	WITH(bound, -EINVAL, "at the end", r.guest_memfd_offset = SIZE);
	WITH(bound, 0, "all", r.memory_size = SIZE);
	WITH(bound, -EINVAL, "a page more", r.memory_size = SIZE + PG);
	for (uint64_t off = 1; off < PG; off += 409)
		WITH(bound, -EINVAL, "unaligned", r.guest_memfd_offset = off);
	/* The sum becomes negative, which is not above the size. */
	WITH(bound, k->signed_sum ? 0 : -EINVAL, "2^63 - 4096, a page", r.memory_size = PG; r.guest_memfd_offset = CLAMP63);
	WITH(bound, k->signed_sum ? 0 : -EINVAL, "2^63 - 8192, two pages", r.guest_memfd_offset = CLAMP63 - PG);
	WITH(bound, -EINVAL, "2^63 - 8192, a page", r.memory_size = PG; r.guest_memfd_offset = CLAMP63 - PG);
	WITH(bound, -EINVAL, "2^63", r.guest_memfd_offset = 1ULL << 63);
	WITH(bound, -EINVAL, "-8192, a page", r.memory_size = PG; r.guest_memfd_offset = -2 * PG);
	WITH(bound, -EINVAL, "-8192, two pages", r.guest_memfd_offset = -2 * PG);
	WITH(bound, 0, "the last page of the largest file", r.guest_memfd = (uint32_t)huge; r.memory_size = PG;
	     r.guest_memfd_offset = CLAMP63 - PG);
}

void case_bind_conflict(void)
{
	begin_bound();
	if (set_region2(vm, 7, GMEM, 2 * GiB, 4 * PG, hva, file, 4 * PG))
		die("slot 7");
	for (size_t i = 0; i < sizeof(overlaps) / sizeof(*overlaps); i++) {
		region2 r = bound();

		r.memory_size = overlaps[i].pages * PG;
		r.guest_memfd_offset = (uint64_t)(4 + overlaps[i].offset) * PG;
		SEE(attempt(r), overlaps[i].meets ? -k->conflict : 0, "%s", overlaps[i].name);
	}
	SEE(RET(set_region2(vm, 7, GMEM, 0, 0, 0, -1, 0)), 0, "deleted");
	WITH(bound, 0, "free again", r.guest_memfd_offset = 4 * PG);
}

void case_bind_immutable(void)
{
	begin_bound();
#define SAME_SLOT(wanted, label, ...)                                                                                  \
	do {                                                                                                           \
		region2 r = bound();                                                                                   \
		if (set_region2(vm, 1, GMEM, GiB, 2 * PG, hva, file, 0))                                               \
			die("slot 1");                                                                                 \
		__VA_ARGS__;                                                                                           \
		SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r)), wanted, "%s", label);                             \
		set_region2(vm, 1, 0, 0, 0, 0, -1, 0);                                                                 \
	} while (0)
	SAME_SLOT(-EINVAL, "nothing changes");
	SAME_SLOT(-EINVAL, "gpa", r.guest_phys_addr += 8 * PG);
	SAME_SLOT(-EINVAL, "offset", r.guest_memfd_offset += PG);
	SAME_SLOT(-EINVAL, "size", r.memory_size += PG);
	SAME_SLOT(-EINVAL, "bad descriptor", r.guest_memfd = -1U);
	SAME_SLOT(-EINVAL, "without the flag", r.flags = 0);
	SAME_SLOT(-EINVAL, "dirty log", r.flags = DIRTY);
	SAME_SLOT(0, "deleted, descriptor -1", r.memory_size = 0; r.guest_memfd = -1U);
	SAME_SLOT(0, "deleted without the flag", r.memory_size = 0; r.flags = 0);
	SAME_SLOT(-EINVAL, "deleted, offset unaligned", r.memory_size = 0; r.guest_memfd_offset = 1);
	SAME_SLOT(0, "deleted, offset unaligned, without the flag", r.memory_size = 0; r.guest_memfd_offset = 1; r.flags = 0);
	SAME_SLOT(-EINVAL, "deleted, dirty log", r.memory_size = 0; r.flags = GMEM | DIRTY);
#undef SAME_SLOT
	set_region2(vm, 1, 0, GiB, 2 * PG, hva, -1, 0);
	SEE(RET(set_region2(vm, 1, GMEM, GiB, 2 * PG, hva, file, 0)), -EINVAL, "a plain slot does not take a file");
	set_region2(vm, 1, GMEM, 3 * GiB, 2 * PG, hva, file, 0);
	SEE(dirty_log(1, map_anon(PG)), -ENOENT, "it has no dirty log");
}

void case_bind_undo(void)
{
	begin_bound();
	for (int i = 0; i < 3; i++)
		WITH(bound, -EINVAL, "gpa too large", r.guest_phys_addr = 1ULL << 53);
	WITH(bound, 0, "the range is free");
}

void case_bind_many(void)
{
	int fd, refused = 0;

	begin_bound();
	fd = gmem_new(vm, 512 * PG, 0);
	for (uint32_t i = 0; i < 512; i++)
		refused += set_region2(vm, i, GMEM, GiB - i * 4 * PG, PG, 0, fd, i * PG) != 0;
	SEE(refused, 0, "of 512 slots");
	SEE(RET(set_region2(vm, 600, GMEM, 2 * GiB, PG, 0, fd, 100 * PG)), -k->conflict, "a range that is bound");
	for (uint32_t i = 0; i < 512; i += 2)
		refused += set_region2(vm, i, 0, 0, 0, 0, -1, 0) != 0;
	SEE(refused, 0, "of 256 deletions");
	SEE(RET(set_region2(vm, 600, GMEM, 2 * GiB, PG, 0, fd, 100 * PG)), 0, "a range that became free");
	SEE(RET(set_region2(vm, 601, GMEM, 3 * GiB, 2 * PG, 0, fd, 102 * PG)), -k->conflict, "half of it is bound");
}

void case_bind_types(void)
{
	EACH_TYPE(t) {
		begin(t);
		for (unsigned flags = 0; flags < 4; flags++) {
			int fd = gmem_try(vm, SIZE, flags);

			if (fd < 0)
				continue;
			SEE(RET(set_region2(vm, 1, GMEM, GiB, SIZE, 0, fd, 0)), k_slots(k, t) ? 0 : -EINVAL, "type %u, flags %u", t, flags);
			set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
			SEE(RET(set_region2(vm, 1, GMEM, GiB, SIZE, 0, -1, 0)), k_slots(k, t) ? -EBADF : -EINVAL,
			    "type %u, flags %u, bad descriptor", t, flags);
			close(fd);
		}
		close(vm);
	}
}

/* --- lifetimes ---------------------------------------------------------------------- */

void case_life_file_keeps_vm(void)
{
	begin_bound();
	set_region2(vm, 1, GMEM, GiB, 4 * PG, 0, file, 0);
	close(vm);
	SEE(RET(fallocate(file, 1, 0, SIZE)), 0, "allocate without a VM");
	SEE(RET(fallocate(file, 3, 0, SIZE)), 0, "punch without a VM");
	vm = vm_new(kvm, target.bindable);
	WITH(bound, -EINVAL, "another VM cannot take it");
}

void case_life_mapping_keeps_file(void)
{
	char *ptr;
	int copy;

	begin(0);
	if (!(target.has & NEED_MAP) || target.bindable)
		return;
	file = gmem_new(vm, SIZE, SHAREABLE);
	ptr = map_shared(file, SIZE, 0);
	check_store(ptr, 0x41);
	SEE(RET(set_region2(vm, 1, GMEM, GiB, 4 * PG, 0, file, 0)), 0, "bound");
	copy = dup(file);
	close(file);
	file = copy;
	WITH(bound, -k->conflict, "a duplicate: bound still", r.slot = 2; r.guest_phys_addr = 2 * GiB);
	close(copy);
	SEE(check_load(ptr), 0x41, "content without a descriptor");
	SEE(check_store(ptr + 5 * PG, 0x42), 0, "a page never touched");
	close(vm);
	SEE(check_load(ptr + 5 * PG), 0x42, "without a VM");
	SEE(check_store(ptr + 6 * PG, 0x43), 0, "another page");
}

void case_life_slot_keeps_nothing(void)
{
	begin_bound();
	SEE(RET(set_region2(vm, 1, GMEM, GiB, 4 * PG, 0, file, 0)), 0, "bound");
	close(file);
	file = gmem_new(vm, SIZE, 0);
	WITH(bound, -EEXIST, "the slot stays in place", r.slot = 2);
	SEE(RET(set_region2(vm, 1, GMEM, GiB, 4 * PG, 0, file, 0)), -EINVAL, "a new file cannot be attached to it");
	SEE(RET(set_region2(vm, 1, 0, GiB, 4 * PG, 0, -1, 0)), -EINVAL, "nor its file taken away");
	SEE(RET(set_region2(vm, 1, 0, 0, 0, 0, -1, 0)), 0, "deleted");
	WITH(bound, 0, "made anew");
}

void case_life_contents(void)
{
	char *ptr;

	begin(0);
	if (target.bindable)
		return;
	file = gmem_new(vm, SIZE, SHAREABLE);
	ptr = map_shared(file, SIZE, 0);
	for (unsigned i = 0; i < 4; i++)
		check_store(ptr + i * PG, (int)(0x41 + i));
	set_region2(vm, 1, GMEM, GiB, 4 * PG, 0, file, 0);
	set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
	set_region2(vm, 1, GMEM, 2 * GiB, 2 * PG, 0, file, 2 * PG);
	for (unsigned i = 0; i < 4; i++)
		SEE(check_load(ptr + i * PG), 0x41 + i, "page %u", i);
	fallocate(file, 3, 2 * PG, PG);
	SEE(check_load(ptr + 2 * PG), 0, "a hole in what is bound");
	SEE(check_load(ptr + 3 * PG), 0x44, "beside it");
	set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
	SEE(check_load(ptr + 3 * PG), 0x44, "after deletion");
}
