/* SPDX-License-Identifier: MIT */
/*
 * uapi/kvm_vcpu.h - the vCPU's part of KVM's user space ABI, x86
 *
 * As uapi/kvm.h, which the rest stands in: names, numbers and layouts are the kernel's.
 */
#ifndef GMEM_UAPI_KVM_VCPU_H
#define GMEM_UAPI_KVM_VCPU_H

#include "uapi/kvm.h"

#define KVM_EXIT_UNKNOWN	 0
#define KVM_EXIT_IO		 2
#define KVM_EXIT_HYPERCALL	 3
#define KVM_EXIT_DEBUG		 4
#define KVM_EXIT_HLT		 5
#define KVM_EXIT_MMIO		 6
#define KVM_EXIT_IRQ_WINDOW_OPEN 7
#define KVM_EXIT_SHUTDOWN	 8
#define KVM_EXIT_FAIL_ENTRY	 9
#define KVM_EXIT_INTR		 10
#define KVM_EXIT_SET_TPR	 11
#define KVM_EXIT_TPR_ACCESS	 12
#define KVM_EXIT_NMI		 16
#define KVM_EXIT_INTERNAL_ERROR	 17
#define KVM_EXIT_SYSTEM_EVENT	 24
#define KVM_EXIT_IOAPIC_EOI	 26
#define KVM_EXIT_X86_RDMSR	 29
#define KVM_EXIT_X86_WRMSR	 30
#define KVM_EXIT_DIRTY_RING_FULL 31
#define KVM_EXIT_AP_RESET_HOLD	 32
#define KVM_EXIT_MEMORY_FAULT	 39

#define KVM_EXIT_IO_IN	0
#define KVM_EXIT_IO_OUT 1

#define KVM_INTERNAL_ERROR_EMULATION			  1
#define KVM_INTERNAL_ERROR_SIMUL_EX			  2
#define KVM_INTERNAL_ERROR_DELIVERY_EV			  3
#define KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON	  4
#define KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES (1ULL << 0)

#define KVM_MEMORY_EXIT_FLAG_PRIVATE  (1ULL << 3)
#define KVM_EXIT_HYPERCALL_LONG_MODE  (1ULL << 0)
#define KVM_RUN_X86_SMM		      (1U << 0)
#define KVM_RUN_X86_BUS_LOCK	      (1U << 1)
#define KVM_RUN_X86_GUEST_MODE	      (1U << 2)

#define KVM_MSR_EXIT_REASON_INVAL   (1U << 0)
#define KVM_MSR_EXIT_REASON_UNKNOWN (1U << 1)
#define KVM_MSR_EXIT_REASON_FILTER  (1U << 2)
#define KVM_MSR_EXIT_REASON_VALID_MASK                                                                                 \
	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER)

#define KVM_MSR_FILTER_READ	       (1U << 0) /* of a range */
#define KVM_MSR_FILTER_WRITE	       (1U << 1)
#define KVM_MSR_FILTER_RANGE_VALID_MASK (KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)
#define KVM_MSR_FILTER_DEFAULT_ALLOW   0
#define KVM_MSR_FILTER_DEFAULT_DENY    (1U << 0)
#define KVM_MSR_FILTER_VALID_MASK      KVM_MSR_FILTER_DEFAULT_DENY
#define KVM_MSR_FILTER_MAX_RANGES      16
#define KVM_MSR_FILTER_MAX_BITMAP_SIZE 0x600

#define KVM_PIO_PAGE_OFFSET	       1
#define KVM_COALESCED_MMIO_PAGE_OFFSET 2
#define KVM_DIRTY_LOG_PAGE_OFFSET      64

/* Guest's hypercalls: errors that RAX gets, negative. */
#define KVM_ENOSYS 1000
#define KVM_EPERM  1
#define KVM_EINVAL 22
#define KVM_E2BIG  7

struct kvm_regs {
	__u64 rax, rbx, rcx, rdx;
	__u64 rsi, rdi, rsp, rbp;
	__u64 r8, r9, r10, r11;
	__u64 r12, r13, r14, r15;
	__u64 rip, rflags;
};

struct kvm_segment {
	__u64 base;
	__u32 limit;
	__u16 selector;
	__u8 type;
	__u8 present, dpl, db, s, l, g, avl;
	__u8 unusable;
	__u8 padding;
};

struct kvm_dtable {
	__u64 base;
	__u16 limit;
	__u16 padding[3];
};

#define KVM_NR_INTERRUPTS 256

struct kvm_sregs {
	struct kvm_segment cs, ds, es, fs, gs, ss;
	struct kvm_segment tr, ldt;
	struct kvm_dtable gdt, idt;
	__u64 cr0, cr2, cr3, cr4, cr8;
	__u64 efer;
	__u64 apic_base;
	__u64 interrupt_bitmap[(KVM_NR_INTERRUPTS + 63) / 64];
};

#define KVM_SREGS2_FLAGS_PDPTRS_VALID 1

struct kvm_sregs2 {
	struct kvm_segment cs, ds, es, fs, gs, ss;
	struct kvm_segment tr, ldt;
	struct kvm_dtable gdt, idt;
	__u64 cr0, cr2, cr3, cr4, cr8;
	__u64 efer;
	__u64 apic_base;
	__u64 flags;
	__u64 pdptrs[4];
};

struct kvm_fpu {
	__u8 fpr[8][16];
	__u16 fcw;
	__u16 fsw;
	__u8 ftwx;
	__u8 pad1;
	__u16 last_opcode;
	__u64 last_ip;
	__u64 last_dp;
	__u8 xmm[16][16];
	__u32 mxcsr;
	__u32 pad2;
};

struct kvm_xsave {
	__u32 region[1024];
	__u32 extra[];
};

#define KVM_MAX_XCRS 16

struct kvm_xcr {
	__u32 xcr;
	__u32 reserved;
	__u64 value;
};

struct kvm_xcrs {
	__u32 nr_xcrs;
	__u32 flags;
	struct kvm_xcr xcrs[KVM_MAX_XCRS];
	__u64 padding[16];
};

struct kvm_msr_entry {
	__u32 index;
	__u32 reserved;
	__u64 data;
};

struct kvm_msrs {
	__u32 nmsrs;
	__u32 pad;
	struct kvm_msr_entry entries[];
};

#define KVM_VCPU_TSC_CTRL   0 /* a group of attributes */
#define KVM_VCPU_TSC_OFFSET 0

struct kvm_device_attr {
	__u32 flags;
	__u32 group;
	__u64 attr;
	__u64 addr;
};

struct kvm_msr_filter_range {
	__u32 flags;
	__u32 nmsrs;
	__u32 base;
	__u32 pad;
	__u64 bitmap; /* address: bit set = allowed */
};

struct kvm_msr_filter {
	__u32 flags;
	__u32 pad;
	struct kvm_msr_filter_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};

struct kvm_msr_list {
	__u32 nmsrs;
	__u32 indices[];
};

#define KVM_MP_STATE_RUNNABLE	   0
#define KVM_MP_STATE_UNINITIALIZED 1
#define KVM_MP_STATE_INIT_RECEIVED 2
#define KVM_MP_STATE_HALTED	   3
#define KVM_MP_STATE_SIPI_RECEIVED 4
#define KVM_MP_STATE_AP_RESET_HOLD 9

struct kvm_mp_state {
	__u32 mp_state;
};

#define KVM_X86_SHADOW_INT_MOV_SS 0x01
#define KVM_X86_SHADOW_INT_STI	  0x02

#define KVM_VCPUEVENT_VALID_NMI_PENDING	 0x01
#define KVM_VCPUEVENT_VALID_SIPI_VECTOR	 0x02
#define KVM_VCPUEVENT_VALID_SHADOW	 0x04
#define KVM_VCPUEVENT_VALID_SMM		 0x08
#define KVM_VCPUEVENT_VALID_PAYLOAD	 0x10
#define KVM_VCPUEVENT_VALID_TRIPLE_FAULT 0x20

struct kvm_x86_mce {
	__u64 status;
	__u64 addr;
	__u64 misc;
	__u64 mcg_status;
	__u8 bank;
	__u8 pad1[7];
	__u64 pad2[3];
};

struct kvm_tpr_access_ctl {
	__u32 enabled;
	__u32 flags;
	__u32 reserved[8];
};

struct kvm_vapic_addr {
	__u64 vapic_addr;
};

struct kvm_vcpu_events {
	struct {
		__u8 injected;
		__u8 nr;
		__u8 has_error_code;
		__u8 pending;
		__u32 error_code;
	} exception;
	struct {
		__u8 injected;
		__u8 nr;
		__u8 soft;
		__u8 shadow;
	} interrupt;
	struct {
		__u8 injected;
		__u8 pending;
		__u8 masked;
		__u8 pad;
	} nmi;
	__u32 sipi_vector;
	__u32 flags;
	struct {
		__u8 smm;
		__u8 pending;
		__u8 smm_inside_nmi;
		__u8 latched_init;
	} smi;
	struct {
		__u8 pending;
	} triple_fault;
	__u8 reserved[26];
	__u8 exception_has_payload;
	__u64 exception_payload;
};

struct kvm_debugregs {
	__u64 db[4];
	__u64 dr6;
	__u64 dr7;
	__u64 flags;
	__u64 reserved[9];
};

#define KVM_GUESTDBG_ENABLE	0x00000001
#define KVM_GUESTDBG_SINGLESTEP 0x00000002
#define KVM_GUESTDBG_USE_SW_BP	0x00010000
#define KVM_GUESTDBG_USE_HW_BP	0x00020000
#define KVM_GUESTDBG_INJECT_DB	0x00040000
#define KVM_GUESTDBG_INJECT_BP	0x00080000
#define KVM_GUESTDBG_BLOCKIRQ	0x00100000

struct kvm_guest_debug_arch {
	__u64 debugreg[8];
};

struct kvm_guest_debug {
	__u32 control;
	__u32 pad;
	struct kvm_guest_debug_arch arch;
};

struct kvm_debug_exit_arch {
	__u32 exception;
	__u32 pad;
	__u64 pc;
	__u64 dr6;
	__u64 dr7;
};

struct kvm_translation {
	__u64 linear_address;
	__u64 physical_address;
	__u8 valid;
	__u8 writeable;
	__u8 usermode;
	__u8 pad[5];
};

struct kvm_interrupt {
	__u32 irq;
};

struct kvm_signal_mask {
	__u32 len;
	__u8 sigset[];
};

#define KVM_APIC_REG_SIZE 0x400

struct kvm_lapic_state {
	char regs[KVM_APIC_REG_SIZE];
};

struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

#define KVM_SYNC_X86_REGS	  (1ULL << 0)
#define KVM_SYNC_X86_SREGS	  (1ULL << 1)
#define KVM_SYNC_X86_EVENTS	  (1ULL << 2)
#define KVM_SYNC_X86_VALID_FIELDS 7ULL

struct kvm_sync_regs {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
};

struct kvm_run {
	/* in */
	__u8 request_interrupt_window;
	__u8 immediate_exit;
	__u8 padding1[6];
	/* out */
	__u32 exit_reason;
	__u8 ready_for_interrupt_injection;
	__u8 if_flag;
	__u16 flags;
	/* in and out */
	__u64 cr8;
	__u64 apic_base;
	union {
		struct {
			__u64 hardware_exit_reason;
		} hw;
		struct {
			__u64 hardware_entry_failure_reason;
			__u32 cpu;
		} fail_entry;
		struct {
			__u8 direction;
			__u8 size;
			__u16 port;
			__u32 count;
			__u64 data_offset;
		} io;
		struct {
			struct kvm_debug_exit_arch arch;
		} debug;
		struct {
			__u64 phys_addr;
			__u8 data[8];
			__u32 len;
			__u8 is_write;
		} mmio;
		struct {
			__u64 nr;
			__u64 args[6];
			__u64 ret;
			union {
				__u32 longmode;
				__u64 flags;
			};
		} hypercall;
		struct {
			__u64 rip;
			__u32 is_write;
			__u32 pad;
		} tpr_access;
		struct {
			__u32 suberror;
			__u32 ndata;
			__u64 data[16];
		} internal;
		struct {
			__u32 type;
			__u32 ndata;
			__u64 data[16];
		} system_event;
		struct {
			__u8 vector;
		} eoi;
		struct {
			__u8 error;
			__u8 pad[7];
			__u32 reason;
			__u32 index;
			__u64 data;
		} msr;
		struct {
			__u64 flags;
			__u64 gpa;
			__u64 size;
		} memory_fault;
		char padding[256];
	};
	__u64 kvm_valid_regs;
	__u64 kvm_dirty_regs;
	union {
		struct kvm_sync_regs regs;
		char padding[2048];
	} s;
};

/* Dirty pages */
#define KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE (1ULL << 0)
#define KVM_DIRTY_LOG_INITIALLY_SET	    (1ULL << 1)

struct kvm_clear_dirty_log {
	__u32 slot;
	__u32 num_pages;
	__u64 first_page;
	union {
		void *dirty_bitmap;
		__u64 padding2;
	};
};

#define KVM_DIRTY_GFN_F_DIRTY (1U << 0)
#define KVM_DIRTY_GFN_F_RESET (1U << 1)

struct kvm_dirty_gfn {
	__u32 flags;
	__u32 slot;
	__u64 offset;
};

/* Writes that are gathered */
struct kvm_coalesced_mmio_zone {
	__u64 addr;
	__u32 size;
	union {
		__u32 pad;
		__u32 pio;
	};
};

struct kvm_coalesced_mmio {
	__u64 phys_addr;
	__u32 len;
	union {
		__u32 pad;
		__u32 pio;
	};
	__u8 data[8];
};

struct kvm_coalesced_mmio_ring {
	__u32 first, last;
	struct kvm_coalesced_mmio coalesced_mmio[];
};

/* The clock */
#define KVM_CLOCK_TSC_STABLE 2
#define KVM_CLOCK_REALTIME   (1 << 2)
#define KVM_CLOCK_HOST_TSC   (1 << 3)

#define KVM_CREATE_DEVICE_TEST 1

struct kvm_create_device {
	__u32 type, fd, flags;
};

struct kvm_clock_data {
	__u64 clock;
	__u32 flags;
	__u32 pad0;
	__u64 realtime;
	__u64 host_tsc;
	__u32 pad[4];
};

/* Quirks that can be switched off: KVM_CAP_DISABLE_QUIRKS[2]. */
#define KVM_X86_QUIRK_LINT0_REENABLED	     (1U << 0)
#define KVM_X86_QUIRK_CD_NW_CLEARED	     (1U << 1)
#define KVM_X86_QUIRK_LAPIC_MMIO_HOLE	     (1U << 2)
#define KVM_X86_QUIRK_OUT_7E_INC_RIP	     (1U << 3)
#define KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT   (1U << 4)
#define KVM_X86_QUIRK_FIX_HYPERCALL_INSN     (1U << 5)
#define KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS  (1U << 6)
#define KVM_X86_QUIRK_SLOT_ZAP_ALL	     (1U << 7)
#define KVM_X86_QUIRK_STUFF_FEATURE_MSRS     (1U << 8)
#define KVM_X86_QUIRK_IGNORE_GUEST_PAT	     (1U << 9)

#define KVM_GET_MSR_INDEX_LIST	       _IOWR(KVMIO, 0x02, struct kvm_msr_list)
#define KVM_GET_EMULATED_CPUID	       _IOWR(KVMIO, 0x09, struct kvm_cpuid2)
#define KVM_GET_MSR_FEATURE_INDEX_LIST _IOWR(KVMIO, 0x0a, struct kvm_msr_list)
#define KVM_GET_NR_MMU_PAGES	       _IO(KVMIO, 0x45)
#define KVM_SET_TSS_ADDR	       _IO(KVMIO, 0x47)
#define KVM_SET_IDENTITY_MAP_ADDR      _IOW(KVMIO, 0x48, __u64)
#define KVM_REGISTER_COALESCED_MMIO    _IOW(KVMIO, 0x67, struct kvm_coalesced_mmio_zone)
#define KVM_UNREGISTER_COALESCED_MMIO  _IOW(KVMIO, 0x68, struct kvm_coalesced_mmio_zone)
#define KVM_SET_BOOT_CPU_ID	       _IO(KVMIO, 0x78)
#define KVM_SET_CLOCK		       _IOW(KVMIO, 0x7b, struct kvm_clock_data)
#define KVM_GET_CLOCK		       _IOR(KVMIO, 0x7c, struct kvm_clock_data)
#define KVM_GET_REGS		       _IOR(KVMIO, 0x81, struct kvm_regs)
#define KVM_SET_REGS		       _IOW(KVMIO, 0x82, struct kvm_regs)
#define KVM_GET_SREGS		       _IOR(KVMIO, 0x83, struct kvm_sregs)
#define KVM_SET_SREGS		       _IOW(KVMIO, 0x84, struct kvm_sregs)
#define KVM_TRANSLATE		       _IOWR(KVMIO, 0x85, struct kvm_translation)
#define KVM_INTERRUPT		       _IOW(KVMIO, 0x86, struct kvm_interrupt)
#define KVM_GET_MSRS		       _IOWR(KVMIO, 0x88, struct kvm_msrs)
#define KVM_SET_MSRS		       _IOW(KVMIO, 0x89, struct kvm_msrs)
#define KVM_SET_SIGNAL_MASK	       _IOW(KVMIO, 0x8b, struct kvm_signal_mask)
#define KVM_GET_FPU		       _IOR(KVMIO, 0x8c, struct kvm_fpu)
#define KVM_SET_FPU		       _IOW(KVMIO, 0x8d, struct kvm_fpu)
#define KVM_GET_LAPIC		       _IOR(KVMIO, 0x8e, struct kvm_lapic_state)
#define KVM_SET_LAPIC		       _IOW(KVMIO, 0x8f, struct kvm_lapic_state)
#define KVM_SET_CPUID2		       _IOW(KVMIO, 0x90, struct kvm_cpuid2)
#define KVM_GET_CPUID2		       _IOWR(KVMIO, 0x91, struct kvm_cpuid2)
#define KVM_TPR_ACCESS_REPORTING       _IOWR(KVMIO, 0x92, struct kvm_tpr_access_ctl)
#define KVM_SET_VAPIC_ADDR	       _IOW(KVMIO, 0x93, struct kvm_vapic_addr)
#define KVM_GET_MP_STATE	       _IOR(KVMIO, 0x98, struct kvm_mp_state)
#define KVM_SET_MP_STATE	       _IOW(KVMIO, 0x99, struct kvm_mp_state)
#define KVM_NMI			       _IO(KVMIO, 0x9a)
#define KVM_SET_GUEST_DEBUG	       _IOW(KVMIO, 0x9b, struct kvm_guest_debug)
#define KVM_X86_SETUP_MCE	       _IOW(KVMIO, 0x9c, __u64)
#define KVM_X86_GET_MCE_CAP_SUPPORTED  _IOR(KVMIO, 0x9d, __u64)
#define KVM_X86_SET_MCE		       _IOW(KVMIO, 0x9e, struct kvm_x86_mce)
#define KVM_GET_VCPU_EVENTS	       _IOR(KVMIO, 0x9f, struct kvm_vcpu_events)
#define KVM_SET_VCPU_EVENTS	       _IOW(KVMIO, 0xa0, struct kvm_vcpu_events)
#define KVM_GET_DEBUGREGS	       _IOR(KVMIO, 0xa1, struct kvm_debugregs)
#define KVM_SET_DEBUGREGS	       _IOW(KVMIO, 0xa2, struct kvm_debugregs)
#define KVM_SET_TSC_KHZ		       _IO(KVMIO, 0xa2)
#define KVM_GET_XSAVE		       _IOR(KVMIO, 0xa4, struct kvm_xsave)
#define KVM_SET_XSAVE		       _IOW(KVMIO, 0xa5, struct kvm_xsave)
#define KVM_GET_XCRS		       _IOR(KVMIO, 0xa6, struct kvm_xcrs)
#define KVM_SET_XCRS		       _IOW(KVMIO, 0xa7, struct kvm_xcrs)
#define KVM_CLEAR_DIRTY_LOG	       _IOWR(KVMIO, 0xc0, struct kvm_clear_dirty_log)
#define KVM_X86_SET_MSR_FILTER	       _IOW(KVMIO, 0xc6, struct kvm_msr_filter)
#define KVM_RESET_DIRTY_RINGS	       _IO(KVMIO, 0xc7)
#define KVM_GET_SREGS2		       _IOR(KVMIO, 0xcc, struct kvm_sregs2)
#define KVM_SET_SREGS2		       _IOW(KVMIO, 0xcd, struct kvm_sregs2)
#define KVM_SET_DEVICE_ATTR	       _IOW(KVMIO, 0xe1, struct kvm_device_attr)
#define KVM_GET_DEVICE_ATTR	       _IOW(KVMIO, 0xe2, struct kvm_device_attr)
#define KVM_HAS_DEVICE_ATTR	       _IOW(KVMIO, 0xe3, struct kvm_device_attr)
#define KVM_GET_XSAVE2		       _IOR(KVMIO, 0xcf, struct kvm_xsave)
#define KVM_PRE_FAULT_MEMORY	       _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#define KVM_CREATE_DEVICE	       _IOWR(KVMIO, 0xe0, struct kvm_create_device)

_Static_assert(sizeof(struct kvm_run) == 2352, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, immediate_exit) == 1, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, exit_reason) == 8, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, flags) == 14, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, hw) == 32, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, io.data_offset) == 40, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, mmio.is_write) == 52, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, hypercall.ret) == 88, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, hypercall.flags) == 96, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, internal.data) == 40, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, memory_fault.size) == 48, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, kvm_valid_regs) == 288, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, kvm_dirty_regs) == 296, "ABI");
_Static_assert(__builtin_offsetof(struct kvm_run, s) == 304, "ABI");
_Static_assert(sizeof(struct kvm_regs) == 144, "ABI");
_Static_assert(sizeof(struct kvm_sregs) == 312, "ABI");
_Static_assert(sizeof(struct kvm_sregs2) == 320, "ABI");
_Static_assert(sizeof(struct kvm_fpu) == 416, "ABI");
_Static_assert(sizeof(struct kvm_xcrs) == 392, "ABI");
_Static_assert(sizeof(struct kvm_vcpu_events) == 64, "ABI");
_Static_assert(sizeof(struct kvm_debugregs) == 128, "ABI");
_Static_assert(sizeof(struct kvm_guest_debug) == 72, "ABI");
_Static_assert(sizeof(struct kvm_pre_fault_memory) == 64, "ABI");
_Static_assert(sizeof(struct kvm_clear_dirty_log) == 24, "ABI");
_Static_assert(sizeof(struct kvm_clock_data) == 48, "ABI");
_Static_assert(sizeof(struct kvm_x86_mce) == 64, "ABI");
_Static_assert(sizeof(struct kvm_tpr_access_ctl) == 40, "ABI");
_Static_assert(KVM_PRE_FAULT_MEMORY == 0xC040AED5, "ABI");
_Static_assert(KVM_GET_SREGS == 0x8138AE83, "ABI");
_Static_assert(KVM_SET_XCRS == 0x4188AEA7, "ABI");

#endif
