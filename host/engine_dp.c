// SPDX-License-Identifier: MIT
/*
 * host/engine_dp.c - engine "dp": userfaultfd registration denies, poison markers mark
 *
 * THEORY OF OPERATION
 *
 * A VMA is registered in one of two ways with one userfaultfd that has
 * UFFD_FEATURE_SIGBUS and that nobody reads:
 *
 *   D  MISSING | MINOR: every page without a page table entry raises SIGBUS; there
 *	are none in a closed region, hence also no page tables
 *   A  WP: pages are faulted in as usual, but a poison marker raises SIGBUS.  An
 *	open VMA is never left unregistered: a huge page collapse through another
 *	mapping would drop its markers
 *
 * Linux 7.3 refuses A to D by re-registering; UNREGISTER keeps the markers, so
 * unregistering first is safe as long as nothing is zapped before D holds.
 *
 * Poisoning refuses pages that have an entry, and the program's threads put
 * entries in until the marker is there: zap and poison until it succeeds.
 * The kernel poisons within one VMA only and answers ENOENT across a seam
 * (made by the program's mprotect or madvise): halve until it fits.
 * The zap of a single page is saved where it is likely to find nothing: then the
 * marker is tried first (DP-4).
 *
 * DP-1  D is registered before entries are zapped; markers are complete before A is.
 * DP-2  The descriptor is hidden: closing it would open every closed region.
 * DP-3  fork(2) drops registrations: views are not inherited, a child maps its own.
 * DP-4  Poisoning does not flush TLBs, so it may do without a zap only where a page without an
 *	 entry is in no TLB.  Whatever takes entries away under the table lock or the file lock has
 *	 flushed before it lets go; reclaim flushes in batches, later, which a zap makes up
 *	 for.  It takes pages of a memfd from their users only to swap them out, so a machine without
 *	 swap needs no zap.  Swap may be turned on at any time, so it is asked once per clock tick; what
 *	 could be missed is swap that came within the tick and took this very page.
 */
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/sysinfo.h>

#include "host/engine.h"
#include "host/fd.h"
#include "rt/clock.h"
#include "uapi/mm.h"

/* After a page that had an entry so many are zapped without trying: a vain attempt costs as much as a vain zap. */
#define ENTRIES_FOR 15

/* A zap leaves guard markers, which the program may have put there by itself. */
#define STUCK_MAX 16

static int uffd = -1;

static long uffd_ioctl(unsigned long cmd, void *arg, bool sure)
{
	return sure ? rt_syscall_raw(__NR_ioctl, uffd, (long)cmd, (long)arg, 0, 0, 0)
		    : rt_syscall(__NR_ioctl, uffd, cmd, arg);
}

static int dp_register(u64 start, u64 len, u64 mode, bool sure)
{
	struct uffdio_register reg = { .range = { start, len }, .mode = mode };

	return (int)uffd_ioctl(UFFDIO_REGISTER, &reg, sure);
}

static int register_allow(u64 start, u64 len, bool sure)
{
	return dp_register(start, len, UFFDIO_REGISTER_MODE_WP, sure);
}

static int register_deny(u64 start, u64 len, bool sure)
{
	const u64 deny = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR;
	struct uffdio_range range = { start, len };
	int ret = host_tuning.portable_flip ? -EBUSY : dp_register(start, len, deny, sure);

	if (ret != -EBUSY)
		return ret;
	ret = (int)uffd_ioctl(UFFDIO_UNREGISTER, &range, sure);
	if (!ret)
		ret = dp_register(start, len, deny, sure);
	if (ret)
		register_allow(start, len, true);
	return ret;
}

static int poison_once(u64 start, u64 len, u64 *done)
{
	struct gmem_uffdio_poison arg = { .range = { start, len } };
	int ret = (int)uffd_ioctl(GMEM_UFFDIO_POISON, &arg, false);

	*done = ret == 0 ? len : ret == -EAGAIN && arg.updated > 0 ? (u64)arg.updated : 0;
	return ret;
}

/* zap: the pages may have entries, or get them at any time. */
static int poison(u64 start, u64 len, bool zap)
{
	u64 try = len, done;
	unsigned stuck = 0;

	if (zap)
		host_zap(start, len);
	while (len) {
		int ret = poison_once(start, rt_min(try, len), &done);

		start += done;
		len -= done;
		if (ret == -EEXIST && ++stuck > STUCK_MAX)
			rt_syscall_raw(__NR_madvise, (long)start, (long)RT_PAGE_SIZE, MADV_GUARD_REMOVE, 0, 0, 0);
		if (done)
			stuck = 0;
		if (ret == -EEXIST || (ret == -EAGAIN && len))
			host_zap(start, len);
		else if (ret == -ENOENT && try > RT_PAGE_SIZE)
			try = rt_align_up(rt_min(try, len) / 2, RT_PAGE_SIZE);
		else if (ret)
			return ret == -ENOENT || ret == -ESRCH ? -ENOMEM : ret;
		else
			try = len;
	}
	return 0;
}

static int dp_init(void)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MISSING_SHMEM |
					      UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_POISON };
	long fd = rt_syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY), ret;

	if (fd < 0)
		return (int)fd;
	ret = rt_syscall(__NR_ioctl, fd, UFFDIO_API, &api);
	if (ret) {
		rt_close((int)fd);
		return (int)ret;
	}
	uffd = host_fd_hide((int)fd);
	return uffd < 0 ? uffd : 0;
}

static void dp_fini(void)
{
	host_fd_close(uffd);
	uffd = -1;
}

static long dp_map(struct host_view *v, u64 addr, int flags, bool all_open)
{
	int fd = file_map_fd(v->file, true);
	u64 len = v->end - v->start;
	long ret, error;

	if (fd < 0)
		return fd;
	/* PROT_NONE: mlockall(MCL_FUTURE) would fill the mapping before it is registered. */
	ret = rt_mmap((void *)addr, len, PROT_NONE, flags, fd, v->off);
	if (rt_is_err(ret))
		return ret;
	error = all_open ? register_allow((u64)ret, len, false) : register_deny((u64)ret, len, false);
	if (!error)
		error = rt_madvise((void *)ret, len, MADV_DONTFORK);
	if (error) {
		rt_munmap((void *)ret, len);
		v->start = (u64)ret; /* what was there before is gone */
		return error;
	}
	return ret;
}

static int dp_expose(struct host_view *v)
{
	if (v->prot == PROT_NONE)
		return 0;
	/* mmap(2) ignores protections that it does not know, mprotect(2) refuses them. */
	return (int)rt_syscall(__NR_mprotect, v->start, v->end - v->start, v->prot & (PROT_READ | PROT_WRITE));
}

static int dp_open(struct host_view *v, u64 first, u64 count, struct rt_pages allow)
{
	struct rt_pages pages = region_pages(v, first, count), run;
	u64 start = region_start(v, first), len = region_start(v, first + count) - start;
	int ret = 0;

	for (run = private_run(v, pages, allow); run.count && !ret; run = private_run(v, pages_after(pages, run), allow))
		ret = poison(view_addr(v, run.first), run.count << RT_PAGE_SHIFT, false);
	if (!ret)
		ret = register_allow(start, len, false);
	if (ret)
		host_zap(start, len); /* still closed: markers are of no use */
	return ret;
}

static int dp_close(struct host_view *v, u64 first, u64 count, bool undo)
{
	u64 start = region_start(v, first), len = region_start(v, first + count) - start;
	int ret = register_deny(start, len, undo);

	if (ret)
		return ret;
	host_zap(start, len);
	/* A zap leaves the program's guard markers: they would outlive their guards, which may go meanwhile. */
	guard_clear(start, len);
	return 0;
}

/* DP-4 */
static bool swapless(void)
{
	static _Atomic u64 asked; /* at this time, and the answer in the lowest bit, below any clock's grain */
	struct sysinfo info = { .totalswap = 1 };
	u64 now = rt_clock_coarse() & ~1ULL, last = asked;

	if ((last & ~1ULL) == now)
		return last & 1;
	rt_syscall_raw(__NR_sysinfo, (long)&info, 0, 0, 0, 0, 0);
	asked = now | !info.totalswap;
	return !info.totalswap;
}

/*
 * Whether a page has an entry is not known; it is likely to be as with the last ones.  Programs that do not touch
 * pages between conversions are spared the zap, others most of the vain attempts.
 */
static bool mark_at_once(struct host_file *file, u64 addr)
{
	u64 done;

	if (file->entries_met) {
		file->entries_met--;
		return false;
	}
	if (poison_once(addr, RT_PAGE_SIZE, &done) == 0)
		return true;
	file->entries_met = ENTRIES_FOR;
	return false;
}

static int dp_mark(struct host_view *v, struct rt_pages pages)
{
	u64 start = view_addr(v, pages.first);

	if (pages.count == 1 && swapless() && mark_at_once(v->file, start))
		return 0;
	return poison(start, pages.count << RT_PAGE_SHIFT, true);
}

static void dp_clear(struct host_view *v, struct rt_pages pages)
{
	host_zap(view_addr(v, pages.first), pages.count << RT_PAGE_SHIFT);
}

static bool dp_serve(struct host_view *v, u64 page)
{
	return false;
}

const struct host_engine host_engine_dp = {
	.name = "dp",
	.init = dp_init,
	.fini = dp_fini,
	.map = dp_map,
	.expose = dp_expose,
	.open = dp_open,
	.close = dp_close,
	.mark = dp_mark,
	.clear = dp_clear,
	.deny = region_deny,
	.allow = region_allow,
	.allow_finish = region_allow_finish,
	.allow_undo = region_allow_undo,
	.settle = region_settle,
	.serve = dp_serve,
};
