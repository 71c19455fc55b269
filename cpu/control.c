// SPDX-License-Identifier: MIT
/*
 * cpu/control.c - near jumps, calls and returns; software interrupts
 */
#include "cpu/access.h"
#include "cpu/ops.h"
#include "cpu/stack.h"

/* Check and take a branch. */
static inline int branch(struct cpu *cpu, const struct cpu_insn *in, u64 target)
{
	if (likely(in->flags & CPU_IN_64)) {
		if (unlikely((u64)((s64)(target << 16) >> 16) != target) && !cpu_canonical(cpu, target))
			cpu_raise(cpu, CPU_GP, 0);
	} else {
		target = cpu_mask(target, in->size);
		if (target > cpu->seg[CPU_CS].limit)
			cpu_raise(cpu, CPU_GP, 0);
	}
	cpu->rip = target;
	return CPU_JUMP;
}

static u64 relative(const struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_next_rip(cpu, in) + (u64)in->imm;
}

int op_jcc(struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_cond(cpu->aflags, in->opcode & 15) ? branch(cpu, in, relative(cpu, in)) : CPU_NEXT;
}

/* E9, EB; FF /4. */
int op_jmp(struct cpu *cpu, const struct cpu_insn *in)
{
	return branch(cpu, in, in->opcode == 0xff ? cpu_get_operand(cpu, in, in->size) : relative(cpu, in));
}

/* E8; FF /2. */
int op_call(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 target = in->opcode == 0xff ? cpu_get_operand(cpu, in, in->size) : relative(cpu, in);
	const u64 next = cpu_next_rip(cpu, in), rsp = cpu_stack_moved(cpu, -(s64)in->size);

	cpu_stack_write(cpu, -(s64)in->size, in->size, next);
	branch(cpu, in, target);
	cpu->reg[CPU_RSP] = rsp;
	return CPU_JUMP;
}

int op_ret(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 target = cpu_stack_read(cpu, 0, in->size);

	branch(cpu, in, target);
	cpu->reg[CPU_RSP] = cpu_stack_moved(cpu, in->size + in->imm);
	return CPU_JUMP;
}

int op_loop(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 count = cpu_mask(cpu->reg[CPU_RCX] - 1, in->addr_size);
	const bool zf = cpu->aflags & CPU_F_ZF << 8;

	if (count && (in->opcode == 0xe2 || zf == (in->opcode == 0xe1)))
		branch(cpu, in, relative(cpu, in));
	else
		cpu_end(cpu, in);
	cpu_set(cpu, CPU_RCX, in->addr_size, count);
	return CPU_JUMP;
}

int op_jcxz(struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu_get(cpu, CPU_RCX, in->addr_size) ? CPU_NEXT : branch(cpu, in, relative(cpu, in));
}

int op_bound(struct cpu *cpu, const struct cpu_insn *in)
{
	const s64 v = cpu_sign(cpu->reg[in->reg], in->size);
	u64 la;

	if (in->mod == 3)
		cpu_raise(cpu, CPU_UD, 0);
	la = cpu_addr(cpu, in, 2 * in->size, false);
	if (v < cpu_sign(cpu_load(cpu, la, in->size, in->seg), in->size) ||
	    v > cpu_sign(cpu_load(cpu, la + in->size, in->size, in->seg), in->size))
		cpu_raise(cpu, CPU_BR, 0);
	return CPU_NEXT;
}

/* ---- software interrupts ---- */

int op_int3(struct cpu *cpu, const struct cpu_insn *in)
{
	if (cpu->guest_debug & CPU_DEBUG_SW_BP) {
		cpu->exit.debug.exception = CPU_BP;
		cpu->exit.debug.pc = cpu_insn_rip(cpu, in) + cpu->code_base;
		cpu->exit.debug.dr6 = cpu->exit.debug.dr7 = 0;
		cpu_exit_now(cpu, CPU_EXIT_DEBUG);
	}
	cpu_soft_interrupt(cpu, CPU_BP, cpu_next_rip(cpu, in));
	return CPU_JUMP;
}

int op_int(struct cpu *cpu, const struct cpu_insn *in)
{
	if ((cpu->flags & CPU_F_VM) && (cpu->flags & CPU_F_IOPL) != CPU_F_IOPL)
		cpu_raise(cpu, CPU_GP, 0);
	cpu_soft_interrupt(cpu, (u8)in->imm, cpu_next_rip(cpu, in));
	return CPU_JUMP;
}

int op_into(struct cpu *cpu, const struct cpu_insn *in)
{
	if (!(cpu->aflags & 1))
		return CPU_NEXT;
	cpu_soft_interrupt(cpu, CPU_OF, cpu_next_rip(cpu, in));
	return CPU_JUMP;
}

/* INT1: as #DB, without the gate's DPL. */
int op_int1(struct cpu *cpu, const struct cpu_insn *in)
{
	const u64 next = cpu_next_rip(cpu, in);

	cpu->insn = NULL;
	cpu->rip = next;
	cpu->trap_dr6 = 0;
	cpu->fault.vector = CPU_DB;
	cpu->fault.has_error = false;
	cpu->fault.trap = true;
	cpu_leave(cpu, CPU_LEAVE_EXCEPTION);
}

int op_undefined(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_raise(cpu, CPU_UD, 0);
}

int op_too_long(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_raise(cpu, CPU_GP, 0);
}
