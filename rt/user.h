/* SPDX-License-Identifier: MIT */
/*
 * rt/user.h - reading and writing the program's memory without trusting it
 *
 * The copy runs on two known instructions; when one faults, the signal handler
 * (overlay/signal.c) calls rt_user_fixup() and the copy ends early.  What the kernel does with
 * copy_from_user() and its exception table.
 */
#ifndef GMEM_RT_USER_H
#define GMEM_RT_USER_H

#include "rt/types.h"

/* Copy n bytes where either side may be bad memory; returns the bytes NOT copied, 0 for success. */
size_t rt_user_copy(void *dst, const void *src, size_t n);

/*
 * For a SIGSEGV or SIGBUS handler: if *rip is the copy's instruction, let it
 * continue at its end and return true.  rt_user_copies(): whether it is.
 */
bool rt_user_fixup(u64 *rip);
bool rt_user_copies(u64 rip);

/* 0 or -EFAULT; addresses as the program passes them. */
int rt_copy_in(void *dst, u64 src, size_t n);
int rt_copy_out(u64 dst, const void *src, size_t n);
/* Copy a string of the program; -EFAULT, or -ENAMETOOLONG when it does not end within size bytes. */
int rt_copy_string_in(char *dst, u64 src, size_t size);

#endif
