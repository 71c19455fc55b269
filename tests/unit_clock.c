// SPDX-License-Identifier: MIT
/*
 * tests/unit_clock.c - the clock of inodes, and the auxiliary vector that leads to it
 */
#include <stdint.h>
#include <sys/auxv.h>
#include <time.h>

#include "rt/auxv.h"
#include "rt/clock.h"
#include "tests/tap.h"

static u64 coarse(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

static void test_auxv(void)
{
	is(rt_auxv(AT_PAGESZ), getauxval(AT_PAGESZ), "page size");
	is(rt_auxv(AT_ENTRY), getauxval(AT_ENTRY), "entry");
	is(rt_auxv(0x7ead), 0, "an entry that no kernel has");
}

/* Not monotonic: whoever sets the clock back meanwhile is asked to let the test run again. */
static void test_clock(const char *how)
{
	unsigned wrong = 0;

	for (int i = 0; i < 10000; i++) {
		u64 before = coarse(), now = rt_clock_coarse(), after = coarse();

		wrong += now < before || now > after;
	}
	is(wrong, 0, "%s: within the kernel's readings before and after", how);
}

int main(void)
{
	test_auxv();
	test_clock("system call");
	rt_clock_init();
	test_clock("vDSO");
	return done_testing();
}
