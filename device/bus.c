// SPDX-License-Identifier: MIT
/*
 * device/bus.c - what a vCPU sees around it: memory, devices, CPUID, MSRs, hypercalls
 *
 * All of this runs in the vCPU's thread, within cpu_run(): slots and
 * attributes stand still (device/world.c), no lock of others may be waited for.
 */
#include <stdatomic.h>
#include <linux/futex.h>
#include <linux/mman.h>

#include "device/internal.h"
#include "device/world.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"
#include "uapi/mm.h"

#define USER_END 0x7ffffffff000ULL

/* ---- memory ---- */

static struct dev_gmem *gmem_of(struct core_file *file)
{
	return RT_CONTAINER_OF(file, struct dev_gmem, core);
}

/* Or-ing 0 into the page's first word, as the kernel does it for a futex: changes nothing and needs what a write needs. */
static bool writable(char *page)
{
	const u32 or_nothing = 2U << 28; /* FUTEX_OP_OR 0, FUTEX_OP_CMP_EQ 0 */
	u32 own = 0;

	return !rt_is_err(rt_syscall_raw(__NR_futex, (long)&own, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, (long)page,
					 or_nothing));
}

/* KVM's copies to and from user space do not fault: what is not there is treated as a device. */
bool dev_hva_accessible(u64 hva, bool write)
{
	char *page = (char *)(uintptr_t)hva, byte;
	long ret;

	if (!hva || hva >= USER_END)
		return false;
	do {
		ret = rt_madvise(page, RT_PAGE_SIZE, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	} while (ret == -EFAULT && host_view_overlaps(page, RT_PAGE_SIZE) && host_fault_fixup(page, RT_PAGE_SIZE));
	/* Unknown before Linux 5.14, to some mappings, and said of those that may not be written. */
	if (ret == -EINVAL)
		return write ? writable(page) : rt_user_copy(&byte, page, 1) == 0;
	return ret == 0;
}

static enum cpu_map map_file(struct dev_vcpu *v, const struct core_place *place, struct cpu_page *ret)
{
	struct host_file *file = &gmem_of(place->slot->file)->host;

	if (host_poisoned(file, place->page)) {
		ret->fault_flags = place->fault_flags;
		return CPU_MAP_HWPOISON;
	}
	ret->host = host_guest_page(file, place->page);
	ret->writable = true;
	if (ret->host)
		return CPU_MAP_RAM;
	v->fault_errno = ENOMEM;
	return CPU_MAP_HOST_FAULT;
}

static enum cpu_map map_hva(struct dev_vcpu *v, bool write, const struct core_place *place, struct cpu_page *ret)
{
	bool logged = place->slot->flags & KVM_MEM_LOG_DIRTY_PAGES;

	/* Old kernels take addresses that are none; and all take 0, where nothing can be, which here says that there is no memory. */
	if (!place->hva || place->hva >= USER_END) {
		v->fault_errno = EFAULT;
		return CPU_MAP_HOST_FAULT;
	}
	ret->host = (u8 *)(uintptr_t)place->hva;
	ret->writable = !(place->slot->flags & KVM_MEM_READONLY) && (!logged || write);
	ret->logged = logged;
	return CPU_MAP_RAM;
}

static enum cpu_map map_page(struct dev_vcpu *v, u64 gpa, unsigned access, struct cpu_page *ret)
{
	bool write = access & CPU_WRITE;
	struct core_place place;

	if (access & CPU_KVM)
		core_resolve_own(&v->vm->core, 0, gpa, write, &place);
	else
		core_resolve(&v->vm->core, 0, gpa, write, &place);
	switch (place.backing) {
	case CORE_BACKING_FILE:
		return map_file(v, &place, ret);
	case CORE_BACKING_HVA:
		ret->unusable = (access & CPU_KVM) && !dev_hva_accessible(place.hva, write);
		if (ret->unusable)
			return CPU_MAP_MMIO;
		return map_hva(v, write, &place, ret);
	case CORE_BACKING_FAULT:
		ret->fault_flags = place.fault_flags;
		return CPU_MAP_MEMORY_FAULT;
	case CORE_BACKING_MMIO:
		break;
	}
	return CPU_MAP_MMIO;
}

static void bus_wrote(void *ctx, u64 gpa)
{
	struct dev_vcpu *v = ctx;
	const struct core_slot *slot = core_memslot_by_gpa(&v->vm->core, 0, gpa);

	if (slot)
		dev_dirty_mark(v, slot, gpa);
}

static enum cpu_map bus_map(void *ctx, u64 gpa, unsigned access, struct cpu_page *ret)
{
	struct dev_vcpu *v = ctx;
	enum cpu_map map;

	v->in_map = true;
	map = map_page(v, gpa, access, ret);
	v->in_map = false;
	return map;
}

/* ---- devices ---- */

static bool bus_mmio(void *ctx, u64 gpa, void *data, unsigned len, bool write)
{
	struct dev_vcpu *v = ctx;

	if (v->irq && v->irq->mmio && v->irq->mmio(v, gpa, data, len, write))
		return true;
	return write && (dev_ioeventfd(v, gpa, data, len, false) || dev_coalesce(v, gpa, data, len, false));
}

static bool bus_pio(void *ctx, u16 port, void *data, unsigned size, bool write)
{
	struct dev_vcpu *v = ctx;

	if (v->irq && v->irq->pio && v->irq->pio(v, port, data, size, write))
		return true;
	return write && (dev_ioeventfd(v, port, data, size, true) || dev_coalesce(v, port, data, size, true));
}

static int bus_irq_pending(void *ctx)
{
	struct dev_vcpu *v = ctx;

	if (v->user_irq >= 0 && dev_takes_user_irq(v))
		return v->user_irq;
	return v->irq && v->irq->pending ? v->irq->pending(v) : -1;
}

static int bus_irq_ack(void *ctx)
{
	struct dev_vcpu *v = ctx;
	int vector = v->user_irq;

	if (vector >= 0 && dev_takes_user_irq(v)) {
		v->user_irq = -1;
		return vector;
	}
	return v->irq && v->irq->ack ? v->irq->ack(v) : -1;
}

static void bus_poll(void *ctx)
{
	struct dev_vcpu *v = ctx;

	if (atomic_exchange(&v->user_nmi, false))
		v->cpu->events.nmi.pending = 1;
	if (v->irq && v->irq->poll)
		v->irq->poll(v);
}

static u64 bus_get_tpr(void *ctx)
{
	struct dev_vcpu *v = ctx;

	return v->irq && v->irq->get_tpr ? v->irq->get_tpr(v) : v->cpu->cr8;
}

static void bus_set_tpr(void *ctx, u64 tpr)
{
	struct dev_vcpu *v = ctx;

	v->cpu->cr8 = tpr;
	if (v->irq && v->irq->set_tpr)
		v->irq->set_tpr(v, tpr);
}

/* ---- CPUID, MSRs, hypercalls ---- */

static void bus_cpuid(void *ctx, u32 leaf, u32 subleaf, u32 out[4])
{
	dev_cpuid_answer(ctx, leaf, subleaf, out);
}

static enum cpu_msr bus_msr_filter(void *ctx, u32 msr, bool write)
{
	return dev_msr_filter(ctx, msr, write);
}

static enum cpu_msr bus_msr_invalid(void *ctx)
{
	return dev_msr_refused(ctx, KVM_MSR_EXIT_REASON_INVAL);
}

static enum cpu_msr bus_rdmsr(void *ctx, u32 msr, u64 *ret)
{
	enum cpu_msr r = dev_msr_read(ctx, msr, false, ret);

	return r == CPU_MSR_GP ? dev_msr_refused(ctx, dev_msr_reason(ctx, msr)) : r;
}

static enum cpu_msr bus_wrmsr(void *ctx, u32 msr, u64 value)
{
	enum cpu_msr r = dev_msr_write(ctx, msr, false, value);

	return r == CPU_MSR_GP ? dev_msr_refused(ctx, dev_msr_reason(ctx, msr)) : r;
}

static s64 map_gpa_range(struct dev_vcpu *v, const u64 args[5], bool *exits)
{
	u64 gpa = args[0], pages = args[1];

	if (!(v->vm->core.exit_hypercall & (1ULL << KVM_HC_MAP_GPA_RANGE)))
		return -KVM_ENOSYS;
	if (!rt_page_aligned(gpa) || !pages || rt_add_wraps(gpa >> RT_PAGE_SHIFT, pages))
		return -KVM_EINVAL;
	*exits = true;
	return 0;
}

static bool bus_hypercall(void *ctx, u64 nr, const u64 args[5], u64 *ret)
{
	struct dev_vcpu *v = ctx;
	bool exits = false;
	s64 result = -KVM_ENOSYS;

	if (v->cpu->cpl)
		result = -KVM_EPERM;
	else if (nr == KVM_HC_MAP_GPA_RANGE)
		result = map_gpa_range(v, args, &exits);
	*ret = (u64)result;
	return !exits;
}

const struct cpu_bus dev_cpu_bus = {
	.map = bus_map,
	.wrote = bus_wrote,
	.mmio = bus_mmio,
	.pio = bus_pio,
	.cpuid = bus_cpuid,
	.msr_filter = bus_msr_filter,
	.msr_invalid = bus_msr_invalid,
	.rdmsr = bus_rdmsr,
	.wrmsr = bus_wrmsr,
	.irq_pending = bus_irq_pending,
	.irq_ack = bus_irq_ack,
	.poll = bus_poll,
	.get_tpr = bus_get_tpr,
	.set_tpr = bus_set_tpr,
	.hypercall = bus_hypercall,
};
