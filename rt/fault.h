/* SPDX-License-Identifier: MIT */
/*
 * rt/fault.h - system calls and allocations that are made to fail, in tests only
 *
 * Compiled in where RT_FAULTS is defined: unit tests, and a preload object of their own for whole programs
 * (tests/run_sweep.c).  Each rt_syscall() and rt_alloc() is one operation; the nth since arming fails, with an errno
 * that any Linux system call may give.
 */
#ifndef GMEM_RT_FAULT_H
#define GMEM_RT_FAULT_H

#include "rt/types.h"

/* Of this process, or in a file that GMEM_FAULTS names and that all processes of a run have mapped. */
struct rt_faults {
	_Atomic s64 left;	 /* operations up to and with the one that fails */
	_Atomic u32 armed;
	_Atomic u32 lasting;	 /* all that follow fail, too */
	_Atomic u32 descriptors; /* only system calls that make one count */
	_Atomic s32 error;	 /* what they give; 0: ENOMEM */
	_Atomic u32 fired;
	_Atomic s32 nr;		 /* the first that failed: its number, -1 for an allocation */
	_Atomic u64 where;	 /* and where it stands, from the object's beginning */
};

#define RT_FAULT_ALLOC (-1)

#ifdef RT_FAULTS
/* The nth operation from now on fails, ENOMEM; 0: none. */
void rt_fault_arm(unsigned long n);
bool rt_fault_fired(void);
/* Whether the operation fails; how.  where: in the caller when NULL. */
bool rt_fault_now(long nr, const void *where);
long rt_fault_error(void);
/* Takes GMEM_FAULTS=FILE from the environment; any other variable is none of its. */
void rt_fault_configure(const char *var);
#else
static inline bool rt_fault_now(long nr, const void *where)
{
	return false;
}

static inline long rt_fault_error(void)
{
	return 0;
}

static inline void rt_fault_configure(const char *var)
{
}
#endif

#endif
