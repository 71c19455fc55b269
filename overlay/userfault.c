// SPDX-License-Identifier: MIT
/*
 * overlay/userfault.c - a userfaultfd of the program's own, and views
 *
 * Theory of operation.  Faults of a guest_memfd cannot be registered, and what is not registered cannot be
 * filled.  Those of a view's memfd could be, and engine dp has: so a request that is about a view is made
 * with another address, at which the kernel finds the same, in its own order, for whatever descriptor it is:
 *
 *  UFFD-1  What registers or unregisters is EINVAL when any view lies in its range: an address that is no page's.
 *  UFFD-2  What fills a page of a view is ENOENT: an address of ours, which nobody registers.
 *  UFFD-3  Everything else is the kernel's.
 */
#include <linux/userfaultfd.h>

#include "overlay/overlay.h"
#include "rt/user.h"
#include "uapi/mm.h"

#ifndef UFFDIO_MOVE
#define UFFDIO_MOVE _IOWR(UFFDIO, 0x05, char[40])
#endif

#define WORDS_MAX 5
#define NO_PAGE	  1 /* an address that cannot be one's */

struct request {
	u64 size; /* of the structure, in bytes */
	u64 word[WORDS_MAX];
};

/* Where the length stands; -1 for a request that has no range in a view to be refused. */
static int length_at(u32 cmd)
{
	switch (cmd) {
	case (u32)UFFDIO_REGISTER:
	case (u32)UFFDIO_UNREGISTER:
	case (u32)UFFDIO_ZEROPAGE:
	case (u32)UFFDIO_CONTINUE:
	case (u32)UFFDIO_WRITEPROTECT:
	case (u32)GMEM_UFFDIO_POISON:
		return 1;
	case (u32)UFFDIO_COPY:
	case (u32)UFFDIO_MOVE:
		return 2;
	}
	return -1;
}

static bool registers(u32 cmd)
{
	return cmd == (u32)UFFDIO_REGISTER || cmd == (u32)UFFDIO_UNREGISTER;
}

/* The address to ask the kernel with, 0 for the program's own. */
static u64 other_address(u32 cmd, u64 start, u64 len)
{
	if (registers(cmd))
		return host_view_overlaps((void *)start, len) ? NO_PAGE : 0; /* UFFD-1 */
	return host_view_overlaps((void *)start, 1) ? rt_align_down((u64)(uintptr_t)length_at, RT_PAGE_SIZE) : 0; /* UFFD-2 */
}

/* No range, wherever it lies. */
static bool kernel_refuses(u64 start, u64 len)
{
	return ((start | len) & RT_PAGE_MASK) || !len || start + len < start;
}

bool ov_is_userfault(u32 cmd)
{
	return (cmd >> 8 & 0xff) == UFFDIO;
}

bool ov_userfault_ioctl(int fd, u32 cmd, u64 arg, long *ret)
{
	struct request r = { .size = cmd >> 16 & 0x3fff };
	int at = length_at(cmd);
	struct ov_guard guard;
	u64 other;
	bool bad;

	if (at < 0 || r.size > sizeof(r.word))
		return false;
	ov_enter(&guard);
	bad = rt_copy_in(r.word, arg, r.size) < 0;
	ov_leave(&guard);
	if (bad || kernel_refuses(r.word[0], r.word[at]))
		return false;
	other = other_address(cmd, r.word[0], r.word[at]);
	if (!other)
		return false;
	r.word[0] = other;
	*ret = ov_raw(__NR_ioctl, fd, cmd, r.word);
	ov_enter(&guard);
	/* What was filled stands behind the address. */
	if (!registers(cmd) && rt_copy_out(arg + sizeof(u64), r.word + 1, r.size - sizeof(u64)) < 0)
		*ret = -EFAULT;
	ov_leave(&guard);
	return true;
}
