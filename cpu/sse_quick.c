// SPDX-License-Identifier: MIT
/*
 * cpu/sse_quick.c - the commonest moves, and which instructions write memory
 *
 * Handlers picked by the decoder: they go on with the next record themselves, and
 * look after their own stores (cpu_next_stored()), so that a block does not end
 * behind them.
 */
#include "cpu/block.h"
#include "cpu/sse.h"

static int reg_reg(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_sse_ready(cpu);
	cpu_copy16(cpu->fpu.xmm[in->reg], cpu->fpu.xmm[in->rm]);
	return cpu_next(cpu, in);
}

static __attribute__((noinline)) int load_slow(struct cpu *cpu, const struct cpu_insn *in, u64 la)
{
	u8 tmp[16];

	cpu_read_linear(cpu, la, tmp, 16, in->seg);
	memcpy(cpu->fpu.xmm[in->reg], tmp, 16);
	return CPU_NEXT;
}

static inline int load(struct cpu *cpu, const struct cpu_insn *in, bool aligned)
{
	struct cpu_tlb *e;
	u64 la;

	cpu_sse_ready(cpu);
	la = cpu_addr(cpu, in, 16, false);
	if (aligned && unlikely(la & 15))
		cpu_raise(cpu, CPU_GP, 0);
	e = cpu_tlb_entry(cpu, la);
	if (unlikely(e->read != cpu_tag(la, 16, cpu->tlb_key)))
		return load_slow(cpu, in, la);
	cpu_copy16(cpu->fpu.xmm[in->reg], (const void *)(la + e->addend));
	return cpu_next(cpu, in);
}

static int load_aligned(struct cpu *cpu, const struct cpu_insn *in)
{
	return load(cpu, in, true);
}

static int load_any(struct cpu *cpu, const struct cpu_insn *in)
{
	return load(cpu, in, false);
}

static inline int store(struct cpu *cpu, const struct cpu_insn *in, bool aligned)
{
	struct cpu_tlb *e;
	u64 la;

	cpu_sse_ready(cpu);
	la = cpu_addr(cpu, in, 16, true);
	if (aligned && unlikely(la & 15))
		cpu_raise(cpu, CPU_GP, 0);
	e = cpu_tlb_entry(cpu, la);
	if (likely(e->write == cpu_tag(la, 16, cpu->tlb_key)))
		cpu_copy16((void *)(la + e->addend), cpu->fpu.xmm[in->reg]);
	else
		cpu_write_linear(cpu, la, cpu->fpu.xmm[in->reg], 16, in->seg);
	return cpu_next_stored(cpu, in);
}

static int store_aligned(struct cpu *cpu, const struct cpu_insn *in)
{
	return store(cpu, in, true);
}

static int store_any(struct cpu *cpu, const struct cpu_insn *in)
{
	return store(cpu, in, false);
}

/* MOVSS, MOVSD, MOVQ and MOVD to memory */
static inline int store_part(struct cpu *cpu, const struct cpu_insn *in, unsigned n)
{
	u64 v;

	cpu_sse_ready(cpu);
	v = cpu_get64(cpu->fpu.xmm[in->reg]);
	cpu_store(cpu, cpu_addr(cpu, in, n, true), n, v, in->seg);
	return cpu_next_stored(cpu, in);
}

static int store_4(struct cpu *cpu, const struct cpu_insn *in)
{
	return store_part(cpu, in, 4);
}

static int store_8(struct cpu *cpu, const struct cpu_insn *in)
{
	return store_part(cpu, in, 8);
}

/* MOVSS, MOVSD, MOVQ and MOVD from memory */
static inline int load_part(struct cpu *cpu, const struct cpu_insn *in, unsigned n)
{
	u64 v;

	cpu_sse_ready(cpu);
	v = cpu_load(cpu, cpu_addr(cpu, in, n, false), n, in->seg);
	cpu_put64(cpu->fpu.xmm[in->reg], v);
	cpu_put64(cpu->fpu.xmm[in->reg] + 8, 0);
	return cpu_next(cpu, in);
}

static int load_4(struct cpu *cpu, const struct cpu_insn *in)
{
	return load_part(cpu, in, 4);
}

static int load_8(struct cpu *cpu, const struct cpu_insn *in)
{
	return load_part(cpu, in, 8);
}

cpu_op *cpu_sse_quick(const struct cpu_insn *in)
{
	const bool memory = in->mod != 3, packed = in->pp == CPU_PP_NONE || in->pp == CPU_PP_66;

	if ((in->flags & (CPU_IN_VEX | CPU_IN_LOCK)) || in->map != 1)
		return NULL;
	switch (in->opcode) {
	case 0x10:
		if (packed)
			return memory ? load_any : reg_reg;
		return !memory ? NULL : in->pp == CPU_PP_F3 ? load_4 : load_8;
	case 0x11:
		if (packed)
			return memory ? store_any : NULL;
		return !memory ? NULL : in->pp == CPU_PP_F3 ? store_4 : store_8;
	case 0x28:
		return !packed ? NULL : memory ? load_aligned : reg_reg;
	case 0x29:
		return packed && memory ? store_aligned : NULL;
	case 0x6e:
		return in->pp != CPU_PP_66 || !memory ? NULL : cpu_insn_w(in) ? load_8 : load_4;
	case 0x6f:
		if (in->pp == CPU_PP_66)
			return memory ? load_aligned : reg_reg;
		return in->pp == CPU_PP_F3 ? (memory ? load_any : reg_reg) : NULL;
	case 0x7e:
		if (!memory || in->pp == CPU_PP_NONE || in->pp == CPU_PP_F2)
			return NULL;
		return in->pp == CPU_PP_F3 ? load_8 : cpu_insn_w(in) ? store_8 : store_4;
	case 0x7f:
		if (!memory)
			return NULL;
		return in->pp == CPU_PP_66 ? store_aligned : in->pp == CPU_PP_F3 ? store_any : NULL;
	case 0xd6:
		return in->pp == CPU_PP_66 && memory ? store_8 : NULL;
	}
	return NULL;
}

bool cpu_sse_writes(const struct cpu_insn *in)
{
	const bool vex = in->flags & CPU_IN_VEX;

	if (in->map == 2)
		return vex && (in->opcode == 0x2e || in->opcode == 0x2f || in->opcode == 0x8e);
	if (in->map == 3)
		return (in->opcode >= 0x14 && in->opcode <= 0x17) ||
		       (vex && (in->opcode == 0x19 || in->opcode == 0x1d || in->opcode == 0x39));
	switch (in->opcode) {
	case 0x11:
	case 0x13:
	case 0x17:
	case 0x29:
	case 0x2b:
	case 0x7f:
	case 0xae:
	case 0xd6:
	case 0xe7:
		return true;
	case 0x7e:
		return in->pp != CPU_PP_F3;
	}
	return false;
}
