// SPDX-License-Identifier: MIT
/*
 * overlay/fd.c - closing, duplicating and receiving descriptors
 *
 * Upkeep of the cache, and the hiding of gmem's own descriptors: to the
 * program they are not open.  Correctness does not depend on seeing every close
 * (overlay/fdtab.c); seeing one lets memory go at once.
 */
#include <linux/close_range.h>
#include <linux/fcntl.h>

#include "host/fd.h"
#include "overlay/overlay.h"
#include "rt/user.h"

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#ifndef F_DUPFD_CLOEXEC
#define F_DUPFD_CLOEXEC 1030
#endif
#define FD_MAX 0x7fffffff

static void reap(void)
{
	struct ov_guard guard;

	ov_enter(&guard);
	dev_reap();
	ov_leave(&guard);
}

int ov_close(int fd)
{
	bool object = ov_fd_peek(fd) != NULL;
	long ret;

	if (host_fd_hidden(fd))
		return (int)ov_ret(-EBADF);
	ov_fd_forget(fd);
	ret = ov_next_call(OV_NEXT_close, __NR_close, fd, 0, 0, 0, 0, 0);
	if (object)
		reap();
	return (int)ov_ret(ret);
}

/* Around the hidden descriptors, which stay open, and not close-on-exec twice. */
static long close_span(unsigned first, unsigned last, unsigned flags)
{
	long ret = 0;

	while (first <= last && ret == 0) {
		int hidden = first > FD_MAX ? -1 : host_fd_next_hidden((int)first);
		unsigned end = hidden < 0 || (unsigned)hidden > last ? last : (unsigned)hidden - 1;

		if (end >= first && !(hidden >= 0 && (unsigned)hidden == first))
			ret = ov_raw(__NR_close_range, first, end, flags);
		if (end == last || hidden < 0)
			break;
		first = (unsigned)hidden + 1;
	}
	return ret;
}

int ov_close_range(unsigned first, unsigned last, unsigned flags)
{
	long ret;

	if (!ov_config.active || first > last)
		return (int)ov_ret(ov_raw(__NR_close_range, first, last, flags));
	ret = close_span(first, last, flags);
	if (ret == 0 && !(flags & CLOSE_RANGE_CLOEXEC)) {
		ov_fd_forget_span(first, last);
		reap();
	}
	return (int)ov_ret(ret);
}

void ov_closefrom(int low)
{
	if (ov_config.active)
		ov_close_range(low < 0 ? 0 : (unsigned)low, ~0U, 0);
	else
		ov_next_call(OV_NEXT_closefrom, __NR_close_range, low, -1, 0, 0, 0, 0);
}

static long duplicated(int from, long to)
{
	if (to >= 0)
		ov_fd_copy(from, (int)to);
	return to;
}

int ov_dup(int fd)
{
	if (host_fd_hidden(fd))
		return (int)ov_ret(-EBADF);
	return (int)ov_ret(duplicated(fd, ov_raw(__NR_dup, fd)));
}

static long dup_onto(int from, int to, int flags, long nr)
{
	bool replaced = from != to && ov_fd_peek(to);
	long ret;

	/* A hidden number is free in the program's eyes, but it cannot be given away. */
	if (host_fd_hidden(from) || host_fd_hidden(to))
		return -EBADF;
	ret = duplicated(from, ov_raw(nr, from, to, flags));
	if (replaced)
		reap();
	return ret;
}

int ov_dup2(int from, int to)
{
	return (int)ov_ret(dup_onto(from, to, 0, __NR_dup2));
}

int ov_dup3(int from, int to, int flags)
{
	return (int)ov_ret(dup_onto(from, to, flags, __NR_dup3));
}

/*
 * Nobody can open a guest_memfd a second time, so a lease is never broken.  Pseudo files are not
 * counted as writers: a read lease is granted, a write lease wants a count of one.
 */
static long lease(struct dev_gmem *g, int cmd, long arg)
{
	if (cmd == F_GETLEASE)
		return g->lease;
	if (arg != F_RDLCK && arg != F_WRLCK && arg != F_UNLCK)
		return -EINVAL;
	if (arg == F_WRLCK || (arg == F_UNLCK && g->lease == F_UNLCK))
		return -EAGAIN;
	g->lease = (int)arg;
	return 0;
}

static long answer_fcntl(int fd, struct dev_object *obj, int cmd, long arg)
{
	bool gmem = obj->kind == DEV_GMEM;
	long ret;

	if (cmd == F_GET_SEALS || cmd == F_ADD_SEALS)
		return core_fileop_result(dev_sys()->profile, CORE_FILEOP_F_GET_SEALS);
	if (cmd == F_SETLEASE && !gmem)
		return -EINVAL; /* no regular file */
	if (gmem && (cmd == F_SETLEASE || cmd == F_GETLEASE))
		return lease((struct dev_gmem *)obj, cmd, arg);
	/* Without an operation for it, direct I/O cannot be asked for. */
	if (cmd == F_SETFL && (arg & O_DIRECT))
		return -EINVAL;
	ret = ov_raw(__NR_fcntl, fd, cmd, arg);
	if (cmd == F_GETFL && ret >= 0 && obj->kind != DEV_GMEM && obj->kind != DEV_SYSTEM)
		ret &= ~(long)O_LARGEFILE;
	return ret;
}

/* Commands whose answer on the placeholder differs from the object's. */
static bool fcntl_object(int fd, int cmd, long arg, long *ret)
{
	struct dev_object *obj;
	struct ov_guard guard;
	bool found;

	if (cmd != F_GETFL && cmd != F_SETFL && cmd != F_SETLEASE && cmd != F_GETLEASE && cmd != F_GET_SEALS &&
	    cmd != F_ADD_SEALS)
		return false;
	ov_enter(&guard);
	obj = ov_fd_get(fd);
	found = obj != NULL;
	if (obj) {
		*ret = answer_fcntl(fd, obj, cmd, arg);
		dev_put(obj);
	}
	ov_leave(&guard);
	return found;
}

int ov_fcntl(int fd, int cmd, long arg)
{
	long ret;

	if (host_fd_hidden(fd))
		return (int)ov_ret(-EBADF);
	if (ov_fd_peek(fd) && fcntl_object(fd, cmd, arg, &ret))
		return (int)ov_ret(ret);
	ret = ov_next_call(OV_NEXT_fcntl, __NR_fcntl, fd, cmd, arg, 0, 0, 0);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		duplicated(fd, ret);
	return (int)ov_ret(ret);
}

/* struct msghdr and cmsghdr, as far as descriptors are concerned. */
struct message {
	void *name;
	u32 namelen;
	void *iov;
	size_t iovlen;
	char *control;
	size_t controllen;
	int flags;
};

struct control {
	size_t len;
	int level, type;
	int fds[];
};

static void adopt_received(const struct control *c)
{
	size_t n = (c->len - sizeof(*c)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		struct dev_object *obj;

		ov_fd_forget(c->fds[i]);
		obj = ov_fd_find(c->fds[i]);
		if (obj)
			dev_put(obj);
	}
}

static void scan_control(const struct message *msg)
{
	struct ov_guard guard;
	size_t at = 0;

	ov_enter(&guard);
	while (at + sizeof(struct control) <= msg->controllen) {
		const struct control *c = (const struct control *)(msg->control + at);

		if (c->len < sizeof(*c) || c->len > msg->controllen - at)
			break;
		if (c->level == 1 /* SOL_SOCKET */ && c->type == 1 /* SCM_RIGHTS */)
			adopt_received(c);
		at += rt_align_up(c->len, sizeof(size_t));
	}
	ov_leave(&guard);
}

/* struct mmsghdr */
struct many_messages {
	struct message hdr;
	unsigned len;
};

int ov_recvmmsg(int fd, struct many_messages *msgs, unsigned n, int flags, void *timeout)
{
	long ret = ov_next_call(OV_NEXT_recvmmsg, __NR_recvmmsg, fd, (long)msgs, n, flags, (long)timeout, 0);

	for (long i = 0; i < ret && ov_config.active; i++) {
		if (msgs[i].hdr.control && msgs[i].hdr.controllen)
			scan_control(&msgs[i].hdr);
	}
	return (int)ov_ret(ret);
}

long ov_recvmsg(int fd, struct message *msg, int flags)
{
	long ret = ov_next_call(OV_NEXT_recvmsg, __NR_recvmsg, fd, (long)msg, flags, 0, 0, 0);

	if (ret >= 0 && ov_config.active && msg->control && msg->controllen)
		scan_control(msg);
	return ov_ret(ret);
}
