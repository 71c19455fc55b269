// SPDX-License-Identifier: MIT
/*
 * tests/unit_core_store_gibs.c - runs over whole GiBs: every pattern of four of them and a rest, from either beginning
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "core/store.h"
#include "tests/tap.h"

#define GIB   (1ULL << 18)
#define GIBS  4
#define PAGES (GIBS * GIB + 77)

/* Bit GIBS is the state of the rest. */
static u64 expected_run(unsigned pattern, u64 page, u64 limit)
{
	u64 at = page, stop = limit < PAGES - page ? page + limit : PAGES;
	unsigned state = pattern >> page / GIB & 1;

	while (at < stop && (pattern >> at / GIB & 1) == state)
		at = (at / GIB + 1) * GIB;
	return (at < stop ? at : stop) - page;
}

static unsigned count_wrong(const struct core_store *store, unsigned pattern)
{
	static const u64 limits[] = { 1, 77, GIB - 1, GIB, GIB + 1, 2 * GIB, 3 * GIB + 5, ~0ULL };
	static const u64 offsets[] = { 0, 1, GIB - 1 };
	unsigned wrong = 0;

	for (u64 gib = 0; gib <= GIBS; gib++)
		for (unsigned o = 0; o < RT_ARRAY_SIZE(offsets) && gib * GIB + offsets[o] < PAGES; o++)
			for (unsigned l = 0; l < RT_ARRAY_SIZE(limits); l++) {
				u64 page = gib * GIB + offsets[o];
				bool is_private;

				wrong += core_store_run(store, page, limits[l], &is_private) != expected_run(pattern, page, limits[l]);
				wrong += is_private != (pattern >> gib & 1);
			}
	return wrong;
}

int main(void)
{
	size_t size = core_store_window_size(PAGES);

	for (unsigned initial = 0; initial < 2; initial++)
		for (unsigned pattern = 0; pattern < 2 << GIBS; pattern++) {
			void *window = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			struct core_store store;

			if (window == MAP_FAILED)
				abort();
			core_store_init(&store, window, PAGES, initial);
			for (u64 gib = 0; gib <= GIBS; gib++)
				core_store_set(&store, (struct rt_pages){ gib * GIB, gib < GIBS ? GIB : PAGES - gib * GIB },
					       pattern >> gib & 1);
			is(count_wrong(&store, pattern), 0, "pattern %#x of a file that began %s", pattern,
			   initial ? "private" : "shared");
			munmap(window, size);
		}
	{
		struct core_store store = { .pages = PAGES };

		ok(core_store_uniform(&store, (struct rt_pages){ 5, 0 }, true) &&
		   core_store_uniform(&store, (struct rt_pages){ 5, 0 }, false), "no page has either state, and is not looked for");
	}
	return done_testing();
}
