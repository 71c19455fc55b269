// SPDX-License-Identifier: MIT
/*
 * cpu/mmu.c - linear to guest-physical to host addresses
 *
 * Theory of operation
 *
 * A linear address is looked up in the soft TLB (cpu->tlb), whose entries hold
 * a tag for reads, a tag for writes and what to add to get the host address.
 * A tag is: linear page | generation << 2 | mode.  The mode (user, supervisor
 * with SMAP in force, supervisor without) is part of the tag, so that changing
 * CPL or AC flushes nothing; a flush is a new generation, and only when the ten
 * bits wrap is the table cleared.
 *
 * On a miss the guest's page tables are walked (cpu/walk.c), then the owner is asked
 * for the page (bus->map).  What it answers for page-table pages is kept in
 * cpu->walk until cpu_flush_memory().
 *
 * M-1  The write tag is only set when the guest's D bit is set and the owner
 *      said `writable`: D bits and dirty logs are exact.
 * M-2  A and D bits are set by compare-and-exchange on the host's memory; when it
 *      fails the walk starts again (cpu/walk.c).
 * M-3  All pages of an access are translated with its permissions before the
 *      first byte of it is read or written.
 * M-4  An instruction that meets MMIO is executed anew from its beginning as KVM's emulator would (cpu->emulating):
 *      all its operands are KVM's own accesses, which the TLB takes no part in.  MMIO reads are
 *      logged; the instruction is executed again with the log after each exit, so that it may have any number of
 *      operands, and what was answered counts, whatever lies there by then.  MMIO writes are queued and exit
 *      after the instruction has retired.
 * M-5  Pages with an armed data breakpoint never enter the TLB.
 * M-6  While CR0.AM and EFLAGS.AC have a user's accesses checked for alignment, nothing enters the TLB: the check is
 *      in the slow paths, behind the translation, since a page fault comes first.
 */
#include "cpu/access.h"

#include "cpu/debug.h"
#include "cpu/ops.h"
#include "cpu/walk.h"

/* ---- generations ---- */

/* The last of ten bits' is nobody's. */
enum { GENERATIONS = (1 << 10) - 1 };

void cpu_update_key(struct cpu *cpu)
{
	u64 mode = cpu->cpl == 3 ? MODE_USER : MODE_SUPER;
	u64 code;

	if (mode == MODE_SUPER && (cpu->cr4 & (1 << 21)) && !(cpu->flags & CPU_F_AC))
		mode = MODE_SMAP;
	if (mode == MODE_USER && (cpu->flags & CPU_F_AC) && (cpu->cr0 & (1 << 18)))
		mode = MODE_ALIGNED;
	cpu->tlb_key = (u64)(cpu->emulating ? GENERATIONS : cpu->tlb_gen) << 2 | mode;
	if (cpu_long_mode(cpu) && cpu->seg[CPU_CS].l)
		code = CPU_MODE_64;
	else
		code = cpu->seg[CPU_CS].db ? CPU_MODE_32 : CPU_MODE_16;
	cpu->code_key = cpu->flushes << 4 | (cpu->cpl == 3) << 2 | code;
}

void cpu_flush_tlb(struct cpu *cpu)
{
	cpu->flushes++;
	if (++cpu->tlb_gen == GENERATIONS) {
		memset(cpu->tlb, 0, CPU_TLB_SIZE * sizeof(*cpu->tlb));
		cpu->tlb_gen = 1;
	}
	cpu_update_key(cpu);
}

/* Large pages are entered piece by piece: one INVLPG has to remove them all, so everything goes. */
void cpu_invalidate(struct cpu *cpu, u64 la)
{
	cpu_flush_tlb(cpu);
}

void cpu_flush_memory(struct cpu *cpu)
{
	memset(cpu->walk, 0, sizeof(cpu->walk));
	cpu->touched_host = 0;
	cpu_flush_tlb(cpu);
}

/* ---- pages of an access ---- */

struct target {
	u8 *host; /* NULL: MMIO */
	u64 gpa;
	bool unusable;
};

/* A read that a device has answered already. */
static bool is_logged(const struct cpu *cpu, u64 gpa)
{
	for (unsigned i = cpu->read_pos; i < cpu->read_count; i++) {
		if (cpu->read_log[i].gpa == gpa)
			return true;
	}
	return false;
}

/* Translate the page of la, fill the TLB, find the host's address; #PF and exits do not return. */
static struct target translate(struct cpu *cpu, u64 la, unsigned access, u64 key, unsigned extra)
{
	const bool own = cpu->emulating && !(extra & CPU_SYSTEM);
	const bool checked = (key & 3) == MODE_ALIGNED;
	const unsigned mode = checked ? MODE_USER : key & 3;
	struct target t = { NULL, 0, false };
	struct cpu_page page;
	struct cpu_tlb *e;
	struct cpu_walk w;
	u64 tag;

	if (!cpu_walk(cpu, la, access, mode, true, &w))
		cpu_page_fault(cpu, la, w.error);
	t.gpa = w.gpa;
	if (own && access == CPU_READ && is_logged(cpu, w.gpa))
		return t;
	if (cpu_ask(cpu, w.gpa, access | extra | (own ? CPU_KVM : 0), &page) != CPU_MAP_RAM) {
		if (!own && !cpu->kvm_access && !cpu->event.active && !(extra & CPU_SYSTEM))
			cpu_leave(cpu, CPU_LEAVE_EMULATE);
		t.unusable = page.unusable;
		return t;
	}
	t.host = page.host + (w.gpa & RT_PAGE_MASK);
	if (own || cpu->kvm_access || checked || cpu_debug_watches(cpu, la))
		return t;
	e = cpu_tlb_entry(cpu, la);
	tag = (la & ~RT_PAGE_MASK) | key;
	if (access == CPU_WRITE) {
		/* A write-only answer would let stale reads through: the read tag goes with it. */
		e->read = tag;
		e->write = w.write && page.writable ? tag : 0;
	} else {
		bool keep = e->write == tag && e->addend == (u64)(uintptr_t)page.host - (la & ~RT_PAGE_MASK);

		e->read = tag;
		e->write = keep || (w.write && page.writable) ? tag : 0;
	}
	e->addend = (u64)(uintptr_t)page.host - (la & ~RT_PAGE_MASK);
	e->gpa = w.gpa & ~RT_PAGE_MASK;
	return t;
}

static void check_canonical(struct cpu *cpu, u64 la, unsigned n, unsigned seg)
{
	if (cpu_long_mode(cpu) && cpu->seg[CPU_CS].l && (!cpu_canonical(cpu, la) || !cpu_canonical(cpu, la + n - 1)))
		cpu_raise(cpu, seg == CPU_SS ? CPU_SS_FAULT : CPU_GP, 0);
}

/* Of words, doublewords and quadwords (M-6). */
static void check_alignment(struct cpu *cpu, u64 la, unsigned n, u64 key)
{
	if (unlikely((key & 3) == MODE_ALIGNED) && (la & (n - 1)))
		cpu_raise(cpu, CPU_AC, 0);
}

static u64 wrap(const struct cpu *cpu, u64 la)
{
	return cpu_long_mode(cpu) && cpu->seg[CPU_CS].l ? la : (u32)la;
}

/* ---- MMIO (M-4) ---- */

void cpu_mmio_forget(struct cpu *cpu)
{
	cpu->read_count = cpu->read_pos = 0;
}

static void mmio_read(struct cpu *cpu, u64 gpa, u8 *buf, unsigned n)
{
	const u64 rip = cpu->insn ? cpu_insn_rip(cpu, cpu->insn) : cpu->rip;

	if (cpu->event.active)
		cpu_delivery_failure(cpu, gpa);
	if (cpu->read_rip != rip)
		cpu_mmio_forget(cpu);
	cpu->read_rip = rip;
	while (n) {
		const unsigned len = (unsigned)rt_min(n, 8);
		struct cpu_fragment *f = &cpu->read_log[cpu->read_pos];

		if (cpu->read_pos == CPU_MMIO_LOG)
			cpu_emulation_failure(cpu);
		if (cpu->read_pos == cpu->read_count) {
			f->gpa = gpa;
			f->len = (u8)len;
			if (!cpu->bus->mmio || !cpu->bus->mmio(cpu->ctx, gpa, f->data, len, false)) {
				cpu->exit.mmio.gpa = gpa;
				cpu->exit.mmio.len = len;
				cpu->exit.mmio.is_write = false;
				memset(cpu->exit.mmio.data, 0, 8);
				cpu->pending = CPU_PENDING_MMIO_READ;
				cpu_exit_now(cpu, CPU_EXIT_MMIO);
			}
			cpu->read_count++;
			cpu_attention(cpu);
		}
		cpu->read_pos++;
		memcpy(buf, f->data, len);
		buf += len;
		gpa += len;
		n -= len;
	}
}

static void mmio_write(struct cpu *cpu, u64 gpa, const u8 *buf, unsigned n)
{
	if (cpu->event.active)
		cpu_delivery_failure(cpu, gpa);
	while (n) {
		const unsigned len = (unsigned)rt_min(n, 8);
		struct cpu_fragment *f = &cpu->write_queue[cpu->write_count];
		u8 data[8];

		memcpy(data, buf, len);
		if (cpu->write_count || !cpu->bus->mmio || !cpu->bus->mmio(cpu->ctx, gpa, data, len, true)) {
			if (cpu->write_count == CPU_MMIO_QUEUE)
				cpu_emulation_failure(cpu);
			f->gpa = gpa;
			f->len = (u8)len;
			memcpy(f->data, data, len);
			cpu->write_count++;
		}
		cpu_attention(cpu);
		buf += len;
		gpa += len;
		n -= len;
	}
}

/* ---- accesses that missed ---- */

static void host_read(u8 *buf, const u8 *host, unsigned n)
{
	for (; n >= 8; n -= 8, buf += 8, host += 8) {
		u64 v = host_load(host, 8);

		memcpy(buf, &v, 8);
	}
	for (; n; n--)
		*buf++ = (u8)host_load(host++, 1);
}

static void host_write(u8 *host, const u8 *buf, unsigned n)
{
	for (; n >= 8; n -= 8, buf += 8, host += 8) {
		u64 v;

		memcpy(&v, buf, 8);
		host_store(host, 8, v);
	}
	for (; n; n--)
		host_store(host++, 1, *buf++);
}

/* n <= 4096: at most two pages. */
static void read_bytes(struct cpu *cpu, u64 la, u8 *buf, unsigned n, u64 key, unsigned extra)
{
	const unsigned first = (unsigned)rt_min(n, RT_PAGE_SIZE - (la & RT_PAGE_MASK));
	struct target t = translate(cpu, la, CPU_READ, key, extra), t2 = { NULL, 0, false };

	cpu_debug_access(cpu, la, n, false);
	if (first < n)
		t2 = translate(cpu, wrap(cpu, la + first), CPU_READ, key, extra);
	if (t.host)
		host_read(buf, t.host, first);
	else
		mmio_read(cpu, t.gpa, buf, first);
	if (first == n)
		return;
	if (t2.host)
		host_read(buf + first, t2.host, n - first);
	else
		mmio_read(cpu, t2.gpa, buf + first, n - first);
}

static void write_bytes(struct cpu *cpu, u64 la, const u8 *buf, unsigned n, u64 key, unsigned extra)
{
	const unsigned first = (unsigned)rt_min(n, RT_PAGE_SIZE - (la & RT_PAGE_MASK));
	struct target t = translate(cpu, la, CPU_WRITE, key, extra), t2 = { NULL, 0, false };

	cpu_debug_access(cpu, la, n, true);
	if (first < n) {
		t2 = translate(cpu, wrap(cpu, la + first), CPU_WRITE, key, extra);
		/* A host fault in the second half must not leave the first one written. */
		if (t2.host)
			__asm__ volatile("lock orb $0, %0" : "+m"(*t2.host) : : "memory", "cc");
	}
	if (t.host)
		host_write(t.host, buf, first);
	else
		mmio_write(cpu, t.gpa, buf, first);
	if (first == n)
		return;
	if (t2.host)
		host_write(t2.host, buf + first, n - first);
	else
		mmio_write(cpu, t2.gpa, buf + first, n - first);
}

u64 cpu_load_slow(struct cpu *cpu, u64 la, unsigned n, unsigned seg, u64 key)
{
	u64 v = 0;

	check_canonical(cpu, la, n, seg);
	/* Within a page one access: naturally aligned ones are single-copy atomic. */
	if ((la & RT_PAGE_MASK) + n <= RT_PAGE_SIZE) {
		struct target t = translate(cpu, la, CPU_READ, key, 0);

		check_alignment(cpu, la, n, key);
		cpu_debug_access(cpu, la, n, false);
		if (t.host)
			return host_load(t.host, n);
		mmio_read(cpu, t.gpa, (u8 *)&v, n);
		return v;
	}
	check_alignment(cpu, la, n, key);
	read_bytes(cpu, la, (u8 *)&v, n, key, 0);
	return v;
}

void cpu_store_slow(struct cpu *cpu, u64 la, unsigned n, u64 v, unsigned seg, u64 key)
{
	check_canonical(cpu, la, n, seg);
	if ((la & RT_PAGE_MASK) + n <= RT_PAGE_SIZE) {
		struct target t = translate(cpu, la, CPU_WRITE, key, 0);

		check_alignment(cpu, la, n, key);
		cpu_debug_access(cpu, la, n, true);
		if (t.host)
			host_store(t.host, n, v);
		else
			mmio_write(cpu, t.gpa, (const u8 *)&v, n);
		return;
	}
	check_alignment(cpu, la, n, key);
	write_bytes(cpu, la, (const u8 *)&v, n, key, 0);
}

/*
 * KVM compares what it has read with memory and exchanges it; it gives up where memory cannot be accessed,
 * and has the CPU try again when something else stands there.
 */
static void *modify_locked(struct cpu *cpu, u64 la, unsigned n)
{
	const struct target t = translate(cpu, la, CPU_WRITE, cpu->tlb_key, 0);
	u8 now[8];

	if (t.unusable)
		cpu_emulation_failure(cpu);
	if (!t.host)
		return NULL;
	host_read(now, t.host, n);
	if (cpu->read_pos < cpu->read_count && !memcmp(now, cpu->read_log[cpu->read_pos].data, n))
		return t.host;
	cpu_mmio_forget(cpu);
	cpu_leave(cpu, CPU_LEAVE_AGAIN);
}

void *cpu_modify_slow(struct cpu *cpu, u64 la, unsigned n, unsigned seg)
{
	struct target t;
	bool locked;

	check_canonical(cpu, la, n, seg);
	if (cpu->emulating) {
		locked = cpu->insn->flags & CPU_IN_LOCK || cpu->insn->fn == op_xchg;
		return locked && cpu->read_count && n <= 8 ? modify_locked(cpu, la, n) : NULL;
	}
	if ((la & RT_PAGE_MASK) + n > RT_PAGE_SIZE) {
		/* Permission of both pages first: the load that follows must not be seen to fail for reading. */
		translate(cpu, la, CPU_WRITE, cpu->tlb_key, 0);
		translate(cpu, wrap(cpu, (la + n - 1) & ~RT_PAGE_MASK), CPU_WRITE, cpu->tlb_key, 0);
		check_alignment(cpu, la, n, cpu->tlb_key);
		return NULL;
	}
	t = translate(cpu, la, CPU_WRITE, cpu->tlb_key, 0);
	check_alignment(cpu, la, n, cpu->tlb_key);
	cpu_debug_access(cpu, la, n, true);
	return t.host;
}

void cpu_read_linear(struct cpu *cpu, u64 la, void *buf, unsigned n, unsigned seg)
{
	struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	if (likely(e->read == cpu_tag(la, n, cpu->tlb_key))) {
		host_read(buf, (const u8 *)(la + e->addend), n);
		return;
	}
	check_canonical(cpu, la, n, seg);
	read_bytes(cpu, la, buf, n, cpu->tlb_key, 0);
}

void cpu_write_linear(struct cpu *cpu, u64 la, const void *buf, unsigned n, unsigned seg)
{
	struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	if (likely(e->write == cpu_tag(la, n, cpu->tlb_key))) {
		host_write((u8 *)(la + e->addend), buf, n);
		return;
	}
	check_canonical(cpu, la, n, seg);
	write_bytes(cpu, la, buf, n, cpu->tlb_key, 0);
}

static u64 system_key(const struct cpu *cpu)
{
	return (u64)cpu->tlb_gen << 2 | MODE_SMAP;
}

u64 cpu_load_system(struct cpu *cpu, u64 la, unsigned n)
{
	struct cpu_tlb *e = cpu_tlb_entry(cpu, la);
	u64 v = 0;

	if (likely(e->read == cpu_tag(la, n, system_key(cpu))))
		return host_load((const void *)(la + e->addend), n);
	if (cpu_long_mode(cpu) && !cpu_canonical(cpu, la))
		cpu_raise(cpu, CPU_GP, 0);
	read_bytes(cpu, la, (u8 *)&v, n, system_key(cpu), CPU_SYSTEM);
	return v;
}

void cpu_store_system(struct cpu *cpu, u64 la, unsigned n, u64 v)
{
	struct cpu_tlb *e = cpu_tlb_entry(cpu, la);

	if (likely(e->write == cpu_tag(la, n, system_key(cpu)))) {
		host_store((void *)(la + e->addend), n, v);
		return;
	}
	if (cpu_long_mode(cpu) && !cpu_canonical(cpu, la))
		cpu_raise(cpu, CPU_SS_FAULT, 0);
	write_bytes(cpu, la, (const u8 *)&v, n, system_key(cpu), CPU_SYSTEM);
}

void cpu_read_kvm(struct cpu *cpu, u64 la, void *buf, unsigned n)
{
	check_canonical(cpu, la, n, CPU_DS);
	cpu->kvm_access = true;
	read_bytes(cpu, la, buf, n, cpu->tlb_key, 0);
	cpu->kvm_access = false;
}

void cpu_write_kvm(struct cpu *cpu, u64 la, const void *buf, unsigned n)
{
	check_canonical(cpu, la, n, CPU_DS);
	cpu->kvm_access = true;
	write_bytes(cpu, la, buf, n, cpu->tlb_key, 0);
	cpu->kvm_access = false;
}

u8 *cpu_fetch_page(struct cpu *cpu, u64 la)
{
	struct cpu_page page;
	struct cpu_walk w;

	if (cpu_long_mode(cpu) && cpu->seg[CPU_CS].l && !cpu_canonical(cpu, la))
		cpu_raise(cpu, CPU_GP, 0);
	if (!cpu_walk(cpu, la, CPU_FETCH, cpu->cpl == 3 ? MODE_USER : MODE_SUPER, true, &w))
		cpu_page_fault(cpu, la, w.error);
	if (cpu_ask(cpu, w.gpa, CPU_FETCH, &page) != CPU_MAP_RAM)
		cpu_emulation_failure(cpu);
	return page.host;
}

/* ---- host faults ---- */

static bool find_host(const struct cpu *cpu, u64 page, u64 *gpa)
{
	if (cpu->touched_host == page) {
		*gpa = cpu->touched_gpa;
		return true;
	}
	for (unsigned i = 0; i < CPU_TLB_SIZE; i++) {
		const struct cpu_tlb *e = &cpu->tlb[i];
		u64 tag = e->read ? e->read : e->write;

		if (tag && (tag & ~RT_PAGE_MASK) + e->addend == page) {
			*gpa = e->gpa;
			return true;
		}
	}
	for (unsigned i = 0; i < CPU_WALK_SIZE; i++) {
		if (cpu->walk[i].host && (u64)(uintptr_t)cpu->walk[i].host == page) {
			*gpa = cpu->walk[i].gpa;
			return true;
		}
	}
	return cpu_block_page(cpu, page, gpa);
}

bool cpu_host_fault(struct cpu *cpu, u64 addr, const struct cpu_context *context)
{
	u64 gpa = 0;

	if (!cpu->escape_sp || !find_host(cpu, addr & ~RT_PAGE_MASK, &gpa))
		return false;
	cpu->exit.fault.gpa = gpa;
	cpu->exit.fault.flags = 0;
	cpu->exit.fault.host = addr;
	cpu->exit.fault.access = 0;
	/* As a call of cpu_leave(cpu, CPU_LEAVE_HOST_FAULT) at the faulting instruction. */
	*context->rdi = (u64)(uintptr_t)cpu;
	*context->rsi = CPU_LEAVE_HOST_FAULT;
	*context->rsp = (*context->rsp & ~15ULL) - 8 - 128;
	*context->rip = (u64)(uintptr_t)cpu_leave;
	*context->eflags &= ~CPU_F_DF;
	return true;
}
