// SPDX-License-Identifier: MIT
/*
 * tests/unit_store.c - the page state store: answers, costs, limits (random sequences: harness_store.c)
 */
#include <asm/errno.h>
#include <string.h>
#include <sys/mman.h>

#include "core/store.h"
#include "tests/tap.h"

#define GIB	   (1ULL << 18)
#define HUGE_PAGES (1ULL << 50) /* a file of 1 << 62 bytes */
#define MAX_PAGES  ((1ULL << 51) - 1) /* of 2^63 - 4096 bytes, the largest there is */
#define HOST_PAGE  4096UL

/* A store in shared memory, where mincore() tells which pages of the window have ever been touched. */
static size_t window_size;

static void store_new(struct core_store *store, u64 pages, bool is_private)
{
	void *window;

	window_size = core_store_window_size(pages);
	window = mmap(NULL, window_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (window == MAP_FAILED)
		skip_all("no address space for a window of %zu bytes", window_size);
	core_store_init(store, window, pages, is_private);
}

static void store_free(struct core_store *store)
{
	munmap(store->window, window_size);
}

static unsigned long touched(const struct core_store *store)
{
	size_t pages = window_size / HOST_PAGE;
	unsigned char *vec = malloc(pages);
	unsigned long n = 0;

	if (!vec || mincore(store->window, window_size, vec))
		skip_all("mincore does not work");
	for (size_t i = 0; i < pages; i++)
		n += vec[i] & 1;
	free(vec);
	return n;
}

static void set(struct core_store *store, u64 first, u64 count, bool is_private)
{
	struct rt_pages range = { first, count };

	if (!core_store_reserve(store, range, is_private))
		core_store_set(store, range, is_private);
}

static bool uniform(const struct core_store *store, u64 first, u64 count, bool is_private)
{
	return core_store_uniform(store, (struct rt_pages){ first, count }, is_private);
}

static u64 run(const struct core_store *store, u64 page, u64 limit)
{
	bool is_private;

	return core_store_run(store, page, limit, &is_private);
}

static void test_initial(void)
{
	struct core_store s;

	store_new(&s, MAX_PAGES, true);
	ok(touched(&s) <= 1, "a new private file of 2^63 - 4096 bytes touches one page at most");
	ok(uniform(&s, 0, MAX_PAGES, true), "all of it is private");
	ok(!uniform(&s, 0, MAX_PAGES, false), "and not shared");
	ok(core_store_is_private(&s, MAX_PAGES - 1), "its last page too");
	is(run(&s, 0, ~0ULL), MAX_PAGES, "one run, to the end whatever the limit");
	is(core_store_region_private(&s, (MAX_PAGES - 1) / CORE_REGION_PAGES), 511, "the last region has 511 pages");
	ok(touched(&s) <= 18, "having asked has touched the tags only (and one list)");
	store_free(&s);

	store_new(&s, MAX_PAGES, false);
	is(touched(&s), 0, "a new shared file of 2^63 - 4096 bytes touches nothing");
	ok(uniform(&s, 0, MAX_PAGES, false), "all of it is shared");
	is(core_store_region_private(&s, 0), 0, "no page of a region is private");
	store_free(&s);
}

static void test_small_windows(void)
{
	is(core_store_window_size(1), HOST_PAGE, "a file of one page has a window of one page");
	is(core_store_window_size(16 << 8), HOST_PAGE, "so has one of 16 MiB");
	ok(core_store_window_size(GIB) <= 9 * HOST_PAGE + HOST_PAGE, "a GiB needs 40 KiB at most");
	ok(core_store_window_size(MAX_PAGES) < 600UL << 20, "the largest file needs less than 600 MiB of address space");
}

static void test_cost_of_uniform(void)
{
	struct core_store s;
	unsigned long before;

	store_new(&s, HUGE_PAGES, true);
	set(&s, 0, HUGE_PAGES, true);
	ok(touched(&s) <= 18, "setting what is set touches tags only");
	set(&s, 0, HUGE_PAGES, false);
	/* 16384 tags of four bytes, the header, a tail list of two pages at its beginning. */
	ok(touched(&s) <= 20, "all of 1 << 62 bytes to shared: %lu pages of the window", touched(&s));
	ok(uniform(&s, 0, HUGE_PAGES, false), "and shared it is");
	before = touched(&s);
	set(&s, 0, HUGE_PAGES, true);
	set(&s, 5 * GIB, 4096 * GIB, false);
	is(touched(&s), before, "whole GiB cost their tags, which are there already");
	set(&s, 4 * GIB + 512, 100, true);
	is(touched(&s), before, "setting a part to what it is costs nothing");
	ok(uniform(&s, 5 * GIB, 4096 * GIB, false), "4 TiB are shared");
	is(run(&s, 5 * GIB, HUGE_PAGES), 4096 * GIB, "as one run");
	ok(core_store_is_private(&s, 5 * GIB - 1) && core_store_is_private(&s, 4101 * GIB), "their neighbours are not");
	store_free(&s);
}

static void test_cost_of_mixed(void)
{
	struct core_store s;
	unsigned long before;

	store_new(&s, 1024 * GIB, true);
	ok(uniform(&s, 0, 1024 * GIB, true), "a private TiB");
	before = touched(&s);
	set(&s, 700 * GIB + 77, 1, false);
	ok(touched(&s) <= before + 3, "one shared page in a TiB: tag, counts of its GiB, one bitmap");
	is(core_store_region_private(&s, 700 * 512), 511, "its region has 511 private pages");
	is(run(&s, 0, 1024 * GIB), 700 * GIB + 77, "the run before it");
	is(run(&s, 700 * GIB + 77, 9), 1, "the run that it is");
	is(run(&s, 700 * GIB + 78, 1024 * GIB), 324 * GIB - 78, "the run after it");
	before = touched(&s);
	set(&s, 800 * GIB + 1, 200 * GIB - 2, false);
	ok(touched(&s) <= before + 6, "200 GiB with ragged ends cost two expansions");
	ok(uniform(&s, 800 * GIB + 1, 200 * GIB - 2, false) && core_store_is_private(&s, 800 * GIB) &&
		   core_store_is_private(&s, 1000 * GIB - 1),
	   "exactly that range is shared");
	set(&s, 0, 1024 * GIB, true);
	ok(uniform(&s, 0, 1024 * GIB, true), "all private again");
	is(core_store_region_private(&s, 700 * 512), 512, "and the region with it, whatever its counter was");
	set(&s, 700 * GIB + 512, 512, false);
	ok(core_store_is_private(&s, 700 * GIB + 77), "what the bitmap said before does not come back");
	store_free(&s);
}

static void test_collapse(void)
{
	struct core_store s;

	store_new(&s, 2 * GIB, false);
	for (u64 i = 0; i < 512; i++)
		set(&s, GIB + (i * 77) % 512, 1, true);
	is(core_store_region_private(&s, 512), 512, "512 single pages make a region private");
	ok(uniform(&s, GIB, 512, true), "which is uniform");
	for (u64 i = 1; i < 512; i++)
		set(&s, GIB + i * 512, 512, true);
	ok(uniform(&s, GIB, GIB, true) && uniform(&s, 0, GIB, false), "512 regions make a GiB");
	set(&s, GIB, GIB - 1, false);
	is(core_store_region_private(&s, 1023), 1, "one page stays");
	set(&s, 2 * GIB - 1, 1, false);
	ok(uniform(&s, 0, 2 * GIB, false), "then the file is shared");
	store_free(&s);
}

static void test_ragged_end(void)
{
	struct core_store s;
	u64 pages = GIB + 3 * 512 + 10;

	store_new(&s, pages, true);
	is(core_store_region_private(&s, 515), 10, "a last region of ten pages");
	set(&s, pages - 1, 1, false);
	is(core_store_region_private(&s, 515), 9, "one shared");
	ok(!uniform(&s, pages - 10, 10, true), "not uniform");
	set(&s, pages - 1, 1, true);
	ok(uniform(&s, 0, pages, true), "private again");
	set(&s, pages - 10, 10, false);
	is(run(&s, GIB, pages), 3 * 512, "the whole last region shared");
	is(run(&s, pages - 10, 100), 10, "its run ends with the file");
	set(&s, GIB, 3 * 512, false);
	ok(uniform(&s, GIB, 3 * 512 + 10, false) && core_store_is_private(&s, GIB - 1), "a short last GiB becomes uniform");
	store_free(&s);
}

static void test_beyond_dense(void)
{
	struct core_store s;
	u64 edge = CORE_STORE_DENSE_PAGES;

	store_new(&s, HUGE_PAGES, true);
	set(&s, edge - 5, 10, false);
	is(run(&s, edge - 5, 100), 10, "a run across 16 TiB");
	is(run(&s, edge + 5, HUGE_PAGES), HUGE_PAGES - edge - 5, "the run after it");
	is(core_store_region_private(&s, edge / 512 - 1), 507, "the region before the edge");
	is(core_store_region_private(&s, edge / 512), 507, "the region after it");
	set(&s, 1ULL << 40, 1, false);
	ok(!core_store_is_private(&s, 1ULL << 40) && core_store_is_private(&s, (1ULL << 40) + 1), "one page at 4 PiB");
	set(&s, edge, HUGE_PAGES - edge, true);
	ok(uniform(&s, edge, HUGE_PAGES - edge, true), "the tail is uniform again");
	is(run(&s, edge - 5, 100), 5, "the dense part kept its state");
	store_free(&s);
}

static void test_tail_capacity(void)
{
	struct core_store s;
	u64 base = CORE_STORE_DENSE_PAGES, n = 0;
	struct rt_pages next;

	store_new(&s, HUGE_PAGES, false);
	for (;; n++) {
		next = (struct rt_pages){ base + 2 * n, 1 };
		if (core_store_reserve(&s, next, true))
			break;
		core_store_set(&s, next, true);
	}
	is(core_store_reserve(&s, next, true), -ENOMEM, "the list of runs is full after %llu single pages",
	   (unsigned long long)n);
	ok(n >= 2000, "not before 2000");
	ok(!core_store_is_private(&s, next.first) && core_store_is_private(&s, next.first - 2), "nothing has changed");
	is(core_store_reserve(&s, next, false), 0, "what needs no run is still possible");
	is(core_store_reserve(&s, (struct rt_pages){ 0, base }, true), 0, "so is the dense part");
	is(core_store_reserve(&s, (struct rt_pages){ base, 2 * n }, true), 0, "and what merges runs");
	set(&s, base, 2 * n, true);
	is(run(&s, base, HUGE_PAGES), 2 * n, "to one run");
	is(core_store_reserve(&s, next, false), 0, "then there is room again");
	store_free(&s);
}

static void test_attach(void)
{
	struct core_store s, other;

	store_new(&s, 3 * GIB, true);
	core_store_attach(&other, s.window, 3 * GIB);
	ok(uniform(&other, 0, 3 * GIB, true), "who attaches sees the initial state");
	set(&s, 1000, 50, false);
	is(run(&other, 1000, 100), 50, "and what was set");
	store_free(&s);
}

/* S5: a writer that died between a bitmap and the sums above it. */
static void test_repair(void)
{
	struct core_store s;
	struct rt_pages all = { 0, GIB };
	u64 *words;

	store_new(&s, GIB, false);
	set(&s, 3, 1, true);
	/* The bitmap's first word is the only 64-bit word of the window with exactly this bit. */
	for (words = s.window; words[0] != 1ULL << 3 || words[1]; words++)
		;
	words[0] |= 0xff00;
	is(run(&s, 8, 100), 8, "pages whose bit was stored have the new state");
	core_store_repair(&s, all);
	is(core_store_region_private(&s, 0), 9, "nine pages are private");
	set(&s, 8, 8, false);
	set(&s, 3, 1, false);
	ok(uniform(&s, 0, GIB, false), "the sums are true: the GiB becomes uniform with its last private page");
	store_free(&s);
}

int main(void)
{
	test_initial();
	test_small_windows();
	test_cost_of_uniform();
	test_cost_of_mixed();
	test_collapse();
	test_ragged_end();
	test_beyond_dense();
	test_tail_capacity();
	test_attach();
	test_repair();
	return done_testing();
}
