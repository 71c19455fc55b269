// SPDX-License-Identifier: MIT
/*
 * tests/run_kill_step.c - a process is killed at an instruction of a conversion; what its survivor sees
 *
 *   run_kill_step SAMPLES	SAMPLES instructions, evenly over each conversion; 0: every one
 *
 * A child converts pages of a file that its parent has mapped too.  Before one of its instructions (advance()) it
 * is killed.  Each page must then be one or the other for the parent, with what was written to it;
 * the parent can convert and then touches as the states say (INV-1, INV-3, INV-6).
 */
#include <dirent.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "run_inplace.h"

#define PAGES	1024ULL
#define AROUND	8U /* pages looked at beside those that are converted */

struct conversion {
	const char *name;
	unsigned first, count;
	bool to_private;
};

/* Across two regions of 2 MiB, a whole one, and a page alone. */
static const struct conversion conversions[] = {
	{ "300 pages to private", 400, 300, true },
	{ "300 pages to shared", 400, 300, false },
	{ "a region to private", 512, 512, true },
	{ "a page to private", 7, 1, true },
	{ "a page to shared", 7, 1, false },
};

static char *ptr;
static int fd;

static int pattern(unsigned page)
{
	return (int)(page * 7 % 251) + 1;
}

static int convert(unsigned first, unsigned count, bool to_private)
{
	uint64_t error = 0;

	return set_attr2(fd, first * PG, count * PG, to_private ? PRIVATE : SHARED, &error) ? errno : 0;
}

/* The child, stopped before its conversion, or -1 where that is not allowed. */
static pid_t stepped_child(const struct conversion *c)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(9);
		raise(SIGSTOP);
		convert(c->first, c->count, c->to_private);
		raise(SIGSTOP);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	return pid;
}

/* The conversion's instructions, each with how often it has come by then: as one child has done it, and most do. */
#define TRACE_MAX 65536UL
static unsigned long trace[TRACE_MAX], nth[TRACE_MAX], traced;

static void record(pid_t pid, unsigned long at)
{
	struct user_regs_struct regs;

	if (at >= TRACE_MAX || ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		return;
	trace[at] = regs.rip;
	nth[at] = 1;
	for (unsigned long i = 0; i < at; i++)
		nth[at] += trace[i] == regs.rip;
	traced = at + 1;
}

/* Step until n instructions are done or the conversion is; the number done. */
static unsigned long step(pid_t pid, unsigned long n, bool recorded)
{
	unsigned long done;
	int status;

	for (done = 0; done < n; done++) {
		if (recorded)
			record(pid, done);
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return 0;
		if (WSTOPSIG(status) == SIGSTOP)
			break;
	}
	return done;
}

static bool resumed(pid_t pid, enum __ptrace_request how)
{
	int status;

	return !ptrace(how, pid, NULL, NULL) && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
	       WSTOPSIG(status) == SIGTRAP;
}

/* Run until the instruction at addr is the next for the count-th time; or to the conversion's end, when it went another way. */
static bool run_to(pid_t pid, unsigned long addr, unsigned long count)
{
	struct user_regs_struct regs;
	long text;

	errno = 0;
	text = ptrace(PTRACE_PEEKTEXT, pid, addr, NULL);
	if (errno)
		return false;
	for (;;) {
		ptrace(PTRACE_GETREGS, pid, NULL, &regs);
		if (regs.rip == addr && --count == 0)
			return true;
		/* Off the breakpoint before it is set. */
		if (regs.rip == addr && !resumed(pid, PTRACE_SINGLESTEP))
			return false;
		ptrace(PTRACE_GETREGS, pid, NULL, &regs);
		if (regs.rip == addr)
			continue;
		ptrace(PTRACE_POKETEXT, pid, addr, (text & ~0xffL) | 0xcc);
		if (!resumed(pid, PTRACE_CONT))
			return false;
		ptrace(PTRACE_POKETEXT, pid, addr, text);
		ptrace(PTRACE_GETREGS, pid, NULL, &regs);
		regs.rip = addr;
		ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	}
}

/* Up to the nth instruction: by a breakpoint on one before it that comes early, and steps from there. */
static void advance(pid_t pid, unsigned long n)
{
	unsigned long from = n, cost = n;

	for (unsigned long i = 0; i <= n && i < traced; i++) {
		if (2 * nth[i] + n - i < cost) {
			cost = 2 * nth[i] + n - i;
			from = i;
		}
	}
	if (cost == n)
		step(pid, n, false);
	else if (run_to(pid, trace[from], nth[from]))
		step(pid, n - from, false);
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool in_range(const struct conversion *c, unsigned page)
{
	return page >= c->first && page < c->first + c->count;
}

#define STRIDE 13U
#define EDGE   4U

/* Edges of the range always, of its inside one page in STRIDE: others in another phase. */
static bool looked_at(const struct conversion *c, unsigned page, unsigned phase)
{
	return !in_range(c, page) || page < c->first + EDGE || page >= c->first + c->count - EDGE || page % STRIDE == phase % STRIDE;
}

/* want: 1 private, 0 shared, -1 either, for pages of the conversion; the others are shared. */
static unsigned wrong_pages(const struct conversion *c, int want, unsigned phase)
{
	unsigned wrong = 0, end = c->first + c->count + AROUND, from = c->first > AROUND ? c->first - AROUND : 0;

	for (unsigned page = from; page < end && page < PAGES; page++) {
		struct touch t;
		bool refused, read;

		if (!looked_at(c, page, phase))
			continue;
		t = touch(ptr + page * PG, -1);
		refused = t.sig == SIGBUS && t.code == BUS_ADRERR;
		read = !t.sig && t.value == pattern(page);
		if (!in_range(c, page) || want == 0)
			wrong += !read;
		else if (want == 1)
			wrong += !refused;
		else
			wrong += !refused && !read;
	}
	return wrong;
}

static void fill(void)
{
	for (unsigned page = 0; page < PAGES; page++)
		memset(ptr + page * PG, pattern(page), PG);
}

static int fds_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static int maps_lines(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	int c, n = 0;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static bool killed_after(const struct conversion *c, unsigned long n)
{
	unsigned either, refused, read;
	int to_private, to_shared;
	pid_t pid;

	if (!c->to_private)
		convert(c->first, c->count, true);
	pid = stepped_child(c);
	advance(pid, n);
	end_child(pid);
	either = wrong_pages(c, -1, (unsigned)n);
	to_private = convert(c->first, c->count, true);
	refused = wrong_pages(c, 1, (unsigned)n);
	to_shared = convert(c->first, c->count, false);
	read = wrong_pages(c, 0, (unsigned)n);
	if (!either && !to_private && !refused && !to_shared && !read)
		return true;
	diag("%s, killed after %lu instructions: %u pages are neither; to private %d, %u are not; to shared %d, %u are not",
	     c->name, n, either, to_private, refused, to_shared, read);
	return false;
}

static void run(const struct conversion *c, unsigned long samples)
{
	unsigned long total, by, tried = 0, bad = 0;
	int fds, maps;
	pid_t pid;

	if (!c->to_private)
		convert(c->first, c->count, true);
	pid = stepped_child(c);
	if (pid < 0) {
		skip(2, "%s: tracing is refused here", c->name);
		return;
	}
	total = step(pid, 10000000, true);
	end_child(pid);
	is(wrong_pages(c, c->to_private, 0), 0, "%s: done by itself in %lu instructions", c->name, total);
	convert(c->first, c->count, false);
	killed_after(c, 0);
	fds = fds_open();
	maps = maps_lines();
	by = samples && total > samples ? total / samples : 1;
	for (unsigned long n = by / 2; n <= total; n += by) {
		tried++;
		bad += !killed_after(c, n);
	}
	ok(total > 100 && !bad, "%s: killed at each of %lu instructions, the survivor goes on", c->name, tried);
	ok(fds_open() == fds && maps_lines() <= maps + 2, "%s: nothing is left: %d descriptors, %d; %d mappings, %d", c->name,
	   fds, fds_open(), maps, maps_lines());
}

int main(int argc, char **argv)
{
	unsigned long samples = argc > 1 ? strtoul(argv[1], NULL, 10) : 3;
	int kvm, vm = inplace_vm(&kvm);

	fd = gmem_new(vm, PAGES * PG, SHAREABLE);
	ptr = map_shared(fd, PAGES * PG, 0);
	fill();
	for (size_t i = 0; i < sizeof(conversions) / sizeof(conversions[0]); i++)
		run(&conversions[i], samples);
	return done_testing();
}
