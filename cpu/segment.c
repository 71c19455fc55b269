// SPDX-License-Identifier: MIT
/*
 * cpu/segment.c - segments: address checks, descriptors, loading
 */
#include "cpu/access.h"
#include "cpu/ops.h"
#include "cpu/stack.h"

/* Type bits of code and data segments. */
enum { ACCESSED = 1, WRITABLE = 2, READABLE = 2, EXPAND_DOWN = 4, CONFORMING = 4, CODE = 8 };

/* ---- addresses ---- */

bool cpu_within(const struct cpu_segment *s, u64 offset, unsigned n, bool write)
{
	const u64 last = offset + n - 1;

	if (s->unusable || !s->present)
		return false;
	if (s->type & CODE) {
		if (write || !(s->type & READABLE))
			return false;
	} else {
		if (write && !(s->type & WRITABLE))
			return false;
		if (s->type & EXPAND_DOWN)
			return offset > s->limit && last <= (s->db ? 0xffffffff : 0xffff);
	}
	/* Flat segments wrap at 4 GiB. */
	return last <= s->limit || (s->limit == 0xffffffff && offset <= 0xffffffff);
}

u64 cpu_linear(struct cpu *cpu, unsigned seg, u64 offset, unsigned n, bool write)
{
	const struct cpu_segment *s = &cpu->seg[seg];

	if ((cpu->code_key & 3) == CPU_MODE_64)
		return offset + cpu->base64[seg];
	if (!cpu_within(s, offset, n, write))
		cpu_raise(cpu, seg == CPU_SS ? CPU_SS_FAULT : CPU_GP, 0);
	return (u32)(s->base + offset);
}

u64 cpu_addr_slow(struct cpu *cpu, const struct cpu_insn *in, u64 offset, unsigned n, bool write)
{
	return cpu_linear(cpu, in->seg, cpu_mask(offset, in->addr_size), n, write);
}

u64 cpu_ea(const struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_mask(cpu_offset(cpu, in), in->addr_size);
}

void cpu_read_mem(struct cpu *cpu, const struct cpu_insn *in, u64 offset, void *buf, unsigned n)
{
	cpu_read_linear(cpu, cpu_linear(cpu, in->seg, offset, n, false), buf, n, in->seg);
}

void cpu_write_mem(struct cpu *cpu, const struct cpu_insn *in, u64 offset, const void *buf, unsigned n)
{
	cpu_write_linear(cpu, cpu_linear(cpu, in->seg, offset, n, true), buf, n, in->seg);
}

bool cpu_aligned(struct cpu *cpu, const struct cpu_insn *in, u64 offset, unsigned n)
{
	return !(cpu_linear(cpu, in->seg, offset, n, false) & (n - 1));
}

/* ---- derived state ---- */

void cpu_update_mode(struct cpu *cpu)
{
	const bool wide = cpu_long_mode(cpu) && cpu->seg[CPU_CS].l;

	cpu->base64[CPU_FS] = cpu->seg[CPU_FS].base;
	cpu->base64[CPU_GS] = cpu->seg[CPU_GS].base;
	cpu->code_base = wide ? 0 : cpu->seg[CPU_CS].base;
	cpu_update_key(cpu);
}

/* ---- descriptors ---- */

void cpu_unpack_descriptor(struct cpu_segment *ret, u16 selector, u64 d)
{
	memset(ret, 0, sizeof(*ret));
	ret->selector = selector;
	ret->base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
	ret->limit = (u32)((d & 0xffff) | (d >> 32 & 0xf0000));
	ret->type = d >> 40 & 15;
	ret->s = d >> 44 & 1;
	ret->dpl = d >> 45 & 3;
	ret->present = d >> 47 & 1;
	ret->avl = d >> 52 & 1;
	ret->l = d >> 53 & 1;
	ret->db = d >> 54 & 1;
	ret->g = d >> 55 & 1;
	if (ret->g)
		ret->limit = ret->limit << 12 | 0xfff;
}

/* Where the descriptor lies; false: beyond the table. */
static bool descriptor_address(const struct cpu *cpu, u16 selector, unsigned n, u64 *la)
{
	const u32 offset = selector & 0xfff8U;

	if (selector & 4) {
		if (cpu->seg[CPU_LDTR].unusable || offset + n - 1 > cpu->seg[CPU_LDTR].limit)
			return false;
		*la = cpu->seg[CPU_LDTR].base + offset;
	} else {
		if (offset + n - 1 > cpu->gdtr.limit)
			return false;
		*la = cpu->gdtr.base + offset;
	}
	return true;
}

u64 cpu_read_descriptor(struct cpu *cpu, u16 selector, unsigned vector, u64 *la)
{
	if (!descriptor_address(cpu, selector, 8, la))
		cpu_raise(cpu, vector, selector & 0xfffc);
	return cpu_load_system(cpu, *la, 8);
}

void cpu_set_accessed(struct cpu *cpu, u64 la, u64 d)
{
	if (!(d >> 40 & ACCESSED))
		cpu_store_system(cpu, la + 5, 1, (d >> 40 & 0xff) | ACCESSED);
}

void cpu_set_null(struct cpu *cpu, unsigned seg, u16 selector)
{
	struct cpu_segment *s = &cpu->seg[seg];
	const u64 base = s->base;

	memset(s, 0, sizeof(*s));
	s->selector = selector;
	s->unusable = 1;
	if (seg == CPU_SS) {
		s->dpl = selector & 3;
		s->type = READABLE | ACCESSED;
		s->s = 1;
	} else if (cpu->features & CPU_HAS_AMD) {
		/* AMD keeps the base of a null FS or GS, Intel clears it. */
		s->base = base;
	}
	cpu_update_mode(cpu);
}

/* A stack segment for privilege cpl. */
void cpu_load_inner_stack(struct cpu *cpu, u16 selector, struct cpu_segment *ret, unsigned cpl, unsigned vector)
{
	u64 la, d;

	if (!(selector & 0xfffc))
		cpu_raise(cpu, vector, 0);
	d = cpu_read_descriptor(cpu, selector, vector, &la);
	cpu_unpack_descriptor(ret, selector, d);
	if (!ret->s || (ret->type & CODE) || !(ret->type & WRITABLE) || ret->dpl != cpl || (selector & 3U) != cpl)
		cpu_raise(cpu, vector, selector & 0xfffc);
	if (!ret->present)
		cpu_raise(cpu, CPU_SS_FAULT, selector & 0xfffc);
	cpu_set_accessed(cpu, la, d);
	ret->type |= ACCESSED;
}

static void load_real(struct cpu *cpu, unsigned seg, u16 selector)
{
	struct cpu_segment *s = &cpu->seg[seg];

	s->selector = selector;
	s->base = (u64)selector << 4;
	/* Real mode keeps the limit ("unreal mode" relies on it); virtual-8086 mode has fixed ones. */
	if (cpu->flags & CPU_F_VM) {
		s->limit = 0xffff;
		s->type = READABLE | ACCESSED;
		s->dpl = 3;
		s->present = s->s = 1;
		s->db = s->g = s->l = s->unusable = 0;
	}
	cpu_update_mode(cpu);
}

void cpu_load_data_segment(struct cpu *cpu, unsigned seg, u16 selector, unsigned vector)
{
	struct cpu_segment s;
	u64 la, d;

	if (!(selector & 0xfffc)) {
		cpu_set_null(cpu, seg, selector);
		return;
	}
	d = cpu_read_descriptor(cpu, selector, vector, &la);
	cpu_unpack_descriptor(&s, selector, d);
	if (!s.s || ((s.type & CODE) && !(s.type & READABLE)))
		cpu_raise(cpu, vector, selector & 0xfffc);
	if (!((s.type & CODE) && (s.type & CONFORMING)) && (s.dpl < cpu->cpl || s.dpl < (selector & 3)))
		cpu_raise(cpu, vector, selector & 0xfffc);
	if (!s.present)
		cpu_raise(cpu, CPU_NP, selector & 0xfffc);
	cpu_set_accessed(cpu, la, d);
	s.type |= ACCESSED;
	cpu->seg[seg] = s;
	cpu_update_mode(cpu);
}

void cpu_load_segment(struct cpu *cpu, unsigned seg, u16 selector)
{
	if (!cpu_protected(cpu)) {
		load_real(cpu, seg, selector);
	} else if (seg != CPU_SS) {
		cpu_load_data_segment(cpu, seg, selector, CPU_GP);
	} else if (!(selector & 0xfffc)) {
		if ((cpu->code_key & 3) != CPU_MODE_64 || cpu->cpl == 3 || (selector & 3) != cpu->cpl)
			cpu_raise(cpu, CPU_GP, 0);
		cpu_set_null(cpu, seg, selector);
	} else {
		struct cpu_segment s;

		cpu_load_inner_stack(cpu, selector, &s, cpu->cpl, CPU_GP);
		cpu->seg[seg] = s;
		cpu_update_mode(cpu);
	}
}

void cpu_commit_cs(struct cpu *cpu, const struct cpu_segment *cs, unsigned cpl)
{
	cpu->seg[CPU_CS] = *cs;
	cpu->seg[CPU_CS].selector = (u16)((cs->selector & ~3U) | cpl);
	cpu->seg[CPU_CS].type |= ACCESSED;
	cpu->cpl = (u8)cpl;
	cpu_update_mode(cpu);
}

/* A return to an outer level: data segments that it may not use become null. */
void cpu_drop_segments(struct cpu *cpu)
{
	static const u8 segs[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };

	for (unsigned i = 0; i < sizeof(segs); i++) {
		const struct cpu_segment *s = &cpu->seg[segs[i]];

		if (!s->unusable && s->dpl < cpu->cpl && !((s->type & CODE) && (s->type & CONFORMING)))
			cpu_set_null(cpu, segs[i], 0);
	}
}

/* ---- instructions ---- */

int op_mov_seg_rm(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned seg = in->reg & 7;
	u16 selector;

	if (seg == CPU_CS || seg > CPU_GS)
		cpu_raise(cpu, CPU_UD, 0);
	selector = (u16)cpu_get_operand(cpu, in, 2);
	cpu_load_segment(cpu, seg, selector);
	if (seg == CPU_SS) {
		cpu->events.interrupt.shadow = 1;
		cpu_attention(cpu);
	}
	return CPU_NEXT;
}

int op_mov_rm_seg(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned seg = in->reg & 7;

	if (seg > CPU_GS)
		cpu_raise(cpu, CPU_UD, 0);
	cpu_set_operand(cpu, in, in->mod == 3 ? in->size : 2, cpu->seg[seg].selector);
	return CPU_NEXT;
}

static unsigned stack_seg(const struct cpu_insn *in)
{
	return in->opcode >> 3 & 7;
}

int op_push_seg(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_push(cpu, in->size, cpu->seg[stack_seg(in)].selector);
	return CPU_NEXT;
}

int op_pop_seg(struct cpu *cpu, const struct cpu_insn *in)
{
	const u16 selector = (u16)cpu_stack_read(cpu, 0, in->size);
	const u64 rsp = cpu_stack_moved(cpu, in->size);

	cpu_load_segment(cpu, stack_seg(in), selector);
	cpu->reg[CPU_RSP] = rsp;
	if (stack_seg(in) == CPU_SS) {
		cpu->events.interrupt.shadow = 1;
		cpu_attention(cpu);
	}
	return CPU_NEXT;
}

/* LES LDS LSS LFS LGS */
int op_lfs(struct cpu *cpu, const struct cpu_insn *in)
{
	unsigned seg;
	u64 la, v;
	u16 selector;

	if (in->mod == 3)
		cpu_raise(cpu, CPU_UD, 0);
	if (in->map == 0)
		seg = in->opcode == 0xc4 ? CPU_ES : CPU_DS;
	else
		seg = in->opcode == 0xb2 ? CPU_SS : in->opcode & 7;
	la = cpu_addr(cpu, in, in->size + 2, false);
	v = cpu_load(cpu, la, in->size, in->seg);
	selector = (u16)cpu_load(cpu, la + in->size, 2, in->seg);
	cpu_load_segment(cpu, seg, selector);
	cpu_set(cpu, in->reg, in->size, v);
	return CPU_NEXT;
}

/* LDTR and TR: bad is the vector for what is wrong, absent for what is not present. */
static void load_system_segment(struct cpu *cpu, unsigned seg, u16 selector, unsigned bad, unsigned absent)
{
	struct cpu_segment s;
	u64 la, d;

	if (!(selector & 0xfffc)) {
		if (seg == CPU_TR)
			cpu_raise(cpu, bad, 0);
		cpu_set_null(cpu, seg, selector);
		return;
	}
	if ((selector & 4) || !descriptor_address(cpu, selector, cpu_long_mode(cpu) ? 16 : 8, &la))
		cpu_raise(cpu, bad, selector & 0xfffc);
	d = cpu_load_system(cpu, la, 8);
	cpu_unpack_descriptor(&s, selector, d);
	if (s.s || (seg == CPU_LDTR ? s.type != 2 : s.type != 9 && (s.type != 1 || cpu_long_mode(cpu))))
		cpu_raise(cpu, bad, selector & 0xfffc);
	if (!s.present)
		cpu_raise(cpu, absent, selector & 0xfffc);
	if (cpu_long_mode(cpu)) {
		s.base |= cpu_load_system(cpu, la + 8, 4) << 32;
		if (!cpu_canonical(cpu, s.base))
			cpu_raise(cpu, bad, selector & 0xfffc);
	}
	if (seg == CPU_TR) {
		/* Busy from now on. */
		cpu_store_system(cpu, la + 5, 1, (d >> 40 & 0xff) | 2);
		s.type |= 2;
	}
	cpu->seg[seg] = s;
}

void cpu_load_ldtr(struct cpu *cpu, u16 selector, unsigned vector)
{
	load_system_segment(cpu, CPU_LDTR, selector, vector, vector);
}

static void umip(struct cpu *cpu)
{
	if (cpu->cpl && (cpu->cr4 & (1 << 11)))
		cpu_raise(cpu, CPU_GP, 0);
}

static void verify(struct cpu *cpu, u16 selector, bool write)
{
	struct cpu_segment s;
	bool good = false;
	u64 la;

	if ((selector & 0xfffc) && descriptor_address(cpu, selector, 8, &la)) {
		cpu_unpack_descriptor(&s, selector, cpu_load_system(cpu, la, 8));
		good = s.s && ((s.type & CODE) ? !write && (s.type & READABLE) : !write || (s.type & WRITABLE));
		if (good && !((s.type & CODE) && (s.type & CONFORMING)))
			good = s.dpl >= cpu->cpl && s.dpl >= (selector & 3);
	}
	cpu->aflags = (u16)((cpu->aflags & ~(CPU_F_ZF << 8)) | (good ? CPU_F_ZF << 8 : 0));
}

/* SLDT STR LLDT LTR VERR VERW */
int op_group6(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned sub = in->reg & 7;
	u16 selector;

	if (!cpu_protected(cpu) || sub > 5)
		cpu_raise(cpu, CPU_UD, 0);
	if (sub < 2) {
		umip(cpu);
		cpu_set_operand(cpu, in, in->mod == 3 ? in->size : 2, cpu->seg[CPU_LDTR + sub].selector);
		return CPU_NEXT;
	}
	if (sub < 4 && cpu->cpl)
		cpu_raise(cpu, CPU_GP, 0);
	selector = (u16)cpu_get_operand(cpu, in, 2);
	if (sub < 4)
		load_system_segment(cpu, CPU_LDTR + (sub & 1), selector, CPU_GP, CPU_NP);
	else
		verify(cpu, selector, sub & 1);
	return CPU_NEXT;
}

/* 0F 02 LAR, 0F 03 LSL */
int op_lar(struct cpu *cpu, const struct cpu_insn *in)
{
	static const u16 lar_types = 0x1a3e | 1 << 3, lar_long = 0x1a04 | 1 << 9, lsl_types = 0x0a0e, lsl_long = 0x0a04;
	struct cpu_segment s;
	u16 selector, types;
	u64 la, d = 0;
	bool good;

	if (!cpu_protected(cpu))
		cpu_raise(cpu, CPU_UD, 0);
	selector = (u16)cpu_get_operand(cpu, in, 2);
	good = (selector & 0xfffc) && descriptor_address(cpu, selector, 8, &la);
	if (good) {
		d = cpu_load_system(cpu, la, 8);
		cpu_unpack_descriptor(&s, selector, d);
		if (in->opcode == 2)
			types = cpu_long_mode(cpu) ? lar_long : lar_types;
		else
			types = cpu_long_mode(cpu) ? lsl_long : lsl_types;
		if (!s.s)
			good = types >> s.type & 1;
		if (good && !(s.s && (s.type & CODE) && (s.type & CONFORMING)))
			good = s.dpl >= cpu->cpl && s.dpl >= (selector & 3);
		if (good)
			cpu_set(cpu, in->reg, in->size, in->opcode == 2 ? d >> 32 & 0xffff00 : s.limit);
	}
	cpu->aflags = (u16)((cpu->aflags & ~(CPU_F_ZF << 8)) | (good ? CPU_F_ZF << 8 : 0));
	return CPU_NEXT;
}
