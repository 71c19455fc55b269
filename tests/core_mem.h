/* SPDX-License-Identifier: MIT */
/*
 * tests/core_mem.h - an allocator for core tests that counts and can fail
 */
#ifndef GMEM_TESTS_CORE_MEM_H
#define GMEM_TESTS_CORE_MEM_H

#include <stdlib.h>

#include "core/vm.h"

static long mem_live;		   /* bytes handed out and not given back */
static unsigned long mem_calls;	   /* allocations since mem_fail() */
static unsigned long mem_fail_nth; /* that one fails; 0 for none */

static inline void mem_fail(unsigned long nth)
{
	mem_calls = 0;
	mem_fail_nth = nth;
}

static inline void *mem_alloc(size_t size)
{
	void *ptr;

	if (++mem_calls == mem_fail_nth)
		return NULL;
	ptr = calloc(1, size);
	if (!ptr)
		abort();
	mem_live += (long)size;
	return ptr;
}

static inline void mem_free(void *ptr, size_t size)
{
	if (!ptr)
		return;
	mem_live -= (long)size;
	free(ptr);
}

static const struct core_mem test_mem = { mem_alloc, mem_free };

#endif
