// SPDX-License-Identifier: MIT
/*
 * cpu/mmx.c - MMX, on the significands of the x87 registers
 *
 * MMn is physical register n of the x87 stack, whereas cpu->fpu.st[] counts from the
 * top: cpu_mm() converts.  Every MMX instruction sets the top of stack to 0 and marks
 * all registers used (EMMS: empty), and a written register gets an exponent of ones.
 */
#include "cpu/sse.h"
#include "cpu/x87.h"

static void check(struct cpu *cpu)
{
	cpu_check_mmx(cpu);
	if (unlikely(cpu->fpu.fsw & X87_ES))
		cpu_raise(cpu, CPU_MF, 0);
}

void cpu_mmx_enter(struct cpu *cpu)
{
	const unsigned top = cpu->fpu.fsw >> 11 & 7;

	if (unlikely(top)) {
		u8 st[8][16];

		for (unsigned i = 0; i < 8; i++)
			memcpy(st[i], cpu_mm(cpu, i), 16);
		memcpy(cpu->fpu.st, st, sizeof(st));
		cpu->fpu.fsw &= (u16)~X87_TOP;
	}
	cpu->fpu.ftw = 0xff;
}

void cpu_mmx_set(struct cpu *cpu, unsigned n, u64 v)
{
	u8 *st = cpu->fpu.st[n & 7];

	cpu_mmx_enter(cpu);
	cpu_put64(st, v);
	cpu_put64(st + 8, 0xffff);
}

static u64 source(struct cpu *cpu, const struct cpu_insn *in, unsigned n)
{
	if (in->mod == 3)
		return cpu_get64(cpu_mm(cpu, in->rm));
	return cpu_load(cpu, cpu_addr(cpu, in, n, false), n, in->seg);
}

int cpu_mmx_m(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 src, dst;

	check(cpu);
	src = source(cpu, in, cpu_cookie_bytes(in));
	dst = cpu_get64(cpu_mm(cpu, in->reg));
	cpu_cookie_stub(in)(&dst, &src, NULL, NULL);
	cpu_mmx_set(cpu, in->reg, dst);
	return CPU_NEXT;
}

int cpu_mmx_mi(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 src, dst;

	check(cpu);
	src = source(cpu, in, 8);
	dst = cpu_get64(cpu_mm(cpu, in->reg));
	cpu_call_mi(&dst, &src, (const void *)cpu_cookie_stub(in), NULL);
	cpu_mmx_set(cpu, in->reg, dst);
	return CPU_NEXT;
}

/* CVTPI2PS, CVTPI2PD */
int cpu_mmx_xm(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool pure = in->mod != 3 && ((cpu_cookie_flags(in) & F_PURE_MEM) || (cpu->features & CPU_HAS_AMD));
	u64 src;

	cpu_sse_ready(cpu);
	if (!pure)
		check(cpu);
	src = source(cpu, in, 8);
	cpu_fp(cpu, cpu_cookie_stub(in), cpu->fpu.xmm[in->reg], 16, &src, NULL, NULL);
	if (!pure)
		cpu_mmx_enter(cpu);
	return CPU_NEXT;
}

/* CVTPS2PI, CVTPD2PI and their truncating forms */
int cpu_mmx_mx(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 tmp[16];
	const void *src;
	u64 dst = 0;

	cpu_sse_ready(cpu);
	check(cpu);
	if (in->mod == 3) {
		src = cpu->fpu.xmm[in->rm];
	} else {
		src = cpu_mem(cpu, in, tmp, cpu_cookie_bytes(in), true);
		if (src != tmp)
			cpu_copy16(tmp, src);
		src = tmp;
	}
	cpu_fp(cpu, cpu_cookie_stub(in), &dst, 8, src, NULL, NULL);
	cpu_mmx_set(cpu, in->reg, dst);
	return CPU_NEXT;
}

int cpu_mmx_gm(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 src;

	check(cpu);
	src = cpu_get64(cpu_mm(cpu, in->rm));
	cpu_mmx_enter(cpu);
	cpu->reg[in->reg] = cpu_cookie_stub(in)(NULL, &src, NULL, NULL);
	return CPU_NEXT;
}

int cpu_mmx_movd(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v;

	check(cpu);
	v = cpu_get_operand(cpu, in, cpu_insn_w(in) ? 8 : 4);
	cpu_mmx_set(cpu, in->reg, v);
	return CPU_NEXT;
}

int cpu_mmx_movd_to(struct cpu *cpu, const struct cpu_insn *in)
{
	check(cpu);
	cpu_set_operand(cpu, in, cpu_insn_w(in) ? 8 : 4, cpu_get64(cpu_mm(cpu, in->reg)));
	cpu_mmx_enter(cpu);
	return CPU_NEXT;
}

int cpu_mmx_load(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v;

	check(cpu);
	v = source(cpu, in, 8);
	cpu_mmx_set(cpu, in->reg, v);
	return CPU_NEXT;
}

int cpu_mmx_store(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v;

	check(cpu);
	v = cpu_get64(cpu_mm(cpu, in->reg));
	if (in->mod == 3) {
		cpu_mmx_set(cpu, in->rm, v);
		return CPU_NEXT;
	}
	cpu_store(cpu, cpu_addr(cpu, in, 8, true), 8, v, in->seg);
	cpu_mmx_enter(cpu);
	return CPU_NEXT;
}

int cpu_mmx_shift(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 count = (u8)in->imm;
	u64 v;

	check(cpu);
	v = cpu_get64(cpu_mm(cpu, in->rm));
	cpu_cookie_stub(in)(&v, &count, NULL, NULL);
	cpu_mmx_set(cpu, in->rm, v);
	return CPU_NEXT;
}

int cpu_mmx_emms(struct cpu *cpu, const struct cpu_insn *in)
{
	check(cpu);
	cpu_mmx_enter(cpu);
	cpu->fpu.ftw = 0;
	return CPU_NEXT;
}

int cpu_mmx_pinsr(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned shift = 16 * ((unsigned)in->imm & 3);
	u64 v, mm;

	check(cpu);
	v = in->mod == 3 ? cpu->reg[in->rm] : cpu_load(cpu, cpu_addr(cpu, in, 2, false), 2, in->seg);
	mm = cpu_get64(cpu_mm(cpu, in->reg));
	cpu_mmx_set(cpu, in->reg, (mm & ~(0xffffULL << shift)) | (v & 0xffff) << shift);
	return CPU_NEXT;
}

int cpu_mmx_pextrw(struct cpu *cpu, const struct cpu_insn *in)
{
	check(cpu);
	cpu->reg[in->reg] = cpu_get64(cpu_mm(cpu, in->rm)) >> 16 * ((unsigned)in->imm & 3) & 0xffff;
	cpu_mmx_enter(cpu);
	return CPU_NEXT;
}

int cpu_mmx_movq2dq(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v;

	cpu_sse_ready(cpu);
	check(cpu);
	v = cpu_get64(cpu_mm(cpu, in->rm));
	cpu_put64(cpu->fpu.xmm[in->reg], v);
	cpu_put64(cpu->fpu.xmm[in->reg] + 8, 0);
	cpu_mmx_enter(cpu);
	return CPU_NEXT;
}

int cpu_mmx_movdq2q(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	check(cpu);
	cpu_mmx_set(cpu, in->reg, cpu_get64(cpu->fpu.xmm[in->rm]));
	return CPU_NEXT;
}

int cpu_mmx_maskmov(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 src[8], mask[8];
	int ret;

	check(cpu);
	memcpy(src, cpu_mm(cpu, in->reg), 8);
	memcpy(mask, cpu_mm(cpu, in->rm), 8);
	ret = cpu_mask_store(cpu, in, src, mask, 8);
	cpu_mmx_enter(cpu);
	return ret;
}
