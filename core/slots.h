/* SPDX-License-Identifier: MIT */
/*
 * core/slots.h - where memslots are found: by id, by address, by file page
 *
 * Private to core/.  A slot is allocated by core/memslot.c and owned by the
 * index once inserted.  Insertion is split in two, so that a caller can make sure
 * that it cannot fail before he changes anything.
 */
#ifndef GMEM_CORE_SLOTS_H
#define GMEM_CORE_SLOTS_H

#include "core/limits.h"
#include "core/vm.h"

#define CORE_SLOT_LEAF	  128U /* slots a leaf of the index by id */
#define CORE_SLOT_LEAVES  ((CORE_NR_MEMSLOTS + CORE_SLOT_LEAF - 1) / CORE_SLOT_LEAF)

/* One address space. */
struct core_slot_space {
	struct core_slot **by_id[CORE_SLOT_LEAVES]; /* leaves, NULL until needed */
	struct core_slot **by_gpa;		    /* sorted, disjoint */
	unsigned nr, cap;
};

struct core_slots {
	struct core_slot_space space[CORE_ADDRESS_SPACES];
};

static inline unsigned core_slot_index(u32 id)
{
	return id & 0xffff;
}

static inline unsigned core_slot_space_nr(u32 id)
{
	return id >> 16;
}

int core_slots_init(struct core_vm *vm);
void core_slots_fini(struct core_vm *vm);

/* id must name an existing address space and be below CORE_NR_MEMSLOTS for all but find. */
struct core_slot *core_slots_find(const struct core_vm *vm, u32 id);
/* A slot of id's address space, other than id's own, that meets [gpa, gpa + size); NULL if none. size > 0. */
struct core_slot *core_slots_overlap(const struct core_vm *vm, u32 id, u64 gpa, u64 size);
/* Room for one more slot of that id: 0 or -ENOMEM. */
int core_slots_reserve(struct core_vm *vm, u32 id);
void core_slots_insert(struct core_vm *vm, struct core_slot *slot);
/* Takes the slot out; the caller frees it or inserts it elsewhere, which cannot fail. */
void core_slots_remove(struct core_vm *vm, struct core_slot *slot);

/* The same for a file's bindings, core/binding.c: slot->file_offset and size say which pages. */
struct core_slot *core_binding_overlap(const struct core_file *file, u64 offset, u64 size);
int core_binding_reserve(struct core_file *file);
void core_binding_insert(struct core_file *file, struct core_slot *slot);
void core_binding_remove(struct core_file *file, const struct core_slot *slot);

#endif
