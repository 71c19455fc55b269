// SPDX-License-Identifier: MIT
/*
 * device/mce.c - machine checks: the registers of a vCPU's banks, and errors that the program reports
 *
 * No processor behind a guest has errors of its own: what the banks hold is the program's and the guest's.
 * Corrected-error interrupts (CMCI) are not offered, as where KVM runs on AMD's processors.
 */
#include "device/internal.h"

#define MSR_P5_MC_ADDR 0x0
#define MSR_P5_MC_TYPE 0x1
#define MSR_MCG_CAP    0x179
#define MSR_MCG_STATUS 0x17a
#define MSR_MCG_CTL    0x17b
#define MSR_MC0_CTL2   0x280
#define MSR_MC0_CTL    0x400

#define MCG_CTL_P      (1ULL << 8)
#define MCG_SER_P      (1ULL << 24)
#define MCG_SUPPORTED  (MCG_CTL_P | MCG_SER_P)
#define MCG_BANKS      0xffULL
#define MCG_EXT_CNT    0xff0000ULL
#define MCG_MCIP       (1ULL << 2) /* of the status: one is being handled */

#define MCI_VALID      (1ULL << 63)
#define MCI_OVERFLOW   (1ULL << 62)
#define MCI_UNCORRECTED (1ULL << 61)
#define MCI_CONTEXT_CORRUPT (1ULL << 57)
#define MCI_SIGNALED   (1ULL << 56)
#define MCI_ACTION     (1ULL << 55)

#define HWCR_STATUS_WRITE (1ULL << 18)
#define MC_VECTOR      18
#define CR4_MCE	       (1ULL << 6)

enum { CTL, STATUS, ADDR, MISC };

static u32 banks_of(const struct dev_vcpu *v)
{
	return (u32)(v->mce.cap & MCG_BANKS);
}

void dev_mce_init(struct dev_vcpu *v)
{
	v->mce.cap = DEV_MCE_BANKS;
}

/* Without CMCI the second controls read 0, and that to the program only. */
static enum cpu_msr access_ctl2(const struct dev_vcpu *v, u32 msr, bool host, u64 value)
{
	return msr - MSR_MC0_CTL2 < banks_of(v) && host && !value ? CPU_MSR_OK : CPU_MSR_GP;
}

static bool is_ctl2(u32 msr)
{
	return msr >= MSR_MC0_CTL2 && msr < MSR_MC0_CTL2 + DEV_MCE_BANKS;
}

static bool is_bank(const struct dev_vcpu *v, u32 msr)
{
	return msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + 4 * banks_of(v);
}

enum cpu_msr dev_mce_rdmsr(const struct dev_vcpu *v, u32 msr, bool host, u64 *ret)
{
	const struct dev_mce *m = &v->mce;

	*ret = 0;
	if (is_ctl2(msr))
		return access_ctl2(v, msr, host, 0);
	if (is_bank(v, msr)) {
		*ret = m->bank[(msr - MSR_MC0_CTL) / 4][msr % 4];
		return CPU_MSR_OK;
	}
	switch (msr) {
	case MSR_P5_MC_ADDR:
	case MSR_P5_MC_TYPE:
		return CPU_MSR_OK;
	case MSR_MCG_CAP:
		*ret = m->cap;
		return CPU_MSR_OK;
	case MSR_MCG_STATUS:
		*ret = m->status;
		return CPU_MSR_OK;
	case MSR_MCG_CTL:
		*ret = m->ctl;
		return host || (m->cap & MCG_CTL_P) ? CPU_MSR_OK : CPU_MSR_GP;
	}
	return CPU_MSR_GP;
}

static enum cpu_msr write_bank(struct dev_vcpu *v, u32 msr, bool host, u64 value)
{
	/* All on or all off; some systems leave out bit 10 or bit 0 on purpose. */
	if (msr % 4 == CTL && value && (value | 1 << 10 | 1) != ~0ULL)
		return CPU_MSR_GP;
	/* A guest clears what it has seen; AMD's can be told to let it write. */
	if (msr % 4 == STATUS && value && !host && (dev_host_is_intel() || !(v->hwcr & HWCR_STATUS_WRITE)))
		return CPU_MSR_GP;
	v->mce.bank[(msr - MSR_MC0_CTL) / 4][msr % 4] = value;
	return CPU_MSR_OK;
}

enum cpu_msr dev_mce_wrmsr(struct dev_vcpu *v, u32 msr, bool host, u64 value)
{
	if (is_ctl2(msr))
		return access_ctl2(v, msr, host, value);
	if (is_bank(v, msr))
		return write_bank(v, msr, host, value);
	if (msr == MSR_MCG_STATUS) {
		v->mce.status = value;
		return CPU_MSR_OK;
	}
	if (msr != MSR_MCG_CTL || (value && value != ~0ULL))
		return CPU_MSR_GP;
	if (!(v->mce.cap & MCG_CTL_P) && (value || !host))
		return CPU_MSR_GP;
	v->mce.ctl = value;
	return CPU_MSR_OK;
}

long dev_system_mce_cap(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	static const u64 supported = MCG_SUPPORTED;

	return dev_copy_out(arg, &supported, sizeof(supported), err);
}

long dev_vcpu_setup_mce(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	const u64 cap = *(u64 *)copy;

	if (!(cap & MCG_BANKS) || (cap & MCG_BANKS) > DEV_MCE_BANKS)
		return core_refuse(err, RULE_MCE_CAP, 0, "banks", cap & MCG_BANKS, DEV_MCE_BANKS);
	if (cap & ~(MCG_SUPPORTED | MCG_BANKS | MCG_EXT_CNT))
		return core_refuse(err, RULE_MCE_CAP, 0, "mcg_cap", cap, MCG_SUPPORTED | MCG_BANKS | MCG_EXT_CNT);
	v->mce.cap = cap;
	if (cap & MCG_CTL_P)
		v->mce.ctl = ~0ULL;
	for (u32 i = 0; i < banks_of(v); i++)
		v->mce.bank[i][CTL] = ~0ULL;
	return 0;
}

static void record(struct dev_vcpu *v, const struct kvm_x86_mce *mce, u64 status)
{
	u64 *bank = v->mce.bank[mce->bank];

	bank[STATUS] = status;
	bank[ADDR] = mce->addr;
	bank[MISC] = mce->misc;
}

/* Uncorrected, but nobody has to act: nothing is raised. */
static bool needs_no_action(const struct kvm_x86_mce *mce)
{
	return !mce->mcg_status && (mce->status & MCI_UNCORRECTED) &&
	       !(mce->status & (MCI_CONTEXT_CORRUPT | MCI_SIGNALED | MCI_ACTION));
}

static void raise_uncorrected(struct dev_vcpu *v, const struct kvm_x86_mce *mce)
{
	u64 *bank = v->mce.bank[mce->bank];
	struct cpu_events *e = &v->cpu->events;

	/* Switched off, for all or for the bank. */
	if (((v->mce.cap & MCG_CTL_P) && v->mce.ctl != ~0ULL) || bank[CTL] != ~0ULL)
		return;
	if ((v->mce.status & MCG_MCIP) || !(v->cpu->cr4 & CR4_MCE)) {
		e->triple_fault = true;
	} else {
		record(v, mce, mce->status | (bank[STATUS] & MCI_VALID ? MCI_OVERFLOW : 0));
		v->mce.status = mce->mcg_status;
		e->exception.pending = 1;
		e->exception.nr = MC_VECTOR;
		e->exception.has_error_code = 0;
		e->exception.has_payload = 0;
	}
	cpu_state_changed(v->cpu);
}

long dev_vcpu_set_mce(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	const struct kvm_x86_mce *mce = copy;
	u64 *bank;

	if (mce->bank >= banks_of(v))
		return core_refuse(err, RULE_MCE_LEGAL, 0, "bank", mce->bank, banks_of(v));
	if (!(mce->status & MCI_VALID))
		return core_refuse(err, RULE_MCE_LEGAL, 0, "status", mce->status, MCI_VALID);
	bank = v->mce.bank[mce->bank];
	if (needs_no_action(mce)) {
		record(v, mce, mce->status);
		v->mce.status = mce->mcg_status;
	} else if (mce->status & MCI_UNCORRECTED) {
		raise_uncorrected(v, mce);
	} else if (!(bank[STATUS] & MCI_VALID) || !(bank[STATUS] & MCI_UNCORRECTED)) {
		record(v, mce, mce->status | (bank[STATUS] & MCI_VALID ? MCI_OVERFLOW : 0));
	} else {
		bank[STATUS] |= MCI_OVERFLOW;
	}
	return 0;
}
