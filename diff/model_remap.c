// SPDX-License-Identifier: MIT
/*
 * diff/model_remap.c - mremap of the naive model: the one call that depends on where VMAs end
 *
 * As kernels from 6.17 on have it; in earlier ones no guest_memfd can be mapped.
 */
#include "diff/model.h"

#include <errno.h>
#include <sys/mman.h>

static bool goes_on(const struct mapped_page *m, const struct mapped_page *next)
{
	return next->inode == m->inode && next->index == m->index + 1 && next->prot == m->prot && next->kind == m->kind &&
	       next->locked == m->locked && next->stays == m->stays && !next->apart;
}

/* A kernel joins what it can: a VMA goes on as long as pages do. */
static u64 vma_end(u64 w, u64 at)
{
	while (at + 1 < WINDOW_PAGES && goes_on(&model.mapped[w][at], &model.mapped[w][at + 1]))
		at++;
	return at + 1;
}

/* MREMAP_DONTUNMAP unlocks all of the VMA that a page lies in, and does not try to join it with others. */
static void unlock_vma(u64 w, u64 at)
{
	u64 start = at, end = vma_end(w, at);

	if (!model.mapped[w][at].locked)
		return;
	while (start > 0 && goes_on(&model.mapped[w][start - 1], &model.mapped[w][start]))
		start--;
	for (u64 p = start; p < end; p++)
		model.mapped[w][p].locked = false;
	model.mapped[w][start].apart = true;
	if (end < WINDOW_PAGES)
		model.mapped[w][end].apart = true;
}

static void unmap_range(u64 w, u64 at, u64 pages)
{
	for (u64 p = at; p < at + pages; p++)
		model.mapped[w][p] = nothing_mapped();
}

/* Guards are entries of page tables: they go where these go. */
static void move_page(u64 w, u64 at, u64 to, u64 to_at, struct mapped_page moved)
{
	model_change(to, to_at, moved);
	model.mapped[w][at].guard = false;
}

/* Pages of the VMA that m is of, as they would follow it. */
static void extend(struct mapped_page m, u64 to, u64 to_at, u64 first, u64 pages)
{
	const u64 index = m.index;

	m.guard = false;
	for (u64 p = first; p < pages; p++) {
		m.index = index + p;
		model_change(to, to_at + p, m);
	}
}

/* Of the same size to a given place, VMA by VMA: and holes stay holes, at both ends. */
static s64 move_all(u64 w, u64 at, u64 pages, u64 to, u64 to_at, bool stays)
{
	if (model.mapped[w][at].inode < 0)
		return -EFAULT;
	for (u64 p = 0, end; p < pages; p = end - at) {
		struct mapped_page vma[WINDOW_PAGES];

		end = vma_end(w, at + p);
		if (model.mapped[w][at + p].inode < 0)
			continue;
		if (end > at + pages)
			end = at + pages;
		for (u64 q = p; at + q < end; q++)
			vma[q] = model.mapped[w][at + q];
		/* First what makes room, which may cut the VMA. */
		unmap_range(to, to_at + p, end - at - p);
		if (stays)
			unlock_vma(w, at + p);
		for (u64 q = p; at + q < end; q++)
			move_page(w, at + q, to, to_at + q, vma[q]);
		if (!stays)
			unmap_range(w, at + p, end - at - p);
	}
	return 0;
}

static s64 grow_in_place(u64 w, u64 at, u64 size, u64 new_size)
{
	if (!size || at + size != vma_end(w, at))
		return -ENOMEM;
	for (u64 p = at + size; p < at + new_size; p++)
		if (model.mapped[w][p].inode >= 0)
			return -ENOMEM;
	extend(model.mapped[w][at], w, at, size, new_size);
	if (model.mapped[w][at].locked)
		model_populate(w, at + size, new_size - size);
	return 0;
}

/* The kernel chooses a place, and there it is unmapped at once: once what has grown of locked memory is populated. */
static s64 move_away(u64 w, u64 at, u64 size, u64 new_size, bool stays)
{
	struct mapped_page next = model.mapped[w][at];

	next.index += size;
	for (u64 p = size; p < new_size && next.locked && next.prot && model_usable(&next); p++)
		next.index++;
	for (u64 p = at; p < at + size; p++)
		model.mapped[w][p].guard = false;
	if (stays)
		unlock_vma(w, at);
	else
		unmap_range(w, at, size);
	return 1;
}

/* To a given place, with another size. */
static s64 resize_to(u64 w, u64 at, u64 size, u64 to, u64 to_at, u64 new_size)
{
	struct mapped_page first;
	u64 kept = size < new_size ? size : new_size;

	unmap_range(to, to_at, new_size);
	first = model.mapped[w][at];
	/* What makes room took away the very page that was to be doubled. */
	if (first.inode < 0)
		return -EFAULT;
	if (size > kept)
		unmap_range(w, at + kept, size - kept);
	extend(first, to, to_at, kept, new_size);
	for (u64 p = 0; p < kept; p++)
		move_page(w, at + p, to, to_at + p, model.mapped[w][at + p]);
	unmap_range(w, at, kept);
	if (first.locked && new_size > size)
		model_populate(to, to_at + size, new_size - size);
	return 0;
}

static s64 remap(u64 w, u64 at, u64 size, u64 to, u64 to_at, u64 new_size, u64 flags)
{
	const bool fixed = flags & MREMAP_FIXED, stays = flags & MREMAP_DONTUNMAP, placed = fixed || stays;
	s64 ret;

	if (flags & ~7ULL || (placed && !(flags & MREMAP_MAYMOVE)) || !new_size || (stays && size != new_size))
		return -EINVAL;
	if (placed && w == to && at < to_at + new_size && to_at < at + size)
		return -EINVAL;
	if (fixed && size == new_size)
		return move_all(w, at, size, to, to_at, stays);
	if (model.mapped[w][at].inode < 0)
		return -EFAULT;
	/* What shrinks may end anywhere: only what is left must be of one VMA, and only when it moves. */
	if ((new_size > size || placed) && at + (size < new_size ? size : new_size) > vma_end(w, at))
		return -EFAULT;
	if (fixed)
		return resize_to(w, at, size, to, to_at, new_size);
	if (stays)
		return move_away(w, at, size, size, true);
	if (new_size <= size) {
		unmap_range(w, at + new_size, size - new_size);
		return 0;
	}
	ret = grow_in_place(w, at, size, new_size);
	return ret && flags & MREMAP_MAYMOVE ? move_away(w, at, size, new_size, false) : ret;
}

result model_remap(u64 w, u64 at, u64 size, u64 to, u64 to_at, u64 new_size, u64 flags)
{
	s64 ret = remap(w, at, size, to, to_at, new_size, flags);

	model_forget_files();
	return answer(ret);
}
