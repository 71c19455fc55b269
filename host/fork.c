// SPDX-License-Identifier: MIT
/*
 * host/fork.c - views across fork(2), and the audit
 */
#include <linux/mman.h>
#include <linux/uio.h>

#include "host/engine.h"
#include "host/peer.h"

void host_fork_prepare(void)
{
	table_lock();
}

void host_fork_parent(void)
{
	table_unlock();
}

static int bring_in_line(struct host_view *v, bool all_open)
{
	int ret = all_open ? 0 : host_engine->settle(v);

	return ret ? ret : host_engine->expose(v);
}

/* Nothing is there, and nothing else gets there, which the program would take for its view. */
static void leave_empty(struct host_view *v)
{
	u64 len = v->end - v->start;
	long ret = rt_mmap((void *)v->start, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (rt_is_err(ret))
		rt_munmap((void *)v->start, len);
}

/* Map the view anew where it was: nothing at all rather than something open. */
static int rebuild(struct host_view *v)
{
	struct rt_pages pages = view_pages(v);
	bool all_open = pages.count && core_store_uniform(&v->file->store, pages, false);
	long ret;

	host_table.vmas -= view_vmas(v);
	region_bits_set(v->open, 0, view_regions(v), all_open);
	v->lazy = 0;
	host_table.vmas += view_vmas(v);
	ret = host_engine->map(v, v->start, MAP_SHARED | MAP_FIXED, all_open);
	ret = rt_is_err(ret) ? ret : bring_in_line(v, all_open);
	if (ret)
		leave_empty(v);
	else
		guard_reinstall(v, pages);
	host_poison_deny(v->file, pages);
	return (int)ret;
}

/* Locks are not inherited; what was given up is tried again. */
static int inherit(struct host_view *v, int attached)
{
	u32 flags = v->flags;

	table_set(v, v->prot, flags & ~(u32)(VIEW_LOCKED | VIEW_BROKEN | VIEW_STALE));
	if (flags & VIEW_DONTFORK)
		return -ENOENT;
	if (!attached)
		return rebuild(v);
	leave_empty(v);
	return attached;
}

/*
 * Enter the child among the file's processes and map its views, with the file lock
 * held throughout: a conversion elsewhere must find all of them or none, and
 * must not change the states that they are made from.
 */
static int inherit_file(struct host_file *file)
{
	int ret = 0, locked = host_file_lock(file), attached = locked;

	/* Without the lock the child has no views of the file: better none than one that a conversion misses. */
	host_peer_forked(file);
	if (!locked) {
		file->control->shared = 1;
		attached = host_peer_attach(file);
	}
	/* The helper may wait for the table lock already; it has nothing to do before the file lock is free. */
	table_lock();
	for (u64 i = 0; i < host_table.count;) {
		struct host_view *v = host_table.views + i;
		bool wanted = !(v->flags & VIEW_DONTFORK);
		int error = v->file == file ? inherit(v, attached) : 0;

		if (!error) {
			i++;
			continue;
		}
		if (wanted)
			ret = error;
		table_remove(v->start, v->end);
	}
	table_unlock();
	if (!locked)
		host_file_unlock(file);
	return ret;
}

/* A view that has not been looked at since fork(2), or NULL. */
static struct host_view *next_stale(void)
{
	for (u64 i = 0; i < host_table.count; i++)
		if (host_table.views[i].flags & VIEW_STALE)
			return host_table.views + i;
	return NULL;
}

/* The places of the views are holes: nothing else must get there, such as a helper's stack. */
static int reserve_places(void)
{
	int ret = 0;

	for (u64 i = 0; i < host_table.count;) {
		struct host_view *v = host_table.views + i;
		u64 len = v->end - v->start;
		long place = (long)v->start;

		if (!(v->flags & VIEW_DONTFORK))
			place = rt_mmap((void *)v->start, len, PROT_NONE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
		if (!rt_is_err(place) && (u64)place != v->start) {
			rt_munmap((void *)place, len); /* a kernel without NOREPLACE */
			place = -EEXIST;
		}
		if (rt_is_err(place)) {
			ret = (int)place;
			table_remove(v->start, v->end);
			continue;
		}
		table_set(v, v->prot, v->flags | VIEW_STALE);
		i++;
	}
	return ret;
}

int host_fork_child(void)
{
	struct host_view *v;
	int ret, error;

	host_table.lock = (struct rt_lock)RT_LOCK_INIT;
	host_table.readers = 0;
	host_lock_forked();
	ret = reserve_places();
	/* What the engine holds, an inherited userfaultfd, acts on the parent's memory. */
	host_engine->fini();
	error = host_engine->init();
	ret = error ? error : ret;
	while ((v = next_stale()) != NULL) {
		error = inherit_file(v->file);
		if (error && !ret)
			ret = error;
	}
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
		return !is_private && !host_poisoned(v->file, page);
	return is_private || host_poisoned(v->file, page) || (host_engine->serve(v, page) && readable(addr));
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

		if (v->file == file && (v->prot & PROT_READ) && !(v->flags & VIEW_BROKEN))
			ok = view_agrees(v, bad_page);
	}
	table_unlock();
	return ok ? 0 : -EUCLEAN;
}
