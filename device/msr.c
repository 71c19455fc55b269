// SPDX-License-Identifier: MIT
/*
 * device/msr.c - model specific registers: lists, and reading and writing them
 *
 * The CPU has most of them itself (cpu_get_msr()).  Here are the lists that programs save and
 * restore by, and what a program may ask of a host whose CPU is a model.
 */
#include <asm/errno.h>

#include "device/internal.h"
#include "rt/string.h"
#include "rt/user.h"

#define MAX_IO_MSRS 256

#define MSR_TSC		      0x10
#define MSR_APIC_BASE	      0x1b
#define MSR_TSC_ADJUST	      0x3b
#define MSR_POWER_CTL	      0x1fc
#define MSR_TSC_DEADLINE      0x6e0
#define MSR_X2APIC	      0x800
#define MSR_X2APIC_LAST	      0x8ff
#define MSR_TSC_AUX	      0xc0000103
#define MSR_HWCR	      0xc0010015
#define HWCR_KEPT	      (1ULL << 18 | 1ULL << 24) /* McStatusWrEn, TscFreqSel */
#define HWCR_IGNORED	      (1ULL << 3 | 1ULL << 6 | 1ULL << 8)
#define APIC_BASE_RESERVED    0x2ffULL & ~0x100ULL /* all but BSP and enable: no x2APIC without a controller */

/* What KVM_GET_MSR_INDEX_LIST names: state to be saved. */
static const u32 saved[] = {
	0x174, 0x175, 0x176, /* SYSENTER_CS, ESP, EIP */
	0xc0000081, 0x277, /* STAR, PAT */
	0xc0000083, 0xc0000102, 0xc0000084, 0xc0000082, /* CSTAR, KERNEL_GS_BASE, SYSCALL_MASK, LSTAR */
	MSR_TSC, MSR_TSC_AUX, MSR_TSC_ADJUST, MSR_TSC_DEADLINE, 0x1a0 /* MISC_ENABLE */,
	0x17a, 0x17b, /* MCG_STATUS, MCG_CTL */ 0x10a, 0x345, 0xce, 0x8b, /* of device/msr_feature.c */
	MSR_HWCR, MSR_POWER_CTL, 0x11, 0x12, 0x4b564d00, 0x4b564d01, /* kvmclock: WALL_CLOCK, SYSTEM_TIME, old and new */
};

/*
 * What systems read and change on AMD's processors without having found it in CPUID: nothing is behind
 * it here nor in KVM, which reads zeros.
 */
static bool is_inert(u32 msr, bool write)
{
	switch (msr) {
	case 0xc001001f: /* NB_CFG */
	case 0xc0011022: /* DC_CFG */
	case 0xc001102a: /* BU_CFG2 */
		return true;
	case 0xc0010010: /* SYSCFG */
	case 0xc0010055: /* INT_PENDING_MSG */
	case 0xc0010058: /* MMIO_CONF_BASE */
	case 0xc0010112: /* TSEG_ADDR */
	case 0xc0010113: /* TSEG_MASK */
		return !write;
	}
	return false;
}

long dev_msr_list_out(u64 arg, u32 given, const u32 *indices, u32 n, struct core_err *err)
{
	if (dev_copy_out(arg, &n, sizeof(n), err) < 0)
		return -EFAULT;
	if (given < n)
		return core_refuse(err, RULE_MSR_ROOM, 0, "nmsrs", given, n);
	return dev_copy_out(arg + offsetof(struct kvm_msr_list, indices), indices, n * sizeof(*indices), err);
}

long dev_system_msr_list(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return dev_msr_list_out(arg, ((struct kvm_msr_list *)copy)->nmsrs, saved, RT_ARRAY_SIZE(saved), err);
}

enum cpu_msr dev_msr_read(struct dev_vcpu *v, u32 msr, bool host, u64 *ret)
{
	if (v->irq && v->irq->rdmsr && v->irq->rdmsr(v, msr, ret) == CPU_MSR_OK)
		return CPU_MSR_OK;
	if ((host && cpu_get_msr(v->cpu, msr, ret)) || dev_pvclock_rdmsr(v, msr, ret))
		return CPU_MSR_OK;
	switch (msr) {
	case MSR_TSC_ADJUST:
		*ret = v->cpu->tsc_offset - v->tsc_base;
		return CPU_MSR_OK;
	case MSR_HWCR:
		*ret = v->hwcr;
		return CPU_MSR_OK;
	case MSR_POWER_CTL:
		*ret = v->power_ctl;
		return CPU_MSR_OK;
	case MSR_TSC_DEADLINE: /* the timer of a controller that there is not */
		*ret = 0;
		return CPU_MSR_OK;
	}
	if (dev_mce_rdmsr(v, msr, host, ret) == CPU_MSR_OK || dev_feature_rdmsr(v, msr, host, ret) == CPU_MSR_OK)
		return CPU_MSR_OK;
	if (!is_inert(msr, false))
		return CPU_MSR_GP;
	*ret = 0;
	return CPU_MSR_OK;
}

/* The controller, where there is one, has agreed. */
static enum cpu_msr write_apic_base(struct dev_vcpu *v, u64 value)
{
	if ((value >> v->cpu->phys_bits) || (value & APIC_BASE_RESERVED))
		return CPU_MSR_GP;
	v->cpu->msr.apic_base = value;
	return CPU_MSR_OK;
}

static enum cpu_msr write_own(struct dev_vcpu *v, u32 msr, u64 value)
{
	switch (msr) {
	case MSR_TSC_DEADLINE: /* goes nowhere without a controller */
		return CPU_MSR_OK;
	case MSR_TSC_ADJUST:
		v->tsc_base = v->cpu->tsc_offset - value;
		return CPU_MSR_OK;
	case MSR_HWCR:
		if (value & ~(HWCR_KEPT | HWCR_IGNORED))
			return CPU_MSR_GP;
		v->hwcr = value & HWCR_KEPT;
		return CPU_MSR_OK;
	case MSR_POWER_CTL:
		v->power_ctl = value;
		return CPU_MSR_OK;
	}
	return is_inert(msr, true) ? CPU_MSR_OK : CPU_MSR_GP;
}

/*
 * What the program writes into a counter is often the other vCPUs' value, a little late: within a second of it, and
 * for 0, the vCPUs are meant to run in step.
 */
static void write_tsc(struct dev_vcpu *v, u64 value)
{
	u64 now = dev_tsc(), expected = now + v->vm->tsc_offset, second = v->tsc_khz * 1000;
	u64 adjust = v->cpu->tsc_offset - v->tsc_base;

	if (value && value - expected + second > 2 * second)
		v->vm->tsc_offset = value - now;
	v->cpu->tsc_offset = v->vm->tsc_offset;
	v->tsc_base = v->cpu->tsc_offset - adjust;
}

/* The guest's writes move counter and adjustment together; those to the counter are the CPU's. */
static enum cpu_msr guest_writes_adjust(struct dev_vcpu *v, u64 value)
{
	v->cpu->tsc_offset = v->tsc_base + value;
	return CPU_MSR_OK;
}

enum cpu_msr dev_msr_write(struct dev_vcpu *v, u32 msr, bool host, u64 value)
{
	bool agreed = v->irq && v->irq->wrmsr && v->irq->wrmsr(v, msr, value) == CPU_MSR_OK;
	u64 unused;

	if (v->irq && msr == MSR_APIC_BASE && !agreed)
		return CPU_MSR_GP;
	if (agreed && msr != MSR_APIC_BASE)
		return CPU_MSR_OK;
	if (dev_pvclock_wrmsr(v, msr, host, value) || dev_mce_wrmsr(v, msr, host, value) == CPU_MSR_OK ||
	    dev_feature_wrmsr(v, msr, host, value) == CPU_MSR_OK)
		return CPU_MSR_OK;
	if (host && msr == MSR_TSC) {
		write_tsc(v, value);
		return CPU_MSR_OK;
	}
	if (host)
		return cpu_set_msr(v->cpu, msr, value) == 0 ? CPU_MSR_OK : write_own(v, msr, value);
	if (msr == MSR_APIC_BASE)
		return write_apic_base(v, value);
	if (msr == MSR_TSC_ADJUST)
		return guest_writes_adjust(v, value);
	if (msr == MSR_HWCR || msr == MSR_POWER_CTL || msr == MSR_TSC_DEADLINE)
		return write_own(v, msr, value);
	/* The CPU does its own ones itself; this is asked first. */
	if (is_inert(msr, true))
		return CPU_MSR_OK;
	return cpu_get_msr(v->cpu, msr, &unused) ? CPU_MSR_OK : CPU_MSR_GP;
}

/* What can be read was written badly; an x2APIC's registers are never unknown. */
u32 dev_msr_reason(struct dev_vcpu *v, u32 msr)
{
	u64 unused;

	if (msr >= MSR_X2APIC && msr <= MSR_X2APIC_LAST)
		return KVM_MSR_EXIT_REASON_INVAL;
	return dev_msr_read(v, msr, true, &unused) == CPU_MSR_OK ? KVM_MSR_EXIT_REASON_INVAL :
								   KVM_MSR_EXIT_REASON_UNKNOWN;
}

typedef bool msr_visit(struct dev_vcpu *v, struct kvm_msr_entry *entry);

/* Of /dev/kvm what is listed as state reads as 0: since 6.13. */
static bool is_saved(u32 index)
{
	for (size_t i = 0; i < RT_ARRAY_SIZE(saved); i++)
		if (saved[i] == index)
			return true;
	return false;
}

static bool get_one(struct dev_vcpu *v, struct kvm_msr_entry *entry)
{
	u64 value = 0;
	bool known = v ? dev_msr_read(v, entry->index, true, &value) == CPU_MSR_OK :
			 dev_feature_value(entry->index, &value) || is_saved(entry->index);

	entry->data = value;
	return known;
}

static bool set_one(struct dev_vcpu *v, struct kvm_msr_entry *entry)
{
	return dev_msr_write(v, entry->index, true, entry->data) == CPU_MSR_OK;
}

/* Number of entries done up to the first that failed; results are written back when all have been tried. */
static long visit_msrs(struct dev_vcpu *v, u64 arg, const struct kvm_msrs *head, msr_visit *visit, bool back,
		       struct core_err *err)
{
	struct kvm_msr_entry entries[MAX_IO_MSRS];
	u64 at = arg + offsetof(struct kvm_msrs, entries);
	u32 n = 0;

	if (head->nmsrs >= MAX_IO_MSRS)
		return core_refuse(err, RULE_MSR_ROOM, 0, "nmsrs", head->nmsrs, MAX_IO_MSRS);
	if (rt_copy_in(entries, at, head->nmsrs * sizeof(*entries)) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "entries", at, head->nmsrs * sizeof(*entries));
	while (n < head->nmsrs && visit(v, &entries[n]))
		n++;
	if (back && rt_copy_out(at, entries, head->nmsrs * sizeof(*entries)) < 0)
		return core_refuse(err, RULE_ARGUMENT_WRITE, 0, "entries", at, head->nmsrs * sizeof(*entries));
	return n;
}

long dev_system_get_msrs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return visit_msrs(NULL, arg, copy, get_one, true, err);
}

long dev_vcpu_get_msrs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return visit_msrs(dev_to_vcpu(obj), arg, copy, get_one, true, err);
}

long dev_vcpu_set_msrs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return visit_msrs(dev_to_vcpu(obj), arg, copy, set_one, false, err);
}
