// SPDX-License-Identifier: MIT
/*
 * rt/lock.c - futex lock
 */
#include "rt/lock.h"

#include <stdatomic.h>

#include <linux/futex.h>
#include <linux/time_types.h>

#include "rt/syscall.h"

/* Not fault-injected: futexes that fail would only spin, and a lock has no error path. */
long rt_futex_wait(_Atomic u32 *word, u32 expected, u64 timeout_ns, bool shared)
{
	struct __kernel_timespec ts = { .tv_sec = (s64)(timeout_ns / 1000000000ULL),
					.tv_nsec = (s64)(timeout_ns % 1000000000ULL) };
	int op = FUTEX_WAIT | (shared ? 0 : FUTEX_PRIVATE_FLAG);

	return rt_syscall_raw(__NR_futex, (long)word, op, expected, timeout_ns ? (long)&ts : 0, 0, 0);
}

long rt_futex_wake(_Atomic u32 *word, int count, bool shared)
{
	int op = FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG);

	return rt_syscall_raw(__NR_futex, (long)word, op, count, 0, 0, 0);
}

bool rt_trylock(struct rt_lock *lock)
{
	u32 free = 0;

	return atomic_compare_exchange_strong_explicit(&lock->state, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

void rt_lock(struct rt_lock *lock)
{
	if (rt_trylock(lock))
		return;
	while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0)
		rt_futex_wait(&lock->state, 2, 0, lock->shared);
}

void rt_unlock(struct rt_lock *lock)
{
	if (atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2)
		rt_futex_wake(&lock->state, 1, lock->shared);
}
