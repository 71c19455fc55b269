// SPDX-License-Identifier: MIT
/*
 * diff/generate_guest.c - steps of vCPUs: where guests access memory, and how
 */
#include "diff/generate.h"

/* The kinds of diff/calls_guest.h. */
enum { LOAD1, LOAD4, LOAD8, STORE1, STORE4, STORE8, OR1, XCHG4, XADD8, MOVS4 };

void gen_new_vcpu(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 2);
	a[1] = below(g, 4);
	if (g->vm[a[0]].used)
		g->vcpu[a[0]] = true;
}

void gen_close_vcpu(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 2);
	g->vcpu[a[0]] = false;
}

static uint64_t find_vcpu(struct diff_generator *g)
{
	uint64_t v = below(g, 2);

	return g->vcpu[v] ? v : !v;
}

/* Mostly within a slot, and never where guests have their code. */
static uint64_t address(struct diff_generator *g, uint64_t v)
{
	const unsigned start = (unsigned)below(g, COUNT(g->slot[v]));

	for (unsigned i = 0; i < COUNT(g->slot[v]) && !one_in(g, 10); i++) {
		unsigned s = (start + i) % COUNT(g->slot[v]);
		uint64_t pages = g->slot[v][s].size / PAGE;

		if (g->slot[v][s].used && pages && pages <= 64 && g->slot[v][s].gpa < 0x10000000)
			return g->slot[v][s].gpa / PAGE * PAGE + below(g, pages) * PAGE;
	}
	return below(g, 64) * PAGE;
}

void gen_guest(struct diff_generator *g, uint64_t *a)
{
	a[0] = find_vcpu(g);
	/* The kind is drawn all the same, so that a seed means the same steps. */
	a[1] = g->logs ? PICK(g, STORE1, STORE4, STORE8, OR1, XCHG4, XADD8) :
			 PICK(g, LOAD1, LOAD4, LOAD8, LOAD4, STORE1, STORE4, STORE8, STORE4, OR1, XCHG4, XADD8, MOVS4);
	if (g->limits & DIFF_REAL_CPU && a[1] == MOVS4)
		a[1] = LOAD4;
	if (g->plain && a[1] >= OR1 && a[1] <= XADD8)
		a[1] = a[1] - OR1 + STORE1;
	a[2] = address(g, a[0]) + PICK(g, 0, 8, 2048, 4088);
	a[3] = 1 + below(g, 255);
	if (one_in(g, 4))
		a[3] |= odd(g) << 8;
}

void gen_pre_fault(struct diff_generator *g, uint64_t *a)
{
	a[0] = find_vcpu(g);
	a[1] = one_in(g, 10) ? odd(g) : address(g, a[0]);
	a[2] = one_in(g, 10) ? odd(g) : (1 + below(g, 6)) * PAGE;
	a[3] = one_in(g, 20) ? odd(g) : 0;
}

void gen_resume(struct diff_generator *g, uint64_t *a)
{
	a[0] = find_vcpu(g);
	a[1] = odd(g);
}

void gen_memory(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 10) * PAGE + PICK(g, 0, 8, 2048, 4088);
	a[1] = one_in(g, 2) ? 256 : 1 + below(g, 255);
}
