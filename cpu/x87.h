/* SPDX-License-Identifier: MIT */
/*
 * cpu/x87.h - bits of the x87 state
 */
#ifndef GMEM_CPU_X87_H
#define GMEM_CPU_X87_H

#include "cpu/internal.h"

enum {
	X87_EXCEPTIONS = 0x3f, /* in FCW the masks, in FSW the flags */
	X87_ES = 1 << 7,
	X87_TOP = 7 << 11,
	X87_BUSY = 1 << 15,
	X87_FCW_INIT = 0x37f,
};

#endif
