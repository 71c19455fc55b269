/* SPDX-License-Identifier: MIT */
/*
 * uapi/kvm.h - the part of KVM's user space ABI that gmem speaks
 *
 * Names, numbers and layouts are the kernel's (include/uapi/linux/kvm.h and
 * arch/x86/include/uapi/asm/kvm.h).  The header is ours so that gmem builds on
 * systems whose own is older than guest_memfd; tests/uapi.t compares
 * the two wherever the system knows the same name.
 */
#ifndef GMEM_UAPI_KVM_H
#define GMEM_UAPI_KVM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KVM_API_VERSION 12
#define KVMIO		0xAE

/* KVM_CREATE_VM types, x86; bit numbers in KVM_CAP_VM_TYPES. */
#define KVM_X86_DEFAULT_VM	0
#define KVM_X86_SW_PROTECTED_VM 1
#define KVM_X86_SEV_VM		2
#define KVM_X86_SEV_ES_VM	3
#define KVM_X86_SNP_VM		4
#define KVM_X86_TDX_VM		5

#define KVM_CAP_IRQCHIP				0
#define KVM_CAP_HLT				1
#define KVM_CAP_USER_MEMORY			3
#define KVM_CAP_SET_TSS_ADDR			4
#define KVM_CAP_EXT_CPUID			7
#define KVM_CAP_NR_VCPUS			9
#define KVM_CAP_NR_MEMSLOTS			10
#define KVM_CAP_NOP_IO_DELAY			12
#define KVM_CAP_MP_STATE			14
#define KVM_CAP_COALESCED_MMIO			15
#define KVM_CAP_SYNC_MMU			16
#define KVM_CAP_DESTROY_MEMORY_REGION_WORKS	21
#define KVM_CAP_USER_NMI			22
#define KVM_CAP_SET_GUEST_DEBUG			23
#define KVM_CAP_JOIN_MEMORY_REGIONS_WORKS	30
#define KVM_CAP_MCE				31
#define KVM_CAP_SET_BOOT_CPU_ID			34
#define KVM_CAP_SET_IDENTITY_MAP_ADDR		37
#define KVM_CAP_ADJUST_CLOCK			39
#define KVM_CAP_INTERNAL_ERROR_DATA		40
#define KVM_CAP_VCPU_EVENTS			41
#define KVM_CAP_INTR_SHADOW			49
#define KVM_CAP_DEBUGREGS			50
#define KVM_CAP_X86_ROBUST_SINGLESTEP		51
#define KVM_CAP_XSAVE				55
#define KVM_CAP_XCRS				56
#define KVM_CAP_TSC_CONTROL			60
#define KVM_CAP_GET_TSC_KHZ			61
#define KVM_CAP_MAX_VCPUS			66
#define KVM_CAP_SYNC_REGS			74
#define KVM_CAP_READONLY_MEM			81
#define KVM_CAP_DEVICE_CTRL			89
#define KVM_CAP_EXT_EMUL_CPUID			95
#define KVM_CAP_ENABLE_CAP_VM			98
#define KVM_CAP_CHECK_EXTENSION_VM		105
#define KVM_CAP_ENABLE_CAP			54
#define KVM_CAP_DISABLE_QUIRKS			116
#define KVM_CAP_MULTI_ADDRESS_SPACE		118
#define KVM_CAP_SPLIT_IRQCHIP			121
#define KVM_CAP_VCPU_ATTRIBUTES			127
#define KVM_CAP_MAX_VCPU_ID			128
#define KVM_CAP_IMMEDIATE_EXIT			136
#define KVM_CAP_GET_MSR_FEATURES		153
#define KVM_CAP_MSR_PLATFORM_INFO		159
#define KVM_CAP_COALESCED_PIO			162
#define KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2	168
#define KVM_CAP_X86_USER_SPACE_MSR		188
#define KVM_CAP_X86_MSR_FILTER			189
#define KVM_CAP_ENFORCE_PV_FEATURE_CPUID	190
#define KVM_CAP_DIRTY_LOG_RING			192
#define KVM_CAP_SET_GUEST_DEBUG2		195
#define KVM_CAP_SREGS2				200
#define KVM_CAP_EXIT_HYPERCALL			201
#define KVM_CAP_BINARY_STATS_FD			203
#define KVM_CAP_XSAVE2				208
#define KVM_CAP_DISABLE_QUIRKS2			213
#define KVM_CAP_X86_TRIPLE_FAULT_EVENT		218
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL		223
#define KVM_CAP_USER_MEMORY2			231
#define KVM_CAP_MEMORY_FAULT_INFO		232
#define KVM_CAP_MEMORY_ATTRIBUTES		233
#define KVM_CAP_GUEST_MEMFD			234
#define KVM_CAP_VM_TYPES			235
#define KVM_CAP_PRE_FAULT_MEMORY		236
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS		237
#define KVM_CAP_GUEST_MEMFD_FLAGS		244
#define KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES	252

#define KVM_MEM_LOG_DIRTY_PAGES (1U << 0)
#define KVM_MEM_READONLY	(1U << 1)
#define KVM_MEM_GUEST_MEMFD	(1U << 2)

#define GUEST_MEMFD_FLAG_MMAP	     (1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ULL << 1)

#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)

#define KVM_HC_MAP_GPA_RANGE 12

#define GUEST_MEMFD_MAGIC     0x474D454D
#define GMEM_ANON_INODE_MAGIC 0x09041934

struct kvm_userspace_memory_region {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
};

struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};

struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};

struct kvm_memory_attributes {
	__u64 address;
	__u64 size;
	__u64 attributes;
	__u64 flags;
};

struct kvm_memory_attributes2 {
	union {
		__u64 address;
		__u64 offset;
	};
	__u64 size;
	__u64 attributes;
	__u64 flags;
	__u64 error_offset;
	__u64 reserved[11];
};

struct kvm_enable_cap {
	__u32 cap;
	__u32 flags;
	__u64 args[4];
	__u8 pad[64];
};

struct kvm_cpuid_entry2 {
	__u32 function;
	__u32 index;
	__u32 flags;
	__u32 eax;
	__u32 ebx;
	__u32 ecx;
	__u32 edx;
	__u32 padding[3];
};

struct kvm_cpuid2 {
	__u32 nent;
	__u32 padding;
	struct kvm_cpuid_entry2 entries[];
};

#define KVM_CPUID_FLAG_SIGNIFCANT_INDEX (1U << 0)

struct kvm_dirty_log {
	__u32 slot;
	__u32 padding1;
	union {
		void *dirty_bitmap;
		__u64 padding2;
	};
};

#define KVM_GET_API_VERSION	    _IO(KVMIO, 0x00)
#define KVM_CREATE_VM		    _IO(KVMIO, 0x01)
#define KVM_CHECK_EXTENSION	    _IO(KVMIO, 0x03)
#define KVM_GET_VCPU_MMAP_SIZE	    _IO(KVMIO, 0x04)
#define KVM_GET_SUPPORTED_CPUID	    _IOWR(KVMIO, 0x05, struct kvm_cpuid2)
#define KVM_CREATE_VCPU		    _IO(KVMIO, 0x41)
#define KVM_GET_DIRTY_LOG	    _IOW(KVMIO, 0x42, struct kvm_dirty_log)
#define KVM_SET_NR_MMU_PAGES	    _IO(KVMIO, 0x44)
#define KVM_SET_USER_MEMORY_REGION  _IOW(KVMIO, 0x46, struct kvm_userspace_memory_region)
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_CREATE_IRQCHIP	    _IO(KVMIO, 0x60)
#define KVM_RUN			    _IO(KVMIO, 0x80)
#define KVM_ENABLE_CAP		    _IOW(KVMIO, 0xa3, struct kvm_enable_cap)
#define KVM_GET_TSC_KHZ		    _IO(KVMIO, 0xa3)
#define KVM_GET_STATS_FD	    _IO(KVMIO, 0xce)
#define KVM_SET_MEMORY_ATTRIBUTES   _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
/* On a guest_memfd only; the same number as above, so compare the whole word. */
#define KVM_SET_MEMORY_ATTRIBUTES2 _IOWR(KVMIO, 0xd2, struct kvm_memory_attributes2)
#define KVM_CREATE_GUEST_MEMFD	   _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)

_Static_assert(sizeof(struct kvm_userspace_memory_region) == 32, "ABI");
_Static_assert(sizeof(struct kvm_userspace_memory_region2) == 160, "ABI");
_Static_assert(sizeof(struct kvm_create_guest_memfd) == 64, "ABI");
_Static_assert(sizeof(struct kvm_memory_attributes) == 32, "ABI");
_Static_assert(sizeof(struct kvm_memory_attributes2) == 128, "ABI");
_Static_assert(sizeof(struct kvm_enable_cap) == 104, "ABI");
_Static_assert(sizeof(struct kvm_cpuid_entry2) == 40, "ABI");
_Static_assert(KVM_SET_MEMORY_ATTRIBUTES2 == 0xC080AED2, "ABI");
_Static_assert(KVM_CREATE_GUEST_MEMFD == 0xC040AED4, "ABI");
_Static_assert(KVM_SET_USER_MEMORY_REGION2 == 0x40A0AE49, "ABI");

#endif
