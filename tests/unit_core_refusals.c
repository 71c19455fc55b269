// SPDX-License-Identifier: MIT
/*
 * tests/unit_core_refusals.c - what each refusal of the core says: rule, errno, object, value, expectation
 *
 * `gmem run --explain` prints these five, so each is part of the answer.  The
 * orders of checks are other tests' matter (unit_memslot_order.c, unit_convert.c).
 */
#include <linux/falloc.h>
#include <string.h>

#include "core/fileop.h"
#include "core/limits.h"
#include "tests/file_world.h"

#define SLOT_MAX (CORE_SLOT_MAX_PAGES * PG)
#define GPA_TOP	 (1ULL << 48)
#define HVA_TOP	 0x7ffffffff000ULL

static bool says(const struct core_err *err, int ret, enum core_rule_id rule, int error, const char *object, u64 value,
		 u64 expected)
{
	if (ret == -error && err->rule == rule && err->error == error && err->object && !strcmp(err->object, object) &&
	    err->value == value && err->expected == expected)
		return true;
	diag("%s: returned %d, \"%s\" %#llx, expected %#llx", core_rules[err->rule].slug, ret, err->object,
	     (unsigned long long)err->value, (unsigned long long)err->expected);
	return false;
}

/* call fills err and is refused by rule; the other way round, without err, it answers the same. */
#define refusal(call, rule_, error_, object_, value_, expected_)                                                       \
	do {                                                                                                           \
		struct core_err err_, *err = &err_;                                                                    \
		int ret_;                                                                                              \
		memset(err, 0x5a, sizeof(*err));                                                                       \
		ret_ = (call);                                                                                         \
		ok(says(err, ret_, RULE_##rule_, (error_), (object_), (u64)(value_), (u64)(expected_)),             \
		   #rule_ ": %s", #call);                                                                              \
		err = NULL;                                                                                            \
		if ((call) != -(error_))                                                                               \
			ok(0, #rule_ " without a record: %s", #call);                                                  \
	} while (0)

/* --- slots ------------------------------------------------------------------- */

struct files {
	struct world *w;
	struct core_file foreign;
};

enum { FD_FILE = 3, FD_FOREIGN, FD_NOT_GMEM, FD_CLOSED };

static int lookup(void *ctx, u32 fd, struct core_file **ret)
{
	struct files *files = ctx;

	*ret = fd == FD_FILE ? &files->w->file : &files->foreign;
	if (fd == FD_FILE || fd == FD_FOREIGN)
		return 0;
	return fd == FD_NOT_GMEM ? -EINVAL : -EBADF;
}

static struct kvm_userspace_memory_region2 region(u32 slot, u32 flags, u64 gpa, u64 size, u64 hva)
{
	return (struct kvm_userspace_memory_region2){ .slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
						      .userspace_addr = hva };
}

static int set(struct files *f, int version, struct kvm_userspace_memory_region2 r, struct core_err *err)
{
	return core_memslot_set(&f->w->vm, &r, version, lookup, f, NULL, err);
}

static int set_gmem(struct files *f, u32 slot, u64 gpa, u64 size, u32 fd, u64 offset, struct core_err *err)
{
	struct kvm_userspace_memory_region2 r = region(slot, KVM_MEM_GUEST_MEMFD, gpa, size, 0);

	r.guest_memfd = fd;
	r.guest_memfd_offset = offset;
	return set(f, 2, r, err);
}

static void test_slot_shape(void)
{
	struct world w;
	struct files f = { .w = &w };

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 3);
	f.foreign = (struct core_file){ .vm = NULL, .size = PG };
	refusal(set(&f, 1, region(0, 4, 0, PG, 0), err), SLOT_V1_FLAGS, EINVAL, "flags", 4, 3);
	refusal(set(&f, 2, region(0x17ffc, 0, 0, PG, 0), err), SLOT_ID, EINVAL, "slot", 0x7ffc, 32764);
	refusal(set(&f, 2, region(0, 9, 0, PG, 0), err), SLOT_FLAGS, EINVAL, "flags", 9, 3);
	refusal(set(&f, 2, region(0, 6, 0, PG, 0), err), SLOT_FLAGS, EINVAL, "flags", 6, 4);
	refusal(set(&f, 2, region(0, 0, 0, 17, 0), err), SLOT_SIZE_ALIGN, EINVAL, "memory_size", 17, PG);
	refusal(set(&f, 2, region(0, 0, 18, PG, 0), err), SLOT_GPA_ALIGN, EINVAL, "guest_phys_addr", 18, PG);
	refusal(set(&f, 2, region(0, 0, 0, PG, 19), err), SLOT_HVA, EINVAL, "userspace_addr", 19, PG);
	refusal(set(&f, 2, region(0, 0, 0, PG, HVA_TOP), err), SLOT_HVA, EINVAL, "userspace_addr", HVA_TOP, HVA_TOP);
	refusal(set_gmem(&f, 0, 0, PG, FD_FILE, 20, err), SLOT_OFFSET, EINVAL, "guest_memfd_offset", 20, PG);
	refusal(set(&f, 2, region(2 << 16 | 5, 0, 0, PG, 0), err), SLOT_SPACE, EINVAL, "slot", 0x20005, 2);
	refusal(set(&f, 2, region(0, 0, -PG, 2 * PG, 0), err), SLOT_GPA_WRAP, EINVAL, "guest_phys_addr", -PG, 2 * PG);
	refusal(set(&f, 2, region(0, 0, 0, SLOT_MAX + PG, 0), err), SLOT_PAGES, EINVAL, "memory_size", SLOT_MAX + PG,
		SLOT_MAX);
	refusal(set(&f, 2, region(7, 0, 0, 0, 0), err), SLOT_DELETE_NONE, EINVAL, "slot", 7, 0);
	refusal(set(&f, 2, region(0, 0, GPA_TOP - PG, 2 * PG, 0), err), SLOT_GPA_LIMIT, EINVAL, "guest_phys_addr",
		GPA_TOP - PG,
		GPA_TOP);
	is(world_fini(&w), 0, "refusals keep no memory");
}

static void test_slot_change(void)
{
	struct world w;
	struct files f = { .w = &w };

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 3);
	is(set(&f, 2, region(1, 0, 4 * PG, 2 * PG, 16 * PG), NULL), 0, "a slot");
	is(set_gmem(&f, 2, 8 * PG, PG, FD_FILE, 3 * PG, NULL), 0, "and one with a file");
	refusal(set_gmem(&f, 1, 4 * PG, 2 * PG, FD_FILE, 0, err), SLOT_IMMUTABLE, EINVAL, "slot", 1, 0);
	refusal(set(&f, 2, region(1, 0, 4 * PG, 2 * PG, 32 * PG), err), SLOT_MODIFY, EINVAL, "userspace_addr",
		32 * PG, 16 * PG);
	refusal(set(&f, 2, region(1, 0, 4 * PG, PG, 16 * PG), err), SLOT_MODIFY, EINVAL, "memory_size", PG, 2 * PG);
	refusal(set(&f, 2, region(1, 3, 4 * PG, 2 * PG, 16 * PG), err), SLOT_MODIFY, EINVAL, "flags", 3, 0);
	refusal(set(&f, 2, region(2, 1, 8 * PG, PG, 0), err), SLOT_MODIFY, EINVAL, "flags", 1, 4);
	refusal(set(&f, 2, region(3, 0, 5 * PG, PG, 0), err), SLOT_GPA_OVERLAP, EEXIST, "guest_phys_addr", 5 * PG,
		4 * PG);
	refusal(set(&f, 2, region(1, 0, 7 * PG, 2 * PG, 16 * PG), err), SLOT_GPA_OVERLAP, EEXIST, "guest_phys_addr",
		7 * PG, 8 * PG);
	refusal(set(&f, 2, region(1, 0, GPA_TOP, 2 * PG, 16 * PG), err), SLOT_GPA_LIMIT, EINVAL, "guest_phys_addr",
		GPA_TOP, GPA_TOP);
	is(core_memslot_by_gpa(&w.vm, 0, 4 * PG)->id, 1, "the slot is where it was");
	is(world_fini(&w), 0, "refusals keep no memory");
}

/* Without two-dimensional paging guest physical addresses have 52 bits, whatever the host has. */
static void test_shadow_limit(void)
{
	struct world w;
	struct files f = { .w = &w };

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 3);
	w.sys.shape.tdp = false;
	is(set(&f, 2, region(0, 0, (1ULL << 52) - PG, PG, 0), NULL), 0, "the last page below 2^52");
	refusal(set(&f, 2, region(1, 0, 1ULL << 52, PG, 0), err), SLOT_GPA_LIMIT, EINVAL, "guest_phys_addr", 1ULL << 52, 1ULL << 52);
	is(set(&f, 2, region(0, 0, 0, 0, HVA_TOP), NULL), 0, "a slot is deleted, with the last address that access_ok() takes");
	is(world_fini(&w), 0, "nothing is left");
}

static void test_logging(void)
{
	struct world w;
	struct files f = { .w = &w };

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 3);
	is(set(&f, 2, region(1, KVM_MEM_LOG_DIRTY_PAGES, 0, PG, 0), NULL), 0, "a slot that logs");
	core_dirty_mark(core_memslot_by_id(&w.vm, 1), 0);
	is(set(&f, 2, region(1, KVM_MEM_LOG_DIRTY_PAGES, 16 * PG, PG, 0), NULL), 0, "is moved");
	is(core_memslot_by_id(&w.vm, 1)->dirty[0], 1, "and keeps its log");
	w.vm.dirty_ring = 4096;
	is(set(&f, 2, region(2, KVM_MEM_LOG_DIRTY_PAGES, 0, PG, 0), NULL), 0, "where rings log");
	ok(!core_memslot_by_id(&w.vm, 2)->dirty, "a slot has no bitmap");
	is(world_fini(&w), 0, "nothing is left");
}

static void test_binding(const char *profile, int conflict)
{
	struct world w;
	struct files f = { .w = &w };

	world_init(&w, profile, -1, KVM_X86_SW_PROTECTED_VM, 16, 0);
	f.foreign = (struct core_file){ .vm = NULL, .size = PG };
	is(set_gmem(&f, 2, 8 * PG, 2 * PG, FD_FILE, 3 * PG, NULL), 0, "%s: a slot with a file", profile);
	refusal(set_gmem(&f, 1, 0, PG, FD_NOT_GMEM, 0, err), BIND_KIND, EINVAL, "guest_memfd", FD_NOT_GMEM, 0);
	refusal(set_gmem(&f, 1, 0, PG, FD_CLOSED, 0, err), BIND_FD, EBADF, "guest_memfd", FD_CLOSED, 0);
	refusal(set_gmem(&f, 1, 0, PG, FD_FOREIGN, 0, err), BIND_VM, EINVAL, "guest_memfd", FD_FOREIGN, 0);
	refusal(set_gmem(&f, 1, 0, 2 * PG, FD_FILE, 15 * PG, err), BIND_SIZE, EINVAL, "guest_memfd_offset", 15 * PG,
		16 * PG);
	refusal(set_gmem(&f, 1, 0, 2 * PG, FD_FILE, 4 * PG, err), BIND_CONFLICT, conflict, "guest_memfd_offset",
		4 * PG, 3 * PG);
	is(world_fini(&w), 0, "%s: refusals keep no memory", profile);
}

static void test_signed_offset(void)
{
	struct world w;
	struct files f = { .w = &w };

	world_init(&w, "linux-6.18", -1, KVM_X86_SW_PROTECTED_VM, 16, 0);
	refusal(set_gmem(&f, 1, 0, PG, FD_FILE, 1ULL << 63, err), BIND_OFFSET, EINVAL, "guest_memfd_offset",
		1ULL << 63, INT64_MAX);
	is(set_gmem(&f, 1, 0, PG, FD_FILE, (1ULL << 63) - PG, NULL), 0, "a sum of 2^63 is negative to old kernels, and passes");
	world_fini(&w);
}

/* Each allocation of a request fails in turn: the rule that speaks, by its number. */
static void test_slot_memory(void)
{
	static const unsigned nth[] = { 1, 2, 3, 3 };
	static const enum core_rule_id rules[] = { RULE_SLOT_MEMORY, RULE_SLOT_MEMORY, RULE_SLOT_MEMORY, RULE_BIND_MEMORY };
	struct core_err said;
	struct world w;
	struct files f = { .w = &w };
	int ret;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 16, 0);
	/* The slot, the array by address, the leaf by id, the array by file offset: each is kept once it was had. */
	for (unsigned i = 0; i < 4; i++) {
		mem_fail(nth[i]);
		ret = set_gmem(&f, 3, 0, PG, FD_FILE, 0, &said);
		ok(says(&said, ret, rules[i], ENOMEM, rules[i] == RULE_BIND_MEMORY ? "guest_memfd" : "slot", 3, 0),
		   "allocation %u of a slot with a file fails", i);
		ok(!core_memslot_by_id(&w.vm, 3) && !w.file.nr_bound, "and leaves no slot and no binding (SLOT-1)");
	}
	mem_fail(0);
	is(set(&f, 2, region(4, 0, 8 * PG, PG, 0), NULL), 0, "a slot of host memory");
	refusal(set(&f, 2, region(4, KVM_MEM_LOG_DIRTY_PAGES, 8 * PG, PG, 0), (mem_fail(1), err)), SLOT_MEMORY,
		ENOMEM, "slot", 4, 0);
	is(core_memslot_by_id(&w.vm, 4)->flags, 0, "without memory for the bitmap the flags stay");
	refusal(set(&f, 2, region(4, KVM_MEM_LOG_DIRTY_PAGES, 16 * PG, PG, 0), (mem_fail(1), err)), SLOT_MEMORY,
		ENOMEM, "slot", 4, 0);
	is(core_memslot_by_id(&w.vm, 4)->gpa, 8 * PG, "and the place too");
	mem_fail(2);
	ret = set(&f, 2, region(5, KVM_MEM_LOG_DIRTY_PAGES, 32 * PG, PG, 0), &said);
	ok(says(&said, ret, RULE_SLOT_MEMORY, ENOMEM, "slot", 5, 0) && !core_memslot_by_id(&w.vm, 5),
	   "a new slot that cannot log does not come to be");
	mem_fail(0);
	is(world_fini(&w), 0, "nothing is left");
}

static void test_dirty_log(void)
{
	struct world w;
	struct files f = { .w = &w };
	u64 bytes = 0;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 3);
	is(set(&f, 2, region(1, KVM_MEM_LOG_DIRTY_PAGES, 0, 100 * PG, 0), NULL), 0, "a slot that logs, of 100 pages");
	is(set(&f, 2, region(2, 0, 100 * PG, PG, 0), NULL), 0, "and one that does not");
	refusal(core_dirty_log_check(&w.vm, 0x7ffc, &bytes, err), DIRTY_LOG_ID, EINVAL, "slot", 0x7ffc, 32764);
	refusal(core_dirty_log_check(&w.vm, 0x20001, &bytes, err), DIRTY_LOG_ID, EINVAL, "slot", 0x20001, 32764);
	refusal(core_dirty_log_check(&w.vm, 2, &bytes, err), DIRTY_LOG_NONE, ENOENT, "slot", 2, 0);
	refusal(core_dirty_log_check(&w.vm, 3, &bytes, err), DIRTY_LOG_NONE, ENOENT, "slot", 3, 0);
	refusal(core_dirty_clear_check(&w.vm, 1, 32, 64, &bytes, err), DIRTY_CLEAR_RANGE, EINVAL, "first_page", 32, 64);
	refusal(core_dirty_clear_check(&w.vm, 3, 32, 64, &bytes, err), DIRTY_CLEAR_RANGE, EINVAL, "first_page", 32, 64);
	refusal(core_dirty_clear_check(&w.vm, 1, 1ULL << 32, 64, &bytes, err), DIRTY_CLEAR_RANGE, EINVAL, "num_pages",
		64, 100);
	refusal(core_dirty_clear_check(&w.vm, 1, 64, 63, &bytes, err), DIRTY_CLEAR_RANGE, EINVAL, "num_pages", 63, 100);
	refusal(core_dirty_clear_check(&w.vm, 1, 64, 37, &bytes, err), DIRTY_CLEAR_RANGE, EINVAL, "num_pages", 37, 100);
	refusal(core_dirty_clear_check(&w.vm, 1, 128, 0, &bytes, err), DIRTY_CLEAR_RANGE, EINVAL, "num_pages", 0, 100);
	refusal(core_dirty_clear_check(&w.vm, 0x7ffc, 32, 64, &bytes, err), DIRTY_LOG_ID, EINVAL, "slot", 0x7ffc,
		32764);
	refusal(core_dirty_clear_check(&w.vm, 0x20001, 32, 64, &bytes, err), DIRTY_LOG_ID, EINVAL, "slot", 0x20001,
		32764);
	is(bytes, 0, "a refused call says nothing of a size");
	is(core_dirty_log_check(&w.vm, 1, &bytes, NULL), 0, "the log of 100 pages");
	is(bytes, 16, "is two words");
	is(core_dirty_clear_check(&w.vm, 1, 64, 36, &bytes, NULL), 0, "what ends with the slot need not be a multiple of 64");
	is(bytes, 8, "and is one word");
	is(core_dirty_clear_check(&w.vm, 1, 0, 64, &bytes, NULL), 0, "a multiple need not end with it");
	is(bytes, 8, "it is one word, too");
	is(core_dirty_clear_check(&w.vm, 1, 0, 100, &bytes, NULL), 0, "all of the slot");
	is(bytes, 16, "is two words");
	w.vm.dirty_ring = 4096;
	refusal(core_dirty_log_check(&w.vm, 1, &bytes, err), DIRTY_LOG_RING, ENXIO, "slot", 1, 0);
	refusal(core_dirty_clear_check(&w.vm, 1, 32, 64, &bytes, err), DIRTY_LOG_RING, ENXIO, "slot", 1, 0);
	world_fini(&w);
}

/* --- VMs ---------------------------------------------------------------------- */

static int enable(struct world *w, u32 cap, u64 arg, struct core_err *err)
{
	return core_vm_enable_cap(&w->vm, &(struct kvm_enable_cap){ .cap = cap, .args = { arg } }, err);
}

static void test_vm(void)
{
	const struct kvm_enable_cap flags = { .cap = KVM_CAP_EXIT_HYPERCALL, .flags = 6 };
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_TDX_VM, 16, 0);
	refusal(core_vm_type_check(&w.sys, 7, err), VM_TYPE, EINVAL, "type", 7, 0x3f);
	refusal(core_vm_type_check(&w.sys, 32, err), VM_TYPE, EINVAL, "type", 32, 0x3f);
	w.sys.vm_types = ~0ULL;
	refusal(core_vm_type_check(&w.sys, 32, err), VM_TYPE, EINVAL, "type", 32, ~0ULL);
	is(core_vm_type_check(&w.sys, 31, NULL), 0, "types end with 31, where the kernel's mask ends");
	refusal(core_vm_enable_cap(&w.vm, &flags, err), ENABLE_CAP_FLAGS, EINVAL, "flags", 6, 0);
	refusal(enable(&w, KVM_CAP_EXIT_HYPERCALL, 5, err), ENABLE_CAP_HYPERCALL, EINVAL, "args[0]", 5, 0x1000);
	refusal(enable(&w, KVM_CAP_GUEST_MEMFD, 0, err), ENABLE_CAP_UNKNOWN, EINVAL, "cap", KVM_CAP_GUEST_MEMFD,
		KVM_CAP_EXIT_HYPERCALL);
	refusal(core_vm_set_nr_mmu_pages(&w.vm, 63, err), NR_MMU_PAGES, EINVAL, "pages", 63, 64);
	is(core_vm_set_nr_mmu_pages(&w.vm, 64, NULL), 0, "64 MMU pages");
	is(w.vm.nr_mmu_pages, 64, "are remembered");
	refusal(core_vm_create_irqchip(&w.vm, err), IRQCHIP_PROTECTED, ENOTTY, "vm type", KVM_X86_TDX_VM, 0);
	w.vm.irqchip = true;
	refusal(core_vm_create_irqchip(&w.vm, err), IRQCHIP_EXISTS, EEXIST, "vm", 0, 0);
	refusal(core_vm_create_vcpu(&w.vm, 4096, 0, err), VCPU_ID, EINVAL, "id", 4096, 4096);
	refusal(core_vm_create_vcpu(&w.vm, 0, 1024, err), VCPU_COUNT, EINVAL, "vCPUs", 1024, 1024);
	world_fini(&w);
}

static void test_manual_protect(void)
{
	const u32 cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 0);
	refusal(enable(&w, cap, 2, err), ENABLE_CAP_MASK, EINVAL, "args[0]", 2, 1);
	refusal(enable(&w, cap, 7, err), ENABLE_CAP_MASK, EINVAL, "args[0]", 7, 3);
	is(w.vm.dirty_manual, 0, "initially-set comes with manual protection only");
	is(enable(&w, cap, 3, NULL), 0, "both at once");
	is(w.vm.dirty_manual, 3, "are remembered");
	refusal(enable(&w, cap, 4, err), ENABLE_CAP_MASK, EINVAL, "args[0]", 4, 1);
	is(w.vm.dirty_manual, 3, "and a refused call changes nothing");
	is(enable(&w, cap, 0, NULL), 0, "it can be taken back");
	is(w.vm.dirty_manual, 0, "all of it");
	world_fini(&w);
}

static void test_dirty_ring(void)
{
	const u32 cap = KVM_CAP_DIRTY_LOG_RING;
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 0);
	refusal(enable(&w, cap, 0, err), DIRTY_RING_SIZE, EINVAL, "size", 0, 1024);
	refusal(enable(&w, cap, 512, err), DIRTY_RING_SIZE, EINVAL, "size", 512, 1024);
	refusal(enable(&w, cap, 3072, err), DIRTY_RING_SIZE, EINVAL, "size", 3072, 1024);
	refusal(enable(&w, cap, 1ULL << 32, err), DIRTY_RING_SIZE, EINVAL, "size", 1ULL << 32, 1024);
	refusal(enable(&w, cap, 1 << 21, err), DIRTY_RING_MAX, E2BIG, "size", 1 << 21, 1 << 20);
	w.vm.has_vcpus = true;
	refusal(enable(&w, cap, 1024, err), BEFORE_VCPUS, EINVAL, "vCPUs", 1, 0);
	is(w.vm.dirty_ring, 0, "no ring so far");
	w.vm.has_vcpus = false;
	is(enable(&w, cap, 1024, NULL), 0, "1 KiB is the smallest");
	is(w.vm.dirty_ring, 1024, "and remembered");
	w.vm.has_vcpus = true;
	refusal(enable(&w, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 2048, err), DIRTY_RING_SIZE, EINVAL, "size", 2048, 1024);
	w.vm.has_vcpus = false;
	w.vm.dirty_ring = 0;
	is(enable(&w, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 20, NULL), 0, "1 MiB is the largest, and the other capability the same");
	is(w.vm.dirty_ring, 1 << 20, "and remembered");
	world_fini(&w);
}

static void test_max_vcpu_id(void)
{
	const u32 cap = KVM_CAP_MAX_VCPU_ID;
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 0);
	is(core_vm_max_vcpu_id(&w.vm), 4096, "4096 ids unless something else is asked for");
	refusal(enable(&w, cap, 4097, err), VCPU_ID, EINVAL, "args[0]", 4097, 4096);
	w.vm.boot_id = 9;
	refusal(enable(&w, cap, 8, err), VCPU_ID, EINVAL, "args[0]", 8, 4096);
	w.vm.has_vcpus = true;
	refusal(enable(&w, cap, 9, err), BEFORE_VCPUS, EINVAL, "args[0]", 9, 4096);
	is(enable(&w, cap, 4096, NULL), 0, "with vCPUs only what holds already passes");
	w.vm.has_vcpus = false;
	w.vm.max_vcpu_id = 0;
	is(enable(&w, cap, 9, NULL), 0, "the boot processor's id is not too low");
	is(core_vm_max_vcpu_id(&w.vm), 9, "and is the limit now");
	refusal(core_vm_create_vcpu(&w.vm, 9, 0, err), VCPU_ID, EINVAL, "id", 9, 9);
	is(core_vm_create_vcpu(&w.vm, 8, 0, NULL), 0, "an id below it passes");
	refusal(enable(&w, cap, 10, err), BEFORE_VCPUS, EINVAL, "args[0]", 10, 9);
	is(enable(&w, cap, 9, NULL), 0, "the same again is nothing new");
	w.vm.has_vcpus = true;
	is(enable(&w, cap, 9, NULL), 0, "with vCPUs, too");
	refusal(enable(&w, cap, 4096, err), BEFORE_VCPUS, EINVAL, "args[0]", 4096, 9);
	world_fini(&w);
}

static void test_quirks(void)
{
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 0);
	refusal(enable(&w, KVM_CAP_DISABLE_QUIRKS2, CORE_QUIRKS | 1ULL << 40, err), ENABLE_CAP_MASK, EINVAL, "args[0]",
		CORE_QUIRKS | 1ULL << 40, CORE_QUIRKS);
	is(w.vm.quirks_off, 0, "an unknown quirk keeps all on");
	is(enable(&w, KVM_CAP_DISABLE_QUIRKS2, 1, NULL), 0, "one quirk");
	is(enable(&w, KVM_CAP_DISABLE_QUIRKS2, 4, NULL), 0, "and another");
	is(w.vm.quirks_off, 5, "both stay off");
	is(enable(&w, KVM_CAP_DISABLE_QUIRKS, 8 | 1ULL << 40, NULL), 0, "the older call passes over what it does not know");
	is(w.vm.quirks_off, 13, "and adds the rest");
	is(enable(&w, KVM_CAP_DISABLE_QUIRKS2, 0, NULL), 0, "none");
	ok(w.vm.quirks_off == 13 && !w.vm.platform_info_hidden, "changes nothing, here or elsewhere");
	is(enable(&w, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 2, NULL), 0, "triple faults as events: any number but 0");
	is(w.vm.triple_fault_event, 1, "is on");
	is(enable(&w, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 0, NULL), 0, "and 0");
	is(w.vm.triple_fault_event, 0, "is off");
	world_fini(&w);
}

/* The longest count of a local APIC's timer, (2^32 - 1) * 128 cycles, fits into 64 bits of nanoseconds. */
static void test_apic_cycle(void)
{
	const u32 cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS;
	const u64 longest = 1 << 25;
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 0);
	is(core_vm_apic_cycle_ns(&w.vm), 1, "a bus cycle is a nanosecond unless something else is asked for");
	refusal(enable(&w, cap, 0, err), APIC_CYCLE, EINVAL, "args[0]", 0, longest);
	refusal(enable(&w, cap, longest + 1, err), APIC_CYCLE, EINVAL, "args[0]", longest + 1, longest);
	refusal(enable(&w, cap, longest, err), IRQCHIP_NONE, ENXIO, "interrupt controller", 0, 0);
	w.vm.irqchip = w.vm.has_vcpus = true;
	refusal(enable(&w, cap, longest, err), BEFORE_VCPUS, EINVAL, "vCPUs", 1, 0);
	w.vm.has_vcpus = false;
	is(enable(&w, cap, longest, NULL), 0, "the longest cycle can be had");
	is(core_vm_apic_cycle_ns(&w.vm), longest, "and is remembered");
	world_fini(&w);
}

static void test_msrs(void)
{
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, 0);
	refusal(enable(&w, KVM_CAP_X86_USER_SPACE_MSR, 8, err), ENABLE_CAP_MASK, EINVAL, "args[0]", 8,
		KVM_MSR_EXIT_REASON_VALID_MASK);
	is(w.vm.msr_exits, 0, "an unknown reason to exit changes nothing");
	is(enable(&w, KVM_CAP_X86_USER_SPACE_MSR, 5, NULL), 0, "known ones");
	is(w.vm.msr_exits, 5, "are remembered");
	is(enable(&w, KVM_CAP_MSR_PLATFORM_INFO, 0, NULL), 0, "the guest is not to see MSR_PLATFORM_INFO");
	is(w.vm.platform_info_hidden, 1, "which is remembered");
	is(enable(&w, KVM_CAP_MSR_PLATFORM_INFO, 2, NULL), 0, "it is to");
	is(w.vm.platform_info_hidden, 0, "so is that");
	world_fini(&w);
}

static int set_attributes(struct world *w, u64 address, u64 size, u64 attributes, u64 flags, struct core_err *err)
{
	const struct kvm_memory_attributes args = { address, size, attributes, flags };

	return core_vm_set_attributes(&w->vm, &args, err);
}

static void test_vm_attributes(void)
{
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_SW_PROTECTED_VM, 16, 0);
	refusal(set_attributes(&w, 0, PG, 8, 2, err), ATTRS_FLAGS, EINVAL, "flags", 2, 0);
	refusal(set_attributes(&w, 0, PG, 12, 0, err), ATTRS_MASK, EINVAL, "attributes", 12, 8);
	refusal(set_attributes(&w, 0, 0, 8, 0, err), ATTRS_SIZE, EINVAL, "size", 0, 0);
	refusal(set_attributes(&w, -PG, PG, 8, 0, err), ATTRS_SIZE, EINVAL, "size", PG, 0);
	refusal(set_attributes(&w, 5, PG, 8, 0, err), ATTRS_ALIGN, EINVAL, "address", 5, PG);
	refusal(set_attributes(&w, 0, 6, 8, 0, err), ATTRS_ALIGN, EINVAL, "size", 6, PG);
	refusal(set_attributes(&w, 0, 3 * PG, 8, 0, (mem_fail(1), err)), ATTRS_MEMORY, ENOMEM, "size", 3 * PG, 0);
	mem_fail(0);
	is(core_vm_attributes(&w.vm, 0), 0, "nothing has become private");
	is(world_fini(&w), 0, "refusals keep no memory");
}

/* --- files -------------------------------------------------------------------- */

static int create(struct world *w, u64 size, u64 flags, struct core_err *err)
{
	return core_file_check(&w->vm, &(struct kvm_create_guest_memfd){ .size = size, .flags = flags }, err);
}

static void test_file(void)
{
	struct core_fallocate_plan plan;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 16, 3);
	refusal(create(&w, PG, 6, err), CREATE_FLAGS, EINVAL, "flags", 6, 3);
	refusal(create(&w, -PG, 0, err), CREATE_SIZE, EINVAL, "size", -PG, 0);
	refusal(create(&w, 0, 0, err), CREATE_SIZE, EINVAL, "size", 0, 0);
	refusal(create(&w, 5, 0, err), CREATE_SIZE_ALIGN, EINVAL, "size", 5, PG);
	refusal(core_file_touch_check(&w.file, 16, err), HOST_BEYOND, EFAULT, "offset", 16 * PG, 16 * PG);
	refusal(core_fallocate_check(&w.file, 0, -5, PG, &plan, err), FALLOCATE_OFFSET, EINVAL, "offset", -5, 0);
	refusal(core_fallocate_check(&w.file, 0, 0, -6, &plan, err), FALLOCATE_LENGTH, EINVAL, "len", -6, 0);
	refusal(core_fallocate_check(&w.file, 2, 0, PG, &plan, err), FALLOCATE_MODE, EOPNOTSUPP, "mode", 2, 0);
	refusal(core_fallocate_check(&w.file, 1, INT64_MAX, 1, &plan, err), FALLOCATE_WRAP, EFBIG, "offset + len",
		1ULL << 63,
		INT64_MAX);
	refusal(core_fallocate_check(&w.file, 0, 0, PG, &plan, err), FALLOCATE_KIND, EOPNOTSUPP, "mode", 0, 1);
	refusal(core_fallocate_check(&w.file, 0x40, 0, PG, &plan, err), FALLOCATE_KIND, EOPNOTSUPP, "mode", 0x40, 1);
	refusal(core_fallocate_check(&w.file, 1, 7, PG, &plan, err), FALLOCATE_ALIGN, EINVAL, "offset", 7, PG);
	refusal(core_fallocate_check(&w.file, 1, 0, 8, &plan, err), FALLOCATE_ALIGN, EINVAL, "len", 8, PG);
	refusal(core_fallocate_check(&w.file, 1, 16 * PG, PG, &plan, err), FALLOCATE_END, EINVAL, "offset + len",
		17 * PG, 16 * PG);
	refusal(core_pread_check(-3, err), READ_OFFSET, EINVAL, "offset", -3, 0);
	refusal(core_pread_check(3, err), READ_SEEKABLE, ESPIPE, "offset", 3, 0);
	refusal(core_lseek_check(5, err), LSEEK_WHENCE, EINVAL, "whence", 5, 4);
	refusal(core_lseek_check(4, err), LSEEK_SEEKABLE, ESPIPE, "whence", 4, 0);
	refusal(core_fileop_refuse(w.sys.profile, CORE_FILEOP_EXECVEAT, err), FILE_CALL, EACCES, "execveat", 0, 0);
	is(core_fileop_refuse(w.sys.profile, CORE_FILEOP_SYNCFS, NULL), 0, "a call that succeeds is not refused");
	world_fini(&w);
}

static void test_mapping(void)
{
	static const int old_flags[] = { MAP_FIXED, MAP_ANONYMOUS, MAP_DENYWRITE, MAP_EXECUTABLE, MAP_LOCKED, MAP_NORESERVE,
					 MAP_POPULATE, MAP_NONBLOCK, MAP_STACK, MAP_32BIT, 0x80, 21 << 26, 30 << 26 };
	const int shared = MAP_SHARED, rw = PROT_READ | PROT_WRITE;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 16, 0);
	refusal(core_mmap_check(&w.file, PG, rw, shared, 5, err), MMAP_OFFSET_ALIGN, EINVAL, "offset", 5, PG);
	refusal(core_mmap_check(&w.file, PG, rw, shared | MAP_HUGETLB, 0, err), MMAP_HUGETLB, EINVAL, "flags",
		shared | MAP_HUGETLB, 0);
	refusal(core_mmap_check(&w.file, 0, rw, shared, 0, err), MMAP_LENGTH, EINVAL, "length", 0, 0);
	refusal(core_mmap_check(&w.file, HVA_TOP + 1, rw, shared, 0, err), MMAP_SPACE, ENOMEM, "length", HVA_TOP + 1,
		HVA_TOP);
	refusal(core_mmap_check(&w.file, PG + 1, rw, shared, INT64_MAX & -PG, err), MMAP_RANGE, EOVERFLOW, "offset",
		INT64_MAX & -PG, INT64_MAX - 2 * PG);
	refusal(core_mmap_check(&w.file, PG, rw, 0, 0, err), MMAP_TYPE, EINVAL, "flags", 0, MAP_SHARED);
	refusal(core_mmap_check(&w.file, PG, rw, MAP_FIXED, 0, err), MMAP_TYPE, EINVAL, "flags", MAP_FIXED, MAP_SHARED);
	refusal(core_mmap_check(&w.file, PG, rw, 3 | 1 << 20, 0, err), MMAP_VALIDATE, EOPNOTSUPP, "flags", 1 << 20, 0);
	refusal(core_mmap_check(&w.file, PG, PROT_EXEC, shared, 0, err), MMAP_EXEC, EPERM, "prot", PROT_EXEC, rw);
	refusal(core_mmap_check(&w.file, PG, rw, shared | MAP_GROWSDOWN, 0, err), MMAP_GROWSDOWN, EINVAL, "flags",
		shared | MAP_GROWSDOWN, 0);
	refusal(core_mmap_check(&w.file, PG, rw, shared, 0, err), MMAP_FLAG, ENODEV, "creation flags", 0, 1);
	refusal(core_mprotect_check(w.sys.profile, PROT_EXEC, err), MPROTECT_EXEC, EACCES, "prot", PROT_EXEC, rw);
	w.file.flags = 2;
	refusal(core_mmap_check(&w.file, PG, rw, shared, 0, err), MMAP_FLAG, ENODEV, "creation flags", 2, 1);
	w.file.flags = 3;
	is(core_mmap_check(&w.file, HVA_TOP, rw, shared, 0, NULL), 0, "all of the address space is not too much");
	refusal(core_mmap_check(&w.file, PG, rw, 3 | MAP_GROWSDOWN, 0, err), MMAP_GROWSDOWN, EINVAL, "flags", 3 | MAP_GROWSDOWN, 0);
	for (unsigned i = 0; i < RT_ARRAY_SIZE(old_flags); i++)
		is(core_mmap_check(&w.file, PG, rw, 3 | old_flags[i], 0, NULL), 0, "MAP_SHARED_VALIDATE with %#x", old_flags[i]);
	refusal(core_mmap_check(&w.file, PG, rw, MAP_PRIVATE, 0, err), MMAP_SHARED, EINVAL, "flags", MAP_PRIVATE,
		MAP_SHARED);
	world_fini(&w);

	world_init(&w, "linux-6.12", -1, KVM_X86_SW_PROTECTED_VM, 16, 0);
	refusal(core_mmap_check(&w.file, PG, PROT_EXEC, shared, 0, err), MMAP_SUPPORT, ENODEV, "known creation flags", 0, GUEST_MEMFD_FLAG_MMAP);
	refusal(core_file_touch_check(&w.file, 4, err), HOST_PRIVATE, EFAULT, "offset", 4 * PG, 0);
	refusal(core_file_populate_check(&w.file, (struct rt_pages){ 3, 1 }, err), MADVISE_POPULATE, EFAULT, "offset",
		3 * PG, 16 * PG);
	world_fini(&w);
}

/* --- conversion --------------------------------------------------------------- */

static int convert(struct world *w, u64 offset, u64 size, u64 attributes, u64 flags, u64 reserved, struct core_err *err)
{
	struct kvm_memory_attributes2 args = { .offset = offset, .size = size, .attributes = attributes, .flags = flags };

	args.reserved[RT_ARRAY_SIZE(args.reserved) - 1] = reserved;
	return core_convert_check(&w->file, &args, err);
}

static void test_conversion(void)
{
	const u64 end = 16 * PG;
	struct world w;
	u64 at;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 16, 3);
	refusal(convert(&w, 0, PG, 8, 2, 0, err), CONVERT_FLAGS, EINVAL, "flags", 2, 0);
	refusal(convert(&w, 0, PG, 8, 0, 5, err), CONVERT_RESERVED, EINVAL, "reserved", 5, 0);
	refusal(convert(&w, 0, PG, 9, 0, 0, err), CONVERT_MASK, EINVAL, "attributes", 9, 8);
	refusal(convert(&w, 0, 0, 8, 0, 0, err), CONVERT_SIZE, EINVAL, "size", 0, 0);
	refusal(convert(&w, -PG, PG, 8, 0, 0, err), CONVERT_WRAP, EINVAL, "offset", -PG, -PG);
	refusal(convert(&w, 3, PG, 8, 0, 0, err), CONVERT_ALIGN, EINVAL, "offset", 3, PG);
	refusal(convert(&w, 0, 7, 8, 0, 0, err), CONVERT_ALIGN, EINVAL, "size", 7, PG);
	refusal(convert(&w, end, PG, 8, 0, 0, err), CONVERT_RANGE, EINVAL, "offset", end, end);
	refusal(convert(&w, PG, end, 8, 0, 0, err), CONVERT_RANGE, EINVAL, "offset + size", end + PG, end);
	is(core_file_pin(&w.file, 4), 0, "a page is held");
	refusal(core_convert_begin(&w.file, (struct rt_pages){ 2, 9 }, true, &at, err), CONVERT_PINNED, EAGAIN,
		"error_offset",
		4 * PG, 0);
	world_fini(&w);

	world_init(&w, "linux-7.4", -1, KVM_X86_DEFAULT_VM, 16, 3);
	refusal(convert(&w, 0, PG, 8, 0, 0, err), CONVERT_TYPE, EINVAL, "VM type", 0, 0);
	world_fini(&w);
	world_init(&w, "linux-7.4", -1, KVM_X86_SEV_VM, 16, 3);
	refusal(convert(&w, 0, PG, 8, 0, 0, err), CONVERT_TYPE, EINVAL, "VM type", KVM_X86_SEV_VM, 0);
	world_fini(&w);
}

/* The state of a huge file has been mixed as far as it can be. */
static void test_conversion_memory(void)
{
	struct world w;
	u64 at, page = CORE_STORE_DENSE_PAGES;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 1ULL << 50, 3);
	for (; !core_store_reserve(&w.file.store, (struct rt_pages){ page, 1 }, true); page += 2)
		core_store_set(&w.file.store, (struct rt_pages){ page, 1 }, true);
	refusal(core_convert_begin(&w.file, (struct rt_pages){ page, 1 }, true, &at, err), CONVERT_MEMORY, ENOMEM,
		"offset",
		page * PG, 0);
	is(at, page * PG, "error_offset is the request's");
	world_fini(&w);
}

int main(void)
{
	test_slot_shape();
	test_slot_change();
	test_shadow_limit();
	test_logging();
	test_binding("linux-6.12", EINVAL);
	test_binding("linux-6.18", EINVAL);
	test_binding("linux-7.3", EEXIST);
	test_binding("linux-7.4", EEXIST);
	test_signed_offset();
	test_slot_memory();
	test_dirty_log();
	test_vm();
	test_manual_protect();
	test_dirty_ring();
	test_max_vcpu_id();
	test_quirks();
	test_apic_cycle();
	test_msrs();
	test_vm_attributes();
	test_file();
	test_mapping();
	test_conversion();
	test_conversion_memory();
	return done_testing();
}
