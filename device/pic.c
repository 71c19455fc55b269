// SPDX-License-Identifier: MIT
/*
 * device/pic.c - two cascaded 8259A
 *
 * The state is KVM_GET_IRQCHIP's.  priority_add is the pin of highest priority; a
 * level in this file is a rank below it, 0 the highest, 8 none.
 */
#include "device/pic.h"

#include "rt/string.h"

enum { NO_RANK = 8 };
/* Pins that the chipset knows as edges: timer, keyboard, cascade; RTC and coprocessor. */
enum { ELCR_MASTER = 0xf8, ELCR_SLAVE = 0xde };

void pic_reset(struct pic *pic)
{
	memset(pic->chip, 0, sizeof(pic->chip));
	pic->chip[PIC_MASTER].elcr_mask = ELCR_MASTER;
	pic->chip[PIC_SLAVE].elcr_mask = ELCR_SLAVE;
}

static unsigned rank_of(const struct kvm_pic_state *s, u8 mask)
{
	unsigned rank = 0;

	while (rank < NO_RANK && !(mask & (1U << ((rank + s->priority_add) & 7))))
		rank++;
	return rank;
}

/* The pin that asks for service and may have it, or -1. */
static int pin_of(const struct pic *pic, unsigned which)
{
	const struct kvm_pic_state *s = &pic->chip[which];
	unsigned asking = rank_of(s, s->irr & (u8)~s->imr), serving;
	u8 busy = s->isr;

	if (asking == NO_RANK)
		return -1;
	if (s->special_mask)
		busy &= (u8)~s->imr;
	if (s->special_fully_nested_mode && which == PIC_MASTER)
		busy &= (u8) ~(1U << PIC_CASCADE);
	serving = rank_of(s, busy);
	return asking < serving ? (int)((asking + s->priority_add) & 7) : -1;
}

/* The slave's output is a line of the master. */
static int set_pin(struct kvm_pic_state *s, unsigned pin, bool level)
{
	u8 bit = (u8)(1U << pin);
	int ret = 1;

	if (s->elcr & bit) {
		s->irr = level ? s->irr | bit : s->irr & (u8)~bit;
		s->last_irr = level ? s->last_irr | bit : s->last_irr & (u8)~bit;
	} else if (level) {
		if (!(s->last_irr & bit)) {
			ret = !(s->irr & bit);
			s->irr |= bit;
		}
		s->last_irr |= bit;
	} else {
		s->last_irr &= (u8)~bit;
	}
	return s->imr & bit ? -1 : ret;
}

static void cascade(struct pic *pic)
{
	/* A new request is a new edge, even if the line was up for another. */
	set_pin(&pic->chip[PIC_MASTER], PIC_CASCADE, false);
	if (pin_of(pic, PIC_SLAVE) >= 0)
		set_pin(&pic->chip[PIC_MASTER], PIC_CASCADE, true);
	else
		pic->chip[PIC_MASTER].irr &= (u8) ~(1U << PIC_CASCADE);
}

int pic_set(struct pic *pic, unsigned pin, bool level)
{
	int ret = set_pin(&pic->chip[pin >> 3], pin & 7, level);

	cascade(pic);
	return ret;
}

bool pic_output(const struct pic *pic)
{
	return pin_of(pic, PIC_MASTER) >= 0;
}

static void end(struct pic *pic, unsigned which, unsigned pin)
{
	pic->chip[which].isr &= (u8) ~(1U << pin);
	if (pic->acked)
		pic->acked(pic, which * 8 + pin);
}

static void take(struct pic *pic, unsigned which, unsigned pin)
{
	struct kvm_pic_state *s = &pic->chip[which];

	s->isr |= (u8)(1U << pin);
	if (!(s->elcr & (1U << pin)))
		s->irr &= (u8) ~(1U << pin);
	if (!s->auto_eoi)
		return;
	if (s->rotate_on_auto_eoi)
		s->priority_add = (pin + 1) & 7;
	end(pic, which, pin);
}

u8 pic_ack(struct pic *pic)
{
	int pin = pin_of(pic, PIC_MASTER), slave;
	u8 vector;

	/* The request went away before it was acknowledged: the lowest pin stands for it. */
	if (pin < 0)
		return pic->chip[PIC_MASTER].irq_base + 7;
	if (pin == PIC_CASCADE) {
		slave = pin_of(pic, PIC_SLAVE);
		vector = pic->chip[PIC_SLAVE].irq_base + (u8)(slave < 0 ? 7 : slave);
		if (slave >= 0)
			take(pic, PIC_SLAVE, (unsigned)slave);
	} else {
		vector = pic->chip[PIC_MASTER].irq_base + (u8)pin;
	}
	take(pic, PIC_MASTER, (unsigned)pin);
	cascade(pic);
	return vector;
}

/* ---- ports ---- */

bool pic_is_port(u16 port)
{
	return (port & ~0x81) == 0x20 || (port & ~1) == 0x4d0;
}

static void write_icw1(struct pic *pic, unsigned which, u8 value)
{
	struct kvm_pic_state *s = &pic->chip[which];
	u8 levels = s->irr & s->elcr, edges = s->irr & (u8)~s->elcr;

	s->last_irr = 0;
	s->irr = levels;
	s->imr = 0;
	s->isr = 0;
	s->priority_add = 0;
	s->special_mask = 0;
	s->read_reg_select = 0;
	s->auto_eoi = s->rotate_on_auto_eoi = 0;
	s->special_fully_nested_mode = 0;
	s->init4 = value & 1;
	s->init_state = 1;
	/* Edges that nobody will see any more have ended. */
	for (unsigned pin = 0; pin < 8; pin++) {
		if (edges >> pin & 1)
			end(pic, which, pin);
	}
}

static void write_ocw3(struct kvm_pic_state *s, u8 value)
{
	if (value & 4)
		s->poll = 1;
	if (value & 2)
		s->read_reg_select = value & 1;
	if (value & 0x40)
		s->special_mask = value >> 5 & 1;
}

static void write_ocw2(struct pic *pic, unsigned which, u8 value)
{
	struct kvm_pic_state *s = &pic->chip[which];
	unsigned command = value >> 5, pin = value & 7, rank;

	switch (command) {
	case 0: /* rotation with automatic EOI, off and on */
	case 4:
		s->rotate_on_auto_eoi = command >> 2;
		break;
	case 1: /* EOI of the highest in service */
	case 5: /* ... which then becomes the lowest */
		rank = rank_of(s, s->isr);
		if (rank == NO_RANK)
			break;
		pin = (rank + s->priority_add) & 7;
		if (command == 5)
			s->priority_add = (pin + 1) & 7;
		end(pic, which, pin);
		break;
	case 3: /* EOI of one pin, and with rotation */
	case 7:
		if (command == 7)
			s->priority_add = (pin + 1) & 7;
		end(pic, which, pin);
		break;
	case 6:
		s->priority_add = (pin + 1) & 7;
		break;
	}
}

static void write_mask(struct pic *pic, unsigned which, u8 value)
{
	struct kvm_pic_state *s = &pic->chip[which];
	u8 opened = s->imr & (u8)~value;

	s->imr = value;
	for (unsigned pin = 0; pin < 8 && pic->unmasked; pin++) {
		if (opened >> pin & 1)
			pic->unmasked(pic, which * 8 + pin);
	}
}

static void write_data(struct pic *pic, unsigned which, u8 value)
{
	struct kvm_pic_state *s = &pic->chip[which];

	switch (s->init_state) {
	case 0:
		write_mask(pic, which, value);
		break;
	case 1:
		s->irq_base = value & 0xf8;
		s->init_state = 2;
		break;
	case 2: /* how they are cascaded is known */
		s->init_state = s->init4 ? 3 : 0;
		break;
	case 3:
		s->special_fully_nested_mode = value >> 4 & 1;
		s->auto_eoi = value >> 1 & 1;
		s->init_state = 0;
		break;
	}
}

void pic_write(struct pic *pic, u16 port, u8 value)
{
	unsigned which = port >> 7 & 1;
	struct kvm_pic_state *s = &pic->chip[which];

	if ((port & ~1) == 0x4d0) {
		s = &pic->chip[port & 1];
		s->elcr = value & s->elcr_mask;
		return;
	}
	if (port & 1)
		write_data(pic, which, value);
	else if (value & 0x10)
		write_icw1(pic, which, value);
	else if (value & 8)
		write_ocw3(s, value);
	else
		write_ocw2(pic, which, value);
	cascade(pic);
}

static u8 read_poll(struct pic *pic, unsigned which)
{
	int pin = pin_of(pic, which);

	pic->chip[which].poll = 0;
	if (pin < 0)
		return 7;
	take(pic, which, (unsigned)pin);
	if (which == PIC_SLAVE)
		end(pic, PIC_MASTER, PIC_CASCADE);
	cascade(pic);
	return (u8)(0x80 | pin);
}

u8 pic_read(struct pic *pic, u16 port)
{
	unsigned which = port >> 7 & 1;
	struct kvm_pic_state *s = &pic->chip[which];

	if ((port & ~1) == 0x4d0)
		return pic->chip[port & 1].elcr;
	if (s->poll)
		return read_poll(pic, which);
	if (port & 1)
		return s->imr;
	return s->read_reg_select ? s->isr : s->irr;
}
