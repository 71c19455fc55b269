// SPDX-License-Identifier: MIT
/*
 * host/poison.c - emulated memory errors
 *
 * A poisoned page is listed in the control page, for all processes, and denied in every view
 * although its state is unchanged: the states say whose page it is, the list that it is
 * broken.  host_fault() tells the two apart.  Punching the page heals it.
 *
 *  POISON-1  The list changes under the file lock; readers need none: an entry is the page's
 *	      number plus one, written by a single store.
 *  POISON-2  Whatever opens pages of a view denies the listed ones again before it returns.
 */
#include "host/engine.h"
#include "host/peer.h"

bool host_poisoned(const struct host_file *file, u64 page)
{
	const struct host_control *control = file->control;

	for (u32 i = 0; control->poison_used && i < HOST_POISON_MAX; i++) {
		if (control->poison[i] == page + 1)
			return true;
	}
	return false;
}

u64 host_poison_next(const struct host_file *file, u64 page, u64 end)
{
	const struct host_control *control = file->control;

	for (u32 i = 0; control->poison_used && i < HOST_POISON_MAX; i++) {
		if (control->poison[i] > page && control->poison[i] - 1 < end)
			end = control->poison[i] - 1;
	}
	return end;
}

int host_poison(struct host_file *file, u64 page)
{
	struct host_control *control = file->control;
	struct rt_pages range = { page, 1 };
	int ret;

	if (host_poisoned(file, page))
		return 0;
	for (u32 i = 0; i < HOST_POISON_MAX; i++) {
		if (control->poison[i])
			continue;
		ret = host_convert_begin(file, range, true);
		if (ret)
			return ret;
		control->poison[i] = page + 1;
		control->poison_used++;
		host_convert_end(file, range, true);
		return 0;
	}
	return -ENOSPC;
}

/* With the table lock held. */
void host_poison_deny(struct host_file *file, struct rt_pages range)
{
	struct host_control *control = file->control;

	for (u32 i = 0; control->poison_used && i < HOST_POISON_MAX; i++) {
		struct rt_pages page = { control->poison[i] - 1, 1 };

		/* A denial that fails leaves the page readable, as if the error had not struck yet. */
		if (control->poison[i] && page.first - range.first < range.count)
			host_views_deny(file, page);
	}
}

void host_poison_heal(struct host_file *file, struct rt_pages range)
{
	struct host_control *control = file->control;

	for (u32 i = 0; control->poison_used && i < HOST_POISON_MAX; i++) {
		struct rt_pages page = { control->poison[i] - 1, 1 };

		if (!control->poison[i] || page.first - range.first >= range.count)
			continue;
		control->poison[i] = 0;
		control->poison_used--;
		if (core_store_is_private(&file->store, page.first))
			continue;
		/* Open again where the state says so, in all processes. */
		if (host_convert_begin(file, page, false) == 0)
			host_convert_end(file, page, false);
	}
}
