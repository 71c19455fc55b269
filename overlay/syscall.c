// SPDX-License-Identifier: MIT
/*
 * overlay/syscall.c - syscall(2): the same calls by number
 *
 * A number that a wrapper handles goes to the wrapper; everything else is made
 * for the program as it stands.
 */
#include "overlay/overlay.h"
#include "uapi/mm.h"
#include "overlay/wrappers.h"

static long by_number(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f, bool *handled)
{
	*handled = true;
	switch (nr) {
	case __NR_ioctl:
		return ov_ioctl((int)a, b, c);
	case __NR_open:
		return ov_open((const char *)a, (int)b, (unsigned)c);
	case __NR_openat:
		return ov_openat((int)a, (const char *)b, (int)c, (unsigned)d);
	case __NR_close:
		return ov_close((int)a);
	case __NR_close_range:
		return ov_close_range((unsigned)a, (unsigned)b, (unsigned)c);
	case __NR_mmap:
		return (long)ov_mmap((void *)a, b, (int)c, (int)d, (int)e, (s64)f);
	case __NR_munmap:
		return ov_munmap((void *)a, b);
	case __NR_mremap:
		return (long)ov_mremap((void *)a, b, c, (int)d, (void *)e);
	case __NR_shmat:
		return (long)ov_shmat((int)a, (const void *)b, (int)c);
	case __NR_remap_file_pages:
		return ov_remap_file_pages((void *)a, b, (int)c, d, (int)e);
	case __NR_mlock:
		return ov_mlock((void *)a, b);
	case __NR_mlock2:
		return ov_mlock2((void *)a, b, (unsigned)c);
	case __NR_munlock:
		return ov_munlock((void *)a, b);
	case __NR_mlockall:
		return ov_mlockall((int)a);
	case __NR_munlockall:
		return ov_munlockall();
	case GMEM_NR_MSEAL:
		return ov_mseal((void *)a, b, c);
	case __NR_mincore:
		return ov_mincore((void *)a, b, (u8 *)c);
	case __NR_msync:
		return ov_msync((void *)a, b, (int)c);
	case __NR_lseek:
		return ov_lseek((int)a, (s64)b, (unsigned)c);
	case __NR_pread64:
		return ov_pread((int)a, (void *)b, c, (s64)d);
	case __NR_pwrite64:
		return ov_pwrite((int)a, (void *)b, c, (s64)d);
	case __NR_mprotect:
		return ov_mprotect((void *)a, b, (int)c);
	case __NR_madvise:
		return ov_madvise((void *)a, b, (int)c);
	case __NR_fallocate:
		return ov_fallocate((int)a, (int)b, (s64)c, (s64)d);
	case __NR_ftruncate:
		return ov_ftruncate((int)a, (s64)b);
	case __NR_read:
		return ov_read((int)a, (void *)b, c);
	case __NR_write:
		return ov_write((int)a, (void *)b, c);
	case __NR_dup:
		return ov_dup((int)a);
	case __NR_dup2:
		return ov_dup2((int)a, (int)b);
	case __NR_dup3:
		return ov_dup3((int)a, (int)b, (int)c);
	case __NR_fcntl:
		return ov_fcntl((int)a, (int)b, (long)c);
	case __NR_execve:
		return ov_execve((const char *)a, (char *const *)b, (char *const *)c);
	case __NR_execveat:
		return ov_ret(ov_execveat((int)a, (const char *)b, (char *const *)c, (char *const *)d, (int)e));
	case __NR_rt_sigprocmask:
		return ov_ret(ov_rt_sigprocmask((int)a, (const u64 *)b, (u64 *)c, d));
	case __NR_rt_sigaction:
		return ov_ret(ov_rt_sigaction((int)a, (const void *)b, (void *)c, d));
	case __NR_seccomp:
		return ov_ret(ov_seccomp(a, b, c));
	case __NR_prctl:
		return ov_ret(ov_prctl_raw(a, b, c, d, e));
	}
	*handled = false;
	return 0;
}

/* pidfd_getfd(2) has no libc wrapper that could be met: what it brings is looked at here. */
static void look_at_received(long fd)
{
	struct dev_object *obj;
	struct ov_guard guard;

	if (fd < 0)
		return;
	ov_enter(&guard);
	obj = ov_fd_find((int)fd);
	if (obj)
		dev_put(obj);
	ov_leave(&guard);
}

/* Nor has mbind(2): libnuma comes this way. */
static void mbind_done(u64 addr, u64 len, u64 mode, u64 mask, u64 bits)
{
	struct ov_guard guard;

	if (!host_view_overlaps((void *)addr, len))
		return;
	ov_enter(&guard);
	host_mbind_follow((void *)addr, len, mode, mask, bits);
	ov_leave(&guard);
}

long ov_syscall(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	bool handled;
	long ret;

	if (!ov_config.active)
		return ov_ret(ov_raw(nr, a, b, c, d, e, f));
	ret = by_number(nr, a, b, c, d, e, f, &handled);
	if (handled)
		return ret;
	ret = ov_raw(nr, a, b, c, d, e, f);
	if (nr == __NR_pidfd_getfd)
		look_at_received(ret);
	if (nr == __NR_mbind && ret == 0)
		mbind_done(a, b, c, d, e);
	return ov_ret(ret);
}
