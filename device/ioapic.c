// SPDX-License-Identifier: MIT
/*
 * device/ioapic.c - an I/O APIC
 *
 * irr holds a pin's level while it is level triggered, and an edge until the line
 * falls again.  Remote IRR is set when a level is delivered, and the pin stays
 * silent until an EOI of its vector.
 */
#include "device/ioapic.h"

#include "rt/string.h"

enum { REG_SELECT = 0x00, REG_WINDOW = 0x10 };
enum { INDEX_ID, INDEX_VERSION, INDEX_ARBITRATION, INDEX_REDIR = 0x10 };

#define VERSION	       0x11U
#define REDIR_READONLY (IOAPIC_REMOTE_IRR | 1ULL << 12)
#define REDIR_RESERVED 0x00fffffffffe0000ULL

void ioapic_reset(struct ioapic *io)
{
	io->irr = 0;
	io->select = 0;
	io->id = 0;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		io->redir[i] = IOAPIC_MASKED;
}

struct irq_message ioapic_message(u64 redir)
{
	struct irq_message m = {
		.dest = (u32)(redir >> 56),
		.vector = (u8)redir,
		.mode = redir >> 8 & 7,
		.logical = redir >> 11 & 1,
		.level_triggered = redir >> 15 & 1,
		.assert = true,
	};

	m.lowest = m.mode == IRQ_LOWEST;
	return m;
}

static int service(struct ioapic *io, unsigned pin)
{
	struct irq_message m = ioapic_message(io->redir[pin]);
	int ret;

	if ((io->redir[pin] & IOAPIC_MASKED) || (m.level_triggered && (io->redir[pin] & IOAPIC_REMOTE_IRR)))
		return -1;
	ret = io->deliver(io, &m);
	if (ret > 0 && m.level_triggered)
		io->redir[pin] |= IOAPIC_REMOTE_IRR;
	return ret;
}

int ioapic_set(struct ioapic *io, unsigned pin, bool level)
{
	u32 bit = 1U << pin, old = io->irr;

	if (!level) {
		io->irr &= ~bit;
		return 1;
	}
	io->irr |= bit;
	if (io->redir[pin] & IOAPIC_LEVEL)
		return io->redir[pin] & IOAPIC_REMOTE_IRR ? 0 : service(io, pin);
	return old & bit ? 0 : service(io, pin);
}

void ioapic_eoi(struct ioapic *io, u8 vector, bool level)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if ((u8)io->redir[pin] != vector)
			continue;
		io->acked(io, pin);
		if (!level || !(io->redir[pin] & IOAPIC_LEVEL))
			continue;
		io->redir[pin] &= ~IOAPIC_REMOTE_IRR;
		if (io->irr >> pin & 1)
			service(io, pin);
	}
}

static u32 read_index(const struct ioapic *io)
{
	unsigned index = (io->select - INDEX_REDIR) / 2;

	switch (io->select) {
	case INDEX_ID:
	case INDEX_ARBITRATION:
		return (u32)(io->id & 0xf) << 24;
	case INDEX_VERSION:
		return (IOAPIC_PINS - 1) << 16 | VERSION;
	}
	if (io->select < INDEX_REDIR || index >= IOAPIC_PINS)
		return io->select < INDEX_REDIR ? 0 : 0xffffffff;
	return (u32)(io->redir[index] >> (io->select & 1 ? 32 : 0));
}

static void write_index(struct ioapic *io, u32 value)
{
	unsigned pin = (io->select - INDEX_REDIR) / 2;
	u64 old, new;

	if (io->select == INDEX_ID)
		io->id = value >> 24 & 0xf;
	if (io->select < INDEX_REDIR || pin >= IOAPIC_PINS)
		return;
	old = io->redir[pin];
	new = io->select & 1 ? (old & 0xffffffff) | (u64)value << 32 : (old & ~0xffffffffULL) | value;
	new = (new & ~(REDIR_READONLY | REDIR_RESERVED)) | (old & REDIR_READONLY);
	/* Linux switches to edge and back to clear a stuck remote IRR. */
	if (!(new & IOAPIC_LEVEL))
		new &= ~IOAPIC_REMOTE_IRR;
	io->redir[pin] = new;
	if (old & ~new & IOAPIC_MASKED)
		io->unmasked(io, pin);
	if ((new & IOAPIC_LEVEL) && (io->irr >> pin & 1))
		service(io, pin);
}

u32 ioapic_read(const struct ioapic *io, unsigned offset)
{
	switch (offset) {
	case REG_SELECT:
		return io->select;
	case REG_WINDOW:
		return read_index(io);
	}
	return 0;
}

void ioapic_write(struct ioapic *io, unsigned offset, u32 value)
{
	switch (offset) {
	case REG_SELECT:
		io->select = value & 0xff;
		break;
	case REG_WINDOW:
		write_index(io, value);
		break;
	}
}
