/* SPDX-License-Identifier: MIT */
/*
 * cpu/ops.h - handlers that the decoder names, and those it picks for a form
 */
#ifndef GMEM_CPU_OPS_H
#define GMEM_CPU_OPS_H

#include "cpu/internal.h"

#define OP(map, first, last, attributes, handler) cpu_op handler;
#include "cpu/opcode.def"
#undef OP

/* Beyond the table */
cpu_op op_block_end, op_too_long, op_push_rm, op_muldiv, op_rdtscp;
cpu_op op_movbe, op_crc32, op_adx, op_invpcid, op_andn, op_bls, op_bzhi, op_bextr, op_pdep, op_mulx, op_shiftx, op_rorx;

/* A quick handler for this very form, or NULL; may change the record to suit it: cpu/quick.c, cpu/alu.c. */
cpu_op *cpu_quick(struct cpu_insn *in);
enum {
	CPU_ALU_ADD,
	CPU_ALU_OR,
	CPU_ALU_ADC,
	CPU_ALU_SBB,
	CPU_ALU_AND,
	CPU_ALU_SUB,
	CPU_ALU_XOR,
	CPU_ALU_CMP,
	CPU_ALU_TEST
};
enum { CPU_FORM_RR, CPU_FORM_RI, CPU_FORM_RM, CPU_FORM_MR, CPU_FORM_MI };
cpu_op *cpu_alu_op(unsigned op, unsigned size, unsigned form);

/* Condition code cc (the low four bits of Jcc) of the flags. */
static inline bool cpu_cond(u16 f, unsigned cc)
{
	bool r;

	switch (cc >> 1) {
	case 0:
		r = f & 1;
		break;
	case 1:
		r = f & CPU_F_CF << 8;
		break;
	case 2:
		r = f & CPU_F_ZF << 8;
		break;
	case 3:
		r = f & (CPU_F_CF | CPU_F_ZF) << 8;
		break;
	case 4:
		r = f & CPU_F_SF << 8;
		break;
	case 5:
		r = f & CPU_F_PF << 8;
		break;
	case 6:
		r = (f >> 15 ^ f) & 1;
		break;
	default:
		r = ((f >> 15 ^ f) & 1) || (f & CPU_F_ZF << 8);
	}
	return r ^ (cc & 1);
}

#endif
