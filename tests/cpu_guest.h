/* SPDX-License-Identifier: MIT */
/*
 * tests/cpu_guest.h - a guest in one block of memory for tests of cpu/
 *
 * Guest-physical memory is 16 MiB of this process from 0; what lies above is MMIO.
 * guest_long() gives 64-bit code with identity paging of the first GiB by 2 MiB
 * pages (user-accessible), a GDT, a TSS and an IDT whose handlers exit:
 * vector v's handler writes v to port 0xe0 (with the frame on its stack).
 */
#ifndef GMEM_TESTS_CPU_GUEST_H
#define GMEM_TESTS_CPU_GUEST_H

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "cpu/cpu.h"

#define GUEST_SIZE (16UL << 20)

enum {
	G_PML4 = 0x1000,
	G_PDPT = 0x2000,
	G_PD = 0x3000,
	G_PT = 0x4000, /* spare page tables */
	G_GDT = 0x8000,
	G_IDT = 0x9000,
	G_TSS = 0xa000,
	G_HANDLERS = 0xb000,
	G_STACK = 0x20000, /* tops, downwards */
	G_STACK0 = 0x24000,
	G_IST1 = 0x28000,
	G_CODE = 0x100000,
	G_DATA = 0x200000,
};

enum {
	S_CODE64 = 0x08,
	S_DATA = 0x10,
	S_TSS = 0x18,
	S_UCODE32 = 0x28,
	S_UDATA = 0x30,
	S_UCODE64 = 0x38,
	S_CODE32 = 0x40,
	S_CODE16 = 0x48,
	S_DATA16 = 0x50
};

struct guest {
	struct cpu *cpu;
	u8 *mem;
	u32 cpuid7_ebx, cpuid1_ecx, cpuid7_ecx, cpuid_80000001_ecx, vendor_ebx;
	u64 read_only_from, read_only_to; /* gpas whose pages are not `writable` */
	u64 fault_gpa, fault_kind;
	unsigned maps, writes_logged;
	u32 last_access;
	int irq;
};

static struct guest *guest_faulting; /* for the signal handler */

static enum cpu_map guest_map(void *ctx, u64 gpa, unsigned access, struct cpu_page *ret)
{
	struct guest *g = ctx;

	g->maps++;
	g->last_access = access;
	if (g->fault_kind && gpa == g->fault_gpa) {
		ret->fault_flags = 8;
		return (enum cpu_map)g->fault_kind;
	}
	if (gpa >= GUEST_SIZE)
		return CPU_MAP_MMIO;
	ret->host = g->mem + gpa;
	ret->writable = !(gpa >= g->read_only_from && gpa < g->read_only_to);
	if ((access & CPU_WRITE) && !ret->writable)
		g->writes_logged++;
	return CPU_MAP_RAM;
}

static void guest_cpuid(void *ctx, u32 leaf, u32 subleaf, u32 out[4])
{
	struct guest *g = ctx;

	memset(out, 0, 16);
	switch (leaf) {
	case 0:
		out[0] = 0xd;
		out[1] = g->vendor_ebx;
		break;
	case 1:
		out[2] = g->cpuid1_ecx;
		break;
	case 7:
		out[1] = g->cpuid7_ebx;
		out[2] = g->cpuid7_ecx;
		break;
	case 0x80000000:
		out[0] = 0x80000008;
		break;
	case 0x80000001:
		out[2] = g->cpuid_80000001_ecx;
		out[3] = 1U << 11 | 1U << 20 | 1U << 26 | 1U << 27 | 1U << 29;
		break;
	case 0x80000008:
		out[0] = 0x3030;
		break;
	}
}

static int guest_irq_ack(void *ctx)
{
	struct guest *g = ctx;
	int v = g->irq;

	g->irq = -1;
	return v;
}

static const struct cpu_bus guest_bus = { .map = guest_map, .cpuid = guest_cpuid, .irq_ack = guest_irq_ack };

static inline void guest_signal(int sig, siginfo_t *info, void *uc)
{
	greg_t *r = ((ucontext_t *)uc)->uc_mcontext.gregs;
	const struct cpu_context context = { (u64 *)&r[REG_RIP], (u64 *)&r[REG_RSP], (u64 *)&r[REG_RDI],
					     (u64 *)&r[REG_RSI], (u64 *)&r[REG_EFL] };

	if (!guest_faulting || !cpu_host_fault(guest_faulting->cpu, (u64)(uintptr_t)info->si_addr, &context))
		signal(sig, SIG_DFL);
}

static inline void put64(struct guest *g, u64 gpa, u64 v)
{
	memcpy(g->mem + gpa, &v, 8);
}

static inline u64 get64(const struct guest *g, u64 gpa)
{
	u64 v;

	memcpy(&v, g->mem + gpa, 8);
	return v;
}

static inline void guest_gate(struct guest *g, unsigned vector, u64 target, unsigned type, unsigned dpl, unsigned ist)
{
	put64(g, G_IDT + 16 * vector,
	      (target & 0xffff) | S_CODE64 << 16 | (u64)ist << 32 | (u64)(0x80 | dpl << 5 | type) << 40 |
		      (target >> 16 & 0xffff) << 48);
	put64(g, G_IDT + 16 * vector + 8, target >> 32);
}

static inline void guest_tables(struct guest *g)
{
	static const u64 gdt[] = { 0,
				   0x00af9b000000ffff,
				   0x00cf93000000ffff,
				   0,
				   0,
				   0x00cffb000000ffff,
				   0x00cff3000000ffff,
				   0x00affb000000ffff,
				   0x00cf9b000000ffff,
				   0x008f9b000000ffff,
				   0x008f93000000ffff };

	put64(g, G_PML4, G_PDPT | 7);
	put64(g, G_PDPT, G_PD | 7);
	for (u64 i = 0; i < 512; i++)
		put64(g, G_PD + 8 * i, i << 21 | 0x87);
	memcpy(g->mem + G_GDT, gdt, sizeof(gdt));
	put64(g, G_GDT + S_TSS, 0x67 | (u64)(G_TSS & 0xffff) << 16 | (u64)0x89 << 40);
	put64(g, G_TSS + 4, G_STACK0);
	put64(g, G_TSS + 0x24, G_IST1);
	for (unsigned v = 0; v < 256; v++) {
		/* push rax; mov al, v; out 0xe0, al; pop rax; hlt */
		const u8 handler[] = { 0x50, 0xb0, (u8)v, 0xe6, 0xe0, 0x58, 0xf4 };

		memcpy(g->mem + G_HANDLERS + 16 * v, handler, sizeof(handler));
		guest_gate(g, v, G_HANDLERS + 16 * v, 14, v == 3 || v == 4 || v == 0x80 ? 3 : 0, 0);
	}
}

static inline struct cpu_segment guest_segment(u16 selector, unsigned dpl, bool code, bool wide)
{
	return (struct cpu_segment){ .selector = selector,
				     .limit = 0xffffffff,
				     .type = code ? 11 : 3,
				     .present = 1,
				     .s = 1,
				     .g = 1,
				     .dpl = (u8)dpl,
				     .l = code && wide,
				     .db = !(code && wide) };
}

static inline void guest_long(struct guest *g, unsigned cpl)
{
	struct cpu *c = g->cpu;
	const u16 rpl = cpl ? 3 : 0;

	guest_tables(g);
	cpu_reset(c, false);
	c->cr0 = 0x80010033;
	c->cr4 = 0x620 | (g->cpuid1_ecx & 1U << 26 ? 1 << 18 : 0);
	if (c->cr4 & 1 << 18)
		c->xcr0 = g->cpuid1_ecx & 1U << 28 ? 7 : 3;
	c->cr3 = G_PML4;
	c->efer = 0xd01;
	c->seg[CPU_CS] = guest_segment((u16)((cpl ? S_UCODE64 : S_CODE64) | rpl), cpl, true, true);
	for (unsigned s = 0; s < 6; s++) {
		if (s != CPU_CS)
			c->seg[s] = guest_segment((u16)((cpl ? S_UDATA : S_DATA) | rpl), cpl, false, false);
	}
	c->seg[CPU_TR] =
		(struct cpu_segment){ .selector = S_TSS, .base = G_TSS, .limit = 0x67, .type = 11, .present = 1 };
	c->gdtr = (struct cpu_table){ G_GDT, 0x5f };
	c->idtr = (struct cpu_table){ G_IDT, 0xfff };
	c->reg[CPU_RSP] = G_STACK;
	c->rip = G_CODE;
	cpu_state_changed(c);
}

static inline struct guest *guest_new(void)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->cpu = aligned_alloc(64, (sizeof(*g->cpu) + 63) & ~63UL);
	memset(g->cpu, 0, sizeof(*g->cpu));
	g->mem = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	g->irq = -1;
	g->cpuid7_ebx = 1 << 0 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 19 | 1 << 20;
	g->cpuid7_ecx = 1 << 22;
	g->cpuid1_ecx = 1U << 22 | 1U << 23 | 1U << 26 | 1U << 28;
	g->cpuid_80000001_ecx = 1 << 0 | 1 << 5;
	if (cpu_init(g->cpu, &guest_bus, g) < 0)
		abort();
	guest_long(g, 0);
	return g;
}

static inline void guest_free(struct guest *g)
{
	cpu_fini(g->cpu);
	munmap(g->mem, GUEST_SIZE);
	free(g->cpu);
	free(g);
}

static inline void guest_code(struct guest *g, const void *code, size_t n)
{
	memcpy(g->mem + G_CODE, code, n);
}

/* The bytes of an asm block, assembled into this program. */
#define GUEST_ASM(name, text)                                                                                          \
	extern const u8 name[], name##_end[];                                                                          \
	__asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection\n")
#define guest_load(g, name) guest_code(g, name, (size_t)(name##_end - name))

#endif
