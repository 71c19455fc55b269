// SPDX-License-Identifier: MIT
/*
 * device/memory.c - a vCPU's memory from outside: translation and populating ahead
 */
#include <linux/mman.h>

#include "device/internal.h"
#include "device/thread.h"
#include "device/world.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"
#include "uapi/mm.h"

#define NO_GPA (~0ULL)

/* The walk reads guest memory, so it is done as KVM_RUN would: a fault of the host is the CPU's to handle. */
long dev_vcpu_translate(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	struct kvm_translation *t = copy;
	struct dev_thread *thread = dev_thread_enter();
	u64 gpa = NO_GPA;

	if (!thread)
		return -ENOMEM;
	v->thread = NULL;
	v->tid = (s32)rt_gettid();
	thread->vcpu = v;
	world_enter(v);
	v->in_cpu = true;
	if (cpu_translate(v->cpu, t->linear_address, &gpa) < 0)
		gpa = NO_GPA;
	v->in_cpu = false;
	world_leave(v);
	thread->vcpu = NULL;
	dev_thread_leave(thread);
	t->physical_address = gpa;
	t->valid = gpa != NO_GPA;
	t->writeable = 1;
	t->usermode = 0;
	return dev_copy_out(arg, t, sizeof(*t), err);
}

/* A touch sleeps where a signal wakes it (device/stuck.c); madvise(2) would sleep on.  Whatever else fails, it says. */
static int touch(struct dev_thread *thread, const u8 *host)
{
	char byte;

	thread->touching = true;
	if (!thread->deferred)
		rt_user_copy(&byte, host, 1);
	thread->touching = false;
	return thread->deferred ? -EINTR : 0;
}

/* Populate one page; the caller has resolved it and holds no lock: it may take long. */
static int populate(const struct core_place *place, u8 *host)
{
	long ret = rt_madvise(host, RT_PAGE_SIZE, MADV_POPULATE_READ);
	char byte;

	/* Unknown before Linux 5.14. */
	if (ret == -EINVAL)
		ret = rt_user_copy(&byte, host, 1) ? -EFAULT : 0;
	if (ret == 0 || ret == -EHWPOISON)
		return (int)ret;
	return place->backing == CORE_BACKING_FILE ? -ENOMEM : -EFAULT;
}

/* Whether a memory error is what the kernel calls so: engine "dp" has the same markers on private pages. */
static bool is_struck(char *host)
{
	struct host_piece piece;
	u64 page;

	if (!host_view_next(host, host + 1, &piece))
		return true;
	page = piece.off >> RT_PAGE_SHIFT;
	return !core_store_is_private(&piece.file->store, page) && host_poisoned(piece.file, page);
}

static int annotate(struct dev_vcpu *v, u64 gpa, const struct core_place *place, int ret)
{
	v->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	v->run->memory_fault.flags = place->fault_flags;
	v->run->memory_fault.gpa = gpa;
	v->run->memory_fault.size = RT_PAGE_SIZE;
	return ret;
}

static int pre_fault_page(struct dev_vcpu *v, struct dev_thread *thread, u64 gpa)
{
	struct core_place place;
	struct host_file *file;
	bool broken = false;
	u8 *host = NULL;
	int ret;

	rt_lock(&dev_slots_lock);
	core_resolve(&v->vm->core, 0, gpa, false, &place);
	if (place.backing == CORE_BACKING_FILE) {
		file = &RT_CONTAINER_OF(place.slot->file, struct dev_gmem, core)->host;
		broken = host_poisoned(file, place.page);
		host = host_guest_page(file, place.page);
	} else {
		host = (u8 *)(uintptr_t)place.hva;
	}
	rt_unlock(&dev_slots_lock);
	switch (place.backing) {
	case CORE_BACKING_MMIO:
		return -ENOENT;
	case CORE_BACKING_FAULT:
		return annotate(v, gpa, &place, -EFAULT);
	case CORE_BACKING_FILE:
		ret = broken ? -EHWPOISON : host ? populate(&place, host) : -ENOMEM;
		return ret == -EHWPOISON ? annotate(v, gpa, &place, ret) : ret;
	case CORE_BACKING_HVA:
		break;
	}
	ret = touch(thread, host);
	if (ret == 0)
		ret = populate(&place, host);
	else
		v->run->exit_reason = KVM_EXIT_INTR;
	if (ret == -EHWPOISON && !is_struck((char *)host))
		return -EFAULT;
	if (ret != -EHWPOISON || !dev_config.memory_error)
		return ret;
	/* As in KVM_RUN: by a signal. */
	dev_config.memory_error(place.hva);
	return -EINTR;
}

/* Up to the first that cannot be had, or a signal: what is left of the range stays in it. */
static long pre_fault_pages(struct dev_vcpu *v, struct kvm_pre_fault_memory *range)
{
	struct dev_thread *thread = dev_thread_enter();
	long ret = 0;

	if (!thread)
		return -ENOMEM;
	while (ret == 0 && range->size) {
		ret = thread->deferred ? -EINTR : pre_fault_page(v, thread, range->gpa);
		if (ret < 0)
			break;
		range->gpa += RT_PAGE_SIZE;
		range->size -= RT_PAGE_SIZE;
	}
	dev_thread_leave(thread);
	return ret;
}

static long refuse_range(const struct kvm_pre_fault_memory *range, struct core_err *err)
{
	if (range->flags)
		return core_refuse(err, RULE_PRE_FAULT_RANGE, 0, "flags", range->flags, 0);
	if (!rt_page_aligned(range->gpa) || !rt_page_aligned(range->size) || range->gpa + range->size <= range->gpa)
		return core_refuse(err, RULE_PRE_FAULT_RANGE, 0, "size", range->size, RT_PAGE_SIZE);
	return 0;
}

/* What was read is written back whatever comes of it. */
long dev_vcpu_pre_fault(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	struct kvm_pre_fault_memory *range = copy;
	u64 whole = range->size;
	long ret = refuse_range(range, err);

	if (ret == 0)
		ret = v->vm->core.sys->shape.tdp ? pre_fault_pages(v, range) : -EOPNOTSUPP;
	if (dev_copy_out(arg, range, sizeof(*range), err) < 0)
		return -EFAULT;
	if (range->size != whole)
		return 0;
	return ret == -ENOENT ? core_refuse(err, RULE_PRE_FAULT_SLOT, 0, "gpa", range->gpa, 0) : ret;
}
