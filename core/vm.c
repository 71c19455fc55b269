// SPDX-License-Identifier: MIT
/*
 * core/vm.c - a VM's type, life and settings
 */
#include "core/vm.h"

#include <asm/errno.h>

#include "core/attributes.h"
#include "core/limits.h"
#include "core/slots.h"

/* Types are a mask of 32 bits in the kernel; what does not fit is unknown. */
#define VM_TYPE_LIMIT 32

int core_vm_type_check(const struct core_sys *sys, u64 type, struct core_err *err)
{
	if (type >= VM_TYPE_LIMIT || !(sys->vm_types >> type & 1))
		return core_refuse(err, RULE_VM_TYPE, 0, "type", type, sys->vm_types);
	return 0;
}

int core_vm_init(struct core_vm *vm, const struct core_sys *sys, const struct core_mem *mem, unsigned type)
{
	int ret;

	*vm = (struct core_vm){ .sys = sys, .mem = mem, .type = type };
	ret = core_slots_init(vm);
	if (ret == 0)
		ret = core_attrs_init(vm);
	if (ret < 0)
		core_vm_fini(vm);
	return ret;
}

void core_vm_fini(struct core_vm *vm)
{
	core_attrs_fini(vm);
	core_slots_fini(vm);
}

static int check_mask(const struct kvm_enable_cap *args, u64 legal, struct core_err *err)
{
	if (args->args[0] & ~legal)
		return core_refuse(err, RULE_ENABLE_CAP_MASK, 0, "args[0]", args->args[0], legal);
	return 0;
}

/* Initially set only together with manual protection. */
static int enable_manual_protect(struct core_vm *vm, const struct kvm_enable_cap *args, struct core_err *err)
{
	u64 legal = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	int ret;

	if (args->args[0] & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		legal |= KVM_DIRTY_LOG_INITIALLY_SET;
	ret = check_mask(args, legal, err);
	if (ret == 0)
		vm->dirty_manual = args->args[0];
	return ret;
}

static int enable_dirty_ring(struct core_vm *vm, const struct kvm_enable_cap *args, struct core_err *err)
{
	u64 size = args->args[0];

	if (!size || (size & (size - 1)) || size < CORE_DIRTY_RING_MIN || (u32)size != size)
		return core_refuse(err, RULE_DIRTY_RING_SIZE, 0, "size", size, CORE_DIRTY_RING_MIN);
	if (size > CORE_DIRTY_RING_MAX)
		return core_refuse(err, RULE_DIRTY_RING_MAX, 0, "size", size, CORE_DIRTY_RING_MAX);
	if (vm->dirty_ring)
		return core_refuse(err, RULE_DIRTY_RING_SIZE, 0, "size", size, vm->dirty_ring);
	if (vm->has_vcpus)
		return core_refuse(err, RULE_BEFORE_VCPUS, 0, "vCPUs", 1, 0);
	vm->dirty_ring = (u32)size;
	return 0;
}

u32 core_vm_max_vcpu_id(const struct core_vm *vm)
{
	return vm->max_vcpu_id ? vm->max_vcpu_id : CORE_MAX_VCPU_ID;
}

/* Once, and not below the boot processor; the first vCPU fixes what was not set. */
static int set_max_vcpu_id(struct core_vm *vm, const struct kvm_enable_cap *args, struct core_err *err)
{
	u64 max = args->args[0];

	if (max > CORE_MAX_VCPU_ID || vm->boot_id > max)
		return core_refuse(err, RULE_VCPU_ID, 0, "args[0]", max, CORE_MAX_VCPU_ID);
	if (max == vm->max_vcpu_id)
		return 0;
	if (vm->max_vcpu_id || (vm->has_vcpus && max != CORE_MAX_VCPU_ID))
		return core_refuse(err, RULE_BEFORE_VCPUS, 0, "args[0]", max, core_vm_max_vcpu_id(vm));
	vm->max_vcpu_id = (u32)max;
	return 0;
}

u64 core_vm_apic_cycle_ns(const struct core_vm *vm)
{
	return vm->apic_cycle_ns ? vm->apic_cycle_ns : CORE_APIC_BUS_CYCLE_NS;
}

/* The longest that a local APIC's timer can be set to has to fit into 64 bits of nanoseconds. */
static int set_apic_cycle(struct core_vm *vm, const struct kvm_enable_cap *args, struct core_err *err)
{
	u64 ns = args->args[0];

	if (!ns || ns > ~0ULL / CORE_APIC_COUNT_MAX)
		return core_refuse(err, RULE_APIC_CYCLE, 0, "args[0]", ns, ~0ULL / CORE_APIC_COUNT_MAX);
	if (!vm->irqchip)
		return core_refuse(err, RULE_IRQCHIP_NONE, 0, "interrupt controller", 0, 0);
	if (vm->has_vcpus)
		return core_refuse(err, RULE_BEFORE_VCPUS, 0, "vCPUs", 1, 0);
	vm->apic_cycle_ns = ns;
	return 0;
}

int core_vm_enable_cap(struct core_vm *vm, const struct kvm_enable_cap *args, struct core_err *err)
{
	int ret;

	if (args->flags)
		return core_refuse(err, RULE_ENABLE_CAP_FLAGS, 0, "flags", args->flags, 0);
	switch (args->cap) {
	case KVM_CAP_EXIT_HYPERCALL:
		if (args->args[0] & ~CORE_HYPERCALL_EXITS)
			return core_refuse(err, RULE_ENABLE_CAP_HYPERCALL, 0, "args[0]", args->args[0],
					   CORE_HYPERCALL_EXITS);
		vm->exit_hypercall = args->args[0];
		return 0;
	case KVM_CAP_MAX_VCPU_ID:
		return set_max_vcpu_id(vm, args, err);
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return enable_manual_protect(vm, args, err);
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return enable_dirty_ring(vm, args, err);
	case KVM_CAP_DISABLE_QUIRKS2:
		ret = check_mask(args, CORE_QUIRKS, err);
		if (ret < 0)
			return ret;
		__attribute__((fallthrough));
	case KVM_CAP_DISABLE_QUIRKS:
		vm->quirks_off |= args->args[0] & CORE_QUIRKS;
		return 0;
	case KVM_CAP_MSR_PLATFORM_INFO:
		vm->platform_info_hidden = !args->args[0];
		return 0;
	case KVM_CAP_X86_APIC_BUS_CYCLES_NS:
		return set_apic_cycle(vm, args, err);
	case KVM_CAP_X86_USER_SPACE_MSR:
		ret = check_mask(args, KVM_MSR_EXIT_REASON_VALID_MASK, err);
		if (ret == 0)
			vm->msr_exits = (u32)args->args[0];
		return ret;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		vm->triple_fault_event = args->args[0] != 0;
		return 0;
	}
	return core_refuse(err, RULE_ENABLE_CAP_UNKNOWN, 0, "cap", args->cap, KVM_CAP_EXIT_HYPERCALL);
}

int core_vm_set_nr_mmu_pages(struct core_vm *vm, u64 pages, struct core_err *err)
{
	if (pages < CORE_MIN_MMU_PAGES)
		return core_refuse(err, RULE_NR_MMU_PAGES, 0, "pages", pages, CORE_MIN_MMU_PAGES);
	vm->nr_mmu_pages = pages;
	return 0;
}

int core_vm_create_irqchip(struct core_vm *vm, struct core_err *err)
{
	if (vm->irqchip)
		return core_refuse(err, RULE_IRQCHIP_EXISTS, 0, "vm", 0, 0);
	if (vm->type == KVM_X86_TDX_VM)
		return core_refuse(err, RULE_IRQCHIP_PROTECTED, 0, "vm type", vm->type, 0);
	vm->irqchip = true;
	return 0;
}

int core_vm_create_vcpu(const struct core_vm *vm, u64 id, unsigned nr, struct core_err *err)
{
	if (vm->sys->profile->vcpu_id_u32)
		id = (u32)id;
	if (id >= core_vm_max_vcpu_id(vm))
		return core_refuse(err, RULE_VCPU_ID, 0, "id", id, core_vm_max_vcpu_id(vm));
	if (nr >= CORE_MAX_VCPUS)
		return core_refuse(err, RULE_VCPU_COUNT, 0, "vCPUs", nr, CORE_MAX_VCPUS);
	return 0;
}
