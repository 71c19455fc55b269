/* SPDX-License-Identifier: MIT */
/*
 * tests/store_model.h - the page state store and a plain byte array: what harness_store and fuzz_store share
 *
 * The model covers MODEL_PAGES pages from a base; what lies below and above it
 * has one state each.  The shapes put the base at the beginning of a file, at a
 * GiB boundary, and where the dense part ends at 16 TiB.
 */
#ifndef GMEM_TESTS_STORE_MODEL_H
#define GMEM_TESTS_STORE_MODEL_H

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "core/store.h"

#define MODEL_PAGES 6000U
#define GIB	    (1ULL << 18)

/* The first page of the model and the file's size in pages. */
static const struct shape {
	u64 base, pages;
} shapes[] = {
	{ 0, MODEL_PAGES }, /* ends within a region */
	{ 0, 3 * GIB },
	{ GIB - 2500, GIB + 3500 + 77 },
	{ 2 * GIB - 512 * 5, 2 * GIB - 512 * 5 + MODEL_PAGES },
	{ CORE_STORE_DENSE_PAGES - 3000, CORE_STORE_DENSE_PAGES + 3000 },
	{ CORE_STORE_DENSE_PAGES - 3000, 1ULL << 50 },
	{ CORE_STORE_DENSE_PAGES, CORE_STORE_DENSE_PAGES + MODEL_PAGES },
	{ CORE_STORE_DENSE_PAGES - GIB - 200, (1ULL << 51) - 1 },
};

struct model {
	struct core_store store;
	size_t window_size;
	const struct shape *shape;
	bool below, above;	 /* states of what lies outside */
	u8 state[MODEL_PAGES];	 /* [base, base + MODEL_PAGES) */
	u32 version[MODEL_PAGES]; /* odd while the page's state is being changed */
};

static const char *complaint; /* what the first failed comparison was */

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond) && !complaint)                                                                             \
			complaint = #cond;                                                                             \
	} while (0)

static bool model_init(struct model *m, const struct shape *shape, bool is_private)
{
	void *window;

	m->shape = shape;
	m->window_size = core_store_window_size(shape->pages);
	window = mmap(NULL, m->window_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (window == MAP_FAILED)
		return false;
	core_store_init(&m->store, window, shape->pages, is_private);
	m->below = m->above = is_private;
	memset(m->state, is_private, sizeof(m->state));
	memset(m->version, 0, sizeof(m->version));
	return true;
}

static void model_fini(struct model *m)
{
	munmap(m->store.window, m->window_size);
}

/* Set [first, end) of the file; first is within the model or 0, end within the model or the file's end. */
static void model_set(struct model *m, u64 first, u64 end, bool is_private)
{
	u64 base = m->shape->base, top = base + MODEL_PAGES;
	u64 from = rt_max(first, base) - base, to = rt_min(end, top) - base;
	struct rt_pages range = { first, end - first };

	if (core_store_reserve(&m->store, range, is_private))
		return;
	/* Pages that have the state already must keep it throughout: their version stays even. */
	for (u64 i = from; i < to; i++)
		if (m->state[i] != is_private)
			__atomic_store_n(&m->version[i], m->version[i] + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	core_store_set(&m->store, range, is_private);
	for (u64 i = from; i < to; i++) {
		if (m->state[i] == is_private)
			continue;
		__atomic_store_n(&m->state[i], is_private, __ATOMIC_RELEASE);
		__atomic_store_n(&m->version[i], m->version[i] + 1, __ATOMIC_RELEASE);
	}
	if (first < base)
		m->below = is_private;
	if (end > top)
		m->above = is_private;
}

static void compare_all(const struct model *m)
{
	u64 base = m->shape->base, pages = m->shape->pages, top = base + MODEL_PAGES;
	struct rt_pages below = { 0, base }, above = { top, pages - top };

	for (u64 i = 0; i < MODEL_PAGES; i++)
		CHECK(core_store_is_private(&m->store, base + i) == m->state[i]);
	CHECK(core_store_uniform(&m->store, below, m->below));
	CHECK(core_store_uniform(&m->store, above, m->above));
	/* Regions that lie within the model. */
	for (u64 r = (base + CORE_REGION_PAGES - 1) / CORE_REGION_PAGES; r * CORE_REGION_PAGES < top; r++) {
		u64 end = rt_min((r + 1) * CORE_REGION_PAGES, pages);
		unsigned total = 0;

		if (end > top)
			break;
		for (u64 page = r * CORE_REGION_PAGES; page < end; page++)
			total += m->state[page - base];
		CHECK(core_store_region_private(&m->store, r) == total);
	}
}

#endif
