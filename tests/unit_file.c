// SPDX-License-Identifier: MIT
/*
 * tests/unit_file.c - guest_memfd files: creation, states, pins, end of life
 */
#include "core/array.h"
#include "tests/file_world.h"

static int create(struct world *w, u64 size, u64 flags)
{
	const struct kvm_create_guest_memfd args = { .size = size, .flags = flags };

	return core_file_check(&w->vm, &args, &w->err);
}

static void test_sizes(void)
{
	static const u64 good[] = { PG, 1ULL << 40, 1ULL << 62, CLAMP63 };
	static const u64 not_positive[] = { 0, 1ULL << 63, -PG, ~0ULL };
	static const u64 unaligned[] = { 1, PG - 1, PG + 1, 0x7fffffffffffffffULL };
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 1, 0);
	for (unsigned i = 0; i < RT_ARRAY_SIZE(good); i++)
		is(create(&w, good[i], 0), 0, "size %#llx", (unsigned long long)good[i]);
	for (unsigned i = 0; i < RT_ARRAY_SIZE(not_positive); i++)
		refused(&w, create(&w, not_positive[i], 0), EINVAL, RULE_CREATE_SIZE, "size %#llx",
			(unsigned long long)not_positive[i]);
	for (unsigned i = 0; i < RT_ARRAY_SIZE(unaligned); i++)
		refused(&w, create(&w, unaligned[i], 0), EINVAL, RULE_CREATE_SIZE_ALIGN, "size %#llx",
			(unsigned long long)unaligned[i]);
	refused(&w, create(&w, 0, 4), EINVAL, RULE_CREATE_FLAGS, "flags are looked at before the size");
	is(w.err.value, 4, "the refusal has the value");
	is(w.err.expected, 3, "and what is legal");
	world_fini(&w);
}

static void test_reserved(void)
{
	struct kvm_create_guest_memfd args = { .size = PG, .reserved = { ~0ULL, 1, 2, 3, 4, ~0ULL } };
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 1, 0);
	is(core_file_check(&w.vm, &args, NULL), 0, "reserved words are not inspected");
	world_fini(&w);
}

/* Each single flag bit is accepted exactly where the profile says so. */
static void check_flags(const char *profile, int param, unsigned type, u64 legal)
{
	struct world w;
	bool good = true;

	world_init(&w, profile, param, type, 1, 0);
	for (unsigned bit = 0; bit < 64; bit++)
		good = good && create(&w, PG, 1ULL << bit) == (legal >> bit & 1 ? 0 : -EINVAL);
	ok(good, "%s, type %u, in place %d: legal flags are %#llx", profile, type, w.sys.in_place,
	   (unsigned long long)legal);
	is(create(&w, PG, legal), 0, "and all of them together");
	world_fini(&w);
}

static void test_flags(void)
{
	check_flags("linux-6.12", -1, KVM_X86_DEFAULT_VM, 0);
	check_flags("linux-6.12", -1, KVM_X86_SW_PROTECTED_VM, 0);
	check_flags("linux-6.18", -1, KVM_X86_DEFAULT_VM, 3);
	check_flags("linux-6.18", -1, KVM_X86_SEV_VM, 3);
	check_flags("linux-6.18", -1, KVM_X86_SW_PROTECTED_VM, 1);
	check_flags("linux-7.3", -1, KVM_X86_TDX_VM, 1);
	check_flags("linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 3);
	check_flags("linux-7.4", -1, KVM_X86_SNP_VM, 3);
	check_flags("linux-7.4-vm-attributes", 0, KVM_X86_SW_PROTECTED_VM, 1);
	check_flags("linux-7.4-vm-attributes", 1, KVM_X86_SW_PROTECTED_VM, 3);
}

static void test_states(void)
{
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 16, GUEST_MEMFD_FLAG_MMAP);
	is(core_file_page_state(&w.file, 0), CORE_PAGE_PRIVATE, "without INIT_SHARED a file begins private");
	is(core_file_page_state(&w.file, 15), CORE_PAGE_PRIVATE, "to its last page");
	is(core_file_page_state(&w.file, 16), CORE_PAGE_BEYOND, "and ends there");
	is(core_file_page_state(&w.file, ~0ULL), CORE_PAGE_BEYOND, "however far one looks");
	refused(&w, core_file_touch_check(&w.file, 3, &w.err), EFAULT, RULE_HOST_PRIVATE, "a touch of it is refused");
	is(w.err.value, 3 * PG, "with the offset");
	refused(&w, core_file_touch_check(&w.file, 16, &w.err), EFAULT, RULE_HOST_BEYOND, "as is one beyond the end");
	world_fini(&w);

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, 16, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	is(core_file_page_state(&w.file, 0), CORE_PAGE_SHARED, "with INIT_SHARED it begins shared");
	is(core_file_page_state(&w.file, 16), CORE_PAGE_BEYOND, "and ends where it ends");
	is(core_file_touch_check(&w.file, 15, NULL), 0, "a touch of it is served");
	world_fini(&w);
}

static void test_attach(void)
{
	const struct kvm_create_guest_memfd args = { .size = 16 * PG };
	struct core_file other;
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 16, 0);
	core_store_set(&w.file.store, (struct rt_pages){ 4, 4 }, false);
	core_file_attach(&other, &w.vm, &args, w.window);
	is(core_file_page_state(&other, 4), CORE_PAGE_SHARED, "who attaches to a window sees what was converted");
	is(core_file_page_state(&other, 3), CORE_PAGE_PRIVATE, "and what was not");
	core_file_fini(&other);
	world_fini(&w);
}

static void test_populate(void)
{
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 16, 3);
	is(core_file_populate_check(&w.file, (struct rt_pages){ 0, 16 }, NULL), 0, "shared pages can be populated");
	refused(&w, core_file_populate_check(&w.file, (struct rt_pages){ 15, 2 }, &w.err), EFAULT, RULE_MADVISE_POPULATE,
		"none beyond the end");
	is(w.err.value, 16 * PG, "the first such page is named");
	core_store_set(&w.file.store, (struct rt_pages){ 7, 1 }, true);
	refused(&w, core_file_populate_check(&w.file, (struct rt_pages){ 0, 16 }, &w.err), EFAULT, RULE_MADVISE_POPULATE,
		"no private one");
	is(w.err.value, 7 * PG, "which is named");
	is(core_file_populate_check(&w.file, (struct rt_pages){ 8, 8 }, NULL), 0, "those beside it can");
	is(core_file_populate_check(&w.file, (struct rt_pages){ 0, 7 }, NULL), 0, "as can those before it");
	is(core_file_populate_check(&w.file, (struct rt_pages){ 8, 4 }, NULL), 0, "and a part of a shared run");
	world_fini(&w);
}

static void test_pins(void)
{
	struct world w;
	u64 page = 77;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 64, 3);
	ok(!core_file_lowest_pin(&w.file, (struct rt_pages){ 0, 64 }, &page) && page == 77, "no page is pinned at first");
	is(core_file_unpin(&w.file, 3), -EINVAL, "so none can be let go");
	is(core_file_pin(&w.file, 64), -EINVAL, "a page beyond the end cannot be pinned");
	core_store_set(&w.file.store, (struct rt_pages){ 60, 1 }, true);
	is(core_file_pin(&w.file, 60), -EINVAL, "nor a private one");
	for (u64 i = 0; i < 20; i++)
		core_file_pin(&w.file, 50 - i);
	is(core_file_pin(&w.file, 40), 0, "a page can be pinned twice");
	ok(core_file_lowest_pin(&w.file, (struct rt_pages){ 0, 64 }, &page) && page == 31, "the lowest pin is found");
	ok(core_file_lowest_pin(&w.file, (struct rt_pages){ 40, 2 }, &page) && page == 40, "and the lowest in a range");
	ok(!core_file_lowest_pin(&w.file, (struct rt_pages){ 0, 31 }, &page), "and none where there is none");
	core_file_unpin(&w.file, 40);
	ok(core_file_lowest_pin(&w.file, (struct rt_pages){ 40, 1 }, &page), "two pins need two to go");
	is(core_file_unpin(&w.file, 40), 0, "the second one goes, too");
	ok(!core_file_lowest_pin(&w.file, (struct rt_pages){ 40, 1 }, &page), "then the page is free");
	is(core_file_unpin(&w.file, 40), -EINVAL, "and cannot be let go again");
	is(core_file_unpin(&w.file, 50), 0, "the highest pin goes");
	is(core_file_unpin(&w.file, 50), -EINVAL, "once");
	is(w.file.nr_pins, 18, "and the others stay");
	is(world_fini(&w), 0, "nothing is left");
}

static void test_pin_memory(void)
{
	struct world w;
	u64 page;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 64, 3);
	for (u64 i = 0; i < CORE_ARRAY_FIRST; i++)
		core_file_pin(&w.file, i);
	mem_fail(1);
	is(core_file_pin(&w.file, 63), -ENOMEM, "no memory for a pin");
	mem_fail(0);
	is(w.file.nr_pins, CORE_ARRAY_FIRST, "the pins are as they were");
	ok(!core_file_lowest_pin(&w.file, (struct rt_pages){ 63, 1 }, &page), "the page is not among them");
	is(core_file_pin(&w.file, 63), 0, "with memory it works");
	is(world_fini(&w), 0, "nothing is left");
}

static int lookup(void *ctx, u32 fd, struct core_file **ret)
{
	*ret = ctx;
	return 0;
}

static void test_fini(void)
{
	const struct kvm_userspace_memory_region2 region = {
		.slot = 3, .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = 1ULL << 32, .memory_size = 4 * PG
	};
	const struct core_slot *slot;
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 16, 3);
	is(core_memslot_set(&w.vm, &region, 2, lookup, &w.file, NULL, NULL), 0, "a slot binds four pages");
	is(core_file_pin(&w.file, 2), 0, "a page is pinned");
	slot = core_memslot_by_id(&w.vm, 3);
	ok(slot && slot->file == &w.file && core_file_slot(&w.file, 3) == slot, "slot and file know each other");
	core_file_fini(&w.file);
	ok(!slot->file && slot->has_gmem, "the file's end leaves the slot, without a file");
	ok(core_memslot_by_id(&w.vm, 3) == slot, "in its place");
	ok(!w.file.nr_pins && !w.file.cap_pins && !w.file.nr_bound && !w.file.cap_bound, "and neither pins nor bindings");
	is(world_fini(&w), 0, "nothing is left, though the file ended twice");
}

int main(void)
{
	test_sizes();
	test_reserved();
	test_flags();
	test_states();
	test_attach();
	test_populate();
	test_pins();
	test_pin_memory();
	test_fini();
	return done_testing();
}
