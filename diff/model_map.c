// SPDX-License-Identifier: MIT
/*
 * diff/model_map.c - mappings of the naive model: mmap, mprotect, madvise, mlock and what they refuse
 */
#include "diff/model.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

unsigned char *model_page_bytes(struct file_page *page)
{
	if (!page->bytes)
		page->bytes = calloc(1, PAGE);
	page->used = true;
	return page->bytes;
}

/* The page of the file behind a mapped page that can be used now; NULL when the host may not touch it. */
struct file_page *model_usable(const struct mapped_page *m)
{
	struct inode *inode = &model.inodes[m->inode];
	struct file_page *page;

	if (m->index >= inode->size / PAGE || m->index >= FILE_PAGES)
		return NULL;
	page = &inode->page[m->index];
	if (page->private || page->struck)
		return NULL;
	model_page_bytes(page);
	return page;
}

void model_change(u64 w, u64 at, struct mapped_page to)
{
	to.apart = false;
	model.mapped[w][at] = to;
	if (at + 1 < WINDOW_PAGES)
		model.mapped[w][at + 1].apart = false;
}

/* Until the first page that cannot be had: nobody is told. */
void model_populate(u64 w, u64 at, u64 pages)
{
	for (u64 p = at; p < at + pages; p++)
		if (!model.mapped[w][p].prot || model.mapped[w][p].guard || !model_usable(&model.mapped[w][p]))
			return;
}

static s64 refuse_map(const struct inode *inode, u64 size, u64 offset, u64 prot, u64 flags, bool *cleared)
{
	const u64 type = flags & 0xf;

	*cleared = false;
	if (offset % PAGE || flags & MAP_HUGETLB)
		return -EINVAL;
	if (offset / PAGE > (INT64_MAX - size) / PAGE)
		return -EOVERFLOW;
	if (type < MAP_SHARED || type > MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (type == MAP_SHARED_VALIDATE && flags & 0x80000)
		return -EOPNOTSUPP;
	if (model.kernel->noexec && prot & PROT_EXEC)
		return -EPERM;
	if (!model.kernel->mappable)
		return -ENODEV;
	if (flags & MAP_GROWSDOWN)
		return -EINVAL;
	/* From here on it is the file that refuses, and what lay there is gone. */
	*cleared = true;
	if (!(inode->flags & 1))
		return -ENODEV;
	return type == MAP_PRIVATE ? -EINVAL : 0;
}

result model_map(u64 w, u64 at, u64 pages, u64 f, u64 offset, u64 prot, u64 flags)
{
	bool cleared;
	s64 ret;

	if (model.file[f] < 0 || (offset >= 64 * PAGE && offset < model.inodes[model.file[f]].size))
		return answer(SKIPPED);
	ret = refuse_map(&model.inodes[model.file[f]], pages * PAGE, offset, prot, flags, &cleared);
	for (u64 p = at; cleared && p < at + pages; p++) {
		model.mapped[w][p] = nothing_mapped();
		if (!ret)
			model_change(w, p, (struct mapped_page){ .inode = model.file[f], .index = offset / PAGE + p - at, .prot = prot,
								 .locked = flags & MAP_LOCKED,
								 .kind = flags & MAP_NORESERVE ? KIND_NORESERVE : 0 });
	}
	if (!ret && flags & (MAP_LOCKED | MAP_POPULATE))
		model_populate(w, at, pages);
	model_forget_files();
	return answer(ret);
}

result model_unmap(u64 w, u64 at, u64 pages)
{
	if (!pages)
		return answer(-EINVAL);
	if (model.in_child)
		return answer(0);
	for (u64 p = at; p < at + pages; p++)
		model.mapped[w][p] = nothing_mapped();
	model_forget_files();
	return answer(0);
}

result model_protect(u64 w, u64 at, u64 pages, u64 prot)
{
	for (u64 p = at; p < at + pages; p++) {
		struct mapped_page m = model.mapped[w][p];

		if (m.inode < 0)
			return answer(-ENOMEM);
		if (prot & PROT_EXEC)
			return answer(-EACCES);
		if (m.prot == prot)
			continue;
		m.prot = prot;
		model_change(w, p, m);
	}
	return answer(0);
}

static s64 populate_advice(u64 w, u64 at, u64 pages, u64 need)
{
	for (u64 p = at; p < at + pages; p++) {
		if (model.mapped[w][p].inode < 0)
			return -ENOMEM;
		if (!(model.mapped[w][p].prot & need))
			return -EINVAL;
		if (model.mapped[w][p].guard || !model_usable(&model.mapped[w][p]))
			return -EFAULT;
	}
	return 0;
}

static s64 advise_page(struct mapped_page *m, u64 advice)
{
	switch (advice) {
	case MADV_NORMAL:
		m->kind &= ~(u64)KIND_ACCESS;
		return 0;
	case MADV_RANDOM: case MADV_SEQUENTIAL:
		m->kind = (m->kind & ~(u64)KIND_ACCESS) | (advice == MADV_RANDOM ? KIND_RANDOM : KIND_SEQUENTIAL);
		return 0;
	case MADV_HUGEPAGE: case MADV_NOHUGEPAGE:
		m->kind = (m->kind & ~(u64)KIND_SIZE) | (advice == MADV_HUGEPAGE ? KIND_HUGE : KIND_NOHUGE);
		return 0;
	case MADV_DONTDUMP:
		m->kind |= KIND_NODUMP;
		return 0;
	case MADV_DODUMP:
		m->kind &= ~(u64)KIND_NODUMP;
		return 0;
	case MADV_DONTNEED: case MADV_COLD: case MADV_PAGEOUT:
		return m->locked ? -EINVAL : 0;
	case MADV_REMOVE:
		if (m->locked)
			return -EINVAL;
		model_punch(&model.inodes[m->inode], m->index, 1);
		return 0;
	case MADV_FREE: case MADV_WIPEONFORK: case 25: /* COLLAPSE */
		return -EINVAL;
	case MADV_DONTFORK:
		m->stays = true;
		return 0;
	case MADV_DOFORK:
		m->stays = false;
		return 0;
	case 102: /* GUARD_INSTALL */
		if (m->locked)
			return -EINVAL;
		m->guard = true;
		return 0;
	case 103:
		m->guard = false;
		return 0;
	default:
		return 0;
	}
}

result model_advise(u64 w, u64 at, u64 pages, u64 advice)
{
	s64 hole = 0;

	if (advice == 77 || (advice >= 5 && advice <= 7) || advice == 26)
		return answer(-EINVAL);
	if (!pages)
		return answer(0);
	if (advice == 22 || advice == 23)
		return answer(populate_advice(w, at, pages, advice == 22 ? PROT_READ : PROT_WRITE));
	for (u64 p = at; p < at + pages; p++) {
		struct mapped_page m = model.mapped[w][p], before = m;
		s64 ret = m.inode < 0 ? 0 : advise_page(&m, advice);

		if (ret)
			return answer(ret);
		if (m.inode < 0)
			hole = -ENOMEM;
		else if (m.kind != before.kind || m.stays != before.stays)
			model_change(w, p, m);
		else
			model.mapped[w][p] = m;
	}
	return answer(hole);
}

static s64 set_locked(u64 w, u64 at, u64 pages, bool locked)
{
	for (u64 p = at; p < at + pages; p++) {
		struct mapped_page m = model.mapped[w][p];

		if (m.inode < 0)
			return -ENOMEM;
		if (m.locked == locked)
			continue;
		m.locked = locked;
		model_change(w, p, m);
	}
	return 0;
}

result model_lock(u64 w, u64 at, u64 pages)
{
	if (set_locked(w, at, pages, true))
		return answer(-ENOMEM);
	for (u64 p = at; p < at + pages; p++)
		if (!model.mapped[w][p].prot || model.mapped[w][p].guard || !model_usable(&model.mapped[w][p]))
			return answer(-ENOMEM);
	return answer(0);
}

result model_unlock(u64 w, u64 at, u64 pages)
{
	return answer(set_locked(w, at, pages, false));
}

result model_sync_range(u64 w, u64 at, u64 pages, u64 flags)
{
	s64 hole = 0;

	if (flags & ~7ULL || (flags & MS_ASYNC && flags & MS_SYNC))
		return answer(-EINVAL);
	for (u64 p = at; p < at + pages; p++) {
		if (model.mapped[w][p].inode < 0) {
			if (flags == MS_ASYNC)
				return answer(-ENOMEM);
			hole = -ENOMEM;
			continue;
		}
		if (flags & MS_INVALIDATE && model.mapped[w][p].locked)
			return answer(-EBUSY);
		if (flags & MS_SYNC)
			return answer(-EINVAL);
	}
	return answer(hole);
}

result model_resident(u64 w, u64 at, u64 pages)
{
	result ret = answer(0);

	for (u64 p = 0; p < pages; p++) {
		const struct mapped_page *m = &model.mapped[w][at + p];

		if (m->inode < 0) {
			ret.ret = -ENOMEM;
			return ret;
		}
		if (m->index < model.inodes[m->inode].size / PAGE && m->index < FILE_PAGES && model.inodes[m->inode].page[m->index].used)
			ret.aux |= 1ULL << p;
	}
	return ret;
}
