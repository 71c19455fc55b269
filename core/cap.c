// SPDX-License-Identifier: MIT
/*
 * core/cap.c - what KVM_CHECK_EXTENSION answers, and properties of VM types
 *
 * The device answers for the host, a VM for itself: where the two differ, the
 * answer below asks a property of the VM's type.  Values are non-negative ints.
 */
#include "core/limits.h"
#include "core/profile.h"
#include "core/vm.h"
#include "uapi/kvm_irq.h"

bool core_sys_has_gmem(const struct core_sys *sys)
{
	return sys->profile->has_gmem && (sys->profile->gmem_for_all_types || sys->shape.private_mem);
}

bool core_type_has_private(unsigned type)
{
	return type == KVM_X86_SW_PROTECTED_VM || type == KVM_X86_SNP_VM || type == KVM_X86_TDX_VM;
}

bool core_type_has_gmem_slots(const struct core_sys *sys, unsigned type)
{
	return core_sys_has_gmem(sys) && (sys->profile->gmem_for_all_types || core_type_has_private(type));
}

/* Guest registers are out of KVM's reach: a write to read-only memory could not be completed. */
bool core_type_has_readonly(unsigned type)
{
	return type != KVM_X86_SEV_ES_VM && type != KVM_X86_SNP_VM && type != KVM_X86_TDX_VM;
}

/* The set that the VM ioctl takes on this host. */
static u64 host_vm_attributes(const struct core_sys *sys)
{
	if (!sys->profile->vm_attributes || !sys->shape.private_mem || sys->in_place)
		return 0;
	return KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

u64 core_type_attributes(const struct core_sys *sys, unsigned type)
{
	return core_type_has_private(type) ? host_vm_attributes(sys) : 0;
}

u64 core_type_gmem_flags(const struct core_sys *sys, unsigned type)
{
	if (!sys->profile->has_mmap)
		return 0;
	if (core_type_has_private(type) && !sys->in_place)
		return GUEST_MEMFD_FLAG_MMAP;
	return GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
}

/* Before 6.8 no type had private memory, so that the type alone decides. */
unsigned core_type_address_spaces(const struct core_sys *sys, unsigned type)
{
	return sys->shape.smm && !core_type_has_private(type) ? CORE_ADDRESS_SPACES : 1;
}

static bool is_device(int scope)
{
	return scope == CORE_SCOPE_DEVICE;
}

/* Answers, by the names in core/cap.def. */

static u64 yes(const struct core_sys *sys, int scope)
{
	return 1;
}

static u64 nr_memslots(const struct core_sys *sys, int scope)
{
	return CORE_NR_MEMSLOTS;
}

static u64 readonly_mem(const struct core_sys *sys, int scope)
{
	return is_device(scope) || core_type_has_readonly((unsigned)scope);
}

/* Not reported at all where there is but one. */
static u64 multi_address_space(const struct core_sys *sys, int scope)
{
	if (!sys->shape.smm)
		return 0;
	return is_device(scope) ? CORE_ADDRESS_SPACES : core_type_address_spaces(sys, (unsigned)scope);
}

static u64 exit_hypercall(const struct core_sys *sys, int scope)
{
	return CORE_HYPERCALL_EXITS;
}

static u64 since_gmem(const struct core_sys *sys, int scope)
{
	return sys->profile->has_gmem;
}

static u64 memory_attributes(const struct core_sys *sys, int scope)
{
	return is_device(scope) ? host_vm_attributes(sys) : core_type_attributes(sys, (unsigned)scope);
}

static u64 guest_memfd(const struct core_sys *sys, int scope)
{
	return is_device(scope) ? core_sys_has_gmem(sys) : core_type_has_gmem_slots(sys, (unsigned)scope);
}

static u64 vm_types(const struct core_sys *sys, int scope)
{
	return sys->profile->has_private_types ? sys->vm_types : 0;
}

static u64 pre_fault_memory(const struct core_sys *sys, int scope)
{
	return sys->profile->has_pre_fault && sys->shape.tdp;
}

static u64 guest_memfd_flags(const struct core_sys *sys, int scope)
{
	/* What some VM of this host accepts: a default VM accepts all that there are. */
	return core_type_gmem_flags(sys, is_device(scope) ? KVM_X86_DEFAULT_VM : (unsigned)scope);
}

static u64 guest_memfd_attributes(const struct core_sys *sys, int scope)
{
	if (!sys->in_place || !(is_device(scope) || core_type_has_private((unsigned)scope)))
		return 0;
	return KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

static u64 nr_vcpus(const struct core_sys *sys, int scope)
{
	return rt_min(rt_max(sys->shape.cpus, 1), CORE_MAX_VCPUS);
}

static u64 max_vcpus(const struct core_sys *sys, int scope)
{
	return CORE_MAX_VCPUS;
}

static u64 max_vcpu_id(const struct core_sys *sys, int scope)
{
	return CORE_MAX_VCPU_ID;
}

static u64 coalesced_mmio(const struct core_sys *sys, int scope)
{
	return KVM_COALESCED_MMIO_PAGE_OFFSET;
}

static u64 adjust_clock(const struct core_sys *sys, int scope)
{
	return KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
}

static u64 intr_shadow(const struct core_sys *sys, int scope)
{
	return KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI;
}

/* Guest registers of encrypted state cannot be shared. */
/* What KVM_X86_SETUP_MCE takes at most. */
static u64 mce_banks(const struct core_sys *sys, int scope)
{
	return 32;
}

static u64 sync_regs(const struct core_sys *sys, int scope)
{
	return readonly_mem(sys, scope) ? KVM_SYNC_X86_VALID_FIELDS : 0;
}

static u64 manual_protect(const struct core_sys *sys, int scope)
{
	return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
}

static u64 dirty_ring(const struct core_sys *sys, int scope)
{
	return CORE_DIRTY_RING_MAX;
}

static u64 guest_debug(const struct core_sys *sys, int scope)
{
	return KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP |
	       KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP | KVM_GUESTDBG_BLOCKIRQ;
}

static u64 xsave_size(const struct core_sys *sys, int scope)
{
	return sizeof(struct kvm_xsave);
}

static u64 quirks(const struct core_sys *sys, int scope)
{
	return CORE_QUIRKS;
}

static u64 apic_bus_cycles(const struct core_sys *sys, int scope)
{
	return CORE_APIC_BUS_CYCLE_NS;
}

static u64 irq_routes(const struct core_sys *sys, int scope)
{
	return KVM_MAX_IRQ_ROUTES;
}

static u64 x2apic_api(const struct core_sys *sys, int scope)
{
	return KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
}

int core_cap(const struct core_sys *sys, int scope, u32 cap)
{
	switch (cap) {
#define CAP(id, nature, answer)                                                                                        \
	case KVM_CAP_##id:                                                                                             \
		return (int)answer(sys, scope);
#define CAP_OTHER(id, answer)                                                                                          \
	case KVM_CAP_##id:                                                                                             \
		return (int)answer(sys, scope);
#include "core/cap.def"
#undef CAP
#undef CAP_OTHER
	}
	return 0;
}

int core_vm_cap(const struct core_vm *vm, u32 cap)
{
	if (cap == KVM_CAP_X86_APIC_BUS_CYCLES_NS)
		return (int)core_vm_apic_cycle_ns(vm);
	return core_cap(vm->sys, (int)vm->type, cap);
}

bool core_cap_decided(u32 cap)
{
	switch (cap) {
#define CAP(id, nature, answer) case KVM_CAP_##id:
#define CAP_OTHER(id, answer)
#include "core/cap.def"
#undef CAP
#undef CAP_OTHER
		return true;
	}
	return false;
}

const struct core_cap_info core_caps[] = {
#define CAP(id, nature, answer) { KVM_CAP_##id, "KVM_CAP_" #id, CORE_CAP_##nature },
#define CAP_OTHER(id, answer)
#include "core/cap.def"
#undef CAP
#undef CAP_OTHER
};
const unsigned core_cap_count = RT_ARRAY_SIZE(core_caps);
