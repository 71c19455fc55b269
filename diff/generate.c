// SPDX-License-Identifier: MIT
/*
 * diff/generate.c - a seed becomes steps: valid more often than not, and wrong in every way
 *
 * The generator keeps what the steps so far should have made, without asking
 * whether they did: so that the same seed gives the same steps on any two sides.
 *
 * What hosts limit is kept out here and not in the comparison: allocations end
 * within 64 MiB, legal slots are small (the kernel allocates by their size), and so are
 * ranges of VM attributes (it walks them).  So are two things whose combination is an accepted
 * difference (docs/divergences.md, "guard pages"): a sequence has guard pages or holes.
 */
#include "diff/diff.h"

#include <string.h>
#include <sys/mman.h>

#define PAGE	     4096ULL
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(g, ...)                                                                                                   \
	({                                                                                                             \
		static const uint64_t pick_[] = { __VA_ARGS__ };                                                       \
		pick_[below(g, COUNT(pick_))];                                                                         \
	})

static uint64_t next(struct diff_generator *g)
{
	/* splitmix64 */
	uint64_t z = g->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t below(struct diff_generator *g, uint64_t n)
{
	return next(g) % n;
}

static bool one_in(struct diff_generator *g, uint64_t n)
{
	return below(g, n) == 0;
}

void diff_generator_init(struct diff_generator *g, uint64_t seed, uint64_t sequence, uint32_t vm_types)
{
	memset(g, 0, sizeof(*g));
	g->random = seed * 0xd1342543de82ef95ULL + sequence;
	g->vm_types = vm_types;
	g->guards = one_in(g, 4);
}

/* Numbers at which something changes. */
static uint64_t odd(struct diff_generator *g)
{
	switch (below(g, 4)) {
	case 0: return PICK(g, 0, 1, 4095, 4097, 8191, 1ULL << 63, ~0ULL, 0x7fffffffffffffffULL);
	case 1: return PICK(g, 0x7ffffffffffff000ULL, 0x7fffffffffffe000ULL, -4096ULL, -8192ULL, 1ULL << 62, 1ULL << 52);
	case 2: return 1ULL << below(g, 64);
	default: return next(g) >> below(g, 64);
	}
}

static bool find_file(struct diff_generator *g, uint64_t *f)
{
	unsigned start = (unsigned)below(g, COUNT(g->file));

	for (unsigned i = 0; i < COUNT(g->file); i++) {
		*f = (start + i) % COUNT(g->file);
		if (g->file[*f].used)
			return true;
	}
	return false;
}

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

static uint64_t file_offset(struct diff_generator *g, uint64_t f)
{
	uint64_t pages = g->file[f].used ? g->file[f].size / PAGE : 0;

	if (one_in(g, 12))
		return odd(g);
	return below(g, pages && pages < 40 ? pages + 1 : 12) * PAGE;
}

static uint64_t file_size(struct diff_generator *g)
{
	return one_in(g, 12) ? odd(g) : (1 + below(g, one_in(g, 4) ? 32 : 8)) * PAGE;
}

static uint64_t prot(struct diff_generator *g)
{
	return one_in(g, 2) ? PROT_READ | PROT_WRITE :
			      PICK(g, PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE);
}

static void gen_new_vm(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 2);
	if (g->vm_types & 2)
		a[1] = one_in(g, 3) ? 0 : 1;
	if (one_in(g, 12))
		a[1] = one_in(g, 2) ? below(g, 8) : odd(g);
	if (!g->vm[a[0]].used && a[1] < 32 && g->vm_types >> a[1] & 1) {
		g->vm[a[0]].used = true;
		g->vm[a[0]].type = (unsigned)a[1];
	}
}

static void gen_close_vm(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 2);
	g->vm[a[0]].used = false;
	memset(g->slot[a[0]], 0, sizeof(g->slot[0]));
}

static void gen_capability(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 3);
	a[1] = PICK(g, 3, 10, 16, 21, 30, 81, 105, 118, 201, 231, 232, 233, 234, 235, 236, 244, 252, 9999, ~0ULL, 1ULL << 33);
}

static void gen_new_file(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, COUNT(g->file));
	a[1] = below(g, 2);
	a[2] = file_size(g);
	a[3] = one_in(g, 10) ? odd(g) : PICK(g, 3, 3, 3, 3, 3, 1, 1, 0, 2);
	if (!g->file[a[0]].used && g->vm[a[1]].used && !(a[2] % PAGE) && (int64_t)a[2] > 0 && a[3] < 4) {
		g->file[a[0]].used = true;
		g->file[a[0]].size = a[2];
		g->file[a[0]].flags = a[3];
	}
}

static void gen_close_file(struct diff_generator *g, uint64_t *a)
{
	if (!find_file(g, &a[0]))
		return;
	g->file[a[0]].used = false;
}

static void gen_dup_file(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = below(g, COUNT(g->file));
	if (g->file[a[0]].used && !g->file[a[1]].used)
		g->file[a[1]] = g->file[a[0]];
}

static void gen_pass_file(struct diff_generator *g, uint64_t *a)
{
	gen_dup_file(g, a);
	a[2] = one_in(g, 8);
}

static void gen_allocate(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = one_in(g, 8) ? PICK(g, 0, 2, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 256, 7) : 1 + 2 * below(g, 2);
	if (g->guards && a[1] == 3)
		a[1] = 1;
	a[2] = file_offset(g, a[0]);
	a[3] = one_in(g, 8) ? odd(g) : (1 + below(g, 8)) * PAGE;
	/* A file is sparse, its pages are not: see the head of this file. */
	if (a[1] == 1 && a[3] > 64 * PAGE && (int64_t)a[3] > 0)
		a[3] = 64 * PAGE;
}

static void gen_stat_file(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
}

static void gen_file_call(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = below(g, 16);
}

static void gen_convert(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = file_offset(g, a[0]);
	a[2] = one_in(g, 12) ? odd(g) : (1 + below(g, 4)) * PAGE;
	a[3] = one_in(g, 16) ? odd(g) : 8 * below(g, 2);
	a[4] = one_in(g, 20) ? odd(g) : 0;
	a[5] = one_in(g, 20) ? below(g, 11) : 99;
}

static void gen_map(struct diff_generator *g, uint64_t *a)
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
	/* No page of a file that the model does not keep. */
	if (a[4] >= 64 * PAGE && a[4] < g->file[a[3]].size)
		a[4] = 0;
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

static void gen_unmap(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
	if (a[1] <= g->window[a[0]].at && a[1] + a[2] >= g->window[a[0]].at + g->window[a[0]].pages)
		g->window[a[0]].pages = 0;
}

static void gen_protect(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
	a[3] = prot(g);
}

static void gen_remap(struct diff_generator *g, uint64_t *a)
{
	uint64_t pages;

	find_mapping(g, &a[0]);
	range(g, a[0], &a[1], &pages);
	a[2] = !one_in(g, 4);
	a[3] = below(g, COUNT(g->window));
	a[4] = below(g, 32);
	a[5] = !one_in(g, 16);
	a[6] = one_in(g, 6) ? PICK(g, 0, 1, 2, 4, 8, 11) : PICK(g, 3, 3, 3, 7);
	/* To the kernel's choice of an address: not compared. So is what a size of none grows to in place. */
	if (!(a[6] & 2) && (a[6] & 1 || !a[2]))
		a[6] |= 2;
	if (a[6] == 7 && one_in(g, 2))
		a[2] = a[5];
}

static void gen_advise(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
	a[3] = one_in(g, 3)   ? PICK(g, 0, 1, 2, 3, 8, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21, 25, 5, 6, 7, 26, 77) :
	       g->guards      ? PICK(g, 4, 22, 23, 24, 102, 103, 103) :
				PICK(g, 4, 9, 22, 23, 24);
}

static void gen_sync_range(struct diff_generator *g, uint64_t *a)
{
	gen_range(g, a);
	a[3] = PICK(g, 1, 4, 2, 6, 3, 5, 8, 0);
}

static void gen_load(struct diff_generator *g, uint64_t *a)
{
	find_mapping(g, &a[0]);
	a[1] = byte_in(g, a[0]);
}

static void gen_store(struct diff_generator *g, uint64_t *a)
{
	gen_load(g, a);
	a[2] = 1 + below(g, 255);
}

static void gen_kernel_store(struct diff_generator *g, uint64_t *a)
{
	gen_load(g, a);
	a[2] = PICK(g, 1, 16, 4096, 8192, 5000, 0);
	/* Not beyond the window. */
	if (a[1] + a[2] > 32 * PAGE)
		a[2] = 1;
}

static void gen_child(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 7);
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
		a[2] = below(g, 2);
		break;
	default:
		gen_range(g, a + 1);
	}
}

static uint64_t guest_address(struct diff_generator *g)
{
	return one_in(g, 12) ? odd(g) : below(g, 24) * 2 * PAGE;
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
	return one_in(g, 2) ? 0 : 0x200000000000ULL + below(g, 6) * 0x400000 + below(g, 8) * PAGE;
}

static void gen_slot(struct diff_generator *g, uint64_t *a)
{
	uint64_t v = below(g, 2), id = below(g, COUNT(g->slot[0]));

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
	if (!find_file(g, &a[6]) || one_in(g, 12))
		a[6] = COUNT(g->file) + below(g, 4);
	a[7] = one_in(g, 10) ? odd(g) : below(g, 10) * PAGE;
	if (one_in(g, 16))
		a[1] |= (1 + below(g, 3)) << 16;
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

static void gen_slot1(struct diff_generator *g, uint64_t *a)
{
	struct diff_generator before = *g;

	gen_slot(g, a);
	/* What it should have made is not known well enough: keep the old idea. */
	before.random = g->random;
	*g = before;
	if (!one_in(g, 8))
		a[2] &= 3;
}

static void gen_dirty_log(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 2);
	a[1] = one_in(g, 8) ? odd(g) & 0xffffffff : below(g, 6);
}

static void gen_attributes(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 2);
	a[1] = one_in(g, 8) ? odd(g) : below(g, 64) * PAGE;
	a[2] = one_in(g, 8) ? odd(g) : below(g, 16) * PAGE;
	/* The kernel walks the range: see the head of this file. */
	if (a[2] > 256 * PAGE && a[2] < 1ULL << 63 && !(a[2] % PAGE))
		a[2] = PAGE;
	a[3] = one_in(g, 8) ? odd(g) : 8 * below(g, 2);
	a[4] = one_in(g, 16) ? odd(g) : 0;
}

static void gen_enable(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 2);
	a[1] = PICK(g, 201, 201, 234, 244, 9999);
	a[2] = one_in(g, 6) ? odd(g) & 0xffffffff : 0;
	a[3] = one_in(g, 3) ? odd(g) : 0x1000;
}

static void gen_mmu_pages(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, 2);
	a[1] = PICK(g, 0, 63, 64, 1000);
}

#define gen_thread	gen_child
#define gen_lock	gen_range
#define gen_unlock	gen_range
#define gen_resident	gen_range
#define gen_kernel_load gen_kernel_store

/* Out of 1000 steps. */
static const unsigned weights[DIFF_KINDS] = {
	[DIFF_new_vm] = 4,	[DIFF_close_vm] = 1,	 [DIFF_capability] = 20,   [DIFF_slot] = 110,	    [DIFF_slot1] = 20,
	[DIFF_dirty_log] = 10,	[DIFF_attributes] = 20,	 [DIFF_enable] = 5,	   [DIFF_mmu_pages] = 2,    [DIFF_new_file] = 25,
	[DIFF_close_file] = 12, [DIFF_dup_file] = 10,	 [DIFF_allocate] = 60,	   [DIFF_stat_file] = 15,   [DIFF_file_call] = 25,
	[DIFF_convert] = 110,	[DIFF_map] = 70,	 [DIFF_unmap] = 20,	   [DIFF_protect] = 40,	    [DIFF_advise] = 60,
	[DIFF_lock] = 12,	[DIFF_unlock] = 14,	 [DIFF_sync_range] = 15,   [DIFF_resident] = 30,    [DIFF_load] = 130,
	[DIFF_store] = 120,	[DIFF_kernel_store] = 30, [DIFF_kernel_load] = 30, [DIFF_child] = 1,
	[DIFF_pass_file] = 3,	[DIFF_remap] = 25,	 [DIFF_thread] = 5,
};

void diff_generate(struct diff_generator *g, struct diff_step *step)
{
	static void (*const generators[DIFF_KINDS])(struct diff_generator *g, uint64_t *a) = {
#define STEP(name, args, call) [DIFF_##name] = gen_##name,
#include "diff/step.def"
#undef STEP
	};
	uint64_t total = 0, at;
	unsigned kind = 0;

	for (unsigned k = 0; k < DIFF_KINDS; k++)
		total += weights[k];
	at = below(g, total);
	while (at >= weights[kind])
		at -= weights[kind++];
	/* A sequence begins with VMs and files. */
	for (unsigned v = 0; v < COUNT(g->vm); v++) {
		if (!g->vm[v].used && one_in(g, 3))
			kind = DIFF_new_vm;
	}
	*step = (struct diff_step){ .kind = kind };
	generators[kind](g, step->a);
}
