// SPDX-License-Identifier: MIT
/*
 * host/policy.c - mbind(2) over views
 *
 * Of shared memory the kernel keeps the policy with the file, by offset.  A view shows two
 * files, what is shared and what denies, and which of them lies at an address changes with every conversion: so both
 * get the policy, for the pages that are not mapped now as well.
 */
#include <linux/mman.h>

#include "host/engine.h"

static void set_policy(int fd, u64 off, u64 len, u64 mode, u64 mask, u64 bits)
{
	long at = fd < 0 ? fd : rt_mmap(NULL, len, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, off);

	if (rt_is_err(at))
		return;
	/* It was accepted for the view: what fails now is want of memory, and the policy is advice. */
	rt_syscall_raw(__NR_mbind, at, (long)len, (long)mode, (long)mask, (long)bits, 0);
	rt_munmap((void *)at, len);
}

void host_mbind_follow(void *addr, u64 len, u64 mode, u64 mask, u64 bits)
{
	u64 start = (u64)addr, end = start + rt_align_up(len, RT_PAGE_SIZE);

	/* Markers of engine "dp" lie in mappings of the one file. */
	if (host_engine == &host_engine_dp)
		return;
	table_lock();
	for (u64 i = table_find(start); i < host_table.count && host_table.views[i].start < end; i++) {
		const struct host_view *v = host_table.views + i;
		u64 from = rt_max(start, v->start), to = rt_min(end, v->end), off = v->off + (from - v->start);

		set_policy(file_map_fd(v->file, true), off, to - from, mode, mask, bits);
		set_policy(file_map_fd(v->file, false), off, to - from, mode, mask, bits);
	}
	table_unlock();
}
