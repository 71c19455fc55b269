// SPDX-License-Identifier: MIT
/*
 * overlay/critical.c - threads that hold locks of gmem, known without TLS and without a system call
 *
 * Blocking signals around a conversion would cost as much as half of it.  On the
 * hot paths a thread instead enters itself here, by its FS base, which is unique among living
 * threads; a signal that comes for a handler of the program meanwhile is put off to the end
 * (overlay/signal.c).
 *
 *  1. An entry is written and removed by its own thread only, and read by that
 *     thread's signal handlers: no ordering between threads is needed.
 *  2. Where the FS base cannot be read by an instruction, or the table is full,
 *     the caller blocks signals as elsewhere.
 *  3. A bad pointer that gmem meets raises SIGSEGV or SIGBUS, which must not be blocked
 *     then.  Once a program has blocked either of them anywhere, this way is closed for good: a
 *     mask is inherited by threads and handlers in too many ways to follow.
 */
#include <linux/auxvec.h>

#include "overlay/overlay.h"
#include "rt/auxv.h"

#define SLOTS  1024
#define PROBES 8
#define HWCAP2_FSGSBASE_ (1U << 1)

#ifndef AT_HWCAP2
#define AT_HWCAP2 26
#endif

static _Atomic u64 slots[SLOTS];
static bool readable; /* the FS base */
static _Atomic bool usable;

static u64 fs_base(void)
{
	u64 base;

	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

void ov_critical_mask(u64 blocked)
{
	if (blocked & ~OV_GUARD_MASK)
		usable = false;
}

/* Whether the kernel lets user space read its FS base. */
void ov_critical_init(void)
{
	u64 mask = 0;

	rt_syscall_raw(__NR_rt_sigprocmask, 0, 0, (long)&mask, sizeof(mask), 0, 0);
	readable = (rt_auxv(AT_HWCAP2) & HWCAP2_FSGSBASE_) != 0;
	usable = readable;
	ov_critical_mask(mask);
}

static unsigned first_slot(u64 base)
{
	return (unsigned)((base >> 6) * 0x9e3779b97f4a7c15ULL >> 54);
}

static int find(u64 base)
{
	unsigned at = first_slot(base);

	for (unsigned i = 0; i < PROBES; i++) {
		if (__atomic_load_n((u64 *)(uintptr_t)&slots[(at + i) % SLOTS], __ATOMIC_RELAXED) == base)
			return (int)((at + i) % SLOTS);
	}
	return -1;
}

int ov_critical_enter(void)
{
	u64 base, unused;
	unsigned at;

	if (!usable)
		return OV_CRITICAL_NO;
	base = fs_base();
	if (!base)
		return OV_CRITICAL_NO;
	if (find(base) >= 0)
		return OV_CRITICAL_NESTED;
	at = first_slot(base);
	for (unsigned i = 0; i < PROBES; i++) {
		unused = 0;
		if (__atomic_compare_exchange_n((u64 *)(uintptr_t)&slots[(at + i) % SLOTS], &unused, base, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return (int)((at + i) % SLOTS);
	}
	return OV_CRITICAL_NO;
}

void ov_critical_leave(int slot)
{
	__atomic_store_n((u64 *)(uintptr_t)&slots[slot], 0, __ATOMIC_RELEASE);
}

bool ov_critical_usable(void)
{
	return usable;
}

bool ov_critical_here(void)
{
	return readable && find(fs_base()) >= 0;
}

/* Only the thread that forked lives on; it leaves by itself if it is in here. */
void ov_critical_forked(void)
{
	u64 own = readable ? fs_base() : 0;

	for (unsigned i = 0; i < SLOTS; i++) {
		if (slots[i] && slots[i] != own)
			slots[i] = 0;
	}
}
