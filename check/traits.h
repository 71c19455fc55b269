/* SPDX-License-Identifier: MIT */
/*
 * check/traits.h - kernel generations as `gmem check` and the naive model know them
 *
 * On purpose a second table beside core/profile.c, with literal values: what is
 * proved must not be the source of the proof.
 */
#ifndef GMEM_CHECK_TRAITS_H
#define GMEM_CHECK_TRAITS_H

#include <stdbool.h>
#include <stdint.h>

struct traits {
	const char *name;    /* the profile */
	const char *setting; /* of a module parameter; NULL for none */
	bool gmem;	     /* KVM_CREATE_GUEST_MEMFD, KVM_SET_USER_MEMORY_REGION2 */
	bool typed;	     /* KVM_CAP_VM_TYPES */
	bool gmem_for_all;   /* KVM_MEM_GUEST_MEMFD on VMs without private memory */
	bool mappable;	     /* GUEST_MEMFD_FLAG_MMAP and INIT_SHARED */
	bool pre_fault;	     /* KVM_PRE_FAULT_MEMORY */
	bool vm_attributes;  /* KVM_SET_MEMORY_ATTRIBUTES is compiled in */
	bool in_place;	     /* KVM_SET_MEMORY_ATTRIBUTES2 works */
	bool noexec;	     /* PROT_EXEC is EPERM */
	bool modes_by_flag;  /* fallocate: COLLAPSE, INSERT and UNSHARE want to be alone, else EINVAL */
	bool write_zeroes;   /* fallocate knows FALLOC_FL_WRITE_ZEROES before the file refuses it */
	bool own_fs;	     /* a file system of its own */
	bool sign_hva;	     /* userspace_addr: only the sign of its end counts */
	bool narrow_id;	     /* vCPU ids are 32 bits */
	bool signed_sum;     /* offset + size of a binding as signed numbers */
	bool old_calls;	     /* readahead() and FIONREAD answer 0 */
	bool ret_preset;     /* the result of a hypercall is 0 until user space sets it */
	bool late_conflict;  /* a conflict in the file is seen after the address limit */
	int conflict;	     /* errno of that conflict */
	uint32_t types;	     /* VM types known, a mask */
};

#define TRAITS_COUNT 8
extern const struct traits traits[TRAITS_COUNT];

/* Of a profile as it is by default; "linux-7.4-vm-attributes+" with its parameter set; NULL if there is none. */
const struct traits *traits_find(const char *name);

/* What follows from configuration and hardware, as far as cases ask. */
static inline bool type_is_private(unsigned type)
{
	return type == 1 || type == 4 || type == 5;
}

/* The host cannot finish a write that was refused: no read-only slots. */
static inline bool type_is_protected(unsigned type)
{
	return type >= 3 && type <= 5;
}

#endif
