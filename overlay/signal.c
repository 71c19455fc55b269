// SPDX-License-Identifier: MIT
/*
 * overlay/signal.c - SIGSEGV and SIGBUS between the kernel and the program
 *
 * (And SIGURG, by which another process asks for help with a shared file, host/peer.h.)
 * The kernel's action for these signals is ours; what the program sets and
 * reads is kept beside it.  Ours is registered with the program's own flags
 * and mask, so the frame that the kernel builds is the one that the program's
 * handler would have got, and our entry ends in a jump to that handler:
 * stack, mask, context and return address are the kernel's.
 *
 * Invariants:
 *  1. A fault outside views and outside our copies reaches the program with
 *     nothing changed.
 *  2. A touch of a private page, or one beyond the end, reaches it as SIGBUS,
 *     BUS_ADRERR, with the true address, whatever signal the engine produced.
 *  3. The default action is taken by the kernel, at the faulting instruction.
 */
#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/ucontext.h>

#include "host/peer.h"
#include "overlay/overlay.h"
#include "rt/lock.h"
#include "rt/string.h"
#include "rt/user.h"

#define SIG_DFL_ 0UL
#define SIG_IGN_ 1UL
#define SIGBIT(signo) (1ULL << ((signo)-1))

struct kernel_action {
	u64 handler, flags, restorer, mask;
};

/* struct sigaction of glibc and musl on x86-64. */
struct libc_action {
	u64 handler;
	u64 mask[16];
	s32 flags;
	u64 restorer;
};

static struct rt_lock action_lock = RT_LOCK_INIT;
static struct kernel_action virtual_actions[3]; /* what the program believes: SIGSEGV, SIGBUS, SIGURG */
static const int our_signals[3] = { SIGSEGV, SIGBUS, HOST_PEER_SIGNAL };

static struct kernel_action *virtual_of(int signo)
{
	return &virtual_actions[signo == SIGBUS ? 1 : signo == HOST_PEER_SIGNAL ? 2 : 0];
}

static bool ours(int signo)
{
	return ov_config.active && (signo == SIGSEGV || signo == SIGBUS || signo == HOST_PEER_SIGNAL);
}

u64 ov_signal_decide(int signo, siginfo_t *info, struct ucontext *uc);
extern const char ov_signal_entry[] __attribute__((visibility("hidden")));
extern const char ov_signal_restorer[] __attribute__((visibility("hidden")));

/* The restorer's bytes are those that debuggers and unwinders know a signal frame by. */
__asm__(".text\n"
	".globl ov_signal_entry\n"
	".hidden ov_signal_entry\n"
	"ov_signal_entry:\n"
	"	push %rdi\n"
	"	push %rsi\n"
	"	push %rdx\n"
	"	call ov_signal_decide\n"
	"	pop %rdx\n"
	"	pop %rsi\n"
	"	pop %rdi\n"
	"	test %rax, %rax\n"
	"	jz 1f\n"
	"	jmp *%rax\n"
	"1:	ret\n"
	"	nop\n"
	".globl ov_signal_restorer\n"
	".hidden ov_signal_restorer\n"
	"ov_signal_restorer:\n"
	"	mov $15, %rax\n"
	"	syscall\n");

static long set_kernel_action(int signo, const struct kernel_action *act, struct kernel_action *old)
{
	return rt_syscall_raw(__NR_rt_sigaction, signo, (long)act, (long)old, 8, 0, 0);
}

/* Register our entry the way the program registered its handler. */
static long install(int signo)
{
	const struct kernel_action *v = virtual_of(signo);
	bool has_handler = v->handler != SIG_DFL_ && v->handler != SIG_IGN_;
	struct kernel_action act = { .handler = (u64)(uintptr_t)ov_signal_entry,
				     .flags = (has_handler ? v->flags & ~(u64)SA_RESETHAND : SA_ONSTACK | SA_RESTART) |
					      SA_SIGINFO | SA_RESTORER,
				     .restorer = (u64)(uintptr_t)ov_signal_restorer,
				     .mask = has_handler ? v->mask : 0 };

	return set_kernel_action(signo, &act, NULL);
}

static void set_default(int signo)
{
	struct kernel_action act = { .handler = SIG_DFL_ };

	set_kernel_action(signo, &act, NULL);
}

void ov_signal_init(void)
{
	for (size_t i = 0; i < RT_ARRAY_SIZE(our_signals); i++) {
		set_kernel_action(our_signals[i], NULL, &virtual_actions[i]);
		install(our_signals[i]);
	}
}

void ov_signal_before_exec(void)
{
	struct kernel_action act = { .handler = SIG_IGN_ };

	for (size_t i = 0; ov_config.active && i < RT_ARRAY_SIZE(our_signals); i++) {
		if (virtual_actions[i].handler == SIG_IGN_)
			set_kernel_action(our_signals[i], &act, NULL);
	}
}

void ov_signal_restore(void)
{
	for (size_t i = 0; ov_config.active && i < RT_ARRAY_SIZE(our_signals); i++)
		install(our_signals[i]);
}

static void queue_to_self(int signo, siginfo_t *info)
{
	rt_syscall_raw(__NR_rt_tgsigqueueinfo, rt_getpid(), rt_gettid(), signo, (long)info, 0, 0);
}

/* The program's handler, to be jumped to; 0 for none. */
static u64 handler_of(int signo)
{
	struct kernel_action *v = virtual_of(signo);
	u64 handler = v->handler;

	if (handler == SIG_DFL_ || handler == SIG_IGN_)
		return 0;
	if (v->flags & SA_RESETHAND) {
		v->handler = SIG_DFL_;
		install(signo);
	}
	return handler;
}

/* As the fault came: to the handler, else by the kernel's default action when the instruction runs again. */
static u64 deliver_fault(int signo)
{
	u64 handler = handler_of(signo);

	if (!handler)
		set_default(signo);
	return handler;
}

/* Sent by kill(2) and the like. */
static u64 deliver_sent(int signo, siginfo_t *info, struct ucontext *uc)
{
	u64 handler = handler_of(signo);

	if (handler || virtual_of(signo)->handler == SIG_IGN_ || signo == HOST_PEER_SIGNAL)
		return handler;
	set_default(signo);
	queue_to_self(signo, info);
	return 0;
}

/*
 * The engine's signal was SIGSEGV, the kernel's would be SIGBUS: queue that one
 * and return, so that it arrives on a frame of its own with the context of the
 * touch.  It is blocked until then, since it must not nest in this handler.
 */
static u64 deliver_requeued(struct ucontext *uc, u64 addr)
{
	const u64 bus = SIGBIT(SIGBUS);
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = SIGBUS;
	info.si_code = BUS_ADRERR;
	info.si_addr = (void *)(uintptr_t)addr;
	/* force_sig(): a blocked or ignored fault kills. */
	if ((uc->uc_sigmask & bus) || virtual_of(SIGBUS)->handler <= SIG_IGN_) {
		set_default(SIGBUS);
		uc->uc_sigmask &= ~bus;
	}
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_BLOCK, (long)&bus, 0, sizeof(bus), 0, 0);
	queue_to_self(SIGBUS, &info);
	return 0;
}

static u64 deliver_private(int signo, siginfo_t *info, struct ucontext *uc)
{
	if (signo == SIGSEGV)
		return deliver_requeued(uc, (u64)(uintptr_t)info->si_addr);
	info->si_code = BUS_ADRERR;
	return deliver_fault(SIGBUS);
}

/* Returns the handler that the entry jumps to, or 0 to return from the signal. */
u64 ov_signal_decide(int signo, siginfo_t *info, struct ucontext *uc)
{
	struct host_fault fault;
	struct ov_guard guard;

	if (signo == HOST_PEER_SIGNAL && info->si_code == HOST_PEER_CODE) {
		ov_enter(&guard);
		dev_peers_called();
		ov_leave(&guard);
		return 0;
	}
	if (info->si_code <= 0 || signo == HOST_PEER_SIGNAL)
		return deliver_sent(signo, info, uc);
	if (dev_fork_pending()) {
		ov_enter(&guard);
		ov_leave(&guard);
		return 0;
	}
	host_fault(signo, info->si_code, info->si_addr, &fault);
	if (fault.kind == HOST_FAULT_RETRY)
		return 0;
	if (rt_user_fixup((u64 *)&uc->uc_mcontext.rip))
		return 0;
	if (fault.kind == HOST_FAULT_BUS) {
		ov_report_touch(&fault, info->si_addr, uc->uc_mcontext.rip, uc->uc_mcontext.err & 2);
		return deliver_private(signo, info, uc);
	}
	return deliver_fault(signo);
}

/* Swap the program's view of an action; what the kernel would refuse is refused by asking it. */
static long change_action(int signo, const struct kernel_action *act, struct kernel_action *old)
{
	struct ov_guard guard;
	long ret = 0;

	ov_enter(&guard);
	rt_lock(&action_lock);
	*old = *virtual_of(signo);
	if (act) {
		*virtual_of(signo) = *act;
		ret = install(signo);
	}
	rt_unlock(&action_lock);
	ov_leave(&guard);
	return ret;
}

int ov_sigaction(int signo, const struct libc_action *act, struct libc_action *old)
{
	struct kernel_action want, had;
	struct libc_action copy;
	long ret;

	if (!ours(signo))
		return (int)ov_ret(ov_next_call(OV_NEXT_sigaction, __NR_rt_sigaction, signo, (long)act, (long)old, 8, 0, 0));
	if (act && rt_copy_in(&copy, (u64)(uintptr_t)act, sizeof(copy)) < 0)
		return (int)ov_ret(-EFAULT);
	if (act) {
		want.handler = copy.handler;
		want.flags = (u64)(s64)copy.flags;
		want.restorer = copy.restorer;
		want.mask = copy.mask[0];
	}
	ret = change_action(signo, act ? &want : NULL, &had);
	if (ret == 0 && old) {
		memset(&copy, 0, sizeof(copy));
		copy.handler = had.handler;
		copy.mask[0] = had.mask;
		copy.flags = (s32)had.flags;
		copy.restorer = had.restorer;
		ret = rt_copy_out((u64)(uintptr_t)old, &copy, sizeof(copy));
	}
	return (int)ov_ret(ret);
}

static u64 simple_signal(enum ov_next_id next, int signo, u64 handler, u64 flags)
{
	u64 (*function)(int, u64);
	struct kernel_action want = { .handler = handler, .flags = flags }, had;

	if (!ours(signo)) {
		function = (u64(*)(int, u64))ov_next_lookup(next);
		return function ? function(signo, handler) : (u64)ov_ret(-ENOSYS);
	}
	want.mask = flags & SA_NODEFER ? 0 : SIGBIT(signo);
	change_action(signo, &want, &had);
	return had.handler;
}

u64 ov_signal(int signo, u64 handler)
{
	return simple_signal(OV_NEXT_signal, signo, handler, SA_RESTART);
}

u64 ov_sysv_signal(int signo, u64 handler)
{
	return simple_signal(OV_NEXT_sysv_signal, signo, handler, SA_RESETHAND | SA_NODEFER);
}
