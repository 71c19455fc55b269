/* SPDX-License-Identifier: MIT */
/*
 * rt/clock.h - the time that the kernel gives to inodes
 */
#ifndef GMEM_RT_CLOCK_H
#define GMEM_RT_CLOCK_H

#include "rt/types.h"

/* Find the vDSO; without it, or before, the clock is a system call. */
void rt_clock_init(void);
/*
 * CLOCK_REALTIME_COARSE in nanoseconds: the kernel stamps the inode of a
 * guest_memfd with the time of the last tick, not with that of the call.
 */
u64 rt_clock_coarse(void);

#endif
