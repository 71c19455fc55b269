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

int core_vm_enable_cap(struct core_vm *vm, const struct kvm_enable_cap *args, struct core_err *err)
{
	if (args->flags)
		return core_refuse(err, RULE_ENABLE_CAP_FLAGS, 0, "flags", args->flags, 0);
	if (args->cap != KVM_CAP_EXIT_HYPERCALL)
		return core_refuse(err, RULE_ENABLE_CAP_UNKNOWN, 0, "cap", args->cap, KVM_CAP_EXIT_HYPERCALL);
	if (args->args[0] & ~CORE_HYPERCALL_EXITS)
		return core_refuse(err, RULE_ENABLE_CAP_HYPERCALL, 0, "args[0]", args->args[0], CORE_HYPERCALL_EXITS);
	vm->exit_hypercall = args->args[0];
	return 0;
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

int core_vm_create_vcpu(const struct core_vm *vm, u64 id, struct core_err *err)
{
	if (vm->sys->profile->vcpu_id_u32)
		id = (u32)id;
	if (id >= CORE_MAX_VCPU_ID)
		return core_refuse(err, RULE_VCPU_ID, 0, "id", id, CORE_MAX_VCPU_ID);
	return core_refuse(err, RULE_VCPU_ABSENT, 0, "id", id, 0);
}
