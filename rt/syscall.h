/* SPDX-License-Identifier: MIT */
/*
 * rt/syscall.h - the system calls of gmem itself
 *
 * Every call that gmem makes for its own purposes goes through rt_syscall(),
 * which contains the one `syscall` instruction of that kind in the object:
 * a program's seccomp filter is told to let exactly this instruction through
 * (overlay/seccomp.c).  Calls made on behalf of the program never use it.
 *
 * All functions return the result or -errno and touch neither errno nor TLS.
 */
#ifndef GMEM_RT_SYSCALL_H
#define GMEM_RT_SYSCALL_H

#include <asm/errno.h>
#include <asm/unistd.h>

#include "rt/fault.h"

long rt_syscall_raw(long nr, long a, long b, long c, long d, long e, long f);

/*
 * The instruction: `syscall; ret` at the beginning of a page of the object, and what is used, which may be a copy of it
 * elsewhere.  seccomp reports the address behind the `syscall` as instruction_pointer.
 */
#define RT_SYSCALL_LEN 2
extern const char rt_syscall_stub[] __attribute__((visibility("hidden")));
extern const char *rt_syscall_gate __attribute__((visibility("hidden")));

/* rt_syscall(nr, up to six arguments): the result or -errno. */
#define rt_syscall(...) RT_SYSCALL_PAD_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define RT_SYSCALL_PAD_(nr, a, b, c, d, e, f, ...)                                                                     \
	(rt_fault_now((nr), NULL) ? rt_fault_error()                                                                   \
				  : rt_syscall_raw((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)))

static inline bool rt_is_err(long ret)
{
	return (unsigned long)ret >= (unsigned long)-4095L;
}

static inline long rt_close(int fd)
{
	/* Never fault-injected: a close that fails would leak and has no recovery. */
	return rt_syscall_raw(__NR_close, fd, 0, 0, 0, 0, 0);
}

static inline long rt_munmap(void *addr, size_t len)
{
	return rt_syscall_raw(__NR_munmap, (long)addr, (long)len, 0, 0, 0, 0);
}

static inline long rt_mmap(void *addr, size_t len, int prot, int flags, int fd, u64 off)
{
	return rt_syscall(__NR_mmap, addr, len, prot, flags, fd, off);
}

static inline long rt_madvise(void *addr, size_t len, int advice)
{
	return rt_syscall(__NR_madvise, addr, len, advice);
}

static inline long rt_gettid(void)
{
	return rt_syscall_raw(__NR_gettid, 0, 0, 0, 0, 0, 0);
}

static inline long rt_getpid(void)
{
	return rt_syscall_raw(__NR_getpid, 0, 0, 0, 0, 0, 0);
}

#endif
