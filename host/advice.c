// SPDX-License-Identifier: MIT
/*
 * host/advice.c - madvise(2) and mincore(2) over views
 *
 * Ranges may hold views, other mappings and holes in any order; they are walked
 * in address order, as the kernel walks its VMAs, and what lies outside views is given to
 * the kernel as it is.  As there, madvise goes on after a hole and then answers ENOMEM.
 */
#include <linux/mman.h>

#include "host/engine.h"
#include "host/peer.h"
#include "rt/user.h"
#include "uapi/mm.h"

typedef int (*view_op)(struct host_view *v, u64 start, u64 end, int advice);

/* With the table lock held. */
static long walk(u64 start, u64 end, int advice, view_op op)
{
	long ret = 0, hole = 0;

	while (start < end) {
		u64 at = table_find(start), to = end;
		struct host_view *v = host_table.views + at;

		if (at < host_table.count && v->start < end) {
			if (v->start <= start) {
				to = rt_min(end, v->end);
				ret = op(v, start, to, advice);
				start = to;
				if (ret)
					return ret;
				continue;
			}
			to = v->start;
		}
		ret = rt_madvise((void *)start, to - start, advice);
		if (ret == -ENOMEM)
			hole = ret;
		else if (ret)
			return ret;
		start = to;
	}
	return hole;
}

static long advise(void *addr, u64 len, int advice, view_op op)
{
	u64 start = (u64)addr, length = rt_align_up(len, RT_PAGE_SIZE);
	long ret;

	if (!rt_page_aligned(start) || (len && !length) || rt_add_wraps(start, length))
		return -EINVAL;
	table_lock();
	ret = walk(start, start + length, advice, op);
	table_unlock();
	return ret;
}

static struct rt_pages pages_at(const struct host_view *v, u64 start, u64 end)
{
	struct rt_pages pages = { (v->off + (start - v->start)) >> RT_PAGE_SHIFT, (end - start) >> RT_PAGE_SHIFT };

	return pages_and(pages, view_pages(v));
}

/* Page table entries go, contents stay; markers of private pages must too (HOST-3). */
static int drop(struct host_view *v, u64 start, u64 end, int advice)
{
	struct rt_pages pages = pages_at(v, start, end), run;

	if ((v->flags & VIEW_LOCKED) && advice == MADV_DONTNEED)
		return -EINVAL;
	for (run = shared_run(v, pages); run.count; run = shared_run(v, pages_after(pages, run))) {
		/* What a conversion elsewhere counts on being denied has no entries but markers. */
		if (host_transition_bars(v->file->control, run))
			run.count = 1;
		if (!host_transition_bars(v->file->control, run))
			host_zap(view_addr(v, run.first), run.count << RT_PAGE_SHIFT);
	}
	host_poison_deny(v->file, pages);
	return 0;
}

long host_madvise_drop(void *addr, u64 len, int advice)
{
	return advise(addr, len, advice, drop);
}

static int guard(struct host_view *v, u64 start, u64 end, int advice)
{
	return guard_change(v, start, end, advice == MADV_GUARD_INSTALL);
}

long host_madvise_guard(void *addr, u64 len, int advice)
{
	return advise(addr, len, advice, guard);
}

/* Advice that stays with a mapping: where it differs, the kernel has another VMA, which mremap(2) tells. */
static u32 advised(u32 flags, int advice)
{
	switch (advice) {
	case MADV_NORMAL: return flags & ~(u32)(VIEW_RANDOM | VIEW_SEQUENTIAL);
	case MADV_RANDOM: return (flags & ~(u32)VIEW_SEQUENTIAL) | VIEW_RANDOM;
	case MADV_SEQUENTIAL: return (flags & ~(u32)VIEW_RANDOM) | VIEW_SEQUENTIAL;
	case MADV_HUGEPAGE: return (flags & ~(u32)VIEW_NOHUGE) | VIEW_HUGE;
	case MADV_NOHUGEPAGE: return (flags & ~(u32)VIEW_HUGE) | VIEW_NOHUGE;
	case MADV_DONTDUMP: return flags | VIEW_DONTDUMP;
	case MADV_DODUMP: return flags & ~(u32)VIEW_DONTDUMP;
	case MADV_DONTFORK: return flags | VIEW_DONTFORK;
	case MADV_DOFORK: return flags & ~(u32)VIEW_DONTFORK;
	default: return flags;
	}
}

static int pass(struct host_view *v, u64 start, u64 end, int advice)
{
	const u32 flags = advised(v->flags, advice);
	int ret = 0;

	if ((advice == MADV_COLD || advice == MADV_PAGEOUT) && (v->flags & VIEW_LOCKED))
		return -EINVAL;
	if (flags != v->flags) {
		ret = table_cut(start, end);
		if (ret)
			return ret;
		v = host_table.views + table_find(start);
	}
	/* Which views a child maps anew is not the kernel's affair: it lets it inherit none. */
	if (advice == MADV_PAGEOUT)
		advice = MADV_COLD; /* Pages of guest_memfd cannot be reclaimed: what is left of the advice are its refusals. */
	if (advice != MADV_DONTFORK && advice != MADV_DOFORK)
		ret = (int)rt_madvise((void *)start, end - start, advice);
	/* Where nothing changes the kernel does not join what could be joined, either. */
	if (flags == v->flags)
		return ret;
	if (!ret)
		table_set(v, v->prot, flags);
	table_merge(end);
	table_merge(start);
	return ret;
}

long host_madvise_pass(void *addr, u64 len, int advice)
{
	return advise(addr, len, advice, pass);
}

long host_madvise_populate(void *addr, u64 len, int advice)
{
	long ret = rt_madvise(addr, len, advice);

	if (ret != -EFAULT && ret != -EHWPOISON)
		return ret;
	/* Perhaps a conversion was under way, or shared pages are served on demand only. */
	host_fault_fixup(addr, len);
	table_lock();
	ret = rt_madvise(addr, len, advice);
	table_unlock();
	return ret == -EHWPOISON ? -EFAULT : ret;
}

/* The end of what is mapped from start on without a hole: MS_ASYNC stops there and does nothing else. */
u64 mapped_until(u64 start, u64 end)
{
	u64 good = start, bad = end;

	if (rt_syscall_raw(__NR_msync, (long)start, (long)(end - start), MS_ASYNC, 0, 0, 0) != -ENOMEM)
		return end;
	while (bad - good > RT_PAGE_SIZE) {
		u64 middle = rt_align_down(good + (bad - good) / 2, RT_PAGE_SIZE);

		if (rt_syscall_raw(__NR_msync, (long)good, (long)(middle - good), MS_ASYNC, 0, 0, 0) == -ENOMEM)
			bad = middle;
		else
			good = middle;
	}
	return good;
}

u64 host_mapped(const void *addr, u64 len)
{
	u64 start = (u64)addr, end = start + len, at;

	if (rt_add_wraps(start, len))
		return 0;
	table_lock();
	at = table_find(start);
	if (at < host_table.count && host_table.views[at].start <= start)
		end = rt_min(end, table_run_end(at));
	else
		end = mapped_until(start, at < host_table.count ? rt_min(end, host_table.views[at].start) : end);
	table_unlock();
	return end - start;
}

#define RESIDENCE_CHUNK 1024 /* pages asked at once */

/* Which pages of the backing have been used, by a mapping that nobody touches: 0 or -errno. */
static int residence(const struct host_file *file, u64 off, u64 pages, u8 *vec)
{
	long at = rt_mmap(0, pages << RT_PAGE_SHIFT, PROT_NONE, MAP_SHARED, file->backing, off), ret;

	if (rt_is_err(at))
		return (int)at;
	ret = rt_syscall(__NR_mincore, at, pages << RT_PAGE_SHIFT, vec);
	rt_munmap((void *)at, pages << RT_PAGE_SHIFT);
	return (int)ret;
}

/* What the kernel says of denied pages is about what denies them; vec is the program's, and ends with the file. */
static int correct(const struct host_view *v, u64 start, u64 end, u64 vec)
{
	struct rt_pages pages = pages_at(v, start, end);

	while (pages.count) {
		u64 count = rt_min(pages.count, RESIDENCE_CHUNK), index = (view_addr(v, pages.first) - start) >> RT_PAGE_SHIFT;
		u8 bytes[RESIDENCE_CHUNK];
		int ret = residence(v->file, pages.first << RT_PAGE_SHIFT, count, bytes);

		if (!ret)
			ret = rt_copy_out(vec + index, bytes, count);
		if (ret)
			return ret;
		pages.first += count;
		pages.count -= count;
	}
	return 0;
}

long host_mincore(void *addr, u64 len, u8 *vec)
{
	u64 start = (u64)addr, end = start + rt_align_up(len, RT_PAGE_SIZE);
	long ret = rt_syscall(__NR_mincore, addr, len, vec);
	int failed = 0;

	/* Engine "dp" denies by markers in mappings of the backing itself. */
	if ((ret && ret != -ENOMEM) || end <= start || host_engine == &host_engine_dp)
		return ret;
	table_lock();
	/* Before a hole the kernel has answered. */
	if (ret)
		end = mapped_until(start, end);
	for (u64 at = table_find(start); at < host_table.count && host_table.views[at].start < end && !failed; at++) {
		const struct host_view *v = host_table.views + at;
		u64 from = rt_max(start, v->start);

		failed = correct(v, from, rt_min(end, v->end), (u64)vec + ((from - start) >> RT_PAGE_SHIFT));
	}
	table_unlock();
	return failed ? failed : ret;
}
