// SPDX-License-Identifier: MIT
/*
 * cpu/far.c - jumps, calls and returns between segments; IRET
 */
#include "cpu/access.h"
#include "cpu/ops.h"
#include "cpu/stack.h"
#include "cpu/task.h"

struct far_pointer {
	u16 selector;
	u64 offset;
};

/* ptr16:16/32, or FF /3 and /5's memory operand. */
static struct far_pointer far_operand(struct cpu *cpu, const struct cpu_insn *in)
{
	struct far_pointer p;
	u64 la;

	if (in->opcode != 0xff) {
		p.offset = cpu_mask((u64)in->imm, in->size);
		p.selector = (u16)in->disp;
		return p;
	}
	if (in->mod == 3)
		cpu_raise(cpu, CPU_UD, 0);
	la = cpu_addr(cpu, in, in->size + 2, false);
	p.offset = cpu_load(cpu, la, in->size, in->seg);
	p.selector = (u16)cpu_load(cpu, la + in->size, 2, in->seg);
	return p;
}

static void check_offset(struct cpu *cpu, const struct cpu_segment *cs, u64 offset)
{
	if (cpu_long_mode(cpu) && cs->l) {
		if (!cpu_canonical(cpu, offset))
			cpu_raise(cpu, CPU_GP, 0);
	} else if ((u32)offset > cs->limit) {
		cpu_raise(cpu, CPU_GP, 0);
	}
}

static void far_real(struct cpu *cpu, struct far_pointer p)
{
	if (p.offset > cpu->seg[CPU_CS].limit)
		cpu_raise(cpu, CPU_GP, 0);
	cpu_load_segment(cpu, CPU_CS, p.selector);
	cpu->rip = p.offset;
}

/* The code segment of a direct far transfer; rights as of JMP and CALL. */
static void direct_segment(struct cpu *cpu, struct cpu_segment *cs, u16 selector, u64 d, u64 la)
{
	cpu_unpack_descriptor(cs, selector, d);
	if (cs->type & 4 ? cs->dpl > cpu->cpl : (selector & 3) > cpu->cpl || cs->dpl != cpu->cpl)
		cpu_raise(cpu, CPU_GP, selector & 0xfffc);
	if (!cs->present)
		cpu_raise(cpu, CPU_NP, selector & 0xfffc);
	if (cpu_long_mode(cpu) && cs->l && cs->db)
		cpu_raise(cpu, CPU_GP, selector & 0xfffc);
	cpu_set_accessed(cpu, la, d);
}

struct gate {
	struct cpu_segment cs;
	u64 offset;
	unsigned size, cpl, parameters;
};

/* A call gate: the target with the privilege it leads to. */
static struct gate read_gate(struct cpu *cpu, u16 selector, u64 d, u64 la, bool jump)
{
	const unsigned type = d >> 40 & 31, dpl = d >> 45 & 3;
	struct gate g = { .size = type == 4 ? 2 : 4 };
	const u16 target = d >> 16 & 0xffff;
	u64 cs_la, cs_d, high;

	if (cpu_long_mode(cpu) ? type != 12 : type != 4 && type != 12)
		cpu_raise(cpu, CPU_GP, selector & 0xfffc);
	if (dpl < cpu->cpl || dpl < (selector & 3))
		cpu_raise(cpu, CPU_GP, selector & 0xfffc);
	if (!(d >> 47 & 1))
		cpu_raise(cpu, CPU_NP, selector & 0xfffc);
	g.offset = (d & 0xffff) | (g.size > 2 ? d >> 32 & 0xffff0000 : 0);
	g.parameters = d >> 32 & 31;
	if (cpu_long_mode(cpu)) {
		g.size = 8;
		g.parameters = 0;
		high = cpu_load_system(cpu, la + 8, 8);
		if (high >> 40 & 31)
			cpu_raise(cpu, CPU_GP, selector & 0xfffc);
		g.offset |= high << 32;
	}
	if (!(target & 0xfffc))
		cpu_raise(cpu, CPU_GP, 0);
	cs_d = cpu_read_descriptor(cpu, target, CPU_GP, &cs_la);
	cpu_unpack_descriptor(&g.cs, target, cs_d);
	if (!g.cs.s || !(g.cs.type & 8) || g.cs.dpl > cpu->cpl || (jump && !(g.cs.type & 4) && g.cs.dpl != cpu->cpl))
		cpu_raise(cpu, CPU_GP, target & 0xfffc);
	if (cpu_long_mode(cpu) && (!g.cs.l || g.cs.db))
		cpu_raise(cpu, CPU_GP, target & 0xfffc);
	if (!g.cs.present)
		cpu_raise(cpu, CPU_NP, target & 0xfffc);
	g.cpl = g.cs.type & 4 || jump ? cpu->cpl : g.cs.dpl;
	check_offset(cpu, &g.cs, g.offset);
	cpu_set_accessed(cpu, cs_la, cs_d);
	return g;
}

int op_jmpf_i(struct cpu *cpu, const struct cpu_insn *in)
{
	const struct far_pointer p = far_operand(cpu, in);
	struct cpu_segment cs;
	u64 la, d;

	if (!cpu_protected(cpu)) {
		far_real(cpu, p);
		return CPU_JUMP;
	}
	if (!(p.selector & 0xfffc))
		cpu_raise(cpu, CPU_GP, 0);
	d = cpu_read_descriptor(cpu, p.selector, CPU_GP, &la);
	if ((d >> 43 & 3) == 3) {
		direct_segment(cpu, &cs, p.selector, d, la);
		check_offset(cpu, &cs, p.offset);
		cpu_commit_cs(cpu, &cs, cpu->cpl);
		cpu->rip = p.offset;
	} else if (!cpu_task_transfer(cpu, p.selector, d, CPU_TASK_JUMP, cpu_next_rip(cpu, in))) {
		struct gate g = read_gate(cpu, p.selector, d, la, true);

		cpu_commit_cs(cpu, &g.cs, g.cpl);
		cpu->rip = g.offset;
	}
	return CPU_JUMP;
}

/* A call through a gate to an inner level: its stack, the caller's SS:RSP and parameters. */
static void call_inner(struct cpu *cpu, const struct gate *g, u64 next)
{
	const struct cpu_segment *tr = &cpu->seg[CPU_TR];
	struct cpu_segment ss = { 0 };
	u64 slots[4 + 32], rsp, mask = ~0ULL;
	unsigned n = 0;

	if (cpu_long_mode(cpu)) {
		const u32 at = 4 + 8 * g->cpl;

		if (at + 7 > tr->limit)
			cpu_raise(cpu, CPU_TS, tr->selector & 0xfffc);
		rsp = cpu_load_system(cpu, tr->base + at, 8);
		if (!cpu_canonical(cpu, rsp))
			cpu_raise(cpu, CPU_SS_FAULT, 0);
	} else {
		const bool wide = tr->type & 8;
		const u32 at = wide ? 4 + 8 * g->cpl : 2 + 4 * g->cpl;

		if (at + (wide ? 7 : 3) > tr->limit)
			cpu_raise(cpu, CPU_TS, tr->selector & 0xfffc);
		rsp = cpu_load_system(cpu, tr->base + at, wide ? 4 : 2);
		cpu_load_inner_stack(cpu, (u16)cpu_load_system(cpu, tr->base + at + (wide ? 4 : 2), 2), &ss, g->cpl,
				     CPU_TS);
		mask = ss.db ? 0xffffffff : 0xffff;
	}
	slots[n++] = cpu->seg[CPU_SS].selector;
	slots[n++] = cpu->reg[CPU_RSP];
	for (unsigned i = g->parameters; i-- > 0;)
		slots[n++] = cpu_stack_read(cpu, (s64)(i * g->size), g->size);
	slots[n++] = cpu->seg[CPU_CS].selector;
	slots[n++] = next;
	for (unsigned i = 0; i < n; i++) {
		const u64 to = (rsp - g->size * (i + 1)) & mask;

		if (!cpu_long_mode(cpu) && !cpu_within(&ss, to, g->size, true))
			cpu_raise(cpu, CPU_SS_FAULT, ss.selector & 0xfffc);
		cpu_store_system(cpu, cpu_long_mode(cpu) ? to : (u32)(ss.base + to), g->size, slots[i]);
	}
	if (cpu_long_mode(cpu))
		cpu_set_null(cpu, CPU_SS, (u16)g->cpl);
	else
		cpu->seg[CPU_SS] = ss;
	cpu->reg[CPU_RSP] = (rsp & ~mask) | ((rsp - g->size * n) & mask);
}

static void push_return(struct cpu *cpu, unsigned size, u64 next)
{
	cpu_stack_write(cpu, -(s64)size, size, cpu->seg[CPU_CS].selector);
	cpu_stack_write(cpu, -2 * (s64)size, size, next);
	cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, -2 * (s64)size);
}

int op_callf_i(struct cpu *cpu, const struct cpu_insn *in)
{
	const struct far_pointer p = far_operand(cpu, in);
	const u64 next = cpu_next_rip(cpu, in);
	struct cpu_segment cs;
	u64 la, d;

	if (!cpu_protected(cpu)) {
		if (p.offset > cpu->seg[CPU_CS].limit)
			cpu_raise(cpu, CPU_GP, 0);
		push_return(cpu, in->size, next);
		far_real(cpu, p);
		return CPU_JUMP;
	}
	if (!(p.selector & 0xfffc))
		cpu_raise(cpu, CPU_GP, 0);
	d = cpu_read_descriptor(cpu, p.selector, CPU_GP, &la);
	if ((d >> 43 & 3) == 3) {
		direct_segment(cpu, &cs, p.selector, d, la);
		check_offset(cpu, &cs, p.offset);
		push_return(cpu, in->size, next);
		cpu_commit_cs(cpu, &cs, cpu->cpl);
		cpu->rip = p.offset;
	} else if (!cpu_task_transfer(cpu, p.selector, d, CPU_TASK_CALL, next)) {
		struct gate g = read_gate(cpu, p.selector, d, la, false);

		if (g.cpl < cpu->cpl)
			call_inner(cpu, &g, next);
		else
			push_return(cpu, g.size, next);
		cpu_commit_cs(cpu, &g.cs, g.cpl);
		cpu->rip = g.offset;
	}
	return CPU_JUMP;
}

/* ---- far returns ---- */

/* The code segment that a RETF or IRET goes to; #GP when it may not. */
static void return_segment(struct cpu *cpu, struct cpu_segment *cs, u16 selector)
{
	u64 la, d;

	if (!(selector & 0xfffc))
		cpu_raise(cpu, CPU_GP, 0);
	d = cpu_read_descriptor(cpu, selector, CPU_GP, &la);
	cpu_unpack_descriptor(cs, selector, d);
	if (!cs->s || !(cs->type & 8) || (selector & 3) < cpu->cpl ||
	    (cs->type & 4 ? cs->dpl > (selector & 3) : cs->dpl != (selector & 3)) ||
	    (cpu_long_mode(cpu) && cs->l && cs->db))
		cpu_raise(cpu, CPU_GP, selector & 0xfffc);
	if (!cs->present)
		cpu_raise(cpu, CPU_NP, selector & 0xfffc);
	cpu_set_accessed(cpu, la, d);
}

/* Where a return leads: everything is read and checked before anything changes. */
struct way_back {
	struct cpu_segment cs, ss;
	u64 rip, rsp;
	unsigned cpl;
	bool outer, null_ss;
};

static void outer_stack(struct cpu *cpu, struct way_back *b, u16 selector)
{
	b->null_ss = !(selector & 0xfffc);
	if (b->null_ss) {
		if (!(cpu_long_mode(cpu) && b->cs.l) || b->cpl == 3 || (selector & 3U) != b->cpl)
			cpu_raise(cpu, CPU_GP, 0);
		b->ss.selector = selector;
		return;
	}
	cpu_load_inner_stack(cpu, selector, &b->ss, b->cpl, CPU_GP);
}

static void go_back(struct cpu *cpu, const struct way_back *b, s64 release)
{
	const bool lower = b->cpl > cpu->cpl;

	cpu_commit_cs(cpu, &b->cs, b->cpl);
	if (b->outer) {
		if (b->null_ss)
			cpu_set_null(cpu, CPU_SS, b->ss.selector);
		else
			cpu->seg[CPU_SS] = b->ss;
		cpu->reg[CPU_RSP] = b->rsp;
	}
	cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, release);
	cpu->rip = b->rip;
	if (lower)
		cpu_drop_segments(cpu);
}

int op_retf(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size;
	struct way_back b = { .rip = cpu_stack_read(cpu, 0, size) };
	const u16 selector = (u16)cpu_stack_read(cpu, size, size);

	if (!cpu_protected(cpu)) {
		if (b.rip > cpu->seg[CPU_CS].limit)
			cpu_raise(cpu, CPU_GP, 0);
		cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, 2 * size + in->imm);
		cpu_load_segment(cpu, CPU_CS, selector);
		cpu->rip = b.rip;
		return CPU_JUMP;
	}
	return_segment(cpu, &b.cs, selector);
	b.cpl = selector & 3;
	check_offset(cpu, &b.cs, b.rip);
	b.outer = b.cpl > cpu->cpl;
	if (b.outer) {
		b.rsp = cpu_stack_read(cpu, 2 * size + in->imm, size);
		outer_stack(cpu, &b, (u16)cpu_stack_read(cpu, 3 * size + in->imm, size));
		go_back(cpu, &b, in->imm);
	} else {
		go_back(cpu, &b, 2 * size + in->imm);
	}
	return CPU_JUMP;
}

/* ---- IRET ---- */

static int iret_v86(struct cpu *cpu, u64 rip, u16 selector, u64 flags)
{
	static const u8 segs[] = { CPU_SS, CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	u64 rsp = cpu_stack_read(cpu, 12, 4);
	u16 values[5];

	for (unsigned i = 0; i < 5; i++)
		values[i] = (u16)cpu_stack_read(cpu, 16 + 4 * i, 4);
	cpu_write_flags(cpu, flags, ~0ULL);
	cpu->flags |= CPU_F_VM;
	cpu->cpl = 3;
	cpu_load_segment(cpu, CPU_CS, selector);
	for (unsigned i = 0; i < 5; i++)
		cpu_load_segment(cpu, segs[i], values[i]);
	cpu->reg[CPU_RSP] = rsp;
	cpu->rip = rip & 0xffff;
	cpu_update_mode(cpu);
	return CPU_JUMP;
}

static u64 iret_mask(const struct cpu *cpu, unsigned size)
{
	u64 mask = CPU_F_ARITH | CPU_F_TF | CPU_F_DF | CPU_F_NT;

	if (size > 2)
		mask |= CPU_F_RF | CPU_F_AC | CPU_F_ID;
	if (cpu->cpl <= (cpu->flags >> 12 & 3) || !cpu_protected(cpu))
		mask |= CPU_F_IF;
	if (!cpu->cpl)
		mask |= CPU_F_IOPL | (size > 2 ? CPU_F_VIF | CPU_F_VIP : 0);
	return mask;
}

static int iret_real(struct cpu *cpu, unsigned size)
{
	const u64 rip = cpu_stack_read(cpu, 0, size), flags = cpu_stack_read(cpu, 2 * size, size);
	const u16 selector = (u16)cpu_stack_read(cpu, size, size);

	/* Virtual-8086 mode needs IOPL 3. */
	if ((cpu->flags & CPU_F_VM) && (cpu->flags & CPU_F_IOPL) != CPU_F_IOPL)
		cpu_raise(cpu, CPU_GP, 0);
	if (rip > cpu->seg[CPU_CS].limit)
		cpu_raise(cpu, CPU_GP, 0);
	cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, 3 * size);
	cpu_write_flags(cpu, flags, iret_mask(cpu, size) | (cpu->cr0 & 1 ? 0 : CPU_F_IOPL));
	cpu_load_segment(cpu, CPU_CS, selector);
	cpu->rip = rip;
	return CPU_JUMP;
}

int op_iret(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size;
	const bool wide = (cpu->code_key & 3) == CPU_MODE_64;
	struct way_back b = { 0 };
	u64 flags, mask;
	u16 selector;

	/* Whatever becomes of it, a pending NMI may come behind it, or before the first instruction of its fault's handler. */
	cpu->events.nmi.masked = 0;
	if (cpu->events.nmi.pending)
		cpu_attention(cpu);
	if (!cpu_protected(cpu))
		return iret_real(cpu, size);
	if (cpu->flags & CPU_F_NT) {
		if (cpu_long_mode(cpu))
			cpu_raise(cpu, CPU_GP, 0);
		cpu_task_return(cpu, cpu_next_rip(cpu, in));
		return CPU_JUMP;
	}
	b.rip = cpu_stack_read(cpu, 0, size);
	selector = (u16)cpu_stack_read(cpu, size, size);
	flags = cpu_stack_read(cpu, 2 * size, size);
	if ((flags & CPU_F_VM) && !cpu->cpl && !cpu_long_mode(cpu) && size == 4)
		return iret_v86(cpu, b.rip, selector, flags);
	return_segment(cpu, &b.cs, selector);
	b.cpl = selector & 3;
	check_offset(cpu, &b.cs, b.rip);
	mask = iret_mask(cpu, size);
	b.outer = b.cpl > cpu->cpl || wide;
	if (b.outer) {
		b.rsp = cpu_stack_read(cpu, 3 * size, size);
		outer_stack(cpu, &b, (u16)cpu_stack_read(cpu, 4 * size, size));
	}
	go_back(cpu, &b, b.outer ? 0 : 3 * size);
	cpu_write_flags(cpu, flags, mask);
	cpu_update_key(cpu);
	cpu_attention(cpu);
	return CPU_JUMP;
}
