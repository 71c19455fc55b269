// SPDX-License-Identifier: MIT
/*
 * device/vapic.c - a word of guest memory through which a guest changes its TPR without an exit
 *
 * Before the vCPU runs the word tells TPR and the highest vectors requested and in service, and when it
 * has run the TPR is what the word says.  Programs patch guests to use it where KVM_EXIT_TPR_ACCESS shows that they
 * use the TPR much; here, as on processors that virtualise it, no access ends in that exit (KVM_CAP_VAPIC is 0).
 */
#include "device/internal.h"
#include "device/irqchip.h"
#include "rt/user.h"

static struct irq_cpu *cpu_of(struct dev_vcpu *v)
{
	return v->irq_state;
}

void dev_vapic_enter(struct dev_vcpu *v)
{
	u32 word;

	/* Not while the guest has switched its controller off. */
	if (!v->vapic || !lapic_enabled(&cpu_of(v)->lapic))
		return;
	v->in_map = true;
	rt_lock(&cpu_of(v)->chip->lock);
	word = lapic_shared_word(&cpu_of(v)->lapic);
	rt_unlock(&cpu_of(v)->chip->lock);
	v->in_map = false;
	dev_write_guest(v, v->vapic, &word, sizeof(word));
}

void dev_vapic_leave(struct dev_vcpu *v)
{
	struct core_place place;
	u8 tpr = 0;
	bool read;

	if (!v->vapic)
		return;
	core_resolve_own(&v->vm->core, 0, v->vapic, true, &place);
	v->in_map = true;
	read = place.backing == CORE_BACKING_HVA && rt_copy_in(&tpr, place.hva, sizeof(tpr)) == 0;
	v->in_map = false;
	if (read)
		cpu_of(v)->lapic.reg[LAPIC_TPR >> 4] = tpr;
}

long dev_vcpu_set_vapic(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	struct core_place place = { .backing = CORE_BACKING_HVA };
	struct kvm_vapic_addr addr;

	if (!v->irq)
		return core_refuse(err, RULE_LAPIC_NONE, 0, "local APIC", 0, 0);
	if (rt_copy_in(&addr, arg, sizeof(addr)) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "argument", arg, sizeof(addr));
	if (addr.vapic_addr) {
		rt_lock(&dev_slots_lock);
		core_resolve_own(&v->vm->core, 0, addr.vapic_addr, true, &place);
		rt_unlock(&dev_slots_lock);
	}
	if (place.backing != CORE_BACKING_HVA)
		return core_refuse(err, RULE_VAPIC_ADDR, 0, "vapic_addr", addr.vapic_addr, 0);
	v->vapic = addr.vapic_addr;
	return 0;
}

long dev_vcpu_tpr_reporting(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	const struct kvm_tpr_access_ctl *ctl = copy;

	if (ctl->flags)
		return core_refuse(err, RULE_TPR_FLAGS, 0, "flags", ctl->flags, 0);
	v->tpr_reporting = ctl->enabled != 0;
	return dev_copy_out(arg, ctl, sizeof(*ctl), err);
}
