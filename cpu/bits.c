// SPDX-License-Identifier: MIT
/*
 * cpu/bits.c - bit tests, bit scans, counts, BMI, CRC32, ADX
 */
#include "cpu/alu.h"

/* ---- BT BTS BTR BTC: only CF changes ---- */

enum { BT, BTS, BTR, BTC };

static void set_carry(struct cpu *cpu, bool cf)
{
	cpu->aflags = (u16)((cpu->aflags & ~(CPU_F_CF << 8)) | (cf ? CPU_F_CF << 8 : 0));
}

static u64 changed(unsigned op, u64 v, u64 bit)
{
	switch (op) {
	case BTS:
		return v | bit;
	case BTR:
		return v & ~bit;
	case BTC:
		return v ^ bit;
	}
	return v;
}

static u64 host_fetch_modify(void *p, unsigned size, unsigned op, u64 bit)
{
	u64 old, seen;

	for (old = host_load(p, size);; old = seen) {
		u64 v = changed(op, old, bit);

		seen = old;
		if (size == 2)
			__asm__ volatile("lock cmpxchgw %w2, %1"
					 : "+a"(seen), "+m"(*(u16 *)p)
					 : "r"(v)
					 : "memory", "cc");
		else if (size == 4)
			__asm__ volatile("lock cmpxchgl %k2, %1"
					 : "+a"(seen), "+m"(*(u32 *)p)
					 : "r"(v)
					 : "memory", "cc");
		else
			__asm__ volatile("lock cmpxchgq %2, %1"
					 : "+a"(seen), "+m"(*(u64 *)p)
					 : "r"(v)
					 : "memory", "cc");
		if (cpu_mask(seen, size) == cpu_mask(old, size))
			return old;
	}
}

static int bit_op(struct cpu *cpu, const struct cpu_insn *in, unsigned op, u64 number, u64 la)
{
	const unsigned size = in->size;
	const u64 bit = 1ULL << (number & (size * 8 - 1));
	void *p;
	u64 v;

	if (in->mod == 3) {
		v = cpu_get(cpu, in->rm, size);
		set_carry(cpu, v & bit);
		if (op != BT)
			cpu_set(cpu, in->rm, size, changed(op, v, bit));
		return CPU_NEXT;
	}
	if (op == BT) {
		v = cpu_load(cpu, la, size, in->seg);
		set_carry(cpu, v & bit);
		return CPU_NEXT;
	}
	p = cpu_modify(cpu, la, size, in->seg);
	if (p && (in->flags & CPU_IN_LOCK)) {
		v = host_fetch_modify(p, size, op, bit);
	} else if (p) {
		v = host_load(p, size);
		host_store(p, size, changed(op, v, bit));
	} else {
		v = cpu_load(cpu, la, size, in->seg);
		cpu_store(cpu, la, size, changed(op, v, bit), in->seg);
	}
	set_carry(cpu, v & bit);
	return CPU_NEXT;
}

/* Bit number in a register: a bit string, which reaches beyond the operand. */
int op_bt(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 number = cpu->reg[in->reg];
	struct cpu_insn moved;
	u64 la = 0;

	if (in->mod != 3) {
		const s64 units = cpu_sign(number, in->size) >> (in->size == 8 ? 6 : in->size == 4 ? 5 : 4);

		moved = *in;
		moved.disp += units * in->size;
		la = cpu_addr(cpu, &moved, in->size, true);
	}
	return bit_op(cpu, in, in->opcode >> 3 & 3, number, la);
}

int op_bt_i(struct cpu *cpu, const struct cpu_insn *in)
{
	if ((in->reg & 7) < 4)
		cpu_raise(cpu, CPU_UD, 0);
	return bit_op(cpu, in, in->reg & 3, (u64)in->imm, in->mod == 3 ? 0 : cpu_addr(cpu, in, in->size, true));
}

/* ---- scans and counts ---- */

#define SCAN(name, insn)                                                                                               \
	static u64 name(u64 a, u64 old, unsigned size, u16 *f)                                                         \
	{                                                                                                              \
		u64 flags = *f;                                                                                        \
		switch (size) {                                                                                        \
		case 2:                                                                                                \
			__asm__("sahf\n\t" insn "w %w2, %w0" CPU_FLAGS_OUT : "+r"(old), "+&a"(flags) : "r"(a) : "cc"); \
			break;                                                                                         \
		case 4:                                                                                                \
			__asm__("sahf\n\t" insn "l %k2, %k0" CPU_FLAGS_OUT : "+r"(old), "+&a"(flags) : "r"(a) : "cc"); \
			break;                                                                                         \
		default:                                                                                               \
			__asm__("sahf\n\t" insn "q %2, %0" CPU_FLAGS_OUT : "+r"(old), "+&a"(flags) : "r"(a) : "cc");   \
		}                                                                                                      \
		*f = (u16)flags;                                                                                       \
		return old;                                                                                            \
	}
SCAN(scan_bsf, "bsf")
SCAN(scan_bsr, "bsr")
SCAN(count_ones, "popcnt")

static unsigned zeros(u64 v, unsigned size, bool leading)
{
	const unsigned bits = size * 8;

	if (!v)
		return bits;
	return leading ? (unsigned)__builtin_clzll(v) - (64 - bits) : (unsigned)__builtin_ctzll(v);
}

/* 0F BC, BD: BSF, BSR; with F3 TZCNT, LZCNT where the CPU has them. */
int op_bsf(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool reverse = in->opcode & 1;
	const u64 v = cpu_get_operand(cpu, in, in->size);
	u16 f = cpu->aflags;
	u64 r;

	if (in->pp == CPU_PP_F3 && (cpu->features & (reverse ? CPU_HAS_LZCNT : CPU_HAS_BMI1))) {
		r = zeros(v, in->size, reverse);
		/* CF: no bit was set; ZF: the count is zero. */
		f &= (u16) ~((CPU_F_CF | CPU_F_ZF) << 8);
		f |= (u16)((v ? 0 : CPU_F_CF << 8) | (r ? 0 : CPU_F_ZF << 8));
		cpu_set(cpu, in->reg, in->size, r);
		cpu->aflags = f;
		return CPU_NEXT;
	}
	r = reverse ? scan_bsr(v, cpu->reg[in->reg], in->size, &f) : scan_bsf(v, cpu->reg[in->reg], in->size, &f);
	/* Nothing set: the destination stays, in all its 64 bits. */
	if (v)
		cpu_set(cpu, in->reg, in->size, r);
	cpu->aflags = f;
	return CPU_NEXT;
}

int op_popcnt(struct cpu *cpu, const struct cpu_insn *in)
{
	u16 f = 0;
	u64 v;

	if (in->pp != CPU_PP_F3)
		cpu_raise(cpu, CPU_UD, 0);
	v = cpu_get_operand(cpu, in, in->size);
	cpu_set(cpu, in->reg, in->size, count_ones(v, 0, in->size, &f));
	cpu->aflags = f;
	return CPU_NEXT;
}

int op_crc32(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->opcode & 1 ? in->size : 1;
	u64 v, r = (u32)cpu->reg[in->reg];

	if (size == 1)
		v = in->mod == 3 ? *cpu_byte(cpu, in->rm8) : cpu_load(cpu, cpu_addr(cpu, in, 1, false), 1, in->seg);
	else
		v = cpu_get_operand(cpu, in, size);
	for (unsigned i = 0; i < size * 8; i++, v >>= 1)
		r = (r >> 1) ^ ((r ^ v) & 1 ? 0x82f63b78 : 0);
	cpu->reg[in->reg] = r;
	return CPU_NEXT;
}

/* ADCX (66) with CF, ADOX (F3) with OF; nothing else changes. */
int op_adx(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->flags & CPU_IN_REXW ? 8 : 4;
	const bool overflow = in->pp == CPU_PP_F3;
	u64 a, b, carry, r;
	bool out;

	if (!(cpu->features & CPU_HAS_ADX))
		cpu_raise(cpu, CPU_UD, 0);
	b = cpu_get_operand(cpu, in, size);
	a = cpu_get(cpu, in->reg, size);
	carry = overflow ? cpu->aflags & 1 : cpu->aflags >> 8 & 1;
	r = a + b + carry;
	out = size == 8 ? r < a || (carry && r == a) : r >> 32;
	cpu_set(cpu, in->reg, size, r);
	if (overflow)
		cpu->aflags = (u16)((cpu->aflags & ~1) | out);
	else
		set_carry(cpu, out);
	return CPU_NEXT;
}

/* ---- BMI1 and BMI2 ---- */

static void need(struct cpu *cpu, const struct cpu_insn *in, u32 feature, bool pp_ok)
{
	if (!(cpu->features & feature) || in->vex_l || !pp_ok)
		cpu_raise(cpu, CPU_UD, 0);
}

/* SF and ZF of the result, OF clear, CF as given; AF and PF, undefined, are clear. */
static void set_flags(struct cpu *cpu, u64 r, unsigned size, bool cf)
{
	cpu_set_arith(cpu, (cpu_mask(r, size) ? 0 : CPU_F_ZF) | (cpu_sign(r, size) < 0 ? CPU_F_SF : 0) |
				   (cf ? CPU_F_CF : 0));
}

int op_andn(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 r;

	need(cpu, in, CPU_HAS_BMI1, in->pp == CPU_PP_NONE);
	r = ~cpu->reg[in->vvvv] & cpu_get_operand(cpu, in, in->size);
	cpu_set(cpu, in->reg, in->size, r);
	set_flags(cpu, r, in->size, false);
	return CPU_NEXT;
}

int op_bls(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned sub = in->reg & 7;
	u64 v, r;

	need(cpu, in, CPU_HAS_BMI1, in->pp == CPU_PP_NONE && sub >= 1 && sub <= 3);
	v = cpu_get_operand(cpu, in, in->size);
	if (sub == 1)
		r = v & (v - 1);
	else if (sub == 2)
		r = v ^ (v - 1);
	else
		r = v & (0 - v);
	r = cpu_mask(r, in->size);
	cpu_set(cpu, in->vvvv, in->size, r);
	set_flags(cpu, r, in->size, sub == 3 ? v != 0 : v == 0);
	return CPU_NEXT;
}

int op_bzhi(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned bits = in->size * 8u, n = (u8)cpu->reg[in->vvvv];
	u64 v;

	need(cpu, in, CPU_HAS_BMI2, true);
	v = cpu_get_operand(cpu, in, in->size);
	if (n < bits)
		v &= (1ULL << n) - 1;
	cpu_set(cpu, in->reg, in->size, v);
	set_flags(cpu, v, in->size, n >= bits);
	return CPU_NEXT;
}

int op_bextr(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned start = (u8)cpu->reg[in->vvvv], length = (u8)(cpu->reg[in->vvvv] >> 8);
	u64 v;

	need(cpu, in, CPU_HAS_BMI1, true);
	v = cpu_get_operand(cpu, in, in->size);
	v = start < 64 ? v >> start : 0;
	if (length < 64)
		v &= (1ULL << length) - 1;
	cpu_set(cpu, in->reg, in->size, v);
	set_flags(cpu, v, in->size, false);
	return CPU_NEXT;
}

static u64 deposit(u64 v, u64 mask)
{
	u64 r = 0;

	for (; mask; mask &= mask - 1, v >>= 1)
		r |= v & 1 ? mask & (0 - mask) : 0;
	return r;
}

static u64 extract(u64 v, u64 mask)
{
	u64 r = 0;

	for (unsigned i = 0; mask; mask &= mask - 1, i++)
		r |= v & mask & (0 - mask) ? 1ULL << i : 0;
	return r;
}

int op_pdep(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 v = cpu_get(cpu, in->vvvv, in->size);
	u64 mask;

	need(cpu, in, CPU_HAS_BMI2, in->pp >= CPU_PP_F3);
	mask = cpu_get_operand(cpu, in, in->size);
	cpu_set(cpu, in->reg, in->size, in->pp == CPU_PP_F2 ? deposit(v, mask) : extract(v, mask));
	return CPU_NEXT;
}
