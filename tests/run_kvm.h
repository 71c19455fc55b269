/* SPDX-License-Identifier: MIT */
/*
 * tests/run_kvm.h - what the run_* programs share: calls, faults and one line per case
 *
 * The programs know nothing of gmem: the same binary runs on a real kernel and
 * under `gmem run`, and what it prints must not differ.  So nothing printed may
 * depend on an address, a pid, a time or an order of threads.
 */
#ifndef GMEM_TESTS_RUN_KVM_H
#define GMEM_TESTS_RUN_KVM_H

#include "check/calls.h"

/* One case: its name, the result, the error's name where it failed. */
#define CASE(call, ...)                                                                                                \
	({                                                                                                             \
		errno = 0;                                                                                             \
		long case_ret_ = (long)(call);                                                                         \
		int case_err_ = errno;                                                                                 \
		case_(case_ret_, case_err_, __VA_ARGS__);                                                              \
		case_ret_;                                                                                             \
	})
/* As CASE for what returns a new fd or an address: prints ok or the error. */
#define CASE_OK(call, ...)                                                                                             \
	({                                                                                                             \
		errno = 0;                                                                                             \
		long case_ret_ = (long)(call);                                                                         \
		int case_err_ = errno;                                                                                 \
		case_(case_ret_ == -1 ? -1 : 0, case_err_, __VA_ARGS__);                                               \
		case_ret_;                                                                                             \
	})

static UNUSED __attribute__((format(printf, 3, 4))) void case_(long ret, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	if (ret == -1)
		printf(": %s\n", strerrorname_np(err));
	else
		printf(": %ld\n", ret);
	fflush(stdout);
}

static UNUSED __attribute__((format(printf, 1, 2))) void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* Memory where nobody maps anything unasked: what is unmapped behind it stays so. */
static UNUSED char *map_apart(size_t len)
{
	static char *place = (char *)0x200000000000;
	char *ptr = mmap(place, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (ptr == MAP_FAILED)
		die("mmap");
	place += len + GiB;
	return ptr;
}

static UNUSED void group(const char *name)
{
	printf("== %s\n", name);
}

/* One line about a touch; where is printed relative to base. */
static UNUSED void touch_line(const char *name, struct touch t, const char *base)
{
	if (!t.sig)
		note("%s: %#x", name, t.value);
	else
		note("%s: %s code %d at +%#lx%s", name, t.sig == SIGBUS ? "SIGBUS" : "SIGSEGV", t.code,
		     (unsigned long)(t.addr - (uintptr_t)base), t.lsb ? " (memory error)" : "");
}

static UNUSED void case_read(const char *name, char *base, size_t at)
{
	touch_line(name, touch(base + at, -1), base);
}

static UNUSED void case_write(const char *name, char *base, size_t at, int value)
{
	struct touch t = touch(base + at, value);

	if (!t.sig)
		t.value = (unsigned char)value;
	touch_line(name, t, base);
}

#endif
