// SPDX-License-Identifier: MIT
/*
 * cpu/move.c - MOV and its kin, stack, exchange, conversions, conditional moves
 */
#include "cpu/alu.h"
#include "cpu/stack.h"

int op_mov_rm_r(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_set_operand(cpu, in, in->size, cpu_get_reg(cpu, in, in->size));
	return CPU_NEXT;
}

int op_mov_r_rm(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_set_reg(cpu, in, in->size, cpu_get_operand(cpu, in, in->size));
	return CPU_NEXT;
}

int op_mov_rm_i(struct cpu *cpu, const struct cpu_insn *in)
{
	if (in->reg & 7)
		cpu_raise(cpu, CPU_UD, 0);
	cpu_set_operand(cpu, in, in->size, (u64)in->imm);
	return CPU_NEXT;
}

int op_mov_r_i(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_set_rm(cpu, in, in->size, (u64)in->imm);
	return CPU_NEXT;
}

int op_mov_a_m(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v = cpu_load(cpu, cpu_addr(cpu, in, in->size, false), in->size, in->seg);

	cpu_set(cpu, CPU_RAX, in->size, v);
	return CPU_NEXT;
}

int op_mov_m_a(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_store(cpu, cpu_addr(cpu, in, in->size, true), in->size, cpu->reg[CPU_RAX], in->seg);
	return CPU_NEXT;
}

int op_movnti(struct cpu *cpu, const struct cpu_insn *in)
{
	if (in->mod == 3 || in->pp || in->size == 2)
		cpu_raise(cpu, CPU_UD, 0);
	return op_mov_rm_r(cpu, in);
}

int op_movbe(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v;

	if (!(cpu->features & CPU_HAS_MOVBE) || in->mod == 3 || in->pp > CPU_PP_66)
		cpu_raise(cpu, CPU_UD, 0);
	v = in->opcode & 1 ? cpu_get_reg(cpu, in, in->size)
			   : cpu_load(cpu, cpu_addr(cpu, in, in->size, false), in->size, in->seg);
	v = in->size == 2   ? __builtin_bswap16((u16)v)
	    : in->size == 4 ? __builtin_bswap32((u32)v)
			    : __builtin_bswap64(v);
	if (in->opcode & 1)
		cpu_store(cpu, cpu_addr(cpu, in, in->size, true), in->size, v, in->seg);
	else
		cpu_set_reg(cpu, in, in->size, v);
	return CPU_NEXT;
}

int op_lea(struct cpu *cpu, const struct cpu_insn *in)
{
	if (in->mod == 3)
		cpu_raise(cpu, CPU_UD, 0);
	cpu_set(cpu, in->reg, in->size, cpu_ea(cpu, in));
	return CPU_NEXT;
}

int op_movzx(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_set(cpu, in->reg, in->size, cpu_get_operand(cpu, in, in->opcode & 1 ? 2 : 1));
	return CPU_NEXT;
}

int op_movsx(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned from = in->opcode & 1 ? 2 : 1;

	cpu_set(cpu, in->reg, in->size, (u64)cpu_sign(cpu_get_operand(cpu, in, from), from));
	return CPU_NEXT;
}

/* ARPL outside 64-bit mode. */
int op_movsxd(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v;

	if (in->flags & CPU_IN_64) {
		const unsigned from = in->size == 2 ? 2 : 4;

		cpu_set(cpu, in->reg, in->size, (u64)cpu_sign(cpu_get_operand(cpu, in, from), from));
		return CPU_NEXT;
	}
	if (!cpu_protected(cpu))
		cpu_raise(cpu, CPU_UD, 0);
	v = cpu_get_operand(cpu, in, 2);
	if ((v & 3) < (cpu->reg[in->reg] & 3)) {
		cpu_set_operand(cpu, in, 2, (v & ~3ULL) | (cpu->reg[in->reg] & 3));
		cpu->aflags |= CPU_F_ZF << 8;
	} else {
		cpu->aflags &= (u16) ~(CPU_F_ZF << 8);
	}
	return CPU_NEXT;
}

int op_cbw(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_set(cpu, CPU_RAX, in->size, (u64)cpu_sign(cpu->reg[CPU_RAX], in->size / 2));
	return CPU_NEXT;
}

int op_cwd(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_set(cpu, CPU_RDX, in->size, cpu_sign(cpu->reg[CPU_RAX], in->size) < 0 ? ~0ULL : 0);
	return CPU_NEXT;
}

int op_cmov(struct cpu *cpu, const struct cpu_insn *in)
{
	/* The operand is read, and the upper half of a 32-bit register cleared, whatever the condition. */
	u64 v = cpu_get_operand(cpu, in, in->size);

	if (!cpu_cond(cpu->aflags, in->opcode & 15))
		v = cpu->reg[in->reg];
	cpu_set(cpu, in->reg, in->size, v);
	return CPU_NEXT;
}

int op_setcc(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_set_operand(cpu, in, 1, cpu_cond(cpu->aflags, in->opcode & 15));
	return CPU_NEXT;
}

int op_bswap(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v = cpu->reg[in->rm];

	if (in->size == 2)
		v = 0; /* undefined; what processors do */
	else
		v = in->size == 8 ? __builtin_bswap64(v) : __builtin_bswap32((u32)v);
	cpu_set(cpu, in->rm, in->size, v);
	return CPU_NEXT;
}

int op_xlat(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 offset = cpu_mask(cpu_mask(cpu->reg[CPU_RBX], in->addr_size) + (u8)cpu->reg[CPU_RAX], in->addr_size);

	cpu_set(cpu, CPU_RAX, 1, cpu_load(cpu, cpu_linear(cpu, in->seg, offset, 1, false), 1, in->seg));
	return CPU_NEXT;
}

int op_nop(struct cpu *cpu, const struct cpu_insn *in)
{
	/* 90 with REX.B is an exchange with R8. */
	return in->rm ? op_xchg_a(cpu, in) : CPU_NEXT;
}

/* Hint space, prefetches, ENDBR: their operand is not accessed. */
int op_nop_rm(struct cpu *cpu, const struct cpu_insn *in)
{
	return CPU_NEXT;
}

/* ---- exchange: always atomic with memory ---- */

int op_xchg_a(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 a = cpu_get(cpu, CPU_RAX, in->size), b = cpu_get(cpu, in->rm, in->size);

	cpu_set(cpu, CPU_RAX, in->size, b);
	cpu_set(cpu, in->rm, in->size, a);
	return CPU_NEXT;
}

static u64 host_xchg(void *p, unsigned size, u64 v)
{
	switch (size) {
	case 1:
		__asm__ volatile("xchgb %b0, %1" : "+r"(v), "+m"(*(u8 *)p) : : "memory");
		break;
	case 2:
		__asm__ volatile("xchgw %w0, %1" : "+r"(v), "+m"(*(u16 *)p) : : "memory");
		break;
	case 4:
		__asm__ volatile("xchgl %k0, %1" : "+r"(v), "+m"(*(u32 *)p) : : "memory");
		break;
	default:
		__asm__ volatile("xchgq %0, %1" : "+r"(v), "+m"(*(u64 *)p) : : "memory");
	}
	return v;
}

int op_xchg(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size;
	u64 r = cpu_get_reg(cpu, in, size), old, la;
	void *p;

	if (in->mod == 3) {
		old = cpu_get_rm(cpu, in, size);
		cpu_set_rm(cpu, in, size, r);
		cpu_set_reg(cpu, in, size, old);
		return CPU_NEXT;
	}
	la = cpu_addr(cpu, in, size, true);
	p = cpu_modify(cpu, la, size, in->seg);
	if (p) {
		old = host_xchg(p, size, r);
	} else {
		old = cpu_load(cpu, la, size, in->seg);
		cpu_store(cpu, la, size, r, in->seg);
	}
	cpu_set_reg(cpu, in, size, old);
	return CPU_NEXT;
}

static u64 host_xadd(void *p, unsigned size, u64 v)
{
	switch (size) {
	case 1:
		__asm__ volatile("lock xaddb %b0, %1" : "+r"(v), "+m"(*(u8 *)p) : : "memory", "cc");
		break;
	case 2:
		__asm__ volatile("lock xaddw %w0, %1" : "+r"(v), "+m"(*(u16 *)p) : : "memory", "cc");
		break;
	case 4:
		__asm__ volatile("lock xaddl %k0, %1" : "+r"(v), "+m"(*(u32 *)p) : : "memory", "cc");
		break;
	default:
		__asm__ volatile("lock xaddq %0, %1" : "+r"(v), "+m"(*(u64 *)p) : : "memory", "cc");
	}
	return cpu_mask(v, size);
}

int op_xadd(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size;
	u64 r = cpu_get_reg(cpu, in, size), old, la, sum;
	u16 f = cpu->aflags;
	void *p;

	if (in->mod == 3) {
		old = cpu_get_rm(cpu, in, size);
		sum = cpu_add(old, r, size, &f);
		cpu_set_reg(cpu, in, size, old);
		cpu_set_rm(cpu, in, size, sum);
		cpu->aflags = f;
		return CPU_NEXT;
	}
	la = cpu_addr(cpu, in, size, true);
	p = cpu_modify(cpu, la, size, in->seg);
	if (p && (in->flags & CPU_IN_LOCK)) {
		old = host_xadd(p, size, r);
		cpu_add(old, r, size, &f);
	} else {
		old = p ? host_load(p, size) : cpu_load(cpu, la, size, in->seg);
		sum = cpu_add(old, r, size, &f);
		if (p)
			host_store(p, size, sum);
		else
			cpu_store(cpu, la, size, sum, in->seg);
	}
	cpu_set_reg(cpu, in, size, old);
	cpu->aflags = f;
	return CPU_NEXT;
}

static u64 host_cmpxchg(void *p, unsigned size, u64 expected, u64 v)
{
	switch (size) {
	case 1:
		__asm__ volatile("lock cmpxchgb %b2, %1" : "+a"(expected), "+m"(*(u8 *)p) : "r"(v) : "memory", "cc");
		break;
	case 2:
		__asm__ volatile("lock cmpxchgw %w2, %1" : "+a"(expected), "+m"(*(u16 *)p) : "r"(v) : "memory", "cc");
		break;
	case 4:
		__asm__ volatile("lock cmpxchgl %k2, %1" : "+a"(expected), "+m"(*(u32 *)p) : "r"(v) : "memory", "cc");
		break;
	default:
		__asm__ volatile("lock cmpxchgq %2, %1" : "+a"(expected), "+m"(*(u64 *)p) : "r"(v) : "memory", "cc");
	}
	return cpu_mask(expected, size);
}

/* Whether a failed one clears the upper half of a 32-bit destination differs between vendors: the host decides. */
static int cmpxchg_reg(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size;
	const u64 old = cpu_get_rm(cpu, in, size), r = cpu->reg[in->reg];
	u64 a = cpu->reg[CPU_RAX], m = cpu->reg[in->rm];
	u16 f = cpu->aflags;

	cpu_sub(a, old, size, &f);
	cpu->aflags = f;
	if (size == 1) {
		if (old == (u8)a)
			*cpu_byte(cpu, in->rm8) = *cpu_byte(cpu, in->reg8);
		else
			cpu_set(cpu, CPU_RAX, 1, old);
		return CPU_NEXT;
	}
	if (in->rm == CPU_RAX) {
		cpu_set(cpu, CPU_RAX, size, r);
		return CPU_NEXT;
	}
	if (size == 2)
		__asm__("cmpxchgw %w2, %w0" : "+r"(m), "+a"(a) : "r"(r) : "cc");
	else if (size == 4)
		__asm__("cmpxchgl %k2, %k0" : "+r"(m), "+a"(a) : "r"(r) : "cc");
	else
		__asm__("cmpxchgq %2, %0" : "+r"(m), "+a"(a) : "r"(r) : "cc");
	cpu->reg[in->rm] = m;
	cpu->reg[CPU_RAX] = a;
	return CPU_NEXT;
}

int op_cmpxchg(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size;
	const u64 a = cpu_get(cpu, CPU_RAX, size), r = cpu_get_reg(cpu, in, size);
	u16 f = cpu->aflags;
	u64 old, la;
	void *p;

	if (in->mod == 3)
		return cmpxchg_reg(cpu, in);
	la = cpu_addr(cpu, in, size, true);
	p = cpu_modify(cpu, la, size, in->seg);
	if (p) {
		/* Without LOCK it is one here too: no harm. */
		old = host_cmpxchg(p, size, a, r);
	} else {
		old = cpu_load(cpu, la, size, in->seg);
		cpu_store(cpu, la, size, old == a ? r : old, in->seg);
	}
	cpu_sub(a, old, size, &f);
	cpu->aflags = f;
	if (old != a)
		cpu_set(cpu, CPU_RAX, size, old);
	return CPU_NEXT;
}

static bool cmpxchg8b(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 a = (u32)cpu->reg[CPU_RAX] | cpu->reg[CPU_RDX] << 32,
		  b = (u32)cpu->reg[CPU_RBX] | cpu->reg[CPU_RCX] << 32;
	const u64 la = cpu_addr(cpu, in, 8, true);
	void *p = cpu_modify(cpu, la, 8, in->seg);
	u64 old;

	if (p) {
		old = host_cmpxchg(p, 8, a, b);
	} else {
		old = cpu_load(cpu, la, 8, in->seg);
		cpu_store(cpu, la, 8, old == a ? b : old, in->seg);
	}
	if (old == a)
		return true;
	cpu->reg[CPU_RAX] = (u32)old;
	cpu->reg[CPU_RDX] = old >> 32;
	return false;
}

static bool cmpxchg16b(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 la = cpu_addr(cpu, in, 16, true);
	u64 low = cpu->reg[CPU_RAX], high = cpu->reg[CPU_RDX];
	bool equal;
	u64 *p;

	if (la & 15)
		cpu_raise(cpu, CPU_GP, 0);
	p = cpu_modify(cpu, la, 16, in->seg);
	if (p) {
		__asm__ volatile("lock cmpxchg16b %1"
				 : "=@ccz"(equal), "+m"(*(u64(*)[2])p), "+a"(low), "+d"(high)
				 : "b"(cpu->reg[CPU_RBX]), "c"(cpu->reg[CPU_RCX])
				 : "memory");
	} else {
		u64 m[2];

		cpu_read_linear(cpu, la, m, 16, in->seg);
		equal = m[0] == low && m[1] == high;
		low = m[0];
		high = m[1];
		if (equal) {
			m[0] = cpu->reg[CPU_RBX];
			m[1] = cpu->reg[CPU_RCX];
		}
		cpu_write_linear(cpu, la, m, 16, in->seg);
	}
	if (!equal) {
		cpu->reg[CPU_RAX] = low;
		cpu->reg[CPU_RDX] = high;
	}
	return equal;
}

/* 0F C7: CMPXCHG8B and 16B, RDRAND, RDSEED, RDPID, XSAVEC and its like. */
int op_group9(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned sub = in->reg & 7;

	if (in->mod != 3 && sub == 1) {
		bool equal = in->size == 8 ? cmpxchg16b(cpu, in) : cmpxchg8b(cpu, in);

		cpu->aflags = (u16)((cpu->aflags & ~(CPU_F_ZF << 8)) | (equal ? CPU_F_ZF << 8 : 0));
		return CPU_NEXT;
	}
	if (in->mod != 3 && sub >= 3 && sub <= 5)
		return cpu_xsave_group9(cpu, in);
	if (in->mod == 3 && sub == 7 && in->pp == CPU_PP_F3 && (cpu->features & CPU_HAS_RDPID)) {
		cpu_set(cpu, in->rm, in->flags & CPU_IN_64 ? 8 : 4, cpu->msr.tsc_aux);
		return CPU_NEXT;
	}
	if (in->mod == 3 && sub >= 6 && in->pp <= CPU_PP_66 &&
	    (cpu->features & (sub == 6 ? CPU_HAS_RDRAND : CPU_HAS_RDSEED))) {
		u64 v;

		__asm__ volatile("1: rdrand %0\n\tjnc 1b" : "=r"(v) : : "cc");
		cpu_set(cpu, in->rm, in->size, v);
		cpu_set_arith(cpu, CPU_F_CF);
		return CPU_NEXT;
	}
	cpu_raise(cpu, CPU_UD, 0);
}

/* ---- stack ---- */

int op_push_r(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_push(cpu, in->size, cpu->reg[in->rm]);
	return CPU_NEXT;
}

int op_push_i(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_push(cpu, in->size, (u64)in->imm);
	return CPU_NEXT;
}

int op_push_rm(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_push(cpu, in->size, cpu_get_operand(cpu, in, in->size));
	return CPU_NEXT;
}

int op_pop_r(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v = cpu_pop(cpu, in->size);

	cpu_set(cpu, in->rm, in->size, v);
	return CPU_NEXT;
}

/* An address made from RSP uses its value after the pop. */
int op_pop_rm(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 old = cpu->reg[CPU_RSP];
	u64 v, rsp, la;

	if (in->reg & 7)
		cpu_raise(cpu, CPU_UD, 0);
	v = cpu_stack_read(cpu, 0, in->size);
	rsp = cpu_stack_moved(cpu, in->size);
	if (in->mod == 3) {
		cpu->reg[CPU_RSP] = rsp;
		cpu_set(cpu, in->rm, in->size, v);
		return CPU_NEXT;
	}
	if (in->base == CPU_RSP) {
		struct cpu_insn moved = *in;

		moved.disp += (s64)(rsp - old);
		la = cpu_addr(cpu, &moved, in->size, true);
	} else {
		la = cpu_addr(cpu, in, in->size, true);
	}
	cpu_store(cpu, la, in->size, v, in->seg);
	cpu->reg[CPU_RSP] = rsp;
	return CPU_NEXT;
}

int op_pusha(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 rsp = cpu->reg[CPU_RSP];

	/* All or nothing: the lowest slot is tried first. */
	for (unsigned i = 8; i-- > 0;)
		cpu_stack_write(cpu, -(s64)((i + 1) * in->size), in->size, i == CPU_RSP ? rsp : cpu->reg[i]);
	cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, -8 * (s64)in->size);
	return CPU_NEXT;
}

int op_popa(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 v[8];

	for (unsigned i = 0; i < 8; i++)
		v[7 - i] = cpu_stack_read(cpu, (s64)(i * in->size), in->size);
	cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, 8 * (s64)in->size);
	for (unsigned i = 0; i < 8; i++) {
		if (i != CPU_RSP)
			cpu_set(cpu, i, in->size, v[i]);
	}
	return CPU_NEXT;
}

int op_enter(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned level = in->imm2 & 31, size = in->size;
	const u64 rsp = cpu->reg[CPU_RSP], mask = cpu_stack_mask(cpu);
	s64 at = -(s64)size;
	u64 frame;

	cpu_stack_write(cpu, at, size, cpu->reg[CPU_RBP]);
	frame = cpu_stack_moved(cpu, at);
	for (unsigned i = 1; i < level; i++) {
		u64 v = cpu_load(cpu, cpu_linear(cpu, CPU_SS, (cpu->reg[CPU_RBP] - i * size) & mask, size, false), size,
				 CPU_SS);

		at -= size;
		cpu_stack_write(cpu, at, size, v);
	}
	if (level) {
		at -= size;
		cpu_stack_write(cpu, at, size, frame);
	}
	at -= (s64)in->imm;
	/* The new top of the stack must be writable. */
	cpu_modify(cpu, cpu_linear(cpu, CPU_SS, (rsp + (u64)at) & mask, size, true), size, CPU_SS);
	cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, at);
	cpu_set(cpu, CPU_RBP, size, frame);
	return CPU_NEXT;
}

int op_leave(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 mask = cpu_stack_mask(cpu), rbp = cpu->reg[CPU_RBP];
	u64 v = cpu_load(cpu, cpu_linear(cpu, CPU_SS, rbp & mask, in->size, false), in->size, CPU_SS);

	cpu->reg[CPU_RSP] = (cpu->reg[CPU_RSP] & ~mask) | ((rbp + in->size) & mask);
	cpu_set(cpu, CPU_RBP, in->size, v);
	return CPU_NEXT;
}
