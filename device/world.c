// SPDX-License-Identifier: MIT
/*
 * device/world.c - stopping the vCPUs of a VM
 *
 * What needs it: slots, bindings, attributes, logging of dirty pages, devices' zones.
 * What does not: whatever changes the memory behind an address.  Guest accesses go through
 * the host's own page tables, so that a hole punched in a file, munmap(2),
 * mprotect(2) or a mapping over a slot's memory are seen by the next access
 * without our doing; nor do conversions in place, which change no page's place.
 *
 *   stopper                              vCPU
 *   stopping = 1                         clear CPU_STOP
 *   in the guest?  set CPU_STOP          in_guest = 1
 *   wait until it is not                 stopping?  leave, wait, again
 *
 * Either the vCPU sees `stopping` or the stopper sees in_guest after CPU_STOP was cleared.
 * A vCPU may sleep in a page fault of the host (userfaultfd).  /proc tells that, and
 * at which instruction; a signal then makes the access end as one that failed, if the thread
 * still stands there (dev_vcpu_aborts()), and it is made anew when the vCPUs go on.  A thread that is
 * merely late is waited for.
 */
#include <stdatomic.h>
#include <asm/siginfo.h>
#include <linux/fcntl.h>

#include "device/internal.h"
#include "device/real.h"
#include "device/world.h"
#include "rt/format.h"
#include "rt/string.h"
#include "rt/syscall.h"

/* Values of in_guest. */
enum { OUTSIDE, INSIDE, AWAITED };

#define PATIENCE_NS 1000000ULL

/* Where the thread sleeps outside of any system call: "-1 0xSP 0xPC"; 0 when it does not. */
static u64 sleeps_at(s32 tid)
{
	char path[48], text[64];
	long fd, n, at = 3;
	u64 pc;

	rt_format(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = rt_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (rt_is_err(fd))
		return 0;
	n = rt_syscall(__NR_read, fd, text, sizeof(text) - 1);
	rt_close((int)fd);
	if (n < 4 || text[0] != '-' || text[1] != '1')
		return 0;
	text[n - 1] = '\0';
	while (text[at] && text[at] != ' ')
		at++;
	return text[at] && rt_parse_u64(text + at + 1, &pc) ? pc : 0;
}

static void ask_thread(struct dev_vcpu *v)
{
	u64 pc = sleeps_at(v->tid);
	siginfo_t info;

	if (!pc)
		return;
	memset(&info, 0, sizeof(info));
	info.si_signo = DEV_VCPU_SIGNAL;
	info.si_code = DEV_VCPU_CODE;
	info.si_ptr = (void *)(uintptr_t)pc;
	rt_syscall_raw(__NR_rt_tgsigqueueinfo, rt_getpid(), v->tid, DEV_VCPU_SIGNAL, (long)&info, 0, 0);
}

static void wait_outside(struct dev_vcpu *v)
{
	u32 inside = INSIDE;

	atomic_compare_exchange_strong(&v->in_guest, &inside, AWAITED);
	while (v->in_guest != OUTSIDE) {
		if (rt_futex_wait(&v->in_guest, AWAITED, PATIENCE_NS, false) != -ETIMEDOUT)
			continue;
		ask_thread(v);
		dev_real_kick(v);
	}
}

void world_stop(struct dev_vm *vm)
{
	atomic_store(&vm->stopping, 1);
	for (struct dev_vcpu *v = vm->vcpus; v; v = v->next) {
		if (v->in_guest) {
			cpu_kick(v->cpu, CPU_STOP);
			dev_real_kick(v);
		}
	}
	for (struct dev_vcpu *v = vm->vcpus; v; v = v->next) {
		if (v->in_guest)
			wait_outside(v);
	}
}

void world_resume(struct dev_vm *vm, bool changed)
{
	if (changed) {
		vm->changes++;
		dev_stats_count(&vm->stats, DEV_STAT_VM_remote_tlb_flush);
	}
	atomic_store(&vm->stopping, 0);
	if (vm->vcpus)
		rt_futex_wake(&vm->stopping, 0x7fffffff, false);
}

void world_leave(struct dev_vcpu *v)
{
	if (atomic_exchange(&v->in_guest, OUTSIDE) == AWAITED)
		rt_futex_wake(&v->in_guest, 1, false);
}

static void come_in(struct dev_vcpu *v)
{
	for (;;) {
		atomic_store(&v->in_guest, INSIDE);
		if (!atomic_load(&v->vm->stopping))
			return;
		world_leave(v);
		rt_futex_wait(&v->vm->stopping, 1, 0, false);
	}
}

void world_enter(struct dev_vcpu *v)
{
	cpu_unkick(v->cpu, CPU_STOP);
	come_in(v);
	if (v->seen_changes != v->vm->changes) {
		v->seen_changes = v->vm->changes;
		cpu_flush_memory(v->cpu);
	}
}
