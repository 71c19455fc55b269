// SPDX-License-Identifier: MIT
/*
 * cpu/quick.c - handlers for one very form of frequent instructions
 *
 * The decoder asks cpu_quick() once; what it gives must do exactly what the handler
 * of the opcode table would.
 */
#include "cpu/alu.h"
#include "cpu/block.h"
#include "cpu/stack.h"

/* ---- moves ---- */

#define MOVES(size)                                                                                                    \
	static int mov_rr##size(struct cpu *cpu, const struct cpu_insn *in)                                            \
	{                                                                                                              \
		cpu_set_rm(cpu, in, size, cpu_get_reg(cpu, in, size));                                                 \
		return cpu_next(cpu, in);                                                                              \
	}                                                                                                              \
	static int mov_ri##size(struct cpu *cpu, const struct cpu_insn *in)                                            \
	{                                                                                                              \
		cpu_set_rm(cpu, in, size, (u64)in->imm);                                                               \
		return cpu_next(cpu, in);                                                                              \
	}                                                                                                              \
	static int mov_rm##size(struct cpu *cpu, const struct cpu_insn *in)                                            \
	{                                                                                                              \
		cpu_set_reg(cpu, in, size, cpu_load(cpu, cpu_addr(cpu, in, size, false), size, in->seg));              \
		return cpu_next(cpu, in);                                                                              \
	}                                                                                                              \
	static int mov_mr##size(struct cpu *cpu, const struct cpu_insn *in)                                            \
	{                                                                                                              \
		cpu_store(cpu, cpu_addr(cpu, in, size, true), size, cpu_get_reg(cpu, in, size), in->seg);              \
		return cpu_next_stored(cpu, in);                                                                       \
	}                                                                                                              \
	static int mov_mi##size(struct cpu *cpu, const struct cpu_insn *in)                                            \
	{                                                                                                              \
		cpu_store(cpu, cpu_addr(cpu, in, size, true), size, (u64)in->imm, in->seg);                            \
		return cpu_next_stored(cpu, in);                                                                       \
	}
MOVES(1)
MOVES(2)
MOVES(4)
MOVES(8)

#define MOVE_ROW(size)                                                                                                 \
	{                                                                                                              \
		mov_rr##size, mov_ri##size, mov_rm##size, mov_mr##size, mov_mi##size                                   \
	}
static cpu_op *const moves[4][5] = { MOVE_ROW(1), MOVE_ROW(2), MOVE_ROW(4), MOVE_ROW(8) };

static cpu_op *move(const struct cpu_insn *in, unsigned form)
{
	return moves[__builtin_ctz(in->size)][form];
}

static int movzx_b(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->reg[in->reg] = cpu_load(cpu, cpu_addr(cpu, in, 1, false), 1, in->seg);
	return cpu_next(cpu, in);
}

static int movzx_br(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->reg[in->reg] = *cpu_byte(cpu, in->rm8);
	return cpu_next(cpu, in);
}

static int lea8(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->reg[in->reg] = cpu_offset(cpu, in);
	return cpu_next(cpu, in);
}

static int lea4(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->reg[in->reg] = (u32)cpu_offset(cpu, in);
	return cpu_next(cpu, in);
}

static int nothing(struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_next(cpu, in);
}

/* ---- INC, DEC of a register ---- */

#define UNARY(name)                                                                                                    \
	static int name##4(struct cpu * cpu, const struct cpu_insn *in)                                                \
	{                                                                                                              \
		u16 f = cpu->aflags;                                                                                   \
		cpu->reg[in->rm] = (u32)cpu_##name(cpu->reg[in->rm], 4, &f);                                           \
		cpu->aflags = f;                                                                                       \
		return cpu_next_flags(cpu, in, f);                                                                     \
	}                                                                                                              \
	static int name##8(struct cpu * cpu, const struct cpu_insn *in)                                                \
	{                                                                                                              \
		u16 f = cpu->aflags;                                                                                   \
		cpu->reg[in->rm] = cpu_##name(cpu->reg[in->rm], 8, &f);                                                \
		cpu->aflags = f;                                                                                       \
		return cpu_next_flags(cpu, in, f);                                                                     \
	}
UNARY(inc)
UNARY(dec)

/* ---- shifts by a constant: the flags of the host's, which started from anything ---- */

#define SHIFT_QUICK(name, size, suffix, mod)                                                                           \
	static int name##size(struct cpu *cpu, const struct cpu_insn *in)                                              \
	{                                                                                                              \
		u64 a = cpu->reg[in->rm], flags;                                                                       \
		__asm__(#name suffix " %%cl, %" mod "0" CPU_FLAGS_OUT : "+r"(a), "=&a"(flags) : "c"(in->imm) : "cc");  \
		cpu_set(cpu, in->rm, size, a);                                                                         \
		cpu->aflags = (u16)flags;                                                                              \
		return cpu_next(cpu, in);                                                                              \
	}
SHIFT_QUICK(shl, 4, "l", "k")
SHIFT_QUICK(shl, 8, "q", "q")
SHIFT_QUICK(shr, 4, "l", "k")
SHIFT_QUICK(shr, 8, "q", "q")
SHIFT_QUICK(sar, 4, "l", "k")
SHIFT_QUICK(sar, 8, "q", "q")

/* ---- 64-bit code: branches and the stack ---- */

int cpu_jcc64(struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_jcc64_inline(cpu, in, cpu->aflags);
}

static cpu_op *jcc(struct cpu_insn *in)
{
	static const u16 masks[8] = {
		1, CPU_F_CF << 8,    CPU_F_ZF << 8, (CPU_F_CF | CPU_F_ZF) << 8, CPU_F_SF << 8, CPU_F_PF << 8,
		2, 2 | CPU_F_ZF << 8
	};

	in->disp = masks[in->opcode >> 1 & 7];
	return cpu_jcc64;
}

#define CONDITION(cc)                                                                                                  \
	static int cmov4_##cc(struct cpu *cpu, const struct cpu_insn *in)                                              \
	{                                                                                                              \
		cpu->reg[in->reg] = (u32)cpu->reg[cpu_cond(cpu->aflags, cc) ? in->rm : in->reg];                       \
		return cpu_next(cpu, in);                                                                              \
	}                                                                                                              \
	static int cmov8_##cc(struct cpu *cpu, const struct cpu_insn *in)                                              \
	{                                                                                                              \
		cpu->reg[in->reg] = cpu->reg[cpu_cond(cpu->aflags, cc) ? in->rm : in->reg];                            \
		return cpu_next(cpu, in);                                                                              \
	}                                                                                                              \
	static int set##cc(struct cpu *cpu, const struct cpu_insn *in)                                                 \
	{                                                                                                              \
		*cpu_byte(cpu, in->rm8) = cpu_cond(cpu->aflags, cc);                                                   \
		return cpu_next(cpu, in);                                                                              \
	}
CONDITION(0)
CONDITION(1) CONDITION(2) CONDITION(3) CONDITION(4) CONDITION(5) CONDITION(6) CONDITION(7) CONDITION(8) CONDITION(9)
	CONDITION(10) CONDITION(11) CONDITION(12) CONDITION(13) CONDITION(14) CONDITION(15)

#define CONDITIONS(name)                                                                                               \
	{                                                                                                              \
		name##0, name##1, name##2, name##3, name##4, name##5, name##6, name##7, name##8, name##9, name##10,    \
			name##11, name##12, name##13, name##14, name##15                                               \
	}
		static cpu_op *const cmov4s[16] = CONDITIONS(cmov4_);
static cpu_op *const cmov8s[16] = CONDITIONS(cmov8_);
static cpu_op *const sets[16] = CONDITIONS(set);

static int jmp64(struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_jump64(cpu, cpu->rip + in->end + (u64)in->imm);
}

static int push64(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 rsp = cpu->reg[CPU_RSP] - 8;

	cpu_store(cpu, rsp, 8, cpu->reg[in->rm], CPU_SS);
	cpu->reg[CPU_RSP] = rsp;
	return cpu_next_stored(cpu, in);
}

static int pop64(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 rsp = cpu->reg[CPU_RSP], v = cpu_load(cpu, rsp, 8, CPU_SS);

	cpu->reg[CPU_RSP] = rsp + 8;
	cpu->reg[in->rm] = v;
	return cpu_next(cpu, in);
}

static int call64(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 rsp = cpu->reg[CPU_RSP] - 8, next = cpu->rip + in->end, target = next + (u64)in->imm;

	if (unlikely((u64)((s64)(target << 16) >> 16) != target) && !cpu_canonical(cpu, target))
		return op_call(cpu, in);
	cpu_store(cpu, rsp, 8, next, CPU_SS);
	cpu->reg[CPU_RSP] = rsp;
	cpu->rip = target;
	return CPU_JUMP;
}

static int ret64(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 rsp = cpu->reg[CPU_RSP], target = cpu_load(cpu, rsp, 8, CPU_SS);

	cpu_jump64(cpu, target);
	cpu->reg[CPU_RSP] = rsp + 8;
	return CPU_JUMP;
}

/* ---- choice ---- */

/* A memory operand, or a register. */
static bool is_reg(const struct cpu_insn *in)
{
	return in->mod == 3;
}

/* Two registers: the forms have their destination in rm. */
static void swap(struct cpu_insn *in)
{
	const u8 reg = in->reg, reg8 = in->reg8;

	in->reg = in->rm;
	in->reg8 = in->rm8;
	in->rm = reg;
	in->rm8 = reg8;
}

static cpu_op *alu(struct cpu_insn *in, unsigned op, bool to_reg)
{
	if (!is_reg(in))
		return cpu_alu_op(op, in->size, to_reg ? CPU_FORM_RM : CPU_FORM_MR);
	if (to_reg)
		swap(in);
	return cpu_alu_op(op, in->size, CPU_FORM_RR);
}

static cpu_op *one_byte(struct cpu_insn *in)
{
	const u8 o = in->opcode;
	const bool wide = in->flags & CPU_IN_64, word = in->size >= 4;

	if (o < 0x40 && (o & 7) < 4)
		return alu(in, o >> 3, o & 2);
	if ((o & 0xf0) == 0x50 && wide && in->size == 8)
		return o & 8 ? pop64 : push64;
	if ((o & 0xf0) == 0x70 && wide)
		return jcc(in);
	switch (o) {
	case 0x80:
	case 0x81:
	case 0x82:
	case 0x83:
		return cpu_alu_op(in->reg & 7, in->size, is_reg(in) ? CPU_FORM_RI : CPU_FORM_MI);
	case 0x84:
	case 0x85:
		return alu(in, CPU_ALU_TEST, false);
	case 0x88:
	case 0x89:
		return move(in, is_reg(in) ? CPU_FORM_RR : CPU_FORM_MR);
	case 0x8a:
	case 0x8b:
		if (!is_reg(in))
			return move(in, CPU_FORM_RM);
		swap(in);
		return move(in, CPU_FORM_RR);
	case 0x8d:
		if (is_reg(in) || (in->flags & CPU_IN_SLOW) || !word)
			return NULL;
		return in->size == 8 ? lea8 : lea4;
	case 0x90:
		return in->rm ? NULL : nothing;
	case 0xc6:
	case 0xc7:
		if (in->reg & 7)
			return NULL;
		return move(in, is_reg(in) ? CPU_FORM_RI : CPU_FORM_MI);
	case 0xc1:
		if (!is_reg(in) || !word || !(in->imm & (in->size * 8 - 1)))
			return NULL;
		switch (in->reg & 7) {
		case 4:
		case 6:
			return in->size == 8 ? shl8 : shl4;
		case 5:
			return in->size == 8 ? shr8 : shr4;
		case 7:
			return in->size == 8 ? sar8 : sar4;
		}
		return NULL;
	case 0xc3:
		return wide ? ret64 : NULL;
	case 0xe8:
		return wide ? call64 : NULL;
	case 0xe9:
	case 0xeb:
		return wide ? jmp64 : NULL;
	case 0xff:
		if (!is_reg(in) || !word || (in->reg & 7) > 1)
			return NULL;
		if (in->reg & 7)
			return in->size == 8 ? dec8 : dec4;
		return in->size == 8 ? inc8 : inc4;
	}
	if (o >= 0xb0 && o <= 0xbf)
		return move(in, CPU_FORM_RI);
	return NULL;
}

static cpu_op *two_bytes(struct cpu_insn *in)
{
	const u8 o = in->opcode;

	if ((o & 0xf0) == 0x80 && (in->flags & CPU_IN_64))
		return jcc(in);
	if ((o & 0xf0) == 0x40 && is_reg(in) && in->size >= 4)
		return in->size == 8 ? cmov8s[o & 15] : cmov4s[o & 15];
	if ((o & 0xf0) == 0x90 && is_reg(in))
		return sets[o & 15];
	if (o == 0xb6 && in->size >= 4)
		return is_reg(in) ? movzx_br : movzx_b;
	return NULL;
}

cpu_op *cpu_quick(struct cpu_insn *in)
{
	if (in->flags & CPU_IN_VEX)
		return NULL;
	if (in->map == 0)
		return one_byte(in);
	return in->map == 1 ? two_bytes(in) : NULL;
}
