// SPDX-License-Identifier: MIT
/*
 * host/protect.c - mprotect(2) and mremap(2) over views
 *
 * mprotect is the kernel's, piece by piece.  mremap never moves an enforced VMA, which
 * would lose its registration or its markers: a new view is made and the old
 * one removed, in the order in which the kernel would fail.
 */
#include <linux/mman.h>

#include "host/engine.h"
#include "host/peer.h"
#include "uapi/mm.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define TASK_END (1ULL << 47)

static long protect(u64 start, u64 len, int prot, int pkey)
{
	if (pkey == -1)
		return rt_syscall(__NR_mprotect, start, len, prot);
	return rt_syscall(__NR_pkey_mprotect, start, len, prot, pkey);
}

/* [start, end) lies within one view. */
static long protect_view(u64 start, u64 end, int prot, int pkey)
{
	struct host_view *v;
	long ret;

	if (table_sealed(start, end))
		return -EPERM;
	/* A guest_memfd lies on a file system without execution: such a mapping can never become executable. */
	if (prot & PROT_EXEC)
		return -EACCES;
	ret = table_split(start);
	if (!ret)
		ret = table_split(end);
	if (ret)
		return ret;
	v = host_table.views + table_find(start);
	if (v->flags & VIEW_BROKEN)
		return -ENOMEM;
	ret = protect(start, end - start, prot, pkey);
	if (!ret)
		table_set(v, prot, v->flags);
	table_merge(end);
	table_merge(start);
	return ret;
}

long host_mprotect(void *addr, u64 len, int prot, int pkey)
{
	u64 start = (u64)addr, length = rt_align_up(len, RT_PAGE_SIZE), end;
	const int known = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM;
	long ret = 0;

	/* The kernel's own order of checks, and what it does with odd bits. */
	if (!rt_page_aligned(start) || !length || rt_add_wraps(start, length) || (prot & ~known))
		return protect(start, len, prot, pkey);
	end = start + length;
	table_lock();
	while (start < end && !ret) {
		u64 at = table_find(start), to = end;
		bool inside = at < host_table.count && host_table.views[at].start <= start;

		if (at < host_table.count)
			to = rt_min(end, inside ? host_table.views[at].end : host_table.views[at].start);
		ret = inside ? protect_view(start, to, prot, pkey) : protect(start, to - start, prot, pkey);
		start = to;
	}
	table_unlock();
	return ret;
}

/* The view that holds [start, start + len), or NULL: what the kernel calls one VMA. */
static struct host_view *view_holding(u64 start, u64 len)
{
	u64 at = table_find(start);
	struct host_view *v = host_table.views + at;

	if (at == host_table.count || v->start > start || rt_add_wraps(start, len) || start + len > v->end)
		return NULL;
	return v;
}

/* More of the file behind the view's end, if there is room. */
static long grow_in_place(const struct host_view *v, u64 extra)
{
	struct host_view copy = *v;
	long ret = view_map_locked(copy.file, copy.end, extra, copy.prot, MAP_FIXED_NOREPLACE, copy.off + (copy.end - copy.start),
				   copy.flags);

	if (!rt_is_err(ret) && (u64)ret != copy.end) {
		view_unmap_locked((u64)ret, extra); /* a kernel without NOREPLACE */
		return -EEXIST;
	}
	return rt_is_err(ret) ? ret : 0;
}

/*
 * What MREMAP_DONTUNMAP leaves behind: its page table entries have gone, and guards with them.  The kernel forgets that
 * it is locked, and does so for all of the VMA, however little of it has moved.
 */
static long leave_behind(u64 start, u64 end)
{
	struct host_view *v = view_holding(start, end - start);
	long ret;

	if (v->flags & VIEW_LOCKED) {
		rt_syscall_raw(__NR_munlock, (long)v->start, (long)(v->end - v->start), 0, 0, 0, 0);
		table_set(v, v->prot, v->flags & ~(u32)VIEW_LOCKED);
	}
	ret = table_split(start);
	if (!ret)
		ret = table_split(end);
	if (ret)
		return ret;
	v = host_table.views + table_find(start);
	if (host_caps()->guard)
		ret = guard_change(v, start, end, false);
	table_merge(end);
	table_merge(start);
	return ret;
}

static long move_view(u64 old, u64 old_len, u64 new_len, int flags, u64 new_addr)
{
	const struct host_view *v = view_holding(old, old_len ? old_len : RT_PAGE_SIZE);
	struct host_view copy;
	long ret, error = 0;

	copy = *v;
	ret = view_map_locked(copy.file, flags & MREMAP_FIXED ? new_addr : 0, new_len, copy.prot,
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

/* Only the end of the range goes: whatever it holds, and whatever the beginning is. */
static long shrink(u64 old, u64 old_len, u64 new_len, int flags)
{
	long ret = 0;

	if (!view_holding(old, 1)) {
		ret = rt_syscall(__NR_mremap, old, new_len, new_len, flags);
		if (rt_is_err(ret))
			return ret;
	}
	if (old_len > new_len)
		ret = view_unmap_locked(old + new_len, old_len - new_len);
	return rt_is_err(ret) ? ret : (long)old;
}

static long remap_locked(u64 old, u64 old_len, u64 new_len, int flags, u64 new_addr)
{
	struct host_view *v;
	long ret;

	/* Before anything goes, also for a duplicate. */
	if (view_holding(old, 1) && table_sealed(old, old + 1))
		return -EPERM;
	if (old_len >= new_len && !(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
		return shrink(old, old_len, new_len, flags);
	if (flags & MREMAP_FIXED) {
		/* Before anything goes: where there is nothing to move, the place stays as it is. */
		if (!view_holding(old, 1))
			return -EFAULT;
		ret = view_unmap_locked(new_addr, new_len);
		if (ret)
			return ret;
		if (old_len > new_len) {
			ret = view_unmap_locked(old + new_len, old_len - new_len);
			if (ret)
				return ret;
			old_len = new_len;
		}
	}
	v = view_holding(old, old_len ? old_len : 1);
	if (!v)
		return -EFAULT;
	if (!(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && old + old_len == v->end && old_len) {
		ret = grow_in_place(v, new_len - old_len);
		if (ret != -EEXIST)
			return ret ? ret : (long)old;
	}
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	return move_view(old, old_len, new_len, flags, new_addr);
}

long host_mremap(void *old, u64 old_len, u64 new_len, int flags, void *new_addr)
{
	u64 from = (u64)old, to = (u64)new_addr, old_size = rt_align_up(old_len, RT_PAGE_SIZE);
	u64 new_size = rt_align_up(new_len, RT_PAGE_SIZE);
	const struct host_view *grown, *v;
	int advice = 0;
	u8 resident;
	long ret;

	if (flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP))
		return -EINVAL;
	if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if ((flags & MREMAP_DONTUNMAP) && old_size != new_size)
		return -EINVAL;
	if (!rt_page_aligned(from) || !new_size || new_size > TASK_END)
		return -EINVAL;
	if (flags & MREMAP_FIXED) {
		if (!rt_page_aligned(to) || to > TASK_END - new_size)
			return -EINVAL;
		if (from < to + new_size && to < from + old_size)
			return -EINVAL;
	}
	/* The place may be a view's and what moves there not: the kernel moves it, the table forgets. */
	if (!host_view_overlaps(old, old_size ? old_size : 1)) {
		table_lock();
		if (rt_syscall(__NR_mincore, from, RT_PAGE_SIZE, &resident) == -ENOMEM) {
			table_unlock();
			return -EFAULT;
		}
		ret = flags & MREMAP_FIXED ? view_unmap_locked(to, new_size) : 0;
		if (!ret)
			ret = rt_syscall(__NR_mremap, old, old_len, new_len, flags, new_addr);
		table_unlock();
		return ret;
	}
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

int table_sealed(u64 start, u64 end)
{
	for (u64 at = table_find(start); at < host_table.count && host_table.views[at].start < end; at++)
		if (host_table.views[at].flags & VIEW_SEALED)
			return -EPERM;
	return 0;
}

/* What is not ours gets the kernel's own seal. */
static long seal_foreign(u64 start, u64 end)
{
	return start < end ? rt_syscall(GMEM_NR_MSEAL, start, end - start, 0) : 0;
}

long host_mseal(void *addr, u64 len)
{
	u64 start = (u64)addr, end = start + rt_align_up(len, RT_PAGE_SIZE), done = start;
	long ret = 0;

	table_lock();
	/* Nothing is sealed where anything is missing. */
	if (mapped_until(start, end) != end)
		ret = -ENOMEM;
	if (!ret)
		ret = table_split(start);
	if (!ret)
		ret = table_split(end);
	for (u64 at = table_find(start); !ret && at < host_table.count && host_table.views[at].start < end; at++) {
		struct host_view *v = host_table.views + at;

		ret = seal_foreign(done, v->start);
		if (!ret)
			table_set(v, v->prot, v->flags | VIEW_SEALED);
		done = v->end;
	}
	if (!ret)
		ret = seal_foreign(done, end);
	table_merge(end);
	table_merge(start);
	table_unlock();
	return ret;
}
