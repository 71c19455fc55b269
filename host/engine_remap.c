// SPDX-License-Identifier: MIT
/*
 * host/engine_remap.c - engine "remap": no markers, pages are mapped and unmapped
 *
 * THEORY OF OPERATION
 *
 * For kernels with neither poison nor guard markers.  Private pages map the
 * empty file, shared ones the backing: two VMAs per run of pages.  A region (the bit
 * `open`) is either
 *
 *   exact   its mapping follows the states, page by page
 *   served  it maps the empty file throughout because exactness would exceed the
 *	     budget; its shared pages are mapped one by one as they are touched,
 *	     at most CACHE_SLOTS at a time in the process, the oldest goes first
 *
 * A touch of a shared page in a served region raises SIGBUS, which host_fault()
 * answers with HOST_FAULT_RETRY; a system call gets EFAULT, and host_fault_fixup()
 * maps the pages before it is tried again.
 *
 * RM-1  A conversion that would exceed the budget makes its regions served,
 *	 which takes VMAs away: it never fails for the budget.
 * RM-2  A cached page is unmapped before its state becomes private.
 */
#include <linux/mman.h>

#include "host/engine.h"
#include "rt/string.h"

#define CACHE_SLOTS 128

static u64 cache[CACHE_SLOTS]; /* addresses of pages, 0 when free */
static unsigned cache_next, cache_used;
/* VMAs beyond those that the table counts: seams between runs in exact regions, an estimate. */
static s64 extra;

/* Also in a forked child, which inherits no mapping. */
static int remap_init(void)
{
	memset(cache, 0, sizeof(cache));
	cache_used = cache_next = 0;
	extra = 0;
	return 0;
}

static void remap_fini(void)
{
}

static bool affordable(s64 added)
{
	s64 cached = 2 * (s64)cache_used;

	return added <= 0 || (s64)host_table.vmas + extra + cached + added <= (s64)host_vma_budget();
}

/* Seams between runs of equal state in pages. */
static s64 state_seams(const struct host_view *v, struct rt_pages pages)
{
	u64 page = pages.first, end = pages.first + pages.count;
	bool is_private;
	s64 n = -1;

	for (; page < end; n++)
		page += core_store_run(&v->file->store, page, end - page, &is_private);
	return n > 0 ? n : 0;
}

/* Whether a seam lies between a page, if v has it, and one of that state beside it. */
static s64 edge(const struct host_view *v, u64 page, bool is_private)
{
	if (!pages_and(view_pages(v), (struct rt_pages){ page, 1 }).count)
		return 0;
	return core_store_is_private(&v->file->store, page) != is_private;
}

/* VMAs that giving pages one state adds. */
static s64 seams_added(const struct host_view *v, struct rt_pages pages, bool is_private)
{
	struct rt_pages wide = { pages.first ? pages.first - 1 : 0, pages.count + 1 + (pages.first != 0) };
	s64 before = state_seams(v, pages_and(wide, view_pages(v)));

	return edge(v, pages.first - 1, is_private) + edge(v, pages.first + pages.count, is_private) - before;
}

static struct rt_pages exact_part(const struct host_view *v, u64 region, u64 count, struct rt_pages pages)
{
	return pages_and(region_pages(v, region, count), pages);
}

static int place(struct host_view *v, struct rt_pages pages, bool backing, bool sure)
{
	return eg_place(v, view_addr(v, pages.first), pages.count << RT_PAGE_SHIFT, backing, sure);
}

/* Unmap what is cached in [start, end): RM-2. */
static int cache_drop(struct host_view *v, u64 start, u64 end, bool sure)
{
	for (unsigned i = 0; i < CACHE_SLOTS && cache_used; i++) {
		int ret;

		if (!cache[i] || cache[i] < start || cache[i] >= end)
			continue;
		ret = eg_place(v, cache[i], RT_PAGE_SIZE, false, sure);
		if (ret)
			return ret;
		cache[i] = 0;
		cache_used--;
	}
	return 0;
}

static int drop_pages(struct host_view *v, struct rt_pages pages, bool sure)
{
	u64 start = view_addr(v, pages.first);

	return cache_drop(v, start, start + (pages.count << RT_PAGE_SHIFT), sure);
}

/* The regions map the empty file throughout. */
static int make_served(struct host_view *v, u64 region, u64 count)
{
	struct rt_pages pages = region_pages(v, region, count);
	int ret = place(v, pages, false, false);

	if (ret)
		return ret;
	extra -= state_seams(v, pages);
	region_set(v, region, count, false);
	return 0;
}

/* Call for each run of equal regions of pages; exact tells which kind it is. */
typedef int (*run_op)(struct host_view *v, u64 region, u64 count, bool exact, struct rt_pages part);

static int for_runs(struct host_view *v, struct rt_pages pages, run_op op)
{
	u64 base = v->off >> REGION_SHIFT, region, last;
	int ret = 0;

	if (!pages.count)
		return 0;
	last = (pages.first + pages.count - 1) / CORE_REGION_PAGES - base;
	for (region = pages.first / CORE_REGION_PAGES - base; region <= last && !ret;) {
		u64 run = region_run(v, region, last - region + 1);

		ret = op(v, region, run, region_is_open(v, region), exact_part(v, region, run, pages));
		region += run;
	}
	return ret;
}

static int deny_run(struct host_view *v, u64 region, u64 count, bool exact, struct rt_pages part)
{
	s64 added = seams_added(v, part, true);
	int ret;

	if (!exact)
		return drop_pages(v, part, false);
	if (!affordable(added))
		return make_served(v, region, count);
	ret = place(v, part, false, false);
	if (!ret)
		extra += added;
	return ret;
}

static int remap_deny(struct host_view *v, struct rt_pages pages)
{
	return for_runs(v, pages, deny_run);
}

static int allow_run(struct host_view *v, u64 region, u64 count, bool exact, struct rt_pages part)
{
	s64 added = seams_added(v, part, false);
	bool whole = part.count == region_pages(v, region, count).count;
	int ret;

	if (!affordable(added))
		return exact ? make_served(v, region, count) : 0;
	if (!exact && !whole)
		return 0;
	if (!exact)
		drop_pages(v, part, true);
	ret = place(v, part, true, false);
	if (ret)
		return ret;
	if (!exact)
		region_set(v, region, count, true);
	extra += added;
	return 0;
}

static int undo_run(struct host_view *v, u64 region, u64 count, bool exact, struct rt_pages part)
{
	if (!exact)
		drop_pages(v, part, true);
	else if (place(v, part, false, true))
		view_break(v);
	return 0;
}

/* The states are still the old ones: what they call private maps the empty file again. */
static void remap_allow_undo(struct host_view *v, struct rt_pages pages)
{
	struct rt_pages run, none = { 0, 0 };

	for (run = private_run(v, pages, none); run.count; run = private_run(v, pages_after(pages, run), none))
		for_runs(v, run, undo_run);
}

static int remap_allow(struct host_view *v, struct rt_pages pages)
{
	int ret = for_runs(v, pages, allow_run);

	if (ret)
		remap_allow_undo(v, pages);
	return ret;
}

static void remap_allow_finish(struct host_view *v, struct rt_pages pages)
{
}

static int remap_settle(struct host_view *v)
{
	struct rt_pages pages = view_pages(v), run;
	int ret = 0;

	/* The empty file everywhere is exact where all is private. */
	region_set(v, 0, view_regions(v), true);
	for (run = shared_run(v, pages); run.count && !ret; run = shared_run(v, pages_after(pages, run)))
		ret = for_runs(v, run, allow_run);
	return ret;
}

static bool remap_serve(struct host_view *v, u64 page)
{
	u64 region, addr, *slot = cache + cache_next % CACHE_SLOTS;

	if (page >= v->file->size >> RT_PAGE_SHIFT || core_store_is_private(&v->file->store, page))
		return false;
	region = page / CORE_REGION_PAGES - (v->off >> REGION_SHIFT);
	addr = view_addr(v, page);
	if (region_is_open(v, region))
		return false;
	for (unsigned i = 0; i < CACHE_SLOTS; i++)
		if (cache[i] == addr)
			return true; /* another thread was quicker */
	if (*slot) {
		u64 at = table_find(*slot);

		if (cache_drop(host_table.views + at, *slot, *slot + 1, true))
			return false;
	}
	if (eg_place(v, addr, RT_PAGE_SIZE, true, true))
		return false;
	*slot = addr;
	cache_next++;
	cache_used++;
	return true;
}

static void remap_forget(struct host_view *v)
{
	for (unsigned i = 0; i < CACHE_SLOTS; i++) {
		if (cache[i] >= v->start && cache[i] < v->end) {
			cache[i] = 0;
			cache_used--;
		}
	}
	for (u64 i = 0, n = view_regions(v), run; i < n; i += run) {
		run = region_run(v, i, n - i);
		if (region_is_open(v, i) && region_pages(v, i, run).count)
			extra -= state_seams(v, region_pages(v, i, run));
	}
	if (extra < 0 || host_table.count <= 1)
		extra = 0;
}

const struct host_engine host_engine_remap = {
	.name = "remap",
	.serves = true,
	.init = remap_init,
	.fini = remap_fini,
	.map = eg_map,
	.expose = eg_expose,
	.deny = remap_deny,
	.allow = remap_allow,
	.allow_finish = remap_allow_finish,
	.allow_undo = remap_allow_undo,
	.settle = remap_settle,
	.serve = remap_serve,
	.forget = remap_forget,
};
