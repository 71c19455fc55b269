// SPDX-License-Identifier: MIT
/*
 * device/lapic.c - registers of a local APIC, as page, as MSRs and as KVM_GET_LAPIC's
 */
#include "device/lapic.h"

#include <asm/errno.h>

#include "rt/string.h"

#define VERSION	       0x14U
#define LVT_ENTRIES    6U
#define VERSION_DIRECTED_EOI (1U << 24)
#define SPIV_DIRECTED_EOI    (1U << 12)
#define ICR_RESERVED   (0xfffULL << 20 | 3ULL << 16 | 1ULL << 13)

#define BIT_OF(offset) (1ULL << ((offset) >> 4))
#define EIGHT_OF(offset) (0xffULL << ((offset) >> 4))

static const u64 readable = BIT_OF(LAPIC_ID) | BIT_OF(LAPIC_VERSION) | BIT_OF(LAPIC_TPR) | BIT_OF(LAPIC_PPR) |
			    BIT_OF(LAPIC_LDR) | BIT_OF(LAPIC_SPIV) | EIGHT_OF(LAPIC_ISR) | EIGHT_OF(LAPIC_TMR) |
			    EIGHT_OF(LAPIC_IRR) | BIT_OF(LAPIC_ESR) | BIT_OF(LAPIC_ICR) | BIT_OF(LAPIC_LVTT) |
			    BIT_OF(LAPIC_LVT_THERMAL) | BIT_OF(LAPIC_LVT_COUNTERS) | BIT_OF(LAPIC_LVT0) |
			    BIT_OF(LAPIC_LVT1) | BIT_OF(LAPIC_LVT_ERROR) | BIT_OF(LAPIC_TMICT) | BIT_OF(LAPIC_TMCCT) |
			    BIT_OF(LAPIC_TDCR);
static const u64 readable_xapic = BIT_OF(LAPIC_APR) | BIT_OF(LAPIC_DFR) | BIT_OF(LAPIC_ICR2);

static void set(struct lapic *apic, unsigned offset, u32 value)
{
	apic->reg[offset >> 4] = value;
}

static u32 x2apic_ldr(u32 id)
{
	return id >> 4 << 16 | 1U << (id & 0xf);
}

static void mask_lvts(struct lapic *apic)
{
	for (unsigned lvt = LAPIC_LVTT; lvt <= LAPIC_LVT_ERROR; lvt += 0x10)
		set(apic, lvt, lapic_get(apic, lvt) | LAPIC_LVT_MASKED);
	lapic_timer_mode_changed(apic);
}

static void set_version(struct lapic *apic)
{
	set(apic, LAPIC_VERSION, VERSION | (LVT_ENTRIES - 1) << 16 | (apic->directed_eoi ? VERSION_DIRECTED_EOI : 0));
}

void lapic_reset(struct lapic *apic, u64 base, bool init)
{
	u32 id = lapic_get(apic, LAPIC_ID), ldr = lapic_get(apic, LAPIC_LDR);

	lapic_timer_stop(apic);
	memset(apic->reg, 0, sizeof(apic->reg));
	memset(&apic->timer, 0, sizeof(apic->timer));
	if (init) {
		set(apic, LAPIC_ID, id);
		set(apic, LAPIC_LDR, lapic_is_x2apic(apic) ? ldr : 0);
	} else {
		apic->base = base;
		set(apic, LAPIC_ID, apic->id << 24);
		apic->nmi = apic->init = apic->sipi = false;
	}
	set_version(apic);
	mask_lvts(apic);
	if (apic->lint0_extint && (apic->base & LAPIC_BASE_BSP))
		set(apic, LAPIC_LVT0, IRQ_EXTINT << 8);
	set(apic, LAPIC_DFR, 0xffffffffU);
	set(apic, LAPIC_SPIV, 0xff);
}

void lapic_set_base(struct lapic *apic, u64 base)
{
	u64 changed = apic->base ^ base;

	apic->base = base;
	if ((changed & LAPIC_BASE_ENABLE) && (base & LAPIC_BASE_ENABLE))
		set(apic, LAPIC_ID, apic->id << 24);
	if (!(changed & LAPIC_BASE_X2APIC))
		return;
	if (base & LAPIC_BASE_X2APIC) {
		set(apic, LAPIC_ID, apic->id);
		set(apic, LAPIC_LDR, x2apic_ldr(apic->id));
	} else if (base & LAPIC_BASE_ENABLE) {
		set(apic, LAPIC_ID, apic->id << 24);
	}
}

/* ---- reading ---- */

bool lapic_read(struct lapic *apic, unsigned offset, u32 *ret)
{
	u64 mask = readable | (lapic_is_x2apic(apic) ? 0 : readable_xapic);

	if (offset >= 0x400 || (offset & 0xf) || !(mask & BIT_OF(offset)))
		return false;
	if (offset == LAPIC_TMCCT)
		*ret = lapic_timer_count(apic);
	else if (offset == LAPIC_PPR)
		*ret = lapic_ppr(apic);
	else
		*ret = lapic_get(apic, offset);
	return true;
}

bool lapic_msr_read(struct lapic *apic, u32 msr, u64 *ret)
{
	unsigned offset = (msr - LAPIC_MSR_FIRST) << 4;
	u32 value;

	if (!lapic_is_x2apic(apic) || !lapic_read(apic, offset, &value))
		return false;
	*ret = value;
	if (offset == LAPIC_ICR)
		*ret |= (u64)lapic_get(apic, LAPIC_ICR2) << 32;
	return true;
}

/* ---- writing ---- */

static void write_spiv(struct lapic *apic, u32 value)
{
	set(apic, LAPIC_SPIV, value & (0x3ff | (apic->directed_eoi ? SPIV_DIRECTED_EOI : 0)));
	if (!(value & LAPIC_SPIV_ENABLED))
		mask_lvts(apic);
}

static void write_lvt(struct lapic *apic, unsigned lvt, u32 value)
{
	/* Vector, delivery status and mask; with mode; with polarity, remote IRR and trigger. */
	static const u32 bits[] = { 0x710ff, 0x117ff, 0x117ff, 0x1f7ff, 0x1f7ff, 0x110ff };

	if (!(lapic_get(apic, LAPIC_SPIV) & LAPIC_SPIV_ENABLED))
		value |= LAPIC_LVT_MASKED;
	set(apic, lvt, value & bits[(lvt - LAPIC_LVTT) >> 4]);
	if (lvt == LAPIC_LVTT)
		lapic_timer_mode_changed(apic);
}

static void write_tmict(struct lapic *apic, u32 value)
{
	if (apic->timer.mode == LAPIC_TSC_DEADLINE)
		return;
	set(apic, LAPIC_TMICT, value);
	lapic_timer_start(apic, value);
}

/* What differs between the modes; false: no such register. */
static bool write_moded(struct lapic *apic, unsigned offset, u32 value)
{
	bool x2apic = lapic_is_x2apic(apic);

	switch (offset) {
	case LAPIC_ID:
		set(apic, offset, x2apic ? apic->id : value & 0xff000000);
		return !x2apic;
	case LAPIC_LDR:
		if (!x2apic)
			set(apic, offset, value & 0xff000000);
		return !x2apic;
	case LAPIC_DFR:
		if (!x2apic)
			set(apic, offset, value | 0x0fffffff);
		return !x2apic;
	case LAPIC_ICR2:
		if (!x2apic)
			set(apic, offset, value & 0xff000000);
		return !x2apic;
	case LAPIC_ESR:
		return !x2apic || !value;
	case LAPIC_SELF_IPI:
		if (x2apic && value <= 0xff)
			lapic_send(apic, IRQ_TO_SELF << 18 | value, 0);
		return x2apic && value <= 0xff;
	}
	return false;
}

bool lapic_write(struct lapic *apic, unsigned offset, u32 value)
{
	switch (offset) {
	case LAPIC_TPR:
		set(apic, offset, value & 0xff);
		return true;
	case LAPIC_EOI:
		lapic_eoi(apic);
		return true;
	case LAPIC_SPIV:
		write_spiv(apic, value);
		return true;
	case LAPIC_ICR:
		set(apic, offset, value & ~(u32)LAPIC_ICR_BUSY);
		lapic_send(apic, value, lapic_get(apic, LAPIC_ICR2));
		return true;
	case LAPIC_LVTT:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_COUNTERS:
	case LAPIC_LVT0:
	case LAPIC_LVT1:
	case LAPIC_LVT_ERROR:
		write_lvt(apic, offset, value);
		return true;
	case LAPIC_TMICT:
		write_tmict(apic, value);
		return true;
	case LAPIC_TDCR:
		lapic_timer_divide(apic, value);
		return true;
	}
	return write_moded(apic, offset, value);
}

bool lapic_msr_write(struct lapic *apic, u32 msr, u64 value)
{
	unsigned offset = (msr - LAPIC_MSR_FIRST) << 4;

	if (!lapic_is_x2apic(apic))
		return false;
	if (offset != LAPIC_ICR)
		return value <= 0xffffffff && lapic_write(apic, offset, (u32)value);
	if (value & ICR_RESERVED)
		return false;
	set(apic, LAPIC_ICR2, (u32)(value >> 32));
	return lapic_write(apic, LAPIC_ICR, (u32)value);
}

/* ---- the whole state ---- */

void lapic_get_state(struct lapic *apic, void *regs, bool ids32)
{
	u8 *at = regs;

	memset(regs, 0, 0x400);
	for (unsigned i = 0; i < LAPIC_REGS; i++)
		memcpy(at + i * 16, &apic->reg[i], 4);
	*(u32 *)(void *)(at + LAPIC_PPR) = lapic_ppr(apic);
	*(u32 *)(void *)(at + LAPIC_TMCCT) = lapic_timer_count(apic);
	if (!lapic_is_x2apic(apic))
		return;
	*(u32 *)(void *)(at + LAPIC_ID) = ids32 ? apic->id : apic->id << 24;
}

int lapic_set_state(struct lapic *apic, const void *regs, bool ids32)
{
	const u8 *at = regs;
	u32 id, count;

	memcpy(&id, at + LAPIC_ID, 4);
	memcpy(&count, at + LAPIC_TMCCT, 4);
	/* Read-only in this mode, and KVM delivers to its own idea of it. */
	if (lapic_is_x2apic(apic) && ids32 && id != apic->id)
		return -EINVAL;
	lapic_timer_stop(apic);
	for (unsigned i = 0; i < LAPIC_REGS; i++)
		memcpy(&apic->reg[i], at + i * 16, 4);
	if (lapic_is_x2apic(apic)) {
		set(apic, LAPIC_ID, apic->id);
		set(apic, LAPIC_LDR, x2apic_ldr(apic->id));
	}
	set_version(apic);
	lapic_timer_mode_changed(apic);
	lapic_timer_start(apic, count);
	return 0;
}
