// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_exits.c - what KVM_RUN returns and leaves in kvm_run
 */
#include "tests/run_vcpu.h"

static void ports(void)
{
	struct guest g = guest_new(0);

	is(RUN(&g, OP_SET(0x1234), OP_OUT(0x10), OP_IN(0x11), OP_HLT), 0, "OUT makes KVM_RUN return 0");
	is(g.run->exit_reason, KVM_EXIT_IO, "with exit reason IO");
	is(g.run->io.direction, KVM_EXIT_IO_OUT, "to the port");
	is(g.run->io.port, 0x10, "the right one");
	is(g.run->io.size, 1, "a byte");
	is(g.run->io.count, 1, "one");
	is(*((unsigned char *)g.run + g.run->io.data_offset), 0x34, "with its value behind data_offset");
	is(run(&g), 0, "and goes on");
	is(g.run->io.direction, KVM_EXIT_IO_IN, "to an IN");
	*((unsigned char *)g.run + g.run->io.data_offset) = 0x77;
	is(run(&g), 0, "which takes the value of the program");
	is(g.run->exit_reason, KVM_EXIT_HLT, "HLT exits without an interrupt controller");
	is(regs_of(&g).rax, 0x1277, "AL is what was given");
	is(regs_of(&g).rip, CODE_GPA + 10, "and RIP is behind the HLT");
	guest_free(&g);
}

static void string_ports(void)
{
	struct guest g = guest_new(0);
	unsigned count = 0, exits = 0;
	static const unsigned char code[] = { OP_SET(0), 0xbf, 0, 0x20, 0, 0, /* mov edi, 0x2000 */
					      0xb9, 0xd0, 7, 0, 0, /* mov ecx, 2000 */
					      0xba, 0x22, 0, 0, 0, 0xf3, 0x6c, /* mov edx, 0x22; rep insb */ OP_HLT };

	guest_start(&g, code, sizeof(code));
	while (run(&g) == 0 && g.run->exit_reason == KVM_EXIT_IO) {
		memset((char *)g.run + g.run->io.data_offset, 0x61, g.run->io.count);
		count += g.run->io.count;
		exits++;
	}
	is(g.run->exit_reason, KVM_EXIT_HLT, "REP INSB comes to its end");
	is(count, 2000, "all bytes were asked for");
	ok(exits >= 2 && exits < 100, "in pieces of up to 1024");
	is(g.ram[0x2000 + 1999], 0x61, "up to the last one");
	is(g.ram[0x2000 + 2000], 0, "and no further");
	is(regs_of(&g).rcx, 0, "RCX has counted down");
	guest_free(&g);
}

static void mmio(void)
{
	struct guest g = guest_new(0);

	is(RUN(&g, OP_LOAD(DATA_GPA), OP_STORE(DATA_GPA + 8), OP_HLT), 0, "a load without a slot");
	is(g.run->exit_reason, KVM_EXIT_MMIO, "is MMIO");
	is(g.run->mmio.phys_addr, DATA_GPA, "at its address");
	is(g.run->mmio.len, 4, "as long as the operand");
	is(g.run->mmio.is_write, 0, "a read");
	memcpy(g.run->mmio.data, "\x11\x22\x33\x44", 4);
	is(run(&g), 0, "whose value is stored");
	is(g.run->mmio.is_write, 1, "by a write");
	is(g.run->mmio.phys_addr, DATA_GPA + 8, "elsewhere");
	is(memcmp(g.run->mmio.data, "\x11\x22\x33\x44", 4), 0, "with the value");
	is(run(&g), 0, "and then");
	is(g.run->exit_reason, KVM_EXIT_HLT, "comes HLT");
	guest_free(&g);
}

static void immediate_exit(void)
{
	struct guest g = guest_new(0);

	RUN(&g, OP_SET(0), OP_IN(0x11), OP_HLT);
	*((unsigned char *)g.run + g.run->io.data_offset) = 0x55;
	g.run->immediate_exit = 1;
	is(run(&g), -EINTR, "immediate_exit is EINTR");
	is(g.run->exit_reason, KVM_EXIT_IO, "and leaves exit_reason");
	is(regs_of(&g).rax, 0x55, "the IN has been completed");
	is(run(&g), -EINTR, "again");
	g.run->immediate_exit = 0;
	is(run(&g), 0, "without it the guest goes on");
	is(g.run->exit_reason, KVM_EXIT_HLT, "to its HLT");
	guest_free(&g);
}

static void shutdown(void)
{
	struct guest g = guest_new(0);

	/* UD2 with an IDT whose limit is 0: a triple fault. */
	struct kvm_sregs s;

	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.idt.limit = 0;
	ioctl(g.vcpu, KVM_SET_SREGS, &s);
	is(RUN(&g, 0x0f, 0x0b), 0, "a triple fault");
	is(g.run->exit_reason, KVM_EXIT_SHUTDOWN, "is SHUTDOWN");
	guest_free(&g);
}

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
	handled = sig;
}

static void *sender(void *arg)
{
	usleep(20000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static int run_until_signal(struct guest *g)
{
	pthread_t self = pthread_self(), thread;
	int ret;

	handled = 0;
	pthread_create(&thread, NULL, sender, &self);
	ret = RUN(g, OP_LOOP);
	pthread_join(thread, NULL);
	return ret;
}

static void signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct guest g = guest_new(0);
	struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} __attribute__((packed)) mask = { { .len = 8 }, 0 };
	sigset_t set, pending;

	sigaction(SIGUSR1, &sa, NULL);
	is(run_until_signal(&g), -EINTR, "a signal ends KVM_RUN");
	is(g.run->exit_reason, KVM_EXIT_INTR, "with exit reason INTR");
	is(handled, SIGUSR1, "and its handler has run when it returns");

	/* Blocked, and unblocked within KVM_RUN: it stays pending. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	is(ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, &mask), 0, "a signal mask for KVM_RUN");
	is(run_until_signal(&g), -EINTR, "a signal that is blocked outside ends KVM_RUN");
	is(handled, 0, "its handler does not run");
	sigpending(&pending);
	is(sigismember(&pending, SIGUSR1), 1, "it is pending");
	is(run(&g), -EINTR, "and ends the next KVM_RUN at once");
	signal(SIGUSR1, SIG_DFL);
	is(run(&g), -EINTR, "also when its default action were to kill");
	is(sigwaitinfo(&set, NULL), SIGUSR1, "sigwait() takes it");
	is(ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, NULL), 0, "no mask any more");
	mask.head.len = 128;
	is(ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, &mask), -1, "another size than the kernel's");
	is(errno, EINVAL, "is EINVAL");
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	guest_free(&g);
}

static void sync_regs(void)
{
	struct guest g = guest_new(0);

	if (ioctl(g.kvm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) != 7) {
		skip(7, "no KVM_CAP_SYNC_REGS");
		guest_free(&g);
		return;
	}
	g.run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	RUN(&g, OP_SET(0x42), OP_OUT(0x10), OP_OUT(0x10), OP_HLT);
	is(g.run->s.regs.regs.rax, 0x42, "kvm_run shows the registers");
	is(g.run->s.regs.sregs.cs.selector, 8, "and the segments");
	g.run->s.regs.regs.rax = 0x99;
	g.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	run(&g);
	is(*((unsigned char *)g.run + g.run->io.data_offset), 0x99, "what the program changes there is taken");
	is(g.run->kvm_dirty_regs, 0, "once");
	g.run->kvm_valid_regs = 1 << 5;
	is(run(&g), -EINVAL, "unknown sets are refused");
	g.run->kvm_valid_regs = 0;
	g.run->kvm_dirty_regs = 1 << 5;
	is(run(&g), -EINVAL, "in both directions");
	g.run->kvm_dirty_regs = 0;
	is(run(&g), 0, "then it goes on");
	guest_free(&g);
}

static void interrupts(void)
{
	struct guest g = guest_new(0);
	struct kvm_interrupt irq = { 0x20 }, other = { 0x21 };
	struct kvm_vcpu_events events;
	struct kvm_sregs s;

	/* Gate 0x20 at 0x3000 + 0x100 leads to 0x1800: OUT 0x33, HLT. */
	static const unsigned char gate[] = { 0x00, 0x18, 0x08, 0x00, 0x00, 0x8e, 0x00, 0x00 };
	static const unsigned char handler[] = { OP_OUT(0x33), OP_HLT };
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };

	memcpy(g.ram + 0x3000 + 0x20 * 8, gate, sizeof(gate));
	memcpy(g.ram + 0x1800, handler, sizeof(handler));
	memcpy(g.ram + 0x4000, gdt, sizeof(gdt));
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.idt = (struct kvm_dtable){ .base = 0x3000, .limit = 0x7ff };
	s.gdt = (struct kvm_dtable){ .base = 0x4000, .limit = sizeof(gdt) - 1 };
	ioctl(g.vcpu, KVM_SET_SREGS, &s);
	g.run->request_interrupt_window = 1;
	is(RUN(&g, 0x90, OP_OUT(0x10), 0xfb /* STI */, 0x90, OP_LOOP), 0, "interrupts are off");
	is(g.run->exit_reason, KVM_EXIT_IO, "so the guest comes to its OUT");
	is(g.run->if_flag, 0, "if_flag says so");
	is(g.run->ready_for_interrupt_injection, 0, "and that none can be injected");
	is(run(&g), 0, "after STI");
	is(g.run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN, "the window opens");
	is(g.run->ready_for_interrupt_injection, 1, "for one");
	is(ioctl(g.vcpu, KVM_INTERRUPT, &other), 0, "which is queued");
	ioctl(g.vcpu, KVM_GET_VCPU_EVENTS, &events);
	ok(events.interrupt.injected == 1 && events.interrupt.nr == 0x21 && !events.interrupt.soft, "it is among the events");
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	is(s.interrupt_bitmap[0], 1ULL << 0x21, "and in the bitmap");
	events.interrupt.injected = 0;
	ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &events);
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	is(s.interrupt_bitmap[0], 0, "the program can take it back");
	is(ioctl(g.vcpu, KVM_INTERRUPT, &other), 0, "queue it again");
	is(ioctl(g.vcpu, KVM_INTERRUPT, &irq), 0, "and another one instead");
	g.run->request_interrupt_window = 0;
	is(run(&g), 0, "and taken");
	is(g.run->io.port, 0x33, "by the guest's handler");
	irq.irq = 256;
	is(ioctl(g.vcpu, KVM_INTERRUPT, &irq), -1, "vector 256");
	is(errno, EINVAL, "is EINVAL");
	guest_free(&g);
}

static void hypercalls(void)
{
	struct guest g = guest_new(0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_HYPERCALL, .args = { 1 << KVM_HC_MAP_GPA_RANGE } };
	static const unsigned char code[] = { OP_SET(12),	  0xbb, 0, 0x50, 0, 0, /* mov ebx, 0x5000 */
					      0xb9, 2, 0, 0, 0, 0xba, 0x10, 0, 0, 0, /* mov ecx, 2; mov edx, 0x10 */
					      0x0f, 0x01, 0xc1, /* vmcall, which KVM takes for vmmcall too */ OP_HLT };

	run_code(&g, code, sizeof(code));
	is(g.run->exit_reason, KVM_EXIT_HLT, "a hypercall that is not enabled does not exit");
	is((int)regs_of(&g).rax, -KVM_ENOSYS, "and answers -KVM_ENOSYS");
	is(ioctl(g.vm, KVM_ENABLE_CAP, &cap), 0, "enabled");
	run_code(&g, code, sizeof(code));
	is(g.run->exit_reason, KVM_EXIT_HYPERCALL, "it exits");
	is(g.run->hypercall.nr, 12, "with its number");
	is(g.run->hypercall.args[0], 0x5000, "gpa");
	is(g.run->hypercall.args[1], 2, "pages");
	is(g.run->hypercall.args[2], 0x10, "attributes");
	is(g.run->hypercall.flags & 1, 0, "and not in long mode");
	g.run->hypercall.ret = 22;
	is(run(&g), 0, "what the program answers");
	is(regs_of(&g).rax, 22, "is the guest's RAX");
	guest_free(&g);
}

/* One ring, in whatever vCPU's mapping. */
static void coalesced(void)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = DATA_GPA, .size = PG };
	struct guest g = guest_new(0), other = g;
	struct kvm_coalesced_mmio_ring *ring[2];
	char *alone;

	other.vcpu = vcpu_new(&g, 1);
	other.run = map_run(other.vcpu);
	alone = mmap(NULL, PG, PROT_READ, MAP_SHARED, other.vcpu, KVM_COALESCED_MMIO_PAGE_OFFSET * PG);
	guest_mode(&other);
	ring[0] = (void *)((char *)g.run + KVM_COALESCED_MMIO_PAGE_OFFSET * PG);
	ring[1] = (void *)((char *)other.run + KVM_COALESCED_MMIO_PAGE_OFFSET * PG);
	is(ioctl(g.vm, KVM_REGISTER_COALESCED_MMIO, &zone), 0, "a zone of coalesced writes");
	is(RUN(&other, OP_SET(7), OP_STORE(DATA_GPA), OP_HLT), 0, "the second vCPU writes there");
	is(other.run->exit_reason, KVM_EXIT_HLT, "without an exit");
	is(ring[1]->last, 1, "its mapping shows that");
	is(ring[0]->last, 1, "and the first one's");
	is(ring[0]->coalesced_mmio[0].phys_addr, DATA_GPA, "with the address");
	is(((struct kvm_coalesced_mmio_ring *)alone)->last, 1, "and so does the page alone");
	ring[1]->first = 1;
	is(ring[0]->first, 1, "what is taken out is taken out of all");
	is(RUN(&g, OP_SET(8), OP_STORE(DATA_GPA + 4), OP_HLT), 0, "the first vCPU writes");
	is(ring[1]->last, 2, "to the same ring");
	is(other.run->exit_reason, KVM_EXIT_HLT, "and the rest is each one's own");
	munmap(alone, PG);
	munmap(other.run, 3 * PG);
	close(other.vcpu);
	guest_free(&g);
}

int main(void)
{
	ports();
	string_ports();
	coalesced();
	mmio();
	immediate_exit();
	shutdown();
	signals();
	sync_regs();
	interrupts();
	hypercalls();
	return done_testing();
}
