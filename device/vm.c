// SPDX-License-Identifier: MIT
/*
 * device/vm.c - ioctls of a VM
 */
#include "device/internal.h"
#include "device/real.h"
#include "device/world.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"

long dev_vm_check_extension(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return arg > 0x7fffffff ? 0 : dev_real_cap(dev_to_vm(obj), (u32)arg);
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
	world_stop(vm);
	ret = core_memslot_set(&vm->core, region, version, lookup_file, &held, &effect, err);
	world_resume(vm, ret == 0 && effect.change != CORE_SLOT_NONE);
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
	struct dev_vm *vm = dev_to_vm(obj);
	long ret;

	rt_lock(&dev_slots_lock);
	world_stop(vm);
	ret = core_vm_set_attributes(&vm->core, copy, err);
	world_resume(vm, ret == 0);
	rt_unlock(&dev_slots_lock);
	return ret;
}

long dev_vm_enable_cap(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	long ret;

	if (vm->real)
		return dev_real_enable_cap(vm, arg, copy, err);
	if (dev_irq_enable_cap(vm, copy, &ret, err))
		return ret;
	rt_lock(&dev_slots_lock);
	ret = core_vm_enable_cap(&vm->core, copy, err);
	rt_unlock(&dev_slots_lock);
	return ret;
}

long dev_vm_set_nr_mmu_pages(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return core_vm_set_nr_mmu_pages(&dev_to_vm(obj)->core, arg, err);
}

long dev_vm_get_tsc_khz(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return (long)dev_tsc_khz();
}

/* KVM's own pages of real-mode Intel guests: nothing to put there. */
long dev_vm_set_tss_addr(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const u64 limit = 0xffffffffULL - 3 * RT_PAGE_SIZE + 1;

	if (arg > limit)
		return core_refuse(err, RULE_TSS_ADDR, 0, "addr", arg, limit);
	return 0;
}

long dev_vm_set_identity_map(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	if (dev_to_vm(obj)->nr_vcpus)
		return core_refuse(err, RULE_BEFORE_VCPUS, 0, "vCPUs", dev_to_vm(obj)->nr_vcpus, 0);
	return 0;
}

long dev_vm_set_boot_id(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	if (dev_to_vm(obj)->nr_vcpus)
		return core_refuse(err, RULE_BEFORE_VCPUS, EBUSY, "vCPUs", dev_to_vm(obj)->nr_vcpus, 0);
	if (arg > core_vm_max_vcpu_id(&dev_to_vm(obj)->core))
		return core_refuse(err, RULE_VCPU_ID, 0, "id", arg, core_vm_max_vcpu_id(&dev_to_vm(obj)->core));
	dev_to_vm(obj)->core.boot_id = (u32)arg;
	return 0;
}

/* As a kernel without KVM_VFIO, the one kind that x86 has: what it holds, VFIO's files, knows nothing of gmem. */
long dev_vm_create_device(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return core_refuse(err, RULE_DEVICE_TYPE, 0, "type", ((const struct kvm_create_device *)copy)->type, 0);
}
