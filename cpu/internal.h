/* SPDX-License-Identifier: MIT */
/*
 * cpu/internal.h - shared by the files of this folder only
 *
 * An instruction is decoded once into a struct cpu_insn whose fn executes it.
 * What a handler may rely on and must keep is in cpu/run.c.  In short: read and
 * check everything, touch memory, then change registers; a memory access or
 * cpu_raise() that fails does not return.
 */
#ifndef GMEM_CPU_INTERNAL_H
#define GMEM_CPU_INTERNAL_H

#include <asm/errno.h>

#include "cpu/cpu.h"
#include "rt/string.h"

#define unlikely(x) __builtin_expect(!!(x), 0)
#define likely(x)   __builtin_expect(!!(x), 1)

/* ---- instructions ---- */

/*
 * Return CPU_NEXT to go on behind the instruction; CPU_JUMP after having set cpu->rip (within a block cpu->rip is the
 * block's start, see cpu_insn_rip() and cpu_next_rip()).
 */
enum { CPU_NEXT, CPU_JUMP };
typedef int cpu_op(struct cpu *cpu, const struct cpu_insn *in);

enum { CPU_REG_ZERO = 16, CPU_REG_RIP = 17 };
enum { CPU_PP_NONE, CPU_PP_66, CPU_PP_F3, CPU_PP_F2 };

enum cpu_insn_flags {
	CPU_IN_LOCK = 1 << 0,
	CPU_IN_REP = 1 << 1, /* F3 was there (and F2 did not follow it) */
	CPU_IN_REPNE = 1 << 2,
	CPU_IN_REX = 1 << 3,  /* some REX: byte registers 4..7 are SPL.. */
	CPU_IN_REXW = 1 << 4, /* or VEX.W */
	CPU_IN_VEX = 1 << 5,
	CPU_IN_66 = 1 << 6,	  /* 66 was there, whatever else */
	CPU_IN_64 = 1 << 7,	  /* decoded as 64-bit code */
	CPU_IN_SLOW = 1 << 8,	  /* addresses need cpu_addr_slow(): limits, or 32/16-bit wrap */
	CPU_IN_OVERRIDE = 1 << 9, /* a segment prefix was there */
};

struct cpu_insn {
	cpu_op *fn;
	s64 imm;
	s64 disp;   /* RIP-relative: includes the distance to the block's start, so that base is CPU_REG_RIP */
	u64 cookie; /* for cpu/sse*.c: zero after decode */
	u16 flags;
	u8 start, end; /* distance from the block's start, of this instruction and its successor */
	u8 map;	       /* 0 one byte, 1 0F, 2 0F38, 3 0F3A */
	u8 opcode;
	u8 pp;		 /* the mandatory prefix: F2/F3 (last one) before 66 */
	u8 size;	 /* operand size of the instruction: 1 (byte forms), 2, 4, 8 */
	u8 addr_size;	 /* 2, 4, 8 */
	u8 mod, reg, rm; /* with REX or VEX extension; rm is a register when mod == 3 */
	u8 base, index, scale, seg;
	u8 vvvv;  /* VEX: register (not inverted) */
	u8 vex_l; /* VEX: 1 = 256 bits */
	u8 imm2;  /* ENTER's second byte */
	u8 length;
	u8 reg8, rm8; /* byte registers: their place in cpu->reg, in bytes */
};
_Static_assert(sizeof(struct cpu_insn) <= 56, "records are compact");

/* Filled in by cpu/sse.c: all of 0F, 0F38, 0F3A and VEX that is not integer; raises #UD for what does not exist. */
cpu_op cpu_sse;
/* A quick handler for a record of cpu_sse()'s, or NULL; whether such a record may write its memory operand. */
cpu_op *cpu_sse_quick(const struct cpu_insn *in);
bool cpu_sse_writes(const struct cpu_insn *in);
/* cpu/x87.c: D8 to DF and 9B. */
cpu_op cpu_x87;
bool cpu_x87_writes(const struct cpu_insn *in);
/* Raise #UD or #NM as CR0, CR4 and XCR0 demand. */
void cpu_check_sse(struct cpu *cpu);
void cpu_check_avx(struct cpu *cpu);
void cpu_check_x87(struct cpu *cpu, bool wait); /* wait: FWAIT (MP and TS) */
void cpu_check_mmx(struct cpu *cpu);

static inline u64 cpu_insn_rip(const struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu->rip + in->start;
}

static inline u64 cpu_next_rip(const struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu->rip + in->end;
}

/* ---- exceptions: none of these returns ---- */

enum {
	CPU_DE = 0,
	CPU_DB = 1,
	CPU_NMI = 2,
	CPU_BP = 3,
	CPU_OF = 4,
	CPU_BR = 5,
	CPU_UD = 6,
	CPU_NM = 7,
	CPU_DF = 8,
	CPU_TS = 10,
	CPU_NP = 11,
	CPU_SS_FAULT = 12,
	CPU_GP = 13,
	CPU_PF = 14,
	CPU_MF = 16,
	CPU_AC = 17,
	CPU_XM = 19,
};
void cpu_raise(struct cpu *cpu, unsigned vector, u32 error)
	__attribute__((noreturn)); /* error ignored where there is none */

/* ---- memory; seg is CPU_ES..CPU_GS, offset the effective address ---- */

/* The offset that ModRM names (not the linear address). */
u64 cpu_ea(const struct cpu *cpu, const struct cpu_insn *in);
void cpu_read_mem(struct cpu *cpu, const struct cpu_insn *in, u64 offset, void *buf, unsigned n);
void cpu_write_mem(struct cpu *cpu, const struct cpu_insn *in, u64 offset, const void *buf, unsigned n);
/* Whether the operand at offset is aligned in linear space (for SSE's #GP). */
bool cpu_aligned(struct cpu *cpu, const struct cpu_insn *in, u64 offset, unsigned n);

/* ---- flags ---- */

#define CPU_F_CF    0x0001UL
#define CPU_F_PF    0x0004UL
#define CPU_F_AF    0x0010UL
#define CPU_F_ZF    0x0040UL
#define CPU_F_SF    0x0080UL
#define CPU_F_TF    0x0100UL
#define CPU_F_IF    0x0200UL
#define CPU_F_DF    0x0400UL
#define CPU_F_OF    0x0800UL
#define CPU_F_IOPL  0x3000UL
#define CPU_F_NT    0x4000UL
#define CPU_F_RF    0x10000UL
#define CPU_F_VM    0x20000UL
#define CPU_F_AC    0x40000UL
#define CPU_F_VIF   0x80000UL
#define CPU_F_VIP   0x100000UL
#define CPU_F_ID    0x200000UL
#define CPU_F_ARITH (CPU_F_CF | CPU_F_PF | CPU_F_AF | CPU_F_ZF | CPU_F_SF | CPU_F_OF)

/* The six arithmetic flags in their RFLAGS positions. */
static inline u64 cpu_arith(const struct cpu *cpu)
{
	return ((u64)cpu->aflags >> 8 & 0xd5) | (u64)(cpu->aflags & 1) << 11;
}

static inline void cpu_set_arith(struct cpu *cpu, u64 flags)
{
	cpu->aflags = (u16)((flags & 0xd5) << 8 | (flags >> 11 & 1));
}

#endif
