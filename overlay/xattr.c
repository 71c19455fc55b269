// SPDX-License-Identifier: MIT
/*
 * overlay/xattr.c - extended attributes: no object has any
 *
 * What the kernel finds wrong with a call before it asks the file is found here in its
 * order: flags, name, size, value.
 */
#include <linux/limits.h>
#include <linux/xattr.h>

#include "overlay/overlay.h"
#include "rt/user.h"

static long check_name(const char *name)
{
	char copy[XATTR_NAME_MAX + 1];
	long ret = rt_copy_string_in(copy, (u64)(uintptr_t)name, sizeof(copy));

	return ret == -ENAMETOOLONG || (ret == 0 && !copy[0]) ? -ERANGE : ret;
}

/* setxattr(2) reads the value before anything else is known of the file. */
static long check_value(u64 value, size_t size)
{
	char part[256];
	size_t n;
	long ret = size > XATTR_SIZE_MAX ? -E2BIG : 0;

	for (size_t done = 0; ret == 0 && done < size; done += n) {
		n = rt_min(sizeof(part), size - done);
		ret = rt_copy_in(part, value + done, n);
	}
	return ret;
}

/* What an object answers to a call with this name and, where one is set, this value. */
static long object_answer(long answer, const char *name, const void *value, size_t size, int flags)
{
	struct ov_guard guard;
	long ret;

	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	ov_enter(&guard);
	ret = check_name(name);
	if (ret == 0)
		ret = check_value((u64)(uintptr_t)value, size);
	ov_leave(&guard);
	return ret < 0 ? ret : answer;
}

long ov_fgetxattr(int fd, const char *name, void *value, size_t size)
{
	long ret;

	if (ov_answered(fd, CORE_FILEOP_FGETXATTR, &ret))
		ret = ret == -EBADF ? ret : object_answer(ret, name, NULL, 0, 0);
	else
		ret = ov_raw(__NR_fgetxattr, fd, name, value, size);
	return ov_ret(ret);
}

int ov_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
	long ret;

	if (ov_answered(fd, CORE_FILEOP_FSETXATTR, &ret))
		ret = ret == -EBADF ? ret : object_answer(ret, name, value, size, flags);
	else
		ret = ov_raw(__NR_fsetxattr, fd, name, value, size, flags);
	return (int)ov_ret(ret);
}

long ov_flistxattr(int fd, char *list, size_t size)
{
	long ret;

	if (!ov_answered(fd, CORE_FILEOP_FLISTXATTR, &ret))
		ret = ov_raw(__NR_flistxattr, fd, list, size);
	return ov_ret(ret);
}

int ov_fremovexattr(int fd, const char *name)
{
	long ret;

	if (ov_answered(fd, CORE_FILEOP_FREMOVEXATTR, &ret))
		ret = ret == -EBADF ? ret : object_answer(ret, name, NULL, 0, 0);
	else
		ret = ov_raw(__NR_fremovexattr, fd, name);
	return (int)ov_ret(ret);
}
