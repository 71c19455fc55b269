// SPDX-License-Identifier: MIT
/*
 * cli/bench_run.c - gmem bench: running the measuring programs
 *
 * A round runs, row by row, what stands beside the row and its subjects one after the
 * other, each in a process of its own, so that what the machine does meanwhile meets
 * them all.  A program prints lines of "figure unit sample...", and where it cannot go
 * on a line that says why: that is the reason why a figure is missing, and it is not
 * run again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/program.h"

#define FIGURES_MAX  256
#define ROUND_MAX    512 /* samples of a figure in a round */
#define TIME_LIMIT   300 /* seconds that a case may take */
#define MOCKED	     "gmem-bench" /* as bench/measure.c opens it */

/* What other emulators read and write; without a name, so that nothing is left of them. */
enum file { FILE_IMAGE, FILE_DEBUG, FILE_DEVICE, FILE_IOCTL, FILES };

/* A figure of a source: its samples, all of them and by round. */
struct samples {
	enum bench_source source;
	char *name, *unit;
	double *all, *median; /* one for each round, negative where it has none */
	unsigned count;
};

struct run {
	const struct bench_plan *plan;
	unsigned round;
	struct samples figures[FIGURES_MAX];
	unsigned figure_count;
	bool done[BENCH_SOURCES][BENCH_CASES]; /* in this round */
	char *missing[BENCH_SOURCES][BENCH_CASES];
	char self[PATH_MAX], programs[PATH_MAX]; /* this command; the directory of measure and vcpu */
	int file[FILES];
	char path[FILES][32];
};

/* --- programs and their output ------------------------------------------------------ */

static struct samples *figure_of(struct run *run, enum bench_source source, const char *name)
{
	for (unsigned i = 0; i < run->figure_count; i++)
		if (run->figures[i].source == source && !strcmp(run->figures[i].name, name))
			return &run->figures[i];
	return NULL;
}

static struct samples *figure_make(struct run *run, enum bench_source source, const char *name, const char *unit)
{
	struct samples *s = figure_of(run, source, name);

	if (s || run->figure_count == FIGURES_MAX)
		return s;
	s = &run->figures[run->figure_count];
	*s = (struct samples){ .source = source, .name = strdup(name), .unit = strdup(unit) };
	s->all = calloc((size_t)run->plan->rounds * ROUND_MAX, sizeof(*s->all));
	s->median = calloc(run->plan->rounds, sizeof(*s->median));
	if (!s->name || !s->unit || !s->all || !s->median)
		return NULL;
	for (unsigned i = 0; i < run->plan->rounds; i++)
		s->median[i] = -1;
	run->figure_count++;
	return s;
}

/* Whether line is one of a figure: then its samples are added. */
static bool take_line(struct run *run, enum bench_source source, char *line)
{
	double values[ROUND_MAX];
	unsigned count = 0;
	char *rest, *name = strtok_r(line, " ", &rest), *unit = strtok_r(NULL, " ", &rest), *word;
	struct samples *s;

	if (!name || !unit)
		return false;
	while ((word = strtok_r(NULL, " ", &rest)) && count < ROUND_MAX) {
		char *end;

		values[count++] = strtod(word, &end);
		if (*end)
			return false;
	}
	s = count ? figure_make(run, source, name, unit) : NULL;
	if (!s)
		return false;
	memcpy(s->all + s->count, values, count * sizeof(*values));
	s->count += count;
	s->median[run->round] = bench_spread_of(values, count).median;
	return true;
}

static pid_t start(char *const argv[], int *from)
{
	int pipe_fds[2], null = -1;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		null = open("/dev/null", O_RDONLY);
		dup2(null, STDIN_FILENO);
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		execvp(argv[0], argv);
		if (errno == ENOENT)
			dprintf(STDOUT_FILENO, "%s is not installed\n", argv[0]);
		else
			dprintf(STDOUT_FILENO, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(pipe_fds[1]);
	*from = pipe_fds[0];
	if (pid < 0)
		close(pipe_fds[0]);
	return pid;
}

/* All that comes until the end or the time limit, in buf; whether the end came. */
static bool read_all(int from, char *buf, size_t size)
{
	time_t until = time(NULL) + TIME_LIMIT;
	size_t len = 0;
	bool end = false;

	while (!end && len + 1 < size) {
		struct pollfd p = { .fd = from, .events = POLLIN };
		time_t left = until - time(NULL);
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left * 1000) == 0)
			break;
		n = read(from, buf + len, size - 1 - len);
		if (n < 0 && errno != EINTR)
			break;
		end = n == 0;
		len += n > 0 ? (size_t)n : 0;
	}
	buf[len] = '\0';
	return end;
}

/* Run a program and take its figures: NULL, or why it did not come to its end. */
static char *run_program(struct run *run, enum bench_source source, char *const argv[])
{
	static char output[1 << 16];
	char *rest, *said = NULL, *reason = NULL;
	int from = -1, status = 0;
	pid_t pid = start(argv, &from);
	bool ended;

	if (pid < 0)
		return strdup(strerror(errno));
	ended = read_all(from, output, sizeof(output));
	if (!ended)
		kill(pid, SIGTERM);
	close(from);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	for (char *line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *copy = strdup(line);

		if (!copy || !take_line(run, source, copy))
			said = line;
		free(copy);
	}
	if (!ended)
		return strdup("it did not end in time");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	if (said) {
		/* What programs say of the line is of no use here. */
		if (!strncmp(said, "cannot go on, ", 14) && strstr(said, ": "))
			said = strstr(said, ": ") + 2;
		return strdup(said);
	}
	if (asprintf(&reason, "%s ended with status %d", argv[0],
		     WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)) < 0)
		return NULL;
	return reason;
}

/* --- sources ------------------------------------------------------------------------- */

/* The guest as a multiboot image; what it writes to the debug port comes back as a file. */
static char *run_tcg(struct run *run, char *vcpu)
{
	char debugcon[sizeof(run->path[0]) + 8];
	char *const make[] = { vcpu, (char[]){ "--image" }, run->path[FILE_IMAGE], NULL };
	char *const qemu[] = { (char[]){ "qemu-system-x86_64" }, (char[]){ "-accel" }, (char[]){ "tcg" }, (char[]){ "-m" },
			       (char[]){ "128" }, (char[]){ "-display" }, (char[]){ "none" }, (char[]){ "-nodefaults" },
			       (char[]){ "-no-reboot" }, (char[]){ "-kernel" }, run->path[FILE_IMAGE],
			       (char[]){ "-debugcon" }, debugcon, (char[]){ "-device" },
			       (char[]){ "isa-debug-exit,iobase=0xf4,iosize=1" }, NULL };
	char *const take[] = { vcpu, (char[]){ "--read" }, run->path[FILE_DEBUG], NULL };
	char *reason = run_program(run, BENCH_TCG, make), *unread;

	if (reason)
		return reason;
	snprintf(debugcon, sizeof(debugcon), "file:%s", run->path[FILE_DEBUG]);
	if (ftruncate(run->file[FILE_DEBUG], 0))
		return strdup(strerror(errno));
	/* The device that ends it makes the status 1 and more: the samples tell whether all went well. */
	reason = run_program(run, BENCH_TCG, qemu);
	unread = run_program(run, BENCH_TCG, take);
	if (unread && !reason)
		return unread;
	if (!unread) {
		free(reason);
		return NULL;
	}
	free(unread);
	return reason;
}

static char *run_case(struct run *run, enum bench_source source, enum bench_case of)
{
	const struct bench_case_info *c = &bench_cases[of];
	char program[PATH_MAX + 32], ioctl[sizeof(run->path[0]) + 32];
	char name[32], quick[] = "--quick", verb[] = "run", engine[] = "--engine", cpu[] = "--cpu", end[] = "--";
	char mock[] = "umockdev-run", mock_device[] = "-d", mock_ioctl[] = "-i", which[16];
	char *argv[12];
	unsigned n = 0;

	snprintf(program, sizeof(program), "%s/%s", run->programs, c->program);
	snprintf(name, sizeof(name), "%s", c->name);
	snprintf(which, sizeof(which), "%s", bench_sources[source].name);
	if (source == BENCH_TCG)
		return run_tcg(run, program);
	if (source == BENCH_UMOCKDEV) {
		snprintf(ioctl, sizeof(ioctl), "/dev/" MOCKED "=%s", run->path[FILE_IOCTL]);
		argv[n++] = mock;
		argv[n++] = mock_device;
		argv[n++] = run->path[FILE_DEVICE];
		argv[n++] = mock_ioctl;
		argv[n++] = ioctl;
		argv[n++] = end;
	} else if (source != BENCH_HOST) {
		argv[n++] = run->self;
		argv[n++] = verb;
		argv[n++] = source == BENCH_SOFT ? cpu : engine;
		argv[n++] = which;
		argv[n++] = end;
	}
	argv[n++] = program;
	if (run->plan->quick && !strcmp(c->program, "measure"))
		argv[n++] = quick;
	argv[n++] = name;
	argv[n] = NULL;
	return run_program(run, source, argv);
}

/* --- rounds -------------------------------------------------------------------------- */

/* The case that gives a row's figure of a source. */
static enum bench_case case_of(const struct bench_row *row, enum bench_source source)
{
	return bench_sections[row->section].subjects & 1U << source ? row->of : row->beside_of;
}

static void run_once(struct run *run, enum bench_source source, enum bench_case of)
{
	if (run->done[source][of] || run->missing[source][of])
		return;
	run->done[source][of] = true;
	if (run->plan->quick && bench_cases[of].slow)
		run->missing[source][of] = strdup("takes too long for --quick");
	else
		run->missing[source][of] = run_case(run, source, of);
}

static void run_round(struct run *run)
{
	memset(run->done, 0, sizeof(run->done));
	for (unsigned r = 0; r < bench_row_count; r++) {
		if (!run->plan->asked[r])
			continue;
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\r\033[Kround %u of %u: %s", run->round + 1, run->plan->rounds, bench_rows[r].id);
		for (unsigned s = 0; s < BENCH_SOURCES; s++)
			if (bench_row_has(&bench_rows[r], (enum bench_source)s))
				run_once(run, (enum bench_source)s, case_of(&bench_rows[r], (enum bench_source)s));
	}
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* The subject's median to that beside it, by rounds that have both. */
static struct bench_spread ratio_of(const struct run *run, const struct samples *subject, const struct samples *beside)
{
	double ratios[BENCH_ROUNDS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < run->plan->rounds; i++)
		if (subject->median[i] >= 0 && beside->median[i] > 0)
			ratios[count++] = subject->median[i] / beside->median[i];
	return bench_spread_of(ratios, count);
}

static void conclude(struct run *run, struct bench_result *result)
{
	for (unsigned r = 0; r < bench_row_count; r++) {
		const struct bench_row *row = &bench_rows[r];
		struct bench_row_result *to = &result->row[r];
		struct samples *beside = NULL;

		to->asked = run->plan->asked[r];
		if (!to->asked)
			continue;
		if (row->beside_of)
			beside = figure_of(run, bench_sections[row->section].beside, row->beside_figure);
		for (unsigned s = 0; s < BENCH_SOURCES; s++) {
			bool subject = bench_sections[row->section].subjects & 1U << s;
			struct samples *figure;

			if (!bench_row_has(row, (enum bench_source)s))
				continue;
			figure = subject ? figure_of(run, (enum bench_source)s, row->figure) : beside;
			/* The order of samples no longer matters once the ratios are made of the rounds' medians. */
			if (figure && strcmp(figure->unit, row->unit) != 0)
				to->cell[s].missing = strdup("the program tells it in another unit");
			else if (figure)
				to->cell[s].value = bench_spread_of(figure->all, figure->count);
			else if (run->missing[s][case_of(row, (enum bench_source)s)])
				to->cell[s].missing = strdup(run->missing[s][case_of(row, (enum bench_source)s)]);
			else
				to->cell[s].missing = strdup("the program did not tell it");
			if (subject && to->cell[s].value.count && beside)
				to->cell[s].ratio = ratio_of(run, figure, beside);
		}
	}
}

/* --- where it ran --------------------------------------------------------------------- */

static char *cpu_name(void)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char *line = NULL, *name = NULL;
	size_t size = 0;

	while (f && !name && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "model name", 10) && strchr(line, ':'))
			name = strdup(strchr(line, ':') + 2);
	}
	free(line);
	if (f)
		fclose(f);
	return name ? name : strdup("unknown");
}

static void describe(const struct bench_plan *plan, struct bench_result *result)
{
	time_t now = time(NULL);
	struct utsname uts;
	char date[32];

	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	result->version = strdup(GMEM_VERSION);
	result->kernel = strdup(uname(&uts) ? "unknown" : uts.release);
	result->cpu = cpu_name();
	result->date = strdup(date);
	result->cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (getloadavg(&result->load, 1) != 1)
		result->load = 0;
	result->rounds = plan->rounds;
	result->quick = plan->quick;
}

/* A device with one ioctl that has an answer of its own, as umockdev-record writes them. */
static const char *const contents[FILES] = {
	[FILE_DEVICE] = "P: /devices/" MOCKED "\nN: " MOCKED "\nE: DEVNAME=/dev/" MOCKED
			"\nE: SUBSYSTEM=usb\nA: idVendor=0000\n\n",
	[FILE_IOCTL] = "@DEV /dev/" MOCKED "\nUSBDEVFS_CONNECTINFO 0 0B00000001000000\n",
};

static int make_files(struct run *run)
{
	for (unsigned i = 0; i < FILES; i++) {
		size_t size = contents[i] ? strlen(contents[i]) : 0;

		/* Inherited on purpose. */
		run->file[i] = memfd_create("gmem-bench", 0);
		if (run->file[i] < 0 || write(run->file[i], contents[i], size) != (ssize_t)size)
			return -errno;
		snprintf(run->path[i], sizeof(run->path[i]), "/proc/self/fd/%d", run->file[i]);
	}
	return 0;
}

static void run_free(struct run *run)
{
	for (unsigned i = 0; i < FILES; i++)
		if (run->file[i] >= 0)
			close(run->file[i]);
	for (unsigned i = 0; i < run->figure_count; i++) {
		free(run->figures[i].name);
		free(run->figures[i].unit);
		free(run->figures[i].all);
		free(run->figures[i].median);
	}
	for (unsigned s = 0; s < BENCH_SOURCES; s++)
		for (unsigned c = 0; c < BENCH_CASES; c++)
			free(run->missing[s][c]);
	free(run);
}

int bench_measure(const struct bench_plan *plan, struct bench_result *result)
{
	struct run *run = calloc(1, sizeof(*run));
	int ret;

	if (!run) {
		complain("%m");
		return -ENOMEM;
	}
	run->plan = plan;
	memset(run->file, -1, sizeof(run->file));
	ret = program_own_file("bench/measure", run->programs);
	if (ret < 0)
		goto out;
	ret = readlink("/proc/self/exe", run->self, sizeof(run->self) - 1) < 0 ? -errno : make_files(run);
	if (ret < 0) {
		complain("%s", strerror(-ret));
		goto out;
	}
	*strrchr(run->programs, '/') = '\0';
	describe(plan, result);
	for (run->round = 0; run->round < plan->rounds; run->round++)
		run_round(run);
	conclude(run, result);
out:
	run_free(run);
	return ret;
}
