/* SPDX-License-Identifier: MIT */
/*
 * core/store_window.h - the store's window, shared by its readers (store.c) and its writers (store_set.c)
 *
 * Theory of operation
 *
 * The window is one piece of zeroed sparse memory:
 *
 *   header   what a zero tag means; which tail list is current
 *   tags     u32 per GiB: INITIAL, SHARED, PRIVATE, or MIXED and the GiB's number of private pages
 *   counts   u16 per 2 MiB region: private pages; meaningful where the GiB is MIXED
 *   bitmap   64 bytes per region: meaningful where the region's count is neither 0 nor all of its pages
 *   tail     two lists of the pages at which the state flips, for pages >= CORE_STORE_DENSE_PAGES
 *
 * A level is *current* for a page when the levels above send a reader to it.
 * Nothing is written for what is uniform, so an untouched file costs one word
 * (none when it begins shared), and a uniform GiB one tag whatever it was before.
 * What has its state already is not stored again: such a request dirties no page.
 *
 * Writers exclude each other.  What a reader may rely on:
 *
 *  S1  A page's state is decided by one aligned load per level, top to bottom, each with acquire; a reader never
 *      waits, and never retries in the dense part.
 *  S2  An entry that is not current for a page is written with the state that the page has, or is being given by the
 *      write in progress; never with anything else.  (Expansion of a GiB fills all of its counts, of a region all of
 *      its bitmap, from the uniform state before the level above is published with release.)
 *  S3  An entry that ceases to be current keeps its last value: collapse writes the level above only.
 *  S4  From S2 and S3: a reader that was sent down by a tag or count which has changed since finds a value that was
 *      the page's state at some moment between its first and its last load.  So for pages outside the written range the
 *      answer is exact, whatever expands or collapses around them.
 *  S5  Counts and tags say how many bits are set below them.  A writer that dies inside core_store_set() leaves every
 *      page old or new but these sums may lag; core_store_repair() of the same range makes them true.
 *  S6  The current tail list is never written.  A writer fills the other one and publishes it by incrementing the
 *      generation, whose low bit names the list; a reader repeats only if the generation moved while it looked, so a
 *      signal handler that interrupts a writer does not spin.
 */
#ifndef GMEM_CORE_STORE_WINDOW_H
#define GMEM_CORE_STORE_WINDOW_H

#include "core/store.h"

#define GIB_PAGES   (1ULL << 18)
#define GIB_REGIONS (GIB_PAGES / CORE_REGION_PAGES)
#define WORD_PAGES  64U
#define REGION_WORDS (CORE_REGION_PAGES / WORD_PAGES)

/* Low bits of a tag; MIXED has the number of private pages above them. */
enum { TAG_INITIAL, TAG_SHARED, TAG_PRIVATE, TAG_MIXED };
#define TAG_MASK  3U
#define TAG_SHIFT 2

/* Flips that the tail can hold: a request adds at most two. */
#define TAIL_FLIPS 4095U

struct tail_list {
	u64 nr;
	u64 flips[TAIL_FLIPS]; /* ascending; the state changes at each; before the first it is the initial one */
};

struct store_header {
	u32 initial_private;
	u32 tail_generation;
	u64 unused[7];
};

/* Where things are, computed from the file's size. */
struct layout {
	u64 dense;   /* pages in the dense part */
	u64 gibs;
	u64 regions;
	size_t counts, bitmap, tail, end; /* offsets in the window */
};

static inline struct layout layout_of(u64 pages)
{
	struct layout l;

	l.dense = rt_min(pages, CORE_STORE_DENSE_PAGES);
	l.gibs = (l.dense + GIB_PAGES - 1) / GIB_PAGES;
	l.regions = (l.dense + CORE_REGION_PAGES - 1) / CORE_REGION_PAGES;
	l.counts = rt_align_up(sizeof(struct store_header) + l.gibs * sizeof(u32), 64);
	l.bitmap = rt_align_up(l.counts + l.regions * sizeof(u16), 64);
	l.tail = l.bitmap + l.regions * REGION_WORDS * sizeof(u64);
	l.end = l.tail + (pages > l.dense ? 2 * sizeof(struct tail_list) : 0);
	return l;
}

/* Entries of the window. */

static inline struct store_header *header_of(const struct core_store *store)
{
	return store->window;
}

static inline u32 *tag_at(const struct core_store *store, u64 gib)
{
	return (u32 *)((char *)store->window + sizeof(struct store_header)) + gib;
}

static inline u16 *count_at(const struct core_store *store, u64 region)
{
	return (u16 *)((char *)store->window + layout_of(store->pages).counts) + region;
}

static inline u64 *bitmap_at(const struct core_store *store, u64 region)
{
	return (u64 *)((char *)store->window + layout_of(store->pages).bitmap) + region * REGION_WORDS;
}

static inline struct tail_list *tail_at(const struct core_store *store, u32 generation)
{
	struct tail_list *lists = (struct tail_list *)((char *)store->window + layout_of(store->pages).tail);

	return &lists[generation & 1];
}

static inline bool initial_private(const struct core_store *store)
{
	return __atomic_load_n(&header_of(store)->initial_private, __ATOMIC_ACQUIRE);
}

static inline u64 dense_pages(const struct core_store *store)
{
	return rt_min(store->pages, CORE_STORE_DENSE_PAGES);
}

/* Pages of a GiB or region, fewer at the end of the file. */
static inline u64 unit_pages(const struct core_store *store, u64 unit, u64 size)
{
	return rt_min(size, dense_pages(store) - unit * size);
}

/* True when the GiB is uniform; *is_private is then its state. */
static inline bool tag_uniform(const struct core_store *store, u32 tag, bool *is_private)
{
	switch (tag & TAG_MASK) {
	case TAG_INITIAL:
		*is_private = initial_private(store);
		return true;
	case TAG_SHARED:
	case TAG_PRIVATE:
		*is_private = (tag & TAG_MASK) == TAG_PRIVATE;
		return true;
	}
	return false;
}

/* Tail: number of flips at or before page, by binary search in a list that may be changing (bounded all the same). */
static inline u64 flips_up_to(const struct tail_list *list, u64 nr, u64 page)
{
	u64 low = 0, high = nr;

	while (low < high) {
		u64 mid = (low + high) / 2;

		if (__atomic_load_n(&list->flips[mid], __ATOMIC_RELAXED) <= page)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

#endif
