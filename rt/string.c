// SPDX-License-Identifier: MIT
/*
 * rt/string.c - memory and string primitives
 */
#include "rt/string.h"

#ifndef RT_HOSTED
/* `rep movsb` and `rep stosb` keep the compiler from turning these into calls of themselves. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *memset(void *dst, int byte, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(byte) : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	char *d = (char *)dst + n - 1;
	const char *s = (const char *)src + n - 1;

	if ((uintptr_t)dst - (uintptr_t)src >= n)
		return memcpy(dst, src, n);
	__asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	return dst;
}

/* What the compiler calls for __builtin_popcountll() on processors that need not have the instruction. */
int __popcountdi2(s64 value)
{
	u64 v = (u64)value;

	v -= v >> 1 & 0x5555555555555555ULL;
	v = (v & 0x3333333333333333ULL) + (v >> 2 & 0x3333333333333333ULL);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (int)(v * 0x0101010101010101ULL >> 56);
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}
#endif

size_t rt_strlen(const char *s)
{
	const char *end = s;

	while (*end) {
		/* An empty asm per byte: without it the loop becomes a call of strlen(). */
		__asm__ volatile("");
		end++;
	}
	return (size_t)(end - s);
}

bool rt_streq(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

const char *rt_after_prefix(const char *s, const char *prefix)
{
	while (*prefix) {
		if (*s++ != *prefix++)
			return NULL;
	}
	return s;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

bool rt_parse_u64(const char *s, u64 *ret)
{
	u64 base = 10, value = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	if (!*s)
		return false;
	for (; *s; s++) {
		u64 digit = (u64)digit_value(*s);

		if (digit >= base || value > (~0ULL - digit) / base)
			return false;
		value = value * base + digit;
	}
	*ret = value;
	return true;
}
