/* SPDX-License-Identifier: MIT */
/*
 * rt/auxv.h - what the kernel told this process at exec
 */
#ifndef GMEM_RT_AUXV_H
#define GMEM_RT_AUXV_H

#include "rt/types.h"

/* The value of an AT_* entry; 0 when there is none or /proc cannot be read. */
u64 rt_auxv(u64 type);

#endif
