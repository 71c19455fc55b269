// SPDX-License-Identifier: MIT
/*
 * host/file.c - backing and window of a file
 *
 * Both are memfds with hidden descriptors.  The backing is sealed against
 * resizing: a mapping that shrinks loses its markers.  The first page of the
 * window is the control page, the rest is the states' (core/store.h).
 */
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/resource.h>

#include "host/engine.h"
#include "host/fd.h"
#include "host/object.h"
#include "host/peer.h"
#include "rt/self.h"
#include "rt/string.h"
#include "uapi/mm.h"

_Static_assert(sizeof(struct host_control) <= RT_PAGE_SIZE, "one page");

#define ALLOCATE_CHUNK (64ULL << 20)
/* Up to this many bytes a punch looks first whether there is anything. */
#define PUNCH_LOOK     REGION_SIZE

void host_zap(u64 addr, u64 len)
{
	static _Atomic int advice = MADV_DONTNEED_LOCKED;

	while (len) {
		u64 n = rt_min(len, ZAP_CHUNK);
		long ret = rt_syscall_raw(__NR_madvise, (long)addr, (long)n, advice, 0, 0, 0);

		/* Before Linux 5.18 there is only MADV_DONTNEED, which refuses mlocked memory. */
		if (ret == -EINVAL && advice == MADV_DONTNEED_LOCKED) {
			advice = MADV_DONTNEED;
			continue;
		}
		if (ret == -EINVAL) {
			ret = rt_syscall_raw(__NR_munlock, (long)addr, (long)n, 0, 0, 0, 0);
			rt_syscall_raw(__NR_madvise, (long)addr, (long)n, MADV_DONTNEED, 0, 0, 0);
		}
		addr += n;
		len -= n;
	}
}

/*
 * Set the size of a fresh memfd although RLIMIT_FSIZE may forbid it: a guest_memfd
 * knows no such limit.  SIGXFSZ must not be raised either, it would stay
 * pending; so the limit is looked at first and lifted for the moment.
 */
int host_memfd_resize(int fd, u64 size)
{
	struct rlimit64 old, wide;
	bool lifted = false;
	long ret = rt_syscall(__NR_prlimit64, 0, RLIMIT_FSIZE, NULL, &old);

	if (ret)
		return (int)ret;
	if (old.rlim_cur < size) {
		wide = old;
		wide.rlim_cur = size;
		if (wide.rlim_max < size)
			wide.rlim_max = size; /* CAP_SYS_RESOURCE may */
		if (rt_syscall(__NR_prlimit64, 0, RLIMIT_FSIZE, &wide, NULL))
			return -ENOMEM;
		lifted = true;
	}
	ret = rt_syscall(__NR_ftruncate, fd, size);
	if (lifted)
		rt_syscall_raw(__NR_prlimit64, 0, RLIMIT_FSIZE, (long)&old, 0, 0, 0);
	return ret == -EFBIG || ret == -ENOSPC || ret == -EINVAL ? -ENOMEM : (int)ret;
}

/* A hidden memfd of that size. */
static int make_memfd(const char *name, u64 size, unsigned seals)
{
	int fd = host_fd_own_hidden(__NR_memfd_create, (long)name, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0), keep;
	long ret;

	if (fd < 0)
		return fd;
	ret = host_memfd_resize(fd, size);
	if (!ret)
		ret = rt_syscall(__NR_fcntl, fd, F_ADD_SEALS, seals);
	/* Kept is a re-open: only those are counted as openers, which host_file_in_use() relies on. */
	keep = ret ? (int)ret : host_fd_reopen_hidden(fd, O_RDWR | O_CLOEXEC);
	if (keep == -ENOENT || keep == -EACCES)
		return fd;
	host_fd_close(fd);
	return keep;
}

bool host_file_in_use(struct host_file *file)
{
	bool used;

	table_lock();
	used = file->views != 0;
	if (!used)
		file_map_fds_close(file);
	table_unlock();
	return used || host_inode_in_use(file->deny) || host_inode_in_use(file->backing);
}

static int map_window(struct host_file *file, u64 size, int deny)
{
	size_t window = core_store_window_size(size >> RT_PAGE_SHIFT);
	long ret = rt_mmap(NULL, RT_PAGE_SIZE + window, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file->state,
			   0);

	if (rt_is_err(ret))
		return -ENOMEM;
	file->size = size;
	file->deny = deny;
	file->control = (struct host_control *)ret;
	file->window = (char *)ret + RT_PAGE_SIZE;
	file->window_size = window;
	file->views = 0;
	file->peer = -1;
	file->helper_stack = NULL;
	file->entries_met = 0;
	file->map_backing = file->map_deny = -1;
	file->guest = NULL;
	file->guest_lock = (struct rt_lock)RT_LOCK_INIT;
	return 0;
}

int host_file_init(struct host_file *file, u64 size, int deny)
{
	u64 window = RT_PAGE_SIZE + core_store_window_size(size >> RT_PAGE_SHIFT);
	int ret = make_memfd("[gmem]", size, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);

	if (ret < 0)
		return ret;
	file->backing = ret;
	ret = make_memfd("[gmem-state]", rt_align_up(window, RT_PAGE_SIZE), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (ret < 0) {
		host_fd_close(file->backing);
		return ret;
	}
	file->state = ret;
	ret = map_window(file, size, deny);
	if (ret) {
		host_fd_close(file->backing);
		host_fd_close(file->state);
		return ret;
	}
	return 0;
}

int host_file_adopt(struct host_file *file, u64 size, int backing, int state, int deny)
{
	int ret;

	file->backing = backing;
	file->state = state;
	ret = map_window(file, size, deny);
	if (!ret)
		file->control->shared = 1;
	return ret;
}

void host_file_fini(struct host_file *file)
{
	host_peer_detach(file);
	host_guest_drop(file);
	/* A handler that found a view of the file just before it went may still read the states. */
	for (int i = 0; i < 100000 && __atomic_load_n(ATOMIC_U32(host_table.readers), __ATOMIC_SEQ_CST); i++)
		rt_syscall_raw(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
	rt_munmap(file->control, RT_PAGE_SIZE + file->window_size);
	host_fd_close(file->backing);
	host_fd_close(file->state);
	host_fd_close(file->map_backing);
	host_fd_close(file->map_deny);
	file->backing = file->state = file->map_backing = file->map_deny = -1;
	file->control = NULL;
	file->window = NULL;
}

#define LOCK_WAITERS (1U << 31)
#define LOCK_POLL_NS 20000000ULL

/* The start time must not be a former holder's: it is 0 whenever the word changes hands. */
static bool holder_gone(struct host_control *control, u32 seen)
{
	u32 start = __atomic_load_n(ATOMIC_U32(control->owner_start), __ATOMIC_ACQUIRE);

	return (seen & ~LOCK_WAITERS) && host_process_gone(seen & ~LOCK_WAITERS, start) &&
	       __atomic_load_n(ATOMIC_U32(control->owner), __ATOMIC_ACQUIRE) == seen;
}

/* Of waiting for one holder. */
struct patience {
	u32 holder, polls;
	u64 ticks; /* the holder's CPU time at the last look that found it changed */
	u32 since; /* polls then */
};

#define POLLS_PER_LOOK 50  /* 1 s */
#define POLLS_IDLE     250 /* 5 s: longer than any wait for peers */

/*
 * Whether the holder will not go on by itself: stopped by a signal, or without any CPU time for long (frozen,
 * or in a debugger).  What it is doing cannot be taken over, since it may go on in the middle of it.
 */
static bool holder_stuck(struct patience *p, u32 holder)
{
	u64 ticks = p->ticks;

	if (p->holder != holder)
		*p = (struct patience){ .holder = holder };
	if (!holder || ++p->polls % POLLS_PER_LOOK)
		return false;
	if (host_process_stopped(holder, &ticks))
		return true;
	if (ticks != p->ticks || !p->since) {
		p->ticks = ticks;
		p->since = p->polls;
	}
	return p->polls - p->since >= POLLS_IDLE;
}

/* The word names the holder, so that a lock whose holder was killed is taken over: it protects
 * nothing that the states, written by single stores, do not tell by themselves. */
static int take_lock(struct host_file *file, u32 self)
{
	u32 *word = ATOMIC_U32(file->control->owner), seen = 0;
	struct patience patience = { 0 };
	bool waited = false, dead;

	if (__atomic_compare_exchange_n(word, &seen, self, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return 0;
	for (;;) {
		u32 holder = seen & ~LOCK_WAITERS;

		dead = waited && holder_gone(file->control, seen);
		if (dead)
			__atomic_store_n(ATOMIC_U32(file->control->owner_start), 0, __ATOMIC_RELEASE);
		if (!holder || dead) {
			/* There may be other waiters: the bit stays. */
			if (__atomic_compare_exchange_n(word, &seen, self | LOCK_WAITERS, false, __ATOMIC_ACQUIRE,
							__ATOMIC_RELAXED))
				return 0;
			continue;
		}
		if (!(seen & LOCK_WAITERS) && !__atomic_compare_exchange_n(word, &seen, seen | LOCK_WAITERS, false,
									   __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			continue;
		if (rt_futex_wait(&file->control->owner, holder | LOCK_WAITERS, LOCK_POLL_NS, true) == -ETIMEDOUT &&
		    holder_stuck(&patience, holder))
			return -EAGAIN;
		waited = true;
		seen = __atomic_load_n(word, __ATOMIC_RELAXED);
	}
}

int host_file_lock(struct host_file *file)
{
	int ret = take_lock(file, rt_self_pid());

	if (ret)
		return ret;
	__atomic_store_n(ATOMIC_U32(file->control->owner_start), host_process_start(), __ATOMIC_RELEASE);
	/* Left by a holder that was killed: nobody is converting now. */
	if (__atomic_load_n(ATOMIC_U32(file->control->seq), __ATOMIC_RELAXED) & 1)
		host_transition_end(file->control);
	return 0;
}

bool host_file_locked(struct host_control *control)
{
	u32 seen = __atomic_load_n(ATOMIC_U32(control->owner), __ATOMIC_ACQUIRE);

	return (seen & ~LOCK_WAITERS) && !holder_gone(control, seen);
}

void host_file_unlock(struct host_file *file)
{
	u32 *word = ATOMIC_U32(file->control->owner);

	__atomic_store_n(ATOMIC_U32(file->control->owner_start), 0, __ATOMIC_RELEASE);
	if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) & LOCK_WAITERS)
		rt_futex_wake(&file->control->owner, 1, true);
}

static int change_contents(struct host_file *file, int mode, u64 start, u64 len)
{
	long ret = rt_syscall(__NR_fallocate, file->backing, mode, start, len);

	return ret == -ENOSPC || ret == -EFBIG ? -ENOMEM : (int)ret;
}

/*
 * Whether the backing has no page of the range, by one call that costs a third of a punch which finds nothing.
 * Pages in swap are data to it; what fallocate(2) has made and nobody touched is a hole, although it
 * takes memory: such files are not asked (allocated).  A page that is touched meanwhile comes after the punch.
 */
static bool is_hole(const struct host_file *file, u64 start, u64 len)
{
	long data;

	if (len > PUNCH_LOOK || file->control->allocated)
		return false;
	data = rt_syscall_raw(__NR_lseek, file->backing, (long)start, SEEK_DATA, 0, 0, 0);
	return data == -ENXIO || (!rt_is_err(data) && (u64)data >= start + len);
}

int host_file_punch(struct host_file *file, struct rt_pages range)
{
	host_poison_heal(file, range);
	if (is_hole(file, range.first << RT_PAGE_SHIFT, range.count << RT_PAGE_SHIFT))
		return 0;
	return change_contents(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range.first << RT_PAGE_SHIFT,
			       range.count << RT_PAGE_SHIFT);
}

/* Pages of the range that the backing has, swapped ones included; -ENOSYS before Linux 6.5. */
static long pages_present(const struct host_file *file, u64 start, u64 len)
{
	u64 range[2] = { start, len };
	struct gmem_cachestat stat = { 0 };
	long ret = rt_syscall_raw(GMEM_NR_CACHESTAT, file->backing, (long)range, (long)&stat, 0, 0, 0);

	return ret < 0 ? ret : (long)(stat.nr_cache + stat.nr_evicted);
}

/*
 * Allocate what is missing.  To tmpfs a second fallocate() of a page is its first use, to guest_memfd
 * it is nothing: mincore() would tell.  So a range that is there in part is halved until it is not.
 */
static int allocate_missing(struct host_file *file, u64 start, u64 len)
{
	/* Halves that are still to do: one for each bit of a length. */
	struct {
		u64 start, len;
	} todo[64];
	unsigned count = 1;

	todo[0].start = start;
	todo[0].len = len;
	while (count) {
		u64 at = todo[--count].start, size = todo[count].len, half;
		long present = pages_present(file, at, size);

		if (present <= 0) {
			int ret = change_contents(file, FALLOC_FL_KEEP_SIZE, at, size);

			if (ret)
				return ret;
			continue;
		}
		if ((u64)present >= size >> RT_PAGE_SHIFT)
			continue;
		half = rt_align_up(size / 2, RT_PAGE_SIZE);
		todo[count].start = at + half;
		todo[count++].len = size - half;
		todo[count].start = at;
		todo[count++].len = half;
	}
	return 0;
}

int host_file_allocate(struct host_file *file, struct rt_pages range)
{
	u64 at = range.first << RT_PAGE_SHIFT, end = at + (range.count << RT_PAGE_SHIFT);
	int ret = 0;

	file->control->allocated = 1;
	/* In pieces: tmpfs takes back all of a call that fails, guest_memfd keeps what it has. */
	for (; at < end && !ret; at += ALLOCATE_CHUNK)
		ret = allocate_missing(file, at, rt_min(ALLOCATE_CHUNK, end - at));
	return ret;
}
