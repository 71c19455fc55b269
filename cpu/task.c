// SPDX-License-Identifier: MIT
/*
 * cpu/task.c - hardware task switches of protected mode
 *
 * Theory of operation
 *
 * A switch has two halves.  In the first the old task runs: the new TSS is found, checked and read, the old one is
 * written.  Whatever goes wrong there is the old task's, and the instruction or event can be tried again:
 *
 * T-1  All that is written before the commit may be written again.  The new TSS becomes busy last, because
 *      this is what a second try would object to.
 *
 * In the second half the new task runs: registers are loaded first, with all segments unusable but for their
 * selectors, then segments are loaded one by one.  Their exceptions find the new task's CS:EIP.
 *
 * T-2  Between the commit and the end cpu->insn is NULL: cpu->rip is exact.
 * T-3  An exit in the second half leaves cpu->task.active: cpu_task_finish() is done again at the next boundary.
 */
#include "cpu/access.h"
#include "cpu/ops.h"
#include "cpu/stack.h"
#include "cpu/task.h"

enum { BUSY = 2, WIDE = 8 };
enum { LIMIT_16 = 0x2b, LIMIT_32 = 0x67 };
enum { TSS_LINK = 0, TSS_CR3 = 28, TSS_TRAP = 100 };

/* Where things are: EIP, EFLAGS and eight registers follow one another, then come segments, then LDTR. */
struct layout {
	u8 ip, size, segments, step, count, ldtr;
};
static const struct layout layouts[2] = { { 14, 2, 34, 2, 4, 42 }, { 32, 4, 72, 4, 6, 96 } };

struct task {
	struct cpu_segment tr;
	u64 descriptor, la; /* of the TSS */
	const struct layout *at;
	u32 cr3, ip, flags, gpr[8];
	u16 segment[6], ldtr;
	bool trap;
};

static const struct layout *layout(const struct cpu_segment *tr)
{
	return &layouts[(tr->type & WIDE) != 0];
}

/* ---- the old task's half ---- */

static void find_task(struct cpu *cpu, u16 selector, enum cpu_task_switch how, struct task *t)
{
	const unsigned vector = how == CPU_TASK_RETURN ? CPU_TS : CPU_GP, type = how == CPU_TASK_RETURN ? BUSY : 0;

	if ((selector & 4) || !(selector & 0xfffc))
		cpu_raise(cpu, vector, selector & 0xfffc);
	t->descriptor = cpu_read_descriptor(cpu, selector, vector, &t->la);
	cpu_unpack_descriptor(&t->tr, selector, t->descriptor);
	if (t->tr.s || (t->tr.type & ~WIDE) != (1 | type))
		cpu_raise(cpu, vector, selector & 0xfffc);
	if (!t->tr.present)
		cpu_raise(cpu, CPU_NP, selector & 0xfffc);
	if (t->tr.limit < (t->tr.type & WIDE ? LIMIT_32 : LIMIT_16))
		cpu_raise(cpu, CPU_TS, selector & 0xfffc);
	t->at = layout(&t->tr);
}

static void read_task(struct cpu *cpu, struct task *t)
{
	const u64 base = t->tr.base;
	const unsigned size = t->at->size;

	t->ip = (u32)cpu_load_system(cpu, (u32)(base + t->at->ip), size);
	t->flags = (u32)cpu_load_system(cpu, (u32)(base + t->at->ip + size), size);
	for (unsigned i = 0; i < 8; i++)
		t->gpr[i] = (u32)cpu_load_system(cpu, (u32)(base + t->at->ip + (2 + i) * size), size);
	for (unsigned i = 0; i < t->at->count; i++)
		t->segment[i] = (u16)cpu_load_system(cpu, (u32)(base + t->at->segments + i * t->at->step), 2);
	t->ldtr = (u16)cpu_load_system(cpu, (u32)(base + t->at->ldtr), 2);
	t->cr3 = (u32)cpu->cr3;
	if (t->tr.type & WIDE) {
		t->cr3 = (u32)cpu_load_system(cpu, (u32)(base + TSS_CR3), 4);
		t->trap = cpu_load_system(cpu, (u32)(base + TSS_TRAP), 2) & 1;
	}
}

static void save_task(struct cpu *cpu, u64 rip, u64 flags)
{
	const struct cpu_segment *tr = &cpu->seg[CPU_TR];
	const struct layout *at = layout(tr);
	const unsigned size = at->size;

	if (tr->unusable || tr->limit < (tr->type & WIDE ? LIMIT_32 : LIMIT_16))
		cpu_raise(cpu, CPU_TS, tr->selector & 0xfffc);
	cpu_store_system(cpu, (u32)(tr->base + at->ip), size, rip);
	cpu_store_system(cpu, (u32)(tr->base + at->ip + size), size, flags);
	for (unsigned i = 0; i < 8; i++)
		cpu_store_system(cpu, (u32)(tr->base + at->ip + (2 + i) * size), size, cpu->reg[i]);
	for (unsigned i = 0; i < at->count; i++)
		cpu_store_system(cpu, (u32)(tr->base + at->segments + i * at->step), 2, cpu->seg[i].selector);
}

/* The busy bit of a TSS in the GDT, whose descriptor lies at la. */
static void set_busy(struct cpu *cpu, u64 la, bool busy)
{
	const u64 type = cpu_load_system(cpu, la + 5, 1);

	cpu_store_system(cpu, la + 5, 1, busy ? type | BUSY : type & ~(u64)BUSY);
}

static void check_pdptrs(struct cpu *cpu, u64 cr3)
{
	u64 now[4];

	if (!(cpu->cr0 >> 31) || !(cpu->cr4 & (1 << 5)))
		return;
	memcpy(now, cpu->pdptr, sizeof(now));
	cpu_load_pdptrs(cpu, cr3);
	memcpy(cpu->pdptr, now, sizeof(now));
}

/* ---- the new task's half ---- */

static void commit(struct cpu *cpu, const struct task *t, enum cpu_task_switch how)
{
	const bool nested = how == CPU_TASK_CALL;

	cpu->insn = NULL;
	cpu->event.active = false;
	cpu->task.active = true;
	if ((t->tr.type & WIDE) && (cpu->cr0 >> 31))
		cpu_write_cr3(cpu, t->cr3);
	cpu->seg[CPU_TR] = t->tr;
	cpu->seg[CPU_TR].type |= BUSY;
	cpu->cr0 |= 1 << 3; /* TS */
	cpu->dr7 &= ~0x155ULL;
	for (unsigned i = 0; i < 8; i++)
		cpu->reg[i] = t->gpr[i];
	cpu->rip = t->ip;
	for (unsigned i = 0; i <= CPU_LDTR; i++) {
		memset(&cpu->seg[i], 0, sizeof(cpu->seg[i]));
		cpu->seg[i].selector = i == CPU_LDTR ? t->ldtr : t->segment[i];
		cpu->seg[i].unusable = 1;
	}
	cpu->cpl = t->flags & CPU_F_VM ? 3 : t->segment[CPU_CS] & 3;
	cpu->seg[CPU_SS].dpl = cpu->cpl;
	cpu_set_rflags(cpu, t->flags | (nested ? CPU_F_NT : 0));
	if (t->trap)
		cpu->trap_dr6 |= 1 << 15;
	cpu_flush_tlb(cpu);
	cpu_update_mode(cpu);
}

static void load_code(struct cpu *cpu, u16 selector)
{
	struct cpu_segment cs;
	u64 la, d;

	if (!(selector & 0xfffc))
		cpu_raise(cpu, CPU_TS, 0);
	d = cpu_read_descriptor(cpu, selector, CPU_TS, &la);
	cpu_unpack_descriptor(&cs, selector, d);
	if (!cs.s || !(cs.type & 8) || (cs.type & 4 ? cs.dpl > cpu->cpl : cs.dpl != cpu->cpl))
		cpu_raise(cpu, CPU_TS, selector & 0xfffc);
	if (!cs.present)
		cpu_raise(cpu, CPU_NP, selector & 0xfffc);
	cpu_set_accessed(cpu, la, d);
	cpu_commit_cs(cpu, &cs, cpu->cpl);
}

void cpu_task_finish(struct cpu *cpu)
{
	static const u8 data[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	struct cpu_segment ss;

	cpu_load_ldtr(cpu, cpu->seg[CPU_LDTR].selector, CPU_TS);
	if (cpu->flags & CPU_F_VM) {
		for (unsigned i = 0; i < 6; i++)
			cpu_load_segment(cpu, i, cpu->seg[i].selector);
	} else {
		load_code(cpu, cpu->seg[CPU_CS].selector);
		cpu_load_inner_stack(cpu, cpu->seg[CPU_SS].selector, &ss, cpu->cpl, CPU_TS);
		cpu->seg[CPU_SS] = ss;
		for (unsigned i = 0; i < sizeof(data); i++)
			cpu_load_data_segment(cpu, data[i], cpu->seg[data[i]].selector, CPU_TS);
	}
	if (cpu->task.has_error)
		cpu_push(cpu, layout(&cpu->seg[CPU_TR])->size, cpu->task.error);
	cpu->task.active = false;
	if (cpu->rip > cpu->seg[CPU_CS].limit)
		cpu_raise(cpu, CPU_GP, 0);
}

void cpu_task_switch(struct cpu *cpu, u16 selector, enum cpu_task_switch how, u64 rip, u64 flags, const u32 *error)
{
	const struct cpu_insn *insn = cpu->insn;
	struct task t = { 0 };
	u64 old_la, d;

	find_task(cpu, selector, how, &t);
	read_task(cpu, &t);
	check_pdptrs(cpu, t.cr3);
	d = cpu_read_descriptor(cpu, cpu->seg[CPU_TR].selector & 0xfff8, CPU_TS, &old_la);
	save_task(cpu, rip, how == CPU_TASK_RETURN ? flags & ~CPU_F_NT : flags);
	if (how == CPU_TASK_CALL)
		cpu_store_system(cpu, (u32)(t.tr.base + TSS_LINK), 2, cpu->seg[CPU_TR].selector);
	else if (d >> 40 & BUSY)
		set_busy(cpu, old_la, false);
	if (how != CPU_TASK_RETURN)
		set_busy(cpu, t.la, true);
	cpu->task.has_error = error;
	cpu->task.error = error ? *error : 0;
	commit(cpu, &t, how);
	cpu_task_finish(cpu);
	cpu->insn = insn;
}

bool cpu_task_transfer(struct cpu *cpu, u16 selector, u64 d, enum cpu_task_switch how, u64 next)
{
	const unsigned type = d >> 40 & 31, dpl = d >> 45 & 3;

	if (cpu_long_mode(cpu) || (type != 5 && type != 1 && type != 9))
		return false;
	if (dpl < cpu->cpl || dpl < (selector & 3))
		cpu_raise(cpu, CPU_GP, selector & 0xfffc);
	if (!(d >> 47 & 1))
		cpu_raise(cpu, CPU_NP, selector & 0xfffc);
	cpu_task_switch(cpu, type == 5 ? d >> 16 & 0xffff : selector, how, next, cpu_rflags(cpu), NULL);
	return true;
}

void cpu_task_return(struct cpu *cpu, u64 next)
{
	const u16 link = (u16)cpu_load_system(cpu, (u32)(cpu->seg[CPU_TR].base + TSS_LINK), 2);

	cpu_task_switch(cpu, link, CPU_TASK_RETURN, next, cpu_rflags(cpu), NULL);
}
