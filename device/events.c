// SPDX-License-Identifier: MIT
/*
 * device/events.c - what is on its way to a vCPU: events, interrupts, NMIs, mp_state, debugging, signals
 */
#include "device/internal.h"
#include "rt/string.h"
#include "rt/user.h"

#define EFLAGS_TF	  (1ULL << 8)
#define DB_VECTOR	  1
#define NMI_VECTOR	  2
#define BP_VECTOR	  3
#define OF_VECTOR	  4
#define SIGSET_SIZE	  8
#define UNBLOCKABLE	  (1ULL << 8 | 1ULL << 18) /* SIGKILL, SIGSTOP */

void dev_events_get(struct dev_vcpu *v, struct kvm_vcpu_events *ret)
{
	const struct cpu_events *e = &v->cpu->events;

	memset(ret, 0, sizeof(*ret));
	/*
	 * Without KVM_CAP_EXCEPTION_PAYLOAD a pending exception shows as an injected one.  An instruction's own
	 * (INT3, INTO) is not shown: the guest comes to it again.
	 */
	if (e->exception.nr != BP_VECTOR && e->exception.nr != OF_VECTOR)
		ret->exception.injected = e->exception.injected || e->exception.pending;
	ret->exception.nr = e->exception.nr;
	ret->exception.has_error_code = e->exception.has_error_code;
	ret->exception.error_code = e->exception.error_code;
	ret->interrupt.injected = e->interrupt.injected && !e->interrupt.soft;
	ret->interrupt.nr = e->interrupt.nr;
	ret->interrupt.shadow = e->interrupt.shadow;
	ret->nmi.injected = e->nmi.injected;
	ret->nmi.pending = e->nmi.pending || v->user_nmi;
	ret->nmi.masked = e->nmi.masked;
	ret->sipi_vector = v->sipi_vector;
	ret->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	if (v->vm->core.triple_fault_event) {
		ret->triple_fault.pending = e->triple_fault;
		ret->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
}

int dev_events_set(struct dev_vcpu *v, const struct kvm_vcpu_events *in, struct core_err *err)
{
	const u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | KVM_VCPUEVENT_VALID_SHADOW |
			  (v->vm->core.triple_fault_event ? KVM_VCPUEVENT_VALID_TRIPLE_FAULT : 0);
	struct cpu_events *e = &v->cpu->events;

	if (in->flags & ~known)
		return core_refuse(err, RULE_EVENTS_LEGAL, 0, "flags", in->flags, known);
	if (in->exception.injected && (in->exception.nr > 31 || in->exception.nr == NMI_VECTOR))
		return core_refuse(err, RULE_EVENTS_LEGAL, 0, "exception.nr", in->exception.nr, 31);
	e->exception.injected = in->exception.injected;
	e->exception.pending = 0;
	e->exception.nr = in->exception.nr;
	e->exception.has_error_code = in->exception.has_error_code;
	e->exception.error_code = in->exception.error_code;
	e->exception.has_payload = 0;
	e->interrupt.injected = in->interrupt.injected;
	e->interrupt.nr = in->interrupt.nr;
	e->interrupt.soft = in->interrupt.soft;
	if (in->flags & KVM_VCPUEVENT_VALID_SHADOW)
		e->interrupt.shadow = in->interrupt.shadow;
	e->nmi.injected = in->nmi.injected;
	if (in->flags & KVM_VCPUEVENT_VALID_NMI_PENDING) {
		v->user_nmi = false;
		e->nmi.pending = in->nmi.pending;
	}
	e->nmi.masked = in->nmi.masked;
	if (in->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR)
		v->sipi_vector = in->sipi_vector;
	if (in->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT)
		e->triple_fault = in->triple_fault.pending != 0;
	cpu_state_changed(v->cpu);
	return 0;
}

long dev_vcpu_get_events(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct kvm_vcpu_events events;

	dev_events_get(dev_to_vcpu(obj), &events);
	return dev_copy_out(arg, &events, sizeof(events), err);
}

long dev_vcpu_set_events(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return dev_events_set(dev_to_vcpu(obj), copy, err);
}

long dev_vcpu_get_mp_state(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct kvm_mp_state state = { dev_to_vcpu(obj)->mp_state };

	return dev_copy_out(arg, &state, sizeof(state), err);
}

/* Without a local APIC in the device there is but one state. */
long dev_vcpu_set_mp_state(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	u32 state = ((struct kvm_mp_state *)copy)->mp_state;
	bool known = state == KVM_MP_STATE_RUNNABLE;

	if (v->vm->core.irqchip)
		known = state <= KVM_MP_STATE_SIPI_RECEIVED || state == KVM_MP_STATE_AP_RESET_HOLD;
	if (!known)
		return core_refuse(err, RULE_MP_STATE, 0, "mp_state", state, KVM_MP_STATE_RUNNABLE);
	v->mp_state = state;
	return 0;
}

bool dev_takes_user_irq(struct dev_vcpu *v)
{
	return !v->irq || !v->irq->takes_pic || v->irq->takes_pic(v);
}

/*
 * Without a local APIC it is injected from now on, as in the kernel: the last one counts, the program can read it
 * and take it back, and nobody asks for IF.  With one it is LINT0's, until that takes it.
 */
static long queue_interrupt(struct dev_vcpu *v, u32 irq, struct core_err *err)
{
	struct cpu_events *e = &v->cpu->events;

	if (!v->vm->core.irqchip) {
		e->interrupt.injected = 1;
		e->interrupt.nr = (u8)irq;
		e->interrupt.soft = 0;
		cpu_events_changed(v->cpu);
		return 0;
	}
	if (v->user_irq >= 0)
		return core_refuse(err, RULE_INTERRUPT_PENDING, 0, "irq", irq, 0);
	v->user_irq = (int)irq;
	dev_vcpu_kick(v);
	return 0;
}

long dev_vcpu_interrupt(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	u32 irq = ((struct kvm_interrupt *)copy)->irq;

	if (irq >= KVM_NR_INTERRUPTS)
		return core_refuse(err, RULE_INTERRUPT_NR, 0, "irq", irq, KVM_NR_INTERRUPTS);
	if (!dev_pic_outside(v))
		return core_refuse(err, RULE_INTERRUPT_CHIP, 0, "irq", irq, 0);
	return queue_interrupt(v, irq, err);
}

long dev_vcpu_nmi(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);

	v->user_nmi = true;
	dev_vcpu_kick(v);
	return 0;
}

static void inject(struct cpu *cpu, u8 vector)
{
	cpu->events.exception.pending = 1;
	cpu->events.exception.nr = vector;
	cpu->events.exception.has_error_code = 0;
}

long dev_vcpu_set_guest_debug(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	struct cpu *cpu = v->cpu;
	const struct kvm_guest_debug *debug = copy;

	if (debug->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (cpu->events.exception.pending || cpu->events.exception.injected)
			return core_refuse(err, RULE_DEBUG_BUSY, 0, "control", debug->control, 0);
		inject(cpu, debug->control & KVM_GUESTDBG_INJECT_DB ? DB_VECTOR : BP_VECTOR);
	}
	cpu->guest_debug = debug->control & KVM_GUESTDBG_ENABLE ? debug->control : 0;
	if (cpu->guest_debug & KVM_GUESTDBG_USE_HW_BP) {
		memcpy(cpu->debug_dr, debug->arch.debugreg, sizeof(cpu->debug_dr));
		cpu->debug_dr7 = debug->arch.debugreg[7];
	}
	cpu_state_changed(cpu);
	return 0;
}

long dev_vcpu_set_signal_mask(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	u32 len;
	u64 set;

	if (!arg) {
		v->has_sigset = false;
		return 0;
	}
	if (rt_copy_in(&len, arg, sizeof(len)) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "argument", arg, sizeof(len));
	if (len != SIGSET_SIZE)
		return core_refuse(err, RULE_SIGNAL_MASK, 0, "len", len, SIGSET_SIZE);
	if (rt_copy_in(&set, arg + offsetof(struct kvm_signal_mask, sigset), sizeof(set)) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "sigset", arg, sizeof(set));
	v->sigset = set & ~UNBLOCKABLE;
	v->has_sigset = true;
	return 0;
}
