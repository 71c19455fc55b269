// SPDX-License-Identifier: MIT
/*
 * device/process.c - which address space is this?
 *
 * A VM belongs to the address space that created it.  vfork and clone(CLONE_VM)
 * share that, fork does not, and a fork may come by a raw system call that
 * nobody saw.  So the identity lies in a page that the kernel clears in a
 * forked child (MADV_WIPEONFORK): 0 there means "a child that has not yet been set up".
 */
#include <linux/mman.h>

#include "device/internal.h"
#include "rt/syscall.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static u64 *identity; /* in the wiped page */
static u64 last_identity;

static u64 *map_identity(void)
{
	long page = rt_mmap(NULL, RT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (rt_is_err(page))
		return &last_identity;
	/* Before 4.14 this fails and only forks through libc are noticed. */
	rt_madvise((void *)page, RT_PAGE_SIZE, MADV_WIPEONFORK);
	return (u64 *)page;
}

void dev_forked(void)
{
	if (!identity)
		identity = map_identity();
	last_identity++;
	*identity = last_identity;
}

u64 dev_mm(void)
{
	return *identity;
}

bool dev_fork_pending(void)
{
	return *identity == 0;
}
