// SPDX-License-Identifier: MIT
/*
 * overlay/hooks.c - what tests can do that no user of the real kernel can
 *
 * Found by dlsym(): a program under test that wants them links to nothing.
 */
#include "overlay/overlay.h"

static long with_gmem(int fd, long (*work)(struct dev_gmem *g, u64 offset, bool on), u64 offset, int on)
{
	struct dev_object *obj;
	struct ov_guard guard;
	long ret = -EBADF;

	ov_enter(&guard);
	obj = ov_fd_get(fd);
	if (obj && obj->kind == DEV_GMEM)
		ret = work((struct dev_gmem *)obj, offset, on != 0);
	if (obj)
		dev_put(obj);
	ov_leave(&guard);
	return ret;
}

/* Hold (on) or let go a page of a guest_memfd, as a device's long-term pin does: 0, or -1 and errno. */
int ov_test_pin(int fd, u64 offset, int on)
{
	return (int)ov_ret(with_gmem(fd, dev_gmem_pin, offset, on));
}

/* Strike a page with a memory error; punching it repairs it.  0, or -1 and errno. */
int ov_test_poison(int fd, u64 offset)
{
	return (int)ov_ret(with_gmem(fd, dev_gmem_poison, offset, 1));
}
