// SPDX-License-Identifier: MIT
/*
 * cpu/alu.c - ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT, in all forms
 *
 * cpu_alu_op() has one function for each operation, size and form; the functions
 * that the opcode table names (any of them may be met when the decoder picks none)
 * look for theirs.
 */
#include "cpu/alu.h"
#include "cpu/block.h"

CPU_LOCKED2(add, "add")
CPU_LOCKED2(or, "or")
CPU_LOCKED2(adc, "adc")
CPU_LOCKED2(sbb, "sbb")
CPU_LOCKED2(and, "and")
CPU_LOCKED2(sub, "sub")
CPU_LOCKED2(xor, "xor")
CPU_LOCKED1(inc, "inc")
CPU_LOCKED1(dec, "dec")
CPU_LOCKED1(neg, "neg")

static u16 locked(unsigned op, void *p, u64 b, unsigned size, u16 f)
{
	switch (op) {
	case CPU_ALU_ADD:
		return cpu_locked_add(p, b, size, f);
	case CPU_ALU_OR:
		return cpu_locked_or(p, b, size, f);
	case CPU_ALU_ADC:
		return cpu_locked_adc(p, b, size, f);
	case CPU_ALU_SBB:
		return cpu_locked_sbb(p, b, size, f);
	case CPU_ALU_AND:
		return cpu_locked_and(p, b, size, f);
	case CPU_ALU_SUB:
		return cpu_locked_sub(p, b, size, f);
	default:
		return cpu_locked_xor(p, b, size, f);
	}
}

static inline bool writes(unsigned op)
{
	return op != CPU_ALU_CMP && op != CPU_ALU_TEST;
}

static inline int form_rr(struct cpu *cpu, const struct cpu_insn *in, unsigned op, unsigned size)
{
	u16 f = cpu->aflags;
	u64 r = cpu_alu(op, size == 1 ? *cpu_byte(cpu, in->rm8) : cpu->reg[in->rm],
			size == 1 ? *cpu_byte(cpu, in->reg8) : cpu->reg[in->reg], size, &f);

	cpu->aflags = f;
	if (writes(op))
		cpu_set_rm(cpu, in, size, r);
	return cpu_next_flags(cpu, in, f);
}

static inline int form_ri(struct cpu *cpu, const struct cpu_insn *in, unsigned op, unsigned size)
{
	u16 f = cpu->aflags;
	u64 r = cpu_alu(op, size == 1 ? *cpu_byte(cpu, in->rm8) : cpu->reg[in->rm], (u64)in->imm, size, &f);

	cpu->aflags = f;
	if (writes(op))
		cpu_set_rm(cpu, in, size, r);
	return cpu_next_flags(cpu, in, f);
}

static inline int form_rm(struct cpu *cpu, const struct cpu_insn *in, unsigned op, unsigned size)
{
	u64 m = cpu_load(cpu, cpu_addr(cpu, in, size, false), size, in->seg);
	u16 f = cpu->aflags;
	u64 r = cpu_alu(op, cpu_get_reg(cpu, in, size), m, size, &f);

	cpu->aflags = f;
	if (writes(op))
		cpu_set_reg(cpu, in, size, r);
	return cpu_next_flags(cpu, in, f);
}

static inline int memory(struct cpu *cpu, const struct cpu_insn *in, unsigned op, unsigned size, u64 b)
{
	const u64 la = cpu_addr(cpu, in, size, writes(op));
	u16 f = cpu->aflags;
	void *p;
	u64 r;

	if (!writes(op)) {
		cpu_alu(op, cpu_load(cpu, la, size, in->seg), b, size, &f);
		cpu->aflags = f;
		return cpu_next_flags(cpu, in, f);
	}
	p = cpu_modify(cpu, la, size, in->seg);
	if (unlikely(!p)) {
		r = cpu_alu(op, cpu_load(cpu, la, size, in->seg), b, size, &f);
		cpu_store(cpu, la, size, r, in->seg);
	} else if (in->flags & CPU_IN_LOCK) {
		f = locked(op, p, b, size, f);
	} else {
		r = cpu_alu(op, host_load(p, size), b, size, &f);
		host_store(p, size, r);
	}
	cpu->aflags = f;
	return cpu_next_stored(cpu, in);
}

static inline int form_mr(struct cpu *cpu, const struct cpu_insn *in, unsigned op, unsigned size)
{
	return memory(cpu, in, op, size, cpu_get_reg(cpu, in, size));
}

static inline int form_mi(struct cpu *cpu, const struct cpu_insn *in, unsigned op, unsigned size)
{
	return memory(cpu, in, op, size, (u64)in->imm);
}

#define ALU_FORM(name, op, form, size)                                                                                 \
	static int alu_##name##_##form##size(struct cpu *cpu, const struct cpu_insn *in)                               \
	{                                                                                                              \
		return form_##form(cpu, in, op, size);                                                                 \
	}
#define ALU_SIZE(name, op, size)                                                                                       \
	ALU_FORM(name, op, rr, size)                                                                                   \
	ALU_FORM(name, op, ri, size)                                                                                   \
	ALU_FORM(name, op, rm, size) ALU_FORM(name, op, mr, size) ALU_FORM(name, op, mi, size)
#define ALU_OP(name, op) ALU_SIZE(name, op, 1) ALU_SIZE(name, op, 2) ALU_SIZE(name, op, 4) ALU_SIZE(name, op, 8)
ALU_OP(add, CPU_ALU_ADD)
ALU_OP(or, CPU_ALU_OR)
ALU_OP(adc, CPU_ALU_ADC)
ALU_OP(sbb, CPU_ALU_SBB)
ALU_OP(and, CPU_ALU_AND)
ALU_OP(sub, CPU_ALU_SUB)
ALU_OP(xor, CPU_ALU_XOR)
ALU_OP(cmp, CPU_ALU_CMP)
ALU_OP(test, CPU_ALU_TEST)

#define ROW(name, size)                                                                                                \
	{                                                                                                              \
		alu_##name##_rr##size, alu_##name##_ri##size, alu_##name##_rm##size, alu_##name##_mr##size,            \
			alu_##name##_mi##size                                                                          \
	}
#define ROWS(name)                                                                                                     \
	{                                                                                                              \
		ROW(name, 1), ROW(name, 2), ROW(name, 4), ROW(name, 8)                                                 \
	}
static cpu_op *const alu_ops[9][4][5] = {
	ROWS(add), ROWS(or), ROWS(adc), ROWS(sbb), ROWS(and), ROWS(sub), ROWS(xor), ROWS(cmp), ROWS(test),
};

cpu_op *cpu_alu_op(unsigned op, unsigned size, unsigned form)
{
	return alu_ops[op][__builtin_ctz(size)][form];
}

/* ---- what the opcode table names ---- */

int op_alu_rm_r(struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_alu_op(in->opcode >> 3, in->size, in->mod == 3 ? CPU_FORM_RR : CPU_FORM_MR)(cpu, in);
}

int op_alu_r_rm(struct cpu *cpu, const struct cpu_insn *in)
{
	u16 f = cpu->aflags;
	u64 r;

	if (in->mod != 3)
		return cpu_alu_op(in->opcode >> 3, in->size, CPU_FORM_RM)(cpu, in);
	r = cpu_alu(in->opcode >> 3, cpu_get_reg(cpu, in, in->size), cpu_get_rm(cpu, in, in->size), in->size, &f);
	cpu->aflags = f;
	if (writes(in->opcode >> 3))
		cpu_set_reg(cpu, in, in->size, r);
	return CPU_NEXT;
}

int op_alu_rm_i(struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_alu_op(in->reg & 7, in->size, in->mod == 3 ? CPU_FORM_RI : CPU_FORM_MI)(cpu, in);
}

static int accumulator(struct cpu *cpu, const struct cpu_insn *in, unsigned op)
{
	u16 f = cpu->aflags;
	u64 r = cpu_alu(op, cpu->reg[CPU_RAX], (u64)in->imm, in->size, &f);

	cpu->aflags = f;
	if (writes(op))
		cpu_set(cpu, CPU_RAX, in->size, r);
	return CPU_NEXT;
}

int op_alu_a_i(struct cpu *cpu, const struct cpu_insn *in)
{
	return accumulator(cpu, in, in->opcode >> 3);
}

int op_test_a_i(struct cpu *cpu, const struct cpu_insn *in)
{
	return accumulator(cpu, in, CPU_ALU_TEST);
}

int op_test_rm_r(struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_alu_op(CPU_ALU_TEST, in->size, in->mod == 3 ? CPU_FORM_RR : CPU_FORM_MR)(cpu, in);
}

/* ---- one operand ---- */

enum { INC, DEC, NOT, NEG };

static u64 unary(unsigned op, u64 a, unsigned size, u16 *f)
{
	switch (op) {
	case INC:
		return cpu_inc(a, size, f);
	case DEC:
		return cpu_dec(a, size, f);
	case NEG:
		return cpu_neg(a, size, f);
	default:
		return ~a;
	}
}

static int unary_rm(struct cpu *cpu, const struct cpu_insn *in, unsigned op)
{
	const unsigned size = in->size;
	u16 f = cpu->aflags;
	void *p;
	u64 la, r;

	if (in->mod == 3) {
		r = unary(op, cpu_get_rm(cpu, in, size), size, &f);
		cpu_set_rm(cpu, in, size, r);
		cpu->aflags = f;
		return CPU_NEXT;
	}
	la = cpu_addr(cpu, in, size, true);
	p = cpu_modify(cpu, la, size, in->seg);
	if (!p) {
		r = unary(op, cpu_load(cpu, la, size, in->seg), size, &f);
		cpu_store(cpu, la, size, r, in->seg);
	} else if (!(in->flags & CPU_IN_LOCK)) {
		r = unary(op, host_load(p, size), size, &f);
		host_store(p, size, r);
	} else {
		switch (op) {
		case INC:
			f = cpu_locked_inc(p, size, f);
			break;
		case DEC:
			f = cpu_locked_dec(p, size, f);
			break;
		case NEG:
			f = cpu_locked_neg(p, size, f);
			break;
		default:
			/* NOT leaves the flags alone, which XOR does not. */
			cpu_locked_xor(p, ~0ULL, size, f);
		}
	}
	cpu->aflags = f;
	return cpu_end(cpu, in);
}

int op_incdec_r(struct cpu *cpu, const struct cpu_insn *in)
{
	return unary_rm(cpu, in, in->opcode & 8 ? DEC : INC);
}

int op_group4(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned sub = in->reg & 7;

	if (sub > 1)
		cpu_raise(cpu, CPU_UD, 0);
	return unary_rm(cpu, in, sub ? DEC : INC);
}

int op_group5(struct cpu *cpu, const struct cpu_insn *in)
{
	switch (in->reg & 7) {
	case 0:
		return unary_rm(cpu, in, INC);
	case 1:
		return unary_rm(cpu, in, DEC);
	case 2:
		return op_call(cpu, in);
	case 3:
		return op_callf_i(cpu, in);
	case 4:
		return op_jmp(cpu, in);
	case 5:
		return op_jmpf_i(cpu, in);
	case 6:
		return op_push_rm(cpu, in);
	}
	cpu_raise(cpu, CPU_UD, 0);
}

int op_group3(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned sub = in->reg & 7;

	switch (sub) {
	case 0:
	case 1:
		return cpu_alu_op(CPU_ALU_TEST, in->size, in->mod == 3 ? CPU_FORM_RI : CPU_FORM_MI)(cpu, in);
	case 2:
		return unary_rm(cpu, in, NOT);
	case 3:
		return unary_rm(cpu, in, NEG);
	}
	return op_muldiv(cpu, in);
}

/* ---- flags ---- */

int op_cmc(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->aflags ^= CPU_F_CF << 8;
	return CPU_NEXT;
}

int op_setc(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->aflags = (u16)((cpu->aflags & ~(CPU_F_CF << 8)) | (in->opcode & 1UL) << 8);
	return CPU_NEXT;
}

int op_std(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->flags = in->opcode & 1 ? cpu->flags | CPU_F_DF : cpu->flags & ~CPU_F_DF;
	return CPU_NEXT;
}

int op_sahf(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->aflags = (u16)((cpu->aflags & 1) | (cpu->reg[CPU_RAX] & 0xd500) | 0x200);
	return CPU_NEXT;
}

int op_lahf(struct cpu *cpu, const struct cpu_insn *in)
{
	*cpu_byte(cpu, 1) = (u8)((cpu->aflags >> 8 & 0xd5) | 2);
	return CPU_NEXT;
}
