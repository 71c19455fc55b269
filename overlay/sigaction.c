// SPDX-License-Identifier: MIT
/*
 * overlay/sigaction.c - the calls by which the program sets actions of signals, and its mask
 *
 * They change and tell what signal.c keeps beside the kernel's actions.  Signals of which nothing
 * is kept go to the C library, or the kernel, as they came.
 */
#include "overlay/signal.h"
#include "rt/string.h"
#include "rt/user.h"

/* struct sigaction of glibc and musl on x86-64. */
struct libc_action {
	u64 handler;
	u64 mask[16];
	s32 flags;
	u64 restorer;
};

int ov_sigaction(int signo, const struct libc_action *act, struct libc_action *old)
{
	struct ov_action want, had;
	struct libc_action copy;
	long ret;

	if (!ov_signal_ours(signo))
		return (int)ov_ret(ov_next_call(OV_NEXT_sigaction, __NR_rt_sigaction, signo, (long)act, (long)old, 8, 0, 0));
	if (act && rt_copy_in(&copy, (u64)(uintptr_t)act, sizeof(copy)) < 0)
		return (int)ov_ret(-EFAULT);
	if (act) {
		want.handler = copy.handler;
		want.flags = (u32)copy.flags;
		want.restorer = copy.restorer;
		want.mask = copy.mask[0];
	}
	ret = ov_signal_change(signo, act ? &want : NULL, &had);
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
	struct ov_action want = { .handler = handler, .flags = flags }, had;

	if (!ov_signal_ours(signo)) {
		function = (u64(*)(int, u64))ov_next_lookup(next);
		return function ? function(signo, handler) : (u64)ov_ret(-ENOSYS);
	}
	if (handler == SIG_ERR_)
		return (u64)ov_ret(-EINVAL);
	want.mask = flags & SA_NODEFER ? 0 : SIGBIT(signo);
	ov_signal_change(signo, &want, &had);
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

long ov_rt_sigprocmask(int how, const u64 *set, u64 *old, size_t size);

/* 1 when the signal is blocked now, and then: unblock (how = SIG_UNBLOCK) or block it. */
static bool change_mask(int signo, int how)
{
	const u64 bit = SIGBIT(signo);
	u64 old = 0;

	ov_rt_sigprocmask(how, &bit, &old, sizeof(bit));
	return (old & bit) != 0;
}

u64 ov_sigset(int signo, u64 handler)
{
	u64 (*function)(int, u64) = (u64(*)(int, u64))ov_next_lookup(OV_NEXT_sigset);
	struct ov_action want = { .handler = handler }, had;

	if (!ov_signal_ours(signo) || handler == SIG_ERR_)
		return function ? function(signo, handler) : (u64)ov_ret(-ENOSYS);
	ov_signal_change(signo, handler == SIG_HOLD_ ? NULL : &want, &had);
	return change_mask(signo, handler == SIG_HOLD_ ? SIG_BLOCK : SIG_UNBLOCK) ? SIG_HOLD_ : had.handler;
}

int ov_sigignore(int signo)
{
	struct ov_action want = { .handler = SIG_IGN_ }, had;

	if (!ov_signal_ours(signo))
		return (int)ov_ret(ov_next_call(OV_NEXT_sigignore, __NR_rt_sigaction, signo, 0, 0, 0, 0, 0));
	return (int)ov_ret(ov_signal_change(signo, &want, &had));
}

int ov_siginterrupt(int signo, int interrupt)
{
	struct ov_action act, had;

	if (!ov_signal_ours(signo))
		return (int)ov_ret(ov_next_call(OV_NEXT_siginterrupt, __NR_rt_sigaction, signo, interrupt, 0, 0, 0, 0));
	ov_signal_change(signo, NULL, &act);
	act.flags = interrupt ? act.flags & ~(u64)SA_RESTART : act.flags | SA_RESTART;
	return (int)ov_ret(ov_signal_change(signo, &act, &had));
}

/* rt_sigaction(2) by number, with the kernel's structures: returns -errno. */
long ov_rt_sigaction(int signo, const void *act, void *old, size_t size)
{
	struct ov_action want, had;
	long ret;

	if (!ov_signal_ours(signo) || size != sizeof(u64))
		return ov_raw(__NR_rt_sigaction, signo, act, old, size);
	if (act && rt_copy_in(&want, (u64)(uintptr_t)act, sizeof(want)) < 0)
		return -EFAULT;
	ret = ov_signal_change(signo, act ? &want : NULL, &had);
	return ret == 0 && old ? rt_copy_out((u64)(uintptr_t)old, &had, sizeof(had)) : ret;
}

/* A mask that the program sets: only what it blocks matters here. */
static void note_mask(int how, const u64 *set)
{
	u64 mask;

	if (set && how != SIG_UNBLOCK && ov_config.active && rt_copy_in(&mask, (u64)(uintptr_t)set, sizeof(mask)) == 0)
		ov_critical_mask(mask);
}

int ov_sigprocmask(int how, const u64 *set, u64 *old)
{
	note_mask(how, set);
	return (int)ov_ret(ov_next_call(OV_NEXT_sigprocmask, __NR_rt_sigprocmask, how, (long)set, (long)old, sizeof(*set), 0,
					0));
}

/* Returns the error number. */
int ov_pthread_sigmask(int how, const u64 *set, u64 *old)
{
	int (*function)(int, const u64 *, u64 *) = (int (*)(int, const u64 *, u64 *))ov_next_lookup(OV_NEXT_pthread_sigmask);

	note_mask(how, set);
	return function ? function(how, set, old) : (int)-ov_raw(__NR_rt_sigprocmask, how, set, old, sizeof(*set));
}

long ov_rt_sigprocmask(int how, const u64 *set, u64 *old, size_t size)
{
	note_mask(how, set);
	return ov_raw(__NR_rt_sigprocmask, how, set, old, size);
}
