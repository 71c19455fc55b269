// SPDX-License-Identifier: MIT
/*
 * device/run.c - KVM_RUN
 *
 * Theory of operation, in the kernel's order:
 *   1. registers that the program changed in kvm_run are taken over;
 *   2. what the last exit left open is completed;
 *   3. immediate_exit: EINTR, exit_reason keeps what it was;
 *   4. the loop: a signal that waits, a full ring, a halt, an interrupt window, else the guest;
 *   5. registers that the program wants are stored, and what every return reports.
 * The loop's steps return GO_ON to be repeated, else what KVM_RUN returns.
 */
#include <stdatomic.h>
#include <asm/signal.h>
#include <linux/time_types.h>

#include "device/internal.h"
#include "device/real.h"
#include "device/thread.h"
#include "device/world.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define GO_ON	   1
/* Never blocked in KVM_RUN: a fault may be the guest's. */
#define FAULT_SIGNALS (1ULL << (SIGSEGV - 1) | 1ULL << (SIGBUS - 1))
#define EFLAGS_IF  (1ULL << 9)
#define POISON_ERR 133 /* EHWPOISON */

static u64 monotonic_ns(void)
{
	struct __kernel_timespec ts = { 0, 0 };

	rt_syscall_raw(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, (long)&ts, 0, 0, 0, 0);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

/* ---- exits ---- */

static long exit_with(struct dev_vcpu *v, u32 reason)
{
	v->run->exit_reason = reason;
	return 0;
}

static long exit_io(struct dev_vcpu *v)
{
	dev_stats_count(&v->stats, DEV_STAT_VCPU_io_exits);
	v->run->io.direction = v->cpu->exit.io.is_out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	v->run->io.size = v->cpu->exit.io.size;
	v->run->io.port = v->cpu->exit.io.port;
	v->run->io.count = v->cpu->exit.io.count;
	v->run->io.data_offset = KVM_PIO_PAGE_OFFSET * RT_PAGE_SIZE;
	return exit_with(v, KVM_EXIT_IO);
}

static long exit_mmio(struct dev_vcpu *v)
{
	dev_stats_count(&v->stats, DEV_STAT_VCPU_mmio_exits);
	v->run->mmio.phys_addr = v->cpu->exit.mmio.gpa;
	v->run->mmio.len = v->cpu->exit.mmio.len;
	v->run->mmio.is_write = v->cpu->exit.mmio.is_write;
	if (v->cpu->exit.mmio.is_write)
		memcpy(v->run->mmio.data, v->cpu->exit.mmio.data, sizeof(v->run->mmio.data));
	return exit_with(v, KVM_EXIT_MMIO);
}

static long exit_hypercall(struct dev_vcpu *v)
{
	dev_stats_count(&v->stats, DEV_STAT_VCPU_hypercalls);
	v->run->hypercall.nr = v->cpu->exit.hypercall.nr;
	for (unsigned i = 0; i < 3; i++)
		v->run->hypercall.args[i] = v->cpu->exit.hypercall.args[i];
	v->run->hypercall.flags = v->cpu->exit.hypercall.long_mode ? KVM_EXIT_HYPERCALL_LONG_MODE : 0;
	if (v->vm->core.sys->profile->hypercall_ret_zeroed)
		v->run->hypercall.ret = 0;
	return exit_with(v, KVM_EXIT_HYPERCALL);
}

static long memory_fault(struct dev_vcpu *v, u64 flags, int error)
{
	v->run->memory_fault.flags = flags;
	v->run->memory_fault.gpa = rt_align_down(v->cpu->exit.fault.gpa, RT_PAGE_SIZE);
	v->run->memory_fault.size = RT_PAGE_SIZE;
	v->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	return -error;
}

/*
 * What is behind userspace_addr cannot be read any more.  The kernel sends SIGBUS and tries again, so that KVM_RUN
 * ends by that signal (where it is blocked the kernel tries for ever; here KVM_RUN ends nevertheless).
 */
static long memory_error(struct dev_vcpu *v, u64 hva)
{
	if (!dev_config.memory_error)
		return -EFAULT;
	dev_config.memory_error(hva);
	v->thread->deferred = true;
	return GO_ON;
}

/*
 * The host's page could not be touched.  A page of a file: memory was short, or
 * it is poisoned; else what is behind userspace_addr, whose failure carries no annotation.
 */
static long unreachable(struct dev_vcpu *v)
{
	struct core_place place;
	int error = v->fault_errno ? v->fault_errno : EFAULT;
	bool poison = v->fault_poison;

	v->fault_errno = 0;
	v->fault_poison = false;
	if (v->aborted) {
		v->aborted = false;
		return GO_ON;
	}
	rt_lock(&dev_slots_lock);
	core_resolve(&v->vm->core, 0, v->cpu->exit.fault.gpa, v->cpu->exit.fault.access & CPU_WRITE, &place);
	rt_unlock(&dev_slots_lock);
	if (place.backing == CORE_BACKING_HVA && poison)
		return memory_error(v, place.hva);
	if (place.backing != CORE_BACKING_FILE)
		return -error;
	return memory_fault(v, place.fault_flags, poison ? POISON_ERR : ENOMEM);
}

static long exit_internal(struct dev_vcpu *v)
{
	v->run->internal.suberror = v->cpu->exit.internal.suberror;
	v->run->internal.ndata = v->cpu->exit.internal.ndata;
	memcpy(v->run->internal.data, v->cpu->exit.internal.data, sizeof(v->run->internal.data));
	return exit_with(v, KVM_EXIT_INTERNAL_ERROR);
}

static long exit_debug(struct dev_vcpu *v)
{
	v->run->debug.arch.exception = v->cpu->exit.debug.exception;
	v->run->debug.arch.pc = v->cpu->exit.debug.pc;
	v->run->debug.arch.dr6 = v->cpu->exit.debug.dr6;
	v->run->debug.arch.dr7 = v->cpu->exit.debug.dr7;
	return exit_with(v, KVM_EXIT_DEBUG);
}

static long exit_msr(struct dev_vcpu *v)
{
	bool write = v->cpu->exit.msr.is_write;

	v->run->msr.error = 0;
	memset(v->run->msr.pad, 0, sizeof(v->run->msr.pad));
	v->run->msr.reason = v->msr_reason;
	v->run->msr.index = v->cpu->exit.msr.index;
	v->run->msr.data = write ? v->cpu->exit.msr.value : 0;
	return exit_with(v, write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR);
}

static long exit_eoi(struct dev_vcpu *v)
{
	v->run->eoi.vector = (u8)v->ioapic_eoi;
	v->ioapic_eoi = 0;
	return exit_with(v, KVM_EXIT_IOAPIC_EOI);
}

static long exit_halt(struct dev_vcpu *v)
{
	/* Whether a vCPU is halted is mp_state's to say; without a controller it is the program's. */
	v->cpu->halted = false;
	if (!v->vm->core.irqchip)
		return exit_with(v, KVM_EXIT_HLT);
	v->mp_state = KVM_MP_STATE_HALTED;
	return GO_ON;
}

static long report(struct dev_vcpu *v, enum cpu_exit why)
{
	dev_stats_count(&v->stats, DEV_STAT_VCPU_exits);
	/* Those that an interrupt ended at once made no exit. */
	dev_stats_set(&v->stats, DEV_STAT_VCPU_halt_exits, v->cpu->halts);
	switch (why) {
	case CPU_EXIT_STOPPED:
		return GO_ON;
	case CPU_EXIT_IO:
		return exit_io(v);
	case CPU_EXIT_MMIO:
		return exit_mmio(v);
	case CPU_EXIT_HLT:
		return exit_halt(v);
	case CPU_EXIT_HYPERCALL:
		return exit_hypercall(v);
	case CPU_EXIT_MEMORY_FAULT:
		return memory_fault(v, v->cpu->exit.fault.flags, EFAULT);
	case CPU_EXIT_HOST_FAULT:
		return unreachable(v);
	case CPU_EXIT_HWPOISON:
		return memory_fault(v, v->cpu->exit.fault.flags, POISON_ERR);
	case CPU_EXIT_SHUTDOWN:
		return exit_with(v, KVM_EXIT_SHUTDOWN);
	case CPU_EXIT_INTERNAL_ERROR:
		return exit_internal(v);
	case CPU_EXIT_DEBUG:
		return exit_debug(v);
	case CPU_EXIT_IRQ_WINDOW:
		dev_stats_count(&v->stats, DEV_STAT_VCPU_irq_window_exits);
		return exit_with(v, KVM_EXIT_IRQ_WINDOW_OPEN);
	case CPU_EXIT_MSR:
		return exit_msr(v);
	}
	return -EIO;
}

/* ---- completion of the last exit ---- */

/* String input, and an instruction executed again with what a device answered; the others change registers alone. */
static bool completion_touches_memory(enum cpu_pending pending)
{
	return pending == CPU_PENDING_INS || pending == CPU_PENDING_MMIO_READ;
}

static void complete(struct dev_vcpu *v)
{
	switch (v->cpu->pending) {
	case CPU_PENDING_NONE:
		return;
	case CPU_PENDING_MMIO_READ:
		memcpy(v->cpu->exit.mmio.data, v->run->mmio.data, sizeof(v->run->mmio.data));
		break;
	case CPU_PENDING_HYPERCALL:
		v->cpu->exit.hypercall.ret = v->run->hypercall.ret;
		break;
	case CPU_PENDING_MSR:
		v->cpu->exit.msr.failed = v->run->msr.error != 0;
		v->cpu->exit.msr.value = v->run->msr.data;
		break;
	default:
		break;
	}
	if (!completion_touches_memory(v->cpu->pending)) {
		cpu_complete(v->cpu);
		return;
	}
	world_enter(v);
	v->in_cpu = true;
	cpu_complete(v->cpu);
	v->in_cpu = false;
	world_leave(v);
}

/* ---- the loop ---- */

static bool interrupts_open(const struct dev_vcpu *v)
{
	return (cpu_rflags(v->cpu) & EFLAGS_IF) && !v->cpu->events.interrupt.shadow &&
	       !v->cpu->events.interrupt.injected && !v->cpu->events.exception.injected &&
	       !v->cpu->events.exception.pending;
}

static bool ready_for_irq(struct dev_vcpu *v)
{
	return !dev_pic_outside(v) || (v->user_irq < 0 && interrupts_open(v) && dev_takes_user_irq(v));
}

/* Something ends the halt. */
static bool may_wake(struct dev_vcpu *v)
{
	if (v->user_nmi || v->cpu->events.nmi.pending || v->cpu->events.exception.pending || v->cpu->events.triple_fault)
		return true;
	if (v->user_irq >= 0 && (cpu_rflags(v->cpu) & EFLAGS_IF) && dev_takes_user_irq(v))
		return true;
	return v->irq && v->irq->wakes && v->irq->wakes(v);
}

/* Sleep until a kick or a signal; the timer's deadline is the interrupt controller's. */
static void halt(struct dev_vcpu *v, struct dev_thread *thread)
{
	u32 seen = atomic_load(&v->wake);
	u64 now, deadline = v->irq && v->irq->deadline ? v->irq->deadline(v) : 0;

	atomic_store(&v->sleeping, true);
	if (!may_wake(v) && !thread->deferred) {
		now = deadline ? monotonic_ns() : 0;
		if (!deadline || deadline > now)
			rt_futex_wait(&v->wake, seen, deadline ? deadline - now : 0, false);
	}
	v->sleeping = false;
	if (v->irq && v->irq->poll)
		v->irq->poll(v);
}

static bool runnable(struct dev_vcpu *v)
{
	/* INIT and start-up: not within cpu_run(). */
	if (v->irq && v->irq->poll)
		v->irq->poll(v);
	if ((v->mp_state == KVM_MP_STATE_HALTED || v->mp_state == KVM_MP_STATE_AP_RESET_HOLD) && may_wake(v))
		v->mp_state = KVM_MP_STATE_RUNNABLE;
	return v->mp_state == KVM_MP_STATE_RUNNABLE;
}

static long guest(struct dev_vcpu *v, struct dev_thread *thread)
{
	enum cpu_exit why = CPU_EXIT_STOPPED;

	world_enter(v);
	/* Only now: CPU_STOP that went with it may have been cleared by world_enter(). */
	if (!thread->deferred && !dev_dirty_ring_full(v)) {
		dev_pvclock_enter(v);
		dev_vapic_enter(v);
		v->in_cpu = true;
		why = cpu_run(v->cpu);
		v->in_cpu = false;
		dev_vapic_leave(v);
	}
	world_leave(v);
	return report(v, why);
}

static long step(struct dev_vcpu *v, struct dev_thread *thread)
{
	bool wants_window = v->run->request_interrupt_window && dev_pic_outside(v) && dev_takes_user_irq(v);

	if (thread->deferred) {
		v->run->exit_reason = KVM_EXIT_INTR;
		dev_stats_count(&v->stats, DEV_STAT_VCPU_signal_exits);
		return -EINTR;
	}
	if (dev_dirty_ring_full(v))
		return exit_with(v, KVM_EXIT_DIRTY_RING_FULL);
	if (v->ioapic_eoi)
		return exit_eoi(v);
	if (!runnable(v)) {
		halt(v, thread);
		return GO_ON;
	}
	if (v->cpu->want_irq_window != wants_window) {
		v->cpu->want_irq_window = wants_window;
		cpu_events_changed(v->cpu);
	}
	return guest(v, thread);
}

static long loop(struct dev_vcpu *v, struct dev_thread *thread)
{
	long ret;

	if (v->vm->core.sys->profile->exit_reason_preset)
		v->run->exit_reason = KVM_EXIT_UNKNOWN;
	v->has_run = true;
	do {
		ret = step(v, thread);
	} while (ret == GO_ON);
	return ret;
}

/* KVM_SET_SIGNAL_MASK: the mask that holds within KVM_RUN. */
static void swap_mask(const u64 *mask, u64 *old)
{
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)mask, (long)old, sizeof(*mask), 0, 0);
}

/* Until the boot processor sends INIT and SIPI; then the program calls again. */
static long await_init(struct dev_vcpu *v, struct dev_thread *thread)
{
	if (v->run->immediate_exit)
		return -EINTR;
	while (v->mp_state == KVM_MP_STATE_UNINITIALIZED && !thread->deferred)
		halt(v, thread);
	if (!thread->deferred)
		return -EAGAIN;
	v->run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

static long run_unmasked(struct dev_vcpu *v, struct dev_thread *thread)
{
	long ret = 0;

	v->run->flags = 0;
	if (v->mp_state == KVM_MP_STATE_UNINITIALIZED)
		return await_init(v, thread);
	if ((v->run->kvm_valid_regs | v->run->kvm_dirty_regs) & ~KVM_SYNC_X86_VALID_FIELDS)
		return -EINVAL;
	if (v->run->kvm_dirty_regs)
		ret = dev_sync_load(v);
	if (ret == 0 && !v->vm->core.irqchip) {
		if (v->run->cr8 & ~0xfULL)
			return -EINVAL;
		v->cpu->cr8 = v->run->cr8;
	}
	if (ret == 0) {
		complete(v);
		/* What the completed instruction needs next comes before all else. */
		ret = v->cpu->deferred ? report(v, cpu_run(v->cpu)) : GO_ON;
		if (ret == GO_ON)
			ret = v->run->immediate_exit ? -EINTR : loop(v, thread);
	}
	return ret;
}

static long run_soft(struct dev_vcpu *v, struct dev_thread *thread)
{
	long ret = run_unmasked(v, thread);

	if (v->run->kvm_valid_regs)
		dev_sync_store(v);
	v->run->if_flag = (cpu_rflags(v->cpu) & EFLAGS_IF) != 0;
	v->run->cr8 = v->irq && v->irq->get_tpr ? v->irq->get_tpr(v) : v->cpu->cr8;
	v->run->apic_base = v->cpu->msr.apic_base;
	v->run->ready_for_interrupt_injection = ready_for_irq(v);
	return ret;
}

static long run(struct dev_vcpu *v, struct dev_thread *thread)
{
	u64 old = 0, need;
	long ret;

	if (v->has_sigset) {
		swap_mask(NULL, &old);
		need = old & ~v->sigset;
		if (need && dev_config.take_signals)
			dev_config.take_signals(need);
		need = v->sigset & ~FAULT_SIGNALS;
		swap_mask(&need, NULL);
	}
	ret = v->real ? dev_real_run(v, thread) : run_soft(v, thread);
	if (v->has_sigset)
		swap_mask(&old, NULL);
	return ret;
}

long dev_vcpu_run(struct dev_object *obj, u64 arg, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	struct dev_thread *thread;
	long ret;

	if (obj->kind != DEV_VCPU)
		return -ESTALE;
	if (v->vm->mm != dev_mm())
		return core_refuse(err, RULE_OWNER, 0, "address space", dev_mm(), v->vm->mm);
	thread = dev_thread_enter();
	if (!thread)
		return -ENOMEM;
	rt_lock(&v->mutex);
	if (v->closed) {
		ret = -ESTALE;
	} else if (arg) {
		ret = core_refuse(err, RULE_ARGUMENT_ZERO, 0, "argument", arg, 0);
	} else {
		if (v->thread != thread) {
			v->thread = thread;
			v->tid = (s32)rt_gettid();
		}
		thread->vcpu = v;
		ret = run(v, thread);
		thread->vcpu = NULL;
	}
	rt_unlock(&v->mutex);
	dev_thread_leave(thread);
	return ret;
}

/* ---- the overlay's signal entry ---- */

bool dev_vcpu_defers(const struct dev_fault_context *context)
{
	struct dev_thread *thread = dev_thread_here();
	struct dev_vcpu *v;

	if (!thread)
		return false;
	thread->deferred = true;
	v = thread->vcpu;
	if (v) {
		/* A halt restarted by SA_RESTART finds its word changed. */
		atomic_fetch_add(&v->wake, 1);
		cpu_kick(v->cpu, CPU_STOP);
		if (v->real)
			v->real->run->immediate_exit = 1;
	}
	dev_stuck_signal(thread, context);
	return true;
}

bool dev_vcpu_fault(u64 addr, bool poison, const struct dev_fault_context *context)
{
	const struct cpu_context c = { context->rip, context->rsp, context->rdi, context->rsi, context->eflags };
	struct dev_thread *thread = dev_thread_here();
	struct dev_vcpu *v = thread ? thread->vcpu : NULL;

	if (!v || !v->in_cpu || v->in_map)
		return false;
	v->fault_poison = poison;
	return cpu_host_fault(v->cpu, addr, &c);
}

bool dev_vcpu_aborts(u64 pc, const struct dev_fault_context *context)
{
	const struct cpu_context c = { context->rip, context->rsp, context->rdi, context->rsi, context->eflags };
	struct dev_thread *thread = dev_thread_here();
	struct dev_vcpu *v = thread ? thread->vcpu : NULL;

	if (!v || !v->in_cpu || v->in_map || *context->rip != pc)
		return false;
	v->aborted = cpu_host_fault(v->cpu, v->cpu->touched_host, &c);
	return v->aborted;
}
