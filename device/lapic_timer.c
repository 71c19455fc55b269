// SPDX-License-Identifier: MIT
/*
 * device/lapic_timer.c - the local APIC's timer
 *
 * The bus clock runs at 1 GHz as KVM's unless the program sets it; a count is cycles by the divider.  A running timer is
 * a deadline; nothing counts.
 */
#include "device/lapic.h"

/* KVM's min_timer_period_us: no faster interrupts from a periodic timer. */
#define MIN_PERIOD_NS 200000ULL
#define FOREVER_NS    (1ULL << 62)

static u32 divider_of(u32 tdcr)
{
	u32 code = (tdcr & 3) | (tdcr >> 1 & 4);

	return 1U << ((code + 1) & 7);
}

/* Of one count. */
static u64 step_ns(struct lapic *apic)
{
	return divider_of(lapic_get(apic, LAPIC_TDCR)) * (apic->sink->cycle_ns ? apic->sink->cycle_ns(apic) : 1);
}

static u64 to_ns(struct lapic *apic, u32 count)
{
	return (u64)count * step_ns(apic);
}

static void arm(struct lapic *apic, u64 deadline)
{
	apic->timer.deadline = deadline;
	apic->sink->timer_changed(apic);
}

void lapic_timer_stop(struct lapic *apic)
{
	if (apic->timer.deadline)
		arm(apic, 0);
}

static void limit_period(struct lapic *apic)
{
	if (apic->timer.mode == LAPIC_PERIODIC && apic->timer.period && apic->timer.period < MIN_PERIOD_NS)
		apic->timer.period = MIN_PERIOD_NS;
}

void lapic_timer_mode_changed(struct lapic *apic)
{
	enum lapic_timer_mode mode = lapic_get(apic, LAPIC_LVTT) >> 17 & 3;

	if (mode > LAPIC_TSC_DEADLINE)
		mode = LAPIC_TSC_DEADLINE;
	if (mode == apic->timer.mode)
		return;
	/* The two kinds of timer share nothing. */
	if ((mode == LAPIC_TSC_DEADLINE) != (apic->timer.mode == LAPIC_TSC_DEADLINE)) {
		lapic_timer_stop(apic);
		apic->reg[LAPIC_TMICT >> 4] = 0;
		apic->timer.period = 0;
		apic->timer.tsc_deadline = 0;
	}
	apic->timer.mode = mode;
	limit_period(apic);
}

static u64 left(struct lapic *apic)
{
	u64 now;

	if (!apic->timer.deadline || apic->timer.mode == LAPIC_TSC_DEADLINE)
		return 0;
	now = apic->sink->now(apic);
	if (apic->timer.deadline > now)
		return apic->timer.deadline - now;
	/* Due, and not yet noticed. */
	if (apic->timer.mode == LAPIC_PERIODIC && apic->timer.period)
		return apic->timer.period - (now - apic->timer.deadline) % apic->timer.period;
	return 0;
}

u32 lapic_timer_count(struct lapic *apic)
{
	return (u32)(left(apic) / step_ns(apic));
}

/* Count down from the initial count; the first time from count, which a restored state has in the middle. */
void lapic_timer_start(struct lapic *apic, u32 count)
{
	u64 first = to_ns(apic, count);

	if (apic->timer.mode == LAPIC_TSC_DEADLINE)
		return;
	apic->timer.period = to_ns(apic, lapic_get(apic, LAPIC_TMICT));
	limit_period(apic);
	if (!apic->timer.period) {
		lapic_timer_stop(apic);
		return;
	}
	if (apic->sink->timer_needed)
		apic->sink->timer_needed(apic);
	if (!first && apic->timer.mode == LAPIC_PERIODIC)
		first = apic->timer.period;
	arm(apic, apic->sink->now(apic) + rt_min(first, apic->timer.period));
}

void lapic_timer_divide(struct lapic *apic, u32 tdcr)
{
	u32 old = divider_of(lapic_get(apic, LAPIC_TDCR)), new = divider_of(tdcr);
	u64 rest = left(apic);

	apic->reg[LAPIC_TDCR >> 4] = tdcr & 0xb;
	if (new == old || !apic->timer.period)
		return;
	apic->timer.period = to_ns(apic, lapic_get(apic, LAPIC_TMICT));
	limit_period(apic);
	if (apic->timer.deadline)
		arm(apic, apic->sink->now(apic) + rest / old * new);
}

u64 lapic_tsc_deadline(const struct lapic *apic)
{
	return lapic_on(apic) && apic->timer.mode == LAPIC_TSC_DEADLINE ? apic->timer.tsc_deadline : 0;
}

void lapic_set_tsc_deadline(struct lapic *apic, u64 value)
{
	u64 khz = apic->sink->tsc_khz(apic), tsc = apic->sink->tsc(apic), cycles, ns;

	if (!lapic_on(apic) || apic->timer.mode != LAPIC_TSC_DEADLINE)
		return;
	apic->timer.tsc_deadline = value;
	if (!value || !khz) {
		lapic_timer_stop(apic);
		return;
	}
	cycles = value > tsc ? value - tsc : 0;
	ns = cycles / khz > FOREVER_NS / 1000000 ? FOREVER_NS : cycles / khz * 1000000 + cycles % khz * 1000000 / khz;
	arm(apic, apic->sink->now(apic) + ns);
}

/* Whoever looked late gets one interrupt for all the periods that passed, as from KVM. */
bool lapic_timer_expire(struct lapic *apic, u64 now)
{
	u64 deadline = apic->timer.deadline, period = apic->timer.period;

	if (!deadline || deadline > now)
		return false;
	apic->timer.tsc_deadline = 0;
	if (apic->timer.mode == LAPIC_PERIODIC && period)
		arm(apic, now + period - (now - deadline) % period);
	else
		arm(apic, 0);
	return lapic_local(apic, LAPIC_LVTT);
}
