// SPDX-License-Identifier: MIT
/*
 * host/mremap.c - mremap(2) over views
 *
 * An enforced VMA is never moved, which would lose its registration or its markers: a
 * new view is made and the old one removed, in the order in which the kernel would fail.
 * The order is that of 6.17 and later: nothing goes before all that can be checked is.
 * (No earlier kernel has mappings of guest_memfd.)
 */
#include <linux/mman.h>

#include "host/engine.h"
#include "host/peer.h"
#include "uapi/mm.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define TASK_END (1ULL << 47)
#define PLACED	 (MREMAP_FIXED | MREMAP_DONTUNMAP) /* a new place, whatever the size */

/* The view that holds [start, start + len), or NULL: what the kernel calls one VMA. */
static struct host_view *view_holding(u64 start, u64 len)
{
	u64 at = table_find(start);
	struct host_view *v = host_table.views + at;

	if (at == host_table.count || v->start > start || rt_add_wraps(start, len) || start + len > table_run_end(at))
		return NULL;
	return v;
}

/* More of the file behind the view's end, if there is room. */
static long grow_in_place(const struct host_view *v, u64 extra)
{
	struct host_view copy = *v;
	long ret;

	copy.end = table_run_end(table_find(v->start));
	ret = view_map_locked(copy.file, copy.end, extra, copy.prot, MAP_FIXED_NOREPLACE, copy.off + (copy.end - copy.start),
			      copy.flags);
	if (!rt_is_err(ret) && (u64)ret != copy.end) {
		view_unmap_locked((u64)ret, extra); /* a kernel without NOREPLACE */
		return -EEXIST;
	}
	return rt_is_err(ret) ? ret : 0;
}

/*
 * What MREMAP_DONTUNMAP leaves behind: its page table entries have gone, and guards with them.  The kernel forgets that
 * it is locked, and does so for all of the VMA, however little of it has moved; nor does it join it with its neighbours
 * then, although it could.
 */
static long leave_behind(u64 start, u64 end)
{
	const u64 from = table_run_start(table_find(start)), to = table_run_end(table_find(start));
	long ret = 0;

	for (u64 at = table_find(from); at < host_table.count && host_table.views[at].start < to; at++) {
		struct host_view *v = host_table.views + at;

		if (!(v->flags & VIEW_LOCKED))
			continue;
		rt_syscall_raw(__NR_munlock, (long)v->start, (long)(v->end - v->start), 0, 0, 0, 0);
		table_set(v, v->prot, v->flags & ~(u32)VIEW_LOCKED);
	}
	if (!host_caps()->guard)
		return 0;
	while (start < end && !ret) {
		const u64 first = start;

		start = rt_min(end, host_table.views[table_find(start)].end);
		ret = table_cut(first, start);
		if (!ret)
			ret = guard_change(host_table.views + table_find(first), first, start, false);
		if (start < to)
			table_merge(start);
		if (first > from)
			table_merge(first);
	}
	return ret;
}

static long move_view(u64 old, u64 old_len, u64 new_len, int flags, u64 new_addr)
{
	const struct host_view *v = view_holding(old, old_len ? old_len : RT_PAGE_SIZE);
	struct host_view copy;
	long ret, error = 0;

	copy = *v;
	ret = view_map_locked(copy.file, flags & PLACED ? new_addr : 0, new_len, copy.prot,
			      flags & MREMAP_FIXED ? MAP_FIXED : 0, copy.off + (old - copy.start), copy.flags);
	if (rt_is_err(ret))
		return ret;
	guard_copy(old, (u64)ret, rt_min(old_len, new_len));
	guard_reinstall(host_table.views + table_find((u64)ret), view_pages(host_table.views + table_find((u64)ret)));
	if (flags & MREMAP_DONTUNMAP)
		error = leave_behind(old, old + old_len);
	else if (old_len)
		error = view_unmap_locked(old, old_len);
	if (error) {
		view_unmap_locked((u64)ret, new_len);
		return error;
	}
	return ret;
}

/* What begins outside of views: the kernel moves it, over a view or from before one. */
static long remap_foreign(u64 old, u64 old_len, u64 new_len, int flags, u64 new_addr)
{
	u8 resident;
	long ret = 0;

	if (rt_syscall(__NR_mincore, old, RT_PAGE_SIZE, &resident) == -ENOMEM)
		return -EFAULT;
	if (flags & MREMAP_FIXED)
		ret = view_unmap_locked(new_addr, new_len);
	if (!ret && old_len > new_len) {
		ret = view_unmap_locked(old + new_len, old_len - new_len);
		old_len = new_len;
	}
	return ret ? ret : rt_syscall(__NR_mremap, old, old_len, new_len, flags, new_addr);
}

static long remap_locked(u64 old, u64 old_len, u64 new_len, int flags, u64 new_addr)
{
	const u64 kept = rt_min(old_len, new_len);
	const struct host_view *v;
	long ret = table_join(old, rt_add_wraps(old, old_len) ? old : old + old_len);

	if (ret)
		return ret;
	if (!view_holding(old, 1))
		return remap_foreign(old, old_len, new_len, flags, new_addr);
	if (table_sealed(old, old + 1))
		return -EPERM;
	/* What shrinks may end anywhere: only what is left must be of one mapping, and only when it moves. */
	if ((new_len > old_len || (flags & PLACED)) && !view_holding(old, kept ? kept : 1))
		return -EFAULT;
	if (flags & MREMAP_FIXED)
		ret = view_unmap_locked(new_addr, new_len);
	if (!ret && old_len > new_len)
		ret = view_unmap_locked(old + new_len, old_len - new_len);
	if (ret)
		return ret;
	/* What made room may have taken the very mapping that was to be doubled. */
	v = view_holding(old, 1);
	if (!v)
		return -EFAULT;
	if (flags & PLACED)
		return move_view(old, kept, new_len, flags, new_addr);
	if (new_len <= old_len)
		return (long)old;
	if (old + old_len == table_run_end(table_find(old)) && old_len) {
		ret = grow_in_place(v, new_len - old_len);
		if (ret != -EEXIST)
			return ret ? ret : (long)old;
	}
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	return move_view(old, old_len, new_len, flags, new_addr);
}

int host_mremap_check(u64 old, u64 old_len, u64 new_len, int flags, u64 new_addr)
{
	if (flags & ~(MREMAP_MAYMOVE | PLACED))
		return -EINVAL;
	if ((flags & PLACED) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if ((flags & MREMAP_DONTUNMAP) && old_len != new_len)
		return -EINVAL;
	if (!rt_page_aligned(old) || !new_len || new_len > TASK_END)
		return -EINVAL;
	/* Not FIXED it is no more than a hint, and must be right all the same. */
	if (!(flags & PLACED))
		return 0;
	if (!rt_page_aligned(new_addr) || new_addr > TASK_END - new_len)
		return -EINVAL;
	return old < new_addr + new_len && new_addr < old + old_len ? -EINVAL : 0;
}

long host_mremap(void *old, u64 old_len, u64 new_len, int flags, void *new_addr)
{
	u64 from = (u64)old, to = (u64)new_addr, old_size = rt_align_up(old_len, RT_PAGE_SIZE);
	u64 new_size = rt_align_up(new_len, RT_PAGE_SIZE);
	const struct host_view *grown, *v;
	int advice = 0;
	long ret = host_mremap_check(from, old_size, new_size, flags, to);

	if (ret)
		return ret;
	table_lock();
	ret = remap_locked(from, old_size, new_size, flags, to);
	v = rt_is_err(ret) ? NULL : view_holding((u64)ret, 1);
	if (v)
		host_poison_deny(v->file, (struct rt_pages){ 0, v->file->size >> RT_PAGE_SHIFT });
	grown = new_size > old_size && !rt_is_err(ret) ? view_holding((u64)ret + old_size, new_size - old_size) : NULL;
	if (grown && (grown->flags & VIEW_LOCKED) && grown->prot)
		advice = grown->prot & PROT_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	table_unlock();
	/* Locked memory that has grown is populated as far as that goes. */
	if (advice)
		host_madvise_populate((void *)((u64)ret + old_size), new_size - old_size, advice);
	return ret;
}
