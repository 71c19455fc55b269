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

static int note_locked(u64 start, u64 end, bool lock)
{
	int ret = table_split(start);

	if (!ret)
		ret = table_split(end);
	for (u64 at = table_find(start); !ret && at < host_table.count && host_table.views[at].start < end; at++) {
		struct host_view *v = host_table.views + at;

		if (!lock) {
			table_set(v, v->prot, v->flags & ~(u32)VIEW_LOCKED);
			continue;
		}
		if (!is_locked(v->start))
			continue;
		table_set(v, v->prot, v->flags | VIEW_LOCKED);
		/* Guard markers cannot be installed in locked memory. */
		if (host_engine != &host_engine_dp)
			rt_syscall_raw(__NR_munlock, (long)v->start, (long)(v->end - v->start), 0, 0, 0, 0);
	}
	table_merge(end);
	table_merge(start);
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

/* Every view is locked or not as the kernel has it; what this cut before is one again. */
static long note_all(bool lock)
{
	long ret = note_locked(0, ~RT_PAGE_MASK, lock);

	for (u64 at = host_table.count; at-- > 1;)
		table_merge(host_table.views[at].start);
	return ret;
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
