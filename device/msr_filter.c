// SPDX-License-Identifier: MIT
/*
 * device/msr_filter.c - MSRs that the program keeps from its guest, or serves itself
 *
 * Two things of a VM, independent of each other: the filter says which accesses
 * are refused although KVM could serve them; the mask of reasons says which refusals
 * are the program's to answer (KVM_EXIT_X86_RDMSR and WRMSR) in place of #GP.  Both are about the
 * guest's RDMSR and WRMSR alone.  They change with the vCPUs stopped, so that these look without a lock.
 */
#include "device/internal.h"
#include "device/world.h"
#include "rt/alloc.h"
#include "rt/string.h"
#include "rt/user.h"

#define X2APIC_FIRST 0x800
#define X2APIC_LAST  0x8ff

struct dev_msr_filter {
	bool default_allow;
	u32 count;
	struct {
		u32 flags, base, nmsrs;
		u8 allowed[KVM_MSR_FILTER_MAX_BITMAP_SIZE];
	} range[KVM_MSR_FILTER_MAX_RANGES];
};

/* An x2APIC's registers cannot be filtered. */
static bool allows(const struct dev_msr_filter *filter, u32 msr, u32 access)
{
	if (!filter || (msr >= X2APIC_FIRST && msr <= X2APIC_LAST))
		return true;
	for (u32 i = 0; i < filter->count; i++) {
		u32 base = filter->range[i].base, at = msr - base;

		/* The end wraps as the kernel's does: a range over the highest MSR matches nothing. */
		if (msr >= base && msr < base + filter->range[i].nmsrs && (filter->range[i].flags & access))
			return filter->range[i].allowed[at / 8] >> (at & 7) & 1;
	}
	return filter->default_allow;
}

enum cpu_msr dev_msr_refused(struct dev_vcpu *v, u32 reason)
{
	if (!(v->vm->core.msr_exits & reason))
		return CPU_MSR_GP;
	v->msr_reason = reason;
	return CPU_MSR_EXIT;
}

enum cpu_msr dev_msr_filter(struct dev_vcpu *v, u32 msr, bool write)
{
	if (allows(v->vm->msr_filter, msr, write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ))
		return CPU_MSR_OK;
	return dev_msr_refused(v, KVM_MSR_EXIT_REASON_FILTER);
}

static long add_range(struct dev_msr_filter *filter, const struct kvm_msr_filter_range *in, struct core_err *err)
{
	const u64 per_long = 64;
	u64 bytes = ((u64)in->nmsrs + per_long - 1) / per_long * sizeof(u64);

	if (!in->nmsrs)
		return 0;
	if (!in->flags || (in->flags & ~(u32)KVM_MSR_FILTER_RANGE_VALID_MASK))
		return core_refuse(err, RULE_MSR_FILTER_RANGE, 0, "flags", in->flags, KVM_MSR_FILTER_RANGE_VALID_MASK);
	if (bytes > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return core_refuse(err, RULE_MSR_FILTER_RANGE, 0, "nmsrs", in->nmsrs, KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8);
	if (rt_copy_in(filter->range[filter->count].allowed, in->bitmap, bytes) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "bitmap", in->bitmap, bytes);
	filter->range[filter->count].flags = in->flags;
	filter->range[filter->count].base = in->base;
	filter->range[filter->count++].nmsrs = in->nmsrs;
	return 0;
}

static long fill(struct dev_msr_filter *filter, const struct kvm_msr_filter *in, struct core_err *err)
{
	long ret = 0;

	filter->default_allow = !(in->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	for (unsigned i = 0; i < KVM_MSR_FILTER_MAX_RANGES && ret == 0; i++)
		ret = add_range(filter, &in->ranges[i], err);
	return ret;
}

/* Whoever denies everything would deny what the guest cannot do without. */
static long check(const struct kvm_msr_filter *in, struct core_err *err)
{
	u32 any = 0;

	if (in->flags & ~(u32)KVM_MSR_FILTER_VALID_MASK)
		return core_refuse(err, RULE_MSR_FILTER_FLAGS, 0, "flags", in->flags, KVM_MSR_FILTER_VALID_MASK);
	for (unsigned i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++)
		any |= in->ranges[i].nmsrs;
	if (!any && (in->flags & KVM_MSR_FILTER_DEFAULT_DENY))
		return core_refuse(err, RULE_MSR_FILTER_FLAGS, 0, "ranges", 0, 1);
	return 0;
}

static struct dev_msr_filter *exchange(struct dev_vm *vm, struct dev_msr_filter *filter)
{
	struct dev_msr_filter *old;

	rt_lock(&dev_slots_lock);
	world_stop(vm);
	old = vm->msr_filter;
	vm->msr_filter = filter;
	world_resume(vm, false);
	rt_unlock(&dev_slots_lock);
	return old;
}

long dev_vm_set_msr_filter(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_msr_filter *filter;
	long ret = check(copy, err);

	if (ret < 0)
		return ret;
	filter = rt_alloc(sizeof(*filter));
	if (!filter)
		return core_refuse(err, RULE_NO_MEMORY, 0, "filter", sizeof(*filter), 0);
	ret = fill(filter, copy, err);
	if (ret == 0)
		filter = exchange(dev_to_vm(obj), filter);
	rt_free(filter, sizeof(*filter));
	return ret;
}

void dev_msr_filter_fini(struct dev_vm *vm)
{
	rt_free(vm->msr_filter, sizeof(*vm->msr_filter));
	vm->msr_filter = NULL;
}
