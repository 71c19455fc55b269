// SPDX-License-Identifier: MIT
/*
 * cpu/debug.c - debug registers: breakpoints on instructions, data and I/O
 */
#include "cpu/debug.h"

enum { BP_EXEC, BP_WRITE, BP_IO, BP_ACCESS };

struct breakpoint {
	u64 address;
	unsigned kind, length;
};

static bool breakpoint(const struct cpu *cpu, unsigned i, struct breakpoint *ret)
{
	static const u8 lengths[4] = { 1, 2, 8, 4 };
	const u64 dr7 = cpu_dr7(cpu);

	if (!(dr7 >> (2 * i) & 3))
		return false;
	ret->kind = dr7 >> (16 + 4 * i) & 3;
	ret->length = lengths[dr7 >> (18 + 4 * i) & 3];
	ret->address = cpu->guest_debug & CPU_DEBUG_HW_BP ? cpu->debug_dr[i] : cpu->dr[i];
	ret->address &= ~(u64)(ret->length - 1);
	return true;
}

static u32 match(const struct cpu *cpu, u64 address, unsigned n, unsigned kinds)
{
	struct breakpoint bp;
	u32 bits = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (breakpoint(cpu, i, &bp) && (kinds & 1U << bp.kind) && address < bp.address + bp.length &&
		    bp.address < address + n)
			bits |= 1U << i;
	}
	return bits;
}

bool cpu_debug_page(const struct cpu *cpu, u64 la)
{
	return match(cpu, la & ~RT_PAGE_MASK, RT_PAGE_SIZE, 1U << BP_WRITE | 1U << BP_ACCESS);
}

void cpu_debug_match(struct cpu *cpu, u64 la, unsigned n, bool write)
{
	cpu->trap_dr6 |= match(cpu, la, n, 1U << BP_ACCESS | (write ? 1U << BP_WRITE : 0));
}

u32 cpu_debug_insn(const struct cpu *cpu, u64 la)
{
	return match(cpu, la, 1, 1U << BP_EXEC);
}

u32 cpu_debug_io(const struct cpu *cpu, u16 port, unsigned n)
{
	return cpu->cr4 & (1 << 3) ? match(cpu, port, n, 1U << BP_IO) : 0;
}
