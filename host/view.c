// SPDX-License-Identifier: MIT
/*
 * host/view.c - the table of this process's views
 *
 * THEORY OF OPERATION
 *
 * One array, sorted by address, of entries by value.  Writers hold the table
 * lock and make the sequence count odd while entries move; readers without the
 * lock (signal handlers) copy an entry and check the count.  The array is
 * reserved once and never moves, so a reader that lost a race reads a stale entry,
 * never unmapped memory.  A reader that goes on to the entry's file announces
 * itself in `readers`, which host_file_fini() waits for.
 */
#include <linux/mman.h>

#include "host/engine.h"
#include "rt/alloc.h"
#include "rt/string.h"

#define TABLE_CAPACITY (1ULL << 17) /* virtual: touched as views are made */

struct host_table host_table = { .lock = RT_LOCK_INIT };

void table_lock(void)
{
	rt_lock(&host_table.lock);
}

void table_unlock(void)
{
	rt_unlock(&host_table.lock);
}

static void write_begin(void)
{
	__atomic_fetch_add(ATOMIC_U32(host_table.seq), 1, __ATOMIC_SEQ_CST);
}

static void write_end(void)
{
	__atomic_fetch_add(ATOMIC_U32(host_table.seq), 1, __ATOMIC_SEQ_CST);
}

/* First of n sorted views that ends after addr. */
SEQUENCE_READER static u64 search(const struct host_view *views, u64 n, u64 addr)
{
	u64 low = 0;

	while (low < n) {
		u64 mid = low + (n - low) / 2;

		if (__atomic_load_n(&views[mid].end, __ATOMIC_RELAXED) > addr)
			n = mid;
		else
			low = mid + 1;
	}
	return low;
}

u64 table_find(u64 addr)
{
	return search(host_table.views, host_table.count, addr);
}

int table_reserve(u64 n)
{
	if (!host_table.views) {
		long ret = rt_mmap(NULL, TABLE_CAPACITY * sizeof(struct host_view), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (rt_is_err(ret))
			return -ENOMEM;
		host_table.views = (struct host_view *)ret;
		host_table.capacity = TABLE_CAPACITY;
	}
	return host_table.count + n <= host_table.capacity ? 0 : -ENOMEM;
}

void table_insert(const struct host_view *v)
{
	u64 at = table_find(v->start);
	struct host_view *slot = host_table.views + at;

	write_begin();
	memmove(slot + 1, slot, (host_table.count - at) * sizeof(*slot));
	*slot = *v;
	host_table.count++;
	write_end();
	host_table.vmas += view_vmas(v);
	v->file->views++;
}

u64 *region_bits_new(u64 regions)
{
	return rt_alloc((regions + 63) / 64 * 8);
}

void region_bits_free(u64 *bits, u64 regions)
{
	rt_free(bits, (regions + 63) / 64 * 8);
}

/* The open regions of part, the first of which is region `first` of whole. */
static void add_bits(struct host_view *whole, u64 first, const struct host_view *part)
{
	for (u64 i = 0, run, n = view_regions(part); i < n; i += run) {
		run = region_run(part, i, n - i);
		if (region_is_open(part, i))
			region_bits_set(whole->open, first + i, run, true);
	}
}

/* part lies within whole: give it bits of its own, equal to those of whole. */
static int copy_bits(struct host_view *part, const struct host_view *whole)
{
	u64 regions = view_regions(part);
	u64 skip = (part->off >> REGION_SHIFT) - (whole->off >> REGION_SHIFT);

	part->open = region_bits_new(regions);
	if (!part->open)
		return -ENOMEM;
	for (u64 i = 0, run; i < regions; i += run) {
		run = region_run(whole, skip + i, regions - i);
		if (region_is_open(whole, skip + i))
			region_bits_set(part->open, i, run, true);
	}
	return 0;
}

int table_split(u64 addr)
{
	u64 at = table_find(addr);
	struct host_view *v, head, tail;

	/* There may not even be a table. */
	if (at == host_table.count)
		return 0;
	v = host_table.views + at;
	if (v->start >= addr)
		return 0;
	if (table_reserve(1))
		return -ENOMEM;
	head = tail = *v;
	head.end = tail.start = addr;
	tail.off += addr - v->start;
	head.lazy = tail.lazy = 0;
	tail.cut = false;
	if (copy_bits(&head, v))
		return -ENOMEM;
	if (copy_bits(&tail, v)) {
		region_bits_free(head.open, view_regions(&head));
		return -ENOMEM;
	}
	host_table.vmas -= view_vmas(v);
	region_bits_free(v->open, view_regions(v));
	write_begin();
	*v = head;
	write_end();
	host_table.vmas += view_vmas(v);
	table_insert(&tail);
	return 0;
}

void table_remove(u64 start, u64 end)
{
	u64 first = table_find(start), last = first;
	struct host_view *views = host_table.views;

	for (; last < host_table.count && views[last].start < end; last++) {
		struct host_view *v = views + last;

		host_table.vmas -= view_vmas(v);
		if (host_engine->forget)
			host_engine->forget(v);
		region_bits_free(v->open, view_regions(v));
		if (!--v->file->views)
			file_map_fds_close(v->file);
	}
	if (first == last)
		return;
	guard_forget(start, end);
	write_begin();
	memmove(views + first, views + last, (host_table.count - last) * sizeof(*views));
	host_table.count -= last - first;
	write_end();
}

/* What a kernel would make one VMA. */
static bool alike(const struct host_view *a, const struct host_view *b)
{
	return a->end == b->start && a->file == b->file && a->prot == b->prot && a->flags == b->flags &&
	       a->off + (a->end - a->start) == b->off;
}

/* Cut within a region, both halves have a bit for it. */
static bool same_openness(const struct host_view *a, const struct host_view *b)
{
	bool same_region = ((b->off - 1) >> REGION_SHIFT) == (b->off >> REGION_SHIFT);

	return !same_region || region_is_open(a, view_regions(a) - 1) == region_is_open(b, 0);
}

/* What mprotect and the like cut must not stay cut for ever: mremap asks for one view. */
int table_merge(u64 addr)
{
	u64 at = table_find(addr);
	struct host_view *a = host_table.views + at - 1, *b = host_table.views + at, whole;
	u64 skip;

	if (at == 0 || at == host_table.count || b->start != addr)
		return 0;
	b->cut = alike(a, b);
	if (!b->cut || !same_openness(a, b))
		return 0;
	whole = *a;
	whole.end = b->end;
	whole.lazy = 0;
	whole.open = region_bits_new(view_regions(&whole));
	if (!whole.open)
		return -ENOMEM;
	skip = (b->off >> REGION_SHIFT) - (a->off >> REGION_SHIFT);
	add_bits(&whole, 0, a);
	add_bits(&whole, skip, b);
	host_table.vmas += view_vmas(&whole) - view_vmas(a) - view_vmas(b);
	region_bits_free(a->open, view_regions(a));
	region_bits_free(b->open, view_regions(b));
	write_begin();
	*a = whole;
	memmove(b, b + 1, (host_table.count - at - 1) * sizeof(*b));
	host_table.count--;
	write_end();
	whole.file->views--;
	return 0;
}

u64 table_run_end(u64 at)
{
	while (at + 1 < host_table.count && host_table.views[at + 1].cut && alike(host_table.views + at, host_table.views + at + 1))
		at++;
	return host_table.views[at].end;
}

u64 table_run_start(u64 at)
{
	while (at > 0 && host_table.views[at].cut && alike(host_table.views + at - 1, host_table.views + at))
		at--;
	return host_table.views[at].start;
}

/* Where views within [start, end) are two for want of memory alone. */
int table_join(u64 start, u64 end)
{
	u64 at;

	while (start < end && (at = table_find(start)) + 1 < host_table.count) {
		const struct host_view *next = host_table.views + at + 1;

		start = next->start;
		if (start < end && next->cut && table_merge(start))
			return -ENOMEM;
	}
	return 0;
}

int table_cut(u64 start, u64 end)
{
	int ret = table_split(start);

	if (!ret)
		ret = table_split(end);
	if (ret)
		table_merge(start);
	return ret;
}

void table_set(struct host_view *v, int prot, u32 flags)
{
	write_begin();
	v->prot = prot;
	v->flags = flags;
	write_end();
}

SEQUENCE_READER bool table_lookup(u64 addr, struct host_view *ret)
{
	u32 seq;

	for (;;) {
		u64 at, count;
		bool found = false;

		seq = __atomic_load_n(ATOMIC_U32(host_table.seq), __ATOMIC_ACQUIRE);
		count = __atomic_load_n(ATOMIC_U64(host_table.count), __ATOMIC_RELAXED);
		if (seq & 1) {
			__builtin_ia32_pause();
			continue;
		}
		at = count ? search(host_table.views, count, addr) : 0;
		if (at < count) {
			*ret = host_table.views[at];
			found = ret->start <= addr && addr < ret->end;
		}
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(ATOMIC_U32(host_table.seq), __ATOMIC_RELAXED) == seq)
			return found;
	}
}

void table_read_enter(void)
{
	__atomic_fetch_add(ATOMIC_U32(host_table.readers), 1, __ATOMIC_SEQ_CST);
}

void table_read_exit(void)
{
	__atomic_fetch_sub(ATOMIC_U32(host_table.readers), 1, __ATOMIC_SEQ_CST);
}

SEQUENCE_READER bool host_view_overlaps(const void *addr, u64 len)
{
	u64 count = __atomic_load_n(ATOMIC_U64(host_table.count), __ATOMIC_RELAXED), start = (u64)addr;
	u64 end = rt_add_wraps(start, len) ? ~0ULL : start + len;
	u32 seq;

	if (!count || !len)
		return false;
	for (;;) {
		u64 at, first;

		seq = __atomic_load_n(ATOMIC_U32(host_table.seq), __ATOMIC_ACQUIRE);
		count = __atomic_load_n(ATOMIC_U64(host_table.count), __ATOMIC_RELAXED);
		at = search(host_table.views, count, start);
		first = at < count ? host_table.views[at].start : ~0ULL;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(seq & 1) && __atomic_load_n(ATOMIC_U32(host_table.seq), __ATOMIC_RELAXED) == seq)
			return first < end;
		__builtin_ia32_pause();
	}
}

bool host_view_next(const void *addr, const void *end, struct host_piece *ret)
{
	u64 start = (u64)addr, at;
	bool found = false;

	table_lock();
	at = table_find(start);
	if (at < host_table.count && host_table.views[at].start < (u64)end) {
		const struct host_view *v = host_table.views + at;
		u64 from = rt_max(start, v->start), to = rt_min((u64)end, v->end);

		*ret = (struct host_piece){ .file = v->file,
					    .addr = (char *)from,
					    .len = to - from,
					    .off = v->off + (from - v->start),
					    .prot = v->prot,
					    .locked = v->flags & VIEW_LOCKED };
		found = true;
	}
	table_unlock();
	return found;
}
