// SPDX-License-Identifier: MIT
/*
 * device/advice.c - madvise(2) on mappings of guest_memfd files
 */
#include <linux/mman.h>

#include "device/internal.h"
#include "rt/syscall.h"

/* The part of a view that lies within the file. */
static long remove_piece(const struct host_piece *piece)
{
	struct rt_pages range = { piece->off >> RT_PAGE_SHIFT, piece->len >> RT_PAGE_SHIFT };
	u64 pages = piece->file->size >> RT_PAGE_SHIFT;
	long ret;

	if (piece->locked)
		return -EINVAL;
	range.count = range.first < pages ? rt_min(range.count, pages - range.first) : 0;
	ret = host_file_lock(piece->file);
	if (ret)
		return ret;
	if (range.count)
		ret = host_file_punch(piece->file, range);
	host_file_unlock(piece->file);
	return ret;
}

/*
 * Punch what the views in the range show; other mappings in it get the same advice
 * from the kernel.  As there, holes between mappings are remembered and passed over.
 */
static long remove_range(char *addr, u64 len)
{
	char *at = addr, *end = addr + len;
	long ret, unmapped = 0;
	struct host_piece piece;

	while (at < end) {
		bool found = host_view_next(at, end, &piece);
		char *stop = found ? piece.addr : end;

		ret = stop > at ? rt_madvise(at, (size_t)(stop - at), MADV_REMOVE) : 0;
		if (ret == -ENOMEM)
			unmapped = ret;
		else if (ret < 0)
			return ret;
		ret = found ? remove_piece(&piece) : 0;
		if (ret < 0)
			return ret;
		at = found ? piece.addr + piece.len : end;
	}
	return unmapped;
}

long dev_madvise(void *addr, u64 len, int advice, struct core_err *err)
{
	int error = 0;
	enum core_advice class = core_advice_class(dev_config.sys.profile, advice, &error);

	len = rt_align_up(len, RT_PAGE_SIZE);
	if (!rt_page_aligned((u64)(uintptr_t)addr))
		return core_refuse(err, RULE_MADVISE_ADVICE, EINVAL, "addr", (u64)(uintptr_t)addr, RT_PAGE_SIZE);
	/* Of a known advice nothing is asked when nothing is meant. */
	if (!len && core_advice_known(advice))
		return 0;
	switch (class) {
	case CORE_ADVICE_PASS:
		return host_madvise_pass(addr, len, advice);
	case CORE_ADVICE_DROP:
		return host_madvise_drop(addr, len, advice);
	case CORE_ADVICE_REMOVE:
		return remove_range(addr, len);
	case CORE_ADVICE_POPULATE:
		return host_madvise_populate(addr, len, advice);
	case CORE_ADVICE_GUARD:
		return host_madvise_guard(addr, len, advice);
	case CORE_ADVICE_REFUSE:
		break;
	}
	return core_refuse(err, RULE_MADVISE_ADVICE, error, "advice", (u64)advice, 0);
}
