// SPDX-License-Identifier: MIT
/*
 * host/protect.c - mprotect(2) over views, the kernel's, piece by piece; and mseal(2)
 */
#include <linux/mman.h>

#include "host/engine.h"
#include "uapi/mm.h"

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
	/* Where nothing changes the kernel cuts nothing and joins nothing. */
	v = host_table.views + table_find(start);
	if (v->prot == prot && !(v->flags & VIEW_BROKEN))
		return protect(start, end - start, prot, pkey);
	ret = table_cut(start, end);
	if (ret)
		return ret;
	v = host_table.views + table_find(start);
	ret = v->flags & VIEW_BROKEN ? -ENOMEM : protect(start, end - start, prot, pkey);
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
		ret = table_cut(start, end);
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
