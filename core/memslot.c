// SPDX-License-Identifier: MIT
/*
 * core/memslot.c - KVM_SET_USER_MEMORY_REGION and ..._REGION2
 *
 * Theory of operation.  A request passes through four stages, each a list of
 * checks in the kernel's order; the first that fails decides the answer.
 *
 *   entry      v1's flags, slot id
 *   shape      flags, alignments, limits: also of requests that delete
 *   operation  create, delete, move or change of flags, by what exists
 *   commit     overlap, memory, binding, address limit; then nothing fails
 *
 * Invariants:
 *   SLOT-1  A request that fails changes nothing: no slot, no binding.
 *   SLOT-2  Slots of one address space are disjoint in guest physical addresses,
 *	     slots of one file are disjoint in the file.
 *   SLOT-3  slot->file is set exactly while file->bound holds the slot.
 *   SLOT-4  Overlap of addresses is found before the descriptor is looked at.
 *
 * When the overlap in the file is tested differs: until 7.3.1 with the other
 * checks of the binding, from 7.3.2 after those of the architecture (profile
 * property bind_checked_late).
 */
#include "core/vm.h"

#include <asm/errno.h>

#include "core/limits.h"
#include "core/slots.h"

static u64 legal_flags(const struct core_vm *vm, u32 flags)
{
	if ((flags & KVM_MEM_GUEST_MEMFD) && core_type_has_gmem_slots(vm->sys, vm->type))
		return KVM_MEM_GUEST_MEMFD;
	return KVM_MEM_LOG_DIRTY_PAGES | (core_type_has_readonly(vm->type) ? KVM_MEM_READONLY : 0);
}

/* Highest end that access_ok() takes. */
static u64 hva_limit(const struct core_sys *sys)
{
	return sys->profile->hva_sign_only ? INT64_MAX : sys->shape.hva_limit;
}

/* Checks 5 to 12. */
static int check_shape(const struct core_vm *vm, const struct kvm_userspace_memory_region2 *r,
		       struct core_err *err)
{
	u64 legal = legal_flags(vm, r->flags), limit = hva_limit(vm->sys);
	unsigned spaces = core_type_address_spaces(vm->sys, vm->type);

	if (r->flags & ~legal)
		return core_refuse(err, RULE_SLOT_FLAGS, 0, "flags", r->flags, legal);
	if (!rt_page_aligned(r->memory_size))
		return core_refuse(err, RULE_SLOT_SIZE_ALIGN, 0, "memory_size", r->memory_size, RT_PAGE_SIZE);
	if (!rt_page_aligned(r->guest_phys_addr))
		return core_refuse(err, RULE_SLOT_GPA_ALIGN, 0, "guest_phys_addr", r->guest_phys_addr, RT_PAGE_SIZE);
	if (!rt_page_aligned(r->userspace_addr))
		return core_refuse(err, RULE_SLOT_HVA, 0, "userspace_addr", r->userspace_addr, RT_PAGE_SIZE);
	if (r->userspace_addr > limit || r->memory_size > limit - r->userspace_addr)
		return core_refuse(err, RULE_SLOT_HVA, 0, "userspace_addr", r->userspace_addr, limit);
	if ((r->flags & KVM_MEM_GUEST_MEMFD) && (!rt_page_aligned(r->guest_memfd_offset) ||
						 rt_add_wraps(r->guest_memfd_offset, r->memory_size)))
		return core_refuse(err, RULE_SLOT_OFFSET, 0, "guest_memfd_offset", r->guest_memfd_offset,
				   RT_PAGE_SIZE);
	if (core_slot_space_nr(r->slot) >= spaces)
		return core_refuse(err, RULE_SLOT_SPACE, 0, "slot", r->slot, spaces);
	if (rt_add_wraps(r->guest_phys_addr, r->memory_size))
		return core_refuse(err, RULE_SLOT_GPA_WRAP, 0, "guest_phys_addr", r->guest_phys_addr, r->memory_size);
	if (r->memory_size >> RT_PAGE_SHIFT > CORE_SLOT_MAX_PAGES)
		return core_refuse(err, RULE_SLOT_PAGES, 0, "memory_size", r->memory_size,
				   CORE_SLOT_MAX_PAGES << RT_PAGE_SHIFT);
	return 0;
}

/* What the request asks for, given the slot that has its id (NULL if none does). */
static int decide(const struct kvm_userspace_memory_region2 *r, const struct core_slot *old,
		  enum core_slot_change *change, struct core_err *err)
{
	const u32 fixed = KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD;

	if (!r->memory_size) {
		if (!old)
			return core_refuse(err, RULE_SLOT_DELETE_NONE, 0, "slot", r->slot, 0);
		*change = CORE_SLOT_DELETE;
		return 0;
	}
	if (!old) {
		*change = CORE_SLOT_CREATE;
		return 0;
	}
	if (r->flags & KVM_MEM_GUEST_MEMFD)
		return core_refuse(err, RULE_SLOT_IMMUTABLE, 0, "slot", r->slot, 0);
	if (r->userspace_addr != old->hva)
		return core_refuse(err, RULE_SLOT_MODIFY, 0, "userspace_addr", r->userspace_addr, old->hva);
	if (r->memory_size != old->size)
		return core_refuse(err, RULE_SLOT_MODIFY, 0, "memory_size", r->memory_size, old->size);
	if ((r->flags ^ old->flags) & fixed)
		return core_refuse(err, RULE_SLOT_MODIFY, 0, "flags", r->flags, old->flags);
	if (r->guest_phys_addr != old->gpa)
		*change = CORE_SLOT_MOVE;
	else
		*change = r->flags != old->flags ? CORE_SLOT_FLAGS : CORE_SLOT_NONE;
	return 0;
}

/* Rows d to f.  The sum was signed until 7.1 and may wrap to a negative number, which passes. */
static int check_bind_range(const struct core_file *file, const struct kvm_userspace_memory_region2 *r,
			    struct core_err *err)
{
	u64 offset = r->guest_memfd_offset, end = offset + r->memory_size; /* no wrap: check 9 */

	if (file->vm->sys->profile->signed_offset_bug) {
		if ((s64)offset < 0)
			return core_refuse(err, RULE_BIND_OFFSET, 0, "guest_memfd_offset", offset, INT64_MAX);
		if ((s64)end > (s64)file->size)
			return core_refuse(err, RULE_BIND_SIZE, 0, "guest_memfd_offset", offset, file->size);
		return 0;
	}
	if (end > file->size)
		return core_refuse(err, RULE_BIND_SIZE, 0, "guest_memfd_offset", offset, file->size);
	return 0;
}

/* Row g. */
static int check_bind_conflict(const struct core_file *file, const struct kvm_userspace_memory_region2 *r,
			       struct core_err *err)
{
	const struct core_slot *other = core_binding_overlap(file, r->guest_memfd_offset, r->memory_size);

	if (other)
		return core_refuse(err, RULE_BIND_CONFLICT, file->vm->sys->profile->bind_conflict_errno,
				   "guest_memfd_offset", r->guest_memfd_offset, other->file_offset);
	return 0;
}

/* Rows a to f, and g where it belongs here. */
static int find_file(struct core_vm *vm, const struct kvm_userspace_memory_region2 *r, core_file_lookup *lookup,
		     void *ctx, struct core_file **file, struct core_err *err)
{
	int ret = lookup(ctx, r->guest_memfd, file);

	if (ret == -EINVAL)
		return core_refuse(err, RULE_BIND_KIND, 0, "guest_memfd", r->guest_memfd, 0);
	if (ret < 0)
		return core_refuse(err, RULE_BIND_FD, -ret, "guest_memfd", r->guest_memfd, 0);
	if ((*file)->vm != vm)
		return core_refuse(err, RULE_BIND_VM, 0, "guest_memfd", r->guest_memfd, 0);
	ret = check_bind_range(*file, r, err);
	if (ret < 0 || vm->sys->profile->bind_checked_late)
		return ret;
	return check_bind_conflict(*file, r, err);
}

/* Check 16: the architecture's, for what gets a new place. */
static int check_gpa_limit(const struct core_vm *vm, const struct kvm_userspace_memory_region2 *r,
			   struct core_err *err)
{
	const struct core_shape *shape = &vm->sys->shape;
	u64 limit = 1ULL << (shape->tdp ? shape->gpa_bits : CORE_GPA_BITS_SHADOW);

	if (r->guest_phys_addr + r->memory_size > limit)
		return core_refuse(err, RULE_SLOT_GPA_LIMIT, 0, "guest_phys_addr", r->guest_phys_addr, limit);
	return 0;
}

static int check_overlap(const struct core_vm *vm, const struct kvm_userspace_memory_region2 *r,
			 struct core_err *err)
{
	const struct core_slot *other = core_slots_overlap(vm, r->slot, r->guest_phys_addr, r->memory_size);

	if (other)
		return core_refuse(err, RULE_SLOT_GPA_OVERLAP, 0, "guest_phys_addr", r->guest_phys_addr, other->gpa);
	return 0;
}

/* With the switch on whatever has a file is served from it alone, else only what can be mapped. */
static bool is_gmem_only(const struct core_sys *sys, const struct core_file *file)
{
	return sys->in_place || (file->flags & GUEST_MEMFD_FLAG_MMAP);
}

/* A bitmap, where the slot logs and no ring does. */
static int start_logging(const struct core_vm *vm, struct core_slot *slot)
{
	if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES) || slot->dirty || vm->dirty_ring)
		return 0;
	return core_dirty_start(vm, slot);
}

/* Checks 15 to 17 and the insertion.  Takes slot on success. */
static int create_checked(struct core_vm *vm, const struct kvm_userspace_memory_region2 *r, struct core_slot *slot,
			  core_file_lookup *lookup, void *ctx, struct core_err *err)
{
	struct core_file *file = NULL;
	int ret;

	if (r->flags & KVM_MEM_GUEST_MEMFD) {
		ret = find_file(vm, r, lookup, ctx, &file, err);
		if (ret < 0)
			return ret;
	}
	ret = check_gpa_limit(vm, r, err);
	if (ret < 0)
		return ret;
	if (core_slots_reserve(vm, r->slot) < 0)
		return core_refuse(err, RULE_SLOT_MEMORY, 0, "slot", r->slot, 0);
	if (file) {
		/* The place from 7.3.2 on; generations before have looked already and find none here either. */
		ret = check_bind_conflict(file, r, err);
		if (ret < 0)
			return ret;
		if (core_binding_reserve(file) < 0)
			return core_refuse(err, RULE_BIND_MEMORY, 0, "guest_memfd", r->guest_memfd, 0);
	}

	*slot = (struct core_slot){
		.id = r->slot,
		.flags = r->flags,
		.gpa = r->guest_phys_addr,
		.size = r->memory_size,
		.hva = r->userspace_addr,
		.has_gmem = file != NULL,
		.gmem_only = file && is_gmem_only(vm->sys, file),
		.file = file,
		.file_offset = r->guest_memfd_offset, /* says nothing without a file */
	};
	if (start_logging(vm, slot) < 0)
		return core_refuse(err, RULE_SLOT_MEMORY, 0, "slot", r->slot, 0);
	core_slots_insert(vm, slot);
	if (file)
		core_binding_insert(file, slot);
	return 0;
}

static int create(struct core_vm *vm, const struct kvm_userspace_memory_region2 *r, core_file_lookup *lookup,
		  void *ctx, struct core_err *err)
{
	struct core_slot *slot;
	int ret = check_overlap(vm, r, err);

	if (ret < 0)
		return ret;
	slot = vm->mem->alloc(sizeof(*slot));
	if (!slot)
		return core_refuse(err, RULE_SLOT_MEMORY, 0, "slot", r->slot, 0);
	ret = create_checked(vm, r, slot, lookup, ctx, err);
	if (ret < 0)
		vm->mem->free(slot, sizeof(*slot));
	return ret;
}

static int change_flags(struct core_vm *vm, const struct kvm_userspace_memory_region2 *r, struct core_slot *slot,
			struct core_err *err)
{
	u32 old = slot->flags;

	slot->flags = r->flags;
	if (start_logging(vm, slot) < 0) {
		slot->flags = old;
		return core_refuse(err, RULE_SLOT_MEMORY, 0, "slot", r->slot, 0);
	}
	if (!(r->flags & KVM_MEM_LOG_DIRTY_PAGES))
		core_dirty_stop(vm, slot);
	return 0;
}

/* A new place, and new logging of dirty pages with it if asked for. */
static int move(struct core_vm *vm, const struct kvm_userspace_memory_region2 *r, struct core_slot *slot,
		struct core_err *err)
{
	int ret = check_overlap(vm, r, err);

	if (ret == 0)
		ret = check_gpa_limit(vm, r, err);
	if (ret == 0)
		ret = change_flags(vm, r, slot, err);
	if (ret < 0)
		return ret;
	core_slots_remove(vm, slot);
	slot->gpa = r->guest_phys_addr;
	core_slots_insert(vm, slot);
	return 0;
}

static void delete(struct core_vm *vm, struct core_slot *slot)
{
	if (slot->file)
		core_binding_remove(slot->file, slot);
	core_slots_remove(vm, slot);
	core_dirty_stop(vm, slot);
	vm->mem->free(slot, sizeof(*slot));
}

int core_memslot_set(struct core_vm *vm, const struct kvm_userspace_memory_region2 *region, int version,
		     core_file_lookup *lookup, void *ctx, struct core_slot_effect *effect, struct core_err *err)
{
	const u32 v1_flags = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;
	enum core_slot_change change = CORE_SLOT_NONE;
	struct core_slot_effect done;
	struct core_slot *old;
	int ret;

	if (version == 1 && (region->flags & ~v1_flags))
		return core_refuse(err, RULE_SLOT_V1_FLAGS, 0, "flags", region->flags, v1_flags);
	if (core_slot_index(region->slot) >= CORE_NR_MEMSLOTS)
		return core_refuse(err, RULE_SLOT_ID, 0, "slot", core_slot_index(region->slot), CORE_NR_MEMSLOTS);
	ret = check_shape(vm, region, err);
	if (ret < 0)
		return ret;
	old = core_slots_find(vm, region->slot);
	ret = decide(region, old, &change, err);
	if (ret < 0)
		return ret;

	done = (struct core_slot_effect){ change, old ? old->gpa : region->guest_phys_addr, region->guest_phys_addr,
					  old ? old->size : region->memory_size };
	switch (change) {
	case CORE_SLOT_NONE:
		break;
	case CORE_SLOT_CREATE:
		ret = create(vm, region, lookup, ctx, err);
		break;
	case CORE_SLOT_DELETE:
		delete(vm, old);
		break;
	case CORE_SLOT_MOVE:
		ret = move(vm, region, old, err);
		break;
	case CORE_SLOT_FLAGS:
		ret = change_flags(vm, region, old, err);
		break;
	}
	if (ret == 0 && effect)
		*effect = done;
	return ret;
}

int core_dirty_log_check(const struct core_vm *vm, u32 slot, u64 *bytes, struct core_err *err)
{
	const struct core_slot *s;

	if (vm->dirty_ring)
		return core_refuse(err, RULE_DIRTY_LOG_RING, 0, "slot", slot, 0);
	if (core_slot_space_nr(slot) >= core_type_address_spaces(vm->sys, vm->type) ||
	    core_slot_index(slot) >= CORE_NR_MEMSLOTS)
		return core_refuse(err, RULE_DIRTY_LOG_ID, 0, "slot", slot, CORE_NR_MEMSLOTS);
	s = core_slots_find(vm, slot);
	if (!s || !(s->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return core_refuse(err, RULE_DIRTY_LOG_NONE, 0, "slot", slot, 0);
	/* One bit a page, in whole words. */
	*bytes = rt_align_up(s->size >> RT_PAGE_SHIFT, 64) / 8;
	return 0;
}
