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
 *  4. A signal that was sent and arrives inside a guard (overlay/init.c), which has to
 *     leave both unblocked, is put off to the guard's end: there the program's own
 *     mask decides.
 *
 * Not the same as without gmem: a sent SIGSEGV or SIGBUS that the program ignores
 * interrupts a sleeping system call, and under engine "eg" a thread that blocks
 * SIGSEGV and touches a private page between shared ones dies by that.
 */
#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/ucontext.h>
#include <linux/elf.h>

#include "device/vcpu.h"
#include "host/peer.h"
#include "overlay/signal.h"
#include "rt/lock.h"
#include "rt/string.h"
#include "rt/user.h"

#define UNMASKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
/* What the kernel keeps of an action's flags. */
#define SA_EXPOSE_TAGBITS_ 0x800U
#define KNOWN_FLAGS                                                                                                    \
	((u64)(u32)(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND |      \
		    SA_RESTORER | SA_EXPOSE_TAGBITS_))

static struct rt_lock action_lock = RT_LOCK_INIT;
#define SIGNALS 65
static struct ov_action virtual_actions[SIGNALS]; /* what the program believes */
/* Our entry stands for these always, for others while the program has a handler. */
static const int our_signals[3] = { SIGSEGV, SIGBUS, HOST_PEER_SIGNAL };

static struct ov_action *virtual_of(int signo)
{
	return &virtual_actions[signo];
}

/* Signals that the program leaves to the default and KVM_RUN unblocks: see take_signals(). */
static _Atomic u64 taken;

static bool always_ours(int signo)
{
	return signo == SIGSEGV || signo == SIGBUS || signo == HOST_PEER_SIGNAL;
}

/* The C library's own two, and what cannot be caught, are left alone. */
bool ov_signal_ours(int signo)
{
	return ov_config.active && signo > 0 && signo < SIGNALS && signo != SIGKILL && signo != SIGSTOP && signo != 32 &&
	       signo != 33;
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
	/* Nothing for the program: the return is ours, too, whatever its seccomp filter says. */
	"1:	add $8, %rsp\n"
	"	mov $15, %rax\n"
	"	jmp *rt_syscall_gate(%rip)\n"
	"	nop\n"
	".globl ov_signal_restorer\n"
	".hidden ov_signal_restorer\n"
	"ov_signal_restorer:\n"
	"	mov $15, %rax\n"
	"	syscall\n");

static long set_kernel_action(int signo, const struct ov_action *act, struct ov_action *old)
{
	return rt_syscall_raw(__NR_rt_sigaction, signo, (long)act, (long)old, 8, 0, 0);
}

/* Register our entry the way the program registered its handler. */
static long install(int signo)
{
	const struct ov_action *v = virtual_of(signo);
	bool has_handler = v->handler != SIG_DFL_ && v->handler != SIG_IGN_;
	struct ov_action act = { .handler = (u64)(uintptr_t)ov_signal_entry,
				     .flags = (has_handler ? v->flags & ~(u64)SA_RESETHAND : SA_ONSTACK | SA_RESTART) |
					      SA_SIGINFO | SA_RESTORER,
				     .restorer = (u64)(uintptr_t)ov_signal_restorer,
				     .mask = has_handler ? v->mask : 0 };

	return set_kernel_action(signo, has_handler || always_ours(signo) || (taken & SIGBIT(signo)) ? &act : v, NULL);
}

static void set_default(int signo)
{
	struct ov_action act = { .handler = SIG_DFL_ };

	set_kernel_action(signo, &act, NULL);
}

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

/* Our own code, as the program headers tell: a linker's symbol for its end would be exported. */
static u64 code_start, code_end;

static void find_code(void)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)__ehdr_start;
	const Elf64_Phdr *phdr = (const Elf64_Phdr *)(const void *)(__ehdr_start + header->e_phoff);

	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (phdr[i].p_type != PT_LOAD || !(phdr[i].p_flags & PF_X))
			continue;
		code_start = (u64)(uintptr_t)__ehdr_start + phdr[i].p_vaddr;
		code_end = code_start + phdr[i].p_memsz;
	}
}

void ov_signal_init(void)
{
	find_code();
	for (int signo = 1; signo < SIGNALS; signo++) {
		if (ov_signal_ours(signo))
			set_kernel_action(signo, NULL, virtual_of(signo));
	}
	for (size_t i = 0; i < RT_ARRAY_SIZE(our_signals); i++)
		install(our_signals[i]);
}

void ov_signal_before_exec(void)
{
	struct ov_action act = { .handler = SIG_IGN_ };

	for (size_t i = 0; ov_config.active && i < RT_ARRAY_SIZE(our_signals); i++) {
		if (virtual_of(our_signals[i])->handler == SIG_IGN_)
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
	struct ov_action *v = virtual_of(signo);
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

/*
 * By the table of those that put signals off; or by the mask, in which only a guard has the C
 * library's own signals 32 and 33, and the instruction, which may be the entry above when
 * both signals came at once.
 */
static bool in_guard(const struct ucontext *uc)
{
	u64 rip = uc->uc_mcontext.rip, guard = OV_GUARD_MASK & ~UNMASKABLE;

	if (ov_critical_here())
		return true;
	return (uc->uc_sigmask & guard) == guard && rip >= code_start && rip < code_end;
}

/*
 * Signals that were put off, until the guard of that thread ends.  Entries are claimed by tid;
 * the last ones stand for signals that had to be blocked when the others were all in use.
 */
#define STASH_SIZE     320
#define STASH_BLOCKING 256
static struct {
	_Atomic u32 tid; /* 0: free */
	_Atomic bool ready;
	u64 blocked; /* signals to be unblocked, when there is no info */
	siginfo_t info;
} stash[STASH_SIZE];
static _Atomic u32 stash_used;

static int stash_claim(u32 tid, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		u32 unused = 0;

		if (__atomic_compare_exchange_n((u32 *)(uintptr_t)&stash[i].tid, &unused, tid, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return (int)i;
	}
	return -1;
}

/* A standard signal that is pending already is not queued again. */
static bool stashed(u32 tid, int signo)
{
	for (unsigned i = 0; stash_used && signo < 32 && i < STASH_BLOCKING; i++) {
		if (stash[i].tid == tid && stash[i].ready && stash[i].info.si_signo == signo)
			return true;
	}
	return false;
}

static void put_off(int signo, const siginfo_t *info, struct ucontext *uc)
{
	u32 tid = (u32)rt_gettid();
	int i;

	if (stashed(tid, signo))
		return;
	i = stash_claim(tid, 0, STASH_BLOCKING);
	if (i >= 0) {
		stash[i].blocked = 0;
		stash[i].info = *info;
	} else {
		/* Blocked, it waits as well; but a bad pointer that the guard meets would kill. */
		uc->uc_sigmask |= SIGBIT(signo);
		queue_to_self(signo, (siginfo_t *)(uintptr_t)info);
		i = stash_claim(tid, STASH_BLOCKING, STASH_SIZE);
		if (i < 0)
			return;
		stash[i].blocked = SIGBIT(signo);
	}
	stash[i].ready = true;
	stash_used++;
}

/* Of the kernel, for this thread; by it, since the default is not taken at an instruction that faults again. */
static void send_memory_error(siginfo_t *info)
{
	if (virtual_of(SIGBUS)->handler == SIG_DFL_)
		set_default(SIGBUS);
	queue_to_self(SIGBUS, info);
}

/* The mask is the program's again.  What came to the process goes to the process: a thread may be waiting for it. */
static void send_again(siginfo_t *info)
{
	if (info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AR)
		send_memory_error(info);
	else if (info->si_code == SI_TKILL)
		queue_to_self(info->si_signo, info);
	else
		rt_syscall_raw(__NR_rt_sigqueueinfo, rt_getpid(), info->si_signo, (long)info, 0, 0, 0);
}

/* In KVM_RUN, which ends in ov_signal_guard_left(). */
void ov_signal_memory_error(u64 hva)
{
	int i = stash_claim((u32)rt_gettid(), 0, STASH_BLOCKING);

	if (i < 0)
		return;
	memset(&stash[i].info, 0, sizeof(stash[i].info));
	stash[i].blocked = 0;
	stash[i].info.si_signo = SIGBUS;
	stash[i].info.si_code = BUS_MCEERR_AR;
	stash[i].info.si_addr = (void *)(uintptr_t)hva;
	stash[i].info.si_addr_lsb = RT_PAGE_SHIFT;
	stash[i].ready = true;
	stash_used++;
}

void ov_signal_guard_left(void)
{
	u32 tid;

	if (!stash_used)
		return;
	tid = (u32)rt_gettid();
	for (unsigned i = 0; i < STASH_SIZE; i++) {
		siginfo_t info;
		u64 blocked;

		if (stash[i].tid != tid || !stash[i].ready)
			continue;
		info = stash[i].info;
		blocked = stash[i].blocked;
		stash[i].ready = false;
		stash[i].tid = 0;
		stash_used--;
		if (blocked)
			rt_syscall_raw(__NR_rt_sigprocmask, SIG_UNBLOCK, (long)&blocked, 0, sizeof(blocked), 0, 0);
		else
			send_again(&info);
	}
}

/* The parent's signals are not the child's. */
void ov_signal_forked(void)
{
	action_lock = (struct rt_lock)RT_LOCK_INIT;
	memset(stash, 0, sizeof(stash));
	stash_used = 0;
	ov_critical_forked();
}

static bool ignored(int signo)
{
	u64 handler = virtual_of(signo)->handler;

	return handler == SIG_IGN_ || (handler == SIG_DFL_ && (signo == HOST_PEER_SIGNAL || signo == SIGCHLD));
}

static void context_of(struct ucontext *uc, struct dev_fault_context *ret)
{
	struct sigcontext *c = &uc->uc_mcontext;

	*ret = (struct dev_fault_context){ (u64 *)&c->rip, (u64 *)&c->rsp, (u64 *)&c->rdi, (u64 *)&c->rsi,
					   (u64 *)&c->eflags, (const u64 *)&c->r8 };
}

/* Sent by kill(2) and the like. */
static u64 deliver_sent(int signo, siginfo_t *info, struct ucontext *uc)
{
	struct dev_fault_context context;
	u64 handler;

	context_of(uc, &context);
	if (!ignored(signo) && dev_vcpu_defers(&context)) {
		put_off(signo, info, uc);
		return 0;
	}
	if (in_guard(uc)) {
		put_off(signo, info, uc);
		return 0;
	}
	handler = handler_of(signo);
	if (handler || virtual_of(signo)->handler == SIG_IGN_ || signo == HOST_PEER_SIGNAL || signo == SIGCHLD)
		return handler;
	set_default(signo);
	queue_to_self(signo, info);
	return 0;
}

static void report_touch(const struct host_fault *fault, u64 addr, const struct ucontext *uc)
{
	ov_report_touch(fault, (const void *)(uintptr_t)addr, uc->uc_mcontext.rip, uc->uc_mcontext.err & 2);
}

/*
 * The engine's signal is not the kernel's: queue that one and return, so that it
 * arrives on a frame of its own with the context of the touch.  It is blocked
 * until then, since it must not nest in this handler.
 */
static u64 deliver_requeued(struct ucontext *uc, int signo, int code, u64 addr, const struct host_fault *fault)
{
	const u64 bit = SIGBIT(signo);
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = signo;
	info.si_code = code;
	info.si_addr = (void *)(uintptr_t)addr;
	if (signo == SIGBUS && code == BUS_MCEERR_AR)
		info.si_addr_lsb = RT_PAGE_SHIFT;
	/* force_sig(): a blocked or ignored fault kills. */
	if ((uc->uc_sigmask & bit) || virtual_of(signo)->handler <= SIG_IGN_) {
		report_touch(fault, addr, uc);
		set_default(signo);
		uc->uc_sigmask &= ~bit;
	}
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_BLOCK, (long)&bit, 0, sizeof(bit), 0, 0);
	queue_to_self(signo, &info);
	return 0;
}

/* An emulated memory error: as the kernel reports one that the touching thread has consumed. */
static u64 deliver_poison(int signo, siginfo_t *info, struct ucontext *uc, const struct host_fault *fault)
{
	if (signo == SIGSEGV)
		return deliver_requeued(uc, SIGBUS, BUS_MCEERR_AR, (u64)(uintptr_t)info->si_addr, fault);
	info->si_code = BUS_MCEERR_AR;
	info->si_addr_lsb = RT_PAGE_SHIFT;
	return deliver_fault(SIGBUS);
}

/* A guard page of the program's own, where the engine denies everything. */
static u64 deliver_guard(int signo, siginfo_t *info, struct ucontext *uc, const struct host_fault *fault)
{
	if (signo == SIGBUS)
		return deliver_requeued(uc, SIGSEGV, SEGV_MAPERR, (u64)(uintptr_t)info->si_addr, fault);
	info->si_code = SEGV_MAPERR;
	return deliver_fault(SIGSEGV);
}

static u64 deliver_private(int signo, siginfo_t *info, struct ucontext *uc, const struct host_fault *fault)
{
	u64 addr = (u64)(uintptr_t)info->si_addr;

	/* It comes here again as SIGBUS, and is reported then. */
	if (signo == SIGSEGV)
		return deliver_requeued(uc, SIGBUS, BUS_ADRERR, addr, fault);
	report_touch(fault, addr, uc);
	info->si_code = BUS_ADRERR;
	return deliver_fault(SIGBUS);
}

/* No handler of the program may run on top of what host_fault() holds, not even for a sent SIGBUS. */
static void classify(int signo, const siginfo_t *info, struct host_fault *ret)
{
	const u64 all = ~0ULL;
	u64 mask;

	ret->kind = HOST_FAULT_FOREIGN;
	if (!host_view_overlaps(info->si_addr, 1))
		return;
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, sizeof(mask), 0, 0);
	host_fault(signo, info->si_code, info->si_addr, ret);
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0, 0);
}

/* A vCPU touched what cannot be touched: KVM_RUN ends with an error instead. */
static bool guest_fault(int signo, const siginfo_t *info, struct ucontext *uc, const struct host_fault *fault)
{
	struct dev_fault_context context;
	bool poison = fault->kind == HOST_FAULT_POISON || (signo == SIGBUS && info->si_code == BUS_MCEERR_AR);

	context_of(uc, &context);
	return dev_vcpu_fault((u64)(uintptr_t)info->si_addr, poison, &context);
}

/* Returns the handler that the entry jumps to, or 0 to return from the signal. */
u64 ov_signal_decide(int signo, siginfo_t *info, struct ucontext *uc)
{
	struct dev_fault_context context;
	struct host_fault fault;
	struct ov_guard guard;

	if (signo == HOST_PEER_SIGNAL && info->si_code == HOST_PEER_CODE && !in_guard(uc)) {
		ov_enter(&guard);
		dev_peers_called();
		ov_leave(&guard);
		return 0;
	}
	if (signo == DEV_VCPU_SIGNAL && info->si_code == DEV_VCPU_CODE) {
		context_of(uc, &context);
		dev_vcpu_aborts((u64)(uintptr_t)info->si_ptr, &context);
		return 0;
	}
	if (signo == DEV_VCPU_SIGNAL && info->si_code == SI_TIMER) {
		context_of(uc, &context);
		if (dev_vcpu_tick(info->si_ptr, &context))
			return 0;
	}
	if (info->si_code <= 0 || (signo != SIGSEGV && signo != SIGBUS))
		return deliver_sent(signo, info, uc);
	if (dev_fork_pending()) {
		ov_enter(&guard);
		ov_leave(&guard);
		return 0;
	}
	classify(signo, info, &fault);
	if (fault.kind == HOST_FAULT_RETRY)
		return 0;
	if (rt_user_fixup((u64 *)&uc->uc_mcontext.rip))
		return 0;
	if (guest_fault(signo, info, uc, &fault))
		return 0;
	if (fault.kind == HOST_FAULT_BUS)
		return deliver_private(signo, info, uc, &fault);
	if (fault.kind == HOST_FAULT_POISON)
		return deliver_poison(signo, info, uc, &fault);
	if (fault.kind == HOST_FAULT_GUARD)
		return deliver_guard(signo, info, uc, &fault);
	return deliver_fault(signo);
}

/*
 * KVM_SET_SIGNAL_MASK unblocks these within KVM_RUN only.  The kernel's KVM_RUN ends
 * before their action is taken, whatever that is; so the entry has to stand for them even
 * where the program has no handler, from now on.
 */
void ov_signal_take(u64 mask)
{
	for (int signo = 1; (mask & ~taken) && signo < SIGNALS; signo++) {
		if (!(mask & ~taken & SIGBIT(signo)))
			continue;
		taken |= SIGBIT(signo);
		if (ov_signal_ours(signo) && virtual_of(signo)->handler == SIG_DFL_)
			install(signo);
	}
}

/* Swap the program's view of an action; what the kernel would refuse is refused by asking it. */
long ov_signal_change(int signo, const struct ov_action *act, struct ov_action *old)
{
	struct ov_guard guard;
	long ret = 0;

	ov_enter(&guard);
	rt_lock(&action_lock);
	*old = *virtual_of(signo);
	if (act) {
		*virtual_of(signo) = *act;
		virtual_of(signo)->flags = (act->flags & KNOWN_FLAGS) | SA_RESTORER;
		virtual_of(signo)->restorer = (u64)(uintptr_t)ov_signal_restorer;
		virtual_of(signo)->mask &= ~UNMASKABLE;
		ov_critical_mask(act->handler > SIG_IGN_ ? act->mask : 0);
		ret = install(signo);
	}
	rt_unlock(&action_lock);
	ov_leave(&guard);
	return ret;
}
