// SPDX-License-Identifier: MIT
/*
 * host/region.c - which regions of a view are open
 *
 * THEORY OF OPERATION
 *
 * To private: regions that become private altogether are closed, the rest gets
 * markers.  A region emptied page by page stays open, marked throughout, until
 * another one of the view is emptied (`lazy`): one page that goes to and fro costs
 * markers only.  To shared: closed regions are opened with markers on
 * what stays private, in open ones the markers go.
 *
 * The budget bounds VMAs.  Closing is a matter of economy and is left out when it
 * would exceed the budget: denying never needs a VMA.  Opening beyond the budget
 * opens everything up to the nearest open region or the view's edge, which
 * joins VMAs instead of adding one, and marks the gap.
 */
#include "host/engine.h"

#include <linux/mman.h>

/* Widest gap that is filled with markers to save VMAs: 31 ns a page, 4 KiB of page table per region. */
#define FILL_REGIONS 4096ULL

struct rt_pages pages_and(struct rt_pages a, struct rt_pages b)
{
	u64 first = rt_max(a.first, b.first), end = rt_min(a.first + a.count, b.first + b.count);

	return (struct rt_pages){ first, end > first ? end - first : 0 };
}

struct rt_pages pages_after(struct rt_pages range, struct rt_pages run)
{
	u64 from = run.first + run.count;

	return (struct rt_pages){ from, range.first + range.count - from };
}

struct rt_pages view_pages(const struct host_view *v)
{
	struct rt_pages mapped = { v->off >> RT_PAGE_SHIFT, (v->end - v->start) >> RT_PAGE_SHIFT };

	return pages_and(mapped, (struct rt_pages){ 0, v->file->size >> RT_PAGE_SHIFT });
}

u64 view_regions(const struct host_view *v)
{
	return ((v->off + (v->end - v->start) - 1) >> REGION_SHIFT) - (v->off >> REGION_SHIFT) + 1;
}

u64 region_start(const struct host_view *v, u64 region)
{
	u64 into = v->off & (REGION_SIZE - 1), at;

	if (region == 0)
		return v->start;
	at = v->start + (region << REGION_SHIFT) - into;
	return rt_min(at, v->end);
}

struct rt_pages region_pages(const struct host_view *v, u64 first, u64 count)
{
	u64 region = (v->off >> REGION_SHIFT) + first;
	struct rt_pages pages = { region * CORE_REGION_PAGES, count * CORE_REGION_PAGES };

	return pages_and(pages, view_pages(v));
}

/* Region of the view in which a page lies. */
static u64 region_of(const struct host_view *v, u64 page)
{
	return page / CORE_REGION_PAGES - (v->off >> REGION_SHIFT);
}

bool region_is_open(const struct host_view *v, u64 region)
{
	return v->open[region / 64] >> (region % 64) & 1;
}

void region_bits_set(u64 *bits, u64 first, u64 count, bool open)
{
	while (count) {
		u64 bit = first % 64, n = rt_min(count, 64 - bit);
		u64 mask = (n == 64 ? ~0ULL : (1ULL << n) - 1) << bit;

		if (open)
			bits[first / 64] |= mask;
		else
			bits[first / 64] &= ~mask;
		first += n;
		count -= n;
	}
}

u64 region_run(const struct host_view *v, u64 region, u64 limit)
{
	u64 flip = region_is_open(v, region) ? ~0ULL : 0, n = 0;

	while (n < limit) {
		u64 at = region + n, word = (v->open[at / 64] ^ flip) >> (at % 64);
		u64 here = 64 - at % 64;

		if (word)
			return rt_min(limit, n + (u64)__builtin_ctzll(word));
		n += here;
	}
	return limit;
}

/* Changes of state from one region to the next in [first, last]. */
static u64 seams(const struct host_view *v, u64 first, u64 last)
{
	u64 n = 0;

	while (first < last) {
		first += region_run(v, first, last - first + 1);
		if (first <= last)
			n++;
	}
	return n;
}

u64 view_vmas(const struct host_view *v)
{
	return 1 + seams(v, 0, view_regions(v) - 1);
}

void region_set(struct host_view *v, u64 first, u64 count, bool open)
{
	u64 low = first ? first - 1 : 0, high = rt_min(first + count, view_regions(v) - 1);

	host_table.vmas -= seams(v, low, high);
	region_bits_set(v->open, first, count, open);
	host_table.vmas += seams(v, low, high);
}

/* VMAs that region_set(v, first, count, open) would add. */
static s64 vmas_added(const struct host_view *v, u64 first, u64 count, bool open)
{
	u64 last = first + count - 1;
	s64 added = 0;

	added -= (s64)seams(v, first ? first - 1 : 0, rt_min(last + 1, view_regions(v) - 1));
	added += first && region_is_open(v, first - 1) != open;
	added += last + 1 < view_regions(v) && region_is_open(v, last + 1) != open;
	return added;
}

static bool affordable(s64 added)
{
	return added <= 0 || host_table.vmas + (u64)added <= host_vma_budget();
}

struct rt_pages private_run(const struct host_view *v, struct rt_pages range, struct rt_pages allow)
{
	const struct core_store *store = &v->file->store;
	u64 page = range.first, end = range.first + range.count;

	while (page < end) {
		bool is_private;
		u64 run;

		if (page >= allow.first && page < allow.first + allow.count) {
			page = allow.first + allow.count;
			continue;
		}
		run = core_store_run(store, page, end - page, &is_private);
		if (allow.count && page < allow.first)
			run = rt_min(run, allow.first - page);
		if (is_private)
			return (struct rt_pages){ page, run };
		page += run;
	}
	return (struct rt_pages){ end, 0 };
}

struct rt_pages shared_run(const struct host_view *v, struct rt_pages range)
{
	u64 page = range.first, end = range.first + range.count;

	while (page < end) {
		bool is_private;
		u64 run = core_store_run(&v->file->store, page, end - page, &is_private);

		if (!is_private)
			return (struct rt_pages){ page, run };
		page += run;
	}
	return (struct rt_pages){ end, 0 };
}

void view_break(struct host_view *v)
{
	rt_syscall_raw(__NR_mprotect, (long)v->start, (long)(v->end - v->start), PROT_NONE, 0, 0, 0);
	table_set(v, v->prot, v->flags | VIEW_BROKEN);
}

/* Whether the region is private altogether once pages are. */
static bool will_be_empty(const struct host_view *v, u64 region, struct rt_pages pages)
{
	struct rt_pages all = region_pages(v, region, 1), cut = pages_and(all, pages), left, right;

	if (cut.count == all.count)
		return true;
	if (core_store_region_private(&v->file->store, all.first / CORE_REGION_PAGES) + cut.count < all.count)
		return false;
	left = (struct rt_pages){ all.first, cut.first - all.first };
	right = pages_after(all, cut);
	return (!left.count || core_store_uniform(&v->file->store, left, true)) &&
	       (!right.count || core_store_uniform(&v->file->store, right, true));
}

/* Close regions if that is affordable; false when they stay open. */
static bool try_close(struct host_view *v, u64 first, u64 count)
{
	if (!affordable(vmas_added(v, first, count, false)))
		return false;
	if (host_engine->close(v, first, count, false))
		return false;
	region_set(v, first, count, false);
	return true;
}

/* The region that was left open although empty, unless it is in use again. */
static void close_lazy(struct host_view *v)
{
	u64 region = v->lazy - 1;

	if (!v->lazy)
		return;
	v->lazy = 0;
	if (region_is_open(v, region) && core_store_uniform(&v->file->store, region_pages(v, region, 1), true))
		try_close(v, region, 1);
}

/* Mark what is shared of pages: HOST-3. */
static int mark_shared(struct host_view *v, struct rt_pages pages)
{
	struct rt_pages run;
	int ret = 0;

	for (run = shared_run(v, pages); run.count && !ret; run = shared_run(v, pages_after(pages, run)))
		ret = host_engine->mark(v, run);
	return ret;
}

/* pages lie in the open regions [first, first + count) and touch each of them. */
static int deny_open(struct host_view *v, u64 first, u64 count, struct rt_pages pages)
{
	u64 from = first, to = first + count;
	struct rt_pages left, right, closed;
	int ret;

	/* One page of a region that was all but private: see lazy, above. */
	if (count == 1 && pages.count < region_pages(v, first, 1).count) {
		if (will_be_empty(v, first, pages) && v->lazy != first + 1) {
			close_lazy(v);
			v->lazy = first + 1;
		}
		return mark_shared(v, pages);
	}
	if (!will_be_empty(v, from, pages))
		from++;
	if (from < to && !will_be_empty(v, to - 1, pages))
		to--;
	if (from >= to)
		return mark_shared(v, pages);
	closed = pages_and(region_pages(v, from, to - from), pages);
	left = (struct rt_pages){ pages.first, closed.first - pages.first };
	right = pages_after(pages, closed);
	ret = mark_shared(v, left);
	if (!ret)
		ret = mark_shared(v, right);
	if (!ret && !try_close(v, from, to - from))
		ret = mark_shared(v, closed);
	return ret;
}

int region_deny(struct host_view *v, struct rt_pages pages)
{
	u64 region, last;
	int ret = 0;

	if (!pages.count)
		return 0;
	last = region_of(v, pages.first + pages.count - 1);
	for (region = region_of(v, pages.first); region <= last && !ret;) {
		u64 run = region_run(v, region, last - region + 1);

		if (region_is_open(v, region))
			ret = deny_open(v, region, run, pages_and(region_pages(v, region, run), pages));
		region += run;
	}
	return ret;
}

/* Distance to the nearest open region before first (towards 0) or the view's edge. */
static u64 gap_before(const struct host_view *v, u64 first)
{
	u64 gap = 0;

	while (gap < first && gap <= FILL_REGIONS && !region_is_open(v, first - 1 - gap))
		gap++;
	return gap;
}

static u64 gap_after(const struct host_view *v, u64 end)
{
	u64 n = view_regions(v);

	return end < n && !region_is_open(v, end) ? region_run(v, end, n - end) : 0;
}

/* Open closed regions, and as many beside them as the budget demands. */
static int open_regions(struct host_view *v, u64 first, u64 count, struct rt_pages allow)
{
	int ret;

	if (!affordable(vmas_added(v, first, count, true))) {
		u64 before = gap_before(v, first), after = gap_after(v, first + count);

		if (rt_min(before, after) > FILL_REGIONS)
			return -ENOMEM;
		if (before <= after) {
			first -= before;
			count += before;
		} else {
			count += after;
		}
	}
	ret = host_engine->open(v, first, count, allow);
	if (!ret)
		region_set(v, first, count, true);
	return ret;
}

int region_allow(struct host_view *v, struct rt_pages pages)
{
	u64 region, last;
	int ret = 0;

	if (!pages.count)
		return 0;
	last = region_of(v, pages.first + pages.count - 1);
	for (region = region_of(v, pages.first); region <= last; region++) {
		u64 run = region_run(v, region, last - region + 1);

		if (!region_is_open(v, region))
			ret = open_regions(v, region, run, pages);
		if (ret) {
			region_allow_undo(v, (struct rt_pages){ pages.first,
								region_pages(v, region, 1).first - pages.first });
			return ret;
		}
		region += run - 1;
	}
	return 0;
}

void region_allow_finish(struct host_view *v, struct rt_pages pages)
{
	if (pages.count)
		host_engine->clear(v, pages);
}

/*
 * Regions of pages that are open and hold nothing but private pages were
 * either opened by region_allow(), so that pages is accessible in them, or
 * marked throughout: closing is right for both.
 */
void region_allow_undo(struct host_view *v, struct rt_pages pages)
{
	u64 region, last;

	if (!pages.count || (s64)pages.count < 0)
		return;
	last = region_of(v, pages.first + pages.count - 1);
	for (region = region_of(v, pages.first); region <= last; region++) {
		u64 run = 0;

		while (region + run <= last && region_is_open(v, region + run) &&
		       core_store_uniform(&v->file->store, region_pages(v, region + run, 1), true))
			run++;
		if (!run)
			continue;
		if (host_engine->close(v, region, run, true))
			view_break(v);
		else
			region_set(v, region, run, false);
		region += run - 1;
	}
}

/* Regions from region on that are private altogether, at most limit. */
static u64 private_regions(const struct host_view *v, u64 region, u64 limit)
{
	struct rt_pages pages = region_pages(v, region, limit);
	bool is_private;
	u64 run;

	if (!pages.count)
		return limit;
	run = core_store_run(&v->file->store, pages.first, pages.count, &is_private);
	if (!is_private)
		return 0;
	if (run == pages.count)
		return limit;
	return region_of(v, pages.first + run) - region;
}

/* The reverse: at least 1. */
static u64 other_regions(const struct host_view *v, u64 region, u64 limit)
{
	u64 n = 0;

	while (n < limit && !private_regions(v, region + n, 1)) {
		struct rt_pages pages = region_pages(v, region + n, limit - n);
		bool is_private;
		u64 run = core_store_run(&v->file->store, pages.first, pages.count, &is_private);

		if (!is_private && run == pages.count)
			return limit;
		n += is_private ? 1 : rt_max(1, region_of(v, pages.first + run) - (region + n));
	}
	return n ? n : 1;
}

int region_settle(struct host_view *v)
{
	u64 total = view_regions(v), region = 0;
	int ret = 0;

	while (region < total && !ret) {
		u64 run = private_regions(v, region, total - region);

		if (run) {
			region += run;
			continue;
		}
		run = other_regions(v, region, total - region);
		/* The budget may have opened some of them already, with the markers that they need. */
		for (u64 i = region, n; i < region + run && !ret; i += n) {
			n = region_run(v, i, region + run - i);
			if (!region_is_open(v, i))
				ret = open_regions(v, i, n, (struct rt_pages){ 0, 0 });
		}
		region += run;
	}
	return ret;
}
