/* SPDX-License-Identifier: MIT */
/*
 * device/ioapic.h - an I/O APIC of 24 pins, 82093AA
 *
 * Pure: messages go to a callback.  The owner serialises (device/irqchip.h).
 */
#ifndef GMEM_DEVICE_IOAPIC_H
#define GMEM_DEVICE_IOAPIC_H

#include "device/lapic.h"

enum { IOAPIC_PINS = 24, IOAPIC_SIZE = 0x100 };
#define IOAPIC_BASE 0xfec00000ULL

#define IOAPIC_REMOTE_IRR (1ULL << 14)
#define IOAPIC_LEVEL	  (1ULL << 15)
#define IOAPIC_MASKED	  (1ULL << 16)

struct ioapic {
	/* How many APICs took it; below 0: there is none. */
	int (*deliver)(struct ioapic *io, const struct irq_message *message);
	/* An interrupt of this pin has ended; a line may be lowered or raised from here. */
	void (*acked)(struct ioapic *io, unsigned pin);
	void (*unmasked)(struct ioapic *io, unsigned pin);
	u64 redir[IOAPIC_PINS];
	u32 irr;
	u32 select;
	u8 id;
};

void ioapic_reset(struct ioapic *io);
/* The line's level now: as KVM_IRQ_LINE_STATUS answers, 0 coalesced, -1 masked or nobody there, else deliveries. */
int ioapic_set(struct ioapic *io, unsigned pin, bool level);
/* level: as the APIC took the interrupt. */
void ioapic_eoi(struct ioapic *io, u8 vector, bool level);
u32 ioapic_read(const struct ioapic *io, unsigned offset);
void ioapic_write(struct ioapic *io, unsigned offset, u32 value);
struct irq_message ioapic_message(u64 redir);

#endif
