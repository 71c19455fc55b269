// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_state.c - a vCPU's life and state, without running more than it takes
 */
#include "tests/run_vcpu.h"

#define FAILS(call, error, ...)                                                                                        \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		is((call) == -1 ? errno : 0, error, __VA_ARGS__);                                                      \
	} while (0)

static void creation(void)
{
	struct guest g = guest_new(0);
	int second, fd;

	FAILS(ioctl(g.vm, KVM_CREATE_VCPU, 0), EEXIST, "an id is given once");
	second = vcpu_new(&g, 7);
	ok(fcntl(second, F_GETFD) & FD_CLOEXEC, "a vCPU's descriptor is close-on-exec");
	close(second);
	FAILS(ioctl(g.vm, KVM_CREATE_VCPU, 7), EEXIST, "its id is taken after the last close");
	FAILS(ioctl(g.vcpu, KVM_CREATE_VM, 0), EINVAL, "a vCPU does not know other requests");
	FAILS(ioctl(g.vcpu, KVM_RUN, 1), EINVAL, "KVM_RUN takes no argument");
	FAILS(ioctl(g.vcpu, 0x5421 /* FIONBIO is known to all */, NULL), EFAULT, "what the VFS knows it answers");
	FAILS(ioctl(g.vcpu, 0x4e01, 0), EINVAL, "what nobody knows is EINVAL");
	close(g.vm);
	FAILS(RUN(&g, OP_HLT) ? -1 : 0, 0, "a vCPU keeps its VM");
	fd = dup(g.vcpu);
	close(g.vcpu);
	g.vcpu = fd;
	FAILS(RUN(&g, OP_HLT) ? -1 : 0, 0, "a duplicate is the same vCPU");
	g.vm = dup(g.kvm);
	guest_free(&g);
}

static int child(void *arg)
{
	struct guest *g = arg;
	struct kvm_regs r;
	bool both = ioctl(g->vcpu, KVM_RUN, 0) == -1 && errno == EIO;

	return both && ioctl(g->vcpu, KVM_GET_REGS, &r) == -1 && errno == EIO ? 7 : 1;
}

static void other_process(void)
{
	struct guest g = guest_new(0);

	is(in_child(child, &g), 7, "in a forked child all is EIO");
	is(RUN(&g, OP_HLT), 0, "the parent's runs on");
	guest_free(&g);
}

static void mapping(void)
{
	struct guest g = guest_new(0);
	struct kvm_run *second = map_run(g.vcpu);
	struct kvm_run *copy = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, g.vcpu, 0);

	is(ioctl(g.kvm, KVM_GET_VCPU_MMAP_SIZE, 0), 3 * PG, "three pages");
	RUN(&g, OP_OUT(0x10), OP_HLT);
	is(second->exit_reason, KVM_EXIT_IO, "two mappings show the same");
	ok(copy != MAP_FAILED, "a private mapping can be had");
	is(copy->exit_reason, KVM_EXIT_IO, "and shows it too");
	munmap(second, 3 * PG);
	munmap(copy, PG);
	guest_free(&g);
}

static void registers(void)
{
	struct guest g = guest_new(0);
	struct kvm_regs r = regs_of(&g), s;
	struct kvm_sregs sregs, back;
	struct kvm_fpu fpu, fpu_back;

	for (unsigned i = 0; i < 16; i++)
		(&r.rax)[i] = 0x1111111111111111ULL * i;
	r.rflags = 0x246;
	is(ioctl(g.vcpu, KVM_SET_REGS, &r), 0, "general registers");
	s = regs_of(&g);
	is(memcmp(&r, &s, sizeof(r)), 0, "are kept");
	r.rflags = 0;
	ioctl(g.vcpu, KVM_SET_REGS, &r);
	is(regs_of(&g).rflags, 2, "bit 1 of RFLAGS is always set");

	ioctl(g.vcpu, KVM_GET_SREGS, &sregs);
	ok((sregs.apic_base & 0xfffff900) == 0xfee00900, "APIC base of the boot processor");
	sregs.cr2 = 0x1234;
	sregs.gdt.base = 0xffff800000001000;
	sregs.gdt.limit = 0x7f;
	is(ioctl(g.vcpu, KVM_SET_SREGS, &sregs), 0, "special registers");
	ioctl(g.vcpu, KVM_GET_SREGS, &back);
	is(memcmp(&sregs, &back, sizeof(sregs)), 0, "are kept");
	back.efer |= 1 << 10;
	FAILS(ioctl(g.vcpu, KVM_SET_SREGS, &back), EINVAL, "LMA without paging is refused");
	back = sregs;
	back.cr0 = 1U << 31;
	FAILS(ioctl(g.vcpu, KVM_SET_SREGS, &back), EINVAL, "so is paging without protection");
	back = sregs;
	back.cr4 |= 1ULL << 31;
	FAILS(ioctl(g.vcpu, KVM_SET_SREGS, &back), EINVAL, "and a reserved bit of CR4");

	ioctl(g.vcpu, KVM_GET_FPU, &fpu);
	is(fpu.fcw, 0x37f, "the x87 control word after reset");
	is(fpu.mxcsr, 0, "MXCSR is left out");
	memset(fpu.xmm, 0x5a, sizeof(fpu.xmm));
	fpu.fcw = 0x27f;
	is(ioctl(g.vcpu, KVM_SET_FPU, &fpu), 0, "FPU registers");
	ioctl(g.vcpu, KVM_GET_FPU, &fpu_back);
	is(memcmp(&fpu, &fpu_back, sizeof(fpu)), 0, "are kept");
	guest_free(&g);
}

static void xsave(void)
{
	struct guest g = guest_new(0);
	static struct kvm_xsave area, back;

	is(ioctl(g.vcpu, KVM_GET_XSAVE, &area), 0, "the XSAVE area");
	is(area.region[6], 0x1f80, "has MXCSR in its place");
	area.region[40] = 0xabcdef; /* XMM0 */
	area.region[128] |= 3;
	is(ioctl(g.vcpu, KVM_SET_XSAVE, &area), 0, "can be set");
	ioctl(g.vcpu, KVM_GET_XSAVE, &back);
	is(back.region[40], 0xabcdef, "and is kept");
	area.region[129] |= 1U << 31;
	FAILS(ioctl(g.vcpu, KVM_SET_XSAVE, &area), EINVAL, "with unknown components it is refused");
	guest_free(&g);
}

static void events(void)
{
	struct guest g = guest_new(0);
	struct kvm_vcpu_events e;
	struct kvm_mp_state state;
	struct kvm_debugregs d;

	is(ioctl(g.vcpu, KVM_GET_VCPU_EVENTS, &e), 0, "events");
	e.exception.injected = 1;
	e.exception.nr = 2;
	FAILS(ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &e), EINVAL, "an NMI is no exception");
	e.exception.nr = 32;
	FAILS(ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &e), EINVAL, "nor is 32");
	e.exception.nr = 6;
	ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &e);
	ioctl(g.vcpu, KVM_GET_VCPU_EVENTS, &e);
	ok(e.exception.injected == 1 && e.exception.nr == 6, "#UD is kept");
	e.exception.nr = 3;
	is(ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &e), 0, "#BP can be set");
	ioctl(g.vcpu, KVM_GET_VCPU_EVENTS, &e);
	ok(e.exception.injected == 0 && e.exception.nr == 3, "but not read: the guest comes to its INT3 again");
	e.exception.injected = 0;
	e.flags = 1U << 30;
	FAILS(ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &e), EINVAL, "unknown flags are refused");
	is(ioctl(g.vcpu, KVM_GET_MP_STATE, &state), 0, "mp_state");
	is(state.mp_state, KVM_MP_STATE_RUNNABLE, "is runnable");
	state.mp_state = KVM_MP_STATE_HALTED;
	FAILS(ioctl(g.vcpu, KVM_SET_MP_STATE, &state), EINVAL, "and nothing else without a local APIC");
	ioctl(g.vcpu, KVM_GET_DEBUGREGS, &d);
	is(d.dr6, 0xffff0ff0, "DR6 after reset");
	is(d.dr7, 0x400, "DR7 after reset");
	d.dr7 = 1ULL << 32;
	FAILS(ioctl(g.vcpu, KVM_SET_DEBUGREGS, &d), EINVAL, "its upper half is reserved");
	guest_free(&g);
}

static bool only_what_the_host_has(const struct kvm_cpuid_entry2 *e, unsigned n)
{
	unsigned a, b, c, d, sse = 1U << 0 | 1U << 9 | 1U << 19 | 1U << 20 | 1U << 25 | 1U << 28;

	__asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
	for (unsigned i = 0; i < n; i++) {
		if (e[i].function == 1)
			return !(e[i].ecx & sse & ~c);
	}
	return false;
}

static void cpuid(void)
{
	struct guest g = guest_new(0);
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 e[256];
	} table = { .head.nent = 256 };
	unsigned n;

	is(ioctl(g.kvm, KVM_GET_SUPPORTED_CPUID, &table), 0, "supported CPUID");
	n = table.head.nent;
	ok(only_what_the_host_has(table.e, n), "offers no SSE that the host cannot execute");
	is(ioctl(g.vcpu, KVM_SET_CPUID2, &table), 0, "is what a vCPU takes");
	table.head.nent = n - 1;
	FAILS(ioctl(g.vcpu, KVM_GET_CPUID2, &table), E2BIG, "too little room to read it back");
	table.head.nent = 256;
	is(ioctl(g.vcpu, KVM_GET_CPUID2, &table), 0, "enough room");
	is(table.head.nent, n, "as many leaves as were set");
	table.head.nent = 257;
	FAILS(ioctl(g.vcpu, KVM_SET_CPUID2, &table), E2BIG, "more leaves than there can be");
	guest_free(&g);
}

static void msrs(void)
{
	struct guest g = guest_new(0);
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[4];
	} m = { .head.nmsrs = 3, .e = { { .index = 0xc0000082, .data = 0xffff800000001234 }, { .index = 0x174, .data = 8 },
					{ .index = 0x12345678 } } };
	struct {
		struct kvm_msr_list head;
		uint32_t index[2048];
	} list = { .head.nmsrs = 0 };

	is(ioctl(g.vcpu, KVM_SET_MSRS, &m), 2, "MSRs are set up to the first unknown one");
	m.e[0].data = m.e[1].data = 0;
	is(ioctl(g.vcpu, KVM_GET_MSRS, &m), 2, "and read");
	is(m.e[0].data, (long long)0xffff800000001234, "as they were set");
	is(m.e[1].data, 8, "all of them");
	FAILS(ioctl(g.kvm, KVM_GET_MSR_INDEX_LIST, &list), E2BIG, "the list of MSRs tells its size");
	ok(list.head.nmsrs > 5 && list.head.nmsrs < 2048, "which is some");
	is(ioctl(g.kvm, KVM_GET_MSR_INDEX_LIST, &list), 0, "and then itself");
	m.head.nmsrs = 256;
	FAILS(ioctl(g.vcpu, KVM_GET_MSRS, &m), E2BIG, "256 at once are too many");
	guest_free(&g);
}

static long long adjust_of(struct guest *g)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} m = { .head.nmsrs = 1, .e = { .index = 0x3b } };

	ioctl(g->vcpu, KVM_GET_MSRS, &m);
	return (long long)m.e.data;
}

static void tsc_offset(void)
{
	struct guest g = guest_new(0);
	uint64_t offset = 0, want = 1ULL << 50;
	struct kvm_device_attr attr = { .group = 1, .attr = 1, .addr = 8 };

	FAILS(ioctl(g.vcpu, KVM_HAS_DEVICE_ATTR, &attr), ENXIO, "a vCPU has one group of attributes");
	attr.group = KVM_VCPU_TSC_CTRL;
	FAILS(ioctl(g.vcpu, KVM_HAS_DEVICE_ATTR, &attr), ENXIO, "with one attribute");
	attr.attr = KVM_VCPU_TSC_OFFSET;
	is(ioctl(g.vcpu, KVM_HAS_DEVICE_ATTR, &attr), 0, "its counter's offset");
	FAILS(ioctl(g.vcpu, KVM_GET_DEVICE_ATTR, &attr), EFAULT, "which goes somewhere");
	FAILS(ioctl(g.vcpu, KVM_SET_DEVICE_ATTR, &attr), EFAULT, "and comes from somewhere");
	attr.addr = (uintptr_t)&want;
	is(ioctl(g.vcpu, KVM_SET_DEVICE_ATTR, &attr), 0, "it is set");
	attr.addr = (uintptr_t)&offset;
	is(ioctl(g.vcpu, KVM_GET_DEVICE_ATTR, &attr), 0, "and read");
	is(offset, want, "as it was set");
	is(adjust_of(&g), 0, "without IA32_TSC_ADJUST");
	RUN(&g, 0x0f, 0x31, OP_HLT);
	ok(regs_of(&g).rdx >= 1U << 18, "the guest's counter follows");
	guest_free(&g);
}

/* What CPUID does not offer is not there, for guests that are told so. */
static void pv_features(void)
{
	struct guest g = guest_new(0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MAX_VCPU_ID, .args = { 1 } };
	struct kvm_sregs s;

	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.idt.limit = 0;
	ioctl(g.vcpu, KVM_SET_SREGS, &s);
	RUN(&g, 0xb9, 1, 0x4d, 0x56, 0x4b, 0x0f, 0x32, OP_HLT); /* rdmsr of SYSTEM_TIME */
	is(g.run->exit_reason, KVM_EXIT_HLT, "kvmclock's MSRs are there without CPUID");
	FAILS(ioctl(g.vcpu, KVM_ENABLE_CAP, &cap), EINVAL, "not every capability is a vCPU's");
	cap.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID;
	cap.flags = 1;
	FAILS(ioctl(g.vcpu, KVM_ENABLE_CAP, &cap), EINVAL, "flags are 0");
	cap.flags = 0;
	is(ioctl(g.vcpu, KVM_ENABLE_CAP, &cap), 0, "CPUID is made to count");
	RUN(&g, 0xb9, 1, 0x4d, 0x56, 0x4b, 0x0f, 0x32, OP_HLT);
	is(g.run->exit_reason, KVM_EXIT_SHUTDOWN, "and they are #GP");
	guest_free(&g);
}

static void platform_info(void)
{
	struct guest g = guest_new(0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MSR_PLATFORM_INFO };
	struct kvm_sregs s;

	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.idt.limit = 0;
	ioctl(g.vcpu, KVM_SET_SREGS, &s);
	RUN(&g, 0xb9, 0xce, 0, 0, 0, 0x0f, 0x32, OP_HLT);
	is(g.run->exit_reason, KVM_EXIT_HLT, "a guest reads PLATFORM_INFO");
	is(ioctl(g.vm, KVM_ENABLE_CAP, &cap), 0, "it is taken away");
	RUN(&g, 0xb9, 0xce, 0, 0, 0, 0x0f, 0x32, OP_HLT);
	is(g.run->exit_reason, KVM_EXIT_SHUTDOWN, "and reading it is #GP");
	guest_free(&g);
}

static void others(void)
{
	struct guest g = guest_new(0);
	struct kvm_translation t = { .linear_address = 0x1234 };
	struct kvm_clock_data clock = { 0 }, later = { 0 };
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };

	is(ioctl(g.vcpu, KVM_TRANSLATE, &t), 0, "translation without paging");
	is(t.valid, 1, "always succeeds");
	is(t.physical_address, 0x1234, "and changes nothing");
	ok(ioctl(g.vcpu, KVM_GET_TSC_KHZ, 0) > 100000, "the rate of the time-stamp counter");
	is(ioctl(g.vm, KVM_GET_CLOCK, &clock), 0, "the clock");
	usleep(2000);
	ioctl(g.vm, KVM_GET_CLOCK, &later);
	ok(later.clock - clock.clock >= 2000000, "goes on");
	clock.flags = 0;
	clock.clock = 5000000000;
	is(ioctl(g.vm, KVM_SET_CLOCK, &clock), 0, "and can be set");
	ioctl(g.vm, KVM_GET_CLOCK, &later);
	ok(later.clock >= 5000000000 && later.clock < 6000000000, "to any time");
	is(ioctl(g.vcpu, KVM_SET_GUEST_DEBUG, &debug), 0, "single step");
	is(RUN(&g, 0x90, 0x90, OP_HLT), 0, "makes KVM_RUN return");
	is(g.run->exit_reason, KVM_EXIT_DEBUG, "for debugging");
	is(g.run->debug.arch.pc, CODE_GPA + 1, "behind the first instruction");
	is(regs_of(&g).rip, CODE_GPA + 1, "where RIP is");
	guest_free(&g);
}

static int rate_of_child(void)
{
	int pipes[2], rate = 0, status;
	pid_t pid;

	if (pipe(pipes))
		die("pipe");
	pid = fork();
	if (!pid) {
		int kvm = kvm_open(), vm = vm_new(kvm, 0);

		rate = ioctl(ioctl(vm, KVM_CREATE_VCPU, 0), KVM_GET_TSC_KHZ, 0);
		_exit(write(pipes[1], &rate, sizeof(rate)) == sizeof(rate) ? 0 : 1);
	}
	if (read(pipes[0], &rate, sizeof(rate)) != sizeof(rate) || waitpid(pid, &status, 0) != pid)
		die("a child");
	close(pipes[0]);
	close(pipes[1]);
	return rate;
}

/* No vCPU yet in this process. */
static void tsc_rate(void)
{
	int rate;

	usleep(10000);
	rate = rate_of_child();
	ok(rate > 100000, "the counter's rate, in a forked child");
	is(rate_of_child(), rate, "is that of the next");
}

int main(void)
{
	tsc_rate();
	creation();
	other_process();
	mapping();
	registers();
	xsave();
	events();
	cpuid();
	msrs();
	tsc_offset();
	pv_features();
	platform_info();
	others();
	return done_testing();
}
