// SPDX-License-Identifier: MIT
/*
 * device/vcpu.c - a vCPU's life: creation, the last descriptor, the VM's end
 *
 * A vCPU's descriptor is a memfd with the pages that the program maps: struct
 * kvm_run, PIO data, the ring of coalesced writes and, from page 64 on, the ring of
 * dirty pages.  So that mapping it needs no help, and what a mapping may do is
 * what it may do on the kernel's.
 */
#include <stdatomic.h>
#include <linux/mman.h>

#include "device/internal.h"
#include "device/real.h"
#include "device/thread.h"
#include "device/world.h"
#include "rt/alloc.h"
#include "rt/format.h"
#include "rt/syscall.h"

#define APIC_BASE_DEFAULT 0xfee00000ULL
#define APIC_BASE_BSP	  (1ULL << 8)
#define APIC_BASE_ENABLE  (1ULL << 11)

struct dev_vcpu *dev_vcpu_by_id(struct dev_vm *vm, u32 id)
{
	struct dev_vcpu *v = vm->vcpus;

	while (v && v->id != id)
		v = v->next;
	return v;
}

static size_t run_size(const struct dev_vm *vm)
{
	u64 ring = vm->core.dirty_ring;

	return ring ? KVM_DIRTY_LOG_PAGE_OFFSET * RT_PAGE_SIZE + rt_align_up(ring, RT_PAGE_SIZE) :
		      DEV_VCPU_PAGES * RT_PAGE_SIZE;
}

/* What needs memory, with the object's descriptor made already. */
static int vcpu_init(struct dev_vcpu *v)
{
	long run = rt_mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->obj.host.keep, 0);
	int ret;

	if (rt_is_err(run))
		return -ENOMEM;
	v->run = (struct kvm_run *)run;
	v->cpu = rt_alloc(sizeof(*v->cpu));
	ret = v->cpu ? cpu_init(v->cpu, &dev_cpu_bus, v) : -ENOMEM;
	if (ret < 0) {
		rt_free(v->cpu, sizeof(*v->cpu));
		rt_munmap(v->run, v->run_size);
		return -ENOMEM;
	}
	v->cpu->io_buffer = (u8 *)v->run + KVM_PIO_PAGE_OFFSET * RT_PAGE_SIZE;
	return 0;
}

static void vcpu_fini(struct dev_vcpu *v)
{
	dev_real_vcpu_destroy(v);
	cpu_fini(v->cpu);
	rt_free(v->cpu, sizeof(*v->cpu));
	rt_munmap(v->run, v->run_size);
}

static void set_defaults(struct dev_vcpu *v)
{
	bool bsp = v->id == v->vm->core.boot_id;

	v->mp_state = bsp || !v->vm->core.irqchip ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
	v->cpu->msr.apic_base = APIC_BASE_DEFAULT | APIC_BASE_ENABLE | (bsp ? APIC_BASE_BSP : 0);
	v->cpu->quirk_out_7e = !(v->vm->core.quirks_off & KVM_X86_QUIRK_OUT_7E_INC_RIP);
	/* A VM's counter starts at 0, and its vCPUs run in step. */
	if (!v->vm->tsc_offset)
		v->vm->tsc_offset = 0 - dev_tsc();
	v->cpu->tsc_offset = v->tsc_base = v->vm->tsc_offset;
	v->user_irq = -1;
	dev_mce_init(v);
	v->tsc_khz = v->vm->tsc_khz ? v->vm->tsc_khz : dev_tsc_khz();
	v->ring_size = v->vm->core.dirty_ring / sizeof(struct kvm_dirty_gfn);
}

static void append(struct dev_vm *vm, struct dev_vcpu *v)
{
	struct dev_vcpu **at = &vm->vcpus;

	while (*at)
		at = &(*at)->next;
	v->index = vm->nr_vcpus++;
	vm->core.has_vcpus = true;
	*at = v;
	rt_lock(&dev_lock);
	vm->obj.refs++;
	dev_object_publish(&v->obj);
	rt_unlock(&dev_lock);
}

static void discard(struct dev_vcpu *v)
{
	rt_lock(&dev_lock);
	v->obj.kind = DEV_VCPU;
	dev_object_free(&v->obj);
	rt_unlock(&dev_lock);
}

static long create(struct dev_vm *vm, u32 id)
{
	struct dev_vcpu *v = (struct dev_vcpu *)dev_object_new(DEV_VCPU);
	char name[24];
	int fd, ret;

	if (!v)
		return -ENOMEM;
	v->obj.kind = DEV_VCPU;
	v->vm = vm;
	v->id = id;
	v->run_size = run_size(vm);
	rt_format(name, sizeof(name), "kvm-vcpu:%u", id);
	fd = host_object_create(&v->obj.host, name, v->run_size, true);
	if (fd < 0) {
		discard(v);
		return fd;
	}
	ret = vcpu_init(v);
	if (ret == 0) {
		ret = dev_real_vcpu_create(v);
		if (ret < 0)
			vcpu_fini(v);
	}
	if (ret < 0) {
		rt_close(fd);
		discard(v);
		return ret;
	}
	set_defaults(v);
	append(vm, v);
	if (vm->vcpu_created)
		vm->vcpu_created(v);
	return fd;
}

long dev_vm_create_vcpu(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	long ret;

	dev_reap();
	rt_lock(&dev_slots_lock);
	ret = core_vm_create_vcpu(&vm->core, arg, vm->nr_vcpus, err);
	if (ret == 0 && dev_vcpu_by_id(vm, (u32)arg))
		ret = core_refuse(err, RULE_VCPU_EXISTS, 0, "id", (u32)arg, 0);
	if (ret == 0)
		ret = create(vm, (u32)arg);
	rt_unlock(&dev_slots_lock);
	return ret;
}

/* With dev_lock held: nobody is in KVM_RUN, and nobody will be. */
bool dev_vcpu_unused(struct dev_vcpu *v)
{
	if (!rt_trylock(&v->mutex))
		return false;
	v->closed = !host_object_in_use(&v->obj.host);
	rt_unlock(&v->mutex);
	return v->closed;
}

/* The last descriptor is gone: found no more, but the VM keeps it. */
void dev_vcpu_close(struct dev_vcpu *v)
{
	host_object_fini(&v->obj.host);
	v->obj.kind = DEV_NONE;
	v->vm->obj.refs--;
}

void dev_vcpu_destroy(struct dev_vcpu *v)
{
	if (v->irq && v->irq->fini)
		v->irq->fini(v);
	dev_stats_fini(&v->stats);
	rt_free(v->cpuid, v->nr_cpuid ? v->nr_cpuid * sizeof(*v->cpuid) : 1);
	vcpu_fini(v);
	v->obj.kind = DEV_VCPU;
	dev_object_free(&v->obj);
}

/* Its threads were not inherited. */
void dev_vcpu_forked(struct dev_vcpu *v)
{
	dev_real_vcpu_destroy(v);
	v->mutex = (struct rt_lock)RT_LOCK_INIT;
	v->in_guest = 0;
	v->in_cpu = v->in_map = false;
	v->vm->stopping = 0;
}

void dev_vcpu_kick(struct dev_vcpu *v)
{
	atomic_fetch_add(&v->wake, 1);
	cpu_kick(v->cpu, CPU_STOP_POLL);
	if (v->sleeping)
		rt_futex_wake(&v->wake, 1, false);
}
