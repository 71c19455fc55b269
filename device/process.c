// SPDX-License-Identifier: MIT
/*
 * device/process.c - which address space is this?
 *
 * A VM belongs to the address space that created it: vfork and clone(CLONE_VM)
 * share that, fork does not (rt/self.h).
 */
#include "device/internal.h"
#include "rt/self.h"

void dev_forked(void)
{
	rt_self_renew();
}

u64 dev_mm(void)
{
	return rt_self->mm;
}

bool dev_fork_pending(void)
{
	return rt_self->mm == 0;
}
