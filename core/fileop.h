/* SPDX-License-Identifier: MIT */
/*
 * core/fileop.h - what generic file and memory calls answer on a guest_memfd
 */
#ifndef GMEM_CORE_FILEOP_H
#define GMEM_CORE_FILEOP_H

#include "core/vm.h"

/* fallocate(2): 0 and what to do; range is clipped to the file for punching. */
enum core_fallocate_op { CORE_FALLOCATE_NOTHING, CORE_FALLOCATE_ALLOCATE, CORE_FALLOCATE_PUNCH };
struct core_fallocate_plan {
	enum core_fallocate_op op;
	struct rt_pages range;
};
int core_fallocate_check(const struct core_file *file, int mode, s64 offset, s64 len, struct core_fallocate_plan *plan,
			 struct core_err *err);

/* mmap(2) of a guest_memfd: rows 1 to 8 of the specification, in order.  prot and flags as given. */
int core_mmap_check(const struct core_file *file, u64 len, int prot, int flags, s64 offset, struct core_err *err);

/* madvise(2) on a mapping of the file. */
enum core_advice {
	CORE_ADVICE_PASS,     /* let the kernel have it: harmless and answered alike */
	CORE_ADVICE_DROP,     /* DONTNEED: drop host mappings, content stays */
	CORE_ADVICE_REMOVE,   /* punch the file range */
	CORE_ADVICE_POPULATE, /* EFAULT when a page is private or beyond the end */
	CORE_ADVICE_GUARD,    /* the program's own guard pages */
	CORE_ADVICE_REFUSE    /* *error */
};
enum core_advice core_advice_class(const struct core_profile *profile, int advice, int *error);
/* An advice that the kernel knows is 0 on an empty range, also one that it refuses; an unknown one is not. */
bool core_advice_known(int advice);

/* mprotect(2) of a mapping of the file. */
int core_mprotect_check(const struct core_profile *profile, int prot, struct core_err *err);

/*
 * Calls that answer with one number whatever the file: core/fileop.def,
 * FILEOP(id, name, result, result where profile->readahead_ok).  0 means success without effect.
 */
enum core_fileop {
#define FILEOP(id, name, result, result_old) CORE_FILEOP_##id,
#include "core/fileop.def"
#undef FILEOP
	CORE_FILEOP_COUNT
};
/* 0 or -errno. */
int core_fileop_result(const struct core_profile *profile, enum core_fileop op);
const char *core_fileop_name(enum core_fileop op);
/* The same with the refusal recorded. */
int core_fileop_refuse(const struct core_profile *profile, enum core_fileop op, struct core_err *err);

/* Calls that look at an argument before they fail: always -errno.  pread, pwrite, preadv, pwritev and the like: */
int core_pread_check(s64 offset, struct core_err *err);
int core_lseek_check(unsigned whence, struct core_err *err);

/* What fstat, fstatfs and readlink say. */
u64 core_statfs_magic(const struct core_profile *profile);
const char *core_link_text(const struct core_profile *profile);

#endif
