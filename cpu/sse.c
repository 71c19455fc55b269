// SPDX-License-Identifier: MIT
/*
 * cpu/sse.c - SSE to SSE4.2, AES, PCLMULQDQ, SHA: what computes
 *
 * The decoder leaves everything to cpu_sse(), which looks the instruction up at its
 * first execution and makes the record's fn the handler of its class (cpu/sse.h),
 * with the stub in the cookie.
 *
 * S-1  Checks in the processor's order: #UD for what does not exist, CR0.EM and
 *      CR4.OSFXSR; #NM; then memory, with #GP for misalignment before a page fault.
 * S-2  An unmasked floating-point exception leaves everything but MXCSR's flags as
 *      it was.  Stubs always run with exceptions masked: the host never sees one.
 */
#include "cpu/avx.h"
#include "cpu/block.h"

struct row {
	u8 class, bytes, flags, feature;
	u16 stub, stub_w; /* numbers; for immediates number and count */
};

enum row_number {
	ROW_NONE,
#define STUB(class, pp, map, op, bytes, flags, feature)	      CPU_SSE_NAME(ROW, pp, map, op),
#define STUBW(class, pp, map, op, bytes, flags, feature)      CPU_SSE_NAME(ROW, pp, map, op),
#define IMM(class, pp, map, op, bytes, flags, feature, count) CPU_SSE_NAME(ROW, pp, map, op),
#define CODE(class, pp, map, op, bytes, flags, feature)	      CPU_SSE_NAME(ROW, pp, map, op),
#include "cpu/sse.def"
};

static const struct row rows[] = {
#define ROW_(class, pp, map, op, bytes, flags, feature, a, b)                                                          \
	[CPU_SSE_NAME(ROW, pp, map, op)] = { CLASS_##class, bytes, flags, FEATURE_##feature, a, b },
#define STUB(class, pp, map, op, bytes, flags, feature)                                                                \
	ROW_(class, pp, map, op, bytes, flags, feature, CPU_SSE_NAME(NR, pp, map, op), CPU_SSE_NAME(NR, pp, map, op))
#define STUBW(class, pp, map, op, bytes, flags, feature)                                                               \
	ROW_(class, pp, map, op, bytes, flags, feature, CPU_SSE_NAME(NR, pp, map, op), CPU_SSE_NAME(NRW, pp, map, op))
#define IMM(class, pp, map, op, bytes, flags, feature, count)                                                          \
	ROW_(class, pp, map, op, bytes, flags, feature, CPU_SSE_NAME(NR, pp, map, op), count)
#define CODE(class, pp, map, op, bytes, flags, feature) ROW_(class, pp, map, op, bytes, flags, feature, 0, 0)
#include "cpu/sse.def"
#undef ROW_
};

enum { PP_NP = CPU_PP_NONE, PP_66 = CPU_PP_66, PP_F3 = CPU_PP_F3, PP_F2 = CPU_PP_F2, MAP_0F = 0, MAP_38, MAP_3A };
static const u16 row_of[3][4][256] = {
#define INDEX_(pp, map, op) [MAP_##map][PP_##pp][0x##op] = CPU_SSE_NAME(ROW, pp, map, op),
#define STUB(class, pp, map, op, bytes, flags, feature)	      INDEX_(pp, map, op)
#define STUBW(class, pp, map, op, bytes, flags, feature)      INDEX_(pp, map, op)
#define IMM(class, pp, map, op, bytes, flags, feature, count) INDEX_(pp, map, op)
#define CODE(class, pp, map, op, bytes, flags, feature)	      INDEX_(pp, map, op)
#include "cpu/sse.def"
#undef INDEX_
};

/* ---- floating point with unmasked exceptions ---- */

enum { CR4_OSXMMEXCPT = 1 << 10 };
enum { FP_IE = 1, FP_DE = 2, FP_ZE = 4, FP_OE = 8, FP_UE = 16, FP_PE = 32 };

static u32 under_mxcsr(u32 mxcsr, cpu_stub *stub, void *dst, const void *src, const void *extra, const void *more, u64 *ret)
{
	u32 host;

	__asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(host) : "m"(mxcsr) : "memory");
	*ret = stub(dst, src, extra, more);
	__asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(mxcsr) : "m"(host) : "memory");
	return mxcsr & MXCSR_FLAGS;
}

/*
 * Flags come from a run with everything masked.  Underflow needs another one: masked, it is only reported for inexact
 * results, unmasked for all tiny ones, and flushing to zero shows these.  What this cannot tell is whether such a result
 * would have been exact with a larger exponent, nor where DPPS and DPPD stopped: then PE (with these, any flag) may be
 * set in MXCSR where a processor leaves it clear.
 */
u64 cpu_fp_unmasked(struct cpu *cpu, cpu_stub *stub, void *dst, unsigned n, const void *src, const void *extra,
		    const void *more)
{
	const u32 guest = cpu->fpu.mxcsr & MXCSR_VALID, quiet = (guest | MXCSR_MASKS) & ~(u32)MXCSR_FLAGS;
	const u32 unmasked = ~(guest >> 7) & MXCSR_FLAGS;
	u8 scratch[192];
	u32 flags;
	u64 ret;

	memcpy(scratch, dst, n);
	flags = under_mxcsr(quiet & ~(u32)(unmasked & FP_UE ? MXCSR_FTZ : 0), stub, scratch, src, extra, more, &ret);
	if (unmasked & FP_UE) {
		u8 again[192];
		u64 ignored;

		memcpy(again, dst, n);
		flags |= under_mxcsr(quiet | MXCSR_FTZ, stub, again, src, extra, more, &ignored) & FP_UE;
	}
	/* Those found before computing keep the others from being found. */
	if (flags & unmasked & (FP_IE | FP_DE | FP_ZE))
		flags &= FP_IE | FP_DE | FP_ZE;
	cpu->fpu.mxcsr = guest | flags;
	if (flags & unmasked)
		cpu_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? CPU_XM : CPU_UD, 0);
	memcpy(dst, scratch, n);
	return ret;
}

/* ---- classes ---- */

static inline const void *source(struct cpu *cpu, const struct cpu_insn *in, void *tmp)
{
	if (in->mod == 3)
		return cpu->fpu.xmm[in->rm];
	return cpu_mem(cpu, in, tmp, cpu_cookie_bytes(in), !(cpu_cookie_flags(in) & F_UNALIGNED));
}

/* A copy that nobody changes meanwhile, for what reads it more than once or under the guest's MXCSR. */
static inline const void *private_source(struct cpu *cpu, const struct cpu_insn *in, void *tmp)
{
	const void *src = source(cpu, in, tmp);

	if (in->mod != 3 && src != tmp) {
		cpu_copy16(tmp, src);
		src = tmp;
	}
	return src;
}

static int class_x(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 tmp[16];
	const void *src;

	cpu_sse_ready(cpu);
	src = source(cpu, in, tmp);
	cpu_cookie_stub(in)(cpu->fpu.xmm[in->reg], src, NULL, NULL);
	return CPU_NEXT;
}

static int class_x_register(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	cpu_cookie_stub(in)(cpu->fpu.xmm[in->reg], cpu->fpu.xmm[in->rm], NULL, NULL);
	return cpu_next(cpu, in);
}

/* 16 bytes, aligned: the operand is nearly always where the TLB says. */
static int class_x_memory(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 offset = cpu_offset(cpu, in), la = offset + cpu->base64[in->seg];
	const struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	cpu_sse_ready(cpu);
	if (unlikely((in->flags & CPU_IN_SLOW) || (la & 15) || e->read != cpu_tag(la, 16, cpu->tlb_key)))
		return class_x(cpu, in);
	cpu_cookie_stub(in)(cpu->fpu.xmm[in->reg], (const void *)(la + e->addend), NULL, NULL);
	return cpu_next(cpu, in);
}

static int class_x_fp(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 tmp[16];
	const void *src;

	cpu_sse_ready(cpu);
	src = private_source(cpu, in, tmp);
	cpu_fp(cpu, cpu_cookie_stub(in), cpu->fpu.xmm[in->reg], 16, src, NULL, NULL);
	return CPU_NEXT;
}

static int class_xi(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 tmp[16];
	const void *src, *stub = (const void *)cpu_cookie_stub(in);

	cpu_sse_ready(cpu);
	src = private_source(cpu, in, tmp);
	if (cpu_cookie_flags(in) & F_FP)
		cpu_fp(cpu, cpu_call_xi, cpu->fpu.xmm[in->reg], 16, src, stub, NULL);
	else
		cpu_call_xi(cpu->fpu.xmm[in->reg], src, stub, NULL);
	return CPU_NEXT;
}

static int class_i(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = cpu_insn_w(in) ? 8 : 4;
	u64 v;

	cpu_sse_ready(cpu);
	v = cpu_get_operand(cpu, in, size);
	cpu_fp(cpu, cpu_cookie_stub(in), cpu->fpu.xmm[in->reg], 16, (const void *)(uintptr_t)v, NULL, NULL);
	return CPU_NEXT;
}

static int class_g(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 tmp[16];
	const void *src;

	cpu_sse_ready(cpu);
	src = private_source(cpu, in, tmp);
	if (cpu_cookie_flags(in) & F_FP)
		cpu->reg[in->reg] = cpu_fp(cpu, cpu_cookie_stub(in), tmp, 0, src, NULL, NULL);
	else
		cpu->reg[in->reg] = cpu_cookie_stub(in)(NULL, src, NULL, NULL);
	return CPU_NEXT;
}

static int class_f(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 tmp[16];
	const void *src;
	u64 flags;

	cpu_sse_ready(cpu);
	src = private_source(cpu, in, tmp);
	if (cpu_cookie_flags(in) & F_FP)
		flags = cpu_fp(cpu, cpu_cookie_stub(in), cpu->fpu.xmm[in->reg], 16, src, NULL, NULL);
	else
		flags = cpu_cookie_stub(in)(cpu->fpu.xmm[in->reg], src, NULL, NULL);
	cpu_set_arith(cpu, flags);
	return CPU_NEXT;
}

static int class_b(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 tmp[16];
	const void *src;

	cpu_sse_ready(cpu);
	src = source(cpu, in, tmp);
	cpu_call_blend(cpu->fpu.xmm[in->reg], src, cpu->fpu.xmm[0], (const void *)cpu_cookie_stub(in));
	return CPU_NEXT;
}

/* A 64-bit length as the 32-bit one that means the same: saturated at 16. */
static u64 string_length(u64 v)
{
	const s64 n = (s64)v;

	return n > 16 || n < -16 ? 16 : (u32)n;
}

static int class_str(struct cpu *cpu, const struct cpu_insn *in)
{
	struct cpu_string_regs r;
	u8 tmp[16];
	const void *src;

	if (in->flags & CPU_IN_VEX)
		cpu_check_avx(cpu);
	else
		cpu_sse_ready(cpu);
	src = source(cpu, in, tmp);
	cpu_copy16(r.xmm2, src);
	memcpy(r.xmm1, cpu->fpu.xmm[in->reg], 16);
	memcpy(r.xmm0, cpu->fpu.xmm[0], 16);
	r.rax = cpu_insn_w(in) ? string_length(cpu->reg[CPU_RAX]) : cpu->reg[CPU_RAX];
	r.rdx = cpu_insn_w(in) ? string_length(cpu->reg[CPU_RDX]) : cpu->reg[CPU_RDX];
	r.rcx = 0;
	cpu_call_string(&r, (const void *)cpu_cookie_stub(in));
	if (in->opcode & 1)
		cpu->reg[CPU_RCX] = (u32)r.rcx;
	else
		memcpy(cpu->fpu.xmm[0], r.xmm0, 16);
	if ((in->flags & CPU_IN_VEX) && !(in->opcode & 1))
		memset(cpu->fpu.ymmh[0], 0, 16);
	cpu_set_arith(cpu, r.flags);
	return CPU_NEXT;
}

/* 71 to 73: by the instruction that takes the count from a register, which differs for whole bytes only. */
static int class_shift(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 *dst = cpu->fpu.xmm[in->rm];
	u64 count[2] = { (u8)in->imm, 0 };

	cpu_sse_ready(cpu);
	if (in->cookie) {
		cpu_cookie_stub(in)(dst, count, NULL, NULL);
		return CPU_NEXT;
	}
	count[0] = rt_min(count[0], 16);
	if ((in->reg & 7) == 7) {
		memmove(dst + count[0], dst, 16 - count[0]);
		memset(dst, 0, count[0]);
	} else {
		memmove(dst, dst + count[0], 16 - count[0]);
		memset(dst + 16 - count[0], 0, count[0]);
	}
	return CPU_NEXT;
}

/* ---- look-up ---- */

static cpu_op *const handlers[CLASSES] = {
	[CLASS_X] = class_x,
	[CLASS_XI] = class_xi,
	[CLASS_M] = cpu_mmx_m,
	[CLASS_MI] = cpu_mmx_mi,
	[CLASS_XM] = cpu_mmx_xm,
	[CLASS_MX] = cpu_mmx_mx,
	[CLASS_I] = class_i,
	[CLASS_G] = class_g,
	[CLASS_GM] = cpu_mmx_gm,
	[CLASS_F] = class_f,
	[CLASS_B] = class_b,
	[CLASS_STR] = class_str,
	[CLASS_LOAD] = cpu_sse_load,
	[CLASS_STORE] = cpu_sse_store,
	[CLASS_MOVS] = cpu_sse_movs,
	[CLASS_MOVS_TO] = cpu_sse_movs_to,
	[CLASS_MOVL] = cpu_sse_movl,
	[CLASS_MOVL_TO] = cpu_sse_movl_to,
	[CLASS_MOVH] = cpu_sse_movh,
	[CLASS_MOVH_TO] = cpu_sse_movh_to,
	[CLASS_MOVD] = cpu_sse_movd,
	[CLASS_MOVD_TO] = cpu_sse_movd_to,
	[CLASS_MOVQ] = cpu_sse_movq,
	[CLASS_MOVQ_TO] = cpu_sse_movq_to,
	[CLASS_MOVD_MMX] = cpu_mmx_movd,
	[CLASS_MOVD_MMX_TO] = cpu_mmx_movd_to,
	[CLASS_LOAD_MMX] = cpu_mmx_load,
	[CLASS_STORE_MMX] = cpu_mmx_store,
	[CLASS_SHIFT] = class_shift,
	[CLASS_SHIFT_MMX] = cpu_mmx_shift,
	[CLASS_EMMS] = cpu_mmx_emms,
	[CLASS_PINSR] = cpu_sse_pinsr,
	[CLASS_PINSR_MMX] = cpu_mmx_pinsr,
	[CLASS_PEXTR] = cpu_sse_pextr,
	[CLASS_PEXTRW] = cpu_sse_pextrw,
	[CLASS_PEXTRW_MMX] = cpu_mmx_pextrw,
	[CLASS_MOVQ2DQ] = cpu_mmx_movq2dq,
	[CLASS_MOVDQ2Q] = cpu_mmx_movdq2q,
	[CLASS_MASKMOV] = cpu_sse_maskmov,
	[CLASS_MASKMOV_MMX] = cpu_mmx_maskmov,
};

enum { HOST_KNOWN = 1U << 31 };

static void host_cpuid(u32 leaf, u32 subleaf, u32 r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(subleaf));
}

/* A bit per feature; the same whoever computes it. */
static u32 host_features(void)
{
	static u32 known;
	u32 f = __atomic_load_n(&known, __ATOMIC_RELAXED), one[4], seven[4] = { 0 };
	bool avx = false;

	if (f)
		return f;
	host_cpuid(0, 0, one);
	if (one[0] >= 7)
		host_cpuid(7, 0, seven);
	host_cpuid(1, 0, one);
	if (one[2] & 1U << 27) {
		u32 low, high;

		__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
		avx = (low & 6) == 6 && (one[2] & 1U << 28);
	}
	f = HOST_KNOWN | 1U << FEATURE_SSE2;
	f |= (one[2] & 1) << FEATURE_SSE3;
	f |= (one[2] >> 9 & 1) << FEATURE_SSSE3;
	f |= (one[2] >> 19 & 1) << FEATURE_SSE41;
	f |= (one[2] >> 20 & 1) << FEATURE_SSE42;
	f |= (one[2] >> 25 & 1) << FEATURE_AES;
	f |= (one[2] >> 1 & 1) << FEATURE_PCLMUL;
	f |= (seven[1] >> 29 & 1) << FEATURE_SHA;
	f |= (u32)avx << FEATURE_AVX;
	f |= (avx && (seven[1] & 1U << 5) ? 1U : 0) << FEATURE_AVX2;
	f |= (avx && (one[2] & 1U << 12) ? 1U : 0) << FEATURE_FMA;
	f |= (avx && (one[2] & 1U << 29) ? 1U : 0) << FEATURE_F16C;
	__atomic_store_n(&known, f, __ATOMIC_RELAXED);
	return f;
}

static const u32 feature_bits[FEATURES] = {
	[FEATURE_AES] = CPU_HAS_AES,   [FEATURE_PCLMUL] = CPU_HAS_PCLMUL, [FEATURE_SHA] = CPU_HAS_SHA,
	[FEATURE_AVX] = CPU_HAS_AVX,   [FEATURE_AVX2] = CPU_HAS_AVX2,	  [FEATURE_FMA] = CPU_HAS_FMA,
	[FEATURE_F16C] = CPU_HAS_F16C,
};

u32 cpu_host_simd(void)
{
	u32 ret = 0;

	for (unsigned i = 0; i < FEATURES; i++)
		ret |= host_features() & 1U << i ? feature_bits[i] : 0;
	return ret;
}

bool cpu_sse_has(const struct cpu *cpu, enum cpu_sse_feature feature)
{
	return (cpu->features & feature_bits[feature]) == feature_bits[feature] && (host_features() & 1U << feature);
}

static const u8 *stub_address(const struct row *row, const struct cpu_insn *in)
{
	if (row->class == CLASS_SHIFT || row->class == CLASS_SHIFT_MMX) {
		/* rows: 71 words, 72 doublewords, 73 quadwords; sub-opcode 2 right, 4 arithmetic, 6 left */
		static const u16 numbers[2][3][4] = {
			{ { 0, NR_66_0F_D1, NR_66_0F_E1, NR_66_0F_F1 },
			  { 0, NR_66_0F_D2, NR_66_0F_E2, NR_66_0F_F2 },
			  { 0, NR_66_0F_D3, 0, NR_66_0F_F3 } },
			{ { 0, NR_NP_0F_D1, NR_NP_0F_E1, NR_NP_0F_F1 },
			  { 0, NR_NP_0F_D2, NR_NP_0F_E2, NR_NP_0F_F2 },
			  { 0, NR_NP_0F_D3, 0, NR_NP_0F_F3 } },
		};
		const unsigned sub = in->reg & 7;
		const u16 number = sub & 1 ? 0 : numbers[row->class == CLASS_SHIFT_MMX][in->opcode - 0x71][sub >> 1];

		return number ? cpu_sse_stubs + 16 * number : NULL;
	}
	switch (row->class) {
	case CLASS_XI:
	case CLASS_MI:
	case CLASS_STR: {
		u8 imm = (u8)in->imm;

		if ((row->flags & F_INSERTPS) && in->mod != 3)
			imm &= 0x3f;
		return cpu_sse_imm_stubs + 8 * (row->stub + (imm & (row->stub_w - 1)));
	}
	default:
		return cpu_sse_stubs + 16 * (cpu_insn_w(in) ? row->stub_w : row->stub);
	}
}

int cpu_sse_string(struct cpu *cpu, struct cpu_insn *record)
{
	const struct row *row = &rows[row_of[record->map - 1][record->pp][record->opcode]];

	record->cookie = (u64)(uintptr_t)stub_address(row, record) | (u64)row->bytes << 48 | (u64)row->flags << 56;
	record->fn = class_str;
	return class_str(cpu, record);
}

static cpu_op *handler_x(const struct row *row, const struct cpu_insn *in)
{
	if (row->flags & F_FP)
		return class_x_fp;
	if (in->mod == 3)
		return class_x_register;
	return row->bytes == 16 && !(row->flags & (F_UNALIGNED | F_AMD)) ? class_x_memory : class_x;
}

int cpu_sse(struct cpu *cpu, const struct cpu_insn *in)
{
	struct cpu_insn *record = (struct cpu_insn *)(uintptr_t)in;
	const struct row *row;
	const u8 *stub;
	u8 flags;

	if (in->flags & CPU_IN_VEX)
		return cpu_avx(cpu, in);
	row = &rows[row_of[in->map - 1][in->pp][in->opcode]];
	if (row == rows || (in->flags & CPU_IN_LOCK) || (in->mod == 3 && (row->flags & F_MEM)) ||
	    (in->mod != 3 && (row->flags & F_REG)) || !cpu_sse_has(cpu, row->feature))
		cpu_raise(cpu, CPU_UD, 0);
	stub = stub_address(row, in);
	if (!stub && (row->class == CLASS_SHIFT_MMX || in->opcode != 0x73 || (in->reg & 3) != 3))
		cpu_raise(cpu, CPU_UD, 0);
	flags = row->flags;
	if ((flags & F_AMD) && (cpu->features & CPU_HAS_AMD))
		flags |= F_UNALIGNED;
	record->cookie = stub ? (u64)(uintptr_t)stub | (u64)row->bytes << 48 | (u64)flags << 56 : 0;
	record->fn = row->class == CLASS_X ? handler_x(row, in) : handlers[row->class];
	return record->fn(cpu, in);
}
