// SPDX-License-Identifier: MIT
/*
 * overlay/mem.c - mappings: mmap(2) of a guest_memfd, and what is done to ranges with views in them
 */
#include <linux/mman.h>

#include "host/fd.h"
#include "overlay/overlay.h"

/*
 * What is done to views goes through gmem's own system calls; the program's filter has
 * its say before: the same call with arguments that change nothing, whose answer is known.
 */
static long filter_says(long nr, long arg3, long harmless)
{
	long ret;

	if (!ov_filtered)
		return 0;
	ret = ov_raw(nr, 0, 0, arg3);
	return ret == harmless ? 0 : ret;
}

/* Take the guest_memfd path when fd is one; false when the kernel shall decide. */
static bool map_object(void *addr, u64 len, int prot, int flags, int fd, s64 off, long *ret)
{
	struct core_err err = { .rule = RULE_NONE };
	struct dev_object *obj;
	struct ov_guard guard;

	ov_enter(&guard);
	obj = ov_fd_get(fd);
	if (obj && obj->kind == DEV_GMEM)
		*ret = dev_gmem_mmap((struct dev_gmem *)obj, addr, len, prot, flags, off, &err);
	else if (obj)
		*ret = -ENODEV;
	if (obj)
		dev_put(obj);
	if (*ret < 0 && rt_is_err(*ret))
		ov_report_refusal("mmap", &err);
	ov_leave(&guard);
	return obj != NULL;
}

static long map_over(void *addr, u64 len, int prot, int flags, int fd, s64 off)
{
	struct ov_guard guard;
	long ret = filter_says(__NR_mmap, prot, -EINVAL);

	if (ret)
		return ret;

	ov_enter(&guard);
	ret = host_mmap_over(addr, len, prot, flags, fd, (u64)off);
	dev_reap();
	ov_leave(&guard);
	return ret;
}

void *ov_mmap(void *addr, u64 len, int prot, int flags, int fd, s64 off)
{
	long ret = 0;

	if (fd >= 0 && !(flags & MAP_ANONYMOUS) && ov_fd_peek(fd) && map_object(addr, len, prot, flags, fd, off, &ret))
		return (void *)ov_ret(ret);
	if (fd >= 0 && host_fd_hidden(fd) && !(flags & MAP_ANONYMOUS))
		return (void *)ov_ret(-EBADF);
	if ((flags & MAP_FIXED) && !(flags & MAP_FIXED_NOREPLACE) && host_view_overlaps(addr, len))
		return (void *)ov_ret(map_over(addr, len, prot, flags, fd, off));
	return (void *)ov_ret(ov_raw(__NR_mmap, addr, len, prot, flags, fd, off));
}

int ov_munmap(void *addr, u64 len)
{
	struct ov_guard guard;
	long ret;

	if (!host_view_overlaps(addr, len))
		return (int)ov_ret(ov_raw(__NR_munmap, addr, len));
	ret = filter_says(__NR_munmap, 0, -EINVAL);
	if (ret)
		return (int)ov_ret(ret);
	ov_enter(&guard);
	ret = host_munmap(addr, len);
	dev_reap();
	ov_leave(&guard);
	return (int)ov_ret(ret);
}

void *ov_mremap(void *old, u64 old_len, u64 new_len, int flags, void *new_addr)
{
	struct host_piece piece;
	struct ov_guard guard;
	bool has_file;
	long ret;

	if (!host_view_overlaps(old, old_len ? old_len : 1) &&
	    !((flags & MREMAP_FIXED) && host_view_overlaps(new_addr, new_len)))
		return (void *)ov_ret(ov_raw(__NR_mremap, old, old_len, new_len, flags, new_addr));
	ov_enter(&guard);
	/* The new view is made from the states: no conversion, of any process, may be under way. */
	has_file = host_view_next(old, (char *)old + (old_len ? old_len : 1), &piece);
	if (has_file)
		host_file_lock(piece.file);
	ret = host_mremap(old, old_len, new_len, flags, new_addr);
	if (has_file)
		host_file_unlock(piece.file);
	dev_reap();
	ov_leave(&guard);
	return (void *)ov_ret(ret);
}

static long protect(void *addr, u64 len, int prot, int pkey)
{
	struct ov_guard guard;
	long ret = filter_says(__NR_mprotect, prot, 0);

	if (ret)
		return ret;

	ov_enter(&guard);
	ret = host_mprotect(addr, len, prot, pkey);
	ov_leave(&guard);
	return ret;
}

int ov_mprotect(void *addr, u64 len, int prot)
{
	if (!host_view_overlaps(addr, len))
		return (int)ov_ret(ov_raw(__NR_mprotect, addr, len, prot));
	return (int)ov_ret(protect(addr, len, prot, -1));
}

int ov_pkey_mprotect(void *addr, u64 len, int prot, int pkey)
{
	if (!host_view_overlaps(addr, len))
		return (int)ov_ret(ov_raw(__NR_pkey_mprotect, addr, len, prot, pkey));
	return (int)ov_ret(protect(addr, len, prot, pkey));
}

static long advise(void *addr, u64 len, int advice)
{
	struct core_err err = { .rule = RULE_NONE };
	struct ov_guard guard;
	long ret;

	if (!host_view_overlaps(addr, len))
		return ov_raw(__NR_madvise, addr, len, advice);
	ret = filter_says(__NR_madvise, 0, 0);
	if (ret)
		return ret;
	ov_enter(&guard);
	ret = dev_madvise(addr, len, advice, &err);
	if (ret < 0)
		ov_report_refusal("madvise", &err);
	ov_leave(&guard);
	return ret;
}

int ov_madvise(void *addr, u64 len, int advice)
{
	return (int)ov_ret(advise(addr, len, advice));
}

/* Returns the error number; POSIX_MADV_DONTNEED must not discard and is nothing in every libc. */
int ov_posix_madvise(void *addr, u64 len, int advice)
{
	return advice == MADV_DONTNEED ? 0 : (int)-advise(addr, len, advice);
}

static long lock_range(void *addr, u64 len, unsigned flags, bool lock)
{
	struct ov_guard guard;
	long ret;

	ov_enter(&guard);
	ret = host_mlock(addr, len, flags, lock);
	ov_leave(&guard);
	return ret;
}

int ov_mlock(void *addr, u64 len)
{
	if (!host_view_overlaps(addr, len))
		return (int)ov_ret(ov_raw(__NR_mlock, addr, len));
	return (int)ov_ret(lock_range(addr, len, 0, true));
}

int ov_mlock2(void *addr, u64 len, unsigned flags)
{
	if (!host_view_overlaps(addr, len))
		return (int)ov_ret(ov_raw(__NR_mlock2, addr, len, flags));
	return (int)ov_ret(lock_range(addr, len, flags, true));
}

int ov_munlock(void *addr, u64 len)
{
	if (!host_view_overlaps(addr, len))
		return (int)ov_ret(ov_raw(__NR_munlock, addr, len));
	return (int)ov_ret(lock_range(addr, len, 0, false));
}

/* A guest_memfd has no fsync: MS_SYNC finds none once the generic checks are passed. */
int ov_msync(void *addr, u64 len, int flags)
{
	struct host_piece piece;
	long ret = ov_next_call(OV_NEXT_msync, __NR_msync, (long)addr, (long)len, flags, 0, 0, 0);

	if (ret == 0 && (flags & MS_SYNC) && host_view_overlaps(addr, len) &&
	    host_view_next(addr, (char *)addr + len, &piece))
		ret = core_fileop_result(dev_sys()->profile, CORE_FILEOP_MSYNC_SYNC);
	return (int)ov_ret(ret);
}
