// SPDX-License-Identifier: MIT
/*
 * core/convert.c - KVM_SET_MEMORY_ATTRIBUTES2: conversion within a file
 *
 * The kernel's order: everything about the argument first, without a lock and
 * without writing anything back; then, with the file locked, nothing to do,
 * no memory, pages in use.  Neither the state of the VM nor the caller's address
 * space matters, and no slot need be bound.
 *
 *  CONVERT-1  All pages of the range change or none.
 *  CONVERT-2  A range that has the state already is answered with success before anything else is
 *             looked at: neither memory nor pins can make it fail.
 *  CONVERT-3  The in-use test looks at the whole range, pages that are private already included.
 */
#include <asm/errno.h>

#include "core/vm.h"

bool core_file_has_attributes_ioctl(const struct core_file *file)
{
	return file->vm->sys->in_place;
}

static int check_reserved(const struct kvm_memory_attributes2 *args, struct core_err *err)
{
	for (unsigned i = 0; i < RT_ARRAY_SIZE(args->reserved); i++)
		if (args->reserved[i])
			return core_refuse(err, RULE_CONVERT_RESERVED, 0, "reserved", args->reserved[i], 0);
	return 0;
}

static int check_range(const struct core_file *file, const struct kvm_memory_attributes2 *args, struct core_err *err)
{
	if (!args->size)
		return core_refuse(err, RULE_CONVERT_SIZE, 0, "size", args->size, 0);
	if (rt_add_wraps(args->offset, args->size))
		return core_refuse(err, RULE_CONVERT_WRAP, 0, "offset", args->offset, -args->size);
	if (!rt_page_aligned(args->offset))
		return core_refuse(err, RULE_CONVERT_ALIGN, 0, "offset", args->offset, RT_PAGE_SIZE);
	if (!rt_page_aligned(args->size))
		return core_refuse(err, RULE_CONVERT_ALIGN, 0, "size", args->size, RT_PAGE_SIZE);
	if (args->offset >= file->size)
		return core_refuse(err, RULE_CONVERT_RANGE, 0, "offset", args->offset, file->size);
	if (args->offset + args->size > file->size)
		return core_refuse(err, RULE_CONVERT_RANGE, 0, "offset + size", args->offset + args->size, file->size);
	return 0;
}

int core_convert_check(const struct core_file *file, const struct kvm_memory_attributes2 *args, struct core_err *err)
{
	int ret;

	if (args->flags)
		return core_refuse(err, RULE_CONVERT_FLAGS, 0, "flags", args->flags, 0);
	ret = check_reserved(args, err);
	if (ret)
		return ret;
	if (!core_type_has_private(file->vm->type))
		return core_refuse(err, RULE_CONVERT_TYPE, 0, "VM type", file->vm->type, 0);
	if (args->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE)
		return core_refuse(err, RULE_CONVERT_MASK, 0, "attributes", args->attributes,
				   KVM_MEMORY_ATTRIBUTE_PRIVATE);
	return check_range(file, args, err);
}

int core_convert_begin(struct core_file *file, struct rt_pages range, bool to_private, u64 *error_offset,
		       struct core_err *err)
{
	u64 pinned;

	if (core_store_uniform(&file->store, range, to_private))
		return 1;
	if (core_store_reserve(&file->store, range, to_private)) {
		*error_offset = range.first << RT_PAGE_SHIFT;
		return core_refuse(err, RULE_CONVERT_MEMORY, 0, "offset", *error_offset, 0);
	}
	if (to_private && core_file_lowest_pin(file, range, &pinned)) {
		*error_offset = pinned << RT_PAGE_SHIFT;
		return core_refuse(err, RULE_CONVERT_PINNED, 0, "error_offset", *error_offset, 0);
	}
	return 0;
}

void core_convert_commit(struct core_file *file, struct rt_pages range, bool to_private)
{
	core_store_set(&file->store, range, to_private);
}
