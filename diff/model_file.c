// SPDX-License-Identifier: MIT
/*
 * diff/model_file.c - files of the naive model: creation, fallocate, conversion
 */
#include "diff/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

result model_new_file(u64 f, u64 v, u64 size, u64 flags)
{
	struct inode *inode;

	if (model.file[f] >= 0 || model.vm[v] < 0)
		return answer(SKIPPED);
	if (!model.kernel->gmem)
		return answer(-ENOTTY);
	if (flags & ~model_creation_flags(model.instances[model.vm[v]].type) || (s64)size <= 0 || size % PAGE)
		return answer(-EINVAL);
	model.file[f] = model.inode_count++;
	inode = &model.inodes[model.file[f]];
	*inode = (struct inode){ .live = true, .vm = model.vm[v], .size = size, .flags = flags };
	for (int p = 0; p < FILE_PAGES; p++)
		inode->page[p].private = !(flags & 2);
	return answer(0);
}

result model_close_file(u64 f)
{
	if (model.file[f] < 0)
		return answer(SKIPPED);
	model.file[f] = -1;
	model_forget_files();
	return answer(0);
}

result model_dup_file(u64 f, u64 g)
{
	if (model.file[f] < 0 || model.file[g] >= 0)
		return answer(SKIPPED);
	model.file[g] = model.file[f];
	return answer(0);
}

result model_pass_file(u64 f, u64 g, u64 forked)
{
	return model_dup_file(f, g);
}

void model_punch(struct inode *inode, u64 first, u64 count)
{
	for (u64 p = first; p < first + count && p < FILE_PAGES; p++) {
		free(inode->page[p].bytes);
		inode->page[p].bytes = NULL;
		inode->page[p].used = inode->page[p].struck = false;
	}
}

static bool generic_mode(u64 mode)
{
	const u64 operation = mode & 0xfa; /* PUNCH 2, COLLAPSE 8, ZERO 16, INSERT 32, UNSHARE 64, WRITE_ZEROES 128 */

	if (mode & ~0xfbULL)
		return false;
	switch (operation) {
	case 0: case 16: case 64: return true;
	case 2: return mode & 1;
	case 8: case 32: return !(mode & 1);
	case 128: return model.kernel->write_zeroes && !(mode & 1);
	default: return false;
	}
}

result model_allocate(u64 f, u64 mode, u64 offset, u64 size)
{
	mode = (uint32_t)mode;
	if (model.file[f] < 0 || (mode == 1 && size > 64ULL << 20 && (s64)size > 0))
		return answer(SKIPPED);
	if ((s64)offset < 0 || (s64)size <= 0)
		return answer(-EINVAL);
	if (!generic_mode(mode) && model.kernel->modes_by_flag && !(mode & ~0x7bULL) && (mode & 3) != 2 && (mode & 0x12) != 0x12)
		return answer(-EINVAL);
	if (!generic_mode(mode))
		return answer(-EOPNOTSUPP);
	if ((s64)(offset + size) < 0)
		return answer(-EFBIG);
	if (mode != 1 && mode != 3)
		return answer(-EOPNOTSUPP);
	if (offset % PAGE || size % PAGE)
		return answer(-EINVAL);
	if (mode == 1)
		return answer(offset + size > model.inodes[model.file[f]].size ? -EINVAL : 0);
	model_punch(&model.inodes[model.file[f]], offset / PAGE, size / PAGE);
	return answer(0);
}

result model_stat_file(u64 f)
{
	const unsigned mode = 0100600;
	result ret = answer(0);

	if (model.file[f] < 0)
		return answer(SKIPPED);
	ret.aux = model_hash(model.inodes[model.file[f]].size, &mode, sizeof(mode)) + 1 * 5 + PAGE * 7;
	return ret;
}

result model_file_call(u64 f, u64 which)
{
	static const s64 answers[16] = { -EINVAL, -EINVAL, -ESPIPE, -EINVAL, -ESPIPE, -EINVAL, -EINVAL, -EINVAL,
					 -EINVAL, -EINVAL, -ENOTTY, -EINVAL, -ENOTTY, -ENOTTY, 0x8002,	5 };

	if (model.file[f] < 0)
		return answer(SKIPPED);
	if (model.kernel->old_calls && (which == 9 || which == 10))
		return answer(0);
	return answer(answers[which]);
}

result model_odd_call(u64 f, u64 which)
{
	static const s64 answers[32] = { -EINVAL, -EINVAL, -ESPIPE, -ESPIPE, -EINVAL, 0, 0, 0, -EOPNOTSUPP, -EOPNOTSUPP,
					 -EINVAL, -EINVAL, -EINVAL, 0, 0, -EPERM, -ENOTDIR, -ENOTDIR, -ENOTDIR, -EINVAL,
					 -ESPIPE, -EINVAL, -EXDEV, -EINVAL, -EXDEV, -ESPIPE, -EINVAL, -ESPIPE, -EINVAL, -ENOTTY,
					 -EINVAL, 0x8c02 };
	result ret;

	if (model.file[f] < 0)
		return answer(SKIPPED);
	ret = answer(answers[which]);
	if (which == 13)
		ret.aux = PAGE;
	return ret;
}

static s64 set_private(struct inode *inode, u64 offset, u64 size, u64 value, u64 flags, u64 word, u64 *error_offset)
{
	if (!model.kernel->in_place)
		return -ENOTTY;
	if (flags || word < 11 || !type_is_private(model.instances[inode->vm].type) || value & ~8ULL)
		return -EINVAL;
	if (!size || offset + size < offset || offset % PAGE || size % PAGE)
		return -EINVAL;
	if (offset >= inode->size || offset + size > inode->size)
		return -EINVAL;
	/* What is held is shared, so that the range as a whole is not private already. */
	for (u64 p = offset / PAGE; value && p < (offset + size) / PAGE && p < FILE_PAGES; p++) {
		if (!inode->page[p].pins)
			continue;
		*error_offset = p * PAGE;
		return -EAGAIN;
	}
	for (u64 p = offset / PAGE; p < (offset + size) / PAGE && p < FILE_PAGES; p++)
		inode->page[p].private = value != 0;
	return 0;
}

result model_convert(u64 f, u64 offset, u64 size, u64 value, u64 flags, u64 word)
{
	result ret;

	if (model.file[f] < 0)
		return answer(SKIPPED);
	ret = answer(0);
	ret.aux = 0x1234;
	ret.ret = set_private(&model.inodes[model.file[f]], offset, size, value, flags, word, &ret.aux);
	return ret;
}

/* The page at an offset that the model keeps, NULL beyond the end. */
static struct file_page *page_at(u64 f, u64 offset, bool *skip)
{
	struct inode *inode = &model.inodes[model.file[f]];

	*skip = offset >= 64 * PAGE && offset < inode->size;
	return *skip || offset >= inode->size ? NULL : &inode->page[offset / PAGE];
}

result model_pin(u64 f, u64 offset, u64 on)
{
	struct file_page *page;
	bool skip;

	if (model.file[f] < 0)
		return answer(SKIPPED);
	page = page_at(f, offset, &skip);
	if (skip)
		return answer(SKIPPED);
	if (!page || (on ? page->private : !page->pins))
		return answer(-EINVAL);
	page->pins += on ? 1 : -1U;
	return answer(0);
}

result model_strike(u64 f, u64 offset)
{
	struct file_page *page;
	bool skip;

	if (model.file[f] < 0)
		return answer(SKIPPED);
	page = page_at(f, offset, &skip);
	if (skip)
		return answer(SKIPPED);
	if (!page)
		return answer(-EINVAL);
	page->struck = true;
	return answer(0);
}
