// SPDX-License-Identifier: MIT
/*
 * device/cpuid.c - KVM_GET_SUPPORTED_CPUID and the time-stamp counter's rate
 *
 * The CPU offered to guests is x86-64-v2 with the host's vendor and family:
 * programs compare those with what they see natively.
 */
#include <stdatomic.h>
#include <linux/time_types.h>

#include "device/internal.h"
#include "rt/alloc.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"

#define MAX_ENTRIES 256 /* KVM_MAX_CPUID_ENTRIES */

/* x86-64-v2 and what long mode needs; one bit a feature. */
#define LEAF1_ECX    (1U << 0 | 1U << 9 | 1U << 13 | 1U << 19 | 1U << 20 | 1U << 21 | 1U << 23 | 1U << 24 | 1U << 31)
/* Of these the CPU runs the host's own instructions: SSE3, SSSE3, SSE4.1, SSE4.2. */
#define LEAF1_HOST   (1U << 0 | 1U << 9 | 1U << 19 | 1U << 20)
#define LEAF1_EDX    0x078bfbfdU /* FPU .. SSE2 with PSE36, without VME, PSN and HTT */
#define LEAF80000001_ECX (1U << 0) /* LAHF in long mode */
#define LEAF80000001_EDX (1U << 11 | 1U << 20 | 1U << 26 | 1U << 27 | 1U << 29) /* SYSCALL NX 1G RDTSCP LM */
#define LEAF7_EBX	 (1U << 1) /* TSC_ADJUST */
#define LEAF7_EDX	 (1U << 29) /* ARCH_CAPABILITIES, which KVM has on any host */
#define PV_FEATURES	 (1U << 0 | 1U << 1 | 1U << 3 | 1U << 24) /* kvmclock, old and new; no I/O delay; stable TSC */
#define GUEST_PHYS_BITS 48U
#define GUEST_VIRT_BITS 48U

static void host_cpuid(struct kvm_cpuid_entry2 *e)
{
	__asm__("cpuid" : "=a"(e->eax), "=b"(e->ebx), "=c"(e->ecx), "=d"(e->edx) : "a"(e->function), "c"(e->index));
}

bool dev_host_is_intel(void)
{
	struct kvm_cpuid_entry2 e = { .function = 0 };

	host_cpuid(&e);
	return e.ebx == 0x756e6547; /* "Genu" */
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
		e->ecx &= LEAF1_ECX;
		e->ecx |= LEAF1_ECX & ~LEAF1_HOST;
		e->edx = LEAF1_EDX;
		break;
	case 0x7:
		e->eax = e->ecx = 0;
		e->ebx = e->index ? 0 : LEAF7_EBX;
		e->edx = e->index ? 0 : LEAF7_EDX;
		break;
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
		e->eax = PV_FEATURES;
		e->ebx = e->ecx = e->edx = 0;
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
		if (dev_copy_out(arg + sizeof(*head) + i * sizeof(e), &e, sizeof(e), err) < 0)
			return -EFAULT;
	}
	head->nent = n;
	return dev_copy_out(arg, head, sizeof(*head), err);
}

/* Instructions that KVM would emulate without the host having them: the model's are offered as supported. */
long dev_system_emulated_cpuid(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	static const struct kvm_cpuid_entry2 emulated[] = {
		{ .function = 0x0, .eax = 0x7 },
		{ .function = 0x1, .ecx = 1U << 22 }, /* MOVBE */
		{ .function = 0x7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
	};
	const u32 n = RT_ARRAY_SIZE(emulated);
	struct kvm_cpuid2 *head = copy;

	if (rt_min(head->nent, MAX_ENTRIES) < n)
		return core_refuse(err, RULE_CPUID_ROOM, 0, "nent", head->nent, n);
	if (dev_copy_out(arg + sizeof(*head), emulated, sizeof(emulated), err) < 0)
		return -EFAULT;
	head->nent = n;
	return dev_copy_out(arg, head, sizeof(*head), err);
}

/* ---- a vCPU's table ---- */

static const struct kvm_cpuid_entry2 *find_leaf(const struct dev_vcpu *v, u32 leaf, u32 subleaf)
{
	for (u32 i = 0; i < v->nr_cpuid; i++) {
		const struct kvm_cpuid_entry2 *e = &v->cpuid[i];

		if (e->function == leaf && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == subleaf))
			return e;
	}
	return NULL;
}

#define VENDOR_AMD   0x68747541 /* "Auth" */
#define VENDOR_HYGON 0x6f677948 /* "Hygo" */

/* Intel's answer beyond the last basic leaf is that leaf's; AMD's is zero. */
static const struct kvm_cpuid_entry2 *beyond(const struct dev_vcpu *v, u32 leaf, u32 subleaf)
{
	const struct kvm_cpuid_entry2 *basic = find_leaf(v, 0, 0), *top = find_leaf(v, leaf & 0xffff0000, 0);

	if (!basic || basic->ebx == VENDOR_AMD || basic->ebx == VENDOR_HYGON)
		return NULL;
	if (leaf < 0x40000000)
		top = basic;
	return top && leaf <= top->eax ? NULL : find_leaf(v, basic->eax, subleaf);
}

#define OSXSAVE_BIT (1U << 27)
#define APIC_BIT    (1U << 9)
#define XSAVE_BIT   (1U << 26)

void dev_cpuid_answer(struct dev_vcpu *v, u32 leaf, u32 subleaf, u32 out[4])
{
	const struct kvm_cpuid_entry2 *e = find_leaf(v, leaf, subleaf);

	if (!e)
		e = beyond(v, leaf, subleaf);
	out[0] = e ? e->eax : 0;
	out[1] = e ? e->ebx : 0;
	out[2] = e ? e->ecx : 0;
	out[3] = e ? e->edx : 0;
	if (!e || leaf != 1)
		return;
	out[2] &= ~OSXSAVE_BIT;
	if ((out[2] & XSAVE_BIT) && (v->cpu->cr4 >> 18 & 1))
		out[2] |= OSXSAVE_BIT;
	if (!(v->cpu->msr.apic_base >> 11 & 1))
		out[3] &= ~APIC_BIT;
}

#define PV_LEAF 0x40000001

bool dev_pv_has(struct dev_vcpu *v, unsigned bit)
{
	const struct kvm_cpuid_entry2 *e = v->pv_enforced ? find_leaf(v, PV_LEAF, 0) : NULL;

	return !v->pv_enforced || (e && (e->eax >> bit & 1));
}

/* Virtual address bits decide what is canonical: 0, 48 or 57. */
static bool legal_table(const struct kvm_cpuid_entry2 *entries, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		u32 bits = entries[i].eax >> 8 & 0xff;

		if (entries[i].function == 0x80000008 && bits && bits != 48 && bits != 57)
			return false;
	}
	return true;
}

long dev_vcpu_set_cpuid2(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	u32 n = ((struct kvm_cpuid2 *)copy)->nent;
	struct kvm_cpuid_entry2 *entries;
	u64 size = n * sizeof(*entries);
	bool same;

	if (n > MAX_ENTRIES)
		return core_refuse(err, RULE_CPUID_ROOM, 0, "nent", n, MAX_ENTRIES);
	entries = rt_alloc(size ? size : 1);
	if (!entries)
		return -ENOMEM;
	if (rt_copy_in(entries, arg + sizeof(struct kvm_cpuid2), size) < 0) {
		rt_free(entries, size ? size : 1);
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "entries", arg, size);
	}
	/* After the first KVM_RUN the CPU stays what it is. */
	same = n == v->nr_cpuid && (!n || memcmp(entries, v->cpuid, size) == 0);
	if (!legal_table(entries, n) || (v->has_run && !same)) {
		rt_free(entries, size ? size : 1);
		return core_refuse(err, RULE_CPUID_LEGAL, 0, "nent", n, v->nr_cpuid);
	}
	rt_free(v->cpuid, v->nr_cpuid ? v->nr_cpuid * sizeof(*entries) : 1);
	v->cpuid = entries;
	v->nr_cpuid = n;
	cpu_cpuid_changed(v->cpu);
	return 0;
}

long dev_vcpu_get_cpuid2(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	struct kvm_cpuid2 *head = copy;

	if (head->nent < v->nr_cpuid)
		return core_refuse(err, RULE_CPUID_ROOM, 0, "nent", head->nent, v->nr_cpuid);
	if (rt_copy_out(arg + sizeof(*head), v->cpuid, v->nr_cpuid * sizeof(*v->cpuid)) < 0)
		return core_refuse(err, RULE_ARGUMENT_WRITE, 0, "entries", arg, v->nr_cpuid * sizeof(*v->cpuid));
	head->nent = v->nr_cpuid;
	return dev_copy_out(arg, head, sizeof(*head), err);
}
