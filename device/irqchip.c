// SPDX-License-Identifier: MIT
/*
 * device/irqchip.c - creation and state of a VM's interrupt controllers
 */
#include "device/irqchip.h"

#include "device/internal.h"
#include "rt/alloc.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"

static struct irqchip *chip_of_ioapic(struct ioapic *io)
{
	return RT_CONTAINER_OF(io, struct irqchip, ioapic);
}

static int ioapic_deliver(struct ioapic *io, const struct irq_message *m)
{
	return irq_deliver(chip_of_ioapic(io), m, NULL);
}

/* Within a controller's work: the next tick of the timer comes behind it. */
static void pin_acked(struct irqchip *chip, u32 which, u32 pin)
{
	int gsi = chip->irqfds || chip->has_pit ? irq_gsi_of_pin(chip, which, pin) : -1;

	if (gsi >= 0 && chip->irqfds)
		irqfd_acked(chip, (u32)gsi);
	if (gsi == 0 && chip->has_pit)
		chip->pit_due |= pit_acked(&chip->pit);
}

static void pin_unmasked(struct irqchip *chip, u32 which, u32 pin)
{
	if (chip->has_pit && irq_gsi_of_pin(chip, which, pin) == 0)
		pit_forget(&chip->pit);
}

static void ioapic_acked(struct ioapic *io, unsigned pin)
{
	pin_acked(chip_of_ioapic(io), KVM_IRQCHIP_IOAPIC, pin);
}

static void ioapic_unmasked(struct ioapic *io, unsigned pin)
{
	pin_unmasked(chip_of_ioapic(io), KVM_IRQCHIP_IOAPIC, pin);
}

static void pic_unmasked(struct pic *pic, unsigned pin)
{
	pin_unmasked(RT_CONTAINER_OF(pic, struct irqchip, pic), pin >> 3, pin & 7);
}

static void pic_acked(struct pic *pic, unsigned pin)
{
	pin_acked(RT_CONTAINER_OF(pic, struct irqchip, pic), pin >> 3, pin & 7);
}

static void irqchip_fini(struct dev_vm *vm)
{
	struct irqchip *chip = vm->irq;

	irq_thread_stop(chip);
	irqfd_fini(chip);
	irq_routes_free(chip->routes);
	rt_free(chip, sizeof(*chip));
	vm->irq = NULL;
}

/* What a VM has as soon as it has anything of this: eventfds need no controller. */
struct irqchip *irqchip_get(struct dev_vm *vm)
{
	struct irqchip *chip;

	rt_lock(&dev_slots_lock);
	chip = vm->irq;
	if (!chip)
		chip = rt_alloc(sizeof(*chip));
	if (chip && !vm->irq) {
		chip->vm = vm;
		chip->epoll = chip->timer = -1;
		chip->ioapic.deliver = ioapic_deliver;
		chip->ioapic.acked = ioapic_acked;
		chip->ioapic.unmasked = ioapic_unmasked;
		chip->pic.acked = pic_acked;
		chip->pic.unmasked = pic_unmasked;
		vm->irq_fini = irqchip_fini;
		__atomic_store_n(&vm->irq, chip, __ATOMIC_RELEASE);
	}
	rt_unlock(&dev_slots_lock);
	return chip;
}

/* ---- creation ---- */

static void set_mode(struct irqchip *chip, enum irqchip_mode mode)
{
	pic_reset(&chip->pic);
	ioapic_reset(&chip->ioapic);
	chip->mode = mode;
	chip->vm->vcpu_created = irq_vcpu_created;
}

long dev_vm_create_irqchip(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	struct irqchip *chip = irqchip_get(vm);
	long ret;

	if (!chip)
		return core_refuse(err, RULE_NO_MEMORY, 0, "interrupt controller", 0, 0);
	rt_lock(&dev_slots_lock);
	if (!vm->core.irqchip && vm->core.type != KVM_X86_TDX_VM && vm->nr_vcpus)
		ret = core_refuse(err, RULE_IRQCHIP_VCPUS, 0, "vCPUs", vm->nr_vcpus, 0);
	else
		ret = core_vm_create_irqchip(&vm->core, err);
	if (ret == 0) {
		ret = irq_routes_default(chip);
		vm->core.irqchip = ret == 0;
	}
	if (ret == 0)
		set_mode(chip, IRQCHIP_FULL);
	rt_unlock(&dev_slots_lock);
	return ret;
}

static long enable_split(struct dev_vm *vm, u64 pins, struct core_err *err)
{
	struct irqchip *chip = irqchip_get(vm);
	struct irq_routes *none = irq_routes_new(0);
	long ret = 0;

	if (!chip || !none) {
		irq_routes_free(none);
		return core_refuse(err, RULE_NO_MEMORY, 0, "interrupt controller", 0, 0);
	}
	rt_lock(&dev_slots_lock);
	if (pins > KVM_MAX_IRQ_ROUTES)
		ret = core_refuse(err, RULE_IRQCHIP_PINS, 0, "args[0]", pins, KVM_MAX_IRQ_ROUTES);
	else if (vm->core.irqchip || vm->nr_vcpus)
		ret = core_refuse(err, RULE_IRQCHIP_EXISTS, 0, "vm", vm->nr_vcpus, 0);
	if (ret == 0) {
		chip->routes = none;
		chip->reserved_pins = (u32)pins;
		vm->core.irqchip = true;
		vm->core.pic_outside = true;
		set_mode(chip, IRQCHIP_SPLIT);
	} else {
		irq_routes_free(none);
	}
	rt_unlock(&dev_slots_lock);
	return ret;
}

static long enable_x2apic_api(struct dev_vm *vm, u64 flags, struct core_err *err)
{
	u64 known = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	struct irqchip *chip;

	if (flags & ~known)
		return core_refuse(err, RULE_X2APIC_FLAGS, 0, "args[0]", flags, known);
	chip = irqchip_get(vm);
	if (!chip)
		return core_refuse(err, RULE_NO_MEMORY, 0, "interrupt controller", 0, 0);
	rt_lock(&chip->lock);
	chip->ids32 |= (flags & KVM_X2APIC_API_USE_32BIT_IDS) != 0;
	rt_unlock(&chip->lock);
	return 0;
}

bool dev_irq_enable_cap(struct dev_vm *vm, const struct kvm_enable_cap *args, long *ret, struct core_err *err)
{
	if (args->flags)
		return false;
	switch (args->cap) {
	case KVM_CAP_SPLIT_IRQCHIP:
		*ret = enable_split(vm, args->args[0], err);
		return true;
	case KVM_CAP_X2APIC_API:
		*ret = enable_x2apic_api(vm, args->args[0], err);
		return true;
	}
	return false;
}

/* ---- state ---- */

static struct irqchip *full(struct dev_object *obj, struct core_err *err)
{
	struct irqchip *chip = irqchip_of(dev_to_vm(obj));

	if (chip && chip->mode == IRQCHIP_FULL)
		return chip;
	core_refuse(err, RULE_IRQCHIP_NONE, 0, "interrupt controller", 0, 0);
	return NULL;
}

static void get_ioapic(const struct ioapic *io, struct kvm_ioapic_state *ret)
{
	ret->base_address = IOAPIC_BASE;
	ret->ioregsel = io->select;
	ret->id = io->id;
	ret->irr = io->irr;
	memcpy(ret->redirtbl, io->redir, sizeof(ret->redirtbl));
}

static void set_ioapic(struct irqchip *chip, const struct kvm_ioapic_state *in)
{
	struct ioapic *io = &chip->ioapic;

	io->select = in->ioregsel & 0xff;
	io->id = in->id & 0xf;
	io->irr = 0;
	memcpy(io->redir, in->redirtbl, sizeof(io->redir));
	/* What was pending is asserted anew. */
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (in->irr >> pin & 1)
			ioapic_set(io, pin, true);
	}
}

long dev_vm_get_irqchip(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct irqchip *chip = full(obj, err);
	struct kvm_irqchip state;

	if (rt_copy_in(&state, arg, sizeof(state)) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "argument", arg, sizeof(state));
	if (!chip)
		return -ENXIO;
	if (state.chip_id > KVM_IRQCHIP_IOAPIC)
		return core_refuse(err, RULE_IRQCHIP_ID, 0, "chip_id", state.chip_id, KVM_IRQCHIP_IOAPIC);
	rt_lock(&chip->lock);
	if (state.chip_id == KVM_IRQCHIP_IOAPIC)
		get_ioapic(&chip->ioapic, &state.chip.ioapic);
	else
		state.chip.pic = chip->pic.chip[state.chip_id];
	rt_unlock(&chip->lock);
	return dev_copy_out(arg, &state, sizeof(state), err);
}

long dev_vm_set_irqchip(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct irqchip *chip = full(obj, err);
	struct kvm_irqchip state;

	if (rt_copy_in(&state, arg, sizeof(state)) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "argument", arg, sizeof(state));
	if (!chip)
		return -ENXIO;
	if (state.chip_id > KVM_IRQCHIP_IOAPIC)
		return core_refuse(err, RULE_IRQCHIP_ID, 0, "chip_id", state.chip_id, KVM_IRQCHIP_IOAPIC);
	rt_lock(&chip->lock);
	if (state.chip_id == KVM_IRQCHIP_IOAPIC)
		set_ioapic(chip, &state.chip.ioapic);
	else
		chip->pic.chip[state.chip_id] = state.chip.pic;
	irq_pic_changed(chip);
	rt_unlock(&chip->lock);
	return 0;
}

/* ---- the timer ---- */

static long create_pit(struct dev_vm *vm, u32 flags, struct core_err *err)
{
	struct irqchip *chip = irqchip_of(vm);
	long ret = 0;

	if (!chip || chip->mode != IRQCHIP_FULL)
		return core_refuse(err, RULE_PIT_CHIP, 0, "interrupt controller", 0, 0);
	rt_lock(&chip->lock);
	if (chip->has_pit) {
		ret = core_refuse(err, RULE_PIT_EXISTS, 0, "vm", 0, 0);
	} else {
		pit_reset(&chip->pit, irq_now());
		chip->pit.has_speaker = flags & KVM_PIT_SPEAKER_DUMMY;
		chip->has_pit = true;
	}
	rt_unlock(&chip->lock);
	return ret;
}

long dev_vm_create_pit(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return create_pit(dev_to_vm(obj), KVM_PIT_SPEAKER_DUMMY, err);
}

long dev_vm_create_pit2(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return create_pit(dev_to_vm(obj), ((struct kvm_pit_config *)copy)->flags, err);
}

static struct irqchip *with_pit(struct dev_object *obj, struct core_err *err)
{
	struct irqchip *chip = irqchip_of(dev_to_vm(obj));

	if (chip && chip->has_pit)
		return chip;
	core_refuse(err, RULE_PIT_NONE, 0, "timer", 0, 0);
	return NULL;
}

static long get_pit(struct dev_object *obj, u64 arg, size_t size, struct core_err *err)
{
	struct irqchip *chip = with_pit(obj, err);
	struct kvm_pit_state2 state = { .flags = 0 };

	if (!chip)
		return -ENXIO;
	rt_lock(&chip->lock);
	memcpy(state.channels, chip->pit.channel, sizeof(state.channels));
	state.flags = chip->pit.flags;
	rt_unlock(&chip->lock);
	return dev_copy_out(arg, &state, size, err);
}

static long set_pit(struct dev_object *obj, const struct kvm_pit_channel_state *channels, u32 flags, struct core_err *err)
{
	struct irqchip *chip = with_pit(obj, err);

	if (!chip)
		return -ENXIO;
	rt_lock(&chip->lock);
	memcpy(chip->pit.channel, channels, sizeof(chip->pit.channel));
	chip->pit.flags = flags;
	pit_restart(&chip->pit, irq_now());
	irq_timer_changed(chip, chip->pit.deadline);
	rt_unlock(&chip->lock);
	return 0;
}

long dev_vm_get_pit(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return get_pit(obj, arg, sizeof(struct kvm_pit_state), err);
}

long dev_vm_get_pit2(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return get_pit(obj, arg, sizeof(struct kvm_pit_state2), err);
}

long dev_vm_set_pit(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return set_pit(obj, ((struct kvm_pit_state *)copy)->channels, 0, err);
}

long dev_vm_set_pit2(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct kvm_pit_state2 *state = copy;

	return set_pit(obj, state->channels, state->flags, err);
}

long dev_vm_reinject_control(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct kvm_reinject_control *control = copy;
	struct irqchip *chip = with_pit(obj, err);

	if (!chip)
		return -ENXIO;
	rt_lock(&chip->lock);
	pit_set_reinject(&chip->pit, control->pit_reinject);
	rt_unlock(&chip->lock);
	return 0;
}
