/* SPDX-License-Identifier: MIT */
/*
 * examples/boot_devices.h - the serial port and the clock of boot.c's machine
 */
#ifndef EXAMPLES_BOOT_DEVICES_H
#define EXAMPLES_BOOT_DEVICES_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* ---- the serial port ---- */

static void console(char c); /* what is sent goes there */

/* A 16550A whose line is never busy and on which nothing is ever received. */
static struct {
	uint8_t ier, fcr, lcr, mcr, scratch, divisor[2];
	bool empty_pending;
} uart;

enum { IER_EMPTY = 2, IIR_NONE = 1, IIR_EMPTY = 2, IIR_FIFO = 0xc0, LCR_DIVISOR = 0x80, LSR_EMPTY = 0x60 };
enum { MCR_OUT2 = 8, MCR_LOOP = 0x10, MSR_CONNECTED = 0xb0 };

/* The level of its interrupt line. */
static bool uart_line(void)
{
	return uart.empty_pending && (uart.ier & IER_EMPTY) && (uart.mcr & MCR_OUT2);
}

static void uart_write(unsigned reg, uint8_t value)
{
	if (reg <= 1 && (uart.lcr & LCR_DIVISOR)) {
		uart.divisor[reg] = value;
		return;
	}
	switch (reg) {
	case 0:
		if (!(uart.mcr & MCR_LOOP))
			console((char)value);
		uart.empty_pending = true;
		break;
	case 1:
		uart.empty_pending |= (value & ~uart.ier & IER_EMPTY) != 0;
		uart.ier = value & 0xf;
		break;
	case 2:
		uart.fcr = value;
		break;
	case 3:
		uart.lcr = value;
		break;
	case 4:
		uart.mcr = value;
		break;
	case 7:
		uart.scratch = value;
		break;
	}
}

static uint8_t uart_identify(void)
{
	uint8_t fifo = uart.fcr & 1 ? IIR_FIFO : 0;

	if (!uart.empty_pending || !(uart.ier & IER_EMPTY))
		return fifo | IIR_NONE;
	uart.empty_pending = false; /* reading it acknowledges it */
	return fifo | IIR_EMPTY;
}

static uint8_t uart_read(unsigned reg)
{
	if (reg <= 1 && (uart.lcr & LCR_DIVISOR))
		return uart.divisor[reg];
	switch (reg) {
	case 1:
		return uart.ier;
	case 2:
		return uart_identify();
	case 3:
		return uart.lcr;
	case 4:
		return uart.mcr;
	case 5:
		return LSR_EMPTY;
	case 6:
		/* Looped back, DTR RTS OUT1 OUT2 become DSR CTS RI DCD. */
		if (uart.mcr & MCR_LOOP)
			return (uint8_t)((uart.mcr & 1) << 5 | (uart.mcr & 2) << 3 | (uart.mcr & 0xc) << 4);
		return MSR_CONNECTED;
	case 7:
		return uart.scratch;
	}
	return 0;
}

/* ---- the clock ---- */

static uint8_t cmos_index;

static uint8_t bcd(int value)
{
	return (uint8_t)(value / 10 << 4 | value % 10);
}

static uint8_t cmos_read(void)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	switch (cmos_index & 0x7f) {
	case 0:
		return bcd(tm.tm_sec);
	case 2:
		return bcd(tm.tm_min);
	case 4:
		return bcd(tm.tm_hour);
	case 6:
		return bcd(tm.tm_wday + 1);
	case 7:
		return bcd(tm.tm_mday);
	case 8:
		return bcd(tm.tm_mon + 1);
	case 9:
		return bcd(tm.tm_year % 100);
	case 0xa:
		return 0x26;
	case 0xb:
		return 0x02; /* 24 hours */
	case 0xd:
		return 0x80; /* valid */
	case 0x32:
		return bcd(19 + tm.tm_year / 100);
	}
	return 0;
}

#endif
