/* SPDX-License-Identifier: MIT */
/*
 * cli/words.h - numbers of the ABI in words
 *
 * A mask of one kind is never printed with the names of another: a
 * capability's value, creation flags, attributes and VM types are different things.
 */
#ifndef GMEM_CLI_WORDS_H
#define GMEM_CLI_WORDS_H

#include "core/profile.h"
#include "rt/types.h"

#define WORDS_MAX 256

enum words_kind {
	WORDS_VM_TYPES,	       /* bit numbers are VM types */
	WORDS_ATTRIBUTES,      /* KVM_MEMORY_ATTRIBUTE_* */
	WORDS_GMEM_FLAGS,      /* GUEST_MEMFD_FLAG_* */
	WORDS_FEATURES,	       /* value of KVM_CAP_GUEST_MEMFD */
	WORDS_HYPERCALLS,      /* bit numbers are hypercalls */
	WORDS_SLOT_FLAGS,      /* KVM_MEM_* */
	WORDS_MMAP_FLAGS,
	WORDS_PROT,
	WORDS_FALLOCATE_MODE,
	WORDS_KINDS
};

/* "MMAP|INIT_SHARED|0x8": names, and what has none as one number; "0" for none.  Returns buf. */
const char *words_mask(enum words_kind kind, u64 value, char buf[WORDS_MAX]);
/* The n-th word of a kind, NULL beyond the last; *bit is its mask. */
const char *words_name(enum words_kind kind, unsigned n, u64 *bit);

/* A capability's value by its nature: "yes", "32764", "PRIVATE". */
const char *words_cap(enum core_cap_nature nature, int value, char buf[WORDS_MAX]);
/* The kind of a mask; false where the nature is a number. */
bool words_cap_kind(enum core_cap_nature nature, enum words_kind *ret);

/* "default", "sw-protected", "sev", ...; NULL if unknown. */
const char *words_vm_type(unsigned type);
/* The other way; -1 if there is none of that name. */
int words_vm_type_number(const char *name, size_t len);
#define WORDS_VM_TYPE_COUNT 6

/* "EINVAL"; a number for one that gmem never gives. */
const char *words_errno(int error, char buf[WORDS_MAX]);

#endif
