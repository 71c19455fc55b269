/* SPDX-License-Identifier: MIT */
/*
 * rt/lock.h - a futex lock that needs neither libc nor TLS
 *
 * States: 0 free, 1 held, 2 held with waiters.  Not recursive.  May lie in
 * memory shared by processes when initialised with shared = true; the death of
 * a holder is then the user's business (host/convert.c).
 */
#ifndef GMEM_RT_LOCK_H
#define GMEM_RT_LOCK_H

#include "rt/types.h"

struct rt_lock {
	_Atomic u32 state;
	u32 shared; /* futex crosses processes */
};

#define RT_LOCK_INIT { 0, 0 }

void rt_lock(struct rt_lock *lock);
bool rt_trylock(struct rt_lock *lock);
void rt_unlock(struct rt_lock *lock);

/* Futex primitives: -errno as the kernel gives it; timeout in nanoseconds, 0 for none. */
long rt_futex_wait(_Atomic u32 *word, u32 expected, u64 timeout_ns, bool shared);
long rt_futex_wake(_Atomic u32 *word, int count, bool shared);

#endif
