// SPDX-License-Identifier: MIT
/*
 * device/cpuid.c - KVM_GET_SUPPORTED_CPUID and the time-stamp counter's rate
 *
 * The CPU offered to guests is x86-64-v2 with the host's vendor and family:
 * programs compare those with what they see natively.
 */
#include <linux/time_types.h>

#include "device/internal.h"
#include "rt/syscall.h"
#include "rt/user.h"

#define MAX_ENTRIES 256 /* KVM_MAX_CPUID_ENTRIES */

/* x86-64-v2 and what long mode needs; one bit a feature. */
#define LEAF1_ECX    (1U << 0 | 1U << 9 | 1U << 13 | 1U << 19 | 1U << 20 | 1U << 21 | 1U << 23 | 1U << 24 | 1U << 31)
#define LEAF1_EDX    0x0789fbffU /* FPU .. SSE2, without HTT */
#define LEAF80000001_ECX (1U << 0) /* LAHF in long mode */
#define LEAF80000001_EDX (1U << 11 | 1U << 20 | 1U << 26 | 1U << 27 | 1U << 29) /* SYSCALL NX 1G RDTSCP LM */
#define GUEST_PHYS_BITS 48U
#define GUEST_VIRT_BITS 48U

static void host_cpuid(struct kvm_cpuid_entry2 *e)
{
	__asm__("cpuid" : "=a"(e->eax), "=b"(e->ebx), "=c"(e->ecx), "=d"(e->edx) : "a"(e->function), "c"(e->index));
}

/* Reduce what the host has to the model. */
static void model(struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 0x0:
		e->eax = 0xd;
		break;
	case 0x1:
		e->ebx = 0x00010800;
		e->ecx = LEAF1_ECX;
		e->edx = LEAF1_EDX;
		break;
	case 0x7:
	case 0xd:
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x40000000: /* KVMKVMKVM */
		e->eax = 0x40000001;
		e->ebx = 0x4b4d564b;
		e->ecx = 0x564b4d56;
		e->edx = 0x4d;
		break;
	case 0x40000001:
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x80000000:
		e->eax = 0x80000008;
		break;
	case 0x80000001:
		e->ecx = LEAF80000001_ECX;
		e->edx = LEAF80000001_EDX;
		break;
	case 0x80000008:
		e->eax = GUEST_VIRT_BITS << 8 | GUEST_PHYS_BITS;
		e->ebx = e->ecx = e->edx = 0;
		break;
	}
}

static const struct {
	u32 function;
	u32 flags;
} leaves[] = {
	{ 0x0, 0 },
	{ 0x1, 0 },
	{ 0x7, KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
	{ 0xd, KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
	{ 0x40000000, 0 },
	{ 0x40000001, 0 },
	{ 0x80000000, 0 },
	{ 0x80000001, 0 },
	{ 0x80000002, 0 },
	{ 0x80000003, 0 },
	{ 0x80000004, 0 },
	{ 0x80000008, 0 },
};

long dev_system_supported_cpuid(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const u32 n = RT_ARRAY_SIZE(leaves);
	struct kvm_cpuid2 *head = copy;

	if (head->nent > MAX_ENTRIES)
		head->nent = MAX_ENTRIES;
	if (head->nent < n)
		return core_refuse(err, RULE_CPUID_ROOM, 0, "nent", head->nent, n);
	for (u32 i = 0; i < n; i++) {
		struct kvm_cpuid_entry2 e = { .function = leaves[i].function, .flags = leaves[i].flags };

		host_cpuid(&e);
		model(&e);
		if (rt_copy_out(arg + sizeof(*head) + i * sizeof(e), &e, sizeof(e)) < 0)
			return -EFAULT;
	}
	head->nent = n;
	return rt_copy_out(arg, head, sizeof(*head));
}

static u64 rdtsc(void)
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

/* CPUID leaf 0x15 where it is complete, else measured against the clock for two milliseconds, once. */
u64 dev_tsc_khz(void)
{
	static _Atomic u64 khz;
	struct kvm_cpuid_entry2 max = { .function = 0 }, e = { .function = 0x15 };
	u64 t0, t1, c0;

	if (khz)
		return khz;
	host_cpuid(&max);
	if (max.eax >= 0x15) {
		host_cpuid(&e);
		if (e.eax && e.ebx && e.ecx) {
			khz = (u64)e.ecx * e.ebx / e.eax / 1000;
			return khz;
		}
	}
	t0 = monotonic_ns();
	c0 = rdtsc();
	do {
		t1 = monotonic_ns();
	} while (t1 - t0 < 2000000);
	khz = (rdtsc() - c0) * 1000000 / (t1 - t0);
	return khz ? khz : 1;
}
