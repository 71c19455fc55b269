// SPDX-License-Identifier: MIT
/*
 * tests/unit_device_rules.c - refusals of the device's own ioctls: each with its errno and its rule
 *
 * What core/ decides is unit_core_refusals.c's.  Here requests go through
 * dev_ioctl() as the overlay makes them, and the rule that comes back with the errno is
 * looked at, which no program can do.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "device/internal.h"
#include "tests/unit_device.h"
#include "uapi/kvm_irq.h"

static void test_system(void)
{
	int vm = new_vm(0);
	struct kvm_msr_list list = { .nmsrs = 0 };
	struct kvm_cpuid2 cpuid = { .nent = 1 };

	refusal(kvm_fd, 0xaeff, NULL, IOCTL_DEV, EINVAL, "an unknown request of the device");
	refusal(vm, 0xaeff, NULL, IOCTL_VM, ENOTTY, "of a VM");
	refusal(kvm_fd, KVM_GET_API_VERSION, BY_VALUE(1), ARGUMENT_ZERO, EINVAL, "an argument where there is none");
	refusal(kvm_fd, KVM_CREATE_VM, BY_VALUE(31), VM_TYPE, EINVAL, "a type that is unknown");
	refusal(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid, CPUID_ROOM, E2BIG, "room for one leaf");
	refusal(kvm_fd, KVM_GET_MSR_INDEX_LIST, &list, MSR_ROOM, E2BIG, "room for no MSR");
	refusal(kvm_fd, KVM_GET_MSR_INDEX_LIST, hole, ARGUMENT_READ, EFAULT, "a list that is not there");
	close(vm);
}

static void test_file(void)
{
	const struct kvm_create_guest_memfd args = { .size = PG };
	const struct kvm_memory_attributes2 convert = { .size = PG };
	int vm = new_vm(0), file = (int)device_call(vm, KVM_CREATE_GUEST_MEMFD, &args);

	refusal(file, 0xaeff, NULL, IOCTL_GMEM, ENOTTY, "an unknown request of a file");
	refusal(file, KVM_SET_MEMORY_ATTRIBUTES2, &convert, CONVERT_SWITCH, ENOTTY, "a conversion with the switch off");
	close(file);
	close(vm);
}

/* What is known to some kernels alone: the refusal says which, and not merely that the number is unknown. */
static void test_gates(void)
{
	const struct dev_config before = dev_config;
	int vm, cpu;

	if (core_sys_init(&dev_config.sys, core_profile_find("linux-6.1"), &core_shape_mainline, 0, -1) < 0)
		return;
	vm = new_vm(0);
	cpu = new_vcpu(vm);
	refusal(vm, KVM_CREATE_GUEST_MEMFD, NULL, VM_GUEST_MEMFD, ENOTTY, "a file where the kernel has none");
	refusal(vm, KVM_SET_USER_MEMORY_REGION2, NULL, VM_GUEST_MEMFD, ENOTTY, "a slot with one");
	refusal(cpu, KVM_PRE_FAULT_MEMORY, NULL, PRE_FAULT_KNOWN, EINVAL, "pre-faulting before 6.11");
	close(cpu);
	close(vm);
	if (core_sys_init(&dev_config.sys, core_profile_find("linux-7.4"), &core_shape_mainline, 0, -1) < 0)
		return;
	vm = new_vm(KVM_X86_SW_PROTECTED_VM);
	refusal(vm, KVM_SET_MEMORY_ATTRIBUTES, NULL, VM_ATTRIBUTES, ENOTTY, "attributes of the VM with conversion in place");
	close(vm);
	dev_config = before;
}

static void test_vm(void)
{
	int vm = new_vm(0), cpu;
	u64 map = PG;
	struct kvm_clock_data clock = { .flags = 1 };
	struct kvm_coalesced_mmio_zone zone = { .addr = 0, .size = 8, .pio = 2 };

	refusal(vm, KVM_SET_CLOCK, &clock, CLOCK_FLAGS, EINVAL, "a flag that is for reading only");
	refusal(vm, KVM_SET_TSS_ADDR, BY_VALUE(0xffffe000), TSS_ADDR, EINVAL, "its third page would be beyond 4 GiB");
	is(device_call(vm, KVM_SET_TSS_ADDR, BY_VALUE(0xffffd000)), 0, "one page lower it is not");
	refusal(vm, KVM_REGISTER_COALESCED_MMIO, &zone, ZONE_KIND, EINVAL, "a third kind of address");
	refusal(vm, KVM_UNREGISTER_COALESCED_MMIO, &zone, ZONE_KIND, EINVAL, "to be taken back");
	zone.pio = 0;
	for (unsigned i = 0; i < DEV_ZONES; i++, zone.addr += 8)
		if (device_call(vm, KVM_REGISTER_COALESCED_MMIO, &zone))
			ok(0, "zone %u", i);
	refusal(vm, KVM_REGISTER_COALESCED_MMIO, &zone, ZONE_ROOM, ENOSPC, "one zone more than there is room for");
	cpu = new_vcpu(vm);
	refusal(vm, KVM_CREATE_VCPU, BY_VALUE(0), VCPU_EXISTS, EEXIST, "an id that is taken");
	refusal(vm, KVM_SET_IDENTITY_MAP_ADDR, &map, BEFORE_VCPUS, EINVAL, "the identity map, after a vCPU");
	refusal(vm, KVM_CREATE_DEVICE, hole, ARGUMENT_READ, EFAULT, "a device that cannot be read");
	refusal(vm, KVM_CREATE_DEVICE, &(struct kvm_create_device){ .type = 4 }, DEVICE_TYPE, ENODEV, "one of VFIO");
	refusal(vm, KVM_SET_BOOT_CPU_ID, BY_VALUE(0), BEFORE_VCPUS, EBUSY, "the boot vCPU, after one");
	refusal(vm, KVM_CREATE_IRQCHIP, NULL, IRQCHIP_VCPUS, EINVAL, "a controller, after one");
	close(cpu);
	close(vm);
}

/* Where the answer is all that the argument is for. */
static void test_answers(void)
{
	static const unsigned requests[] = {
		KVM_GET_REGS, KVM_GET_SREGS, KVM_GET_SREGS2, KVM_GET_FPU, KVM_GET_XSAVE, KVM_GET_XCRS, KVM_GET_DEBUGREGS,
		KVM_GET_VCPU_EVENTS, KVM_GET_MP_STATE,
	};
	int vm = new_vm(0), cpu = new_vcpu(vm);

	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		refusal(cpu, requests[i], hole, ARGUMENT_WRITE, EFAULT, "an answer to where nothing is");
	refusal(vm, KVM_GET_CLOCK, hole, ARGUMENT_WRITE, EFAULT, "a VM's");
	close(cpu);
	close(vm);
}

static void test_no_irqchip(void)
{
	int vm = new_vm(0);
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { KVM_MAX_IRQ_ROUTES + 1 } };
	struct kvm_enable_cap x2apic = { .cap = KVM_CAP_X2APIC_API, .args = { 4 } };
	struct kvm_irqchip chip = { .chip_id = 0 };
	struct kvm_irq_level level = { .irq = 0 };
	struct kvm_irq_routing routing = { .nr = 0 };
	struct kvm_msi msi = { .flags = 0 };
	struct kvm_pit_state2 pit;

	refusal(vm, KVM_ENABLE_CAP, &split, IRQCHIP_PINS, EINVAL, "more pins than there can be routes");
	refusal(vm, KVM_ENABLE_CAP, &x2apic, X2APIC_FLAGS, EINVAL, "an unknown flag");
	refusal(vm, KVM_GET_IRQCHIP, &chip, IRQCHIP_NONE, ENXIO, "to be read");
	refusal(vm, KVM_SET_IRQCHIP, &chip, IRQCHIP_NONE, ENXIO, "to be written");
	refusal(vm, KVM_IRQ_LINE, &level, IRQCHIP_NONE, ENXIO, "a line of it");
	refusal(vm, KVM_CREATE_PIT, NULL, PIT_CHIP, ENOENT, "a timer without a controller");
	refusal(vm, KVM_GET_PIT2, &pit, PIT_NONE, ENXIO, "no timer");
	refusal(vm, KVM_SET_GSI_ROUTING, &routing, ROUTING_CHIP, EINVAL, "routes to no controller");
	refusal(vm, KVM_SIGNAL_MSI, &msi, MSI, EINVAL, "a message without a local APIC");
	close(vm);
}

static void test_irqchip(void)
{
	int vm = new_vm(0), event = eventfd(0, EFD_CLOEXEC), cpu;
	struct kvm_irqchip chip = { .chip_id = 3 };
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routing = { .head = { .nr = KVM_MAX_IRQ_ROUTES + 1 } };
	struct kvm_msi msi = { .flags = 1 };
	struct kvm_irqfd irqfd = { .fd = (u32)event, .flags = 4 };
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_lapic_state lapic;

	is(device_call(vm, KVM_CREATE_IRQCHIP, NULL), 0, "a controller");
	refusal(vm, KVM_ENABLE_CAP, &split, IRQCHIP_EXISTS, EEXIST, "half of another");
	refusal(vm, KVM_GET_IRQCHIP, &chip, IRQCHIP_ID, EINVAL, "a fourth chip to be read");
	refusal(vm, KVM_SET_IRQCHIP, &chip, IRQCHIP_ID, EINVAL, "to be written");
	is(device_call(vm, KVM_CREATE_PIT, NULL), 0, "a timer");
	refusal(vm, KVM_CREATE_PIT, NULL, PIT_EXISTS, EEXIST, "a second one");
	refusal(vm, KVM_SET_GSI_ROUTING, &routing, ROUTING_COUNT, EINVAL, "4097 routes");
	routing.head = (struct kvm_irq_routing){ .nr = 1, .flags = 1 };
	refusal(vm, KVM_SET_GSI_ROUTING, &routing, ROUTING_FLAGS, EINVAL, "a flag");
	routing.head.flags = 0;
	routing.entry = (struct kvm_irq_routing_entry){ .gsi = 4096, .type = KVM_IRQ_ROUTING_MSI };
	refusal(vm, KVM_SET_GSI_ROUTING, &routing, ROUTING_ENTRY, EINVAL, "GSI 4096");
	routing.entry = (struct kvm_irq_routing_entry){ .gsi = 1, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { 3, 0 } };
	refusal(vm, KVM_SET_GSI_ROUTING, &routing, ROUTING_ENTRY, EINVAL, "a pin of a chip that is not there");
	refusal(vm, KVM_SIGNAL_MSI, &msi, MSI, EINVAL, "a flag");
	refusal(vm, KVM_IRQFD, &irqfd, IRQFD_FLAGS, EINVAL, "an unknown flag");
	irqfd.flags = 0;
	is(device_call(vm, KVM_IRQFD, &irqfd), 0, "an irqfd");
	refusal(vm, KVM_IRQFD, &irqfd, IRQFD_BUSY, EBUSY, "of the same eventfd");
	irqfd.fd = (u32)kvm_fd;
	refusal(vm, KVM_IRQFD, &irqfd, EVENTFD, EINVAL, "of what is no eventfd");
	irqfd.fd = ~0U;
	refusal(vm, KVM_IRQFD, &irqfd, EVENTFD, EBADF, "of what is not open");
	cpu = new_vcpu(vm);
	is(enable(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS), 0, "32-bit ids");
	msi = (struct kvm_msi){ .address_lo = 0xfee00000, .address_hi = 1 };
	refusal(vm, KVM_SIGNAL_MSI, &msi, MSI, EINVAL, "a reserved byte with 32-bit ids");
	is(device_call(cpu, KVM_GET_LAPIC, &lapic), 0, "a local APIC");
	close(cpu);
	close(event);
	close(vm);

	vm = new_vm(0);
	event = eventfd(0, EFD_CLOEXEC);
	is(device_call(vm, KVM_ENABLE_CAP, &split), 0, "a split controller");
	irqfd = (struct kvm_irqfd){ .fd = (u32)event, .flags = KVM_IRQFD_FLAG_RESAMPLE };
	refusal(vm, KVM_IRQFD, &irqfd, IRQFD_RESAMPLE, EINVAL, "without an I/O APIC in the kernel");
	close(event);
	close(vm);
}

static void test_ioeventfd(void)
{
	int vm = new_vm(0), event = eventfd(0, EFD_CLOEXEC);
	struct kvm_ioeventfd args = { .addr = 0x1000, .len = 3, .fd = event };

	refusal(vm, KVM_IOEVENTFD, &args, IOEVENTFD_RANGE, EINVAL, "a length of 3");
	args.len = 8;
	args.addr = ~0ULL;
	refusal(vm, KVM_IOEVENTFD, &args, IOEVENTFD_RANGE, EINVAL, "an end beyond 2^64");
	args.addr = 0x1000;
	args.flags = 1U << 20;
	refusal(vm, KVM_IOEVENTFD, &args, IOEVENTFD_FLAGS, EINVAL, "an unknown flag");
	args.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
	args.len = 0;
	refusal(vm, KVM_IOEVENTFD, &args, IOEVENTFD_FLAGS, EINVAL, "data to match, of no length");
	args.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	refusal(vm, KVM_IOEVENTFD, &args, IOEVENTFD_NONE, ENOENT, "to be taken back, that never was");
	args.flags = 0;
	args.len = 4;
	is(device_call(vm, KVM_IOEVENTFD, &args), 0, "an ioeventfd");
	refusal(vm, KVM_IOEVENTFD, &args, IOEVENTFD_EXISTS, EEXIST, "the same again");
	args.fd = kvm_fd;
	refusal(vm, KVM_IOEVENTFD, &args, EVENTFD, EINVAL, "of what is no eventfd");
	close(event);
	close(vm);
}

static void test_vcpu_state(void)
{
	int vm = new_vm(0), cpu = new_vcpu(vm);
	static struct kvm_xsave xsave;
	struct kvm_xcrs xcrs = { .nr_xcrs = KVM_MAX_XCRS + 1 };
	struct kvm_debugregs debugregs = { .flags = 1 };
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events = { .flags = 1U << 31 };
	struct kvm_mp_state mp = { KVM_MP_STATE_HALTED };
	struct kvm_cpuid2 cpuid = { .nent = 10000 };
	struct kvm_msrs msrs = { .nmsrs = 256 };
	struct kvm_lapic_state lapic;

	refusal(cpu, 0xaeff, NULL, IOCTL_VCPU, EINVAL, "an unknown request of a vCPU");
	is(device_call(cpu, KVM_GET_SREGS, &sregs), 0, "special registers");
	sregs.cr4 = ~0ULL;
	refusal(cpu, KVM_SET_SREGS, &sregs, SREGS_LEGAL, EINVAL, "all bits of CR4");
	is(device_call(cpu, KVM_GET_XSAVE, &xsave), 0, "an XSAVE area");
	memset((char *)&xsave + 512, 0xff, 8);
	refusal(cpu, KVM_SET_XSAVE, &xsave, XSAVE_HEADER, EINVAL, "all features in its header");
	refusal(cpu, KVM_SET_XCRS, &xcrs, XCRS_LEGAL, EINVAL, "one register too many");
	xcrs = (struct kvm_xcrs){ .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = 2 } } };
	refusal(cpu, KVM_SET_XCRS, &xcrs, XCRS_LEGAL, EINVAL, "XCR0 without x87");
	refusal(cpu, KVM_SET_DEBUGREGS, &debugregs, DEBUGREGS_LEGAL, EINVAL, "a flag");
	refusal(cpu, KVM_SET_VCPU_EVENTS, &events, EVENTS_LEGAL, EINVAL, "an unknown flag");
	events = (struct kvm_vcpu_events){ .exception = { .injected = 1, .nr = 32 } };
	refusal(cpu, KVM_SET_VCPU_EVENTS, &events, EVENTS_LEGAL, EINVAL, "exception 32");
	refusal(cpu, KVM_SET_MP_STATE, &mp, MP_STATE, EINVAL, "halted, without a local APIC");
	refusal(cpu, KVM_SET_CPUID2, &cpuid, CPUID_ROOM, E2BIG, "10000 leaves");
	refusal(cpu, KVM_GET_MSRS, &msrs, MSR_ROOM, E2BIG, "256 MSRs at once");
	refusal(cpu, KVM_SET_TSC_KHZ, BY_VALUE(1), TSC_RATE, EINVAL, "a counter that is a million times as slow");
	refusal(cpu, KVM_GET_LAPIC, &lapic, LAPIC_NONE, EINVAL, "to be read");
	refusal(cpu, KVM_SET_LAPIC, &lapic, LAPIC_NONE, EINVAL, "to be written");
	close(cpu);
	close(vm);
}

static void test_vcpu_events(void)
{
	int vm = new_vm(0), cpu = new_vcpu(vm);
	struct kvm_interrupt interrupt = { 256 };
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB };
	struct kvm_vcpu_events events = { .exception = { .injected = 1, .nr = 3 } };
	struct {
		u32 len;
		u64 set;
	} __attribute__((packed)) mask = { 4, 0 };
	struct kvm_pre_fault_memory range = { .gpa = 0, .size = PG, .flags = 1 };

	refusal(cpu, KVM_INTERRUPT, &interrupt, INTERRUPT_NR, EINVAL, "vector 256");
	interrupt.irq = 32;
	is(device_call(cpu, KVM_INTERRUPT, &interrupt), 0, "vector 32");
	is(device_call(cpu, KVM_SET_VCPU_EVENTS, &events), 0, "an exception");
	refusal(cpu, KVM_SET_GUEST_DEBUG, &debug, DEBUG_BUSY, EBUSY, "before it was taken");
	refusal(cpu, KVM_SET_SIGNAL_MASK, &mask, SIGNAL_MASK, EINVAL, "a signal set of 4 bytes");
	refusal(cpu, KVM_PRE_FAULT_MEMORY, &range, PRE_FAULT_RANGE, EINVAL, "a flag");
	range.flags = 0;
	range.size = 0;
	refusal(cpu, KVM_PRE_FAULT_MEMORY, &range, PRE_FAULT_RANGE, EINVAL, "no page");
	range.size = PG;
	refusal(cpu, KVM_PRE_FAULT_MEMORY, &range, PRE_FAULT_SLOT, ENOENT, "a page of no slot");
	close(cpu);
	close(vm);

	vm = new_vm(0);
	is(device_call(vm, KVM_CREATE_IRQCHIP, NULL), 0, "with a controller in the kernel");
	cpu = new_vcpu(vm);
	refusal(cpu, KVM_INTERRUPT, &interrupt, INTERRUPT_CHIP, ENXIO, "an interrupt from outside of it");
	close(cpu);
	close(vm);

	vm = new_vm(0);
	is(enable(vm, KVM_CAP_SPLIT_IRQCHIP, 24), 0, "with the local APICs in the kernel alone");
	cpu = new_vcpu(vm);
	is(device_call(cpu, KVM_INTERRUPT, &interrupt), 0, "an interrupt from outside");
	refusal(cpu, KVM_INTERRUPT, &interrupt, INTERRUPT_PENDING, EEXIST, "another one before it was taken");
	close(cpu);
	close(vm);
}

static void test_msr_filter(void)
{
	int vm = new_vm(0);
	struct kvm_msr_filter filter = { .flags = 2 };

	refusal(vm, KVM_X86_SET_MSR_FILTER, &filter, MSR_FILTER_FLAGS, EINVAL, "an unknown flag");
	filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	refusal(vm, KVM_X86_SET_MSR_FILTER, &filter, MSR_FILTER_FLAGS, EINVAL, "all denied, without a range");
	filter = (struct kvm_msr_filter){ .ranges = { { .flags = 4, .nmsrs = 1 } } };
	refusal(vm, KVM_X86_SET_MSR_FILTER, &filter, MSR_FILTER_RANGE, EINVAL, "an unknown flag of a range");
	filter.ranges[0] = (struct kvm_msr_filter_range){ .flags = 1, .nmsrs = KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8 + 1 };
	refusal(vm, KVM_X86_SET_MSR_FILTER, &filter, MSR_FILTER_RANGE, EINVAL, "a range of more MSRs than there may be bits");
	filter.ranges[0] = (struct kvm_msr_filter_range){ .flags = 1, .nmsrs = 64, .bitmap = (u64)(uintptr_t)hole };
	refusal(vm, KVM_X86_SET_MSR_FILTER, &filter, ARGUMENT_READ, EFAULT, "bits that are not there");
	close(vm);
}

static void test_vcpu_settings(void)
{
	int vm = new_vm(0), cpu;
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .flags = 1 };
	struct kvm_device_attr attr = { .group = 9 };
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry;
	} cpuid = { .head = { .nent = 1 }, .entry = { .function = 0x80000008, .eax = 0xffff } };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head = { .nmsrs = 1 }, .entry = { .index = 0x1b, .data = 0xfee00d00 } };
	struct kvm_lapic_state lapic;

	is(device_call(vm, KVM_CREATE_IRQCHIP, NULL), 0, "a controller");
	is(enable(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS), 0, "with 32-bit ids");
	cpu = new_vcpu(vm);
	refusal(cpu, KVM_ENABLE_CAP, &cap, VCPU_ENABLE_CAP, EINVAL, "a flag");
	cap = (struct kvm_enable_cap){ .cap = KVM_CAP_EXIT_HYPERCALL };
	refusal(cpu, KVM_ENABLE_CAP, &cap, VCPU_ENABLE_CAP, EINVAL, "a capability of VMs");
	refusal(cpu, KVM_HAS_DEVICE_ATTR, &attr, VCPU_ATTRIBUTE, ENXIO, "a group that is not there");
	refusal(cpu, KVM_SET_CPUID2, &cpuid, CPUID_LEGAL, EINVAL, "255 bits of virtual addresses");
	cpuid.entry = (struct kvm_cpuid_entry2){ .function = 1, .ecx = 1 << 21 };
	is(device_call(cpu, KVM_SET_CPUID2, &cpuid), 0, "a CPU that has an x2APIC");
	is(device_call(cpu, KVM_SET_MSRS, &msrs), 1, "in its mode");
	is(device_call(cpu, KVM_GET_LAPIC, &lapic), 0, "the local APIC");
	lapic.regs[0x20]++;
	refusal(cpu, KVM_SET_LAPIC, &lapic, LAPIC_ID, EINVAL, "another vCPU's id");
	close(cpu);
	close(vm);
}

static void test_no_fd(void)
{
	struct rlimit old, none;

	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	refusal(kvm_fd, KVM_CREATE_VM, NULL, NO_FD, EMFILE, "a VM without a descriptor");
	setrlimit(RLIMIT_NOFILE, &old);
}

int main(void)
{
	if (!start_device("linux-7.3"))
		return 1;
	test_system();
	test_file();
	test_gates();
	test_vm();
	test_answers();
	test_no_irqchip();
	test_irqchip();
	test_ioeventfd();
	test_vcpu_state();
	test_vcpu_events();
	test_msr_filter();
	test_vcpu_settings();
	test_no_fd();
	return done_testing();
}
