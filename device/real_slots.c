// SPDX-License-Identifier: MIT
/*
 * device/real_slots.c - the memslots of the real VM follow what gmem's mean (REAL-1)
 *
 * The wanted slots are written down, in order of address, and compared with those that there are:
 * what is not wanted goes, what stays may change its logging, what is missing is made.
 */
#include <linux/mman.h>

#include "core/array.h"
#include "device/internal.h"
#include "device/real.h"
#include "rt/alloc.h"
#include "rt/format.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define NOTHING_SIZE (256ULL << 30)
#define USER_END     0x7ffffffff000ULL
/* Private frames without any slot cost the kernel memory for the slots that stand for them. */
#define FAULTS_MAX   (1ULL << 40)

/* Addresses where nothing can be touched; any number of slots may lie on them. */
static u8 *nothing;

void dev_real_forked(void)
{
	nothing = NULL;
}

/* With dev_slots_lock held. */
static int make_nothing(void)
{
	long ret;

	if (nothing)
		return 0;
	ret = rt_mmap(NULL, NOTHING_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (rt_is_err(ret))
		return (int)ret;
	rt_syscall_raw(__NR_madvise, ret, (long)NOTHING_SIZE, MADV_DONTFORK, 0, 0, 0);
	nothing = (u8 *)ret;
	return 0;
}

/* ---- what is wanted ---- */

static int want(struct dev_real *real, unsigned space, u64 gpa, u64 size, u64 hva, u32 flags)
{
	struct dev_real_slot *grown = core_array_grown(&dev_mem, real->wanted, &real->cap_wanted, real->nr_wanted + 1,
						       sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	real->wanted = grown;
	grown[real->nr_wanted++] = (struct dev_real_slot){ gpa, size, hva, flags, space << 16 };
	return 0;
}

static int want_nothing(struct dev_real *real, unsigned space, u64 gpa, u64 end)
{
	int ret = end - gpa > FAULTS_MAX ? -E2BIG : make_nothing();

	while (ret == 0 && gpa < end) {
		u64 size = rt_min(end - gpa, NOTHING_SIZE);

		ret = want(real, space, gpa, size, (u64)(uintptr_t)nothing, 0);
		gpa += size;
	}
	return ret;
}

static int want_file(struct dev_real *real, unsigned space, u64 gpa, u64 end, const struct core_place *place)
{
	struct host_file *file = &RT_CONTAINER_OF(place->slot->file, struct dev_gmem, core)->host;
	u64 page = place->page;
	int ret = 0;

	while (ret == 0 && gpa < end) {
		u64 room = HOST_GUEST_WINDOW - ((page << RT_PAGE_SHIFT) & (HOST_GUEST_WINDOW - 1));
		u64 pages = rt_min(end - gpa, room) >> RT_PAGE_SHIFT;
		u8 *host = host_guest_page(file, page);

		if (!host)
			return -ENOMEM;
		if (host_poisoned(file, page)) {
			pages = 1;
			ret = want_nothing(real, space, gpa, gpa + RT_PAGE_SIZE);
		} else {
			pages = host_poison_next(file, page, page + pages) - page;
			ret = want(real, space, gpa, pages << RT_PAGE_SHIFT, (u64)(uintptr_t)host, 0);
		}
		gpa += pages << RT_PAGE_SHIFT;
		page += pages;
	}
	return ret;
}

static int want_run(struct dev_real *real, unsigned space, u64 gpa, u64 end, const struct core_place *place)
{
	switch (place->backing) {
	case CORE_BACKING_MMIO:
		return 0;
	case CORE_BACKING_FAULT:
		return want_nothing(real, space, gpa, end);
	case CORE_BACKING_FILE:
		return want_file(real, space, gpa, end, place);
	case CORE_BACKING_HVA:
		break;
	}
	/* Old kernels take addresses that are none. */
	if (place->hva >= USER_END)
		return want_nothing(real, space, gpa, end);
	return want(real, space, gpa, end - gpa, place->hva,
		    place->slot->flags & (KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES));
}

static int want_all(struct dev_vm *vm)
{
	const u64 limit = 1ULL << vm->core.sys->shape.gpa_bits;
	struct dev_real *real = vm->real;
	struct core_place place;
	int ret = 0;

	real->nr_wanted = 0;
	for (unsigned space = 0; space < real->spaces; space++) {
		for (u64 gpa = 0, end; ret == 0 && gpa < limit; gpa = end) {
			end = core_resolve_run(&vm->core, space, gpa, limit, &place);
			ret = want_run(real, space, gpa, end, &place);
		}
	}
	return ret;
}

/* ---- what there is ---- */

static int set_slot(struct dev_real *real, const struct dev_real_slot *slot, u64 size)
{
	const struct kvm_userspace_memory_region region = { .slot = slot->id, .flags = slot->flags,
							    .guest_phys_addr = slot->gpa, .memory_size = size,
							    .userspace_addr = slot->hva };

	return (int)rt_syscall_raw(__NR_ioctl, real->fd, KVM_SET_USER_MEMORY_REGION, (long)&region, 0, 0, 0);
}

static bool same_place(const struct dev_real_slot *a, const struct dev_real_slot *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->hva == b->hva && a->id >> 16 == b->id >> 16 &&
	       (a->flags & KVM_MEM_READONLY) == (b->flags & KVM_MEM_READONLY);
}

static bool comes_before(const struct dev_real_slot *a, const struct dev_real_slot *b)
{
	return a->id >> 16 != b->id >> 16 ? a->id >> 16 < b->id >> 16 : a->gpa < b->gpa;
}

static int take_number(struct dev_real *real, u32 *ret)
{
	for (u32 i = 0; i < real->max_slots; i += 64) {
		u32 n = i + (u32)__builtin_ctzll(~real->used[i / 64]);

		if (real->used[i / 64] == ~0ULL || n >= real->max_slots)
			continue;
		real->used[i / 64] |= 1ULL << (n % 64);
		*ret = n;
		return 0;
	}
	return -ENOSPC;
}

/* Slots that stay get their number in the wanted list, the others go. */
static int remove_unwanted(struct dev_real *real)
{
	unsigned at = 0;
	int ret = 0;

	for (unsigned i = 0; i < real->nr; i++) {
		struct dev_real_slot *slot = &real->slots[i];
		u32 n = slot->id & 0xffff;

		while (at < real->nr_wanted && comes_before(&real->wanted[at], slot))
			at++;
		if (at < real->nr_wanted && same_place(&real->wanted[at], slot)) {
			real->wanted[at].id = slot->id;
			if (real->wanted[at].flags != slot->flags)
				ret = set_slot(real, &real->wanted[at], slot->size);
			slot->size = 0; /* told below: it was there */
		} else {
			ret = set_slot(real, slot, 0);
			real->used[n / 64] &= ~(1ULL << (n % 64));
		}
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int add_missing(struct dev_real *real)
{
	unsigned at = 0;
	u32 n = 0;

	for (unsigned i = 0; i < real->nr_wanted; i++) {
		struct dev_real_slot *slot = &real->wanted[i];
		int ret;

		while (at < real->nr && comes_before(&real->slots[at], slot))
			at++;
		if (at < real->nr && !real->slots[at].size && real->slots[at].id == slot->id &&
		    real->slots[at].gpa == slot->gpa)
			continue;
		ret = take_number(real, &n);
		if (ret < 0)
			return ret;
		slot->id |= n;
		ret = set_slot(real, slot, slot->size);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static void become_wanted(struct dev_real *real)
{
	struct dev_real_slot *slots = real->slots;
	unsigned cap = real->cap;

	real->slots = real->wanted;
	real->nr = real->nr_wanted;
	real->cap = real->cap_wanted;
	real->wanted = slots;
	real->cap_wanted = cap;
	real->nr_wanted = 0;
}

static int follow(struct dev_vm *vm)
{
	int ret = dev_real_harvest(vm);

	if (ret == 0)
		ret = want_all(vm);
	if (ret == 0)
		ret = remove_unwanted(vm->real);
	if (ret == 0)
		ret = add_missing(vm->real);
	if (ret == 0)
		become_wanted(vm->real);
	return ret;
}

static void tell(int error, unsigned nr)
{
	char text[160];

	rt_format(text, sizeof(text), "the real KVM cannot have this guest's memory (%d slots wanted): error %d; --cpu soft can",
		  (int)nr, -error);
	if (dev_config.notice)
		dev_config.notice(text);
}

int dev_real_settle(struct dev_vm *vm)
{
	struct dev_real *real = vm->real;
	int ret;

	if (dev_real_settled(vm) && !real->broken)
		return 0;
	rt_lock(&dev_slots_lock);
	/* Half of the old and half of the new: no way back. */
	if (!real->broken && !dev_real_settled(vm)) {
		real->broken = follow(vm);
		if (real->broken)
			tell(real->broken, real->nr_wanted);
		real->settled = vm->changes;
	}
	ret = real->broken;
	rt_unlock(&dev_slots_lock);
	return ret;
}

/* ---- dirty pages ---- */

static void mark(struct dev_vm *vm, const struct dev_real_slot *slot, const u64 *bitmap)
{
	for (u64 page = 0; page < slot->size >> RT_PAGE_SHIFT; page++) {
		u64 gpa = slot->gpa + (page << RT_PAGE_SHIFT);
		const struct core_slot *model;

		if (!bitmap[page / 64]) {
			page |= 63;
			continue;
		}
		if (!(bitmap[page / 64] >> (page % 64) & 1))
			continue;
		model = core_memslot_by_gpa(&vm->core, slot->id >> 16, gpa);
		if (model && model->dirty)
			core_dirty_mark(model, gpa);
	}
}

static int harvest_slot(struct dev_vm *vm, const struct dev_real_slot *slot)
{
	u64 bytes = rt_align_up(slot->size >> RT_PAGE_SHIFT, 64) / 8, *bitmap = rt_alloc(bytes);
	struct kvm_dirty_log log = { .slot = slot->id };
	long ret;

	if (!bitmap)
		return -ENOMEM;
	log.dirty_bitmap = bitmap;
	ret = rt_syscall_raw(__NR_ioctl, vm->real->fd, KVM_GET_DIRTY_LOG, (long)&log, 0, 0, 0);
	if (ret == 0)
		mark(vm, slot, bitmap);
	rt_free(bitmap, bytes);
	return (int)ret;
}

int dev_real_harvest(struct dev_vm *vm)
{
	int ret = 0;

	for (unsigned i = 0; vm->real && ret == 0 && i < vm->real->nr; i++) {
		if ((vm->real->slots[i].flags & KVM_MEM_LOG_DIRTY_PAGES) && vm->real->slots[i].size)
			ret = harvest_slot(vm, &vm->real->slots[i]);
	}
	return ret;
}
