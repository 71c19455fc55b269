// SPDX-License-Identifier: MIT
/*
 * rt/auxv.c - what the kernel told this process at exec
 *
 * The vector lies above the environment on the first thread's stack, which nobody shows us: it is read from /proc.
 */
#include "rt/auxv.h"

#include <linux/fcntl.h>

#include "rt/syscall.h"

u64 rt_auxv(u64 type)
{
	u64 entry[2], value = 0;
	long fd = rt_syscall_raw(__NR_openat, AT_FDCWD, (long)"/proc/self/auxv", O_RDONLY | O_CLOEXEC, 0, 0, 0);

	if (rt_is_err(fd))
		return 0;
	while (rt_syscall_raw(__NR_read, fd, (long)entry, sizeof(entry), 0, 0, 0) == sizeof(entry)) {
		if (entry[0] == type)
			value = entry[1];
	}
	rt_close((int)fd);
	return value;
}
