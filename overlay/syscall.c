// SPDX-License-Identifier: MIT
/*
 * overlay/syscall.c - syscall(2): the same calls by number
 *
 * A number that a wrapper handles goes to the wrapper (overlay/syscall.def);
 * everything else is made for the program as it stands.
 */
#include "overlay/overlay.h"
#include "overlay/wrappers.h"
#include "uapi/mm.h"

static long by_number(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f, bool *handled)
{
	*handled = true;
	switch (nr) {
#define CALL(name, call)                                                                                               \
	case name:                                                                                                     \
		return call;
#include "overlay/syscall.def"
#undef CALL
	case __NR_utimensat:
		/* With a name it is none of ours. */
		if (!b && !d)
			return ov_futimens((int)a, (const void *)c);
		break;
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
