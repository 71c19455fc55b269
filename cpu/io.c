// SPDX-License-Identifier: MIT
/*
 * cpu/io.c - IN OUT INS OUTS, and the completion of exits
 *
 * As KVM does it: IN and OUT leave RIP at the instruction until they are
 * completed, and then move it only when nobody else has.  INS reads ahead (up to the end
 * of the page, the buffer, RCX), OUTS exits once for each element with its
 * registers already advanced.  The memory of both is accessed by KVM in software: CPU_KVM.
 */
#include "cpu/access.h"
#include "cpu/debug.h"
#include "cpu/ops.h"

enum { BUFFER = 1024 };

static unsigned io_size(const struct cpu_insn *in)
{
	return in->size == 8 ? 4 : in->size;
}

static u64 linear_rip(const struct cpu *cpu)
{
	return cpu->rip + cpu->code_base;
}

/* RIP is exact again; the record's length is what completion needs. */
static void io_exit(struct cpu *cpu, const struct cpu_insn *in, enum cpu_pending pending) __attribute__((noreturn));
static void io_exit(struct cpu *cpu, const struct cpu_insn *in, enum cpu_pending pending)
{
	cpu->pending = pending;
	cpu->io_length = in->length;
	cpu->io_rip = cpu_insn_rip(cpu, in) + cpu->code_base;
	cpu->exit.io.data = cpu->io_buffer;
	cpu_exit_now(cpu, CPU_EXIT_IO);
}

static u16 port_of(struct cpu *cpu, const struct cpu_insn *in)
{
	const u16 port = in->opcode & 8 || in->opcode < 0x70 ? (u16)cpu->reg[CPU_RDX] : (u8)in->imm;
	const unsigned size = io_size(in);

	if (!cpu_io_allowed(cpu, port, size))
		cpu_raise(cpu, CPU_GP, 0);
	if (cpu_debug_armed(cpu))
		cpu->trap_dr6 |= cpu_debug_io(cpu, port, size);
	cpu->exit.io.port = port;
	cpu->exit.io.size = (u8)size;
	cpu->exit.io.count = 1;
	cpu->exit.io.is_string = in->opcode < 0x70;
	return port;
}

static void in_value(struct cpu *cpu, unsigned size, const void *data)
{
	u64 v = 0;

	memcpy(&v, data, size);
	cpu_set(cpu, CPU_RAX, size, v);
}

int op_in(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = io_size(in);
	const u16 port = port_of(cpu, in);
	u8 data[4] = { 0 };

	cpu->exit.io.is_out = false;
	if (cpu->bus->pio && cpu->bus->pio(cpu->ctx, port, data, size, false)) {
		in_value(cpu, size, data);
		return CPU_NEXT;
	}
	io_exit(cpu, in, CPU_PENDING_IN);
}

int op_out(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = io_size(in);
	const u16 port = port_of(cpu, in);
	u32 data = (u32)cpu->reg[CPU_RAX];

	if (cpu->bus->pio && cpu->bus->pio(cpu->ctx, port, &data, size, true))
		return CPU_NEXT;
	cpu->exit.io.is_out = true;
	memcpy(cpu->io_buffer, &data, size);
	if (port == 0x7e && cpu->quirk_out_7e) {
		const u64 next = cpu_next_rip(cpu, in);

		cpu->insn = NULL;
		cpu->rip = next;
		cpu->exit.io.data = cpu->io_buffer;
		cpu_exit_now(cpu, CPU_EXIT_IO);
	}
	io_exit(cpu, in, CPU_PENDING_OUT);
}

/* ---- strings ---- */

static bool repeats(const struct cpu_insn *in)
{
	return in->flags & (CPU_IN_REP | CPU_IN_REPNE);
}

static u64 address(struct cpu *cpu, bool wide, unsigned addr_size, unsigned seg, unsigned r, unsigned n, bool write)
{
	const u64 offset = cpu_mask(cpu->reg[r], addr_size);

	return wide ? offset + cpu->base64[seg] : cpu_linear(cpu, seg, offset, n, write);
}

static void advance(struct cpu *cpu, unsigned addr_size, unsigned r, u64 bytes)
{
	cpu_set(cpu, r, addr_size, cpu->flags & CPU_F_DF ? cpu->reg[r] - bytes : cpu->reg[r] + bytes);
}

/* Elements from the buffer to ES:RDI.  Forwards a whole run is one write. */
static void ins_store(struct cpu *cpu, bool wide, unsigned addr_size, unsigned size, u64 n, const u8 *data)
{
	const unsigned chunk = cpu->flags & CPU_F_DF ? size : (unsigned)(n * size);

	for (u64 done = 0; done < n * size; done += chunk) {
		cpu_write_kvm(cpu, address(cpu, wide, addr_size, CPU_ES, CPU_RDI, chunk, true), data + done, chunk);
		advance(cpu, addr_size, CPU_RDI, chunk);
	}
}

int op_ins(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = io_size(in);
	const u64 n = repeats(in) ? cpu_get(cpu, CPU_RCX, in->addr_size) : 1;
	const u64 inside = cpu->reg[CPU_RDI] & RT_PAGE_MASK;
	u8 data[4] = { 0 };
	u64 count;
	u16 port;

	if (!n)
		return CPU_NEXT;
	port = port_of(cpu, in);
	if (cpu->bus->pio && cpu->bus->pio(cpu->ctx, port, data, size, false)) {
		ins_store(cpu, in->flags & CPU_IN_64, in->addr_size, size, 1, data);
		if (!repeats(in))
			return CPU_NEXT;
		cpu_set(cpu, CPU_RCX, in->addr_size, n - 1);
		cpu->rip += n == 1 ? in->end : in->start;
		return CPU_JUMP;
	}
	count = (cpu->flags & CPU_F_DF ? inside : RT_PAGE_SIZE - inside) / size;
	count = rt_max(rt_min(rt_min(count, BUFFER / size), n), 1);
	cpu->exit.io.count = (u32)count;
	cpu->exit.io.is_out = false;
	cpu->io_addr_size = in->addr_size;
	cpu->io_repeats = repeats(in);
	io_exit(cpu, in, CPU_PENDING_INS);
}

int op_outs(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = io_size(in);
	const u64 n = repeats(in) ? cpu_get(cpu, CPU_RCX, in->addr_size) : 1;
	bool served, last = !repeats(in) || n == 1;
	u8 data[4];
	u16 port;

	if (!n)
		return CPU_NEXT;
	port = port_of(cpu, in);
	cpu_read_kvm(cpu, address(cpu, in->flags & CPU_IN_64, in->addr_size, in->seg, CPU_RSI, size, false), data,
		     size);
	served = cpu->bus->pio && cpu->bus->pio(cpu->ctx, port, data, size, true);
	advance(cpu, in->addr_size, CPU_RSI, size);
	if (repeats(in))
		cpu_set(cpu, CPU_RCX, in->addr_size, n - 1);
	cpu->rip += last ? in->end : in->start;
	if (served)
		return CPU_JUMP;
	cpu->insn = NULL;
	cpu_mmio_forget(cpu);
	memcpy(cpu->io_buffer, data, size);
	cpu->exit.io.is_out = true;
	cpu->exit.io.data = cpu->io_buffer;
	if (last)
		cpu_retired(cpu, cpu->flags, cpu->events.interrupt.shadow);
	cpu_exit_now(cpu, CPU_EXIT_IO);
}

/* ---- completion ---- */

/* The instruction that is pending retires, unless somebody has moved RIP. */
static void skip(struct cpu *cpu)
{
	if (linear_rip(cpu) != cpu->io_rip)
		return;
	cpu->rip += cpu->io_length;
	if ((cpu->code_key & 3) != CPU_MODE_64)
		cpu->rip = (u32)cpu->rip;
	cpu->flags &= ~CPU_F_RF;
	cpu_retired(cpu, cpu->flags, cpu->events.interrupt.shadow);
	if (cpu->guest_debug & CPU_DEBUG_SINGLESTEP)
		cpu->trap_dr6 |= 1 << 14;
}

static int complete_ins(struct cpu *cpu)
{
	const unsigned size = cpu->exit.io.size;
	u64 n = cpu->exit.io.count, left = 0;

	if (cpu->io_repeats) {
		left = cpu_get(cpu, CPU_RCX, cpu->io_addr_size);
		n = rt_min(n, left);
		left -= n;
	}
	if (n)
		ins_store(cpu, (cpu->code_key & 3) == CPU_MODE_64, cpu->io_addr_size, size, n, cpu->io_buffer);
	if (cpu->io_repeats)
		cpu_set(cpu, CPU_RCX, cpu->io_addr_size, left);
	cpu_mmio_forget(cpu);
	if (!left)
		skip(cpu);
	return CPU_LEAVE_AGAIN;
}

static void next_write(struct cpu *cpu)
{
	struct cpu_fragment *f = &cpu->write_queue[cpu->write_pos];

	cpu->exit.mmio.gpa = f->gpa;
	cpu->exit.mmio.len = f->len;
	cpu->exit.mmio.is_write = true;
	memcpy(cpu->exit.mmio.data, f->data, 8);
	cpu->pending = CPU_PENDING_MMIO_WRITE;
}

/* Queued writes of the instruction that has just retired, oldest first; devices of the owner get theirs here. */
void cpu_mmio_write_exit(struct cpu *cpu)
{
	cpu->write_pos = 0;
	next_write(cpu);
	cpu_attention(cpu);
	cpu_exit_now(cpu, CPU_EXIT_MMIO);
}

static void complete_mmio_write(struct cpu *cpu)
{
	if (++cpu->write_pos < cpu->write_count) {
		next_write(cpu);
		cpu->deferred = true;
		cpu->deferred_exit = CPU_EXIT_MMIO;
		return;
	}
	cpu->write_count = cpu->write_pos = 0;
}

static void complete_msr(struct cpu *cpu)
{
	if (cpu->exit.msr.failed) {
		cpu->events.exception.injected = 1;
		cpu->events.exception.nr = CPU_GP;
		cpu->events.exception.has_error_code = 1;
		cpu->events.exception.error_code = 0;
		cpu_attention(cpu);
		return;
	}
	if (!cpu->exit.msr.is_write) {
		cpu->reg[CPU_RAX] = (u32)cpu->exit.msr.value;
		cpu->reg[CPU_RDX] = cpu->exit.msr.value >> 32;
	}
	skip(cpu);
}

void cpu_complete(struct cpu *cpu)
{
	const enum cpu_pending pending = cpu->pending;

	cpu->pending = CPU_PENDING_NONE;
	switch (pending) {
	case CPU_PENDING_IN:
		in_value(cpu, cpu->exit.io.size, cpu->io_buffer);
		skip(cpu);
		break;
	case CPU_PENDING_OUT:
		skip(cpu);
		break;
	case CPU_PENDING_INS:
		cpu_guarded(cpu, complete_ins);
		break;
	case CPU_PENDING_MMIO_READ:
		memcpy(cpu->read_log[cpu->read_count].data, cpu->exit.mmio.data, 8);
		cpu->read_count++;
		cpu_execute_again(cpu);
		break;
	case CPU_PENDING_MMIO_WRITE:
		complete_mmio_write(cpu);
		break;
	case CPU_PENDING_HYPERCALL:
		cpu_set(cpu, CPU_RAX, cpu->exit.hypercall.long_mode ? 8 : 4, cpu->exit.hypercall.ret);
		skip(cpu);
		break;
	case CPU_PENDING_MSR:
		complete_msr(cpu);
		break;
	case CPU_PENDING_NONE:
		break;
	}
}
