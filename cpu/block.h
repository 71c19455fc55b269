/* SPDX-License-Identifier: MIT */
/*
 * cpu/block.h - blocks of decoded instructions: their bytes, and going on within one
 *
 * See cpu/run.c, R-1.
 */
#ifndef GMEM_CPU_BLOCK_H
#define GMEM_CPU_BLOCK_H

#include <emmintrin.h>

#include "cpu/access.h"

enum { CPU_BLOCK_VECTORS = 4 };

struct cpu_block {
	u64 rip, key;
	const u8 *compare; /* memory to compare with raw[]: vectors of 16 bytes */
	struct cpu_insn *insn;
	u8 raw[CPU_BLOCK_VECTORS][16];
	u32 last;	/* index of the last vector */
	u16 first_mask; /* bytes that count in the first vector, */
	u16 last_mask;	/* and in the last; 0: never equal */
	u64 host, gpa;	/* of the first instruction */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct cpu_block) == 128, "two cache lines, found by a shift");

static inline u32 cpu_differs(const u8 *p, const u8 *raw)
{
	__m128i now;

	__asm__ volatile("movdqu %1, %0" : "=x"(now) : "m"(*(const __m128i *)p));
	return (u32)_mm_movemask_epi8(_mm_cmpeq_epi8(now, *(const __m128i *)raw)) ^ 0xffff;
}

/* Whether the block's bytes are still those in memory. */
static inline bool cpu_block_same(const struct cpu_block *b)
{
	u32 diff = cpu_differs(b->compare, b->raw[0]) & b->first_mask;

	if (unlikely(b->last)) {
		for (u32 i = 1; i < b->last; i++)
			diff |= cpu_differs(b->compare + 16 * i, b->raw[i]);
		diff |= cpu_differs(b->compare + 16 * b->last, b->raw[b->last]) & b->last_mask;
	}
	return !diff;
}

/* Ordered before the reads of code that follow, which may fault. */
static inline void cpu_set_insn(struct cpu *cpu, const struct cpu_insn *in)
{
	__atomic_store_n(&cpu->insn, in, __ATOMIC_RELAXED);
	__asm__ volatile("" : : : "memory");
}

/* Go on with the next record of the block: a jump, not a return, where the compiler does that. */
static inline int cpu_next(struct cpu *cpu, const struct cpu_insn *in)
{
	const struct cpu_insn *next = in + 1;

	cpu->insn = next;
	return next->fn(cpu, next);
}

/*
 * Jcc in 64-bit code.  Its record has the flags to look at in disp, in aflags' places, with SF != OF as bit 1;
 * bit 0 of the opcode inverts.
 */
cpu_op cpu_jcc64;

static inline int cpu_jump64(struct cpu *cpu, u64 target)
{
	if (unlikely((u64)((s64)(target << 16) >> 16) != target) && !cpu_canonical(cpu, target))
		cpu_raise(cpu, CPU_GP, 0);
	cpu->rip = target;
	return CPU_JUMP;
}

static inline int cpu_jcc64_inline(struct cpu *cpu, const struct cpu_insn *in, u32 f)
{
	const u32 seen = (f | ((f >> 15 ^ f) & 1) << 1) & (u32)in->disp;
	const u64 next = cpu->rip + in->end;

	return cpu_jump64(cpu, (seen != 0) != (in->opcode & 1) ? next + (u64)in->imm : next);
}

/* cpu_next() behind an instruction that has just set the flags: a conditional jump is what mostly follows. */
static inline int cpu_next_flags(struct cpu *cpu, const struct cpu_insn *in, u16 f)
{
	const struct cpu_insn *next = in + 1;

	cpu->insn = next;
	if (next->fn == cpu_jcc64)
		return cpu_jcc64_inline(cpu, next, f);
	return next->fn(cpu, next);
}

/* After a store: the same as cpu_next(), when there is nothing to look at and the block is still what memory holds. */
static inline int cpu_next_stored(struct cpu *cpu, const struct cpu_insn *in)
{
	const struct cpu_insn *next = in + 1;

	/* The store has retired, even if the code cannot be read any more. */
	cpu_set_insn(cpu, next);
	if (likely(!__atomic_load_n(&cpu->stop, __ATOMIC_RELAXED) && cpu_block_same(cpu->block)))
		return next->fn(cpu, next);
	return cpu_end(cpu, in);
}

#endif
