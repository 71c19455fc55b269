/* SPDX-License-Identifier: MIT */
/*
 * core/profile.h - what a kernel generation answers, as data
 *
 * A profile holds what follows from the version, a shape what follows from
 * configuration and hardware.  Logic asks a named property, never the name.
 */
#ifndef GMEM_CORE_PROFILE_H
#define GMEM_CORE_PROFILE_H

#include "rt/types.h"

/* Properties of a generation; the comment says who asks. */
struct core_profile {
	const char *name;    /* "linux-6.18" */
	const char *summary; /* one line for `gmem profiles` */
	const char *checked; /* against what it was checked: "6.18.44", "source only" */
	bool variant;			/* another configuration of the generation before it in the table */
	bool has_gmem;			/* KVM_CREATE_GUEST_MEMFD, REGION2, VM attributes exist (6.8) */
	bool has_private_types;		/* VM types beyond 0 are known */
	bool gmem_for_all_types;	/* gmem slots on VMs without private memory (6.18) */
	bool has_mmap;			/* GUEST_MEMFD_FLAG_MMAP and INIT_SHARED (6.18) */
	bool has_pre_fault;		/* KVM_PRE_FAULT_MEMORY (6.11) */
	bool vm_attributes;		/* per-VM attributes compiled in (CONFIG_KVM_VM_MEMORY_ATTRIBUTES) */
	bool in_place_known;		/* the generation has in-place conversion */
	bool in_place_default;		/* gmem_in_place_conversion's value */
	bool in_place_param;		/* ... and whether it is a module parameter */
	bool noexec_fs;			/* PROT_EXEC mmap is EPERM (6.18) instead of ENODEV */
	bool modes_by_flag;		/* fallocate's modes are flags, each with conflicts of its own (until 6.11) */
	bool write_zeroes;		/* fallocate knows FALLOC_FL_WRITE_ZEROES (6.17): it is refused later */
	bool own_fs;			/* guest_memfd file system: statfs magic, link text, mbind placement */
	bool hva_sign_only;		/* userspace_addr: any non-negative end is a user address (6.4 to 6.11) */
	bool vcpu_id_u32;		/* vCPU ids are cut to 32 bits before they are checked (until 6.10) */
	bool signed_offset_bug;		/* binding sums signed (until 7.1; 6.12 until 6.12.113) */
	bool readahead_ok;		/* readahead() 0 and FIONREAD 0 (6.12) */
	bool hypercall_ret_zeroed;	/* hypercall.ret preset on exit */
	bool efer_checked;		/* KVM_SET_SREGS holds EFER against CPUID (7.3 does, 6.18 does not) */
	bool exit_reason_preset;	/* exit_reason 0 at KVM_RUN */
	bool bind_checked_late;		/* overlap in the file after arch slot preparation (7.3.2) */
	int bind_conflict_errno;	/* EINVAL until 7.1, EEXIST from 7.2 */
	u64 known_vm_types;		/* mask of VM types that the generation knows */
};

/* What follows from configuration and hardware. */
struct core_shape {
	const char *name;	/* "mainline" or "host" */
	bool sw_protected;	/* CONFIG_KVM_SW_PROTECTED_VM */
	bool private_mem;	/* anything that has private memory compiled in: attributes exist at all */
	bool smm;		/* two address spaces */
	bool tdp;		/* two-dimensional paging */
	unsigned gpa_bits;	/* guest physical address bits (48) */
	u64 hva_limit;		/* highest legal userspace_addr + size */
	u64 vm_types;		/* types that work besides 0; ANDed with known_vm_types */
	unsigned cpus;		/* online CPUs, for KVM_CAP_NR_VCPUS; 0 where unknown */
};

/* One emulated host: profile, shape and settings.  Constant after core_sys_init(). */
struct core_sys {
	const struct core_profile *profile;
	struct core_shape shape;
	u64 vm_types;  /* KVM_CAP_VM_TYPES' answer where the capability exists */
	bool in_place; /* the switch gmem_in_place_conversion */
};

extern const struct core_profile core_profiles[];
extern const unsigned core_profile_count;
extern const struct core_shape core_shape_mainline;

/* NULL if there is none of that name; the last of core_profiles that is not a variant is the newest. */
const struct core_profile *core_profile_find(const char *name);
const struct core_profile *core_profile_newest(void);

/* extra_types: further VM types asked for (--vm-types), a mask; in_place_param: -1 default, else 0 or 1. */
/* -EINVAL when the profile does not know a type or has no such parameter. */
int core_sys_init(struct core_sys *sys, const struct core_profile *profile, const struct core_shape *shape,
		  u64 extra_types, int in_place_param);

/* Overwrite the fields that text names, "smm=0,gpa_bits=48"; false when it cannot be read. */
bool core_shape_parse(struct core_shape *shape, const char *text);

#define CORE_SCOPE_DEVICE (-1)
/* KVM_CHECK_EXTENSION of /dev/kvm (CORE_SCOPE_DEVICE) or of a VM of that type; unknown capabilities are 0. */
int core_cap(const struct core_sys *sys, int scope, u32 cap);

/* Whether it is decided by the profile, whatever the CPU is. */
bool core_cap_decided(u32 cap);

/* One row per capability that gmem decides, for `gmem caps`. */
enum core_cap_nature { CORE_CAP_BOOL, CORE_CAP_COUNT, CORE_CAP_VM_TYPE_MASK, CORE_CAP_ATTRIBUTE_MASK, CORE_CAP_FLAG_MASK,
		       CORE_CAP_FEATURE_MASK, CORE_CAP_HYPERCALL_MASK };
struct core_cap_info {
	u32 cap;
	const char *name; /* "KVM_CAP_GUEST_MEMFD" */
	enum core_cap_nature nature;
};
extern const struct core_cap_info core_caps[];
extern const unsigned core_cap_count;

/* Whether guest_memfd is compiled in: KVM_CREATE_GUEST_MEMFD is ENOTTY where it is not. */
bool core_sys_has_gmem(const struct core_sys *sys);

/* Named properties of a VM type under this host. */
bool core_type_has_private(unsigned type);
bool core_type_has_gmem_slots(const struct core_sys *sys, unsigned type); /* KVM_MEM_GUEST_MEMFD is legal */
bool core_type_has_readonly(unsigned type);				   /* KVM_MEM_READONLY is legal */
u64 core_type_attributes(const struct core_sys *sys, unsigned type); /* legal on KVM_SET_MEMORY_ATTRIBUTES */
u64 core_type_gmem_flags(const struct core_sys *sys, unsigned type); /* legal on KVM_CREATE_GUEST_MEMFD */
unsigned core_type_address_spaces(const struct core_sys *sys, unsigned type);

#endif
