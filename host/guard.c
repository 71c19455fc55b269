// SPDX-License-Identifier: MIT
/*
 * host/guard.c - the program's own guard pages (MADV_GUARD_INSTALL) inside views
 *
 * A page may be private and a guard page at once; the guard outlives conversions
 * and is what a touch reports (SIGSEGV, SEGV_MAPERR).  Engines use the page's one marker
 * for "private", so the program's guards are remembered here: a short list of
 * ranges, under the table lock; handlers read it under its sequence count.
 */
#include <linux/mman.h>

#include "host/engine.h"
#include "host/peer.h"
#include "uapi/mm.h"

#define GUARDS_MAX 512

struct guard_range {
	u64 start, end;
};

static struct guard_range guards[GUARDS_MAX];
static _Atomic u32 guards_count, guards_seq;

static void write_bump(void)
{
	__atomic_fetch_add(ATOMIC_U32(guards_seq), 1, __ATOMIC_SEQ_CST);
}

/* Does not touch the markers themselves. */
int guard_forget(u64 start, u64 end)
{
	u32 n = guards_count;
	int ret = 0;

	if (!n)
		return 0;
	write_bump();
	for (u32 i = 0; i < n;) {
		struct guard_range *g = guards + i, old = *g;

		if (old.end <= start || old.start >= end) {
			i++;
		} else if (old.start >= start && old.end <= end) {
			*g = guards[--n];
		} else if (old.start < start && old.end > end) {
			if (n == GUARDS_MAX) {
				ret = -ENOMEM;
				break;
			}
			g->end = start;
			guards[n++] = (struct guard_range){ end, old.end };
			i++;
		} else {
			if (old.start < start)
				g->end = start;
			else
				g->start = end;
			i++;
		}
	}
	guards_count = n;
	write_bump();
	return ret;
}

static int guard_remember(u64 start, u64 end)
{
	int ret = guard_forget(start, end);

	if (ret)
		return ret;
	if (guards_count == GUARDS_MAX)
		return -ENOMEM;
	write_bump();
	guards[guards_count++] = (struct guard_range){ start, end };
	write_bump();
	return 0;
}

SEQUENCE_READER bool guard_covers(u64 addr)
{
	u32 seq, n;
	bool found;

	if (!__atomic_load_n(ATOMIC_U32(guards_count), __ATOMIC_RELAXED))
		return false;
	do {
		seq = __atomic_load_n(ATOMIC_U32(guards_seq), __ATOMIC_ACQUIRE);
		n = __atomic_load_n(ATOMIC_U32(guards_count), __ATOMIC_RELAXED);
		found = false;
		for (u32 i = 0; i < n && !found; i++)
			found = guards[i].start <= addr && addr < guards[i].end;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while ((seq & 1) || __atomic_load_n(ATOMIC_U32(guards_seq), __ATOMIC_RELAXED) != seq);
	return found;
}

/* Shared pages of the range: their marker is the guard's. */
static int guard_apply(struct host_view *v, struct rt_pages pages, int advice)
{
	struct rt_pages run;
	int ret = 0;

	for (run = shared_run(v, pages); run.count && !ret; run = shared_run(v, pages_after(pages, run))) {
		if (advice == MADV_GUARD_REMOVE && host_transition_bars(v->file->control, run))
			run.count = 1;
		/* A marker that denies, for a conversion elsewhere, is no longer the guard's. */
		if (advice != MADV_GUARD_REMOVE || !host_transition_bars(v->file->control, run))
			ret = (int)rt_madvise((void *)view_addr(v, run.first), run.count << RT_PAGE_SHIFT, advice);
	}
	host_poison_deny(v->file, pages);
	return ret;
}

void guard_clear(u64 start, u64 len)
{
	if (guards_count)
		rt_syscall_raw(__NR_madvise, (long)start, (long)len, MADV_GUARD_REMOVE, 0, 0, 0);
}

/* Memory may be locked after guards came into it, but none come into locked memory. */
static void install_anew(u64 from, u64 to)
{
	long len = (long)(to - from);

	if (rt_syscall_raw(__NR_madvise, (long)from, len, MADV_GUARD_INSTALL, 0, 0, 0) != -EINVAL)
		return;
	rt_syscall_raw(__NR_munlock, (long)from, len, 0, 0, 0, 0);
	rt_syscall_raw(__NR_madvise, (long)from, len, MADV_GUARD_INSTALL, 0, 0, 0);
	rt_syscall_raw(__NR_mlock2, (long)from, len, MLOCK_ONFAULT, 0, 0, 0);
}

void guard_reinstall(struct host_view *v, struct rt_pages pages)
{
	u64 start, end;

	if (!guards_count || !pages.count)
		return;
	start = view_addr(v, pages.first);
	end = start + (pages.count << RT_PAGE_SHIFT);
	for (u32 i = 0; i < guards_count; i++) {
		u64 from = rt_max(start, guards[i].start), to = rt_min(end, guards[i].end);

		if (from < to)
			install_anew(from, to);
	}
}

int guard_copy(u64 from, u64 to, u64 len)
{
	u32 n = guards_count;
	int ret = 0;

	for (u32 i = 0; i < n && !ret; i++) {
		u64 start = rt_max(guards[i].start, from), end = rt_min(guards[i].end, from + len);

		if (start < end)
			ret = guard_remember(start - from + to, end - from + to);
	}
	return ret;
}

/* Within one view, by the program. */
int guard_change(struct host_view *v, u64 start, u64 end, bool install)
{
	u64 off = v->off + (start - v->start);
	struct rt_pages pages = { off >> RT_PAGE_SHIFT, (end - start) >> RT_PAGE_SHIFT };
	int ret;

	if (!host_caps()->guard)
		return -EINVAL;
	if (install && (v->flags & VIEW_LOCKED))
		return -EINVAL;
	ret = install ? guard_remember(start, end) : guard_forget(start, end);
	if (ret)
		return ret;
	return guard_apply(v, pages_and(pages, view_pages(v)), install ? MADV_GUARD_INSTALL : MADV_GUARD_REMOVE);
}
