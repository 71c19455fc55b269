// SPDX-License-Identifier: MIT
/*
 * device/coalesced.c - writes to devices that are gathered in a ring
 *
 * A VM has one ring, which every vCPU's mapping shows.  Each vCPU's descriptor has pages of its own: the ring
 * is the first vCPU's page, which takes the place of the others' in their mappings.
 */
#include <linux/mman.h>

#include "device/internal.h"
#include "device/world.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define RING_MAX ((RT_PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))

static bool within(const struct kvm_coalesced_mmio_zone *zone, u64 addr, u64 len)
{
	return addr >= zone->addr && !rt_add_wraps(addr, len) && addr + len <= zone->addr + zone->size;
}

static bool in_some_zone(const struct dev_vm *vm, u64 addr, u64 len, bool pio)
{
	for (unsigned i = 0; i < vm->nr_zones; i++) {
		if (vm->zones[i].pio == pio && within(&vm->zones[i], addr, len))
			return true;
	}
	return false;
}

bool dev_coalesce(struct dev_vcpu *v, u64 addr, const void *data, unsigned len, bool pio)
{
	struct dev_vm *vm = v->vm;
	struct kvm_coalesced_mmio_ring *ring;
	struct kvm_coalesced_mmio *entry;
	bool done = false;
	u32 last;

	if (!vm->nr_zones || len > sizeof(entry->data) || !in_some_zone(vm, addr, len, pio))
		return false;
	ring = (struct kvm_coalesced_mmio_ring *)((char *)vm->vcpus->run + KVM_COALESCED_MMIO_PAGE_OFFSET * RT_PAGE_SIZE);
	rt_lock(&vm->ring_lock);
	last = __atomic_load_n(&ring->last, __ATOMIC_RELAXED);
	/* The program can write anything into the ring. */
	if (last < RING_MAX && (last + 1) % RING_MAX != __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE)) {
		entry = &ring->coalesced_mmio[last];
		entry->phys_addr = addr;
		entry->len = len;
		memcpy(entry->data, data, len);
		entry->pio = pio;
		__atomic_store_n(&ring->last, (last + 1) % RING_MAX, __ATOMIC_RELEASE);
		done = true;
	}
	rt_unlock(&vm->ring_lock);
	return done;
}

/* The head of the list stays what it is while there is a vCPU. */
int dev_vcpu_show_ring(struct dev_vcpu *v, void *addr, u64 first, u64 pages, int prot)
{
	const u64 at = KVM_COALESCED_MMIO_PAGE_OFFSET;
	struct dev_vcpu *owner = v->vm->vcpus;
	char *ring = (char *)owner->run + at * RT_PAGE_SIZE, *to = (char *)addr + (at - first) * RT_PAGE_SIZE;

	if (owner == v || at < first || at - first >= pages)
		return 0;
	/* Of size 0: a second mapping of the same pages. */
	if (rt_is_err(rt_syscall(__NR_mremap, ring, 0, RT_PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to)))
		return -ENOMEM;
	if (prot != (PROT_READ | PROT_WRITE))
		rt_syscall_raw(__NR_mprotect, (long)to, RT_PAGE_SIZE, prot, 0, 0, 0);
	return 0;
}

long dev_vm_register_coalesced(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	const struct kvm_coalesced_mmio_zone *zone = copy;
	long ret = 0;

	if (zone->pio > 1)
		return core_refuse(err, RULE_ZONE_KIND, 0, "pio", zone->pio, 1);
	rt_lock(&dev_slots_lock);
	world_stop(vm);
	if (vm->nr_zones == DEV_ZONES)
		ret = core_refuse(err, RULE_ZONE_ROOM, 0, "zones", vm->nr_zones, DEV_ZONES);
	else
		vm->zones[vm->nr_zones++] = *zone;
	world_resume(vm, false);
	rt_unlock(&dev_slots_lock);
	return ret;
}

/* All zones that contain the given one. */
long dev_vm_unregister_coalesced(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	const struct kvm_coalesced_mmio_zone *zone = copy;
	unsigned n = 0;

	if (zone->pio > 1)
		return core_refuse(err, RULE_ZONE_KIND, 0, "pio", zone->pio, 1);
	rt_lock(&dev_slots_lock);
	world_stop(vm);
	for (unsigned i = 0; i < vm->nr_zones; i++) {
		if (vm->zones[i].pio != zone->pio || !within(&vm->zones[i], zone->addr, zone->size))
			vm->zones[n++] = vm->zones[i];
	}
	vm->nr_zones = n;
	world_resume(vm, false);
	rt_unlock(&dev_slots_lock);
	return 0;
}
