// SPDX-License-Identifier: MIT
/*
 * rt/user.c - reading and writing the program's memory without trusting it
 */
#include "rt/user.h"

#include "rt/syscall.h"

extern const char rt_user_copy_insn[] __attribute__((visibility("hidden")));
extern const char rt_user_copy_done[] __attribute__((visibility("hidden")));

/* `rep movsb` leaves the bytes still to do in %rcx, also when it faults. */
__asm__(".text\n"
	".globl rt_user_copy\n"
	".hidden rt_user_copy\n"
	".type rt_user_copy, @function\n"
	"rt_user_copy:\n"
	"	mov %rdx, %rcx\n"
	".globl rt_user_copy_insn\n"
	".hidden rt_user_copy_insn\n"
	"rt_user_copy_insn:\n"
	"	rep movsb\n"
	".globl rt_user_copy_done\n"
	".hidden rt_user_copy_done\n"
	"rt_user_copy_done:\n"
	"	mov %rcx, %rax\n"
	"	ret\n"
	".size rt_user_copy, .-rt_user_copy\n");

bool rt_user_copies(u64 rip)
{
	return rip == (u64)(uintptr_t)rt_user_copy_insn;
}

bool rt_user_fixup(u64 *rip)
{
	if (!rt_user_copies(*rip))
		return false;
	*rip = (u64)(uintptr_t)rt_user_copy_done;
	return true;
}

/* Kernel addresses would be #GP, whose si_addr is 0; the kernel's access_ok() refuses them first. */
#define USER_LIMIT 0x7ffffffff000ULL

static bool user_range(u64 addr, size_t n)
{
	return addr <= USER_LIMIT && n <= USER_LIMIT - addr;
}

int rt_copy_in(void *dst, u64 src, size_t n)
{
	if (!user_range(src, n) || rt_user_copy(dst, (const void *)(uintptr_t)src, n))
		return -EFAULT;
	return 0;
}

int rt_copy_out(u64 dst, const void *src, size_t n)
{
	if (!user_range(dst, n) || rt_user_copy((void *)(uintptr_t)dst, src, n))
		return -EFAULT;
	return 0;
}

int rt_copy_string_in(char *dst, u64 src, size_t size)
{
	for (size_t done = 0; done < size;) {
		/* Up to the end of the page: what lies behind may not be mapped. */
		size_t n = rt_min(size - done, RT_PAGE_SIZE - ((src + done) & RT_PAGE_MASK));
		size_t left = user_range(src + done, n) ? rt_user_copy(dst + done, (const void *)(uintptr_t)(src + done), n) : n;

		for (size_t i = done; i < done + n - left; i++) {
			if (!dst[i])
				return 0;
		}
		if (left)
			return -EFAULT;
		done += n;
	}
	return -ENAMETOOLONG;
}
