// SPDX-License-Identifier: MIT
/*
 * overlay/file.c - reading, writing and the like
 *
 * Two things are done here.  On an object's descriptor these calls get the
 * object's answer (core/fileop.def) instead of the placeholder's.  And where an
 * ordinary read or write got EFAULT because its buffer lies in a view, either
 * the engine can make the page reachable and the call is repeated, or the page is private
 * and that is reported.
 */
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/uio.h>

#include "host/fd.h"
#include "overlay/overlay.h"
#include "rt/user.h"

/* The answer of an object that is no guest_memfd: like it, but for position and offsets. */
static long device_answer(const struct dev_object *obj, enum core_fileop op)
{
	switch (op) {
	case CORE_FILEOP_LSEEK:
		return 0;
	case CORE_FILEOP_PREAD:
	case CORE_FILEOP_PWRITE:
		return obj->kind == DEV_SYSTEM ? -EINVAL : -ESPIPE;
	case CORE_FILEOP_PREADV:
	case CORE_FILEOP_PREADV2:
	case CORE_FILEOP_PWRITEV:
	case CORE_FILEOP_PWRITEV2:
		return obj->kind == DEV_SYSTEM ? -EINVAL : -ESPIPE;
	case CORE_FILEOP_COPY_RANGE_OTHER:
		return -EINVAL; /* no regular file */
	case CORE_FILEOP_SYNC_FILE_RANGE:
		return -ESPIPE;
	default:
		return core_fileop_result(dev_sys()->profile, op);
	}
}

/* The program's filter may forbid what is answered here: a call that moves nothing, by that number. */
static long filter_forbids(int fd, enum core_fileop op)
{
	switch (op) {
	case CORE_FILEOP_READ:
		return ov_filter_says(0, __NR_read, fd, 0, 0);
	case CORE_FILEOP_READV:
		return ov_filter_says(0, __NR_readv, fd, 0, 0);
	case CORE_FILEOP_WRITE:
		return ov_filter_says(0, __NR_write, fd, 0, 0);
	case CORE_FILEOP_WRITEV:
		return ov_filter_says(0, __NR_writev, fd, 0, 0);
	case CORE_FILEOP_PREAD:
		return ov_filter_says(0, __NR_pread64, fd, 0, 0, 0);
	case CORE_FILEOP_PWRITE:
		return ov_filter_says(0, __NR_pwrite64, fd, 0, 0, 0);
	case CORE_FILEOP_PREADV:
		return ov_filter_says(0, __NR_preadv, fd, 0, 0, 0, 0);
	case CORE_FILEOP_PWRITEV:
		return ov_filter_says(0, __NR_pwritev, fd, 0, 0, 0, 0);
	case CORE_FILEOP_LSEEK:
		return ov_filter_says(0, __NR_lseek, fd, 0, 0 /* SEEK_SET */);
	case CORE_FILEOP_FTRUNCATE:
		return ov_filter_says(-EBADF, __NR_ftruncate, -1, 0);
	case CORE_FILEOP_FSYNC:
		return ov_filter_says(-EBADF, __NR_fsync, -1);
	case CORE_FILEOP_FDATASYNC:
		return ov_filter_says(-EBADF, __NR_fdatasync, -1);
	case CORE_FILEOP_FCHMOD:
		return ov_filter_says(-EBADF, __NR_fchmod, -1, 0600);
	case CORE_FILEOP_FCHOWN:
		return ov_filter_says(-EBADF, __NR_fchown, -1, -1, -1);
	default:
		return 0;
	}
}

bool ov_answered(int fd, enum core_fileop op, long *ret)
{
	struct dev_object *obj;
	struct ov_guard guard;

	if (!ov_fd_peek(fd)) {
		*ret = -EBADF;
		return host_fd_hidden(fd);
	}
	*ret = filter_forbids(fd, op);
	if (*ret)
		return true;
	ov_enter_hot(&guard);
	obj = ov_fd_get(fd);
	if (obj) {
		*ret = obj->kind == DEV_GMEM ? core_fileop_result(dev_sys()->profile, op) : device_answer(obj, op);
		dev_put(obj);
	}
	ov_leave(&guard);
	return obj != NULL;
}

/* The part of a buffer in views that stays out of reach is reported once. */
static void report_buffer(void *buf, size_t len, u64 pc)
{
	struct host_piece piece;
	struct host_fault fault;
	char *at = buf, *end = at + len;

	while (at < end && host_view_next(at, end, &piece)) {
		for (u64 done = 0; done < piece.len; done += RT_PAGE_SIZE) {
			host_fault(7 /* SIGBUS */, 2, piece.addr + done, &fault);
			if (fault.kind == HOST_FAULT_BUS) {
				ov_report_touch(&fault, piece.addr + done, pc, false);
				return;
			}
		}
		at = piece.addr + piece.len;
	}
}

/* Whether a call that got EFAULT for this buffer should be made again. */
static bool again(long ret, void *buf, size_t len, u64 pc)
{
	struct ov_guard guard;
	bool retry;

	if (ret != -EFAULT || !len || !host_view_overlaps(buf, len))
		return false;
	ov_enter_hot(&guard);
	retry = host_fault_fixup(buf, len);
	if (!retry)
		report_buffer(buf, len, pc);
	ov_leave(&guard);
	return retry;
}

#define CALLER ((u64)(uintptr_t)__builtin_return_address(0))
/* A mapping may change between the attempts for ever; the kernel's own answer is as good then. */
#define ATTEMPTS 64

static long transfer(enum ov_next_id next, long nr, int fd, void *buf, size_t len, s64 off, u64 pc)
{
	long ret = 0;

	for (int i = 0; i < ATTEMPTS; i++) {
		ret = ov_next_call(next, nr, fd, (long)buf, (long)len, off, 0, 0);
		if (!again(ret, buf, len, pc))
			break;
	}
	return ret;
}

long ov_read(int fd, void *buf, size_t len)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_READ, &ret))
		ret = transfer(OV_NEXT_read, __NR_read, fd, buf, len, 0, CALLER);
	return ov_ret(ret);
}

long ov_read_chk(int fd, void *buf, size_t len, size_t room)
{
	if (len > room)
		__builtin_trap();
	return ov_read(fd, buf, len);
}

long ov_write(int fd, void *buf, size_t len)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_WRITE, &ret))
		ret = transfer(OV_NEXT_write, __NR_write, fd, buf, len, 0, CALLER);
	return ov_ret(ret);
}

long ov_pread(int fd, void *buf, size_t len, s64 off)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_PREAD, &ret))
		ret = transfer(OV_NEXT_pread, __NR_pread64, fd, buf, len, off, CALLER);
	else if (off < 0 && ret != -EBADF)
		ret = -EINVAL;
	return ov_ret(ret);
}

long ov_pread_chk(int fd, void *buf, size_t len, s64 off, size_t room)
{
	if (len > room)
		__builtin_trap();
	return ov_pread(fd, buf, len, off);
}

long ov_pwrite(int fd, void *buf, size_t len, s64 off)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_PWRITE, &ret))
		ret = transfer(OV_NEXT_pwrite, __NR_pwrite64, fd, buf, len, off, CALLER);
	else if (off < 0 && ret != -EBADF)
		ret = -EINVAL;
	return ov_ret(ret);
}

/* readv and its kin: repeated as a whole while any of the buffers can be made reachable. */
static bool again_vector(long ret, const struct iovec *iov, int n, u64 pc)
{
	struct iovec copy;

	for (int i = 0; ret == -EFAULT && i < n && i < 1024; i++) {
		if (rt_copy_in(&copy, (u64)(uintptr_t)&iov[i], sizeof(copy)) < 0)
			return false;
		if (again(ret, copy.iov_base, copy.iov_len, pc))
			return true;
	}
	return false;
}

static long transfer_vector(enum ov_next_id next, long nr, int fd, const struct iovec *iov, int n, s64 off, int flags,
			    u64 pc)
{
	long ret = 0;

	for (int i = 0; i < ATTEMPTS; i++) {
		ret = ov_next_call(next, nr, fd, (long)iov, n, off, flags, 0);
		if (!again_vector(ret, iov, n, pc))
			break;
	}
	return ret;
}

long ov_readv(int fd, const struct iovec *iov, int n)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_READV, &ret))
		ret = transfer_vector(OV_NEXT_readv, __NR_readv, fd, iov, n, 0, 0, CALLER);
	return ov_ret(ret);
}

long ov_writev(int fd, const struct iovec *iov, int n)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_WRITEV, &ret))
		ret = transfer_vector(OV_NEXT_writev, __NR_writev, fd, iov, n, 0, 0, CALLER);
	return ov_ret(ret);
}

long ov_preadv(int fd, const struct iovec *iov, int n, s64 off)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_PREADV, &ret))
		ret = transfer_vector(OV_NEXT_preadv, __NR_preadv, fd, iov, n, off, 0, CALLER);
	else if (off < 0 && ret == -ESPIPE)
		ret = -EINVAL;
	return ov_ret(ret);
}

long ov_pwritev(int fd, const struct iovec *iov, int n, s64 off)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_PWRITEV, &ret))
		ret = transfer_vector(OV_NEXT_pwritev, __NR_pwritev, fd, iov, n, off, 0, CALLER);
	else if (off < 0 && ret == -ESPIPE)
		ret = -EINVAL;
	return ov_ret(ret);
}

long ov_preadv2(int fd, const struct iovec *iov, int n, s64 off, int flags)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_PREADV2, &ret))
		ret = transfer_vector(OV_NEXT_preadv2, __NR_preadv2, fd, iov, n, off, flags, CALLER);
	else if (off < 0 && ret == -ESPIPE)
		ret = -EINVAL; /* none, or at -1, at the position of the file, as readv(2) */
	return ov_ret(ret);
}

long ov_pwritev2(int fd, const struct iovec *iov, int n, s64 off, int flags)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_PWRITEV2, &ret))
		ret = transfer_vector(OV_NEXT_pwritev2, __NR_pwritev2, fd, iov, n, off, flags, CALLER);
	else if (off < 0 && ret == -ESPIPE)
		ret = -EINVAL; /* none, or at -1, at the position of the file, as writev(2) */
	return ov_ret(ret);
}

#define LAST_WHENCE 4 /* SEEK_HOLE */

s64 ov_lseek(int fd, s64 off, unsigned whence)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_LSEEK, &ret))
		ret = ov_raw(__NR_lseek, fd, off, whence);
	else if (whence > LAST_WHENCE && ret != -EBADF)
		ret = -EINVAL;
	return ov_ret(ret);
}

int ov_fsync(int fd)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_FSYNC, &ret))
		ret = ov_next_call(OV_NEXT_fsync, __NR_fsync, fd, 0, 0, 0, 0, 0);
	return (int)ov_ret(ret);
}

int ov_fdatasync(int fd)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_FDATASYNC, &ret))
		ret = ov_next_call(OV_NEXT_fdatasync, __NR_fdatasync, fd, 0, 0, 0, 0, 0);
	return (int)ov_ret(ret);
}

int ov_sync_file_range(int fd, s64 off, s64 len, unsigned flags)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_SYNC_FILE_RANGE, &ret))
		ret = ov_next_call(OV_NEXT_sync_file_range, __NR_sync_file_range, fd, off, len, flags, 0, 0);
	else if (ret == 0 && ((flags & ~7U) || off < 0 || len < 0 || off + len < off))
		ret = -EINVAL;
	return (int)ov_ret(ret);
}

long ov_readahead(int fd, s64 off, size_t len)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_READAHEAD, &ret))
		ret = ov_raw(__NR_readahead, fd, off, len);
	return ov_ret(ret);
}

int ov_fchmod(int fd, unsigned mode)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_FCHMOD, &ret))
		ret = ov_raw(__NR_fchmod, fd, mode);
	return (int)ov_ret(ret);
}

int ov_fchown(int fd, unsigned uid, unsigned gid)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_FCHOWN, &ret))
		ret = ov_raw(__NR_fchown, fd, uid, gid);
	return (int)ov_ret(ret);
}

#define UTIME_NOW_  ((1L << 30) - 1)
#define UTIME_OMIT_ ((1L << 30) - 2)

/* What the kernel finds before it asks the file: bad memory, nonsense, nothing to do. */
static long judge_times(const void *user, long answer)
{
	struct {
		s64 sec, nsec;
	} times[2];
	struct ov_guard guard;
	long ret = 0;

	if (!user)
		return answer;
	ov_enter(&guard);
	ret = rt_copy_in(times, (u64)(uintptr_t)user, sizeof(times));
	ov_leave(&guard);
	if (ret < 0 || (times[0].nsec == UTIME_OMIT_ && times[1].nsec == UTIME_OMIT_))
		return ret;
	for (int i = 0; i < 2; i++) {
		if (times[i].nsec != UTIME_OMIT_ && times[i].nsec != UTIME_NOW_ && (u64)times[i].nsec >= 1000000000)
			return -EINVAL;
	}
	return answer;
}

int ov_futimens(int fd, const void *times)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_FUTIMENS, &ret))
		ret = ov_raw(__NR_utimensat, fd, 0, times, 0);
	else if (ret != -EBADF)
		ret = judge_times(times, ret);
	return (int)ov_ret(ret);
}

/* True when the name leads to an object's inode, through /proc as a rule; *ret is what changing it answers. */
static bool named(const char *path, enum core_fileop op, long *ret)
{
	enum dev_kind kind = ov_kind_at(AT_FDCWD, path);

	if (kind != DEV_NONE && op == CORE_FILEOP_FTRUNCATE)
		*ret = -EINVAL; /* whatever it is, it cannot be */
	else if (kind == DEV_GMEM)
		*ret = core_fileop_result(dev_sys()->profile, op);
	else
		return false;
	return true;
}

int ov_truncate(const char *path, s64 len)
{
	long ret;

	if (!named(path, CORE_FILEOP_FTRUNCATE, &ret))
		ret = ov_raw(__NR_truncate, path, len);
	return (int)ov_ret(ret);
}

int ov_chmod(const char *path, unsigned mode)
{
	long ret;

	if (!named(path, CORE_FILEOP_FCHMOD, &ret))
		ret = ov_raw(__NR_chmod, path, mode);
	return (int)ov_ret(ret);
}

int ov_ftruncate(int fd, s64 len)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_FTRUNCATE, &ret))
		ret = ov_raw(__NR_ftruncate, fd, len);
	return (int)ov_ret(ret);
}

/* False when fd is no object after all. */
static bool fallocate_found(int fd, int mode, s64 off, s64 len, long *ret)
{
	struct core_err err = { .rule = RULE_NONE };
	struct dev_object *obj;
	struct ov_guard guard;

	ov_enter_hot(&guard);
	obj = ov_fd_get(fd);
	if (obj && obj->kind == DEV_GMEM) {
		*ret = dev_gmem_fallocate((struct dev_gmem *)obj, mode, off, len, &err);
		if (*ret < 0)
			ov_report_refusal("fallocate", &err);
	} else if (obj) {
		*ret = -ENODEV;
	}
	if (obj)
		dev_put(obj);
	ov_leave(&guard);
	return obj != NULL;
}

/* fallocate(2) of a guest_memfd; false when fd is none. */
static bool fallocate_object(int fd, int mode, s64 off, s64 len, long *ret)
{
	if (host_fd_hidden(fd)) {
		*ret = -EBADF;
		return true;
	}
	/* The cache may be behind, with nothing or with what the number stood for before. */
	for (int tries = 0; tries < 2; tries++) {
		if (!ov_fd_peek(fd)) {
			*ret = ov_fd_unknown(fd);
			if (*ret <= 0)
				return *ret < 0;
		}
		/* The program's filter may forbid the call: let it see one that does nothing. */
		if (ov_filtered && (*ret = ov_raw(__NR_fallocate, -1, mode, off, len)) != -EBADF)
			return true;
		if (fallocate_found(fd, mode, off, len, ret))
			return true;
	}
	*ret = ov_fd_unknown(fd);
	return *ret < 0;
}

int ov_fallocate(int fd, int mode, s64 off, s64 len)
{
	long ret;
	u32 seen;

	do {
		seen = host_fd_flux();
		if (!fallocate_object(fd, mode, off, len, &ret))
			ret = ov_next_call(OV_NEXT_fallocate, __NR_fallocate, fd, mode, off, len, 0, 0);
		/* A seal's answer is one of gmem's own, which stood at that number for a moment. */
	} while (ret == -EPERM && host_fd_flux_since(seen));
	return (int)ov_ret(ret);
}

/* Returns the error number.  glibc falls back to pread(2) and pwrite(2) where mode 0 is EOPNOTSUPP. */
int ov_posix_fallocate(int fd, s64 off, s64 len)
{
	long ret;

	if (!fallocate_object(fd, 0, off, len, &ret))
		ret = ov_raw(__NR_fallocate, fd, 0, off, len);
	return ret == -EOPNOTSUPP && ov_fd_peek(fd) ? ESPIPE : (int)-ret;
}
