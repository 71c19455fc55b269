// SPDX-License-Identifier: MIT
/*
 * device/lapic_irq.c - the local APIC's vectors: acceptance, priorities, end of interrupt
 */
#include "device/lapic.h"

#define BROADCAST8  0xffU
#define BROADCAST32 0xffffffffU
#define DFR_FLAT    0xfU

static u32 *word_of(struct lapic *apic, unsigned bank, u8 vector)
{
	return &apic->reg[(bank >> 4) + vector / 32];
}

static bool test(const struct lapic *apic, unsigned bank, u8 vector)
{
	return apic->reg[(bank >> 4) + vector / 32] >> (vector % 32) & 1;
}

static void assign(struct lapic *apic, unsigned bank, u8 vector, bool value)
{
	u32 bit = 1U << (vector % 32), *word = word_of(apic, bank, vector);

	*word = value ? *word | bit : *word & ~bit;
}

static int highest(const struct lapic *apic, unsigned bank)
{
	for (int i = 7; i >= 0; i--) {
		u32 word = apic->reg[(bank >> 4) + (unsigned)i];

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

bool lapic_enabled(const struct lapic *apic)
{
	return lapic_on(apic) && (lapic_get(apic, LAPIC_SPIV) & LAPIC_SPIV_ENABLED);
}

u32 lapic_ppr(const struct lapic *apic)
{
	u32 tpr = lapic_get(apic, LAPIC_TPR) & 0xff;
	int isr = highest(apic, LAPIC_ISR);
	u32 serviced = isr < 0 ? 0 : (u32)isr & 0xf0;

	return (tpr & 0xf0) >= serviced ? tpr : serviced;
}

u32 lapic_shared_word(const struct lapic *apic)
{
	int irr = highest(apic, LAPIC_IRR), isr = highest(apic, LAPIC_ISR);

	return (lapic_get(apic, LAPIC_TPR) & 0xff) | (irr < 0 ? 0 : (u32)irr & 0xf0) << 8 | (isr < 0 ? 0 : (u32)isr) << 24;
}

int lapic_pending(const struct lapic *apic)
{
	int irr = lapic_on(apic) ? highest(apic, LAPIC_IRR) : -1;

	return irr >= 0 && ((u32)irr & 0xf0) > (lapic_ppr(apic) & 0xf0) ? irr : -1;
}

void lapic_ack(struct lapic *apic, u8 vector)
{
	assign(apic, LAPIC_IRR, vector, false);
	assign(apic, LAPIC_ISR, vector, true);
}

void lapic_eoi(struct lapic *apic)
{
	int vector = highest(apic, LAPIC_ISR);

	if (vector < 0)
		return;
	assign(apic, LAPIC_ISR, (u8)vector, false);
	apic->sink->eoi(apic, (u8)vector, test(apic, LAPIC_TMR, (u8)vector));
}

bool lapic_vector_in_use(const struct lapic *apic, u8 vector)
{
	return test(apic, LAPIC_IRR, vector) || test(apic, LAPIC_ISR, vector);
}

/* ---- destinations ---- */

static bool is_broadcast(const struct lapic *apic, const struct irq_message *m, bool ids32)
{
	/* Devices know 8-bit destinations alone, unless user space has asked for more. */
	if (lapic_is_x2apic(apic) && (m->is_ipi || ids32))
		return m->dest == BROADCAST32;
	return m->dest == BROADCAST8;
}

static bool is_physical(const struct lapic *apic, u32 dest)
{
	if (lapic_is_x2apic(apic))
		return dest == apic->id;
	/* An id above 255 can be reached only as the x2APIC's that it will be. */
	return dest == lapic_get(apic, LAPIC_ID) >> 24 || (apic->id > 0xff && dest == apic->id);
}

static bool is_logical(const struct lapic *apic, u32 dest)
{
	u32 ldr = lapic_get(apic, LAPIC_LDR);

	if (lapic_is_x2apic(apic))
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	ldr >>= 24;
	if (lapic_get(apic, LAPIC_DFR) >> 28 == DFR_FLAT)
		return ldr & dest & 0xff;
	return (ldr >> 4 & 0xf) == (dest >> 4 & 0xf) && (ldr & dest & 0xf);
}

bool lapic_is_destination(const struct lapic *apic, const struct irq_message *m, bool ids32)
{
	if (!lapic_on(apic))
		return false;
	if (is_broadcast(apic, m, ids32))
		return true;
	return m->logical ? is_logical(apic, m->dest) : is_physical(apic, m->dest);
}

/* ---- acceptance ---- */

bool lapic_accept(struct lapic *apic, u8 mode, u8 vector, bool assert, bool level_triggered)
{
	switch (mode) {
	case IRQ_FIXED:
	case IRQ_LOWEST:
		if (!lapic_enabled(apic) || (level_triggered && !assert))
			return false;
		assign(apic, LAPIC_TMR, vector, level_triggered);
		assign(apic, LAPIC_IRR, vector, true);
		return true;
	case IRQ_NMI:
		apic->nmi = true;
		return true;
	case IRQ_INIT:
		/* De-assertion is a relic that only resets arbitration. */
		if (level_triggered && !assert)
			return false;
		apic->init = true;
		apic->sipi = false;
		return true;
	case IRQ_STARTUP:
		apic->sipi = true;
		apic->sipi_vector = vector;
		return true;
	}
	return false;
}

bool lapic_local(struct lapic *apic, unsigned lvt)
{
	u32 entry = lapic_get(apic, lvt);

	if (!lapic_on(apic) || (entry & LAPIC_LVT_MASKED))
		return false;
	return lapic_accept(apic, lvt == LAPIC_LVTT ? IRQ_FIXED : entry >> 8 & 7, (u8)entry, true, entry >> 15 & 1);
}

bool lapic_takes_pic(const struct lapic *apic)
{
	u32 entry = lapic_get(apic, LAPIC_LVT0);

	return !lapic_on(apic) || (!(entry & LAPIC_LVT_MASKED) && (entry >> 8 & 7) == IRQ_EXTINT);
}

void lapic_send(struct lapic *apic, u32 icr, u32 dest)
{
	struct irq_message m = {
		.dest = lapic_is_x2apic(apic) ? dest : dest >> 24,
		.vector = (u8)icr,
		.mode = icr >> 8 & 7,
		.logical = icr >> 11 & 1,
		.assert = icr >> 14 & 1,
		.level_triggered = icr >> 15 & 1,
		.shorthand = icr >> 18 & 3,
		.is_ipi = true,
	};

	m.lowest = m.mode == IRQ_LOWEST;
	/* Only INIT knows levels; everything else is an edge. */
	if (m.mode != IRQ_INIT) {
		m.level_triggered = false;
		m.assert = true;
	}
	apic->sink->ipi(apic, &m);
}
