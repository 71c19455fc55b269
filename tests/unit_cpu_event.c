// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_event.c - exceptions, interrupts, debug traps, privilege changes
 */
#include "tests/tap.h"

#include "tests/cpu_guest.h"

/* Run until a handler reports its vector; -1 - exit otherwise.  The frame begins at the returned RSP. */
static int handler(struct guest *g, u64 *frame)
{
	struct cpu *c = g->cpu;
	enum cpu_exit why = cpu_run(c);

	if (why != CPU_EXIT_IO)
		return -1 - (int)why;
	c->pending = CPU_PENDING_NONE;
	*frame = c->gpr[CPU_RSP] + 8;
	return c->exit.io.data[0];
}

GUEST_ASM(divide, "stc\n xor %ecx, %ecx\n mov $7, %eax\n mov $0, %edx\n div %ecx\n");

static void test_frame(struct guest *g)
{
	u64 f = 0;

	guest_long(g, 0);
	g->cpu->reg[CPU_RSP] = G_STACK - 8;
	cpu_set_rflags(g->cpu, 0x202);
	guest_load(g, divide);
	is(handler(g, &f), 0, "division by zero enters vector 0");
	is(f, G_STACK - 16 - 40, "on an aligned stack");
	is(get64(g, f), G_CODE + 13, "RIP of the frame is the instruction's");
	is(get64(g, f + 8), S_CODE64, "CS");
	ok(get64(g, f + 16) & 0x10000, "RF is set in the image");
	ok(get64(g, f + 16) & 0x200, "IF as it was");
	is(get64(g, f + 24), G_STACK - 8, "RSP as it was");
	is(get64(g, f + 32), S_DATA, "SS");
	ok(!(cpu_rflags(g->cpu) & 0x200), "an interrupt gate clears IF");
	is(g->cpu->gpr[CPU_RAX] >> 8, 0, "registers are kept");
}

GUEST_ASM(user, "mov $5, %ebx\n int $0x80\n");
GUEST_ASM(user_ud, "ud2\n");
GUEST_ASM(user_cli, "cli\n");
GUEST_ASM(user_int, "int $0x21\n");

static void test_privilege(struct guest *g)
{
	u64 f = 0;

	guest_long(g, 3);
	guest_load(g, user);
	is(handler(g, &f), 0x80, "INT from user code");
	is(f, G_STACK0 - 40, "switches to the stack of the TSS");
	is(get64(g, f), G_CODE + 7, "RIP is behind INT");
	is(get64(g, f + 8), S_UCODE64 | 3, "CS has its RPL");
	is(g->cpu->cpl, 0, "the handler is a supervisor");
	is(g->cpu->seg[CPU_SS].selector, 0, "with a null SS");
	guest_long(g, 3);
	guest_load(g, user_ud);
	is(handler(g, &f), 6, "UD2 raises #UD");
	guest_long(g, 3);
	guest_load(g, user_cli);
	is(handler(g, &f), 13, "CLI in user code raises #GP");
	is(get64(g, f), 0, "with error code 0");
	guest_long(g, 3);
	guest_load(g, user_int);
	is(handler(g, &f), 13, "INT through a supervisor's gate raises #GP");
	is(get64(g, f), 0x21 * 8 + 2, "naming the gate");
	guest_long(g, 3);
	guest_load(g, user_ud);
	guest_gate(g, 6, G_HANDLERS + 16 * 6, 14, 0, 1);
	is(handler(g, &f), 6, "a gate with an IST");
	is(f, G_IST1 - 40, "uses its stack");
}

GUEST_ASM(bad_stack, "mov $0x50000000, %rsp\n push %rax\n");

static void test_double(struct guest *g)
{
	u64 f = 0;

	guest_long(g, 0);
	guest_load(g, bad_stack);
	guest_gate(g, 8, G_HANDLERS + 16 * 8, 14, 0, 1);
	is(handler(g, &f), 8, "#PF without a stack becomes #DF");
	is(get64(g, f), 0, "with error code 0");
	is(get64(g, f + 8), G_CODE + 7, "at the first instruction");
	guest_long(g, 0);
	is(handler(g, &f), -1 - CPU_EXIT_SHUTDOWN, "and without one for #DF either the CPU shuts down");
	guest_long(g, 0);
	guest_load(g, user_ud);
	put64(g, G_IDT + 16 * 6 + 8, 0);
	put64(g, G_IDT + 16 * 6, 0);
	is(handler(g, &f), 13, "an empty gate raises #GP");
	is(get64(g, f), 6 * 8 + 2, "naming it");
	guest_long(g, 0);
	g->cpu->idtr.base = 0x10000000; /* MMIO; mapped by the tables */
	is(handler(g, &f), -1 - CPU_EXIT_INTERNAL_ERROR, "an IDT in MMIO is an internal error");
	is(g->cpu->exit.internal.suberror, CPU_ERROR_DELIVERY_EV, "of delivery");
	is(g->cpu->exit.internal.data[3], 0x10000000 + 6 * 16, "with the gpa");
}

GUEST_ASM(systems, "mov $0xc0000081, %ecx\n xor %eax, %eax\n mov $0x00280008, %edx\n wrmsr\n"
		   "mov $0xc0000082, %ecx\n mov $0x101000, %eax\n xor %edx, %edx\n wrmsr\n"
		   "mov $0xc0000084, %ecx\n mov $0x200, %eax\n wrmsr\n"
		   "mov $0x102000, %ecx\n mov $0x202, %r11d\n mov $0x1f000, %esp\n sysretq\n");
GUEST_ASM(entry, "mov %rcx, %rsi\n pushf\n pop %rdi\n mov %cs, %eax\n sysretq\n");
GUEST_ASM(ring3, "syscall\n mov %cs, %ebx\n pushf\n pop %rdx\n int $0x80\n");

static void test_syscall(struct guest *g)
{
	u64 f = 0;

	guest_long(g, 0);
	guest_load(g, systems);
	memcpy(g->mem + 0x101000, entry, (size_t)(entry_end - entry));
	memcpy(g->mem + 0x102000, ring3, (size_t)(ring3_end - ring3));
	is(handler(g, &f), 0x80, "SYSRET to user code, SYSCALL and back");
	is(g->cpu->gpr[CPU_RSI], 0x102002, "RCX was the return address");
	is(g->cpu->gpr[CPU_RDI] & 0x200, 0, "SFMASK cleared IF");
	is(g->cpu->gpr[CPU_RAX] >> 8, 0, "supervisor code");
	is(g->cpu->gpr[CPU_RBX], S_UCODE64 | 3, "then CS of the user again");
	is(g->cpu->gpr[CPU_RDX] & 0x200, 0x200, "flags from R11");
}

GUEST_ASM(interrupt, "sti\n nop\n inc %ebx\n 1: inc %ecx\n jmp 1b\n");
GUEST_ASM(halt, "sti\n hlt\n inc %ebx\n 1: jmp 1b\n");

static void test_interrupt(struct guest *g)
{
	u64 f = 0;

	guest_long(g, 0);
	guest_load(g, interrupt);
	g->irq = 0x55;
	cpu_kick(g->cpu, CPU_STOP_POLL);
	is(handler(g, &f), 0x55, "a pending interrupt is taken when IF is set");
	is(get64(g, f), G_CODE + 2, "one instruction behind STI");
	guest_long(g, 0);
	guest_load(g, interrupt);
	g->cpu->want_irq_window = true;
	cpu_state_changed(g->cpu);
	is(cpu_run(g->cpu), CPU_EXIT_IRQ_WINDOW, "a window that is wanted exits");
	is(g->cpu->rip, G_CODE + 2, "when interrupts can be taken");
	g->cpu->want_irq_window = false;
	g->cpu->events.interrupt.injected = 1;
	g->cpu->events.interrupt.nr = 0x66;
	cpu_state_changed(g->cpu);
	is(handler(g, &f), 0x66, "an injected one is delivered");
	guest_long(g, 0);
	guest_load(g, halt);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "HLT");
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "stays halted");
	g->irq = 0x77;
	cpu_kick(g->cpu, CPU_STOP_POLL);
	is(handler(g, &f), 0x77, "until an interrupt comes");
	is(get64(g, f), G_CODE + 2, "which returns behind HLT");
	guest_long(g, 0);
	guest_load(g, interrupt);
	g->cpu->events.nmi.pending = 1;
	cpu_state_changed(g->cpu);
	is(handler(g, &f), 2, "an NMI needs no IF");
	ok(g->cpu->events.nmi.masked, "and masks others");
}

GUEST_ASM(trap, "pushf\n orl $0x100, (%rsp)\n popf\n nop\n nop\n");
GUEST_ASM(watch, "movl $1, (%rdi)\n nop\n nop\n");

static void test_debug(struct guest *g)
{
	struct cpu *c = g->cpu;
	u64 f = 0;

	guest_long(g, 0);
	guest_load(g, trap);
	is(handler(g, &f), 1, "TF traps");
	is(get64(g, f), G_CODE + (u64)(trap_end - trap) - 1, "behind the instruction after POPF");
	ok(c->dr6 & 1 << 14, "DR6.BS tells why");
	ok(!(get64(g, f + 16) & 0x10000), "without RF");
	guest_long(g, 0);
	guest_load(g, trap);
	c->dr[1] = G_CODE + (u64)(trap_end - trap) - 2;
	c->dr7 = 0x404;
	cpu_state_changed(c);
	is(handler(g, &f), 1, "an instruction breakpoint");
	is(get64(g, f), c->dr[1], "is taken before the instruction");
	ok((c->dr6 & 15) == 2, "DR6 names it");
	guest_long(g, 0);
	guest_load(g, watch);
	c->dr[0] = G_DATA + 2;
	c->dr7 = 0x401 | 1 << 16; /* write, one byte */
	c->gpr[CPU_RDI] = G_DATA;
	cpu_state_changed(c);
	is(handler(g, &f), 1, "a data breakpoint");
	is(get64(g, f), G_CODE + 6, "is taken behind the store");
	is(get64(g, G_DATA) & 0xff, 1, "which was made");
	guest_long(g, 0);
	guest_load(g, watch);
	c->gpr[CPU_RDI] = G_DATA;
	c->guest_debug = CPU_DEBUG_ENABLE | CPU_DEBUG_SINGLESTEP;
	cpu_state_changed(c);
	is(cpu_run(c), CPU_EXIT_DEBUG, "the owner's single step");
	ok(c->exit.debug.exception == 1 && c->exit.debug.pc == G_CODE + 6, "exits behind one instruction");
	is(cpu_run(c), CPU_EXIT_DEBUG, "again");
	is(c->exit.debug.pc, G_CODE + 7, "and the next");
	c->guest_debug = 0;
}

GUEST_ASM(returns, "mov $0x102000, %eax\n push $0x33\n push $0x1f000\n push $0x202\n push $0x3b\n push %rax\n iretq\n");
GUEST_ASM(whoami, "mov %cs, %eax\n mov %ss, %ebx\n int $0x80\n");

static void test_iret(struct guest *g)
{
	u64 f = 0;

	guest_long(g, 0);
	guest_load(g, returns);
	memcpy(g->mem + 0x102000, whoami, (size_t)(whoami_end - whoami));
	is(handler(g, &f), 0x80, "IRETQ to user code");
	is(get64(g, f + 8), 0x3b, "has its CS");
	is(g->cpu->gpr[CPU_RBX], 0x33, "and SS");
	is(get64(g, f + 24), 0x1f000, "and RSP");
}

GUEST_ASM(compat, "push $0x40\n push $0x102000\n lretq\n");
GUEST_ASM(legacy,
	  ".code32\n mov $0x12345678, %eax\n push %eax\n pop %ebx\n inc %ebx\n ljmp $0x08, $0x103000\n .code64\n");
GUEST_ASM(back, "mov %esp, %ecx\n int $0x80\n");

static void test_compatibility(struct guest *g)
{
	u64 f = 0;

	guest_long(g, 0);
	guest_load(g, compat);
	memcpy(g->mem + 0x102000, legacy, (size_t)(legacy_end - legacy));
	memcpy(g->mem + 0x103000, back, (size_t)(back_end - back));
	is(handler(g, &f), 0x80, "far return to 32-bit code and jump back");
	is(g->cpu->gpr[CPU_RBX], 0x12345679, "32-bit code ran: INC by one byte");
	is(g->cpu->gpr[CPU_RCX], G_STACK, "its stack was balanced");
}

GUEST_ASM(stack_trap, "mov $0x10, %ecx\n pushf\n orl $0x100, (%rsp)\n popf\n mov %ecx, %ss\n nop\n nop\n");
GUEST_ASM(resume, "nop\n inc %ebx\n hlt\n");
GUEST_ASM(nmi_return, "iretq\n");

/* What holds events back for one instruction, and what lets them through again. */
static void test_shadows(struct guest *g)
{
	struct cpu *c = g->cpu;
	u64 f = 0;

	guest_long(g, 0);
	guest_load(g, stack_trap);
	is(handler(g, &f), 1, "TF traps around MOV SS");
	is(get64(g, f), G_CODE + (u64)(stack_trap_end - stack_trap) - 1, "behind the instruction that follows it");
	guest_long(g, 0);
	guest_load(g, resume);
	c->dr[0] = G_CODE;
	c->dr7 = 0x401;
	cpu_state_changed(c);
	cpu_set_rflags(c, 0x10002);
	is(cpu_run(c), CPU_EXIT_HLT, "RF lets an instruction breakpoint pass");
	is(cpu_rflags(c) & 0x10000, 0, "and is clear behind the instruction");
	for (unsigned bad = 0; bad < 2; bad++) {
		guest_long(g, 0);
		guest_load(g, nmi_return);
		c->gpr[CPU_RSP] = G_DATA;
		put64(g, G_DATA, G_CODE + 0x100);
		put64(g, G_DATA + 8, bad ? S_DATA : S_CODE64);
		put64(g, G_DATA + 16, 2);
		put64(g, G_DATA + 24, G_STACK);
		put64(g, G_DATA + 32, S_DATA);
		c->events.nmi.masked = c->events.nmi.pending = 1;
		cpu_state_changed(c);
		/* When it faults, the NMI comes before the first instruction of #GP's handler. */
		is(handler(g, &f), 2, "IRET%s lets the next NMI in", bad ? ", also one that faults," : "");
		is(get64(g, f), bad ? G_HANDLERS + 16 * 13 : G_CODE + 0x100, "where it led");
	}
}

GUEST_ASM(unaligned_load, "mov 1(%rsi), %eax\n");
GUEST_ASM(unaligned_store, "mov %ax, 7(%rsi)\n");
GUEST_ASM(unaligned_lock, "lock incq 4(%rsi)\n");
GUEST_ASM(unaligned_push, "dec %rsp\n push %rax\n");
GUEST_ASM(unaligned_absent, "mov 0x40000001, %eax\n");
GUEST_ASM(aligned, "mov 4(%rsi), %eax\n mov %al, 7(%rsi)\n movups 1(%rsi), %xmm0\n lock incq 8(%rsi)\n int $0x80\n");

/* CR0.AM and EFLAGS.AC at CPL 3. */
static void test_alignment(struct guest *g)
{
	static const struct {
		const u8 *code, *end;
		int vector;
		const char *what;
	} cases[] = {
		{ unaligned_load, unaligned_load_end, 17, "a doubleword" },
		{ unaligned_store, unaligned_store_end, 17, "a word that is stored" },
		{ unaligned_lock, unaligned_lock_end, 17, "a locked quadword" },
		{ unaligned_push, unaligned_push_end, 17, "a push" },
		{ unaligned_absent, unaligned_absent_end, 14, "#PF comes first: a page that is not there" },
		{ aligned, aligned_end, 0x80, "what is aligned, and bytes, and 16 of them" },
	};
	u64 f = 0;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		guest_long(g, 3);
		g->cpu->cr0 |= 1 << 18;
		cpu_state_changed(g->cpu);
		cpu_set_rflags(g->cpu, 0x40002);
		g->cpu->gpr[CPU_RSI] = G_DATA;
		guest_code(g, cases[i].code, (size_t)(cases[i].end - cases[i].code));
		is(handler(g, &f), cases[i].vector, "alignment check: %s", cases[i].what);
	}
	guest_long(g, 3);
	cpu_set_rflags(g->cpu, 0x40002);
	g->cpu->gpr[CPU_RSI] = G_DATA;
	guest_load(g, unaligned_load);
	g->mem[G_CODE + (unaligned_load_end - unaligned_load)] = 0xf4;
	is(handler(g, &f), 13, "without CR0.AM nothing is checked");
	guest_long(g, 0);
	g->cpu->cr0 |= 1 << 18;
	cpu_state_changed(g->cpu);
	cpu_set_rflags(g->cpu, 0x40002);
	g->cpu->gpr[CPU_RSI] = G_DATA;
	guest_load(g, unaligned_load);
	g->mem[G_CODE + (unaligned_load_end - unaligned_load)] = 0xf4;
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "nor of a supervisor");
}

int main(void)
{
	struct guest *g = guest_new();

	test_frame(g);
	test_privilege(g);
	test_double(g);
	test_syscall(g);
	test_interrupt(g);
	test_debug(g);
	test_iret(g);
	test_compatibility(g);
	test_shadows(g);
	test_alignment(g);
	guest_free(g);
	return done_testing();
}
