// SPDX-License-Identifier: MIT
/*
 * cpu/cr.c - control and debug registers
 */
#include "cpu/access.h"
#include "cpu/debug.h"
#include "cpu/ops.h"

#define CR0_PE	  (1ULL << 0)
#define CR0_MP	  (1ULL << 1)
#define CR0_EM	  (1ULL << 2)
#define CR0_TS	  (1ULL << 3)
#define CR0_NW	  (1ULL << 29)
#define CR0_CD	  (1ULL << 30)
#define CR0_PG	  (1ULL << 31)
#define CR4_PAE	  (1ULL << 5)
#define CR4_LA57  (1ULL << 12)
#define CR4_PCIDE (1ULL << 17)
#define EFER_LME  (1ULL << 8)
#define EFER_LMA  (1ULL << 10)

void cpu_write_cr0(struct cpu *cpu, u64 v)
{
	const u64 old = cpu->cr0;

	v |= 1 << 4; /* ET */
	if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
		cpu_raise(cpu, CPU_GP, 0);
	v &= 0xe005003f;
	if ((v & CR0_PG) && !(old & CR0_PG)) {
		if (cpu->efer & EFER_LME) {
			if (!(cpu->cr4 & CR4_PAE) || cpu->seg[CPU_CS].l)
				cpu_raise(cpu, CPU_GP, 0);
			cpu->efer |= EFER_LMA;
		} else if (cpu->cr4 & CR4_PAE) {
			cpu_load_pdptrs(cpu, cpu->cr3);
		}
	}
	if (!(v & CR0_PG) && (old & CR0_PG)) {
		if ((cpu->code_key & 3) == CPU_MODE_64 || (cpu->cr4 & CR4_PCIDE))
			cpu_raise(cpu, CPU_GP, 0);
		cpu->efer &= ~EFER_LMA;
	}
	cpu->cr0 = v;
	if ((v ^ old) & (CR0_PG | CR0_PE | 1 << 16))
		cpu_flush_tlb(cpu);
	cpu_update_mode(cpu);
}

void cpu_write_cr3(struct cpu *cpu, u64 v)
{
	if (cpu_long_mode(cpu)) {
		if (cpu->cr4 & CR4_PCIDE)
			v &= ~(1ULL << 63);
		if (v >> cpu->phys_bits)
			cpu_raise(cpu, CPU_GP, 0);
	} else {
		v = (u32)v;
		if ((cpu->cr4 & CR4_PAE) && (cpu->cr0 & CR0_PG))
			cpu_load_pdptrs(cpu, v);
	}
	cpu->cr3 = v;
	cpu_flush_tlb(cpu);
}

static u64 cr4_allowed(const struct cpu *cpu)
{
	u64 allowed = 0x7ff; /* VME to OSXMMEXCPT */

	allowed |= cpu->features & CPU_HAS_UMIP ? 1 << 11 : 0;
	allowed |= cpu->features & CPU_HAS_LA57 ? CR4_LA57 : 0;
	allowed |= cpu->features & CPU_HAS_FSGSBASE ? 1 << 16 : 0;
	allowed |= cpu->features & CPU_HAS_PCID ? CR4_PCIDE : 0;
	allowed |= cpu->features & CPU_HAS_XSAVE ? 1 << 18 : 0;
	allowed |= cpu->features & CPU_HAS_SMEP ? 1 << 20 : 0;
	allowed |= cpu->features & CPU_HAS_SMAP ? 1 << 21 : 0;
	return allowed;
}

static void write_cr4(struct cpu *cpu, u64 v)
{
	const u64 old = cpu->cr4;

	if (v & ~cr4_allowed(cpu))
		cpu_raise(cpu, CPU_GP, 0);
	if (cpu_long_mode(cpu)) {
		if (!(v & CR4_PAE) || ((v ^ old) & CR4_LA57))
			cpu_raise(cpu, CPU_GP, 0);
	} else if (v & CR4_PCIDE) {
		cpu_raise(cpu, CPU_GP, 0);
	}
	if ((v & CR4_PCIDE) && !(old & CR4_PCIDE) && (cpu->cr3 & 0xfff))
		cpu_raise(cpu, CPU_GP, 0);
	if (!cpu_long_mode(cpu) && (v & CR4_PAE) && (cpu->cr0 & CR0_PG) && ((v ^ old) & 0xb0))
		cpu_load_pdptrs(cpu, cpu->cr3);
	cpu->cr4 = v;
	cpu_flush_tlb(cpu);
}

static u64 read_cr8(struct cpu *cpu)
{
	return cpu->bus->get_tpr ? cpu->bus->get_tpr(cpu->ctx) : cpu->cr8;
}

static void write_cr8(struct cpu *cpu, u64 v)
{
	if (v >> 4)
		cpu_raise(cpu, CPU_GP, 0);
	cpu->cr8 = v;
	if (cpu->bus->set_tpr)
		cpu->bus->set_tpr(cpu->ctx, v);
	/* Interrupts that it held back may come now. */
	cpu->irq_waiting = true;
	cpu_attention(cpu);
}

static u64 read_cr(struct cpu *cpu, unsigned n)
{
	switch (n) {
	case 0:
		return cpu->cr0;
	case 2:
		return cpu->cr2;
	case 3:
		return cpu->cr3;
	case 4:
		return cpu->cr4;
	case 8:
		if (cpu->code_key & 2)
			return read_cr8(cpu);
	}
	cpu_raise(cpu, CPU_UD, 0);
}

static void write_cr(struct cpu *cpu, unsigned n, u64 v)
{
	switch (n) {
	case 0:
		cpu_write_cr0(cpu, v);
		return;
	case 2:
		cpu->cr2 = v;
		return;
	case 3:
		cpu_write_cr3(cpu, v);
		return;
	case 4:
		write_cr4(cpu, v);
		return;
	case 8:
		if (cpu->code_key & 2) {
			write_cr8(cpu, v);
			return;
		}
	}
	cpu_raise(cpu, CPU_UD, 0);
}

static unsigned debug_register(struct cpu *cpu, unsigned n)
{
	if (n > 7 || ((n == 4 || n == 5) && (cpu->cr4 & (1 << 3))))
		cpu_raise(cpu, CPU_UD, 0);
	if (cpu_dr7(cpu) & (1 << 13)) {
		/* General detect: the owner's first. */
		if (cpu->guest_debug & CPU_DEBUG_HW_BP) {
			cpu->exit.debug.exception = CPU_DB;
			cpu->exit.debug.pc = cpu_insn_rip(cpu, cpu->insn) + cpu->code_base;
			cpu->exit.debug.dr6 = 0xffff0ff0 | 1 << 13;
			cpu->exit.debug.dr7 = cpu->debug_dr7;
			cpu_exit_now(cpu, CPU_EXIT_DEBUG);
		}
		cpu->dr6 |= 1 << 13;
		cpu->dr7 &= ~(1ULL << 13);
		cpu->fault.vector = CPU_DB;
		cpu->fault.has_error = cpu->fault.trap = false;
		cpu_leave(cpu, CPU_LEAVE_EXCEPTION);
	}
	return n == 4 || n == 5 ? n + 2 : n;
}

static u64 read_dr(struct cpu *cpu, unsigned n)
{
	n = debug_register(cpu, n);
	return n == 6 ? cpu->dr6 : n == 7 ? cpu->dr7 : cpu->dr[n];
}

static void write_dr(struct cpu *cpu, unsigned n, u64 v)
{
	n = debug_register(cpu, n);
	if (n >= 6 && v >> 32)
		cpu_raise(cpu, CPU_GP, 0);
	if (n == 6)
		cpu->dr6 = (v & 0xe00f) | 0xffff0ff0;
	else if (n == 7)
		cpu->dr7 = (v & 0xffff2bff) | 0x400;
	else
		cpu->dr[n] = v;
	/* Watched pages leave the TLB. */
	cpu_flush_tlb(cpu);
	cpu_attention(cpu);
}

/* 0F 20..23: MOV from CR, from DR, to CR, to DR; always full width. */
int op_mov_cr(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->flags & CPU_IN_64 ? 8 : 4;

	cpu_privileged(cpu);
	switch (in->opcode) {
	case 0x20:
		cpu_set(cpu, in->rm, size, read_cr(cpu, in->reg));
		break;
	case 0x21:
		cpu_set(cpu, in->rm, size, read_dr(cpu, in->reg));
		break;
	case 0x22:
		write_cr(cpu, in->reg, cpu_get(cpu, in->rm, size));
		break;
	default:
		write_dr(cpu, in->reg, cpu_get(cpu, in->rm, size));
	}
	return CPU_NEXT;
}

int op_clts(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_privileged(cpu);
	cpu->cr0 &= ~CR0_TS;
	return CPU_NEXT;
}

/* INVD, WBINVD: caches are the host's. */
int op_wbinvd(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_privileged(cpu);
	return CPU_NEXT;
}

int op_invpcid(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 descriptor[2], type;

	if (!(cpu->features & CPU_HAS_INVPCID) || in->mod == 3)
		cpu_raise(cpu, CPU_UD, 0);
	cpu_privileged(cpu);
	cpu_read_mem(cpu, in, cpu_ea(cpu, in), descriptor, 16);
	type = cpu->reg[in->reg];
	if (type > 3 || descriptor[0] >> 12 || (type == 0 && !cpu_canonical(cpu, descriptor[1])))
		cpu_raise(cpu, CPU_GP, 0);
	cpu_flush_tlb(cpu);
	return CPU_NEXT;
}
