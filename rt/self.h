/* SPDX-License-Identifier: MIT */
/*
 * rt/self.h - what this process knows of itself, and how a forked child finds out
 *
 * The facts lie in a page that the kernel clears in a forked child
 * (MADV_WIPEONFORK), also when the fork was made by a system call that nobody
 * saw; vfork(2) and threads share it.  Before Linux 4.14 only forks through libc are noticed.
 */
#ifndef GMEM_RT_SELF_H
#define GMEM_RT_SELF_H

#include "rt/types.h"

struct rt_self {
	u64 mm;	  /* number of the address space, 0 in a child that has not been set up */
	u32 pid;  /* 0: not asked yet */
	u32 pad;
};
extern struct rt_self *rt_self;

/* A new number for this address space. */
void rt_self_renew(void);
/* getpid(2) without the system call; a vfork(2) child gets its parent's, whose memory it is. */
u32 rt_self_pid(void);

#endif
