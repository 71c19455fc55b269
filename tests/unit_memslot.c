// SPDX-License-Identifier: MIT
/*
 * tests/unit_memslot.c - memslots: operations, bindings, life (kernel-abi 5.3 to 5.7, in-place-conversion 3.2)
 *
 * The order of checks has a program of its own, unit_memslot_order.
 */
#include <time.h>

#include "tests/memslot_world.h"

#define MIB (1ULL << 20)

/* SLOT-1: what a later failure is compared with. */
struct snapshot {
	bool exists;
	struct core_slot slot;
	unsigned nr_bound;
};

static struct snapshot snap(const struct world *w, u32 id)
{
	const struct core_slot *slot = core_memslot_by_id(&w->vm, id);
	struct snapshot s = { .exists = slot != NULL, .nr_bound = w->file.nr_bound };

	if (slot)
		s.slot = *slot;
	return s;
}

static bool same(const struct snapshot *a, const struct snapshot *b)
{
	return a->exists == b->exists && a->nr_bound == b->nr_bound && a->slot.id == b->slot.id &&
	       a->slot.flags == b->slot.flags && a->slot.gpa == b->slot.gpa && a->slot.size == b->slot.size &&
	       a->slot.hva == b->slot.hva && a->slot.file == b->slot.file;
}

/* 5.3, plain slots: every row, and what is reported as done. */
static void test_plain_operations(void)
{
	const struct core_slot *slot;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	is(delete_slot(&w, 1), -EINVAL, "deleting what does not exist");
	is(w.err.rule, RULE_SLOT_DELETE_NONE, "by its rule");
	is(set_plain(&w, 1, 0, MIB, 4 * PG, HVA), 0, "create");
	ok(w.effect.change == CORE_SLOT_CREATE && w.effect.new_gpa == MIB && w.effect.size == 4 * PG,
	   "is reported as created");
	is(set_plain(&w, 1, 0, MIB, 4 * PG, HVA), 0, "the same again is nothing");
	is(w.effect.change, CORE_SLOT_NONE, "and reported as nothing");
	is(set_plain(&w, 1, KVM_MEM_LOG_DIRTY_PAGES, MIB, 4 * PG, HVA), 0, "logging can be turned on");
	is(w.effect.change, CORE_SLOT_FLAGS, "and is reported as a change of flags");
	is(set_plain(&w, 1, KVM_MEM_READONLY, MIB, 4 * PG, HVA), -EINVAL, "READONLY cannot");
	is(w.err.rule, RULE_SLOT_MODIFY, "by the rule of changes");
	is(set_plain(&w, 1, 0, MIB, 4 * PG, HVA + PG), -EINVAL, "another userspace_addr");
	is(w.err.rule, RULE_SLOT_MODIFY, "by the same rule");
	is(set_plain(&w, 1, 0, MIB, 5 * PG, HVA), -EINVAL, "another size");
	is(set_plain(&w, 1, 0, 2 * MIB, 4 * PG, HVA), 0, "move, and logging off at once");
	ok(w.effect.change == CORE_SLOT_MOVE && w.effect.old_gpa == MIB && w.effect.new_gpa == 2 * MIB &&
		   w.effect.size == 4 * PG,
	   "is reported as moved");
	slot = core_memslot_by_id(&w.vm, 1);
	ok(slot && slot->gpa == 2 * MIB && slot->flags == 0 && slot->hva == HVA, "the slot is at its new place");
	ok(!core_memslot_by_gpa(&w.vm, 0, MIB), "and no longer at the old one");
	is(set_plain(&w, 1, 0, 2 * MIB + PG, 4 * PG, HVA), 0, "moving onto its own pages is no overlap");
	is(set_plain(&w, 2, 0, 8 * MIB, 4 * PG, HVA), 0, "another slot may share userspace_addr");
	is(set_plain(&w, 1, 0, 8 * MIB + 3 * PG, 4 * PG, HVA), -EEXIST, "moving onto another's last page");
	is(w.err.rule, RULE_SLOT_GPA_OVERLAP, "is an overlap");
	is(set_plain(&w, 1, 0, 8 * MIB - 4 * PG, 4 * PG, HVA), 0, "moving up to its first page is none");
	is(set_plain(&w, 1, 0, GPA_LIMIT - PG, 4 * PG, HVA), -EINVAL, "moving beyond the guest's addresses");
	is(w.err.rule, RULE_SLOT_GPA_LIMIT, "meets the limit");
	is(core_memslot_by_id(&w.vm, 1)->gpa, 8 * MIB - 4 * PG, "and moves nothing");
	is(set_plain(&w, 1, 0, 0, 0, 0), 0, "delete");
	ok(w.effect.change == CORE_SLOT_DELETE && w.effect.old_gpa == 8 * MIB - 4 * PG && w.effect.size == 4 * PG,
	   "is reported with the place that it had");
	ok(!core_memslot_by_id(&w.vm, 1) && !core_memslot_by_gpa(&w.vm, 0, 8 * MIB - PG), "and it is gone");
	is(w.lookups, 0, "no descriptor was looked at in all this");
	is(world_fini(&w), 0, "no memory is left");
}

/* 5.3, slots with a file. */
static void test_gmem_operations(void)
{
	struct kvm_userspace_memory_region2 r;
	const struct core_slot *slot;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM, 0);
	is(set_gmem(&w, 1, MIB, 4 * PG, FD_FILE, 2 * PG), 0, "create with a file");
	slot = core_memslot_by_id(&w.vm, 1);
	ok(slot && slot->has_gmem && slot->file == &w.file && slot->file_offset == 2 * PG, "remembers file and offset");
	is(w.file.nr_bound, 1, "and the file remembers the slot");
	ok(core_file_slot(&w.file, 2) == slot && core_file_slot(&w.file, 5) == slot && !core_file_slot(&w.file, 1) &&
		   !core_file_slot(&w.file, 6),
	   "for exactly its pages");
	is(set_gmem(&w, 1, MIB, 4 * PG, FD_FILE, 2 * PG), -EINVAL, "the same again is refused");
	is(w.err.rule, RULE_SLOT_IMMUTABLE, "since it is immutable");
	is(set_plain(&w, 1, 0, MIB, 4 * PG, HVA), -EINVAL, "so is a change without the flag");
	is(w.err.rule, RULE_SLOT_MODIFY, "since that would take the file away");
	is(set_plain(&w, 1, KVM_MEM_LOG_DIRTY_PAGES, MIB, 4 * PG, HVA), -EINVAL, "and logging");
	is(set_plain(&w, 1, 0, 2 * MIB, 4 * PG, HVA), -EINVAL, "and moving");
	is(set_plain(&w, 2, 0, 4 * MIB, 4 * PG, HVA), 0, "a plain slot");
	is(set_gmem(&w, 2, 4 * MIB, 4 * PG, FD_FILE, 8 * PG), -EINVAL, "cannot become one with a file");
	is(w.err.rule, RULE_SLOT_IMMUTABLE, "by the same rule");
	is(delete_slot(&w, 1), 0, "delete with descriptor -1");
	is(w.file.nr_bound, 0, "frees the file's range");
	is(set_gmem(&w, 1, 16 * MIB, 4 * PG, FD_FILE, 2 * PG), 0, "which can be bound again at another address");
	is(set_plain(&w, 1, 0, 0, 0, 0), 0, "version 1 with flags 0 deletes it as well");

	is(set_gmem(&w, 1, MIB, 4 * PG, FD_FILE, 0), 0, "once more");
	r = (struct kvm_userspace_memory_region2){ .slot = 1, .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = 77 * PG,
						   .userspace_addr = 5 * PG, .guest_memfd = FD_CLOSED,
						   .guest_memfd_offset = CLAMP63 };
	w.lookups = 0;
	is(world_set(&w, 2, &r), 0, "deletion ignores flags, addresses, offset and descriptor as long as they are legal");
	is(w.lookups, 0, "and never looks at the descriptor");

	r = (struct kvm_userspace_memory_region2){ .slot = 3, .guest_phys_addr = 32 * MIB, .memory_size = PG,
						   .guest_memfd = FD_CLOSED, .guest_memfd_offset = 3, .pad1 = ~0U };
	r.pad2[13] = ~0ULL;
	is(world_set(&w, 2, &r), 0, "without the flag neither the file's fields nor the padding are looked at");
	is(world_fini(&w), 0, "no memory is left");
}

/* 5.6 and the selftest's S10 to S13. */
static void test_many_of_one_file(void)
{
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM, 0);
	for (u64 offset = 1; offset < PG; offset++)
		if (set_gmem(&w, 10, 64 * MIB, 4 * PG, FD_FILE, offset) != -EINVAL)
			ok(0, "offset %u is refused", (unsigned)offset);
	is(set_gmem(&w, 10, 64 * MIB, 4 * PG, FD_FILE, 0), 0, "after all unaligned offsets 0 is bound");
	is(set_gmem(&w, 11, 65 * MIB, 4 * PG, FD_FILE, 4 * PG), 0, "the next range by another slot");
	is(delete_slot(&w, 10), 0, "first slot deleted");
	is(set_gmem(&w, 10, 64 * MIB, 4 * PG, FD_FILE, 2 * PG), -EEXIST, "overlap with the front of a bound range");
	is(w.err.rule, RULE_BIND_CONFLICT, "is a conflict in the file");
	is(set_gmem(&w, 10, 64 * MIB, 4 * PG, FD_FILE, 6 * PG), -EEXIST, "and with its back");
	is(set_gmem(&w, 10, 64 * MIB, 12 * PG, FD_FILE, 2 * PG), -EEXIST, "and around it");
	is(set_gmem(&w, 10, 65 * MIB - 2 * PG, 4 * PG, FD_FILE, 0), -EEXIST, "overlap in the guest, front");
	is(w.err.rule, RULE_SLOT_GPA_OVERLAP, "is another rule");
	is(set_gmem(&w, 10, 65 * MIB + 2 * PG, 4 * PG, FD_FILE, 8 * PG), -EEXIST, "and back");
	is(set_gmem(&w, 10, 64 * MIB, 4 * PG, FD_FILE, 0), 0, "disjoint in both is fine");
	is(set_gmem(&w, 12, 63 * MIB, 4 * PG, FD_SECOND, 4 * PG), 0, "and so is the same range of another file");
	is(set_gmem(&w, 13, 62 * MIB, 8 * PG, FD_FILE, 8 * PG), 0, "the rest of the first, lower in the guest");
	ok(core_file_slot(&w.file, 0)->id == 10 && core_file_slot(&w.file, 4)->id == 11 &&
		   core_file_slot(&w.file, 15)->id == 13,
	   "each page knows its slot");
	is(world_fini(&w), 0, "no memory is left");
}

/* 5.5: the binding offset, old and new arithmetic. */
static void test_bind_offsets(void)
{
	static const struct {
		u64 offset, size;
		int signed_ret, unsigned_ret;
	} rows[] = {
		{ CLAMP63, PG, 0, -EINVAL },
		{ CLAMP63 - PG, PG, -EINVAL, -EINVAL },
		{ CLAMP63 - PG, 2 * PG, 0, -EINVAL },
		{ CLAMP63 - PG, 3 * PG, 0, -EINVAL },
		{ 1ULL << 63, PG, -EINVAL, -EINVAL },
		{ 0 - 2 * PG, PG, -EINVAL, -EINVAL },
		{ 0 - PG, PG, -EINVAL, -EINVAL }, /* wraps: check 9 */
		{ FILE_PAGES * PG, PG, -EINVAL, -EINVAL },
		{ (FILE_PAGES - 1) * PG, PG, 0, 0 },
		{ (FILE_PAGES - 1) * PG, 2 * PG, -EINVAL, -EINVAL },
		{ 0, FILE_PAGES * PG, 0, 0 },
		{ 0, (FILE_PAGES + 1) * PG, -EINVAL, -EINVAL },
	};
	static const struct {
		const char *profile;
		bool is_signed;
	} profiles[] = { { "linux-6.8", true },	 { "linux-6.12", false }, { "linux-6.18", true },
			 { "linux-7.3", false }, { "linux-7.4", false }, { "linux-7.4-vm-attributes", false } };

	for (unsigned p = 0; p < RT_ARRAY_SIZE(profiles); p++) {
		unsigned wrong = 0;
		struct world w;

		world_init(&w, profiles[p].profile, -1, KVM_X86_SW_PROTECTED_VM, 0);
		for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++) {
			int want = profiles[p].is_signed ? rows[i].signed_ret : rows[i].unsigned_ret;
			int got = set_gmem(&w, 0, 0, rows[i].size, FD_FILE, rows[i].offset);

			if (got != want)
				diag("offset %#llx size %#llx: %d", (unsigned long long)rows[i].offset,
				     (unsigned long long)rows[i].size, got);
			wrong += got != want;
			if (got == 0)
				wrong += delete_slot(&w, 0) != 0 || w.file.nr_bound != 0;
		}
		is(wrong, 0, "%s: offsets at the ends of file and number range", profiles[p].profile);
		if (profiles[p].is_signed) {
			is(set_gmem(&w, 0, 0, PG, FD_FILE, CLAMP63), 0, "%s: a range beyond the file", profiles[p].profile);
			is(set_gmem(&w, 1, MIB, 2 * PG, FD_FILE, CLAMP63 - PG), -EINVAL, "%s: conflicts like any other",
			   profiles[p].profile);
			is(w.err.rule, RULE_BIND_CONFLICT, "%s: by the rule of conflicts", profiles[p].profile);
		}
		is(world_fini(&w), 0, "%s: no memory is left", profiles[p].profile);
	}
}

/* Rules b, c and g by generation. */
static void test_bind_errno(void)
{
	static const struct {
		const char *profile;
		int conflict;
	} rows[] = { { "linux-6.8", -EINVAL },	{ "linux-6.12", -EINVAL }, { "linux-6.18", -EINVAL },
		     { "linux-7.3", -EEXIST },	{ "linux-7.4", -EEXIST },  { "linux-7.4-vm-attributes", -EEXIST } };

	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++) {
		struct world w;

		world_init(&w, rows[i].profile, -1, KVM_X86_SW_PROTECTED_VM, 0);
		is(set_gmem(&w, 0, 0, PG, FD_CLOSED, 0), -EBADF, "%s: no open file", rows[i].profile);
		is(w.err.rule, RULE_BIND_FD, "%s: by its rule", rows[i].profile);
		is(set_gmem(&w, 0, 0, PG, ~0U, 0), -EBADF, "%s: descriptor -1", rows[i].profile);
		is(set_gmem(&w, 0, 0, PG, FD_NOT_GMEM, 0), -EINVAL, "%s: no guest_memfd", rows[i].profile);
		is(w.err.rule, RULE_BIND_KIND, "%s: by its rule", rows[i].profile);
		is(set_gmem(&w, 0, 0, PG, FD_FOREIGN, 0), -EINVAL, "%s: another VM's", rows[i].profile);
		is(w.err.rule, RULE_BIND_VM, "%s: by its rule", rows[i].profile);
		is(set_gmem(&w, 0, 0, PG, FD_FILE, 0), 0, "%s: its own", rows[i].profile);
		is(set_gmem(&w, 1, PG, PG, FD_FILE, 0), rows[i].conflict, "%s: bound already", rows[i].profile);
		is(world_fini(&w), 0, "%s: no memory is left", rows[i].profile);
	}
}

/* 2.2: KVM_MEM_GUEST_MEMFD on VMs without private memory. */
static void test_default_vm(void)
{
	static const struct {
		const char *profile;
		unsigned type;
		int ret;
	} rows[] = { { "linux-6.1", 0, -EINVAL }, { "linux-6.8", 0, -EINVAL }, { "linux-6.12", 0, -EINVAL },
		     { "linux-6.12", 2, -EINVAL }, { "linux-6.12", 4, 0 },     { "linux-6.18", 0, 0 },
		     { "linux-6.18", 3, 0 },	   { "linux-7.3", 0, 0 },	 { "linux-7.4", 0, 0 } };

	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++) {
		struct world w;

		world_init(&w, rows[i].profile, -1, rows[i].type, 0);
		is(set_gmem(&w, 0, 0, PG, FD_FILE, 0), rows[i].ret, "%s type %u: a slot with a file", rows[i].profile,
		   rows[i].type);
		if (rows[i].ret) {
			is(set_gmem(&w, 0, 0, PG, ~0U, 0), rows[i].ret, "%s type %u: also with descriptor -1",
			   rows[i].profile, rows[i].type);
			is(w.err.rule, RULE_SLOT_FLAGS, "%s type %u: the flag decides", rows[i].profile, rows[i].type);
		}
		world_fini(&w);
	}
}

/* gmem_only: by the file's flags, by the switch. */
static void test_gmem_only(void)
{
	static const struct {
		const char *profile;
		int param;
		unsigned type;
		u64 flags;
		bool only;
	} rows[] = {
		{ "linux-6.12", -1, 1, 0, false },
		{ "linux-6.18", -1, 0, 0, false },
		{ "linux-6.18", -1, 0, GUEST_MEMFD_FLAG_MMAP, true },
		{ "linux-6.18", -1, 0, GUEST_MEMFD_FLAG_INIT_SHARED, false },
		{ "linux-7.3", -1, 0, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED, true },
		{ "linux-7.3", -1, 1, 0, false },
		{ "linux-7.4", -1, 1, 0, true },
		{ "linux-7.4", -1, 1, GUEST_MEMFD_FLAG_MMAP, true },
		{ "linux-7.4-vm-attributes", 0, 1, 0, false },
		{ "linux-7.4-vm-attributes", 1, 1, 0, true },
	};

	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++) {
		struct world w;

		world_init(&w, rows[i].profile, rows[i].param, rows[i].type, rows[i].flags);
		if (set_gmem(&w, 0, 0, PG, FD_FILE, 0) < 0)
			abort();
		is(core_memslot_by_id(&w.vm, 0)->gmem_only, rows[i].only, "%s parameter %d type %u flags %u: gmem only",
		   rows[i].profile, rows[i].param, rows[i].type, (unsigned)rows[i].flags);
		world_fini(&w);
	}
}

/* Bindings are found by file page in whatever order they came and go. */
static void test_bound_backwards(void)
{
	const u32 gone = 5;
	unsigned wrong = 0;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM, 0);
	for (u32 i = 8; i-- > 0;)
		if (set_gmem(&w, i, (i + 1) * MIB, PG, FD_FILE, 2 * i * PG))
			abort();
	for (u32 i = 0; i < 8; i++)
		wrong += core_file_slot(&w.file, 2 * i) != core_memslot_by_id(&w.vm, i) || core_file_slot(&w.file, 2 * i + 1);
	is(wrong, 0, "bound from the last page to the first, each page has its slot");
	is(delete_slot(&w, gone), 0, "one of them goes");
	for (u32 i = 0; i < 8; i++)
		wrong += core_file_slot(&w.file, 2 * i) != (i == gone ? NULL : core_memslot_by_id(&w.vm, i));
	is(wrong, 0, "and the others stay");
	is(w.file.nr_bound, 7, "seven in all");
	is(world_fini(&w), 0, "no memory is left");
}

/* 5.7: the last reference to the file is dropped while bound. */
static void test_file_dies(void)
{
	const struct core_slot *slot;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM, 0);
	is(set_gmem(&w, 1, MIB, 4 * PG, FD_FILE, 0), 0, "a bound slot");
	is(set_gmem(&w, 2, 2 * MIB, 4 * PG, FD_FILE, 4 * PG), 0, "and a second");
	core_file_fini(&w.file);
	slot = core_memslot_by_id(&w.vm, 1);
	ok(slot && !slot->file && slot->has_gmem, "outlives the file, and says that it had one");
	ok(!core_memslot_by_id(&w.vm, 2)->file, "so does the second");
	is(set_plain(&w, 3, 0, MIB + PG, PG, HVA), -EEXIST, "its addresses stay taken");
	is(set_plain(&w, 1, 0, MIB, 4 * PG, HVA), -EINVAL, "it cannot be changed");
	is(set_gmem(&w, 1, MIB, 4 * PG, FD_SECOND, 0), -EINVAL, "nor given a new file");
	is(delete_slot(&w, 1), 0, "only deleted");
	is(set_gmem(&w, 1, MIB, 4 * PG, FD_SECOND, 0), 0, "and created anew");
	w.file.size = FILE_PAGES * PG;
	is(world_fini(&w), 0, "no memory is left");
}

/* 5.2: which addresses are legal. */
static void test_limits(void)
{
	static const struct {
		const char *profile;
		u64 gpa, size, hva;
		int ret;
	} rows[] = {
		{ "linux-6.18", 0, PG, 0, 0 },
		{ "linux-6.18", 0, PG, HVA_LIMIT - PG, 0 },
		{ "linux-6.18", 0, PG, HVA_LIMIT, -EINVAL },
		{ "linux-6.18", 0, 2 * PG, HVA_LIMIT - PG, -EINVAL },
		{ "linux-6.18", 0, PG, 1ULL << 62, -EINVAL },
		{ "linux-6.18", 0, PG, 0xffff800000000000ULL, -EINVAL },
		{ "linux-6.18", 0, PG, 0 - PG, -EINVAL },
		{ "linux-6.1", 0, PG, 1ULL << 62, -EINVAL },
		{ "linux-6.8", 0, PG, 1ULL << 62, 0 },
		{ "linux-6.8", 0, PG, 0xffff800000000000ULL, -EINVAL },
		{ "linux-6.8", 0, PG, CLAMP63, -EINVAL },
		{ "linux-6.12", 0, PG, 1ULL << 62, -EINVAL },
		{ "linux-7.3", GPA_LIMIT - PG, PG, HVA, 0 },
		{ "linux-7.3", GPA_LIMIT, PG, HVA, -EINVAL },
		{ "linux-7.3", GPA_LIMIT - PG, 2 * PG, HVA, -EINVAL },
		{ "linux-7.3", 0 - PG, PG, HVA, -EINVAL },
		{ "linux-7.3", 0, 0x7fffffffULL * PG, HVA, 0 },
		{ "linux-7.3", 0, 0x80000000ULL * PG, HVA, -EINVAL },
	};

	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++) {
		struct world w;

		world_init(&w, rows[i].profile, -1, 0, 0);
		is(set_plain(&w, 0, 0, rows[i].gpa, rows[i].size, rows[i].hva), rows[i].ret,
		   "%s: gpa %#llx size %#llx hva %#llx", rows[i].profile, (unsigned long long)rows[i].gpa,
		   (unsigned long long)rows[i].size, (unsigned long long)rows[i].hva);
		world_fini(&w);
	}
}

/* Selftest S3 to S6: each flag bit alone; and READONLY by VM type. */
static void test_flags(void)
{
	struct kvm_userspace_memory_region2 r = { .slot = 0, .memory_size = 2 * MIB, .guest_memfd = FD_FILE };
	unsigned wrong = 0;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	w.file.size = 4 * MIB;
	for (unsigned version = 1; version <= 2; version++)
		for (unsigned bit = 0; bit < 32; bit++) {
			bool legal = bit < 2 || (bit == 2 && version == 2);

			r.flags = 1U << bit;
			wrong += world_set(&w, (int)version, &r) != (legal ? 0 : -EINVAL);
			if (legal)
				wrong += delete_slot(&w, 0) != 0;
		}
	is(wrong, 0, "both ioctls: each of 32 flag bits alone");
	r.flags = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;
	is(world_set(&w, 2, &r), 0, "logging and read-only together");
	delete_slot(&w, 0);
	r.flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES;
	is(world_set(&w, 2, &r), -EINVAL, "a file excludes logging");
	r.flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_READONLY;
	is(world_set(&w, 2, &r), -EINVAL, "and read-only");
	is(w.lookups, 1, "of all these one looked at the descriptor");
	world_fini(&w);

	for (unsigned type = 0; type < 6; type++) {
		world_init(&w, "linux-7.3", -1, type, 0);
		is(set_plain(&w, 0, KVM_MEM_READONLY, 0, PG, HVA), type < 3 ? 0 : -EINVAL, "type %u: read-only slot",
		   type);
		world_fini(&w);
	}
}

/* What does not exist is not found, however far away. */
static void test_unknown_spaces(void)
{
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	is(set_plain(&w, 1 << 16, 0, 0, PG, HVA), 0, "a slot of the second address space");
	ok(core_memslot_by_id(&w.vm, 1 << 16) && core_memslot_by_gpa(&w.vm, 1, 0), "is found in it");
	ok(!core_memslot_by_id(&w.vm, 2 << 16) && !core_memslot_by_gpa(&w.vm, 2, 0), "and not in a third");
	ok(!core_memslot_by_id(&w.vm, 0xffffU << 16) && !core_memslot_by_gpa(&w.vm, 0xffff, 0), "nor in the 65536th");
	ok(!core_memslot_by_id(&w.vm, 32764) && !core_memslot_by_id(&w.vm, 0xffff), "ids end with 32763");
	is(world_fini(&w), 0, "no memory is left");
}

/* Two address spaces with SMM, one where there is private memory. */
static void test_address_spaces(void)
{
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	is(set_plain(&w, 1, 0, MIB, PG, HVA), 0, "a slot of the first address space");
	is(set_plain(&w, 1 | 1 << 16, 0, MIB, PG, HVA), 0, "same id, same address in the second");
	is(set_plain(&w, 1 | 2 << 16, 0, MIB, PG, HVA), -EINVAL, "there is no third");
	is(w.err.rule, RULE_SLOT_SPACE, "by its rule");
	ok(core_memslot_by_gpa(&w.vm, 0, MIB)->id == 1 && core_memslot_by_gpa(&w.vm, 1, MIB)->id == (1 | 1 << 16),
	   "each is found in its own");
	is(delete_slot(&w, 1), 0, "deleting the one");
	ok(core_memslot_by_id(&w.vm, 1 | 1 << 16) && !core_memslot_by_gpa(&w.vm, 0, MIB), "leaves the other");
	ok(!core_memslot_by_gpa(&w.vm, 2, MIB) && !core_memslot_by_id(&w.vm, 1 | 2 << 16) &&
		   !core_memslot_by_id(&w.vm, 40000),
	   "looking where nothing can be finds nothing");
	is(world_fini(&w), 0, "no memory is left");

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM, 0);
	is(set_plain(&w, 1 | 1 << 16, 0, MIB, PG, HVA), -EINVAL, "a VM with private memory has but one");
	world_fini(&w);
}

static void test_dirty_log(void)
{
	struct world w;
	u64 bytes = 0;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	set_plain(&w, 1, 0, MIB, PG, HVA);
	set_plain(&w, 2, KVM_MEM_LOG_DIRTY_PAGES, 2 * MIB, 65 * PG, HVA);
	set_gmem(&w, 3, 4 * MIB, PG, FD_FILE, 0);
	is(core_dirty_log_check(&w.vm, 32764, &bytes, &w.err), -EINVAL, "slot id out of range");
	is(core_dirty_log_check(&w.vm, 2 << 16 | 2, &bytes, &w.err), -EINVAL, "address space out of range");
	is(w.err.rule, RULE_DIRTY_LOG_ID, "by its rule");
	is(core_dirty_log_check(&w.vm, 9, &bytes, &w.err), -ENOENT, "no such slot");
	is(core_dirty_log_check(&w.vm, 1, &bytes, &w.err), -ENOENT, "a slot without logging");
	is(core_dirty_log_check(&w.vm, 3, &bytes, &w.err), -ENOENT, "a slot with a file");
	is(w.err.rule, RULE_DIRTY_LOG_NONE, "by its rule");
	is(core_dirty_log_check(&w.vm, 2, &bytes, &w.err), 0, "a slot with logging");
	is(bytes, 16, "65 pages are two words");
	world_fini(&w);
}

/* SLOT-1: the n-th allocation fails, for every n, in states where arrays are about to grow. */
static void sweep_create(const char *profile, unsigned existing)
{
	unsigned failures = 0, wrong = 0;
	struct snapshot before, after;
	struct world w;
	int ret = -ENOMEM;

	world_init(&w, profile, -1, KVM_X86_SW_PROTECTED_VM, 0);
	for (unsigned i = 0; i < existing; i++)
		if (set_gmem(&w, i, i * MIB, PG, FD_FILE, i * PG) < 0)
			abort();
	before = snap(&w, 1000);
	for (unsigned long nth = 1; ret == -ENOMEM && nth < 100; nth++) {
		mem_fail(nth);
		ret = set_gmem(&w, 1000, 999 * MIB, PG, FD_FILE, (existing + 1) * PG);
		mem_fail(0);
		if (ret < 0) {
			after = snap(&w, 1000);
			failures++;
			wrong += !same(&before, &after) || (w.err.rule != RULE_SLOT_MEMORY && w.err.rule != RULE_BIND_MEMORY);
			wrong += core_memslot_by_gpa(&w.vm, 0, 999 * MIB) != NULL;
			for (unsigned i = 0; i < existing; i++)
				wrong += !core_file_slot(&w.file, i) || core_file_slot(&w.file, i)->id != i;
		}
	}
	is(ret, 0, "%s, %u slots: creating succeeds in the end", profile, existing);
	ok(failures > 0, "%s, %u slots: after %u failed allocations", profile, existing, failures);
	is(wrong, 0, "%s, %u slots: each of which changed nothing", profile, existing);
	is(w.file.nr_bound, existing + 1, "%s, %u slots: and it is bound", profile, existing);
	is(world_fini(&w), 0, "%s, %u slots: no memory is left", profile, existing);
}

static void test_no_memory(void)
{
	static const char *const profiles[] = { "linux-6.12", "linux-7.3", "linux-7.4" };

	for (unsigned i = 0; i < RT_ARRAY_SIZE(profiles); i++) {
		sweep_create(profiles[i], 0);
		sweep_create(profiles[i], 8);
		sweep_create(profiles[i], 9);
	}
}

/* SLOT-2 and both indices, against a plain table; one page granularity so that collisions abound. */
#define MODEL_SLOTS 24
#define MODEL_PAGES 96

static u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct model {
	u64 first[MODEL_SLOTS], count[MODEL_SLOTS]; /* count 0: none */
};

static int model_at(const struct model *m, u64 page)
{
	for (int i = 0; i < MODEL_SLOTS; i++)
		if (m->count[i] && page >= m->first[i] && page < m->first[i] + m->count[i])
			return i;
	return -1;
}

static bool model_free(const struct model *m, unsigned except, u64 first, u64 count)
{
	for (unsigned i = 0; i < MODEL_SLOTS; i++)
		if (i != except && m->count[i] && first < m->first[i] + m->count[i] && m->first[i] < first + count)
			return false;
	return true;
}

/* One request: what is expected, and the model after it. */
static int model_set(struct model *m, unsigned id, u64 first, u64 count)
{
	if (!count) {
		int ret = m->count[id] ? 0 : -EINVAL;

		m->count[id] = 0;
		return ret;
	}
	if (m->count[id] && m->count[id] != count)
		return -EINVAL;
	if (m->count[id] && m->first[id] == first)
		return 0;
	if (!model_free(m, id, first, count))
		return -EEXIST;
	m->first[id] = first;
	m->count[id] = count;
	return 0;
}

static void test_random(void)
{
	unsigned wrong_answer = 0, wrong_place = 0, granted = 0;
	struct model m = { .count = { 0 } };
	u64 seed = 0x9e3779b97f4a7c15ULL;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	for (unsigned round = 0; round < 100000; round++) {
		unsigned id = (unsigned)(next_random(&seed) % MODEL_SLOTS);
		u64 first = next_random(&seed) % MODEL_PAGES, count = next_random(&seed) % 6;
		int want, got;

		/* Keep the size half of the time, so that moves happen. */
		if (m.count[id] && (next_random(&seed) & 1))
			count = m.count[id];
		want = model_set(&m, id, first, count);
		got = set_plain(&w, id * 1000, 0, first * PG, count * PG, HVA);
		granted += got == 0;
		wrong_answer += got != want;
		for (u64 page = 0; page < MODEL_PAGES + 8; page += 1 + round % 7) {
			const struct core_slot *slot = core_memslot_by_gpa(&w.vm, 0, page * PG + round % PG);
			int at = model_at(&m, page);

			wrong_place += at < 0 ? slot != NULL : !slot || slot->id != (u32)at * 1000;
		}
	}
	is(wrong_answer, 0, "100000 random requests are answered as by a plain table");
	is(wrong_place, 0, "and every page is found where it is there");
	ok(granted > 10000, "%u of them were granted", granted);
	is(world_fini(&w), 0, "no memory is left");
}

/* Selftest S7: all slots that there are. */
static void test_all_slots(void)
{
	unsigned wrong = 0, found = 0;
	struct timespec a, b;
	struct world w;
	double seconds;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (u32 i = 0; i < 32764; i++)
		wrong += set_plain(&w, i, 0, i * 2 * MIB, 2 * MIB, HVA) != 0;
	clock_gettime(CLOCK_MONOTONIC, &b);
	seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	diag("32764 slots upwards: %.3f s", seconds);
	is(wrong, 0, "32764 slots of 2 MiB can be created in one VM");
	is(set_plain(&w, 32764, 0, 32764 * 2 * MIB, 2 * MIB, HVA), -EINVAL, "slot 32764 cannot");
	is(w.err.rule, RULE_SLOT_ID, "by the limit of ids");
	for (u32 i = 0; i < 32764; i++)
		found += core_memslot_by_id(&w.vm, i) && core_memslot_by_gpa(&w.vm, 0, i * 2 * MIB + MIB) ==
								 core_memslot_by_id(&w.vm, i);
	is(found, 32764, "each is found by id and by address");
	for (u32 i = 0; i < 32764; i++)
		wrong += delete_slot(&w, i) != 0;
	is(wrong, 0, "and deleted again");
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (u32 i = 0; i < 32764; i++)
		wrong += set_plain(&w, i, 0, (32764 - i) * 2 * MIB, 2 * MIB, HVA) != 0;
	clock_gettime(CLOCK_MONOTONIC, &b);
	seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	diag("32764 slots downwards: %.3f s", seconds);
	is(wrong, 0, "downwards, the slow way, as well");
	is(world_fini(&w), 0, "no memory is left");
}

int main(void)
{
	test_plain_operations();
	test_gmem_operations();
	test_many_of_one_file();
	test_bind_offsets();
	test_bind_errno();
	test_default_vm();
	test_gmem_only();
	test_bound_backwards();
	test_file_dies();
	test_limits();
	test_flags();
	test_address_spaces();
	test_unknown_spaces();
	test_dirty_log();
	test_no_memory();
	test_random();
	test_all_slots();
	return done_testing();
}
