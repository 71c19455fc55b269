// SPDX-License-Identifier: MIT
/*
 * device/system.c - ioctls of /dev/kvm itself
 */
#include <linux/fcntl.h>

#include "device/internal.h"
#include "device/real.h"
#include "rt/syscall.h"

long dev_system_api_version(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	if (arg)
		return core_refuse(err, RULE_ARGUMENT_ZERO, 0, "argument", arg, 0);
	return KVM_API_VERSION;
}

long dev_system_check_extension(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return arg > 0x7fffffff ? 0 : dev_real_cap(NULL, (u32)arg);
}

long dev_system_vcpu_mmap_size(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	if (arg)
		return core_refuse(err, RULE_ARGUMENT_ZERO, 0, "argument", arg, 0);
	return DEV_VCPU_PAGES * RT_PAGE_SIZE;
}

static long create_vm(unsigned type)
{
	struct dev_vm *vm = (struct dev_vm *)dev_object_new(DEV_VM);
	int ret;

	if (!vm)
		return -ENOMEM;
	vm->obj.kind = DEV_VM;
	vm->mm = dev_mm();
	dev_clock_start(vm);
	ret = core_vm_init(&vm->core, &dev_config.sys, &dev_mem, type);
	if (ret == 0) {
		ret = dev_real_vm_create(vm);
		if (ret == 0)
			ret = host_object_make(&vm->obj.host, "kvm-vm", 0);
		if (ret < 0) {
			dev_real_vm_destroy(vm);
			core_vm_fini(&vm->core);
		}
	}
	if (ret == 0)
		return dev_object_hand_out(&vm->obj, O_RDWR | O_CLOEXEC);
	rt_lock(&dev_lock);
	dev_object_free(&vm->obj);
	rt_unlock(&dev_lock);
	return ret;
}

long dev_system_create_vm(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct core_err type_err = { .rule = RULE_NONE };
	int ret = core_vm_type_check(&dev_config.sys, arg, &type_err);

	dev_reap();
	if (ret == 0)
		return create_vm((unsigned)arg);
	/* The kernel takes a descriptor number before it looks at the type. */
	if (dev_fd_available() < 0)
		return dev_fd_available();
	*err = type_err;
	return ret;
}

/* With dev_lock held, as for all of dev_reap(). */
void dev_vm_destroy(struct dev_vm *vm)
{
	struct dev_vcpu *next;

	for (struct dev_vcpu *v = vm->vcpus; v; v = next) {
		next = v->next;
		dev_vcpu_destroy(v);
	}
	dev_msr_filter_fini(vm);
	dev_stats_fini(&vm->stats);
	if (vm->irq_fini)
		vm->irq_fini(vm);
	dev_real_vm_destroy(vm);
	core_vm_fini(&vm->core);
}
