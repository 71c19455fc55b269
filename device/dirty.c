// SPDX-License-Identifier: MIT
/*
 * device/dirty.c - dirty pages: bitmaps and rings
 *
 * A slot that logs is mapped for reading; the first write to a page is asked
 * for, noted, and from then on goes unseen until the CPUs forget (world_resume()).
 */
#include <asm/errno.h>

#include "device/internal.h"
#include "device/real.h"
#include "device/world.h"
#include "rt/alloc.h"
#include "rt/string.h"
#include "rt/user.h"

#define RING_RESERVED 64U

static struct kvm_dirty_gfn *ring_of(struct dev_vcpu *v)
{
	return (struct kvm_dirty_gfn *)((char *)v->run + KVM_DIRTY_LOG_PAGE_OFFSET * RT_PAGE_SIZE);
}

bool dev_dirty_ring_full(const struct dev_vcpu *v)
{
	return v->ring_size && v->ring_head - v->ring_reset >= v->ring_size - RING_RESERVED;
}

void dev_dirty_mark(struct dev_vcpu *v, const struct core_slot *slot, u64 gpa)
{
	struct kvm_dirty_gfn *entry;

	if (!v->ring_size) {
		core_dirty_mark(slot, gpa);
		return;
	}
	entry = &ring_of(v)[v->ring_head % v->ring_size];
	entry->slot = slot->id;
	entry->offset = (gpa - slot->gpa) >> RT_PAGE_SHIFT;
	__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_DIRTY, __ATOMIC_RELEASE);
	v->ring_head++;
	if (dev_dirty_ring_full(v))
		cpu_kick(v->cpu, CPU_STOP);
}

static u32 reset_ring(struct dev_vcpu *v)
{
	u32 n = 0;

	while (v->ring_reset != v->ring_head) {
		struct kvm_dirty_gfn *entry = &ring_of(v)[v->ring_reset % v->ring_size];

		if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_RESET))
			break;
		__atomic_store_n(&entry->flags, 0, __ATOMIC_RELEASE);
		v->ring_reset++;
		n++;
	}
	return n;
}

long dev_vm_reset_dirty_rings(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	long n = 0;

	if (!vm->core.dirty_ring)
		return core_refuse(err, RULE_DIRTY_RING_SIZE, 0, "size", 0, 0);
	rt_lock(&dev_slots_lock);
	world_stop(vm);
	for (struct dev_vcpu *v = vm->vcpus; v; v = v->next)
		n += reset_ring(v);
	world_resume(vm, n != 0);
	rt_unlock(&dev_slots_lock);
	return n;
}

/* A copy of the bitmap, which is cleared unless the program does that; with dev_slots_lock held. */
static void take(struct dev_vm *vm, u64 *bitmap, u64 *to, u64 bytes)
{
	if (vm->core.dirty_manual) {
		memcpy(to, bitmap, bytes);
		return;
	}
	world_stop(vm);
	memcpy(to, bitmap, bytes);
	memset(bitmap, 0, bytes);
	world_resume(vm, true);
}

long dev_vm_get_dirty_log(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	const struct kvm_dirty_log *log = copy;
	u64 bytes = 0, *taken = NULL;
	long ret;

	rt_lock(&dev_slots_lock);
	ret = core_dirty_log_check(&vm->core, log->slot, &bytes, err);
	if (ret == 0) {
		taken = rt_alloc(bytes);
		ret = taken ? 0 : -ENOMEM;
	}
	if (ret == 0)
		ret = dev_real_harvest(vm);
	if (ret == 0)
		take(vm, core_memslot_by_id(&vm->core, log->slot)->dirty, taken, bytes);
	rt_unlock(&dev_slots_lock);
	if (ret == 0)
		ret = rt_copy_out((u64)(uintptr_t)log->dirty_bitmap, taken, bytes);
	rt_free(taken, bytes);
	return ret;
}

static void clear_bits(struct dev_vm *vm, const struct kvm_clear_dirty_log *log, const u64 *mask)
{
	u64 *bitmap = core_memslot_by_id(&vm->core, log->slot)->dirty + log->first_page / 64;

	world_stop(vm);
	for (u64 i = 0; i < rt_align_up(log->num_pages, 64) / 64; i++)
		bitmap[i] &= ~mask[i];
	world_resume(vm, true);
}

long dev_vm_clear_dirty_log(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	const struct kvm_clear_dirty_log *log = copy;
	u64 bytes = 0, room = rt_align_up(log->num_pages, 64) / 8, *mask = rt_alloc(room ? room : 8);
	long ret;

	if (!mask)
		return -ENOMEM;
	/* The copy may sleep in a page fault: before the lock, but its failure is told after the checks. */
	ret = rt_copy_in(mask, (u64)(uintptr_t)log->dirty_bitmap, room);
	rt_lock(&dev_slots_lock);
	if (core_dirty_clear_check(&vm->core, log->slot, log->first_page, log->num_pages, &bytes, err) < 0)
		ret = -err->error;
	else if (ret == 0)
		ret = dev_real_harvest(vm);
	if (ret == 0)
		clear_bits(vm, log, mask);
	rt_unlock(&dev_slots_lock);
	rt_free(mask, room ? room : 8);
	return ret;
}
