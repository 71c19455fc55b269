/* SPDX-License-Identifier: MIT */
/*
 * rt/alloc.h - memory for gmem's own objects, straight from mmap(2)
 *
 * Safe on every intercepted path: the program may hold any lock of its libc.
 * Memory is zeroed.  NULL when there is none.  rt_free() takes the size that
 * was asked for and accepts NULL.
 */
#ifndef GMEM_RT_ALLOC_H
#define GMEM_RT_ALLOC_H

#include "rt/types.h"

void *rt_alloc(size_t size);
void rt_free(void *ptr, size_t size);
/* Around fork(2): hold the allocator's lock, and free it on both sides whatever its state. */
void rt_alloc_fork_prepare(void);
void rt_alloc_fork_done(void);
/* Bytes handed out and not yet freed: what the leak tests look at. */
u64 rt_alloc_live(void);

#endif
