// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_vmm.c - what VMMs set up before a guest runs: machine checks, the shared TPR, a timer that there is not
 */
#include "tests/run_vcpu.h"
#include "uapi/kvm_irq.h"

#define MCG_CAP	     0x179
#define MCG_STATUS   0x17a
#define MCG_CTL	     0x17b
#define MC0_CTL2     0x280
#define MC_CTL(bank) (0x400 + 4 * (bank))
#define TSC_DEADLINE 0x6e0
#define VALID	     (1ULL << 63)
#define OVERFLOW     (1ULL << 62)
#define UNCORRECTED  (1ULL << 61)
#define SIGNALED     (1ULL << 56)
#define ALL	     (~0ULL)
#define WORD	     0x6000UL

/* -1: refused */
static int set_msr(const struct guest *g, unsigned msr, unsigned long long value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = msr, .data = value } };

	return ioctl(g->vcpu, KVM_SET_MSRS, &msrs) == 1 ? 0 : -1;
}

static unsigned long long get_msr(const struct guest *g, unsigned msr)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = msr } };

	return ioctl(g->vcpu, KVM_GET_MSRS, &msrs) == 1 ? msrs.entry.data : 0xdead;
}

static int call(int fd, unsigned long request, const void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

static void banks(void)
{
	struct guest g = guest_new(0);
	unsigned long long supported = 0, cap = 10 | 1 << 8 | 1 << 24, bad = 33, none = 1 << 8, strange = 10 | 1ULL << 40;

	is(ioctl(g.kvm, KVM_CHECK_EXTENSION, KVM_CAP_MCE), 32, "32 banks are offered");
	is(call(g.kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported), 0, "the features can be asked for");
	is(supported & (1 << 8 | 1 << 24), 1 << 8 | 1 << 24, "controls and recovery are among them");
	is(get_msr(&g, MCG_CAP), 32, "a new vCPU has 32 banks and no feature");
	is(set_msr(&g, MCG_CTL, ALL), -1, "without controls they cannot be set");
	is(set_msr(&g, MCG_CTL, 0), 0, "but to 0");
	is(call(g.vcpu, KVM_X86_SETUP_MCE, &bad), -EINVAL, "33 banks");
	is(call(g.vcpu, KVM_X86_SETUP_MCE, &none), -EINVAL, "no bank");
	is(call(g.vcpu, KVM_X86_SETUP_MCE, &strange), -EINVAL, "a feature that there is not");
	is(call(g.vcpu, KVM_X86_SETUP_MCE, &cap), 0, "what was offered");
	is(get_msr(&g, MCG_CAP), cap, "is read");
	is(get_msr(&g, MCG_CTL), ALL, "controls are on");
	is(get_msr(&g, MC_CTL(9)), ALL, "those of the banks, too");
	is(get_msr(&g, MC_CTL(10)), 0xdead, "of which there are 10");
	is(set_msr(&g, MCG_CTL, 1), -1, "all on or all off");
	is(set_msr(&g, MC_CTL(3), 7), -1, "of a bank as well");
	is(set_msr(&g, MC_CTL(3), ALL & ~(1ULL << 10)), 0, "but for bit 10");
	is(set_msr(&g, MCG_STATUS, 4), 0, "the status is the program's");
	is(get_msr(&g, MCG_STATUS), 4, "to write");
	is(set_msr(&g, MCG_CAP, cap), -1, "the capabilities are not");
	is(set_msr(&g, MC0_CTL2, 0), 0, "the interrupt's control can be restored as it is");
	guest_free(&g);
}

static void errors(void)
{
	struct guest g = guest_new(0);
	unsigned long long cap = 10 | 1 << 8 | 1 << 24;
	struct kvm_x86_mce mce = { .status = VALID | 5, .addr = 0x1000, .misc = 0x2000, .bank = 10 };
	struct kvm_vcpu_events events;
	struct kvm_sregs s;

	call(g.vcpu, KVM_X86_SETUP_MCE, &cap);
	is(call(g.vcpu, KVM_X86_SET_MCE, &mce), -EINVAL, "an error of a bank that there is not");
	mce.bank = 2;
	mce.status = 5;
	is(call(g.vcpu, KVM_X86_SET_MCE, &mce), -EINVAL, "one that is not valid");
	mce.status |= VALID;
	is(call(g.vcpu, KVM_X86_SET_MCE, &mce), 0, "a corrected one");
	is(get_msr(&g, MC_CTL(2) + 1), VALID | 5, "is in its bank");
	is(get_msr(&g, MC_CTL(2) + 2), 0x1000, "with its address");
	is(get_msr(&g, MC_CTL(2) + 3), 0x2000, "and the rest");
	mce.status = VALID | UNCORRECTED | SIGNALED | 6;
	mce.mcg_status = 5;
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.cr4 |= 1 << 6;
	ioctl(g.vcpu, KVM_SET_SREGS, &s);
	is(call(g.vcpu, KVM_X86_SET_MCE, &mce), 0, "an uncorrected one");
	is(get_msr(&g, MC_CTL(2) + 1), mce.status | OVERFLOW, "takes the place of the other");
	is(get_msr(&g, MCG_STATUS), 5, "the status is its own");
	ioctl(g.vcpu, KVM_GET_VCPU_EVENTS, &events);
	is(events.exception.nr, 18, "and the guest gets #MC");
	is(events.exception.injected, 1, "now");
	guest_free(&g);

	g = guest_new(0);
	call(g.vcpu, KVM_X86_SETUP_MCE, &cap);
	is(call(g.vcpu, KVM_X86_SET_MCE, &mce), 0, "a guest that does not handle them");
	is(RUN(&g, OP_HLT), 0, "runs");
	is(g.run->exit_reason, KVM_EXIT_SHUTDOWN, "into a shutdown");
	guest_free(&g);
}

static void no_controller(void)
{
	struct guest g = guest_new(0);
	struct kvm_vapic_addr addr = { 0 };

	is(set_msr(&g, TSC_DEADLINE, 0), 0, "without a local APIC its deadline can be restored");
	is(set_msr(&g, TSC_DEADLINE, 12345), 0, "any value");
	is(get_msr(&g, TSC_DEADLINE), 0, "goes nowhere");
	is(call(g.vcpu, KVM_SET_VAPIC_ADDR, &addr), -EINVAL, "nor is there a TPR to share");
	is(call(g.vcpu, KVM_SET_VAPIC_ADDR, (void *)8), -EINVAL, "wherever that is said");
	guest_free(&g);
}

static void shared_tpr(void)
{
	struct guest g = { .kvm = kvm_open() };
	struct kvm_tpr_access_ctl ctl = { .enabled = 1 };
	struct kvm_vapic_addr addr = { 0xd0000000 };
	struct kvm_lapic_state lapic;

	g.vm = vm_new(g.kvm, 0);
	g.ram = map_anon(RAM_SIZE);
	set_region1(g.vm, 0, 0, 0, RAM_SIZE, (uintptr_t)g.ram);
	if (ioctl(g.vm, KVM_CREATE_IRQCHIP, 0))
		die("KVM_CREATE_IRQCHIP");
	g.vcpu = vcpu_new(&g, 0);
	g.run = map_run(g.vcpu);
	guest_mode(&g);
	is(call(g.vcpu, KVM_TPR_ACCESS_REPORTING, &ctl), 0, "accesses of TPR can be asked for");
	ctl.flags = 1;
	is(call(g.vcpu, KVM_TPR_ACCESS_REPORTING, &ctl), -EINVAL, "without flags");
	is(call(g.vcpu, KVM_SET_VAPIC_ADDR, (void *)8), -EFAULT, "an address that cannot be read");
	is(call(g.vcpu, KVM_SET_VAPIC_ADDR, &addr), -EINVAL, "one outside guest memory");
	addr.vapic_addr = 0;
	is(call(g.vcpu, KVM_SET_VAPIC_ADDR, &addr), 0, "none");
	addr.vapic_addr = WORD;
	is(call(g.vcpu, KVM_SET_VAPIC_ADDR, &addr), 0, "one in guest memory");
	is(RUN(&g, OP_SET(0x50), OP_STORE(WORD), OP_OUT(0x10), OP_OUT(0x10), OP_OUT(0x10)), 0, "the guest writes there");
	is(g.run->exit_reason, KVM_EXIT_IO, "and exits");
	is(*(unsigned char *)(g.ram + WORD), 0x50, "the word is its");
	/* A kernel that emulates instructions one after the other sees it with the next entry only. */
	run(&g);
	is(ioctl(g.vcpu, KVM_GET_LAPIC, &lapic), 0, "the local APIC");
	is((unsigned char)lapic.regs[0x80], 0x50, "has it as TPR");
	guest_free(&g);
}

int main(void)
{
	banks();
	errors();
	no_controller();
	shared_tpr();
	return done_testing();
}
