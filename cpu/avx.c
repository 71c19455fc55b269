// SPDX-License-Identifier: MIT
/*
 * cpu/avx.c - AVX, AVX2, FMA and F16C: what computes, on the host's own
 *
 * As cpu/sse.c, with one way to call all stubs: registers are gathered in a struct
 * cpu_avx_regs.  In the guest's state a YMM register is two halves, xmm[] and
 * ymmh[]; writing one with 128 bits clears the upper half.
 */
#include "cpu/avx.h"

struct row {
	u8 class, pp, map, op, w, l, low, high, flags, feature;
	u16 stub, count;
};

enum { PP_NP = CPU_PP_NONE, PP_66 = CPU_PP_66, PP_F3 = CPU_PP_F3, PP_F2 = CPU_PP_F2, MAP_0F = 1, MAP_38, MAP_3A };
static const struct row rows[] = {
#define ROW_(class, pp, map, op, w, l, low, high, flags, feature, stub, count)                                         \
	{ CLASS_##class, PP_##pp, MAP_##map, 0x##op, VEX_##w, VEX_##l, low, high, flags, FEATURE_##feature, stub, count },
#define VEX(class, pp, map, op, w, l, low, high, flags, feature)                                                       \
	ROW_(class, pp, map, op, w, l, low, high, flags, feature, CPU_AVX_NAME(AVX, pp, map, op, w), 1)
#define VEXI(class, pp, map, op, w, l, low, high, flags, feature, count)                                               \
	ROW_(class, pp, map, op, w, l, low, high, flags, feature, CPU_AVX_NAME(AVX, pp, map, op, w), count)
#define VEXC(class, pp, map, op, w, l, low, high, flags, feature)                                                      \
	ROW_(class, pp, map, op, w, l, low, high, flags, feature, 0, 1)
#include "cpu/avx.def"
#undef ROW_
};

/* ---- registers and memory ---- */

void cpu_avx_get(const struct cpu *cpu, unsigned r, u8 v[32])
{
	memcpy(v, cpu->fpu.xmm[r], 16);
	memcpy(v + 16, cpu->fpu.ymmh[r], 16);
}

void cpu_avx_set(struct cpu *cpu, unsigned r, const u8 v[32])
{
	memcpy(cpu->fpu.xmm[r], v, 16);
	memcpy(cpu->fpu.ymmh[r], v + 16, 16);
}

/* The memory operand of n bytes, zero-extended. */
void cpu_avx_read(struct cpu *cpu, const struct cpu_insn *in, u8 v[32], unsigned n)
{
	memset(v, 0, 32);
	if (n <= 8)
		cpu_put64(v, cpu_load(cpu, cpu_addr(cpu, in, n, false), n, in->seg));
	else
		cpu_read_linear(cpu, cpu_addr(cpu, in, n, false), v, n, in->seg);
}

static void source(struct cpu *cpu, const struct cpu_insn *in, u8 v[32])
{
	if (in->mod == 3)
		cpu_avx_get(cpu, in->rm, v);
	else
		cpu_avx_read(cpu, in, v, cpu_cookie_bytes(in));
}

static void call(struct cpu *cpu, const struct cpu_insn *in, struct cpu_avx_regs *regs)
{
	const void *stub = (const void *)cpu_cookie_stub(in);

	if (cpu_cookie_flags(in) & F_FP)
		cpu_fp(cpu, cpu_call_avx, regs, sizeof(*regs), stub, NULL, NULL);
	else
		cpu_call_avx(regs, stub, NULL, NULL);
}

/* ---- classes ---- */

static int class_a2(struct cpu *cpu, const struct cpu_insn *in)
{
	struct cpu_avx_regs regs;

	cpu_check_avx(cpu);
	source(cpu, in, regs.rm);
	call(cpu, in, &regs);
	cpu_avx_set(cpu, in->reg, regs.reg);
	return CPU_NEXT;
}

static int class_a3(struct cpu *cpu, const struct cpu_insn *in)
{
	struct cpu_avx_regs regs;

	cpu_check_avx(cpu);
	source(cpu, in, regs.rm);
	cpu_avx_get(cpu, in->reg, regs.reg);
	cpu_avx_get(cpu, in->vvvv, regs.vvvv);
	call(cpu, in, &regs);
	cpu_avx_set(cpu, in->reg, regs.reg);
	return CPU_NEXT;
}

static int class_a4(struct cpu *cpu, const struct cpu_insn *in)
{
	struct cpu_avx_regs regs;

	cpu_check_avx(cpu);
	source(cpu, in, regs.rm);
	cpu_avx_get(cpu, in->vvvv, regs.vvvv);
	cpu_avx_get(cpu, (unsigned)in->imm >> 4 & (in->flags & CPU_IN_64 ? 15 : 7), regs.is4);
	call(cpu, in, &regs);
	cpu_avx_set(cpu, in->reg, regs.reg);
	return CPU_NEXT;
}

static int class_ai(struct cpu *cpu, const struct cpu_insn *in)
{
	struct cpu_avx_regs regs;

	cpu_check_avx(cpu);
	regs.rdx = cpu_get_operand(cpu, in, cpu_insn_w(in) ? 8 : 4);
	cpu_avx_get(cpu, in->vvvv, regs.vvvv);
	call(cpu, in, &regs);
	cpu_avx_set(cpu, in->reg, regs.reg);
	return CPU_NEXT;
}

static int class_ag(struct cpu *cpu, const struct cpu_insn *in)
{
	struct cpu_avx_regs regs;

	cpu_check_avx(cpu);
	source(cpu, in, regs.rm);
	call(cpu, in, &regs);
	cpu->reg[in->reg] = regs.rcx;
	return CPU_NEXT;
}

static int class_af(struct cpu *cpu, const struct cpu_insn *in)
{
	struct cpu_avx_regs regs;

	cpu_check_avx(cpu);
	source(cpu, in, regs.rm);
	cpu_avx_get(cpu, in->reg, regs.reg);
	call(cpu, in, &regs);
	cpu_set_arith(cpu, regs.flags);
	return CPU_NEXT;
}

/* Whether the half-precision value that v rounds to (rc: MXCSR.RC) would be below the normal ones, exponents unbounded. */
static bool tiny_half(u32 v, unsigned rc)
{
	const u32 magnitude = v & 0x7fffffff, smallest = 113U << 23; /* 2^-14 */
	const u32 kept = magnitude & ~0x1fffU, rest = magnitude & 0x1fff;
	const bool odd = magnitude >> 13 & 1;
	bool up;

	if (!magnitude || magnitude >= smallest)
		return false;
	if (rc == 0)
		up = rest > 0x1000 || (rest == 0x1000 && odd);
	else
		up = rc != 3 && rest && rc == (v >> 31 ? 1 : 2);
	return kept + (up ? 0x2000 : 0) < smallest;
}

/*
 * The stub of VCVTPS2PH where underflow is unmasked: then it is reported for exact results as well, and FTZ, which
 * would tell (cpu_fp_unmasked()), is ignored by this instruction.  regs->rcx is the immediate, with VEX.L above.
 */
static u64 ps2ph_underflow(void *dst, const void *src, const void *extra, const void *more)
{
	struct cpu_avx_regs *regs = dst;
	const u64 form = regs->rcx;
	u32 mxcsr, v;
	bool tiny = false;

	cpu_call_avx(dst, src, extra, more);
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr) : : "memory");
	for (unsigned i = 0; i < (form >> 8 ? 8 : 4); i++) {
		memcpy(&v, regs->reg + 4 * i, 4);
		if (!(v & 0x7f800000) && (mxcsr & MXCSR_DAZ))
			continue;
		tiny |= tiny_half(v, form & 4 ? mxcsr >> 13 & 3 : form & 3);
	}
	if (tiny)
		mxcsr |= MXCSR_UE;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr) : "memory");
	return 0;
}

/* VCVTPS2PH: its destination is ModRM.rm. */
static int class_ps2ph(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned n = cpu_cookie_bytes(in);
	struct cpu_avx_regs regs;

	cpu_check_avx(cpu);
	cpu_avx_get(cpu, in->reg, regs.reg);
	if (in->mod != 3) {
		/* A page fault comes before a floating-point exception. */
		u8 there[16];

		cpu_read_linear(cpu, cpu_addr(cpu, in, n, true), there, n, in->seg);
	}
	regs.rcx = (u8)in->imm | (u64)in->vex_l << 8;
	if (cpu->fpu.mxcsr & MXCSR_UM)
		call(cpu, in, &regs);
	else
		cpu_fp(cpu, ps2ph_underflow, &regs, sizeof(regs), (const void *)cpu_cookie_stub(in), NULL, NULL);
	if (in->mod == 3)
		cpu_avx_set(cpu, in->rm, regs.rm);
	else
		cpu_write_linear(cpu, cpu_addr(cpu, in, n, true), regs.rm, n, in->seg);
	return CPU_NEXT;
}

/* VPSLLW and so on by an immediate, into vvvv; whole bytes in each half. */
static int class_shift(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned count = (unsigned)rt_min((u8)in->imm, 16);
	struct cpu_avx_regs regs;
	u8 shifted[32] = { 0 };

	cpu_check_avx(cpu);
	cpu_avx_get(cpu, in->rm, regs.vvvv);
	if (cpu_cookie_stub(in)) {
		memset(regs.rm, 0, sizeof(regs.rm));
		regs.rm[0] = (u8)in->imm;
		call(cpu, in, &regs);
		cpu_avx_set(cpu, in->vvvv, regs.reg);
		return CPU_NEXT;
	}
	for (unsigned half = 0; half < 16 + 16U * in->vex_l; half += 16) {
		if (in->reg & 4)
			memcpy(shifted + half + count, regs.vvvv + half, 16 - count);
		else
			memcpy(shifted + half, regs.vvvv + half + count, 16 - count);
	}
	cpu_avx_set(cpu, in->vvvv, shifted);
	return CPU_NEXT;
}

/* ---- look-up ---- */

static cpu_op *const handlers[AVX_CLASSES] = {
	[CLASS_A2] = class_a2,
	[CLASS_A2I] = class_a2,
	[CLASS_A3] = class_a3,
	[CLASS_A3I] = class_a3,
	[CLASS_A4] = class_a4,
	[CLASS_AI] = class_ai,
	[CLASS_AG] = class_ag,
	[CLASS_AF] = class_af,
	[CLASS_APS2PH] = class_ps2ph,
	[CLASS_ALOAD] = cpu_avx_load,
	[CLASS_ASTORE] = cpu_avx_store,
	[CLASS_AMOVS] = cpu_avx_movs,
	[CLASS_AMOVS_TO] = cpu_avx_movs_to,
	[CLASS_AMOVL] = cpu_avx_movlh,
	[CLASS_AMOVL_TO] = cpu_avx_movlh_to,
	[CLASS_AMOVH] = cpu_avx_movlh,
	[CLASS_AMOVH_TO] = cpu_avx_movlh_to,
	[CLASS_AMOVD] = cpu_avx_movd,
	[CLASS_AMOVD_TO] = cpu_avx_movd_to,
	[CLASS_AMOVQ] = cpu_avx_movq,
	[CLASS_AMOVQ_TO] = cpu_avx_movq_to,
	[CLASS_AZERO] = cpu_avx_zero,
	[CLASS_APINSR] = cpu_avx_pinsr,
	[CLASS_APEXTR] = cpu_avx_pextr,
	[CLASS_APEXTRW] = cpu_avx_pextrw,
	[CLASS_AMASKMOVDQU] = cpu_avx_maskmovdqu,
	[CLASS_AMXCSR] = cpu_avx_mxcsr,
	[CLASS_AEXTRACT] = cpu_avx_extract,
	[CLASS_ABROADCAST] = cpu_avx_broadcast,
	[CLASS_AMASKLOAD] = cpu_avx_maskload,
	[CLASS_AMASKSTORE] = cpu_avx_maskstore,
	[CLASS_AGATHER] = cpu_avx_gather,
	[CLASS_ASHIFT] = class_shift,
};

static bool uses_vvvv(const struct row *row, const struct cpu_insn *in)
{
	switch (row->class) {
	case CLASS_A3:
	case CLASS_A3I:
	case CLASS_A4:
	case CLASS_AI:
	case CLASS_AMOVL:
	case CLASS_AMOVH:
	case CLASS_APINSR:
	case CLASS_AMASKLOAD:
	case CLASS_AMASKSTORE:
	case CLASS_AGATHER:
	case CLASS_ASHIFT:
		return true;
	case CLASS_AMOVS:
	case CLASS_AMOVS_TO:
		return in->mod == 3;
	}
	return false;
}

static bool matches(const struct row *row, const struct cpu_insn *in)
{
	/* Outside 64-bit mode W does not widen general registers. */
	const bool w = row->class == CLASS_AI || row->class == CLASS_AG ? cpu_insn_w(in) : in->flags & CPU_IN_REXW;

	if (row->op != in->opcode || row->pp != in->pp || row->map != in->map)
		return false;
	if (row->w != VEX_WIG && row->w != w)
		return false;
	return row->l == VEX_LX || row->l == VEX_LIG || row->l == in->vex_l;
}

static const struct row *find(const struct cpu *cpu, const struct cpu_insn *in)
{
	for (const struct row *row = rows; row < rows + RT_ARRAY_SIZE(rows); row++) {
		const bool wide = in->vex_l && row->l != VEX_LIG;

		if (!matches(row, in))
			continue;
		if ((in->mod == 3 && (row->flags & F_MEM)) || (in->mod != 3 && (row->flags & F_REG)) ||
		    !cpu_sse_has(cpu, row->feature) || !cpu_sse_has(cpu, FEATURE_AVX) ||
		    (wide && (row->flags & F_INT) && !cpu_sse_has(cpu, FEATURE_AVX2)) ||
		    (row->class == CLASS_ABROADCAST && in->mod == 3 && !cpu_sse_has(cpu, FEATURE_AVX2)) ||
		    (in->vvvv && !uses_vvvv(row, in)))
			return NULL;
		return row;
	}
	return NULL;
}

/* Numbers of the instructions that shift by a register, for 71 to 73 /2, /4 and /6. */
static unsigned shift_stub(const struct cpu_insn *in)
{
	static const u16 numbers[3][4] = {
		{ 0, AVX_66_0F_D1_WIG, AVX_66_0F_E1_WIG, AVX_66_0F_F1_WIG },
		{ 0, AVX_66_0F_D2_WIG, AVX_66_0F_E2_WIG, AVX_66_0F_F2_WIG },
		{ 0, AVX_66_0F_D3_WIG, 0, AVX_66_0F_F3_WIG },
	};

	return in->reg & 1 ? 0 : numbers[in->opcode - 0x71][in->reg >> 1 & 3];
}

int cpu_avx(struct cpu *cpu, const struct cpu_insn *in)
{
	struct cpu_insn *record = (struct cpu_insn *)(uintptr_t)in;
	const struct row *row = find(cpu, in);
	unsigned number;
	u8 imm = (u8)in->imm, bytes;
	const u8 *stub;

	if (!row)
		cpu_raise(cpu, CPU_UD, 0);
	if (row->class == CLASS_ASTR)
		return cpu_sse_string(cpu, record);
	if ((row->flags & F_INSERTPS) && in->mod != 3)
		imm &= 0x3f;
	number = row->stub + (imm & (row->count - 1U)) + (row->l == VEX_LX && in->vex_l ? row->count : 0);
	stub = cpu_avx_stubs + 8 * number;
	if (row->class == CLASS_ASHIFT) {
		number = shift_stub(in);
		if (!number && (in->opcode != 0x73 || (in->reg & 3) != 3))
			cpu_raise(cpu, CPU_UD, 0);
		stub = number ? cpu_avx_stubs + 8 * (number + in->vex_l) : NULL;
	}
	bytes = in->vex_l ? row->high : row->low;
	record->cookie = (u64)(uintptr_t)stub | (u64)bytes << 48 | (u64)row->flags << 56;
	record->fn = handlers[row->class];
	return record->fn(cpu, in);
}
