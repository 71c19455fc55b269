/* SPDX-License-Identifier: MIT */
/*
 * rt/thread.h - a thread of gmem's own inside the program
 *
 * It has no TLS and no libc state, shares everything with the process, blocks all
 * signals, and is not counted by the C library.
 */
#ifndef GMEM_RT_THREAD_H
#define GMEM_RT_THREAD_H

#include "rt/types.h"

#define RT_THREAD_STACK (64UL << 10)

/*
 * Run entry(arg) on a new thread.  *tid is set before this returns; the kernel
 * clears it and wakes its futex when the thread ends, also by a signal or exec, as long as the
 * process has another thread.  stack gets the mapping of RT_THREAD_STACK bytes to be
 * unmapped once *tid is 0.  -EAGAIN, -ENOMEM.
 */
int rt_thread_start(void (*entry)(void *arg), void *arg, _Atomic u32 *tid, void **stack);

/* How many there are in this process; in a forked child there are none. */
u32 rt_thread_running(void);
void rt_thread_forked(void);
/* The process ends with the last thread's code (Linux 5.17): what that shall be if it is one of ours. */
void rt_thread_exit_code(int code);

#endif
