// SPDX-License-Identifier: MIT
/*
 * host/object.c - the inode that stands for an emulated object
 */
#include "host/object.h"

#include <asm/ioctls.h>
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>
#include <linux/memfd.h>

#include "host/fd.h"
#include "rt/format.h"
#include "rt/syscall.h"

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#endif
#define SEAL_SEAL_SHRINK_GROW 7
#ifndef F_SETSIG
#define F_SETSIG 10
#endif
#define SIGNAL_IGNORED_BY_DEFAULT 23 /* SIGURG */

int host_ident_of(int fd, struct host_ident *ret)
{
	struct stat st;
	long err = rt_syscall_raw(__NR_fstat, fd, (long)&st, 0, 0, 0, 0);

	if (rt_is_err(err))
		return (int)err;
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	return 0;
}

/* A sealed memfd with its re-open hidden in obj->keep; the lowest number is free again afterwards. */
static int create_inode(struct host_object *obj, const char *name, u64 size)
{
	int fd = host_fd_own_hidden(__NR_memfd_create, (long)name, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0);
	int keep;
	long ret;

	if (fd < 0)
		return fd;
	ret = size ? rt_syscall(__NR_ftruncate, fd, size) : 0;
	if (!rt_is_err(ret))
		ret = rt_syscall(__NR_fcntl, fd, F_ADD_SEALS, SEAL_SEAL_SHRINK_GROW);
	if (!rt_is_err(ret))
		ret = rt_syscall(__NR_fchmod, fd, 0600);
	keep = rt_is_err(ret) ? (int)ret : host_fd_reopen_hidden(fd, O_RDWR | O_CLOEXEC);
	host_fd_close(fd);
	if (keep < 0)
		return keep;
	/* Somebody who opens the inode during a lease test breaks the lease; by default that would be a deadly SIGIO. */
	rt_syscall_raw(__NR_fcntl, keep, F_SETSIG, SIGNAL_IGNORED_BY_DEFAULT, 0, 0, 0);
	return obj->keep = keep;
}

int host_object_make(struct host_object *obj, const char *name, u64 size)
{
	int ret;

	obj->keep = -1;
	ret = create_inode(obj, name, size);
	if (ret < 0)
		return ret;
	ret = host_ident_of(obj->keep, &obj->id);
	if (ret < 0)
		host_object_fini(obj);
	else
		host_watch_add(obj->keep);
	return ret;
}

int host_object_create(struct host_object *obj, const char *name, u64 size, bool cloexec)
{
	int ret = host_object_make(obj, name, size);
	int fd = ret < 0 ? ret : host_object_open(obj, O_RDWR | (cloexec ? O_CLOEXEC : 0));

	if (ret == 0 && fd < 0)
		host_object_fini(obj);
	return fd;
}

int host_object_open(const struct host_object *obj, int flags)
{
	int fd;

	host_fd_flux_begin();
	fd = host_fd_reopen(obj->keep, flags);
	host_fd_flux_end();
	return fd;
}

int host_object_adopt(struct host_object *obj, int fd)
{
	int ret = host_ident_of(fd, &obj->id);
	int keep = ret < 0 ? ret : host_fd_reopen_own(fd, O_RDWR | O_CLOEXEC);

	if (keep < 0)
		return keep;
	obj->keep = host_fd_hide(keep);
	if (obj->keep < 0)
		return obj->keep;
	host_watch_add(obj->keep);
	return 0;
}

void host_object_fini(struct host_object *obj)
{
	host_fd_close(obj->keep);
	obj->keep = -1;
}

bool host_inode_in_use(int keep)
{
	long ret = rt_syscall(__NR_fcntl, keep, F_SETLEASE, F_WRLCK);

	if (rt_is_err(ret))
		return true;
	rt_syscall_raw(__NR_fcntl, keep, F_SETLEASE, F_UNLCK, 0, 0, 0);
	return false;
}

bool host_object_in_use(const struct host_object *obj)
{
	return host_inode_in_use(obj->keep);
}

static int inotify_fd = -1;
static bool inotify_refused;

static int watch_open(void)
{
	long fd;

	if (inotify_fd >= 0 || inotify_refused)
		return inotify_fd;
	fd = host_fd_own_hidden(__NR_inotify_init1, IN_NONBLOCK | IN_CLOEXEC, 0, 0, 0);
	if (fd >= 0)
		inotify_fd = (int)fd;
	inotify_refused = inotify_fd < 0;
	return inotify_fd;
}

void host_watch_add(int keep)
{
	char path[40];
	long ret;

	if (watch_open() < 0)
		return;
	rt_format(path, sizeof(path), "/proc/self/fd/%d", keep);
	ret = rt_syscall(__NR_inotify_add_watch, inotify_fd, path, IN_CLOSE_WRITE);
	/* Without a watch on every inode silence proves nothing. */
	if (rt_is_err(ret))
		inotify_refused = true;
}

bool host_watch_fired(void)
{
	char events[1024];
	bool fired = false;
	u32 waiting = 0;

	if (inotify_refused)
		return true;
	if (inotify_fd < 0)
		return false;
	/* A read that finds nothing costs twice as much as asking first. */
	if (rt_syscall_raw(__NR_ioctl, inotify_fd, FIONREAD, (long)&waiting, 0, 0, 0) == 0 && !waiting)
		return false;
	while (rt_syscall_raw(__NR_read, inotify_fd, (long)events, sizeof(events), 0, 0, 0) > 0)
		fired = true;
	return fired;
}

void host_watch_forked(void)
{
	host_fd_close(inotify_fd);
	inotify_fd = -1;
	inotify_refused = false;
}
