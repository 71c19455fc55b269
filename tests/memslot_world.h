/* SPDX-License-Identifier: MIT */
/*
 * tests/memslot_world.h - a VM, some files and descriptors for tests of memslots
 */
#ifndef GMEM_TESTS_MEMSLOT_WORLD_H
#define GMEM_TESTS_MEMSLOT_WORLD_H

#include <errno.h>

#include "core/vm.h"
#include "tests/core_mem.h"
#include "tests/tap.h"

#define PG	   4096ULL
#define FILE_PAGES 16
#define HVA	   0x10000000ULL
#define CLAMP63	   0x7ffffffffffff000ULL
#define GPA_LIMIT  (1ULL << 48)
#define HVA_LIMIT  0x7ffffffff000ULL

/* Descriptors of the world. */
enum { FD_FILE = 3, FD_SECOND, FD_FOREIGN, FD_NOT_GMEM, FD_CLOSED };

struct world {
	struct core_sys sys;
	struct core_vm vm, other_vm;
	struct core_file file, second, foreign;
	unsigned lookups;
	struct core_err err;
	struct core_slot_effect effect;
};

static inline int world_lookup(void *ctx, u32 fd, struct core_file **ret)
{
	struct world *w = ctx;

	w->lookups++;
	switch (fd) {
	case FD_FILE:
		*ret = &w->file;
		return 0;
	case FD_SECOND:
		*ret = &w->second;
		return 0;
	case FD_FOREIGN:
		*ret = &w->foreign;
		return 0;
	case FD_NOT_GMEM:
		return -EINVAL;
	}
	return -EBADF;
}

/* param: -1 for the default; flags: of all the files. */
static inline void world_init(struct world *w, const char *profile, int param, unsigned type, u64 flags)
{
	const struct core_profile *p = core_profile_find(profile);

	*w = (struct world){ .lookups = 0 };
	if (core_sys_init(&w->sys, p, &core_shape_mainline, p->known_vm_types, param) < 0 ||
	    core_vm_init(&w->vm, &w->sys, &test_mem, type) < 0 ||
	    core_vm_init(&w->other_vm, &w->sys, &test_mem, type) < 0)
		abort();
	w->file = (struct core_file){ .vm = &w->vm, .size = FILE_PAGES * PG, .flags = flags };
	w->second = (struct core_file){ .vm = &w->vm, .size = FILE_PAGES * PG, .flags = flags };
	w->foreign = (struct core_file){ .vm = &w->other_vm, .size = FILE_PAGES * PG, .flags = flags };
}

/* Returns the bytes that were not given back. */
static inline long world_fini(struct world *w)
{
	core_file_fini(&w->file);
	core_file_fini(&w->second);
	core_file_fini(&w->foreign);
	core_vm_fini(&w->vm);
	core_vm_fini(&w->other_vm);
	return mem_live;
}

static inline int world_set(struct world *w, int version, const struct kvm_userspace_memory_region2 *r)
{
	w->effect = (struct core_slot_effect){ CORE_SLOT_NONE, 0, 0, 0 };
	w->err = (struct core_err){ .rule = RULE_NONE };
	return core_memslot_set(&w->vm, r, version, world_lookup, w, &w->effect, &w->err);
}

/* A slot of host memory. */
static inline int set_plain(struct world *w, u32 slot, u32 flags, u64 gpa, u64 size, u64 hva)
{
	const struct kvm_userspace_memory_region2 r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = hva
	};

	return world_set(w, 1, &r);
}

static inline int set_gmem(struct world *w, u32 slot, u64 gpa, u64 size, u32 fd, u64 offset)
{
	const struct kvm_userspace_memory_region2 r = {
		.slot = slot, .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = HVA, .guest_memfd = fd, .guest_memfd_offset = offset
	};

	return world_set(w, 2, &r);
}

/* Deleting as the selftests do: all else zero, the descriptor -1. */
static inline int delete_slot(struct world *w, u32 slot)
{
	const struct kvm_userspace_memory_region2 r = { .slot = slot, .guest_memfd = ~0U };

	return world_set(w, 2, &r);
}

#endif
