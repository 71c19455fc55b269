// SPDX-License-Identifier: MIT
/*
 * diff/generate.c - a seed becomes steps: valid more often than not, and wrong in every way
 *
 * The generator keeps what the steps so far should have made, without asking
 * whether they did: so that the same seed gives the same steps on any two sides.
 *
 * What hosts limit is kept out here and not in the comparison: allocations end
 * within 64 MiB, legal slots are small (the kernel allocates by their size), and so are
 * ranges of VM attributes (it walks them).  So are things whose combination is an accepted difference
 * (docs/divergences.md): a sequence has guard pages or holes (guard-hole); one with guests has no memory
 * that can only be written (write-only), and no slot that logs or no guest that only reads (dirty-read).
 * Pins and memory errors are an emulation's own; a sequence with memory errors has neither guard pages nor guests.
 */
#include "diff/generate.h"

#include <string.h>

static uint64_t next(struct diff_generator *g)
{
	/* splitmix64 */
	uint64_t z = g->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t below(struct diff_generator *g, uint64_t n)
{
	return next(g) % n;
}

bool one_in(struct diff_generator *g, uint64_t n)
{
	return below(g, n) == 0;
}

void diff_generator_init(struct diff_generator *g, uint64_t seed, uint64_t sequence, uint32_t vm_types, unsigned limits)
{
	memset(g, 0, sizeof(*g));
	g->random = seed * 0xd1342543de82ef95ULL + sequence;
	g->vm_types = vm_types;
	g->limits = limits;
	g->guards = one_in(g, 4);
	g->guests = one_in(g, 2);
	g->logs = one_in(g, 4);
	g->emulated = !(limits & (DIFF_REAL_CPU | DIFF_KERNEL));
	g->errors = !g->guards && !g->guests;
}

/* Numbers at which something changes. */
uint64_t odd(struct diff_generator *g)
{
	switch (below(g, 4)) {
	case 0: return PICK(g, 0, 1, 4095, 4097, 8191, 1ULL << 63, ~0ULL, 0x7fffffffffffffffULL);
	case 1: return PICK(g, 0x7ffffffffffff000ULL, 0x7fffffffffffe000ULL, -4096ULL, -8192ULL, 1ULL << 62, 1ULL << 52);
	case 2: return 1ULL << below(g, 64);
	default: return next(g) >> below(g, 64);
	}
}

bool find_file(struct diff_generator *g, uint64_t *f)
{
	unsigned start = (unsigned)below(g, COUNT(g->file));

	for (unsigned i = 0; i < COUNT(g->file); i++) {
		*f = (start + i) % COUNT(g->file);
		if (g->file[*f].used)
			return true;
	}
	return false;
}

static const struct {
	void (*generate)(struct diff_generator *g, uint64_t *a);
	unsigned weight;
} kinds[DIFF_KINDS] = {
#define STEP(name, args, weight, call) [DIFF_##name] = { gen_##name, weight },
#include "diff/step.def"
#undef STEP
};

static unsigned weight(const struct diff_generator *g, unsigned kind)
{
	switch (kind) {
	case DIFF_pin:
		return g->emulated ? kinds[kind].weight : 0;
	case DIFF_strike:
		return g->emulated && g->errors ? kinds[kind].weight : 0;
	case DIFF_pre_fault:
		return g->emulated && g->guests ? kinds[kind].weight : 0;
	case DIFF_new_vcpu: case DIFF_close_vcpu: case DIFF_guest: case DIFF_resume: case DIFF_memory:
		return g->guests ? kinds[kind].weight : 0;
	default: return kinds[kind].weight;
	}
}

void diff_generate(struct diff_generator *g, struct diff_step *step)
{
	uint64_t total = 0, at;
	unsigned kind = 0;

	for (unsigned k = 0; k < DIFF_KINDS; k++)
		total += weight(g, k);
	at = below(g, total);
	while (at >= weight(g, kind))
		at -= weight(g, kind++);
	/* A sequence begins with VMs and files. */
	for (unsigned v = 0; v < COUNT(g->vm); v++) {
		if (v < 2 && !g->vm[v].used && one_in(g, 3))
			kind = DIFF_new_vm;
	}
	*step = (struct diff_step){ .kind = kind };
	kinds[kind].generate(g, step->a);
}
