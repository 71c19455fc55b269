// SPDX-License-Identifier: MIT
/*
 * host/fork.c - views across fork(2), and the audit
 */
#include <linux/mman.h>
#include <linux/uio.h>

#include "host/engine.h"

void host_fork_prepare(void)
{
	table_lock();
}

void host_fork_parent(void)
{
	table_unlock();
}

/* Map the view anew where it was. */
static int rebuild(struct host_view *v)
{
	struct rt_pages pages = view_pages(v);
	bool all_open = pages.count && core_store_uniform(&v->file->store, pages, false);
	long ret;

	host_table.vmas -= view_vmas(v);
	region_bits_set(v->open, 0, view_regions(v), all_open);
	v->lazy = 0;
	host_table.vmas += view_vmas(v);
	table_set(v, v->prot, v->flags & ~(u32)(VIEW_LOCKED | VIEW_BROKEN));
	ret = host_engine->map(v, v->start, MAP_SHARED | MAP_FIXED_NOREPLACE, all_open);
	if (rt_is_err(ret))
		return (int)ret;
	if (!all_open)
		ret = host_engine->settle(v);
	if (!all_open && ret)
		return (int)ret;
	ret = host_engine->expose(v);
	guard_reinstall(v, pages);
	return (int)ret;
}

int host_fork_child(void)
{
	int ret = 0, error;

	host_table.lock = (struct rt_lock)RT_LOCK_INIT;
	host_table.readers = 0;
	table_lock();
	if (host_engine->rebuild_in_child) {
		/* The inherited descriptor acts on the parent's memory. */
		host_engine->fini();
		ret = host_engine->init();
	}
	for (u64 i = 0; i < host_table.count;) {
		struct host_view *v = host_table.views + i;
		bool gone = v->flags & VIEW_DONTFORK;

		error = 0;
		if (!gone && host_engine->rebuild_in_child)
			error = ret ? ret : rebuild(v);
		else
			table_set(v, v->prot, v->flags & ~(u32)VIEW_LOCKED);
		if (error) {
			/* Not there rather than open. */
			rt_munmap((void *)v->start, v->end - v->start);
			ret = error;
		}
		if (gone || error)
			table_remove(v->start, v->end);
		else
			i++;
	}
	table_unlock();
	return ret;
}

/* Whether a system call can read the page: says what a load would, without a signal. */
static bool readable(u64 addr)
{
	char byte;
	struct iovec local = { &byte, 1 }, remote = { (void *)addr, 1 };

	return rt_syscall_raw(__NR_process_vm_readv, rt_getpid(), (long)&local, 1, (long)&remote, 1, 0) == 1;
}

static bool page_agrees(struct host_view *v, u64 page, bool is_private)
{
	u64 addr = view_addr(v, page);

	if (guard_covers(addr))
		return !readable(addr);
	if (readable(addr))
		return !is_private;
	return is_private || (host_engine->serve(v, page) && readable(addr));
}

static bool view_agrees(struct host_view *v, u64 *bad)
{
	const u64 edge = 600; /* pages looked at on both ends of a run: more than a region */
	struct rt_pages pages = view_pages(v);

	for (u64 page = pages.first, end = pages.first + pages.count, run; page < end; page += run) {
		bool is_private;

		run = core_store_run(&v->file->store, page, end - page, &is_private);
		for (u64 i = 0; i < run; i++) {
			if (i == edge && run > 2 * edge)
				i = run - edge;
			*bad = page + i;
			if (!page_agrees(v, *bad, is_private))
				return false;
		}
	}
	return true;
}

int host_audit(struct host_file *file, u64 *bad_page)
{
	bool ok = true;

	table_lock();
	for (u64 i = 0; i < host_table.count && ok; i++) {
		struct host_view *v = host_table.views + i;

		if (v->file == file && v->prot != PROT_NONE && !(v->flags & VIEW_BROKEN))
			ok = view_agrees(v, bad_page);
	}
	table_unlock();
	return ok ? 0 : -EUCLEAN;
}
