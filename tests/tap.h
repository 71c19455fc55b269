/* SPDX-License-Identifier: MIT */
/*
 * tests/tap.h - TAP for C test programs: hosted, one file each
 */
#ifndef GMEM_TESTS_TAP_H
#define GMEM_TESTS_TAP_H

#include <stdio.h>
#include <stdlib.h>

static int tap_count, tap_failed;

#define ok(cond, ...) tap_ok_((cond) != 0, __FILE__, __LINE__, #cond, __VA_ARGS__)
/* Two integers are equal; prints both when they are not. */
#define is(got, want, ...) tap_is_((long long)(got), (long long)(want), __FILE__, __LINE__, #got, __VA_ARGS__)

static inline int tap_ok_(int cond, const char *file, int line, const char *expr, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
static inline int tap_is_(long long got, long long want, const char *file, int line, const char *expr, const char *fmt,
			  ...) __attribute__((format(printf, 6, 7)));

#include <stdarg.h>

static inline void tap_line_(int cond, const char *fmt, va_list ap)
{
	printf("%sok %d - ", cond ? "" : "not ", ++tap_count);
	vprintf(fmt, ap);
	putchar('\n');
	if (!cond)
		tap_failed++;
#ifdef TAP_STOP /* one failure says enough: tests/mutate.pl */
	if (!cond)
		_Exit(1);
#endif
}

static inline int tap_ok_(int cond, const char *file, int line, const char *expr, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_line_(cond, fmt, ap);
	va_end(ap);
	if (!cond)
		printf("# %s:%d: %s\n", file, line, expr);
	fflush(stdout);
	return cond;
}

static inline int tap_is_(long long got, long long want, const char *file, int line, const char *expr, const char *fmt,
			  ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_line_(got == want, fmt, ap);
	va_end(ap);
	if (got != want)
		printf("# %s:%d: %s is %lld (%#llx), expected %lld (%#llx)\n", file, line, expr, got, got, want, want);
	fflush(stdout);
	return got == want;
}

/* The whole program cannot run here. */
#define skip_all(...)                                                                                                  \
	do {                                                                                                           \
		printf("1..0 # SKIP ");                                                                                \
		printf(__VA_ARGS__);                                                                                   \
		putchar('\n');                                                                                         \
		exit(77);                                                                                              \
	} while (0)
/* Some of the cases cannot run here: counts as n skipped ones. */
#define skip(n, ...)                                                                                                   \
	do {                                                                                                           \
		for (int tap_i_ = 0; tap_i_ < (n); tap_i_++) {                                                         \
			printf("ok %d # SKIP ", ++tap_count);                                                          \
			printf(__VA_ARGS__);                                                                           \
			putchar('\n');                                                                                 \
		}                                                                                                      \
	} while (0)
#define diag(...)                                                                                                      \
	do {                                                                                                           \
		printf("# ");                                                                                          \
		printf(__VA_ARGS__);                                                                                   \
		putchar('\n');                                                                                         \
	} while (0)

/* Last statement of main(): prints the plan. */
static inline int done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
