// SPDX-License-Identifier: MIT
/*
 * device/tsc.c - the host's time-stamp counter and its rate
 *
 * The rate is measured between two moments.  The first is taken when gmem starts, so that there is
 * seldom anything to wait for at the second; and before a fork the rate is settled, since
 * children that each measured it anew would spend more time on that than on a small VM.
 */
#include <stdatomic.h>
#include <linux/time_types.h>

#include "device/internal.h"
#include "rt/syscall.h"

#define INTERVAL_NS 2000000ULL
#define STALE_NS    60000000000ULL /* the machine may have slept meanwhile */

struct moment {
	u64 ns, tsc;
};

static struct rt_lock start_lock = RT_LOCK_INIT;
static struct moment start;
static _Atomic u64 khz;

u64 dev_tsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

static u64 monotonic_ns(void)
{
	struct __kernel_timespec ts = { 0, 0 };

	rt_syscall_raw(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, (long)&ts, 0, 0, 0, 0);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

/* A moment by both clocks: of several tries the one that was disturbed least. */
static struct moment sample(void)
{
	struct moment ret = { 0, 0 };
	u64 best = ~0ULL;

	for (unsigned i = 0; i < 16; i++) {
		u64 before = dev_tsc(), now = monotonic_ns(), after = dev_tsc();

		if (after - before >= best)
			continue;
		best = after - before;
		ret.ns = now;
		ret.tsc = before + best / 2;
	}
	return ret;
}

/* CPUID leaf 0x15, where it is complete. */
static u64 told(void)
{
	u32 a = 0, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (a < 0x15)
		return 0;
	a = 0x15;
	c = 0;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return a && b && c ? (u64)c * b / a / 1000 : 0;
}

static u64 measured(void)
{
	struct moment from, to;

	rt_lock(&start_lock);
	if (!start.ns || monotonic_ns() - start.ns > STALE_NS)
		start = sample();
	from = start;
	rt_unlock(&start_lock);
	while (monotonic_ns() - from.ns < INTERVAL_NS)
		;
	to = sample();
	return (to.tsc - from.tsc) * 1000000 / (to.ns - from.ns);
}

u64 dev_tsc_khz(void)
{
	u64 unset = 0, rate;

	if (khz)
		return khz;
	rate = told();
	if (!rate)
		rate = measured();
	/* Whoever is first: the rate never changes. */
	atomic_compare_exchange_strong(&khz, &unset, rate ? rate : 1);
	return khz;
}

void dev_tsc_start(void)
{
	start = sample();
}

/* Only where nothing has to be waited for: most programs that fork have no VM. */
void dev_tsc_fork(void)
{
	u64 age;

	if (khz)
		return;
	age = monotonic_ns() - start.ns;
	if (age > STALE_NS)
		start = sample();
	else if (age > INTERVAL_NS)
		dev_tsc_khz();
}
