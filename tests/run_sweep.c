// SPDX-License-Identifier: MIT
/*
 * tests/run_sweep.c - whole programs under `gmem run`, with each system call and allocation of gmem's failing in turn
 *
 *   run_sweep [--engine NAME] [--mode one|lasting|descriptors] [--samples N] [--from N] GMEM OBJECT PROGRAM SCENARIO...
 *
 * OBJECT is the preload object with fault points (rt/fault.h), PROGRAM is run_swept.  For each scenario the operations are
 * counted, from the constructor on and over all processes; then the scenario runs once for each of them (or N of them), which fails: once; with
 * all that follow; or, of those that make descriptors only, with EMFILE.  Each time
 *
 *  1. the run ends,
 *  2. with what the program says of itself being right: no more is left than without a fault, or
 *  3. where gmem cannot go on: with status 126, or the program's 7, and a report,
 *  4. and no process stays behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/fault.h"
#include "rt/types.h"
#include "tests/tap.h"

#define LIMIT_MS  60000 /* nothing takes as long */
#define LINGER_MS 10000 /* and what outlives the run by more stays behind */
#define STOPPED	  126
#define LOST	  7
#define TEXT	  4096
#define UNREACHED (1LL << 40)

struct settings {
	const char *engine, *mode, *gmem, *object, *program;
	long long samples, from;
};

/* How a run ended. */
struct result {
	bool ended, alone;
	int status;
	char out[TEXT], err[TEXT];
};

static struct rt_faults *faults;
static char faults_path[] = "/tmp/gmem-sweep.XXXXXX";

static bool make_faults(void)
{
	int fd = mkstemp(faults_path);
	void *map = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, RT_PAGE_SIZE) == 0)
		map = mmap(NULL, RT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	faults = map;
	return map != MAP_FAILED && setenv("GMEM_FAULTS", faults_path, 1) == 0;
}

static void arm(const struct settings *s, long long n)
{
	memset(faults, 0, sizeof(*faults));
	faults->left = n;
	faults->lasting = strcmp(s->mode, "one") != 0;
	faults->descriptors = !strcmp(s->mode, "descriptors");
	faults->error = faults->descriptors ? EMFILE : ENOMEM;
	faults->armed = 1;
}

/* --- one run -------------------------------------------------------------------------------- */

static pid_t start(const struct settings *s, const char *scenario, int out, int err)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	/* Programs count theirs. */
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execl(s->gmem, s->gmem, "run", "--engine", s->engine, "--preload", s->object, "--", s->program, scenario, NULL);
	_exit(99);
}

static bool wait_within(pid_t pid, int ms)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	bool ended = p.fd < 0 || poll(&p, 1, ms) == 1;

	close(p.fd);
	return ended;
}

/* The first of our children: descendants come to us when their parents end. */
static pid_t a_child(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

/* Whether all descendants end by themselves; then none is left. */
static bool reap(int ms)
{
	bool alone = true;
	pid_t pid;

	while ((pid = a_child()) > 0) {
		if (!wait_within(pid, ms)) {
			alone = false;
			kill(pid, SIGKILL);
		}
		waitpid(pid, NULL, 0);
	}
	return alone;
}

static void read_back(int fd, char *text)
{
	ssize_t n = pread(fd, text, TEXT - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

static void run(const struct settings *s, const char *scenario, long long n, struct result *r)
{
	int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
	pid_t pid;

	arm(s, n);
	pid = start(s, scenario, out, err);
	r->ended = wait_within(pid, LIMIT_MS);
	faults->armed = 0;
	if (!r->ended)
		kill(pid, SIGKILL);
	waitpid(pid, &r->status, 0);
	r->alone = reap(r->ended ? LINGER_MS : 0);
	read_back(out, r->out);
	read_back(err, r->err);
}

/* --- what is said of it -------------------------------------------------------------------------- */

/* As much is left as without a fault, or less: what was not needed again is not there. */
static bool no_more_left(const struct result *r, const struct result *plain)
{
	static const char format[] = "left: %d descriptors, %d mappings of files, %d threads";
	const char *line = strstr(r->out, "left: "), *before = strstr(plain->out, "left: ");
	int now[3], then[3];

	return line && before && sscanf(line, format, &now[0], &now[1], &now[2]) == 3 &&
	       sscanf(before, format, &then[0], &then[1], &then[2]) == 3 && now[0] <= then[0] && now[1] <= then[1] &&
	       now[2] <= then[2];
}

enum verdict { GOOD, REPORTED, BAD };

static enum verdict judge(const struct settings *s, const struct result *r, const struct result *plain)
{
	bool told = strstr(r->err, "gmem: ");
	int status = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1;

	if (!r->ended || !r->alone)
		return BAD;
	if (status == 0)
		return no_more_left(r, plain) ? GOOD : BAD;
	/* Of a loss that came with everything else failing nothing can be said. */
	return (status == STOPPED && told) || (status == LOST && (told || strcmp(s->mode, "one") != 0)) ? REPORTED : BAD;
}

static void show(const char *title, const char *text)
{
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		diag("  %s %.*s", title, (int)strcspn(line, "\n"), line);
}

static void tell(long long n, const struct result *r)
{
	char what[32];

	snprintf(what, sizeof(what), faults->nr == RT_FAULT_ALLOC ? "allocation" : "system call %d", faults->nr);
	diag("operation %lld, %s at %#llx of the object: %s%s, status %#x", n, what, (unsigned long long)faults->where,
	     r->ended ? "ended" : "does not end", r->alone ? "" : ", leaves processes", r->status);
	show("stdout", r->out);
	show("stderr", r->err);
}

static void sweep(const struct settings *s, const char *scenario)
{
	long long total, by, n, tried = 0, bad = 0, reported = 0;
	static struct result plain, r;

	run(s, scenario, UNREACHED, &plain);
	total = UNREACHED - faults->left;
	if (!plain.ended || plain.status || total < 1) {
		ok(false, "%s, %s: %s without a fault, %lld operations", s->engine, s->mode, scenario, total);
		tell(0, &plain);
		return;
	}
	by = s->samples && total > s->samples ? total / s->samples : 1;
	/* Whole sweeps go on until nothing fails: processes that run at once do not count the same twice. */
	for (n = s->from ? s->from : (by + 1) / 2; by == 1 || n <= total; n += by) {
		enum verdict verdict;

		run(s, scenario, n, &r);
		if (!faults->fired)
			break;
		tried++;
		verdict = judge(s, &r, &plain);
		bad += verdict == BAD;
		reported += verdict == REPORTED;
		if (verdict == BAD || getenv("SWEEP_TELL"))
			tell(n, &r);
	}
	ok(!bad, "%s, %s: %s, %lld of %lld operations fail: %lld times all is well, %lld end with a report", s->engine, s->mode,
	   scenario, tried, total, tried - bad - reported, reported);
}

static int usage(void)
{
	fprintf(stderr, "run_sweep [--engine NAME] [--mode one|lasting|descriptors] [--samples N] [--from N] GMEM OBJECT PROGRAM SCENARIO...\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct settings s = { .engine = "auto", .mode = "one" };
	int at = 1;

	for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
		if (!strcmp(argv[at], "--engine"))
			s.engine = argv[at + 1];
		else if (!strcmp(argv[at], "--mode"))
			s.mode = argv[at + 1];
		else if (!strcmp(argv[at], "--samples"))
			s.samples = atoll(argv[at + 1]);
		else if (!strcmp(argv[at], "--from"))
			s.from = atoll(argv[at + 1]);
		else
			return usage();
	}
	if (argc - at < 4)
		return usage();
	s.gmem = argv[at];
	s.object = argv[at + 1];
	s.program = argv[at + 2];
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (!make_faults())
		return 99;
	for (at += 3; at < argc; at++)
		sweep(&s, argv[at]);
	unlink(faults_path);
	return done_testing();
}
