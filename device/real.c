// SPDX-License-Identifier: MIT
/*
 * device/real.c - the real KVM as CPU: VMs, vCPUs, capabilities, calls passed on
 */
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "device/internal.h"
#include "device/real.h"
#include "host/fd.h"
#include "rt/alloc.h"
#include "rt/syscall.h"

static int kvm_fd = -1;

static long real_ioctl(int fd, u32 cmd, u64 arg)
{
	return rt_syscall_raw(__NR_ioctl, fd, cmd, (long)arg, 0, 0, 0);
}

int dev_real_init(void)
{
	int fd;

	if (kvm_fd >= 0)
		return 0;
	fd = host_fd_own_hidden(__NR_openat, AT_FDCWD, (long)"/dev/kvm", O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	kvm_fd = fd;
	return 0;
}

/* ---- life ---- */

int dev_real_vm_create(struct dev_vm *vm)
{
	struct dev_real *real;

	if (!dev_config.real_cpu)
		return 0;
	real = rt_alloc(sizeof(*real));
	if (!real)
		return -ENOMEM;
	real->fd = host_fd_own_hidden(__NR_ioctl, kvm_fd, KVM_CREATE_VM, 0, 0);
	if (real->fd < 0) {
		int error = real->fd;

		rt_free(real, sizeof(*real));
		return error;
	}
	real->settled = vm->changes - 1;
	real->spaces = real_ioctl(real->fd, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE) > 1 ? 2 : 1;
	real->max_slots = (u32)rt_min((u64)real_ioctl(real->fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS), DEV_REAL_SLOTS);
	vm->real = real;
	return 0;
}

void dev_real_vm_destroy(struct dev_vm *vm)
{
	struct dev_real *real = vm->real;

	if (!real)
		return;
	host_fd_close(real->fd);
	rt_free(real->slots, real->cap * sizeof(*real->slots));
	rt_free(real->wanted, real->cap_wanted * sizeof(*real->wanted));
	rt_free(real, sizeof(*real));
	vm->real = NULL;
}

int dev_real_vcpu_create(struct dev_vcpu *v)
{
	struct dev_real_vcpu *real;
	long size, run;

	if (!v->vm->real)
		return 0;
	size = real_ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (KVM_PIO_PAGE_OFFSET + 1) * (long)RT_PAGE_SIZE)
		return -EINVAL;
	real = rt_alloc(sizeof(*real));
	if (!real)
		return -ENOMEM;
	real->run_size = (size_t)size;
	real->fd = host_fd_own_hidden(__NR_ioctl, v->vm->real->fd, KVM_CREATE_VCPU, v->id, 0);
	run = real->fd < 0 ? real->fd : rt_mmap(NULL, real->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, real->fd, 0);
	if (rt_is_err(run)) {
		host_fd_close(real->fd < 0 ? -1 : real->fd);
		rt_free(real, sizeof(*real));
		return (int)run;
	}
	real->run = (struct kvm_run *)run;
	v->real = real;
	return 0;
}

/* Also in a forked child, which has inherited the descriptor and the mapping. */
void dev_real_vcpu_destroy(struct dev_vcpu *v)
{
	struct dev_real_vcpu *real = v->real;

	if (!real)
		return;
	v->real = NULL;
	rt_munmap(real->run, real->run_size);
	host_fd_close(real->fd);
	rt_free(real, sizeof(*real));
}

/* ---- calls ---- */

int dev_real_fd(struct dev_object *obj)
{
	if (obj->kind == DEV_SYSTEM)
		return dev_config.real_cpu ? kvm_fd : -1;
	if (obj->kind == DEV_VM)
		return dev_to_vm(obj)->real ? dev_to_vm(obj)->real->fd : -1;
	return obj->kind == DEV_VCPU && dev_to_vcpu(obj)->real ? dev_to_vcpu(obj)->real->fd : -1;
}

long dev_real_pass(struct dev_object *obj, u32 cmd, u64 arg)
{
	/* Setting an MSR may map the guest's memory, translating reads it. */
	int ret = obj->kind == DEV_VCPU ? dev_real_settle(dev_to_vcpu(obj)->vm) : 0;

	return ret < 0 ? ret : real_ioctl(dev_real_fd(obj), cmd, arg);
}

/* ---- capabilities ---- */

/* Served by gmem in front of the real KVM: these answer as without it, the rings of dirty pages alone are not there. */
static bool is_ours(u32 cap)
{
	switch (cap) {
	case KVM_CAP_COALESCED_MMIO:
	case KVM_CAP_COALESCED_PIO:
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return true;
	}
	return core_cap_decided(cap);
}

static bool is_absent(u32 cap)
{
	return cap == KVM_CAP_DIRTY_LOG_RING || cap == KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
}

bool dev_real_answers(u32 cap)
{
	return dev_config.real_cpu && !is_ours(cap);
}

long dev_real_cap(const struct dev_vm *vm, u32 cap)
{
	long ret;

	if (!dev_real_answers(cap))
		return vm ? core_vm_cap(&vm->core, cap) : core_cap(&dev_config.sys, CORE_SCOPE_DEVICE, cap);
	/* A file's VM that another process made has none behind it. */
	if (is_absent(cap) || (vm && !vm->real))
		return 0;
	ret = real_ioctl(vm ? vm->real->fd : kvm_fd, KVM_CHECK_EXTENSION, cap);
	return ret < 0 ? 0 : ret;
}

long dev_real_enable_cap(struct dev_vm *vm, u64 arg, const struct kvm_enable_cap *cap, struct core_err *err)
{
	int ret;

	if (is_absent(cap->cap))
		return core_refuse(err, RULE_ENABLE_CAP_UNKNOWN, 0, "cap", cap->cap, 0);
	if (!is_ours(cap->cap))
		return dev_real_pass(&vm->obj, KVM_ENABLE_CAP, arg);
	rt_lock(&dev_slots_lock);
	ret = core_vm_enable_cap(&vm->core, cap, err);
	rt_unlock(&dev_slots_lock);
	if (ret < 0 || cap->cap != KVM_CAP_EXIT_HYPERCALL)
		return ret;
	return dev_real_pass(&vm->obj, KVM_ENABLE_CAP, arg);
}
