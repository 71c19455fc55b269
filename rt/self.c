// SPDX-License-Identifier: MIT
/*
 * rt/self.c - what this process knows of itself
 */
#include "rt/self.h"

#include <linux/mman.h>

#include "rt/syscall.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* Until there is a page, and where none can be had. */
static struct rt_self fallback;
struct rt_self *rt_self = &fallback;
static u64 last_mm;

static void map_page(void)
{
	long page = rt_mmap(NULL, RT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (rt_is_err(page))
		return;
	rt_madvise((void *)page, RT_PAGE_SIZE, MADV_WIPEONFORK);
	rt_self = (struct rt_self *)page;
}

void rt_self_renew(void)
{
	if (rt_self == &fallback)
		map_page();
	rt_self->pid = (u32)rt_getpid();
	rt_self->mm = ++last_mm;
}

u32 rt_self_pid(void)
{
	if (!rt_self->pid)
		rt_self->pid = (u32)rt_getpid();
	return rt_self->pid;
}
