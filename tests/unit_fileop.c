// SPDX-License-Identifier: MIT
/*
 * tests/unit_fileop.c - generic file and memory calls: fallocate, mmap, madvise, fixed answers
 *
 * The expectations are what 6.18.44 answered on a type 0 VM, unless another profile is named.
 */
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "core/fileop.h"
#include "tests/file_world.h"
#include "uapi/mm.h"

#define KEEP  FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define PAGES 16ULL
#define SIZE  (PAGES * PG)

static struct core_fallocate_plan plan;

static int fall(struct world *w, int mode, s64 offset, s64 len)
{
	return core_fallocate_check(&w->file, mode, offset, len, &plan, &w->err);
}

static void test_fallocate_order(void)
{
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, PAGES, 3);
	refused(&w, fall(&w, -1, -1, -1), EINVAL, RULE_FALLOCATE_OFFSET, "1: a negative offset");
	refused(&w, fall(&w, -1, 1, 0), EINVAL, RULE_FALLOCATE_LENGTH, "2: length 0");
	refused(&w, fall(&w, -1, 1, -1), EINVAL, RULE_FALLOCATE_LENGTH, "2: a negative length");
	refused(&w, fall(&w, 0x200, CLAMP63, PG), EOPNOTSUPP, RULE_FALLOCATE_MODE, "3: an impossible mode");
	refused(&w, fall(&w, 0, CLAMP63 + 1, PG), EFBIG, RULE_FALLOCATE_WRAP, "4: beyond the largest offset");
	refused(&w, fall(&w, 0, 1, 1), EOPNOTSUPP, RULE_FALLOCATE_KIND, "5: a mode that files here lack");
	refused(&w, fall(&w, KEEP, SIZE + 1, PG), EINVAL, RULE_FALLOCATE_ALIGN, "6: an offset within a page");
	refused(&w, fall(&w, KEEP, SIZE, 1), EINVAL, RULE_FALLOCATE_ALIGN, "6: a length within a page");
	refused(&w, fall(&w, KEEP, SIZE, PG), EINVAL, RULE_FALLOCATE_END, "7: beyond the end");
	is(fall(&w, KEEP, SIZE - PG, PG), 0, "then it is done");
	world_fini(&w);
}

/* Which modes reach the file's own code shows where offset + len is too large: EFBIG there, EOPNOTSUPP before. */
static void check_modes(const char *profile, bool write_zeroes)
{
	static const int reach[] = { 0, 1, 3, 8, 0x10, 0x11, 0x20, 0x40, 0x41 };
	struct world w;
	bool good = true;

	world_init(&w, profile, -1, KVM_X86_DEFAULT_VM, PAGES, 0);
	for (int mode = 0; mode < 0x400; mode++) {
		int want = mode == 0x80 && write_zeroes ? -EFBIG : -EOPNOTSUPP;

		for (unsigned i = 0; i < RT_ARRAY_SIZE(reach); i++)
			if (reach[i] == mode)
				want = -EFBIG;
		good = good && fall(&w, mode, CLAMP63, PG) == want;
		want = mode == KEEP || mode == PUNCH ? 0 : -EOPNOTSUPP;
		good = good && fall(&w, mode, 0, PG) == want;
	}
	ok(good, "%s: of all modes the right ones get through", profile);
	world_fini(&w);
}

/* Until 6.11, COLLAPSE, INSERT and UNSHARE were flags that wanted to be alone: EINVAL, after what is EOPNOTSUPP. */
static void old_modes(void)
{
	static const struct {
		int mode, error;
	} rows[] = { { 8, EFBIG },  { 0x20, EFBIG }, { 0x40, EFBIG }, { 0x41, EFBIG }, { 0x11, EFBIG },
		     { 9, EINVAL }, { 0x21, EINVAL }, { 0x28, EINVAL }, { 0x30, EINVAL }, { 0x50, EINVAL },
		     { 0xb, EINVAL }, { 0x43, EINVAL }, { 2, EOPNOTSUPP }, { 0xa, EOPNOTSUPP }, { 0x42, EOPNOTSUPP },
		     { 0x13, EOPNOTSUPP }, { 0x1b, EOPNOTSUPP }, { 0x88, EOPNOTSUPP }, { 0xc, EOPNOTSUPP }, { 0x80, EOPNOTSUPP } };
	struct world w;

	world_init(&w, "linux-6.8", -1, KVM_X86_SW_PROTECTED_VM, PAGES, 0);
	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++)
		is(fall(&w, rows[i].mode, CLAMP63, PG), -rows[i].error, "linux-6.8: mode %#x", (unsigned)rows[i].mode);
	is(fall(&w, 9, 0, 0), -EINVAL, "its range comes first");
	is(w.err.rule, RULE_FALLOCATE_LENGTH, "which the rule tells");
	world_fini(&w);
}

static void test_fallocate_ranges(void)
{
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, PAGES, 0);
	is(fall(&w, KEEP, 0, SIZE), 0, "the whole file can be allocated");
	ok(plan.op == CORE_FALLOCATE_ALLOCATE && plan.range.first == 0 && plan.range.count == PAGES, "as all its pages");
	is(fall(&w, KEEP, 0, SIZE + PG), -EINVAL, "not a page more");
	is(fall(&w, KEEP, CLAMP63 - PG, PG), -EINVAL, "nor one far away");
	is(fall(&w, PUNCH, 2 * PG, 3 * PG), 0, "a hole");
	ok(plan.op == CORE_FALLOCATE_PUNCH && plan.range.first == 2 && plan.range.count == 3, "of three pages");
	is(fall(&w, PUNCH, 0, CLAMP63), 0, "a hole to the end of everything");
	ok(plan.op == CORE_FALLOCATE_PUNCH && plan.range.count == PAGES, "is one of the file's pages");
	is(fall(&w, PUNCH, SIZE - PG, 5 * PG), 0, "a hole across the end");
	ok(plan.range.first == PAGES - 1 && plan.range.count == 1, "ends there");
	is(fall(&w, PUNCH, SIZE, PG), 0, "a hole beyond the end succeeds");
	is(plan.op, CORE_FALLOCATE_NOTHING, "and does nothing");
	is(fall(&w, PUNCH, 0, PG + 1), -EINVAL, "an unaligned hole is none");
	is(fall(&w, PUNCH, 1, 0x7fffffffffffffff), -EFBIG, "an overlong one is too large before it is unaligned");
	is(fall(&w, PUNCH, 1, 0x7ffffffffffffffe), -EINVAL, "one to the last byte is unaligned");
	world_fini(&w);
}

static int map(struct world *w, u64 len, int prot, int flags, u64 offset)
{
	return core_mmap_check(&w->file, len, prot, flags, (s64)offset, &w->err);
}

static void test_mmap_order(void)
{
	const int all = MAP_PRIVATE | MAP_GROWSDOWN;
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, PAGES, 0);
	refused(&w, map(&w, 0, PROT_EXEC, all, 1), EINVAL, RULE_MMAP_OFFSET_ALIGN, "1: an offset within a page");
	refused(&w, map(&w, 0, PROT_EXEC, all | MAP_HUGETLB, -PG), EINVAL, RULE_MMAP_HUGETLB, "2: MAP_HUGETLB");
	refused(&w, map(&w, 0, PROT_EXEC, all, -PG), EINVAL, RULE_MMAP_LENGTH, "3: length 0");
	refused(&w, map(&w, 1ULL << 62, PROT_EXEC, 0, -PG), ENOMEM, RULE_MMAP_SPACE, "4: no address space is that large");
	refused(&w, map(&w, PG, PROT_EXEC, 0, -PG), EOVERFLOW, RULE_MMAP_RANGE, "5: a negative offset");
	refused(&w, map(&w, PG, PROT_EXEC, MAP_GROWSDOWN, 0), EINVAL, RULE_MMAP_TYPE, "6: neither shared nor private");
	refused(&w, map(&w, PG, PROT_EXEC, MAP_SHARED_VALIDATE | MAP_SYNC, 0), EOPNOTSUPP, RULE_MMAP_VALIDATE,
		"7: MAP_SYNC with validation");
	refused(&w, map(&w, PG, PROT_EXEC, all, 0), EPERM, RULE_MMAP_EXEC, "8: PROT_EXEC");
	refused(&w, map(&w, PG, PROT_READ, all, 0), EINVAL, RULE_MMAP_GROWSDOWN, "10: MAP_GROWSDOWN");
	refused(&w, map(&w, PG, PROT_READ, MAP_PRIVATE, 0), ENODEV, RULE_MMAP_FLAG, "11: a file without MMAP");
	world_fini(&w);

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, PAGES, GUEST_MEMFD_FLAG_MMAP);
	refused(&w, map(&w, PG, PROT_NONE, MAP_PRIVATE, 0), EINVAL, RULE_MMAP_SHARED, "12: MAP_PRIVATE");
	is(map(&w, PG, PROT_NONE, MAP_SHARED, 0), 0, "MAP_SHARED it is");
	world_fini(&w);

	world_init(&w, "linux-6.12", -1, KVM_X86_SW_PROTECTED_VM, PAGES, 0);
	refused(&w, map(&w, PG, PROT_EXEC, all, 0), ENODEV, RULE_MMAP_SUPPORT, "9: linux-6.12 maps none, not even PROT_EXEC");
	refused(&w, map(&w, PG, PROT_READ, MAP_SHARED, 0), ENODEV, RULE_MMAP_SUPPORT, "   nor the plainest");
	refused(&w, map(&w, PG, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, 0), EOPNOTSUPP, RULE_MMAP_VALIDATE,
		"   after the generic checks");
	world_fini(&w);
}

static void test_mmap_ranges(void)
{
	struct world w;

	world_init(&w, "linux-7.4", -1, KVM_X86_SW_PROTECTED_VM, PAGES, GUEST_MEMFD_FLAG_MMAP);
	is(map(&w, 100 * PG, PROT_READ, MAP_SHARED, 50 * PG), 0, "neither offset nor length is compared with the size");
	is(map(&w, PG, PROT_READ, MAP_SHARED, CLAMP63 - PG), 0, "the last page that an offset can name");
	is(map(&w, PG, PROT_READ, MAP_SHARED, CLAMP63), -EOVERFLOW, "not the one after it");
	is(map(&w, PG + 1, PROT_READ, MAP_SHARED, CLAMP63 - PG), -EOVERFLOW, "nor two from there");
	is(map(&w, 1, PROT_READ, MAP_SHARED, 0), 0, "a length within a page is rounded up");
	is(map(&w, ~0ULL, PROT_READ, MAP_SHARED, 0), -ENOMEM, "but not past the end of numbers");
	is(map(&w, 1ULL << 45, PROT_READ, MAP_SHARED, 0), 0, "32 TiB are a matter of the address space");
	world_fini(&w);
}

static void test_mmap_flags(void)
{
	/* MAP_FIXED_NOREPLACE is newer than MAP_SHARED_VALIDATE, and so is whatever has no name yet. */
	static const int refused_bits[] = { 0x200, 0x400, MAP_SYNC, 0x100000, 0x200000, 0x400000, 0x800000, 0x1000000,
					    0x2000000, (int)0x80000000 };
	static const int taken_bits[] = { MAP_FIXED, MAP_32BIT, 0x80, MAP_DENYWRITE, MAP_LOCKED, MAP_NORESERVE,
					  MAP_POPULATE, MAP_NONBLOCK, MAP_STACK, 1 << 26, 1 << 27, 1 << 28,
					  1 << 29, 1 << 30 };
	struct world w;
	bool good = true;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, PAGES, 3);
	for (unsigned i = 0; i < RT_ARRAY_SIZE(refused_bits); i++)
		good = good && map(&w, PG, 1, MAP_SHARED_VALIDATE | refused_bits[i], 0) == -EOPNOTSUPP &&
		       map(&w, PG, 1, MAP_SHARED | refused_bits[i], 0) == 0;
	ok(good, "flags newer than MAP_SHARED_VALIDATE are refused there and ignored elsewhere");
	good = true;
	for (unsigned i = 0; i < RT_ARRAY_SIZE(taken_bits); i++)
		good = good && map(&w, PG, 1, MAP_SHARED_VALIDATE | taken_bits[i], 0) == 0;
	ok(good, "older ones are taken");
	is(map(&w, PG, 1, MAP_PRIVATE | MAP_POPULATE | MAP_LOCKED, 0), -EINVAL,
	   "MAP_PRIVATE is refused whatever comes with it");
	world_fini(&w);
}

static void test_mprotect(void)
{
	const struct core_profile *profile = core_profile_find("linux-7.4");
	struct core_err err = { .rule = RULE_NONE };

	is(core_mprotect_check(profile, PROT_NONE, NULL), 0, "PROT_NONE");
	is(core_mprotect_check(profile, PROT_READ | PROT_WRITE, NULL), 0, "PROT_READ | PROT_WRITE");
	is(core_mprotect_check(profile, PROT_READ | PROT_EXEC, &err), -EACCES, "no execution");
	is(err.rule, RULE_MPROTECT_EXEC, "by its rule");
}

/* Every advice that is the kernel's own business. */
static void test_madvise_passes(void)
{
	static const int passes[] = { 0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21 };
	const struct core_profile *profile = core_profile_find("linux-7.3");
	int error;

	for (unsigned i = 0; i < RT_ARRAY_SIZE(passes); i++) {
		is(core_advice_class(profile, passes[i], &error), CORE_ADVICE_PASS, "advice %d passes", passes[i]);
		ok(core_advice_known(passes[i]), "and is known");
	}
	ok(!core_advice_known(5) && !core_advice_known(100), "numbers without a meaning are not");
}

static void test_madvise(void)
{
	static const struct {
		int advice;
		enum core_advice class;
		bool known;
	} rows[] = {
		{ 0, CORE_ADVICE_PASS, true },	     { 3, CORE_ADVICE_PASS, true },	  { 4, CORE_ADVICE_DROP, true },
		{ 5, CORE_ADVICE_REFUSE, false },    { 8, CORE_ADVICE_REFUSE, true },	  { 9, CORE_ADVICE_REMOVE, true },
		{ 10, CORE_ADVICE_PASS, true },	     { 12, CORE_ADVICE_PASS, true },	  { 14, CORE_ADVICE_PASS, true },
		{ 16, CORE_ADVICE_PASS, true },	     { 18, CORE_ADVICE_REFUSE, true },	  { 19, CORE_ADVICE_PASS, true },
		{ 21, CORE_ADVICE_PASS, true },	     { 22, CORE_ADVICE_POPULATE, true },  { 23, CORE_ADVICE_POPULATE, true },
		{ 24, CORE_ADVICE_DROP, true },	     { 25, CORE_ADVICE_REFUSE, true },	  { 26, CORE_ADVICE_REFUSE, false },
		{ 100, CORE_ADVICE_REFUSE, false },  { 101, CORE_ADVICE_REFUSE, false },  { 102, CORE_ADVICE_GUARD, true },
		{ 103, CORE_ADVICE_GUARD, true },    { 104, CORE_ADVICE_REFUSE, false },  { -1, CORE_ADVICE_REFUSE, false },
	};
	const struct core_profile *profile = core_profile_find("linux-6.18");

	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++) {
		int error = 0;
		enum core_advice class = core_advice_class(profile, rows[i].advice, &error);

		ok(class == rows[i].class && core_advice_known(rows[i].advice) == rows[i].known &&
			   error == (class == CORE_ADVICE_REFUSE ? EINVAL : 0),
		   "madvise %d", rows[i].advice);
	}
}

static void test_fixed_answers(void)
{
	const struct core_profile *now = core_profile_find("linux-6.18"), *old = core_profile_find("linux-6.12");
	struct core_err err = { .rule = RULE_NONE };

	is(core_fileop_result(now, CORE_FILEOP_READ), -EINVAL, "read");
	is(core_fileop_result(now, CORE_FILEOP_PWRITEV2), -ESPIPE, "pwritev2");
	is(core_fileop_result(now, CORE_FILEOP_SYNCFS), 0, "syncfs");
	is(core_fileop_result(now, CORE_FILEOP_COPY_RANGE_OTHER), -EXDEV, "copy_file_range");
	is(core_fileop_result(now, CORE_FILEOP_FGETXATTR), -EOPNOTSUPP, "fgetxattr");
	is(core_fileop_result(now, CORE_FILEOP_READAHEAD), -EINVAL, "readahead");
	is(core_fileop_result(old, CORE_FILEOP_READAHEAD), 0, "readahead under linux-6.12");
	is(core_fileop_result(now, CORE_FILEOP_FIONREAD), -ENOTTY, "FIONREAD");
	is(core_fileop_result(old, CORE_FILEOP_FIONREAD), 0, "FIONREAD under linux-6.12");
	is(core_fileop_refuse(now, CORE_FILEOP_FTRUNCATE, &err), -EINVAL, "ftruncate");
	ok(err.rule == RULE_FILE_CALL && !strcmp(err.object, "ftruncate"), "is refused by name");
	is(core_fileop_refuse(now, CORE_FILEOP_FADVISE, NULL), 0, "posix_fadvise is not");
	for (unsigned i = 0; i < CORE_FILEOP_COUNT; i++)
		if (!core_fileop_name(i) || core_fileop_result(now, i) > 0)
			ok(0, "row %u of the table", i);
}

static void test_positions(void)
{
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_DEFAULT_VM, PAGES, 0);
	refused(&w, core_pread_check(-1, &w.err), EINVAL, RULE_READ_OFFSET, "a negative position");
	refused(&w, core_pread_check(0, &w.err), ESPIPE, RULE_READ_SEEKABLE, "any other");
	refused(&w, core_lseek_check(5, &w.err), EINVAL, RULE_LSEEK_WHENCE, "an unknown whence");
	refused(&w, core_lseek_check(~0U, &w.err), EINVAL, RULE_LSEEK_WHENCE, "also -1");
	refused(&w, core_lseek_check(SEEK_SET, &w.err), ESPIPE, RULE_LSEEK_SEEKABLE, "SEEK_SET");
	refused(&w, core_lseek_check(SEEK_HOLE, &w.err), ESPIPE, RULE_LSEEK_SEEKABLE, "SEEK_HOLE");
	world_fini(&w);
}

static void test_identity(void)
{
	const struct core_profile *old = core_profile_find("linux-6.18"), *now = core_profile_find("linux-7.3");

	is(core_statfs_magic(old), 0x09041934, "linux-6.18 has the anonymous inode file system");
	is(core_statfs_magic(now), 0x474D454D, "linux-7.3 has its own");
	ok(!strcmp(core_link_text(old), "anon_inode:[kvm-gmem]"), "the link's text follows");
	ok(!strcmp(core_link_text(now), "/[kvm-gmem] (deleted)"), "in both");
}

int main(void)
{
	test_fallocate_order();
	old_modes();
	check_modes("linux-6.12", false);
	check_modes("linux-6.18", true);
	check_modes("linux-7.4", true);
	test_fallocate_ranges();
	test_mmap_order();
	test_mmap_ranges();
	test_mmap_flags();
	test_mprotect();
	test_madvise();
	test_madvise_passes();
	test_fixed_answers();
	test_positions();
	test_identity();
	return done_testing();
}
