/* SPDX-License-Identifier: MIT */
/*
 * cpu/debug.h - debug registers: breakpoints on instructions, data and I/O
 */
#ifndef GMEM_CPU_DEBUG_H
#define GMEM_CPU_DEBUG_H

#include "cpu/internal.h"

/* DR7 and addresses in force: the owner's with CPU_DEBUG_HW_BP, else the guest's. */
static inline u64 cpu_dr7(const struct cpu *cpu)
{
	return cpu->guest_debug & CPU_DEBUG_HW_BP ? cpu->debug_dr7 : cpu->dr7;
}

static inline bool cpu_debug_armed(const struct cpu *cpu)
{
	return unlikely(cpu_dr7(cpu) & 0xff);
}

/* Whether some data breakpoint lies in la's page. */
bool cpu_debug_page(const struct cpu *cpu, u64 la);
void cpu_debug_match(struct cpu *cpu, u64 la, unsigned n, bool write);
/* Bits of DR6 for an instruction breakpoint at la. */
u32 cpu_debug_insn(const struct cpu *cpu, u64 la);
/* Bits of DR6 for an I/O breakpoint (CR4.DE). */
u32 cpu_debug_io(const struct cpu *cpu, u16 port, unsigned n);

static inline bool cpu_debug_watches(const struct cpu *cpu, u64 la)
{
	return cpu_debug_armed(cpu) && cpu_debug_page(cpu, la);
}

/* A data access: remembered in trap_dr6 and raised behind the instruction. */
static inline void cpu_debug_access(struct cpu *cpu, u64 la, unsigned n, bool write)
{
	if (cpu_debug_armed(cpu))
		cpu_debug_match(cpu, la, n, write);
}

#endif
