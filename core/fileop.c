// SPDX-License-Identifier: MIT
/*
 * core/fileop.c - what generic file and memory calls answer on a guest_memfd
 *
 * Each check function has the kernel's order: what the generic layer finds
 * before the file's own code is asked comes first, as far as it depends on the
 * arguments that the function is given.  Not here, because they depend on the
 * process: for mmap the address (MAP_FIXED, MAP_FIXED_NOREPLACE), the limit of
 * locked memory and the number of mappings, all tested between the rules
 * mmap-length and mmap-range; and between mmap-growsdown and mmap-flag the
 * commit limit, which makes a huge writable MAP_PRIVATE mapping ENOMEM (6.18.44).
 */
#include "core/fileop.h"

#include <asm/errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/mman.h>

#include "uapi/mm.h"

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif
#define FALLOC_FL_BEFORE_6_12                                                                                          \
	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE |                \
	 FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE)
#ifndef MAP_ABOVE4G
#define MAP_ABOVE4G 0x80
#endif

/* Offsets are signed. */
#define OFFSET_MAX 0x7fffffffffffffffULL
/* Four-level page tables: what mmap(2) hands out unless a higher address is asked for. */
#define ADDRESS_SPACE 0x7ffffffff000ULL

/* Whether the generic layer lets a fallocate mode through to the file; a second operation bit matches no case. */
static bool mode_possible(const struct core_profile *profile, int mode)
{
	bool keep = mode & FALLOC_FL_KEEP_SIZE;

	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
	case FALLOC_FL_UNSHARE_RANGE:
	case FALLOC_FL_ZERO_RANGE:
		return true;
	case FALLOC_FL_PUNCH_HOLE:
		return keep;
	case FALLOC_FL_COLLAPSE_RANGE:
	case FALLOC_FL_INSERT_RANGE:
		return !keep;
	case FALLOC_FL_WRITE_ZEROES:
		return !keep && profile->write_zeroes;
	}
	return false;
}

/* 0, EINVAL or EOPNOTSUPP. */
static int mode_error(const struct core_profile *profile, int mode)
{
	const int keep = FALLOC_FL_KEEP_SIZE, punch = FALLOC_FL_PUNCH_HOLE | keep;

	if (mode_possible(profile, mode))
		return 0;
	/* Known bits, and a hole as it has to be: it is one of the others that wants to be alone. */
	if (profile->modes_by_flag && !(mode & ~FALLOC_FL_BEFORE_6_12) && (mode & punch) != FALLOC_FL_PUNCH_HOLE &&
	    (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return EINVAL;
	return EOPNOTSUPP;
}

/* The generic layer's part of fallocate(2). */
static int check_fallocate_generic(const struct core_file *file, int mode, s64 offset, s64 len, struct core_err *err)
{
	int error = mode_error(file->vm->sys->profile, mode);

	if (offset < 0)
		return core_refuse(err, RULE_FALLOCATE_OFFSET, 0, "offset", (u64)offset, 0);
	if (len <= 0)
		return core_refuse(err, RULE_FALLOCATE_LENGTH, 0, "len", (u64)len, 0);
	if (error)
		return core_refuse(err, RULE_FALLOCATE_MODE, error, "mode", (u32)mode, 0);
	if ((u64)offset + (u64)len > OFFSET_MAX)
		return core_refuse(err, RULE_FALLOCATE_WRAP, 0, "offset + len", (u64)offset + (u64)len, OFFSET_MAX);
	return 0;
}

int core_fallocate_check(const struct core_file *file, int mode, s64 offset, s64 len, struct core_fallocate_plan *plan,
			 struct core_err *err)
{
	u64 first = (u64)offset >> RT_PAGE_SHIFT, pages = file->size >> RT_PAGE_SHIFT;
	int ret = check_fallocate_generic(file, mode, offset, len, err);

	if (ret)
		return ret;
	if (mode != FALLOC_FL_KEEP_SIZE && mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return core_refuse(err, RULE_FALLOCATE_KIND, 0, "mode", (u32)mode, FALLOC_FL_KEEP_SIZE);
	if (!rt_page_aligned((u64)offset))
		return core_refuse(err, RULE_FALLOCATE_ALIGN, 0, "offset", (u64)offset, RT_PAGE_SIZE);
	if (!rt_page_aligned((u64)len))
		return core_refuse(err, RULE_FALLOCATE_ALIGN, 0, "len", (u64)len, RT_PAGE_SIZE);
	plan->range = (struct rt_pages){ first, (u64)len >> RT_PAGE_SHIFT };
	if (mode & FALLOC_FL_PUNCH_HOLE) {
		/* Holes are not compared with the size: what lies beyond the end is a hole already. */
		plan->range.count = first < pages ? rt_min(plan->range.count, pages - first) : 0;
		plan->op = plan->range.count ? CORE_FALLOCATE_PUNCH : CORE_FALLOCATE_NOTHING;
		return 0;
	}
	if ((u64)offset + (u64)len > file->size)
		return core_refuse(err, RULE_FALLOCATE_END, 0, "offset + len", (u64)offset + (u64)len, file->size);
	plan->op = CORE_FALLOCATE_ALLOCATE;
	return 0;
}

/* The flags that mmap(2) had when MAP_SHARED_VALIDATE came: all that this type lets through. */
#define MMAP_OLD_FLAGS                                                                                                 \
	(MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_UNINITIALIZED | MAP_GROWSDOWN |  \
	 MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_32BIT |              \
	 MAP_ABOVE4G | MAP_HUGE_2MB | MAP_HUGE_1GB)

/* mmap(2) up to the choice of an address, and whether the offsets exist in any file. */
static int check_mmap_range(u64 len, int flags, u64 offset, struct core_err *err)
{
	if (!rt_page_aligned(offset))
		return core_refuse(err, RULE_MMAP_OFFSET_ALIGN, 0, "offset", offset, RT_PAGE_SIZE);
	if (flags & MAP_HUGETLB)
		return core_refuse(err, RULE_MMAP_HUGETLB, 0, "flags", (u32)flags, 0);
	if (!len)
		return core_refuse(err, RULE_MMAP_LENGTH, 0, "length", len, 0);
	if (len > ADDRESS_SPACE)
		return core_refuse(err, RULE_MMAP_SPACE, 0, "length", len, ADDRESS_SPACE);
	len = rt_align_up(len, RT_PAGE_SIZE);
	if (offset >> RT_PAGE_SHIFT > (OFFSET_MAX - len) >> RT_PAGE_SHIFT)
		return core_refuse(err, RULE_MMAP_RANGE, 0, "offset", offset, OFFSET_MAX - len);
	return 0;
}

static int check_mmap_type(int flags, struct core_err *err)
{
	int type = flags & MAP_TYPE;

	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return core_refuse(err, RULE_MMAP_TYPE, 0, "flags", (u32)flags, MAP_SHARED);
	if (type == MAP_SHARED_VALIDATE && flags & ~MMAP_OLD_FLAGS)
		return core_refuse(err, RULE_MMAP_VALIDATE, 0, "flags", (u32)(flags & ~MMAP_OLD_FLAGS), 0);
	return 0;
}

int core_mmap_check(const struct core_file *file, u64 len, int prot, int flags, s64 offset, struct core_err *err)
{
	const struct core_profile *profile = file->vm->sys->profile;
	int ret = check_mmap_range(len, flags, (u64)offset, err);

	if (!ret)
		ret = check_mmap_type(flags, err);
	if (ret)
		return ret;
	if (prot & PROT_EXEC && profile->noexec_fs)
		return core_refuse(err, RULE_MMAP_EXEC, 0, "prot", (u32)prot, PROT_READ | PROT_WRITE);
	if (!profile->has_mmap)
		return core_refuse(err, RULE_MMAP_SUPPORT, 0, "known creation flags", 0, GUEST_MEMFD_FLAG_MMAP);
	if (flags & MAP_GROWSDOWN)
		return core_refuse(err, RULE_MMAP_GROWSDOWN, 0, "flags", (u32)flags, 0);
	if (!(file->flags & GUEST_MEMFD_FLAG_MMAP))
		return core_refuse(err, RULE_MMAP_FLAG, 0, "creation flags", file->flags, GUEST_MEMFD_FLAG_MMAP);
	if ((flags & MAP_TYPE) == MAP_PRIVATE)
		return core_refuse(err, RULE_MMAP_SHARED, 0, "flags", (u32)flags, MAP_SHARED);
	return 0;
}

int core_mprotect_check(const struct core_profile *profile, int prot, struct core_err *err)
{
	if (prot & PROT_EXEC && profile->noexec_fs)
		return core_refuse(err, RULE_MPROTECT_EXEC, 0, "prot", (u32)prot, PROT_READ | PROT_WRITE);
	return 0;
}

/* Every advice that the kernel knows, but for those of memory-failure support, which no profile has built in. */
static const struct {
	int advice;
	enum core_advice class;
} advices[] = {
	{ MADV_NORMAL, CORE_ADVICE_PASS },
	{ MADV_RANDOM, CORE_ADVICE_PASS },
	{ MADV_SEQUENTIAL, CORE_ADVICE_PASS },
	{ MADV_WILLNEED, CORE_ADVICE_PASS },
	{ MADV_DONTNEED, CORE_ADVICE_DROP },
	{ MADV_FREE, CORE_ADVICE_REFUSE },
	{ MADV_REMOVE, CORE_ADVICE_REMOVE },
	{ MADV_DONTFORK, CORE_ADVICE_PASS },
	{ MADV_DOFORK, CORE_ADVICE_PASS },
	{ MADV_MERGEABLE, CORE_ADVICE_PASS },
	{ MADV_UNMERGEABLE, CORE_ADVICE_PASS },
	{ MADV_HUGEPAGE, CORE_ADVICE_PASS },
	{ MADV_NOHUGEPAGE, CORE_ADVICE_PASS },
	{ MADV_DONTDUMP, CORE_ADVICE_PASS },
	{ MADV_DODUMP, CORE_ADVICE_PASS },
	{ MADV_WIPEONFORK, CORE_ADVICE_REFUSE },
	{ MADV_KEEPONFORK, CORE_ADVICE_PASS },
	{ MADV_COLD, CORE_ADVICE_PASS },
	{ MADV_PAGEOUT, CORE_ADVICE_PASS },
	{ MADV_POPULATE_READ, CORE_ADVICE_POPULATE },
	{ MADV_POPULATE_WRITE, CORE_ADVICE_POPULATE },
	{ MADV_DONTNEED_LOCKED, CORE_ADVICE_DROP },
	{ MADV_COLLAPSE, CORE_ADVICE_REFUSE },
	{ MADV_GUARD_INSTALL, CORE_ADVICE_GUARD },
	{ MADV_GUARD_REMOVE, CORE_ADVICE_GUARD },
};

bool core_advice_known(int advice)
{
	for (unsigned i = 0; i < RT_ARRAY_SIZE(advices); i++)
		if (advices[i].advice == advice)
			return true;
	return false;
}

enum core_advice core_advice_class(const struct core_profile *profile, int advice, int *error)
{
	for (unsigned i = 0; i < RT_ARRAY_SIZE(advices); i++)
		if (advices[i].advice == advice && advices[i].class != CORE_ADVICE_REFUSE)
			return advices[i].class;
	*error = EINVAL;
	return CORE_ADVICE_REFUSE;
}

/* The table of fixed answers. */
static const struct {
	const char *name;
	int result, result_old;
} fileops[CORE_FILEOP_COUNT] = {
#define FILEOP(id, name, result, result_old) [CORE_FILEOP_##id] = { name, result, result_old },
#include "core/fileop.def"
#undef FILEOP
};

int core_fileop_result(const struct core_profile *profile, enum core_fileop op)
{
	return -(profile->readahead_ok ? fileops[op].result_old : fileops[op].result);
}

const char *core_fileop_name(enum core_fileop op)
{
	return fileops[op].name;
}

int core_fileop_refuse(const struct core_profile *profile, enum core_fileop op, struct core_err *err)
{
	int ret = core_fileop_result(profile, op);

	return ret ? core_refuse(err, RULE_FILE_CALL, -ret, core_fileop_name(op), 0, 0) : 0;
}

int core_pread_check(s64 offset, struct core_err *err)
{
	if (offset < 0)
		return core_refuse(err, RULE_READ_OFFSET, 0, "offset", (u64)offset, 0);
	return core_refuse(err, RULE_READ_SEEKABLE, 0, "offset", (u64)offset, 0);
}

int core_lseek_check(unsigned whence, struct core_err *err)
{
	if (whence > SEEK_MAX)
		return core_refuse(err, RULE_LSEEK_WHENCE, 0, "whence", whence, SEEK_MAX);
	return core_refuse(err, RULE_LSEEK_SEEKABLE, 0, "whence", whence, 0);
}

u64 core_statfs_magic(const struct core_profile *profile)
{
	return profile->own_fs ? GUEST_MEMFD_MAGIC : GMEM_ANON_INODE_MAGIC;
}

const char *core_link_text(const struct core_profile *profile)
{
	return profile->own_fs ? "/[kvm-gmem] (deleted)" : "anon_inode:[kvm-gmem]";
}
