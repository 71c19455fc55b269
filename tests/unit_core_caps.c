// SPDX-License-Identifier: MIT
/*
 * tests/unit_core_caps.c - capabilities that follow from what this build can do: their numbers, written once more
 *
 * unit_profile.c has those that a profile decides.
 */
#include "core/vm.h"
#include "tests/core_mem.h"
#include "tests/tap.h"
#include "uapi/kvm_irq.h"

static struct core_sys sys;

static void test_present(void)
{
	static const u32 caps[] = {
		KVM_CAP_IRQCHIP, KVM_CAP_HLT, KVM_CAP_SET_TSS_ADDR, KVM_CAP_EXT_CPUID, KVM_CAP_NOP_IO_DELAY,
		KVM_CAP_MP_STATE, KVM_CAP_USER_NMI, KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_SET_BOOT_CPU_ID,
		KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_INTERNAL_ERROR_DATA, KVM_CAP_VCPU_EVENTS, KVM_CAP_DEBUGREGS,
		KVM_CAP_X86_ROBUST_SINGLESTEP, KVM_CAP_XSAVE, KVM_CAP_XCRS, KVM_CAP_GET_TSC_KHZ, KVM_CAP_EXT_EMUL_CPUID,
		KVM_CAP_ENABLE_CAP_VM, KVM_CAP_DISABLE_QUIRKS, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_GET_MSR_FEATURES,
		KVM_CAP_COALESCED_PIO, KVM_CAP_ENABLE_CAP, KVM_CAP_VCPU_ATTRIBUTES, KVM_CAP_MSR_PLATFORM_INFO,
		KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_X86_MSR_FILTER,
		KVM_CAP_SREGS2, KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_CAP_PIT, KVM_CAP_IRQ_INJECT_STATUS, KVM_CAP_IRQFD,
		KVM_CAP_PIT2, KVM_CAP_PIT_STATE2, KVM_CAP_IOEVENTFD, KVM_CAP_TSC_DEADLINE_TIMER, KVM_CAP_SIGNAL_MSI,
		KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_IOEVENTFD_NO_LENGTH, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_IOEVENTFD_ANY_LENGTH,
		KVM_CAP_BINARY_STATS_FD, KVM_CAP_DEVICE_CTRL, KVM_CAP_REINJECT_CONTROL,
	};

	for (unsigned i = 0; i < RT_ARRAY_SIZE(caps); i++)
		is(core_cap(&sys, CORE_SCOPE_DEVICE, caps[i]), 1, "capability %u", caps[i]);
}

static void test_numbers(void)
{
	static const struct {
		u32 cap;
		int value;
	} rows[] = {
		{ KVM_CAP_COALESCED_MMIO, 2 },
		{ KVM_CAP_ADJUST_CLOCK, 14 },
		{ KVM_CAP_INTR_SHADOW, 3 },
		{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3 },
		{ KVM_CAP_DIRTY_LOG_RING, 1 << 20 },
		{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 20 },
		{ KVM_CAP_SET_GUEST_DEBUG2, 0x1f0003 },
		{ KVM_CAP_XSAVE2, 4096 },
		{ KVM_CAP_DISABLE_QUIRKS2, 0x8d },
		{ KVM_CAP_IRQ_ROUTING, 4096 },
		{ KVM_CAP_X2APIC_API, 3 },
		{ KVM_CAP_MCE, 32 },
		{ KVM_CAP_MAX_VCPUS, 1024 },
		{ KVM_CAP_MAX_VCPU_ID, 4096 },
		{ KVM_CAP_NR_VCPUS, 1 },
		{ KVM_CAP_SYNC_REGS, 7 },
		{ KVM_CAP_X86_APIC_BUS_CYCLES_NS, 1 },
	};

	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++)
		is(core_cap(&sys, CORE_SCOPE_DEVICE, rows[i].cap), rows[i].value, "capability %u", rows[i].cap);
	is(core_cap(&sys, KVM_X86_SNP_VM, KVM_CAP_SYNC_REGS), 0, "registers of encrypted state are not shared");
	is(core_cap(&sys, KVM_X86_SW_PROTECTED_VM, KVM_CAP_SYNC_REGS), 7, "others are");
}

static void test_vcpus(void)
{
	struct core_sys many = sys;

	many.shape.cpus = 6;
	is(core_cap(&many, CORE_SCOPE_DEVICE, KVM_CAP_NR_VCPUS), 6, "as many vCPUs are recommended as there are processors");
	many.shape.cpus = 5000;
	is(core_cap(&many, CORE_SCOPE_DEVICE, KVM_CAP_NR_VCPUS), 1024, "and no more than there can be");
}

/* KVM_CAP_DEVICE_CTRL came to all architectures with a kernel between these two. */
static void test_device_ctrl(void)
{
	struct core_sys old;

	ok(core_sys_init(&old, core_profile_find("linux-6.1"), &core_shape_mainline, 0, -1) == 0 &&
		   core_cap(&old, CORE_SCOPE_DEVICE, KVM_CAP_DEVICE_CTRL) == 0,
	   "linux-6.1 does not tell of devices");
}

/* A VM answers as its type does, but for what was set on it. */
static void test_of_vm(void)
{
	struct core_vm vm;

	if (core_vm_init(&vm, &sys, &test_mem, KVM_X86_SNP_VM) < 0)
		abort();
	is(core_vm_cap(&vm, KVM_CAP_SYNC_REGS), 0, "by its type");
	is(core_vm_cap(&vm, KVM_CAP_MAX_VCPUS), 1024, "what all types have");
	is(core_vm_cap(&vm, 0), 1, "interrupt controllers are capability 0");
	is(core_vm_cap(&vm, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 1, "a bus cycle");
	vm.apic_cycle_ns = 25;
	is(core_vm_cap(&vm, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 25, "that was set");
	core_vm_fini(&vm);
}

int main(void)
{
	const struct core_profile *profile = core_profile_find("linux-7.3");

	if (core_sys_init(&sys, profile, &core_shape_mainline, profile->known_vm_types, -1) < 0)
		return 1;
	test_present();
	test_numbers();
	test_vcpus();
	test_device_ctrl();
	test_of_vm();
	return done_testing();
}
