// SPDX-License-Identifier: MIT
/*
 * tests/run_sweep_command.c - the command itself, with each of its system calls failing in turn
 *
 *   run_sweep_command [--samples N] [--from N] COMMAND [ARGUMENT...]
 *
 * COMMAND is run under ptrace(2) once to count its system calls, and once for each of them (or N of them), which fails with
 * ENOMEM; children count until they execute another program.  Each time the command
 *
 *  1. ends, not by a signal, and
 *  2. says the same with the same status, or says why not: on standard error, with another status that is documented, or
 *     among what it found (gmem doctor).
 *
 * Calls that cannot fail in a kernel, or whose failing the C library's start does not survive, are none.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

#define LIMIT_S	  60
#define TASKS_MAX 64
#define OPTIONS                                                                                                        \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | \
	 PTRACE_O_EXITKILL)

/* Those that are traced. */
struct task {
	pid_t pid;
	bool failing; /* in the call that is to fail */
	bool counts;  /* the loader has done its work */
	bool started; /* a new one stops first of all */
};

struct result {
	bool ended;
	int status;
	long count; /* calls that could have failed */
	long failed; /* the number of the one that did; -1: none */
	char out[65536], err[8192];
};

static struct task tasks[TASKS_MAX];

static struct task *task_of(pid_t pid)
{
	struct task *unused = NULL;

	for (int i = 0; i < TASKS_MAX; i++) {
		if (tasks[i].pid == pid)
			return &tasks[i];
		if (!tasks[i].pid && !unused)
			unused = &tasks[i];
	}
	if (unused)
		*unused = (struct task){ .pid = pid };
	return unused;
}

#define KVM_GET_API_VERSION 0xae00
#define KVM_CHECK_EXTENSION 0xae03

static bool can_fail(long nr, unsigned long second)
{
	switch (nr) {
	case SYS_ioctl:
		return second != KVM_GET_API_VERSION && second != KVM_CHECK_EXTENSION;
	case SYS_brk: /* it says what is, not what is wrong */
	case SYS_close:
	case SYS_munmap:
	case SYS_exit:
	case SYS_exit_group:
	case SYS_rt_sigprocmask:
	case SYS_rt_sigaction:
	case SYS_rt_sigreturn:
	case SYS_arch_prctl:
	case SYS_set_tid_address:
	case SYS_set_robust_list:
	case SYS_rseq:
	case SYS_getpid:
	case SYS_gettid:
	case SYS_getppid:
	case SYS_getuid:
	case SYS_geteuid:
	case SYS_getgid:
	case SYS_getegid:
	case SYS_getsid:
	case SYS_fstat:
	case SYS_lseek:
	case SYS_futex:
	case SYS_wait4: /* the status would be lost */
	case SYS_kill:
	case SYS_tgkill:
	case SYS_sched_yield:
	case SYS_clock_gettime:
	case SYS_clock_nanosleep:
	case SYS_prlimit64:
	case SYS_execve: /* of the program: it says so itself */
		return false;
	}
	return true;
}

static void at_syscall(struct task *t, long n, struct result *r)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof(info), &info) < 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && t->failing) {
		ptrace(PTRACE_POKEUSER, t->pid, offsetof(struct user_regs_struct, rax), -(long)ENOMEM);
		t->failing = false;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !t->counts || !can_fail((long)info.entry.nr, info.entry.args[1]) ||
	    ++r->count != n)
		return;
	/* No such call: nothing is done. */
	ptrace(PTRACE_POKEUSER, t->pid, offsetof(struct user_regs_struct, orig_rax), -1L);
	t->failing = true;
	r->failed = (long)info.entry.nr;
}

/* Where the program begins when the loader has done its work; 0 when that cannot be read. */
static unsigned long entry_of(pid_t pid)
{
	unsigned long vector[2], entry = 0;
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	f = fopen(path, "re");
	while (f && fread(vector, sizeof(vector), 1, f) == 1)
		if (vector[0] == AT_ENTRY)
			entry = vector[1];
	if (f)
		fclose(f);
	return entry;
}

static unsigned long entry;
static long instruction;

static void stop_at_entry(pid_t pid)
{
	entry = entry_of(pid);
	errno = 0;
	instruction = ptrace(PTRACE_PEEKTEXT, pid, entry, NULL);
	if (!errno)
		ptrace(PTRACE_POKETEXT, pid, entry, (instruction & ~0xffL) | 0xcc);
}

/* Whether it has come to the entry; then it counts from here on. */
static bool at_entry(struct task *t)
{
	struct user_regs_struct regs;

	if (t->counts || ptrace(PTRACE_GETREGS, t->pid, NULL, &regs) || regs.rip != entry + 1)
		return false;
	ptrace(PTRACE_POKETEXT, t->pid, entry, instruction);
	regs.rip = entry;
	ptrace(PTRACE_SETREGS, t->pid, NULL, &regs);
	t->counts = true;
	return true;
}

/* After a stop; the signal to go on with, or -1 when the task has been let go. */
static int after_stop(struct task *t, int status, pid_t first, long n, struct result *r)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (sig == (SIGTRAP | 0x80)) {
		at_syscall(t, n, r);
		return 0;
	}
	if (event == PTRACE_EVENT_EXEC && t->pid != first) {
		ptrace(PTRACE_DETACH, t->pid, NULL, NULL);
		t->pid = 0;
		return -1;
	}
	if (event == PTRACE_EVENT_EXEC)
		stop_at_entry(t->pid);
	if (sig == SIGTRAP && !event && at_entry(t))
		return 0;
	if (event || (sig == SIGSTOP && !t->started && t->pid != first)) {
		t->started = true;
		t->counts |= t->pid != first;
		return 0;
	}
	return sig;
}

static void follow(pid_t first, long n, struct result *r)
{
	struct task *t;
	int status, sig;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		t = task_of(pid);
		if (WIFSTOPPED(status)) {
			sig = t ? after_stop(t, status, first, n, r) : 0;
			if (sig >= 0)
				ptrace(PTRACE_SYSCALL, pid, NULL, (long)sig);
			continue;
		}
		if (t)
			t->pid = 0;
		if (pid == first) {
			r->status = status;
			r->ended = true;
			return;
		}
	}
}

static pid_t runner;

static void too_late(int sig)
{
	(void)sig;
	kill(runner, SIGKILL);
}

static void read_back(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

/* The nth call fails; 0: none. */
static void run(char **argv, long n, struct result *r)
{
	int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC), status;

	memset(r, 0, sizeof(*r));
	r->failed = -1;
	memset(tasks, 0, sizeof(tasks));
	runner = fork();
	if (!runner) {
		dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(98);
		raise(SIGSTOP);
		execv(argv[0], argv);
		_exit(99);
	}
	waitpid(runner, &status, 0);
	if (WIFSTOPPED(status) && ptrace(PTRACE_SETOPTIONS, runner, NULL, (long)OPTIONS) == 0) {
		alarm(LIMIT_S);
		ptrace(PTRACE_SYSCALL, runner, NULL, NULL);
		follow(runner, n, r);
		alarm(0);
	}
	read_back(out, r->out, sizeof(r->out));
	read_back(err, r->err, sizeof(r->err));
}

/* --- what is said of it ----------------------------------------------------------------------------- */

static bool documented(int status)
{
	return status == 1 || status == 2 || status == 125 || status == 126 || status == 127;
}

/* Whether a line that is not among the others names the error, or that something is not known. */
static bool tells_why(const char *out, const char *plain)
{
	static const char *const words[] = { "Cannot allocate memory", "no memory", "cannot be told", "unknown" };
	char line[1024];

	for (; *out; out += strcspn(out, "\n"), out += *out == '\n') {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(out, "\n"), out);
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strstr(line, words[i]) && !strstr(plain, line))
				return true;
	}
	return false;
}

/* 0: as ever; 1: it says why not; -1: neither. */
static int judge(const struct result *r, const struct result *plain)
{
	if (!r->ended || !WIFEXITED(r->status))
		return -1;
	if (r->status == plain->status && !strcmp(r->out, plain->out))
		return 0;
	if (documented(WEXITSTATUS(r->status)) && r->status != plain->status && r->err[0])
		return 1;
	return tells_why(r->out, plain->out) ? 1 : -1;
}

static void show(const char *title, const char *text)
{
	for (int lines = 0; *text && lines < 40; text += strcspn(text, "\n"), text += *text == '\n', lines++)
		diag("  %s %.*s", title, (int)strcspn(text, "\n"), text);
}

static void sweep(char **argv, long from, long samples)
{
	static struct result plain, r;
	long by, tried = 0, bad = 0, said = 0;
	int verdict;

	run(argv, 0, &plain);
	if (!plain.ended) {
		skip(1, "tracing is refused here");
		return;
	}
	by = samples && plain.count > samples ? plain.count / samples : 1;
	for (long n = from ? from : (by + 1) / 2; n <= plain.count; n += by) {
		run(argv, n, &r);
		if (r.failed < 0)
			break;
		tried++;
		verdict = judge(&r, &plain);
		said += verdict == 1;
		bad += verdict < 0;
		if (verdict >= 0 && !(verdict && getenv("SWEEP_TELL")))
			continue;
		diag("call %ld, number %ld: %s, status %#x", n, r.failed, r.ended ? "ended" : "does not end", r.status);
		show("stdout", r.out);
		show("stderr", r.err);
	}
	ok(tried && !bad, "gmem %s%s%s: %ld of %ld system calls fail: %ld times it says the same, %ld why not", argv[1],
	   argv[2] ? " " : "", argv[2] ? argv[2] : "", tried, plain.count, tried - said - bad, said);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = too_late };
	long from = 0, samples = 0;
	int at = 1;

	for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
		if (!strcmp(argv[at], "--samples"))
			samples = atol(argv[at + 1]);
		else
			from = atol(argv[at + 1]);
	}
	if (argc - at < 2)
		return 2;
	sigaction(SIGALRM, &sa, NULL);
	sweep(argv + at, from, samples);
	return done_testing();
}
