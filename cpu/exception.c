// SPDX-License-Identifier: MIT
/*
 * cpu/exception.c - exceptions and interrupts through IVT and IDT
 *
 * cpu_raise() leaves the current instruction; cpu_run() then calls
 * cpu_deliver_exception().  While cpu->event.active, a further exception meets
 * the rules of double faults; an exit (memory fault, host fault) leaves the event to be injected again.
 */
#include "cpu/block.h"
#include "cpu/ops.h"
#include "cpu/task.h"

static bool has_error_code(unsigned vector)
{
	return vector == CPU_DF || (vector >= CPU_TS && vector <= CPU_PF) || vector == CPU_AC || vector == 21;
}

void cpu_raise(struct cpu *cpu, unsigned vector, u32 error)
{
	cpu->fault.vector = (u8)vector;
	cpu->fault.has_error = has_error_code(vector) && (cpu->cr0 & 1);
	cpu->fault.error = error;
	/* EXT: the event came from outside the program. */
	if (cpu->event.active && cpu->event.external && !cpu->event.soft && vector >= CPU_TS && vector <= CPU_GP)
		cpu->fault.error |= 1;
	cpu->fault.trap = false;
	cpu_leave(cpu, CPU_LEAVE_EXCEPTION);
}

void cpu_page_fault(struct cpu *cpu, u64 la, u32 error)
{
	cpu->cr2 = la;
	cpu_raise(cpu, CPU_PF, error);
}

/* #DB: dr6 holds the reasons.  Instruction breakpoints are faults, all others traps. */
void cpu_raise_debug(struct cpu *cpu, u32 dr6)
{
	const bool fault = cpu->trap_dr6 == 0;

	cpu->trap_dr6 = 0;
	if (cpu->guest_debug & (CPU_DEBUG_SINGLESTEP | CPU_DEBUG_HW_BP)) {
		cpu->exit.debug.exception = CPU_DB;
		cpu->exit.debug.pc = cpu->rip + cpu->code_base;
		cpu->exit.debug.dr6 = dr6 | 0xffff0ff0;
		cpu->exit.debug.dr7 = cpu->guest_debug & CPU_DEBUG_HW_BP ? cpu->debug_dr7 : cpu->dr7;
		cpu_attention(cpu);
		cpu_exit_now(cpu, CPU_EXIT_DEBUG);
	}
	cpu->dr6 = (cpu->dr6 & ~0xfULL) | dr6 | 0xffff0ff0;
	cpu->dr7 &= ~(1ULL << 13);
	cpu->fault.vector = CPU_DB;
	cpu->fault.has_error = false;
	cpu->fault.trap = !fault;
	cpu_leave(cpu, CPU_LEAVE_EXCEPTION);
}

void cpu_shutdown(struct cpu *cpu)
{
	cpu->event.active = false;
	cpu_exit_now(cpu, CPU_EXIT_SHUTDOWN);
}

void cpu_emulation_failure(struct cpu *cpu)
{
	/* It begins anew when it is tried again, and reads again. */
	cpu_mmio_forget(cpu);
	memset(&cpu->exit.internal, 0, sizeof(cpu->exit.internal));
	cpu->exit.internal.suberror = CPU_ERROR_EMULATION;
	/* The instruction's bytes, when they could be fetched: flag, then length and bytes as KVM packs them. */
	if (cpu->insn && cpu->block->insn) {
		u8 packed[16] = { cpu->insn->length };

		memcpy(packed + 1,
		       (const u8 *)cpu->block->raw + (cpu->block->host - (u64)(uintptr_t)cpu->block->compare) +
			       cpu->insn->start,
		       cpu->insn->length);
		cpu->exit.internal.ndata = 3;
		cpu->exit.internal.data[0] = 1;
		memcpy(&cpu->exit.internal.data[1], packed, sizeof(packed));
	}
	cpu_exit_now(cpu, CPU_EXIT_INTERNAL_ERROR);
}

void cpu_delivery_failure(struct cpu *cpu, u64 gpa)
{
	u64 *data = cpu->exit.internal.data;

	memset(&cpu->exit.internal, 0, sizeof(cpu->exit.internal));
	cpu->exit.internal.suberror = CPU_ERROR_DELIVERY_EV;
	cpu->exit.internal.ndata = 5;
	data[0] = 1U << 31 | (cpu->event.external ? 0 : 3U << 8) | cpu->event.vector;
	data[1] = 49; /* EPT misconfiguration: what an access to MMIO is there */
	data[3] = gpa;
	cpu->event.active = false;
	cpu_exit_now(cpu, CPU_EXIT_INTERNAL_ERROR);
}

void cpu_save_event(struct cpu *cpu)
{
	if (!cpu->event.active)
		return;
	cpu->event.active = false;
	/* A software interrupt is executed again. */
	if (cpu->event.soft)
		return;
	if (!cpu->event.external) {
		cpu->events.exception.injected = 1;
		cpu->events.exception.nr = cpu->event.vector;
		cpu->events.exception.has_error_code = cpu->event.has_error;
		cpu->events.exception.error_code = cpu->event.error;
	} else if (cpu->event.vector == CPU_NMI) {
		cpu->events.nmi.injected = 1;
	} else {
		cpu->events.interrupt.injected = 1;
		cpu->events.interrupt.nr = cpu->event.vector;
		cpu->events.interrupt.soft = 0;
	}
	cpu_attention(cpu);
}

/* ---- gates ---- */

static u32 gate_error(const struct cpu *cpu, unsigned vector)
{
	return vector * 8 + 2 + (cpu->event.external && !cpu->event.soft);
}

static void gate_target(struct cpu *cpu, u16 selector, struct cpu_segment *cs, unsigned *cpl)
{
	u64 la, d;

	if (!(selector & 0xfffc))
		cpu_raise(cpu, CPU_GP, 0);
	d = cpu_read_descriptor(cpu, selector, CPU_GP, &la);
	cpu_unpack_descriptor(cs, selector, d);
	if (!cs->s || !(cs->type & 8) || cs->dpl > cpu->cpl)
		cpu_raise(cpu, CPU_GP, selector & 0xfffc);
	if (cpu_long_mode(cpu) && (!cs->l || cs->db))
		cpu_raise(cpu, CPU_GP, selector & 0xfffc);
	if (!cs->present)
		cpu_raise(cpu, CPU_NP, selector & 0xfffc);
	*cpl = cs->type & 4 ? cpu->cpl : cs->dpl;
	cpu_set_accessed(cpu, la, d);
}

/* The stack's slots are written with the rights of the new level. */
static void push_slot(struct cpu *cpu, unsigned cpl, u64 la, unsigned size, u64 v)
{
	if (cpl == 3)
		cpu_store(cpu, la, size, v, CPU_SS);
	else
		cpu_store_system(cpu, la, size, v);
}

static u64 pushed_flags(struct cpu *cpu)
{
	/* RF is set in the image of faults, so that the instruction can be restarted over its breakpoint. */
	return cpu_rflags(cpu) | (!cpu->event.external && !cpu->fault.trap ? CPU_F_RF : 0);
}

static void enter_handler(struct cpu *cpu, bool interrupt_gate)
{
	u64 clear = CPU_F_TF | CPU_F_NT | CPU_F_RF | CPU_F_VM;

	if (interrupt_gate)
		clear |= CPU_F_IF;
	cpu->flags &= ~clear;
}

static void deliver_long(struct cpu *cpu, unsigned vector, u64 return_rip)
{
	const u64 offset = vector * 16, flags = pushed_flags(cpu);
	struct cpu_segment cs;
	u64 low, high, rsp, target;
	unsigned type, cpl, ist, n = 0;
	u64 slots[6];

	if (offset + 15 > cpu->idtr.limit)
		cpu_raise(cpu, CPU_GP, gate_error(cpu, vector));
	low = cpu_load_system(cpu, cpu->idtr.base + offset, 8);
	high = cpu_load_system(cpu, cpu->idtr.base + offset + 8, 8);
	type = low >> 40 & 31;
	if ((type != 14 && type != 15) || (cpu->event.soft && (low >> 45 & 3) < cpu->cpl))
		cpu_raise(cpu, CPU_GP, gate_error(cpu, vector));
	if (!(low >> 47 & 1))
		cpu_raise(cpu, CPU_NP, gate_error(cpu, vector));
	target = (low & 0xffff) | (low >> 32 & 0xffff0000) | high << 32;
	ist = low >> 32 & 7;
	gate_target(cpu, low >> 16 & 0xffff, &cs, &cpl);
	if (ist || cpl < cpu->cpl) {
		const u32 at = ist ? 0x24 + 8 * (ist - 1) : 4 + 8 * cpl;

		if (at + 7 > cpu->seg[CPU_TR].limit)
			cpu_raise(cpu, CPU_TS, cpu->seg[CPU_TR].selector & 0xfffc);
		rsp = cpu_load_system(cpu, cpu->seg[CPU_TR].base + at, 8);
	} else {
		rsp = cpu->reg[CPU_RSP];
	}
	if (!cpu_canonical(cpu, rsp))
		cpu_raise(cpu, CPU_SS_FAULT, 0);
	rsp &= ~15ULL;
	slots[n++] = cpu->seg[CPU_SS].selector;
	slots[n++] = cpu->reg[CPU_RSP];
	slots[n++] = flags;
	slots[n++] = cpu->seg[CPU_CS].selector;
	slots[n++] = return_rip;
	if (cpu->event.has_error)
		slots[n++] = cpu->event.error;
	for (unsigned i = 0; i < n; i++)
		push_slot(cpu, cpl, rsp - 8 * (i + 1), 8, slots[i]);
	if (!cpu_canonical(cpu, target))
		cpu_raise(cpu, CPU_GP, 0);
	cpu->reg[CPU_RSP] = rsp - 8 * n;
	enter_handler(cpu, type == 14);
	if (cpl != cpu->cpl)
		cpu_set_null(cpu, CPU_SS, (u16)cpl);
	cpu_commit_cs(cpu, &cs, cpl);
	cpu->rip = target;
}

static void deliver_real(struct cpu *cpu, unsigned vector, u64 return_rip)
{
	const u64 at = cpu->idtr.base + vector * 4;
	const u64 values[3] = { cpu_rflags(cpu), cpu->seg[CPU_CS].selector, return_rip };
	u64 gate;

	if (vector * 4 + 3U > cpu->idtr.limit)
		cpu_raise(cpu, CPU_GP, 0);
	gate = cpu_load_system(cpu, at, 4);
	for (unsigned i = 0; i < 3; i++) {
		const u64 offset = (cpu->reg[CPU_RSP] - 2 * (i + 1)) & 0xffff;

		cpu_store_system(cpu, cpu_linear(cpu, CPU_SS, offset, 2, true), 2, values[i]);
	}
	cpu_set(cpu, CPU_RSP, 2, cpu->reg[CPU_RSP] - 6);
	cpu->flags &= ~(CPU_F_IF | CPU_F_TF | CPU_F_AC | CPU_F_RF);
	cpu_load_segment(cpu, CPU_CS, (u16)(gate >> 16));
	cpu->rip = gate & 0xffff;
}

/* An inner stack from the TSS of the 16- or 32-bit kind. */
static void inner_stack(struct cpu *cpu, unsigned cpl, struct cpu_segment *ss, u64 *esp)
{
	const struct cpu_segment *tr = &cpu->seg[CPU_TR];
	const bool wide = tr->type & 8;
	const u32 at = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
	u16 selector;

	if (at + (wide ? 7 : 3) > tr->limit)
		cpu_raise(cpu, CPU_TS, tr->selector & 0xfffc);
	*esp = cpu_load_system(cpu, tr->base + at, wide ? 4 : 2);
	selector = (u16)cpu_load_system(cpu, tr->base + at + (wide ? 4 : 2), 2);
	cpu_load_inner_stack(cpu, selector, ss, cpl, CPU_TS);
}

static void deliver_protected(struct cpu *cpu, unsigned vector, u64 return_rip)
{
	const u64 offset = vector * 8, flags = pushed_flags(cpu);
	const bool from_v86 = cpu->flags & CPU_F_VM;
	struct cpu_segment cs, ss = cpu->seg[CPU_SS];
	u64 gate, esp = cpu->reg[CPU_RSP], slots[10], mask;
	unsigned type, cpl, size, n = 0;

	if (offset + 7 > cpu->idtr.limit)
		cpu_raise(cpu, CPU_GP, gate_error(cpu, vector));
	gate = cpu_load_system(cpu, cpu->idtr.base + offset, 8);
	type = gate >> 40 & 31;
	if ((type != 5 && type != 6 && type != 7 && type != 14 && type != 15) ||
	    (cpu->event.soft && (gate >> 45 & 3) < cpu->cpl))
		cpu_raise(cpu, CPU_GP, gate_error(cpu, vector));
	if (!(gate >> 47 & 1))
		cpu_raise(cpu, CPU_NP, gate_error(cpu, vector));
	if (type == 5) {
		cpu_task_switch(cpu, gate >> 16 & 0xffff, CPU_TASK_CALL, return_rip, flags,
				cpu->event.has_error ? &cpu->event.error : NULL);
		return;
	}
	size = type & 8 ? 4 : 2;
	gate_target(cpu, gate >> 16 & 0xffff, &cs, &cpl);
	if (from_v86 && cpl)
		cpu_raise(cpu, CPU_GP, (u32)(gate >> 16 & 0xfffc));
	if (cpl < cpu->cpl) {
		inner_stack(cpu, cpl, &ss, &esp);
		if (from_v86) {
			slots[n++] = cpu->seg[CPU_GS].selector;
			slots[n++] = cpu->seg[CPU_FS].selector;
			slots[n++] = cpu->seg[CPU_DS].selector;
			slots[n++] = cpu->seg[CPU_ES].selector;
		}
		slots[n++] = cpu->seg[CPU_SS].selector;
		slots[n++] = cpu->reg[CPU_RSP];
	}
	slots[n++] = flags;
	slots[n++] = cpu->seg[CPU_CS].selector;
	slots[n++] = return_rip;
	if (cpu->event.has_error)
		slots[n++] = cpu->event.error;
	mask = ss.db ? 0xffffffff : 0xffff;
	for (unsigned i = 0; i < n; i++) {
		const u64 to = (esp - size * (i + 1)) & mask;

		if (!cpu_within(&ss, to, size, true))
			cpu_raise(cpu, CPU_SS_FAULT, cpl != cpu->cpl ? ss.selector & 0xfffc : 0);
		push_slot(cpu, cpl, (u32)(ss.base + to), size, slots[i]);
	}
	if (cpl != cpu->cpl) {
		cpu->seg[CPU_SS] = ss;
		cpu->reg[CPU_RSP] = esp;
	}
	cpu->reg[CPU_RSP] = (cpu->reg[CPU_RSP] & ~mask) | ((esp - size * n) & mask);
	enter_handler(cpu, !(type & 1));
	if (from_v86) {
		cpu_set_null(cpu, CPU_GS, 0);
		cpu_set_null(cpu, CPU_FS, 0);
		cpu_set_null(cpu, CPU_DS, 0);
		cpu_set_null(cpu, CPU_ES, 0);
	}
	cpu_commit_cs(cpu, &cs, cpl);
	cpu->rip = (gate & 0xffff) | (size == 4 ? gate >> 32 & 0xffff0000 : 0);
}

static void deliver(struct cpu *cpu, u64 return_rip)
{
	const unsigned vector = cpu->event.vector;

	cpu->event.active = true;
	cpu->event.rip = return_rip;
	cpu->halted = false;
	if (!(cpu->cr0 & 1))
		deliver_real(cpu, vector, return_rip);
	else if (cpu_long_mode(cpu))
		deliver_long(cpu, vector, return_rip);
	else
		deliver_protected(cpu, vector, return_rip);
	cpu->event.active = false;
	cpu->events.interrupt.shadow = 0;
}

void cpu_deliver(struct cpu *cpu, unsigned vector, bool has_error, u32 error, bool soft, u64 return_rip)
{
	cpu->event.vector = (u8)vector;
	cpu->event.has_error = has_error;
	cpu->event.error = error;
	cpu->event.external = true;
	cpu->event.soft = soft;
	deliver(cpu, return_rip);
}

void cpu_soft_interrupt(struct cpu *cpu, unsigned vector, u64 next_rip)
{
	cpu_deliver(cpu, vector, false, 0, true, next_rip);
}

/* ---- exceptions ---- */

static bool contributory(unsigned vector)
{
	return vector == CPU_DE || (vector >= CPU_TS && vector <= CPU_GP) || vector == 21;
}

void cpu_deliver_exception(struct cpu *cpu)
{
	u8 vector = cpu->fault.vector;
	bool has_error = cpu->fault.has_error;
	u32 error = cpu->fault.error;

	if (cpu->event.active && !cpu->event.external) {
		const u8 first = cpu->event.vector;

		if (first == CPU_DF)
			cpu_shutdown(cpu);
		if ((contributory(first) && contributory(vector)) ||
		    (first == CPU_PF && (contributory(vector) || vector == CPU_PF))) {
			vector = CPU_DF;
			has_error = cpu->cr0 & 1;
			error = 0;
			cpu->fault.trap = false;
		}
	}
	cpu->event.vector = vector;
	cpu->event.has_error = has_error;
	cpu->event.error = error;
	cpu->event.external = cpu->event.soft = false;
	deliver(cpu, cpu->rip);
}

bool cpu_deliver_pending(struct cpu *cpu)
{
	struct cpu_events *e = &cpu->events;

	if (e->triple_fault) {
		e->triple_fault = false;
		cpu_shutdown(cpu);
	}
	if (e->exception.injected || e->exception.pending) {
		if (e->exception.pending && e->exception.has_payload) {
			if (e->exception.nr == CPU_PF)
				cpu->cr2 = e->exception.payload;
			else if (e->exception.nr == CPU_DB)
				cpu->dr6 = (cpu->dr6 & ~0xfULL) | (e->exception.payload ^ (1 << 16)) | 0xfffe0ff0;
		}
		e->exception.injected = e->exception.pending = 0;
		cpu->fault.vector = e->exception.nr;
		cpu->fault.has_error = e->exception.has_error_code && (cpu->cr0 & 1);
		cpu->fault.error = e->exception.error_code;
		cpu->fault.trap = e->exception.nr == CPU_DB || e->exception.nr == CPU_BP || e->exception.nr == CPU_OF;
		cpu_deliver_exception(cpu);
		return true;
	}
	if (e->nmi.injected) {
		e->nmi.injected = 0;
		e->nmi.masked = 1;
		cpu_deliver(cpu, CPU_NMI, false, 0, false, cpu->rip);
		return true;
	}
	if (e->interrupt.injected) {
		const bool soft = e->interrupt.soft;

		e->interrupt.injected = 0;
		cpu_deliver(cpu, e->interrupt.nr, false, 0, soft, cpu->rip);
		return true;
	}
	return false;
}
