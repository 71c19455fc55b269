// SPDX-License-Identifier: MIT
/*
 * cpu/msr.c - model specific registers; the time-stamp counter
 */
#include "cpu/access.h"
#include "cpu/ops.h"

u64 cpu_time_stamp(struct cpu *cpu)
{
	u32 low, high;

	if (cpu->bus->rdtsc)
		return cpu->bus->rdtsc(cpu->ctx);
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return ((u64)high << 32 | low) + cpu->tsc_offset;
}

static void set_edx_eax(struct cpu *cpu, u64 v)
{
	cpu->reg[CPU_RAX] = (u32)v;
	cpu->reg[CPU_RDX] = v >> 32;
}

int op_rdtsc(struct cpu *cpu, const struct cpu_insn *in)
{
	if (cpu->cpl && (cpu->cr4 & (1 << 2)))
		cpu_raise(cpu, CPU_GP, 0);
	set_edx_eax(cpu, cpu_time_stamp(cpu));
	return CPU_NEXT;
}

int op_rdtscp(struct cpu *cpu, const struct cpu_insn *in)
{
	if (!(cpu->features & CPU_HAS_RDTSCP))
		cpu_raise(cpu, CPU_UD, 0);
	op_rdtsc(cpu, in);
	cpu->reg[CPU_RCX] = (u32)cpu->msr.tsc_aux;
	return CPU_NEXT;
}

int op_rdpmc(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_raise(cpu, CPU_GP, 0);
}

/* ---- MSRs ---- */

static void msr_exit(struct cpu *cpu, const struct cpu_insn *in, u32 index, u64 value, bool write)
{
	cpu->exit.msr.index = index;
	cpu->exit.msr.value = value;
	cpu->exit.msr.is_write = write;
	cpu->exit.msr.failed = false;
	cpu->pending = CPU_PENDING_MSR;
	cpu->io_length = in->length;
	cpu->io_rip = cpu_insn_rip(cpu, in) + cpu->code_base;
	cpu_exit_now(cpu, CPU_EXIT_MSR);
}

static enum cpu_msr msr_invalid(struct cpu *cpu)
{
	return cpu->bus->msr_invalid ? cpu->bus->msr_invalid(cpu->ctx) : CPU_MSR_GP;
}

static enum cpu_msr read_msr(struct cpu *cpu, u32 index, u64 *ret)
{
	enum cpu_msr r = cpu->bus->msr_filter ? cpu->bus->msr_filter(cpu->ctx, index, false) : CPU_MSR_OK;

	if (r != CPU_MSR_OK)
		return r;
	if (cpu_guest_msr_hidden(cpu, index))
		return msr_invalid(cpu);
	if (cpu_get_msr(cpu, index, ret))
		return CPU_MSR_OK;
	return cpu->bus->rdmsr ? cpu->bus->rdmsr(cpu->ctx, index, ret) : CPU_MSR_GP;
}

static enum cpu_msr write_msr(struct cpu *cpu, u32 index, u64 v)
{
	enum cpu_msr r = cpu->bus->msr_filter ? cpu->bus->msr_filter(cpu->ctx, index, true) : CPU_MSR_OK;
	int own;

	if (r != CPU_MSR_OK)
		return r;
	own = cpu_guest_wrmsr(cpu, index, v);
	if (own == -EINVAL)
		return msr_invalid(cpu);
	if (own == 0)
		return CPU_MSR_OK;
	return cpu->bus->wrmsr ? cpu->bus->wrmsr(cpu->ctx, index, v) : CPU_MSR_GP;
}

int op_rdmsr(struct cpu *cpu, const struct cpu_insn *in)
{
	const u32 index = (u32)cpu->reg[CPU_RCX];
	enum cpu_msr r;
	u64 v = 0;

	cpu_privileged(cpu);
	r = read_msr(cpu, index, &v);
	if (r == CPU_MSR_EXIT)
		msr_exit(cpu, in, index, 0, false);
	if (r == CPU_MSR_GP)
		cpu_raise(cpu, CPU_GP, 0);
	set_edx_eax(cpu, v);
	return CPU_NEXT;
}

int op_wrmsr(struct cpu *cpu, const struct cpu_insn *in)
{
	const u32 index = (u32)cpu->reg[CPU_RCX];
	const u64 v = (u32)cpu->reg[CPU_RAX] | cpu->reg[CPU_RDX] << 32;
	enum cpu_msr r;

	cpu_privileged(cpu);
	r = write_msr(cpu, index, v);
	if (r == CPU_MSR_EXIT)
		msr_exit(cpu, in, index, v, true);
	if (r == CPU_MSR_GP)
		cpu_raise(cpu, CPU_GP, 0);
	cpu_attention(cpu);
	return CPU_NEXT;
}
