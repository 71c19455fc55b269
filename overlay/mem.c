// SPDX-License-Identifier: MIT
/*
 * overlay/mem.c - mappings: mmap(2) of a guest_memfd, and what is done to ranges with views in them
 */
#include <linux/ipc.h>
#include <linux/mman.h>
#include <linux/shm.h>

#include "device/vcpu.h"
#include "host/fd.h"
#include "overlay/overlay.h"
#include "uapi/mm.h"

/* The pages are the descriptor's own; of the dirty ring no private copy may be made, nor code. */
static long map_vcpu(struct dev_vcpu *v, void *addr, u64 len, int prot, int flags, int fd, s64 off)
{
	u64 first = (u64)off >> RT_PAGE_SHIFT, pages = rt_align_up(len, RT_PAGE_SIZE) >> RT_PAGE_SHIFT;
	bool ring = first + pages > KVM_DIRTY_LOG_PAGE_OFFSET;
	long ret;

	if ((prot & PROT_EXEC) && dev_sys()->profile->noexec_fs)
		return -EPERM;
	if (ring && ((prot & PROT_EXEC) || (flags & MAP_TYPE) == MAP_PRIVATE))
		return -EINVAL;
	if ((flags & MAP_FIXED) && !(flags & MAP_FIXED_NOREPLACE) && host_view_overlaps(addr, len))
		ret = host_mmap_over(addr, len, prot, flags, fd, (u64)off);
	else
		ret = ov_raw(__NR_mmap, addr, len, prot, flags, fd, off);
	/* A ring that stays empty would be worse than none. */
	if (!rt_is_err(ret) && (flags & MAP_TYPE) != MAP_PRIVATE && dev_vcpu_show_ring(v, (void *)ret, first, pages, prot)) {
		rt_munmap((void *)ret, len);
		return -ENOMEM;
	}
	return ret;
}

/* Take the guest_memfd path when fd is one; false when the kernel shall decide. */
static bool map_object(void *addr, u64 len, int prot, int flags, int fd, s64 off, long *ret)
{
	struct core_err err = { .rule = RULE_NONE };
	struct dev_object *obj;
	struct ov_guard guard;

	ov_enter_hot(&guard);
	obj = ov_fd_get(fd);
	*ret = ov_filter_says(-EINVAL, __NR_mmap, addr, 0, prot, flags, fd, off);
	if (*ret)
		; /* forbidden */
	else if (obj && obj->kind == DEV_GMEM)
		*ret = dev_gmem_mmap((struct dev_gmem *)obj, addr, len, prot, flags, off, &err);
	else if (obj && obj->kind == DEV_VCPU)
		*ret = map_vcpu(dev_to_vcpu(obj), addr, len, prot, flags, fd, off);
	else if (obj)
		*ret = (prot & PROT_EXEC) && obj->kind == DEV_VM && dev_sys()->profile->noexec_fs ? -EPERM : -ENODEV;
	if (obj)
		dev_put(obj);
	/* It may have been laid over the last view of another file. */
	if (flags & MAP_FIXED)
		dev_reap();
	if (*ret < 0 && rt_is_err(*ret))
		ov_report_refusal("mmap", &err);
	ov_leave(&guard);
	return obj != NULL;
}

static long map_over(void *addr, u64 len, int prot, int flags, int fd, s64 off)
{
	struct ov_guard guard;
	long ret = ov_filter_says(-EINVAL, __NR_mmap, addr, 0, prot, flags, fd, off);

	if (ret)
		return ret;

	ov_enter_hot(&guard);
	ret = host_mmap_over(addr, len, prot, flags, fd, (u64)off);
	dev_reap();
	ov_leave(&guard);
	return ret;
}

/* A descriptor that is not gmem's, unless its number has just been closed and gmem's own stood there for a moment. */
static long map_foreign(void *addr, u64 len, int prot, int flags, int fd, s64 off)
{
	long ret;
	u32 seen;

	for (;;) {
		seen = host_fd_flux();
		ret = ov_raw(__NR_mmap, addr, len, prot, flags, fd, off);
		if (rt_is_err(ret) || !host_fd_flux_since(seen))
			return ret;
		if (!(flags & MAP_FIXED))
			rt_munmap((void *)ret, len);
	}
}

void *ov_mmap(void *addr, u64 len, int prot, int flags, int fd, s64 off)
{
	long ret = 0;

	if (fd >= 0 && !(flags & MAP_ANONYMOUS)) {
		if (host_fd_hidden(fd))
			return (void *)ov_ret(-EBADF);
		if (ov_fd_peek(fd) && map_object(addr, len, prot, flags, fd, off, &ret))
			return (void *)ov_ret(ret);
		/* Mapping the placeholder in an object's place would not be noticed any more: look twice. */
		ret = ov_fd_unknown(fd);
		if (ret < 0 || (ret > 0 && map_object(addr, len, prot, flags, fd, off, &ret)))
			return (void *)ov_ret(ret);
	}
	if ((flags & MAP_FIXED) && !(flags & MAP_FIXED_NOREPLACE) && host_view_overlaps(addr, len))
		return (void *)ov_ret(map_over(addr, len, prot, flags, fd, off));
	if (fd < 0 || (flags & MAP_ANONYMOUS) || !ov_config.active)
		return (void *)ov_ret(ov_raw(__NR_mmap, addr, len, prot, flags, fd, off));
	return (void *)ov_ret(map_foreign(addr, len, prot, flags, fd, off));
}

int ov_munmap(void *addr, u64 len)
{
	struct ov_guard guard;
	long ret;

	if (!host_view_overlaps(addr, len))
		return (int)ov_ret(ov_raw(__NR_munmap, addr, len));
	ret = ov_filter_says(-EINVAL, __NR_munmap, 0, 0);
	if (ret)
		return (int)ov_ret(ret);
	ov_enter_hot(&guard);
	ret = host_munmap(addr, len);
	dev_reap();
	ov_leave(&guard);
	return (int)ov_ret(ret);
}

static bool concerns_views(char *old, u64 old_len, u64 new_len, int flags, char *to)
{
	return host_view_overlaps(old, old_len ? old_len : 1) || ((flags & MREMAP_FIXED) && host_view_overlaps(to, new_len));
}

static long remap_one(char *old, u64 old_len, u64 new_len, int flags, char *to)
{
	struct host_piece piece;
	bool has_file;
	long ret;

	if (!concerns_views(old, old_len, new_len, flags, to))
		return ov_raw(__NR_mremap, old, old_len, new_len, flags, to);
	/* The new view is made from the states: no conversion, of any process, may be under way. */
	has_file = host_view_next(old, old + (old_len ? old_len : 1), &piece);
	ret = has_file ? host_file_lock(piece.file) : 0;
	if (!ret) {
		ret = host_mremap(old, old_len, new_len, flags, to);
		if (has_file)
			host_file_unlock(piece.file);
	}
	return ret;
}

/* To a given place in the same size: mapping by mapping, whatever they are.  Holes stay holes, and leave the place as it is. */
static long move_each(char *old, u64 len, int flags, char *new_addr)
{
	long ret = host_mremap_check((u64)(uintptr_t)old, len, len, flags, (u64)(uintptr_t)new_addr);

	for (u64 at = 0, n; at < len && !rt_is_err(ret); at += n) {
		n = host_mapped(old + at, len - at);
		if (!n && !at)
			return -EFAULT;
		if (n)
			ret = remap_one(old + at, n, n, flags, new_addr + at);
		else
			n = RT_PAGE_SIZE;
	}
	return rt_is_err(ret) ? ret : (long)new_addr;
}

void *ov_mremap(void *old, u64 old_len, u64 new_len, int flags, void *new_addr)
{
	u64 size = rt_align_up(old_len, RT_PAGE_SIZE);
	struct ov_guard guard;
	long ret;

	if (!concerns_views(old, old_len, new_len, flags, new_addr))
		return (void *)ov_ret(ov_raw(__NR_mremap, old, old_len, new_len, flags, new_addr));
	ret = ov_filter_says(-EINVAL, __NR_mremap, 0, 0, 0, flags);
	if (ret)
		return (void *)ov_ret(ret);
	ov_enter_hot(&guard);
	if ((flags & MREMAP_FIXED) && size == rt_align_up(new_len, RT_PAGE_SIZE))
		ret = move_each(old, size, flags, new_addr);
	else
		ret = remap_one(old, old_len, new_len, flags, new_addr);
	dev_reap();
	ov_leave(&guard);
	return (void *)ov_ret(ret);
}

#define SHM_RND_   020000
#define SHM_REMAP_ 040000

/* SHM_REMAP puts a segment in the place of whatever is there. */
void *ov_shmat(int id, const void *addr, int flags)
{
	u64 start = (u64)(uintptr_t)addr;
	struct shmid64_ds segment;
	struct ov_guard guard;
	long ret;

	if (flags & SHM_RND_)
		start = rt_align_down(start, RT_PAGE_SIZE);
	if (!(flags & SHM_REMAP_) || ov_raw(__NR_shmctl, id, IPC_STAT, &segment) < 0 ||
	    !host_view_overlaps((void *)start, segment.shm_segsz))
		return (void *)ov_ret(ov_raw(__NR_shmat, id, addr, flags));
	ov_enter_hot(&guard);
	ret = host_shmat_over(id, (void *)start, flags, segment.shm_segsz);
	dev_reap();
	ov_leave(&guard);
	return (void *)ov_ret(ret);
}

/*
 * remap_file_pages(2) is an mmap(2) of the mapping's own file over part of it,
 * in the kernel since 4.0 as here.
 */
static long remap_pages(char *addr, u64 size, int prot, u64 pgoff, int flags)
{
	char *start = (char *)rt_align_down((u64)(uintptr_t)addr, RT_PAGE_SIZE);
	struct host_piece piece;
	struct ov_guard guard;
	long ret = -EINVAL;

	size &= ~RT_PAGE_MASK;
	if (prot || !size || (u64)(uintptr_t)start + size <= (u64)(uintptr_t)start ||
	    pgoff + (size >> RT_PAGE_SHIFT) < pgoff)
		return -EINVAL;
	ov_enter_hot(&guard);
	if (host_view_next(start, start + size, &piece) && piece.addr == start && piece.len == size) {
		struct core_err err = { .rule = RULE_NONE };

		flags = (flags & MAP_NONBLOCK) | MAP_SHARED | MAP_FIXED | MAP_POPULATE | (piece.locked ? MAP_LOCKED : 0);
		ret = dev_gmem_mmap(piece.file->owner, start, size, piece.prot, flags, (s64)(pgoff << RT_PAGE_SHIFT), &err);
	}
	ov_leave(&guard);
	return rt_is_err(ret) ? ret : 0;
}

int ov_remap_file_pages(void *addr, u64 size, int prot, u64 pgoff, int flags)
{
	if (!host_view_overlaps(addr, size))
		return (int)ov_ret(ov_raw(__NR_remap_file_pages, addr, size, prot, pgoff, flags));
	return (int)ov_ret(remap_pages(addr, size, prot, pgoff, flags));
}

static long protect(void *addr, u64 len, int prot, int pkey)
{
	struct ov_guard guard;
	long ret = ov_filter_says(0, __NR_mprotect, 0, 0, prot);

	if (ret)
		return ret;

	ov_enter_hot(&guard);
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

static long lock_range(void *addr, u64 len, unsigned flags, bool lock)
{
	struct ov_guard guard;
	long ret = ov_filter_says(0, !lock ? __NR_munlock : flags ? __NR_mlock2 : __NR_mlock, 0, 0, flags);

	if (ret)
		return ret;

	ov_enter_hot(&guard);
	ret = host_mlock(addr, len, flags, lock);
	ov_leave(&guard);
	return ret;
}

int ov_mincore(void *addr, u64 len, u8 *vec)
{
	struct ov_guard guard;
	long ret;

	if (!host_view_overlaps(addr, len))
		return (int)ov_ret(ov_raw(__NR_mincore, addr, len, vec));
	ret = ov_filter_says(0, __NR_mincore, 0, 0, 0);
	if (ret)
		return (int)ov_ret(ret);
	ov_enter_hot(&guard);
	ret = host_mincore(addr, len, vec);
	ov_leave(&guard);
	return (int)ov_ret(ret);
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

int ov_mlockall(int flags)
{
	struct ov_guard guard;
	long ret = ov_filter_says(-EINVAL, __NR_mlockall, 0);

	if (!ov_config.active || ret)
		return (int)ov_ret(ret ? ret : ov_raw(__NR_mlockall, flags));
	ov_enter_hot(&guard);
	ret = host_mlockall(flags);
	ov_leave(&guard);
	return (int)ov_ret(ret);
}

int ov_munlockall(void)
{
	struct ov_guard guard;
	/* Nothing harmless could ask a filter: it sees the call itself, once more. */
	long ret = !ov_config.active || ov_filtered ? ov_raw(__NR_munlockall) : 0;

	if (ret || !ov_config.active)
		return (int)ov_ret(ret);
	ov_enter_hot(&guard);
	ret = host_munlockall();
	ov_leave(&guard);
	return (int)ov_ret(ret);
}

int ov_mseal(void *addr, u64 len, u64 flags)
{
	struct ov_guard guard;
	/* Whether there is such a call, its flags and the address are the kernel's to judge, on nothing. */
	long ret = host_view_overlaps(addr, len) && !rt_add_wraps((u64)(uintptr_t)addr, len + RT_PAGE_SIZE) ?
			   ov_raw(GMEM_NR_MSEAL, addr, 0, flags) :
			   ov_raw(GMEM_NR_MSEAL, addr, len, flags);

	if (ret || !host_view_overlaps(addr, len))
		return (int)ov_ret(ret);
	ov_enter_hot(&guard);
	ret = host_mseal(addr, len);
	ov_leave(&guard);
	return (int)ov_ret(ret);
}

static long sync_native(void *addr, u64 len, int flags)
{
	return ov_next_call(OV_NEXT_msync, __NR_msync, (long)addr, (long)len, flags, 0, 0, 0);
}

/* In the kernel's order: mapping by mapping, holes remembered, the first refusal final. */
static long sync_views(char *addr, char *end, int flags)
{
	long ret, unmapped = 0;
	struct host_piece piece;

	while (addr < end && host_view_next(addr, end, &piece)) {
		ret = piece.addr > addr ? sync_native(addr, (u64)(piece.addr - addr), flags) : 0;
		if (ret == -ENOMEM)
			unmapped = ret;
		else if (ret < 0)
			return ret;
		if ((flags & MS_INVALIDATE) && piece.locked)
			return -EBUSY;
		/* A guest_memfd has no fsync operation. */
		ret = flags & MS_SYNC ? core_fileop_result(dev_sys()->profile, CORE_FILEOP_MSYNC_SYNC) : 0;
		if (ret < 0)
			return ret;
		addr = piece.addr + piece.len;
	}
	ret = addr < end ? sync_native(addr, (u64)(end - addr), flags) : 0;
	return ret < 0 ? ret : unmapped;
}

int ov_msync(void *addr, u64 len, int flags)
{
	/* Flags and alignment are looked at first: by the kernel, on nothing. */
	long ret = host_view_overlaps(addr, len) ? sync_native(addr, 0, flags) : 1;

	if (ret == 0)
		ret = sync_views(addr, (char *)addr + rt_align_up(len, RT_PAGE_SIZE), flags);
	else if (ret == 1)
		ret = sync_native(addr, len, flags);
	return (int)ov_ret(ret);
}
