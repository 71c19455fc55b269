// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_msr.c - MSR accesses that end in user space, and the filter
 */
#include "tests/run_vcpu.h"

#define OP_ECX(value) 0xb9, (value) & 0xff, (value) >> 8 & 0xff, (value) >> 16 & 0xff, (value) >> 24 & 0xff
#define OP_RDMSR      0x0f, 0x32
#define OP_WRMSR      0x0f, 0x30
#define STRANGE	      0x12345678 /* an MSR that nobody has */
#define PAT	      0x277
#define X2APIC_TPR    0x808

static int enable(const struct guest *g, unsigned long long mask)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { mask } };

	return ioctl(g->vm, KVM_ENABLE_CAP, &cap) < 0 ? -errno : 0;
}

static int set_filter(const struct guest *g, const struct kvm_msr_filter *filter)
{
	return ioctl(g->vm, KVM_X86_SET_MSR_FILTER, filter) < 0 ? -errno : 0;
}

static void unknown(void)
{
	struct guest g = guest_new(0);

	is(ioctl(g.vm, KVM_CHECK_EXTENSION, KVM_CAP_X86_USER_SPACE_MSR), 1, "exits for MSRs are offered");
	is(enable(&g, 8), -EINVAL, "of three reasons");
	is(enable(&g, KVM_MSR_EXIT_REASON_UNKNOWN), 0, "unknown MSRs can be had");
	is(RUN(&g, OP_ECX(STRANGE), OP_RDMSR, OP_SET(7), OP_WRMSR, OP_HLT), 0, "RDMSR of one exits");
	is(g.run->exit_reason, KVM_EXIT_X86_RDMSR, "as RDMSR");
	is(g.run->msr.index, STRANGE, "with its number");
	is(g.run->msr.reason, KVM_MSR_EXIT_REASON_UNKNOWN, "the reason");
	is(g.run->msr.error, 0, "no error");
	is(g.run->msr.data, 0, "and no data");
	is(regs_of(&g).rip, CODE_GPA + 5, "RIP stays");
	g.run->msr.data = 0x1122334455667788;
	is(run(&g), 0, "the answer is taken");
	is(g.run->exit_reason, KVM_EXIT_X86_WRMSR, "and WRMSR exits");
	is(g.run->msr.data, 0x1122334400000007, "EDX is the answer's, EAX the guest's");
	g.run->immediate_exit = 1;
	is(run(&g), -EINTR, "immediate_exit completes it");
	is(regs_of(&g).rip, CODE_GPA + 14, "RIP is behind the WRMSR");
	g.run->immediate_exit = 0;
	is(run(&g), 0, "and the guest goes on");
	is(g.run->exit_reason, KVM_EXIT_HLT, "to its HLT");
	guest_free(&g);
}

/* Without an IDT #GP is a triple fault. */
static void no_idt(struct guest *g)
{
	struct kvm_sregs s;

	ioctl(g->vcpu, KVM_GET_SREGS, &s);
	s.idt.limit = 0;
	ioctl(g->vcpu, KVM_SET_SREGS, &s);
}

static void faults(void)
{
	struct guest g = guest_new(0);

	no_idt(&g);
	enable(&g, KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_FILTER);
	RUN(&g, OP_ECX(STRANGE), OP_RDMSR, OP_HLT);
	is(g.run->exit_reason, KVM_EXIT_SHUTDOWN, "a reason that was not asked for is #GP");
	enable(&g, KVM_MSR_EXIT_REASON_UNKNOWN);
	is(RUN(&g, OP_ECX(STRANGE), OP_RDMSR, OP_HLT), 0, "one that was");
	is(g.run->exit_reason, KVM_EXIT_X86_RDMSR, "exits");
	g.run->msr.error = 1;
	run(&g);
	is(g.run->exit_reason, KVM_EXIT_SHUTDOWN, "and is #GP when the program says so");
	guest_free(&g);
}

static void invalid(void)
{
	struct guest g = guest_new(0);

	enable(&g, KVM_MSR_EXIT_REASON_INVAL);
	is(RUN(&g, 0x31, 0xd2, OP_ECX(PAT), OP_SET(0x02), OP_WRMSR, OP_HLT), 0, "a memory type that there is not");
	is(g.run->exit_reason, KVM_EXIT_X86_WRMSR, "exits");
	is(g.run->msr.reason, KVM_MSR_EXIT_REASON_INVAL, "as invalid");
	is(run(&g), 0, "the program may swallow it");
	is(g.run->exit_reason, KVM_EXIT_HLT, "and the guest goes on");
	guest_free(&g);
}

static void filtered(void)
{
	struct guest g = guest_new(0);
	uint64_t deny = 0;
	struct kvm_msr_filter filter = { .ranges = { { .flags = KVM_MSR_FILTER_READ, .nmsrs = 1, .base = PAT,
						       .bitmap = (uintptr_t)&deny } } };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = PAT } };

	enable(&g, KVM_MSR_EXIT_REASON_FILTER);
	is(set_filter(&g, &filter), 0, "reads of one MSR are filtered");
	is(RUN(&g, OP_ECX(PAT), OP_RDMSR, OP_WRMSR, OP_RDMSR, OP_HLT), 0, "RDMSR of it exits");
	is(g.run->exit_reason, KVM_EXIT_X86_RDMSR, "as RDMSR");
	is(g.run->msr.reason, KVM_MSR_EXIT_REASON_FILTER, "because it was filtered");
	g.run->msr.data = 0x0606060606060606;
	is(run(&g), 0, "WRMSR was not");
	is(g.run->exit_reason, KVM_EXIT_X86_RDMSR, "and the next RDMSR is");
	is(ioctl(g.vcpu, KVM_GET_MSRS, &msrs), 1, "the program's own reads");
	is(msrs.entry.data, 0x0606060606060606, "are not");
	filter.ranges[0].nmsrs = 0;
	is(set_filter(&g, &filter), 0, "a filter without ranges allows");
	is(RUN(&g, OP_ECX(PAT), OP_RDMSR, OP_HLT), 0, "and then");
	is(g.run->exit_reason, KVM_EXIT_HLT, "nothing exits");
	guest_free(&g);
}

/* A guest that is denied everything still has its x2APIC. */
static void x2apic(void)
{
	struct guest g = { .kvm = kvm_open() };
	uint64_t none[KVM_MSR_FILTER_MAX_BITMAP_SIZE / 8] = { 0 };
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_DENY,
					 .ranges = { { .flags = KVM_MSR_FILTER_READ, .nmsrs = 4096, .base = 0,
						       .bitmap = (uintptr_t)none } } };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 100 * sizeof(cpuid->entries[0]));
	struct kvm_sregs s;

	g.vm = vm_new(g.kvm, 0);
	g.ram = map_anon(RAM_SIZE);
	set_region1(g.vm, 0, 0, 0, RAM_SIZE, (uintptr_t)g.ram);
	if (ioctl(g.vm, KVM_CREATE_IRQCHIP, 0))
		die("KVM_CREATE_IRQCHIP");
	g.vcpu = vcpu_new(&g, 0);
	g.run = map_run(g.vcpu);
	cpuid->nent = 100;
	if (ioctl(g.kvm, KVM_GET_SUPPORTED_CPUID, cpuid) || ioctl(g.vcpu, KVM_SET_CPUID2, cpuid))
		die("CPUID");
	guest_mode(&g);
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.apic_base |= 1 << 10;
	is(ioctl(g.vcpu, KVM_SET_SREGS, &s), 0, "an x2APIC");
	enable(&g, KVM_MSR_EXIT_REASON_VALID_MASK);
	is(set_filter(&g, &filter), 0, "all MSRs are filtered");
	is(RUN(&g, OP_ECX(X2APIC_TPR), OP_RDMSR, OP_OUT(0x10), OP_ECX(PAT), OP_RDMSR, OP_HLT), 0, "RDMSR of its TPR");
	is(g.run->exit_reason, KVM_EXIT_IO, "does not exit");
	is(run(&g), 0, "but of another");
	is(g.run->exit_reason, KVM_EXIT_X86_RDMSR, "does");
	is(g.run->msr.reason, KVM_MSR_EXIT_REASON_FILTER, "because of the filter");
	free(cpuid);
	guest_free(&g);
}

/* In the kernel's order. */
static void refusals(void)
{
	struct guest g = guest_new(0);
	uint64_t bits = 0;
	struct kvm_msr_filter filter = { .flags = 2, .ranges = { { .nmsrs = 1, .flags = 4, .bitmap = 1 } } };

	is(set_filter(&g, (void *)8), -EFAULT, "a filter that cannot be read");
	is(set_filter(&g, &filter), -EINVAL, "flags that there are not come first");
	filter.flags = 0;
	is(set_filter(&g, &filter), -EINVAL, "then a range's flags");
	filter.ranges[0].flags = 0;
	is(set_filter(&g, &filter), -EINVAL, "of which one must be set");
	filter.ranges[0].flags = KVM_MSR_FILTER_READ;
	filter.ranges[0].nmsrs = KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8 + 1;
	is(set_filter(&g, &filter), -EINVAL, "then its size");
	filter.ranges[0].nmsrs = 64;
	is(set_filter(&g, &filter), -EFAULT, "then its bitmap");
	filter.ranges[0].bitmap = (uintptr_t)&bits;
	is(set_filter(&g, &filter), 0, "a good one");
	filter.ranges[0].nmsrs = 0;
	filter.ranges[0].flags = ~0U;
	is(set_filter(&g, &filter), 0, "an empty range is not looked at");
	filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	is(set_filter(&g, &filter), -EINVAL, "denying needs a range");
	guest_free(&g);
}

int main(void)
{
	unknown();
	faults();
	invalid();
	filtered();
	x2apic();
	refusals();
	return done_testing();
}
