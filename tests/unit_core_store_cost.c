// SPDX-License-Identifier: MIT
/*
 * tests/unit_core_store_cost.c - what the page state store does not read and does not write
 *
 * The parts of the window that a request has no business with are taken away
 * while it runs.  In a file of 1008 GiB the counts begin with a host page, and so do the bitmaps.
 */
#include <asm/errno.h>
#include <sys/mman.h>

#include "core/store_window.h"
#include "tests/tap.h"

#define PAGES	  (1008 * GIB_PAGES)
#define TAIL	  CORE_STORE_DENSE_PAGES
#define HOST_PAGE 4096UL

static struct core_store store;
static size_t window_size;

static void begin(u64 pages, bool is_private)
{
	void *window;

	window_size = core_store_window_size(pages);
	window = mmap(NULL, window_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (window == MAP_FAILED)
		skip_all("no address space for a window of %zu bytes", window_size);
	core_store_init(&store, window, pages, is_private);
}

static void end(void)
{
	munmap(store.window, window_size);
}

/* Everything from `at` on; a request that goes there dies of it. */
static void allow(size_t at, int prot)
{
	if (mprotect((char *)store.window + at, window_size - at, prot))
		abort();
}

static void set(u64 first, u64 count, bool is_private)
{
	struct rt_pages range = { first, count };

	if (core_store_reserve(&store, range, is_private))
		abort();
	core_store_set(&store, range, is_private);
}

static u64 run(u64 page)
{
	bool is_private;

	return core_store_run(&store, page, ~0ULL, &is_private);
}

/* A GiB that became uniform, by whatever pieces, is a tag. */
static void test_uniform_gib(bool is_private)
{
	struct layout l = layout_of(PAGES);

	begin(PAGES, !is_private);
	is(l.counts % HOST_PAGE, 0, "counts begin with a host page");
	for (u64 i = 0; i < CORE_REGION_PAGES; i++) /* 77 is odd: all pages of the region */
		set(5 * GIB_PAGES + i * 77 % CORE_REGION_PAGES, 1, is_private);
	for (u64 i = 1; i < GIB_REGIONS; i++)
		set(5 * GIB_PAGES + i * CORE_REGION_PAGES, CORE_REGION_PAGES, is_private);
	allow(l.counts, PROT_NONE);
	is(run(5 * GIB_PAGES), GIB_PAGES, "a GiB set page by page and region by region is one run, found without its counts");
	is(core_store_region_private(&store, 5 * GIB_REGIONS + 3), is_private ? 512 : 0, "so is the number of a region");
	set(5 * GIB_PAGES + 9, 100, is_private);
	set(7 * GIB_PAGES, 3 * GIB_PAGES, is_private);
	set(5 * GIB_PAGES, GIB_PAGES, !is_private);
	core_store_repair(&store, (struct rt_pages){ 0, PAGES });
	ok(run(0) == 7 * GIB_PAGES, "whole GiBs, and what has its state already, are set without counts");
	allow(l.counts, PROT_READ | PROT_WRITE);
	end();
}

static void test_uniform_region(bool is_private)
{
	struct layout l = layout_of(PAGES);
	const u64 page = 5 * GIB_PAGES + 7 * CORE_REGION_PAGES;

	begin(PAGES, !is_private);
	is(l.bitmap % HOST_PAGE, 0, "bitmaps begin with a host page");
	allow(l.bitmap, PROT_NONE);
	set(page, 3 * CORE_REGION_PAGES, is_private);
	is(run(page), 3 * CORE_REGION_PAGES, "regions are set and read without their bitmaps");
	ok(core_store_is_private(&store, page) == is_private && core_store_is_private(&store, page - 1) != is_private,
	   "single pages too");
	set(page + 70, 100, is_private);
	core_store_repair(&store, (struct rt_pages){ page, 600 });
	is(run(page), 3 * CORE_REGION_PAGES, "and a part that has its state already, and a repair");
	allow(l.bitmap, PROT_READ | PROT_WRITE);
	set(page + 5, 1, !is_private);
	allow(l.bitmap, PROT_NONE);
	is(core_store_region_private(&store, 5 * GIB_REGIONS + 7), is_private ? 511 : 1,
	   "a mixed region's number is its count, whatever its bitmap");
	allow(l.bitmap, PROT_READ | PROT_WRITE);
	end();
}

/* Setting what is set writes nothing: no page gets dirty, no line of the cache moves. */
static void test_nothing_new(bool is_private)
{
	const u64 page = 5 * GIB_PAGES + 7 * CORE_REGION_PAGES;

	begin(TAIL + 5000, !is_private);
	set(page, CORE_REGION_PAGES, is_private);
	set(page + 600, 100, is_private);
	set(TAIL + 100, 50, is_private);
	allow(0, PROT_READ);
	set(page, 1, is_private);
	set(page, CORE_REGION_PAGES, is_private);
	set(page + 600, 1, is_private);
	set(page + 600, 100, is_private);
	set(page + 512, 88, !is_private);
	set(page + 2048, 4096, !is_private);
	set(9 * GIB_PAGES, GIB_PAGES, !is_private);
	set(9 * GIB_PAGES + 1, 1, !is_private);
	set(TAIL + 100, 50, is_private);
	set(TAIL + 120, 7, is_private);
	set(TAIL, 100, !is_private);
	set(TAIL + 150, 4850, !is_private);
	core_store_repair(&store, (struct rt_pages){ 0, TAIL + 5000 });
	ok(run(page) == CORE_REGION_PAGES && run(page + 600) == 100 && run(TAIL + 100) == 50,
	   "setting what is %s already writes nothing", is_private ? "private" : "shared");
	allow(0, PROT_READ | PROT_WRITE);
	end();
}

/* What comes behind the last GiB's tag is no tag. */
static void test_end_of_dense(void)
{
	for (int is_private = 0; is_private < 2; is_private++) {
		begin(TAIL + 4 * GIB_PAGES, is_private);
		set(TAIL, 1, !is_private);
		is(run(0), TAIL, "a run through all of the tags ends where the tail differs");
		is(run(TAIL - 1), 1, "and one from the last page before it");
		is(run(TAIL - GIB_PAGES), GIB_PAGES, "and one of the last GiB");
		end();
	}
	begin(TAIL + 4 * GIB_PAGES, false);
	set(0, TAG_MIXED, true); /* the first count, as a tag */
	set(TAIL, 5, true);
	is(core_store_region_private(&store, TAIL / CORE_REGION_PAGES), 5, "the tail's first region has no tag either");
	end();
}

/* A repair looks at the GiBs that its range meets, and at no other. */
static void test_repair_range(void)
{
	begin(4 * GIB_PAGES, false);
	for (u64 gib = 0; gib < 4; gib++) {
		set(gib * GIB_PAGES + 9, 5, true);
		*count_at(&store, gib * GIB_REGIONS) = 77;
	}
	core_store_repair(&store, (struct rt_pages){ 2 * GIB_PAGES - 1, 2 });
	is(core_store_region_private(&store, 0), 77, "the GiB before the range is left alone");
	is(core_store_region_private(&store, GIB_REGIONS), 5, "the GiB of its last page is repaired");
	is(core_store_region_private(&store, 2 * GIB_REGIONS), 5, "so is that of its first page");
	is(core_store_region_private(&store, 3 * GIB_REGIONS), 77, "the GiB behind the range is left alone");
	core_store_repair(&store, (struct rt_pages){ 3 * GIB_PAGES, 0 });
	is(core_store_region_private(&store, 3 * GIB_REGIONS), 77, "no pages, no repair");
	bitmap_at(&store, 0)[0] = bitmap_at(&store, GIB_REGIONS)[0] = 0;
	core_store_repair(&store, (struct rt_pages){ 0, GIB_PAGES + 1 });
	is(run(0), 2 * GIB_PAGES + 9, "a GiB whose last private page was gone is shared");
	ok(*tag_at(&store, 0) == TAG_SHARED && *tag_at(&store, 1) == TAG_SHARED, "as a tag");
	end();
}

/* All of the list is used. */
static void test_full_tail(void)
{
	struct rt_pages one = { TAIL + 2 * TAIL_FLIPS + 10, 1 };

	begin(TAIL + GIB_PAGES, false);
	for (u64 i = 0; i + 1 < TAIL_FLIPS; i += 2)
		set(TAIL + 2 * i + 1, 1, true);
	is(core_store_reserve(&store, one, true), -ENOMEM, "two flips where there is room for one");
	set(TAIL + GIB_PAGES - 1, 1, true);
	is(tail_at(&store, header_of(&store)->tail_generation)->nr, TAIL_FLIPS, "one is put there");
	is(core_store_reserve(&store, (struct rt_pages){ TAIL + GIB_PAGES - 2, 1 }, true), 0, "moving it needs no other");
	ok(core_store_is_private(&store, TAIL + GIB_PAGES - 1) && run(TAIL + GIB_PAGES - 1) == 1, "the last one counts");
	end();
}

int main(void)
{
	for (int is_private = 0; is_private < 2; is_private++) {
		test_uniform_gib(is_private);
		test_uniform_region(is_private);
		test_nothing_new(is_private);
	}
	test_end_of_dense();
	test_repair_range();
	test_full_tail();
	return done_testing();
}
