// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_task.c - hardware task switches: JMP, CALL, IRET, interrupts, and what is wrong with them
 */
#include "tests/tap.h"

#include "tests/cpu_guest32.h"

enum { S_OTHER = 0x60, S_GATE = 0x68, S_TSS16 = 0x70, OTHER = 0xac00, TSS16 = 0xad00, OTHER_CODE = 0x102000, OTHER_STACK = 0x2c000 };

static u32 get32(const struct guest *g, u64 gpa)
{
	return (u32)get64(g, gpa);
}

static u64 tss_descriptor(u32 base, u32 limit, unsigned type, unsigned dpl)
{
	return limit | (u64)(base & 0xffffff) << 16 | (u64)(0x80 | dpl << 5 | type) << 40;
}

/* The first task runs `name`; the second one is ready at OTHER, with `other` as its code. */
static void tasks(struct guest *g, const u8 *code, size_t n, const u8 *other, size_t m)
{
	static const u32 segments[] = { S_DATA, S_CODE32, S_DATA, S_DATA, 0, S_DATA };

	protected_mode(g, 0, code, n);
	memcpy(g->mem + OTHER_CODE, other, m);
	g->cpu->gdtr.limit = 0xff;
	put64(g, G_GDT + S_TSS, tss_descriptor(P_TSS, 0x67, 11, 0));
	put64(g, G_GDT + S_OTHER, tss_descriptor(OTHER, 0x67, 9, 0));
	put64(g, G_GDT + S_GATE, (u64)S_OTHER << 16 | (u64)0x85 << 40);
	memset(g->mem + OTHER, 0, 0x68);
	put32(g, OTHER + 32, OTHER_CODE);
	put32(g, OTHER + 36, 0x2);
	put32(g, OTHER + 40, 0x1111);
	put32(g, OTHER + 56, OTHER_STACK);
	for (unsigned i = 0; i < 6; i++)
		put32(g, OTHER + 72 + 4 * i, segments[i]);
	memset(g->mem + P_TSS + 32, 0, 0x68 - 32);
}
#define two_tasks(g, a, b) tasks(g, a, (size_t)(a##_end - a), b, (size_t)(b##_end - b))

static unsigned busy(const struct guest *g, unsigned selector)
{
	return g->mem[G_GDT + selector + 5] >> 1 & 1;
}

GUEST_ASM(call, ".code32\n mov $0x77, %ebx\n lcall $0x60, $0\n inc %ebx\n hlt\n .code64\n");
GUEST_ASM(callee, ".code32\n inc %eax\n mov %cr0, %edx\n iret\n inc %eax\n iret\n .code64\n");

static void test_call(struct guest *g)
{
	two_tasks(g, call, callee);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "CALL to a TSS, and IRET back");
	is(g->cpu->gpr[CPU_RBX], 0x78, "the first task goes on with its registers");
	is(get32(g, OTHER + 40), 0x1112, "the second one's were saved");
	is(get32(g, OTHER + 32), OTHER_CODE + 5, "behind its IRET");
	ok(get32(g, OTHER + 48) & 8, "CR0.TS was set");
	is(get32(g, OTHER) & 0xffff, S_TSS, "the link names the caller");
	is(get32(g, OTHER + 36) & 0x4000, 0, "NT is clear in the image that IRET saves");
	ok(busy(g, S_TSS) && !busy(g, S_OTHER), "the first one's TSS is busy, the second one's is not");
	is(g->cpu->seg[CPU_TR].selector, S_TSS, "TR is the first one's");
}

GUEST_ASM(jump, ".code32\n ljmp $0x68, $0\n hlt\n .code64\n");
GUEST_ASM(halt, ".code32\n pushf\n pop %ecx\n hlt\n .code64\n");

static void test_jump(struct guest *g)
{
	two_tasks(g, jump, halt);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "JMP through a task gate");
	is(g->cpu->rip, OTHER_CODE + halt_end - halt, "to the second task");
	is(g->cpu->gpr[CPU_RCX] & 0x4000, 0, "which is not nested");
	ok(!busy(g, S_TSS) && busy(g, S_OTHER), "and busy, instead of the first");
	is(get32(g, P_TSS + 32), G_CODE + 7, "the first one goes on behind the JMP");
}

GUEST_ASM(fault, ".code32\n mov $0x55, %esi\n movb $1, %cs:0\n add $1, %esi\n hlt\n .code64\n");
GUEST_ASM(repair, ".code32\n pop %ecx\n addl $8, 0xa820\n iret\n .code64\n");

static void test_interrupt(struct guest *g)
{
	two_tasks(g, fault, repair);
	put64(g, P_IDT + 8 * 13, (u64)S_OTHER << 16 | (u64)0x85 << 40);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "#GP through a task gate, whose task returns");
	is(get32(g, OTHER + 44), 0, "the error code is on the task's stack");
	is(get32(g, OTHER + 56), OTHER_STACK, "and is all that is");
	is(g->cpu->gpr[CPU_RSI], 0x56, "the faulting task goes on where the handler says");
}

GUEST_ASM(to16, ".code32\n lcall $0x70, $0\n mov %eax, %ebx\n hlt\n .code64\n");
GUEST_ASM(in16, ".code16\n mov %ss, %bx\n iret\n .code64\n");

static void test_16(struct guest *g)
{
	static const u16 image[] = { [7] = 0x10, 0x2, 0x4321, [13] = 0x1000, [17] = S_DATA, S_CODE16, S_DATA16, S_DATA, 0 };

	two_tasks(g, to16, in16);
	put64(g, G_GDT + S_TSS16, tss_descriptor(TSS16, 0x2b, 1, 0));
	memset(g->mem + TSS16, 0, 0x2c);
	memcpy(g->mem + TSS16, image, sizeof(image));
	memcpy(g->mem + 0x10, in16, (size_t)(in16_end - in16));
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "CALL to a 16-bit TSS, and IRET back");
	is(get32(g, TSS16 + 24) & 0xffff, S_DATA16, "it ran with its own stack");
	is(get32(g, TSS16 + 18) & 0xffff, 0x4321, "and its registers");
}

/* What is wrong, and whose #GP, #TS, #NP or #SS that is. */
static void expect(struct guest *g, int vector, u32 error, bool in_new, const char *what)
{
	is(handler(g), vector, "%s: vector %d", what, vector);
	is(get32(g, g->cpu->gpr[CPU_RSP] + 4), error, "%s: the error code", what);
	is(get32(g, g->cpu->gpr[CPU_RSP] + 8) >= OTHER_CODE, in_new, "%s: in the %s task", what, in_new ? "new" : "old");
}

/* The second task at CPL 3: what is wrong with it is handled on its stack of ring 0, which needs no SS yet. */
static void user_task(struct guest *g)
{
	two_tasks(g, call, callee);
	put32(g, OTHER + 4, G_STACK0);
	put32(g, OTHER + 8, S_DATA);
	for (unsigned i = 0; i < 4; i++)
		put32(g, OTHER + 72 + 4 * i, i == 1 ? S_UCODE32 | 3 : S_UDATA | 3);
	put32(g, OTHER + 92, 0);
}

static void test_errors(struct guest *g)
{
	two_tasks(g, call, callee);
	g->mem[G_GDT + S_OTHER + 5] |= 2;
	expect(g, 13, S_OTHER, false, "a busy TSS");
	two_tasks(g, call, callee);
	g->mem[G_GDT + S_OTHER + 5] &= 0x7f;
	expect(g, 11, S_OTHER, false, "an absent TSS");
	two_tasks(g, call, callee);
	g->mem[G_GDT + S_OTHER] = 0x66;
	expect(g, 10, S_OTHER, false, "a short TSS");
	ok(!busy(g, S_OTHER), "which is not busy");
	user_task(g);
	put32(g, OTHER + 76, S_UDATA | 3);
	expect(g, 10, S_UDATA, true, "CS that is data");
	user_task(g);
	put32(g, OTHER + 80, S_UCODE32 | 3);
	expect(g, 10, S_UCODE32, true, "SS that is code");
	user_task(g);
	put32(g, OTHER + 96, S_DATA);
	expect(g, 10, S_DATA, true, "LDTR that is no LDT");
	two_tasks(g, call, callee);
	put64(g, G_GDT + 0x78, 0x00cf13000000ffff);
	put32(g, OTHER + 84, 0x78);
	expect(g, 11, 0x78, true, "DS that is absent");
	ok(busy(g, S_OTHER), "the switch has happened");
	two_tasks(g, callee, callee);
	cpu_set_rflags(g->cpu, 0x4002);
	put32(g, P_TSS, S_OTHER);
	expect(g, 10, S_OTHER, false, "IRET to a task that is not busy");
}

/* A page of the GDT that is retried in the midst of the second half. */
static void test_interrupted(struct guest *g)
{
	enum cpu_exit why;

	two_tasks(g, jump, halt);
	put32(g, OTHER + 80, 0x10f8); /* a descriptor in the GDT's second page */
	put64(g, G_GDT + 0x10f8, get64(g, G_GDT + S_DATA));
	g->cpu->gdtr.limit = 0x1fff;
	g->fault_gpa = G_GDT + 0x1000;
	g->fault_kind = CPU_MAP_RETRY;
	/* The IDT, which lies there, is not used. */
	why = cpu_run(g->cpu);
	is(why, CPU_EXIT_STOPPED, "an exit while segments are loaded");
	g->fault_kind = 0;
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "then the switch is finished");
	is(g->cpu->seg[CPU_SS].selector, 0x10f8, "with all segments");
	is(g->cpu->rip, OTHER_CODE + halt_end - halt, "in the new task");
}

static void test_trap(struct guest *g)
{
	two_tasks(g, jump, halt);
	put32(g, OTHER + 100, 1);
	g->cpu->dr6 = 0xffff0ff0;
	is(handler(g), 1, "T in the TSS raises #DB");
	is(get32(g, g->cpu->gpr[CPU_RSP] + 4), OTHER_CODE, "before the new task's first instruction");
	is(g->cpu->dr6 >> 15 & 1, 1, "DR6.BT is set");
}

int main(void)
{
	struct guest *g = guest_new();

	test_call(g);
	test_jump(g);
	test_interrupt(g);
	test_16(g);
	test_errors(g);
	test_interrupted(g);
	test_trap(g);
	guest_free(g);
	return done_testing();
}
