// SPDX-License-Identifier: MIT
/*
 * tests/unit_convert.c - KVM_SET_MEMORY_ATTRIBUTES2: the switch, the order of checks, conversion
 */
#include "tests/file_world.h"

#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE

static int check(struct world *w, u64 offset, u64 size, u64 attributes)
{
	const struct kvm_memory_attributes2 args = { .offset = offset, .size = size, .attributes = attributes };

	return core_convert_check(&w->file, &args, &w->err);
}

static void check_switch(const char *profile, int param, bool on)
{
	struct world w;

	world_init(&w, profile, param, KVM_X86_DEFAULT_VM, 1, 0);
	is(core_file_has_attributes_ioctl(&w.file), on, "%s, parameter %d: the ioctl %s", profile, param,
	   on ? "exists" : "is ENOTTY");
	world_fini(&w);
}

static void test_switch(void)
{
	check_switch("linux-6.12", -1, false);
	check_switch("linux-6.18", -1, false);
	check_switch("linux-7.3", -1, false);
	check_switch("linux-7.4", -1, true);
	check_switch("linux-7.4-vm-attributes", -1, false);
	check_switch("linux-7.4-vm-attributes", 0, false);
	check_switch("linux-7.4-vm-attributes", 1, true);
}

static void check_argument(struct world *w)
{
	const u64 size = w->file.size;

	is(check(w, 0, PG, PRIVATE), 0, "one page to private");
	is(check(w, 0, size, 0), 0, "the whole file to shared");
	is(check(w, size - PG, PG, PRIVATE), 0, "the last page");
	for (unsigned bit = 0; bit < 64; bit++) {
		if (bit != 3 && check(w, 0, PG, 1ULL << bit) != -EINVAL)
			ok(0, "attribute bit %u", bit);
	}
	refused(w, check(w, 0, PG, PRIVATE | 1), EINVAL, RULE_CONVERT_MASK, "another attribute beside PRIVATE");
	refused(w, check(w, 0, 0, 0), EINVAL, RULE_CONVERT_SIZE, "size 0");
	refused(w, check(w, -PG, 2 * PG, 0), EINVAL, RULE_CONVERT_WRAP, "a range that wraps");
	refused(w, check(w, -PG, PG, 0), EINVAL, RULE_CONVERT_WRAP, "a range that ends at 2^64");
	refused(w, check(w, 1, PG, 0), EINVAL, RULE_CONVERT_ALIGN, "an offset within a page");
	refused(w, check(w, 0, PG + 1, 0), EINVAL, RULE_CONVERT_ALIGN, "a size within a page");
	refused(w, check(w, size, PG, 0), EINVAL, RULE_CONVERT_RANGE, "an offset at the end of the file");
	refused(w, check(w, size - PG, 2 * PG, 0), EINVAL, RULE_CONVERT_RANGE, "a range across the end");
	refused(w, check(w, PG, size, 0), EINVAL, RULE_CONVERT_RANGE, "the file's size from its second page");
	is(w->err.value, size + PG, "the refusal has the end");
	is(w->err.expected, size, "and the file's");
}

static void test_argument(void)
{
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 16, 0);
	check_argument(&w);
	world_fini(&w);
	world_init(&w, "linux-7.4-vm-attributes", 1, KVM_X86_TDX_VM, 16, 3);
	check_argument(&w);
	world_fini(&w);
}

/* Start with everything wrong and repair one thing at a time: the next rule in the order must speak. */
static void test_order(void)
{
	struct kvm_memory_attributes2 args = { .offset = -1ULL, .size = 0, .attributes = 7, .flags = 1 };
	struct world w;

	args.reserved[10] = 5;
	world_init(&w, "linux-7.4", -1, KVM_X86_DEFAULT_VM, 16, 0);
	refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_FLAGS, "1: flags");
	args.flags = 0;
	refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_RESERVED, "2: reserved");
	is(w.err.value, 5, "with the word's value");
	args.reserved[10] = 0;
	for (unsigned i = 0; i < RT_ARRAY_SIZE(args.reserved); i++) {
		args.reserved[i] = 6 + i;
		refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_RESERVED, "2: each of them");
		is(w.err.value, 6 + i, "by its own value");
		args.reserved[i] = 0;
	}
	refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_TYPE, "3: the VM's type");
	args = (struct kvm_memory_attributes2){ .size = PG };
	refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_TYPE, "even for a legal request");
	world_fini(&w);

	args = (struct kvm_memory_attributes2){ .offset = -1ULL, .size = 0, .attributes = 7, .error_offset = 99 };
	world_init(&w, "linux-7.4", -1, KVM_X86_SNP_VM, 16, 0);
	refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_MASK, "4: attributes");
	args.attributes = 0;
	refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_SIZE, "5: size");
	args.size = 1;
	refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_WRAP, "6: wrap");
	args.offset = -2ULL;
	refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_ALIGN, "7: alignment");
	args.size = PG;
	args.offset = 16 * PG;
	refused(&w, core_convert_check(&w.file, &args, &w.err), EINVAL, RULE_CONVERT_RANGE, "8: the file's end");
	args.offset = 0;
	is(core_convert_check(&w.file, &args, &w.err), 0, "then nothing is left, whatever error_offset holds");
	is(args.error_offset, 99, "which stays");
	world_fini(&w);
}

static int begin(struct world *w, u64 first, u64 count, bool to_private, u64 *error_offset)
{
	w->err = (struct core_err){ .rule = RULE_NONE };
	return core_convert_begin(&w->file, (struct rt_pages){ first, count }, to_private, error_offset, &w->err);
}

static void convert(struct world *w, u64 first, u64 count, bool to_private)
{
	u64 error_offset;

	if (begin(w, first, count, to_private, &error_offset) == 0)
		core_convert_commit(&w->file, (struct rt_pages){ first, count }, to_private);
}

static void test_conversion(void)
{
	u64 error_offset = 1234;
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 1024, 3);
	is(begin(&w, 0, 1024, false, &error_offset), 1, "shared pages to shared: nothing to do");
	is(begin(&w, 10, 5, true, &error_offset), 0, "to private: go on");
	is(core_file_page_state(&w.file, 10), CORE_PAGE_SHARED, "nothing has changed before the commit");
	core_convert_commit(&w.file, (struct rt_pages){ 10, 5 }, true);
	ok(core_store_uniform(&w.file.store, (struct rt_pages){ 10, 5 }, true), "after it five pages are private");
	ok(core_file_page_state(&w.file, 9) == CORE_PAGE_SHARED && core_file_page_state(&w.file, 15) == CORE_PAGE_SHARED,
	   "and no other");
	is(begin(&w, 11, 3, true, &error_offset), 1, "again: nothing to do");
	is(begin(&w, 9, 3, true, &error_offset), 0, "a mixed range has something to do");
	convert(&w, 0, 1024, false);
	ok(core_store_uniform(&w.file.store, (struct rt_pages){ 0, 1024 }, false), "all shared again");
	is(error_offset, 1234, "error_offset was never written");
	world_fini(&w);
}

static void test_pinned(void)
{
	u64 error_offset = 1234;
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 1024, 3);
	core_file_pin(&w.file, 900);
	core_file_pin(&w.file, 20);
	core_file_pin(&w.file, 21);
	refused(&w, begin(&w, 5, 1000, true, &error_offset), EAGAIN, RULE_CONVERT_PINNED, "a pinned page is in the way");
	is(error_offset, 20 * PG, "the lowest one's offset in the file is told");
	ok(core_store_uniform(&w.file.store, (struct rt_pages){ 0, 1024 }, false), "nothing has changed");
	is(begin(&w, 22, 878, true, &error_offset), 0, "pins outside the range do not matter");
	is(begin(&w, 0, 1024, false, &error_offset), 1, "to shared, pinned, nothing to do: success");
	convert(&w, 30, 5, true);
	is(begin(&w, 0, 1024, false, &error_offset), 0, "pins do not hinder the way to shared");
	core_file_unpin(&w.file, 20);
	refused(&w, begin(&w, 20, 20, true, &error_offset), EAGAIN, RULE_CONVERT_PINNED, "the next one after the first went");
	is(error_offset, 21 * PG, "has its own offset");
	core_file_unpin(&w.file, 21);
	is(begin(&w, 20, 20, true, &error_offset), 0, "without pins it goes on");
	convert(&w, 0, 900, true);
	is(begin(&w, 0, 900, true, &error_offset), 1, "an all-private range is success");
	refused(&w, begin(&w, 0, 1024, true, &error_offset), EAGAIN, RULE_CONVERT_PINNED, "the whole range is searched");
	is(error_offset, 900 * PG, "to the pin behind the private pages");
	is(world_fini(&w), 0, "nothing is left");
}

/* CONVERT-2 and CONVERT-3: a page that was converted by a process that did not know of the pin. */
static void test_pinned_private(void)
{
	u64 error_offset = 0;
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 64, 3);
	core_file_pin(&w.file, 8);
	core_convert_commit(&w.file, (struct rt_pages){ 8, 8 }, true);
	is(begin(&w, 8, 8, true, &error_offset), 1, "private and pinned, to private: nothing to do");
	refused(&w, begin(&w, 8, 9, true, &error_offset), EAGAIN, RULE_CONVERT_PINNED,
		"in a mixed range a page counts that is private already");
	is(error_offset, 8 * PG, "with its offset");
	world_fini(&w);
}

static void test_memory(void)
{
	const u64 base = CORE_STORE_DENSE_PAGES;
	u64 error_offset = 0, n = 0;
	struct world w;
	int ret;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, 1ULL << 50, 3);
	core_file_pin(&w.file, base);
	for (n = 1; (ret = begin(&w, base + 2 * n, 1, true, &error_offset)) == 0; n++)
		core_convert_commit(&w.file, (struct rt_pages){ base + 2 * n, 1 }, true);
	is(ret, -ENOMEM, "the states of a huge file have become too many");
	is(w.err.rule, RULE_CONVERT_MEMORY, "the rule says so");
	is(error_offset, (base + 2 * n) * PG, "error_offset is the request's");
	is(begin(&w, base + 2, 1, true, &error_offset), 1, "what has the state already still succeeds");
	is(begin(&w, 0, base, true, &error_offset), 0, "below 16 TiB memory is no question");
	convert(&w, base + 1, 1ULL << 41, true);
	is(begin(&w, base + 2 * n, 1, false, &error_offset), 0, "merged runs make room");
	refused(&w, begin(&w, base, 1, true, &error_offset), EAGAIN, RULE_CONVERT_PINNED, "and pins are found up there");
	world_fini(&w);
}

int main(void)
{
	test_switch();
	test_argument();
	test_order();
	test_conversion();
	test_pinned();
	test_pinned_private();
	test_memory();
	return done_testing();
}
