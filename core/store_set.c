// SPDX-License-Identifier: MIT
/*
 * core/store_set.c - private or shared, for every page of a file: the writers (theory: store_window.h)
 */
#include <asm/errno.h>

#include "core/store_window.h"

/* The bits of word number `word` of a region that lie in pages [first, first + count) of it. */
static u64 word_mask(unsigned word, u64 first, u64 count)
{
	u64 from = rt_max(first, word * WORD_PAGES), to = rt_min(first + count, (word + 1ULL) * WORD_PAGES);

	if (from >= to)
		return 0;
	return (to - from == WORD_PAGES ? ~0ULL : (1ULL << (to - from)) - 1) << (from % WORD_PAGES);
}

/*
 * Give pages [first, first + count) of a region their state; `uniform` says that the region has the state `was`
 * whatever its count and bitmap hold.  Returns the region's number of private pages, which is stored last (S2).
 */
static u64 set_bits(struct core_store *store, u64 region, u64 first, u64 count, bool is_private, bool uniform, bool was)
{
	u64 *words = bitmap_at(store, region), pages = unit_pages(store, region, CORE_REGION_PAGES), total = 0;

	for (unsigned i = 0; i < REGION_WORDS; i++) {
		u64 mask = word_mask(i, first, count);
		u64 word = uniform ? (was ? word_mask(i, 0, pages) : 0) : words[i];
		u64 next = is_private ? word | mask : word & ~mask;

		/* A uniform region's words may be stale: store them all. */
		if (uniform || next != word)
			__atomic_store_n(&words[i], next, __ATOMIC_RELEASE);
		total += (u64)__builtin_popcountll(next);
	}
	return total;
}

/* As set_bits(), for any part of a region; the count is stored and returned. */
static u64 set_region(struct core_store *store, u64 region, u64 first, u64 count, bool is_private)
{
	u16 *counter = count_at(store, region);
	u64 pages = unit_pages(store, region, CORE_REGION_PAGES), old = *counter, total;
	bool uniform = !old || old == pages;

	if (uniform && !!old == is_private)
		return old;
	if (count == pages)
		total = is_private ? pages : 0;
	else
		total = set_bits(store, region, first, count, is_private, uniform, old);
	if (total != old)
		__atomic_store_n(counter, (u16)total, __ATOMIC_RELEASE);
	return total;
}

/* Publish a GiB's sum, which makes it uniform where it is none or all. */
static void publish_tag(struct core_store *store, u64 gib, u64 total)
{
	u32 tag = TAG_MIXED | (u32)total << TAG_SHIFT;

	if (!total)
		tag = TAG_SHARED;
	else if (total == unit_pages(store, gib, GIB_PAGES))
		tag = TAG_PRIVATE;
	if (*tag_at(store, gib) != tag)
		__atomic_store_n(tag_at(store, gib), tag, __ATOMIC_RELEASE);
}

/* Make counts current for a uniform GiB: every region as the GiB is (S2); the tag is published later. */
static void expand_gib(struct core_store *store, u64 gib, bool is_private)
{
	u64 first = gib * GIB_REGIONS;
	u64 last = (gib * GIB_PAGES + unit_pages(store, gib, GIB_PAGES) + CORE_REGION_PAGES - 1) / CORE_REGION_PAGES;

	for (u64 region = first; region < last; region++) {
		u64 pages = unit_pages(store, region, CORE_REGION_PAGES);

		__atomic_store_n(count_at(store, region), (u16)(is_private ? pages : 0), __ATOMIC_RELEASE);
	}
}

/* [first, first + count) lies within one GiB. */
static void set_in_gib(struct core_store *store, u64 first, u64 count, bool is_private)
{
	u64 gib = first / GIB_PAGES, pages = unit_pages(store, gib, GIB_PAGES), end = first + count, total;
	u32 tag = *tag_at(store, gib);
	bool was, uniform = tag_uniform(store, tag, &was);

	if (uniform && was == is_private)
		return;
	if (count == pages) {
		publish_tag(store, gib, is_private ? pages : 0);
		return;
	}
	total = tag >> TAG_SHIFT;
	if (uniform) {
		expand_gib(store, gib, was);
		total = was ? pages : 0;
	}
	while (first < end) {
		u64 region = first / CORE_REGION_PAGES, at = first % CORE_REGION_PAGES;
		u64 n = rt_min(end - first, CORE_REGION_PAGES - at);

		total -= *count_at(store, region);
		total += set_region(store, region, at, n, is_private);
		first += n;
	}
	publish_tag(store, gib, total);
}

/* The tail's flips after setting a range; returns their number, and stores them in `to` if there is one. */
static u64 tail_merge(const struct core_store *store, struct rt_pages range, bool is_private, struct tail_list *to)
{
	const struct tail_list *from = tail_at(store, header_of(store)->tail_generation);
	u64 end = range.first + range.count, nr = 0;
	u64 below = flips_up_to(from, from->nr, range.first - 1); /* flips before the range, which is in the tail */
	u64 after = flips_up_to(from, from->nr, end); /* flips beyond its end */
	bool initial = initial_private(store);

	for (; nr < below; nr++)
		if (to)
			__atomic_store_n(&to->flips[nr], from->flips[nr], __ATOMIC_RELAXED);
	if ((initial ^ (below & 1)) != is_private) {
		if (to)
			__atomic_store_n(&to->flips[nr], range.first, __ATOMIC_RELAXED);
		nr++;
	}
	/* The state at `end` stays as it was; a flip at the very end of the file would mean nothing. */
	if (end < store->pages && (initial ^ (after & 1)) != is_private) {
		if (to)
			__atomic_store_n(&to->flips[nr], end, __ATOMIC_RELAXED);
		nr++;
	}
	for (; after < from->nr; after++, nr++)
		if (to)
			__atomic_store_n(&to->flips[nr], from->flips[after], __ATOMIC_RELAXED);
	if (to)
		__atomic_store_n(&to->nr, nr, __ATOMIC_RELAXED);
	return nr;
}

/* The part of a range that lies in the tail. */
static struct rt_pages tail_part(struct rt_pages range)
{
	u64 end = range.first + range.count, first = rt_max(range.first, CORE_STORE_DENSE_PAGES);

	return (struct rt_pages){ first, end > first ? end - first : 0 };
}

int core_store_reserve(struct core_store *store, struct rt_pages range, bool is_private)
{
	struct rt_pages tail = tail_part(range);

	if (!tail.count)
		return 0;
	return tail_merge(store, tail, is_private, NULL) > TAIL_FLIPS ? -ENOMEM : 0;
}

static void set_in_tail(struct core_store *store, struct rt_pages range, bool is_private)
{
	u32 *generation = &header_of(store)->tail_generation;

	if (core_store_uniform(store, range, is_private))
		return;
	/* Readers of two generations ago must see that the list under them is being rewritten before it is. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	tail_merge(store, range, is_private, tail_at(store, *generation + 1));
	__atomic_store_n(generation, *generation + 1, __ATOMIC_RELEASE);
}

void core_store_set(struct core_store *store, struct rt_pages range, bool is_private)
{
	struct rt_pages tail = tail_part(range);
	u64 first = range.first, end = range.first + range.count - tail.count;

	while (first < end) {
		u64 n = rt_min(end - first, GIB_PAGES - first % GIB_PAGES);

		set_in_gib(store, first, n, is_private);
		first += n;
	}
	set_in_tail(store, tail, is_private);
}

/* Recount one mixed region; returns its number of private pages. */
static u64 repair_region(struct core_store *store, u64 region)
{
	u64 pages = unit_pages(store, region, CORE_REGION_PAGES), count = *count_at(store, region), total = 0;

	if (!count || count == pages)
		return count;
	for (unsigned i = 0; i < REGION_WORDS; i++)
		total += (u64)__builtin_popcountll(bitmap_at(store, region)[i]);
	if (total != count)
		__atomic_store_n(count_at(store, region), (u16)total, __ATOMIC_RELEASE);
	return total;
}

void core_store_repair(struct core_store *store, struct rt_pages range)
{
	u64 end = rt_min(range.first + range.count, dense_pages(store));
	u64 gib = range.first / GIB_PAGES;

	for (; gib * GIB_PAGES < end; gib++) {
		u64 region = gib * GIB_REGIONS, total = 0;
		u64 last = region + (unit_pages(store, gib, GIB_PAGES) + CORE_REGION_PAGES - 1) / CORE_REGION_PAGES;
		bool state;

		if (tag_uniform(store, *tag_at(store, gib), &state))
			continue;
		for (; region < last; region++)
			total += repair_region(store, region);
		publish_tag(store, gib, total);
	}
}
