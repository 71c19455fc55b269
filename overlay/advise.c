// SPDX-License-Identifier: MIT
/*
 * overlay/advise.c - madvise(2) and what else is it: markers of private pages must not be dropped behind our back
 */
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/uio.h>

#include "overlay/overlay.h"
#include "overlay/wrappers.h"
#include "rt/format.h"
#include "rt/string.h"
#include "rt/user.h"

static long advise(void *addr, u64 len, int advice)
{
	struct core_err err = { .rule = RULE_NONE };
	struct ov_guard guard;
	long ret;

	if (!host_view_overlaps(addr, len))
		return ov_raw(__NR_madvise, addr, len, advice);
	ret = ov_filter_says(0, __NR_madvise, 0, 0, advice);
	if (ret)
		return ret;
	ov_enter_hot(&guard);
	ret = dev_madvise(addr, len, advice, &err);
	if (ret < 0)
		ov_report_refusal("madvise", &err);
	ov_leave(&guard);
	return ret;
}

int ov_madvise(void *addr, u64 len, int advice)
{
	return (int)ov_ret(advise(addr, len, advice));
}

/* Returns the error number; POSIX_MADV_DONTNEED must not discard and is nothing in every libc. */
int ov_posix_madvise(void *addr, u64 len, int advice)
{
	return advice == MADV_DONTNEED ? 0 : (int)-advise(addr, len, advice);
}

#define PIDFD_SELF_THREAD_ (-10000)
#define PIDFD_SELF_GROUP_  (-10001)

/* Whether a descriptor stands for this process: its fdinfo has a line "Pid:". */
static bool is_self(int pidfd)
{
	char path[40], text[512], self[32], *at = text;
	long fd, n;

	if (pidfd == PIDFD_SELF_THREAD_ || pidfd == PIDFD_SELF_GROUP_)
		return true;
	rt_format(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = rt_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (rt_is_err(fd))
		return false;
	n = rt_syscall(__NR_read, fd, text, sizeof(text) - 1);
	rt_close((int)fd);
	text[n > 0 ? n : 0] = '\0';
	rt_format(self, sizeof(self), "Pid:\t%d\n", (int)rt_getpid());
	while (*at && !rt_after_prefix(at, self)) {
		while (*at && *at != '\n')
			at++;
		at += *at == '\n';
	}
	return *at != '\0';
}

static bool take(struct iovec *one, const struct iovec *from)
{
	struct ov_guard guard;
	long ret;

	ov_enter(&guard);
	ret = rt_copy_in(one, (u64)(uintptr_t)from, sizeof(*one));
	ov_leave(&guard);
	return ret == 0;
}

static bool any_overlaps(const struct iovec *iov, u64 n)
{
	struct iovec one;

	for (u64 i = 0; i < n && i < UIO_MAXIOV && take(&one, iov + i); i++) {
		if (host_view_overlaps(one.iov_base, one.iov_len))
			return true;
	}
	return false;
}

/* One range after the other; an error counts when it is the first. */
static long advise_each(const struct iovec *iov, u64 n, int advice)
{
	struct iovec one;
	long done = 0, ret;

	for (u64 i = 0; i < n; i++) {
		ret = take(&one, iov + i) ? advise(one.iov_base, one.iov_len, advice) : -EFAULT;
		if (ret < 0)
			return done ? done : ret;
		done += (long)one.iov_len;
	}
	return done;
}

/* On the process itself it is as good as madvise(2), where the kernel lets it be (Linux 6.13). */
long ov_process_madvise(int pidfd, const struct iovec *iov, u64 n, int advice, unsigned flags)
{
	long ret;

	if (!ov_config.active || !any_overlaps(iov, n) || !is_self(pidfd))
		return ov_ret(ov_raw(__NR_process_madvise, pidfd, iov, n, advice, flags));
	/* Whether there is such a process and such advice: for no range at all. */
	ret = n > UIO_MAXIOV ? -EINVAL : ov_raw(__NR_process_madvise, pidfd, iov, 0, advice, flags);
	return ov_ret(ret < 0 ? ret : advise_each(iov, n, advice));
}
