// SPDX-License-Identifier: MIT
/*
 * check/traits.c - kernel generations as `gmem check` and the naive model know them
 */
#include "check/traits.h"

#include <errno.h>
#include <string.h>

const struct traits traits[TRAITS_COUNT] = {
	{
		.name = "linux-6.1",
		.narrow_id = true,
		.conflict = EINVAL,
		.types = 0x01,
	},
	{
		.name = "linux-6.8",
		.gmem = true,
		.typed = true,
		.vm_attributes = true,
		.modes_by_flag = true,
		.sign_hva = true,
		.narrow_id = true,
		.signed_sum = true,
		.old_calls = true,
		.conflict = EINVAL,
		.types = 0x03,
	},
	{
		.name = "linux-6.12",
		.gmem = true,
		.typed = true,
		.pre_fault = true,
		.vm_attributes = true,
		.old_calls = true,
		.conflict = EINVAL,
		.types = 0x1f,
	},
	{
		.name = "linux-6.18",
		.gmem = true,
		.typed = true,
		.gmem_for_all = true,
		.mappable = true,
		.pre_fault = true,
		.vm_attributes = true,
		.noexec = true,
		.write_zeroes = true,
		.ret_preset = true,
		.signed_sum = true,
		.conflict = EINVAL,
		.types = 0x3f,
	},
	{
		.name = "linux-7.3",
		.gmem = true,
		.typed = true,
		.gmem_for_all = true,
		.mappable = true,
		.pre_fault = true,
		.vm_attributes = true,
		.noexec = true,
		.write_zeroes = true,
		.ret_preset = true,
		.own_fs = true,
		.late_conflict = true,
		.conflict = EEXIST,
		.types = 0x3f,
	},
	{
		.name = "linux-7.4",
		.gmem = true,
		.typed = true,
		.gmem_for_all = true,
		.mappable = true,
		.pre_fault = true,
		.in_place = true,
		.noexec = true,
		.write_zeroes = true,
		.ret_preset = true,
		.own_fs = true,
		.late_conflict = true,
		.conflict = EEXIST,
		.types = 0x3f,
	},
	{
		.name = "linux-7.4-vm-attributes",
		.gmem = true,
		.typed = true,
		.gmem_for_all = true,
		.mappable = true,
		.pre_fault = true,
		.vm_attributes = true,
		.noexec = true,
		.write_zeroes = true,
		.ret_preset = true,
		.own_fs = true,
		.late_conflict = true,
		.conflict = EEXIST,
		.types = 0x3f,
	},
	{
		.name = "linux-7.4-vm-attributes",
		.setting = "gmem_in_place_conversion=1",
		.gmem = true,
		.typed = true,
		.gmem_for_all = true,
		.mappable = true,
		.pre_fault = true,
		.vm_attributes = true,
		.in_place = true,
		.noexec = true,
		.write_zeroes = true,
		.ret_preset = true,
		.own_fs = true,
		.late_conflict = true,
		.conflict = EEXIST,
		.types = 0x3f,
	},
};

const struct traits *traits_find(const char *name)
{
	size_t len = strcspn(name, "+");

	for (unsigned i = 0; i < TRAITS_COUNT; i++) {
		if (strlen(traits[i].name) == len && !strncmp(traits[i].name, name, len) &&
		    (name[len] == '+') == (traits[i].setting != NULL))
			return &traits[i];
	}
	return NULL;
}
