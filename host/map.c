// SPDX-License-Identifier: MIT
/*
 * host/map.c - making and removing views
 *
 * A new view is mapped inaccessible, brought in line with the states, entered in the
 * table and only then exposed: a handler always finds the view of what the program can touch.
 */
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "host/engine.h"
#include "host/fd.h"
#include "host/peer.h"
#include "uapi/mm.h"

/* What is done by other means, or concerns private and anonymous mappings only. */
#define FLAGS_DROPPED (MAP_TYPE | MAP_POPULATE | MAP_LOCKED | MAP_NONBLOCK | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_SYNC)

int file_map_fd(struct host_file *file, bool backing)
{
	int *slot = backing ? &file->map_backing : &file->map_deny;
	int fd;

	if (*slot >= 0)
		return *slot;
	fd = host_fd_reopen_hidden(backing ? file->backing : file->deny, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		*slot = fd;
	else if (fd == -ENOENT || fd == -EACCES)
		return backing ? file->backing : file->deny;
	/* The kernel's mmap needs none. */
	return fd == -EMFILE || fd == -ENFILE ? -ENOMEM : fd;
}

void file_map_fds_close(struct host_file *file)
{
	host_fd_close(file->map_backing);
	host_fd_close(file->map_deny);
	file->map_backing = file->map_deny = -1;
}

/* Whatever was there: gone already, or shadowed by what has just been mapped over it. */
static int clear_place(u64 start, u64 end)
{
	int ret = table_split(start);

	if (!ret)
		ret = table_split(end);
	if (!ret)
		table_remove(start, end);
	return ret;
}

static bool shared_throughout(struct host_file *file, const struct host_view *v)
{
	struct rt_pages pages = view_pages(v);

	return pages.count && core_store_uniform(&file->store, pages, false);
}

static int enter(struct host_view *v, bool all_open)
{
	struct host_view *entry;
	int ret;

	table_insert(v);
	entry = host_table.views + table_find(v->start);
	if (all_open)
		region_set(entry, 0, view_regions(entry), true);
	else
		ret = host_engine->settle(entry);
	if (all_open || !ret)
		ret = host_engine->expose(entry);
	return ret;
}

long view_map_locked(struct host_file *file, u64 addr, u64 len, int prot, int flags, u64 off, u32 view_flags)
{
	struct host_view v = { .file = file, .off = off, .end = len, .prot = prot, .flags = view_flags };
	u64 regions = view_regions(&v);
	bool all_open = shared_throughout(file, &v);
	long ret;

	/* Cuts at the edges of the place, the new view. */
	ret = table_reserve(3);
	if (ret)
		return ret;
	if (flags & MAP_FIXED) {
		ret = table_sealed(addr, addr + len);
		if (!ret)
			ret = table_split(addr);
		if (!ret)
			ret = table_split(addr + len);
		if (ret)
			return ret;
	}
	v.open = region_bits_new(regions);
	if (!v.open)
		return -ENOMEM;
	ret = host_engine->map(&v, addr, MAP_SHARED | (flags & ~FLAGS_DROPPED), all_open);
	if (rt_is_err(ret)) {
		region_bits_free(v.open, regions);
		if (v.start)
			table_remove(v.start, v.start + len);
		return ret;
	}
	v.start = (u64)ret;
	v.end = v.start + len;
	clear_place(v.start, v.end); /* split above, or nothing is there: cannot fail */
	ret = enter(&v, all_open);
	if (ret) {
		rt_munmap((void *)v.start, len);
		table_remove(v.start, v.end);
		return ret;
	}
	table_merge(v.start);
	table_merge(v.end);
	return (long)v.start;
}

long host_view_map(struct host_file *file, void *addr, u64 len, int prot, int flags, u64 off)
{
	u64 length = rt_align_up(len, RT_PAGE_SIZE);
	long ret;

	if (length < len || length > (1ULL << 56))
		return -ENOMEM;
	if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && ((u64)addr & RT_PAGE_MASK))
		return -EINVAL;
	if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && rt_add_wraps((u64)addr, length))
		return -ENOMEM;
	ret = host_peer_attach(file);
	if (ret < 0)
		return -ENOMEM;
	table_lock();
	ret = view_map_locked(file, (u64)addr, length, prot, flags, off, flags & MAP_NORESERVE ? VIEW_NORESERVE : 0);
	if (!rt_is_err(ret))
		host_poison_deny(file, (struct rt_pages){ off >> RT_PAGE_SHIFT, length >> RT_PAGE_SHIFT });
	table_unlock();
	if (rt_is_err(ret))
		return ret;
	/* As the kernel does, whatever can be populated is, and failing is no error. */
	host_lock_new((void *)ret, length, flags & MAP_LOCKED);
	if (!(flags & MAP_LOCKED) && (flags & MAP_POPULATE) && !(flags & MAP_NONBLOCK) && prot != PROT_NONE)
		host_madvise_populate((void *)ret, length, prot & PROT_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	return ret;
}

long view_unmap_locked(u64 addr, u64 len)
{
	u64 end = addr + len;
	long ret = table_sealed(addr, end);

	if (!ret)
		ret = table_split(addr);
	if (!ret)
		ret = table_split(end);
	if (!ret)
		ret = rt_syscall(__NR_munmap, addr, len);
	if (!ret)
		table_remove(addr, end);
	return ret;
}

long host_munmap(void *addr, u64 len)
{
	u64 start = (u64)addr, length = rt_align_up(len, RT_PAGE_SIZE);
	long ret;

	if (!rt_page_aligned(start) || !length || rt_add_wraps(start, length))
		return -EINVAL;
	table_lock();
	ret = view_unmap_locked(start, length);
	table_unlock();
	return ret;
}

/* Whatever the kernel puts in the place of views: they are gone when it has. */
static long replace(u64 start, u64 length, long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;

	table_lock();
	ret = table_sealed(start, start + length);
	if (!ret)
		ret = table_split(start);
	if (!ret)
		ret = table_split(start + length);
	if (!ret)
		ret = rt_syscall_raw(nr, a, b, c, d, e, f);
	if (!rt_is_err(ret))
		table_remove(start, start + length);
	table_unlock();
	return ret;
}

long host_mmap_over(void *addr, u64 len, int prot, int flags, int fd, u64 off)
{
	u64 start = (u64)addr, length = rt_align_up(len, RT_PAGE_SIZE);

	if (!rt_page_aligned(start) || !length || rt_add_wraps(start, length))
		return rt_mmap(addr, len, prot, flags, fd, off);
	return replace(start, length, __NR_mmap, (long)start, (long)len, prot, flags, fd, (long)off);
}

long host_shmat_over(int id, void *addr, int flags, u64 len)
{
	u64 start = (u64)addr, length = rt_align_up(len, RT_PAGE_SIZE);

	if (!rt_page_aligned(start) || !length || rt_add_wraps(start, length))
		return rt_syscall(__NR_shmat, id, addr, flags);
	return replace(start, length, __NR_shmat, id, (long)start, flags, 0, 0, 0);
}
