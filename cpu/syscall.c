// SPDX-License-Identifier: MIT
/*
 * cpu/syscall.c - SYSCALL and SYSENTER, and their ways back
 */
#include "cpu/access.h"
#include "cpu/ops.h"

/* Flat segments, as these instructions load without looking at tables. */
static void flat(struct cpu_segment *s, u16 selector, bool code, bool wide, unsigned dpl)
{
	memset(s, 0, sizeof(*s));
	s->selector = selector;
	s->limit = 0xffffffff;
	s->type = code ? 11 : 3;
	s->s = s->present = s->g = 1;
	s->dpl = (u8)dpl;
	s->l = code && wide;
	s->db = !code || !wide;
}

static void flat_both(struct cpu *cpu, u16 cs_selector, u16 ss_selector, bool wide, unsigned cpl)
{
	struct cpu_segment cs;

	flat(&cs, cs_selector, true, wide, cpl);
	flat(&cpu->seg[CPU_SS], ss_selector, false, false, cpl);
	cpu_commit_cs(cpu, &cs, cpl);
	cpu->seg[CPU_CS].selector = cs_selector;
}

int op_syscall(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool wide = in->flags & CPU_IN_64, amd = cpu->features & CPU_HAS_AMD;
	const u64 next = cpu_next_rip(cpu, in), flags = cpu_rflags(cpu);
	const u16 cs = cpu->msr.star >> 32 & 0xfffc;

	if (!(cpu->efer & 1) || !cpu_protected(cpu) || (!wide && !amd))
		cpu_raise(cpu, CPU_UD, 0);
	if (cpu_long_mode(cpu)) {
		cpu->reg[CPU_RCX] = next;
		cpu->reg[11] = flags & ~CPU_F_RF;
		cpu->rip = wide ? cpu->msr.lstar : cpu->msr.cstar;
		cpu_set_rflags(cpu, (flags & ~CPU_F_RF) & ~cpu->msr.sfmask);
		flat_both(cpu, cs, (u16)(cs + 8), true, 0);
	} else {
		cpu->reg[CPU_RCX] = (u32)next;
		cpu->rip = (u32)cpu->msr.star;
		cpu->flags &= ~(CPU_F_IF | CPU_F_VM | CPU_F_RF);
		flat_both(cpu, cs, (u16)(cs + 8), false, 0);
	}
	cpu_attention(cpu);
	return CPU_JUMP;
}

int op_sysret(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool wide = in->size == 8;
	const u16 star = cpu->msr.star >> 48 & 0xffff;

	if (!(cpu->efer & 1) || !cpu_protected(cpu))
		cpu_raise(cpu, CPU_UD, 0);
	if (!(cpu->features & CPU_HAS_AMD) && !(in->flags & CPU_IN_64))
		cpu_raise(cpu, CPU_UD, 0);
	if (cpu->cpl || (wide && !cpu_canonical(cpu, cpu->reg[CPU_RCX])))
		cpu_raise(cpu, CPU_GP, 0);
	cpu->rip = wide ? cpu->reg[CPU_RCX] : (u32)cpu->reg[CPU_RCX];
	if (cpu_long_mode(cpu))
		cpu_set_rflags(cpu, (cpu->reg[11] & 0x3c7fd7) | 2);
	else
		cpu->flags |= CPU_F_IF;
	flat_both(cpu, (u16)((wide ? star + 16 : star) | 3), (u16)((star + 8) | 3), wide, 3);
	cpu_attention(cpu);
	return CPU_JUMP;
}

int op_sysenter(struct cpu *cpu, const struct cpu_insn *in)
{
	const u16 cs = cpu->msr.sysenter_cs & 0xfffc;
	const bool wide = cpu_long_mode(cpu);

	if (!(cpu->cr0 & 1) || !cs)
		cpu_raise(cpu, CPU_GP, 0);
	if (wide && (cpu->features & CPU_HAS_AMD))
		cpu_raise(cpu, CPU_UD, 0);
	cpu->flags &= ~(CPU_F_VM | CPU_F_IF | CPU_F_RF);
	flat_both(cpu, cs, (u16)(cs + 8), wide, 0);
	cpu->reg[CPU_RSP] = wide ? cpu->msr.sysenter_esp : (u32)cpu->msr.sysenter_esp;
	cpu->rip = wide ? cpu->msr.sysenter_eip : (u32)cpu->msr.sysenter_eip;
	return CPU_JUMP;
}

int op_sysexit(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool wide = in->size == 8;
	const u16 cs = cpu->msr.sysenter_cs & 0xfffc;

	if (!cpu_protected(cpu) || cpu->cpl || !cs)
		cpu_raise(cpu, CPU_GP, 0);
	if (cpu_long_mode(cpu) && (cpu->features & CPU_HAS_AMD))
		cpu_raise(cpu, CPU_UD, 0);
	if (wide && (!cpu_canonical(cpu, cpu->reg[CPU_RCX]) || !cpu_canonical(cpu, cpu->reg[CPU_RDX])))
		cpu_raise(cpu, CPU_GP, 0);
	cpu->rip = wide ? cpu->reg[CPU_RDX] : (u32)cpu->reg[CPU_RDX];
	cpu->reg[CPU_RSP] = wide ? cpu->reg[CPU_RCX] : (u32)cpu->reg[CPU_RCX];
	flat_both(cpu, (u16)((cs + (wide ? 32 : 16)) | 3), (u16)((cs + (wide ? 40 : 24)) | 3), wide, 3);
	return CPU_JUMP;
}
