/* SPDX-License-Identifier: MIT */
/*
 * cli/real_cpu.h - whether this host's KVM can serve as CPU
 */
#ifndef GMEM_CLI_REAL_CPU_H
#define GMEM_CLI_REAL_CPU_H

#include <stdbool.h>

#define REAL_CPU_WHY 256

/* false with the reason in why. */
bool real_cpu_fit(char why[REAL_CPU_WHY]);

#endif
