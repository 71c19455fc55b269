/* SPDX-License-Identifier: MIT */
/*
 * core/array.h - growing arrays out of struct core_mem
 */
#ifndef GMEM_CORE_ARRAY_H
#define GMEM_CORE_ARRAY_H

#include "core/vm.h"
#include "rt/string.h"

#define CORE_ARRAY_FIRST 8U

/*
 * An array with room for `need` elements: the old one when it has, else a
 * copy of twice the size, the old one freed and *cap raised.  NULL when there
 * is no memory; the old array is untouched then.
 */
static inline void *core_array_grown(const struct core_mem *mem, void *array, unsigned *cap, unsigned need,
				     size_t element)
{
	unsigned wanted = *cap ? *cap : CORE_ARRAY_FIRST;
	void *grown;

	if (need <= *cap)
		return array;
	while (wanted < need)
		wanted *= 2;
	grown = mem->alloc(wanted * element);
	if (!grown)
		return NULL;
	if (*cap)
		memcpy(grown, array, *cap * element);
	mem->free(array, *cap * element);
	*cap = wanted;
	return grown;
}

#endif
