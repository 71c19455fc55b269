/* SPDX-License-Identifier: MIT */
/*
 * device/pic.h - two cascaded 8259A
 *
 * Pure; the owner serialises (device/irqchip.h).
 */
#ifndef GMEM_DEVICE_PIC_H
#define GMEM_DEVICE_PIC_H

#include "rt/types.h"
#include "uapi/kvm_irq.h"

enum { PIC_PINS = 16, PIC_MASTER = 0, PIC_SLAVE = 1, PIC_CASCADE = 2 };

struct pic {
	void (*acked)(struct pic *pic, unsigned pin); /* an interrupt of this pin has ended */
	void (*unmasked)(struct pic *pic, unsigned pin);
	struct kvm_pic_state chip[2];
};

void pic_reset(struct pic *pic);
/* 1, or 0 when the edge was pending already; -1 when the line is masked. */
int pic_set(struct pic *pic, unsigned pin, bool level);
/* The CPU's INTR line. */
bool pic_output(const struct pic *pic);
/* The CPU's acknowledge cycle: the vector, spurious ones included. */
u8 pic_ack(struct pic *pic);
/* Ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1. */
bool pic_is_port(u16 port);
u8 pic_read(struct pic *pic, u16 port);
void pic_write(struct pic *pic, u16 port, u8 value);

#endif
