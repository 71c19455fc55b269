// SPDX-License-Identifier: MIT
/*
 * cpu/system.c - flags, tables, I/O permission, CPUID, HLT, hypercalls
 */
#include "cpu/access.h"
#include "cpu/ops.h"
#include "cpu/stack.h"

/* ---- flags ---- */

u64 cpu_rflags(const struct cpu *cpu)
{
	return cpu->flags | cpu_arith(cpu) | 2;
}

void cpu_set_rflags(struct cpu *cpu, u64 rflags)
{
	cpu_set_arith(cpu, rflags);
	cpu->flags = rflags & (CPU_F_TF | CPU_F_IF | CPU_F_DF | CPU_F_IOPL | CPU_F_NT | CPU_F_RF | CPU_F_VM | CPU_F_AC |
			       CPU_F_VIF | CPU_F_VIP | CPU_F_ID);
	cpu_update_key(cpu);
	cpu_attention(cpu);
}

void cpu_write_flags(struct cpu *cpu, u64 value, u64 mask)
{
	cpu_set_rflags(cpu, (cpu_rflags(cpu) & ~mask) | (value & mask));
}

int op_pushf(struct cpu *cpu, const struct cpu_insn *in)
{
	if ((cpu->flags & CPU_F_VM) && (cpu->flags & CPU_F_IOPL) != CPU_F_IOPL)
		cpu_raise(cpu, CPU_GP, 0);
	cpu_push(cpu, in->size, cpu_rflags(cpu) & ~(CPU_F_RF | CPU_F_VM));
	return CPU_NEXT;
}

int op_popf(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 mask = CPU_F_ARITH | CPU_F_TF | CPU_F_DF | CPU_F_NT, v;

	if ((cpu->flags & CPU_F_VM) && (cpu->flags & CPU_F_IOPL) != CPU_F_IOPL)
		cpu_raise(cpu, CPU_GP, 0);
	if (in->size > 2)
		mask |= CPU_F_AC | CPU_F_ID;
	if (cpu->cpl <= (cpu->flags >> 12 & 3))
		mask |= CPU_F_IF;
	if (!cpu->cpl)
		mask |= CPU_F_IOPL;
	v = cpu_pop(cpu, in->size);
	if (!((cpu->flags ^ v) & mask & (CPU_F_AC | CPU_F_TF | CPU_F_IF))) {
		/* Nothing that matters between blocks. */
		cpu_set_arith(cpu, v);
		cpu->flags = (cpu->flags & ~(mask | CPU_F_RF)) | (v & mask & ~CPU_F_ARITH);
		return CPU_NEXT;
	}
	cpu_write_flags(cpu, v, mask | CPU_F_RF);
	cpu->flags &= ~CPU_F_RF;
	return CPU_NEXT;
}

/* FA CLI, FB STI */
int op_sti(struct cpu *cpu, const struct cpu_insn *in)
{
	if (cpu->cpl > (cpu->flags >> 12 & 3))
		cpu_raise(cpu, CPU_GP, 0);
	if (!(in->opcode & 1)) {
		cpu->flags &= ~CPU_F_IF;
		return CPU_NEXT;
	}
	if (!(cpu->flags & CPU_F_IF)) {
		cpu->flags |= CPU_F_IF;
		cpu->events.interrupt.shadow = 2;
		cpu_attention(cpu);
	}
	return CPU_NEXT;
}

/* ---- CPUID, HLT ---- */

int op_cpuid(struct cpu *cpu, const struct cpu_insn *in)
{
	u32 r[4] = { 0 };

	cpu->bus->cpuid(cpu->ctx, (u32)cpu->reg[CPU_RAX], (u32)cpu->reg[CPU_RCX], r);
	cpu->reg[CPU_RAX] = r[0];
	cpu->reg[CPU_RBX] = r[1];
	cpu->reg[CPU_RCX] = r[2];
	cpu->reg[CPU_RDX] = r[3];
	return CPU_NEXT;
}

int op_hlt(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_privileged(cpu);
	cpu->halted = true;
	cpu->halts++;
	cpu_attention(cpu);
	return CPU_NEXT;
}

/* ---- I/O permission ---- */

bool cpu_io_allowed(struct cpu *cpu, u16 port, unsigned n)
{
	const struct cpu_segment *tr = &cpu->seg[CPU_TR];
	u64 bits;
	u32 at;

	if (!(cpu->cr0 & 1) || (!(cpu->flags & CPU_F_VM) && cpu->cpl <= (cpu->flags >> 12 & 3)))
		return true;
	if (tr->unusable || !(tr->type & 8) || tr->limit < 103)
		return false;
	at = (u32)cpu_load_system(cpu, tr->base + 102, 2) + port / 8;
	if (at + 1 > tr->limit)
		return false;
	bits = cpu_load_system(cpu, tr->base + at, 2);
	return !(bits >> (port & 7) & ((1U << n) - 1));
}

/* ---- 0F 01 ---- */

static void umip(struct cpu *cpu)
{
	if (cpu->cpl && (cpu->cr4 & (1 << 11)))
		cpu_raise(cpu, CPU_GP, 0);
}

static int store_table(struct cpu *cpu, const struct cpu_insn *in, const struct cpu_table *table)
{
	const bool wide = in->flags & CPU_IN_64;
	u8 buf[10];

	umip(cpu);
	memcpy(buf, &table->limit, 2);
	memcpy(buf + 2, &table->base, 8);
	cpu_write_mem(cpu, in, cpu_ea(cpu, in), buf, wide ? 10 : 6);
	return CPU_NEXT;
}

static int load_table(struct cpu *cpu, const struct cpu_insn *in, struct cpu_table *table)
{
	const bool wide = in->flags & CPU_IN_64;
	u8 buf[10] = { 0 };
	u64 base;

	cpu_privileged(cpu);
	cpu_read_mem(cpu, in, cpu_ea(cpu, in), buf, wide ? 10 : 6);
	memcpy(&base, buf + 2, 8);
	if (!wide && in->size == 2)
		base &= 0xffffff;
	if (wide && !cpu_canonical(cpu, base))
		cpu_raise(cpu, CPU_GP, 0);
	memcpy(&table->limit, buf, 2);
	table->base = base;
	return CPU_NEXT;
}

static int hypercall(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool wide = (cpu->code_key & 3) == CPU_MODE_64;
	static const u8 order[5] = { CPU_RBX, CPU_RCX, CPU_RDX, CPU_RSI, CPU_RDI };
	const unsigned size = wide ? 8 : 4;
	u64 args[5], ret = 0;

	for (unsigned i = 0; i < 5; i++)
		args[i] = cpu_get(cpu, order[i], size);
	if (cpu->bus->hypercall && cpu->bus->hypercall(cpu->ctx, cpu_get(cpu, CPU_RAX, size), args, &ret)) {
		cpu_set(cpu, CPU_RAX, size, ret);
		return CPU_NEXT;
	}
	cpu->exit.hypercall.nr = cpu_get(cpu, CPU_RAX, size);
	memcpy(cpu->exit.hypercall.args, args, sizeof(args));
	cpu->exit.hypercall.ret = 0;
	cpu->exit.hypercall.long_mode = wide;
	cpu->pending = CPU_PENDING_HYPERCALL;
	cpu->io_length = in->length;
	cpu->io_rip = cpu_insn_rip(cpu, in) + cpu->code_base;
	cpu_exit_now(cpu, CPU_EXIT_HYPERCALL);
}

static int swapgs(struct cpu *cpu)
{
	const u64 base = cpu->seg[CPU_GS].base;

	cpu_privileged(cpu);
	cpu->seg[CPU_GS].base = cpu->msr.kernel_gs_base;
	cpu->msr.kernel_gs_base = base;
	cpu_update_mode(cpu);
	return CPU_NEXT;
}

static int access_flag(struct cpu *cpu, bool set)
{
	if (!(cpu->features & CPU_HAS_SMAP) || cpu->cpl)
		cpu_raise(cpu, CPU_UD, 0);
	cpu->flags = set ? cpu->flags | CPU_F_AC : cpu->flags & ~CPU_F_AC;
	cpu_update_key(cpu);
	return CPU_NEXT;
}

/* MONITOR and MWAIT: legal to wake at once. */
static int monitor(struct cpu *cpu)
{
	if (!(cpu->features & CPU_HAS_MONITOR) || cpu->cpl)
		cpu_raise(cpu, CPU_UD, 0);
	return CPU_NEXT;
}

static int registers_form(struct cpu *cpu, const struct cpu_insn *in)
{
	switch ((in->reg & 7) << 3 | (in->rm & 7)) {
	case 001: /* VMCALL */
	case 031: /* VMMCALL */
		return hypercall(cpu, in);
	case 010:
	case 011:
		return monitor(cpu);
	case 012: /* CLAC */
	case 013: /* STAC */
		return access_flag(cpu, in->rm & 1);
	case 020:
		return cpu_xgetbv(cpu, in);
	case 021:
		return cpu_xsetbv(cpu, in);
	case 070:
		if (!(in->flags & CPU_IN_64))
			break;
		return swapgs(cpu);
	case 071:
		return op_rdtscp(cpu, in);
	}
	cpu_raise(cpu, CPU_UD, 0);
}

int op_group7(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned sub = in->reg & 7;
	u64 v;

	if (sub == 4) { /* SMSW */
		umip(cpu);
		cpu_set_operand(cpu, in, in->mod == 3 ? in->size : 2, cpu->cr0);
		return CPU_NEXT;
	}
	if (sub == 6) { /* LMSW sets PE but does not clear it */
		cpu_privileged(cpu);
		v = cpu_get_operand(cpu, in, 2);
		cpu_write_cr0(cpu, (cpu->cr0 & ~0xeULL) | (v & 0xf));
		return CPU_NEXT;
	}
	if (in->mod == 3)
		return registers_form(cpu, in);
	switch (sub) {
	case 0:
		return store_table(cpu, in, &cpu->gdtr);
	case 1:
		return store_table(cpu, in, &cpu->idtr);
	case 2:
		return load_table(cpu, in, &cpu->gdtr);
	case 3:
		return load_table(cpu, in, &cpu->idtr);
	case 7: /* INVLPG */
		cpu_privileged(cpu);
		v = cpu_ea(cpu, in);
		if (in->flags & CPU_IN_64)
			cpu_invalidate(cpu, v + cpu->base64[in->seg]);
		else
			cpu_invalidate(cpu, (u32)(v + cpu->seg[in->seg].base));
		return CPU_NEXT;
	}
	cpu_raise(cpu, CPU_UD, 0);
}
