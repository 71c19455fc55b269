// SPDX-License-Identifier: MIT
/*
 * core/profile.c - the kernel generations that gmem knows
 *
 * Sources are the specifications in the project's documents; what each
 * row was checked against stands in it.  A new generation is a new row, and a
 * new property where logic has to ask something that no row could say before.
 */
#include "core/profile.h"

#include <asm/errno.h>

#include "rt/string.h"
#include "uapi/kvm.h"

#define TYPE_BIT(type) (1ULL << (type))

#define TYPES_6_1  TYPE_BIT(KVM_X86_DEFAULT_VM)
#define TYPES_6_8  (TYPES_6_1 | TYPE_BIT(KVM_X86_SW_PROTECTED_VM))
#define TYPES_6_12 (TYPES_6_8 | TYPE_BIT(KVM_X86_SEV_VM) | TYPE_BIT(KVM_X86_SEV_ES_VM) | TYPE_BIT(KVM_X86_SNP_VM))
#define TYPES_6_18 (TYPES_6_12 | TYPE_BIT(KVM_X86_TDX_VM))

const struct core_profile core_profiles[] = {
	{
		.name = "linux-6.1",
		.summary = "no guest_memfd: memslots of host memory only",
		.checked = "6.1.176",
		.vcpu_id_u32 = true,
		.bind_conflict_errno = EINVAL,
		.known_vm_types = TYPES_6_1,
	},
	{
		.name = "linux-6.8",
		.summary = "first guest_memfd: private memory of software-protected VMs, not mappable",
		.checked = "sources of 6.10 and 6.12, not run",
		.has_gmem = true,
		.has_private_types = true,
		.vm_attributes = true,
		.hva_sign_only = true,
		.modes_by_flag = true,
		.vcpu_id_u32 = true,
		.signed_offset_bug = true,
		.readahead_ok = true,
		.exit_reason_preset = true,
		.bind_conflict_errno = EINVAL,
		.known_vm_types = TYPES_6_8,
	},
	{
		.name = "linux-6.12",
		.summary = "SEV types, pre-faulting; guest_memfd only for VMs with private memory",
		.checked = "6.12.117, types 0 and 1",
		.has_gmem = true,
		.has_private_types = true,
		.has_pre_fault = true,
		.vm_attributes = true,
		.readahead_ok = true,
		.exit_reason_preset = true,
		.bind_conflict_errno = EINVAL,
		.known_vm_types = TYPES_6_12,
	},
	{
		.name = "linux-6.18",
		.summary = "mappable files, guest_memfd for every VM type",
		.checked = "6.18.15 and 6.18.44, type 0; other types from 6.12 and 7.3",
		.has_gmem = true,
		.has_private_types = true,
		.gmem_for_all_types = true,
		.has_mmap = true,
		.has_pre_fault = true,
		.vm_attributes = true,
		.noexec_fs = true,
		.write_zeroes = true,
		.signed_offset_bug = true,
		.hypercall_ret_zeroed = true,
		.exit_reason_preset = true,
		.bind_conflict_errno = EINVAL,
		.known_vm_types = TYPES_6_18,
	},
	{
		.name = "linux-7.3",
		.summary = "own file system, NUMA policy, EEXIST for a bound file range",
		.checked = "7.3.4, types 0 and 1; other types from source",
		.has_gmem = true,
		.has_private_types = true,
		.gmem_for_all_types = true,
		.has_mmap = true,
		.has_pre_fault = true,
		.vm_attributes = true,
		.noexec_fs = true,
		.write_zeroes = true,
		.own_fs = true,
		.hypercall_ret_zeroed = true,
		.efer_checked = true,
		.exit_reason_preset = true,
		.bind_checked_late = true,
		.bind_conflict_errno = EEXIST,
		.known_vm_types = TYPES_6_18,
	},
	{
		.name = "linux-7.4",
		.summary = "in-place conversion: private and shared are states of the file's pages",
		.checked = "source queued for 7.4; its changes run on a 7.3.4, types 0 and 1",
		.has_gmem = true,
		.has_private_types = true,
		.gmem_for_all_types = true,
		.has_mmap = true,
		.has_pre_fault = true,
		.in_place_known = true,
		.in_place_default = true,
		.noexec_fs = true,
		.write_zeroes = true,
		.own_fs = true,
		.hypercall_ret_zeroed = true,
		.efer_checked = true,
		.exit_reason_preset = true,
		.bind_checked_late = true,
		.bind_conflict_errno = EEXIST,
		.known_vm_types = TYPES_6_18,
	},
	{
		.name = "linux-7.4-vm-attributes",
		.summary = "7.4 with CONFIG_KVM_VM_MEMORY_ATTRIBUTES; gmem_in_place_conversion can be set",
		.checked = "source queued for 7.4, not run",
		.variant = true,
		.has_gmem = true,
		.has_private_types = true,
		.gmem_for_all_types = true,
		.has_mmap = true,
		.has_pre_fault = true,
		.vm_attributes = true,
		.in_place_known = true,
		.in_place_param = true,
		.noexec_fs = true,
		.write_zeroes = true,
		.own_fs = true,
		.hypercall_ret_zeroed = true,
		.efer_checked = true,
		.exit_reason_preset = true,
		.bind_checked_late = true,
		.bind_conflict_errno = EEXIST,
		.known_vm_types = TYPES_6_18,
	},
};
const unsigned core_profile_count = RT_ARRAY_SIZE(core_profiles);

/* Last page boundary below the non-canonical hole with 4-level paging, less the guard page. */
#define HVA_LIMIT_4_LEVEL 0x7ffffffff000ULL
#define GPA_BITS_MAINLINE 48

const struct core_shape core_shape_mainline = {
	.name = "mainline",
	.sw_protected = true,
	.private_mem = true,
	.smm = true,
	.tdp = true,
	.gpa_bits = GPA_BITS_MAINLINE,
	.hva_limit = HVA_LIMIT_4_LEVEL,
};

const struct core_profile *core_profile_find(const char *name)
{
	for (unsigned i = 0; i < core_profile_count; i++)
		if (rt_streq(core_profiles[i].name, name))
			return &core_profiles[i];
	return NULL;
}

const struct core_profile *core_profile_newest(void)
{
	const struct core_profile *newest = core_profiles;

	for (unsigned i = 0; i < core_profile_count; i++)
		if (!core_profiles[i].variant)
			newest = &core_profiles[i];
	return newest;
}

int core_sys_init(struct core_sys *sys, const struct core_profile *profile, const struct core_shape *shape,
		  u64 extra_types, int in_place_param)
{
	struct core_shape s = *shape;

	if (extra_types & ~profile->known_vm_types)
		return -EINVAL;
	/* A build that has a confidential type has private memory compiled in with it. */
	if (extra_types & ~TYPES_6_1)
		s.private_mem = true;
	if (in_place_param >= 0 && !(profile->in_place_param && s.private_mem))
		return -EINVAL;

	if (s.sw_protected && s.tdp)
		s.vm_types |= TYPE_BIT(KVM_X86_SW_PROTECTED_VM);
	s.vm_types = (s.vm_types | extra_types) & profile->known_vm_types;
	*sys = (struct core_sys){
		.profile = profile,
		.shape = s,
		.vm_types = s.vm_types | TYPE_BIT(KVM_X86_DEFAULT_VM),
		.in_place = s.private_mem && (in_place_param >= 0 ? in_place_param != 0 : profile->in_place_default),
	};
	return 0;
}
