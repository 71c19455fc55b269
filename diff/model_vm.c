// SPDX-License-Identifier: MIT
/*
 * diff/model_vm.c - VMs, capabilities and memslots of the naive model
 */
#include "diff/model.h"

#include <errno.h>

static uint32_t vm_types(void)
{
	return model.kernel->types & 3;
}

unsigned model_spaces(unsigned type)
{
	return type_is_private(type) ? 1 : 2;
}

u64 model_creation_flags(unsigned type)
{
	if (!model.kernel->mappable)
		return 0;
	return type_is_private(type) && !model.kernel->in_place ? 1 : 3;
}

result model_new_vm(u64 v, u64 type)
{
	if (model.vm[v] >= 0)
		return answer(SKIPPED);
	if (type >= 32 || !(vm_types() >> type & 1))
		return answer(-EINVAL);
	model.vm[v] = model.instance_count++;
	model.instances[model.vm[v]].type = (unsigned)type;
	for (int s = 0; s < SLOTS; s++)
		model.instances[model.vm[v]].slot[s].inode = -1;
	return answer(0);
}

result model_close_vm(u64 v)
{
	if (model.vm[v] < 0)
		return answer(SKIPPED);
	model.vm[v] = -1;
	return answer(0);
}

result model_capability(u64 v, u64 number)
{
	const bool device = v >= VMS;
	unsigned type = 0;

	if (!device && model.vm[v] < 0)
		return answer(SKIPPED);
	if (!device && model.in_child)
		return answer(-EIO);
	if (!device)
		type = model.instances[model.vm[v]].type;
	switch (number) {
	case 3: case 16: case 21: case 30: case 81: case 105: return answer(1);
	case 10: return answer(32764);
	case 168: return answer(3);
	case 118: return answer(device ? 2 : model_spaces(type));
	case 201: return answer(0x1000);
	case 231: case 232: return answer(model.kernel->gmem);
	case 233:
		return answer(model.kernel->gmem && model.kernel->vm_attributes && !model.kernel->in_place && (device || type_is_private(type)) ? 8 : 0);
	case 234: return answer(model.kernel->gmem && (device || model.kernel->gmem_for_all || type_is_private(type)));
	case 235: return answer(model.kernel->typed ? vm_types() : 0);
	case 236: return answer(model.kernel->pre_fault);
	case 244: return answer((s64)model_creation_flags(type));
	case 252: return answer(model.kernel->in_place && (device || type_is_private(type)) ? 8 : 0);
	default: return answer(0);
	}
}

static bool meet(u64 a, u64 a_size, u64 b, u64 b_size)
{
	return a < b + b_size && b < a + a_size;
}

struct memslot *model_find_slot(struct instance *v, unsigned space, unsigned id)
{
	for (int s = 0; s < SLOTS; s++)
		if (v->slot[s].used && v->slot[s].space == space && v->slot[s].id == id)
			return &v->slot[s];
	return NULL;
}

static s64 bind(int v, const struct memslot *new, u64 f, int *ret)
{
	struct inode *inode;

	if (f == FILES)
		return -EBADF;
	if (f > FILES)
		return -EINVAL;
	inode = &model.inodes[model.file[f]];
	if (inode->vm != v)
		return -EINVAL;
	if (model.kernel->signed_sum) {
		if ((s64)new->offset < 0 || (s64)(new->offset + new->size) > (s64)inode->size)
			return -EINVAL;
	} else if (new->offset + new->size > inode->size) {
		return -EINVAL;
	}
	*ret = model.file[f];
	for (int s = 0; s < SLOTS; s++) {
		const struct memslot *other = &model.instances[v].slot[s];

		if (other->used && other->inode == model.file[f] && meet(other->offset, other->size, new->offset, new->size))
			return -model.kernel->conflict;
	}
	return 0;
}

/* The dirty bitmap lives as long as the flag is set; a new one may begin with all pages. */
static u64 log_of(const struct instance *v, const struct memslot *old, u64 flags, u64 size)
{
	const u64 pages = size / PAGE;

	if (!(flags & 1))
		return 0;
	if (old && old->flags & 1)
		return old->dirty;
	return !(v->manual & 2) ? 0 : pages < 64 ? (1ULL << pages) - 1 : ~0ULL;
}

static s64 set_slot(int v, u64 number, u64 flags, u64 gpa, u64 size, u64 hva, u64 f, u64 offset)
{
	struct instance *instance = &model.instances[v];
	struct memslot new = { .used = true, .space = (unsigned)(number >> 16), .id = number & 0xffff, .gpa = gpa, .size = size,
			       .hva = hva, .flags = flags, .inode = -1 };
	const bool with_file = flags & 4;
	u64 allowed = with_file ? 0 : 3, limit = model.kernel->sign_hva ? INT64_MAX : HVA_LIMIT;
	struct memslot *old;
	int inode = -1;
	s64 ret = 0;

	if (model.kernel->gmem && (model.kernel->gmem_for_all || type_is_private(instance->type)))
		allowed |= 4;
	if (new.id >= 32764 || flags & ~allowed)
		return -EINVAL;
	if (size % PAGE || gpa % PAGE || hva % PAGE)
		return -EINVAL;
	if (hva + size < hva || hva + size > limit)
		return -EINVAL;
	if (with_file && (offset % PAGE || offset + size < offset))
		return -EINVAL;
	if (new.space >= model_spaces(instance->type) || gpa + size < gpa || size / PAGE > 0x7fffffff)
		return -EINVAL;
	old = model_find_slot(instance, new.space, new.id);
	if (!size) {
		if (!old)
			return -EINVAL;
		*old = (struct memslot){ .inode = -1 };
		return 0;
	}
	if (old) {
		if (with_file || hva != old->hva || size != old->size || (flags ^ old->flags) & 6)
			return -EINVAL;
		if (gpa == old->gpa) {
			old->dirty = log_of(instance, old, flags, size);
			old->flags = flags;
			return 0;
		}
	}
	for (int s = 0; s < SLOTS; s++) {
		const struct memslot *other = &instance->slot[s];

		if (other->used && other != old && other->space == new.space && meet(gpa, size, other->gpa, other->size))
			return -EEXIST;
	}
	new.offset = offset;
	if (with_file)
		ret = bind(v, &new, f, &inode);
	/* Newer kernels look for the conflict last. */
	if (gpa + size > GPA_LIMIT && (!ret || (model.kernel->late_conflict && ret == -EEXIST)))
		return -EINVAL;
	if (ret)
		return ret;
	new.inode = inode;
	new.with_file = with_file;
	new.file_only = with_file && (model.kernel->in_place || model.inodes[inode].flags & 1);
	new.dirty = log_of(instance, old, flags, size);
	for (int s = 0; !old; s++)
		if (!instance->slot[s].used)
			old = &instance->slot[s];
	*old = new;
	return 0;
}

result model_slot(u64 v, u64 id, u64 flags, u64 gpa, u64 size, u64 hva, u64 f, u64 offset)
{
	if (model.vm[v] < 0 || (f < FILES && model.file[f] < 0))
		return answer(SKIPPED);
	if (!model.kernel->gmem)
		return answer(-ENOTTY);
	return answer(set_slot(model.vm[v], (uint32_t)id, (uint32_t)flags, gpa, size, hva, f, offset));
}

result model_slot1(u64 v, u64 id, u64 flags, u64 gpa, u64 size, u64 hva)
{
	if (model.vm[v] < 0)
		return answer(SKIPPED);
	if ((uint32_t)flags & ~3U)
		return answer(-EINVAL);
	return answer(set_slot(model.vm[v], (uint32_t)id, (uint32_t)flags, gpa, size, hva, FILES, 0));
}

result model_attributes(u64 v, u64 address, u64 size, u64 value, u64 flags)
{
	struct instance *i;

	if (model.vm[v] < 0)
		return answer(SKIPPED);
	if (!model.kernel->vm_attributes)
		return answer(-ENOTTY);
	if (flags || value & ~(type_is_private(model.instances[model.vm[v]].type) && !model.kernel->in_place ? 8ULL : 0))
		return answer(-EINVAL);
	if (!size || address + size <= address || address % PAGE || size % PAGE)
		return answer(-EINVAL);
	i = &model.instances[model.vm[v]];
	i->attribute[i->attribute_count++] = (struct range){ address, address + size - 1, value != 0 };
	return answer(0);
}

result model_enable(u64 v, u64 number, u64 flags, u64 arg)
{
	if (model.vm[v] < 0)
		return answer(SKIPPED);
	if ((uint32_t)flags)
		return answer(-EINVAL);
	if (number == 168 && !(arg & ~(arg & 1 ? 3ULL : 1ULL))) {
		model.instances[model.vm[v]].manual = arg;
		return answer(0);
	}
	return answer(number == 201 && !(arg & ~0x1000ULL) ? 0 : -EINVAL);
}

result model_mmu_pages(u64 v, u64 pages)
{
	if (model.vm[v] < 0)
		return answer(SKIPPED);
	return answer(pages < 64 ? -EINVAL : 0);
}
