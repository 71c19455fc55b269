// SPDX-License-Identifier: MIT
/*
 * core/resolve.c - which memory serves a guest's access
 *
 * Theory of operation.  "Private" is a property of the guest frame: the VM's
 * attribute, or with the in-place switch the state of the file's page that a
 * slot binds there, whatever the VM's type.  An access is private where its
 * frame is, in a VM that has private memory; in any other it is shared.  Then, in
 * the kernel's order:
 *   RES-0  an access that is not what its frame is: a memory fault;
 *   RES-1  no slot: a memory fault when private, else MMIO;
 *   RES-2  private without a guest_memfd: memory fault;
 *   RES-3  private, or a slot that is served by its file alone: the file's page,
 *	    or a memory fault when the file is gone;
 *   RES-4  else userspace_addr; a write to a read-only slot is MMIO.
 * What KVM accesses by itself follows RES-4 whatever the frame is (core_resolve_own()).
 *
 * The slots and attributes must not change meanwhile; page states may.
 */
#include "core/vm.h"

static u64 file_page(const struct core_slot *slot, u64 gpa)
{
	return (slot->file_offset + (gpa - slot->gpa)) >> RT_PAGE_SHIFT;
}

static bool frame_is_private(const struct core_vm *vm, const struct core_slot *slot, u64 gpa)
{
	if (!vm->sys->in_place)
		return core_vm_attributes(vm, gpa >> RT_PAGE_SHIFT) & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	/* A slot lies within its file wherever the switch exists: signed_offset_bug is older. */
	if (!slot || !slot->file)
		return false;
	return core_store_is_private(&slot->file->store, file_page(slot, gpa));
}

static void resolve_hva(const struct core_slot *slot, u64 gpa, bool write, struct core_place *ret)
{
	ret->backing = write && (slot->flags & KVM_MEM_READONLY) ? CORE_BACKING_MMIO : CORE_BACKING_HVA;
	ret->hva = slot->hva + (gpa - slot->gpa);
}

void core_resolve(const struct core_vm *vm, unsigned space, u64 gpa, bool write, struct core_place *ret)
{
	const struct core_slot *slot = core_memslot_by_gpa(vm, space, gpa);
	bool private_frame = frame_is_private(vm, slot, gpa);

	*ret = (struct core_place){ .slot = slot, .is_private = private_frame && core_type_has_private(vm->type) };
	if (ret->is_private)
		ret->fault_flags = KVM_MEMORY_ATTRIBUTE_PRIVATE;
	if (ret->is_private != private_frame) {
		ret->backing = CORE_BACKING_FAULT;
		return;
	}
	if (!slot) {
		ret->backing = ret->is_private ? CORE_BACKING_FAULT : CORE_BACKING_MMIO;
		return;
	}
	if (ret->is_private || slot->gmem_only) {
		/* A slot that never had a file has none here either: RES-2.  Signed sums let one reach beyond its file. */
		ret->page = file_page(slot, gpa);
		ret->backing = slot->file && ret->page < slot->file->size >> RT_PAGE_SHIFT ? CORE_BACKING_FILE :
											      CORE_BACKING_FAULT;
		return;
	}
	resolve_hva(slot, gpa, write, ret);
}

u64 core_resolve_run(const struct core_vm *vm, unsigned space, u64 gpa, u64 limit, struct core_place *ret)
{
	const struct core_slot *next;
	u64 end = limit, gfns;

	core_resolve(vm, space, gpa, false, ret);
	/* With the switch on, or in a VM without private memory, there are no attributes: no end. */
	gfns = core_vm_attributes_end(vm, gpa >> RT_PAGE_SHIFT);
	if (gfns < end >> RT_PAGE_SHIFT)
		end = gfns << RT_PAGE_SHIFT;
	if (ret->slot) {
		end = rt_min(end, ret->slot->gpa + ret->slot->size);
		if (ret->backing == CORE_BACKING_FILE)
			end = rt_min(end, gpa + ret->slot->file->size - (ret->page << RT_PAGE_SHIFT));
		return end;
	}
	next = core_memslot_next(vm, space, gpa);
	return next ? rt_min(end, next->gpa) : end;
}

void core_resolve_own(const struct core_vm *vm, unsigned space, u64 gpa, bool write, struct core_place *ret)
{
	const struct core_slot *slot = core_memslot_by_gpa(vm, space, gpa);

	*ret = (struct core_place){ .slot = slot, .backing = CORE_BACKING_MMIO };
	if (slot)
		resolve_hva(slot, gpa, write, ret);
}
