// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_mode.c - real, protected and virtual-8086 mode, segmentation, the way to long mode
 */
#include "tests/tap.h"

#include "tests/cpu_guest32.h"

/* ---- real mode ---- */

static void real(struct guest *g, const u8 *code, size_t n)
{
	guest_long(g, 0);
	cpu_reset(g->cpu, false);
	for (unsigned i = 0; i < 6; i++) {
		g->cpu->seg[i].selector = 0x1000;
		g->cpu->seg[i].base = 0x10000;
	}
	g->cpu->rip = 0;
	g->cpu->reg[CPU_RSP] = 0x8000;
	cpu_state_changed(g->cpu);
	memcpy(g->mem + 0x10000, code, n);
}

GUEST_ASM(real_code,
	  ".code16\n mov $0x1234, %ax\n push %ax\n pop %bx\n add %bh, %bl\n mov $0x2000, %cx\n mov %cx, %es\n"
	  "movw $0x55aa, %es:0x10\n lea 2(%bx,%si), %dx\n int $0x21\n hlt\n"
	  ".org real_code + 0x80\n inc %si\n iret\n .code64\n");

static void test_real(struct guest *g)
{
	real(g, real_code, (size_t)(real_code_end - real_code));
	put32(g, 4 * 0x21, 0x1000 << 16 | 0x80);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "16-bit code runs");
	is(g->cpu->gpr[CPU_RBX], 0x1246, "with byte registers");
	is(g->mem[0x20010], 0xaa, "segment 0x2000 begins at 0x20000");
	is(g->cpu->gpr[CPU_RDX], 0x1248, "BX+SI addressing");
	is(g->cpu->gpr[CPU_RSI], 1, "INT and IRET went through the vector table");
	is(g->cpu->gpr[CPU_RSP], 0x8000, "the stack is balanced");
}

GUEST_ASM(limit16, ".code16\n mov $0xffff, %bx\n mov (%bx), %ax\n hlt\n .org limit16 + 0x40\n mov $13, %al\n out %al, "
		   "$0xe0\n .code64\n");

static void test_real_limit(struct guest *g)
{
	real(g, limit16, (size_t)(limit16_end - limit16));
	put32(g, 4 * 13, 0x1000 << 16 | 0x40);
	is(handler(g), 13, "a word at offset 0xffff exceeds the segment");
	is(*(u16 *)(g->mem + 0x10000 + 0x7ffa), 3, "the frame points at the instruction");
}

/* From reset's mode to 64-bit code, as a kernel's own trampoline does it. */
GUEST_ASM(boot,
	  ".code16\n cli\n lgdtl 0x100\n mov %cr0, %eax\n or $1, %eax\n mov %eax, %cr0\n ljmpl $0x40, $0x10080\n"
	  ".org boot + 0x80\n .code32\n mov $0x10, %eax\n mov %eax, %ds\n mov %eax, %ss\n mov %eax, %es\n mov "
	  "$0x24000, %esp\n"
	  "push $0x11\n pop %ebx\n mov %cr4, %eax\n or $0x20, %eax\n mov %eax, %cr4\n mov $0x1000, %eax\n mov %eax, "
	  "%cr3\n"
	  "mov $0xc0000080, %ecx\n rdmsr\n or $0x100, %eax\n wrmsr\n mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, "
	  "%cr0\n"
	  "ljmp $0x08, $0x10200\n .org boot + 0x100\n .word 0x5f\n .long 0x8000\n .org boot + 0x200\n .code64\n"
	  "mov $0x123456789abcdef0, %rax\n mov %cs, %edx\n mov $0xc0000080, %ecx\n mov %rax, %rsi\n rdmsr\n hlt\n");

static void test_boot(struct guest *g)
{
	real(g, boot, (size_t)(boot_end - boot));
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "real mode, protected mode, long mode");
	is(g->cpu->gpr[CPU_RBX], 0x11, "32-bit code ran");
	is(g->cpu->gpr[CPU_RSI], 0x123456789abcdef0, "64-bit code ran");
	is(g->cpu->gpr[CPU_RAX] & 0x500, 0x500, "EFER has LME and LMA");
}

/* ---- protected mode ---- */

GUEST_ASM(legacy32,
	  ".code32\n mov $0x99, %al\n add $1, %al\n daa\n mov %al, %bl\n mov $0x1234, %cx\n pusha\n inc %ecx\n popa\n"
	  "mov $7, %eax\n aam\n mov %eax, %edx\n les 0x200000, %esi\n hlt\n .code64\n");

static void test_legacy(struct guest *g)
{
	protected(g, 0, legacy32);
	put32(g, G_DATA, 0xabcd);
	put32(g, G_DATA + 4, S_DATA);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "instructions of legacy modes");
	is(g->cpu->gpr[CPU_RBX] & 0xff, 0, "DAA");
	is(g->cpu->gpr[CPU_RCX] & 0xffff, 0x1234, "PUSHA and POPA");
	is(g->cpu->gpr[CPU_RDX], 7, "AAM");
	is(g->cpu->gpr[CPU_RSI], 0xabcd, "LES");
}

GUEST_ASM(user32, ".code32\n int $0x80\n .code64\n");
GUEST_ASM(segment, ".code32\n mov $0x60, %eax\n mov %eax, %fs\n mov %fs:0xffe, %ax\n mov %fs:0xfff, %ax\n .code64\n");
GUEST_ASM(readonly, ".code32\n mov $0x68, %eax\n mov %eax, %fs\n movb $1, %fs:0\n .code64\n");
GUEST_ASM(down, ".code32\n mov $0x70, %eax\n mov %eax, %fs\n mov %fs:0x1000, %al\n mov %fs:0xfff, %al\n .code64\n");
GUEST_ASM(code_seg, ".code32\n movb $1, %cs:0x200000\n .code64\n");

static void test_segments(struct guest *g)
{
	protected(g, 3, user32);
	is(handler(g), 0x80, "INT from ring 3");
	is(g->cpu->gpr[CPU_RSP], G_STACK0 - 24, "uses SS0:ESP0: five words, and the handler's push");
	is(g->cpu->seg[CPU_SS].selector, S_DATA, "with its selector");
	protected(g, 0, segment);
	g->cpu->gdtr.limit = 0xff;
	put64(g, G_GDT + 0x60, 0x0040930000000fffUL); /* limit 0xfff, byte granular */
	is(handler(g), 13, "an access beyond the limit raises #GP");
	is(get64(g, g->cpu->gpr[CPU_RSP] + 8) & 0xffffffff, G_CODE + 14, "the one within did not");
	protected(g, 0, readonly);
	g->cpu->gdtr.limit = 0xff;
	put64(g, G_GDT + 0x68, 0x00c091000000ffffUL);
	is(handler(g), 13, "a write to a read-only segment raises #GP");
	protected(g, 0, down);
	g->cpu->gdtr.limit = 0xff;
	put64(g, G_GDT + 0x70, 0x0040970000000fffUL);
	is(handler(g), 13, "an expand-down segment lies above its limit");
	is(get64(g, g->cpu->gpr[CPU_RSP] + 8) & 0xffffffff, G_CODE + 13, "only");
	protected(g, 0, code_seg);
	is(handler(g), 13, "code segments are not written");
}

GUEST_ASM(gate_call, ".code32\n push $0x1111\n push $0x2222\n lcall $0x63, $0\n add $1, %ebx\n int $0x80\n .code64\n");
GUEST_ASM(gate_target, ".code32\n mov 8(%esp), %ebx\n mov 12(%esp), %ecx\n mov %cs, %edx\n lret $8\n .code64\n");

static void test_call_gate(struct guest *g)
{
	protected(g, 3, gate_call);
	g->cpu->gdtr.limit = 0xff;
	put64(g, G_GDT + 0x60, 0x102000UL >> 16 << 48 | (u64)0xec02 << 32 | S_CODE32 << 16 | 0x2000);
	memcpy(g->mem + 0x102000, gate_target, (size_t)(gate_target_end - gate_target));
	is(handler(g), 0x80, "a call gate to ring 0 and back");
	is(g->cpu->gpr[CPU_RBX], 0x2223, "copies parameters");
	is(g->cpu->gpr[CPU_RCX], 0x1111, "both");
	is(g->cpu->gpr[CPU_RDX], S_CODE32, "runs in ring 0");
}

GUEST_ASM(v86, ".code32\n push $0\n push $0\n push $0x3000\n push $0x2000\n push $0x1000\n push $0x8000\n push "
	       "$0x23002\n push $0x1000\n push $0\n iret\n .code64\n");
GUEST_ASM(v86_code, ".code16\n mov $0x77, %al\n mov %al, %ds:4\n mov %ss, %bx\n hlt\n .code64\n");

static void test_v86(struct guest *g)
{
	u64 esp;

	protected(g, 0, v86);
	memcpy(g->mem + 0x10000, v86_code, (size_t)(v86_code_end - v86_code));
	is(handler(g), 13, "HLT in virtual-8086 mode raises #GP");
	is(g->mem[0x30004], 0x77, "after 16-bit code with its own DS");
	esp = g->cpu->gpr[CPU_RSP] + 4;
	is(get64(g, esp + 4) & 0xffffffff, 7, "EIP of the frame");
	is(get64(g, esp + 8) & 0xffffffff, 0x1000, "CS");
	ok(get64(g, esp + 12) & 0x20000, "EFLAGS.VM");
	is(get64(g, esp + 24) & 0xffffffff, 0x2000, "ES is above SS:ESP");
	ok(g->cpu->seg[CPU_DS].unusable, "data segments are null in the handler");
}

GUEST_ASM(paging32, ".code32\n mov 0xc00000, %eax\n movl $5, 0xc01000\n hlt\n .code64\n");

static void test_paging32(struct guest *g)
{
	protected(g, 0, paging32);
	memset(g->mem + 0x6000, 0, 0x1000);
	put32(g, 0x6000, 0x87);
	put32(g, 0x6000 + 12, 0x5007);
	put32(g, 0x5000, 0x200007);
	put32(g, 0x5004, 0x201007);
	put32(g, G_DATA, 0xfeed);
	g->cpu->cr3 = 0x6000;
	g->cpu->cr4 = 0x10;
	g->cpu->cr0 |= 1UL << 31;
	cpu_state_changed(g->cpu);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "32-bit paging");
	is(g->cpu->gpr[CPU_RAX], 0xfeed, "reads");
	is(get64(g, 0x201000) & 0xff, 5, "and writes");
	is(get64(g, 0x5000), 0x0020106700200027, "A and D are set in 32-bit entries");
}

int main(void)
{
	struct guest *g = guest_new();

	test_real(g);
	test_real_limit(g);
	test_boot(g);
	test_legacy(g);
	test_segments(g);
	test_call_gate(g);
	test_v86(g);
	test_paging32(g);
	guest_free(g);
	return done_testing();
}
