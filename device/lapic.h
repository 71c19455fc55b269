/* SPDX-License-Identifier: MIT */
/*
 * device/lapic.h - a local APIC: registers, priorities, timer
 *
 * No system call: time, other APICs and the I/O APIC are behind struct
 * lapic_sink.  The owner serialises (device/irqchip.h).
 */
#ifndef GMEM_DEVICE_LAPIC_H
#define GMEM_DEVICE_LAPIC_H

#include "rt/types.h"

/* Offsets in the MMIO page; an x2APIC MSR is 0x800 + offset / 16. */
enum {
	LAPIC_ID = 0x20,
	LAPIC_VERSION = 0x30,
	LAPIC_TPR = 0x80,
	LAPIC_APR = 0x90,
	LAPIC_PPR = 0xa0,
	LAPIC_EOI = 0xb0,
	LAPIC_LDR = 0xd0,
	LAPIC_DFR = 0xe0,
	LAPIC_SPIV = 0xf0,
	LAPIC_ISR = 0x100,
	LAPIC_TMR = 0x180,
	LAPIC_IRR = 0x200,
	LAPIC_ESR = 0x280,
	LAPIC_ICR = 0x300,
	LAPIC_ICR2 = 0x310,
	LAPIC_LVTT = 0x320,
	LAPIC_LVT_THERMAL = 0x330,
	LAPIC_LVT_COUNTERS = 0x340,
	LAPIC_LVT0 = 0x350,
	LAPIC_LVT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TMICT = 0x380,
	LAPIC_TMCCT = 0x390,
	LAPIC_TDCR = 0x3e0,
	LAPIC_SELF_IPI = 0x3f0,
	LAPIC_REGS = 0x400 / 16,
};

enum { LAPIC_SPIV_ENABLED = 1 << 8, LAPIC_LVT_MASKED = 1 << 16, LAPIC_ICR_BUSY = 1 << 12 };

/* Delivery modes of messages and LVT entries. */
enum {
	IRQ_FIXED,
	IRQ_LOWEST,
	IRQ_SMI,
	IRQ_NMI = 4,
	IRQ_INIT,
	IRQ_STARTUP,
	IRQ_EXTINT,
};

enum irq_shorthand { IRQ_TO_DEST, IRQ_TO_SELF, IRQ_TO_ALL, IRQ_TO_OTHERS };

/* An interrupt on its way to local APICs. */
struct irq_message {
	u32 dest;
	u8 vector;
	u8 mode;
	bool logical, level_triggered;
	bool assert;
	bool lowest; /* one of the destinations only: mode IRQ_LOWEST, or an MSI's redirection hint */
	bool is_ipi;
	enum irq_shorthand shorthand; /* of an IPI */
};

struct lapic;

struct lapic_sink {
	void (*ipi)(struct lapic *apic, const struct irq_message *message);
	/* The end of an interrupt; level: I/O APICs want to hear of it. */
	void (*eoi)(struct lapic *apic, u8 vector, bool level);
	void (*timer_changed)(struct lapic *apic);
	void (*timer_needed)(struct lapic *apic); /* before the clock is read: what takes long once.  May be NULL. */
	u64 (*now)(struct lapic *apic); /* ns */
	u64 (*tsc)(struct lapic *apic); /* the guest's, and its rate */
	u64 (*tsc_khz)(struct lapic *apic);
	u64 (*cycle_ns)(struct lapic *apic); /* of the bus clock; NULL: 1 */
};

enum lapic_timer_mode { LAPIC_ONESHOT, LAPIC_PERIODIC, LAPIC_TSC_DEADLINE };

struct lapic {
	const struct lapic_sink *sink;
	u32 reg[LAPIC_REGS]; /* ICR is split in both modes */
	u64 base;	     /* IA32_APIC_BASE */
	u32 id;		     /* of the vCPU, and so of the x2APIC */
	bool lint0_extint;   /* reset leaves LINT0 of the boot CPU to the PIC */
	bool directed_eoi;   /* the I/O APIC is elsewhere: EOI broadcasts can be switched off */
	bool nmi, init, sipi; /* what the vCPU has to look at */
	u8 sipi_vector;
	struct {
		enum lapic_timer_mode mode;
		u64 deadline; /* ns; 0: not running */
		u64 period;   /* ns of the initial count */
		u64 tsc_deadline;
	} timer;
};

#define LAPIC_BASE_BSP	  (1ULL << 8)
#define LAPIC_BASE_X2APIC (1ULL << 10)
#define LAPIC_BASE_ENABLE (1ULL << 11)
#define LAPIC_BASE_ADDR	  0xfffff000ULL /* and the physical address bits above */
#define LAPIC_MSR_FIRST	  0x800U
#define LAPIC_MSR_LAST	  0x8ffU

static inline bool lapic_on(const struct lapic *apic)
{
	return apic->base & LAPIC_BASE_ENABLE;
}

static inline bool lapic_is_x2apic(const struct lapic *apic)
{
	return (apic->base & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)) == (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);
}

static inline u32 lapic_get(const struct lapic *apic, unsigned offset)
{
	return apic->reg[offset >> 4];
}

/* device/lapic.c */
void lapic_reset(struct lapic *apic, u64 base, bool init);
/* IA32_APIC_BASE has this value now; the caller has checked it. */
void lapic_set_base(struct lapic *apic, u64 base);
/* false: the register cannot be read, or written, in this way. */
bool lapic_read(struct lapic *apic, unsigned offset, u32 *ret);
bool lapic_write(struct lapic *apic, unsigned offset, u32 value);
bool lapic_msr_read(struct lapic *apic, u32 msr, u64 *ret);
bool lapic_msr_write(struct lapic *apic, u32 msr, u64 value);
/* KVM_GET_LAPIC and KVM_SET_LAPIC; ids32: KVM_X2APIC_API_USE_32BIT_IDS. */
void lapic_get_state(struct lapic *apic, void *regs, bool ids32);
int lapic_set_state(struct lapic *apic, const void *regs, bool ids32);

/* device/lapic_irq.c: delivery and priorities */
u32 lapic_ppr(const struct lapic *apic);
/* What the word of KVM_SET_VAPIC_ADDR tells the guest: TPR, the highest vector requested, the highest in service. */
u32 lapic_shared_word(const struct lapic *apic);
/* The vector to be taken next, or -1. */
int lapic_pending(const struct lapic *apic);
void lapic_ack(struct lapic *apic, u8 vector);
void lapic_eoi(struct lapic *apic);
bool lapic_is_destination(const struct lapic *apic, const struct irq_message *message, bool ids32);
bool lapic_enabled(const struct lapic *apic);
/* true when the APIC took it: the vCPU has something to look at. */
bool lapic_accept(struct lapic *apic, u8 mode, u8 vector, bool assert, bool level_triggered);
bool lapic_local(struct lapic *apic, unsigned lvt);
/* The PIC's output is wired to this CPU. */
bool lapic_takes_pic(const struct lapic *apic);
bool lapic_vector_in_use(const struct lapic *apic, u8 vector);
void lapic_send(struct lapic *apic, u32 icr, u32 dest);

/* device/lapic_timer.c */
u32 lapic_timer_count(struct lapic *apic);
/* LVTT, TMICT or TDCR changed. */
void lapic_timer_mode_changed(struct lapic *apic);
void lapic_timer_start(struct lapic *apic, u32 count);
void lapic_timer_divide(struct lapic *apic, u32 tdcr);
void lapic_timer_stop(struct lapic *apic);
u64 lapic_tsc_deadline(const struct lapic *apic);
void lapic_set_tsc_deadline(struct lapic *apic, u64 value);
/* true when the timer was due and its interrupt was delivered. */
bool lapic_timer_expire(struct lapic *apic, u64 now);

#endif
