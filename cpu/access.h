/* SPDX-License-Identifier: MIT */
/*
 * cpu/access.h - guest memory and registers, the quick way
 *
 * Guest memory is read and written by the asm statements of this file alone
 * (and by those of LOCKed instructions): they order the access before every later
 * change of the CPU's state, which is what makes a host fault restartable.
 */
#ifndef GMEM_CPU_ACCESS_H
#define GMEM_CPU_ACCESS_H

#include "cpu/internal.h"

/* ---- registers ---- */

/* Parts of cpu->reg[], which are u64. */
typedef u8 __attribute__((may_alias)) part8;
typedef u16 __attribute__((may_alias)) part16;

static inline u64 cpu_mask(u64 v, unsigned size)
{
	switch (size) {
	case 1:
		return (u8)v;
	case 2:
		return (u16)v;
	case 4:
		return (u32)v;
	}
	return v;
}

static inline s64 cpu_sign(u64 v, unsigned size)
{
	switch (size) {
	case 1:
		return (int8_t)v;
	case 2:
		return (int16_t)v;
	case 4:
		return (s32)v;
	}
	return (s64)v;
}

static inline u64 cpu_get(const struct cpu *cpu, unsigned r, unsigned size)
{
	return cpu_mask(cpu->reg[r], size);
}

static inline part8 *cpu_byte(struct cpu *cpu, unsigned place)
{
	return (part8 *)cpu->reg + place;
}

/* size 2, 4 (clears the upper half) or 8; byte registers by cpu_byte(). */
static inline void cpu_set(struct cpu *cpu, unsigned r, unsigned size, u64 v)
{
	switch (size) {
	case 1:
		*(part8 *)&cpu->reg[r] = (u8)v;
		break;
	case 2:
		*(part16 *)&cpu->reg[r] = (u16)v;
		break;
	case 4:
		cpu->reg[r] = (u32)v;
		break;
	default:
		cpu->reg[r] = v;
	}
}

/* The ModRM register operands, byte registers included. */
static inline u64 cpu_get_reg(struct cpu *cpu, const struct cpu_insn *in, unsigned size)
{
	return size == 1 ? *cpu_byte(cpu, in->reg8) : cpu_get(cpu, in->reg, size);
}

static inline u64 cpu_get_rm(struct cpu *cpu, const struct cpu_insn *in, unsigned size)
{
	return size == 1 ? *cpu_byte(cpu, in->rm8) : cpu_get(cpu, in->rm, size);
}

static inline void cpu_set_reg(struct cpu *cpu, const struct cpu_insn *in, unsigned size, u64 v)
{
	if (size == 1)
		*cpu_byte(cpu, in->reg8) = (u8)v;
	else
		cpu_set(cpu, in->reg, size, v);
}

static inline void cpu_set_rm(struct cpu *cpu, const struct cpu_insn *in, unsigned size, u64 v)
{
	if (size == 1)
		*cpu_byte(cpu, in->rm8) = (u8)v;
	else
		cpu_set(cpu, in->rm, size, v);
}

/* ---- host memory ---- */

static inline u64 host_load(const void *p, unsigned size)
{
	u64 v;

	switch (size) {
	case 1:
		__asm__ volatile("movzbl %1, %k0" : "=r"(v) : "m"(*(const u8 *)p) : "memory");
		break;
	case 2:
		__asm__ volatile("movzwl %1, %k0" : "=r"(v) : "m"(*(const u16 *)p) : "memory");
		break;
	case 4:
		__asm__ volatile("movl %1, %k0" : "=r"(v) : "m"(*(const u32 *)p) : "memory");
		break;
	default:
		__asm__ volatile("movq %1, %0" : "=r"(v) : "m"(*(const u64 *)p) : "memory");
	}
	return v;
}

static inline void host_store(void *p, unsigned size, u64 v)
{
	switch (size) {
	case 1:
		__asm__ volatile("movb %b1, %0" : "=m"(*(u8 *)p) : "r"(v) : "memory");
		break;
	case 2:
		__asm__ volatile("movw %w1, %0" : "=m"(*(u16 *)p) : "r"(v) : "memory");
		break;
	case 4:
		__asm__ volatile("movl %k1, %0" : "=m"(*(u32 *)p) : "r"(v) : "memory");
		break;
	default:
		__asm__ volatile("movq %1, %0" : "=m"(*(u64 *)p) : "r"(v) : "memory");
	}
}

/* ---- linear addresses ---- */

u64 cpu_addr_slow(struct cpu *cpu, const struct cpu_insn *in, u64 offset, unsigned n, bool write);
/* Segmentation for an access that is not the ModRM operand's: checks of limit, type and canonical form. */
u64 cpu_linear(struct cpu *cpu, unsigned seg, u64 offset, unsigned n, bool write);

static inline u64 cpu_offset(const struct cpu *cpu, const struct cpu_insn *in)
{
	return cpu->reg[in->base] + (cpu->reg[in->index] << in->scale) + (u64)in->disp;
}

/* Linear address of the memory operand of n bytes. */
static inline u64 cpu_addr(struct cpu *cpu, const struct cpu_insn *in, unsigned n, bool write)
{
	u64 offset = cpu_offset(cpu, in);

	if (likely(!(in->flags & CPU_IN_SLOW)))
		return offset + cpu->base64[in->seg];
	return cpu_addr_slow(cpu, in, offset, n, write);
}

/* ---- guest memory by linear address ---- */

u64 cpu_load_slow(struct cpu *cpu, u64 la, unsigned n, unsigned seg, u64 key);
void cpu_store_slow(struct cpu *cpu, u64 la, unsigned n, u64 v, unsigned seg, u64 key);
/* The host address for a read-modify-write; NULL: crosses a page or is MMIO, do it by load and store. */
void *cpu_modify_slow(struct cpu *cpu, u64 la, unsigned n, unsigned seg);

static inline struct cpu_tlb *cpu_tlb_entry(struct cpu *cpu, u64 la)
{
	return &cpu->tlb[la >> RT_PAGE_SHIFT & (CPU_TLB_SIZE - 1)];
}

/* The last byte's page decides: an access that crosses a page never matches the first one's entry. */
static inline u64 cpu_tag(u64 la, unsigned n, u64 key)
{
	return ((la + n - 1) & ~RT_PAGE_MASK) | key;
}

static inline u64 cpu_load(struct cpu *cpu, u64 la, unsigned n, unsigned seg)
{
	struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	if (likely(e->read == cpu_tag(la, n, cpu->tlb_key)))
		return host_load((const void *)(la + e->addend), n);
	return cpu_load_slow(cpu, la, n, seg, cpu->tlb_key);
}

static inline void cpu_store(struct cpu *cpu, u64 la, unsigned n, u64 v, unsigned seg)
{
	struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	if (likely(e->write == cpu_tag(la, n, cpu->tlb_key)))
		host_store((void *)(la + e->addend), n, v);
	else
		cpu_store_slow(cpu, la, n, v, seg, cpu->tlb_key);
}

static inline void *cpu_modify(struct cpu *cpu, u64 la, unsigned n, unsigned seg)
{
	struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	if (likely(e->write == cpu_tag(la, n, cpu->tlb_key)))
		return (void *)(la + e->addend);
	return cpu_modify_slow(cpu, la, n, seg);
}

/* Any length; the order of bytes is ascending, and nothing is written when some page of it cannot be. */
void cpu_read_linear(struct cpu *cpu, u64 la, void *buf, unsigned n, unsigned seg);
void cpu_write_linear(struct cpu *cpu, u64 la, const void *buf, unsigned n, unsigned seg);

/* As the processor itself reads tables and writes frames: supervisor, whatever the CPL. */
u64 cpu_load_system(struct cpu *cpu, u64 la, unsigned n);
void cpu_store_system(struct cpu *cpu, u64 la, unsigned n, u64 v);

/* As KVM does in software: never by the TLB; n within a page's length. */
void cpu_read_kvm(struct cpu *cpu, u64 la, void *buf, unsigned n);
void cpu_write_kvm(struct cpu *cpu, u64 la, const void *buf, unsigned n);

/* ---- operands ---- */

/* The ModRM operand's value, register or memory. */
static inline u64 cpu_get_operand(struct cpu *cpu, const struct cpu_insn *in, unsigned size)
{
	if (in->mod == 3)
		return cpu_get_rm(cpu, in, size);
	return cpu_load(cpu, cpu_addr(cpu, in, size, false), size, in->seg);
}

static inline void cpu_set_operand(struct cpu *cpu, const struct cpu_insn *in, unsigned size, u64 v)
{
	if (in->mod == 3)
		cpu_set_rm(cpu, in, size, v);
	else
		cpu_store(cpu, cpu_addr(cpu, in, size, true), size, v, in->seg);
}

/* The end of a segment of the block: what follows is compared with memory again. */
static inline int cpu_end(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->rip += in->end;
	return CPU_JUMP;
}

/* ---- the machine's own (cpu/run.c, mmu.c, exception.c, segment.c, io.c) ---- */

enum { CPU_MODE_16, CPU_MODE_32, CPU_MODE_64 };

/* Leave the interpreter; the guest's state is that before the current instruction. */
enum { CPU_LEAVE_EXIT, CPU_LEAVE_EXCEPTION, CPU_LEAVE_AGAIN, CPU_LEAVE_HOST_FAULT, CPU_LEAVE_EMULATE };
void cpu_leave(struct cpu *cpu, int code) __attribute__((noreturn));
void cpu_exit_now(struct cpu *cpu, enum cpu_exit why) __attribute__((noreturn));
void cpu_page_fault(struct cpu *cpu, u64 la, u32 error) __attribute__((noreturn));
/* KVM_INTERNAL_ERROR_EMULATION for the current instruction. */
void cpu_emulation_failure(struct cpu *cpu) __attribute__((noreturn));

/* Look for events before the next block. */
static inline void cpu_attention(struct cpu *cpu)
{
	cpu_kick(cpu, CPU_STOP_SELF);
}

static inline bool cpu_long_mode(const struct cpu *cpu)
{
	return cpu->efer & (1 << 10); /* LMA */
}

static inline bool cpu_protected(const struct cpu *cpu)
{
	return (cpu->cr0 & 1) && !(cpu->flags & CPU_F_VM);
}

static inline bool cpu_canonical(const struct cpu *cpu, u64 la)
{
	const unsigned shift = cpu->cr4 & (1 << 12) ? 7 : 16;

	return (u64)((s64)(la << shift) >> shift) == la;
}

/* Host address of the page at linear page la for instruction fetch; raises #PF and so on. */
u8 *cpu_fetch_page(struct cpu *cpu, u64 la);
bool cpu_block_page(const struct cpu *cpu, u64 host_page, u64 *gpa);
void cpu_mmio_forget(struct cpu *cpu);
/* After changes of CR0, CR4, EFER, CS, CPL, AC: tags and mode. */
void cpu_update_mode(struct cpu *cpu);
void cpu_update_key(struct cpu *cpu);
void cpu_load_pdptrs(struct cpu *cpu, u64 cr3);
/* Deliver an event now; CPU state is exact (cpu->insn == NULL). */
void cpu_deliver(struct cpu *cpu, unsigned vector, bool has_error, u32 error, bool soft, u64 return_rip);
/* Events injected by the owner, or left over; true when one was delivered. */
bool cpu_deliver_pending(struct cpu *cpu);

/*
 * Decode one instruction whose first byte lies `start` bytes into its block; `avail` bytes are there.
 * A record that raises #UD or #GP is a good one.
 */
enum { CPU_DECODE_SHORT = -1, CPU_DECODE_ON, CPU_DECODE_ENDS };
int cpu_decode(struct cpu_insn *in, const u8 *bytes, unsigned avail, int mode, unsigned start);

/* run.c */
void cpu_retired(struct cpu *cpu, u64 flags_before, u8 shadow_before);
void cpu_execute_again(struct cpu *cpu);
/* All decoded records: what handlers they found depends on CPUID. */
void cpu_forget_code(struct cpu *cpu);
/* fn with cpu_leave() allowed; an exit of it is kept for the next cpu_run(). */
void cpu_guarded(struct cpu *cpu, int (*fn)(struct cpu *));

/* The same for a question: false when it did not return by itself; nothing is kept. */
bool cpu_try(struct cpu *cpu, int (*fn)(struct cpu *));

/* #GP outside CPL 0. */
static inline void cpu_privileged(struct cpu *cpu)
{
	if (cpu->cpl)
		cpu_raise(cpu, CPU_GP, 0);
}

/* exception.c: events */
void cpu_deliver_exception(struct cpu *cpu);
void cpu_raise_debug(struct cpu *cpu, u32 dr6) __attribute__((noreturn));
/* A trap: RIP becomes next, then the exception (INT3, INTO); a software interrupt checks the gate's DPL. */
void cpu_soft_interrupt(struct cpu *cpu, unsigned vector, u64 next_rip);
/* An event whose delivery was cut short by an exit is injected again later. */
void cpu_save_event(struct cpu *cpu);
/* KVM_INTERNAL_ERROR_DELIVERY_EV: a table or stack of the delivery lies in MMIO. */
void cpu_delivery_failure(struct cpu *cpu, u64 gpa) __attribute__((noreturn));
void cpu_shutdown(struct cpu *cpu) __attribute__((noreturn));

/* io.c */
void cpu_mmio_write_exit(struct cpu *cpu) __attribute__((noreturn));

/* segment.c */
/* A descriptor's eight bytes (the address of which goes to *la); vector(selector) when out of bounds. */
u64 cpu_read_descriptor(struct cpu *cpu, u16 selector, unsigned vector, u64 *la);
void cpu_unpack_descriptor(struct cpu_segment *ret, u16 selector, u64 desc);
void cpu_load_segment(struct cpu *cpu, unsigned seg, u16 selector);
/* Protected mode, neither CS nor SS; vector(selector) for what is wrong with it. */
void cpu_load_data_segment(struct cpu *cpu, unsigned seg, u16 selector, unsigned vector);
void cpu_load_ldtr(struct cpu *cpu, u16 selector, unsigned vector);
void cpu_set_accessed(struct cpu *cpu, u64 la, u64 desc);
/* The code segment of a transfer to privilege cpl; checks done. */
void cpu_commit_cs(struct cpu *cpu, const struct cpu_segment *cs, unsigned cpl);
void cpu_set_null(struct cpu *cpu, unsigned seg, u16 selector);

/* Whether the segment holds the access. */
bool cpu_within(const struct cpu_segment *s, u64 offset, unsigned n, bool write);
void cpu_load_inner_stack(struct cpu *cpu, u16 selector, struct cpu_segment *ret, unsigned cpl, unsigned vector);
void cpu_drop_segments(struct cpu *cpu);

/* system.c */
void cpu_write_cr0(struct cpu *cpu, u64 value);
void cpu_write_cr3(struct cpu *cpu, u64 value);
void cpu_write_flags(struct cpu *cpu, u64 value, u64 mask);
u64 cpu_time_stamp(struct cpu *cpu);
/* 0, -ENOENT: not the CPU's, -EINVAL: #GP. */
int cpu_guest_wrmsr(struct cpu *cpu, u32 index, u64 value);
bool cpu_guest_msr_hidden(const struct cpu *cpu, u32 index);
int cpu_xgetbv(struct cpu *cpu, const struct cpu_insn *in);
int cpu_xsetbv(struct cpu *cpu, const struct cpu_insn *in);
int cpu_xsave_group9(struct cpu *cpu, const struct cpu_insn *in);
/* INVLPG: the entries of one page. */
void cpu_invalidate(struct cpu *cpu, u64 la);
bool cpu_io_allowed(struct cpu *cpu, u16 port, unsigned n);

#endif
