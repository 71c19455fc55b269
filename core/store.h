/* SPDX-License-Identifier: MIT */
/*
 * core/store.h - private or shared, for every page of a file
 *
 * Three levels without pointers in one window of memory that the caller
 * provides (zeroed, sparse, possibly shared between processes): a tag per GiB,
 * a counter per 2 MiB region, a bitmap where a region is mixed.  Pages beyond
 * CORE_STORE_DENSE_PAGES live in a short sorted list of runs.
 *
 * Readers take no lock and may run in a signal handler; writers exclude each
 * other (the file's conversion lock).  A reader concurrent with a writer sees
 * for each page either the old or the new state; pages outside the written range
 * never change, not even transiently.
 */
#ifndef GMEM_CORE_STORE_H
#define GMEM_CORE_STORE_H

#include "rt/types.h"

#define CORE_REGION_PAGES      512ULL /* 2 MiB: one page table */
#define CORE_STORE_DENSE_PAGES (1ULL << 32) /* 16 TiB */

struct core_store {
	void *window;
	u64 pages; /* of the file */
};

/* Bytes of window that a file of that many pages needs; virtual, touched only as states get mixed. */
size_t core_store_window_size(u64 pages);
/* First use of a zeroed window; later users of the same window attach. */
void core_store_init(struct core_store *store, void *window, u64 pages, bool is_private);
void core_store_attach(struct core_store *store, void *window, u64 pages);

/* page < store->pages for all of these. */
bool core_store_is_private(const struct core_store *store, u64 page);
/* Length of the run of equal state that starts at page, at most limit (> 0); *is_private is that state. */
u64 core_store_run(const struct core_store *store, u64 page, u64 limit, bool *is_private);
bool core_store_uniform(const struct core_store *store, struct rt_pages range, bool is_private);
/* Private pages of region number `region` (page / CORE_REGION_PAGES); 0 to 512, fewer in a file's last region. */
unsigned core_store_region_private(const struct core_store *store, u64 region);

/* Make sure that core_store_set() of this range cannot fail: 0 or -ENOMEM, no state changes. */
int core_store_reserve(struct core_store *store, struct rt_pages range, bool is_private);
/* Only after core_store_reserve() of the same has said 0. */
void core_store_set(struct core_store *store, struct rt_pages range, bool is_private);
/* After a writer died within core_store_set(range): each page has its old or new state; the sums are made to match. */
void core_store_repair(struct core_store *store, struct rt_pages range);

#endif
