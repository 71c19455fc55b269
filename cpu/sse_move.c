// SPDX-License-Identifier: MIT
/*
 * cpu/sse_move.c - SSE instructions that only move data
 */
#include "cpu/sse.h"

static bool wants_aligned(const struct cpu_insn *in)
{
	return !(cpu_cookie_flags(in) & F_UNALIGNED);
}

int cpu_sse_load(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 tmp[16];

	cpu_sse_ready(cpu);
	cpu_copy16(cpu->fpu.xmm[in->reg],
		   in->mod == 3 ? cpu->fpu.xmm[in->rm] : cpu_mem16(cpu, in, tmp, wants_aligned(in)));
	return CPU_NEXT;
}

int cpu_sse_store(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	if (in->mod == 3)
		cpu_copy16(cpu->fpu.xmm[in->rm], cpu->fpu.xmm[in->reg]);
	else
		cpu_store16(cpu, in, cpu->fpu.xmm[in->reg], wants_aligned(in));
	return CPU_NEXT;
}

static u64 load(struct cpu *cpu, const struct cpu_insn *in, unsigned n)
{
	return cpu_load(cpu, cpu_addr(cpu, in, n, false), n, in->seg);
}

static void store(struct cpu *cpu, const struct cpu_insn *in, unsigned n, u64 v)
{
	cpu_store(cpu, cpu_addr(cpu, in, n, true), n, v, in->seg);
}

static void set128(u8 *xmm, u64 low, u64 high)
{
	cpu_put64(xmm, low);
	cpu_put64(xmm + 8, high);
}

/* MOVSS, MOVSD: memory clears the rest of the register, a register leaves it. */
int cpu_sse_movs(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = cpu_cookie_bytes(in);

	cpu_sse_ready(cpu);
	if (in->mod == 3)
		memcpy(cpu->fpu.xmm[in->reg], cpu->fpu.xmm[in->rm], n);
	else
		set128(cpu->fpu.xmm[in->reg], load(cpu, in, n), 0);
	return CPU_NEXT;
}

int cpu_sse_movs_to(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = cpu_cookie_bytes(in);

	cpu_sse_ready(cpu);
	if (in->mod == 3)
		memcpy(cpu->fpu.xmm[in->rm], cpu->fpu.xmm[in->reg], n);
	else
		store(cpu, in, n, cpu_get64(cpu->fpu.xmm[in->reg]));
	return CPU_NEXT;
}

/* MOVLPS, MOVLPD, MOVHLPS */
int cpu_sse_movl(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	cpu_put64(cpu->fpu.xmm[in->reg], in->mod == 3 ? cpu_get64(cpu->fpu.xmm[in->rm] + 8) : load(cpu, in, 8));
	return CPU_NEXT;
}

int cpu_sse_movl_to(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	store(cpu, in, 8, cpu_get64(cpu->fpu.xmm[in->reg]));
	return CPU_NEXT;
}

/* MOVHPS, MOVHPD, MOVLHPS */
int cpu_sse_movh(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	cpu_put64(cpu->fpu.xmm[in->reg] + 8, in->mod == 3 ? cpu_get64(cpu->fpu.xmm[in->rm]) : load(cpu, in, 8));
	return CPU_NEXT;
}

int cpu_sse_movh_to(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	store(cpu, in, 8, cpu_get64(cpu->fpu.xmm[in->reg] + 8));
	return CPU_NEXT;
}

int cpu_sse_movd(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	set128(cpu->fpu.xmm[in->reg], cpu_get_operand(cpu, in, cpu_insn_w(in) ? 8 : 4), 0);
	return CPU_NEXT;
}

int cpu_sse_movd_to(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	cpu_set_operand(cpu, in, cpu_insn_w(in) ? 8 : 4, cpu_get64(cpu->fpu.xmm[in->reg]));
	return CPU_NEXT;
}

/* MOVQ between XMM registers and memory */
int cpu_sse_movq(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	set128(cpu->fpu.xmm[in->reg], in->mod == 3 ? cpu_get64(cpu->fpu.xmm[in->rm]) : load(cpu, in, 8), 0);
	return CPU_NEXT;
}

int cpu_sse_movq_to(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 v = cpu_get64(cpu->fpu.xmm[in->reg]);

	cpu_sse_ready(cpu);
	if (in->mod == 3)
		set128(cpu->fpu.xmm[in->rm], v, 0);
	else
		store(cpu, in, 8, v);
	return CPU_NEXT;
}

static unsigned element(const struct cpu_insn *in)
{
	return cpu_cookie_bytes(in) ? cpu_cookie_bytes(in) : cpu_insn_w(in) ? 8 : 4;
}

int cpu_sse_pinsr(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = element(in), i = (unsigned)in->imm & (16 / n - 1);
	u64 v;

	cpu_sse_ready(cpu);
	v = in->mod == 3 ? cpu->reg[in->rm] : load(cpu, in, n);
	memcpy(cpu->fpu.xmm[in->reg] + i * n, &v, n);
	return CPU_NEXT;
}

int cpu_sse_pextr(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = element(in), i = (unsigned)in->imm & (16 / n - 1);
	u64 v = 0;

	cpu_sse_ready(cpu);
	memcpy(&v, cpu->fpu.xmm[in->reg] + i * n, n);
	if (in->mod == 3)
		cpu->reg[in->rm] = v;
	else
		store(cpu, in, n, v);
	return CPU_NEXT;
}

int cpu_sse_pextrw(struct cpu *cpu, const struct cpu_insn *in)
{
	const u8 *p = cpu->fpu.xmm[in->rm] + 2 * (in->imm & 7);

	cpu_sse_ready(cpu);
	cpu->reg[in->reg] = (u64)p[0] | (u64)p[1] << 8;
	return CPU_NEXT;
}

int cpu_sse_maskmov(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	return cpu_mask_store(cpu, in, cpu->fpu.xmm[in->reg], cpu->fpu.xmm[in->rm], 16);
}

/*
 * The bytes of src whose mask has bit 7 set, to DS:RDI.  As on AMD's processors all n bytes must be writable, whatever
 * the mask (elsewhere that depends on the model).
 */
int cpu_mask_store(struct cpu *cpu, const struct cpu_insn *in, const u8 *src, const u8 *mask, unsigned n)
{
	const u64 offset = cpu_mask(cpu->reg[CPU_RDI], in->addr_size);
	const u64 la = cpu_linear(cpu, in->seg, offset, n, true);

	cpu_modify(cpu, la, 1, in->seg);
	cpu_modify(cpu, la + n - 1, 1, in->seg);
	for (unsigned i = 0, end; i < n; i = end) {
		end = i + 1;
		if (!(mask[i] & 0x80))
			continue;
		while (end < n && (mask[end] & 0x80))
			end++;
		cpu_write_linear(cpu, la + i, src + i, end - i, in->seg);
	}
	return cpu_end(cpu, in);
}
