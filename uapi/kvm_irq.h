/* SPDX-License-Identifier: MIT */
/*
 * uapi/kvm_irq.h - the interrupt controllers' part of KVM's user space ABI, x86
 *
 * As uapi/kvm.h: names, numbers and layouts are the kernel's.
 */
#ifndef GMEM_UAPI_KVM_IRQ_H
#define GMEM_UAPI_KVM_IRQ_H

#include "uapi/kvm_vcpu.h"

#define KVM_CAP_PIT		      11
#define KVM_CAP_IRQ_ROUTING	      25
#define KVM_CAP_IRQ_INJECT_STATUS     26
#define KVM_CAP_IRQFD		      32
#define KVM_CAP_REINJECT_CONTROL      24
#define KVM_CAP_PIT2		      33
#define KVM_CAP_PIT_STATE2	      35
#define KVM_CAP_IOEVENTFD	      36
#define KVM_CAP_TSC_DEADLINE_TIMER    72
#define KVM_CAP_SIGNAL_MSI	      77
#define KVM_CAP_IRQFD_RESAMPLE	      82
#define KVM_CAP_IOEVENTFD_NO_LENGTH   100
#define KVM_CAP_IOEVENTFD_ANY_LENGTH  122
#define KVM_CAP_X2APIC_API	      129

#define KVM_X2APIC_API_USE_32BIT_IDS		(1ULL << 0)
#define KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK	(1ULL << 1)

struct kvm_irq_level {
	union {
		__u32 irq;
		__s32 status;
	};
	__u32 level;
};

struct kvm_pic_state {
	__u8 last_irr;
	__u8 irr;
	__u8 imr;
	__u8 isr;
	__u8 priority_add;
	__u8 irq_base;
	__u8 read_reg_select;
	__u8 poll;
	__u8 special_mask;
	__u8 init_state;
	__u8 auto_eoi;
	__u8 rotate_on_auto_eoi;
	__u8 special_fully_nested_mode;
	__u8 init4;
	__u8 elcr;
	__u8 elcr_mask;
};

#define KVM_IOAPIC_NUM_PINS 24

struct kvm_ioapic_state {
	__u64 base_address;
	__u32 ioregsel;
	__u32 id;
	__u32 irr;
	__u32 pad;
	__u64 redirtbl[KVM_IOAPIC_NUM_PINS];
};

#define KVM_IRQCHIP_PIC_MASTER 0
#define KVM_IRQCHIP_PIC_SLAVE  1
#define KVM_IRQCHIP_IOAPIC     2

struct kvm_irqchip {
	__u32 chip_id;
	__u32 pad;
	union {
		char dummy[512];
		struct kvm_pic_state pic;
		struct kvm_ioapic_state ioapic;
	} chip;
};

struct kvm_pit_config {
	__u32 flags;
	__u32 pad[15];
};

struct kvm_reinject_control {
	__u8 pit_reinject;
	__u8 reserved[31];
};

#define KVM_PIT_SPEAKER_DUMMY	   1
#define KVM_PIT_FLAGS_HPET_LEGACY  0x00000001
#define KVM_PIT_FLAGS_SPEAKER_DATA_ON 0x00000002

struct kvm_pit_channel_state {
	__u32 count; /* can be 65536 */
	__u16 latched_count;
	__u8 count_latched;
	__u8 status_latched;
	__u8 status;
	__u8 read_state;
	__u8 write_state;
	__u8 write_latch;
	__u8 rw_mode;
	__u8 mode;
	__u8 bcd;
	__u8 gate;
	__s64 count_load_time;
};

struct kvm_pit_state {
	struct kvm_pit_channel_state channels[3];
};

struct kvm_pit_state2 {
	struct kvm_pit_channel_state channels[3];
	__u32 flags;
	__u32 reserved[9];
};

#define KVM_MAX_IRQ_ROUTES	4096
#define KVM_IRQ_ROUTING_IRQCHIP 1
#define KVM_IRQ_ROUTING_MSI	2

struct kvm_irq_routing_entry {
	__u32 gsi;
	__u32 type;
	__u32 flags;
	__u32 pad;
	union {
		struct {
			__u32 irqchip;
			__u32 pin;
		} irqchip;
		struct {
			__u32 address_lo;
			__u32 address_hi;
			__u32 data;
			__u32 devid;
		} msi;
		__u32 upad[8];
	} u;
};

struct kvm_irq_routing {
	__u32 nr;
	__u32 flags;
	struct kvm_irq_routing_entry entries[];
};

struct kvm_msi {
	__u32 address_lo;
	__u32 address_hi;
	__u32 data;
	__u32 flags;
	__u32 devid;
	__u8 pad[12];
};

#define KVM_IRQFD_FLAG_DEASSIGN (1 << 0)
#define KVM_IRQFD_FLAG_RESAMPLE (1 << 1)

struct kvm_irqfd {
	__u32 fd;
	__u32 gsi;
	__u32 flags;
	__u32 resamplefd;
	__u8 pad[16];
};

#define KVM_IOEVENTFD_FLAG_DATAMATCH (1 << 0)
#define KVM_IOEVENTFD_FLAG_PIO	     (1 << 1)
#define KVM_IOEVENTFD_FLAG_DEASSIGN  (1 << 2)

struct kvm_ioeventfd {
	__u64 datamatch;
	__u64 addr;
	__u32 len; /* 0, 1, 2, 4 or 8: 0 ignores the length */
	__s32 fd;
	__u32 flags;
	__u8 pad[36];
};

#define KVM_IRQ_LINE	     _IOW(KVMIO, 0x61, struct kvm_irq_level)
#define KVM_GET_IRQCHIP	     _IOWR(KVMIO, 0x62, struct kvm_irqchip)
#define KVM_SET_IRQCHIP	     _IOR(KVMIO, 0x63, struct kvm_irqchip)
#define KVM_CREATE_PIT	     _IO(KVMIO, 0x64)
#define KVM_GET_PIT	     _IOWR(KVMIO, 0x65, struct kvm_pit_state)
#define KVM_SET_PIT	     _IOR(KVMIO, 0x66, struct kvm_pit_state)
#define KVM_IRQ_LINE_STATUS  _IOWR(KVMIO, 0x67, struct kvm_irq_level)
#define KVM_SET_GSI_ROUTING  _IOW(KVMIO, 0x6a, struct kvm_irq_routing)
#define KVM_IRQFD	     _IOW(KVMIO, 0x76, struct kvm_irqfd)
#define KVM_REINJECT_CONTROL _IO(KVMIO, 0x71)
#define KVM_CREATE_PIT2	     _IOW(KVMIO, 0x77, struct kvm_pit_config)
#define KVM_IOEVENTFD	     _IOW(KVMIO, 0x79, struct kvm_ioeventfd)
#define KVM_GET_PIT2	     _IOR(KVMIO, 0x9f, struct kvm_pit_state2)
#define KVM_SET_PIT2	     _IOW(KVMIO, 0xa0, struct kvm_pit_state2)
#define KVM_SIGNAL_MSI	     _IOW(KVMIO, 0xa5, struct kvm_msi)

_Static_assert(sizeof(struct kvm_pic_state) == 16, "ABI");
_Static_assert(sizeof(struct kvm_ioapic_state) == 216, "ABI");
_Static_assert(sizeof(struct kvm_irqchip) == 520, "ABI");
_Static_assert(sizeof(struct kvm_pit_config) == 64, "ABI");
_Static_assert(sizeof(struct kvm_pit_channel_state) == 24, "ABI");
_Static_assert(sizeof(struct kvm_pit_state2) == 112, "ABI");
_Static_assert(sizeof(struct kvm_irq_routing_entry) == 48, "ABI");
_Static_assert(sizeof(struct kvm_msi) == 32, "ABI");
_Static_assert(sizeof(struct kvm_irqfd) == 32, "ABI");
_Static_assert(sizeof(struct kvm_ioeventfd) == 64, "ABI");
_Static_assert(KVM_GET_IRQCHIP == 0xC208AE62, "ABI");

#endif
