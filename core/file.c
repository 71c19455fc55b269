// SPDX-License-Identifier: MIT
/*
 * core/file.c - guest_memfd files: creation, page states, pins
 *
 * A page's state belongs to the file's offset and lives in the store; a file
 * whose states can never change (no conversion in the profile) has them there
 * all the same.  Which slots bind which pages is core/binding.c's.
 */
#include <asm/errno.h>

#include "core/array.h"
#include "core/vm.h"
#include "rt/string.h"

static u64 file_pages(const struct core_file *file)
{
	return file->size >> RT_PAGE_SHIFT;
}

int core_file_check(const struct core_vm *vm, const struct kvm_create_guest_memfd *args, struct core_err *err)
{
	u64 flags = core_type_gmem_flags(vm->sys, vm->type);

	/* The reserved words are not looked at, in any kernel. */
	if (args->flags & ~flags)
		return core_refuse(err, RULE_CREATE_FLAGS, 0, "flags", args->flags, flags);
	if ((s64)args->size <= 0)
		return core_refuse(err, RULE_CREATE_SIZE, 0, "size", args->size, 0);
	if (!rt_page_aligned(args->size))
		return core_refuse(err, RULE_CREATE_SIZE_ALIGN, 0, "size", args->size, RT_PAGE_SIZE);
	return 0;
}

static void file_setup(struct core_file *file, struct core_vm *vm, const struct kvm_create_guest_memfd *args)
{
	memset(file, 0, sizeof(*file));
	file->vm = vm;
	file->size = args->size;
	file->flags = args->flags;
}

void core_file_init(struct core_file *file, struct core_vm *vm, const struct kvm_create_guest_memfd *args, void *window)
{
	file_setup(file, vm, args);
	core_store_init(&file->store, window, file_pages(file), !(args->flags & GUEST_MEMFD_FLAG_INIT_SHARED));
}

void core_file_attach(struct core_file *file, struct core_vm *vm, const struct kvm_create_guest_memfd *args,
		      void *window)
{
	file_setup(file, vm, args);
	core_store_attach(&file->store, window, file_pages(file));
}

void core_file_fini(struct core_file *file)
{
	const struct core_mem *mem = file->vm->mem;

	for (unsigned i = 0; i < file->nr_bound; i++)
		file->bound[i]->file = NULL;
	mem->free(file->bound, file->cap_bound * sizeof(*file->bound));
	mem->free(file->pins, file->cap_pins * sizeof(*file->pins));
	file->bound = NULL;
	file->pins = NULL;
	file->nr_bound = file->cap_bound = 0;
	file->nr_pins = file->cap_pins = 0;
}

enum core_page_state core_file_page_state(const struct core_file *file, u64 page)
{
	if (page >= file_pages(file))
		return CORE_PAGE_BEYOND;
	return core_store_is_private(&file->store, page) ? CORE_PAGE_PRIVATE : CORE_PAGE_SHARED;
}

int core_file_touch_check(const struct core_file *file, u64 page, struct core_err *err)
{
	switch (core_file_page_state(file, page)) {
	case CORE_PAGE_PRIVATE:
		return core_refuse(err, RULE_HOST_PRIVATE, 0, "offset", page << RT_PAGE_SHIFT, 0);
	case CORE_PAGE_BEYOND:
		return core_refuse(err, RULE_HOST_BEYOND, 0, "offset", page << RT_PAGE_SHIFT, file->size);
	case CORE_PAGE_SHARED:
		break;
	}
	return 0;
}

int core_file_populate_check(const struct core_file *file, struct rt_pages range, struct core_err *err)
{
	u64 end = range.first + range.count, at = range.first;

	while (at < end && at < file_pages(file)) {
		bool is_private;
		u64 run = core_store_run(&file->store, at, end - at, &is_private);

		if (is_private)
			break;
		at += run;
	}
	if (at < end)
		return core_refuse(err, RULE_MADVISE_POPULATE, 0, "offset", at << RT_PAGE_SHIFT, file->size);
	return 0;
}

/* Index of the first pin of this page or of a later one. */
static unsigned pin_index(const struct core_file *file, u64 page)
{
	unsigned low = 0, high = file->nr_pins;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (file->pins[middle] < page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool core_file_lowest_pin(const struct core_file *file, struct rt_pages range, u64 *page)
{
	unsigned at = pin_index(file, range.first);

	if (at == file->nr_pins || file->pins[at] - range.first >= range.count)
		return false;
	*page = file->pins[at];
	return true;
}

int core_file_pin(struct core_file *file, u64 page)
{
	unsigned at = pin_index(file, page);
	u64 *grown;

	if (core_file_page_state(file, page) != CORE_PAGE_SHARED)
		return -EINVAL;
	grown = core_array_grown(file->vm->mem, file->pins, &file->cap_pins, file->nr_pins + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	file->pins = grown;
	memmove(&grown[at + 1], &grown[at], (file->nr_pins - at) * sizeof(*grown));
	grown[at] = page;
	file->nr_pins++;
	return 0;
}

int core_file_unpin(struct core_file *file, u64 page)
{
	unsigned at = pin_index(file, page);

	if (at == file->nr_pins || file->pins[at] != page)
		return -EINVAL;
	file->nr_pins--;
	memmove(&file->pins[at], &file->pins[at + 1], (file->nr_pins - at) * sizeof(*file->pins));
	return 0;
}
