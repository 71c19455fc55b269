// SPDX-License-Identifier: MIT
/*
 * device/advice.c - madvise(2) on mappings of guest_memfd files
 */
#include <linux/mman.h>

#include "device/internal.h"
#include "rt/syscall.h"

/* Punch what the views in the range show; other mappings in it get the same advice from the kernel. */
static long remove_range(char *addr, u64 len)
{
	char *at = addr, *end = addr + len;
	struct host_piece piece;
	long ret;

	while (at < end && host_view_next(at, end, &piece)) {
		struct rt_pages range = { piece.off >> RT_PAGE_SHIFT, piece.len >> RT_PAGE_SHIFT };
		u64 pages = piece.file->size >> RT_PAGE_SHIFT;

		if (piece.addr > at) {
			ret = rt_madvise(at, (size_t)(piece.addr - at), MADV_REMOVE);
			if (ret < 0)
				return ret;
		}
		if (piece.locked)
			return -EINVAL;
		range.count = range.first < pages ? rt_min(range.count, pages - range.first) : 0;
		host_file_lock(piece.file);
		ret = range.count ? host_file_punch(piece.file, range) : 0;
		host_file_unlock(piece.file);
		if (ret < 0)
			return ret;
		at = piece.addr + piece.len;
	}
	return at < end ? rt_madvise(at, (size_t)(end - at), MADV_REMOVE) : 0;
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
