/* SPDX-License-Identifier: MIT */
/*
 * cpu/avx.h - the table of cpu/avx.def: classes, stubs and their numbers
 */
#ifndef GMEM_CPU_AVX_H
#define GMEM_CPU_AVX_H

#include "cpu/sse.h"

/*
 * Classes with a stub, whose registers are 1 (ModRM.reg), 2 (ModRM.rm), 3 (VEX.vvvv) and 4 (bits 7:4 of the immediate):
 *	A2  reg = op(rm/mem)		A2I  likewise with an immediate
 *	A3  reg = op(reg, vvvv, rm/mem)	A3I  likewise with an immediate		A4  reg = op(vvvv, rm/mem, is4)
 *	AI  reg = op(vvvv, r/m)		AG   r = op(rm/mem)
 *	AF  RFLAGS = op(reg, rm/mem)	APS2PH  rm/mem = op(reg), immediate
 */
enum cpu_avx_class {
	CLASS_A2, CLASS_A2I, CLASS_A3, CLASS_A3I, CLASS_A4, CLASS_AI, CLASS_AG, CLASS_AF, CLASS_APS2PH,
	CLASS_ALOAD, CLASS_ASTORE, CLASS_AMOVS, CLASS_AMOVS_TO, CLASS_AMOVL, CLASS_AMOVL_TO, CLASS_AMOVH, CLASS_AMOVH_TO,
	CLASS_AMOVD, CLASS_AMOVD_TO, CLASS_AMOVQ, CLASS_AMOVQ_TO, CLASS_AZERO, CLASS_APINSR, CLASS_APEXTR, CLASS_APEXTRW,
	CLASS_AMASKMOVDQU, CLASS_AMXCSR, CLASS_AEXTRACT, CLASS_ABROADCAST, CLASS_AMASKLOAD, CLASS_AMASKSTORE, CLASS_AGATHER,
	CLASS_ASHIFT, CLASS_ASTR, AVX_CLASSES
};

enum { F_INT = 128 /* 256 bits are AVX2's */ };
enum { VEX_W0, VEX_W1, VEX_WIG };
enum { VEX_L0, VEX_L1, VEX_LX, VEX_LIG };

struct cpu_avx_regs {
	u8 reg[32], rm[32], vvvv[32], is4[32];
	u64 rcx, rdx, flags;
};
/* dst: struct cpu_avx_regs, in and out; src: the stub */
cpu_stub cpu_call_avx __attribute__((visibility("hidden")));
extern const u8 cpu_avx_stubs[] __attribute__((visibility("hidden")));

/* cpu/avx.c */
void cpu_avx_get(const struct cpu *cpu, unsigned r, u8 v[32]);
void cpu_avx_set(struct cpu *cpu, unsigned r, const u8 v[32]);
void cpu_avx_read(struct cpu *cpu, const struct cpu_insn *in, u8 v[32], unsigned n);
/* cpu/avx_move.c */
cpu_op cpu_avx_load, cpu_avx_store, cpu_avx_movs, cpu_avx_movs_to, cpu_avx_movlh, cpu_avx_movlh_to, cpu_avx_movd,
	cpu_avx_movd_to, cpu_avx_movq, cpu_avx_movq_to, cpu_avx_zero, cpu_avx_pinsr, cpu_avx_pextr, cpu_avx_pextrw,
	cpu_avx_maskmovdqu, cpu_avx_mxcsr, cpu_avx_extract, cpu_avx_broadcast, cpu_avx_maskload, cpu_avx_maskstore,
	cpu_avx_gather;
/* cpu/sse.c: PCMPxSTRx with VEX; makes the record its own */
int cpu_sse_string(struct cpu *cpu, struct cpu_insn *record);

/* A row's stubs follow one another: each value of the immediate, first with 128 bits. */
enum { CPU_AVX_SLOTS_L0 = 1, CPU_AVX_SLOTS_L1 = 1, CPU_AVX_SLOTS_LX = 2, CPU_AVX_SLOTS_LIG = 1 };
#define CPU_AVX_NAME(prefix, pp, map, op, w) prefix##_##pp##_##map##_##op##_##w
#define CPU_AVX_NUMBER_(pp, map, op, w, l, count)                                                                      \
	CPU_AVX_NAME(AVX, pp, map, op, w), CPU_AVX_NAME(AVXLAST, pp, map, op, w) =                                     \
		CPU_AVX_NAME(AVX, pp, map, op, w) + CPU_AVX_SLOTS_##l * (count) - 1,
enum cpu_avx_number {
#define VEX(class, pp, map, op, w, l, low, high, flags, feature) CPU_AVX_NUMBER_(pp, map, op, w, l, 1)
#define VEXI(class, pp, map, op, w, l, low, high, flags, feature, count) CPU_AVX_NUMBER_(pp, map, op, w, l, count)
#include "cpu/avx.def"
};

#endif
