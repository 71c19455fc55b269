// SPDX-License-Identifier: MIT
/*
 * overlay/link.c - what readlink(2) says of guest_memfd files: their names in /proc and /dev/fd
 *
 * The kernel's text, for the program itself; a process without gmem sees a memfd's.
 */
#include <linux/fcntl.h>

#include "core/fileop.h"
#include "device/device.h"
#include "overlay/overlay.h"
#include "overlay/wrappers.h"
#include "rt/string.h"
#include "rt/user.h"

#define LOOKED_AT 9 /* bytes of a name, with the end */

/* Whether a name can lead to a descriptor: nearly all are told by their first bytes. */
static bool can_be_descriptor(u64 path)
{
	char text[LOOKED_AT];

	if (rt_copy_string_in(text, path, sizeof(text)) == -EFAULT)
		return false;
	return rt_after_prefix(text, "/proc/") || rt_after_prefix(text, "/dev/fd/") || (*text >= '0' && *text <= '9');
}

long ov_readlinkat(int dir, const char *path, char *buf, size_t size)
{
	const char *text;
	size_t len;

	if ((int)size <= 0 || !can_be_descriptor((u64)(uintptr_t)path) || ov_kind_at(dir, path) != DEV_GMEM)
		return ov_ret(ov_raw(__NR_readlinkat, dir, path, buf, size));
	text = core_link_text(dev_sys()->profile);
	len = rt_min(rt_strlen(text), size);
	return ov_ret(rt_copy_out((u64)(uintptr_t)buf, text, len) ?: (long)len);
}

long ov_readlink(const char *path, char *buf, size_t size)
{
	return ov_readlinkat(AT_FDCWD, path, buf, size);
}

long ov_readlink_chk(const char *path, char *buf, size_t size, size_t room)
{
	if (size > room)
		__builtin_trap();
	return ov_readlinkat(AT_FDCWD, path, buf, size);
}

long ov_readlinkat_chk(int dir, const char *path, char *buf, size_t size, size_t room)
{
	if (size > room)
		__builtin_trap();
	return ov_readlinkat(dir, path, buf, size);
}
