// SPDX-License-Identifier: MIT
/*
 * overlay/between.c - transfers between two files, one of which is an object
 *
 * Most of the answer is the kernel's and depends on the other file: what is bad about it, or that
 * there is nothing to move.  So the kernel is asked, with an epoll descriptor in the object's place:
 * like a guest_memfd it is open for both directions, has no position, and can neither be
 * read nor written.  copy_file_range(2) wants a regular file, which that is not.
 */
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "host/fd.h"
#include "overlay/overlay.h"
#include "overlay/wrappers.h"
#include "rt/user.h"

#define MAY_READ  1
#define MAY_WRITE 2

/* Made when it is first needed, and kept. */
static int stand_in(void)
{
	static _Atomic int kept = -1;
	struct ov_guard guard;
	int fd = kept, none = -1;

	if (fd >= 0)
		return fd;
	ov_enter(&guard);
	fd = host_fd_own_hidden(__NR_epoll_create1, O_CLOEXEC, 0, 0, 0);
	if (fd >= 0 && !__atomic_compare_exchange_n((int *)(uintptr_t)&kept, &none, fd, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		host_fd_close(fd);
		fd = none;
	}
	ov_leave(&guard);
	return fd;
}

/* Whether fd is one of ours, and then the descriptor to ask the kernel with: EBADF stays so. */
static bool replaced(int fd, enum core_fileop op, int *other)
{
	long ret;

	*other = fd;
	if (!ov_answered(fd, op, &ret))
		return false;
	*other = ret == -EBADF ? -1 : stand_in();
	return true;
}

long ov_sendfile(int out, int in, s64 *off, size_t len)
{
	int from, to;
	bool reads = replaced(in, CORE_FILEOP_SENDFILE_FROM, &from), writes = replaced(out, CORE_FILEOP_SENDFILE_TO, &to);
	long ret;

	if (reads || writes) {
		ret = ov_raw(__NR_sendfile, to, from, off, len);
		/* The device has a position, though nothing to read there. */
		if (reads && ret == -ESPIPE)
			ov_answered(in, CORE_FILEOP_PREAD, &ret);
		/* An epoll descriptor can be sought in, so nothing can be sent from it. */
		return ov_ret(reads && ret == 0 ? -EINVAL : ret);
	}
	return ov_ret(ov_next_call(OV_NEXT_sendfile, __NR_sendfile, out, in, (long)off, (long)len, 0, 0));
}

long ov_splice(int in, s64 *in_off, int out, s64 *out_off, size_t len, unsigned flags)
{
	int from, to;
	bool reads = replaced(in, CORE_FILEOP_SPLICE, &from), writes = replaced(out, CORE_FILEOP_SPLICE, &to);

	if (reads || writes)
		return ov_ret(ov_raw(__NR_splice, from, in_off, to, out_off, len, flags));
	return ov_ret(ov_next_call(OV_NEXT_splice, __NR_splice, in, (long)in_off, out, (long)out_off, (long)len, flags));
}

/* A descriptor of copy_file_range(2) that is not ours: a regular file, open for what shall be done. */
static long judge_other(int fd, int may)
{
	struct stat st;
	long mode = ov_raw(__NR_fcntl, fd, F_GETFL, 0), ret;

	if (mode < 0)
		return mode;
	ret = ov_raw(__NR_fstat, fd, &st);
	if (ret < 0)
		return ret;
	if ((st.st_mode & S_IFMT) != S_IFREG)
		return (st.st_mode & S_IFMT) == S_IFDIR ? -EISDIR : -EINVAL;
	if ((may & MAY_READ) && (mode & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if ((may & MAY_WRITE) && ((mode & O_ACCMODE) == O_RDONLY || (mode & O_APPEND)))
		return -EBADF;
	return 0;
}

static long judge_offset(const s64 *off)
{
	struct ov_guard guard;
	long ret;
	s64 value;

	if (!off)
		return 0;
	ov_enter(&guard);
	ret = rt_copy_in(&value, (u64)(uintptr_t)off, sizeof(value));
	ov_leave(&guard);
	return ret;
}

/* In the kernel's order: are there such descriptors, the arguments, what the files are. */
static long judge_copy(int in, const s64 *in_off, int out, const s64 *out_off, unsigned flags, bool from, bool to)
{
	long ret = !from && ov_raw(__NR_fcntl, in, F_GETFD, 0) < 0 ? -EBADF : 0;

	if (!ret && !to && ov_raw(__NR_fcntl, out, F_GETFD, 0) < 0)
		ret = -EBADF;
	if (!ret)
		ret = judge_offset(in_off);
	if (!ret)
		ret = judge_offset(out_off);
	if (!ret && flags)
		ret = -EINVAL;
	if (!ret && !from)
		ret = judge_other(in, MAY_READ);
	if (!ret && !to)
		ret = judge_other(out, MAY_WRITE);
	return ret;
}

long ov_copy_file_range(int in, s64 *in_off, int out, s64 *out_off, size_t len, unsigned flags)
{
	long answer = 0, other = 0, ret;
	bool from = ov_answered(in, CORE_FILEOP_COPY_RANGE_OTHER, &answer);
	bool to = ov_answered(out, CORE_FILEOP_COPY_RANGE_OTHER, &other);

	if (!from && !to)
		return ov_ret(ov_next_call(OV_NEXT_copy_file_range, __NR_copy_file_range, in, (long)in_off, out, (long)out_off,
					   (long)len, flags));
	if ((from && answer == -EBADF) || (to && other == -EBADF))
		return ov_ret(-EBADF);
	ret = judge_copy(in, in_off, out, out_off, flags, from, to);
	if (ret)
		return ov_ret(ret);
	if (!from || !to)
		return ov_ret(from ? answer : other);
	if (len)
		ov_answered(in, CORE_FILEOP_COPY_RANGE_WITHIN, &ret);
	return ov_ret(ret);
}
