// SPDX-License-Identifier: MIT
/*
 * rt/alloc.c - size classes of powers of two over mmap(2)
 *
 * Small blocks (32 bytes to half a chunk) come from 64 KiB chunks, one free
 * list a class, never given back: gmem's objects are few.  Larger ones are
 * mappings of their own.  One lock, held for a few instructions; callers that
 * may be interrupted by the program's signal handlers block signals first
 * (overlay/guard.h), as for every lock of gmem.
 */
#include "rt/alloc.h"

#include <linux/mman.h>

#include "rt/lock.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define CHUNK_SIZE  (64UL << 10)
#define CLASS_FIRST 5 /* 32 bytes */
#define CLASS_LAST  15 /* 32 KiB */

/* In tests under the address sanitizer what is not handed out cannot be touched, but for the free lists' links. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
void __asan_poison_memory_region(void const volatile *addr, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
#define POISON(ptr, from, to) __asan_poison_memory_region((char *)(ptr) + (from), (to) - (from))
#define UNPOISON(ptr, size)   __asan_unpoison_memory_region(ptr, size)
#else
#define POISON(ptr, from, to) ((void)(ptr))
#define UNPOISON(ptr, size)   ((void)(ptr))
#endif

struct free_block {
	struct free_block *next;
};

static struct rt_lock alloc_lock = RT_LOCK_INIT;
static struct free_block *free_lists[CLASS_LAST + 1];
static _Atomic u64 live_bytes;

static unsigned class_of(size_t size)
{
	unsigned c = CLASS_FIRST;

	while ((1UL << c) < size)
		c++;
	return c;
}

static void *map_pages(size_t size)
{
	long ret = rt_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return rt_is_err(ret) ? NULL : (void *)ret;
}

/* Cut a fresh chunk into blocks of one class; called with the lock held. */
static bool refill(unsigned c)
{
	char *chunk = map_pages(CHUNK_SIZE);

	if (!chunk)
		return false;
	for (size_t at = 0; at < CHUNK_SIZE; at += 1UL << c) {
		struct free_block *block = (struct free_block *)(chunk + at);

		block->next = free_lists[c];
		free_lists[c] = block;
		POISON(block, sizeof(*block), 1UL << c);
	}
	return true;
}

static void *alloc_small(unsigned c)
{
	struct free_block *block = NULL;

	rt_lock(&alloc_lock);
	if (free_lists[c] || refill(c)) {
		block = free_lists[c];
		free_lists[c] = block->next;
	}
	rt_unlock(&alloc_lock);
	if (block) {
		UNPOISON(block, 1UL << c);
		memset(block, 0, 1UL << c);
	}
	return block;
}

/* What is set aside for a block of that size. */
static size_t room_of(size_t size)
{
	return size > (1UL << CLASS_LAST) ? rt_align_up(size, RT_PAGE_SIZE) : 1UL << class_of(size);
}

void *rt_alloc(size_t size)
{
	void *ptr;

	if (rt_fault_now(RT_FAULT_ALLOC, __builtin_return_address(0)))
		return NULL;
	if (size > (1UL << CLASS_LAST))
		ptr = map_pages(room_of(size));
	else
		ptr = alloc_small(class_of(size));
	if (!ptr)
		return NULL;
	POISON(ptr, size, room_of(size));
	live_bytes += size;
	return ptr;
}

void rt_free(void *ptr, size_t size)
{
	struct free_block *block = ptr;

	if (!ptr)
		return;
	live_bytes -= size;
	if (size > (1UL << CLASS_LAST)) {
		UNPOISON(ptr, room_of(size));
		rt_munmap(ptr, room_of(size));
		return;
	}
	UNPOISON(ptr, sizeof(*block));
	POISON(ptr, sizeof(*block), room_of(size));
	rt_lock(&alloc_lock);
	block->next = free_lists[class_of(size)];
	free_lists[class_of(size)] = block;
	rt_unlock(&alloc_lock);
}

u64 rt_alloc_live(void)
{
	return live_bytes;
}

void rt_alloc_fork_prepare(void)
{
	rt_lock(&alloc_lock);
}

void rt_alloc_fork_done(void)
{
	/* In the parent others may be waiting for it. */
	rt_unlock(&alloc_lock);
}
