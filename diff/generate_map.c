// SPDX-License-Identifier: MIT
/*
 * diff/generate_map.c - steps on mappings, and those of children and threads
 */
#include "diff/generate.h"

#include <sys/mman.h>

static bool find_mapping(struct diff_generator *g, uint64_t *w)
{
	unsigned start = (unsigned)below(g, COUNT(g->window));

	for (unsigned i = 0; i < COUNT(g->window); i++) {
		*w = (start + i) % COUNT(g->window);
		if (g->window[*w].pages)
			return true;
	}
	return false;
}

/* Pages of a window: mostly of what is mapped there. */
static void range(struct diff_generator *g, uint64_t w, uint64_t *at, uint64_t *pages)
{
	if (g->window[w].pages && !one_in(g, 8)) {
		*at = g->window[w].at + below(g, g->window[w].pages);
		*pages = 1 + below(g, g->window[w].at + g->window[w].pages - *at);
		if (one_in(g, 2))
			*pages = 1;
		return;
	}
	*at = below(g, 31);
	*pages = one_in(g, 16) ? 0 : 1 + below(g, 32 - *at);
}

static uint64_t byte_in(struct diff_generator *g, uint64_t w)
{
	uint64_t at, pages;

	range(g, w, &at, &pages);
	return (at + (pages ? below(g, pages) : 0)) * PAGE + PICK(g, 0, 8, 2048, 4095);
}

static uint64_t prot(struct diff_generator *g)
{
	uint64_t p = one_in(g, 2) ? PROT_READ | PROT_WRITE :
				    PICK(g, PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE);

	/* See the head of generate.c. */
	return g->guests && p == PROT_WRITE ? PROT_READ : p;
}

void gen_map(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, COUNT(g->window));
	a[1] = one_in(g, 2) ? 0 : below(g, 24);
	a[2] = 1 + below(g, one_in(g, 3) ? 32 - a[1] : 8);
	find_file(g, &a[3]);
	/* Another one where the file cannot be mapped; and pages that are there. */
	for (int i = 0; i < 3 && !(g->file[a[3]].flags & 1); i++)
		find_file(g, &a[3]);
	a[4] = one_in(g, 12) ? odd(g) : below(g, 10) * PAGE;
	if (one_in(g, 2) && g->file[a[3]].used) {
		uint64_t last = g->file[a[3]].size / PAGE;

		a[4] = below(g, last < 32 ? last : 32) * PAGE;
		if (a[2] > last - a[4] / PAGE)
			a[2] = last - a[4] / PAGE;
	}
	/* No page of a file that the model does not keep: it would be skipped. */
	if (a[4] >= 64 * PAGE && a[4] < g->file[a[3]].size)
		a[4] = 0;
	/* What mremap could enlarge beyond the last offset: docs/divergences.md, mremap-offset. */
	if (a[4] >= (1ULL << 63) - 128 * PAGE && a[4] < 1ULL << 63)
		a[4] = (1ULL << 63) - PAGE;
	a[5] = one_in(g, 3) ? prot(g) : PROT_READ | PROT_WRITE;
	a[6] = one_in(g, 6) ? PICK(g, MAP_PRIVATE, MAP_SHARED_VALIDATE, 0, 4, MAP_SHARED | MAP_POPULATE, MAP_SHARED | MAP_LOCKED,
				   MAP_SHARED | MAP_GROWSDOWN, MAP_SHARED | MAP_HUGETLB, MAP_SHARED_VALIDATE | 0x80000,
				   MAP_SHARED | MAP_NORESERVE) :
			      MAP_SHARED;
	if (a[4] % PAGE || a[4] > 1ULL << 62 || (a[6] & 3) != 1 || !g->file[a[3]].used || !(g->file[a[3]].flags & 1) ||
	    a[5] & PROT_EXEC)
		return;
	if (!g->window[a[0]].pages || one_in(g, 2)) {
		g->window[a[0]].at = a[1];
		g->window[a[0]].pages = a[2];
	}
	g->window[a[0]].file = (unsigned)a[3];
}

static void gen_range(struct diff_generator *g, uint64_t *a)
{
	find_mapping(g, &a[0]);
	range(g, a[0], &a[1], &a[2]);
}

void gen_unmap(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
	if (a[1] <= g->window[a[0]].at && a[1] + a[2] >= g->window[a[0]].at + g->window[a[0]].pages)
		g->window[a[0]].pages = 0;
}

void gen_protect(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
	a[3] = prot(g);
}

void gen_remap(struct diff_generator *g, uint64_t *a)
{
	find_mapping(g, &a[0]);
	range(g, a[0], &a[1], &a[2]);
	if (one_in(g, 4))
		a[2] = one_in(g, 2);
	a[3] = below(g, COUNT(g->window));
	a[4] = below(g, 32);
	a[6] = one_in(g, 3) ? PICK(g, 0, 0, 1, 2, 4, 8, 11, 5) : PICK(g, 3, 3, 3, 7);
	a[5] = one_in(g, 3) ? below(g, 33) : a[2];
	/* Neither goes beyond its window. */
	if (a[5] > 32 - a[4])
		a[5] = 32 - a[4];
	if (a[5] > 32 - a[1])
		a[5] = 32 - a[1];
	if (a[6] & 4 && !one_in(g, 8))
		a[2] = a[5];
	if (a[2] > 32 - a[1])
		a[2] = 32 - a[1];
}

void gen_advise(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
	a[3] = one_in(g, 3)   ? PICK(g, 0, 1, 2, 3, 8, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21, 25, 5, 6, 7, 26, 77) :
	       g->guards      ? PICK(g, 4, 22, 23, 24, 102, 103, 103) :
				PICK(g, 4, 9, 22, 23, 24);
}

void gen_sync_range(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
	a[3] = PICK(g, 1, 4, 2, 6, 3, 5, 8, 0);
}

void gen_load(struct diff_generator *g, uint64_t *a)
{
	find_mapping(g, &a[0]);
	a[1] = byte_in(g, a[0]);
}

void gen_store(struct diff_generator *g, uint64_t *a)
{
	gen_load(g, a);
	a[2] = 1 + below(g, 255);
}

void gen_kernel_store(struct diff_generator *g, uint64_t *a)
{
	gen_load(g, a);
	a[2] = PICK(g, 1, 16, 4096, 8192, 5000, 0);
	/* Not beyond the window. */
	if (a[1] + a[2] > 32 * PAGE)
		a[2] = 1;
	a[3] = below(g, 4);
}

void gen_child(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, g->guests ? 8 : 7);
	if (a[0] == 2 && g->guards)
		a[0] = 0;
	switch (a[0]) {
	case 0:
	case 1:
		gen_store(g, a + 1);
		break;
	case 2:
		find_file(g, &a[1]);
		a[2] = file_offset(g, a[1]);
		a[3] = (1 + below(g, 4)) * PAGE;
		break;
	case 3:
		gen_convert(g, a + 1);
		a[5] = 0;
		break;
	case 4:
		gen_capability(g, a + 1);
		break;
	case 5:
		a[2] = below(g, DIFF_VMS);
		break;
	case 7:
		gen_guest(g, a + 1);
		break;
	default:
		gen_range(g, a + 1);
	}
}

void gen_thread(struct diff_generator *g, uint64_t *a)
{
	gen_child(g, a);
}

void gen_lock(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
}

void gen_unlock(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
}

void gen_resident(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
}

void gen_kernel_load(struct diff_generator *g, uint64_t *a)
{
	gen_kernel_store(g, a);
	a[3] = below(g, 5);
}
