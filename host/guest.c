// SPDX-License-Identifier: MIT
/*
 * host/guest.c - the guest's view of a file: what vCPUs reach the backing through
 *
 * Windows of the backing, mapped when a page of them is first asked for and kept
 * until the file goes: a file may be larger than the address space.  Nothing is
 * enforced in them.  Looking up is lock-free; windows are never replaced.
 * A forked child has none of them (MADV_DONTFORK) and runs no vCPU of its parent's.
 */
#include <linux/mman.h>

#include "host/host.h"
#include "rt/alloc.h"
#include "rt/syscall.h"

#define WINDOW_SHIFT 30
#define WINDOW_SIZE  HOST_GUEST_WINDOW
_Static_assert(WINDOW_SIZE == 1ULL << WINDOW_SHIFT, "window");
#define BUCKETS	     512U

struct window {
	u64 number;
	u64 len;
	u8 *base;
	struct window *next;
};

struct host_guest {
	struct window *_Atomic bucket[BUCKETS];
};

static struct window *find(struct host_guest *guest, u64 number)
{
	struct window *w = guest->bucket[number % BUCKETS];

	while (w && w->number != number)
		w = w->next;
	return w;
}

static u8 *map_window(struct host_file *file, u64 number, u64 len)
{
	/* PROT_NONE: mlockall(MCL_FUTURE) would fill it, and the file with it. */
	long ret = rt_mmap(NULL, len, PROT_NONE, MAP_SHARED | MAP_NORESERVE, file->backing, number << WINDOW_SHIFT);

	if (rt_is_err(ret))
		return NULL;
	if (rt_syscall_raw(__NR_mprotect, ret, (long)len, PROT_READ | PROT_WRITE, 0, 0, 0)) {
		rt_munmap((void *)ret, len);
		return NULL;
	}
	rt_syscall_raw(__NR_madvise, ret, (long)len, MADV_DONTFORK, 0, 0, 0);
	rt_syscall_raw(__NR_madvise, ret, (long)len, MADV_DONTDUMP, 0, 0, 0);
	return (u8 *)ret;
}

/* With guest_lock held. */
static struct window *add_window(struct host_file *file, u64 number)
{
	struct window *w = rt_alloc(sizeof(*w));

	if (!w)
		return NULL;
	w->number = number;
	w->len = rt_min(WINDOW_SIZE, file->size - (number << WINDOW_SHIFT));
	w->base = map_window(file, number, w->len);
	if (!w->base) {
		rt_free(w, sizeof(*w));
		return NULL;
	}
	w->next = file->guest->bucket[number % BUCKETS];
	file->guest->bucket[number % BUCKETS] = w;
	return w;
}

u8 *host_guest_page(struct host_file *file, u64 page)
{
	u64 off = page << RT_PAGE_SHIFT, number = off >> WINDOW_SHIFT;
	struct window *w = file->guest ? find(file->guest, number) : NULL;

	if (!w) {
		rt_lock(&file->guest_lock);
		if (!file->guest)
			file->guest = rt_alloc(sizeof(*file->guest));
		w = file->guest ? find(file->guest, number) : NULL;
		if (file->guest && !w)
			w = add_window(file, number);
		rt_unlock(&file->guest_lock);
	}
	return w ? w->base + (off & (WINDOW_SIZE - 1)) : NULL;
}

static void drop(struct host_file *file, bool mapped)
{
	for (unsigned i = 0; file->guest && i < BUCKETS; i++) {
		struct window *w = file->guest->bucket[i], *next;

		for (; w; w = next) {
			next = w->next;
			if (mapped)
				rt_munmap(w->base, w->len);
			rt_free(w, sizeof(*w));
		}
	}
	rt_free(file->guest, sizeof(*file->guest));
	file->guest = NULL;
	file->guest_lock = (struct rt_lock)RT_LOCK_INIT;
}

void host_guest_drop(struct host_file *file)
{
	drop(file, true);
}

void host_guest_forked(struct host_file *file)
{
	drop(file, false);
}
