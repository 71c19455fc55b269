// SPDX-License-Identifier: MIT
/*
 * device/vcpu_attr.c - capabilities and attributes of single vCPUs
 */
#include "device/internal.h"
#include "rt/user.h"

long dev_vcpu_enable_cap(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct kvm_enable_cap *args = copy;

	if (args->flags)
		return core_refuse(err, RULE_VCPU_ENABLE_CAP, 0, "flags", args->flags, 0);
	if (args->cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
		return core_refuse(err, RULE_VCPU_ENABLE_CAP, 0, "cap", args->cap, KVM_CAP_ENFORCE_PV_FEATURE_CPUID);
	dev_to_vcpu(obj)->pv_enforced = args->args[0] != 0;
	return 0;
}

/* There is one: what the guest's counter is ahead of the host's. */
static long check(const struct kvm_device_attr *attr, struct core_err *err)
{
	if (attr->group != KVM_VCPU_TSC_CTRL)
		return core_refuse(err, RULE_VCPU_ATTRIBUTE, 0, "group", attr->group, KVM_VCPU_TSC_CTRL);
	if (attr->attr != KVM_VCPU_TSC_OFFSET)
		return core_refuse(err, RULE_VCPU_ATTRIBUTE, 0, "attr", attr->attr, KVM_VCPU_TSC_OFFSET);
	return 0;
}

long dev_vcpu_has_attr(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return check(copy, err);
}

long dev_vcpu_get_attr(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct kvm_device_attr *attr = copy;
	long ret = check(attr, err);

	if (ret == 0 && rt_copy_out(attr->addr, &dev_to_vcpu(obj)->cpu->tsc_offset, sizeof(u64)) < 0)
		ret = core_refuse(err, RULE_ARGUMENT_WRITE, 0, "addr", attr->addr, sizeof(u64));
	return ret;
}

/* vCPUs to come run in step with it; what the guest made of its own counter stays in IA32_TSC_ADJUST. */
long dev_vcpu_set_attr(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct kvm_device_attr *attr = copy;
	struct dev_vcpu *v = dev_to_vcpu(obj);
	long ret = check(attr, err);
	u64 offset;

	if (ret < 0)
		return ret;
	if (rt_copy_in(&offset, attr->addr, sizeof(offset)) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "addr", attr->addr, sizeof(offset));
	v->tsc_base += offset - v->cpu->tsc_offset;
	v->cpu->tsc_offset = v->vm->tsc_offset = offset;
	return 0;
}
