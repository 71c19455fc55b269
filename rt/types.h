/* SPDX-License-Identifier: MIT */
/*
 * rt/types.h - integer types, pages and ranges
 */
#ifndef GMEM_RT_TYPES_H
#define GMEM_RT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__x86_64__) || defined(__ILP32__)
#error "gmem is x86-64 only for now"
#endif

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define RT_PAGE_SHIFT 12
#define RT_PAGE_SIZE  (1ULL << RT_PAGE_SHIFT)
#define RT_PAGE_MASK  (RT_PAGE_SIZE - 1)

/* A run of pages [first, first + count); page numbers are u64 since sizes up to 2^63 - 4096 are legal. */
struct rt_pages {
	u64 first;
	u64 count;
};

static inline bool rt_page_aligned(u64 value)
{
	return (value & RT_PAGE_MASK) == 0;
}

/* Whether a + b exceeds 2^64 - 1. */
static inline bool rt_add_wraps(u64 a, u64 b)
{
	return a + b < a;
}

static inline u64 rt_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 rt_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

static inline u64 rt_align_down(u64 value, u64 to)
{
	return value & ~(to - 1);
}

static inline u64 rt_align_up(u64 value, u64 to)
{
	return (value + to - 1) & ~(to - 1);
}

#define RT_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RT_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
