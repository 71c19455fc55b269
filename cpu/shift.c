// SPDX-License-Identifier: MIT
/*
 * cpu/shift.c - shifts and rotates
 *
 * By the host's own instruction, which starts from the guest's flags: a count of
 * zero keeps all of them, rotates change CF and OF alone.
 */
#include "cpu/alu.h"

/* sahf restores SF ZF AF PF CF; adding 0x7f to OF's byte overflows exactly when it is 1. */
#define FLAGS_IN "movb %%al, %%ch\n\taddb $0x7f, %%ch\n\tsahf\n\t"

#define SHIFT(name, insn)                                                                                              \
	static u64 name(u64 a, unsigned count, unsigned size, u16 *f)                                                  \
	{                                                                                                              \
		u64 flags = *f, c = count & 0xff;                                                                      \
		switch (size) {                                                                                        \
		case 1:                                                                                                \
			__asm__(FLAGS_IN insn "b %%cl, %b0" CPU_FLAGS_OUT : "+q"(a), "+&a"(flags), "+&c"(c) : : "cc"); \
			break;                                                                                         \
		case 2:                                                                                                \
			__asm__(FLAGS_IN insn "w %%cl, %w0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags), "+&c"(c) : : "cc"); \
			break;                                                                                         \
		case 4:                                                                                                \
			__asm__(FLAGS_IN insn "l %%cl, %k0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags), "+&c"(c) : : "cc"); \
			break;                                                                                         \
		default:                                                                                               \
			__asm__(FLAGS_IN insn "q %%cl, %0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags), "+&c"(c) : : "cc");  \
		}                                                                                                      \
		*f = (u16)flags;                                                                                       \
		return a;                                                                                              \
	}
SHIFT(shift_rol, "rol")
SHIFT(shift_ror, "ror")
SHIFT(shift_rcl, "rcl")
SHIFT(shift_rcr, "rcr")
SHIFT(shift_shl, "shl")
SHIFT(shift_shr, "shr")
SHIFT(shift_sar, "sar")

/* A shift by one has its own encoding on the host, with the same flags as a count of one. */
static u64 shift(unsigned op, u64 a, unsigned count, unsigned size, u16 *f)
{
	switch (op) {
	case 0:
		return shift_rol(a, count, size, f);
	case 1:
		return shift_ror(a, count, size, f);
	case 2:
		return shift_rcl(a, count, size, f);
	case 3:
		return shift_rcr(a, count, size, f);
	case 4:
	case 6:
		return shift_shl(a, count, size, f);
	case 5:
		return shift_shr(a, count, size, f);
	default:
		return shift_sar(a, count, size, f);
	}
}

static int shift_rm(struct cpu *cpu, const struct cpu_insn *in, unsigned count)
{
	const unsigned size = in->size;
	u16 f = cpu->aflags;
	u64 la, r;
	void *p;

	if (in->mod == 3) {
		r = shift(in->reg & 7, cpu_get_rm(cpu, in, size), count, size, &f);
		cpu_set_rm(cpu, in, size, r);
		cpu->aflags = f;
		return CPU_NEXT;
	}
	la = cpu_addr(cpu, in, size, true);
	p = cpu_modify(cpu, la, size, in->seg);
	r = shift(in->reg & 7, p ? host_load(p, size) : cpu_load(cpu, la, size, in->seg), count, size, &f);
	if (p)
		host_store(p, size, r);
	else
		cpu_store(cpu, la, size, r, in->seg);
	cpu->aflags = f;
	return cpu_end(cpu, in);
}

int op_shift_i(struct cpu *cpu, const struct cpu_insn *in)
{
	return shift_rm(cpu, in, (u8)in->imm);
}

int op_shift_1(struct cpu *cpu, const struct cpu_insn *in)
{
	return shift_rm(cpu, in, 1);
}

int op_shift_cl(struct cpu *cpu, const struct cpu_insn *in)
{
	return shift_rm(cpu, in, (u8)cpu->reg[CPU_RCX]);
}

#define DOUBLE(name, insn)                                                                                             \
	static u64 name(u64 a, u64 b, unsigned count, unsigned size, u16 *f)                                           \
	{                                                                                                              \
		u64 flags = *f, c = count & 0xff;                                                                      \
		switch (size) {                                                                                        \
		case 2:                                                                                                \
			__asm__(FLAGS_IN insn " %%cl, %w3, %w0" CPU_FLAGS_OUT                                          \
				: "+r"(a), "+&a"(flags), "+&c"(c)                                                      \
				: "r"(b)                                                                               \
				: "cc");                                                                               \
			break;                                                                                         \
		case 4:                                                                                                \
			__asm__(FLAGS_IN insn " %%cl, %k3, %k0" CPU_FLAGS_OUT                                          \
				: "+r"(a), "+&a"(flags), "+&c"(c)                                                      \
				: "r"(b)                                                                               \
				: "cc");                                                                               \
			break;                                                                                         \
		default:                                                                                               \
			__asm__(FLAGS_IN insn " %%cl, %3, %0" CPU_FLAGS_OUT                                            \
				: "+r"(a), "+&a"(flags), "+&c"(c)                                                      \
				: "r"(b)                                                                               \
				: "cc");                                                                               \
		}                                                                                                      \
		*f = (u16)flags;                                                                                       \
		return a;                                                                                              \
	}
DOUBLE(double_shl, "shld")
DOUBLE(double_shr, "shrd")

int op_shld(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size, count = in->opcode & 1 ? (u8)cpu->reg[CPU_RCX] : (u8)in->imm;
	const u64 b = cpu_get(cpu, in->reg, size);
	u16 f = cpu->aflags;
	u64 a, la = 0;

	if (in->mod == 3) {
		a = cpu_get(cpu, in->rm, size);
	} else {
		la = cpu_addr(cpu, in, size, true);
		cpu_modify(cpu, la, size, in->seg);
		a = cpu_load(cpu, la, size, in->seg);
	}
	a = in->opcode & 8 ? double_shr(a, b, count, size, &f) : double_shl(a, b, count, size, &f);
	if (in->mod == 3)
		cpu_set(cpu, in->rm, size, a);
	else
		cpu_store(cpu, la, size, a, in->seg);
	cpu->aflags = f;
	return CPU_NEXT;
}

/* ---- BMI2: no flags ---- */

static void need(struct cpu *cpu, const struct cpu_insn *in, u32 feature)
{
	if (!(cpu->features & feature) || in->vex_l)
		cpu_raise(cpu, CPU_UD, 0);
}

int op_shiftx(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size, count = cpu->reg[in->vvvv] & (size * 8 - 1);
	u64 a;

	need(cpu, in, CPU_HAS_BMI2);
	a = cpu_get_operand(cpu, in, size);
	if (in->pp == CPU_PP_66)
		a <<= count;
	else if (in->pp == CPU_PP_F3)
		a = (u64)(cpu_sign(a, size) >> count);
	else
		a >>= count;
	cpu_set(cpu, in->reg, size, a);
	return CPU_NEXT;
}

int op_rorx(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size, count = (unsigned)in->imm & (size * 8 - 1);
	u64 a;

	need(cpu, in, CPU_HAS_BMI2);
	if (in->pp != CPU_PP_F2 || in->vvvv)
		cpu_raise(cpu, CPU_UD, 0);
	a = cpu_get_operand(cpu, in, size);
	if (count)
		a = a >> count | a << (size * 8 - count);
	cpu_set(cpu, in->reg, size, a);
	return CPU_NEXT;
}
