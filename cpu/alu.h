/* SPDX-License-Identifier: MIT */
/*
 * cpu/alu.h - arithmetic by the host's own instructions, with their flags
 *
 * Each primitive leaves the six arithmetic flags in *f as LAHF and SETO give
 * them (struct cpu: aflags).  What the host leaves undefined is undefined for the guest in the same way.
 */
#ifndef GMEM_CPU_ALU_H
#define GMEM_CPU_ALU_H

#include "cpu/access.h"
#include "cpu/ops.h"

/* AH = SF ZF AF PF CF, AL = OF */
#define CPU_FLAGS_OUT "\n\tlahf\n\tseto %%al"

#define CPU_ALU2(name, insn)                                                                                           \
	static inline u64 cpu_##name(u64 a, u64 b, unsigned size, u16 *f)                                              \
	{                                                                                                              \
		u64 flags;                                                                                             \
		switch (size) {                                                                                        \
		case 1:                                                                                                \
			__asm__(insn "b %b2, %b0" CPU_FLAGS_OUT : "+r"(a), "=&a"(flags) : "r"(b) : "cc");              \
			break;                                                                                         \
		case 2:                                                                                                \
			__asm__(insn "w %w2, %w0" CPU_FLAGS_OUT : "+r"(a), "=&a"(flags) : "r"(b) : "cc");              \
			break;                                                                                         \
		case 4:                                                                                                \
			__asm__(insn "l %k2, %k0" CPU_FLAGS_OUT : "+r"(a), "=&a"(flags) : "r"(b) : "cc");              \
			break;                                                                                         \
		default:                                                                                               \
			__asm__(insn "q %2, %0" CPU_FLAGS_OUT : "+r"(a), "=&a"(flags) : "r"(b) : "cc");                \
		}                                                                                                      \
		*f = (u16)flags;                                                                                       \
		return a;                                                                                              \
	}

/* The same with the guest's carry going in: AH's bit 0. */
#define CPU_ALU2_CARRY(name, insn)                                                                                     \
	static inline u64 cpu_##name(u64 a, u64 b, unsigned size, u16 *f)                                              \
	{                                                                                                              \
		u64 flags = *f;                                                                                        \
		switch (size) {                                                                                        \
		case 1:                                                                                                \
			__asm__("btl $8, %k1\n\t" insn "b %b2, %b0" CPU_FLAGS_OUT                                      \
				: "+r"(a), "+&a"(flags)                                                                \
				: "r"(b)                                                                               \
				: "cc");                                                                               \
			break;                                                                                         \
		case 2:                                                                                                \
			__asm__("btl $8, %k1\n\t" insn "w %w2, %w0" CPU_FLAGS_OUT                                      \
				: "+r"(a), "+&a"(flags)                                                                \
				: "r"(b)                                                                               \
				: "cc");                                                                               \
			break;                                                                                         \
		case 4:                                                                                                \
			__asm__("btl $8, %k1\n\t" insn "l %k2, %k0" CPU_FLAGS_OUT                                      \
				: "+r"(a), "+&a"(flags)                                                                \
				: "r"(b)                                                                               \
				: "cc");                                                                               \
			break;                                                                                         \
		default:                                                                                               \
			__asm__("btl $8, %k1\n\t" insn "q %2, %0" CPU_FLAGS_OUT                                        \
				: "+r"(a), "+&a"(flags)                                                                \
				: "r"(b)                                                                               \
				: "cc");                                                                               \
		}                                                                                                      \
		*f = (u16)flags;                                                                                       \
		return a;                                                                                              \
	}

/* One operand; keeps the carry (INC, DEC) or sets it (NEG): all start from the guest's. */
#define CPU_ALU1(name, insn)                                                                                           \
	static inline u64 cpu_##name(u64 a, unsigned size, u16 *f)                                                     \
	{                                                                                                              \
		u64 flags = *f;                                                                                        \
		switch (size) {                                                                                        \
		case 1:                                                                                                \
			__asm__("btl $8, %k1\n\t" insn "b %b0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags) : : "cc");        \
			break;                                                                                         \
		case 2:                                                                                                \
			__asm__("btl $8, %k1\n\t" insn "w %w0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags) : : "cc");        \
			break;                                                                                         \
		case 4:                                                                                                \
			__asm__("btl $8, %k1\n\t" insn "l %k0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags) : : "cc");        \
			break;                                                                                         \
		default:                                                                                               \
			__asm__("btl $8, %k1\n\t" insn "q %0" CPU_FLAGS_OUT : "+r"(a), "+&a"(flags) : : "cc");         \
		}                                                                                                      \
		*f = (u16)flags;                                                                                       \
		return a;                                                                                              \
	}

CPU_ALU2(add, "add")
CPU_ALU2(or, "or")
CPU_ALU2(and, "and")
CPU_ALU2(sub, "sub")
CPU_ALU2(xor, "xor")
CPU_ALU2(test, "test")
CPU_ALU2_CARRY(adc, "adc")
CPU_ALU2_CARRY(sbb, "sbb")
CPU_ALU1(inc, "inc")
CPU_ALU1(dec, "dec")
CPU_ALU1(neg, "neg")

/* a and the result; f goes in and out.  CMP and TEST return a as it was. */
static inline u64 cpu_alu(unsigned op, u64 a, u64 b, unsigned size, u16 *f)
{
	switch (op) {
	case CPU_ALU_ADD:
		return cpu_add(a, b, size, f);
	case CPU_ALU_OR:
		return cpu_or(a, b, size, f);
	case CPU_ALU_ADC:
		return cpu_adc(a, b, size, f);
	case CPU_ALU_SBB:
		return cpu_sbb(a, b, size, f);
	case CPU_ALU_AND:
		return cpu_and(a, b, size, f);
	case CPU_ALU_SUB:
		return cpu_sub(a, b, size, f);
	case CPU_ALU_XOR:
		return cpu_xor(a, b, size, f);
	case CPU_ALU_CMP:
		cpu_sub(a, b, size, f);
		return a;
	default:
		cpu_test(a, b, size, f);
		return a;
	}
}

/* The same on host memory, LOCKed. */
#define CPU_LOCKED2(name, insn)                                                                                        \
	static inline u16 cpu_locked_##name(void *p, u64 b, unsigned size, u16 f)                                      \
	{                                                                                                              \
		u64 flags = f;                                                                                         \
		switch (size) {                                                                                        \
		case 1:                                                                                                \
			__asm__ volatile("btl $8, %k0\n\tlock " insn "b %b2, %1" CPU_FLAGS_OUT                         \
					 : "+&a"(flags), "+m"(*(u8 *)p)                                                \
					 : "r"(b)                                                                      \
					 : "cc", "memory");                                                            \
			break;                                                                                         \
		case 2:                                                                                                \
			__asm__ volatile("btl $8, %k0\n\tlock " insn "w %w2, %1" CPU_FLAGS_OUT                         \
					 : "+&a"(flags), "+m"(*(u16 *)p)                                               \
					 : "r"(b)                                                                      \
					 : "cc", "memory");                                                            \
			break;                                                                                         \
		case 4:                                                                                                \
			__asm__ volatile("btl $8, %k0\n\tlock " insn "l %k2, %1" CPU_FLAGS_OUT                         \
					 : "+&a"(flags), "+m"(*(u32 *)p)                                               \
					 : "r"(b)                                                                      \
					 : "cc", "memory");                                                            \
			break;                                                                                         \
		default:                                                                                               \
			__asm__ volatile("btl $8, %k0\n\tlock " insn "q %2, %1" CPU_FLAGS_OUT                          \
					 : "+&a"(flags), "+m"(*(u64 *)p)                                               \
					 : "r"(b)                                                                      \
					 : "cc", "memory");                                                            \
		}                                                                                                      \
		return (u16)flags;                                                                                     \
	}

#define CPU_LOCKED1(name, insn)                                                                                        \
	static inline u16 cpu_locked_##name(void *p, unsigned size, u16 f)                                             \
	{                                                                                                              \
		u64 flags = f;                                                                                         \
		switch (size) {                                                                                        \
		case 1:                                                                                                \
			__asm__ volatile("btl $8, %k0\n\tlock " insn "b %1" CPU_FLAGS_OUT                              \
					 : "+&a"(flags), "+m"(*(u8 *)p)                                                \
					 :                                                                             \
					 : "cc", "memory");                                                            \
			break;                                                                                         \
		case 2:                                                                                                \
			__asm__ volatile("btl $8, %k0\n\tlock " insn "w %1" CPU_FLAGS_OUT                              \
					 : "+&a"(flags), "+m"(*(u16 *)p)                                               \
					 :                                                                             \
					 : "cc", "memory");                                                            \
			break;                                                                                         \
		case 4:                                                                                                \
			__asm__ volatile("btl $8, %k0\n\tlock " insn "l %1" CPU_FLAGS_OUT                              \
					 : "+&a"(flags), "+m"(*(u32 *)p)                                               \
					 :                                                                             \
					 : "cc", "memory");                                                            \
			break;                                                                                         \
		default:                                                                                               \
			__asm__ volatile("btl $8, %k0\n\tlock " insn "q %1" CPU_FLAGS_OUT                              \
					 : "+&a"(flags), "+m"(*(u64 *)p)                                               \
					 :                                                                             \
					 : "cc", "memory");                                                            \
		}                                                                                                      \
		return (u16)flags;                                                                                     \
	}

#endif
