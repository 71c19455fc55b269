// SPDX-License-Identifier: MIT
/*
 * cpu/muldiv.c - multiplication and division
 */
#include "cpu/alu.h"

/* Undefined flags: some processors leave them alone, so that the guest's go in.  RAX is clobbered last, by SETO. */
#define WIDE_SIZE(insn, suffix, operand)                                                                               \
	__asm__("sahf\n\tmov %2, %%rax\n\t" insn suffix " " operand "\n\tmov %%rax, %2" CPU_FLAGS_OUT                  \
		: "+&a"(flags), "+&d"(d), "+&r"(a)                                                                     \
		: "r"(b)                                                                                               \
		: "cc")
/* MUL and IMUL of the accumulator: low and high half. */
#define WIDE(name, insn)                                                                                               \
	static void name(u64 *low, u64 *high, u64 b, unsigned size, u16 *f)                                            \
	{                                                                                                              \
		u64 a = *low, d = *high, flags = *f;                                                                   \
		switch (size) {                                                                                        \
		case 1:                                                                                                \
			WIDE_SIZE(insn, "b", "%b3");                                                                   \
			break;                                                                                         \
		case 2:                                                                                                \
			WIDE_SIZE(insn, "w", "%w3");                                                                   \
			break;                                                                                         \
		case 4:                                                                                                \
			WIDE_SIZE(insn, "l", "%k3");                                                                   \
			break;                                                                                         \
		default:                                                                                               \
			WIDE_SIZE(insn, "q", "%3");                                                                    \
		}                                                                                                      \
		*f = (u16)flags;                                                                                       \
		*low = a;                                                                                              \
		*high = d;                                                                                             \
	}
WIDE(wide_mul, "mul")
WIDE(wide_imul, "imul")

static void multiply(struct cpu *cpu, const struct cpu_insn *in, u64 b)
{
	const unsigned size = in->size;
	u64 low = cpu->reg[CPU_RAX], high = cpu->reg[CPU_RDX];
	u16 f = cpu->aflags;

	if ((in->reg & 7) == 5)
		wide_imul(&low, &high, b, size, &f);
	else
		wide_mul(&low, &high, b, size, &f);
	if (size == 1) {
		cpu_set(cpu, CPU_RAX, 2, low);
	} else {
		cpu_set(cpu, CPU_RAX, size, low);
		cpu_set(cpu, CPU_RDX, size, high);
	}
	cpu->aflags = f;
}

static void divide_error(struct cpu *cpu)
{
	cpu_raise(cpu, CPU_DE, 0);
}

static void divide_unsigned(struct cpu *cpu, unsigned size, u64 b)
{
	const unsigned bits = size * 8;
	u64 low = cpu_get(cpu, CPU_RAX, size), high = cpu_get(cpu, CPU_RDX, size), q, r;

	if (size == 1) {
		low = cpu_get(cpu, CPU_RAX, 2);
		if (!b || low / b > 0xff)
			divide_error(cpu);
		cpu_set(cpu, CPU_RAX, 2, low / b | (low % b) << 8);
		return;
	}
	if (high >= b)
		divide_error(cpu);
	if (size == 8) {
		__asm__("divq %4" : "=a"(q), "=d"(r) : "0"(low), "1"(high), "r"(b) : "cc");
	} else {
		low |= high << bits;
		q = low / b;
		r = low % b;
	}
	cpu_set(cpu, CPU_RAX, size, q);
	cpu_set(cpu, CPU_RDX, size, r);
}

static u64 magnitude(s64 v)
{
	return v < 0 ? 0 - (u64)v : (u64)v;
}

static void divide_signed(struct cpu *cpu, unsigned size, u64 operand)
{
	const s64 b = cpu_sign(operand, size);
	const unsigned bits = size * 8;
	u64 low, high, q, r, limit;
	bool negative;

	if (!b)
		divide_error(cpu);
	if (size < 8) {
		s64 a;

		if (size == 1)
			a = (int16_t)cpu->reg[CPU_RAX];
		else
			a = (s64)(cpu_get(cpu, CPU_RAX, size) | (u64)cpu_sign(cpu->reg[CPU_RDX], size) << bits);
		/* The only quotient that does not fit in 64 bits. */
		if (a == INT64_MIN && b == -1)
			divide_error(cpu);
		if (cpu_sign((u64)(a / b), size) != a / b)
			divide_error(cpu);
		q = (u64)(a / b);
		r = (u64)(a % b);
		if (size == 1) {
			cpu_set(cpu, CPU_RAX, 2, (q & 0xff) | (r & 0xff) << 8);
		} else {
			cpu_set(cpu, CPU_RAX, size, q);
			cpu_set(cpu, CPU_RDX, size, r);
		}
		return;
	}
	low = cpu->reg[CPU_RAX];
	high = cpu->reg[CPU_RDX];
	negative = (s64)high < 0;
	if (negative) {
		low = 0 - low;
		high = ~high + !low;
	}
	limit = magnitude(b);
	if (high >= limit)
		divide_error(cpu);
	__asm__("divq %4" : "=a"(q), "=d"(r) : "0"(low), "1"(high), "r"(limit) : "cc");
	if (negative != (b < 0)) {
		if (q > 1ULL << 63)
			divide_error(cpu);
		q = 0 - q;
	} else if (q >> 63) {
		divide_error(cpu);
	}
	cpu->reg[CPU_RAX] = q;
	cpu->reg[CPU_RDX] = negative ? 0 - r : r;
}

/* F6 and F7 from /4 on. */
int op_muldiv(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 b = cpu_get_operand(cpu, in, in->size);

	switch (in->reg & 7) {
	case 4:
	case 5:
		multiply(cpu, in, b);
		break;
	case 6:
		divide_unsigned(cpu, in->size, b);
		break;
	default:
		divide_signed(cpu, in->size, b);
	}
	return CPU_NEXT;
}

static u64 narrow_imul(u64 a, u64 b, unsigned size, u16 *f)
{
	u64 flags = *f;

	switch (size) {
	case 2:
		__asm__("sahf\n\timulw %w2, %w0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags) : "r"(b) : "cc");
		break;
	case 4:
		__asm__("sahf\n\timull %k2, %k0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags) : "r"(b) : "cc");
		break;
	default:
		__asm__("sahf\n\timulq %2, %0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags) : "r"(b) : "cc");
	}
	*f = (u16)flags;
	return a;
}

int op_imul2(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 b = cpu_get_operand(cpu, in, in->size), r;
	u16 f = cpu->aflags;

	r = narrow_imul(cpu->reg[in->reg], b, in->size, &f);
	cpu_set(cpu, in->reg, in->size, r);
	cpu->aflags = f;
	return CPU_NEXT;
}

int op_imul3(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 b = cpu_get_operand(cpu, in, in->size), r;
	u16 f = cpu->aflags;

	r = narrow_imul(b, (u64)in->imm, in->size, &f);
	cpu_set(cpu, in->reg, in->size, r);
	cpu->aflags = f;
	return CPU_NEXT;
}

int op_mulx(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 a, b;

	if (!(cpu->features & CPU_HAS_BMI2) || in->vex_l || in->pp != CPU_PP_F2)
		cpu_raise(cpu, CPU_UD, 0);
	b = cpu_get_operand(cpu, in, in->size);
	a = cpu_get(cpu, CPU_RDX, in->size);
	if (in->size == 8) {
		unsigned __int128 r = (unsigned __int128)a * b;

		/* The high half wins when both go to one register. */
		cpu->reg[in->vvvv] = (u64)r;
		cpu->reg[in->reg] = (u64)(r >> 64);
	} else {
		a *= b;
		cpu->reg[in->vvvv] = (u32)a;
		cpu->reg[in->reg] = a >> 32;
	}
	return CPU_NEXT;
}

/* ---- decimal adjustments: legacy modes only ---- */

static u16 szp(u8 al)
{
	u16 f;

	cpu_test(al, al, 1, &f);
	return f & (u16)((CPU_F_SF | CPU_F_ZF | CPU_F_PF) << 8);
}

int op_daa(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool subtract = in->opcode == 0x2f;
	const u8 old = (u8)cpu->reg[CPU_RAX];
	const u64 flags = cpu_arith(cpu);
	u64 carry = 0;
	u8 al = old;
	u16 f;

	if ((old & 15) > 9 || (flags & CPU_F_AF)) {
		if (subtract)
			carry = (flags & CPU_F_CF) || old < 6;
		else
			carry = (flags & CPU_F_CF) || old > 0xff - 6;
		al = (u8)(subtract ? al - 6 : al + 6);
		carry |= CPU_F_AF;
	}
	if (old > 0x99 || (flags & CPU_F_CF)) {
		al = (u8)(subtract ? al - 0x60 : al + 0x60);
		carry |= CPU_F_CF;
	} else if (!subtract) {
		carry &= ~CPU_F_CF;
	}
	f = (u16)(szp(al) | carry << 8);
	cpu_set(cpu, CPU_RAX, 1, al);
	cpu->aflags = f;
	return CPU_NEXT;
}

int op_aaa(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 flags = cpu_arith(cpu);
	u16 ax = (u16)cpu->reg[CPU_RAX];
	u64 carry = 0;

	if ((ax & 15) > 9 || (flags & CPU_F_AF)) {
		ax = (u16)(in->opcode == 0x37 ? ax + 0x106 : ax - 0x106);
		carry = CPU_F_AF | CPU_F_CF;
	}
	ax &= 0xff0f;
	cpu_set(cpu, CPU_RAX, 2, ax);
	cpu->aflags = (u16)(szp((u8)ax) | carry << 8);
	return CPU_NEXT;
}

int op_aam(struct cpu *cpu, const struct cpu_insn *in)
{
	const u8 base = (u8)in->imm, al = (u8)cpu->reg[CPU_RAX];

	if (!base)
		divide_error(cpu);
	cpu_set(cpu, CPU_RAX, 2, (u64)(al / base) << 8 | al % base);
	cpu->aflags = szp(al % base);
	return CPU_NEXT;
}

int op_aad(struct cpu *cpu, const struct cpu_insn *in)
{
	const u16 ax = (u16)cpu->reg[CPU_RAX];
	const u8 al = (u8)((ax & 0xff) + (ax >> 8) * (u8)in->imm);

	cpu_set(cpu, CPU_RAX, 2, al);
	cpu->aflags = szp(al);
	return CPU_NEXT;
}

int op_salc(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_set(cpu, CPU_RAX, 1, cpu->aflags & CPU_F_CF << 8 ? 0xff : 0);
	return CPU_NEXT;
}
