// SPDX-License-Identifier: MIT
/*
 * host/engine_eg.c - engine "eg": an empty file denies, guard markers mark
 *
 * THEORY OF OPERATION
 *
 * A closed region maps a sealed, empty memfd: every page is beyond its end, hence SIGBUS
 * (EFAULT for system calls).  An open one maps the backing; MADV_GUARD_INSTALL drops a page
 * and leaves a marker that raises SIGSEGV, SEGV_MAPERR, which host_fault() tells
 * apart from the program's own guards.  There is no userfaultfd, and nothing is lost by
 * close(2) or MADV_DONTNEED.
 *
 * Closing is one mmap(MAP_FIXED): it denies and drops at once.  Opening with
 * markers happens aside: map, mark, then mremap over the closed region, at once again.
 *
 * EG-1  VMAs merge only if they have the same open file description: a file's views
 *	 are mapped from two descriptors that live as long as it has views.
 * EG-2  Guard markers refuse mlocked memory (also by MCL_FUTURE): unlock it and
 *	 go on; that the program locked it is remembered in the view.
 */
#include <linux/mman.h>

#include "host/engine.h"
#include "uapi/mm.h"

static int eg_init(void)
{
	return 0;
}

static void eg_fini(void)
{
}

/*
 * A forked child must not inherit views: a conversion that runs before the child has
 * entered itself among the file's processes would not reach them.  It maps them anew
 * (host/fork.c).  The flag is the VMA's, which has just been replaced.
 */
static void set_dontfork(u64 start, u64 len)
{
	rt_syscall_raw(__NR_madvise, (long)start, (long)len, MADV_DONTFORK, 0, 0, 0);
}

long eg_map(struct host_view *v, u64 addr, int flags, bool all_open)
{
	int fd = file_map_fd(v->file, all_open);

	if (fd < 0)
		return fd;
	return rt_mmap((void *)addr, v->end - v->start, v->prot, flags, fd, v->off);
}

int eg_expose(struct host_view *v)
{
	set_dontfork(v->start, v->end - v->start);
	return 0;
}

int eg_place(struct host_view *v, u64 start, u64 len, bool backing, bool sure)
{
	int fd = file_map_fd(v->file, backing), prot = v->flags & VIEW_BROKEN ? PROT_NONE : v->prot;
	u64 off = v->off + (start - v->start);
	long ret;

	if (fd < 0)
		return fd;
	if (sure)
		ret = rt_syscall_raw(__NR_mmap, (long)start, (long)len, prot, MAP_SHARED | MAP_FIXED, fd, (long)off);
	else
		ret = rt_mmap((void *)start, len, prot, MAP_SHARED | MAP_FIXED, fd, off);
	if (rt_is_err(ret))
		return (int)ret;
	set_dontfork(start, len);
	return 0;
}

static int install(u64 start, u64 len)
{
	long ret = rt_madvise((void *)start, len, MADV_GUARD_INSTALL);

	if (ret != -EINVAL)
		return (int)ret;
	rt_syscall_raw(__NR_munlock, (long)start, (long)len, 0, 0, 0, 0);
	return (int)rt_madvise((void *)start, len, MADV_GUARD_INSTALL);
}

static int eg_open(struct host_view *v, u64 first, u64 count, struct rt_pages allow)
{
	u64 start = region_start(v, first), len = region_start(v, first + count) - start;
	struct rt_pages pages = region_pages(v, first, count), run = private_run(v, pages, allow);
	int fd = file_map_fd(v->file, true), ret = 0;
	long aside, moved;

	if (fd < 0)
		return fd;
	if (!run.count)
		return eg_place(v, start, len, true, false);
	aside = rt_mmap(NULL, len, v->flags & VIEW_BROKEN ? PROT_NONE : v->prot, MAP_SHARED, fd, v->off + (start - v->start));
	if (rt_is_err(aside))
		return (int)aside;
	for (; run.count && !ret; run = private_run(v, pages_after(pages, run), allow))
		ret = install((u64)aside + (view_addr(v, run.first) - start), run.count << RT_PAGE_SHIFT);
	if (!ret) {
		set_dontfork((u64)aside, len);
		moved = rt_syscall(__NR_mremap, aside, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, start);
		ret = rt_is_err(moved) ? (int)moved : 0;
	}
	if (ret)
		rt_munmap((void *)aside, len);
	return ret;
}

static int eg_close(struct host_view *v, u64 first, u64 count, bool undo)
{
	u64 start = region_start(v, first);

	return eg_place(v, start, region_start(v, first + count) - start, false, undo);
}

static int eg_mark(struct host_view *v, struct rt_pages pages)
{
	return install(view_addr(v, pages.first), pages.count << RT_PAGE_SHIFT);
}

static void eg_clear(struct host_view *v, struct rt_pages pages)
{
	rt_syscall_raw(__NR_madvise, (long)view_addr(v, pages.first), (long)(pages.count << RT_PAGE_SHIFT),
		       MADV_GUARD_REMOVE, 0, 0, 0);
}

static bool eg_serve(struct host_view *v, u64 page)
{
	return false;
}

const struct host_engine host_engine_eg = {
	.name = "eg",
	.init = eg_init,
	.fini = eg_fini,
	.map = eg_map,
	.expose = eg_expose,
	.open = eg_open,
	.close = eg_close,
	.mark = eg_mark,
	.clear = eg_clear,
	.deny = region_deny,
	.allow = region_allow,
	.allow_finish = region_allow_finish,
	.allow_undo = region_allow_undo,
	.settle = region_settle,
	.serve = eg_serve,
};
