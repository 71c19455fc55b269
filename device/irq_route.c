// SPDX-License-Identifier: MIT
/*
 * device/irq_route.c - from a GSI or a message to local APICs
 */
#include "device/internal.h"
#include "device/irqchip.h"
#include "rt/alloc.h"
#include "rt/syscall.h"
#include "rt/user.h"

/* ---- messages ---- */

struct irq_message irq_msi_message(const struct irqchip *chip, u64 address, u32 data)
{
	struct irq_message m = {
		.dest = (u32)(address >> 12 & 0xff),
		.vector = (u8)data,
		.mode = data >> 8 & 7,
		.logical = address >> 2 & 1,
		.level_triggered = data >> 15 & 1,
		.assert = true,
	};

	if (chip->ids32)
		m.dest |= (u32)(address >> 32) & ~0xffU;
	m.lowest = m.mode == IRQ_LOWEST || (address >> 3 & 1);
	return m;
}

int irq_msi(struct irqchip *chip, u64 address, u32 data)
{
	struct irq_message m = irq_msi_message(chip, address, data);

	return irq_deliver(chip, &m, NULL);
}

static int accept(struct irq_cpu *cpu, const struct irq_message *m)
{
	if (!lapic_accept(&cpu->lapic, m->mode, m->vector, m->assert, m->level_triggered))
		return 0;
	dev_vcpu_kick(cpu->v);
	return 1;
}

static bool is_meant(const struct irqchip *chip, const struct irq_cpu *cpu, const struct irq_message *m,
		     const struct irq_cpu *from)
{
	switch (m->shorthand) {
	case IRQ_TO_SELF:
		return cpu == from;
	case IRQ_TO_ALL:
		return lapic_on(&cpu->lapic);
	case IRQ_TO_OTHERS:
		return cpu != from && lapic_on(&cpu->lapic);
	case IRQ_TO_DEST:
		break;
	}
	return lapic_is_destination(&cpu->lapic, m, chip->ids32);
}

/* One of those that can take it; the vector says which, so that load is spread and an interrupt stays where it is. */
static int deliver_lowest(struct irqchip *chip, const struct irq_message *m, struct irq_cpu *from)
{
	unsigned able = 0, chosen;

	for (struct irq_cpu *cpu = chip->cpus; cpu; cpu = cpu->next)
		able += is_meant(chip, cpu, m, from) && lapic_enabled(&cpu->lapic);
	chosen = able ? m->vector % able : 0;
	for (struct irq_cpu *cpu = chip->cpus; able && cpu; cpu = cpu->next) {
		if (is_meant(chip, cpu, m, from) && lapic_enabled(&cpu->lapic) && chosen-- == 0)
			return accept(cpu, m);
	}
	return -1;
}

int irq_deliver(struct irqchip *chip, const struct irq_message *m, struct irq_cpu *from)
{
	int ret = -1;

	if (m->lowest)
		return deliver_lowest(chip, m, from);
	for (struct irq_cpu *cpu = chip->cpus; cpu; cpu = cpu->next) {
		if (is_meant(chip, cpu, m, from))
			ret = accept(cpu, m) + (ret < 0 ? 0 : ret);
	}
	return ret;
}

void irq_pic_changed(struct irqchip *chip)
{
	if (!pic_output(&chip->pic))
		return;
	for (struct irq_cpu *cpu = chip->cpus; cpu; cpu = cpu->next) {
		if (lapic_takes_pic(&cpu->lapic))
			dev_vcpu_kick(cpu->v);
	}
}

/* ---- lines ---- */

static bool line(u8 *lines, unsigned pin, enum irq_source source, bool level)
{
	u8 bit = (u8)(1U << source);

	lines[pin] = level ? lines[pin] | bit : lines[pin] & (u8)~bit;
	return lines[pin] != 0;
}

static int set_route(struct irqchip *chip, const struct kvm_irq_routing_entry *e, enum irq_source source, bool level)
{
	u32 pin = e->u.irqchip.pin;
	int ret;

	if (e->type == KVM_IRQ_ROUTING_MSI) {
		if (!level)
			return -1;
		return irq_msi(chip, (u64)e->u.msi.address_hi << 32 | e->u.msi.address_lo, e->u.msi.data);
	}
	if (e->u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC)
		return ioapic_set(&chip->ioapic, pin, line(chip->ioapic_lines, pin, source, level));
	if (e->u.irqchip.irqchip == KVM_IRQCHIP_PIC_SLAVE)
		pin += 8;
	ret = pic_set(&chip->pic, pin, line(chip->pic_lines, pin, source, level));
	irq_pic_changed(chip);
	return ret;
}

/* As kvm_set_irq(): what all routes say together. */
int irq_set_gsi(struct irqchip *chip, u32 gsi, enum irq_source source, bool level)
{
	struct irq_routes *r = chip->routes;
	int ret = -1, one;

	if (!r || gsi >= KVM_MAX_IRQ_ROUTES)
		return -1;
	for (u32 i = r->first[gsi]; i; i = r->route[i - 1].next) {
		one = set_route(chip, &r->route[i - 1].entry, source, level);
		if (one >= 0)
			ret = one + (ret < 0 ? 0 : ret);
	}
	return ret;
}

int irq_gsi_of_pin(const struct irqchip *chip, u32 which, u32 pin)
{
	const struct irq_routes *r = chip->routes;

	for (u32 i = 0; i < r->nr; i++) {
		const struct kvm_irq_routing_entry *e = &r->route[i].entry;

		if (e->type == KVM_IRQ_ROUTING_IRQCHIP && e->u.irqchip.irqchip == which && e->u.irqchip.pin == pin)
			return (int)e->gsi;
	}
	return -1;
}

/* ---- the table ---- */

static size_t routes_size(u32 nr)
{
	return sizeof(struct irq_routes) + nr * sizeof(struct irq_route);
}

struct irq_routes *irq_routes_new(u32 nr)
{
	struct irq_routes *r = rt_alloc(routes_size(nr));

	if (r)
		r->nr = nr;
	return r;
}

void irq_routes_free(struct irq_routes *routes)
{
	if (routes)
		rt_free(routes, routes_size(routes->nr));
}

/* A GSI has one message, or one pin of each controller. */
static bool conflicts(const struct irq_routes *r, const struct kvm_irq_routing_entry *e)
{
	for (u32 i = r->first[e->gsi]; i; i = r->route[i - 1].next) {
		const struct kvm_irq_routing_entry *other = &r->route[i - 1].entry;

		if (other->type != KVM_IRQ_ROUTING_IRQCHIP || e->type != KVM_IRQ_ROUTING_IRQCHIP ||
		    other->u.irqchip.irqchip == e->u.irqchip.irqchip)
			return true;
	}
	return false;
}

static bool valid_target(const struct irqchip *chip, const struct kvm_irq_routing_entry *e)
{
	if (e->type == KVM_IRQ_ROUTING_MSI)
		return !chip->ids32 || !(e->u.msi.address_hi & 0xff);
	if (e->type != KVM_IRQ_ROUTING_IRQCHIP || chip->mode == IRQCHIP_SPLIT)
		return false;
	if (e->u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC)
		return e->u.irqchip.pin < IOAPIC_PINS;
	return e->u.irqchip.irqchip <= KVM_IRQCHIP_PIC_SLAVE && e->u.irqchip.pin < PIC_PINS / 2;
}

static bool add(struct irq_routes *r, u32 at, const struct kvm_irq_routing_entry *e)
{
	if (e->gsi >= KVM_MAX_IRQ_ROUTES || e->flags || conflicts(r, e))
		return false;
	r->route[at].entry = *e;
	r->route[at].next = r->first[e->gsi];
	r->first[e->gsi] = (u16)(at + 1);
	return true;
}

/* As KVM_CREATE_IRQCHIP leaves it: GSI n is pin n of the I/O APIC, and of the PIC where it has one. */
int irq_routes_default(struct irqchip *chip)
{
	struct irq_routes *r = irq_routes_new(IOAPIC_PINS + PIC_PINS);
	struct kvm_irq_routing_entry e = { .type = KVM_IRQ_ROUTING_IRQCHIP };
	u32 at = 0;

	if (!r)
		return -ENOMEM;
	for (u32 gsi = 0; gsi < IOAPIC_PINS; gsi++) {
		e.gsi = gsi;
		e.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		e.u.irqchip.pin = gsi;
		add(r, at++, &e);
		if (gsi >= PIC_PINS)
			continue;
		e.u.irqchip.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
		e.u.irqchip.pin = gsi & 7;
		add(r, at++, &e);
	}
	chip->routes = r;
	return 0;
}

/* ---- ioctls ---- */

static bool in_kernel(const struct irqchip *chip)
{
	return chip && chip->mode != IRQCHIP_NONE;
}

long dev_vm_set_gsi_routing(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct irqchip *chip = irqchip_of(dev_to_vm(obj));
	const struct kvm_irq_routing *head = copy;
	struct irq_routes *r, *old;
	struct kvm_irq_routing_entry e;
	u64 at = arg + sizeof(*head);

	if (!in_kernel(chip))
		return core_refuse(err, RULE_ROUTING_CHIP, 0, "interrupt controller", 0, 0);
	if (head->nr > KVM_MAX_IRQ_ROUTES)
		return core_refuse(err, RULE_ROUTING_COUNT, 0, "nr", head->nr, KVM_MAX_IRQ_ROUTES);
	if (head->flags)
		return core_refuse(err, RULE_ROUTING_FLAGS, 0, "flags", head->flags, 0);
	r = irq_routes_new(head->nr);
	if (!r)
		return core_refuse(err, RULE_NO_MEMORY, 0, "routes", head->nr, 0);
	for (u32 i = 0; i < head->nr; i++, at += sizeof(e)) {
		if (rt_copy_in(&e, at, sizeof(e)) < 0) {
			irq_routes_free(r);
			return core_refuse(err, RULE_ARGUMENT_READ, 0, "entries", at, sizeof(e));
		}
		if (!valid_target(chip, &e) || !add(r, i, &e)) {
			irq_routes_free(r);
			return core_refuse(err, RULE_ROUTING_ENTRY, 0, "gsi", e.gsi, KVM_MAX_IRQ_ROUTES);
		}
	}
	rt_lock(&chip->lock);
	old = chip->routes;
	chip->routes = r;
	rt_unlock(&chip->lock);
	irq_routes_free(old);
	return 0;
}

static long irq_line(struct dev_object *obj, struct kvm_irq_level *level, struct core_err *err)
{
	struct irqchip *chip = irqchip_of(dev_to_vm(obj));

	if (!in_kernel(chip))
		return core_refuse(err, RULE_IRQCHIP_NONE, 0, "interrupt controller", 0, 0);
	rt_lock(&chip->lock);
	level->status = irq_set_gsi(chip, level->irq, IRQ_SOURCE_USER, level->level);
	rt_unlock(&chip->lock);
	return 0;
}

long dev_vm_irq_line(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return irq_line(obj, copy, err);
}

long dev_vm_irq_line_status(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	long ret = irq_line(obj, copy, err);

	return ret < 0 ? ret : dev_copy_out(arg, copy, sizeof(struct kvm_irq_level), err);
}

/* The kernel returns the number of deliveries, and its -1 for "nobody there" comes out as EPERM. */
long dev_vm_signal_msi(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct irqchip *chip = irqchip_of(dev_to_vm(obj));
	const struct kvm_msi *msi = copy;
	int ret;

	if (!in_kernel(chip) || msi->flags)
		return core_refuse(err, RULE_MSI, 0, "flags", msi->flags, 0);
	if (chip->ids32 && (msi->address_hi & 0xff))
		return core_refuse(err, RULE_MSI, 0, "address_hi", msi->address_hi, 0);
	rt_lock(&chip->lock);
	ret = irq_msi(chip, (u64)msi->address_hi << 32 | msi->address_lo, msi->data);
	rt_unlock(&chip->lock);
	return ret;
}
