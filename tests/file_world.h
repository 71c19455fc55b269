/* SPDX-License-Identifier: MIT */
/*
 * tests/file_world.h - a VM of some profile and one file of it, for tests of files
 */
#ifndef GMEM_TESTS_FILE_WORLD_H
#define GMEM_TESTS_FILE_WORLD_H

#include <asm/errno.h>
#include <sys/mman.h>

#include "core/vm.h"
#include "tests/core_mem.h"
#include "tests/tap.h"

#define PG	4096ULL
#define CLAMP63 0x7ffffffffffff000ULL

struct world {
	struct core_sys sys;
	struct core_vm vm;
	struct core_file file;
	void *window;
	size_t window_size;
	struct core_err err;
};

/* param: gmem_in_place_conversion, -1 for the profile's own. */
static inline void world_init(struct world *w, const char *profile, int param, unsigned type, u64 pages, u64 flags)
{
	const struct core_profile *p = core_profile_find(profile);
	const struct kvm_create_guest_memfd args = { .size = pages * PG, .flags = flags };

	*w = (struct world){ .window_size = core_store_window_size(pages) };
	w->window = mmap(NULL, w->window_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			 0);
	if (!p || w->window == MAP_FAILED || core_sys_init(&w->sys, p, &core_shape_mainline, p->known_vm_types, param) ||
	    core_vm_init(&w->vm, &w->sys, &test_mem, type))
		abort();
	core_file_init(&w->file, &w->vm, &args, w->window);
}

/* Returns the bytes that were not given back. */
static inline long world_fini(struct world *w)
{
	core_file_fini(&w->file);
	core_vm_fini(&w->vm);
	munmap(w->window, w->window_size);
	return mem_live;
}

/* Whether a call that returned `ret` was refused with this errno by this rule, and recorded it. */
static inline int refused_by(const struct world *w, long ret, int error, enum core_rule_id rule)
{
	if (ret == -error && w->err.rule == rule && w->err.error == error)
		return 1;
	diag("returned %ld, expected %d; rule %s, expected %s", ret, -error, core_rules[w->err.rule].slug,
	     core_rules[rule].slug);
	return 0;
}

#define refused(w, call, errno_, rule_, ...)                                                                           \
	do {                                                                                                           \
		(w)->err = (struct core_err){ .rule = RULE_NONE };                                                     \
		ok(refused_by((w), (call), (errno_), (rule_)), __VA_ARGS__);                                           \
	} while (0)

#endif
