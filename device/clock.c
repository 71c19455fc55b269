// SPDX-License-Identifier: MIT
/*
 * device/clock.c - the VM's clock and the time-stamp counter's rate
 */
#include <linux/time_types.h>

#include "device/internal.h"
#include "device/world.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"

#define REALTIME 0
#define TOLERANCE_PPM 250

static u64 clock_ns(int id)
{
	struct __kernel_timespec ts = { 0, 0 };

	rt_syscall_raw(__NR_clock_gettime, id, (long)&ts, 0, 0, 0, 0);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

void dev_clock_start(struct dev_vm *vm)
{
	vm->clock_ns = 0;
	vm->clock_tsc = dev_tsc();
}

long dev_vm_get_clock(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct kvm_clock_data data;

	memset(&data, 0, sizeof(data));
	rt_lock(&dev_slots_lock);
	data.host_tsc = dev_tsc();
	data.clock = dev_clock_read(dev_to_vm(obj), data.host_tsc);
	rt_unlock(&dev_slots_lock);
	data.realtime = clock_ns(REALTIME);
	data.flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	return dev_copy_out(arg, &data, sizeof(data), err);
}

long dev_vm_set_clock(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct kvm_clock_data *data = copy;
	struct dev_vm *vm = dev_to_vm(obj);
	u64 clock = data->clock, now = clock_ns(REALTIME);

	if (data->flags & ~(u32)KVM_CLOCK_REALTIME)
		return core_refuse(err, RULE_CLOCK_FLAGS, 0, "flags", data->flags, KVM_CLOCK_REALTIME);
	if ((data->flags & KVM_CLOCK_REALTIME) && now > data->realtime)
		clock += now - data->realtime;
	rt_lock(&dev_slots_lock);
	world_stop(vm);
	vm->clock_ns = clock;
	vm->clock_tsc = dev_tsc();
	vm->clock_changes++;
	world_resume(vm, false);
	rt_unlock(&dev_slots_lock);
	return 0;
}

long dev_vcpu_get_tsc_khz(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return (long)dev_to_vcpu(obj)->tsc_khz;
}

/* The guest's counter runs as the host's: no other rate can be had (KVM_CAP_TSC_CONTROL is 0). */
long dev_vcpu_set_tsc_khz(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	u64 khz = (u32)arg ? (u32)arg : dev_tsc_khz(), host = dev_tsc_khz(), slack = host * TOLERANCE_PPM / 1000000;

	if (khz < host - slack || khz > host + slack)
		return core_refuse(err, RULE_TSC_RATE, 0, "khz", khz, host);
	dev_to_vcpu(obj)->tsc_khz = khz;
	return 0;
}
