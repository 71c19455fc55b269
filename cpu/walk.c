// SPDX-License-Identifier: MIT
/*
 * cpu/walk.c - the guest's page tables, and asking the owner for pages (M-2 of cpu/mmu.c)
 */
#include "cpu/walk.h"

#include "cpu/access.h"

#define PTE_P	 (1ULL << 0)
#define PTE_W	 (1ULL << 1)
#define PTE_U	 (1ULL << 2)
#define PTE_A	 (1ULL << 5)
#define PTE_D	 (1ULL << 6)
#define PTE_PS	 (1ULL << 7)
#define PTE_NX	 (1ULL << 63)
#define PTE_ADDR 0x000ffffffffff000ULL

enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* ---- asking the owner ---- */

enum cpu_map cpu_ask(struct cpu *cpu, u64 gpa, unsigned access, struct cpu_page *page)
{
	enum cpu_map r;

	page->host = NULL;
	page->writable = page->logged = page->unusable = false;
	page->fault_flags = 0;
	r = cpu->bus->map(cpu->ctx, gpa & ~RT_PAGE_MASK, access | (cpu->kvm_access ? CPU_KVM : 0), page);
	if (r == CPU_MAP_RAM || r == CPU_MAP_MMIO) {
		if (r == CPU_MAP_RAM) {
			cpu->touched_host = (u64)(uintptr_t)page->host;
			cpu->touched_gpa = gpa & ~RT_PAGE_MASK;
		}
		if (page->logged && (access & CPU_WRITE)) {
			__asm__ volatile("lock orb $0, %0" : "+m"(*page->host) : : "memory", "cc");
			cpu->bus->wrote(cpu->ctx, gpa & ~RT_PAGE_MASK);
		}
		return r;
	}
	cpu->exit.fault.gpa = gpa & ~RT_PAGE_MASK;
	cpu->exit.fault.flags = page->fault_flags;
	cpu->exit.fault.host = 0;
	cpu->exit.fault.access = access;
	switch (r) {
	case CPU_MAP_MEMORY_FAULT:
		cpu_exit_now(cpu, CPU_EXIT_MEMORY_FAULT);
	case CPU_MAP_HWPOISON:
		cpu_exit_now(cpu, CPU_EXIT_HWPOISON);
	case CPU_MAP_RETRY:
		cpu_exit_now(cpu, CPU_EXIT_STOPPED);
	default:
		cpu_exit_now(cpu, CPU_EXIT_HOST_FAULT);
	}
}

/* The host address of a paging-structure entry, or NULL when there is no memory. */
static void *walk_entry(struct cpu *cpu, u64 gpa, bool write)
{
	struct cpu_page page;
	const u64 frame = gpa & ~RT_PAGE_MASK;
	typeof(cpu->walk[0]) *slot = &cpu->walk[gpa >> RT_PAGE_SHIFT & (CPU_WALK_SIZE - 1)];

	if (!cpu->kvm_access && slot->host && slot->gpa == frame && (!write || slot->writable))
		return slot->host + (gpa & RT_PAGE_MASK);
	if (cpu_ask(cpu, gpa, CPU_WALK | (write ? CPU_WRITE : CPU_READ), &page) != CPU_MAP_RAM)
		return NULL;
	if (!cpu->kvm_access) {
		slot->gpa = frame;
		slot->host = page.host;
		slot->writable = page.writable;
	}
	return page.host + (gpa & RT_PAGE_MASK);
}

/* Set bits in an entry that was read as old; false: it has changed meanwhile. */
static bool entry_set(struct cpu *cpu, u64 gpa, u64 old, u64 bits, bool wide)
{
	void *p;

	if ((old & bits) == bits)
		return true;
	p = walk_entry(cpu, gpa, true);
	if (!p)
		return true; /* page tables in read-only memory keep their bits */
	if (wide) {
		u64 expected = old, desired = old | bits;

		__asm__ volatile("lock cmpxchgq %2, %1"
				 : "+a"(expected), "+m"(*(u64 *)p)
				 : "r"(desired)
				 : "memory", "cc");
		return expected == old;
	}
	u32 expected = (u32)old, desired = (u32)(old | bits);

	__asm__ volatile("lock cmpxchgl %2, %1" : "+a"(expected), "+m"(*(u32 *)p) : "r"(desired) : "memory", "cc");
	return expected == (u32)old;
}

/* ---- walking ---- */

static u64 reserved_bits(const struct cpu *cpu, int level, u64 pte)
{
	u64 rsvd = PTE_ADDR & ~((1ULL << cpu->phys_bits) - 1);

	if (!(cpu->efer & (1 << 11)))
		rsvd |= PTE_NX;
	if (!cpu_long_mode(cpu))
		rsvd |= 0x7ff0000000000000ULL;
	if (level > 1 && (pte & PTE_PS)) {
		if (level == 2)
			rsvd |= 0x1fe000;
		else if (level == 3 && (cpu->features & CPU_HAS_1G) && cpu_long_mode(cpu))
			rsvd |= 0x3fffe000;
		else
			rsvd |= PTE_PS;
	}
	return rsvd;
}

/* With the bits of all levels combined: whether the access is allowed. */
static bool permitted(const struct cpu *cpu, u64 rights, bool nx, unsigned access, unsigned mode)
{
	if (mode == MODE_USER) {
		if (!(rights & PTE_U) || (access == CPU_WRITE && !(rights & PTE_W)))
			return false;
	} else {
		if (access == CPU_WRITE && !(rights & PTE_W) && (cpu->cr0 & (1 << 16)))
			return false;
		if (access == CPU_FETCH) {
			if ((rights & PTE_U) && (cpu->cr4 & (1 << 20)))
				return false;
		} else if ((rights & PTE_U) && mode == MODE_SMAP && (cpu->cr4 & (1 << 21))) {
			return false;
		}
	}
	return access != CPU_FETCH || !nx;
}

static u32 fault_error(const struct cpu *cpu, unsigned access, unsigned mode, u32 bits)
{
	if (access == CPU_WRITE)
		bits |= PF_W;
	if (mode == MODE_USER)
		bits |= PF_U;
	if (access == CPU_FETCH && (((cpu->efer & (1 << 11)) && (cpu->cr4 & (1 << 5))) || (cpu->cr4 & (1 << 20))))
		bits |= PF_I;
	return bits;
}

struct level {
	u64 gpa, pte;
};

/* Set A in all entries used, and D in the last of a write; false: something changed, walk again. */
static bool set_accessed(struct cpu *cpu, struct level *at, int first, int last, bool dirty, bool wide)
{
	for (int level = first; level >= last; level--) {
		u64 bits = PTE_A | (level == last && dirty ? PTE_D : 0);

		if (!entry_set(cpu, at[level].gpa, at[level].pte, bits, wide))
			return false;
		at[level].pte |= bits;
	}
	return true;
}

static bool walk_legacy(struct cpu *cpu, u64 la, unsigned access, unsigned mode, bool mark, struct cpu_walk *ret)
{
	struct level at[3];
	u64 rights = PTE_W | PTE_U;
	int level;

again:
	for (level = 2, at[2].gpa = (cpu->cr3 & 0xfffff000) | (la >> 22 & 1023) << 2;; level--) {
		const void *p = walk_entry(cpu, at[level].gpa, false);
		u64 pte = p ? host_load(p, 4) : 0;

		at[level].pte = pte;
		if (!(pte & PTE_P)) {
			ret->error = fault_error(cpu, access, mode, 0);
			return false;
		}
		if (level == 2 && (pte & PTE_PS) && (cpu->cr4 & (1 << 4))) {
			if (pte & (1 << 21)) {
				ret->error = fault_error(cpu, access, mode, PF_P | PF_RSVD);
				return false;
			}
			rights &= pte;
			ret->gpa = (pte & 0xffc00000) | (pte >> 13 & 0xff) << 32 | (la & 0x3fffff);
			break;
		}
		rights &= pte;
		if (level == 1) {
			ret->gpa = (pte & 0xfffff000) | (la & 0xfff);
			break;
		}
		at[1].gpa = (pte & 0xfffff000) | (la >> 12 & 1023) << 2;
	}
	if (!permitted(cpu, rights, false, access, mode)) {
		ret->error = fault_error(cpu, access, mode, PF_P);
		return false;
	}
	if (mark && !set_accessed(cpu, at, 2, level, access == CPU_WRITE, false)) {
		rights = PTE_W | PTE_U;
		goto again;
	}
	ret->write = (at[level].pte & PTE_D) && permitted(cpu, rights, false, CPU_WRITE, mode);
	return true;
}

static bool walk_wide(struct cpu *cpu, u64 la, unsigned access, unsigned mode, bool mark, struct cpu_walk *ret)
{
	struct level at[6];
	u64 rights, table;
	bool nx;
	int level, top;

again:
	rights = PTE_W | PTE_U;
	nx = false;
	if (cpu_long_mode(cpu)) {
		top = cpu->cr4 & (1 << 12) ? 5 : 4;
		table = cpu->cr3 & PTE_ADDR;
	} else {
		u64 pdpte = cpu->pdptr[la >> 30 & 3];

		if (!(pdpte & PTE_P)) {
			ret->error = fault_error(cpu, access, mode, 0);
			return false;
		}
		top = 2;
		table = pdpte & PTE_ADDR;
	}
	for (level = top;; level--) {
		const int shift = 12 + 9 * (level - 1);
		const void *p;
		u64 pte;

		at[level].gpa = table | (la >> shift & 511) << 3;
		p = walk_entry(cpu, at[level].gpa, false);
		pte = p ? host_load(p, 8) : 0;
		at[level].pte = pte;
		if (!(pte & PTE_P)) {
			ret->error = fault_error(cpu, access, mode, 0);
			return false;
		}
		if (pte & reserved_bits(cpu, level, pte)) {
			ret->error = fault_error(cpu, access, mode, PF_P | PF_RSVD);
			return false;
		}
		rights &= pte;
		nx |= pte >> 63;
		if (level == 1 || (pte & PTE_PS)) {
			const u64 inside = (1ULL << shift) - 1;

			ret->gpa = (pte & PTE_ADDR & ~inside) | (la & inside);
			break;
		}
		table = pte & PTE_ADDR;
	}
	if (!permitted(cpu, rights, nx, access, mode)) {
		ret->error = fault_error(cpu, access, mode, PF_P);
		return false;
	}
	if (mark && !set_accessed(cpu, at, top, level, access == CPU_WRITE, true))
		goto again;
	ret->write = (at[level].pte & PTE_D) && permitted(cpu, rights, nx, CPU_WRITE, mode);
	return true;
}

bool cpu_walk(struct cpu *cpu, u64 la, unsigned access, unsigned mode, bool mark, struct cpu_walk *ret)
{
	if (!(cpu->cr0 >> 31)) {
		ret->gpa = la;
		ret->write = true;
		return true;
	}
	if (cpu->cr4 & (1 << 5))
		return walk_wide(cpu, la, access, mode, mark, ret);
	return walk_legacy(cpu, la, access, mode, mark, ret);
}

/* MOV CR3 with PAE paging: the four PDPTEs are read now and checked; raises #GP. */
void cpu_load_pdptrs(struct cpu *cpu, u64 cr3)
{
	u64 pdpte[4];

	for (int i = 0; i < 4; i++) {
		const void *p = walk_entry(cpu, (cr3 & 0xffffffe0) + 8 * i, false);

		pdpte[i] = p ? host_load(p, 8) : 0;
		if ((pdpte[i] & PTE_P) &&
		    (pdpte[i] & (0xfff00000000001e6ULL | (PTE_ADDR & ~((1ULL << cpu->phys_bits) - 1)))))
			cpu_raise(cpu, CPU_GP, 0);
	}
	memcpy(cpu->pdptr, pdpte, sizeof(pdpte));
}

static int translate_query(struct cpu *cpu)
{
	struct cpu_walk w;

	cpu->kvm_access = true;
	if (cpu_walk(cpu, cpu->query, CPU_READ, MODE_SUPER, false, &w))
		cpu->answer = w.gpa;
	cpu->kvm_access = false;
	return CPU_LEAVE_AGAIN;
}

int cpu_translate(struct cpu *cpu, u64 linear, u64 *gpa)
{
	if (cpu_long_mode(cpu) && !cpu_canonical(cpu, linear))
		return -ENOENT;
	cpu->query = linear;
	cpu->answer = ~0ULL;
	if (!cpu_try(cpu, translate_query) || cpu->answer == ~0ULL)
		return -ENOENT;
	*gpa = cpu->answer;
	return 0;
}

static int reload_query(struct cpu *cpu)
{
	cpu_load_pdptrs(cpu, cpu->cr3);
	return CPU_LEAVE_AGAIN;
}

bool cpu_reload_pdptrs(struct cpu *cpu)
{
	return cpu_try(cpu, reload_query);
}
