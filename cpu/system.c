// SPDX-License-Identifier: MIT
/*
 * cpu/system.c - control and debug registers, tables, flags, time, CPUID, HLT, hypercalls
 */
#include "cpu/access.h"
#include "cpu/debug.h"
#include "cpu/ops.h"
#include "cpu/stack.h"

static void privileged(struct cpu *cpu)
{
	if (cpu->cpl)
		cpu_raise(cpu, CPU_GP, 0);
}

/* ---- flags ---- */

u64 cpu_rflags(const struct cpu *cpu)
{
	return cpu->flags | cpu_arith(cpu) | 2;
}

void cpu_set_rflags(struct cpu *cpu, u64 rflags)
{
	cpu_set_arith(cpu, rflags);
	cpu->flags = rflags & (CPU_F_TF | CPU_F_IF | CPU_F_DF | CPU_F_IOPL | CPU_F_NT | CPU_F_RF | CPU_F_VM | CPU_F_AC |
			       CPU_F_VIF | CPU_F_VIP | CPU_F_ID);
	cpu_update_key(cpu);
	cpu_attention(cpu);
}

void cpu_write_flags(struct cpu *cpu, u64 value, u64 mask)
{
	cpu_set_rflags(cpu, (cpu_rflags(cpu) & ~mask) | (value & mask));
}

int op_pushf(struct cpu *cpu, const struct cpu_insn *in)
{
	if ((cpu->flags & CPU_F_VM) && (cpu->flags & CPU_F_IOPL) != CPU_F_IOPL)
		cpu_raise(cpu, CPU_GP, 0);
	cpu_push(cpu, in->size, cpu_rflags(cpu) & ~(CPU_F_RF | CPU_F_VM));
	return CPU_NEXT;
}

int op_popf(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 mask = CPU_F_ARITH | CPU_F_TF | CPU_F_DF | CPU_F_NT, v;

	if ((cpu->flags & CPU_F_VM) && (cpu->flags & CPU_F_IOPL) != CPU_F_IOPL)
		cpu_raise(cpu, CPU_GP, 0);
	if (in->size > 2)
		mask |= CPU_F_AC | CPU_F_ID;
	if (cpu->cpl <= (cpu->flags >> 12 & 3))
		mask |= CPU_F_IF;
	if (!cpu->cpl)
		mask |= CPU_F_IOPL;
	v = cpu_pop(cpu, in->size);
	if (!((cpu->flags ^ v) & mask & (CPU_F_AC | CPU_F_TF | CPU_F_IF))) {
		/* Nothing that matters between blocks. */
		cpu_set_arith(cpu, v);
		cpu->flags = (cpu->flags & ~(mask | CPU_F_RF)) | (v & mask & ~CPU_F_ARITH);
		return CPU_NEXT;
	}
	cpu_write_flags(cpu, v, mask | CPU_F_RF);
	cpu->flags &= ~CPU_F_RF;
	return CPU_NEXT;
}

/* FA CLI, FB STI */
int op_sti(struct cpu *cpu, const struct cpu_insn *in)
{
	if (cpu->cpl > (cpu->flags >> 12 & 3))
		cpu_raise(cpu, CPU_GP, 0);
	if (!(in->opcode & 1)) {
		cpu->flags &= ~CPU_F_IF;
		return CPU_NEXT;
	}
	if (!(cpu->flags & CPU_F_IF)) {
		cpu->flags |= CPU_F_IF;
		cpu->events.interrupt.shadow = 2;
		cpu_attention(cpu);
	}
	return CPU_NEXT;
}

/* ---- control registers ---- */

#define CR0_PE	  (1ULL << 0)
#define CR0_MP	  (1ULL << 1)
#define CR0_EM	  (1ULL << 2)
#define CR0_TS	  (1ULL << 3)
#define CR0_NW	  (1ULL << 29)
#define CR0_CD	  (1ULL << 30)
#define CR0_PG	  (1ULL << 31)
#define CR4_PAE	  (1ULL << 5)
#define CR4_LA57  (1ULL << 12)
#define CR4_PCIDE (1ULL << 17)
#define EFER_LME  (1ULL << 8)
#define EFER_LMA  (1ULL << 10)

void cpu_write_cr0(struct cpu *cpu, u64 v)
{
	const u64 old = cpu->cr0;

	v |= 1 << 4; /* ET */
	if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
		cpu_raise(cpu, CPU_GP, 0);
	v &= 0xe005003f;
	if ((v & CR0_PG) && !(old & CR0_PG)) {
		if (cpu->efer & EFER_LME) {
			if (!(cpu->cr4 & CR4_PAE) || cpu->seg[CPU_CS].l)
				cpu_raise(cpu, CPU_GP, 0);
			cpu->efer |= EFER_LMA;
		} else if (cpu->cr4 & CR4_PAE) {
			cpu_load_pdptrs(cpu, cpu->cr3);
		}
	}
	if (!(v & CR0_PG) && (old & CR0_PG)) {
		if ((cpu->code_key & 3) == CPU_MODE_64 || (cpu->cr4 & CR4_PCIDE))
			cpu_raise(cpu, CPU_GP, 0);
		cpu->efer &= ~EFER_LMA;
	}
	cpu->cr0 = v;
	if ((v ^ old) & (CR0_PG | CR0_PE | 1 << 16))
		cpu_flush_tlb(cpu);
	cpu_update_mode(cpu);
}

void cpu_write_cr3(struct cpu *cpu, u64 v)
{
	if (cpu_long_mode(cpu)) {
		if (cpu->cr4 & CR4_PCIDE)
			v &= ~(1ULL << 63);
		if (v >> cpu->phys_bits)
			cpu_raise(cpu, CPU_GP, 0);
	} else {
		v = (u32)v;
		if ((cpu->cr4 & CR4_PAE) && (cpu->cr0 & CR0_PG))
			cpu_load_pdptrs(cpu, v);
	}
	cpu->cr3 = v;
	cpu_flush_tlb(cpu);
}

static u64 cr4_allowed(const struct cpu *cpu)
{
	u64 allowed = 0x7ff; /* VME to OSXMMEXCPT */

	allowed |= cpu->features & CPU_HAS_UMIP ? 1 << 11 : 0;
	allowed |= cpu->features & CPU_HAS_LA57 ? CR4_LA57 : 0;
	allowed |= cpu->features & CPU_HAS_FSGSBASE ? 1 << 16 : 0;
	allowed |= cpu->features & CPU_HAS_PCID ? CR4_PCIDE : 0;
	allowed |= cpu->features & CPU_HAS_XSAVE ? 1 << 18 : 0;
	allowed |= cpu->features & CPU_HAS_SMEP ? 1 << 20 : 0;
	allowed |= cpu->features & CPU_HAS_SMAP ? 1 << 21 : 0;
	return allowed;
}

static void write_cr4(struct cpu *cpu, u64 v)
{
	const u64 old = cpu->cr4;

	if (v & ~cr4_allowed(cpu))
		cpu_raise(cpu, CPU_GP, 0);
	if (cpu_long_mode(cpu)) {
		if (!(v & CR4_PAE) || ((v ^ old) & CR4_LA57))
			cpu_raise(cpu, CPU_GP, 0);
	} else if (v & CR4_PCIDE) {
		cpu_raise(cpu, CPU_GP, 0);
	}
	if ((v & CR4_PCIDE) && !(old & CR4_PCIDE) && (cpu->cr3 & 0xfff))
		cpu_raise(cpu, CPU_GP, 0);
	if (!cpu_long_mode(cpu) && (v & CR4_PAE) && (cpu->cr0 & CR0_PG) && ((v ^ old) & 0xb0))
		cpu_load_pdptrs(cpu, cpu->cr3);
	cpu->cr4 = v;
	cpu_flush_tlb(cpu);
}

static u64 read_cr8(struct cpu *cpu)
{
	return cpu->bus->get_tpr ? cpu->bus->get_tpr(cpu->ctx) : cpu->cr8;
}

static void write_cr8(struct cpu *cpu, u64 v)
{
	if (v >> 4)
		cpu_raise(cpu, CPU_GP, 0);
	cpu->cr8 = v;
	if (cpu->bus->set_tpr)
		cpu->bus->set_tpr(cpu->ctx, v);
	/* Interrupts that it held back may come now. */
	cpu->irq_waiting = true;
	cpu_attention(cpu);
}

static u64 read_cr(struct cpu *cpu, unsigned n)
{
	switch (n) {
	case 0:
		return cpu->cr0;
	case 2:
		return cpu->cr2;
	case 3:
		return cpu->cr3;
	case 4:
		return cpu->cr4;
	case 8:
		if (cpu->code_key & 2)
			return read_cr8(cpu);
	}
	cpu_raise(cpu, CPU_UD, 0);
}

static void write_cr(struct cpu *cpu, unsigned n, u64 v)
{
	switch (n) {
	case 0:
		cpu_write_cr0(cpu, v);
		return;
	case 2:
		cpu->cr2 = v;
		return;
	case 3:
		cpu_write_cr3(cpu, v);
		return;
	case 4:
		write_cr4(cpu, v);
		return;
	case 8:
		if (cpu->code_key & 2) {
			write_cr8(cpu, v);
			return;
		}
	}
	cpu_raise(cpu, CPU_UD, 0);
}

static unsigned debug_register(struct cpu *cpu, unsigned n)
{
	if (n > 7 || ((n == 4 || n == 5) && (cpu->cr4 & (1 << 3))))
		cpu_raise(cpu, CPU_UD, 0);
	if (cpu_dr7(cpu) & (1 << 13)) {
		/* General detect: the owner's first. */
		if (cpu->guest_debug & CPU_DEBUG_HW_BP) {
			cpu->exit.debug.exception = CPU_DB;
			cpu->exit.debug.pc = cpu_insn_rip(cpu, cpu->insn) + cpu->code_base;
			cpu->exit.debug.dr6 = 0xffff0ff0 | 1 << 13;
			cpu->exit.debug.dr7 = cpu->debug_dr7;
			cpu_exit_now(cpu, CPU_EXIT_DEBUG);
		}
		cpu->dr6 |= 1 << 13;
		cpu->dr7 &= ~(1ULL << 13);
		cpu->fault.vector = CPU_DB;
		cpu->fault.has_error = cpu->fault.trap = false;
		cpu_leave(cpu, CPU_LEAVE_EXCEPTION);
	}
	return n == 4 || n == 5 ? n + 2 : n;
}

static u64 read_dr(struct cpu *cpu, unsigned n)
{
	n = debug_register(cpu, n);
	return n == 6 ? cpu->dr6 : n == 7 ? cpu->dr7 : cpu->dr[n];
}

static void write_dr(struct cpu *cpu, unsigned n, u64 v)
{
	n = debug_register(cpu, n);
	if (n >= 6 && v >> 32)
		cpu_raise(cpu, CPU_GP, 0);
	if (n == 6)
		cpu->dr6 = (v & 0xe00f) | 0xffff0ff0;
	else if (n == 7)
		cpu->dr7 = (v & 0xffff2bff) | 0x400;
	else
		cpu->dr[n] = v;
	/* Watched pages leave the TLB. */
	cpu_flush_tlb(cpu);
	cpu_attention(cpu);
}

/* 0F 20..23: MOV from CR, from DR, to CR, to DR; always full width. */
int op_mov_cr(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned size = in->flags & CPU_IN_64 ? 8 : 4;

	privileged(cpu);
	switch (in->opcode) {
	case 0x20:
		cpu_set(cpu, in->rm, size, read_cr(cpu, in->reg));
		break;
	case 0x21:
		cpu_set(cpu, in->rm, size, read_dr(cpu, in->reg));
		break;
	case 0x22:
		write_cr(cpu, in->reg, cpu_get(cpu, in->rm, size));
		break;
	default:
		write_dr(cpu, in->reg, cpu_get(cpu, in->rm, size));
	}
	return CPU_NEXT;
}

int op_clts(struct cpu *cpu, const struct cpu_insn *in)
{
	privileged(cpu);
	cpu->cr0 &= ~CR0_TS;
	return CPU_NEXT;
}

/* INVD, WBINVD: caches are the host's. */
int op_wbinvd(struct cpu *cpu, const struct cpu_insn *in)
{
	privileged(cpu);
	return CPU_NEXT;
}

int op_invpcid(struct cpu *cpu, const struct cpu_insn *in)
{
	u64 descriptor[2], type;

	if (!(cpu->features & CPU_HAS_INVPCID) || in->mod == 3)
		cpu_raise(cpu, CPU_UD, 0);
	privileged(cpu);
	cpu_read_mem(cpu, in, cpu_ea(cpu, in), descriptor, 16);
	type = cpu->reg[in->reg];
	if (type > 3 || descriptor[0] >> 12 || (type == 0 && !cpu_canonical(cpu, descriptor[1])))
		cpu_raise(cpu, CPU_GP, 0);
	cpu_flush_tlb(cpu);
	return CPU_NEXT;
}

/* ---- time and identity ---- */

static u64 time_stamp(struct cpu *cpu)
{
	u32 low, high;

	if (cpu->bus->rdtsc)
		return cpu->bus->rdtsc(cpu->ctx);
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return ((u64)high << 32 | low) + cpu->tsc_offset;
}

static void set_edx_eax(struct cpu *cpu, u64 v)
{
	cpu->reg[CPU_RAX] = (u32)v;
	cpu->reg[CPU_RDX] = v >> 32;
}

int op_rdtsc(struct cpu *cpu, const struct cpu_insn *in)
{
	if (cpu->cpl && (cpu->cr4 & (1 << 2)))
		cpu_raise(cpu, CPU_GP, 0);
	set_edx_eax(cpu, time_stamp(cpu));
	return CPU_NEXT;
}

static int rdtscp(struct cpu *cpu, const struct cpu_insn *in)
{
	if (!(cpu->features & CPU_HAS_RDTSCP))
		cpu_raise(cpu, CPU_UD, 0);
	op_rdtsc(cpu, in);
	cpu->reg[CPU_RCX] = (u32)cpu->msr.tsc_aux;
	return CPU_NEXT;
}

u64 cpu_time_stamp(struct cpu *cpu)
{
	return time_stamp(cpu);
}

int op_rdpmc(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu_raise(cpu, CPU_GP, 0);
}

int op_cpuid(struct cpu *cpu, const struct cpu_insn *in)
{
	u32 r[4] = { 0 };

	cpu->bus->cpuid(cpu->ctx, (u32)cpu->reg[CPU_RAX], (u32)cpu->reg[CPU_RCX], r);
	cpu->reg[CPU_RAX] = r[0];
	cpu->reg[CPU_RBX] = r[1];
	cpu->reg[CPU_RCX] = r[2];
	cpu->reg[CPU_RDX] = r[3];
	return CPU_NEXT;
}

int op_hlt(struct cpu *cpu, const struct cpu_insn *in)
{
	privileged(cpu);
	cpu->halted = true;
	cpu->halts++;
	cpu_attention(cpu);
	return CPU_NEXT;
}

/* ---- MSRs ---- */

static void msr_exit(struct cpu *cpu, const struct cpu_insn *in, u32 index, u64 value, bool write)
{
	cpu->exit.msr.index = index;
	cpu->exit.msr.value = value;
	cpu->exit.msr.is_write = write;
	cpu->exit.msr.failed = false;
	cpu->pending = CPU_PENDING_MSR;
	cpu->io_length = in->length;
	cpu->io_rip = cpu_insn_rip(cpu, in) + cpu->code_base;
	cpu_exit_now(cpu, CPU_EXIT_MSR);
}

static enum cpu_msr msr_invalid(struct cpu *cpu)
{
	return cpu->bus->msr_invalid ? cpu->bus->msr_invalid(cpu->ctx) : CPU_MSR_GP;
}

static enum cpu_msr read_msr(struct cpu *cpu, u32 index, u64 *ret)
{
	enum cpu_msr r = cpu->bus->msr_filter ? cpu->bus->msr_filter(cpu->ctx, index, false) : CPU_MSR_OK;

	if (r != CPU_MSR_OK)
		return r;
	if (cpu_guest_msr_hidden(cpu, index))
		return msr_invalid(cpu);
	if (cpu_get_msr(cpu, index, ret))
		return CPU_MSR_OK;
	return cpu->bus->rdmsr ? cpu->bus->rdmsr(cpu->ctx, index, ret) : CPU_MSR_GP;
}

static enum cpu_msr write_msr(struct cpu *cpu, u32 index, u64 v)
{
	enum cpu_msr r = cpu->bus->msr_filter ? cpu->bus->msr_filter(cpu->ctx, index, true) : CPU_MSR_OK;
	int own;

	if (r != CPU_MSR_OK)
		return r;
	own = cpu_guest_wrmsr(cpu, index, v);
	if (own == -EINVAL)
		return msr_invalid(cpu);
	if (own == 0)
		return CPU_MSR_OK;
	return cpu->bus->wrmsr ? cpu->bus->wrmsr(cpu->ctx, index, v) : CPU_MSR_GP;
}

int op_rdmsr(struct cpu *cpu, const struct cpu_insn *in)
{
	const u32 index = (u32)cpu->reg[CPU_RCX];
	enum cpu_msr r;
	u64 v = 0;

	privileged(cpu);
	r = read_msr(cpu, index, &v);
	if (r == CPU_MSR_EXIT)
		msr_exit(cpu, in, index, 0, false);
	if (r == CPU_MSR_GP)
		cpu_raise(cpu, CPU_GP, 0);
	set_edx_eax(cpu, v);
	return CPU_NEXT;
}

int op_wrmsr(struct cpu *cpu, const struct cpu_insn *in)
{
	const u32 index = (u32)cpu->reg[CPU_RCX];
	const u64 v = (u32)cpu->reg[CPU_RAX] | cpu->reg[CPU_RDX] << 32;
	enum cpu_msr r;

	privileged(cpu);
	r = write_msr(cpu, index, v);
	if (r == CPU_MSR_EXIT)
		msr_exit(cpu, in, index, v, true);
	if (r == CPU_MSR_GP)
		cpu_raise(cpu, CPU_GP, 0);
	cpu_attention(cpu);
	return CPU_NEXT;
}

/* ---- I/O permission ---- */

bool cpu_io_allowed(struct cpu *cpu, u16 port, unsigned n)
{
	const struct cpu_segment *tr = &cpu->seg[CPU_TR];
	u64 bits;
	u32 at;

	if (!(cpu->cr0 & 1) || (!(cpu->flags & CPU_F_VM) && cpu->cpl <= (cpu->flags >> 12 & 3)))
		return true;
	if (tr->unusable || !(tr->type & 8) || tr->limit < 103)
		return false;
	at = (u32)cpu_load_system(cpu, tr->base + 102, 2) + port / 8;
	if (at + 1 > tr->limit)
		return false;
	bits = cpu_load_system(cpu, tr->base + at, 2);
	return !(bits >> (port & 7) & ((1U << n) - 1));
}

/* ---- 0F 01 ---- */

static void umip(struct cpu *cpu)
{
	if (cpu->cpl && (cpu->cr4 & (1 << 11)))
		cpu_raise(cpu, CPU_GP, 0);
}

static int store_table(struct cpu *cpu, const struct cpu_insn *in, const struct cpu_table *table)
{
	const bool wide = in->flags & CPU_IN_64;
	u8 buf[10];

	umip(cpu);
	memcpy(buf, &table->limit, 2);
	memcpy(buf + 2, &table->base, 8);
	cpu_write_mem(cpu, in, cpu_ea(cpu, in), buf, wide ? 10 : 6);
	return CPU_NEXT;
}

static int load_table(struct cpu *cpu, const struct cpu_insn *in, struct cpu_table *table)
{
	const bool wide = in->flags & CPU_IN_64;
	u8 buf[10] = { 0 };
	u64 base;

	privileged(cpu);
	cpu_read_mem(cpu, in, cpu_ea(cpu, in), buf, wide ? 10 : 6);
	memcpy(&base, buf + 2, 8);
	if (!wide && in->size == 2)
		base &= 0xffffff;
	if (wide && !cpu_canonical(cpu, base))
		cpu_raise(cpu, CPU_GP, 0);
	memcpy(&table->limit, buf, 2);
	table->base = base;
	return CPU_NEXT;
}

static int hypercall(struct cpu *cpu, const struct cpu_insn *in)
{
	const bool wide = (cpu->code_key & 3) == CPU_MODE_64;
	static const u8 order[5] = { CPU_RBX, CPU_RCX, CPU_RDX, CPU_RSI, CPU_RDI };
	const unsigned size = wide ? 8 : 4;
	u64 args[5], ret = 0;

	for (unsigned i = 0; i < 5; i++)
		args[i] = cpu_get(cpu, order[i], size);
	if (cpu->bus->hypercall && cpu->bus->hypercall(cpu->ctx, cpu_get(cpu, CPU_RAX, size), args, &ret)) {
		cpu_set(cpu, CPU_RAX, size, ret);
		return CPU_NEXT;
	}
	cpu->exit.hypercall.nr = cpu_get(cpu, CPU_RAX, size);
	memcpy(cpu->exit.hypercall.args, args, sizeof(args));
	cpu->exit.hypercall.ret = 0;
	cpu->exit.hypercall.long_mode = wide;
	cpu->pending = CPU_PENDING_HYPERCALL;
	cpu->io_length = in->length;
	cpu->io_rip = cpu_insn_rip(cpu, in) + cpu->code_base;
	cpu_exit_now(cpu, CPU_EXIT_HYPERCALL);
}

static int swapgs(struct cpu *cpu)
{
	const u64 base = cpu->seg[CPU_GS].base;

	privileged(cpu);
	cpu->seg[CPU_GS].base = cpu->msr.kernel_gs_base;
	cpu->msr.kernel_gs_base = base;
	cpu_update_mode(cpu);
	return CPU_NEXT;
}

static int access_flag(struct cpu *cpu, bool set)
{
	if (!(cpu->features & CPU_HAS_SMAP) || cpu->cpl)
		cpu_raise(cpu, CPU_UD, 0);
	cpu->flags = set ? cpu->flags | CPU_F_AC : cpu->flags & ~CPU_F_AC;
	cpu_update_key(cpu);
	return CPU_NEXT;
}

/* MONITOR and MWAIT: legal to wake at once. */
static int monitor(struct cpu *cpu)
{
	if (!(cpu->features & CPU_HAS_MONITOR) || cpu->cpl)
		cpu_raise(cpu, CPU_UD, 0);
	return CPU_NEXT;
}

static int registers_form(struct cpu *cpu, const struct cpu_insn *in)
{
	switch ((in->reg & 7) << 3 | (in->rm & 7)) {
	case 001: /* VMCALL */
	case 031: /* VMMCALL */
		return hypercall(cpu, in);
	case 010:
	case 011:
		return monitor(cpu);
	case 012: /* CLAC */
	case 013: /* STAC */
		return access_flag(cpu, in->rm & 1);
	case 020:
		return cpu_xgetbv(cpu, in);
	case 021:
		return cpu_xsetbv(cpu, in);
	case 070:
		if (!(in->flags & CPU_IN_64))
			break;
		return swapgs(cpu);
	case 071:
		return rdtscp(cpu, in);
	}
	cpu_raise(cpu, CPU_UD, 0);
}

int op_group7(struct cpu *cpu, const struct cpu_insn *in)
{
	const unsigned sub = in->reg & 7;
	u64 v;

	if (sub == 4) { /* SMSW */
		umip(cpu);
		cpu_set_operand(cpu, in, in->mod == 3 ? in->size : 2, cpu->cr0);
		return CPU_NEXT;
	}
	if (sub == 6) { /* LMSW sets PE but does not clear it */
		privileged(cpu);
		v = cpu_get_operand(cpu, in, 2);
		cpu_write_cr0(cpu, (cpu->cr0 & ~0xeULL) | (v & 0xf));
		return CPU_NEXT;
	}
	if (in->mod == 3)
		return registers_form(cpu, in);
	switch (sub) {
	case 0:
		return store_table(cpu, in, &cpu->gdtr);
	case 1:
		return store_table(cpu, in, &cpu->idtr);
	case 2:
		return load_table(cpu, in, &cpu->gdtr);
	case 3:
		return load_table(cpu, in, &cpu->idtr);
	case 7: /* INVLPG */
		privileged(cpu);
		v = cpu_ea(cpu, in);
		if (in->flags & CPU_IN_64)
			cpu_invalidate(cpu, v + cpu->base64[in->seg]);
		else
			cpu_invalidate(cpu, (u32)(v + cpu->seg[in->seg].base));
		return CPU_NEXT;
	}
	cpu_raise(cpu, CPU_UD, 0);
}
