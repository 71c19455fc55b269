/* SPDX-License-Identifier: MIT */
/*
 * cpu/sse.h - what SSE, AVX, MMX and x87 share: host stubs, operands, MXCSR
 *
 * An instruction that computes is executed by the same instruction of the host,
 * in a stub made at build time (cpu/sse_stub.c): no executable memory is needed.
 * Its operands are always registers 1 (ModRM.reg) and 2 (ModRM.rm).
 */
#ifndef GMEM_CPU_SSE_H
#define GMEM_CPU_SSE_H

#include "cpu/access.h"

/*
 * Classes of cpu/sse.def.  With a stub:
 *	X  XMM1 = op(XMM1, XMM2/mem)		XI  likewise with an immediate
 *	M  MM1 = op(MM1, MM2/mem)		MI  likewise with an immediate
 *	XM XMM1 = op(MM2/mem)			MX  MM1 = op(XMM2/mem)
 *	I  XMM1 = op(r/m)			G   r = op(XMM2/mem)		GM  r = op(MM2)
 *	F  RFLAGS = op(XMM1, XMM2/mem)		B   XMM1 = op(XMM1, XMM2/mem, XMM0)
 *	STR  PCMPxSTRx
 * In C: the names say it; _TO is the form whose destination is ModRM.rm.
 */
enum cpu_sse_class {
	CLASS_X, CLASS_XI, CLASS_M, CLASS_MI, CLASS_XM, CLASS_MX, CLASS_I, CLASS_G, CLASS_GM, CLASS_F, CLASS_B, CLASS_STR,
	CLASS_LOAD, CLASS_STORE, CLASS_MOVS, CLASS_MOVS_TO, CLASS_MOVL, CLASS_MOVL_TO, CLASS_MOVH, CLASS_MOVH_TO,
	CLASS_MOVD, CLASS_MOVD_TO, CLASS_MOVQ, CLASS_MOVQ_TO, CLASS_MOVD_MMX, CLASS_MOVD_MMX_TO, CLASS_LOAD_MMX,
	CLASS_STORE_MMX, CLASS_SHIFT, CLASS_SHIFT_MMX, CLASS_EMMS, CLASS_PINSR, CLASS_PINSR_MMX, CLASS_PEXTR,
	CLASS_PEXTRW, CLASS_PEXTRW_MMX, CLASS_MOVQ2DQ, CLASS_MOVDQ2Q, CLASS_MASKMOV, CLASS_MASKMOV_MMX,
	CLASSES
};

enum {
	F_FP = 1,        /* obeys and sets MXCSR */
	F_UNALIGNED = 2, /* 16 bytes of memory need no alignment */
	F_MEM = 4,       /* memory operand only */
	F_REG = 8,       /* register operand only */
	F_PURE_MEM = 16, /* with a memory operand the x87 state is not touched (AMD: never) */
	F_AMD = 64,      /* AMD's processors want no alignment, others do */
	F_INSERTPS = 32, /* the immediate's source select is for registers only */
};

enum cpu_sse_feature {
	FEATURE_SSE2, FEATURE_SSE3, FEATURE_SSSE3, FEATURE_SSE41, FEATURE_SSE42, FEATURE_AES, FEATURE_PCLMUL, FEATURE_SHA,
	FEATURE_AVX, FEATURE_AVX2, FEATURE_FMA, FEATURE_F16C, FEATURES
};
/* Whether the guest is offered it, and this host executes it. */
bool cpu_sse_has(const struct cpu *cpu, enum cpu_sse_feature feature);

/* ---- stubs ---- */

/* What a stub returns depends on its class; it uses as many of its arguments as that needs. */
typedef u64 cpu_stub(void *dst, const void *src, const void *extra, const void *more);

/* Stubs of 16 and (immediates) of 8 bytes. */
extern const u8 cpu_sse_stubs[] __attribute__((visibility("hidden")));
extern const u8 cpu_sse_imm_stubs[] __attribute__((visibility("hidden")));

/* extra: the stub of an immediate */
cpu_stub cpu_call_xi __attribute__((visibility("hidden")));
cpu_stub cpu_call_mi __attribute__((visibility("hidden")));
/* extra: XMM0; more: the stub */
cpu_stub cpu_call_blend __attribute__((visibility("hidden")));

struct cpu_string_regs {
	u8 xmm1[16], xmm2[16], xmm0[16];
	u64 rax, rdx, rcx, flags;
};
void cpu_call_string(struct cpu_string_regs *regs, const void *stub) __attribute__((visibility("hidden")));

/* Numbers of the stubs, in the order of the table. */
#define CPU_SSE_NAME(prefix, pp, map, op) prefix##_##pp##_##map##_##op
enum cpu_sse_stub_number {
#define STUB(class, pp, map, op, bytes, flags, feature)	 CPU_SSE_NAME(NR, pp, map, op),
#define STUBW(class, pp, map, op, bytes, flags, feature) CPU_SSE_NAME(NR, pp, map, op), CPU_SSE_NAME(NRW, pp, map, op),
#include "cpu/sse.def"
};
enum cpu_sse_imm_number {
#define IMM(class, pp, map, op, bytes, flags, feature, count)                                                          \
	CPU_SSE_NAME(NR, pp, map, op), CPU_SSE_NAME(LAST, pp, map, op) = CPU_SSE_NAME(NR, pp, map, op) + (count) - 1,
#include "cpu/sse.def"
};

/* As cpu_check_sse(), nearly always for nothing. */
static inline void cpu_sse_ready(struct cpu *cpu)
{
	if (unlikely((cpu->cr0 & 0xc) | (~cpu->cr4 & 0x200))) /* EM, TS; OSFXSR */
		cpu_check_sse(cpu);
}

/* ---- operands ---- */

static inline void cpu_copy16(void *dst, const void *src)
{
	__asm__ volatile("movups (%1), %%xmm0\n\tmovups %%xmm0, (%0)" : : "r"(dst), "r"(src) : "xmm0", "memory");
}

/* 16 bytes of guest memory: where they are, or a copy in tmp. */
static inline const void *cpu_mem16(struct cpu *cpu, const struct cpu_insn *in, void *tmp, bool aligned)
{
	const u64 la = cpu_addr(cpu, in, 16, false);
	const struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	if (aligned && unlikely(la & 15))
		cpu_raise(cpu, CPU_GP, 0);
	if (likely(e->read == cpu_tag(la, 16, cpu->tlb_key)))
		return (const void *)(la + e->addend);
	cpu_read_linear(cpu, la, tmp, 16, in->seg);
	return tmp;
}

/* n bytes of guest memory into tmp[16], zero-extended. */
static inline const void *cpu_mem(struct cpu *cpu, const struct cpu_insn *in, void *tmp, unsigned n, bool aligned)
{
	u64 v[2] = { 0, 0 };

	if (n == 16)
		return cpu_mem16(cpu, in, tmp, aligned);
	v[0] = cpu_load(cpu, cpu_addr(cpu, in, n, false), n, in->seg);
	memcpy(tmp, v, 16);
	return tmp;
}

static inline void cpu_store16(struct cpu *cpu, const struct cpu_insn *in, const void *src, bool aligned)
{
	const u64 la = cpu_addr(cpu, in, 16, true);
	const struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	if (aligned && unlikely(la & 15))
		cpu_raise(cpu, CPU_GP, 0);
	if (likely(e->write == cpu_tag(la, 16, cpu->tlb_key)))
		cpu_copy16((void *)(la + e->addend), src);
	else
		cpu_write_linear(cpu, la, src, 16, in->seg);
}

static inline u64 cpu_get64(const void *p)
{
	u64 v;

	memcpy(&v, p, 8);
	return v;
}

static inline void cpu_put64(void *p, u64 v)
{
	memcpy(p, &v, 8);
}

/* ---- MXCSR ---- */

enum { MXCSR_FLAGS = 0x3f, MXCSR_MASKS = 0x1f80, MXCSR_DEFAULT = 0x1f80, MXCSR_FTZ = 0x8000, MXCSR_VALID = 0xffff };
enum { MXCSR_UE = 0x10, MXCSR_DAZ = 0x40, MXCSR_UM = 0x800 };

u64 cpu_fp_unmasked(struct cpu *cpu, cpu_stub *stub, void *dst, unsigned n, const void *src, const void *extra,
		    const void *more);

/* Run a stub under the guest's MXCSR; dst is of n bytes.  Unmasked exceptions are raised, nothing but MXCSR changed. */
static inline u64 cpu_fp(struct cpu *cpu, cpu_stub *stub, void *dst, unsigned n, const void *src, const void *extra,
			 const void *more)
{
	u32 guest = cpu->fpu.mxcsr & MXCSR_VALID, host;
	u64 ret;

	if (unlikely((guest & MXCSR_MASKS) != MXCSR_MASKS))
		return cpu_fp_unmasked(cpu, stub, dst, n, src, extra, more);
	__asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(host) : "m"(guest) : "memory");
	ret = stub(dst, src, extra, more);
	__asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(guest) : "m"(host) : "memory");
	cpu->fpu.mxcsr = guest;
	return ret;
}

/* ---- MMX on the x87 registers (cpu/mmx.c) ---- */

/* MMn, wherever the stack's top is. */
static inline u8 *cpu_mm(struct cpu *cpu, unsigned n)
{
	return cpu->fpu.st[(n - (cpu->fpu.fsw >> 11)) & 7];
}
/* What every MMX instruction does to the x87 state: top of stack 0, all registers in use. */
void cpu_mmx_enter(struct cpu *cpu);
void cpu_mmx_set(struct cpu *cpu, unsigned n, u64 v);

cpu_op cpu_mmx_m, cpu_mmx_mi, cpu_mmx_xm, cpu_mmx_mx, cpu_mmx_gm, cpu_mmx_movd, cpu_mmx_movd_to, cpu_mmx_load, cpu_mmx_store,
	cpu_mmx_shift, cpu_mmx_emms, cpu_mmx_pinsr, cpu_mmx_pextrw, cpu_mmx_movq2dq, cpu_mmx_movdq2q, cpu_mmx_maskmov;
/* cpu/sse_move.c */
cpu_op cpu_sse_load, cpu_sse_store, cpu_sse_movs, cpu_sse_movs_to, cpu_sse_movl, cpu_sse_movl_to, cpu_sse_movh,
	cpu_sse_movh_to, cpu_sse_movd, cpu_sse_movd_to, cpu_sse_movq, cpu_sse_movq_to, cpu_sse_pinsr, cpu_sse_pextr,
	cpu_sse_pextrw, cpu_sse_maskmov;
int cpu_mask_store(struct cpu *cpu, const struct cpu_insn *in, const u8 *src, const u8 *mask, unsigned n);
/* cpu/avx.c: all of VEX that is not integer */
cpu_op cpu_avx;

/* What cpu_sse() found, in the record's cookie: the stub's address, bytes of memory and F_ flags. */
static inline cpu_stub *cpu_cookie_stub(const struct cpu_insn *in)
{
	return (cpu_stub *)(uintptr_t)(in->cookie & 0xffffffffffffULL);
}

static inline unsigned cpu_cookie_bytes(const struct cpu_insn *in)
{
	return in->cookie >> 48 & 0xff;
}

static inline unsigned cpu_cookie_flags(const struct cpu_insn *in)
{
	return (unsigned)(in->cookie >> 56);
}

static inline bool cpu_insn_w(const struct cpu_insn *in)
{
	return (in->flags & (CPU_IN_REXW | CPU_IN_64)) == (CPU_IN_REXW | CPU_IN_64);
}

#endif
