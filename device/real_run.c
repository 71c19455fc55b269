// SPDX-License-Identifier: MIT
/*
 * device/real_run.c - KVM_RUN on a vCPU of the real KVM
 *
 * The exits are the real KVM's and go to the program as they are, but for writes that
 * gmem gathers (device/coalesced.c) and for what KVM could not reach (device/real_fault.c).
 */
#include <stdatomic.h>
#include <asm/siginfo.h>

#include "device/internal.h"
#include "device/real.h"
#include "device/thread.h"
#include "device/world.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define GO_ON 1
/* What the program alone writes in kvm_run lies before this. */
#define OUTPUT offsetof(struct kvm_run, exit_reason)

static u8 *pio_data(struct kvm_run *run)
{
	return (u8 *)run + KVM_PIO_PAGE_OFFSET * RT_PAGE_SIZE;
}

static u32 pio_bytes(const struct kvm_run *run)
{
	return (u32)rt_min((u64)run->io.size * run->io.count, RT_PAGE_SIZE);
}

static void copy_in(struct dev_vcpu *v)
{
	struct dev_real_vcpu *real = v->real;

	memcpy(real->run, v->run, sizeof(*v->run));
	if (real->io_in)
		memcpy(pio_data(real->run), pio_data(v->run), real->io_in);
	real->io_in = 0;
}

static void copy_out(struct dev_vcpu *v, u64 dirty_regs)
{
	const struct kvm_run *real = v->real->run;
	struct kvm_run *run = v->run;

	memcpy((u8 *)run + OUTPUT, (const u8 *)real + OUTPUT, offsetof(struct kvm_run, kvm_valid_regs) - OUTPUT);
	if (real->kvm_dirty_regs != dirty_regs)
		run->kvm_dirty_regs = real->kvm_dirty_regs;
	if (real->kvm_valid_regs)
		memcpy(&run->s, &real->s, sizeof(run->s));
}

/* After an exit: the data of port I/O, and what the next KVM_RUN takes over. */
static void copy_io(struct dev_vcpu *v)
{
	struct kvm_run *real = v->real->run;

	if (real->exit_reason != KVM_EXIT_IO)
		return;
	if (real->io.direction == KVM_EXIT_IO_OUT)
		memcpy(pio_data(v->run), pio_data(real), pio_bytes(real));
	else
		v->real->io_in = pio_bytes(real);
}

/* In the guest's world: zones stand still. */
static bool gathered(struct dev_vcpu *v)
{
	const struct kvm_run *real = v->real->run;

	if (!v->vm->nr_zones)
		return false;
	if (real->exit_reason == KVM_EXIT_MMIO)
		return real->mmio.is_write && dev_coalesce(v, real->mmio.phys_addr, real->mmio.data, real->mmio.len, false);
	return real->exit_reason == KVM_EXIT_IO && real->io.direction == KVM_EXIT_IO_OUT && real->io.count == 1 &&
	       dev_coalesce(v, real->io.port, pio_data(v->real->run), real->io.size, true);
}

void dev_real_kick(struct dev_vcpu *v)
{
	siginfo_t info;

	if (!v->real)
		return;
	v->real->run->immediate_exit = 1;
	atomic_store(&v->real->kicking, 1);
	if (v->in_guest) {
		memset(&info, 0, sizeof(info));
		info.si_signo = DEV_VCPU_SIGNAL;
		info.si_code = DEV_VCPU_CODE;
		rt_syscall_raw(__NR_rt_tgsigqueueinfo, rt_getpid(), v->tid, DEV_VCPU_SIGNAL, (long)&info, 0, 0);
	}
	atomic_store(&v->real->kicking, 0);
}

/* REAL-4: a signal that is under way arrives here; any system call takes it. */
static void await_kick(struct dev_vcpu *v)
{
	if (!v->real->run->immediate_exit)
		return;
	do {
		rt_syscall_raw(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
	} while (atomic_load(&v->real->kicking));
	rt_syscall_raw(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
}

/* One KVM_RUN of the real vCPU; immediate: complete what is open, and no more. */
static long enter(struct dev_vcpu *v, struct dev_thread *thread, bool *immediate)
{
	long ret = dev_real_settle(v->vm);

	if (ret < 0)
		return ret;
	v->real->run->immediate_exit = *immediate;
	world_enter(v);
	if (!dev_real_settled(v->vm)) {
		ret = GO_ON;
	} else {
		if (thread->deferred)
			v->real->run->immediate_exit = 1;
		ret = rt_syscall_raw(__NR_ioctl, v->real->fd, KVM_RUN, 0, 0, 0, 0);
		if (ret == 0 && gathered(v))
			ret = GO_ON;
		*immediate = false;
	}
	world_leave(v);
	await_kick(v);
	return ret;
}

long dev_real_run(struct dev_vcpu *v, struct dev_thread *thread)
{
	bool at_once = v->run->immediate_exit, immediate = at_once;
	u32 reason = v->run->exit_reason;
	u64 dirty;
	long ret;

	copy_in(v);
	dirty = v->real->run->kvm_dirty_regs;
	for (;;) {
		ret = enter(v, thread, &immediate);
		if (ret == GO_ON)
			continue;
		if (ret == -EINTR && !at_once && !thread->deferred)
			continue; /* the world was stopped */
		copy_out(v, dirty);
		if (ret != -EFAULT)
			break;
		v->run->exit_reason = v->vm->core.sys->profile->exit_reason_preset ? KVM_EXIT_UNKNOWN : reason;
		ret = dev_real_fault(v);
		if (ret != GO_ON)
			break;
	}
	if (ret == -EINTR && !at_once)
		v->run->exit_reason = KVM_EXIT_INTR;
	if (ret != 0)
		return ret;
	copy_io(v);
	if (v->run->exit_reason == KVM_EXIT_HYPERCALL && v->vm->core.sys->profile->hypercall_ret_zeroed)
		v->run->hypercall.ret = 0;
	return 0;
}
