// SPDX-License-Identifier: MIT
/*
 * cpu/avx_move.c - VEX instructions that only move data: whole registers, elements, masks, gathers
 */
#include "cpu/avx.h"

static u64 load(struct cpu *cpu, const struct cpu_insn *in, unsigned n)
{
	return cpu_load(cpu, cpu_addr(cpu, in, n, false), n, in->seg);
}

static void store(struct cpu *cpu, const struct cpu_insn *in, unsigned n, u64 v)
{
	cpu_store(cpu, cpu_addr(cpu, in, n, true), n, v, in->seg);
}

static void set128(struct cpu *cpu, unsigned r, u64 low, u64 high)
{
	cpu_put64(cpu->fpu.xmm[r], low);
	cpu_put64(cpu->fpu.xmm[r] + 8, high);
	memset(cpu->fpu.ymmh[r], 0, 16);
}

static u64 low_of(const struct cpu *cpu, unsigned r)
{
	return cpu_get64(cpu->fpu.xmm[r]);
}

static u64 high_of(const struct cpu *cpu, unsigned r)
{
	return cpu_get64(cpu->fpu.xmm[r] + 8);
}

static u64 whole(struct cpu *cpu, const struct cpu_insn *in, unsigned n, bool write)
{
	const u64 la = cpu_addr(cpu, in, n, write);

	if (!(cpu_cookie_flags(in) & F_UNALIGNED) && (la & (n - 1)))
		cpu_raise(cpu, CPU_GP, 0);
	return la;
}

int cpu_avx_load(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = cpu_cookie_bytes(in);
	u8 v[32] = { 0 };

	cpu_check_avx(cpu);
	if (in->mod != 3) {
		cpu_read_linear(cpu, whole(cpu, in, n, false), v, n, in->seg);
	} else {
		cpu_avx_get(cpu, in->rm, v);
		memset(v + n, 0, 32 - n);
	}
	cpu_avx_set(cpu, in->reg, v);
	return CPU_NEXT;
}

int cpu_avx_store(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = cpu_cookie_bytes(in);
	u8 v[32];

	cpu_check_avx(cpu);
	cpu_avx_get(cpu, in->reg, v);
	if (in->mod != 3) {
		cpu_write_linear(cpu, whole(cpu, in, n, true), v, n, in->seg);
	} else {
		memset(v + n, 0, 32 - n);
		cpu_avx_set(cpu, in->rm, v);
	}
	return CPU_NEXT;
}

/* VMOVSS, VMOVSD: from memory the rest is zero, between registers it comes from vvvv. */
static void merge_scalar(struct cpu *cpu, const struct cpu_insn *in, unsigned dst, unsigned src)
{
	const u64 v = low_of(cpu, src), rest = low_of(cpu, in->vvvv);

	set128(cpu, dst, cpu_cookie_bytes(in) == 4 ? (rest & ~0xffffffffULL) | (u32)v : v, high_of(cpu, in->vvvv));
}

int cpu_avx_movs(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_check_avx(cpu);
	if (in->mod == 3)
		merge_scalar(cpu, in, in->reg, in->rm);
	else
		set128(cpu, in->reg, load(cpu, in, cpu_cookie_bytes(in)), 0);
	return CPU_NEXT;
}

int cpu_avx_movs_to(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_check_avx(cpu);
	if (in->mod == 3)
		merge_scalar(cpu, in, in->rm, in->reg);
	else
		store(cpu, in, cpu_cookie_bytes(in), low_of(cpu, in->reg));
	return CPU_NEXT;
}

/* VMOVLPS (12), VMOVHPS (16) and their PD and register forms */
int cpu_avx_movlh(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool high = in->opcode == 0x16;
	u64 v;

	cpu_check_avx(cpu);
	if (in->mod == 3)
		v = high ? low_of(cpu, in->rm) : high_of(cpu, in->rm);
	else
		v = load(cpu, in, 8);
	if (high)
		set128(cpu, in->reg, low_of(cpu, in->vvvv), v);
	else
		set128(cpu, in->reg, v, high_of(cpu, in->vvvv));
	return CPU_NEXT;
}

int cpu_avx_movlh_to(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_check_avx(cpu);
	store(cpu, in, 8, in->opcode == 0x17 ? high_of(cpu, in->reg) : low_of(cpu, in->reg));
	return CPU_NEXT;
}

int cpu_avx_movd(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_check_avx(cpu);
	set128(cpu, in->reg, cpu_get_operand(cpu, in, cpu_insn_w(in) ? 8 : 4), 0);
	return CPU_NEXT;
}

int cpu_avx_movd_to(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_check_avx(cpu);
	cpu_set_operand(cpu, in, cpu_insn_w(in) ? 8 : 4, low_of(cpu, in->reg));
	return CPU_NEXT;
}

int cpu_avx_movq(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_check_avx(cpu);
	set128(cpu, in->reg, in->mod == 3 ? low_of(cpu, in->rm) : load(cpu, in, 8), 0);
	return CPU_NEXT;
}

int cpu_avx_movq_to(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_check_avx(cpu);
	if (in->mod == 3)
		set128(cpu, in->rm, low_of(cpu, in->reg), 0);
	else
		store(cpu, in, 8, low_of(cpu, in->reg));
	return CPU_NEXT;
}

/* VZEROUPPER, with 256 bits VZEROALL: of the registers that this mode has. */
int cpu_avx_zero(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = in->flags & CPU_IN_64 ? 16 : 8;

	cpu_check_avx(cpu);
	memset(cpu->fpu.ymmh, 0, 16 * n);
	if (in->vex_l)
		memset(cpu->fpu.xmm, 0, 16 * n);
	return CPU_NEXT;
}

/* ---- elements ---- */

static unsigned element(const struct cpu_insn *in)
{
	return cpu_cookie_bytes(in) ? cpu_cookie_bytes(in) : cpu_insn_w(in) ? 8 : 4;
}

int cpu_avx_pinsr(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = element(in), i = (unsigned)in->imm & (16 / n - 1);
	u8 xmm[16];
	u64 v;

	cpu_check_avx(cpu);
	v = in->mod == 3 ? cpu->reg[in->rm] : load(cpu, in, n);
	memcpy(xmm, cpu->fpu.xmm[in->vvvv], 16);
	memcpy(xmm + i * n, &v, n);
	set128(cpu, in->reg, cpu_get64(xmm), cpu_get64(xmm + 8));
	return CPU_NEXT;
}

int cpu_avx_pextr(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = element(in), i = (unsigned)in->imm & (16 / n - 1);
	u64 v = 0;

	cpu_check_avx(cpu);
	memcpy(&v, cpu->fpu.xmm[in->reg] + i * n, n);
	if (in->mod == 3)
		cpu->reg[in->rm] = v;
	else
		store(cpu, in, n, v);
	return CPU_NEXT;
}

int cpu_avx_pextrw(struct cpu *cpu, const struct cpu_insn *in)
{
	const u8 *p = cpu->fpu.xmm[in->rm] + 2 * (in->imm & 7);

	cpu_check_avx(cpu);
	cpu->reg[in->reg] = (u64)p[0] | (u64)p[1] << 8;
	return CPU_NEXT;
}

int cpu_avx_maskmovdqu(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_check_avx(cpu);
	return cpu_mask_store(cpu, in, cpu->fpu.xmm[in->reg], cpu->fpu.xmm[in->rm], 16);
}

/* VLDMXCSR (/2), VSTMXCSR (/3) */
int cpu_avx_mxcsr(struct cpu *cpu, const struct cpu_insn *in)
{
	u32 v;

	cpu_check_avx(cpu);
	if ((in->reg & 7) == 3) {
		store(cpu, in, 4, cpu->fpu.mxcsr);
		return CPU_NEXT;
	}
	if ((in->reg & 7) != 2)
		cpu_raise(cpu, CPU_UD, 0);
	v = (u32)load(cpu, in, 4);
	if (v & ~(u32)MXCSR_VALID)
		cpu_raise(cpu, CPU_GP, 0);
	cpu->fpu.mxcsr = v;
	return CPU_NEXT;
}

/* VEXTRACTF128, VEXTRACTI128 */
int cpu_avx_extract(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 v[32];

	cpu_check_avx(cpu);
	cpu_avx_get(cpu, in->reg, v);
	if (in->imm & 1)
		memcpy(v, v + 16, 16);
	memset(v + 16, 0, 16);
	if (in->mod == 3)
		cpu_avx_set(cpu, in->rm, v);
	else
		cpu_write_linear(cpu, cpu_addr(cpu, in, 16, true), v, 16, in->seg);
	return CPU_NEXT;
}

int cpu_avx_broadcast(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = cpu_cookie_bytes(in), size = in->vex_l ? 32 : 16;
	u8 src[32], v[32] = { 0 };

	cpu_check_avx(cpu);
	if (in->mod == 3)
		cpu_avx_get(cpu, in->rm, src);
	else
		cpu_avx_read(cpu, in, src, n);
	for (unsigned i = 0; i < size; i += n)
		memcpy(v + i, src, n);
	cpu_avx_set(cpu, in->reg, v);
	return CPU_NEXT;
}

/* ---- elements chosen by a mask: the others are not touched and do not fault ---- */

static u64 masked_address(struct cpu *cpu, const struct cpu_insn *in, u64 by, unsigned n, bool write)
{
	return cpu_linear(cpu, in->seg, cpu_mask(cpu_offset(cpu, in) + by, in->addr_size), n, write);
}

static bool chosen(const u8 *mask, unsigned i, unsigned n)
{
	return mask[i + n - 1] & 0x80;
}

int cpu_avx_maskload(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = cpu_cookie_bytes(in), size = in->vex_l ? 32 : 16;
	u8 mask[32], v[32] = { 0 };

	cpu_check_avx(cpu);
	cpu_avx_get(cpu, in->vvvv, mask);
	for (unsigned i = 0; i < size; i += n) {
		if (chosen(mask, i, n))
			cpu_read_linear(cpu, masked_address(cpu, in, i, n, false), v + i, n, in->seg);
	}
	cpu_avx_set(cpu, in->reg, v);
	return CPU_NEXT;
}

/* One that faults leaves the earlier ones stored; doing them again changes nothing. */
int cpu_avx_maskstore(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = cpu_cookie_bytes(in), size = in->vex_l ? 32 : 16;
	u8 mask[32], v[32];

	cpu_check_avx(cpu);
	cpu_avx_get(cpu, in->vvvv, mask);
	cpu_avx_get(cpu, in->reg, v);
	for (unsigned i = 0; i < size; i += n) {
		if (chosen(mask, i, n))
			cpu_write_linear(cpu, masked_address(cpu, in, i, n, true), v + i, n, in->seg);
	}
	return CPU_NEXT;
}

/*
 * VGATHER, VPGATHER.  A processor may complete some elements before another one faults; here nothing has happened
 * then, and all of them are loaded again.
 */
int cpu_avx_gather(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = cpu_cookie_bytes(in), width = in->opcode & 1 ? 8 : 4; /* of an element, of an index */
	const unsigned count = (in->vex_l ? 32U : 16U) / (n > width ? n : width);
	const unsigned number = in->index == CPU_REG_ZERO ? 4 : in->index;
	u8 mask[32], v[32], index[32];

	cpu_check_avx(cpu);
	if ((in->rm & 7) != 4 || in->addr_size == 2 || in->reg == number || in->reg == in->vvvv || number == in->vvvv)
		cpu_raise(cpu, CPU_UD, 0);
	cpu_avx_get(cpu, in->vvvv, mask);
	cpu_avx_get(cpu, in->reg, v);
	cpu_avx_get(cpu, number, index);
	memset(v + count * n, 0, 32 - count * n);
	for (unsigned i = 0; i < count; i++) {
		s64 by = 0;
		u64 offset;

		if (!chosen(mask, i * n, n))
			continue;
		memcpy(&by, index + i * width, width);
		if (width == 4)
			by = (s32)by;
		offset = cpu->reg[in->base] + ((u64)by << in->scale) + (u64)in->disp;
		cpu_read_linear(cpu, cpu_linear(cpu, in->seg, cpu_mask(offset, in->addr_size), n, false), v + i * n, n,
				in->seg);
	}
	memset(mask, 0, sizeof(mask));
	cpu_avx_set(cpu, in->vvvv, mask);
	cpu_avx_set(cpu, in->reg, v);
	return CPU_NEXT;
}
