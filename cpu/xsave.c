// SPDX-License-Identifier: MIT
/*
 * cpu/xsave.c - FXSAVE, XSAVE, MXCSR, XCR0, fences, FS and GS bases: 0F AE; and who may use which registers
 */
#include "cpu/access.h"
#include "cpu/ops.h"

enum { X87 = 1, SSE = 2, AVX = 4 };

/* ---- availability ---- */

void cpu_check_sse(struct cpu *cpu)
{
	if ((cpu->cr0 & (1 << 2)) || !(cpu->cr4 & (1 << 9)))
		cpu_raise(cpu, CPU_UD, 0);
	if (cpu->cr0 & (1 << 3))
		cpu_raise(cpu, CPU_NM, 0);
}

void cpu_check_avx(struct cpu *cpu)
{
	if (!(cpu->features & CPU_HAS_AVX) || !(cpu->cr4 & (1 << 18)) || (cpu->xcr0 & (SSE | AVX)) != (SSE | AVX) ||
	    !cpu_protected(cpu))
		cpu_raise(cpu, CPU_UD, 0);
	if (cpu->cr0 & (1 << 3))
		cpu_raise(cpu, CPU_NM, 0);
}

void cpu_check_x87(struct cpu *cpu, bool wait)
{
	if (wait ? (cpu->cr0 & 0xa) == 0xa : cpu->cr0 & 0xc)
		cpu_raise(cpu, CPU_NM, 0);
}

void cpu_check_mmx(struct cpu *cpu)
{
	if (cpu->cr0 & (1 << 2))
		cpu_raise(cpu, CPU_UD, 0);
	if (cpu->cr0 & (1 << 3))
		cpu_raise(cpu, CPU_NM, 0);
}

static void check_xsave(struct cpu *cpu)
{
	if (!(cpu->cr4 & (1 << 18)))
		cpu_raise(cpu, CPU_UD, 0);
	if (cpu->cr0 & (1 << 3))
		cpu_raise(cpu, CPU_NM, 0);
}

/* ---- XCR0 ---- */

static u64 xcr0_allowed(const struct cpu *cpu)
{
	return X87 | SSE | (cpu->features & CPU_HAS_AVX ? AVX : 0);
}

bool cpu_xcr0_valid(const struct cpu *cpu, u64 v)
{
	return (v & X87) && !(v & ~xcr0_allowed(cpu)) && (!(v & AVX) || (v & SSE));
}

int cpu_xgetbv(struct cpu *cpu, const struct cpu_insn *in)
{
	if (!(cpu->cr4 & (1 << 18)))
		cpu_raise(cpu, CPU_UD, 0);
	if ((u32)cpu->reg[CPU_RCX])
		cpu_raise(cpu, CPU_GP, 0);
	cpu->reg[CPU_RAX] = (u32)cpu->xcr0;
	cpu->reg[CPU_RDX] = cpu->xcr0 >> 32;
	return CPU_NEXT;
}

int cpu_xsetbv(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 v = (u32)cpu->reg[CPU_RAX] | cpu->reg[CPU_RDX] << 32;

	if (!(cpu->cr4 & (1 << 18)))
		cpu_raise(cpu, CPU_UD, 0);
	if (cpu->cpl || (u32)cpu->reg[CPU_RCX] || !cpu_xcr0_valid(cpu, v))
		cpu_raise(cpu, CPU_GP, 0);
	cpu->xcr0 = v;
	return CPU_NEXT;
}

/* ---- areas ---- */

static u64 area(struct cpu *cpu, const struct cpu_insn *in, unsigned n, unsigned alignment, bool write)
{
	const u64 la = cpu_addr(cpu, in, n, write);

	if (la & (alignment - 1))
		cpu_raise(cpu, CPU_GP, 0);
	return la;
}

/* Registers 8 to 15 belong to 64-bit mode. */
static unsigned legacy_length(const struct cpu_insn *in)
{
	return in->flags & CPU_IN_64 ? 416 : 288;
}

/* FIP and FDP: 64 bits with REX.W, else 32 with selectors above. */
static void pointers(u8 *image, const struct cpu_insn *in)
{
	if (!(in->flags & CPU_IN_REXW)) {
		memset(image + 14, 0, 2);
		memset(image + 22, 0, 2);
	}
}

static int fxsave(struct cpu *cpu, const struct cpu_insn *in)
{
	u8 image[416];
	u64 la;

	if (cpu->cr0 & 0xc)
		cpu_raise(cpu, CPU_NM, 0);
	la = area(cpu, in, 512, 16, true);
	memcpy(image, &cpu->fpu, sizeof(image));
	pointers(image, in);
	cpu_write_linear(cpu, la, image, legacy_length(in), in->seg);
	return CPU_NEXT;
}

static void check_mxcsr(struct cpu *cpu, const u8 *image)
{
	u32 mxcsr;

	memcpy(&mxcsr, image, 4);
	if (mxcsr & ~0xffffU)
		cpu_raise(cpu, CPU_GP, 0);
}

static void load_x87(struct cpu *cpu, const u8 *image)
{
	memcpy(&cpu->fpu, image, 24);
	memcpy(cpu->fpu.st, image + 32, sizeof(cpu->fpu.st));
	for (unsigned i = 0; i < 8; i++)
		memset(cpu->fpu.st[i] + 10, 0, 6);
	cpu->fpu.zero = 0;
}

static int fxrstor(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned length = legacy_length(in);
	u8 image[416];
	u64 la;

	if (cpu->cr0 & 0xc)
		cpu_raise(cpu, CPU_NM, 0);
	la = area(cpu, in, 512, 16, false);
	cpu_read_linear(cpu, la, image, length, in->seg);
	check_mxcsr(cpu, image + 24);
	pointers(image, in);
	load_x87(cpu, image);
	memcpy(&cpu->fpu.mxcsr, image + 24, 4);
	memcpy(cpu->fpu.xmm, image + 160, length - 160);
	return CPU_NEXT;
}

static u64 requested(const struct cpu *cpu)
{
	return ((u32)cpu->reg[CPU_RAX] | cpu->reg[CPU_RDX] << 32) & cpu->xcr0;
}

/* Components that are not in their initial state. */
static u64 in_use(const struct cpu *cpu)
{
	static const u8 zero[sizeof(cpu->fpu.ymmh)];
	const struct cpu_fpu *f = &cpu->fpu;
	u64 r = 0;

	if (f->fcw != 0x37f || f->fsw || f->ftw || f->fop || f->fip || f->fdp || memcmp(f->st, zero, sizeof(f->st)))
		r |= X87;
	if (memcmp(f->xmm, zero, sizeof(f->xmm)))
		r |= SSE;
	if (memcmp(f->ymmh, zero, sizeof(f->ymmh)))
		r |= AVX;
	return r;
}

static int xsave(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 rfbm = requested(cpu), used = in_use(cpu);
	const unsigned registers = in->flags & CPU_IN_64 ? 16 : 8;
	u8 image[416];
	u64 la, bv;

	check_xsave(cpu);
	la = area(cpu, in, 576, 64, true);
	memcpy(image, &cpu->fpu, sizeof(image));
	pointers(image, in);
	bv = cpu_load(cpu, la + 512, 8, in->seg);
	/* All pages are found writable before the first byte goes out. */
	cpu_modify(cpu, la, 8, in->seg);
	cpu_modify(cpu, la + (rfbm & AVX ? 576 + 248 : 568), 8, in->seg);
	if (rfbm & X87) {
		cpu_write_linear(cpu, la, image, 24, in->seg);
		cpu_write_linear(cpu, la + 32, image + 32, 128, in->seg);
	}
	if (rfbm & (SSE | AVX))
		cpu_write_linear(cpu, la + 24, image + 24, 8, in->seg);
	if (rfbm & SSE)
		cpu_write_linear(cpu, la + 160, image + 160, 16 * registers, in->seg);
	if (rfbm & AVX)
		cpu_write_linear(cpu, la + 576, cpu->fpu.ymmh, 16 * registers, in->seg);
	cpu_store(cpu, la + 512, 8, (bv & ~rfbm) | (used & rfbm), in->seg);
	return CPU_NEXT;
}

static int xrstor(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 rfbm = requested(cpu);
	const unsigned registers = in->flags & CPU_IN_64 ? 16 : 8;
	u8 image[416], high[256];
	u64 la, header[8];

	check_xsave(cpu);
	la = area(cpu, in, 576, 64, false);
	cpu_read_linear(cpu, la + 512, header, 64, in->seg);
	if (header[0] & ~cpu->xcr0)
		cpu_raise(cpu, CPU_GP, 0);
	for (unsigned i = 1; i < 8; i++) {
		if (header[i])
			cpu_raise(cpu, CPU_GP, 0);
	}
	cpu_read_linear(cpu, la, image, sizeof(image), in->seg);
	if (rfbm & header[0] & AVX)
		cpu_read_linear(cpu, la + 576, high, 16 * registers, in->seg);
	if (rfbm & (SSE | AVX))
		check_mxcsr(cpu, image + 24);
	pointers(image, in);
	if (rfbm & X87) {
		if (header[0] & X87) {
			load_x87(cpu, image);
		} else {
			memset(&cpu->fpu, 0, 24);
			cpu->fpu.fcw = 0x37f;
			memset(cpu->fpu.st, 0, sizeof(cpu->fpu.st));
		}
	}
	if (rfbm & (SSE | AVX))
		memcpy(&cpu->fpu.mxcsr, image + 24, 4);
	if (rfbm & SSE) {
		memset(cpu->fpu.xmm, 0, 16 * registers);
		if (header[0] & SSE)
			memcpy(cpu->fpu.xmm, image + 160, 16 * registers);
	}
	if (rfbm & AVX) {
		memset(cpu->fpu.ymmh, 0, 16 * registers);
		if (header[0] & AVX)
			memcpy(cpu->fpu.ymmh, high, 16 * registers);
	}
	return CPU_NEXT;
}

static int mxcsr_op(struct cpu *cpu, const struct cpu_insn *in, bool store)
{
	u32 v;

	cpu_check_sse(cpu);
	if (store) {
		cpu_store(cpu, cpu_addr(cpu, in, 4, true), 4, cpu->fpu.mxcsr, in->seg);
		return CPU_NEXT;
	}
	v = (u32)cpu_load(cpu, cpu_addr(cpu, in, 4, false), 4, in->seg);
	if (v & ~0xffffU)
		cpu_raise(cpu, CPU_GP, 0);
	cpu->fpu.mxcsr = v;
	return CPU_NEXT;
}

/* RDFSBASE and so on */
static int base_op(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned seg = in->reg & 1 ? CPU_GS : CPU_FS;
	u64 v;

	if (!(in->flags & CPU_IN_64) || !(cpu->cr4 & (1 << 16)))
		cpu_raise(cpu, CPU_UD, 0);
	if (!(in->reg & 2)) {
		cpu_set(cpu, in->rm, in->size, cpu->seg[seg].base);
		return CPU_NEXT;
	}
	v = cpu_get(cpu, in->rm, in->size);
	if (!cpu_canonical(cpu, v))
		cpu_raise(cpu, CPU_GP, 0);
	cpu->seg[seg].base = v;
	cpu_update_mode(cpu);
	return CPU_NEXT;
}

int op_group15(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned sub = in->reg & 7;

	if (in->mod == 3) {
		if (in->pp == CPU_PP_F3 && sub < 4)
			return base_op(cpu, in);
		if (in->pp != CPU_PP_NONE || sub < 5)
			cpu_raise(cpu, CPU_UD, 0);
		__asm__ volatile("mfence" : : : "memory");
		return CPU_NEXT;
	}
	/* CLFLUSH, CLFLUSHOPT and CLWB read their operand. */
	if (sub == 7 || (sub == 6 && in->pp == CPU_PP_66)) {
		cpu_load(cpu, cpu_addr(cpu, in, 1, false), 1, in->seg);
		return CPU_NEXT;
	}
	if (in->pp != CPU_PP_NONE)
		cpu_raise(cpu, CPU_UD, 0);
	switch (sub) {
	case 0:
		return fxsave(cpu, in);
	case 1:
		return fxrstor(cpu, in);
	case 2:
		return mxcsr_op(cpu, in, false);
	case 3:
		return mxcsr_op(cpu, in, true);
	case 4:
		return xsave(cpu, in);
	case 5:
		return xrstor(cpu, in);
	}
	if (!(cpu->features & CPU_HAS_XSAVEOPT))
		cpu_raise(cpu, CPU_UD, 0);
	return xsave(cpu, in);
}
