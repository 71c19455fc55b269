// SPDX-License-Identifier: MIT
/*
 * device/ioctl.c - from an ioctl's number to its handler
 *
 * The order is the kernel's: owner of the VM (EIO), command known to this kind
 * of object (EINVAL on /dev/kvm, ENOTTY on a VM or a guest_memfd), argument
 * readable (EFAULT), then the handler's own checks.
 */
#include <stdatomic.h>

#include "device/internal.h"
#include "device/real.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"

enum gate { GATE_ALWAYS, GATE_PRE_FAULT, GATE_HAS_REGION2, GATE_HAS_GMEM, GATE_VM_ATTRIBUTES, GATE_IN_PLACE };

enum real { REAL_OURS, REAL_REAL, REAL_BOTH };

struct ioctl_entry {
	enum dev_kind kind;
	u32 cmd;
	u32 copy;
	enum gate gate;
	enum real real;
	dev_handler *handler;
	const char *name;
};

static const struct ioctl_entry ioctl_table[] = {
#define IOCTL(kind, name, copy, gate, real, handler)                                                                   \
	{ DEV_##kind, name, copy, GATE_##gate, REAL_##real, handler, #name },
#include "device/ioctl.def"
#undef IOCTL
};

#define COPY_MAX sizeof(struct kvm_fpu)

static bool gate_open(enum gate gate, struct dev_object *obj)
{
	switch (gate) {
	case GATE_ALWAYS:
		return true;
	case GATE_PRE_FAULT:
		return dev_config.sys.profile->has_pre_fault;
	/* It came with guest_memfd and is there also where no file can be made. */
	case GATE_HAS_REGION2:
		return dev_config.sys.profile->has_gmem;
	case GATE_HAS_GMEM:
		return core_sys_has_gmem(&dev_config.sys);
	case GATE_VM_ATTRIBUTES:
		return core_vm_has_attributes_ioctl(&dev_to_vm(obj)->core);
	case GATE_IN_PLACE:
		return core_file_has_attributes_ioctl(&dev_to_gmem(obj)->core);
	}
	return false;
}

/* Where the table was found to have a command of that low byte last: a guess. */
static _Atomic u16 found_at[DEV_KINDS][256];

static const struct ioctl_entry *find_entry(struct dev_object *obj, u32 cmd)
{
	_Atomic u16 *guess = &found_at[obj->kind][cmd & 0xff];
	const struct ioctl_entry *e = &ioctl_table[atomic_load_explicit(guess, memory_order_relaxed)];

	if (e->kind == obj->kind && e->cmd == cmd)
		return e;
	for (size_t i = 0; i < RT_ARRAY_SIZE(ioctl_table); i++) {
		e = &ioctl_table[i];
		if (e->kind != obj->kind || e->cmd != cmd)
			continue;
		atomic_store_explicit(guess, (u16)i, memory_order_relaxed);
		return e;
	}
	return NULL;
}

/* What a request breaks that is in the table behind a shut gate, or (entry NULL) is in no table. */
static enum core_rule_id unknown_rule(enum dev_kind kind, const struct ioctl_entry *entry)
{
	static const enum core_rule_id unknown[DEV_KINDS] = {
		[DEV_SYSTEM] = RULE_IOCTL_DEV,
		[DEV_VM] = RULE_IOCTL_VM,
		[DEV_VCPU] = RULE_IOCTL_VCPU,
		[DEV_GMEM] = RULE_IOCTL_GMEM,
	};

	switch (entry ? entry->gate : GATE_ALWAYS) {
	case GATE_PRE_FAULT:
		return RULE_PRE_FAULT_KNOWN;
	case GATE_HAS_REGION2:
	case GATE_HAS_GMEM:
		return RULE_VM_GUEST_MEMFD;
	case GATE_VM_ATTRIBUTES:
		return RULE_VM_ATTRIBUTES;
	case GATE_IN_PLACE:
		return RULE_CONVERT_SWITCH;
	case GATE_ALWAYS:
		break;
	}
	return unknown[kind];
}

const char *dev_ioctl_name(u32 cmd)
{
	for (size_t i = 0; i < RT_ARRAY_SIZE(ioctl_table); i++) {
		if (ioctl_table[i].cmd == cmd)
			return ioctl_table[i].name;
	}
	return NULL;
}

bool dev_ioctl_makes_fd(u32 cmd)
{
	return cmd == KVM_CREATE_VM || cmd == KVM_CREATE_VCPU || cmd == KVM_CREATE_GUEST_MEMFD || cmd == KVM_GET_STATS_FD;
}

int dev_copy_out(u64 to, const void *from, size_t size, struct core_err *err)
{
	if (rt_copy_out(to, from, size) < 0)
		return core_refuse(err, RULE_ARGUMENT_WRITE, 0, "argument", to, size);
	return 0;
}

/* All of KVM's VM and vCPU ioctls belong to the address space that made the VM. */
static int check_owner(struct dev_object *obj, struct core_err *err)
{
	struct dev_vm *vm = obj->kind == DEV_VCPU ? dev_to_vcpu(obj)->vm : dev_to_vm(obj);

	if (obj->kind != DEV_VM && obj->kind != DEV_VCPU)
		return 0;
	if (vm->mm != dev_mm())
		return core_refuse(err, RULE_OWNER, 0, "address space", dev_mm(), vm->mm);
	return 0;
}

static long handle(struct dev_object *obj, u32 cmd, u64 arg, struct core_err *err)
{
	u64 copy[COPY_MAX / sizeof(u64)];
	const bool has_real = dev_real_fd(obj) >= 0;
	const struct ioctl_entry *entry;
	long ret;

	entry = find_entry(obj, cmd);
	if (has_real && (!entry || entry->real == REAL_REAL))
		return dev_real_pass(obj, cmd, arg);
	if (!entry || !gate_open(entry->gate, obj))
		return core_refuse(err, unknown_rule(obj->kind, entry), 0, "command", cmd, 0);
	if (entry->copy && rt_copy_in(copy, arg, entry->copy) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "argument", arg, entry->copy);
	ret = entry->handler(obj, arg, copy, err);
	/* Where the kernel needs no descriptor, ours are memory like any other. */
	if ((ret == -EMFILE || ret == -ENFILE) && !dev_ioctl_makes_fd(cmd))
		ret = -ENOMEM;
	if (ret == -ENOMEM && err->rule == RULE_NONE)
		return core_refuse(err, RULE_NO_MEMORY, 0, "command", cmd, 0);
	if (ret == -EMFILE)
		return core_refuse(err, RULE_NO_FD, 0, "command", cmd, 0);
	return ret < 0 || !has_real || entry->real != REAL_BOTH ? ret : dev_real_pass(obj, cmd, arg);
}

long dev_ioctl(struct dev_object *obj, u32 cmd, u64 arg, struct core_err *err)
{
	long ret = check_owner(obj, err);

	if (ret < 0)
		return ret;
	if (obj->kind != DEV_VCPU)
		return handle(obj, cmd, arg, err);
	if (cmd == KVM_RUN)
		return dev_vcpu_run(obj, arg, err);
	rt_lock(&dev_to_vcpu(obj)->mutex);
	ret = handle(obj, cmd, arg, err);
	rt_unlock(&dev_to_vcpu(obj)->mutex);
	return ret;
}

bool dev_cap_fast(const struct dev_object *obj, u64 arg, long *ret)
{
	const struct dev_vm *vm = RT_CONTAINER_OF((struct dev_object *)(uintptr_t)obj, struct dev_vm, obj);

	if (arg > 0x7fffffff || dev_real_answers((u32)arg))
		return false;
	if (obj->kind == DEV_SYSTEM) {
		*ret = core_cap(&dev_config.sys, CORE_SCOPE_DEVICE, (u32)arg);
		return true;
	}
	if (obj->kind != DEV_VM || vm->mm != dev_mm())
		return false;
	*ret = core_vm_cap(&vm->core, (u32)arg);
	return true;
}
