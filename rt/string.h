/* SPDX-License-Identifier: MIT */
/*
 * rt/string.h - memory and string primitives of the freestanding parts
 *
 * In the preload object rt/string.c defines memcpy() and friends itself, hidden,
 * since the compiler may call them; hosted test programs use libc's.
 */
#ifndef GMEM_RT_STRING_H
#define GMEM_RT_STRING_H

#include "rt/types.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
int __popcountdi2(s64 value);

size_t rt_strlen(const char *s);
bool rt_streq(const char *a, const char *b);
/* The rest of s after prefix, or NULL when s does not start with it. */
const char *rt_after_prefix(const char *s, const char *prefix);
/* Parse an unsigned number, decimal or 0x hex, up to the end of s; false on anything else or overflow. */
bool rt_parse_u64(const char *s, u64 *ret);

#endif
