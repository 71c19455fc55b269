// SPDX-License-Identifier: MIT
/*
 * core/binding.c - which slots bind which pages of a file
 *
 * file->bound is sorted by file offset and disjoint.  Before 7.2 a binding
 * may lie beyond the end of the file (core/memslot.c): nothing here minds.
 */
#include "core/slots.h"

#include <asm/errno.h>

#include "core/array.h"
#include "rt/string.h"

/* Index of the first binding that ends above offset; file->nr_bound when there is none. */
static unsigned first_ending_above(const struct core_file *file, u64 offset)
{
	unsigned low = 0, high = file->nr_bound;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		const struct core_slot *slot = file->bound[middle];

		if (slot->file_offset + slot->size > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct core_slot *core_binding_overlap(const struct core_file *file, u64 offset, u64 size)
{
	unsigned at = first_ending_above(file, offset);

	return at < file->nr_bound && file->bound[at]->file_offset < offset + size ? file->bound[at] : NULL;
}

int core_binding_reserve(struct core_file *file)
{
	struct core_slot **grown;

	grown = core_array_grown(file->vm->mem, file->bound, &file->cap_bound, file->nr_bound + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	file->bound = grown;
	return 0;
}

void core_binding_insert(struct core_file *file, struct core_slot *slot)
{
	unsigned at = first_ending_above(file, slot->file_offset);

	memmove(&file->bound[at + 1], &file->bound[at], (file->nr_bound - at) * sizeof(*file->bound));
	file->bound[at] = slot;
	file->nr_bound++;
}

void core_binding_remove(struct core_file *file, const struct core_slot *slot)
{
	unsigned at = first_ending_above(file, slot->file_offset);

	file->nr_bound--;
	memmove(&file->bound[at], &file->bound[at + 1], (file->nr_bound - at) * sizeof(*file->bound));
}

const struct core_slot *core_file_slot(const struct core_file *file, u64 page)
{
	return core_binding_overlap(file, page << RT_PAGE_SHIFT, RT_PAGE_SIZE);
}
