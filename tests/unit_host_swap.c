// SPDX-License-Identifier: MIT
/*
 * tests/unit_host_swap.c - engine dp notices swap that is turned on later (host/engine_dp.c, DP-4)
 *
 * A seccomp filter traps sysinfo(2), and the handler says how much swap there is.  Whether a page was
 * tried without a zap shows in what the file remembers of a vain attempt.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <ucontext.h>

#include "tests/unit_host.h"

static volatile unsigned long swap;
static volatile sig_atomic_t asked;

static void answer(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct sysinfo *ret = (struct sysinfo *)(uintptr_t)regs[REG_RDI];

	(void)sig;
	(void)info;
	memset(ret, 0, sizeof(*ret));
	ret->totalswap = swap;
	ret->mem_unit = 1;
	regs[REG_RAX] = 0;
	asked++;
}

static bool trap_sysinfo(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sysinfo, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, filter };
	struct sigaction sa = { .sa_sigaction = answer, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &sa, NULL);
	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* More than the longest tick of the coarse clock. */
static void tick(void)
{
	struct timespec nap = { .tv_nsec = 30000000 };

	nanosleep(&nap, NULL);
}

/* Convert a page that is there; whether it was tried without a zap. */
static bool tried_at_once(const char *when)
{
	struct host_file file;
	bool vain;
	char *p;

	file_new(&file, 16 * PAGE, false);
	p = map(&file, 16 * PAGE, 0);
	store(p + PAGE, 1);
	store(p + 2 * PAGE, 1);
	tick();
	is(convert(&file, 1, 1, true), 0, "%s: a page to private", when);
	vain = file.entries_met != 0;
	is(load(p + PAGE), SIGBUS, "%s: it is refused", when);
	is(load(p + 2 * PAGE), 0, "%s: the page beside it is not", when);
	host_munmap(p, 16 * PAGE);
	host_file_fini(&file);
	return vain;
}

int main(void)
{
	unsigned before;

	handlers_install();
	if (!host_engine_runs("dp"))
		skip_all("engine dp cannot run here");
	if (!trap_sysinfo())
		skip_all("no seccomp filter can be installed");
	is(host_init("dp"), 0, "init");
	ok(tried_at_once("without swap"), "without swap a page is tried at once");
	ok(asked > 0, "which is asked");
	swap = 1 << 20;
	ok(!tried_at_once("with swap"), "once there is swap it is zapped first");
	swap = 0;
	before = (unsigned)asked;
	ok(tried_at_once("without swap again"), "and tried again when it has gone");
	ok((unsigned)asked > before, "it is asked again");
	return done_testing();
}
