// SPDX-License-Identifier: MIT
/*
 * rt/fault.c - the countdown to the operation that fails, in tests only
 */
#include "rt/fault.h"

#ifdef RT_FAULTS
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "rt/string.h"
#include "rt/syscall.h"

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static struct rt_faults own;
static struct rt_faults *faults = &own;

void rt_fault_arm(unsigned long n)
{
	faults->armed = 0;
	faults->fired = 0;
	faults->left = (s64)n;
	faults->armed = n != 0;
}

bool rt_fault_fired(void)
{
	return faults->fired;
}

static bool makes_descriptor(long nr)
{
	switch (nr) {
	case __NR_openat:
	case __NR_memfd_create:
	case __NR_userfaultfd:
	case __NR_socket:
	case __NR_fcntl: /* gmem's is F_DUPFD_CLOEXEC, nearly always */
	case __NR_epoll_create1:
	case __NR_eventfd2:
	case __NR_timerfd_create:
	case __NR_inotify_init1:
		return true;
	}
	return false;
}

bool rt_fault_now(long nr, const void *where)
{
	s64 left;

	if (!faults->armed || (faults->descriptors && !makes_descriptor(nr)))
		return false;
	left = --faults->left;
	if (left == 0) {
		faults->nr = (s32)nr;
		faults->where = (u64)((const char *)(where ? where : __builtin_return_address(0)) - __ehdr_start);
		faults->fired = 1;
	}
	return left == 0 || (left < 0 && faults->lasting);
}

long rt_fault_error(void)
{
	return faults->error ? -(long)faults->error : -(long)ENOMEM;
}

void rt_fault_configure(const char *var)
{
	const char *path = rt_after_prefix(var, "GMEM_FAULTS=");
	long fd, map;

	if (!path)
		return;
	fd = rt_syscall_raw(__NR_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0, 0);
	map = rt_syscall_raw(__NR_mmap, 0, (long)RT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!rt_is_err(map))
		faults = (struct rt_faults *)map;
	if (!rt_is_err(fd))
		rt_close((int)fd);
}
#endif
