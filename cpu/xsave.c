// SPDX-License-Identifier: MIT
/*
 * cpu/xsave.c - FXSAVE, XSAVE, MXCSR, XCR0, fences, FS and GS bases: 0F AE; and who may use which registers
 */
#include "cpu/access.h"
#include "cpu/ops.h"

enum { X87 = 1, SSE = 2, AVX = 4 };
#define COMPACTED (1ULL << 63) /* of XCOMP_BV */

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
	u64 v = cpu->xcr0;

	if (!(cpu->cr4 & (1 << 18)))
		cpu_raise(cpu, CPU_UD, 0);
	if ((u32)cpu->reg[CPU_RCX] > (cpu->features & CPU_HAS_XGETBV1 ? 1 : 0))
		cpu_raise(cpu, CPU_GP, 0);
	if ((u32)cpu->reg[CPU_RCX])
		v &= in_use(cpu);
	cpu->reg[CPU_RAX] = (u32)v;
	cpu->reg[CPU_RDX] = v >> 32;
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

/*
 * XSAVEC and XSAVES.  With the components there are, the compacted form lays them out as the standard one does; it
 * leaves out what is in its initial state, and takes MXCSR for a part of SSE's.
 */
static int xsave_compacted(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 rfbm = requested(cpu);
	const unsigned registers = in->flags & CPU_IN_64 ? 16 : 8;
	u64 used = in_use(cpu) & rfbm, la;
	u8 image[416];

	if ((rfbm & SSE) && cpu->fpu.mxcsr != 0x1f80)
		used |= SSE;
	la = area(cpu, in, 576, 64, true);
	memcpy(image, &cpu->fpu, sizeof(image));
	pointers(image, in);
	cpu_modify(cpu, la, 8, in->seg);
	cpu_modify(cpu, la + (used & AVX ? 576 + 248 : 568), 8, in->seg);
	if (used & X87) {
		cpu_write_linear(cpu, la, image, 24, in->seg);
		cpu_write_linear(cpu, la + 32, image + 32, 128, in->seg);
	}
	if (used & SSE) {
		cpu_write_linear(cpu, la + 24, image + 24, 8, in->seg);
		cpu_write_linear(cpu, la + 160, image + 160, 16 * registers, in->seg);
	}
	if (used & AVX)
		cpu_write_linear(cpu, la + 576, cpu->fpu.ymmh, 16 * registers, in->seg);
	cpu_store(cpu, la + 520, 8, COMPACTED | rfbm, in->seg);
	cpu_store(cpu, la + 512, 8, used, in->seg);
	return CPU_NEXT;
}

/* Whether a header is good; *compacted says which form it describes. */
static bool header_good(const struct cpu *cpu, const u64 header[8], bool *compacted)
{
	const u64 layout = header[1] & ~COMPACTED;

	*compacted = header[1] & COMPACTED;
	for (unsigned i = 2; i < 8; i++) {
		if (header[i])
			return false;
	}
	if (!*compacted)
		return !header[1] && !(header[0] & ~cpu->xcr0);
	return (cpu->features & (CPU_HAS_XSAVEC | CPU_HAS_XSAVES)) && !(layout & ~cpu->xcr0) && !(header[0] & ~layout);
}

/* XRSTOR, and XRSTORS, which takes the compacted form alone. */
static int xrstor(struct cpu *cpu, const struct cpu_insn *in, bool supervisor)
{
	const u64 rfbm = requested(cpu);
	const unsigned registers = in->flags & CPU_IN_64 ? 16 : 8;
	u8 image[416], high[256];
	u64 la, header[8], takes_mxcsr;
	bool compacted;

	check_xsave(cpu);
	la = area(cpu, in, 576, 64, false);
	cpu_read_linear(cpu, la + 512, header, 64, in->seg);
	if (!header_good(cpu, header, &compacted) || (supervisor && !compacted))
		cpu_raise(cpu, CPU_GP, 0);
	cpu_read_linear(cpu, la, image, sizeof(image), in->seg);
	if (rfbm & header[0] & AVX)
		cpu_read_linear(cpu, la + 576, high, 16 * registers, in->seg);
	takes_mxcsr = compacted ? rfbm & header[0] & SSE : rfbm & (SSE | AVX);
	if (takes_mxcsr)
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
	if (takes_mxcsr)
		memcpy(&cpu->fpu.mxcsr, image + 24, 4);
	else if (rfbm & SSE)
		cpu->fpu.mxcsr = 0x1f80;
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

/* 0F C7 /3 to /5: XRSTORS, XSAVEC, XSAVES. */
int cpu_xsave_group9(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned sub = in->reg & 7;

	if (!(cpu->features & (sub == 4 ? CPU_HAS_XSAVEC : CPU_HAS_XSAVES)) || in->pp != CPU_PP_NONE)
		cpu_raise(cpu, CPU_UD, 0);
	check_xsave(cpu);
	if (sub != 4 && cpu->cpl)
		cpu_raise(cpu, CPU_GP, 0);
	return sub == 3 ? xrstor(cpu, in, true) : xsave_compacted(cpu, in);
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
		if (in->pp > CPU_PP_66 ||
		    (in->pp == CPU_PP_66 && !(cpu->features & (sub == 7 ? CPU_HAS_CLFLUSHOPT : CPU_HAS_CLWB))))
			cpu_raise(cpu, CPU_UD, 0);
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
		return xrstor(cpu, in, false);
	}
	if (!(cpu->features & CPU_HAS_XSAVEOPT))
		cpu_raise(cpu, CPU_UD, 0);
	return xsave(cpu, in);
}
