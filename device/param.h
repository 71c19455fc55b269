/* SPDX-License-Identifier: MIT */
/*
 * device/param.h - /sys/module/kvm/parameters/NAME of the emulated kernel
 *
 * The vendor's module goes by "kvm_amd/NAME", "kvm_intel/NAME".
 */
#ifndef GMEM_DEVICE_PARAM_H
#define GMEM_DEVICE_PARAM_H

#include "rt/types.h"

bool dev_param_exists(const char *name);
/* A readable descriptor with the value and a newline; -ENOENT, -EACCES for writing. */
int dev_param_open(const char *name, int flags);

#endif
