// SPDX-License-Identifier: MIT
/*
 * core/store.c - private or shared, for every page of a file: the lock-free readers (theory: store_window.h)
 */
#include "core/store_window.h"

size_t core_store_window_size(u64 pages)
{
	return rt_align_up(layout_of(pages).end, RT_PAGE_SIZE);
}

void core_store_attach(struct core_store *store, void *window, u64 pages)
{
	store->window = window;
	store->pages = pages;
}

void core_store_init(struct core_store *store, void *window, u64 pages, bool is_private)
{
	struct store_header *header = window;

	core_store_attach(store, window, pages);
	if (is_private)
		__atomic_store_n(&header->initial_private, 1, __ATOMIC_RELEASE);
}

/* State of a page of the tail, and in *end where its run ends (S6). */
static bool tail_state(const struct core_store *store, u64 page, u64 *end)
{
	const struct store_header *header = header_of(store);
	const struct tail_list *list;
	u32 generation = __atomic_load_n(&header->tail_generation, __ATOMIC_ACQUIRE), before;
	u64 nr, below;

	do {
		before = generation;
		list = tail_at(store, generation);
		nr = rt_min(__atomic_load_n(&list->nr, __ATOMIC_RELAXED), TAIL_FLIPS);
		below = flips_up_to(list, nr, page);
		*end = below < nr ? __atomic_load_n(&list->flips[below], __ATOMIC_RELAXED) : store->pages;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		generation = __atomic_load_n(&header->tail_generation, __ATOMIC_ACQUIRE);
	} while (generation != before);
	return initial_private(store) ^ (below & 1);
}

/* State of a page of a mixed region, and in *end where the run ends, at the latest with its bitmap word. */
static bool word_state(const struct core_store *store, u64 page, u64 *end)
{
	const u64 *words = bitmap_at(store, page / CORE_REGION_PAGES);
	u64 word = __atomic_load_n(&words[page % CORE_REGION_PAGES / WORD_PAGES], __ATOMIC_ACQUIRE) >> (page % WORD_PAGES);
	bool is_private = word & 1;
	u64 left = WORD_PAGES - page % WORD_PAGES;
	u64 differ = is_private ? ~word : word;

	*end = page + (differ ? rt_min((u64)__builtin_ctzll(differ), left) : left);
	return is_private;
}

/* First GiB at or after gib that is not uniform in this state, or begins at page `stop` or behind. */
static u64 skip_uniform_gibs(const struct core_store *store, u64 gib, u64 stop, bool is_private)
{
	const u32 *tags = tag_at(store, 0);
	u32 wanted = is_private ? TAG_PRIVATE : TAG_SHARED;
	u32 initial = initial_private(store) == is_private ? TAG_INITIAL : wanted;

	for (; gib * GIB_PAGES < stop; gib++) {
		u32 tag = __atomic_load_n(&tags[gib], __ATOMIC_ACQUIRE);

		if (tag != wanted && tag != initial)
			break;
	}
	return gib;
}

/* State of page, and in *end the end of the uniform piece that it was found in, which may pass `limit` and the file. */
static bool piece_state(const struct core_store *store, u64 page, u64 limit, u64 *end)
{
	u64 region = page / CORE_REGION_PAGES, gib = page / GIB_PAGES;
	bool is_private;
	u64 count;

	if (page >= CORE_STORE_DENSE_PAGES)
		return tail_state(store, page, end);
	if (tag_uniform(store, __atomic_load_n(tag_at(store, gib), __ATOMIC_ACQUIRE), &is_private)) {
		*end = skip_uniform_gibs(store, gib + 1, rt_min(limit, dense_pages(store)), is_private) * GIB_PAGES;
		return is_private;
	}
	count = __atomic_load_n(count_at(store, region), __ATOMIC_ACQUIRE);
	if (count && count < unit_pages(store, region, CORE_REGION_PAGES))
		return word_state(store, page, end);
	*end = (region + 1) * CORE_REGION_PAGES;
	return count;
}

bool core_store_is_private(const struct core_store *store, u64 page)
{
	u64 end;

	return piece_state(store, page, page, &end);
}

u64 core_store_run(const struct core_store *store, u64 page, u64 limit, bool *is_private)
{
	u64 stop = page + rt_min(limit, store->pages - page), end;

	*is_private = piece_state(store, page, stop, &end);
	while (end < stop) {
		u64 next;

		if (piece_state(store, end, stop, &next) != *is_private)
			break;
		end = next;
	}
	return rt_min(end, stop) - page;
}

bool core_store_uniform(const struct core_store *store, struct rt_pages range, bool is_private)
{
	bool state = is_private;

	if (!range.count)
		return true;
	return core_store_run(store, range.first, range.count, &state) >= range.count && state == is_private;
}

unsigned core_store_region_private(const struct core_store *store, u64 region)
{
	u64 page = region * CORE_REGION_PAGES;
	u64 stop = rt_min(store->pages, page + CORE_REGION_PAGES);
	unsigned total = 0;
	bool is_private;

	if (page < CORE_STORE_DENSE_PAGES &&
	    !tag_uniform(store, __atomic_load_n(tag_at(store, page / GIB_PAGES), __ATOMIC_ACQUIRE), &is_private))
		return (unsigned)__atomic_load_n(count_at(store, region), __ATOMIC_ACQUIRE);
	while (page < stop) {
		u64 run = core_store_run(store, page, stop - page, &is_private);

		total += is_private ? (unsigned)run : 0;
		page += run;
	}
	return total;
}
