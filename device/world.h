/* SPDX-License-Identifier: MIT */
/*
 * device/world.h - stopping the vCPUs of a VM, private to device/
 */
#ifndef GMEM_DEVICE_WORLD_H
#define GMEM_DEVICE_WORLD_H

#include "device/vcpu.h"

/* With dev_slots_lock held: no vCPU of the VM is in the guest until world_resume(). */
void world_stop(struct dev_vm *vm);
/* changed: vCPUs forget what gpas were. */
void world_resume(struct dev_vm *vm, bool changed);

/* The vCPU's thread. */
void world_enter(struct dev_vcpu *v);
void world_leave(struct dev_vcpu *v);

#endif
