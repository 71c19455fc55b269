// SPDX-License-Identifier: MIT
/*
 * device/pvclock.c - the clock that guests read in their own memory (kvmclock)
 *
 * Theory of operation.  The VM has one pair: a reading of the host's counter, and the VM's clock at that
 * moment.  Each vCPU is told it in terms of its own counter, so that the vCPUs' clocks agree to the
 * nanosecond and TSC_STABLE may be said; KVM_GET_CLOCK computes from the same pair.
 *  1. What a vCPU was told is renewed before its next instruction when the pair changes (KVM_SET_CLOCK), or its counter.
 *  2. The version is odd while the rest is being written.
 */
#include <stdatomic.h>
#include <linux/time_types.h>

#include "device/internal.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"

#define FEATURE_CLOCKSOURCE  0
#define FEATURE_CLOCKSOURCE2 3
#define MSR_WALL_CLOCK_OLD  0x11
#define MSR_SYSTEM_TIME_OLD 0x12
#define MSR_WALL_CLOCK	    0x4b564d00
#define MSR_SYSTEM_TIME	    0x4b564d01
#define ENABLED		    1ULL
#define NS_PER_S	    1000000000ULL
#define TSC_STABLE	    1

struct guest_time {
	u32 version, pad;
	u64 tsc, ns;
	u32 mul;
	signed char shift;
	u8 flags;
	u8 pad2[2];
};

struct guest_wall {
	u32 version, sec, nsec;
};

/* ns = (tsc << shift) * mul >> 32, with mul as large as it can be. */
static void scale_of(u64 hz, u32 *mul, signed char *shift)
{
	*shift = 0;
	for (; hz <= NS_PER_S; hz <<= 1)
		++*shift;
	for (; hz > 2 * NS_PER_S; hz >>= 1)
		--*shift;
	*mul = (u32)((NS_PER_S << 32) / hz);
}

u64 dev_clock_read(const struct dev_vm *vm, u64 tsc)
{
	u64 delta = tsc - vm->clock_tsc;
	u32 mul;
	signed char shift;

	scale_of(dev_tsc_khz() * 1000, &mul, &shift);
	delta = shift < 0 ? delta >> -shift : delta << shift;
	return vm->clock_ns + (u64)((unsigned __int128)delta * mul >> 32);
}

void dev_write_guest(struct dev_vcpu *v, u64 gpa, const void *data, size_t size)
{
	struct core_place place;

	if (gpa % RT_PAGE_SIZE + size > RT_PAGE_SIZE)
		return;
	core_resolve_own(&v->vm->core, 0, gpa, true, &place);
	if (place.backing != CORE_BACKING_HVA)
		return;
	v->in_map = true;
	if (rt_copy_out(place.hva, data, size) == 0 && (place.slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
		dev_dirty_mark(v, place.slot, gpa);
	v->in_map = false;
}

static void publish(struct dev_vcpu *v)
{
	const u64 gpa = v->pv_time & ~ENABLED;
	struct guest_time time = { .version = v->pv_version + 1, .tsc = v->vm->clock_tsc + v->cpu->tsc_offset,
				   .ns = v->vm->clock_ns, .flags = TSC_STABLE };

	v->pv_version += 2;
	scale_of(dev_tsc_khz() * 1000, &time.mul, &time.shift);
	dev_write_guest(v, gpa, &time, sizeof(time));
	atomic_thread_fence(memory_order_release);
	time.version++;
	dev_write_guest(v, gpa, &time.version, sizeof(time.version));
}

void dev_pvclock_enter(struct dev_vcpu *v)
{
	if (!(v->pv_time & ENABLED) || (v->pv_seen == v->vm->clock_changes && v->pv_offset == v->cpu->tsc_offset))
		return;
	v->pv_seen = v->vm->clock_changes;
	v->pv_offset = v->cpu->tsc_offset;
	publish(v);
}

/* When the VM's clock stood at 0. */
static void write_wall(struct dev_vcpu *v, u64 gpa)
{
	struct __kernel_timespec ts = { 0, 0 };
	struct guest_wall wall = { .version = 1 };
	u64 start;

	rt_syscall_raw(__NR_clock_gettime, 0 /* CLOCK_REALTIME */, (long)&ts, 0, 0, 0, 0);
	start = (u64)ts.tv_sec * NS_PER_S + (u64)ts.tv_nsec - dev_clock_read(v->vm, dev_tsc());
	wall.sec = (u32)(start / NS_PER_S);
	wall.nsec = (u32)(start % NS_PER_S);
	dev_write_guest(v, gpa, &wall, sizeof(wall));
	atomic_thread_fence(memory_order_release);
	wall.version = 2;
	dev_write_guest(v, gpa, &wall.version, sizeof(wall.version));
}

/* The old MSRs are one feature, the new ones another; the kernel asks of the program's accesses, too. */
static bool offered(struct dev_vcpu *v, u32 msr)
{
	return dev_pv_has(v, msr == MSR_WALL_CLOCK || msr == MSR_SYSTEM_TIME ? FEATURE_CLOCKSOURCE2 : FEATURE_CLOCKSOURCE);
}

bool dev_pvclock_rdmsr(struct dev_vcpu *v, u32 msr, u64 *ret)
{
	if (!offered(v, msr))
		return false;
	switch (msr) {
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK:
		*ret = v->vm->pv_wall;
		return true;
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME:
		*ret = v->pv_time;
		return true;
	}
	return false;
}

bool dev_pvclock_wrmsr(struct dev_vcpu *v, u32 msr, bool host, u64 value)
{
	if (!offered(v, msr))
		return false;
	switch (msr) {
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK:
		v->vm->pv_wall = value;
		/* The program restores a number: the guest has its answer already. */
		if (!host && value)
			write_wall(v, value);
		return true;
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME:
		v->pv_time = value;
		v->pv_seen = v->vm->clock_changes - 1;
		/* The program's write takes effect with the next KVM_RUN. */
		if (!host)
			dev_pvclock_enter(v);
		return true;
	}
	return false;
}
