// SPDX-License-Identifier: MIT
/*
 * tests/unit_pic.c - the two 8259A, and the 8254 beside them
 */
#include <string.h>

#include "device/pic.h"
#include "device/pit.h"
#include "tests/tap.h"

static unsigned acked;

static void on_acked(struct pic *pic, unsigned pin)
{
	acked |= 1U << pin;
}

/* As a PC's firmware and Linux do it. */
static struct pic fresh(u8 icw4)
{
	static const u8 icw[2][4] = { { 0x11, 0x30, 0x04, 0 }, { 0x11, 0x38, 0x02, 0 } };
	struct pic pic = { .acked = on_acked };

	pic_reset(&pic);
	for (unsigned which = 0; which < 2; which++) {
		u16 port = which ? 0xa0 : 0x20;

		pic_write(&pic, port, icw[which][0]);
		pic_write(&pic, port + 1, icw[which][1]);
		pic_write(&pic, port + 1, icw[which][2]);
		pic_write(&pic, port + 1, icw4);
	}
	acked = 0;
	return pic;
}

static void test_master(void)
{
	struct pic pic = fresh(1);

	ok(!pic_output(&pic), "nothing to do");
	is(pic_set(&pic, 3, true), 1, "an edge");
	ok(pic_output(&pic), "INTR");
	is(pic_set(&pic, 3, true), 1, "a line that is up is no second one");
	pic_set(&pic, 1, true);
	is(pic_ack(&pic), 0x31, "the lower pin is first");
	ok(!pic_output(&pic), "and keeps the others back");
	pic_set(&pic, 0, true);
	ok(pic_output(&pic), "but not those above it");
	is(pic_ack(&pic), 0x30, "which nest");
	pic_write(&pic, 0x20, 0x20);
	is(acked, 1, "EOI ends the highest in service");
	pic_write(&pic, 0x20, 0x61);
	is(acked, 3, "a specific one the named");
	is(pic_ack(&pic), 0x33, "then the third");
	pic_write(&pic, 0x20, 0x0b);
	is(pic_read(&pic, 0x20), 1 << 3, "OCW3 shows what is in service");
	pic_write(&pic, 0x20, 0x20);
	is(pic_ack(&pic), 0x37, "spurious: pin 7");
	pic_write(&pic, 0x21, 0x20);
	is(pic_set(&pic, 5, true), -1, "a masked line says so");
	ok(!pic_output(&pic) && pic_read(&pic, 0x21) == 0x20, "and is silent");
	pic_write(&pic, 0x21, 0);
	ok(pic_output(&pic), "but not forgotten");
}

static void test_cascade(void)
{
	struct pic pic = fresh(1);

	pic_set(&pic, 12, true);
	pic_set(&pic, 10, true);
	is(pic_ack(&pic), 0x3a, "the slave's pin 2");
	pic_set(&pic, 3, true);
	ok(!pic_output(&pic), "the master's pin 3 is below the slave");
	pic_write(&pic, 0xa0, 0x20);
	pic_write(&pic, 0x20, 0x20);
	is(acked, 1U << 10 | 1U << 2, "EOI at both");
	is(pic_ack(&pic), 0x3c, "the next of the slave");
	pic_write(&pic, 0xa0, 0x20);
	pic_write(&pic, 0x20, 0x20);
	is(pic_ack(&pic), 0x33, "then the master's");
}

static void test_level(void)
{
	struct pic pic = fresh(1);

	pic_write(&pic, 0x4d0, 0xff);
	is(pic_read(&pic, 0x4d0), 0xf8, "timer, keyboard and cascade stay edges");
	pic_set(&pic, 5, true);
	is(pic_ack(&pic), 0x35, "a level");
	pic_write(&pic, 0x20, 0x20);
	ok(pic_output(&pic), "comes again while it is up");
	pic_set(&pic, 5, false);
	ok(!pic_output(&pic), "and not when it is down");
}

static void test_modes(void)
{
	struct pic pic = fresh(3);

	pic_set(&pic, 4, true);
	pic_ack(&pic);
	is(acked, 1 << 4, "automatic EOI");
	pic = fresh(1);
	pic_write(&pic, 0x20, 0xc3);
	pic_set(&pic, 3, true);
	pic_set(&pic, 4, true);
	is(pic_ack(&pic), 0x34, "rotation: pin 4 is first, pin 3 last");
	pic = fresh(1);
	pic_set(&pic, 6, true);
	pic_write(&pic, 0x20, 0x0c);
	is(pic_read(&pic, 0x20), 0x86, "polling takes the interrupt");
	is(pic_read(&pic, 0x20), 0, "once");
}

#define S 1000000000ULL

static void test_pit(void)
{
	struct pit pit = { .has_speaker = true };
	u64 now = 7 * S;
	unsigned low;

	pit_reset(&pit, now);
	is(pit.deadline, 0, "a timer that nobody programmed is silent");
	pit_write(&pit, 0x43, 0x34, now);
	ok(!pit_write(&pit, 0x40, 0x9c, now), "half a count");
	ok(pit_write(&pit, 0x40, 0x2e, now), "the second half starts it");
	ok(pit.period > 9990000 && pit.period < 10010000, "100 Hz");
	ok(!pit_expire(&pit, now + pit.period - 1) && pit_expire(&pit, now + 3 * pit.period + 5), "due");
	is(pit.deadline, now + 4 * pit.period, "missed periods are one deadline");
	pit_write(&pit, 0x43, 0x00, now + pit.period / 2);
	low = pit_read(&pit, 0x40, now + pit.period);
	low |= (unsigned)pit_read(&pit, 0x40, now + pit.period) << 8;
	ok(low > 5900 && low < 6000, "a latched count stands still");
	pit_write(&pit, 0x61, 0x00, now);
	pit_write(&pit, 0x43, 0xb0, now);
	pit_write(&pit, 0x42, 0xff, now);
	pit_write(&pit, 0x42, 0xff, now);
	pit_write(&pit, 0x61, 0x01, now);
	is(pit_read(&pit, 0x61, now) & 0x21, 0x01, "channel 2 counts with its gate");
	is(pit_read(&pit, 0x61, now + S) & 0x20, 0x20, "and its output rises: what calibration waits for");
	pit_write(&pit, 0x43, 0x30, now);
	pit_write(&pit, 0x40, 0xe8, now);
	pit_write(&pit, 0x40, 0x03, now);
	ok(pit_expire(&pit, now + S) && !pit.deadline, "mode 0: once");
	pit_write(&pit, 0x43, 0xe2, now + S);
	is(pit_read(&pit, 0x40, now + S) & 0xbf, 0xb0, "the status read back: output high, both bytes, mode 0");
}

static struct pit ticking(u64 now)
{
	struct pit pit = { .has_speaker = true };

	pit_reset(&pit, now);
	pit_write(&pit, 0x43, 0x34, now);
	pit_write(&pit, 0x40, 0x9c, now);
	pit_write(&pit, 0x40, 0x2e, now);
	return pit;
}

static void test_reinject(void)
{
	u64 now = 7 * S;
	struct pit pit = ticking(now);

	pit_expire(&pit, now + pit.period);
	ok(pit_tick(&pit), "the first tick is raised");
	pit_expire(&pit, now + 3 * pit.period);
	ok(!pit_tick(&pit), "the next two wait for its end");
	ok(pit_acked(&pit) && pit_tick(&pit), "then comes the second");
	ok(!pit_tick(&pit), "and only that");
	ok(pit_acked(&pit) && pit_tick(&pit), "then the third");
	ok(!pit_acked(&pit), "and no more");
	ok(!pit_acked(&pit) && !pit.waiting, "an end without a tick is nothing");
	pit_expire(&pit, now + 9 * pit.period);
	pit_tick(&pit);
	pit_forget(&pit);
	ok(!pit.waiting && pit_tick(&pit), "unmasking begins anew");
	pit_set_reinject(&pit, false);
	pit_expire(&pit, now + 20 * pit.period);
	ok(pit_tick(&pit) && pit_tick(&pit), "without reinjection ticks wait for nothing");
	ok(!pit_acked(&pit), "nor do they come later");
	pit_set_reinject(&pit, true);
	ok(pit_tick(&pit) && !pit_tick(&pit), "with it they do again");
	pit_write(&pit, 0x40, 0x9c, now);
	pit_write(&pit, 0x40, 0x2e, now);
	ok(pit_tick(&pit), "loading the counter begins anew");
}

static unsigned opened;

static void on_unmasked(struct pic *pic, unsigned pin)
{
	opened |= 1U << pin;
}

static void test_unmasked(void)
{
	struct pic pic = fresh(1);

	pic.unmasked = on_unmasked;
	pic_write(&pic, 0x21, 0xff);
	is(opened, 0, "masking is no unmasking");
	pic_write(&pic, 0x21, 0xfe);
	pic_write(&pic, 0xa1, 0xff);
	pic_write(&pic, 0xa1, 0x7f);
	is(opened, 1 | 1 << 15, "pins that are unmasked");
	acked = 0;
	pic_set(&pic, 0, true);
	pic_write(&pic, 0x20, 0x11);
	is(acked, 1, "an edge that an initialisation drops has ended");
}

int main(void)
{
	test_master();
	test_cascade();
	test_level();
	test_modes();
	test_pit();
	test_reinject();
	test_unmasked();
	return done_testing();
}
