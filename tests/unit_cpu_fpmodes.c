// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_fpmodes.c - x87, SSE and AVX where no host can be asked: other modes, MMIO operands, pointers
 */
#include "tests/tap.h"

#include "tests/cpu_guest.h"

static void enable_simd(struct guest *g)
{
	guest_long(g, 0);
	g->cpu->cr4 |= 1 << 18;
	g->cpu->xcr0 = 7;
	cpu_state_changed(g->cpu);
}

/* Protected mode of 32 bits, or real mode with CS.base = G_CODE, without paging. */
static void legacy_mode(struct guest *g, bool protected)
{
	struct cpu *c = g->cpu;

	enable_simd(g);
	c->efer = 0;
	c->cr0 = 0x30 | protected;
	for (unsigned i = 0; i < 6; i++) {
		c->seg[i] = guest_segment(i == CPU_CS ? 8 : 16, 0, i == CPU_CS, false);
		c->seg[i].db = protected;
	}
	if (!protected) {
		c->seg[CPU_CS].base = 0xf0000;
		c->seg[CPU_CS].selector = 0xf000;
		c->seg[CPU_DS].selector = 0x1234;
	}
	c->rip = protected ? G_CODE : 0x100;
	cpu_state_changed(c);
}

static u32 get32(const struct guest *g, u64 at)
{
	return (u32)get64(g, at);
}

static u32 get16(const struct guest *g, u64 at)
{
	return (u32)get64(g, at) & 0xffff;
}

GUEST_ASM(protected_x87, ".code32\n mov $0x200000, %ebx\n fldl (%ebx)\n fnstenv 64(%ebx)\n hlt\n.code64\n");

static void test_protected(struct guest *g)
{
	const u64 env = G_DATA + 64;

	legacy_mode(g, true);
	guest_load(g, protected_x87);
	put64(g, G_DATA, 0x3ff0000000000000);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "32-bit mode: FLD and FNSTENV run");
	is(get32(g, env), 0xffff037f, "control word");
	is(get32(g, env + 4), 0xffff3800, "status word: top of stack 7");
	is(get32(g, env + 8), 0xffff3fff, "tag word: register 7 is valid");
	is(get32(g, env + 12), G_CODE + 5, "FIP is that of FLD");
	is(get32(g, env + 16), 8 | 0x503 << 16, "CS and the opcode");
	is(get32(g, env + 20), G_DATA, "FDP is its operand");
	is(get32(g, env + 24), 0xffff0010, "DS");
}

GUEST_ASM(real_x87, ".code16\n mov $0x2000, %bx\n fldz\n fldl (%bx)\n fnstenv 64(%bx)\n fldenv 64(%bx)\n hlt\n.code64\n");

static void test_real(struct guest *g)
{
	const u64 env = 0x2000 + 64;

	legacy_mode(g, false);
	memcpy(g->mem + 0xf0100, real_x87, (size_t)(real_x87_end - real_x87));
	put64(g, 0x2000, 0);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "real mode: FNSTENV of 14 bytes");
	is(get16(g, env), 0x37f, "control word");
	is(get16(g, env + 4), 0x5fff, "tag word: two zeros");
	is(get16(g, env + 6), 0x105, "low half of the linear FIP");
	is(get16(g, env + 8), 0xf000 | 0x507, "its high half, and the opcode");
	is(get16(g, env + 10), 0x2000 + 0x2340, "low half of the linear FDP");
	is(get16(g, env + 12), 0x1000, "its high half");
	is(g->cpu->fpu.fsw >> 11 & 7, 6, "FLDENV brings the stack back");
}

GUEST_ASM(registers32, ".code32\n mov $0x12345678, %eax\n movd %eax, %xmm0\n pshufd $0, %xmm0, %xmm7\n pextrw $1, %xmm7, %ecx\n"
		       " movups %xmm7, 0x200000\n vpaddd %xmm7, %xmm0, %xmm6\n vzeroall\n cvtsi2sd %eax, %xmm1\n hlt\n.code64\n");

static void test_registers32(struct guest *g)
{
	legacy_mode(g, true);
	guest_load(g, registers32);
	memset(g->cpu->fpu.xmm[9], 0x77, 16);
	if (cpu_host_simd() & CPU_HAS_AVX)
		is(cpu_run(g->cpu), CPU_EXIT_HLT, "32-bit mode: SSE and AVX run");
	else
		skip(1, "no AVX");
	is(get64(g, G_DATA + 8), 0x1234567812345678, "MOVUPS to memory");
	is(g->cpu->gpr[CPU_RCX], 0x1234, "PEXTRW");
	is(g->cpu->fpu.xmm[9][3], 0x77, "VZEROALL leaves the registers that this mode has not");
}

GUEST_ASM(mmio_sse, "mov $0x10000000, %esi\n movups (%rsi), %xmm3\n movaps %xmm3, 16(%rsi)\n hlt\n");

/* 16 bytes of MMIO are two accesses of 8 each. */
static void test_mmio(struct guest *g)
{
	struct cpu *c = g->cpu;

	enable_simd(g);
	guest_load(g, mmio_sse);
	for (unsigned i = 0; i < 2; i++) {
		is(cpu_run(c), CPU_EXIT_MMIO, "MOVUPS from MMIO exits");
		ok(c->exit.mmio.gpa == 0x10000000 + 8 * i && c->exit.mmio.len == 8 && !c->exit.mmio.is_write, "for half %u", i);
		memset(c->exit.mmio.data, 0x50 + (int)i, 8);
		cpu_complete(c);
	}
	for (unsigned i = 0; i < 2; i++) {
		is(cpu_run(c), CPU_EXIT_MMIO, "MOVAPS to MMIO exits");
		ok(c->exit.mmio.gpa == 0x10000010 + 8 * i && c->exit.mmio.len == 8 && c->exit.mmio.is_write &&
			   c->exit.mmio.data[0] == 0x50 + i,
		   "with half %u", i);
		cpu_complete(c);
	}
	is(cpu_run(c), CPU_EXIT_HLT, "and goes on");
	ok(c->fpu.xmm[3][0] == 0x50 && c->fpu.xmm[3][15] == 0x51, "the register has both halves");
}

GUEST_ASM(patches, "lea 1f(%rip), %rsi\n movd %eax, %xmm0\n movd %xmm0, (%rsi)\n 1: .byte 0x90, 0x90, 0x90, 0x90\n hlt\n");
GUEST_ASM(patches_x87, "lea 1f(%rip), %rsi\n fildl (%rsp)\n fistpl (%rsi)\n 1: .byte 0x90, 0x90, 0x90, 0x90\n hlt\n");

/* A store into the very next instruction is seen by it. */
static void test_own_code(struct guest *g)
{
	enable_simd(g);
	guest_load(g, patches);
	g->cpu->gpr[CPU_RAX] = 0x0000c3ff; /* inc %ebx; add %al, (%rax) */
	g->cpu->gpr[CPU_RBX] = 41;
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "MOVD patches the code behind it");
	is(g->cpu->gpr[CPU_RBX], 42, "which is executed as patched");
	enable_simd(g);
	guest_load(g, patches_x87);
	put64(g, G_STACK, 0x9090c3ff);
	g->cpu->gpr[CPU_RBX] = 41;
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "FISTP patches the code behind it");
	is(g->cpu->gpr[CPU_RBX], 42, "which is executed as patched");
}

int main(void)
{
	struct guest *g = guest_new();

	test_protected(g);
	test_real(g);
	test_registers32(g);
	test_mmio(g);
	test_own_code(g);
	guest_free(g);
	return done_testing();
}
