/* SPDX-License-Identifier: MIT */
/*
 * core/limits.h - fixed sizes of x86 KVM that several parts of the core use
 */
#ifndef GMEM_CORE_LIMITS_H
#define GMEM_CORE_LIMITS_H

#define CORE_NR_MEMSLOTS	32764U	    /* KVM_USER_MEM_SLOTS: SHRT_MAX less three internal ones */
#define CORE_SLOT_MAX_PAGES	0x7fffffffULL /* KVM_MEM_MAX_NR_PAGES */
#define CORE_ADDRESS_SPACES	2U	    /* normal and SMM */
#define CORE_MAX_VCPUS		1024U	    /* CONFIG_KVM_MAX_NR_VCPUS */
#define CORE_MAX_VCPU_ID	4096U	    /* KVM_MAX_VCPU_IDS: four ids a vCPU */
#define CORE_MIN_MMU_PAGES	64U	    /* KVM_MIN_ALLOC_MMU_PAGES */
#define CORE_HYPERCALL_EXITS	(1ULL << KVM_HC_MAP_GPA_RANGE) /* KVM_EXIT_HYPERCALL_VALID_MASK */
/* Quirks whose absence the device knows. */
#define CORE_QUIRKS \
	(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE | KVM_X86_QUIRK_OUT_7E_INC_RIP |                \
	 KVM_X86_QUIRK_SLOT_ZAP_ALL)
#define CORE_APIC_BUS_CYCLE_NS	1ULL
#define CORE_APIC_COUNT_MAX	(0xffffffffULL * 128) /* a local APIC's counter and its divider */
#define CORE_DIRTY_RING_MIN	1024U	    /* bytes: KVM_DIRTY_RING_RSVD_ENTRIES */
#define CORE_DIRTY_RING_MAX	(65536U * 16) /* KVM_DIRTY_RING_MAX_ENTRIES */
#define CORE_GPA_BITS_SHADOW	52U	    /* guest physical address bits without two-dimensional paging */

#endif
