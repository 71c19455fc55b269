// SPDX-License-Identifier: MIT
/*
 * device/vm.c - ioctls of a VM
 */
#include "device/internal.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"

long dev_vm_check_extension(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return arg > 0x7fffffff ? 0 : core_cap(&dev_config.sys, (int)dev_to_vm(obj)->core.type, (u32)arg);
}

long dev_vm_create_vcpu(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	long ret = core_vm_create_vcpu(&dev_to_vm(obj)->core, arg, err);

	if (err->rule == RULE_VCPU_ABSENT && dev_config.notice)
		dev_config.notice("KVM_CREATE_VCPU: this build of gmem has no vCPU; it answers ENOMEM");
	return ret;
}

/* The file behind a descriptor, as fget() and the file operations' address tell the kernel. */
static int lookup_file(void *ctx, u32 fd, struct core_file **ret)
{
	struct dev_object **held = ctx;
	struct host_ident id;
	long flags;

	if (fd > 0x7fffffff || host_ident_of((int)fd, &id) < 0)
		return -EBADF;
	/* fget() does not see a descriptor opened with O_PATH. */
	flags = rt_syscall_raw(__NR_fcntl, (long)fd, 3 /* F_GETFL */, 0, 0, 0, 0);
	if (rt_is_err(flags) || (flags & 010000000 /* O_PATH */))
		return -EBADF;
	*held = dev_find(id);
	if (!*held || (*held)->kind != DEV_GMEM)
		return -EINVAL;
	*ret = &dev_to_gmem(*held)->core;
	return 0;
}

static long set_region(struct dev_vm *vm, const struct kvm_userspace_memory_region2 *region, int version,
		       struct core_err *err)
{
	struct core_slot_effect effect;
	struct dev_object *held = NULL;
	long ret;

	dev_reap();
	rt_lock(&dev_slots_lock);
	ret = core_memslot_set(&vm->core, region, version, lookup_file, &held, &effect, err);
	rt_unlock(&dev_slots_lock);
	if (held)
		dev_put(held);
	return ret;
}

long dev_vm_set_region(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct kvm_userspace_memory_region2 region;

	memset(&region, 0, sizeof(region));
	memcpy(&region, copy, sizeof(struct kvm_userspace_memory_region));
	return set_region(dev_to_vm(obj), &region, 1, err);
}

long dev_vm_set_region2(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return set_region(dev_to_vm(obj), copy, 2, err);
}

long dev_vm_set_attributes(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	long ret;

	rt_lock(&dev_slots_lock);
	ret = core_vm_set_attributes(&dev_to_vm(obj)->core, copy, err);
	rt_unlock(&dev_slots_lock);
	return ret;
}

long dev_vm_enable_cap(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return core_vm_enable_cap(&dev_to_vm(obj)->core, copy, err);
}

long dev_vm_set_nr_mmu_pages(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return core_vm_set_nr_mmu_pages(&dev_to_vm(obj)->core, arg, err);
}

/* No vCPU writes, so every bit is clear; the kernel copies the whole bitmap all the same. */
long dev_vm_get_dirty_log(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	static const u64 zeros[64];
	const struct kvm_dirty_log *log = copy;
	u64 bytes = 0, done, n;
	long ret;

	rt_lock(&dev_slots_lock);
	ret = core_dirty_log_check(&dev_to_vm(obj)->core, log->slot, &bytes, err);
	rt_unlock(&dev_slots_lock);
	for (done = 0; ret == 0 && done < bytes; done += n) {
		n = rt_min(bytes - done, sizeof(zeros));
		ret = rt_copy_out((u64)(uintptr_t)log->dirty_bitmap + done, zeros, n);
	}
	return ret;
}

long dev_vm_create_irqchip(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return core_vm_create_irqchip(&dev_to_vm(obj)->core, err);
}

long dev_vm_get_tsc_khz(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return (long)dev_tsc_khz();
}
