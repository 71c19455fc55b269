// SPDX-License-Identifier: MIT
/*
 * cli/words.c - numbers of the ABI in words
 */
#include "cli/words.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "uapi/kvm.h"

struct word {
	u64 bit;
	const char *name;
};

static const char *const vm_types[WORDS_VM_TYPE_COUNT] = {
	[KVM_X86_DEFAULT_VM] = "default", [KVM_X86_SW_PROTECTED_VM] = "sw-protected", [KVM_X86_SEV_VM] = "sev",
	[KVM_X86_SEV_ES_VM] = "sev-es",	  [KVM_X86_SNP_VM] = "snp",		      [KVM_X86_TDX_VM] = "tdx",
};

#define WORDS_PER_KIND 12

static const struct word words[WORDS_KINDS][WORDS_PER_KIND] = {
	[WORDS_VM_TYPES] = {
		{ 1 << KVM_X86_DEFAULT_VM, "default" },
		{ 1 << KVM_X86_SW_PROTECTED_VM, "sw-protected" },
		{ 1 << KVM_X86_SEV_VM, "sev" },
		{ 1 << KVM_X86_SEV_ES_VM, "sev-es" },
		{ 1 << KVM_X86_SNP_VM, "snp" },
		{ 1 << KVM_X86_TDX_VM, "tdx" },
	},
	[WORDS_ATTRIBUTES] = { { KVM_MEMORY_ATTRIBUTE_PRIVATE, "PRIVATE" } },
	[WORDS_GMEM_FLAGS] = { { GUEST_MEMFD_FLAG_MMAP, "MMAP" }, { GUEST_MEMFD_FLAG_INIT_SHARED, "INIT_SHARED" } },
	[WORDS_FEATURES] = { { 1, "BASIC" } },
	[WORDS_HYPERCALLS] = { { 1 << KVM_HC_MAP_GPA_RANGE, "MAP_GPA_RANGE" } },
	[WORDS_SLOT_FLAGS] = {
		{ KVM_MEM_LOG_DIRTY_PAGES, "LOG_DIRTY_PAGES" },
		{ KVM_MEM_READONLY, "READONLY" },
		{ KVM_MEM_GUEST_MEMFD, "GUEST_MEMFD" },
	},
	/* The type is a number; what has both bits is a type of its own, and found first. */
	[WORDS_MMAP_FLAGS] = {
		{ MAP_SHARED | MAP_PRIVATE, "MAP_SHARED_VALIDATE" },
		{ MAP_SHARED, "MAP_SHARED" },
		{ MAP_PRIVATE, "MAP_PRIVATE" },
		{ MAP_FIXED, "MAP_FIXED" },
		{ MAP_ANONYMOUS, "MAP_ANONYMOUS" },
		{ MAP_GROWSDOWN, "MAP_GROWSDOWN" },
		{ MAP_LOCKED, "MAP_LOCKED" },
		{ MAP_NORESERVE, "MAP_NORESERVE" },
		{ MAP_POPULATE, "MAP_POPULATE" },
		{ MAP_HUGETLB, "MAP_HUGETLB" },
		{ 0x80000, "MAP_SYNC" },
	},
	[WORDS_PROT] = { { PROT_READ, "PROT_READ" }, { PROT_WRITE, "PROT_WRITE" }, { PROT_EXEC, "PROT_EXEC" } },
	[WORDS_FALLOCATE_MODE] = {
		{ FALLOC_FL_KEEP_SIZE, "KEEP_SIZE" },
		{ FALLOC_FL_PUNCH_HOLE, "PUNCH_HOLE" },
		{ FALLOC_FL_COLLAPSE_RANGE, "COLLAPSE_RANGE" },
		{ FALLOC_FL_ZERO_RANGE, "ZERO_RANGE" },
		{ FALLOC_FL_INSERT_RANGE, "INSERT_RANGE" },
		{ FALLOC_FL_UNSHARE_RANGE, "UNSHARE_RANGE" },
		{ 0x80, "WRITE_ZEROES" },
	},
};

const char *words_name(enum words_kind kind, unsigned n, u64 *bit)
{
	if (n >= WORDS_PER_KIND || !words[kind][n].name)
		return NULL;
	*bit = words[kind][n].bit;
	return words[kind][n].name;
}

const char *words_mask(enum words_kind kind, u64 value, char buf[WORDS_MAX])
{
	size_t len = 0;
	const char *name;
	u64 bit;

	if (!value)
		return strcpy(buf, "0");
	buf[0] = '\0';
	for (unsigned i = 0; (name = words_name(kind, i, &bit)); i++) {
		if ((value & bit) != bit)
			continue;
		len += (size_t)snprintf(buf + len, WORDS_MAX - len, "%s%s", len ? "|" : "", name);
		value &= ~bit;
	}
	if (value)
		snprintf(buf + len, WORDS_MAX - len, "%s%#" PRIx64, len ? "|" : "", value);
	return buf;
}

bool words_cap_kind(enum core_cap_nature nature, enum words_kind *ret)
{
	switch (nature) {
	case CORE_CAP_VM_TYPE_MASK:
		*ret = WORDS_VM_TYPES;
		return true;
	case CORE_CAP_ATTRIBUTE_MASK:
		*ret = WORDS_ATTRIBUTES;
		return true;
	case CORE_CAP_FLAG_MASK:
		*ret = WORDS_GMEM_FLAGS;
		return true;
	case CORE_CAP_FEATURE_MASK:
		*ret = WORDS_FEATURES;
		return true;
	case CORE_CAP_HYPERCALL_MASK:
		*ret = WORDS_HYPERCALLS;
		return true;
	case CORE_CAP_BOOL:
	case CORE_CAP_COUNT:
		break;
	}
	return false;
}

const char *words_cap(enum core_cap_nature nature, int value, char buf[WORDS_MAX])
{
	enum words_kind kind;

	if (words_cap_kind(nature, &kind))
		return words_mask(kind, (u64)value, buf);
	if (nature == CORE_CAP_BOOL && (value == 0 || value == 1))
		return strcpy(buf, value ? "yes" : "no");
	snprintf(buf, WORDS_MAX, "%d", value);
	return buf;
}

const char *words_vm_type(unsigned type)
{
	return type < WORDS_VM_TYPE_COUNT ? vm_types[type] : NULL;
}

int words_vm_type_number(const char *name, size_t len)
{
	for (int i = 0; i < WORDS_VM_TYPE_COUNT; i++) {
		if (strlen(vm_types[i]) == len && memcmp(vm_types[i], name, len) == 0)
			return i;
	}
	return -1;
}

/* Those that guest memory calls answer with; strerrorname_np() is glibc's alone. */
static const struct {
	int error;
	const char *name;
} errors[] = {
#define E(name) { name, #name }
	E(EPERM),  E(ENOENT), E(EINTR),	 E(EIO),   E(ENXIO),  E(EBADF),	 E(EAGAIN),    E(ENOMEM),     E(EACCES),
	E(EFAULT), E(EBUSY),  E(EEXIST), E(ENODEV), E(EISDIR), E(EINVAL), E(ENFILE),   E(EMFILE),     E(ENOTTY),
	E(EFBIG),  E(ENOSPC), E(ESPIPE), E(ENOSYS), E(ELOOP),  E(ERANGE), E(EOVERFLOW), E(EOPNOTSUPP), E(EHWPOISON),
	E(E2BIG),  E(ENOEXEC), E(ENODATA), E(EROFS), E(EPIPE), E(EDOM),
#undef E
};

const char *words_errno(int error, char buf[WORDS_MAX])
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].error == error)
			return errors[i].name;
	}
	snprintf(buf, WORDS_MAX, "errno %d", error);
	return buf;
}
