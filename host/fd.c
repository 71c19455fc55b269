// SPDX-License-Identifier: MIT
/*
 * host/fd.c - gmem's own descriptors, out of the program's sight
 */
#include "host/fd.h"

#include <linux/fcntl.h>
#include <linux/kcmp.h>
#include <linux/resource.h>

#include "rt/format.h"
#include "rt/lock.h"
#include "rt/syscall.h"

#ifndef F_DUPFD_CLOEXEC
#define F_DUPFD_CLOEXEC 1030
#endif

/* Hidden numbers lie below this; fd tables of gmem are as large. */
#define FD_LIMIT     (1U << 20)
/* Without room above the soft limit: this far below it. */
#define FD_TOP_SPARE 512U
/* No higher than this, since the kernel's descriptor table grows to the highest number used. */
#define FD_CEILING   (1U << 16)

static _Atomic u64 hidden[FD_LIMIT / 64]; /* bit per number */
static int proc_fd = -1;
/* Those of a parent that has the same table (CLONE_FILES without CLONE_VM): they must outlive this process's use. */
static u64 parents[FD_LIMIT / 64];

static long nofile_limit(const struct rlimit64 *set, struct rlimit64 *ret)
{
	return rt_syscall_raw(__NR_prlimit64, 0, RLIMIT_NOFILE, (long)set, (long)ret, 0, 0);
}

static long dup_from(int fd, u64 lowest)
{
	return rt_syscall(__NR_fcntl, fd, F_DUPFD_CLOEXEC, lowest);
}

static struct rt_lock limit_lock = RT_LOCK_INIT;
/* Descriptors of ours that have been at a low number, and that are not any more. */
static _Atomic u32 flux_begun, flux_ended;

void host_fd_forked(void)
{
	bool shared;

	limit_lock = (struct rt_lock)RT_LOCK_INIT;
	/* Another thread of the parent may have been at it. */
	flux_ended = flux_begun;
	shared = rt_syscall_raw(__NR_kcmp, rt_getpid(), rt_syscall_raw(__NR_getppid, 0, 0, 0, 0, 0, 0), KCMP_FILES, 0, 0,
				0) == 0;
	for (u32 i = 0; i < FD_LIMIT / 64; i++) {
		if (hidden[i] && (shared || parents[i]))
			parents[i] = shared ? hidden[i] : 0;
	}
}

/*
 * A call that makes a descriptor, above the soft limit while the hard one allows
 * it; the window in which the limit stands higher is two calls.  The lock keeps
 * one thread from taking another's raised limit for the program's.
 */
static long with_more_room(long nr, long a, long b, long c, long d, long failed)
{
	struct rlimit64 old, wide;
	long ret = failed;

	rt_lock(&limit_lock);
	if (!rt_is_err(nofile_limit(NULL, &old)) && old.rlim_cur < FD_CEILING) {
		wide = old;
		wide.rlim_cur = old.rlim_cur + FD_TOP_SPARE;
		/* The privileged may go beyond the hard limit. */
		if (old.rlim_max > old.rlim_cur)
			wide.rlim_cur = rt_min(wide.rlim_cur, old.rlim_max);
		else
			wide.rlim_max = wide.rlim_cur;
		if (!rt_is_err(nofile_limit(&wide, NULL))) {
			ret = rt_syscall(nr, a, b, nr == __NR_fcntl ? (long)old.rlim_cur : c, d);
			nofile_limit(&old, NULL);
		}
	}
	rt_unlock(&limit_lock);
	return ret;
}

long host_fd_own(long nr, long a, long b, long c, long d)
{
	long ret = rt_syscall(nr, a, b, c, d);

	return ret == -EMFILE ? with_more_room(nr, a, b, c, d, ret) : ret;
}

/* As high as possible. */
static long dup_high(int fd)
{
	long ret = with_more_room(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 0, 0, -EMFILE);
	struct rlimit64 now;
	u64 top;

	if (!rt_is_err(ret))
		return ret;
	ret = nofile_limit(NULL, &now);
	if (rt_is_err(ret))
		return ret;
	top = rt_min(now.rlim_cur, FD_CEILING);
	ret = top > FD_TOP_SPARE ? dup_from(fd, top - FD_TOP_SPARE) : -EMFILE;
	/* As many as a VM of a thousand vCPUs has. */
	return ret == -EMFILE ? dup_from(fd, top / 2) : ret;
}

int host_fd_hide(int fd)
{
	long ret = dup_high(fd);

	rt_close(fd);
	if (rt_is_err(ret))
		return (int)ret;
	if (ret >= (long)FD_LIMIT) {
		rt_close((int)ret);
		return -EMFILE;
	}
	hidden[ret / 64] |= 1ULL << (ret % 64);
	return (int)ret;
}

void host_fd_close(int fd)
{
	if (fd < 0)
		return;
	/* A number in the same table stays hidden here, too. */
	if (parents[fd / 64] >> (fd % 64) & 1)
		return;
	hidden[fd / 64] &= ~(1ULL << (fd % 64));
	rt_close(fd);
}

bool host_fd_hidden(int fd)
{
	return fd >= 0 && fd < (int)FD_LIMIT && (hidden[fd / 64] >> (fd % 64) & 1);
}

int host_fd_next_hidden(int fd)
{
	for (u32 at = fd < 0 ? 0 : (u32)fd; at < FD_LIMIT;) {
		u64 rest = hidden[at / 64] >> (at % 64);

		if (rest)
			return (int)(at + (u32)__builtin_ctzll(rest));
		at = (at / 64 + 1) * 64;
	}
	return -1;
}

void host_fd_init(void)
{
	long fd;

	if (proc_fd >= 0)
		return;
	fd = host_fd_own(__NR_openat, AT_FDCWD, (long)"/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (!rt_is_err(fd))
		proc_fd = host_fd_hide((int)fd);
}

static long reopen(int fd, int flags, bool own)
{
	char path[32];

	host_fd_init();
	if (proc_fd < 0)
		return -ENOENT;
	rt_format(path, sizeof(path), "self/fd/%d", fd);
	if (own)
		return host_fd_own(__NR_openat, proc_fd, (long)path, flags, 0);
	return rt_syscall(__NR_openat, proc_fd, path, flags, 0);
}

int host_fd_reopen(int fd, int flags)
{
	return (int)reopen(fd, flags, false);
}

int host_fd_reopen_own(int fd, int flags)
{
	return (int)reopen(fd, flags, true);
}

u32 host_fd_flux(void)
{
	for (;;) {
		u32 ended = flux_ended;

		if (flux_begun == ended)
			return ended;
		rt_syscall_raw(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
	}
}

void host_fd_flux_begin(void)
{
	flux_begun++;
}

void host_fd_flux_end(void)
{
	flux_ended++;
}

bool host_fd_flux_since(u32 seen)
{
	return flux_begun != seen;
}

int host_fd_own_hidden(long nr, long a, long b, long c, long d)
{
	long fd;

	host_fd_flux_begin();
	fd = host_fd_own(nr, a, b, c, d);
	if (!rt_is_err(fd))
		fd = host_fd_hide((int)fd);
	host_fd_flux_end();
	return (int)fd;
}

int host_fd_reopen_hidden(int fd, int flags)
{
	int ret;

	host_fd_flux_begin();
	ret = host_fd_reopen_own(fd, flags);
	if (ret >= 0)
		ret = host_fd_hide(ret);
	host_fd_flux_end();
	return ret;
}
