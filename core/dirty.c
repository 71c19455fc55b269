// SPDX-License-Identifier: MIT
/*
 * core/dirty.c - the dirty bitmap of a slot
 *
 * A bit a page, set by vCPUs that run while others read: single atomic
 * operations.  Taking and clearing is done with the vCPUs stopped, so that a write
 * behind it is noted again.
 */
#include <asm/errno.h>

#include "core/slots.h"
#include "rt/string.h"

u64 core_dirty_words(const struct core_slot *slot)
{
	return rt_align_up(slot->size >> RT_PAGE_SHIFT, 64) / 64;
}

int core_dirty_start(const struct core_vm *vm, struct core_slot *slot)
{
	u64 pages = slot->size >> RT_PAGE_SHIFT;

	slot->dirty = vm->mem->alloc(core_dirty_words(slot) * sizeof(u64));
	if (!slot->dirty)
		return -ENOMEM;
	if (!(vm->dirty_manual & KVM_DIRTY_LOG_INITIALLY_SET))
		return 0;
	for (u64 i = 0; i < pages; i++)
		slot->dirty[i / 64] |= 1ULL << (i % 64);
	return 0;
}

void core_dirty_stop(const struct core_vm *vm, struct core_slot *slot)
{
	vm->mem->free(slot->dirty, core_dirty_words(slot) * sizeof(u64));
	slot->dirty = NULL;
}

void core_dirty_mark(const struct core_slot *slot, u64 gpa)
{
	u64 page = (gpa - slot->gpa) >> RT_PAGE_SHIFT;

	if (slot->dirty)
		__atomic_fetch_or(&slot->dirty[page / 64], 1ULL << (page % 64), __ATOMIC_RELAXED);
}

/* KVM_CLEAR_DIRTY_LOG's checks, after KVM_GET_DIRTY_LOG's, which are first but for one. */
int core_dirty_clear_check(const struct core_vm *vm, u32 slot, u64 first, u64 count, u64 *bytes, struct core_err *err)
{
	u64 all, pages;
	int ret;

	if (!vm->dirty_ring && core_slot_space_nr(slot) < core_type_address_spaces(vm->sys, vm->type) &&
	    core_slot_index(slot) < CORE_NR_MEMSLOTS && (first & 63))
		return core_refuse(err, RULE_DIRTY_CLEAR_RANGE, 0, "first_page", first, 64);
	ret = core_dirty_log_check(vm, slot, &all, err);
	if (ret < 0)
		return ret;
	pages = core_slots_find(vm, slot)->size >> RT_PAGE_SHIFT;
	if (first > pages || count > pages - first || (count < pages - first && (count & 63)))
		return core_refuse(err, RULE_DIRTY_CLEAR_RANGE, 0, "num_pages", count, pages);
	*bytes = rt_align_up(count, 64) / 8;
	return 0;
}
