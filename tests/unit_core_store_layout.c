// SPDX-License-Identifier: MIT
/*
 * tests/unit_core_store_layout.c - the parts of a store's window do not meet
 *
 * Each part begins at a multiple of 64 bytes behind the one before: for most sizes of a file there is room to
 * spare, in which an entry too few would go unnoticed.  Here are the sizes without: one page more than fills a part to
 * its last byte, and a window that ends where nothing is.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "core/store_window.h"
#include "tests/tap.h"

#define PG 4096ULL

/* A window of exactly as many bytes, in front of a page that cannot be touched. */
static char *window_of(size_t size, char **area, size_t *area_size)
{
	*area_size = rt_align_up(size, PG) + PG;
	*area = mmap(NULL, *area_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (*area == MAP_FAILED || mprotect(*area + *area_size - PG, PG, PROT_NONE))
		abort();
	return *area + *area_size - PG - size;
}

/* Of each region the first and the last page: none is private but the file's first and last, as they should be. */
static unsigned count_wrong(const struct core_store *store, u64 pages, bool has_first, bool has_last)
{
	unsigned wrong = 0;

	for (u64 at = 0; at < pages; at += CORE_REGION_PAGES) {
		u64 end = rt_min(at + CORE_REGION_PAGES, pages) - 1;

		wrong += core_store_is_private(store, at) != ((has_first && at == 0) || (has_last && at == pages - 1));
		wrong += core_store_is_private(store, end) != ((has_first && end == 0) || (has_last && end == pages - 1));
	}
	return wrong;
}

static void test_file(u64 pages, const char *what)
{
	size_t area_size, size = core_store_window_size(pages);
	struct core_store store;
	char *area, *window = window_of(size, &area, &area_size);

	core_store_init(&store, window, pages, false);
	core_store_set(&store, (struct rt_pages){ pages - 1, 1 }, true);
	is(count_wrong(&store, pages, false, true), 0, "%s: the last page is private, and no other", what);
	core_store_set(&store, (struct rt_pages){ 0, 1 }, true);
	is(count_wrong(&store, pages, true, true), 0, "%s: so is the first", what);
	core_store_set(&store, (struct rt_pages){ pages - 1, 1 }, false);
	is(count_wrong(&store, pages, pages > 1, false), 0, "%s: and then without the last", what);
	munmap(area, area_size);
}

/* Sizes without a byte to spare. */
static void test_sizes(void)
{
	/* 64 bytes of header, 64 with the one tag, 128 with 60 counters, 64 of bits for each region. */
	is(core_store_window_size(60 * CORE_REGION_PAGES), PG, "60 regions fill a page");
	is(core_store_window_size(60 * CORE_REGION_PAGES + 1), 2 * PG, "one page more is in the next");
	is(core_store_window_size(CORE_STORE_DENSE_PAGES + 1) - core_store_window_size(CORE_STORE_DENSE_PAGES),
	   2 * sizeof(struct tail_list), "what lies above 16 TiB takes two lists");
}

int main(void)
{
	const u64 tags = 64 / sizeof(u32), counts = 64 / sizeof(u16);

	test_file(tags * GIB_PAGES + 1, "a tag more than fills a line");
	test_file(counts * CORE_REGION_PAGES + 1, "a counter more than fills a line");
	test_file(1, "one page");
	test_file(CORE_REGION_PAGES + 1, "a page in a region of its own");
	test_sizes();
	return done_testing();
}
