// SPDX-License-Identifier: MIT
/*
 * diff/model_log.c - the naive model: copies of VMs' descriptors, the dirty log, arguments that cannot be read
 */
#include "diff/model.h"

#include <errno.h>

result model_dup_vm(u64 v, u64 u)
{
	if (model.vm[v] < 0 || model.vm[u] >= 0)
		return answer(SKIPPED);
	model.vm[u] = model.vm[v];
	return answer(0);
}

/* The slot whose log is asked for, or NULL with the errno. */
static struct memslot *logged(u64 v, u64 id, s64 *ret)
{
	struct instance *instance = &model.instances[model.vm[v]];
	const unsigned space = (uint32_t)id >> 16, number = id & 0xffff;
	struct memslot *s;

	*ret = -EINVAL;
	if (space >= model_spaces(instance->type) || number >= 32764)
		return NULL;
	*ret = -ENOENT;
	s = model_find_slot(instance, space, number);
	return s && s->flags & 1 ? s : NULL;
}

result model_dirty_log(u64 v, u64 id)
{
	u64 bitmap[16] = { 0 };
	struct memslot *s;
	result ret;

	if (model.vm[v] < 0)
		return answer(SKIPPED);
	ret = answer(0);
	s = logged(v, id, &ret.ret);
	if (s) {
		ret.ret = 0;
		bitmap[0] = s->dirty;
		if (!(model.instances[model.vm[v]].manual & 1))
			s->dirty = 0;
	}
	ret.aux = model_hash(0, bitmap, sizeof(bitmap));
	return ret;
}

result model_clear_log(u64 v, u64 id, u64 first, u64 pages, u64 mask)
{
	struct memslot *s;
	u64 total;
	s64 ret;

	if (model.vm[v] < 0)
		return answer(SKIPPED);
	pages = (uint32_t)pages;
	s = logged(v, id, &ret);
	if (first % 64 && ret != -EINVAL)
		return answer(-EINVAL);
	if (!s)
		return answer(ret);
	total = s->size / PAGE;
	if (first > total || pages > total - first || (pages < total - first && pages % 64))
		return answer(-EINVAL);
	/* No slot of a sequence has more than 64 pages. */
	if (!first && pages)
		s->dirty &= ~mask;
	return answer(0);
}

/* The commands of calls_vm.h, in their order. */
static bool known(u64 which)
{
	switch (which) {
	case 0: case 2: return model.kernel->gmem;
	case 3: return model.kernel->vm_attributes;
	case 7: return model.kernel->in_place;
	default: return which < 8;
	}
}

result model_argument(u64 object, u64 which, u64 how)
{
	static const unsigned char objects[] = { 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2 };

	if ((objects[which] == 0 && model.vm[object % VMS] < 0) || (objects[which] == 1 && model.file[object % FILES] < 0))
		return answer(SKIPPED);
	if (!known(which))
		return answer(objects[which] == 2 ? -EINVAL : -ENOTTY);
	return answer(how == 2 ? -EINVAL : -EFAULT);
}

result model_number(u64 v, u64 which, u64 value)
{
	const bool device = v >= VMS;

	if ((!device && model.vm[v] < 0) || (which == 4 && device))
		return answer(SKIPPED);
	if (which == 2)
		return answer(0); /* a capability that nobody knows */
	if (!device)
		return answer(-ENOTTY);
	if (which > 1 || value)
		return answer(-EINVAL);
	return answer(which ? 3 * (s64)PAGE : 12);
}
