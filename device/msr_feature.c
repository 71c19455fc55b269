// SPDX-License-Identifier: MIT
/*
 * device/msr_feature.c - feature MSRs: what the CPU is, beside CPUID
 *
 * KVM_GET_MSR_FEATURE_INDEX_LIST names them, KVM_GET_MSRS on /dev/kvm tells what a vCPU starts with,
 * and on a vCPU they are MSRs as others, which the program may change and the guest mostly may not.
 */
#include "device/internal.h"
#include "rt/string.h"

#define UCODE_REV_INTEL	      0x100000000ULL
#define UCODE_REV_AMD	      0x01000065ULL
#define CPUID_FAULTING	      (1ULL << 31)
#define LFENCE_SERIALIZES     (1ULL << 1)
#define HAS_ARCH_CAPABILITIES (1U << 29) /* CPUID 7, EDX */
/* An interpreter runs nothing ahead of its time: RDCL_NO, no flush of L1D at entry, SSB_NO, MDS_NO, GDS_NO, RFDS_NO, ITS_NO. */
#define NOT_AFFECTED (1ULL << 0 | 1ULL << 3 | 1ULL << 4 | 1ULL << 5 | 1ULL << 26 | 1ULL << 27 | 1ULL << 62)
#define PSCHANGE_MC_NO (1ULL << 6)

enum { PLATFORM_INFO, UCODE_REV, ARCH_CAPABILITIES, PERF_CAPABILITIES, DE_CFG, FEATURES };

static const u32 indices[FEATURES] = {
	[PLATFORM_INFO] = 0xce,
	[UCODE_REV] = 0x8b,
	[ARCH_CAPABILITIES] = 0x10a,
	[PERF_CAPABILITIES] = 0x345,
	[DE_CFG] = 0xc0011029, /* the last, as only AMD's processors have it */
};

_Static_assert(FEATURES == DEV_FEATURE_MSRS, "a place for each in struct dev_vcpu");

static u32 count(void)
{
	return dev_host_is_intel() ? DE_CFG : FEATURES;
}

static u32 find(u32 index)
{
	u32 i = 0;

	while (i < FEATURES && indices[i] != index)
		i++;
	return i < count() ? i : FEATURES;
}

/* What the CPU has, by the vendor that the model takes from the host. */
static u64 initial(u32 i)
{
	switch (i) {
	case PLATFORM_INFO:
		return CPUID_FAULTING;
	case UCODE_REV:
		return dev_host_is_intel() ? UCODE_REV_INTEL : UCODE_REV_AMD;
	case ARCH_CAPABILITIES:
		return NOT_AFFECTED | PSCHANGE_MC_NO;
	case DE_CFG:
		return LFENCE_SERIALIZES;
	}
	return 0;
}

bool dev_feature_value(u32 index, u64 *ret)
{
	u32 i = find(index);

	if (i == FEATURES)
		return false;
	*ret = initial(i);
	return true;
}

long dev_system_msr_feature_list(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return dev_msr_list_out(arg, ((struct kvm_msr_list *)copy)->nmsrs, indices, count(), err);
}

static bool guest_has_arch_capabilities(struct dev_vcpu *v)
{
	u32 r[4];

	dev_cpuid_answer(v, 7, 0, r);
	return r[3] & HAS_ARCH_CAPABILITIES;
}

enum cpu_msr dev_feature_rdmsr(struct dev_vcpu *v, u32 msr, bool host, u64 *ret)
{
	u32 i = find(msr);
	bool hidden;

	if (i == FEATURES)
		return CPU_MSR_GP;
	hidden = i == PERF_CAPABILITIES || (i == PLATFORM_INFO && !host && v->vm->core.platform_info_hidden) ||
		 (i == ARCH_CAPABILITIES && !guest_has_arch_capabilities(v));
	if (hidden && !host)
		return CPU_MSR_GP;
	/* The program reads 0 for what its guest has not. */
	if (hidden)
		*ret = 0;
	else if (v->feature_written >> i & 1)
		*ret = v->feature[i];
	else
		*ret = i == DE_CFG ? 0 : initial(i); /* what can be set there, and is not yet */
	return CPU_MSR_OK;
}

/* What it may be set to; the guest's own writes of the microcode's revision are how it asks for it, and do nothing. */
static bool legal(struct dev_vcpu *v, u32 i, bool host, u64 value)
{
	switch (i) {
	case DE_CFG:
		return !(value & ~LFENCE_SERIALIZES);
	case PERF_CAPABILITIES:
		return host && !value;
	case ARCH_CAPABILITIES:
		return host && (!value || guest_has_arch_capabilities(v));
	case UCODE_REV:
		return true;
	}
	return host;
}

enum cpu_msr dev_feature_wrmsr(struct dev_vcpu *v, u32 msr, bool host, u64 value)
{
	u32 i = find(msr);

	if (i == FEATURES || !legal(v, i, host, value))
		return CPU_MSR_GP;
	if (!host && i == UCODE_REV)
		return CPU_MSR_OK;
	v->feature[i] = value;
	v->feature_written |= 1U << i;
	return CPU_MSR_OK;
}
