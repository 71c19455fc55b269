// SPDX-License-Identifier: MIT
/*
 * host/lock.c - locked memory: mlock(2) and mlockall(2) over views
 *
 * What the program locked is kept in the table, since engines other than "dp" have to unlock what they enforce.
 */
#include <linux/mman.h>

#include "host/engine.h"
#include "uapi/mm.h"

/* mlockall(2) with MCL_FUTURE is in force: its flags. */
static _Atomic int future;

/* Whether the kernel regards the page as mlocked: MADV_COLD does nothing, and not even that there. */
static bool is_locked(u64 addr)
{
	return rt_syscall_raw(__NR_madvise, (long)addr, (long)RT_PAGE_SIZE, MADV_COLD, 0, 0, 0) == -EINVAL;
}

/* [start, end) lies within one view. */
static int set_locked(u64 start, u64 end, bool lock)
{
	struct host_view *v = host_table.views + table_find(start);
	u32 flags = lock ? v->flags | VIEW_LOCKED : v->flags & ~(u32)VIEW_LOCKED;
	int ret;

	if (lock && !is_locked(start))
		return 0;
	if (flags != v->flags) {
		ret = table_cut(start, end);
		if (ret)
			return ret;
		v = host_table.views + table_find(start);
		table_set(v, v->prot, flags);
		table_merge(end);
		table_merge(start);
	}
	/* Guard markers cannot be installed in locked memory. */
	if (lock && host_engine != &host_engine_dp)
		rt_syscall_raw(__NR_munlock, (long)start, (long)(end - start), 0, 0, 0, 0);
	return 0;
}

static int note_locked(u64 start, u64 end, bool lock)
{
	int ret = 0;

	while (start < end && !ret) {
		u64 at = table_find(start), to;

		if (at == host_table.count || host_table.views[at].start >= end)
			break;
		to = rt_min(end, host_table.views[at].end);
		ret = set_locked(rt_max(start, host_table.views[at].start), to, lock);
		start = to;
	}
	return ret;
}

long host_mlock(void *addr, u64 len, unsigned flags, bool lock)
{
	u64 start = rt_align_down((u64)addr, RT_PAGE_SIZE), end = rt_align_up((u64)addr + len, RT_PAGE_SIZE);
	long ret, noted;

	table_lock();
	if (!lock)
		ret = rt_syscall(__NR_munlock, addr, len);
	else if (flags)
		ret = rt_syscall(__NR_mlock2, addr, len, flags);
	else
		ret = rt_syscall(__NR_mlock, addr, len);
	/* A failed mlock(2) leaves locked what it could not populate, munlock(2) what lies behind a hole. */
	if (ret == -ENOMEM && !lock && end > start)
		end = mapped_until(start, end);
	noted = end > start ? note_locked(start, end, lock) : 0;
	table_unlock();
	if (ret == -EHWPOISON || ret == -EFAULT)
		return -ENOMEM;
	return ret ? ret : noted;
}

/* Every view is locked or not as the kernel has it. */
static long note_all(bool lock)
{
	return note_locked(0, ~RT_PAGE_MASK, lock);
}

long host_mlockall(int flags)
{
	long ret;

	table_lock();
	ret = rt_syscall(__NR_mlockall, flags);
	if (!ret)
		future = flags & MCL_FUTURE ? flags : 0;
	if (!ret && (flags & MCL_CURRENT))
		ret = note_all(true);
	table_unlock();
	return ret;
}

long host_munlockall(void)
{
	long ret;

	table_lock();
	ret = rt_syscall(__NR_munlockall);
	if (!ret) {
		future = 0;
		ret = note_all(false);
	}
	table_unlock();
	return ret;
}

void host_lock_new(void *addr, u64 len, bool lock)
{
	if (lock || future)
		host_mlock(addr, len, !lock && (future & MCL_ONFAULT) ? MLOCK_ONFAULT : 0, true);
}

void host_lock_forked(void)
{
	future = 0;
}
