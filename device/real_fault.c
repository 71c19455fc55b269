// SPDX-License-Identifier: MIT
/*
 * device/real_fault.c - what it was that the real KVM could not reach (REAL-2)
 *
 * KVM_RUN said EFAULT.  The instruction, or the delivery of the event that was under way, is tried on
 * the software vCPU with the registers of the real one.  Memory is the model's, as ever; but writes go to
 * a page that nobody sees, and devices, MSRs and hypercalls do nothing: this is to find a fault, not to
 * execute.  Three outcomes:
 *   a memory fault of the model: KVM_RUN reports it as the profile does;
 *   userspace_addr could not be touched: EFAULT without annotation, as in the kernel;
 *   nothing is wrong (any more): the real vCPU tries again.
 */
#include "device/internal.h"
#include "device/real.h"
#include "device/world.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define GO_ON	      1
#define FRUITLESS_MAX 4
#define POISON_ERR    133 /* EHWPOISON */

static enum cpu_map try_file(struct dev_vcpu *v, const struct core_place *place, struct cpu_page *ret)
{
	struct host_file *file = &RT_CONTAINER_OF(place->slot->file, struct dev_gmem, core)->host;

	ret->fault_flags = place->fault_flags;
	if (host_poisoned(file, place->page))
		return CPU_MAP_HWPOISON;
	ret->host = host_guest_page(file, place->page);
	if (ret->host)
		return CPU_MAP_RAM;
	v->fault_errno = ENOMEM;
	return CPU_MAP_HOST_FAULT;
}

static enum cpu_map try_hva(struct dev_vcpu *v, const struct core_place *place, bool write, struct cpu_page *ret)
{
	if (!dev_hva_accessible(place->hva, write)) {
		v->fault_errno = EFAULT;
		return CPU_MAP_HOST_FAULT;
	}
	ret->host = (u8 *)(uintptr_t)place->hva;
	return CPU_MAP_RAM;
}

static enum cpu_map try_map(struct dev_vcpu *v, u64 gpa, unsigned access, struct cpu_page *ret)
{
	bool write = access & CPU_WRITE;
	struct core_place place;
	enum cpu_map map;

	core_resolve(&v->vm->core, 0, gpa, write, &place);
	switch (place.backing) {
	case CORE_BACKING_MMIO:
		return CPU_MAP_MMIO;
	case CORE_BACKING_FAULT:
		ret->fault_flags = place.fault_flags;
		return CPU_MAP_MEMORY_FAULT;
	case CORE_BACKING_FILE:
		map = try_file(v, &place, ret);
		break;
	default:
		map = try_hva(v, &place, write, ret);
		break;
	}
	ret->writable = false;
	if (map == CPU_MAP_RAM && write)
		ret->host = v->real->scratch;
	return map;
}

static enum cpu_map bus_map(void *ctx, u64 gpa, unsigned access, struct cpu_page *ret)
{
	struct dev_vcpu *v = ctx;
	enum cpu_map map;

	v->in_map = true;
	map = try_map(v, gpa, access, ret);
	v->in_map = false;
	return map;
}

static bool bus_mmio(void *ctx, u64 gpa, void *data, unsigned len, bool write)
{
	if (!write)
		memset(data, 0, len);
	return true;
}

static bool bus_pio(void *ctx, u16 port, void *data, unsigned size, bool write)
{
	if (!write)
		memset(data, 0, size);
	return true;
}

static void bus_cpuid(void *ctx, u32 leaf, u32 subleaf, u32 out[4])
{
	memset(out, 0, 4 * sizeof(*out));
}

static enum cpu_msr bus_rdmsr(void *ctx, u32 msr, u64 *ret)
{
	*ret = 0;
	return CPU_MSR_OK;
}

static enum cpu_msr bus_wrmsr(void *ctx, u32 msr, u64 value)
{
	return CPU_MSR_OK;
}

static bool bus_hypercall(void *ctx, u64 nr, const u64 args[5], u64 *ret)
{
	*ret = 0;
	return true;
}

static const struct cpu_bus trial_bus = {
	.map = bus_map,
	.mmio = bus_mmio,
	.pio = bus_pio,
	.cpuid = bus_cpuid,
	.rdmsr = bus_rdmsr,
	.wrmsr = bus_wrmsr,
	.hypercall = bus_hypercall,
};

static long get(struct dev_vcpu *v, u32 cmd, void *to)
{
	return rt_syscall_raw(__NR_ioctl, v->real->fd, cmd, (long)to, 0, 0, 0);
}

/* The real vCPU's registers, and its event that is to be delivered. */
static int take_state(struct dev_vcpu *v)
{
	const u32 simd = CPU_HAS_AVX | CPU_HAS_AVX2 | CPU_HAS_FMA | CPU_HAS_F16C | CPU_HAS_AES | CPU_HAS_PCLMUL | CPU_HAS_SHA;
	struct core_err ignored = { .rule = RULE_NONE };
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_xcrs xcrs;

	if (get(v, KVM_GET_REGS, &regs) || get(v, KVM_GET_SREGS, &sregs) || get(v, KVM_GET_VCPU_EVENTS, &events))
		return -EFAULT;
	if (get(v, KVM_GET_XCRS, &xcrs) || !xcrs.nr_xcrs)
		xcrs.xcrs[0].value = 1;
	v->cpu->bus = &trial_bus;
	v->cpu->pending = CPU_PENDING_NONE;
	v->cpu->deferred = v->cpu->halted = false;
	v->cpu->phys_bits = 52;
	/* Whatever the guest uses, the real CPU has. */
	v->cpu->features = (~0U & ~(simd | CPU_HAS_AMD)) | cpu_host_simd() | (dev_host_is_intel() ? 0 : CPU_HAS_AMD);
	events.flags &= KVM_VCPUEVENT_VALID_SHADOW;
	events.nmi.masked = 1;
	dev_events_set(v, &events, &ignored);
	dev_regs_take(v, &regs, &sregs, xcrs.xcrs[0].value);
	v->cpu->guest_debug = CPU_DEBUG_ENABLE | CPU_DEBUG_SINGLESTEP;
	cpu_state_changed(v->cpu);
	return 0;
}

static enum cpu_exit try_one(struct dev_vcpu *v)
{
	enum cpu_exit why;

	v->fault_errno = 0;
	cpu_flush_memory(v->cpu);
	world_enter(v);
	v->in_cpu = true;
	/* For PAE paging only; what it cannot read the walk meets again. */
	if ((v->cpu->cr0 >> 31 & 1) && (v->cpu->cr4 >> 5 & 1) && !(v->cpu->efer >> 10 & 1))
		cpu_reload_pdptrs(v->cpu);
	why = cpu_run(v->cpu);
	v->in_cpu = false;
	world_leave(v);
	return why;
}

static long memory_fault(struct dev_vcpu *v, u64 flags, int error)
{
	v->run->memory_fault.flags = flags;
	v->run->memory_fault.gpa = rt_align_down(v->cpu->exit.fault.gpa, RT_PAGE_SIZE);
	v->run->memory_fault.size = RT_PAGE_SIZE;
	v->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	return -error;
}

static void tell(struct dev_vcpu *v)
{
	static bool told;

	if (!told && dev_config.notice)
		dev_config.notice("the real KVM cannot reach memory of the guest, and gmem does not see which: EFAULT");
	told = true;
}

/* A page that was healed meanwhile still has a slot that faults. */
static long try_again(struct dev_vcpu *v)
{
	if (++v->real->fruitless > FRUITLESS_MAX) {
		v->real->fruitless = 0;
		tell(v);
		return -EFAULT;
	}
	rt_lock(&dev_slots_lock);
	world_stop(v->vm);
	world_resume(v->vm, true);
	rt_unlock(&dev_slots_lock);
	return GO_ON;
}

long dev_real_fault(struct dev_vcpu *v)
{
	enum cpu_exit why;

	if (take_state(v) < 0)
		return -EFAULT;
	why = try_one(v);
	if (why == CPU_EXIT_STOPPED)
		return GO_ON;
	if (why == CPU_EXIT_HOST_FAULT && v->aborted) {
		v->aborted = false;
		return GO_ON;
	}
	if (why != CPU_EXIT_MEMORY_FAULT && why != CPU_EXIT_HWPOISON && why != CPU_EXIT_HOST_FAULT)
		return try_again(v);
	v->real->fruitless = 0;
	if (why == CPU_EXIT_MEMORY_FAULT)
		return memory_fault(v, v->cpu->exit.fault.flags, EFAULT);
	if (why == CPU_EXIT_HWPOISON)
		return memory_fault(v, v->cpu->exit.fault.flags, POISON_ERR);
	return v->fault_errno == ENOMEM ? memory_fault(v, 0, ENOMEM) : -EFAULT;
}
