// SPDX-License-Identifier: MIT
/*
 * diff/generate_vm.c - steps on VMs: capabilities, memslots, attributes
 */
#include "diff/generate.h"

#include <string.h>

void gen_new_vm(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, DIFF_VMS);
	if (g->vm_types & 2)
		a[1] = one_in(g, 3) ? 0 : 1;
	if (one_in(g, 12))
		a[1] = one_in(g, 2) ? below(g, 8) : odd(g);
	if (!g->vm[a[0]].used && a[1] < 32 && g->vm_types >> a[1] & 1) {
		g->vm[a[0]].used = true;
		g->vm[a[0]].type = (unsigned)a[1];
	}
}

void gen_close_vm(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, DIFF_VMS);
	g->vm[a[0]].used = false;
	memset(g->slot[a[0]], 0, sizeof(g->slot[0]));
}

void gen_capability(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, DIFF_VMS + 1);
	a[1] = PICK(g, 3, 10, 16, 21, 30, 81, 105, 118, 168, 201, 231, 232, 233, 234, 235, 236, 244, 252, 9999, ~0ULL, 1ULL << 33);
}

static uint64_t guest_address(struct diff_generator *g)
{
	uint64_t gpa = one_in(g, 12) ? odd(g) : below(g, 24) * 2 * PAGE;

	return g->guests && g->limits & DIFF_REAL_CPU && gpa >= 1ULL << 36 && gpa < 1ULL << 48 ? 2 * PAGE : gpa;
}

/* A legal slot of more than a few pages would cost the kernel memory in proportion. */
static uint64_t slot_size(struct diff_generator *g)
{
	uint64_t size = one_in(g, 12) ? odd(g) : below(g, 9) * PAGE;

	return size > 64 * PAGE && size < 1ULL << 43 && !(size % PAGE) ? 2 * PAGE : size;
}

static uint64_t host_address(struct diff_generator *g)
{
	if (one_in(g, 12))
		return PICK(g, 1, 4097, 0x7ffffffff000ULL, 0x7fffffffe000ULL, 1ULL << 63, ~0ULL, 0xffff800000000000ULL, 1ULL << 60);
	/* The memory that nothing but slots and guests know. */
	if (g->guests && one_in(g, 3))
		return 0x200000000000ULL + 7 * 0x400000 + below(g, 14) * PAGE;
	return one_in(g, 2) ? 0 : 0x200000000000ULL + below(g, 6) * 0x400000 + below(g, 8) * PAGE;
}

/* Such a slot lies on memory that can be read throughout: the first 13 pages of what is there for slots alone. */
static void make_readable(struct diff_generator *g, uint64_t *size, uint64_t *hva)
{
	const uint64_t memory = 0x200000000000ULL + 7 * 0x400000;

	if (*hva - memory > 4 * PAGE)
		*hva = memory + below(g, 5) * PAGE;
	if (*size > 8 * PAGE)
		*size = 2 * PAGE;
}

void gen_slot(struct diff_generator *g, uint64_t *a)
{
	uint64_t v = below(g, DIFF_VMS), id = below(g, COUNT(g->slot[0]));

	a[0] = v;
	a[1] = id;
	if (g->slot[v][id].used && !one_in(g, 3)) {
		/* A change of what should be there. */
		a[2] = g->slot[v][id].flags;
		a[3] = g->slot[v][id].gpa;
		a[4] = g->slot[v][id].size;
		a[5] = g->slot[v][id].hva;
		switch (below(g, 8)) {
		case 0: a[3] = guest_address(g); break;
		case 1: a[2] ^= 1ULL << below(g, 4); break;
		case 2: a[5] = host_address(g); break;
		case 3: a[4] = slot_size(g); break;
		case 4: break;
		default: a[4] = 0;
		}
	} else {
		a[2] = one_in(g, 10) ? odd(g) & 0xffffffff : one_in(g, 4) ? below(g, 4) : 4;
		a[3] = guest_address(g);
		a[4] = slot_size(g);
		a[5] = host_address(g);
	}
	/* A guest's load can set a bit of the log, or not: see the head of generate.c. */
	if (g->guests && !g->logs && !(a[2] & ~3ULL))
		a[2] &= 2;
	if (g->guests && g->limits & DIFF_READS_FIRST && a[2] & 2)
		make_readable(g, &a[4], &a[5]);
	if (!find_file(g, &a[6]) || one_in(g, 12))
		a[6] = COUNT(g->file) + below(g, 4);
	a[7] = one_in(g, 10) ? odd(g) : below(g, 10) * PAGE;
	/* No guest accesses a page of a file that the model does not keep. */
	if (g->guests && a[7] >= 64 * PAGE && a[7] < 1ULL << 63)
		a[7] = 0;
	/* docs/divergences.md, shadow-prefetch */
	if (g->guests && !g->emulated && a[2] & 4 && a[5] >> 40 == 0x200000000000ULL >> 40)
		a[5] = 0;
	if (one_in(g, 10))
		a[1] |= (one_in(g, 4) ? 2 + below(g, 2) : 1) << 16;
	if (one_in(g, 40))
		a[1] = 32760 + below(g, 8);
	if (a[1] >= COUNT(g->slot[0]))
		return;
	if (!a[4])
		g->slot[v][id].used = false;
	else if (!g->slot[v][id].used && !((a[3] | a[4] | a[5] | a[7]) % PAGE)) {
		g->slot[v][id].used = true;
		g->slot[v][id].flags = a[2];
		g->slot[v][id].gpa = a[3];
		g->slot[v][id].size = a[4];
		g->slot[v][id].hva = a[5];
	}
}

void gen_slot1(struct diff_generator *g, uint64_t *a)
{
	struct diff_generator before = *g;

	gen_slot(g, a);
	/* What it should have made is not known well enough: keep the old idea. */
	before.random = g->random;
	*g = before;
	if (!one_in(g, 8))
		a[2] &= g->guests && !g->logs ? 2 : 3;
}

void gen_dup_vm(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, DIFF_VMS);
	a[1] = below(g, DIFF_VMS);
	if (g->vm[a[0]].used && !g->vm[a[1]].used) {
		g->vm[a[1]] = g->vm[a[0]];
		memcpy(g->slot[a[1]], g->slot[a[0]], sizeof(g->slot[0]));
	}
}

/* Mostly a slot that has a log. */
static void find_logged(struct diff_generator *g, uint64_t *v, uint64_t *id)
{
	*v = below(g, DIFF_VMS);
	*id = one_in(g, 10) ? odd(g) & 0xffffffff : below(g, COUNT(g->slot[0]));
	for (int i = 0; i < 8 && *id < COUNT(g->slot[0]) && !(g->slot[*v][*id].used && g->slot[*v][*id].flags & 1); i++) {
		*v = below(g, DIFF_VMS);
		*id = below(g, COUNT(g->slot[0]));
	}
	if (one_in(g, 10))
		*id |= 1 << 16;
}

void gen_dirty_log(struct diff_generator *g, uint64_t *a)
{
	find_logged(g, &a[0], &a[1]);
}

void gen_clear_log(struct diff_generator *g, uint64_t *a)
{
	find_logged(g, &a[0], &a[1]);
	a[2] = one_in(g, 4) ? PICK(g, 1, 64, 63, 128, ~0ULL, 1ULL << 32, 1ULL << 63) : 0;
	a[3] = one_in(g, 4) ? PICK(g, 0, 1, 63, 64, 65, 0xffffffff) : 2;
	if (a[1] < COUNT(g->slot[0]) && !one_in(g, 4))
		a[3] = g->slot[a[0]][a[1]].size / PAGE;
	a[4] = one_in(g, 2) ? ~0ULL : odd(g);
}

void gen_argument(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 30);
	a[1] = one_in(g, 2) ? below(g, 8) : below(g, 19);
	a[2] = below(g, 3);
}

void gen_number(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, DIFF_VMS + 1);
	a[1] = below(g, 5);
	a[2] = PICK(g, 0, 0, 1, ~0ULL, 100000, 1ULL << 32);
	/* The first of the capabilities, which are the host's. */
	if (a[1] == 2 && a[2] < 2)
		a[2] = 9999;
}

void gen_attributes(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, DIFF_VMS);
	a[1] = one_in(g, 8) ? odd(g) : below(g, 64) * PAGE;
	a[2] = one_in(g, 8) ? odd(g) : below(g, 16) * PAGE;
	/* The kernel walks the range: see the head of this file. */
	if (a[2] > 256 * PAGE && (a[2] < 1ULL << 63 || g->guests) && !(a[2] % PAGE))
		a[2] = PAGE;
	a[3] = one_in(g, 8) ? odd(g) : 8 * below(g, 2);
	a[4] = one_in(g, 16) ? odd(g) : 0;
}

void gen_enable(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, DIFF_VMS);
	a[1] = PICK(g, 201, 168, 168, 168, 234, 244, 9999);
	a[2] = one_in(g, 6) ? odd(g) & 0xffffffff : 0;
	a[3] = one_in(g, 3) ? odd(g) : a[1] == 168 ? below(g, 5) : 0x1000;
}

void gen_mmu_pages(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, DIFF_VMS);
	a[1] = PICK(g, 0, 63, 64, 1000);
}
