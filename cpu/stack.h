/* SPDX-License-Identifier: MIT */
/*
 * cpu/stack.h - pushing and popping
 *
 * cpu_stack_write() and cpu_stack_read() work at a distance from RSP and leave it
 * alone, so that an instruction with several of them commits RSP once, last.
 */
#ifndef GMEM_CPU_STACK_H
#define GMEM_CPU_STACK_H

#include "cpu/access.h"

static inline u64 cpu_stack_mask(const struct cpu *cpu)
{
	if (likely((cpu->code_key & 3) == CPU_MODE_64))
		return ~0ULL;
	return cpu->seg[CPU_SS].db ? 0xffffffff : 0xffff;
}

static inline u64 cpu_stack_moved(const struct cpu *cpu, s64 distance)
{
	const u64 mask = cpu_stack_mask(cpu), rsp = cpu->reg[CPU_RSP];

	return (rsp & ~mask) | ((rsp + (u64)distance) & mask);
}

static inline u64 cpu_stack_linear(struct cpu *cpu, s64 distance, unsigned size, bool write)
{
	const u64 offset = (cpu->reg[CPU_RSP] + (u64)distance) & cpu_stack_mask(cpu);

	if (likely((cpu->code_key & 3) == CPU_MODE_64))
		return offset;
	return cpu_linear(cpu, CPU_SS, offset, size, write);
}

static inline void cpu_stack_write(struct cpu *cpu, s64 distance, unsigned size, u64 v)
{
	cpu_store(cpu, cpu_stack_linear(cpu, distance, size, true), size, v, CPU_SS);
}

static inline u64 cpu_stack_read(struct cpu *cpu, s64 distance, unsigned size)
{
	return cpu_load(cpu, cpu_stack_linear(cpu, distance, size, false), size, CPU_SS);
}

static inline void cpu_push(struct cpu *cpu, unsigned size, u64 v)
{
	cpu_stack_write(cpu, -(s64)size, size, v);
	cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, -(s64)size);
}

static inline u64 cpu_pop(struct cpu *cpu, unsigned size)
{
	u64 v = cpu_stack_read(cpu, 0, size);

	cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, size);
	return v;
}

#endif
