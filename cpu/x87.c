// SPDX-License-Identifier: MIT
/*
 * cpu/x87.c - the x87 FPU, on the host's
 *
 * Theory of operation
 *
 * A guest's x87 instruction is executed as itself: the guest's state goes to the
 * host's FPU by FXRSTOR, the instruction runs in a stub with its memory operand
 * at [RSI], and FXSAVE takes the state back (cpu_call_x87()).  The host never traps:
 * an unmasked exception only shows in FSW.ES and is raised, as by hardware, at the
 * next waiting instruction, which is looked at here before it gets to the host.
 *
 * What has the environment in memory (FLDENV, FNSTENV, FRSTOR, FNSAVE) is done in C,
 * since its form depends on mode and operand size, and so are FIP, FDP and FOP,
 * which processors treat differently: here every non-control instruction sets them.
 *
 * X-1  Order: #NM, then #MF, then the memory operand's faults.
 * X-2  Everything is computed in a copy; it replaces the guest's state when the
 *      memory operand has been written.
 * X-3  A store that an unmasked exception suppresses does not touch memory.
 */
#include "cpu/x87.h"

#include "cpu/access.h"

struct area {
	u8 bytes[512];
} __attribute__((aligned(16)));

enum { X87_PART = 160 };

/* ---- stubs: 4 bytes each ---- */

extern const u8 cpu_x87_memory[8][8][4] __attribute__((visibility("hidden")));
extern const u8 cpu_x87_register[8][64][4] __attribute__((visibility("hidden")));
/* Returns RAX; flags go in and out, unless NULL. */
u64 cpu_call_x87(struct area *area, void *memory, const void *stub, u64 *flags) __attribute__((visibility("hidden")));

/* clang-format off */
__asm__(".pushsection .text\n"
	".balign 64\n"
	".globl cpu_x87_memory\n.hidden cpu_x87_memory\n"
	"cpu_x87_memory:\n"
	".set x87_op, 0xd8\n"
	".rept 8\n"
	".set x87_reg, 0x06\n" /* mod 0, rm RSI */
	".rept 8\n"
	".byte x87_op, x87_reg\n ret\n .balign 4, 0xcc\n"
	".set x87_reg, x87_reg + 8\n"
	".endr\n"
	".set x87_op, x87_op + 1\n"
	".endr\n"
	".globl cpu_x87_register\n.hidden cpu_x87_register\n"
	"cpu_x87_register:\n"
	".set x87_op, 0xd8\n"
	".rept 8\n"
	".set x87_reg, 0xc0\n"
	".rept 64\n"
	".byte x87_op, x87_reg\n ret\n .balign 4, 0xcc\n"
	".set x87_reg, x87_reg + 1\n"
	".endr\n"
	".set x87_op, x87_op + 1\n"
	".endr\n"
	".globl cpu_call_x87\n.hidden cpu_call_x87\n.type cpu_call_x87, @function\n"
	"cpu_call_x87:\n"
	"	sub $8, %rsp\n"
	"	fnstcw (%rsp)\n"
	"	stmxcsr 24(%rdi)\n" /* the host's own, which FXRSTOR then leaves */
	"	fxrstor64 (%rdi)\n"
	"	test %rcx, %rcx\n"
	"	jnz 1f\n"
	"	call *%rdx\n"
	"	jmp 2f\n"
	"1:	pushq (%rcx)\n"
	"	popfq\n"
	"	call *%rdx\n"
	"	pushfq\n"
	"	popq (%rcx)\n"
	"2:	fxsave64 (%rdi)\n"
	"	fninit\n"
	"	fldcw (%rsp)\n"
	"	add $8, %rsp\n"
	"	ret\n"
	".size cpu_call_x87, .-cpu_call_x87\n"
	".popsection\n");
/* clang-format on */

/* ---- which instructions there are ---- */

enum { UNDEFINED = 0, ENVIRONMENT = 100 };

/* Bytes of the memory operand: > 0 is read, < 0 is written. */
static const int8_t operand[8][8] = {
	{ 4, 4, 4, 4, 4, 4, 4, 4 },
	{ 4, UNDEFINED, -4, -4, ENVIRONMENT, 2, ENVIRONMENT, -2 },
	{ 4, 4, 4, 4, 4, 4, 4, 4 },
	{ 4, -4, -4, -4, UNDEFINED, 10, UNDEFINED, -10 },
	{ 8, 8, 8, 8, 8, 8, 8, 8 },
	{ 8, -8, -8, -8, ENVIRONMENT, UNDEFINED, ENVIRONMENT, -2 },
	{ 2, 2, 2, 2, 2, 2, 2, 2 },
	{ 2, -2, -2, -2, 10, 8, -10, -8 },
};

#define RANGE(first, last) ((~0ULL >> (63 - ((last)-0xc0))) & (~0ULL << ((first)-0xc0)))
/* Register forms that are undefined, a bit for each second byte from C0. */
static const u64 undefined[8] = {
	[1] = RANGE(0xd1, 0xd7) | RANGE(0xe2, 0xe3) | RANGE(0xe6, 0xe7) | RANGE(0xef, 0xef),
	[2] = RANGE(0xe0, 0xe8) | RANGE(0xea, 0xff),
	[3] = RANGE(0xe5, 0xe7) | RANGE(0xf8, 0xff),
	[5] = RANGE(0xf0, 0xff),
	[6] = RANGE(0xd8, 0xd8) | RANGE(0xda, 0xdf),
	[7] = RANGE(0xe1, 0xe7) | RANGE(0xf8, 0xff),
};

enum kind { NORMAL, CONTROL, CONTROL_WAITING };

/* Control instructions leave FIP, FDP and FOP alone, and most of them do not wait. */
static enum kind kind_of(unsigned op, bool memory, unsigned sub)
{
	if (!memory) {
		if ((op == 3 && sub >= 0xe0 && sub <= 0xe4) || (op == 7 && sub == 0xe0))
			return CONTROL;
		return NORMAL;
	}
	if (op == 1 && sub >= 4)
		return sub < 6 ? CONTROL_WAITING : CONTROL;
	if (op == 5 && sub >= 4)
		return sub == 4 ? CONTROL_WAITING : CONTROL;
	return NORMAL;
}

/* ---- checks ---- */

static void check_pending(struct cpu *cpu)
{
	if (unlikely(cpu->fpu.fsw & X87_ES))
		cpu_raise(cpu, CPU_MF, 0);
}

/* ---- the state ---- */

static void pending_again(struct cpu_fpu *fpu)
{
	fpu->fsw &= (u16) ~(X87_ES | X87_BUSY);
	if (fpu->fsw & ~fpu->fcw & X87_EXCEPTIONS)
		fpu->fsw |= X87_ES | X87_BUSY;
}

static unsigned top_of(u16 fsw)
{
	return fsw >> 11 & 7;
}

/* st[] counts from the top: when FSW is replaced, the registers are counted anew. */
static void set_status(struct cpu_fpu *fpu, u16 fsw)
{
	const unsigned by = top_of(fsw) - top_of(fpu->fsw);
	u8 st[8][16];

	for (unsigned i = 0; i < 8; i++)
		memcpy(st[i], fpu->st[(i + by) & 7], 16);
	memcpy(fpu->st, st, sizeof(st));
	fpu->fsw = fsw;
}

static void initialize(struct cpu_fpu *fpu)
{
	set_status(fpu, 0);
	fpu->fcw = X87_FCW_INIT;
	fpu->ftw = 0;
	fpu->fop = 0;
	fpu->fip = fpu->fdp = 0;
}

/* The tag word with two bits per physical register. */
static u16 full_tags(const struct cpu_fpu *fpu)
{
	u16 tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		const u8 *st = fpu->st[(i - top_of(fpu->fsw)) & 7];
		const unsigned exponent = (st[8] | st[9] << 8) & 0x7fff;
		u64 significand;
		unsigned tag;

		memcpy(&significand, st, 8);
		if (!(fpu->ftw & 1 << i))
			tag = 3;
		else if (!exponent && !significand)
			tag = 1;
		else if (!exponent || exponent == 0x7fff || !(significand >> 63))
			tag = 2;
		else
			tag = 0;
		tags |= (u16)(tag << 2 * i);
	}
	return tags;
}

static u8 short_tags(u16 tags)
{
	u8 ftw = 0;

	for (unsigned i = 0; i < 8; i++)
		ftw |= (u8)(((tags >> 2 * i & 3) != 3) << i);
	return ftw;
}

/* ---- the environment in memory ---- */

static void put(u8 *p, unsigned size, u32 v)
{
	memcpy(p, &v, size);
}

static u32 get(const u8 *p, unsigned size)
{
	u32 v = 0;

	memcpy(&v, p, size);
	return v;
}

/* Real and virtual-8086 mode keep linear addresses. */
static bool linear_form(const struct cpu *cpu)
{
	return !cpu_protected(cpu);
}

static u32 linear_of(u64 pointer)
{
	return (u32)(((pointer >> 32 & 0xffff) << 4) + (u32)pointer);
}

/* size: of a field, 2 or 4; seven fields. */
static void build_environment(const struct cpu *cpu, u8 *env, unsigned size)
{
	const struct cpu_fpu *f = &cpu->fpu;

	memset(env, 0xff, 7 * size);
	put(env, 2, f->fcw);
	put(env + size, 2, f->fsw);
	put(env + 2 * size, 2, full_tags(f));
	if (linear_form(cpu)) {
		const u32 fip = linear_of(f->fip), fdp = linear_of(f->fdp);

		put(env + 3 * size, 2, fip);
		put(env + 4 * size, size, (fip >> 16) << 12 | (f->fop & 0x7ff));
		put(env + 5 * size, 2, fdp);
		put(env + 6 * size, size, (fdp >> 16) << 12);
		return;
	}
	put(env + 3 * size, size, (u32)f->fip);
	put(env + 4 * size, size, (f->fip >> 32 & 0xffff) | (u32)(f->fop & 0x7ff) << 16);
	put(env + 5 * size, size, (u32)f->fdp);
	put(env + 6 * size, 2, f->fdp >> 32 & 0xffff);
}

static void take_environment(struct cpu *cpu, const u8 *env, unsigned size)
{
	struct cpu_fpu *f = &cpu->fpu;

	f->fcw = (u16)((get(env, 2) & 0x1f7f) | 0x40);
	set_status(f, (u16)get(env + size, 2));
	f->ftw = short_tags((u16)get(env + 2 * size, 2));
	if (linear_form(cpu)) {
		const u32 high = get(env + 4 * size, size);

		f->fip = get(env + 3 * size, 2) | (high >> 12) << 16;
		f->fop = high & 0x7ff;
		f->fdp = get(env + 5 * size, 2) | (get(env + 6 * size, size) >> 12) << 16;
	} else {
		const u32 high = get(env + 4 * size, size);

		f->fip = get(env + 3 * size, size) | (u64)(high & 0xffff) << 32;
		f->fop = size == 4 ? high >> 16 & 0x7ff : 0;
		f->fdp = get(env + 5 * size, size) | (u64)get(env + 6 * size, 2) << 32;
	}
	pending_again(f);
}

/* FLDENV, FNSTENV, FRSTOR, FNSAVE */
static int environment(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->size == 2 ? 2 : 4;
	const bool all = in->opcode == 0xdd, store = in->reg & 2;
	const unsigned n = 7 * size + (all ? 80 : 0);
	const u64 la = cpu_addr(cpu, in, n, store);
	u8 image[108];

	if (store) {
		build_environment(cpu, image, size);
		for (unsigned i = 0; all && i < 8; i++)
			memcpy(image + 7 * size + 10 * i, cpu->fpu.st[i], 10);
		cpu_write_linear(cpu, la, image, n, in->seg);
		if (all) {
			initialize(&cpu->fpu);
		} else {
			cpu->fpu.fcw |= X87_EXCEPTIONS;
			pending_again(&cpu->fpu);
		}
		return CPU_NEXT;
	}
	cpu_read_linear(cpu, la, image, n, in->seg);
	take_environment(cpu, image, size);
	for (unsigned i = 0; all && i < 8; i++) {
		memset(cpu->fpu.st[i], 0, 16);
		memcpy(cpu->fpu.st[i], image + 7 * size + 10 * i, 10);
	}
	return CPU_NEXT;
}

/* ---- execution ---- */

static void load_area(struct area *area, const struct cpu *cpu)
{
	/* The rest is XMM registers, whose contents do not matter. */
	memcpy(area->bytes, &cpu->fpu, X87_PART);
}

static void commit(struct cpu *cpu, const struct area *area)
{
	const u32 mxcsr = cpu->fpu.mxcsr, mask = cpu->fpu.mxcsr_mask;
	const u64 fip = cpu->fpu.fip, fdp = cpu->fpu.fdp;
	const u16 fop = cpu->fpu.fop;

	memcpy(&cpu->fpu, area->bytes, X87_PART);
	cpu->fpu.mxcsr = mxcsr;
	cpu->fpu.mxcsr_mask = mask;
	cpu->fpu.fip = fip;
	cpu->fpu.fdp = fdp;
	cpu->fpu.fop = fop;
}

static void set_pointers(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool wide = in->flags & CPU_IN_64;
	const u64 rip = cpu_insn_rip(cpu, in);

	cpu->fpu.fop = (u16)((in->opcode & 7) << 8 | in->mod << 6 | (in->reg & 7) << 3 | (in->rm & 7));
	cpu->fpu.fip = wide ? rip : (u32)rip | (u64)cpu->seg[CPU_CS].selector << 32;
	if (in->mod != 3) {
		const u64 offset = cpu_mask(cpu_offset(cpu, in), in->addr_size);

		cpu->fpu.fdp = wide ? offset : (u32)offset | (u64)cpu->seg[in->seg].selector << 32;
	}
}

static int memory_form(struct cpu *cpu, const struct cpu_insn *in, enum kind kind)
{
	const int bytes = operand[in->opcode & 7][in->reg & 7];
	const unsigned n = (unsigned)(bytes < 0 ? -bytes : bytes);
	const void *stub = cpu_x87_memory[in->opcode & 7][in->reg & 7];
	const u64 la = cpu_addr(cpu, in, n, bytes < 0);
	struct area area;
	u8 data[16] = { 0 };

	if (bytes > 0)
		cpu_read_linear(cpu, la, data, n, in->seg);
	load_area(&area, cpu);
	cpu_call_x87(&area, data, stub, NULL);
	if (bytes < 0) {
		bool stored = true;

		if (unlikely(area.bytes[2] & X87_ES) && kind == NORMAL) {
			/* Was it stored?  What differs by what was there before was not. */
			struct area again;
			u8 other[16];

			memset(other, 0xff, sizeof(other));
			load_area(&again, cpu);
			cpu_call_x87(&again, other, stub, NULL);
			stored = !memcmp(data, other, n);
		}
		if (stored)
			cpu_write_linear(cpu, la, data, n, in->seg);
	}
	commit(cpu, &area);
	if (kind == NORMAL)
		set_pointers(cpu, in);
	return CPU_NEXT;
}

static int register_form(struct cpu *cpu, const struct cpu_insn *in, enum kind kind)
{
	const unsigned op = in->opcode & 7, sub = (in->reg & 7) << 3 | (in->rm & 7);
	/* FCMOVcc reads flags, FCOMI and its kin write them. */
	const bool reads = (op == 2 || op == 3) && sub < 0x20, writes = (op == 3 || op == 7) && sub >= 0x28 && sub <= 0x37;
	struct area area;
	u64 flags = cpu_arith(cpu), ax;

	load_area(&area, cpu);
	ax = cpu_call_x87(&area, NULL, cpu_x87_register[op][sub], reads || writes ? &flags : NULL);
	commit(cpu, &area);
	if (op == 3 && sub == 0x23)
		cpu->fpu.fip = cpu->fpu.fdp = cpu->fpu.fop = 0; /* FNINIT */
	if (op == 7 && sub == 0x20)
		cpu_set(cpu, CPU_RAX, 2, ax); /* FNSTSW AX */
	if (writes)
		cpu_set_arith(cpu, flags);
	if (kind == NORMAL)
		set_pointers(cpu, in);
	return CPU_NEXT;
}

bool cpu_x87_writes(const struct cpu_insn *in)
{
	const int bytes = operand[in->opcode & 7][in->reg & 7];

	return bytes == ENVIRONMENT ? in->reg & 2 : bytes < 0;
}

int cpu_x87(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned op = in->opcode & 7, reg = in->reg & 7;
	const bool memory = in->mod != 3;
	enum kind kind;

	if (in->opcode == 0x9b) {
		cpu_check_x87(cpu, true);
		check_pending(cpu);
		return CPU_NEXT;
	}
	if (memory ? operand[op][reg] == UNDEFINED : undefined[op] >> (reg << 3 | (in->rm & 7)) & 1)
		cpu_raise(cpu, CPU_UD, 0);
	cpu_check_x87(cpu, false);
	kind = kind_of(op, memory, memory ? reg : 0xc0U | reg << 3 | (in->rm & 7));
	if (kind != CONTROL)
		check_pending(cpu);
	if (!memory)
		return register_form(cpu, in, kind);
	if (operand[op][reg] == ENVIRONMENT)
		return environment(cpu, in);
	return memory_form(cpu, in, kind);
}
