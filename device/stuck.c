// SPDX-License-Identifier: MIT
/*
 * device/stuck.c - a signal for a thread that may sleep in an access of guest memory
 *
 * Theory of operation.  A touch of a page that nobody has provided yet (userfaultfd) sleeps in the
 * host's page fault.  A signal interrupts that sleep: its handler runs, and behind it the touch would
 * sleep again.  The kernel's KVM_RUN and KVM_PRE_FAULT_MEMORY end by a signal instead.
 *  1. The handler gives up an access that it interrupts, as one that failed (cpu_host_fault()).  Whether the
 *     thread slept it does not know, nor does it matter: any touch of guest memory may fail, so that
 *     the state is right before each.
 *  2. A touch of guest memory is a host instruction with a memory operand in a page that the CPU has from
 *     its bus: the CPU keeps nothing of its own there.
 *  3. The signal may come a few instructions before the touch.  Therefore a timer asks again, until the
 *     thread has left KVM_RUN.
 */
#include <stdatomic.h>
#include <asm/siginfo.h>
#include <linux/time_types.h>

#include "device/internal.h"
#include "device/thread.h"
#include "rt/syscall.h"
#include "rt/user.h"

#define CLOCK_MONOTONIC_ 1
#define PERIOD_NS	 1000000

/* ---- memory operands of the interrupted instruction ---- */

struct insn {
	const u8 *at;
	u8 map, op;
	u8 x, b; /* bit 3 of register numbers */
	bool has_segment;
};

/* sigcontext: r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp. */
static u64 reg(const u64 *gregs, unsigned n)
{
	static const u8 place[8] = { 13, 14, 12, 11, 15, 10, 9, 8 };

	return gregs[n < 8 ? place[n] : n - 8];
}

static void prefixes(struct insn *in)
{
	for (;; in->at++) {
		switch (*in->at) {
		case 0x64:
		case 0x65:
			in->has_segment = true;
			break;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x66:
		case 0xf0:
		case 0xf2:
		case 0xf3:
			break;
		default:
			return;
		}
	}
}

static void vex(struct insn *in)
{
	bool longer = *in->at == 0xc4;
	u8 first = in->at[1];

	in->x = longer && !(first & 0x40) ? 8 : 0;
	in->b = longer && !(first & 0x20) ? 8 : 0;
	in->map = longer ? first & 0x1f : 1;
	in->at += longer ? 3 : 2;
	in->op = *in->at++;
}

static void opcode(struct insn *in)
{
	prefixes(in);
	if (*in->at == 0xc4 || *in->at == 0xc5) {
		vex(in);
		return;
	}
	if ((*in->at & 0xf0) == 0x40) {
		in->x = *in->at & 2 ? 8 : 0;
		in->b = *in->at & 1 ? 8 : 0;
		in->at++;
	}
	if (*in->at == 0x0f) {
		in->map = in->at[1] == 0x38 ? 2 : in->at[1] == 0x3a ? 3 : 1;
		in->at += in->map == 1 ? 1 : 2;
	}
	in->op = *in->at++;
}

/* Of the instructions that compilers make, those with a ModRM byte that stands for memory touched. */
static bool touches_by_modrm(const struct insn *in)
{
	u8 op = in->op;

	if (in->map == 1)
		return !(op < 0x10 || op == 0x18 || op == 0x1f || (op & 0xf8) == 0x30 || op == 0x77 ||
			 (op & 0xf0) == 0x80 || (op >= 0xa0 && op <= 0xa2) || (op >= 0xa8 && op <= 0xaa) ||
			 (op & 0xf8) == 0xc8);
	if (in->map)
		return in->map <= 3;
	if (op < 0x40)
		return (op & 7) < 4;
	return op == 0x63 || op == 0x69 || op == 0x6b || (op >= 0x80 && op <= 0x8b) || op == 0xc0 || op == 0xc1 ||
	       op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xd3) || (op >= 0xd8 && op <= 0xdf) || op == 0xf6 ||
	       op == 0xf7 || op == 0xfe || op == 0xff;
}

static s64 displacement(const u8 *at, unsigned size)
{
	if (size == 1)
		return (int8_t)at[0];
	return size ? (s32)((u32)at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24) : 0;
}

/* 0: a register, or data of our own beside the code. */
static u64 modrm_address(const struct insn *in, const u64 *gregs)
{
	u8 modrm = in->at[0], mod = modrm >> 6, rm = modrm & 7, sib = in->at[1];
	const u8 *at = in->at + (rm == 4 ? 2 : 1);
	unsigned base = (rm == 4 ? sib & 7 : rm), index = (sib >> 3 & 7) | in->x, size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	u64 addr = 0;

	if (mod == 3 || (mod == 0 && rm == 5))
		return 0;
	if (mod == 0 && base == 5)
		size = 4;
	else
		addr = reg(gregs, base | in->b);
	if (rm == 4 && index != 4)
		addr += reg(gregs, index) << (sib >> 6);
	return addr + (u64)displacement(at, size);
}

/* Up to two addresses; 0 for none. */
static void operands(u64 rip, const u64 *gregs, u64 ret[2])
{
	struct insn in = { .at = (const u8 *)(uintptr_t)rip };
	u64 rsi = reg(gregs, 6), rdi = reg(gregs, 7);

	ret[0] = ret[1] = 0;
	opcode(&in);
	if (in.has_segment)
		return;
	if (!in.map && (in.op & 0xfc) == 0xa4) { /* MOVS, CMPS */
		ret[0] = rsi;
		ret[1] = rdi;
	} else if (!in.map && (in.op == 0xaa || in.op == 0xab || in.op == 0xae || in.op == 0xaf)) { /* STOS, SCAS */
		ret[0] = rdi;
	} else if (!in.map && (in.op == 0xac || in.op == 0xad)) { /* LODS */
		ret[0] = rsi;
	} else if (touches_by_modrm(&in)) {
		ret[0] = modrm_address(&in, gregs);
	}
}

/* ---- giving up ---- */

static bool give_up(struct dev_thread *thread, const struct dev_fault_context *context)
{
	const struct cpu_context c = { context->rip, context->rsp, context->rdi, context->rsi, context->eflags };
	struct dev_vcpu *v = thread->vcpu;
	u64 at[2];

	if (thread->touching)
		return rt_user_fixup(context->rip);
	if (!v || v->thread != thread || !v->in_cpu || v->in_map || rt_user_copies(*context->rip))
		return false;
	operands(*context->rip, context->gregs, at);
	for (unsigned i = 0; i < RT_ARRAY_SIZE(at); i++) {
		/* Its end may lie in the next page. */
		if (at[i] && (cpu_host_fault(v->cpu, at[i], &c) || cpu_host_fault(v->cpu, at[i] + 15, &c))) {
			v->aborted = true;
			return true;
		}
	}
	return false;
}

/* Its address is what our timers carry. */
static const char cookie;

static void arm(struct dev_thread *thread)
{
	struct __kernel_itimerspec spec = { .it_interval = { .tv_nsec = PERIOD_NS }, .it_value = { .tv_nsec = PERIOD_NS } };
	struct sigevent event = { .sigev_value = { .sival_ptr = (void *)(uintptr_t)&cookie },
				  .sigev_signo = DEV_VCPU_SIGNAL,
				  .sigev_notify = SIGEV_THREAD_ID };
	s32 id;

	event.sigev_notify_thread_id = (s32)rt_gettid();
	if (thread->timer || rt_is_err(rt_syscall(__NR_timer_create, CLOCK_MONOTONIC_, &event, &id)))
		return;
	thread->timer = id + 1;
	rt_syscall_raw(__NR_timer_settime, id, 0, (long)&spec, 0, 0, 0);
}

void dev_stuck_leave(struct dev_thread *thread)
{
	s32 id = thread->timer - 1;

	thread->timer = 0;
	rt_syscall_raw(__NR_timer_delete, id, 0, 0, 0, 0, 0);
}

void dev_stuck_signal(struct dev_thread *thread, const struct dev_fault_context *context)
{
	struct dev_vcpu *v = thread->vcpu;

	if ((v && v->in_cpu) || thread->touching) {
		if (!give_up(thread, context))
			arm(thread);
	}
}

bool dev_vcpu_tick(const void *pointer, const struct dev_fault_context *context)
{
	struct dev_thread *thread = dev_thread_here();

	if (pointer != &cookie)
		return false;
	if (thread && thread->deferred)
		give_up(thread, context);
	return true;
}
