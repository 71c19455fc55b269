// SPDX-License-Identifier: MIT
/*
 * tests/unit_resolve.c - which memory serves a guest's access, cell by cell
 */
#include "tests/memslot_world.h"

#define GPA 0x100000000ULL

static struct core_place at(struct world *w, u64 gpa, bool write)
{
	struct core_place p;

	core_resolve(&w->vm, 0, gpa, write, &p);
	return p;
}

static void set_private(struct world *w, u64 gpa, u64 size, bool is_private)
{
	const struct kvm_memory_attributes a = { .address = gpa, .size = size,
						 .attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0 };

	if (core_vm_set_attributes(&w->vm, &a, NULL) < 0)
		abort();
}

static void default_vm(void)
{
	struct world w;
	struct core_place p;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, GUEST_MEMFD_FLAG_MMAP);
	set_plain(&w, 0, 0, GPA, 4 * PG, HVA);
	set_plain(&w, 1, KVM_MEM_READONLY, GPA + 16 * PG, PG, HVA);
	set_gmem(&w, 2, GPA + 32 * PG, 4 * PG, FD_FILE, 8 * PG);

	is(at(&w, 0, false).backing, CORE_BACKING_MMIO, "RES-1 no slot is MMIO");
	is(at(&w, GPA + 4 * PG, true).backing, CORE_BACKING_MMIO, "RES-1 just behind a slot");
	p = at(&w, GPA + 3 * PG, true);
	is(p.backing, CORE_BACKING_HVA, "RES-4 a plain slot");
	is(p.hva, HVA + 3 * PG, "RES-4 by its address");
	is(at(&w, GPA + 16 * PG, false).backing, CORE_BACKING_HVA, "RES-4 read-only memory can be read");
	is(at(&w, GPA + 16 * PG, true).backing, CORE_BACKING_MMIO, "RES-4 a write to it is MMIO");
	p = at(&w, GPA + 34 * PG, true);
	is(p.backing, CORE_BACKING_FILE, "RES-3 a mappable file serves shared accesses");
	is(p.page, 10, "RES-3 at the slot's offset");
	ok(p.slot == core_memslot_by_id(&w.vm, 2), "the slot is told");
	core_file_fini(&w.file);
	p = at(&w, GPA + 34 * PG, false);
	is(p.backing, CORE_BACKING_FAULT, "RES-3 a file that is gone is a memory fault");
	is(p.fault_flags, 0, "RES-3 which is a shared one");
	core_resolve_own(&w.vm, 0, GPA + 34 * PG, true, &p);
	is(p.backing, CORE_BACKING_HVA, "KVM's own accesses use userspace_addr all the same");
	is(p.hva, HVA + 2 * PG, "at the same distance");
	core_resolve_own(&w.vm, 0, GPA + 16 * PG, true, &p);
	is(p.backing, CORE_BACKING_MMIO, "KVM's own write to read-only memory is MMIO");
	ok(p.slot == core_memslot_by_id(&w.vm, 1), "of that slot");
	core_resolve_own(&w.vm, 0, GPA + 4 * PG, true, &p);
	is(p.backing, CORE_BACKING_MMIO, "as is its access where no slot is");
	ok(!p.slot, "which is told");
	is(world_fini(&w), 0, "nothing leaks");
}

static void file_without_mmap(void)
{
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	set_gmem(&w, 2, GPA, 4 * PG, FD_FILE, 0);
	is(at(&w, GPA, false).backing, CORE_BACKING_HVA, "RES-4 a default VM never looks at a file without MMAP");
	world_fini(&w);
}

static void attributes_of_vm(void)
{
	struct world w;
	struct core_place p;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM, 0);
	set_plain(&w, 0, 0, GPA, 4 * PG, HVA);
	set_gmem(&w, 2, GPA + 32 * PG, 4 * PG, FD_FILE, 0);
	is(at(&w, GPA + 32 * PG, false).backing, CORE_BACKING_HVA, "RES-4 a shared frame of a file without MMAP");
	set_private(&w, GPA - PG, 64 * PG, true);
	p = at(&w, GPA - PG, false);
	is(p.backing, CORE_BACKING_FAULT, "RES-1 a private frame without a slot is a memory fault");
	is(p.fault_flags, KVM_MEMORY_EXIT_FLAG_PRIVATE, "RES-1 a private one");
	is(at(&w, GPA, false).backing, CORE_BACKING_FAULT, "RES-2 so is one whose slot has no file");
	p = at(&w, GPA + 33 * PG, true);
	is(p.backing, CORE_BACKING_FILE, "RES-3 a private frame is the file's page");
	is(p.page, 1, "RES-3 by its offset");
	core_resolve_own(&w.vm, 0, GPA + 33 * PG, false, &p);
	is(p.backing, CORE_BACKING_HVA, "KVM's own accesses ignore the attribute");
	core_file_fini(&w.file);
	p = at(&w, GPA + 33 * PG, true);
	is(p.backing, CORE_BACKING_FAULT, "RES-3 the file is gone");
	is(p.fault_flags, KVM_MEMORY_EXIT_FLAG_PRIVATE, "RES-3 and the access was private");
	set_private(&w, GPA, 64 * PG, false);
	is(at(&w, GPA + 33 * PG, true).backing, CORE_BACKING_HVA, "RES-4 shared again, the file is not needed");
	world_fini(&w);
}

static void mappable_in_protected_vm(void)
{
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM, GUEST_MEMFD_FLAG_MMAP);
	set_gmem(&w, 2, GPA, 4 * PG, FD_FILE, 0);
	is(at(&w, GPA, false).backing, CORE_BACKING_FILE, "RES-3 shared and private are the same page of a mappable file");
	set_private(&w, GPA, PG, true);
	is(at(&w, GPA, false).backing, CORE_BACKING_FILE, "RES-3 when private");
	is(at(&w, GPA, false).is_private, 1, "RES-3 which it is");
	world_fini(&w);
}

static void states_of_file(void)
{
	static u64 window[1 << 12];
	struct world w;
	struct core_place p;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 0);
	core_store_init(&w.file.store, window, FILE_PAGES, false);
	core_store_set(&w.file.store, (struct rt_pages){ 2, 1 }, true);
	set_plain(&w, 0, 0, GPA, 4 * PG, HVA);
	set_gmem(&w, 2, GPA + 32 * PG, 4 * PG, FD_FILE, PG);
	p = at(&w, GPA + 33 * PG, false);
	is(p.is_private, 1, "the state of the file's page decides");
	is(p.backing, CORE_BACKING_FILE, "RES-3 and the file serves it");
	p = at(&w, GPA + 32 * PG, false);
	is(p.is_private, 0, "its neighbour is shared");
	is(p.backing, CORE_BACKING_FILE, "RES-3 which a file without MMAP serves as well");
	is(at(&w, GPA - PG, false).backing, CORE_BACKING_MMIO, "RES-1 without a slot a frame is shared");
	is(at(&w, GPA, false).backing, CORE_BACKING_HVA, "RES-4 so it is in a slot without a file");
	core_file_fini(&w.file);
	p = at(&w, GPA + 33 * PG, false);
	is(p.backing, CORE_BACKING_FAULT, "RES-3 no page can be had from a file that is gone");
	is(p.fault_flags, 0, "RES-3 and the frame counts as shared");
	world_fini(&w);
}

/* A VM without private memory may have a file whose pages begin private: nothing of it is for such a guest. */
static void states_of_default_vm(void)
{
	static u64 window[1 << 12];
	struct world w;
	struct core_place p;

	world_init(&w, "linux-7.4", -1, KVM_X86_DEFAULT_VM, 0);
	core_store_init(&w.file.store, window, FILE_PAGES, true);
	set_gmem(&w, 2, GPA, 4 * PG, FD_FILE, 0);
	p = at(&w, GPA, true);
	is(p.backing, CORE_BACKING_FAULT, "RES-0 a shared access to a private frame");
	is(p.is_private, 0, "private is what a VM type must have");
	is(p.fault_flags, 0, "RES-0 so that the fault is none of a private access");
	is(core_resolve_run(&w.vm, 0, GPA, ~0ULL, &p), GPA + 4 * PG, "RES-0 so it is in the whole slot");
	is(p.backing, CORE_BACKING_FAULT, "RES-0 which is a run of faults");
	is(at(&w, GPA + 4 * PG, true).backing, CORE_BACKING_MMIO, "RES-1 without a slot a frame is shared");
	core_file_fini(&w.file);
	p = at(&w, GPA, true);
	is(p.backing, CORE_BACKING_FAULT, "RES-3 the file gone, there is still none");
	world_fini(&w);

	world_init(&w, "linux-7.4-vm-attributes", -1, KVM_X86_DEFAULT_VM, GUEST_MEMFD_FLAG_MMAP);
	core_store_init(&w.file.store, window, FILE_PAGES, true);
	set_gmem(&w, 2, GPA, 4 * PG, FD_FILE, 0);
	is(at(&w, GPA, true).backing, CORE_BACKING_FILE, "RES-3 the switch off, states of pages are nothing to the guest");
	world_fini(&w);
}

/* Signed sums (until 7.1): the end of the range is 2^63, which is negative and so below any size. */
static void slot_beyond_its_file(void)
{
	const u64 pages = 1ULL << 30, size = (1ULL << 63) - pages * PG;
	struct world w;
	struct core_place p;

	world_init(&w, "linux-6.18", -1, KVM_X86_SW_PROTECTED_VM, 0);
	w.file.size = size;
	is(set_gmem(&w, 2, GPA, (pages + 1) * PG, FD_FILE, size - PG), 0, "a slot that begins with the file's last page");
	set_private(&w, GPA, 2 * PG, true);
	p = at(&w, GPA, false);
	is(p.backing, CORE_BACKING_FILE, "RES-3 the last page is in the file");
	is(p.page, size / PG - 1, "RES-3 with its number");
	is(at(&w, GPA + PG, false).backing, CORE_BACKING_FAULT, "RES-3 the next one is a memory fault");
	set_private(&w, GPA, (pages + 1) * PG, true);
	is(core_resolve_run(&w.vm, 0, GPA, ~0ULL, &p), GPA + PG, "a run ends with the file");
	world_fini(&w);
}

static void dirty(void)
{
	struct world w;
	u64 bytes = 0;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	set_plain(&w, 0, KVM_MEM_LOG_DIRTY_PAGES, GPA, 100 * PG, HVA);
	core_dirty_mark(core_memslot_by_id(&w.vm, 0), GPA + 70 * PG);
	is(core_memslot_by_id(&w.vm, 0)->dirty[1], 1ULL << 6, "a page's bit in a slot's bitmap");
	is(core_dirty_clear_check(&w.vm, 0, 64, 36, &bytes, NULL), 0, "the last pages can be cleared");
	is(bytes, 8, "with a whole word");
	is(core_dirty_clear_check(&w.vm, 0, 0, 36, &bytes, NULL), -EINVAL, "an odd number of others cannot");
	is(core_dirty_clear_check(&w.vm, 0, 1, 64, &bytes, NULL), -EINVAL, "nor from within a word");
	is(core_dirty_clear_check(&w.vm, 0, 64, 64, &bytes, NULL), -EINVAL, "nor beyond the slot");
	set_plain(&w, 0, 0, GPA, 100 * PG, HVA);
	ok(!core_memslot_by_id(&w.vm, 0)->dirty, "no log, no bitmap");
	core_dirty_mark(core_memslot_by_id(&w.vm, 0), GPA);
	w.vm.dirty_manual = KVM_DIRTY_LOG_INITIALLY_SET;
	set_plain(&w, 0, KVM_MEM_LOG_DIRTY_PAGES, GPA, 100 * PG, HVA);
	is(core_memslot_by_id(&w.vm, 0)->dirty[1], (1ULL << 36) - 1, "initially set, up to the last page");
	is(world_fini(&w), 0, "nothing leaks");
}

/* A bit a page, in whole words; at the ends of words and of slots. */
static void dirty_words(void)
{
	static const struct {
		u64 pages, words;
	} rows[] = { { 1, 1 }, { 63, 1 }, { 64, 1 }, { 65, 2 }, { 100, 2 }, { 127, 2 }, { 128, 2 }, { 129, 3 }, { 4096, 64 } };
	const struct core_slot *slot;
	struct world w;
	u64 bytes = 1;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is(core_dirty_words(&(struct core_slot){ .size = rows[i].pages * PG }), rows[i].words, "words of %u pages",
		   (unsigned)rows[i].pages);

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	set_plain(&w, 0, KVM_MEM_LOG_DIRTY_PAGES, GPA, 128 * PG, HVA);
	set_plain(&w, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA + 128 * PG, 65 * PG, HVA);
	slot = core_memslot_by_id(&w.vm, 0);
	core_dirty_mark(slot, GPA + 63 * PG);
	core_dirty_mark(slot, GPA + 64 * PG);
	ok(slot->dirty[0] == 1ULL << 63 && slot->dirty[1] == 1, "the last page of a word, and the first of the next");
	core_dirty_mark(slot, GPA + 127 * PG);
	is(slot->dirty[1], 1ULL << 63 | 1, "the slot's last page");
	is(core_dirty_clear_check(&w.vm, 0, 128, 0, &bytes, NULL), 0, "nothing, at the end of a slot");
	is(bytes, 0, "is no byte");
	is(core_dirty_clear_check(&w.vm, 0, 0, 1, &bytes, NULL), -EINVAL, "one page of many");
	is(core_dirty_clear_check(&w.vm, 1, 64, 1, &bytes, NULL), 0, "the last page, alone in its word");
	is(bytes, 8, "is a word");
	w.vm.dirty_manual = KVM_DIRTY_LOG_INITIALLY_SET;
	set_plain(&w, 2, KVM_MEM_LOG_DIRTY_PAGES, 2 * GPA, 65 * PG, HVA);
	slot = core_memslot_by_id(&w.vm, 2);
	ok(slot->dirty[0] == ~0ULL && slot->dirty[1] == 1, "initially set, from the first page to the last");
	is(world_fini(&w), 0, "nothing leaks");
}

/* Each run ends where the page behind it, asked for by itself, has another answer or does not follow. */
static void check_runs(struct world *w, u64 from, u64 to, const char *name)
{
	unsigned runs = 0, wrong = 0;
	struct core_place run, page;
	u64 end;

	for (u64 gpa = from; gpa < to; gpa = end, runs++) {
		end = core_resolve_run(&w->vm, 0, gpa, to, &run);
		wrong += end <= gpa || end > to;
		for (u64 p = gpa; p < end && end <= to; p += PG) {
			core_resolve(&w->vm, 0, p, false, &page);
			wrong += page.backing != run.backing || page.slot != run.slot;
			wrong += run.backing == CORE_BACKING_HVA && page.hva - run.hva != p - gpa;
			wrong += run.backing == CORE_BACKING_FILE && page.page - run.page != (p - gpa) / PG;
		}
	}
	is(wrong, 0, "%s: runs answer as their pages do", name);
	ok(runs > 1, "%s: there are several", name);
}

static void runs(void)
{
	static u64 window[1 << 12];
	struct core_place p;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM, 0);
	set_plain(&w, 0, 0, GPA, 4 * PG, HVA);
	set_gmem(&w, 1, GPA + 4 * PG, 8 * PG, FD_FILE, 0);
	set_private(&w, GPA + 2 * PG, 4 * PG, true);
	set_private(&w, GPA + 20 * PG, 2 * PG, true);
	check_runs(&w, GPA - 4 * PG, GPA + 32 * PG, "attributes");
	is(core_resolve_run(&w.vm, 0, GPA, ~0ULL, &p), GPA + 2 * PG, "a run ends where attributes change");
	is(core_resolve_run(&w.vm, 0, GPA + 2 * PG, ~0ULL, &p), GPA + 4 * PG, "and at the slot's end");
	is(core_resolve_run(&w.vm, 0, GPA + 12 * PG, ~0ULL, &p), GPA + 20 * PG, "nothing ends where private frames begin");
	is(core_resolve_run(&w.vm, 0, GPA + 22 * PG, GPA + 64 * PG, &p), GPA + 64 * PG, "and at the limit");
	is(core_resolve_run(&w.vm, 0, GPA + 12 * PG, GPA + 15 * PG, &p), GPA + 15 * PG, "which may come before attributes do");
	set_plain(&w, 2, KVM_MEM_READONLY, GPA + 40 * PG, PG, HVA);
	is(core_resolve_run(&w.vm, 0, GPA + 40 * PG, ~0ULL, &p), GPA + 41 * PG, "memory that can only be read is a run");
	is(p.backing, CORE_BACKING_HVA, "of what a read finds");
	is(core_vm_attributes_end(&w.vm, (GPA >> 12) + 22), ~0ULL, "no attributes beyond the last");
	is(core_memslot_next(&w.vm, 0, 0)->id, 0, "the first slot above an address");
	ok(!core_memslot_next(&w.vm, 0, GPA + 41 * PG), "none above the last");
	ok(!core_memslot_next(&w.vm, 2, 0), "none in a space that is not");
	is(world_fini(&w), 0, "nothing leaks");

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, GUEST_MEMFD_FLAG_MMAP);
	core_store_init(&w.file.store, window, FILE_PAGES, false);
	core_store_set(&w.file.store, (struct rt_pages){ 2, 1 }, true);
	set_gmem(&w, 1, GPA, FILE_PAGES * PG, FD_FILE, 0);
	check_runs(&w, GPA - PG, GPA + (FILE_PAGES + 1) * PG, "in place");
	is(core_resolve_run(&w.vm, 0, GPA + PG, ~0ULL, &p), GPA + FILE_PAGES * PG, "states of pages end no run");
	core_file_fini(&w.file);
	is(core_resolve_run(&w.vm, 0, GPA, ~0ULL, &p), GPA + FILE_PAGES * PG, "a slot without its file is one run");
	is(p.backing, CORE_BACKING_FAULT, "of faults");
	is(world_fini(&w), 0, "nothing leaks");
}

int main(void)
{
	runs();
	default_vm();
	file_without_mmap();
	attributes_of_vm();
	mappable_in_protected_vm();
	states_of_file();
	states_of_default_vm();
	slot_beyond_its_file();
	dirty();
	dirty_words();
	return done_testing();
}
