// SPDX-License-Identifier: MIT
/*
 * tests/unit_ioapic.c - the I/O APIC
 */
#include <string.h>

#include "device/ioapic.h"
#include "tests/tap.h"

static struct irq_message last;
static unsigned delivered, acked;
static unsigned acked_pin;
static int answer = 1;
static bool lower_when_acked;

static int on_deliver(struct ioapic *io, const struct irq_message *m)
{
	last = *m;
	delivered++;
	return answer;
}

static void on_acked(struct ioapic *io, unsigned pin)
{
	acked++;
	acked_pin = pin;
	if (lower_when_acked)
		ioapic_set(io, pin, false);
}

static unsigned unmasked;

static void on_unmasked(struct ioapic *io, unsigned pin)
{
	unmasked = pin + 1;
}

static void window(struct ioapic *io, unsigned index, u32 value)
{
	ioapic_write(io, 0x00, index);
	ioapic_write(io, 0x10, value);
}

static u32 window_read(struct ioapic *io, unsigned index)
{
	ioapic_write(io, 0x00, index);
	return ioapic_read(io, 0x10);
}

static struct ioapic fresh(void)
{
	struct ioapic io = { .deliver = on_deliver, .acked = on_acked, .unmasked = on_unmasked };

	ioapic_reset(&io);
	delivered = acked = 0;
	answer = 1;
	lower_when_acked = false;
	return io;
}

static void route(struct ioapic *io, unsigned pin, u32 high, u32 low)
{
	window(io, 0x10 + 2 * pin + 1, high);
	window(io, 0x10 + 2 * pin, low);
}

static void test_registers(void)
{
	struct ioapic io = fresh();

	is(window_read(&io, 1), 0x170011, "24 pins, version 0x11");
	window(&io, 0, 0x0f000000);
	ok(window_read(&io, 0) == 0x0f000000 && window_read(&io, 2) == 0x0f000000, "id, and as arbitration id");
	is(window_read(&io, 0x10), 0x10000, "pins start masked");
	route(&io, 3, 0x05000000, 0xffffffff);
	is(window_read(&io, 0x16), 0x1afff, "delivery status and remote IRR are read-only, reserved bits 0");
	is(window_read(&io, 0x17), 0x05000000, "the destination");
	is(window_read(&io, 0x40), 0xffffffff, "no such pin");
}

static void test_edge(void)
{
	struct ioapic io = fresh();

	is(ioapic_set(&io, 4, true), -1, "a masked pin");
	ioapic_set(&io, 4, false);
	route(&io, 4, 0x02000000, 0x0934);
	is(unmasked, 5, "it is unmasked");
	is(ioapic_set(&io, 4, true), 1, "an edge is delivered");
	ok(last.vector == 0x34 && last.dest == 2 && last.mode == IRQ_LOWEST && last.lowest && last.logical &&
		   !last.level_triggered,
	   "as the entry says");
	is(ioapic_set(&io, 4, true), 0, "a line that is up makes no edge");
	ioapic_set(&io, 4, false);
	is(ioapic_set(&io, 4, true), 1, "the next one does");
	is(delivered, 2, "two interrupts");
	ioapic_eoi(&io, 0x34, false);
	ok(acked == 1 && acked_pin == 4 && delivered == 2, "the end of an edge is told, and brings no other");
	answer = -1;
	ioapic_set(&io, 4, false);
	is(ioapic_set(&io, 4, true), -1, "nobody there");
}

static void test_level(void)
{
	struct ioapic io = fresh();

	route(&io, 9, 0, 0x8051);
	is(ioapic_set(&io, 9, true), 1, "a level is delivered");
	is(window_read(&io, 0x22) & IOAPIC_REMOTE_IRR, IOAPIC_REMOTE_IRR, "remote IRR is set");
	is(ioapic_set(&io, 9, true), 0, "and keeps it silent");
	ioapic_eoi(&io, 0x50, true);
	is(acked, 0, "another vector's EOI is not its");
	ioapic_eoi(&io, 0x51, true);
	ok(acked == 1 && acked_pin == 9 && delivered == 2, "EOI with the line up: again");
	lower_when_acked = true;
	ioapic_eoi(&io, 0x51, true);
	ok(delivered == 2 && !(window_read(&io, 0x22) & IOAPIC_REMOTE_IRR), "a device that lowers its line is left alone");
	window(&io, 0x22, 0x18051);
	ioapic_set(&io, 9, true);
	is(delivered, 2, "masked");
	window(&io, 0x22, 0x8051);
	is(delivered, 3, "unmasking finds the level");
	window(&io, 0x22, 0x0051);
	is(window_read(&io, 0x22), 0x51, "edge mode clears remote IRR");
}

int main(void)
{
	test_registers();
	test_edge();
	test_level();
	return done_testing();
}
