// SPDX-License-Identifier: MIT
/*
 * cpu/string.c - MOVS STOS LODS CMPS SCAS
 *
 * Each iteration, or each run of iterations within a page, commits its
 * registers; then cpu->stop is looked at, and the instruction goes on later where it was.
 */
#include "cpu/alu.h"

/* May a run be done at once?  Bytes from la to its page's end, in units. */
static u64 units(u64 la, unsigned size)
{
	return (RT_PAGE_SIZE - (la & RT_PAGE_MASK)) / size;
}

static const u8 *readable(struct cpu *cpu, u64 la)
{
	struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	return e->read == cpu_tag(la, 1, cpu->tlb_key) ? (const u8 *)(la + e->addend) : NULL;
}

static u8 *writable(struct cpu *cpu, u64 la)
{
	struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	return e->write == cpu_tag(la, 1, cpu->tlb_key) ? (u8 *)(la + e->addend) : NULL;
}

static u64 address(struct cpu *cpu, const struct cpu_insn *in, unsigned seg, unsigned r, bool write)
{
	const u64 offset = cpu_mask(cpu->reg[r], in->addr_size);

	return in->flags & CPU_IN_64 ? offset + cpu->base64[seg] : cpu_linear(cpu, seg, offset, in->size, write);
}

static void advance(struct cpu *cpu, const struct cpu_insn *in, unsigned r, u64 n)
{
	const u64 bytes = n * in->size;

	cpu_set(cpu, r, in->addr_size, cpu->flags & CPU_F_DF ? cpu->reg[r] - bytes : cpu->reg[r] + bytes);
}

static bool repeats(const struct cpu_insn *in)
{
	return in->flags & (CPU_IN_REP | CPU_IN_REPNE);
}

/* Iterations to do; one without a prefix. */
static u64 remaining(const struct cpu *cpu, const struct cpu_insn *in)
{
	return repeats(in) ? cpu_get(cpu, CPU_RCX, in->addr_size) : 1;
}

/* n iterations are done; whether the instruction has to pause here although it is not finished. */
static bool done(struct cpu *cpu, const struct cpu_insn *in, u64 n)
{
	cpu_mmio_forget(cpu);
	if (!repeats(in))
		return true;
	cpu_set(cpu, CPU_RCX, in->addr_size, cpu->reg[CPU_RCX] - n);
	return cpu->stepping || cpu->write_count || __atomic_load_n(&cpu->stop, __ATOMIC_RELAXED);
}

/* Where RIP goes: behind the instruction, or to it again. */
static int pause(struct cpu *cpu, const struct cpu_insn *in, bool finished)
{
	cpu->rip += finished ? in->end : in->start;
	return CPU_JUMP;
}

static void host_movs(u8 *to, const u8 *from, u64 n, unsigned size)
{
	switch (size) {
	case 1:
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		break;
	case 2:
		__asm__ volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		break;
	case 4:
		__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		break;
	default:
		__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	}
}

static void host_stos(u8 *to, u64 v, u64 n, unsigned size)
{
	switch (size) {
	case 1:
		__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(v) : "memory");
		break;
	case 2:
		__asm__ volatile("rep stosw" : "+D"(to), "+c"(n) : "a"(v) : "memory");
		break;
	case 4:
		__asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(v) : "memory");
		break;
	default:
		__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(v) : "memory");
	}
}

/* A run is possible forwards, by 64-bit addresses, when several iterations lie ahead. */
static bool runs(const struct cpu *cpu, const struct cpu_insn *in, u64 n)
{
	return n > 1 && in->addr_size == 8 && !cpu->stepping && !(cpu->flags & CPU_F_DF);
}

int op_movs(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 n;

	while ((n = remaining(cpu, in)) != 0) {
		const u64 from = address(cpu, in, in->seg, CPU_RSI, false),
			  to = address(cpu, in, CPU_ES, CPU_RDI, true);
		const u8 *src = readable(cpu, from);
		u8 *dst = writable(cpu, to);
		u64 count = 1;

		if (src && dst && runs(cpu, in, n))
			count = rt_min(rt_min(n, units(from, in->size)), units(to, in->size));
		if (count > 1)
			host_movs(dst, src, count, in->size);
		else
			cpu_store(cpu, to, in->size, cpu_load(cpu, from, in->size, in->seg), CPU_ES);
		if (!count)
			count = 1;
		advance(cpu, in, CPU_RSI, count);
		advance(cpu, in, CPU_RDI, count);
		if (done(cpu, in, count))
			return pause(cpu, in, !repeats(in) || !remaining(cpu, in));
	}
	return CPU_NEXT;
}

int op_stos(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 v = cpu->reg[CPU_RAX];
	u64 n;

	while ((n = remaining(cpu, in)) != 0) {
		const u64 to = address(cpu, in, CPU_ES, CPU_RDI, true);
		u8 *dst = writable(cpu, to);
		u64 count = 1;

		if (dst && runs(cpu, in, n))
			count = rt_min(n, units(to, in->size));
		if (count > 1)
			host_stos(dst, v, count, in->size);
		else
			cpu_store(cpu, to, in->size, v, CPU_ES);
		if (!count)
			count = 1;
		advance(cpu, in, CPU_RDI, count);
		if (done(cpu, in, count))
			return pause(cpu, in, !repeats(in) || !remaining(cpu, in));
	}
	return CPU_NEXT;
}

int op_lods(struct cpu *cpu, const struct cpu_insn *in)
{
	while (remaining(cpu, in)) {
		u64 v = cpu_load(cpu, address(cpu, in, in->seg, CPU_RSI, false), in->size, in->seg);

		cpu_set(cpu, CPU_RAX, in->size, v);
		advance(cpu, in, CPU_RSI, 1);
		if (done(cpu, in, 1))
			return pause(cpu, in, !repeats(in) || !remaining(cpu, in));
	}
	return CPU_NEXT;
}

/* REPE goes on while ZF, REPNE while not. */
static bool found(const struct cpu *cpu, const struct cpu_insn *in)
{
	const bool zf = cpu->aflags & CPU_F_ZF << 8;

	return repeats(in) && (in->flags & CPU_IN_REPNE ? zf : !zf);
}

static int compare(struct cpu *cpu, const struct cpu_insn *in, bool scan)
{
	while (remaining(cpu, in)) {
		u64 a, b;
		u16 f;
		bool stop;

		if (scan)
			a = cpu->reg[CPU_RAX];
		else
			a = cpu_load(cpu, address(cpu, in, in->seg, CPU_RSI, false), in->size, in->seg);
		b = cpu_load(cpu, address(cpu, in, CPU_ES, CPU_RDI, false), in->size, CPU_ES);
		cpu_sub(a, b, in->size, &f);
		cpu->aflags = f;
		if (!scan)
			advance(cpu, in, CPU_RSI, 1);
		advance(cpu, in, CPU_RDI, 1);
		stop = done(cpu, in, 1);
		if (found(cpu, in))
			return CPU_NEXT;
		if (stop)
			return pause(cpu, in, !repeats(in) || !remaining(cpu, in));
	}
	return CPU_NEXT;
}

int op_cmps(struct cpu *cpu, const struct cpu_insn *in)
{
	return compare(cpu, in, false);
}

int op_scas(struct cpu *cpu, const struct cpu_insn *in)
{
	return compare(cpu, in, true);
}
