// SPDX-License-Identifier: MIT
/*
 * device/irq_vcpu.c - the vCPU's side of its interrupt controllers
 *
 * All but the sink's functions run in the vCPU's thread.  TPR is written by that thread alone.
 */
#include "device/internal.h"
#include "device/irqchip.h"
#include "rt/alloc.h"
#include "rt/string.h"
#include "rt/user.h"

#define EFLAGS_IF	 (1ULL << 9)
#define MSR_APIC_BASE	 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define CPUID_X2APIC	 (1U << 21)

static struct irq_cpu *cpu_of(struct dev_vcpu *v)
{
	return v->irq_state;
}

/* IRQ-2 */
static bool enter(struct dev_vcpu *v)
{
	bool was = v->in_map;

	v->in_map = true;
	rt_lock(&cpu_of(v)->chip->lock);
	return was;
}

static void leave(struct dev_vcpu *v, bool was)
{
	if (cpu_of(v)->chip->pit_due)
		irq_pit_tick(cpu_of(v)->chip);
	rt_unlock(&cpu_of(v)->chip->lock);
	v->in_map = was;
}

/* ---- what the local APIC asks of its surroundings ---- */

static struct irq_cpu *cpu_of_lapic(struct lapic *apic)
{
	return RT_CONTAINER_OF(apic, struct irq_cpu, lapic);
}

static void send_ipi(struct lapic *apic, const struct irq_message *m)
{
	struct irq_cpu *cpu = cpu_of_lapic(apic);

	irq_deliver(cpu->chip, m, cpu);
}

/* Split: an I/O APIC in user space has to hear of interrupts that its reserved pins' routes sent. */
static bool is_reserved(const struct irqchip *chip, const struct lapic *apic, u8 vector)
{
	const struct irq_routes *r = chip->routes;

	for (u32 i = 0; i < r->nr; i++) {
		const struct kvm_irq_routing_entry *e = &r->route[i].entry;
		struct irq_message m;

		if (e->type != KVM_IRQ_ROUTING_MSI || e->gsi >= chip->reserved_pins)
			continue;
		m = irq_msi_message(chip, (u64)e->u.msi.address_hi << 32 | e->u.msi.address_lo, e->u.msi.data);
		if (m.level_triggered && m.vector == vector && lapic_is_destination(apic, &m, chip->ids32))
			return true;
	}
	return false;
}

static void ended(struct lapic *apic, u8 vector, bool level)
{
	struct irq_cpu *cpu = cpu_of_lapic(apic);

	/* What it kept back may come now. */
	cpu_kick(cpu->v->cpu, CPU_STOP_POLL);
	if (cpu->chip->mode == IRQCHIP_FULL) {
		ioapic_eoi(&cpu->chip->ioapic, vector, level);
	} else if (level && is_reserved(cpu->chip, apic, vector)) {
		cpu->v->ioapic_eoi = 0x100U | vector;
		cpu_kick(cpu->v->cpu, CPU_STOP);
	}
}

static void timer_changed(struct lapic *apic)
{
	irq_timer_changed(cpu_of_lapic(apic)->chip, apic->timer.deadline);
}

static void timer_needed(struct lapic *apic)
{
	irq_thread_start(cpu_of_lapic(apic)->chip);
}

static u64 now(struct lapic *apic)
{
	return irq_now();
}

static u64 guest_tsc(struct lapic *apic)
{
	struct dev_vcpu *v = cpu_of_lapic(apic)->v;

	return v->cpu->bus->rdtsc ? v->cpu->bus->rdtsc(v) : dev_tsc() + v->cpu->tsc_offset;
}

static u64 guest_tsc_khz(struct lapic *apic)
{
	return cpu_of_lapic(apic)->v->tsc_khz;
}

static u64 bus_cycle_ns(struct lapic *apic)
{
	return core_vm_apic_cycle_ns(&cpu_of_lapic(apic)->v->vm->core);
}

static const struct lapic_sink sink = {
	.ipi = send_ipi,
	.eoi = ended,
	.timer_changed = timer_changed,
	.timer_needed = timer_needed,
	.now = now,
	.tsc = guest_tsc,
	.tsc_khz = guest_tsc_khz,
	.cycle_ns = bus_cycle_ns,
};

/* ---- interrupts ---- */

static bool pic_asks(const struct irq_cpu *cpu)
{
	return cpu->chip->mode == IRQCHIP_FULL && lapic_takes_pic(&cpu->lapic) && pic_output(&cpu->chip->pic);
}

static int pending_locked(struct irq_cpu *cpu)
{
	struct pic copy;

	if (!pic_asks(cpu))
		return lapic_pending(&cpu->lapic);
	copy = cpu->chip->pic;
	copy.acked = NULL;
	return pic_ack(&copy);
}

static int op_pending(struct dev_vcpu *v)
{
	bool was = enter(v);
	int ret = pending_locked(cpu_of(v));

	leave(v, was);
	return ret;
}

static int op_ack(struct dev_vcpu *v)
{
	struct irq_cpu *cpu = cpu_of(v);
	bool was = enter(v);
	int vector;

	if (pic_asks(cpu)) {
		vector = pic_ack(&cpu->chip->pic);
	} else {
		vector = lapic_pending(&cpu->lapic);
		if (vector >= 0)
			lapic_ack(&cpu->lapic, (u8)vector);
	}
	leave(v, was);
	return vector;
}

static bool op_takes_pic(struct dev_vcpu *v)
{
	bool was = enter(v), ret = lapic_takes_pic(&cpu_of(v)->lapic);

	leave(v, was);
	return ret;
}

static u64 op_get_tpr(struct dev_vcpu *v)
{
	return lapic_get(&cpu_of(v)->lapic, LAPIC_TPR) >> 4;
}

static void op_set_tpr(struct dev_vcpu *v, u64 tpr)
{
	cpu_of(v)->lapic.reg[LAPIC_TPR >> 4] = (u32)(tpr & 0xf) << 4;
	cpu_kick(v->cpu, CPU_STOP_POLL);
}

/* ---- INIT and start-up (IRQ-4) ---- */

static void start_up(struct dev_vcpu *v, u8 vector)
{
	v->sipi_vector = vector;
	v->cpu->seg[CPU_CS].selector = (u16)(vector << 8);
	v->cpu->seg[CPU_CS].base = (u64)vector << 12;
	v->cpu->rip = 0;
	cpu_state_changed(v->cpu);
	v->mp_state = KVM_MP_STATE_RUNNABLE;
}

static void initialise(struct dev_vcpu *v)
{
	lapic_reset(&cpu_of(v)->lapic, 0, true);
	cpu_reset(v->cpu, true);
	v->mp_state = v->cpu->msr.apic_base & LAPIC_BASE_BSP ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED;
}

static void take_requests(struct dev_vcpu *v, struct lapic *apic)
{
	if (apic->nmi) {
		apic->nmi = false;
		v->cpu->events.nmi.pending = 1;
	}
	if (!apic->init && !apic->sipi)
		return;
	if (v->in_cpu) {
		cpu_kick(v->cpu, CPU_STOP);
		return;
	}
	if (apic->init) {
		apic->init = false;
		initialise(v);
	}
	if (apic->sipi) {
		apic->sipi = false;
		if (v->mp_state == KVM_MP_STATE_INIT_RECEIVED)
			start_up(v, apic->sipi_vector);
	}
}

static void op_poll(struct dev_vcpu *v)
{
	struct lapic *apic = &cpu_of(v)->lapic;
	bool was;

	/* Whoever sets one of them kicks, and then this is called. */
	if (!*(volatile bool *)&apic->nmi && !*(volatile bool *)&apic->init && !*(volatile bool *)&apic->sipi)
		return;
	was = enter(v);
	take_requests(v, apic);
	leave(v, was);
}

static bool op_wakes(struct dev_vcpu *v)
{
	struct irq_cpu *cpu = cpu_of(v);
	bool was = enter(v), ret;

	if (cpu->lapic.timer.deadline)
		irq_expire_cpu(cpu, irq_now());
	ret = cpu->lapic.nmi || cpu->lapic.init || cpu->lapic.sipi ||
	      ((cpu_rflags(v->cpu) & EFLAGS_IF) && pending_locked(cpu) >= 0);
	leave(v, was);
	return ret;
}

static u64 op_deadline(struct dev_vcpu *v)
{
	bool was = enter(v);
	u64 ret = cpu_of(v)->lapic.timer.deadline;

	leave(v, was);
	return ret;
}

/* ---- registers ---- */

static bool lapic_page(struct dev_vcpu *v, unsigned offset, void *data, unsigned len, bool write)
{
	struct lapic *apic = &cpu_of(v)->lapic;
	unsigned at = offset & 0xf;
	u32 value = 0;

	if (!lapic_on(apic) || lapic_is_x2apic(apic)) {
		if (v->vm->core.quirks_off & KVM_X86_QUIRK_LAPIC_MMIO_HOLE)
			return false;
		if (!write)
			memset(data, 0xff, len);
		return true;
	}
	if (write) {
		if (len != 4 || at)
			return true;
		memcpy(&value, data, 4);
		lapic_write(apic, offset, value);
		if (offset == LAPIC_TPR)
			cpu_kick(v->cpu, CPU_STOP_POLL);
		return true;
	}
	if (at + len <= 4 && lapic_read(apic, offset & ~0xfU, &value))
		memcpy(data, (u8 *)&value + at, len);
	else
		memset(data, 0, len);
	return true;
}

static bool ioapic_page(struct ioapic *io, unsigned offset, void *data, unsigned len, bool write)
{
	u64 value = 0;

	if (offset & 0xf)
		return true;
	if (write) {
		memcpy(&value, data, len);
		ioapic_write(io, offset, (u32)value);
	} else {
		value = ioapic_read(io, offset);
		memcpy(data, &value, len);
	}
	return true;
}

static bool op_mmio(struct dev_vcpu *v, u64 gpa, void *data, unsigned len, bool write)
{
	struct irq_cpu *cpu = cpu_of(v);
	u64 base = cpu->lapic.base & ~RT_PAGE_MASK;
	bool is_lapic = gpa - base < RT_PAGE_SIZE && (gpa & RT_PAGE_MASK) + len <= RT_PAGE_SIZE;
	bool is_ioapic = cpu->chip->mode == IRQCHIP_FULL && gpa - IOAPIC_BASE < IOAPIC_SIZE;
	bool was, ret;

	if (!is_lapic && !is_ioapic)
		return false;
	was = enter(v);
	if (is_lapic)
		ret = lapic_page(v, (unsigned)(gpa - base), data, len, write);
	else
		ret = ioapic_page(&cpu->chip->ioapic, (unsigned)(gpa - IOAPIC_BASE), data, len, write);
	leave(v, was);
	return ret;
}

static void pic_port(struct irqchip *chip, u16 port, u8 *byte, bool write)
{
	if (write)
		pic_write(&chip->pic, port, *byte);
	else
		*byte = pic_read(&chip->pic, port);
	irq_pic_changed(chip);
}

static void pit_port(struct irqchip *chip, u16 port, u8 *byte, bool write)
{
	if (!write)
		*byte = pit_read(&chip->pit, port, irq_now());
	else if (pit_write(&chip->pit, port, *byte, irq_now()))
		irq_timer_changed(chip, chip->pit.deadline);
}

static bool op_pio(struct dev_vcpu *v, u16 port, void *data, unsigned size, bool write)
{
	struct irqchip *chip = cpu_of(v)->chip;
	bool is_pic = chip->mode == IRQCHIP_FULL && pic_is_port(port);
	bool is_pit = chip->has_pit && pit_is_port(&chip->pit, port);
	bool was;

	if (!is_pic && !is_pit)
		return false;
	/* Byte registers. */
	if (!write)
		memset(data, 0, size);
	was = enter(v);
	if (is_pit)
		pit_port(chip, port, data, write);
	else if (size == 1)
		pic_port(chip, port, data, write);
	leave(v, was);
	return true;
}

static enum cpu_msr op_rdmsr(struct dev_vcpu *v, u32 msr, u64 *ret)
{
	struct lapic *apic = &cpu_of(v)->lapic;
	bool was, ok = true;

	if (msr != MSR_TSC_DEADLINE && (msr < LAPIC_MSR_FIRST || msr > LAPIC_MSR_LAST))
		return CPU_MSR_GP;
	was = enter(v);
	if (msr == MSR_TSC_DEADLINE)
		*ret = lapic_tsc_deadline(apic);
	else
		ok = lapic_msr_read(apic, msr, ret);
	leave(v, was);
	return ok ? CPU_MSR_OK : CPU_MSR_GP;
}

static bool has_x2apic(const struct dev_vcpu *v)
{
	for (u32 i = 0; i < v->nr_cpuid; i++) {
		if (v->cpuid[i].function == 1)
			return v->cpuid[i].ecx & CPUID_X2APIC;
	}
	return false;
}

/* The guest may not skip states; the program may. */
static bool base_allowed(const struct dev_vcpu *v, u64 old, u64 new)
{
	bool x2apic = new & LAPIC_BASE_X2APIC, on = new & LAPIC_BASE_ENABLE;

	if ((new >> v->cpu->phys_bits) || (new & 0x2ff & ~LAPIC_BASE_BSP) || (x2apic && (!on || !has_x2apic(v))))
		return false;
	if (!v->in_cpu)
		return true;
	if ((old & LAPIC_BASE_X2APIC) && on && !x2apic)
		return false;
	return (old & LAPIC_BASE_ENABLE) || !x2apic;
}

static bool write_locked(struct dev_vcpu *v, struct lapic *apic, u32 msr, u64 value)
{
	if (msr == MSR_APIC_BASE) {
		if (apic->base != value && !base_allowed(v, apic->base, value))
			return false;
		lapic_set_base(apic, value);
		return true;
	}
	if (msr == MSR_TSC_DEADLINE) {
		lapic_set_tsc_deadline(apic, value);
		return true;
	}
	if (!lapic_msr_write(apic, msr, value))
		return false;
	if (msr == LAPIC_MSR_FIRST + (LAPIC_TPR >> 4))
		cpu_kick(v->cpu, CPU_STOP_POLL);
	return true;
}

static enum cpu_msr op_wrmsr(struct dev_vcpu *v, u32 msr, u64 value)
{
	bool was, ok;

	if (msr != MSR_APIC_BASE && msr != MSR_TSC_DEADLINE && (msr < LAPIC_MSR_FIRST || msr > LAPIC_MSR_LAST))
		return CPU_MSR_GP;
	was = enter(v);
	ok = write_locked(v, &cpu_of(v)->lapic, msr, value);
	leave(v, was);
	return ok ? CPU_MSR_OK : CPU_MSR_GP;
}

/* ---- life ---- */

static void op_reset(struct dev_vcpu *v, bool init)
{
	bool was = enter(v);

	lapic_reset(&cpu_of(v)->lapic, v->cpu->msr.apic_base, init);
	leave(v, was);
}

static void op_fini(struct dev_vcpu *v)
{
	struct irq_cpu *cpu = cpu_of(v), **at = &cpu->chip->cpus;
	bool ours = v->vm->mm == dev_mm(); /* IRQ-6 */

	if (ours)
		rt_lock(&cpu->chip->lock);
	while (*at && *at != cpu)
		at = &(*at)->next;
	if (*at)
		*at = cpu->next;
	if (ours)
		rt_unlock(&cpu->chip->lock);
	rt_free(cpu, sizeof(*cpu));
	v->irq = NULL;
	v->irq_state = NULL;
}

static const struct dev_irq_ops ops = {
	.pending = op_pending,
	.ack = op_ack,
	.takes_pic = op_takes_pic,
	.get_tpr = op_get_tpr,
	.set_tpr = op_set_tpr,
	.poll = op_poll,
	.wakes = op_wakes,
	.deadline = op_deadline,
	.mmio = op_mmio,
	.pio = op_pio,
	.rdmsr = op_rdmsr,
	.wrmsr = op_wrmsr,
	.reset = op_reset,
	.fini = op_fini,
};

void irq_vcpu_created(struct dev_vcpu *v)
{
	struct irqchip *chip = irqchip_of(v->vm);
	struct irq_cpu *cpu = rt_alloc(sizeof(*cpu)), **at = &chip->cpus;

	if (!cpu)
		return;
	cpu->chip = chip;
	cpu->v = v;
	cpu->lapic.sink = &sink;
	cpu->lapic.id = v->id;
	cpu->lapic.directed_eoi = chip->mode == IRQCHIP_SPLIT;
	cpu->lapic.lint0_extint = !(v->vm->core.quirks_off & KVM_X86_QUIRK_LINT0_REENABLED);
	lapic_reset(&cpu->lapic, v->cpu->msr.apic_base, false);
	v->irq_state = cpu;
	v->irq = &ops;
	rt_lock(&chip->lock);
	while (*at)
		at = &(*at)->next;
	*at = cpu;
	rt_unlock(&chip->lock);
}

/* ---- KVM_GET_LAPIC and KVM_SET_LAPIC ---- */

long dev_vcpu_get_lapic(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	struct kvm_lapic_state state;
	bool was;

	if (!v->irq)
		return core_refuse(err, RULE_LAPIC_NONE, 0, "local APIC", 0, 0);
	was = enter(v);
	lapic_get_state(&cpu_of(v)->lapic, state.regs, cpu_of(v)->chip->ids32);
	leave(v, was);
	return dev_copy_out(arg, &state, sizeof(state), err);
}

long dev_vcpu_set_lapic(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	struct kvm_lapic_state state;
	bool was;
	int ret;

	if (!v->irq)
		return core_refuse(err, RULE_LAPIC_NONE, 0, "local APIC", 0, 0);
	if (rt_copy_in(&state, arg, sizeof(state)) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "argument", arg, sizeof(state));
	was = enter(v);
	ret = lapic_set_state(&cpu_of(v)->lapic, state.regs, cpu_of(v)->chip->ids32);
	leave(v, was);
	if (ret < 0)
		return core_refuse(err, RULE_LAPIC_ID, 0, "id", *(u32 *)(void *)(state.regs + LAPIC_ID), v->id);
	cpu_kick(v->cpu, CPU_STOP_POLL);
	return 0;
}
