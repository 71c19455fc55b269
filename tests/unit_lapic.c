// SPDX-License-Identifier: MIT
/*
 * tests/unit_lapic.c - the local APIC's registers, priorities, messages and timer
 */
#include <errno.h>
#include <string.h>

#include "device/lapic.h"
#include "tests/tap.h"

#define BASE (0xfee00000ULL | LAPIC_BASE_ENABLE)
#define X2   (BASE | LAPIC_BASE_X2APIC)
#define MSR(offset) (LAPIC_MSR_FIRST + ((offset) >> 4))

static struct irq_message sent;
static unsigned nr_sent, nr_eoi, nr_timer;
static u8 eoi_vector;
static bool eoi_level;
static u64 clock_ns, tsc;

static void on_ipi(struct lapic *apic, const struct irq_message *m)
{
	sent = *m;
	nr_sent++;
}

static void on_eoi(struct lapic *apic, u8 vector, bool level)
{
	eoi_vector = vector;
	eoi_level = level;
	nr_eoi++;
}

static void on_timer(struct lapic *apic)
{
	nr_timer++;
}

static u64 get_now(struct lapic *apic)
{
	return clock_ns;
}

static u64 get_tsc(struct lapic *apic)
{
	return tsc;
}

static u64 get_khz(struct lapic *apic)
{
	return 2000000;
}

static u64 cycle = 1;

static u64 get_cycle(struct lapic *apic)
{
	return cycle;
}

static const struct lapic_sink sink = { .ipi = on_ipi,
					.eoi = on_eoi,
					.timer_changed = on_timer,
					.now = get_now,
					.tsc = get_tsc,
					.tsc_khz = get_khz,
					.cycle_ns = get_cycle };

static struct lapic fresh(u32 id, u64 base)
{
	struct lapic apic = { .sink = &sink, .id = id, .lint0_extint = true };

	nr_sent = nr_eoi = nr_timer = 0;
	clock_ns = 1000000000;
	tsc = 1000;
	lapic_reset(&apic, BASE, false);
	lapic_set_base(&apic, base);
	lapic_write(&apic, LAPIC_SPIV, 0x1ff);
	return apic;
}

static u32 reg(struct lapic *apic, unsigned offset)
{
	u32 value = 0xdeadbeef;

	lapic_read(apic, offset, &value);
	return value;
}

static void test_reset(void)
{
	struct lapic apic = { .sink = &sink, .id = 3, .lint0_extint = true };

	lapic_reset(&apic, BASE, false);
	is(reg(&apic, LAPIC_ID), 3U << 24, "reset: the id is the vCPU's");
	is(reg(&apic, LAPIC_VERSION), 0x50014, "version and number of LVT entries are KVM's");
	is(reg(&apic, LAPIC_SPIV), 0xff, "disabled by software");
	is(reg(&apic, LAPIC_DFR), 0xffffffff, "flat model");
	is(reg(&apic, LAPIC_LVT0), LAPIC_LVT_MASKED, "LINT0 of an application processor is masked");
	lapic_reset(&apic, BASE | LAPIC_BASE_BSP, false);
	is(reg(&apic, LAPIC_LVT0), 0x700, "LINT0 of the boot processor is the PIC's");
	lapic_write(&apic, LAPIC_LVT1, 0x400);
	is(reg(&apic, LAPIC_LVT1), 0x400 | LAPIC_LVT_MASKED, "entries stay masked while the APIC is off");
	lapic_write(&apic, LAPIC_ID, 9U << 24);
	lapic_reset(&apic, 0, true);
	is(reg(&apic, LAPIC_ID), 9U << 24, "INIT keeps the id");
}

static void test_priority(void)
{
	struct lapic apic = fresh(0, BASE);

	is(lapic_pending(&apic), -1, "nothing pending");
	ok(lapic_accept(&apic, IRQ_FIXED, 0x31, true, false), "a fixed interrupt is taken");
	lapic_accept(&apic, IRQ_FIXED, 0x52, true, true);
	is(lapic_pending(&apic), 0x52, "the highest vector is first");
	lapic_write(&apic, LAPIC_TPR, 0x5f);
	is(lapic_pending(&apic), -1, "TPR keeps its own class and those below back");
	lapic_write(&apic, LAPIC_TPR, 0x4f);
	is(lapic_pending(&apic), 0x52, "but none above");
	lapic_ack(&apic, 0x52);
	is(reg(&apic, LAPIC_PPR), 0x50, "PPR is the class in service");
	lapic_accept(&apic, IRQ_FIXED, 0x5e, true, false);
	is(lapic_pending(&apic), -1, "the class in service is not interrupted by itself");
	lapic_accept(&apic, IRQ_FIXED, 0x60, true, false);
	is(lapic_pending(&apic), 0x60, "but by a higher one");
	lapic_ack(&apic, 0x60);
	lapic_write(&apic, LAPIC_EOI, 0);
	ok(nr_eoi == 1 && eoi_vector == 0x60 && !eoi_level, "EOI ends the highest in service, an edge");
	lapic_write(&apic, LAPIC_EOI, 0);
	ok(nr_eoi == 2 && eoi_vector == 0x52 && eoi_level, "then the next, a level");
	lapic_write(&apic, LAPIC_EOI, 0);
	is(nr_eoi, 2, "EOI with nothing in service is ignored");
	is(lapic_pending(&apic), 0x5e, "what was kept back comes now");
	lapic_write(&apic, LAPIC_SPIV, 0xff);
	ok(!lapic_accept(&apic, IRQ_FIXED, 0x70, true, false), "an APIC that is off takes nothing");
	ok(lapic_accept(&apic, IRQ_NMI, 0, true, false) && apic.nmi, "but NMIs");
}

static bool meets(const struct lapic *apic, u32 dest, bool logical, bool is_ipi)
{
	struct irq_message m = { .dest = dest, .logical = logical, .is_ipi = is_ipi };

	return lapic_is_destination(apic, &m, false);
}

static void test_destination(void)
{
	struct lapic apic = fresh(5, BASE);

	ok(meets(&apic, 5, false, true) && !meets(&apic, 4, false, true), "physical id");
	ok(meets(&apic, 0xff, false, true) && meets(&apic, 0xff, true, true), "broadcast");
	lapic_write(&apic, LAPIC_LDR, 0x22000000);
	ok(meets(&apic, 0x20, true, true) && meets(&apic, 0x03, true, true) && !meets(&apic, 0x11, true, true),
	   "logical, flat: any common bit");
	lapic_write(&apic, LAPIC_DFR, 0x0fffffff);
	ok(meets(&apic, 0x23, true, true) && !meets(&apic, 0x33, true, true) && !meets(&apic, 0x21, true, true),
	   "logical, clusters: the cluster and a common bit");
	apic = fresh(0x123, X2);
	is(reg(&apic, LAPIC_ID), 0x123, "x2APIC: the whole id");
	is(reg(&apic, LAPIC_LDR), 0x120008, "and a logical id made of it");
	ok(meets(&apic, 0x123, false, true) && !meets(&apic, 0x23, false, true), "physical, 32 bits");
	ok(meets(&apic, 0x12000a, true, true) && !meets(&apic, 0x130008, true, true), "logical: always clusters");
	ok(!meets(&apic, 0xff, false, true) && meets(&apic, 0xffffffff, false, true), "an IPI's broadcast has 32 bits");
	ok(meets(&apic, 0xff, false, false), "a device's has 8");
}

static void test_ipi(void)
{
	struct lapic apic = fresh(0, BASE);

	lapic_write(&apic, LAPIC_ICR2, 0x07ffffff);
	is(reg(&apic, LAPIC_ICR2), 0x07000000, "the destination has 8 bits");
	lapic_write(&apic, LAPIC_ICR, 0x000050a5);
	is(reg(&apic, LAPIC_ICR), 0x40a5, "delivery is never pending");
	ok(nr_sent == 1 && sent.dest == 7 && sent.vector == 0xa5 && sent.mode == IRQ_FIXED && !sent.logical && sent.assert,
	   "a fixed IPI");
	lapic_write(&apic, LAPIC_ICR, 0x000c0500);
	ok(sent.mode == IRQ_INIT && sent.shorthand == IRQ_TO_OTHERS, "INIT to all others");
	lapic_write(&apic, LAPIC_ICR, 0x0000890a);
	ok(sent.lowest && sent.logical && !sent.level_triggered, "lowest priority, logical; levels are for INIT");
	apic = fresh(0, X2);
	ok(lapic_msr_write(&apic, MSR(LAPIC_ICR), 0x12345678000000a5ULL) && sent.dest == 0x12345678, "x2APIC: one write");
	ok(!lapic_msr_write(&apic, MSR(LAPIC_ICR), 1ULL << 20), "reserved bits of ICR fault");
	ok(lapic_msr_write(&apic, MSR(LAPIC_SELF_IPI), 0x44) && sent.shorthand == IRQ_TO_SELF && sent.vector == 0x44,
	   "self IPI");
	ok(!lapic_msr_write(&apic, MSR(LAPIC_SELF_IPI), 0x144), "with a vector and nothing else");
	ok(!lapic_msr_write(&apic, MSR(LAPIC_ICR2), 0) && !lapic_msr_write(&apic, MSR(LAPIC_DFR), 0) &&
		   !lapic_msr_write(&apic, MSR(LAPIC_ID), 0),
	   "what the x2APIC has not, or not for writing");
	ok(!lapic_msr_write(&apic, MSR(LAPIC_TPR), 1ULL << 32), "32-bit registers");
	apic = fresh(0, BASE);
	ok(!lapic_msr_write(&apic, MSR(LAPIC_TPR), 0), "no MSRs in xAPIC mode");
}

static void test_requests(void)
{
	struct lapic apic = fresh(1, BASE);

	ok(!lapic_accept(&apic, IRQ_INIT, 0, false, true) && !apic.init, "INIT level de-assert does nothing");
	lapic_accept(&apic, IRQ_INIT, 0, true, true);
	lapic_accept(&apic, IRQ_STARTUP, 0x9a, true, false);
	ok(apic.init && apic.sipi && apic.sipi_vector == 0x9a, "INIT, then start-up with its vector");
	lapic_accept(&apic, IRQ_INIT, 0, true, false);
	ok(apic.init && !apic.sipi, "a second INIT cancels the start-up");
}

static void test_timer(void)
{
	struct lapic apic = fresh(0, BASE);

	lapic_write(&apic, LAPIC_LVTT, 0x30);
	lapic_write(&apic, LAPIC_TDCR, 0x3);
	lapic_write(&apic, LAPIC_TMICT, 1000);
	is(apic.timer.deadline, clock_ns + 16000, "one shot: 1000 times 16 ns");
	clock_ns += 4000;
	is(reg(&apic, LAPIC_TMCCT), 750, "the count goes down");
	ok(!lapic_timer_expire(&apic, clock_ns), "not due");
	clock_ns += 12000;
	ok(lapic_timer_expire(&apic, clock_ns) && lapic_pending(&apic) == 0x30, "due: its vector");
	ok(apic.timer.deadline == 0 && reg(&apic, LAPIC_TMCCT) == 0, "once");

	apic = fresh(0, BASE);
	lapic_write(&apic, LAPIC_TDCR, 0xb);
	lapic_write(&apic, LAPIC_LVTT, 0x20030 | LAPIC_LVT_MASKED);
	lapic_write(&apic, LAPIC_TMICT, 1000000);
	clock_ns += 3500000;
	ok(!lapic_timer_expire(&apic, clock_ns) && lapic_pending(&apic) == -1, "masked: it runs and says nothing");
	is(apic.timer.deadline, clock_ns + 500000, "periodic: missed periods are one");
	lapic_write(&apic, LAPIC_TDCR, 0x0);
	is(apic.timer.deadline, clock_ns + 1000000, "another divider changes what is left");
	lapic_write(&apic, LAPIC_TMICT, 1);
	is(apic.timer.period, 200000, "periods are not shorter than KVM's");
	lapic_write(&apic, LAPIC_TMICT, 0);
	is(apic.timer.deadline, 0, "count 0 stops it");
}

static void test_tsc_deadline(void)
{
	struct lapic apic = fresh(0, BASE);

	lapic_set_tsc_deadline(&apic, 5000);
	is(apic.timer.deadline, 0, "the MSR is inert in the other modes");
	lapic_write(&apic, LAPIC_LVTT, 0x40031);
	lapic_write(&apic, LAPIC_TMICT, 1000);
	is(apic.timer.deadline, 0, "and the count in this one");
	lapic_set_tsc_deadline(&apic, tsc + 4000);
	is(apic.timer.deadline, clock_ns + 2000, "4000 cycles of 2 GHz");
	is(lapic_tsc_deadline(&apic), tsc + 4000, "is read back");
	lapic_set_tsc_deadline(&apic, 1);
	ok(lapic_timer_expire(&apic, clock_ns) && lapic_pending(&apic) == 0x31, "one in the past is due at once");
	is(lapic_tsc_deadline(&apic), 0, "and disarmed");
	lapic_set_tsc_deadline(&apic, ~0ULL);
	ok(apic.timer.deadline > clock_ns + (1ULL << 60), "the far future does not wrap");
	lapic_write(&apic, LAPIC_LVTT, 0x31);
	is(apic.timer.deadline, 0, "leaving the mode disarms it");
}

static void test_state(void)
{
	struct lapic apic = fresh(2, BASE), other = fresh(2, BASE);
	u32 regs[256];

	lapic_write(&apic, LAPIC_LVTT, 0x20030);
	lapic_write(&apic, LAPIC_TMICT, 4000000);
	lapic_accept(&apic, IRQ_FIXED, 0x80, true, true);
	clock_ns += 1000000;
	lapic_get_state(&apic, regs, false);
	is(regs[LAPIC_ID / 4], 2U << 24, "xAPIC: the id in the top byte");
	is(regs[LAPIC_TMCCT / 4], 3500000, "the count as it stands");
	is(lapic_set_state(&other, regs, false), 0, "restored");
	is(lapic_pending(&other), 0x80, "what was pending is");
	is(other.timer.deadline, clock_ns + 7000000, "the timer goes on where it was");
	lapic_set_base(&other, X2);
	lapic_get_state(&other, regs, false);
	is(regs[LAPIC_ID / 4], 2U << 24, "x2APIC: as before without 32-bit ids");
	lapic_get_state(&other, regs, true);
	is(regs[LAPIC_ID / 4], 2, "with them, the id");
	regs[LAPIC_ID / 4] = 3;
	is(lapic_set_state(&other, regs, true), -EINVAL, "which cannot be changed");
	is(lapic_set_state(&other, regs, false), 0, "and is ignored otherwise");
	is(reg(&other, LAPIC_ID), 2, "it stays");
	lapic_set_base(&other, BASE);
	is(reg(&other, LAPIC_ID), 2U << 24, "back to xAPIC, as only user space can: the old form");
}

static void test_bus_clock(void)
{
	struct lapic apic = fresh(0, BASE);

	cycle = 40;
	lapic_write(&apic, LAPIC_LVTT, 0x10040);
	lapic_write(&apic, LAPIC_TDCR, 0x0);
	lapic_write(&apic, LAPIC_TMICT, 1000);
	is(apic.timer.deadline, clock_ns + 1000 * 2 * 40, "a slow bus clock makes the timer slow");
	clock_ns += 100 * 2 * 40;
	is(reg(&apic, LAPIC_TMCCT), 900, "and its count");
	cycle = 1;
}

int main(void)
{
	test_reset();
	test_priority();
	test_destination();
	test_ipi();
	test_requests();
	test_timer();
	test_tsc_deadline();
	test_state();
	test_bus_clock();
	return done_testing();
}
