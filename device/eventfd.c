// SPDX-License-Identifier: MIT
/*
 * device/eventfd.c - the program's eventfds
 *
 * All eventfds are one anonymous inode: what tells them apart is the number in
 * /proc/self/fdinfo (Linux 5.2).  Without it every one counts as new.
 */
#include "device/eventfd.h"

#include <linux/fcntl.h>
#include <linux/uio.h>

#include "device/internal.h"
#include "host/fd.h"
#include "rt/format.h"
#include "rt/string.h"
#include "rt/syscall.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif
#define O_PATH_ 010000000

static const char *find_line(const char *text, const char *key)
{
	for (const char *at = text; *at; at++) {
		const char *rest = at == text || at[-1] == '\n' ? rt_after_prefix(at, key) : NULL;

		if (rest)
			return rest;
	}
	return NULL;
}

static u64 number(const char *s)
{
	u64 value = 0;

	while (*s == ' ' || *s == '\t')
		s++;
	for (; *s >= '0' && *s <= '9'; s++)
		value = value * 10 + (u64)(*s - '0');
	return value;
}

static long read_fdinfo(u32 fd, char *buf, size_t size)
{
	char path[48];
	long info, n;

	rt_format(path, sizeof(path), "/proc/self/fdinfo/%u", fd);
	info = host_fd_own(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (rt_is_err(info))
		return info;
	n = rt_syscall(__NR_read, info, buf, size - 1);
	rt_close((int)info);
	buf[n > 0 ? n : 0] = '\0';
	return n;
}

static int identify(u32 fd, u64 *id)
{
	char buf[512];
	const char *at;
	long n;

	*id = 0;
	n = read_fdinfo(fd, buf, sizeof(buf));
	/* There is no /proc; anything else may be otherwise the next time, and then the number would not be found again. */
	if (n == -ENOENT)
		return 0;
	if (n <= 0)
		return -ENOMEM;
	if (!find_line(buf, "eventfd-count:"))
		return -EINVAL;
	at = find_line(buf, "eventfd-id:");
	/* Numbers start at 0. */
	*id = at ? number(at) + 1 : 0;
	return 0;
}

static int duplicate(u32 fd)
{
	long flags, copy;

	if (fd > 0x7fffffff || host_fd_hidden((int)fd))
		return -EBADF;
	flags = rt_syscall_raw(__NR_fcntl, (long)fd, F_GETFL, 0, 0, 0, 0);
	if (rt_is_err(flags) || (flags & O_PATH_))
		return -EBADF;
	copy = host_fd_own(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 0, 0);
	return rt_is_err(copy) ? (int)copy : host_fd_hide((int)copy);
}

/*
 * The program may close the number, and use it again, at any time: so it is the
 * duplicate that is looked at.  And the lock keeps two threads of ours from taking each
 * other's passing descriptors for the program's.
 */
int eventfd_hold(u32 fd, u64 *id)
{
	int copy, ret;

	rt_lock(&dev_slots_lock);
	copy = duplicate(fd);
	ret = copy < 0 ? copy : identify((u32)copy, id);
	rt_unlock(&dev_slots_lock);
	if (ret == 0)
		return copy;
	host_fd_close(copy);
	return ret;
}

struct dirent {
	u64 ino;
	s64 off;
	u16 length;
	u8 type;
	char name[];
};

static bool names_it(const struct dirent *entry, u64 wanted)
{
	u64 fd, id;

	/* "." and ".." are no numbers. */
	if (!rt_parse_u64(entry->name, &fd) || host_fd_hidden((int)fd))
		return false;
	return identify((u32)fd, &id) == 0 && id == wanted;
}

bool eventfd_is_open(u64 wanted)
{
	u64 buf[128];
	bool found = false;
	long n = -ENOENT, dir = host_fd_own(__NR_openat, AT_FDCWD, (long)"/proc/self/fd", O_RDONLY | O_CLOEXEC, 0);

	if (rt_is_err(dir))
		return true;
	while (!found && (n = rt_syscall(__NR_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; !found && at < n; at += ((struct dirent *)(void *)((char *)buf + at))->length)
			found = names_it((struct dirent *)(void *)((char *)buf + at), wanted);
	}
	rt_close((int)dir);
	return found || n < 0;
}

void eventfd_signal(int fd)
{
	const u64 one = 1;

	rt_syscall_raw(__NR_write, fd, (long)&one, sizeof(one), 0, 0, 0);
}

/* Somebody else may have read it since it was seen ready, and then a plain read would wait. */
bool eventfd_take(int fd)
{
	u64 count;
	struct iovec iov = { &count, sizeof(count) };
	long n = rt_syscall_raw(__NR_preadv2, fd, (long)&iov, 1, -1, -1, RWF_NOWAIT);

	/* Before Linux 5.8. */
	if (n == -EOPNOTSUPP || n == -ENOSYS || n == -ESPIPE)
		n = rt_syscall_raw(__NR_read, fd, (long)&count, sizeof(count), 0, 0, 0);
	return n == sizeof(count);
}
