// SPDX-License-Identifier: MIT
/*
 * tests/run_signals.c - signals of a program that touches private pages
 *
 * Knows nothing of gmem: every point states what a kernel does, and holds on a
 * real one (Linux 6.18 or later, /dev/kvm) as well as under `gmem run`.
 *
 * Pages are tried in two surroundings, since engines treat them differently: in a file
 * that is private throughout and, where the kernel can convert in place,
 * between shared pages.
 */
#include <execinfo.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

#include "tests/run_kvm.h"
#include "tests/tap.h"

#define PAGES	    64
#define PRIVATE	    17 /* a page that must not be touched */
#define SA_RESTORER 0x04000000

static char *mem; /* PAGES pages; PRIVATE and more of them are private */
static char *private_page;
static const char *where;

static struct {
	volatile sig_atomic_t calls, signo, code, in_alt, alt_flag, pid, value, error;
	void *volatile addr;
	volatile uintptr_t rip;
	sigset_t inside, before;
} seen;
static sigjmp_buf back;
static char alt_stack[64 << 10];

static bool on_alt_stack(const void *ptr)
{
	return (const char *)ptr >= alt_stack && (const char *)ptr < alt_stack + sizeof(alt_stack);
}

static void look(int sig, siginfo_t *info, void *ctx)
{
	const ucontext_t *uc = ctx;
	stack_t stack;
	char here;

	seen.calls++;
	seen.signo = sig;
	seen.code = info->si_code;
	seen.addr = info->si_addr;
	seen.pid = info->si_code <= 0 ? info->si_pid : 0;
	seen.value = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
	seen.rip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	seen.error = (int)uc->uc_mcontext.gregs[REG_ERR];
	seen.before = uc->uc_sigmask;
	seen.in_alt = on_alt_stack(&here);
	sigaltstack(NULL, &stack);
	seen.alt_flag = stack.ss_flags;
	sigprocmask(SIG_SETMASK, NULL, &seen.inside);
}

static void look_and_jump(int sig, siginfo_t *info, void *ctx)
{
	look(sig, info, ctx);
	siglongjmp(back, 1);
}

static void jump(int sig)
{
	seen.signo = sig;
	seen.calls++;
	siglongjmp(back, 1);
}

static void count(int sig)
{
	seen.signo = sig;
	seen.calls++;
}

static void set(int sig, void (*handler)(int, siginfo_t *, void *), int flags, const sigset_t *mask)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	if (mask)
		sa.sa_mask = *mask;
	sigaction(sig, &sa, NULL);
}

static sigset_t mask_of(int sig)
{
	sigset_t mask;

	sigemptyset(&mask);
	if (sig)
		sigaddset(&mask, sig);
	return mask;
}

static bool same(const sigset_t *a, const sigset_t *b)
{
	for (int sig = 1; sig < 65; sig++) {
		if (sigismember(a, sig) != sigismember(b, sig))
			return false;
	}
	return true;
}

static sigset_t current_mask(void)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	return mask;
}

/* The one instruction that touches, and its surroundings: for the program counter and backtraces. */
__attribute__((noinline)) static void peek_at(volatile char *ptr)
{
	(void)*ptr;
	__asm__ volatile("");
}

__attribute__((noinline)) static void poke_at(volatile char *ptr)
{
	*ptr = 1;
	__asm__ volatile("");
}

__attribute__((noinline)) static void peek_from_here(volatile char *ptr)
{
	peek_at(ptr);
	__asm__ volatile("");
}

static bool within(uintptr_t pc, void (*function)(volatile char *))
{
	return pc >= (uintptr_t)function && pc < (uintptr_t)function + 64;
}

/* Whether the touch was interrupted by a signal whose handler jumped. */
static bool jumps(void (*touch_it)(volatile char *), volatile char *ptr)
{
	memset(&seen, 0, sizeof(seen));
	if (sigsetjmp(back, 1))
		return true;
	touch_it(ptr);
	return false;
}

/* Exit status of fn() in a child, or -signal. */
static int child(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fn();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("child");
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* --- faults ------------------------------------------------------------------ */

static void test_information(void)
{
	sigset_t usr1 = mask_of(SIGUSR1), none = mask_of(0), both = mask_of(SIGUSR1), wide = mask_of(SIGUSR2), after;

	set(SIGBUS, look_and_jump, 0, NULL);
	ok(jumps(peek_at, private_page + 123), "%s: a load reaches the SA_SIGINFO handler", where);
	is(seen.signo, SIGBUS, "%s: as SIGBUS", where);
	is(seen.code, BUS_ADRERR, "%s: with BUS_ADRERR", where);
	is((intptr_t)seen.addr, (intptr_t)(private_page + 123), "%s: with the exact address", where);
	ok(within(seen.rip, peek_at), "%s: at the instruction that touched", where);
	is(seen.error & 2, 0, "%s: the context says it was a load", where);
	is(seen.in_alt, 0, "%s: on the ordinary stack", where);
	ok(jumps(poke_at, private_page + 4095), "%s: a store reaches it, too", where);
	is((intptr_t)seen.addr, (intptr_t)(private_page + 4095), "%s: with the exact address", where);
	is(seen.error & 2, 2, "%s: the context says it was a store", where);
	ok(within(seen.rip, poke_at), "%s: at the instruction that touched", where);

	sigprocmask(SIG_SETMASK, &usr1, NULL);
	sigaddset(&both, SIGBUS);
	jumps(peek_at, private_page);
	ok(same(&seen.before, &usr1), "%s: the context has the mask of before", where);
	ok(same(&seen.inside, &both), "%s: inside, SIGBUS is blocked as well", where);
	after = current_mask();
	ok(same(&after, &usr1), "%s: siglongjmp restores the mask", where);

	set(SIGBUS, look_and_jump, 0, &wide);
	sigaddset(&wide, SIGBUS);
	sigaddset(&wide, SIGUSR1);
	jumps(peek_at, private_page);
	ok(same(&seen.inside, &wide), "%s: inside, sa_mask is blocked", where);
	set(SIGBUS, look_and_jump, SA_NODEFER, NULL);
	jumps(peek_at, private_page);
	ok(same(&seen.inside, &usr1), "%s: SA_NODEFER leaves SIGBUS unblocked", where);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void test_alternate_stack(void)
{
	stack_t stack = { .ss_sp = alt_stack, .ss_size = sizeof(alt_stack) }, none = { .ss_flags = SS_DISABLE }, now;

	sigaltstack(&stack, NULL);
	set(SIGBUS, look_and_jump, SA_ONSTACK, NULL);
	ok(jumps(peek_at, private_page) && seen.in_alt, "%s: SA_ONSTACK: the handler runs on the alternate stack", where);
	is(seen.alt_flag, SS_ONSTACK, "%s: which is in use then", where);
	sigaltstack(NULL, &now);
	is(now.ss_flags, 0, "%s: and free after siglongjmp", where);
	set(SIGBUS, look_and_jump, 0, NULL);
	ok(jumps(peek_at, private_page) && !seen.in_alt, "%s: without SA_ONSTACK it does not", where);
	sigaltstack(&none, NULL);
}

static void map_over(int sig, siginfo_t *info, void *ctx)
{
	look(sig, info, ctx);
	mmap((void *)((uintptr_t)info->si_addr & ~(PG - 1)), PG, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* A handler that returns: the instruction runs again and finds what the handler put there. */
static void test_return(char *page)
{
	sigset_t usr2 = mask_of(SIGUSR2), none = mask_of(0), after;

	sigprocmask(SIG_SETMASK, &usr2, NULL);
	set(SIGBUS, map_over, 0, NULL);
	ok(!jumps(poke_at, page), "%s: the handler returns, the store succeeds", where);
	is(seen.calls, 1, "%s: after one signal", where);
	is(*page, 1, "%s: and stored", where);
	after = current_mask();
	ok(same(&after, &usr2), "%s: the mask is the old one", where);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void test_signal_function(void)
{
	struct sigaction sa;

	signal(SIGBUS, SIG_DFL);
	ok(signal(SIGBUS, jump) == SIG_DFL, "%s: signal() tells the default", where);
	ok(jumps(peek_at, private_page) && seen.signo == SIGBUS, "%s: its handler is called", where);
	ok(jumps(peek_at, private_page), "%s: and stays", where);
	sigaction(SIGBUS, NULL, &sa);
	is(sa.sa_flags, SA_RESTART | SA_RESTORER, "%s: signal() means SA_RESTART", where);
	ok(sigismember(&sa.sa_mask, SIGUSR1) == 0, "%s: and blocks nothing else", where);
	ok(signal(SIGBUS, SIG_IGN) == jump, "%s: signal() tells the last handler", where);
	ok(signal(SIGBUS, SIG_DFL) == SIG_IGN, "%s: signal() tells SIG_IGN", where);
	errno = 0;
	ok(signal(SIGBUS, SIG_ERR) == SIG_ERR && errno == EINVAL, "%s: SIG_ERR is no handler", where);
	ok(signal(SIGBUS, SIG_DFL) == SIG_DFL, "%s: and changes nothing", where);
}

static void nested(int sig, siginfo_t *info, void *ctx)
{
	static sigjmp_buf inner;

	(void)info;
	(void)ctx;
	seen.calls++;
	if (seen.calls == 2)
		siglongjmp(inner, 1);
	if (!sigsetjmp(inner, 1))
		peek_at(private_page + 1);
	seen.signo = sig;
	siglongjmp(back, 1);
}

static void touch_twice_reset(void)
{
	set(SIGBUS, look_and_jump, SA_RESETHAND, NULL);
	if (!jumps(peek_at, private_page))
		_exit(1);
	peek_at(private_page);
	_exit(2);
}

static void test_flags(void)
{
	struct sigaction sa;

	set(SIGBUS, look_and_jump, SA_RESETHAND, NULL);
	ok(jumps(peek_at, private_page), "%s: SA_RESETHAND: called once", where);
	sigaction(SIGBUS, NULL, &sa);
	ok(sa.sa_handler == SIG_DFL, "%s: then it is the default", where);
	is(child(touch_twice_reset), -SIGBUS, "%s: the second touch kills", where);
	set(SIGBUS, nested, SA_NODEFER, NULL);
	ok(jumps(peek_at, private_page) && seen.calls == 2, "%s: SA_NODEFER: a touch inside the handler nests", where);
}

static void test_old_action(void)
{
	struct sigaction sa = { .sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER }, old, now;
	sigset_t full;

	signal(SIGBUS, SIG_DFL);
	sigfillset(&sa.sa_mask);
	is(sigaction(SIGBUS, &sa, &old), 0, "%s: sigaction()", where);
	ok(old.sa_handler == SIG_DFL, "%s: tells what was", where);
	sigaction(SIGBUS, NULL, &now);
	ok(now.sa_sigaction == look, "%s: the handler reads back", where);
	is(now.sa_flags, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER, "%s: the flags read back", where);
	full = sa.sa_mask;
	sigdelset(&full, SIGKILL);
	sigdelset(&full, SIGSTOP);
	ok(same(&now.sa_mask, &full), "%s: the mask reads back, but for SIGKILL and SIGSTOP", where);
	signal(SIGBUS, SIG_DFL);
}

static void touch_default(void)
{
	signal(SIGBUS, SIG_DFL);
	peek_at(private_page);
}

static void touch_ignored(void)
{
	signal(SIGBUS, SIG_IGN);
	peek_at(private_page);
}

static void touch_blocked(void)
{
	sigset_t bus = mask_of(SIGBUS);

	set(SIGBUS, look_and_jump, 0, NULL);
	sigprocmask(SIG_SETMASK, &bus, NULL);
	jumps(peek_at, private_page);
}

static void touch_in_handler(void)
{
	set(SIGBUS, (void (*)(int, siginfo_t *, void *))(uintptr_t)peek_at, 0, NULL);
	set(SIGBUS, nested, 0, NULL);
	jumps(peek_at, private_page);
}

static void test_deaths(void)
{
	is(child(touch_default), -SIGBUS, "%s: by default a touch kills by SIGBUS", where);
	is(child(touch_ignored), -SIGBUS, "%s: as it does when SIGBUS is ignored", where);
	is(child(touch_blocked), -SIGBUS, "%s: as it does when SIGBUS is blocked, in spite of a handler", where);
	is(child(touch_in_handler), -SIGBUS, "%s: as it does in the handler", where);
}

static void test_many(void)
{
	int n = 0;

	set(SIGBUS, look_and_jump, 0, NULL);
	for (int i = 0; i < 1000; i++)
		n += jumps(i & 1 ? peek_at : poke_at, private_page + i) && seen.addr == private_page + i;
	is(n, 1000, "%s: 1000 touches, 1000 jumps", where);
}

static void *frames[64];
static volatile int frame_count;

static void trace(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)info;
	(void)ctx;
	frame_count = backtrace(frames, 64);
	siglongjmp(back, 1);
}

static void test_backtrace(void)
{
	bool leaf = false, caller = false;

	frame_count = backtrace(frames, 64); /* loads what it needs */
	set(SIGBUS, trace, 0, NULL);
	jumps(peek_from_here, private_page);
	for (int i = 0; i < frame_count; i++) {
		leaf |= within((uintptr_t)frames[i], peek_at);
		caller |= within((uintptr_t)frames[i], peek_from_here);
	}
	ok(leaf && caller, "%s: backtrace() in the handler sees through the signal frame", where);
}

#define THREADS 4
#define ROUNDS	500
static __thread sigjmp_buf thread_back;
static __thread void *volatile thread_addr;

static void thread_handler(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	thread_addr = info->si_addr;
	siglongjmp(thread_back, 1);
}

static void *toucher(void *arg)
{
	intptr_t self = (intptr_t)arg;
	volatile intptr_t right = 0;

	for (volatile int i = 0; i < ROUNDS; i++) {
		char *ptr = private_page + self * 8 + i;

		thread_addr = NULL;
		if (!sigsetjmp(thread_back, 1))
			peek_at(ptr);
		right += thread_addr == ptr;
	}
	return (void *)right;
}

static void test_threads(void)
{
	pthread_t threads[THREADS];
	intptr_t right = 0;
	void *result;

	set(SIGBUS, thread_handler, 0, NULL);
	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, toucher, (void *)i);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		right += (intptr_t)result;
	}
	is(right, THREADS * ROUNDS, "%s: %d threads touch at once, each gets its own signals", where, THREADS);
}

/* Pages below: [PRIVATE, PRIVATE + 4) are private. */
static void test_faults(const char *name, char *map)
{
	where = name;
	mem = map;
	private_page = map + PRIVATE * PG;
	test_information();
	test_alternate_stack();
	test_signal_function();
	test_flags();
	test_old_action();
	test_deaths();
	test_many();
	test_backtrace();
	test_threads();
	test_return(map + (PRIVATE + 3) * PG);
	signal(SIGBUS, SIG_DFL);
}

/* --- faults of the program's own ------------------------------------------------ */

static void test_own_faults(int gmem)
{
	char *none = mmap(NULL, PG, PROT_NONE, MAP_SHARED, gmem, 0), *read_only, *file;
	int fd = memfd_create("own", 0);

	set(SIGSEGV, look_and_jump, 0, NULL);
	set(SIGBUS, look_and_jump, 0, NULL);
	ok(jumps(peek_at, (char *)16) && seen.signo == SIGSEGV && seen.code == SEGV_MAPERR && seen.addr == (void *)16,
	   "a null pointer reaches the SIGSEGV handler unchanged");
	ok(jumps(poke_at, (char *)0x8000000000000000UL) && seen.signo == SIGSEGV && seen.code == SI_KERNEL && !seen.addr,
	   "so does an address that is none");
	read_only = mmap(NULL, PG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ok(jumps(poke_at, read_only) && seen.signo == SIGSEGV && seen.code == SEGV_ACCERR && seen.addr == read_only,
	   "so does a store to read-only memory");
	ok(jumps(peek_at, none) && seen.signo == SIGSEGV && seen.code == SEGV_ACCERR && seen.addr == none,
	   "so does a guest_memfd mapped PROT_NONE");
	file = mmap(NULL, PG, PROT_READ, MAP_SHARED, fd, 0);
	ok(jumps(peek_at, file) && seen.signo == SIGBUS && seen.code == BUS_ADRERR && seen.addr == file,
	   "the end of an ordinary file is SIGBUS");
	file = mmap(NULL, 2 * PG * PAGES, PROT_READ, MAP_SHARED, gmem, 0);
	ok(jumps(peek_at, file + PG * PAGES) && seen.signo == SIGBUS && seen.code == BUS_ADRERR,
	   "the end of a guest_memfd is SIGBUS");
	munmap(file, 2 * PG * PAGES);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	close(fd);
}

/* --- signals that are sent -------------------------------------------------------- */

static void test_sent_to(int sig)
{
	const char *name = sig == SIGBUS ? "SIGBUS" : "SIGSEGV";
	union sigval value = { .sival_int = 4711 };

	memset(&seen, 0, sizeof(seen));
	set(sig, look, 0, NULL);
	kill(getpid(), sig);
	ok(seen.calls == 1 && seen.code == SI_USER && seen.pid == getpid(), "%s by kill() reaches the handler", name);
	raise(sig);
	ok(seen.calls == 2 && seen.code == SI_TKILL && seen.pid == getpid(), "%s by raise()", name);
	sigqueue(getpid(), sig, value);
	ok(seen.calls == 3 && seen.code == SI_QUEUE && seen.value == 4711, "%s by sigqueue(), with its value", name);
	signal(sig, SIG_IGN);
	kill(getpid(), sig);
	raise(sig);
	is(seen.calls, 3, "%s ignored: nothing happens", name);
	set(sig, look, SA_RESETHAND, NULL);
	kill(getpid(), sig);
	ok(seen.calls == 4 && signal(sig, SIG_DFL) == SIG_DFL, "%s with SA_RESETHAND: once", name);
}

/* What a child with that disposition dies of when somebody else sends it the signal. */
static int killed_from_outside(int sig, void (*handler)(int))
{
	int status, ready[2];
	char byte = 1;
	pid_t pid;

	if (pipe(ready))
		die("pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		signal(sig, handler);
		if (write(ready[1], &byte, 1) != 1)
			_exit(3);
		for (int i = 0; i < 100 && !seen.calls; i++)
			usleep(2000);
		_exit(seen.calls ? 7 : 8);
	}
	if (read(ready[0], &byte, 1) != 1)
		die("read");
	kill(pid, sig);
	waitpid(pid, &status, 0);
	close(ready[0]);
	close(ready[1]);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_sent(void)
{
	memset(&seen, 0, sizeof(seen));
	is(killed_from_outside(SIGBUS, SIG_DFL), -SIGBUS, "SIGBUS from outside kills by default");
	is(killed_from_outside(SIGSEGV, SIG_DFL), -SIGSEGV, "SIGSEGV from outside kills by default");
	is(killed_from_outside(SIGBUS, SIG_IGN), 8, "SIGBUS from outside, ignored");
	is(killed_from_outside(SIGSEGV, SIG_IGN), 8, "SIGSEGV from outside, ignored");
	is(killed_from_outside(SIGBUS, count), 7, "SIGBUS from outside, handled");
	is(killed_from_outside(SIGSEGV, count), 7, "SIGSEGV from outside, handled");
	test_sent_to(SIGBUS);
	test_sent_to(SIGSEGV);
}

/* A blocked signal stays pending whatever is asked of KVM meanwhile. */
static void test_pending(int vm, int gmem)
{
	sigset_t bus = mask_of(SIGBUS), none = mask_of(0), pending, after;
	struct timespec zero = { 0, 0 };
	siginfo_t info;
	char *map;

	memset(&seen, 0, sizeof(seen));
	set(SIGBUS, look, 0, NULL);
	sigaddset(&bus, SIGSEGV);
	set(SIGSEGV, look, 0, NULL);
	sigprocmask(SIG_SETMASK, &bus, NULL);
	kill(getpid(), SIGBUS);
	kill(getpid(), SIGSEGV);
	ioctl(vm, KVM_CHECK_EXTENSION, 234);
	close(gmem_new(vm, PG, 0));
	set_region1(vm, 0, 0, 0, PG, (uintptr_t)mem);
	fallocate(gmem, FALLOC_FL_KEEP_SIZE, 0, PG);
	map = map_shared(gmem, PG, 0);
	is(ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR), -1, "a bad pointer while SIGSEGV and SIGBUS are blocked is survived");
	is(errno, EFAULT, "and is EFAULT");
	munmap(map, PG);
	sigpending(&pending);
	ok(seen.calls == 0 && sigismember(&pending, SIGBUS) && sigismember(&pending, SIGSEGV),
	   "blocked SIGBUS and SIGSEGV stay pending across calls to KVM");
	is(sigtimedwait(&bus, &info, &zero), SIGBUS, "sigtimedwait() takes the one");
	ok(info.si_code == SI_USER && info.si_pid == getpid(), "with its information");
	sigprocmask(SIG_SETMASK, &none, NULL);
	ok(seen.calls == 1 && seen.signo == SIGSEGV && seen.code == SI_USER, "unblocking delivers the other");
	after = current_mask();
	ok(same(&after, &none), "and leaves the mask alone");
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
}

/* read(2) on an empty pipe while a child sends SIGBUS: 1 when it was restarted, 0 for EINTR. */
static int restarted(int flags)
{
	pid_t parent = getpid(), pid;
	char byte = 'x';
	int pipes[2];
	ssize_t n;

	if (pipe(pipes))
		die("pipe");
	set(SIGBUS, look, flags, NULL);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		usleep(30000);
		kill(parent, SIGBUS);
		usleep(30000);
		_exit(write(pipes[1], &byte, 1) != 1);
	}
	n = read(pipes[0], &byte, 1);
	waitpid(pid, NULL, 0);
	close(pipes[0]);
	close(pipes[1]);
	return n == 1 ? 1 : errno == EINTR ? 0 : -1;
}

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

/* Handlers that run while the first one does, and while calls are under way. */
static void test_storm(int vm, int gmem)
{
	struct itimerval fast = { { 0, 300 }, { 0, 300 } }, off = { { 0, 0 }, { 0, 0 } };
	int wrong = 0, jumped = 0;

	set(SIGBUS, look_and_jump, 0, NULL);
	signal(SIGALRM, tick);
	ticks = 0;
	setitimer(ITIMER_REAL, &fast, NULL);
	for (int i = 0; i < 4000; i++) {
		char *map = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);

		wrong += map == MAP_FAILED;
		wrong += ioctl(vm, KVM_CHECK_EXTENSION, 234) != 1;
		jumped += jumps(peek_at, private_page);
		wrong += munmap(map, PG) != 0;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	ok(ticks > 10, "a timer's handler interrupted often enough");
	is(wrong, 0, "no call failed under it");
	is(jumped, 4000, "no touch was lost under it");
	signal(SIGBUS, SIG_DFL);
}

/* Ignored signals stay ignored over exec, others become the default. */
static void show_ignored(void)
{
	signal(SIGBUS, SIG_IGN);
	signal(SIGSEGV, jump);
	execl("/bin/sh", "sh", "-c", "kill -BUS $$; kill -SEGV $$; exit 3", (char *)NULL);
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, gmem;
	char *map;

	if (kvm < 0)
		skip_all("/dev/kvm: %s", strerror(errno));
	vm = vm_new(kvm, 0);
	if (!(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP))
		skip_all("this kernel cannot map a guest_memfd");
	gmem = gmem_new(vm, PAGES * PG, GUEST_MEMFD_FLAG_MMAP);
	map = map_shared(gmem, PAGES * PG, 0);
	test_faults("private file", map);
	test_own_faults(gmem);
	test_sent();
	test_pending(vm, gmem);
	is(restarted(SA_RESTART), 1, "SA_RESTART: an interrupted read goes on");
	is(restarted(0), 0, "without SA_RESTART it is EINTR");
	signal(SIGBUS, SIG_DFL);
	test_storm(vm, gmem);
	is(child(show_ignored), -SIGSEGV, "exec keeps SIGBUS ignored and makes SIGSEGV the default");

	vm = ioctl(kvm, KVM_CREATE_VM, 1);
	if (vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0) {
		gmem = gmem_new(vm, PAGES * PG, SHAREABLE);
		map = map_shared(gmem, PAGES * PG, 0);
		memset(map, 7, PAGES * PG);
		if (set_attr2(gmem, PRIVATE * PG, 4 * PG, KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL))
			die("conversion");
		test_faults("converted pages", map);
		test_storm(vm, gmem);
		is(map[(PRIVATE - 1) * PG] + map[(PRIVATE + 4) * PG], 14, "the pages beside them are as they were");
	} else {
		skip(1, "no conversion in place on this kernel");
	}
	return done_testing();
}
