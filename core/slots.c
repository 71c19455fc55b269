// SPDX-License-Identifier: MIT
/*
 * core/slots.c - index of a VM's memslots
 *
 * Per address space a table of leaves by id, and an array of pointers sorted
 * by guest physical address.  Lookup by id is two loads, by address a binary
 * search.  An insertion moves what lies above it: VMMs create slots in
 * ascending order, where that is nothing.
 */
#include "core/slots.h"

#include <asm/errno.h>

#include "core/array.h"
#include "rt/string.h"

#define LEAF_SIZE (CORE_SLOT_LEAF * sizeof(struct core_slot *))

int core_slots_init(struct core_vm *vm)
{
	vm->slots = vm->mem->alloc(sizeof(*vm->slots));
	return vm->slots ? 0 : -ENOMEM;
}

static void space_fini(const struct core_vm *vm, struct core_slot_space *space)
{
	const struct core_mem *mem = vm->mem;

	for (unsigned i = 0; i < space->nr; i++) {
		core_dirty_stop(vm, space->by_gpa[i]);
		mem->free(space->by_gpa[i], sizeof(struct core_slot));
	}
	mem->free(space->by_gpa, space->cap * sizeof(*space->by_gpa));
	for (unsigned i = 0; i < CORE_SLOT_LEAVES; i++)
		mem->free(space->by_id[i], LEAF_SIZE);
}

void core_slots_fini(struct core_vm *vm)
{
	if (!vm->slots)
		return;
	for (unsigned i = 0; i < CORE_ADDRESS_SPACES; i++)
		space_fini(vm, &vm->slots->space[i]);
	vm->mem->free(vm->slots, sizeof(*vm->slots));
	vm->slots = NULL;
}

static struct core_slot_space *space_of(const struct core_vm *vm, u32 id)
{
	return &vm->slots->space[core_slot_space_nr(id)];
}

struct core_slot *core_slots_find(const struct core_vm *vm, u32 id)
{
	unsigned index = core_slot_index(id);
	struct core_slot **leaf;

	if (core_slot_space_nr(id) >= CORE_ADDRESS_SPACES || index >= CORE_NR_MEMSLOTS)
		return NULL;
	leaf = space_of(vm, id)->by_id[index / CORE_SLOT_LEAF];
	return leaf ? leaf[index % CORE_SLOT_LEAF] : NULL;
}

/* Index of the first slot that ends above gpa; space->nr when there is none. */
static unsigned first_ending_above(const struct core_slot_space *space, u64 gpa)
{
	unsigned low = 0, high = space->nr;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		const struct core_slot *slot = space->by_gpa[middle];

		if (slot->gpa + slot->size > gpa)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct core_slot *core_slots_overlap(const struct core_vm *vm, u32 id, u64 gpa, u64 size)
{
	const struct core_slot_space *space = space_of(vm, id);

	/* At most one of the candidates is id's own slot, so this looks at no more than two that meet the range. */
	for (unsigned i = first_ending_above(space, gpa); i < space->nr; i++) {
		struct core_slot *slot = space->by_gpa[i];

		if (slot->gpa >= gpa + size)
			return NULL;
		if (slot->id != id)
			return slot;
	}
	return NULL;
}

int core_slots_reserve(struct core_vm *vm, u32 id)
{
	struct core_slot_space *space = space_of(vm, id);
	struct core_slot ***leaf = &space->by_id[core_slot_index(id) / CORE_SLOT_LEAF];
	struct core_slot **grown;

	grown = core_array_grown(vm->mem, space->by_gpa, &space->cap, space->nr + 1, sizeof(*space->by_gpa));
	if (!grown)
		return -ENOMEM;
	space->by_gpa = grown;
	/* An empty leaf that an attempt leaves behind is no state: the next slot near it uses it. */
	if (!*leaf)
		*leaf = vm->mem->alloc(LEAF_SIZE);
	return *leaf ? 0 : -ENOMEM;
}

void core_slots_insert(struct core_vm *vm, struct core_slot *slot)
{
	struct core_slot_space *space = space_of(vm, slot->id);
	unsigned at = first_ending_above(space, slot->gpa);
	unsigned index = core_slot_index(slot->id);

	memmove(&space->by_gpa[at + 1], &space->by_gpa[at], (space->nr - at) * sizeof(*space->by_gpa));
	space->by_gpa[at] = slot;
	space->nr++;
	space->by_id[index / CORE_SLOT_LEAF][index % CORE_SLOT_LEAF] = slot;
}

void core_slots_remove(struct core_vm *vm, struct core_slot *slot)
{
	struct core_slot_space *space = space_of(vm, slot->id);
	unsigned at = first_ending_above(space, slot->gpa);
	unsigned index = core_slot_index(slot->id);

	space->nr--;
	memmove(&space->by_gpa[at], &space->by_gpa[at + 1], (space->nr - at) * sizeof(*space->by_gpa));
	space->by_id[index / CORE_SLOT_LEAF][index % CORE_SLOT_LEAF] = NULL;
}

const struct core_slot *core_memslot_by_id(const struct core_vm *vm, u32 id)
{
	return core_slots_find(vm, id);
}

const struct core_slot *core_memslot_next(const struct core_vm *vm, unsigned address_space, u64 gpa)
{
	const struct core_slot_space *space;
	unsigned at;

	if (address_space >= CORE_ADDRESS_SPACES)
		return NULL;
	space = &vm->slots->space[address_space];
	at = first_ending_above(space, gpa);
	return at < space->nr ? space->by_gpa[at] : NULL;
}

const struct core_slot *core_memslot_by_gpa(const struct core_vm *vm, unsigned address_space, u64 gpa)
{
	const struct core_slot *slot = core_memslot_next(vm, address_space, gpa);

	return slot && slot->gpa <= gpa ? slot : NULL;
}
