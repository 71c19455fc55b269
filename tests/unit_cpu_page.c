// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_page.c - page walks: permissions, error codes, A and D bits, all formats; host invariants M-1 to M-3
 */
#include "tests/tap.h"

#include "tests/cpu_guest.h"

#define PAGE   0x40000000UL /* the linear page under test, by PDPT entry 1 */
#define PD2    0x5000UL
#define TARGET 0x400000UL

enum { READ, WRITE, FETCH };

GUEST_ASM(read_code, "mov $0x40000000, %edi\n mov (%rdi), %al\n int $0x80\n");
GUEST_ASM(write_code, "mov $0x40000000, %edi\n movb $0x5a, (%rdi)\n int $0x80\n");
GUEST_ASM(fetch_code, "mov $0x40000000, %edi\n jmp *%rdi\n");
GUEST_ASM(target_code, "int $0x80\n");

static void map_page(struct guest *g, u64 pte)
{
	put64(g, G_PDPT + 8, PD2 | 7);
	put64(g, PD2, G_PT | 7);
	put64(g, G_PT, pte);
}

/* Run until a handler reports: its vector, and the error code in *error. */
static int outcome(struct guest *g, u64 *error)
{
	struct cpu *c = g->cpu;
	enum cpu_exit why = cpu_run(c);
	int vector;

	if (why != CPU_EXIT_IO)
		return 0x1000 | (int)why;
	c->pending = CPU_PENDING_NONE;
	vector = c->exit.io.data[0];
	*error = get64(g, c->gpr[CPU_RSP] + 8);
	return vector;
}

static int attempt(struct guest *g, unsigned cpl, unsigned access, u64 cr4, u64 cr0, u64 flags, u64 *error)
{
	guest_long(g, cpl);
	g->cpu->cr4 |= cr4;
	g->cpu->cr0 = (g->cpu->cr0 & ~(1UL << 16)) | cr0;
	cpu_set_rflags(g->cpu, 2 | flags);
	if (access == READ)
		guest_load(g, read_code);
	else if (access == WRITE)
		guest_load(g, write_code);
	else
		guest_load(g, fetch_code);
	memcpy(g->mem + TARGET, target_code, (size_t)(target_code_end - target_code));
	/* The handlers and their stack belong to the supervisor, the code page to whom it runs as. */
	for (u64 i = 0; i < 512; i++)
		put64(g, 0x7000 + 8 * i, i << 12 | 3);
	put64(g, 0x7000 + (G_CODE >> 9), G_CODE | (cpl ? 7 : 3));
	put64(g, G_PD, 0x7007);
	cpu_state_changed(g->cpu);
	return outcome(g, error);
}

/* All permission bits against all kinds of access, by the manual's words. */
static void test_matrix(struct guest *g)
{
	unsigned wrong = 0, tried = 0;

	for (unsigned n = 0; n < 2 * 3 * 8 * 16; n++) {
		const unsigned cpl = n & 1 ? 3 : 0, access = n / 2 % 3, bits = n / 6 % 8, mode = n / 48;
		const bool w = bits & 1, u = bits & 2, nx = bits & 4;
		const bool wp = mode & 1, smep = mode & 2, smap = mode & 4, ac = mode & 8;
		bool allowed;
		u64 error = 0, expected;
		int got;

		map_page(g, TARGET | 1 | (w ? 2 : 0) | (u ? 4 : 0) | (nx ? 1UL << 63 : 0));
		got = attempt(g, cpl, access, (smep ? 1UL << 20 : 0) | (smap ? 1UL << 21 : 0), wp ? 1UL << 16 : 0,
			      ac ? 1UL << 18 : 0, &error);
		if (cpl == 3) {
			allowed = u && (access != WRITE || w) && (access != FETCH || !nx);
		} else if (access == FETCH) {
			allowed = !nx && !(u && smep);
		} else {
			allowed = !(u && smap && !ac) && (access == READ || w || !wp);
		}
		expected = 1 | (access == WRITE ? 2 : 0) | (cpl ? 4 : 0) | (access == FETCH ? 16 : 0);
		tried++;
		if (allowed ? got != 0x80 : got != 14 || error != expected || g->cpu->cr2 != PAGE) {
			wrong++;
			diag("cpl %u access %u w %d u %d nx %d wp %d smep %d smap %d ac %d: %#x error %#lx", cpl,
			     access, w, u, nx, wp, smep, smap, ac, got, error);
		}
	}
	is(tried, 768, "768 combinations of rights and accesses were tried");
	is(wrong, 0, "each is allowed, or refused with the right error code, as the manual says");
}

static void test_bits(struct guest *g)
{
	u64 error;

	map_page(g, TARGET | 7);
	is(attempt(g, 0, READ, 0, 0, 0, &error), 0x80, "a read");
	is(get64(g, G_PT), TARGET | 7 | 0x20, "sets A in the page's entry, not D");
	ok(get64(g, PD2) & 0x20, "and A in those above");
	ok(!(get64(g, PD2) & 0x40), "where D does not exist");
	map_page(g, TARGET | 7);
	is(attempt(g, 0, WRITE, 0, 0, 0, &error), 0x80, "a write");
	is(get64(g, G_PT), TARGET | 7 | 0x60, "sets A and D");
	map_page(g, TARGET | 5);
	is(attempt(g, 3, WRITE, 0, 0, 0, &error), 14, "a refused write");
	is(get64(g, G_PT), TARGET | 5, "sets neither");
	map_page(g, TARGET | 7 | 1UL << 50);
	is(attempt(g, 3, READ, 0, 0, 0, &error), 14, "a reserved address bit faults");
	is(error, 1 | 4 | 8, "with RSVD in the error code");
	map_page(g, 0);
	is(attempt(g, 3, READ, 0, 0, 0, &error), 14, "an entry that is not present faults");
	is(error, 4, "with P clear");
}

GUEST_ASM(dirty, "mov $0x40000000, %edi\n mov (%rdi), %eax\n mov (%rdi), %eax\n movl $1, (%rdi)\n movl $2, (%rdi)\n "
		 "int $0x80\n");

/* M-1: a page that the owner does not let be cached for writes is asked for at every write. */
static void test_logged(struct guest *g)
{
	u64 error;

	guest_long(g, 0);
	map_page(g, TARGET | 0x67);
	guest_load(g, dirty);
	g->read_only_from = TARGET;
	g->read_only_to = TARGET + 4096;
	g->writes_logged = 0;
	is(outcome(g, &error), 0x80, "writes to a logged page work");
	is(g->writes_logged, 2, "and the owner hears of each");
	is(get64(g, TARGET) & 0xffffffff, 2, "the last one stays");
	g->read_only_to = 0;
}

GUEST_ASM(cross, "mov $0x40000ffc, %edi\n mov $-1, %rax\n mov %rax, (%rdi)\n int $0x80\n");

/* M-3 */
static void test_crossing(struct guest *g)
{
	u64 error;

	guest_long(g, 0);
	map_page(g, TARGET | 7);
	put64(g, G_PT + 8, 0);
	put64(g, TARGET + 0xff8, 0);
	guest_load(g, cross);
	is(outcome(g, &error), 14, "a store into a missing second page faults");
	is(g->cpu->cr2, PAGE + 0x1000, "at the second page");
	is(get64(g, TARGET + 0xff8), 0, "and leaves the first alone");
	guest_long(g, 0);
	map_page(g, TARGET | 7);
	put64(g, G_PT + 8, (TARGET + 0x5000) | 7);
	is(outcome(g, &error), 0x80, "with both it works");
	is(get64(g, TARGET + 0xff8), 0xffffffff00000000, "in the first");
	is(get64(g, TARGET + 0x5000) & 0xffffffff, 0xffffffff, "and in the second");
}

static void test_formats(struct guest *g)
{
	struct cpu *c = g->cpu;
	u64 gpa = 0;

	guest_long(g, 0);
	is(cpu_translate(c, 0x234567, &gpa), 0, "2 MiB page");
	is(gpa, 0x234567, "keeps 21 bits");
	put64(g, G_PDPT + 16, 0x40000087);
	is(cpu_translate(c, 0x8abcdef0, &gpa), 0, "1 GiB page");
	is(gpa, 0x40000000 + 0xabcdef0, "keeps 30 bits");
	is(cpu_translate(c, 0x0000800000000000, &gpa), -2, "no address outside the canonical ones");
	/* PAE */
	guest_long(g, 0);
	c->efer = 0;
	put64(g, 0x6000, G_PD | 1);
	put64(g, 0x6018, PD2 | 1);
	put64(g, PD2, G_PT | 7);
	put64(g, G_PT + 8 * 5, TARGET | 7);
	c->cr3 = 0x6000;
	c->pdptr[0] = G_PD | 1;
	c->pdptr[3] = PD2 | 1;
	c->seg[CPU_CS] = guest_segment(S_CODE32, 0, true, false);
	cpu_state_changed(c);
	is(cpu_translate(c, 0xc0005123, &gpa), 0, "PAE walk");
	is(gpa, TARGET | 0x123, "ends in the page");
	is(cpu_translate(c, 0x40005123, &gpa), -2, "an absent PDPTE does not");
	/* 32-bit */
	c->cr4 = 0x10;
	c->cr3 = 0x6000;
	memset(g->mem + 0x6000, 0, 4096);
	*(u32 *)(g->mem + 0x6000 + 4 * 3) = 0x5007;
	*(u32 *)(g->mem + 0x6000 + 4 * 4) = 0x00c00000 | 0x87;
	*(u32 *)(g->mem + 0x5000 + 4 * 7) = TARGET | 7;
	cpu_state_changed(c);
	is(cpu_translate(c, 0x00c07abc, &gpa), 0, "32-bit walk");
	is(gpa, TARGET | 0xabc, "by two levels");
	is(cpu_translate(c, 0x01023456, &gpa), 0, "4 MiB page");
	is(gpa, 0xc23456, "keeps 22 bits");
	/* 5 levels */
	g->cpuid7_ecx |= 1 << 16;
	cpu_cpuid_changed(c);
	guest_long(g, 0);
	put64(g, 0x6000 + 8 * 1, G_PML4 | 7);
	c->cr3 = 0x6000;
	c->cr4 |= 1 << 12;
	cpu_state_changed(c);
	is(cpu_translate(c, (1UL << 48) + 0x234567, &gpa), 0, "5-level walk");
	is(gpa, 0x234567, "by its top level");
	g->cpuid7_ecx &= ~(1U << 16);
	cpu_cpuid_changed(c);
}

GUEST_ASM(remap, "mov $0x40000000, %edi\n mov (%rdi), %eax\n mov $0x4000, %ebx\n movl $0x500067, (%rbx)\n"
		 "mov %cr3, %rax\n mov %rax, %cr3\n mov (%rdi), %edx\n int $0x80\n");

static void test_flush(struct guest *g)
{
	u64 error;

	guest_long(g, 0);
	map_page(g, TARGET | 7);
	put64(g, TARGET, 0x11);
	put64(g, 0x500000, 0x22);
	guest_load(g, remap);
	is(outcome(g, &error), 0x80, "a page table is changed and CR3 loaded");
	is(g->cpu->gpr[CPU_RDX], 0x22, "the new page is seen");
}

int main(void)
{
	struct guest *g = guest_new();

	test_matrix(g);
	test_bits(g);
	test_logged(g);
	test_crossing(g);
	test_formats(g);
	test_flush(g);
	guest_free(g);
	return done_testing();
}
